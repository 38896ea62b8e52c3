//! The key that seals saved operation states (5.6.6): what an operation has computed so far may say
//! something of a key, and what is made of it must be nobody else's invention.

use strongroom_awslc::gcm::{GcmKey, TAG};
use strongroom_types::{Bytes, Error, Result};

/// The length of the IV in bytes.
const IV: usize = 12;

/// A key that lives as long as the application: its states open in this process only.
pub struct StateKey(GcmKey);

impl StateKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`Error::FunctionFailed`] if there are no random numbers.
    pub fn new() -> Result<Self> {
        let mut key = Bytes::new(vec![0; 32]);
        crate::random(&mut key)?;
        GcmKey::new(&key).map(Self).map_err(|_| Error::FunctionFailed)
    }

    /// Seals a state.
    ///
    /// # Errors
    ///
    /// [`Error::FunctionFailed`] if there are no random numbers.
    pub fn seal(&self, state: &[u8]) -> Result<Bytes> {
        let mut iv = [0; IV];
        crate::random(&mut iv)?;
        let mut sealed = Bytes::new(iv.to_vec());
        let done = self.0.seal(&iv, &[], state, TAG, &mut sealed);
        done.map_err(|_| Error::FunctionFailed)?;
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// [`Error::SavedStateInvalid`] for anything else.
    pub fn open(&self, sealed: &[u8]) -> Result<Bytes> {
        let parts = || {
            let (iv, rest) = sealed.split_at_checked(IV)?;
            let (state, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
            Some((iv, state, tag))
        };
        let (iv, state, tag) = parts().ok_or(Error::SavedStateInvalid)?;
        let mut opened = Bytes::default();
        let done = self.0.open(iv, &[], state, tag, &mut opened);
        done.map_err(|_| Error::SavedStateInvalid)?;
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_key_opens_it() {
        let key = StateKey::new().unwrap();
        let sealed = key.seal(b"a state").unwrap();
        assert_eq!(key.open(&sealed).unwrap().as_slice(), b"a state");
        assert!(StateKey::new().unwrap().open(&sealed).is_err());
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert!(key.open(&forged).is_err(), "byte {at}");
            assert!(key.open(&sealed[..at]).is_err(), "{at} bytes");
        }
    }
}
