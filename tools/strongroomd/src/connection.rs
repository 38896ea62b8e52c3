//! One connection: who it is, which application it is for, and its requests one after the other.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use strongroom_functions::frame::{
    FIRST, Hello, Inbox, Refusal, Terms, VERSION, Welcome, Wish, send,
};
use strongroom_functions::{Cryptoki, Observed, Observer, refusal, serve};
use strongroom_types::reason::{self, Subject};
use strongroom_types::{Bytes, Error, SessionHandle};

use crate::applications::Share;
use crate::log::{Level, say};
use crate::peer::Peer;
use crate::requests::Requests;
use crate::server::Server;

/// How long a caller may take over half a frame, over saying what it wants, and over taking an
/// answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a connection until it ends.
pub(crate) fn run(server: &Server, stream: &UnixStream, peer: &Peer) {
    if let Err(error) = converse(server, stream, peer) {
        say(Level::Warning, &format!("{peer}: the connection is closed: {error}"));
    }
}

/// Tells a caller that it is not served. It may be gone already, which is no loss.
pub(crate) fn refuse(stream: &UnixStream, why: Refusal) {
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = send(&mut &*stream, &Welcome::Refused(why).encode());
}

fn converse(server: &Server, mut stream: &UnixStream, peer: &Peer) -> io::Result<()> {
    // A read that ends without anything is a chance to see whether the connection is idle.
    let look = server.settings.idle.map_or(PATIENCE, |idle| idle.min(PATIENCE));
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut inbox = Inbox::default();
    let Some(share) = welcome(server, stream, &mut inbox, peer)? else { return Ok(()) };
    let most = usize::try_from(server.settings.frame).unwrap_or(usize::MAX);
    let caller = Caller { server, peer };
    let application = Observed::new(&share.application, &caller);
    let mut requests = Requests::new(stream, server, look);
    let mut last = Instant::now();
    loop {
        match inbox.frame(&mut requests, most, PATIENCE) {
            Ok(Some(request)) => {
                let answer = answer(&application, &request, peer);
                drop(request);
                match share.lend(answer.len(), most) {
                    Ok(_lent) => send(&mut stream, &answer)?,
                    Err(error) => send(&mut stream, &refusal(error))?,
                }
                last = Instant::now();
            }
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let over = server.settings.idle.is_some_and(|idle| last.elapsed() >= idle);
                if over && share.give_up() {
                    say(Level::Debug, &format!("{peer}: the connection was idle"));
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Who calls: what comes to nothing is in the log by that name.
struct Caller<'a> {
    server: &'a Server,
    peer: &'a Peer,
}

impl Observer for Caller<'_> {
    fn observe<T>(
        &self,
        function: &'static str,
        session: Option<SessionHandle>,
        call: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let watched = || self.server.observe(function, session, call);
        let (outcome, mut account) = reason::record(watched);
        if let Err(error) = &outcome {
            account.about =
                session.map(|session| Subject::Session(session.0)).into_iter().collect();
            self.server.refusals.call(self.peer, function, *error, &account);
        }
        outcome
    }
}

/// The first frame each way. Nothing if the caller went away, or is not served.
fn welcome<'s>(
    server: &'s Server,
    mut stream: &UnixStream,
    inbox: &mut Inbox,
    peer: &Peer,
) -> io::Result<Option<Share<'s>>> {
    let Some(hello) = inbox.frame(&mut stream, FIRST, PATIENCE).map_err(silent)? else {
        return Ok(None);
    };
    let hello =
        Hello::decode(&hello).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let found = match hello {
        Hello { version: VERSION, wish } => share(server, peer, &wish),
        Hello { .. } => Err(Refusal::Version),
    };
    let welcome = match &found {
        Ok(share) => Welcome::Served(Terms {
            secret: share.secret,
            most: server.settings.frame,
            compatible: server.config.compatible,
        }),
        Err(why) => {
            server.metrics.refused(*why);
            tell(server, *why, peer);
            Welcome::Refused(*why)
        }
    };
    send(&mut stream, &welcome.encode())?;
    Ok(found.ok())
}

/// Says in the log why a caller is not served, unless that was said where it was found out.
fn tell(server: &Server, why: Refusal, peer: &Peer) {
    let why = match why {
        Refusal::Version => "it speaks another version of the protocol",
        // So it is with all who were here when the daemon was started anew.
        Refusal::Application => "it wants to join an application that is not here",
        Refusal::User | Refusal::Full | Refusal::Store => return,
    };
    server.refusals.say(peer.uid, || format!("{peer}: is refused: {why}"));
}

/// A caller that says nothing is closed as one that is too slow.
fn silent(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// The application that a caller wants.
fn share<'s>(server: &'s Server, peer: &Peer, wish: &Wish) -> Result<Share<'s>, Refusal> {
    let turn = match wish {
        Wish::Join(secret) => {
            return server.applications.join(peer, secret).ok_or(Refusal::Application);
        }
        Wish::Found(turn) => *turn,
    };
    let founded = server
        .application(turn)
        .map_err(|error| error.to_string())
        .and_then(|application| server.applications.found(peer, application));
    founded.map_err(|why| {
        say(Level::Error, &format!("{peer}: the store can not be opened: {why}"));
        Refusal::Store
    })
}

/// What comes of a request. What is no request, and what goes wrong in here, is answered too: the
/// frames tell where the next one begins.
fn answer(application: &dyn Cryptoki, request: &[u8], peer: &Peer) -> Bytes {
    match catch_unwind(AssertUnwindSafe(|| serve(application, request))) {
        Ok(Ok(answer)) => answer,
        Ok(Err(malformed)) => {
            say(Level::Warning, &format!("{peer}: {malformed}"));
            refusal(Error::ArgumentsBad)
        }
        Err(_) => {
            say(Level::Error, &format!("{peer}: a request made the daemon stumble"));
            refusal(Error::GeneralError)
        }
    }
}
