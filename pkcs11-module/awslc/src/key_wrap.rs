//! AES key wrap: KW (RFC 3394) and KWP, with padding (RFC 5649); both are in SP 800-38F.

use core::ffi::c_uint;
use core::mem::MaybeUninit;

use aws_lc_sys as sys;
use zeroize::{Zeroize, Zeroizing};

use crate::equal;
use crate::error::{Error, Result, failed};
use crate::memory::zeros;

/// The unit of these modes in bytes.
pub const SEMIBLOCK: usize = 8;

/// The IV of KW if nobody gives one (RFC 3394, 2.2.3.1).
pub const DEFAULT_IV: [u8; 8] = [0xa6; 8];

/// The fixed half of the IV of KWP if nobody gives one (RFC 5649, 3).
pub const DEFAULT_PADDED_IV: [u8; 4] = [0xa6, 0x59, 0x59, 0xa6];

type Expand = unsafe extern "C" fn(*const u8, c_uint, *mut sys::AES_KEY) -> core::ffi::c_int;

/// An AES key with its rounds expanded; boxed, so that it is never moved and leaves no copies.
struct Schedule(Box<sys::AES_KEY>);

impl Schedule {
    fn new(expand: Expand, key: &[u8]) -> Result<Self> {
        let bits = c_uint::try_from(key.len().saturating_mul(8)).map_err(|_| Error::Invalid)?;
        let mut made = Box::new(MaybeUninit::<sys::AES_KEY>::zeroed());
        // SAFETY: this is one of the two `AES_set_*_key`; the key is readable for `bits`, and
        // there is room for what is expanded from it.
        if unsafe { expand(key.as_ptr(), bits, made.as_mut_ptr()) } != 0 {
            return Err(failed());
        }
        // SAFETY: zeros were an `AES_KEY` already: it is an array and a number.
        Ok(Self(unsafe { made.assume_init() }))
    }

    fn encrypting(key: &[u8]) -> Result<Self> {
        Self::new(sys::AES_set_encrypt_key, key)
    }

    fn decrypting(key: &[u8]) -> Result<Self> {
        Self::new(sys::AES_set_decrypt_key, key)
    }

    fn encrypt(&self, block: &[u8; 16]) -> [u8; 16] {
        let mut out = [0; 16];
        // SAFETY: both are blocks, and the key is one for encryption.
        unsafe { sys::AES_encrypt(block.as_ptr(), out.as_mut_ptr(), &*self.0) };
        out
    }

    /// In place: what comes of it has a part of a key, and is wiped where it lies.
    fn decrypt(&self, block: &mut [u8; 16]) {
        let at = block.as_mut_ptr();
        // SAFETY: input and output are the same block, which the function allows, and the key is one
        // for decryption.
        unsafe { sys::AES_decrypt(at, at, &*self.0) };
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.rd_key.zeroize();
    }
}

/// KW of whole semiblocks, two or more.
///
/// # Errors
///
/// [`Error::Invalid`] for data of another length, or a key that is none of AES.
pub fn wrap(key: &[u8], iv: &[u8; 8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let schedule = Schedule::encrypting(key)?;
    let mut out = zeros(data.len().saturating_add(SEMIBLOCK))?;
    let (iv, to, from, len) = (iv.as_ptr(), out.as_mut_ptr(), data.as_ptr(), data.len());
    // SAFETY: the key is one for encryption, the IV has 8 bytes, the data is readable for its
    // length, and there is room for a semiblock more.
    if unsafe { sys::AES_wrap_key(&*schedule.0, iv, to, from, len) } < 0 {
        return Err(failed());
    }
    Ok(out)
}

/// Undoes [`wrap`].
///
/// # Errors
///
/// [`Error::Invalid`] for data that it did not make with this key and this IV.
pub fn unwrap(key: &[u8], iv: &[u8; 8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let schedule = Schedule::decrypting(key)?;
    let mut out = zeros(wrapped.len().saturating_sub(SEMIBLOCK))?;
    let (iv, to, from, len) = (iv.as_ptr(), out.as_mut_ptr(), wrapped.as_ptr(), wrapped.len());
    // SAFETY: the key is one for decryption, the IV has 8 bytes, the data is readable for its
    // length, and there is room for a semiblock less. It refuses less than three semiblocks.
    if unsafe { sys::AES_unwrap_key(&*schedule.0, iv, to, from, len) } < 0 {
        return Err(failed());
    }
    Ok(out)
}

/// KWP of at least one byte.
///
/// AWS-LC's own KWP knows only the default IV, so the alternative IV of RFC 5649, 3 is put together
/// here, and KW does the rest.
///
/// # Errors
///
/// [`Error::Invalid`] for no data or too much, or a key that is none of AES.
pub fn wrap_padded(key: &[u8], iv: &[u8; 4], data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let len = u32::try_from(data.len()).map_err(|_| Error::Invalid)?;
    let padded_len = data.len().checked_next_multiple_of(SEMIBLOCK).ok_or(Error::Invalid)?;
    let mut full_iv = [0; 8];
    full_iv.iter_mut().zip(iv.iter().chain(&len.to_be_bytes())).for_each(|(to, from)| *to = *from);
    let mut padded = zeros(padded_len)?;
    padded.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    match <[u8; SEMIBLOCK]>::try_from(padded.as_slice()).map(Zeroizing::new) {
        Ok(one) => {
            let wrapped = Schedule::encrypting(key)?.encrypt(&join(&full_iv, &one));
            Ok(Zeroizing::new(wrapped.to_vec()))
        }
        Err(_) => wrap(key, &full_iv, &padded),
    }
}

/// Undoes [`wrap_padded`].
///
/// # Errors
///
/// [`Error::Invalid`] for data that it did not make with this key and this IV.
pub fn unwrap_padded(key: &[u8], iv: &[u8; 4], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let schedule = Schedule::decrypting(key)?;
    let (blocks, []) = wrapped.as_chunks::<SEMIBLOCK>() else {
        return Err(Error::Invalid);
    };
    let (found, mut data) = match blocks {
        [] | [_] => return Err(Error::Invalid),
        [first, second] => {
            let mut block = Zeroizing::new(join(first, second));
            schedule.decrypt(&mut block);
            let (found, data) = split(&block);
            (*found, Zeroizing::new(data.to_vec()))
        }
        [first, rest @ ..] => unwind(&schedule, *first, rest)?,
    };
    let len = padded_len(iv, found, &data).ok_or(Error::Invalid)?;
    data.truncate(len);
    Ok(data)
}

/// W⁻¹ of SP 800-38F, 6.1 (algorithm 2): the IV that was found, and the data.
fn unwind(
    schedule: &Schedule,
    first: [u8; SEMIBLOCK],
    rest: &[[u8; SEMIBLOCK]],
) -> Result<([u8; SEMIBLOCK], Zeroizing<Vec<u8>>)> {
    let mut out = zeros(rest.as_flattened().len())?;
    out.copy_from_slice(rest.as_flattened());
    let mut head = u64::from_be_bytes(first);
    let mut step = u64::try_from(rest.len()).unwrap_or(u64::MAX).saturating_mul(6);
    let mut block = Zeroizing::new([0; 16]);
    for _ in 0..6 {
        for place in out.as_chunks_mut::<SEMIBLOCK>().0.iter_mut().rev() {
            *block = join(&(head ^ step).to_be_bytes(), place);
            schedule.decrypt(&mut block);
            let (high, low) = split(&block);
            head = u64::from_be_bytes(*high);
            place.clone_from(low);
            step = step.saturating_sub(1);
        }
    }
    Ok((head.to_be_bytes(), out))
}

/// The length of the data without its padding, if IV and padding are right (SP 800-38F, 6.3,
/// algorithm 6). All of it is looked at, whatever is wrong.
fn padded_len(iv: &[u8; 4], found: [u8; SEMIBLOCK], data: &[u8]) -> Option<usize> {
    let [a, b, c, d, len @ ..] = found;
    let len = usize::try_from(u32::from_be_bytes(len)).ok()?;
    let padding = data.len().wrapping_sub(len);
    let plausible = padding < SEMIBLOCK;
    let looked_at = if plausible { padding } else { SEMIBLOCK };
    let zeros = data.iter().rev().take(looked_at).fold(0, |all, byte| all | byte) == 0;
    (equal(&[a, b, c, d], iv) & plausible & zeros).then_some(len)
}

fn join(high: &[u8; SEMIBLOCK], low: &[u8; SEMIBLOCK]) -> [u8; 16] {
    (u128::from(u64::from_be_bytes(*high)) << 64 | u128::from(u64::from_be_bytes(*low)))
        .to_be_bytes()
}

fn split(block: &[u8; 16]) -> (&[u8; SEMIBLOCK], &[u8; SEMIBLOCK]) {
    let [high @ .., _, _, _, _, _, _, _, _] = block;
    let [_, _, _, _, _, _, _, _, low @ ..] = block;
    (high, low)
}
