//! One connection of the stock client of p11-kit: an application, for as long as it lasts.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use strongroom_functions::Observed;
use strongroom_p11kit::{Limits, Module, serve};

use crate::applications::Served;
use crate::connection::PATIENCE;
use crate::log::{Level, say};
use crate::peer::Peer;
use crate::requests::Requests;
use crate::server::Server;

/// Serves a connection until it ends. It is never closed for being idle: this client does not connect
/// again, and would be useless to its program.
pub(crate) fn run(server: &Server, stream: &UnixStream, peer: &Peer) {
    match converse(server, stream, peer) {
        // A program that ends without C_Finalize hangs up as it happens to be.
        Err(error)
            if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
        Err(error) => say(Level::Warning, &format!("{peer}: the connection is closed: {error}")),
        Ok(()) => {}
    }
}

fn converse(server: &Server, stream: &UnixStream, peer: &Peer) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let share = server
        .application(0)
        .map_err(|error| error.to_string())
        .and_then(|application| server.applications.found(peer, application))
        .map_err(|why| io::Error::other(format!("the store can not be opened: {why}")))?;
    let application = Observed::new(&share.application, server);
    let module = Module {
        application: &application,
        layouts: strongroom_token::layouts,
        refused: &|function, error, account| server.refusals.call(peer, function, error, account),
    };
    let mut limits = Limits { patience: PATIENCE, ..Limits::default() };
    limits.body = limits.body.min(server.settings.frame);
    let frame = usize::try_from(server.settings.frame).unwrap_or(usize::MAX);
    let answers = Answers { stream, served: &share, frame };
    serve(Requests::new(stream, server, PATIENCE), answers, module, &limits)
}

/// The way back to a client. Who does not take an answer is not read from either.
struct Answers<'a> {
    stream: &'a UnixStream,
    served: &'a Served,
    /// The most bytes of a request.
    frame: usize,
}

impl Write for Answers<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let lent = self.served.lend(bytes.len(), self.frame);
        let written = lent.map_err(io::Error::other).and_then(|_lent| self.stream.write(bytes));
        written.inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                // It fails where the client has gone already.
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
