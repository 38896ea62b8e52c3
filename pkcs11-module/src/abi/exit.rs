//! The end of the process: from its first moment on, every call is refused.
//!
//! Hosts call PKCS#11 modules from their exit handlers, when half of the process is gone. Nothing
//! of this module is destroyed at exit; but a call could still start work that nobody will see the
//! end of. Three signs tell that the end has begun.
//!
//! `exit` destroys the variables of the calling thread before it runs the first handler, so a
//! thread that finds its [`Sentinel`] destroyed is ending, alone or with the process. When that
//! thread is the main thread, it is the process: `pthread_exit` there does not destroy them. Of
//! another thread nobody can tell yet, so what it says in its last moments is taken only where
//! refusing it would leave sessions open in a process that goes on: it may close them and log out.
//!
//! The second sign is an exit handler that does nothing but tell, for a main thread that never
//! called before: handlers run backwards, so those that were there before the first `C_Initialize`
//! find it told. The third is the module's own entry in `.fini_array`.

use core::sync::atomic::{AtomicBool, Ordering};

use strongroom_types::{Error, Result};

static BEGUN: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SENTINEL: Sentinel = const { Sentinel };
}

/// A thing of a thread's, whose only purpose is to be destroyed.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        let process = rustix::process::getpid();
        if rustix::thread::gettid() == process {
            BEGUN.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the process, or this thread, has begun to end.
pub(super) fn begun() -> bool {
    BEGUN.load(Ordering::Relaxed) || SENTINEL.try_with(|_| ()).is_err()
}

/// Whether the process is known to have begun to end, whatever becomes of this thread.
pub(super) fn begun_for_all() -> bool {
    // Asked for its effect: from here on the thread has a sentinel.
    let _this_thread_ends = begun();
    BEGUN.load(Ordering::Relaxed)
}

/// Has the end of the process told, from the first call of this on. Once is enough; the caller sees
/// to it that no two threads call this at once.
pub(crate) fn watch_exit() -> Result<()> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the handler is a function of this module, which is never unloaded; it does not unwind.
    if unsafe { libc::atexit(at_the_end) } != 0 {
        return Err(Error::HostMemory);
    }
    WATCHED.store(true, Ordering::Release);
    Ok(())
}

extern "C" fn at_the_end() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// The loader runs it after the exit handlers, or before those of objects that it unloads later.
#[cfg(not(miri))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = at_the_end;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_is_told() {
        struct Late(std::sync::mpsc::Sender<[bool; 2]>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send([begun(), begun_for_all()]).unwrap();
            }
        }
        thread_local! {
            static LATE: core::cell::RefCell<Option<Late>> = const { core::cell::RefCell::new(None) };
        }
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Destroyed after the sentinel, because destruction goes backwards.
            LATE.set(Some(Late(tell)));
            assert!(!begun());
        })
        .join()
        .unwrap();
        assert_eq!(told.recv().unwrap(), [true, false]);
        assert!(!begun(), "the process goes on");
    }
}
