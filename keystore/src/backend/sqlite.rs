//! The embedded back end: one SQLite database per token.
//!
//! Write-ahead log, `synchronous=FULL`: a commit that returned survives the machine. Beside the
//! database lie `.lock`, the queue of the writers (SQLite's own waiting is unfair, one writer can
//! starve for seconds), and `.gen`, one page that all processes map, whose first word says whether
//! anything changed: odd while a commit is under way, even and new after it. A writer that was
//! killed leaves it odd, and readers ask the database until the next commit; a word never hides a
//! commit that returned. Its second word is the highest version that was acknowledged: a token with a
//! lower one has lost commits, since its log was damaged or an older file put in its place.
//!
//! Who writes has the first connection of the process; who reads takes one that is free, so that
//! threads wait neither for each other nor for a disk that writes. A commit that returned is seen by
//! all of them.
//!
//! Locks, outermost first: gate, queue of writers in the process, lock file, connection.

mod connection;
pub(crate) mod files;
mod read;
mod schema;
pub(crate) mod transfer;
mod write;

use std::{
    fs::TryLockError,
    io, iter,
    num::NonZero,
    path::PathBuf,
    sync::{
        self, Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use rustix::fs::{FallocateFlags, fallocate};

pub(crate) use self::connection::FRESH;
use self::{
    connection::{Open, PAGES},
    files::{Files, Presence},
};
use super::{Attempts, Backend, Batch, Header, Mark, Row, Slot, Tag, Turn};
use crate::{
    ObjectId, Role,
    error::{self, Error, Result},
    gate::{self, Entry, Resident},
    pages::SharedWords,
};

/// Why a version below an acknowledged one is none to go on with, and how to do so all the same.
const LOST: &str = "commits that were acknowledged are missing, because its log was damaged or an \
                    older file put in its place (to go on with what is left, stop all that uses the \
                    token, then remove the file beside it that ends in .gen)";
/// How long a writer queues.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long who may not write looks again while others write: a log that comes or goes is in the way.
const DISTURBED: Duration = Duration::from_secs(1);
/// The same where the file looks damaged: it may be half of one state and half of another.
const TORN: Duration = Duration::from_millis(100);
/// How many connections for reading a process has at most, however many processors there are.
const READERS: usize = 4;

/// A commit with more steps than this touches pages all over the file.
const BULK: usize = 1024;
/// So many KiB of them are then kept in memory: else each is read and written many times.
const ROOMY: u32 = 64 * 1024;

/// A connection, or the place of one that opens when it is first needed.
type Place = Mutex<Option<Open>>;

/// A token file of this process.
pub(crate) struct Sqlite {
    files: Files,
    first: Place,
    readers: Box<[Place]>,
    /// Whether the file may have more than one connection: one that is read as if it never changed
    /// is looked at again by each for itself, so another could show an older state.
    shared: AtomicBool,
    words: ArcSwapOption<SharedWords>,
    writers: Mutex<()>,
    registered: AtomicBool,
    me: Weak<Self>,
}

impl Sqlite {
    pub(crate) fn new(files: Files) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            files,
            first: Place::default(),
            readers: readers(),
            shared: AtomicBool::new(false),
            words: ArcSwapOption::empty(),
            writers: Mutex::new(()),
            registered: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    /// Makes the file of a new token.
    pub(crate) fn create(files: &Files, header: &Header, officer: &Slot) -> Result<()> {
        schema::make(files, schema::Place::Empty, None, |tx| {
            write::put_header(tx, header)?;
            write::put_slot(tx, Role::SecurityOfficer, Some(officer))
        })
    }

    /// Runs an access with the first connection; a failure says of which file.
    fn with<T>(&self, access: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        self.access(|| waited(&self.first), access)
    }

    /// As [`Sqlite::with`], with any connection.
    fn reading<T>(&self, access: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        self.access(|| self.free(), access)
    }

    fn query<T>(&self, run: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.undisturbed(|open| run(&open.sql).map_err(failure))
    }

    /// Reads, and reads again where somebody else was writing meanwhile to what this process may only
    /// read: then a log that comes or goes is in the way, and what was taken for unchanging may have
    /// been half of one state and half of another.
    fn undisturbed<T>(&self, read: impl Fn(&mut Open) -> Result<T>) -> Result<T> {
        self.reading(|open| {
            if open.writable {
                return read(open);
            }
            let (began, mut wait) = (Instant::now(), Wait::new(DISTURBED));
            loop {
                let outcome = read(open);
                let passes = outcome.as_ref().is_err_and(|error| may_pass(error, began));
                let disturbed = passes || open.frozen() && !open.is_as_it_was(&self.files);
                if !disturbed || !wait.once() {
                    return outcome;
                }
                *open = self.connect()?;
            }
        })
    }

    /// A connection that nobody uses, if there is one.
    fn free(&self) -> MutexGuard<'_, Option<Open>> {
        if !self.shared.load(Ordering::Relaxed) {
            return waited(&self.first);
        }
        // A writer may be long, so who has to wait waits for a reader.
        let last = self.readers.last().unwrap_or(&self.first);
        self.places().find_map(at_once).unwrap_or_else(|| waited(last))
    }

    /// Runs an access with a connection, which it opens if need be.
    fn access<'a, T>(
        &'a self,
        take: impl FnOnce() -> MutexGuard<'a, Option<Open>>,
        access: impl FnOnce(&mut Open) -> Result<T>,
    ) -> Result<T> {
        let _entry = gate::enter();
        let mut open = take();
        if open.as_mut().is_some_and(|open| !open.current(&self.files)) {
            *open = None;
        }
        let connected = match open.as_mut() {
            Some(open) => Ok(open),
            None => self.connect().map(|new| open.insert(new)),
        };
        let outcome = connected.and_then(access);
        // After a failure that SQLite cannot explain, a fresh connection is the better start.
        if matches!(outcome, Err(Error::Io(_))) {
            *open = None;
        }
        outcome.map_err(|error| match error {
            Error::Io(error) => self.failed(&error),
            error => error.in_file(|| self.path()),
        })
    }

    /// Says of a failure of the system where it was, and what to do.
    fn failed(&self, error: &io::Error) -> Error {
        let path = self.path();
        let text =
            format!("{}: {error} (look at the disk, then run `strongroom check`)", path.display());
        Error::Io(io::Error::new(error.kind(), text))
    }

    /// Says whether this process may write the file.
    pub(crate) fn writable(&self) -> bool {
        self.files.writable()
    }

    /// The database.
    pub(crate) fn path(&self) -> PathBuf {
        self.files.database()
    }

    /// The highest version that is known to have been acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        let words = self.words.load();
        words.as_ref().map_or_else(|| self.files.acknowledged(), |words| words.acknowledged())
    }

    fn connect(&self) -> Result<Open> {
        let open = self.open()?;
        if open.writable {
            // Without them this process asks the database each time: slower, and just as right.
            self.words.store(self.map_words().ok().map(Arc::new));
        }
        self.shared.store(!open.frozen(), Ordering::Relaxed);
        if !self.registered.swap(true, Ordering::AcqRel) {
            let me: Weak<Self> = self.me.clone();
            gate::register(me);
        }
        Ok(open)
    }

    fn map_words(&self) -> io::Result<SharedWords> {
        let file = self.files.beside(&self.files.generation())?;
        // Allocated, not sparse: writing a page that a full disk cannot give is fatal.
        fallocate(&file, FallocateFlags::empty(), 0, 4096)?;
        SharedWords::map(&file)
    }

    /// The words, for a commit, which nobody may miss who has them. On a file system that cannot allocate
    /// a page nobody has.
    fn words_for_commit(&self) -> Result<Option<Arc<SharedWords>>> {
        if let Some(words) = self.words.load_full() {
            return Ok(Some(words));
        }
        match self.map_words() {
            Ok(words) => {
                let words = Arc::new(words);
                self.words.store(Some(Arc::clone(&words)));
                Ok(Some(words))
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error::io(io::Error::new(
                error.kind(),
                format!("{} cannot be used: {error}", self.files.generation().display()),
            ))),
        }
    }

    /// Opens the file. Who may not write meets it while a writer is making its log, or takes it away:
    /// then SQLite would have to write, and it is better to look again.
    fn open(&self) -> Result<Open> {
        let (began, mut wait) = (Instant::now(), Wait::new(DISTURBED));
        loop {
            match Open::new(&self.files) {
                Err(error) if may_pass(&error, began) && !self.files.writable() && wait.once() => {}
                outcome => return outcome,
            }
        }
    }

    fn write(&self, open: &mut Open, batch: &Batch) -> Result<()> {
        let tx =
            open.sql.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
        let version: u64 = tx
            .prepare_cached("SELECT version FROM header")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failure)?;
        if version.checked_add(1) != Some(batch.header.version) {
            return Err(Error::Conflict);
        }
        for op in &batch.ops {
            write::apply(&tx, op)?;
        }
        write::put_header(&tx, &batch.header)?;
        write::log_change(&tx, batch).map_err(failure)?;
        self.announced(tx, Some(batch.header.version))
    }

    /// Commits a transaction, which holds the write lock, with the shared word odd; and notes the
    /// version, if it has a new one.
    fn announced(&self, tx: Transaction<'_>, version: Option<u64>) -> Result<()> {
        let commit = || tx.commit();
        let outcome = match self.words_for_commit()? {
            Some(words) => words.announce(version, commit),
            None => commit(),
        };
        outcome.map_err(failure)
    }

    /// Closes every connection.
    fn forget(&self) {
        for place in self.places() {
            *waited(place) = None;
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        iter::once(&self.first).chain(&self.readers)
    }
}

/// A place for each processor, but few.
fn readers() -> Box<[Place]> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    iter::repeat_with(Place::default).take(processors.min(READERS)).collect()
}

fn waited(place: &Place) -> MutexGuard<'_, Option<Open>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing if another thread has it.
fn at_once(place: &Place) -> Option<MutexGuard<'_, Option<Open>>> {
    match place.try_lock() {
        Ok(open) => Some(open),
        Err(sync::TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(sync::TryLockError::WouldBlock) => None,
    }
}

impl Resident for Sqlite {
    fn close(&self) {
        for place in self.places() {
            if let Some(open) = waited(place).take() {
                open.close_fast();
            }
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _entry = gate::enter();
        self.forget();
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
        self.undisturbed(|open| {
            // First, because it may rise while the header is read.
            let acknowledged = self.acknowledged();
            let header = read::header(&open.sql).map_err(failure)?;
            if header.version < acknowledged {
                return Err(Error::Corrupt(LOST.into()));
            }
            Ok(header)
        })
    }

    fn slot(&self, role: Role) -> Result<Option<Slot>> {
        self.query(|sql| read::slot(sql, role))
    }

    fn row(&self, id: ObjectId) -> Result<Option<Row>> {
        self.query(|sql| {
            sql.prepare_cached("SELECT revision, epoch, private, sealed FROM object WHERE oid=?1")?
                .query_row([id], read::row_of)
                .optional()
        })
    }

    fn find(
        &self,
        sets: &[Vec<Tag>],
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<(usize, ObjectId)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|sql| {
            let (statement, values) = read::search(sets, after.as_ref(), limit);
            let mut statement = sql.prepare_cached(&statement)?;
            for (at, value) in (1..).zip(values) {
                statement.raw_bind_parameter(at, value)?;
            }
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, row.get(1)?));
            }
            Ok(found)
        })
    }

    fn marks(&self, ids: &[ObjectId]) -> Result<Vec<Option<Mark>>> {
        self.query(|sql| ids.iter().map(|id| read::mark(sql, id)).collect())
    }

    fn audit(&self, each: &mut dyn FnMut(ObjectId, &Mark)) -> Result<Header> {
        self.reading(|open| {
            let tx = open.sql.transaction().map_err(failure)?;
            let header = read::header(&tx).map_err(failure)?;
            if read::walk(&tx, each).map_err(failure)? {
                Ok(header)
            } else {
                Err(Error::Corrupt("the search tags do not belong to the objects".into()))
            }
        })
    }

    fn changes(&self, since: u64) -> Result<Option<Vec<ObjectId>>> {
        self.undisturbed(|open| {
            let tx = open.sql.transaction().map_err(failure)?;
            read::changes(&tx, since).map_err(failure)
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
            if batch.ops.len() <= BULK {
                return self.write(open, batch);
            }
            open.remember(ROOMY)?;
            let written = self.write(open, batch);
            // Fails for nobody who has just done the same.
            let _ = open.remember(PAGES);
            written
        })
    }

    fn attempts(&self, role: Role, revision: u64, seen: &Attempts, now: &Attempts) -> Result<bool> {
        self.with(|open| {
            if !open.writable {
                return Err(Error::ReadOnly);
            }
            let tx = open
                .sql
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failure)?;
            let values = params![now.fails, now.next, now.mac, role.number(), revision, seen.mac];
            let rows = tx
                .prepare_cached(
                    "UPDATE slot SET fails=?1, next=?2, mac=?3 \
                     WHERE role=?4 AND revision=?5 AND mac=?6",
                )
                .and_then(|mut statement| statement.execute(values))
                .map_err(failure)?;
            if rows != 1 {
                return Ok(false);
            }
            self.announced(tx, None).map(|()| true)
        })
    }

    fn peek(&self) -> Option<u64> {
        self.words.load().as_ref().and_then(|words| words.at_rest())
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

/// Whether what keeps somebody from reading, who began some time ago, may be that others write.
fn may_pass(error: &Error, began: Instant) -> bool {
    let patience = match error {
        Error::Io(_) | Error::ReadOnly => DISTURBED,
        Error::Corrupt(_) => TORN,
        _ => return false,
    };
    began.elapsed() < patience
}

/// Sorts a failure of SQLite. Its texts name tables and files, never values.
fn failure(error: rusqlite::Error) -> Error {
    let (code, extended) = match &error {
        rusqlite::Error::QueryReturnedNoRows => return Error::NotFound,
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            return Error::Corrupt("the token file holds a value of a wrong type".into());
        }
        _ => return Error::Io(std::io::Error::other(error)),
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            Error::Corrupt("the token file is damaged".into())
        }
        ErrorCode::DiskFull => Error::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly,
        ErrorCode::OutOfMemory => Error::OutOfMemory,
        // A write that the file size limit of the process cuts short.
        ErrorCode::SystemIoFailure if extended == rusqlite::ffi::SQLITE_IOERR_WRITE => Error::Full,
        _ => Error::Io(std::io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::{
        super::conformance::{commit, header, slot},
        connection::Mode,
        *,
    };
    use crate::scratch::Scratch;

    fn made(dir: &Scratch) -> Arc<Sqlite> {
        let files = Files::new(dir.path(), [9; 16], 0);
        Sqlite::create(&files, &header(1), &slot(1)).unwrap();
        Sqlite::new(files)
    }

    #[test]
    fn who_reads_waits_for_no_writer_and_sees_each_commit() {
        let dir = Scratch::new();
        let sqlite = made(&dir);
        for version in 1..20 {
            assert_eq!(sqlite.version().unwrap(), version);
            commit(&*sqlite, vec![]).unwrap();
            // A writer has the first, and other readers have others.
            assert!(sqlite.shared.load(Ordering::Relaxed));
            let _taken: Vec<_> = sqlite.places().take(sqlite.readers.len()).map(waited).collect();
            assert_eq!(sqlite.version().unwrap(), version + 1);
        }
    }

    #[test]
    fn a_commit_behind_an_unchanging_file_is_no_loss() {
        let dir = Scratch::new();
        let writer = made(&dir);
        let files = writer.files.clone();
        let frozen = || {
            let reader = Sqlite::new(files.clone());
            *waited(&reader.first) = Some(Open::by(Mode::Frozen, &files).unwrap());
            reader
        };
        let reader = frozen();
        assert_eq!(reader.header().unwrap(), header(1));
        commit(&*writer, vec![]).unwrap();
        assert_eq!(reader.header().unwrap(), header(2));

        drop((reader, writer));
        let words = files.beside(&files.generation()).unwrap();
        words.write_all_at(&9_u64.to_ne_bytes(), 8).unwrap();
        assert!(matches!(frozen().header(), Err(Error::Corrupt(_))), "a loss is one for it, too");
    }

    #[test]
    fn what_is_kept_of_a_file_is_taken_in_one_piece() {
        let dir = Scratch::new();
        let sqlite = made(&dir);
        let built = format!("DEFAULT_PCACHE_INITSZ=-{PAGES}");
        let counted = sqlite.with(|open| {
            let sql = "SELECT count(*) FROM pragma_compile_options WHERE compile_options = ?1";
            open.sql.query_row(sql, [&built], |row| row.get::<_, i64>(0)).map_err(failure)
        });
        assert_eq!(
            counted.unwrap(),
            1,
            "SQLite is to be built with the flags of .cargo/config.toml"
        );
    }
}
