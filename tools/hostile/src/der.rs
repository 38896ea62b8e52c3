//! DER: what unwrapping and importing make of PKCS#8 and public keys, and what a token makes of the
//! numbers that come as DER in attributes. What is read can be written, and is read again.

use strongroom_keytool::foreign::{Found, key_file};
use strongroom_mechanisms::{KEY_TYPES, Key, KeyTypeRow};
use strongroom_types::{Attributes, Class, attribute};

/// The attributes that are DER.
const DER: [strongroom_types::Attribute<attribute::kind::Bytes>; 3] =
    [attribute::EC_PARAMS, attribute::EC_POINT, attribute::PUBLIC_KEY_INFO];

/// A key file, a wrapped key, and attributes of these bytes.
pub(crate) fn run(data: &[u8]) {
    file(data);
    for row in KEY_TYPES {
        wrapped(row, data);
        attributes(row, data);
    }
}

/// What a key file tells of public keys can be read as a key file.
fn file(data: &[u8]) {
    for found in key_file(data, "password").unwrap_or_default() {
        match found {
            Found::Private(spki) | Found::Public(spki) => {
                assert!(key_file(&spki, "") == Some(vec![Found::Public(spki)]));
            }
            Found::Certificate(der) => {
                assert!(key_file(&der, "") == Some(vec![Found::Certificate(der)]));
            }
        }
    }
}

/// A private key that was wrapped.
fn wrapped(row: &KeyTypeRow, data: &[u8]) {
    let (Some(read), Some(write)) = (row.from_pkcs8, row.to_pkcs8) else { return };
    let mut key = Attributes::default();
    key.set(attribute::CLASS, Class::PRIVATE_KEY.0);
    key.set(attribute::KEY_TYPE, row.id.0);
    if read(data, &mut key).is_err() || (row.complete)(&mut key).is_err() {
        return;
    }
    // What is complete is what it was, if it is completed again.
    let mut again = key.clone();
    assert!((row.complete)(&mut again).is_ok() && again == key, "{}", row.name);
    let _ = Key::parse(&key);
    let Ok(written) = write(&key) else { return };
    let mut read_again = Attributes::default();
    read_again.set(attribute::CLASS, Class::PRIVATE_KEY.0);
    read_again.set(attribute::KEY_TYPE, row.id.0);
    assert!(read(&written, &mut read_again).is_ok(), "{}", row.name);
    assert!((row.complete)(&mut read_again).is_ok(), "{}", row.name);
    let rewritten = write(&read_again).expect("what was written once");
    assert_eq!(rewritten[..], written[..], "{}", row.name);
}

/// Public keys whose attributes have any bytes where there should be DER.
fn attributes(row: &KeyTypeRow, data: &[u8]) {
    if row.public.is_none() {
        return;
    }
    let (first, second) = data.split_at(data.first().map_or(0, |at| usize::from(*at) % data.len()));
    for (one, other) in [(DER[0], DER[1]), (DER[2], DER[2])] {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, Class::PUBLIC_KEY.0);
        key.set(attribute::KEY_TYPE, row.id.0);
        key.set(one, first.get(1..).unwrap_or_default());
        key.set(other, second);
        if (row.complete)(&mut key).is_ok() {
            assert!(Attributes::decode(&key.encode()).is_some_and(|stored| stored == key));
            let _ = Key::parse(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/der");
        let files =
            fs::read_dir(kept).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        assert!(files.filter(|bytes| key_file(bytes, "password").is_some()).count() > 15);
    }
}
