//! Keys of the prime curves: ECDSA of any digest, and ECDH.

mod p192;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::number;
use crate::owned::{EcKey, EcPoint, EcdsaSignature, Number};

/// A curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-192, also called secp192r1 and prime192v1, which AWS-LC has no name for.
    P192,
    /// P-224, also called secp224r1.
    P224,
    /// P-256, also called secp256r1 and prime256v1.
    P256,
    /// P-384, also called secp384r1.
    P384,
    /// P-521, also called secp521r1.
    P521,
    /// secp256k1.
    Secp256k1,
    /// brainpoolP224r1 (RFC 5639), as the next four.
    BrainpoolP224r1,
    /// brainpoolP256r1.
    BrainpoolP256r1,
    /// brainpoolP320r1.
    BrainpoolP320r1,
    /// brainpoolP384r1.
    BrainpoolP384r1,
    /// brainpoolP512r1.
    BrainpoolP512r1,
}

impl Curve {
    /// Every curve.
    pub const ALL: &'static [Self] = &[
        Self::P192,
        Self::P224,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Secp256k1,
        Self::BrainpoolP224r1,
        Self::BrainpoolP256r1,
        Self::BrainpoolP320r1,
        Self::BrainpoolP384r1,
        Self::BrainpoolP512r1,
    ];

    /// The length of a coordinate in bytes; that of the order is the same on these curves.
    pub const fn field_len(self) -> usize {
        match self {
            Self::P192 => 24,
            Self::P224 | Self::BrainpoolP224r1 => 28,
            Self::P256 | Self::Secp256k1 | Self::BrainpoolP256r1 => 32,
            Self::BrainpoolP320r1 => 40,
            Self::P384 | Self::BrainpoolP384r1 => 48,
            Self::BrainpoolP512r1 => 64,
            Self::P521 => 66,
        }
    }

    /// The curve that explicit parameters describe (`SpecifiedECDomain` of RFC 5480), if it is one
    /// that has a name with AWS-LC: field, coefficients, generator, order and cofactor are compared.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none, or something follows.
    pub fn of_parameters(der: &[u8]) -> Result<Self> {
        let mut input = sys::CBS { data: der.as_ptr(), len: der.len() };
        // SAFETY: the input is readable for its length, which the function moves along.
        let group = unsafe { sys::EC_KEY_parse_parameters(&raw mut input) };
        if group.is_null() {
            return Err(failed());
        }
        if input.len != 0 {
            return Err(Error::Invalid);
        }
        // What it found is one of the static groups, so there is nothing to free.
        Self::of_group(group)
    }

    fn of_group(group: *const sys::EC_GROUP) -> Result<Self> {
        let same = |curve: &Self| curve.group().is_ok_and(|own| own == group);
        Self::ALL.iter().copied().find(same).ok_or(Error::Invalid)
    }

    fn group(self) -> Result<*const sys::EC_GROUP> {
        let name = match self {
            Self::P192 => return p192::group(),
            Self::P224 => sys::NID_secp224r1,
            Self::P256 => sys::NID_X9_62_prime256v1,
            Self::P384 => sys::NID_secp384r1,
            Self::P521 => sys::NID_secp521r1,
            Self::Secp256k1 => sys::NID_secp256k1,
            Self::BrainpoolP224r1 => sys::NID_brainpoolP224r1,
            Self::BrainpoolP256r1 => sys::NID_brainpoolP256r1,
            Self::BrainpoolP320r1 => sys::NID_brainpoolP320r1,
            Self::BrainpoolP384r1 => sys::NID_brainpoolP384r1,
            Self::BrainpoolP512r1 => sys::NID_brainpoolP512r1,
        };
        // SAFETY: the groups of these names are static, in spite of what the function is called;
        // the bindings have no getters for all of them.
        Ok(unsafe { sys::EC_GROUP_new_by_curve_name(name) })
    }

    /// The order of its points, big-endian, as long as a coordinate.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn order(self) -> Result<Vec<u8>> {
        let mut out = vec![0; self.field_len()];
        let group = self.group()?;
        // SAFETY: the group is static.
        let order = unsafe { sys::EC_GROUP_get0_order(group) };
        // SAFETY: the number lives as long as the group.
        unsafe { number::write(order, &mut out) }?;
        Ok(out)
    }

    fn empty_key(self) -> Result<EcKey> {
        // SAFETY: it takes nothing.
        let made = unsafe { sys::EC_KEY_new() };
        // SAFETY: the new key is nobody else's.
        let key = unsafe { EcKey::take(made) }?;
        let group = self.group()?;
        // SAFETY: key and group are alive.
        check(unsafe { sys::EC_KEY_set_group(key.as_ptr(), group) })?;
        Ok(key)
    }

    fn empty_point(self) -> Result<EcPoint> {
        let group = self.group()?;
        // SAFETY: the group is alive.
        let made = unsafe { sys::EC_POINT_new(group) };
        // SAFETY: the new point is nobody else's.
        unsafe { EcPoint::take(made) }
    }
}

/// A public key: a point of a curve, and not the one at infinity.
pub struct PublicKey {
    curve: Curve,
    key: EcKey,
}

// SAFETY: no thread owns an `EC_KEY`, and nothing here changes one that has been built.
unsafe impl Send for PublicKey {}
// SAFETY: ec_key.h allows any number of threads to use a key that none of them changes.
unsafe impl Sync for PublicKey {}

impl PublicKey {
    /// Reads a point as in SEC 1, 2.3.4: uncompressed or compressed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there is no such point on the curve.
    pub fn from_point(curve: Curve, octets: &[u8]) -> Result<Self> {
        let point = curve.empty_point()?;
        let (data, len, group) = (octets.as_ptr(), octets.len(), curve.group()?);
        // SAFETY: group and point are alive, the octets readable; the context may be null.
        check(unsafe {
            sys::EC_POINT_oct2point(group, point.as_ptr(), data, len, core::ptr::null_mut())
        })?;
        let key = curve.empty_key()?;
        // SAFETY: key and point are alive, and of the same group.
        check(unsafe { sys::EC_KEY_set_public_key(key.as_ptr(), point.as_ptr()) })?;
        Ok(Self { curve, key })
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The point, uncompressed (SEC 1, 2.3.3).
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn point(&self) -> Result<Vec<u8>> {
        point(self.curve, &self.key)
    }

    /// Whether `signature`, r and s of the same length, is one of the digest. A digest longer than
    /// the order is cut to its leftmost bits (FIPS 186-5, 6.4.2).
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
        let made = unsafe { sys::ECDSA_SIG_new() };
        // SAFETY: the new signature is nobody else's.
        let signature = unsafe { EcdsaSignature::take(made) }?;
        // SAFETY: signature and numbers are alive; it takes over the numbers if it succeeds.
        check(unsafe { sys::ECDSA_SIG_set0(signature.as_ptr(), r.as_ptr(), s.as_ptr()) })?;
        // They are the signature's now, and freed with it.
        core::mem::forget((r, s));
        let key = self.key.as_ptr();
        // SAFETY: the digest is readable for its length; signature and key are alive.
        check(unsafe {
            sys::ECDSA_do_verify(digest.as_ptr(), digest.len(), signature.as_ptr(), key)
        })
    }
}

/// A private key, with its public key.
pub struct PrivateKey {
    curve: Curve,
    key: EcKey,
}

// SAFETY: as for the public key.
unsafe impl Send for PrivateKey {}
// SAFETY: as for the public key; signing and ECDH do not change the key.
unsafe impl Sync for PrivateKey {}

impl PrivateKey {
    /// The key of a big-endian scalar between 1 and the order, without leading zeros or with.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the scalar is zero or too large.
    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let scalar = Number::from_bytes(scalar)?;
        let key = curve.empty_key()?;
        // SAFETY: key and number are alive; it copies the number.
        check(unsafe { sys::EC_KEY_set_private_key(key.as_ptr(), scalar.as_ptr()) })?;
        let point = curve.empty_point()?;
        let (group, null) = (curve.group()?, core::ptr::null_mut());
        // SAFETY: group, point and number are alive; a null point and a null second scalar ask
        // for the multiple of the generator alone, which is computed in constant time.
        check(unsafe {
            sys::EC_POINT_mul(
                group,
                point.as_ptr(),
                scalar.as_ptr(),
                null,
                null.cast(),
                null.cast(),
            )
        })?;
        // SAFETY: key and point are alive, and of the same group.
        check(unsafe { sys::EC_KEY_set_public_key(key.as_ptr(), point.as_ptr()) })?;
        Ok(Self { curve, key })
    }

    /// A new key (FIPS 186-5, A.2.2).
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn generate(curve: Curve) -> Result<Self> {
        let key = curve.empty_key()?;
        // SAFETY: the key is alive, nobody else's, and has a group.
        check(unsafe { sys::EC_KEY_generate_key(key.as_ptr()) })?;
        Ok(Self { curve, key })
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The scalar, big-endian, padded to the length of the order.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.curve.field_len()]);
        // SAFETY: the key is alive.
        let scalar = unsafe { sys::EC_KEY_get0_private_key(self.key.as_ptr()) };
        // SAFETY: the number lives as long as the key.
        unsafe { number::write(scalar, &mut out) }?;
        Ok(out)
    }

    /// The point of its public key, uncompressed.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn point(&self) -> Result<Vec<u8>> {
        point(self.curve, &self.key)
    }

    /// Signs a digest of any length: r and s, each as long as the order.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn sign(&self, digest: &[u8]) -> Result<Vec<u8>> {
        // SAFETY: the digest is readable for its length, and the key alive.
        let made = unsafe { sys::ECDSA_do_sign(digest.as_ptr(), digest.len(), self.key.as_ptr()) };
        // SAFETY: the new signature is nobody else's.
        let signature = unsafe { EcdsaSignature::take(made) }?;
        let len = self.curve.field_len();
        let mut out = vec![0; 2 * len];
        let (r, s) = out.split_at_mut(len);
        // SAFETY: the signature is alive.
        let number = unsafe { sys::ECDSA_SIG_get0_r(signature.as_ptr()) };
        // SAFETY: the number lives as long as the signature.
        unsafe { number::write(number, r) }?;
        // SAFETY: the signature is alive.
        let number = unsafe { sys::ECDSA_SIG_get0_s(signature.as_ptr()) };
        // SAFETY: the number lives as long as the signature.
        unsafe { number::write(number, s) }?;
        Ok(out)
    }

    /// The secret shared with a peer (SP 800-56A, 5.7.1.2): the x coordinate, padded to the field.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the peer's key is of another curve.
    pub fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<Vec<u8>>> {
        if peer.curve != self.curve {
            return Err(Error::Invalid);
        }
        let mut out = Zeroizing::new(vec![0; self.curve.field_len()]);
        // SAFETY: the peer's key is alive.
        let point = unsafe { sys::EC_KEY_get0_public_key(peer.key.as_ptr()) };
        let (data, len, key) = (out.as_mut_ptr().cast(), out.len(), self.key.as_ptr());
        // SAFETY: `out` is writable for its length, point and key are alive and of one group.
        let written = unsafe { sys::ECDH_compute_key(data, len, point, key, None) };
        if usize::try_from(written) == Ok(len) { Ok(out) } else { Err(failed()) }
    }
}

fn point(curve: Curve, key: &EcKey) -> Result<Vec<u8>> {
    let mut out = vec![0; 1 + 2 * curve.field_len()];
    // SAFETY: the key is alive.
    let point = unsafe { sys::EC_KEY_get0_public_key(key.as_ptr()) };
    if point.is_null() {
        return Err(Error::Invalid);
    }
    let form = sys::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED;
    let (group, data, len) = (curve.group()?, out.as_mut_ptr(), out.len());
    // SAFETY: group and point are alive, `out` is writable for its length, the context may be null.
    let written =
        unsafe { sys::EC_POINT_point2oct(group, point, form, data, len, core::ptr::null_mut()) };
    if written == len { Ok(out) } else { Err(failed()) }
}
