//! Operations of modes that steal from the ciphertext: the output is as long as the input, of any
//! length from a block on, and the last two blocks are computed together.

use strongroom_awslc::cipher::BLOCK;
use strongroom_types::{Bytes, Result, room_for};

use crate::Cipher;
use crate::aes::Refusal;

/// A mode that steals.
pub(crate) trait Steals: Send + 'static {
    /// The longest input in bytes.
    fn longest(&self) -> usize {
        usize::MAX
    }
    /// Whole blocks that are not among the last two.
    fn blocks(&mut self, input: &[u8], out: &mut Bytes) -> Result<()>;
    /// The end: a block, and up to another.
    fn end(&mut self, input: &[u8], out: &mut Bytes) -> Result<()>;
}

/// An operation under way.
pub(crate) struct Stealing<M> {
    mode: M,
    /// How long the input has been so far.
    len: usize,
    /// Its end, of at most two blocks.
    held: Bytes,
    refusal: Refusal,
}

impl<M: Steals> Stealing<M> {
    /// Starts.
    pub(crate) fn start(mode: M, refusal: Refusal) -> Box<Self> {
        Box::new(Self { mode, len: 0, held: Bytes::default(), refusal })
    }

    /// What the length of the input is after a part.
    fn len_after(&self, part: usize) -> Result<usize> {
        let len = self.len.checked_add(part).filter(|len| *len <= self.mode.longest());
        len.ok_or(self.refusal.len)
    }
}

/// How much of an input of this length can not be among its last two blocks.
fn ready(len: usize) -> usize {
    len.div_ceil(BLOCK).saturating_sub(2) * BLOCK
}

impl<M: Steals> Cipher for Stealing<M> {
    fn check(&self, part: usize, last: bool) -> Result<()> {
        let len = self.len_after(part)?;
        if last && len < BLOCK { Err(self.refusal.len) } else { Ok(()) }
    }

    fn update_len(&self, part: usize) -> usize {
        ready(self.len.saturating_add(part)) - ready(self.len)
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        self.len = self.len_after(part.len())?;
        let mut all = room_for(self.held.len() + part.len())?;
        all.extend_from_slice(&self.held);
        all.extend_from_slice(part);
        let (blocks, rest) = all.split_at_checked(ready(all.len())).ok_or(self.refusal.len)?;
        let mut out = room_for(blocks.len() + BLOCK)?;
        self.mode.blocks(blocks, &mut out)?;
        self.held = Bytes::new(rest.to_vec());
        Ok(out)
    }

    fn finish_len(&self, part: usize) -> usize {
        let len = self.len.saturating_add(part);
        len - ready(len)
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        if self.len < BLOCK {
            return Err(self.refusal.len);
        }
        let mut out = Bytes::new(Vec::with_capacity(3 * BLOCK));
        self.mode.end(&self.held, &mut out)?;
        Ok(out)
    }
}
