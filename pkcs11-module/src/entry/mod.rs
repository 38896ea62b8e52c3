//! The functions of chapter 5, in safe code: one file for each section.
//!
//! A body reads its arguments, calls the application, and writes what came of it. It asks for the
//! application first, so `CKR_CRYPTOKI_NOT_INITIALIZED` outranks every other fault, and for the
//! places of its outputs before it does any work.

mod decryption;
mod digest;
mod dual;
mod encryption;
mod general;
mod key_management;
mod message;
mod object;
mod operation;
mod parallel;
mod random;
mod session;
mod sign;
mod slot_token;
mod unsupported;
mod verify;

/// The C functions, all of them.
pub(crate) mod c {
    pub(crate) use super::decryption::c::*;
    pub(crate) use super::digest::c::*;
    pub(crate) use super::dual::c::*;
    pub(crate) use super::encryption::c::*;
    pub(crate) use super::general::c::*;
    pub(crate) use super::key_management::c::*;
    pub(crate) use super::message::c::*;
    pub(crate) use super::object::c::*;
    pub(crate) use super::parallel::c::*;
    pub(crate) use super::random::c::*;
    pub(crate) use super::session::c::*;
    pub(crate) use super::sign::c::*;
    pub(crate) use super::slot_token::c::*;
    pub(crate) use super::unsupported::c::*;
    pub(crate) use super::verify::c::*;
}

use strongroom_types::reason::{self, Subject};
use strongroom_types::{Error, ObjectHandle, Result, SessionHandle, SlotId};

use crate::abi::{CkUlong, InPtr, wide};
use crate::module::compatible;

/// A session handle as the application wrote it.
fn session(handle: CkUlong) -> SessionHandle {
    reason::about(|| Subject::Session(wide(handle)));
    SessionHandle(wide(handle))
}

/// An object handle as the application wrote it.
fn object(handle: CkUlong) -> ObjectHandle {
    reason::about(|| Subject::Object(wide(handle)));
    ObjectHandle(wide(handle))
}

/// A slot as the application wrote it.
fn slot(id: CkUlong) -> SlotId {
    reason::about(|| Subject::Slot(wide(id)));
    SlotId(wide(id))
}

/// A PIN as the application wrote it. A null one is empty, as all that is read; but SoftHSM2 has no
/// protected authentication path to send its callers to, and refuses it.
fn read_pin<'call>(pin: &InPtr<'call, u8>, len: CkUlong) -> Result<&'call [u8]> {
    if compatible() && pin.is_null() {
        return Err(Error::ArgumentsBad);
    }
    pin.short_slice(len)
}
