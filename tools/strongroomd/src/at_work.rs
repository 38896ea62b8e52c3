//! The calls that are at work when the store is sealed: what they come to is given to nobody, and who
//! seals the store waits until they have let go of their keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_token::Store;
use strongroom_types::{Error, Result};

/// What tells of slots and not of tokens, or waits for one to come or go.
const OF_SLOTS: [&str; 4] = ["C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_WaitForSlotEvent"];

/// How long who seals the store waits. Nearly every call ends within some milliseconds, but a large
/// key can take minutes to make.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many calls are at work that began while the store was open.
#[derive(Default)]
pub(crate) struct AtWork(AtomicUsize);

/// One of them.
struct Call<'a>(&'a AtWork);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AtWork {
    /// Makes a call; "the token was removed from its slot during the execution of the function" if
    /// the store has been sealed meanwhile.
    pub(crate) fn watch<T>(
        &self,
        store: &Store,
        function: &str,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if OF_SLOTS.contains(&function) {
            return call();
        }
        // Counted before the look: whoever seals the store after it sees this one.
        self.0.fetch_add(1, Ordering::SeqCst);
        let counted = Call(self);
        let era = store.era();
        if store.is_sealed() {
            drop(counted);
            return call();
        }
        let outcome = call();
        if store.era() == era { outcome } else { Err(Error::DeviceRemoved) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until none is left, as long as the store stays sealed.
    pub(crate) fn wait(&self, store: &Store) {
        let start = Instant::now();
        while self.count() > 0 && store.is_sealed() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
