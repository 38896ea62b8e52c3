//! The memory that an application has kept for it from one call to the next, counted where it is not its
//! own: in the daemon. In-process nobody counts, and nothing here costs more than a look.
//!
//! What is kept is session objects, operations under way and searches. Each has a guard beside what it
//! keeps, which gives the bytes back when it is dropped: so nobody has to think of it. Objects of the
//! token are not counted, since what is remembered of them can be read anew; large ones are not
//! remembered.

use std::sync::Arc;

use strongroom_types::{Error, Result};

use crate::quota::{Full, Quota, Taken};

/// What an object takes beside its attributes: its places in tables, and its handle.
pub(crate) const OBJECT: usize = 1 << 10;

/// What an operation, a search or an answer takes uncounted. Most take less; a session has but so many of
/// them; and threads that write to one place wait for each other.
const UNCOUNTED: usize = 4 << 10;

/// The largest object of the token that is remembered, where memory is counted. Keys are smaller.
pub(crate) const LARGEST_REMEMBERED: usize = 16 << 10;

/// How much an application may have kept for it.
#[derive(Clone, Default)]
pub struct Memory(Option<Arc<Quota>>);

/// Bytes that are counted, until this is dropped.
#[derive(Default)]
pub struct Held(Option<Taken>);

impl Memory {
    /// So many bytes; the default is as many as there are.
    #[must_use]
    pub fn of(quota: Arc<Quota>) -> Self {
        Self(Some(quota))
    }

    /// Whether anybody counts.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// Counts so many bytes.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceMemory`] if there are not as many left.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held> {
        let taken = self.0.as_ref().map(|quota| quota.take(bytes)).transpose();
        taken.map(Held).map_err(|full| no_more(&full))
    }

    /// The same for what goes again at once, an answer: it counts if it is large.
    pub(crate) fn lend(&self, bytes: usize) -> Result<Held> {
        self.hold(counted(bytes))
    }
}

/// What is counted of so many bytes.
fn counted(bytes: usize) -> usize {
    if bytes < UNCOUNTED { 0 } else { bytes }
}

impl Held {
    /// So many bytes from now on.
    fn set(&mut self, bytes: usize) -> Result<()> {
        let outcome = self.0.as_mut().map_or(Ok(()), |taken| taken.set(bytes));
        outcome.map_err(|full| no_more(&full))
    }
}

fn no_more(Full(taken): &Full) -> Error {
    Error::DeviceMemory.because(|| format!("{taken} bytes are kept already"))
}

/// What an operation or a search keeps until it ends. The default is one of which nobody counts it.
#[derive(Default)]
pub(crate) struct Kept(Option<Box<Counted>>);

struct Counted {
    held: Held,
    /// What it keeps from the start to the end.
    start: usize,
    /// What it keeps now.
    now: usize,
    growth: Growth,
}

/// What becomes of the data that is added to what is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It is taken in, and takes no room.
    None,
    /// It stays.
    Stays,
    /// Some of it goes out again.
    Passes,
}

impl Kept {
    /// What is kept by one that keeps so much from its start, and grows so.
    pub(crate) fn new(memory: &Memory, start: usize, growth: Growth) -> Result<Self> {
        let never_much = growth == Growth::None && start < UNCOUNTED;
        if !memory.is_counted() || never_much {
            return Ok(Self::default());
        }
        let counted = Counted { held: memory.hold(0)?, start, now: 0, growth };
        let mut kept = Self(Some(Box::new(counted)));
        kept.set(start)?;
        Ok(kept)
    }

    /// Whether anybody counts.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// More comes, and less than that goes out again.
    pub(crate) fn pass(&mut self, more: usize, less: usize) -> Result<()> {
        let Some(Counted { start, now, .. }) = self.0.as_deref() else { return Ok(()) };
        let bytes = now.saturating_add(more).saturating_sub(less).max(*start);
        self.set(bytes)
    }

    /// More comes. It counts if it is to stay.
    pub(crate) fn gather(&mut self, more: usize) -> Result<()> {
        let stays = self.0.as_ref().is_some_and(|counted| counted.growth == Growth::Stays);
        if stays { self.pass(more, 0) } else { Ok(()) }
    }

    /// It is as it was at its start.
    pub(crate) fn rewind(&mut self) {
        let start = self.0.as_ref().map_or(0, |counted| counted.start);
        // What there was room for once, before more came.
        let _ = self.set(start);
    }

    /// So many bytes from now on.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<()> {
        let Some(counted) = self.0.as_deref_mut() else { return Ok(()) };
        if counted.now != bytes {
            counted.held.set(self::counted(bytes))?;
            counted.now = bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 100 << 10;

    #[test]
    fn where_nobody_counts_there_is_no_limit() {
        let mut kept = Kept::new(&Memory::default(), usize::MAX, Growth::Stays).ok().unwrap();
        assert!(kept.pass(usize::MAX, 0).is_ok());
        assert!(Memory::default().hold(usize::MAX).is_ok());
    }

    #[test]
    fn what_stays_is_counted_and_what_goes_out_is_not() {
        let quota = Quota::new(MOST);
        let memory = Memory::of(Arc::clone(&quota));
        let mut kept = Kept::new(&memory, 100, Growth::Passes).ok().unwrap();
        assert_eq!(quota.taken(), 0, "so little is not counted");
        kept.pass(MOST, MOST).unwrap();
        kept.gather(MOST).unwrap();
        assert_eq!(quota.taken(), 0);
        kept.pass(UNCOUNTED, 0).unwrap();
        assert_eq!(quota.taken(), 100 + UNCOUNTED);
        assert_eq!(kept.pass(MOST, 0), Err(Error::DeviceMemory));
        assert_eq!(quota.taken(), 100 + UNCOUNTED, "what is refused takes nothing");
        kept.pass(0, UNCOUNTED + 100).unwrap();
        assert_eq!(quota.taken(), 0);

        let mut gathering = Kept::new(&memory, UNCOUNTED, Growth::Stays).ok().unwrap();
        gathering.gather(1000).unwrap();
        assert_eq!(quota.taken(), UNCOUNTED + 1000);
        gathering.rewind();
        assert_eq!(quota.taken(), UNCOUNTED);
        drop(gathering);
        assert_eq!(quota.taken(), 0);
        let mut hashing = Kept::new(&memory, UNCOUNTED, Growth::None).ok().unwrap();
        hashing.gather(MOST).unwrap();
        assert_eq!(quota.taken(), UNCOUNTED);
        drop(hashing);
        let too_much = Kept::new(&memory, MOST + 1, Growth::None);
        assert_eq!(too_much.err(), Some(Error::DeviceMemory));
        assert_eq!(memory.lend(MOST + 1).err(), Some(Error::DeviceMemory));
        let lent = memory.lend(MOST);
        assert_eq!((lent.is_ok(), quota.taken()), (true, MOST));
    }
}
