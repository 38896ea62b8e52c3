//! Functions by their names, with arguments that need make no sense.
//!
//! Every argument of a Cryptoki function is a number or a pointer, so a call is a name and a list of
//! machine words. The words are made by whoever writes the case: what of it is memory lives in a
//! [`Memory`].

use std::cell::Cell;
use std::ffi::CString;
use std::ptr;

use cryptoki_sys::*;

use super::{Ended, Forked, Module, address, by_count, exit_now, ulong};
use crate::rv::Rv;

/// A word of which nothing is known yet: what the module must not write keeps it.
const UNTOUCHED: CK_ULONG = 0xA5A5_A5A5_A5A5_A5A5;

/// Memory that the arguments of one call point to.
#[derive(Debug, Default)]
pub struct Memory(Vec<Box<[Cell<CK_ULONG>]>>);

impl Memory {
    /// The address of these words, which the module may change.
    pub fn words(&mut self, words: &[CK_ULONG]) -> CK_ULONG {
        let place: Box<[Cell<CK_ULONG>]> = words.iter().map(|word| Cell::new(*word)).collect();
        let at = address(&place);
        self.0.push(place);
        at
    }

    /// The address of these bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> CK_ULONG {
        let words: Vec<_> = bytes
            .chunks(size_of::<CK_ULONG>())
            .map(|chunk| {
                let mut word = [0; size_of::<CK_ULONG>()];
                word[..chunk.len()].copy_from_slice(chunk);
                CK_ULONG::from_ne_bytes(word)
            })
            .collect();
        // A pointer to no bytes is a pointer all the same.
        if words.is_empty() { self.words(&[UNTOUCHED]) } else { self.words(&words) }
    }

    /// The address of room for so many words.
    pub fn room(&mut self, words: usize) -> CK_ULONG {
        self.words(&vec![UNTOUCHED; words])
    }

    /// Writes a word behind an address that this gave.
    pub fn set(&self, at: CK_ULONG, index: usize, word: CK_ULONG) {
        self.place(at)[index].set(word);
    }

    /// Reads a word behind an address that this gave.
    pub fn get(&self, at: CK_ULONG, index: usize) -> CK_ULONG {
        self.place(at)[index].get()
    }

    /// Whether the module has left everything alone that lies behind so many bytes.
    pub fn untouched_behind(&self, at: CK_ULONG, len: CK_ULONG) -> bool {
        let first = usize::try_from(len).unwrap_or(usize::MAX).div_ceil(size_of::<CK_ULONG>());
        self.place(at).iter().skip(first).all(|word| word.get() == UNTOUCHED)
    }

    fn place(&self, at: CK_ULONG) -> &[Cell<CK_ULONG>] {
        self.0.iter().find(|place| address(place) == at).expect("an address of this memory")
    }
}

/// An address behind which there are 2^28 zero bytes, which cost nothing until they are
/// written.
pub fn vast() -> CK_ULONG {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
    );
    // SAFETY: the kernel chooses where; nothing of ours is there.
    let at = unsafe { libc::mmap(ptr::null_mut(), 1 << 28, protection, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap of a vast region");
    ulong(at.expose_provenance())
}

/// Ends this process, if it lives so long, by a signal that tells a hang from a crash.
pub fn alarm(seconds: u32) {
    // SAFETY: no pointer is involved.
    unsafe { libc::alarm(seconds) };
}

/// Goes on in a forked child; this process waits for it, and ends as it does.
pub fn go_on_in_a_child() {
    // SAFETY: the child goes on as this process would have; the allocator of glibc survives a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        return;
    }
    alarm(0);
    match Forked(pid).wait() {
        Ended::Exit(status) => exit_now(status),
        Ended::Signal(signal) => {
            // SAFETY: no pointer is involved.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: no pointer is involved.
            unsafe { libc::raise(signal) };
            exit_now(102)
        }
    }
}

impl Module {
    /// Calls a function by its name; nothing if the module does not export it.
    pub fn call(&self, name: &str, words: &[CK_ULONG]) -> Option<Rv> {
        let name = CString::new(name).expect("a name without NUL");
        // SAFETY: a symbol of this name is a function of the standard.
        let symbol =
            unsafe { self.library.get::<unsafe extern "C" fn()>(name.as_bytes_with_nul()) };
        #[allow(clippy::as_conversions, reason = "what a function is becomes where it is")]
        let function = *symbol.ok()? as *const ();
        // SAFETY: the function is the module's; who writes the case sees to the words.
        Some(Rv(unsafe { by_count::call(function, words) }))
    }
}
