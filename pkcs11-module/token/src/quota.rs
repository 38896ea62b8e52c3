//! How many sessions there may be, over all the applications that share a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_types::{Error, Result};

/// A number of sessions that applications share.
#[derive(Debug)]
pub struct Quota {
    most: usize,
    taken: AtomicUsize,
}

/// The place of one session, free again when this is dropped.
pub(crate) struct Taken(Arc<Quota>);

impl Quota {
    /// So many sessions at once, and no more.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }

    /// How many sessions are open.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A place for a session.
    ///
    /// # Errors
    ///
    /// [`Error::SessionCount`] if none is free.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Taken> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Taken(Arc::clone(self))),
            Err(taken) => {
                Err(Error::SessionCount.because(|| format!("{taken} sessions are open already")))
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again() {
        let quota = Quota::new(2);
        let (one, _two) = (quota.take().ok(), quota.take().ok());
        assert_eq!(quota.take().err(), Some(Error::SessionCount));
        drop(one);
        assert!(quota.take().is_ok());
        assert_eq!(quota.taken(), 1);
    }
}
