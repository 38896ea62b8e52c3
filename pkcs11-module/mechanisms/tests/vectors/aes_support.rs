//! How the tests drive AES: one part and many, encryption and wrapping, both ways.

use std::sync::Arc;

use strongroom_mechanisms::{Cipher, Key};
use strongroom_types::{Bytes, Error, KeyType, MechanismType, Param, Params, Result};

use crate::hash_vectors::secret;
use crate::support::row;

/// Sizes of parts that meet blocks in every way.
const PARTS: [usize; 7] = [1, 7, 15, 16, 17, 33, 64];

/// An AES key.
pub(crate) fn aes(value: &[u8]) -> Arc<Key> {
    secret(KeyType::AES, value).unwrap()
}

/// A parameter that is bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Params {
    [Param::from(bytes)].into_iter().collect()
}

/// What an operation can be asked for.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The mechanism.
    pub(crate) id: MechanismType,
    /// The key.
    pub(crate) key: &'a Arc<Key>,
    /// The parameter.
    pub(crate) params: &'a Params,
}

impl Call<'_> {
    /// Encrypts, in one part and in many; the answers must agree.
    pub(crate) fn encrypt(self, data: &[u8]) -> Result<Bytes> {
        self.agree(data, |call| {
            let start = row(call.id, call.key)?.encrypt.ok_or(Error::MechanismInvalid)?;
            start(call.key, call.params)
        })
    }

    /// Decrypts, in one part and in many; the answers must agree.
    pub(crate) fn decrypt(self, data: &[u8]) -> Result<Bytes> {
        self.agree(data, |call| {
            let start = row(call.id, call.key)?.decrypt.ok_or(Error::MechanismInvalid)?;
            start(call.key, call.params)
        })
    }

    /// Wraps.
    pub(crate) fn wrap(self, bytes: &[u8]) -> Result<Bytes> {
        let wrap = row(self.id, self.key)?.wrap.ok_or(Error::MechanismInvalid)?;
        wrap(self.key, self.params, bytes)
    }

    /// Unwraps.
    pub(crate) fn unwrap(self, bytes: &[u8]) -> Result<Bytes> {
        let unwrap = row(self.id, self.key)?.unwrap.ok_or(Error::MechanismInvalid)?;
        unwrap(self.key, self.params, bytes, &[])
    }

    /// Encrypting and wrapping the plaintext give the ciphertext, and the other way round.
    pub(crate) fn check(self, plaintext: &[u8], ciphertext: &[u8]) {
        assert_eq!(*self.encrypt(plaintext).unwrap(), ciphertext);
        assert_eq!(*self.decrypt(ciphertext).unwrap(), plaintext);
        if row(self.id, self.key).unwrap().wrap.is_some() && !plaintext.is_empty() {
            assert_eq!(*self.wrap(plaintext).unwrap(), ciphertext);
            assert_eq!(*self.unwrap(ciphertext).unwrap(), plaintext);
        }
    }

    fn agree(self, input: &[u8], start: impl Fn(Self) -> Result<Box<dyn Cipher>>) -> Result<Bytes> {
        let operation = start(self)?;
        let most = operation.whole_len(input.len());
        let whole = operation.whole(input);
        if let Ok(output) = &whole {
            assert!(output.len() <= most && most < output.len() + 16);
        }
        for part in PARTS {
            let answer = in_parts(start(self)?, input, part);
            assert!(answer == whole, "parts of {part} bytes");
        }
        whole
    }
}

/// Feeds an operation in parts. What it foretells of a part is exact, and what it foretells of the
/// end is enough.
fn in_parts(mut operation: Box<dyn Cipher>, input: &[u8], part: usize) -> Result<Bytes> {
    let mut all = Bytes::default();
    for part in input.chunks(part) {
        let len = operation.update_len(part.len());
        let output = operation.update(part)?;
        assert_eq!(output.len(), len);
        all.extend_from_slice(&output);
    }
    assert_eq!(operation.update_len(0), 0);
    assert!(operation.update(&[])?.is_empty());
    let most = operation.finish_len(0);
    let rest = operation.finish()?;
    assert!(rest.len() <= most);
    all.extend_from_slice(&rest);
    Ok(all)
}
