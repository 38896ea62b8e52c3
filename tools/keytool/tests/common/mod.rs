//! A module with a store of its own per test, and the programs that check what we make.

#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

pub(crate) mod old_token;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PIN: &str = "12345678";
pub(crate) const SO_PIN: &str = "87654321";

/// A module under test, with an empty store.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    module: PathBuf,
}

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the program was killed"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    /// An empty store.
    pub(crate) fn empty() -> Self {
        let module = std::env::var("MODULE_UNDER_TEST")
            .unwrap_or_else(|_| String::from("/usr/lib/softhsm/libsofthsm2.so"));
        let module = PathBuf::from(module);
        assert!(module.is_file(), "the module under test is missing: {}", module.display());
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let softhsm = format!("directories.tokendir = {}\nlog.level = ERROR\n", store.display());
        std::fs::write(dir.path().join("softhsm2.conf"), softhsm).unwrap();
        let strongroom = format!("[store]\npath = \"{}/ours\"\n", dir.path().display());
        std::fs::write(dir.path().join("strongroom.toml"), strongroom).unwrap();
        Self { dir, module }
    }

    /// A store with one token.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.ok(["token", "init", "--label", "main"]);
        world
    }

    /// Whether the module under test is Strongroom's own.
    pub(crate) fn is_ours(&self) -> bool {
        self.module.to_string_lossy().contains("strongroom")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program, without any PIN in its environment.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env("STRONGROOM_CONF", self.path("strongroom.toml"))
            .env("STRONGROOM_MODULE", &self.module)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.bare();
        command.env("STRONGROOM_PIN", PIN).env("STRONGROOM_SO_PIN", SO_PIN).args(args);
        command.output().unwrap().into()
    }

    /// A run that must succeed.
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run
    }

    /// A run that must fail with this code, and say why and what to do.
    pub(crate) fn fails<A: AsRef<OsStr>>(
        &self,
        code: i32,
        args: impl IntoIterator<Item = A>,
    ) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, code, "{}", run.stderr);
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        run
    }

    pub(crate) fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.ok(args.into_iter().chain(["--json".into()])).json()
    }

    /// OpenSSL, which must succeed.
    pub(crate) fn openssl(&self, args: &[&str]) -> String {
        let (good, text) = self.try_openssl(args);
        assert!(good, "openssl {args:?}: {text}");
        text
    }

    pub(crate) fn try_openssl(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl is needed for these tests");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn with_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut child = self
            .bare()
            .env("STRONGROOM_PIN", PIN)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }
}

pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
