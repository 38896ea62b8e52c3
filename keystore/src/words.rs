//! Two words that all processes share: what they mean, and who may do what with them.

use crate::sync::{AtomicU64, Ordering};

/// The words at the beginning of a file, shared by every process that maps it.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Words {
    /// Odd while a commit is under way, and another odd number in each; even and new after it.
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
        let begun = self.begin();
        let outcome = commit();
        if let (Ok(_), Some(version)) = (&outcome, version) {
            self.acknowledge(version);
        }
        self.end(begun);
        outcome
    }

    /// Remembers a version.
    pub(crate) fn acknowledge(&self, version: u64) {
        self.acknowledged.fetch_max(version, Ordering::AcqRel);
    }

    /// Makes the generation word odd and new: a commit is under way. It may be odd already, because the
    /// end of the commit before this one can come after the beginning of this one, or never, if its
    /// writer was killed. Says what it is now, which is for [`Words::end`].
    pub(crate) fn begin(&self) -> u64 {
        let next = |word: u64| word.wrapping_add(1) | 1;
        // The closure always has a next word.
        let (Ok(word) | Err(word)) =
            self.generation
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some(next(word)));
        next(word)
    }

    /// Makes the generation word even and new: the commit that made it this is over. Where another has
    /// begun since, it is for that one to do: were the word even now, and that writer killed behind
    /// its commit, readers would take what they have read before it for the last.
    pub(crate) fn end(&self, begun: u64) {
        let (next, order) = (begun.wrapping_add(1), Ordering::Acquire);
        let _ = self.generation.compare_exchange(begun, next, Ordering::AcqRel, order);
    }
}
