//! 5.18: keys are generated, wrapped, unwrapped and derived.

use cryptoki_sys::*;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, PLENTY, Param, Room, Rv, SO_PIN, Session, USER_PIN, case, merge, t,
    table,
};

use crate::keys;

const IV: &[u8; 16] = &[0x17; 16];

fn secret(session: &Session<'_>, value: &[u8]) -> CK_OBJECT_HANDLE {
    session.create(&keys::secret(CKK_GENERIC_SECRET, value)).expect("a key")
}

fn aes(session: &Session<'_>, value: &[u8]) -> CK_OBJECT_HANDLE {
    session.create(&keys::secret(CKK_AES, value)).expect("a key")
}

/// What a secret key is unwrapped into, so that its value can be read.
fn open_key(kind: CK_KEY_TYPE) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind, CKA_SENSITIVE => false,
        CKA_EXTRACTABLE => true, CKA_ENCRYPT => true, CKA_DECRYPT => true,
    ]
}

#[test]
fn generated_keys() {
    let rows = &[
        ("AES-128", Passes, (CKM_AES_KEY_GEN, 16, CKK_AES)),
        ("AES-192", Passes, (CKM_AES_KEY_GEN, 24, CKK_AES)),
        ("AES-256", Passes, (CKM_AES_KEY_GEN, 32, CKK_AES)),
        ("generic, 1 byte", Passes, (CKM_GENERIC_SECRET_KEY_GEN, 1, CKK_GENERIC_SECRET)),
        ("generic, 64 bytes", Passes, (CKM_GENERIC_SECRET_KEY_GEN, 64, CKK_GENERIC_SECRET)),
        ("generic, 512 bytes", Passes, (CKM_GENERIC_SECRET_KEY_GEN, 512, CKK_GENERIC_SECRET)),
    ];
    table(rows, |world, (mechanism, len, kind)| {
        let session = world.user();
        let template = merge(&keys::aes(), &t![CKA_VALUE_LEN => *len]);
        let key = session.generate(*mechanism, &template).expect("C_GenerateKey");
        assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(*kind));
        let value = session.get(key, CKA_VALUE).expect("CKA_VALUE");
        assert_eq!(value.len() as CK_ULONG, *len);
        assert_eq!(session.number(key, CKA_VALUE_LEN), Ok(*len));
        let other = session.generate(*mechanism, &template).expect("C_GenerateKey");
        assert!(*len < 8 || session.get(other, CKA_VALUE) != Ok(value));
    });
}

#[test]
fn templates_of_generated_keys_that_are_refused() {
    let rows: &[(&str, SoftHsm2, (Vec<Attribute>, &[CK_RV]))] = &[
        ("no length", Passes, (t![CKA_LABEL => "x"], &[CKR_TEMPLATE_INCOMPLETE])),
        (
            "17 bytes",
            Passes,
            (t![CKA_VALUE_LEN => 17_u64], &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE]),
        ),
        (
            "a value",
            Fails("a half-made object can be found"),
            (
                t![CKA_VALUE_LEN => 16_u64, CKA_VALUE => &[1; 16]],
                &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID],
            ),
        ),
        (
            "another key type",
            Passes,
            (
                t![CKA_VALUE_LEN => 16_u64, CKA_KEY_TYPE => CKK_RSA],
                &[CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID],
            ),
        ),
        (
            "another class",
            Passes,
            (
                t![CKA_VALUE_LEN => 16_u64, CKA_CLASS => CKO_PUBLIC_KEY],
                &[CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID],
            ),
        ),
    ];
    table(rows, |world, (template, answers)| {
        let session = world.user();
        let rv = session.generate(CKM_AES_KEY_GEN, template).expect_err("it was generated");
        assert!(answers.contains(&rv.0), "{rv:?}");
        assert!(session.find(&[]).is_empty(), "something was left behind");
    });
}

#[test]
fn key_pairs() {
    let ec = |curve: &[u8]| t![CKA_EC_PARAMS => curve];
    let rsa = |bits: CK_ULONG| t![CKA_MODULUS_BITS => bits, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
    let rows = &[
        ("RSA 2048", Passes, (CKM_RSA_PKCS_KEY_PAIR_GEN, rsa(2048), CKK_RSA)),
        ("RSA 3072", Passes, (CKM_RSA_PKCS_KEY_PAIR_GEN, rsa(3072), CKK_RSA)),
        ("P-256", Passes, (CKM_EC_KEY_PAIR_GEN, ec(keys::P256), CKK_EC)),
        ("P-384", Passes, (CKM_EC_KEY_PAIR_GEN, ec(keys::P384), CKK_EC)),
        ("P-521", Passes, (CKM_EC_KEY_PAIR_GEN, ec(keys::P521), CKK_EC)),
        ("secp256k1", Passes, (CKM_EC_KEY_PAIR_GEN, ec(keys::SECP256K1), CKK_EC)),
        (
            "P-256, with extra bits",
            Fails("no such mechanism"),
            (CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS, ec(keys::P256), CKK_EC),
        ),
        ("Ed25519", Passes, (CKM_EC_EDWARDS_KEY_PAIR_GEN, ec(keys::ED25519), CKK_EC_EDWARDS)),
        (
            "X25519",
            Fails("X25519 is under the Edwards mechanism (#647)"),
            (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ec(keys::X25519), CKK_EC_MONTGOMERY),
        ),
        ("Ed448", Passes, (CKM_EC_EDWARDS_KEY_PAIR_GEN, ec(keys::ED448), CKK_EC_EDWARDS)),
        (
            "X448",
            Fails("X448 is under the Edwards mechanism (#647)"),
            (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ec(keys::X448), CKK_EC_MONTGOMERY),
        ),
    ];
    table(rows, |world, (mechanism, public, kind)| {
        let session = world.user();
        let token = t![CKA_TOKEN => true];
        let (public, private) =
            session.pair(*mechanism, &merge(public, &token), &token).expect("C_GenerateKeyPair");
        for (key, class) in [(public, CKO_PUBLIC_KEY), (private, CKO_PRIVATE_KEY)] {
            assert_eq!(session.number(key, CKA_CLASS), Ok(class));
            assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(*kind));
            assert_eq!(session.flag(key, CKA_TOKEN), Ok(true));
        }
        assert_eq!(session.flag(private, CKA_PRIVATE), Ok(true));
    });
}

#[test]
fn key_pairs_that_are_refused() {
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, Vec<Attribute>, &[CK_RV]))] = &[
        (
            "RSA without a length",
            Passes,
            (
                CKM_RSA_PKCS_KEY_PAIR_GEN,
                t![CKA_PUBLIC_EXPONENT => &[1, 0, 1]],
                &[CKR_TEMPLATE_INCOMPLETE],
            ),
        ),
        (
            "RSA of 100 bits",
            Fails("CKR_GENERAL_ERROR"),
            (
                CKM_RSA_PKCS_KEY_PAIR_GEN,
                t![CKA_MODULUS_BITS => 100_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]],
                &[CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "EC without a curve",
            Passes,
            (CKM_EC_KEY_PAIR_GEN, t![CKA_LABEL => "x"], &[CKR_TEMPLATE_INCOMPLETE]),
        ),
        (
            "EC with a curve nobody knows",
            Fails("CKR_GENERAL_ERROR"),
            (
                CKM_EC_KEY_PAIR_GEN,
                t![CKA_EC_PARAMS => &[6, 3, 0x2A, 3, 4]],
                &[CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID],
            ),
        ),
        (
            "a mechanism for secret keys",
            Passes,
            (CKM_AES_KEY_GEN, t![CKA_VALUE_LEN => 16_u64], &[CKR_MECHANISM_INVALID]),
        ),
    ];
    table(rows, |world, (mechanism, public, answers)| {
        let session = world.user();
        let rv = session.pair(*mechanism, public, &[]).expect_err("it was generated");
        assert!(answers.contains(&rv.0), "{rv:?}");
        assert!(session.find(&[]).is_empty(), "something was left behind");
    });
}

#[test]
fn key_wrap_with_known_answers() {
    // RFC 3394, 4.1, 4.6; RFC 5649, 6.
    let k192 = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &str, &str, &str))] = &[
        (
            "KW, 128 bits",
            Passes,
            (
                CKM_AES_KEY_WRAP,
                "000102030405060708090a0b0c0d0e0f",
                "00112233445566778899aabbccddeeff",
                "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
            ),
        ),
        (
            "KW, 256 bits",
            Passes,
            (
                CKM_AES_KEY_WRAP,
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
                "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
            ),
        ),
        (
            "KWP, 20 bytes",
            Fails("it has only the older AES_KEY_WRAP_PAD"),
            (
                CKM_AES_KEY_WRAP_KWP,
                k192,
                "c37b7e6492584340bed12207808941155068f738",
                "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
            ),
        ),
        (
            "KWP, 7 bytes",
            Fails("it has only the older AES_KEY_WRAP_PAD"),
            (CKM_AES_KEY_WRAP_KWP, k192, "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
        ),
    ];
    table(rows, |world, (mechanism, wrapping, value, wanted)| {
        let session = world.user();
        let wrapping = aes(&session, &keys::hex(wrapping));
        let key = secret(&session, &keys::hex(value));
        let wrapped = session.wrap(*mechanism, wrapping, key).expect("C_WrapKey");
        assert_eq!(wrapped, keys::hex(wanted));
        let back = session
            .unwrap(*mechanism, wrapping, &wrapped, &open_key(CKK_GENERIC_SECRET))
            .expect("C_UnwrapKey");
        assert_eq!(session.get(back, CKA_VALUE), Ok(keys::hex(value)));
        let mut wrong = wrapped;
        wrong[3] ^= 1;
        let answer = session.unwrap(*mechanism, wrapping, &wrong, &open_key(CKK_GENERIC_SECRET));
        assert!(answer.is_err(), "it was changed");
    });
}

#[test]
fn secret_keys_there_and_back() {
    let oaep = Param::Oaep {
        hash: CKM_SHA_1,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        label: In::NONE,
    };
    let rows: &[(&str, SoftHsm2, (Mechanism<'_>, bool))] = &[
        ("AES KW", Passes, (CKM_AES_KEY_WRAP.into(), false)),
        ("AES KWP", Fails("it has only AES_KEY_WRAP_PAD"), (CKM_AES_KEY_WRAP_KWP.into(), false)),
        (
            "AES CBC",
            Fails("there is no CBC wrapping in this version"),
            (Mechanism::iv(CKM_AES_CBC, IV), false),
        ),
        (
            "AES CBC_PAD",
            Fails("there is no CBC wrapping in this version"),
            (Mechanism::iv(CKM_AES_CBC_PAD, IV), false),
        ),
        ("RSA PKCS #1", Passes, (CKM_RSA_PKCS.into(), true)),
        ("RSA OAEP", Passes, (Mechanism::with(CKM_RSA_PKCS_OAEP, oaep), true)),
    ];
    table(rows, |world, (mechanism, rsa)| {
        let session = world.user();
        let (wrapping, unwrapping) = if *rsa {
            keys::rsa(&session, 2048)
        } else {
            let key = aes(&session, &[1; 32]);
            (key, key)
        };
        let key = aes(&session, &[0x3C; 32]);
        let wrapped = session.wrap(*mechanism, wrapping, key).expect("C_WrapKey");
        let (module, handle) = (session.module, session.handle);
        let query = module.wrap_key(handle, Some(mechanism), wrapping, key, Room::Query);
        assert_eq!(query.rv, Rv::OK);
        assert!(query.len >= wrapped.len());
        let small = module.wrap_key(handle, Some(mechanism), wrapping, key, Room::Bytes(5));
        assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        let back = session
            .unwrap(*mechanism, unwrapping, &wrapped, &open_key(CKK_AES))
            .expect("C_UnwrapKey");
        assert_eq!(session.get(back, CKA_VALUE), Ok(vec![0x3C; 32]));
        for attribute in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            assert_eq!(session.flag(back, attribute), Ok(false));
        }
    });
}

/// Nobody learns from an answer whether a padding was right, or how long what was wrapped is
/// (draft-irtf-cfrg-rsa-guidance): what is wrong unwraps to another key.
#[test]
fn rsa_pkcs1_unwraps_what_is_wrong_to_another_key() {
    let rows: &[(&str, _, (_, &[usize]))] = &[
        ("AES", Fails("keys of lengths that no AES key has"), (CKK_AES, &[16, 24, 32])),
        ("AES-XTS", Fails("it has no such keys"), (CKK_AES_XTS, &[32, 64])),
        ("ChaCha20", Fails("it has no such keys"), (CKK_CHACHA20, &[32])),
    ];
    table(rows, |world, (kind, lengths)| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let secret = [7; 23];
        let open = t![CKA_EXTRACTABLE => true];
        let key = session.create(&merge(&keys::secret(CKK_GENERIC_SECRET, &secret), &open));
        let wrapped = session.wrap(CKM_RSA_PKCS, public, key.expect("a key")).expect("C_WrapKey");
        // The first is right, and of a length that such a key does not have.
        for at in 0..16 {
            let mut wrapped = wrapped.clone();
            wrapped[at * 8] ^= u8::from(at > 0);
            let value = || {
                let key = session.unwrap(CKM_RSA_PKCS, private, &wrapped, &open_key(*kind));
                session.get(key.expect("C_UnwrapKey"), CKA_VALUE).expect("a value")
            };
            let found = value();
            assert!(lengths.contains(&found.len()), "{} bytes", found.len());
            assert_eq!(value(), found, "the same each time");
            assert!(
                !found.windows(4).any(|part| part == &secret[..4]),
                "no piece of what is wrapped"
            );
            for len in *lengths {
                let template = merge(&open_key(*kind), &t![CKA_VALUE_LEN => *len as CK_ULONG]);
                let key = session.unwrap(CKM_RSA_PKCS, private, &wrapped, &template);
                let value = session.get(key.expect("C_UnwrapKey"), CKA_VALUE).expect("a value");
                assert_eq!(value.len(), *len);
                assert_eq!(value == found, value.len() == found.len());
            }
        }
    });
}

#[test]
fn an_unwrapped_key_knows_its_length() {
    case(Fails("CKA_VALUE_LEN is 0"), |world| {
        let session = world.user();
        let wrapping = aes(&session, &[1; 32]);
        let wrapped =
            session.wrap(CKM_AES_KEY_WRAP, wrapping, aes(&session, &[2; 24])).expect("C_WrapKey");
        let key = session
            .unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &open_key(CKK_AES))
            .expect("C_UnwrapKey");
        assert_eq!(session.number(key, CKA_VALUE_LEN), Ok(24));
    });
}

#[test]
fn private_keys_there_and_back() {
    let rows = &[
        ("RSA by KWP", Fails("it has only AES_KEY_WRAP_PAD"), (CKK_RSA, CKM_AES_KEY_WRAP_KWP)),
        ("RSA by the older name", Passes, (CKK_RSA, CKM_AES_KEY_WRAP_PAD)),
        ("EC by KWP", Fails("it has only AES_KEY_WRAP_PAD"), (CKK_EC, CKM_AES_KEY_WRAP_KWP)),
        ("EC by the older name", Passes, (CKK_EC, CKM_AES_KEY_WRAP_PAD)),
        (
            "Ed25519 by KWP",
            Fails("it has only AES_KEY_WRAP_PAD"),
            (CKK_EC_EDWARDS, CKM_AES_KEY_WRAP_KWP),
        ),
        (
            "EC by CBC_PAD",
            Fails("there is no CBC wrapping in this version"),
            (CKK_EC, CKM_AES_CBC_PAD),
        ),
    ];
    table(rows, |world, (kind, mechanism)| {
        let session = world.user();
        let wrapping = aes(&session, &[1; 32]);
        let extractable = t![CKA_EXTRACTABLE => true, CKA_SENSITIVE => true];
        let ((public, private), signs) = match *kind {
            CKK_RSA => (keys::rsa_with(&session, 2048, &extractable), CKM_SHA256_RSA_PKCS),
            CKK_EC => (keys::ec_with(&session, keys::P256, &extractable), CKM_ECDSA),
            _ => {
                let public = t![CKA_EC_PARAMS => keys::ED25519, CKA_VERIFY => true];
                let private = merge(&extractable, &t![CKA_SIGN => true]);
                let pair = session.pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, &public, &private);
                (pair.expect("C_GenerateKeyPair"), CKM_EDDSA)
            }
        };
        let mechanism = if *mechanism == CKM_AES_CBC_PAD {
            Mechanism::iv(*mechanism, IV)
        } else {
            Mechanism::plain(*mechanism)
        };
        let wrapped = session.wrap(mechanism, wrapping, private).expect("C_WrapKey");
        let template = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => *kind, CKA_SIGN => true,
            CKA_TOKEN => true,
        ];
        let back = session.unwrap(mechanism, wrapping, &wrapped, &template).expect("C_UnwrapKey");
        let signature = session.sign(signs, back, &[7; 32]).expect("C_Sign");
        assert_eq!(session.verify(signs, public, &[7; 32], &signature), Rv::OK);
    });
}

#[test]
fn who_may_wrap_what() {
    type Row = fn(&Session<'_>) -> Result<Vec<u8>, Rv>;
    const KW: CK_MECHANISM_TYPE = CKM_AES_KEY_WRAP;
    let rows: &[(&str, SoftHsm2, (Row, &[CK_RV]))] = &[
        (
            "a key that is not extractable",
            Passes,
            (
                |s| {
                    let kept =
                        merge(&keys::secret(CKK_AES, &[2; 32]), &t![CKA_EXTRACTABLE => false]);
                    s.wrap(KW, aes(s, &[1; 32]), s.create(&kept).expect("a key"))
                },
                &[CKR_KEY_UNEXTRACTABLE],
            ),
        ),
        (
            "a key only for trusted wrapping keys",
            Passes,
            (
                |s| {
                    let kept =
                        merge(&keys::secret(CKK_AES, &[2; 32]), &t![CKA_WRAP_WITH_TRUSTED => true]);
                    s.wrap(KW, aes(s, &[1; 32]), s.create(&kept).expect("a key"))
                },
                &[CKR_KEY_NOT_WRAPPABLE],
            ),
        ),
        (
            "a wrapping key that may not wrap",
            Passes,
            (
                |s| {
                    let no = merge(&keys::secret(CKK_AES, &[2; 32]), &t![CKA_WRAP => false]);
                    s.wrap(KW, s.create(&no).expect("a key"), aes(s, &[1; 32]))
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a wrapping key of another type",
            Passes,
            (
                |s| s.wrap(KW, secret(s, &[1; 32]), aes(s, &[1; 32])),
                &[CKR_WRAPPING_KEY_TYPE_INCONSISTENT],
            ),
        ),
        (
            "a wrapping key nobody gave",
            Passes,
            (|s| s.wrap(KW, 0x7777, aes(s, &[1; 32])), &[CKR_WRAPPING_KEY_HANDLE_INVALID]),
        ),
        (
            "a key nobody gave",
            Passes,
            (|s| s.wrap(KW, aes(s, &[1; 32]), 0x7777), &[CKR_KEY_HANDLE_INVALID]),
        ),
        (
            "a mechanism that does not wrap",
            Passes,
            (|s| s.wrap(CKM_SHA256, aes(s, &[1; 32]), aes(s, &[2; 32])), &[CKR_MECHANISM_INVALID]),
        ),
        (
            "an unwrapping key that may not unwrap",
            Passes,
            (
                |s| {
                    let no = merge(&keys::secret(CKK_AES, &[2; 32]), &t![CKA_UNWRAP => false]);
                    let key = s.create(&no).expect("a key");
                    s.unwrap(KW, key, &[1; 40], &open_key(CKK_AES)).map(|_| vec![])
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "an unwrapping key nobody gave",
            Passes,
            (
                |s| s.unwrap(KW, 0x7777, &[1; 40], &open_key(CKK_AES)).map(|_| vec![]),
                &[CKR_UNWRAPPING_KEY_HANDLE_INVALID],
            ),
        ),
        (
            "a wrapped key that is none",
            Fails("CKR_GENERAL_ERROR"),
            (
                |s| {
                    let key = aes(s, &[1; 32]);
                    s.unwrap(KW, key, &[1; 40], &open_key(CKK_AES)).map(|_| vec![])
                },
                &[CKR_WRAPPED_KEY_INVALID],
            ),
        ),
        (
            "a wrapped key of 13 bytes",
            Passes,
            (
                |s| {
                    let key = aes(s, &[1; 32]);
                    s.unwrap(KW, key, &[1; 13], &open_key(CKK_AES)).map(|_| vec![])
                },
                &[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID],
            ),
        ),
    ];
    table(rows, |world, (call, answers)| {
        let rv = call(&world.user()).expect_err("it was done");
        assert!(answers.contains(&rv.0), "{rv:?}");
    });
}

#[test]
fn a_trusted_wrapping_key() {
    case(Passes, |world| {
        let session = world.so();
        let wrapping = merge(
            &keys::secret(CKK_AES, &[1; 32]),
            &t![
                CKA_TRUSTED => true, CKA_TOKEN => true, CKA_PRIVATE => false, CKA_LABEL => "trusted",
            ],
        );
        session.create(&wrapping).expect("a key of the SO");
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        let wrapping = session.find(&t![CKA_LABEL => "trusted"])[0];
        let kept = merge(&keys::secret(CKK_AES, &[2; 32]), &t![CKA_WRAP_WITH_TRUSTED => true]);
        let key = session.create(&kept).expect("a key");
        assert!(session.wrap(CKM_AES_KEY_WRAP, wrapping, key).is_ok());
        assert_ne!(SO_PIN, USER_PIN);
    });
}

#[test]
fn templates_of_wrapping_keys() {
    let rows = &[
        ("C_WrapKey", Passes, true),
        ("C_UnwrapKey", Fails("it is compared, not applied (#441)"), false),
    ];
    table(rows, |world, wraps| {
        let session = world.user();
        if *wraps {
            let only = t![CKA_WRAP_TEMPLATE => t![CKA_KEY_TYPE => CKK_AES]];
            let wrapping = merge(&keys::secret(CKK_AES, &[1; 32]), &only);
            let wrapping = session.create(&wrapping).expect("a wrapping key");
            assert!(session.wrap(CKM_AES_KEY_WRAP, wrapping, aes(&session, &[2; 32])).is_ok());
            let answer = session.wrap(CKM_AES_KEY_WRAP, wrapping, secret(&session, &[2; 32]));
            let rv = answer.expect_err("the template does not fit");
            assert!(rv == CKR_KEY_HANDLE_INVALID || rv == CKR_KEY_NOT_WRAPPABLE, "{rv:?}");
        } else {
            let fixed =
                t![CKA_UNWRAP_TEMPLATE => t![CKA_EXTRACTABLE => false, CKA_LABEL => "fixed"]];
            let unwrapping = merge(&keys::secret(CKK_AES, &[1; 32]), &fixed);
            let unwrapping = session.create(&unwrapping).expect("an unwrapping key");
            let wrapped = session
                .wrap(CKM_AES_KEY_WRAP, unwrapping, aes(&session, &[2; 32]))
                .expect("C_WrapKey");
            let template = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
            let key = session
                .unwrap(CKM_AES_KEY_WRAP, unwrapping, &wrapped, &template)
                .expect("C_UnwrapKey");
            assert_eq!(session.flag(key, CKA_EXTRACTABLE), Ok(false));
            assert_eq!(session.get(key, CKA_LABEL), Ok(b"fixed".to_vec()));
            let other = merge(&template, &t![CKA_EXTRACTABLE => true]);
            let answer = session.unwrap(CKM_AES_KEY_WRAP, unwrapping, &wrapped, &other);
            assert_eq!(answer, Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
        }
    });
}

#[test]
fn a_template_of_a_wrapping_key_does_not_tell_the_value_of_a_key() {
    case(Passes, |world| {
        let session = world.user();
        let value = [2; 32];
        let closed = merge(&keys::secret(CKK_AES, &value), &t![CKA_SENSITIVE => true]);
        let key = session.create(&closed).expect("a key");
        for guess in [value, [3; 32]] {
            let tries = t![CKA_WRAP_TEMPLATE => t![CKA_VALUE => guess.as_slice()]];
            let wrapping = merge(&keys::secret(CKK_AES, &[1; 32]), &tries);
            let wrapping = session.create(&wrapping).expect("a wrapping key");
            let rv = session.wrap(CKM_AES_KEY_WRAP, wrapping, key).expect_err("no value matches");
            assert!(rv == CKR_KEY_HANDLE_INVALID || rv == CKR_KEY_NOT_WRAPPABLE, "{rv:?}");
        }
    });
}

#[test]
fn a_template_of_a_key_says_which_keys_come_from_it() {
    const NOT_APPLIED: &str = "it is compared, not applied (#441)";
    let rows = &[
        ("C_UnwrapKey", Fails(NOT_APPLIED), true),
        ("C_DeriveKey", Fails("no CKA_DERIVE_TEMPLATE"), false),
    ];
    table(rows, |world, unwraps| {
        let session = world.user();
        let kind = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
        let make = |template: &[Attribute]| {
            if *unwraps {
                let demanded = t![CKA_UNWRAP_TEMPLATE => kind.clone()];
                let unwrapping = merge(&keys::secret(CKK_AES, &[1; 32]), &demanded);
                let unwrapping = session.create(&unwrapping).expect("an unwrapping key");
                let wrapped = session.wrap(CKM_AES_KEY_WRAP, unwrapping, aes(&session, &[2; 32]));
                session.unwrap(CKM_AES_KEY_WRAP, unwrapping, &wrapped.expect("C_WrapKey"), template)
            } else {
                let demanded = t![CKA_DERIVE_TEMPLATE => kind.clone()];
                let (_, private) = keys::ec_with(&session, keys::P256, &demanded);
                let (public, _) = keys::ec(&session, keys::P256);
                let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
                session.derive(ecdh(&point), private, template)
            }
        };
        let key = make(&t![CKA_LABEL => "of the kind"]).expect("a key");
        assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(CKK_AES));
        assert_eq!(session.number(key, CKA_VALUE_LEN), Ok(32));
        let other = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET];
        assert_eq!(make(&other), Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
    });
}

#[test]
fn a_length_in_the_template_of_an_unwrapped_key() {
    case(Fails("CKR_ATTRIBUTE_READ_ONLY (pkcs11-tool sends one)"), |world| {
        let session = world.user();
        let wrapping = aes(&session, &[1; 32]);
        let wrapped =
            session.wrap(CKM_AES_KEY_WRAP, wrapping, aes(&session, &[2; 32])).expect("C_WrapKey");
        let template = merge(&open_key(CKK_AES), &t![CKA_VALUE_LEN => 32_u64]);
        let key =
            session.unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &template).expect("C_UnwrapKey");
        assert_eq!(session.get(key, CKA_VALUE), Ok(vec![2; 32]));
    });
}

#[test]
fn an_unwrapped_key_is_not_cut() {
    case(Fails("CKR_ATTRIBUTE_READ_ONLY (pkcs11-tool sends one)"), |world| {
        let session = world.user();
        let wrapping = aes(&session, &[1; 32]);
        for end in [2, 0] {
            let value = [[2; 31].as_slice(), &[end]].concat();
            let wrapped = session.wrap(CKM_AES_KEY_WRAP, wrapping, aes(&session, &value));
            let wrapped = wrapped.expect("C_WrapKey");
            for len in [1_u64, 31, 33] {
                let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => len]);
                let answer = session.unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &template);
                assert_eq!(answer, Err(Rv(CKR_TEMPLATE_INCONSISTENT)), "{len} bytes, end {end}");
            }
        }
    });
}

/// Another token fills the last block of a key with zeros, and says its length. Whether they are zeros is not told:
/// it would tell each byte of a key, whose IV the caller may choose.
#[test]
fn blanks_behind_an_unwrapped_key() {
    case(Fails("CKR_ATTRIBUTE_READ_ONLY (pkcs11-tool sends one)"), |world| {
        let session = world.user();
        let wrapping = aes(&session, &[1; 32]);
        let cbc = Mechanism::iv(CKM_AES_CBC, &[3; 16]);
        let filled = |len: usize, blank: u8| {
            let value = [vec![2; len], vec![blank; len.next_multiple_of(16) - len]].concat();
            session.encrypt(cbc, wrapping, &value[..]).expect("C_Encrypt")
        };
        let unwrap = |wrapped: &[u8], kind, len: Option<u64>, hidden: bool| {
            let mut template = open_key(kind);
            if hidden {
                template = merge(&template, &t![CKA_SENSITIVE => true]);
            }
            if let Some(len) = len {
                template = merge(&template, &t![CKA_VALUE_LEN => len]);
            }
            session.unwrap(cbc, wrapping, wrapped, &template)
        };
        let no = Err(Rv(CKR_TEMPLATE_INCONSISTENT));
        for blank in [0, 9] {
            let key = unwrap(&filled(20, blank), CKK_GENERIC_SECRET, Some(20), false);
            assert_eq!(session.get(key.expect("20 bytes"), CKA_VALUE), Ok(vec![2; 20]));
            unwrap(&filled(20, blank), CKK_GENERIC_SECRET, Some(20), true).expect("a hidden key");
            let key = unwrap(&filled(24, blank), CKK_DES3, None, false).expect("its type says it");
            assert_eq!(session.get(key, CKA_VALUE), Ok(vec![2; 24]));
            assert_eq!(unwrap(&filled(16, blank), CKK_GENERIC_SECRET, Some(33), true), no);
            assert_eq!(
                unwrap(&filled(20, blank), CKK_GENERIC_SECRET, Some(16), true),
                no,
                "a block"
            );
            for len in [1, 13] {
                let wrapped = filled(usize::try_from(len).unwrap(), blank);
                let short = unwrap(&wrapped, CKK_GENERIC_SECRET, Some(len), true);
                assert_eq!(short, no, "{len} bytes of a hidden key are found by trying");
            }
            let open = unwrap(&filled(10, blank), CKK_GENERIC_SECRET, Some(10), false);
            assert_eq!(session.get(open.expect("an open key"), CKA_VALUE), Ok(vec![2; 10]));
        }
    });
}

#[test]
fn a_length_that_a_derive_template_demands() {
    case(Fails("no CKA_DERIVE_TEMPLATE"), |world| {
        let session = world.user();
        let demanded = t![CKA_DERIVE_TEMPLATE => t![CKA_VALUE_LEN => 32_u64]];
        let (_, private) = keys::ec_with(&session, keys::P256, &demanded);
        let (public, _) = keys::ec(&session, keys::P256);
        let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
        let short = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 1_u64]);
        let answer = session.derive(ecdh(&point), private, &short);
        assert_eq!(answer, Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
        let key = session.derive(ecdh(&point), private, &open_key(CKK_GENERIC_SECRET));
        assert_eq!(session.get(key.expect("C_DeriveKey"), CKA_VALUE).map(|v| v.len()), Ok(32));
        // So does the template of a key beside the base.
        let other = merge(&keys::secret(CKK_GENERIC_SECRET, &[2; 16]), &demanded);
        let other = session.create(&other).expect("a key");
        let both = Mechanism::with(CKM_CONCATENATE_BASE_AND_KEY, Param::Ulong(other));
        let base = secret(&session, &[1; 32]);
        for (len, answer) in [(31, Err(Rv(CKR_TEMPLATE_INCONSISTENT))), (32, Ok(()))] {
            let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => len]);
            assert_eq!(session.derive(both, base, &template).map(drop), answer, "{len} bytes");
        }
        let whole = session.derive(both, base, &open_key(CKK_GENERIC_SECRET));
        assert_eq!(whole, Err(Rv(CKR_TEMPLATE_INCONSISTENT)), "48 bytes");
        let key = session.derive(both, base, &open_key(CKK_DES2));
        assert_eq!(key, Err(Rv(CKR_TEMPLATE_INCONSISTENT)), "16 bytes");
    });
}

#[test]
fn a_key_that_wants_a_login_for_each_use_does_not_derive() {
    case(Fails("derives without the login"), |world| {
        let session = world.user();
        let always = t![CKA_ALWAYS_AUTHENTICATE => true, CKA_DERIVE => true];
        let (_, private) = keys::ec_with(&session, keys::P256, &always);
        let (public, _) = keys::ec(&session, keys::P256);
        let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
        let answer = session.derive(ecdh(&point), private, &open_key(CKK_GENERIC_SECRET));
        assert_eq!(answer, Err(Rv(CKR_USER_NOT_LOGGED_IN)));
    });
}

fn ecdh(public: &[u8]) -> Mechanism<'_> {
    let param = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public: In::Bytes(public) };
    Mechanism::with(CKM_ECDH1_DERIVE, param)
}

#[test]
fn ecdh_agrees_from_both_sides() {
    const X: &str = "X25519 and X448 are under the Edwards mechanism (#647)";
    let nist = CKM_EC_KEY_PAIR_GEN;
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &[u8], usize, bool))] = &[
        ("P-256, raw point", Passes, (nist, keys::P256, 32, false)),
        ("P-256, DER point", Passes, (nist, keys::P256, 32, true)),
        ("P-384, raw point", Passes, (nist, keys::P384, 48, false)),
        ("P-384, DER point", Passes, (nist, keys::P384, 48, true)),
        ("P-521, raw point", Passes, (nist, keys::P521, 66, false)),
        ("P-521, DER point", Passes, (nist, keys::P521, 66, true)),
        ("X25519, raw point", Fails(X), (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X25519, 32, false)),
        ("X25519, DER point", Fails(X), (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X25519, 32, true)),
        ("X448, raw point", Fails(X), (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X448, 56, false)),
        ("X448, DER point", Fails(X), (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X448, 56, true)),
    ];
    table(rows, |world, (mechanism, curve, len, der)| {
        let session = world.user();
        let pair = || {
            let public = t![CKA_EC_PARAMS => *curve];
            session.pair(*mechanism, &public, &t![CKA_DERIVE => true]).expect("C_GenerateKeyPair")
        };
        let (one, two) = (pair(), pair());
        let point = |public| {
            let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
            let raw = keys::octets(&point).to_vec();
            if *der { keys::octet_string(&raw) } else { raw }
        };
        let (first, second) = (point(one.0), point(two.0));
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => *len as CK_ULONG]);
        let here = session.derive(ecdh(&second), one.1, &template).expect("C_DeriveKey");
        let there = session.derive(ecdh(&first), two.1, &template).expect("C_DeriveKey");
        let shared = session.get(here, CKA_VALUE).expect("CKA_VALUE");
        assert_eq!(shared.len(), *len);
        assert_eq!(session.get(there, CKA_VALUE), Ok(shared.clone()));
        assert_eq!(session.flag(here, CKA_LOCAL), Ok(false));
        let whole = session.derive(ecdh(&second), one.1, &open_key(CKK_GENERIC_SECRET));
        let whole = whole.expect("without CKA_VALUE_LEN");
        assert_eq!(session.get(whole, CKA_VALUE), Ok(shared.clone()));
        let template = merge(&open_key(CKK_AES), &t![CKA_VALUE_LEN => 16_u64]);
        let short = session.derive(ecdh(&second), one.1, &template).expect("an AES key");
        let short = session.get(short, CKA_VALUE).expect("CKA_VALUE");
        assert_eq!(short, shared[*len - 16..], "truncation removes the leading bytes");
    });
}

#[test]
fn a_truncated_shared_secret_loses_its_leading_bytes() {
    case(Passes, |world| {
        let session = world.user();
        let (one, two) = (keys::ec(&session, keys::P256), keys::ec(&session, keys::P256));
        let point = session.get(two.0, CKA_EC_POINT).expect("CKA_EC_POINT");
        let point = keys::octets(&point);
        let derive = |kind, len: CK_ULONG| {
            let template = merge(&open_key(kind), &t![CKA_VALUE_LEN => len]);
            let key = session.derive(ecdh(point), one.1, &template).expect("C_DeriveKey");
            session.get(key, CKA_VALUE).expect("CKA_VALUE")
        };
        let whole = derive(CKK_GENERIC_SECRET, 32);
        assert_eq!(derive(CKK_GENERIC_SECRET, 10), whole[22..]);
        assert_eq!(derive(CKK_AES, 16), whole[16..]);
    });
}

#[test]
fn ecdh_agrees_with_the_second_opinion() {
    case(Passes, |world| {
        let session = world.user();
        let other = p256::SecretKey::from_slice(&[0x11; 32]).expect("a key");
        let (public, private) = keys::ec(&session, keys::P256);
        let point = other.public_key().to_sec1_point(false).as_bytes().to_vec();
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 32_u64]);
        let key = session.derive(ecdh(&point), private, &template).expect("C_DeriveKey");
        let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
        let point = p256::PublicKey::from_sec1_bytes(keys::octets(&point)).expect("a point");
        let shared = p256::ecdh::diffie_hellman(other.to_nonzero_scalar(), point.as_affine());
        assert_eq!(session.get(key, CKA_VALUE), Ok(shared.raw_secret_bytes().to_vec()));
    });
}

#[test]
fn what_derive_refuses() {
    type Row = fn(&Session<'_>, &[u8]) -> Rv;
    let rows: &[(&str, SoftHsm2, (Row, &[CK_RV]))] = &[
        (
            "a key that may not derive",
            Passes,
            (
                |s, point| {
                    let no = keys::ec_with(s, keys::P256, &t![CKA_DERIVE => false]).1;
                    let answer = s.derive(ecdh(point), no, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a key of another type",
            Passes,
            (
                |s, point| {
                    let key = keys::rsa_with(s, 2048, &t![CKA_DERIVE => true]).1;
                    let answer = s.derive(ecdh(point), key, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_KEY_TYPE_INCONSISTENT],
            ),
        ),
        (
            "a key nobody gave",
            Fails("CKR_OBJECT_HANDLE_INVALID"),
            (
                |s, point| {
                    let answer = s.derive(ecdh(point), 0x7777, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_KEY_HANDLE_INVALID],
            ),
        ),
        (
            "a point that is none",
            Fails("CKR_GENERAL_ERROR"),
            (
                |s, _| {
                    let key = keys::ec(s, keys::P256).1;
                    let answer = s.derive(ecdh(&[4; 65]), key, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_PUBLIC_KEY_INVALID],
            ),
        ),
        (
            "no parameter",
            Passes,
            (
                |s, _| {
                    let key = keys::ec(s, keys::P256).1;
                    let answer = s.derive(CKM_ECDH1_DERIVE, key, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_MECHANISM_PARAM_INVALID],
            ),
        ),
        (
            "a null point of 65 bytes",
            Passes,
            (
                |s, _| {
                    let key = keys::ec(s, keys::P256).1;
                    let public = In::Null(65);
                    let param = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public };
                    let mechanism = Mechanism::with(CKM_ECDH1_DERIVE, param);
                    let answer = s.derive(mechanism, key, &open_key(CKK_GENERIC_SECRET));
                    answer.err().unwrap_or(Rv::OK)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "more bytes than there are",
            Fails("CKR_FUNCTION_FAILED"),
            (
                |s, point| {
                    let key = keys::ec(s, keys::P256).1;
                    let long = t![CKA_VALUE_LEN => 33_u64];
                    let long = merge(&open_key(CKK_GENERIC_SECRET), &long);
                    s.derive(ecdh(point), key, &long).err().unwrap_or(Rv::OK)
                },
                &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
    ];
    table(rows, |world, (call, answers)| {
        let session = world.user();
        let public = keys::ec(&session, keys::P256).0;
        let point = session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT");
        let rv = call(&session, keys::octets(&point));
        assert!(answers.contains(&rv.0), "{rv:?}");
    });
}

#[test]
fn derive_is_on_by_default_for_ec_keys() {
    case(Fails("CKA_DERIVE is false (Java cannot derive with its own keys)"), |world| {
        let session = world.user();
        let public = t![CKA_EC_PARAMS => keys::P256];
        let (_, private) = session.pair(CKM_EC_KEY_PAIR_GEN, &public, &[]).expect("a pair");
        assert_eq!(session.flag(private, CKA_DERIVE), Ok(true));
    });
}

#[test]
fn wrapped_length_needs_no_room_for_the_margin() {
    case(Passes, |world| {
        let session = world.user();
        let (wrapping, key) = (aes(&session, &[1; 32]), aes(&session, &[2; 16]));
        let kw = Mechanism::plain(CKM_AES_KEY_WRAP);
        let answer =
            session.module.wrap_key(session.handle, Some(&kw), wrapping, key, Room::Bytes(24));
        assert_eq!(answer.ok().map(|wrapped| wrapped.len()), Ok(24));
        let answer = session.module.wrap_key(session.handle, Some(&kw), wrapping, key, PLENTY);
        assert_eq!(answer.len, 24);
    });
}
