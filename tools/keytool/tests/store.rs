//! What works on Strongroom's own store, whatever module is under test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::PathBuf;

use common::{Run, SO_PIN, World};
use strongroom_keystore::{Config, Store};

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
