//! Damage to one byte, or a file that was cut: what can be read is right, or the error names the file
//! and the remedy. Nothing is lost in silence, and nothing crashes.
//!
//! Every byte, where `STRONGROOM_TESTS_LONG` says that this may take an hour; else some of each file.

use std::{env, fs, path::PathBuf};

use crate::common::{LABEL, Place, SO_PIN, USER_PIN, create, first, id, term};
use strongroom_keystore::{Config, Error, Locks, Opener, Role, Store, config::Seal};

/// Of so many bytes, how far it is to the next one that is damaged.
fn step(all: usize) -> usize {
    if env::var_os("STRONGROOM_TESTS_LONG").is_some() { 1 } else { (all / 100) | 1 }
}

/// A file that is damaged in each place, and then cut there.
fn damaged(bytes: &[u8], at: usize) -> [Vec<u8>; 2] {
    let mut one = bytes.to_vec();
    one[at] ^= [1, 2, 4, 8, 16, 32, 64, 128, 255][at % 9];
    [one, bytes[..at].to_vec()]
}

/// A store as a machine leaves it that stops: with commits in its log, and nobody at work.
fn stopped() -> Place {
    let (place, left) = (Place::new(), Place::new());
    let (_store, token, user) = place.token();
    for number in 1..=3 {
        token.commit(Some(&user), &[create(number, true, b"private", &term(b"x"))]).unwrap();
    }
    token.commit(None, &[create(4, false, b"public", &term(b"x"))]).unwrap();
    for dir in ["store", "seal"] {
        fs::create_dir(left.path(dir)).unwrap();
        for entry in fs::read_dir(place.path(dir)).unwrap() {
            let from = entry.unwrap().path();
            // The index is of those who are at work.
            if !from.to_str().unwrap().ends_with("-shm") {
                fs::copy(&from, left.path(dir).join(from.file_name().unwrap())).unwrap();
            }
        }
    }
    left
}

/// Reads everything: whether it is what it should be.
fn read(place: &Place) -> Result<bool, Error> {
    let store = Store::open(&place.config())?;
    let tokens = store.tokens()?;
    let [token] = tokens.as_slice() else { return Ok(false) };
    let status = token.status()?;
    let user = token.unlock(Role::User, USER_PIN)?;
    let found = token.find(Some(&user), None, &term(b"x"), None, 9)?;
    let mut bodies = Vec::new();
    for found in &found {
        bodies.push(token.load(Some(&user), found.id)?.body);
    }
    let right = [b"public".as_slice(), b"private", b"private", b"private"];
    let ids = found.iter().map(|found| found.id).eq([4, 1, 2, 3].map(id));
    let bodies = bodies.iter().map(|body| body.as_slice()).eq(right);
    Ok(status.label == LABEL && ids && bodies)
}

/// The files of a store and their content, its seal key among them.
fn files(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = ["store", "seal"].map(|dir| fs::read_dir(place.path(dir)).unwrap());
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// As it was, and nothing besides.
fn put_back(place: &Place, kept: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in files(place) {
        if kept.iter().all(|(known, _)| *known != path) {
            fs::remove_file(path).unwrap();
        }
    }
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
}

/// An error that somebody can do something with.
fn assert_helps(error: &Error, place: &Place, at: &str) {
    let text = error.to_string();
    let names = text.contains(place.path("").to_str().unwrap().trim_end_matches('/'));
    let remedy = ["run `strongroom check`", "restore", "name the right one", "install the version"];
    let remedied = remedy.iter().any(|remedy| text.contains(remedy));
    // Of a token of the future nothing else is known.
    let named = names || matches!(error, Error::TooNew { .. });
    assert!(named && remedied, "{at}: {text}");
}

#[test]
fn a_damaged_store_is_right_or_says_so() {
    let place = stopped();
    let kept = files(&place);
    assert!(read(&place).unwrap());
    put_back(&place, &kept);
    let all: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
    let step = step(all);
    let mut errors = 0;
    let mut passed = 0;
    for (path, bytes) in &kept {
        // Short files are damaged in every byte.
        let step = if bytes.len() < 64 { 1 } else { step };
        for at in (passed % step..bytes.len()).step_by(step) {
            for (how, bytes) in ["damaged", "cut"].iter().zip(damaged(bytes, at)) {
                fs::write(path, bytes).unwrap();
                let at = format!("{} {how} at {at}", path.display());
                match read(&place) {
                    Ok(right) => assert!(right, "{at}: something else was read"),
                    Err(error) => {
                        errors += 1;
                        assert_helps(&error, &place, &at);
                    }
                }
                put_back(&place, &kept);
            }
        }
        passed += bytes.len();
    }
    assert!(errors > 0);
    assert!(read(&place).unwrap());
}

#[test]
fn a_damaged_configuration_is_right_or_says_so() {
    let place = Place::new();
    let path = place.path("strongroom.toml");
    let text = "legacy = true\nso_reset = \"deny\"\n[store]\npath = \"/a/store\"\n\
                [seal]\nfile = \"/a/seal.key\"\n[pin]\nlockout = 10\n";
    fs::write(&path, text).unwrap();
    Config::load(&path).unwrap();
    let mut refused = 0;
    for at in 0..text.len() {
        for bytes in damaged(text.as_bytes(), at) {
            fs::write(&path, bytes).unwrap();
            // What it still says is what it says: a path has no checksum.
            if let Err(error) = Config::load(&path) {
                refused += 1;
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
        }
    }
    assert!(refused > text.len() / 2, "{refused}");
}

#[test]
fn a_damaged_locked_seal_key_is_right_or_says_so() {
    let place = Place::new();
    let path = place.path("seal.locked");
    let opener = Opener::Key(&[7; 32]);
    Locks::of_new("an operator", opener).unwrap().write(&path).unwrap();
    let config =
        Config::plain(place.path("store"), Seal::Operator { locks: path.clone(), key: None });
    let store = Store::open(&config).unwrap();
    store.unseal(opener).unwrap();
    store.create(&LABEL, SO_PIN).unwrap();
    let kept = fs::read(&path).unwrap();
    // The file keeps its mode.
    let put = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
    let unseal = || -> Result<[u8; 32], Error> {
        let store = Store::open(&config)?;
        store.unseal(opener)?;
        Ok(first(&store).status()?.label)
    };
    for at in 0..kept.len() {
        for bytes in damaged(&kept, at) {
            put(&bytes);
            match unseal() {
                Ok(label) => assert_eq!(label, LABEL),
                // A lock that was damaged is like one for another key.
                Err(Error::WrongPin) => {}
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(path.to_str().unwrap()), "{at}: {text}");
                }
            }
        }
    }
    put(&kept);
    assert_eq!(unseal().unwrap(), LABEL);
}
