//! Backups: a whole token in one file, sealed as it is.

use std::{path::Path, sync::Arc};

use crate::{
    Role, Store, Token,
    backend::{
        Header,
        sqlite::{Sqlite, transfer::Image},
    },
    error::{Error, Result},
    filesystem,
    head::{FORMAT, Head, Sum},
    pin::Place,
    sealed,
    token::{derive, serial, vouched},
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
            Sqlite::create_from(&self.files(id), &from, &self.apart(&backup)?)?;
            return self.token(id);
        }
        if !replace {
            return Err(Error::Conflict);
        }
        let token = self.token(id)?;
        match self.replace(&token, &backup, &from) {
            // What cannot be read cannot be changed either.
            Err(Error::Corrupt(_)) => token.file.replace_by(&from, &self.apart(&backup)?),
            outcome => outcome,
        }?;
        token.reread()?;
        Ok(token)
    }

    fn replace(&self, token: &Token, backup: &Header, from: &Path) -> Result<()> {
        let _turn = token.backend.turn()?;
        // Above both: nobody must take the restored state for one that he has seen.
        let present = token.backend.version()?.max(token.file.acknowledged());
        let header = self.above(backup, present.max(backup.version))?;
        token.file.take_from(from, &header)
    }

    /// Reads a backup and verifies that the seal key opens it, that nothing is missing, and all of it
    /// that does not need a PIN.
    fn open_backup(&self, from: &Path) -> Result<Header> {
        let image = Image::open(from)?;
        let header = image.header()?;
        if header.format > FORMAT {
            return Err(Error::TooNew { format: header.format });
        }
        let keys = derive(&self.seal, &header)?;
        let head = Head::open(&keys, &header)?;
        let mut marks = Vec::new();
        image.marks(&mut |id, mark| marks.push((id, mark.clone())))?;
        let mut sum = Sum::default();
        for (id, mark) in &marks {
            sum.add(&keys.set_term(*id, mark)?);
        }
        let count = u64::try_from(marks.len()).unwrap_or(u64::MAX);
        if (head.count, head.sum) != (count, sum) || head.serial != serial(header.token) {
            return Err(Error::Corrupt("the backup is not whole".into()));
        }
        for role in [Role::SecurityOfficer, Role::User] {
            match vouched(&keys, &head, role, || image.slot(role)) {
                Err(Error::NotInitialized) => {}
                slot => {
                    let (slot, epoch) = (slot?, head.epoch);
                    let (keys, token, revision) = (&keys, header.token, slot.revision);
                    Place { keys, token, role, revision, epoch }.verify(&slot.sealed)?;
                }
            }
        }
        let public = keys.public(head.born)?;
        image.public(&mut |id, row| public.open(id, row).map(drop))?;
        Ok(header)
    }

    /// The same header with a version that no process has seen: how far the token went on from the backup
    /// nobody knows any more.
    fn apart(&self, header: &Header) -> Result<Header> {
        let step = u32::from_le_bytes(sealed::random()?);
        self.above(header, header.version.checked_add(u64::from(step)).ok_or(Error::Full)?)
    }

    /// The same header with the version above this one.
    fn above(&self, header: &Header, version: u64) -> Result<Header> {
        let keys = derive(&self.seal, header)?;
        let version = version.checked_add(1).ok_or(Error::Full)?;
        Head::open(&keys, header)?.seal(&keys, header.token, version, header.seal.clone())
    }
}
