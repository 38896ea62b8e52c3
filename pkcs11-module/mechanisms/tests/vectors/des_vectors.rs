//! DES and 3DES: NIST's vectors, that of FIPS 113, and the `des` crate.

use std::sync::Arc;

use des::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use strongroom_mechanisms::{Key, Legacy};
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, mechanism,
};

use crate::aes_support::{Call, bytes};
use crate::support::{self, Record, complete, mechanism, object, sign, sign_parts, ulongs, verify};

fn attributes(value: &[u8]) -> Attributes {
    let key_type = match value.len() {
        8 => KeyType::DES,
        16 => KeyType::DES2,
        _ => KeyType::DES3,
    };
    let mut key = object(Class::SECRET_KEY, key_type);
    key.set(attribute::VALUE, value);
    complete(key).unwrap()
}

fn key(value: &[u8]) -> Arc<Key> {
    Arc::new(Key::parse(&attributes(value)).unwrap())
}

/// The mechanism of a mode for a key of this length.
fn id(mode: &str, key_len: usize) -> MechanismType {
    match (mode, key_len) {
        ("ECB", 8) => mechanism!(CKM_DES_ECB).0,
        ("ECB", _) => mechanism!(CKM_DES3_ECB).0,
        (_, 8) => mechanism!(CKM_DES_CBC).0,
        _ => mechanism!(CKM_DES3_CBC).0,
    }
}

#[test]
pub(crate) fn ecb_and_cbc() {
    for record in Record::all(include_str!("data/des.txt")) {
        let (mode, value) = (record.text("MODE"), record.bytes("KEY"));
        let params = match mode {
            "ECB" => Params::NONE,
            _ => bytes(&record.bytes("IV")),
        };
        let call = Call { id: id(mode, value.len()), key: &key(&value), params: &params };
        let (plaintext, ciphertext) = (record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT"));
        call.check(&plaintext, &ciphertext);
        padded(&value, &params, &plaintext);
        encrypt_data(&value, &params, &plaintext, &ciphertext);
        assert_eq!(call.encrypt(&[0; 9]).err(), Some(Error::DataLenRange));
        assert_eq!(call.decrypt(&[0; 7]).err(), Some(Error::EncryptedDataLenRange));
        assert_eq!(call.wrap(&[0; 12]).err(), Some(Error::KeySizeRange));
    }
}

/// CBC with padding is CBC of what PKCS#7 has padded.
fn padded(value: &[u8], params: &Params, plaintext: &[u8]) {
    if params.is_empty() {
        return;
    }
    let key = &key(value);
    let pad = match value.len() {
        8 => mechanism!(CKM_DES_CBC_PAD).0,
        _ => mechanism!(CKM_DES3_CBC_PAD).0,
    };
    for cut in 0..8 {
        let short = &plaintext[..plaintext.len() - cut];
        let missing = 8 - short.len() % 8;
        let filled = [short, &vec![u8::try_from(missing).unwrap(); missing]].concat();
        let expected = Call { id: id("CBC", value.len()), key, params }.encrypt(&filled).unwrap();
        let call = Call { id: pad, key, params };
        assert_eq!(*call.encrypt(short).unwrap(), *expected);
        assert_eq!(*call.decrypt(&expected).unwrap(), *short);
        if !short.is_empty() {
            assert_eq!(*call.unwrap(&call.wrap(short).unwrap()).unwrap(), *short);
        }
    }
}

/// The ciphertext is also what is derived.
fn encrypt_data(value: &[u8], params: &Params, plaintext: &[u8], ciphertext: &[u8]) {
    let base = attributes(value);
    let parsed = Key::parse(&base).unwrap();
    let (id, params): (_, Params) = match (params.is_empty(), value.len()) {
        (true, 8) => (mechanism!(CKM_DES_ECB_ENCRYPT_DATA).0, bytes(plaintext)),
        (true, _) => (mechanism!(CKM_DES3_ECB_ENCRYPT_DATA).0, bytes(plaintext)),
        (false, len) => {
            let iv = Param::from(params.bytes().unwrap());
            let id = match len {
                8 => mechanism!(CKM_DES_CBC_ENCRYPT_DATA).0,
                _ => mechanism!(CKM_DES3_CBC_ENCRYPT_DATA).0,
            };
            (id, [iv, Param::from(plaintext)].into_iter().collect())
        }
    };
    let derive = |wanted| support::derive(id, (&parsed, &base), &params, wanted, &[]);
    assert_eq!(*derive(None).unwrap(), *ciphertext);
    assert_eq!(*derive(Some(5)).unwrap(), ciphertext[..5]);
    assert!(derive(Some(ciphertext.len() + 1)).is_err());
}

#[test]
pub(crate) fn cmac() {
    for record in Record::all(include_str!("data/des_cmac.txt")) {
        let [value, message, mac] = ["KEY", "MESSAGE", "MAC"].map(|name| record.bytes(name));
        let (id, key) = (mechanism!(CKM_DES3_CMAC).0, &key(&value));
        assert_eq!(*sign(id, key, &Params::NONE, &message).unwrap(), mac);
        assert_eq!(*sign_parts(id, key, &Params::NONE, &message).unwrap(), mac);
        assert_eq!(verify(id, key, &Params::NONE, &message, &mac), Ok(()));
        let (id, params) = (mechanism!(CKM_DES3_CMAC_GENERAL).0, &ulongs(&[5]));
        assert_eq!(*sign(id, key, params, &message).unwrap(), mac[..5]);
        assert_eq!(verify(id, key, params, &message, &mac[..5]), Ok(()));
        let long = sign(id, key, &ulongs(&[9]), &message).err();
        assert_eq!(long, Some(Error::MechanismParamInvalid));
    }
}

/// FIPS 113, appendix A, by a key whose three parts are one; and CBC of what zeros fill up.
#[test]
pub(crate) fn mac() {
    let key = &key(&hex::decode("0123456789abcdef".repeat(3)).unwrap());
    let message = b"7654321 Now is the time for ";
    let whole = hex::decode("f1d30f6849312ca4").unwrap();
    let (id, general) = (mechanism!(CKM_DES3_MAC).0, mechanism!(CKM_DES3_MAC_GENERAL).0);
    assert_eq!(*sign(id, key, &Params::NONE, message).unwrap(), whole[..4]);
    assert_eq!(*sign_parts(id, key, &Params::NONE, message).unwrap(), whole[..4]);
    assert_eq!(verify(id, key, &Params::NONE, message, &whole[..4]), Ok(()));
    assert_eq!(*sign(general, key, &ulongs(&[8]), message).unwrap(), whole);
    let cbc = Call { id: mechanism!(CKM_DES3_CBC).0, key, params: &bytes(&[0; 8]) };
    for len in 1..40 {
        let message: Vec<u8> = (0..len).collect();
        let filled = [&message[..], &vec![0; message.len().next_multiple_of(8) - message.len()]];
        let blocks = cbc.encrypt(&filled.concat()).unwrap();
        let mac = sign_parts(general, key, &ulongs(&[8]), &message).unwrap();
        assert_eq!(*mac, blocks[blocks.len() - 8..]);
    }
}

fn generate(id: MechanismType, key_type: KeyType) -> Result<Attributes> {
    let row = mechanism(id)?;
    assert_eq!((row.keys, row.legacy), (&[key_type][..], Legacy::Everything));
    let mut key = object(Class::SECRET_KEY, key_type);
    (row.generate.ok_or(Error::MechanismInvalid)?)(&Params::NONE, &mut key)?;
    complete(key)
}

/// Generated keys have odd parity, and the `des` crate encrypts the same with them.
#[test]
pub(crate) fn keys() {
    for (id, key_type, len) in [
        (mechanism!(CKM_DES_KEY_GEN).0, KeyType::DES, 8),
        (mechanism!(CKM_DES2_KEY_GEN).0, KeyType::DES2, 16),
        (mechanism!(CKM_DES3_KEY_GEN).0, KeyType::DES3, 24),
    ] {
        let key = generate(id, key_type).unwrap();
        let value = key.get(attribute::VALUE).unwrap();
        assert_eq!(value.len(), len);
        assert!(value.iter().all(|byte| byte.count_ones() % 2 == 1));
        assert!(generate(id, key_type).unwrap().get(attribute::VALUE) != Some(value));
        let mut block = [0; 8].into();
        match len {
            8 => des::Des::new_from_slice(value).unwrap().encrypt_block(&mut block),
            16 => des::TdesEde2::new_from_slice(value).unwrap().encrypt_block(&mut block),
            _ => des::TdesEde3::new_from_slice(value).unwrap().encrypt_block(&mut block),
        }
        assert_eq!(key.get(attribute::CHECK_VALUE), Some(&block[..3]));
        let ecb = self::id("ECB", len);
        let parsed = &Arc::new(Key::parse(&key).unwrap());
        let ours = Call { id: ecb, key: parsed, params: &Params::NONE }.encrypt(&[0; 8]).unwrap();
        assert_eq!(*ours, block[..]);
    }
    // A key that is brought along stays as it is, one that is derived does not; and another length
    // is none.
    let even = attributes(&[3; 8]);
    assert_eq!(even.get(attribute::VALUE), Some(&[3; 8][..]));
    let mut bits = [0, 1, 2, 3, 0xfe, 0xff];
    (strongroom_mechanisms::key_type(KeyType::DES).unwrap().derived.unwrap())(&mut bits);
    assert_eq!(bits, [1, 1, 2, 2, 0xfe, 0xfe]);
    let mut short = object(Class::SECRET_KEY, KeyType::DES3);
    short.set(attribute::VALUE, &[1; 23][..]);
    assert_eq!(complete(short).err(), Some(Error::AttributeValueInvalid));
}
