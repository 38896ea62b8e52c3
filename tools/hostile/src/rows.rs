//! Rows of a token's database: whoever can write the file changes some, in a store whose key he does not
//! have. Whatever can still be read is what was stored; the rest is an error. And the file of a locked
//! seal key, which is any bytes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rusqlite::Connection;
use rusqlite::types::Value;
use strongroom_keystore::config::{Config, Seal};
use strongroom_keystore::{Change, Locks, ObjectId, Opener, Role, Store, Term, Token, Unlocked};
use tempfile::TempDir;

use crate::made;

/// Two objects that only the user opens, and two that are open to everybody.
const OBJECTS: [(ObjectId, bool, &[u8]); 4] = [
    ([1; 16], true, b"a private object"),
    ([2; 16], true, b"another private object"),
    ([3; 16], false, b"a public object"),
    ([4; 16], false, b"another public object"),
];

/// What every object is found by.
const TERM: [Term<'_>; 1] = [Term { name: 3, value: b"x" }];

/// The tables and what they have: in each row one of these becomes something else.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("object", &["oid", "revision", "epoch", "private", "sealed"]),
    ("header", &["format", "token", "version", "seal", "sealed"]),
    ("slot", &["role", "revision", "sealed", "fails", "next", "mac"]),
    ("tag", &["tag", "oid"]),
];

/// No input changes more.
const MOST: usize = 6;

struct Victim {
    config: Config,
    token: Arc<Token>,
    user: Unlocked,
    sql: Connection,
    dir: TempDir,
}

/// The first byte says whether it is rows or a file of locks.
pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static VICTIM: Victim = Victim::new();
    }
    let Some((which, rest)) = data.split_first() else { return };
    VICTIM.with(|victim| match which % 8 {
        0 => victim.locks(rest),
        _ => {
            // What ends in the middle of a change is as good as one that ends before it.
            let _ = victim.change(&mut Unstructured::new(rest));
            victim.read();
            victim.restore();
        }
    });
}

impl Victim {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal::File(dir.path().join("seal.key"));
        let config = Config::plain(dir.path().join("store"), seal);
        let store = Store::open(&config).unwrap();
        let token = store.create(&[b' '; 32], b"87654321").unwrap();
        let so = token.unlock(Role::SecurityOfficer, b"87654321").unwrap();
        token.set_user_pin(&so, b"12345678").unwrap();
        let user = token.unlock(Role::User, b"12345678").unwrap();
        let create = |(id, private, body)| Change::Create { id, private, body, terms: &TERM };
        token.commit(Some(&user), &OBJECTS.map(create)).unwrap();
        let sql = Connection::open(database(&config)).unwrap();
        sql.execute_batch("PRAGMA synchronous=OFF; PRAGMA ignore_check_constraints=ON").unwrap();
        for (table, _) in COLUMNS {
            sql.execute_batch(&format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}"))
                .unwrap();
        }
        let victim = Self { config, token, user, sql, dir };
        assert_eq!(victim.read(), 2 * OBJECTS.len(), "everything is read that nobody changed");
        victim
    }

    /// Changes rows as an input says.
    fn change(&self, u: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..u.int_in_range(1..=MOST)? {
            let (table, columns) = *u.choose(&COLUMNS)?;
            let column = *u.choose(columns)?;
            let row = u.int_in_range(0..=3)?;
            let old = self.value(table, column, row);
            let Some(old) = old else { continue };
            let new = changed(u, &old, || self.value(table, column, (row + 1) % 4))?;
            let place = format!("(SELECT {column} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {row})");
            // What the schema refuses stays as it is.
            let _ = match u.arbitrary::<u8>()? {
                0 => self.sql.execute(&format!("DELETE FROM {table} WHERE {column}={place}"), []),
                _ => {
                    let sql = format!("UPDATE {table} SET {column}=?1 WHERE {column}={place}");
                    self.sql.execute(&sql, [new])
                }
            };
        }
        Ok(())
    }

    fn value(&self, table: &str, column: &str, row: u8) -> Option<Value> {
        let sql = format!("SELECT {column} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {row}");
        self.sql.query_row(&sql, [], |row| row.get(0)).ok()
    }

    /// Puts every row back.
    fn restore(&self) {
        for (table, _) in COLUMNS {
            self.sql
                .execute_batch(&format!(
                    "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
                ))
                .unwrap();
        }
    }

    /// Reads everything, as a process does that has the token open, and as one that begins; says how many
    /// objects there were.
    fn read(&self) -> usize {
        let store = Store::open(&self.config).unwrap();
        let fresh = store.tokens().unwrap_or_default();
        let _ = store.check();
        let mut read = self.read_from(&self.token, Some(&self.user));
        for token in &fresh {
            let _ = (token.status(), token.changes(0), token.policy());
            read += self.read_from(token, Some(&self.user));
            self.read_from(token, None);
        }
        read
    }

    fn read_from(&self, token: &Token, keys: Option<&Unlocked>) -> usize {
        let mut read = 0;
        for (id, private, body) in OBJECTS {
            let Ok(record) = token.load(keys, id) else { continue };
            assert!(record.private == private && record.body[..] == *body, "another object");
            assert!(!private || keys.is_some(), "a private object without a login");
            read += 1;
        }
        for found in token.find(keys, None, &TERM, None, 9).unwrap_or_default() {
            assert!(!found.private || keys.is_some());
            if let Ok(record) = token.load(keys, found.id) {
                assert!(OBJECTS.iter().any(|(_, _, body)| record.body[..] == **body));
            }
        }
        read
    }

    /// A file of locks, which opens nothing.
    fn locks(&self, bytes: &[u8]) {
        let path = self.dir.path().join("seal.locked");
        fs::write(&path, bytes).unwrap();
        let Ok(locks) = Locks::read(&path) else { return };
        let names: Vec<String> = locks.list().map(|(name, _)| name.to_owned()).collect();
        locks.write(&path).unwrap();
        let again = Locks::read(&path).expect("what was written");
        assert!(again.list().map(|(name, _)| name).eq(names.iter().map(String::as_str)));
        let plain = Config::plain(self.dir.path().join("none"), Seal::None);
        let operated = Config { seal: Seal::Operator { locks: path, key: None }, ..plain };
        assert!(Store::open(&operated).unwrap().unseal(Opener::Key(&[0; 32])).is_err());
    }
}

/// The file of the one token.
fn database(config: &Config) -> PathBuf {
    let entries = fs::read_dir(&config.store).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "db");
    paths.into_iter().find(is).expect("a token")
}

/// Something else than a value: a bit of it, its length, other bytes, another row's.
fn changed(
    u: &mut Unstructured<'_>,
    old: &Value,
    other: impl FnOnce() -> Option<Value>,
) -> Result<Value> {
    let Value::Blob(bytes) = old else {
        let number = if let Value::Integer(number) = old { *number } else { 0 };
        return Ok(Value::Integer(match u.arbitrary::<u8>()? {
            0..=63 => number.wrapping_add(1),
            64..=127 => number.wrapping_sub(1),
            _ => u.arbitrary()?,
        }));
    };
    let mut bytes = bytes.clone();
    match u.int_in_range(0..=4)? {
        0 | 1 if !bytes.is_empty() => {
            let at = u.choose_index(bytes.len())?;
            bytes[at] ^= u.int_in_range(1..=255)?;
        }
        2 => bytes.truncate(u.int_in_range(0..=bytes.len())?),
        3 => return Ok(other().unwrap_or(Value::Null)),
        _ => bytes = made::bytes(u)?.to_vec(),
    }
    Ok(Value::Blob(bytes))
}
