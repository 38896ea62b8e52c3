//! What SoftHSM2 left on disk: tokens of its file and database back ends, as 2.6 and 2.7 write
//! them.
//!
//! Reads only, and trusts nothing: whoever can write there can write anything, because SoftHSM2
//! authenticates none of it. `stored` takes bytes apart, `database` reads rows, `master` opens
//! what a PIN protects. What the objects mean is for the token crate to check.

mod database;
mod master;
mod stored;

use std::fs;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use strongroom_types::{Attributes, Bytes, Value, attribute, ck};
use zeroize::Zeroizing;

use crate::errors::{Failure, Result};
use crate::exit::Exit;

pub(crate) use master::Master;

/// Attributes of the object that stands for the token (`CKA_VENDOR_SOFTHSM` and on).
const LABEL: u64 = 0x8000_5349;
const SERIAL: u64 = 0x8000_534A;
const SO_BLOB: u64 = 0x8000_534C;
const USER_BLOB: u64 = 0x8000_534D;

/// The file of a token in the file back end, and the database of the other.
const TOKEN_FILE: &str = "token.object";
const DATABASE: &str = "sqlite3.db";

/// No object is longer; a longer file is none of SoftHSM2's.
const LONGEST: u64 = 64 << 20;

/// A token on disk.
pub(crate) struct Token {
    /// Without the padding.
    pub(crate) label: String,
    /// Sixteen hexadecimal digits.
    pub(crate) serial: String,
    so: Bytes,
    user: Bytes,
    /// In the order of their names.
    pub(crate) objects: Vec<Object>,
}

/// An object on disk.
pub(crate) struct Object {
    /// Its file, or its number in the database, for reports.
    pub(crate) name: String,
    /// The identifier that it has here, always the same one.
    pub(crate) id: [u8; 16],
    /// Its attributes as they are stored, or why they cannot be read.
    stored: std::result::Result<Attributes, String>,
}

/// The tokens of a directory, which may also be the directory of one token; in the order of their
/// serial numbers. One that cannot be read is a failure among them.
pub(crate) fn tokens(dir: &Path) -> Result<Vec<Result<Token>>> {
    if let Some(read) = reader(dir) {
        return Ok(vec![read(dir)]);
    }
    let unreadable = |error: &std::io::Error| Failure::file("list", dir, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(&error))? {
        found.push(entry.map_err(|error| unreadable(&error))?.path());
    }
    found.sort();
    let mut tokens: Vec<_> = found.iter().filter_map(|path| Some(reader(path)?(path))).collect();
    if tokens.is_empty() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no token of SoftHSM2 in {}", dir.display()),
        )
        .help("name the directory that softhsm2.conf calls directories.tokendir"));
    }
    tokens.sort_by_key(|token| token.as_ref().ok().map(|token| token.serial.clone()));
    Ok(tokens)
}

/// What reads the token in a directory, if there is one.
fn reader(dir: &Path) -> Option<fn(&Path) -> Result<Token>> {
    if dir.join(TOKEN_FILE).is_file() {
        return Some(of_files);
    }
    dir.join(DATABASE).is_file().then_some(of_database)
}

/// The file back end: one file for the token, and one for each object.
fn of_files(dir: &Path) -> Result<Token> {
    let about = dir.join(TOKEN_FILE);
    let head = read(&about).and_then(|bytes| Ok(stored::file(&bytes)?));
    let head = head.map_err(|error| unreadable(&about, &error))?;
    let mut names = Vec::new();
    let listed = fs::read_dir(dir).map_err(|error| Failure::file("list", dir, &error))?;
    for entry in listed {
        let path = entry.map_err(|error| Failure::file("list", dir, &error))?.path();
        let is_object = path.extension().is_some_and(|extension| extension == "object");
        if is_object && path != about {
            names.push(path);
        }
    }
    names.sort();
    let objects = names.into_iter().map(|path| Object::of_file(&path)).collect();
    Token::new(&about, &head, objects)
}

/// The database back end: all in one file.
fn of_database(dir: &Path) -> Result<Token> {
    let path = dir.join(DATABASE);
    let mut rows =
        database::objects(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
    let head = rows.remove(&database::TOKEN).unwrap_or_else(|| Err(String::from("no token")));
    let head = head.map_err(|error| unreadable(&path, &error))?;
    let serial = text(&head, SERIAL).unwrap_or_default();
    let objects = rows
        .into_iter()
        .map(|(number, stored)| {
            let id = identifier(&format!("{serial} {number}"));
            Object { name: format!("object {number}"), id, stored }
        })
        .collect();
    Token::new(&path, &head, objects)
}

impl Token {
    fn new(path: &Path, head: &Attributes, objects: Vec<Object>) -> Result<Self> {
        let (Some(label), Some(serial)) = (text(head, LABEL), text(head, SERIAL)) else {
            return Err(unreadable(path, "it has no label or no serial number"));
        };
        Ok(Self { label, serial, so: bytes(head, SO_BLOB), user: bytes(head, USER_BLOB), objects })
    }

    /// Whether the user has a PIN.
    pub(crate) fn has_user_pin(&self) -> bool {
        !self.user.is_empty()
    }

    /// The master key, by the PIN of the security officer; `None` if the PIN is wrong.
    pub(crate) fn open_as_so(&self, pin: &str) -> Option<Master> {
        Master::open(&self.so, pin.as_bytes())
    }

    /// The master key, by the PIN of the user; `None` if the PIN is wrong.
    pub(crate) fn open_as_user(&self, pin: &str) -> Option<Master> {
        Master::open(&self.user, pin.as_bytes())
    }

    /// One line that tells tokens apart.
    pub(crate) fn line(&self) -> String {
        format!("{} (serial {})", crate::table::visible(&self.label), self.serial)
    }
}

impl Object {
    fn of_file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stored = read(path).and_then(|bytes| Ok(stored::file(&bytes)?));
        Self { name, id: uuid(&stem).unwrap_or_else(|| identifier(&stem)), stored }
    }

    /// Its attributes in the clear.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub(crate) fn open(&self, master: &Master) -> std::result::Result<Attributes, String> {
        let stored = self.stored.as_ref().map_err(Clone::clone)?;
        // As SoftHSM2 reads an object that does not say.
        let private = stored.get(attribute::PRIVATE).unwrap_or(true);
        let mut open = Attributes::default();
        for (id, value) in stored.iter() {
            let value = match value {
                Value::Bytes(bytes) if private && !bytes.is_empty() && !is_date(id, bytes) => {
                    Value::Bytes(master.decrypt(bytes).ok_or_else(|| {
                        let name = strongroom_types::AttributeInfo::find(id)
                            .map_or_else(|| format!("{id:#x}"), |info| info.name.to_owned());
                        format!("{name} cannot be decrypted; the file is damaged")
                    })?)
                }
                // An empty list restricts nothing there; here it would allow nothing.
                Value::Ulongs(list) if list.is_empty() => continue,
                value => value.clone(),
            };
            open.put(id, value);
        }
        open.set(attribute::PRIVATE, private);
        Ok(open)
    }

    /// Its class, which is never encrypted; `None` if it cannot be read.
    pub(crate) fn class(&self) -> Option<u64> {
        self.stored.as_ref().ok()?.get(attribute::CLASS)
    }
}

/// The other type under which SoftHSM2 keeps keys of X25519 and X448: that of Edwards curves. Here
/// they have their own, as the standard says.
pub(crate) fn with_other_type(attributes: &Attributes) -> Option<Attributes> {
    if attributes.get(attribute::KEY_TYPE) != Some(ck!(CKK_EC_EDWARDS)) {
        return None;
    }
    let mut other = attributes.clone();
    other.set(attribute::KEY_TYPE, ck!(CKK_EC_MONTGOMERY));
    Some(other)
}

/// Dates are in the clear even in private objects.
fn is_date(id: u64, value: &[u8]) -> bool {
    let dates = [attribute::START_DATE.info.id, attribute::END_DATE.info.id];
    dates.contains(&id) && value.len() == 8
}

fn bytes(head: &Attributes, id: u64) -> Bytes {
    match head.value(id) {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        _ => Bytes::default(),
    }
}

fn text(head: &Attributes, id: u64) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes(head, id)).trim_end_matches([' ', '\0']).to_owned();
    (!text.is_empty() || id == LABEL).then_some(text)
}

/// The sixteen bytes of a UUID.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let mut id = [0; 16];
    hex::decode_to_slice(digits, &mut id).ok().map(|()| id)
}

/// An identifier that follows from a name.
fn identifier(name: &str) -> [u8; 16] {
    let digest = digest(&SHA256, format!("SoftHSM2 {name}").as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn read(path: &Path) -> std::result::Result<Bytes, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match u64::try_from(bytes.len()) {
        Ok(len) if len <= LONGEST => Ok(bytes),
        _ => Err(String::from("it is too long for an object of SoftHSM2")),
    }
}

fn unreadable(path: &Path, cause: &str) -> Failure {
    Failure::content(format!("cannot read the token in {}", path.display()), cause)
        .help("the other tokens can be imported alone, with --token LABEL or --token SERIAL")
}
