//! Stores: made with the first token, scanned, sealed, backed up, removed.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, thread, time::Duration};

use crate::common::{LABEL, Place, SO_PIN, USER_PIN, create, first, id, private};
use strongroom_keystore::{Config, Error, Finding, Role, Severity, Store, config::Seal};

/// After so long everybody has noticed that a file was put in the place of another.
const NOTICED: Duration = Duration::from_millis(150);

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_is_made_before_the_first_token() {
    let place = Place::new();
    let store = place.store();
    assert!(store.tokens().unwrap().is_empty());
    assert_eq!(store.check().iter().filter(|f| f.severity == Severity::Fault).count(), 0);
    assert!(!place.path("store").exists() && !place.path("seal").exists());
    let token = store.create(&LABEL, SO_PIN).unwrap();
    assert_eq!(store.tokens().unwrap().len(), 1);
    for (path, expected) in [
        (place.path("store"), 0o700),
        (place.path("seal"), 0o700),
        (place.path("seal/seal.key"), 0o600),
        (place.database(&token), 0o600),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    for entry in fs::read_dir(place.path("store")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_token_is_the_same_each_time_and_sorted_by_serial() {
    let place = Place::new();
    let store = place.store();
    for _ in 0..4 {
        store.create(&LABEL, SO_PIN).unwrap();
    }
    let tokens = store.tokens().unwrap();
    let again = store.tokens().unwrap();
    assert!(tokens.iter().zip(&again).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert!(tokens.windows(2).all(|pair| pair[0].serial() < pair[1].serial()));
    assert!(tokens.iter().all(|token| token.status().unwrap().serial == token.serial()));
    assert!(tokens[0].serial().iter().all(|digit| b"0123456789abcdef".contains(digit)));
}

#[test]
fn another_store_sees_tokens_come_and_go() {
    let place = Place::new();
    let (one, other) = (place.store(), place.store());
    assert!(other.tokens().unwrap().is_empty());
    let token = one.create(&LABEL, SO_PIN).unwrap();
    let seen = first(&other);
    assert_eq!(seen.status().unwrap().label, LABEL);
    let second = one.create(&LABEL, SO_PIN).unwrap();
    assert_eq!(other.tokens().unwrap().len(), 2);
    one.remove(&token).unwrap();
    assert!(matches!(seen.version(), Err(Error::NotFound)));
    assert!(matches!(seen.unlock(Role::SecurityOfficer, SO_PIN), Err(Error::NotFound)));
    assert!(matches!(one.remove(&token), Err(Error::NotFound)));
    assert_eq!(first(&other).id(), second.id());
    assert_eq!(other.tokens().unwrap().len(), 1);
    let prefix = String::from_utf8(token.serial().to_vec()).unwrap();
    for entry in fs::read_dir(place.path("store")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with(&prefix), "{name} is left");
    }
}

#[test]
fn a_damaged_token_does_not_hide_the_others() {
    let place = Place::new();
    let (store, token, _) = place.token();
    fs::write(place.path(&format!("store/{}.db", "00".repeat(16))), b"rubbish").unwrap();
    fs::write(place.path(&format!("store/{}.db", "ff".repeat(16))), b"").unwrap();
    let tokens = store.tokens().unwrap();
    assert_eq!(tokens.len(), 3);
    assert!(matches!(tokens[0].status(), Err(Error::Corrupt(_))));
    assert!(matches!(tokens[2].status(), Err(Error::Corrupt(_))));
    assert!(Arc::ptr_eq(&tokens[1], &token));
    assert_eq!(token.status().unwrap().label, LABEL);
}

#[test]
fn a_serial_number_can_be_brought_along() {
    let place = Place::new();
    let store = place.store();
    let token = store.create_with_serial(b"00c0ffee00c0ffee", &LABEL, SO_PIN).unwrap();
    assert_eq!(&token.serial(), b"00c0ffee00c0ffee");
    let again = store.create_with_serial(b"00c0ffee00c0ffee", &LABEL, SO_PIN);
    assert!(matches!(again, Err(Error::Conflict)));
    for bad in [b"00C0FFEE00C0FFEE", b"xxxxxxxxxxxxxxxx", b"+0c0ffee00c0ffee"] {
        let outcome = store.create_with_serial(bad, &LABEL, SO_PIN);
        assert!(matches!(outcome, Err(Error::Unsupported(_))));
    }
}

#[test]
fn without_the_seal_key_nothing_opens() {
    let place = Place::new();
    place.token();
    let key = place.path("seal/seal.key");
    let right = fs::read(&key).unwrap();

    fs::remove_file(&key).unwrap();
    let store = place.store();
    assert!(matches!(first(&store).status(), Err(Error::SealMissing(path)) if path == key));
    assert!(matches!(store.create(&LABEL, SO_PIN), Err(Error::SealMissing(_))));
    assert!(!key.exists());
    // The same store goes on as soon as the key is back.
    fs::write(&key, &right).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    first(&store).unlock(Role::User, USER_PIN).unwrap();

    fs::write(&key, [7; 32]).unwrap();
    assert!(matches!(first(&place.store()).status(), Err(Error::SealWrong(_))));
    fs::write(&key, &right).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(first(&place.store()).status(), Err(Error::SealExposed(_))));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    first(&place.store()).unlock(Role::User, USER_PIN).unwrap();

    let mut config = place.config();
    config.seal = Seal::None;
    let outcome = first(&Store::open(&config).unwrap()).status();
    assert!(matches!(outcome, Err(Error::Unsupported(why)) if why.contains("[seal] file")));
}

#[test]
fn a_backup_brings_a_token_back() {
    let place = Place::new();
    let (store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"kept", &[])]).unwrap();
    let backup = place.path("backup.db");
    store.backup(&token, &backup).unwrap();
    assert_eq!(mode(&backup), 0o600);
    assert!(matches!(store.backup(&token, &backup), Err(Error::Conflict)));
    assert!(matches!(store.restore(&backup, false), Err(Error::Conflict)));

    // Replaced in place, under the feet of another store that watches.
    token.commit(Some(&user), &[create(2, true, b"lost", &[])]).unwrap();
    token.set_pin(Role::User, USER_PIN, b"new").unwrap();
    let other = place.store();
    let watcher = first(&other);
    let before = watcher.version().unwrap();
    let restored = store.restore(&backup, true).unwrap();
    assert!(Arc::ptr_eq(&restored, &token));
    assert!(watcher.version().unwrap() > before);
    assert_eq!(watcher.changes(before).unwrap(), strongroom_keystore::Changes::All);
    let again = watcher.unlock(Role::User, USER_PIN).unwrap();
    assert_eq!(watcher.find(Some(&again), Some(true), &[], None, 9).unwrap(), [private(1)]);

    // Restored where it was removed.
    store.remove(&token).unwrap();
    let restored = store.restore(&backup, false).unwrap();
    let user = restored.unlock(Role::User, USER_PIN).unwrap();
    assert_eq!(restored.load(Some(&user), id(1)).unwrap().body.as_slice(), b"kept");
    restored.commit(Some(&user), &[create(3, true, b"", &[])]).unwrap();
    restored.unlock(Role::User, USER_PIN).unwrap();
    assert!(store.check().iter().all(|finding| finding.severity == Severity::Fine));
}

#[test]
fn a_restored_token_is_never_taken_for_what_went_on_from_the_backup() {
    let place = Place::new();
    let (store, token, user) = place.token();
    let backup = place.path("backup.db");
    store.backup(&token, &backup).unwrap();
    let other = place.store();
    let watcher = first(&other);
    token.commit(Some(&user), &[create(1, true, b"gone", &[])]).unwrap();
    let other_user = watcher.unlock(Role::User, USER_PIN).unwrap();
    let seen = watcher.version().unwrap();

    // So many commits as went on from the backup before: another one must not look like the same.
    store.remove(&token).unwrap();
    let restored = store.restore(&backup, false).unwrap();
    assert!(restored.version().unwrap() > seen);
    thread::sleep(NOTICED);
    assert!(watcher.find(Some(&other_user), Some(true), &[], None, 9).unwrap().is_empty());
    watcher.commit(Some(&other_user), &[create(2, true, b"new", &[])]).unwrap();
    let again = place.store();
    let user = first(&again).unlock(Role::User, USER_PIN).unwrap();
    assert_eq!(first(&again).find(Some(&user), Some(true), &[], None, 9).unwrap(), [private(2)]);
}

#[test]
fn a_backup_takes_the_place_of_a_database_that_cannot_be_read() {
    let place = Place::new();
    let (store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"kept", &[])]).unwrap();
    let backup = place.path("backup.db");
    store.backup(&token, &backup).unwrap();
    let database = place.database(&token);
    let whole = fs::read(&database).unwrap();
    let mut pages = whole.clone();
    pages[..4096].fill(7);
    let mut behind = whole.clone();
    behind[4096..].fill(7);
    for damaged in [vec![], b"rubbish".to_vec(), whole[..5000].to_vec(), pages, behind] {
        fs::write(&database, &damaged).unwrap();
        thread::sleep(NOTICED);
        let stopped = place.store();
        assert!(matches!(first(&stopped).unlock(Role::User, USER_PIN), Err(Error::Corrupt(_))));
        assert!(matches!(stopped.restore(&backup, false), Err(Error::Conflict)));
        let restored = stopped.restore(&backup, true).unwrap();
        let user = restored.unlock(Role::User, USER_PIN).unwrap();
        assert_eq!(restored.load(Some(&user), id(1)).unwrap().body.as_slice(), b"kept");
        restored.commit(Some(&user), &[create(2, true, b"", &[])]).unwrap();
        // Who has had it open goes on with it.
        thread::sleep(NOTICED);
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        assert_eq!(token.load(Some(&user), id(1)).unwrap().body.as_slice(), b"kept");
        let findings = stopped.check();
        assert!(findings.iter().all(|finding| finding.severity == Severity::Fine), "{findings:?}");
    }
}

#[test]
fn an_empty_database_keeps_the_log_beside_it() {
    let place = Place::new();
    let (store, token, _) = place.token();
    let log = place.database(&token).with_extension("db-wal");
    let kept = fs::read(&log).unwrap();
    assert!(!kept.is_empty());
    fs::write(place.database(&token), b"").unwrap();
    assert!(matches!(first(&place.store()).status(), Err(Error::Corrupt(_))));
    assert!(store.check().iter().any(|finding| finding.severity == Severity::Fault));
    assert_eq!(fs::read(&log).unwrap(), kept);
}

#[test]
fn a_first_token_is_under_the_seal_key_that_lies_there() {
    let place = Place::new();
    let (store, token, _) = place.token();
    let key = place.path("seal/seal.key");
    let old = fs::read(&key).unwrap();

    // Beside other tokens a key that is missing, or another one, is an error.
    fs::remove_file(&key).unwrap();
    assert!(matches!(store.create(&LABEL, SO_PIN), Err(Error::SealMissing(_))));
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(store.create(&LABEL, SO_PIN), Err(Error::SealWrong(_))));

    // Where there are none any more, there is a new one, which lies there before the token does.
    store.remove(&token).unwrap();
    fs::remove_file(&key).unwrap();
    store.create(&LABEL, SO_PIN).unwrap();
    assert_ne!(fs::read(&key).unwrap(), old);
    for store in [&store, &place.store()] {
        first(store).unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    }
}

#[test]
fn a_commit_that_cannot_be_announced_is_none() {
    let place = Place::new();
    let (_, token, _) = place.token();
    let words = place.database(&token).with_extension("gen");
    fs::remove_file(&words).unwrap();
    fs::create_dir(&words).unwrap();
    let store = place.store();
    let other = first(&store);
    let user = other.unlock(Role::User, USER_PIN).unwrap();
    let outcome = other.commit(Some(&user), &[create(1, true, b"", &[])]);
    let Err(Error::Io(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains(".gen cannot be used"), "{error}");
    fs::remove_dir(&words).unwrap();
    assert!(other.find(Some(&user), None, &[], None, 9).unwrap().is_empty());
    other.commit(Some(&user), &[create(1, true, b"", &[])]).unwrap();
}

#[test]
fn the_name_of_a_backup_is_never_an_address() {
    let place = Place::new();
    let (store, token, _) = place.token();
    let stem = place.path("x").to_str().unwrap().replace('/', "_");
    for name in [format!("file:{stem}?mode=memory"), format!(":memory:{stem}")] {
        let path = std::path::PathBuf::from(&name);
        store.backup(&token, &path).unwrap();
        let len = fs::metadata(&path).unwrap().len();
        fs::remove_file(&path).unwrap();
        assert!(len > 4096, "{name} has {len} bytes");
    }
}

#[test]
fn a_backup_of_another_seal_or_a_damaged_one_is_refused() {
    let place = Place::new();
    let (store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"kept", &[])]).unwrap();
    let backup = place.path("backup.db");
    store.backup(&token, &backup).unwrap();

    let stranger = Place::new();
    stranger.token();
    assert!(matches!(stranger.store().restore(&backup, false), Err(Error::SealWrong(_))));
    assert!(matches!(store.restore(&place.path("none"), true), Err(Error::NotFound)));
    fs::write(place.path("rubbish"), vec![7; 5000]).unwrap();
    assert!(matches!(store.restore(&place.path("rubbish"), true), Err(Error::Corrupt(_))));
    let sql = rusqlite::Connection::open(&backup).unwrap();
    sql.execute_batch("DELETE FROM object; DELETE FROM tag").unwrap();
    drop(sql);
    assert!(matches!(store.restore(&backup, true), Err(Error::Corrupt(_))));
    assert_eq!(token.find(Some(&user), Some(true), &[], None, 9).unwrap(), [private(1)]);
}

#[test]
fn a_check_names_what_is_open_and_what_is_left_over() {
    let place = Place::new();
    let (store, token, _) = place.token();
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&place.path("store"), 0o755);
    set(&place.database(&token), 0o644);
    fs::write(place.path("store/x.new"), b"").unwrap();
    fs::write(place.path("seal/.seal-0123456789abcdef.new"), b"").unwrap();
    let findings = store.check();
    let faults: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Fault).collect();
    assert_eq!(faults.len(), 2, "{findings:?}");
    assert!(faults.iter().all(|fault| fault.remedy.starts_with("run `chmod 0")));
    let warnings: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Warning).collect();
    for (what, remedy) in [("x.new", "remove"), (".seal-", "remove"), ("group", "run `chmod g+s")] {
        let found = |f: &&&Finding| f.what.contains(what) && f.remedy.starts_with(remedy);
        assert!(warnings.iter().any(|f| found(&f)), "{what}: {findings:?}");
    }
}

#[test]
fn a_check_says_what_old_programs_cost() {
    let place = Place::new();
    let costs = |set: fn(&mut Config)| {
        let mut config = place.config();
        set(&mut config);
        let findings = Store::open(&config).unwrap().check();
        assert!(findings.iter().all(|finding| finding.severity < Severity::Fault), "{findings:?}");
        let told = |about: &str| findings.iter().any(|finding| finding.what.contains(about));
        ["too weak", "habits", "forked children"].map(told)
    };
    assert_eq!(costs(|_| {}), [false; 3]);
    assert_eq!(costs(|config| config.legacy = true), [true, false, false]);
    assert_eq!(costs(|config| config.compatible = true), [false, true, false]);
    assert_eq!(costs(|config| config.child_inherits = true), [false, false, true]);
}

#[test]
fn a_store_shared_by_a_group_stays_shared() {
    let place = Place::new();
    fs::create_dir(place.path("store")).unwrap();
    fs::set_permissions(place.path("store"), fs::Permissions::from_mode(0o770)).unwrap();
    let (_store, token, _user) = place.token();
    assert_eq!(mode(&place.database(&token)), 0o660);
    for entry in fs::read_dir(place.path("store")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o660, "{}", path.display());
    }
}
