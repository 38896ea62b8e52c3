//! A new master key: everything is there under it, and nothing under the old one.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::common::{
    LABEL, NAME, Place, SO_PIN, USER_PIN, create, first, id, private, public, term,
};
use rusqlite::Connection;
use strongroom_keystore::{Change, Changes, Error, OwnTerm, Role, Severity, Token, Unlocked};

/// In these tests an object is found by what its body says.
pub(crate) fn found_by(body: &[u8]) -> Option<Vec<OwnTerm>> {
    Some(vec![(NAME, body.to_vec().into())])
}

fn rotate(token: &Token) -> Result<u64, Error> {
    token.rotate(SO_PIN, Some(USER_PIN), found_by)
}

/// A private object, found by its body.
fn put(token: &Token, user: &Unlocked, number: u64, body: &[u8]) -> Result<(), Error> {
    token.commit(Some(user), &[create(number, true, body, &term(body))])
}

fn find(token: &Token, keys: &Unlocked, body: &[u8]) -> Vec<strongroom_keystore::Found> {
    token.find(Some(keys), None, &term(body), None, 9).unwrap()
}

fn assert_sound(place: &Place) {
    let findings = place.store().check();
    assert!(findings.iter().all(|f| f.severity == Severity::Fine), "{findings:?}");
}

#[test]
fn every_object_is_there_and_both_pins_open() {
    let place = Place::new();
    let (store, token, user) = place.token();
    put(&token, &user, 1, b"one").unwrap();
    put(&token, &user, 2, b"two").unwrap();
    let terms = term(b"three");
    let replace =
        Change::Replace { id: id(2), revision: 1, private: true, body: b"three", terms: &terms };
    let open = term(b"open");
    token.commit(Some(&user), &[replace, create(3, false, b"open", &open)]).unwrap();
    let before = token.version().unwrap();
    for round in 1..4 {
        assert_eq!(rotate(&token).unwrap(), 2, "{round}");
        assert_eq!(token.changes(before).unwrap(), Changes::All);
        // This process, and one that starts now.
        for token in [&token, &first(&place.store())] {
            for (role, pin) in [(Role::SecurityOfficer, SO_PIN), (Role::User, USER_PIN)] {
                let keys = token.unlock(role, pin).unwrap();
                let load = |number| token.load(Some(&keys), id(number)).unwrap();
                assert_eq!((load(1).revision, load(1).body.as_slice()), (1, &b"one"[..]));
                assert_eq!((load(2).revision, load(2).body.as_slice()), (2, &b"three"[..]));
                assert_eq!(find(token, &keys, b"one"), [private(1)]);
                assert_eq!(find(token, &keys, b"three"), [private(2)]);
                assert_eq!(find(token, &keys, b"two"), []);
                assert_eq!(find(token, &keys, b"open"), [public(3)]);
                let all = token.find(Some(&keys), None, &[], None, 9).unwrap();
                assert_eq!(all, [public(3), private(1), private(2)]);
            }
        }
        assert_sound(&place);
    }
    // The officer goes on with the new key.
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    token.set_user_pin(&so, b"new").unwrap();
    let user = token.unlock(Role::User, b"new").unwrap();
    assert_eq!(token.load(Some(&user), id(1)).unwrap().body.as_slice(), b"one");
    drop(store);
}

#[test]
fn who_was_logged_in_is_it_no_more() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    put(&token, &user, 1, b"one").unwrap();
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    // As another process: it has its own memory of the token.
    let other = first(&place.store());
    let there = other.unlock(Role::User, USER_PIN).unwrap();
    rotate(&token).unwrap();
    for (token, keys) in [(&token, &user), (&token, &so), (&other, &there)] {
        assert!(!token.holds(keys).unwrap());
        let gone = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::Locked)));
        gone(token.load(Some(keys), id(1)).map(drop));
        gone(token.find(Some(keys), None, &[], None, 9).map(drop));
        gone(put(token, keys, 2, b"two"));
        gone(token.commit(Some(keys), &[Change::Delete { id: id(1) }]));
        gone(token.set_user_pin(keys, b"new"));
        assert_eq!(token.find(Some(keys), Some(false), &[], None, 9).unwrap(), []);
        let again = token.unlock(Role::User, USER_PIN).unwrap();
        assert!(token.holds(&again).unwrap());
        assert_eq!(token.load(Some(&again), id(1)).unwrap().body.as_slice(), b"one");
    }
}

#[test]
fn it_takes_every_pin_that_there_is() {
    let place = Place::new();
    let store = place.store();
    let token = store.create(&LABEL, SO_PIN).unwrap();
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    put(&token, &so, 1, b"one").unwrap();
    assert!(matches!(rotate(&token), Err(Error::NotInitialized)));
    assert_eq!(token.rotate(SO_PIN, None, found_by).unwrap(), 1);
    assert!(!token.holds(&so).unwrap());
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    token.set_user_pin(&so, USER_PIN).unwrap();
    let before = token.version().unwrap();
    assert!(matches!(token.rotate(SO_PIN, None, found_by), Err(Error::Unsupported(_))));
    assert!(matches!(token.rotate(b"bad", Some(USER_PIN), found_by), Err(Error::WrongPin)));
    assert!(matches!(token.rotate(SO_PIN, Some(b"bad"), found_by), Err(Error::WrongPin)));
    assert!(matches!(token.rotate(SO_PIN, Some(USER_PIN), |_| None), Err(Error::Corrupt(_))));
    assert_eq!(token.version().unwrap(), before, "nothing changed");
    assert!(token.holds(&so).unwrap());
    assert_eq!(rotate(&token).unwrap(), 1);
    assert_sound(&place);
}

#[test]
fn nothing_of_before_is_left_in_the_files() {
    let place = Place::new();
    let (store, token, user) = place.token();
    for number in 0..50 {
        put(&token, &user, number, format!("object {number}").as_bytes()).unwrap();
    }
    let old: Vec<Vec<u8>> = {
        let sql = Connection::open(place.database(&token)).unwrap();
        let mut all =
            sql.prepare("SELECT sealed FROM object UNION ALL SELECT sealed FROM slot").unwrap();
        let rows = all.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(old.len(), 52);
    let left = || {
        let files = fs::read_dir(place.path("store")).unwrap().flatten();
        let bytes: Vec<_> = files.map(|file| fs::read(file.path()).unwrap()).collect();
        // The random head of a blob is in one piece wherever the blob is.
        let is_in = |blob: &&Vec<u8>| {
            bytes.iter().any(|file| file.windows(26).any(|piece| piece == &blob[..26]))
        };
        old.iter().filter(is_in).count()
    };
    assert_eq!(left(), 52, "this test would see them");
    rotate(&token).unwrap();
    assert_eq!(left(), 0);
    drop((store, token));
    assert_eq!(left(), 0);
}

#[test]
fn old_slots_and_rows_do_not_come_back() {
    for (table, rows) in [("slot", "1"), ("object", "private=1"), ("tag", "1")] {
        let place = Place::new();
        let (_store, token, user) = place.token();
        put(&token, &user, 1, b"one").unwrap();
        let sql = || Connection::open(place.database(&token)).unwrap();
        sql().execute_batch(&format!("CREATE TABLE keep AS SELECT * FROM {table}")).unwrap();
        rotate(&token).unwrap();
        sql()
            .execute_batch(&format!(
                "DELETE FROM {table} WHERE {rows}; INSERT INTO {table} SELECT * FROM keep;
                 DROP TABLE keep"
            ))
            .unwrap();
        let late = first(&place.store());
        let outcome = late.unlock(Role::User, USER_PIN);
        assert!(matches!(outcome, Err(Error::Corrupt(_))), "{table}");
        let findings = place.store().check();
        let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault);
        assert_eq!(faults.count(), 1, "{table}: {findings:?}");
        // Nor does another rotation make such a token whole.
        assert!(matches!(rotate(&late), Err(Error::Corrupt(_))), "{table}");
    }
}

#[test]
fn a_backup_from_before_brings_the_old_key_back_and_is_rotated_again() {
    let place = Place::new();
    let (store, token, user) = place.token();
    put(&token, &user, 1, b"one").unwrap();
    store.backup(&token, &place.path("backup.db")).unwrap();
    rotate(&token).unwrap();
    let between = token.unlock(Role::User, USER_PIN).unwrap();
    let token = store.restore(&place.path("backup.db"), true).unwrap();
    assert!(token.holds(&user).unwrap() && !token.holds(&between).unwrap());
    rotate(&token).unwrap();
    assert!(!token.holds(&user).unwrap() && !token.holds(&between).unwrap());
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    assert_eq!(token.load(Some(&user), id(1)).unwrap().body.as_slice(), b"one");
    assert_sound(&place);
}

#[test]
fn others_commit_search_and_change_pins_meanwhile() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    for number in 0..50 {
        put(&token, &user, number, b"old").unwrap();
    }
    let stop = AtomicBool::new(false);
    let go = || !stop.load(Ordering::Relaxed);
    let [made, logins, searches, changes] = [const { AtomicU64::new(0) }; 4];
    let counts = [&made, &logins, &searches, &changes];
    let add = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    thread::scope(|scope| {
        // A writer, which logs in again when it has to, and an object that is replaced all the time.
        let writer = scope.spawn(|| {
            let token = first(&place.store());
            let mut user = token.unlock(Role::User, USER_PIN).unwrap();
            while go() {
                let number = made.load(Ordering::Relaxed) + 1000;
                let revision = number - 999;
                let terms = [term(b"new"), term(b"again")];
                let (new, again) = (&terms[0], &terms[1]);
                let replace = Change::Replace {
                    id: id(0),
                    revision,
                    private: true,
                    body: b"again",
                    terms: again,
                };
                match token.commit(Some(&user), &[create(number, true, b"new", new), replace]) {
                    Ok(()) => drop(add(&made)),
                    Err(Error::Locked) => {
                        user = token.unlock(Role::User, USER_PIN).unwrap();
                        add(&logins);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        // A reader, to whom nothing is ever missing.
        let reader = scope.spawn(|| {
            let token = first(&place.store());
            let mut user = token.unlock(Role::User, USER_PIN).unwrap();
            while go() {
                match token.find(Some(&user), Some(true), &term(b"old"), None, 999) {
                    Ok(found) => assert!(found.len() >= 49, "{}", found.len()),
                    Err(Error::Locked) => user = token.unlock(Role::User, USER_PIN).unwrap(),
                    Err(error) => panic!("{error}"),
                }
                add(&searches);
            }
        });
        // The same PIN, wrapped anew: neither change makes the other fail.
        let changer = scope.spawn(|| {
            let token = first(&place.store());
            while go() {
                token.set_pin(Role::User, USER_PIN, USER_PIN).unwrap();
                add(&changes);
                thread::sleep(Duration::from_millis(300));
            }
        });
        // Three times at least, and until each of them has come to do what it does.
        let mut rotations = 0;
        while rotations < 3 || counts.iter().any(|count| count.load(Ordering::Relaxed) == 0) {
            // Whoever changes a PIN all the time keeps this out for a while.
            while let Err(error) = rotate(&token) {
                assert!(matches!(error, Error::Busy), "{error}");
            }
            rotations += 1;
            let ended = [&writer, &reader, &changer].iter().any(|thread| thread.is_finished());
            let stuck = ended || rotations == 1000;
            stop.store(stuck, Ordering::Relaxed);
            assert!(!stuck, "{counts:?}");
        }
        stop.store(true, Ordering::Relaxed);
        [writer, reader, changer].into_iter().for_each(|thread| thread.join().unwrap());
        let made = made.load(Ordering::Relaxed);
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        let count = |body| token.find(Some(&user), None, &term(body), None, 99_999).unwrap().len();
        assert_eq!(u64::try_from(count(b"new")).unwrap(), made);
        assert_eq!(count(b"again"), 1);
        assert_eq!(token.load(Some(&user), id(0)).unwrap().revision, made + 1);
    });
    assert_sound(&place);
}

#[test]
fn two_at_once_come_one_after_the_other() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    for number in 0..50 {
        put(&token, &user, number, b"one").unwrap();
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let token = first(&place.store());
                for _ in 0..2 {
                    assert_eq!(rotate(&token).unwrap(), 50);
                }
            });
        }
    });
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    let found = token.find(Some(&user), None, &term(b"one"), None, 99).unwrap();
    assert_eq!(found.len(), 50);
    assert_sound(&place);
}
