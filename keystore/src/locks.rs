//! A seal key that an operator unlocks.
//!
//! Where the machine must not be able to open its own store, the seal key lies in no file as it
//! is. A file holds it once for each of its locks, and any one of them opens it: a passphrase, or
//! a key, which is a file that the operator brings or a credential that the service manager does.
//! FORMAT.md has the file byte by byte.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{self, Error, Result},
    keys::Ring,
    pages::Secret,
    pin::{Cost, stretch},
    seal::{self, Draft, EXPOSED, LEN, make_dirs, sync_dir},
    sealed::{self, Binding, Key},
};

/// The version of the file.
const FORMAT: u32 = 1;
/// More than any file of this kind needs.
const LONGEST: u64 = 1 << 20;
/// The shortest key; what is shorter can be guessed.
const SHORTEST_KEY: usize = 32;
/// The shortest passphrase of a new lock, in bytes.
const SHORTEST_PASSPHRASE: usize = 8;

/// What opens a lock.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    /// What a person knows. Each guess costs some 140 ms and 64 MiB.
    Passphrase(&'a [u8]),
    /// At least 32 random bytes: a key file, or a credential of the service manager.
    Key(&'a [u8]),
}

impl Opener<'_> {
    fn kind(self) -> Kind {
        match self {
            Self::Passphrase(_) => Kind::Passphrase,
            Self::Key(_) => Kind::Key,
        }
    }

    /// Refuses what would make a weak lock.
    fn good_enough(self) -> Result<()> {
        let (given, least, what) = match self {
            Self::Passphrase(text) => (text.len(), SHORTEST_PASSPHRASE, "passphrase"),
            Self::Key(key) => (key.len(), SHORTEST_KEY, "key file"),
        };
        if given >= least {
            return Ok(());
        }
        Err(Error::Unsupported(format!("the {what} has {given} bytes; it needs at least {least}")))
    }
}

/// The kinds of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A passphrase, stretched by Argon2id.
    Passphrase,
    /// A key, as it is.
    Key,
}

/// The locks of a seal key, as their file has them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locks {
    format: u32,
    #[serde(rename = "lock", default)]
    locks: Vec<Lock>,
    /// The text that they were read from, if they were.
    #[serde(skip)]
    read_from: Option<String>,
}

/// One lock: the seal key, sealed under what its opener gives.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    name: String,
    kind: Kind,
    /// Of Argon2id, for a passphrase alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    #[serde(with = "hex::serde")]
    salt: [u8; 16],
    #[serde(with = "hex::serde")]
    commitment: [u8; 32],
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

impl Locks {
    /// Locks a new seal key, which nobody has seen.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the opener is too short; [`Error::OutOfMemory`].
    pub fn of_new(name: &str, opener: Opener<'_>) -> Result<Self> {
        let key = sealed::random_key()?;
        let seal = Secret::new(LEN, |page| page.copy_from_slice(key.as_slice()));
        Self::new(name, opener, &seal.map_err(error::io)?)
    }

    /// Locks the seal key that a file has as it is.
    ///
    /// # Errors
    /// [`Error::SealMissing`], [`Error::SealExposed`], [`Error::SealWrong`]; and as above.
    pub fn of_file(path: &Path, name: &str, opener: Opener<'_>) -> Result<Self> {
        Self::new(name, opener, &seal::read(path)?)
    }

    /// Adds a lock, with the help of one that is there.
    ///
    /// # Errors
    /// [`Error::WrongPin`] if `with` opens none; [`Error::Conflict`] if there is a lock of this
    /// name; [`Error::Unsupported`] if the new opener is too short; [`Error::OutOfMemory`].
    pub fn extend(&mut self, with: Opener<'_>, name: &str, opener: Opener<'_>) -> Result<()> {
        let seal = self.open(with)?;
        self.add(name, opener, &seal)
    }

    fn new(name: &str, opener: Opener<'_>, seal: &Secret) -> Result<Self> {
        let mut locks = Self { format: FORMAT, locks: Vec::new(), read_from: None };
        locks.add(name, opener, seal)?;
        Ok(locks)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::SealMissing`], [`Error::SealExposed`]; [`Error::Unsupported`] if it is no such
    /// file, or of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let about = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::SealMissing(path.to_owned()));
            }
            outcome => outcome.map_err(error::io)?,
        };
        if about.mode() & EXPOSED != 0 {
            return Err(Error::SealExposed(path.to_owned()));
        }
        let refuse = |why: String| Err(Error::Unsupported(format!("{}: {why}", path.display())));
        if about.len() > LONGEST {
            return refuse("too long for a locked seal key".into());
        }
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return refuse(
                    "no locked seal key; `strongroom seal-key lock` makes one of a seal key".into(),
                );
            }
            outcome => outcome.map_err(error::io)?,
        };
        match toml::from_str::<Self>(&text) {
            Ok(locks) if locks.format == FORMAT => Ok(Self { read_from: Some(text), ..locks }),
            Ok(locks) => refuse(format!("format {} is newer than this version", locks.format)),
            // The parser's text shows the line, which is no secret, and on one line.
            Err(error) => refuse(format!("not a locked seal key: {}", error.message())),
        }
    }

    /// Writes the file, whole or not at all. One that is there keeps its owner, its group and who may
    /// read it.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless the file is as it was read, or there is none where none was read: a lock
    /// that somebody else added, or a seal key, is not written over; [`Error::ReadOnly`],
    /// [`Error::Full`], [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|error| Error::Unsupported(error.to_string()))?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        make_dirs(dir)?;
        // One at a time between reading and renaming; the lock ends with the file.
        let turn = File::open(dir).map_err(error::io)?;
        turn.lock().map_err(error::io)?;
        let about = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.read_from.is_none() => None,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error::io(error)),
            Ok(now) if self.read_from.as_ref() == Some(&now) => {
                Some(fs::metadata(path).map_err(error::io)?)
            }
            _ => return Err(Error::Conflict),
        };
        let draft = Draft::write(dir, &[HEAD.as_bytes(), text.as_bytes()])?;
        if let Some(about) = about {
            chown(&draft.0, Some(about.uid()), Some(about.gid()))
                .and_then(|()| fs::set_permissions(&draft.0, about.permissions()))
                .map_err(error::io)?;
        }
        fs::rename(&draft.0, path).map_err(error::io)?;
        sync_dir(dir)
    }

    /// Each lock's name and kind.
    pub fn list(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.locks.iter().map(|lock| (lock.name.as_str(), lock.kind))
    }

    /// Opens the seal key by any lock that the opener fits.
    pub(crate) fn open(&self, opener: Opener<'_>) -> Result<Secret> {
        for lock in self.locks.iter().filter(|lock| lock.kind == opener.kind()) {
            match lock.open(opener) {
                Err(Error::WrongPin) => {}
                outcome => return outcome,
            }
        }
        Err(Error::WrongPin)
    }

    fn add(&mut self, name: &str, opener: Opener<'_>, seal: &Secret) -> Result<()> {
        opener.good_enough()?;
        if self.locks.iter().any(|lock| lock.name == name) {
            return Err(Error::Conflict);
        }
        self.locks.push(Lock::new(name, opener, seal)?);
        Ok(())
    }

    /// Takes a lock away. The seal key stays what it is: whoever knows it from this lock knows it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Denied`] if it is the last one.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let at = self.locks.iter().position(|lock| lock.name == name).ok_or(Error::NotFound)?;
        if self.locks.len() == 1 {
            return Err(Error::Unsupported(
                "this is the last lock; without one nobody could open the store".into(),
            ));
        }
        self.locks.remove(at);
        Ok(())
    }
}

/// What people see who look into the file.
const HEAD: &str = "\
# The seal key of a Strongroom store, locked: any one of these locks opens it. Keep a copy; without
# it the tokens of the store are lost.
";

impl Lock {
    fn new(name: &str, opener: Opener<'_>, seal: &Secret) -> Result<Self> {
        let cost = match opener {
            Opener::Passphrase(_) => Some(Cost::UNSEALED),
            Opener::Key(_) => None,
        };
        let mut lock = Self {
            name: name.to_owned(),
            kind: opener.kind(),
            cost,
            salt: sealed::random()?,
            commitment: [0; 32],
            sealed: Vec::new(),
        };
        let ring = lock.ring(opener)?;
        let context = lock.context();
        let binding = Binding { label: "seal", context: &context };
        let seal = seal.bytes().ok_or(Error::Locked)?;
        lock.sealed = sealed::seal(ring.key(0)?, &binding, seal)?;
        lock.commitment = lock.commitment(&ring)?;
        Ok(lock)
    }

    fn open(&self, opener: Opener<'_>) -> Result<Secret> {
        let ring = self.ring(opener)?;
        if !sealed::equal(&self.commitment, &self.commitment(&ring)?) {
            return Err(Error::WrongPin);
        }
        let context = self.context();
        let binding = Binding { label: "seal", context: &context };
        let key = sealed::open(ring.key(0)?, &binding, &self.sealed, DAMAGED)?;
        let key: &[u8; LEN] =
            key.as_slice().try_into().map_err(|_| Error::Corrupt(DAMAGED.into()))?;
        Secret::new(LEN, |page| page.copy_from_slice(key)).map_err(error::io)
    }

    /// The key that seals, and the key of the commitment.
    fn ring(&self, opener: Opener<'_>) -> Result<Ring> {
        let prk = match (opener, self.cost) {
            (Opener::Passphrase(text), Some(cost)) if cost.bearable() => {
                let stretched = stretch(cost, &self.salt, text)?;
                sealed::extract("strongroom lock 1", stretched.as_slice())
            }
            (Opener::Key(key), None) => sealed::extract("strongroom lock 1", key),
            _ => return Err(Error::Corrupt(DAMAGED.into())),
        };
        let context = self.context();
        let [seal, commitment] = ["seal", "commitment"]
            .map(|name| -> Key { sealed::expand(&prk, &[name.as_bytes(), &context]) });
        Ring::new(&[&seal, &commitment])
    }

    /// What says that this lock was opened by its own opener, and that nothing of it was changed.
    fn commitment(&self, ring: &Ring) -> Result<[u8; 32]> {
        Ok(sealed::mac(ring.key(1)?, &[&self.context(), self.name.as_bytes(), &self.sealed]))
    }

    /// What the sealed key is bound to: kind, cost and salt.
    fn context(&self) -> Vec<u8> {
        let Cost { memory, passes, lanes } =
            self.cost.unwrap_or(Cost { memory: 0, passes: 0, lanes: 0 });
        let kind = match self.kind {
            Kind::Passphrase => 1,
            Kind::Key => 2,
        };
        let parts: [&[u8]; 5] = [
            &[kind],
            &memory.to_le_bytes(),
            &passes.to_le_bytes(),
            &lanes.to_le_bytes(),
            &self.salt,
        ];
        parts.concat()
    }
}

const DAMAGED: &str = "a lock of the seal key is damaged or was tampered with";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    const KEY: Opener<'_> = Opener::Key(&[7; 32]);
    const WORDS: Opener<'_> = Opener::Passphrase(b"correct horse");

    fn key() -> Secret {
        Secret::new(LEN, |page| page.fill(5)).unwrap()
    }

    fn opened(locks: &Locks, opener: Opener<'_>) -> Result<Vec<u8>> {
        locks.open(opener).map(|seal| seal.bytes().unwrap().to_vec())
    }

    #[test]
    fn any_lock_opens_it_and_nothing_else_does() {
        let mut locks = Locks::new("service", KEY, &key()).unwrap();
        locks.add("operator", WORDS, &key()).unwrap();
        assert_eq!(opened(&locks, KEY).unwrap(), [5; LEN]);
        assert_eq!(opened(&locks, WORDS).unwrap(), [5; LEN]);
        for wrong in [
            Opener::Key(&[8; 32]),
            Opener::Passphrase(b"correct hors"),
            Opener::Passphrase(&[7; 32]),
            Opener::Key(b"correct horse"),
        ] {
            assert!(matches!(opened(&locks, wrong), Err(Error::WrongPin)));
        }
        locks.remove("service").unwrap();
        assert!(matches!(opened(&locks, KEY), Err(Error::WrongPin)));
        assert_eq!(opened(&locks, WORDS).unwrap(), [5; LEN]);
        assert!(matches!(locks.remove("service"), Err(Error::NotFound)));
        assert!(matches!(locks.remove("operator"), Err(Error::Unsupported(_))), "the last");
    }

    #[test]
    fn weak_openers_and_second_locks_of_a_name_are_refused() {
        let mut locks = Locks::new("one", KEY, &key()).unwrap();
        for weak in [Opener::Key(&[1; 31]), Opener::Passphrase(b"short")] {
            assert!(matches!(locks.add("weak", weak, &key()), Err(Error::Unsupported(_))));
        }
        assert!(matches!(locks.add("one", WORDS, &key()), Err(Error::Conflict)));
        assert_eq!(locks.list().collect::<Vec<_>>(), [("one", Kind::Key)]);
    }

    #[test]
    fn the_file_comes_back_as_it_was_written() {
        let dir = Scratch::new();
        let path = dir.path().join("deep/seal.locked");
        assert!(matches!(Locks::read(&path), Err(Error::SealMissing(_))));
        let mut locks = Locks::new("one", KEY, &key()).unwrap();
        locks.add("two", WORDS, &key()).unwrap();
        locks.write(&path).unwrap();
        let again = Locks::read(&path).unwrap();
        assert_eq!(opened(&again, WORDS).unwrap(), [5; LEN]);
        assert_eq!(
            again.list().collect::<Vec<_>>(),
            [("one", Kind::Key), ("two", Kind::Passphrase)]
        );
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_change_keeps_who_may_read_it_and_loses_no_other_change() {
        let dir = Scratch::new();
        let path = dir.path().join("seal.locked");
        Locks::new("one", KEY, &key()).unwrap().write(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let [mut first, mut second] = [(); 2].map(|()| Locks::read(&path).unwrap());
        first.extend(KEY, "two", WORDS).unwrap();
        second.extend(KEY, "three", WORDS).unwrap();
        first.write(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
        // Neither over the other one, nor another seal key over both.
        assert!(matches!(second.write(&path), Err(Error::Conflict)));
        let other = Locks::new("one", KEY, &key()).unwrap();
        assert!(matches!(other.write(&path), Err(Error::Conflict)));
        let names = Locks::read(&path).unwrap();
        assert_eq!(names.list().map(|(name, _)| name).collect::<Vec<_>>(), ["one", "two"]);
        fs::remove_file(&path).unwrap();
        assert!(matches!(names.write(&path), Err(Error::Conflict)));
    }

    #[test]
    fn whatever_was_changed_in_a_lock_it_does_not_open() {
        let whole = Locks::new("one", KEY, &key()).unwrap();
        let text = toml::to_string(&whole).unwrap();
        let digits: Vec<_> =
            text.char_indices().filter(|(_, one)| one.is_ascii_hexdigit()).collect();
        for (at, digit) in digits {
            let mut bad = text.clone();
            bad.replace_range(at..=at, if digit == '0' { "1" } else { "0" });
            let Ok(locks) = toml::from_str::<Locks>(&bad) else { continue };
            // The version of the file is looked at when it is read.
            let same = locks.format != FORMAT;
            assert_eq!(opened(&locks, KEY).is_ok(), same, "{at}: {bad}");
        }
    }

    #[test]
    fn files_of_another_kind_are_named() {
        let dir = Scratch::new();
        let path = dir.path().join("seal.locked");
        for bytes in [&[0xff; 32][..], b"format = 2", b"format = 1\nmore = 1", b""] {
            fs::write(&path, bytes).unwrap();
            let exposed = Locks::read(&path);
            assert!(matches!(exposed, Err(Error::SealExposed(_) | Error::Unsupported(_))));
        }
    }
}
