//! Turns: the calls of one session run in the order in which they came.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The turns of all sessions of a connection.
#[derive(Default)]
pub(crate) struct Turns {
    lines: Mutex<HashMap<u64, Line>>,
    moved: Condvar,
}

/// Those who wait for a session: the number that the next one gets, and the one whose turn it is.
#[derive(Default)]
struct Line {
    next: u64,
    now: u64,
}

/// A place in the line of a session. It is given up when it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    session: u64,
    number: u64,
}

impl Turns {
    /// Takes a place in the line of a session. Asked for in the order in which the calls came.
    pub(crate) fn take(&self, session: u64) -> Turn<'_> {
        let mut lines = lock(&self.lines);
        let line = lines.entry(session).or_default();
        let number = line.next;
        line.next += 1;
        Turn { turns: self, session, number }
    }
}

impl Turn<'_> {
    /// Waits until all that came before have given their places up.
    pub(crate) fn wait(&self) {
        let mut lines = lock(&self.turns.lines);
        while lines.get(&self.session).is_some_and(|line| line.now != self.number) {
            lines = self.turns.moved.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = lock(&self.turns.lines);
        if let Some(line) = lines.get_mut(&self.session) {
            line.now += 1;
            if line.now == line.next {
                lines.remove(&self.session);
            }
        }
        self.turns.moved.notify_all();
    }
}

/// A lock whose holder panicked is as good as any: nothing is left half-done under these.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread::scope;

    use super::*;

    #[test]
    fn turns_of_a_session_follow_each_other_and_leave_nothing_behind() {
        let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
        let places: Vec<_> = (0..8).map(|number| (number, turns.take(3))).collect();
        scope(|scope| {
            // The last one is the first to wait.
            for (number, turn) in places.into_iter().rev() {
                let order = &order;
                scope.spawn(move || {
                    turn.wait();
                    lock(order).push(number);
                });
            }
        });
        assert_eq!(*lock(&order), (0..8).collect::<Vec<_>>());
        assert!(lock(&turns.lines).is_empty());
    }

    #[test]
    fn sessions_do_not_wait_for_each_other() {
        let turns = Turns::default();
        let _first = turns.take(1);
        turns.take(2).wait();
    }
}
