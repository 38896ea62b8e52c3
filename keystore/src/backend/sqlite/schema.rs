//! The tables of a token file, and how a new file comes to be.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{connection::harden, failure, files::Files};
use crate::{
    error::{self, Error, Result},
    gate,
    head::SCHEMA,
    seal::sync_dir,
};

/// Marks the file as a token: "SRKS".
pub(super) const APPLICATION: i32 = 0x5352_4b53;

/// In the order of their names, as SQLite lists them.
const TABLES: [(&str, &str); 6] = [
    ("change", "CREATE TABLE change(version INTEGER PRIMARY KEY, oids BLOB) STRICT"),
    (
        "header",
        "CREATE TABLE header(one INTEGER PRIMARY KEY CHECK(one=1), format INTEGER NOT NULL, \
         token BLOB NOT NULL, version INTEGER NOT NULL, seal BLOB NOT NULL, \
         sealed BLOB NOT NULL) STRICT",
    ),
    (
        "object",
        "CREATE TABLE object(oid BLOB PRIMARY KEY, revision INTEGER NOT NULL, \
         epoch INTEGER NOT NULL, private INTEGER NOT NULL, sealed BLOB NOT NULL) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "slot",
        "CREATE TABLE slot(role INTEGER PRIMARY KEY, revision INTEGER NOT NULL, \
         sealed BLOB NOT NULL, fails INTEGER NOT NULL, next INTEGER NOT NULL, \
         mac BLOB NOT NULL) STRICT",
    ),
    (
        "tag",
        "CREATE TABLE tag(tag BLOB NOT NULL, oid BLOB NOT NULL, PRIMARY KEY(tag, oid)) \
         STRICT, WITHOUT ROWID",
    ),
    ("tag_oid", "CREATE INDEX tag_oid ON tag(oid, tag)"),
];

/// Where a new file goes.
pub(super) enum Place {
    /// Where none is; a conflict if there is one.
    Empty,
    /// Where one is that cannot be read, or none.
    Damaged,
}

/// Makes a token file with the content that `fill` puts in. It appears complete, or not at all.
pub(super) fn make(
    files: &Files,
    place: Place,
    attach: Option<&str>,
    fill: impl FnOnce(&Transaction<'_>) -> Result<()>,
) -> Result<()> {
    let _entry = gate::enter();
    let draft = Draft(files.draft()?);
    write(files, &draft.0, attach, fill)?;
    match place {
        Place::Empty => put(files, &draft.0),
        Place::Damaged => put_over(files, &draft.0),
    }
}

/// A file that is not the database yet; what is left of it is removed in any case.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        for end in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            // Nothing is lost if it stays: `check` names it.
            let _ = fs::remove_file(name);
        }
    }
}

fn write(
    files: &Files,
    draft: &Path,
    attach: Option<&str>,
    fill: impl FnOnce(&Transaction<'_>) -> Result<()>,
) -> Result<()> {
    new_file(draft, files.mode())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut sql = Connection::open_with_flags(draft, flags).map_err(failure)?;
    harden(&sql)?;
    sql.execute_batch(&format!(
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; \
         PRAGMA application_id={APPLICATION}; PRAGMA user_version={SCHEMA};"
    ))
    .map_err(failure)?;
    if let Some(uri) = attach {
        sql.execute("ATTACH ?1 AS source", [uri]).map_err(failure)?;
    }
    let tx = sql.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
    for (_, create) in TABLES {
        tx.execute_batch(create).map_err(failure)?;
    }
    fill(&tx)?;
    tx.commit().map_err(failure)?;
    if attach.is_some() {
        sql.execute_batch("DETACH source").map_err(failure)?;
    }
    // Last, so that everything is in the one file that gets renamed.
    sql.execute_batch("PRAGMA journal_mode=WAL").map_err(failure)?;
    sql.close().map_err(|(_, error)| failure(error))
}

fn put(files: &Files, draft: &Path) -> Result<()> {
    // A log that lies beside no database would be replayed into this one, and an acknowledged version
    // would have it refused.
    files.remove_remains();
    match fs::hard_link(draft, files.database()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::Conflict),
        outcome => outcome.map_err(error::io)?,
    }
    let durable = sync_dir(files.dir());
    if durable.is_err() {
        // Who hears of a failure must not find the token all the same.
        let _ = fs::remove_file(files.database());
    }
    durable
}

fn put_over(files: &Files, draft: &Path) -> Result<()> {
    // As above. Of the version that was last acknowledged the new one knows nothing.
    for path in [files.log(), files.index(), files.generation()] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error::io(error)),
            _ => {}
        }
    }
    fs::rename(draft, files.database()).map_err(error::io)?;
    sync_dir(files.dir())
}

/// Makes an empty file with exactly these permissions; a conflict if the name is taken.
pub(super) fn new_file(path: &Path, mode: u32) -> Result<()> {
    let file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Error::Conflict),
        outcome => outcome.map_err(error::io)?,
    };
    file.set_permissions(Permissions::from_mode(mode)).map_err(error::io)
}

/// Refuses a file whose tables are not exactly ours: a view or trigger would run on our behalf.
pub(super) fn verify(sql: &Connection, schema: &str) -> Result<()> {
    let query =
        format!("SELECT name, sql FROM {schema}.sqlite_schema WHERE sql NOT NULL ORDER BY name");
    let mut statement = sql.prepare(&query).map_err(failure)?;
    let found = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(failure)?;
    let same = found.len() == TABLES.len()
        && found
            .iter()
            .zip(TABLES)
            .all(|((name, sql), table)| (name.as_str(), sql.as_str()) == table);
    if same {
        Ok(())
    } else {
        Err(Error::Corrupt("the file is no token, or its tables were changed".into()))
    }
}
