//! A token that can not be told anything.

use core::cell::{Cell, RefCell};
use std::time::Duration;

use strongroom_types::{Attributes, MechanismCall, MechanismType, ObjectHandle, Params};

use super::answers::written;
use super::hashing::Hashing;
use super::operations::{Key, State};
use super::searching::{MOST_IN_ALL, MOST_TOLD};
use super::*;
use crate::conduct::{ATTRIBUTES, CLOSE_SESSION, OPEN_SESSION, SIGN_INIT};
use crate::serve::{FACTS, FIND, refusal};
use crate::{Description, Facts, Found, Operation};

const SESSION: SessionHandle = SessionHandle(1);

/// The turn of its handles.
const TURN: u64 = 3;

/// A token that opens sessions and knows of nothing but some objects, with a clock that stands still.
struct Empty<'a> {
    clock: Cell<Instant>,
    sessions: Cell<u64>,
    /// How many objects a search finds at once.
    objects: u64,
    /// Whether an operation is there, and the next may be held that starts so.
    again: bool,
    /// How often it was asked.
    asked: Cell<u64>,
    /// What happens while the next session closes.
    meanwhile: RefCell<Option<Box<dyn FnOnce() + 'a>>>,
}

impl Carrier for Empty<'_> {
    fn turn(&self) -> u64 {
        TURN
    }

    fn learn(&self, _: SessionHandle, _: ObjectHandle, _: Bytes, _: u64) {}

    fn used(&self, _: ObjectHandle) {}

    fn now(&self) -> Instant {
        self.clock.get()
    }

    fn carry(&self, requests: &mut [Request]) -> Result<Bytes> {
        self.asked.set(self.asked.get() + 1);
        Ok(match requests.last().map(|request| request.number) {
            Some(OPEN_SESSION) => {
                self.sessions.set(self.sessions.get() + 1);
                written(&SessionHandle(self.sessions.get()))
            }
            Some(CLOSE_SESSION) => {
                let meanwhile = self.meanwhile.take();
                meanwhile.into_iter().for_each(|act| act());
                written(&())
            }
            Some(FACTS) => written(&Facts { again: self.again, passing: true, ..Facts::default() }),
            Some(FIND) => {
                let objects = (1..=self.objects).map(object).collect();
                let of = (0..self.objects).map(|_| Some(Description::default())).collect();
                written(&Found { objects, of, more: false })
            }
            Some(SET_ATTRIBUTES) => written(&()),
            Some(ATTRIBUTES) => refusal(Error::ObjectHandleInvalid),
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

fn empty<'a>(objects: u64) -> Empty<'a> {
    Empty {
        clock: Cell::new(Instant::now()),
        sessions: Cell::default(),
        objects,
        again: false,
        asked: Cell::default(),
        meanwhile: RefCell::default(),
    }
}

/// The handle of an object.
fn object(number: u64) -> ObjectHandle {
    ObjectHandle(TURN << 48 | number)
}

// Functions that are called here alone.
const SET_ATTRIBUTES: u16 = 22;
const FIND_INIT: u16 = 23;
const FIND_NEXT: u16 = 24;
const FIND_FINAL: u16 = 25;

fn open(trips: &Trips, token: &Empty<'_>) {
    let open = Request::new(OPEN_SESSION).with(&SlotId(0)).with(&true);
    assert!(done(&trips.call(open, token).unwrap()));
}

/// One session.
fn trips(token: &Empty<'_>) -> Trips {
    let trips = Trips::new(|_| None);
    open(&trips, token);
    trips
}

fn start_search(trips: &Trips, token: &Empty<'_>, session: SessionHandle) {
    let start = Request::new(FIND_INIT).with(&session).with(&Attributes::default());
    assert!(done(&trips.call(start, token).unwrap()));
}

fn next(trips: &Trips, token: &Empty<'_>, session: SessionHandle, most: usize) -> Bytes {
    trips.call(Request::new(FIND_NEXT).with(&session).with(&most), token).unwrap()
}

/// Searches for all there is.
fn search(trips: &Trips, token: &Empty<'_>, session: SessionHandle) {
    start_search(trips, token, session);
    next(trips, token, session, usize::try_from(token.objects).unwrap());
    assert!(done(&trips.call(Request::new(FIND_FINAL).with(&session), token).unwrap()));
}

/// Of how many objects a session keeps something.
fn kept(trips: &Trips, session: SessionHandle) -> usize {
    trips.find(session).unwrap().desk().search.kept()
}

#[test]
fn what_is_told_no_more_is_not_kept() {
    let token = empty(1);
    let trips = trips(&token);
    search(&trips, &token, SESSION);
    start_search(&trips, &token, SESSION);
    assert_eq!(kept(&trips, SESSION), 1);
    token.clock.set(token.now() + Duration::from_secs(2));
    trips.call(Request::new(FIND_FINAL).with(&SESSION), &token).unwrap();
    start_search(&trips, &token, SESSION);
    assert_eq!(kept(&trips, SESSION), 0);
}

#[test]
fn no_session_keeps_much_nor_all_of_them_together_nor_one_that_is_not_used() {
    let token = empty(100);
    let trips = trips(&token);
    for wanted in [100, 200, MOST_TOLD, MOST_TOLD] {
        search(&trips, &token, SESSION);
        assert_eq!(kept(&trips, SESSION), wanted);
    }
    let count = u64::try_from(MOST_IN_ALL / 100 + 2).unwrap();
    let pool = || (2..2 + count).map(SessionHandle);
    for session in pool() {
        open(&trips, &token);
        search(&trips, &token, session);
    }
    let all = || pool().chain([SESSION]).map(|session| kept(&trips, session)).sum::<usize>();
    assert_eq!(all(), MOST_IN_ALL);
    // One that is used has the others drop what they have.
    token.clock.set(token.now() + Duration::from_secs(2));
    search(&trips, &token, SESSION);
    assert_eq!((all(), kept(&trips, SESSION)), (100, 100));
}

#[test]
fn an_object_may_have_two_handles_if_one_is_of_an_earlier_turn() {
    let change = |object: ObjectHandle| {
        let token = empty(3);
        let trips = trips(&token);
        start_search(&trips, &token, SESSION);
        next(&trips, &token, SESSION, 1);
        let change = Request::new(SET_ATTRIBUTES).with(&SESSION).with(&object);
        assert!(done(&trips.call(change.with(&Attributes::default()), &token).unwrap()));
        let (kept, before) = (kept(&trips, SESSION), token.asked.get());
        next(&trips, &token, SESSION, 9);
        (kept, token.asked.get() - before)
    };
    // What is kept, and how many of the two that have not been given are looked at again.
    assert_eq!(change(object(2)), (2, 1));
    assert_eq!(change(object(9)), (3, 0));
    assert_eq!(change(ObjectHandle(9)), (0, 2));
}

#[test]
fn what_is_learnt_while_a_session_closes_may_be_gone() {
    let token = Empty { again: true, ..empty(0) };
    let trips = trips(&token);
    open(&trips, &token);
    let other = SessionHandle(2);
    let start = |token: &Empty<'_>| {
        let call = MechanismCall { mechanism: MechanismType(1), params: Params::default() };
        let start = Request::new(SIGN_INIT).with(&other).with(&Some(call)).with(&object(1));
        assert!(done(&trips.call(start, token).unwrap()));
        trips.now(other, Operation::Sign, |_| true, State::None);
    };
    let closing = Empty { meanwhile: RefCell::new(Some(Box::new(|| start(&token)))), ..empty(0) };
    trips.call(Request::new(CLOSE_SESSION).with(&SESSION), &closing).unwrap();
    let asked = token.asked.get();
    start(&token);
    assert_eq!(token.asked.get(), asked + 1, "the key may have been that session's");
    start(&token);
    assert_eq!(token.asked.get(), asked + 1, "nothing has happened since");
}

#[test]
fn a_session_that_is_gone_leaves_no_desk() {
    // C_GetSessionInfo, which has nothing to do with operations; and C_Sign.
    for number in [14, 40] {
        let token = empty(0);
        let trips = trips(&token);
        assert!(trips.find(SESSION).is_some());
        trips.call(Request::new(number).with(&SESSION), &token).unwrap();
        assert!(trips.find(SESSION).is_none());
    }
}

#[test]
fn what_the_token_has_not_heard_of_is_not_missed_there() {
    let token = empty(0);
    let trips = trips(&token);
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
        trips.look_again(&token);
        let place = trips.find(SESSION).unwrap();
        assert_eq!(place.desk().operations.hashes_here(Operation::Sign), stays);
    }
}
