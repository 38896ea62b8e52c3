//! What is kept for a target, and changes of it that are the same each time.

use std::path::{Path, PathBuf};
use std::{env, fs};

use strongroom_hostile::Target;

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Mostly what lengths and flags are made of.
        match self.below(4) {
            0 => 0,
            1 => 0xff,
            2 => u8::try_from(self.below(16)).unwrap(),
            _ => self.next().to_le_bytes()[0],
        }
    }
}

/// What is kept for a target, in the order of the names.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target.name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Changes some bytes: replaces, removes or repeats them, cuts the end off, or puts another file's there.
fn change(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let until = (at + chance.below(8)).min(bytes.len());
        match chance.below(5) {
            0 if at < bytes.len() => bytes[at] = chance.byte(),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.below(other.len())..]);
            }
        }
    }
}

/// Runs what is kept for a target, and changes of it: a hundred times as many where
/// `STRONGROOM_TESTS_LONG` says that this may take long.
pub(crate) fn try_out(target: &Target) {
    let kept = corpus(target);
    assert!(!kept.is_empty(), "{}", target.name);
    let long = if env::var_os("STRONGROOM_TESTS_LONG").is_some() { 100 } else { 1 };
    let times = (target.times * long).div_ceil(kept.len());
    let mut chance = Chance(0x5eed_0f57_0006);
    for file in &kept {
        (target.run)(file);
        for _ in 0..times {
            let mut bytes = file.clone();
            change(&mut bytes, &kept[chance.below(kept.len())], &mut chance);
            (target.run)(&bytes);
        }
    }
}
