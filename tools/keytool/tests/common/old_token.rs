//! Tokens as SoftHSM2 leaves them on disk, written from nothing: those of versions that Debian does
//! not have, and of the database back end, without which it builds SoftHSM2.

use std::fs;
use std::path::Path;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::types::Value as Column;
use strongroom_types::{Attributes, Value, attribute};

/// The attributes of the object that stands for the token.
const LABEL: u64 = 0x8000_5349;
const SERIAL: u64 = 0x8000_534a;
const FLAGS: u64 = 0x8000_534b;
const SO_BLOB: u64 = 0x8000_534c;
const USER_BLOB: u64 = 0x8000_534d;

/// The key that private objects are encrypted with.
const MASTER: [u8; 32] = [0x4d; 32];

/// The object that stands for a token with these PINs.
pub(crate) fn token(label: &str, serial: &str, so_pin: &str, user_pin: &str) -> Attributes {
    let mut token = Attributes::default();
    token.put(LABEL, Value::from(format!("{label:<32}").as_bytes()));
    token.put(SERIAL, Value::from(serial.as_bytes()));
    // CKF_RNG, CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_RESTORE_KEY_NOT_NEEDED,
    // CKF_TOKEN_INITIALIZED.
    token.put(FLAGS, Value::Ulong(0x42d));
    token.put(SO_BLOB, Value::from(blob(so_pin, b"so  salt").as_slice()));
    token.put(USER_BLOB, Value::from(blob(user_pin, b"usersalt").as_slice()));
    token
}

/// The master key under a PIN.
fn blob(pin: &str, salt: &[u8; 8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(digest(&SHA256, bytes).as_ref()).unwrap();
    let first = hash(&[&salt[..], pin.as_bytes()].concat());
    let key = (1..1500 + u32::from(salt[7])).fold(first, |key, _| hash(&key));
    [&salt[..], &encrypt(&key, &[&b"RJR"[..], &MASTER].concat())].concat()
}

fn encrypt(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let key = UnboundCipherKey::new(&AES_256, key).unwrap();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
    let mut bytes = plain.to_vec();
    let DecryptionContext::Iv128(iv) = key.encrypt(&mut bytes).unwrap() else {
        unreachable!("CBC has an initialization vector")
    };
    [&iv.as_ref()[..], &bytes].concat()
}

/// An object as it is stored: the strings of a private one are encrypted, but not those inside its
/// templates.
pub(crate) fn sealed(object: &Attributes) -> Attributes {
    if !object.is(attribute::PRIVATE) {
        return object.clone();
    }
    let mut sealed = Attributes::default();
    for (id, value) in object.iter() {
        let value = match value {
            Value::Bytes(bytes) if !bytes.is_empty() => {
                Value::from(encrypt(&MASTER, bytes).as_slice())
            }
            value => value.clone(),
        };
        sealed.put(id, value);
    }
    sealed
}

/// Writes a token of the file back end into a directory.
pub(crate) fn write_files(dir: &Path, token: &Attributes, objects: &[Attributes]) {
    fs::create_dir_all(dir).unwrap();
    let write = |name: &str, object: &Attributes| {
        fs::write(dir.join(name), [&1_u64.to_be_bytes()[..], &file(object)].concat()).unwrap();
    };
    write("token.object", token);
    for (number, object) in objects.iter().enumerate() {
        write(&format!("00000000-0000-4000-8000-{number:012x}.object"), object);
    }
}

/// Attributes as a file has them.
fn file(object: &Attributes) -> Vec<u8> {
    let number = |value: usize| u64::try_from(value).unwrap().to_be_bytes();
    let mut out = Vec::new();
    for (id, value) in object.iter() {
        let (kind, bytes) = match value {
            Value::Bool(value) => (1, vec![if *value { 0xff } else { 0 }]),
            Value::Ulong(value) => (2, value.to_be_bytes().to_vec()),
            Value::Bytes(bytes) => (3, [&number(bytes.len())[..], bytes].concat()),
            Value::Attributes(inner) => {
                let inner = file(inner);
                (4, [&number(inner.len())[..], &inner].concat())
            }
            Value::Ulongs(list) => {
                let each = list.iter().flat_map(|one| one.to_be_bytes());
                (5, number(list.len()).into_iter().chain(each).collect())
            }
        };
        out.extend(id.to_be_bytes());
        out.extend(u64::to_be_bytes(kind));
        out.extend(bytes);
    }
    out
}

/// Writes a token of the database back end into a directory.
pub(crate) fn write_database(dir: &Path, token: &Attributes, objects: &[Attributes]) {
    fs::create_dir_all(dir).unwrap();
    let database = rusqlite::Connection::open(dir.join("sqlite3.db")).unwrap();
    let mut schema = String::from("CREATE TABLE object (id INTEGER PRIMARY KEY AUTOINCREMENT);");
    for (kind, sql) in [
        ("text", "TEXT"),
        ("integer", "INTEGER"),
        ("binary", "BLOB"),
        ("array", "BLOB"),
        ("boolean", "BOOLEAN"),
        ("datetime", "DATETIME"),
        ("real", "REAL"),
    ] {
        schema.push_str(&format!(
            "CREATE TABLE attribute_{kind} (value {sql}, type INTEGER, object_id INTEGER \
             REFERENCES object(id) ON DELETE CASCADE, id INTEGER PRIMARY KEY AUTOINCREMENT);"
        ));
    }
    database.execute_batch(&schema).unwrap();
    for object in std::iter::once(token).chain(objects) {
        database.execute("INSERT INTO object DEFAULT VALUES", ()).unwrap();
        let number = database.last_insert_rowid();
        for (id, value) in object.iter() {
            let (table, value): (_, Column) = match value {
                Value::Bool(value) => ("boolean", i64::from(*value).into()),
                Value::Ulong(value) => ("integer", value.cast_signed().into()),
                Value::Bytes(value) => ("binary", value.to_vec().into()),
                Value::Ulongs(list) => ("binary", mechanisms(list).into()),
                Value::Attributes(inner) => ("array", template(inner).into()),
            };
            let sql =
                format!("INSERT INTO attribute_{table} (value, type, object_id) VALUES (?, ?, ?)");
            database.execute(&sql, (value, id.cast_signed(), number)).unwrap();
        }
    }
}

/// A list of mechanisms as a row has it.
fn mechanisms(list: &[u64]) -> Vec<u8> {
    list.iter().flat_map(|one| one.to_ne_bytes()).collect()
}

/// A template as a row has it.
fn template(inner: &Attributes) -> Vec<u8> {
    let len = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap().to_ne_bytes();
    let mut out = Vec::new();
    for (id, value) in inner.iter() {
        let (kind, bytes) = match value {
            Value::Bool(value) => (1, vec![u8::from(*value)]),
            Value::Ulong(value) => (2, value.to_ne_bytes().to_vec()),
            Value::Bytes(bytes) => (3, [&len(bytes)[..], bytes].concat()),
            Value::Ulongs(list) => {
                let list = mechanisms(list);
                (5, [&len(&list)[..], &list].concat())
            }
            Value::Attributes(_) => unreachable!("a template has no templates"),
        };
        out.extend(id.to_ne_bytes());
        out.extend(u32::to_ne_bytes(kind));
        out.extend(bytes);
    }
    out
}
