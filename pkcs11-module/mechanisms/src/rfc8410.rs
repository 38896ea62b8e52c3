//! What the keys of Ed25519, X25519, Ed448 and X448 have in common (RFC 8410): private and public
//! keys are bytes, of one length for each of them. Any bytes are a private key, and a public key of
//! X25519 or X448; a public key of Ed25519 or Ed448 is a point.

use der::Decode;
use der::asn1::OctetStringRef;
use strongroom_awslc::curve25519;
use strongroom_types::{Attributes, Bytes, Class, Error, KeyType, Result, attribute};

use crate::curve::{self, CURVES, Curve, Group};
use crate::plain_key::{self, Structure, encode, octets};
use crate::{curve448, edwards25519, public_key_info};

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Signatures on edwards25519.
    Ed25519,
    /// Key agreement on curve25519.
    X25519,
    /// Signatures on edwards448.
    Ed448,
    /// Key agreement on curve448.
    X448,
}

impl Algorithm {
    /// The length of a private and of a public key in bytes.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::X25519 => curve25519::KEY_LEN,
            Self::Ed448 => curve448::ED448_KEY_LEN,
            Self::X448 => curve448::X448_KEY_LEN,
        }
    }

    /// The public key of a private one.
    pub(crate) fn public_of(self, private: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Ed25519 => {
                Ok(curve25519::SigningKey::from_seed(array(private)?).public().to_vec())
            }
            Self::X25519 => Ok(curve25519::x25519_public(array(private)?).to_vec()),
            Self::Ed448 => Ok(curve448::SigningKey::from_seed(array(private)?).public()),
            Self::X448 => Ok(curve448::x448_public(array(private)?)),
        }
    }

    /// Refuses what is no public key. RFC 7748, 5, wants every number taken as the coordinate of one: that
    /// of a peer which agrees on nothing is told when it does.
    fn check_public(self, point: &[u8]) -> Result<()> {
        let is_key = match self {
            Self::Ed25519 => edwards25519::is_key(array(point)?),
            Self::Ed448 => curve448::VerifyingKey::read(array(point)?).is_some(),
            Self::X25519 | Self::X448 => true,
        };
        if is_key { Ok(()) } else { Err(curve::no_point()) }
    }

    /// A new private key.
    pub(crate) fn generate(self) -> Result<Bytes> {
        let mut private = Bytes::new(vec![0; self.key_len()]);
        crate::random(&mut private)?;
        Ok(private)
    }
}

/// Bytes of a length that has been checked when the key was made.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Result<&[u8; N]> {
    bytes.try_into().map_err(|_| Error::AttributeValueInvalid.since(curve::NO_PRIVATE_KEY))
}

/// Checks a key and puts it into the normal form.
pub(crate) fn complete(key: &mut Attributes, key_type: KeyType) -> Result<()> {
    let (curve, algorithm) = curve(key, key_type)?;
    let public = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let point = public(curve, key)?;
            algorithm.check_public(point)?;
            point.to_vec()
        }
        Some(Class::PRIVATE_KEY) => algorithm.public_of(private(algorithm, key)?)?,
        _ => return Err(Error::TemplateInconsistent),
    };
    curve.set_params(key);
    curve::set_point(key, curve, &public)?;
    public_key_info::set(key, &plain_key::to_spki(curve.identifier()?, &public)?)
}

/// The curve of a key.
pub(crate) fn curve(key: &Attributes, key_type: KeyType) -> Result<(&'static Curve, Algorithm)> {
    let curve = Curve::of(key, key_type)?;
    match curve.group {
        Group::Rfc8410(algorithm) => Ok((curve, algorithm)),
        Group::Prime(_) => Err(curve::other_curve()),
    }
}

/// The public key of a public key object. One that is kept may be no point, for tokens did not ask once:
/// it verifies nothing, and agrees on nothing.
pub(crate) fn public<'a>(curve: &Curve, key: &'a Attributes) -> Result<&'a [u8]> {
    let point = key.need(attribute::EC_POINT)?;
    curve.bare_point(point).ok_or_else(curve::no_point)
}

/// The seed or scalar of a private key object.
pub(crate) fn private(algorithm: Algorithm, key: &Attributes) -> Result<&[u8]> {
    let value = key.need(attribute::VALUE)?;
    match value.len() == algorithm.key_len() {
        true => Ok(value),
        false => Err(Error::AttributeValueInvalid.since(curve::NO_PRIVATE_KEY)),
    }
}

/// Generates a pair on the curve that the public template names.
pub(crate) fn generate(
    key_type: KeyType,
    public: &mut Attributes,
    private: &mut Attributes,
) -> Result<()> {
    let (curve, algorithm) = curve(public, key_type)?;
    let value = algorithm.generate()?;
    curve.set_params(public);
    curve::set_point(public, curve, &algorithm.public_of(&value)?)?;
    curve.set_params(private);
    private.set(attribute::VALUE, value);
    Ok(())
}

/// See [`KeyTypeRow::to_pkcs8`](crate::KeyTypeRow).
pub(crate) fn to_pkcs8(key: &Attributes, key_type: KeyType) -> Result<Bytes> {
    let (curve, algorithm) = curve(key, key_type)?;
    // `CurvePrivateKey` is an OCTET STRING of its own.
    let value = encode(&octets(private(algorithm, key)?)?)?;
    plain_key::to_pkcs8(curve.identifier()?, &value)
}

/// See [`KeyTypeRow::from_pkcs8`](crate::KeyTypeRow).
pub(crate) fn from_pkcs8(der: &[u8], key: &mut Attributes, key_type: KeyType) -> Result<()> {
    let read = || {
        let (identifier, structure) = Structure::read_plain(der)?;
        let value = <&OctetStringRef>::from_der(structure.private)?;
        Ok::<_, der::Error>((identifier, structure.public, value.as_bytes()))
    };
    let (identifier, public, value) = read().map_err(|_| Error::WrappedKeyInvalid)?;
    let of_type = CURVES.iter().filter(|curve| curve.key_type == key_type);
    let curve = of_type.into_iter().find(|curve| curve.identifier() == Ok(identifier));
    let curve = curve.ok_or(Error::WrappedKeyInvalid)?;
    let Group::Rfc8410(algorithm) = curve.group else { return Err(Error::WrappedKeyInvalid) };
    let computed = algorithm.public_of(value).map_err(|_| Error::WrappedKeyInvalid)?;
    if public.is_some_and(|public| public != computed) {
        return Err(Error::WrappedKeyInvalid);
    }
    curve.set_params(key);
    key.set(attribute::VALUE, value);
    Ok(())
}
