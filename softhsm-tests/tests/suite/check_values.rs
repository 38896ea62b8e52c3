//! `CKA_CHECK_VALUE` of keys (4.8 to 4.10): the fingerprint of a secret key, and nothing of others.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{Attribute, In, Mechanism, Param, Rv, Word, case, merge, t, table};

use crate::keys;

const NO_KEY_TYPE: &str = "there is no such key type";

/// A type, a value, and the check value by another implementation.
type Known = (CK_KEY_TYPE, &'static [u8], &'static str);

#[test]
fn what_they_are() {
    // A block of zeros encrypted, or the SHA-1 digest of the value, by OpenSSL.
    const ABC: &str = "a9993e";
    let rows: &[(&str, _, Known)] = &[
        ("AES-128", Passes, (CKK_AES, &[0; 16], "66e94b")),
        ("AES-192", Passes, (CKK_AES, &[0; 24], "aae069")),
        ("AES-256", Passes, (CKK_AES, &[0; 32], "dc95c0")),
        ("DES3", Passes, (CKK_DES3, &[1; 24], "8ca64d")),
        ("generic secret", Passes, (CKK_GENERIC_SECRET, b"abc", ABC)),
        ("SHA-256 HMAC", Passes, (CKK_SHA256_HMAC, b"abc", ABC)),
        ("SHA3-256 HMAC", Fails(NO_KEY_TYPE), (CKK_SHA3_256_HMAC, b"abc", ABC)),
        ("HKDF", Fails(NO_KEY_TYPE), (CKK_HKDF, b"abc", ABC)),
        ("ChaCha20", Fails(NO_KEY_TYPE), (CKK_CHACHA20, &[0; 32], "de8a84")),
        ("Salsa20", Fails(NO_KEY_TYPE), (CKK_SALSA20, &[0; 32], "de8a84")),
    ];
    table(rows, |world, (kind, value, wanted)| {
        let session = world.user();
        let wanted = keys::hex(wanted);
        let template = keys::secret(*kind, value);
        let secret = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false, CKA_ENCRYPT => false];
        for template in [template.clone(), merge(&template, &secret)] {
            let key = session.create(&template).expect("a key");
            assert_eq!(session.get(key, CKA_CHECK_VALUE), Ok(wanted.clone()));
            let again = merge(&template, &t![CKA_CHECK_VALUE => wanted.clone()]);
            assert!(session.create(&again).is_ok(), "the right one may be said");
            let wrong = merge(&template, &t![CKA_CHECK_VALUE => b"\0\0\0"]);
            assert_eq!(session.create(&wrong), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
    });
}

#[test]
fn whoever_makes_the_key() {
    case(Fails("an unwrapped key has an empty one"), |world| {
        let session = world.user();
        let base = session.create(&keys::secret(CKK_AES, &[0; 16])).expect("a key");
        let by = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        let wanted = session.get(base, CKA_CHECK_VALUE);
        let copy = session.copy(base, &[]).expect("C_CopyObject");
        assert_eq!(session.get(copy, CKA_CHECK_VALUE), wanted);
        let made = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("C_GenerateKey");
        let value = session.get(made, CKA_VALUE).expect("a value");
        let same = session.create(&keys::secret(CKK_AES, &value)).expect("the same key");
        assert_eq!(session.get(made, CKA_CHECK_VALUE), session.get(same, CKA_CHECK_VALUE));
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, by, base).expect("C_WrapKey");
        let template = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
        let unwrapped = session.unwrap(CKM_AES_KEY_WRAP, by, &wrapped, &template).expect("a key");
        assert_eq!(session.get(unwrapped, CKA_CHECK_VALUE), wanted);
    });
}

/// The template is wrong, even where it does not say the value.
#[test]
fn a_wrong_one_for_a_key_that_the_token_knows_better() {
    const OLD: &str = "it does not look at it";
    case(Fails(OLD), |world| {
        let session = world.user();
        let base = session.create(&keys::secret(CKK_AES, &[0; 16])).expect("a key");
        let by = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, by, base).expect("C_WrapKey");
        let open = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_SENSITIVE => false];
        let said = |value: &[u8]| merge(&open, &t![CKA_CHECK_VALUE => value]);
        let unwrap =
            |template: &[Attribute]| session.unwrap(CKM_AES_KEY_WRAP, by, &wrapped, template);
        let derive = |template: &[Attribute]| {
            let data = [Word::Bytes(In::Bytes(&[2; 16]))];
            let mechanism = Mechanism::with(CKM_AES_ECB_ENCRYPT_DATA, Param::Words(&data));
            session.derive(mechanism, by, template)
        };
        let makers: [&dyn Fn(&[Attribute]) -> Result<CK_OBJECT_HANDLE, Rv>; 2] = [&unwrap, &derive];
        for make in makers {
            let key = make(&open).expect("a key");
            let value = session.get(key, CKA_CHECK_VALUE).expect("a check value");
            assert!(make(&said(&value)).is_ok(), "the right one");
            let none = make(&said(b"")).expect("a key without");
            assert_eq!(session.get(none, CKA_CHECK_VALUE), Ok(vec![]));
            assert_eq!(make(&said(b"\0\0\0")), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        }
    });
}

#[test]
fn a_key_without() {
    case(Passes, |world| {
        let session = world.user();
        let none = t![CKA_CHECK_VALUE => b""];
        let secret = keys::secret(CKK_AES, &[0; 16]);
        let never = session.create(&merge(&secret, &none)).expect("a key");
        assert_eq!(session.get(never, CKA_CHECK_VALUE), Ok(vec![]));
        for token in [false, true] {
            let template = merge(&secret, &t![CKA_TOKEN => token]);
            let key = session.create(&template).expect("a key");
            let copy = session.copy(key, &none).expect("C_CopyObject");
            assert_eq!(session.get(copy, CKA_CHECK_VALUE), Ok(vec![]));
            let wrong = t![CKA_CHECK_VALUE => b"abc"];
            assert_eq!(session.set(key, &wrong), CKR_ATTRIBUTE_VALUE_INVALID);
            assert_eq!(session.set(key, &t![CKA_CHECK_VALUE => keys::hex("66e94b")]), Rv::OK);
            assert_eq!(session.set(key, &none), Rv::OK);
            assert_eq!(session.get(key, CKA_CHECK_VALUE), Ok(vec![]));
            assert_eq!(session.set(key, &none), Rv::OK);
        }
    });
}

#[test]
fn what_was_given_up_is_not_tried_out() {
    const COMPUTED: &str = "it computes the value again, and compares";
    case(Fails(COMPUTED), |world| {
        let session = world.user();
        let none = t![CKA_CHECK_VALUE => b""];
        let key = session.create(&merge(&keys::secret(CKK_AES, &[0; 16]), &none)).expect("a key");
        for guess in ["66e94b", "000000"] {
            let guess = t![CKA_CHECK_VALUE => keys::hex(guess)];
            assert_eq!(session.set(key, &guess), CKR_ATTRIBUTE_READ_ONLY);
            assert_eq!(session.copy(key, &guess), Err(Rv(CKR_ATTRIBUTE_READ_ONLY)));
        }
    });
}

#[test]
fn key_pairs_have_none() {
    case(Passes, |world| {
        let session = world.user();
        for (public, private) in [keys::ec(&session, keys::P256), keys::rsa(&session, 2048)] {
            for key in [public, private] {
                let answer = session.get(key, CKA_CHECK_VALUE);
                assert_eq!(answer, Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)));
            }
        }
    });
}
