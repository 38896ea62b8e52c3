//! Damage to one byte, or a file that was cut: what can be read is right, or the error names the file
//! and the remedy. Nothing is lost in silence, and nothing crashes.
//!
//! Every byte, where `STRONGROOM_TESTS_LONG` says that this may take some minutes; else some of each file.

use std::{
    fs::{self, DirEntry},
    io,
    num::NonZero,
    thread,
};

use crate::common::{LABEL, Place, SO_PIN, USER_PIN, create, first, id, long, term};
use rusqlite::{Connection, types::Value};
use strongroom_keystore::{
    Config, Error, Locks, Opener, Role, Store, Token, Unlocked, config::Seal,
};

/// In every file so many bytes are damaged at least, if it has as many.
const FEW: usize = 64;
/// Where every byte is, somebody logs in at one in so many.
const LOGINS: usize = 100;

/// A file that is damaged in each place, and then cut there.
fn damaged(bytes: &[u8], at: usize) -> [Vec<u8>; 2] {
    let mut one = bytes.to_vec();
    one[at] ^= [1, 2, 4, 8, 16, 32, 64, 128, 255][at % 9];
    [one, bytes[..at].to_vec()]
}

/// A store as a machine leaves it that stops: with commits in its log, and nobody at work.
fn stopped() -> Place {
    let place = Place::new();
    let (_store, token, user) = place.token();
    for number in 1..=3 {
        token.commit(Some(&user), &[create(number, true, b"private", &term(b"x"))]).unwrap();
    }
    token.commit(None, &[create(4, false, b"public", &term(b"x"))]).unwrap();
    copy(&place)
}

/// The same files in another place.
fn copy(place: &Place) -> Place {
    let copied = Place::new();
    for dir in DIRS {
        fs::create_dir(copied.path(dir)).unwrap();
        for entry in fs::read_dir(place.path(dir)).unwrap() {
            let from = entry.unwrap().path();
            // The index is of those who are at work.
            if !from.to_str().unwrap().ends_with("-shm") {
                fs::copy(&from, copied.path(dir).join(from.file_name().unwrap())).unwrap();
            }
        }
    }
    copied
}

/// What is known of a store before it is damaged.
struct Known {
    files: Vec<File>,
    slots: Vec<Vec<Value>>,
    user: Unlocked,
}

impl Known {
    /// Of a store that stays as it is.
    fn of(place: &Place) -> Self {
        let place = copy(place);
        let files = files(&place);
        let token = first(&place.store());
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        Self { files, slots: slots(&place, &token).unwrap(), user }
    }
}

/// What the rows of both PINs say.
fn slots(place: &Place, token: &Token) -> rusqlite::Result<Vec<Vec<Value>>> {
    let sql = Connection::open(place.database(token))?;
    let mut slots = sql.prepare("SELECT * FROM slot ORDER BY role")?;
    let columns = slots.column_count();
    let rows = slots.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    rows.collect()
}

/// Reads everything: whether it is what it should be.
///
/// A login takes longer than all the rest, and gives the same keys while the slots are as they were. So who
/// has them from before needs one only if something is not as it should be: it is the login that says so.
fn read(place: &Place, known: Option<&Known>) -> Result<bool, Error> {
    let store = Store::open(&place.config())?;
    let tokens = store.tokens()?;
    let [token] = tokens.as_slice() else { return Ok(false) };
    let status = token.status()?;
    let is = |known: &&Known| slots(place, token).is_ok_and(|slots| slots == known.slots);
    if let Some(known) = known.filter(is)
        && status.label == LABEL
        && is_right(token, &known.user)?
    {
        return Ok(true);
    }
    let user = token.unlock(Role::User, USER_PIN)?;
    Ok(status.label == LABEL && is_right(token, &user)?)
}

/// Whether each object is there, and found.
fn is_right(token: &Token, user: &Unlocked) -> Result<bool, Error> {
    let found = token.find(Some(user), None, &term(b"x"), None, 9)?;
    let mut bodies = Vec::new();
    for found in &found {
        bodies.push(token.load(Some(user), found.id)?.body);
    }
    let right = [b"public".as_slice(), b"private", b"private", b"private"];
    let ids = found.iter().map(|found| found.id).eq([4, 1, 2, 3].map(id));
    let bodies = bodies.iter().map(|body| body.as_slice()).eq(right);
    Ok(ids && bodies)
}

/// Where a store is.
const DIRS: [&str; 2] = ["store", "seal"];

/// A file of a store, its seal key among them: what it is called, and what is in it.
type File = (String, Vec<u8>);

fn files(place: &Place) -> Vec<File> {
    let entries = |dir| fs::read_dir(place.path(dir)).unwrap().map(move |entry| (dir, entry));
    let file = |(dir, entry): (&str, io::Result<DirEntry>)| {
        let entry = entry.unwrap();
        let name = format!("{dir}/{}", entry.file_name().to_str().unwrap());
        (name, fs::read(entry.path()).unwrap())
    };
    DIRS.into_iter().flat_map(entries).map(file).collect()
}

/// As it was, and nothing besides.
fn put_back(place: &Place, kept: &[File]) {
    let found = files(place);
    for (name, _) in &found {
        if kept.iter().all(|(known, _)| known != name) {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
    for (name, bytes) in kept.iter().filter(|file| !found.contains(file)) {
        fs::write(place.path(name), bytes).unwrap();
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

/// Which bytes of which files are damaged.
fn places(files: &[File]) -> Vec<(usize, usize)> {
    let all: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let step = if long() { 1 } else { all / 100 };
    let of = |(file, (_, bytes)): (usize, &File)| {
        let step = step.min(bytes.len() / FEW) | 1;
        (0..bytes.len()).step_by(step).map(move |at| (file, at)).collect::<Vec<_>>()
    };
    files.iter().enumerate().flat_map(of).collect()
}

/// Damages these bytes one after the other, and cuts the file there; says how often there was an error.
fn damage(place: &Place, known: &Known, places: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut errors = 0;
    for (file, at) in places {
        let (name, bytes) = &known.files[file];
        for (how, bytes) in ["damaged", "cut"].iter().zip(damaged(bytes, at)) {
            fs::write(place.path(name), bytes).unwrap();
            let what = format!("{name} {how} at {at}");
            match read(place, Some(known).filter(|_| long() && at % LOGINS > 0)) {
                Ok(right) => assert!(right, "{what}: something else was read"),
                Err(error) => {
                    errors += 1;
                    assert_helps(&error, place, &what);
                }
            }
            put_back(place, &known.files);
        }
    }
    errors
}

#[test]
fn a_damaged_store_is_right_or_says_so() {
    let place = stopped();
    let known = Known::of(&place);
    let places = places(&known.files);
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let errors: usize = thread::scope(|scope| {
        let work = |worker| {
            let (place, known, places) = (copy(&place), &known, &places);
            let mine = places.iter().copied().skip(worker).step_by(workers);
            scope.spawn(move || damage(&place, known, mine))
        };
        let workers: Vec<_> = (0..workers).map(work).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(errors > 0);
    for known in [Some(&known), None] {
        assert!(read(&place, known).unwrap());
    }
}

/// Without the keys of the private objects their bodies are not looked into; all else is.
#[test]
fn a_damaged_backup_is_refused_or_opens() {
    let place = stopped();
    let backup = place.path("backup.db");
    let store = place.store();
    store.backup(&first(&store), &backup).unwrap();
    let whole = fs::read(&backup).unwrap();
    let (mut refused, mut private) = (0, 0);
    for at in (0..whole.len()).step_by(if long() { 7 } else { (whole.len() / 30) | 1 }) {
        for bytes in damaged(&whole, at) {
            fs::write(&backup, bytes).unwrap();
            let Ok(token) = store.restore(&backup, true) else {
                refused += 1;
                assert!(read(&place, None).unwrap_or(private > 0), "{at}");
                continue;
            };
            token.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
            let user = token.unlock(Role::User, USER_PIN).unwrap();
            match is_right(&token, &user) {
                Ok(right) => assert!(right, "{at}: something else was restored"),
                Err(Error::Corrupt(_)) => private += 1,
                Err(error) => panic!("{at}: {error}"),
            }
        }
    }
    assert!(refused > 0, "{refused}, {private}");
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
