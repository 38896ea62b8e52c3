//! `C_GetOperationState` and `C_SetOperationState` (5.6.6, 5.6.7): what digests, signatures and ciphers
//! have computed so far, sealed for this process alone.

use std::cell::OnceCell;

use strongroom_functions::wire::{Malformed, Reader, Taken, Wire, Writer};
use strongroom_keystore::{ObjectId, Role};
use strongroom_types::{Bytes, Error, MechanismType, ObjectHandle, Params, Result};

use crate::application::Application;
use crate::operation::{Kind, Operation, Source};
use crate::session::Session;
use crate::sync::lock;

/// The kinds of operations that can be saved, by the number that a state has for them.
const KINDS: &[(u8, Kind)] = &[
    (1, Kind::Digest),
    (2, Kind::Sign),
    (3, Kind::Verify),
    (4, Kind::Encrypt),
    (5, Kind::Decrypt),
];

/// An operation as a state has it.
struct Saved<'state> {
    kind: Kind,
    source: Source,
    updated: bool,
    private: bool,
    state: &'state [u8],
}

impl Saved<'_> {
    /// Which of the two keys is the one it needs, if it needs one.
    fn key(&self, keys: &Keys) -> Option<ObjectHandle> {
        self.source.key.map(|_| match self.kind {
            Kind::Encrypt | Kind::Decrypt => keys.encryption,
            _ => keys.authentication,
        })
    }
}

/// The keys that the caller gives with a state.
struct Keys {
    encryption: ObjectHandle,
    authentication: ObjectHandle,
}

/// A use that waits for its login computes nothing.
fn computes(operation: &&Operation) -> bool {
    !matches!(operation.kind(), Kind::Unwrap | Kind::Derive | Kind::Decapsulate)
}

impl Application {
    /// The state of all operations of a session.
    pub(crate) fn save(&self, session: &Session) -> Result<Bytes> {
        let activity = lock(&session.activity);
        let mut state = Writer::default();
        state.add(session.token.stored.id().as_slice());
        let start = state.bytes().len();
        for operation in activity.operations().iter().filter(computes) {
            encode(operation, &mut state).ok_or(Error::StateUnsaveable)?;
        }
        state.whole()?;
        if state.bytes().len() == start {
            return Err(Error::OperationNotInitialized);
        }
        self.states.seal(state.bytes())
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
        let rest = state.strip_prefix(token.as_slice()).ok_or(Error::SavedStateInvalid)?;
        let no_list = OnceCell::new();
        let saved = decode_all(Reader::new(rest, &no_list));
        let saved = saved.map_err(|Malformed| Error::SavedStateInvalid)?;
        let keys = Keys { encryption: encryption_key, authentication: authentication_key };
        let needs = |ciphers| {
            let mut keyed = saved.iter().filter(|saved| saved.source.key.is_some());
            keyed.any(|saved| ciphers == matches!(saved.kind, Kind::Encrypt | Kind::Decrypt))
        };
        for (needed, key) in [(needs(true), encryption_key), (needs(false), authentication_key)] {
            match (needed, key == NO_KEY) {
                (true, true) => return Err(Error::KeyNeeded),
                (false, false) => return Err(Error::KeyNotNeeded),
                _ => {}
            }
        }
        // Held from here: a logout that comes between ends what is restored.
        let mut activity = lock(&session.activity);
        let resumed = saved.iter().map(|saved| self.resume(session, saved, &keys));
        let operations = resumed.collect::<Result<Vec<_>>>()?;
        activity.end(|kind| !matches!(kind, Kind::Unwrap | Kind::Derive | Kind::Decapsulate));
        operations.into_iter().for_each(|operation| activity.begin(operation));
        Ok(())
    }

    fn resume(&self, session: &Session, saved: &Saved<'_>, keys: &Keys) -> Result<Operation> {
        let key = saved.key(keys);
        let params = saved.source.params.clone();
        let mechanism = self.mechanism(saved.source.mechanism)?;
        let mut operation = self
            .operation(session, saved.kind, mechanism, params, key.unwrap_or(NO_KEY))
            .map_err(|error| match error {
                Error::KeyHandleInvalid => error,
                _ if key.is_some() => Error::KeyChanged,
                _ => error,
            })?;
        if operation.source.as_ref() != Some(&saved.source) {
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
fn encode(operation: &Operation, all: &mut Writer) -> Option<()> {
    let (number, _) = KINDS.iter().find(|(_, kind)| *kind == operation.kind())?;
    let source = operation.source.as_ref()?;
    let state = operation.state()?;
    let flags = [source.key.is_some(), operation.updated(), operation.private].map(u8::from);
    all.add(&[*number]);
    all.add(&flags);
    all.add(&source.mechanism.0.to_be_bytes());
    all.add(source.key.as_ref().map_or(&[], ObjectId::as_slice));
    source.params.put(all);
    all.count(state.len());
    all.add(&state);
    Some(())
}

/// Reads the operations of a state.
fn decode_all(mut from: Reader<'_>) -> Taken<Vec<Saved<'_>>> {
    let mut all = Vec::new();
    while !from.rest().is_empty() {
        all.push(decode(&mut from)?);
    }
    Ok(all)
}

fn decode<'state>(from: &mut Reader<'state>) -> Taken<Saved<'state>> {
    let number = from.byte()?;
    let (_, kind) = *KINDS.iter().find(|(known, _)| *known == number).ok_or(Malformed)?;
    let [keyed, updated, private] = from.array()?.map(|flag: u8| flag != 0);
    let mechanism = MechanismType(u64::from_be_bytes(from.array()?));
    let key = if keyed { Some(from.array()?) } else { None };
    let params = Params::take(from)?;
    let len = from.count(1)?;
    let state = from.bytes(len)?;
    Ok(Saved { kind, source: Source { mechanism, params, key }, updated, private, state })
}
