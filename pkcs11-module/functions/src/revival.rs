//! What a client remembers of its sessions, so that they live on when the application they were
//! opened in is lost.
//!
//! A session in which nobody is logged in is little more than its slot and whether it can write. Such
//! a session is opened anew when it is next used, and its handle goes on standing for it. Where
//! somebody was logged in, the sessions are gone, as they are when a token is pulled out: only the
//! holder of the PIN can bring them back.
//!
//! Objects have new handles. Those on the token that everybody may see keep the old ones, if we know
//! what they are called: the next application is told so, before the first call of a session there.
//! All other old handles stand for nothing.

use core::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_types::{Bytes, ObjectHandle, Result, SessionHandle, SlotId, UserType};

use crate::conduct::{CLOSE_ALL_SESSIONS, CLOSE_SESSION, LOGIN, LOGIN_USER, LOGOUT, OPEN_SESSION};
use crate::remote::Request;
use crate::wire::{Reader, Wire};

/// A session as its client knows it.
struct Known {
    slot: SlotId,
    read_write: bool,
    /// What it is called by the application of this turn.
    now: SessionHandle,
    turn: u64,
}

/// How many objects are remembered by their names: those that were seen or used last.
const MOST_NAMES: usize = 1024;

/// An object as its client knows it.
struct Named {
    slot: SlotId,
    name: Bytes,
    /// The last turn whose application knows it by this handle.
    turn: u64,
    /// When it was last seen or used, by the clock of the book.
    used: u64,
}

#[derive(Default)]
struct Book {
    /// By the handles that were given.
    sessions: HashMap<u64, Known>,
    /// Where somebody is logged in.
    logins: HashSet<u64>,
    /// Objects by their handles.
    objects: BTreeMap<u64, Named>,
    /// Whether there may be some that the application of this turn does not know.
    behind: bool,
    /// How often an object has been seen or used.
    clock: u64,
    /// The turn that the book is about.
    turn: u64,
}

/// The sessions of a client.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Book>);

impl Sessions {
    /// What a session is called in this turn; `open` opens it anew, and `adopt` says there what
    /// handles stand for.
    pub(crate) fn now(
        &self,
        given: SessionHandle,
        turn: u64,
        open: impl FnOnce(SlotId, bool) -> Result<SessionHandle>,
        adopt: impl FnOnce(SessionHandle, Vec<(ObjectHandle, Bytes)>),
    ) -> Result<SessionHandle> {
        let mut book = self.book();
        book.turn_to(turn);
        let Some(known) = book.sessions.get_mut(&given.0) else {
            // Not one of ours; or one that was lost, whose handle no later application gives.
            return Ok(given);
        };
        if known.turn != turn {
            known.now = open(known.slot, known.read_write)?;
            known.turn = turn;
        }
        let (slot, now) = (known.slot, known.now);
        let objects = book.left_behind(slot);
        if !objects.is_empty() {
            adopt(now, objects);
        }
        Ok(now)
    }

    /// Takes note of the name of an object that a call in this turn was about.
    pub(crate) fn learn(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        name: Bytes,
        turn: u64,
    ) {
        let mut book = self.book();
        let Some(slot) = book.sessions.get(&session.0).map(|known| known.slot) else { return };
        if turn < book.turn {
            // Where a login was lost meanwhile, it is known no more; else it is told again.
            return;
        }
        let used = book.tick();
        book.objects.insert(object.0, Named { slot, name, turn, used });
        if book.objects.len() > MOST_NAMES {
            let ages = book.objects.iter().map(|(handle, named)| (named.used, *handle));
            if let Some((_, oldest)) = ages.min() {
                book.objects.remove(&oldest);
            }
        }
    }

    /// Takes note of the use of an object, whose name may be known.
    pub(crate) fn used(&self, object: ObjectHandle) {
        let mut book = self.book();
        let used = book.tick();
        if let Some(named) = book.objects.get_mut(&object.0) {
            named.used = used;
        }
    }

    /// Takes note of a call that succeeded in this turn.
    pub(crate) fn note(
        &self,
        session: Option<SessionHandle>,
        turn: u64,
        request: &Request,
        answer: &[u8],
    ) {
        let number = request.number;
        if !matches!(
            number,
            OPEN_SESSION | CLOSE_SESSION | CLOSE_ALL_SESSIONS | LOGIN | LOGIN_USER | LOGOUT
        ) {
            return;
        }
        let list = OnceCell::new();
        let mut book = self.book();
        let slot = session.and_then(|session| book.sessions.get(&session.0)).map(|of| of.slot);
        match (number, session, slot) {
            (OPEN_SESSION, ..) => {
                let Some((slot, read_write)) = request.arguments(&list) else { return };
                let Some(handle) = opened(answer) else { return };
                let known = Known { slot, read_write, now: handle, turn };
                book.sessions.insert(handle.0, known);
            }
            (CLOSE_SESSION, Some(session), Some(slot)) => {
                book.sessions.remove(&session.0);
                if !book.sessions.values().any(|known| known.slot == slot) {
                    book.leave(slot);
                }
            }
            (CLOSE_ALL_SESSIONS, ..) => {
                let Some(slot) = request.arguments::<SlotId>(&list) else { return };
                book.sessions.retain(|_, known| known.slot != slot);
                book.leave(slot);
            }
            (LOGIN | LOGIN_USER, _, Some(slot)) => {
                let user = request.arguments::<(SessionHandle, UserType)>(&list);
                if user.is_none_or(|(_, user)| user == UserType::CONTEXT_SPECIFIC) {
                    return;
                }
                if turn == book.turn {
                    book.logins.insert(slot.0);
                } else {
                    // The login was lost before it could be written down.
                    book.sessions.retain(|_, known| known.slot != slot);
                }
            }
            (LOGOUT, _, Some(slot)) => {
                book.logins.remove(&slot.0);
            }
            _ => {}
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// No session is open at a slot any more: its handles stand for nothing from now on.
    fn leave(&mut self, slot: SlotId) {
        self.logins.remove(&slot.0);
        self.objects.retain(|_, named| named.slot != slot);
    }

    /// Another application: the sessions where somebody was logged in are gone.
    fn turn_to(&mut self, turn: u64) {
        if turn <= self.turn {
            return;
        }
        self.turn = turn;
        let logins = std::mem::take(&mut self.logins);
        self.sessions.retain(|_, known| !logins.contains(&known.slot.0));
        self.objects.retain(|_, named| !logins.contains(&named.slot.0));
        self.behind = true;
    }

    /// The objects of a slot that the application of this turn does not know.
    fn left_behind(&mut self, slot: SlotId) -> Vec<(ObjectHandle, Bytes)> {
        if !self.behind {
            return Vec::new();
        }
        let Self { objects, turn, .. } = self;
        let old = objects.iter_mut().filter(|(_, named)| named.turn < *turn);
        let mut left = Vec::new();
        self.behind = false;
        for (handle, named) in old {
            if named.slot == slot {
                named.turn = *turn;
                left.push((ObjectHandle(*handle), named.name.clone()));
            } else {
                self.behind = true;
            }
        }
        left
    }
}

/// The handle in the answer of a call that opened a session.
fn opened(answer: &[u8]) -> Option<SessionHandle> {
    let list = OnceCell::new();
    Result::<SessionHandle>::take(&mut Reader::new(answer, &list)).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trips::answers::written;

    #[test]
    fn the_last_session_of_a_slot_takes_its_names_along() {
        let sessions = Sessions::default();
        let open = |slot, handle| {
            let request = Request::new(OPEN_SESSION).with(&SlotId(slot)).with(&true);
            sessions.note(None, 0, &request, &written(&SessionHandle(handle)));
            sessions.learn(SessionHandle(handle), ObjectHandle(handle), Bytes::default(), 0);
        };
        let named = || sessions.book().objects.keys().copied().collect::<Vec<_>>();
        let close = |handle| {
            let (request, answer) = (Request::new(CLOSE_SESSION).with(&handle), written(&()));
            sessions.note(Some(handle), 0, &request, &answer);
        };
        [(7, 1), (7, 2), (8, 3), (9, 4)].iter().for_each(|(slot, handle)| open(*slot, *handle));
        close(SessionHandle(2));
        assert_eq!(named(), [1, 2, 3, 4]);
        close(SessionHandle(1));
        assert_eq!(named(), [3, 4]);
        let close_all = Request::new(CLOSE_ALL_SESSIONS).with(&SlotId(9));
        sessions.note(None, 0, &close_all, &written(&()));
        assert_eq!(named(), [3]);
    }

    #[test]
    fn what_is_in_use_is_not_forgotten() {
        let (session, sessions) = (SessionHandle(1), Sessions::default());
        let open = Request::new(OPEN_SESSION).with(&SlotId(0)).with(&true);
        sessions.note(None, 0, &open, &written(&session));
        let most = u64::try_from(MOST_NAMES).unwrap();
        for handle in 1..=most + 2 {
            sessions.learn(session, ObjectHandle(handle), Bytes::default(), 0);
            sessions.used(ObjectHandle(1));
        }
        let book = sessions.book();
        assert_eq!(book.objects.len(), MOST_NAMES);
        let known = [1, 2, 3, 4].map(|handle| book.objects.contains_key(&handle));
        assert_eq!(known, [true, false, false, true]);
    }
}
