//! The embedded back end: one SQLite database per token.
//!
//! Write-ahead log, `synchronous=FULL`: a commit that returned survives the machine. Beside the
//! database lie `.lock`, the queue of the writers (SQLite's own waiting is unfair, one writer can
//! starve for seconds), and `.gen`, one page that all processes map, whose first word says whether
//! anything changed: odd while a commit is under way, even and new after it. A writer that was
//! killed leaves it odd, and readers ask the database until the next commit; a word never hides a
//! commit that returned.
//!
//! Locks, outermost first: gate, queue of writers in the process, lock file, connection.

mod connection;
pub(crate) mod files;
mod schema;
pub(crate) mod transfer;

use std::{
    fs::TryLockError,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row as SqlRow, Transaction, TransactionBehavior,
    params,
};

pub(crate) use self::connection::FRESH;
use self::{connection::Open, files::Files, files::Presence};
use super::{Attempts, Backend, Batch, Header, Mark, NAMED, Op, REMEMBERED, Row, Slot, Tag, Turn};
use crate::{
    ObjectId, Role,
    error::{self, Error, Result},
    gate::{self, Entry, Resident},
    pages::SharedWord,
};

/// How long a writer queues.
const PATIENCE: Duration = Duration::from_secs(5);

/// A token file of this process; the connection opens when it is first needed.
pub(crate) struct Sqlite {
    files: Files,
    open: Mutex<Option<Open>>,
    word: RwLock<Option<SharedWord>>,
    writers: Mutex<()>,
    registered: AtomicBool,
    me: Weak<Self>,
}

impl Sqlite {
    pub(crate) fn new(files: Files) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            files,
            open: Mutex::new(None),
            word: RwLock::new(None),
            writers: Mutex::new(()),
            registered: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    /// Makes the file of a new token.
    pub(crate) fn create(files: &Files, header: &Header, officer: &Slot) -> Result<()> {
        schema::make(files, None, |tx| {
            put_header(tx, header)?;
            put_slot(tx, Role::SecurityOfficer, Some(officer))
        })
    }

    /// Runs an access with the connection, which it opens if need be.
    fn with<T>(&self, access: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let _entry = gate::enter();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_mut().is_some_and(|open| !open.current(&self.files)) {
            *open = None;
        }
        let outcome = match open.as_mut() {
            Some(open) => access(open),
            None => access(open.insert(self.connect()?)),
        };
        // After a failure that SQLite cannot explain, a fresh connection is the better start.
        if matches!(outcome, Err(Error::Io(_))) {
            *open = None;
        }
        outcome
    }

    fn connect(&self) -> Result<Open> {
        let open = Open::new(&self.files)?;
        if open.writable {
            // Without the word every reader asks the database: slower, and just as right.
            let word = self.files.beside(&self.files.generation()).and_then(|file| {
                if file.metadata()?.len() < 4096 {
                    file.set_len(4096)?;
                }
                SharedWord::map(&file)
            });
            *self.word.write().unwrap_or_else(PoisonError::into_inner) = word.ok();
        }
        if !self.registered.swap(true, Ordering::AcqRel) {
            let me: Weak<Self> = self.me.clone();
            gate::register(me);
        }
        Ok(open)
    }

    /// Runs a commit with the shared word odd.
    fn announced<T>(&self, commit: impl FnOnce() -> T) -> T {
        let word = self.word.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = word.as_ref() {
            word.begin();
        }
        let outcome = commit();
        if let Some(word) = word.as_ref() {
            word.end();
        }
        outcome
    }

    fn query<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|open| run(&open.sql).map_err(failure))
    }
}

impl Resident for Sqlite {
    fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            open.close_fast();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _entry = gate::enter();
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The fields drop in this order: the lock file is let go first.
struct Queued<'a> {
    presence: Option<Presence>,
    _writers: MutexGuard<'a, ()>,
    _entry: Entry,
}

impl Turn for Queued<'_> {}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.presence.as_ref().and_then(Presence::file) {
            // Explicitly: a descriptor that a child inherited must not keep the lock.
            let _ = file.unlock();
        }
    }
}

impl Backend for Sqlite {
    fn version(&self) -> Result<u64> {
        self.query(|sql| {
            sql.prepare_cached("SELECT version FROM header")?.query_row([], |row| row.get(0))
        })
    }

    fn header(&self) -> Result<Header> {
        self.query(read_header)
    }

    fn slot(&self, role: Role) -> Result<Option<Slot>> {
        self.query(|sql| {
            sql.prepare_cached("SELECT revision, sealed, fails, next, mac FROM slot WHERE role=?1")?
                .query_row([role.number()], slot_of)
                .optional()
        })
    }

    fn row(&self, id: ObjectId) -> Result<Option<Row>> {
        self.query(|sql| {
            sql.prepare_cached("SELECT revision, epoch, private, sealed FROM object WHERE oid=?1")?
                .query_row([id], row_of)
                .optional()
        })
    }

    fn find(&self, tags: &[Tag], after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>> {
        let after = after.as_ref().map(ObjectId::as_slice).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|sql| {
            let mut statement = sql.prepare_cached(&search(tags.len()))?;
            statement.raw_bind_parameter(1, limit)?;
            statement.raw_bind_parameter(2, after)?;
            for (at, tag) in (3..).zip(tags) {
                statement.raw_bind_parameter(at, tag.as_slice())?;
            }
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(row.get(0)?);
            }
            Ok(found)
        })
    }

    fn marks(&self, ids: &[ObjectId]) -> Result<Vec<Option<Mark>>> {
        self.query(|sql| ids.iter().map(|id| mark(sql, id)).collect())
    }

    fn audit(&self, each: &mut dyn FnMut(ObjectId, &Mark)) -> Result<Header> {
        self.with(|open| {
            let tx = open.sql.transaction().map_err(failure)?;
            let header = read_header(&tx).map_err(failure)?;
            if walk(&tx, each).map_err(failure)? {
                Ok(header)
            } else {
                Err(Error::Corrupt("the search tags do not belong to the objects"))
            }
        })
    }

    fn changes(&self, since: u64) -> Result<Option<Vec<ObjectId>>> {
        self.with(|open| {
            let tx = open.sql.transaction().map_err(failure)?;
            changes(&tx, since).map_err(failure)
        })
    }

    fn turn(&self) -> Result<Box<dyn Turn + '_>> {
        let entry = gate::enter();
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let presence = self.with(|open| {
            if !open.writable {
                return Err(Error::ReadOnly);
            }
            open.presence.as_ref().map(Presence::again).transpose()
        })?;
        if let Some(file) = presence.as_ref().and_then(Presence::file) {
            let mut wait = Wait::new(PATIENCE);
            while let Err(error) = file.try_lock() {
                match error {
                    TryLockError::WouldBlock if wait.once() => {}
                    TryLockError::WouldBlock => return Err(Error::Busy),
                    TryLockError::Error(error) => return Err(error::io(error)),
                }
            }
        }
        Ok(Box::new(Queued { presence, _writers: writers, _entry: entry }))
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        self.with(|open| {
            if !open.writable {
                return Err(Error::ReadOnly);
            }
            let tx = open
                .sql
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failure)?;
            let version: u64 = tx
                .prepare_cached("SELECT version FROM header")
                .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
                .map_err(failure)?;
            if version.checked_add(1) != Some(batch.header.version) {
                return Err(Error::Conflict);
            }
            for op in &batch.ops {
                apply(&tx, op)?;
            }
            put_header(&tx, &batch.header)?;
            log_change(&tx, batch).map_err(failure)?;
            self.announced(|| tx.commit()).map_err(failure)
        })
    }

    fn attempts(&self, role: Role, revision: u64, seen: &Attempts, now: &Attempts) -> Result<bool> {
        self.with(|open| {
            if !open.writable {
                return Err(Error::ReadOnly);
            }
            let mut statement = open
                .sql
                .prepare_cached(
                    "UPDATE slot SET fails=?1, next=?2, mac=?3 \
                     WHERE role=?4 AND revision=?5 AND mac=?6",
                )
                .map_err(failure)?;
            let values = params![now.fails, now.next, now.mac, role.number(), revision, seen.mac];
            self.announced(|| statement.execute(values)).map(|rows| rows == 1).map_err(failure)
        })
    }

    fn peek(&self) -> Option<u64> {
        let word = self.word.read().unwrap_or_else(PoisonError::into_inner);
        word.as_ref().map(SharedWord::load).filter(|word| word % 2 == 0)
    }
}

/// Waiting for a lock in short steps, so that nobody who got stuck stops the others for ever.
pub(crate) struct Wait {
    until: Instant,
    step: Duration,
}

impl Wait {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, step: Duration::from_micros(40) }
    }

    /// Waits a little; false when patience is over.
    pub(crate) fn once(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        thread::sleep(self.step);
        self.step = (self.step * 2).min(Duration::from_millis(1));
        true
    }
}

fn read_header(sql: &Connection) -> rusqlite::Result<Header> {
    sql.prepare_cached("SELECT format, token, version, seal, sealed FROM header")?.query_row(
        [],
        |row| {
            Ok(Header {
                format: row.get(0)?,
                token: row.get(1)?,
                version: row.get(2)?,
                seal: row.get(3)?,
                sealed: row.get(4)?,
            })
        },
    )
}

fn slot_of(row: &SqlRow<'_>) -> rusqlite::Result<Slot> {
    let attempts = Attempts { fails: row.get(2)?, next: row.get(3)?, mac: row.get(4)? };
    Ok(Slot { revision: row.get(0)?, sealed: row.get(1)?, attempts })
}

fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row { revision: row.get(0)?, epoch: row.get(1)?, private: row.get(2)?, sealed: row.get(3)? })
}

/// The statement that searches for a number of tags at once: the first by the index, in the order
/// of the objects, the others by looking each object up.
fn search(tags: usize) -> String {
    let mut statement = String::from("SELECT oid FROM tag AS first WHERE tag=?3 AND oid>?2");
    for at in (4..).take(tags.saturating_sub(1)) {
        statement
            .push_str(&format!(" AND EXISTS(SELECT 1 FROM tag WHERE tag=?{at} AND oid=first.oid)"));
    }
    statement.push_str(" ORDER BY oid LIMIT ?1");
    statement
}

fn mark(sql: &Connection, id: &ObjectId) -> rusqlite::Result<Option<Mark>> {
    let mark = sql
        .prepare_cached("SELECT revision, private, substr(sealed, -16) FROM object WHERE oid=?1")?
        .query_row([id], |row| {
            let (revision, private, seal_tag) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Mark { revision, private, seal_tag, tags: Vec::new() })
        })
        .optional()?;
    let Some(mut mark) = mark else {
        return Ok(None);
    };
    let mut statement = sql.prepare_cached("SELECT tag FROM tag WHERE oid=?1 ORDER BY tag")?;
    mark.tags = statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(mark))
}

/// Visits all objects together with their tags, both in order; false if a tag has no object.
fn walk(sql: &Connection, each: &mut dyn FnMut(ObjectId, &Mark)) -> rusqlite::Result<bool> {
    let mut objects = sql.prepare_cached(
        "SELECT oid, revision, private, substr(sealed, -16) FROM object ORDER BY oid",
    )?;
    let mut tags = sql.prepare_cached("SELECT oid, tag FROM tag ORDER BY oid, tag")?;
    let mut objects = objects.query([])?;
    let mut tags = tags.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut next: Option<(ObjectId, Tag)> = tags.next().transpose()?;
    while let Some(row) = objects.next()? {
        let id: ObjectId = row.get(0)?;
        let (revision, private, seal_tag) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let mut mark = Mark { revision, private, seal_tag, tags: Vec::new() };
        while let Some((_, tag)) = next.filter(|(of, _)| *of == id) {
            mark.tags.push(tag);
            next = tags.next().transpose()?;
        }
        each(id, &mark);
    }
    Ok(next.is_none())
}

fn changes(sql: &Connection, since: u64) -> rusqlite::Result<Option<Vec<ObjectId>>> {
    let version: u64 =
        sql.prepare_cached("SELECT version FROM header")?.query_row([], |row| row.get(0))?;
    let Some(missing) = version.checked_sub(since) else {
        return Ok(None);
    };
    let mut statement =
        sql.prepare_cached("SELECT oids FROM change WHERE version>?1 ORDER BY version")?;
    let mut rows = statement.query([since])?;
    let mut changed = Vec::new();
    let mut known = 0;
    while let Some(row) = rows.next()? {
        let Some(ids) = row.get::<_, Option<Vec<u8>>>(0)? else {
            return Ok(None);
        };
        changed.extend_from_slice(ids.as_chunks().0);
        known += 1;
    }
    if known != missing {
        return Ok(None);
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(Some(changed))
}

fn apply(tx: &Transaction<'_>, op: &Op) -> Result<()> {
    match op {
        Op::Insert { id, row, tags } => {
            let done = tx
                .prepare_cached("INSERT OR IGNORE INTO object VALUES(?1, ?2, ?3, ?4, ?5)")
                .and_then(|mut statement| {
                    let Row { revision, epoch, private, sealed } = row;
                    statement.execute(params![id, revision, epoch, private, sealed])
                })
                .map_err(failure)?;
            if done == 0 {
                return Err(Error::Conflict);
            }
            put_tags(tx, id, tags)
        }
        Op::Update { id, expected, row, tags } => {
            update(tx, id, *expected, row)?;
            remove_tags(tx, id)?;
            put_tags(tx, id, tags)
        }
        Op::Delete { id } => {
            let done = tx
                .prepare_cached("DELETE FROM object WHERE oid=?1")
                .and_then(|mut statement| statement.execute([id]))
                .map_err(failure)?;
            if done == 0 {
                return Err(Error::NotFound);
            }
            remove_tags(tx, id)
        }
        Op::Slot { role, slot } => put_slot(tx, *role, slot.as_ref()),
        Op::Wipe { private_only } => {
            let statements = if *private_only {
                "DELETE FROM tag WHERE oid IN (SELECT oid FROM object WHERE private=1); \
                 DELETE FROM object WHERE private=1;"
            } else {
                "DELETE FROM tag; DELETE FROM object;"
            };
            tx.execute_batch(statements).map_err(failure)
        }
    }
}

fn update(tx: &Transaction<'_>, id: &ObjectId, expected: u64, row: &Row) -> Result<()> {
    let done = tx
        .prepare_cached(
            "UPDATE object SET revision=?2, epoch=?3, private=?4, sealed=?5 \
             WHERE oid=?1 AND revision=?6",
        )
        .and_then(|mut statement| {
            let Row { revision, epoch, private, sealed } = row;
            statement.execute(params![id, revision, epoch, private, sealed, expected])
        })
        .map_err(failure)?;
    if done == 1 {
        return Ok(());
    }
    let there = mark(tx, id).map_err(failure)?.is_some();
    Err(if there { Error::Conflict } else { Error::NotFound })
}

fn put_tags(tx: &Transaction<'_>, id: &ObjectId, tags: &[Tag]) -> Result<()> {
    let mut statement = tx.prepare_cached("INSERT INTO tag VALUES(?1, ?2)").map_err(failure)?;
    for tag in tags {
        statement.execute(params![tag, id]).map_err(failure)?;
    }
    Ok(())
}

fn remove_tags(tx: &Transaction<'_>, id: &ObjectId) -> Result<()> {
    tx.prepare_cached("DELETE FROM tag WHERE oid=?1")
        .and_then(|mut statement| statement.execute([id]))
        .map(drop)
        .map_err(failure)
}

fn put_slot(tx: &Transaction<'_>, role: Role, slot: Option<&Slot>) -> Result<()> {
    let done = match slot {
        None => tx.execute("DELETE FROM slot WHERE role=?1", [role.number()]),
        Some(Slot { revision, sealed, attempts: Attempts { fails, next, mac } }) => tx.execute(
            "INSERT OR REPLACE INTO slot VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
            params![role.number(), revision, sealed, fails, next, mac],
        ),
    };
    done.map(drop).map_err(failure)
}

fn put_header(tx: &Transaction<'_>, header: &Header) -> Result<()> {
    let Header { format, token, version, seal, sealed } = header;
    tx.prepare_cached("INSERT OR REPLACE INTO header VALUES(1, ?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![format, token, version, seal, sealed]))
        .map(drop)
        .map_err(failure)
}

fn log_change(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let version = batch.header.version;
    let ids = batch.changed.as_deref().filter(|ids| ids.len() <= NAMED);
    tx.prepare_cached("INSERT OR REPLACE INTO change VALUES(?1, ?2)")?
        .execute(params![version, ids.map(<[ObjectId]>::as_flattened)])?;
    // Not with each commit: the page with the oldest entries is written for nothing else.
    if version.is_multiple_of(256) {
        tx.prepare_cached("DELETE FROM change WHERE version<=?1")?
            .execute([version.saturating_sub(REMEMBERED)])?;
    }
    Ok(())
}

/// Sorts a failure of SQLite. Its texts name tables and files, never values.
fn failure(error: rusqlite::Error) -> Error {
    let (code, extended) = match &error {
        rusqlite::Error::QueryReturnedNoRows => return Error::NotFound,
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            return Error::Corrupt("the token file holds a value of a wrong type");
        }
        _ => return Error::Io(std::io::Error::other(error)),
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            Error::Corrupt("the token file is damaged")
        }
        ErrorCode::DiskFull => Error::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly,
        ErrorCode::OutOfMemory => Error::OutOfMemory,
        // A write that the file size limit of the process cuts short.
        ErrorCode::SystemIoFailure if extended == rusqlite::ffi::SQLITE_IOERR_WRITE => Error::Full,
        _ => Error::Io(std::io::Error::other(error)),
    }
}
