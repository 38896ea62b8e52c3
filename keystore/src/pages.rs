//! Memory that Rust's allocator does not give: the crate's only unsafe code.
//!
//! Three kinds, each behind a safe interface: a page for secrets (kept out of swap and core dumps,
//! emptied in a forked child), the large blocks of Argon2 (given back to the system at once,
//! because a `malloc` keeps them in the host application), and two words shared with other
//! processes.

use std::{
    fs::File,
    io,
    ops::Deref,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use argon2::Block;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use zeroize::Zeroize;

use crate::words::Words;

/// What a mapping is a multiple of; larger pages are mapped whole all the same.
const PAGE: usize = 4096;

/// An anonymous mapping of this process, zero at first, never moved.
struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned like a `Box<[u8]>`, whose access `&` and `&mut` govern.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Pages {}

/// Whether pages that are mapped from now on keep their secrets in a forked child.
static CHILD_INHERITS: AtomicBool = AtomicBool::new(false);

/// Says what becomes of secrets in a forked child.
pub(crate) fn let_child_inherit(child_inherits: bool) {
    CHILD_INHERITS.store(child_inherits, Ordering::Relaxed);
}

impl Pages {
    /// Maps `len` bytes, which must not be 0.
    fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(PAGE);
        // SAFETY: no address is asked for, so the kernel picks a range that nothing else uses.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let pages = Self { start, len };
        pages.advise(Advice::LinuxDontDump);
        // Secrets and the memory of a derivation are the parent's; a child uses neither, unless
        // it goes on with what its parent started.
        if !CHILD_INHERITS.load(Ordering::Relaxed) {
            pages.advise(Advice::LinuxWipeOnFork);
        }
        Ok(pages)
    }

    /// Gives advice, which a kernel may not know: then nothing is lost but the hardening.
    fn advise(&self, advice: Advice) {
        // SAFETY: the range is this mapping, and neither advice given here changes its bytes in
        // this process.
        let _ = unsafe { madvise(self.start.as_ptr().cast(), self.len, advice) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping; its owner is going, so no reference is left.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Whether secrets that are made from now on lie on the heap.
static ON_HEAP: AtomicBool = AtomicBool::new(false);

/// Has secrets lie on the heap from now on: for a process whose heap is a better place than any page
/// of ours, and that has no children.
pub fn keep_secrets_on_heap() {
    ON_HEAP.store(true, Ordering::Relaxed);
}

/// A few secret bytes on a page of their own.
///
/// Not swapped out where the limit on locked memory allows, not in a core dump, wiped when
/// dropped, and gone in a forked child: there [`Secret::bytes`] gives nothing.
pub(crate) struct Secret {
    place: Place,
    len: usize,
}

enum Place {
    Page(Pages),
    Heap(Box<[u8]>),
}

impl Place {
    fn new(len: usize) -> io::Result<Self> {
        if ON_HEAP.load(Ordering::Relaxed) {
            return Ok(Self::Heap(vec![0; len].into()));
        }
        let pages = Pages::new(PAGE)?;
        // SAFETY: the range is the mapping just made. Failure (the limit) costs the hardening.
        let _ = unsafe { mlock(pages.start.as_ptr().cast(), pages.len) };
        Ok(Self::Page(pages))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: the mapping is readable for `len` bytes while `self` lives, any byte is a
            // `u8`, and only `&mut self` writes.
            Self::Page(pages) => unsafe { slice::from_raw_parts(pages.start.as_ptr(), pages.len) },
            Self::Heap(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            // SAFETY: the mapping is writable for `len` bytes while `self` lives, any byte is a
            // `u8`, and `&mut self` is the only reference.
            Self::Page(pages) => unsafe {
                slice::from_raw_parts_mut(pages.start.as_ptr(), pages.len)
            },
            Self::Heap(bytes) => bytes,
        }
    }
}

impl Secret {
    /// Makes room for `len` bytes, at most 4095, and lets `fill` write them.
    pub(crate) fn new(len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        if len >= PAGE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = Place::new(len.saturating_add(1))?;
        let mut secret = Self { place, len };
        if let Some((alive, rest)) = secret.place.bytes_mut().split_first_mut() {
            *alive = 1;
            fill(rest.get_mut(..len).unwrap_or_default());
        }
        Ok(secret)
    }

    /// The bytes, or nothing in a child of the process that made them.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let (alive, rest) = self.place.bytes().split_first()?;
        if *alive == 1 { rest.get(..self.len) } else { None }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.place.bytes_mut().zeroize();
    }
}

/// The working memory of one Argon2 derivation.
pub(crate) struct Blocks {
    pages: Pages,
    count: usize,
}

impl Blocks {
    /// Maps `count` blocks of 1 KiB, at least one.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let len = count.checked_mul(Block::SIZE).filter(|&len| len > 0);
        let pages = Pages::new(len.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(Self { pages, count })
    }
}

impl AsMut<[Block]> for Blocks {
    fn as_mut(&mut self) -> &mut [Block] {
        let start = self.pages.start.as_ptr().cast::<Block>();
        // SAFETY: the mapping is page-aligned (a block asks for 64 bytes), writable for `count`
        // blocks while `self` lives, a block is 128 `u64` of any value, and `&mut self` is the
        // only reference.
        unsafe { slice::from_raw_parts_mut(start, self.count) }
    }
}

/// What every process that maps the file sees at once.
pub(crate) struct SharedWords {
    start: NonNull<Words>,
}

// SAFETY: the mapping is only used as atomics, which threads may share.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first page of a file that is open for reading and writing and has a page.
    ///
    /// The file must not become shorter: nobody but this crate writes it, and it never does that.
    pub(crate) fn map(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() < u64::try_from(PAGE).unwrap_or(u64::MAX) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: no address is asked for, so the kernel picks a range that nothing else uses.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                PAGE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start })
    }
}

impl Deref for SharedWords {
    type Target = Words;

    fn deref(&self) -> &Words {
        // SAFETY: the mapping lives as long as `self`, is page-aligned, and is used by every
        // process as these atomics only; any value is one of theirs.
        unsafe { self.start.as_ref() }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping; its owner is going, so no reference is left.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_was_written() {
        let secret = Secret::new(4, |bytes| bytes.copy_from_slice(b"abcd")).unwrap();
        assert_eq!(secret.bytes(), Some(b"abcd".as_slice()));
        assert!(Secret::new(PAGE, |_| ()).is_err());
    }

    #[test]
    fn a_secret_on_the_heap_is_one_too() {
        let place = Place::Heap(vec![1, 7, 8].into());
        assert_eq!(Secret { place, len: 2 }.bytes(), Some([7, 8].as_slice()));
    }

    #[test]
    fn a_forked_child_inherits_no_secret() {
        let secret = Secret::new(4, |bytes| bytes.copy_from_slice(b"abcd")).unwrap();
        // SAFETY: the child only reads the secret, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(secret.bytes().is_some());
            // SAFETY: ends the child at once; nothing is used afterwards.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: `status` is a valid place for an `int` until the call returns.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        assert_eq!(secret.bytes(), Some(b"abcd".as_slice()));
    }

    /// The flags of the mapping that this address is in (proc_pid_smaps(5)).
    fn flags(at: usize) -> String {
        let list = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let is_here = |head: &str| {
            let (start, end) = head.split(' ').next()?.split_once('-')?;
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some((address(start)?..address(end)?).contains(&at))
        };
        let mut lines = list.lines().skip_while(|line| is_here(line) != Some(true));
        lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap().to_owned()
    }

    #[test]
    fn the_kernel_knows_what_is_left_out_of_dumps_and_children() {
        let mut secret = Secret::new(4, |bytes| bytes.fill(7)).unwrap();
        let mut blocks = Blocks::new(9).unwrap();
        let plain = vec![0_u8; 1 << 20];
        let places = [
            (secret.place.bytes_mut().as_ptr().addr(), true),
            (blocks.as_mut().as_ptr().addr(), true),
            (plain.as_ptr().addr(), false),
        ];
        for (at, left_out) in places {
            let flags = flags(at);
            for flag in [" dd", " wf"] {
                assert_eq!(flags.contains(flag), left_out, "{flag} among{flags}");
            }
        }
    }

    #[test]
    fn a_word_is_even_and_new_after_commits_that_overlap() {
        let dir = crate::scratch::Scratch::new();
        let path = dir.path().join("word");
        std::fs::write(&path, [0; PAGE]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (one, other) = (SharedWords::map(&file).unwrap(), SharedWords::map(&file).unwrap());
        let first = one.begin();
        let second = other.begin();
        one.end(first);
        assert_eq!(other.at_rest(), None, "the second is under way");
        other.end(second);
        assert_eq!(one.at_rest(), Some(second + 1));
        one.acknowledge(7);
        one.acknowledge(5);
        assert_eq!(other.acknowledged(), 7);
    }

    #[test]
    fn blocks_are_zero_and_writable() {
        let mut blocks = Blocks::new(9).unwrap();
        assert_eq!(blocks.as_mut().len(), 9);
        assert!(blocks.as_mut()[8].as_ref().iter().all(|&word| word == 0));
        assert!(Blocks::new(0).is_err());
    }
}
