//! The program as `softhsm2-util`, beside Debian's: the same lines on the same module, and what
//! came of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Run, SO_PIN, World};
use strongroom_keystore::{Config, Store};

const PIN: &str = "1234";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Whose program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Debian,
    Ours,
}

use Whose::{Debian, Ours};

/// The program, called by its name, on SoftHSM2's module and the store of a world.
fn run(world: &World, whose: Whose, args: &[&str]) -> Run {
    let mut command = match whose {
        Debian => Command::new("softhsm2-util"),
        Ours => Command::new(link(world)),
    };
    command
        .env_clear()
        .env("SOFTHSM2_CONF", world.path("softhsm2.conf"))
        .env("STRONGROOM_MODULE", MODULE)
        .current_dir(world.dir.path())
        .stdin(std::process::Stdio::null())
        .args(args)
        .output()
        .unwrap()
        .into()
}

/// The program under the other name.
fn link(world: &World) -> std::path::PathBuf {
    let link = world.path("softhsm2-util");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_strongroom"), &link).unwrap();
    }
    link
}

/// Lines without what is chosen at random: numbers of slots and serial numbers.
fn told(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let bare = word.trim_end_matches('.');
        if bare.len() > 6 && bare.bytes().all(|byte| byte.is_ascii_digit()) {
            return String::from("NUMBER");
        }
        word.to_owned()
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect()
}

/// How much of a line's outcome is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Output, errors and exit code.
    All,
    /// All but standard output, where theirs asks before it finds that nobody can answer.
    ButAsking,
}

use Same::{All, ButAsking};

fn files(world: &World) {
    let openssl = |args: &str| {
        world.openssl(&args.split(' ').collect::<Vec<_>>());
    };
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out p521.pem");
    openssl("genpkey -algorithm ED25519 -out ed.pem");
    for (file, bits) in [("dsa-parameters", 2048), ("old-dsa-parameters", 1024)] {
        let generate = "genpkey -genparam -algorithm DSA -pkeyopt";
        openssl(&format!("{generate} dsa_paramgen_bits:{bits} -out {file}"));
    }
    openssl("genpkey -paramfile dsa-parameters -out dsa.pem");
    openssl("genpkey -paramfile old-dsa-parameters -out old-dsa.pem");
    openssl("pkcs8 -topk8 -in rsa.pem -passout pass:secret -out enc.pem");
    openssl("rsa -in rsa.pem -traditional -out old.pem");
    world.file("aes", &[7; 32]);
    world.file("junk", &[9; 17]);
}

/// Lines for a fresh store, in order, and what is the same.
const LINES: &[(&str, Same)] = &[
    ("--init-token", All),
    ("--init-token --slot 0", All),
    ("--init-token --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --slot 7 --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --slot -1 --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --slot 0 --label 123456789012345678901234567890123", All),
    ("--init-token --slot 0 --label a --pin 12 --so-pin 12345678", ButAsking),
    ("--init-token --slot 0 --label a --pin 1234", ButAsking),
    ("--init-token --token none --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --slot 0 --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --token a --label a --pin 1234 --so-pin 12345679", All),
    ("--init-token --token a --label a --pin 1234 --so-pin 12345678", All),
    ("--init-token --free --label=b --pin=1234 --so-pin=12345678", All),
    ("--init-t --fr --lab b --pin 1234 --so-p 12345678", All),
    ("--init-token --token b --label b --pin 1234 --so-pin 12345678", All),
    ("--import rsa.pem --token a", All),
    ("--import rsa.pem --token a --label k", All),
    ("--import rsa.pem --token a --label k --id 0g --pin 1234", All),
    ("--import rsa.pem --token a --label k --id 012 --pin 1234", All),
    ("--import rsa.pem --token a --label k --id 01 --pin 1235", All),
    ("--import rsa.pem --token a --label k --id 01 --pin 12", ButAsking),
    ("--import rsa.pem --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --slot 77 --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --slot 3 --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --token a --serial 1 --label k --id 01 --pin 1234", All),
    ("--import none --token a --label k --id 01 --pin 1234", All),
    ("--import junk --token a --label k --id 01 --pin 1234", All),
    ("--import old.pem --token a --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --token a --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --token a --label k --id 01 --pin 1234", All),
    ("--import rsa.pem --token a --label k --id 01 --pin 1234 --force", All),
    ("--import ec.pem --token a --label ec --id 02 --pin 1234 --no-public-key", All),
    ("--import p521.pem --token a --label p521 --id 0303 --pin 1234", All),
    ("--import ed.pem --token a --label ed --id 04 --pin 1234", All),
    ("--import dsa.pem --token a --label dsa --id 0d --pin 1234", All),
    ("--import old-dsa.pem --token a --label old --id 0e --pin 1234", All),
    ("--import enc.pem --token a --label enc --id 05 --pin 1234", All),
    ("--import enc.pem --token a --label enc --id 05 --pin 1234 --file-pin wrong", All),
    ("--import enc.pem --token a --label enc --id 05 --pin 1234 --file-pin secret", All),
    ("--import rsa.pem --token a --label enc --id 06 --pin 1234 --file-pin secret", All),
    ("--import aes --aes --token a --label aes --id 07 --pin 1234", All),
    ("--import none --aes --token a --label aes --id 08 --pin 1234", All),
    ("--delete-token", All),
    ("-v", All),
    ("--version", All),
];

#[test]
fn every_line_has_the_same_outcome() {
    let worlds = [World::empty(), World::empty()];
    files(&worlds[0]);
    let all =
        ["rsa", "ec", "p521", "ed", "dsa", "old-dsa", "enc", "old"].map(|n| format!("{n}.pem"));
    for name in all.iter().map(String::as_str).chain(["aes", "junk"]) {
        std::fs::copy(worlds[0].path(name), worlds[1].path(name)).unwrap();
    }
    for (line, same) in LINES {
        let args: Vec<&str> = line.split(' ').collect();
        let theirs = run(&worlds[0], Debian, &args);
        let ours = run(&worlds[1], Ours, &args);
        assert_eq!(theirs.code, ours.code, "{line}: {}", ours.stderr);
        assert_eq!(told(&theirs.stderr), told(&ours.stderr), "{line}");
        if *same == All {
            assert_eq!(told(&theirs.text()), told(&ours.text()), "{line}");
        }
    }
    let [theirs, ours] = worlds.each_ref().map(objects);
    assert!(theirs.len() > 60, "{theirs:?}");
    assert_eq!(theirs, ours);
    // The same store: every byte.
    let list = ["--show-slots"];
    for world in &worlds {
        assert_eq!(run(world, Debian, &list).text(), run(world, Ours, &list).text());
    }
}

/// What `pkcs11-tool` says of the objects of the first token, in an order of its own.
fn objects(world: &World) -> Vec<String> {
    let login = ["--token-label", "a", "--login", "--pin", PIN, "--list-objects"];
    let output = Command::new("pkcs11-tool")
        .args(["--module", MODULE])
        .args(login)
        .env("SOFTHSM2_CONF", world.path("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(output.status.success());
    // The point of an Edwards curve: theirs is bare here, and in DER where the module makes it.
    let line = |line: &str| line.replace("EC_POINT:   0420", "EC_POINT:   ");
    let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn nothing_and_two_things_at_once_are_explained() {
    let world = World::empty();
    for line in ["", "--show-slots --init-token"] {
        let run = run(&world, Ours, &line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(run.code, 1, "{line}");
        assert!(run.text().contains("--init-token"), "{line}: {}", run.text());
    }
    assert_eq!(run(&world, Ours, &["--help"]).code, 0);
    // Theirs answers these with success: a typing error, and a text for the slot number 0.
    assert_eq!(run(&world, Ours, &["--init-tokens"]).code, 1);
    let text = ["--init-token", "--slot", "abc", "--label", "a", "--pin", PIN, "--so-pin", SO_PIN];
    assert_eq!(run(&world, Ours, &text).code, 1);
    let none = run(&world, Ours, &["--module", "/none.so", "--show-slots"]);
    assert!(none.code == 1 && none.stderr.contains("Could not load the PKCS#11"));
}

#[test]
fn what_came_with_2_7_works() {
    let world = World::empty();
    let init = ["--init-token", "--free", "--label", "a", "--pin", PIN, "--so-pin", SO_PIN];
    assert_eq!(run(&world, Ours, &init).code, 0);
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "c"];
    world.openssl(&[&request[..], &["-subj", "/CN=here"]].concat());
    let to = ["--token", "a", "--label", "cert", "--id", "01", "--pin", PIN];
    let import = [&["--import", "c", "--import-type", "cert"][..], &to].concat();
    let run_it = run(&world, Ours, &import);
    assert_eq!(run_it.code, 0, "{}", run_it.stderr);
    assert!(objects(&world).iter().any(|line| line.contains("X.509")));
    assert_eq!(run(&world, Ours, &import).code, 1);
    let pss = ["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"];
    world.openssl(&[&pss[..], &["-out", "pss.pem"]].concat());
    let to = ["--token", "a", "--label", "pss", "--id", "02", "--pin", PIN];
    let run_it = run(&world, Ours, &[&["--import", "pss.pem"][..], &to].concat());
    assert_eq!(run_it.code, 0, "{}", run_it.stderr);
    let pss = |line: &&String| line.contains("Key Object; RSA");
    assert_eq!(objects(&world).iter().filter(pss).count(), 2, "{:?}", objects(&world));
    let path = run(&world, Ours, &["--show-config", "default-pkcs11-lib"]);
    assert_eq!(path.text().trim(), MODULE);
}

#[test]
fn it_is_a_command_as_well() {
    let world = World::empty();
    let mut command = world.bare();
    command.env("STRONGROOM_MODULE", MODULE);
    let run: Run = command.args(["softhsm2-util", "--show-slots"]).output().unwrap().into();
    assert!(
        run.code == 0 && run.text().starts_with("Available slots:\nSlot 0\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_token_of_our_store_is_deleted_without_a_pin() {
    let world = World::empty();
    let conf = world.path("strongroom.toml");
    let store = || Store::open(&Config::load(&conf).unwrap()).unwrap();
    let label = |text: &str| {
        let mut label = [b' '; 32];
        label[..text.len()].copy_from_slice(text.as_bytes());
        label
    };
    for name in ["one", "two", "two"] {
        store().create(&label(name), SO_PIN.as_bytes()).unwrap();
    }
    let delete = |args: &[&str]| -> Run {
        Command::new(link(&world))
            .env_clear()
            .env("STRONGROOM_CONF", &conf)
            .arg("--delete-token")
            .args(args)
            .output()
            .unwrap()
            .into()
    };
    let gone = |run: &Run, path: &Path| run.text().contains("has been deleted.") && !path.exists();
    let one = delete(&["--token", "one"]);
    let path = one.text().split(['(', ')']).nth(3).map(Path::new).map(Path::to_owned).unwrap();
    assert!(one.code == 0 && gone(&one, &path), "{}{}", one.text(), one.stderr);
    assert!(path.starts_with(world.dir.path()));
    let two = delete(&["--token", "two"]);
    assert_eq!(two.code, 1);
    assert_eq!(two.stderr, "ERROR: Found multiple matching tokens.\n");
    let serial = String::from_utf8(store().tokens().unwrap()[0].serial().to_vec()).unwrap();
    assert_eq!(delete(&["--token", "two", "--serial", &serial]).code, 0);
    assert_eq!(delete(&["--serial", &serial]).code, 1);
    assert_eq!(delete(&["--serial", "12345678901234567"]).stderr, "ERROR: --serial is too long.\n");
    assert_eq!(store().tokens().unwrap().len(), 1);
}
