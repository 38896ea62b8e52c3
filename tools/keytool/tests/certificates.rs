//! Requests and certificates, read and verified by OpenSSL.

mod common;

use common::{World, read};

const KINDS: &[&str] = &["rsa:2048", "ec:p256", "ec:p384", "ec:p521", "ed25519"];

#[test]
fn requests_verify() {
    let world = World::new();
    for kind in KINDS {
        world.ok(["key", "generate", kind, "--label", kind]);
        let subject = ["--subject", "CN=www.example.org,O=Example,C=SE"];
        let names = ["--san", "DNS:www.example.org,IP:192.0.2.7,email:me@example.org"];
        let request = ["cert", "request", kind, "--out", "request.pem"];
        world.ok(request.into_iter().chain(subject).chain(names));
        let args = ["req", "-in", "request.pem", "-verify", "-noout", "-text"];
        let text = world.openssl(&args);
        assert!(text.contains("CN = www.example.org"), "{text}");
        assert!(text.contains("IP Address:192.0.2.7"), "{text}");
    }
    let pss = ["cert", "request", "rsa:2048", "--subject", "CN=pss", "--pss", "--out", "pss.pem"];
    world.ok(pss);
    let text = world.openssl(&["req", "-in", "pss.pem", "-verify", "-noout", "-text"]);
    assert!(text.contains("rsassaPss"), "{text}");
}

#[test]
fn self_signed_certificates_verify() {
    let world = World::new();
    for kind in KINDS {
        world.ok(["key", "generate", kind, "--label", kind]);
        let make = ["cert", "self-sign", kind, "--subject", "CN=root", "--ca", "--days", "30"];
        world.ok(make.into_iter().chain(["--out", "cert.pem", "--store"]));
        world.openssl(&[
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-CAfile",
            "cert.pem",
            "cert.pem",
        ]);
        let text = world.openssl(&["x509", "-in", "cert.pem", "-noout", "-text"]);
        assert!(text.contains("CA:TRUE") && text.contains("Certificate Sign"), "{text}");
        assert_eq!(world.ok(["cert", "export", kind]).stdout, read(world.path("cert.pem")));
        let key = world.json(["key", "show", kind]);
        let list = world.json(["cert", "list"]);
        assert!(list.as_array().unwrap().iter().any(|row| row["id"] == key["id"]));
    }
    let pss = ["cert", "self-sign", "rsa:2048", "--subject", "CN=pss", "--pss"];
    world.ok(pss.into_iter().chain(["--ca", "--out", "pss.pem"]));
    world.openssl(&["verify", "-check_ss_sig", "-CAfile", "pss.pem", "pss.pem"]);
}

#[test]
fn bundles_are_imported_and_exported() {
    let world = World::new();
    let mut bundle = Vec::new();
    for name in ["/CN=one", "/CN=two"] {
        let make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let rest = ["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", name];
        world.openssl(&[&make[..], &rest].concat());
        bundle.extend(b"text around it\n");
        bundle.extend(read(world.path("cert.pem")));
    }
    world.file("bundle.pem", &bundle);
    assert_eq!(world.json(["cert", "import", "bundle.pem"]).as_array().unwrap().len(), 2);
    assert_eq!(world.json(["cert", "list"]).as_array().unwrap().len(), 2);
    let pem = world.ok(["cert", "export"]).text();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
    world.ok(["cert", "export", "two", "--format", "der", "--out", "two.der"]);
    let text = world.openssl(&["x509", "-inform", "DER", "-in", "two.der", "-noout", "-subject"]);
    assert!(text.contains("two"), "{text}");
    world.file("password", b"pw");
    let p12 = ["cert", "export", "--format", "p12", "--out", "all.p12"];
    world.ok(p12.into_iter().chain(["--password-file", "password"]));
    let read = ["pkcs12", "-in", "all.p12", "-nokeys", "-passin", "pass:pw"];
    assert_eq!(world.openssl(&read).matches("BEGIN CERTIFICATE").count(), 2);
    world.fails(9, ["key", "import", "bundle.pem"]);
}

#[test]
fn wrong_names_are_refused() {
    let world = World::new();
    world.ok(["key", "generate", "ec:p256", "--label", "k"]);
    world.fails(2, ["cert", "request", "k", "--subject", "nonsense"]);
    world.fails(2, ["cert", "request", "k", "--subject", "CN=a", "--san", "IP:nonsense"]);
}
