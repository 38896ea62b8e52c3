//! Too little memory for a login: an answer, and the process lives on.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Passes;
use strongroom_softhsm_tests::raw::{Ended, Forked, limit_address_space};
use strongroom_softhsm_tests::{Module, Rv, Session, USER_PIN, World, count, not_run, table};

use crate::model::{find_token, initialize};

const MIB: u64 = 1 << 20;

/// The codes of the standard for too little memory.
const NO_MEMORY: [CK_RV; 2] = [CKR_DEVICE_MEMORY, CKR_HOST_MEMORY];

/// A token, and a module that is not initialised.
fn token(world: &World) -> &Module {
    world.slot();
    assert_eq!(world.module().finalize(), Rv::OK, "C_Finalize");
    world.module()
}

/// What a process exits with whose login had enough memory, and one whose login was refused for it.
const ENOUGH: i32 = 0;
const REFUSED: i32 = 1;

/// Counts how a process has ended.
fn tell(end: Ended) {
    assert!(matches!(end, Ended::Exit(ENOUGH | REFUSED)), "{end:?}");
    count("little memory: logins", 1);
    count(
        "little memory: logins that were refused for it",
        usize::from(end == Ended::Exit(REFUSED)),
    );
}

/// A session, and how its login ends, which may be refused for want of memory.
fn log_in(module: &Module) -> (Session<'_>, Rv) {
    let session = Session::open(module, find_token(module).expect("the token"), CKF_RW_SESSION);
    let rv = session.login(CKU_USER, USER_PIN);
    assert!(rv == Rv::OK || NO_MEMORY.contains(&rv.0), "C_Login: {rv:?}");
    (session, rv)
}

#[test]
fn a_login_with_little_address_space() {
    let rows = [1, 2, 4, 8, 16, 18, 20, 64].map(|more| (format!("{more} MiB"), more));
    let rows: Vec<_> = rows.iter().map(|(name, more)| (&**name, Passes, *more)).collect();
    table(&rows, |world, more| {
        let module = token(world);
        let child = Forked::start(|| {
            initialize(module);
            let limit = limit_address_space(more * MIB);
            let (session, rv) = log_in(module);
            drop(limit);
            assert!(rv == Rv::OK || *more < 64, "64 MiB are plenty");
            if rv != Rv::OK {
                assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "with memory again");
            }
            // The refusal was no wrong PIN.
            let info = module.token_info(session.slot).expect("C_GetTokenInfo");
            assert_eq!(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
            if rv == Rv::OK { ENOUGH } else { REFUSED }
        });
        tell(child.wait());
        initialize(module);
    });
}

/// A control group of this test's own.
struct Group {
    /// Where all groups are.
    root: &'static Path,
    path: PathBuf,
}

impl Group {
    /// One that may have so many MiB, if the system lets us make it.
    fn new(mib: u64) -> Option<Self> {
        let name = format!("strongroom-test-{}-{mib}", process::id());
        let of = |root: &'static str, file: &str| {
            let root = Path::new(root);
            let group = Self { root, path: root.join(&name) };
            fs::create_dir(&group.path).ok()?;
            group.say(file, mib * MIB).ok()?;
            Some(group)
        };
        of("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            .or_else(|| of("/sys/fs/cgroup", "memory.max"))
    }

    /// Writes into a file that is there, or this is no group.
    fn say(&self, file: &str, number: impl Display) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path.join(file))?;
        file.write_all(number.to_string().as_bytes())
    }

    /// Puts the process that calls into the group. Says whether it is in there now and knows it: in a
    /// container its own name for the group may be another one.
    fn enter(&self) -> bool {
        if self.say("cgroup.procs", process::id()).is_err() {
            return false;
        }
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path =
            |line: &str| Some(line.splitn(3, ':').nth(2)?.trim_start_matches('/').to_owned());
        groups.lines().filter_map(path).any(|path| self.root.join(path) == self.path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// What a process exits with that can not enter its group.
const STAYS_OUTSIDE: i32 = 77;

#[test]
fn a_login_in_a_small_container() {
    let rows = [48, 24, 16].map(|mib| (format!("{mib} MiB"), mib));
    let rows: Vec<_> = rows.iter().map(|(name, mib)| (&**name, Passes, *mib)).collect();
    table(&rows, |world, mib| {
        let module = token(world);
        let Some(group) = Group::new(*mib) else {
            not_run("nobody here may make a control group with a limit on memory")
        };
        let child = Forked::start(|| {
            if !group.enter() {
                return STAYS_OUTSIDE;
            }
            initialize(module);
            let (_, rv) = log_in(module);
            assert!(rv == Rv::OK || *mib < 48, "48 MiB are enough");
            if rv == Rv::OK { ENOUGH } else { REFUSED }
        });
        let end = child.wait();
        drop(group);
        if end == Ended::Exit(STAYS_OUTSIDE) {
            not_run("nobody here may enter a control group of his own");
        }
        tell(end);
        initialize(module);
    });
}
