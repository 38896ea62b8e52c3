//! Salsa20, by the vectors of ECRYPT and NaCl; and Salsa20-Poly1305, for which nobody has published
//! any: by a crate that has RFC 8439's construction for every stream cipher.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::consts::{U8, U24};
use chacha20poly1305::{AeadInOut, ChaChaPoly1305};
use salsa20::{Salsa20, XSalsa20};
use strongroom_mechanisms::Key;
use strongroom_types::{Error, KeyType, Param, Params, ck, mechanism};

use crate::aes_support::Call;
use crate::chacha_vectors::{generated, two};
use crate::hash_vectors::secret;
use crate::support::{Record, sign};

const SALSA20: KeyType = KeyType(ck!(CKK_SALSA20));

fn key(value: &[u8]) -> Arc<Key> {
    secret(SALSA20, value).unwrap()
}

/// `CK_SALSA20_PARAMS`.
fn from_block(block: u64, nonce: &[u8]) -> Params {
    let counter = Param::Structure([Param::from(&block.to_le_bytes()[..])].into_iter().collect());
    [counter, Param::from(nonce)].into_iter().collect()
}

#[test]
pub(crate) fn streams_of_ecrypt() {
    let id = mechanism!(CKM_SALSA20).0;
    let records = Record::all(include_str!("data/salsa20.txt"));
    assert_eq!(records.len(), 90);
    for record in records {
        let [value, nonce, stream] = ["KEY", "NONCE", "STREAM"].map(|name| record.bytes(name));
        let params = &from_block(record.text("BLOCK").parse().unwrap(), &nonce);
        Call { id, key: &key(&value), params }.check(&[0; 64], &stream);
    }
    let key = &key(&[7; 32]);
    let last = &from_block(u64::MAX - 1, &[1; 8]);
    let call = Call { id, key, params: last };
    assert!(call.encrypt(&[0; 64]).is_ok());
    assert_eq!(call.encrypt(&[0; 65]).err(), Some(Error::DataLenRange));
    let short = [Param::Structure(Params::NONE), Param::from(&[0; 8][..])].into_iter().collect();
    let nonces = [0, 7, 12, 16, 25].map(|len| from_block(0, &vec![0; len]));
    for wrong in nonces.into_iter().chain([short, two(&[0; 8], &[0; 8]), Params::NONE]) {
        let answer = Call { id, key, params: &wrong }.encrypt(b"x").err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid));
    }
}

/// NaCl's secretbox (D. J. Bernstein, "Cryptography in NaCl", section 9): XSalsa20 over 32 zeros, which
/// give the key of Poly1305, and over the message.
#[test]
pub(crate) fn streams_of_nacl() {
    let value = hex::decode("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex::decode("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37").unwrap();
    let message = hex::decode(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d4\
         5e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a\
         024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
    );
    let ciphertext = hex::decode(
        "8e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011\
         ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfea\
         bd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5",
    )
    .unwrap();
    let id = mechanism!(CKM_SALSA20).0;
    let params = &from_block(0, &nonce);
    let all = [&[0; 32][..], &message.unwrap()].concat();
    let stream = Call { id, key: &key(&value.unwrap()), params }.encrypt(&all).unwrap();
    let (one_time, made) = stream.split_at(32);
    assert_eq!(made, ciphertext);
    let one_time = secret(KeyType(ck!(CKK_POLY1305)), one_time).unwrap();
    let tag = sign(mechanism!(CKM_POLY1305).0, &one_time, &Params::NONE, made).unwrap();
    assert_eq!(hex::encode(&*tag), "f3ffc7703f9400e52a7dfb4b3d3305d9");
}

#[test]
pub(crate) fn second_opinion() {
    agree::<ChaChaPoly1305<Salsa20, U8>>(8);
    agree::<ChaChaPoly1305<XSalsa20, U24>>(24);
    let (id, key) = (mechanism!(CKM_SALSA20_POLY1305).0, &key(&[7; 32]));
    for len in [0, 7, 12, 16, 25] {
        let answer = Call { id, key, params: &two(&vec![1; len], &[]) }.encrypt(b"x").err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid), "{len}");
    }
}

/// Both encrypt the same, and what is changed does not open.
fn agree<C: AeadInOut + KeyInit>(nonce_len: usize) {
    let id = mechanism!(CKM_SALSA20_POLY1305).0;
    let bytes: Vec<u8> = (0..=255).collect();
    let nonce = &bytes[100..100 + nonce_len];
    let other = C::new_from_slice(&bytes[..32]).unwrap();
    let key = &key(&bytes[..32]);
    for (len, aad_len) in [(0, 0), (0, 1), (1, 0), (16, 16), (31, 15), (64, 17), (200, 255)] {
        let (msg, aad) = (&bytes[..len], &bytes[..aad_len]);
        let sealed = other.encrypt(nonce.try_into().unwrap(), Payload { msg, aad }).unwrap();
        let call = Call { id, key, params: &two(nonce, aad) };
        call.check(msg, &sealed);
        for at in [0, sealed.len() - 16, sealed.len() - 1] {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(call.decrypt(&forged).err(), Some(Error::EncryptedDataInvalid));
            assert_eq!(call.unwrap(&forged).err(), Some(Error::WrappedKeyInvalid));
        }
        let other = Call { id, key, params: &two(nonce, &[aad, b"more"].concat()) };
        assert_eq!(other.decrypt(&sealed).err(), Some(Error::EncryptedDataInvalid));
        let short = call.decrypt(&sealed[..15]).err();
        assert_eq!(short, Some(Error::EncryptedDataLenRange));
    }
}

#[test]
pub(crate) fn keys() {
    generated(mechanism!(CKM_SALSA20_KEY_GEN).0, SALSA20);
}
