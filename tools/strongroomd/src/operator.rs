//! The operator's door: how the daemon is, and its store sealed and unsealed.
//!
//! Nothing that opens the seal key is kept, or written down: the log has who tried, with what kind of
//! thing, and what came of it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use strongroom_functions::frame::Refusal;
use strongroom_operator::{Answer, Opener as Given, Request, Status, answer, hear};
use strongroom_token::{Opener, Store, StoreError};

use crate::log::{Level, say};
use crate::peer::Peer;
use crate::server::Server;

/// Unseals the store with the key that the configuration names, and says how it begins.
pub(crate) fn begin(store: &Store) {
    if !store.is_operated() {
        return;
    }
    match store.unseal_at_start() {
        Ok(true) => {
            say(Level::Info, "unsealed the store with the key that the configuration names")
        }
        Ok(false) => {
            say(Level::Info, "the store is sealed, until somebody runs `strongroom unseal`")
        }
        Err(error) => say(Level::Error, &format!("the store stays sealed: {error}")),
    }
}

/// Does what an operator asks for.
pub(crate) fn run(server: &Server, stream: &UnixStream, peer: &Peer) {
    let outcome = hear(stream).and_then(|request| answer(stream, &obey(server, &request, peer)));
    match outcome {
        // Somebody looked whether there is a daemon.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => say(Level::Warning, &format!("{peer}: is no operator: {error}")),
        Ok(()) => {}
    }
}

/// Tells somebody that nothing is done for him. He may be gone already, which is no loss.
pub(crate) fn refuse(stream: &UnixStream, why: Refusal) {
    let why = match why {
        Refusal::Full => "as many connections are open as there may be",
        _ => {
            "you are no operator: that is root, the daemon's user, or one of its [daemon] operators"
        }
    };
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = answer(stream, &Answer::Refused(why.into()));
}

fn obey(server: &Server, request: &Request, peer: &Peer) -> Answer {
    match request {
        Request::Status => Answer::Done(status(server)),
        Request::Seal => seal(server, peer),
        Request::Unseal(given) => unseal(server, given, peer),
    }
}

fn seal(server: &Server, peer: &Peer) -> Answer {
    if !server.store.is_operated() {
        let why =
            "nobody could unseal this store again; that takes source = \"operator\" in [seal]";
        return Answer::Refused(why.into());
    }
    server.seal();
    say(Level::Info, &format!("{peer}: sealed the store"));
    Answer::Done(status(server))
}

fn unseal(server: &Server, given: &Given, peer: &Peer) -> Answer {
    let kind = match given {
        Given::Passphrase(_) => "a passphrase",
        Given::Key(_) => "a key",
    };
    let Some(bytes) = given.bytes() else {
        return Answer::Refused("what is to unseal is not in hexadecimal digits".into());
    };
    let opener = match given {
        Given::Passphrase(_) => Opener::Passphrase(&bytes),
        Given::Key(_) => Opener::Key(&bytes),
    };
    match server.store.unseal(opener) {
        Ok(()) => {
            say(Level::Info, &format!("{peer}: unsealed the store with {kind}"));
            Answer::Done(status(server))
        }
        Err(StoreError::WrongPin) => {
            say(Level::Warning, &format!("{peer}: tried to unseal the store with {kind}, wrongly"));
            Answer::Wrong
        }
        Err(error) => {
            let why = error.to_string();
            say(Level::Warning, &format!("{peer}: can not unseal the store with {kind}: {why}"));
            Answer::Refused(why)
        }
    }
}

/// How the daemon is.
fn status(server: &Server) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        process: process::id(),
        uptime: server.began.elapsed().as_secs(),
        store: PathBuf::from(&server.config.store),
        sealed: server.store.is_sealed(),
        tokens: server.store.tokens().map_or(0, |tokens| tokens.len()),
        applications: server.applications.count(),
        connections: server.callers(),
        sessions: server.quota.taken(),
        under_way: server.at_work.count(),
    }
}
