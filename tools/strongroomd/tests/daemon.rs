//! The daemon as a process: who may connect, its limits, what hostile callers do to others, and how
//! it stops.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use strongroom_functions::frame::{
    FIRST, Hello, Inbox, Refusal, Secret, Terms, VERSION, Welcome, Wish, send,
};
use strongroom_functions::{Broken, Cryptoki, Remote, Transport};
use strongroom_types::{Attributes, Bytes, Error, SessionState, SlotId, UserType, attribute};

const LONG: Duration = Duration::from_secs(60);
const SO_PIN: &[u8] = b"12345678";
const PIN: &[u8] = b"1234567";

/// A daemon of this test, with an empty store.
struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("[store]\npath = 'store'\n[daemon]\nsocket = 's.sock'\n{settings}\n");
        fs::write(dir.path().join("strongroom.toml"), text).unwrap();
        let child = run(dir.path());
        let daemon = Self { child, dir };
        daemon.wait_until_it_answers();
        daemon
    }

    fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(start.elapsed() < LONG, "{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits for a line of the log that says this.
    fn says(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < LONG, "{text:?} is not in:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&self) -> Caller {
        self.ask(Wish::Found(0)).expect("served")
    }

    fn ask(&self, wish: Wish) -> Result<Caller, Refusal> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // A daemon that refuses may have closed the connection by now.
        let _ = send(&mut stream, &Hello { version: VERSION, wish }.encode());
        let mut inbox = Inbox::default();
        let welcome = inbox.frame(&mut stream, FIRST, LONG).unwrap().expect("a greeting");
        match Welcome::decode(&welcome).unwrap() {
            Welcome::Served(terms) => Ok(Caller { terms, line: Mutex::new((stream, inbox)) }),
            Welcome::Refused(why) => Err(why),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

fn run(dir: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_strongroomd"))
        .arg("--config")
        .arg(dir.join("strongroom.toml"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
struct Caller {
    terms: Terms,
    line: Mutex<(UnixStream, Inbox)>,
}

impl Caller {
    fn secret(&self) -> Secret {
        self.terms.secret
    }

    fn raw(&self) -> UnixStream {
        self.line.lock().unwrap().0.try_clone().unwrap()
    }
}

impl Transport for &Caller {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        let mut line = self.line.lock().unwrap();
        let (stream, inbox) = &mut *line;
        send(stream, request).map_err(|_| Broken::Refused(Error::DeviceRemoved))?;
        match inbox.frame(stream, usize::MAX, LONG) {
            Ok(Some(answer)) => Ok(answer),
            _ => Err(Broken::Refused(Error::DeviceRemoved)),
        }
    }
}

/// Makes a token with both PINs.
fn token(daemon: &Daemon) {
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let blank = remote.slot_list(true, true).unwrap()[0];
    remote.init_token(blank, SO_PIN, &[b'x'; 32]).unwrap();
    let session = remote.open_session(blank, true).unwrap();
    remote.login(session, UserType::SECURITY_OFFICER, SO_PIN).unwrap();
    remote.init_pin(session, PIN).unwrap();
}

/// The slot of the token: an application that comes later has it by the serial number.
fn slot(caller: &Caller) -> SlotId {
    Remote::new(caller).slot_list(true, true).unwrap()[0]
}

/// Whether the daemon has hung up.
fn hung_up(mut stream: UnixStream) -> bool {
    stream.set_read_timeout(Some(LONG)).unwrap();
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

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
    let daemon = Daemon::start("users = []\ngroups = [4242]");
    if !rustix::process::geteuid().is_root() {
        // Only the superuser can be somebody else.
        daemon.connect();
        return;
    }
    let dir = daemon.dir.path();
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                  sys.stdout.buffer.write(s.recv(64))\n";
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "/usr/bin/python3",
            "-c",
            script,
        ])
        .arg(daemon.socket())
        .output();
    let refused = output.expect("setpriv and Python").stdout;
    let mut inbox = Inbox::default();
    let welcome = inbox.frame(&mut &refused[..], FIRST, LONG).unwrap().unwrap();
    assert_eq!(Welcome::decode(&welcome), Ok(Welcome::Refused(Refusal::User)));
    daemon.says("user 65534, process ");
    daemon.says("(python3): is not on the list");
}

#[test]
fn members_of_a_group_are_let_in() {
    let daemon = Daemon::start("users = []\ngroups = [4242]");
    if !rustix::process::geteuid().is_root() {
        daemon.connect();
        return;
    }
    let dir = daemon.dir.path();
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                  hello = b'strongroom' + bytes([1, 0, 0, 0, 0])\n\
                  s.sendall(len(hello).to_bytes(4, 'little') + hello)\n\
                  sys.stdout.buffer.write(s.recv(64))\n";
    for rights in [
        &["--reuid=65534", "--regid=4242", "--clear-groups"][..],
        &["--reuid=65534", "--regid=65534", "--groups=7,4242"],
    ] {
        let mut command = Command::new("setpriv");
        command.args(rights).args(["/usr/bin/python3", "-c", script]).arg(daemon.socket());
        let said = command.output().expect("setpriv and Python").stdout;
        let welcome = Inbox::default().frame(&mut &said[..], FIRST, LONG).unwrap().unwrap();
        assert!(matches!(Welcome::decode(&welcome), Ok(Welcome::Served(_))), "{rights:?}");
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
    let idle = daemon.connect();
    let busy = daemon.connect();
    let remote = Remote::new(&busy);
    let session = remote.open_session(slot(&busy), true).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Of two idle ones either may go, so this one is never idle meanwhile.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(remote.session_info(session).is_ok());
                thread::sleep(Duration::from_millis(50));
            }
        });
        let spare = daemon.ask(Wish::Join(busy.secret())).unwrap();
        let closed = [hung_up(idle.raw()), hung_up(spare.raw())];
        done.store(true, Ordering::Relaxed);
        assert_eq!(closed, [true; 2], "without sessions; and a second connection");
    });
    thread::sleep(Duration::from_secs(2));
    assert!(remote.session_info(session).is_ok(), "the last one of an application with sessions");
}

#[test]
fn a_daemon_that_is_asked_to_stop_answers_what_it_was_asked() {
    let mut daemon = Daemon::start("");
    token(&daemon);
    let callers: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    let slot = slot(&callers[0]);
    thread::scope(|scope| {
        let login = |caller: &Caller| {
            let remote = Remote::new(caller);
            let session = remote.open_session(slot, true)?;
            // It takes a while, by design.
            remote.login(session, UserType::USER, PIN)
        };
        let under_way: Vec<_> =
            callers.iter().map(|caller| scope.spawn(move || login(caller))).collect();
        thread::sleep(Duration::from_millis(20));
        daemon.signal(Signal::TERM);
        for call in under_way {
            let outcome = call.join().unwrap();
            // One that had not come yet was not begun.
            assert!(matches!(outcome, Ok(()) | Err(Error::DeviceRemoved)), "{outcome:?}");
        }
    });
    assert!(daemon.child.wait().unwrap().success());
    assert!(!daemon.socket().exists());
    daemon.says("stopped");
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
    let daemon = Daemon::start("");
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

/// Runs OpenSC's tool over the stock client of p11-kit.
fn over_p11kit(daemon: &Daemon, args: &[&str]) -> String {
    let client = fs::read_dir("/usr/lib")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path().join("pkcs11/p11-kit-client.so")))
        .find(|path| path.exists())
        .expect("p11-kit-modules is installed");
    let socket = daemon.dir.path().join("p11kit.sock");
    let output = Command::new("pkcs11-tool")
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()))
        .arg("--module")
        .arg(client)
        .args(["--login", "--pin", "1234567"])
        .args(args)
        .output()
        .expect("opensc is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {output:?} {}", daemon.log());
    said
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
