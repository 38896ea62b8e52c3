//! How much of something there may be, over all the applications that share a count: sessions, and bytes
//! that are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of sessions, or bytes, that applications share.
#[derive(Debug)]
pub struct Quota {
    most: usize,
    taken: AtomicUsize,
    /// Of which these are a part.
    all: Option<Arc<Quota>>,
}

/// A part of them, free again when this is dropped.
pub(crate) struct Taken {
    of: Arc<Quota>,
    amount: usize,
}

/// There are not as many left: so many are taken already, where they are too many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

impl Quota {
    /// So many at once, and no more.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0), all: None })
    }

    /// So many of those, and no more.
    #[must_use]
    pub fn within(all: &Arc<Self>, most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0), all: Some(Arc::clone(all)) })
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// So many of them, if as many are left.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Result<Taken, Full> {
        let mut taken = Taken { of: Arc::clone(self), amount: 0 };
        taken.set(amount)?;
        Ok(taken)
    }

    fn add(&self, amount: usize) -> Result<(), Full> {
        if let Some(all) = &self.all {
            all.add(amount)?;
        }
        let sum = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= self.most);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum) {
            Ok(_) => Ok(()),
            Err(taken) => {
                if let Some(all) = &self.all {
                    all.give_back(amount);
                }
                Err(Full(taken))
            }
        }
    }

    fn give_back(&self, amount: usize) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.give_back(amount);
        }
    }
}

impl Taken {
    /// So many from now on. If that is too many, it is as many as before.
    pub(crate) fn set(&mut self, amount: usize) -> Result<(), Full> {
        if amount > self.amount {
            self.of.add(amount - self.amount)?;
        } else if amount < self.amount {
            self.of.give_back(self.amount - amount);
        }
        self.amount = amount;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.of.give_back(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again() {
        let quota = Quota::new(2);
        let (one, _two) = (quota.take(1).ok(), quota.take(1).ok());
        assert_eq!(quota.take(1).err(), Some(Full(2)));
        drop(one);
        assert!(quota.take(1).is_ok());
        assert_eq!(quota.taken(), 1);
    }

    #[test]
    fn a_part_has_no_more_than_its_own_and_no_more_than_there_is() {
        let all = Quota::new(3);
        let [one, other] = [2, 2].map(|most| Quota::within(&all, most));
        let _first = (one.take(1).ok(), one.take(1).ok());
        assert_eq!(one.take(1).err(), Some(Full(2)), "its own");
        assert_eq!(all.taken(), 2, "what is refused takes no place");
        let second = other.take(1).ok();
        assert_eq!(other.take(1).err(), Some(Full(3)), "all there are");
        assert_eq!(other.taken(), 1);
        drop(second);
        assert_eq!((other.taken(), all.taken()), (0, 2));
    }

    #[test]
    fn what_is_taken_grows_and_shrinks_and_goes_back_once() {
        let all = Quota::new(100);
        let one = Quota::within(&all, 60);
        let mut taken = one.take(20).unwrap();
        assert_eq!(taken.set(50), Ok(()));
        for more in [61, usize::MAX] {
            assert_eq!(taken.set(more), Err(Full(50)));
            assert_eq!((one.taken(), all.taken()), (50, 50), "as it was");
        }
        let other = Quota::within(&all, 60);
        let others = other.take(50).ok();
        assert_eq!(taken.set(51), Err(Full(100)), "all there are");
        assert_eq!(taken.set(10), Ok(()));
        assert_eq!((one.taken(), all.taken()), (10, 60));
        drop(taken);
        assert_eq!((one.taken(), all.taken()), (0, 50));
        drop(others);
        assert_eq!(all.taken(), 0);
    }
}
