//! What the tests share: a store in a directory of its own, and processes of their own.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use strongroom_keystore::{
    Change, Config, Found, ObjectId, Role, Store, Term, Token, Unlocked, config::Seal,
};

pub(crate) const SO_PIN: &[u8] = b"87654321";
pub(crate) const USER_PIN: &[u8] = b"1234";
pub(crate) const LABEL: [u8; 32] = *b"a label                         ";
/// The name of the term that every object of these tests has.
pub(crate) const NAME: u32 = 3;

/// A directory with a store and a seal key, gone afterwards.
pub(crate) struct Place {
    dir: PathBuf,
    owner: bool,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("strongroom-test-{}-{number}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self { dir, owner: true }
    }

    /// The place of the process that started this one.
    pub(crate) fn of_parent() -> Self {
        Self { dir: env::var_os("STRONGROOM_TEST_PLACE").unwrap().into(), owner: false }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config::plain(self.path("store"), Seal::File(self.path("seal/seal.key")))
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.config()).unwrap()
    }

    /// A new token with both PINs, and the keys of its user.
    pub(crate) fn token(&self) -> (Store, Arc<Token>, Unlocked) {
        let store = self.store();
        let token = store.create(&LABEL, SO_PIN).unwrap();
        let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
        token.set_user_pin(&so, USER_PIN).unwrap();
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        (store, token, user)
    }

    pub(crate) fn database(&self, token: &Token) -> PathBuf {
        let stem: String = token.id().iter().map(|byte| format!("{byte:02x}")).collect();
        self.path("store").join(stem + ".db")
    }

    /// Starts a test of `processes` as a process of its own, at this place.
    pub(crate) fn start(&self, test: &str, argument: &str) -> Child {
        self.command(test, argument).spawn().unwrap()
    }

    pub(crate) fn command(&self, test: &str, argument: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args([
                "--exact",
                &format!("processes::{test}"),
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("STRONGROOM_TEST_PLACE", &self.dir)
            .env("STRONGROOM_TEST_ARGUMENT", argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.owner {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Whether what tries by chance, or tries every place, may take some minutes.
pub(crate) fn long() -> bool {
    env::var_os("STRONGROOM_TESTS_LONG").is_some()
}

/// What the starter said.
pub(crate) fn argument() -> String {
    env::var("STRONGROOM_TEST_ARGUMENT").unwrap()
}

pub(crate) fn id(number: u64) -> ObjectId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// What a search says of a private object.
pub(crate) fn private(number: u64) -> Found {
    Found { private: true, id: id(number) }
}

/// What a search says of a public object.
pub(crate) fn public(number: u64) -> Found {
    Found { private: false, id: id(number) }
}

pub(crate) fn term(value: &[u8]) -> [Term<'_>; 1] {
    [Term { name: NAME, value }]
}

pub(crate) fn create<'a>(
    number: u64,
    private: bool,
    body: &'a [u8],
    terms: &'a [Term<'a>],
) -> Change<'a> {
    Change::Create { id: id(number), private, body, terms }
}

/// The first token of a store.
pub(crate) fn first(store: &Store) -> Arc<Token> {
    Arc::clone(&store.tokens().unwrap()[0])
}
