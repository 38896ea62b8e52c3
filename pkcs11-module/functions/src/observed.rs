//! An application somebody looks at: each call of it passes an [`Observer`], whichever wire it came
//! over.

use strongroom_types::{Bytes, MechanismType, ObjectHandle, Output, Result, Room, SessionHandle};

use crate::{Cryptoki, Direction, Facts, Found, Host, Operation};

/// Who looks at the calls of an application.
pub trait Observer: Send + Sync {
    /// Makes a call of the function with this name, in a session if it is for one.
    ///
    /// # Errors
    ///
    /// Those of the call.
    fn observe<T>(
        &self,
        function: &'static str,
        session: Option<SessionHandle>,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T>;
}

/// An application, and who looks at it.
pub struct Observed<'a, O> {
    application: &'a dyn Cryptoki,
    observer: &'a O,
}

impl<'a, O: Observer> Observed<'a, O> {
    /// Has the calls of an application looked at.
    pub fn new(application: &'a dyn Cryptoki, observer: &'a O) -> Self {
        Self { application, observer }
    }

    pub(crate) fn call<T>(
        &self,
        function: &'static str,
        session: Option<SessionHandle>,
        call: impl FnOnce(&dyn Cryptoki) -> Result<T>,
    ) -> Result<T> {
        self.observer.observe(function, session, || call(self.application))
    }
}

/// What the edge asks for itself is no call, apart from what it asks in place of a function.
impl<O: Observer> Host for Observed<'_, O> {
    fn message_mechanism(
        &self,
        session: SessionHandle,
        direction: Direction,
    ) -> Result<MechanismType> {
        self.application.message_mechanism(session, direction)
    }

    fn end_waits(&self) {
        self.application.end_waits();
    }

    fn facts(&self, session: SessionHandle, operation: Operation) -> Result<Facts> {
        self.application.facts(session, operation)
    }

    /// What the caller's program called is `C_Sign`, or `C_SignFinal`.
    fn sign_digest(&self, session: SessionHandle, digest: &[u8], room: Room) -> Result<Output> {
        self.call("C_Sign", Some(session), |application| {
            application.sign_digest(session, digest, room)
        })
    }

    /// So it is `C_SignUpdate` or `C_VerifyUpdate`, of which there were many.
    fn hash_elsewhere(&self, session: SessionHandle, operation: Operation) -> Result<()> {
        let function = match operation {
            Operation::Verify => "C_VerifyUpdate",
            _ => "C_SignUpdate",
        };
        self.call(function, Some(session), |application| {
            application.hash_elsewhere(session, operation)
        })
    }

    /// So it is `C_Verify`, or `C_VerifyFinal`.
    fn verify_digest(&self, session: SessionHandle, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.call("C_Verify", Some(session), |application| {
            application.verify_digest(session, digest, signature)
        })
    }

    fn adopt(&self, session: SessionHandle, objects: Vec<(ObjectHandle, Bytes)>) -> Result<()> {
        self.application.adopt(session, objects)
    }

    /// So it is `C_FindObjects`.
    fn find(&self, session: SessionHandle, least: usize, most: usize) -> Result<Found> {
        self.call("C_FindObjects", Some(session), |application| {
            application.find(session, least, most)
        })
    }
}
