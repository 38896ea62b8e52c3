//! How the arguments and answers of the functions lie in a frame.
//!
//! One trait, [`Wire`], and one implementation for each type that the table of functions names;
//! `tools/strongroomd/PROTOCOL.md` says the same in words. Reading is strict: there is one form for
//! each value, nothing may be left over, and a length is looked at before anything is reserved for
//! it, so that a value never takes more memory than its frame has bytes, times a small number.

mod read;
mod values;
mod write;

pub use read::Reader;
pub(crate) use write::LONGEST;
pub use write::Writer;

/// What was read is not what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the frame is malformed")
    }
}

impl core::error::Error for Malformed {}

/// Shorthand for what comes of reading.
pub type Taken<T> = core::result::Result<T, Malformed>;

/// A value that lies in a frame.
pub trait Wire<'f>: Sized {
    /// Writes it behind what is there.
    fn put(&self, out: &mut Writer);

    /// Reads it off the front of what is left.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    fn take(from: &mut Reader<'f>) -> Taken<Self>;
}

#[cfg(test)]
mod tests;
