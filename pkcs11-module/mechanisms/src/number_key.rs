//! The structures of keys that are numbers modulo a prime, DH's and DSA's: `SubjectPublicKeyInfo`
//! (RFC 3279) and `PrivateKeyInfo` (RFC 5208), with the numbers of the group in the algorithm.

use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{
    AnyRef, Decode, DecodeValue, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged,
};
use strongroom_types::{Bytes, Error, Result};

use crate::plain_key::{encode, octets};

/// `AlgorithmIdentifier`.
#[derive(Sequence)]
struct Algorithm<'a> {
    identifier: ObjectIdentifier,
    parameters: AnyRef<'a>,
}

/// `SubjectPublicKeyInfo`.
#[derive(Sequence)]
struct PublicKeyInfo<'a> {
    algorithm: Algorithm<'a>,
    key: BitStringRef<'a>,
}

/// `PrivateKeyInfo`, as far as it is written.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: Algorithm<'a>,
    key: &'a OctetStringRef,
}

/// Numbers of a group, to be written: errors are `CKR_DOMAIN_PARAMS_INVALID`.
pub(crate) fn number(bytes: &[u8]) -> Result<UintRef<'_>> {
    UintRef::new(bytes).map_err(|_| {
        Error::DomainParamsInvalid.since("CKA_PRIME, CKA_SUBPRIME or CKA_BASE is too long")
    })
}

/// The DER of the numbers of a group.
fn parameters(group: &impl Encode) -> Result<Vec<u8>> {
    group.to_der().map_err(|_| Error::DomainParamsInvalid)
}

fn algorithm(identifier: ObjectIdentifier, parameters: &[u8]) -> Result<Algorithm<'_>> {
    let parameters = AnyRef::from_der(parameters).map_err(|_| Error::DomainParamsInvalid)?;
    Ok(Algorithm { identifier, parameters })
}

/// A number in DER.
fn integer(value: &[u8]) -> Result<Bytes> {
    let number = UintRef::new(value);
    encode(&number.map_err(|_| Error::AttributeValueInvalid.since("CKA_VALUE is too long"))?)
}

/// Writes the structure of a public key.
pub(crate) fn to_spki(
    identifier: ObjectIdentifier,
    group: &impl Encode,
    value: &[u8],
) -> Result<Vec<u8>> {
    let (parameters, value) = (parameters(group)?, integer(value)?);
    let key = BitStringRef::from_bytes(&value).map_err(|_| Error::AttributeValueInvalid)?;
    let info = PublicKeyInfo { algorithm: algorithm(identifier, &parameters)?, key };
    info.to_der().map_err(|_| Error::FunctionFailed)
}

/// Writes the structure of a private key.
pub(crate) fn to_pkcs8(
    identifier: ObjectIdentifier,
    group: &impl Encode,
    value: &[u8],
) -> Result<Bytes> {
    let (parameters, value) = (parameters(group)?, integer(value)?);
    let algorithm = algorithm(identifier, &parameters)?;
    encode(&PrivateKeyInfo { version: 0, algorithm, key: octets(&value)? })
}

/// Reads the structure of a private key: the numbers of the group, and the value.
pub(crate) fn from_pkcs8<'a, G: DecodeValue<'a, Error = der::Error> + Sequence<'a> + 'a>(
    identifier: ObjectIdentifier,
    der: &'a [u8],
) -> Result<(G, &'a [u8])> {
    let read = || {
        let mut outer = SliceReader::new(der)?;
        let all = outer.sequence(|reader: &mut SliceReader<'a>| {
            let version = u8::decode(reader)?;
            let algorithm = Algorithm::decode(reader)?;
            let key = <&OctetStringRef>::decode(reader)?;
            while !reader.is_finished() {
                // Attributes say nothing about the key.
                match AnyRef::decode(reader)?.tag() {
                    Tag::ContextSpecific { constructed: true, number: TagNumber(0) } => {}
                    tag => return Err(der::Error::from(tag.value_error())),
                }
            }
            if version != 0 || algorithm.identifier != identifier {
                return Err(Tag::ObjectIdentifier.value_error().into());
            }
            let group = algorithm.parameters.decode_as()?;
            Ok((group, UintRef::from_der(key.as_bytes())?.as_bytes()))
        })?;
        outer.finish()?;
        Ok::<_, der::Error>(all)
    };
    read().map_err(|_| Error::WrappedKeyInvalid)
}
