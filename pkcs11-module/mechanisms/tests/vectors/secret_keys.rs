//! Generation of secret keys, for which there are no vectors: what comes out is a key of the right
//! type and length, no two are the same, and the second opinion computes the same with it.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use sha2::Digest as _;
use strongroom_mechanisms::Key;
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Params, Result, attribute, ck, mechanism,
};

use crate::aes_support::Call;
use crate::aes_vectors::gcm;
use crate::hash_vectors::secret;
use crate::support::{complete, mechanism, object, sign};

fn generate(id: MechanismType, key_type: KeyType, len: u64) -> Result<Attributes> {
    let row = mechanism(id)?;
    assert_eq!(row.keys, [key_type]);
    let mut key = object(Class::SECRET_KEY, key_type);
    key.set(attribute::VALUE_LEN, len);
    (row.generate.ok_or(Error::MechanismInvalid)?)(&Params::NONE, &mut key)?;
    complete(key)
}

/// A generated key, parsed, and its value.
fn made(id: MechanismType, key_type: KeyType, len: u64) -> (Arc<Key>, Vec<u8>) {
    let [one, other] = [(); 2].map(|()| generate(id, key_type, len).unwrap());
    let value = one.get(attribute::VALUE).unwrap().to_vec();
    assert_eq!(u64::try_from(value.len()).unwrap(), len);
    assert_eq!(one.get(attribute::VALUE_LEN), Some(len));
    assert_eq!(one.get(attribute::CHECK_VALUE).map(<[u8]>::len), Some(3));
    // Equal values of one byte are likely.
    assert!(len < 16 || other.get(attribute::VALUE) != Some(&value));
    (Arc::new(Key::parse(&one).unwrap()), value)
}

#[test]
pub(crate) fn aes_keys() {
    let id = mechanism!(CKM_AES_KEY_GEN).0;
    for len in [16, 24, 32] {
        let (key, value) = made(id, KeyType::AES, len);
        let params = &gcm(&[5; 12], 96, b"header", 128);
        let call = Call { id: mechanism!(CKM_AES_GCM).0, key: &key, params };
        let ours = call.encrypt(b"message").unwrap();
        let payload = Payload { msg: b"message", aad: b"header" };
        let nonce = &[5; 12].into();
        let theirs = match len {
            16 => aes_gcm::Aes128Gcm::new_from_slice(&value).unwrap().encrypt(nonce, payload),
            24 => aes_gcm::AesGcm::<aes_gcm::aes::Aes192, _>::new_from_slice(&value)
                .unwrap()
                .encrypt(nonce, payload),
            _ => aes_gcm::Aes256Gcm::new_from_slice(&value).unwrap().encrypt(nonce, payload),
        };
        assert_eq!(*ours, theirs.unwrap());
    }
    for len in [0, 8, 15, 17, 33, 64, u64::MAX] {
        assert_eq!(generate(id, KeyType::AES, len).err(), Some(Error::AttributeValueInvalid));
    }
}

/// HMAC with SHA-256, written out from FIPS 198-1.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    match key.len() <= block.len() {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&sha2::Sha256::digest(key)),
    }
    let inner = sha2::Sha256::new().chain_update(block.map(|byte| byte ^ 0x36));
    let inner = inner.chain_update(message).finalize();
    let outer = sha2::Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner).finalize().to_vec()
}

#[test]
pub(crate) fn plain_secrets() {
    let id = mechanism!(CKM_GENERIC_SECRET_KEY_GEN).0;
    for len in [1, 16, 64, 65, 65536] {
        let (key, value) = made(id, KeyType::GENERIC_SECRET, len);
        let mac = sign(mechanism!(CKM_SHA256_HMAC).0, &key, &Params::NONE, b"message").unwrap();
        assert_eq!(*mac, hmac_sha256(&value, b"message"));
    }
    for len in [0, 65537, u64::MAX] {
        let answer = generate(id, KeyType::GENERIC_SECRET, len).err();
        assert_eq!(answer, Some(Error::AttributeValueInvalid));
    }
}

#[test]
pub(crate) fn hmac_keys() {
    macro_rules! check {
        ($($generator:ident, $ckk:ident, $hmac:ident;)*) => {$({
            let (key, value) = made(mechanism!($generator).0, KeyType(ck!($ckk)), 48);
            let generic = secret(KeyType::GENERIC_SECRET, &value).unwrap();
            let mac = |key| sign(mechanism!($hmac).0, key, &Params::NONE, b"message").unwrap();
            // The vectors hold the MAC of a generic secret.
            assert!(mac(&key) == mac(&generic));
        })*};
    }
    check! {
        CKM_SHA_1_KEY_GEN, CKK_SHA_1_HMAC, CKM_SHA_1_HMAC;
        CKM_SHA224_KEY_GEN, CKK_SHA224_HMAC, CKM_SHA224_HMAC;
        CKM_SHA256_KEY_GEN, CKK_SHA256_HMAC, CKM_SHA256_HMAC;
        CKM_SHA384_KEY_GEN, CKK_SHA384_HMAC, CKM_SHA384_HMAC;
        CKM_SHA512_KEY_GEN, CKK_SHA512_HMAC, CKM_SHA512_HMAC;
        CKM_SHA512_224_KEY_GEN, CKK_SHA512_224_HMAC, CKM_SHA512_224_HMAC;
        CKM_SHA512_256_KEY_GEN, CKK_SHA512_256_HMAC, CKM_SHA512_256_HMAC;
        CKM_SHA3_224_KEY_GEN, CKK_SHA3_224_HMAC, CKM_SHA3_224_HMAC;
        CKM_SHA3_256_KEY_GEN, CKK_SHA3_256_HMAC, CKM_SHA3_256_HMAC;
        CKM_SHA3_384_KEY_GEN, CKK_SHA3_384_HMAC, CKM_SHA3_384_HMAC;
        CKM_SHA3_512_KEY_GEN, CKK_SHA3_512_HMAC, CKM_SHA3_512_HMAC;
    }
}

/// The vectors hold the MAC of a generic secret.
#[test]
pub(crate) fn hmac_keys_of_sha512_t() {
    let (key, value) =
        made(mechanism!(CKM_SHA512_T_KEY_GEN).0, KeyType(ck!(CKK_SHA512_T_HMAC)), 48);
    let generic = secret(KeyType::GENERIC_SECRET, &value).unwrap();
    let params = crate::support::ulongs(&[200]);
    let mac = |key| sign(mechanism!(CKM_SHA512_T_HMAC).0, key, &params, b"message").unwrap();
    assert!(mac(&key) == mac(&generic));
}

/// Keys of XTS: two lengths, and what they encrypt is what a key that is brought along does.
#[test]
pub(crate) fn xts_keys() {
    let (id, key_type) = (mechanism!(CKM_AES_XTS_KEY_GEN).0, KeyType(ck!(CKK_AES_XTS)));
    for len in [32, 64] {
        let (key, value) = made(id, key_type, len);
        let params = &crate::aes_support::bytes(&[1; 16]);
        let encrypt = |key: &Arc<Key>| {
            Call { id: mechanism!(CKM_AES_XTS).0, key, params }.encrypt(&[5; 40]).unwrap()
        };
        assert!(encrypt(&key) == encrypt(&secret(key_type, &value).unwrap()));
    }
    for len in [0, 16, 24, 33, 48, 128] {
        assert_eq!(generate(id, key_type, len).err(), Some(Error::AttributeValueInvalid));
    }
}

/// Keys of HKDF differ from generic secrets in their type alone.
#[test]
pub(crate) fn hkdf_keys() {
    let id = mechanism!(CKM_HKDF_KEY_GEN).0;
    for len in [1, 32, 65536] {
        let (key, value) = made(id, KeyType::HKDF, len);
        assert_eq!(key.size(), u64::try_from(value.len()).unwrap());
    }
    for len in [0, 65537] {
        assert_eq!(generate(id, KeyType::HKDF, len).err(), Some(Error::AttributeValueInvalid));
    }
}

fn created(key_type: KeyType, value: &[u8], check_value: Option<&[u8]>) -> Result<Attributes> {
    let mut key = object(Class::SECRET_KEY, key_type);
    key.set(attribute::VALUE, value);
    if let Some(given) = check_value {
        key.set(attribute::CHECK_VALUE, given);
    }
    complete(key)
}

#[test]
fn check_values() {
    // FIPS 197's AES-128 of a block of zeros under a key of zeros, and SHA-1 of "abc" and of 32
    // zeros.
    for (key_type, value, expected) in [
        (KeyType::AES, [0; 16].as_slice(), [0x66, 0xe9, 0x4b]),
        (KeyType::GENERIC_SECRET, b"abc", [0xa9, 0x99, 0x3e]),
        (KeyType::SHA3_512_HMAC, b"abc", [0xa9, 0x99, 0x3e]),
        (KeyType::HKDF, b"abc", [0xa9, 0x99, 0x3e]),
        (KeyType::CHACHA20, &[0; 32], [0xde, 0x8a, 0x84]),
    ] {
        let check_value = |given| {
            created(key_type, value, given)
                .map(|key| key.get(attribute::CHECK_VALUE).unwrap().to_vec())
        };
        assert_eq!(check_value(None), Ok(expected.to_vec()));
        assert_eq!(check_value(Some(&expected)), Ok(expected.to_vec()));
        assert_eq!(check_value(Some(&[])), Ok(Vec::new()));
        assert_eq!(check_value(Some(&[1, 2, 3])), Err(Error::AttributeValueInvalid));
    }
}

#[test]
fn values_that_can_not_be() {
    for len in [0, 1, 15, 17, 31, 33] {
        let answer = created(KeyType::AES, &vec![0; len], None).err();
        assert_eq!(answer, Some(Error::AttributeValueInvalid));
    }
    let answer = created(KeyType::GENERIC_SECRET, &[], None).err();
    assert_eq!(answer, Some(Error::AttributeValueInvalid));
    assert!(created(KeyType::GENERIC_SECRET, &[1], None).is_ok());
    assert!(created(KeyType::SHA512_HMAC, &vec![1; 100_000], None).is_ok());
}

#[test]
fn attributes_that_must_be_there() {
    let id = mechanism!(CKM_AES_KEY_GEN).0;
    let mut key = object(Class::SECRET_KEY, KeyType::AES);
    let generate = mechanism(id).unwrap().generate.unwrap();
    assert_eq!(generate(&Params::NONE, &mut key), Err(Error::TemplateIncomplete));
    assert_eq!(complete(key).err(), Some(Error::TemplateIncomplete));
}
