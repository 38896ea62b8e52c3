//! Operations: those that are held here, and what goes to the token for them.

use std::collections::VecDeque;
use std::sync::Arc;

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, MechanismCall, ObjectHandle, Output, Result, SessionHandle};

use super::alike::alike;
use super::answers::{NEEDS, carry_started, done, failure, read_output, room, succeed, written};
use super::changes::Reach;
use super::hashing::Hashing;
use super::{Carrier, Place, Trips};
use crate::conduct::{DECRYPT_UPDATE, ENCRYPT_UPDATE, Role, SIGN_INIT, VERIFY_INIT};
use crate::remote::Request;
use crate::serve::FACTS;
use crate::wire::{Reader, Wire};
use crate::{Facts, Operation};

/// How many starts a session remembers: what is older is asked for again.
const MOST_KNOWN: usize = 16;

/// The operations of one session.
#[derive(Default)]
pub(super) struct Operations {
    /// By the index of the operation.
    pub(super) states: [State; Operation::ALL.len()],
    known: VecDeque<Known>,
}

/// Where an operation is.
#[derive(Default)]
pub(super) enum State {
    /// Nowhere.
    #[default]
    None,
    /// At the token, or nobody knows.
    There,
    /// Here; the token has not heard of it.
    Held(Start),
    /// A signature or a verification whose data is hashed here.
    Hashing(Hashing),
}

/// How an operation starts.
pub(super) struct Start {
    pub(super) request: Request,
    pub(super) key: Key,
    pub(super) facts: Facts,
}

/// The key of an operation; of a digest the handle that stands for nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) handle: ObjectHandle,
    /// Whether it is an object of some session, which ends with that.
    pub(super) passing: bool,
}

/// A start that succeeded.
pub(super) struct Known {
    like: Bytes,
    key: Key,
    facts: Facts,
    turn: u64,
}

/// What becomes of a call.
pub(super) enum Here {
    /// Its answer is known.
    Answer(Bytes),
    /// This is to be asked, behind the start that has been held.
    Ask(Option<Request>, Request),
    /// These are to be asked, and in one frame: half of them would be the start of something else.
    AskTogether(Vec<Request>),
}

impl Trips {
    /// `C_SignInit` and its like.
    pub(super) fn start(
        &self,
        session: SessionHandle,
        operation: Operation,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some((like, handle)) = alike(operation, &request)? else {
            return self.end(session, operation, request, carrier);
        };
        let (turn, changes) = (carrier.turn(), self.changes.now());
        let Some(place) = self.find(session) else { return carrier.carry(&mut [request]) };
        {
            let desk = &mut *place.desk();
            desk.search.drop_what_is_old(carrier);
            let desk = &mut desk.operations;
            let known = desk.known.iter().find(|known| known.turn == turn && known.like == like);
            let state = desk.states.get_mut(operation.index()).ok_or(Error::GeneralError)?;
            if let (State::None, Some(Known { key, facts, .. })) = (&state, known) {
                *state = State::Held(Start { request, key: *key, facts: facts.clone() });
                carrier.used(handle);
                return Ok(written(&()));
            }
            state.begin(session, carrier);
        }
        let ask = Request::new(FACTS).with(&session).with(&operation);
        let both = &mut [request, ask];
        let answer = match (carrier.carry(both), both) {
            // Too much at once: nobody asks what may be known of it, and so does nobody the next time.
            (Err(Error::DataLenRange), [request, _]) => {
                let answer = carrier.carry(std::slice::from_mut(request))?;
                let began = done(&answer);
                if began || failure(&answer) == Some(Error::OperationActive) {
                    let unknown = |state: &State| began || matches!(state, State::None);
                    self.now(session, operation, unknown, State::There);
                }
                return Ok(answer);
            }
            (answer, _) => answer?,
        };
        let list = OnceCell::new();
        let mut facts = match Result::<Facts>::take(&mut Reader::new(&answer, &list)) {
            Ok(Ok(facts)) => facts,
            Ok(Err(Error::OperationActive)) => {
                self.now(session, operation, |state| matches!(state, State::None), State::There);
                return Ok(answer);
            }
            _ => return Ok(answer),
        };
        if let Some(name) = facts.name.take() {
            carrier.learn(session, handle, name, turn);
        }
        let key = Key { handle, passing: facts.passing };
        if key.passing {
            self.note_passing();
        }
        let desk = &mut place.desk().operations;
        if let Some(state) = desk.states.get_mut(operation.index()) {
            *state = State::There;
        }
        if facts.again && self.changes.none_since(changes) {
            desk.known.retain(|known| known.like != like);
            desk.known.truncate(MOST_KNOWN - 1);
            desk.known.push_front(Known { like, key, facts, turn });
        }
        Ok(written(&()))
    }

    /// `C_SignInit` and its like without a mechanism.
    fn end(
        &self,
        session: SessionHandle,
        operation: Operation,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        self.settle(session, carrier);
        let answer = carrier.carry(&mut [request])?;
        if done(&answer) {
            self.now(session, operation, |_| true, State::None);
        }
        Ok(answer)
    }

    /// `C_Sign`, `C_SignUpdate`, `C_SignFinal` and their like.
    pub(super) fn go_on(
        &self,
        session: SessionHandle,
        operation: Operation,
        role: Role,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some(place) = self.find(session) else {
            return carrier.carry(&mut [request]);
        };
        let (key, here) = {
            let states = &mut place.desk().operations.states;
            let state = states.get_mut(operation.index()).ok_or(Error::GeneralError)?;
            (state.key(), self.here(state, role, session, request))
        };
        let answer = match here {
            Here::Answer(answer) => return Ok(answer),
            Here::Ask(start, call) => carry_started(start, call, carrier),
            Here::AskTogether(mut requests) => carrier.carry(&mut requests),
        }?;
        if let Some(key) = key
            && !done(&answer)
        {
            // It may be the start that failed, so the next is asked for again.
            place.desk().operations.known.retain(|known| known.key != key);
        }
        // Whether a part that fails ends its operation depends on how; too little room never does.
        if !matches!(role, Role::Part(_)) && !answer.starts_with(NEEDS) {
            self.now(session, operation, |state| matches!(state, State::There), State::None);
        }
        Ok(answer)
    }

    /// What can be answered here, and what has to be asked.
    fn here(&self, state: &mut State, role: Role, session: SessionHandle, call: Request) -> Here {
        if let State::Held(Start { facts, .. }) = state {
            if let Some(len) = facts.output_len
                && room(role, &call).is_some_and(|room| !room.fits(len))
            {
                return Here::Answer(written(&Output::Needs(len)));
            }
            if let Some(hash) = facts.hash
                && let Some(hasher) = (self.hashers)(hash)
                && let Role::Whole(operation) | Role::Part(operation) | Role::Last(operation) = role
                && let Some(start) = state.take_start()
            {
                let hashing = Hashing::new(operation, start, hasher);
                return hashing.first(state, role, session, call);
            }
        }
        match state {
            State::None | State::There => Here::Ask(None, call),
            State::Held(_) => Here::Ask(state.take_start().map(|start| start.request), call),
            State::Hashing(_) => match std::mem::replace(state, State::There) {
                State::Hashing(hashing) => hashing.next(state, role, session, call),
                _ => Here::Ask(None, call),
            },
        }
    }

    /// `C_SignEncryptUpdate` and `C_DecryptVerifyUpdate`.
    pub(super) fn dual(
        &self,
        session: SessionHandle,
        operation: Operation,
        mut request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        self.settle(session, carrier);
        let hashes_here = |place: &Arc<Place>| place.desk().operations.hashes_here(operation);
        let Some(place) = self.find(session).filter(hashes_here) else {
            return carrier.carry(&mut [request]);
        };
        // Too much has been hashed here to be sent: the token has the cipher, and the rest is done here.
        let signs = operation == Operation::Sign;
        request.rename(if signs { ENCRYPT_UPDATE } else { DECRYPT_UPDATE });
        let answer = carrier.carry(std::slice::from_mut(&mut request))?;
        let (list, output) = (OnceCell::new(), read_output(&answer));
        let clear = match &output {
            Some(Output::Bytes(_)) if signs => {
                request.arguments::<(SessionHandle, &[u8])>(&list).map(|(_, part)| part)
            }
            Some(Output::Bytes(part)) => Some(part.as_slice()),
            _ => None,
        };
        let absorbed = match (place.desk().operations.states.get_mut(operation.index()), clear) {
            (Some(State::Hashing(hashing)), Some(part)) => hashing.add(part),
            _ => Ok(()),
        };
        // Without a cipher neither takes the part, and the other goes on.
        let no_cipher = failure(&answer) == Some(Error::OperationNotInitialized);
        if !(done(&answer) || no_cipher) || absorbed.is_err() {
            // One that fails ends both, here too if the token can not be told.
            self.now(session, operation, |_| true, State::There);
            let nothing = (None::<MechanismCall>, ObjectHandle(0));
            let init = if signs { SIGN_INIT } else { VERIFY_INIT };
            let end = Request::new(init).with(&session).with(&nothing);
            let _ = self.end(session, operation, end, carrier);
        }
        absorbed.map(|()| answer)
    }

    /// Says where an operation is now, if it was somewhere that `from` knows.
    pub(super) fn now(
        &self,
        session: SessionHandle,
        operation: Operation,
        from: impl Fn(&State) -> bool,
        to: State,
    ) {
        let Some(place) = self.find(session) else { return };
        let states = &mut place.desk().operations.states;
        if let Some(state) = states.get_mut(operation.index())
            && from(state)
        {
            *state = to;
        }
    }
}

impl Operations {
    /// Whether the token can not be told all the data of an operation.
    pub(super) fn hashes_here(&self, operation: Operation) -> bool {
        matches!(self.states.get(operation.index()), Some(State::Hashing(_)))
    }

    /// The same of any of them.
    pub(super) fn any_hashes_here(&self) -> bool {
        Operation::ALL.into_iter().any(|operation| self.hashes_here(operation))
    }

    /// Forgets how those started that a change concerns, and has begin at the token what is held of them.
    pub(super) fn forget(&mut self, reach: Reach, session: SessionHandle, carrier: &dyn Carrier) {
        self.known.retain(|known| !reach.concerns(known.key));
        for state in &mut self.states {
            if state.key().is_some_and(|key| reach.concerns(key)) {
                state.begin(session, carrier);
            }
        }
    }
}

impl State {
    /// The key that it would start with.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::None | Self::There => None,
            Self::Held(start) => Some(start.key),
            Self::Hashing(hashing) => Some(hashing.key),
        }
    }

    /// How it starts, if it is held; it is at the token then.
    fn take_start(&mut self) -> Option<Start> {
        match std::mem::replace(self, Self::There) {
            Self::Held(start) => Some(start),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Has it begin at the token, if it has not yet. One that is refused there is over, as the next
    /// call for it will hear.
    pub(super) fn begin(&mut self, session: SessionHandle, carrier: &dyn Carrier) {
        if let Some(start) = self.take_start() {
            if !succeed(&mut [start.request], carrier) {
                *self = Self::None;
            }
            return;
        }
        let Self::Hashing(hashing) = self else { return };
        let Some(start) = hashing.start.take() else { return };
        let data = hashing.copy.take();
        let all_there = data.is_some();
        let then = match data {
            Some(data) => Request::new(hashing.update()).with(&session).with(&data),
            None => hashing.elsewhere(session),
        };
        match succeed(&mut [start, then], carrier) {
            true if all_there => *self = Self::There,
            true => {}
            false => *self = Self::None,
        }
    }
}
