//! Messages (5.9, 5.11): authenticated encryption whose parameter is of a message, and comes with
//! each; the token can make the nonce, and gives nonce and tag back in the parameter.
//!
//! A message that comes in parts is put together: what is not authentic is not given out, and two
//! of the three mechanisms can not begin before they know the end.

use std::process;
use std::sync::Arc;

use strongroom_types::{Bytes, Error, Layout, Params, Placed, Result, ck, copy_of, room_for};

use crate::Key;
use crate::failure::param;
use crate::whole::keep;

/// Authenticated encryption with associated data, as messages and authenticated wrapping use it.
#[expect(clippy::type_complexity, reason = "an ability reads best as its signature")]
pub struct Aead {
    /// The parameters of a message. Its places are two: the nonce, and the tag.
    pub layouts: &'static [Layout],
    /// Reads the parameter of a message.
    pub read: fn(&Params) -> Result<Terms>,
    /// Reads the parameter of `C_WrapKey` that says how the nonce is made: what that of a message
    /// says, whose tag is as many bytes, and the associated data. None if the parameter is one that
    /// brings its nonce along.
    pub read_wrapping: fn(&Params) -> Result<Option<(Terms, Bytes)>>,
    /// Encrypts: the ciphertext, as long as the data, and the tag behind it. Key, nonce, associated
    /// data, data, and the length of the tag.
    pub seal: fn(&Key, &[u8], &[u8], &[u8], usize) -> Result<Bytes>,
    /// Decrypts a ciphertext with its tag behind it.
    pub open: fn(&Key, &[u8], &[u8], &[u8], usize) -> Result<Bytes>,
}

/// What the parameter of a message says.
pub struct Terms {
    /// The nonce, or what it is made of.
    pub nonce: Bytes,
    /// How many bits of the nonce stay, from the front.
    pub fixed_bits: u64,
    /// How the others are made: `CKG_`.
    pub generator: u64,
    /// The tag, or as many bytes.
    pub tag: Bytes,
    /// The length of the data, if it must be told.
    pub data_len: Option<u64>,
}

/// An output, and what goes to the places of the parameter.
pub struct Sealed {
    /// The ciphertext; the tag is behind it if the parameter has no place for that.
    pub output: Bytes,
    /// Nonce and tag, as far as the parameter has places for them.
    pub placed: Vec<Placed>,
}

/// Messages under one key, one after the other.
pub struct Messages {
    aead: &'static Aead,
    key: Arc<Key>,
    nonces: Nonces,
    /// The message that comes in parts.
    current: Option<Message>,
}

/// A message that comes in parts.
struct Message {
    nonce: Bytes,
    aad: Bytes,
    so_far: Bytes,
}

impl Messages {
    /// Starts. A parameter, if there is one, is like that of a message.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismParamInvalid`].
    pub fn start(aead: &'static Aead, key: &Arc<Key>, params: &Params) -> Result<Self> {
        if !params.is_empty() {
            (aead.read)(params)?;
        }
        Ok(Self { aead, key: Arc::clone(key), nonces: Nonces::default(), current: None })
    }

    /// Whether a message in parts is under way.
    pub fn begun(&self) -> bool {
        self.current.is_some()
    }

    /// How long the output will be, if this is the last part.
    pub fn output_len(&self, part: usize) -> usize {
        self.current.as_ref().map_or(0, |message| message.so_far.len()).saturating_add(part)
    }

    /// `C_EncryptMessage`.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn encrypt(&mut self, params: &Params, aad: &[u8], data: &[u8]) -> Result<Sealed> {
        let terms = self.aead.terms(params)?;
        let nonce = self.nonces.next(&terms)?;
        seal(self.aead, &self.key, &terms, nonce, aad, data, Error::DataLenRange)
    }

    /// `C_EncryptMessageBegin`: what goes to the places.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn begin_encryption(&mut self, params: &Params, aad: &[u8]) -> Result<Vec<Placed>> {
        let terms = self.aead.terms(params)?;
        let nonce = self.nonces.next(&terms)?;
        let placed = vec![Placed::Bytes(nonce.clone()), Placed::Nothing];
        self.begin(nonce, aad)?;
        Ok(placed)
    }

    /// `C_DecryptMessageBegin`.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn begin_decryption(&mut self, params: &Params, aad: &[u8]) -> Result<()> {
        let terms = self.aead.terms(params)?;
        self.begin(terms.nonce, aad)
    }

    fn begin(&mut self, nonce: Bytes, aad: &[u8]) -> Result<()> {
        let aad = copy_of(aad)?;
        self.current = Some(Message { nonce, aad, so_far: Bytes::default() });
        Ok(())
    }

    /// `C_EncryptMessageNext` and `C_DecryptMessageNext`, before the last part.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn add(&mut self, params: &Params, part: &[u8]) -> Result<()> {
        let terms = self.aead.terms(params)?;
        let message = self.current.as_mut().ok_or(Error::OperationNotInitialized)?;
        message.check(&terms)?;
        keep(&mut message.so_far, part)
    }

    /// `C_EncryptMessageNext` with the last part.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn end_encryption(&mut self, params: &Params, part: &[u8]) -> Result<Sealed> {
        let (terms, message) = self.end(params, part)?;
        let Message { nonce, aad, so_far } = message;
        seal(self.aead, &self.key, &terms, nonce, &aad, &so_far, Error::DataLenRange)
    }

    /// `C_DecryptMessageNext` with the last part.
    ///
    /// # Errors
    ///
    /// [`Error::AeadDecryptFailed`], and those of the standard.
    pub fn end_decryption(&mut self, params: &Params, part: &[u8]) -> Result<Bytes> {
        let (terms, message) = self.end(params, part)?;
        open(self.aead, &self.key, &terms, &message.aad, &message.so_far)
    }

    fn end(&mut self, params: &Params, part: &[u8]) -> Result<(Terms, Message)> {
        self.add(params, part)?;
        let message = self.current.take().ok_or(Error::OperationNotInitialized)?;
        Ok((self.aead.terms(params)?, message))
    }

    /// Forgets the message that comes in parts.
    pub fn abandon(&mut self) {
        self.current = None;
    }

    /// `C_DecryptMessage`.
    ///
    /// # Errors
    ///
    /// As [`end_decryption`](Self::end_decryption).
    pub fn decrypt(&mut self, params: &Params, aad: &[u8], data: &[u8]) -> Result<Bytes> {
        open(self.aead, &self.key, &self.aead.terms(params)?, aad, data)
    }
}

impl Message {
    /// Each part comes with the parameter, which must stay what it was.
    fn check(&self, terms: &Terms) -> Result<()> {
        match terms.nonce == self.nonce {
            true => Ok(()),
            false => Err(param("the nonce is another one than at the beginning of the message")),
        }
    }
}

impl Aead {
    /// What a parameter says. One that comes over a wire is held to the layout first, by which the edge
    /// would have read it.
    fn terms(&self, params: &Params) -> Result<Terms> {
        match self.layouts.iter().any(|layout| params.fit(layout)) {
            true => (self.read)(params),
            false => Err(Error::MechanismParamInvalid),
        }
    }

    /// `C_WrapKeyAuthenticated`, of the bytes of a key.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn wrap(
        &'static self,
        key: &Key,
        params: &Params,
        aad: &[u8],
        bytes: &[u8],
    ) -> Result<Sealed> {
        let terms = self.terms(params)?;
        let nonce = terms.nonce_of_a_key()?;
        seal(self, key, &terms, nonce, aad, bytes, Error::KeySizeRange)
    }

    /// `C_UnwrapKeyAuthenticated`, to the bytes of a key.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn unwrap(&self, key: &Key, params: &Params, aad: &[u8], wrapped: &[u8]) -> Result<Bytes> {
        open(self, key, &self.terms(params)?, aad, wrapped)
    }

    /// `C_WrapKey`, with the nonce made as the parameter says, and the tag behind the ciphertext.
    pub(crate) fn wrap_with_tag(
        &self,
        key: &Key,
        (terms, aad): &(Terms, Bytes),
        bytes: &[u8],
    ) -> Result<Sealed> {
        terms.check_len(bytes, Error::KeySizeRange)?;
        let nonce = terms.nonce_of_a_key()?;
        let output = (self.seal)(key, &nonce, aad, bytes, terms.tag.len())?;
        Ok(Sealed { output, placed: vec![Placed::Bytes(nonce)] })
    }

    /// `C_UnwrapKey`, of what that has made.
    pub(crate) fn unwrap_with_tag(
        &self,
        key: &Key,
        (terms, aad): &(Terms, Bytes),
        wrapped: &[u8],
    ) -> Result<Bytes> {
        let bytes = (self.open)(key, &terms.nonce, aad, wrapped, terms.tag.len())?;
        terms.check_len(&bytes, Error::WrappedKeyLenRange)?;
        Ok(bytes)
    }
}

fn seal(
    aead: &Aead,
    key: &Key,
    terms: &Terms,
    nonce: Bytes,
    aad: &[u8],
    data: &[u8],
    wrong_len: Error,
) -> Result<Sealed> {
    terms.check_len(data, wrong_len)?;
    let mut output = (aead.seal)(key, &nonce, aad, data, terms.tag.len())?;
    let tag = output.get(data.len()..).ok_or(Error::GeneralError)?;
    let tag = Bytes::new(tag.to_vec());
    output.truncate(data.len());
    Ok(Sealed { output, placed: vec![Placed::Bytes(nonce), Placed::Bytes(tag)] })
}

fn open(aead: &Aead, key: &Key, terms: &Terms, aad: &[u8], data: &[u8]) -> Result<Bytes> {
    terms.check_len(data, Error::EncryptedDataLenRange)?;
    let mut all = room_for(data.len().saturating_add(terms.tag.len()))?;
    all.extend_from_slice(data);
    all.extend_from_slice(&terms.tag);
    (aead.open)(key, &terms.nonce, aad, &all, terms.tag.len()).map_err(|error| match error {
        Error::EncryptedDataInvalid => Error::AeadDecryptFailed,
        error => error,
    })
}

impl Terms {
    /// The nonce of a key that is wrapped. Each would be the first that is counted.
    fn nonce_of_a_key(&self) -> Result<Bytes> {
        match self.generator {
            COUNTER | COUNTER_XOR => {
                Err(param("a key that is wrapped has no nonce that is counted"))
            }
            _ => Nonces::default().next(self),
        }
    }

    fn check_len(&self, data: &[u8], wrong: Error) -> Result<()> {
        let same = |len| u64::try_from(data.len()) == Ok(len);
        if self.data_len.is_none_or(same) { Ok(()) } else { Err(wrong) }
    }
}

/// How a nonce is made.
const NO_GENERATE: u64 = ck!(CKG_NO_GENERATE);
const GENERATE: u64 = ck!(CKG_GENERATE);
const RANDOM: u64 = ck!(CKG_GENERATE_RANDOM);
const COUNTER: u64 = ck!(CKG_GENERATE_COUNTER);
const COUNTER_XOR: u64 = ck!(CKG_GENERATE_COUNTER_XOR);

/// The fewest bits that a random nonce must have, or chance would soon bring one back.
const LEAST_RANDOM: u64 = 64;

/// Makes nonces, no two of them alike under the same parameter.
struct Nonces {
    /// Whose they are.
    process: u32,
    /// How many have been counted.
    count: u64,
    /// What the first message said; the others must say the same.
    first: Option<First>,
}

struct First {
    fixed_bits: u64,
    generator: u64,
    nonce: Bytes,
    /// What was made last, which the caller's memory then holds.
    last: Bytes,
}

impl Default for Nonces {
    fn default() -> Self {
        Self { process: process::id(), count: 0, first: None }
    }
}

impl Nonces {
    /// The nonce of the next message.
    fn next(&mut self, terms: &Terms) -> Result<Bytes> {
        let Some(mut first) = self.first.take() else {
            let mut first = First {
                fixed_bits: terms.fixed_bits,
                generator: terms.generator,
                nonce: terms.nonce.clone(),
                last: terms.nonce.clone(),
            };
            // One that is wrong is not the first: the next may say something else.
            let made = self.make(terms, &mut first)?;
            self.first = Some(first);
            return Ok(made);
        };
        let made = self.make(terms, &mut first);
        self.first = Some(first);
        made
    }

    fn make(&mut self, terms: &Terms, first: &mut First) -> Result<Bytes> {
        let same = (first.fixed_bits, first.generator, first.nonce.len())
            == (terms.fixed_bits, terms.generator, terms.nonce.len());
        if !same {
            return Err(param("nonces are made in another way than that of the first message"));
        }
        if terms.generator == NO_GENERATE {
            return Ok(terms.nonce.clone());
        }
        // A forked child that goes on counting would say the same nonces as its parent.
        if self.process != process::id() {
            return Err(Error::FunctionFailed);
        }
        let bits = u64::try_from(terms.nonce.len()).map_err(|_| Error::MechanismParamInvalid)? * 8;
        let free = bits.checked_sub(terms.fixed_bits).filter(|free| *free > 0);
        let free = free.ok_or_else(|| param("ulIvFixedBits leaves no bits to be made"))?;
        let mut made = Bytes::new(vec![0; terms.nonce.len()]);
        match terms.generator {
            // How is left to the token.
            GENERATE | RANDOM if free >= LEAST_RANDOM => {
                crate::random(&mut made)?;
            }
            COUNTER => count(&mut self.count, free, &mut made)?,
            COUNTER_XOR => {
                if terms.nonce != first.nonce && terms.nonce != first.last {
                    return Err(param("the nonce is neither the first one nor the last"));
                }
                count(&mut self.count, free, &mut made)?;
                made.iter_mut().zip(first.nonce.iter()).for_each(|(made, base)| *made ^= base);
            }
            _ => return Err(param("ivGenerator, or nonceGenerator, is none of the standard's")),
        }
        let mut fixed = terms.fixed_bits;
        for (made, given) in made.iter_mut().zip(terms.nonce.iter()) {
            let mask = u32::try_from(fixed).ok().and_then(|fixed| 0xff_u8.checked_shr(fixed));
            let mask = mask.unwrap_or(0);
            *made = (given & !mask) | (*made & mask);
            fixed = fixed.saturating_sub(8);
        }
        first.last = made.clone();
        Ok(made)
    }
}

/// The next number, right-aligned, of those that so many bits can say.
fn count(count: &mut u64, bits: u64, into: &mut [u8]) -> Result<()> {
    let number = *count;
    if bits < 64 && number >> bits != 0 {
        return Err(Error::TokenResourceExceeded);
    }
    *count = number.checked_add(1).ok_or(Error::TokenResourceExceeded)?;
    for (to, from) in into.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
        *to = *from;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(nonce: &[u8], fixed_bits: u64, generator: u64) -> Terms {
        let nonce = Bytes::new(nonce.to_vec());
        Terms { nonce, fixed_bits, generator, tag: Bytes::default(), data_len: None }
    }

    #[test]
    fn counters_keep_what_is_fixed() {
        let mut nonces = Nonces::default();
        let given = terms(&[0xff; 12], 35, ck!(CKG_GENERATE_COUNTER));
        for (number, last) in [(0, 0), (1, 1), (2, 2)] {
            let made = nonces.next(&given).unwrap();
            let mut wanted = [0xff, 0xff, 0xff, 0xff, 0xe0, 0, 0, 0, 0, 0, 0, last];
            assert_eq!(*made, &mut wanted[..], "{number}");
        }
    }

    #[test]
    fn a_counter_ends_before_it_repeats() {
        let mut nonces = Nonces::default();
        let given = terms(&[7; 12], 95, ck!(CKG_GENERATE_COUNTER));
        let [one, two] = [nonces.next(&given).unwrap(), nonces.next(&given).unwrap()];
        assert_ne!(one, two);
        assert_eq!(nonces.next(&given).err(), Some(Error::TokenResourceExceeded));
        let none = terms(&[7; 12], 96, ck!(CKG_GENERATE_COUNTER));
        assert_eq!(Nonces::default().next(&none).err(), Some(Error::MechanismParamInvalid));
    }

    #[test]
    fn a_counter_is_combined_with_the_first_nonce() {
        let mut nonces = Nonces::default();
        let mut given = terms(&[0x10; 12], 32, ck!(CKG_GENERATE_COUNTER_XOR));
        for last in [0x10, 0x11, 0x12] {
            given.nonce = nonces.next(&given).unwrap();
            assert_eq!(given.nonce.last(), Some(&last), "what it wrote is what comes back");
        }
        let other = terms(&[0x20; 12], 32, ck!(CKG_GENERATE_COUNTER_XOR));
        assert_eq!(nonces.next(&other).err(), Some(Error::MechanismParamInvalid));
    }

    #[test]
    fn chance_needs_room() {
        for generator in [ck!(CKG_GENERATE), ck!(CKG_GENERATE_RANDOM)] {
            let given = terms(&[7; 12], 32, generator);
            let mut nonces = Nonces::default();
            let [one, two] = [nonces.next(&given).unwrap(), nonces.next(&given).unwrap()];
            assert!(one != two && one.starts_with(&[7; 4]) && two.starts_with(&[7; 4]));
            let narrow = terms(&[7; 12], 40, generator);
            assert_eq!(Nonces::default().next(&narrow).err(), Some(Error::MechanismParamInvalid));
        }
    }

    #[test]
    fn one_way_of_making_them_for_all() {
        let mut nonces = Nonces::default();
        nonces.next(&terms(&[7; 12], 0, ck!(CKG_NO_GENERATE))).unwrap();
        let other = terms(&[7; 12], 0, ck!(CKG_GENERATE_COUNTER));
        assert_eq!(nonces.next(&other).err(), Some(Error::MechanismParamInvalid));
        let unknown = terms(&[7; 12], 0, 99);
        assert_eq!(Nonces::default().next(&unknown).err(), Some(Error::MechanismParamInvalid));
    }
}
