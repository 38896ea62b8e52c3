//! `Application`: the functions of the standard over the rooms of this crate.

use std::sync::Arc;

use strongroom_functions::{Cryptoki, Direction, Facts, Found, Host, MessageOutput, Operation};
use strongroom_keystore::{Config, ObjectId, Role, Store};
use strongroom_mechanisms::{BLOCK, Policy, StateKey, is_open};
use strongroom_types::{
    Attribute, Attributes, Bytes, Class, Derived, Error, MechanismCall, MechanismInfo,
    MechanismType, ModuleInfo, ObjectHandle, Output, Params, Placed, Result, Room, SessionHandle,
    SessionInfo, SlotId, SlotInfo, TokenInfo, UserType, Value, attribute, attribute::kind, ck,
    room_for,
};

use crate::crypto::usable;
use crate::error::storage;
use crate::handles::{Handles, Home, Place};
use crate::login::{self, PIN_LEN, pin_flags};
use crate::memory::{Held, Memory};
use crate::message;
use crate::object::{Object, is_secret_key, object_id};
use crate::operation::{
    Kind, absorb, cancel, finish, hash_elsewhere, sign_digest, step, step_both, update, verify,
    verify_digest, verify_final, verify_signature, verify_signature_final, whole,
};
use crate::own::OwnObjects;
use crate::quota::Quota;
use crate::recall::Looked;
use crate::rules::UNAVAILABLE;
use crate::search::{Search, place};
use crate::separation::{Act, judge};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::slot::Slots;
use crate::sync::{lock, read};
use crate::template::{Author, Change, Draft, Origin, changed};
use crate::token::Token;

/// How many of the objects that a search finds at once are read for what can be told of them: what
/// nobody asks for afterwards has been read in vain.
const TOLD: usize = 64;

/// What the information functions call things, and the version that they say of all of them.
struct Names {
    library: &'static str,
    description: &'static str,
    slot: &'static str,
    manufacturer: &'static str,
    model: &'static str,
    /// Major and minor.
    version: (u8, u8),
}

const OURS: Names = Names {
    library: "Strongroom",
    description: "Strongroom software HSM",
    slot: "Strongroom slot ID",
    manufacturer: "Strongroom",
    model: "Strongroom",
    version: (number(env!("CARGO_PKG_VERSION_MAJOR")), number(env!("CARGO_PKG_VERSION_MINOR"))),
};

/// A part of the version that Cargo knows.
#[expect(clippy::panic, reason = "it stops the compiler, and nobody else")]
const fn number(digits: &str) -> u8 {
    match u8::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("a version has numbers below 256"),
    }
}

/// In SoftHSM2's place: the URIs in people's configurations have manufacturer and model in them, and
/// programs tell by the version what they may ask. It is the one that these habits were measured on.
const SOFTHSM2: Names = Names {
    library: "SoftHSM",
    description: "Implementation of PKCS11",
    slot: "SoftHSM slot ID",
    manufacturer: "SoftHSM project",
    model: "SoftHSM v2",
    version: (2, 6),
};

/// An application: its slots, sessions, logins and handles, over a store that it shares with
/// others. The [`Cryptoki`] functions may be called from any thread at any time.
pub struct Application {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    pub(crate) store: Arc<Store>,
    pub(crate) slots: Slots,
    pub(crate) sessions: Sessions<Session>,
    pub(crate) handles: Handles,
    /// What each token has of itself.
    own: OwnObjects,
    /// Seals the states of operations.
    pub(crate) states: StateKey,
    pub(crate) quota: Arc<Quota>,
}

impl Application {
    /// Opens the store of a configuration.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn open(config: Config) -> Result<Self> {
        let store = Arc::new(Store::open(&config).map_err(storage)?);
        // Without a key of its own it waits for an operator, and its slots have no tokens.
        store
            .unseal_at_start()
            .map_err(|error| Error::GeneralError.because(|| error.to_string()))?;
        Self::over(store, config, 0, Quota::new(usize::MAX), Memory::default())
    }

    /// Shares a store that is open with others, a number of sessions, and memory. Applications of
    /// different turns never give the same handle, so that one can take the place of another that is lost.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn over(
        store: Arc<Store>,
        config: Config,
        turn: u16,
        quota: Arc<Quota>,
        memory: Memory,
    ) -> Result<Self> {
        let slots = Slots::of(Arc::clone(&store), memory);
        slots.refresh()?;
        let (sessions, handles) = (Sessions::of_turn(turn), Handles::of_turn(turn));
        slots.forget_events();
        let policy = Policy::new(config.legacy);
        let states = StateKey::new()?;
        let own = OwnObjects::new(&usable(&config, policy));
        Ok(Self { config, policy, store, slots, sessions, handles, own, states, quota })
    }

    /// Counts an answer with what the application has kept, for as long as it is there.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceMemory`].
    pub fn lend(&self, bytes: usize) -> Result<Held> {
        self.slots.memory.lend(bytes)
    }

    /// The same for one that can be longer than what is asked: where memory is counted, one call gives no
    /// more than an operation keeps.
    fn answer(&self, bytes: impl FnOnce() -> usize) -> Result<Held> {
        if !self.slots.memory.is_counted() {
            return Ok(Held::default());
        }
        let bytes = bytes();
        strongroom_mechanisms::may_keep(bytes)?;
        self.lend(bytes)
    }

    /// Whether no session is open: then nothing is lost with the application.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Ends every session, because the store has been sealed: "removing a token closes all sessions
    /// with it". What calls that are still at work hold goes when they end.
    pub fn seal(&self) {
        let sessions = self.sessions.all();
        let tokens: Vec<_> = sessions.iter().map(|session| Arc::clone(&session.token)).collect();
        // Fails for none: another thread may be faster at the most.
        let _ = self.leave_all(sessions);
        tokens.iter().for_each(|token| token.stored.forget());
        self.slots.forget();
    }

    /// The object of a handle, if the session may see it.
    pub(crate) fn object(&self, session: &Session, handle: ObjectHandle) -> Result<Arc<Object>> {
        let token = &session.token;
        let is_now = |version| token.stored.version().is_ok_and(|now| now == version);
        session.recall.object(handle, &token.losses, is_now, || {
            let place = self.place_of(session, handle)?;
            let version = match place.home {
                // It asks nothing of the keystore. A private one asks whether the login still
                // holds, which ends when another process replaces the master key.
                Home::Session if !place.private => None,
                // No key, and asked for seldom.
                Home::Token => None,
                Home::Session | Home::Keystore => Some(token.stored.version().map_err(storage)?),
            };
            let object = self.at(session, &place)?;
            // What a token has of itself is no key.
            let recalled = object.is_key() && token.remembers(&object);
            let twin = recalled.then(|| Arc::new(object.twin()));
            Ok(Looked { object, version, twin })
        })
    }

    /// Where the object of a handle is, if that is at the session's token.
    fn place_of(&self, session: &Session, handle: ObjectHandle) -> Result<Place> {
        let place = self.handles.place(handle)?;
        if place.slot != session.slot.id {
            return Err(Error::ObjectHandleInvalid.since("the object is of another token"));
        }
        Ok(place)
    }

    /// The object at a place, if the session may see it.
    fn at(&self, session: &Session, place: &Place) -> Result<Arc<Object>> {
        match place.home {
            Home::Keystore => session.token.token_object(&place.id),
            Home::Session => session.token.session_object(&place.id),
            Home::Token => {
                let own = self.own.find(&session.token.stored, &place.id);
                own.map(Arc::new).ok_or(Error::ObjectHandleInvalid)
            }
        }
    }

    /// Has no session hold on to objects that are gone.
    pub(crate) fn forget_everywhere(&self, token: &Arc<Token>, ids: &[ObjectId]) {
        if !ids.is_empty() {
            self.sessions.each_of(token, |session| session.recall.forget_objects(ids));
        }
    }

    /// Who describes an object in a session.
    pub(crate) fn author(&self, session: &Session) -> Result<Author> {
        Ok(Author {
            security_officer: session.token.is(Role::SecurityOfficer),
            compatible: self.config.compatible,
            policy: session.policy()?,
        })
    }

    /// Whether an object that a template describes may be made in this session: asked before
    /// anything costly is done.
    pub(crate) fn may_keep(
        &self,
        session: &Session,
        template: &Attributes,
        class: Class,
    ) -> Result<()> {
        if template.is(attribute::TOKEN) {
            session.must_write()?;
        }
        let default = crate::rules::object_class(class)?.private;
        let private = template.get(attribute::PRIVATE).unwrap_or(default);
        if private && !session.token.is(Role::User) {
            let private = || "a private object needs the user's login".into();
            return Err(Error::UserNotLoggedIn.because(private));
        }
        Ok(())
    }

    /// Makes objects, all of them or none, and gives their handles.
    pub(crate) fn keep(
        &self,
        session: &Session,
        objects: Vec<Attributes>,
    ) -> Result<Vec<ObjectHandle>> {
        let objects = objects.into_iter().map(Object::new).collect::<Result<Vec<_>>>()?;
        let places: Vec<_> = objects.iter().map(|object| place(session, object)).collect();
        session.token.add(session, objects)?;
        places.into_iter().map(|place| self.handles.of(place)).collect()
    }

    fn start_call(
        &self,
        session: SessionHandle,
        kind: Kind,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start(&*self.sessions.find(session)?, kind, mechanism, key)
    }

    fn whole_call(
        &self,
        session: SessionHandle,
        kind: Kind,
        input: &[u8],
        room: Room,
    ) -> Result<Output> {
        step(&*self.sessions.find(session)?, kind, |operation| whole(operation, input, room))
    }

    fn update_call(
        &self,
        session: SessionHandle,
        kind: Kind,
        part: &[u8],
        room: Room,
    ) -> Result<Output> {
        step(&*self.sessions.find(session)?, kind, |operation| update(operation, part, room))
    }

    fn absorb_call(&self, session: SessionHandle, kind: Kind, part: &[u8]) -> Result<()> {
        step(&*self.sessions.find(session)?, kind, |operation| absorb(operation, part))
    }

    fn final_call(&self, session: SessionHandle, kind: Kind, room: Room) -> Result<Output> {
        step(&*self.sessions.find(session)?, kind, |operation| finish(operation, room))
    }
}

/// What to answer where one of an object's own flags forbids what is asked.
fn prohibited(flag: Attribute<kind::Bool>) -> Error {
    Error::ActionProhibited.because(|| format!("the object's {} is false", flag.info.name))
}

/// The value of a secret key, if its digest does not serve in its place. HMAC uses the digest of a
/// key that is longer than a block, so of a key that may not leave the token that is not given.
fn digestible(key: &Attributes) -> Option<&[u8]> {
    let secret = is_secret_key(key);
    key.get(attribute::VALUE).filter(|value| secret && (is_open(key) || value.len() <= BLOCK))
}

impl Host for Application {
    fn message_mechanism(
        &self,
        session: SessionHandle,
        direction: Direction,
    ) -> Result<MechanismType> {
        message::mechanism(&*self.sessions.find(session)?, direction)
    }

    fn end_waits(&self) {
        self.slots.end_waits();
    }

    fn facts(&self, session: SessionHandle, operation: Operation) -> Result<Facts> {
        let session = self.sessions.find(session)?;
        let (facts, key) = match lock(&session.activity).get_mut(kind_of(operation)) {
            Some(operation) => (operation.facts(), operation.key()),
            None => return Ok(Facts::default()),
        };
        let Some(key) = key else { return Ok(facts) };
        if session.token.session_object(&key).is_ok() {
            return Ok(Facts { passing: true, ..facts });
        }
        let object = session.token.token_object(&key).ok().filter(|object| !object.private());
        let name = object
            .and_then(|object| object.attributes.get(attribute::UNIQUE_ID).map(<[u8]>::to_vec));
        Ok(Facts { name: name.map(Bytes::new), ..facts })
    }

    fn verify_digest(&self, session: SessionHandle, digest: &[u8], signature: &[u8]) -> Result<()> {
        step(&*self.sessions.find(session)?, Kind::Verify, |operation| {
            verify_digest(operation, digest, signature)
        })
    }

    fn find(&self, session: SessionHandle, least: usize, most: usize) -> Result<Found> {
        let session = self.sessions.find(session)?;
        let mut activity = lock(&session.activity);
        let search = activity.search.as_mut().ok_or(Error::OperationNotInitialized)?;
        let objects = search.next(&session, &self.handles, (least, most))?;
        let more = search.goes_on();
        if !more {
            activity.search = None;
        }
        drop(activity);
        // One that somebody has just destroyed has nothing to tell. The session goes on remembering
        // the key that it has used last: these are looked at, and no more.
        let tell = |handle: &ObjectHandle| {
            let place = self.place_of(&session, *handle).ok()?;
            self.at(&session, &place).ok()?.describe().ok()
        };
        let of = objects.iter().take(TOLD).map(tell).collect();
        Ok(Found { objects, of, more })
    }

    fn adopt(&self, session: SessionHandle, objects: Vec<(ObjectHandle, Bytes)>) -> Result<()> {
        let session = self.sessions.find(session)?;
        let (slot, token) = (session.slot.id, &session.token.stored);
        objects.iter().try_for_each(|(handle, name)| {
            let id = object_id(name).ok_or(Error::ArgumentsBad)?;
            let home = match self.own.find(token, &id) {
                Some(_) => Home::Token,
                None => Home::Keystore,
            };
            // Who may see it is asked at each use, of the object itself.
            self.handles.adopt(*handle, Place { slot, id, home, private: false })
        })
    }

    fn sign_digest(&self, session: SessionHandle, digest: &[u8], room: Room) -> Result<Output> {
        step(&*self.sessions.find(session)?, Kind::Sign, |operation| {
            sign_digest(operation, digest, room)
        })
    }

    fn hash_elsewhere(&self, session: SessionHandle, operation: Operation) -> Result<()> {
        step(&*self.sessions.find(session)?, kind_of(operation), hash_elsewhere)
    }
}

impl Application {
    fn names(&self) -> &'static Names {
        if self.config.compatible { &SOFTHSM2 } else { &OURS }
    }
}

fn kind_of(operation: Operation) -> Kind {
    match operation {
        Operation::Encrypt => Kind::Encrypt,
        Operation::Decrypt => Kind::Decrypt,
        Operation::Digest => Kind::Digest,
        Operation::Sign => Kind::Sign,
        Operation::Verify => Kind::Verify,
    }
}

impl Cryptoki for Application {
    fn info(&self) -> Result<ModuleInfo> {
        Ok(ModuleInfo {
            manufacturer: self.names().library.into(),
            description: self.names().description.into(),
            version: self.names().version,
        })
    }

    fn slot_list(&self, token_present: bool, refresh: bool) -> Result<Vec<SlotId>> {
        if refresh {
            self.slots.refresh()?;
        }
        if token_present && self.store.is_sealed() {
            return Ok(Vec::new());
        }
        Ok(self.slots.all().iter().map(|slot| slot.id).collect())
    }

    fn slot_info(&self, slot: SlotId) -> Result<SlotInfo> {
        let slot = self.slots.find(slot)?;
        // "If this flag is not set for a given slot, then the CKF_TOKEN_PRESENT flag for that slot is
        // always set": what an operator seals is no longer there, so it was removable before.
        let removable = self.config.removable || self.store.is_operated();
        let flags = [
            (removable, ck!(CKF_REMOVABLE_DEVICE)),
            (!self.store.is_sealed(), ck!(CKF_TOKEN_PRESENT)),
        ];
        Ok(SlotInfo {
            description: format!("{} {:#x}", self.names().slot, slot.id.0),
            manufacturer: self.names().manufacturer.into(),
            flags: flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag),
            version: self.names().version,
        })
    }

    fn token_info(&self, slot: SlotId) -> Result<TokenInfo> {
        let slot = self.slots.present(slot)?;
        let mut info = TokenInfo {
            label: [b' '; 32],
            manufacturer: self.names().manufacturer.into(),
            model: self.names().model.into(),
            serial: [b' '; 16],
            flags: ck!(CKF_RNG) | ck!(CKF_LOGIN_REQUIRED) | ck!(CKF_RESTORE_KEY_NOT_NEEDED),
            sessions: 0,
            rw_sessions: 0,
            pin_len: PIN_LEN,
            version: self.names().version,
        };
        if let Some(token) = slot.token() {
            let status = token.stored.status().map_err(storage)?;
            info.label = status.label;
            info.serial = status.serial;
            info.flags |= ck!(CKF_TOKEN_INITIALIZED);
            if status.user_pin_set {
                info.flags |= ck!(CKF_USER_PIN_INITIALIZED);
            }
            info.flags |= pin_flags(&status.so_pin, &status.user_pin);
            let presence = read(&token.presence);
            info.sessions = presence.sessions;
            info.rw_sessions = presence.rw_sessions;
        }
        Ok(info)
    }

    fn wait_for_slot_event(&self, block: bool) -> Result<SlotId> {
        // SoftHSM2 never waits.
        if block && self.config.compatible {
            return Err(Error::FunctionNotSupported);
        }
        self.slots.wait(block)
    }

    fn mechanism_list(&self, slot: SlotId) -> Result<Vec<MechanismType>> {
        self.slots.present(slot)?;
        Ok(usable(&self.config, self.policy).iter().map(|mechanism| mechanism.id).collect())
    }

    fn mechanism_info(&self, slot: SlotId, mechanism: MechanismType) -> Result<MechanismInfo> {
        self.slots.present(slot)?;
        Ok(self.mechanism(mechanism)?.info())
    }

    fn init_token(&self, slot: SlotId, pin: &[u8], label: &[u8; 32]) -> Result<()> {
        self.initialize(slot, pin, label)
    }

    fn init_pin(&self, session: SessionHandle, pin: &[u8]) -> Result<()> {
        login::init_pin(&*self.sessions.find(session)?, pin)
    }

    fn set_pin(&self, session: SessionHandle, old: &[u8], new: &[u8]) -> Result<()> {
        login::set_pin(&*self.sessions.find(session)?, old, new)
    }

    fn open_session(&self, slot: SlotId, read_write: bool) -> Result<SessionHandle> {
        self.enter(slot, read_write)
    }

    fn close_session(&self, session: SessionHandle) -> Result<()> {
        self.leave(session)
    }

    fn close_all_sessions(&self, slot: SlotId) -> Result<()> {
        let Some(token) = self.slots.present(slot)?.token() else { return Ok(()) };
        self.leave_all(self.sessions.of(&token))
    }

    fn session_info(&self, session: SessionHandle) -> Result<SessionInfo> {
        Ok(self.sessions.find(session)?.info())
    }

    fn session_cancel(&self, session: SessionHandle, flags: u64) -> Result<()> {
        cancel(&*self.sessions.find(session)?, flags)
    }

    fn session_validation_flags(&self, session: SessionHandle, kind: u64) -> Result<u64> {
        self.sessions.find(session)?;
        // No authority has validated this module, so no operation was a validated one.
        match kind == ck!(CKS_LAST_VALIDATION_OK) {
            true => Ok(0),
            false => Err(Error::ArgumentsBad.since("type is not CKS_LAST_VALIDATION_OK")),
        }
    }

    fn login(&self, session: SessionHandle, user: UserType, pin: &[u8]) -> Result<()> {
        let session = self.sessions.find(session)?;
        self.end_stale_login(&session);
        let outcome = login::login(&session, user, pin);
        if user == UserType::CONTEXT_SPECIFIC && outcome == Err(Error::PinLocked) {
            // "This also logs the user out from the token" (C_Login). Who is out stays out.
            let _ = self.log_out(&session);
        }
        outcome
    }

    fn login_user(
        &self,
        session: SessionHandle,
        user: UserType,
        pin: &[u8],
        name: &[u8],
    ) -> Result<()> {
        // The token has one user of each type, and none has a name.
        if !name.is_empty() {
            let named = || Err(Error::ArgumentsBad.since("no user of this token has a name"));
            return self.sessions.find(session).and_then(|_| named());
        }
        self.login(session, user, pin)
    }

    fn logout(&self, session: SessionHandle) -> Result<()> {
        self.log_out(&*self.sessions.find(session)?)
    }

    fn create_object(&self, session: SessionHandle, template: Attributes) -> Result<ObjectHandle> {
        let session = self.sessions.find(session)?;
        let author = self.author(&session)?;
        let draft = Draft::new(template, Origin::Create, None, None, author)?;
        let class = draft.attributes.need(attribute::CLASS).map(Class)?;
        self.may_keep(&session, &draft.attributes, class)?;
        let handles = self.keep(&session, vec![draft.finish()?])?;
        handles.first().copied().ok_or(Error::GeneralError)
    }

    fn copy_object(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        template: Attributes,
    ) -> Result<ObjectHandle> {
        let session = self.sessions.find(session)?;
        let object = self.object(&session, object)?;
        if !object.attributes.is(attribute::COPYABLE) {
            return Err(prohibited(attribute::COPYABLE));
        }
        let author = self.author(&session)?;
        let copy = changed(&object.attributes, &template, Change::Copy, author)?;
        let class = copy.need(attribute::CLASS).map(Class)?;
        self.may_keep(&session, &copy, class)?;
        let handles = self.keep(&session, vec![copy])?;
        handles.first().copied().ok_or(Error::GeneralError)
    }

    fn destroy_object(&self, session: SessionHandle, object: ObjectHandle) -> Result<()> {
        let session = self.sessions.find(session)?;
        let found = self.object(&session, object)?;
        if !found.attributes.is(attribute::DESTROYABLE) {
            return Err(prohibited(attribute::DESTROYABLE));
        }
        if found.attributes.is(attribute::TOKEN) {
            session.must_write()?;
        }
        session.token.remove(&found)?;
        self.handles.forget_one(&session.token.losses, object);
        self.forget_everywhere(&session.token, &[found.id]);
        Ok(())
    }

    fn object_size(&self, session: SessionHandle, object: ObjectHandle) -> Result<u64> {
        let session = self.sessions.find(session)?;
        let object = self.object(&session, object)?;
        if self.config.compatible {
            return Ok(UNAVAILABLE);
        }
        u64::try_from(object.attributes.encode().len()).map_err(|_| Error::GeneralError)
    }

    fn attributes(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        wanted: &[u64],
    ) -> Result<Vec<Result<Value>>> {
        let session = self.sessions.find(session)?;
        let object = self.object(&session, object)?;
        let values = || wanted.iter().map(|id| object.reveal(*id));
        // One that is asked for a thousand times is there once, but comes a thousand times.
        let _lent = self.answer(|| values().flatten().map(Value::size).sum())?;
        Ok(values().map(|value| value.cloned()).collect())
    }

    fn set_attributes(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        template: Attributes,
    ) -> Result<()> {
        let session = self.sessions.find(session)?;
        let object = self.object(&session, object)?;
        if object.attributes.is(attribute::TOKEN) {
            session.must_write()?;
        }
        if !object.attributes.is(attribute::MODIFIABLE) {
            return Err(prohibited(attribute::MODIFIABLE));
        }
        let author = self.author(&session)?;
        session
            .token
            .change(&object, |attributes| changed(attributes, &template, Change::Set, author))
    }

    fn find_objects_init(&self, session: SessionHandle, template: Attributes) -> Result<()> {
        let session = self.sessions.find(session)?;
        let mut activity = lock(&session.activity);
        if activity.search.is_some() {
            return Err(Error::OperationActive);
        }
        activity.search = Some(Search::start(&session, &self.own, template)?);
        Ok(())
    }

    fn find_objects(&self, session: SessionHandle, most: usize) -> Result<Vec<ObjectHandle>> {
        let session = self.sessions.find(session)?;
        let mut activity = lock(&session.activity);
        let search = activity.search.as_mut().ok_or(Error::OperationNotInitialized)?;
        search.next(&session, &self.handles, (most, most))
    }

    fn find_objects_final(&self, session: SessionHandle) -> Result<()> {
        let session = self.sessions.find(session)?;
        let search = lock(&session.activity).search.take();
        search.map(drop).ok_or(Error::OperationNotInitialized)
    }

    fn encrypt_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::Encrypt, mechanism, key)
    }

    fn encrypt(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.whole_call(session, Kind::Encrypt, data, room)
    }

    fn encrypt_update(&self, session: SessionHandle, part: &[u8], room: Room) -> Result<Output> {
        self.update_call(session, Kind::Encrypt, part, room)
    }

    fn encrypt_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.final_call(session, Kind::Encrypt, room)
    }

    fn decrypt_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::Decrypt, mechanism, key)
    }

    fn decrypt(&self, session: SessionHandle, encrypted: &[u8], room: Room) -> Result<Output> {
        self.whole_call(session, Kind::Decrypt, encrypted, room)
    }

    fn decrypt_update(&self, session: SessionHandle, part: &[u8], room: Room) -> Result<Output> {
        self.update_call(session, Kind::Decrypt, part, room)
    }

    fn decrypt_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.final_call(session, Kind::Decrypt, room)
    }

    fn digest_init(&self, session: SessionHandle, mechanism: Option<MechanismCall>) -> Result<()> {
        self.start_call(session, Kind::Digest, mechanism, ObjectHandle(0))
    }

    fn digest(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.whole_call(session, Kind::Digest, data, room)
    }

    fn digest_update(&self, session: SessionHandle, part: &[u8]) -> Result<()> {
        self.absorb_call(session, Kind::Digest, part)
    }

    fn digest_key(&self, session: SessionHandle, key: ObjectHandle) -> Result<()> {
        let session = self.sessions.find(session)?;
        let find = || {
            self.object(&session, key).map_err(|error| match error {
                Error::ObjectHandleInvalid => Error::KeyHandleInvalid,
                error => error,
            })
        };
        if self.config.compatible {
            // SoftHSM2's digest goes on after a handle that is wrong.
            find()?;
        }
        let policy = session.policy()?;
        step(&session, Kind::Digest, |mut operation| {
            // Found while the session is locked: a logout that comes between ends the operation.
            let key = find()?;
            judge(policy, &Act::Digest { key: &key.attributes })?;
            operation.private |= key.private();
            absorb(operation, digestible(&key.attributes).ok_or(Error::KeyIndigestible)?)
        })
    }

    fn digest_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.final_call(session, Kind::Digest, room)
    }

    fn sign_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::Sign, mechanism, key)
    }

    fn sign(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.whole_call(session, Kind::Sign, data, room)
    }

    fn sign_update(&self, session: SessionHandle, part: &[u8]) -> Result<()> {
        self.absorb_call(session, Kind::Sign, part)
    }

    fn sign_final(&self, session: SessionHandle, room: Room) -> Result<Output> {
        self.final_call(session, Kind::Sign, room)
    }

    fn verify_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::Verify, mechanism, key)
    }

    fn verify(&self, session: SessionHandle, data: &[u8], signature: &[u8]) -> Result<()> {
        step(&*self.sessions.find(session)?, Kind::Verify, |operation| {
            verify(operation, data, signature)
        })
    }

    fn verify_update(&self, session: SessionHandle, part: &[u8]) -> Result<()> {
        self.absorb_call(session, Kind::Verify, part)
    }

    fn verify_final(&self, session: SessionHandle, signature: &[u8]) -> Result<()> {
        step(&*self.sessions.find(session)?, Kind::Verify, |operation| {
            verify_final(operation, signature)
        })
    }

    fn sign_recover_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::SignRecover, mechanism, key)
    }

    fn sign_recover(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        self.whole_call(session, Kind::SignRecover, data, room)
    }

    fn verify_recover_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::VerifyRecover, mechanism, key)
    }

    fn verify_recover(
        &self,
        session: SessionHandle,
        signature: &[u8],
        room: Room,
    ) -> Result<Output> {
        self.whole_call(session, Kind::VerifyRecover, signature, room)
    }

    fn digest_encrypt_update(
        &self,
        session: SessionHandle,
        part: &[u8],
        room: Room,
    ) -> Result<Output> {
        let kinds = (Kind::Encrypt, Kind::Digest);
        step_both(&*self.sessions.find(session)?, kinds, part, room)
    }

    fn decrypt_digest_update(
        &self,
        session: SessionHandle,
        part: &[u8],
        room: Room,
    ) -> Result<Output> {
        let kinds = (Kind::Decrypt, Kind::Digest);
        step_both(&*self.sessions.find(session)?, kinds, part, room)
    }

    fn sign_encrypt_update(
        &self,
        session: SessionHandle,
        part: &[u8],
        room: Room,
    ) -> Result<Output> {
        let kinds = (Kind::Encrypt, Kind::Sign);
        step_both(&*self.sessions.find(session)?, kinds, part, room)
    }

    fn decrypt_verify_update(
        &self,
        session: SessionHandle,
        part: &[u8],
        room: Room,
    ) -> Result<Output> {
        let kinds = (Kind::Decrypt, Kind::Verify);
        step_both(&*self.sessions.find(session)?, kinds, part, room)
    }

    fn operation_state(&self, session: SessionHandle, room: Room) -> Result<Output> {
        let state = self.save(&*self.sessions.find(session)?)?;
        let fits = room.fits(state.len());
        Ok(if fits { Output::Bytes(state) } else { Output::Needs(state.len()) })
    }

    fn set_operation_state(
        &self,
        session: SessionHandle,
        state: &[u8],
        encryption_key: ObjectHandle,
        authentication_key: ObjectHandle,
    ) -> Result<()> {
        let session = self.sessions.find(session)?;
        self.restore(&session, state, encryption_key, authentication_key)
    }

    fn message_encrypt_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::MessageEncrypt, mechanism, key)
    }

    fn encrypt_message(
        &self,
        session: SessionHandle,
        params: Params,
        associated: &[u8],
        data: &[u8],
        room: Room,
    ) -> Result<MessageOutput> {
        let session = self.sessions.find(session)?;
        message::whole(&session, Direction::Encrypt, &params, associated, data, room)
    }

    fn encrypt_message_begin(
        &self,
        session: SessionHandle,
        params: Params,
        associated: &[u8],
    ) -> Result<Vec<Placed>> {
        let session = self.sessions.find(session)?;
        message::begin(&session, Direction::Encrypt, &params, associated)
    }

    fn encrypt_message_next(
        &self,
        session: SessionHandle,
        params: Params,
        part: &[u8],
        last: bool,
        room: Room,
    ) -> Result<MessageOutput> {
        let session = self.sessions.find(session)?;
        message::next(&session, Direction::Encrypt, &params, part, last, room)
    }

    fn message_encrypt_final(&self, session: SessionHandle) -> Result<()> {
        message::end(&*self.sessions.find(session)?, Kind::MessageEncrypt)
    }

    fn message_decrypt_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::MessageDecrypt, mechanism, key)
    }

    fn decrypt_message(
        &self,
        session: SessionHandle,
        params: Params,
        associated: &[u8],
        data: &[u8],
        room: Room,
    ) -> Result<MessageOutput> {
        let session = self.sessions.find(session)?;
        message::whole(&session, Direction::Decrypt, &params, associated, data, room)
    }

    fn decrypt_message_begin(
        &self,
        session: SessionHandle,
        params: Params,
        associated: &[u8],
    ) -> Result<Vec<Placed>> {
        let session = self.sessions.find(session)?;
        message::begin(&session, Direction::Decrypt, &params, associated)
    }

    fn decrypt_message_next(
        &self,
        session: SessionHandle,
        params: Params,
        part: &[u8],
        last: bool,
        room: Room,
    ) -> Result<MessageOutput> {
        let session = self.sessions.find(session)?;
        message::next(&session, Direction::Decrypt, &params, part, last, room)
    }

    fn message_decrypt_final(&self, session: SessionHandle) -> Result<()> {
        message::end(&*self.sessions.find(session)?, Kind::MessageDecrypt)
    }

    fn message_sign_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::MessageSign, mechanism, key)
    }

    fn sign_message(&self, session: SessionHandle, data: &[u8], room: Room) -> Result<Output> {
        message::sign(&*self.sessions.find(session)?, |signing, _| signing.whole(data, room))
    }

    fn sign_message_begin(&self, session: SessionHandle) -> Result<()> {
        message::sign(&*self.sessions.find(session)?, |signing, _| signing.begin())
    }

    fn sign_message_next(
        &self,
        session: SessionHandle,
        part: &[u8],
        room: Option<Room>,
    ) -> Result<Output> {
        let session = self.sessions.find(session)?;
        message::sign(&session, |signing, kept| signing.next(part, room, kept))
    }

    fn message_sign_final(&self, session: SessionHandle) -> Result<()> {
        message::end(&*self.sessions.find(session)?, Kind::MessageSign)
    }

    fn message_verify_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        self.start_call(session, Kind::MessageVerify, mechanism, key)
    }

    fn verify_message(&self, session: SessionHandle, data: &[u8], signature: &[u8]) -> Result<()> {
        let session = self.sessions.find(session)?;
        message::verify(&session, |verifying, _| verifying.whole(data, signature))
    }

    fn verify_message_begin(&self, session: SessionHandle) -> Result<()> {
        message::verify(&*self.sessions.find(session)?, |verifying, _| verifying.begin())
    }

    fn verify_message_next(
        &self,
        session: SessionHandle,
        part: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<()> {
        let session = self.sessions.find(session)?;
        message::verify(&session, |verifying, kept| verifying.next(part, signature, kept))
    }

    fn message_verify_final(&self, session: SessionHandle) -> Result<()> {
        message::end(&*self.sessions.find(session)?, Kind::MessageVerify)
    }

    fn wrap_key_authenticated(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        wrapping_key: ObjectHandle,
        key: ObjectHandle,
        associated: &[u8],
        room: Room,
    ) -> Result<MessageOutput> {
        let session = self.sessions.find(session)?;
        self.wrap_authenticated(&session, &mechanism, wrapping_key, key, associated, room)
    }

    fn unwrap_key_authenticated(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        unwrapping_key: ObjectHandle,
        wrapped: &[u8],
        template: Attributes,
        associated: &[u8],
    ) -> Result<ObjectHandle> {
        let session = self.sessions.find(session)?;
        let mechanism = &mechanism;
        self.unwrap_authenticated(
            &session,
            mechanism,
            unwrapping_key,
            wrapped,
            template,
            associated,
        )
    }

    fn verify_signature_init(
        &self,
        session: SessionHandle,
        mechanism: Option<MechanismCall>,
        key: ObjectHandle,
        signature: &[u8],
    ) -> Result<()> {
        let session = self.sessions.find(session)?;
        self.start_verify_signature(&session, mechanism, key, signature)
    }

    fn verify_signature(&self, session: SessionHandle, data: &[u8]) -> Result<()> {
        step(&*self.sessions.find(session)?, Kind::VerifySignature, |operation| {
            verify_signature(operation, data)
        })
    }

    fn verify_signature_update(&self, session: SessionHandle, part: &[u8]) -> Result<()> {
        self.absorb_call(session, Kind::VerifySignature, part)
    }

    fn verify_signature_final(&self, session: SessionHandle) -> Result<()> {
        step(&*self.sessions.find(session)?, Kind::VerifySignature, verify_signature_final)
    }

    fn generate_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        template: Attributes,
    ) -> Result<ObjectHandle> {
        self.generate(&*self.sessions.find(session)?, &mechanism, template)
    }

    fn generate_key_pair(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        public: Attributes,
        private: Attributes,
    ) -> Result<(ObjectHandle, ObjectHandle)> {
        self.generate_pair(&*self.sessions.find(session)?, &mechanism, public, private)
    }

    fn wrap_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        wrapping_key: ObjectHandle,
        key: ObjectHandle,
        room: Room,
    ) -> Result<MessageOutput> {
        self.wrap(&*self.sessions.find(session)?, &mechanism, wrapping_key, key, room)
    }

    fn unwrap_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        unwrapping_key: ObjectHandle,
        wrapped: &[u8],
        template: Attributes,
    ) -> Result<ObjectHandle> {
        let session = self.sessions.find(session)?;
        self.unwrap(&session, &mechanism, unwrapping_key, wrapped, template)
    }

    fn derive_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        base_key: ObjectHandle,
        template: Attributes,
        wanted: bool,
    ) -> Result<Derived> {
        self.derive(&*self.sessions.find(session)?, &mechanism, base_key, template, wanted)
    }

    fn encapsulate_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        public_key: ObjectHandle,
        template: Attributes,
        room: Room,
    ) -> Result<(Output, Option<ObjectHandle>)> {
        let session = self.sessions.find(session)?;
        self.encapsulate(&session, &mechanism, public_key, template, room)
    }

    fn decapsulate_key(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        private_key: ObjectHandle,
        template: Attributes,
        ciphertext: &[u8],
    ) -> Result<ObjectHandle> {
        let session = self.sessions.find(session)?;
        self.decapsulate(&session, &mechanism, private_key, template, ciphertext)
    }

    fn seed_random(&self, session: SessionHandle, _seed: &[u8]) -> Result<()> {
        // The generator seeds itself from the system; what callers add can not make it worse.
        self.sessions.find(session).map(drop)
    }

    fn generate_random(&self, session: SessionHandle, len: usize) -> Result<Bytes> {
        self.sessions.find(session)?;
        let _lent = self.answer(|| len)?;
        let mut bytes = room_for(len)?;
        bytes.resize(len, 0);
        strongroom_mechanisms::random(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_keystore::config::Seal;
    use strongroom_types::{KeyType, mechanism};

    use super::*;

    /// An application that may have 1 MiB kept, how much of that it has, and a session of it.
    fn counted(dir: &std::path::Path) -> (Application, Arc<Quota>, SessionHandle) {
        let config = Config::plain(dir.join("store"), Seal::None);
        let store = Arc::new(Store::open(&config).unwrap());
        let kept = Quota::new(1 << 20);
        let memory = Memory::of(Arc::clone(&kept));
        let application = Application::over(store, config, 0, Quota::new(9), memory).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        application.init_token(slot, b"12345678", &[b'x'; 32]).unwrap();
        let session = application.open_session(slot, true).unwrap();
        (application, kept, session)
    }

    /// A secret key that anybody may see.
    fn secret(on_token: bool, len: usize) -> Attributes {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, Class::SECRET_KEY.0);
        key.set(attribute::KEY_TYPE, KeyType::GENERIC_SECRET.0);
        key.set(attribute::TOKEN, on_token);
        key.set(attribute::PRIVATE, false);
        key.set(attribute::SIGN, true);
        key.set(attribute::VALUE, vec![7; len].as_slice());
        key
    }

    #[test]
    fn what_is_kept_of_a_session_object_counts_until_nobody_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (application, kept, session) = counted(dir.path());
        let key = application.create_object(session, secret(false, 10_000)).unwrap();
        let once = kept.taken();
        assert!((20_000..30_000).contains(&once), "{once}: the value, and the key");
        let hmac = MechanismCall { mechanism: mechanism!(CKM_SHA256_HMAC).0, params: Params::NONE };
        application.sign_init(session, Some(hmac), key).unwrap();
        assert_eq!(kept.taken(), 2 * once, "an operation has the key for itself");
        application.destroy_object(session, key).unwrap();
        assert_eq!(kept.taken(), once, "and goes on with it");
        application.sign(session, b"data", Room::Bytes(32)).unwrap();
        assert_eq!(kept.taken(), 0);

        for len in [10_000, 20_000] {
            application.create_object(session, secret(false, len)).unwrap();
        }
        application.create_object(session, secret(false, 1 << 19)).unwrap_err();
        assert!((2 * once..4 * once).contains(&kept.taken()), "what is refused counts for nothing");
        application.close_session(session).unwrap();
        assert_eq!(kept.taken(), 0);
    }

    #[test]
    fn an_object_of_the_token_counts_for_nothing_and_a_large_one_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (application, kept, handle) = counted(dir.path());
        let session = application.sessions.find(handle).unwrap();
        for (len, remembered) in [(32, true), (20_000, false), (2 << 20, false)] {
            let key = application.create_object(handle, secret(true, len)).unwrap();
            for _ in 0..2 {
                application.attributes(handle, key, &[attribute::CLASS.info.id]).unwrap();
                let recalled = session.recall.get(key, session.token.losses.count());
                assert_eq!(recalled.is_some(), remembered, "{len}");
            }
            assert_eq!(kept.taken(), 0);
        }
    }

    #[test]
    fn a_search_that_tells_of_keys_leaves_the_one_in_use_at_hand() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::plain(dir.path().join("store"), Seal::None);
        let application = Application::open(config).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        application.init_token(slot, b"12345678", &[b'x'; 32]).unwrap();
        let handle = application.open_session(slot, true).unwrap();
        let key = || {
            let mut template = Attributes::default();
            template.set(attribute::PRIVATE, false);
            template.set(attribute::VALUE_LEN, 16);
            let mechanism = mechanism!(CKM_AES_KEY_GEN).0;
            let call = MechanismCall { mechanism, params: Params::default() };
            application.generate_key(handle, call, template).unwrap()
        };
        let keys = [key(), key(), key()];
        let session = application.sessions.find(handle).unwrap();
        for key in keys {
            let mechanism = mechanism!(CKM_AES_ECB).0;
            let ecb = MechanismCall { mechanism, params: Params::default() };
            application.encrypt_init(handle, Some(ecb), key).unwrap();
            application.encrypt_init(handle, None, key).unwrap();
            application.find_objects_init(handle, Attributes::default()).unwrap();
            let found = application.find(handle, 9, 9).unwrap();
            assert_eq!(found.of.iter().flatten().count(), keys.len());
            assert!(session.recall.get(key, session.token.losses.count()).is_some());
        }
    }
}
