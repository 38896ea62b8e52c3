//! Operations of primitives that take their input whole: a digest, a short message, a block.
//!
//! A primitive says what it does with the input in one piece; what is here makes of it an
//! operation that can also be fed in parts, or one that can not. In a single part nothing is copied.

use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_types::{Bytes, Error, MechanismType, Result, room_for};

use crate::hash::{Function, Running};
use crate::{Cipher, Prehash, Sign, Verify};

/// A primitive that signs.
pub(crate) trait Signer: Send + 'static {
    /// The length of the signature in bytes.
    fn signature_len(&self) -> usize;
    /// Signs the input.
    fn sign(&self, input: &[u8]) -> Result<Bytes>;
    /// Where the input is a digest that callers may bring: the mechanism by which they do.
    fn bare(&self) -> Option<MechanismType> {
        None
    }
}

/// A primitive that verifies.
pub(crate) trait Verifier: Send + 'static {
    /// Checks a signature of the input.
    fn verify(&self, input: &[u8], signature: &[u8]) -> Result<()>;
    /// As [`Signer::bare`].
    fn bare(&self) -> Option<MechanismType> {
        None
    }
}

/// A primitive that encrypts or decrypts.
pub(crate) trait Transform: Send + 'static {
    /// The longest output in bytes.
    fn output_len(&self) -> usize;
    /// What input that is too long means.
    fn too_long(&self) -> Error;
    /// The output for the input.
    fn transform(&self, input: &[u8]) -> Result<Bytes>;
}

/// Input that comes in parts, kept until it is complete.
struct Parts {
    so_far: Bytes,
    max: usize,
}

impl Parts {
    /// Adds a part, up to the longest input that can ever be right.
    fn add(&mut self, part: &[u8], too_long: Error) -> Result<()> {
        if part.len() > self.max.saturating_sub(self.so_far.len()) {
            return Err(too_long);
        }
        keep(&mut self.so_far, part)
    }
}

/// The most bytes that an operation of this process keeps until it ends.
static MOST_KEPT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Lets no operation of this process keep more than so many bytes until it ends: for a process that
/// computes for others, whose memory is not theirs to fill.
pub fn keep_at_most(bytes: usize) {
    MOST_KEPT.store(bytes, Ordering::Relaxed);
}

/// Whether so many bytes are no more than an operation may keep.
///
/// # Errors
///
/// `CKR_DEVICE_MEMORY`.
pub fn may_keep(len: usize) -> Result<()> {
    let most = MOST_KEPT.load(Ordering::Relaxed);
    if len <= most {
        return Ok(());
    }
    Err(Error::DeviceMemory.because(|| format!("{len} bytes at once, of {most} that there may be")))
}

/// Keeps one more part, if that is not too much.
pub(crate) fn keep(all: &mut Bytes, part: &[u8]) -> Result<()> {
    may_keep(all.len().saturating_add(part.len()))?;
    grow(all, part)
}

/// Appends without leaving the old contents behind where the vector was before it grew.
pub(crate) fn grow(all: &mut Bytes, part: &[u8]) -> Result<()> {
    let len = all.len() + part.len();
    if len > all.capacity() {
        let mut moved = room_for(len.saturating_mul(2))?;
        moved.extend_from_slice(all);
        *all = moved;
    }
    all.extend_from_slice(part);
    Ok(())
}

/// An operation whose input is the primitive's own, of at most `max` bytes.
pub(crate) struct Direct<P> {
    primitive: P,
    parts: Parts,
}

impl<P> Direct<P> {
    /// Starts it.
    pub(crate) fn start(primitive: P, max: usize) -> Box<Self> {
        Box::new(Self { primitive, parts: Parts { so_far: Bytes::default(), max } })
    }

    fn fits(&self, input: &[u8], too_long: Error) -> Result<()> {
        if input.len() > self.parts.max { Err(too_long) } else { Ok(()) }
    }
}

impl<P: Signer> Sign for Direct<P> {
    fn signature_len(&self) -> usize {
        self.primitive.signature_len()
    }

    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.parts.add(part, Error::DataLenRange)
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.primitive.sign(&self.parts.so_far)
    }

    fn sign(self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.fits(data, Error::DataLenRange)?;
        self.primitive.sign(data)
    }
}

impl<P: Verifier> Verify for Direct<P> {
    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.parts.add(part, Error::DataLenRange)
    }

    fn finish(self: Box<Self>, signature: &[u8]) -> Result<()> {
        self.primitive.verify(&self.parts.so_far, signature)
    }

    fn verify(self: Box<Self>, data: &[u8], signature: &[u8]) -> Result<()> {
        self.fits(data, Error::DataLenRange)?;
        self.primitive.verify(data, signature)
    }
}

impl<P: Transform> Cipher for Direct<P> {
    fn update_len(&self, _part: usize) -> usize {
        0
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        self.parts.add(part, self.primitive.too_long())?;
        Ok(Bytes::default())
    }

    fn finish_len(&self, _part: usize) -> usize {
        self.primitive.output_len()
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.primitive.transform(&self.parts.so_far)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.fits(input, self.primitive.too_long())?;
        self.primitive.transform(input)
    }
}

/// An operation that takes its input in a single part and in no other way: there is no such
/// operation for a part to be added to.
pub(crate) struct Single<P>(P);

impl<P> Single<P> {
    /// Starts it.
    pub(crate) fn start(primitive: P) -> Box<Self> {
        Box::new(Self(primitive))
    }
}

impl<P: Signer> Sign for Single<P> {
    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }

    fn update(&mut self, _part: &[u8]) -> Result<()> {
        Err(Error::OperationNotInitialized)
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        Err(Error::OperationNotInitialized)
    }

    fn sign(self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.0.sign(data)
    }
}

impl<P: Verifier> Verify for Single<P> {
    fn update(&mut self, _part: &[u8]) -> Result<()> {
        Err(Error::OperationNotInitialized)
    }

    fn finish(self: Box<Self>, _signature: &[u8]) -> Result<()> {
        Err(Error::OperationNotInitialized)
    }

    fn verify(self: Box<Self>, data: &[u8], signature: &[u8]) -> Result<()> {
        self.0.verify(data, signature)
    }
}

/// An operation whose input is hashed, and whose primitive takes the digest.
pub(crate) struct Hashed<P> {
    primitive: P,
    function: Function,
    /// There once a part came.
    running: Option<Running>,
}

impl<P> Hashed<P> {
    /// Starts it.
    pub(crate) fn start(primitive: P, function: impl Into<Function>) -> Box<Self> {
        Box::new(Self { primitive, function: function.into(), running: None })
    }

    fn add(&mut self, part: &[u8]) -> Result<()> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(self.function.start()?),
        };
        running.update(part)
    }

    fn digest(&mut self) -> Result<Bytes> {
        match self.running.take() {
            Some(running) => running.finish(),
            None => self.function.digest(&[]),
        }
    }
}

impl<P> Hashed<P> {
    /// Which digest may be given in place of the data, of a primitive that takes digests by `bare`.
    fn prehashed_by(&self, bare: MechanismType) -> Option<Prehash> {
        Some(Prehash { hash: self.function.mechanism()?, bare })
    }

    fn is_digest(&self, digest: &[u8]) -> Result<()> {
        let is_one = digest.len() == self.function.output_len();
        if is_one { Ok(()) } else { Err(Error::DataLenRange) }
    }
}

impl<P: Signer> Sign for Hashed<P> {
    fn signature_len(&self) -> usize {
        self.primitive.signature_len()
    }

    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.add(part)
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let digest = self.digest()?;
        self.primitive.sign(&digest)
    }

    fn state(&self) -> Option<Bytes> {
        self.running.as_ref().map_or(Some(Bytes::default()), Running::state)
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.running = self.function.resume(state)?;
        Ok(())
    }

    fn sign(self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.primitive.sign(&self.function.digest(data)?)
    }

    fn prehash(&self) -> Option<Prehash> {
        self.prehashed_by(self.primitive.bare()?)
    }

    fn sign_digest(self: Box<Self>, digest: &[u8]) -> Result<Bytes> {
        self.is_digest(digest)?;
        self.primitive.sign(digest)
    }
}

impl<P: Verifier> Verify for Hashed<P> {
    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.add(part)
    }

    fn finish(mut self: Box<Self>, signature: &[u8]) -> Result<()> {
        let digest = self.digest()?;
        self.primitive.verify(&digest, signature)
    }

    fn state(&self) -> Option<Bytes> {
        self.running.as_ref().map_or(Some(Bytes::default()), Running::state)
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.running = self.function.resume(state)?;
        Ok(())
    }

    fn verify(self: Box<Self>, data: &[u8], signature: &[u8]) -> Result<()> {
        self.primitive.verify(&self.function.digest(data)?, signature)
    }

    fn prehash(&self) -> Option<Prehash> {
        self.prehashed_by(self.primitive.bare()?)
    }

    fn verify_digest(self: Box<Self>, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.is_digest(digest)?;
        self.primitive.verify(digest, signature)
    }
}
