//! AES-GCM (SP 800-38D) of a message that is there at once.
//!
//! [`cipher`](crate::cipher) has it in parts; here an operation needs no memory of its own, which
//! is most of the work for a short message.

use core::ptr;

use aws_lc_sys as sys;

use crate::error::{Error, Result, check};
use crate::memory::reserve;
use crate::owned::AeadContext;

/// The length of a whole tag in bytes.
pub const TAG: usize = 16;

/// An AES key, expanded for GCM.
pub struct GcmKey(AeadContext);

// SAFETY: an `EVP_AEAD_CTX` is plain memory that belongs to no thread.
unsafe impl Send for GcmKey {}
// SAFETY: sealing and opening only read it.
unsafe impl Sync for GcmKey {}

impl GcmKey {
    /// Expands a key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key of another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        let getter = match key.len() {
            16 => sys::EVP_aead_aes_128_gcm,
            24 => sys::EVP_aead_aes_192_gcm,
            32 => sys::EVP_aead_aes_256_gcm,
            _ => return Err(Error::Invalid),
        };
        // SAFETY: the `EVP_aead_*` getters take nothing and return a pointer to a static.
        let aead = unsafe { getter() };
        // SAFETY: the key is as long as the AEAD's.
        unsafe { Self::of(aead, key) }
    }

    /// A key of any AEAD that is called in the same way.
    ///
    /// # Safety
    ///
    /// The AEAD is static, has a tag of 16 bytes, and the key is as long as its keys.
    pub(crate) unsafe fn of(aead: *const sys::EVP_AEAD, key: &[u8]) -> Result<Self> {
        // SAFETY: as the caller promises.
        let made = unsafe { sys::EVP_AEAD_CTX_new(aead, key.as_ptr(), key.len(), TAG) };
        // SAFETY: the new context is nobody else's.
        Ok(Self(unsafe { AeadContext::take(made) }?))
    }

    /// Encrypts: appends the ciphertext, and the first `tag_len` bytes of the tag. With room for
    /// both reserved, the vector does not grow.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an empty IV, a tag longer than a tag is, or too much data.
    pub fn seal(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        reserve(out, data.len().saturating_add(TAG))?;
        let (mut tag, mut made) = ([0; TAG], 0);
        let end = out.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: the context is alive; IV, data and aad are readable for their lengths; at the end
        // of `out` there is room for as much as the data; there is room for a tag; no extra input
        // may be null.
        check(unsafe {
            sys::EVP_AEAD_CTX_seal_scatter(
                self.0.as_ptr(),
                end,
                tag.as_mut_ptr(),
                &mut made,
                TAG,
                iv.as_ptr(),
                iv.len(),
                data.as_ptr(),
                data.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        })?;
        let len = out.len().saturating_add(data.len());
        // SAFETY: the ciphertext, as long as the data, has been written there.
        unsafe { out.set_len(len) };
        out.extend_from_slice(tag.get(..tag_len).ok_or(Error::Invalid)?);
        Ok(())
    }

    /// Decrypts, and appends the plaintext if a whole tag verifies. With room for it reserved, the
    /// vector does not grow.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a tag that is another, or shorter, and for an empty IV.
    pub fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        data: &[u8],
        tag: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        reserve(out, data.len())?;
        let end = out.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: the context is alive; IV, data, tag and aad are readable for their lengths; at
        // the end of `out` there is room for as much as the data.
        check(unsafe {
            sys::EVP_AEAD_CTX_open_gather(
                self.0.as_ptr(),
                end,
                iv.as_ptr(),
                iv.len(),
                data.as_ptr(),
                data.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        })?;
        let len = out.len().saturating_add(data.len());
        // SAFETY: the plaintext, as long as the data, has been written there.
        unsafe { out.set_len(len) };
        Ok(())
    }
}
