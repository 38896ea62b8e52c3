//! One connection to a token file, set up the way the format needs it.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    failure,
    files::{Files, Presence},
    schema,
};
use crate::{
    error::{self, Error, Result},
    filesystem,
    head::SCHEMA,
};

/// How long a file may have been replaced before anybody notices.
pub(crate) const FRESH: Duration = Duration::from_millis(100);
/// How long SQLite waits for another process.
const PATIENCE: Duration = Duration::from_secs(5);
/// Statements that stay prepared.
const STATEMENTS: usize = 32;

/// So many KiB of the file a connection keeps in memory: the upper pages of its indexes and some of what
/// was used last. Four times as much finds nothing faster, since a commit makes readers forget all
/// of it. SQLite is built to take it in one piece (`.cargo/config.toml`): pages that it takes one by one
/// come from the heap of whatever thread reads, and after some time each thread's heap is as large as all
/// of them.
pub(super) const PAGES: u32 = 512;

/// Per connection. Memory maps of the file are off: a truncated one would kill the host.
const SETTINGS: &str = "
    PRAGMA synchronous=FULL;
    PRAGMA secure_delete=ON;
    PRAGMA temp_store=MEMORY;
    PRAGMA mmap_size=0;
    PRAGMA journal_size_limit=4194304;
";

/// An open token file.
pub(super) struct Open {
    pub(super) sql: Connection,
    pub(super) presence: Option<Presence>,
    /// Whether commits can be made.
    pub(super) writable: bool,
    seen: State,
    checked: Instant,
}

/// What a file looks like from outside.
#[derive(PartialEq, Eq)]
struct State {
    inode: (u64, u64),
    /// Of a file that is read as if it never changed: how it was.
    content: Option<(u64, i64, i64, bool)>,
}

impl Open {
    pub(super) fn new(files: &Files) -> Result<Self> {
        Self::by(Mode::choose(files)?, files)
    }

    pub(super) fn by(mut mode: Mode, files: &Files) -> Result<Self> {
        filesystem::check(files.dir())?;
        let presence = Presence::open(files)?;
        let mut seen = State::of(files, mode)?;
        if mode == Mode::Frozen && log_is_there(files) {
            // Somebody began to write in between; taken for unchanging the file would stay so.
            mode = Mode::ReadOnly;
            seen = State::of(files, mode)?;
        }
        let sql = mode.connect(&files.database())?;
        sql.busy_timeout(PATIENCE).map_err(failure)?;
        harden(&sql)?;
        // Otherwise this build of SQLite compiles a statement again for each value bound to it.
        sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failure)?;
        sql.execute_batch(SETTINGS).map_err(failure)?;
        remember(&sql, PAGES)?;
        if mode == Mode::ReadWrite {
            // A backup that somebody copied here is in another mode.
            sql.execute_batch("PRAGMA journal_mode=WAL").map_err(failure)?;
        }
        sql.set_prepared_statement_cache_capacity(STATEMENTS);
        identify(&sql)?;
        let writable = matches!(mode, Mode::ReadWrite);
        Ok(Self { sql, presence, writable, seen, checked: Instant::now() })
    }

    /// Says whether the file is still the one that was opened; asks every 100 ms.
    pub(super) fn current(&mut self, files: &Files) -> bool {
        if self.checked.elapsed() < FRESH {
            return true;
        }
        self.checked = Instant::now();
        self.is_as_it_was(files)
    }

    /// Says whether the file is still the one that was opened, and one that is taken for unchanging has not
    /// changed.
    pub(super) fn is_as_it_was(&self, files: &Files) -> bool {
        let mode = if self.frozen() { Mode::Frozen } else { Mode::ReadWrite };
        State::of(files, mode).is_ok_and(|state| state == self.seen)
    }

    /// Changes how many KiB of the file are kept in memory.
    pub(super) fn remember(&self, pages: u32) -> Result<()> {
        remember(&self.sql, pages)
    }

    /// Whether the file is read as if it never changed.
    pub(super) fn frozen(&self) -> bool {
        self.seen.content.is_some()
    }

    /// Closes without the checkpoint that the last connection otherwise makes.
    pub(super) fn close_fast(self) {
        // Without the setting closing is slower, and nothing else.
        let _ = self.sql.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}

impl State {
    fn of(files: &Files, mode: Mode) -> Result<Self> {
        let file = match fs::metadata(files.database()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            outcome => outcome.map_err(error::io)?,
        };
        let content = (mode == Mode::Frozen)
            .then(|| (file.size(), file.mtime(), file.mtime_nsec(), log_is_there(files)));
        Ok(Self { inode: (file.dev(), file.ino()), content })
    }
}

/// How a file can be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    ReadWrite,
    /// Others write, this process cannot.
    ReadOnly,
    /// Nobody writes: an image, or a mounted secret.
    Frozen,
}

impl Mode {
    fn choose(files: &Files) -> Result<Self> {
        let linked = fs::symlink_metadata(files.database()).is_ok_and(|file| file.is_symlink());
        match fs::metadata(files.database()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound),
            Err(error) => Err(error::io(error)),
            Ok(file) if !file.is_file() => {
                Err(Error::Corrupt("the token is not a regular file".into()))
            }
            // SQLite would remove the log beside it, which has what can still be had.
            Ok(file) if file.len() == 0 => Err(Error::Corrupt("the token file is empty".into())),
            // What is mounted read-only, a secret of a container for one, may consist of links.
            Ok(_) if linked && files.writable() => Err(Error::Corrupt(
                "the token is a symbolic link, which leads its locks astray".into(),
            )),
            Ok(_) if files.writable() => Ok(Self::ReadWrite),
            Ok(_) if log_is_there(files) => Ok(Self::ReadOnly),
            Ok(_) => Ok(Self::Frozen),
        }
    }

    fn connect(self, database: &Path) -> Result<Connection> {
        let common = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let open = |path: &Path, flags| Connection::open_with_flags(path, common | flags);
        match self {
            // With names as addresses, because a restore attaches its source as unchanging.
            Self::ReadWrite => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
                open(Path::new(&address(database)), flags)
            }
            Self::ReadOnly => open(database, OpenFlags::SQLITE_OPEN_READ_ONLY),
            Self::Frozen => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                open(Path::new(&frozen(database)), flags)
            }
        }
        .map_err(failure)
    }
}

fn remember(sql: &Connection, pages: u32) -> Result<()> {
    sql.execute_batch(&format!("PRAGMA cache_size=-{pages}; PRAGMA shrink_memory")).map_err(failure)
}

/// Commits that are not in the database yet; reading without them would be reading the past.
fn log_is_there(files: &Files) -> bool {
    fs::metadata(files.log()).is_ok_and(|log| log.len() > 0)
}

/// The name under which SQLite reads a file that it takes for unchanging, without locks.
pub(super) fn frozen(path: &Path) -> String {
    format!("{}?immutable=1", address(path))
}

fn address(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri
}

/// Lets the file be data only: nothing that somebody wrote into its schema runs.
pub(super) fn harden(sql: &Connection) -> Result<()> {
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        sql.set_db_config(setting, value).map_err(failure)?;
    }
    Ok(())
}

/// Refuses files that are no tokens, and tokens of the future.
pub(super) fn identify(sql: &Connection) -> Result<()> {
    let number = |pragma: &str| {
        sql.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failure)
    };
    if number("application_id")? != i64::from(schema::APPLICATION) {
        return Err(Error::Corrupt("the file is no token".into()));
    }
    let format = u32::try_from(number("user_version")?).unwrap_or(u32::MAX);
    if format > SCHEMA {
        return Err(Error::TooNew { format });
    }
    Ok(())
}
