//! Calls: what a row of the table has, and how one is answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use strongroom_functions::Cryptoki;
use strongroom_types::{Error, SessionHandle, ck};

use crate::bytes::{Reader, Writer};
use crate::frame::restart;
use crate::request::{Fault, Request, Understood, Wire};

/// A call that a client can make.
pub struct Call {
    /// Its number on the wire.
    pub id: u32,
    /// The standard's name.
    pub name: &'static str,
    /// The signature of the request, one part for each argument.
    pub request: &'static [&'static str],
    /// The signature of the reply.
    pub reply: &'static str,
    /// Whether the first argument is a session, which then takes one call after the other.
    pub of_session: bool,
    /// What it means for the connection.
    pub(crate) effect: Effect,
    pub(crate) run: Run,
}

/// Makes a call and writes the reply.
pub(crate) type Run = for<'b> fn(&dyn Cryptoki, &mut Request<'b>, &mut Writer) -> Understood<()>;

/// What a call means for its connection, beside what it means for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Calls may be made from now on.
    Begins,
    /// No calls may be made any more.
    Ends,
    /// There may be one more call at the same time, because there is one more session.
    Opens,
    /// There may be one more, because this one may wait for long.
    Waits,
}

impl Call {
    /// Whether the client means the same call: whether its signature is that of the row.
    pub(crate) fn has(&self, mut signature: &[u8]) -> bool {
        for part in self.request {
            match signature.strip_prefix(part.as_bytes()) {
                Some(rest) => signature = rest,
                None => return false,
            }
        }
        signature.is_empty()
    }

    /// Makes the call, and writes the body of the answer: a reply, or an error. A panic below is a
    /// bug of ours, and costs the call alone.
    pub(crate) fn answer(
        &self,
        application: &dyn Cryptoki,
        arguments: &[u8],
        wire: Wire<'_>,
        answer: &mut Writer,
    ) -> Result<(), Error> {
        let mut request = Request { body: Reader::new(arguments), wire };
        begin(answer, self.id, self.reply);
        let made = AssertUnwindSafe(|| (self.run)(application, &mut request, answer));
        let outcome = catch_unwind(made).unwrap_or(Err(Fault::Failed(Error::GeneralError)));
        let outcome = outcome.map_err(|fault| match fault {
            Fault::Malformed => Error::DeviceError,
            Fault::Refused(error) => self.refusal(application, arguments, error),
            Fault::Failed(error) => error,
        });
        if let Err(error) = outcome {
            refuse(answer, error);
        }
        outcome
    }

    /// What is wrong with the arguments is told only in a session that exists.
    fn refusal(&self, application: &dyn Cryptoki, arguments: &[u8], error: Error) -> Error {
        let session = self.session(arguments).map(SessionHandle);
        let told = session.map_or(Ok(()), |session| application.session_info(session).map(drop));
        told.err().unwrap_or(error)
    }

    /// The session that the call is about.
    pub(crate) fn session(&self, arguments: &[u8]) -> Option<u64> {
        let first = arguments.first_chunk().filter(|_| self.of_session);
        first.map(|number| u64::from_be_bytes(*number))
    }
}

fn begin(answer: &mut Writer, id: u32, signature: &str) {
    answer.u32(id);
    answer.string(signature.as_bytes());
}

/// Writes an error as the body of an answer.
pub(crate) fn refuse(answer: &mut Writer, error: Error) {
    restart(answer);
    begin(answer, 0, "u");
    answer.u64(error.rv());
    debug_assert_ne!(error.rv(), ck!(CKR_OK), "an error is never CKR_OK");
}
