//! Lines: the calls of one session run one after the other, in the order in which they came, and
//! nobody stands idle in a line: who is done with a call takes the next one along.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The most calls that wait in all lines of a connection. Its client is not read from meanwhile.
const MOST: usize = 16;

/// The lines of all sessions that have a call at work.
pub(crate) struct Lines<T> {
    state: Mutex<State<T>>,
    shorter: Condvar,
}

struct State<T> {
    waiting: usize,
    lines: HashMap<u64, VecDeque<T>>,
}

impl<T> Lines<T> {
    /// No lines yet.
    pub(crate) fn new() -> Self {
        let state = State { waiting: 0, lines: HashMap::new() };
        Self { state: Mutex::new(state), shorter: Condvar::new() }
    }

    /// Brings a call of a session. It comes back if it may run now.
    pub(crate) fn enter(&self, session: u64, call: T) -> Option<T> {
        let mut state = lock(&self.state);
        while state.waiting == MOST && state.lines.contains_key(&session) {
            state = self.shorter.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.lines.get_mut(&session) {
            Some(line) => line.push_back(call),
            None => {
                state.lines.insert(session, VecDeque::new());
                return Some(call);
            }
        }
        state.waiting += 1;
        None
    }

    /// A call of a session is done: gives the next one, which may run now.
    pub(crate) fn leave(&self, session: u64) -> Option<T> {
        let mut state = lock(&self.state);
        let next = state.lines.get_mut(&session).and_then(VecDeque::pop_front);
        if next.is_some() {
            state.waiting -= 1;
        } else {
            state.lines.remove(&session);
        }
        self.shorter.notify_all();
        next
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
    fn calls_of_a_session_follow_each_other_and_leave_nothing_behind() {
        let lines = Lines::new();
        assert_eq!(lines.enter(3, 0), Some(0));
        assert_eq!((lines.enter(3, 1), lines.enter(3, 2)), (None, None));
        assert_eq!(lines.enter(4, 7), Some(7), "another session does not wait");
        assert_eq!((lines.leave(3), lines.leave(3), lines.leave(3)), (Some(1), Some(2), None));
        assert_eq!(lines.leave(4), None);
        let state = lock(&lines.state);
        assert!(state.lines.is_empty() && state.waiting == 0);
    }

    #[test]
    fn who_brings_too_many_waits_until_there_is_room() {
        let lines = Lines::new();
        assert_eq!(lines.enter(3, 0), Some(0));
        for call in 1..=MOST {
            assert_eq!(lines.enter(3, call), None);
        }
        assert_eq!(lines.enter(4, 7), Some(7), "another session does not wait");
        let order: Vec<_> = scope(|scope| {
            let late = scope.spawn(|| lines.enter(3, MOST + 1));
            let first = lines.leave(3).unwrap();
            assert_eq!(late.join().unwrap(), None);
            [first].into_iter().chain(std::iter::from_fn(|| lines.leave(3))).collect()
        });
        assert_eq!(order, (1..=MOST + 1).collect::<Vec<_>>());
    }
}
