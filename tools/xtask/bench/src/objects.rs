//! What depends on how many objects a token holds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::token::Token;
use crate::{Result, clock};

/// What is measured, in the order of the table.
pub(crate) const FIGURES: &[Figure] = &[
    Figure { name: CREATE, unit: Unit::PerSecond },
    Figure { name: START, unit: Unit::Milliseconds },
    Figure { name: FIRST, unit: Unit::Milliseconds },
    Figure { name: BY_LABEL, unit: Unit::PerSecond },
    Figure { name: BY_ID, unit: Unit::PerSecond },
    Figure { name: SIGN, unit: Unit::PerSecond },
    Figure { name: MEMORY, unit: Unit::Mebibytes },
    Figure { name: PEAK, unit: Unit::Mebibytes },
];

/// A row of the table.
pub(crate) struct Figure {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// What it is counted in.
    pub(crate) unit: Unit,
}

/// What a figure is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Milliseconds,
    /// Less is better.
    Mebibytes,
}

const CREATE: &str = "Create an object, durably";
const START: &str = "C_Initialize and C_Finalize";
const FIRST: &str = "Start, log in, find a first key";
const BY_LABEL: &str = "Find by label";
const BY_ID: &str = "Find by id";
const SIGN: &str = "Find by label, sign by HMAC";
const MEMORY: &str = "Memory after use (VmRSS)";
const PEAK: &str = "Memory at its peak (VmHWM)";

/// Makes a token with so many keys.
pub(crate) fn fill(path: &Path, objects: u32) -> Result {
    let token = Token::load(path)?;
    token.create()?;
    let session = token.login()?;
    let (seconds, ()) = clock::seconds(|| {
        (0..objects).try_for_each(|number| Ok(session.create_object(&key(number)).map(drop)?))
    })?;
    println!("{CREATE}\t{}", f64::from(objects) / seconds);
    Ok(())
}

/// Uses a token that holds so many keys, in a process that has done nothing yet.
pub(crate) fn measure(path: &Path, objects: u32, time: Duration) -> Result {
    let before = memory("VmRSS")?;
    let (seconds, token) = clock::seconds(|| start(path, objects))?;
    println!("{FIRST}\t{}", seconds * 1e3);

    let mut number = Sequence { next: 0, end: objects };
    let session = token.session()?;
    let labels = |number| [Attribute::Label(label(number))];
    let by_label = clock::rate_here(time, || find(&session, &labels(number.step())).map(drop))?;
    println!("{BY_LABEL}\t{by_label}");
    let ids = |number| [Attribute::Id(id(number))];
    let by_id = clock::rate_here(time, || find(&session, &ids(number.step())).map(drop))?;
    println!("{BY_ID}\t{by_id}");
    let sign = clock::rate_here(time, || {
        let key = find(&session, &labels(number.step()))?;
        Ok(session.sign(&Mechanism::Sha256Hmac, key, &[7; 32]).map(drop)?)
    })?;
    println!("{SIGN}\t{sign}");

    println!("{MEMORY}\t{}", memory("VmRSS")? - before);
    println!("{PEAK}\t{}", memory("VmHWM")? - before);
    drop(session);
    token.finalize()?;
    let starts = clock::rate_here(time, || {
        token.initialize()?;
        token.finalize()
    })?;
    println!("{START}\t{}", 1e3 / starts);
    Ok(())
}

/// From nothing to a key that can be used.
fn start(path: &Path, objects: u32) -> Result<Token> {
    let token = Token::load(path)?;
    let session = token.login()?;
    find(&session, &[Attribute::Label(label(objects / 2))])?;
    // The login lasts as long as a session does, and this process has one to its end.
    std::mem::forget(session);
    Ok(token)
}

fn find(session: &Session, template: &[Attribute]) -> Result<ObjectHandle> {
    let found = session.find_objects(template)?;
    match found.as_slice() {
        [object] => Ok(*object),
        others => Err(format!("{} objects were found instead of one", others.len()).into()),
    }
}

fn key(number: u32) -> [Attribute; 9] {
    let mut value = [7; 32];
    value[..4].copy_from_slice(&number.to_be_bytes());
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::Label(label(number)),
        Attribute::Id(id(number)),
        Attribute::Value(value.to_vec()),
    ]
}

fn label(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn id(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Numbers of objects that jump about, and meet every object in time.
struct Sequence {
    next: u32,
    end: u32,
}

impl Sequence {
    fn step(&mut self) -> u32 {
        /// A prime, and so coprime to every number of objects that is measured.
        const STRIDE: u32 = 7919;
        self.next = (self.next + STRIDE) % self.end;
        self.next
    }
}

/// A line of what the kernel says of this process, in mebibytes.
fn memory(line: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kibibytes = found.ok_or("the kernel does not say how much memory is used")?;
    Ok(kibibytes.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
