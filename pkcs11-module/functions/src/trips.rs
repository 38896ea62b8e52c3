//! What saves round trips: an operation that starts as one did before goes to the token together
//! with its data.
//!
//! The first time that a session starts an operation with a mechanism and a key, the token is asked,
//! and tells what a caller may know of it ([`Facts`]). The next time the answer is known, unless
//! this application has changed something since that decides it (logins, attributes, objects). So the
//! start is *held*, and goes ahead of the next call for the operation, in one frame with it. The token
//! checks everything all the same; what it refuses (only another process can have changed it) is
//! answered by that call.
//!
//! A held signature or verification whose mechanism hashes first has its data hashed here, and only
//! the digest travels. As long as the data is short a copy is kept, for calls that need all of it at the token.
//!
//! Searches have [a file of their own](crate::searching).
//!
//! Whatever could tell a held operation from one that the token has begun makes it begin there first:
//! a second start, a logout, the destruction of the key. Locks, outermost first: the map of desks, one
//! desk. A desk is locked while its held operations are made to begin, so that none of the session's
//! calls overtakes that; the map never is while the token is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use core::cell::OnceCell;

use strongroom_types::{
    Bytes, Error, MechanismCall, MechanismType, ObjectHandle, Output, Param, Params, Result, Room,
    SessionHandle, SlotId, ck,
};

use crate::remote::Request;
use crate::revival::OPEN_SESSION;
use crate::searching::{ATTRIBUTES, Search};
use crate::serve::{FACTS, HASH_ELSEWHERE, SIGN_DIGEST, VERIFY_DIGEST, refusal};
use crate::wire::{Reader, Wire, Writer};
use crate::{Facts, Operation};

/// How many starts a session remembers: what is older is asked for again.
const MOST_KNOWN: usize = 16;

/// How much data of a signature that is hashed here is kept, for calls that want it at the token.
const MOST_KEPT: usize = 16 << 10;

/// What a row of the table has to do with the operations of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It starts one, or ends it.
    Start(Operation),
    /// It is all of one, from the data to the outcome.
    Whole(Operation),
    /// It is a part of one.
    Part(Operation),
    /// It is the end of one.
    Last(Operation),
    /// It takes a part of two at once, this one and a cipher.
    Dual(Operation),
    /// It touches any of the session's.
    Session,
    /// It may change which operations can start with an object, in any session.
    Object,
    /// It may change which operations can start, in any session.
    Everything,
    /// It is a step of a search.
    Search(Step),
    /// It reads attributes.
    Attributes,
    /// It opens a session.
    Open,
    /// It ends the session, and its objects.
    Close,
}

/// A step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Next,
    End,
}

/// The rows that have a role.
const ROLES: &[(u16, Role)] = &[
    (8, Role::Everything),
    (OPEN_SESSION, Role::Open),
    (12, Role::Close),
    (CLOSE_ALL_SESSIONS, Role::Everything),
    (15, Role::Everything),
    (16, Role::Everything),
    (19, Role::Object),
    (ATTRIBUTES, Role::Attributes),
    (22, Role::Object),
    (23, Role::Search(Step::Start)),
    (24, Role::Search(Step::Next)),
    (25, Role::Search(Step::End)),
    (26, Role::Start(Operation::Encrypt)),
    (27, Role::Whole(Operation::Encrypt)),
    (ENCRYPT_UPDATE, Role::Part(Operation::Encrypt)),
    (29, Role::Last(Operation::Encrypt)),
    (30, Role::Start(Operation::Decrypt)),
    (31, Role::Whole(Operation::Decrypt)),
    (DECRYPT_UPDATE, Role::Part(Operation::Decrypt)),
    (33, Role::Last(Operation::Decrypt)),
    (34, Role::Start(Operation::Digest)),
    (35, Role::Whole(Operation::Digest)),
    (36, Role::Part(Operation::Digest)),
    (37, Role::Part(Operation::Digest)),
    (38, Role::Last(Operation::Digest)),
    (SIGN_INIT, Role::Start(Operation::Sign)),
    (40, Role::Whole(Operation::Sign)),
    (SIGN_UPDATE, Role::Part(Operation::Sign)),
    (42, Role::Last(Operation::Sign)),
    (VERIFY_INIT, Role::Start(Operation::Verify)),
    (44, Role::Whole(Operation::Verify)),
    (VERIFY_UPDATE, Role::Part(Operation::Verify)),
    (46, Role::Last(Operation::Verify)),
    (60, Role::Everything),
    (SESSION_CANCEL, Role::Session),
    (71, Role::Session),
    (72, Role::Session),
    (73, Role::Dual(Operation::Sign)),
    (74, Role::Dual(Operation::Verify)),
    (OPERATION_STATE, Role::Session),
    (SET_OPERATION_STATE, Role::Session),
];

const CLOSE_ALL_SESSIONS: u16 = 13;
const ENCRYPT_UPDATE: u16 = 28;
const DECRYPT_UPDATE: u16 = 32;
const SIGN_INIT: u16 = 39;
const SIGN_UPDATE: u16 = 41;
const VERIFY_INIT: u16 = 43;
const VERIFY_UPDATE: u16 = 45;
const SESSION_CANCEL: u16 = 61;
const OPERATION_STATE: u16 = 75;
const SET_OPERATION_STATE: u16 = 76;

fn role(number: u16) -> Option<Role> {
    let row = ROLES.binary_search_by_key(&number, |(row, _)| *row).ok()?;
    ROLES.get(row).map(|(_, role)| *role)
}

/// A hash function under way.
pub trait Hasher: Send {
    /// Adds a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the library that computes it.
    fn update(&mut self, part: &[u8]) -> Result<()>;

    /// The digest.
    ///
    /// # Errors
    ///
    /// Those of the library that computes it.
    fn finish(self: Box<Self>) -> Result<Bytes>;
}

/// Starts the hash function of a digest mechanism; nothing where it can not be computed.
pub type Hashers = fn(MechanismType) -> Option<Box<dyn Hasher>>;

/// Has requests answered in one round trip, one after the other until one fails; the answer is that
/// of the last.
pub(crate) trait Carrier {
    /// The turn of the application that they go to.
    fn turn(&self) -> u64;
    /// Takes note of a name by which an object is found again in a later turn.
    fn learn(&self, session: SessionHandle, object: ObjectHandle, name: Bytes, turn: u64);
    /// Takes note that an object is used without anybody being asked, who would tell its name.
    fn used(&self, object: ObjectHandle);
    /// Has them answered.
    fn carry(&self, requests: &mut [Request]) -> Result<Bytes>;
}

/// The operations of all sessions, as far as they concern round trips.
pub(crate) struct Trips {
    /// Of the sessions that are open, as far as anybody here knows.
    desks: RwLock<HashMap<u64, Place>>,
    /// How often something began or ended that may change what is known.
    changes: AtomicU64,
    /// Whether a key has been used that goes with its session.
    any_passing: AtomicBool,
    hashers: Hashers,
}

/// The desk of a session, and the slot that it is open at.
type Place = (SlotId, Arc<Mutex<Desk>>);

/// The operations of one session.
#[derive(Default)]
struct Desk {
    /// By the index of the operation.
    states: [State; Operation::ALL.len()],
    known: VecDeque<Known>,
    search: Search,
}

/// Where an operation is.
#[derive(Default)]
enum State {
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
struct Start {
    request: Request,
    key: Key,
    facts: Facts,
}

/// The key of an operation; of a digest the handle that stands for nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    handle: ObjectHandle,
    /// Whether it is an object of some session, which ends with that.
    passing: bool,
}

/// What may change with a call.
#[derive(Clone, Copy)]
enum Reach {
    /// All keys, and who may use them.
    All,
    /// One object.
    One(ObjectHandle),
    /// The objects of a session.
    Passing,
}

impl Reach {
    fn concerns(self, key: Key) -> bool {
        match self {
            Self::All => true,
            Self::One(object) => key.handle == object,
            Self::Passing => key.passing,
        }
    }
}

/// A signature or a verification whose data is hashed here.
struct Hashing {
    operation: Operation,
    /// How it starts, until it has been started at the token.
    start: Option<Request>,
    key: Key,
    /// How much room it needs for its output; a verification has none.
    output_len: usize,
    hasher: Box<dyn Hasher>,
    /// All the data, while it is short.
    copy: Option<Bytes>,
}

/// A start that succeeded.
struct Known {
    like: Bytes,
    key: Key,
    facts: Facts,
    turn: u64,
}

/// What becomes of a call.
enum Here {
    /// Its answer is known.
    Answer(Bytes),
    /// These are to be asked.
    Ask(Vec<Request>),
}

impl Trips {
    pub(crate) fn new(hashers: Hashers) -> Self {
        let (changes, any_passing) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { desks: RwLock::default(), changes, any_passing, hashers }
    }

    /// Has a request answered, in as few round trips as it takes.
    pub(crate) fn call(&self, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        let session = request.session();
        let answer = match (role(request.number), session) {
            (None, _) => carrier.carry(&mut [request]),
            (Some(role), Some(session)) => self.in_session(session, role, request, carrier),
            (Some(Role::Open), None) => self.open(request, carrier),
            (Some(_), None) => self.change(Reach::All, request, carrier),
        }?;
        if let Some(session) = session
            && failure(&answer) == Some(Error::SessionHandleInvalid)
        {
            write(&self.desks).remove(&session.0);
        }
        Ok(answer)
    }

    fn in_session(
        &self,
        session: SessionHandle,
        role: Role,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        match role {
            Role::Start(operation) => self.start(session, operation, request, carrier),
            Role::Whole(operation) | Role::Part(operation) | Role::Last(operation) => {
                self.go_on(session, operation, role, request, carrier)
            }
            Role::Dual(operation) => self.dual(session, operation, request, carrier),
            Role::Session => self.touch(session, request, carrier),
            Role::Object => {
                let list = OnceCell::new();
                let object = request.arguments(&list).map(|(SessionHandle(_), object)| object);
                self.change(object.map_or(Reach::All, Reach::One), request, carrier)
            }
            Role::Search(step) => self.search(session, step, request, carrier),
            Role::Attributes => {
                let turn = carrier.turn();
                let desk = self.find(session);
                let told = desk.and_then(|desk| lock(&desk).search.attributes(&request, turn));
                told.map_or_else(|| carrier.carry(&mut [request]), Ok)
            }
            Role::Everything | Role::Open => self.change(Reach::All, request, carrier),
            Role::Close => {
                let answer = match self.any_passing.load(Ordering::Relaxed) {
                    true => self.change(Reach::Passing, request, carrier)?,
                    false => carrier.carry(&mut [request])?,
                };
                if done(&answer) {
                    write(&self.desks).remove(&session.0);
                }
                Ok(answer)
            }
        }
    }

    /// `C_OpenSession`.
    fn open(&self, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        let list = OnceCell::new();
        let slot = request.arguments(&list);
        let answer = carrier.carry(&mut [request])?;
        let list = OnceCell::new();
        let opened = Result::<SessionHandle>::take(&mut Reader::new(&answer, &list));
        if let (Ok(Ok(session)), Some(slot)) = (opened, slot) {
            write(&self.desks).insert(session.0, (slot, Arc::default()));
        }
        Ok(answer)
    }

    /// `C_FindObjectsInit`, `C_FindObjects` and `C_FindObjectsFinal`.
    fn search(
        &self,
        session: SessionHandle,
        step: Step,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some(desk) = self.find(session) else { return carrier.carry(&mut [request]) };
        let search = &mut lock(&desk).search;
        let answer = match step {
            Step::Start => search.start(request, carrier),
            Step::Next => search.go_on(session, request, carrier),
            Step::End => search.end(request, carrier),
        };
        if search.any_passing() {
            self.any_passing.store(true, Ordering::SeqCst);
        }
        answer
    }

    /// `C_SignInit` and its like.
    fn start(
        &self,
        session: SessionHandle,
        operation: Operation,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some((like, handle)) = alike(operation, &request) else {
            return self.end(session, operation, request, carrier);
        };
        let (turn, changes) = (carrier.turn(), self.changes.load(Ordering::SeqCst));
        let Some(desk) = self.find(session) else { return carrier.carry(&mut [request]) };
        {
            let desk = &mut *lock(&desk);
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
        let answer = carrier.carry(&mut [request, ask])?;
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
            self.any_passing.store(true, Ordering::SeqCst);
        }
        let mut desk = lock(&desk);
        if let Some(state) = desk.states.get_mut(operation.index()) {
            *state = State::There;
        }
        if facts.again && self.changes.load(Ordering::SeqCst) == changes {
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
    fn go_on(
        &self,
        session: SessionHandle,
        operation: Operation,
        role: Role,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some(desk) = self.find(session) else {
            return carrier.carry(&mut [request]);
        };
        let (key, here) = {
            let mut desk = lock(&desk);
            let state = desk.states.get_mut(operation.index()).ok_or(Error::GeneralError)?;
            (state.key(), self.here(state, role, session, request))
        };
        let mut requests = match here {
            Here::Answer(answer) => return Ok(answer),
            Here::Ask(requests) => requests,
        };
        let answer = carrier.carry(&mut requests)?;
        if let Some(key) = key
            && !done(&answer)
        {
            // It may be the start that failed, so the next is asked for again.
            lock(&desk).known.retain(|known| known.key != key);
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
            State::None | State::There => Here::Ask(vec![call]),
            State::Held(_) => {
                let start = state.take_start().map(|start| start.request);
                Here::Ask(start.into_iter().chain([call]).collect())
            }
            State::Hashing(_) => match std::mem::replace(state, State::There) {
                State::Hashing(hashing) => hashing.next(state, role, session, call),
                _ => Here::Ask(vec![call]),
            },
        }
    }

    /// `C_SignEncryptUpdate` and `C_DecryptVerifyUpdate`.
    fn dual(
        &self,
        session: SessionHandle,
        operation: Operation,
        mut request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        self.settle(session, carrier);
        let Some(desk) = self.find(session).filter(|desk| lock(desk).hashes_here(operation)) else {
            return carrier.carry(&mut [request]);
        };
        // Too much has been hashed here to be sent: the token has the cipher, and the rest is done here.
        let signs = operation == Operation::Sign;
        request.rename(if signs { ENCRYPT_UPDATE } else { DECRYPT_UPDATE });
        let answer = carrier.carry(std::slice::from_mut(&mut request))?;
        let list = OnceCell::new();
        let clear = match read_output(&answer) {
            Some(Output::Bytes(_)) if signs => request
                .arguments::<(SessionHandle, &[u8])>(&list)
                .map(|(_, part)| Bytes::new(part.to_vec())),
            Some(Output::Bytes(part)) => Some(part),
            _ => None,
        };
        let absorbed = match (lock(&desk).states.get_mut(operation.index()), &clear) {
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

    /// What may touch any operation of a session.
    fn touch(
        &self,
        session: SessionHandle,
        mut request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        self.settle(session, carrier);
        let Some(desk) = self.find(session) else {
            return carrier.carry(&mut [request]);
        };
        let hashes_here =
            |desk: &Desk| Operation::ALL.into_iter().any(|operation| desk.hashes_here(operation));
        if request.number == OPERATION_STATE && hashes_here(&lock(&desk)) {
            return Ok(refusal(Error::StateUnsaveable));
        }
        let answer = carrier.carry(std::slice::from_mut(&mut request))?;
        let touched = match request.number {
            SET_OPERATION_STATE => u64::MAX,
            SESSION_CANCEL => {
                let list = OnceCell::new();
                request.arguments(&list).map_or(u64::MAX, |(SessionHandle(_), flags)| flags)
            }
            _ => 0,
        };
        if done(&answer) {
            let desk = &mut *lock(&desk);
            if request.number == SESSION_CANCEL && touched & ck!(CKF_FIND_OBJECTS) != 0 {
                desk.search.cancelled();
            }
            for operation in Operation::ALL.into_iter().filter(|of| of.flag() & touched != 0) {
                // Whether it is there is not looked into: that it may be is always true.
                if let Some(state) = desk.states.get_mut(operation.index()) {
                    *state = State::There;
                }
            }
        }
        Ok(answer)
    }

    /// What may change which operations can start.
    fn change(&self, reach: Reach, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        self.forget(reach, carrier);
        let list = OnceCell::new();
        let closes = (request.number == CLOSE_ALL_SESSIONS).then(|| request.arguments(&list));
        let answer = carrier.carry(&mut [request]);
        // Once more, for what was learnt meanwhile.
        self.forget(reach, carrier);
        if matches!(reach, Reach::All) {
            self.look_again(carrier);
        }
        if let Some(Some(closed)) = closes
            && answer.as_ref().is_ok_and(|answer| done(answer))
        {
            write(&self.desks).retain(|_, (slot, _)| *slot != closed);
        }
        answer
    }

    /// Forgets what may no longer be so, and has begin at the token what is held of it.
    fn forget(&self, reach: Reach, carrier: &dyn Carrier) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for (session, desk) in self.all() {
            let mut desk = lock(&desk);
            desk.known.retain(|known| !reach.concerns(known.key));
            if matches!(reach, Reach::All) {
                desk.search.begin(carrier);
            }
            desk.search.doubt();
            for state in &mut desk.states {
                if state.key().is_some_and(|key| reach.concerns(key)) {
                    state.begin(session, carrier);
                }
            }
        }
    }

    /// Looks whether the signatures that are hashed here, but have begun at the token, are still there:
    /// a logout ends them.
    fn look_again(&self, carrier: &dyn Carrier) {
        for (session, desk) in self.all() {
            let mut desk = lock(&desk);
            for operation in Operation::ALL {
                let Some(state) = desk.states.get_mut(operation.index()) else { continue };
                // Of one that starts with its digest the token has not heard.
                if matches!(state, State::Hashing(Hashing { start: None, .. }))
                    && is_there(session, operation, carrier) == Some(false)
                {
                    *state = State::There;
                }
            }
        }
    }

    fn all(&self) -> Vec<(SessionHandle, Arc<Mutex<Desk>>)> {
        let desks = read(&self.desks);
        desks.iter().map(|(of, (_, desk))| (SessionHandle(*of), Arc::clone(desk))).collect()
    }

    /// Has the held operations of a session begin at the token.
    fn settle(&self, session: SessionHandle, carrier: &dyn Carrier) {
        if let Some(desk) = self.find(session) {
            lock(&desk).states.iter_mut().for_each(|state| state.begin(session, carrier));
        }
    }

    /// Says where an operation is now, if it was somewhere that `from` knows.
    fn now(
        &self,
        session: SessionHandle,
        operation: Operation,
        from: impl Fn(&State) -> bool,
        to: State,
    ) {
        let Some(desk) = self.find(session) else { return };
        if let Some(state) = lock(&desk).states.get_mut(operation.index())
            && from(state)
        {
            *state = to;
        }
    }

    fn find(&self, session: SessionHandle) -> Option<Arc<Mutex<Desk>>> {
        read(&self.desks).get(&session.0).map(|(_, desk)| Arc::clone(desk))
    }
}

impl Desk {
    /// Whether the token can not be told all the data of an operation.
    fn hashes_here(&self, operation: Operation) -> bool {
        matches!(self.states.get(operation.index()), Some(State::Hashing(_)))
    }
}

impl State {
    /// The key that it would start with.
    fn key(&self) -> Option<Key> {
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
    fn begin(&mut self, session: SessionHandle, carrier: &dyn Carrier) {
        if let Some(start) = self.take_start() {
            if !carry(&mut [start.request], carrier) {
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
        match carry(&mut [start, then], carrier) {
            true if all_there => *self = Self::There,
            true => {}
            false => *self = Self::None,
        }
    }
}

impl Hashing {
    fn new(operation: Operation, start: Start, hasher: Box<dyn Hasher>) -> Self {
        let Start { request, key, facts } = start;
        let output_len = facts.output_len.unwrap_or_default();
        let (start, copy) = (Some(request), Some(Bytes::default()));
        Self { operation, start, key, output_len, hasher, copy }
    }

    /// The function that adds a part at the token.
    fn update(&self) -> u16 {
        match self.operation {
            Operation::Verify => VERIFY_UPDATE,
            _ => SIGN_UPDATE,
        }
    }

    /// Says to the token that it gets the digest only: whatever becomes of that, it will not take what
    /// comes later for all the data.
    fn elsewhere(&self, session: SessionHandle) -> Request {
        Request::new(HASH_ELSEWHERE).with(&session).with(&self.operation)
    }

    /// The first call for the signature.
    fn first(
        mut self,
        state: &mut State,
        role: Role,
        session: SessionHandle,
        call: Request,
    ) -> Here {
        if !matches!(role, Role::Whole(_)) {
            return self.next(state, role, session, call);
        }
        let list = OnceCell::new();
        let Some((_, data)) = call.arguments::<(SessionHandle, &[u8])>(&list) else {
            return self.hand_on(call);
        };
        match self.hasher.update(data) {
            Ok(()) => self.last(state, role, session, call),
            Err(error) => Here::Answer(refusal(error)),
        }
    }

    /// A later call. The state is that of an operation which the token knows, unless it goes on here.
    fn next(
        mut self,
        state: &mut State,
        role: Role,
        session: SessionHandle,
        call: Request,
    ) -> Here {
        let list = OnceCell::new();
        match role {
            Role::Part(_) => {
                let arguments = call.arguments::<(SessionHandle, &[u8])>(&list);
                let Some((_, part)) = arguments else { return self.hand_on(call) };
                let answer = match self.add(part) {
                    Ok(()) => written(&()),
                    Err(error) => refusal(error),
                };
                if done(&answer) {
                    *state = State::Hashing(self);
                }
                Here::Answer(answer)
            }
            Role::Last(_) => match room(role, &call) {
                Some(room) if !room.fits(self.output_len) => {
                    let needs = Output::Needs(self.output_len);
                    *state = State::Hashing(self);
                    Here::Answer(written(&needs))
                }
                _ => self.last(state, role, session, call),
            },
            _ => self.hand_on(call),
        }
    }

    /// A single part that comes after others. The token says what that is, and ends the operation.
    fn hand_on(self, call: Request) -> Here {
        let elsewhere = call.session().map(|session| self.elsewhere(session));
        let start = self.start.into_iter().zip(elsewhere).flat_map(<[_; 2]>::from);
        Here::Ask(start.chain([call]).collect())
    }

    /// What has been hashed is signed, or its signature checked.
    fn last(self, state: &mut State, role: Role, session: SessionHandle, call: Request) -> Here {
        *state = State::There;
        let digest = match self.hasher.finish() {
            Ok(digest) => digest,
            Err(error) => return Here::Answer(refusal(error)),
        };
        let list = OnceCell::new();
        let request = match self.operation {
            Operation::Verify => signature(role, &call, &list)
                .map(|to| Request::new(VERIFY_DIGEST).with(&session).with(&digest).with(&to)),
            _ => room(role, &call)
                .map(|room| Request::new(SIGN_DIGEST).with(&session).with(&digest).with(&room)),
        };
        drop(list);
        Here::Ask(self.start.into_iter().chain([request.unwrap_or(call)]).collect())
    }

    fn add(&mut self, part: &[u8]) -> Result<()> {
        self.hasher.update(part)?;
        self.copy = self.copy.take().filter(|copy| copy.len() + part.len() <= MOST_KEPT);
        if let Some(copy) = &mut self.copy {
            // All that it will ever hold, or it would leave a copy of itself behind as it grows.
            let room = MOST_KEPT - copy.len();
            copy.reserve_exact(room);
            copy.extend_from_slice(part);
        }
        Ok(())
    }
}

/// How an answer begins that says how much room is needed.
const NEEDS: &[u8] = &[0, 0];

/// Whether an answer says that the call succeeded.
pub(crate) fn done(answer: &[u8]) -> bool {
    answer.first() == Some(&0)
}

/// Why a call failed.
fn failure(answer: &[u8]) -> Option<Error> {
    let list = OnceCell::new();
    Result::<()>::take(&mut Reader::new(answer, &list)).ok()?.err()
}

/// The output that came of a call.
fn read_output(answer: &[u8]) -> Option<Output> {
    let list = OnceCell::new();
    Result::<Output>::take(&mut Reader::new(answer, &list)).ok()?.ok()
}

/// Whether an operation is under way at the token; nothing if it can not be asked.
fn is_there(session: SessionHandle, operation: Operation, carrier: &dyn Carrier) -> Option<bool> {
    let ask = Request::new(FACTS).with(&session).with(&operation);
    let answer = carrier.carry(&mut [ask]).ok()?;
    let list = OnceCell::new();
    match Result::<Facts>::take(&mut Reader::new(&answer, &list)).ok()? {
        Ok(facts) => Some(facts.again),
        Err(Error::SessionHandleInvalid) => Some(false),
        Err(_) => None,
    }
}

fn carry(requests: &mut [Request], carrier: &dyn Carrier) -> bool {
    carrier.carry(requests).is_ok_and(|answer| done(&answer))
}

/// The answer of a call that succeeded.
pub(crate) fn written<'f>(reply: &impl Wire<'f>) -> Bytes {
    let mut out = Writer::default();
    false.put(&mut out);
    reply.put(&mut out);
    out.finish()
}

/// The room that a call has for its output.
fn room(role: Role, call: &Request) -> Option<Room> {
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
fn signature<'c>(role: Role, call: &'c Request, list: &'c OnceCell<Vec<u64>>) -> Option<&'c [u8]> {
    match role {
        Role::Whole(_) => {
            let arguments = call.arguments::<(SessionHandle, (&[u8], &[u8]))>(list);
            arguments.map(|(_, (_, signature))| signature)
        }
        _ => call.arguments::<(SessionHandle, &[u8])>(list).map(|(_, signature)| signature),
    }
}

/// What two starts have in common if one succeeds where the other does, and the key; nothing for a
/// start without a mechanism. An IV counts by its length: whatever its bytes are, they start alike.
fn alike(operation: Operation, request: &Request) -> Option<(Bytes, ObjectHandle)> {
    let list = OnceCell::new();
    let (call, key) = match operation {
        Operation::Digest => {
            let arguments = request.arguments::<(SessionHandle, Option<MechanismCall>)>(&list);
            (arguments?.1?, ObjectHandle(0))
        }
        _ => {
            type Arguments = (SessionHandle, (Option<MechanismCall>, ObjectHandle));
            let (_, (call, key)) = request.arguments::<Arguments>(&list)?;
            (call?, key)
        }
    };
    let mut like = Writer::default();
    operation.put(&mut like);
    call.mechanism.put(&mut like);
    key.put(&mut like);
    put_alike(&call.params, &mut like);
    Some((like.finish(), key))
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

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(of: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    of.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(of: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    of.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionHandle = SessionHandle(1);

    /// A token that knows of nothing.
    struct Empty;

    impl Carrier for Empty {
        fn turn(&self) -> u64 {
            0
        }

        fn learn(&self, _: SessionHandle, _: ObjectHandle, _: Bytes, _: u64) {}

        fn used(&self, _: ObjectHandle) {}

        fn carry(&self, requests: &mut [Request]) -> Result<Bytes> {
            Ok(match requests.last().map(|request| request.number) {
                Some(OPEN_SESSION) => written(&SESSION),
                Some(FACTS) => written(&Facts::default()),
                _ => refusal(Error::SessionHandleInvalid),
            })
        }
    }

    struct Nothing;

    impl Hasher for Nothing {
        fn update(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<Bytes> {
            Ok(Bytes::default())
        }
    }

    /// One session.
    fn trips() -> Trips {
        let trips = Trips::new(|_| None);
        let open = Request::new(OPEN_SESSION).with(&SlotId(0)).with(&true);
        assert!(done(&trips.call(open, &Empty).unwrap()));
        trips
    }

    #[test]
    fn a_session_that_is_gone_leaves_no_desk() {
        // C_GetSessionInfo, which has nothing to do with operations; and C_Sign.
        for number in [14, 40] {
            let trips = trips();
            assert!(trips.find(SESSION).is_some());
            trips.call(Request::new(number).with(&SESSION), &Empty).unwrap();
            assert!(trips.find(SESSION).is_none());
        }
    }

    #[test]
    fn what_the_token_has_not_heard_of_is_not_missed_there() {
        let trips = trips();
        let hashing = |start| Hashing {
            operation: Operation::Sign,
            start,
            key: Key { handle: ObjectHandle(1), passing: false },
            output_len: 64,
            hasher: Box::new(Nothing),
            copy: None,
        };
        for (start, stays) in [(Some(Request::new(SIGN_INIT)), true), (None, false)] {
            trips.now(SESSION, Operation::Sign, |_| true, State::Hashing(hashing(start)));
            trips.look_again(&Empty);
            let desk = trips.find(SESSION).unwrap();
            assert_eq!(lock(&desk).hashes_here(Operation::Sign), stays);
        }
    }
}
