//! 5.5: C_InitToken, C_InitPIN, C_SetPIN, and what the token says of itself.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Passes;
use strongroom_softhsm_tests::world::{blank_slot, set_user_pin, slot_of, text};
use strongroom_softhsm_tests::{
    In, InitArgs, LABEL, Rv, SO_PIN, Session, USER_PIN, World, case, merge, t, table,
};

use crate::keys;

fn flags(world: &World) -> CK_FLAGS {
    world.started().token_info(world.slot()).expect("C_GetTokenInfo").flags
}

fn restart(world: &World) -> Session<'_> {
    let module = world.started();
    assert_eq!(module.finalize(), Rv::OK);
    assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
    let slot = slot_of(module, LABEL).expect("the token after a restart");
    Session::open(module, slot, CKF_RW_SESSION)
}

#[test]
fn token_information() {
    case(Passes, |world| {
        let session = world.public();
        let info = session.module.token_info(session.slot).expect("C_GetTokenInfo");
        assert_eq!(text(&info.label), LABEL);
        for field in [&info.label[..], &info.manufacturerID[..], &info.model[..]] {
            assert!(!field.contains(&0), "padded with zero bytes");
        }
        assert!(info.serialNumber.iter().all(u8::is_ascii_hexdigit));
        assert!((1..=8).contains(&info.ulMinPinLen), "{}", info.ulMinPinLen);
        assert!(info.ulMaxPinLen >= 64, "{}", info.ulMaxPinLen);
    });
}

#[test]
fn flags_after_a_login_are_exact() {
    case(Passes, |world| {
        let session = world.user();
        assert_eq!(
            flags(world),
            CKF_RNG
                | CKF_LOGIN_REQUIRED
                | CKF_USER_PIN_INITIALIZED
                | CKF_RESTORE_KEY_NOT_NEEDED
                | CKF_TOKEN_INITIALIZED
        );
        assert_eq!(flags(world), 0x42D);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(flags(world), 0x42D);
    });
}

#[test]
fn a_new_token_has_no_user_pin() {
    case(Passes, |world| {
        let module = world.started();
        let blank = blank_slot(module);
        assert_eq!(module.init_token(blank, SO_PIN.into(), "new"), Rv::OK);
        let slot = slot_of(module, "new").expect("the token");
        let info = module.token_info(slot).expect("C_GetTokenInfo");
        assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
        assert_ne!(info.flags & CKF_TOKEN_INITIALIZED, 0);
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), CKR_USER_PIN_NOT_INITIALIZED);
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
    });
}

#[test]
fn init_token_wipes_and_keeps_the_slot() {
    case(Passes, |world| {
        let session = world.user();
        session.create(&merge(&keys::data("kept?"), &t![CKA_TOKEN => true])).expect("an object");
        let (module, slot) = (session.module, session.slot);
        assert_eq!(module.close_all_sessions(slot), Rv::OK);
        assert_eq!(module.init_token(slot, SO_PIN.into(), "anew"), Rv::OK);
        assert_eq!(slot_of(module, "anew"), Some(slot));
        let info = module.token_info(slot).expect("C_GetTokenInfo");
        assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0);
        set_user_pin(module, slot);
        let session = world.user();
        assert!(session.find(&[]).is_empty(), "an object survived");
    });
}

#[test]
fn init_token_with_a_wrong_pin_touches_nothing() {
    case(Passes, |world| {
        let session = world.user();
        session.create(&merge(&keys::data("kept"), &t![CKA_TOKEN => true])).expect("an object");
        let (module, slot) = (session.module, session.slot);
        assert_eq!(module.close_all_sessions(slot), Rv::OK);
        let rv = module.init_token(slot, "wrong-so-pin".into(), "anew");
        assert_eq!(rv, CKR_PIN_INCORRECT);
        assert_eq!(slot_of(module, LABEL), Some(slot));
        let session = world.user();
        assert_eq!(session.find(&t![CKA_LABEL => "kept"]).len(), 1);
    });
}

#[test]
fn init_token_with_a_session_open() {
    case(Passes, |world| {
        for session in [world.public(), world.read_only(), world.user()] {
            let rv = session.module.init_token(session.slot, SO_PIN.into(), "anew");
            assert_eq!(rv, CKR_SESSION_EXISTS);
            assert_eq!(session.close(), Rv::OK);
        }
        assert_eq!(slot_of(world.started(), LABEL), Some(world.slot()));
    });
}

/// The shortest and longest PIN, and those beyond.
fn pin_lengths(world: &World) -> [(String, CK_RV); 4] {
    let info = world.started().token_info(world.slot()).expect("C_GetTokenInfo");
    let pin = |len: CK_ULONG| "7".repeat(usize::try_from(len).expect("a length"));
    [
        (pin(info.ulMinPinLen - 1), CKR_PIN_LEN_RANGE),
        (pin(info.ulMinPinLen), CKR_OK),
        (pin(info.ulMaxPinLen), CKR_OK),
        (pin(info.ulMaxPinLen + 1), CKR_PIN_LEN_RANGE),
    ]
}

#[test]
fn init_pin_checks_the_length() {
    case(Passes, |world| {
        for (pin, wanted) in pin_lengths(world) {
            let session = world.so();
            let rv = session.module.init_pin(session.handle, pin.as_str().into());
            assert_eq!(rv, wanted, "a PIN of {} bytes", pin.len());
            assert_eq!(session.logout(), Rv::OK);
            if wanted == CKR_OK {
                assert_eq!(session.login(CKU_USER, pin.as_str()), Rv::OK);
            }
            session.close();
        }
    });
}

#[test]
fn set_pin_checks_the_length() {
    case(Passes, |world| {
        let session = world.user();
        let mut old = USER_PIN.to_owned();
        for (pin, wanted) in pin_lengths(world) {
            let new = pin.as_str().into();
            let rv = session.module.set_pin(session.handle, old.as_str().into(), new);
            assert_eq!(rv, wanted, "a PIN of {} bytes", pin.len());
            if wanted == CKR_OK {
                old = pin;
            }
        }
    });
}

#[test]
fn init_token_checks_the_length() {
    case(Passes, |world| {
        let lengths = pin_lengths(world);
        let module = world.started();
        for (pin, wanted) in lengths {
            let blank = blank_slot(module);
            let rv = module.init_token(blank, pin.as_str().into(), "length");
            // C_InitToken has no CKR_PIN_LEN_RANGE in its list of answers; it is the better word.
            let refused = wanted != CKR_OK && rv == CKR_PIN_INCORRECT;
            assert!(rv == wanted || refused, "a PIN of {} bytes: {rv:?}", pin.len());
        }
    });
}

#[test]
fn init_pin_is_the_security_officers() {
    let rows = &[("nobody", Passes, None), ("user", Passes, Some((CKU_USER, USER_PIN)))];
    table(rows, |world, who| {
        let session = world.public();
        if let Some((user, pin)) = who {
            assert_eq!(session.login(*user, *pin), Rv::OK);
        }
        let rv = session.module.init_pin(session.handle, "another-pin".into());
        assert_eq!(rv, CKR_USER_NOT_LOGGED_IN);
    });
}

#[test]
fn init_pin_replaces_a_forgotten_pin() {
    case(Passes, |world| {
        let session = world.user();
        let secret = merge(&keys::secret(CKK_AES, &[5; 32]), &t![CKA_TOKEN => true]);
        session.create(&secret).expect("a key");
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
        assert_eq!(session.module.init_pin(session.handle, "remembered".into()), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
        assert_eq!(session.login(CKU_USER, "remembered"), Rv::OK);
        let key = session.find(&t![CKA_CLASS => CKO_SECRET_KEY]);
        assert_eq!(session.get(key[0], CKA_VALUE), Ok(vec![5; 32]));
    });
}

#[test]
fn the_user_changes_the_pin() {
    case(Passes, |world| {
        let session = world.user();
        let secret = merge(&keys::secret(CKK_AES, &[5; 32]), &t![CKA_TOKEN => true]);
        session.create(&secret).expect("a key");
        let (module, handle) = (session.module, session.handle);
        let rv = module.set_pin(handle, "wrong-pin".into(), "new-pin".into());
        assert_eq!(rv, CKR_PIN_INCORRECT);
        assert_eq!(module.set_pin(handle, USER_PIN.into(), "new-pin".into()), Rv::OK);
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS, "the login lasts");
        assert_eq!(session.find(&t![CKA_CLASS => CKO_SECRET_KEY]).len(), 1);
        let session = restart(world);
        assert_eq!(session.login(CKU_USER, USER_PIN), CKR_PIN_INCORRECT);
        assert_eq!(session.login(CKU_USER, "new-pin"), Rv::OK);
        let key = session.find(&t![CKA_CLASS => CKO_SECRET_KEY]);
        assert_eq!(session.get(key[0], CKA_VALUE), Ok(vec![5; 32]));
    });
}

#[test]
fn the_security_officer_changes_the_pin() {
    case(Passes, |world| {
        let session = world.so();
        let (module, handle) = (session.module, session.handle);
        let rv = module.set_pin(handle, USER_PIN.into(), "new-so-pin".into());
        assert_eq!(rv, CKR_PIN_INCORRECT, "the user's PIN is not the security officer's");
        assert_eq!(module.set_pin(handle, SO_PIN.into(), "new-so-pin".into()), Rv::OK);
        let session = restart(world);
        assert_eq!(session.login(CKU_SO, SO_PIN), CKR_PIN_INCORRECT);
        assert_eq!(session.login(CKU_SO, "new-so-pin"), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "the user's PIN is as it was");
    });
}

#[test]
fn nobody_logged_in_changes_the_users_pin() {
    case(Passes, |world| {
        let session = world.public();
        let rv =
            session.module.set_pin(session.handle, USER_PIN.into(), "public-session-pin".into());
        assert_eq!(rv, Rv::OK);
        assert_eq!(session.login(CKU_USER, "public-session-pin"), Rv::OK);
    });
}

#[test]
fn set_pin_wants_a_read_write_session() {
    case(Passes, |world| {
        let session = world.read_only();
        let rv = session.module.set_pin(session.handle, USER_PIN.into(), "new-pin".into());
        assert_eq!(rv, CKR_SESSION_READ_ONLY);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        let rv = session.module.set_pin(session.handle, USER_PIN.into(), "new-pin".into());
        assert_eq!(rv, CKR_SESSION_READ_ONLY);
    });
}

#[test]
fn a_wrong_pin_counts_and_the_right_one_clears() {
    let rows = &[
        ("user", Passes, (CKU_USER, USER_PIN, CKF_USER_PIN_COUNT_LOW)),
        ("security officer", Passes, (CKU_SO, SO_PIN, CKF_SO_PIN_COUNT_LOW)),
    ];
    table(rows, |world, (user, pin, low)| {
        let session = world.public();
        assert_eq!(flags(world) & low, 0);
        assert_eq!(session.login(*user, "not-the-pin"), CKR_PIN_INCORRECT);
        assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
        assert_eq!(flags(world) & low, *low, "after a wrong PIN");
        assert_eq!(session.login(*user, *pin), Rv::OK);
        assert_eq!(flags(world), 0x42D, "after the right PIN");
    });
}

#[test]
fn pins_are_bytes_compared_as_a_whole() {
    let rows = &[
        ("shorter", Passes, "user-pin-123".to_owned()),
        ("longer", Passes, "user-pin-12345".to_owned()),
        ("with a zero byte", Passes, "user-pin-1234\0".to_owned()),
        ("in capitals", Passes, "USER-PIN-1234".to_owned()),
        ("the security officer's", Passes, SO_PIN.to_owned()),
    ];
    table(rows, |world, pin| {
        let session = world.public();
        assert_eq!(session.login(CKU_USER, pin.as_str()), CKR_PIN_INCORRECT);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
    });
}

#[test]
fn a_pin_that_is_not_there() {
    let rows = &[("of length 8", Passes, 8), ("of length 0", Passes, 0)];
    table(rows, |world, len| {
        let session = world.public();
        let rv = session.login(CKU_USER, In::Null(*len));
        assert!(
            rv == CKR_ARGUMENTS_BAD || (*len == 0 && rv == CKR_PIN_INCORRECT),
            "there is no protected authentication path: {rv:?}"
        );
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
    });
}

#[test]
fn a_pin_in_utf8() {
    case(Passes, |world| {
        let session = world.user();
        let pin = "пароль-🔑-ß";
        let rv = session.module.set_pin(session.handle, USER_PIN.into(), pin.into());
        assert_eq!(rv, Rv::OK);
        let session = restart(world);
        assert_eq!(session.login(CKU_USER, pin), Rv::OK);
    });
}

#[test]
fn token_objects_survive_a_restart() {
    case(Passes, |world| {
        let session = world.user();
        session.create(&merge(&keys::data("public"), &t![CKA_TOKEN => true])).expect("public");
        let private = t![CKA_TOKEN => true, CKA_PRIVATE => true];
        session.create(&merge(&keys::data("private"), &private)).expect("private");
        session.create(&keys::data("session")).expect("a session object");
        let session = restart(world);
        assert_eq!(session.find(&[]).len(), 1, "without login");
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(session.find(&t![CKA_LABEL => "public"]).len(), 1);
        let found = session.find(&t![CKA_LABEL => "private"]);
        assert_eq!(session.get(found[0], CKA_VALUE), Ok(b"value".to_vec()));
        assert!(session.find(&t![CKA_LABEL => "session"]).is_empty());
    });
}

#[test]
fn sessions_are_counted() {
    case(Passes, |world| {
        let (_one, _two, _three) = (world.public(), world.read_only(), world.public());
        let info = world.started().token_info(world.slot()).expect("C_GetTokenInfo");
        for (count, wanted) in [(info.ulSessionCount, 3), (info.ulRwSessionCount, 2)] {
            assert!(count == wanted || count == CK_UNAVAILABLE_INFORMATION, "{count}");
        }
    });
}
