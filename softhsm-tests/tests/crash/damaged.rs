//! Files of a store, and configurations, that were damaged in one byte, or cut short: what can be read is
//! right, or there is an error; never less than there was, and never something else.

use std::path::{Path, PathBuf};
use std::{env, fs};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
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
/// There is no token, and nobody has said that something is wrong.
const NOTHING: i32 = 3;

/// Which files are damaged: what they are called, where they are, which places of them stay as they are,
/// and whether there may be nothing, for no error.
struct Files {
    name: &'static str,
    of: fn(&World) -> Vec<Kept>,
    spares: fn(&[u8], usize) -> bool,
    may_name_another: bool,
}

/// All that is stored.
const STORED: Files =
    Files { name: "damaged files", of: stored, spares: |_, _| false, may_name_another: false };

/// Where it is stored. Without its path that is under the home directory, which is empty here. A path that is
/// damaged is one of somebody else's, whose files are no business of a test.
const CONFIGURATION: Files = Files {
    name: "damaged configuration",
    of: configuration,
    spares: |bytes, at| {
        bytes[..at].iter().filter(|byte| **byte == b'"').count() % 2 == 1 && bytes[at] != b'"'
    },
    may_name_another: true,
};

/// The files in the directory and in those in it, and the seal key.
fn stored(world: &World) -> Vec<Kept> {
    let mut all = Vec::new();
    below(&store(world), &mut all);
    all.extend(fs::read(seal_key(world)).ok().map(|bytes| (seal_key(world), bytes)));
    all.sort_unstable();
    all
}

/// That of ours. What quotes no path must not be damaged: SoftHSM2 takes what is left of one for the place
/// of its tokens, and writes into each directory there.
fn configuration(_: &World) -> Vec<Kept> {
    let path = PathBuf::from(env::var_os("STRONGROOM_CONF").expect("a configuration"));
    vec![(path.clone(), fs::read(path).expect("a file"))]
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
fn put_back(found: &[Kept], kept: &[Kept]) {
    for (path, _) in found {
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
            Err(why) if why == NOT_THERE => NOTHING,
            Err(_) => ERROR,
        }
    })
    .wait()
}

/// The places of a file that are damaged: every one, if there are few, else some far from each other. The
/// keystore's own tests try every one.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let many = if long() { 1000 } else { 12 };
    (0..bytes.len()).step_by(bytes.len() / many + 1)
}

fn in_each(world: &World, files: &Files, damage: Damage) {
    if daemon_path().is_some() {
        not_run("a daemon reads its files when it starts, by the code that the module has");
    }
    let module = world.module();
    let state = make_full_token(world, End::Killed);
    let kept = (files.of)(world);
    assert_eq!(read(module, &state), Ended::Exit(RIGHT), "before anything is damaged");
    let (mut right, mut errors, mut elsewhere) = (0, 0, 0);
    let (mut wrong, mut crashes) = (Vec::new(), Vec::new());
    for (path, bytes) in &kept {
        for at in places(bytes).filter(|at| !(files.spares)(bytes, *at)) {
            put_back(&(files.of)(world), &kept);
            fs::write(path, damage.apply(bytes, at)).expect("a file");
            let name = || format!("{} at {at}", path.file_name().expect("a name").display());
            match read(module, &state) {
                Ended::Exit(RIGHT) => right += 1,
                Ended::Exit(ERROR) => errors += 1,
                Ended::Exit(NOTHING) if files.may_name_another => elsewhere += 1,
                Ended::Exit(_) => wrong.push(name()),
                Ended::Signal(signal) => crashes.push(format!("{} (signal {signal})", name())),
            }
        }
    }
    put_back(&(files.of)(world), &kept);
    let tell = |what: &str, number| count(&format!("{}: {what}", files.name), number);
    tell("places tried", right + errors + elsewhere + wrong.len() + crashes.len());
    tell("everything was right all the same", right);
    tell("an error said so", errors);
    if files.may_name_another {
        tell("another store was named, and nothing is there", elsewhere);
    }
    tell("something else was read, or less", wrong.len());
    tell("crashes", crashes.len());
    let few = |names: &[String]| names.iter().take(12).cloned().collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), few(&wrong));
    assert!(crashes.is_empty(), "{} crashes: {:?}", crashes.len(), few(&crashes));
    assert!(errors > 0, "nothing was noticed");
}

#[test]
fn in_one_place() {
    let fails = Fails("attributes have no checksum, and what can not be read is left out");
    table(&[("a byte", fails, Damage::Byte), ("cut", fails, Damage::Cut)], |world, damage| {
        in_each(world, &STORED, *damage);
    });
}

#[test]
fn in_the_configuration() {
    table(&[("a byte", Passes, Damage::Byte), ("cut", Passes, Damage::Cut)], |world, damage| {
        let module = world.path().file_name().expect("a module");
        if module.as_encoded_bytes().starts_with(b"libsofthsm2") {
            not_run(
                "its configuration quotes no path, and part of one leads it to other directories",
            );
        }
        in_each(world, &CONFIGURATION, *damage);
    });
}
