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
use crate::error::{Error, Result, check, failed};
use crate::number;
use crate::owned::{AnyKey, AnyKeyContext, Number, Rsa};

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

/// A private key.
pub struct PrivateKey(Inner);

// SAFETY: as for the public key.
unsafe impl Send for PrivateKey {}
// SAFETY: as for the public key; rsa.h counts signing and decrypting as using.
unsafe impl Sync for PrivateKey {}

impl PrivateKey {
    /// The key of its numbers. With those of the Chinese remainder theorem, all of them are
    /// checked against each other; without, [`check`](Self::check) is all that can be done.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the numbers are not those of a key.
    pub fn new(numbers: &Components) -> Result<Self> {
        let n = Number::from_bytes(&numbers.modulus)?;
        let e = Number::from_bytes(&numbers.public_exponent)?;
        let d = Number::from_bytes(&numbers.private_exponent)?;
        let (n, e, d) = (n.as_ptr(), e.as_ptr(), d.as_ptr());
        let made = if let Some(crt) = &numbers.crt {
            let p = Number::from_bytes(&crt.prime_1)?;
            let q = Number::from_bytes(&crt.prime_2)?;
            let dp = Number::from_bytes(&crt.exponent_1)?;
            let dq = Number::from_bytes(&crt.exponent_2)?;
            let qi = Number::from_bytes(&crt.coefficient)?;
            let (p, q, dp, dq, qi) =
                (p.as_ptr(), q.as_ptr(), dp.as_ptr(), dq.as_ptr(), qi.as_ptr());
            // SAFETY: the numbers are alive; it copies them.
            unsafe { sys::RSA_new_private_key_large_e(n, e, d, p, q, dp, dq, qi) }
        } else {
            // SAFETY: as above.
            unsafe { sys::RSA_new_private_key_no_crt(n, e, d) }
        };
        // SAFETY: the new key is nobody else's.
        Inner::new(unsafe { Rsa::take(made) }?).map(Self)
    }

    /// A new key of so many bits, with an odd exponent of at most 32 bits (FIPS 186-5, A.1.3).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if AWS-LC makes no keys of this length or exponent.
    pub fn generate(bits: u32, exponent: &[u8]) -> Result<Self> {
        let e = Number::from_bytes(exponent)?;
        // SAFETY: it takes nothing.
        let made = unsafe { sys::RSA_new() };
        // SAFETY: the new key is nobody else's.
        let rsa = unsafe { Rsa::take(made) }?;
        let len = c_int::try_from(bits).map_err(|_| Error::Invalid)?;
        // SAFETY: key and number are alive; the callback may be null.
        check(unsafe { sys::RSA_generate_key_ex(rsa.as_ptr(), len, e.as_ptr(), ptr::null_mut()) })?;
        let key = Self(Inner::new(rsa)?);
        // AWS-LC rounds a length that it does not make down, and says nothing.
        if key.0.bits() == u64::from(bits) { Ok(key) } else { Err(Error::Invalid) }
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` with an RFC 8017 `RSAPrivateKey`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none, or its numbers contradict each other.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let any = AnyKey::from_pkcs8(der, sys::EVP_PKEY_RSA)?;
        // SAFETY: the key is alive; the reference that this returns is ours to free.
        let made = unsafe { sys::EVP_PKEY_get1_RSA(any.as_ptr()) };
        // SAFETY: as said.
        Inner::new(unsafe { Rsa::take(made) }?).map(Self)
    }

    /// The PKCS#8 `PrivateKeyInfo`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the key lacks the numbers of the Chinese remainder theorem, which the
    /// structure demands.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.0.any.to_pkcs8()
    }

    /// The `SubjectPublicKeyInfo` of its public key.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn to_spki(&self) -> Result<Vec<u8>> {
        self.0.any.to_spki()
    }

    /// The length of the modulus in bits.
    pub fn bits(&self) -> u64 {
        self.0.bits()
    }

    /// The length of the modulus in bytes.
    pub fn modulus_len(&self) -> usize {
        self.0.len
    }

    /// Its numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn components(&self) -> Result<Components> {
        let public = |get| self.component(get).map(|bytes| bytes.to_vec());
        Ok(Components {
            modulus: public(sys::RSA_get0_n)?,
            public_exponent: public(sys::RSA_get0_e)?,
            private_exponent: self.component(sys::RSA_get0_d)?,
            crt: self.crt().ok(),
        })
    }

    fn crt(&self) -> Result<Crt> {
        Ok(Crt {
            prime_1: self.component(sys::RSA_get0_p)?,
            prime_2: self.component(sys::RSA_get0_q)?,
            exponent_1: self.component(sys::RSA_get0_dmp1)?,
            exponent_2: self.component(sys::RSA_get0_dmq1)?,
            coefficient: self.component(sys::RSA_get0_iqmp)?,
        })
    }

    fn component(
        &self,
        get: unsafe extern "C" fn(*const sys::RSA) -> *const sys::BIGNUM,
    ) -> Result<Zeroizing<Vec<u8>>> {
        // SAFETY: the key is alive, and `get` one of the getters of rsa.h.
        let number = unsafe { get(self.0.rsa.as_ptr()) };
        // SAFETY: the number, if there is one, lives as long as the key.
        unsafe { number::bytes(number) }.ok_or(Error::Invalid)
    }

    /// Whether the private exponent undoes the public one: tried on a number, which AWS-LC does
    /// with every private operation.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it does not.
    pub fn check(&self) -> Result<()> {
        let mut two = vec![0; self.0.len];
        if let Some(last) = two.last_mut() {
            *last = 2;
        }
        self.raw(&two).map(drop)
    }

    /// The private operation on a number as long as the modulus and smaller, other than 0, 1 and
    /// the largest, which AWS-LC refuses.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not.
    pub fn raw(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_sign_raw, input, Padding::None)
    }

    /// Signs with PKCS#1 v1.5 padding, at most the modulus' length less 11 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is longer.
    pub fn sign_pkcs1(&self, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_sign_raw, data, Padding::Pkcs1)
    }

    /// Signs a digest with PKCS#1 v1.5 padding (RFC 8017, 9.2: the digest goes into a
    /// `DigestInfo`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the digest is not of the hash function.
    pub fn sign_digest(
        &self,
        hash: &'static Algorithm,
        digest: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.0.len]);
        let (rsa, nid, data, len) =
            (self.0.rsa.as_ptr(), hash.nid(), digest.as_ptr(), digest.len());
        let (signature, mut written) = (out.as_mut_ptr(), 0);
        // SAFETY: the key is alive, the digest readable for its length, and `out` writable for as
        // many bytes as a signature has; it checks the length of the digest.
        check(unsafe { sys::RSA_sign(nid, data, len, signature, &mut written, rsa) })?;
        Ok(out)
    }

    /// Signs a digest with PSS.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the digest is not of the hash function, or the key too short for the
    /// salt.
    pub fn sign_pss(&self, digest: &[u8], pss: &Pss) -> Result<Zeroizing<Vec<u8>>> {
        let salt_len = c_int::try_from(pss.salt_len).map_err(|_| Error::Invalid)?;
        let mut out = Zeroizing::new(vec![0; self.0.len]);
        let (rsa, data, max, mut written) = (self.0.rsa.as_ptr(), out.as_mut_ptr(), out.len(), 0);
        let (md, mgf, digest, len) = (pss.hash.md(), pss.mgf.md(), digest.as_ptr(), digest.len());
        // SAFETY: the key is alive, `out` writable and the digest readable for their lengths; it
        // checks the length of the digest.
        check(unsafe {
            sys::RSA_sign_pss_mgf1(rsa, &mut written, data, max, digest, len, md, mgf, salt_len)
        })?;
        if written == max { Ok(out) } else { Err(failed()) }
    }

    /// Decrypts PKCS#1 v1.5. The padding is checked in constant time; that it was wrong is for
    /// all to see, as the interface wants it (RFC 8017, 7.2.2).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the ciphertext has the wrong length or the padding is wrong.
    pub fn decrypt_pkcs1(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.0.transform(sys::RSA_decrypt, ciphertext, Padding::Pkcs1)
    }

    /// Decrypts OAEP.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the ciphertext has the wrong length, or anything is wrong inside.
    pub fn decrypt_oaep(&self, ciphertext: &[u8], oaep: &Oaep<'_>) -> Result<Zeroizing<Vec<u8>>> {
        let context = self.0.oaep(sys::EVP_PKEY_decrypt_init, oaep)?;
        let mut out = Zeroizing::new(vec![0; self.0.len]);
        let (ctx, data, mut len) = (context.as_ptr(), out.as_mut_ptr(), out.len());
        let (input, input_len) = (ciphertext.as_ptr(), ciphertext.len());
        // SAFETY: the context is alive, `out` writable and the input readable for their lengths.
        check(unsafe { sys::EVP_PKEY_decrypt(ctx, data, &mut len, input, input_len) })?;
        out.truncate(len);
        Ok(out)
    }
}
