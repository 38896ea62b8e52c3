//! Which starts of operations are alike.

use core::cell::OnceCell;

use strongroom_types::{Bytes, MechanismCall, ObjectHandle, Param, Params, Result, SessionHandle};

use crate::Operation;
use crate::remote::Request;
use crate::wire::{Wire, Writer};

/// What two starts have in common if one succeeds where the other does, and the key; nothing for a
/// start without a mechanism. An IV counts by its length: whatever its bytes are, they start alike.
pub(super) fn alike(
    operation: Operation,
    request: &Request,
) -> Result<Option<(Bytes, ObjectHandle)>> {
    let Some((call, key)) = call(operation, request) else { return Ok(None) };
    let mut like = Writer::default();
    operation.put(&mut like);
    call.mechanism.put(&mut like);
    key.put(&mut like);
    put_alike(&call.params, &mut like);
    // What was given up would be like another.
    like.whole()?;
    Ok(Some((like.finish(), key)))
}

fn call(operation: Operation, request: &Request) -> Option<(MechanismCall, ObjectHandle)> {
    let list = OnceCell::new();
    match operation {
        Operation::Digest => {
            let arguments = request.arguments::<(SessionHandle, Option<MechanismCall>)>(&list);
            Some((arguments?.1?, ObjectHandle(0)))
        }
        _ => {
            type Arguments = (SessionHandle, (Option<MechanismCall>, ObjectHandle));
            let (_, (call, key)) = request.arguments::<Arguments>(&list)?;
            Some((call?, key))
        }
    }
}

fn put_alike(params: &Params, like: &mut Writer) {
    like.count(params.as_slice().len());
    for param in params.as_slice() {
        match param {
            Param::Bytes(bytes) => bytes.len().put(like),
            Param::Structure(inner) => put_alike(inner, like),
            other => other.put(like),
        }
    }
}
