//! Why a command stopped.

use std::fmt;
use std::path::Path;

/// The outcome of whatever can fail.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// A sentence that says what went wrong, and one that says what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    remedy: String,
    /// What a program said of it.
    said: Vec<String>,
}

impl Failure {
    /// What went wrong, and the remedy.
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), said: Vec::new() }
    }

    /// The same, with the lines of a program that say why.
    pub(crate) fn quoting(mut self, said: Vec<String>) -> Self {
        self.said = said;
        self
    }

    /// The lines of a program that say why, if one was asked.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// A file or directory that cannot be used.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            format!("{} cannot be used: {error}.", path.display()),
            "Check who owns it and whether the disk has room.",
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}", self.what, self.remedy)
    }
}
