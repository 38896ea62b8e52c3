//! What a caller sends, waited for awake where that is worth it.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use strongroom_functions::Waiting;

use crate::server::Server;

/// What comes in by a connection.
pub(crate) struct Requests<'a> {
    stream: &'a UnixStream,
    server: &'a Server,
    waiting: Waiting,
    /// How long it is waited for anything.
    patience: Timespec,
}

impl<'a> Requests<'a> {
    /// A read says that it would block if nothing comes for so long.
    pub(crate) fn new(stream: &'a UnixStream, server: &'a Server, patience: Duration) -> Self {
        // Longer than a kernel can count nobody lives.
        let patience = patience.try_into().unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        Self { stream, server, waiting: Waiting::default(), patience }
    }
}

impl Read for Requests<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream;
        let look = |place: &mut [u8]| Ok(recv(stream, place, RecvFlags::DONTWAIT)?.0);
        let sleep = || match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&self.patience))?
        {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        };
        self.server.watch.read(&mut self.waiting, self.server.at_work.count(), place, look, sleep)
    }
}
