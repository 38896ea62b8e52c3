//! RSA (RFC 8017): raw, PKCS#1 v1.5, PSS and OAEP, with keys of any exponent.
//!
//! Private operations are blinded and their result is checked by the public exponent, by AWS-LC
//! itself. A key that has been built is not changed any more, so threads share it; the cache of
//! blindings in it has a lock of its own.

use core::ffi::{c_int, c_void};
use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::digest::Algorithm;
use crate::error::{Error, Result, check};
use crate::owned::{AnyKey, AnyKeyContext, Rsa};

mod implicit;
mod private;
mod public;

pub use private::PrivateKey;
pub use public::PublicKey;

/// The numbers of a private key, big-endian, without leading zeros when they come from here.
pub struct Components {
    /// n.
    pub modulus: Vec<u8>,
    /// e.
    pub public_exponent: Vec<u8>,
    /// d.
    pub private_exponent: Zeroizing<Vec<u8>>,
    /// The rest, which makes the key fast.
    pub crt: Option<Crt>,
}

/// What the Chinese remainder theorem needs.
pub struct Crt {
    /// p.
    pub prime_1: Zeroizing<Vec<u8>>,
    /// q.
    pub prime_2: Zeroizing<Vec<u8>>,
    /// d mod p - 1.
    pub exponent_1: Zeroizing<Vec<u8>>,
    /// d mod q - 1.
    pub exponent_2: Zeroizing<Vec<u8>>,
    /// The inverse of q mod p.
    pub coefficient: Zeroizing<Vec<u8>>,
}

/// The parameters of PSS (RFC 8017, 9.1).
pub struct Pss {
    /// The hash function of the message.
    pub hash: &'static Algorithm,
    /// The hash function of the mask.
    pub mgf: &'static Algorithm,
    /// The length of the salt in bytes.
    pub salt_len: usize,
}

/// The parameters of OAEP (RFC 8017, 7.1).
pub struct Oaep<'a> {
    /// The hash function of the label.
    pub hash: &'static Algorithm,
    /// The hash function of the mask.
    pub mgf: &'static Algorithm,
    /// The label.
    pub label: &'a [u8],
}

/// How data are padded to the length of the modulus, by the functions that take it as a number.
#[derive(Clone, Copy)]
enum Padding {
    /// It is that long.
    None,
    /// PKCS#1 v1.5, of the type that the operation has.
    Pkcs1,
}

impl Padding {
    fn id(self) -> c_int {
        match self {
            Self::None => sys::RSA_NO_PADDING,
            Self::Pkcs1 => sys::RSA_PKCS1_PADDING,
        }
    }
}

/// What `RSA_sign_raw`, `RSA_verify_raw`, `RSA_encrypt` and `RSA_decrypt` have in common.
type Transform = unsafe extern "C" fn(
    *mut sys::RSA,
    *mut usize,
    *mut u8,
    usize,
    *const u8,
    usize,
    c_int,
) -> c_int;

/// A key, as RSA's own functions and as `EVP_PKEY`'s want it.
struct Inner {
    rsa: Rsa,
    any: AnyKey,
    len: usize,
}

impl Inner {
    fn new(rsa: Rsa) -> Result<Self> {
        let any = AnyKey::empty()?;
        // SAFETY: both are alive; it counts a reference of its own.
        check(unsafe { sys::EVP_PKEY_set1_RSA(any.as_ptr(), rsa.as_ptr()) })?;
        // SAFETY: the key is alive and has a modulus.
        let len = unsafe { sys::RSA_size(rsa.as_ptr()) };
        let len = usize::try_from(len).map_err(|_| Error::Invalid)?;
        Ok(Self { rsa, any, len })
    }

    fn bits(&self) -> u64 {
        // SAFETY: the key is alive and has a modulus.
        u64::from(unsafe { sys::RSA_bits(self.rsa.as_ptr()) })
    }

    fn transform(
        &self,
        transform: Transform,
        input: &[u8],
        padding: Padding,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.len]);
        let (rsa, data, max, mut len) = (self.rsa.as_ptr(), out.as_mut_ptr(), self.len, 0);
        let (input, input_len) = (input.as_ptr(), input.len());
        // SAFETY: the key is alive, `out` writable and the input readable for their lengths, and
        // the function one of the four named above, which take a key of any kind.
        check(unsafe { transform(rsa, &mut len, data, max, input, input_len, padding.id()) })?;
        out.truncate(len);
        Ok(out)
    }

    /// Starts an OAEP operation: `EVP_PKEY_encrypt_init` or `_decrypt_init`.
    fn oaep(
        &self,
        init: unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX) -> c_int,
        oaep: &Oaep<'_>,
    ) -> Result<AnyKeyContext> {
        // SAFETY: the key is alive, and counts the context's reference; the engine may be null.
        let made = unsafe { sys::EVP_PKEY_CTX_new(self.any.as_ptr(), ptr::null_mut()) };
        // SAFETY: the new context is nobody else's.
        let context = unsafe { AnyKeyContext::take(made) }?;
        let ctx = context.as_ptr();
        // SAFETY: the context is alive, and so it is in all the calls below.
        check(unsafe { init(ctx) })?;
        // SAFETY: as above.
        check(unsafe { sys::EVP_PKEY_CTX_set_rsa_padding(ctx, sys::RSA_PKCS1_OAEP_PADDING) })?;
        // SAFETY: as above; `md` is static.
        check(unsafe { sys::EVP_PKEY_CTX_set_rsa_oaep_md(ctx, oaep.hash.md()) })?;
        // SAFETY: as above.
        check(unsafe { sys::EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, oaep.mgf.md()) })?;
        if !oaep.label.is_empty() {
            let (label, len) = (oaep.label.as_ptr().cast::<c_void>(), oaep.label.len());
            // SAFETY: the label can be read for its length.
            let label = unsafe { sys::OPENSSL_memdup(label, len) };
            if label.is_null() {
                return Err(Error::Memory);
            }
            // SAFETY: the context takes over the copy, which AWS-LC's own allocator made.
            check(unsafe { sys::EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label.cast(), len) })?;
        }
        Ok(context)
    }
}
