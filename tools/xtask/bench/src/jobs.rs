//! The operations, one row each: by a module, and by the bare library.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair};
use aws_lc_rs::{digest, hmac, rand};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use crate::token::Token;
use crate::{Result, clock};

/// An operation, and how each side does it.
pub(crate) struct Job {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Makes the key in the token.
    key: fn(&Session) -> Result<ObjectHandle>,
    /// Does it once, by a module.
    module: fn(&Session, ObjectHandle) -> Result,
    /// What does it once, by the bare library, with a key of its own.
    primitive: fn() -> Result<Primitive>,
}

type Primitive = Box<dyn Fn() -> Result + Send + Sync>;

/// The numbers of threads that each operation is measured with.
pub(crate) const THREADS: &[u32] = &[1, 2];

/// Every operation. Signatures are of 32 bytes, which is what a digest has.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "Sign, ECDSA P-256",
        key: |session| ec(session, Mechanism::EccKeyPairGen, P256),
        module: |session, key| sign(session, key, &Mechanism::Ecdsa, 32),
        primitive: || ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
    },
    Job {
        name: "Sign, ECDSA P-384",
        key: |session| ec(session, Mechanism::EccKeyPairGen, P384),
        module: |session, key| sign(session, key, &Mechanism::Ecdsa, 32),
        primitive: || ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
    },
    Job {
        name: "Sign, Ed25519",
        key: |session| ec(session, Mechanism::EccEdwardsKeyPairGen, ED25519),
        module: |session, key| {
            let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
            sign(session, key, &Mechanism::Eddsa(pure), 32)
        },
        primitive: ed25519,
    },
    Job {
        name: "Sign, RSA 2048 with SHA-256",
        key: |session| rsa(session, 2048),
        module: |session, key| sign(session, key, &Mechanism::Sha256RsaPkcs, 32),
        primitive: || rsa_primitive(KeySize::Rsa2048),
    },
    Job {
        name: "Sign, RSA 4096 with SHA-256",
        key: |session| rsa(session, 4096),
        module: |session, key| sign(session, key, &Mechanism::Sha256RsaPkcs, 32),
        primitive: || rsa_primitive(KeySize::Rsa4096),
    },
    Job {
        name: "Encrypt 16 B, AES-256-GCM",
        key: aes,
        module: |session, key| gcm(session, key, 16),
        primitive: || gcm_primitive(16),
    },
    Job {
        name: "Encrypt 1 KiB, AES-256-GCM",
        key: aes,
        module: |session, key| gcm(session, key, 1 << 10),
        primitive: || gcm_primitive(1 << 10),
    },
    Job {
        name: "Encrypt 64 KiB, AES-256-GCM",
        key: aes,
        module: |session, key| gcm(session, key, 1 << 16),
        primitive: || gcm_primitive(1 << 16),
    },
    Job {
        name: "Encrypt 1 MiB, AES-256-GCM",
        key: aes,
        module: |session, key| gcm(session, key, 1 << 20),
        primitive: || gcm_primitive(1 << 20),
    },
    Job {
        name: "Digest 1 KiB, SHA-256",
        key: aes,
        module: |session, _| done(session.digest(&Mechanism::Sha256, data(1 << 10)?)),
        primitive: || Ok(Box::new(|| done(Ok(digest::digest(&digest::SHA256, data(1 << 10)?))))),
    },
    Job {
        name: "Sign 1 KiB, HMAC with SHA-256",
        key: secret,
        module: |session, key| sign(session, key, &Mechanism::Sha256Hmac, 1 << 10),
        primitive: hmac_primitive,
    },
    Job {
        name: "Random, 32 bytes",
        key: aes,
        module: |session, _| done(session.generate_random_slice(&mut [0; 32])),
        primitive: || Ok(Box::new(|| Ok(rand::fill(&mut [0; 32]).map_err(|_| "no random bytes")?))),
    },
];

/// Object identifiers of curves, as `CKA_EC_PARAMS` has them.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// SoftHSM2 wants the name instead of the identifier; both are in the standard.
const ED25519: &[u8] = b"\x13\x0cedwards25519";

static DATA: [u8; 1 << 20] = [0x5a; 1 << 20];

/// Measures all operations of a module.
pub(crate) fn module(path: &Path, time: Duration) -> Result {
    let token = Token::load(path)?;
    token.create()?;
    let login = token.login()?;
    for job in JOBS {
        let Some(key) = present(job, (job.key)(&login)) else { continue };
        for threads in THREADS {
            let rate = clock::rate(*threads, time, || {
                let session = token.session()?;
                Ok(move || (job.module)(&session, key))
            });
            report(job, *threads, rate);
        }
    }
    Ok(())
}

/// Measures all operations of the bare library.
pub(crate) fn primitives(time: Duration) -> Result {
    for job in JOBS {
        let Some(work) = present(job, (job.primitive)()) else { continue };
        for threads in THREADS {
            report(job, *threads, clock::rate(*threads, time, || Ok(&work)));
        }
    }
    Ok(())
}

/// What the table looks a figure up by.
pub(crate) fn figure(job: &Job, threads: u32) -> String {
    format!("{}, {threads}", job.name)
}

fn report(job: &Job, threads: u32, rate: Result<f64>) {
    if let Some(rate) = present(job, rate) {
        println!("{}\t{rate}", figure(job, threads));
    }
}

/// A side that cannot do an operation leaves its place in the table empty.
fn present<T>(job: &Job, outcome: Result<T>) -> Option<T> {
    outcome.map_err(|error| eprintln!("{}: {error}", job.name)).ok()
}

fn data(length: usize) -> Result<&'static [u8]> {
    Ok(DATA.get(..length).ok_or("so much data is not there")?)
}

/// Drops what an operation gave.
fn done<T>(outcome: cryptoki::error::Result<T>) -> Result {
    Ok(outcome.map(drop)?)
}

fn sign(session: &Session, key: ObjectHandle, mechanism: &Mechanism, length: usize) -> Result {
    done(session.sign(mechanism, key, data(length)?))
}

fn gcm(session: &Session, key: ObjectHandle, length: usize) -> Result {
    let mut iv = [7; 12];
    let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, &[], Ulong::from(128))?);
    done(session.encrypt(&mechanism, key, data(length)?))
}

fn private_key() -> [Attribute; 4] {
    [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
    ]
}

fn ec(session: &Session, mechanism: Mechanism, curve: &[u8]) -> Result<ObjectHandle> {
    let public = [Attribute::Token(true), Attribute::EcParams(curve.to_vec())];
    Ok(session.generate_key_pair(&mechanism, &public, &private_key())?.1)
}

fn rsa(session: &Session, bits: u64) -> Result<ObjectHandle> {
    let public = [Attribute::Token(true), Attribute::ModulusBits(Ulong::from(bits))];
    Ok(session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private_key())?.1)
}

fn secret_key(length: u64) -> [Attribute; 4] {
    [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::ValueLen(Ulong::from(length)),
    ]
}

fn aes(session: &Session) -> Result<ObjectHandle> {
    let mut template = secret_key(32).to_vec();
    template.push(Attribute::Encrypt(true));
    Ok(session.generate_key(&Mechanism::AesKeyGen, &template)?)
}

fn secret(session: &Session) -> Result<ObjectHandle> {
    let mut template = secret_key(32).to_vec();
    template.push(Attribute::Sign(true));
    Ok(session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?)
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Primitive> {
    let (key, random) = (EcdsaKeyPair::generate(algorithm)?, SystemRandom::new());
    Ok(Box::new(move || Ok(key.sign(&random, data(32)?).map(drop)?)))
}

fn ed25519() -> Result<Primitive> {
    let key = Ed25519KeyPair::generate()?;
    Ok(Box::new(move || {
        std::hint::black_box(key.sign(data(32)?));
        Ok(())
    }))
}

fn rsa_primitive(size: KeySize) -> Result<Primitive> {
    let (key, random) = (RsaKeyPair::generate(size)?, SystemRandom::new());
    Ok(Box::new(move || {
        let mut signature = vec![0; key.public_modulus_len()];
        Ok(key.sign(&signature::RSA_PKCS1_SHA256, &random, data(32)?, &mut signature)?)
    }))
}

fn gcm_primitive(length: usize) -> Result<Primitive> {
    let key = LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, &[7; 32])?);
    Ok(Box::new(move || {
        let mut text = Vec::with_capacity(length + 16);
        text.extend_from_slice(data(length)?);
        let nonce = Nonce::assume_unique_for_key([7; 12]);
        Ok(key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text)?)
    }))
}

fn hmac_primitive() -> Result<Primitive> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    Ok(Box::new(move || {
        std::hint::black_box(hmac::sign(&key, data(1 << 10)?));
        Ok(())
    }))
}
