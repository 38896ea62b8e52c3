//! The heap, by a program whose heap it is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "blocks of any alignment")]

use std::alloc::{Layout, alloc, dealloc};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::{io, thread};

use strongroom_heap::{Heap, LARGEST};

#[global_allocator]
static HEAP: Heap = Heap;

/// Whether there are pages for all tests at once.
fn plenty() -> bool {
    HEAP.capacity() >= 64 << 20
}

/// What another process would see.
fn looked_at(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut seen = vec![0; bytes.len()];
    let at = u64::try_from(bytes.as_ptr().addr()).unwrap();
    File::open("/proc/self/mem")?.read_exact_at(&mut seen, at)?;
    Ok(seen)
}

#[test]
fn nobody_else_reads_a_block() {
    let (small, large) = (vec![7_u8; LARGEST], vec![7_u8; LARGEST + 1]);
    assert_eq!(looked_at(&large).unwrap(), large, "no key is as large");
    match HEAP.shortfall() {
        // What the kernel says of such a page.
        None if plenty() => {
            assert_eq!(looked_at(&small).unwrap_err().raw_os_error(), Some(libc::EIO));
        }
        None => {}
        Some(why) => assert_eq!(looked_at(&small).unwrap(), small, "{why}"),
    }
    assert_eq!(HEAP.shortfall().is_none(), HEAP.capacity() > 0);
}

#[test]
fn what_aws_lc_takes_is_on_this_heap() {
    let why = HEAP.shortfall();
    // SAFETY: takes a number.
    let block = unsafe { aws_lc_sys::OPENSSL_malloc(1000) };
    // SAFETY: the block has so many bytes.
    unsafe { block.write_bytes(7, 1000) };
    // SAFETY: as above; and all are written.
    let bytes = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), 1000) };
    assert_eq!(looked_at(bytes).is_err(), plenty(), "{why:?}");
    // SAFETY: the block is given up, and the new one has the bytes of the old one.
    let more = unsafe { aws_lc_sys::OPENSSL_realloc(block, 3000) };
    // SAFETY: the block has so many bytes that are written.
    let bytes = unsafe { std::slice::from_raw_parts(more.cast::<u8>(), 1000) };
    assert_eq!(bytes, [7; 1000]);
    // SAFETY: the block is AWS-LC's, and given up.
    unsafe { aws_lc_sys::OPENSSL_free(more) };
}

#[test]
fn blocks_keep_what_is_written_while_they_grow_and_shrink() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for round in 0..200_usize {
        let byte = u8::try_from(round).unwrap();
        let mut bytes = vec![byte; round * 7 + 1];
        bytes.resize(round * 331 + 1, byte);
        bytes.truncate(round * 100 + 1);
        bytes.shrink_to_fit();
        kept.push(bytes);
    }
    for (round, bytes) in kept.iter().enumerate() {
        assert_eq!(bytes.len(), round * 100 + 1);
        assert!(bytes.iter().all(|byte| usize::from(*byte) == round));
    }
}

#[test]
fn blocks_are_aligned_and_wiped_when_given_back() {
    for power in 0..14 {
        for size in [1, 15, 16, 17, 100, 4096, LARGEST, LARGEST + 1] {
            let layout = Layout::from_size_align(size, 1 << power).unwrap();
            // SAFETY: the layout has at least one byte.
            let block = unsafe { alloc(layout) };
            assert_eq!(block.addr() % layout.align(), 0, "{layout:?}");
            // SAFETY: the block has so many bytes.
            unsafe { block.write_bytes(0xa5, size) };
            // SAFETY: the block and its layout.
            unsafe { dealloc(block, layout) };
        }
    }
    if !plenty() {
        return;
    }
    // A size that no other test takes: the block that was given back last comes first.
    let layout = Layout::from_size_align(24_000, 1).unwrap();
    // SAFETY: the layout has bytes.
    let block = unsafe { alloc(layout) };
    // SAFETY: the block has so many bytes.
    unsafe { block.write_bytes(0xa5, layout.size()) };
    // SAFETY: the block and its layout.
    unsafe { dealloc(block, layout) };
    // SAFETY: the layout has bytes.
    let again = unsafe { alloc(layout) };
    assert_eq!(again, block);
    // SAFETY: the block has so many bytes, and pages that were zero have been written since.
    let bytes = unsafe { std::slice::from_raw_parts(again, layout.size()) };
    assert!(bytes.iter().skip(size_of::<usize>()).all(|byte| *byte == 0));
    // SAFETY: the block and its layout.
    unsafe { dealloc(again, layout) };
}

#[test]
fn threads_give_back_what_others_took() {
    thread::scope(|scope| {
        for seed in 0..8_usize {
            let (give, given) = mpsc::sync_channel::<Vec<usize>>(64);
            scope.spawn(move || {
                for round in 0..5_000 {
                    give.send(vec![seed; (round * 31 + seed) % 900 + 1]).unwrap();
                }
            });
            scope.spawn(move || {
                for numbers in given {
                    assert!(numbers.iter().all(|number| *number == seed));
                }
            });
        }
    });
}

#[test]
fn a_heap_that_is_used_for_long_takes_no_more_pages() {
    // Far more than all pages, by one thread and given back by another.
    for _ in 0..40 {
        let blocks: Vec<_> = (0..1000).map(|_| vec![1_u8; 20_000]).collect();
        thread::spawn(move || drop(blocks)).join().unwrap();
    }
    let last = vec![1_u8; 20_000];
    assert_eq!(looked_at(&last).is_err(), plenty());
}
