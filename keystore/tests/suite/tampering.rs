//! Whoever can write the store, and has no seal key, is found out.

use std::sync::Arc;

use crate::common::{Place, SO_PIN, USER_PIN, create, first, id, term};
use rusqlite::Connection;
use strongroom_keystore::{Change, Error, Role, Severity, Store, Token, Unlocked, config::SoReset};

/// A token with two private objects (one of them replaced once) and a public one.
struct Victim {
    place: Place,
    store: Store,
    token: Arc<Token>,
    user: Unlocked,
}

impl Victim {
    fn new() -> Self {
        let place = Place::new();
        let (store, token, user) = place.token();
        let terms = [term(b"1"), term(b"2"), term(b"3")];
        let changes = [
            create(1, true, b"one", &terms[0]),
            create(2, true, b"two", &terms[1]),
            create(3, false, b"three", &terms[2]),
        ];
        token.commit(Some(&user), &changes).unwrap();
        Self { place, store, token, user }
    }

    fn sql(&self) -> Connection {
        Connection::open(self.place.database(&self.token)).unwrap()
    }

    fn tamper(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    /// The store that a process which starts now sees.
    fn reopened(&self) -> Arc<Token> {
        first(&self.place.store())
    }

    fn assert_noticed(&self) {
        let findings = self.place.store().check();
        let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault);
        assert_eq!(faults.count(), 1, "{findings:?}");
        // For who starts now, and for who has been there all the time: the version says nothing of it.
        for token in [&self.reopened(), &self.token] {
            let outcome = token.unlock(Role::User, USER_PIN);
            assert!(matches!(outcome, Err(Error::Corrupt(_))));
        }
    }
}

#[test]
fn an_honest_store_has_no_fault() {
    let victim = Victim::new();
    let findings = victim.store.check();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Fine), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.ends_with("with 3 objects")));
}

#[test]
fn swapped_rows_do_not_open() {
    let victim = Victim::new();
    victim.tamper(
        "CREATE TEMP TABLE o AS SELECT * FROM object WHERE private=1;
         UPDATE object SET sealed=(SELECT sealed FROM o WHERE o.oid<>object.oid) WHERE private=1;",
    );
    for number in [1, 2] {
        let outcome = victim.token.load(Some(&victim.user), id(number));
        assert!(matches!(outcome, Err(Error::Corrupt(_))));
    }
    victim.assert_noticed();
}

#[test]
fn an_edited_attribute_does_not_open() {
    for edit in [
        "sealed=CAST(substr(sealed, 1, 60)||x'0001020304050607'||substr(sealed, 69) AS BLOB)",
        "private=1-private",
        "revision=revision+1",
        "epoch=epoch+1",
    ] {
        let victim = Victim::new();
        victim.tamper(&format!("UPDATE object SET {edit}"));
        for number in 1..=3 {
            assert!(victim.token.load(Some(&victim.user), id(number)).is_err(), "{edit}");
        }
    }
}

#[test]
fn a_row_in_an_older_state_is_noticed() {
    let victim = Victim::new();
    victim.sql().execute_batch("CREATE TABLE keep AS SELECT * FROM object").unwrap();
    let terms = term(b"1");
    let change =
        Change::Replace { id: id(1), revision: 1, private: true, body: b"new", terms: &terms };
    victim.token.commit(Some(&victim.user), &[change]).unwrap();
    victim.tamper("REPLACE INTO object SELECT * FROM keep WHERE revision=1; DROP TABLE keep;");
    victim.assert_noticed();
}

#[test]
fn a_deleted_row_is_noticed() {
    let victim = Victim::new();
    victim.tamper("DELETE FROM object WHERE private=0; DELETE FROM tag WHERE oid NOT IN (SELECT oid FROM object)");
    victim.assert_noticed();
}

#[test]
fn a_row_that_was_deleted_does_not_come_back() {
    let victim = Victim::new();
    victim.tamper("CREATE TABLE o AS SELECT * FROM object; CREATE TABLE t AS SELECT * FROM tag");
    victim.token.commit(Some(&victim.user), &[Change::Delete { id: id(1) }]).unwrap();
    victim.tamper("REPLACE INTO object SELECT * FROM o; REPLACE INTO tag SELECT * FROM t; DROP TABLE o; DROP TABLE t");
    victim.assert_noticed();
}

#[test]
fn edited_search_tags_are_noticed() {
    for edit in [
        "DELETE FROM tag WHERE oid=(SELECT max(oid) FROM tag)",
        "INSERT INTO tag SELECT x'00112233445566778899aabbccddeeff', max(oid) FROM tag",
        "INSERT INTO tag VALUES(x'00112233445566778899aabbccddeeff', x'ffffffffffffffffffffffffffffffff')",
    ] {
        let victim = Victim::new();
        victim.tamper(edit);
        victim.assert_noticed();
    }
}

#[test]
fn a_counter_of_wrong_pins_cannot_be_turned_back() {
    let victim = Victim::new();
    victim.token.verify(Role::User, b"bad").unwrap_err();
    victim.tamper("UPDATE slot SET fails=0, next=0");
    assert!(matches!(victim.reopened().status(), Err(Error::Corrupt(_))));
    victim.assert_noticed();
}

#[test]
fn an_old_slot_with_an_old_pin_does_not_come_back() {
    let victim = Victim::new();
    victim.tamper("CREATE TABLE keep AS SELECT * FROM slot");
    victim.token.set_pin(Role::User, USER_PIN, b"new").unwrap();
    victim.tamper("REPLACE INTO slot SELECT * FROM keep; DROP TABLE keep");
    victim.assert_noticed();
}

#[test]
fn a_missing_slot_is_no_missing_pin() {
    let victim = Victim::new();
    victim.tamper("DELETE FROM slot WHERE role=1");
    assert!(matches!(victim.reopened().unlock(Role::User, USER_PIN), Err(Error::Corrupt(_))));
}

#[test]
fn an_edited_header_does_not_open() {
    for edit in ["version=version-1", "sealed=zeroblob(300)", "token=zeroblob(16)", "seal=x'01'"] {
        let victim = Victim::new();
        victim.tamper(&format!("UPDATE header SET {edit}"));
        let outcome = victim.reopened().status();
        assert!(matches!(outcome, Err(Error::Corrupt(_))), "{edit}");
    }
    let victim = Victim::new();
    victim.tamper("UPDATE header SET format=3");
    assert!(matches!(victim.reopened().status(), Err(Error::TooNew { format: 3 })));
    victim.tamper("PRAGMA user_version=3");
    assert!(matches!(victim.reopened().status(), Err(Error::TooNew { format: 3 })));
}

#[test]
fn a_trigger_is_noticed() {
    let victim = Victim::new();
    victim.tamper("CREATE TRIGGER t AFTER INSERT ON object BEGIN DELETE FROM tag; END");
    let findings = victim.place.store().check();
    assert!(findings.iter().any(|finding| finding.severity == Severity::Fault), "{findings:?}");
}

#[test]
fn a_trigger_does_not_run() {
    let victim = Victim::new();
    victim.token.verify(Role::User, b"bad").unwrap_err();
    // The state after one wrong PIN is a valid one.
    victim.tamper(
        "CREATE TABLE keep AS SELECT * FROM slot;
         CREATE TRIGGER t AFTER UPDATE ON slot WHEN new.fails>1 BEGIN
             UPDATE slot SET fails=1, next=0, mac=(SELECT mac FROM keep WHERE role=new.role)
             WHERE role=new.role;
         END;",
    );
    let token = victim.reopened();
    token.verify(Role::User, b"bad").unwrap_err();
    let fails = "SELECT fails FROM slot WHERE role=1";
    assert_eq!(victim.sql().query_row(fails, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    token.unlock(Role::User, USER_PIN).unwrap();
}

#[test]
fn a_view_is_no_table() {
    let victim = Victim::new();
    victim.tamper("ALTER TABLE slot RENAME TO keep; CREATE VIEW slot AS SELECT * FROM keep");
    assert!(victim.reopened().unlock(Role::User, USER_PIN).is_err());
}

#[test]
fn wiping_private_objects_does_not_make_a_tampered_token_whole() {
    let victim = Victim::new();
    let mut config = victim.place.config();
    config.so_reset = SoReset::Wipe;
    let token = first(&Store::open(&config).unwrap());
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    victim.tamper("DELETE FROM tag WHERE oid=(SELECT oid FROM object WHERE private=0); DELETE FROM object WHERE private=0");
    assert!(matches!(token.set_user_pin(&so, b"new"), Err(Error::Corrupt(_))));
    victim.assert_noticed();
}

/// A store whose database was put back as it was before its last commit, and that commit's object.
fn rolled_back() -> (Place, std::path::PathBuf) {
    let Victim { place, store, token, user } = Victim::new();
    let path = place.database(&token);
    let (old, log) = (place.path("old.db"), path.with_extension("db-wal"));
    drop((store, token, user));
    // Nobody has the token open, so everything is in the database.
    assert!(!log.exists());
    std::fs::copy(&path, &old).unwrap();
    let store = place.store();
    let token = first(&store);
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    token.commit(Some(&user), &[create(4, true, b"four", &[])]).unwrap();
    drop((store, token, user));
    std::fs::copy(&old, &path).unwrap();
    (place, path)
}

#[test]
fn an_older_file_in_the_place_of_the_token_is_noticed() {
    let (place, path) = rolled_back();
    let token = first(&place.store());
    let error = token.status().unwrap_err().to_string();
    assert!(error.contains("acknowledged are missing"), "{error}");
    assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    assert!(matches!(token.unlock(Role::User, USER_PIN), Err(Error::Corrupt(_))));
    // Whoever wants it all the same does what the text says.
    std::fs::remove_file(path.with_extension("gen")).unwrap();
    let token = first(&place.store());
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    assert!(token.load(Some(&user), id(1)).is_ok());
    assert!(matches!(token.load(Some(&user), id(4)), Err(Error::NotFound)));
}

#[test]
fn a_backup_brings_a_token_back_that_was_rolled_back() {
    let (place, path) = rolled_back();
    let backup = place.path("backup.db");
    std::fs::copy(place.path("old.db"), &backup).unwrap();
    let store = place.store();
    let token = store.restore(&backup, true).unwrap();
    token.unlock(Role::User, USER_PIN).unwrap();
    // And one of which there is nothing but what it left beside its database.
    drop((store, token));
    std::fs::remove_file(&path).unwrap();
    let token = place.store().restore(&backup, false).unwrap();
    token.unlock(Role::User, USER_PIN).unwrap();
}

#[test]
fn a_log_that_was_cut_or_damaged_loses_nothing_in_silence() {
    let place = Place::new();
    let (store, token, user) = place.token();
    for number in 1..4 {
        token.commit(Some(&user), &[create(number, true, b"x", &[])]).unwrap();
    }
    let (path, other) = (place.database(&token), Place::new());
    let log = std::fs::read(path.with_extension("db-wal")).unwrap();
    let name = |end: &str| path.with_extension(end).file_name().unwrap().to_owned();
    // As the machine leaves it that stops now.
    std::fs::create_dir(other.path("store")).unwrap();
    std::fs::create_dir(other.path("seal")).unwrap();
    std::fs::copy(place.path("seal/seal.key"), other.path("seal/seal.key")).unwrap();
    let put = |log: &[u8]| {
        for end in ["db", "gen"] {
            std::fs::copy(path.with_extension(end), other.path("store").join(name(end))).unwrap();
        }
        let _ = std::fs::remove_file(other.path("store").join(name("db-shm")));
        std::fs::write(other.path("store").join(name("db-wal")), log).unwrap();
        first(&other.store()).status()
    };
    put(&log).unwrap();
    let mut damaged = log.clone();
    let middle = log.len() / 2;
    damaged[middle] ^= 1;
    for log in [&log[..log.len() - 1], &log[..middle], &log[..10], &[], &damaged] {
        let error = put(log).unwrap_err().to_string();
        assert!(error.contains("acknowledged are missing"), "{error}");
    }
    drop((store, token, user));
}

#[test]
fn another_token_under_the_same_name_is_no_substitute() {
    let victim = Victim::new();
    let path = victim.place.database(&victim.token);
    drop(victim.store);
    drop(victim.token);
    let other = Place::new();
    let mut config = other.config();
    config.seal = strongroom_keystore::config::Seal::None;
    let store = Store::open(&config).unwrap();
    let token = store.create(&[b'x'; 32], USER_PIN).unwrap();
    let from = other.database(&token);
    drop((store, token));
    std::fs::copy(from, path).unwrap();
    let outcome = first(&victim.place.store()).status();
    assert!(matches!(outcome, Err(Error::Corrupt(_))));
}
