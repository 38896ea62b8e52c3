//! The wire of p11-kit: serves the stock `p11-kit-client.so` of every generation (0.24, 0.25, 0.26)
//! over any stream, from any [`Cryptoki`].
//!
//! `PROTOCOL.md` beside this crate says the wire byte by byte. This room knows no token, no socket
//! and no peer: who accepts connections has checked the peer, has an application of its own for each
//! connection, and drops it when [`serve`] returns.
//!
//! What comes in is trusted in nothing. A frame is bounded before there is memory for it, a length
//! inside it is checked against the bytes that are there, and what a client says it has room for is
//! compared, never allocated. Frames and replies lie in memory that is wiped.

#![forbid(unsafe_code)]

mod attribute;
mod bytes;
mod call;
mod calls;
mod connection;
mod frame;
mod generation;
mod lines;
mod mechanism;
mod reply;
mod request;

pub use attribute::{Form, form};
pub use call::Call;
pub use calls::CALLS;
pub use frame::Limits;

use std::io::{self, Read, Write};

use strongroom_functions::Cryptoki;
use strongroom_types::reason::Account;
use strongroom_types::{Error, Layout, MechanismType};

/// What is served on a connection.
#[derive(Clone, Copy)]
pub struct Module<'a> {
    /// The application that the connection stands for.
    pub application: &'a dyn Cryptoki,
    /// The layouts of a mechanism's parameter; `None` if there is no such mechanism.
    pub layouts: fn(MechanismType) -> Option<&'static [Layout]>,
    /// Who is told of each call that comes to nothing.
    pub refused: Refused<'a>,
}

impl<'a> Module<'a> {
    /// One of whose failed calls nobody is told.
    pub fn new(
        application: &'a dyn Cryptoki,
        layouts: fn(MechanismType) -> Option<&'static [Layout]>,
    ) -> Self {
        Self { application, layouts, refused: &|_, _, _| {} }
    }
}

/// Is told the function, the error, and what was said about the call.
pub type Refused<'a> = &'a (dyn Fn(&'static str, Error, &Account) + Sync);

/// Serves a client until it hangs up. Calls of several sessions run at the same time, each on a
/// thread; those of one session run in the order in which they came.
///
/// A connected socket is both streams: `serve(&socket, &socket, …)`. If it has a time limit for
/// reading, a client that falls silent in the middle of a frame is not waited for longer than
/// [`Limits::patience`]; between frames a client may be silent for ever. After an answer that could
/// not be written nothing more is read or written, so a stream of which one may be waiting for more
/// had better be shut down then.
///
/// # Errors
///
/// Those of the streams, [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) for a client that hangs up
/// in the middle of a frame, and [`InvalidData`](io::ErrorKind::InvalidData) for a frame beyond the
/// limits.
pub fn serve(
    input: impl Read + Send,
    output: impl Write + Send,
    module: Module<'_>,
    limits: &Limits,
) -> io::Result<()> {
    connection::serve(input, output, module, limits)
}
