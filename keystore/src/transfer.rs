//! Backups: a whole token in one file, sealed as it is.

use std::{path::Path, sync::Arc};

use crate::{
    Store, Token,
    backend::{
        Header,
        sqlite::{Sqlite, transfer},
    },
    error::{Error, Result},
    filesystem,
    head::{FORMAT, Head, Sum},
    token::{derive, serial},
};

impl Store {
    /// Writes the token, as it is at one moment, into a new file that only its owner can read.
    ///
    /// The file stays sealed: it is of use only together with the seal key, which is not in it.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the file exists; [`Error::Full`], [`Error::ReadOnly`] or
    /// [`Error::Io`] if it cannot be written.
    pub fn backup(&self, token: &Token, to: &Path) -> Result<()> {
        token.file.copy_to(to)
    }

    /// Takes a token in from a backup, in one commit. With `replace` it takes the place of the
    /// present state of the same token: PINs, objects and all.
    ///
    /// # Errors
    /// [`Error::SealMissing`] or [`Error::SealWrong`] unless this store's seal key opens it;
    /// [`Error::Corrupt`] if it is damaged; [`Error::Conflict`] if the token exists and `replace`
    /// is false; [`Error::NotFound`] if there is no such file; [`Error::ReadOnly`],
    /// [`Error::Full`] or [`Error::Io`] if the store cannot be written.
    pub fn restore(&self, from: &Path, replace: bool) -> Result<Arc<Token>> {
        let from = std::path::absolute(from).map_err(crate::error::io)?;
        let backup = self.open_backup(&from).map_err(|error| error.in_file(|| from.clone()))?;
        let id = backup.token;
        if !self.names()?.contains(&id) {
            self.make_dir()?;
            filesystem::check(self.dir())?;
            Sqlite::create_from(&self.files(id), &from, &self.above(&backup, backup.version)?)?;
            return self.token(id);
        }
        if !replace {
            return Err(Error::Conflict);
        }
        let token = self.token(id)?;
        let turn = token.backend.turn()?;
        // Above both: nobody must take the restored state for one that he has seen.
        let present = token.backend.version().unwrap_or_default().max(token.file.acknowledged());
        let header = self.above(&backup, present.max(backup.version))?;
        token.file.take_from(&from, &header)?;
        drop(turn);
        token.reread()?;
        Ok(token)
    }

    /// Reads a backup and verifies that the seal key opens it and that nothing is missing.
    fn open_backup(&self, from: &Path) -> Result<Header> {
        let mut marks = Vec::new();
        let header = transfer::inspect(from, &mut |id, mark| marks.push((id, mark.clone())))?;
        if header.format > FORMAT {
            return Err(Error::TooNew { format: header.format });
        }
        let keys = derive(&self.seal, &header)?;
        let head = Head::open(&keys, &header)?;
        let mut sum = Sum::default();
        for (id, mark) in &marks {
            sum.add(&keys.set_term(*id, mark)?);
        }
        let count = u64::try_from(marks.len()).unwrap_or(u64::MAX);
        if (head.count, head.sum) != (count, sum) || head.serial != serial(header.token) {
            return Err(Error::Corrupt("the backup is not whole".into()));
        }
        Ok(header)
    }

    /// The same header with the version above this one.
    fn above(&self, header: &Header, version: u64) -> Result<Header> {
        let keys = derive(&self.seal, header)?;
        let version = version.checked_add(1).ok_or(Error::Full)?;
        Head::open(&keys, header)?.seal(&keys, header.token, version, header.seal.clone())
    }
}
