//! PBKDF2 (RFC 8018, SP 800-132).

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::digest::Algorithm;
use crate::error::{Error, Result, check};

/// The first `len` bytes that PBKDF2 makes of a password, with HMAC of this hash function.
///
/// # Errors
///
/// [`Error::Invalid`] for no iterations, and for more bytes than there are.
pub fn derive(
    algorithm: &Algorithm,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    len: usize,
) -> Result<Zeroizing<Vec<u8>>> {
    if iterations == 0 {
        return Err(Error::Invalid);
    }
    let mut out = Zeroizing::new(vec![0; len]);
    // SAFETY: password and salt are readable for their lengths, `md` is a valid `EVP_MD`, and `out`
    // writable for its length.
    check(unsafe {
        sys::PKCS5_PBKDF2_HMAC(
            password.as_ptr().cast(),
            password.len(),
            salt.as_ptr(),
            salt.len(),
            iterations,
            algorithm.md(),
            len,
            out.as_mut_ptr(),
        )
    })?;
    Ok(out)
}
