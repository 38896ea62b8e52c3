//! Hash functions of FIPS 180-4: the one table of what AWS-LC calls them.

use core::ffi::c_int;
use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Result, check, failed};
use crate::owned::DigestContext;

/// A hash function.
pub struct Algorithm {
    md: unsafe extern "C" fn() -> *const sys::EVP_MD,
    /// All of a digest in one call, which needs no context.
    at_once: unsafe extern "C" fn(*const u8, usize, *mut u8) -> *mut u8,
    output_len: usize,
    block_len: usize,
}

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident = $md:ident, $at_once:ident, $len:literal, $block_len:literal;)*) => {$(
        $(#[$doc])*
        pub static $name: Algorithm = Algorithm {
            md: sys::$md,
            at_once: sys::$at_once,
            output_len: $len,
            block_len: $block_len,
        };
    )*};
}

algorithms! {
    /// SHA-1.
    SHA1 = EVP_sha1, SHA1, 20, 64;
    /// SHA-224.
    SHA224 = EVP_sha224, SHA224, 28, 64;
    /// SHA-256.
    SHA256 = EVP_sha256, SHA256, 32, 64;
    /// SHA-384.
    SHA384 = EVP_sha384, SHA384, 48, 128;
    /// SHA-512.
    SHA512 = EVP_sha512, SHA512, 64, 128;
    /// SHA-512/224.
    SHA512_224 = EVP_sha512_224, SHA512_224, 28, 128;
    /// SHA-512/256.
    SHA512_256 = EVP_sha512_256, SHA512_256, 32, 128;
}

impl Algorithm {
    /// The length of a digest in bytes.
    pub fn output_len(&self) -> usize {
        self.output_len
    }

    /// The length of a block in bytes: what HMAC pads its key to.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// What AWS-LC calls this hash function: a static of its own, valid forever.
    pub(crate) fn md(&self) -> *const sys::EVP_MD {
        // SAFETY: the `EVP_*` getters take nothing and return a pointer to a static.
        unsafe { (self.md)() }
    }

    /// The number by which the RSA functions of AWS-LC know this hash function.
    pub(crate) fn nid(&self) -> c_int {
        // SAFETY: `md` is a valid `EVP_MD`.
        unsafe { sys::EVP_MD_type(self.md()) }
    }

    /// The digest of data that is there at once.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn digest(&self, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.output_len]);
        let (from, len, to) = (data.as_ptr(), data.len(), out.as_mut_ptr());
        // SAFETY: this is the function of this algorithm; the data is readable for its length, and
        // there is room for the digest. It returns where it wrote it, or null.
        let done = unsafe { (self.at_once)(from, len, to) };
        if done.is_null() { Err(failed()) } else { Ok(out) }
    }
}

/// A digest under way.
pub struct Context {
    ctx: DigestContext,
    algorithm: &'static Algorithm,
}

// SAFETY: an `EVP_MD_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Context {}

impl Context {
    /// Starts a digest.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn new(algorithm: &'static Algorithm) -> Result<Self> {
        // SAFETY: it takes nothing.
        let made = unsafe { sys::EVP_MD_CTX_new() };
        // SAFETY: the new context is nobody else's.
        let ctx = unsafe { DigestContext::take(made) }?;
        // SAFETY: the context is alive, `md` a valid `EVP_MD`, and the engine may be null.
        check(unsafe { sys::EVP_DigestInit_ex(ctx.as_ptr(), algorithm.md(), ptr::null_mut()) })?;
        Ok(Self { ctx, algorithm })
    }

    /// Adds data.
    ///
    /// # Errors
    ///
    /// None of AWS-LC's own; the type says that an answer is not thrown away.
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        let (ctx, len) = (self.ctx.as_ptr(), data.len());
        // SAFETY: the context is alive and initialised; `data` is readable for its length.
        check(unsafe { sys::EVP_DigestUpdate(ctx, data.as_ptr().cast(), len) })
    }

    /// The digest.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn finish(self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.algorithm.output_len]);
        let (ctx, no_len) = (self.ctx.as_ptr(), ptr::null_mut());
        // SAFETY: the context is alive and initialised, `out` has room for its digest, and the
        // length of the output may be null.
        check(unsafe { sys::EVP_DigestFinal_ex(ctx, out.as_mut_ptr(), no_len) })?;
        Ok(out)
    }
}
