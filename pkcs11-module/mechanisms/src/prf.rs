//! HMAC as the pseudorandom function that derivation functions are made of.

use strongroom_awslc::mac::HmacKey;
use strongroom_types::{Bytes, Error, Result};

use crate::failure::or;
use crate::hash::Hash;

/// HMAC with one key.
pub(crate) struct Prf(HmacKey);

impl Prf {
    /// With this key, of any length.
    pub(crate) fn new(hash: &Hash, key: &[u8]) -> Result<Self> {
        HmacKey::new(hash.algorithm, key).map(Self).map_err(or(Error::FunctionFailed))
    }

    /// Of these parts, one behind the other.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> Result<Bytes> {
        let run = || {
            let mut mac = self.0.start()?;
            parts.iter().try_for_each(|part| mac.update(part))?;
            mac.finish()
        };
        run().map_err(or(Error::FunctionFailed))
    }
}
