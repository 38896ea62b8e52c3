//! The stock client of this machine, with the programs that use it.

use std::process::Stdio;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::world::{PIN, STOCK, TOKEN, World, said};

fn digest_info_sha256(world: &World, message: &str) -> String {
    world.succeed("openssl", &["dgst", "-sha256", "-binary", "-out", "digest", message]);
    let prefix = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    world.file("info", [prefix, &world.read("digest")[..]].concat())
}

#[test]
fn a_token_is_made_and_told() {
    let world = World::with_token();
    let slots = world.tool(&["--list-slots"]);
    for what in [TOKEN, "Strongroom", "login required", "token initialized", "PIN initialized"] {
        assert!(slots.contains(what), "{what} in {slots}");
    }
    let info = world.tool(&["--show-info"]);
    assert!(info.contains("Cryptoki version 2.40"), "what this generation can call: {info}");
    let mechanisms = world.tool(&["--list-mechanisms", "--token-label", TOKEN]);
    assert!(mechanisms.contains("SHA256-RSA-PKCS"), "{mechanisms}");
    assert!(!mechanisms.contains("8001001C"), "this generation could not call it: {mechanisms}");
}

#[test]
fn rsa_signs_and_decrypts() {
    let world = World::with_token();
    let message = world.file("message", "a message");
    world.user_tool(&["--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--label", "rsa"]);
    world.user_tool(&["--read-object", "--type", "pubkey", "--id", "01", "-o", "public.der"]);
    let verify = |options: &[&str]| {
        let key = ["-verify", "public.der", "-keyform", "DER", "-signature", "signature"];
        world.succeed(
            "openssl",
            &[&["dgst", "-sha256"][..], &key, options, &[message.as_str()]].concat(),
        )
    };

    let sign = ["--sign", "--id", "01", "--output-file", "signature", "--input-file"];
    world.user_tool(&[&sign[..], &[&message, "-m", "SHA256-RSA-PKCS"]].concat());
    assert!(verify(&[]).contains("Verified OK"));

    world.user_tool(
        &[&sign[..], &[&digest_info_sha256(&world, &message), "-m", "RSA-PKCS"]].concat(),
    );
    assert!(verify(&[]).contains("Verified OK"));

    let pss = ["-m", "RSA-PKCS-PSS", "--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256"];
    world.user_tool(&[&sign[..], &["digest"], &pss].concat());
    let padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"];
    assert!(verify(&padding).contains("Verified OK"));

    let oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"];
    let with = ["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "public.der"];
    let files = ["-in", &message, "-out", "encrypted"];
    world.succeed("openssl", &[&with[..], &oaep, &files].concat());
    let decrypt =
        ["--decrypt", "--id", "01", "--input-file", "encrypted", "--output-file", "plain"];
    let oaep = ["-m", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA256"];
    world.user_tool(&[&decrypt[..], &oaep].concat());
    assert_eq!(world.read("plain"), b"a message");
}

#[test]
fn ecdsa_signs_a_digest() {
    let world = World::with_token();
    let message = world.file("message", "a message");
    world.user_tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--id", "02"]);
    world.user_tool(&["--read-object", "--type", "pubkey", "--id", "02", "-o", "public.der"]);
    world.succeed("openssl", &["dgst", "-sha256", "-binary", "-out", "digest", &message]);
    let sign = ["--sign", "--id", "02", "-m", "ECDSA", "--signature-format", "openssl"];
    world.user_tool(&[&sign[..], &["-i", "digest", "-o", "signature"]].concat());
    let key = ["-verify", "public.der", "-keyform", "DER", "-signature", "signature"];
    let verified =
        world.succeed("openssl", &[&["dgst", "-sha256"], &key[..], &[&message]].concat());
    assert!(verified.contains("Verified OK"));
}

#[test]
fn aes_keys_are_made_and_wrapped() {
    let world = World::with_token();
    let plain = world.file("plain", [7_u8; 64]);
    world.user_tool(&["--keygen", "--key-type", "AES:32", "--id", "03", "--extractable"]);
    world.user_tool(&["--encrypt", "--id", "03", "-m", "AES-ECB", "-i", &plain, "-o", "encrypted"]);
    assert_ne!(world.read("encrypted"), world.read("plain"));
    world.user_tool(&["--decrypt", "--id", "03", "-m", "AES-ECB", "-i", "encrypted", "-o", "back"]);
    assert_eq!(world.read("back"), world.read("plain"));

    let usage = ["--usage-wrap", "--usage-decrypt"];
    let pair = ["--keypairgen", "--key-type", "rsa:2048", "--id", "04"];
    world.user_tool(&[&pair[..], &usage].concat());
    let wrap =
        ["--wrap", "-m", "RSA-PKCS", "--id", "04", "--application-id", "03", "-o", "wrapped"];
    world.user_tool(&wrap);
    let unwrap = ["--unwrap", "-m", "RSA-PKCS", "--id", "04", "-i", "wrapped"];
    let made = ["--key-type", "AES:", "--application-id", "05", "--application-label", "again"];
    world.user_tool(&[&unwrap[..], &made].concat());
    world.user_tool(&[
        "--decrypt",
        "--id",
        "05",
        "-m",
        "AES-ECB",
        "-i",
        "encrypted",
        "-o",
        "again",
    ]);
    assert_eq!(world.read("again"), world.read("plain"));
}

#[test]
fn certificates_are_kept_and_found() {
    let world = World::with_token();
    let subject = ["-subj", "/CN=wire", "-keyout", "key.pem", "-out", "certificate.pem"];
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    world.succeed("openssl", &[&request[..], &subject].concat());
    let der = ["x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.der"];
    world.succeed("openssl", &der);
    let write = ["--write-object", "certificate.der", "--type", "cert", "--id", "06"];
    world.user_tool(&[&write[..], &["--label", "certificate"]].concat());
    world.tool(&[
        "--token-label",
        TOKEN,
        "--read-object",
        "--type",
        "cert",
        "--id",
        "06",
        "-o",
        "back",
    ]);
    assert_eq!(world.read("back"), world.read("certificate.der"));

    let provider = format!("--provider={STOCK}");
    let listed = world.succeed("p11tool", &[&provider, "--list-all-certs", "pkcs11:token=wire"]);
    assert!(listed.contains("Label: certificate"), "{listed}");
    let exported =
        world.succeed("p11tool", &[&provider, "--export", "pkcs11:token=wire;object=certificate"]);
    assert!(exported.contains("BEGIN CERTIFICATE"), "{exported}");

    world.user_tool(&["--delete-object", "--type", "cert", "--id", "06"]);
    let listed = world.run("p11tool", &[&provider, "--list-all-certs", "pkcs11:token=wire"]);
    assert!(!said(&listed).contains("Label: certificate"));
}

#[test]
fn a_wrong_pin_is_told_as_such() {
    let world = World::with_token();
    let login = ["--module", STOCK, "--token-label", TOKEN, "--login", "--pin", "wrong-one"];
    let output = world.run("pkcs11-tool", &[&login[..], &["--list-objects"]].concat());
    assert!(!output.status.success());
    assert!(said(&output).contains("CKR_PIN_INCORRECT"), "{}", said(&output));
}

#[test]
fn openssl_signs_through_its_engine() {
    let world = World::with_token();
    world.user_tool(&["--keypairgen", "--key-type", "rsa:2048", "--id", "07", "--label", "tls"]);
    world.user_tool(&["--read-object", "--type", "pubkey", "--id", "07", "-o", "public.der"]);
    let message = world.file("message", "a message");
    world.succeed("openssl", &["dgst", "-sha256", "-binary", "-out", "digest", &message]);
    let key = format!("pkcs11:token={TOKEN};object=tls;type=private;pin-value={PIN}");
    let with = ["pkeyutl", "-engine", "pkcs11", "-keyform", "engine", "-inkey", &key, "-sign"];
    let what = ["-pkeyopt", "digest:sha256", "-in", "digest", "-out", "signature"];
    world.succeed("openssl", &[&with[..], &what].concat());
    let key = ["-verify", "public.der", "-keyform", "DER", "-signature", "signature"];
    let verified =
        world.succeed("openssl", &[&["dgst", "-sha256"], &key[..], &[&message]].concat());
    assert!(verified.contains("Verified OK"));
}

#[test]
fn clients_do_not_see_each_others_sessions() {
    let world = World::with_token();
    world.user_tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--id", "08"]);
    world.file("digest", [5_u8; 32]);
    scope(|scope| {
        for client in 0..4 {
            let world = &world;
            scope.spawn(move || {
                let out = format!("signature{client}");
                world.user_tool(&[
                    "--sign", "--id", "08", "-m", "ECDSA", "-i", "digest", "-o", &out,
                ]);
                assert_eq!(world.read(&out).len(), 64);
                // Who is not logged in sees no private key, whoever else is.
                let seen = world.tool(&["--token-label", TOKEN, "--list-objects"]);
                assert!(!seen.contains("Private Key"), "{seen}");
            });
        }
    });
}

#[test]
fn a_client_that_is_killed_in_mid_call_harms_nobody() {
    let world = World::with_token();
    let login = ["--module", STOCK, "--token-label", TOKEN, "--login", "--pin", PIN];
    let generate = ["--keypairgen", "--key-type", "rsa:8192", "--id", "09"];
    for after in [20, 300, 800] {
        let mut client = world.start("pkcs11-tool", &[&login[..], &generate].concat());
        sleep(Duration::from_millis(after));
        client.kill().unwrap();
        client.wait().unwrap();
    }
    world.user_tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--id", "0a"]);
}

#[test]
fn a_client_without_a_server_finds_no_slots() {
    let world = World::new();
    let mut command = world.command("pkcs11-tool");
    command.env("P11_KIT_SERVER_ADDRESS", "unix:path=/nonexistent").stdin(Stdio::null());
    let output = command.args(["--module", STOCK, "--list-slots"]).output().unwrap();
    assert!(!said(&output).contains(TOKEN));
}
