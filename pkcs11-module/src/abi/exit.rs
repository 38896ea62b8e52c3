//! The end of the process: from its first moment on, every call is refused.
//!
//! Hosts call PKCS#11 modules from their exit handlers, when half of the process is gone. Nothing
//! of this module is destroyed at exit, and no handler of its own runs; but a call could still
//! start work that nobody will see the end of. Two signs tell that the end has begun.
//!
//! `exit` destroys the variables of the calling thread before it runs the first handler, so a
//! thread that finds its [`Sentinel`] destroyed is ending, alone or with the process. When that
//! thread is the main thread, it is the process: `pthread_exit` there does not destroy them.
//!
//! The second sign is the module's own entry in `.fini_array`, for threads that the first one can
//! not tell: those that never called before.

use core::sync::atomic::{AtomicBool, Ordering};

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

/// The loader runs it after the exit handlers, or before those of objects that it unloads later.
#[cfg(not(miri))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = {
    extern "C" fn at_the_end() {
        BEGUN.store(true, Ordering::Relaxed);
    }
    at_the_end
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_is_told() {
        struct Late(std::sync::mpsc::Sender<bool>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send(begun()).unwrap();
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
        assert!(told.recv().unwrap());
        assert!(!begun(), "the process goes on");
    }
}
