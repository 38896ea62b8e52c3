//! A store whose seal key an operator unlocks.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;

use common::{LABEL, Place, SO_PIN};
use strongroom_keystore::{Config, Error, Locks, Opener, Role, Severity, Store, config::Seal};

const WORDS: Opener<'_> = Opener::Passphrase(b"four quiet green boats");
const KEY: Opener<'_> = Opener::Key(&[7; 32]);

/// A store that `place`'s configuration describes, but with a locked seal key.
fn store(place: &Place) -> Store {
    let seal = Seal::Operator(place.path("seal.locked"));
    Store::open(&Config::plain(place.path("store"), seal)).unwrap()
}

#[test]
fn nothing_is_read_or_made_until_it_is_unsealed() {
    let place = Place::new();
    let operated = store(&place);
    assert!(operated.is_sealed());
    assert!(matches!(operated.create(&LABEL, SO_PIN), Err(Error::Sealed)));
    assert!(matches!(operated.unseal(WORDS), Err(Error::SealMissing(_))));

    Locks::of_new("boats", WORDS).unwrap().write(&place.path("seal.locked")).unwrap();
    assert!(operated.is_sealed());
    assert!(matches!(operated.unseal(KEY), Err(Error::WrongPin)));
    assert!(matches!(operated.unseal(Opener::Passphrase(b"five boats")), Err(Error::WrongPin)));
    operated.unseal(WORDS).unwrap();
    assert!(!operated.is_sealed());
    let token = operated.create(&LABEL, SO_PIN).unwrap();
    token.verify(Role::SecurityOfficer, SO_PIN).unwrap();

    operated.seal();
    assert!(operated.is_sealed());
    assert!(matches!(token.status(), Err(Error::Sealed)), "what was held is sealed too");
    assert!(matches!(token.verify(Role::SecurityOfficer, SO_PIN), Err(Error::Sealed)));
    let again = operated.tokens().unwrap();
    assert!(matches!(again.first().unwrap().status(), Err(Error::Sealed)));
    assert!(operated.check().iter().all(|finding| finding.severity != Severity::Fault));

    operated.unseal(WORDS).unwrap();
    assert_eq!(token.status().unwrap().label, LABEL);
}

#[test]
fn a_key_in_a_file_is_locked_and_opens_the_same_tokens() {
    let place = Place::new();
    let plain = place.store();
    let token = plain.create(&LABEL, SO_PIN).unwrap();
    let key = place.path("seal/seal.key");
    let mut locks = Locks::of_file(&key, "service", KEY).unwrap();
    locks.extend(KEY, "operator", WORDS).unwrap();
    assert!(matches!(locks.extend(Opener::Key(&[8; 32]), "x", WORDS), Err(Error::WrongPin)));
    locks.write(&place.path("seal.locked")).unwrap();
    fs::remove_file(&key).unwrap();

    let operated = store(&place);
    operated.unseal(WORDS).unwrap();
    let same = operated.tokens().unwrap().pop().unwrap();
    assert_eq!(same.serial(), token.serial());
    same.verify(Role::SecurityOfficer, SO_PIN).unwrap();
    assert!(matches!(plain.unseal(WORDS), Err(Error::Unsupported(_))), "nobody has to");
}
