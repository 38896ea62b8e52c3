//! The daemon that a module is the client of, if `DAEMON_UNDER_TEST` names its program: one for each
//! test, with the store of that test.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::raw::{ends_with_this_thread, terminate};

/// The path of the daemon under test.
const DAEMON: &str = "DAEMON_UNDER_TEST";
/// Where the module finds it.
pub(crate) const SOCKET: &str = "STRONGROOM_SOCKET";
/// The configuration, which says what the daemon serves.
const CONFIG: &str = "STRONGROOM_CONF";

/// No daemon takes so long to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon(Child);

/// The path of the daemon under test, made absolute; nothing if the module does all itself.
pub fn daemon_path() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(DAEMON)?);
    let from_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
    let found = [&path, &from_root].iter().find_map(|path| path.canonicalize().ok());
    Some(found.unwrap_or_else(|| panic!("{DAEMON}: there is no file {}", path.display())))
}

impl Daemon {
    /// Starts the daemon under test, if there is one for this test, and waits until it answers. It ends with the
    /// thread that calls, however that ends.
    pub fn start() -> Option<Self> {
        Self::launch(Command::new(daemon_path()?).stdin(Stdio::null()))
    }

    /// The same with a socket that is there already, and stays, as systemd does it.
    pub fn start_behind(socket: &UnixListener) -> Option<Self> {
        const SCRIPT: &str = "export LISTEN_PID=$$ && exec \"$0\" \"$@\" 3<&0 0</dev/null";
        let socket = OwnedFd::from(socket.try_clone().expect("a socket"));
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).arg(daemon_path()?).stdin(socket);
        command.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "module")]);
        Self::launch(&mut command)
    }

    /// The socket of the daemon of this test, which has none of its own any more.
    pub fn listen() -> UnixListener {
        UnixListener::bind(env::var_os(SOCKET).expect("a daemon's socket")).expect("the socket")
    }

    /// Nothing where this test has no daemon.
    fn launch(command: &mut Command) -> Option<Self> {
        let socket = env::var_os(SOCKET)?;
        let config = env::var_os(CONFIG).expect("a configuration");
        command.arg("--config").arg(config);
        ends_with_this_thread(command);
        let daemon = command.spawn().expect("the daemon starts");
        let start = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(start.elapsed() < PATIENCE, "the daemon does not answer");
            thread::sleep(Duration::from_millis(2));
        }
        Some(Self(daemon))
    }

    /// Has it end as a service manager does.
    pub fn stop(mut self) {
        terminate(&self.0);
        let status = self.0.wait().expect("a child");
        assert!(status.success(), "the daemon ends well: {status}");
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is none.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
