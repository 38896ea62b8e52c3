//! Whole token files: copied out, taken in, removed.

use std::{fs, io::ErrorKind, path::Path};

use rusqlite::{
    Connection, OpenFlags, Transaction, TransactionBehavior,
    backup::{Backup, StepResult},
};

use super::{
    Sqlite,
    connection::{frozen, harden},
    failure,
    files::Files,
    read,
    schema::{self, Place},
    write,
};
use crate::{
    ObjectId, Role,
    backend::{Header, Mark, Row, Slot},
    error::{self, Error, Result},
    gate::{self, Entry},
    seal::sync_dir,
};

/// Copies every table of the attached file but the header.
const COPY: &str = "
    DELETE FROM main.change;
    DELETE FROM main.slot;   INSERT INTO main.slot   SELECT * FROM source.slot;
    DELETE FROM main.object; INSERT INTO main.object SELECT * FROM source.object;
    DELETE FROM main.tag;    INSERT INTO main.tag    SELECT * FROM source.tag;
";

impl Sqlite {
    /// Copies the token as it is at one moment into a new file.
    pub(crate) fn copy_to(&self, to: &Path) -> Result<()> {
        // SQLite takes a relative `file:...` for an address and `:memory:` for no file at all.
        let to = std::path::absolute(to).map_err(error::io)?;
        self.reading(|open| {
            schema::new_file(&to, 0o600)?;
            let copied = copy(&open.sql, &to);
            if copied.is_err() {
                let _ = fs::remove_file(&to);
            }
            copied
        })?;
        sync_dir(to.parent().unwrap_or(Path::new("/")))
    }

    /// Replaces the content by that of another token file, in one commit, with this header.
    pub(crate) fn take_from(&self, from: &Path, header: &Header) -> Result<()> {
        self.with(|open| {
            if !open.writable {
                return Err(Error::ReadOnly);
            }
            open.sql.execute("ATTACH ?1 AS source", [frozen(from)]).map_err(failure)?;
            let taken = open
                .sql
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failure)
                .and_then(|tx| {
                    fill(&tx, header)?;
                    self.announced(tx, Some(header.version))
                });
            let detached = open.sql.execute_batch("DETACH source").map_err(failure);
            taken.and(detached)
        })
    }

    /// Makes a token file with the content of another, with this header.
    pub(crate) fn create_from(files: &Files, from: &Path, header: &Header) -> Result<()> {
        schema::make(files, Place::Empty, Some(&frozen(from)), |tx| fill(tx, header))
    }

    /// Puts the content of another token file, with this header, in the place of a file that cannot be read.
    pub(crate) fn replace_by(&self, from: &Path, header: &Header) -> Result<()> {
        self.forget();
        schema::make(&self.files, Place::Damaged, Some(&frozen(from)), |tx| fill(tx, header))
    }

    /// Empties and removes all files. Processes that still have the token open find it gone.
    pub(crate) fn destroy(&self) -> Result<()> {
        let _turn = super::Backend::turn(self)?;
        self.with(|open| {
            let tx = open
                .sql
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failure)?;
            tx.execute_batch(
                "DELETE FROM header; DELETE FROM slot; DELETE FROM object; DELETE FROM tag; \
                 DELETE FROM change;",
            )
            .map_err(failure)?;
            self.announced(tx, None)
        })?;
        // Readers may hold the checkpoint up; what is left of the log is sealed rows.
        let _ = self.empty_log();
        self.forget();
        for path in self.files.all() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error::io(error)),
                _ => {}
            }
        }
        sync_dir(self.files.dir())
    }

    /// Moves all commits from the log into the database, and empties it: what they replaced is gone
    /// from both.
    pub(crate) fn empty_log(&self) -> Result<()> {
        self.with(|open| open.sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").map_err(failure))
    }

    /// What SQLite finds wrong with the file; nothing if it is sound.
    pub(crate) fn faults(&self) -> Result<Option<String>> {
        self.reading(|open| {
            let fault = read::fault(&open.sql).map_err(failure)?;
            schema::verify(&open.sql, "main")?;
            Ok(fault)
        })
    }
}

/// A token file that nobody writes, as it lies there.
pub(crate) struct Image {
    sql: Connection,
    _entry: Entry,
}

impl Image {
    /// Opens a file, which must be a sound one.
    pub(crate) fn open(from: &Path) -> Result<Self> {
        let entry = gate::enter();
        match fs::metadata(from) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::NotFound),
            outcome => outcome.map(drop).map_err(error::io)?,
        }
        let mut log = from.as_os_str().to_owned();
        log.push("-wal");
        if fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return Err(Error::Unsupported(format!(
                "{} is a token in use, not a backup; make a backup of it first",
                from.display()
            )));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let sql = Connection::open_with_flags(frozen(from), flags).map_err(failure)?;
        harden(&sql)?;
        sql.execute_batch("PRAGMA mmap_size=0").map_err(failure)?;
        super::connection::identify(&sql)?;
        schema::verify(&sql, "main")?;
        match read::fault(&sql).map_err(failure)? {
            Some(_) => Err(Error::Corrupt("the token file is damaged".into())),
            None => Ok(Self { sql, _entry: entry }),
        }
    }

    /// Its header.
    pub(crate) fn header(&self) -> Result<Header> {
        read::header(&self.sql).map_err(failure)
    }

    /// What stands for each object.
    pub(crate) fn marks(&self, each: &mut dyn FnMut(ObjectId, &Mark)) -> Result<()> {
        if read::walk(&self.sql, each).map_err(failure)? {
            return Ok(());
        }
        Err(Error::Corrupt("the search tags do not belong to the objects".into()))
    }

    /// The slot of a role, if there is one.
    pub(crate) fn slot(&self, role: Role) -> Result<Option<Slot>> {
        read::slot(&self.sql, role).map_err(failure)
    }

    /// Each public object.
    pub(crate) fn public(&self, each: &mut dyn FnMut(ObjectId, &Row) -> Result<()>) -> Result<()> {
        let mut statement = self
            .sql
            .prepare("SELECT revision, epoch, private, sealed, oid FROM object WHERE private=0")
            .map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            let (id, row) = (row.get(4).map_err(failure)?, read::row_of(row).map_err(failure)?);
            each(id, &row)?;
        }
        Ok(())
    }
}

fn copy(from: &Connection, to: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(failure)?;
    {
        let backup = Backup::new(from, &mut copy).map_err(failure)?;
        // A copy that waits for a lock is no failure to SQLite, and no copy either.
        match backup.step(-1).map_err(failure)? {
            StepResult::Done => {}
            _ => return Err(Error::Busy),
        }
    }
    // One file, with nothing beside it.
    copy.execute_batch("PRAGMA synchronous=EXTRA; PRAGMA journal_mode=DELETE").map_err(failure)?;
    copy.close().map_err(|(_, error)| failure(error))?;
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(error::io)
}

fn fill(tx: &Transaction<'_>, header: &Header) -> Result<()> {
    schema::verify(tx, "source")?;
    tx.execute_batch(COPY).map_err(failure)?;
    write::put_header(tx, header)
}
