//! How much of the caller's memory one argument may have copied.

use core::cell::Cell;

use super::MOST_BYTES;

/// What is left to copy: of all the members of a parameter together, or all the values of a
/// template. Each of them by itself could be as long as this; without a sum, structures that point
/// to each other's memory would have it copied over and over.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// All of it.
    pub(super) fn new() -> Self {
        Self(Cell::new(MOST_BYTES))
    }

    /// Takes so many bytes off, if there are as many.
    pub(super) fn take(&self, len: usize) -> bool {
        let left = self.0.get().checked_sub(len);
        left.inspect(|left| self.0.set(*left)).is_some()
    }
}
