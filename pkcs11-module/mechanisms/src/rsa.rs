//! `CKM_RSA_PKCS` and `CKM_RSA_X_509` (PKCS#11 3.2, 6.1.5 and 6.1.9): RSA of what the caller has
//! prepared; and PKCS#1 v1.5 signatures with a hash function (6.1.12).

use std::sync::Arc;

use strongroom_awslc::rsa::{PrivateKey, PublicKey};
use strongroom_types::{Bytes, Error, KeyType, MechanismType, Params, Result, mechanism};

use crate::failure::or;
use crate::hash::{self, Hash};
use crate::rsa_key::{SHORTEST, SIZES};
use crate::whole::{Direct, Hashed, Signer, Transform, Verifier};
use crate::{Cipher, Encapsulated, Key, Mechanism, Recover, Sign, Verify, secret};

/// The bytes that PKCS#1 v1.5 needs for itself (RFC 8017, 7.2 and 9.2).
const OVERHEAD: usize = 11;

macro_rules! rows {
    ($($ckm:ident: $hash:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[
            Mechanism {
                encrypt: Some(|key, _| encrypt(key, Pkcs1)),
                decrypt: Some(|key, _| decrypt(key, Pkcs1)),
                sign: Some(|key, _| sign(key, Pkcs1)),
                verify: Some(|key, _| verify(key, Pkcs1)),
                sign_recover: Some(|key, _| sign(key, Pkcs1)),
                verify_recover: Some(|key, _| recover(key, Pkcs1)),
                wrap: Some(wrap),
                unwrap: Some(unwrap),
                encapsulate: Some(|key, params, wanted| {
                    transport(public(key)?, wanted, |secret| wrap(key, params, secret))
                }),
                decapsulate: Some(unwrap),
                ..row(mechanism!(CKM_RSA_PKCS))
            },
            Mechanism {
                encrypt: Some(|key, _| encrypt(key, Raw)),
                decrypt: Some(|key, _| decrypt(key, Raw)),
                sign: Some(|key, _| sign(key, Raw)),
                verify: Some(|key, _| verify(key, Raw)),
                sign_recover: Some(|key, _| sign(key, Raw)),
                verify_recover: Some(|key, _| recover(key, Raw)),
                encapsulate: Some(|key, _, _| encapsulate_raw(public(key)?)),
                decapsulate: Some(|key, _, ciphertext, _| {
                    decapsulate_raw(private(key)?, ciphertext)
                }),
                ..row(mechanism!(CKM_RSA_X_509))
            },
            $(Mechanism {
                sign: Some(|key, _| {
                    private(key)?;
                    let primitive = Operation { key: key.clone(), scheme: Digested(&hash::$hash) };
                    Ok(Hashed::start(primitive, &hash::$hash))
                }),
                verify: Some(|key, _| {
                    public(key)?;
                    let primitive = Operation { key: key.clone(), scheme: Digested(&hash::$hash) };
                    Ok(Hashed::start(primitive, &hash::$hash))
                }),
                legacy: hash::$hash.signatures,
                ..row(mechanism!($ckm))
            },)*
        ];
    };
}

rows! {
    CKM_MD5_RSA_PKCS: MD5;
    CKM_SHA1_RSA_PKCS: SHA1;
    CKM_SHA224_RSA_PKCS: SHA224;
    CKM_SHA256_RSA_PKCS: SHA256;
    CKM_SHA384_RSA_PKCS: SHA384;
    CKM_SHA512_RSA_PKCS: SHA512;
    CKM_SHA3_224_RSA_PKCS: SHA3_224;
    CKM_SHA3_256_RSA_PKCS: SHA3_256;
    CKM_SHA3_384_RSA_PKCS: SHA3_384;
    CKM_SHA3_512_RSA_PKCS: SHA3_512;
}

const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::RSA],
        key_size: SIZES,
        legacy_key_size: Some(SHORTEST),
        ..Mechanism::named(named)
    }
}

/// What a mechanism does with its input and the two operations of RSA.
trait Scheme: Copy + Send + 'static {
    /// The longest input, for a modulus of this length.
    fn max(self, modulus_len: usize) -> usize;
    /// Signs.
    fn sign(self, key: &PrivateKey, input: &[u8]) -> Result<Bytes>;
    /// See [`Signer::bare`].
    fn bare(self) -> Option<MechanismType> {
        None
    }
    /// Verifies a signature that is as long as the modulus.
    fn verify(self, key: &PublicKey, input: &[u8], signature: &[u8]) -> Result<()>;
}

/// A scheme that also encrypts.
trait Encryption: Scheme {
    /// Encrypts.
    fn encrypt(self, key: &PublicKey, plaintext: &[u8]) -> Result<Bytes>;
    /// Decrypts what is no longer than the modulus.
    fn decrypt(self, key: &PrivateKey, ciphertext: &[u8]) -> Result<Bytes>;
}

/// A scheme whose signatures hold what was signed.
trait Recovery: Scheme {
    /// What was signed, out of a signature that is as long as the modulus.
    fn recover(self, key: &PublicKey, signature: &[u8]) -> Result<Bytes>;
}

/// PKCS#1 v1.5 of the caller's own `DigestInfo`, or of any short message.
#[derive(Clone, Copy)]
struct Pkcs1;

impl Scheme for Pkcs1 {
    fn max(self, modulus_len: usize) -> usize {
        modulus_len.saturating_sub(OVERHEAD)
    }

    fn sign(self, key: &PrivateKey, input: &[u8]) -> Result<Bytes> {
        key.sign_pkcs1(input).map_err(or(Error::FunctionFailed))
    }

    fn verify(self, key: &PublicKey, input: &[u8], signature: &[u8]) -> Result<()> {
        let signed = self.recover(key, signature)?;
        if *signed == input { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}

impl Recovery for Pkcs1 {
    fn recover(self, key: &PublicKey, signature: &[u8]) -> Result<Bytes> {
        key.recover_pkcs1(signature).map_err(or(Error::SignatureInvalid))
    }
}

impl Encryption for Pkcs1 {
    fn encrypt(self, key: &PublicKey, plaintext: &[u8]) -> Result<Bytes> {
        key.encrypt_pkcs1(plaintext).map_err(or(Error::DataLenRange))
    }

    fn decrypt(self, key: &PrivateKey, ciphertext: &[u8]) -> Result<Bytes> {
        if ciphertext.len() != key.modulus_len() {
            return Err(Error::EncryptedDataLenRange);
        }
        key.decrypt_pkcs1(ciphertext, &[]).map_err(or(Error::EncryptedDataInvalid))
    }
}

/// The bare number. Input shorter than the modulus has leading zeros (6.1.9).
#[derive(Clone, Copy)]
struct Raw;

impl Scheme for Raw {
    fn max(self, modulus_len: usize) -> usize {
        modulus_len
    }

    fn sign(self, key: &PrivateKey, input: &[u8]) -> Result<Bytes> {
        key.raw(&padded(input, key.modulus_len())).map_err(or(Error::DataInvalid))
    }

    fn verify(self, key: &PublicKey, input: &[u8], signature: &[u8]) -> Result<()> {
        let signed = self.recover(key, signature)?;
        if signed == padded(input, signed.len()) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}

impl Recovery for Raw {
    fn recover(self, key: &PublicKey, signature: &[u8]) -> Result<Bytes> {
        key.raw(signature).map_err(or(Error::SignatureInvalid))
    }
}

impl Encryption for Raw {
    fn encrypt(self, key: &PublicKey, plaintext: &[u8]) -> Result<Bytes> {
        key.raw(&padded(plaintext, key.modulus_len())).map_err(or(Error::DataInvalid))
    }

    fn decrypt(self, key: &PrivateKey, ciphertext: &[u8]) -> Result<Bytes> {
        let ciphertext = padded(ciphertext, key.modulus_len());
        key.raw(&ciphertext).map_err(or(Error::EncryptedDataInvalid))
    }
}

/// The input with leading zeros up to a length; the caller has checked that it is not longer.
fn padded(input: &[u8], len: usize) -> Bytes {
    let mut block = Bytes::new(Vec::with_capacity(len));
    block.resize(len.saturating_sub(input.len()), 0);
    block.extend_from_slice(input);
    block
}

/// PKCS#1 v1.5 of a digest.
#[derive(Clone, Copy)]
struct Digested(&'static Hash);

impl Scheme for Digested {
    fn max(self, _: usize) -> usize {
        self.0.output_len()
    }

    fn sign(self, key: &PrivateKey, digest: &[u8]) -> Result<Bytes> {
        // Only a short key has no room for a digest.
        key.sign_digest(self.0.algorithm, digest).map_err(or(Error::KeySizeRange))
    }

    fn bare(self) -> Option<MechanismType> {
        Some(mechanism!(CKM_RSA_PKCS).0)
    }

    fn verify(self, key: &PublicKey, digest: &[u8], signature: &[u8]) -> Result<()> {
        let verified = key.verify_digest(self.0.algorithm, digest, signature);
        verified.map_err(or(Error::SignatureInvalid))
    }
}

/// A scheme with a key. That the key is of the right class has been seen to when it started.
struct Operation<S> {
    key: Arc<Key>,
    scheme: S,
}

impl<S: Scheme> Signer for Operation<S> {
    fn signature_len(&self) -> usize {
        modulus_len(&self.key)
    }

    fn sign(&self, input: &[u8]) -> Result<Bytes> {
        self.scheme.sign(private(&self.key)?, input)
    }

    fn bare(&self) -> Option<MechanismType> {
        self.scheme.bare()
    }
}

impl<S: Scheme> Verifier for Operation<S> {
    fn bare(&self) -> Option<MechanismType> {
        Signer::bare(self)
    }

    fn verify(&self, input: &[u8], signature: &[u8]) -> Result<()> {
        let key = public(&self.key)?;
        if signature.len() != key.modulus_len() {
            return Err(Error::SignatureLenRange);
        }
        self.scheme.verify(key, input, signature)
    }
}

impl<S: Recovery> Recover for Operation<S> {
    fn data_len(&self) -> usize {
        self.scheme.max(modulus_len(&self.key))
    }

    fn recover(&self, signature: &[u8]) -> Result<Bytes> {
        let key = public(&self.key)?;
        if signature.len() != key.modulus_len() {
            return Err(Error::SignatureLenRange);
        }
        self.scheme.recover(key, signature)
    }
}

/// An encryption.
struct Encrypting<S>(Operation<S>);

impl<S: Encryption> Transform for Encrypting<S> {
    fn output_len(&self) -> usize {
        modulus_len(&self.0.key)
    }

    fn too_long(&self) -> Error {
        Error::DataLenRange
    }

    fn transform(&self, input: &[u8]) -> Result<Bytes> {
        self.0.scheme.encrypt(public(&self.0.key)?, input)
    }
}

/// A decryption.
struct Decrypting<S>(Operation<S>);

impl<S: Encryption> Transform for Decrypting<S> {
    fn output_len(&self) -> usize {
        self.0.scheme.max(modulus_len(&self.0.key))
    }

    fn too_long(&self) -> Error {
        Error::EncryptedDataLenRange
    }

    fn transform(&self, input: &[u8]) -> Result<Bytes> {
        self.0.scheme.decrypt(private(&self.0.key)?, input)
    }
}

fn sign(key: &Arc<Key>, scheme: impl Scheme) -> Result<Box<dyn Sign>> {
    let max = scheme.max(private(key)?.modulus_len());
    Ok(Direct::start(Operation { key: key.clone(), scheme }, max))
}

fn verify(key: &Arc<Key>, scheme: impl Scheme) -> Result<Box<dyn Verify>> {
    let max = scheme.max(public(key)?.modulus_len());
    Ok(Direct::start(Operation { key: key.clone(), scheme }, max))
}

fn recover(key: &Arc<Key>, scheme: impl Recovery) -> Result<Box<dyn Recover>> {
    public(key)?;
    Ok(Box::new(Operation { key: key.clone(), scheme }))
}

fn encrypt(key: &Arc<Key>, scheme: impl Encryption) -> Result<Box<dyn Cipher>> {
    let max = scheme.max(public(key)?.modulus_len());
    Ok(Direct::start(Encrypting(Operation { key: key.clone(), scheme }), max))
}

fn decrypt(key: &Arc<Key>, scheme: impl Encryption) -> Result<Box<dyn Cipher>> {
    let max = private(key)?.modulus_len();
    Ok(Direct::start(Decrypting(Operation { key: key.clone(), scheme }), max))
}

fn wrap(key: &Key, _: &Params, secret: &[u8]) -> Result<Bytes> {
    public(key)?.encrypt_pkcs1(secret).map_err(or(Error::KeySizeRange))
}

/// A wrapped key that is wrong is another key, of a length that it may have: that it can not be a key
/// of the type that is wanted would tell that it is wrong.
fn unwrap(key: &Key, _: &Params, wrapped: &[u8], lengths: &[usize]) -> Result<Bytes> {
    let key = private(key)?;
    if wrapped.len() != key.modulus_len() {
        return Err(Error::WrappedKeyLenRange);
    }
    key.decrypt_pkcs1(wrapped, lengths).map_err(or(Error::WrappedKeyInvalid))
}

/// A new secret of the length that is wanted, which there must be, encapsulated by wrapping it.
pub(crate) fn transport(
    key: &PublicKey,
    wanted: Option<usize>,
    wrap: impl FnOnce(&[u8]) -> Result<Bytes>,
) -> Result<Encapsulated> {
    let len = wanted.ok_or_else(secret::no_len)?;
    if len > key.modulus_len() {
        return Err(Error::KeySizeRange);
    }
    let mut secret = Bytes::new(vec![0; len]);
    crate::random(&mut secret)?;
    Ok(Encapsulated { ciphertext: wrap(&secret)?.to_vec(), secret })
}

/// RSASVE.GENERATE (SP 800-56B, 7.2.1.2): a random number z, 1 < z < n - 1, is the secret.
fn encapsulate_raw(key: &PublicKey) -> Result<Encapsulated> {
    /// Each try is good with more than one half.
    const TRIES: usize = 128;
    let spare = u32::try_from(key.bits().wrapping_neg() % 8).map_err(|_| Error::FunctionFailed)?;
    let mut secret = Bytes::new(vec![0; key.modulus_len()]);
    for _ in 0..TRIES {
        crate::random(&mut secret)?;
        if let Some(first) = secret.first_mut() {
            *first &= u8::MAX >> spare;
        }
        // A number that is not below n is refused; 0, 1 and n - 1 are their own powers, as few are.
        match key.raw(&secret) {
            Ok(ciphertext) if *ciphertext != *secret => {
                return Ok(Encapsulated { ciphertext: ciphertext.to_vec(), secret });
            }
            _ => {}
        }
    }
    Err(Error::FunctionFailed)
}

/// RSASVE.RECOVER (SP 800-56B, 7.2.1.3).
fn decapsulate_raw(key: &PrivateKey, ciphertext: &[u8]) -> Result<Bytes> {
    if ciphertext.len() != key.modulus_len() {
        return Err(Error::WrappedKeyLenRange);
    }
    key.raw(ciphertext).map_err(or(Error::WrappedKeyInvalid))
}

/// The key for private operations.
pub(crate) fn private(key: &Key) -> Result<&PrivateKey> {
    key.material()
}

/// The key for public operations.
pub(crate) fn public(key: &Key) -> Result<&PublicKey> {
    key.material()
}

/// The length of the modulus in bytes.
pub(crate) fn modulus_len(key: &Key) -> usize {
    usize::try_from(key.size().div_ceil(8)).unwrap_or(usize::MAX)
}
