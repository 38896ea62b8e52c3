//! The keys that an application keeps: those that its sessions used last, and its cache.

use loom::thread;
use strongroom_keystore::{Changes, ObjectId};
use strongroom_types::{Error, ObjectHandle, Result};

use crate::cache::{Cache, Changing};
use crate::every_order;
use crate::object::Object;
use crate::recall::{Looked, Losses, Recall};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

const HANDLE: ObjectHandle = ObjectHandle(1);
const ID: ObjectId = [1; 16];

/// What a session uses, while another thread logs out: once that has returned, neither does the session
/// find a key nor is one left in its memory.
pub fn nothing_is_remembered_after_a_logout() {
    /// What all sessions share: a key for as long as somebody is logged in.
    struct Shared {
        key: Mutex<Option<Arc<Object>>>,
        losses: Losses,
        recall: Recall,
    }

    impl Shared {
        fn uses(&self) -> Result<Arc<Object>> {
            self.recall.object(
                HANDLE,
                &self.losses,
                |_| true,
                || {
                    let object = lock(&self.key).clone().ok_or(Error::ObjectHandleInvalid)?;
                    let twin = Some(Arc::clone(&object));
                    Ok(Looked { object, version: None, twin })
                },
            )
        }

        /// In the order of `Application::log_out`.
        fn log_out(&self) {
            *lock(&self.key) = None;
            self.losses.add();
            self.recall.forget();
        }
    }

    every_order(|| {
        let key = Arc::new(Object { id: ID, value: 0 });
        let shared = Arc::new(Shared {
            key: Mutex::new(Some(key)),
            losses: Losses::default(),
            recall: Recall::default(),
        });
        let user = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || (shared.uses().is_ok(), shared.uses().is_ok()))
        };
        shared.log_out();
        assert!(shared.uses().is_err(), "used after the logout");
        let Ok((before, after)) = user.join() else { unreachable!("a thread panicked") };
        assert!(before || !after, "what was gone came back");
        assert!(shared.recall.get(HANDLE, shared.losses.count()).is_none());
        assert!(shared.recall.get(HANDLE, 0).is_none(), "a key is left in memory");
    });
}

/// What threads read of an object through the cache, while another process changes it: who reads after
/// the change was acknowledged reads what it has become.
pub fn a_changed_object_is_read_again() {
    /// A keystore with one object, which has changed with each version.
    #[derive(Default)]
    struct Stored {
        value: Mutex<u64>,
        version: AtomicU64,
        acknowledged: AtomicU64,
    }

    impl Stored {
        /// As a commit does it: what is read from now on is new, and so is the version.
        fn commit(&self) {
            let mut value = lock(&self.value);
            *value += 1;
            self.version.store(*value, Ordering::Release);
            drop(value);
            self.acknowledged.fetch_add(1, Ordering::AcqRel);
        }
    }

    impl Changing for Stored {
        fn version(&self) -> strongroom_keystore::Result<u64> {
            Ok(self.version.load(Ordering::Acquire))
        }

        fn changes(&self, since: u64) -> strongroom_keystore::Result<Changes> {
            let changed = *lock(&self.value) > since;
            Ok(Changes::List(if changed { vec![ID] } else { Vec::new() }))
        }
    }

    /// In the order of `Token::token_object`.
    fn reads(stored: &Stored, cache: &Cache) {
        let acknowledged = stored.acknowledged.load(Ordering::Acquire);
        let object = match cache.get(stored, &ID) {
            Ok(Ok(object)) => object,
            Ok(Err(seen)) => {
                let object = Arc::new(Object { id: ID, value: *lock(&stored.value) });
                cache.put(Arc::clone(&object), seen);
                object
            }
            Err(error) => unreachable!("{error:?}"),
        };
        assert!(object.value >= acknowledged, "an object of before the change");
    }

    every_order(|| {
        let (stored, cache) = (Arc::new(Stored::default()), Arc::new(Cache::default()));
        let reader = {
            let (stored, cache) = (Arc::clone(&stored), Arc::clone(&cache));
            thread::spawn(move || {
                reads(&stored, &cache);
                reads(&stored, &cache);
            })
        };
        let writer = {
            let stored = Arc::clone(&stored);
            thread::spawn(move || stored.commit())
        };
        reads(&stored, &cache);
        assert!(reader.join().is_ok() && writer.join().is_ok(), "a thread panicked");
        reads(&stored, &cache);
    });
}
