//! The object that a session has used last. Most sessions use one key again and again, and finding it
//! in what all threads share costs them more than a short signature does.
//!
//! It is good for as long as nothing has changed that a look at the shared tables would see. That is
//! told by three numbers, which everybody reads and seldom anybody writes. They are read before the
//! look, so that what changes in the course of it is seen the next time.
//!
//! Who destroys an object, or logs out, has the sessions forget it, so that no key outlives itself here.

use std::sync::{Arc, Mutex};

use strongroom_keystore::ObjectId;
use strongroom_types::ObjectHandle;

use crate::object::Object;
use crate::sync::lock;

/// When a session has looked for an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// How often the application has lost sight of objects of the token.
    pub(crate) token: u64,
    /// How often it has taken handles back.
    pub(crate) handles: u64,
}

/// The object that was found last, and when.
#[derive(Default)]
pub(crate) struct Recall(Mutex<Option<Found>>);

struct Found {
    handle: ObjectHandle,
    moment: Moment,
    /// The version of the keystore, for an object of it.
    version: Option<u64>,
    object: Arc<Object>,
}

impl Recall {
    /// The object of a handle, if that is the one and this is still the moment; and the version of the
    /// keystore for which it is right, if it is an object of it.
    pub(crate) fn get(
        &self,
        handle: ObjectHandle,
        moment: Moment,
    ) -> Option<(Arc<Object>, Option<u64>)> {
        let found = lock(&self.0);
        let found = found.as_ref().filter(|it| it.handle == handle && it.moment == moment)?;
        Some((Arc::clone(&found.object), found.version))
    }

    /// Remembers an object, unless the token's number has moved on: who logs out moves it and then
    /// has every session forget, and after that no session may remember what was found before.
    pub(crate) fn put(
        &self,
        handle: ObjectHandle,
        moment: Moment,
        version: Option<u64>,
        object: &Arc<Object>,
        token_now: impl FnOnce() -> u64,
    ) {
        let mut found = lock(&self.0);
        if token_now() == moment.token {
            *found = Some(Found { handle, moment, version, object: Arc::clone(object) });
        }
    }

    /// Forgets it.
    pub(crate) fn forget(&self) {
        drop(lock(&self.0).take());
    }

    /// Forgets it if it is one of these.
    pub(crate) fn forget_objects(&self, ids: &[ObjectId]) {
        drop(lock(&self.0).take_if(|found| ids.contains(&found.object.id)));
    }
}

#[cfg(test)]
mod tests {
    use strongroom_types::Attributes;

    use super::*;

    const HANDLE: ObjectHandle = ObjectHandle(7);
    const MOMENT: Moment = Moment { token: 2, handles: 3 };

    fn object() -> Arc<Object> {
        Arc::new(Object::stored([1; 16], 0, Attributes::default()))
    }

    #[test]
    fn only_this_object_and_only_as_long_as_nothing_changes() {
        let recall = Recall::default();
        assert!(recall.get(HANDLE, MOMENT).is_none());
        recall.put(HANDLE, MOMENT, Some(1), &object(), || MOMENT.token);
        assert!(recall.get(HANDLE, MOMENT).is_some_and(|(_, version)| version == Some(1)));
        assert!(recall.get(ObjectHandle(8), MOMENT).is_none());
        for changed in [Moment { token: 3, ..MOMENT }, Moment { handles: 4, ..MOMENT }] {
            assert!(recall.get(HANDLE, changed).is_none());
        }
        recall.forget_objects(&[[2; 16]]);
        assert!(recall.get(HANDLE, MOMENT).is_some(), "another object is gone");
        recall.forget_objects(&[[2; 16], [1; 16]]);
        assert!(lock(&recall.0).is_none());
        recall.put(HANDLE, MOMENT, None, &object(), || MOMENT.token);
        recall.forget();
        assert!(recall.get(HANDLE, MOMENT).is_none());
    }

    #[test]
    fn what_was_found_before_a_logout_is_not_remembered_after_it() {
        let recall = Recall::default();
        recall.put(HANDLE, MOMENT, None, &object(), || MOMENT.token + 1);
        assert!(lock(&recall.0).is_none());
    }
}
