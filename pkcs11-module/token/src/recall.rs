//! The object that a session has used last. Most sessions use one key again and again, and finding it
//! in what all threads share costs them more than a short signature does.
//!
//! It is good for as long as nothing has changed that a look at the shared tables would see. That is
//! told by two numbers, the token's [`Losses`] and the version of the keystore, which everybody reads
//! and seldom anybody writes. They are read before the look, so that what changes in the course of it
//! is seen the next time.
//!
//! Who destroys an object, or logs out, has the sessions forget it, so that no key outlives itself here.

use strongroom_keystore::ObjectId;
use strongroom_types::{ObjectHandle, Result};

use crate::object::Object;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

/// How often an application has lost sight of objects of a token, or they became others, otherwise
/// than by a change of the keystore. Two cache lines of its own, because processors fetch them in
/// pairs, and beside it are locks.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Losses(AtomicU64);

impl Losses {
    /// The number now.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// One more: called after the change, and before anybody hears of it.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The object that was found last, and when.
#[derive(Default)]
pub(crate) struct Recall(Mutex<Option<Found>>);

struct Found {
    handle: ObjectHandle,
    /// The token's losses when it was looked for.
    losses: u64,
    /// The version of the keystore, for an object of it, and for one that only the user may see.
    version: Option<u64>,
    object: Arc<Object>,
}

/// What a look at the shared tables has found.
pub(crate) struct Looked {
    pub(crate) object: Arc<Object>,
    /// The version of the keystore before the look, for an object of it.
    pub(crate) version: Option<u64>,
    /// What is remembered of it, if it is worth that.
    pub(crate) twin: Option<Arc<Object>>,
}

impl Recall {
    /// The object of a handle: the one that is remembered, if it still is what a look would find, or
    /// what a look finds.
    pub(crate) fn object(
        &self,
        handle: ObjectHandle,
        of_token: &Losses,
        is_now: impl FnOnce(u64) -> bool,
        look: impl FnOnce() -> Result<Looked>,
    ) -> Result<Arc<Object>> {
        let losses = of_token.count();
        if let Some((object, version)) = self.get(handle, losses)
            && version.is_none_or(is_now)
        {
            return Ok(object);
        }
        let Looked { object, version, twin } = look()?;
        if let Some(twin) = twin {
            self.put(handle, losses, version, twin, of_token);
        }
        Ok(object)
    }

    /// The object of a handle, if that is the one and the token has had no more losses; and the version
    /// of the keystore for which it is right, if it is an object of it.
    pub(crate) fn get(
        &self,
        handle: ObjectHandle,
        losses: u64,
    ) -> Option<(Arc<Object>, Option<u64>)> {
        let found = lock(&self.0);
        let found = found.as_ref().filter(|it| it.handle == handle && it.losses == losses)?;
        Some((Arc::clone(&found.object), found.version))
    }

    /// Remembers an object that was looked for after so many losses of the token, unless it has had
    /// more: who logs out adds one and then has every session forget, and after that no session may
    /// remember what was found before.
    pub(crate) fn put(
        &self,
        handle: ObjectHandle,
        losses: u64,
        version: Option<u64>,
        object: Arc<Object>,
        of_token: &Losses,
    ) {
        let mut found = lock(&self.0);
        if of_token.count() == losses {
            *found = Some(Found { handle, losses, version, object });
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
    use strongroom_functions::Cryptoki;
    use strongroom_keystore::Config;
    use strongroom_keystore::config::Seal;
    use strongroom_types::{Attributes, Class, Error, KeyType, UserType, attribute};

    use super::*;
    use crate::Application;

    const HANDLE: ObjectHandle = ObjectHandle(7);

    fn object() -> Arc<Object> {
        Arc::new(Object::stored([1; 16], 0, Attributes::default()))
    }

    #[test]
    fn only_this_object_and_only_as_long_as_nothing_changes() {
        let (recall, losses) = (Recall::default(), Losses::default());
        assert!(recall.get(HANDLE, 0).is_none());
        recall.put(HANDLE, 0, Some(1), object(), &losses);
        assert!(recall.get(HANDLE, 0).is_some_and(|(_, version)| version == Some(1)));
        assert!(recall.get(ObjectHandle(8), 0).is_none());
        losses.add();
        assert!(recall.get(HANDLE, losses.count()).is_none());
        recall.forget_objects(&[[2; 16]]);
        assert!(recall.get(HANDLE, 0).is_some(), "another object is gone");
        recall.forget_objects(&[[2; 16], [1; 16]]);
        assert!(lock(&recall.0).is_none());
        recall.put(HANDLE, 1, None, object(), &losses);
        recall.forget();
        assert!(recall.get(HANDLE, 1).is_none());
    }

    #[test]
    fn what_was_found_before_a_logout_is_not_remembered_after_it() {
        let (recall, losses) = (Recall::default(), Losses::default());
        let before = losses.count();
        losses.add();
        recall.put(HANDLE, before, None, object(), &losses);
        assert!(lock(&recall.0).is_none());
    }

    #[test]
    fn nothing_is_remembered_longer_than_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let (store, seal) = (dir.path().join("store"), Seal::File(dir.path().join("seal.key")));
        let application = Application::open(Config::plain(store, seal)).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        let open = || application.open_session(slot, true).unwrap();
        let login = |session, user| application.login(session, user, b"1234").unwrap();
        application.init_token(slot, b"1234", &[b' '; 32]).unwrap();
        let user = open();
        login(user, UserType::SECURITY_OFFICER);
        application.init_pin(user, b"1234").unwrap();
        application.logout(user).unwrap();
        login(user, UserType::USER);

        let uses = |handle| -> Result<()> {
            application.attributes(user, handle, &[attribute::CLASS.info.id]).map(drop)
        };
        let remembered = |owner, on_token: bool| {
            let mut key = Attributes::default();
            key.set(attribute::CLASS, Class::SECRET_KEY.0);
            key.set(attribute::KEY_TYPE, KeyType::AES.0);
            key.set(attribute::VALUE, [7; 16].as_slice());
            key.set(attribute::TOKEN, on_token);
            let handle = application.create_object(owner, key).unwrap();
            uses(handle).unwrap();
            let session = application.sessions.find(user).unwrap();
            let found = lock(&session.recall.0).as_ref().map(|found| found.handle);
            assert_eq!(found, Some(handle));
            handle
        };
        let gone = Err(Error::ObjectHandleInvalid);

        let other = open();
        let key = remembered(other, false);
        application.close_session(other).unwrap();
        assert_eq!(uses(key), gone, "a session object goes with its session");
        for on_token in [false, true] {
            let other = open();
            let key = remembered(other, on_token);
            application.destroy_object(other, key).unwrap();
            assert_eq!(uses(key), gone, "destroyed, on the token: {on_token}");
        }
        for on_token in [false, true] {
            let key = remembered(user, on_token);
            application.logout(user).unwrap();
            assert_eq!(uses(key), gone, "logged out, on the token: {on_token}");
            login(user, UserType::USER);
            assert_eq!(uses(key), gone, "logged in again, on the token: {on_token}");
        }
    }
}
