//! The structures of keys of the prime curves: `SubjectPublicKeyInfo` (RFC 5480), and
//! `OneAsymmetricKey` with an `ECPrivateKey` inside (RFC 5958, RFC 5915).
//!
//! A curve is named in the algorithm only, as PKCS#11 3.2, 6.7 (wrapping private keys) wants.

use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode, Encode, Sequence};
use strongroom_types::{Bytes, Error, KeyType, Result};

use crate::curve::Curve;
use crate::plain_key::{self, Algorithm, Structure, encode, octets};

/// `id-ecPublicKey`.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// `ECPrivateKey`.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    scalar: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<AnyRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    point: Option<BitStringRef<'a>>,
}

/// What the structure of a private key says.
pub(crate) struct Private<'a> {
    pub(crate) curve: &'static Curve,
    pub(crate) scalar: &'a [u8],
    /// The points of its public key, if it has them.
    pub(crate) points: Vec<&'a [u8]>,
}

/// Writes the structure of a public key.
pub(crate) fn to_spki(curve: &Curve, point: &[u8]) -> Result<Vec<u8>> {
    plain_key::to_spki(algorithm(curve)?, point)
}

/// Writes the structure of a private key.
pub(crate) fn to_pkcs8(curve: &Curve, scalar: &[u8], point: &[u8]) -> Result<Bytes> {
    let point = BitStringRef::from_bytes(point).map_err(|_| Error::KeyNotWrappable)?;
    let scalar = octets(scalar)?;
    let key = encode(&EcPrivateKey { version: 1, scalar, curve: None, point: Some(point) })?;
    plain_key::to_pkcs8(algorithm(curve)?, &key)
}

fn algorithm(curve: &Curve) -> Result<Algorithm<'static>> {
    let name = AnyRef::from_der(curve.normal()?).map_err(|_| Error::CurveNotSupported)?;
    Ok(Algorithm { identifier: EC_PUBLIC_KEY, parameters: Some(name) })
}

/// Reads the structure of a private key. The curve may stand in both places, and then is the same.
pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Private<'_>> {
    let damaged = |_| Error::WrappedKeyInvalid;
    let outer = Structure::read(der).map_err(damaged)?;
    let key = EcPrivateKey::from_der(outer.private).map_err(damaged)?;
    let Algorithm { identifier: EC_PUBLIC_KEY, parameters: Some(curve) } = outer.algorithm else {
        return Err(Error::WrappedKeyInvalid);
    };
    if key.version != 1 || key.curve.is_some_and(|inner| inner != curve) {
        return Err(Error::WrappedKeyInvalid);
    }
    let curve = curve.to_der().map_err(damaged)?;
    let curve = Curve::read(&curve, KeyType::EC).map_err(|_| Error::WrappedKeyInvalid)?;
    let inner = key.point.map(|point| point.as_bytes().ok_or(Error::WrappedKeyInvalid));
    let points = outer.public.into_iter().chain(inner.transpose()?).collect();
    Ok(Private { curve, scalar: key.scalar.as_bytes(), points })
}
