//! A store with a token, its user logged in: made once for a thread, because a login takes long on
//! purpose.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use strongroom_functions::Cryptoki;
use strongroom_keystore::config::{Config, KeyPolicy, Seal};
use strongroom_token::Application;
use strongroom_types::{
    Attributes, Error, ObjectHandle, Result, SessionHandle, SlotId, UserType, Value, attribute,
};
use tempfile::TempDir;

const SO_PIN: &[u8] = b"87654321";
const PIN: &[u8] = b"12345678";

/// No more objects than this are told apart.
const MOST: usize = 1000;

/// Does something in a directory that is empty.
pub(crate) fn scratch(act: impl FnOnce(&Path)) {
    thread_local! {
        static DIR: TempDir = tempfile::tempdir().unwrap();
    }
    DIR.with(|dir| {
        act(dir.path());
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    });
}

/// A token, and a session that keeps its user logged in.
pub(crate) struct World {
    pub(crate) application: Application,
    pub(crate) session: SessionHandle,
    slot: SlotId,
    _dir: TempDir,
}

impl World {
    /// A new token of a policy.
    pub(crate) fn new(policy: KeyPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal::File(dir.path().join("seal.key"));
        let plain = Config::plain(dir.path().join("store"), seal);
        let application = Application::open(Config { legacy: true, policy, ..plain }).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        application.init_token(slot, SO_PIN, &[b' '; 32]).unwrap();
        let session = application.open_session(slot, true).unwrap();
        application.login(session, UserType::SECURITY_OFFICER, SO_PIN).unwrap();
        application.init_pin(session, PIN).unwrap();
        application.logout(session).unwrap();
        application.login(session, UserType::USER, PIN).unwrap();
        Self { application, session, slot, _dir: dir }
    }

    /// Does something in a session of its own, of which nothing is left behind that can go. Says whether
    /// all could.
    pub(crate) fn visit(&self, act: impl FnOnce(&Visit<'_>)) -> bool {
        let session = self.application.open_session(self.slot, true).unwrap();
        let visit = Visit { application: &self.application, session };
        let before = visit.objects();
        act(&visit);
        for object in visit.objects().into_iter().filter(|object| !before.contains(object)) {
            let _ = self.application.destroy_object(session, object);
        }
        self.application.close_session(session).unwrap();
        let visit = Visit { session: self.session, ..visit };
        visit.objects() == before
    }
}

/// A world that is made anew when something is left behind in it.
pub(crate) struct Renewed {
    policy: KeyPolicy,
    world: RefCell<World>,
}

impl Renewed {
    /// A new token of a policy.
    pub(crate) fn new(policy: KeyPolicy) -> Self {
        Self { policy, world: World::new(policy).into() }
    }

    /// Does something in a session of its own.
    pub(crate) fn visit(&self, act: impl FnOnce(&Visit<'_>)) {
        let clean = self.world.borrow().visit(act);
        if !clean {
            self.world.replace(World::new(self.policy));
        }
    }
}

/// Whether a half of a secret is anywhere in these bytes. The fuzzer sees what is compared, and would put
/// the secret itself into what it makes up; so sums are compared.
pub(crate) fn tells(bytes: &[u8], secret: &[u8; 32]) -> bool {
    let sum = |bytes: &[u8]| {
        bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte))
    };
    secret.chunks(16).any(|half| {
        let wanted = sum(half);
        bytes.windows(16).any(|window| window[0] == half[0] && sum(window) == wanted)
    })
}

/// What an object shows of itself.
pub(crate) type Shown = Vec<(u64, Result<Value>)>;

/// A session of a world.
pub(crate) struct Visit<'a> {
    pub(crate) application: &'a Application,
    pub(crate) session: SessionHandle,
}

impl Visit<'_> {
    /// All objects, but those by which the token tells of itself. Nobody promises in which order they are
    /// found: that of session objects changes when there is a new one.
    pub(crate) fn objects(&self) -> Vec<ObjectHandle> {
        let (application, session) = (self.application, self.session);
        application.find_objects_init(session, Attributes::default()).unwrap();
        let mut found = application.find_objects(session, MOST).unwrap();
        application.find_objects_final(session).unwrap();
        found.sort_unstable_by_key(|object| object.0);
        found
    }

    /// All attributes of an object, as they can be read.
    pub(crate) fn show(&self, object: ObjectHandle) -> Result<Shown> {
        let ids: Vec<u64> = attribute::ATTRIBUTES.iter().map(|info| info.id).collect();
        let values = self.application.attributes(self.session, object, &ids)?;
        Ok(ids.into_iter().zip(values).collect())
    }

    /// All that can be seen of all objects.
    pub(crate) fn everything(&self) -> Vec<(ObjectHandle, Shown)> {
        let objects = self.objects().into_iter();
        objects.map(|object| (object, self.show(object).unwrap())).collect()
    }
}

/// What came of a call: no call fails by a fault of ours.
pub(crate) fn no_fault<T>(outcome: Result<T>) -> Result<T> {
    assert!(outcome.as_ref().err() != Some(&Error::GeneralError), "CKR_GENERAL_ERROR");
    outcome
}
