//! What the functions of sections 5.8 to 5.14 have in common.
//!
//! Such a function ends its operation when it fails, too little room apart. The application below
//! sees to that for what it is asked; here it is done for what it is never asked, because the
//! arguments could not be read.

use cryptoki_sys::CK_MECHANISM;
use strongroom_types::reason::outrank;
use strongroom_types::{Error, MechanismCall, ObjectHandle, Output, Result, Room, SessionHandle};

use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutBuf, OutPtr};
use crate::module::{Application, Call, layouts, module};

/// Bytes of the caller's, or what is wrong with where they should be.
pub(super) type Input<'call> = Result<&'call [u8]>;

/// Room of the caller's.
pub(super) type Target<'call> = (OutPtr<'call, u8>, OutPtr<'call, CkUlong>);

/// A function that starts an operation with a key. Without a mechanism, it ends one.
pub(super) type Start =
    fn(&Application, SessionHandle, Option<MechanismCall>, ObjectHandle) -> Result<()>;

/// A step that takes bytes and gives bytes.
type Transform = fn(&Application, SessionHandle, &[u8], Room) -> Result<Output>;

/// A step that takes bytes.
type Absorb = fn(&Application, SessionHandle, &[u8]) -> Result<()>;

/// An operation, as the function that starts it.
#[derive(Clone, Copy)]
pub(super) struct Operation(pub(super) Start);

impl Operation {
    /// Starts the operation, or ends it.
    pub(super) fn init(
        self,
        handle: CkUlong,
        mechanism: &InPtr<'_, CK_MECHANISM>,
        key: CkUlong,
    ) -> Result<()> {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(layouts))?;
        (self.0)(&*module, session, mechanism, object(key))
    }

    /// A step that takes bytes and gives bytes.
    pub(super) fn transform(
        self,
        handle: CkUlong,
        input: Input<'_>,
        (buffer, room): Target<'_>,
        step: Transform,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let out = self.read(&module, session, OutBuf::new(buffer, room))?;
        let input = self.read(&module, session, input)?;
        let output = step(&*module, session, input, out.room())?;
        out.settle(output)
    }

    /// A step that takes bytes.
    pub(super) fn absorb(self, handle: CkUlong, input: Input<'_>, step: Absorb) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let input = self.read(&module, session, input)?;
        step(&*module, session, input)
    }

    /// A step that takes two byte strings.
    pub(super) fn compare(
        self,
        handle: CkUlong,
        data: Input<'_>,
        other: Input<'_>,
        step: fn(&Application, SessionHandle, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let data = self.read(&module, session, data)?;
        let other = self.read(&module, session, other)?;
        step(&*module, session, data, other)
    }

    /// A step that gives bytes.
    pub(super) fn finish(
        self,
        handle: CkUlong,
        (buffer, room): Target<'_>,
        step: fn(&Application, SessionHandle, Room) -> Result<Output>,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let out = self.read(&module, session, OutBuf::new(buffer, room))?;
        let output = step(&*module, session, out.room())?;
        out.settle(output)
    }

    /// What came of reading the arguments. Their faults end the operation.
    fn read<T>(self, module: &Call, session: SessionHandle, arguments: Result<T>) -> Result<T> {
        arguments.map_err(|fault| self.outranked(module, session, fault))
    }

    #[cold]
    fn outranked(self, module: &Call, session: SessionHandle, fault: Error) -> Error {
        let ask = || match (self.0)(&**module, session, None, ObjectHandle(0)) {
            Err(Error::SessionHandleInvalid) => Err(Error::SessionHandleInvalid),
            // Whether there was an operation to end does not change what was wrong.
            _ => Ok(()),
        };
        outrank(ask).err().unwrap_or(fault)
    }
}
