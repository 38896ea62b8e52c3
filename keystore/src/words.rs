//! Two words that all processes share: what they mean, and who may do what with them.

use crate::sync::{AtomicU64, Ordering};

/// The words at the beginning of a file, shared by every process that maps it.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Words {
    /// Odd while a commit is under way, even and new after it.
    generation: AtomicU64,
    /// The highest version that a commit was acknowledged with.
    acknowledged: AtomicU64,
}

impl Words {
    /// The generation word now.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The generation word, unless a commit is under way.
    pub(crate) fn at_rest(&self) -> Option<u64> {
        Some(self.generation()).filter(|word| word % 2 == 0)
    }

    /// The highest version that a commit was acknowledged with, as far as the file remembers.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Commits, with the word odd; and remembers the version, if there is a new one, before anybody
    /// hears that it was committed.
    pub(crate) fn announce<T, E>(
        &self,
        version: Option<u64>,
        commit: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin();
        let outcome = commit();
        if let (Ok(_), Some(version)) = (&outcome, version) {
            self.acknowledge(version);
        }
        self.end();
        outcome
    }

    /// Remembers a version.
    pub(crate) fn acknowledge(&self, version: u64) {
        self.acknowledged.fetch_max(version, Ordering::AcqRel);
    }

    /// Makes the generation word odd: a commit is under way.
    pub(crate) fn begin(&self) {
        self.generation.fetch_or(1, Ordering::AcqRel);
    }

    /// Makes the generation word even and new: the commit is over. It may be even already, because
    /// the end of the commit before this one can come after the beginning of this one.
    pub(crate) fn end(&self) {
        let next = |word: u64| Some((word | 1).wrapping_add(1));
        // The closure always has a next word.
        let _ = self.generation.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}
