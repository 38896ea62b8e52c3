//! Tokens and PINs: where they come from, and what is said when they are wrong.

mod common;

use std::process::Stdio;
use std::time::Instant;

use common::{PIN, World};
use serde_json::Value;

#[test]
fn a_token_is_made_listed_and_shown() {
    let world = World::empty();
    let made = world.json(["token", "init", "--label", "first"]);
    assert_eq!(made["label"], "first");
    assert_eq!(made["user_pin"], "ok");
    let list = world.json(["token", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let uri = format!("pkcs11:serial={}", list[0]["serial"].as_str().unwrap());
    assert_eq!(world.json(["token", "show", "--token", &uri])["label"], "first");
}

#[test]
fn tokens_are_chosen_by_name_and_never_guessed() {
    let world = World::new();
    world.ok(["token", "init", "--label", "second"]);
    let run = world.fails(4, ["key", "list"]);
    assert!(run.stderr.contains("main") && run.stderr.contains("second"), "{}", run.stderr);
    world.ok(["key", "list", "--token", "second"]);
    world.fails(3, ["key", "list", "--token", "third"]);
    assert_eq!(World::empty().run(["key", "list"]).code, 3);
}

#[test]
fn pins_come_from_everywhere_but_the_command_line() {
    let world = World::new();
    let file = world.file("pin", format!("{PIN}\n").as_bytes());
    let file = file.to_str().unwrap();
    let good = |args: &[&str]| {
        let run =
            world.bare().env("MY_PIN", PIN).args(["key", "list"]).args(args).output().unwrap();
        assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
    };
    good(&["--pin-file", file]);
    good(&["--pin-env", "MY_PIN"]);
    good(&["--token", &format!("pkcs11:token=main?pin-source=file:{file}")]);
    good(&["--token", &format!("pkcs11:token=main?pin-value={PIN}")]);
    let run = world.with_input(&["key", "list", "--pin-fd", "0"], format!("{PIN}\n").as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = world.bare().args(["key", "list"]).output().unwrap();
    assert_eq!(run.status.code(), Some(5));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("--pin-file") && said.contains("STRONGROOM_PIN"), "{said}");
}

#[test]
fn a_wrong_pin_has_its_own_code_and_remedy() {
    let world = World::new();
    let run = world.bare().env("STRONGROOM_PIN", "wrong-one").args(["key", "list"]).output();
    let run = common::Run::from(run.unwrap());
    assert_eq!(run.code, 5);
    assert!(run.stderr.contains("C_Login answered CKR_PIN_INCORRECT"), "{}", run.stderr);
    assert!(run.stderr.contains("help: "), "{}", run.stderr);
    assert!(!run.stderr.contains("wrong-one"), "{}", run.stderr);
}

#[test]
fn pins_are_changed_and_reset() {
    let world = World::new();
    let new = world.file("new", b"another-pin");
    let new = new.to_str().unwrap();
    world.ok(["token", "set-pin", "--new-pin-file", new]);
    world.fails(5, ["key", "list"]);
    world.ok(["key", "list", "--pin-file", new]);
    let old = world.file("old", PIN.as_bytes());
    world.ok(["token", "reset-pin", "--new-pin-file", old.to_str().unwrap()]);
    world.ok(["key", "list"]);
    world.ok(["token", "set-pin", "--so", "--new-pin-file", new]);
    world.fails(5, ["token", "reset-pin", "--new-pin-file", new]);
    world.ok(["token", "reset-pin", "--so-pin-file", new, "--new-pin-file", new]);
}

#[test]
fn a_token_is_not_erased_by_accident() {
    let world = World::new();
    let slot = world.json(["token", "list"])[0]["slot"].to_string();
    world.fails(7, ["token", "init", "--label", "x", "--slot", &slot]);
    world.fails(2, ["token", "init", "--label", "x", "--slot", &slot, "--erase"]);
    world.ok(["token", "init", "--label", "x", "--slot", &slot, "--erase", "--yes"]);
    assert_eq!(world.json(["token", "list"])[0]["label"], "x");
}

#[test]
fn random_and_mechanisms_need_no_pin() {
    let world = World::new();
    let run = world.bare().args(["random", "16"]).output().unwrap();
    assert!(run.status.success());
    assert_eq!(run.stdout.len(), 33);
    assert_eq!(world.ok(["random", "16", "--binary"]).stdout.len(), 16);
    let list = world.json(["mechanisms"]);
    let rsa = list.as_array().unwrap().iter().find(|row| row["name"] == "CKM_SHA256_RSA_PKCS");
    let flags = rsa.unwrap()["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag == "sign"));
}

#[test]
fn check_tells_what_is_wrong() {
    let world = World::new();
    let run = world.run(["check", "--json"]);
    assert!([0, 11].contains(&run.code), "{}", run.stderr);
    assert!(run.json().is_array());
    let run = world.run(["--module", "/no/module.so", "check"]);
    assert_eq!(run.code, 11, "{}", run.stderr);
    assert!(run.text().contains("help: "), "{}", run.text());
}

#[test]
fn a_policy_is_chosen_with_the_token_and_shown() {
    let world = World::empty();
    if !world.is_ours() {
        world.fails(10, ["token", "init", "--label", "x", "--policy", "strict"]);
        assert_eq!(world.json(["token", "list"]), Value::Array(vec![]), "and nothing was made");
        return;
    }
    for policy in ["standard", "strict", "compatible"] {
        let made = world.json(["token", "init", "--label", policy, "--policy", policy]);
        assert_eq!(made["policy"], policy);
        assert_eq!(made["user_pin"], "ok");
        assert_eq!(world.json(["token", "show", "--token", policy])["policy"], policy);
        world.ok(["key", "list", "--token", policy]);
    }
    let shown = world.ok(["token", "show", "--token", "strict"]).text();
    assert!(shown.lines().any(|line| line.starts_with("policy") && line.ends_with("strict")));
    let made = world.json(["token", "init", "--label", "plain"]);
    assert_eq!(made["policy"], "standard", "what nobody says");
    let run = world.fails(2, ["token", "init", "--label", "x", "--policy", "lax"]);
    assert!(run.stderr.contains("strict"), "{}", run.stderr);
}

#[test]
fn a_token_that_is_erased_has_the_policy_that_is_said_then() {
    let world = World::empty();
    if !world.is_ours() {
        return;
    }
    world.ok(["token", "init", "--label", "old", "--policy", "compatible"]);
    let slot = world.json(["token", "list"])[0]["slot"].to_string();
    let erase = ["token", "init", "--slot", &slot, "--erase", "--yes"];
    let policy = || world.json(["token", "show"])["policy"].clone();
    let wrong = world.file("wrong", b"not the SO PIN");
    let strict = ["--label", "new", "--policy", "strict"];
    let refused = ["--so-pin-file", wrong.to_str().unwrap()];
    world.fails(5, erase.iter().chain(&strict).chain(&refused));
    assert_eq!(
        (policy(), world.json(["token", "list"])[0]["label"].clone()),
        both("compatible", "old")
    );
    let made = world.json(erase.iter().chain(&strict));
    assert_eq!(
        (&made["policy"], &made["label"], &made["user_pin"]),
        (&"strict".into(), &"new".into(), &"ok".into())
    );
    world.ok(["key", "list"]);
    world.ok(erase.iter().chain(&["--label", "newer"]));
    assert_eq!(policy(), "standard", "the configuration's");
}

fn both(policy: &str, label: &str) -> (Value, Value) {
    (policy.into(), label.into())
}

#[test]
fn an_initialisation_that_fails_leaves_no_token_with_another_policy() {
    let world = World::empty();
    if !world.is_ours() {
        return;
    }
    let init = ["token", "init", "--label", "x", "--policy", "strict"];
    let short = world.file("short", b"123");
    let short = short.to_str().unwrap();
    for option in ["--pin-file", "--so-pin-file"] {
        let run = world.fails(5, init.iter().chain(&[option, short]));
        assert!(run.stderr.contains("4 to 255"), "{}", run.stderr);
    }
    let daemon = world.bare().env("STRONGROOM_SOCKET", "/run/daemon").args(init).output().unwrap();
    let daemon = common::Run::from(daemon);
    assert_eq!(daemon.code, 10);
    assert!(
        daemon.stderr.contains("/run/daemon") && daemon.stderr.contains("default = \"strict\"")
    );
    assert_eq!(world.json(["token", "list"]), Value::Array(vec![]));

    // Whenever it is killed: the moments are spread over twice the time that a whole one takes.
    const MOMENTS: u32 = 12;
    let start = Instant::now();
    world.ok(init);
    let whole = start.elapsed();
    for moment in 0..MOMENTS {
        let mut run = world.bare();
        run.env("STRONGROOM_PIN", PIN).env("STRONGROOM_SO_PIN", common::SO_PIN).args(init);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * 2 * moment / MOMENTS);
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let list = world.json(["token", "list"]);
    for token in list.as_array().unwrap() {
        let serial = token["serial"].as_str().unwrap();
        assert_eq!(world.json(["token", "show", "--token", serial])["policy"], "strict");
    }
    assert!(list.as_array().unwrap().len() > 1, "some of them came so far");
}

#[test]
fn a_new_master_key_keeps_every_key_and_wants_both_pins() {
    let world = World::new();
    if !world.is_ours() {
        world.fails(10, ["token", "rotate"]);
        return;
    }
    world.ok(["key", "generate", "ec:p256", "--label", "web"]);
    world.ok(["key", "generate", "aes:256", "--label", "data"]);
    let document = world.file("document", b"what is signed");
    let document = document.to_str().unwrap();
    let wrong = world.file("wrong", b"not-the-pin");
    let wrong = wrong.to_str().unwrap();
    world.fails(5, ["token", "rotate", "--pin-file", wrong]);
    world.fails(5, ["token", "rotate", "--so-pin-file", wrong]);
    let mut half = world.bare();
    half.env("STRONGROOM_SO_PIN", common::SO_PIN).args(["token", "rotate"]);
    let run = common::Run::from(half.output().unwrap());
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("the user PIN is needed"), "{}", run.stderr);
    for _ in 0..2 {
        let told = world.json(["token", "rotate", "--token", "main"]);
        assert_eq!((&told["label"], told["objects"].as_u64()), (&"main".into(), Some(2)), "{told}");
        assert_eq!(world.json(["key", "list"]).as_array().unwrap().len(), 3);
        world.ok(["sign", "web", "--in", document, "--out", "signature"]);
        world.ok(["verify", "web", "--in", document, "--signature", "signature"]);
        std::fs::remove_file(world.path("signature")).unwrap();
    }
    let said = world.ok(["token", "rotate"]).text();
    assert!(said.contains("2 private objects of the token main"), "{said}");
    assert!([0, 11].contains(&world.run(["check"]).code));
}
