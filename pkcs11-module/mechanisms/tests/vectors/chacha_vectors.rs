//! ChaCha20 and ChaCha20-Poly1305: those of the RFC and Wycheproof's.

use std::sync::Arc;

use strongroom_mechanisms::Key;
use strongroom_types::{
    Class, Error, KeyType, MechanismType, Param, Params, attribute, ck, mechanism,
};
use wycheproof::{TestResult, aead};

use crate::aes_support::Call;
use crate::hash_vectors::secret;
use crate::support::{Record, complete, mechanism, object, sign, sign_parts, verify};

const POLY1305: KeyType = KeyType(ck!(CKK_POLY1305));

fn key(value: &[u8]) -> Arc<Key> {
    secret(KeyType::CHACHA20, value).unwrap()
}

pub(crate) fn two(one: &[u8], other: &[u8]) -> Params {
    [Param::from(one), Param::from(other)].into_iter().collect()
}

/// By a counter of 32 bits, and by one of 64 that takes over what the nonce begins with.
#[test]
pub(crate) fn chacha20() {
    let id = mechanism!(CKM_CHACHA20).0;
    for record in Record::all(include_str!("data/chacha20.txt")) {
        let [value, nonce, plaintext, ciphertext] =
            ["KEY", "NONCE", "PLAINTEXT", "CIPHERTEXT"].map(|name| record.bytes(name));
        let counter: u32 = record.text("COUNTER").parse().unwrap();
        let all = [&counter.to_le_bytes()[..], &nonce].concat();
        for len in [4, 8] {
            let (counter, nonce) = all.split_at(len);
            let call = Call { id, key: &key(&value), params: &two(counter, nonce) };
            call.check(&plaintext, &ciphertext);
        }
    }
    let key = &key(&[7; 32]);
    let last = two(&[0xff; 4], &[1; 12]);
    let call = Call { id, key, params: &last };
    assert!(call.encrypt(&[0; 64]).is_ok());
    assert_eq!(call.encrypt(&[0; 65]).err(), Some(Error::DataLenRange));
    for wrong in [two(&[0; 4], &[0; 8]), two(&[0; 8], &[0; 12]), two(&[], &[0; 16]), Params::NONE] {
        let answer = Call { id, key, params: &wrong }.encrypt(b"x").err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid));
    }
}

#[test]
pub(crate) fn chacha20_poly1305() {
    let id = mechanism!(CKM_CHACHA20_POLY1305).0;
    for name in [aead::TestName::ChaCha20Poly1305, aead::TestName::XChaCha20Poly1305] {
        for group in aead::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let params = &two(&test.nonce, &test.aad);
                let call = Call { id, key: &key(&test.key), params };
                let sealed = [&test.ct[..], &test.tag].concat();
                match (test.result, test.nonce.len()) {
                    (TestResult::Valid | TestResult::Acceptable, 12 | 24) => {
                        call.check(&test.pt, &sealed);
                    }
                    (_, 12 | 24) if sealed.len() < 16 => {
                        let answer = call.decrypt(&sealed).err();
                        assert_eq!(answer, Some(Error::EncryptedDataLenRange), "{}", test.tc_id);
                    }
                    (_, 12 | 24) => {
                        let answer = call.decrypt(&sealed).err();
                        assert_eq!(answer, Some(Error::EncryptedDataInvalid), "{}", test.tc_id);
                        let answer = call.unwrap(&sealed).err();
                        assert_eq!(answer, Some(Error::WrappedKeyInvalid), "{}", test.tc_id);
                    }
                    _ => {
                        let answer = call.encrypt(&test.pt).err();
                        assert_eq!(answer, Some(Error::MechanismParamInvalid), "{}", test.tc_id);
                    }
                }
            }
        }
    }
}

#[test]
pub(crate) fn poly1305() {
    let id = mechanism!(CKM_POLY1305).0;
    let key = |value: &[u8]| secret(POLY1305, value).unwrap();
    let records = Record::all(include_str!("data/poly1305.txt"));
    for record in &records {
        let [value, message, tag] = ["KEY", "MESSAGE", "TAG"].map(|name| record.bytes(name));
        let key = &key(&value);
        assert_eq!(*sign(id, key, &Params::NONE, &message).unwrap(), tag);
        assert_eq!(*sign_parts(id, key, &Params::NONE, &message).unwrap(), tag);
        verify(id, key, &Params::NONE, &message, &tag).unwrap();
        let answer = verify(id, key, &Params::NONE, &message, &tag[1..]);
        assert_eq!(answer, Err(Error::SignatureLenRange));
        let mut other = tag.clone();
        other[15] ^= 1;
        let answer = verify(id, key, &Params::NONE, &message, &other);
        assert_eq!(answer, Err(Error::SignatureInvalid));
    }
    assert_eq!(records.len(), 11);
    let chacha = secret(KeyType::CHACHA20, &[1; 32]).unwrap();
    let answer = sign(id, &chacha, &Params::NONE, b"m").err();
    assert_eq!(answer, Some(Error::KeyTypeInconsistent));
}

#[test]
pub(crate) fn keys() {
    generated(mechanism!(CKM_CHACHA20_KEY_GEN).0, KeyType::CHACHA20);
}

#[test]
pub(crate) fn keys_of_poly1305() {
    generated(mechanism!(CKM_POLY1305_KEY_GEN).0, POLY1305);
}

/// Generated keys are of the one length, and no two are the same.
pub(crate) fn generated(id: MechanismType, key_type: KeyType) {
    let row = mechanism(id).unwrap();
    let made = || {
        let mut key = object(Class::SECRET_KEY, key_type);
        (row.generate.unwrap())(&Params::NONE, &mut key).unwrap();
        let key = complete(key).unwrap();
        assert_eq!(key.get(attribute::CHECK_VALUE).unwrap().len(), 3);
        key.get(attribute::VALUE).unwrap().to_vec()
    };
    let one = made();
    assert_eq!(one.len(), 32);
    assert!(made() != one);
    let mut given = object(Class::SECRET_KEY, key_type);
    given.set(attribute::VALUE_LEN, 31);
    let answer = (row.generate.unwrap())(&Params::NONE, &mut given);
    assert_eq!(answer, Err(Error::AttributeValueInvalid));
    let mut short = object(Class::SECRET_KEY, key_type);
    short.set(attribute::VALUE, &[1; 31][..]);
    assert_eq!(complete(short).err(), Some(Error::AttributeValueInvalid));
}
