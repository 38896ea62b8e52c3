//! The log: what was called, and why it failed.
//!
//! Events go through `tracing` to a subscriber that belongs to this module and is in force for the
//! length of a call: the host's own subscriber, if it has one, sees nothing of them, and a library
//! must not set one for the whole process. Without a log, a call costs one branch more.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_token::{Level, Log, Target};
use strongroom_types::reason::{self, Account};
use strongroom_types::{Error, Result};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::abi::{Replaceable, brief};

/// The sockets of the system's logs: journald's, and where that is not, syslog's.
const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";

/// How the system's log calls us.
const NAME: &str = "strongroom";

/// The log of this process, once a module that keeps one has started.
static LOG: Replaceable<Open> = Replaceable::new();

/// A log that is being kept.
struct Open {
    config: Log,
    dispatch: Dispatch,
}

/// Starts to keep a log as the configuration wants it. The one that is kept already stays if it is
/// just that, or if this one can not be opened.
pub(crate) fn start(config: &Log) {
    if LOG.get().map_or(config.level == Level::Off, |open| open.config == *config) {
        return;
    }
    let sink = Sink::open(&config.target);
    let subscriber = Writer { level: severity(config.level), sink };
    // `tracing` registers whoever takes events, and whoever gives them when they first do, under
    // locks: that must not meet a fork, so it is all done here.
    let dispatch = brief(|| {
        dispatcher::with_default(&Dispatch::none(), || EVERY_LEVEL.map(|level| say(level, "")));
        Dispatch::new(subscriber)
    });
    LOG.replace(Open { config: config.clone(), dispatch });
}

/// Runs a call, and logs what came of it.
pub(crate) fn watch(name: &'static str, call: impl FnOnce() -> Result<()>) -> Result<()> {
    match LOG.get() {
        None => call(),
        Some(log) => log.watch(name, call),
    }
}

/// Says something that is not about one call.
pub(crate) fn remark(level: Level, text: &str) {
    if let Some(log) = LOG.get() {
        dispatcher::with_default(&log.dispatch, || say(level, text));
    }
}

/// The only place where events are made.
fn say(level: Level, text: impl fmt::Display) {
    match level {
        Level::Off => {}
        Level::Error => tracing::error!("{text}"),
        Level::Warning => tracing::warn!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Debug => tracing::debug!("{text}"),
    }
}

const EVERY_LEVEL: [Level; 4] = [Level::Error, Level::Warning, Level::Info, Level::Debug];

impl Open {
    fn watch(&self, name: &'static str, call: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.config.level == Level::Off {
            return call();
        }
        dispatcher::with_default(&self.dispatch, || {
            let (outcome, account) = reason::record(call);
            match outcome {
                Ok(()) => say(Level::Debug, Sentence(name, &account, "CKR_OK")),
                Err(error) => say(loudness(error), Sentence(name, &account, error.name())),
            }
            outcome
        })
    }
}

/// How loudly a failure deserves to be told.
fn loudness(error: Error) -> Level {
    match error {
        Error::GeneralError
        | Error::FunctionFailed
        | Error::DeviceError
        | Error::DeviceMemory
        | Error::HostMemory => Level::Error,
        // Every program that asks for a length first, or for what may come, does so.
        Error::BufferTooSmall | Error::NoEvent => Level::Debug,
        _ => Level::Warning,
    }
}

/// `C_CreateObject: session 3: CKA_MODULUS is missing (CKR_TEMPLATE_INCOMPLETE)`.
struct Sentence<'a>(&'a str, &'a Account, &'static str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, Account { about, why }, outcome) = self;
        f.write_str(name)?;
        for part in [about, why].into_iter().filter(|part| !part.is_empty()) {
            write!(f, ": {part}")?;
        }
        write!(f, " ({outcome})")
    }
}

/// The levels of `tracing`.
fn severity(level: Level) -> Option<tracing::Level> {
    match level {
        Level::Off => None,
        Level::Error => Some(tracing::Level::ERROR),
        Level::Warning => Some(tracing::Level::WARN),
        Level::Info => Some(tracing::Level::INFO),
        Level::Debug => Some(tracing::Level::DEBUG),
    }
}

/// The subscriber: writes events of ours that are important enough, and follows no spans.
struct Writer {
    level: Option<tracing::Level>,
    sink: Sink,
}

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.level.is_some_and(|level| *metadata.level() <= level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.sink.write(*event.metadata().level(), &message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail. A line is a line, whatever a file is called.
            let _ = write!(self.0, "{value:?}");
            self.0 = self.0.replace(char::is_control, " ");
        }
    }
}

/// Where lines go. A line that can not be written is lost: the host must not suffer for it.
enum Sink {
    Stderr,
    File(File),
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
    Nowhere,
}

impl Sink {
    /// Opens the target; the system's log, where a file can not be opened.
    fn open(target: &Target) -> Self {
        match target {
            Target::Stderr => Self::Stderr,
            Target::Journal => Self::of_system(),
            Target::File(path) => {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
                match file {
                    Ok(file) => Self::File(file),
                    Err(error) => {
                        let sink = Self::of_system();
                        let text = format!("the log {} can not be opened: {error}", path.display());
                        sink.write(tracing::Level::ERROR, &text);
                        sink
                    }
                }
            }
        }
    }

    fn of_system() -> Self {
        let connect = |path| {
            let socket = UnixDatagram::unbound()?;
            // A system that does not read its log must not stop the host.
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            Ok::<_, io::Error>(socket)
        };
        match connect(JOURNAL) {
            Ok(socket) => Self::Journal(socket),
            Err(_) => connect(SYSLOG).map_or(Self::Nowhere, Self::Syslog),
        }
    }

    fn write(&self, level: tracing::Level, text: &str) {
        let (number, word) = match level {
            tracing::Level::ERROR => (3, "error"),
            tracing::Level::WARN => (4, "warning"),
            tracing::Level::INFO => (6, "info"),
            _ => (7, "debug"),
        };
        let process = std::process::id();
        let line = || format!("{} {NAME}[{process}]: {word}: {text}\n", now());
        // In one piece, so that lines of several processes do not mix.
        let _ = match self {
            // Not by way of the standard library, which has a lock that a fork may find held.
            Self::Stderr => rustix::io::write(rustix::stdio::stderr(), line().as_bytes())
                .map(drop)
                .map_err(io::Error::from),
            Self::File(file) => {
                let mut file = file;
                file.write_all(line().as_bytes())
            }
            Self::Journal(socket) => socket
                .send(
                    format!("PRIORITY={number}\nSYSLOG_IDENTIFIER={NAME}\nMESSAGE={text}\n")
                        .as_bytes(),
                )
                .map(drop),
            // 10: messages of security, not for all eyes (RFC 3164, "authpriv").
            Self::Syslog(socket) => socket
                .send(format!("<{}>{NAME}[{process}]: {text}", 10 * 8 + number).as_bytes())
                .map(drop),
            Self::Nowhere => Ok(()),
        };
    }
}

/// The time, as RFC 3339 writes it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    der::DateTime::from_unix_duration(since).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_sentence() {
        let account = Account { about: "session 3".into(), why: "CKA_MODULUS is missing".into() };
        assert_eq!(
            Sentence("C_CreateObject", &account, "CKR_TEMPLATE_INCOMPLETE").to_string(),
            "C_CreateObject: session 3: CKA_MODULUS is missing (CKR_TEMPLATE_INCOMPLETE)"
        );
        let nothing = Account::default();
        assert_eq!(Sentence("C_Finalize", &nothing, "CKR_OK").to_string(), "C_Finalize (CKR_OK)");
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn a_file_gets_the_lines_that_are_important_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = Log { level: Level::Warning, target: Target::File(path.clone()) };
        let subscriber = Writer { level: severity(config.level), sink: Sink::open(&config.target) };
        let open = Open { config, dispatch: Dispatch::new(subscriber) };
        assert_eq!(open.watch("C_Finalize", || Ok(())), Ok(()));
        let refused = open.watch("C_Login", || {
            reason::about("session", 7);
            Err(Error::PinIncorrect.because(|| "two\nlines".into()))
        });
        assert_eq!(refused, Err(Error::PinIncorrect));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with("warning: C_Login: session 7: two lines (CKR_PIN_INCORRECT)\n"));
    }
}
