//! Forks: a child starts without a module, and the parent goes on as if nothing had happened.
//! Where the configuration wants it, as SoftHSM2 has it, the child goes on too.
//!
//! Handlers do it, so that no call has to ask the system who it is. A child that comes into being
//! without them, by `vfork` or `posix_spawn`, does nothing but start another program.

use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::catch_unwind;

use strongroom_types::{Error, Result};

use super::brief;
use crate::module;

/// What keeps the rooms below quiet, whatever its type.
pub(crate) trait Quiet {}

impl<T> Quiet for T {}

thread_local! {
    /// Held from before a fork until after it, by the thread that forks. It has no destructor, so
    /// a thread may fork in its last moments.
    static QUIET: Cell<Option<ManuallyDrop<Box<dyn Quiet>>>> = const { Cell::new(None) };
}

/// Whether a child goes on with the module of its parent.
static CHILD_INHERITS: AtomicBool = AtomicBool::new(false);

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
    let quiesce = || {
        // In this order: who waits at the rooms below is not busy, but who works in them may be.
        let rooms = module::quiesce();
        (brief::quiesce(), rooms)
    };
    if let Ok(quiet) = catch_unwind(quiesce) {
        QUIET.set(Some(ManuallyDrop::new(Box::new(quiet))));
    }
}

unsafe extern "C" fn in_parent() {
    end_quiet();
}

unsafe extern "C" fn in_child() {
    end_quiet();
    if !CHILD_INHERITS.load(Ordering::Acquire) {
        module::MODULE.abandon();
    }
}

/// Ends the quiet, unless another run of the handlers has.
fn end_quiet() {
    if let Some(quiet) = QUIET.take() {
        drop(catch_unwind(std::panic::AssertUnwindSafe(|| drop(ManuallyDrop::into_inner(quiet)))));
    }
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
