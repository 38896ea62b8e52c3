//! A store whose seal key an operator unlocks.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::common::{LABEL, Place, SO_PIN};
use strongroom_keystore::{
    Config, Error, Locks, Opener, Role, Severity, Store,
    config::{Seal, StartKey},
};

const WORDS: Opener<'_> = Opener::Passphrase(b"four quiet green boats");
const KEY: Opener<'_> = Opener::Key(&[7; 32]);

/// A store that `place`'s configuration describes, but with a locked seal key.
fn store(place: &Place) -> Store {
    store_with(place, None)
}

fn store_with(place: &Place, key: Option<StartKey>) -> Store {
    let seal = Seal::Operator { locks: place.path("seal.locked"), key };
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
    assert_eq!((operated.is_sealed(), operated.era()), (true, 1));
    assert!(matches!(operated.unseal(KEY), Err(Error::WrongPin)));
    assert!(matches!(operated.unseal(Opener::Passphrase(b"five boats")), Err(Error::WrongPin)));
    operated.unseal(WORDS).unwrap();
    assert!(!operated.is_sealed());
    let token = operated.create(&LABEL, SO_PIN).unwrap();
    token.verify(Role::SecurityOfficer, SO_PIN).unwrap();

    operated.unseal(WORDS).unwrap();
    assert_eq!(operated.era(), 2, "it was open");
    operated.seal();
    operated.seal();
    assert_eq!((operated.is_sealed(), operated.era()), (true, 3));
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

#[test]
fn a_key_in_a_file_unseals_at_start() {
    let place = Place::new();
    Locks::of_new("service", KEY).unwrap().write(&place.path("seal.locked")).unwrap();
    assert!(!store(&place).unseal_at_start().unwrap(), "nothing is named");
    let path = place.path("unseal.key");
    let operated = store_with(&place, Some(StartKey::File(path.clone())));
    assert!(
        matches!(operated.unseal_at_start(), Err(Error::Unsupported(why)) if why.contains("unseal.key"))
    );
    for (bytes, mode, fine) in
        [([7; 32], 0o644, false), ([8; 32], 0o400, false), ([7; 32], 0o400, true)]
    {
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(operated.unseal_at_start().is_ok(), fine);
        assert_eq!(operated.is_sealed(), !fine);
    }
    // Tests share an environment, so where the service manager puts credentials is not said.
    let credential = store_with(&place, Some(StartKey::Credential("unseal".into())));
    assert!(matches!(credential.unseal_at_start(), Err(Error::Unsupported(_))));
}
