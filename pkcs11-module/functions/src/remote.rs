//! The client: an application that lives in another process.

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, MechanismType, Result, SessionHandle, reason};

use crate::revival::{INFO, LASTING, OPEN_SESSION, READING, Sessions};
use crate::serve::{END_WAITS, MESSAGE_MECHANISM};
use crate::wire::{Malformed, Reader, Taken, Wire, Writer};
use crate::{Direction, Host, IN_SESSION};

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
        let mut frame = Writer::default();
        frame.add(&number.to_le_bytes());
        reason::wanted().put(&mut frame);
        Self { number, frame }
    }

    /// The same with one more argument.
    pub(crate) fn with<'a>(mut self, argument: &impl Wire<'a>) -> Self {
        argument.put(&mut self.frame);
        self
    }

    /// The session that it is about.
    fn session(&self) -> Option<SessionHandle> {
        let row = IN_SESSION.binary_search_by_key(&self.number, |(number, _)| *number);
        let in_session = match row {
            Ok(at) => IN_SESSION.get(at).is_some_and(|(_, in_session)| *in_session),
            Err(_) => self.number == MESSAGE_MECHANISM,
        };
        let first = self.frame.bytes().get(ARGUMENTS..)?.first_chunk()?;
        in_session.then(|| SessionHandle(u64::from_le_bytes(*first)))
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
        Self { transport, sessions: Sessions::default() }
    }

    /// Has a request answered.
    pub(crate) fn call<R: for<'f> Wire<'f>>(&self, mut request: Request) -> Result<R> {
        let given = request.session();
        for _ in 0..TRIES {
            let turn = self.transport.turn();
            if let Some(session) = given {
                let session = self.session(session, turn)?;
                request.frame.replace(ARGUMENTS, &session.0.to_le_bytes());
            }
            match self.transport.exchange(turn, request.frame.bytes()) {
                Ok(answer) => {
                    let outcome = read::<R>(&answer).unwrap_or_else(|Malformed| {
                        Err(Error::GeneralError.because(|| "the answer is malformed".into()))
                    });
                    if outcome.is_ok() {
                        self.sessions.note(given, turn, &request, &answer);
                    }
                    return outcome;
                }
                Err(Broken::Lost) => {}
                Err(Broken::Unanswered) if self.may_repeat(request.number, turn)? => {}
                Err(Broken::Unanswered) => {
                    let why = || "the connection broke before the answer came".into();
                    return Err(Error::DeviceRemoved.because(why));
                }
                Err(Broken::Refused(error)) => return Err(error),
            }
        }
        Err(again_and_again())
    }

    /// Whether what was not answered in this turn may be asked a second time: nothing but an answer
    /// comes of it, or nothing that lasts longer than the application, and that is lost.
    fn may_repeat(&self, number: u16, turn: u64) -> Result<bool> {
        if READING.contains(&number) {
            return Ok(true);
        }
        Ok(!LASTING.contains(&number) && self.is_lost(turn)?)
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
        self.sessions.now(given, turn, |slot, read_write| {
            let open = Request::new(OPEN_SESSION).with(&slot).with(&read_write);
            match self.transport.exchange(turn, open.frame.bytes()) {
                Ok(answer) => read(&answer).unwrap_or(Err(Error::GeneralError)),
                Err(Broken::Refused(error)) => Err(error),
                Err(_) => Err(Error::DeviceError),
            }
        })
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
        let _ = self.transport.exchange(self.transport.turn(), request.frame.bytes());
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
