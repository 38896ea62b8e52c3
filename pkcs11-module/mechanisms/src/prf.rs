//! The pseudorandom functions that derivation functions are made of.

use strongroom_awslc as awslc;
use strongroom_awslc::cipher::{BLOCK, DES_BLOCK};
use strongroom_awslc::mac::{CmacKey, HmacKey};
use strongroom_types::{Bytes, Error, Result};

use crate::failure::or;
use crate::hash::Hash;

/// A MAC with one key.
pub(crate) struct Prf {
    key: Keyed,
    len: usize,
}

enum Keyed {
    Hmac(HmacKey),
    Cmac(CmacKey),
}

impl Prf {
    /// HMAC with a key of any length.
    pub(crate) fn hmac(hash: &Hash, key: &[u8]) -> Result<Self> {
        let key = HmacKey::new(hash.algorithm, key).map_err(or(Error::FunctionFailed))?;
        Ok(Self { key: Keyed::Hmac(key), len: hash.output_len() })
    }

    /// CMAC with a key of AES.
    pub(crate) fn cmac(key: &[u8]) -> Result<Self> {
        let key = CmacKey::new(key).map_err(or(Error::KeySizeRange))?;
        Ok(Self { key: Keyed::Cmac(key), len: BLOCK })
    }

    /// CMAC with a long key of 3DES.
    pub(crate) fn des3_cmac(key: &[u8]) -> Result<Self> {
        let key = CmacKey::des3(key).map_err(or(Error::KeySizeRange))?;
        Ok(Self { key: Keyed::Cmac(key), len: DES_BLOCK })
    }

    /// Whether who has the key can turn it round, and tell what went in from what came out.
    pub(crate) fn turns_round(&self) -> bool {
        matches!(self.key, Keyed::Cmac(_))
    }

    /// The length of what it gives in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Of these parts, one behind the other.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> Result<Bytes> {
        match &self.key {
            Keyed::Hmac(key) => key.mac(parts),
            Keyed::Cmac(key) => cmac(key, parts),
        }
        .map_err(or(Error::FunctionFailed))
    }
}

fn cmac(key: &CmacKey, parts: &[&[u8]]) -> awslc::Result<Bytes> {
    let mut mac = key.start()?;
    parts.iter().try_for_each(|part| mac.update(part))?;
    mac.finish()
}
