//! One PIN check at a time per store.
//!
//! Thirty-two workers that log in together would need thirty-two times the memory of a
//! derivation. A lock file serializes them over all processes. It is a courtesy: where it cannot
//! be made, or somebody keeps it for ten seconds, the check goes on without it.
//!
//! It does not make parallel guesses wait for each other. An attempt waits for the delay once and
//! without the lock, so as many guesses as there are guessers are made in each delay: if the wait
//! began again after each wrong PIN of somebody else, one guesser could keep the rightful user
//! out for ever. What bounds parallel guessing is `[pin] lockout`, and nothing else.
//!
//! Such a lock belongs to the open file, which the parent and the child of a fork share. A child that is
//! forked in the middle of somebody's turn would keep the turn if its parent were killed in it, for as
//! long as it lives. So the files are on a list, and a child closes its copies: that lets go of nothing as
//! long as the parent has the file open.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::backend::sqlite::{
    Wait,
    files::{beside, read_beside},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// The name of the lock file in the store.
pub(crate) const NAME: &str = "pin.lock";

/// The lock files of those who have a turn or wait for one, by the numbers of their tickets. Nothing else
/// is locked behind it.
static FILES: Mutex<Vec<(u64, File)>> = Mutex::new(Vec::new());

/// The queue of a store.
pub(crate) struct PinQueue(PathBuf);

/// A turn; the next begins when it is dropped.
pub(crate) struct PinTurn {
    _ticket: Option<Ticket>,
}

impl PinQueue {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join(NAME))
    }

    pub(crate) fn turn(&self) -> PinTurn {
        let Some(ticket) = Ticket::new(&self.0) else { return PinTurn { _ticket: None } };
        let mut wait = Wait::new(PATIENCE);
        while !ticket.is_first() {
            if !wait.once() {
                return PinTurn { _ticket: None };
            }
        }
        PinTurn { _ticket: Some(ticket) }
    }
}

/// A lock file that is on the list.
struct Ticket(u64);

impl Ticket {
    /// Nothing if the file cannot be made.
    fn new(path: &Path) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Before the file is opened: no fork comes between.
        let mut files = files();
        let file = beside(path, 0).or_else(|_| read_beside(path)).ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        files.push((number, file));
        Some(Self(number))
    }

    /// Takes the lock, if nobody has it.
    fn is_first(&self) -> bool {
        files().iter().any(|(number, file)| *number == self.0 && file.try_lock().is_ok())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut files = files();
        if let Some(at) = files.iter().position(|(number, _)| *number == self.0) {
            let (_, file) = files.swap_remove(at);
            // Explicitly: a descriptor that a child inherited without being told must not keep the lock.
            let _ = file.unlock();
        }
    }
}

fn files() -> MutexGuard<'static, Vec<(u64, File)>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held while the process forks: no lock file is opened meanwhile.
pub(crate) struct Quiet {
    files: MutexGuard<'static, Vec<(u64, File)>>,
    parent: u32,
}

pub(crate) fn quiesce() -> Quiet {
    Quiet { files: files(), parent: process::id() }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if process::id() != self.parent {
            self.files.clear();
        }
    }
}
