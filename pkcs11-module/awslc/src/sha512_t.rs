//! SHA-512/t (FIPS 180-4, 5.3.6) for every t: AWS-LC has SHA-512, whose first hash value is public,
//! and of the others those of 224 and 256 bits alone.

use aws_lc_sys as sys;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result, check};

/// The length of the digest of SHA-512 in bytes.
const WHOLE: usize = 64;

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
    ctx: sys::SHA512_CTX,
    bits: usize,
}

impl Running {
    /// SHA-512 itself.
    fn new(bits: usize) -> Result<Self> {
        let ctx = sys::SHA512_CTX { h: [0; 8], Nl: 0, Nh: 0, p: [0; 128], num: 0, md_len: 0 };
        let mut this = Self { ctx, bits };
        // SAFETY: the structure is writable.
        check(unsafe { sys::SHA512_Init(&mut this.ctx) })?;
        Ok(this)
    }

    /// Adds data.
    ///
    /// # Errors
    ///
    /// As [`Sha512T::start`].
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        // SAFETY: the structure has been initialised, and the data is readable for its length.
        check(unsafe { sys::SHA512_Update(&mut self.ctx, data.as_ptr().cast(), data.len()) })
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
        check(unsafe { sys::SHA512_Final(out.as_mut_ptr(), &mut self.ctx) })?;
        Ok(out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ctx.h.zeroize();
        self.ctx.p.zeroize();
    }
}
