//! Forks: a child starts without a module, and the parent goes on as if nothing had happened.
//! Where the configuration wants it, as SoftHSM2 has it, the child goes on too.
//!
//! Handlers do it, so that no call has to ask the system who it is. A child that comes into being
//! without them, by `vfork` or `posix_spawn`, does nothing but start another program.
//!
//! A child that goes on takes the locks that its parent had, so the fork waits until no call is at
//! work. Where that lasts too long, the child starts without a module after all: better an error
//! than a lock that nobody will ever give back.

use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use strongroom_types::{Error, Result};

use super::brief::BRIEF;
use super::turnstile::Turnstile;
use crate::module;

/// How long a fork waits for calls that are at work. The longest generate keys, or pay for a wrong
/// PIN.
const PATIENCE: Duration = Duration::from_secs(10);

/// What keeps the rooms below quiet, whatever its type.
pub(crate) trait Quiet {}

impl<T> Quiet for T {}

thread_local! {
    /// Held from before a fork until after it, by the thread that forks. It has no destructor, so
    /// a thread may fork in its last moments.
    static QUIET: Cell<Option<ManuallyDrop<Prepared>>> = const { Cell::new(None) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// What was done before a fork.
struct Prepared {
    /// Whether the child goes on. Settled now: the configuration may change before the fork.
    inherit: bool,
    _quiet: Box<dyn Quiet>,
}

/// Calls that are at work are inside, where children inherit.
static CALLS: Turnstile = Turnstile::new(&DEPTH);

/// Whether a child goes on with the module of its parent.
static CHILD_INHERITS: AtomicBool = AtomicBool::new(false);

/// Runs a call as one that a fork waits for, where children inherit; others need not be waited for.
pub(super) fn call<T>(call: impl FnOnce() -> T) -> T {
    if CHILD_INHERITS.load(Ordering::Acquire) { CALLS.pass(call) } else { call() }
}

/// Runs what a fork waits for in any case: that which makes children inherit.
pub(crate) fn at_work<T>(work: impl FnOnce() -> T) -> T {
    CALLS.pass(work)
}

/// Has every fork from now on handled. It comes before anything is made that a fork must find quiet,
/// so it waits for nobody: threads that meet here register the handlers more than once, which they
/// bear.
pub(crate) fn watch_forks() -> Result<()> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the handlers are functions of this module, which is never unloaded, and do not unwind.
    let failed = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if failed != 0 {
        return Err(Error::HostMemory);
    }
    WATCHED.store(true, Ordering::Release);
    Ok(())
}

/// Whether the children of forks from now on go on with the module of their parent.
pub(crate) fn children_inherit(whether: bool) {
    CHILD_INHERITS.store(whether, Ordering::Release);
}

unsafe extern "C" fn before() {
    // Threads that started the module at once, or a child that came into being while its parent
    // registered these handlers, registered them again, and they run twice: the first run quietens,
    // and the first run after the fork ends that.
    let held = QUIET.take();
    if held.is_some() {
        QUIET.set(held);
        return;
    }
    // A panic here would end the host. It leaves the rooms below as they are: no worse than a fork
    // without this handler.
    let prepare = || -> Prepared {
        let calls = CALLS.close();
        let inherit = CHILD_INHERITS.load(Ordering::Acquire) && calls.wait_for(PATIENCE);
        // In this order: who waits at the rooms below is not busy, but who works in them may be.
        let rooms = module::quiesce();
        let brief = BRIEF.close();
        brief.wait();
        Prepared { inherit, _quiet: Box::new((brief, rooms, calls)) }
    };
    let nothing = |_| Prepared { inherit: false, _quiet: Box::new(()) };
    QUIET.set(Some(ManuallyDrop::new(catch_unwind(prepare).unwrap_or_else(nothing))));
}

unsafe extern "C" fn in_parent() {
    end_quiet();
}

unsafe extern "C" fn in_child() {
    /// The last process that went on with what it inherited.
    static HEIR: AtomicU32 = AtomicU32::new(0);
    let this = std::process::id();
    if end_quiet() == Some(true) {
        HEIR.store(this, Ordering::Relaxed);
    }
    for turnstile in [&CALLS, &BRIEF] {
        turnstile.forget_others();
    }
    // A second run of these handlers knows what the first did.
    if HEIR.load(Ordering::Relaxed) != this {
        module::MODULE.abandon();
        for socket in crate::remote::take_sockets() {
            // SAFETY: it belongs to the module that was just left behind, which nobody can reach; this
            // is the only thread.
            unsafe { libc::close(socket) };
        }
    }
}

/// Ends the quiet, and tells whether the child goes on; nothing if another run of the handlers has
/// ended it.
fn end_quiet() -> Option<bool> {
    let prepared = ManuallyDrop::into_inner(QUIET.take()?);
    let inherit = prepared.inherit;
    drop(catch_unwind(AssertUnwindSafe(|| drop(prepared))));
    Some(inherit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_that_run_twice_quieten_once() {
        for _ in 0..2 {
            for _ in 0..2 {
                // SAFETY: it asks nothing of its caller, and does not unwind.
                unsafe { before() };
            }
            for _ in 0..2 {
                // SAFETY: as above.
                unsafe { in_parent() };
            }
            assert!(QUIET.take().is_none());
        }
    }
}
