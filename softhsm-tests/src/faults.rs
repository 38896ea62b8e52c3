//! A system that fails: writes that a full disk cuts short, calls that a broken one refuses, a clock
//! that is set back.
//!
//! `faults.c` stands between the process of a test and the system, and between its daemon and the
//! system. It obeys a few words in a file, which it maps and this writes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, process};

use crate::harness::results;

/// Where the words are.
const FILE: &str = "STRONGROOM_TESTS_FAULTS";
/// How long they are.
const LEN: usize = 24;
/// Where the number of calls is among them.
const SEEN: u64 = 12;
/// Where the clock is.
const AHEAD: u64 = 16;

/// How calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One call by which something is written, synchronised, cut, named or removed fails: EIO.
    Broken,
    /// From one write on there is no space: that one is cut short, the others fail. ENOSPC.
    Full,
}

/// What rules over the system of this process.
#[derive(Debug)]
pub struct Faults(File);

impl Faults {
    /// Those of this process: its test was started among faults.
    pub fn of_process() -> Self {
        let path = env::var_os(FILE).expect("a test that runs among faults");
        let file = OpenOptions::new().read(true).write(true).open(path).expect("the control");
        Self(file)
    }

    /// From now on calls are counted, and this one fails.
    pub fn arm(&self, fault: Fault, at: u32) {
        let (error, full) = match fault {
            Fault::Broken => (libc::EIO, 0_u32),
            Fault::Full => (libc::ENOSPC, 1),
        };
        let error = u32::try_from(error).expect("a number of an error");
        let words = [at, error, full, 0].map(u32::to_ne_bytes);
        self.0.write_all_at(words.as_flattened(), 0).expect("the control");
    }

    /// From now on nothing fails. Says how many calls were counted.
    pub fn disarm(&self) -> u32 {
        self.0.write_all_at(&0_u32.to_ne_bytes(), 0).expect("the control");
        let mut seen = [0; 4];
        self.0.read_exact_at(&mut seen, SEEN).expect("the control");
        u32::from_ne_bytes(seen)
    }

    /// Sets the clock so many seconds ahead, or back.
    pub fn turn_clock(&self, seconds: i64) {
        self.0.write_all_at(&seconds.to_ne_bytes(), AHEAD).expect("the control");
    }
}

/// Has a command run among faults, of which there are none at first.
pub(crate) fn among_faults(command: &mut Command, directory: &Path) {
    let control = directory.join("faults");
    fs::write(&control, [0; LEN]).expect("the control");
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    command.env(FILE, control).env("LD_PRELOAD", LIBRARY.get_or_init(library));
}

/// The library that fails, compiled if need be, once in each process of tests. It gets its name when it
/// is whole: another process may be about to use it.
fn library() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/faults.c");
    let library = results().join("faults.so");
    let changed = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    if changed(&library).is_some_and(|library| Some(library) > changed(&source)) {
        return library.canonicalize().expect("the library");
    }
    fs::create_dir_all(results()).expect("the directory of results");
    let draft = library.with_extension(process::id().to_string());
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&draft, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(compiled.success(), "faults.c does not compile");
    fs::rename(&draft, &library).expect("the library");
    library.canonicalize().expect("the library")
}
