//! Whom the log names as refused: everybody, but nobody so often that the lines fill the log, or hide
//! those of others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use strongroom_types::reason::{Account, Sentence};
use strongroom_types::{Error, Gravity};

use crate::log::{Level, asks, say};
use crate::peer::Peer;

/// How many lines one user has within the interval. What is beyond is counted.
const LINES: u64 = 10;
const INTERVAL: Duration = Duration::from_secs(60);

/// How many users are told apart; those beyond have their lines in common.
const USERS: usize = 1024;

/// Those of late, by user; nothing stands for all beyond.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<Option<u32>, Lately>>);

/// An interval of one user.
struct Lately {
    began: Instant,
    count: u64,
}

impl Lately {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= INTERVAL
    }
}

impl Refusals {
    /// Says that a call came to nothing: what failed here; and what a caller may not have to whoever wants
    /// to know all.
    pub(crate) fn call(&self, peer: &Peer, function: &str, error: Error, account: &Account) {
        let line = || format!("{peer}: {}", Sentence { function, account, outcome: Err(error) });
        match error.gravity() {
            Gravity::Failure => self.say(peer.uid, line),
            Gravity::Refusal if asks(Level::Debug) => say(Level::Debug, &line()),
            Gravity::Refusal | Gravity::Usual => {}
        }
    }

    /// Says that a caller of this user was refused, or that a call of his failed.
    pub(crate) fn say(&self, uid: u32, line: impl FnOnce() -> String) {
        let lines = self.lines(uid, Instant::now(), line);
        lines.iter().for_each(|line| say(Level::Warning, line));
    }

    fn lines(&self, uid: u32, now: Instant, line: impl FnOnce() -> String) -> Vec<String> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS {
            users.retain(|_, lately| !lately.is_over(now));
        }
        let known = users.contains_key(&Some(uid)) || users.len() < USERS;
        let name = if known { format!("user {uid}") } else { "further users".into() };
        let lately =
            users.entry(known.then_some(uid)).or_insert_with(|| Lately { began: now, count: 0 });
        let mut lines = Vec::new();
        if lately.is_over(now) {
            let untold = lately.count.saturating_sub(LINES);
            if untold > 0 {
                lines.push(format!("{name}: was refused {untold} times more before this"));
            }
            *lately = Lately { began: now, count: 0 };
        }
        lately.count = lately.count.saturating_add(1);
        if lately.count <= LINES {
            lines.push(line());
        }
        if lately.count == LINES {
            let seconds = INTERVAL.as_secs();
            lines.push(format!("{name}: further refusals within {seconds} s are only counted"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_lines_and_what_is_beyond_is_counted() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let refuse = |uid, now| refusals.lines(uid, now, || "a line".into());
        for _ in 1..LINES {
            assert_eq!(refuse(7, start), ["a line"]);
        }
        assert_eq!(
            refuse(7, start),
            ["a line", "user 7: further refusals within 60 s are only counted"]
        );
        for _ in 0..3 {
            assert!(refuse(7, start + INTERVAL / 2).is_empty());
        }
        assert_eq!(refuse(8, start), ["a line"], "another user");
        let later = start + INTERVAL;
        assert_eq!(refuse(7, later), ["user 7: was refused 3 times more before this", "a line"]);
        assert_eq!(refuse(7, later), ["a line"]);
    }

    #[test]
    fn users_without_number_take_no_memory_without_limit() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let refuse = |uid, now| refusals.lines(uid, now, || "a line".into()).len();
        let all: usize = (0..5000).map(|uid| refuse(uid, start)).sum();
        let common = usize::try_from(LINES).unwrap() + 1;
        assert_eq!(all, USERS + common, "the last line says that there are no more");
        let count = || refusals.0.lock().unwrap().len();
        assert_eq!(count(), USERS + 1);
        assert_eq!(refuse(9999, start + INTERVAL), 1, "there is room again");
        assert_eq!(count(), 1);
    }
}
