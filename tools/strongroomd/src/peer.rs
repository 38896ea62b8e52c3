//! Who is at the other end of a socket, as the kernel tells.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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

    /// Whether it, which is at the other end of this stream, is on the list.
    pub(crate) fn may_connect(&self, stream: &UnixStream, own: u32, callers: &Callers) -> bool {
        callers.admit(own, self.uid, self.gid, || self.further_groups(stream))
    }

    /// The groups that it is a further member of. They are asked for by its number, which is another
    /// process's once it has ended: so they are its own if it has not ended when they have been read. A
    /// kernel before 6.5 does not tell that; there only a user that differs is not believed.
    fn further_groups(&self, stream: &UnixStream) -> Vec<u32> {
        let process = getsockopt(stream, sockopt::PeerPidfd);
        let Some(status) = self.status() else { return Vec::new() };
        let is_its_own = match process {
            Ok(process) => !has_ended(&process),
            Err(error) => error == Errno::ENOPROTOOPT,
        };
        if is_its_own { further_groups(&status, self.uid) } else { Vec::new() }
    }

    /// What the kernel says of the process of its number now.
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

/// Whether a process has ended: what stands for it can be read then.
fn has_ended(process: &OwnedFd) -> bool {
    let mut process = [PollFd::new(process, PollFlags::IN)];
    poll(&mut process, Some(&Timespec::default())) != Ok(0)
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
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command};
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    const STATUS: &str = "Name:\tnginx\nUid:\t1000\t1001\t1001\t1001\nGroups:\t4 998 \n";

    #[test]
    fn the_kernel_tells_of_this_process() {
        let (one, _two) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(u32::try_from(peer.pid), Ok(std::process::id()));
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    }

    const GROUP: u32 = 424_242;

    /// A program of this user's, who is a member of one more group there.
    fn member(program: &str, args: &[&str]) -> Child {
        let mut command = Command::new("setpriv");
        command.arg(format!("--groups={GROUP}")).arg(program).args(args).spawn().expect("setpriv")
    }

    /// Whether the process of this number is such a member, or becomes one before long.
    fn is_member(peer: &Peer) -> bool {
        let groups = || peer.status().map(|status| further_groups(&status, peer.uid));
        (0..1000).any(|_| {
            sleep(Duration::from_millis(5));
            groups().is_some_and(|groups| groups == [GROUP])
        })
    }

    #[test]
    fn groups_are_those_of_the_process_who_connected_and_not_of_the_next_with_its_number() {
        const LAST: &str = "/proc/sys/kernel/ns_last_pid";
        const CONNECT: &str = "import socket, sys\n\
                               s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                               if len(sys.argv) > 2: s.recv(1)\n";
        let last = fs::read_to_string(LAST).and_then(|last| fs::write(LAST, last.trim()));
        if !rustix::process::geteuid().is_root() || last.is_err() {
            // Who is nobody special has no process get the number of another.
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let (listener, path) = (UnixListener::bind(&path).unwrap(), path.to_str().unwrap());
        let callers = Callers { users: Vec::new(), groups: vec![GROUP] };
        let accept = || {
            let (stream, _) = listener.accept().unwrap();
            (Peer::of(&stream).unwrap(), stream)
        };
        let own = u32::MAX;

        let mut right = member("python3", &["-c", CONNECT, path, "and stay"]);
        let (peer, stream) = accept();
        assert!(peer.may_connect(&stream, own, &callers));
        drop(stream);
        right.wait().unwrap();

        let mut wrong = Command::new("python3").args(["-c", CONNECT, path]).spawn().unwrap();
        let (peer, stream) = accept();
        wrong.wait().unwrap();
        assert!(!peer.may_connect(&stream, own, &callers));
        let before = (peer.pid - 1).to_string();
        let next = (0..100).find_map(|_| {
            fs::write(LAST, &before).unwrap();
            let mut next = member("sleep", &["60"]);
            if u32::try_from(peer.pid) == Ok(next.id()) {
                return Some(next);
            }
            next.kill().unwrap();
            next.wait().unwrap();
            None
        });
        let mut next = next.expect("the number is free again");
        let is_member = is_member(&peer);
        let admitted = peer.may_connect(&stream, own, &callers);
        next.kill().unwrap();
        next.wait().unwrap();
        assert!(is_member, "the next one would be let in");
        assert!(!admitted);
    }

    #[test]
    fn groups_are_those_of_the_user_who_connected() {
        assert_eq!(field(STATUS, "Name"), Some("nginx"));
        assert_eq!(further_groups(STATUS, 1001), [4, 998]);
        assert!(further_groups(STATUS, 1000).is_empty(), "another user's process");
        assert!(further_groups("", 0).is_empty());
    }
}
