//! A connection: who reads, who works, who writes.
//!
//! Each worker takes the reading over, reads a frame, hands the reading on, makes the call, and
//! writes the answer. So a client with one session is served by one thread that nobody has to wake,
//! and a client with several sessions by several, which answer in the order in which they are done.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, scope};

use strongroom_types::reason::{self, Account, Subject};
use strongroom_types::{Bytes, Error};

use crate::Module;
use crate::bytes::{Malformed, Reader, Writer};
use crate::call::{Call, Effect, refuse};
use crate::calls::CALLS;
use crate::frame::{Frame, Frames, Limits, answer, finished};
use crate::generation::Generation;
use crate::lines::{Lines, lock};
use crate::request::Wire;

/// See [`crate::serve`].
pub(crate) fn serve(
    input: impl Read + Send,
    mut output: impl Write + Send,
    module: Module<'_>,
    limits: &Limits,
) -> io::Result<()> {
    let mut frames = Frames::new(input, limits.patience);
    let Some(offered) = frames.first_byte()? else { return Ok(()) };
    let generation = Generation::offering(offered);
    output.write_all(&[generation.version])?;
    output.flush()?;
    let connection = Connection {
        module,
        wire: Wire { generation, layouts: module.layouts, limits },
        input: Mutex::new(Some(frames)),
        output: Mutex::new(Some(output)),
        life: Mutex::new(Life::Fresh),
        lines: Lines::new(),
        workers: AtomicUsize::new(1),
        sessions: AtomicUsize::new(0),
        waiting: AtomicBool::new(false),
        failure: Mutex::new(Ok(())),
    };
    scope(|scope| connection.work(scope));
    connection.failure.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Where the client is between `C_Initialize` and `C_Finalize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Fresh,
    Begun,
    Ended,
}

struct Connection<'a, R, W> {
    module: Module<'a>,
    wire: Wire<'a>,
    /// None once there is nothing more to read.
    input: Mutex<Option<Frames<R>>>,
    /// None once an answer could not be written: nobody knows how much of it the client has.
    output: Mutex<Option<W>>,
    life: Mutex<Life>,
    lines: Lines<Task>,
    /// How many work, and how many sessions could keep one busy.
    workers: AtomicUsize,
    sessions: AtomicUsize,
    /// Whether a call waits for a slot. Somebody must read meanwhile, or the end would go unnoticed.
    waiting: AtomicBool,
    /// The first failure of a stream.
    failure: Mutex<io::Result<()>>,
}

/// A call that came.
struct Task {
    code: u32,
    body: Bytes,
    /// The row, and where the arguments begin in the body.
    call: Result<(&'static Call, usize), Error>,
    session: Option<u64>,
    /// Whether it is the one that waits for a slot.
    waits: bool,
}

impl<R: Read + Send, W: Write + Send> Connection<'_, R, W> {
    /// What a worker does until there is nothing more to read.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        while let Some(mut first) = self.next() {
            if !self.recruit(scope) && first.waits {
                let alone = || "the system has no thread that could read meanwhile".into();
                first.call = Err(Error::HostMemory.because(alone));
            }
            let mut next = Some(first);
            while let Some(task) = next {
                let session = task.session;
                self.answer(task);
                next = session.and_then(|session| self.lines.leave(session));
            }
        }
    }

    /// Reads until there is a call that may run now. Nobody else reads meanwhile, so calls come into
    /// their lines in the order in which they were sent.
    fn next(&self) -> Option<Task> {
        let mut input = lock(&self.input);
        loop {
            let frames = input.as_mut()?;
            // A call that can not be answered is not made.
            let answerable = lock(&self.output).is_some();
            match if answerable { frames.next(self.wire.limits) } else { Ok(None) } {
                Ok(Some(frame)) => {
                    let task = self.task(frame);
                    let ready = match task.session {
                        Some(session) => self.lines.enter(session, task),
                        None => Some(task),
                    };
                    if ready.is_some() {
                        return ready;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.fail(error),
            }
            *input = None;
            // Those who wait for a slot would wait for ever.
            self.module.application.end_waits();
        }
    }

    fn task(&self, Frame { code, body }: Frame) -> Task {
        let mut call = find(&body);
        let mut waits = matches!(call, Ok((Call { effect: Effect::Waits, .. }, _)));
        if waits && self.waiting.swap(true, Ordering::Relaxed) {
            let other = || "another call of this connection waits for a slot already".into();
            (call, waits) = (Err(Error::FunctionFailed.because(other)), false);
        }
        let session =
            call.as_ref().ok().and_then(|(call, start)| call.session(body.get(*start..)?));
        Task { code, body, call, session, waits }
    }

    /// Has another one work if there could be something to do. Without it this one does it later, and
    /// only a call that waits can not be made: nobody would hear of the end.
    fn recruit<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> bool {
        let sessions = self.sessions.load(Ordering::Relaxed);
        let wanted = sessions.min(self.wire.limits.workers).max(1)
            + usize::from(self.waiting.load(Ordering::Relaxed));
        let one_more = |workers| (workers < wanted).then_some(workers + 1);
        if self.workers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return true;
        }
        let spawned = Builder::new().spawn_scoped(scope, || self.work(scope));
        if spawned.is_err() {
            self.workers.fetch_sub(1, Ordering::Relaxed);
        }
        spawned.is_ok()
    }

    fn answer(&self, task: Task) {
        let mut answer = answer();
        let (made, account) = reason::record(|| self.make(&task, &mut answer));
        if let Err(error) = made {
            self.tell(&task, error, account);
        }
        if task.waits {
            self.waiting.store(false, Ordering::Relaxed);
        }
        let bytes = finished(task.code, answer);
        let mut place = lock(&self.output);
        let Some(output) = place.as_mut() else { return };
        if let Err(error) = output.write_all(&bytes).and_then(|()| output.flush()) {
            *place = None;
            self.fail(error);
        }
    }

    /// Makes a call, and writes the answer.
    fn make(&self, task: &Task, answer: &mut Writer) -> Result<(), Error> {
        match task.call.and_then(|(call, start)| self.admit(call).map(|()| (call, start))) {
            Ok((call, start)) => {
                self.call(call, task.body.get(start..).unwrap_or_default(), answer)
            }
            Err(error) => {
                refuse(answer, error);
                Err(error)
            }
        }
    }

    /// Tells of a call that came to nothing.
    fn tell(&self, task: &Task, error: Error, mut account: Account) {
        account.about = task.session.map(Subject::Session).into_iter().collect();
        let function = task.call.map_or("a call that is not understood", |(call, _)| call.name);
        (self.module.refused)(function, error, &account);
    }

    fn call(&self, call: &Call, arguments: &[u8], answer: &mut Writer) -> Result<(), Error> {
        let made = call.answer(self.module.application, arguments, self.wire, answer);
        match (call.effect, made) {
            (Effect::Begins, Err(_)) => *lock(&self.life) = Life::Fresh,
            (Effect::Opens, Ok(())) => {
                self.sessions.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        made
    }

    /// Whether the call may be made now.
    fn admit(&self, call: &Call) -> Result<(), Error> {
        let mut life = lock(&self.life);
        match (*life, call.effect) {
            (Life::Fresh, Effect::Begins) => *life = Life::Begun,
            (Life::Begun, Effect::Begins) => return Err(Error::CryptokiAlreadyInitialized),
            (Life::Begun, Effect::Ends) => *life = Life::Ended,
            (Life::Begun, _) => {}
            (Life::Fresh | Life::Ended, _) => return Err(Error::CryptokiNotInitialized),
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) {
        let mut failure = lock(&self.failure);
        if failure.is_ok() {
            *failure = Err(error);
        }
    }
}

/// The row of a call, and where its arguments begin. A call that we do not know is one that we do
/// not support; a client that means something else by it is not understood.
fn find(body: &[u8]) -> Result<(&'static Call, usize), Error> {
    let mut reader = Reader::new(body);
    let read = |reader: &mut Reader<'_>| {
        let id = reader.u32()?;
        let call = CALLS.iter().find(|call| call.id == id);
        Ok::<_, Malformed>((call, reader.string()?.ok_or(Malformed)?.to_owned()))
    };
    let (call, signature) = read(&mut reader).map_err(|Malformed| Error::DeviceError)?;
    let call = call.ok_or(Error::FunctionNotSupported)?;
    if !call.has(&signature) {
        return Err(Error::DeviceError);
    }
    Ok((call, body.len() - reader.left()))
}
