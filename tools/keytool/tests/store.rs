//! What works on Strongroom's own store, whatever module is under test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::{PIN, Run, SO_PIN, World};
use strongroom_keystore::{Change, Config, Error, Opener, Role, Severity, Store, Term};
use strongroom_operator::{Answer, Opener as Given, Request, Status, answer, hear};
use strongroom_types::{Attributes, attribute};

/// The program on Strongroom's store, with no module named.
fn run(world: &World, args: &[&str]) -> Run {
    let mut command = world.bare();
    command.env_remove("STRONGROOM_MODULE").env("STRONGROOM_SO_PIN", SO_PIN).args(args);
    command.output().unwrap().into()
}

fn store(world: &World) -> Store {
    Store::open(&Config::load(&world.path("strongroom.toml")).unwrap()).unwrap()
}

fn with_token() -> (World, PathBuf) {
    let world = World::empty();
    let mut label = [b' '; 32];
    label[..5].copy_from_slice(b"vault");
    store(&world).create(&label, SO_PIN.as_bytes()).unwrap();
    let backup = world.path("vault.backup");
    (world, backup)
}

#[test]
fn a_token_is_backed_up_deleted_and_restored() {
    let (world, backup) = with_token();
    let file = backup.to_str().unwrap();
    let made = run(&world, &["backup", file, "--token", "vault"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(run(&world, &["backup", file]).code, 9);
    assert_eq!(run(&world, &["restore", file]).code, 7);
    assert_eq!(run(&world, &["restore", file, "--replace"]).code, 2);
    let again = run(&world, &["restore", file, "--replace", "--yes"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let gone = run(&world, &["token", "delete", "--yes"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert!(store(&world).tokens().unwrap().is_empty());
    let back = run(&world, &["restore", file, "--json"]);
    assert_eq!(back.json()["label"], "vault", "{}", back.stderr);
    assert_eq!(store(&world).tokens().unwrap().len(), 1);
}

/// How many private objects the token has that is killed at.
const KEYS: u8 = 40;

/// Whether the token is sound, both PINs open it, and each object is there and is found.
fn assert_whole(world: &World) {
    let store = store(world);
    let faults: Vec<_> =
        store.check().into_iter().filter(|finding| finding.severity == Severity::Fault).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let token = store.tokens().unwrap().pop().unwrap();
    token.verify(Role::SecurityOfficer, SO_PIN.as_bytes()).unwrap();
    let user = token.unlock(Role::User, PIN.as_bytes()).unwrap();
    let name = u32::try_from(attribute::LABEL.info.id).unwrap();
    for number in 0..KEYS {
        let term = Term { name, value: &[number; 8] };
        let found = token.find(Some(&user), Some(true), &[term], None, 9).unwrap();
        assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [[number; 16]]);
        let body = token.load(Some(&user), [number; 16]).unwrap().body;
        let label = Attributes::decode(&body).unwrap().get(attribute::LABEL).unwrap().to_vec();
        assert_eq!(label, [number; 8]);
    }
}

#[test]
fn a_rotation_and_a_backup_that_are_killed_are_whole_or_not_there() {
    let (world, backup) = with_token();
    let file = backup.to_str().unwrap();
    let token = store(&world).tokens().unwrap().pop().unwrap();
    let so = token.unlock(Role::SecurityOfficer, SO_PIN.as_bytes()).unwrap();
    token.set_user_pin(&so, PIN.as_bytes()).unwrap();
    for number in 0..KEYS {
        let mut attributes = Attributes::default();
        attributes.set(attribute::LABEL, [number; 8].as_slice());
        let (id, private, body) = ([number; 16], true, &*attributes.encode());
        let name = u32::try_from(attribute::LABEL.info.id).unwrap();
        let terms = &[Term { name, value: &[number; 8] }];
        token.commit(Some(&so), &[Change::Create { id, private, body, terms }]).unwrap();
    }
    let rounds = if std::env::var_os("STRONGROOM_TESTS_LONG").is_some() { 300 } else { 10 };
    let (mut finished, mut restored) = (0, 0);
    for round in 0..rounds {
        let args = if round % 2 == 0 { vec!["token", "rotate"] } else { vec!["backup", file] };
        let mut command = world.bare();
        command.env_remove("STRONGROOM_MODULE").env("STRONGROOM_PIN", PIN);
        command.env("STRONGROOM_SO_PIN", SO_PIN).args(args).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        // The first rounds let it come to its end.
        let patience = if round < 2 { 30_000_000 } else { 7919 * round % 250_000 };
        for _ in 0..patience / 500 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_micros(500));
        }
        child.kill().unwrap();
        finished += u64::from(child.wait().unwrap().success());
        assert_whole(&world);
        if backup.exists() {
            match store(&world).restore(&backup, true) {
                Ok(_) => restored += 1,
                Err(Error::Corrupt(_)) => {}
                Err(error) => panic!("{error}"),
            }
            assert_whole(&world);
            std::fs::remove_file(&backup).unwrap();
            let _ = std::fs::remove_file(world.path("vault.backup-journal"));
        }
    }
    assert!(finished >= 2 && restored >= 1, "{finished} of {rounds} finished, {restored} restored");
}

#[test]
fn deleting_wants_the_right_pin_and_a_yes() {
    let (world, _) = with_token();
    world.file("wrong", b"not-the-pin");
    let wrong = run(&world, &["token", "delete", "--yes", "--so-pin-file", "wrong"]);
    assert_eq!(wrong.code, 5, "{}", wrong.stderr);
    assert_eq!(run(&world, &["token", "delete"]).code, 2);
    assert_eq!(run(&world, &["token", "delete", "--token", "other", "--yes"]).code, 3);
    assert_eq!(store(&world).tokens().unwrap().len(), 1);
}

#[test]
fn another_modules_tokens_are_left_alone() {
    let (world, backup) = with_token();
    let other = ["--module", "/usr/lib/other.so", "backup", backup.to_str().unwrap()];
    assert_eq!(run(&world, &other).code, 10);
    assert!(!backup.exists());
}

#[test]
fn check_looks_at_the_store() {
    let (world, _) = with_token();
    let report = run(&world, &["check", "--json"]).json();
    assert!(report.as_array().unwrap().len() > 1, "{report}");
    world.file("strongroom.toml", b"[store]\nnonsense = 1\n");
    let broken = run(&world, &["check"]);
    assert_eq!(broken.code, 11, "{}", broken.stderr);
    assert!(broken.text().contains("strongroom.toml"), "{}", broken.text());
}

/// The configuration of this world, with a locked seal key in its directory.
fn operated(world: &World) -> String {
    let path = world.path("strongroom.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("[seal]"), "{text}");
    std::fs::write(path, format!("{text}\n[seal]\nsource = \"operator\"\n")).unwrap();
    world.path("seal.locked").to_str().unwrap().to_owned()
}

#[test]
fn a_seal_key_is_locked_and_gets_more_locks() {
    let (world, _) = with_token();
    let key = world.path("seal.key");
    world.file("words", b"four quiet green boats\n");
    let first = ["seal-key", "lock", "--new-passphrase-file", "words", "--from"];
    let made = run(&world, &[&first[..], &[key.to_str().unwrap()]].concat());
    assert_eq!(made.code, 0, "{}", made.stderr);
    let again = run(&world, &[&first[..], &[key.to_str().unwrap()]].concat());
    assert_eq!(again.code, 9, "it is never written over: {}", again.stderr);

    operated(&world);
    let add = ["seal-key", "add", "--name", "service", "--new-key-file", "service.key"];
    world.file("wrong", b"five quiet green boats\n");
    let refused = run(&world, &[&add[..], &["--passphrase-file", "wrong"]].concat());
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    let added = run(&world, &[&add[..], &["--passphrase-file", "words"]].concat());
    assert_eq!(added.code, 0, "{}", added.stderr);
    let listed = run(&world, &["seal-key", "list", "--json"]).json();
    assert_eq!(listed[0]["name"], "operator");
    assert_eq!(listed[1]["kind"], "key file");

    let store = store(&world);
    let service = std::fs::read(world.path("service.key")).unwrap();
    assert!(store.is_sealed());
    store.unseal(Opener::Key(&service)).unwrap();
    assert_eq!(store.tokens().unwrap().pop().unwrap().status().unwrap().label[..5], *b"vault");

    let removed = run(&world, &["seal-key", "remove", "operator"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(run(&world, &["seal-key", "remove", "operator"]).code, 3);
    assert_eq!(run(&world, &["seal-key", "remove", "service"]).code, 10, "the last");
}

#[test]
fn a_new_seal_key_is_locked_from_the_first() {
    let world = World::empty();
    let locked = operated(&world);
    let made = run(&world, &["seal-key", "lock", "--new-key-file", "operator.key"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(std::path::Path::new(&locked).exists());
    assert!(!world.path("seal.key").exists());
    world.file("short", b"boat");
    let add = ["seal-key", "add", "--name", "x", "--key-file", "operator.key"];
    let weak = run(&world, &[&add[..], &["--new-passphrase-file", "short"]].concat());
    assert_eq!(weak.code, 10, "{}", weak.stderr);
    let checked = run(&world, &["check"]);
    assert!(checked.text().contains("1 locks"), "{}", checked.text());
}

#[test]
fn a_sealed_store_is_opened_for_who_looks_after_it() {
    let (world, backup) = with_token();
    let file = backup.to_str().unwrap();
    world.file("words", b"four quiet green boats\n");
    world.file("wrong", b"five quiet green boats\n");
    let key = world.path("seal.key");
    let lock = ["seal-key", "lock", "--new-passphrase-file", "words", "--from"];
    assert_eq!(run(&world, &[&lock[..], &[key.to_str().unwrap()]].concat()).code, 0);
    let add = ["seal-key", "add", "--name=k", "--new-key-file=k", "--passphrase-file=words"];
    operated(&world);
    assert_eq!(run(&world, &add).code, 0);
    std::fs::remove_file(key).unwrap();

    let sealed = run(&world, &["backup", file]);
    assert_eq!(sealed.code, 5, "{}", sealed.stderr);
    assert!(sealed.stderr.contains("--passphrase-file FILE"), "{}", sealed.stderr);
    assert_eq!(run(&world, &["backup", file, "--passphrase-file", "wrong"]).code, 5);
    let made = run(&world, &["backup", file, "--passphrase-file", "words"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let gone = run(&world, &["token", "delete", "--yes", "--key-file", "k"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert_eq!(run(&world, &["restore", file]).code, 5);
    let back = run(&world, &["restore", file, "--key-file", "k", "--json"]);
    assert_eq!(back.json()["label"], "vault", "{}", back.stderr);

    let looked = |run: &Run| !run.text().contains("its tokens were not looked into");
    assert!(!looked(&run(&world, &["check"])));
    let checked = run(&world, &["check", "--passphrase-file", "words"]);
    assert!(looked(&checked), "{}", checked.text());
    let refused = run(&world, &["check", "--passphrase-file", "wrong"]);
    assert_eq!(refused.code, 11, "{}", refused.text());

    // What the configuration names needs no option.
    let path = world.path("strongroom.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}key_file = \"k\"\n")).unwrap();
    assert!(looked(&run(&world, &["check"])));
    assert_eq!(run(&world, &["restore", file, "--replace", "--yes"]).code, 0);
}

#[test]
fn nobody_answers_where_no_daemon_is() {
    let world = World::empty();
    for args in [&["status"][..], &["seal"], &["unseal", "--key-file", "k"]] {
        world.file("k", &[7; 32]);
        let run = run(&world, &[args, &["--socket", "nobody.sock"]].concat());
        assert_eq!(run.code, 6, "{}", run.stderr);
        assert!(run.stderr.contains("start strongroomd"), "{}", run.stderr);
    }
}

/// What a run of the program says to the daemon that it finds by its configuration, and what it makes
/// of this answer.
fn at_daemon(world: &World, reply: Answer, args: &[&str]) -> (Request, Run) {
    let socket = world.path("operator.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::scope(|scope| {
        let daemon = scope.spawn(|| {
            let (stream, _) = listener.accept().unwrap();
            let request = hear(&stream).unwrap();
            answer(&stream, &reply).unwrap();
            std::fs::remove_file(&socket).unwrap();
            request
        });
        let run = run(world, args);
        (daemon.join().unwrap(), run)
    })
}

#[test]
fn the_daemon_is_asked_sealed_and_unsealed() {
    let world = World::empty();
    let path = world.path("strongroom.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n[daemon]\nsocket = 's.sock'\n")).unwrap();
    let now = |sealed| {
        Answer::Done(Status { sealed, version: "7.8".into(), uptime: 99, ..Status::default() })
    };
    let (asked, shown) = at_daemon(&world, now(true), &["status"]);
    assert!(matches!(asked, Request::Status));
    for word in ["7.8", "99 s", "sealed", "0 sessions"] {
        assert!(shown.text().contains(word), "{}", shown.text());
    }
    let (_, json) = at_daemon(&world, now(false), &["status", "--json"]);
    assert_eq!(json.json()["sealed"], false);
    let (asked, sealed) = at_daemon(&world, now(true), &["seal"]);
    assert!(matches!(asked, Request::Seal));
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);

    world.file("words", b"four quiet \"green\" boats\n");
    world.file("key", &[7; 32]);
    for (args, opens) in [
        (["--passphrase-file", "words"], Opener::Passphrase(b"four quiet \"green\" boats")),
        (["--key-file", "key"], Opener::Key(&[7; 32])),
    ] {
        let args = [&["unseal"][..], &args].concat();
        let (asked, done) = at_daemon(&world, now(false), &args);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let Request::Unseal(given) = asked else { panic!("{args:?}") };
        let bytes = given.bytes().unwrap();
        match (given, opens) {
            (Given::Passphrase(_), Opener::Passphrase(text)) => assert_eq!(*bytes, text),
            (Given::Key(_), Opener::Key(key)) => assert_eq!(*bytes, key),
            _ => panic!("{args:?}"),
        }
        assert_eq!(at_daemon(&world, Answer::Wrong, &args).1.code, 5);
        let (_, refused) = at_daemon(&world, Answer::Refused("no boats".into()), &args);
        assert_eq!(refused.code, 7, "{}", refused.stderr);
        assert!(refused.stderr.contains("no boats"), "{}", refused.stderr);
    }
}
