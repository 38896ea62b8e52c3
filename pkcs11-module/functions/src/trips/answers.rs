//! What requests and their answers say.

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, Output, Result, Room, SessionHandle};

use super::Carrier;
use crate::Operation;
use crate::conduct::Role;
use crate::remote::Request;
use crate::wire::{Reader, Wire, Writer};

/// How an answer begins that says how much room is needed.
pub(super) const NEEDS: &[u8] = &[0, 0];

/// Whether an answer says that the call succeeded.
pub(crate) fn done(answer: &[u8]) -> bool {
    answer.first() == Some(&0)
}

/// The answer of a call that succeeded.
pub(crate) fn written<'f>(reply: &impl Wire<'f>) -> Bytes {
    let mut out = Writer::default();
    false.put(&mut out);
    reply.put(&mut out);
    out.finish()
}

/// Why a call failed.
pub(super) fn failure(answer: &[u8]) -> Option<Error> {
    let list = OnceCell::new();
    Result::<()>::take(&mut Reader::new(answer, &list)).ok()?.err()
}

/// The output that came of a call.
pub(super) fn read_output(answer: &[u8]) -> Option<Output> {
    let list = OnceCell::new();
    Result::<Output>::take(&mut Reader::new(answer, &list)).ok()?.ok()
}

/// The room that a call has for its output.
pub(super) fn room(role: Role, call: &Request) -> Option<Room> {
    let list = OnceCell::new();
    match role {
        Role::Whole(Operation::Verify) | Role::Last(Operation::Verify) => None,
        Role::Whole(_) => {
            let arguments = call.arguments::<(SessionHandle, (&[u8], Room))>(&list);
            arguments.map(|(_, (_, room))| room)
        }
        Role::Last(_) => call.arguments::<(SessionHandle, Room)>(&list).map(|(_, room)| room),
        _ => None,
    }
}

/// The signature that is to be checked.
pub(super) fn signature<'c>(
    role: Role,
    call: &'c Request,
    list: &'c OnceCell<Vec<u64>>,
) -> Option<&'c [u8]> {
    match role {
        Role::Whole(_) => {
            let arguments = call.arguments::<(SessionHandle, (&[u8], &[u8]))>(list);
            arguments.map(|(_, (_, signature))| signature)
        }
        _ => call.arguments::<(SessionHandle, &[u8])>(list).map(|(_, signature)| signature),
    }
}

/// Whether requests are answered, and the last of them by success.
pub(super) fn succeed(requests: &mut [Request], carrier: &dyn Carrier) -> bool {
    carrier.carry(requests).is_ok_and(|answer| done(&answer))
}

/// Has a call answered behind the start that it needs: in one round trip, or in two where they are more
/// than the token takes at once. A start that comes alone is one that was never held.
pub(super) fn carry_started(
    start: Option<Request>,
    call: Request,
    carrier: &dyn Carrier,
) -> Result<Bytes> {
    let Some(start) = start else { return carrier.carry(&mut [call]) };
    let both = &mut [start, call];
    match (carrier.carry(both), both) {
        (Err(Error::DataLenRange), [start, call]) => {
            let answer = carrier.carry(std::slice::from_mut(start))?;
            if done(&answer) { carrier.carry(std::slice::from_mut(call)) } else { Ok(answer) }
        }
        (answer, _) => answer,
    }
}
