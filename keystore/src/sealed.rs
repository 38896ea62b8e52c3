//! Sealed blobs: one authenticated encryption per blob, under a key of its own.
//!
//! ```text
//! blob = format(1) | algorithm(1) | random(24) | AES-256-GCM(key, nonce, aad, padded) | tag(16)
//! key  = HKDF-Expand(purpose key, label | context | random[..12])
//! ```
//!
//! The nonce is the other half of the random bytes. A key per blob, because a restored backup
//! writes the same object and revision again: a nonce must not repeat under one key even then.

use std::ops::{Deref, DerefMut};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac, rand,
};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// The version of this layout.
const FORMAT: u8 = 1;
/// AES-256-GCM under HKDF-SHA-256.
const ALGORITHM: u8 = 1;
/// Random bytes of a blob: twelve for its key, twelve for its nonce.
const RANDOM: usize = 24;
/// The authentication tag at the end.
pub(crate) const TAG: usize = 16;
/// A body is padded to a multiple of this, so that its exact length does not show.
const BUCKET: usize = 256;

/// A key of 32 bytes, wiped when dropped. It stays in one place while it is handed on: a value that is
/// moved leaves a copy where it was.
pub(crate) struct Key(Box<[u8; 32]>);

impl Key {
    /// A place for a key.
    pub(crate) fn zero() -> Self {
        Self(Box::new([0; 32]))
    }

    /// A copy of the key that these bytes are.
    pub(crate) fn copy(bytes: &[u8; 32]) -> Self {
        let mut key = Self::zero();
        key.copy_from_slice(bytes);
        key
    }
}

impl Deref for Key {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl DerefMut for Key {
    fn deref_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

struct KeyLen;

impl KeyType for KeyLen {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-Extract, where the input is long and random.
pub(crate) fn extract(salt: &str, secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt.as_bytes()).extract(secret)
}

/// HKDF-Expand to one key; `info` is what the key is for.
pub(crate) fn expand(from: &Prk, info: &[&[u8]]) -> Key {
    let mut key = Key::zero();
    // Fails only for lengths that HKDF-SHA-256 cannot give, and 32 bytes is not one.
    let filled = from.expand(info, KeyLen).and_then(|okm| okm.fill(key.as_mut_slice()));
    debug_assert!(filled.is_ok());
    key
}

/// Random bytes of the operating system's quality, for what is no secret.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A random key, written where it will be wiped.
pub(crate) fn random_key() -> Result<Key> {
    let mut key = Key::zero();
    fill(key.as_mut_slice())?;
    Ok(key)
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    rand::fill(bytes).map_err(|_| Error::Unsupported("no random bytes are left".into()))
}

/// HMAC-SHA-256 over the parts, one after the other; lengths must be fixed or in the parts.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    MacKey::new(key).mac(parts)
}

/// A key of [`mac`] that is used often. It lies where memory is not locked: only for keys that
/// open nothing.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

/// Says whether two values of public length are equal, in time that depends on neither.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// What a blob is bound to: a blob moved elsewhere does not open.
pub(crate) struct Binding<'a> {
    /// The kind of the blob.
    pub(crate) label: &'a str,
    /// Token, object, revision and so on, of fixed length per label.
    pub(crate) context: &'a [u8],
}

/// Seals `body`, padded.
pub(crate) fn seal(key: &[u8], binding: &Binding<'_>, body: &[u8]) -> Result<Vec<u8>> {
    let random: [u8; RANDOM] = random()?;
    let head = [&[FORMAT, ALGORITHM], random.as_slice()].concat();
    let mut text = padded(body)?;
    let tag = cipher(key, binding, &random)?
        .seal_in_place_separate_tag(nonce(&random), aad(binding, &head), text.as_mut_slice())
        .map_err(|_| too_long())?;
    Ok([head.as_slice(), text.as_slice(), tag.as_ref()].concat())
}

/// Opens what [`seal`] made, or says that `what` is damaged.
pub(crate) fn open(
    key: &[u8],
    binding: &Binding<'_>,
    blob: &[u8],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = || Error::Corrupt(what.into());
    let (head, text) = blob.split_at_checked(2 + RANDOM).ok_or_else(damaged)?;
    let (kind, random) = head.split_at_checked(2).ok_or_else(damaged)?;
    if kind != [FORMAT, ALGORITHM] {
        return Err(damaged());
    }
    let random: [u8; RANDOM] = random.try_into().map_err(|_| damaged())?;
    let mut text = Zeroizing::new(text.to_vec());
    let len = cipher(key, binding, &random)?
        .open_in_place(nonce(&random), aad(binding, head), text.as_mut_slice())
        .map_err(|_| damaged())?
        .len();
    text.truncate(len);
    unpad(text).ok_or_else(damaged)
}

/// The tag at the end of a blob, which stands for the whole blob; zero if there is none.
pub(crate) fn tag_of(blob: &[u8]) -> [u8; TAG] {
    blob.last_chunk().copied().unwrap_or_default()
}

fn cipher(key: &[u8], binding: &Binding<'_>, random: &[u8; RANDOM]) -> Result<LessSafeKey> {
    let purpose = Prk::new_less_safe(HKDF_SHA256, key);
    let salt = random.first_chunk::<12>().copied().unwrap_or_default();
    let key = expand(&purpose, &[binding.label.as_bytes(), binding.context, &salt]);
    let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| too_long())?;
    Ok(LessSafeKey::new(key))
}

fn nonce(random: &[u8; RANDOM]) -> Nonce {
    let nonce = random.last_chunk::<12>().copied().unwrap_or_default();
    Nonce::assume_unique_for_key(nonce)
}

fn aad(binding: &Binding<'_>, head: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([head, binding.label.as_bytes(), binding.context].concat())
}

fn too_long() -> Error {
    Error::Unsupported("an object is too long to store".into())
}

/// Length (4 bytes, little-endian), body, zeros up to the bucket.
fn padded(body: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let len = u32::try_from(body.len()).map_err(|_| too_long())?;
    let room = body.len().saturating_add(4).next_multiple_of(BUCKET);
    // The capacity is final, so no copy is left behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    text.extend_from_slice(&len.to_le_bytes());
    text.extend_from_slice(body);
    text.resize(room, 0);
    Ok(text)
}

fn unpad(mut text: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    let len = usize::try_from(u32::from_le_bytes(*text.first_chunk()?)).ok()?;
    let end = len.checked_add(4)?;
    if text.get(end..)?.iter().any(|&byte| byte != 0) {
        return None;
    }
    text.truncate(end);
    text.copy_within(4.., 0);
    text.truncate(len);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Binding<'_> = Binding { label: "test", context: b"here" };

    #[test]
    fn opens_only_where_it_was_sealed() {
        let blob = seal(&[7; 32], &HERE, b"body").unwrap();
        assert_eq!(open(&[7; 32], &HERE, &blob, "x").unwrap().as_slice(), b"body");
        let there = Binding { context: b"ther", ..HERE };
        assert!(open(&[7; 32], &there, &blob, "x").is_err());
        assert!(open(&[8; 32], &HERE, &blob, "x").is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let blob = seal(&[7; 32], &HERE, b"body").unwrap();
        for at in 0..blob.len() {
            let mut bad = blob.clone();
            bad[at] ^= 1;
            assert!(open(&[7; 32], &HERE, &bad, "x").is_err(), "byte {at}");
            assert!(open(&[7; 32], &HERE, &blob[..at], "x").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn lengths_show_only_in_buckets() {
        let sizes: Vec<_> = [0, 1, 252, 253, 508, 509]
            .map(|len| seal(&[7; 32], &HERE, &vec![1; len]).unwrap().len() - 42)
            .to_vec();
        assert_eq!(sizes, [256, 256, 256, 512, 512, 768]);
    }
}
