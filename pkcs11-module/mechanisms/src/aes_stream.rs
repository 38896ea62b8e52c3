//! AES in output and cipher feedback: `CKM_AES_OFB`, `CKM_AES_CFB1`, `CKM_AES_CFB8` and
//! `CKM_AES_CFB128` (PKCS#11 3.2, "additional AES mechanisms"; SP 800-38A).
//!
//! As counter mode they do not wrap keys: whoever can flip a bit of what is wrapped would flip that
//! bit of the key.

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Params, Result, mechanism};

use crate::aes::{self, Aes};
use crate::failure::or;
use crate::{Cipher, Key, Mechanism};

macro_rules! rows {
    ($($ckm:ident: $mode:ident;)*) => {
        /// The rows of this family. The parameter is the IV.
        pub(crate) static ROWS: &[Mechanism] = &[$(Mechanism {
            encrypt: Some(|key, params| {
                Ok(Box::new(start(key, params, Mode::$mode, Direction::Encrypt)?))
            }),
            decrypt: Some(|key, params| {
                Ok(Box::new(start(key, params, Mode::$mode, Direction::Decrypt)?))
            }),
            ..aes::row(mechanism!($ckm), &[&[Field::Whole]])
        }),*];
    };
}

rows! {
    CKM_AES_OFB: Ofb;
    CKM_AES_CFB1: Cfb1;
    CKM_AES_CFB8: Cfb8;
    CKM_AES_CFB128: Cfb128;
}

fn start(key: &Key, params: &Params, mode: Mode, direction: Direction) -> Result<Streaming> {
    let iv = params.array::<BLOCK>()?;
    let keyed = Aes::of(key)?.keyed(mode, direction)?;
    Ok(Streaming(keyed.start(&iv, false).map_err(or(Error::MechanismParamInvalid))?))
}

/// An operation under way: each byte of input is one of output.
struct Streaming(Running);

impl Cipher for Streaming {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let mut out = Bytes::new(Vec::with_capacity(part.len().saturating_add(BLOCK)));
        self.0.update(part, &mut out).map_err(or(Error::DataLenRange))?;
        Ok(out)
    }

    fn finish_len(&self, _part: usize) -> usize {
        0
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        Ok(Bytes::default())
    }

    fn whole(mut self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.update(input)
    }
}
