//! The log where systemd's journal takes it.

use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use crate::world::{Daemon, log_file};

#[test]
fn the_journal_is_told_how_grave_a_line_is() {
    let mut daemon = Daemon::start_as("", |command| {
        // What systemd says when it connects standard error with the journal: which file that is.
        let dir =
            command.get_args().last().map(std::path::Path::new).and_then(|path| path.parent());
        let about = log_file(dir.unwrap()).metadata()?;
        command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino())).spawn()
    });
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    let log = daemon.log();
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        let text = line.strip_prefix("<6>").unwrap_or_else(|| panic!("{line}"));
        assert!(text.starts_with(char::is_alphabetic), "the journal knows the time itself: {line}");
    }
}

#[test]
fn another_file_is_not_the_journal_of_the_parent() {
    let mut daemon = Daemon::start_as("", |command| command.env("JOURNAL_STREAM", "9:9").spawn());
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    let log = daemon.log();
    assert!(log.lines().all(|line| line.starts_with("strongroomd: ")), "{log}");
}
