//! What systemd is told: here, a socket of the test's own.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use crate::world::{Daemon, LONG};

#[test]
fn systemd_is_told_that_it_serves_lives_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let hear = || {
        let mut said = [0; 64];
        let count = socket.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..count]).into_owned()
    };
    let mut daemon = Daemon::start_as("", |command: &mut Command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").spawn()
    });
    assert_eq!(hear(), "READY=1");
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    let last = std::iter::repeat_with(hear).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(daemon.child.wait().unwrap().success());
}
