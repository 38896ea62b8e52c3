//! Files in and out. What is written appears whole under its name, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::errors::{Failure, Result};
use crate::exit::Exit;

/// Key files and certificates are small; a larger one was named by mistake.
const MAX_DOCUMENT: u64 = 16 << 20;

/// A file, or standard input for `-` and nothing.
pub(crate) struct Input {
    reader: Box<dyn Read>,
    path: PathBuf,
    /// The length, 0 when nobody knows.
    pub(crate) len: u64,
}

impl Input {
    /// Opens it.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        match path {
            None => Ok(Self::stdin()),
            Some(path) if path == Path::new("-") => Ok(Self::stdin()),
            Some(path) => {
                let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
                let len = file.metadata().map_or(0, |data| data.len());
                Ok(Self { reader: Box::new(file), path: path.to_owned(), len })
            }
        }
    }

    fn stdin() -> Self {
        Self { reader: Box::new(io::stdin()), path: PathBuf::from("standard input"), len: 0 }
    }

    /// Fills the buffer as far as the input goes.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, room: usize) -> Result<()> {
        buffer.clear();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        (&mut self.reader)
            .take(limit)
            .read_to_end(buffer)
            .map_err(|error| Failure::file("read", &self.path, &error))?;
        Ok(())
    }

    /// Everything there is.
    pub(crate) fn all(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        self.reader
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::file("read", &self.path, &error))?;
        Ok(bytes)
    }
}

/// Everything in a small file, which may be a secret.
pub(crate) fn document(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let input = Input::open(Some(path))?;
    let mut bytes = Zeroizing::new(Vec::new());
    input
        .reader
        .take(MAX_DOCUMENT)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::file("read", path, &error))?;
    if bytes.is_empty() {
        return Err(Failure::new(Exit::File, format!("{} is empty", path.display())));
    }
    Ok(bytes)
}

/// A file that appears when it is finished, or standard output.
pub(crate) enum Sink {
    /// Standard output; what is written there is out.
    Stdout,
    /// A file under a name of its own, until [`Sink::finish`] gives it the right one.
    File {
        /// The open file.
        file: File,
        /// Its name while it grows.
        draft: PathBuf,
        /// Its name at the end.
        path: PathBuf,
        /// Whether it got that name.
        finished: bool,
    },
}

impl Sink {
    /// Starts a file that others may read as the umask says.
    pub(crate) fn public(path: Option<&Path>) -> Result<Self> {
        Self::open(path, 0o666)
    }

    /// Starts a file for the owner only.
    pub(crate) fn private(path: Option<&Path>) -> Result<Self> {
        Self::open(path, 0o600)
    }

    fn open(path: Option<&Path>, mode: u32) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part{}", std::process::id()));
        let draft = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&draft)
            .map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self::File { file, draft, path: path.to_owned(), finished: false })
    }

    /// Writes on.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => io::stdout()
                .write_all(bytes)
                .map_err(|error| Failure::file("write", Path::new("standard output"), &error)),
            Self::File { file, path, .. } => {
                file.write_all(bytes).map_err(|error| Failure::file("write", path, &error))
            }
        }
    }

    /// Whether what is written is out at once, and cannot be taken back.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Gives the file its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        match &mut self {
            Self::Stdout => io::stdout()
                .flush()
                .map_err(|error| Failure::file("write", Path::new("standard output"), &error)),
            Self::File { file, draft, path, finished } => {
                file.sync_all()
                    .and_then(|()| std::fs::rename(&*draft, &*path))
                    .map_err(|error| Failure::file("write", path, &error))?;
                *finished = true;
                Ok(())
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Self::File { draft, finished: false, .. } = self {
            // The error that ended the work is the one to report.
            let _left = std::fs::remove_file(draft);
        }
    }
}

/// Writes a public document in one go.
pub(crate) fn write(path: Option<&Path>, bytes: &[u8]) -> Result<()> {
    let mut sink = Sink::public(path)?;
    sink.write(bytes)?;
    sink.finish()
}
