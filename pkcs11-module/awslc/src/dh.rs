//! Diffie-Hellman over the integers modulo a prime (PKCS #3, RFC 7919).

use core::ffi::{c_int, c_uint};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::number;
use crate::owned::{Dh, Number};

/// A group: a prime and a base, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The prime.
    pub prime: &'a [u8],
    /// The base.
    pub base: &'a [u8],
}

impl Group<'_> {
    /// The group, with no key yet.
    fn open(self) -> Result<Dh> {
        let (prime, base) = (Number::from_bytes(self.prime)?, Number::from_bytes(self.base)?);
        // SAFETY: it takes nothing.
        let made = unsafe { sys::DH_new() };
        // SAFETY: the new group is nobody else's.
        let dh = unsafe { Dh::take(made) }?;
        let (p, q, g) = (prime.as_ptr(), core::ptr::null_mut(), base.as_ptr());
        // SAFETY: all are alive, and the order may be null; it takes over the numbers if it
        // succeeds.
        check(unsafe { sys::DH_set0_pqg(dh.as_ptr(), p, q, g) })?;
        // They are the group's now, and freed with it.
        core::mem::forget((prime, base));
        Ok(dh)
    }

    /// The size of the prime in bits.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn bits(self) -> Result<u64> {
        let dh = self.open()?;
        // SAFETY: the group is alive and has its prime.
        Ok(u64::from(unsafe { sys::DH_bits(dh.as_ptr()) }))
    }

    /// Whether the prime is a safe one: half of what is before it is a prime as well. The groups of RFC 3526 and
    /// RFC 7919 are known; others take a moment, and the longest half a minute.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if this is no group.
    pub fn has_safe_prime(self) -> Result<bool> {
        let dh = self.open()?;
        let mut faults = 0;
        // SAFETY: the group is alive, and there is room for the answer.
        check(unsafe { sys::DH_check(dh.as_ptr(), &mut faults) })?;
        Ok(faults & (sys::DH_CHECK_P_NOT_PRIME | sys::DH_CHECK_P_NOT_SAFE_PRIME) == 0)
    }

    /// Whether a number is a public value: more than 1 and less than the prime minus 1.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not, or if this is no group.
    pub fn check_public(self, value: &[u8]) -> Result<()> {
        let (dh, value) = (self.open()?, Number::from_bytes(value)?);
        let mut faults = 0;
        // SAFETY: group and number are alive, and there is room for the answer.
        check(unsafe { sys::DH_check_pub_key(dh.as_ptr(), value.as_ptr(), &mut faults) })?;
        if faults == 0 { Ok(()) } else { Err(Error::Invalid) }
    }
}

/// A new group: a safe prime of so many bits, and the base 2.
///
/// # Errors
///
/// [`Error::Invalid`] for a size that there is not.
pub fn generate_group(bits: u64) -> Result<(Vec<u8>, Vec<u8>)> {
    let bits = c_int::try_from(bits).map_err(|_| Error::Invalid)?;
    // SAFETY: it takes nothing.
    let made = unsafe { sys::DH_new() };
    // SAFETY: the new group is nobody else's.
    let dh = unsafe { Dh::take(made) }?;
    let callback = core::ptr::null_mut();
    // SAFETY: the group is alive, and the callback may be null.
    check(unsafe { sys::DH_generate_parameters_ex(dh.as_ptr(), bits, BASE, callback) })?;
    // SAFETY: the group is alive, and has its numbers.
    let prime = unsafe { sys::DH_get0_p(dh.as_ptr()) };
    // SAFETY: as above.
    let base = unsafe { sys::DH_get0_g(dh.as_ptr()) };
    // SAFETY: the number lives as long as the group.
    let prime = unsafe { number::bytes(prime) }.ok_or_else(failed)?.to_vec();
    // SAFETY: as above.
    let base = unsafe { number::bytes(base) }.ok_or_else(failed)?.to_vec();
    Ok((prime, base))
}

/// The base of new groups: it generates all of the group, as AWS-LC chooses the prime.
const BASE: c_int = 2;

/// A private key, with its public value.
pub struct PrivateKey(Dh);

// SAFETY: no thread owns a `DH`, and nothing here changes one that has been built.
unsafe impl Send for PrivateKey {}
// SAFETY: dh.h allows any number of threads to use a key that none of them changes.
unsafe impl Sync for PrivateKey {}

impl PrivateKey {
    /// A new key, with a private value of at most so many bits (SP 800-56A, 5.6.1.1.4).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if this is no group.
    pub fn generate(group: Group<'_>, bits: Option<u64>) -> Result<Self> {
        let dh = group.open()?;
        if let Some(bits) = bits {
            let bits = c_uint::try_from(bits).map_err(|_| Error::Invalid)?;
            // SAFETY: the group is alive.
            check(unsafe { sys::DH_set_length(dh.as_ptr(), bits) })?;
        }
        Self::complete(dh)
    }

    /// The key of a private value: from 1 to the prime minus 1.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another value, and if this is no group.
    pub fn from_value(group: Group<'_>, value: &[u8]) -> Result<Self> {
        let (dh, value) = (group.open()?, Number::from_bytes(value)?);
        // SAFETY: the number is alive.
        let zero = unsafe { sys::BN_is_zero(value.as_ptr()) } != 0;
        // SAFETY: the group is alive and has its prime.
        let prime = unsafe { sys::DH_get0_p(dh.as_ptr()) };
        // SAFETY: both numbers are alive.
        let order = unsafe { sys::BN_ucmp(value.as_ptr(), prime) };
        if zero || order >= 0 {
            return Err(Error::Invalid);
        }
        let none = core::ptr::null_mut();
        // SAFETY: key and number are alive, and a null public value leaves that open; it takes
        // over the number if it succeeds.
        check(unsafe { sys::DH_set0_key(dh.as_ptr(), none, value.as_ptr()) })?;
        core::mem::forget(value);
        Self::complete(dh)
    }

    /// Makes the private value, if there is none, and the public one.
    fn complete(dh: Dh) -> Result<Self> {
        // SAFETY: the group is alive and nobody else's.
        check(unsafe { sys::DH_generate_key(dh.as_ptr()) })?;
        Ok(Self(dh))
    }

    /// The private value, without leading zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn value(&self) -> Result<Zeroizing<Vec<u8>>> {
        // SAFETY: the key is alive.
        let value = unsafe { sys::DH_get0_priv_key(self.0.as_ptr()) };
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
        let value = unsafe { sys::DH_get0_pub_key(self.0.as_ptr()) };
        // SAFETY: the number lives as long as the key.
        unsafe { number::bytes(value) }.map(|value| value.to_vec()).ok_or_else(failed)
    }

    /// The size of the prime in bits.
    pub fn bits(&self) -> u64 {
        // SAFETY: the key is alive and has its prime.
        u64::from(unsafe { sys::DH_bits(self.0.as_ptr()) })
    }

    /// The secret shared with a peer, as long as the prime.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if that is no public value.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let peer = Number::from_bytes(peer)?;
        let len = usize::try_from(self.bits().div_ceil(8)).map_err(|_| Error::Invalid)?;
        let mut out = Zeroizing::new(vec![0; len]);
        // SAFETY: key and number are alive, and `out` has room for a number below the prime.
        let written =
            unsafe { sys::DH_compute_key_padded(out.as_mut_ptr(), peer.as_ptr(), self.0.as_ptr()) };
        if usize::try_from(written) == Ok(len) { Ok(out) } else { Err(failed()) }
    }
}
