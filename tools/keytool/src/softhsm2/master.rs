//! The master key of a SoftHSM2 token: from a PIN, and what it encrypts.
//!
//! A PIN's blob is a salt of eight bytes, an initialization vector, and AES-256-CBC of `RJR` and
//! the master key, under SHA-256 of salt and PIN, hashed again and again. The three letters and
//! the padding are all that tells a right PIN.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use strongroom_types::Bytes;
use zeroize::Zeroizing;

const SALT: usize = 8;
const IV: usize = 16;
const MAGIC: &[u8] = b"RJR";

/// The least number of hashes; the last byte of the salt is added.
const HASHES: u32 = 1500;

/// The key that encrypts the private objects of a token. Not Debug on purpose.
#[derive(PartialEq, Eq)]
pub(crate) struct Master(Zeroizing<[u8; 32]>);

impl Master {
    /// Opens a PIN's blob; `None` if the PIN is wrong, or the blob is none.
    pub(super) fn open(blob: &[u8], pin: &[u8]) -> Option<Self> {
        let (salt, sealed) = blob.split_first_chunk::<SALT>()?;
        let open = decrypt(&derive(salt, pin), sealed)?;
        let key = open.strip_prefix(MAGIC)?.try_into().ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// Decrypts a value: an initialization vector, and the ciphertext.
    pub(super) fn decrypt(&self, value: &[u8]) -> Option<Bytes> {
        decrypt(&self.0, value)
    }
}

fn derive(salt: &[u8; SALT], pin: &[u8]) -> Zeroizing<[u8; 32]> {
    let hash = |bytes: &[u8]| {
        let digest = digest(&SHA256, bytes);
        Zeroizing::new(digest.as_ref().first_chunk().copied().unwrap_or_default())
    };
    // Reserved whole, because a vector that grows leaves copies of secrets behind.
    let mut first = Zeroizing::new(Vec::with_capacity(SALT + pin.len()));
    first.extend_from_slice(salt);
    first.extend_from_slice(pin);
    let [.., last] = *salt;
    (1..HASHES + u32::from(last)).fold(hash(&first), |key, _| hash(key.as_slice()))
}

fn decrypt(key: &[u8; 32], value: &[u8]) -> Option<Bytes> {
    let (iv, sealed) = value.split_first_chunk::<IV>()?;
    let key = UnboundCipherKey::new(&AES_256, key).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let len = key.decrypt(&mut bytes, DecryptionContext::Iv128(iv.into())).ok()?.len();
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};

    use super::*;

    fn encrypt(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
        let key = UnboundCipherKey::new(&AES_256, key).unwrap();
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
        let mut bytes = plain.to_vec();
        let context =
            key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128((&[9; IV]).into()));
        context.unwrap();
        [&[9; IV][..], &bytes].concat()
    }

    #[test]
    fn a_pin_opens_its_blob_and_no_other_does() {
        let salt = [1, 2, 3, 4, 5, 6, 7, 255];
        let plain = [MAGIC, &[7; 32]].concat();
        let blob = [&salt[..], &encrypt(&derive(&salt, b"1234"), &plain)].concat();
        assert_eq!(blob.len(), 72);
        let master = Master::open(&blob, b"1234").unwrap();
        assert!(*master.0 == [7; 32]);
        assert!(Master::open(&blob, b"1235").is_none());
        for end in 0..blob.len() {
            assert!(Master::open(&blob[..end], b"1234").is_none());
        }
    }

    #[test]
    fn a_value_is_decrypted_or_refused() {
        let master = Master(Zeroizing::new([3; 32]));
        let sealed = encrypt(&master.0, b"a label");
        assert_eq!(master.decrypt(&sealed).unwrap().as_slice(), b"a label");
        for end in 0..sealed.len() {
            assert!(master.decrypt(&sealed[..end]).is_none());
        }
    }
}
