//! Remembering a version for as long as nothing can have changed.

use nix::time::{ClockId, clock_gettime};

use crate::backend::sqlite::FRESH;
use crate::sync::{AtomicU64, Mutex, Ordering, PoisonError};

/// No generation word: those that are remembered are even.
const NOTHING: u64 = u64::MAX;

/// The version that was read while the generation word had a value.
///
/// Read without a lock by every search and signature: the word is stored last and checked twice,
/// so a reader sees a matching pair or none.
pub(crate) struct Fresh {
    word: AtomicU64,
    version: AtomicU64,
    /// When, as [`now`] tells it.
    read_at: AtomicU64,
    writing: Mutex<()>,
}

impl Fresh {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(NOTHING),
            version: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
            writing: Mutex::new(()),
        }
    }

    /// The version, if the word is as it was and the memory is younger than 100 ms. (Somebody may
    /// write without moving the word: an operator with the engine's own shell.)
    pub(crate) fn version(&self, word: Option<u64>) -> Option<u64> {
        self.version_at(word, now()?)
    }

    /// The version, at a time.
    pub(crate) fn version_at(&self, word: Option<u64>, now: u64) -> Option<u64> {
        let word = word.filter(|&word| word == self.word.load(Ordering::Acquire))?;
        let version = self.version.load(Ordering::Acquire);
        let read_at = self.read_at.load(Ordering::Acquire);
        let same = self.word.load(Ordering::Acquire) == word;
        (same && is_fresh(read_at, now)).then_some(version)
    }

    /// Remembers a version that was read after the word.
    pub(crate) fn remember(&self, word: Option<u64>, version: u64) {
        if let Some(now) = now() {
            self.remember_at(word, version, now);
        }
    }

    /// Remembers a version that was read after the word and after a time.
    pub(crate) fn remember_at(&self, word: Option<u64>, version: u64, now: u64) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.word.store(NOTHING, Ordering::SeqCst);
        self.version.store(version, Ordering::SeqCst);
        self.read_at.store(now, Ordering::SeqCst);
        self.word.store(word.unwrap_or(NOTHING), Ordering::SeqCst);
    }
}

/// Whether what was read at one time, as [`now`] tells it, may still be taken for what is there.
pub(crate) fn is_fresh(read_at: u64, now: u64) -> bool {
    u128::from(now.saturating_sub(read_at)) < FRESH.as_millis()
}

/// Milliseconds since the machine was started, to some milliseconds: looking at a clock that is exact
/// costs more than the rest of the question. Nothing where there is no such clock.
pub(crate) fn now() -> Option<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).ok()?;
    let [seconds, nanoseconds] = [now.tv_sec(), now.tv_nsec()].map(i64::unsigned_abs);
    Some(seconds * 1000 + nanoseconds / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_lasts_as_long_as_its_word_and_no_longer_than_100_ms() {
        let fresh = Fresh::new();
        assert_eq!(fresh.version_at(Some(2), 1000), None);
        fresh.remember_at(Some(2), 7, 1000);
        assert_eq!(fresh.version_at(Some(2), 1099), Some(7));
        assert_eq!(fresh.version_at(Some(4), 1099), None);
        assert_eq!(fresh.version_at(None, 1099), None);
        assert_eq!(fresh.version_at(Some(2), 1100), None);
        fresh.remember_at(None, 8, 1100);
        assert_eq!(fresh.version_at(None, 1100), None);
    }
}
