//! The pages: one mapping, made when the first block is wanted, and taken from its beginning on.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};

/// How many bytes are asked for. Pages that nobody uses cost nothing, but all count as locked memory;
/// of the usual limit of 8 MiB the half is left to others.
const LENGTHS: [usize; 5] = [512 << 20, 64 << 20, 16 << 20, 4 << 20, 1 << 20];

pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
    taken: AtomicUsize,
}

// SAFETY: the mapping lives as long as the process; each byte of it is handed out once.
unsafe impl Send for Pages {}
// SAFETY: as above; what is handed out is counted by an atomic.
unsafe impl Sync for Pages {}

/// The pages of this process, or why there are none.
pub(crate) fn pages() -> &'static Result<Pages, Errno> {
    static PAGES: OnceLock<Result<Pages, Errno>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let mut outcome = Err(Errno::AGAIN);
        for len in LENGTHS {
            outcome = Pages::map(len);
            // Another error will not be another for less.
            if !matches!(outcome, Err(Errno::AGAIN)) {
                break;
            }
        }
        outcome
    })
}

impl Pages {
    fn map(len: usize) -> Result<Self, Errno> {
        let file = secret_memory()?;
        let size = u64::try_from(len).map_err(|_| Errno::INVAL)?;
        rustix::fs::ftruncate(file.as_fd(), size)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so the kernel picks a range that nothing else uses.
        let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, &file, 0) }?;
        // SAFETY: the range is the mapping just made, and the advice changes none of its bytes.
        unsafe { madvise(start, len, Advice::LinuxDontFork) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, len, taken: AtomicUsize::new(0) })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn have(&self, block: NonNull<u8>) -> bool {
        let offset = block.addr().get().wrapping_sub(self.start.addr().get());
        offset < self.len
    }

    /// So many bytes, a multiple of a page, that nobody had before.
    pub(crate) fn take(&self, len: usize) -> Option<NonNull<u8>> {
        let more = |taken: usize| taken.checked_add(len).filter(|taken| *taken <= self.len);
        let offset = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        // SAFETY: the offset and so many bytes behind it are within the mapping.
        Some(unsafe { self.start.add(offset) })
    }
}

/// A file of secret memory; nothing wraps the call.
fn secret_memory() -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes a number and touches no memory.
    let file = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    match i32::try_from(file) {
        // SAFETY: the call just made this descriptor, and nobody else has it.
        Ok(file) if file >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(file) }),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}
