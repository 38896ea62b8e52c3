//! Operations under way: what a mechanism gives back when it starts.
//!
//! The convention of section 5.2 (queries, too small buffers, what ends an operation) is kept by
//! the core, once for all of them; a mechanism only computes.

use strongroom_types::{Bytes, Error, MechanismType, Result, room_for};

/// A digest under way.
pub trait Digest: Send {
    /// The length of the digest in bytes.
    fn digest_len(&self) -> usize;
    /// Adds a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_DigestUpdate`.
    fn update(&mut self, part: &[u8]) -> Result<()>;
    /// The digest.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_DigestFinal`.
    fn finish(self: Box<Self>) -> Result<Bytes>;
    /// What has been digested so far, for [`resume`](Self::resume); nothing if it can not be told.
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a [`state`](Self::state), instead of from the start.
    ///
    /// # Errors
    ///
    /// `CKR_SAVED_STATE_INVALID` for what is none.
    fn resume(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::SavedStateInvalid)
    }
    /// The digest of data in a single part; see [`Sign::sign`].
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_Digest`.
    fn digest(mut self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.update(data)?;
        self.finish()
    }
}

/// A hash function that comes before a signature, or before it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prehash {
    /// The mechanism of its digest.
    pub hash: MechanismType,
    /// The mechanism that signs a digest which the caller brings. Who may not use that may have
    /// nothing signed but what has been hashed before the signer's eyes.
    pub bare: MechanismType,
}

/// A signature or MAC under way.
pub trait Sign: Send {
    /// The length of the signature in bytes, or an upper bound of it.
    fn signature_len(&self) -> usize;
    /// Adds a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_SignUpdate`.
    fn update(&mut self, part: &[u8]) -> Result<()>;
    /// The signature.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_SignFinal`.
    fn finish(self: Box<Self>) -> Result<Bytes>;
    /// What has been signed so far, without the key; see [`Digest::state`].
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a state; see [`Digest::resume`].
    ///
    /// # Errors
    ///
    /// `CKR_SAVED_STATE_INVALID`.
    fn resume(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::SavedStateInvalid)
    }
    /// The signature of data in a single part. The default adds it and finishes; a mechanism that
    /// must keep the data until the end need not copy it here.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_Sign`.
    fn sign(mut self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.update(data)?;
        self.finish()
    }
    /// What it does with its data first, if somebody else can do that.
    fn prehash(&self) -> Option<Prehash> {
        None
    }
    /// The signature of data of which only the digest is given; see [`prehash`](Self::prehash).
    ///
    /// # Errors
    ///
    /// `CKR_DATA_LEN_RANGE` for what is no such digest.
    fn sign_digest(self: Box<Self>, _digest: &[u8]) -> Result<Bytes> {
        Err(Error::DataLenRange)
    }
}

/// A verification under way.
pub trait Verify: Send {
    /// Adds a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_VerifyUpdate`.
    fn update(&mut self, part: &[u8]) -> Result<()>;
    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// `CKR_SIGNATURE_INVALID`, or `CKR_SIGNATURE_LEN_RANGE` for a length that can not be right.
    fn finish(self: Box<Self>, signature: &[u8]) -> Result<()>;
    /// What has been signed so far; see [`Digest::state`].
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a state; see [`Digest::resume`].
    ///
    /// # Errors
    ///
    /// `CKR_SAVED_STATE_INVALID`.
    fn resume(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::SavedStateInvalid)
    }
    /// Checks the signature of data in a single part; see [`Sign::sign`].
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    fn verify(mut self: Box<Self>, data: &[u8], signature: &[u8]) -> Result<()> {
        self.update(data)?;
        self.finish(signature)
    }
    /// As [`Sign::prehash`].
    fn prehash(&self) -> Option<Prehash> {
        None
    }
    /// Checks the signature of data of which only the digest is given; see [`Sign::sign_digest`].
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish), and `CKR_DATA_LEN_RANGE` for what is no such digest.
    fn verify_digest(self: Box<Self>, _digest: &[u8], _signature: &[u8]) -> Result<()> {
        Err(Error::DataLenRange)
    }
}

/// A verification that gives back the data, which is in the signature.
pub trait Recover: Send {
    /// The length of the data in bytes, or an upper bound of it.
    fn data_len(&self) -> usize;
    /// The data.
    ///
    /// # Errors
    ///
    /// As [`Verify::finish`].
    fn recover(&self, signature: &[u8]) -> Result<Bytes>;
}

/// An encryption or a decryption under way.
pub trait Cipher: Send {
    /// Whether a part of this length can be taken, as the last one or not: asked where only the
    /// length of the output is wanted, so that who asks hears at once of input that can not be.
    ///
    /// # Errors
    ///
    /// `CKR_DATA_LEN_RANGE` or `CKR_ENCRYPTED_DATA_LEN_RANGE`.
    fn check(&self, _part: usize, _last: bool) -> Result<()> {
        Ok(())
    }
    /// An upper bound of what [`update`](Self::update) with a part of this length returns; exact
    /// wherever it does not depend on the plaintext.
    fn update_len(&self, part: usize) -> usize;
    /// Adds a part of the input, and returns the output that is ready.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_EncryptUpdate` and `C_DecryptUpdate`.
    fn update(&mut self, part: &[u8]) -> Result<Bytes>;
    /// An upper bound of what [`finish`](Self::finish) returns, if it came after a part of this
    /// length; 0 for the state as it is. A key stream keeps nothing back.
    fn finish_len(&self, _part: usize) -> usize {
        0
    }
    /// The rest of the output.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_EncryptFinal` and `C_DecryptFinal`.
    fn finish(self: Box<Self>) -> Result<Bytes> {
        Ok(Bytes::default())
    }
    /// What goes on beside key and parameter; see [`Digest::state`]. Not where two ends of one state
    /// would tell of each other: where a key stream would come twice, or a nonce be met again.
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a state; see [`Digest::resume`].
    ///
    /// # Errors
    ///
    /// `CKR_SAVED_STATE_INVALID`.
    fn resume(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::SavedStateInvalid)
    }
    /// An upper bound of what [`whole`](Self::whole) returns for an input of this length.
    fn whole_len(&self, input: usize) -> usize {
        self.update_len(input).saturating_add(self.finish_len(input))
    }
    /// The output of an input in a single part. The default adds it and finishes.
    ///
    /// # Errors
    ///
    /// Those of the standard for `C_Encrypt` and `C_Decrypt`.
    fn whole(mut self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        let mut output = self.update(input)?;
        let rest = self.finish()?;
        if rest.is_empty() {
            return Ok(output);
        }
        if output.is_empty() {
            return Ok(rest);
        }
        // Reserved first: a vector that grows leaves a copy of what may be plaintext behind.
        let mut all = room_for(output.len() + rest.len())?;
        all.append(&mut output);
        all.extend_from_slice(&rest);
        Ok(all)
    }
}
