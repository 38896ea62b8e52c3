//! Files of a store that were damaged in one byte, or cut short: what can be read is right, or there is
//! an error; never less than there was, and never something else.

use std::fs;
use std::path::{Path, PathBuf};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::daemon::daemon_path;
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::{InitArgs, Module, Rv, World, count, long, not_run, table};

use crate::model::{End, NOT_THERE, State, look_as_user, make_full_token, seal_key, store};

/// A file and what was in it.
type Kept = (PathBuf, Vec<u8>);

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One byte is another one.
    Byte,
    /// It ends here.
    Cut,
}

impl Damage {
    fn apply(self, bytes: &[u8], at: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            // In each place another bit of the eight, or all.
            Self::Byte => bytes[at] ^= [1, 2, 4, 8, 16, 32, 64, 128, 255][at % 9],
            Self::Cut => bytes.truncate(at),
        }
        bytes
    }
}

/// What comes of reading a damaged store. A panic, at an answer that nobody expects, is none of these.
const RIGHT: i32 = 0;
const ERROR: i32 = 1;
const WRONG: i32 = 2;

/// All that is stored: the files in the directory and in those in it, and the seal key.
fn files(world: &World) -> Vec<Kept> {
    let mut all = Vec::new();
    below(&store(world), &mut all);
    all.extend(fs::read(seal_key(world)).ok().map(|bytes| (seal_key(world), bytes)));
    all.sort_unstable();
    all
}

fn below(directory: &Path, all: &mut Vec<Kept>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            below(&path, all);
        } else {
            all.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
}

/// Puts back what has changed, and removes what has come. Nobody has a file open.
fn put_back(world: &World, kept: &[Kept]) {
    let found = files(world);
    for (path, _) in &found {
        if kept.iter().all(|(known, _)| known != path) {
            fs::remove_file(path).expect("a file");
        }
    }
    for (path, bytes) in kept.iter().filter(|file| !found.contains(file)) {
        fs::write(path, bytes).expect("a file");
    }
}

/// Reads everything in a process of its own.
fn read(module: &Module, state: &State) -> Ended {
    Forked::start(|| {
        if module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)) != Rv::OK {
            return ERROR;
        }
        match look_as_user(module, state) {
            Ok(found) if found.losses(state, state) == 0 => RIGHT,
            Ok(_) => WRONG,
            // Nobody has said that something is wrong.
            Err(why) if why == NOT_THERE => WRONG,
            Err(_) => ERROR,
        }
    })
    .wait()
}

/// The places of a file that are damaged, far from each other: the keystore's own tests try every one.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let many = if long() { 1000 } else { 12 };
    (0..bytes.len()).step_by(bytes.len() / many + 1)
}

fn in_each_file(world: &World, damage: Damage) {
    if daemon_path().is_some() {
        not_run("a daemon reads its files when it starts, by the code that the module has");
    }
    let module = world.module();
    let state = make_full_token(world, End::Killed);
    let kept = files(world);
    assert_eq!(read(module, &state), Ended::Exit(RIGHT), "before anything is damaged");
    let (mut right, mut errors, mut wrong, mut crashes) = (0, 0, Vec::new(), Vec::new());
    for (path, bytes) in &kept {
        for at in places(bytes) {
            put_back(world, &kept);
            fs::write(path, damage.apply(bytes, at)).expect("a file");
            let name = || format!("{} at {at}", path.file_name().expect("a name").display());
            match read(module, &state) {
                Ended::Exit(RIGHT) => right += 1,
                Ended::Exit(ERROR) => errors += 1,
                Ended::Exit(_) => wrong.push(name()),
                Ended::Signal(signal) => crashes.push(format!("{} (signal {signal})", name())),
            }
        }
    }
    count("damaged files: places tried", right + errors + wrong.len() + crashes.len());
    count("damaged files: everything was right all the same", right);
    count("damaged files: an error said so", errors);
    count("damaged files: something else was read, or less", wrong.len());
    count("damaged files: crashes", crashes.len());
    let few = |names: &[String]| names.iter().take(12).cloned().collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), few(&wrong));
    assert!(crashes.is_empty(), "{} crashes: {:?}", crashes.len(), few(&crashes));
    assert!(errors > 0, "nothing was noticed");
}

#[test]
fn in_one_place() {
    let fails = Fails("attributes have no checksum, and what can not be read is left out");
    table(&[("a byte", fails, Damage::Byte), ("cut", fails, Damage::Cut)], |world, damage| {
        in_each_file(world, *damage);
    });
}
