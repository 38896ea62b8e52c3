//! ML-KEM (FIPS 203).

use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::owned::{AnyKey, AnyKeyContext};

/// The length of the seed of a key pair (d and z) in bytes.
pub const SEED_LEN: usize = 64;

/// The length of a shared secret in bytes.
pub const SECRET_LEN: usize = 32;

/// A parameter set: lengths in bytes.
pub struct ParameterSet {
    nid: i32,
    /// The length of an encapsulation key.
    pub public_len: usize,
    /// The length of a decapsulation key.
    pub private_len: usize,
    /// The length of a ciphertext.
    pub ciphertext_len: usize,
}

/// ML-KEM-512.
pub static ML_KEM_512: ParameterSet = ParameterSet {
    nid: sys::NID_MLKEM512,
    public_len: 800,
    private_len: 1632,
    ciphertext_len: 768,
};

/// ML-KEM-768.
pub static ML_KEM_768: ParameterSet = ParameterSet {
    nid: sys::NID_MLKEM768,
    public_len: 1184,
    private_len: 2400,
    ciphertext_len: 1088,
};

/// ML-KEM-1024.
pub static ML_KEM_1024: ParameterSet = ParameterSet {
    nid: sys::NID_MLKEM1024,
    public_len: 1568,
    private_len: 3168,
    ciphertext_len: 1568,
};

impl ParameterSet {
    /// The decapsulation key of a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn private_of(&self, seed: &[u8; SEED_LEN]) -> Result<Zeroizing<Vec<u8>>> {
        // SAFETY: the engine may be null.
        let made = unsafe { sys::EVP_PKEY_CTX_new_id(sys::EVP_PKEY_KEM, ptr::null_mut()) };
        // SAFETY: the new context is nobody else's.
        let context = unsafe { AnyKeyContext::take(made) }?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_CTX_kem_set_params(context.as_ptr(), self.nid) })?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_keygen_init(context.as_ptr()) })?;
        let (mut made, mut seed_len) = (ptr::null_mut(), SEED_LEN);
        // SAFETY: the context is alive, the place for the key is writable, and the seed readable
        // for its length.
        check(unsafe {
            let (context, seed) = (context.as_ptr(), seed.as_ptr());
            sys::EVP_PKEY_keygen_deterministic(context, &mut made, seed, &mut seed_len)
        })?;
        // SAFETY: the new key is nobody else's.
        let key = unsafe { AnyKey::take(made) }?;
        let mut private = Zeroizing::new(vec![0; self.private_len]);
        let mut len = private.len();
        let out = private.as_mut_ptr();
        // SAFETY: the key is alive, and `out` writable for `len` bytes.
        check(unsafe { sys::EVP_PKEY_get_raw_private_key(key.as_ptr(), out, &mut len) })?;
        if len == private.len() { Ok(private) } else { Err(failed()) }
    }

    /// The encapsulation key that a decapsulation key has in it (FIPS 203, algorithm 16).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if they do not belong together: what the one encapsulates, the other
    /// does not decapsulate, or the digest of the one is not in the other.
    pub fn public_of(&self, private: &[u8]) -> Result<Vec<u8>> {
        // It is followed by its digest, and by z.
        const BEHIND: usize = 64;
        if private.len() != self.private_len {
            return Err(Error::Invalid);
        }
        let public = private
            .len()
            .checked_sub(BEHIND + self.public_len)
            .and_then(|start| private.get(start..start + self.public_len))
            .ok_or(Error::Invalid)?;
        let (to, len) = (public.as_ptr(), public.len());
        // SAFETY: both are readable for their lengths.
        let made = unsafe {
            sys::EVP_PKEY_kem_new_raw_key(self.nid, to, len, private.as_ptr(), private.len())
        };
        // SAFETY: the new key is nobody else's.
        let key = unsafe { AnyKey::take(made) }?;
        // SAFETY: the key is alive.
        check(unsafe { sys::EVP_PKEY_kem_check_key(key.as_ptr()) })?;
        Ok(public.to_vec())
    }

    /// A new secret, and what it is encapsulated in.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the encapsulation key is none (FIPS 203, 7.2).
    pub fn encapsulate(&self, public: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>)> {
        let (from, len) = (public.as_ptr(), public.len());
        // SAFETY: the key is readable for its length.
        let made = unsafe { sys::EVP_PKEY_kem_new_raw_public_key(self.nid, from, len) };
        // SAFETY: the new key is nobody else's.
        let context = context(unsafe { AnyKey::take(made) }?)?;
        let mut ciphertext = vec![0; self.ciphertext_len];
        let mut secret = Zeroizing::new(vec![0; SECRET_LEN]);
        let (mut ciphertext_len, mut secret_len) = (ciphertext.len(), secret.len());
        // SAFETY: the context is alive; both places are writable for their lengths.
        check(unsafe {
            let (out, secret) = (ciphertext.as_mut_ptr(), secret.as_mut_ptr());
            let lens = (&mut ciphertext_len, &mut secret_len);
            sys::EVP_PKEY_encapsulate(context.as_ptr(), out, lens.0, secret, lens.1)
        })?;
        Ok((ciphertext, secret))
    }

    /// The secret that a ciphertext encapsulates; of one that was tampered with, another secret
    /// (FIPS 203, algorithm 18).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the ciphertext has another length, or the key is none (FIPS 203, 7.3).
    pub fn decapsulate(&self, private: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (from, len) = (private.as_ptr(), private.len());
        // SAFETY: the key is readable for its length.
        let made = unsafe { sys::EVP_PKEY_kem_new_raw_secret_key(self.nid, from, len) };
        // SAFETY: the new key is nobody else's.
        let context = context(unsafe { AnyKey::take(made) }?)?;
        let mut secret = Zeroizing::new(vec![0; SECRET_LEN]);
        let mut secret_len = secret.len();
        // SAFETY: the context is alive; the secret is writable for its length, and the ciphertext
        // readable for its.
        check(unsafe {
            let (out, from) = (secret.as_mut_ptr(), ciphertext.as_ptr());
            sys::EVP_PKEY_decapsulate(
                context.as_ptr(),
                out,
                &mut secret_len,
                from,
                ciphertext.len(),
            )
        })?;
        Ok(secret)
    }
}

/// An operation of a key, which has its own share of it.
fn context(key: AnyKey) -> Result<AnyKeyContext> {
    // SAFETY: the key is alive, and the engine may be null.
    let made = unsafe { sys::EVP_PKEY_CTX_new(key.as_ptr(), ptr::null_mut()) };
    // SAFETY: the new context is nobody else's.
    unsafe { AnyKeyContext::take(made) }
}
