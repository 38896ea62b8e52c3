//! The log: what was called, and why it failed.
//!
//! Events go through `tracing` to a subscriber that belongs to this module and is in force for the
//! length of a call: the host's own subscriber, if it has one, sees nothing of them, and a library
//! must not set one for the whole process. Without a log, a call costs one branch more.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strongroom_token::{Level, Log, Target};
use strongroom_types::reason::{self, Account, Sentence};
use strongroom_types::{Error, Gravity, Result};
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
    // `tracing` registers whoever takes events, and whoever gives them when they first do, under
    // locks: that must not meet a fork, so it is all done here.
    LOG.replace(brief(|| {
        dispatcher::with_default(&Dispatch::none(), || EVERY_LEVEL.map(|level| say(level, "")));
        Open::with(config.clone(), sink)
    }));
}

/// Runs a call, and logs what came of it.
pub(crate) fn watch(name: &'static str, call: impl FnOnce() -> Result<()>) -> Result<()> {
    match LOG.get() {
        None => call(),
        Some(log) => log.watch(name, call),
    }
}

/// The same for the call in the course of which a log may begin.
pub(crate) fn watch_start(name: &'static str, call: impl FnOnce() -> Result<()>) -> Result<()> {
    let (outcome, account) = recorded(call);
    if let Some(log) = LOG.get() {
        log.tell(name, outcome, &account);
    }
    outcome
}

/// The log that the variable wants. A variable that nobody understands is told, once, where its user
/// is most likely to look.
pub(crate) fn wanted() -> Option<Log> {
    static TOLD: AtomicBool = AtomicBool::new(false);
    Log::of_process().unwrap_or_else(|why| {
        if !TOLD.swap(true, Ordering::Relaxed) {
            Sink::Stderr.write(tracing::Level::WARN, &why);
        }
        None
    })
}

/// The log of a module that found no configuration to say where there is one: that of the system,
/// which SoftHSM2 tells of it as well.
pub(crate) const WITHOUT_CONFIGURATION: Log = Log { level: Level::Error, target: Target::Journal };

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
    fn with(config: Log, sink: Sink) -> Self {
        let writer = Writer { level: severity(config.level), sink };
        Self { config, dispatch: Dispatch::new(writer) }
    }

    fn watch(&self, name: &'static str, call: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.config.level == Level::Off {
            return call();
        }
        let (outcome, account) = recorded(call);
        self.tell(name, outcome, &account);
        outcome
    }

    /// Says what came of a call.
    fn tell(&self, name: &'static str, outcome: Result<()>, account: &Account) {
        let level = outcome.map_or_else(loudness, |()| Level::Debug);
        if level <= self.config.level {
            let sentence = Sentence { function: name, account, outcome };
            dispatcher::with_default(&self.dispatch, || say(level, sentence));
        }
    }
}

/// Runs a call, and gives what was said about it: of one that panics too. What a panic says may be a
/// secret, and stays unsaid.
fn recorded(call: impl FnOnce() -> Result<()>) -> (Result<()>, Account) {
    reason::record(|| {
        let panicked = |_| Err(Error::GeneralError.because(|| "the module panicked".into()));
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
    })
}

/// How loudly a failure deserves to be told.
fn loudness(error: Error) -> Level {
    match error.gravity() {
        Gravity::Failure => Level::Error,
        Gravity::Refusal => Level::Warning,
        Gravity::Usual => Level::Debug,
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
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
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
        let system = || Self::of_system(JOURNAL, SYSLOG);
        match target {
            Target::Stderr => Self::Stderr,
            Target::Journal => system(),
            Target::File(path) => {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
                match file {
                    Ok(file) => Self::File(file),
                    Err(error) => {
                        let sink = system();
                        let text = format!("the log {} can not be opened: {error}", path.display());
                        sink.write(tracing::Level::ERROR, &text);
                        sink
                    }
                }
            }
        }
    }

    /// The log behind the first of these sockets that somebody reads.
    fn of_system(journal: impl AsRef<Path>, syslog: impl AsRef<Path>) -> Self {
        let connect = |path: &Path| {
            let socket = UnixDatagram::unbound()?;
            // A system that does not read its log must not stop the host.
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            Ok::<_, io::Error>(socket)
        };
        match connect(journal.as_ref()) {
            Ok(socket) => Self::Journal(socket),
            Err(_) => connect(syslog.as_ref()).map_or(Self::Nowhere, Self::Syslog),
        }
    }

    fn write(&self, level: tracing::Level, text: &str) {
        // A line is a line, whatever a file is called.
        let text = text.replace(char::is_control, " ");
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
            Self::Stderr => put(rustix::stdio::stderr(), &line()),
            Self::File(file) => put(file.as_fd(), &line()),
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

/// Writes a line, unless nobody will read it: a pipe that was left raises a signal that ends the host.
fn put(to: BorrowedFd<'_>, line: &str) -> io::Result<()> {
    let mut place = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
    poll(&mut place, Some(&Timespec::default()))?;
    if place.iter().any(|place| place.revents().intersects(PollFlags::ERR | PollFlags::HUP)) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    rustix::io::write(to, line.as_bytes())?;
    Ok(())
}

/// The time, as RFC 3339 writes it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    der::DateTime::from_unix_duration(since).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use strongroom_types::reason::Subject;

    use super::*;

    #[test]
    fn a_panic_is_told_without_what_it_says() {
        let (outcome, account) = recorded(|| panic!("a secret"));
        assert_eq!((outcome, &*account.why), (Err(Error::GeneralError), "the module panicked"));
    }

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn the_log_of_the_system_is_told_how_grave_a_line_is() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, syslog) = (dir.path().join("journal"), dir.path().join("syslog"));
        let received = |reader: &UnixDatagram| {
            let mut message = [0; 256];
            let len = reader.recv(&mut message).unwrap();
            String::from_utf8(message[..len].to_vec()).unwrap()
        };
        let refuse = |sink| {
            let config = Log { level: Level::Warning, target: Target::Journal };
            let open = Open::with(config, sink);
            let outcome =
                open.watch("C_Login", || Err(Error::PinIncorrect.because(|| "a\nb".into())));
            assert_eq!(outcome, Err(Error::PinIncorrect));
        };
        refuse(Sink::of_system(&journal, &syslog));

        let reader = UnixDatagram::bind(&syslog).unwrap();
        refuse(Sink::of_system(&journal, &syslog));
        let process = std::process::id();
        let line = "C_Login: a b (CKR_PIN_INCORRECT)";
        assert_eq!(received(&reader), format!("<84>strongroom[{process}]: {line}"));

        let reader = UnixDatagram::bind(&journal).unwrap();
        refuse(Sink::of_system(&journal, &syslog));
        assert_eq!(
            received(&reader),
            format!("PRIORITY=4\nSYSLOG_IDENTIFIER=strongroom\nMESSAGE={line}\n")
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn a_file_gets_the_lines_that_are_important_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = Log { level: Level::Warning, target: Target::File(path.clone()) };
        let sink = Sink::open(&config.target);
        let open = Open::with(config, sink);
        assert_eq!(open.watch("C_Finalize", || Ok(())), Ok(()));
        let refused = open.watch("C_Login", || {
            reason::about(|| Subject::Session(7));
            Err(Error::PinIncorrect.because(|| "two\nlines".into()))
        });
        assert_eq!(refused, Err(Error::PinIncorrect));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with("warning: C_Login: session 7: two lines (CKR_PIN_INCORRECT)\n"));
    }
}
