//! Objects that were read from the keystore, kept while nobody has changed them.

use std::mem;

use strongroom_keystore::{Changes, ObjectId, Token};
use strongroom_types::{NumberMap, Result};

use crate::error::storage;
use crate::object::Object;
use crate::sync::{Arc, Mutex, lock};

/// What says which objects have changed: the keystore's token.
pub(crate) trait Changing {
    /// The version now.
    fn version(&self) -> strongroom_keystore::Result<u64>;
    /// What has changed since a version.
    fn changes(&self, since: u64) -> strongroom_keystore::Result<Changes>;
}

impl Changing for Token {
    fn version(&self) -> strongroom_keystore::Result<u64> {
        self.version()
    }

    fn changes(&self, since: u64) -> strongroom_keystore::Result<Changes> {
        self.changes(since)
    }
}

/// How many objects each of the two generations holds: enough for the keys that a server uses, and
/// about 2 MB if all of them are RSA keys in use.
const GENERATION: usize = 128;

/// What an object must have been read after, to be kept: a version of the keystore, and how often
/// everything has been forgotten.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    version: u64,
    clears: u64,
}

/// Objects by identifier, in two generations: what is asked for moves to the young one; when that
/// is full it becomes the old one, and what nobody asked for meanwhile is forgotten.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    /// The state for which all of it is right.
    seen: Seen,
    young: NumberMap<ObjectId, Arc<Object>>,
    old: NumberMap<ObjectId, Arc<Object>>,
}

impl Cache {
    /// The object, if it is here and still as the keystore has it; else what it is to be kept with
    /// once it has been read.
    pub(crate) fn get(
        &self,
        token: &impl Changing,
        id: &ObjectId,
    ) -> Result<core::result::Result<Arc<Object>, Seen>> {
        let now = token.version().map_err(storage)?;
        let mut generations = lock(&self.0);
        generations.follow(token, now)?;
        Ok(generations.get(id).ok_or(generations.seen))
    }

    /// Keeps an object that was read after [`get`](Self::get) had not found it, unless anything
    /// has changed since: another thread may have followed that change already, and nobody would
    /// hear of it again.
    pub(crate) fn put(&self, object: Arc<Object>, seen: Seen) {
        let mut generations = lock(&self.0);
        if generations.seen == seen {
            generations.put(object);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut generations = lock(&self.0);
        generations.young.clear();
        generations.old.clear();
        generations.seen.clears += 1;
    }
}

impl Generations {
    /// Drops what has changed since the version that the cache is right for.
    fn follow(&mut self, token: &impl Changing, now: u64) -> Result<()> {
        if now == self.seen.version {
            return Ok(());
        }
        match token.changes(self.seen.version).map_err(storage)? {
            Changes::List(ids) => {
                for id in &ids {
                    self.young.remove(id);
                    self.old.remove(id);
                }
            }
            Changes::All => {
                self.young.clear();
                self.old.clear();
            }
        }
        self.seen.version = now;
        Ok(())
    }

    fn get(&mut self, id: &ObjectId) -> Option<Arc<Object>> {
        if let Some(object) = self.young.get(id) {
            return Some(Arc::clone(object));
        }
        let object = self.old.remove(id)?;
        self.put(Arc::clone(&object));
        Some(object)
    }

    fn put(&mut self, object: Arc<Object>) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(object.id, object);
    }
}
