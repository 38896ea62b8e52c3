//! The format is what FORMAT.md says, and what was written once opens for ever.
//!
//! The fixtures were made by `make_fixtures`, one at each format; none is ever made again, unless a new
//! format gets a fixture of its own beside them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::common::{NAME, Place, SO_PIN, USER_PIN, create, first, id, private, public};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use rusqlite::Connection;
use strongroom_keystore::{Change, KeyPolicy, Role, Severity, Store, Term, Token};

/// A token of each format.
struct Fixture {
    format: u8,
    label: [u8; 32],
    serial: [u8; 16],
    policy: KeyPolicy,
}

const FIXTURES: [Fixture; 2] = [
    Fixture {
        format: 1,
        label: *b"fixture of format 1             ",
        serial: *b"f1c5000000000001",
        policy: KeyPolicy::Standard,
    },
    Fixture {
        format: 2,
        label: *b"fixture of format 2             ",
        serial: *b"f1c5000000000002",
        policy: KeyPolicy::Strict,
    },
];

const SEAL_KEY: &[u8; 32] = b"not a secret: key of the fixture";
const TERMS: [Term<'_>; 2] =
    [Term { name: NAME, value: b"a name" }, Term { name: 0x8000_0001, value: b"" }];

impl Fixture {
    fn path(&self) -> PathBuf {
        let name = format!("tests/fixture/format-{}.db", self.format);
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }
}

fn put_seal_key(place: &Place) {
    fs::create_dir(place.path("seal")).unwrap();
    fs::write(place.path("seal/seal.key"), SEAL_KEY).unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(place.path("seal/seal.key"), mode).unwrap();
}

#[test]
#[ignore = "makes the fixtures that are not there, which is done once per format"]
fn make_fixtures() {
    FIXTURES.iter().filter(|fixture| !fixture.path().exists()).for_each(make);
}

fn make(fixture: &Fixture) {
    let place = Place::new();
    put_seal_key(&place);
    let mut config = place.config();
    config.policy = fixture.policy;
    let store = Store::open(&config).unwrap();
    let token = store.create_with_serial(&fixture.serial, &fixture.label, SO_PIN).unwrap();
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    token.set_user_pin(&so, USER_PIN).unwrap();
    let changes = [
        create(1, true, b"a private object", &TERMS),
        create(2, false, b"a public object", &TERMS[..1]),
        create(3, true, &[0xa5; 3000], &[]),
    ];
    token.commit(Some(&so), &changes).unwrap();
    let (id, private, body) = (id(3), true, [0x5a; 300]);
    let change = Change::Replace { id, revision: 1, private, body: &body, terms: &TERMS[1..] };
    token.commit(Some(&so), &[change]).unwrap();
    token.verify(Role::User, b"wrong").unwrap_err();
    fs::create_dir_all(fixture.path().parent().unwrap()).unwrap();
    store.backup(&token, &fixture.path()).unwrap();
}

/// The content of a fixture, through the front door.
fn check(fixture: &Fixture, store: &Store, token: &Token) {
    let status = token.status().unwrap();
    assert_eq!((status.label, status.serial), (fixture.label, fixture.serial));
    assert_eq!(token.policy().unwrap(), fixture.policy);
    assert!(status.user_pin_set);
    let so = token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    for keys in [&so, &user] {
        let load = |number| token.load(Some(keys), id(number)).unwrap();
        assert_eq!(load(1).body.as_slice(), b"a private object");
        assert_eq!((load(3).revision, load(3).body.as_slice()), (2, [0x5a; 300].as_slice()));
        let find = |terms| token.find(Some(keys), Some(true), terms, None, 9).unwrap();
        assert_eq!(find(&TERMS[..1]), [private(1)]);
        assert_eq!(find(&TERMS[1..]), [private(1), private(3)]);
    }
    assert_eq!(token.load(None, id(2)).unwrap().body.as_slice(), b"a public object");
    assert_eq!(token.find(None, Some(false), &TERMS[..1], None, 9).unwrap(), [public(2)]);
    token.commit(Some(&user), &[create(4, true, b"new", &[])]).unwrap();
    assert!(store.check().iter().all(|finding| finding.severity == Severity::Fine));
}

#[test]
fn the_fixtures_are_restored() {
    for fixture in &FIXTURES {
        let place = Place::new();
        put_seal_key(&place);
        let store = place.store();
        let token = store.restore(&fixture.path(), false).unwrap();
        check(fixture, &store, &token);
    }
}

#[test]
fn the_fixtures_open_in_place() {
    for fixture in &FIXTURES {
        let place = Place::new();
        put_seal_key(&place);
        let token = place.store().restore(&fixture.path(), false).unwrap();
        let path = place.database(&token);
        place.store().remove(&token).unwrap();
        fs::copy(fixture.path(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let store = place.store();
        let token: Arc<Token> = first(&store);
        check(fixture, &store, &token);
    }
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, &parts.concat()).as_ref().to_vec()
}

/// HKDF-Expand of RFC 5869 to one block.
fn expand(prk: &[u8], info: &[&[u8]]) -> Vec<u8> {
    hmac_of(prk, &[&info.concat(), &[1]])
}

/// Opens a blob, as FORMAT.md says under "Blobs".
fn open(key: &[u8], label: &str, context: &[u8], blob: &[u8]) -> Vec<u8> {
    assert_eq!(blob[..2], [1, 1]);
    let key = expand(key, &[label.as_bytes(), context, &blob[2..14]]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let aad = [&blob[..26], label.as_bytes(), context].concat();
    let nonce = Nonce::try_assume_unique_for_key(&blob[14..26]).unwrap();
    let mut text = blob[26..].to_vec();
    let text = key.open_in_place(nonce, Aad::from(aad), &mut text).unwrap();
    assert_eq!(text.len() % 256, 0);
    let len = usize::try_from(u32::from_le_bytes(text[..4].try_into().unwrap())).unwrap();
    assert!(text[4 + len..].iter().all(|&byte| byte == 0));
    text[4..4 + len].to_vec()
}

#[test]
fn the_format_is_what_its_document_says() {
    FIXTURES.iter().for_each(read_by_document);
}

/// Reads a fixture by FORMAT.md alone, with none of the crate's code.
fn read_by_document(fixture: &Fixture) {
    let uri = format!("file:{}?immutable=1", fixture.path().display());
    let sql = Connection::open(uri).unwrap();
    let blob = |query: &str| sql.query_row(query, [], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let number = |query: &str| sql.query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(number("PRAGMA application_id"), 0x5352_4b53);
    assert_eq!(number("PRAGMA user_version"), 1);
    let token = blob("SELECT token FROM header");
    assert_eq!(token[..8], [0xf1, 0xc5, 0, 0, 0, 0, 0, fixture.format]);
    let format = u32::from(fixture.format);
    assert_eq!(number("SELECT format FROM header"), u64::from(format));

    // The seal.
    let seal = hmac_of(b"strongroom seal 1", &[SEAL_KEY]);
    let column = blob("SELECT seal FROM header");
    assert_eq!(column, [&[1], &expand(&seal, &[b"name"])[..16]].concat());

    // The header.
    let version = number("SELECT version FROM header").to_le_bytes();
    let context = [token.as_slice(), &format.to_le_bytes(), &version, &column].concat();
    let key = expand(&seal, &[b"header", &token]);
    let head = open(&key, "header", &context, &blob("SELECT sealed FROM header"));
    let policy: &[u8] = if format == 1 { &[] } else { &[1] };
    assert_eq!((head.len(), &head[144..]), (144 + policy.len(), policy));
    assert_eq!((&head[..32], &head[32..48]), (&fixture.label[..], &fixture.serial[..]));
    assert_eq!((&head[48..52], &head[52..56]), (&[1, 0, 0, 0][..], &[1, 0, 0, 0][..]));

    // The user's slot, and the master key in it.
    let slot = blob("SELECT sealed FROM slot WHERE role=1");
    assert_eq!(slot[slot.len() - 16..], head[88..104]);
    let place = [token.as_slice(), &[1], &1_u64.to_le_bytes()].concat();
    let inner = open(&expand(&seal, &[b"wrap", &token]), "slot", &place, &slot);
    let (parameters, commitment, wrapped) = (&inner[..29], &inner[29..61], &inner[61..]);
    assert_eq!(parameters[..13], [1, 0, 0x4c, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    let mut stretched = [0; 32];
    let params = argon2::Params::new(19_456, 2, 1, Some(32)).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(USER_PIN, &parameters[13..], &mut stretched)
        .unwrap();
    let pin = hmac_of(b"strongroom pin 1", &[&stretched]);
    let place = [place.as_slice(), &1_u32.to_le_bytes()].concat();
    let key = expand(&pin, &[b"commitment", &token, &[1], parameters]);
    assert_eq!(hmac_of(&key, &[parameters, &place, wrapped]), commitment);
    let key = expand(&pin, &[b"wrap", &token, &[1], parameters]);
    let master = open(&key, "master", &place, wrapped);
    let prk = hmac_of(b"strongroom master 1", &[&master]);
    assert_eq!(expand(&prk, &[b"name", &token])[..16], head[56..72]);

    // The counter of wrong PINs.
    let fails = u32::try_from(number("SELECT fails FROM slot WHERE role=1")).unwrap();
    let next = number("SELECT next FROM slot WHERE role=1").to_le_bytes();
    let parts: [&[u8]; 5] = [&token, &[1], &1_u64.to_le_bytes(), &fails.to_le_bytes(), &next];
    let mac = hmac_of(&expand(&seal, &[b"meta", &token]), &parts);
    assert_eq!((fails, &mac[..16]), (1, &*blob("SELECT mac FROM slot WHERE role=1")));

    // A private and a public object, and a search tag of each.
    let epoch = 1_u32.to_le_bytes();
    let public = expand(&seal, &[b"public", &token]);
    for (base, number, private, body) in
        [(&master, 1, 1, "a private object"), (&public, 2, 0, "a public object")]
    {
        let prk = hmac_of(b"strongroom objects 1", &[base]);
        let key = expand(&prk, &[b"object", &token, &epoch]);
        let context =
            [token.as_slice(), &id(number), &1_u64.to_le_bytes(), &epoch, &[private]].concat();
        let sealed = blob(&format!("SELECT sealed FROM object WHERE oid=x'{number:032x}'"));
        assert_eq!(open(&key, "object", &context, &sealed), body.as_bytes());
        let index = expand(&prk, &[b"index", &token, &epoch]);
        let term = [&[1], &NAME.to_le_bytes()[..], &6_u32.to_le_bytes(), b"a name"];
        for tag in [hmac_of(&index, &term), hmac_of(&index, &[&[0]])] {
            let hex: String = tag[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            let query =
                format!("SELECT count(*) FROM tag WHERE tag=x'{hex}' AND oid=x'{number:032x}'");
            let found: u64 = sql.query_row(&query, [], |row| row.get(0)).unwrap();
            assert_eq!(found, 1);
        }
    }
    set_hash(&sql, &expand(&seal, &[b"set", &token]), &token, &head);
}

/// The sum over all objects, byte by byte.
fn set_hash(sql: &Connection, key: &[u8], token: &[u8], head: &[u8]) {
    let mut sum = [0_u8; 32];
    let mut statement =
        sql.prepare("SELECT oid, revision, private, substr(sealed, -16) FROM object").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0_u64;
    while let Some(row) = rows.next().unwrap() {
        let (oid, tag): (Vec<u8>, Vec<u8>) = (row.get(0).unwrap(), row.get(3).unwrap());
        let (revision, private): (u64, u8) = (row.get(1).unwrap(), row.get(2).unwrap());
        let mut tags = sql.prepare("SELECT tag FROM tag WHERE oid=?1 ORDER BY tag").unwrap();
        let tags: Vec<Vec<u8>> =
            tags.query_map([&oid], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let number = u32::try_from(tags.len()).unwrap().to_le_bytes();
        let revision = revision.to_le_bytes();
        let parts: [&[u8]; 7] = [token, &oid, &revision, &[private], &tag, &number, &tags.concat()];
        let mut carry = 0_u16;
        for (place, term) in sum.iter_mut().zip(hmac_of(key, &parts)) {
            carry += u16::from(*place) + u16::from(term);
            *place = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        count += 1;
    }
    assert_eq!(count.to_le_bytes(), head[104..112]);
    assert_eq!(sum, head[112..144]);
}
