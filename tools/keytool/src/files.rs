//! Files in and out. What is written appears whole under its name, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::errors::{Failure, Result};
use crate::exit::Exit;

/// Key files and certificates are small; a larger one was named by mistake.
const MAX_DOCUMENT: usize = 16 << 20;

/// How much is read at once.
const PIECE: usize = 64 << 10;

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
        self.more_than(usize::MAX)
    }

    /// Everything there is, or more than this many bytes of it.
    fn more_than(&mut self, most: usize) -> Result<Zeroizing<Vec<u8>>> {
        let expected = usize::try_from(self.len).unwrap_or(0).min(MAX_DOCUMENT);
        let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        while bytes.len() <= most {
            match self.reader.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => append(&mut bytes, piece.get(..read).unwrap_or(&piece)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::file("read", &self.path, &error)),
            }
        }
        Ok(bytes)
    }
}

/// Appends bytes that may be secret: what a buffer leaves behind when it grows is wiped.
pub(crate) fn append(buffer: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let needed = buffer.len().saturating_add(bytes.len());
    if needed > buffer.capacity() {
        let room = needed.max(buffer.capacity().saturating_mul(2));
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(bytes);
}

/// Everything in a small file, which may be a secret.
pub(crate) fn document(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = Input::open(Some(path))?.more_than(MAX_DOCUMENT)?;
    if bytes.len() > MAX_DOCUMENT {
        let limit = MAX_DOCUMENT >> 20;
        let what = format!("{} is longer than {limit} MiB", path.display());
        return Err(Failure::new(Exit::File, what).help("check that the path is right"));
    }
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
                    .and_then(|()| sync_dir(path))
                    .map_err(|error| Failure::file("write", path, &error))?;
                *finished = true;
                Ok(())
            }
        }
    }
}

/// Makes the name of a file durable, where this user may: one can write into a directory and not read it.
fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    match File::open(dir.unwrap_or(Path::new("."))) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome?.sync_all(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_whole_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("document");
        for (len, exit) in [
            (0, Some(Exit::File)),
            (1, None),
            (PIECE + 1, None),
            (MAX_DOCUMENT, None),
            (MAX_DOCUMENT + 1, Some(Exit::File)),
        ] {
            std::fs::write(&path, vec![7; len]).unwrap();
            let read = document(&path);
            assert_eq!(read.as_ref().err().map(|failure| failure.exit), exit);
            assert!(read.is_err() || read.is_ok_and(|bytes| *bytes == vec![7; len]));
        }
        let endless = document(Path::new("/dev/zero"));
        assert_eq!(endless.err().map(|failure| failure.exit), Some(Exit::File));
    }

    #[test]
    fn a_buffer_of_unknown_length_grows() {
        let mut buffer = Zeroizing::new(Vec::new());
        for byte in 0..=u8::MAX {
            append(&mut buffer, &[byte; 3]);
        }
        let expected: Vec<u8> = (0..=u8::MAX).flat_map(|byte| [byte; 3]).collect();
        assert_eq!(*buffer, expected);
    }
}
