//! AES-GCM: `CKM_AES_GCM` (PKCS#11 3.2, 6.15; SP 800-38D).
//!
//! A decryption gives out nothing until the tag has verified, so its parts are kept until the end.

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Layout, Param, Params, Result, mechanism};

use crate::aes::{self, Aes, Refusal};
use crate::failure::or;
use crate::{Cipher, Key, Mechanism};

/// `CK_GCM_PARAMS`, and as it was before the standard had `ulIvBits`: IV, its length in bits,
/// authenticated data, and the length of the tag in bits.
static PARAMS: &[Layout] = &[
    &[Field::PtrLen, Field::Ulong, Field::PtrLen, Field::Ulong],
    &[Field::PtrLen, Field::PtrLen, Field::Ulong],
];

/// The most that one IV can encrypt, in bytes (SP 800-38D, 5.2.1.1: 2^39 - 256 bits).
const LONGEST: usize = (1 << 36) - 32;

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    encrypt: Some(|key, params| Ok(Box::new(Encrypting::start(key, params, Refusal::ENCRYPT)?))),
    decrypt: Some(|key, params| Ok(Box::new(Decrypting::start(key, params, Refusal::DECRYPT)?))),
    wrap: Some(|key, params, bytes| Encrypting::start(key, params, Refusal::WRAP)?.run(bytes)),
    unwrap: Some(|key, params, bytes| Decrypting::start(key, params, Refusal::UNWRAP)?.run(bytes)),
    ..aes::row(mechanism!(CKM_AES_GCM), PARAMS)
}];

/// The length of the tag in bytes: one of those of SP 800-38D, 5.2.1.2 and appendix C.
fn tag_len(bits: u64) -> Result<usize> {
    match bits {
        32 | 64 | 96 | 104 | 112 | 120 | 128 => {
            usize::try_from(bits / 8).map_err(|_| Error::MechanismParamInvalid)
        }
        _ => Err(Error::MechanismParamInvalid),
    }
}

/// Starts, and says the length of the tag.
fn start(key: &Key, params: &Params, direction: Direction) -> Result<(Running, usize)> {
    let (iv, aad, tag_bits) = match params.as_slice() {
        [Param::Bytes(iv), Param::Ulong(iv_bits), Param::Bytes(aad), Param::Ulong(tag_bits)] => {
            check_iv_bits(*iv_bits, iv)?;
            (iv, aad, *tag_bits)
        }
        [Param::Bytes(iv), Param::Bytes(aad), Param::Ulong(tag_bits)] => (iv, aad, *tag_bits),
        _ => return Err(Error::MechanismParamInvalid),
    };
    let tag_len = tag_len(tag_bits)?;
    let running = Aes::of(key)?
        .keyed(Mode::Gcm, direction)?
        .start_gcm(direction, iv, aad)
        .map_err(or(Error::MechanismParamInvalid))?;
    Ok((running, tag_len))
}

/// The standard says that `ulIvLen` is the length and `ulIvBits` is not to be used for it. Most
/// callers set it nevertheless, and some leave it zero; one that says something else is mistaken.
fn check_iv_bits(bits: u64, iv: &[u8]) -> Result<()> {
    let len = u64::try_from(iv.len()).map_err(|_| Error::MechanismParamInvalid)?;
    if bits == 0 || len.checked_mul(8) == Some(bits) {
        Ok(())
    } else {
        Err(Error::MechanismParamInvalid)
    }
}

/// An encryption under way.
struct Encrypting {
    running: Running,
    tag_len: usize,
    /// How many more bytes this IV can encrypt.
    left: usize,
    refusal: Refusal,
}

impl Encrypting {
    fn start(key: &Key, params: &Params, refusal: Refusal) -> Result<Self> {
        let (running, tag_len) = start(key, params, Direction::Encrypt)?;
        Ok(Self { running, tag_len, left: LONGEST, refusal })
    }

    fn add(&mut self, part: &[u8], out: &mut Bytes) -> Result<()> {
        self.left = self.left.checked_sub(part.len()).ok_or(self.refusal.len)?;
        self.running.update(part, out).map_err(or(self.refusal.len))
    }

    fn end(&mut self, out: &mut Bytes) -> Result<()> {
        self.running
            .finish(out)
            .and_then(|()| self.running.tag(self.tag_len, out))
            .map_err(or(Error::FunctionFailed))
    }

    /// All of the input at once.
    fn run(mut self, input: &[u8]) -> Result<Bytes> {
        let mut out = Bytes::new(Vec::with_capacity(input.len().saturating_add(2 * BLOCK)));
        self.add(input, &mut out)?;
        self.end(&mut out)?;
        Ok(out)
    }
}

impl Cipher for Encrypting {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let mut out = Bytes::new(Vec::with_capacity(part.len().saturating_add(BLOCK)));
        self.add(part, &mut out)?;
        Ok(out)
    }

    fn finish_len(&self, _part: usize) -> usize {
        self.tag_len
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let mut out = Bytes::new(Vec::with_capacity(BLOCK));
        self.end(&mut out)?;
        Ok(out)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.run(input)
    }
}

/// A decryption under way.
struct Decrypting {
    running: Running,
    tag_len: usize,
    /// The parts so far: ciphertext, and the tag at the end.
    so_far: Vec<u8>,
    refusal: Refusal,
}

impl Decrypting {
    fn start(key: &Key, params: &Params, refusal: Refusal) -> Result<Self> {
        let (running, tag_len) = start(key, params, Direction::Decrypt)?;
        Ok(Self { running, tag_len, so_far: Vec::new(), refusal })
    }

    /// All of the input at once.
    fn run(mut self, input: &[u8]) -> Result<Bytes> {
        let len = input.len().checked_sub(self.tag_len).ok_or(self.refusal.len)?;
        if len > LONGEST {
            return Err(self.refusal.len);
        }
        let (ciphertext, tag) = input.split_at_checked(len).ok_or(self.refusal.len)?;
        let mut out = Bytes::new(Vec::with_capacity(len.saturating_add(2 * BLOCK)));
        self.running
            .expect_tag(tag)
            .and_then(|()| self.running.update(ciphertext, &mut out))
            .and_then(|()| self.running.finish(&mut out))
            .map_err(or(self.refusal.content))?;
        Ok(out)
    }
}

impl Cipher for Decrypting {
    fn update_len(&self, _part: usize) -> usize {
        0
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        if part.len() > (LONGEST + self.tag_len).saturating_sub(self.so_far.len()) {
            return Err(self.refusal.len);
        }
        self.so_far.extend_from_slice(part);
        Ok(Bytes::default())
    }

    fn finish_len(&self, part: usize) -> usize {
        self.so_far.len().saturating_add(part).saturating_sub(self.tag_len)
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let input = core::mem::take(&mut self.so_far);
        self.run(&input)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.run(input)
    }
}
