//! Keys: made, named, imported, exported, wrapped; OpenSSL checks what comes out.

mod common;

use common::{World, read};

#[test]
fn every_type_is_generated_and_its_public_half_exported() {
    let world = World::new();
    for (kind, name) in [
        ("rsa:2048", "rsaEncryption"),
        ("ec:p256", "P-256"),
        ("ec:p384", "P-384"),
        ("ec:p521", "P-521"),
        ("ec:secp256k1", "secp256k1"),
        ("ed25519", "ED25519"),
        ("x25519", "X25519"),
        ("ed448", "ED448"),
        ("x448", "X448"),
    ] {
        let made = world.json(["key", "generate", kind, "--label", kind]);
        assert_eq!(made.as_array().unwrap().len(), 2);
        assert_eq!(made[0]["protection"]["sensitive"], true);
        assert_eq!(made[0]["protection"]["extractable"], false);
        assert_eq!(made[0]["id"], made[1]["id"]);
        world.ok(["key", "export-public", kind, "--out", "public.pem"]);
        let text = world.openssl(&["pkey", "-pubin", "-in", "public.pem", "-noout", "-text"]);
        assert!(text.contains(name) || name == "rsaEncryption", "{kind}: {text}");
        world.ok(["key", "export-public", kind, "--format", "der", "--out", "public.der"]);
        world.openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "public.der", "-noout"]);
    }
    for kind in ["aes:128", "aes:256", "hmac:256", "generic:512"] {
        assert_eq!(world.json(["key", "generate", kind]).as_array().unwrap().len(), 1);
    }
}

#[test]
fn keys_are_named_by_uri_label_and_id() {
    let world = World::new();
    world.ok(["key", "generate", "ec:p256", "--label", "one", "--id", "0a0b"]);
    let shown = world.json(["key", "show", "one"]);
    assert_eq!(shown["id"], "0a0b");
    let uri = shown["uri"].as_str().unwrap();
    assert_eq!(world.json(["key", "show", uri])["class"], "private key");
    assert_eq!(world.json(["key", "show", "0A:0B"])["label"], "one");
    assert_eq!(world.json(["key", "show", "pkcs11:object=one;type=public"])["class"], "public key");
    world.fails(3, ["key", "show", "two"]);
    world.ok(["key", "generate", "ec:p256", "--label", "one", "--id", "0c"]);
    world.fails(4, ["key", "show", "one"]);
}

#[test]
fn both_halves_are_renamed_and_deleted() {
    let world = World::new();
    world.ok(["key", "generate", "ec:p256", "--label", "one"]);
    let renamed = world.json(["key", "rename", "one", "--label", "two", "--id", "0102"]);
    assert_eq!(renamed.as_array().unwrap().len(), 2);
    assert_eq!(renamed[1]["id"], "0102");
    world.fails(2, ["key", "delete", "two"]);
    world.ok(["key", "delete", "two", "--yes"]);
    assert_eq!(world.json(["key", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn usage_and_allowed_mechanisms_are_enforced_by_the_token() {
    let world = World::new();
    world.file("data", b"hello");
    world.ok(["key", "generate", "rsa:2048", "--label", "d", "--usage", "encrypt,decrypt"]);
    world.fails(7, ["sign", "d", "--in", "data"]);
    let allowed = ["--allowed-mechanism", "sha256-rsa-pkcs"];
    world.ok(["key", "generate", "rsa:2048", "--label", "m"].into_iter().chain(allowed));
    world.ok(["sign", "m", "--in", "data", "--out", "signature"]);
    world.fails(10, ["sign", "m", "--in", "data", "--mechanism", "rsa-pkcs-sha512"]);
}

/// Key files as OpenSSL makes them: (name, arguments of genpkey).
const KINDS: &[(&str, &[&str])] = &[
    ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("p256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("p521", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
    ("secp256k1", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]),
    ("ed25519", &["-algorithm", "ED25519"]),
    ("ed448", &["-algorithm", "ED448"]),
];

#[test]
fn pkcs8_of_every_type_is_imported_and_signs() {
    let world = World::new();
    world.file("data", b"what is signed");
    for (name, args) in KINDS {
        let generate = [&["genpkey", "-out", "key.pem"], *args].concat();
        world.openssl(&generate);
        world.openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let made = world.json(["key", "import", "key.pem", "--label", name]);
        assert_eq!(made[0]["protection"]["extractable"], false, "{name}");
        assert_eq!(made[0]["protection"]["sensitive"], true, "{name}");
        let public = world.ok(["key", "export-public", name]).stdout;
        assert_eq!(public, read(world.path("public.pem")), "{name}");
        world.ok(["sign", name, "--in", "data", "--out", "signature"]);
        world.ok(["verify", name, "--in", "data", "--signature", "signature"]);
        let digest: &[&str] = match *name {
            "ed25519" | "ed448" => &[],
            "p384" => &["-digest", "sha384"],
            "p521" => &["-digest", "sha512"],
            _ => &["-digest", "sha256"],
        };
        let verify = [
            &["pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "data"],
            &["-sigfile", "signature"][..],
            digest,
        ];
        world.openssl(&verify.concat());
    }
}

#[test]
fn keys_for_agreement_are_imported() {
    let world = World::new();
    for name in ["x25519", "x448"] {
        world.openssl(&["genpkey", "-algorithm", name, "-out", "key.pem"]);
        world.openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let made = world.json(["key", "import", "key.pem", "--label", name]);
        assert_eq!(made[0]["protection"]["sensitive"], true, "{name}");
        let public = world.ok(["key", "export-public", name]).stdout;
        assert_eq!(public, read(world.path("public.pem")), "{name}");
    }
}

#[test]
fn keys_of_parameter_sets_are_generated() {
    let world = World::new();
    // SoftHSM2 has no such keys.
    if !world.is_ours() {
        return;
    }
    for (kind, size) in [("ml-dsa", "44"), ("ml-kem", "768"), ("slh-dsa", "shake-192f")] {
        let made = world.json(["key", "generate", &format!("{kind}:{size}"), "--label", kind]);
        assert_eq!(made.as_array().unwrap().len(), 2);
        for half in made.as_array().unwrap() {
            assert_eq!((&half["type"], &half["size"]), (&kind.into(), &size.into()));
        }
        world.ok(["key", "export-public", kind, "--format", "der", "--out", "public.der"]);
        let again = world.json(["key", "import", "public.der", "--label", "again", "--id", "0a"]);
        assert_eq!(again[0]["fingerprint"], made[0]["fingerprint"]);
        world.ok(["key", "delete", "again", "--yes"]);
    }
    world.file("data", b"what is signed");
    for kind in ["ml-dsa", "slh-dsa"] {
        world.ok(["sign", kind, "--in", "data", "--out", "signature"]);
        world.ok(["verify", kind, "--in", "data", "--signature", "signature"]);
        world.file("other", b"what is not");
        world.fails(8, ["verify", kind, "--in", "other", "--signature", "signature"]);
    }
}

/// A key of NIST's (ACVP, SLH-DSA-keyGen-FIPS205): SLH-DSA-SHA2-128s, in the structure of RFC 9909.
const SLH_DSA: &str = "3052020100300b06096086480165030403140440\
    2f896d61d9cd9038ca303394fadaa22a24ac5ec1d86a989ca2196c3c8632419c\
    1a05a42fe300e87b16aee116cb2e236358e2c3e62632c9de03d08a535a0eb7e7";

#[test]
fn an_slh_dsa_key_is_imported_and_travels() {
    let world = World::new();
    // SoftHSM2 has no such keys.
    if !world.is_ours() {
        return;
    }
    let der = hex::decode(SLH_DSA).unwrap();
    world.file("key.der", &der);
    let made = world.json(["key", "import", "key.der", "--label", "slow", "--extractable"]);
    for half in made.as_array().unwrap() {
        assert_eq!((&half["type"], &half["size"]), (&"slh-dsa".into(), &"sha2-128s".into()));
    }
    let export = ["key", "export-public", "slow", "--format", "der"];
    let public = world.ok(export).stdout;
    assert_eq!(public[public.len() - 32..], der[der.len() - 32..]);
    world.ok(["key", "generate", "aes:256", "--label", "kek", "--usage", "wrap,unwrap"]);
    world.ok(["key", "wrap", "slow", "--with", "kek", "--out", "wrapped"]);
    world.ok(["key", "delete", "slow", "--yes"]);
    let back = ["key", "unwrap", "wrapped", "--with", "kek", "--type", "slh-dsa"];
    let made = world.json(back.into_iter().chain(["--label", "back"]));
    assert_eq!(made[0]["type"], "slh-dsa");
    world.file("short.der", &[&[0x30, 0x51], &der[2..18], &[4, 0x3f], &der[20..83]].concat());
    world.fails(9, ["key", "import", "short.der"]);
}

#[test]
fn other_key_files_are_imported() {
    let world = World::new();
    world.openssl(&["genrsa", "-traditional", "-out", "pkcs1.pem", "2048"]);
    world.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem"]);
    world.openssl(&["ec", "-in", "sec1.pem", "-no_public", "-out", "bare.pem"]);
    world
        .openssl(&["pkcs8", "-topk8", "-in", "sec1.pem", "-out", "enc.pem", "-passout", "pass:pw"]);
    let old = ["-v2", "des3", "-v2prf", "hmacWithSHA1"];
    let new = ["pkcs8", "-topk8", "-in", "sec1.pem", "-out", "enc3.pem", "-passout", "pass:pw"];
    world.openssl(&[&new[..], &old].concat());
    world.openssl(&["pkey", "-in", "sec1.pem", "-outform", "DER", "-out", "key.der"]);
    world.openssl(&["pkey", "-in", "sec1.pem", "-pubout", "-out", "public.pem"]);
    let password = world.file("password", b"pw\n");
    let password = ["--password-file", password.to_str().unwrap()];
    for file in ["pkcs1.pem", "sec1.pem", "bare.pem", "enc.pem", "enc3.pem", "key.der"] {
        let import = ["key", "import", file, "--label", file];
        world.ok(import.into_iter().chain(password));
        if file != "pkcs1.pem" {
            let public = world.ok(["key", "export-public", file]).stdout;
            assert_eq!(public, read(world.path("public.pem")), "{file}");
        }
    }
    assert_eq!(world.json(["key", "import", "public.pem"])[0]["class"], "public key");
    world.file("wrong", b"not-pw");
    world.fails(9, ["key", "import", "enc.pem", "--password-file", "wrong"]);
    world.file("noise", b"nothing at all");
    world.fails(9, ["key", "import", "noise"]);
}

#[test]
fn pkcs12_of_both_generations_brings_key_and_certificate() {
    for extra in [&[][..], &["-legacy"]] {
        let world = World::new();
        let subject = ["-subj", "/CN=from p12", "-keyout", "key.pem", "-out", "cert.pem"];
        world.openssl(&[&["req", "-x509", "-newkey", "rsa:2048", "-nodes"], &subject[..]].concat());
        let files = ["pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-name", "mine"];
        let out = ["-out", "both.p12", "-passout", "pass:pw"];
        world.openssl(&[&files[..], &out, extra].concat());
        world.file("password", b"pw");
        world.ok(["key", "import", "both.p12", "--password-file", "password"]);
        let certificates = world.json(["cert", "list"]);
        assert_eq!(certificates[0]["subject"], "CN=from p12");
        let key = world.json(["key", "show", "mine"]);
        assert_eq!(key["id"], certificates[0]["id"]);
    }
}

#[test]
fn secrets_are_imported_and_wrapped_and_come_back() {
    let world = World::new();
    world.file("value", b"000102030405060708090a0b0c0d0e0f\n");
    world.file("data", b"some data");
    let import = ["key", "import", "value", "--raw", "aes", "--label", "secret", "--extractable"];
    world.ok(import);
    world.ok(["key", "generate", "aes:256", "--label", "kek", "--usage", "wrap,unwrap"]);
    world.ok(["encrypt", "secret", "--in", "data", "--out", "sealed"]);
    world.ok(["key", "wrap", "secret", "--with", "kek", "--out", "wrapped"]);
    assert_eq!(read(world.path("wrapped")).len(), 24);
    world.ok(["key", "delete", "secret", "--yes"]);
    let back = ["key", "unwrap", "wrapped", "--with", "kek", "--type", "aes", "--label", "back"];
    let made = world.json(back);
    assert_eq!(made[0]["protection"]["extractable"], false);
    assert_eq!(world.ok(["decrypt", "back", "--in", "sealed"]).stdout, b"some data");
    world.fails(7, ["key", "wrap", "back", "--with", "kek"]);
}

#[test]
fn a_private_key_travels_wrapped() {
    let world = World::new();
    world.file("data", b"hello");
    world.ok(["key", "generate", "rsa:2048", "--label", "traveller", "--extractable"]);
    world.ok(["key", "export-public", "traveller", "--out", "public.pem"]);
    world.ok(["key", "generate", "aes:256", "--label", "kek", "--usage", "wrap,unwrap"]);
    world.ok(["key", "wrap", "traveller", "--with", "kek", "--out", "wrapped"]);
    world.ok(["key", "delete", "traveller", "--yes"]);
    let back = ["key", "unwrap", "wrapped", "--with", "kek", "--type", "rsa", "--label", "back"];
    world.ok(back);
    let public = world.ok(["key", "export-public", "back"]).stdout;
    assert_eq!(public, read(world.path("public.pem")));
    world.ok(["sign", "back", "--in", "data", "--out", "signature"]);
}
