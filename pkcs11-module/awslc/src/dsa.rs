//! DSA (FIPS 186-4): domain parameters, keys and signatures. It is kept for what is old.

use core::ffi::c_uint;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::number;
use crate::owned::{Dsa, DsaSignature, Number, NumberContext};

/// Domain parameters: a prime, a prime that divides it less 1, and a base of that order; big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The prime.
    pub prime: &'a [u8],
    /// The smaller prime.
    pub subprime: &'a [u8],
    /// The base.
    pub base: &'a [u8],
}

/// New domain parameters, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The prime.
    pub prime: Vec<u8>,
    /// The smaller prime.
    pub subprime: Vec<u8>,
    /// The base.
    pub base: Vec<u8>,
}

impl Parameters {
    /// New ones, with a prime of so many bits (a multiple of 64, from 512 on) and a smaller one of
    /// 160 bits, or of 256 from 2048 bits on (FIPS 186-2, appendix 2).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another size.
    pub fn generate(bits: u64) -> Result<Self> {
        let bits = c_uint::try_from(bits).map_err(|_| Error::Invalid)?;
        if bits < 512 || !bits.is_multiple_of(64) {
            return Err(Error::Invalid);
        }
        // SAFETY: it takes nothing.
        let made = unsafe { sys::DSA_new() };
        // SAFETY: the new object is nobody else's.
        let dsa = unsafe { Dsa::take(made) }?;
        let (seed, counter, h) = (core::ptr::null(), core::ptr::null_mut(), core::ptr::null_mut());
        let callback = core::ptr::null_mut();
        // SAFETY: the object is alive; without a seed it takes a random one, and all places for
        // what else there is to tell may be null.
        check(unsafe {
            sys::DSA_generate_parameters_ex(dsa.as_ptr(), bits, seed, 0, counter, h, callback)
        })?;
        // SAFETY: the object is alive, and has its numbers.
        let prime = unsafe { sys::DSA_get0_p(dsa.as_ptr()) };
        // SAFETY: as above.
        let subprime = unsafe { sys::DSA_get0_q(dsa.as_ptr()) };
        // SAFETY: as above.
        let base = unsafe { sys::DSA_get0_g(dsa.as_ptr()) };
        // SAFETY: the number lives as long as the object.
        let prime = unsafe { number::bytes(prime) }.ok_or_else(failed)?.to_vec();
        // SAFETY: as above.
        let subprime = unsafe { number::bytes(subprime) }.ok_or_else(failed)?.to_vec();
        // SAFETY: as above.
        let base = unsafe { number::bytes(base) }.ok_or_else(failed)?.to_vec();
        Ok(Self { prime, subprime, base })
    }
}

impl Group<'_> {
    /// The parameters, with no key yet.
    fn open(self) -> Result<Dsa> {
        let prime = Number::from_bytes(self.prime)?;
        let subprime = Number::from_bytes(self.subprime)?;
        let base = Number::from_bytes(self.base)?;
        // SAFETY: it takes nothing.
        let made = unsafe { sys::DSA_new() };
        // SAFETY: the new object is nobody else's.
        let dsa = unsafe { Dsa::take(made) }?;
        let (p, q, g) = (prime.as_ptr(), subprime.as_ptr(), base.as_ptr());
        // SAFETY: all are alive; it takes over the numbers if it succeeds.
        check(unsafe { sys::DSA_set0_pqg(dsa.as_ptr(), p, q, g) })?;
        // They are the object's now, and freed with it.
        core::mem::forget((prime, subprime, base));
        Ok(dsa)
    }

    /// Whether these can be domain parameters: sizes that there are, and a base whose order is the
    /// smaller prime. That the primes are primes is not tested.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if they can not.
    pub fn check(self) -> Result<()> {
        self.check_public(self.base)
    }

    /// Whether a number can be a public value: more than 1, less than the prime, and of the order
    /// that it must have. The same checks are made of the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it can not.
    pub fn check_public(self, value: &[u8]) -> Result<()> {
        let (prime, subprime) =
            (Number::from_bytes(self.prime)?, Number::from_bytes(self.subprime)?);
        let value = Number::from_bytes(value)?;
        let sizes = matches!(self.subprime_bits()?, 160 | 224 | 256);
        if !sizes || !prime.is_odd() || !value.is_below(&prime) || value.is_zero_or_one() {
            return Err(Error::Invalid);
        }
        if value.power(&subprime, &prime)?.is_one() { Ok(()) } else { Err(Error::Invalid) }
    }

    /// The size of the prime in bits.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn bits(self) -> Result<u64> {
        Ok(Number::from_bytes(self.prime)?.bits())
    }

    fn subprime_bits(self) -> Result<u64> {
        Ok(Number::from_bytes(self.subprime)?.bits())
    }

    /// The length of the smaller prime in bytes, and of each half of a signature.
    fn half(self) -> Result<usize> {
        usize::try_from(self.subprime_bits()?.div_ceil(8)).map_err(|_| Error::Invalid)
    }
}

/// A public key.
pub struct PublicKey {
    dsa: Dsa,
    half: usize,
}

// SAFETY: no thread owns a `DSA`, and nothing here changes one that has been built.
unsafe impl Send for PublicKey {}
// SAFETY: dsa.h allows any number of threads to use a key that none of them changes; what AWS-LC
// keeps in it to be faster has a lock.
unsafe impl Sync for PublicKey {}

impl PublicKey {
    /// The key of a public value.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn new(group: Group<'_>, value: &[u8]) -> Result<Self> {
        let (dsa, value) = (group.open()?, Number::from_bytes(value)?);
        let none = core::ptr::null_mut();
        // SAFETY: key and number are alive; it takes over the number if it succeeds.
        check(unsafe { sys::DSA_set0_key(dsa.as_ptr(), value.as_ptr(), none) })?;
        core::mem::forget(value);
        Ok(Self { dsa, half: group.half()? })
    }

    /// The length of a signature in bytes.
    pub fn signature_len(&self) -> usize {
        2 * self.half
    }

    /// Whether `signature`, r and s of the same length, is one of the digest. A digest longer than
    /// the smaller prime is cut to its leftmost bits (FIPS 186-4, 4.6).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not, or has an odd length.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        if !signature.len().is_multiple_of(2) {
            return Err(Error::Invalid);
        }
        let (r, s) = signature.split_at(signature.len() / 2);
        let (r, s) = (Number::from_bytes(r)?, Number::from_bytes(s)?);
        // SAFETY: it takes nothing.
        let made = unsafe { sys::DSA_SIG_new() };
        // SAFETY: the new signature is nobody else's.
        let signature = unsafe { DsaSignature::take(made) }?;
        // SAFETY: signature and numbers are alive; it takes over the numbers if it succeeds.
        check(unsafe { sys::DSA_SIG_set0(signature.as_ptr(), r.as_ptr(), s.as_ptr()) })?;
        // They are the signature's now, and freed with it.
        core::mem::forget((r, s));
        let mut valid = 0;
        let (data, len, key) = (digest.as_ptr(), digest.len(), self.dsa.as_ptr());
        // SAFETY: the digest is readable for its length, there is room for the answer, and
        // signature and key are alive.
        check(unsafe {
            sys::DSA_do_check_signature(&mut valid, data, len, signature.as_ptr(), key)
        })?;
        if valid == 1 { Ok(()) } else { Err(Error::Invalid) }
    }
}

/// A private key, with its public value.
pub struct PrivateKey {
    dsa: Dsa,
    half: usize,
}

// SAFETY: as for the public key.
unsafe impl Send for PrivateKey {}
// SAFETY: as for the public key; signing does not change the key.
unsafe impl Sync for PrivateKey {}

impl PrivateKey {
    /// A new key (FIPS 186-4, B.1.2).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if these are no domain parameters.
    pub fn generate(group: Group<'_>) -> Result<Self> {
        let dsa = group.open()?;
        // SAFETY: the parameters are alive and nobody else's.
        check(unsafe { sys::DSA_generate_key(dsa.as_ptr()) })?;
        Ok(Self { dsa, half: group.half()? })
    }

    /// The key of a private value: from 1 to the smaller prime minus 1.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another value, and if these are no domain parameters.
    pub fn from_value(group: Group<'_>, value: &[u8]) -> Result<Self> {
        let (dsa, private) = (group.open()?, Number::from_bytes(value)?);
        let (prime, subprime) =
            (Number::from_bytes(group.prime)?, Number::from_bytes(group.subprime)?);
        let base = Number::from_bytes(group.base)?;
        if private.is_zero() || !private.is_below(&subprime) || !base.is_below(&prime) {
            return Err(Error::Invalid);
        }
        let public = base.power(&private, &prime)?;
        // SAFETY: key and numbers are alive; it takes over the numbers if it succeeds.
        check(unsafe { sys::DSA_set0_key(dsa.as_ptr(), public.as_ptr(), private.as_ptr()) })?;
        core::mem::forget((public, private));
        Ok(Self { dsa, half: group.half()? })
    }

    /// The private value, without leading zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn value(&self) -> Result<Zeroizing<Vec<u8>>> {
        // SAFETY: the key is alive.
        let value = unsafe { sys::DSA_get0_priv_key(self.dsa.as_ptr()) };
        // SAFETY: the number lives as long as the key.
        unsafe { number::bytes(value) }.ok_or_else(failed)
    }

    /// The public value, without leading zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn public(&self) -> Result<Vec<u8>> {
        // SAFETY: the key is alive.
        let value = unsafe { sys::DSA_get0_pub_key(self.dsa.as_ptr()) };
        // SAFETY: the number lives as long as the key.
        unsafe { number::bytes(value) }.map(|value| value.to_vec()).ok_or_else(failed)
    }

    /// The length of a signature in bytes.
    pub fn signature_len(&self) -> usize {
        2 * self.half
    }

    /// Signs a digest: r and s, each as long as the smaller prime.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the domain parameters were none.
    pub fn sign(&self, digest: &[u8]) -> Result<Vec<u8>> {
        let (data, len) = (digest.as_ptr(), digest.len());
        // SAFETY: the digest is readable for its length, and the key alive.
        let made = unsafe { sys::DSA_do_sign(data, len, self.dsa.as_ptr()) };
        // SAFETY: the new signature is nobody else's.
        let signature = unsafe { DsaSignature::take(made) }?;
        let (mut r, mut s) = (core::ptr::null(), core::ptr::null());
        // SAFETY: the signature is alive, and both places can be written.
        unsafe { sys::DSA_SIG_get0(signature.as_ptr(), &mut r, &mut s) };
        let mut out = vec![0; 2 * self.half];
        let (first, second) = out.split_at_mut(self.half);
        // SAFETY: the number lives as long as the signature.
        unsafe { number::write(r, first) }?;
        // SAFETY: as above.
        unsafe { number::write(s, second) }?;
        Ok(out)
    }
}

impl Number {
    fn bits(&self) -> u64 {
        // SAFETY: the number is alive.
        u64::from(unsafe { sys::BN_num_bits(self.as_ptr()) })
    }

    fn is_odd(&self) -> bool {
        // SAFETY: the number is alive.
        unsafe { sys::BN_is_odd(self.as_ptr()) != 0 }
    }

    fn is_zero(&self) -> bool {
        // SAFETY: the number is alive.
        unsafe { sys::BN_is_zero(self.as_ptr()) != 0 }
    }

    fn is_one(&self) -> bool {
        // SAFETY: the number is alive.
        unsafe { sys::BN_is_one(self.as_ptr()) != 0 }
    }

    fn is_zero_or_one(&self) -> bool {
        self.is_zero() || self.is_one()
    }

    fn is_below(&self, other: &Self) -> bool {
        // SAFETY: both numbers are alive.
        unsafe { sys::BN_ucmp(self.as_ptr(), other.as_ptr()) < 0 }
    }

    /// This number, to a power that may be secret, modulo an odd number that it is below.
    fn power(&self, exponent: &Self, modulus: &Self) -> Result<Self> {
        // SAFETY: it takes nothing.
        let made = unsafe { sys::BN_CTX_new() };
        // SAFETY: the new context is nobody else's.
        let context = unsafe { NumberContext::take(made) }?;
        let result = Self::from_bytes(&[])?;
        let (base, power) = (self.as_ptr(), exponent.as_ptr());
        let (context, none) = (context.as_ptr(), core::ptr::null());
        // SAFETY: numbers and context are alive; without what was prepared for the modulus it
        // prepares that itself.
        check(unsafe {
            sys::BN_mod_exp_mont_consttime(
                result.as_ptr(),
                base,
                power,
                modulus.as_ptr(),
                context,
                none,
            )
        })?;
        Ok(result)
    }
}
