//! The command line explains itself: help, man pages and completions of every command.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::World;

/// Every command, as words.
fn commands(world: &World, path: &[String], found: &mut Vec<Vec<String>>) {
    let mut args = path.to_vec();
    args.push(String::from("--help"));
    let help = world.ok(&args).text();
    assert!(help.contains("Usage:"), "{path:?}: {help}");
    found.push(path.to_vec());
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            commands(world, &[path, &[name.to_owned()]].concat(), found);
        }
    }
}

#[test]
fn every_command_has_help() {
    let world = World::empty();
    let mut found = Vec::new();
    commands(&world, &[], &mut found);
    for wanted in [
        "token init",
        "token list",
        "token show",
        "token set-pin",
        "token reset-pin",
        "token rotate",
        "token delete",
        "key generate",
        "key list",
        "key show",
        "key rename",
        "key delete",
        "key import",
        "key export-public",
        "key wrap",
        "key unwrap",
        "cert import",
        "cert list",
        "cert export",
        "cert request",
        "cert self-sign",
        "sign",
        "verify",
        "encrypt",
        "decrypt",
        "random",
        "mechanisms",
        "check",
        "backup",
        "restore",
        "import softhsm2",
        "import nss",
        "softhsm2-util",
        "man",
        "completions",
    ] {
        assert!(found.iter().any(|path| path.join(" ") == wanted), "{wanted}");
    }
}

#[test]
fn the_exit_codes_are_documented() {
    let world = World::empty();
    assert!(world.ok(["--help"]).text().contains("Exit codes:"));
    let man = world.ok(["man"]).text();
    assert!(man.contains(".TH") && man.contains("Exit codes"));
}

#[test]
fn man_pages_and_completions_are_written() {
    let world = World::empty();
    world.ok(["man", "--dir", "man"]);
    for page in ["strongroom.1", "strongroom-key-generate.1", "strongroom-cert-request.1"] {
        assert!(world.path("man").join(page).is_file(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = world.ok(["completions", shell]).text();
        assert!(script.contains("self-sign"), "{shell}");
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let world = World::empty();
    assert_eq!(world.run(["no-such-command"]).code, 2);
    assert_eq!(world.run(["key", "generate", "rsa:7", "--label", "x"]).code, 2);
    assert_eq!(world.run(["--module", "/no/module.so", "token", "list"]).code, 6);
}
