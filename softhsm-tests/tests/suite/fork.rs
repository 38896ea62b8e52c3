//! 6.6: a forked child has not initialised the module, may do so, and leaves the parent alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::world::slot_of;
use strongroom_softhsm_tests::{
    InitArgs, LABEL, Module, PLENTY, Rv, Session, USER_PIN, case, merge, t,
};

use crate::keys;

const SHARES: &str = "the child inherits the initialised module and the login (#513)";

/// What a child does with the token of its parent, from C_Initialize to C_Finalize.
fn use_token(module: &Module, label: &str) {
    assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK, "C_Initialize");
    let slot = slot_of(module, LABEL).expect("the parent's token");
    let session = Session::open(module, slot, CKF_RW_SESSION);
    assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION, "the child must not be logged in");
    assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "C_Login");
    let template = t![CKA_TOKEN => true, CKA_LABEL => label];
    let secret = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 32]), &template);
    let key = session.create(&secret).expect("C_CreateObject");
    let mac = session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign");
    assert_eq!(session.verify(CKM_SHA256_HMAC, key, b"data", &mac), Rv::OK);
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
}

#[test]
fn the_child_is_not_initialised() {
    case(Fails(SHARES), |world| {
        let session = world.user();
        let child = Forked::start(|| {
            let not = Rv(CKR_CRYPTOKI_NOT_INITIALIZED);
            assert_eq!(session.module.info().map(|_| ()), Err(not));
            assert_eq!(session.module.session_info(session.handle).map(|_| ()), Err(not));
            assert_eq!(session.module.find_objects_init(session.handle, &[]), not);
            assert_eq!(session.module.close_session(session.handle), not);
            assert_eq!(session.module.finalize(), not);
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS, "the parent goes on");
    });
}

#[test]
fn the_child_initialises_and_the_parent_goes_on() {
    case(Fails(SHARES), |world| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[9; 32])).expect("a key");
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(session.module.sign_update(session.handle, b"half ".into()), Rv::OK);
        for number in 0..3 {
            let child = Forked::start(|| {
                use_token(session.module, &format!("child {number}"));
                0
            });
            assert_eq!(child.wait(), Ended::Exit(0), "child {number}");
        }
        assert_eq!(session.module.sign_update(session.handle, b"half".into()), Rv::OK);
        let mac = session.module.sign_final(session.handle, PLENTY).ok().expect("C_SignFinal");
        assert_eq!(session.verify(CKM_SHA256_HMAC, key, b"half half", &mac), Rv::OK);
        for number in 0..3 {
            let found = session.find(&t![CKA_LABEL => format!("child {number}").as_str()]);
            assert_eq!(found.len(), 1, "the parent sees what child {number} created");
        }
    });
}

#[test]
fn a_grandchild_initialises() {
    case(Fails(SHARES), |world| {
        let session = world.user();
        let child = Forked::start(|| {
            assert_eq!(session.module.initialize(InitArgs::Null), Rv::OK);
            let grandchild = Forked::start(|| {
                use_token(session.module, "grandchild");
                0
            });
            i32::from(grandchild.wait() != Ended::Exit(0))
        });
        assert_eq!(child.wait(), Ended::Exit(0));
    });
}

#[test]
fn the_parent_was_not_initialised() {
    case(Passes, |world| {
        world.slot();
        assert_eq!(world.module().finalize(), Rv::OK);
        let child = Forked::start(|| {
            use_token(world.module(), "from the child");
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        use_token(world.module(), "from the parent");
    });
}

#[test]
fn forks_while_four_threads_are_busy() {
    case(Fails(SHARES), |world| {
        let session = world.user();
        let stop = AtomicBool::new(false);
        let rounds = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..4 {
                let (stop, rounds) = (&stop, &rounds);
                scope.spawn(move || {
                    let session = world.user();
                    while !stop.load(Ordering::Relaxed) {
                        let label = format!("busy {number}");
                        let secret = merge(
                            &keys::secret(CKK_GENERIC_SECRET, &[3; 32]),
                            &t![CKA_TOKEN => true, CKA_LABEL => label.as_str()],
                        );
                        let key = session.create(&secret).expect("C_CreateObject");
                        session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign");
                        assert_eq!(session.find(&t![CKA_LABEL => label.as_str()]).len(), 1);
                        assert_eq!(session.destroy(key), Rv::OK);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let ends: Vec<_> = (0..10)
                .map(|number| {
                    let child = Forked::start(|| {
                        use_token(session.module, &format!("forked {number}"));
                        0
                    });
                    child.wait()
                })
                .collect();
            stop.store(true, Ordering::Relaxed);
            assert_eq!(ends, vec![Ended::Exit(0); 10]);
        });
        assert!(rounds.load(Ordering::Relaxed) > 0);
        for number in 0..10 {
            let found = session.find(&t![CKA_LABEL => format!("forked {number}").as_str()]);
            assert_eq!(found.len(), 1, "what child {number} created");
        }
    });
}
