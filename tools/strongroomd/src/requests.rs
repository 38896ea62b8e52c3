//! What a caller sends, waited for awake where that is worth it.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use rustix::net::{RecvFlags, recv};
use strongroom_functions::Waiting;

use crate::server::Server;

/// What comes in by a connection.
pub(crate) struct Requests<'a> {
    stream: &'a UnixStream,
    server: &'a Server,
    waiting: Waiting,
}

impl<'a> Requests<'a> {
    pub(crate) fn new(stream: &'a UnixStream, server: &'a Server) -> Self {
        Self { stream, server, waiting: Waiting::default() }
    }
}

impl Read for Requests<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream;
        let receive = |flags| move |place: &mut [u8]| Ok(recv(stream, place, flags)?.0);
        let (look, sleep) = (receive(RecvFlags::DONTWAIT), receive(RecvFlags::empty()));
        self.server.watch.read(&mut self.waiting, self.server.at_work.count(), place, look, sleep)
    }
}
