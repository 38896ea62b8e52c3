//! The habits of SoftHSM2 that its clients rely on, on modules that find a `softhsm2.conf` and
//! nothing else, or are clients of a daemon that has them. Those of forks and of the settings have files of their own.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::world::{blank_slot, slot_of, slots, text};
use strongroom_softhsm_tests::{
    In, InitArgs, LABEL, Mechanism, PLENTY, Param, Room, Rv, SO_PIN, Session, Template, USER_PIN,
    Word, case_compatible, merge, t, table_compatible,
};

use crate::keys;

const PRINTABLE_CURVE25519: &[u8] = b"\x13\x0acurve25519";

fn only_rv<T>(answer: Result<T, Rv>) -> Rv {
    answer.err().unwrap_or(Rv::OK)
}

fn pair(version: CK_VERSION) -> (u8, u8) {
    (version.major, version.minor)
}

/// Stops the module and starts it again.
fn restart(session: &Session<'_>) {
    assert_eq!(session.module.finalize(), Rv::OK);
    assert_eq!(session.module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK);
}

#[test]
fn a_free_slot_comes_last() {
    case_compatible(Passes, |world| {
        let module = world.started();
        for count in 0..3 {
            let all = slots(module);
            assert_eq!(all.len(), count + 1);
            let blank = blank_slot(module);
            assert_eq!(all.last(), Some(&blank));
            assert_eq!(blank, CK_SLOT_ID::try_from(count).expect("a small number"));
            let info = module.token_info(blank).expect("C_GetTokenInfo");
            assert_eq!(text(&info.label), "");
            assert_eq!(text(&info.serialNumber), "");
            let opened = module.open_session(blank, CKF_SERIAL_SESSION | CKF_RW_SESSION);
            assert_eq!(opened, Err(Rv(CKR_TOKEN_NOT_RECOGNIZED)));
            assert_eq!(module.close_all_sessions(blank), Rv::OK);
            let label = format!("token {count}");
            assert_eq!(module.init_token(blank, SO_PIN.into(), &label), Rv::OK);
            assert_eq!(module.finalize(), Rv::OK);
            assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK);
        }
    });
}

/// The URIs in people's configurations have the names, and programs ask more of a newer version.
#[test]
fn names_and_versions_of_softhsm2() {
    case_compatible(Passes, |world| {
        let session = world.public();
        let module = session.module;
        let info = module.info().expect("C_GetInfo");
        assert_eq!(text(&info.manufacturerID), "SoftHSM");
        assert_eq!(text(&info.libraryDescription), "Implementation of PKCS11");
        assert_eq!(pair(info.libraryVersion), (2, 6));
        let info = module.slot_info(session.slot).expect("C_GetSlotInfo");
        assert_eq!(text(&info.slotDescription), format!("SoftHSM slot ID {:#x}", session.slot));
        assert_eq!(text(&info.manufacturerID), "SoftHSM project");
        assert_eq!(pair(info.hardwareVersion), (2, 6));
        assert_eq!(pair(info.firmwareVersion), (2, 6));
        let info = module.token_info(session.slot).expect("C_GetTokenInfo");
        assert_eq!(text(&info.manufacturerID), "SoftHSM project");
        assert_eq!(text(&info.model), "SoftHSM v2");
        assert_eq!(pair(info.hardwareVersion), (2, 6));
        assert_eq!(pair(info.firmwareVersion), (2, 6));
    });
}

#[test]
fn the_slot_of_a_token_follows_from_its_serial_number() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let module = session.module;
        restart(&session);
        let slot = slot_of(module, LABEL).expect("the token");
        let serial = text(&module.token_info(slot).expect("C_GetTokenInfo").serialNumber);
        assert_eq!(serial.len(), 16);
        assert_eq!(serial, serial.to_lowercase());
        let end = CK_SLOT_ID::from_str_radix(&serial[8..], 16).expect("a hexadecimal number");
        assert_eq!(slot, end & 0x7FFF_FFFF);
        assert_eq!(only_rv(module.slot_info(slot + 1)), CKR_SLOT_ID_INVALID);
        assert_eq!(only_rv(module.slot_info(0x8000_0000)), CKR_SLOT_ID_INVALID);
    });
}

#[test]
fn a_token_is_initialised_again() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let module = session.module;
        session.create(&[keys::data("data"), t![CKA_TOKEN => true]].concat()).expect("an object");
        assert_eq!(module.init_token(session.slot, SO_PIN.into(), "new"), CKR_SESSION_EXISTS);
        module.close_all_sessions(session.slot);
        let wrong = module.init_token(session.slot, b"wrong pin"[..].into(), "new");
        assert_eq!(wrong, CKR_PIN_INCORRECT);
        assert_eq!(module.init_token(session.slot, SO_PIN.into(), "new"), Rv::OK);
        let info = module.token_info(session.slot).expect("C_GetTokenInfo");
        assert_eq!(text(&info.label), "new");
        assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
        let session = Session::open(module, session.slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
        assert_eq!(session.find(&t![CKA_LABEL => "data"]).len(), 0);
    });
}

#[test]
fn there_are_no_slot_events() {
    case_compatible(Passes, |world| {
        let module = world.module();
        let not = CKR_CRYPTOKI_NOT_INITIALIZED;
        assert_eq!(module.wait_for_any_slot_event(CKF_DONT_BLOCK), not);
        world.started();
        assert_eq!(module.wait_for_any_slot_event(CKF_DONT_BLOCK), CKR_NO_EVENT);
        assert_eq!(only_rv(module.wait_for_slot_event(CKF_DONT_BLOCK)), CKR_NO_EVENT);
        assert_eq!(module.wait_for_any_slot_event(0), CKR_FUNCTION_NOT_SUPPORTED);
        assert_eq!(only_rv(module.wait_for_slot_event(0)), CKR_FUNCTION_NOT_SUPPORTED);
    });
}

#[test]
fn a_digest_outlives_bad_calls() {
    let rows = &[
        ("C_DigestInit without a mechanism", Passes, 0),
        ("C_DigestUpdate with a null pointer", Passes, 1),
        ("C_DigestKey without a key", Passes, 2),
        ("C_DigestFinal without a length", Passes, 3),
        ("C_DigestInit again", Passes, 4),
    ];
    table_compatible(rows, |world, bad| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let expected = session.digest(CKM_SHA256, b"what is digested").expect("a digest");
        let sha256 = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(handle, Some(&sha256)), Rv::OK);
        assert_eq!(module.digest_update(handle, b"what is ".into()), Rv::OK);
        let (answer, refusal) = match bad {
            0 => (module.digest_init(handle, None), CKR_ARGUMENTS_BAD),
            1 => (module.digest_update(handle, In::Null(8)), CKR_ARGUMENTS_BAD),
            2 => (module.digest_key(handle, CK_INVALID_HANDLE), CKR_KEY_HANDLE_INVALID),
            3 => (module.digest_final(handle, Room::NoLength).rv, CKR_ARGUMENTS_BAD),
            _ => (module.digest_init(handle, Some(&sha256)), CKR_OPERATION_ACTIVE),
        };
        assert_eq!(answer, refusal);
        assert_eq!(module.digest_update(handle, b"digested".into()), Rv::OK);
        assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(expected));
    });
}

#[test]
fn who_is_not_logged_in_logs_out() {
    case_compatible(Passes, |world| {
        let session = world.public();
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
    });
}

#[test]
fn the_size_of_an_object_is_not_told() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let data = session.create(&keys::data("data")).expect("an object");
        let size = session.module.object_size(session.handle, data);
        assert_eq!(size, Ok(CK_UNAVAILABLE_INFORMATION));
        let none = session.module.object_size(session.handle, data + 1000);
        assert_eq!(only_rv(none), CKR_OBJECT_HANDLE_INVALID);
    });
}

#[test]
fn the_last_of_two_values_counts() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let twice = t![
            CKA_CLASS => CKO_DATA, CKA_PRIVATE => false,
            CKA_LABEL => "first", CKA_LABEL => "last", CKA_VALUE => b"first", CKA_VALUE => b"last",
        ];
        let object = session.create(&twice).expect("C_CreateObject");
        assert_eq!(session.get(object, CKA_LABEL), Ok(b"last".to_vec()));
        assert_eq!(session.get(object, CKA_VALUE), Ok(b"last".to_vec()));
        let sensitive = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => true, CKA_SENSITIVE => false];
        let (_, private) = keys::ec_with(&session, keys::P256, &sensitive);
        assert_eq!(session.flag(private, CKA_SENSITIVE), Ok(false));
        session.get(private, CKA_VALUE).expect("its value may be read");
    });
}

#[test]
fn what_is_fixed_is_not_set_to_what_it_is() {
    let rows = &[
        ("CKA_CLASS", Passes, (CKA_CLASS, true)),
        ("CKA_TOKEN", Passes, (CKA_TOKEN, true)),
        ("CKA_PRIVATE", Passes, (CKA_PRIVATE, true)),
        ("CKA_MODIFIABLE", Passes, (CKA_MODIFIABLE, true)),
        ("CKA_KEY_TYPE", Passes, (CKA_KEY_TYPE, true)),
        ("CKA_LOCAL", Passes, (CKA_LOCAL, true)),
        ("CKA_LABEL", Passes, (CKA_LABEL, false)),
        ("CKA_ID", Passes, (CKA_ID, false)),
    ];
    table_compatible(rows, |world, (attribute, fixed)| {
        let session = world.user();
        let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let value = session.get(key, *attribute).expect("its value");
        let answer = session.set(key, &[(*attribute, value.into())]);
        assert_eq!(answer, if *fixed { Rv(CKR_ATTRIBUTE_READ_ONLY) } else { Rv::OK });
    });
}

#[test]
fn what_is_not_sensitive_any_more() {
    let rows = &[
        ("CKA_SENSITIVE", Passes, (CKA_SENSITIVE, true)),
        ("CKA_EXTRACTABLE", Passes, (CKA_EXTRACTABLE, false)),
    ];
    table_compatible(rows, |world, (attribute, guarded)| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
        assert_eq!(session.set(key, &t![*attribute => *guarded]), Rv::OK);
        assert_eq!(session.flag(key, *attribute), Ok(*guarded));
        assert_eq!(session.set(key, &t![*attribute => !*guarded]), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(only_rv(session.get(key, CKA_VALUE)), CKR_ATTRIBUTE_SENSITIVE);
    });
}

#[test]
fn keys_without_a_list_have_an_empty_list_of_mechanisms() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        assert_eq!(session.get(key, CKA_ALLOWED_MECHANISMS), Ok(Vec::new()));
        let list = t![CKA_ALLOWED_MECHANISMS => vec![CKM_AES_CBC]];
        let key = session.generate(CKM_AES_KEY_GEN, &merge(&keys::aes(), &list)).expect("a key");
        let listed = session.get(key, CKA_ALLOWED_MECHANISMS);
        assert_eq!(listed, Ok(CKM_AES_CBC.to_ne_bytes().to_vec()));
        assert_eq!(session.encrypt_init(CKM_AES_ECB, key), CKR_MECHANISM_INVALID);
    });
}

fn oaep(
    hash: CK_MECHANISM_TYPE,
    mgf: CK_RSA_PKCS_MGF_TYPE,
    source: CK_RSA_PKCS_OAEP_SOURCE_TYPE,
    label: In<'static>,
) -> Mechanism<'static> {
    Mechanism::with(CKM_RSA_PKCS_OAEP, Param::Oaep { hash, mgf, source, label })
}

#[test]
fn bad_parameters_of_oaep() {
    let label = In::Bytes(b"label");
    let rows = &[
        ("none", Passes, Mechanism::plain(CKM_RSA_PKCS_OAEP)),
        ("no source", Passes, oaep(CKM_SHA_1, CKG_MGF1_SHA1, 0, In::NONE)),
        ("no hash function", Passes, oaep(CKM_AES_CBC, CKG_MGF1_SHA1, 1, In::NONE)),
        ("SHA-1 with another mask", Passes, oaep(CKM_SHA_1, CKG_MGF1_SHA256, 1, In::NONE)),
        ("SHA-1 with a label", Passes, oaep(CKM_SHA_1, CKG_MGF1_SHA1, 1, label)),
        ("a label of no bytes", Passes, oaep(CKM_SHA_1, CKG_MGF1_SHA1, 1, In::Null(5))),
    ];
    table_compatible(rows, |world, mechanism| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        assert_eq!(session.encrypt_init(*mechanism, public), CKR_ARGUMENTS_BAD);
        let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        assert_eq!(only_rv(session.wrap(*mechanism, public, key)), CKR_ARGUMENTS_BAD);
        let template = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
        let unwrapped = session.unwrap(*mechanism, private, &[1; 256], &template);
        assert_eq!(only_rv(unwrapped), CKR_ARGUMENTS_BAD);
        let good = oaep(CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, In::NONE);
        let hidden = session.encrypt(good, public, b"secret").expect("C_Encrypt");
        assert_eq!(session.decrypt(good, private, &hidden), Ok(b"secret".to_vec()));
    });
}

#[test]
fn oaep_decrypts_without_a_source() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let named = oaep(CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, In::NONE);
        let hidden = session.encrypt(named, public, b"secret").expect("C_Encrypt");
        let unnamed = oaep(CKM_SHA_1, CKG_MGF1_SHA1, 0, In::NONE);
        assert_eq!(session.decrypt(unnamed, private, &hidden), Ok(b"secret".to_vec()));
        let hash = oaep(CKM_AES_CBC, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, In::NONE);
        assert_eq!(session.decrypt_init(hash, private), CKR_ARGUMENTS_BAD);
    });
}

#[test]
fn private_keys_of_any_length_under_aes_key_wrap() {
    let rows = &[
        ("RSA", Passes, CKK_RSA),
        ("P-256", Passes, CKK_EC),
        ("Ed25519", Fails("its Edwards keys are not wrapped; mended since"), CKK_EC_EDWARDS),
    ];
    table_compatible(rows, |world, kind| {
        let session = world.user();
        let wrapping = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let open = t![CKA_SIGN => true, CKA_EXTRACTABLE => true];
        let (mechanism, data, (public, private)) = match *kind {
            CKK_RSA => (CKM_SHA256_RSA_PKCS, &b"data"[..], keys::rsa_with(&session, 2048, &open)),
            CKK_EC => (CKM_ECDSA, &[7; 32][..], keys::ec_with(&session, keys::P256, &open)),
            _ => {
                let public = t![CKA_EC_PARAMS => keys::ED25519, CKA_VERIFY => true];
                let pair = session.pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, &public, &open);
                (CKM_EDDSA, &b"data"[..], pair.expect("a key pair"))
            }
        };
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, wrapping, private).expect("C_WrapKey");
        assert_eq!(wrapped.len() % 8, 0);
        let template = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => *kind, CKA_TOKEN => false,
            CKA_PRIVATE => true, CKA_SIGN => true,
        ];
        let key = session.unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &template);
        let signature = session.sign(mechanism, key.expect("C_UnwrapKey"), data).expect("C_Sign");
        assert_eq!(session.verify(mechanism, public, data, &signature), Rv::OK);
    });
}

#[test]
fn keys_for_x25519_by_the_mechanism_for_edwards_curves() {
    let rows =
        &[("by name", Passes, PRINTABLE_CURVE25519), ("by identifier", Passes, keys::X25519)];
    table_compatible(rows, |world, params| {
        let session = world.user();
        let pair = || {
            let public = t![CKA_EC_PARAMS => *params];
            session
                .pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, &public, &t![CKA_DERIVE => true])
                .expect("C_GenerateKeyPair")
        };
        let ((one_public, one), (two_public, two)) = (pair(), pair());
        let derive = |public, private| {
            let point = session.get(public, CKA_EC_POINT).expect("a point");
            let param = Param::Ecdh {
                kdf: CKD_NULL,
                shared: In::NONE,
                public: In::Bytes(keys::octets(&point)),
            };
            let template = t![
                CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET,
                CKA_VALUE_LEN => 32_u64, CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
            ];
            let key = session.derive(Mechanism::with(CKM_ECDH1_DERIVE, param), private, &template);
            session.get(key.expect("C_DeriveKey"), CKA_VALUE).expect("its value")
        };
        let secret = derive(one_public, two);
        assert_eq!(secret, derive(two_public, one));
        assert_eq!(secret.len(), 32);
    });
}

#[test]
fn what_is_old_is_there() {
    let rows = &[
        ("MD5", Passes, CKM_MD5),
        ("DES3", Passes, CKM_DES3_CBC),
        ("SHA-1 with RSA", Passes, CKM_SHA1_RSA_PKCS),
        ("RSA of 1024 bits", Passes, CKM_RSA_PKCS_KEY_PAIR_GEN),
    ];
    table_compatible(rows, |world, mechanism| {
        let session = world.user();
        let info = session.module.mechanism_info(session.slot, *mechanism).expect("its info");
        match *mechanism {
            CKM_MD5 => {
                let digest = session.digest(CKM_MD5, b"").expect("C_Digest");
                assert_eq!(digest, keys::hex("d41d8cd98f00b204e9800998ecf8427e"));
            }
            CKM_DES3_CBC => {
                let usage = t![CKA_ENCRYPT => true, CKA_DECRYPT => true];
                let key = session.generate(CKM_DES3_KEY_GEN, &usage).expect("C_GenerateKey");
                let cbc = Mechanism::iv(CKM_DES3_CBC, &[0; 8]);
                let hidden = session.encrypt(cbc, key, b"16 bytes of text").expect("C_Encrypt");
                assert_eq!(session.decrypt(cbc, key, &hidden), Ok(b"16 bytes of text".to_vec()));
            }
            CKM_SHA1_RSA_PKCS => {
                assert_eq!(info.flags & (CKF_SIGN | CKF_VERIFY), CKF_SIGN | CKF_VERIFY);
                let (public, private) = keys::rsa(&session, 2048);
                let signature = session.sign(*mechanism, private, b"data").expect("C_Sign");
                assert_eq!(session.verify(*mechanism, public, b"data", &signature), Rv::OK);
            }
            CKM_RSA_PKCS_KEY_PAIR_GEN => {
                assert!(info.ulMinKeySize <= 1024);
                keys::rsa(&session, 1024);
            }
            _ => unreachable!("no row has another mechanism"),
        }
    });
}

#[test]
fn keys_are_private_and_closed_unless_they_say_otherwise() {
    const OPEN: &str = "its private keys are not sensitive unless they say so";
    let rows = &[
        ("CKA_PRIVATE", Passes, (CKA_PRIVATE, true)),
        ("CKA_TOKEN", Passes, (CKA_TOKEN, false)),
        ("CKA_MODIFIABLE", Passes, (CKA_MODIFIABLE, true)),
        ("CKA_COPYABLE", Passes, (CKA_COPYABLE, true)),
        ("CKA_DESTROYABLE", Passes, (CKA_DESTROYABLE, true)),
        ("CKA_ALWAYS_AUTHENTICATE", Passes, (CKA_ALWAYS_AUTHENTICATE, false)),
        ("CKA_WRAP_WITH_TRUSTED", Passes, (CKA_WRAP_WITH_TRUSTED, false)),
        ("CKA_EXTRACTABLE", Passes, (CKA_EXTRACTABLE, false)),
        ("CKA_SENSITIVE", Fails(OPEN), (CKA_SENSITIVE, true)),
        ("CKA_DERIVE", Passes, (CKA_DERIVE, false)),
    ];
    table_compatible(rows, |world, (attribute, value)| {
        let session = world.user();
        let public = t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
        let pair = session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[]);
        let (_, private) = pair.expect("C_GenerateKeyPair");
        assert_eq!(session.flag(private, *attribute), Ok(*value));
    });
}

#[test]
fn dates_of_keys_are_kept() {
    const LATER: &str = "a date can not be read; mended since";
    let rows = &[
        ("both", Fails(LATER), (&b"20200101"[..], &b"20301231"[..])),
        ("the first", Fails(LATER), (b"20200101", b"")),
        ("none", Passes, (b"", b"")),
    ];
    table_compatible(rows, |world, (start, end)| {
        let session = world.user();
        let dates = t![CKA_START_DATE => *start, CKA_END_DATE => *end];
        let public = t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
        let pair =
            session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &[public, dates.clone()].concat(), &dates);
        let (public, private) = pair.expect("C_GenerateKeyPair");
        for key in [public, private] {
            assert_eq!(session.get(key, CKA_START_DATE).as_deref(), Ok(*start));
            assert_eq!(session.get(key, CKA_END_DATE).as_deref(), Ok(*end));
        }
    });
}

#[test]
fn arguments_that_can_not_be_read_end_an_encryption() {
    const LATER: &str = "it goes on; mended since (#585)";
    let rows = &[
        ("C_Encrypt, null data", Fails(LATER), 0),
        ("C_Encrypt, no length", Fails(LATER), 1),
        ("C_EncryptUpdate, null data", Fails(LATER), 2),
        ("C_EncryptUpdate, no length", Fails(LATER), 3),
        ("C_Decrypt, null data", Fails(LATER), 4),
        ("C_Decrypt, no length", Fails(LATER), 5),
        ("C_DecryptUpdate, null data", Fails(LATER), 6),
        ("C_DecryptUpdate, no length", Fails(LATER), 7),
    ];
    table_compatible(rows, |world, case| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let cbc = Mechanism::iv(CKM_AES_CBC, &[0; 16]);
        let init =
            if *case < 4 { session.encrypt_init(cbc, key) } else { session.decrypt_init(cbc, key) };
        assert_eq!(init, Rv::OK);
        let (input, room) = if case % 2 == 0 {
            (In::Null(16), Room::Query)
        } else {
            (In::Bytes(&[0; 16]), Room::NoLength)
        };
        let call = |input, room| match case / 2 {
            0 => module.encrypt(handle, input, room).rv,
            1 => module.encrypt_update(handle, input, room).rv,
            2 => module.decrypt(handle, input, room).rv,
            _ => module.decrypt_update(handle, input, room).rv,
        };
        assert_eq!(call(input, room), CKR_ARGUMENTS_BAD);
        assert_eq!(call(In::Bytes(&[0; 16]), Room::Query), CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(call(input, room), CKR_ARGUMENTS_BAD, "before it is seen that there is none");
    });
}

#[test]
fn keys_of_another_type() {
    const NOT_LOOKED_AT: &str = "the type of the key is not looked at; mended since";
    let rows = &[
        ("AES for RSA", Fails(NOT_LOOKED_AT), (CKM_RSA_PKCS, CKK_AES)),
        ("AES for PSS", Fails(NOT_LOOKED_AT), (CKM_SHA256_RSA_PKCS, CKK_AES)),
        ("EC for RSA", Fails(NOT_LOOKED_AT), (CKM_SHA256_RSA_PKCS, CKK_EC)),
        ("RSA for ECDSA", Fails(NOT_LOOKED_AT), (CKM_ECDSA, CKK_RSA)),
        ("RSA for EdDSA", Fails(NOT_LOOKED_AT), (CKM_EDDSA, CKK_RSA)),
        ("EC for EdDSA", Fails(NOT_LOOKED_AT), (CKM_EDDSA, CKK_EC)),
    ];
    table_compatible(rows, |world, (mechanism, kind)| {
        let session = world.user();
        let (public, private) = match *kind {
            CKK_RSA => keys::rsa(&session, 2048),
            CKK_EC => keys::ec(&session, keys::P256),
            _ => {
                let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
                (key, key)
            }
        };
        assert_eq!(session.sign_init(*mechanism, private), CKR_KEY_TYPE_INCONSISTENT);
        assert_eq!(session.verify_init(*mechanism, public), CKR_KEY_TYPE_INCONSISTENT);
    });
}

#[test]
fn templates_that_are_null() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let made = session.module.create_object(session.handle, Template::Null(2));
        assert_eq!(only_rv(made), CKR_ARGUMENTS_BAD);
        assert_eq!(
            session.module.find_objects_init(session.handle, Template::Null(1)),
            CKR_ARGUMENTS_BAD
        );
        assert_eq!(session.module.find_objects_init(session.handle, Template::Null(0)), Rv::OK);
    });
}

#[test]
fn pins_that_are_null() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        for len in [0, 4] {
            let null = In::Null(len);
            let blank = blank_slot(module);
            assert_eq!(module.init_token(blank, null, "token"), CKR_ARGUMENTS_BAD);
            assert_eq!(session.logout(), Rv::OK);
            for user in [CKU_SO, CKU_USER, CKU_CONTEXT_SPECIFIC, 7] {
                assert_eq!(session.login(user, null), CKR_ARGUMENTS_BAD, "user {user}");
            }
            assert_eq!(module.set_pin(handle, null, USER_PIN.into()), CKR_ARGUMENTS_BAD);
            assert_eq!(module.set_pin(handle, USER_PIN.into(), null), CKR_ARGUMENTS_BAD);
            assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
            assert_eq!(session.login(CKU_USER, null), CKR_ARGUMENTS_BAD, "logged in already");
            assert_eq!(session.logout(), Rv::OK);
            assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
            assert_eq!(module.init_pin(handle, null), CKR_ARGUMENTS_BAD);
        }
        assert_eq!(module.login(0x7777, CKU_USER, In::Null(0)), CKR_SESSION_HANDLE_INVALID);
    });
}

#[test]
fn data_that_is_too_short_for_a_key() {
    case_compatible(Passes, |world| {
        let session = world.user();
        let base = session.generate(CKM_AES_KEY_GEN, &merge(&keys::aes(), &t![CKA_DERIVE => true]));
        let base = base.expect("a key");
        let derive = |data: &[u8]| {
            let params = [Word::Bytes(In::Bytes(data))];
            let mechanism = Mechanism::with(CKM_AES_ECB_ENCRYPT_DATA, Param::Words(&params));
            let class = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
            session.derive(mechanism, base, &merge(&class, &t![CKA_VALUE_LEN => 32_u64]))
        };
        assert_eq!(only_rv(derive(&[0; 32])), Rv::OK);
        assert_eq!(only_rv(derive(&[0; 16])), CKR_FUNCTION_FAILED);
        assert_eq!(only_rv(derive(&[0; 31])), CKR_MECHANISM_PARAM_INVALID);
    });
}

#[test]
fn secrets_of_ml_kem_are_cut() {
    const LATER: &str = "there is no ML-KEM; it came since";
    let rows = &[
        ("512, 16 bytes", Fails(LATER), (CKP_ML_KEM_512, 16)),
        ("768, 24 bytes", Fails(LATER), (CKP_ML_KEM_768, 24)),
        ("1024, 32 bytes", Fails(LATER), (CKP_ML_KEM_1024, 32)),
    ];
    table_compatible(rows, |world, (set, len)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let set = t![CKA_PARAMETER_SET => *set];
        let pair = session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &set, &[]);
        let (public, private) = pair.expect("C_GenerateKeyPair");
        let kem = Mechanism::plain(CKM_ML_KEM);
        let key = |len: CK_ULONG| t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => len];
        let open = |template: &[_]| merge(template, &t![CKA_SENSITIVE => false]);
        let (made, ours) =
            module.encapsulate_key(handle, Some(&kem), public, &open(&key(*len)), PLENTY);
        let ciphertext = made.ok().expect("C_EncapsulateKey");
        let value = session.get(ours, CKA_VALUE).expect("a value");
        assert_eq!(session.number(ours, CKA_VALUE_LEN), Ok(*len));

        let decapsulate = |template: &[_]| {
            let template = open(template);
            module.decapsulate_key(handle, Some(&kem), private, &template, (&ciphertext).into())
        };
        let theirs = decapsulate(&key(*len)).expect("C_DecapsulateKey");
        assert_eq!(session.get(theirs, CKA_VALUE).as_ref(), Ok(&value));
        let whole = decapsulate(&t![CKA_KEY_TYPE => CKK_GENERIC_SECRET]).expect("all of it");
        let whole = session.get(whole, CKA_VALUE).expect("a value");
        assert_eq!(value, whole[..value.len()], "the start of it");
        assert!(decapsulate(&key(10)).is_err(), "no AES key has this length");
    });
}

#[test]
fn what_ml_kem_refuses() {
    case_compatible(Fails("there is no ML-KEM; it came since"), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let set = t![CKA_PARAMETER_SET => CKP_ML_KEM_512];
        let pair = session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &set, &[]);
        let (public, private) = pair.expect("C_GenerateKeyPair");
        let kem = Mechanism::plain(CKM_ML_KEM);
        let short = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 10_u64];
        let (made, none) = module.encapsulate_key(handle, Some(&kem), public, &short, PLENTY);
        assert_eq!((made.rv, none), (Rv(CKR_ATTRIBUTE_VALUE_INVALID), CK_INVALID_HANDLE));
        let aes = t![CKA_KEY_TYPE => CKK_AES];
        for ciphertext in [In::Null(768), In::NONE, In::Bytes(&[])] {
            let made = module.decapsulate_key(handle, Some(&kem), private, &aes, ciphertext);
            assert_eq!(made, Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)), "{ciphertext:?}");
        }
    });
}

#[test]
fn keys_put_together() {
    const LATER: &str = "no such mechanism; it came since";
    let data = [Word::Bytes(In::Bytes(b"\x01\x23\x45\x67"))];
    let rows = &[
        ("data and base", Fails(LATER), (CKM_CONCATENATE_DATA_AND_BASE, true)),
        ("base and data", Fails(LATER), (CKM_CONCATENATE_BASE_AND_DATA, false)),
    ];
    table_compatible(rows, |world, (id, data_first)| {
        let session = world.user();
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
        let base = merge(&keys::secret(CKK_AES, &[7; 16]), &open);
        let base = session.create(&merge(&base, &t![CKA_DERIVE => true])).expect("a key");
        let derive = |key, more: &[_]| {
            let mechanism = Mechanism::with(*id, Param::Words(&data));
            session.derive(mechanism, key, &merge(&open, more)).expect("C_DeriveKey")
        };
        let mut whole = vec![7; 16];
        whole.splice(if *data_first { 0..0 } else { 16..16 }, *b"\x01\x23\x45\x67");
        let key = derive(base, &[]);
        assert_eq!(session.get(key, CKA_VALUE).as_deref(), Ok(&whole[..]));
        assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(CKK_GENERIC_SECRET));
        assert_eq!(session.get(key, CKA_CHECK_VALUE).map(|value| value.len()), Ok(3));
        let key = derive(base, &t![CKA_VALUE_LEN => 16_u64]);
        assert_eq!(session.get(key, CKA_VALUE).as_deref(), Ok(&whole[..16]));

        let closed = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false, CKA_DERIVE => true];
        let closed = merge(&keys::secret(CKK_AES, &[8; 16]), &closed);
        let closed = session.create(&closed).expect("a key");
        let both = |one, other| {
            let mechanism = Mechanism::with(CKM_CONCATENATE_BASE_AND_KEY, Param::Ulong(other));
            session.derive(mechanism, one, &open).expect("C_DeriveKey")
        };
        for key in [derive(closed, &[]), both(base, closed), both(closed, base)] {
            assert_eq!(session.flag(key, CKA_SENSITIVE), Ok(true), "as one of the two");
            assert_eq!(session.flag(key, CKA_EXTRACTABLE), Ok(false), "as one of the two");
        }
        assert_eq!(session.flag(key, CKA_DERIVE), Ok(false), "the other key need not");
        let key = both(base, key);
        assert_eq!(session.get(key, CKA_VALUE), Ok([&[7; 16], &whole[..16]].concat()));
        assert_eq!(session.flag(key, CKA_SENSITIVE), Ok(false));
        assert_eq!(session.flag(key, CKA_EXTRACTABLE), Ok(true));
    });
}
