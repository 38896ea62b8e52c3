//! 5.6: sessions, states and logins.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{
    Mechanism, PLENTY, Param, Rv, SO_PIN, Session, USER_PIN, case, merge, t, table,
};

use crate::keys;

#[test]
fn states() {
    case(Passes, |world| {
        let (rw, ro) = (world.public(), world.read_only());
        assert_eq!(rw.state(), CKS_RW_PUBLIC_SESSION);
        assert_eq!(ro.state(), CKS_RO_PUBLIC_SESSION);
        assert_eq!(ro.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(rw.state(), CKS_RW_USER_FUNCTIONS, "the login is that of all sessions");
        assert_eq!(ro.state(), CKS_RO_USER_FUNCTIONS);
        assert_eq!(world.read_only().state(), CKS_RO_USER_FUNCTIONS, "a new session as well");
        assert_eq!(rw.logout(), Rv::OK);
        assert_eq!(ro.state(), CKS_RO_PUBLIC_SESSION);
        for session in [ro, rw] {
            let info = session.module.session_info(session.handle).expect("C_GetSessionInfo");
            assert_eq!(info.slotID, session.slot);
            let writes = if session.handle == rw.handle { CKF_RW_SESSION } else { 0 };
            assert_eq!(info.flags, CKF_SERIAL_SESSION | writes);
        }
    });
}

#[test]
fn security_officer_state() {
    case(Passes, |world| {
        let session = world.so();
        assert_eq!(session.state(), CKS_RW_SO_FUNCTIONS);
        assert_eq!(world.public().state(), CKS_RW_SO_FUNCTIONS);
    });
}

#[test]
fn parallel_sessions_are_gone() {
    case(Passes, |world| {
        let (module, slot) = (world.started(), world.slot());
        for flags in [0, CKF_RW_SESSION] {
            assert_eq!(
                module.open_session(slot, flags),
                Err(Rv(CKR_SESSION_PARALLEL_NOT_SUPPORTED))
            );
        }
    });
}

#[test]
fn the_security_officer_and_read_only_sessions() {
    case(Passes, |world| {
        let (rw, ro) = (world.public(), world.read_only());
        assert_eq!(rw.login(CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
        assert_eq!(ro.login(CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
        assert_eq!(ro.close(), Rv::OK);
        assert_eq!(rw.login(CKU_SO, SO_PIN), Rv::OK);
        assert_eq!(
            rw.module.open_session(rw.slot, CKF_SERIAL_SESSION),
            Err(Rv(CKR_SESSION_READ_WRITE_SO_EXISTS))
        );
        assert_eq!(rw.logout(), Rv::OK);
        assert!(rw.module.open_session(rw.slot, CKF_SERIAL_SESSION).is_ok());
    });
}

#[test]
fn logging_in_twice() {
    let rows = &[
        ("user, user", Passes, (CKU_USER, CKU_USER, CKR_USER_ALREADY_LOGGED_IN)),
        ("SO, SO", Passes, (CKU_SO, CKU_SO, CKR_USER_ALREADY_LOGGED_IN)),
        ("user, SO", Passes, (CKU_USER, CKU_SO, CKR_USER_ANOTHER_ALREADY_LOGGED_IN)),
        ("SO, user", Passes, (CKU_SO, CKU_USER, CKR_USER_ANOTHER_ALREADY_LOGGED_IN)),
    ];
    let pin = |user| if user == CKU_SO { SO_PIN } else { USER_PIN };
    table(rows, |world, (first, second, wanted)| {
        let session = world.public();
        assert_eq!(session.login(*first, pin(*first)), Rv::OK);
        assert_eq!(session.login(*second, pin(*second)), *wanted);
        assert_eq!(world.public().login(*second, pin(*second)), *wanted, "another session");
    });
}

#[test]
fn a_user_type_nobody_knows() {
    case(Passes, |world| {
        let session = world.public();
        assert_eq!(session.login(3, USER_PIN), CKR_USER_TYPE_INVALID);
        assert_eq!(session.login(CK_ULONG::MAX, USER_PIN), CKR_USER_TYPE_INVALID);
    });
}

#[test]
fn logging_out_without_a_login() {
    case(Fails("C_Logout answers CKR_OK when nobody is logged in"), |world| {
        let session = world.public();
        assert_eq!(session.logout(), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.logout(), CKR_USER_NOT_LOGGED_IN);
    });
}

#[test]
fn closing_the_last_session_logs_out() {
    case(Passes, |world| {
        let (one, two) = (world.user(), world.read_only());
        assert_eq!(one.close(), Rv::OK);
        assert_eq!(two.state(), CKS_RO_USER_FUNCTIONS, "one session is left");
        assert_eq!(two.close(), Rv::OK);
        assert_eq!(world.public().state(), CKS_RW_PUBLIC_SESSION);
    });
}

#[test]
fn closing_all_sessions_logs_out() {
    case(Passes, |world| {
        let (one, two) = (world.user(), world.read_only());
        assert_eq!(one.module.close_all_sessions(one.slot), Rv::OK);
        for session in [one, two] {
            assert_eq!(session.close(), CKR_SESSION_HANDLE_INVALID);
            assert_eq!(
                session.module.session_info(session.handle).map(|_| ()),
                Err(Rv(CKR_SESSION_HANDLE_INVALID))
            );
        }
        assert_eq!(world.public().state(), CKS_RW_PUBLIC_SESSION);
        assert_eq!(one.module.close_all_sessions(one.slot), Rv::OK);
    });
}

#[test]
fn session_objects_die_with_their_session() {
    case(Passes, |world| {
        let (one, two) = (world.user(), world.user());
        let object = one.create(&keys::data("short-lived")).expect("C_CreateObject");
        assert_eq!(two.get(object, CKA_LABEL), Ok(b"short-lived".to_vec()), "all sessions see it");
        assert_eq!(two.find(&t![CKA_LABEL => "short-lived"]), [object]);
        assert_eq!(one.close(), Rv::OK);
        assert!(two.find(&t![CKA_LABEL => "short-lived"]).is_empty());
        assert_eq!(two.get(object, CKA_LABEL), Err(Rv(CKR_OBJECT_HANDLE_INVALID)));
    });
}

#[test]
fn private_session_objects_die_with_the_login() {
    case(Passes, |world| {
        let session = world.user();
        let private = merge(&keys::data("private"), &t![CKA_PRIVATE => true]);
        let object = session.create(&private).expect("C_CreateObject");
        let public = session.create(&keys::data("public")).expect("C_CreateObject");
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.get(object, CKA_LABEL), Err(Rv(CKR_OBJECT_HANDLE_INVALID)));
        assert!(session.get(public, CKA_LABEL).is_ok());
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert!(session.find(&t![CKA_LABEL => "private"]).is_empty(), "it is destroyed");
        assert_eq!(session.find(&t![CKA_LABEL => "public"]).len(), 1);
    });
}

#[test]
fn a_closed_session_is_not_taken_for_a_new_one() {
    case(Passes, |world| {
        let keep = world.public();
        let old = world.public();
        assert_eq!(old.close(), Rv::OK);
        assert_eq!(old.close(), CKR_SESSION_HANDLE_INVALID);
        let new = world.public();
        assert_ne!(new.handle, CK_INVALID_HANDLE);
        assert_ne!(new.handle, keep.handle);
        assert_eq!(
            keep.module.session_info(CK_INVALID_HANDLE).map(|_| ()),
            Err(Rv(CKR_SESSION_HANDLE_INVALID))
        );
    });
}

#[test]
fn a_thousand_sessions() {
    case(Passes, |world| {
        let (module, slot) = (world.started(), world.slot());
        let sessions: Vec<_> = (0..1000).map(|_| world.public()).collect();
        let mut handles: Vec<_> = sessions.iter().map(|session| session.handle).collect();
        handles.sort_unstable();
        handles.dedup();
        assert_eq!(handles.len(), 1000);
        assert_eq!(module.close_all_sessions(slot), Rv::OK);
    });
}

#[test]
fn two_tokens_have_logins_of_their_own() {
    case(Passes, |world| {
        let session = world.user();
        let module = session.module;
        let blank = strongroom_softhsm_tests::world::blank_slot(module);
        assert_eq!(module.init_token(blank, SO_PIN.into(), "second"), Rv::OK);
        let slot = strongroom_softhsm_tests::world::slot_of(module, "second").expect("a token");
        let other = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(other.state(), CKS_RW_PUBLIC_SESSION);
        assert_eq!(other.login(CKU_SO, SO_PIN), Rv::OK);
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
        assert_eq!(module.close_all_sessions(slot), Rv::OK);
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
    });
}

#[test]
fn signing_ends_with_the_login() {
    case(Fails("C_Sign answers with a signature after C_Logout (#900)"), |world| {
        let session = world.user();
        let (_, private) = keys::ec(&session, keys::P256);
        assert_eq!(session.sign_init(CKM_ECDSA, private), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        let answer = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
        assert_ne!(answer.rv, Rv::OK, "a signature after C_Logout");
    });
}

#[test]
fn decrypting_ends_with_the_login() {
    case(Fails("C_Decrypt answers after C_Logout (#900)"), |world| {
        let session = world.user();
        let secret = merge(&keys::secret(CKK_AES, &[1; 32]), &t![CKA_PRIVATE => true]);
        let key = session.create(&secret).expect("a key");
        assert_eq!(session.decrypt_init(CKM_AES_ECB, key), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        let answer = session.module.decrypt(session.handle, (&[1; 16]).into(), PLENTY);
        assert_ne!(answer.rv, Rv::OK, "a plaintext after C_Logout");
    });
}

const ALWAYS: CK_ATTRIBUTE_TYPE = CKA_ALWAYS_AUTHENTICATE;

#[test]
fn context_specific_login_for_signing() {
    case(Passes, |world| {
        let session = world.user();
        let attributes = t![ALWAYS => true, CKA_PRIVATE => true];
        let (_, private) = keys::ec_with(&session, keys::P256, &attributes);
        for _ in 0..2 {
            assert_eq!(session.sign_init(CKM_ECDSA, private), Rv::OK);
            assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
            let signature = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
            assert_eq!(signature.rv, Rv::OK);
        }
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
    });
}

#[test]
fn signing_without_the_context_specific_login() {
    case(Passes, |world| {
        let session = world.user();
        let attributes = t![ALWAYS => true, CKA_PRIVATE => true];
        let (_, private) = keys::ec_with(&session, keys::P256, &attributes);
        assert_eq!(session.sign_init(CKM_ECDSA, private), Rv::OK);
        let answer = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
        assert_eq!(answer.rv, CKR_USER_NOT_LOGGED_IN);
        let answer = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
        assert_eq!(answer.rv, CKR_OPERATION_NOT_INITIALIZED, "the error ended the operation");
    });
}

#[test]
fn a_wrong_pin_in_the_context_specific_login() {
    case(Passes, |world| {
        let session = world.user();
        let attributes = t![ALWAYS => true, CKA_PRIVATE => true];
        let (_, private) = keys::ec_with(&session, keys::P256, &attributes);
        assert_eq!(session.sign_init(CKM_ECDSA, private), Rv::OK);
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, "not-the-pin"), CKR_PIN_INCORRECT);
        let answer = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
        assert_eq!(answer.rv, CKR_USER_NOT_LOGGED_IN);
    });
}

#[test]
fn context_specific_login_for_decryption() {
    case(Passes, |world| {
        let session = world.user();
        let attributes = t![ALWAYS => true, CKA_PRIVATE => true, CKA_SENSITIVE => true];
        let (public, private) = keys::rsa_with(&session, 2048, &attributes);
        let cipher = session.encrypt(CKM_RSA_PKCS, public, b"secret").expect("C_Encrypt");
        assert_eq!(session.decrypt_init(CKM_RSA_PKCS, private), Rv::OK);
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
        let plain = session.module.decrypt(session.handle, (&cipher).into(), PLENTY);
        assert_eq!(plain.ok(), Ok(b"secret".to_vec()));
        let again = session.decrypt(CKM_RSA_PKCS, private, &cipher);
        assert_eq!(again, Err(Rv(CKR_USER_NOT_LOGGED_IN)), "each use wants a login");
    });
}

#[test]
fn context_specific_login_without_an_operation() {
    case(Passes, |world| {
        let session = world.user();
        let rv = session.login(CKU_CONTEXT_SPECIFIC, USER_PIN);
        assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED);
    });
}

#[test]
fn sessions_have_operations_of_their_own() {
    case(Passes, |world| {
        let (one, two) = (world.user(), world.user());
        let sha256 = Mechanism { id: CKM_SHA256, param: Param::None };
        assert_eq!(one.module.digest_init(one.handle, Some(&sha256)), Rv::OK);
        assert_eq!(two.module.digest_init(two.handle, Some(&sha256)), Rv::OK);
        assert_eq!(one.module.digest_update(one.handle, b"one".into()), Rv::OK);
        assert_eq!(two.module.digest_update(two.handle, b"two".into()), Rv::OK);
        let first = one.module.digest_final(one.handle, PLENTY).ok();
        let second = two.module.digest_final(two.handle, PLENTY).ok();
        assert_eq!(first, one.digest(CKM_SHA256, b"one"));
        assert_eq!(second, one.digest(CKM_SHA256, b"two"));
    });
}

#[test]
fn a_search_and_a_signature_run_side_by_side() {
    case(Fails("one operation of any kind per session"), |world| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.find_objects_init(handle, &[]), Rv::OK);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(module.find_objects_init(handle, &[]), CKR_OPERATION_ACTIVE);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), CKR_OPERATION_ACTIVE);
        assert_eq!(module.find_objects(handle, 10), Ok(vec![key]));
        let mac = module.sign(handle, b"x".into(), PLENTY).ok().expect("C_Sign");
        assert_eq!(module.find_objects_final(handle), Rv::OK);
        assert_eq!(session.verify(CKM_SHA256_HMAC, key, b"x", &mac), Rv::OK);
    });
}
