//! AES key wrap: `CKM_AES_KEY_WRAP` (KW), `CKM_AES_KEY_WRAP_KWP` and `CKM_AES_KEY_WRAP_PAD` (KWP)
//! (PKCS#11 3.2, "AES key wrap"; RFC 3394, RFC 5649, SP 800-38F).
//!
//! All of them also encrypt and decrypt. Input in parts is kept until the end, since the first
//! byte of the output depends on the last of the input.
//!
//! The standard deprecates `CKM_AES_KEY_WRAP_PAD` because it has been read in two ways; here it is
//! KWP, as in SoftHSMv2. `CKM_AES_KEY_WRAP_PKCS7` is the other reading: KW after the padding of
//! PKCS#7. It would also have KW fill up with zeros a key that is not made of whole
//! semiblocks, which would unwrap as another key; such a key is refused, and KWP is there for it.

use std::sync::Arc;

use strongroom_awslc::key_wrap::{self, SEMIBLOCK};
use strongroom_types::{Bytes, Field, Layout, Params, Result, mechanism, room_for};

use crate::aes::{self, Aes, Refusal};
use crate::failure::or;
use crate::whole::keep;
use crate::{Cipher, Key, Mechanism};

/// Nothing, or the IV.
static PARAMS: &[Layout] = &[&[], &[Field::Whole]];

/// The most that is kept, in bytes: AWS-LC takes no more.
const LONGEST: usize = (1 << 31) - 1;

/// The IV of one of the two, which also says which of them it is.
#[derive(Clone, Copy)]
enum Iv {
    Kw([u8; 8]),
    Kwp([u8; 4]),
    /// KW of data that PKCS#7 has filled up to whole semiblocks.
    Pkcs7([u8; 8]),
}

fn kw(params: &Params) -> Result<Iv> {
    if params.is_empty() { Ok(Iv::Kw(key_wrap::DEFAULT_IV)) } else { params.array().map(Iv::Kw) }
}

fn kwp(params: &Params) -> Result<Iv> {
    if params.is_empty() {
        Ok(Iv::Kwp(key_wrap::DEFAULT_PADDED_IV))
    } else {
        params.array().map(Iv::Kwp)
    }
}

fn pkcs7(params: &Params) -> Result<Iv> {
    match kw(params)? {
        Iv::Kw(iv) => Ok(Iv::Pkcs7(iv)),
        other => Ok(other),
    }
}

macro_rules! rows {
    ($($ckm:ident: $iv:ident, $whole:literal;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[$(Mechanism {
            encrypt: Some(|key, params| Ok(Gathering::start(key, $iv(params)?, &ENCRYPTION))),
            decrypt: Some(|key, params| Ok(Gathering::start(key, $iv(params)?, &DECRYPTION))),
            wrap: Some(|key, params, bytes| $iv(params)?.wrap(key, bytes, Refusal::WRAP)),
            unwrap: Some(|key, params, bytes, _| {
                $iv(params)?.unwrap(key, bytes, Refusal::UNWRAP)
            }),
            wraps_whole: $whole,
            ..aes::row(mechanism!($ckm), PARAMS)
        }),*];
    };
}

rows! {
    CKM_AES_KEY_WRAP: kw, true;
    CKM_AES_KEY_WRAP_KWP: kwp, true;
    CKM_AES_KEY_WRAP_PAD: kwp, true;
    // It takes what KW has wrapped, if that ends like padding, and cuts it.
    CKM_AES_KEY_WRAP_PKCS7: pkcs7, false;
}

impl Iv {
    fn wrap(self, key: &Key, data: &[u8], refusal: Refusal) -> Result<Bytes> {
        let key = Aes::of(key)?.value();
        match self {
            Self::Kw(iv) => key_wrap::wrap(key, &iv, data),
            Self::Kwp(iv) => key_wrap::wrap_padded(key, &iv, data),
            Self::Pkcs7(iv) => key_wrap::wrap(key, &iv, &padded(data)?),
        }
        .map_err(or(refusal.len))
    }

    fn unwrap(self, key: &Key, wrapped: &[u8], refusal: Refusal) -> Result<Bytes> {
        if wrapped.len() < self.shortest() || !wrapped.len().is_multiple_of(SEMIBLOCK) {
            return Err(refusal.len);
        }
        let key = Aes::of(key)?.value();
        match self {
            Self::Kw(iv) => key_wrap::unwrap(key, &iv, wrapped),
            Self::Kwp(iv) => key_wrap::unwrap_padded(key, &iv, wrapped),
            Self::Pkcs7(iv) => {
                let data = key_wrap::unwrap(key, &iv, wrapped).map_err(or(refusal.content))?;
                return unpadded(data).ok_or(refusal.content);
            }
        }
        .map_err(or(refusal.content))
    }

    /// The shortest output in bytes.
    fn shortest(self) -> usize {
        match self {
            Self::Kw(_) | Self::Pkcs7(_) => 3 * SEMIBLOCK,
            Self::Kwp(_) => 2 * SEMIBLOCK,
        }
    }
}

/// The data with the padding of PKCS#7 (RFC 5652, 6.3): as many bytes as are missing, 1 to 8, each
/// their number.
fn padded(data: &[u8]) -> Result<Bytes> {
    let missing = SEMIBLOCK - data.len() % SEMIBLOCK;
    let mut all = room_for(data.len() + missing)?;
    all.extend_from_slice(data);
    all.resize(data.len() + missing, u8::try_from(missing).unwrap_or_default());
    Ok(all)
}

/// The data without that padding, if it is right. What was unwrapped has authenticated, so nobody
/// learns anything from how long this takes.
fn unpadded(mut data: Bytes) -> Option<Bytes> {
    let last = *data.last()?;
    let len = data.len().checked_sub(usize::from(last))?;
    let right = (1..=SEMIBLOCK).contains(&usize::from(last))
        && data.get(len..)?.iter().all(|byte| *byte == last);
    data.truncate(len);
    right.then_some(data)
}

/// What is done with the input once it is complete.
struct Work {
    run: fn(Iv, &Key, &[u8], Refusal) -> Result<Bytes>,
    /// The longest output for an input of this length.
    output_len: fn(Iv, usize) -> usize,
    refusal: Refusal,
}

static ENCRYPTION: Work = Work {
    run: Iv::wrap,
    output_len: |iv, input| {
        let semiblocks = match iv {
            Iv::Kw(_) | Iv::Kwp(_) => input.div_ceil(SEMIBLOCK),
            Iv::Pkcs7(_) => input / SEMIBLOCK + 1,
        };
        semiblocks.saturating_add(1).saturating_mul(SEMIBLOCK)
    },
    refusal: Refusal::ENCRYPT,
};

static DECRYPTION: Work = Work {
    run: Iv::unwrap,
    output_len: |_, input| input.saturating_sub(SEMIBLOCK),
    refusal: Refusal::DECRYPT,
};

/// An encryption or decryption under way.
struct Gathering {
    key: Arc<Key>,
    iv: Iv,
    work: &'static Work,
    so_far: Bytes,
}

impl Gathering {
    fn start(key: &Arc<Key>, iv: Iv, work: &'static Work) -> Box<Self> {
        Box::new(Self { key: Arc::clone(key), iv, work, so_far: Bytes::default() })
    }

    fn run(&self, input: &[u8]) -> Result<Bytes> {
        (self.work.run)(self.iv, &self.key, input, self.work.refusal)
    }
}

impl Cipher for Gathering {
    fn update_len(&self, _part: usize) -> usize {
        0
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        if part.len() > LONGEST.saturating_sub(self.so_far.len()) {
            return Err(self.work.refusal.len);
        }
        keep(&mut self.so_far, part)?;
        Ok(Bytes::default())
    }

    fn finish_len(&self, part: usize) -> usize {
        (self.work.output_len)(self.iv, self.so_far.len().saturating_add(part))
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.run(&self.so_far)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.run(input)
    }
}
