//! The log: lines on standard error, which is where systemd takes them from.

use std::env;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::fstat;

pub(crate) use strongroom_token::Level;

/// The loudest level that is left out, as a number of syslog's.
static UP_TO: AtomicU8 = AtomicU8::new(6);

/// Says how much is logged. Nothing said means the daemon's own default: who came and was refused,
/// and when it started and stopped.
pub(crate) fn up_to(level: Level) {
    let level = if level == Level::Off { Level::Info } else { level };
    UP_TO.store(number(level), Ordering::Relaxed);
}

/// The levels of syslog, by which journald reads the beginning of a line (sd-daemon(3)).
fn number(level: Level) -> u8 {
    match level {
        Level::Off | Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// Whether standard error is the journal, which takes the number off a line and knows the time. What
/// systemd says to a service (systemd.exec(5)) its children inherit, who may write to a file instead.
fn in_journal() -> bool {
    static IN_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IN_JOURNAL.get_or_init(|| {
        let said = env::var("JOURNAL_STREAM").unwrap_or_default();
        let here = fstat(io::stderr()).map(|file| format!("{}:{}", file.st_dev, file.st_ino));
        here.is_ok_and(|here| here == said)
    })
}

/// Whether a line of this level is written.
pub(crate) fn asks(level: Level) -> bool {
    number(level) <= UP_TO.load(Ordering::Relaxed)
}

/// Writes a line. One that can not be written is lost: nobody's signature waits for a log.
pub(crate) fn say(level: Level, text: &str) {
    if !asks(level) {
        return;
    }
    let number = number(level);
    // Names come from callers: a line is a line, whatever a program is called.
    let text = text.replace(char::is_control, " ");
    let line =
        if in_journal() { format!("<{number}>{text}\n") } else { format!("strongroomd: {text}\n") };
    let _ = io::stderr().write_all(line.as_bytes());
}
