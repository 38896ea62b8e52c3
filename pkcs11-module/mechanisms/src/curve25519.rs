//! What the keys of Ed25519 and X25519 have in common: 32 bytes of either kind.

use strongroom_awslc::curve25519::{Algorithm, KEY_LEN, SigningKey, x25519_public};
use strongroom_types::{Attributes, Bytes, Class, Error, KeyType, Result, attribute};
use zeroize::Zeroizing;

use crate::curve::{self, Curve, Group};
use crate::failure::or;
use crate::public_key_info;

/// Checks a key and puts it into the normal form.
pub(crate) fn complete(key: &mut Attributes, key_type: KeyType) -> Result<()> {
    let (curve, algorithm) = curve(key, key_type)?;
    let public = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => public(curve, key)?,
        Some(Class::PRIVATE_KEY) => public_of(algorithm, &*private(key)?)?,
        _ => return Err(Error::TemplateInconsistent),
    };
    curve.set_params(key);
    curve::set_point(key, curve, &public)?;
    public_key_info::set(key, &algorithm.to_spki(&public).map_err(or(Error::FunctionFailed))?)
}

/// The curve of a key.
pub(crate) fn curve(key: &Attributes, key_type: KeyType) -> Result<(&'static Curve, Algorithm)> {
    let curve = Curve::of(key, key_type)?;
    match curve.group {
        Group::Curve25519(algorithm) => Ok((curve, algorithm)),
        Group::Prime(_) => Err(Error::CurveNotSupported),
    }
}

/// The public key of a public key object. Any 32 bytes are one: those that are no point verify
/// nothing, and agree on nothing.
pub(crate) fn public(curve: &Curve, key: &Attributes) -> Result<[u8; KEY_LEN]> {
    let point = key.need(attribute::EC_POINT)?;
    let point = curve.bare_point(point).ok_or(Error::AttributeValueInvalid)?;
    point.try_into().map_err(|_| Error::AttributeValueInvalid)
}

/// The seed or scalar of a private key object.
pub(crate) fn private(key: &Attributes) -> Result<Zeroizing<[u8; KEY_LEN]>> {
    let value = key.need(attribute::VALUE)?;
    value.try_into().map(Zeroizing::new).map_err(|_| Error::AttributeValueInvalid)
}

fn public_of(algorithm: Algorithm, private: &[u8; KEY_LEN]) -> Result<[u8; KEY_LEN]> {
    match algorithm {
        Algorithm::Ed25519 => {
            SigningKey::from_seed(private).public().try_into().map_err(|_| Error::FunctionFailed)
        }
        Algorithm::X25519 => Ok(x25519_public(private)),
    }
}

/// The seed of a signing key.
pub(crate) fn seed(key: &SigningKey) -> Result<Zeroizing<[u8; KEY_LEN]>> {
    key.seed().try_into().map(Zeroizing::new).map_err(|_| Error::FunctionFailed)
}

/// Puts a new pair into its two objects.
pub(crate) fn set_pair(
    key_type: KeyType,
    value: &[u8; KEY_LEN],
    public: &mut Attributes,
    private: &mut Attributes,
) -> Result<()> {
    let (curve, algorithm) = curve(public, key_type)?;
    curve.set_params(public);
    curve::set_point(public, curve, &public_of(algorithm, value)?)?;
    curve.set_params(private);
    private.set(attribute::VALUE, value.as_slice());
    Ok(())
}

/// See [`KeyTypeRow::to_pkcs8`](crate::KeyTypeRow).
pub(crate) fn to_pkcs8(key: &Attributes, algorithm: Algorithm) -> Result<Bytes> {
    algorithm.to_pkcs8(&*private(key)?).map_err(or(Error::KeyNotWrappable))
}

/// See [`KeyTypeRow::from_pkcs8`](crate::KeyTypeRow).
pub(crate) fn from_pkcs8(der: &[u8], algorithm: Algorithm, key: &mut Attributes) -> Result<()> {
    let value = algorithm.from_pkcs8(der).map_err(or(Error::WrappedKeyInvalid))?;
    let of = |curve: &&Curve| curve.group == Group::Curve25519(algorithm);
    curve::CURVES.iter().find(of).ok_or(Error::WrappedKeyInvalid)?.set_params(key);
    key.set(attribute::VALUE, value.as_slice());
    Ok(())
}
