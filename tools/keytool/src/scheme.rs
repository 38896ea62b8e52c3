//! The signature schemes: one row each for its name, its keys and how a module is asked.

use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::KeyType;
use cryptoki::types::Ulong;

use crate::digest::Hash;
use crate::errors::{Failure, Result};
use crate::public_key::PublicKey;

/// A way to sign.
#[derive(Clone, Copy)]
pub(crate) struct Scheme {
    /// The name on the command line.
    pub(crate) name: &'static str,
    keys: &'static [KeyType],
    /// What the module is asked for.
    pub(crate) mechanism: fn() -> Mechanism<'static>,
    /// Whether the data may be given in parts.
    pub(crate) parts: bool,
    /// For ECDSA: the hash, which is computed here when the module has raw ECDSA only.
    pub(crate) ecdsa: Option<Hash>,
    /// Whether signatures are r || s inside, and DER outside.
    pub(crate) der: bool,
}

const RSA: &[KeyType] = &[KeyType::RSA];
const EC: &[KeyType] = &[KeyType::EC];
const EDWARDS: &[KeyType] = &[KeyType::EC_EDWARDS];
const AES: &[KeyType] = &[KeyType::AES];
const ML_DSA: &[KeyType] = &[KeyType::ML_DSA];
const SLH_DSA: &[KeyType] = &[KeyType::SLH_DSA];
const HMAC: &[KeyType] = &[
    KeyType::GENERIC_SECRET,
    KeyType::SHA_1_HMAC,
    KeyType::SHA224_HMAC,
    KeyType::SHA256_HMAC,
    KeyType::SHA384_HMAC,
    KeyType::SHA512_HMAC,
];

const PLAIN: Scheme = Scheme {
    name: "",
    keys: &[],
    mechanism: || Mechanism::Ecdsa,
    parts: true,
    ecdsa: None,
    der: false,
};

const fn rsa(name: &'static str, mechanism: fn() -> Mechanism<'static>) -> Scheme {
    Scheme { name, keys: RSA, mechanism, ..PLAIN }
}

const fn ecdsa(name: &'static str, hash: Hash, mechanism: fn() -> Mechanism<'static>) -> Scheme {
    Scheme { name, keys: EC, mechanism, ecdsa: Some(hash), der: true, ..PLAIN }
}

const fn hmac(name: &'static str, mechanism: fn() -> Mechanism<'static>) -> Scheme {
    Scheme { name, keys: HMAC, mechanism, ..PLAIN }
}

const fn pss(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u64) -> PkcsPssParams {
    PkcsPssParams { hash_alg, mgf, s_len: Ulong::new(salt) }
}

const PSS_SHA256: PkcsPssParams = pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32);
const PSS_SHA384: PkcsPssParams = pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48);
const PSS_SHA512: PkcsPssParams = pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64);

/// Every scheme. The first that takes a key's type is the default for it, but for ECDSA,
/// where the curve decides.
pub(crate) const SCHEMES: &[Scheme] = &[
    rsa("rsa-pkcs-sha256", || Mechanism::Sha256RsaPkcs),
    rsa("rsa-pkcs-sha384", || Mechanism::Sha384RsaPkcs),
    rsa("rsa-pkcs-sha512", || Mechanism::Sha512RsaPkcs),
    rsa("rsa-pkcs-sha224", || Mechanism::Sha224RsaPkcs),
    rsa("rsa-pkcs-sha1", || Mechanism::Sha1RsaPkcs),
    rsa("rsa-pss-sha256", || Mechanism::Sha256RsaPkcsPss(PSS_SHA256)),
    rsa("rsa-pss-sha384", || Mechanism::Sha384RsaPkcsPss(PSS_SHA384)),
    rsa("rsa-pss-sha512", || Mechanism::Sha512RsaPkcsPss(PSS_SHA512)),
    // The caller brings a DigestInfo, or a digest.
    Scheme { name: "rsa-pkcs", keys: RSA, mechanism: || Mechanism::RsaPkcs, parts: false, ..PLAIN },
    ecdsa("ecdsa-sha256", Hash::Sha256, || Mechanism::EcdsaSha256),
    ecdsa("ecdsa-sha384", Hash::Sha384, || Mechanism::EcdsaSha384),
    ecdsa("ecdsa-sha512", Hash::Sha512, || Mechanism::EcdsaSha512),
    ecdsa("ecdsa-sha224", Hash::Sha224, || Mechanism::EcdsaSha224),
    ecdsa("ecdsa-sha1", Hash::Sha1, || Mechanism::EcdsaSha1),
    Scheme {
        name: "ecdsa",
        keys: EC,
        mechanism: || Mechanism::Ecdsa,
        parts: false,
        der: true,
        ..PLAIN
    },
    Scheme {
        name: "ed25519",
        keys: EDWARDS,
        mechanism: || Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        parts: false,
        ..PLAIN
    },
    Scheme {
        name: "ed448",
        keys: EDWARDS,
        mechanism: || Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        parts: false,
        ..PLAIN
    },
    hmac("hmac-sha256", || Mechanism::Sha256Hmac),
    hmac("hmac-sha384", || Mechanism::Sha384Hmac),
    hmac("hmac-sha512", || Mechanism::Sha512Hmac),
    hmac("hmac-sha224", || Mechanism::Sha224Hmac),
    hmac("hmac-sha1", || Mechanism::Sha1Hmac),
    Scheme { name: "aes-cmac", keys: AES, mechanism: || Mechanism::AesCMac, ..PLAIN },
    Scheme {
        name: "ml-dsa",
        keys: ML_DSA,
        mechanism: || Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
        parts: false,
        ..PLAIN
    },
    Scheme {
        name: "slh-dsa",
        keys: SLH_DSA,
        mechanism: || Mechanism::SlhDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
        parts: false,
        ..PLAIN
    },
];

/// The scheme of a name, or the default of a key.
pub(crate) fn choose(
    name: Option<&str>,
    key_type: Option<KeyType>,
    public: Option<&PublicKey>,
) -> Result<Scheme> {
    // On the curves of RFC 8032 the scheme is that of the curve.
    let of_curve = |scheme: &&Scheme| match public {
        Some(PublicKey::Curve { curve, .. }) if curve.is_rfc8410() => scheme.name == curve.name,
        _ => true,
    };
    let fits = |scheme: &&Scheme| {
        key_type.is_some_and(|kind| scheme.keys.contains(&kind)) && of_curve(scheme)
    };
    let names = || {
        let names: Vec<&str> = SCHEMES.iter().filter(fits).map(|scheme| scheme.name).collect();
        format!("keys of this type sign with: {}", names.join(", "))
    };
    let Some(name) = name else {
        let curve_hash = match public {
            Some(PublicKey::Curve { curve, .. }) => curve.hash,
            _ => None,
        };
        let default = SCHEMES
            .iter()
            .filter(fits)
            .find(|scheme| curve_hash.is_none() || scheme.ecdsa == curve_hash);
        return default.copied().ok_or_else(|| {
            Failure::usage("keys of this type do not sign")
                .help("name an RSA, EC, Edwards, AES, HMAC, ML-DSA or SLH-DSA key")
        });
    };
    let scheme = SCHEMES
        .iter()
        .find(|scheme| scheme.name == name)
        .ok_or_else(|| Failure::usage(format!("{name} is no signature mechanism")).help(names()))?;
    if !fits(&scheme) {
        return Err(Failure::usage(format!("{name} does not fit this key")).help(names()));
    }
    Ok(*scheme)
}
