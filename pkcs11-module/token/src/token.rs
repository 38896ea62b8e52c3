//! A token as one application sees it: the stored token, the application's login and sessions, and
//! its session objects.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use strongroom_keystore::{Change, ObjectId, Role, Token as Stored, Unlocked};
use strongroom_types::{Attributes, Error, NumberMap, Result, SessionHandle, attribute};

use crate::cache::{Cache, Seen};
use crate::error::storage;
use crate::memory::{LARGEST_REMEMBERED, Memory};
use crate::object::{Object, Terms};
use crate::recall::Losses;
use crate::session::Session;
use crate::sync::{read, write};

pub(crate) struct Token {
    pub(crate) stored: Arc<Stored>,
    /// Login and session counts change together: the last session to go logs out.
    pub(crate) presence: RwLock<Presence>,
    session_objects: RwLock<NumberMap<ObjectId, (SessionHandle, Arc<Object>)>>,
    cache: Cache,
    pub(crate) losses: Losses,
    /// How much the application may have kept for it.
    pub(crate) memory: Memory,
}

/// Who of the application is at the token.
#[derive(Default)]
pub(crate) struct Presence {
    pub(crate) login: Option<Login>,
    pub(crate) sessions: u64,
    pub(crate) rw_sessions: u64,
}

impl Presence {
    /// Who is logged in. Nobody is any more where another process has replaced the master key of the
    /// token: what the PIN has opened opens nothing now.
    pub(crate) fn login(&self, stored: &Stored) -> Option<&Login> {
        self.login.as_ref().filter(|login| login.holds(stored))
    }

    /// What opens private objects, if the user is logged in.
    fn user(&self, stored: &Stored) -> Option<Arc<Unlocked>> {
        let login = self.login(stored).filter(|login| login.role == Role::User)?;
        Some(Arc::clone(&login.keys))
    }
}

/// Who is logged in, with what the PIN has opened.
pub(crate) struct Login {
    pub(crate) role: Role,
    pub(crate) keys: Arc<Unlocked>,
    /// The version of the keystore at which the keys were last found to be the present ones.
    seen: AtomicU64,
}

impl Login {
    pub(crate) fn new(role: Role, keys: Arc<Unlocked>) -> Self {
        Self { role, keys, seen: AtomicU64::default() }
    }

    /// Whether the keys are still those of the token's master key. What fails here fails again where
    /// they are used, and is told there.
    fn holds(&self, stored: &Stored) -> bool {
        let Ok(now) = stored.version() else { return true };
        if self.seen.load(Ordering::Acquire) == now {
            return true;
        }
        let holds = stored.holds(&self.keys).unwrap_or(true);
        if holds {
            self.seen.store(now, Ordering::Release);
        }
        holds
    }
}

/// How long a change is tried again while others change the same object first. One of them does each time, so
/// all of as many as there are threads come to their turn.
const PATIENCE: Duration = Duration::from_secs(5);

impl Token {
    pub(crate) fn new(stored: Arc<Stored>, memory: Memory) -> Self {
        Self {
            stored,
            presence: RwLock::default(),
            session_objects: RwLock::default(),
            cache: Cache::default(),
            losses: Losses::default(),
            memory,
        }
    }

    /// Who is logged in.
    pub(crate) fn role(&self) -> Option<Role> {
        read(&self.presence).login(&self.stored).map(|login| login.role)
    }

    /// Whether this user is logged in.
    pub(crate) fn is(&self, role: Role) -> bool {
        self.role() == Some(role)
    }

    /// What opens private objects; only the user has it, though the security officer could.
    pub(crate) fn keys(&self) -> Option<Arc<Unlocked>> {
        read(&self.presence).user(&self.stored)
    }

    /// Forgets the login, and with it what only the user may have: private session objects, and
    /// whatever has been decrypted.
    pub(crate) fn log_out(&self, presence: &mut Presence) {
        presence.login = None;
        write(&self.session_objects).retain(|_, (_, object)| !object.private());
        self.cache.clear();
        self.losses.add();
    }

    /// A token object, if this application may see it.
    pub(crate) fn token_object(&self, id: &ObjectId) -> Result<Arc<Object>> {
        let object = match self.cache.get(&*self.stored, id)? {
            Ok(object) => object,
            Err(seen) => self.load(id, seen)?,
        };
        self.show(object)
    }

    /// A session object, if this application may see it.
    pub(crate) fn session_object(&self, id: &ObjectId) -> Result<Arc<Object>> {
        let objects = read(&self.session_objects);
        let object = objects.get(id).map(|(_, object)| Arc::clone(object));
        drop(objects);
        self.show(object.ok_or(Error::ObjectHandleInvalid)?)
    }

    fn show(&self, object: Arc<Object>) -> Result<Arc<Object>> {
        if object.private() && !self.is(Role::User) {
            return Err(Error::ObjectHandleInvalid);
        }
        Ok(object)
    }

    fn load(&self, id: &ObjectId, seen: Seen) -> Result<Arc<Object>> {
        let keys = self.keys();
        let record =
            self.stored.load(keys.as_deref(), *id).map_err(|error| match storage(error) {
                Error::UserNotLoggedIn => Error::ObjectHandleInvalid,
                error => error,
            })?;
        let attributes = Attributes::decode(&record.body).ok_or(Error::DeviceError)?;
        let object = Arc::new(Object::stored(*id, record.revision, attributes));
        if self.remembers(&object) {
            self.cache.put(Arc::clone(&object), seen);
        }
        Ok(object)
    }

    /// Whether an object may stay in memory for longer than a call. What does not count has to be small.
    pub(crate) fn remembers(&self, object: &Object) -> bool {
        !self.memory.is_counted() || object.is_held() || object.size() <= LARGEST_REMEMBERED
    }

    /// Adds objects, token objects in one durable step and all of them or none. Making them may have
    /// taken long, so whether the session may have them is asked again.
    pub(crate) fn add(&self, session: &Session, objects: Vec<Object>) -> Result<()> {
        let owner = session.handle;
        let (on_token, in_session): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.attributes.is(attribute::TOKEN));
        let in_session = in_session.into_iter().map(|object| object.held(&self.memory));
        let in_session = in_session.collect::<Result<Vec<_>>>()?;
        let mut presence = Some(read(&self.presence));
        let user = presence.as_ref().and_then(|presence| presence.user(&self.stored));
        if session.closed.load(Ordering::Acquire) {
            return Err(Error::SessionHandleInvalid);
        }
        if user.is_none() && on_token.iter().chain(&in_session).any(Object::private) {
            return Err(Error::UserNotLoggedIn);
        }
        if in_session.is_empty() {
            // Whoever comes or goes does not wait for the disk, and nobody for them.
            presence = None;
        }
        let on_token: Vec<_> = on_token.iter().collect();
        create(&self.stored, user.as_deref(), &on_token).map_err(storage)?;
        // Neither close nor logout comes between, or what they take away would stay.
        let mut all = write(&self.session_objects);
        for object in in_session {
            all.insert(object.id, (owner, Arc::new(object)));
        }
        drop((all, presence));
        Ok(())
    }

    /// Replaces the attributes of an object by what `change` makes of them.
    pub(crate) fn change(
        &self,
        object: &Object,
        change: impl Fn(&Attributes) -> Result<Attributes>,
    ) -> Result<()> {
        if object.attributes.is(attribute::TOKEN) {
            return self.change_stored(&object.id, change);
        }
        let mut all = write(&self.session_objects);
        let (_, present) = all.get_mut(&object.id).ok_or(Error::ObjectHandleInvalid)?;
        let changed = Object::stored(object.id, 0, change(&present.attributes)?);
        *present = Arc::new(changed.held(&self.memory)?);
        self.losses.add();
        Ok(())
    }

    fn change_stored(
        &self,
        id: &ObjectId,
        change: impl Fn(&Attributes) -> Result<Attributes>,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let object = self.token_object(id)?;
            let attributes = change(&object.attributes)?;
            let body = attributes.encode();
            let terms = Terms::of(&attributes);
            let replace = Change::Replace {
                id: *id,
                revision: object.revision,
                private: object.private(),
                body: &body,
                terms: &terms.as_terms(),
            };
            match self.stored.commit(self.keys().as_deref(), &[replace]) {
                Err(strongroom_keystore::Error::Conflict) if began.elapsed() < PATIENCE => {}
                outcome => return outcome.map_err(storage),
            }
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&self, object: &Object) -> Result<()> {
        if object.attributes.is(attribute::TOKEN) {
            let delete = [Change::Delete { id: object.id }];
            let deleted = self.stored.commit(self.keys().as_deref(), &delete).map_err(storage);
            // No session may remember what it has found before.
            self.losses.add();
            return deleted;
        }
        write(&self.session_objects).remove(&object.id).ok_or(Error::ObjectHandleInvalid)?;
        self.losses.add();
        Ok(())
    }

    /// The session objects that match a search template.
    pub(crate) fn find_session_objects(&self, template: &Attributes) -> Vec<Arc<Object>> {
        let user = self.is(Role::User);
        let objects = read(&self.session_objects);
        objects
            .values()
            .map(|(_, object)| object)
            .filter(|object| (user || !object.private()) && object.matches(template))
            .map(Arc::clone)
            .collect()
    }

    /// Destroys the session objects of a session, and says which they were.
    pub(crate) fn remove_session_objects(&self, owner: SessionHandle) -> Vec<ObjectId> {
        let mut all = write(&self.session_objects);
        let gone: Vec<_> = all.extract_if(|_, (of, _)| *of == owner).map(|(id, _)| id).collect();
        if !gone.is_empty() {
            self.losses.add();
        }
        gone
    }
}

/// Adds objects to a token in one durable step, all of them or none.
pub(crate) fn create(
    stored: &Stored,
    keys: Option<&Unlocked>,
    objects: &[&Object],
) -> strongroom_keystore::Result<()> {
    let bodies: Vec<_> = objects.iter().map(|object| object.attributes.encode()).collect();
    let terms: Vec<_> = objects.iter().map(|object| Terms::of(&object.attributes)).collect();
    let terms: Vec<_> = terms.iter().map(Terms::as_terms).collect();
    let changes: Vec<_> = objects
        .iter()
        .zip(&bodies)
        .zip(&terms)
        .map(|((object, body), terms)| Change::Create {
            id: object.id,
            private: object.private(),
            body,
            terms,
        })
        .collect();
    stored.commit(keys, &changes)
}
