//! How many sessions there may be, over all the applications that share a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_types::{Error, Result};

/// A number of sessions that applications share.
#[derive(Debug)]
pub struct Quota {
    most: usize,
    taken: AtomicUsize,
    /// Of which these are a part.
    all: Option<Arc<Quota>>,
}

/// The place of one session, free again when this is dropped.
pub(crate) struct Taken {
    of: Arc<Quota>,
    _all: Option<Box<Taken>>,
}

impl Quota {
    /// So many sessions at once, and no more.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0), all: None })
    }

    /// So many of those, and no more.
    #[must_use]
    pub fn within(all: &Arc<Self>, most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0), all: Some(Arc::clone(all)) })
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
        let all = self.all.as_ref().map(Self::take).transpose()?.map(Box::new);
        let more = |taken| (taken < self.most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Taken { of: Arc::clone(self), _all: all }),
            Err(taken) => {
                Err(Error::SessionCount.because(|| format!("{taken} sessions are open already")))
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(1, Ordering::Relaxed);
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

    #[test]
    fn a_part_has_no_more_than_its_own_and_no_more_than_there_is() {
        let all = Quota::new(3);
        let [one, other] = [2, 2].map(|most| Quota::within(&all, most));
        let _first = (one.take().ok(), one.take().ok());
        assert_eq!(one.take().err(), Some(Error::SessionCount), "its own");
        assert_eq!(all.taken(), 2, "what is refused takes no place");
        let second = other.take().ok();
        assert_eq!(other.take().err(), Some(Error::SessionCount), "all there are");
        assert_eq!(other.taken(), 1);
        drop(second);
        assert_eq!((other.taken(), all.taken()), (0, 2));
    }
}
