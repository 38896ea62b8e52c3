//! Certificates, and objects that say what they are trusted for (4.6 and 4.7): what must hold of
//! several attributes at once.

use strongroom_types::{Attribute, Attributes, Error, Result, attribute, attribute::kind, ck};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// Adds what follows from the value of a certificate to one that came without: the check value,
/// which must not be another one, and `CKA_PUBLIC_KEY_INFO` where the value can be read.
pub(crate) fn complete(object: &mut Attributes) -> Result<()> {
    if let Some(value) = object.get(attribute::VALUE).filter(|value| !value.is_empty()) {
        // "Certificate objects": the first three bytes of the SHA-1 hash of the value.
        let digest = strongroom_mechanisms::sha1(value)?;
        let check_value = digest.get(..3).unwrap_or_default();
        match object.get(attribute::CHECK_VALUE) {
            None => object.set(attribute::CHECK_VALUE, check_value),
            Some(given) if given.is_empty() || given == check_value => {}
            Some(_) => {
                let other = || "CKA_CHECK_VALUE is not that of CKA_VALUE".into();
                return Err(Error::AttributeValueInvalid.because(other));
            }
        }
    }
    let given = object.get(attribute::PUBLIC_KEY_INFO).is_some_and(|info| !info.is_empty());
    let read = |value: &[u8]| {
        let certificate = Certificate::from_der(value).ok()?;
        certificate.tbs_certificate().subject_public_key_info().to_der().ok()
    };
    if !given && let Some(info) = object.get(attribute::VALUE).and_then(read) {
        object.set(attribute::PUBLIC_KEY_INFO, info.as_slice());
    }
    Ok(())
}

/// Whether a new certificate can be had: from the object, or from where it says.
pub(crate) fn check(object: &Attributes) -> Result<()> {
    let empty = |attribute| object.get(attribute).is_none_or(<[u8]>::is_empty);
    if empty(attribute::VALUE) && empty(attribute::URL) {
        let nowhere = || "there is neither a CKA_VALUE nor a CKA_URL".into();
        return Err(Error::AttributeValueInvalid.because(nowhere));
    }
    if object.get(attribute::CERTIFICATE_TYPE) != Some(ck!(CKC_X_509)) {
        return Ok(());
    }
    let hashes = [attribute::HASH_OF_SUBJECT_PUBLIC_KEY, attribute::HASH_OF_ISSUER_PUBLIC_KEY];
    if !empty(attribute::URL) && hashes.into_iter().any(empty) {
        let unknown = || "a certificate with a CKA_URL needs the hashes of both public keys".into();
        return Err(Error::TemplateIncomplete.because(unknown));
    }
    Ok(())
}

/// What a certificate can be trusted for.
const USES: &[Attribute<kind::Ulong>] = &[
    attribute::TRUST_SERVER_AUTH,
    attribute::TRUST_CLIENT_AUTH,
    attribute::TRUST_CODE_SIGNING,
    attribute::TRUST_EMAIL_PROTECTION,
    attribute::TRUST_IPSEC_IKE,
    attribute::TRUST_TIME_STAMPING,
    attribute::TRUST_OCSP_SIGNING,
];

/// How far. Only who is not trusted may be named without a hash of the certificate.
const TRUSTED: &[u64] =
    &[ck!(CKT_TRUSTED), ck!(CKT_TRUST_ANCHOR), ck!(CKT_TRUST_MUST_VERIFY_TRUST)];
const NOT_TRUSTED: &[u64] = &[ck!(CKT_TRUST_UNKNOWN), ck!(CKT_NOT_TRUSTED)];

/// Whether a trust object says whom it trusts; the error for one that does not is the caller's.
pub(crate) fn check_trust(object: &Attributes, incomplete: Error) -> Result<()> {
    let hashed = object.get(attribute::HASH_OF_CERTIFICATE).is_some_and(|hash| !hash.is_empty());
    for attribute in USES {
        let name = attribute.info.name;
        match object.get(*attribute) {
            Some(trust) if TRUSTED.contains(&trust) && !hashed => {
                let whom = || format!("{name} needs CKA_HASH_OF_CERTIFICATE");
                return Err(incomplete.because(whom));
            }
            Some(trust) if !TRUSTED.contains(&trust) && !NOT_TRUSTED.contains(&trust) => {
                return Err(Error::AttributeValueInvalid.because(|| format!("{name} is no trust")));
            }
            _ => {}
        }
    }
    Ok(())
}
