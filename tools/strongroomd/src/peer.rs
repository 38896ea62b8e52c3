//! Who is at the other end of a socket, as the kernel tells.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};
use strongroom_settings::Callers;

/// A process that connected, as it was when it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// 0 if it lives in a process namespace that this one can not see: then it is told apart from
    /// others by its user alone, and by the secrets that it knows.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    gid: u32,
}

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let cred = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self { pid: cred.pid(), uid: cred.uid(), gid: cred.gid() })
    }

    /// Whether it is on the list.
    pub(crate) fn may_connect(&self, own: u32, callers: &Callers) -> bool {
        callers.admit(own, self.uid, self.gid, || {
            self.status().map(|status| further_groups(&status, self.uid)).unwrap_or_default()
        })
    }

    /// What the kernel says of the process now. Its number may be another process's by now, which is
    /// why a user that differs is not believed.
    fn status(&self) -> Option<String> {
        if self.pid == 0 {
            return None;
        }
        fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()
    }

    /// The name of the program, for the log.
    fn program(&self) -> String {
        let name = self.status().and_then(|status| field(&status, "Name").map(str::to_owned));
        name.unwrap_or_else(|| "unknown".into())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "user {}, a process of another namespace", self.uid),
            pid => write!(f, "user {}, process {pid} ({})", self.uid, self.program()),
        }
    }
}

/// A line of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim())
}

/// The further groups of a process whose effective user is this one.
fn further_groups(status: &str, uid: u32) -> Vec<u32> {
    let effective = field(status, "Uid").and_then(|users| users.split_whitespace().nth(1));
    if effective.and_then(|effective| effective.parse().ok()) != Some(uid) {
        return Vec::new();
    }
    let groups = field(status, "Groups").unwrap_or_default();
    groups.split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tnginx\nUid:\t1000\t1001\t1001\t1001\nGroups:\t4 998 \n";

    #[test]
    fn the_kernel_tells_of_this_process() {
        let (one, _two) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(u32::try_from(peer.pid), Ok(std::process::id()));
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    }

    #[test]
    fn groups_are_those_of_the_user_who_connected() {
        assert_eq!(field(STATUS, "Name"), Some("nginx"));
        assert_eq!(further_groups(STATUS, 1001), [4, 998]);
        assert!(further_groups(STATUS, 1000).is_empty(), "another user's process");
        assert!(further_groups("", 0).is_empty());
    }
}
