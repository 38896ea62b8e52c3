//! Salsa20 and Salsa20-Poly1305: `CKM_SALSA20_KEY_GEN`, `CKM_SALSA20` and `CKM_SALSA20_POLY1305`
//! (PKCS#11 3.2, "Salsa20").
//!
//! A nonce of 64 bits is that of Salsa20, one of 192 that of XSalsa20. Salsa20-Poly1305 is RFC 8439's
//! construction with this cipher in the place of ChaCha20: the standard describes both at once. NaCl's
//! secretbox, which has no authenticated data, is another. Salsa20 by itself does not wrap keys, as
//! ChaCha20 does not.

use salsa20::Salsa20;
use salsa20::cipher::consts::U10;
use salsa20::cipher::{KeyIvInit, StreamCipher, StreamCipherError, StreamCipherSeek};
use strongroom_awslc::equal;
use strongroom_awslc::poly1305::{KEY, Poly1305, TAG};
use strongroom_types::{
    Bytes, Error, Field, KeyType, Param, Params, Result, attribute, ck, copy_of, mechanism,
    room_for,
};
use zeroize::Zeroizing;

use crate::aes::Refusal;
use crate::chacha::{Settled, settled};
use crate::failure::param;
use crate::nonce_aad::{self, Construction, Terms};
use crate::stack::wiped;
use crate::{Cipher, Key, KeyTypeRow, Mechanism, Parsed, chacha};

const KEY_TYPE: KeyType = KeyType(ck!(CKK_SALSA20));

/// The length of a block of the key stream in bytes.
const BLOCK: u128 = 64;

/// `CKK_SALSA20`. Its keys have the attributes of those of ChaCha20.
pub(crate) static SALSA20: KeyTypeRow = KeyTypeRow {
    id: KEY_TYPE,
    name: "CKK_SALSA20",
    secret: Some(chacha::RULES),
    lengths: &[KEY],
    complete: |key| chacha::KIND.complete(key),
    parse: |key| Ok(Parsed::new(32, Salsa(settled(key.need(attribute::VALUE)?)?))),
    ..KeyTypeRow::NONE
};

/// A key, ready to compute.
struct Salsa(Settled);

/// Why there is no key stream.
const NO_NONCE: &str = "ulNonceBits is no length of a nonce";

impl Salsa {
    /// The key stream of a nonce, from its first block on.
    fn stream(&self, nonce: &[u8]) -> Result<KeyStream> {
        wiped(|| self.begin(nonce).map(|stream| KeyStream(Box::new(stream))))
    }

    fn begin(&self, nonce: &[u8]) -> Result<Salsa20> {
        let key: &[u8; KEY] = &self.0;
        let (left, right) = nonce.split_at(nonce.len().saturating_sub(8));
        let right = right.try_into().map_err(|_| param(NO_NONCE))?;
        match left {
            [] => Ok(Salsa20::new(key.into(), right)),
            _ => {
                let left = left.try_into().map_err(|_| param(NO_NONCE))?;
                let key = Zeroizing::new(salsa20::hsalsa::<U10>(key.into(), left));
                Ok(Salsa20::new(&key, right))
            }
        }
    }
}

/// A key stream. The crate leaves the key on the stack when it computes.
struct KeyStream(Box<Salsa20>);

impl KeyStream {
    fn apply(&mut self, data: &mut [u8]) -> core::result::Result<(), StreamCipherError> {
        wiped(|| self.0.try_apply_keystream(data))
    }

    fn seek(&mut self, at: u128) -> core::result::Result<(), StreamCipherError> {
        wiped(|| self.0.try_seek(at))
    }
}

const ROW: Mechanism = Mechanism { keys: &[KEY_TYPE], key_size: 32..=32, ..Mechanism::NONE };

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        id: mechanism!(CKM_SALSA20_KEY_GEN).0,
        name: mechanism!(CKM_SALSA20_KEY_GEN).1,
        generate: Some(chacha::generate),
        ..ROW
    },
    Mechanism {
        id: mechanism!(CKM_SALSA20).0,
        name: mechanism!(CKM_SALSA20).1,
        // `CK_SALSA20_PARAMS`: the first block's number, and the nonce.
        params: &[&[Field::Ptr(&[Field::Fixed(8)]), Field::PtrBits(&[64, 192])]],
        encrypt: Some(|key, params| Ok(Box::new(Stream::start(key, params)?))),
        decrypt: Some(|key, params| Ok(Box::new(Stream::start(key, params)?))),
        ..ROW
    },
    nonce_aad::row::<SalsaPoly1305>(Mechanism {
        id: mechanism!(CKM_SALSA20_POLY1305).0,
        name: mechanism!(CKM_SALSA20_POLY1305).1,
        ..ROW
    }),
];

/// Salsa20-Poly1305, and XSalsa20-Poly1305 by a longer nonce.
struct SalsaPoly1305;

impl SalsaPoly1305 {
    /// What encrypts, from the second block on, and what authenticates: its key is the beginning of
    /// the first block, and the rest of that is not used (RFC 8439, 2.6).
    fn begin(key: &Key, nonce: &[u8]) -> Result<(KeyStream, Poly1305)> {
        let salsa: &Salsa = key.material()?;
        let mut stream = salsa.stream(nonce)?;
        let mut one_time = Zeroizing::new([0; KEY]);
        let started = stream.apply(one_time.as_mut_slice());
        started.and_then(|()| stream.seek(BLOCK)).map_err(|_| Error::FunctionFailed)?;
        Ok((stream, Poly1305::new(&one_time)))
    }

    /// The tag over the authenticated data and the ciphertext, and their lengths (2.8).
    fn tag(mut mac: Poly1305, aad: &[u8], ciphertext: &[u8]) -> Result<Bytes> {
        let parts = [aad, ciphertext];
        for part in parts {
            mac.update(part);
            let padding = part.len().next_multiple_of(TAG) - part.len();
            mac.update([0; TAG].get(..padding).unwrap_or_default());
        }
        for part in parts {
            let len = u64::try_from(part.len()).map_err(|_| Error::FunctionFailed)?;
            mac.update(&len.to_le_bytes());
        }
        Ok(mac.finish())
    }
}

impl Construction for SalsaPoly1305 {
    const NONCES: &'static [usize] = &[8, 24];
    /// More blocks than there can be memory.
    const LONGEST: usize = usize::MAX;

    fn seal(
        key: &Key,
        Terms { nonce, aad, .. }: &Terms<Self>,
        plaintext: &[u8],
        refusal: Refusal,
    ) -> Result<Bytes> {
        let (mut stream, mac) = Self::begin(key, nonce)?;
        let mut out = room_for(plaintext.len().saturating_add(TAG))?;
        out.extend_from_slice(plaintext);
        stream.apply(&mut out).map_err(|_| refusal.len)?;
        let tag = Self::tag(mac, aad, &out)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    fn open(
        key: &Key,
        Terms { nonce, aad, .. }: &Terms<Self>,
        (ciphertext, tag): (&[u8], &[u8]),
        refusal: Refusal,
    ) -> Result<Bytes> {
        let (mut stream, mac) = Self::begin(key, nonce)?;
        if !equal(&Self::tag(mac, aad, ciphertext)?, tag) {
            return Err(refusal.content);
        }
        let mut out = copy_of(ciphertext)?;
        stream.apply(&mut out).map_err(|_| refusal.len)?;
        Ok(out)
    }
}

/// Salsa20 under way; both directions are the same.
struct Stream(KeyStream);

impl Stream {
    fn start(key: &Key, params: &Params) -> Result<Self> {
        let [Param::Structure(counter), Param::Bytes(nonce)] = params.as_slice() else {
            return Err(Error::MechanismParamInvalid);
        };
        let salsa: &Salsa = key.material()?;
        let mut stream = salsa.stream(nonce)?;
        let block = u64::from_le_bytes(counter.array()?);
        let at = u128::from(block) * BLOCK;
        stream.seek(at).map_err(|_| param("pBlockCounter is too large"))?;
        Ok(Self(stream))
    }
}

impl Cipher for Stream {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let mut out = copy_of(part)?;
        self.0.apply(&mut out).map_err(|_| Error::DataLenRange)?;
        Ok(out)
    }
}
