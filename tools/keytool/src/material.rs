//! What is in a file: keys and certificates, as PEM, DER or PKCS#12, encrypted or not.

use std::cell::{Cell, OnceCell};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use der::Decode;
use p12_keystore::Pkcs12Archive;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use strongroom_token::MOST_ROUNDS;
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

/// The time that is taken to decrypt all that is in one file. How much work a password is says who wrote
/// the file, for each key anew: what is honest takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The memory that scrypt is given, in bytes. OpenSSL gives 32 MiB.
const MOST_MEMORY: u64 = 256 << 20;

/// How often scrypt may do its work.
const MOST_PASSES: u16 = 16;

/// Asks for the password of a file when it turns out to be encrypted, and once only.
pub(crate) struct Password {
    source: Source,
    read: OnceCell<Secret>,
    /// Of the time for this file.
    left: Cell<Duration>,
}

impl Password {
    /// A password that has not been needed yet.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, read: OnceCell::new(), left: Cell::new(PATIENCE) }
    }

    /// A password that is known.
    pub(crate) fn known(password: &str) -> Self {
        let read = Secret::new(password.to_owned()).into();
        Self { read, ..Self::new(Source::default()) }
    }

    /// Decrypts with the password, in the time that is left. What takes longer is left behind: with the
    /// failure the program ends.
    fn decrypt<T: Send + 'static>(&self, der: &[u8], with: fn(&[u8], &str) -> T) -> Result<T> {
        let (der, secret) = (Zeroizing::new(der.to_vec()), Secret::new(self.get()?.to_owned()));
        let (done, wait) = channel();
        let started = Instant::now();
        // Nobody waits for the answer any more, if it can not be sent.
        std::thread::spawn(move || done.send(with(&der, &secret)));
        let outcome = wait.recv_timeout(self.left.get());
        self.left.set(self.left.get().saturating_sub(started.elapsed()));
        outcome.map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                too_much(&format!("it takes longer than {} seconds", PATIENCE.as_secs()))
            }
            RecvTimeoutError::Disconnected => wrong_password(&error),
        })
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
    affordable(&info.encryption_algorithm)?;
    let plain = password.decrypt(der, |der, password| {
        EncryptedPrivateKeyInfoRef::try_from(der)?.decrypt(password)
    })?;
    private(PrivateKey::from_pkcs8(plain.map_err(|error| wrong_password(&error))?.as_bytes()))
}

/// Refuses a file whose password takes more work than anybody wants for a key.
fn affordable(scheme: &EncryptionScheme) -> Result<()> {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(kdf)) if u64::from(kdf.iteration_count) > MOST_ROUNDS => {
            let count = kdf.iteration_count;
            Err(too_much(&format!("PBKDF2 has {count} iterations, and {MOST_ROUNDS} are the most")))
        }
        Some(Kdf::Scrypt(kdf)) => {
            let block = 128 * u64::from(kdf.block_size);
            let memory = kdf.cost_parameter.saturating_mul(block);
            match memory <= MOST_MEMORY && kdf.parallelization <= MOST_PASSES {
                true => Ok(()),
                false => Err(too_much(&format!(
                    "scrypt wants {} MiB of memory, {} times; {} MiB, {MOST_PASSES} times, are the most",
                    memory >> 20,
                    kdf.parallelization,
                    MOST_MEMORY >> 20,
                ))),
            }
        }
        _ => Ok(()),
    }
}

fn too_much(cause: &str) -> Failure {
    Failure::content("to decrypt the file is too much work", cause).help(
        "a file like this keeps whoever reads it busy; if it is your own, encrypt it anew: openssl \
         pkcs8 -topk8 -v2 aes-256-cbc, or openssl pkcs12 -export, without an -iter of millions",
    )
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
    // Which has limits of its own for each key: a million iterations, 1 GiB of memory.
    let archive = password.decrypt(der, Pkcs12Archive::from_pkcs12)?;
    let archive = archive.map_err(|error| match error {
        p12_keystore::error::Error::InvalidParameters => too_much(
            "the password wants more than a million iterations, or its parameters are damaged",
        ),
        error => wrong_password(&error),
    })?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use der::Encode;
    use der::asn1::OctetStringRef;
    use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Parameters, Pbkdf2Params, ScryptParams};

    use super::*;

    /// What is said of a key file with this derivation.
    fn refusal(kdf: Kdf) -> String {
        let encryption = Cipher::Aes256Cbc { iv: [0; 16] };
        let info = EncryptedPrivateKeyInfoRef {
            encryption_algorithm: EncryptionScheme::Pbes2(Parameters { kdf, encryption }),
            encrypted_data: OctetStringRef::new(&[0; 32]).unwrap(),
        };
        let failure = read(&info.to_der().unwrap(), &Password::known("password")).err().unwrap();
        failure.lines().map(|(_, text)| text.to_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_file_does_not_keep_its_reader_busy() {
        const TOO_MUCH: &str = "too much work";
        let pbkdf2 = Pbkdf2Params::hmac_sha256(1, b"salt").unwrap();
        let iterations = |iteration_count| Kdf::Pbkdf2(Pbkdf2Params { iteration_count, ..pbkdf2 });
        for count in [1, 2048] {
            assert!(!refusal(iterations(count)).contains(TOO_MUCH));
        }
        let most = u32::try_from(MOST_ROUNDS).unwrap();
        for count in [most + 1, u32::MAX / 2] {
            let said = refusal(iterations(count));
            assert!(said.contains(TOO_MUCH) && said.contains(&count.to_string()), "{said}");
        }
        let scrypt = |cost_parameter, block_size, parallelization| {
            let salt = pbkdf2.salt;
            let key_length = None;
            Kdf::Scrypt(ScryptParams {
                salt,
                cost_parameter,
                block_size,
                parallelization,
                key_length,
            })
        };
        assert!(!refusal(scrypt(16, 8, 1)).contains(TOO_MUCH));
        for kdf in [
            scrypt(1 << 19, 8, 1),
            scrypt(1 << 62, 1, 1),
            scrypt(2, u16::MAX, u16::MAX),
            scrypt(16, 8, 17),
        ] {
            let said = refusal(kdf);
            assert!(said.contains(TOO_MUCH) && said.contains("MiB"), "{said}");
        }
    }

    #[test]
    fn the_time_for_a_file_ends() {
        let password = Password::known("password");
        password.left.set(Duration::from_millis(50));
        let quick = password.decrypt(b"file", |der, word| (der.to_vec(), word.to_owned()));
        assert!(quick.is_ok_and(|found| found == (b"file".to_vec(), "password".to_owned())));
        let endless = password.decrypt(b"file", |_, _| std::thread::sleep(Duration::from_secs(5)));
        let failure = endless.err().unwrap();
        assert!(failure.lines().any(|(_, text)| text.contains("longer than")));
        assert_eq!(password.left.get(), Duration::ZERO, "nothing is left for the next key");
    }
}
