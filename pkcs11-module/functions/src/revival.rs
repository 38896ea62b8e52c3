//! What a client remembers of its sessions, so that they live on when the application they were
//! opened in is lost.
//!
//! A session in which nobody is logged in is little more than its slot and whether it can write. Such
//! a session is opened anew when it is next used, and its handle goes on standing for it. Where
//! somebody was logged in, the sessions are gone, as they are when a token is pulled out: only the
//! holder of the PIN can bring them back. Objects have new handles; the old ones stand for nothing.

use core::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_types::{Result, SessionHandle, SlotId, UserType};

use crate::remote::Request;
use crate::serve::{FACTS, MESSAGE_MECHANISM};
use crate::wire::{Reader, Wire};

/// `C_GetInfo`, which any application can answer.
pub(crate) const INFO: u16 = 1;

/// Rows of the table that change which sessions there are, and who is logged in.
pub(crate) const OPEN_SESSION: u16 = 11;
const CLOSE_SESSION: u16 = 12;
const CLOSE_ALL_SESSIONS: u16 = 13;
const LOGIN: u16 = 15;
const LOGOUT: u16 = 16;
const LOGIN_USER: u16 = 60;

/// Rows whose effect may last, so that nobody may call them twice for once: tokens, PINs and
/// objects.
pub(crate) const LASTING: &[u16] =
    &[8, 9, 10, 17, 18, 19, 22, 47, 48, 50, 51, 98, 99, 100, LOGIN, LOGIN_USER];

/// Rows of which nothing comes but the answer, and [`MESSAGE_MECHANISM`] and [`FACTS`]: what they tell
/// is told again as often as one asks.
pub(crate) const READING: &[u16] =
    &[INFO, 2, 3, 4, 6, 7, 14, 20, 21, 53, 62, 75, MESSAGE_MECHANISM, FACTS];

/// A session as its client knows it.
struct Known {
    slot: SlotId,
    read_write: bool,
    /// What it is called by the application of this turn.
    now: SessionHandle,
    turn: u64,
}

#[derive(Default)]
struct Book {
    /// By the handles that were given.
    sessions: HashMap<u64, Known>,
    /// Where somebody is logged in.
    logins: HashSet<u64>,
    /// The turn that the book is about.
    turn: u64,
}

/// The sessions of a client.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Book>);

impl Sessions {
    /// What a session is called in this turn; `open` opens it anew.
    pub(crate) fn now(
        &self,
        given: SessionHandle,
        turn: u64,
        open: impl FnOnce(SlotId, bool) -> Result<SessionHandle>,
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
        Ok(known.now)
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
                    book.logins.remove(&slot.0);
                }
            }
            (CLOSE_ALL_SESSIONS, ..) => {
                let Some(slot) = request.arguments::<SlotId>(&list) else { return };
                book.sessions.retain(|_, known| known.slot != slot);
                book.logins.remove(&slot.0);
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
    /// Another application: the sessions where somebody was logged in are gone.
    fn turn_to(&mut self, turn: u64) {
        if turn <= self.turn {
            return;
        }
        self.turn = turn;
        let logins = std::mem::take(&mut self.logins);
        self.sessions.retain(|_, known| !logins.contains(&known.slot.0));
    }
}

/// The handle in the answer of a call that opened a session.
fn opened(answer: &[u8]) -> Option<SessionHandle> {
    let list = OnceCell::new();
    Result::<SessionHandle>::take(&mut Reader::new(answer, &list)).ok()?.ok()
}
