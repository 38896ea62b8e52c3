//! Brief work that a fork must not cut in two.
//!
//! A lock that another thread held at a fork stays locked in the child for ever. A child leaves our
//! own locks behind, with all that they guard; but AWS-LC has some that nobody can leave behind,
//! around its random generators: a child takes them when it wants randomness, and when it exits. So
//! whoever holds one of these is busy, and a fork waits until nobody is. It is never for long.
//!
//! AWS-LC's locks are POSIX's, and the linker has its calls of those come here: see `build.rs`.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::module::{SHARDS, shard};

/// How many threads are busy. Each group counts apart, so that they do not wait for each other's
/// cache line.
static BUSY: [Count; SHARDS] = [const { Count(AtomicUsize::new(0)) }; SHARDS];

#[repr(align(128))]
struct Count(AtomicUsize);

/// Whether a fork has begun.
static FORKING: AtomicBool = AtomicBool::new(false);

/// Held by the thread that forks.
static FORK: Mutex<()> = Mutex::new(());

thread_local! {
    /// How often this thread is busy: who is needs no leave to be so again. It has no destructor, so
    /// that threads may be busy in their last moments.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs work that a fork waits for, and which waits for a fork.
pub(crate) fn brief<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            end();
        }
    }
    begin();
    let _end = End;
    work()
}

fn begin() {
    let depth = DEPTH.get();
    DEPTH.set(depth.saturating_add(1));
    if depth > 0 {
        return;
    }
    let Some(Count(busy)) = BUSY.get(shard()) else { return };
    loop {
        // A fork says that it has begun and then counts; this counts and then looks. All four are
        // in one order, so one of the two sees the other.
        busy.fetch_add(1, Ordering::SeqCst);
        if !FORKING.load(Ordering::SeqCst) {
            return;
        }
        busy.fetch_sub(1, Ordering::SeqCst);
        drop(FORK.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn end() {
    let depth = DEPTH.get().saturating_sub(1);
    DEPTH.set(depth);
    if depth == 0
        && let Some(Count(busy)) = BUSY.get(shard())
    {
        busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The proof that no other thread is busy. Dropped by the thread that made it, in the parent and in
/// the child.
pub(super) struct Nobody {
    _fork: MutexGuard<'static, ()>,
}

/// Waits until no other thread is busy, and lets none begin.
pub(super) fn quiesce() -> Nobody {
    let fork = FORK.lock().unwrap_or_else(PoisonError::into_inner);
    FORKING.store(true, Ordering::SeqCst);
    // Whoever forks in the middle of such work does not wait for itself.
    let own = DEPTH.get();
    while BUSY.iter().map(|Count(busy)| busy.load(Ordering::SeqCst)).sum::<usize>() > own.min(1) {
        thread::yield_now();
    }
    // Nor do the handlers of others that the same thread runs before the fork is over.
    DEPTH.set(own.saturating_add(1));
    Nobody { _fork: fork }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        FORKING.store(false, Ordering::SeqCst);
    }
}

/// What the linker puts in the place of POSIX's functions, in the shared library alone: a program
/// of tests is linked without `build.rs` having its say.
#[cfg(not(test))]
mod posix {
    use core::arch::global_asm;
    use core::ffi::c_int;

    use libc::pthread_rwlock_t;

    unsafe extern "C" {
        fn __real_pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int;
        fn __real_pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int;
        fn __real_pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int;
    }

    unsafe extern "C" fn read(lock: *mut pthread_rwlock_t) -> c_int {
        super::begin();
        // SAFETY: the caller's promise is the one that this asks for.
        locked(unsafe { __real_pthread_rwlock_rdlock(lock) })
    }

    unsafe extern "C" fn write(lock: *mut pthread_rwlock_t) -> c_int {
        super::begin();
        // SAFETY: the caller's promise is the one that this asks for.
        locked(unsafe { __real_pthread_rwlock_wrlock(lock) })
    }

    unsafe extern "C" fn unlock(lock: *mut pthread_rwlock_t) -> c_int {
        // SAFETY: the caller's promise is the one that this asks for.
        let failed = unsafe { __real_pthread_rwlock_unlock(lock) };
        if failed == 0 {
            super::end();
        }
        failed
    }

    /// Whoever does not get a lock is not busy with it.
    fn locked(failed: c_int) -> c_int {
        if failed != 0 {
            super::end();
        }
        failed
    }

    // Functions with these names would be visible outside: the compiler exports what has a name of
    // its own. A symbol of the assembler's is not.
    macro_rules! wrap {
        ($($name:literal => $with:ident),* $(,)?) => {$(
            global_asm!(
                concat!(".globl __wrap_", $name),
                concat!(".hidden __wrap_", $name),
                concat!("__wrap_", $name, ":"),
                concat!(env!("JUMP"), " {}"),
                sym $with,
            );
        )*};
    }

    wrap! {
        "pthread_rwlock_rdlock" => read,
        "pthread_rwlock_wrlock" => write,
        "pthread_rwlock_unlock" => unlock,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fork_waits_for_the_busy_and_they_for_it() {
        let (say, said) = mpsc::channel();
        thread::scope(|scope| {
            let (begun, has_begun) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let say_first = say.clone();
            scope.spawn(move || {
                brief(|| {
                    brief(|| begun.send(()).unwrap());
                    may_go_on.recv().unwrap();
                    say_first.send("busy").unwrap();
                });
            });
            has_begun.recv().unwrap();
            let forks = scope.spawn(move || {
                let nobody = quiesce();
                // The thread that forks may do such work itself.
                brief(|| say.send("quiet").unwrap());
                drop(nobody);
            });
            assert!(said.recv_timeout(Duration::from_millis(20)).is_err());
            go_on.send(()).unwrap();
            forks.join().unwrap();
        });
        assert_eq!(said.iter().collect::<Vec<_>>(), ["busy", "quiet"]);
        brief(|| ());
        // Nor does a thread wait for itself.
        brief(|| drop(quiesce()));
    }
}
