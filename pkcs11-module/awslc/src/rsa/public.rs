//! Public keys.

use core::ffi::c_int;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use super::{Inner, Oaep, Padding, Pss};
use crate::digest::Algorithm;
use crate::error::{Error, Result, check};
use crate::owned::{Number, Rsa};

/// A public key.
pub struct PublicKey(Inner);

// SAFETY: no thread owns an `RSA`, and nothing here changes one that has been built.
unsafe impl Send for PublicKey {}
// SAFETY: rsa.h allows any number of threads to use a key that none of them changes.
unsafe impl Sync for PublicKey {}

impl PublicKey {
    /// The key of a modulus and an exponent, both odd, the exponent between 3 and the modulus.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if they are not.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        let (n, e) = (Number::from_bytes(modulus)?, Number::from_bytes(exponent)?);
        // SAFETY: the numbers are alive; it copies them.
        let made = unsafe { sys::RSA_new_public_key_large_e(n.as_ptr(), e.as_ptr()) };
        // SAFETY: the new key is nobody else's.
        Inner::new(unsafe { Rsa::take(made) }?).map(Self)
    }

    /// The length of the modulus in bits.
    pub fn bits(&self) -> u64 {
        self.0.bits()
    }

    /// The length of the modulus in bytes.
    pub fn modulus_len(&self) -> usize {
        self.0.len
    }

    /// The public operation on a number as long as the modulus, and smaller.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not.
    pub fn raw(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_verify_raw, input, Padding::None)
    }

    /// What a PKCS#1 v1.5 signature signs, its padding checked and taken off.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the padding is wrong.
    pub fn recover_pkcs1(&self, signature: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_verify_raw, signature, Padding::Pkcs1)
    }

    /// Whether `signature` is a PKCS#1 v1.5 signature of the digest.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not.
    pub fn verify_digest(
        &self,
        hash: &'static Algorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let (rsa, nid, data, len) =
            (self.0.rsa.as_ptr(), hash.nid(), digest.as_ptr(), digest.len());
        let (signature, signature_len) = (signature.as_ptr(), signature.len());
        // SAFETY: the key is alive, digest and signature are readable for their lengths; it checks
        // the length of the digest.
        check(unsafe { sys::RSA_verify(nid, data, len, signature, signature_len, rsa) })
    }

    /// Whether `signature` is a PSS signature of the digest.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not.
    pub fn verify_pss(&self, digest: &[u8], signature: &[u8], pss: &Pss) -> Result<()> {
        let salt_len = c_int::try_from(pss.salt_len).map_err(|_| Error::Invalid)?;
        let (rsa, md, mgf) = (self.0.rsa.as_ptr(), pss.hash.md(), pss.mgf.md());
        let (data, len) = (digest.as_ptr(), digest.len());
        let (signature, signature_len) = (signature.as_ptr(), signature.len());
        // SAFETY: the key is alive, digest and signature are readable for their lengths; it checks
        // the length of the digest.
        check(unsafe {
            sys::RSA_verify_pss_mgf1(rsa, data, len, md, mgf, salt_len, signature, signature_len)
        })
    }

    /// Encrypts with PKCS#1 v1.5 padding, at most the modulus' length less 11 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is longer.
    pub fn encrypt_pkcs1(&self, plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_encrypt, plaintext, Padding::Pkcs1)
    }

    /// Encrypts with OAEP, at most the modulus' length less two digests and 2 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is longer.
    pub fn encrypt_oaep(&self, plaintext: &[u8], oaep: &Oaep<'_>) -> Result<Zeroizing<Vec<u8>>> {
        let context = self.0.oaep(sys::EVP_PKEY_encrypt_init, oaep)?;
        let mut out = Zeroizing::new(vec![0; self.0.len]);
        let (ctx, data, mut len) = (context.as_ptr(), out.as_mut_ptr(), out.len());
        let (input, input_len) = (plaintext.as_ptr(), plaintext.len());
        // SAFETY: the context is alive, `out` writable and the input readable for their lengths.
        check(unsafe { sys::EVP_PKEY_encrypt(ctx, data, &mut len, input, input_len) })?;
        out.truncate(len);
        Ok(out)
    }

    /// The `SubjectPublicKeyInfo` (RFC 3279).
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn to_spki(&self) -> Result<Vec<u8>> {
        self.0.any.to_spki()
    }
}
