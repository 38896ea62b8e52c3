//! The store that an operator seals and unseals: what callers see of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_functions::{Cryptoki, Remote, wait_for_event};
use strongroom_keystore::{Locks, Opener};
use strongroom_operator::{Answer, Opener as Given, Request, Status, ask};
use strongroom_types::{
    Attributes, Error, MechanismCall, MechanismType, ObjectHandle, Output, Params, Room,
    SessionHandle, SlotId, UserType, attribute,
};

use crate::world::{Caller, Daemon, LONG, PIN, SO_PIN, over_p11kit, token};

const WORDS: &[u8] = b"four quiet \"green\" boats";

/// What the seal key is, so that it can be looked for.
pub(crate) const SEAL_KEY: [u8; 32] =
    *b"\xb1\x0c\x5e\xa1\x6b\x3d\x9f\x27\xe4\x88\x12\xfa\x70\xc6\x4d\x93\
                              \x2e\xd5\x09\xbb\x61\xf8\x1a\xc7\x54\x3f\x86\xe0\x9d\x2b\x75\xa8";
/// What the scalar of the P-256 key is, which is imported.
pub(crate) const SCALAR: [u8; 32] =
    *b"\x5c\x1f\x93\xe8\x2a\x76\xb0\x4d\xd9\x05\x6e\xc1\x38\xf2\x8b\x57\
                            \xa4\x1d\x60\xcf\x7b\x32\x95\xee\x08\x49\xd6\x13\xba\x84\x2f\x61";
/// The same for an AES key.
pub(crate) const AES: [u8; 32] =
    *b"\x91\x6a\xf3\x0e\xc8\x57\x2d\xb4\x79\xe6\x40\x1b\xa5\xdc\x33\x8f\
                         \x02\xcb\x94\x68\xed\x17\x5a\xf0\x26\x8d\xb9\x43\x7e\xd1\x0c\xa2";

/// A daemon whose seal key is locked, with a passphrase and with a key file; with more in `[seal]`, and
/// in its environment.
fn start(seal: &str, environment: &[(&str, &Path)]) -> Daemon {
    start_relaxed(&[], seal, environment)
}

/// The same without some of its protections.
pub(crate) fn start_relaxed(relaxed: &[&str], seal: &str, environment: &[(&str, &Path)]) -> Daemon {
    let settings =
        format!("p11kit = 'p11kit.sock'\nrelax = {relaxed:?}\n[seal]\nsource = 'operator'\n{seal}");
    let daemon = Daemon::start_as(&settings, |command| {
        let config = Path::new(command.get_args().last().unwrap());
        let dir = config.parent().unwrap().to_owned();
        lock_seal_key(&dir);
        // A core dump is written where the process runs.
        command.current_dir(dir);
        command.env_remove("CREDENTIALS_DIRECTORY").envs(environment.iter().copied()).spawn()
    });
    daemon.says("for its operator");
    daemon
}

fn lock_seal_key(dir: &Path) {
    let private = |name, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).unwrap();
        fs::set_permissions(dir.join(name), Permissions::from_mode(0o600)).unwrap();
    };
    private("seal.key", &SEAL_KEY);
    private("unseal.key", &[7; 32]);
    let words = Opener::Passphrase(WORDS);
    let mut locks = Locks::of_file(&dir.join("seal.key"), "operator", words).unwrap();
    locks.extend(words, "service", Opener::Key(&[7; 32])).unwrap();
    locks.write(&dir.join("seal.locked")).unwrap();
    fs::remove_file(dir.join("seal.key")).unwrap();
}

impl Daemon {
    fn asks(&self, request: &Request) -> Answer {
        let socket = self.dir.path().join("operator.sock");
        ask(&socket, request).unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    pub(crate) fn does(&self, request: &Request) -> Status {
        match self.asks(request) {
            Answer::Done(status) => status,
            other => panic!("{other:?}: {}", self.log()),
        }
    }

    fn unseal(&self) {
        assert!(!self.does(&Request::Unseal(Given::passphrase(WORDS))).sealed);
    }

    pub(crate) fn seal(&self) {
        let status = self.does(&Request::Seal);
        assert_eq!((status.sealed, status.under_way, status.sessions), (true, 0, 0));
    }
}

pub(crate) fn log_in(remote: &Remote<&Caller>, slot: SlotId) -> SessionHandle {
    let session = remote.open_session(slot, true).unwrap();
    remote.login(session, UserType::USER, PIN).unwrap();
    session
}

/// The slot of the token, as an application that came after it numbers it.
pub(crate) fn slot(remote: &Remote<&Caller>) -> SlotId {
    remote.slot_list(true, true).unwrap()[0]
}

/// `CKO_PRIVATE_KEY` and `CKK_EC`; `CKO_SECRET_KEY` and `CKK_AES`.
pub(crate) const EC_KEY: (u64, u64) = (3, 3);
pub(crate) const AES_KEY: (u64, u64) = (4, 0x1f);

/// secp256r1.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// Imports a key as a token object.
pub(crate) fn import(
    remote: &Remote<&Caller>,
    session: SessionHandle,
    (class, key_type): (u64, u64),
    value: &[u8],
) -> ObjectHandle {
    let mut key = Attributes::default();
    key.set(attribute::CLASS, class);
    key.set(attribute::KEY_TYPE, key_type);
    key.set(attribute::TOKEN, true);
    key.set(attribute::VALUE, value);
    if (class, key_type) == EC_KEY {
        key.set(attribute::EC_PARAMS, P256);
        key.set(attribute::SIGN, true);
    } else {
        key.set(attribute::ENCRYPT, true);
    }
    remote.create_object(session, key).unwrap()
}

pub(crate) fn find(remote: &Remote<&Caller>, session: SessionHandle, class: u64) -> ObjectHandle {
    let mut template = Attributes::default();
    template.set(attribute::CLASS, class);
    remote.find_objects_init(session, template).unwrap();
    let found = remote.find_objects(session, 10).unwrap();
    remote.find_objects_final(session).unwrap();
    found[0]
}

/// `CKM_ECDSA` and `CKM_AES_ECB`.
const ECDSA: u64 = 0x1041;
pub(crate) const AES_ECB: u64 = 0x1081;

pub(crate) fn call(number: u64) -> Option<MechanismCall> {
    Some(MechanismCall { mechanism: MechanismType(number), params: Params::default() })
}

pub(crate) fn sign(
    remote: &Remote<&Caller>,
    session: SessionHandle,
    key: ObjectHandle,
) -> Result<Output, Error> {
    remote.sign_init(session, call(ECDSA), key)?;
    remote.sign(session, &[1; 32], Room::Bytes(64))
}

pub(crate) fn signed(outcome: Result<Output, Error>) {
    assert!(matches!(outcome, Ok(Output::Bytes(signature)) if signature.len() == 64));
}

/// What the module has `C_WaitForSlotEvent` come to.
fn next_event(caller: &Caller) -> Result<SlotId, Error> {
    let remote = Remote::new(caller);
    wait_for_event(true, |block| remote.wait_for_slot_event(block))
}

/// `CKF_TOKEN_PRESENT` and `CKF_REMOVABLE_DEVICE`.
const PRESENT: u64 = 1;
const REMOVABLE: u64 = 2;

#[test]
fn a_sealed_token_is_one_that_is_not_there() {
    let daemon = start("", &[]);
    assert!(daemon.log().contains("the store is sealed"), "{}", daemon.log());
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    assert_eq!(remote.slot_list(true, true), Ok(vec![]));
    let blank = remote.slot_list(false, true).unwrap()[0];
    assert_eq!(remote.slot_info(blank).unwrap().flags, REMOVABLE);
    let absent = Error::TokenNotPresent;
    let no_token = |slot| {
        assert_eq!(remote.token_info(slot).map(drop), Err(absent));
        assert_eq!(remote.mechanism_list(slot).map(drop), Err(absent));
        assert_eq!(remote.mechanism_info(slot, MechanismType(ECDSA)).map(drop), Err(absent));
        assert_eq!(remote.open_session(slot, true), Err(absent));
        assert_eq!(remote.close_all_sessions(slot), Err(absent));
        assert_eq!(remote.init_token(slot, SO_PIN, &[b'x'; 32]), Err(absent));
    };
    no_token(blank);
    assert_eq!(remote.wait_for_slot_event(false), Err(Error::NoEvent));

    // Somebody waits, on a connection of its own as the module would have it.
    let waiting = daemon.connect();
    thread::scope(|scope| {
        let woken = scope.spawn(|| next_event(&waiting));
        daemon.unseal();
        assert_eq!(woken.join().unwrap(), Ok(blank));
    });
    assert_eq!(remote.wait_for_slot_event(false), Ok(blank));
    assert_eq!(remote.wait_for_slot_event(false), Err(Error::NoEvent));
    assert_eq!(remote.slot_info(blank).unwrap().flags, PRESENT | REMOVABLE);
    assert_eq!(remote.slot_list(true, true), Ok(vec![blank]));
    token(&daemon);
    let slot = slot(&remote);
    let session = log_in(&remote, slot);
    let key = import(&remote, session, EC_KEY, &SCALAR);
    signed(sign(&remote, session, key));
    remote.sign_init(session, call(ECDSA), key).unwrap();

    // Those that have happened so far are told at once.
    while Remote::new(&waiting).wait_for_slot_event(false).is_ok() {}
    thread::scope(|scope| {
        let woken = scope.spawn(|| next_event(&waiting));
        daemon.seal();
        woken.join().unwrap().unwrap();
    });
    let gone = Err(Error::SessionHandleInvalid);
    assert_eq!(remote.sign(session, &[1; 32], Room::Bytes(64)).map(drop), gone);
    assert_eq!(remote.session_info(session).map(drop), gone);
    assert_eq!(remote.slot_list(true, true), Ok(vec![]));
    assert_eq!(remote.slot_info(slot).unwrap().flags, REMOVABLE);
    no_token(slot);
    assert_eq!(daemon.does(&Request::Status).sessions, 0);

    daemon.unseal();
    assert_eq!(remote.session_info(session).map(drop), gone, "it does not come back");
    let session = remote.open_session(slot, true).unwrap();
    let public = remote.session_info(session).unwrap().state;
    assert_eq!(public, strongroom_types::SessionState::ReadWritePublic, "nobody is logged in");
    remote.login(session, UserType::USER, PIN).unwrap();
    signed(sign(&remote, session, find(&remote, session, EC_KEY.0)));
}

#[test]
fn whoever_does_not_know_how_to_unseal_is_told_so_and_named_in_the_log() {
    let daemon = start("", &[]);
    let status = daemon.does(&Request::Status);
    assert!(status.sealed);
    assert_eq!(status.process, daemon.child.id());
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    for wrong in [Given::passphrase(b"five quiet boats"), Given::key(&[8; 32])] {
        assert_eq!(daemon.asks(&Request::Unseal(wrong)), Answer::Wrong);
    }
    let senseless = daemon.asks(&Request::Unseal(Given::Key("xyz".to_owned().into())));
    assert!(matches!(senseless, Answer::Refused(_)), "{senseless:?}");
    // The fourth attempt after wrong ones waits for a quarter of a second.
    assert_eq!(daemon.asks(&Request::Unseal(Given::passphrase(b"six boats"))), Answer::Wrong);
    let start = Instant::now();
    assert_eq!(daemon.asks(&Request::Unseal(Given::key(&[9; 32]))), Answer::Wrong);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    assert!(daemon.does(&Request::Status).sealed);
    assert!(!daemon.does(&Request::Unseal(Given::key(&[7; 32]))).sealed);
    daemon.seal();
    fs::remove_file(daemon.dir.path().join("seal.locked")).unwrap();
    let refused = daemon.asks(&Request::Unseal(Given::key(&[7; 32])));
    assert!(matches!(refused, Answer::Refused(why) if why.contains("seal.locked")));

    let log = daemon.log();
    let me =
        format!("user {}, process {} (", rustix::process::geteuid().as_raw(), std::process::id());
    let lines =
        |text: &str| log.lines().filter(|line| line.contains(&me) && line.contains(text)).count();
    assert_eq!(lines("with a passphrase, wrongly"), 2, "{log}");
    assert_eq!(lines("with a key, wrongly"), 2, "{log}");
    assert_eq!(lines("unsealed the store with a key"), 1, "{log}");
    assert_eq!(lines("sealed the store"), 2, "{log}");
    assert!(!log.contains("boats") && !log.contains(&"07".repeat(32)), "{log}");
}

#[test]
fn only_those_on_its_own_list_are_operators() {
    if !rustix::process::geteuid().is_root() {
        // Only the superuser can be somebody else.
        return;
    }
    let daemon = start("", &[]);
    let socket = daemon.dir.path().join("operator.sock");
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                  try: s.sendall(b'\"seal\"\\n')\n\
                  except BrokenPipeError: pass\n\
                  sys.stdout.write(s.makefile().readline())\n";
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c"])
        .arg(script)
        .arg(&socket)
        .output()
        .expect("setpriv and Python");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.starts_with("{\"refused\":\"you are no operator"), "{output:?}");
    assert!(daemon.log().contains("(python3): is not on the list"), "{}", daemon.log());
    daemon.does(&Request::Status);
}

#[test]
fn a_key_file_or_a_credential_unseals_at_start() {
    let named = start("key_file = 'unseal.key'", &[]);
    assert!(!named.does(&Request::Status).sealed, "{}", named.log());
    named.seal();
    named.unseal();

    let credentials = tempfile::tempdir().unwrap();
    let path = credentials.path().join("vault");
    fs::write(&path, [7; 32]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let environment = [("CREDENTIALS_DIRECTORY", credentials.path())];
    let given = start("credential = 'vault'", &environment);
    assert!(!given.does(&Request::Status).sealed, "{}", given.log());

    let without = start("credential = 'vault'", &[]);
    assert!(without.does(&Request::Status).sealed);
    assert!(without.log().contains("LoadCredentialEncrypted=vault"), "{}", without.log());
}

#[test]
fn sealing_in_the_middle_of_load_stops_it_and_unsealing_lets_it_go_on() {
    let daemon = start("", &[]);
    daemon.unseal();
    token(&daemon);
    let first = daemon.connect();
    let remote = Remote::new(&first);
    let session = log_in(&remote, slot(&remote));
    import(&remote, session, EC_KEY, &SCALAR);

    let callers: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    let (signatures, sealed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ready = Barrier::new(callers.len());
    let work = |caller: &Caller| {
        let remote = Remote::new(caller);
        let slot = slot(&remote);
        let session = log_in(&remote, slot);
        let key = find(&remote, session, EC_KEY.0);
        ready.wait();
        let end = loop {
            let late = sealed.load(Ordering::SeqCst);
            match sign(&remote, session, key) {
                Ok(_) => assert!(!late, "a signature after the store was sealed"),
                Err(error) => break error,
            }
            signatures.fetch_add(1, Ordering::SeqCst);
        };
        assert!(matches!(end, Error::DeviceRemoved | Error::SessionHandleInvalid), "{end:?}");
        assert_eq!(remote.open_session(slot, true), Err(Error::TokenNotPresent));
    };
    thread::scope(|scope| {
        callers.iter().for_each(|caller| drop(scope.spawn(|| work(caller))));
        let start = Instant::now();
        while signatures.load(Ordering::SeqCst) < 100 {
            assert!(start.elapsed() < LONG, "{}", daemon.log());
            thread::sleep(Duration::from_millis(1));
        }
        daemon.seal();
        sealed.store(true, Ordering::SeqCst);
    });
    daemon.unseal();
    for caller in &callers {
        let remote = Remote::new(caller);
        let session = log_in(&remote, slot(&remote));
        signed(sign(&remote, session, find(&remote, session, EC_KEY.0)));
    }
    assert!(over_p11kit(&daemon, &["--list-objects"]).contains("Private Key Object"));
}
