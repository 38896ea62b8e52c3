//! What becomes of an application whose daemon is killed and started again. Without a daemon nothing
//! happens, which every module survives.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

#[test]
fn keys_that_everybody_may_use_are_used_on() {
    case(Passes, |world| {
        let slot = token(world);
        let session = user(world, slot);
        let key = t![CKA_TOKEN => true, CKA_PRIVATE => false];
        let key = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 32]), &key);
        let key = session.create(&key).expect("C_CreateObject");
        assert_eq!(session.logout(), Rv::OK);
        let before = session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign");
        for next in [World::replace_daemon, World::restart_daemon] {
            next(world);
            let after = session.sign(CKM_SHA256_HMAC, key, b"data").expect("C_Sign");
            assert_eq!(after, before, "by the same handle");
            assert_eq!(session.find(&t![CKA_CLASS => CKO_SECRET_KEY]), [key]);
            let other = public(world, slot);
            assert_eq!(other.sign(CKM_SHA256_HMAC, key, b"data"), Ok(after));
        }
    });
}

/// How many threads of the application are at work.
const THREADS: usize = 4;
/// How many calls they make before the next daemon comes.
const LOAD: usize = 20;

#[derive(Default)]
struct Progress {
    made: AtomicUsize,
    stop: AtomicBool,
}

impl Progress {
    /// Waits until the threads have got on.
    fn wait(&self) {
        let (start, before) = (Instant::now(), self.made.load(Ordering::Relaxed));
        while self.made.load(Ordering::Relaxed) < before + LOAD {
            assert!(start.elapsed() < Duration::from_secs(60), "the threads do not get on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Creates objects until it is told to stop, and gives the labels of those that it was told are there.
fn create_until(
    session: &Session<'_>,
    name: usize,
    progress: &Progress,
    spare: &[Rv],
) -> Vec<String> {
    let mut kept = Vec::new();
    for number in 0.. {
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
        let label = format!("object {number} of {name}");
        match session.create(&public_object(&label)) {
            Ok(_) => kept.push(label),
            // Nobody knows whether it is there.
            Err(rv) => assert!(spare.contains(&rv), "C_CreateObject: {rv:?}"),
        }
        progress.made.fetch_add(1, Ordering::Relaxed);
        // What changes nothing is asked again, if it must be.
        let random = session.module.generate_random(session.handle, 8);
        assert_eq!(random.map(|bytes| bytes.len()), Ok(8), "C_GenerateRandom");
        assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
    }
    kept
}

/// Has several threads create objects while daemons come and go, and looks for all that were
/// acknowledged.
fn under_load(world: &World, spare: &[Rv], next: impl Fn(&World)) {
    let slot = token(world);
    let sessions: Vec<_> = (0..THREADS).map(|_| public(world, slot)).collect();
    let progress = Progress::default();
    let kept: Vec<String> = thread::scope(|scope| {
        let progress = &progress;
        let create =
            |(name, session)| scope.spawn(move || create_until(session, name, progress, spare));
        let creating: Vec<_> = sessions.iter().enumerate().map(create).collect();
        for _ in 0..if lost() { 5 } else { 1 } {
            progress.wait();
            next(world);
        }
        progress.wait();
        progress.stop.store(true, Ordering::Relaxed);
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("a thread");
        creating.into_iter().flat_map(join).collect()
    });
    assert!(!kept.is_empty());
    for label in &kept {
        let found = sessions[0].find(&t![CKA_LABEL => label.as_str()]);
        assert_eq!(found.len(), 1, "{label}");
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    case(Passes, |world| under_load(world, &[Rv(CKR_DEVICE_REMOVED)], World::replace_daemon));
}

#[test]
fn a_daemon_that_is_restarted_loses_nothing_and_fails_no_call() {
    case(Passes, |world| under_load(world, &[], World::restart_daemon));
}

#[test]
fn nor_does_one_whose_socket_stays() {
    case(Passes, |world| under_load(world, &[], World::restart_daemon_behind_its_socket));
}
