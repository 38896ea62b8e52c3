//! AES in counter mode: `CKM_AES_CTR` (PKCS#11 3.2, "AES with counter"; SP 800-38A).
//!
//! It does not wrap keys, though the standard's table would let it: whoever can flip a bit of what
//! is wrapped would flip that bit of the key.

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Param, Params, Result, mechanism, room_for};

use crate::aes::{self, Aes, Refusal};
use crate::failure::{or, param};
use crate::{Cipher, Key, Mechanism};

/// The rows of this family. The parameter is `CK_AES_CTR_PARAMS`: how many bits of the counter
/// block count, and the first counter block.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    encrypt: Some(|key, params| Ok(Box::new(start(key, params, Refusal::ENCRYPT)?))),
    decrypt: Some(|key, params| Ok(Box::new(start(key, params, Refusal::DECRYPT)?))),
    ..aes::row(mechanism!(CKM_AES_CTR), &[&[Field::Ulong, Field::Fixed(BLOCK)]])
}];

fn start(key: &Key, params: &Params, refusal: Refusal) -> Result<Counting> {
    let [Param::Ulong(bits), Param::Bytes(block)] = params.as_slice() else {
        return Err(Error::MechanismParamInvalid);
    };
    let block: [u8; BLOCK] =
        block.as_slice().try_into().map_err(|_| param("cb has not 16 bytes"))?;
    let left = bytes_left(*bits, u128::from_be_bytes(block))
        .ok_or_else(|| param("ulCounterBits is not between 1 and 128"))?;
    let keyed = Aes::of(key)?.keyed(Mode::Ctr, Direction::Encrypt)?;
    let running = keyed.start(&block, false).map_err(or(Error::MechanismParamInvalid))?;
    Ok(Counting { running, left, refusal })
}

/// How many bytes there are before the counter would overflow: the low `bits` of the counter block
/// are the counter, and each of its values serves one block. `None` for a counter that can not be.
fn bytes_left(bits: u64, block: u128) -> Option<u128> {
    if !(1..=128).contains(&bits) {
        return None;
    }
    let mask = u128::MAX >> (128 - bits);
    Some((mask - (block & mask)).saturating_add(1).saturating_mul(16))
}

/// Counter mode under way; both directions are the same.
struct Counting {
    running: Running,
    left: u128,
    refusal: Refusal,
}

impl Counting {
    /// What the counter leaves after a part.
    fn left_after(&self, part: usize) -> Result<u128> {
        // "AES with counter": an overflow is told by the length. Otherwise the key stream would
        // repeat, or bits would change that do not count.
        let len = u128::try_from(part).map_err(|_| self.refusal.len)?;
        self.left.checked_sub(len).ok_or(self.refusal.len)
    }
}

impl Cipher for Counting {
    fn check(&self, part: usize, _last: bool) -> Result<()> {
        self.left_after(part).map(drop)
    }

    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        self.left = self.left_after(part.len())?;
        let mut out = room_for(part.len().saturating_add(BLOCK))?;
        self.running.update(part, &mut out).map_err(or(self.refusal.len))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_ends() {
        // The standard's own example: two bits that start as 1 are good for three blocks.
        assert_eq!(bytes_left(2, 0b101), Some(3 * 16));
        assert_eq!(bytes_left(1, 1), Some(16));
        assert_eq!(bytes_left(128, u128::MAX), Some(16));
        assert_eq!(bytes_left(128, 0), Some(u128::MAX));
        assert_eq!(bytes_left(0, 0), None);
        assert_eq!(bytes_left(129, 0), None);
    }
}
