//! Maps by numbers that are ours: handles that we give, identifiers that we draw, mechanisms.
//!
//! The standard library's maps keep whoever chooses the keys from making them collide, which takes
//! a hundred instructions for each look. Nobody else chooses these keys.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

/// A map by a number that is ours.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Mixes numbers by multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (numbers, rest) = bytes.as_chunks();
        for number in numbers {
            self.write_u64(u64::from_le_bytes(*number));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        /// 2^64 divided by the golden ratio, and odd: near numbers come far apart.
        const FAR: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0.rotate_left(5) ^ number) * u128::from(FAR);
        let [low, high] = [product & u128::from(u64::MAX), product >> 64];
        // Both halves are numbers of 64 bits.
        self.0 = u64::try_from(low ^ high).unwrap_or_default();
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    /// How many of 4,096 buckets these keys take.
    fn buckets<K: std::hash::Hash>(keys: impl Iterator<Item = K>) -> usize {
        let hasher = BuildHasherDefault::<Mixer>::default();
        keys.map(|key| hasher.hash_one(key) % 4096).collect::<HashSet<_>>().len()
    }

    #[test]
    fn keys_are_spread() {
        // By chance it is 1 - 1/e of the buckets.
        const CHANCE: usize = 2_400;
        assert!(buckets(0..4096_u64) > CHANCE);
        assert!(buckets((0..4096_u64).map(|handle| handle << 32 | 7)) > CHANCE);
        assert!(buckets((0..4096_u64).map(|handle| handle * 16)) > CHANCE);
        let identifier = |number: u64| (u128::from(number) << 64 | 5).to_be_bytes();
        assert!(buckets((0..4096_u64).map(identifier)) > CHANCE);
    }

    #[test]
    fn no_byte_is_left_out() {
        let hasher = BuildHasherDefault::<Mixer>::default();
        let hashes: HashSet<_> = (0..19_usize)
            .map(|place| {
                let mut bytes = [0_u8; 19];
                bytes[place] = 1;
                hasher.hash_one(bytes)
            })
            .collect();
        assert_eq!(hashes.len(), 19);
    }
}
