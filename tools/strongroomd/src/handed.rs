//! The sockets that systemd made before it started the daemon, by sd_listen_fds(3). They stay when the
//! daemon stops, and callers wait in them for the next one.

use std::env;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// Takes them over, with their names. Errors are sentences.
pub(crate) fn take() -> Result<Vec<(String, UnixListener)>, String> {
    if env::var_os("LISTEN_PID").is_none() {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut handed = ListenFd::from_env();
    let count = handed.len();
    let listener = |at| {
        let name = names.next().unwrap_or_default().to_owned();
        let listener = handed.take_unix_listener(at).map_err(|error| error.to_string())?;
        let listens = |listener: &UnixListener| socket_acceptconn(listener).unwrap_or(false);
        let listener = listener.filter(listens).ok_or("it takes no connections")?;
        Ok((name, listener))
    };
    let taken: Result<_, String> = (0..count).map(listener).collect();
    taken.map_err(|why| format!("a socket that is handed over can not be used: {why}"))
}
