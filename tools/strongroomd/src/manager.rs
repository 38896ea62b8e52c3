//! Who started the daemon, if it wants to be told how it is: systemd, by sd_notify(3).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use crate::log::{Level, say};

pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that the daemon is alive.
    every: Option<Duration>,
}

impl Manager {
    /// Connects to it, which is not possible once the process is locked in.
    pub(crate) fn find() -> Self {
        let connected = env::var_os("NOTIFY_SOCKET").map(|name| connect(&name));
        let socket = connected.transpose().unwrap_or_else(|error| {
            say(Level::Warning, &format!("NOTIFY_SOCKET: {error}; nobody is told of the daemon"));
            None
        });
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let every = number("WATCHDOG_USEC").filter(|limit| ours && *limit > 0);
        // Twice as often as it must be.
        Self { socket, every: every.map(|limit| Duration::from_micros(limit / 2)) }
    }

    /// How long the daemon may wait for callers before it says that it is alive.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.every.filter(|_| self.socket.is_some())
    }

    /// It serves.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It is alive: said by the thread that takes callers in, each time it has done so.
    pub(crate) fn alive(&self) {
        if self.every.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// It answers what it has been asked, and no more.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// What can not be told is lost: whoever does not listen does not wait.
    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(state.as_bytes());
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(name)?,
    }
    Ok(socket)
}
