//! What the applications of a daemon see while another process replaces the master key of their token.

use std::collections::VecDeque;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_functions::{Cryptoki, Remote};
use strongroom_keystore::{Config, Severity, Store};
use strongroom_token::found_by;
use strongroom_types::{
    Attributes, Error, ObjectHandle, Output, Result, Room, SessionHandle, SessionState, UserType,
    attribute,
};

use crate::seal::{AES_ECB, AES_KEY, call};
use crate::world::{Caller, Daemon, LONG, PIN, SO_PIN, slot, token};

const APPLICATIONS: usize = 3;
/// How many keys there are from the beginning.
const KEYS: u8 = 8;
/// How many keys an application leaves of those that it has made.
const MOST: usize = 20;

/// How often the master key is replaced.
fn rotations() -> usize {
    if env::var_os("STRONGROOM_TESTS_LONG").is_some() { 300 } else { 5 }
}

/// Who was logged in is told one of these, whatever he calls next.
const TOLD: [Error; 4] = [
    Error::UserNotLoggedIn,
    Error::KeyHandleInvalid,
    Error::ObjectHandleInvalid,
    Error::OperationNotInitialized,
];

/// What the threads share.
#[derive(Default)]
struct Progress {
    /// How many rotations have come to their end.
    rotated: AtomicUsize,
    /// How many of these each application has behind it, and one: it has used each key since.
    seen: [AtomicUsize; APPLICATIONS],
    stop: AtomicBool,
}

impl Progress {
    fn wait(&self) {
        let (start, rotated) = (Instant::now(), self.rotated.load(Ordering::SeqCst));
        while self.seen.iter().any(|seen| seen.load(Ordering::SeqCst) <= rotated) {
            assert!(start.elapsed() < LONG, "an application does not get on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Stops the applications, however the thread that has it ends.
struct Stop<'a>(&'a Progress);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

/// An application that is logged in.
struct Application<'a> {
    remote: Remote<&'a Caller>,
    session: SessionHandle,
    /// What it has made and not destroyed again, as it was told.
    made: VecDeque<String>,
    /// How many it has made.
    count: usize,
    logins: usize,
}

impl<'a> Application<'a> {
    fn new(caller: &'a Caller) -> Self {
        let remote = Remote::new(caller);
        let session = remote.open_session(slot(caller), true).unwrap();
        let (made, count, logins) = (VecDeque::new(), 0, 0);
        let mut application = Self { remote, session, made, count, logins };
        application.log_in();
        application
    }

    fn log_in(&mut self) {
        self.remote.login(self.session, UserType::USER, PIN).unwrap();
        self.logins += 1;
    }

    fn make(&self, label: &str, value: u8) -> Result<ObjectHandle> {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, AES_KEY.0);
        key.set(attribute::KEY_TYPE, AES_KEY.1);
        key.set(attribute::TOKEN, true);
        key.set(attribute::PRIVATE, true);
        key.set(attribute::ENCRYPT, true);
        key.set(attribute::LABEL, label.as_bytes());
        key.set(attribute::VALUE, [value; 16].as_slice());
        self.remote.create_object(self.session, key)
    }

    /// The key of this name. None is missing to who is logged in.
    fn find(&self, label: &str) -> Result<ObjectHandle> {
        let mut template = Attributes::default();
        template.set(attribute::LABEL, label.as_bytes());
        self.remote.find_objects_init(self.session, template)?;
        let found = self.remote.find_objects(self.session, 10)?;
        self.remote.find_objects_final(self.session)?;
        match found.as_slice() {
            [key] => Ok(*key),
            [] => {
                let state = self.remote.session_info(self.session)?.state;
                assert_eq!(state, SessionState::ReadWritePublic, "{label} is missing");
                Err(Error::UserNotLoggedIn)
            }
            _ => panic!("{} are called {label}", found.len()),
        }
    }

    fn encrypt(&self, key: ObjectHandle) -> Result<Vec<u8>> {
        self.remote.encrypt_init(self.session, call(AES_ECB), key)?;
        match self.remote.encrypt(self.session, &[1; 16], Room::Bytes(16))? {
            Output::Bytes(bytes) => Ok(bytes.to_vec()),
            Output::Needs(len) => panic!("{len} bytes"),
        }
    }

    /// Makes a key, destroys an older one, and uses each of those from the beginning.
    fn work(&mut self, name: usize, right: &[Vec<u8>]) -> Result<()> {
        let label = format!("key {} of {name}", self.count);
        self.make(&label, KEYS)?;
        self.made.push_back(label);
        self.count += 1;
        while self.made.len() > MOST {
            self.remote.destroy_object(self.session, self.find(&self.made[0])?)?;
            self.made.pop_front();
        }
        for (number, right) in right.iter().enumerate() {
            let key = self.find(&format!("key {number}"))?;
            assert_eq!(self.encrypt(key)?, *right, "key {number}");
        }
        Ok(())
    }

    /// Works, and logs in again when it is told that nobody is.
    fn go_on(&mut self, name: usize, right: &[Vec<u8>], progress: &Progress) {
        while !progress.stop.load(Ordering::SeqCst) {
            let rotated = progress.rotated.load(Ordering::SeqCst);
            match self.work(name, right) {
                Ok(()) => progress.seen[name].store(rotated + 1, Ordering::SeqCst),
                Err(error) => {
                    assert!(TOLD.contains(&error), "{error:?}");
                    self.log_in();
                }
            }
        }
    }
}

#[test]
fn who_is_logged_in_is_logged_out_and_has_all_keys_after_the_next_login() {
    let daemon = Daemon::start("");
    token(&daemon);
    let caller = daemon.connect();
    let first = Application::new(&caller);
    let right: Vec<_> = (0..KEYS)
        .map(|number| first.encrypt(first.make(&format!("key {number}"), number).unwrap()).unwrap())
        .collect();
    let config = Config::load(&daemon.dir.path().join("strongroom.toml")).unwrap();
    let store = Store::open(&config).unwrap();
    let stored = store.tokens().unwrap().remove(0);
    let (daemon, right, progress) = (&daemon, right.as_slice(), Progress::default());
    let progress = &progress;
    let made: Vec<String> = thread::scope(|scope| {
        let start = |name| {
            scope.spawn(move || {
                let caller = daemon.connect();
                let mut application = Application::new(&caller);
                application.go_on(name, right, progress);
                (application.logins, application.made)
            })
        };
        let applications: Vec<_> = (0..APPLICATIONS).map(start).collect();
        let stop = Stop(progress);
        progress.wait();
        for _ in 0..rotations() {
            let count = stored.rotate(SO_PIN, Some(PIN), found_by).unwrap();
            assert!(count >= u64::from(KEYS), "{count} keys");
            progress.rotated.fetch_add(1, Ordering::SeqCst);
            progress.wait();
        }
        drop(stop);
        let ended = applications.into_iter().map(|thread| thread.join().unwrap());
        ended
            .flat_map(|(logins, made)| {
                assert_eq!(logins, 1 + rotations(), "each rotation ends each login, once");
                assert!(!made.is_empty());
                made
            })
            .collect()
    });
    // One who was not there meanwhile is told the same; and nothing that was made is missing.
    let state = |application: &Application<'_>| {
        application.remote.session_info(application.session).unwrap().state
    };
    assert_eq!(state(&first), SessionState::ReadWritePublic);
    assert_eq!(first.find("key 0"), Err(Error::UserNotLoggedIn));
    let mut first = first;
    first.log_in();
    for label in &made {
        first.find(label).unwrap();
    }
    first.work(APPLICATIONS, right).unwrap();
    let findings = store.check();
    assert!(findings.iter().all(|found| found.severity != Severity::Fault), "{findings:?}");
    assert!(!daemon.log().contains("panic"), "{}", daemon.log());
}
