//! 5.9, 5.11, 5.16 and 5.17: messages; and 5.18: wrapping with associated data.

use std::cell::Cell;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails};
use strongroom_softhsm_tests::{
    In, Mechanism, Message, PLENTY, Param, Room, Rv, Session, USER_PIN, Word, case, merge, t, table,
};

use crate::keys;

const OLD: &str = "it has only the functions of 2.40 (#604, #874)";
const NOT: CK_RV = CKR_OPERATION_NOT_INITIALIZED;
const KEY: [u8; 32] = [5; 32];
const HEADER: &[u8] = b"a header";

fn aes(session: &Session<'_>) -> CK_OBJECT_HANDLE {
    session.create(&keys::secret(CKK_AES, &KEY)).expect("a key")
}

/// The plaintext, by another implementation.
fn opened(message: &mut Message, ciphertext: &[u8]) -> Vec<u8> {
    let iv: [u8; 12] = message.iv().try_into().expect("12 bytes");
    let all = [ciphertext, message.tag()].concat();
    let cipher = Aes256Gcm::new(&KEY.into());
    cipher.decrypt(&iv.into(), Payload { msg: &all, aad: HEADER }).expect("it is authentic")
}

#[test]
fn messages_with_an_iv_of_the_caller() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        let info = module.mechanism_info(session.slot, CKM_AES_GCM).expect("info");
        let flags = CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE;
        assert_eq!(info.flags & flags, flags);
        let mut message = Message::gcm(&[9; 12]);
        let none = module.encrypt_message(handle, &mut message, In::NONE, In::NONE, PLENTY);
        assert_eq!(none.rv, NOT);
        let init = |message: Option<&mut Message>| {
            module.message_encrypt_init(handle, CKM_AES_GCM, message, key)
        };
        assert_eq!(init(Some(&mut message)), Rv::OK);
        assert_eq!(init(None), CKR_OPERATION_ACTIVE);
        for number in 0..3 {
            let mut message = Message::gcm(&[number; 12]);
            let query =
                module.encrypt_message(handle, &mut message, In::NONE, b"data".into(), Room::Query);
            assert_eq!((query.rv, query.len), (Rv::OK, 4));
            let room = Room::Bytes(3);
            let small =
                module.encrypt_message(handle, &mut message, In::NONE, b"data".into(), room);
            assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 4));
            assert_eq!(message, Message::gcm(&[number; 12]), "nothing is written yet");
            let made = module
                .encrypt_message(handle, &mut message, HEADER.into(), b"data".into(), PLENTY)
                .ok()
                .expect("C_EncryptMessage");
            assert_eq!(message.iv(), [number; 12]);
            assert_eq!(opened(&mut message, &made), b"data");
        }
        assert_eq!(module.message_encrypt_final(handle), Rv::OK);
        assert_eq!(module.message_encrypt_final(handle), NOT);
    });
}

#[test]
fn messages_are_decrypted() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        assert_eq!(module.message_encrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        assert_eq!(module.message_decrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        let mut message = Message::gcm(&[9; 12]);
        let made = module
            .encrypt_message(handle, &mut message, HEADER.into(), b"the data".into(), PLENTY)
            .ok()
            .expect("C_EncryptMessage");
        let decrypt = |message: &Message, header: &[u8], data: &[u8], room| {
            let message = &mut message.clone();
            module.decrypt_message(handle, message, header.into(), data.into(), room)
        };
        let query = decrypt(&message, HEADER, &made, Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 8));
        assert_eq!(decrypt(&message, HEADER, &made, PLENTY).ok(), Ok(b"the data".to_vec()));
        let failed = Rv(CKR_AEAD_DECRYPT_FAILED);
        assert_eq!(decrypt(&message, b"another", &made, PLENTY).rv, failed);
        assert_eq!(decrypt(&message, HEADER, b"the data", PLENTY).rv, failed);
        let mut wrong = message.clone();
        wrong.tag()[0] ^= 1;
        assert_eq!(decrypt(&wrong, HEADER, &made, PLENTY).rv, failed);
        assert_eq!(decrypt(&Message::None, HEADER, &made, PLENTY).rv, CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(
            decrypt(&message, HEADER, &made, PLENTY).ok(),
            Ok(b"the data".to_vec()),
            "one message that fails does not end the others"
        );
        assert_eq!(session.logout(), Rv::OK);
        let key = merge(&keys::secret(CKK_AES, &KEY), &t![CKA_PRIVATE => true]);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        let key = session.create(&key).expect("a key");
        assert_eq!(module.session_cancel(handle, CKF_MESSAGE_DECRYPT), Rv::OK);
        assert_eq!(module.message_decrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(decrypt(&message, HEADER, &made, PLENTY).rv, NOT, "the logout ended it");
    });
}

const GENERATORS: &[(&str, SoftHsm2, (CK_GENERATOR_FUNCTION, Option<[u8; 3]>))] = &[
    ("the token chooses", Fails(OLD), (CKG_GENERATE, None)),
    ("random", Fails(OLD), (CKG_GENERATE_RANDOM, None)),
    ("counter", Fails(OLD), (CKG_GENERATE_COUNTER, Some([0, 1, 2]))),
    ("counter combined", Fails(OLD), (CKG_GENERATE_COUNTER_XOR, Some([8, 9, 10]))),
];

#[test]
fn ivs_that_the_token_makes() {
    table(GENERATORS, |world, (generator, counts)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        assert_eq!(module.message_encrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        let narrow = || {
            let mut narrow = Message::generated(&[8; 12], 96, *generator);
            let answer = module.encrypt_message(handle, &mut narrow, In::NONE, In::NONE, PLENTY);
            assert_eq!(answer.rv, CKR_MECHANISM_PARAM_INVALID, "nothing is left to make");
        };
        narrow();
        let mut message = Message::generated(&[8; 12], 32, *generator);
        let mut seen = Vec::new();
        for number in 0..3 {
            let made = module
                .encrypt_message(handle, &mut message, HEADER.into(), b"data".into(), PLENTY)
                .ok()
                .expect("C_EncryptMessage");
            assert!(message.iv().starts_with(&[8; 4]), "what is fixed stays");
            if let Some(counts) = counts {
                assert_eq!(message.iv().last(), Some(&counts[number]));
            }
            assert!(!seen.contains(&message.iv().to_vec()), "no IV comes again");
            seen.push(message.iv().to_vec());
            assert_eq!(opened(&mut message, &made), b"data");
        }
        narrow();
    });
}

#[test]
fn messages_in_parts() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        assert_eq!(module.message_encrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        assert_eq!(module.message_decrypt_init(handle, CKM_AES_GCM, None, key), Rv::OK);
        for _ in 0..2 {
            let mut message = Message::generated(&[8; 12], 0, CKG_GENERATE_RANDOM);
            let next = module.encrypt_message_next(handle, &mut message, b"x".into(), PLENTY, true);
            assert_eq!(next.rv, NOT, "no message has begun");
            assert_eq!(module.encrypt_message_begin(handle, &mut message, HEADER.into()), Rv::OK);
            assert_ne!(message.iv(), [8; 12], "the IV is there from the start");
            let mut ciphertext = Vec::new();
            for (part, last) in [(&b"a "[..], false), (b"", false), (b"message", true)] {
                let made =
                    module.encrypt_message_next(handle, &mut message, part.into(), PLENTY, last);
                ciphertext.extend(made.ok().expect("C_EncryptMessageNext"));
            }
            assert_eq!(opened(&mut message, &ciphertext), b"a message");

            assert_eq!(module.decrypt_message_begin(handle, &mut message, HEADER.into()), Rv::OK);
            let part = ciphertext[..4].into();
            let query = module.decrypt_message_next(handle, &mut message, part, Room::Query, false);
            assert_eq!((query.rv, query.len), (Rv::OK, 4), "so that the part comes again");
            let mut plaintext = Vec::new();
            for part in ciphertext.chunks(4) {
                let made =
                    module.decrypt_message_next(handle, &mut message, part.into(), PLENTY, false);
                plaintext.extend(made.ok().expect("C_DecryptMessageNext"));
            }
            let room = Room::Bytes(0);
            let small = module.decrypt_message_next(handle, &mut message, In::NONE, room, true);
            assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 9));
            let end = module.decrypt_message_next(handle, &mut message, In::NONE, PLENTY, true);
            plaintext.extend(end.ok().expect("the last part"));
            assert_eq!(plaintext, b"a message");

            assert_eq!(module.decrypt_message_begin(handle, &mut message, HEADER.into()), Rv::OK);
            let forged = module.decrypt_message_next(
                handle,
                &mut message,
                b"forged!!!".into(),
                PLENTY,
                true,
            );
            assert_eq!(forged.rv, CKR_AEAD_DECRYPT_FAILED);
        }
        let own = module.encrypt_message_begin(handle, &mut Message::gcm(&[1; 12]), In::NONE);
        assert_eq!(own, CKR_MECHANISM_PARAM_INVALID, "IVs of the token's and of the caller's");
        let mut message = Message::generated(&[1; 12], 0, CKG_GENERATE_RANDOM);
        assert_eq!(module.encrypt_message_begin(handle, &mut message, In::NONE), Rv::OK);
        let whole = module.encrypt_message(handle, &mut message, In::NONE, b"x".into(), PLENTY);
        assert_eq!(whole.rv, CKR_OPERATION_ACTIVE);
        assert_eq!(module.encrypt_message_begin(handle, &mut message, In::NONE), Rv::OK, "anew");
        let mut other = Message::generated(&[2; 12], 0, CKG_GENERATE_RANDOM);
        let next = module.encrypt_message_next(handle, &mut other, b"x".into(), PLENTY, true);
        assert_eq!(next.rv, CKR_MECHANISM_PARAM_INVALID, "another IV midway");
    });
}

#[test]
fn who_may_encrypt_messages() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        let init = |mechanism, message: &mut Message, key| {
            module.message_encrypt_init(handle, mechanism, Some(message), key)
        };
        let none = &mut Message::None;
        assert_eq!(init(CKM_AES_CBC, none, key), CKR_MECHANISM_INVALID);
        assert_eq!(init(CKM_AES_GCM, none, key + 99), CKR_KEY_HANDLE_INVALID);
        let silent = merge(&keys::secret(CKK_AES, &KEY), &t![CKA_ENCRYPT => false]);
        let silent = session.create(&silent).expect("a key");
        assert_eq!(init(CKM_AES_GCM, none, silent), CKR_KEY_FUNCTION_NOT_PERMITTED);
        let invalid = CKR_MECHANISM_PARAM_INVALID;
        assert_eq!(init(CKM_AES_GCM, &mut Message::gcm(&[]), key), invalid);
        let mut short = Message::gcm(&[1; 12]);
        short.tag().truncate(3);
        assert_eq!(init(CKM_AES_GCM, &mut short, key), invalid);
        assert_eq!(init(CKM_AES_GCM, none, key), Rv::OK);
    });
}

#[test]
fn messages_are_signed_and_verified() {
    let rows = &[("HMAC", Fails(OLD), CKM_SHA256_HMAC), ("ECDSA", Fails(OLD), CKM_ECDSA_SHA256)];
    table(rows, |world, mechanism| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (verifying, signing) = if *mechanism == CKM_ECDSA_SHA256 {
            keys::ec(&session, keys::P256)
        } else {
            let key = keys::secret(CKK_GENERIC_SECRET, &[1; 32]);
            let key = session.create(&key).expect("a key");
            (key, key)
        };
        let plain = Mechanism::plain(*mechanism);
        assert_eq!(module.sign_message(handle, b"x".into(), PLENTY).rv, NOT);
        assert_eq!(module.message_sign_init(handle, Some(&plain), signing), Rv::OK);
        assert_eq!(module.message_verify_init(handle, Some(&plain), verifying), Rv::OK);
        for data in [&b"one"[..], b"two", b""] {
            let query = module.sign_message(handle, data.into(), Room::Query);
            assert_eq!(query.rv, Rv::OK);
            let signature = module.sign_message(handle, data.into(), PLENTY).ok().expect("one");
            assert_eq!(signature.len(), query.len);
            assert_eq!(module.verify_message(handle, data.into(), (&signature).into()), Rv::OK);
            let wrong = module.verify_message(handle, b"wrong".into(), (&signature).into());
            assert_eq!(wrong, CKR_SIGNATURE_INVALID);
        }
        assert_eq!(module.sign_message_begin(handle, In::Bytes(b"x")), CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(module.sign_message_begin(handle, In::NONE), Rv::OK);
        assert_eq!(module.sign_message_next(handle, b"in ".into(), None).rv, Rv::OK);
        let small = module.sign_message_next(handle, b"parts".into(), Some(Room::Bytes(3)));
        assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        let signature = module.sign_message_next(handle, b"parts".into(), Some(PLENTY));
        let signature = signature.ok().expect("C_SignMessageNext");
        assert_eq!(session.verify(*mechanism, verifying, b"in parts", &signature), Rv::OK);
        assert_eq!(module.verify_message_begin(handle), Rv::OK);
        assert_eq!(module.verify_message_next(handle, b"in ".into(), In::NONE), Rv::OK);
        let last = module.verify_message_next(handle, b"parts".into(), (&signature).into());
        assert_eq!(last, Rv::OK);
        assert_eq!(module.sign_message_next(handle, b"x".into(), None).rv, NOT);
        assert_eq!(module.message_sign_final(handle), Rv::OK);
        assert_eq!(module.message_verify_final(handle), Rv::OK);
        assert_eq!(module.message_sign_final(handle), NOT);
    });
}

#[test]
fn a_login_for_each_message() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let always = t![CKA_ALWAYS_AUTHENTICATE => true, CKA_PRIVATE => true];
        let (_, private) = keys::ec_with(&session, keys::P256, &always);
        let plain = Mechanism::plain(CKM_ECDSA_SHA256);
        assert_eq!(module.message_sign_init(handle, Some(&plain), private), Rv::OK);
        for _ in 0..2 {
            assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
            let query = module.sign_message(handle, b"x".into(), Room::Query);
            assert_eq!((query.rv, query.len), (Rv::OK, 64), "a query uses nothing up");
            assert_eq!(module.sign_message(handle, b"x".into(), PLENTY).rv, Rv::OK);
        }
        assert_eq!(module.sign_message(handle, b"x".into(), PLENTY).rv, CKR_USER_NOT_LOGGED_IN);
        assert_eq!(module.message_sign_final(handle), NOT, "and that ended it");
    });
}

#[test]
fn keys_are_wrapped_with_associated_data() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        let target = session.create(&keys::secret(CKK_AES, &[7; 16])).expect("a key");
        let mut message = Message::generated(&[8; 12], 0, CKG_GENERATE);
        let aad = HEADER.into();
        let wrap = |message: &mut Message, target, room| {
            module.wrap_key_authenticated(handle, CKM_AES_GCM, message, key, target, aad, room)
        };
        let query = wrap(&mut message, target, Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 16));
        assert_eq!(message.iv(), [8; 12]);
        let wrapped = wrap(&mut message, target, PLENTY).ok().expect("C_WrapKeyAuthenticated");
        assert_eq!(opened(&mut message, &wrapped), [7; 16]);
        let template = t![
            CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES,
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        ];
        let unwrap = |message: &Message, header: &[u8]| {
            let (message, wrapped) = (&mut message.clone(), (&wrapped).into());
            let header = header.into();
            let id = CKM_AES_GCM;
            module.unwrap_key_authenticated(handle, id, message, key, wrapped, &template, header)
        };
        let back = unwrap(&message, HEADER).expect("C_UnwrapKeyAuthenticated");
        assert_eq!(session.get(back, CKA_VALUE), Ok(vec![7; 16]));
        assert_eq!(unwrap(&message, b"another"), Err(Rv(CKR_AEAD_DECRYPT_FAILED)));
        let mut wrong = message.clone();
        wrong.tag()[3] ^= 1;
        assert_eq!(unwrap(&wrong, HEADER), Err(Rv(CKR_AEAD_DECRYPT_FAILED)));
        let mut counted = Message::generated(&[8; 12], 0, CKG_GENERATE_COUNTER);
        let answer = wrap(&mut counted, target, PLENTY);
        assert_eq!(answer.rv, CKR_MECHANISM_PARAM_INVALID, "each key would be the first");
        let hidden = t![CKA_EXTRACTABLE => false];
        let hidden = merge(&keys::secret(CKK_AES, &[7; 16]), &hidden);
        let hidden = session.create(&hidden).expect("a key");
        assert_eq!(wrap(&mut message, hidden, PLENTY).rv, CKR_KEY_UNEXTRACTABLE);
    });
}

/// `CK_GCM_WRAP_PARAMS` and `CK_CCM_WRAP_PARAMS`, whose nonce of 12 bytes the token may write.
fn wrapping<'a>(
    id: CK_MECHANISM_TYPE,
    nonce: &'a [Cell<CK_ULONG>; 2],
    generator: CK_ULONG,
    header: &'a [u8],
) -> Vec<Word<'a>> {
    let nonce = [Word::Place(nonce), Word::Number(12), Word::Number(32), Word::Number(generator)];
    let header = Word::Bytes(header.into());
    match id {
        CKM_AES_GCM => [&nonce[..], &[header, Word::Number(128)]].concat(),
        _ => [&[Word::Number(16)], &nonce[..], &[header, Word::Number(16)]].concat(),
    }
}

#[test]
fn keys_are_wrapped_with_a_nonce_of_the_token() {
    let rows = &[("GCM", Fails(OLD), CKM_AES_GCM), ("CCM", Fails(OLD), CKM_AES_CCM)];
    table(rows, |world, id| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        let target = session.create(&keys::secret(CKK_AES, &[7; 16])).expect("a key");
        let nonce: [Cell<CK_ULONG>; 2] = [const { Cell::new(0) }; 2];
        let iv = || nonce.each_ref().map(|word| word.get().to_ne_bytes()).concat();
        let wrap = |generator, room| {
            let words = wrapping(*id, &nonce, generator, HEADER);
            let mechanism = Mechanism::with(*id, Param::Words(&words));
            module.wrap_key(handle, Some(&mechanism), key, target, room)
        };
        let query = wrap(CKG_GENERATE_RANDOM, Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 32));
        let small = wrap(CKG_GENERATE_RANDOM, Room::Bytes(31));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 32));
        assert_eq!(iv(), [0; 16], "nothing is written yet");
        let wrapped = wrap(CKG_GENERATE_RANDOM, PLENTY).ok().expect("C_WrapKey");
        let made = iv();
        assert!(made.starts_with(&[0; 4]) && made.ends_with(&[0; 4]), "what is fixed, and no more");
        assert_ne!(made, [0; 16]);
        assert_eq!(wrap(CKG_NO_GENERATE, PLENTY).ok(), Ok(wrapped.clone()), "by the same nonce");
        assert_eq!(iv(), made);
        if *id == CKM_AES_GCM {
            let mut message = Message::gcm(&made[..12]);
            let (ciphertext, tag) = wrapped.split_at(16);
            message.tag().copy_from_slice(tag);
            assert_eq!(opened(&mut message, ciphertext), [7; 16]);
        }

        let template = t![
            CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES,
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        ];
        let unwrap = |header, wrapped: &[u8]| {
            let words = wrapping(*id, &nonce, CKG_NO_GENERATE, header);
            session.unwrap(Mechanism::with(*id, Param::Words(&words)), key, wrapped, &template)
        };
        let back = unwrap(HEADER, &wrapped).expect("C_UnwrapKey");
        assert_eq!(session.get(back, CKA_VALUE), Ok(vec![7; 16]));
        assert_eq!(unwrap(b"another", &wrapped), Err(Rv(CKR_WRAPPED_KEY_INVALID)));
        let refused = CKR_MECHANISM_PARAM_INVALID;
        assert_eq!(wrap(CKG_GENERATE_COUNTER, PLENTY).rv, refused, "each key would be the first");
        assert_eq!(wrap(99, PLENTY).rv, refused);
        let words = wrapping(*id, &nonce, CKG_NO_GENERATE, HEADER);
        let mechanism = Mechanism::with(*id, Param::Words(&words));
        assert_eq!(session.encrypt_init(mechanism, key), refused, "it is for keys");
    });
}

#[test]
fn messages_of_ccm() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = aes(&session);
        assert_eq!(module.message_encrypt_init(handle, CKM_AES_CCM, None, key), Rv::OK);
        assert_eq!(module.message_decrypt_init(handle, CKM_AES_CCM, None, key), Rv::OK);
        let mut message = Message::Ccm {
            data_len: 4,
            nonce: vec![8; 13],
            fixed_bits: 40,
            generator: CKG_GENERATE_RANDOM,
            mac: vec![0; 8],
        };
        let header = HEADER.into();
        let long = module.encrypt_message(handle, &mut message, header, b"data!".into(), PLENTY);
        assert_eq!(long.rv, CKR_DATA_LEN_RANGE, "not as long as the parameter says");
        let made = module.encrypt_message(handle, &mut message, header, b"data".into(), PLENTY);
        let made = made.ok().expect("C_EncryptMessage");
        assert!(message.iv().starts_with(&[8; 5]) && message.iv() != [8; 13]);
        let back = module.decrypt_message(handle, &mut message, header, (&made).into(), PLENTY);
        assert_eq!(back.ok(), Ok(b"data".to_vec()));
        message.tag()[0] ^= 1;
        let forged = module.decrypt_message(handle, &mut message, header, (&made).into(), PLENTY);
        assert_eq!(forged.rv, CKR_AEAD_DECRYPT_FAILED);
    });
}
