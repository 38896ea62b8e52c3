//! PKCS#1 v1.5 decryption that refuses nothing (draft-irtf-cfrg-rsa-guidance, "implicit rejection";
//! OpenSSL has it since 3.2): a block whose padding is wrong is a message too, one that follows from
//! the private key and the ciphertext. Who sends ciphertexts can not tell which of the two he got.
//!
//! Where the length of a message is wanted, one of another length is rejected in the same way. That
//! looks at the message alone, never at its padding, so it tells nothing that the message does not.
//!
//! Nothing branches on the padding, on a message or on its length; who is given the message has its
//! length.

use subtle::{
    Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess,
};
use zeroize::Zeroizing;

use crate::digest::SHA256;
use crate::error::{Error, Result};
use crate::mac::HmacKey;

/// What precedes a message at least: two bytes, eight of padding, and a zero.
const OVERHEAD: u32 = 11;

/// The candidates for the length of a message that nobody sent.
const CANDIDATES: usize = 128;

/// The message of a block that was decrypted, of any length, or of one of these that are wanted.
///
/// # Errors
///
/// [`Error::Invalid`] if no message of this modulus has a length that is wanted.
pub(super) fn message(
    block: Zeroizing<Vec<u8>>,
    private_exponent: &[u8],
    ciphertext: &[u8],
    wanted: &[usize],
) -> Result<Zeroizing<Vec<u8>>> {
    let random = Random::new(private_exponent, ciphertext)?;
    let other = random.message(block.len())?;
    let (sent, padded) = Message::read(block)?;
    let found = sent.or(&other, padded);
    if wanted.is_empty() {
        return Ok(found.bytes());
    }
    let longest = found.block.len().saturating_sub(to_usize(OVERHEAD));
    let wanted = wanted.iter().filter(|len| **len <= longest);
    let wanted = wanted.map(|len| to_u32(*len)).collect::<Result<Vec<_>>>()?;
    let other = random.message_of(&wanted, found.block.len())?;
    let is_wanted = wanted.iter().fold(Choice::from(0), |any, len| any | len.ct_eq(&found.len));
    Ok(found.or(&other, is_wanted).bytes())
}

/// A message: the last bytes of a block that is as long as the modulus.
struct Message {
    block: Zeroizing<Vec<u8>>,
    len: u32,
}

impl Message {
    /// The message of a block, and whether its padding is right (RFC 8017, 7.2.2).
    fn read(block: Zeroizing<Vec<u8>>) -> Result<(Self, Choice)> {
        let (mut start, mut found) = (0, Choice::from(0));
        for (at, byte) in (0_u32..).zip(block.iter()).skip(2) {
            let ends = byte.ct_eq(&0) & !found;
            start.conditional_assign(&at.wrapping_add(1), ends);
            found |= ends;
        }
        let [first, second, ..] = **block else { return Err(Error::Invalid) };
        let long = !start.ct_lt(&OVERHEAD);
        let padded = first.ct_eq(&0) & second.ct_eq(&2) & found & long;
        let len = to_u32(block.len())?.wrapping_sub(start);
        Ok((Self { block, len }, padded))
    }

    /// This one, or another.
    fn or(mut self, other: &Self, this: Choice) -> Self {
        for (byte, other) in self.block.iter_mut().zip(other.block.iter()) {
            byte.conditional_assign(other, !this);
        }
        self.len.conditional_assign(&other.len, !this);
        self
    }

    fn bytes(mut self) -> Zeroizing<Vec<u8>> {
        let before = self.block.len().saturating_sub(to_usize(self.len));
        self.block.drain(..before);
        self.block
    }
}

/// The pseudorandom function of one ciphertext and one private key.
struct Random(HmacKey);

impl Random {
    fn new(private_exponent: &[u8], ciphertext: &[u8]) -> Result<Self> {
        let key = HmacKey::new(&SHA256, &SHA256.digest(private_exponent)?)?.mac(&[ciphertext])?;
        Ok(Self(HmacKey::new(&SHA256, &key)?))
    }

    /// So many bytes for a purpose: of the number of a block, the purpose, and the length in bits.
    fn bytes(&self, purpose: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let bits = u16::try_from(len.saturating_mul(8)).map_err(|_| Error::Invalid)?;
        let mut out = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(SHA256.output_len())));
        for block in 0_u16.. {
            if out.len() >= len {
                break;
            }
            let parts = [&block.to_be_bytes(), purpose, &bits.to_be_bytes()];
            out.extend_from_slice(&self.0.mac(&parts)?);
        }
        out.truncate(len);
        Ok(out)
    }

    /// So many numbers of 16 bits.
    fn numbers(&self, purpose: &[u8], count: usize) -> Result<Vec<u32>> {
        let bytes = self.bytes(purpose, count.saturating_mul(2))?;
        let (numbers, _) = bytes.as_chunks();
        Ok(numbers.iter().map(|number| u32::from(u16::from_be_bytes(*number))).collect())
    }

    /// The message of the draft: the last candidate that can be a length is the length.
    fn message(&self, modulus_len: usize) -> Result<Message> {
        let block = self.bytes(b"message", modulus_len)?;
        let most = to_u32(modulus_len)?.saturating_sub(OVERHEAD);
        let mask = most.wrapping_add(2).next_power_of_two().wrapping_sub(1);
        let mut len = 0;
        for candidate in self.numbers(b"length", CANDIDATES)? {
            let candidate = candidate & mask;
            len.conditional_assign(&candidate, !candidate.ct_gt(&most));
        }
        Ok(Message { block, len })
    }

    /// A message of a length that is wanted. Those of two lengths have nothing in common, so that
    /// asking for one and for the other tells nothing.
    fn message_of(&self, wanted: &[u32], modulus_len: usize) -> Result<Message> {
        let choice = self.numbers(b"which length", 1)?.first().copied().unwrap_or_default();
        let choice = choice.wrapping_mul(to_u32(wanted.len())?) >> 16;
        let mut len = *wanted.first().ok_or(Error::Invalid)?;
        for (at, other) in (0_u32..).zip(wanted) {
            len.conditional_assign(other, at.ct_eq(&choice));
        }
        let purpose = [&b"of this length"[..], &len.to_be_bytes()].concat();
        Ok(Message { block: self.bytes(&purpose, modulus_len)?, len })
    }
}

fn to_u32(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| Error::Invalid)
}

fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
