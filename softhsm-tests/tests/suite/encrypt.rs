//! 5.8 to 5.11: encryption and decryption.

use cryptoki_sys::*;
use rsa::{Oaep, Pkcs1v15Encrypt};
use strongroom_softhsm_tests::SoftHsm2::{self, Crashes, Fails, Passes};
use strongroom_softhsm_tests::{
    In, Mechanism, PLENTY, Param, Room, Rv, Session, case, merge, t, table,
};

use crate::keys;
use crate::sign::rsa_key;

const IV: &[u8; 16] = &[0x17; 16];
const CTR: Param<'_> = Param::Ctr { bits: 128, block: [0x17; 16] };
const GCM: Param<'_> =
    Param::Gcm { iv: In::Bytes(&[0x17; 12]), aad: In::Bytes(b"header"), tag_bits: 128 };

fn gcm(iv: &'static [u8], aad: In<'static>, tag_bits: CK_ULONG) -> Mechanism<'static> {
    Mechanism::with(CKM_AES_GCM, Param::Gcm { iv: In::Bytes(iv), aad, tag_bits })
}

fn modes() -> [(&'static str, SoftHsm2, Mechanism<'static>); 5] {
    [
        ("ECB", Passes, Mechanism::plain(CKM_AES_ECB)),
        ("CBC", Passes, Mechanism::iv(CKM_AES_CBC, IV)),
        ("CBC_PAD", Passes, Mechanism::iv(CKM_AES_CBC_PAD, IV)),
        ("CTR", Passes, Mechanism::with(CKM_AES_CTR, CTR)),
        ("GCM", Passes, Mechanism::with(CKM_AES_GCM, GCM)),
    ]
}

fn aes(session: &Session<'_>, value: &[u8]) -> CK_OBJECT_HANDLE {
    session.create(&keys::secret(CKK_AES, value)).expect("an AES key")
}

#[test]
fn aes_with_known_answers() {
    // SP 800-38A, F.1.1, F.2.1, F.5.1 and F.5.5; the GCM specification, cases 4 and 16.
    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const KEY_256: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    const COUNTER: [u8; 16] = [
        0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE,
        0xFF,
    ];
    const FIRST: &[u8; 16] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const GCM_KEY: &str = "feffe9928665731c6d6a8f9467308308";
    const GCM_PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    const GCM_IV: &[u8; 12] =
        &[0xCA, 0xFE, 0xBA, 0xBE, 0xFA, 0xCE, 0xDB, 0xAD, 0xDE, 0xCA, 0xF8, 0x88];
    const GCM_AAD: &[u8; 20] = &[
        0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD, 0xBE,
        0xEF, 0xAB, 0xAD, 0xDA, 0xD2,
    ];
    type Row = (Mechanism<'static>, &'static str, &'static str, &'static str);
    let rows: &[(&str, SoftHsm2, Row)] = &[
        (
            "ECB",
            Passes,
            (
                Mechanism::plain(CKM_AES_ECB),
                KEY,
                PLAIN,
                "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf",
            ),
        ),
        (
            "CBC",
            Passes,
            (
                Mechanism::iv(CKM_AES_CBC, FIRST),
                KEY,
                PLAIN,
                "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
            ),
        ),
        (
            "CTR",
            Passes,
            (
                Mechanism::with(CKM_AES_CTR, Param::Ctr { bits: 128, block: COUNTER }),
                KEY,
                PLAIN,
                "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
            ),
        ),
        (
            "CTR with 256 bits",
            Passes,
            (
                Mechanism::with(CKM_AES_CTR, Param::Ctr { bits: 128, block: COUNTER }),
                KEY_256,
                PLAIN,
                "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
            ),
        ),
        (
            "GCM",
            Passes,
            (
                gcm(GCM_IV, In::Bytes(GCM_AAD), 128),
                GCM_KEY,
                GCM_PLAIN,
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                 21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091\
                 5bc94fbc3221a5db94fae95ae7121a47",
            ),
        ),
        (
            "GCM with an IV of 8 bytes",
            Passes,
            (
                gcm(&[0xCA, 0xFE, 0xBA, 0xBE, 0xFA, 0xCE, 0xDB, 0xAD], In::Bytes(GCM_AAD), 128),
                GCM_KEY,
                GCM_PLAIN,
                "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423\
                 73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598\
                 3612d2e79e3b0785561be14aaca2fccb",
            ),
        ),
    ];
    table(rows, |world, (mechanism, key, plain, cipher)| {
        let session = world.user();
        let key = aes(&session, &keys::hex(key));
        let (plain, cipher) = (keys::hex(plain), keys::hex(cipher));
        assert_eq!(session.encrypt(*mechanism, key, &plain), Ok(cipher.clone()));
        assert_eq!(session.decrypt(*mechanism, key, &cipher), Ok(plain));
    });
}

#[test]
fn aes_there_and_back_in_any_parts() {
    table(&modes(), |world, mechanism| {
        let session = world.user();
        let whole = matches!(mechanism.id, CKM_AES_ECB | CKM_AES_CBC);
        for bits in [16, 24, 32] {
            let key = aes(&session, &vec![0x5C; bits]);
            for len in [0, 1, 15, 16, 17, 31, 32, 33, 64, 1000, 1024] {
                if whole && len % 16 != 0 {
                    continue;
                }
                let plain: Vec<u8> = (0..len).map(|byte| (byte % 251) as u8).collect();
                let cipher = session.encrypt(*mechanism, key, &plain).expect("C_Encrypt");
                assert_eq!(session.decrypt(*mechanism, key, &cipher), Ok(plain.clone()), "{len}");
                for size in [1, 7, 16, 100] {
                    let parts: Vec<_> = plain.chunks(size).collect();
                    let other = session.encrypt_parts(*mechanism, key, &parts);
                    assert_eq!(other, Ok(cipher.clone()), "{len} bytes in parts of {size}");
                    let parts: Vec<_> = cipher.chunks(size).collect();
                    let other = session.decrypt_parts(*mechanism, key, &parts);
                    assert_eq!(other, Ok(plain.clone()), "{len} bytes in parts of {size}");
                }
            }
        }
    });
}

#[test]
fn aes_updates_of_no_bytes() {
    table(
        &modes().map(|(name, _, mode)| {
            (name, Fails("null pointers are refused even for no bytes"), mode)
        }),
        |world, mechanism| {
            let session = world.user();
            let key = aes(&session, &[1; 32]);
            let (module, handle) = (session.module, session.handle);
            assert_eq!(session.encrypt_init(*mechanism, key), Rv::OK);
            let nothing = module.encrypt_update(handle, In::NONE, PLENTY);
            assert_eq!((nothing.rv, nothing.len), (Rv::OK, 0));
            let mut cipher =
                module.encrypt_update(handle, (&[9; 32]).into(), PLENTY).ok().expect("32 bytes");
            let nothing = module.encrypt_update(handle, In::NONE, PLENTY);
            assert_eq!((nothing.rv, nothing.len), (Rv::OK, 0));
            cipher.extend(module.encrypt_final(handle, PLENTY).ok().expect("C_EncryptFinal"));
            assert_eq!(session.decrypt(*mechanism, key, &cipher), Ok(vec![9; 32]));
        },
    );
}

#[test]
fn aes_in_place() {
    table(&modes(), |world, mechanism| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        let plain = [0x77_u8; 48];
        let wanted = session.encrypt(*mechanism, key, &plain).expect("C_Encrypt");
        let mut buffer = [0_u8; 80];
        buffer[..48].copy_from_slice(&plain);
        assert_eq!(session.encrypt_init(*mechanism, key), Rv::OK);
        let (rv, len) = module.encrypt_in_place(handle, &mut buffer, 48);
        assert_eq!((rv, &buffer[..len]), (Rv::OK, &wanted[..]));
        assert_eq!(session.decrypt_init(*mechanism, key), Rv::OK);
        let (rv, len) = module.decrypt_in_place(handle, &mut buffer, len);
        assert_eq!((rv, &buffer[..len]), (Rv::OK, &plain[..]));
        let mut buffer = [0x77_u8; 32];
        assert_eq!(session.encrypt_init(*mechanism, key), Rv::OK);
        let (rv, len) = module.encrypt_update_in_place(handle, &mut buffer);
        assert_eq!((rv, &buffer[..len]), (Rv::OK, &wanted[..len]));
    });
}

#[test]
fn aes_the_length_is_asked_first() {
    table(&modes(), |world, mechanism| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        let plain = &[0x77_u8; 48];
        let wanted = session.encrypt(*mechanism, key, plain).expect("C_Encrypt");
        assert_eq!(session.encrypt_init(*mechanism, key), Rv::OK);
        let query = module.encrypt(handle, plain.into(), Room::Query);
        assert_eq!(query.rv, Rv::OK);
        assert!((wanted.len()..=wanted.len() + 16).contains(&query.len), "{}", query.len);
        let small = module.encrypt(handle, plain.into(), Room::Bytes(wanted.len() - 1));
        assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        assert!((wanted.len()..=wanted.len() + 16).contains(&small.len), "{}", small.len);
        let cipher = module.encrypt(handle, plain.into(), Room::Bytes(query.len)).ok();
        assert_eq!(cipher, Ok(wanted.clone()));
        assert_eq!(session.decrypt_init(*mechanism, key), Rv::OK);
        let query = module.decrypt(handle, (&wanted).into(), Room::Query);
        assert_eq!(query.rv, Rv::OK);
        assert!((48..=wanted.len()).contains(&query.len), "{}", query.len);
        let small = module.decrypt(handle, (&wanted).into(), Room::Bytes(20));
        assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        let back = module.decrypt(handle, (&wanted).into(), Room::Bytes(query.len)).ok();
        assert_eq!(back, Ok(plain.to_vec()));
    });
}

#[test]
fn aes_the_length_of_a_part_is_asked_first() {
    table(&modes(), |world, mechanism| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        let plain = &[0x77_u8; 32];
        let wanted = session.encrypt(*mechanism, key, plain).expect("C_Encrypt");
        assert_eq!(session.encrypt_init(*mechanism, key), Rv::OK);
        let query = module.encrypt_update(handle, plain.into(), Room::Query);
        assert_eq!(query.rv, Rv::OK);
        if query.len > 0 {
            let small = module.encrypt_update(handle, plain.into(), Room::Bytes(1));
            assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        }
        let mut cipher = module.encrypt_update(handle, plain.into(), PLENTY).ok().expect("update");
        let query = module.encrypt_final(handle, Room::Query);
        assert_eq!(query.rv, Rv::OK);
        let last = module.encrypt_final(handle, Room::Bytes(query.len)).ok();
        cipher.extend(last.expect("C_EncryptFinal"));
        assert_eq!(cipher, wanted);
    });
}

#[test]
fn what_is_not_a_whole_block() {
    let rows = &[
        ("ECB", Passes, Mechanism::plain(CKM_AES_ECB)),
        ("CBC", Passes, Mechanism::iv(CKM_AES_CBC, IV)),
    ];
    table(rows, |world, mechanism| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        assert_eq!(session.encrypt(*mechanism, key, &[1; 15]), Err(Rv(CKR_DATA_LEN_RANGE)));
        let over = module.encrypt(handle, (&[1; 16]).into(), PLENTY);
        assert_eq!(over.rv, CKR_OPERATION_NOT_INITIALIZED);
        let answer = session.encrypt_parts(*mechanism, key, &[&[1; 15]]);
        assert_eq!(answer, Err(Rv(CKR_DATA_LEN_RANGE)));
        let short = Err(Rv(CKR_ENCRYPTED_DATA_LEN_RANGE));
        assert_eq!(session.decrypt(*mechanism, key, &[1; 15]), short);
        assert_eq!(session.decrypt_parts(*mechanism, key, &[&[1; 17]]), short);
    });
}

#[test]
fn wrong_padding() {
    case(Fails("CKR_GENERAL_ERROR"), |world| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        // A last byte of zero is no padding.
        let cipher = session.encrypt(Mechanism::iv(CKM_AES_CBC, IV), key, &[0; 32]).expect("CBC");
        let answer = session.decrypt(Mechanism::iv(CKM_AES_CBC_PAD, IV), key, &cipher);
        assert_eq!(answer, Err(Rv(CKR_ENCRYPTED_DATA_INVALID)));
        let answer = session.decrypt(Mechanism::iv(CKM_AES_CBC_PAD, IV), key, &cipher[1..]);
        assert_eq!(answer, Err(Rv(CKR_ENCRYPTED_DATA_LEN_RANGE)));
        let answer = session.decrypt(Mechanism::iv(CKM_AES_CBC_PAD, IV), key, b"");
        assert_eq!(answer, Err(Rv(CKR_ENCRYPTED_DATA_LEN_RANGE)));
    });
}

#[test]
fn gcm_of_every_shape() {
    let ivs: [(&str, &'static [u8]); 4] =
        [("1", &[1]), ("8", &[1; 8]), ("12", &[1; 12]), ("100", &[1; 100])];
    let mut names = Vec::new();
    for (iv_name, iv) in ivs {
        for tag in [32, 64, 96, 104, 112, 120, 128] {
            names.push((format!("IV of {iv_name} bytes, tag of {tag} bits"), (iv, tag)));
        }
    }
    let rows: Vec<_> = names.iter().map(|(name, row)| (name.as_str(), Passes, *row)).collect();
    table(&rows, |world, (iv, tag)| {
        let session = world.user();
        let key = aes(&session, &[1; 16]);
        for aad in [In::NONE, In::Bytes(b"header")] {
            let mechanism = gcm(iv, aad, *tag);
            let plain = b"what is hidden".as_slice();
            let cipher = session.encrypt(mechanism, key, plain).expect("C_Encrypt");
            assert_eq!(cipher.len(), plain.len() + usize::try_from(*tag / 8).expect("small"));
            assert_eq!(session.decrypt(mechanism, key, &cipher), Ok(plain.to_vec()));
            let parts = session.encrypt_parts(mechanism, key, &[b"what is", b" hidden"]);
            assert_eq!(parts, Ok(cipher.clone()));
            let parts: Vec<_> = cipher.chunks(5).collect();
            assert_eq!(session.decrypt_parts(mechanism, key, &parts), Ok(plain.to_vec()));
        }
    });
}

#[test]
fn gcm_rejects_what_was_changed() {
    const ANSWER: &str = "CKR_GENERAL_ERROR";
    let rows = &[
        ("the ciphertext", Fails(ANSWER), 0),
        ("the tag", Fails(ANSWER), 25),
        ("the header", Fails(ANSWER), 1000),
    ];
    table(rows, |world, place| {
        let session = world.user();
        let key = aes(&session, &[1; 16]);
        let mechanism = Mechanism::with(CKM_AES_GCM, GCM);
        let mut cipher = session.encrypt(mechanism, key, b"what is hidden").expect("C_Encrypt");
        let other = gcm(&[0x17; 12], In::Bytes(b"another header"), 128);
        let mechanism = if *place < cipher.len() { mechanism } else { other };
        if let Some(byte) = cipher.get_mut(*place) {
            *byte ^= 1;
        }
        for answer in [
            session.decrypt(mechanism, key, &cipher),
            session.decrypt_parts(mechanism, key, &[&cipher]),
        ] {
            let rv = answer.expect_err("it was changed");
            assert!(rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_AEAD_DECRYPT_FAILED, "{rv:?}");
        }
        let short = session.decrypt(mechanism, key, &cipher[..15]).expect_err("no tag");
        assert!(
            [CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED]
                .contains(&short.0),
            "{short:?}"
        );
    });
}

#[test]
fn gcm_gives_no_plaintext_before_the_tag() {
    case(Passes, |world| {
        let session = world.user();
        let key = aes(&session, &[1; 16]);
        let mechanism = Mechanism::with(CKM_AES_GCM, GCM);
        let cipher = session.encrypt(mechanism, key, &[0x77; 64]).expect("C_Encrypt");
        assert_eq!(session.decrypt_init(mechanism, key), Rv::OK);
        let part = session.module.decrypt_update(session.handle, (&cipher[..64]).into(), PLENTY);
        assert_eq!((part.rv, part.len), (Rv::OK, 0), "nothing is authentic yet");
    });
}

#[test]
fn what_init_refuses() {
    type Row = fn(&Session<'_>) -> Rv;
    const OBJECT: &str = "CKR_OBJECT_HANDLE_INVALID, the word for objects that are no keys";
    const PARAM: &[CK_RV] = &[CKR_MECHANISM_PARAM_INVALID];
    const ARGUMENTS: &str = "CKR_ARGUMENTS_BAD";
    let rows: &[(&str, SoftHsm2, (Row, &[CK_RV]))] = &[
        (
            "a handle nobody gave",
            Fails(OBJECT),
            (|s| s.encrypt_init(CKM_AES_ECB, 0x7777), &[CKR_KEY_HANDLE_INVALID]),
        ),
        (
            "an RSA key for AES",
            Passes,
            (|s| s.encrypt_init(CKM_AES_ECB, keys::rsa(s, 2048).0), &[CKR_KEY_TYPE_INCONSISTENT]),
        ),
        (
            "an AES key for RSA",
            Passes,
            (|s| s.encrypt_init(CKM_RSA_PKCS, aes(s, &[1; 32])), &[CKR_KEY_TYPE_INCONSISTENT]),
        ),
        (
            "a key that may not encrypt",
            Passes,
            (
                |s| {
                    let key = keys::secret(CKK_AES, &[1; 32]);
                    let key = merge(&key, &t![CKA_ENCRYPT => false]);
                    s.encrypt_init(CKM_AES_ECB, s.create(&key).expect("a key"))
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a key that may not decrypt",
            Passes,
            (
                |s| {
                    let key = keys::secret(CKK_AES, &[1; 32]);
                    let key = merge(&key, &t![CKA_DECRYPT => false]);
                    s.decrypt_init(CKM_AES_ECB, s.create(&key).expect("a key"))
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a mechanism that does not encrypt",
            Passes,
            (|s| s.encrypt_init(CKM_SHA256, aes(s, &[1; 32])), &[CKR_MECHANISM_INVALID]),
        ),
        (
            "CBC without an IV",
            Fails(ARGUMENTS),
            (|s| s.encrypt_init(CKM_AES_CBC, aes(s, &[1; 32])), PARAM),
        ),
        (
            "CBC with an IV of 15 bytes",
            Fails("CKR_MECHANISM_INVALID"),
            (|s| s.encrypt_init(Mechanism::iv(CKM_AES_CBC, &[1; 15]), aes(s, &[1; 32])), PARAM),
        ),
        (
            "CBC with an IV of 17 bytes",
            Fails("CKR_MECHANISM_INVALID"),
            (|s| s.decrypt_init(Mechanism::iv(CKM_AES_CBC, &[1; 17]), aes(s, &[1; 32])), PARAM),
        ),
        (
            "CBC with a null IV of 16 bytes",
            Passes,
            (
                |s| {
                    let mechanism = Mechanism::with(CKM_AES_CBC, Param::Bytes(In::Null(16)));
                    s.encrypt_init(mechanism, aes(s, &[1; 32]))
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "ECB with an IV",
            Fails("the parameter is not looked at"),
            (|s| s.encrypt_init(Mechanism::iv(CKM_AES_ECB, IV), aes(s, &[1; 32])), PARAM),
        ),
        (
            "CTR with a counter of no bits",
            Passes,
            (
                |s| {
                    let param = Param::Ctr { bits: 0, block: [0; 16] };
                    s.encrypt_init(Mechanism::with(CKM_AES_CTR, param), aes(s, &[1; 32]))
                },
                PARAM,
            ),
        ),
        (
            "CTR with a counter of 129 bits",
            Passes,
            (
                |s| {
                    let param = Param::Ctr { bits: 129, block: [0; 16] };
                    s.encrypt_init(Mechanism::with(CKM_AES_CTR, param), aes(s, &[1; 32]))
                },
                PARAM,
            ),
        ),
        (
            "GCM with a null IV of 12 bytes",
            Crashes("the null pointer is read (#904)"),
            (
                |s| {
                    let param = Param::Gcm { iv: In::Null(12), aad: In::NONE, tag_bits: 128 };
                    s.encrypt_init(Mechanism::with(CKM_AES_GCM, param), aes(s, &[1; 32]))
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "GCM with a null header of 6 bytes",
            Crashes("the null pointer is read (#904)"),
            (
                |s| {
                    let iv = In::Bytes(&[1; 12]);
                    let param = Param::Gcm { iv, aad: In::Null(6), tag_bits: 128 };
                    s.encrypt_init(Mechanism::with(CKM_AES_GCM, param), aes(s, &[1; 32]))
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "GCM with an empty IV",
            Fails("it encrypts"),
            (|s| s.encrypt_init(gcm(&[], In::NONE, 128), aes(s, &[1; 32])), PARAM),
        ),
        (
            "GCM with a tag of no bits",
            Fails("it encrypts, without authentication (#568)"),
            (|s| s.encrypt_init(gcm(&[1; 12], In::NONE, 0), aes(s, &[1; 32])), PARAM),
        ),
        (
            "GCM with a tag of 136 bits",
            Fails(ARGUMENTS),
            (|s| s.encrypt_init(gcm(&[1; 12], In::NONE, 136), aes(s, &[1; 32])), PARAM),
        ),
        (
            "OAEP without its parameter",
            Fails(ARGUMENTS),
            (|s| s.encrypt_init(CKM_RSA_PKCS_OAEP, keys::rsa(s, 2048).0), PARAM),
        ),
        (
            "OAEP with a null label of 5 bytes",
            Fails(ARGUMENTS),
            (
                |s| {
                    let mechanism = oaep(CKM_SHA_1, CKG_MGF1_SHA1, In::Null(5));
                    s.encrypt_init(mechanism, keys::rsa(s, 2048).0)
                },
                PARAM,
            ),
        ),
    ];
    table(rows, |world, (call, answers)| {
        let session = world.user();
        let rv = call(&session);
        assert!(answers.contains(&rv.0), "{rv:?}");
        let key = aes(&session, &[1; 32]);
        assert!(session.encrypt(CKM_AES_ECB, key, &[0; 16]).is_ok(), "nothing is active");
    });
}

#[test]
fn ctr_does_not_wrap_around() {
    case(Passes, |world| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let param = Param::Ctr { bits: 8, block: [0xFF; 16] };
        let mechanism = Mechanism::with(CKM_AES_CTR, param);
        assert!(session.encrypt(mechanism, key, &[0; 16]).is_ok(), "one block is left");
        let answer = session.encrypt(mechanism, key, &[0; 33]);
        assert_eq!(answer, Err(Rv(CKR_DATA_LEN_RANGE)), "the third block would reuse a counter");
    });
}

#[test]
fn order_of_the_calls() {
    case(Passes, |world| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        let not = Rv(CKR_OPERATION_NOT_INITIALIZED);
        let data = In::Bytes(&[1; 16]);
        assert_eq!(module.encrypt(handle, data, PLENTY).rv, not);
        assert_eq!(module.encrypt_update(handle, data, PLENTY).rv, not);
        assert_eq!(module.encrypt_final(handle, PLENTY).rv, not);
        assert_eq!(module.decrypt(handle, data, PLENTY).rv, not);
        assert_eq!(module.decrypt_update(handle, data, PLENTY).rv, not);
        assert_eq!(module.decrypt_final(handle, PLENTY).rv, not);
        assert_eq!(session.encrypt_init(CKM_AES_ECB, key), Rv::OK);
        assert_eq!(session.encrypt_init(CKM_AES_ECB, key), CKR_OPERATION_ACTIVE);
        assert_eq!(module.encrypt(handle, data, PLENTY).rv, Rv::OK);
        assert_eq!(module.encrypt_final(handle, PLENTY).rv, not);
    });
}

#[test]
fn one_shot_after_an_update() {
    let rows = &[
        ("C_Encrypt", Fails("the rest is encrypted on its own"), true),
        ("C_Decrypt", Fails("the rest is decrypted on its own"), false),
    ];
    table(rows, |world, encrypts| {
        let session = world.user();
        let key = aes(&session, &[1; 32]);
        let (module, handle) = (session.module, session.handle);
        let data = In::Bytes(&[1; 16]);
        let rv = if *encrypts {
            assert_eq!(session.encrypt_init(CKM_AES_ECB, key), Rv::OK);
            assert_eq!(module.encrypt_update(handle, data, PLENTY).rv, Rv::OK);
            module.encrypt(handle, data, PLENTY).rv
        } else {
            assert_eq!(session.decrypt_init(CKM_AES_ECB, key), Rv::OK);
            assert_eq!(module.decrypt_update(handle, data, PLENTY).rv, Rv::OK);
            module.decrypt(handle, data, PLENTY).rv
        };
        assert_eq!(rv, CKR_OPERATION_ACTIVE);
    });
}

#[test]
fn rsa_pkcs1() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        for len in [0, 1, 32, 245] {
            let plain = vec![0x33; len];
            let cipher = session.encrypt(CKM_RSA_PKCS, public, &plain).expect("C_Encrypt");
            assert_eq!(session.decrypt(CKM_RSA_PKCS, private, &cipher), Ok(plain));
        }
    });
}

/// Nobody learns from an answer whether a padding was right (draft-irtf-cfrg-rsa-guidance): what is
/// wrong decrypts to other bytes, which are always the same.
#[test]
fn rsa_pkcs1_tells_no_wrong_padding() {
    case(Fails("CKR_GENERAL_ERROR, which tells it (OpenSSL 3.0)"), |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let cipher = session.encrypt(CKM_RSA_PKCS, public, b"hidden").expect("C_Encrypt");
        let mut found = std::collections::HashSet::new();
        for at in 1..32 {
            let mut wrong = cipher.clone();
            wrong[at * 8] ^= 1;
            let plain = session.decrypt(CKM_RSA_PKCS, private, &wrong).expect("C_Decrypt");
            assert_eq!(session.decrypt(CKM_RSA_PKCS, private, &wrong), Ok(plain.clone()));
            assert_ne!(plain, b"hidden");
            found.insert(plain);
        }
        // An empty one may be among them, more than once.
        assert!(found.len() > 25, "{}", found.len());
    });
}

/// A buffer that is too small tells the length of what comes out next, whatever the padding was.
#[test]
fn rsa_pkcs1_keeps_its_word_about_the_length() {
    case(Fails("CKR_GENERAL_ERROR, which tells it (OpenSSL 3.0)"), |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let (module, handle) = (session.module, session.handle);
        let cipher = session.encrypt(CKM_RSA_PKCS, public, &[7; 100]).expect("C_Encrypt");
        for at in 0..16 {
            let mut cipher = cipher.clone();
            // The first is right.
            cipher[at * 8] ^= u8::from(at > 0);
            assert_eq!(session.decrypt_init(CKM_RSA_PKCS, private), Rv::OK);
            let asked = module.decrypt(handle, (&cipher).into(), Room::Query);
            assert_eq!(asked.rv, Rv::OK);
            let small = module.decrypt(handle, (&cipher).into(), Room::Bytes(0));
            let Rv(CKR_BUFFER_TOO_SMALL) = small.rv else {
                assert_eq!((small.rv, small.len), (Rv::OK, 0), "an empty one fits");
                continue;
            };
            assert!(small.len <= asked.len);
            let plain = module.decrypt(handle, (&cipher).into(), Room::Bytes(small.len));
            assert_eq!(plain.rv, Rv::OK);
            assert!(plain.len <= small.len);
        }
    });
}

fn oaep(
    hash: CK_MECHANISM_TYPE,
    mgf: CK_RSA_PKCS_MGF_TYPE,
    label: In<'static>,
) -> Mechanism<'static> {
    let source = CKZ_DATA_SPECIFIED;
    Mechanism::with(CKM_RSA_PKCS_OAEP, Param::Oaep { hash, mgf, source, label })
}

#[test]
fn rsa_oaep() {
    const SHA1_ONLY: &str = "OAEP is SHA-1 without a label only (#474)";
    let rows = &[
        ("SHA-1", Passes, oaep(CKM_SHA_1, CKG_MGF1_SHA1, In::NONE)),
        ("SHA-224", Fails(SHA1_ONLY), oaep(CKM_SHA224, CKG_MGF1_SHA224, In::NONE)),
        ("SHA-256", Fails(SHA1_ONLY), oaep(CKM_SHA256, CKG_MGF1_SHA256, In::NONE)),
        ("SHA-384", Fails(SHA1_ONLY), oaep(CKM_SHA384, CKG_MGF1_SHA384, In::NONE)),
        ("SHA-512", Fails(SHA1_ONLY), oaep(CKM_SHA512, CKG_MGF1_SHA512, In::NONE)),
        ("SHA-1, label", Fails(SHA1_ONLY), oaep(CKM_SHA_1, CKG_MGF1_SHA1, In::Bytes(b"label"))),
        (
            "SHA-256, label",
            Fails(SHA1_ONLY),
            oaep(CKM_SHA256, CKG_MGF1_SHA256, In::Bytes(b"label")),
        ),
        ("SHA-256, mask of SHA-1", Fails(SHA1_ONLY), oaep(CKM_SHA256, CKG_MGF1_SHA1, In::NONE)),
    ];
    table(rows, |world, mechanism| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let cipher = session.encrypt(*mechanism, public, b"hidden").expect("C_Encrypt");
        assert_eq!(session.decrypt(*mechanism, private, &cipher), Ok(b"hidden".to_vec()));
        let mut wrong = cipher;
        wrong[100] ^= 1;
        let answer = session.decrypt(*mechanism, private, &wrong);
        assert!(answer.is_err(), "{answer:?}");
    });
}

/// pkcs11-tool names no source of the label when it has none.
#[test]
fn rsa_oaep_without_a_source() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let named = oaep(CKM_SHA_1, CKG_MGF1_SHA1, In::NONE);
        let cipher = session.encrypt(named, public, b"hidden").expect("C_Encrypt");
        let param = Param::Oaep { hash: CKM_SHA_1, mgf: CKG_MGF1_SHA1, source: 0, label: In::NONE };
        let unnamed = Mechanism::with(CKM_RSA_PKCS_OAEP, param);
        assert_eq!(session.decrypt(unnamed, private, &cipher), Ok(b"hidden".to_vec()));
    });
}

/// A generator of the second opinion: nothing here is secret.
struct Counter(u64);

impl rsa::rand_core::TryRng for Counter {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.try_next_u64()? as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Ok(self.0 ^ (self.0 >> 29))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Counter {}

#[test]
fn the_second_opinion_encrypts() {
    type Encrypt = fn(&rsa::RsaPublicKey, &mut Counter) -> rsa::Result<Vec<u8>>;
    let label = In::Bytes(b"label");
    let rows: &[(&str, SoftHsm2, (Mechanism<'static>, Encrypt))] = &[
        (
            "PKCS #1",
            Passes,
            (CKM_RSA_PKCS.into(), |key, random| key.encrypt(random, Pkcs1v15Encrypt, b"hidden")),
        ),
        (
            "OAEP with SHA-1",
            Passes,
            (oaep(CKM_SHA_1, CKG_MGF1_SHA1, In::NONE), |key, random| {
                key.encrypt(random, Oaep::<sha1::Sha1>::new(), b"hidden")
            }),
        ),
        (
            "OAEP with SHA-256 and a label",
            Fails("OAEP is SHA-1 without a label only (#474)"),
            (oaep(CKM_SHA256, CKG_MGF1_SHA256, label), |key, random| {
                key.encrypt(
                    random,
                    Oaep::<sha2::Sha256>::new_with_label(b"label".to_vec()),
                    b"hidden",
                )
            }),
        ),
        (
            "OAEP with SHA-256 and a mask of SHA-1",
            Fails("OAEP is SHA-1 without a label only (#474)"),
            (oaep(CKM_SHA256, CKG_MGF1_SHA1, In::NONE), |key, random| {
                let padding = Oaep::<sha2::Sha256, sha1::Sha1>::new_with_mgf_hash();
                key.encrypt(random, padding, b"hidden")
            }),
        ),
    ];
    table(rows, |world, (mechanism, encrypt)| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let cipher = encrypt(&rsa_key(&session, public), &mut Counter(7)).expect("encrypts");
        assert_eq!(session.decrypt(*mechanism, private, &cipher), Ok(b"hidden".to_vec()));
    });
}

#[test]
fn rsa_raw_with_too_much_data() {
    case(Crashes("a length underflows, and an exception ends the host process"), |world| {
        let session = world.user();
        let (public, _) = keys::rsa(&session, 2048);
        let answer = session.encrypt(CKM_RSA_X_509, public, &[1; 257]);
        assert_eq!(answer, Err(Rv(CKR_DATA_LEN_RANGE)));
    });
}

#[test]
fn a_part_that_nothing_comes_of_is_asked_for_all_the_same() {
    // A client that hears of no bytes makes no room, and its next call is a question again.
    let rows = &[
        ("GCM", Passes, (gcm(&[1; 12], In::NONE, 128), 32)),
        (
            "CBC with padding",
            Fails("says that nothing comes of the first part"),
            (Mechanism::iv(CKM_AES_CBC_PAD, &[0; 16]), 32),
        ),
    ];
    table(rows, |world, (mechanism, len)| {
        let session = world.user();
        let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let hidden = session.encrypt(*mechanism, key, &vec![7; *len - 16][..]).expect("C_Encrypt");
        assert_eq!(hidden.len(), *len);
        assert_eq!(session.decrypt_init(*mechanism, key), Rv::OK);
        let mut open = Vec::new();
        for part in hidden.chunks(16) {
            let asked = session.module.decrypt_update(session.handle, part.into(), Room::Query);
            assert_eq!(asked.rv, Rv::OK);
            assert!(asked.len > 0);
            let room = Room::Bytes(asked.len);
            open.extend(
                session
                    .module
                    .decrypt_update(session.handle, part.into(), room)
                    .ok()
                    .expect("a part"),
            );
        }
        open.extend(session.module.decrypt_final(session.handle, PLENTY).ok().expect("the end"));
        assert_eq!(open, vec![7; *len - 16]);
    });
}
