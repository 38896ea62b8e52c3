//! Section 5.2, producing output: what the caller can take, and what it gets.

use crate::Bytes;

/// What the caller can take of a variable-length output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Nothing: it asks for the length.
    Query,
    /// This many bytes.
    Bytes(usize),
}

impl Room {
    /// Whether an output of `len` bytes fits.
    pub fn fits(self, len: usize) -> bool {
        matches!(self, Self::Bytes(room) if room >= len)
    }
}

/// A variable-length output, or the length that it needs.
///
/// Too little room is not an error inside the house: so the length can not be lost on the way
/// out, and the one routine at the edge decides between a query and `CKR_BUFFER_TOO_SMALL`.
pub enum Output {
    /// The caller asked, or has too little room; the operation is as it was.
    Needs(usize),
    /// The output; the operation has moved on.
    Bytes(Bytes),
}

impl Output {
    /// Its length in bytes, whether or not it is here.
    pub fn needed(&self) -> usize {
        match self {
            Self::Needs(len) => *len,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}
