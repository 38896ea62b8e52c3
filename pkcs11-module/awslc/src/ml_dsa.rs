//! ML-DSA (FIPS 204).
//!
//! The public interface of AWS-LC can not sign deterministically, nor what HashML-DSA signs. So
//! this calls the functions below it, which are those of FIPS 204, chapter 6: they take the seed,
//! the random bytes and what goes before the message from their caller. The header that declares
//! them is `crypto/fipsmodule/ml_dsa/ml_dsa.h`.

use core::ffi::c_int;

use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};

/// The length of the seed of a key pair (ξ) in bytes.
pub const SEED_LEN: usize = 32;

/// The length of the random bytes of a signature (rnd); they are zero for a deterministic one.
pub const RANDOM_LEN: usize = 32;

/// A public key and its private key (sk, the expanded form).
pub type KeyPair = (Vec<u8>, Zeroizing<Vec<u8>>);

/// A parameter set: lengths in bytes, and what computes with it.
pub struct ParameterSet {
    /// The length of a public key.
    pub public_len: usize,
    /// The length of a private key.
    pub private_len: usize,
    /// The length of a signature.
    pub signature_len: usize,
    generate: Generate,
    publish: Publish,
    sign: Sign,
    verify: Verify,
}

/// Algorithm 6, ML-DSA.KeyGen_internal: public key, private key, seed.
type Generate = unsafe extern "C" fn(*mut u8, *mut u8, *const u8) -> c_int;

/// The public key of a private one, whose parts have been found to belong together.
type Publish = unsafe extern "C" fn(*mut u8, *const u8) -> c_int;

/// Algorithm 7, ML-DSA.Sign_internal: private key, signature and its length, message and its
/// length, what goes before the message and its length, random bytes.
type Sign = unsafe extern "C" fn(
    *const u8,
    *mut u8,
    *mut usize,
    *const u8,
    usize,
    *const u8,
    usize,
    *const u8,
) -> c_int;

/// Algorithm 8, ML-DSA.Verify_internal: public key, signature and its length, message and its
/// length, what goes before the message and its length.
type Verify =
    unsafe extern "C" fn(*const u8, *const u8, usize, *const u8, usize, *const u8, usize) -> c_int;

macro_rules! parameter_sets {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $public_len:literal, $private_len:literal, $signature_len:literal;)*) => {$(
        $(#[$doc])*
        pub static $name: ParameterSet = {
            unsafe extern "C" {
                #[link_name = concat!(env!("AWS_LC_PREFIX"), "ml_dsa_", $number, "_keypair_internal")]
                fn generate(_: *mut u8, _: *mut u8, _: *const u8) -> c_int;
                #[link_name = concat!(env!("AWS_LC_PREFIX"), "ml_dsa_", $number, "_pack_pk_from_sk")]
                fn publish(_: *mut u8, _: *const u8) -> c_int;
                #[link_name = concat!(env!("AWS_LC_PREFIX"), "ml_dsa_", $number, "_sign_internal")]
                fn sign(
                    _: *const u8,
                    _: *mut u8,
                    _: *mut usize,
                    _: *const u8,
                    _: usize,
                    _: *const u8,
                    _: usize,
                    _: *const u8,
                ) -> c_int;
                #[link_name = concat!(env!("AWS_LC_PREFIX"), "ml_dsa_", $number, "_verify_internal")]
                fn verify(
                    _: *const u8,
                    _: *const u8,
                    _: usize,
                    _: *const u8,
                    _: usize,
                    _: *const u8,
                    _: usize,
                ) -> c_int;
            }
            ParameterSet {
                public_len: $public_len,
                private_len: $private_len,
                signature_len: $signature_len,
                generate,
                publish,
                sign,
                verify,
            }
        };
    )*};
}

parameter_sets! {
    /// ML-DSA-44.
    ML_DSA_44 = "44", 1312, 2560, 2420;
    /// ML-DSA-65.
    ML_DSA_65 = "65", 1952, 4032, 3309;
    /// ML-DSA-87.
    ML_DSA_87 = "87", 2592, 4896, 4627;
}

impl ParameterSet {
    /// The key pair of a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn key_pair(&self, seed: &[u8; SEED_LEN]) -> Result<KeyPair> {
        let mut public = vec![0; self.public_len];
        let mut private = Zeroizing::new(vec![0; self.private_len]);
        let (to, secret) = (public.as_mut_ptr(), private.as_mut_ptr());
        // SAFETY: this is the function of this parameter set; there is room for both its keys, and
        // the seed has its length.
        check(unsafe { (self.generate)(to, secret, seed.as_ptr()) })?;
        Ok((public, private))
    }

    /// The public key of a private one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is no private key of this parameter set.
    pub fn public_of(&self, private: &[u8]) -> Result<Vec<u8>> {
        if private.len() != self.private_len {
            return Err(Error::Invalid);
        }
        let mut public = vec![0; self.public_len];
        // SAFETY: this is the function of this parameter set; there is room for its public key,
        // and the private key has its length.
        check(unsafe { (self.publish)(public.as_mut_ptr(), private.as_ptr()) })?;
        Ok(public)
    }

    /// Signs what goes before a message, and the message.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is no private key of this parameter set.
    pub fn sign(
        &self,
        private: &[u8],
        before: &[u8],
        message: &[u8],
        random: &[u8; RANDOM_LEN],
    ) -> Result<Vec<u8>> {
        if private.len() != self.private_len {
            return Err(Error::Invalid);
        }
        let mut signature = vec![0; self.signature_len];
        let mut len = signature.len();
        // SAFETY: this is the function of this parameter set; there is room for its signature, the
        // private key and the random bytes have their lengths, the others are readable for theirs.
        check(unsafe {
            (self.sign)(
                private.as_ptr(),
                signature.as_mut_ptr(),
                &mut len,
                message.as_ptr(),
                message.len(),
                before.as_ptr(),
                before.len(),
                random.as_ptr(),
            )
        })?;
        if len == signature.len() { Ok(signature) } else { Err(failed()) }
    }

    /// Whether `signature` is one of what goes before a message, and the message.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not.
    pub fn verify(
        &self,
        public: &[u8],
        before: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if public.len() != self.public_len {
            return Err(Error::Invalid);
        }
        // SAFETY: this is the function of this parameter set; the public key has its length, and
        // the others are readable for theirs.
        check(unsafe {
            (self.verify)(
                public.as_ptr(),
                signature.as_ptr(),
                signature.len(),
                message.as_ptr(),
                message.len(),
                before.as_ptr(),
                before.len(),
            )
        })
    }
}
