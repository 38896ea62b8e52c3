//! Private keys.

use core::ffi::c_int;
use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use super::{Components, Crt, Inner, Oaep, Padding, Pss, implicit};
use crate::digest::Algorithm;
use crate::error::{Error, Result, check, failed};
use crate::number;
use crate::owned::{AnyKey, Number, Rsa};

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

    /// Decrypts PKCS#1 v1.5 to a message of any length, or of one of those that are wanted. What is
    /// wrong with the padding, or the length, is for nobody to see: the message is then another.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the ciphertext is none that [`raw`](Self::raw) takes, which everybody
    /// can see, or no message of a length that is wanted fits the key.
    pub fn decrypt_pkcs1(&self, ciphertext: &[u8], wanted: &[usize]) -> Result<Zeroizing<Vec<u8>>> {
        let block = self.raw(ciphertext)?;
        let mut exponent = Zeroizing::new(vec![0; self.0.len]);
        // SAFETY: the key is alive.
        let d = unsafe { sys::RSA_get0_d(self.0.rsa.as_ptr()) };
        // SAFETY: the number, if there is one, lives as long as the key, which nothing changes.
        unsafe { number::write(d, &mut exponent) }?;
        implicit::message(block, &exponent, ciphertext, wanted)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::SHA256;
    use crate::rsa::PublicKey;

    /// A key whose numbers have been looked at, and then became others: as a fault of the memory or
    /// of the processor has it.
    fn faulty(change: impl Fn(&mut Crt)) -> PrivateKey {
        let numbers = PrivateKey::generate(2048, &[1, 0, 1]).unwrap().components().unwrap();
        let mut crt = numbers.crt.unwrap();
        change(&mut crt);
        let number = |bytes: &[u8]| {
            let number = Number::from_bytes(bytes).unwrap();
            // SAFETY: the number is alive; the copy belongs to whoever takes it.
            unsafe { sys::BN_dup(number.as_ptr()) }
        };
        // SAFETY: it takes nothing.
        let made = unsafe { sys::RSA_new() };
        // SAFETY: the new key is nobody else's.
        let rsa = unsafe { Rsa::take(made) }.unwrap();
        let (n, e) = (number(&numbers.modulus), number(&numbers.public_exponent));
        let d = number(&numbers.private_exponent);
        // SAFETY: the key is alive and takes over the copies; nothing checks them.
        check(unsafe { sys::RSA_set0_key(rsa.as_ptr(), n, e, d) }).unwrap();
        let (p, q) = (number(&crt.prime_1), number(&crt.prime_2));
        // SAFETY: as above.
        check(unsafe { sys::RSA_set0_factors(rsa.as_ptr(), p, q) }).unwrap();
        let (dp, dq) = (number(&crt.exponent_1), number(&crt.exponent_2));
        let qi = number(&crt.coefficient);
        // SAFETY: as above.
        check(unsafe { sys::RSA_set0_crt_params(rsa.as_ptr(), dp, dq, qi) }).unwrap();
        PrivateKey(Inner::new(rsa).unwrap())
    }

    fn flip(number: &mut [u8]) {
        *number.last_mut().unwrap() ^= 2;
    }

    /// With one signature that is right in one prime alone, anybody would have the other prime.
    #[test]
    fn a_wrong_signature_is_never_let_out() {
        let digest = SHA256.digest(b"data").unwrap();
        let pss = Pss { hash: &SHA256, mgf: &SHA256, salt_len: 32 };
        let oaep = Oaep { hash: &SHA256, mgf: &SHA256, label: &[] };
        let uses: [&dyn Fn(&PrivateKey) -> bool; 6] = [
            &|key| key.sign_digest(&SHA256, &digest).is_ok(),
            &|key| key.sign_pkcs1(b"data").is_ok(),
            &|key| key.sign_pss(&digest, &pss).is_ok(),
            &|key| key.check().is_ok(),
            &|key| key.decrypt_pkcs1(&[7; 256], &[]).is_ok(),
            &|key| {
                let numbers = key.components().unwrap();
                let public = PublicKey::new(&numbers.modulus, &numbers.public_exponent).unwrap();
                let ciphertext = public.encrypt_oaep(b"data", &oaep).unwrap();
                key.decrypt_oaep(&ciphertext, &oaep).is_ok()
            },
        ];
        let sound = faulty(|_| ());
        assert!(uses.iter().all(|works| works(&sound)), "it is the fault that is told");
        let faults: [fn(&mut Crt); 3] = [
            |crt| flip(&mut crt.exponent_1),
            |crt| flip(&mut crt.exponent_2),
            |crt| flip(&mut crt.coefficient),
        ];
        for (at, fault) in faults.into_iter().enumerate() {
            let key = faulty(fault);
            for (of, works) in uses.iter().enumerate() {
                assert!(!works(&key), "fault {at}, use {of}");
            }
        }
    }
}
