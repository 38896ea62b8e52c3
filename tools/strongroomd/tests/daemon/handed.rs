//! Sockets that somebody else has made, as systemd does: they are there before the daemon and after it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use strongroom_functions::frame::Wish;
use strongroom_functions::{Cryptoki, Remote};
use strongroom_operator::{Answer, Request, ask};

use crate::world::{Daemon, LONG, command, greet, over_p11kit, slot, token};

/// The sockets of a daemon that stay while daemons come and go, and their names.
struct Sockets {
    module: UnixListener,
    p11kit: UnixListener,
}

impl Sockets {
    const NAMES: &str = "module:p11-kit";

    fn in_directory(dir: &Path) -> Self {
        let bind = |name| UnixListener::bind(dir.join(name)).unwrap();
        Self { module: bind("s.sock"), p11kit: bind("p11kit.sock") }
    }

    /// Has a daemon be started with them, by these names, as the files 3 and 4.
    fn hand_over(&self, names: &str, daemon: &Command) -> Child {
        const SCRIPT: &str =
            "export LISTEN_PID=$$ && exec \"$0\" \"$@\" 3<&0 4<&1 0</dev/null 1>&2";
        let dir = daemon.get_args().last().map(Path::new).and_then(Path::parent).unwrap();
        Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(daemon.get_program())
            .args(daemon.get_args())
            .env_remove("JOURNAL_STREAM")
            .envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names)])
            .stdin(OwnedFd::from(self.module.try_clone().unwrap()))
            .stdout(OwnedFd::from(self.p11kit.try_clone().unwrap()))
            .stderr(crate::world::log_file(dir))
            .spawn()
            .unwrap()
    }
}

/// A daemon that was started by systemd's own program for trying this out, with these sockets of its
/// directory.
fn activated(settings: &str, sockets: &[&str], names: &str) -> Daemon {
    Daemon::start_as(settings, |daemon| {
        let dir = daemon.get_args().last().map(Path::new).and_then(Path::parent).unwrap();
        let mut systemd = Command::new("systemd-socket-activate");
        for socket in sockets {
            systemd.arg("--listen").arg(dir.join(socket));
        }
        systemd.arg(format!("--fdname={names}")).arg(daemon.get_program()).args(daemon.get_args());
        let log = crate::world::log_file(dir);
        systemd.env_remove("JOURNAL_STREAM").stdin(Stdio::null()).stderr(log).spawn()
    })
}

#[test]
fn a_daemon_takes_its_sockets_from_systemd_and_leaves_them_there() {
    let sockets = ["s.sock", "p11kit.sock", "metrics.sock", "o.sock"];
    // Its own sockets would be elsewhere, and there is none of them where one is handed over.
    let mut daemon =
        activated("operator = 'not.sock'", &sockets, "module:p11-kit:metrics:operator");
    token(&daemon);
    daemon.says("s.sock, for the module, handed over");
    assert!(over_p11kit(&daemon, &["--list-objects"]).is_empty());
    let path = |name: &str| daemon.dir.path().join(name);
    let mut metrics = UnixStream::connect(path("metrics.sock")).unwrap();
    metrics.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    metrics.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    let status = ask(&path("o.sock"), &Request::Status).unwrap();
    assert!(matches!(status, Answer::Done(status) if status.process == daemon.child.id()));
    assert!(!path("not.sock").exists());
    daemon.signal(Signal::TERM);
    daemon.ends();
    assert!(sockets.iter().all(|socket| daemon.dir.path().join(socket).exists()));
}

#[test]
fn what_is_not_handed_over_the_daemon_makes() {
    let mut daemon = activated("p11kit = 'p11kit.sock'", &["s.sock"], "module");
    daemon.says("p11kit.sock, for the client of p11-kit\n");
    daemon.signal(Signal::TERM);
    daemon.ends();
    let left = |name: &str| daemon.dir.path().join(name).exists();
    assert_eq!(["s.sock", "p11kit.sock", "operator.sock"].map(left), [true, false, false]);
}

#[test]
fn a_socket_that_it_can_not_tell_stops_it() {
    let daemon = Daemon::start("");
    let dir = tempfile::tempdir().unwrap();
    let text = "[store]\npath = 'store'\n[daemon]\nsocket = 'other.sock'\n";
    fs::write(dir.path().join("strongroom.toml"), text).unwrap();
    let sockets = Sockets::in_directory(dir.path());
    let says = |names: &str| {
        let status = sockets.hand_over(names, &command(dir.path())).wait().unwrap();
        assert!(!status.success());
        fs::read_to_string(dir.path().join("log")).unwrap()
    };
    assert!(
        says("module:strongroomd.socket").contains("\"strongroomd.socket\"; FileDescriptorName=")
    );
    assert!(says("module").contains("handed over by the name \"\""));
    // One end of a connection.
    let end = OwnedFd::from(UnixStream::connect(daemon.socket()).unwrap());
    let sockets = Sockets { module: end.into(), ..sockets };
    let status = sockets.hand_over(Sockets::NAMES, &command(dir.path())).wait().unwrap();
    assert!(!status.success());
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("can not be used: it takes no connections"), "{log}");
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let daemon = Daemon::start_as("", |command| {
        let others = [("LISTEN_PID", "1"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "module")];
        command.envs(others).spawn()
    });
    daemon.says("s.sock, for the module\n");
}

/// A daemon whose sockets are made here.
fn handed() -> (Sockets, Daemon) {
    let mut sockets = None;
    let daemon = Daemon::start_as("", |daemon| {
        let dir = daemon.get_args().last().map(Path::new).and_then(Path::parent).unwrap();
        let made = sockets.insert(Sockets::in_directory(dir));
        Ok(made.hand_over(Sockets::NAMES, daemon))
    });
    (sockets.unwrap(), daemon)
}

/// Has the daemon stop, and leaves nobody at its sockets.
fn stop(daemon: &mut Daemon) {
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success(), "{}", daemon.log());
}

#[test]
fn who_comes_while_no_daemon_runs_waits_for_the_next_one() {
    let (sockets, mut daemon) = handed();
    token(&daemon);
    stop(&mut daemon);
    let socket = daemon.socket();
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let ask = || {
            // The kernel takes the connection; the greeting waits in it.
            asked.fetch_add(1, Ordering::Relaxed);
            let caller = greet(&socket, Wish::Found(0)).unwrap().expect("served");
            Remote::new(&caller).open_session(slot(&caller), false).unwrap();
        };
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        while asked.load(Ordering::Relaxed) < callers.len() {
            thread::yield_now();
        }
        daemon.child = sockets.hand_over(Sockets::NAMES, &command(daemon.dir.path()));
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
    assert!(over_p11kit(&daemon, &["--list-objects"]).is_empty());
}

#[test]
fn nobody_is_turned_away_while_daemons_are_replaced() {
    let (sockets, mut daemon) = handed();
    token(&daemon);
    let (socket, stop_all, served) = (daemon.socket(), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let come_and_go = || {
            while !stop_all.load(Ordering::Relaxed) {
                // A daemon that stops may hang up on who has not asked for anything yet; it refuses
                // nobody, and there is always somebody to connect to.
                let greeted = greet(&socket, Wish::Found(0));
                if let Ok(caller) = greeted.map(|outcome| outcome.expect("served"))
                    && Remote::new(&caller).info().is_ok()
                {
                    served.fetch_add(1, Ordering::Relaxed);
                }
                UnixStream::connect(&socket).expect("a socket that is always there");
            }
        };
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(come_and_go)).collect();
        let wait_for_some = || {
            let (start, before) = (Instant::now(), served.load(Ordering::Relaxed));
            while served.load(Ordering::Relaxed) < before + 20 {
                assert!(start.elapsed() < LONG, "nobody is served");
                thread::yield_now();
            }
        };
        for _ in 0..5 {
            wait_for_some();
            stop(&mut daemon);
            daemon.child = sockets.hand_over(Sockets::NAMES, &command(daemon.dir.path()));
        }
        wait_for_some();
        stop_all.store(true, Ordering::Relaxed);
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}
