//! Curves: how `CKA_EC_PARAMS` names them, and how `CKA_EC_POINT` writes their points (PKCS#11
//! 3.2, 6.3).
//!
//! An application may write either attribute in more than one way; every key has them in the
//! normal form, which is the object identifier and the DER OCTET STRING. A curve that is described
//! instead of named must be one of those here, and keeps its description: whoever writes one
//! compares it with what comes back.

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Decode, Encode, Tag, Tagged};
use strongroom_awslc::ec;
use strongroom_types::attribute::kind;
use strongroom_types::{Attribute, Attributes, Error, KeyType, Result, attribute, ck};

use crate::rfc8410::Algorithm;

/// A curve.
pub(crate) struct Curve {
    /// The type of its keys.
    pub(crate) key_type: KeyType,
    /// What computes on it.
    pub(crate) group: Group,
    /// The size of its field in bits, which is what the mechanisms report as the size of a key.
    pub(crate) bits: u64,
    /// The object identifiers in DER, the normal one first.
    identifiers: &'static [&'static [u8]],
    /// The names that a PrintableString may have, and that the standards call it by.
    names: &'static [&'static str],
}

/// What computes on a curve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// ECDSA and ECDH.
    Prime(ec::Curve),
    /// EdDSA, or ECDH by one coordinate.
    Rfc8410(Algorithm),
}

/// Every curve of the token.
pub(crate) static CURVES: &[Curve] = &[
    // 1.2.840.10045.3.1.1
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::P192),
        bits: 192,
        identifiers: &[b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01"],
        names: &["secp192r1", "prime192v1", "P-192"],
    },
    // 1.2.840.10045.3.1.7
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::P256),
        bits: 256,
        identifiers: &[b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"],
        names: &["secp256r1", "prime256v1", "P-256"],
    },
    // 1.3.132.0.34
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::P384),
        bits: 384,
        identifiers: &[b"\x06\x05\x2b\x81\x04\x00\x22"],
        names: &["secp384r1", "P-384"],
    },
    // 1.3.132.0.35
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::P521),
        bits: 521,
        identifiers: &[b"\x06\x05\x2b\x81\x04\x00\x23"],
        names: &["secp521r1", "P-521"],
    },
    // 1.3.132.0.10
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::Secp256k1),
        bits: 256,
        identifiers: &[b"\x06\x05\x2b\x81\x04\x00\x0a"],
        names: &["secp256k1"],
    },
    // 1.3.132.0.33
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::P224),
        bits: 224,
        identifiers: &[b"\x06\x05\x2b\x81\x04\x00\x21"],
        names: &["secp224r1", "P-224"],
    },
    // 1.3.36.3.3.2.8.1.1.5
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::BrainpoolP224r1),
        bits: 224,
        identifiers: &[b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x05"],
        names: &["brainpoolP224r1"],
    },
    // 1.3.36.3.3.2.8.1.1.7
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::BrainpoolP256r1),
        bits: 256,
        identifiers: &[b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07"],
        names: &["brainpoolP256r1"],
    },
    // 1.3.36.3.3.2.8.1.1.9
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::BrainpoolP320r1),
        bits: 320,
        identifiers: &[b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x09"],
        names: &["brainpoolP320r1"],
    },
    // 1.3.36.3.3.2.8.1.1.11
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::BrainpoolP384r1),
        bits: 384,
        identifiers: &[b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"],
        names: &["brainpoolP384r1"],
    },
    // 1.3.36.3.3.2.8.1.1.13
    Curve {
        key_type: KeyType::EC,
        group: Group::Prime(ec::Curve::BrainpoolP512r1),
        bits: 512,
        identifiers: &[b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"],
        names: &["brainpoolP512r1"],
    },
    // 1.3.101.112 (RFC 8410), and 1.3.6.1.4.1.11591.15.1, which GnuPG's smart cards have.
    Curve {
        key_type: KeyType::EC_EDWARDS,
        group: Group::Rfc8410(Algorithm::Ed25519),
        bits: 255,
        identifiers: &[b"\x06\x03\x2b\x65\x70", b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01"],
        names: &["edwards25519", "Ed25519"],
    },
    // 1.3.101.110 (RFC 8410), and 1.3.6.1.4.1.3029.1.5.1, which GnuPG's smart cards have.
    Curve {
        key_type: KeyType::EC_MONTGOMERY,
        group: Group::Rfc8410(Algorithm::X25519),
        bits: 255,
        identifiers: &[
            b"\x06\x03\x2b\x65\x6e",
            b"\x06\x0a\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01",
        ],
        names: &["curve25519", "X25519"],
    },
    // 1.3.101.113 (RFC 8410)
    Curve {
        key_type: KeyType::EC_EDWARDS,
        group: Group::Rfc8410(Algorithm::Ed448),
        bits: 448,
        identifiers: &[b"\x06\x03\x2b\x65\x71"],
        names: &["edwards448", "Ed448"],
    },
    // 1.3.101.111 (RFC 8410)
    Curve {
        key_type: KeyType::EC_MONTGOMERY,
        group: Group::Rfc8410(Algorithm::X448),
        bits: 448,
        identifiers: &[b"\x06\x03\x2b\x65\x6f"],
        names: &["curve448", "X448"],
    },
];

/// What the mechanisms of all curves tell about them: named curves over prime fields, by
/// identifier and by name, points uncompressed and compressed (6.3, table of flags).
pub(crate) const FLAGS: u64 = ck!(CKF_EC_F_P)
    | ck!(CKF_EC_OID)
    | ck!(CKF_EC_CURVENAME)
    | ck!(CKF_EC_UNCOMPRESS)
    | ck!(CKF_EC_COMPRESS);

impl Curve {
    /// The curve of a key, by its `CKA_EC_PARAMS`.
    pub(crate) fn of(key: &Attributes, key_type: KeyType) -> Result<&'static Self> {
        Self::read(key.need(attribute::EC_PARAMS)?, key_type)
    }

    /// Reads `CKA_EC_PARAMS`.
    pub(crate) fn read(params: &[u8], key_type: KeyType) -> Result<&'static Self> {
        CURVES
            .iter()
            .find(|curve| curve.key_type == key_type && curve.is_called(params))
            .ok_or_else(|| match AnyRef::from_der(params) {
                Ok(_) => other_curve(),
                Err(_) => Error::DomainParamsInvalid.since("CKA_EC_PARAMS is no DER"),
            })
    }

    fn is_called(&self, params: &[u8]) -> bool {
        if self.identifiers.contains(&params) {
            return true;
        }
        let Ok(any) = AnyRef::from_der(params) else { return false };
        match (any.tag(), self.group) {
            (Tag::PrintableString, _) => {
                self.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(any.value()))
            }
            (Tag::Sequence, Group::Prime(curve)) => ec::Curve::of_parameters(params) == Ok(curve),
            _ => false,
        }
    }

    /// The normal form of `CKA_EC_PARAMS`.
    pub(crate) fn normal(&self) -> Result<&'static [u8]> {
        self.identifiers.first().copied().ok_or(Error::CurveNotSupported)
    }

    /// The object identifier, which the structures of RFC 8410 have for the algorithm.
    pub(crate) fn identifier(&self) -> Result<ObjectIdentifier> {
        ObjectIdentifier::from_der(self.normal()?).map_err(|_| Error::CurveNotSupported)
    }

    /// Puts the normal form of `CKA_EC_PARAMS` into a key, instead of another name.
    pub(crate) fn set_params(&self, key: &mut Attributes) {
        let described = given(key, attribute::EC_PARAMS)
            .and_then(|params| AnyRef::from_der(params).ok())
            .is_some_and(|params| params.tag() == Tag::Sequence);
        if let (false, Some(normal)) = (described, self.identifiers.first()) {
            key.set(attribute::EC_PARAMS, *normal);
        }
    }

    /// Takes a point out of its DER, if it is in one. A bare point is told by its length, which no
    /// point in DER has.
    pub(crate) fn bare_point<'a>(&self, point: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_point_len(point.len()) {
            return Some(point);
        }
        let any = AnyRef::from_der(point).ok()?;
        let bare = match any.tag() {
            Tag::OctetString => any.value(),
            // RFC 5480 and RFC 8410 write a public key so; no bit of its last byte is unused.
            Tag::BitString => any.value().strip_prefix(&[0])?,
            _ => return None,
        };
        self.is_point_len(bare.len()).then_some(bare)
    }

    fn is_point_len(&self, len: usize) -> bool {
        match self.group {
            // Uncompressed, compressed.
            Group::Prime(curve) => len == 1 + 2 * curve.field_len() || len == 1 + curve.field_len(),
            Group::Rfc8410(algorithm) => len == algorithm.key_len(),
        }
    }
}

/// Puts the normal form of `CKA_EC_POINT` into a key. A point that is there already must be the
/// same: on a private key it is computed.
pub(crate) fn set_point(key: &mut Attributes, curve: &Curve, point: &[u8]) -> Result<()> {
    let der = AnyRef::new(Tag::OctetString, point).and_then(|octets| octets.to_der());
    let der = der.map_err(|_| no_point())?;
    if let Some(given) = given(key, attribute::EC_POINT) {
        let compressed = curve.bare_point(given).ok_or_else(no_point)?;
        if !same(curve, compressed, point) {
            return Err(Error::TemplateInconsistent
                .since("CKA_EC_POINT is not the point that belongs to the key"));
        }
    }
    key.set(attribute::EC_POINT, der.as_slice());
    Ok(())
}

/// Whether two bare points are the same; the first may be compressed.
pub(crate) fn same(curve: &Curve, given: &[u8], point: &[u8]) -> bool {
    match curve.group {
        Group::Prime(group) if given.len() != point.len() => {
            ec::PublicKey::from_point(group, given)
                .and_then(|key| key.point())
                .is_ok_and(|given| given == point)
        }
        _ => given == point,
    }
}

/// Why bytes are no key.
pub(crate) const NO_POINT: &str = "CKA_EC_POINT is no point of the curve";
pub(crate) const NO_PRIVATE_KEY: &str = "CKA_VALUE is no private key of the curve";

/// A point that is none.
pub(crate) fn no_point() -> Error {
    Error::AttributeValueInvalid.since(NO_POINT)
}

/// A curve that is none of those that keys of the type can be on.
pub(crate) fn other_curve() -> Error {
    Error::CurveNotSupported.since("CKA_EC_PARAMS names no curve that keys of this type have here")
}

/// The value of an attribute that a template may leave out, or empty.
pub(crate) fn given(key: &Attributes, attribute: Attribute<kind::Bytes>) -> Option<&[u8]> {
    key.get(attribute).filter(|value| !value.is_empty())
}
