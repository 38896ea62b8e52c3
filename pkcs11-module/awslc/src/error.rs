//! What can go wrong here.

use core::ffi::c_int;

use aws_lc_sys as sys;

/// A failure of AWS-LC, without detail: what it knows beyond this helps only an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The input is not acceptable, or does not authenticate.
    Invalid,
    /// There is no memory left.
    Memory,
}

/// Shorthand of this crate.
pub type Result<T> = core::result::Result<T, Error>;

/// Reads the answer of a function that returns 1 for success.
pub(crate) fn check(answer: c_int) -> Result<()> {
    if answer == 1 { Ok(()) } else { Err(failed()) }
}

/// What the failure was that a function has just reported. Empties the thread's queue of errors,
/// so that the next failure is not taken for this one.
#[cold]
pub(crate) fn failed() -> Error {
    // SAFETY: reads the calling thread's own queue, which may be empty.
    let last = unsafe { sys::ERR_peek_last_error() };
    // SAFETY: empties the calling thread's own queue.
    unsafe { sys::ERR_clear_error() };
    // ERR_GET_REASON of the header: the bindings name it, the library has no symbol for it.
    match c_int::try_from(last & 0xfff) {
        Ok(sys::ERR_R_MALLOC_FAILURE) => Error::Memory,
        _ => Error::Invalid,
    }
}
