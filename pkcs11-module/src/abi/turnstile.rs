//! Where threads pass in and out, and a fork stops them.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, LocalKey};
use std::time::{Duration, Instant};

use crate::module::{SHARDS, shard};

/// Counts the threads that are inside. A fork lets no more in until it is over, and waits until no
/// other thread is.
pub(crate) struct Turnstile {
    /// How many threads are inside. Each group counts apart, so that they do not wait for each
    /// other's cache line.
    inside: [Count; SHARDS],
    /// Whether a fork has begun.
    forking: AtomicBool,
    /// Held by the thread that forks.
    fork: Mutex<()>,
    /// How often this thread is inside: who is needs no leave to go further in. It has no
    /// destructor, so that threads may pass in their last moments.
    depth: &'static LocalKey<Cell<usize>>,
}

#[repr(align(128))]
struct Count(AtomicUsize);

impl Turnstile {
    pub(super) const fn new(depth: &'static LocalKey<Cell<usize>>) -> Self {
        Self {
            inside: [const { Count(AtomicUsize::new(0)) }; SHARDS],
            forking: AtomicBool::new(false),
            fork: Mutex::new(()),
            depth,
        }
    }

    /// Runs work inside.
    pub(super) fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Leave<'a>(&'a Turnstile);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        self.enter();
        let _leave = Leave(self);
        work()
    }

    pub(super) fn enter(&self) {
        let depth = self.depth.get();
        self.depth.set(depth.saturating_add(1));
        if depth > 0 {
            return;
        }
        let Some(Count(inside)) = self.inside.get(shard()) else { return };
        loop {
            // A fork says that it has begun and then counts; this counts and then looks. All four
            // are in one order, so one of the two sees the other.
            inside.fetch_add(1, Ordering::SeqCst);
            if !self.forking.load(Ordering::SeqCst) {
                return;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            drop(self.fork.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn leave(&self) {
        let depth = self.depth.get().saturating_sub(1);
        self.depth.set(depth);
        if depth == 0
            && let Some(Count(inside)) = self.inside.get(shard())
        {
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Lets no other thread in. Those that are inside go on.
    pub(super) fn close(&'static self) -> Closed {
        let fork = self.fork.lock().unwrap_or_else(PoisonError::into_inner);
        self.forking.store(true, Ordering::SeqCst);
        // The thread that forks may go in: the handlers of others that it runs before the fork is
        // over may have to.
        self.depth.set(self.depth.get().saturating_add(1));
        Closed { turnstile: self, _fork: fork }
    }

    /// In a child: no other thread is inside, whoever was when the process forked.
    pub(super) fn forget_others(&self) {
        for Count(inside) in &self.inside {
            inside.store(0, Ordering::SeqCst);
        }
        if self.depth.get() > 0
            && let Some(Count(inside)) = self.inside.get(shard())
        {
            inside.store(1, Ordering::SeqCst);
        }
    }
}

/// The proof that no other thread comes in. Dropped by the thread that made it, in the parent and in
/// the child.
pub(super) struct Closed {
    turnstile: &'static Turnstile,
    _fork: MutexGuard<'static, ()>,
}

impl Closed {
    /// Waits until no other thread is inside.
    pub(super) fn wait(&self) {
        while self.others() {
            thread::yield_now();
        }
    }

    /// The same, unless it lasts longer than this. Says whether no other thread is inside.
    pub(super) fn wait_for(&self, patience: Duration) -> bool {
        const PAUSE: Duration = Duration::from_micros(200);
        let start = Instant::now();
        while self.others() {
            if start.elapsed() > patience {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }

    /// Whether other threads are inside. Whoever forks from the inside does not wait for itself.
    fn others(&self) -> bool {
        let Turnstile { inside, depth, .. } = self.turnstile;
        let own = usize::from(depth.get() > 1);
        inside.iter().map(|Count(inside)| inside.load(Ordering::SeqCst)).sum::<usize>() > own
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let Turnstile { forking, depth, .. } = self.turnstile;
        depth.set(depth.get().saturating_sub(1));
        forking.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn a_fork_waits_for_who_is_inside_and_they_for_it() {
        static TURNSTILE: Turnstile = Turnstile::new(&DEPTH);
        let (say, said) = mpsc::channel();
        thread::scope(|scope| {
            let (begun, has_begun) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let say_first = say.clone();
            scope.spawn(move || {
                TURNSTILE.pass(|| {
                    TURNSTILE.pass(|| begun.send(()).unwrap());
                    may_go_on.recv().unwrap();
                    say_first.send("inside").unwrap();
                });
            });
            has_begun.recv().unwrap();
            assert!(!TURNSTILE.close().wait_for(Duration::from_millis(1)));
            let forks = scope.spawn(move || {
                let closed = TURNSTILE.close();
                closed.wait();
                // The thread that forks may go in itself.
                TURNSTILE.pass(|| say.send("closed").unwrap());
                drop(closed);
            });
            assert!(said.recv_timeout(Duration::from_millis(20)).is_err());
            go_on.send(()).unwrap();
            forks.join().unwrap();
        });
        assert_eq!(said.iter().collect::<Vec<_>>(), ["inside", "closed"]);
        TURNSTILE.pass(|| ());
        // Nor does a thread wait for itself.
        TURNSTILE.pass(|| TURNSTILE.close().wait());
        assert!(TURNSTILE.close().wait_for(Duration::ZERO));
    }

    #[test]
    fn a_child_forgets_the_threads_that_it_does_not_have() {
        static TURNSTILE: Turnstile = Turnstile::new(&DEPTH);
        TURNSTILE.pass(|| {
            thread::scope(|scope| {
                scope.spawn(|| TURNSTILE.enter()).join().unwrap();
            });
            assert!(!TURNSTILE.close().wait_for(Duration::ZERO));
            TURNSTILE.forget_others();
            assert!(TURNSTILE.close().wait_for(Duration::ZERO));
        });
        assert!(TURNSTILE.close().wait_for(Duration::ZERO));
    }
}
