//! Moving in from SoftHSM2: tokens that its own programs made, whatever module is under test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Run, SO_PIN, World, old_token};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use strongroom_keystore::{Config, Role, Store, Token, Unlocked};
use strongroom_types::{Attributes, Value, attribute};

const PIN: &str = "1234";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token directory of SoftHSM2, and an empty store of ours.
struct Move {
    world: World,
}

impl Move {
    /// With a token that SoftHSM2's own program made.
    fn new() -> Self {
        let this = Self { world: World::empty() };
        this.softhsm2_util(&["--init-token", "--free", "--label", "old", "--so-pin", SO_PIN]);
        this
    }

    fn softhsm2_util(&self, args: &[&str]) {
        let mut command = Command::new("softhsm2-util");
        command.args(args).args(["--pin", PIN]);
        self.must(&mut command);
    }

    fn pkcs11_tool(&self, args: &[&str]) {
        let mut command = Command::new("pkcs11-tool");
        command.args(["--module", MODULE, "--login", "--pin", PIN]).args(args);
        self.must(&mut command);
    }

    fn must(&self, command: &mut Command) {
        let command = command
            .env("SOFTHSM2_CONF", self.world.path("softhsm2.conf"))
            .current_dir(self.world.dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {text}");
    }

    /// One of everything that SoftHSM2 has and we do.
    fn fill(&self) {
        let pairs = [
            ("rsa:2048", "rsa", "01"),
            ("EC:prime256v1", "p256", "02"),
            ("EC:secp521r1", "p521", "03"),
            ("EC:edwards25519", "ed25519", "04"),
        ];
        for (kind, label, id) in pairs {
            self.pkcs11_tool(&["--keypairgen", "--key-type", kind, "--label", label, "--id", id]);
        }
        self.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--label", "aes", "--id", "05"]);
        let generic = ["--key-type", "GENERIC:48", "--label", "mac", "--id", "06", "--sensitive"];
        self.pkcs11_tool(&[&["--keygen"], &generic[..]].concat());
        self.world.file("data", b"what nobody else may read");
        let data = ["--type", "data", "--label", "secret", "--application-label", "app"];
        self.pkcs11_tool(&[&["--write-object", "data", "--private"], &data[..]].concat());
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"];
        let rest = ["-subj", "/CN=moved", "-outform", "DER", "-out", "cert.der"];
        self.world.openssl(&[&request[..], &rest].concat());
        self.pkcs11_tool(&["--write-object", "cert.der", "--type", "cert", "--id", "07"]);
        self.world.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-out", "key.p8"]);
        let import = ["--import", "key.p8", "--token", "old", "--label", "imported", "--id", "07"];
        self.softhsm2_util(&import);
    }

    /// The directory of the one token.
    fn token_dir(&self) -> PathBuf {
        let mut all = fs::read_dir(self.world.path("store")).unwrap();
        all.next().unwrap().unwrap().path()
    }

    fn import(&self, pins: &[(&str, &str)], more: &[&str]) -> Run {
        let mut command = self.world.bare();
        command.env_remove("STRONGROOM_MODULE").envs(pins.iter().copied());
        command.args(["import", "softhsm2", "store"]).args(more).output().unwrap().into()
    }

    fn import_all(&self) -> Run {
        self.import(&[("STRONGROOM_PIN", PIN), ("STRONGROOM_SO_PIN", SO_PIN)], &[])
    }

    fn store(&self) -> Store {
        Store::open(&Config::load(&self.world.path("strongroom.toml")).unwrap()).unwrap()
    }

    /// Everything in the one token of our store, by what it is and its id or label.
    fn ours(&self) -> BTreeMap<Key, Attributes> {
        let token = self.store().tokens().unwrap().pop().unwrap();
        let keys = token.unlock(Role::User, PIN.as_bytes()).unwrap();
        objects(&token, &keys).into_iter().map(|object| (key(&object), object)).collect()
    }
}

/// Class, label and id, which tell the objects of these tests apart.
type Key = (u64, Vec<u8>, Vec<u8>);

fn key(object: &Attributes) -> Key {
    let id = object.get(attribute::ID).unwrap_or_default();
    let label = object.get(attribute::LABEL).unwrap_or_default();
    (object.get(attribute::CLASS).unwrap(), label.to_vec(), id.to_vec())
}

fn objects(token: &Token, keys: &Unlocked) -> Vec<Attributes> {
    let found = token.find(Some(keys), None, &[], None, 1000).unwrap();
    let load = |id| Attributes::decode(&token.load(Some(keys), id).unwrap().body).unwrap();
    found.into_iter().map(|found| load(found.id)).collect()
}

/// Every file below a directory, its bytes and the time of its last change.
fn state(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(state(&path)),
            false => {
                let modified = path.metadata().unwrap().modified().unwrap();
                all.insert(path.clone(), (fs::read(&path).unwrap(), modified));
            }
        }
    }
    all
}

const PRINTABLE_STRING: u8 = 19;

/// What SoftHSM2 says itself of an object, through its module.
const TELLING: &[AttributeType] = &[
    AttributeType::Class,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Private,
    AttributeType::Modifiable,
    AttributeType::Local,
    AttributeType::KeyGenMechanism,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::Subject,
    AttributeType::Application,
    AttributeType::ValueLen,
];

/// An attribute as the store has it: flags as a byte, numbers as the little-endian bytes.
fn raw(attribute: &Attribute) -> Option<(u64, Vec<u8>)> {
    use Attribute as A;
    let number = |value: u64| value.to_le_bytes().to_vec();
    let value = match attribute {
        A::Class(class) => number(**class),
        A::Label(bytes)
        | A::Id(bytes)
        | A::Modulus(bytes)
        | A::PublicExponent(bytes)
        | A::EcParams(bytes)
        | A::EcPoint(bytes)
        | A::Subject(bytes)
        | A::Application(bytes) => bytes.clone(),
        A::Private(flag)
        | A::Modifiable(flag)
        | A::Local(flag)
        | A::Sensitive(flag)
        | A::AlwaysSensitive(flag)
        | A::Extractable(flag)
        | A::NeverExtractable(flag)
        | A::Sign(flag)
        | A::Verify(flag)
        | A::Encrypt(flag)
        | A::Decrypt(flag)
        | A::Wrap(flag)
        | A::Unwrap(flag)
        | A::Derive(flag) => vec![u8::from(*flag)],
        A::ValueLen(len) => number(**len),
        A::KeyGenMechanism(mechanism) => number(**mechanism),
        _ => return None,
    };
    Some((attribute.attribute_type().into(), value))
}

#[test]
fn a_token_moves_with_its_serial_its_pins_and_all_that_its_objects_say() {
    let old = Move::new();
    old.fill();
    let before = state(&old.world.path("store"));
    let run = old.import_all();
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains(": 14 objects"), "{}", run.text());
    assert!(state(&old.world.path("store")) == before, "the source changed");

    let token = old.store().tokens().unwrap().pop().unwrap();
    let uuid = old.token_dir().file_name().unwrap().to_str().unwrap().replace('-', "");
    assert_eq!(token.serial(), uuid.as_bytes()[16..]);
    assert!(token.status().unwrap().label.starts_with(b"old  "));
    token.unlock(Role::User, PIN.as_bytes()).unwrap();
    token.unlock(Role::SecurityOfficer, SO_PIN.as_bytes()).unwrap();

    let ours = old.ours();
    let theirs = theirs(&old);
    assert_eq!(ours.len(), 14);
    for (name, said) in theirs {
        let object = &ours[&name];
        assert!(said.len() > 4, "{name:?}");
        for (id, value) in said {
            if id == attribute::EC_PARAMS.info.id && value.first() == Some(&PRINTABLE_STRING) {
                // The name of a curve becomes its identifier.
                continue;
            }
            let found = object.value(id).map(|value| value.stored().to_vec());
            assert_eq!(found.as_deref(), Some(value.as_slice()), "{name:?} {id:#x}");
        }
    }
    let data = ours.values().find(|object| object.has(attribute::APPLICATION.info)).unwrap();
    assert_eq!(data.get(attribute::VALUE), Some(b"what nobody else may read".as_slice()));
    let private = ours.values().find(|o| key(o).0 == 3 && key(o).1 == b"rsa").unwrap();
    assert!(private.is(attribute::ALWAYS_SENSITIVE) && private.is(attribute::LOCAL));
    let p256 = ours.values().find(|o| key(o).0 == 3 && key(o).1 == b"p256").unwrap();
    assert_eq!(p256.get(attribute::KEY_GEN_MECHANISM), Some(0x1040), "CKM_EC_KEY_PAIR_GEN");
    // The values are those of the keys: the public halves follow from the private ones.
    for (name, object) in ours.iter().filter(|(name, _)| name.0 == 3) {
        let public = &ours[&(2, name.1.clone(), name.2.clone())];
        let info = object.get(attribute::PUBLIC_KEY_INFO);
        assert!(info.is_some() && info == public.get(attribute::PUBLIC_KEY_INFO), "{name:?}");
    }
}

/// What SoftHSM2's module says of its objects, attribute by attribute.
fn theirs(old: &Move) -> BTreeMap<Key, Vec<(u64, Vec<u8>)>> {
    let out = old.world.path("dump");
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dump_for_another_test", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", old.world.path("softhsm2.conf"))
        .env("DUMP", &out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut all = BTreeMap::new();
    for line in fs::read_to_string(out).unwrap().lines() {
        let said: Vec<(u64, Vec<u8>)> = line
            .split_whitespace()
            .map(|word| word.split_once('=').unwrap())
            .map(|(id, value)| (id.parse().unwrap(), hex::decode(value).unwrap()))
            .collect();
        let of = |id: u64| {
            said.iter().find(|(other, _)| *other == id).map(|(_, v)| v.clone()).unwrap_or_default()
        };
        let class = u64::from_le_bytes(of(0).try_into().unwrap());
        all.insert((class, of(attribute::LABEL.info.id), of(attribute::ID.info.id)), said);
    }
    all
}

/// A process has one environment, so SoftHSM2's module is loaded in one of its own.
#[test]
#[ignore = "a part of another test, which runs it"]
fn dump_for_another_test() {
    let Some(out) = std::env::var_os("DUMP") else { return };
    let module = Pkcs11::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_ro_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    let mut text = String::new();
    for object in session.find_objects(&[]).unwrap() {
        for which in TELLING {
            // Not every object has every attribute.
            let answer = session.get_attributes(object, &[*which]).unwrap_or_default();
            if let Some((id, value)) = answer.first().and_then(raw) {
                text.push_str(&format!("{id}={} ", hex::encode(value)));
            }
        }
        text.push('\n');
    }
    fs::write(out, text).unwrap();
}

#[test]
fn a_second_import_takes_what_is_new() {
    let old = Move::new();
    old.pkcs11_tool(&["--keygen", "--key-type", "AES:16", "--label", "first"]);
    assert!(old.import_all().text().contains(": 1 objects"));
    assert!(old.import_all().text().contains(": 0 objects; 1 were here already"));
    old.pkcs11_tool(&["--keygen", "--key-type", "AES:16", "--label", "second"]);
    let run = old.import_all();
    assert!(run.code == 0 && run.text().contains(": 1 objects; 1 were"), "{}", run.text());
    assert_eq!(old.ours().len(), 2);
    assert_eq!(old.store().tokens().unwrap().len(), 1);
}

#[test]
fn one_pin_is_enough_and_the_other_is_told_to_be_missing() {
    let old = Move::new();
    old.pkcs11_tool(&["--keygen", "--key-type", "AES:16", "--label", "key"]);
    let none = old.import(&[], &[]);
    assert_eq!(none.code, 5, "{}", none.stderr);
    let wrong = old.import(&[("STRONGROOM_PIN", "4321")], &[]);
    assert_eq!(wrong.code, 5, "{}", wrong.stderr);
    let other = old.import(&[("STRONGROOM_PIN", PIN), ("STRONGROOM_SO_PIN", "87654322")], &[]);
    assert_eq!(other.code, 5, "{}", other.stderr);
    assert!(old.store().tokens().unwrap().is_empty());

    let by_user = old.import(&[("STRONGROOM_PIN", PIN)], &["--token", "old"]);
    assert!(by_user.code == 0 && by_user.text().contains("SO PIN"), "{}", by_user.text());
    assert_eq!(old.ours().len(), 1);
    let token = old.store().tokens().unwrap().pop().unwrap();
    assert!(token.unlock(Role::SecurityOfficer, SO_PIN.as_bytes()).is_err());
    old.store().remove(&token).unwrap();

    let by_so = old.import(&[("STRONGROOM_SO_PIN", SO_PIN)], &[]);
    assert!(by_so.code == 0 && by_so.text().contains("user PIN"), "{}", by_so.text());
    let token = old.store().tokens().unwrap().pop().unwrap();
    assert!(!token.status().unwrap().user_pin_set);
    let keys = token.unlock(Role::SecurityOfficer, SO_PIN.as_bytes()).unwrap();
    assert_eq!(objects(&token, &keys).len(), 1);
    assert_eq!(old.import(&[], &["--token", "other"]).code, 3);
}

/// The place of an attribute's value in an object file.
fn value_at(bytes: &[u8], id: u64) -> usize {
    attributes_of(bytes).into_iter().find(|(other, ..)| *other == id).unwrap().1
}

fn object_files(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_object = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "object")
            && path.file_name().unwrap() != "token.object"
    };
    all.filter(is_object).collect()
}

#[test]
fn what_is_damaged_unknown_or_false_is_named_and_left() {
    let old = Move::new();
    let ec = ["--keypairgen", "--key-type", "EC:prime256v1"];
    for (label, id) in [("one", "01"), ("two", "02")] {
        old.pkcs11_tool(&[&ec[..], &["--label", label, "--id", id]].concat());
    }
    old.pkcs11_tool(&["--keygen", "--key-type", "AES:16", "--label", "aes", "--private"]);
    let dir = old.token_dir();
    let class = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes[value_at(&bytes, attribute::CLASS.info.id) + 7]
    };
    let files = object_files(&dir);
    let publics: Vec<_> = files.iter().filter(|path| class(path) == 2).collect();
    let secret = files.iter().find(|path| class(path) == 4).unwrap();

    // A crash left an empty file, and a cut one.
    fs::write(dir.join("empty.object"), b"").unwrap();
    let whole = fs::read(secret).unwrap();
    fs::write(dir.join("cut.object"), &whole[..whole.len() - 5]).unwrap();
    // A type of keys that nobody has.
    let mut unknown = whole.clone();
    let at = value_at(&whole, attribute::KEY_TYPE.info.id);
    unknown[at..at + 8].copy_from_slice(&0x7777_u64.to_be_bytes());
    fs::write(dir.join("unknown.object"), unknown).unwrap();
    // A ciphertext that was changed: an IV and two blocks, the second all padding. A bit of the
    // first is a bit of what the second decrypts to, so the last byte does not say sixteen.
    let mut broken = whole.clone();
    let at = value_at(&whole, attribute::VALUE.info.id) + 8;
    broken[at + 31] ^= 0x10;
    fs::write(dir.join("broken.object"), broken).unwrap();
    // The public key of one pair in the place of the other's.
    let [one, two] = publics.as_slice() else { unreachable!() };
    let (mut one_bytes, two_bytes) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    let point = attribute::EC_POINT.info.id;
    let (to, from) = (value_at(&one_bytes, point), value_at(&two_bytes, point));
    one_bytes[to..to + 8 + 67].copy_from_slice(&two_bytes[from..from + 8 + 67]);
    fs::write(one, one_bytes).unwrap();

    let run = old.import_all();
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    let text = run.text();
    for (object, reason) in [
        ("empty.object", "empty"),
        ("cut.object", "cut"),
        ("unknown.object", "0x7777"),
        ("broken.object", "CKA_VALUE cannot be decrypted"),
        (one.file_name().unwrap().to_str().unwrap(), "another public half"),
    ] {
        let line = text.lines().find(|line| line.contains(object)).unwrap_or_default();
        assert!(line.contains("not taken") && line.contains(reason), "{object}: {text}");
    }
    // The two private keys, the other public key, and the secret key.
    assert_eq!(old.ours().len(), 4, "{text}");
    let json = old.import(
        &[("STRONGROOM_PIN", PIN), ("STRONGROOM_SO_PIN", SO_PIN)],
        &["--json", "--token", "old"],
    );
    assert_eq!(json.json()["tokens"][0]["not_taken"].as_array().unwrap().len(), 5);
    assert_eq!(json.json()["tokens"][0]["present"], 4);
}

#[test]
fn one_damaged_token_does_not_keep_the_others_from_coming() {
    let old = Move::new();
    old.softhsm2_util(&["--init-token", "--free", "--label", "other", "--so-pin", SO_PIN]);
    fs::write(old.token_dir().join("token.object"), b"").unwrap();
    let run = old.import_all();
    assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
    assert!(run.text().contains("not taken: cannot read the token in"), "{}", run.text());
    assert_eq!(old.store().tokens().unwrap().len(), 1);
    assert_eq!(old.import(&[("STRONGROOM_PIN", PIN)], &["--module", "/usr/lib/x.so"]).code, 10);
    let empty = old.world.path("nothing");
    fs::create_dir(&empty).unwrap();
    let mut none = old.world.bare();
    none.env_remove("STRONGROOM_MODULE").args(["import", "softhsm2", "nothing"]);
    assert_eq!(none.output().unwrap().status.code(), Some(3));
}

/// The attributes of an object file, with the places of their values, by a reader of the test's
/// own.
fn attributes_of(bytes: &[u8]) -> Vec<(u64, usize, Value)> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let (head, rest) = bytes.split_first_chunk::<8>().unwrap();
        *bytes = rest;
        u64::from_be_bytes(*head)
    }
    fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
        let len = usize::try_from(number(bytes)).unwrap();
        let (taken, rest) = bytes.split_at(len);
        *bytes = rest;
        taken
    }
    let mut rest = &bytes[8..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (id, kind) = (number(&mut rest), number(&mut rest));
        let at = bytes.len() - rest.len();
        let value = match kind {
            1 => {
                let (flag, after) = rest.split_first().unwrap();
                rest = after;
                Value::Bool(*flag == 0xff)
            }
            2 => Value::Ulong(number(&mut rest)),
            3 => Value::from(take(&mut rest)),
            4 => {
                assert!(take(&mut rest).is_empty(), "a template");
                Value::Attributes(Attributes::default())
            }
            5 => {
                let count = number(&mut rest);
                Value::Ulongs((0..count).map(|_| number(&mut rest)).collect())
            }
            kind => unreachable!("kind {kind}"),
        };
        all.push((id, at, value));
    }
    all
}

/// Puts a token of the file back end into a database, as the other back end would have.
fn into_database(dir: &Path) {
    let read = |path: &PathBuf| {
        let mut object = Attributes::default();
        for (id, _, value) in attributes_of(&fs::read(path).unwrap()) {
            object.put(id, value);
        }
        fs::remove_file(path).unwrap();
        object
    };
    let objects: Vec<Attributes> = object_files(dir).iter().map(read).collect();
    old_token::write_database(dir, &read(&dir.join("token.object")), &objects);
}

#[test]
fn a_database_says_the_same_as_the_files() {
    let old = Move::new();
    old.fill();
    assert_eq!(old.import_all().code, 0);
    let by_files = old.ours();
    old.store().remove(&old.store().tokens().unwrap()[0]).unwrap();
    into_database(&old.token_dir());
    let before = state(&old.world.path("store"));
    let run = old.import_all();
    assert_eq!(run.code, 0, "{}{}", run.text(), run.stderr);
    assert!(state(&old.world.path("store")) == before, "the source changed");
    let without_name = |all: BTreeMap<Key, Attributes>| -> BTreeMap<Key, Vec<u8>> {
        let encode = |mut object: Attributes| {
            object.remove(attribute::UNIQUE_ID.info);
            object.encode().to_vec()
        };
        all.into_iter().map(|(key, object)| (key, encode(object))).collect()
    };
    assert!(without_name(by_files) == without_name(old.ours()));
    let again = old.import_all();
    assert!(again.text().contains(": 0 objects; 14 were here already"), "{}", again.text());
}
