//! What may change what is known here, and has begin at the token what is held.

use std::sync::atomic::{AtomicU64, Ordering};

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, ObjectHandle, Result, SessionHandle, ck};

use super::answers::done;
use super::hashing::Hashing;
use super::operations::{Key, State};
use super::{Carrier, Trips, write};
use crate::conduct::{CLOSE_ALL_SESSIONS, OPERATION_STATE, SESSION_CANCEL, SET_OPERATION_STATE};
use crate::remote::Request;
use crate::serve::{FACTS, refusal};
use crate::wire::{Reader, Wire};
use crate::{Facts, Operation};

/// How often something began or ended that may change what is known.
#[derive(Default)]
pub(super) struct Changes {
    count: AtomicU64,
    under_way: AtomicU64,
}

impl Changes {
    pub(super) fn now(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Does something that may change what is known.
    pub(super) fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst);
        let outcome = act();
        self.count.fetch_add(1, Ordering::SeqCst);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    /// Whether nothing changed since then, and nothing is about to: what the token has said meanwhile
    /// is so.
    pub(super) fn none_since(&self, then: u64) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0 && self.now() == then
    }
}

/// What may change with a call.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// All keys, and who may use them.
    All,
    /// One object.
    One(ObjectHandle),
    /// The objects of a session.
    Passing,
}

impl Reach {
    pub(super) fn concerns(self, key: Key) -> bool {
        match self {
            Self::All => true,
            Self::One(object) => key.handle == object,
            Self::Passing => key.passing,
        }
    }
}

impl Trips {
    /// What may touch any operation of a session.
    pub(super) fn touch(
        &self,
        session: SessionHandle,
        mut request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        self.settle(session, carrier);
        let Some(place) = self.find(session) else {
            return carrier.carry(&mut [request]);
        };
        if request.number == OPERATION_STATE && place.desk().operations.any_hashes_here() {
            return Ok(refusal(Error::StateUnsaveable));
        }
        // A search that is being asked about starts, or goes on, before it is ended or after that.
        let _one = (request.number == SESSION_CANCEL).then(|| place.one_search());
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
            let desk = &mut *place.desk();
            if request.number == SESSION_CANCEL && touched & ck!(CKF_FIND_OBJECTS) != 0 {
                desk.search.cancelled();
            }
            for operation in Operation::ALL.into_iter().filter(|of| of.flag() & touched != 0) {
                // Whether it is there is not looked into: that it may be is always true.
                if let Some(state) = desk.operations.states.get_mut(operation.index()) {
                    *state = State::There;
                }
            }
        }
        Ok(answer)
    }

    /// What may change which operations can start.
    pub(super) fn change(
        &self,
        reach: Reach,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let list = OnceCell::new();
        let closes = (request.number == CLOSE_ALL_SESSIONS).then(|| request.arguments(&list));
        let answer = self.changes.during(|| {
            self.forget(reach, carrier);
            carrier.carry(&mut [request])
        });
        // Once more, for what was learnt meanwhile.
        self.forget(reach, carrier);
        if matches!(reach, Reach::All) {
            self.look_again(carrier);
        }
        if let Some(Some(closed)) = closes
            && answer.as_ref().is_ok_and(|answer| done(answer))
        {
            write(&self.places).retain(|_, place| place.slot != closed);
        }
        answer
    }

    /// Forgets what may no longer be so, and has begin at the token what is held of it.
    pub(super) fn forget(&self, reach: Reach, carrier: &dyn Carrier) {
        for (session, place) in self.all() {
            let desk = &mut *place.desk();
            desk.search.begin(carrier);
            desk.search.doubt(reach, carrier.turn());
            desk.operations.forget(reach, session, carrier);
        }
    }

    /// Looks whether the signatures that are hashed here, but have begun at the token, are still there:
    /// a logout ends them.
    pub(super) fn look_again(&self, carrier: &dyn Carrier) {
        for (session, place) in self.all() {
            let states = &mut place.desk().operations.states;
            for operation in Operation::ALL {
                let Some(state) = states.get_mut(operation.index()) else { continue };
                // Of one that starts with its digest the token has not heard.
                if matches!(state, State::Hashing(Hashing { start: None, .. }))
                    && is_there(session, operation, carrier) == Some(false)
                {
                    *state = State::There;
                }
            }
        }
    }

    /// Has the held operations of a session begin at the token.
    pub(super) fn settle(&self, session: SessionHandle, carrier: &dyn Carrier) {
        if let Some(place) = self.find(session) {
            let states = &mut place.desk().operations.states;
            states.iter_mut().for_each(|state| state.begin(session, carrier));
        }
    }
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
