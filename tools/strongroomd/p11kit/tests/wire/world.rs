//! A server on a socket in a directory of its own, and programs that talk to it.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use strongroom_p11kit::{Limits, Module, serve};
use strongroom_token::{Application, Config};
use tempfile::TempDir;

/// The stock client.
pub(crate) const STOCK: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

pub(crate) const SO_PIN: &str = "so-pin-1234";
pub(crate) const PIN: &str = "user-pin-1";
pub(crate) const TOKEN: &str = "wire";

/// A store, and the server for it.
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    /// Starts a server on an empty store.
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// Starts one with other limits.
    pub(crate) fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("strongroom.toml");
        fs::write(&config, format!("[store]\npath = \"{}/store\"\n", dir.path().display()))
            .unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, limits) = (config.clone(), limits.clone());
                thread::spawn(move || attend(&stream.unwrap(), &config, &limits));
            }
        });
        Self { dir }
    }

    /// Starts one on a store with a token that has both PINs.
    pub(crate) fn with_token() -> Self {
        let world = Self::new();
        world.make_token();
        world
    }

    fn make_token(&self) {
        self.tool(&["--init-token", "--slot-index=0", "--label", TOKEN, "--so-pin", SO_PIN]);
        let login = ["--token-label", TOKEN, "--login", "--login-type", "so", "--so-pin", SO_PIN];
        self.tool(&[&login[..], &["--init-pin", "--new-pin", PIN]].concat());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and tells where.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().into()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A program whose PKCS#11 module is the stock client of this server.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", self.path("socket").display()))
            .env("PKCS11_MODULE_PATH", STOCK)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    /// Runs a program that must succeed, and gives what it says.
    pub(crate) fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let said = said(&output);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        said
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> String {
        self.succeed("pkcs11-tool", &[&["--module", STOCK], arguments].concat())
    }

    /// The same with the user logged in.
    pub(crate) fn user_tool(&self, arguments: &[&str]) -> String {
        self.tool(&[&["--token-label", TOKEN, "--login", "--pin", PIN], arguments].concat())
    }

    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Child {
        self.command(program).args(arguments).spawn().unwrap()
    }
}

/// What a program said, all of it.
pub(crate) fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Serves a client with an application of its own. That a client breaks off is its own affair.
fn attend(stream: &UnixStream, config: &Path, limits: &Limits) {
    let application = Application::open(Config::load(config).unwrap()).unwrap();
    let module = Module::new(&application, strongroom_token::layouts);
    let _ = serve(stream, stream, module, limits);
}
