//! The heap of a process that keeps keys: its blocks lie on pages that belong to nobody else, not even
//! to the kernel (`memfd_secret`, since Linux 5.14). No debugger, no `/proc/PID/mem`, no core dump and
//! no image of a hibernating machine has them; root can not read them either, short of changing what the
//! process runs. They are never swapped out. A block is wiped when it is given back.
//!
//! Not every block: one larger than [`LARGEST`] is no key, and comes from the system's heap. So does
//! every block where the machine has no such pages, or no more of them; [`Heap::shortfall`] says so. And
//! every block after [`Heap::relax`].
//!
//! Pages go to blocks of one size, and stay with that size. Each size has a few lists of free blocks,
//! so that threads seldom wait for each other; a thread whose list is empty takes from the others'
//! before it takes a page. Nothing is allocated in here, and no lock is held while another is waited
//! for.

#![allow(unsafe_code, reason = "an allocator hands out memory by its address")]

mod awslc;
mod pages;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pages::{Pages, pages};

/// The heap. It is one for the process: `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

/// The largest block, in bytes, that lies on such pages.
pub const LARGEST: usize = 32 << 10;

/// The sizes of blocks: the powers of two, and their middles.
const SIZES: [usize; 22] = [
    16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
    12288, 16384, 24576, LARGEST,
];

/// What pages are a multiple of, and the strictest alignment that blocks have.
const PAGE: usize = 4096;

/// As many as threads that do not wait for each other.
const LISTS: usize = 4;

/// Whether blocks that are taken from now on are the system's.
static RELAXED: AtomicBool = AtomicBool::new(false);

impl Heap {
    /// Takes no block from such pages any more: somebody wants the memory to be readable. Those that
    /// are taken already stay where they are.
    pub fn relax(self) {
        RELAXED.store(true, Ordering::Relaxed);
    }

    /// What keeps the heap from such pages, if something does.
    #[must_use]
    pub fn shortfall(self) -> Option<String> {
        awslc::keep();
        pages().as_ref().err().map(|error| match *error {
            rustix::io::Errno::NOSYS => {
                "the kernel has no memfd_secret, or secretmem.enable=0".into()
            }
            rustix::io::Errno::AGAIN => "the limit of locked memory is too low".into(),
            error => error.to_string(),
        })
    }

    /// How many bytes of such pages there are.
    #[must_use]
    pub fn capacity(self) -> usize {
        pages().as_ref().map_or(0, Pages::len)
    }
}

// SAFETY: a block is on no list while it is somebody's, and blocks of a page do not overlap; what is
// not from these pages is the system's.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the caller's layout.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            Some(block) => {
                // SAFETY: the block is ours, and has that many bytes.
                unsafe { block.write_bytes(0, layout.size()) };
                block.as_ptr()
            }
            // SAFETY: the caller's layout.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match (NonNull::new(block).filter(|block| is_ours(*block)), size_of(layout)) {
            (Some(block), Some(size)) => {
                // SAFETY: the caller gives the block back, which was taken with this layout.
                unsafe { wipe(block, layout) };
                give_back(block, size);
            }
            (_, size) => {
                // What is large is no key; what is not, lies here for want of pages.
                if let (Some(block), Some(_)) = (NonNull::new(block), size) {
                    // SAFETY: as above.
                    unsafe { wipe(block, layout) };
                }
                // SAFETY: not from these pages, so from the system, with this layout.
                unsafe { System.dealloc(block, layout) }
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return ptr::null_mut();
        };
        let ours = NonNull::new(block).is_some_and(is_ours);
        if ours && size >= layout.size() && size_of(wanted) == size_of(layout) {
            return block;
        }
        if !ours && size_of(layout).is_none() && size_of(wanted).is_none() {
            // SAFETY: the caller's block, which is the system's, and stays it.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: a layout of at least one byte, as the caller promises.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have so many bytes, and the new block is nobody else's.
            unsafe { ptr::copy_nonoverlapping(block, moved, size.min(layout.size())) };
            // SAFETY: the caller's block, with its layout.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// The free blocks of one size.
struct Free {
    /// The first; each begins with the address of the next.
    first: Option<NonNull<Link>>,
    /// What is left of the last pages that were taken.
    fresh: Option<NonNull<u8>>,
    /// How many bytes of them.
    left: usize,
}

/// What a free block begins with.
struct Link {
    next: Option<NonNull<Link>>,
}

// SAFETY: what it points to belongs to the list alone.
unsafe impl Send for Free {}

type Lists = [Mutex<Free>; SIZES.len()];

static FREE: [Lists; LISTS] =
    [const { [const { Mutex::new(Free { first: None, fresh: None, left: 0 }) }; SIZES.len()] };
        LISTS];

/// Which of the sizes a layout needs. Nothing: it is not for these pages.
fn size_of(layout: Layout) -> Option<usize> {
    if layout.align() > PAGE {
        return None;
    }
    // A block whose size is a power of two is aligned to it, as far as pages are.
    let bytes = match layout.align() > 16 {
        true => layout.size().max(layout.align()).checked_next_power_of_two()?,
        false => layout.size(),
    };
    let size = SIZES.partition_point(|size| *size < bytes);
    (size < SIZES.len()).then_some(size)
}

fn take(layout: Layout) -> Option<NonNull<u8>> {
    if RELAXED.load(Ordering::Relaxed) {
        return None;
    }
    let size = size_of(layout)?;
    let bytes = *SIZES.get(size)?;
    let pages = pages().as_ref().ok()?;
    let own = own_list();
    let lists = || (0..LISTS).filter_map(|other| FREE.get((own + other) % LISTS)?.get(size));
    if let Some(block) = lists().find_map(|list| lock(list).pop(bytes)) {
        return Some(block);
    }
    let len = (2 * bytes).next_multiple_of(PAGE);
    let fresh = pages.take(len)?;
    let mut list = lock(lists().next()?);
    // What is left of the pages before these is less than a block, or another thread's doing.
    list.fresh = Some(fresh);
    list.left = len;
    list.pop(bytes)
}

fn give_back(block: NonNull<u8>, size: usize) {
    if let Some(list) = FREE.get(own_list()).and_then(|lists| lists.get(size)) {
        lock(list).push(block.cast());
    }
}

impl Free {
    fn pop(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        if let Some(first) = self.first {
            // SAFETY: a block on the list begins with a link, and is nobody's.
            self.first = unsafe { first.read() }.next;
            return Some(first.cast());
        }
        let block = self.fresh.filter(|_| self.left >= bytes)?;
        self.left -= bytes;
        // SAFETY: at least so many bytes of the pages are left, so this is within them or their end.
        self.fresh = Some(unsafe { block.add(bytes) });
        Some(block)
    }

    fn push(&mut self, block: NonNull<Link>) {
        // SAFETY: a block that is given back is nobody's, has room for a link and its alignment.
        unsafe { block.write(Link { next: self.first }) };
        self.first = Some(block);
    }
}

/// Wipes a block.
///
/// # Safety
/// The block has this layout, and nobody uses it.
unsafe fn wipe(block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe { block.write_bytes(0, layout.size()) };
    // SAFETY: nothing but a sign to the compiler that these bytes may be read.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) block.as_ptr(), options(nostack, preserves_flags))
    };
}

fn is_ours(block: NonNull<u8>) -> bool {
    pages().as_ref().is_ok_and(|pages| pages.have(block))
}

/// The list of this thread.
fn own_list() -> usize {
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let next = || THREADS.fetch_add(1, Ordering::Relaxed) % LISTS;
    // A cell without a destructor is there until the thread has ended.
    OWN.with(|own| {
        let list = own.get().unwrap_or_else(next);
        own.set(Some(list));
        list
    })
}

fn lock(list: &Mutex<Free>) -> MutexGuard<'_, Free> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
