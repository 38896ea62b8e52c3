//! What becomes of an application whose daemon is killed and started again. Without a daemon nothing
//! happens, which every module survives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Passes;
use strongroom_softhsm_tests::daemon::daemon_path;
use strongroom_softhsm_tests::world::slot_of;
use strongroom_softhsm_tests::{
    Attribute, InitArgs, LABEL, Rv, Session, USER_PIN, World, case, merge, t,
};

use crate::keys;

/// Whether there is a daemon, so that a login is lost with it.
fn lost() -> bool {
    daemon_path().is_some()
}

/// The token, as an application sees it that did not make it: by the number that follows from its
/// serial number, which every later application knows it by.
fn token(world: &World) -> CK_SLOT_ID {
    world.slot();
    let module = world.module();
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
    assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK, "C_Initialize");
    slot_of(module, LABEL).expect("the token")
}

fn public(world: &World, slot: CK_SLOT_ID) -> Session<'_> {
    Session::open(world.module(), slot, CKF_RW_SESSION)
}

fn user(world: &World, slot: CK_SLOT_ID) -> Session<'_> {
    let session = public(world, slot);
    assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "C_Login");
    session
}

fn public_object(label: &str) -> Vec<Attribute> {
    t![CKA_CLASS => CKO_DATA, CKA_TOKEN => true, CKA_PRIVATE => false, CKA_LABEL => label]
}

#[test]
fn a_session_without_a_login_goes_on() {
    case(Passes, |world| {
        let slot = token(world);
        let session = user(world, slot);
        session.create(&public_object("kept")).expect("C_CreateObject");
        assert_eq!(session.logout(), Rv::OK);
        for _ in 0..3 {
            world.replace_daemon();
            assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
            assert_eq!(session.find(&t![CKA_LABEL => "kept"]).len(), 1);
            let digest = session.digest(CKM_SHA256, b"abc").expect("C_Digest");
            assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        }
        assert_eq!(session.close(), Rv::OK);
    });
}

#[test]
fn a_login_is_lost_and_can_be_made_again() {
    case(Passes, |world| {
        let slot = token(world);
        let session = user(world, slot);
        let secret = keys::secret(CKK_GENERIC_SECRET, &[7; 32]);
        let template = t![CKA_TOKEN => true, CKA_LABEL => "key"];
        let key = session.create(&merge(&secret, &template)).expect("C_CreateObject");
        session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign");
        world.replace_daemon();
        let session = if lost() {
            let gone = Rv(CKR_SESSION_HANDLE_INVALID);
            assert_eq!(session.sign(CKM_SHA256_HMAC, key, b"data").err(), Some(gone));
            assert_eq!(session.close(), gone);
            user(world, slot)
        } else {
            session
        };
        let found = session.find(&t![CKA_LABEL => "key"]);
        assert_eq!(found.len(), 1, "what was acknowledged is there");
        assert!(!lost() || found[0] != key, "an old handle stands for nothing");
        session.sign(CKM_SHA256_HMAC, found[0], b"data").expect("C_Sign");
    });
}

/// Creates objects until it is told to stop, and gives the labels of those that it was told are there.
fn create_until(session: &Session<'_>, stop: &AtomicBool) -> Vec<String> {
    let mut kept = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let label = format!("object {number}");
        match session.create(&public_object(&label)) {
            Ok(_) => kept.push(label),
            // Nobody knows whether it is there.
            Err(rv) => assert_eq!(rv, Rv(CKR_DEVICE_REMOVED)),
        }
    }
    kept
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    case(Passes, |world| {
        let slot = token(world);
        let session = public(world, slot);
        let stop = AtomicBool::new(false);
        let kept = thread::scope(|scope| {
            let creating = scope.spawn(|| create_until(&session, &stop));
            for _ in 0..if lost() { 5 } else { 1 } {
                thread::sleep(std::time::Duration::from_millis(100));
                world.replace_daemon();
            }
            stop.store(true, Ordering::Relaxed);
            creating.join().expect("the thread that creates")
        });
        assert!(!kept.is_empty());
        for label in &kept {
            let found = session.find(&t![CKA_LABEL => label.as_str()]);
            assert_eq!(found.len(), 1, "{label}");
        }
    });
}
