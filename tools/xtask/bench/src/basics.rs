//! The other operations: MACs, decryption, derivation, encryption, digests, random bytes, sessions
//! and attributes.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::rsa::{
    KeySize, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::{digest, hmac, rand};
use cryptoki_sys::*;

use crate::Result;
use crate::client::{Mechanism, Object, Parameter, Value};
use crate::rows::{Bare, Part, Row, Work, each};
use crate::signatures::{Key, P256};
use crate::token::Token;

static DATA: [u8; 1 << 16] = [0x5a; 1 << 16];
const IV: &[u8] = &[7; 12];
pub(crate) const HMAC: Mechanism = Mechanism::plain(CKM_SHA256_HMAC);
const SHA256: Mechanism = Mechanism::plain(CKM_SHA256);
pub(crate) const GCM: Mechanism = Mechanism { id: CKM_AES_GCM, parameter: Parameter::Gcm(IV) };
const RSA: Mechanism = Mechanism::plain(CKM_RSA_PKCS);

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name, module: fn(&Token) -> Result<Work>| Row::new(name, Part::Operations, module);
    vec![
        row("HMAC-SHA256, 64 B", |token| hmac(token, 64)).with_bare(|| bare_hmac(64)),
        row("Decrypt, RSA-2048 PKCS#1", |token| decrypt(token, 2048))
            .with_bare(|| bare_decrypt(KeySize::Rsa2048)),
        row("Decrypt, RSA-4096 PKCS#1", |token| decrypt(token, 4096))
            .with_bare(|| bare_decrypt(KeySize::Rsa4096)),
        row("ECDH P-256, and the secret destroyed", ecdh).with_bare(bare_ecdh),
        row("AES-256-GCM, 64 B", gcm::<64, 80>).with_bare(|| bare_gcm(64)),
        row("AES-256-GCM, 16 KiB", gcm::<0x4000, 0x4010>).with_bare(|| bare_gcm(1 << 14)),
        row("SHA-256, 64 B", |_| digest(64)).with_bare(|| bare_digest(64)),
        row("SHA-256, 64 KiB", |_| digest(1 << 16)).with_bare(|| bare_digest(1 << 16)),
        row("Random, 32 B", |_| each(|turn| turn.token.module.random(turn.session, &mut [0; 32])))
            .with_bare(|| Ok(Box::new(|| Ok(rand::fill(&mut [0; 32])?)))),
        row("Session opened and closed", |_| {
            each(|turn| {
                let module = &turn.token.module;
                module.close(module.open(turn.token.slot)?)
            })
        }),
        row("Attribute read", |token| {
            let (_, key) = Key::Ec(CKM_EC_KEY_PAIR_GEN, P256).generate(token)?;
            each(move |turn| {
                turn.token.module.read(turn.session, key, CKA_LABEL, &mut [0; 64])?;
                Ok(())
            })
        }),
    ]
}

fn data(length: usize) -> Result<&'static [u8]> {
    Ok(DATA.get(..length).ok_or("so much data is not there")?)
}

/// Generates a secret key that is a token object.
pub(crate) fn secret(
    token: &Token,
    mechanism: CK_MECHANISM_TYPE,
    use_: CK_ATTRIBUTE_TYPE,
) -> Result<Object> {
    let template = [
        (CKA_TOKEN, Value::True),
        (CKA_PRIVATE, Value::True),
        (CKA_SENSITIVE, Value::True),
        (CKA_VALUE_LEN, Value::Ulong(32)),
        (use_, Value::True),
    ];
    token.module.generate(token.session()?, Mechanism::plain(mechanism), &template)
}

fn hmac(token: &Token, length: usize) -> Result<Work> {
    let (key, data) = (secret(token, CKM_GENERIC_SECRET_KEY_GEN, CKA_SIGN)?, data(length)?);
    each(move |turn| {
        turn.token.module.sign(turn.session, HMAC, key, data, &mut [0; 32])?;
        Ok(())
    })
}

fn bare_hmac(length: usize) -> Result<Bare> {
    let (key, data) = (hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), data(length)?);
    Ok(Box::new(move || {
        std::hint::black_box(hmac::sign(&key, data));
        Ok(())
    }))
}

fn decrypt(token: &Token, bits: CK_ULONG) -> Result<Work> {
    let (public, private) = Key::Rsa(bits).generate(token)?;
    let mut text = vec![0; 1024];
    let length = token.module.encrypt(token.session()?, RSA, public, data(32)?, &mut text)?;
    text.truncate(length);
    each(move |turn| {
        turn.token.module.decrypt(turn.session, RSA, private, &text, &mut [0; 1024])?;
        Ok(())
    })
}

fn bare_decrypt(size: KeySize) -> Result<Bare> {
    let key = PrivateDecryptingKey::generate(size)?;
    let public = Pkcs1PublicEncryptingKey::new(key.public_key())?;
    let private = Pkcs1PrivateDecryptingKey::new(key)?;
    let mut text = vec![0; public.ciphertext_size()];
    public.encrypt(data(32)?, &mut text)?;
    Ok(Box::new(move || {
        let mut room = [0; 1024];
        let room = room.get_mut(..private.min_output_size()).ok_or("too long")?;
        private.decrypt(&text, room)?;
        Ok(())
    }))
}

fn ecdh(token: &Token) -> Result<Work> {
    let (public, private) = Key::Ec(CKM_EC_KEY_PAIR_GEN, P256).generate(token)?;
    let mut point = vec![0; 128];
    let length = token.module.read(token.session()?, public, CKA_EC_POINT, &mut point)?;
    point.truncate(length);
    each(move |turn| {
        let template = [
            (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_GENERIC_SECRET)),
            (CKA_TOKEN, Value::False),
            (CKA_VALUE_LEN, Value::Ulong(32)),
        ];
        let mechanism = Mechanism { id: CKM_ECDH1_DERIVE, parameter: Parameter::Ecdh(&point) };
        let module = &turn.token.module;
        let secret = module.derive(turn.session, mechanism, private, &template)?;
        module.destroy(turn.session, secret)
    })
}

fn bare_ecdh() -> Result<Bare> {
    let key = PrivateKey::generate(&agreement::ECDH_P256)?;
    let public = key.compute_public_key()?.as_ref().to_vec();
    Ok(Box::new(move || {
        let public = UnparsedPublicKey::new(&agreement::ECDH_P256, &public);
        agreement::agree(&key, public, aws_lc_rs::error::Unspecified, |secret| {
            std::hint::black_box(secret);
            Ok(())
        })?;
        Ok(())
    }))
}

fn gcm<const LENGTH: usize, const ROOM: usize>(token: &Token) -> Result<Work> {
    let (key, data) = (secret(token, CKM_AES_KEY_GEN, CKA_ENCRYPT)?, data(LENGTH)?);
    each(move |turn| {
        turn.token.module.encrypt(turn.session, GCM, key, data, &mut [0; ROOM])?;
        Ok(())
    })
}

/// From one buffer into another, as a module does it.
fn bare_gcm(length: usize) -> Result<Bare> {
    let key = LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, &[7; 32])?);
    let data = data(length)?;
    Ok(Box::new(move || {
        let mut text = Vec::with_capacity(length + 16);
        text.extend_from_slice(data);
        let nonce = Nonce::assume_unique_for_key([7; 12]);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text)?;
        std::hint::black_box(text);
        Ok(())
    }))
}

fn digest(length: usize) -> Result<Work> {
    let data = data(length)?;
    each(move |turn| turn.token.module.digest(turn.session, SHA256, data, &mut [0; 32]))
}

fn bare_digest(length: usize) -> Result<Bare> {
    let data = data(length)?;
    Ok(Box::new(move || {
        std::hint::black_box(digest::digest(&digest::SHA256, data));
        Ok(())
    }))
}
