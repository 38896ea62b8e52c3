//! A forked child goes on with what its parent started, as SoftHSM2's does: sessions, logins,
//! objects and operations. `softhsm2_conf` has the setting that ends this.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Passes, Races};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::{
    InitArgs, PLENTY, Rv, Session, USER_PIN, case_as_softhsm2, merge, t,
};

use crate::keys;

/// A key that signs, in the session or in the token.
fn key(session: &Session<'_>, token: bool, label: &str) -> CK_OBJECT_HANDLE {
    let template = t![CKA_TOKEN => token, CKA_PRIVATE => true, CKA_LABEL => label];
    session
        .create(&merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 32]), &template))
        .expect("C_CreateObject")
}

fn mac(session: &Session<'_>, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign")
}

fn found(session: &Session<'_>, label: &str) -> usize {
    session.find(&t![CKA_LABEL => label]).len()
}

#[test]
fn sessions_and_keys_are_inherited() {
    case_as_softhsm2(Passes, |world| {
        let session = world.user();
        let (token, volatile) = (key(&session, true, "token"), key(&session, false, "session"));
        let expected = mac(&session, token);
        let child = Forked::start(|| {
            let args = InitArgs::Flags(CKF_OS_LOCKING_OK);
            assert_eq!(session.module.initialize(args), CKR_CRYPTOKI_ALREADY_INITIALIZED);
            assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
            assert_eq!(mac(&session, token), expected);
            assert_eq!(mac(&session, volatile), expected);
            let (public, private) = keys::ec(&session, keys::P256);
            let signature = session.sign(CKM_ECDSA, private, &[9; 32]).expect("C_Sign");
            assert_eq!(session.verify(CKM_ECDSA, public, &[9; 32], &signature), Rv::OK);
            let another = Session::open(session.module, session.slot, 0);
            assert_eq!(another.state(), CKS_RO_USER_FUNCTIONS);
            assert_eq!(mac(&another, token), expected);
            assert_eq!(session.login(CKU_USER, USER_PIN), CKR_USER_ALREADY_LOGGED_IN);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(mac(&session, token), expected);
        assert_eq!(mac(&session, volatile), expected);
    });
}

#[test]
fn operations_are_inherited() {
    case_as_softhsm2(Passes, |world| {
        let session = world.user();
        let key = key(&session, false, "key");
        let whole = session.sign(CKM_SHA256_HMAC, key, b"first second").expect("C_Sign");
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(session.module.sign_update(session.handle, b"first ".into()), Rv::OK);
        let end = || {
            assert_eq!(session.module.sign_update(session.handle, b"second".into()), Rv::OK);
            session.module.sign_final(session.handle, PLENTY).ok().expect("C_SignFinal")
        };
        let child = Forked::start(|| i32::from(end() != whole));
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(end(), whole, "the parent has an operation of its own");
    });
}

#[test]
fn what_a_child_does_is_its_own() {
    case_as_softhsm2(Passes, |world| {
        let session = world.user();
        let key = key(&session, true, "key");
        let other = Session::open(session.module, session.slot, 0);
        for number in 0..3 {
            let child = Forked::start(|| {
                match number {
                    0 => assert_eq!(session.logout(), Rv::OK),
                    1 => assert_eq!(other.close(), Rv::OK),
                    _ => assert_eq!(session.module.finalize(), Rv::OK),
                }
                0
            });
            assert_eq!(child.wait(), Ended::Exit(0));
            assert_eq!(other.state(), CKS_RO_USER_FUNCTIONS);
            mac(&session, key);
        }
        assert_eq!(session.logout(), Rv::OK);
        let child = Forked::start(|| {
            assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
            assert_eq!(found(&session, "key"), 1);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
    });
}

#[test]
fn objects_of_the_token_are_shared() {
    case_as_softhsm2(Passes, |world| {
        let session = world.user();
        key(&session, true, "before");
        let child = Forked::start(|| {
            assert_eq!(found(&session, "before"), 1);
            key(&session, true, "of the child");
            key(&session, false, "of its session");
            let child = Forked::start(|| {
                assert_eq!(found(&session, "of the child"), 1);
                assert_eq!(found(&session, "of its session"), 1);
                key(&session, true, "of the grandchild");
                0
            });
            assert_eq!(child.wait(), Ended::Exit(0));
            assert_eq!(found(&session, "of the grandchild"), 1);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(found(&session, "of the child"), 1);
        assert_eq!(found(&session, "of the grandchild"), 1);
        assert_eq!(found(&session, "of its session"), 0);
    });
}

#[test]
fn a_child_finalizes_and_starts_anew() {
    case_as_softhsm2(Passes, |world| {
        let session = world.user();
        key(&session, true, "key");
        let child = Forked::start(|| {
            let module = session.module;
            assert_eq!(module.finalize(), Rv::OK);
            assert_eq!(module.info().map(|_| ()), Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)));
            assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK);
            let slot = strongroom_softhsm_tests::world::slot_of(module, "black box");
            let session = Session::open(module, slot.expect("the token"), CKF_RW_SESSION);
            assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
            assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
            assert_eq!(found(&session, "key"), 1);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(found(&session, "key"), 1);
    });
}

#[test]
fn forks_while_four_threads_are_busy() {
    let why = "a child waits for a lock that another thread held";
    case_as_softhsm2(Races(why), |world| {
        let session = world.user();
        let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
        let expected = mac(&session, key(&session, true, "key"));
        thread::scope(|scope| {
            for number in 0..4 {
                let (stop, rounds) = (&stop, &rounds);
                scope.spawn(move || {
                    let session = Session::open(session.module, session.slot, CKF_RW_SESSION);
                    while !stop.load(Ordering::Relaxed) {
                        let label = format!("busy {number}");
                        let key = key(&session, number % 2 == 0, &label);
                        mac(&session, key);
                        assert_eq!(found(&session, &label), 1);
                        assert_eq!(session.destroy(key), Rv::OK);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let end = (0..40)
                .map(|number| {
                    let child = Forked::start(|| {
                        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
                        let another = Session::open(session.module, session.slot, CKF_RW_SESSION);
                        let key = key(&another, true, &format!("child {number}"));
                        assert_eq!(mac(&another, key), expected);
                        assert_eq!(found(&another, &format!("child {number}")), 1);
                        assert_eq!(another.close(), Rv::OK);
                        0
                    });
                    child.wait()
                })
                .find(|end| *end != Ended::Exit(0));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(end, None, "of the first child that did not fare well");
        });
        assert!(rounds.load(Ordering::Relaxed) > 0);
        for number in 0..40 {
            assert_eq!(found(&session, &format!("child {number}")), 1, "of child {number}");
        }
    });
}
