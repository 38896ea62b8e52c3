//! Public keys: between attributes of a token, SubjectPublicKeyInfo, and OpenSSH's lines.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use der::asn1::{AnyRef, BitString, BitStringRef, OctetStringRef, UintRef};
use der::oid::ObjectIdentifier;
use der::pem::LineEnding;
use der::{Any, Decode, Encode};
use x509_cert::certificate::Certificate;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
};

use crate::curve::Curve;
use crate::digest::Hash;
use crate::dsa::{self, Domain};
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::object::{self, Object};
use crate::parameter_set::ParameterSet;
use crate::token::Token;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// A point: SEC1 form, or the bare bytes of RFC 8410.
    Curve { curve: &'static Curve, point: Vec<u8> },
    /// The number of a key of DSA, big-endian, without leading zeros.
    Dsa { domain: Domain, value: Vec<u8> },
    /// The bytes of a key of a parameter set.
    Set { set: &'static ParameterSet, value: Vec<u8> },
}

impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid
    }
}

impl Eq for Curve {}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self> {
        let spki = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|error| Failure::content("this is no public key", error))?;
        let bits = spki.subject_public_key.as_bytes().unwrap_or_default();
        let oid = spki.algorithm.oid;
        if oid == RSA {
            return Self::from_pkcs1(bits);
        }
        if oid == dsa::OID {
            let domain = Domain::read(spki.algorithm.parameters);
            let value = UintRef::from_der(bits).ok().map(|value| value.as_bytes().to_vec());
            return domain
                .zip(value)
                .map(|(domain, value)| Self::Dsa { domain, value })
                .ok_or_else(|| unsupported(&oid));
        }
        let named = if oid == EC {
            spki.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok())
        } else {
            Some(oid)
        };
        if let Some(curve) = named.and_then(Curve::of_oid) {
            return Ok(Self::Curve { curve, point: bits.to_vec() });
        }
        if let Some(set) = ParameterSet::of_oid(oid) {
            return Ok(Self::Set { set, value: bits.to_vec() });
        }
        Err(unsupported(&named.unwrap_or(oid)))
    }

    /// Reads the `RSAPublicKey` of PKCS#1.
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let key = pkcs1::RsaPublicKeyRef::from_der(der)
            .map_err(|error| Failure::content("this is no RSA public key", error))?;
        Ok(Self::Rsa {
            modulus: key.modulus.as_bytes().to_vec(),
            exponent: key.public_exponent.as_bytes().to_vec(),
        })
    }

    /// The public half of a key of the token: of its public object, of the private key's own
    /// attributes, or of a certificate with the same id.
    pub(crate) fn of(token: &Token<'_>, object: &Object) -> Result<Self> {
        if let Some(key) = Self::of_object(token, object) {
            return Ok(key);
        }
        for public in same_id(token, object, ObjectClass::PUBLIC_KEY)? {
            if let Some(key) = Self::of_object(token, &public) {
                return Ok(key);
            }
        }
        for certificate in same_id(token, object, ObjectClass::CERTIFICATE)? {
            if let Some(der) = object::bytes(token, certificate.handle, AttributeType::Value) {
                return Self::of_certificate(&der);
            }
        }
        Err(Failure::new(
            Exit::NotFound,
            format!("the key {} has no public half here", object.label),
        )
        .cause("there is no public key and no certificate with its id, and it does not tell")
        .help("import its public key: `strongroom key import FILE --id ID`"))
    }

    /// The key that a certificate is about.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self> {
        let certificate = Certificate::from_der(der)
            .map_err(|error| Failure::content("this is no X.509 certificate", error))?;
        let spki = certificate
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|error| Failure::content("cannot encode the certificate's key", error))?;
        Self::from_spki(&spki)
    }

    /// What the attributes of one object tell.
    pub(crate) fn of_object(token: &Token<'_>, object: &Object) -> Option<Self> {
        let bytes = |which| object::bytes(token, object.handle, which);
        let own = match object.key_type? {
            KeyType::RSA => {
                rsa(bytes(AttributeType::Modulus), bytes(AttributeType::PublicExponent))
            }
            KeyType::EC | KeyType::EC_EDWARDS | KeyType::EC_MONTGOMERY => {
                point(bytes(AttributeType::EcParams), bytes(AttributeType::EcPoint))
            }
            key_type if object.class == ObjectClass::PUBLIC_KEY => of_set(
                key_type,
                object::number(token, object.handle, AttributeType::ParameterSet),
                bytes(AttributeType::Value),
            ),
            _ => None,
        };
        own.or_else(|| Self::from_spki(&bytes(AttributeType::PublicKeyInfo)?).ok())
    }

    /// The standard's key type.
    pub(crate) fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa { .. } => KeyType::RSA,
            Self::Curve { curve, .. } => curve.key_type,
            Self::Dsa { .. } => KeyType::DSA,
            Self::Set { set, .. } => set.key_type,
        }
    }

    /// The attributes that carry the key in a public key object.
    pub(crate) fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(match self {
            Self::Rsa { modulus, exponent } => vec![
                Attribute::Modulus(modulus.clone()),
                Attribute::PublicExponent(exponent.clone()),
            ],
            Self::Curve { curve, point } => vec![
                Attribute::EcParams(curve.preferred_params()?),
                Attribute::EcPoint(octet_string(point)?),
            ],
            Self::Dsa { domain, value } => {
                domain.attributes().into_iter().chain([Attribute::Value(value.clone())]).collect()
            }
            Self::Set { set, value } => {
                set.attribute().into_iter().chain([Attribute::Value(value.clone())]).collect()
            }
        })
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki(&self) -> Result<Vec<u8>> {
        self.spki_owned()
            .and_then(|spki| spki.to_der())
            .map_err(|error| Failure::content("cannot encode the public key", error))
    }

    fn spki_owned(&self) -> der::Result<SubjectPublicKeyInfoOwned> {
        let (oid, parameters) = match self {
            Self::Rsa { .. } => (RSA, Some(Any::from(AnyRef::NULL))),
            Self::Curve { curve, .. } if curve.is_rfc8410() => (curve.oid, None),
            Self::Curve { curve, .. } => (EC, Some(Any::encode_from(&curve.oid)?)),
            Self::Dsa { domain, .. } => (dsa::OID, Some(domain.encode()?)),
            Self::Set { set, .. } => (set.oid, None),
        };
        Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid, parameters },
            subject_public_key: BitString::from_bytes(&self.bits()?)?,
        })
    }

    /// What the BIT STRING of a SubjectPublicKeyInfo holds.
    fn bits(&self) -> der::Result<Vec<u8>> {
        match self {
            Self::Rsa { modulus, exponent } => pkcs1::RsaPublicKeyRef {
                modulus: UintRef::new(modulus)?,
                public_exponent: UintRef::new(exponent)?,
            }
            .to_der(),
            Self::Curve { point, .. } => Ok(point.clone()),
            Self::Dsa { value, .. } => UintRef::new(value)?.to_der(),
            Self::Set { value, .. } => Ok(value.clone()),
        }
    }

    /// SubjectPublicKeyInfo, PEM.
    pub(crate) fn pem(&self) -> Result<String> {
        der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &self.spki()?)
            .map_err(|error| Failure::content("cannot write PEM", error))
    }

    /// The identifier that X.509 derives from a key (RFC 5280, 4.2.1.2, method 1), which is
    /// what most programs put into CKA_ID.
    pub(crate) fn derived_id(&self) -> Result<Vec<u8>> {
        let bits =
            self.bits().map_err(|error| Failure::content("cannot encode the public key", error))?;
        Ok(Hash::Sha1.of(&bits))
    }

    /// A line for OpenSSH's authorized_keys.
    pub(crate) fn ssh(&self, comment: &str) -> Result<String> {
        let refused = || {
            Failure::new(Exit::Unsupported, "OpenSSH has no such keys")
                .help("export RSA, NIST curve or Ed25519 keys, or use --format pem")
        };
        let (name, fields): (String, Vec<Vec<u8>>) = match self {
            Self::Rsa { modulus, exponent } => {
                (String::from("ssh-rsa"), vec![positive(exponent), positive(modulus)])
            }
            Self::Curve { curve, point } => {
                let name = curve.ssh.ok_or_else(refused)?;
                if curve.is_rfc8410() {
                    (name.to_owned(), vec![point.clone()])
                } else {
                    let curve = name.as_bytes().to_vec();
                    (format!("ecdsa-sha2-{name}"), vec![curve, point.clone()])
                }
            }
            Self::Dsa { .. } | Self::Set { .. } => return Err(refused()),
        };
        let mut blob = ssh_string(name.as_bytes());
        fields.iter().for_each(|field| blob.extend(ssh_string(field)));
        let text = base64(&blob)?;
        Ok(format!("{name} {text} {comment}").trim_end().to_owned())
    }

    /// The size that people know the key by.
    pub(crate) fn size(&self) -> String {
        match self {
            Self::Rsa { modulus, .. } => {
                let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
                let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX);
                bits.saturating_sub(leading).to_string()
            }
            Self::Curve { curve, .. } => curve.name.to_owned(),
            Self::Dsa { domain, .. } => domain.bits().to_string(),
            Self::Set { set, .. } => set.size.to_owned(),
        }
    }
}

/// The objects of a class that share the id of another.
pub(crate) fn same_id(
    token: &Token<'_>,
    object: &Object,
    class: ObjectClass,
) -> Result<Vec<Object>> {
    if object.id.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = object::search(token, class, &[Attribute::Id(object.id.clone())])?;
    found.retain(|other| match (object.key_type, other.key_type) {
        (Some(one), Some(two)) => one == two,
        _ => true,
    });
    Ok(found)
}

fn rsa(modulus: Option<Vec<u8>>, exponent: Option<Vec<u8>>) -> Option<PublicKey> {
    let plain = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    Some(PublicKey::Rsa { modulus: plain(modulus?), exponent: plain(exponent?) })
}

fn point(params: Option<Vec<u8>>, point: Option<Vec<u8>>) -> Option<PublicKey> {
    let curve = Curve::of_params(&params?)?;
    let point = point?;
    // The standard wants a DER OCTET STRING; PKCS#11 3.0 said raw for some curves, in a BIT
    // STRING for a while, and modules do all of these.
    let fits = |bytes: &[u8]| bytes.len() == curve.field || bytes.len() == 2 * curve.field + 1;
    let inner = <&OctetStringRef>::from_der(&point)
        .map(|octets| octets.as_bytes().to_vec())
        .or_else(|_| BitStringRef::from_der(&point).map(|bits| bits.raw_bytes().to_vec()))
        .ok()
        .filter(|bytes| fits(bytes));
    let point = inner.or_else(|| Some(point).filter(|raw| fits(raw)))?;
    Some(PublicKey::Curve { curve, point })
}

fn of_set(key_type: KeyType, set: Option<u64>, value: Option<Vec<u8>>) -> Option<PublicKey> {
    Some(PublicKey::Set { set: ParameterSet::of_number(key_type, set?)?, value: value? })
}

fn octet_string(bytes: &[u8]) -> Result<Vec<u8>> {
    OctetStringRef::new(bytes)
        .and_then(|octets| octets.to_der())
        .map_err(|error| Failure::content("cannot encode the point", error))
}

/// An algorithm that no row of ours covers.
pub(crate) fn unsupported(oid: &ObjectIdentifier) -> Failure {
    Failure::new(Exit::Unsupported, "keys of this algorithm are not supported")
        .cause(format!("the algorithm or curve is {oid}"))
        .help(
            "RSA, P-256, P-384, P-521, secp256k1, Ed25519, X25519, Ed448, X448, DSA and SLH-DSA are, \
             and public keys of ML-DSA and ML-KEM",
        )
}

/// A big-endian number as OpenSSH writes it: positive.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let sign = bytes.first().is_some_and(|byte| *byte >= 0x80);
    sign.then_some(0).into_iter().chain(bytes.iter().copied()).collect()
}

fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    len.to_be_bytes().into_iter().chain(bytes.iter().copied()).collect()
}

/// Base64 on one line; PEM's encoder is at hand, and its frame is cut off.
fn base64(bytes: &[u8]) -> Result<String> {
    let pem = der::pem::encode_string("X", LineEnding::LF, bytes)
        .map_err(|error| Failure::content("cannot encode the public key", error))?;
    Ok(pem.lines().filter(|line| !line.starts_with("-----")).collect())
}
