//! The client: an application that lives in another process.

use core::cell::OnceCell;
use std::time::Instant;

use strongroom_types::{
    Bytes, Error, MechanismType, ObjectHandle, Output, Result, Room, SessionHandle, reason,
};

use crate::conduct::{Again, INFO, OPEN_SESSION, Role, conduct};
use crate::revival::Sessions;
use crate::serve::{
    ADOPT, END_WAITS, FACTS, FIND, HASH_ELSEWHERE, IN_ONE, MESSAGE_MECHANISM, SIGN_DIGEST,
    VERIFY_DIGEST,
};
use crate::trips::{Carrier, Hashers, Trips};
use crate::wire::{LONGEST, Malformed, Reader, Taken, Wire, Writer};
use crate::{Direction, Facts, Found, Host, Operation};

/// Carries requests to an application in another process.
///
/// The application can be lost: its process ends, and another takes its place. Applications that
/// take each other's place are told apart by their turn, which only grows; no two of them give the
/// same handle.
pub trait Transport: Send + Sync {
    /// The turn of the application that requests go to now.
    fn turn(&self) -> u64;

    /// Has a request answered, by the application of this turn and no other.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken>;

    /// The most bytes of a request. What is longer is refused all the same; who asks first need not write it.
    fn most(&self) -> usize {
        LONGEST
    }

    /// The time, by which it is decided what is too old to be told.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The request has not been looked at, and another application is there: it may be sent there.
    Lost,
    /// Nobody knows whether the request was carried out. The application may be lost or not.
    Unanswered,
    /// It can not be sent at all, for this reason.
    Refused(Error),
}

/// How often a request is sent before it is given up.
const TRIES: usize = 8;

/// The application that is at the other end of a transport.
pub struct Remote<T> {
    line: Line<T>,
    trips: Trips,
}

/// How requests get there.
struct Line<T> {
    transport: T,
    sessions: Sessions,
}

/// Where the first argument begins: behind the number, and whether reasons are wanted.
const ARGUMENTS: usize = 3;

/// A request that is being written.
pub(crate) struct Request {
    pub(crate) number: u16,
    frame: Writer,
}

impl Request {
    pub(crate) fn new(number: u16) -> Self {
        Self::of_at_most(LONGEST, number)
    }

    /// One that is given up as soon as it has more bytes than this.
    pub(crate) fn of_at_most(most: usize, number: u16) -> Self {
        let mut frame = Writer::of_at_most(most);
        frame.add(&number.to_le_bytes());
        reason::wanted().put(&mut frame);
        Self { number, frame }
    }

    /// The same with one more argument.
    pub(crate) fn with<'a>(mut self, argument: &impl Wire<'a>) -> Self {
        argument.put(&mut self.frame);
        self
    }

    /// Whether all of it has been written.
    fn whole(&self) -> Result<()> {
        self.frame.whole().map_err(|error| match error {
            Error::DataLenRange => error.since("the data is more than the daemon takes at once"),
            error => error,
        })
    }

    /// The same arguments for another function.
    pub(crate) fn rename(&mut self, number: u16) {
        self.number = number;
        self.frame.replace(0, &number.to_le_bytes());
    }

    /// The session that it is about.
    pub(crate) fn session(&self) -> Option<SessionHandle> {
        let first = self.frame.bytes().get(ARGUMENTS..)?.first_chunk()?;
        conduct(self.number)?.in_session.then(|| SessionHandle(u64::from_le_bytes(*first)))
    }

    /// Reads the arguments again.
    pub(crate) fn arguments<'f, A: Wire<'f>>(&'f self, list: &'f OnceCell<Vec<u64>>) -> Option<A> {
        let arguments = self.frame.bytes().get(ARGUMENTS..)?;
        A::take(&mut Reader::new(arguments, list)).ok()
    }
}

impl<T: Transport> Remote<T> {
    /// The application behind a transport.
    pub fn new(transport: T) -> Self {
        Self::hashing(transport, |_| None)
    }

    /// The same, with what can hash data before it goes there.
    pub fn hashing(transport: T, hashers: Hashers) -> Self {
        let line = Line { transport, sessions: Sessions::default() };
        Self { line, trips: Trips::new(hashers) }
    }

    /// The most bytes that a call can have. What may be hashed here need not go there.
    pub(crate) fn most(&self, role: Option<Role>) -> usize {
        match role {
            Some(Role::Whole(Operation::Sign | Operation::Verify)) => LONGEST,
            Some(Role::Part(Operation::Sign | Operation::Verify)) => LONGEST,
            _ => self.line.transport.most(),
        }
    }

    /// Has a request answered.
    pub(crate) fn call<R: for<'f> Wire<'f>>(&self, request: Request) -> Result<R> {
        request.whole()?;
        let answer = self.trips.call(request, &self.line)?;
        read::<R>(&answer).unwrap_or_else(|Malformed| {
            Err(Error::GeneralError.because(|| "the answer is malformed".into()))
        })
    }
}

impl<T: Transport> Carrier for Line<T> {
    fn turn(&self) -> u64 {
        self.transport.turn()
    }

    fn learn(&self, session: SessionHandle, object: ObjectHandle, name: Bytes, turn: u64) {
        self.sessions.learn(session, object, name, turn);
    }

    fn used(&self, object: ObjectHandle) {
        self.sessions.used(object);
    }

    fn now(&self) -> Instant {
        self.transport.now()
    }

    fn carry(&self, requests: &mut [Request]) -> Result<Bytes> {
        requests.iter().try_for_each(Request::whole)?;
        let given: Vec<_> = requests.iter().map(Request::session).collect();
        for _ in 0..TRIES {
            let turn = self.transport.turn();
            for (request, session) in requests.iter_mut().zip(&given) {
                if let Some(session) = session {
                    let session = self.session(*session, turn)?;
                    request.frame.replace(ARGUMENTS, &session.0.to_le_bytes());
                }
            }
            let outcome = match &*requests {
                [alone] => self.transport.exchange(turn, alone.frame.bytes()),
                several => self.transport.exchange(turn, &self.in_one(several)?),
            };
            match outcome {
                Ok(answer) => {
                    if let (Some(request), Some(session), Some(0)) =
                        (requests.last(), given.last(), answer.first())
                    {
                        self.sessions.note(*session, turn, request, &answer);
                    }
                    return Ok(answer);
                }
                Err(Broken::Lost) => {}
                Err(Broken::Unanswered) if self.may_repeat(requests, turn)? => {}
                Err(Broken::Unanswered) => {
                    let why = || "the connection broke before the answer came".into();
                    return Err(Error::DeviceRemoved.because(why));
                }
                Err(Broken::Refused(error)) => return Err(error),
            }
        }
        Err(again_and_again())
    }
}

impl<T: Transport> Line<T> {
    /// The frame of requests that go together.
    fn in_one(&self, requests: &[Request]) -> Result<Bytes> {
        let mut together = Request::of_at_most(self.transport.most(), IN_ONE);
        together.frame.count(requests.len());
        requests.iter().for_each(|request| request.frame.bytes().put(&mut together.frame));
        together.whole()?;
        Ok(together.frame.finish())
    }

    /// Whether what was not answered in this turn may be asked a second time: nothing but an answer
    /// comes of it, or nothing that lasts longer than the application, and that is lost.
    fn may_repeat(&self, requests: &[Request], turn: u64) -> Result<bool> {
        let again = |request: &Request| conduct(request.number).map(|conduct| conduct.again);
        if requests.iter().all(|request| again(request) == Some(Again::Reads)) {
            return Ok(true);
        }
        let lasts = requests.iter().any(|request| again(request) == Some(Again::Lasts));
        Ok(!lasts && self.is_lost(turn)?)
    }

    /// Whether the application of a turn is lost. Where only a connection broke, it is not: then its
    /// operations and searches are where the call that was not answered has left them.
    fn is_lost(&self, turn: u64) -> Result<bool> {
        let ask = Request::new(INFO);
        for _ in 0..TRIES {
            match self.transport.exchange(turn, ask.frame.bytes()) {
                Ok(_) => return Ok(false),
                Err(Broken::Lost) if self.transport.turn() != turn => return Ok(true),
                Err(Broken::Lost | Broken::Unanswered) => {}
                Err(Broken::Refused(error)) => return Err(error),
            }
        }
        Err(again_and_again())
    }

    /// What a session is called by the application of a turn: as it was given, unless that is
    /// another application than the one that gave it.
    fn session(&self, given: SessionHandle, turn: u64) -> Result<SessionHandle> {
        let open = |slot, read_write| {
            let open = Request::new(OPEN_SESSION).with(&slot).with(&read_write);
            match self.transport.exchange(turn, open.frame.bytes()) {
                Ok(answer) => read(&answer).unwrap_or(Err(Error::GeneralError)),
                Err(Broken::Refused(error)) => Err(error),
                Err(_) => Err(Error::DeviceError),
            }
        };
        let adopt = |session: SessionHandle, objects: Vec<(ObjectHandle, Bytes)>| {
            let adopt = Request::new(ADOPT).with(&session).with(&objects);
            // Handles that stand for nothing are what there is without.
            let _ = self.transport.exchange(turn, adopt.frame.bytes());
        };
        self.sessions.now(given, turn, open, adopt)
    }
}

impl<T: Transport> Host for Remote<T> {
    fn message_mechanism(
        &self,
        session: SessionHandle,
        direction: Direction,
    ) -> Result<MechanismType> {
        self.call(Request::new(MESSAGE_MECHANISM).with(&session).with(&direction))
    }

    fn end_waits(&self) {
        // Who can not be reached has nobody wait.
        let request = Request::new(END_WAITS);
        let transport = &self.line.transport;
        let _ = transport.exchange(transport.turn(), request.frame.bytes());
    }

    fn facts(&self, session: SessionHandle, operation: Operation) -> Result<Facts> {
        self.call(Request::new(FACTS).with(&session).with(&operation))
    }

    fn sign_digest(&self, session: SessionHandle, digest: &[u8], room: Room) -> Result<Output> {
        self.call(Request::new(SIGN_DIGEST).with(&session).with(&digest).with(&room))
    }

    fn hash_elsewhere(&self, session: SessionHandle, operation: Operation) -> Result<()> {
        self.call(Request::new(HASH_ELSEWHERE).with(&session).with(&operation))
    }

    fn adopt(&self, session: SessionHandle, objects: Vec<(ObjectHandle, Bytes)>) -> Result<()> {
        self.call(Request::new(ADOPT).with(&session).with(&objects))
    }

    fn verify_digest(&self, session: SessionHandle, digest: &[u8], signature: &[u8]) -> Result<()> {
        let request = Request::new(VERIFY_DIGEST).with(&session);
        self.call(request.with(&digest).with(&signature))
    }

    fn find(&self, session: SessionHandle, least: usize, most: usize) -> Result<Found> {
        self.call(Request::new(FIND).with(&session).with(&least).with(&most))
    }
}

/// Reads an answer: what came of the call, and why if it failed and that was asked.
fn read<R: for<'f> Wire<'f>>(answer: &[u8]) -> Taken<Result<R>> {
    let list = OnceCell::new();
    let mut from = Reader::new(answer, &list);
    let outcome = Result::<R>::take(&mut from)?;
    match outcome {
        Err(error) if !from.rest().is_empty() => {
            let why = String::take(&mut from)?;
            from.end()?;
            Ok(Err(error.because(|| why)))
        }
        outcome => from.end().map(|()| outcome),
    }
}

fn again_and_again() -> Error {
    Error::DeviceError.because(|| "the daemon goes away again and again".into())
}
