//! Moving in from NSS: databases that its own programs made, into the module under test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::process::Command;

use common::{Run, World};
use serde_json::Value;

const PASSWORD: &str = "a password of NSS";

/// A world with a token and the databases of NSS in `nss`.
struct Nss {
    world: World,
}

impl Nss {
    fn new(password: &str) -> Self {
        let this = Self { world: World::new() };
        std::fs::create_dir(this.world.path("nss")).unwrap();
        this.world.file("password", format!("{password}\n").as_bytes());
        this.world.file("noise", &[7; 64]);
        this.certutil("-N");
        this
    }

    fn nss(&self, program: &str, args: &str) {
        let args: Vec<&str> = args.split(' ').filter(|arg| !arg.is_empty()).collect();
        let mut command = Command::new(program);
        command.args(args).current_dir(self.world.dir.path()).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {text}");
    }

    fn certutil(&self, args: &str) {
        self.nss("certutil", &format!("{args} -d sql:nss -f password"));
    }

    /// A key pair and its certificate, made by NSS.
    fn pair(&self, name: &str, kind: &str, serial: u32) {
        let what = format!("-S -n {name} -s CN={name} -x -t u,u,u {kind} -z noise -m {serial}");
        self.certutil(&what);
    }

    fn import(&self, password: &str) -> Run {
        let mut command = self.world.bare();
        command.env("STRONGROOM_FILE_PASSWORD", password).env("STRONGROOM_PIN", common::PIN);
        command.args(["import", "nss", "nss"]).output().unwrap().into()
    }

    /// The value of a setting of every key or certificate.
    fn of_all(&self, what: &str, name: &str) -> Vec<String> {
        let list = self.world.json([what, "list"]);
        let text = |one: &Value| format!("{} {}", one["class"], one[name]).replace('"', "");
        let mut all: Vec<String> = list.as_array().unwrap().iter().map(text).collect();
        all.sort();
        all
    }
}

#[test]
fn keys_and_certificates_come_with_their_nicknames() {
    let nss = Nss::new(PASSWORD);
    nss.pair("rsa", "-k rsa -g 2048", 1);
    nss.pair("p256", "-k ec -q nistp256", 2);
    nss.pair("p521", "-k ec -q nistp521", 3);
    let request = "req -x509 -newkey rsa:3072 -nodes -keyout k -out c -subj /CN=there";
    nss.world.openssl(&request.split(' ').collect::<Vec<_>>());
    let pack = "pkcs12 -export -in c -inkey k -name packed -passout pass:x -out p12";
    nss.world.openssl(&pack.split(' ').collect::<Vec<_>>());
    nss.nss("pk12util", "-i p12 -d sql:nss -k password -W x");
    let other = "req -x509 -newkey rsa:2048 -nodes -keyout k2 -out ca -subj /CN=authority";
    nss.world.openssl(&other.split(' ').collect::<Vec<_>>());
    nss.certutil("-A -n authority -t C,, -i ca");
    let read = |name: &str| std::fs::read(nss.world.path(name)).unwrap();
    let before = [read("nss/key4.db"), read("nss/cert9.db")];

    let wrong = nss.import("another");
    assert_eq!(wrong.code, 5, "{}", wrong.stderr);
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 13 objects"), "{}", run.text());
    assert!(before == [read("nss/key4.db"), read("nss/cert9.db")], "the source changed");
    let again = nss.import(PASSWORD);
    assert!(again.text().contains(": 0 objects; 9 were here"), "{}", again.text());

    let labels = nss.of_all("key", "label");
    for name in ["rsa", "p256", "p521", "packed"] {
        assert!(labels.iter().any(|label| label == &format!("private key {name}")), "{labels:?}");
        assert!(labels.iter().any(|label| label == &format!("public key {name}")), "{labels:?}");
    }
    assert_eq!(nss.world.json(["cert", "list"]).as_array().unwrap().len(), 5);
    // The keys are those of the certificates, and they sign.
    for (name, digest) in
        [("rsa", "sha256"), ("p256", "sha256"), ("p521", "sha512"), ("packed", "sha256")]
    {
        nss.world.file("document", b"what is signed");
        nss.world.ok(["cert", "export", name, "--out", &format!("{name}.pem")]);
        nss.world.ok(["sign", name, "--in", "document", "--out", "signature"]);
        let pem = format!("{name}.pem");
        let key = nss.world.openssl(&["x509", "-in", &pem, "-noout", "-pubkey"]);
        nss.world.file("public.pem", key.as_bytes());
        let digest = format!("-{digest}");
        let verify = ["dgst", &digest, "-verify", "public.pem", "-signature", "signature"];
        nss.world.openssl(&[&verify[..], &["document"]].concat());
    }
}

#[test]
fn an_empty_password_and_a_changed_one_open_the_keys() {
    let nss = Nss::new("");
    nss.pair("first", "-k ec -q nistp384", 1);
    assert_eq!(nss.import("").code, 0);
    nss.world.file("next", b"changed\n");
    nss.nss("certutil", "-W -d sql:nss -f password -@ next");
    nss.world.file("password", b"changed\n");
    nss.pair("second", "-k rsa -g 2048", 2);
    let run = nss.import("changed");
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 3 objects; 2 were here"), "{}", run.text());
}

#[test]
fn secret_keys_come_too() {
    let nss = Nss::new(PASSWORD);
    nss.nss("symkeyutil", "-K -n cipher -t aes -s 32 -d sql:nss -f password");
    nss.nss("symkeyutil", "-K -n made -t generic -s 20 -d sql:nss -f password");
    nss.nss("symkeyutil", "-K -n unknown -t rc4 -s 16 -d sql:nss -f password");
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 2 objects"), "{}", run.text());
    assert!(run.text().contains("): keys of type CKK_RC4"), "{}", run.text());
    let again = nss.import(PASSWORD);
    assert!(again.text().contains(": 0 objects; 2 were here"), "{}", again.text());
    // Nobody tells the values; that they are right the MACs have said.
    let labels = nss.of_all("key", "label");
    assert_eq!(labels, ["secret key cipher", "secret key made"]);
    nss.world.file("plain", b"what is encrypted");
    let seal = ["encrypt", "cipher", "--mechanism", "aes-cbc-pad", "--in", "plain"];
    nss.world.ok([&seal[..], &["--out", "sealed"]].concat());
    let open = ["decrypt", "cipher", "--mechanism", "aes-cbc-pad", "--in", "sealed"];
    assert_eq!(nss.world.ok(open).stdout, b"what is encrypted");
}

#[test]
fn what_was_changed_is_refused() {
    let nss = Nss::new(PASSWORD);
    nss.pair("one", "-k ec -q nistp256", 1);
    nss.pair("two", "-k ec -q nistp256", 2);
    // The values of two keys change places: each can be decrypted, and is not the key it was.
    let database = rusqlite::Connection::open(nss.world.path("nss/key4.db")).unwrap();
    let sql = "SELECT id, a11 FROM nssPrivate WHERE a11 IS NOT NULL";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(i64, Vec<u8>)> = rows.map(Result::unwrap).collect();
    let [(one, first), (two, second)] = rows.as_slice() else { unreachable!() };
    for (id, value) in [(one, second), (two, first)] {
        database.execute("UPDATE nssPrivate SET a11 = ?1 WHERE id = ?2", (value, id)).unwrap();
    }
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    assert_eq!(run.text().matches("its MAC is wrong").count(), 2, "{}", run.text());
    assert!(run.text().contains(": 2 objects"), "the certificates: {}", run.text());
}

#[test]
fn secret_keys_of_one_label_are_told_apart() {
    let nss = Nss::new(PASSWORD);
    for size in [32, 16, 32] {
        let make = format!("-K -n cipher -t aes -s {size} -d sql:nss -f password");
        nss.nss("symkeyutil", &make);
    }
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 3 objects"), "{}", run.text());
    let again = nss.import(PASSWORD);
    assert!(again.text().contains(": 0 objects; 3 were here"), "{}", again.text());
}

#[test]
fn keys_without_a_mac_are_refused() {
    let nss = Nss::new(PASSWORD);
    nss.pair("rsa", "-k rsa -g 2048", 1);
    nss.pair("p256", "-k ec -q nistp256", 2);
    nss.nss("symkeyutil", "-K -n cipher -t aes -s 32 -d sql:nss -f password");
    let database = rusqlite::Connection::open(nss.world.path("nss/key4.db")).unwrap();
    let macs = "DELETE FROM metaData WHERE id LIKE 'sig_key_%'";
    assert!(database.execute(macs, []).unwrap() > 0);
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    assert_eq!(run.text().matches("its MAC is missing").count(), 3, "{}", run.text());
    assert!(run.text().contains(": 2 objects"), "the certificates: {}", run.text());
}

#[test]
fn macs_under_the_name_of_a_handle_are_found() {
    let nss = Nss::new(PASSWORD);
    nss.pair("rsa", "-k rsa -g 2048", 1);
    nss.pair("p256", "-k ec -q nistp256", 2);
    // What some versions did when a password was changed: the new MAC got the other name, and the
    // old one, which is wrong now, stayed.
    let database = rusqlite::Connection::open(nss.world.path("nss/key4.db")).unwrap();
    let sql = "SELECT id, item1 FROM metaData WHERE id LIKE 'sig_key_%'";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(String, Vec<u8>)> = rows.map(Result::unwrap).collect();
    let secret = |name: &&(String, Vec<u8>)| !name.0.ends_with("120") && !name.0.ends_with("122");
    for (name, mac) in rows.iter().filter(secret) {
        let (_, number) = name.split_once("sig_key_").unwrap();
        let (number, attribute) = number.split_once('_').unwrap();
        let handle = u32::from_str_radix(number, 16).unwrap() | 0xc000_0000;
        let other = format!("sig_key_{handle:08x}_{attribute}");
        let add = "INSERT INTO metaData (id, item1) VALUES (?1, ?2)";
        database.execute(add, (other, mac)).unwrap();
        let mut stale = mac.clone();
        *stale.last_mut().unwrap() ^= 1;
        database.execute("UPDATE metaData SET item1 = ?2 WHERE id = ?1", (name, stale)).unwrap();
    }
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 6 objects"), "{}", run.text());
}

#[test]
fn a_changed_modulus_is_noticed() {
    let nss = Nss::new(PASSWORD);
    nss.pair("one", "-k rsa -g 2048", 1);
    let database = rusqlite::Connection::open(nss.world.path("nss/key4.db")).unwrap();
    let change = "UPDATE nssPrivate SET a120 = a122";
    assert_eq!(database.execute(change, []).unwrap(), 1);
    let run = nss.import(PASSWORD);
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains("its MAC is wrong"), "{}", run.text());
}

#[test]
fn a_directory_without_databases_is_told() {
    let world = World::new();
    std::fs::create_dir(world.path("nothing")).unwrap();
    assert_eq!(world.run(["import", "nss", "nothing"]).code, 3);
    std::fs::create_dir(world.path("broken")).unwrap();
    world.file("broken/cert9.db", b"this is no database, whatever its name");
    assert_eq!(world.run(["import", "nss", "broken"]).code, 9);
}
