//! The table of sessions: who is in it by which handle.

use strongroom_types::{Error, NumberMap, Result, SessionHandle};

use crate::sync::{Arc, AtomicU64, Ordering, RwLock, read, write};

/// How many parts the map of sessions has: threads that open and close sessions seldom meet.
const PARTS: usize = 16;

/// One of them. Two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
struct Part<S>(RwLock<NumberMap<u64, Arc<S>>>);

/// The sessions of an application, by handle. A number is never given twice.
pub(crate) struct Sessions<S> {
    parts: [Part<S>; PARTS],
    last: AtomicU64,
}

impl<S> Sessions<S> {
    /// None yet; their handles come after this number.
    pub(crate) fn after(last: u64) -> Self {
        let parts = std::array::from_fn(|_| Part(RwLock::new(NumberMap::default())));
        Self { parts, last: AtomicU64::new(last) }
    }

    /// Keeps a new session under a new handle.
    pub(crate) fn open(&self, make: impl FnOnce(SessionHandle) -> S) -> SessionHandle {
        let handle = SessionHandle(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        if let Some(part) = self.part(handle) {
            write(&part.0).insert(handle.0, Arc::new(make(handle)));
        }
        handle
    }

    /// The session of a handle.
    pub(crate) fn find(&self, handle: SessionHandle) -> Result<Arc<S>> {
        self.part(handle)
            .and_then(|part| read(&part.0).get(&handle.0).cloned())
            .ok_or(Error::SessionHandleInvalid)
    }

    /// Takes a session out; calls that are in it finish.
    pub(crate) fn close(&self, handle: SessionHandle) -> Result<Arc<S>> {
        self.part(handle)
            .and_then(|part| write(&part.0).remove(&handle.0))
            .ok_or(Error::SessionHandleInvalid)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| read(&part.0).is_empty())
    }

    /// Does something with each session. It waits for nothing.
    pub(crate) fn each(&self, act: impl Fn(&Arc<S>)) {
        for part in &self.parts {
            read(&part.0).values().for_each(&act);
        }
    }

    /// All that are chosen.
    pub(crate) fn that(&self, chosen: impl Fn(&Arc<S>) -> bool) -> Vec<Arc<S>> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(read(&part.0).values().filter(|session| chosen(session)).cloned());
        }
        all
    }

    fn part(&self, handle: SessionHandle) -> Option<&Part<S>> {
        let parts = u64::try_from(PARTS).ok()?;
        self.parts.get(usize::try_from(handle.0 % parts).ok()?)
    }
}
