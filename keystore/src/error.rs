//! What can go wrong in the keystore, in its own words.
//!
//! No variant carries a secret, and no variant is a `CKR_` number: whoever calls decides what an
//! application may learn. The text of each is a sentence for an operator's log.

use std::{fmt, io, path::PathBuf};

/// The outcome of a call of the keystore.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call of the keystore failed.
#[derive(Debug)]
pub enum Error {
    /// The PIN does not open the token; the failure is counted.
    WrongPin,
    /// Too many wrong PINs in a row, and the configuration sets `pin.lockout`.
    PinLocked,
    /// What is stored was damaged or tampered with; the text names what, and in which file.
    Corrupt(Damage),
    /// The object is not at the expected revision, or exists already.
    Conflict,
    /// No such object or token.
    NotFound,
    /// A private object without keys, or with the keys of a master key that was replaced.
    Locked,
    /// The token has no user PIN yet.
    NotInitialized,
    /// The store cannot be written.
    ReadOnly,
    /// No space is left for the store.
    Full,
    /// Another process held the store for longer than five seconds.
    Busy,
    /// The token was written by a newer version.
    TooNew {
        /// The format that the token says it has.
        format: u32,
    },
    /// Less memory is left than the derivation of a key from a PIN needs.
    OutOfMemory,
    /// The store is sealed: an operator has to unlock its seal key first.
    Sealed,
    /// The seal key of the store is not there.
    SealMissing(PathBuf),
    /// The seal key is not the one that the token was made with, or is no seal key.
    SealWrong(PathBuf),
    /// The seal key can be read or written by more users than its owner and group.
    SealExposed(PathBuf),
    /// The configuration forbids that the security officer replaces a user PIN.
    Denied,
    /// Something this version refuses to do; the text says what, and the remedy.
    Unsupported(String),
    /// The operating system or the engine failed.
    Io(io::Error),
}

/// What was damaged or tampered with.
#[derive(Debug)]
pub struct Damage {
    what: &'static str,
    file: Option<PathBuf>,
}

impl From<&'static str> for Damage {
    fn from(what: &'static str) -> Self {
        Self { what, file: None }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.what),
            None => f.write_str(self.what),
        }
    }
}

impl Error {
    /// Says which file is damaged, unless that was said.
    pub(crate) fn in_file(self, name: impl FnOnce() -> PathBuf) -> Self {
        match self {
            Self::Corrupt(Damage { what, file: None }) => {
                Self::Corrupt(Damage { what, file: Some(name()) })
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPin => f.write_str("the PIN is wrong"),
            Self::PinLocked => f.write_str(
                "the PIN is locked after too many wrong ones; the security officer can set a new \
                 user PIN",
            ),
            Self::Corrupt(what) => {
                write!(f, "{what}; run `strongroom check`, and restore the token from a backup")
            }
            Self::Conflict => f.write_str("the object was changed by somebody else meanwhile"),
            Self::NotFound => f.write_str("there is no such object or token"),
            Self::Locked => f.write_str("private objects need a login with the present user PIN"),
            Self::NotInitialized => f.write_str("the token has no user PIN yet"),
            Self::ReadOnly => f.write_str("the store cannot be written by this user"),
            Self::Full => f.write_str("no space is left for the store"),
            Self::Busy => f.write_str("another process keeps the store busy"),
            Self::TooNew { format } => write!(
                f,
                "the token has format {format}, which is newer than this version reads; install \
                 the version that wrote it"
            ),
            Self::OutOfMemory => f.write_str(
                "too little memory is left to check a PIN; raise the memory limit of this process \
                 or container",
            ),
            Self::Sealed => {
                f.write_str("the store is sealed; an operator unseals it with `strongroom unseal`")
            }
            Self::SealMissing(path) => write!(
                f,
                "the seal key {} is missing; put back the copy that was kept when the first token \
                 was made",
                path.display()
            ),
            Self::SealWrong(path) => write!(
                f,
                "{} is not the seal key that this token was made with; name the right one in \
                 [seal] file",
                path.display()
            ),
            Self::SealExposed(path) => write!(
                f,
                "the seal key {} is open to other users; run `chmod 0600` on it (0640 and 0440 \
                 are accepted)",
                path.display()
            ),
            Self::Denied => {
                f.write_str("the configuration forbids to replace a user PIN (so_reset = \"deny\")")
            }
            Self::Unsupported(why) => f.write_str(why),
            Self::Io(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Sorts a failure of the operating system.
pub(crate) fn io(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Error::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Full
        }
        io::ErrorKind::OutOfMemory => Error::OutOfMemory,
        _ => Error::Io(error),
    }
}
