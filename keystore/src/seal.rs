//! The seal key: 32 random bytes outside the store.
//!
//! A PIN of four digits is ten thousand guesses, whatever the derivation costs. A key that is not
//! in the store makes a stolen database, backup or snapshot useless for guessing. On the same
//! host it protects from nobody who can read it, root above all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use zeroize::Zeroizing;

use crate::{
    config::{Seal, StartKey},
    error::{self, Error, Result},
    locks::{Locks, Opener},
    login::delay_after,
    pages::Secret,
    sealed,
};

/// The length of a seal key, in bytes.
pub(crate) const LEN: usize = 32;
/// Anyone's access, and the group's right to write.
pub(crate) const EXPOSED: u32 = 0o027;

/// Finds the seal key when it is first needed, and keeps it.
pub(crate) struct SealSource {
    seal: Seal,
    key: Mutex<Option<Arc<Secret>>>,
    /// How often an operator has sealed and unsealed it: odd while it is sealed.
    era: AtomicU64,
    /// Openers in a row that fitted no lock. One is tried at a time.
    wrong: Mutex<u32>,
}

impl SealSource {
    pub(crate) fn new(seal: Seal) -> Self {
        let era = AtomicU64::new(u64::from(matches!(seal, Seal::Operator { .. })));
        Self { seal, key: Mutex::new(None), era, wrong: Mutex::new(0) }
    }

    /// The file that holds the key, if the configuration wants one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.seal {
            Seal::File(path) | Seal::Operator { locks: path, .. } => Some(path),
            Seal::None => None,
        }
    }

    /// The key; nothing if the configuration wants none.
    pub(crate) fn key(&self) -> Result<Option<Arc<Secret>>> {
        match &self.seal {
            Seal::File(path) => self.cached(|| read(path)).map(Some),
            Seal::Operator { .. } => self.cached(|| Err(Error::Sealed)).map(Some),
            Seal::None => Ok(None),
        }
    }

    /// The key for a new token: the one that lies there now, since one that was there when it was first
    /// needed may be lost. Made now if it is not there, for the `first` token. What an operator
    /// unlocks is never made here.
    pub(crate) fn key_for_new(&self, first: bool) -> Result<Option<Arc<Secret>>> {
        let Seal::File(path) = &self.seal else { return self.key() };
        let found = if first { read_or_make(path) } else { read(path) }?;
        let mut kept = self.kept();
        match kept.as_ref() {
            Some(key) if same(key, &found)? => return Ok(Some(Arc::clone(key))),
            // What was kept opens the tokens that are there.
            Some(_) if !first => return Err(Error::SealWrong(path.clone())),
            _ => {}
        }
        Ok(Some(Arc::clone(kept.insert(Arc::new(found)))))
    }

    /// Has the key unlocked, for as long as it is not forgotten.
    pub(crate) fn unlock(&self, opener: Opener<'_>) -> Result<()> {
        let Seal::Operator { locks, .. } = &self.seal else {
            return Err(Error::Unsupported(
                "nobody has to unseal this store; that takes source = \"operator\" in [seal]"
                    .into(),
            ));
        };
        let open =
            || Locks::read(locks)?.open(opener).map_err(|error| error.in_file(|| locks.clone()));
        let key = Arc::new(self.attempt(open)?);
        if self.kept().replace(key).is_none() {
            self.era.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Tries an opener, after as long a wait as a PIN would have to after so many wrong ones.
    fn attempt<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(delay_after(*wrong));
        let outcome = open();
        match &outcome {
            Err(Error::WrongPin) => *wrong = wrong.saturating_add(1),
            Ok(_) => *wrong = 0,
            Err(_) => {}
        }
        outcome
    }

    /// Has the key unlocked by what the configuration names, if it names anything. Says whether it
    /// does.
    pub(crate) fn unlock_at_start(&self) -> Result<bool> {
        let Seal::Operator { key: Some(key), .. } = &self.seal else { return Ok(false) };
        let path = match key {
            StartKey::File(path) => path.clone(),
            StartKey::Credential(name) => {
                let dir = std::env::var_os(CREDENTIALS).ok_or_else(|| {
                    Error::Unsupported(format!(
                        "the service manager gives this process no credentials; add \
                         LoadCredentialEncrypted={name} to its unit"
                    ))
                })?;
                Path::new(&dir).join(name)
            }
        };
        self.unlock(Opener::Key(&read_opener(&path)?)).map(|()| true)
    }

    /// Forgets a key that an operator unlocked. Any other is not secret from this process.
    pub(crate) fn forget(&self) {
        if matches!(self.seal, Seal::Operator { .. }) && self.kept().take().is_some() {
            self.era.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How often an operator has sealed and unsealed it: odd while it is sealed.
    pub(crate) fn era(&self) -> u64 {
        self.era.load(Ordering::SeqCst)
    }

    /// Whether an operator may seal and unseal it.
    pub(crate) fn is_operated(&self) -> bool {
        matches!(self.seal, Seal::Operator { .. })
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Secret>>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, get: impl FnOnce() -> Result<Secret>) -> Result<Arc<Secret>> {
        let mut cached = self.kept();
        if let Some(key) = cached.as_ref() {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(get()?);
        *cached = Some(Arc::clone(&key));
        Ok(key)
    }
}

/// The directory in which the service manager gives a process its credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// More than any key that unlocks has.
const LONGEST_OPENER: usize = 16 << 10;

/// Reads a key that unlocks.
fn read_opener(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let unreadable = |error: io::Error| {
        Error::Unsupported(format!("the key {} cannot be read: {error}", path.display()))
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & EXPOSED != 0 {
        return Err(Error::SealExposed(path.to_owned()));
    }
    // Long enough that no copy is left behind by growing.
    let mut key = Zeroizing::new(Vec::with_capacity(LONGEST_OPENER));
    let most = u64::try_from(LONGEST_OPENER).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut key).map_err(unreadable)?;
    if key.len() < LONGEST_OPENER {
        return Ok(key);
    }
    Err(Error::Unsupported(format!("the key {} is longer than any", path.display())))
}

fn same(one: &Secret, other: &Secret) -> Result<bool> {
    let (Some(one), Some(other)) = (one.bytes(), other.bytes()) else {
        return Err(Error::Locked);
    };
    Ok(sealed::equal(one, other))
}

fn read_or_make(path: &Path) -> Result<Secret> {
    let key = match read(path) {
        Err(Error::SealMissing(_)) => {
            make(path)?;
            read(path)
        }
        outcome => outcome,
    }?;
    // Whoever made the key: no token may be durable before it is.
    match sync_dir(path.parent().unwrap_or(Path::new("/"))) {
        // An operator put the key where this user writes nothing.
        Err(Error::ReadOnly) => Ok(key),
        outcome => outcome.map(|()| key),
    }
}

/// Reads a key that lies in a file as it is.
pub(crate) fn read(path: &Path) -> Result<Secret> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::SealMissing(path.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::Unsupported(format!(
                "this user may not read the seal key {}; give it to the user's group with mode 0440",
                path.display()
            )));
        }
        outcome => outcome.map_err(error::io)?,
    };
    let about = file.metadata().map_err(error::io)?;
    if about.mode() & EXPOSED != 0 {
        return Err(Error::SealExposed(path.to_owned()));
    }
    let mut key = Zeroizing::new([0; LEN + 1]);
    let mut read = 0;
    while let Some(room) = key.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error::io(error)),
        }
    }
    match key.get(..read).map(<&[u8; LEN]>::try_from) {
        Some(Ok(key)) => Secret::new(LEN, |page| page.copy_from_slice(key)).map_err(error::io),
        _ => Err(Error::SealWrong(path.to_owned())),
    }
}

/// Makes the key, unless somebody else just did: the file appears complete, under its name, once.
fn make(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    make_dirs(dir)?;
    let draft = Draft::write(dir, &[sealed::random_key()?.as_slice()])?;
    match fs::hard_link(&draft.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error::io(error)),
        _ => Ok(()),
    }
}

/// What the name of a draft begins with.
pub(crate) const DRAFT: &str = ".seal-";

/// A file that has all it will have, but not its name yet; this name is removed in any case.
pub(crate) struct Draft(pub(crate) PathBuf);

impl Draft {
    /// Writes the parts one after the other, durably.
    pub(crate) fn write(dir: &Path, parts: &[&[u8]]) -> Result<Self> {
        let name = u64::from_le_bytes(sealed::random()?);
        let draft = Self(dir.join(format!("{DRAFT}{name:016x}.new")));
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0);
        let mut file = new.map_err(error::io)?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        written.and_then(|()| file.sync_all()).map_err(error::io)?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nothing is lost if it stays: `check` names it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a directory, and those above it that are missing, durably.
pub(crate) fn make_dirs(dir: &Path) -> Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(error::io)?;
    missing.iter().filter_map(|dir| dir.parent()).try_for_each(sync_dir)
}

/// Makes names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(error::io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    fn source(path: &Path) -> SealSource {
        SealSource::new(Seal::File(path.to_owned()))
    }

    #[test]
    fn a_key_is_made_once_whoever_is_first() {
        let dir = Scratch::new();
        let path = dir.path().join("deep/er/seal.key");
        assert!(matches!(source(&path).key(), Err(Error::SealMissing(_))));
        let keys: Vec<Vec<u8>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let key = source(&path).key_for_new(true).unwrap().unwrap();
                        key.bytes().unwrap().to_vec()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == LEN));
        assert_eq!(fs::read(&path).unwrap(), keys[0]);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn exposed_keys_and_other_lengths_are_refused() {
        let dir = Scratch::new();
        let path = dir.path().join("seal.key");
        fs::write(&path, [1; LEN]).unwrap();
        for (mode, fine) in [(0o600, true), (0o640, true), (0o440, true), (0o644, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match source(&path).key() {
                Ok(_) => assert!(fine, "{mode:o}"),
                Err(Error::SealExposed(_)) => assert!(!fine, "{mode:o}"),
                Err(other) => panic!("{other}"),
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for len in [0, LEN - 1, LEN + 1] {
            fs::write(&path, vec![1; len]).unwrap();
            assert!(matches!(source(&path).key(), Err(Error::SealWrong(_))));
        }
    }
}
