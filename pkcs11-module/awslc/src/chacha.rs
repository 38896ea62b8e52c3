//! ChaCha20 and ChaCha20-Poly1305 (RFC 8439).

use aws_lc_sys as sys;

use crate::error::{Error, Result};
use crate::gcm::{GcmKey, TAG};

/// The length of a key in bytes.
pub const KEY: usize = 32;

/// The length of a block of the key stream in bytes.
pub const BLOCK: usize = 64;

/// Encrypts or decrypts in place, with the key stream from this block on.
///
/// # Errors
///
/// [`Error::Invalid`] for more data than there are blocks before the counter wraps.
pub fn chacha20(key: &[u8; KEY], counter: u32, nonce: &[u8; 12], data: &mut [u8]) -> Result<()> {
    let left = u64::from(u32::MAX - counter) + 1;
    let wanted = u64::try_from(data.len().div_ceil(BLOCK)).map_err(|_| Error::Invalid)?;
    if wanted > left {
        return Err(Error::Invalid);
    }
    let (out, len) = (data.as_mut_ptr(), data.len());
    // SAFETY: key and nonce have their lengths; input and output are the same bytes, which the
    // function allows.
    unsafe { sys::CRYPTO_chacha_20(out, out, len, key.as_ptr(), nonce.as_ptr(), counter) };
    Ok(())
}

/// A key of ChaCha20-Poly1305, for nonces of one length.
pub struct ChaChaKey(GcmKey);

impl ChaChaKey {
    /// A key of 32 bytes, for nonces of 12 bytes, or of 24 (XChaCha20-Poly1305).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for other lengths.
    pub fn new(key: &[u8; KEY], nonce_len: usize) -> Result<Self> {
        let getter = match nonce_len {
            12 => sys::EVP_aead_chacha20_poly1305,
            24 => sys::EVP_aead_xchacha20_poly1305,
            _ => return Err(Error::Invalid),
        };
        // SAFETY: the `EVP_aead_*` getters take nothing and return a pointer to a static.
        let aead = unsafe { getter() };
        // SAFETY: both have keys of this length.
        Ok(Self(unsafe { GcmKey::of(aead, key) }?))
    }

    /// Encrypts: appends the ciphertext and the tag.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a nonce of another length, or too much data.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.0.seal(nonce, aad, data, TAG, out)
    }

    /// Decrypts, and appends the plaintext if the tag verifies.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it does not, or for a nonce of another length.
    pub fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.0.open(nonce, aad, data, tag, out)
    }
}
