//! What is in a file: keys and certificates, as PEM, DER or PKCS#12, encrypted or not.

use der::Decode;
use p12_keystore::Pkcs12Archive;
use pkcs8::EncryptedPrivateKeyInfoRef;
use x509_cert::certificate::Certificate;
use zeroize::Zeroizing;

use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::pin::{Secret, Source};
use crate::private_key::PrivateKey;
use crate::public_key::PublicKey;

/// One thing from a file.
pub(crate) enum Material {
    /// A private key, with the name that the file gives it.
    Private(PrivateKey, Option<String>),
    /// A public key.
    Public(PublicKey),
    /// A certificate, DER.
    Certificate(Vec<u8>),
}

/// Asks for the password of a file when it turns out to be encrypted, and once only.
pub(crate) struct Password {
    source: Source,
    read: std::cell::OnceCell<Secret>,
}

impl Password {
    /// A password that has not been needed yet.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, read: std::cell::OnceCell::new() }
    }

    /// A password that is known.
    pub(crate) fn known(password: &str) -> Self {
        Self { source: Source::default(), read: Secret::new(password.to_owned()).into() }
    }

    fn get(&self) -> Result<&str> {
        if self.read.get().is_none() {
            let _first = self.read.set(self.source.read()?);
        }
        Ok(self.read.get().map_or("", |secret| secret.as_str()))
    }
}

type Test = fn(&[u8]) -> bool;
type Reader = fn(&[u8], &Password) -> Result<Vec<Material>>;

/// What a PEM label means.
const LABELS: &[(&str, Reader)] = &[
    ("PRIVATE KEY", |der, _| private(PrivateKey::from_pkcs8(der))),
    ("ENCRYPTED PRIVATE KEY", encrypted),
    ("RSA PRIVATE KEY", |der, _| private(PrivateKey::from_pkcs1(der))),
    ("EC PRIVATE KEY", |der, _| private(PrivateKey::from_sec1(der, None))),
    ("PUBLIC KEY", |der, _| Ok(vec![Material::Public(PublicKey::from_spki(der)?)])),
    ("RSA PUBLIC KEY", |der, _| Ok(vec![Material::Public(PublicKey::from_pkcs1(der)?)])),
    ("CERTIFICATE", certificate),
    ("X509 CERTIFICATE", certificate),
    // OpenSSL writes the curve before an EC key; the key names it again.
    ("EC PARAMETERS", |_, _| Ok(Vec::new())),
];

/// How bare DER may begin: what tells a form, and its reader.
const FORMS: &[(Test, Reader)] = &[
    (is_pkcs12, pkcs12),
    (
        |der| pkcs8::PrivateKeyInfoRef::try_from(der).is_ok(),
        |der, _| private(PrivateKey::from_pkcs8(der)),
    ),
    (|der| EncryptedPrivateKeyInfoRef::try_from(der).is_ok(), encrypted),
    (|der| Certificate::from_der(der).is_ok(), certificate),
    (
        |der| x509_cert::spki::SubjectPublicKeyInfoRef::from_der(der).is_ok(),
        |der, _| Ok(vec![Material::Public(PublicKey::from_spki(der)?)]),
    ),
    (
        |der| pkcs1::RsaPrivateKeyRef::from_der(der).is_ok(),
        |der, _| private(PrivateKey::from_pkcs1(der)),
    ),
    (
        |der| sec1::EcPrivateKey::from_der(der).is_ok(),
        |der, _| private(PrivateKey::from_sec1(der, None)),
    ),
];

/// Everything in a file.
pub(crate) fn read(bytes: &[u8], password: &Password) -> Result<Vec<Material>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if bytes.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return pem(bytes, password);
    }
    let form = FORMS.iter().find(|(fits, _)| fits(bytes)).ok_or_else(|| {
        Failure::new(Exit::File, "the file holds nothing that can be imported").help(
            "PEM or DER of PKCS#8, PKCS#1, SEC1, SubjectPublicKeyInfo or X.509, and PKCS#12; \
             for the bare value of a secret key use --raw",
        )
    })?;
    form.1(bytes, password)
}

fn pem(bytes: &[u8], password: &Password) -> Result<Vec<Material>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Failure::content("this PEM file is not text", error))?;
    let mut found = Vec::new();
    for block in blocks(text) {
        let (label, der) = der::pem::decode_vec(block.as_bytes()).map_err(broken)?;
        let der = Zeroizing::new(der);
        let row = LABELS.iter().find(|row| row.0 == label).ok_or_else(|| {
            Failure::new(Exit::File, format!("cannot import a PEM block {label}")).help(
                "convert it: openssl pkcs8 -topk8 -in FILE -out NEW for private keys, openssl \
                 pkey -pubin for public ones",
            )
        })?;
        found.extend(row.1(&der, password)?);
    }
    Ok(found)
}

fn broken(error: der::pem::Error) -> Failure {
    Failure::content("a PEM block of this file cannot be read", error).help(
        "if it is encrypted in the old way (Proc-Type: 4,ENCRYPTED), convert it: openssl pkcs8 \
         -topk8 -in FILE -out NEW",
    )
}

/// The PEM blocks of a text, without what is around them.
pub(crate) fn blocks(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, block)) = rest.find("-----BEGIN ").and_then(|at| rest.split_at_checked(at)) {
        let end = block
            .find("-----END ")
            .and_then(|at| Some(at + 9 + block.get(at + 9..)?.find("-----")? + 5))
            .unwrap_or(block.len());
        let (whole, after) = block.split_at_checked(end).unwrap_or((block, ""));
        found.push(whole);
        rest = after;
    }
    found
}

fn private(key: Result<PrivateKey>) -> Result<Vec<Material>> {
    Ok(vec![Material::Private(key?, None)])
}

fn encrypted(der: &[u8], password: &Password) -> Result<Vec<Material>> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|error| {
        Failure::content("this encrypted private key cannot be read", error)
            .help("it must be encrypted with PBES2: openssl pkcs8 -topk8 -v2 aes-256-cbc")
    })?;
    let plain = info.decrypt(password.get()?).map_err(|error| wrong_password(&error))?;
    private(PrivateKey::from_pkcs8(plain.as_bytes()))
}

fn certificate(der: &[u8], _: &Password) -> Result<Vec<Material>> {
    Certificate::from_der(der)
        .map_err(|error| Failure::content("this is no X.509 certificate", error))?;
    Ok(vec![Material::Certificate(der.to_vec())])
}

/// PFX ::= SEQUENCE { version INTEGER 3, ... }: nothing else begins with a 3.
fn is_pkcs12(der: &[u8]) -> bool {
    der::asn1::AnyRef::from_der(der).is_ok_and(|any| {
        der::Tagged::tag(&any) == der::Tag::Sequence && any.value().starts_with(&[2, 1, 3])
    })
}

fn pkcs12(der: &[u8], password: &Password) -> Result<Vec<Material>> {
    let archive =
        Pkcs12Archive::from_pkcs12(der, password.get()?).map_err(|error| wrong_password(&error))?;
    let mut found = Vec::new();
    for bag in &archive.keys {
        let key = PrivateKey::from_pkcs8(bag.key.as_der())?;
        found.push(Material::Private(key, bag.friendly_name.clone()));
    }
    let certificates = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec());
    found.extend(certificates.map(Material::Certificate));
    Ok(found)
}

fn wrong_password(error: &dyn std::fmt::Display) -> Failure {
    Failure::content("the file cannot be decrypted", error)
        .help("check the password; the file may also be damaged, or encrypted in an unknown way")
}

/// A secret key's value: the bytes themselves, or their hexadecimal digits.
pub(crate) fn raw(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let digits = bytes.trim_ascii();
    let mut value = Zeroizing::new(vec![0; digits.len() / 2]);
    let is_hex = digits.len().is_multiple_of(2) && hex::decode_to_slice(digits, &mut value).is_ok();
    if is_hex { value } else { Zeroizing::new(bytes.to_vec()) }
}
