//! Reading.

use core::cell::OnceCell;

use super::{Malformed, Taken};

/// How deep values may lie in values: a template in a template in a parameter in a structure is
/// four. Nothing that the C interface takes is deeper.
const DEEPEST: u8 = 8;

/// What is left of a frame.
pub struct Reader<'f> {
    rest: &'f [u8],
    /// Where the numbers of the one list lie that a call can have by reference.
    list: &'f OnceCell<Vec<u64>>,
    depth: u8,
}

impl<'f> Reader<'f> {
    /// Reads a frame, with a place for a list of numbers.
    pub fn new(frame: &'f [u8], list: &'f OnceCell<Vec<u64>>) -> Self {
        Self { rest: frame, list, depth: 0 }
    }

    /// This many bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are not as many.
    pub fn bytes(&mut self, len: usize) -> Taken<&'f [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Exactly as many bytes as the array has.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are not as many.
    pub fn array<const N: usize>(&mut self) -> Taken<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there is none.
    pub fn byte(&mut self) -> Taken<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A number of things that follow, each of which has `least` bytes or more: so a number that can
    /// not be true is refused before anything is reserved for it.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn count(&mut self, least: usize) -> Taken<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| Malformed)?;
        let fits = count.checked_mul(least).is_some_and(|all| all <= self.rest.len());
        if fits { Ok(count) } else { Err(Malformed) }
    }

    /// Reads what lies one step deeper.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if that is too deep, or `read` says so.
    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Taken<T>) -> Taken<T> {
        if self.depth == DEEPEST {
            return Err(Malformed);
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        outcome
    }

    /// Keeps a list for as long as the frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for a second one.
    pub(super) fn keep(&self, list: Vec<u64>) -> Taken<&'f [u64]> {
        self.list.set(list).map_err(|_| Malformed)?;
        self.list.get().map(Vec::as_slice).ok_or(Malformed)
    }

    /// All that is left.
    pub fn rest(&self) -> &'f [u8] {
        self.rest
    }

    /// There must be nothing left.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there is.
    pub fn end(&self) -> Taken<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
