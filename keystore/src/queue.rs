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

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::backend::sqlite::{
    Wait,
    files::{beside, read_beside},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// The name of the lock file in the store.
pub(crate) const NAME: &str = "pin.lock";

/// The queue of a store.
pub(crate) struct PinQueue(PathBuf);

/// A turn; the next begins when it is dropped.
pub(crate) struct PinTurn(Option<File>);

impl PinQueue {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join(NAME))
    }

    pub(crate) fn turn(&self) -> PinTurn {
        let Ok(file) = beside(&self.0, 0).or_else(|_| read_beside(&self.0)) else {
            return PinTurn(None);
        };
        let mut wait = Wait::new(PATIENCE);
        while file.try_lock().is_err() {
            if !wait.once() {
                return PinTurn(None);
            }
        }
        PinTurn(Some(file))
    }
}

impl Drop for PinTurn {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Explicitly: a descriptor that a child inherited must not keep the lock.
            let _ = file.unlock();
        }
    }
}
