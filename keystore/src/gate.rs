//! The gate in front of SQLite, which `fork()` closes.
//!
//! SQLite keeps, per process, a table of the files it has open and of the `fcntl` locks it holds.
//! A forked child inherits the table but not the locks: opening the same file in the child would
//! then trust locks that nobody holds, and corrupt the database. So before a fork every
//! connection of the process is closed, and nothing is opened until the fork is over.
//!
//! Every access to SQLite is an [`Entry`]; an uncontended one costs a read lock. A thread that
//! holds an entry may enter again without waiting, so a closing gate cannot deadlock with it.

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
};

use crate::queue;

static GATE: RwLock<()> = RwLock::new(());
static RESIDENTS: Mutex<Vec<Weak<dyn Resident>>> = Mutex::new(Vec::new());

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Something that keeps connections open between two accesses.
pub(crate) trait Resident: Send + Sync {
    /// Closes everything that a forked child must not inherit.
    fn close(&self);
}

/// Adds a resident, which [`quiesce`] will close.
pub(crate) fn register(resident: Weak<dyn Resident>) {
    // No fork finds the list locked.
    let _entry = enter();
    let mut residents = RESIDENTS.lock().unwrap_or_else(PoisonError::into_inner);
    residents.retain(|one| one.strong_count() > 0);
    residents.push(resident);
}

/// The right to use SQLite, until it is dropped.
pub(crate) struct Entry {
    /// Held by the outermost entry of a thread.
    lock: Option<RwLockReadGuard<'static, ()>>,
    /// The depth is counted per thread.
    _not_send: PhantomData<*const ()>,
}

/// Waits while a fork is under way, then enters.
pub(crate) fn enter() -> Entry {
    // Without the thread's own count (a thread that is ending) the lock is taken.
    let depth = DEPTH.try_with(Cell::get).unwrap_or(0);
    let lock = (depth == 0).then(|| GATE.read().unwrap_or_else(PoisonError::into_inner));
    let mut entry = Entry::inside();
    entry.lock = lock;
    entry
}

impl Entry {
    /// The entry of a thread that holds the gate by other means.
    fn inside() -> Self {
        // A thread that is ending has no count, and then locks each time.
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_add(1)));
        Self { lock: None, _not_send: PhantomData }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A thread that is ending has no count, and needs none.
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// The proof that no SQLite connection of the process is open; see [`quiesce`].
///
/// Dropped by the thread that made it, in the parent and in the child, it lets accesses go on.
pub struct Quiesced {
    _gate: RwLockWriteGuard<'static, ()>,
    _queue: queue::Quiet,
}

/// Closes every connection of every store of the process, and holds them closed.
///
/// For the "prepare" handler of `pthread_atfork`. Waits until no access is under way. The guard
/// is dropped by the same thread after the fork: in the parent, whose connections open again at
/// their next use, and in the child, which must forget its inherited [`Store`](crate::Store)
/// (without dropping it) and open a new one.
///
/// A thread must not call this from within a call of the keystore.
#[must_use]
pub fn quiesce() -> Quiesced {
    let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    let residents: Vec<_> = {
        let mut known = RESIDENTS.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| one.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).collect()
    };
    // Whoever closes last may also drop, and dropping enters: this thread holds the gate already.
    let _inside = Entry::inside();
    for resident in residents {
        resident.close();
    }
    Quiesced { _gate: gate, _queue: queue::quiesce() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Last(Mutex<Option<Arc<Self>>>);

    impl Resident for Last {
        fn close(&self) {
            drop(self.0.lock().unwrap().take());
        }
    }

    impl Drop for Last {
        fn drop(&mut self) {
            drop(enter());
        }
    }

    #[test]
    fn what_is_dropped_while_the_gate_closes_does_not_wait_for_it() {
        let last = Arc::new(Last(Mutex::new(None)));
        *last.0.lock().unwrap() = Some(Arc::clone(&last));
        let weak: Weak<Last> = Arc::downgrade(&last);
        register(weak);
        drop(last);
        drop(quiesce());
        let _outer = enter();
        let _inner = enter();
    }
}
