//! `C_GetOperationState` and `C_SetOperationState` (5.6.6, 5.6.7): what digests and signatures have
//! computed so far, sealed for this process alone.

use strongroom_keystore::{ObjectId, Role};
use strongroom_types::{Bytes, Error, MechanismType, ObjectHandle, Params, Result};

use crate::application::Application;
use crate::operation::{Kind, Operation, Source};
use crate::session::Session;
use crate::sync::lock;

/// The kinds of operations that can be saved, by the number that a state has for them.
const KINDS: &[(u8, Kind)] = &[(1, Kind::Digest), (2, Kind::Sign), (3, Kind::Verify)];

/// An operation as a state has it.
struct Saved<'state> {
    kind: Kind,
    source: Source,
    updated: bool,
    private: bool,
    state: &'state [u8],
}

/// A use that waits for its login computes nothing.
fn computes(operation: &&Operation) -> bool {
    !matches!(operation.kind(), Kind::Unwrap | Kind::Derive | Kind::Decapsulate)
}

impl Application {
    /// The state of all operations of a session.
    pub(crate) fn save(&self, session: &Session) -> Result<Bytes> {
        let activity = lock(&session.activity);
        let mut state = Bytes::new(session.token.stored.id().to_vec());
        let start = state.len();
        for operation in activity.operations().iter().filter(computes) {
            encode(operation, &mut state).ok_or(Error::StateUnsaveable)?;
        }
        if state.len() == start {
            return Err(Error::OperationNotInitialized);
        }
        self.states.seal(&state)
    }

    /// Has the operations of a state take the place of those of a session.
    pub(crate) fn restore(
        &self,
        session: &Session,
        sealed: &[u8],
        encryption_key: ObjectHandle,
        authentication_key: ObjectHandle,
    ) -> Result<()> {
        let state = self.states.open(sealed)?;
        let token = session.token.stored.id();
        let mut rest = state.strip_prefix(token.as_slice()).ok_or(Error::SavedStateInvalid)?;
        let mut saved = Vec::new();
        while !rest.is_empty() {
            saved.push(decode(&mut rest).ok_or(Error::SavedStateInvalid)?);
        }
        let keyed = saved.iter().any(|saved| saved.source.key.is_some());
        match (keyed, authentication_key) {
            (true, NO_KEY) => return Err(Error::KeyNeeded),
            (true, _) | (false, NO_KEY) if encryption_key == NO_KEY => {}
            // Encryptions can not be saved, so none needs a key.
            _ => return Err(Error::KeyNotNeeded),
        }
        // Held from here: a logout that comes between ends what is restored.
        let mut activity = lock(&session.activity);
        let resumed = saved.iter().map(|saved| self.resume(session, saved, authentication_key));
        let operations = resumed.collect::<Result<Vec<_>>>()?;
        activity.end(|kind| !matches!(kind, Kind::Unwrap | Kind::Derive | Kind::Decapsulate));
        operations.into_iter().for_each(|operation| activity.begin(operation));
        Ok(())
    }

    fn resume(&self, session: &Session, saved: &Saved<'_>, key: ObjectHandle) -> Result<Operation> {
        let key = if saved.source.key.is_some() { key } else { NO_KEY };
        let mechanism = self.mechanism(saved.source.mechanism)?;
        let mut operation = self
            .operation(session, saved.kind, mechanism, Params::NONE, key)
            .map_err(|error| match error {
                Error::KeyHandleInvalid => error,
                _ if saved.source.key.is_some() => Error::KeyChanged,
                _ => error,
            })?;
        if operation.source != Some(saved.source) {
            return Err(Error::KeyChanged);
        }
        operation.resume(saved.state, saved.updated)?;
        operation.private |= saved.private;
        if operation.private && !session.token.is(Role::User) {
            return Err(Error::UserNotLoggedIn);
        }
        Ok(operation)
    }
}

const NO_KEY: ObjectHandle = ObjectHandle(0);

/// Adds an operation to a state; nothing if it can not be saved.
fn encode(operation: &Operation, all: &mut Bytes) -> Option<()> {
    let (number, _) = KINDS.iter().find(|(_, kind)| *kind == operation.kind())?;
    let source = operation.source?;
    let state = operation.state()?;
    let len = u32::try_from(state.len()).ok()?;
    let flags = [source.key.is_some(), operation.updated(), operation.private].map(u8::from);
    let parts: [&[u8]; 6] = [
        &[*number],
        &flags,
        &source.mechanism.0.to_be_bytes(),
        source.key.as_ref().map_or(&[], ObjectId::as_slice),
        &len.to_be_bytes(),
        &state,
    ];
    // Reserved first: a vector that grows leaves a copy behind.
    let mut grown = Bytes::new(Vec::with_capacity(
        all.len() + parts.iter().map(|part| part.len()).sum::<usize>(),
    ));
    grown.extend_from_slice(all);
    parts.iter().for_each(|part| grown.extend_from_slice(part));
    *all = grown;
    Some(())
}

/// Reads the next operation of a state.
fn decode<'state>(rest: &mut &'state [u8]) -> Option<Saved<'state>> {
    let [number] = take(rest)?;
    let (_, kind) = *KINDS.iter().find(|(known, _)| *known == number)?;
    let [keyed, updated, private] = take(rest)?.map(|flag| flag != 0);
    let mechanism = MechanismType(u64::from_be_bytes(take(rest)?));
    let key = if keyed { Some(take(rest)?) } else { None };
    let len = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
    let (state, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Saved { kind, source: Source { mechanism, key }, updated, private, state })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
