//! Private keys on their way into a token: from PKCS#8, PKCS#1 and SEC1 to attributes.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use cryptoki::object::{Attribute, KeyType};
use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode};
use pkcs8::PrivateKeyInfoRef;
use sec1::{EcParameters, EcPrivateKey};
use zeroize::{Zeroize, Zeroizing};

use crate::curve::Curve;
use crate::dsa::{self, Domain};
use crate::errors::{Failure, Result};
use crate::parameter_set::ParameterSet;
use crate::public_key::{PublicKey, unsupported};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RSA keys whose file says that they are for PSS alone, which a token does not keep (RFC 4055).
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Attributes that hold key material, and wipe it. Not Debug on purpose.
pub(crate) struct Sensitive(Vec<Attribute>);

impl Sensitive {
    /// Attributes that may hold key material.
    pub(crate) fn new(attributes: Vec<Attribute>) -> Self {
        Self(attributes)
    }

    /// The value of a secret key.
    pub(crate) fn value(bytes: &[u8]) -> Self {
        Self(vec![Attribute::Value(bytes.to_vec())])
    }

    /// These attributes with others around them; the copy wipes itself, too.
    pub(crate) fn with(&self, others: Vec<Attribute>) -> Self {
        Self(self.0.iter().cloned().chain(others).collect())
    }

    /// For the module.
    pub(crate) fn template(&self) -> &[Attribute] {
        &self.0
    }
}

impl Drop for Sensitive {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
            match attribute {
                Attribute::Value(bytes)
                | Attribute::PrivateExponent(bytes)
                | Attribute::Prime1(bytes)
                | Attribute::Prime2(bytes)
                | Attribute::Exponent1(bytes)
                | Attribute::Exponent2(bytes)
                | Attribute::Coefficient(bytes) => bytes.zeroize(),
                // The rest is public.
                _ => {}
            }
        }
    }
}

/// A private key and its public half.
pub(crate) struct PrivateKey {
    pub(crate) material: Sensitive,
    pub(crate) public: PublicKey,
}

impl PrivateKey {
    /// The standard's key type.
    pub(crate) fn key_type(&self) -> KeyType {
        self.public.key_type()
    }

    /// Reads PKCS#8 (RFC 5208 and RFC 5958).
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::try_from(der)
            .map_err(|error| Failure::content("this is no PKCS#8 private key", error))?;
        let inner = info.private_key.as_bytes();
        let oid = info.algorithm.oid;
        if [RSA, RSA_PSS].contains(&oid) {
            return Self::from_pkcs1(inner);
        }
        if oid == EC {
            let named = info.algorithm.parameters;
            let named = named.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            return Self::from_sec1(inner, named);
        }
        if oid == dsa::OID {
            return Self::of_domain(Domain::read(info.algorithm.parameters), inner);
        }
        if let Some(set) = ParameterSet::of_oid(oid) {
            return Self::of_set(set, inner);
        }
        let curve = Curve::of_oid(oid).ok_or_else(|| unsupported(&oid))?;
        let octets = <&OctetStringRef>::from_der(inner)
            .map_err(|error| Failure::content("this is no RFC 8410 private key", error))?;
        Self::rfc8410(curve, octets.as_bytes())
    }

    /// Reads the `RSAPrivateKey` of PKCS#1.
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let key = pkcs1::RsaPrivateKeyRef::from_der(der)
            .map_err(|error| Failure::content("this is no RSA private key", error))?;
        let bytes = |number: der::asn1::UintRef<'_>| number.as_bytes().to_vec();
        let public =
            PublicKey::Rsa { modulus: bytes(key.modulus), exponent: bytes(key.public_exponent) };
        let material = Sensitive(vec![
            Attribute::Modulus(bytes(key.modulus)),
            Attribute::PublicExponent(bytes(key.public_exponent)),
            Attribute::PrivateExponent(bytes(key.private_exponent)),
            Attribute::Prime1(bytes(key.prime1)),
            Attribute::Prime2(bytes(key.prime2)),
            Attribute::Exponent1(bytes(key.exponent1)),
            Attribute::Exponent2(bytes(key.exponent2)),
            Attribute::Coefficient(bytes(key.coefficient)),
        ]);
        Ok(Self { material, public })
    }

    /// Reads the `ECPrivateKey` of SEC1; PKCS#8 names the curve outside of it.
    pub(crate) fn from_sec1(der: &[u8], named: Option<ObjectIdentifier>) -> Result<Self> {
        let key = EcPrivateKey::from_der(der)
            .map_err(|error| Failure::content("this is no EC private key", error))?;
        let inside = key.parameters.map(|EcParameters::NamedCurve(oid)| oid);
        let oid = named.or(inside).ok_or_else(|| {
            Failure::content("the curve of this key is unknown", "the file does not name it")
                .help("convert it: openssl pkcs8 -topk8 -in FILE -out NEW")
        })?;
        let curve = Curve::of_oid(oid)
            .filter(|curve| !curve.is_rfc8410())
            .ok_or_else(|| unsupported(&oid))?;
        let point = match key.public_key.filter(|point| point.len() == 2 * curve.field + 1) {
            Some(point) => point.to_vec(),
            None => ec_point(curve, &key)?,
        };
        Self::on_curve(curve, key.private_key, point)
    }

    /// Reads the number of a DSA key.
    fn of_domain(domain: Option<Domain>, der: &[u8]) -> Result<Self> {
        let damaged = |cause: &str| Failure::content("this is no DSA private key", cause);
        let domain = domain.ok_or_else(|| damaged("it has no domain parameters"))?;
        let number = UintRef::from_der(der).map_err(|error| damaged(&error.to_string()))?;
        let value = domain
            .public(number.as_bytes())
            .ok_or_else(|| damaged("its numbers do not belong together"))?;
        let mut material = domain.attributes();
        material.push(Attribute::Value(number.as_bytes().to_vec()));
        Ok(Self { material: Sensitive(material), public: PublicKey::Dsa { domain, value } })
    }

    /// Takes the bytes of an SLH-DSA key, which end with those of the public key (RFC 9909).
    fn of_set(set: &'static ParameterSet, value: &[u8]) -> Result<Self> {
        let len = set.private_len.ok_or_else(|| unsupported(&set.oid))?;
        if value.len() != len {
            return Err(Failure::content("this is no SLH-DSA key", "its length is wrong"));
        }
        let (_, public) = value.split_at(len / 2);
        let material = set.attribute().into_iter().chain([Attribute::Value(value.to_vec())]);
        Ok(Self {
            material: Sensitive(material.collect()),
            public: PublicKey::Set { set, value: public.to_vec() },
        })
    }

    /// Takes the bytes of a key of one of the curves of RFC 8410.
    pub(crate) fn rfc8410(curve: &'static Curve, seed: &[u8]) -> Result<Self> {
        let point = rfc8410_point(curve, seed).map_err(|error| {
            Failure::content(format!("this is no key of {}", curve.name), error)
        })?;
        Self::on_curve(curve, seed, point)
    }

    fn on_curve(curve: &'static Curve, scalar: &[u8], point: Vec<u8>) -> Result<Self> {
        let material = Sensitive(vec![
            Attribute::EcParams(curve.preferred_params()?),
            Attribute::Value(scalar.to_vec()),
        ]);
        Ok(Self { material, public: PublicKey::Curve { curve, point } })
    }
}

/// The public key of the bytes of a private one.
fn rfc8410_point(curve: &Curve, seed: &[u8]) -> std::result::Result<Vec<u8>, String> {
    const LENGTH: &str = "its length is wrong";
    match curve.name {
        "ed25519" => Ed25519KeyPair::from_seed_unchecked(seed)
            .map(|pair| pair.public_key().as_ref().to_vec())
            .map_err(|error| error.to_string()),
        "x25519" => agreement::PrivateKey::from_private_key(&agreement::X25519, seed)
            .map_err(|error| error.to_string())?
            .compute_public_key()
            .map(|point| point.as_ref().to_vec())
            .map_err(|error| error.to_string()),
        "ed448" => {
            let seed = Zeroizing::new(<[u8; 57]>::try_from(seed).map_err(|_| LENGTH)?);
            let seed = Zeroizing::new(ed448_goldilocks::SecretKey::from(*seed));
            let key = ed448_goldilocks::SigningKey::from(&*seed);
            Ok(key.verifying_key().to_bytes().to_vec())
        }
        "x448" => {
            let scalar = Zeroizing::new(<[u8; 56]>::try_from(seed).map_err(|_| LENGTH)?);
            let secret = x448::StaticSecret::from(*scalar);
            Ok(x448::PublicKey::from(&secret).as_bytes().to_vec())
        }
        name => Err(format!("{name} is not computed here")),
    }
}

/// The point of a key whose file leaves it out.
fn ec_point(curve: &Curve, key: &EcPrivateKey<'_>) -> Result<Vec<u8>> {
    let algorithms: [(&str, &EcdsaSigningAlgorithm); 4] = [
        ("p256", &ECDSA_P256_SHA256_ASN1_SIGNING),
        ("p384", &ECDSA_P384_SHA384_ASN1_SIGNING),
        ("p521", &ECDSA_P521_SHA512_ASN1_SIGNING),
        ("secp256k1", &ECDSA_P256K1_SHA256_ASN1_SIGNING),
    ];
    let complete = EcPrivateKey {
        private_key: key.private_key,
        parameters: Some(EcParameters::NamedCurve(curve.oid)),
        public_key: None,
    };
    let der = complete
        .to_der()
        .map(Zeroizing::new)
        .map_err(|error| Failure::content("cannot encode the EC key", error))?;
    let algorithm = algorithms.iter().find(|row| row.0 == curve.name).map(|row| row.1);
    let algorithm = algorithm.ok_or_else(|| unsupported(&curve.oid))?;
    EcdsaKeyPair::from_private_key_der(algorithm, &der)
        .map(|pair| pair.public_key().as_ref().to_vec())
        .map_err(|error| Failure::content("this is no valid EC private key", error))
}
