//! HMAC (RFC 2104, FIPS 198-1) and CMAC of AES and 3DES (RFC 4493, SP 800-38B).
//!
//! A key has done the work that does not depend on the message; a MAC starts as a copy of it.

use core::mem::MaybeUninit;
use core::{ptr, slice};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::cipher::{BLOCK, DES_BLOCK, Mode};
use crate::digest::Algorithm;
use crate::error::{Error, Result, check};
use crate::owned::{CmacContext, HmacContext};

/// A key of HMAC with one hash function.
pub struct HmacKey {
    ctx: HmacContext,
    algorithm: &'static Algorithm,
}

// SAFETY: an `HMAC_CTX` is plain memory that belongs to no thread.
unsafe impl Send for HmacKey {}
// SAFETY: once it has its key it is only copied from, which reads it.
unsafe impl Sync for HmacKey {}

impl HmacKey {
    /// A key of any length.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn new(algorithm: &'static Algorithm, key: &[u8]) -> Result<Self> {
        let ctx = empty_hmac()?;
        let (raw, bytes, none) = (ctx.as_ptr(), key.as_ptr().cast(), ptr::null_mut());
        // SAFETY: the context is alive, the key readable for its length, `md` a valid `EVP_MD`,
        // and the engine must be null.
        check(unsafe { sys::HMAC_Init_ex(raw, bytes, key.len(), algorithm.md(), none) })?;
        Ok(Self { ctx, algorithm })
    }

    /// Starts a MAC.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn start(&self) -> Result<Hmac> {
        let ctx = empty_hmac()?;
        // SAFETY: both contexts are alive, and this one is only read.
        check(unsafe { sys::HMAC_CTX_copy_ex(ctx.as_ptr(), self.ctx.as_ptr()) })?;
        Ok(Hmac { ctx, algorithm: self.algorithm })
    }

    /// The MAC of a message whose parts are all there. The context is on the stack: it is larger than
    /// all that a `malloc` keeps at hand, and to get it there takes as long as the MAC of a short
    /// message.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if AWS-LC refuses.
    pub fn mac(&self, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
        let mut ctx = OnStack(MaybeUninit::uninit());
        let raw = ctx.0.as_mut_ptr();
        // SAFETY: both contexts are alive, and this one is only read.
        check(unsafe { sys::HMAC_CTX_copy_ex(raw, self.ctx.as_ptr()) })?;
        for part in parts {
            // SAFETY: the context is alive and has its key; the part is readable for its length.
            check(unsafe { sys::HMAC_Update(raw, part.as_ptr(), part.len()) })?;
        }
        let mut out = Zeroizing::new(vec![0; self.algorithm.output_len()]);
        // SAFETY: as above; `out` has room for a digest; the length may be null.
        check(unsafe { sys::HMAC_Final(raw, out.as_mut_ptr(), ptr::null_mut()) })?;
        Ok(out)
    }
}

/// A context that is wiped where it lies.
struct OnStack(MaybeUninit<sys::HMAC_CTX>);

impl Drop for OnStack {
    fn drop(&mut self) {
        // SAFETY: it overwrites the context as a whole, whatever is there.
        unsafe { sys::HMAC_CTX_cleanup(self.0.as_mut_ptr()) };
    }
}

fn empty_hmac() -> Result<HmacContext> {
    // SAFETY: it takes nothing.
    let made = unsafe { sys::HMAC_CTX_new() };
    // SAFETY: the new context is nobody else's.
    unsafe { HmacContext::take(made) }
}

/// An HMAC under way.
pub struct Hmac {
    ctx: HmacContext,
    algorithm: &'static Algorithm,
}

// SAFETY: an `HMAC_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Hmac {}

impl Hmac {
    /// Adds a part of the message.
    ///
    /// # Errors
    ///
    /// None of AWS-LC's own; the type says that an answer is not thrown away.
    pub fn update(&mut self, part: &[u8]) -> Result<()> {
        // SAFETY: the context is alive and has its key; the part is readable for its length.
        check(unsafe { sys::HMAC_Update(self.ctx.as_ptr(), part.as_ptr(), part.len()) })
    }

    /// The MAC, as long as the digest.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn finish(self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.algorithm.output_len()]);
        // SAFETY: the context is alive and has its key; `out` has room for a digest; the length
        // may be null.
        check(unsafe { sys::HMAC_Final(self.ctx.as_ptr(), out.as_mut_ptr(), ptr::null_mut()) })?;
        Ok(out)
    }

    /// What has been computed so far, for [`resume`](Self::resume): the digest under way, which
    /// tells of the key; nothing where AWS-LC does not say what that is.
    pub fn state(&self) -> Option<Zeroizing<Vec<u8>>> {
        let shape = self.algorithm.shape()?;
        let at = self.inner();
        // SAFETY: the structure of this algorithm is there, which is so long, and the function that
        // gave the context its key wrote all of it.
        Some(Zeroizing::new(unsafe { slice::from_raw_parts(at, shape.len) }.to_vec()))
    }

    /// Goes on from a [`state`](Self::state) of the same key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is none of this algorithm.
    pub fn resume(&mut self, state: &[u8]) -> Result<()> {
        let shape = self.algorithm.shape().ok_or(Error::Invalid)?;
        if !shape.fits(self.algorithm, state) {
            return Err(Error::Invalid);
        }
        // The context is told that the message has begun.
        self.update(&[])?;
        let at = self.inner();
        // SAFETY: the structure of this algorithm is there, as long as the state, and any numbers
        // are one, as long as no more bytes are waiting than a block has, which was checked.
        unsafe { at.copy_from_nonoverlapping(state.as_ptr(), state.len()) };
        Ok(())
    }

    /// The digest under way of the message.
    fn inner(&self) -> *mut u8 {
        // SAFETY: the context is alive, and the header shows this member; nothing is read.
        unsafe { &raw mut (*self.ctx.as_ptr()).md_ctx }.cast()
    }
}

/// A key of CMAC.
pub struct CmacKey {
    ctx: CmacContext,
    block: usize,
}

// SAFETY: a `CMAC_CTX` is plain memory that belongs to no thread.
unsafe impl Send for CmacKey {}
// SAFETY: once it has its key it is only copied from, which reads it.
unsafe impl Sync for CmacKey {}

impl CmacKey {
    /// An AES key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error) for a key of another length.
    pub fn new(key: &[u8]) -> Result<Self> {
        Self::with(Mode::Cbc.cipher(key.len())?, BLOCK, key)
    }

    /// A key of 3DES: 24 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error) for a key of another length.
    pub fn des3(key: &[u8]) -> Result<Self> {
        if key.len() != 24 {
            return Err(Error::Invalid);
        }
        Self::with(Mode::Cbc.des(key.len())?, DES_BLOCK, key)
    }

    /// The cipher is static, and the key has its length.
    fn with(cipher: *const sys::EVP_CIPHER, block: usize, key: &[u8]) -> Result<Self> {
        let ctx = empty_cmac()?;
        let (raw, bytes, none) = (ctx.as_ptr(), key.as_ptr().cast(), ptr::null_mut());
        // SAFETY: the context is alive, the key readable for its length, which is the cipher's,
        // and the engine may be null.
        check(unsafe { sys::CMAC_Init(raw, bytes, key.len(), cipher, none) })?;
        Ok(Self { ctx, block })
    }

    /// Starts a MAC.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn start(&self) -> Result<Cmac> {
        let ctx = empty_cmac()?;
        // SAFETY: both contexts are alive, and this one is only read.
        check(unsafe { sys::CMAC_CTX_copy(ctx.as_ptr(), self.ctx.as_ptr()) })?;
        Ok(Cmac { ctx, block: self.block })
    }
}

fn empty_cmac() -> Result<CmacContext> {
    // SAFETY: it takes nothing.
    let made = unsafe { sys::CMAC_CTX_new() };
    // SAFETY: the new context is nobody else's.
    unsafe { CmacContext::take(made) }
}

/// A CMAC under way.
pub struct Cmac {
    ctx: CmacContext,
    block: usize,
}

// SAFETY: a `CMAC_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Cmac {}

impl Cmac {
    /// Adds a part of the message.
    ///
    /// # Errors
    ///
    /// None of AWS-LC's own; the type says that an answer is not thrown away.
    pub fn update(&mut self, part: &[u8]) -> Result<()> {
        // SAFETY: the context is alive and has its key; the part is readable for its length.
        check(unsafe { sys::CMAC_Update(self.ctx.as_ptr(), part.as_ptr(), part.len()) })
    }

    /// The MAC, as long as a block.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn finish(self) -> Result<Zeroizing<Vec<u8>>> {
        let (mut out, mut len) = (Zeroizing::new(vec![0; self.block]), 0);
        // SAFETY: the context is alive and has its key; `out` has room for a block.
        check(unsafe { sys::CMAC_Final(self.ctx.as_ptr(), out.as_mut_ptr(), &mut len) })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    #[test]
    fn an_hmac_goes_on_from_its_state() {
        for algorithm in [&digest::SHA1, &digest::SHA224, &digest::SHA256, &digest::SHA384]
            .into_iter()
            .chain([&digest::SHA512, &digest::SHA512_224, &digest::SHA512_256])
        {
            for len in [0, 1, 63, 64, 127, 128, 200] {
                let key = HmacKey::new(algorithm, b"a key").unwrap();
                let (first, rest) = (vec![7; len], b"the rest");
                let mut one = key.start().unwrap();
                one.update(&first).unwrap();
                let state = one.state().unwrap();
                one.update(rest).unwrap();
                let mut two = key.start().unwrap();
                two.update(b"forgotten").unwrap();
                two.resume(&state).unwrap();
                two.update(rest).unwrap();
                assert_eq!(one.finish().unwrap(), two.finish().unwrap());
            }
        }
    }

    #[test]
    fn an_hmac_is_the_same_at_once_and_in_parts() {
        for algorithm in [&digest::SHA1, &digest::SHA256, &digest::SHA512, &digest::SHA3_256] {
            let key = HmacKey::new(algorithm, b"a key").unwrap();
            let mut running = key.start().unwrap();
            running.update(b"a message").unwrap();
            let made = running.finish().unwrap();
            assert_eq!(key.mac(&[b"a message"]).unwrap(), made);
            assert_eq!(key.mac(&[b"a ", b"", b"message"]).unwrap(), made);
            assert_eq!(key.mac(&[]).unwrap(), key.start().unwrap().finish().unwrap());
        }
    }

    #[test]
    fn a_state_that_none_can_be_is_refused() {
        let start = |algorithm| HmacKey::new(algorithm, b"a key").unwrap().start().unwrap();
        let state = start(&digest::SHA256).state().unwrap();
        assert!(start(&digest::SHA224).resume(&state).is_err(), "of another function");
        assert!(start(&digest::SHA512).resume(&state).is_err());
        assert!(start(&digest::SHA256).resume(&state[1..]).is_err());
        assert!(start(&digest::SHA3_256).state().is_none());
        assert!(start(&digest::SHA3_256).resume(&state).is_err());
    }
}
