//! Signing and encrypting, small and in parts.

mod common;

use common::{World, read};

#[test]
fn every_scheme_signs_and_verifies() {
    let world = World::new();
    world.file("data", b"signed");
    world.file("other", b"another");
    for (kind, schemes) in [
        (
            "rsa:2048",
            &["rsa-pkcs-sha256", "rsa-pkcs-sha512", "rsa-pss-sha256", "rsa-pss-sha384"][..],
        ),
        ("ec:p256", &["ecdsa-sha256", "ecdsa-sha384"]),
        ("ed25519", &["ed25519"]),
        ("hmac:512", &["hmac-sha256", "hmac-sha512"]),
        ("aes:256", &["aes-cmac"]),
    ] {
        world.ok(["key", "generate", kind, "--label", kind, "--usage", "sign,verify"]);
        for scheme in schemes {
            let how = ["--mechanism", scheme];
            world.ok(["sign", kind, "--in", "data", "--out", "signature"].into_iter().chain(how));
            let verify = ["verify", kind, "--signature", "signature", "--in"];
            world.ok(verify.into_iter().chain(["data"]).chain(how));
            world.fails(8, verify.into_iter().chain(["other"]).chain(how));
        }
    }
    world.fails(2, ["sign", "rsa:2048", "--in", "data", "--mechanism", "ecdsa-sha256"]);
    world.ok(["sign", "ec:p256", "--raw", "--in", "data", "--out", "raw"]);
    assert_eq!(read(world.path("raw")).len(), 64);
    world.ok(["verify", "ec:p256", "--raw", "--in", "data", "--signature", "raw"]);
}

#[test]
fn big_files_are_signed_in_parts() {
    let world = World::new();
    world.file("big", &vec![7; 300_000]);
    for kind in ["rsa:2048", "ec:p256", "hmac:256"] {
        world.ok(["key", "generate", kind, "--label", kind]);
        world.ok(["sign", kind, "--in", "big", "--out", "signature"]);
        world.ok(["verify", kind, "--in", "big", "--signature", "signature"]);
        if kind != "hmac:256" {
            world.ok(["key", "export-public", kind, "--out", "public.pem"]);
            let check = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature"];
            world.openssl(&[&check[..], &["big"]].concat());
        }
    }
}

#[test]
fn data_is_encrypted_and_comes_back() {
    let world = World::new();
    world.ok(["key", "generate", "aes:256", "--label", "aes"]);
    world.file("aad", b"context");
    for len in [0, 1, 16, 65_535, 65_536, 300_000] {
        let data = vec![0x5a; len];
        world.file("data", &data);
        for cipher in ["aes-gcm", "aes-cbc-pad"] {
            let how = ["--mechanism", cipher];
            let sealed = ["encrypt", "aes", "--in", "data", "--out", "sealed"];
            world.ok(sealed.into_iter().chain(how));
            if cipher == "aes-gcm" {
                assert_eq!(read(world.path("sealed")).len(), 12 + len + 16);
            }
            let opened = ["decrypt", "aes", "--in", "sealed", "--out", "opened"];
            world.ok(opened.into_iter().chain(how));
            assert_eq!(read(world.path("opened")), data, "{cipher} {len}");
            assert_eq!(
                world.ok(["decrypt", "aes", "--in", "sealed"].into_iter().chain(how)).stdout,
                data
            );
        }
    }
    let sealed = ["encrypt", "aes", "--in", "data", "--out", "sealed", "--aad-file", "aad"];
    world.ok(sealed);
    world.ok(["decrypt", "aes", "--in", "sealed", "--aad-file", "aad", "--out", "opened"]);
}

#[test]
fn what_is_not_authentic_is_not_written() {
    let world = World::new();
    world.ok(["key", "generate", "aes:256", "--label", "aes"]);
    world.file("data", &vec![1; 200_000]);
    world.ok(["encrypt", "aes", "--in", "data", "--out", "sealed"]);
    let mut sealed = read(world.path("sealed"));
    *sealed.last_mut().unwrap() ^= 1;
    world.file("broken", &sealed);
    let run = world.run(["decrypt", "aes", "--in", "broken", "--out", "opened"]);
    assert_ne!(run.code, 0);
    assert!(!world.path("opened").exists());
    let run = world.run(["decrypt", "aes", "--in", "broken"]);
    assert!(run.code != 0 && run.stdout.is_empty());
}

#[test]
fn rsa_decrypts_what_openssl_encrypted() {
    let world = World::new();
    world.file("data", b"short");
    world.ok(["key", "generate", "rsa:2048", "--label", "rsa"]);
    world.ok(["key", "export-public", "rsa", "--out", "public.pem"]);
    let hash = if world.is_ours() { "sha256" } else { "sha1" };
    let oaep = format!("rsa_oaep_md:{hash}");
    let args = ["pkeyutl", "-encrypt", "-pubin", "-inkey", "public.pem", "-in", "data", "-out"];
    let pad = ["sealed", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", &oaep];
    world.openssl(&[&args[..], &pad].concat());
    let cipher = format!("rsa-oaep-{hash}");
    let opened = world.ok(["decrypt", "rsa", "--in", "sealed", "--mechanism", &cipher]);
    assert_eq!(opened.stdout, b"short");
}

#[test]
fn standard_input_and_output_work() {
    let world = World::new();
    world.ok(["key", "generate", "hmac:256", "--label", "mac"]);
    let tag = world.with_input(&["sign", "mac"], b"piped");
    assert_eq!((tag.code, tag.stdout.len()), (0, 32), "{}", tag.stderr);
    world.file("tag", &tag.stdout);
    let run = world.with_input(&["verify", "mac", "--signature", "tag", "--json"], b"piped");
    assert_eq!(run.json()["valid"], true);
}
