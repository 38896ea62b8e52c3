//! The applications that are being served: one for each process that calls, however many
//! connections it has.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_functions::frame::Secret;
use strongroom_token::{Application, Held};

use crate::peer::Peer;

/// By the secret that the connections of an application share.
#[derive(Default)]
pub(crate) struct Applications(Mutex<HashMap<Secret, Arc<Served>>>);

/// An application, and whose it is.
pub(crate) struct Served {
    pub(crate) application: Application,
    pub(crate) secret: Secret,
    owner: (i32, u32),
    connections: AtomicUsize,
}

/// A connection's share of an application. With the last one the application goes.
pub(crate) struct Share<'a> {
    all: &'a Applications,
    served: Arc<Served>,
    /// Whether it counts no longer.
    given_up: Cell<bool>,
}

impl Share<'_> {
    /// Gives the share up, if nothing is lost with it. Of two connections that ask at once one stays.
    pub(crate) fn give_up(&self) -> bool {
        if self.application.is_idle() {
            return true;
        }
        let _alone = self.all.map();
        let others = self.served.connections.load(Ordering::Relaxed) > 1;
        if others && !self.given_up.replace(true) {
            self.served.connections.fetch_sub(1, Ordering::Relaxed);
        }
        others
    }
}

impl Served {
    /// Counts an answer that is longer than a request can be, as long as its caller takes it: who takes none
    /// would have the daemon keep one for each connection. What is shorter is no more than the caller sent.
    pub(crate) fn lend(&self, len: usize, frame: usize) -> strongroom_types::Result<Held> {
        self.application.lend(if len > frame { len } else { 0 })
    }
}

impl std::ops::Deref for Share<'_> {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Applications {
    /// A new application.
    pub(crate) fn found(&self, peer: &Peer, application: Application) -> Result<Share<'_>, String> {
        let mut secret = Secret::default();
        // The kernel gives all of so few bytes.
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| format!("the system has no random numbers: {error}"))?;
        let owner = (peer.pid, peer.uid);
        let connections = AtomicUsize::new(1);
        let served = Arc::new(Served { application, secret, owner, connections });
        self.map().insert(secret, Arc::clone(&served));
        Ok(Share { all: self, served, given_up: Cell::new(false) })
    }

    /// One more connection of the process that founded it.
    pub(crate) fn join(&self, peer: &Peer, secret: &Secret) -> Option<Share<'_>> {
        let map = self.map();
        let served = map.get(secret).filter(|served| served.owner == (peer.pid, peer.uid))?;
        served.connections.fetch_add(1, Ordering::Relaxed);
        let served = Arc::clone(served);
        Some(Share { all: self, served, given_up: Cell::new(false) })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.map().len()
    }

    /// All there are.
    pub(crate) fn all(&self) -> Vec<Arc<Served>> {
        self.map().values().map(Arc::clone).collect()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Secret, Arc<Served>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.given_up.get() {
            return;
        }
        let mut map = self.all.map();
        if self.served.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            let last = map.remove(&self.served.secret);
            // Its sessions close with no lock held.
            drop(map);
            drop(last);
        }
    }
}
