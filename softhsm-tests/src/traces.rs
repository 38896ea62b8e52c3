//! What is left of a secret in the memory of a process, ours or another's.
//!
//! A secret is kept under a mask and nowhere else, so who looks for it does not find himself. What is
//! looked for is each word of its bytes by itself, in both directions, as the words of big numbers lie.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use zeroize::Zeroize;

/// So many bytes in a row are no chance. A word of a big number has as many.
const WINDOW: usize = 8;
/// What each byte of a secret is kept under.
const MASK: u8 = 0x5A;
/// How much memory is read at a time.
const CHUNK: usize = 1 << 20;
/// More than the list of a process's mappings has.
const LIST: usize = 4 << 20;

/// A secret that is known, and not kept.
pub struct Secret {
    name: &'static str,
    masked: Vec<u8>,
    /// How much of it is no secret, at the end.
    public: usize,
}

impl Secret {
    /// Takes these bytes over: they are wiped where they were.
    pub fn take(name: &'static str, bytes: &mut [u8]) -> Self {
        let masked = bytes.iter().map(|byte| byte ^ MASK).collect();
        bytes.zeroize();
        Self { name, masked, public: 0 }
    }

    /// What another process has [masked](Self::masked).
    pub fn under_mask(name: &'static str, masked: &[u8]) -> Self {
        Self { name, masked: masked.to_vec(), public: 0 }
    }

    /// The bytes under the mask.
    pub fn masked(&self) -> &[u8] {
        &self.masked
    }

    /// Random bytes.
    pub fn random(name: &'static str, len: usize) -> Self {
        let mut bytes = vec![0; len];
        let random =
            File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
        random.expect("random bytes");
        Self::take(name, &mut bytes)
    }

    /// A PIN of random letters, digits and two signs.
    pub fn pin(name: &'static str) -> Self {
        const LETTERS: &[u8; 64] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+";
        let mut pin = Self::random(name, 24);
        pin.masked.iter_mut().for_each(|byte| *byte = LETTERS[usize::from(*byte % 64)] ^ MASK);
        pin
    }

    /// The same with an odd number of bits in each byte, as a key of DES has it.
    pub fn with_odd_parity(mut self) -> Self {
        for byte in &mut self.masked {
            // The mask has an even number of bits.
            *byte ^= u8::from(byte.count_ones() % 2 == 0);
        }
        self
    }

    /// The same, of which everybody may know the last bytes.
    pub fn with_public_end(self, public: usize) -> Self {
        Self { public, ..self }
    }

    /// The same as a number of one bit less.
    pub fn halved(mut self) -> Self {
        // The mask has no first bit.
        self.masked[0] &= 0x7F;
        self
    }

    /// Has something done with the bytes, which are wiped afterwards.
    pub fn with<T>(&self, body: impl FnOnce(&[u8]) -> T) -> T {
        let mut bytes: Vec<u8> = self.masked.iter().map(|byte| byte ^ MASK).collect();
        let made = body(&bytes);
        bytes.zeroize();
        made
    }

    /// The ways in which its bytes may lie: as they are, as a big number in words of the machine, and
    /// as words that were turned round one by one.
    fn forms(&self) -> [(&'static str, Vec<u8>); 3] {
        let plain = self.masked[..self.masked.len() - self.public].to_vec();
        let reversed = plain.iter().rev().copied().collect();
        let words = plain.chunks(8).flat_map(|word| word.iter().rev().copied()).collect();
        [("as it is", plain), ("turned round", reversed), ("in words turned round", words)]
    }
}

/// What is looked for at a place: bytes under the mask.
struct Needle {
    secret: &'static str,
    form: &'static str,
    offset: usize,
    masked: Vec<u8>,
}

impl Needle {
    fn all(secrets: &[&Secret]) -> Vec<Self> {
        let mut all = Vec::new();
        for secret in secrets {
            for (form, masked) in secret.forms() {
                let last = masked.len() - WINDOW.min(masked.len());
                for offset in (0..last).step_by(WINDOW).chain([last]) {
                    let end = masked.len().min(offset + WINDOW);
                    let masked = masked[offset..end].to_vec();
                    all.push(Self { secret: secret.name, form, offset, masked });
                }
            }
        }
        all
    }

    /// Byte by byte, so that no register has more of the secret than one.
    fn is_at(&self, place: &[u8]) -> bool {
        place.len() >= self.masked.len()
            && self.masked.iter().zip(place).all(|(masked, byte)| masked ^ MASK == *byte)
    }
}

/// The memory of a process.
pub struct Memory {
    /// `self`, or a number.
    process: String,
    memory: File,
    /// What is read at a time. It is no memory of the process that counts.
    chunk: Vec<u8>,
    candidates: Vec<usize>,
    list: String,
}

impl Memory {
    /// That of this process. Made before there is a secret, for what it takes itself covers up nothing.
    pub fn own() -> Self {
        Self::of("self").expect("the memory of this process")
    }

    /// That of another process.
    ///
    /// # Errors
    ///
    /// The kernel does not show it.
    pub fn of(process: &str) -> io::Result<Self> {
        Ok(Self {
            process: process.to_owned(),
            memory: File::open(format!("/proc/{process}/mem"))?,
            chunk: vec![0; CHUNK],
            candidates: Vec::with_capacity(CHUNK),
            list: String::with_capacity(LIST),
        })
    }

    /// Where any of these secrets is, and what it is found as: all of the process's mappings are read that
    /// can be, but for those that nobody wrote to since they came from a file.
    pub fn find(&mut self, secrets: &[&Secret]) -> Vec<String> {
        let needles = Needle::all(secrets);
        let mut starts = vec![false; 1 << 16];
        needles.iter().for_each(|needle| {
            let [one, two] = [0, 1].map(|index| (needle.masked[index] ^ MASK) as usize);
            starts[one << 8 | two] = true;
        });
        let own = self.chunk.as_ptr().addr();
        let own = own..own + self.chunk.len();
        self.list.clear();
        File::open(format!("/proc/{}/smaps", self.process))
            .and_then(|mut list| list.read_to_string(&mut self.list))
            .expect("the list of mappings");
        let mut found = Vec::new();
        for mapping in mappings(&self.list) {
            let mut at = mapping.addresses.start;
            while at < mapping.addresses.end {
                // What begins in one chunk and ends in the next is found in the next.
                let end = mapping.addresses.end.min(at + CHUNK);
                let chunk = &mut self.chunk[..end - at];
                let Ok(len) = self.memory.read_at(chunk, at as u64) else { break };
                if len == 0 {
                    break;
                }
                let chunk = &chunk[..len];
                candidates(chunk, &starts, &mut self.candidates);
                for &index in &self.candidates {
                    if self.process == "self" && own.contains(&(at + index)) {
                        continue;
                    }
                    for needle in needles.iter().filter(|needle| needle.is_at(&chunk[index..])) {
                        let Needle { secret, form, offset, .. } = needle;
                        let place = mapping.place(at + index);
                        found.push(format!("{secret} {form}, from byte {offset}, {place}"));
                    }
                }
                at = if end == mapping.addresses.end { end } else { at + len.max(WINDOW) - WINDOW };
            }
        }
        self.chunk.fill(0);
        found
    }
}

/// Where one of the needles may begin. Plain loops: a compiler that does not optimise makes of anything
/// else what takes ten times as long.
fn candidates(chunk: &[u8], starts: &[bool], found: &mut Vec<usize>) {
    const PAGE: usize = 4096;
    const ZERO: [u8; PAGE] = [0; PAGE];
    found.clear();
    let mut at = 0;
    while at + 1 < chunk.len() {
        if at % PAGE == 0 && chunk[at..].starts_with(&ZERO) {
            // The last byte may be the first of two.
            at += PAGE - 1;
        }
        if at + 1 < chunk.len() && starts[(chunk[at] as usize) << 8 | chunk[at + 1] as usize] {
            found.push(at);
        }
        at += 1;
    }
}

/// A mapping of a process.
struct Mapping<'a> {
    addresses: Range<usize>,
    name: &'a str,
}

impl Mapping<'_> {
    /// An address in it, for people.
    fn place(&self, address: usize) -> String {
        let (above, name) = (self.addresses.end - address, self.name);
        format!("{above:#x} below the end of {name}")
    }
}

/// What `/proc/PID/smaps` lists, but for what is still as it came from its file.
fn mappings(list: &str) -> impl Iterator<Item = Mapping<'_>> {
    let mut lines = list.lines().peekable();
    std::iter::from_fn(move || {
        let head = lines.next()?;
        let mut words = head.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (permissions, inode) = (words.next()?, words.nth(2)?);
        let mut unwritten = false;
        while let Some(field) =
            lines.next_if(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        {
            unwritten |= field.starts_with("Anonymous:") && field.ends_with(" 0 kB");
        }
        let address = |text| usize::from_str_radix(text, 16).expect("an address");
        let from_file = permissions.ends_with('p') && inode != "0";
        let skipped = from_file && unwritten || !permissions.starts_with('r');
        Some((
            skipped,
            Mapping {
                addresses: address(start)..address(end),
                name: words.next().unwrap_or("memory without a name"),
            },
        ))
    })
    .filter_map(|(skipped, mapping)| (!skipped).then_some(mapping))
}

/// Runs something so many KiB down the stack: what it leaves there, nobody overwrites who is called
/// further up.
pub fn far_down<T>(kib: usize, body: impl FnOnce() -> T) -> T {
    let mut body = Some(body);
    let mut made = None;
    descend(kib, &mut || made = body.take().map(|body| body()));
    made.expect("it ran")
}

#[inline(never)]
fn descend(kib: usize, body: &mut dyn FnMut()) {
    const FRAME: usize = 16;
    let mut room = [0_u8; FRAME << 10];
    black_box(&mut room);
    if kib == 0 {
        body()
    } else {
        descend(kib.saturating_sub(FRAME), body)
    }
    black_box(&room);
}
