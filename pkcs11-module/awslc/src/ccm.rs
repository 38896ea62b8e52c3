//! AES-CCM (SP 800-38C) of a message that is there at once.

use core::ffi::c_int;
use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check};
use crate::memory::zeros;
use crate::owned::CipherContext;

/// What a message is sealed with: the key, the nonce, and data that is authenticated only.
pub struct Ccm<'a> {
    /// 16, 24 or 32 bytes.
    pub key: &'a [u8],
    /// 7 to 13 bytes.
    pub nonce: &'a [u8],
    /// Any data.
    pub aad: &'a [u8],
}

/// Which way, and the tag: how long it shall be, or what it must be.
enum Tag<'a> {
    Make(usize),
    Expect(&'a [u8]),
}

impl Ccm<'_> {
    /// The ciphertext, and the tag of `tag_len` bytes: an even number from 4 to 16.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for lengths that CCM does not have, and for more data than the nonce
    /// leaves room to count.
    pub fn seal(&self, data: &[u8], tag_len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let ctx = self.start(data.len(), &Tag::Make(tag_len))?;
        let mut out = zeros(data.len().saturating_add(tag_len))?;
        let (body, tag) = out.split_at_mut(data.len());
        run(&ctx, data, body)?;
        control(&ctx, sys::EVP_CTRL_AEAD_GET_TAG, tag)?;
        Ok(out)
    }

    /// The plaintext, if the tag verifies.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it does not, and as [`seal`](Self::seal).
    pub fn open(&self, data: &[u8], tag: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let ctx = self.start(data.len(), &Tag::Expect(tag))?;
        let mut out = zeros(data.len())?;
        run(&ctx, data, &mut out)?;
        Ok(out)
    }

    /// A context that knows everything but the data.
    fn start(&self, data_len: usize, tag: &Tag<'_>) -> Result<CipherContext> {
        let getter = match self.key.len() {
            16 => sys::EVP_aes_128_ccm,
            24 => sys::EVP_aes_192_ccm,
            32 => sys::EVP_aes_256_ccm,
            _ => return Err(Error::Invalid),
        };
        // SAFETY: the `EVP_aes_*` getters take nothing and return a pointer to a static.
        let cipher = unsafe { getter() };
        // SAFETY: it takes nothing.
        let made = unsafe { sys::EVP_CIPHER_CTX_new() };
        // SAFETY: the new context is nobody else's.
        let ctx = unsafe { CipherContext::take(made) }?;
        let (raw, none, null) = (ctx.as_ptr(), ptr::null_mut(), ptr::null());
        let way = match tag {
            Tag::Make(_) => 1,
            Tag::Expect(_) => 0,
        };
        // SAFETY: context and cipher are alive; engine, key and IV may be null.
        check(unsafe { sys::EVP_CipherInit_ex(raw, cipher, none, null, null, way) })?;
        let nonce_len = int(self.nonce.len())?;
        let set = sys::EVP_CTRL_AEAD_SET_IVLEN;
        // SAFETY: the command wants the length alone.
        check(unsafe { sys::EVP_CIPHER_CTX_ctrl(raw, set, nonce_len, none.cast()) })?;
        let (tag_len, at) = match tag {
            Tag::Make(len) => (int(*len)?, ptr::null_mut()),
            Tag::Expect(tag) => (int(tag.len())?, tag.as_ptr().cast_mut().cast()),
        };
        let set = sys::EVP_CTRL_AEAD_SET_TAG;
        // SAFETY: the command only reads the tag, all of it, or wants the length alone.
        check(unsafe { sys::EVP_CIPHER_CTX_ctrl(raw, set, tag_len, at) })?;
        let (key, nonce) = (self.key.as_ptr(), self.nonce.as_ptr());
        // SAFETY: the key is as long as the cipher's, the nonce as long as it has been told.
        check(unsafe { sys::EVP_CipherInit_ex(raw, null.cast(), none, key, nonce, way) })?;
        let (mut done, len) = (0, int(data_len)?);
        let nowhere = ptr::null_mut();
        // SAFETY: without input and output this tells the length of the message.
        check(unsafe { sys::EVP_CipherUpdate(raw, nowhere, &mut done, ptr::null(), len) })?;
        if !self.aad.is_empty() {
            let (aad, len) = (self.aad.as_ptr(), int(self.aad.len())?);
            // SAFETY: without output this authenticates data that is readable for its length.
            check(unsafe { sys::EVP_CipherUpdate(raw, nowhere, &mut done, aad, len) })?;
        }
        Ok(ctx)
    }
}

/// All of the data; `out` has the same length.
fn run(ctx: &CipherContext, data: &[u8], out: &mut [u8]) -> Result<()> {
    // An empty vector has an address that is not null, which the call wants.
    let (mut done, len) = (0, int(data.len())?);
    let (from, to) = (data.as_ptr(), out.as_mut_ptr());
    // SAFETY: the context is ready; data and output have the same length.
    check(unsafe { sys::EVP_CipherUpdate(ctx.as_ptr(), to, &mut done, from, len) })
}

fn control(ctx: &CipherContext, command: c_int, out: &mut [u8]) -> Result<()> {
    let (len, at) = (int(out.len())?, out.as_mut_ptr().cast());
    // SAFETY: the command writes as many bytes as it is told, and there is room for them.
    check(unsafe { sys::EVP_CIPHER_CTX_ctrl(ctx.as_ptr(), command, len, at) })
}

fn int(len: usize) -> Result<c_int> {
    c_int::try_from(len).map_err(|_| Error::Invalid)
}
