//! AWS-LC's objects lie on the same heap: it takes its memory by these three functions wherever a
//! program has them. It looks for them when the program is linked, so nothing is ever taken elsewhere.

use core::ffi::c_void;
use core::ptr;
use std::alloc::{GlobalAlloc, Layout};

use crate::Heap;

/// Before each block, its length lies in so many bytes, as many as the strictest alignment of C.
const BEFORE: usize = 16;

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.checked_add(BEFORE)?, BEFORE).ok()
}

/// Takes a block.
///
/// # Safety
/// None is needed: it is a function of C.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_alloc(len: usize) -> *mut c_void {
    let Some(layout) = layout(len) else { return ptr::null_mut() };
    // SAFETY: the layout has at least the bytes of the length.
    let start = unsafe { Heap.alloc(layout) };
    if start.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the block is aligned for a length, and has room for it.
    unsafe { start.cast::<usize>().write(len) };
    // SAFETY: the block has so many bytes before the caller's.
    unsafe { start.add(BEFORE) }.cast()
}

/// Wipes a block, and gives it back.
///
/// # Safety
/// The block is null, or from [`OPENSSL_memory_alloc`] and not given back yet.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: as the caller promises.
    let len = unsafe { OPENSSL_memory_get_size(block) };
    // SAFETY: the caller's block has so many bytes before it.
    let start = unsafe { block.cast::<u8>().sub(BEFORE) };
    if let Some(layout) = layout(len) {
        // SAFETY: the block was taken with this layout.
        unsafe { Heap.dealloc(start, layout) };
    }
}

/// How long a block is.
///
/// # Safety
/// The block is from [`OPENSSL_memory_alloc`] and not given back yet.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_get_size(block: *mut c_void) -> usize {
    // SAFETY: the caller's block has so many bytes before it.
    let start = unsafe { block.cast::<u8>().sub(BEFORE) };
    // SAFETY: the length was written there when the block was taken.
    unsafe { start.cast::<usize>().read() }
}

/// A program that has the heap has these, too: a linker leaves out what nobody asks for by name.
pub(crate) fn keep() {
    let alloc: unsafe extern "C" fn(usize) -> *mut c_void = OPENSSL_memory_alloc;
    let free: unsafe extern "C" fn(*mut c_void) = OPENSSL_memory_free;
    let size: unsafe extern "C" fn(*mut c_void) -> usize = OPENSSL_memory_get_size;
    core::hint::black_box((alloc, free, size));
}
