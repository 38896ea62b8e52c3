//! AES-GCM: `CKM_AES_GCM` and `CKM_AES_GMAC` (PKCS#11 3.2, "additional AES mechanisms"; SP 800-38D).
//!
//! An encryption gives out its parts as they come; decryption is as that of the others.

use std::sync::Arc;

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_awslc::gcm::TAG;
use strongroom_types::{
    Bytes, Error, Field, Layout, Param, Params, Result, copy_of, mechanism, room_for,
};

use crate::aes::{self, Aes, Refusal};
use crate::failure::{or, param};
use crate::mac::{Cut, Mac};
use crate::sealed::{self, Terms as _};
use crate::{Aead, Cipher, Key, Mechanism, message};

/// `CK_GCM_PARAMS`: IV, its length in bits, authenticated data, and the length of the tag in bits.
const PRESENT: Layout = &[Field::PtrLen, Field::Ulong, Field::PtrLen, Field::Ulong];

/// As it was before the standard had `ulIvBits`.
const FORMER: Layout = &[Field::PtrLen, Field::PtrLen, Field::Ulong];

/// `CK_GCM_WRAP_PARAMS`, of `C_WrapKey` and `C_UnwrapKey`: IV, how many of its bits stay, how the
/// others are made, authenticated data, and the length of the tag in bits.
const WRAPPING: Layout =
    &[Field::InOutPtrLen, Field::Ulong, Field::Ulong, Field::PtrLen, Field::Ulong];

/// The most that one IV can encrypt, in bytes (SP 800-38D, 5.2.1.1: 2^39 - 256 bits).
const LONGEST: usize = (1 << 36) - 32;

/// The longest IV in bytes: AWS-LC takes no more.
const LONGEST_IV: usize = (1 << 31) - 1;

/// The rows of this family. GMAC is GCM of nothing: the message is what it authenticates only.
pub(crate) static ROWS: &[Mechanism] = &[GCM, GMAC];

const GMAC: Mechanism = Mechanism {
    sign: Some(|key, params| {
        let (mac, len) = gmac(key, params)?;
        Ok(Cut::start(mac, len))
    }),
    verify: Some(|key, params| {
        let (mac, len) = gmac(key, params)?;
        Ok(Cut::start(mac, len))
    }),
    ..aes::row(mechanism!(CKM_AES_GMAC), &[PRESENT, FORMER])
};

const GCM: Mechanism = Mechanism {
    encrypt: Some(|key, params| Ok(Box::new(Encrypting::start(key, params)?))),
    message: Some(&MESSAGE),
    ..sealed::row::<Terms>(aes::row(mechanism!(CKM_AES_GCM), &[PRESENT, FORMER, WRAPPING]))
};

/// Starts a GMAC, and tells its length.
fn gmac(key: &Key, params: &Params) -> Result<(Gmac, usize)> {
    let terms = Terms::read(params)?;
    if !terms.aad.is_empty() {
        return Err(param("there is pAAD, and the data are what is authenticated"));
    }
    Ok((Gmac(terms.start(key, Direction::Encrypt)?), terms.tag_len))
}

/// A GMAC under way.
struct Gmac(Running);

impl Mac for Gmac {
    fn update(&mut self, part: &[u8]) -> strongroom_awslc::Result<()> {
        self.0.authenticate(part)
    }

    fn finish(mut self) -> strongroom_awslc::Result<Bytes> {
        let mut tag = Bytes::new(Vec::with_capacity(BLOCK));
        self.0.finish(&mut tag)?;
        self.0.tag(TAG, &mut tag)?;
        Ok(tag)
    }
}

/// `CK_GCM_MESSAGE_PARAMS`: IV, how many of its bits stay, how the others are made, and the tag.
static MESSAGE: Aead = Aead {
    layouts: &[&[Field::InOutPtrLen, Field::Ulong, Field::Ulong, Field::InOutPtrBits], &[]],
    read: |params| {
        let [
            Param::Bytes(iv),
            Param::Ulong(fixed_bits),
            Param::Ulong(generator),
            Param::Bytes(tag),
        ] = params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        check_iv(iv)?;
        let tag_bits = u64::try_from(tag.len()).map_err(|_| Error::MechanismParamInvalid)? * 8;
        tag_len(tag_bits)?;
        Ok(message::Terms {
            nonce: iv.clone(),
            fixed_bits: *fixed_bits,
            generator: *generator,
            tag: tag.clone(),
            data_len: None,
        })
    },
    read_wrapping: |params| {
        let [
            Param::Bytes(iv),
            Param::Ulong(fixed_bits),
            Param::Ulong(generator),
            Param::Bytes(aad),
            Param::Ulong(tag_bits),
        ] = params.as_slice()
        else {
            return Ok(None);
        };
        check_iv(iv)?;
        let terms = message::Terms {
            nonce: iv.clone(),
            fixed_bits: *fixed_bits,
            generator: *generator,
            tag: Bytes::new(vec![0; tag_len(*tag_bits)?]),
            data_len: None,
        };
        Ok(Some((terms, aad.clone())))
    },
    seal: |key, iv, aad, data, tag_len| {
        Terms::of(iv, aad, tag_len)?.seal(key, data, Refusal::ENCRYPT)
    },
    open: |key, iv, aad, data, tag_len| {
        Terms::of(iv, aad, tag_len)?.open(key, data, Refusal::DECRYPT)
    },
};

/// What the parameter says.
struct Terms {
    iv: Bytes,
    aad: Bytes,
    /// In bytes.
    tag_len: usize,
}

impl Terms {
    fn of(iv: &[u8], aad: &[u8], tag_len: usize) -> Result<Self> {
        Ok(Self { iv: copy_of(iv)?, aad: copy_of(aad)?, tag_len })
    }

    /// Starts an operation in parts.
    fn start(&self, key: &Key, direction: Direction) -> Result<Running> {
        Aes::of(key)?
            .keyed(Mode::Gcm, direction)?
            .start_gcm(direction, &self.iv, &self.aad)
            .map_err(or(Error::MechanismParamInvalid))
    }
}

impl sealed::Terms for Terms {
    fn read(params: &Params) -> Result<Self> {
        let (iv, aad, tag_bits) = match params.as_slice() {
            [Param::Bytes(iv), Param::Ulong(bits), Param::Bytes(aad), Param::Ulong(tag_bits)] => {
                check_iv_bits(*bits, iv)?;
                (iv, aad, *tag_bits)
            }
            [Param::Bytes(iv), Param::Bytes(aad), Param::Ulong(tag_bits)] => (iv, aad, *tag_bits),
            _ => return Err(Error::MechanismParamInvalid),
        };
        check_iv(iv)?;
        Ok(Self { iv: iv.clone(), aad: aad.clone(), tag_len: tag_len(tag_bits)? })
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn longest(&self) -> usize {
        LONGEST
    }

    fn seal(&self, key: &Key, input: &[u8], refusal: Refusal) -> Result<Bytes> {
        if input.len() > LONGEST {
            return Err(refusal.len);
        }
        let mut out = room_for(input.len().saturating_add(TAG))?;
        Aes::of(key)?
            .gcm()?
            .seal(&self.iv, &self.aad, input, self.tag_len, &mut out)
            .map_err(or(refusal.content))?;
        Ok(out)
    }

    fn open(&self, key: &Key, input: &[u8], refusal: Refusal) -> Result<Bytes> {
        let len = input.len().checked_sub(self.tag_len).ok_or(refusal.len)?;
        if len > LONGEST {
            return Err(refusal.len);
        }
        let (ciphertext, tag) = input.split_at_checked(len).ok_or(refusal.len)?;
        let mut out = room_for(len.saturating_add(2 * BLOCK))?;
        let done = if tag.len() == TAG {
            Aes::of(key)?.gcm()?.open(&self.iv, &self.aad, ciphertext, tag, &mut out)
        } else {
            // Only an operation in parts compares less than a whole tag.
            let mut running = self.start(key, Direction::Decrypt)?;
            running
                .expect_tag(tag)
                .and_then(|()| running.update(ciphertext, &mut out))
                .and_then(|()| running.finish(&mut out))
        };
        done.map_err(or(refusal.content))?;
        Ok(out)
    }
}

fn check_iv(iv: &[u8]) -> Result<()> {
    if iv.is_empty() || iv.len() > LONGEST_IV {
        return Err(param("ulIvLen is zero, or too large"));
    }
    Ok(())
}

/// The length of the tag in bytes: one of those of SP 800-38D, 5.2.1.2 and appendix C.
fn tag_len(bits: u64) -> Result<usize> {
    match bits {
        32 | 64 | 96 | 104 | 112 | 120 | 128 => {
            usize::try_from(bits / 8).map_err(|_| Error::MechanismParamInvalid)
        }
        _ => Err(param("ulTagBits is no length of a tag of GCM")),
    }
}

/// The standard says that `ulIvLen` is the length and `ulIvBits` is not to be used for it. Most
/// callers set it nevertheless, and some leave it zero; one that says something else is mistaken.
fn check_iv_bits(bits: u64, iv: &[u8]) -> Result<()> {
    let len = u64::try_from(iv.len()).map_err(|_| Error::MechanismParamInvalid)?;
    if bits == 0 || len.checked_mul(8) == Some(bits) {
        Ok(())
    } else {
        Err(param("ulIvBits is not the length of the IV"))
    }
}

/// An encryption under way.
struct Encrypting {
    key: Arc<Key>,
    terms: Terms,
    /// There once a part came; an encryption in a single part needs none.
    running: Option<Running>,
    /// How many more bytes this IV can encrypt.
    left: usize,
}

impl Encrypting {
    fn start(key: &Arc<Key>, params: &Params) -> Result<Self> {
        let terms = Terms::read(params)?;
        Ok(Self { key: Arc::clone(key), terms, running: None, left: LONGEST })
    }

    fn running(&mut self) -> Result<&mut Running> {
        match &mut self.running {
            Some(running) => Ok(running),
            none => Ok(none.insert(self.terms.start(&self.key, Direction::Encrypt)?)),
        }
    }
}

impl Cipher for Encrypting {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        self.left = self.left.checked_sub(part.len()).ok_or(Error::DataLenRange)?;
        let mut out = room_for(part.len().saturating_add(BLOCK))?;
        self.running()?.update(part, &mut out).map_err(or(Error::DataLenRange))?;
        Ok(out)
    }

    fn finish_len(&self, _part: usize) -> usize {
        self.terms.tag_len
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let tag_len = self.terms.tag_len;
        let running = self.running()?;
        let mut out = Bytes::new(Vec::with_capacity(BLOCK));
        running
            .finish(&mut out)
            .and_then(|()| running.tag(tag_len, &mut out))
            .map_err(or(Error::FunctionFailed))?;
        Ok(out)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.terms.seal(&self.key, input, Refusal::ENCRYPT)
    }
}
