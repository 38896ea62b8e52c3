//! What saves round trips: an operation that starts as one did before goes to the token together
//! with its data.
//!
//! The first time that a session starts an operation with a mechanism and a key, the token is asked,
//! and tells what a caller may know of it ([`Facts`](crate::Facts)). The next time the answer is known, unless
//! this application has changed something since that decides it (logins, attributes, objects). So the
//! start is *held*, and goes ahead of the next call for the operation, in one frame with it. The token
//! checks everything all the same; what it refuses (only another process can have changed it) is
//! answered by that call. That is in [`operations`], and [`alike`] says which starts are alike.
//!
//! A held signature or verification whose mechanism hashes first has its data hashed here, and only
//! the digest travels: [`hashing`]. As long as the data is short a copy is kept, for calls that need
//! all of it at the token.
//!
//! A search is held as well, and what it finds comes with what may be read of it: [`searching`].
//!
//! Whatever could tell a held operation from one that the token has begun makes it begin there first:
//! a second start, a logout, the destruction of the key: [`changes`]. Locks, outermost first: the
//! search of a session, the map of sessions, one desk. A desk is locked while its held operations are
//! made to begin, so that none of the session's calls overtakes that; the map never is while the token
//! is asked.

mod alike;
pub(crate) mod answers;
mod changes;
mod hashing;
mod operations;
mod searching;

pub use hashing::{Hasher, Hashers};

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, ObjectHandle, Result, SessionHandle, SlotId};

use crate::conduct::{Role, conduct};
use crate::remote::Request;
use crate::wire::{Reader, Wire};
use answers::{done, failure};
use changes::{Changes, Reach};
use operations::Operations;
use searching::{Kept, Search};

/// Has requests answered in one round trip, one after the other until one fails; the answer is that
/// of the last.
pub(crate) trait Carrier {
    /// The turn of the application that they go to.
    fn turn(&self) -> u64;
    /// Takes note of a name by which an object is found again in a later turn.
    fn learn(&self, session: SessionHandle, object: ObjectHandle, name: Bytes, turn: u64);
    /// Takes note that an object is used without anybody being asked, who would tell its name.
    fn used(&self, object: ObjectHandle);
    /// The time.
    fn now(&self) -> Instant;
    /// Has them answered. [`Error::DataLenRange`], and nobody has seen them, if together they are more
    /// than the token takes at once.
    fn carry(&self, requests: &mut [Request]) -> Result<Bytes>;
}

/// The operations of all sessions, as far as they concern round trips.
pub(crate) struct Trips {
    /// The sessions that are open, as far as anybody here knows.
    places: RwLock<HashMap<u64, Arc<Place>>>,
    changes: Changes,
    /// Whether a key has been used, or an object found, that goes with its session.
    any_passing: AtomicBool,
    /// Whether a search may be held.
    any_search_held: AtomicBool,
    kept: Kept,
    hashers: Hashers,
}

/// Where a session is.
struct Place {
    slot: SlotId,
    /// Held while the session's search is asked about.
    searches: Mutex<()>,
    desk: Mutex<Desk>,
}

/// The operations of one session, and its search.
#[derive(Default)]
struct Desk {
    operations: Operations,
    search: Search,
}

impl Place {
    fn new(slot: SlotId) -> Arc<Self> {
        Arc::new(Self { slot, searches: Mutex::default(), desk: Mutex::default() })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// Waits until no call asks about the session's search, and has the others wait.
    fn one_search(&self) -> MutexGuard<'_, ()> {
        lock(&self.searches)
    }
}

impl Trips {
    pub(crate) fn new(hashers: Hashers) -> Self {
        Self {
            places: RwLock::default(),
            changes: Changes::default(),
            any_passing: AtomicBool::new(false),
            any_search_held: AtomicBool::new(false),
            kept: Kept::default(),
            hashers,
        }
    }

    /// Has a request answered, in as few round trips as it takes.
    pub(crate) fn call(&self, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        let session = request.session();
        let role = conduct(request.number).and_then(|conduct| conduct.role);
        let answer = match (role, session) {
            (None, _) => carrier.carry(&mut [request]),
            (Some(role), Some(session)) => self.in_session(session, role, request, carrier),
            (Some(Role::Open), None) => self.open(request, carrier),
            (Some(_), None) => self.change(Reach::All, request, carrier),
        }?;
        if let Some(session) = session
            && failure(&answer) == Some(Error::SessionHandleInvalid)
        {
            write(&self.places).remove(&session.0);
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
            Role::Make => {
                self.begin_searches(carrier);
                carrier.carry(&mut [request])
            }
            Role::Object => {
                let list = OnceCell::new();
                let object = request.arguments(&list).map(|(SessionHandle(_), object)| object);
                self.change(object.map_or(Reach::All, Reach::One), request, carrier)
            }
            Role::Search(step) => self.search(session, step, request, carrier),
            Role::Attributes => self.attributes(session, request, carrier),
            Role::Everything | Role::Open => self.change(Reach::All, request, carrier),
            Role::Close => self.close(session, request, carrier),
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
            write(&self.places).insert(session.0, Place::new(slot));
        }
        Ok(answer)
    }

    /// `C_CloseSession`.
    fn close(
        &self,
        session: SessionHandle,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let answer = self.changes.during(|| {
            self.forget_passing(carrier);
            carrier.carry(&mut [request])
        });
        // Once more, for what was learnt meanwhile.
        self.forget_passing(carrier);
        let answer = answer?;
        if done(&answer) {
            write(&self.places).remove(&session.0);
        }
        Ok(answer)
    }

    /// An object of some session has been used or found: when one closes, that may be gone. Whoever
    /// remembers it notes this first, and looks then whether something changed meanwhile.
    fn note_passing(&self) {
        self.any_passing.store(true, Ordering::SeqCst);
    }

    /// Forgets the objects of sessions, if there may be some. In the course of a change: who notes one
    /// after this has looked sees that change.
    fn forget_passing(&self, carrier: &dyn Carrier) {
        if self.any_passing.load(Ordering::SeqCst) {
            self.forget(Reach::Passing, carrier);
        }
    }

    fn all(&self) -> Vec<(SessionHandle, Arc<Place>)> {
        let places = read(&self.places);
        places.iter().map(|(of, place)| (SessionHandle(*of), Arc::clone(place))).collect()
    }

    fn find(&self, session: SessionHandle) -> Option<Arc<Place>> {
        read(&self.places).get(&session.0).map(Arc::clone)
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
mod tests;
