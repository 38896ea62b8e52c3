//! The elliptic curves: one row for names, identifiers, sizes and how modules make keys of them.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::KeyType;
use der::Encode;
use der::oid::ObjectIdentifier;

use crate::digest::Hash;
use crate::errors::{Failure, Result};

/// A curve.
pub(crate) struct Curve {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// The curve in `ecPublicKey` parameters; the algorithm itself for the RFC 8410 kinds.
    pub(crate) oid: ObjectIdentifier,
    /// The name that modules before PKCS#11 3.1 want as a PrintableString, if any.
    printable: Option<&'static str>,
    /// The standard's key type.
    pub(crate) key_type: KeyType,
    /// The length in bytes of a coordinate, or of the whole key for RFC 8410.
    pub(crate) field: usize,
    /// The hash that goes with signatures on it.
    pub(crate) hash: Option<Hash>,
    /// The name in OpenSSH's public keys.
    pub(crate) ssh: Option<&'static str>,
    /// What to ask a module for, first to last.
    pub(crate) generate: &'static [fn() -> Mechanism<'static>],
}

const EC: &[fn() -> Mechanism<'static>] = &[|| Mechanism::EccKeyPairGen];
const EDWARDS: &[fn() -> Mechanism<'static>] = &[|| Mechanism::EccEdwardsKeyPairGen];
/// SoftHSM makes Montgomery keys with the mechanism of the Edwards curves.
const MONTGOMERY: &[fn() -> Mechanism<'static>] =
    &[|| Mechanism::EccMontgomeryKeyPairGen, || Mechanism::EccEdwardsKeyPairGen];

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// The curves of FIPS 186, Bitcoin, and RFC 7748 and 8032.
pub(crate) static CURVES: &[Curve] = &[
    Curve {
        name: "p256",
        oid: oid("1.2.840.10045.3.1.7"),
        printable: None,
        key_type: KeyType::EC,
        field: 32,
        hash: Some(Hash::Sha256),
        ssh: Some("nistp256"),
        generate: EC,
    },
    Curve {
        name: "p384",
        oid: oid("1.3.132.0.34"),
        printable: None,
        key_type: KeyType::EC,
        field: 48,
        hash: Some(Hash::Sha384),
        ssh: Some("nistp384"),
        generate: EC,
    },
    Curve {
        name: "p521",
        oid: oid("1.3.132.0.35"),
        printable: None,
        key_type: KeyType::EC,
        field: 66,
        hash: Some(Hash::Sha512),
        ssh: Some("nistp521"),
        generate: EC,
    },
    Curve {
        name: "secp256k1",
        oid: oid("1.3.132.0.10"),
        printable: None,
        key_type: KeyType::EC,
        field: 32,
        hash: Some(Hash::Sha256),
        ssh: None,
        generate: EC,
    },
    Curve {
        name: "ed25519",
        oid: oid("1.3.101.112"),
        printable: Some("edwards25519"),
        key_type: KeyType::EC_EDWARDS,
        field: 32,
        hash: None,
        ssh: Some("ssh-ed25519"),
        generate: EDWARDS,
    },
    Curve {
        name: "x25519",
        oid: oid("1.3.101.110"),
        printable: Some("curve25519"),
        key_type: KeyType::EC_MONTGOMERY,
        field: 32,
        hash: None,
        ssh: None,
        generate: MONTGOMERY,
    },
    Curve {
        name: "ed448",
        oid: oid("1.3.101.113"),
        printable: Some("edwards448"),
        key_type: KeyType::EC_EDWARDS,
        field: 57,
        hash: None,
        ssh: None,
        generate: EDWARDS,
    },
    Curve {
        name: "x448",
        oid: oid("1.3.101.111"),
        printable: Some("curve448"),
        key_type: KeyType::EC_MONTGOMERY,
        field: 56,
        hash: None,
        ssh: None,
        generate: MONTGOMERY,
    },
];

impl Curve {
    /// The curve of a name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.name == name)
    }

    /// The curve of an object identifier.
    pub(crate) fn of_oid(oid: ObjectIdentifier) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.oid == oid)
    }

    /// The curve of CKA_EC_PARAMS, in any of its forms.
    pub(crate) fn of_params(params: &[u8]) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.params().iter().any(|form| form == params))
    }

    /// The forms of CKA_EC_PARAMS, the preferred one first.
    pub(crate) fn params(&self) -> Vec<Vec<u8>> {
        let printable = self
            .printable
            .and_then(|name| der::asn1::PrintableStringRef::new(name).ok())
            .and_then(|name| name.to_der().ok());
        self.oid.to_der().into_iter().chain(printable).collect()
    }

    /// The preferred form of CKA_EC_PARAMS.
    pub(crate) fn preferred_params(&self) -> Result<Vec<u8>> {
        self.oid.to_der().map_err(|error| Failure::content("cannot encode the curve", error))
    }

    /// Whether keys of this curve have an algorithm identifier of their own (RFC 8410).
    pub(crate) fn is_rfc8410(&self) -> bool {
        self.key_type != KeyType::EC
    }
}
