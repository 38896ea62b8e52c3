//! Where keys are while they are used, and what is left of them after seal: the memory of the daemon, as
//! others read it, its core dump, and its log.

use std::fs::{self, File};
use std::io::{BufRead, Cursor};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use strongroom_functions::{Cryptoki, Remote};
use strongroom_operator::Request;
use strongroom_types::Room;

use crate::seal::{
    AES, AES_ECB, AES_KEY, EC_KEY, SCALAR, SEAL_KEY, call, find, import, log_in, sign, signed,
    slot, start_relaxed,
};
use crate::world::{Caller, Daemon, LONG, token};

/// What bytes are, and the bytes.
type Needle = (&'static str, Vec<u8>);

/// The bytes that are looked for, each forwards and backwards: numbers lie either way.
fn needles() -> Vec<Needle> {
    let secrets = [("the seal key", SEAL_KEY), ("the P-256 key", SCALAR), ("the AES key", AES)];
    let both = |(name, bytes): (_, [u8; 32])| {
        let back: Vec<_> = bytes.iter().rev().copied().collect();
        [(name, bytes.to_vec()), (name, back)]
    };
    secrets.into_iter().flat_map(both).collect()
}

/// Where the memory of a process has these bytes, and what they are: all that it can read itself, and
/// shows to others.
fn memory_has(process: u32, needles: &[Needle]) -> Vec<(&'static str, String)> {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with('r')) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // The kernel's own pages, and those that it shows nobody.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        found.extend(in_bytes(&bytes, needles).map(|name| (name, line.to_owned())));
    }
    found
}

/// Which of these are in the bytes.
fn in_bytes(bytes: &[u8], needles: &[Needle]) -> impl Iterator<Item = &'static str> {
    needles.iter().filter(|(_, needle)| contains(bytes, needle)).map(|(name, _)| *name)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let mut at = Cursor::new(bytes);
    loop {
        let skipped = at.skip_until(needle[0]).unwrap();
        let here = usize::try_from(at.position()).unwrap();
        if skipped == 0 {
            return false;
        }
        if bytes[here - 1..].starts_with(needle) {
            return true;
        }
    }
}

/// Callers that have made both keys, and use them: of three, two are in the middle of an operation, and one
/// has gone.
fn keys_in_use(daemon: &Daemon) -> Vec<Caller> {
    token(daemon);
    let mut callers: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    let remote = Remote::new(&callers[0]);
    let session = log_in(&remote, slot(&remote));
    let scalar = import(&remote, session, EC_KEY, &SCALAR);
    let aes = import(&remote, session, AES_KEY, &AES);
    signed(sign(&remote, session, scalar));
    remote.encrypt_init(session, call(AES_ECB), aes).unwrap();
    remote.encrypt_update(session, &[0; 16], Room::Bytes(16)).unwrap();
    // Others come after the keys were made, and read them from the store.
    for caller in &callers[1..] {
        let remote = Remote::new(caller);
        let session = log_in(&remote, slot(&remote));
        signed(sign(&remote, session, find(&remote, session, EC_KEY.0)));
        let aes = find(&remote, session, AES_KEY.0);
        remote.encrypt_init(session, call(AES_ECB), aes).unwrap();
        remote.encrypt_update(session, &[0; 16], Room::Bytes(16)).unwrap();
    }
    drop(callers.pop());
    callers
}

/// Seals the store, and waits until the caller that has gone is not there any more.
fn seal_for_good(daemon: &Daemon) {
    daemon.seal();
    let start = Instant::now();
    while daemon.does(&Request::Status).applications > 2 {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Without these, keys lie where another process and a core dump have them.
const READABLE: &[&str] = &["secret memory", "not dumpable", "no core dumps"];

#[test]
fn no_key_is_left_in_memory_or_log_after_seal() {
    let daemon = start_relaxed(READABLE, "key_file = 'unseal.key'", &[]);
    daemon.says("not protected by secret memory: the configuration relaxes it; so ");
    let _callers = keys_in_use(&daemon);
    let process = daemon.child.id();
    // They are found by the same search while they are in use, each of them.
    let found = memory_has(process, &needles());
    for (secret, _) in needles() {
        assert!(found.iter().any(|(name, _)| *name == secret), "{secret} is not in {found:#?}");
    }
    seal_for_good(&daemon);
    assert_eq!(memory_has(process, &needles()), []);
    let log = fs::read(daemon.dir.path().join("log")).unwrap();
    assert_eq!(in_bytes(&log, &needles()).next(), None);
}

#[test]
fn no_other_process_finds_a_key_in_memory() {
    let daemon = start_relaxed(&["not dumpable"], "key_file = 'unseal.key'", &[]);
    let _callers = keys_in_use(&daemon);
    if daemon.log().contains("not protected by secret memory") {
        return;
    }
    let process = daemon.child.id();
    assert_eq!(memory_has(process, &needles()), []);
    let argument = ("an argument of the program", b"strongroom.toml".to_vec());
    assert!(!memory_has(process, &[argument]).is_empty(), "what is no secret is found");
}

/// What a daemon that is killed in such a way leaves of its memory, if it leaves any.
fn core_of(mut daemon: Daemon) -> Option<Vec<u8>> {
    daemon.signal(Signal::ABORT);
    let status = daemon.child.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    let files = fs::read_dir(daemon.dir.path()).unwrap().map(|file| file.unwrap());
    let core = files.into_iter().find(|file| file.file_name().as_bytes().starts_with(b"core"));
    assert_eq!(core.is_some(), status.core_dumped(), "{}", daemon.log());
    core.map(|core| fs::read(core.path()).unwrap())
}

/// Lets what this process starts dump core, as far as it may. Whether the machine then writes it to where
/// the process runs, by a name that begins so.
fn may_dump_core() -> bool {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let name = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    limit.maximum.is_none() && name.starts_with("core") && !name.contains('/')
}

#[test]
fn no_key_is_in_a_core_dump() {
    let written = may_dump_core();
    let crash = |relaxed: &[&str], sealed: bool| {
        let daemon = start_relaxed(relaxed, "key_file = 'unseal.key'", &[]);
        let _callers = keys_in_use(&daemon);
        if sealed {
            seal_for_good(&daemon);
        }
        let secret = !daemon.log().contains("not protected by secret memory");
        (core_of(daemon), secret)
    };
    assert!(crash(&[], false).0.is_none(), "there is none");
    if !written {
        // Whatever takes dumps on this machine, it is not this test that reads them.
        return;
    }
    let keys = |core: Option<Vec<u8>>| {
        in_bytes(&core.expect("a core dump"), &needles()).collect::<Vec<_>>()
    };
    let (core, _) = crash(READABLE, false);
    let found = keys(core);
    assert!(found.contains(&"the AES key") && found.contains(&"the P-256 key"), "{found:?}");
    assert_eq!(keys(crash(READABLE, true).0), [""; 0], "none after seal");
    if let (core, true) = crash(&["not dumpable", "no core dumps"], false) {
        assert_eq!(keys(core), [""; 0], "none from pages that belong to nobody else");
    }
}
