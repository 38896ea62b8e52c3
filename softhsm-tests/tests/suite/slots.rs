//! 5.5: slots, and the tokens in them.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::world::{blank_slot, slot_of, slots, text};
use strongroom_softhsm_tests::{In, InitArgs, LABEL, Module, Rv, SO_PIN, case, table};

#[test]
fn an_empty_store_has_one_blank_slot() {
    case(Passes, |world| {
        let module = world.started();
        let slots = slots(module);
        assert_eq!(slots.len(), 1);
        let info = module.token_info(slots[0]).expect("C_GetTokenInfo");
        assert_eq!(info.flags & CKF_TOKEN_INITIALIZED, 0);
        assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
    });
}

#[test]
fn initialised_tokens_first_and_one_blank_slot_last() {
    case(Passes, |world| {
        let module = world.started();
        for number in 1..=3 {
            let blank = blank_slot(module);
            let label = format!("token {number}");
            assert_eq!(module.init_token(blank, SO_PIN.into(), &label), Rv::OK);
            let flags: Vec<_> = slots(module)
                .iter()
                .map(|slot| module.token_info(*slot).expect("C_GetTokenInfo").flags)
                .map(|flags| flags & CKF_TOKEN_INITIALIZED != 0)
                .collect();
            assert_eq!(flags.len(), number + 1);
            assert!(flags[..number].iter().all(|initialised| *initialised), "{flags:?}");
            assert!(!flags[number], "{flags:?}");
            assert!(slot_of(module, &label).is_some());
        }
    });
}

#[test]
fn the_list_is_asked_for_its_length() {
    case(Passes, |world| {
        world.slot();
        let module = world.started();
        let (rv, count, _) = module.slot_list(true, None);
        assert_eq!((rv, count), (Rv::OK, 2));
        let (rv, needed, _) = module.slot_list(true, Some(1));
        assert_eq!((rv, needed), (Rv(CKR_BUFFER_TOO_SMALL), 2));
        let (rv, needed, _) = module.slot_list(true, Some(0));
        assert_eq!((rv, needed), (Rv(CKR_BUFFER_TOO_SMALL), 2));
        let (rv, count, list) = module.slot_list(true, Some(10));
        assert_eq!((rv, count), (Rv::OK, 2));
        let (rv, _, all) = module.slot_list(false, Some(10));
        assert_eq!(rv, Rv::OK);
        assert_eq!(list, all, "a token is present in every slot");
    });
}

#[test]
fn slot_information() {
    case(Passes, |world| {
        let slot = world.slot();
        for slot in [slot, blank_slot(world.started())] {
            let info = world.started().slot_info(slot).expect("C_GetSlotInfo");
            assert_ne!(info.flags & CKF_TOKEN_PRESENT, 0);
            assert_eq!(
                info.flags & !(CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE | CKF_HW_SLOT),
                0,
                "undefined flags"
            );
            assert!(!info.slotDescription.contains(&0), "padded with zero bytes");
            assert!(!info.manufacturerID.contains(&0), "padded with zero bytes");
        }
    });
}

#[test]
fn a_blank_token_answers() {
    case(Passes, |world| {
        let module = world.started();
        let blank = blank_slot(module);
        assert!(module.token_info(blank).is_ok());
        let (rv, count, _) = module.mechanism_list(blank, None);
        assert_eq!(rv, Rv::OK);
        let (rv, _, list) = module.mechanism_list(blank, Some(count));
        assert_eq!(rv, Rv::OK);
        assert!(list.contains(&CKM_AES_KEY_GEN));
        assert!(module.mechanism_info(blank, CKM_AES_KEY_GEN).is_ok());
        for flags in [0, CKF_RW_SESSION] {
            assert_eq!(
                module.open_session(blank, CKF_SERIAL_SESSION | flags),
                Err(Rv(CKR_TOKEN_NOT_RECOGNIZED))
            );
        }
        assert_eq!(module.close_all_sessions(blank), Rv::OK);
    });
}

/// The low 31 bits of the last eight digits of the serial number.
fn slot_from_serial(module: &Module, slot: CK_SLOT_ID) -> CK_SLOT_ID {
    let serial = module.token_info(slot).expect("C_GetTokenInfo").serialNumber;
    let digits = text(&serial);
    assert_eq!(digits.len(), 16, "serial number {digits:?}");
    CK_SLOT_ID::from_str_radix(&digits[8..], 16).expect("hexadecimal digits") & 0x7FFF_FFFF
}

#[test]
fn the_slot_of_a_token_follows_from_its_serial_number() {
    case(Passes, |world| {
        let before = world.slot();
        let module = world.started();
        let wanted = slot_from_serial(module, before);
        assert_eq!(slot_of(module, LABEL), Some(before), "stable inside a process");
        for _ in 0..2 {
            assert_eq!(module.finalize(), Rv::OK);
            assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
            assert_eq!(slot_of(module, LABEL), Some(wanted));
            assert_eq!(slot_from_serial(module, wanted), wanted);
        }
    });
}

#[test]
fn a_slot_is_stable_while_others_are_initialised() {
    case(Passes, |world| {
        let slot = world.slot();
        let module = world.started();
        let session = module.open_session(slot, CKF_SERIAL_SESSION).expect("C_OpenSession");
        let blank = blank_slot(module);
        assert_eq!(module.init_token(blank, SO_PIN.into(), "another"), Rv::OK);
        assert_eq!(slot_of(module, LABEL), Some(slot));
        assert_eq!(slot_of(module, "another"), Some(blank));
        assert_eq!(module.session_info(session).expect("C_GetSessionInfo").slotID, slot);
    });
}

#[test]
fn a_slot_nobody_listed() {
    type Row = fn(&Module, CK_SLOT_ID) -> Rv;
    let rows: &[(&str, _, Row)] = &[
        ("C_GetSlotInfo", Passes, |m, slot| m.slot_info(slot).err().unwrap_or(Rv::OK)),
        ("C_GetTokenInfo", Passes, |m, slot| m.token_info(slot).err().unwrap_or(Rv::OK)),
        ("C_GetMechanismList", Passes, |m, slot| m.mechanism_list(slot, None).0),
        ("C_GetMechanismInfo", Passes, |m, slot| {
            m.mechanism_info(slot, CKM_AES_KEY_GEN).err().unwrap_or(Rv::OK)
        }),
        ("C_InitToken", Passes, |m, slot| m.init_token(slot, SO_PIN.into(), "x")),
        ("C_OpenSession", Passes, |m, slot| {
            m.open_session(slot, CKF_SERIAL_SESSION).err().unwrap_or(Rv::OK)
        }),
        ("C_CloseAllSessions", Passes, |m, slot| m.close_all_sessions(slot)),
    ];
    table(rows, |world, call| {
        let module = world.started();
        for slot in [0x8000_0000, CK_SLOT_ID::MAX] {
            assert_eq!(call(module, slot), CKR_SLOT_ID_INVALID, "slot {slot:#x}");
        }
    });
}

#[test]
fn mechanism_list_and_information_agree() {
    case(Passes, |world| {
        let slot = world.slot();
        let module = world.started();
        let (rv, count, _) = module.mechanism_list(slot, None);
        assert_eq!(rv, Rv::OK);
        let (rv, needed, _) = module.mechanism_list(slot, Some(1));
        assert_eq!((rv, needed), (Rv(CKR_BUFFER_TOO_SMALL), count));
        let (rv, _, list) = module.mechanism_list(slot, Some(count));
        assert_eq!(rv, Rv::OK);
        let mut unique = list.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), list.len(), "a mechanism is listed twice");
        let known = CKF_HW
            | CKF_MESSAGE_ENCRYPT
            | CKF_MESSAGE_DECRYPT
            | CKF_MESSAGE_SIGN
            | CKF_MESSAGE_VERIFY
            | CKF_MULTI_MESSAGE
            | CKF_FIND_OBJECTS
            | CKF_ENCRYPT
            | CKF_DECRYPT
            | CKF_DIGEST
            | CKF_SIGN
            | CKF_SIGN_RECOVER
            | CKF_VERIFY
            | CKF_VERIFY_RECOVER
            | CKF_GENERATE
            | CKF_GENERATE_KEY_PAIR
            | CKF_WRAP
            | CKF_UNWRAP
            | CKF_DERIVE
            | CKF_EC_F_P
            | CKF_EC_F_2M
            | CKF_EC_ECPARAMETERS
            | CKF_EC_OID
            | CKF_EC_UNCOMPRESS
            | CKF_EC_COMPRESS
            | CKF_EC_CURVENAME
            | CKF_ENCAPSULATE
            | CKF_DECAPSULATE;
        for mechanism in list {
            let info = module.mechanism_info(slot, mechanism).expect("C_GetMechanismInfo");
            assert_eq!(info.flags & !known, 0, "undefined flags of {mechanism:#x}");
            assert_ne!(info.flags & !CKF_HW, 0, "mechanism {mechanism:#x} can do nothing");
            assert!(info.ulMinKeySize <= info.ulMaxKeySize, "mechanism {mechanism:#x}");
        }
        assert_eq!(
            module.mechanism_info(slot, CKM_VENDOR_DEFINED | 0x7777).map(|_| ()),
            Err(Rv(CKR_MECHANISM_INVALID))
        );
    });
}

#[test]
fn mechanisms_that_must_be_there() {
    const HASHED_ECDSA: &str = "hashed ECDSA came with 2.7 (#620)";
    const GENERAL: &str = "it has no general-length MACs";
    let rows = &[
        ("SHA_1", Passes, (CKM_SHA_1, CKF_DIGEST)),
        ("SHA224", Passes, (CKM_SHA224, CKF_DIGEST)),
        ("SHA256", Passes, (CKM_SHA256, CKF_DIGEST)),
        ("SHA384", Passes, (CKM_SHA384, CKF_DIGEST)),
        ("SHA512", Passes, (CKM_SHA512, CKF_DIGEST)),
        ("SHA_1_HMAC", Passes, (CKM_SHA_1_HMAC, CKF_SIGN | CKF_VERIFY)),
        ("SHA256_HMAC", Passes, (CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY)),
        ("SHA256_HMAC_GENERAL", Fails(GENERAL), (CKM_SHA256_HMAC_GENERAL, CKF_SIGN | CKF_VERIFY)),
        ("RSA_PKCS_KEY_PAIR_GEN", Passes, (CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)),
        (
            "RSA_PKCS",
            Passes,
            (
                CKM_RSA_PKCS,
                CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP,
            ),
        ),
        ("RSA_X_509", Passes, (CKM_RSA_X_509, CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT)),
        (
            "RSA_PKCS_OAEP",
            Passes,
            (CKM_RSA_PKCS_OAEP, CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP),
        ),
        ("RSA_PKCS_PSS", Passes, (CKM_RSA_PKCS_PSS, CKF_SIGN | CKF_VERIFY)),
        ("SHA256_RSA_PKCS", Passes, (CKM_SHA256_RSA_PKCS, CKF_SIGN | CKF_VERIFY)),
        ("SHA256_RSA_PKCS_PSS", Passes, (CKM_SHA256_RSA_PKCS_PSS, CKF_SIGN | CKF_VERIFY)),
        ("EC_KEY_PAIR_GEN", Passes, (CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)),
        ("ECDSA", Passes, (CKM_ECDSA, CKF_SIGN | CKF_VERIFY)),
        ("ECDSA_SHA256", Fails(HASHED_ECDSA), (CKM_ECDSA_SHA256, CKF_SIGN | CKF_VERIFY)),
        ("EC_EDWARDS_KEY_PAIR_GEN", Passes, (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR)),
        ("EDDSA", Passes, (CKM_EDDSA, CKF_SIGN | CKF_VERIFY)),
        ("ECDH1_DERIVE", Passes, (CKM_ECDH1_DERIVE, CKF_DERIVE)),
        (
            "EC_MONTGOMERY_KEY_PAIR_GEN",
            Fails("X25519 is under the Edwards mechanism (#647)"),
            (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR),
        ),
        ("AES_KEY_GEN", Passes, (CKM_AES_KEY_GEN, CKF_GENERATE)),
        ("AES_ECB", Passes, (CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT)),
        ("AES_CBC", Passes, (CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT)),
        ("AES_CBC_PAD", Passes, (CKM_AES_CBC_PAD, CKF_ENCRYPT | CKF_DECRYPT)),
        ("AES_CTR", Passes, (CKM_AES_CTR, CKF_ENCRYPT | CKF_DECRYPT)),
        ("AES_GCM", Passes, (CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT)),
        ("AES_KEY_WRAP", Passes, (CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP)),
        (
            "AES_KEY_WRAP_KWP",
            Fails("it has only the older AES_KEY_WRAP_PAD"),
            (CKM_AES_KEY_WRAP_KWP, CKF_WRAP | CKF_UNWRAP),
        ),
        ("AES_CMAC", Passes, (CKM_AES_CMAC, CKF_SIGN | CKF_VERIFY)),
        ("AES_CMAC_GENERAL", Fails(GENERAL), (CKM_AES_CMAC_GENERAL, CKF_SIGN | CKF_VERIFY)),
        ("GENERIC_SECRET_KEY_GEN", Passes, (CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE)),
    ];
    table(rows, |world, (mechanism, flags)| {
        let info = world.started().mechanism_info(world.slot(), *mechanism).expect("the mechanism");
        assert_eq!(info.flags & flags, *flags, "flags {:#x}", info.flags);
    });
}

#[test]
fn a_token_of_another_process_appears() {
    case(Fails("tokens are read at C_Initialize (#192, #446)"), |world| {
        world.slot();
        let child = Forked::start(|| {
            let module = world.module();
            module.finalize();
            assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
            assert_eq!(module.init_token(blank_slot(module), SO_PIN.into(), "elsewhere"), Rv::OK);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        let slot = slot_of(world.started(), "elsewhere").expect("the token of the other process");
        assert!(world.started().open_session(slot, CKF_SERIAL_SESSION).is_ok());
    });
}

#[test]
fn init_token_without_a_pin() {
    case(Passes, |world| {
        let module = world.started();
        let rv = module.init_token(blank_slot(module), In::Null(8), "x");
        assert!(rv != Rv::OK, "{rv:?}");
        assert_eq!(slots(module).len(), 1);
    });
}

/// What another process does: it makes a token.
fn make_token(module: &Module, label: &str) -> i32 {
    assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK, "C_Initialize");
    assert_eq!(module.init_token(blank_slot(module), SO_PIN.into(), label), Rv::OK, "C_InitToken");
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
    0
}

#[test]
fn a_token_of_another_process_is_an_event() {
    case(
        Fails("the child inherits the initialised module (#513), and there are no events"),
        |world| {
            let (module, slot) = (world.started(), world.slot());
            let none = Err(Rv(CKR_NO_EVENT));
            assert_eq!(module.wait_for_slot_event(CKF_DONT_BLOCK), none, "one's own is no event");
            let child = Forked::start(|| make_token(module, "second"));
            assert_eq!(child.wait(), Ended::Exit(0));
            let event = module.wait_for_slot_event(CKF_DONT_BLOCK).expect("an event");
            let info = module.token_info(event).expect("C_GetTokenInfo");
            assert_eq!(text(&info.label), "second");
            assert_ne!(event, slot);
            assert_eq!(module.wait_for_slot_event(CKF_DONT_BLOCK), none, "it is told once");
            assert_eq!(slot_of(module, "second"), Some(event));

            // And seen by C_GetSlotList first, it is an event all the same.
            let child = Forked::start(|| make_token(module, "third"));
            assert_eq!(child.wait(), Ended::Exit(0));
            let third = slot_of(module, "third").expect("a token");
            assert_eq!(module.wait_for_slot_event(0), Ok(third));
            assert_eq!(module.wait_for_slot_event(CKF_DONT_BLOCK), none);
        },
    );
}

#[test]
fn a_call_waits_for_an_event() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let module = world.started();
        world.slot();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| module.wait_for_slot_event(0));
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!waiting.is_finished(), "nothing has happened");
            let child = Forked::start(|| make_token(module, "second"));
            assert_eq!(child.wait(), Ended::Exit(0));
            let event = waiting.join().expect("a thread").expect("an event");
            let info = module.token_info(event).expect("C_GetTokenInfo");
            assert_eq!(text(&info.label), "second");
        });
    });
}

#[test]
fn finalize_ends_the_wait() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let module = world.started();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| module.wait_for_slot_event(0));
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert_eq!(module.finalize(), Rv::OK);
            let answer = waiting.join().expect("a thread");
            assert_eq!(answer, Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)));
        });
        assert_eq!(module.initialize(InitArgs::Null), Rv::OK, "and it can start again");
        assert_eq!(module.wait_for_slot_event(CKF_DONT_BLOCK), Err(Rv(CKR_NO_EVENT)));
    });
}
