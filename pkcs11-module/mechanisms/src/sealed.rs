//! Operations of authenticated encryption that is done in one piece: parts are kept until the end,
//! and a decryption gives out nothing until the tag has verified.

use std::sync::Arc;

use strongroom_types::{Bytes, Params, Result};

use crate::aes::Refusal;
use crate::whole::keep;
use crate::{Cipher, Key, Mechanism};

/// What the parameter of an authenticated encryption says.
pub(crate) trait Terms: Send + Sized + 'static {
    /// Reads the parameter.
    fn read(params: &Params) -> Result<Self>;
    /// The length of the tag in bytes.
    fn tag_len(&self) -> usize;
    /// The longest plaintext in bytes.
    fn longest(&self) -> usize;
    /// Encrypts: the ciphertext, and the tag behind it.
    fn seal(&self, key: &Key, plaintext: &[u8], refusal: Refusal) -> Result<Bytes>;
    /// Decrypts ciphertext and tag.
    fn open(&self, key: &Key, sealed: &[u8], refusal: Refusal) -> Result<Bytes>;
}

/// What the row of an authenticated encryption has beside the `base` of its family.
pub(crate) const fn row<T: Terms>(base: Mechanism) -> Mechanism {
    Mechanism {
        encrypt: Some(|key, params| Ok(Whole::<T>::start(key, params, Way::Seal)?)),
        decrypt: Some(|key, params| Ok(Whole::<T>::start(key, params, Way::Open)?)),
        wrap: Some(|key, params, bytes| T::read(params)?.seal(key, bytes, Refusal::WRAP)),
        unwrap: Some(|key, params, bytes, _| T::read(params)?.open(key, bytes, Refusal::UNWRAP)),
        ..base
    }
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Seal,
    Open,
}

/// An operation under way.
struct Whole<T> {
    key: Arc<Key>,
    terms: T,
    way: Way,
    so_far: Bytes,
}

impl<T: Terms> Whole<T> {
    fn start(key: &Arc<Key>, params: &Params, way: Way) -> Result<Box<Self>> {
        let (key, terms) = (Arc::clone(key), T::read(params)?);
        Ok(Box::new(Self { key, terms, way, so_far: Bytes::default() }))
    }

    fn run(&self, input: &[u8]) -> Result<Bytes> {
        match self.way {
            Way::Seal => self.terms.seal(&self.key, input, Refusal::ENCRYPT),
            Way::Open => self.terms.open(&self.key, input, Refusal::DECRYPT),
        }
    }

    /// The longest input, and what more of it means.
    fn limit(&self) -> (usize, Refusal) {
        match self.way {
            Way::Seal => (self.terms.longest(), Refusal::ENCRYPT),
            Way::Open => {
                (self.terms.longest().saturating_add(self.terms.tag_len()), Refusal::DECRYPT)
            }
        }
    }
}

impl<T: Terms> Cipher for Whole<T> {
    fn update_len(&self, _part: usize) -> usize {
        0
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let (most, refusal) = self.limit();
        if part.len() > most.saturating_sub(self.so_far.len()) {
            return Err(refusal.len);
        }
        keep(&mut self.so_far, part)?;
        Ok(Bytes::default())
    }

    fn finish_len(&self, part: usize) -> usize {
        let input = self.so_far.len().saturating_add(part);
        match self.way {
            Way::Seal => input.saturating_add(self.terms.tag_len()),
            Way::Open => input.saturating_sub(self.terms.tag_len()),
        }
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.run(&self.so_far)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.run(input)
    }
}
