//! Hash functions of FIPS 180-4 and FIPS 202: the one table of what AWS-LC calls them.

use core::ffi::c_int;
use core::mem::offset_of;
use core::{ptr, slice};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::owned::DigestContext;

/// A hash function.
pub struct Algorithm {
    md: unsafe extern "C" fn() -> *const sys::EVP_MD,
    /// All of a digest in one call, which needs no context; not there for all of them.
    at_once: Option<AtOnce>,
    output_len: usize,
    block_len: usize,
    /// What a digest under way is made of; nothing where AWS-LC does not say it.
    state: Option<&'static Shape>,
}

/// The structure that a digest under way is, as the header has it: numbers, without pointers.
pub(crate) struct Shape {
    /// Its length in bytes.
    pub(crate) len: usize,
    /// Where it says how many bytes of a block are waiting.
    waiting: usize,
    /// Where it says how long the digest is.
    output_len: Option<usize>,
}

static SHA_1: Shape = Shape {
    len: size_of::<sys::SHA_CTX>(),
    waiting: offset_of!(sys::SHA_CTX, num),
    output_len: None,
};
static SHA_2_SHORT: Shape = Shape {
    len: size_of::<sys::SHA256_CTX>(),
    waiting: offset_of!(sys::SHA256_CTX, num),
    output_len: Some(offset_of!(sys::SHA256_CTX, md_len)),
};
static SHA_2_LONG: Shape = Shape {
    len: size_of::<sys::SHA512_CTX>(),
    waiting: offset_of!(sys::SHA512_CTX, num),
    output_len: Some(offset_of!(sys::SHA512_CTX, md_len)),
};

type AtOnce = unsafe extern "C" fn(*const u8, usize, *mut u8) -> *mut u8;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident = $md:ident, $at_once:expr, $len:literal, $block_len:literal, $state:expr;)*) => {$(
        $(#[$doc])*
        pub static $name: Algorithm = Algorithm {
            md: sys::$md,
            at_once: $at_once,
            output_len: $len,
            block_len: $block_len,
            state: $state,
        };
    )*};
}

algorithms! {
    /// MD5 (RFC 1321).
    MD5 = EVP_md5, Some(sys::MD5), 16, 64, None;
    /// SHA-1.
    SHA1 = EVP_sha1, Some(sys::SHA1), 20, 64, Some(&SHA_1);
    /// SHA-224.
    SHA224 = EVP_sha224, Some(sys::SHA224), 28, 64, Some(&SHA_2_SHORT);
    /// SHA-256.
    SHA256 = EVP_sha256, Some(sys::SHA256), 32, 64, Some(&SHA_2_SHORT);
    /// SHA-384.
    SHA384 = EVP_sha384, Some(sys::SHA384), 48, 128, Some(&SHA_2_LONG);
    /// SHA-512.
    SHA512 = EVP_sha512, Some(sys::SHA512), 64, 128, Some(&SHA_2_LONG);
    /// SHA-512/224.
    SHA512_224 = EVP_sha512_224, Some(sys::SHA512_224), 28, 128, Some(&SHA_2_LONG);
    /// SHA-512/256.
    SHA512_256 = EVP_sha512_256, Some(sys::SHA512_256), 32, 128, Some(&SHA_2_LONG);
    /// SHA3-224.
    SHA3_224 = EVP_sha3_224, None, 28, 144, None;
    /// SHA3-256.
    SHA3_256 = EVP_sha3_256, None, 32, 136, None;
    /// SHA3-384.
    SHA3_384 = EVP_sha3_384, None, 48, 104, None;
    /// SHA3-512.
    SHA3_512 = EVP_sha3_512, None, 64, 72, None;
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

    /// What a digest under way is made of; nothing where AWS-LC does not say it.
    pub(crate) fn shape(&self) -> Option<&'static Shape> {
        self.state
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
    pub fn digest(&'static self, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let Some(at_once) = self.at_once else {
            let mut context = Context::new(self)?;
            context.update(data)?;
            return context.finish();
        };
        let mut out = Zeroizing::new(vec![0; self.output_len]);
        let (from, len, to) = (data.as_ptr(), data.len(), out.as_mut_ptr());
        // SAFETY: this is the function of this algorithm; the data is readable for its length, and
        // there is room for the digest. It returns where it wrote it, or null.
        let done = unsafe { at_once(from, len, to) };
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
        Ok(Self { ctx: begin(algorithm.md())?, algorithm })
    }

    /// Adds data.
    ///
    /// # Errors
    ///
    /// None of AWS-LC's own; the type says that an answer is not thrown away.
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        add(&self.ctx, data)
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

impl Context {
    /// What has been digested so far, for [`resume`](Self::resume); nothing where AWS-LC does not
    /// say what that is.
    pub fn state(&self) -> Option<Zeroizing<Vec<u8>>> {
        let len = self.algorithm.state?.len;
        let at = self.data().cast::<u8>();
        // SAFETY: the structure of this algorithm is there, which is so long, and the function that
        // began it wrote all of it.
        Some(Zeroizing::new(unsafe { slice::from_raw_parts(at, len) }.to_vec()))
    }

    /// Goes on from a [`state`](Self::state).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is none of this algorithm; [`Error::Memory`].
    pub fn resume(algorithm: &'static Algorithm, state: &[u8]) -> Result<Self> {
        let shape = algorithm.state.ok_or(Error::Invalid)?;
        if !shape.fits(algorithm, state) {
            return Err(Error::Invalid);
        }
        let context = Self::new(algorithm)?;
        let at = context.data().cast::<u8>();
        // SAFETY: the structure of this algorithm is there, as long as the state, and any numbers
        // are one, as long as no more bytes are waiting than a block has, which was checked.
        unsafe { at.copy_from_nonoverlapping(state.as_ptr(), state.len()) };
        Ok(context)
    }

    fn data(&self) -> *mut core::ffi::c_void {
        // SAFETY: the context is alive; the header shows this member.
        unsafe { (*self.ctx.as_ptr()).md_data }
    }
}

impl Shape {
    /// Whether these bytes can be one of this algorithm.
    pub(crate) fn fits(&self, algorithm: &Algorithm, state: &[u8]) -> bool {
        let number = |at: usize| {
            let bytes = state.get(at..).and_then(|rest| rest.first_chunk());
            bytes.and_then(|bytes| usize::try_from(u32::from_ne_bytes(*bytes)).ok())
        };
        state.len() == self.len
            && number(self.waiting).is_some_and(|waiting| waiting < algorithm.block_len)
            && self.output_len.is_none_or(|at| number(at) == Some(algorithm.output_len))
    }
}

/// Gives a new context its function: one of the `EVP_MD` statics.
fn begin(md: *const sys::EVP_MD) -> Result<DigestContext> {
    // SAFETY: it takes nothing.
    let made = unsafe { sys::EVP_MD_CTX_new() };
    // SAFETY: the new context is nobody else's.
    let ctx = unsafe { DigestContext::take(made) }?;
    // SAFETY: the context is alive, `md` a valid `EVP_MD`, and the engine may be null.
    check(unsafe { sys::EVP_DigestInit_ex(ctx.as_ptr(), md, ptr::null_mut()) })?;
    Ok(ctx)
}

fn add(ctx: &DigestContext, data: &[u8]) -> Result<()> {
    let len = data.len();
    // SAFETY: the context is alive and initialised; `data` is readable for its length.
    check(unsafe { sys::EVP_DigestUpdate(ctx.as_ptr(), data.as_ptr().cast(), len) })
}

/// A function of FIPS 202 whose output is as long as one wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shake {
    /// SHAKE128.
    Shake128,
    /// SHAKE256.
    Shake256,
}

impl Shake {
    /// The first `len` bytes of the output for these parts, one behind the other.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn output(self, parts: &[&[u8]], len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut running = self.start()?;
        parts.iter().try_for_each(|part| running.update(part))?;
        running.finish(len)
    }

    /// Starts.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`](crate::Error).
    pub fn start(self) -> Result<Shaking> {
        let getter = match self {
            Self::Shake128 => sys::EVP_shake128,
            Self::Shake256 => sys::EVP_shake256,
        };
        // SAFETY: the `EVP_*` getters take nothing and return a pointer to a static.
        let md = unsafe { getter() };
        begin(md).map(Shaking)
    }
}

/// A SHAKE under way.
pub struct Shaking(DigestContext);

// SAFETY: an `EVP_MD_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Shaking {}

impl Shaking {
    /// Adds data.
    ///
    /// # Errors
    ///
    /// As [`Context::update`].
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        add(&self.0, data)
    }

    /// The first `len` bytes of the output.
    ///
    /// # Errors
    ///
    /// As [`Context::update`].
    pub fn finish(self, len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; len]);
        // SAFETY: the context is alive and initialised, and `out` writable for its length.
        check(unsafe { sys::EVP_DigestFinalXOF(self.0.as_ptr(), out.as_mut_ptr(), len) })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST CAVP, SHA3VS: SHAKE{128,256}ShortMsg.rsp, Len = 0 and 64, and the first long output of
    /// SHAKE128VariableOut.rsp, of which the head is compared.
    #[test]
    fn shake_of_nist() {
        let hex = |text: &str| -> Vec<u8> {
            let digits = text.as_bytes().chunks(2).map(|pair| core::str::from_utf8(pair).unwrap());
            digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        };
        for (shake, message, output) in [
            (Shake::Shake128, "", "7f9c2ba4e88f827d616045507605853e"),
            (Shake::Shake128, "7bf2fef375bcaff3", "5ef5578b89c50532131b7843de7329a3"),
            (
                Shake::Shake128,
                "a8ded9816defca8327c194a48a88ae4e",
                "ed7397b2215c6c412bf444b1b96fc55c531aef",
            ),
            (
                Shake::Shake256,
                "",
                "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f",
            ),
            (
                Shake::Shake256,
                "587cb398fe82ffda",
                "54f5dddb85f62dba7dc4727d502bdee959fb665bd482bd0ce31cbdd1a042e4b5",
            ),
        ] {
            let (message, output) = (hex(message), hex(output));
            let parts: Vec<_> = message.chunks(3).collect();
            assert_eq!(*shake.output(&parts, output.len()).unwrap(), output);
            assert_eq!(*shake.output(&[&message], 5).unwrap(), output[..5]);
        }
    }

    #[test]
    fn a_digest_goes_on_from_its_state() {
        for algorithm in [&SHA1, &SHA224, &SHA256, &SHA384, &SHA512, &SHA512_224, &SHA512_256] {
            for len in [0, 1, 63, 64, 127, 128, 200] {
                let data = vec![7; len];
                let mut one = Context::new(algorithm).unwrap();
                one.update(&data).unwrap();
                let state = one.state().unwrap();
                let mut two = Context::resume(algorithm, &state).unwrap();
                two.update(b"the rest").unwrap();
                let all = [data.as_slice(), b"the rest"].concat();
                assert_eq!(two.finish().unwrap(), algorithm.digest(&all).unwrap());
            }
        }
    }

    #[test]
    fn a_state_that_none_can_be_is_refused() {
        let state = Context::new(&SHA256).unwrap().state().unwrap();
        assert!(Context::resume(&SHA224, &state).is_err(), "of another function");
        assert!(Context::resume(&SHA512, &state).is_err());
        assert!(Context::resume(&SHA256, &state[1..]).is_err());
        assert!(Context::resume(&SHA3_256, &state).is_err());
        let mut beyond = state.clone();
        beyond[offset_of!(sys::SHA256_CTX, num)] = 64;
        assert!(Context::resume(&SHA256, &beyond).is_err(), "more than a block waits");
    }
}
