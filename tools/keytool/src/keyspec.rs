//! Key types as people write them (`rsa:3072`, `ec:p256`, `aes:256`), and the requests they become.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType};
use cryptoki::types::Ulong;

use crate::curve::Curve;
use crate::errors::{Failure, Result};
use crate::parameter_set::ParameterSet;
use crate::usage::Usage;

/// What to generate.
pub(crate) enum KeySpec {
    /// An RSA pair of this many bits.
    Rsa(u32),
    /// A pair on a curve.
    Curve(&'static Curve),
    /// A pair of a parameter set.
    Set(&'static ParameterSet),
    /// A secret key.
    Secret {
        /// How it is made.
        mechanism: fn() -> Mechanism<'static>,
        /// Its type.
        key_type: KeyType,
        /// Its length in bytes.
        bytes: u32,
    },
}

/// One family of key types.
struct Family {
    name: &'static str,
    /// What may follow the colon, for the error message.
    sizes: &'static str,
    parse: fn(&str) -> Option<KeySpec>,
}

const FAMILIES: &[Family] = &[
    Family { name: "rsa", sizes: "2048 to 16384 bits in steps of 8, such as rsa:3072", parse: rsa },
    Family { name: "ec", sizes: "p256, p384, p521 or secp256k1", parse: ec },
    Family { name: "ed25519", sizes: "nothing", parse: |size| bare("ed25519", size) },
    Family { name: "x25519", sizes: "nothing", parse: |size| bare("x25519", size) },
    Family { name: "ed448", sizes: "nothing", parse: |size| bare("ed448", size) },
    Family { name: "x448", sizes: "nothing", parse: |size| bare("x448", size) },
    Family { name: "aes", sizes: "128, 192 or 256 bits", parse: aes },
    Family { name: "hmac", sizes: "a multiple of 8 from 128 to 8192 bits", parse: generic },
    Family { name: "generic", sizes: "a multiple of 8 from 128 to 8192 bits", parse: generic },
    Family { name: "ml-dsa", sizes: "44, 65 or 87", parse: |size| set("ml-dsa", size) },
    Family { name: "ml-kem", sizes: "512, 768 or 1024", parse: |size| set("ml-kem", size) },
    Family {
        name: "slh-dsa",
        sizes: "sha2- or shake-, then 128, 192 or 256, then s or f, such as slh-dsa:sha2-128s",
        parse: |size| set("slh-dsa", size),
    },
];

impl KeySpec {
    /// Reads a key type.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (name, size) = text.split_once(':').unwrap_or((text, ""));
        let Some(family) = FAMILIES.iter().find(|family| family.name == name) else {
            let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
            return Err(Failure::usage(format!("{text} is no key type"))
                .help(format!("the types are {}", names.join(", "))));
        };
        (family.parse)(size).ok_or_else(|| {
            Failure::usage(format!("{text} is no key type"))
                .help(format!("after {} comes {}", family.name, family.sizes))
        })
    }

    /// What a key of this type is for, when nobody says.
    pub(crate) fn default_usages(&self) -> &'static [Usage] {
        match self {
            Self::Rsa(_) => for_type(KeyType::RSA),
            Self::Curve(curve) => for_type(curve.key_type),
            Self::Set(set) => for_type(set.key_type),
            Self::Secret { key_type, .. } => for_type(*key_type),
        }
    }

    /// Whether there will be two keys.
    pub(crate) fn is_pair(&self) -> bool {
        !matches!(self, Self::Secret { .. })
    }

    /// The requests to try, first to last: mechanism and what says which key is wanted.
    ///
    /// More than one because modules disagree about the mechanism and the parameters of the
    /// curves of RFC 7748 and RFC 8032.
    pub(crate) fn requests(&self) -> Vec<(Mechanism<'static>, Vec<Attribute>)> {
        match self {
            Self::Rsa(bits) => vec![(
                Mechanism::RsaPkcsKeyPairGen,
                vec![
                    Attribute::ModulusBits(Ulong::new((*bits).into())),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ],
            )],
            Self::Curve(curve) => curve
                .generate
                .iter()
                .flat_map(|mechanism| {
                    curve
                        .params()
                        .into_iter()
                        .map(|form| (mechanism(), vec![Attribute::EcParams(form)]))
                })
                .collect(),
            Self::Set(set) => vec![((set.generate)(), set.attribute().into_iter().collect())],
            Self::Secret { mechanism, key_type, bytes } => vec![(
                mechanism(),
                vec![
                    Attribute::KeyType(*key_type),
                    Attribute::ValueLen(Ulong::new((*bytes).into())),
                ],
            )],
        }
    }
}

/// What keys of a type are for, when nobody says. Wrapping is never a default: a key that both
/// decrypts and unwraps gives away what it wraps.
const DEFAULT_USAGES: &[(KeyType, &[Usage])] = &[
    (KeyType::RSA, &[Usage::Sign, Usage::Verify, Usage::Encrypt, Usage::Decrypt]),
    (KeyType::EC, &[Usage::Sign, Usage::Verify]),
    (KeyType::EC_EDWARDS, &[Usage::Sign, Usage::Verify]),
    (KeyType::EC_MONTGOMERY, &[Usage::Derive]),
    (KeyType::ML_DSA, &[Usage::Sign, Usage::Verify]),
    (KeyType::SLH_DSA, &[Usage::Sign, Usage::Verify]),
    (KeyType::DSA, &[Usage::Sign, Usage::Verify]),
    (KeyType::AES, &[Usage::Encrypt, Usage::Decrypt]),
    (KeyType::GENERIC_SECRET, &[Usage::Sign, Usage::Verify]),
];

/// The default uses of a key type.
pub(crate) fn for_type(key_type: KeyType) -> &'static [Usage] {
    DEFAULT_USAGES.iter().find(|row| row.0 == key_type).map_or(&[], |row| row.1)
}

/// The key types that `key unwrap --type` can name, and whether they are private keys.
const UNWRAPPED: &[(&str, KeyType, bool)] = &[
    ("aes", KeyType::AES, false),
    ("generic", KeyType::GENERIC_SECRET, false),
    ("hmac", KeyType::GENERIC_SECRET, false),
    ("rsa", KeyType::RSA, true),
    ("ec", KeyType::EC, true),
    ("ed25519", KeyType::EC_EDWARDS, true),
    ("x25519", KeyType::EC_MONTGOMERY, true),
    ("ed448", KeyType::EC_EDWARDS, true),
    ("x448", KeyType::EC_MONTGOMERY, true),
    ("ml-dsa", KeyType::ML_DSA, true),
    ("ml-kem", KeyType::ML_KEM, true),
    ("slh-dsa", KeyType::SLH_DSA, true),
];

/// The type of a key that is being unwrapped, and whether it is a private key.
pub(crate) fn unwrapped(name: &str) -> Result<(KeyType, bool)> {
    UNWRAPPED.iter().find(|row| row.0 == name).map(|row| (row.1, row.2)).ok_or_else(|| {
        let names: Vec<&str> = UNWRAPPED.iter().map(|row| row.0).collect();
        Failure::usage(format!("{name} is no key type"))
            .help(format!("--type takes {}", names.join(", ")))
    })
}

/// What a key type is called.
const TYPE_NAMES: &[(KeyType, &str)] = &[
    (KeyType::RSA, "rsa"),
    (KeyType::EC, "ec"),
    (KeyType::EC_EDWARDS, "ec-edwards"),
    (KeyType::EC_MONTGOMERY, "ec-montgomery"),
    (KeyType::ML_DSA, "ml-dsa"),
    (KeyType::ML_KEM, "ml-kem"),
    (KeyType::SLH_DSA, "slh-dsa"),
    (KeyType::AES, "aes"),
    (KeyType::GENERIC_SECRET, "generic"),
    (KeyType::SHA_1_HMAC, "hmac-sha1"),
    (KeyType::SHA224_HMAC, "hmac-sha224"),
    (KeyType::SHA256_HMAC, "hmac-sha256"),
    (KeyType::SHA384_HMAC, "hmac-sha384"),
    (KeyType::SHA512_HMAC, "hmac-sha512"),
    (KeyType::DES3, "des3"),
    (KeyType::DSA, "dsa"),
    (KeyType::DH, "dh"),
];

/// What a key type is called.
pub(crate) fn type_name(key_type: Option<KeyType>) -> String {
    let Some(key_type) = key_type else { return String::from("unknown") };
    TYPE_NAMES
        .iter()
        .find(|row| row.0 == key_type)
        .map_or_else(|| key_type.to_string(), |row| row.1.to_owned())
}

/// The mechanism of a name, as `strongroom mechanisms` prints it, for CKA_ALLOWED_MECHANISMS.
pub(crate) fn mechanism(known: &[MechanismType], name: &str) -> Result<MechanismType> {
    let wanted = name.to_ascii_uppercase().replace('-', "_");
    let full = format!("CKM_{}", wanted.trim_start_matches("CKM_"));
    known.iter().copied().find(|kind| kind.to_string() == full).ok_or_else(|| {
        Failure::usage(format!("the module has no mechanism {name}"))
            .help("`strongroom mechanisms` lists them, such as CKM_SHA256_RSA_PKCS")
    })
}

fn rsa(size: &str) -> Option<KeySpec> {
    let bits: u32 = size.parse().ok()?;
    ((2048..=16384).contains(&bits) && bits.is_multiple_of(8)).then_some(KeySpec::Rsa(bits))
}

fn ec(name: &str) -> Option<KeySpec> {
    Curve::named(name).filter(|curve| !curve.is_rfc8410()).map(KeySpec::Curve)
}

fn bare(curve: &str, size: &str) -> Option<KeySpec> {
    Curve::named(curve).filter(|_| size.is_empty()).map(KeySpec::Curve)
}

fn set(family: &str, size: &str) -> Option<KeySpec> {
    ParameterSet::named(family, size).map(KeySpec::Set)
}

fn aes(size: &str) -> Option<KeySpec> {
    let bits: u32 = size.parse().ok()?;
    let fits = [128, 192, 256].contains(&bits);
    fits.then_some(KeySpec::Secret {
        mechanism: || Mechanism::AesKeyGen,
        key_type: KeyType::AES,
        bytes: bits / 8,
    })
}

fn generic(size: &str) -> Option<KeySpec> {
    let bits: u32 = size.parse().ok()?;
    let fits = (128..=8192).contains(&bits) && bits.is_multiple_of(8);
    fits.then_some(KeySpec::Secret {
        mechanism: || Mechanism::GenericSecretKeyGen,
        key_type: KeyType::GENERIC_SECRET,
        bytes: bits / 8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        for good in ["rsa:2048", "ec:p521", "ed25519", "aes:192", "hmac:256", "slh-dsa:shake-256f"]
        {
            assert!(KeySpec::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "rsa",
            "rsa:1024",
            "ec:ed25519",
            "ed25519:1",
            "aes:64",
            "hmac:9",
            "dsa:1",
            "slh-dsa:128s",
        ] {
            assert!(KeySpec::parse(bad).is_err(), "{bad}");
        }
    }
}
