//! Big numbers, as they go in and out: unsigned, big-endian.

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check};
use crate::owned::Number;

impl Number {
    /// The number that these bytes write.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // SAFETY: the bytes are readable for their length; a null third argument asks for a new
        // number.
        let made = unsafe { sys::BN_bin2bn(bytes.as_ptr(), bytes.len(), core::ptr::null_mut()) };
        // SAFETY: the new number is nobody else's.
        unsafe { Self::take(made) }
    }
}

/// The shortest bytes that write a number; `None` for a null pointer, which is AWS-LC's way to say
/// that a key lacks the component.
///
/// # Safety
///
/// The number, if any, stays alive and unchanged during the call.
pub(crate) unsafe fn bytes(number: *const sys::BIGNUM) -> Option<Zeroizing<Vec<u8>>> {
    if number.is_null() {
        return None;
    }
    // SAFETY: not null, and alive as the caller promises.
    let len = unsafe { sys::BN_num_bytes(number) };
    let mut out = Zeroizing::new(vec![0; usize::try_from(len).ok()?]);
    // SAFETY: alive as the caller promises; the bytes are as many as the number needs.
    unsafe { sys::BN_bn2bin(number, out.as_mut_ptr()) };
    Some(out)
}

/// Writes a number into bytes of a fixed length, padded with leading zeros.
///
/// # Safety
///
/// The number stays alive and unchanged during the call.
pub(crate) unsafe fn write(number: *const sys::BIGNUM, out: &mut [u8]) -> Result<()> {
    if number.is_null() {
        return Err(Error::Invalid);
    }
    // SAFETY: not null, and alive as the caller promises; `out` is writable for its length.
    check(unsafe { sys::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), number) })
}
