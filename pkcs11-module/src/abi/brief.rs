//! Brief work that a fork must not cut in two.
//!
//! A lock that another thread held at a fork stays locked in the child for ever. A child leaves our
//! own locks behind, with all that they guard; but AWS-LC has some that nobody can leave behind,
//! around its random generators: a child takes them when it wants randomness, and when it exits. So
//! whoever holds one of these is busy, and a fork waits until nobody is. It is never for long.
//!
//! AWS-LC's locks are POSIX's, and the linker has its calls of those come here: see `build.rs`.

use core::cell::Cell;

use super::turnstile::Turnstile;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Who does such work is inside.
pub(super) static BRIEF: Turnstile = Turnstile::new(&DEPTH);

/// Runs work that a fork waits for, and which waits for a fork.
pub(crate) fn brief<T>(work: impl FnOnce() -> T) -> T {
    BRIEF.pass(work)
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
        super::BRIEF.enter();
        // SAFETY: the caller's promise is the one that this asks for.
        locked(unsafe { __real_pthread_rwlock_rdlock(lock) })
    }

    unsafe extern "C" fn write(lock: *mut pthread_rwlock_t) -> c_int {
        super::BRIEF.enter();
        // SAFETY: the caller's promise is the one that this asks for.
        locked(unsafe { __real_pthread_rwlock_wrlock(lock) })
    }

    unsafe extern "C" fn unlock(lock: *mut pthread_rwlock_t) -> c_int {
        // SAFETY: the caller's promise is the one that this asks for.
        let failed = unsafe { __real_pthread_rwlock_unlock(lock) };
        if failed == 0 {
            super::BRIEF.leave();
        }
        failed
    }

    /// Whoever does not get a lock is not busy with it.
    fn locked(failed: c_int) -> c_int {
        if failed != 0 {
            super::BRIEF.leave();
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
