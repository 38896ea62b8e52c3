//! The main job, start to end: a key that OpenSSL uses and nobody can copy.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::debian;
use crate::failure::{Failure, Result};
use crate::process::{capture, program, text};
use crate::release::{self, Release};

/// The key as OpenSSL's engine names it.
const KEY: &str = "pkcs11:token=demo;object=server;type=private";

/// Runs the demonstration.
pub(crate) fn run() -> Result {
    debian::install(&debian::DEMO.iter().collect::<Vec<_>>())?;
    println!("Building the release: a few minutes the first time, seconds from then on.");
    let demo = Demo { release: release::build()?, folder: release::target().join("demo") };
    demo.prepare()?;
    demo.introduce();
    demo.make_the_key()?;
    demo.make_the_certificate()?;
    demo.sign_a_file()?;
    demo.try_to_take_the_key()?;
    demo.say_what_is_next()
}

struct Demo {
    release: Release,
    folder: PathBuf,
}

/// What a command must do, and say, for the demonstration to go on.
#[derive(Clone, Copy)]
enum Must {
    Succeed(&'static str),
    Fail(&'static str),
}

impl Must {
    fn judge(self, status: ExitStatus, said: &str) -> Result {
        let (success, words) = match self {
            Self::Succeed(words) => (true, words),
            Self::Fail(words) => (false, words),
        };
        if status.success() == success && said.contains(words) {
            return Ok(());
        }
        let wanted = if success { "succeed" } else { "be refused" };
        Err(Failure::new(
            format!("The command should {wanted} with \"{words}\", and ended with {status}."),
            "The demonstration ends here; what the command printed above says why.",
        ))
    }
}

impl Demo {
    /// An empty store, two random PINs that only this account can read, and a file to sign.
    fn prepare(&self) -> Result {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .map_err(|error| Failure::file(&self.folder, &error))?;
        }
        fs::create_dir_all(&self.folder).map_err(|error| Failure::file(&self.folder, &error))?;
        self.write("strongroom.toml", "[store]\npath = \"store\"\n")?;
        self.write("so-pin", &random_pin()?)?;
        self.write("pin", &random_pin()?)?;
        self.write("order.txt", "Pay 100 to the bearer.\n")?;
        self.write("forged.txt", "Pay 900 to the bearer.\n")
    }

    fn introduce(&self) {
        println!("\nEverything below runs with an embedded store of its own:\n");
        for (name, path) in self.environment() {
            println!("  export {name}={}", path.display());
        }
    }

    fn make_the_key(&self) -> Result {
        self.step(
            "Strongroom makes a token.",
            Must::Succeed("made the token"),
            self.strongroom(["token", "init", "--label", "demo"])
                .args(["--so-pin-file", &self.path("so-pin")])
                .args(["--pin-file", &self.path("pin")]),
        )?;
        self.step(
            "Strongroom makes a P-256 key inside it.",
            Must::Succeed("private key"),
            self.strongroom(["key", "generate", "ec:p256", "--label=server"])
                .args(["--pin-file", &self.path("pin")]),
        )
    }

    fn make_the_certificate(&self) -> Result {
        self.step(
            "OpenSSL makes a certificate: it asks Strongroom for the signature.",
            Must::Succeed(""),
            program("openssl", ["req", "-new", "-x509", "-days=30", "-subj=/CN=demo.example"])
                .args(["-engine=pkcs11", "-keyform=engine", "-key", &self.key()])
                .args(["-out", &self.path("server.crt")]),
        )?;
        self.step(
            "OpenSSL, without Strongroom, finds it valid.",
            Must::Succeed("OK"),
            program("openssl", ["verify", "-check_ss_sig", "-CAfile", &self.path("server.crt")])
                .arg(self.path("server.crt")),
        )?;
        self.step(
            "The subject is as it was asked for.",
            Must::Succeed("demo.example"),
            &mut program(
                "openssl",
                ["x509", "-noout", "-subject", "-in", &self.path("server.crt")],
            ),
        )?;
        self.step(
            "The public key is in it, for everybody.",
            Must::Succeed(""),
            program("openssl", ["x509", "-noout", "-pubkey", "-in", &self.path("server.crt")])
                .args(["-out", &self.path("server.pub")]),
        )
    }

    fn sign_a_file(&self) -> Result {
        self.step(
            "OpenSSL signs a file with the key in the token.",
            Must::Succeed(""),
            program("openssl", ["dgst", "-sha256", "-engine=pkcs11", "-keyform=engine"])
                .args(["-sign", &self.key(), "-out", &self.path("order.sig")])
                .arg(self.path("order.txt")),
        )?;
        self.step(
            "OpenSSL, with the public key alone, accepts the signature.",
            Must::Succeed("Verified OK"),
            &mut self.verification("order.txt"),
        )?;
        self.step(
            "Of a file with one digit changed, it does not.",
            Must::Fail("Verification failure"),
            &mut self.verification("forged.txt"),
        )
    }

    fn try_to_take_the_key(&self) -> Result {
        self.step(
            "The key is sensitive, and was never extractable.",
            Must::Succeed("never extractable"),
            self.strongroom(["key", "show", "server"]).args(["--pin-file", &self.path("pin")]),
        )?;
        self.step(
            "A key to encrypt other keys with, and so take them away.",
            Must::Succeed("secret key"),
            self.strongroom(["key", "generate", "aes:256", "--label=courier", "--usage=wrap"])
                .args(["--pin-file", &self.path("pin")]),
        )?;
        self.step(
            "Strongroom does not give the private key away, not even encrypted.",
            Must::Fail("CKR_KEY_UNEXTRACTABLE"),
            self.strongroom(["key", "wrap", "server", "--with=courier"]).args([
                "--pin-file",
                &self.path("pin"),
                "--out",
                &self.path("stolen.key"),
            ]),
        )?;
        let stolen = self.folder.join("stolen.key");
        if stolen.exists() {
            return Err(Failure::new(
                format!("{} holds something that should have stayed inside.", stolen.display()),
                "This is a fault of Strongroom: report it.",
            ));
        }
        Ok(())
    }

    fn say_what_is_next(&self) -> Result {
        let here =
            std::env::current_dir().map_err(|error| Failure::file(Path::new("."), &error))?;
        let keytool = self.release.keytool.display();
        let pin = self.path("pin");
        println!("\nAll of that worked. What to try next:\n\n  cd {}", here.display());
        for (name, path) in self.environment() {
            println!("  export {name}={}", here.join(path).display());
        }
        println!(
            "  {keytool} key list --pin-file {pin}\n  \
             {keytool} cert self-sign server --subject CN=mine --pin-file {pin} --store\n  \
             {keytool} mechanisms\n  \
             {keytool} check\n  \
             {keytool} --help\n\n\
             Any program that speaks PKCS#11 can load {}.",
            here.join(&self.release.module).display()
        );
        Ok(())
    }

    /// Runs one command in front of everybody: why, the command, and what it said.
    fn step(&self, claim: &str, must: Must, command: &mut Command) -> Result {
        println!("\n# {claim}\n$ {}", text(command));
        for (name, path) in self.environment() {
            command.env(name, path);
        }
        let output = capture(command)?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        print_indented(&said);
        must.judge(output.status, &said)
    }

    /// What tells the module where its store is, and OpenSSL where the module is.
    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("STRONGROOM_CONF", self.folder.join("strongroom.toml")),
            ("PKCS11_MODULE_PATH", self.release.module.clone()),
        ]
    }

    fn strongroom<const N: usize>(&self, args: [&str; N]) -> Command {
        program(&self.release.keytool.to_string_lossy(), args)
    }

    fn verification(&self, file: &str) -> Command {
        let mut command = program("openssl", ["dgst", "-sha256", "-verify"]);
        command.args([self.path("server.pub"), "-signature".to_owned(), self.path("order.sig")]);
        command.arg(self.path(file));
        command
    }

    fn key(&self) -> String {
        format!("{KEY}?pin-source=file:{}", self.path("pin"))
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, content: &str) -> Result {
        let path = self.folder.join(name);
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        open.and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(|error| Failure::file(&path, &error))
    }
}

/// Twelve random bytes in hexadecimal: OpenSSL's engine reads no more than 31 digits of a file.
fn random_pin() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 12];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Failure::file(source, &error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn print_indented(said: &str) {
    let mut out = io::stdout().lock();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        // A closed pipe ends the program soon enough.
        let _written = writeln!(out, "  {line}");
    }
}
