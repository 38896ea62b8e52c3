//! What an operator and the daemon say to each other: one line of JSON each way, on a socket of its
//! own that only the daemon's user and root may open. `PROTOCOL.md` beside the daemon has it too.
//!
//! This room knows no store: it says what can be asked, what can be answered, and how a line is
//! read and written. Lines hold passphrases, so they lie in memory that is wiped.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The daemon's socket for its callers, if `[daemon] socket` does not say.
pub const CALLERS: &str = "/run/strongroom/strongroom.sock";

/// Where the daemon listens to its operator, if `[daemon] operator` does not say: beside the socket
/// for its callers.
#[must_use]
pub fn beside(callers: &Path) -> PathBuf {
    callers.with_file_name("operator.sock")
}

/// The longest line in bytes; a longer one was not meant for this socket.
const LONGEST: u64 = 64 << 10;

/// How long either side waits for the other. Unsealing takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an operator asks for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is.
    Status,
    /// To forget all keys, at once.
    Seal,
    /// To open the seal key.
    Unseal(Opener),
}

/// What opens the seal key, in hexadecimal digits: what needs no unescaping is never copied.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Opener {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A key.
    Key(Zeroizing<String>),
}

impl Opener {
    /// A passphrase from its bytes.
    #[must_use]
    pub fn passphrase(bytes: &[u8]) -> Self {
        Self::Passphrase(Zeroizing::new(hex::encode(bytes)))
    }

    /// A key from its bytes.
    #[must_use]
    pub fn key(bytes: &[u8]) -> Self {
        Self::Key(Zeroizing::new(hex::encode(bytes)))
    }

    /// What it opens with; nothing if these are no hexadecimal digits.
    #[must_use]
    pub fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (Self::Passphrase(digits) | Self::Key(digits)) = self;
        hex::decode(&**digits).ok().map(Zeroizing::new)
    }
}

/// What the daemon answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done; and this is how the daemon is now.
    Done(Status),
    /// The passphrase or key opens nothing.
    Wrong,
    /// It can not be done; a sentence says why.
    Refused(String),
}

/// How a daemon is.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// The daemon's process.
    pub process: u32,
    /// For how many seconds it has been running.
    pub uptime: u64,
    /// The directory of the store.
    pub store: PathBuf,
    /// Whether an operator has to unseal it first.
    pub sealed: bool,
    /// How many tokens are in the store.
    pub tokens: usize,
    /// How many processes have an application.
    pub applications: usize,
    /// How many connections are open.
    pub connections: usize,
    /// How many sessions are open.
    pub sessions: usize,
    /// How many calls are at work that began while it was not sealed; they have keys until they end.
    pub under_way: usize,
}

/// Asks the daemon at a socket.
///
/// # Errors
/// Those of the socket; [`InvalidData`](ErrorKind::InvalidData) if what comes back is no answer.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    be_patient(&stream)?;
    converse(&stream, request)
}

fn converse(stream: &UnixStream, request: &Request) -> io::Result<Answer> {
    match write_line(stream, request) {
        // Who is turned away is told so, and not listened to.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        outcome => outcome?,
    }
    read_line(stream)
}

/// Reads what an operator asks for.
///
/// # Errors
/// Those of the socket; [`InvalidData`](ErrorKind::InvalidData) if it is nothing that can be asked.
pub fn hear(stream: &UnixStream) -> io::Result<Request> {
    be_patient(stream)?;
    read_line(stream)
}

/// Answers an operator.
///
/// # Errors
/// Those of the socket.
pub fn answer(stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    write_line(stream, answer)
}

fn be_patient(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn write_line(mut stream: &UnixStream, what: &impl Serialize) -> io::Result<()> {
    // Long enough that no copy is left behind by growing.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or(0)));
    serde_json::to_writer(&mut *line, what)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn read_line<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    let room = usize::try_from(LONGEST).unwrap_or(0);
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    // Byte by byte: a buffer of its own would keep what it read.
    BufReader::with_capacity(1, stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    match line.split_last() {
        Some((b'\n', text)) => {
            // The parser's error shows no value, but may name what it met: it is left out.
            serde_json::from_slice(text).map_err(|_| ErrorKind::InvalidData.into())
        }
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// The operator's socket, as a configuration says, if there is one. Errors are sentences.
///
/// # Errors
/// If the file can not be read, or is not TOML.
pub fn socket(configuration: Option<&Path>) -> Result<PathBuf, String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct File {
        daemon: Table,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Table {
        socket: Option<PathBuf>,
        operator: Option<PathBuf>,
    }
    let Some(path) = configuration else { return Ok(beside(Path::new(CALLERS))) };
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File = toml::from_str(&text)
        .map_err(|error| format!("{}: {}", path.display(), error.message()))?;
    let Table { socket, operator } = file.daemon;
    let operator = operator.unwrap_or_else(|| beside(&socket.unwrap_or_else(|| CALLERS.into())));
    Ok(path.parent().unwrap_or(Path::new("/")).join(operator))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn exchange(request: &Request, reply: Answer) -> (Request, Answer) {
        let (one, other) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            let daemon = scope.spawn(move || {
                let heard = hear(&other).unwrap();
                answer(&other, &reply).unwrap();
                heard
            });
            write_line(&one, request).unwrap();
            let answered = read_line(&one).unwrap();
            (daemon.join().unwrap(), answered)
        })
    }

    #[test]
    fn what_is_said_arrives() {
        let (heard, answered) = exchange(&Request::Status, Answer::Done(Status::default()));
        assert!(matches!(heard, Request::Status));
        assert_eq!(answered, Answer::Done(Status::default()));
        let (heard, answered) = exchange(&Request::Unseal(Opener::key(&[1, 255])), Answer::Wrong);
        assert!(matches!(heard, Request::Unseal(Opener::Key(digits)) if *digits == "01ff"));
        assert_eq!(answered, Answer::Wrong);
        assert_eq!(*Opener::passphrase(b"\"x\n").bytes().unwrap(), b"\"x\n");
        assert!(Opener::Key(Zeroizing::new("0g".into())).bytes().is_none());
    }

    #[test]
    fn who_is_not_listened_to_hears_the_answer() {
        let (one, other) = UnixStream::pair().unwrap();
        answer(&other, &Answer::Refused("nobody".into())).unwrap();
        drop(other);
        assert_eq!(converse(&one, &Request::Seal).unwrap(), Answer::Refused("nobody".into()));
        let ended = converse(&one, &Request::Seal).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_socket_is_beside_that_of_the_callers() {
        assert_eq!(socket(None).unwrap(), Path::new("/run/strongroom/operator.sock"));
        let dir = std::env::temp_dir().join(format!("operator-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("strongroom.toml");
        for (text, expected) in [
            ("", Path::new("/run/strongroom/operator.sock").to_path_buf()),
            ("[daemon]\nsocket = 'run/s.sock'\n", dir.join("run/operator.sock")),
            ("[daemon]\nsocket = 's.sock'\noperator = '/x/o.sock'\n", "/x/o.sock".into()),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(socket(Some(&path)).unwrap(), expected);
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_no_line_of_ours_is_an_error() {
        for (text, kind) in [
            (&b"{\"status\""[..], ErrorKind::UnexpectedEof),
            (b"", ErrorKind::UnexpectedEof),
            (b"\"reboot\"\n", ErrorKind::InvalidData),
            (b"\"status\" \"seal\"\n", ErrorKind::InvalidData),
            (b"{\"unseal\":{\"pin\":\"1\"}}\n", ErrorKind::InvalidData),
        ] {
            let (one, other) = UnixStream::pair().unwrap();
            (&one).write_all(text).unwrap();
            drop(one);
            assert_eq!(hear(&other).map(drop).unwrap_err().kind(), kind);
        }
        let (one, other) = UnixStream::pair().unwrap();
        let long = thread::spawn(move || {
            // Fails when the other end has had enough.
            let _ = (&one).write_all(&vec![b' '; 1 << 20]);
        });
        assert!(hear(&other).is_err());
        drop(other);
        long.join().unwrap();
    }
}
