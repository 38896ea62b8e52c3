//! AES in the modes of SP 800-38A (ECB, CBC, CTR, OFB, CFB) and SP 800-38D (GCM), in parts;
//! DES and 3DES in the first two.
//!
//! A [`Keyed`] has expanded its key and is shared by every operation with it; an operation starts
//! as a copy of it.

use core::ffi::{c_int, c_void};
use core::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::memory::reserve;
use crate::owned::CipherContext;

/// The length of a block of AES in bytes.
pub const BLOCK: usize = 16;

/// The length of a block of DES and 3DES in bytes.
pub const DES_BLOCK: usize = 8;

/// The length of a [`Running::state`] in bytes.
const STATE: usize = 16 + 32 + 32 + 2 * size_of::<c_int>() + 1;

/// The most that goes into one call: AWS-LC counts in `int`. A multiple of the block.
const CHUNK: usize = 1 << 30;

/// A mode of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each block for itself.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// A counter of 128 bits.
    Ctr,
    /// Galois/counter mode.
    Gcm,
    /// Output feedback.
    Ofb,
    /// Cipher feedback of a bit.
    Cfb1,
    /// Cipher feedback of a byte.
    Cfb8,
    /// Cipher feedback of a block.
    Cfb128,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From plaintext to ciphertext.
    Encrypt,
    /// From ciphertext to plaintext.
    Decrypt,
}

impl Direction {
    fn flag(self) -> c_int {
        match self {
            Self::Encrypt => 1,
            Self::Decrypt => 0,
        }
    }
}

type Getter = unsafe extern "C" fn() -> *const sys::EVP_CIPHER;

impl Mode {
    /// What AWS-LC calls this mode with a key of this many bytes.
    fn getter(self, key_len: usize) -> Option<Getter> {
        Some(match (self, key_len) {
            (Self::Ecb, 16) => sys::EVP_aes_128_ecb,
            (Self::Ecb, 24) => sys::EVP_aes_192_ecb,
            (Self::Ecb, 32) => sys::EVP_aes_256_ecb,
            (Self::Cbc, 16) => sys::EVP_aes_128_cbc,
            (Self::Cbc, 24) => sys::EVP_aes_192_cbc,
            (Self::Cbc, 32) => sys::EVP_aes_256_cbc,
            (Self::Ctr, 16) => sys::EVP_aes_128_ctr,
            (Self::Ctr, 24) => sys::EVP_aes_192_ctr,
            (Self::Ctr, 32) => sys::EVP_aes_256_ctr,
            (Self::Gcm, 16) => sys::EVP_aes_128_gcm,
            (Self::Gcm, 24) => sys::EVP_aes_192_gcm,
            (Self::Gcm, 32) => sys::EVP_aes_256_gcm,
            (Self::Ofb, 16) => sys::EVP_aes_128_ofb,
            (Self::Ofb, 24) => sys::EVP_aes_192_ofb,
            (Self::Ofb, 32) => sys::EVP_aes_256_ofb,
            (Self::Cfb1, 16) => sys::EVP_aes_128_cfb1,
            (Self::Cfb1, 24) => sys::EVP_aes_192_cfb1,
            (Self::Cfb1, 32) => sys::EVP_aes_256_cfb1,
            (Self::Cfb8, 16) => sys::EVP_aes_128_cfb8,
            (Self::Cfb8, 24) => sys::EVP_aes_192_cfb8,
            (Self::Cfb8, 32) => sys::EVP_aes_256_cfb8,
            (Self::Cfb128, 16) => sys::EVP_aes_128_cfb128,
            (Self::Cfb128, 24) => sys::EVP_aes_192_cfb128,
            (Self::Cfb128, 32) => sys::EVP_aes_256_cfb128,
            _ => return None,
        })
    }

    pub(crate) fn cipher(self, key_len: usize) -> Result<*const sys::EVP_CIPHER> {
        let getter = self.getter(key_len).ok_or(Error::Invalid)?;
        // SAFETY: the `EVP_aes_*` getters take nothing and return a pointer to a static.
        Ok(unsafe { getter() })
    }

    /// What AWS-LC calls this mode of DES (a key of 8 bytes) or 3DES (24).
    pub(crate) fn des(self, key_len: usize) -> Result<*const sys::EVP_CIPHER> {
        let getter: Getter = match (self, key_len) {
            (Self::Ecb, 8) => sys::EVP_des_ecb,
            (Self::Ecb, 24) => sys::EVP_des_ede3_ecb,
            (Self::Cbc, 8) => sys::EVP_des_cbc,
            (Self::Cbc, 24) => sys::EVP_des_ede3_cbc,
            _ => return Err(Error::Invalid),
        };
        // SAFETY: the `EVP_des_*` getters take nothing and return a pointer to a static.
        Ok(unsafe { getter() })
    }

    fn takes_iv_of(self, len: usize, block: usize) -> bool {
        match self {
            Self::Ecb => len == 0,
            Self::Cbc | Self::Ctr | Self::Ofb | Self::Cfb1 | Self::Cfb8 | Self::Cfb128 => {
                len == block
            }
            Self::Gcm => len > 0,
        }
    }
}

/// A cipher in a mode, with its key, ready to start.
pub struct Keyed {
    ctx: CipherContext,
    mode: Mode,
    block: usize,
}

// SAFETY: an `EVP_CIPHER_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Keyed {}
// SAFETY: once it has its key it is only copied from, which reads it.
unsafe impl Sync for Keyed {}

impl Keyed {
    /// Expands a key of 16, 24 or 32 bytes. GCM starts in either direction, whichever is given.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key of another length.
    pub fn new(mode: Mode, direction: Direction, key: &[u8]) -> Result<Self> {
        Self::with(mode, BLOCK, mode.cipher(key.len())?, direction, key)
    }

    /// Expands a key of DES (8 bytes) or of 3DES (24), in ECB or CBC.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key of another length, and for another mode.
    pub fn des(mode: Mode, direction: Direction, key: &[u8]) -> Result<Self> {
        Self::with(mode, DES_BLOCK, mode.des(key.len())?, direction, key)
    }

    /// The cipher is static, and the key has been found to have its length.
    fn with(
        mode: Mode,
        block: usize,
        cipher: *const sys::EVP_CIPHER,
        direction: Direction,
        key: &[u8],
    ) -> Result<Self> {
        let ctx = empty()?;
        let (raw, none, no_iv) = (ctx.as_ptr(), ptr::null_mut(), ptr::null());
        // SAFETY: the context is alive, the cipher static, the key as long as the cipher's, and
        // engine and IV may be null.
        check(unsafe {
            sys::EVP_CipherInit_ex(raw, cipher, none, key.as_ptr(), no_iv, direction.flag())
        })?;
        Ok(Self { ctx, mode, block })
    }

    /// Starts. `padding` is that of PKCS#7, for ECB and CBC.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an IV of a length that the mode does not have.
    pub fn start(&self, iv: &[u8], padding: bool) -> Result<Running> {
        if self.mode == Mode::Gcm || !self.mode.takes_iv_of(iv.len(), self.block) {
            return Err(Error::Invalid);
        }
        let running = self.copy()?;
        let iv = if iv.is_empty() { ptr::null() } else { iv.as_ptr() };
        // SAFETY: -1 leaves the direction, and the IV is as long as the mode's, or null.
        check(unsafe { reinit(running.raw(), iv, -1) })?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_CIPHER_CTX_set_padding(running.raw(), c_int::from(padding)) })?;
        Ok(running)
    }

    /// Starts GCM, with data that is authenticated and not encrypted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an empty IV, or one that is too long to count.
    pub fn start_gcm(&self, direction: Direction, iv: &[u8], aad: &[u8]) -> Result<Running> {
        if self.mode != Mode::Gcm || !self.mode.takes_iv_of(iv.len(), self.block) {
            return Err(Error::Invalid);
        }
        let mut running = self.copy()?;
        // SAFETY: the command wants the length alone.
        unsafe { running.control(sys::EVP_CTRL_AEAD_SET_IVLEN, iv.len(), ptr::null_mut()) }?;
        // SAFETY: the IV is as long as the context has just been told.
        check(unsafe { reinit(running.raw(), iv.as_ptr(), direction.flag()) })?;
        running.authenticate(aad)?;
        Ok(running)
    }

    fn copy(&self) -> Result<Running> {
        let ctx = empty()?;
        // SAFETY: both contexts are alive, and this one is only read.
        check(unsafe { sys::EVP_CIPHER_CTX_copy(ctx.as_ptr(), self.ctx.as_ptr()) })?;
        Ok(Running(ctx))
    }
}

fn empty() -> Result<CipherContext> {
    // SAFETY: it takes nothing.
    let made = unsafe { sys::EVP_CIPHER_CTX_new() };
    // SAFETY: the new context is nobody else's.
    unsafe { CipherContext::take(made) }
}

/// Gives a context that has its key an IV and a direction.
///
/// # Safety
///
/// The context is alive, and the IV as long as it wants, or null if it wants none.
unsafe fn reinit(ctx: *mut sys::EVP_CIPHER_CTX, iv: *const u8, direction: c_int) -> c_int {
    // SAFETY: as the caller promises; cipher, engine and key may be null and stay as they are.
    unsafe { sys::EVP_CipherInit_ex(ctx, ptr::null(), ptr::null_mut(), ptr::null(), iv, direction) }
}

/// An encryption or decryption under way.
pub struct Running(CipherContext);

// SAFETY: an `EVP_CIPHER_CTX` is plain memory that belongs to no thread.
unsafe impl Send for Running {}

impl Running {
    /// What ECB or CBC has beside its key, for [`resume`](Self::resume): what the next block is
    /// chained to, and what waits for the rest of its block or for the end.
    pub fn state(&self) -> Zeroizing<Vec<u8>> {
        // SAFETY: the context is alive, and nobody else reads or writes it.
        let ctx = unsafe { &*self.raw() };
        let mut state = Zeroizing::new(Vec::with_capacity(STATE));
        state.extend_from_slice(&ctx.iv);
        state.extend_from_slice(&ctx.buf);
        state.extend_from_slice(&ctx.final_);
        state.extend_from_slice(&ctx.buf_len.to_ne_bytes());
        state.extend_from_slice(&ctx.final_used.to_ne_bytes());
        state
    }

    /// Goes on from a [`state`](Self::state) of the same key, mode and direction.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is none.
    pub fn resume(&mut self, state: &[u8]) -> Result<()> {
        let parts = || {
            let (iv, rest) = state.split_first_chunk()?;
            let (waiting, rest) = rest.split_first_chunk()?;
            let (last, rest) = rest.split_first_chunk()?;
            let (waiting_len, rest) = rest.split_first_chunk()?;
            let has_last = rest.try_into().ok()?;
            let numbers = [*waiting_len, has_last].map(c_int::from_ne_bytes);
            Some((*iv, *waiting, *last, numbers))
        };
        let (iv, waiting, last, [waiting_len, has_last]) = parts().ok_or(Error::Invalid)?;
        // SAFETY: the context is alive and has its cipher.
        let block = unsafe { sys::EVP_CIPHER_CTX_block_size(self.raw()) };
        let block = c_int::try_from(block).map_err(|_| Error::Invalid)?;
        if !(0..block).contains(&waiting_len) || !(0..=1).contains(&has_last) {
            return Err(Error::Invalid);
        }
        // SAFETY: the context is alive, and nobody else reads or writes it. Any bytes are an IV and a
        // block, less than a block is waiting, and whether there is a last one is a yes or a no.
        let ctx = unsafe { &mut *self.raw() };
        (ctx.iv, ctx.buf, ctx.final_) = (iv, waiting, last);
        (ctx.buf_len, ctx.final_used) = (waiting_len, has_last);
        Ok(())
    }

    /// Adds input, and appends the output that is ready. With room for the input and a block
    /// reserved, the vector does not grow, and leaves no copies behind.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for more input than the mode takes.
    pub fn update(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        reserve(out, input.len().saturating_add(BLOCK))?;
        input.chunks(CHUNK).try_for_each(|chunk| self.step(chunk, out))
    }

    fn step(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let len = c_int::try_from(chunk.len()).map_err(|_| Error::Invalid)?;
        reserve(out, chunk.len().saturating_add(BLOCK))?;
        let (mut written, end) = (0, out.spare_capacity_mut().as_mut_ptr().cast());
        // SAFETY: the context is alive and has its key; the chunk is readable for its length; at
        // the end of `out` there is room for the chunk and a block, the most that is written.
        check(unsafe {
            sys::EVP_CipherUpdate(self.raw(), end, &mut written, chunk.as_ptr(), len)
        })?;
        // SAFETY: so many bytes have been written there.
        unsafe { grow(out, written) }
    }

    /// Appends the rest of the output.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for input that does not end with a block, for wrong padding, and for a
    /// tag that does not verify.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        reserve(out, BLOCK)?;
        let (mut written, end) = (0, out.spare_capacity_mut().as_mut_ptr().cast());
        // SAFETY: the context is alive and has its key; at the end of `out` there is room for a
        // block, the most that is written.
        check(unsafe { sys::EVP_CipherFinal_ex(self.raw(), end, &mut written) })?;
        // SAFETY: so many bytes have been written there.
        unsafe { grow(out, written) }
    }

    /// Appends the tag of a GCM encryption that is finished: its first `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a tag of no bytes, or of more than 16.
    pub fn tag(&mut self, len: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut tag = [0; BLOCK];
        let wanted = tag.get_mut(..len).ok_or(Error::Invalid)?;
        let at = wanted.as_mut_ptr().cast();
        // SAFETY: there is room for `len` bytes.
        unsafe { self.control(sys::EVP_CTRL_AEAD_GET_TAG, len, at) }?;
        out.extend_from_slice(wanted);
        Ok(())
    }

    /// Says which tag a GCM decryption must have, before it finishes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a tag of no bytes, or of more than 16.
    pub fn expect_tag(&mut self, tag: &[u8]) -> Result<()> {
        if tag.len() > BLOCK {
            return Err(Error::Invalid);
        }
        let at = tag.as_ptr().cast_mut().cast();
        // SAFETY: the command only reads the tag, all of it; other commands write.
        unsafe { self.control(sys::EVP_CTRL_AEAD_SET_TAG, tag.len(), at) }
    }

    /// Adds data that a GCM operation authenticates and does not encrypt, before any that it does.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for more than the mode takes.
    pub fn authenticate(&mut self, aad: &[u8]) -> Result<()> {
        aad.chunks(CHUNK).try_for_each(|chunk| {
            let len = c_int::try_from(chunk.len()).map_err(|_| Error::Invalid)?;
            let (mut written, nowhere) = (0, ptr::null_mut());
            // SAFETY: the context is alive and has key and IV; the chunk is readable for its
            // length; no output is what says that it is not to be encrypted.
            check(unsafe {
                sys::EVP_CipherUpdate(self.raw(), nowhere, &mut written, chunk.as_ptr(), len)
            })
        })
    }

    /// # Safety
    ///
    /// At `data` the command can read or write the `len` bytes that it wants, or it wants none.
    unsafe fn control(&mut self, command: c_int, len: usize, data: *mut c_void) -> Result<()> {
        let len = c_int::try_from(len).map_err(|_| Error::Invalid)?;
        // SAFETY: the context is alive; for the rest, as the caller promises.
        check(unsafe { sys::EVP_CIPHER_CTX_ctrl(self.raw(), command, len, data) })
    }

    fn raw(&self) -> *mut sys::EVP_CIPHER_CTX {
        self.0.as_ptr()
    }
}

/// Counts bytes at the end of a vector as part of it.
///
/// # Safety
///
/// The first `written` bytes of the spare capacity have been written.
unsafe fn grow(out: &mut Vec<u8>, written: c_int) -> Result<()> {
    let written = usize::try_from(written).map_err(|_| failed())?;
    let len = out.len().saturating_add(written);
    // SAFETY: as the caller promises.
    unsafe { out.set_len(len) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(mode: Mode, direction: Direction, padding: bool) -> Running {
        let iv = if mode == Mode::Ecb { &[][..] } else { &[9; BLOCK] };
        Keyed::new(mode, direction, &[1; 16]).unwrap().start(iv, padding).unwrap()
    }

    #[test]
    fn a_block_cipher_goes_on_from_its_state() {
        for (mode, padding) in [(Mode::Ecb, false), (Mode::Cbc, false), (Mode::Cbc, true)] {
            let plain = [7; 80];
            let mut cipher = Vec::new();
            let mut whole = start(mode, Direction::Encrypt, padding);
            whole.update(&plain, &mut cipher).unwrap();
            whole.finish(&mut cipher).unwrap();
            let ways = [
                (Direction::Encrypt, &plain[..], &cipher[..]),
                (Direction::Decrypt, &cipher, &plain),
            ];
            for (direction, input, output) in ways {
                for cut in [0, 1, 15, 16, 17, 64, input.len()] {
                    let (first, rest) = input.split_at(cut);
                    let mut made = Vec::new();
                    let mut one = start(mode, direction, padding);
                    one.update(first, &mut made).unwrap();
                    let mut two = start(mode, direction, padding);
                    two.update(&[3; 33], &mut Vec::new()).unwrap();
                    two.resume(&one.state()).unwrap();
                    two.update(rest, &mut made).unwrap();
                    two.finish(&mut made).unwrap();
                    assert_eq!(made, output, "{mode:?} {direction:?} {cut}");
                }
            }
        }
    }

    #[test]
    fn a_state_that_none_can_be_is_refused() {
        let mut running = start(Mode::Cbc, Direction::Encrypt, true);
        let state = running.state();
        assert!(running.resume(&state).is_ok());
        assert!(running.resume(&state[1..]).is_err());
        let number = size_of::<c_int>();
        for (at, wrong) in [(state.len() - 2 * number, 16), (state.len() - number, 2)] {
            for wrong in [wrong, -1] {
                let mut state = state.clone();
                state[at..at + number].copy_from_slice(&c_int::to_ne_bytes(wrong));
                assert!(running.resume(&state).is_err(), "{wrong}");
            }
        }
    }
}
