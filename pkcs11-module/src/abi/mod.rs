//! The C ABI: the only room that may say `unsafe`.
//!
//! A pointer argument arrives as [`InPtr`] or [`OutPtr`]. Only the generated C functions make them,
//! so holding one proves that it came from a C caller; the standard obliges that caller to keep
//! the memory valid until the function returns, which is the lifetime `'call`. The types carry the
//! promise, so the functions themselves are safe code.
//!
//! Nothing here trusts a pointer to be aligned, a length to be sane or two buffers to be apart:
//! values are read and written unaligned, lengths are checked before they are used, and output is
//! written only after everything borrowed from the caller is gone.

mod brief;
mod budget;
mod exit;
mod fork;
mod info;
mod initialize;
mod interface;
mod mechanism;
mod oaep;
mod output;
mod pointer;
mod query;
mod replaceable;
mod template;
mod turnstile;
#[macro_use]
mod function;

pub(crate) use brief::brief;
pub(crate) use exit::watch_exit;
pub(crate) use fork::{Quiet, at_work, children_inherit, watch_forks};
pub(crate) use function::{guard, guard_late, guard_start};
pub(crate) use info::{CStructure, numbers};
pub(crate) use interface::Interface;
pub(crate) use mechanism::Places;
pub(crate) use output::{OutBuf, OutList};
pub(crate) use pointer::{Argument, InPtr, OutPtr};
pub(crate) use query::Query;
pub(crate) use replaceable::Replaceable;

use strongroom_types::{Error, Result};

/// `CK_ULONG`, and with it `CK_RV`, `CK_FLAGS` and every handle.
pub(crate) type CkUlong = cryptoki_sys::CK_ULONG;

/// `CK_UNAVAILABLE_INFORMATION`: the header writes `(~0UL)`, which its bindings leave out.
pub(crate) const UNAVAILABLE: CkUlong = CkUlong::MAX;

/// The most bytes that the edge copies for one argument: all values of a template, or all members of a
/// parameter.
///
/// Larger lengths are not data but mistakes, such as `CK_UNAVAILABLE_INFORMATION` handed back.
const MOST_BYTES: usize = 64 << 20;

/// The most attributes of one template. The standard has some 150, and each is named once.
const MOST_ATTRIBUTES: usize = 4096;

/// A number of C's as one of ours.
#[allow(clippy::useless_conversion, reason = "CK_ULONG is 32 or 64 bits wide")]
pub(crate) fn wide(number: CkUlong) -> u64 {
    number.into()
}

/// A number of ours as one of C's.
#[allow(clippy::useless_conversion, reason = "CK_ULONG is 32 or 64 bits wide")]
pub(crate) fn narrow(number: u64) -> Result<CkUlong> {
    CkUlong::try_from(number).map_err(|_| Error::GeneralError)
}

/// A length of ours as one of C's.
pub(crate) fn length(len: usize) -> Result<CkUlong> {
    CkUlong::try_from(len).map_err(|_| Error::GeneralError)
}
