//! The daemon as a process: who may connect, its limits, what hostile callers do to others, and how
//! it stops.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod handed;
mod journal;
mod killed;
mod limits;
mod locked;
mod manager;
mod memory;
mod metrics;
mod namespace;
mod refusals;
mod rotation;
mod seal;
mod world;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use strongroom_functions::frame::{Hello, Refusal, VERSION, Welcome, Wish, send};
use strongroom_functions::{Cryptoki, Remote, Transport};
use strongroom_types::{Attributes, Error, SessionState, UserType, attribute};

use crate::world::{
    Caller, Daemon, LONG, Meeting, PIN, hung_up, over_p11kit, run, slot, stranger, token,
};

/// `C_WaitForSlotEvent`, as it is written.
const WAIT: [u8; 4] = [5, 0, 0, 1];

#[test]
fn logins_belong_to_the_application_and_not_to_the_connection() {
    let daemon = Daemon::start("");
    token(&daemon);
    let one = daemon.connect();
    let slot = slot(&one);
    let session = Remote::new(&one).open_session(slot, true).unwrap();
    Remote::new(&one).login(session, UserType::USER, PIN).unwrap();

    let joined = daemon.ask(Wish::Join(one.secret())).expect("the same process");
    let info = Remote::new(&joined).session_info(session).unwrap();
    assert_eq!(info.state, SessionState::ReadWriteUser, "another connection of the application");

    let other = daemon.connect();
    let gone = Remote::new(&other).session_info(session).map(drop);
    assert_eq!(gone, Err(Error::SessionHandleInvalid), "another application");
    let public = Remote::new(&other).open_session(slot, true).unwrap();
    let info = Remote::new(&other).session_info(public).unwrap();
    assert_eq!(info.state, SessionState::ReadWritePublic, "and nobody is logged in there");

    drop(one);
    let info = Remote::new(&joined).session_info(session).unwrap();
    assert_eq!(info.state, SessionState::ReadWriteUser, "as long as one connection is left");
}

#[test]
fn hanging_up_ends_sessions_and_destroys_their_objects() {
    let daemon = Daemon::start("sessions = 2");
    token(&daemon);
    let one = daemon.connect();
    let slot = slot(&one);
    let remote = Remote::new(&one);
    let session = remote.open_session(slot, true).unwrap();
    let mut data = Attributes::default();
    data.set(attribute::CLASS, 0);
    data.set(attribute::PRIVATE, false);
    data.set(attribute::LABEL, b"gone".as_slice());
    remote.create_object(session, data).unwrap();
    remote.open_session(slot, false).unwrap();
    assert_eq!(remote.open_session(slot, false), Err(Error::SessionCount));
    let secret = one.secret();
    drop(one);

    let start = Instant::now();
    let other = daemon.connect();
    let remote = Remote::new(&other);
    let session = loop {
        // The daemon sees that the other has gone as soon as it looks.
        match remote.open_session(slot, true) {
            Err(Error::SessionCount) if start.elapsed() < LONG => {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => break outcome.unwrap(),
        }
    };
    remote.find_objects_init(session, Attributes::default()).unwrap();
    assert!(remote.find_objects(session, 10).unwrap().is_empty());
    assert_eq!(daemon.ask(Wish::Join(secret)).err(), Some(Refusal::Application));
}

#[test]
fn who_is_not_on_the_list_is_refused_and_named() {
    let daemon = Daemon::start("");
    if !rustix::process::geteuid().is_root() {
        // Only the superuser can be somebody else.
        daemon.connect();
        return;
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    assert_eq!(stranger(&daemon, &nobody, &[]), Welcome::Refused(Refusal::User));
    daemon.says("user 65534, process ");
    daemon.says("(python3): is not on the list");
}

#[test]
fn who_is_refused_over_and_over_takes_no_place_and_fills_no_log() {
    let daemon = Daemon::start("p11kit = 'p11kit.sock'\nconnections = 2");
    daemon.says("for its operator");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Comes a hundred times to each door, and goes away from none.
    const SCRIPT: &str = "import socket, sys\n\
                          def come(path):\n    \
                          s = socket.socket(socket.AF_UNIX); s.connect(path); return s\n\
                          there = [come(path) for path in sys.argv[1:] for _ in range(100)]\n\
                          for s in there:\n    \
                          while s.recv(64): pass\n\
                          print(len(there))\n";
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    setpriv.args(["/usr/bin/python3", "-c", SCRIPT]);
    let doors = ["s.sock", "p11kit.sock", "operator.sock"];
    let output = setpriv.args(doors.map(|name| daemon.dir.path().join(name))).output().unwrap();
    assert_eq!(output.stdout, b"300\n", "each is let near, and hung up on: {output:?}");
    let log = daemon.log();
    assert!((10..100).contains(&log.matches("is not on the list").count()), "{log}");
    assert!(log.contains("user 65534: further refusals within 60 s are only counted"), "{log}");
    daemon.connect();

    let other = ["--reuid=65533", "--regid=65533", "--clear-groups"];
    assert_eq!(stranger(&daemon, &other, &[]), Welcome::Refused(Refusal::User));
    daemon.says("user 65533, process ");
}

#[test]
fn each_socket_has_a_list_of_its_own() {
    let daemon = Daemon::start("p11kit = 'p11kit.sock'\nusers = [65534]\np11kit_users = [65533]");
    daemon.says("for the client of p11-kit");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let user = |uid: &str| format!("--reuid={uid}");
    let hello = Hello { version: VERSION, wish: Wish::Found(0) }.encode();
    let [one, other] = ["65534", "65533"].map(user);
    let rights = |user| [user, "--regid=65534", "--clear-groups"];
    assert!(matches!(stranger(&daemon, &rights(&one), &hello), Welcome::Served(_)));
    assert_eq!(stranger(&daemon, &rights(&other), &[]), Welcome::Refused(Refusal::User));
    // Who is served there is answered with the version of the wire, and who is not by hanging up.
    const SCRIPT: &str = "import socket, sys\n\
                          s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                          try:\n    s.sendall(b'\\0'); print(len(s.recv(1)))\n\
                          except OSError:\n    print(0)\n";
    let greeted = |user| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(rights(user)).args(["/usr/bin/python3", "-c", SCRIPT]);
        let output = setpriv.arg(daemon.dir.path().join("p11kit.sock")).output().expect("setpriv");
        output.stdout == b"1\n"
    };
    assert!(greeted(&other));
    assert!(!greeted(&one));
}

#[test]
fn members_of_a_group_are_let_in() {
    let daemon = Daemon::start("users = []\ngroups = [4242]");
    if !rustix::process::geteuid().is_root() {
        daemon.connect();
        return;
    }
    let hello = Hello { version: VERSION, wish: Wish::Found(0) }.encode();
    for rights in [
        &["--reuid=65534", "--regid=4242", "--clear-groups"][..],
        &["--reuid=65534", "--regid=65534", "--groups=7,4242"],
    ] {
        let welcome = stranger(&daemon, rights, &hello);
        assert!(matches!(welcome, Welcome::Served(_)), "{rights:?}");
    }
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    let daemon = Daemon::start("connections = 3");
    // The connection that showed that the daemon is there may still be open to it.
    let start = Instant::now();
    let mut callers = Vec::new();
    while callers.len() < 3 {
        assert!(start.elapsed() < LONG);
        callers.extend(daemon.ask(Wish::Found(0)).ok());
    }
    assert_eq!(daemon.ask(Wish::Found(0)).err(), Some(Refusal::Full));
    daemon.says("3 connections are open");
    Remote::new(&callers[0]).info().expect("the others are served");
    callers.pop();
    while daemon.ask(Wish::Found(0)).is_err() {
        assert!(start.elapsed() < LONG, "a place is free again");
    }
}

#[test]
fn what_hostile_callers_send_harms_nobody_else() {
    let daemon = Daemon::start("frame = 65536");
    token(&daemon);
    let good = daemon.connect();
    let fine = || Remote::new(&good).info().expect("the good one is served");

    let mut garbage = UnixStream::connect(daemon.socket()).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(hung_up(garbage), "garbage for a greeting");
    fine();

    let huge = daemon.connect();
    huge.raw().write_all(&[0xff; 8]).unwrap();
    assert!(hung_up(huge.raw()), "a huge length");
    daemon.says("a frame of 4294967295 bytes");
    fine();

    let large = daemon.connect();
    let _ = send(&mut large.raw(), &vec![0; 65537]);
    assert!(hung_up(large.raw()), "one byte too many");
    fine();

    let odd = daemon.connect();
    for request in [&[][..], &[1], &[1, 0, 7], &[0xff, 0xff, 0], &[15, 0, 0, 1, 2, 3]] {
        let answer = (&odd).exchange(0, request).unwrap();
        assert_eq!(answer.first_chunk(), Some(&[1, 7, 0, 0, 0, 0, 0, 0, 0]), "{request:?}");
    }
    assert!(Remote::new(&odd).info().is_ok(), "a request that makes no sense ends nothing");

    let half = daemon.connect();
    half.raw().write_all(&[10, 0, 0, 0, 1]).unwrap();
    let silent = UnixStream::connect(daemon.socket()).unwrap();
    fine();
    assert!(hung_up(half.raw()), "half a frame");
    assert!(hung_up(silent), "no greeting");
    fine();
}

#[test]
fn a_connection_that_nobody_needs_is_closed() {
    let daemon = Daemon::start("idle = 1");
    token(&daemon);
    assert!(hung_up(daemon.connect().raw()), "without sessions");
    let one = daemon.connect();
    let session = Remote::new(&one).open_session(slot(&one), true).unwrap();
    let two = daemon.ask(Wish::Join(one.secret())).unwrap();
    // Either of the two may go, and one of them does.
    let start = Instant::now();
    let left = loop {
        match [&one, &two].map(Caller::is_open) {
            [true, false] => break &one,
            [false, true] => break &two,
            open => assert!(open[0] && start.elapsed() < LONG, "{}", daemon.log()),
        }
        thread::sleep(Duration::from_millis(5));
    };
    thread::sleep(Duration::from_secs(2));
    let info = Remote::new(left).session_info(session);
    assert!(info.is_ok(), "the last one of an application with sessions");
}

#[test]
fn a_daemon_that_is_asked_to_stop_answers_what_it_was_asked() {
    let mut daemon = Daemon::start("");
    token(&daemon);
    let callers: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    let slot = slot(&callers[0]);
    let open = |caller: &Caller| Remote::new(caller).open_session(slot, true).unwrap();
    let sessions: Vec<_> = callers.iter().map(open).collect();
    let asked = Barrier::new(callers.len() + 1);
    thread::scope(|scope| {
        // It takes a while, by design.
        let login = |(caller, session)| {
            Remote::new(Meeting(caller, &asked)).login(session, UserType::USER, PIN)
        };
        let under_way: Vec<_> =
            callers.iter().zip(sessions).map(|call| scope.spawn(move || login(call))).collect();
        asked.wait();
        daemon.signal(Signal::TERM);
        for call in under_way {
            assert_eq!(call.join().unwrap(), Ok(()));
        }
    });
    daemon.stops();
}

#[test]
fn a_daemon_that_is_asked_to_stop_waits_for_no_token() {
    let mut daemon = Daemon::start("");
    let caller = daemon.connect();
    let asked = Barrier::new(2);
    thread::scope(|scope| {
        let wait = || Remote::new(Meeting(&caller, &asked)).wait_for_slot_event(true);
        let waiting = scope.spawn(wait);
        asked.wait();
        daemon.signal(Signal::TERM);
        assert_eq!(
            waiting.join().unwrap(),
            Err(Error::NoEvent),
            "the caller may ask the next daemon"
        );
    });
    daemon.stops();
}

#[test]
fn who_hangs_up_while_waiting_for_a_token_leaves_nothing_behind() {
    let daemon = Daemon::start("sessions = 1");
    token(&daemon);
    let one = daemon.connect();
    let slot = slot(&one);
    Remote::new(&one).open_session(slot, true).unwrap();
    let waiting = daemon.ask(Wish::Join(one.secret())).unwrap();
    send(&mut waiting.raw(), &WAIT).unwrap();
    drop((one, waiting));

    let other = daemon.connect();
    let start = Instant::now();
    while Remote::new(&other).open_session(slot, true) == Err(Error::SessionCount) {
        assert!(start.elapsed() < LONG, "{}", daemon.log());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_daemon_does_not_take_the_socket() {
    let mut daemon = Daemon::start("");
    assert!(!run(daemon.dir.path()).wait().unwrap().success());
    daemon.says("another daemon serves there");
    daemon.connect();
    // One that was killed leaves its socket behind, which is nobody's.
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    assert!(daemon.socket().exists());
    daemon.child = run(daemon.dir.path());
    daemon.wait_until_it_answers();
    daemon.connect();
}

#[test]
fn a_thousand_connections_and_ten_thousand_sessions() {
    // This process has the other ends of all of them.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let daemon = Daemon::start("user_connections = 1024");
    token(&daemon);
    let callers: Vec<_> = (0..1000).map(|_| daemon.connect()).collect();
    let slot = slot(&callers[0]);
    for caller in &callers {
        let remote = Remote::new(caller);
        for _ in 0..10 {
            remote.open_session(slot, false).unwrap();
        }
    }
    let remote = Remote::new(&callers[999]);
    let session = remote.open_session(slot, false).unwrap();
    assert_eq!(remote.generate_random(session, 16).unwrap().len(), 16);
}

#[test]
fn the_stock_client_of_p11_kit_is_served_at_a_door_of_its_own() {
    let mut daemon = Daemon::start("p11kit = 'p11kit.sock'");
    daemon.says("for the client of p11-kit");
    token(&daemon);
    let key = ["--label", "key", "--id", "01"];
    over_p11kit(&daemon, &[&["--keypairgen", "--key-type", "EC:prime256v1"], &key[..]].concat());
    let message = daemon.dir.path().join("message");
    fs::write(&message, [7; 32]).unwrap();
    let signature = daemon.dir.path().join("signature");
    let [message, signature] = [&message, &signature].map(|path| path.to_str().unwrap());
    let sign = ["--sign", "--mechanism", "ECDSA", "--input-file", message, "--output-file"];
    over_p11kit(&daemon, &[&sign[..], &[signature], &key].concat());
    let verify = ["--verify", "--mechanism", "ECDSA", "--input-file", message];
    let verified =
        over_p11kit(&daemon, &[&verify[..], &["--signature-file", signature], &key].concat());
    assert!(verified.contains("Signature is valid"), "{verified}");
    // What was made there is there for those who come in by the other door.
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    remote.find_objects_init(session, Attributes::default()).unwrap();
    assert_eq!(remote.find_objects(session, 10).unwrap().len(), 1, "the public key");

    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    assert!(!daemon.dir.path().join("p11kit.sock").exists());
}
