//! A store: a directory with one database file per token.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    Role,
    backend::{
        Header, Slot, TokenId,
        sqlite::{
            Sqlite,
            files::{Files, token_of},
        },
    },
    config::Config,
    error::{self, Error, Result},
    filesystem,
    head::{Head, Sum},
    keys::{self, SealColumn, SealKeys},
    locks::Opener,
    login,
    pin::{PinKey, Place},
    queue::PinQueue,
    seal::{SealSource, make_dirs},
    sealed,
    token::{Policy, Token, serial},
};

/// A directory that changed so recently may change again without a new time stamp.
const SETTLED: Duration = Duration::from_millis(100);

/// The tokens of one directory.
pub struct Store {
    pub(crate) config: Config,
    pub(crate) seal: Arc<SealSource>,
    scan: Mutex<Scan>,
}

#[derive(Default)]
struct Scan {
    /// What the directory looked like; nothing: look again.
    stamp: Option<Stamp>,
    tokens: BTreeMap<TokenId, Arc<Token>>,
}

/// Changes whenever a name in the directory does.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Store {
    /// Takes the configuration; nothing is read, made or derived yet.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the path of the store is not absolute.
    pub fn open(config: &Config) -> Result<Self> {
        if !config.store.is_absolute() {
            return Err(Error::Unsupported(format!(
                "the store {} has no absolute path; give one",
                config.store.display()
            )));
        }
        crate::pages::let_child_inherit(config.child_inherits);
        let seal = Arc::new(SealSource::new(config.seal.clone()));
        Ok(Self { config: config.clone(), seal, scan: Mutex::default() })
    }

    /// The tokens that are there now, in the order of their serial numbers. The same token is the
    /// same [`Arc`] each time. The directory is read again only when it changed.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory exists and cannot be read. A damaged token is no error here:
    /// its [`Token::status`] is.
    pub fn tokens(&self) -> Result<Vec<Arc<Token>>> {
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        let about = match fs::metadata(self.dir()) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound) => {
                *scan = Scan::default();
                return Ok(Vec::new());
            }
            outcome => outcome.map_err(|error| self.unreadable(error))?,
        };
        let stamp = Stamp::of(&about);
        if scan.stamp.as_ref() != Some(&stamp) {
            self.rescan(&mut scan)?;
            let age =
                SystemTime::now().duration_since(about.modified().unwrap_or(SystemTime::now()));
            scan.stamp = age.is_ok_and(|age| age > SETTLED).then_some(stamp);
        }
        Ok(scan.tokens.values().cloned().collect())
    }

    /// Makes a token, with a random name; and the directory and the seal key, if it is the first.
    ///
    /// # Errors
    /// [`Error::SealMissing`] if there are tokens but no seal key; [`Error::OutOfMemory`];
    /// [`Error::ReadOnly`], [`Error::Full`] or [`Error::Io`] if it cannot be written;
    /// [`Error::Unsupported`] on a network file system.
    pub fn create(&self, label: &[u8; 32], so_pin: &[u8]) -> Result<Arc<Token>> {
        self.make(sealed::random()?, label, so_pin)
    }

    /// As [`Store::create`], with a given serial number: for tokens that come from elsewhere and
    /// are known by it.
    ///
    /// # Errors
    /// As [`Store::create`]; [`Error::Unsupported`] unless the serial number is sixteen
    /// lower-case hexadecimal digits; [`Error::Conflict`] if a token has it already.
    pub fn create_with_serial(
        &self,
        number: &[u8; 16],
        label: &[u8; 32],
        so_pin: &[u8],
    ) -> Result<Arc<Token>> {
        if self.tokens()?.iter().any(|token| token.serial() == *number) {
            return Err(Error::Conflict);
        }
        let digits = std::str::from_utf8(number).ok();
        let half = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let mut id: TokenId = sealed::random()?;
        for (byte, given) in id.iter_mut().zip(half.unwrap_or_default().to_be_bytes()) {
            *byte = given;
        }
        if half.is_none() || serial(id) != *number {
            return Err(Error::Unsupported(
                "a serial number must be sixteen lower-case hexadecimal digits".into(),
            ));
        }
        self.make(id, label, so_pin)
    }

    /// Removes a token with all its objects, for every process.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is gone; [`Error::ReadOnly`], [`Error::Busy`] or [`Error::Io`] if
    /// it cannot be removed.
    pub fn remove(&self, token: &Token) -> Result<()> {
        token.file.destroy()?;
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        scan.stamp = None;
        scan.tokens.remove(&token.id);
        Ok(())
    }

    /// The directories in which files of the store come and go: its own, and that of the seal key.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        [Some(self.dir()), self.seal.path().and_then(Path::parent)].into_iter().flatten()
    }

    /// Makes those directories now, which else the first token does: for a process that will not be
    /// able to.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] or [`Error::Io`] if one can not be made.
    pub fn make_places(&self) -> Result<()> {
        self.places().try_for_each(make_dirs)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.config.store
    }

    pub(crate) fn files(&self, id: TokenId) -> Files {
        Files::new(self.dir(), id, self.config.umask)
    }

    /// The token with this name, which must be there.
    pub(crate) fn token(&self, id: TokenId) -> Result<Arc<Token>> {
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        self.rescan(&mut scan)?;
        scan.stamp = None;
        scan.tokens.get(&id).cloned().ok_or(Error::NotFound)
    }

    /// The names of the tokens, by their files.
    pub(crate) fn names(&self) -> Result<Vec<TokenId>> {
        let entries = match fs::read_dir(self.dir()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(|error| self.unreadable(error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(error::io)?.file_name();
            names.extend(name.to_str().and_then(token_of));
        }
        Ok(names)
    }

    fn rescan(&self, scan: &mut Scan) -> Result<()> {
        let mut known = std::mem::take(&mut scan.tokens);
        for id in self.names()? {
            let token = known.remove(&id).unwrap_or_else(|| Arc::new(self.attach(id)));
            scan.tokens.insert(id, token);
        }
        Ok(())
    }

    fn attach(&self, id: TokenId) -> Token {
        let policy = Policy {
            so_reset: self.config.so_reset,
            lockout: self.config.pin_lockout,
            keys: self.config.policy,
        };
        let file = Sqlite::new(self.files(id));
        Token::new(id, file, PinQueue::new(self.dir()), policy, Arc::clone(&self.seal))
    }

    fn make(&self, id: TokenId, label: &[u8; 32], so_pin: &[u8]) -> Result<Arc<Token>> {
        self.make_dir()?;
        filesystem::check(self.dir())?;
        let (column, keys) = self.seal_for_new(id)?;
        let (header, officer) = self.blank(id, label, so_pin, &column, &keys)?;
        Sqlite::create(&self.files(id), &header, &officer)?;
        self.token(id)
    }

    /// The first state of a token.
    fn blank(
        &self,
        id: TokenId,
        label: &[u8; 32],
        so_pin: &[u8],
        column: &[u8],
        keys: &SealKeys,
    ) -> Result<(Header, Slot)> {
        let role = Role::SecurityOfficer;
        let pin = {
            let _turn = PinQueue::new(self.dir()).turn();
            PinKey::new(login::cost(column), id, role, so_pin)?
        };
        let master = keys::new_master()?;
        let slot = pin.wrap(&Place { keys, token: id, role, revision: 1, epoch: 1 }, &master)?;
        let mut head = Head {
            label: *label,
            serial: serial(id),
            epoch: 1,
            born: 1,
            master: keys::master_name(&master, id),
            slots: Default::default(),
            count: 0,
            sum: Sum::default(),
            policy: self.config.policy,
        };
        head.note_slot(role, Some(&slot));
        Ok((head.seal(keys, id, 1, column.to_vec())?, slot))
    }

    fn seal_for_new(&self, id: TokenId) -> Result<(Vec<u8>, SealKeys)> {
        // A lost key must not be replaced by a new one: that would hide the loss.
        match self.seal.key_for_new(self.names()?.is_empty())? {
            Some(key) => {
                let keys = SealKeys::derive(key.bytes().ok_or(Error::Locked)?, id)?;
                Ok((SealColumn::Outside(keys.name()).encode(), keys))
            }
            None => {
                let key = sealed::random_key()?;
                let keys = SealKeys::derive(key.as_slice(), id)?;
                Ok((SealColumn::Inside(key).encode(), keys))
            }
        }
    }

    /// Unseals the store, until it is sealed again or this is dropped. One attempt is made at a time;
    /// after the third wrong one in a row each waits longer, up to five seconds.
    ///
    /// # Errors
    /// [`Error::WrongPin`] if the opener fits none of the locks; [`Error::SealMissing`] and what
    /// [`Locks::read`](crate::Locks::read) answers; [`Error::Unsupported`] if no operator has to do this.
    pub fn unseal(&self, opener: Opener<'_>) -> Result<()> {
        self.seal.unlock(opener)
    }

    /// Unseals the store with the key that the configuration names, if it names one. Says whether
    /// it does.
    ///
    /// # Errors
    /// As [`Store::unseal`]; [`Error::Unsupported`] and [`Error::SealExposed`] if the key cannot be
    /// read, or others could write it.
    pub fn unseal_at_start(&self) -> Result<bool> {
        self.seal.unlock_at_start()
    }

    /// Whether an operator has to unseal the store before it can be used.
    pub fn is_sealed(&self) -> bool {
        self.era() % 2 == 1
    }

    /// How often the store has been unsealed and sealed: odd while it is sealed. It costs nothing to
    /// ask.
    pub fn era(&self) -> u64 {
        self.seal.era()
    }

    /// Whether an operator seals and unseals the store.
    pub fn is_operated(&self) -> bool {
        self.seal.is_operated()
    }

    /// Seals the store: it forgets the seal key, and every key that came of it. What logins hold
    /// ([`Unlocked`](crate::Unlocked)) is theirs to drop.
    pub fn seal(&self) {
        self.seal.forget();
        let scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        scan.tokens.values().for_each(|token| token.forget());
    }

    pub(crate) fn make_dir(&self) -> Result<()> {
        make_dirs(self.dir())
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        let text = format!("{} cannot be read: {error}", self.dir().display());
        Error::Io(std::io::Error::new(error.kind(), text))
    }

    /// Where the seal key is, if there is one.
    pub(crate) fn seal_path(&self) -> Option<PathBuf> {
        self.seal.path().map(Path::to_owned)
    }
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            inode: (about.dev(), about.ino()),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}
