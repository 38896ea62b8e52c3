//! The names of a token's files, and whether this process is alone with them.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::{Access, AtFlags, CWD, OFlags, accessat},
    io::Errno,
};

use crate::{
    backend::TokenId,
    error::{self, Error, Result},
    gate, sealed,
};

/// Where a token lies.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    stem: String,
    /// The permissions that new files do not get.
    umask: u32,
}

impl Files {
    pub(crate) fn new(dir: &Path, token: TokenId, umask: u32) -> Self {
        Self { dir: dir.to_owned(), stem: stem(&token), umask }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.named(".db")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.named(".db-wal")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.named(".db-shm")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.named(".lock")
    }

    pub(super) fn generation(&self) -> PathBuf {
        self.named(".gen")
    }

    /// A name that nobody else has for a file that is to become the database.
    pub(super) fn draft(&self) -> Result<PathBuf> {
        let name = u64::from_le_bytes(sealed::random()?);
        Ok(self.named(&format!(".{name:016x}.new")))
    }

    /// All files that a token can have; none when it is gone.
    pub(crate) fn all(&self) -> [PathBuf; 5] {
        [self.database(), self.log(), self.index(), self.generation(), self.lock()]
    }

    pub(super) fn mode(&self) -> u32 {
        mode_in(&self.dir, self.umask)
    }

    /// Opens one of them that is no database; see [`beside`].
    pub(super) fn beside(&self, path: &Path) -> io::Result<File> {
        beside(path, self.umask)
    }

    /// The highest version that was acknowledged, for who may only read; 0 if nobody knows.
    pub(super) fn acknowledged(&self) -> u64 {
        let mut word = [0; 8];
        let read =
            read_beside(&self.generation()).and_then(|file| file.read_exact_at(&mut word, 8));
        read.map_or(0, |()| u64::from_ne_bytes(word))
    }

    /// What is left of a token that was here, only while no database lies there.
    pub(super) fn remove_remains(&self) {
        if !self.database().exists() {
            for path in [self.log(), self.index(), self.generation()] {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Says whether this process may write both the file and beside it.
    pub(super) fn writable(&self) -> bool {
        [self.dir.clone(), self.database()]
            .iter()
            .all(|path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok())
    }

    fn named(&self, end: &str) -> PathBuf {
        self.dir.join(format!("{}{end}", self.stem))
    }
}

/// New files are open to whom the directory is open and the mask does not keep out, others never.
fn mode_in(dir: &Path, umask: u32) -> u32 {
    let dir = fs::metadata(dir).map_or(0, |dir| dir.mode());
    0o600 | (dir & !umask & 0o060)
}

/// Opens a file of the store that is no database, and makes it if it is not there.
///
/// Never through a symbolic link: it could lead to a file that only this process may write.
pub(crate) fn beside(path: &Path, umask: u32) -> io::Result<File> {
    let open = || unlinked().write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome,
    }
    let mode = mode_in(path.parent().unwrap_or(Path::new("/")), umask);
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(),
        Ok(file) => file.set_permissions(Permissions::from_mode(mode)).map(|()| file),
        outcome => outcome,
    }
}

/// As [`beside`], to read, and only what is there.
pub(crate) fn read_beside(path: &Path) -> io::Result<File> {
    unlinked().open(path)
}

fn unlinked() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// The name of a token's files, without what they end in.
pub(crate) fn stem(token: &TokenId) -> String {
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token whose database has this file name.
pub(crate) fn token_of(name: &str) -> Option<TokenId> {
    let stem = name.strip_suffix(".db")?;
    let mut token = [0; 16];
    let (pairs, rest) = stem.as_bytes().as_chunks::<2>();
    let ours = pairs.len() == token.len()
        && rest.is_empty()
        && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, pair) in token.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    ours.then_some(token)
}

/// The identity of an open file.
type Inode = (u64, u64);

/// How often this copy of the crate has each lock file open. Locked behind the gate alone, so that
/// no fork finds it so.
static PRESENT: Mutex<Option<HashMap<Inode, usize>>> = Mutex::new(None);

/// The lock file of a token, held open beside each connection.
///
/// Two copies of this code in one process (the module loaded under two paths) would be two
/// SQLites: closing a file in one drops the locks of the other, and the database is corrupted. A
/// descriptor of the lock file that this copy did not open betrays the other copy.
pub(super) struct Presence {
    file: Option<File>,
    inode: Inode,
}

impl Presence {
    /// Opens the lock file; nothing if there is none and none can be made.
    pub(super) fn open(files: &Files) -> Result<Option<Self>> {
        let path = files.lock();
        let _entry = gate::enter();
        let mut present = PRESENT.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match files.beside(&path).or_else(|_| read_beside(&path)) {
            Ok(file) => file,
            Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                return Err(Error::Corrupt("the lock file of the token is a symbolic link".into()));
            }
            Err(_) => return Ok(None),
        };
        let inode = inode(&file)?;
        let count = present.get_or_insert_default().entry(inode).or_default();
        *count += 1;
        // Under the lock: meanwhile no other thread opens or closes one of ours.
        let foreign = descriptors(&path, inode) > *count;
        drop(present);
        let presence = Self { file: Some(file), inode };
        if foreign {
            return Err(Error::Unsupported(
                "another copy of this module has the token open in this process; load the module \
                 under one path only"
                    .into(),
            ));
        }
        Ok(Some(presence))
    }

    /// Another descriptor of the same open file, with the same locks.
    pub(super) fn again(&self) -> Result<Self> {
        let _entry = gate::enter();
        let mut present = PRESENT.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file.as_ref().map(File::try_clone).transpose().map_err(error::io)?;
        *present.get_or_insert_default().entry(self.inode).or_default() += 1;
        Ok(Self { file, inode: self.inode })
    }

    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let _entry = gate::enter();
        let mut present = PRESENT.lock().unwrap_or_else(PoisonError::into_inner);
        self.file = None;
        let present = present.get_or_insert_default();
        let left = present.get(&self.inode).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            present.remove(&self.inode);
        } else {
            present.insert(self.inode, left);
        }
    }
}

fn inode(file: &File) -> Result<Inode> {
    let about = file.metadata().map_err(error::io)?;
    Ok((about.dev(), about.ino()))
}

/// How many descriptors of the process lead to a file; 0 if the system does not tell.
fn descriptors(path: &Path, inode: Inode) -> usize {
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let name = path.file_name();
    open.filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|link| fs::read_link(link).is_ok_and(|target| target.file_name() == name))
        .filter(|link| fs::metadata(link).is_ok_and(|file| (file.dev(), file.ino()) == inode))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn names_lead_back_to_tokens() {
        let token = [0xa1; 16];
        assert_eq!(token_of(&format!("{}.db", stem(&token))), Some(token));
        for name in ["x.db", "a1.db", &"a1".repeat(16), &format!("{}.db", "A1".repeat(16))] {
            assert_eq!(token_of(name), None, "{name}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let dir = Scratch::new();
        let files = Files::new(dir.path(), [7; 16], 0);
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, b"").unwrap();
        std::os::unix::fs::symlink(&elsewhere, files.lock()).unwrap();
        assert!(beside(&files.lock(), 0).is_err() && read_beside(&files.lock()).is_err());
        assert!(matches!(Presence::open(&files), Err(Error::Corrupt(_))));
    }

    #[test]
    fn threads_of_one_copy_do_not_take_each_other_for_another() {
        let dir = Scratch::new();
        let files = Files::new(dir.path(), [7; 16], 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        Presence::open(&files).unwrap().unwrap().again().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn another_copy_in_the_process_is_noticed() {
        let dir = Scratch::new();
        let files = Files::new(dir.path(), [7; 16], 0);
        let first = Presence::open(&files).unwrap().unwrap();
        let second = first.again().unwrap();
        let third = Presence::open(&files).unwrap().unwrap();
        drop((first, second, third));
        let foreign = File::open(files.lock()).unwrap();
        assert!(matches!(Presence::open(&files), Err(Error::Unsupported(_))));
        drop(foreign);
        Presence::open(&files).unwrap();
    }
}
