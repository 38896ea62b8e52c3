//! SHA-512/t (FIPS 180-4, 5.3.6) for every t: AWS-LC has SHA-512, whose first hash value is public,
//! and of the others those of 224 and 256 bits alone.

use aws_lc_sys as sys;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result, check};

/// The length of the digest of SHA-512 in bytes.
const WHOLE: usize = 64;

/// The length of a [`Running::state`] in bytes: the hash value, a block, two halves of a length, and how
/// much of the block there is.
const STATE: usize = 64 + 128 + 2 * 8 + 1;

/// The function for one t.
#[derive(Clone, Copy)]
pub struct Sha512T {
    bits: usize,
    /// H(0).
    start: [u64; 8],
}

impl Sha512T {
    /// The length of a block in bytes.
    pub const BLOCK: usize = 128;

    /// The function whose digest has this many bits.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for none, for 384, and for 512 or more.
    pub fn new(bits: usize) -> Result<Self> {
        if !(1..512).contains(&bits) || bits == 384 {
            return Err(Error::Invalid);
        }
        let mut generator = Running::new(bits)?;
        generator.ctx.h.iter_mut().for_each(|word| *word ^= 0xa5a5_a5a5_a5a5_a5a5);
        generator.update(format!("SHA-512/{bits}").as_bytes())?;
        let whole = generator.whole()?;
        let (words, _) = whole.as_chunks::<8>();
        let mut start = [0; 8];
        start.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_be_bytes(*word));
        Ok(Self { bits, start })
    }

    /// The length of a digest in bytes, of which the last may not be full.
    pub fn output_len(&self) -> usize {
        self.bits.div_ceil(8)
    }

    /// Starts a digest.
    ///
    /// # Errors
    ///
    /// None of AWS-LC's own; the type says that an answer is not thrown away.
    pub fn start(&self) -> Result<Running> {
        let mut running = Running::new(self.bits)?;
        running.ctx.h = self.start;
        Ok(running)
    }

    /// Goes on from a [`Running::state`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is none.
    pub fn resume(&self, state: &[u8]) -> Result<Running> {
        let parts = || {
            let (h, rest) = state.split_first_chunk::<64>()?;
            let (p, rest) = rest.split_first_chunk()?;
            let (low, rest) = rest.split_first_chunk()?;
            let (high, rest) = rest.split_first_chunk()?;
            match rest {
                [waiting] if usize::from(*waiting) < Self::BLOCK => {
                    Some((h, p, low, high, waiting))
                }
                _ => None,
            }
        };
        let (h, p, low, high, waiting) = parts().ok_or(Error::Invalid)?;
        let mut running = self.start()?;
        let ctx = &mut running.ctx;
        let (words, _) = h.as_chunks();
        ctx.h.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_ne_bytes(*word));
        ctx.p.clone_from(p);
        ctx.num = u32::from(*waiting);
        (ctx.Nl, ctx.Nh) = (u64::from_ne_bytes(*low), u64::from_ne_bytes(*high));
        Ok(running)
    }

    /// The digest of data that is there at once.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn digest(&self, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut running = self.start()?;
        running.update(data)?;
        running.finish()
    }
}

/// A digest under way.
pub struct Running {
    /// Boxed, so that it is never moved and leaves no copies: a key that is digested waits in it.
    ctx: Box<sys::SHA512_CTX>,
    bits: usize,
}

impl Running {
    /// SHA-512 itself.
    fn new(bits: usize) -> Result<Self> {
        let ctx = sys::SHA512_CTX { h: [0; 8], Nl: 0, Nh: 0, p: [0; 128], num: 0, md_len: 0 };
        let mut this = Self { ctx: Box::new(ctx), bits };
        // SAFETY: the structure is writable.
        check(unsafe { sys::SHA512_Init(&mut *this.ctx) })?;
        Ok(this)
    }

    /// Adds data.
    ///
    /// # Errors
    ///
    /// As [`Sha512T::start`].
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        // SAFETY: the structure has been initialised, and the data is readable for its length.
        check(unsafe { sys::SHA512_Update(&mut *self.ctx, data.as_ptr().cast(), data.len()) })
    }

    /// What has been digested so far, for [`Sha512T::resume`].
    pub fn state(&self) -> Zeroizing<Vec<u8>> {
        let mut state = Zeroizing::new(Vec::with_capacity(STATE));
        self.ctx.h.iter().for_each(|word| state.extend_from_slice(&word.to_ne_bytes()));
        state.extend_from_slice(&self.ctx.p);
        state.extend_from_slice(&self.ctx.Nl.to_ne_bytes());
        state.extend_from_slice(&self.ctx.Nh.to_ne_bytes());
        // Less than a block is waiting.
        state.push(u8::try_from(self.ctx.num).unwrap_or(u8::MAX));
        state
    }

    /// The digest. Bits of its last byte that are beyond t are zero.
    ///
    /// # Errors
    ///
    /// As [`Sha512T::start`].
    pub fn finish(mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut digest = self.whole()?;
        digest.truncate(self.bits.div_ceil(8));
        let beyond = self.bits.next_multiple_of(8) - self.bits;
        if let Some(last) = digest.last_mut() {
            *last = *last >> beyond << beyond;
        }
        Ok(digest)
    }

    fn whole(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; WHOLE]);
        // SAFETY: the structure has been initialised, and there is room for a digest.
        check(unsafe { sys::SHA512_Final(out.as_mut_ptr(), &mut *self.ctx) })?;
        Ok(out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ctx.h.zeroize();
        self.ctx.p.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_goes_on_from_its_state() {
        let function = Sha512T::new(500).unwrap();
        for len in [0, 1, 127, 128, 129, 300] {
            let mut one = function.start().unwrap();
            one.update(&vec![7; len]).unwrap();
            let mut two = function.resume(&one.state()).unwrap();
            one.update(b"the rest").unwrap();
            two.update(b"the rest").unwrap();
            assert_eq!(one.finish().unwrap(), two.finish().unwrap());
        }
    }

    #[test]
    fn a_state_that_none_can_be_is_refused() {
        let function = Sha512T::new(500).unwrap();
        let mut state = function.start().unwrap().state();
        assert!(function.resume(&state).is_ok());
        assert!(function.resume(&state[1..]).is_err());
        *state.last_mut().unwrap() = 128;
        assert!(function.resume(&state).is_err());
    }
}
