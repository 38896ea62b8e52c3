//! What protects the process, as others see it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use strongroom_functions::{Cryptoki, Remote};
use strongroom_types::{
    Attributes, MechanismCall, MechanismType, Params, Room, UserType, attribute,
};

use crate::world::{Daemon, PIN, slot, token};

#[test]
fn the_process_is_locked_in() {
    let daemon = Daemon::start("relax = ['not dumpable']");
    token(&daemon);
    let caller = daemon.connect();
    Remote::new(&caller).info().expect("a thread serves it");
    daemon.says("not protected by not dumpable: the configuration relaxes it; so ");
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let threads: Vec<_> = threads.map(|thread| thread.unwrap().path().join("status")).collect();
    assert!(threads.len() > 1);
    /// `CAP_IPC_LOCK`, which is kept where the limit of locked memory is lower than what is locked.
    const LOCK: u64 = 1 << 14;
    for thread in threads {
        let status = fs::read_to_string(thread).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name} is not in {status}")).trim().to_owned()
        };
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Seccomp"), "2");
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            let left = u64::from_str_radix(&field(set), 16).unwrap();
            assert_eq!(left & !LOCK, 0, "{set}: {left:x}");
        }
        let granted = !daemon.log().contains("not protected by locked memory");
        assert_eq!(field("VmLck") != "0 kB", granted, "{}", daemon.log());
    }
}

/// The places that a process writes to where such bytes lie, as far as another is let read them.
fn places(process: u32, wanted: &[u8]) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, rest) = line.split_once('-').unwrap();
        let to = rest.split_once(' ').unwrap().0;
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
        for start in (from..to).step_by(1 << 20) {
            // A key may lie across the border.
            let end = to.min(start + (1 << 20) + 64);
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            let readable = memory.read_exact_at(&mut bytes, start).is_ok();
            if readable && bytes.windows(wanted.len()).any(|bytes| bytes == wanted) {
                found.push(line.to_owned());
            }
        }
    }
    found
}

#[test]
fn no_other_process_finds_a_key_in_memory() {
    let daemon = Daemon::start("relax = ['not dumpable']");
    token(&daemon);
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    remote.login(session, UserType::USER, PIN).unwrap();
    let value: Vec<u8> = (1..=32).map(|n: u8| n.wrapping_mul(37) ^ 0x5a).collect();
    let mut key = Attributes::default();
    // A secret key for AES.
    key.set(attribute::CLASS, 4);
    key.set(attribute::KEY_TYPE, 0x1f);
    key.set(attribute::TOKEN, true);
    key.set(attribute::ENCRYPT, true);
    key.set(attribute::VALUE, value.as_slice());
    let key = remote.create_object(session, key).unwrap();
    // CKM_AES_ECB.
    let mechanism = MechanismCall { mechanism: MechanismType(0x1081), params: Params::NONE };
    remote.encrypt_init(session, Some(mechanism), key).unwrap();
    remote.encrypt(session, &[0; 16], Room::Bytes(16)).unwrap();
    let found = places(daemon.child.id(), &value);
    if daemon.log().contains("not protected by secret memory") {
        return;
    }
    assert!(found.is_empty(), "{found:#?}");
    let argument = places(daemon.child.id(), b"strongroom.toml");
    assert!(!argument.is_empty(), "what is no secret is found");
}
