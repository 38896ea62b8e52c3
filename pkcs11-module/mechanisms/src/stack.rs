//! The stack under what does not wipe it itself: crates that compute on it, and move what they have.

use core::hint::black_box;

use zeroize::Zeroize;

/// How far down the stack is wiped. The black-box tests of memory look for what is further down.
const DEPTH: usize = 24 * 1024;
/// The same where signatures of 50 kB are made on it.
const DEEP: usize = 300 * 1024;

const WORD: usize = size_of::<u64>();

/// Computes, and wipes the stack that was computed on. What comes of it keeps its secrets on the heap, for it
/// is moved out of here itself.
pub(crate) fn wiped<T>(compute: impl FnOnce() -> T) -> T {
    let made = below(compute);
    wipe::<{ DEPTH / WORD }>();
    made
}

/// The same for what computes on much of it.
pub(crate) fn deeply_wiped<T>(compute: impl FnOnce() -> T) -> T {
    let made = below(compute);
    wipe::<{ DEEP / WORD }>();
    made
}

/// In a frame of its own, which lies where that of [`wipe`] does.
#[inline(never)]
fn below<T>(compute: impl FnOnce() -> T) -> T {
    compute()
}

#[inline(never)]
fn wipe<const WORDS: usize>() {
    let mut stack = [0_u64; WORDS];
    // By writes that no compiler leaves out.
    stack.zeroize();
    black_box(&stack);
}
