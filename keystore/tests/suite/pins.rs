//! PINs: checked, counted, slowed down, locked, changed.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::common::{LABEL, Place, SO_PIN, USER_PIN, create, first, id, private};
use rusqlite::Connection;
use strongroom_keystore::{
    Config, Error, KeyPolicy, PinState, Role, Severity, Store, config::SoReset,
};

#[test]
fn the_user_has_no_pin_until_the_officer_sets_one() {
    let place = Place::new();
    let store = place.store();
    let token = store.create(&LABEL, SO_PIN).unwrap();
    assert!(!token.status().unwrap().user_pin_set);
    assert!(matches!(token.unlock(Role::User, b"1"), Err(Error::NotInitialized)));
    assert!(matches!(token.unlock(Role::SecurityOfficer, b"1"), Err(Error::WrongPin)));
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    token.set_user_pin(&so, USER_PIN).unwrap();
    assert!(token.status().unwrap().user_pin_set);
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    assert!(matches!(token.set_user_pin(&user, b"1"), Err(Error::Locked)));
    assert!(matches!(token.unlock(Role::User, SO_PIN), Err(Error::WrongPin)));
}

#[test]
fn a_token_has_the_policy_that_it_was_initialised_with() {
    let place = Place::new();
    let by = |policy| Store::open(&Config { policy, ..place.config() }).unwrap();
    for made in KeyPolicy::ALL {
        let token = by(made).create(&LABEL, SO_PIN).unwrap();
        let opened = |policy| {
            let tokens = by(policy).tokens().unwrap();
            tokens.into_iter().find(|other| other.id() == token.id()).unwrap()
        };
        for configured in KeyPolicy::ALL {
            assert_eq!(opened(configured).policy().unwrap(), made, "to whoever reads it");
        }
        for again in KeyPolicy::ALL {
            let wrong = opened(again).initialize(b"another PIN", &LABEL);
            assert!(matches!(wrong, Err(Error::WrongPin)));
            assert_eq!(token.policy().unwrap(), made, "nothing became of it");
        }
        for again in KeyPolicy::ALL {
            opened(again).initialize(SO_PIN, &LABEL).unwrap();
            assert_eq!(token.policy().unwrap(), again, "whoever initialises it says it");
        }
    }
    assert!(place.store().check().iter().all(|finding| finding.severity == Severity::Fine));
}

#[test]
fn wrong_pins_are_counted_across_processes_lives() {
    let place = Place::new();
    let (_, token, _) = place.token();
    drop(token);
    let started = Instant::now();
    for attempt in 0..3 {
        let store = place.store();
        let token = first(&store);
        let expected = if attempt == 0 { PinState::Fine } else { PinState::CountLow };
        assert_eq!(token.status().unwrap().user_pin, expected);
        assert!(matches!(token.verify(Role::User, b"0000"), Err(Error::WrongPin)));
        assert_eq!(token.status().unwrap().user_pin, PinState::CountLow);
        assert_eq!(token.status().unwrap().so_pin, PinState::Fine);
    }
    // After the third one an attempt has to wait, the right PIN too.
    let token = first(&place.store());
    token.verify(Role::User, USER_PIN).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(250));
    assert_eq!(token.status().unwrap().user_pin, PinState::Fine);
}

#[test]
fn what_was_read_of_a_token_is_read_again_though_nobody_says_that_it_changed() {
    let place = Place::new();
    let (_store, token, _) = place.token();
    let sql = || Connection::open(place.database(&token)).unwrap();
    sql().execute_batch("CREATE TABLE keep AS SELECT * FROM slot").unwrap();
    assert!(matches!(token.verify(Role::User, b"0000"), Err(Error::WrongPin)));
    assert_eq!(token.status().unwrap().user_pin, PinState::CountLow);
    // By the engine's own shell: no generation word moves.
    sql()
        .execute_batch("DELETE FROM slot; INSERT INTO slot SELECT * FROM keep; DROP TABLE keep")
        .unwrap();
    let (start, state) = (Instant::now(), || token.status().unwrap().user_pin);
    while state() != PinState::Fine {
        assert!(start.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_storm_of_wrong_pins_counts_each_of_them() {
    let place = Place::new();
    let (_store, token, _) = place.token();
    let mut config = place.config();
    config.pin_lockout = Some(5);
    let strict = Store::open(&config).unwrap();
    let storm = || {
        std::thread::scope(|scope| {
            let guess = || first(&strict).verify(Role::User, b"0000").unwrap_err();
            let guesses: Vec<_> = (0..8).map(|_| scope.spawn(guess)).collect();
            let outcomes: Vec<_> = guesses.into_iter().map(|one| one.join().unwrap()).collect();
            let wrong = outcomes.iter().filter(|error| matches!(error, Error::WrongPin)).count();
            let locked = outcomes.iter().filter(|error| matches!(error, Error::PinLocked)).count();
            (wrong, locked)
        })
    };
    assert_eq!(storm(), (5, 3));
    assert_eq!(first(&strict).status().unwrap().user_pin, PinState::Locked);
    assert!(matches!(first(&strict).unlock(Role::User, USER_PIN), Err(Error::PinLocked)));
    // The officer sets a new one.
    let so = first(&strict).unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    first(&strict).set_user_pin(&so, b"new").unwrap();
    assert_eq!(first(&strict).status().unwrap().user_pin, PinState::Fine);
    first(&strict).unlock(Role::User, b"new").unwrap();
    // Another process's view, without a limit.
    assert_eq!(token.status().unwrap().user_pin, PinState::Fine);
}

#[test]
fn the_last_try_is_announced() {
    let place = Place::new();
    place.token();
    let mut config = place.config();
    config.pin_lockout = Some(2);
    let store = Store::open(&config).unwrap();
    let token = first(&store);
    token.verify(Role::SecurityOfficer, b"x").unwrap_err();
    assert_eq!(token.status().unwrap().so_pin, PinState::FinalTry);
    token.verify(Role::SecurityOfficer, b"x").unwrap_err();
    assert_eq!(token.status().unwrap().so_pin, PinState::Locked);
    assert!(matches!(token.initialize(SO_PIN, &LABEL), Err(Error::PinLocked)));
}

#[test]
fn a_pin_changes_without_touching_objects() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"body", &[])]).unwrap();
    assert!(matches!(token.set_pin(Role::User, b"bad", b"new"), Err(Error::WrongPin)));
    token.set_pin(Role::User, USER_PIN, b"new").unwrap();
    assert!(matches!(token.unlock(Role::User, USER_PIN), Err(Error::WrongPin)));
    let again = token.unlock(Role::User, b"new").unwrap();
    assert_eq!(token.load(Some(&again), id(1)).unwrap().revision, 1);
    // Who was logged in stays so: the master key is the same.
    assert_eq!(token.load(Some(&user), id(1)).unwrap().body.as_slice(), b"body");
    token.set_pin(Role::SecurityOfficer, SO_PIN, b"other").unwrap();
    token.verify(Role::SecurityOfficer, b"other").unwrap();
}

#[test]
fn initializing_again_takes_the_right_pin_and_wipes() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"", &[]), create(2, false, b"", &[])]).unwrap();
    assert!(matches!(token.initialize(b"bad", &[b'n'; 32]), Err(Error::WrongPin)));
    assert_eq!(token.status().unwrap().label, LABEL);
    assert_eq!(token.find(Some(&user), Some(true), &[], None, 9).unwrap(), [private(1)]);

    token.initialize(SO_PIN, &[b'n'; 32]).unwrap();
    let status = token.status().unwrap();
    assert_eq!((status.label, status.user_pin_set), ([b'n'; 32], false));
    assert_eq!(status.serial, token.serial());
    assert!(matches!(token.load(None, id(2)), Err(Error::NotFound)));
    assert!(matches!(token.unlock(Role::User, USER_PIN), Err(Error::NotInitialized)));
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    assert!(token.find(Some(&so), Some(true), &[], None, 9).unwrap().is_empty());
    assert!(matches!(token.find(Some(&user), Some(true), &[], None, 9), Err(Error::Locked)));
    assert!(matches!(token.commit(Some(&user), &[create(1, true, b"", &[])]), Err(Error::Locked)));
    token.commit(Some(&so), &[create(1, true, b"", &[]), create(2, false, b"", &[])]).unwrap();
    assert_eq!(token.load(None, id(2)).unwrap().revision, 1);
}

#[test]
fn replacing_a_user_pin_follows_the_configuration() {
    for policy in [SoReset::Allow, SoReset::Wipe, SoReset::Deny] {
        let place = Place::new();
        let mut config = place.config();
        config.so_reset = policy;
        let store = Store::open(&config).unwrap();
        let token = store.create(&LABEL, SO_PIN).unwrap();
        let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
        token.set_user_pin(&so, USER_PIN).unwrap();
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        let changes = [create(1, true, b"private", &[]), create(2, false, b"public", &[])];
        token.commit(Some(&user), &changes).unwrap();
        let outcome = token.set_user_pin(&so, b"new");
        assert_eq!(token.load(None, id(2)).unwrap().body.as_slice(), b"public");
        match policy {
            SoReset::Allow => {
                outcome.unwrap();
                let again = token.unlock(Role::User, b"new").unwrap();
                assert_eq!(token.load(Some(&again), id(1)).unwrap().body.as_slice(), b"private");
            }
            SoReset::Deny => {
                assert!(matches!(outcome, Err(Error::Denied)));
                token.unlock(Role::User, USER_PIN).unwrap();
            }
            SoReset::Wipe => {
                outcome.unwrap();
                let again = token.unlock(Role::User, b"new").unwrap();
                assert!(matches!(token.load(Some(&again), id(1)), Err(Error::NotFound)));
                assert!(matches!(
                    token.find(Some(&user), Some(true), &[], None, 9),
                    Err(Error::Locked)
                ));
                assert!(matches!(token.set_user_pin(&so, b"x"), Err(Error::Locked)));
                token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
                token.commit(Some(&again), &[create(3, true, b"", &[])]).unwrap();
                token.unlock(Role::User, b"new").unwrap();
            }
        }
    }
}

#[test]
fn without_a_seal_the_pin_stands_alone() {
    let place = Place::new();
    let mut config = place.config();
    config.seal = strongroom_keystore::config::Seal::None;
    let store = Store::open(&config).unwrap();
    let token = store.create(&LABEL, SO_PIN).unwrap();
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    token.commit(Some(&so), &[create(1, true, b"body", &[])]).unwrap();
    drop((store, token));
    let store = Store::open(&config).unwrap();
    let so = first(&store).unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    assert_eq!(first(&store).load(Some(&so), id(1)).unwrap().body.as_slice(), b"body");
    assert!(!place.path("seal/seal.key").exists());
}
