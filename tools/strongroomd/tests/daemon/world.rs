//! A daemon of a test's own, and who calls it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal, kill_process};
use strongroom_functions::frame::{
    FIRST, Hello, Inbox, Refusal, Secret, Terms, VERSION, Welcome, Wish, send,
};
use strongroom_functions::{Broken, Cryptoki, Remote, Transport};
use strongroom_types::{Bytes, Error, SlotId, UserType};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SO_PIN: &[u8] = b"12345678";
pub(crate) const PIN: &[u8] = b"1234567";

/// A daemon of this test, with an empty store.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) dir: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start(settings: &str) -> Self {
        Self::start_as(settings, Command::spawn)
    }

    /// One that is started in this way.
    pub(crate) fn start_as(
        settings: &str,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("[store]\npath = 'store'\n[daemon]\nsocket = 's.sock'\n{settings}\n");
        fs::write(dir.path().join("strongroom.toml"), text).unwrap();
        let child = spawn(&mut command(dir.path())).unwrap();
        let daemon = Self { child, dir };
        daemon.wait_until_it_answers();
        daemon
    }

    pub(crate) fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(start.elapsed() < LONG, "{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits for a line of the log that says this.
    pub(crate) fn says(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < LONG, "{text:?} is not in:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> Caller {
        self.ask(Wish::Found(0)).expect("served")
    }

    pub(crate) fn ask(&self, wish: Wish) -> Result<Caller, Refusal> {
        greet(&self.socket(), wish).unwrap()
    }

    /// Waits until it has stopped, as it was asked to.
    pub(crate) fn stops(&mut self) {
        self.ends();
        assert!(!self.socket().exists());
    }

    /// The same, where the socket may stay.
    pub(crate) fn ends(&mut self) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(start.elapsed() < LONG, "{}", self.log()),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{}", self.log());
        self.says("stopped");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

/// What a caller with this wish is told. The daemon may go away meanwhile.
pub(crate) fn greet(socket: &Path, wish: Wish) -> io::Result<Result<Caller, Refusal>> {
    let mut stream = UnixStream::connect(socket)?;
    // A daemon that refuses may have closed the connection by now.
    let _ = send(&mut stream, &Hello { version: VERSION, wish }.encode());
    let mut inbox = Inbox::default();
    let welcome = inbox.frame(&mut stream, FIRST, LONG)?.ok_or(ErrorKind::UnexpectedEof)?;
    Ok(match Welcome::decode(&welcome).unwrap() {
        Welcome::Served(terms) => Ok(Caller { terms, line: Mutex::new((stream, inbox)) }),
        Welcome::Refused(why) => Err(why),
    })
}

/// Starts a daemon over what another has left behind.
pub(crate) fn run(dir: &Path) -> Child {
    command(dir).spawn().unwrap()
}

pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroomd"));
    command.arg("--config").arg(dir.join("strongroom.toml"));
    command.env_remove("JOURNAL_STREAM").stdin(Stdio::null()).stderr(log_file(dir));
    command
}

/// Where the daemon of this directory logs to.
pub(crate) fn log_file(dir: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Caller {
    pub(crate) terms: Terms,
    line: Mutex<(UnixStream, Inbox)>,
}

impl Caller {
    pub(crate) fn secret(&self) -> Secret {
        self.terms.secret
    }

    /// Whether the daemon has not hung up yet, as far as one can see now.
    pub(crate) fn is_open(&self) -> bool {
        match recv(self.raw(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((seen, _)) => seen > 0,
            Err(error) => error == Errno::AGAIN,
        }
    }

    pub(crate) fn raw(&self) -> UnixStream {
        self.line.lock().unwrap().0.try_clone().unwrap()
    }
}

impl Transport for &Caller {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        self.ask(request, || ())
    }
}

/// A connection that asks, and takes no answer.
pub(crate) struct Mute<'a>(pub(crate) &'a Caller);

impl Transport for Mute<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        let (stream, _) = &mut *self.0.line.lock().unwrap();
        send(stream, request).unwrap();
        Err(Broken::Refused(Error::DeviceRemoved))
    }
}

/// A connection, and whom it meets between a request, which has reached the daemon then, and its
/// answer.
pub(crate) struct Meeting<'a>(pub(crate) &'a Caller, pub(crate) &'a Barrier);

impl Transport for Meeting<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        self.0.ask(request, || {
            self.1.wait();
        })
    }
}

impl Caller {
    fn ask(&self, request: &[u8], meanwhile: impl FnOnce()) -> Result<Bytes, Broken> {
        let mut line = self.line.lock().unwrap();
        let (stream, inbox) = &mut *line;
        send(stream, request).map_err(|_| Broken::Refused(Error::DeviceRemoved))?;
        meanwhile();
        match inbox.frame(stream, usize::MAX, LONG) {
            Ok(Some(answer)) => Ok(answer),
            _ => Err(Broken::Refused(Error::DeviceRemoved)),
        }
    }
}

/// Makes a token with both PINs.
pub(crate) fn token(daemon: &Daemon) {
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let blank = remote.slot_list(true, true).unwrap()[0];
    remote.init_token(blank, SO_PIN, &[b'x'; 32]).unwrap();
    let session = remote.open_session(blank, true).unwrap();
    remote.login(session, UserType::SECURITY_OFFICER, SO_PIN).unwrap();
    remote.init_pin(session, PIN).unwrap();
}

/// The slot of the token: an application that comes later has it by the serial number.
pub(crate) fn slot(caller: &Caller) -> SlotId {
    Remote::new(caller).slot_list(true, true).unwrap()[0]
}

/// Whether the daemon has hung up.
pub(crate) fn hung_up(mut stream: UnixStream) -> bool {
    stream.set_read_timeout(Some(LONG)).unwrap();
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// What a program with these rights (options of setpriv) is told at the socket when it sends this;
/// nothing sends nothing.
pub(crate) fn stranger(daemon: &Daemon, rights: &[&str], hello: &[u8]) -> Welcome {
    const SCRIPT: &str = "import socket, sys\n\
                          s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                          hello = bytes.fromhex(sys.argv[2])\n\
                          if hello: s.sendall(hello)\n\
                          sys.stdout.buffer.write(s.recv(64))\n";
    let everybody = Permissions::from_mode(0o755);
    fs::set_permissions(daemon.dir.path(), everybody).unwrap();
    let mut sent = Vec::new();
    // Who is refused at once may not be able to send.
    if !hello.is_empty() {
        send(&mut sent, hello).unwrap();
    }
    let sent: String = sent.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("setpriv");
    command.args(rights).args(["/usr/bin/python3", "-c", SCRIPT]);
    let output = command.arg(daemon.socket()).arg(sent).output().expect("setpriv and Python");
    let welcome = Inbox::default().frame(&mut &output.stdout[..], FIRST, LONG).unwrap();
    Welcome::decode(&welcome.expect("a greeting")).unwrap()
}

/// Runs OpenSC's tool over the stock client of p11-kit, and gives what it said.
pub(crate) fn over_p11kit(daemon: &Daemon, args: &[&str]) -> String {
    let output = tool_over_p11kit(daemon, "1234567", args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {output:?} {}", daemon.log());
    said
}

/// The same by a PIN that need not be right.
pub(crate) fn tool_over_p11kit(daemon: &Daemon, pin: &str, args: &[&str]) -> Output {
    let client = fs::read_dir("/usr/lib")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path().join("pkcs11/p11-kit-client.so")))
        .find(|path| path.exists())
        .expect("p11-kit-modules is installed");
    let socket = daemon.dir.path().join("p11kit.sock");
    Command::new("pkcs11-tool")
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()))
        .arg("--module")
        .arg(client)
        .args(["--login", "--pin", pin])
        .args(args)
        .output()
        .expect("opensc is installed")
}
