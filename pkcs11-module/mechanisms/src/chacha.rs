//! ChaCha20 and ChaCha20-Poly1305 (RFC 8439): `CKM_CHACHA20_KEY_GEN`, `CKM_CHACHA20` and
//! `CKM_CHACHA20_POLY1305` (PKCS#11 3.2, "ChaCha20").
//!
//! The construction with a nonce of 64 bits is Bernstein's older one, which AWS-LC does not have for
//! ChaCha20-Poly1305; that with 192 is XChaCha20-Poly1305. ChaCha20 by itself does not wrap keys:
//! whoever can flip a bit of what is wrapped would flip that bit of the key.

use strongroom_awslc::chacha::{BLOCK, ChaChaKey, KEY, chacha20};
use strongroom_awslc::gcm::TAG;
use strongroom_types::rule::{Default, Rule};
use strongroom_types::{
    Attributes, Bytes, Error, Field, KeyType, Param, Params, Result, attribute, ck, copy_of,
    mechanism, room_for, rules,
};
use zeroize::Zeroizing;

use crate::aes::Refusal;
use crate::failure::{or, or_since, param};
use crate::hash;
use crate::nonce_aad::{self, Construction, Terms};
use crate::secret::Kind;
use crate::{Cipher, Key, KeyTypeRow, Mechanism, Parsed};

const KEY_TYPE: KeyType = KeyType(ck!(CKK_CHACHA20));

/// The length of a key in bytes, as attributes have it.
const LEN: u64 = 32;

/// The attributes of these keys. Their length is always the same, so who generates one need not
/// say it.
pub(crate) static RULES: &[Rule] = rules! {
    VALUE: Default::Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    VALUE_LEN: Default::Absent, NOT_BY_CREATE;
    CHECK_VALUE: Default::Absent, MAY_BE_EMPTIED;
};

/// Keys of 32 bytes.
pub(crate) const KIND: Kind = Kind {
    takes: |len| len == LEN,
    // "ChaCha20 secret key objects": no block of the stream, but the digest of the key.
    check_value: |value| hash::SHA1.digest(value),
};

/// `CKK_CHACHA20`.
pub(crate) static CHACHA20: KeyTypeRow = KeyTypeRow {
    id: KEY_TYPE,
    name: "CKK_CHACHA20",
    secret: Some(RULES),
    lengths: &[KEY],
    complete: |key| KIND.complete(key),
    parse: |key| Ok(Parsed::new(32, ChaCha(settled(key.need(attribute::VALUE)?)?))),
    ..KeyTypeRow::NONE
};

/// A key, ready to compute.
struct ChaCha(Settled);

/// The bytes of a key in one place: of an array that moves, a copy stays behind.
pub(crate) type Settled = Box<Zeroizing<[u8; KEY]>>;

/// Puts the bytes of a key in their place.
pub(crate) fn settled(value: &[u8]) -> Result<Settled> {
    let value: &[u8; KEY] = value.try_into().map_err(|_| Error::KeySizeRange)?;
    let mut settled = Box::new(Zeroizing::new([0; KEY]));
    settled.copy_from_slice(value);
    Ok(settled)
}

const ROW: Mechanism = Mechanism { keys: &[KEY_TYPE], key_size: 32..=32, ..Mechanism::NONE };

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        id: mechanism!(CKM_CHACHA20_KEY_GEN).0,
        name: mechanism!(CKM_CHACHA20_KEY_GEN).1,
        generate: Some(generate),
        ..ROW
    },
    Mechanism {
        id: mechanism!(CKM_CHACHA20).0,
        name: mechanism!(CKM_CHACHA20).1,
        // `CK_CHACHA20_PARAMS`: the first block's number, and the nonce.
        params: &[&[Field::PtrBits(&[32, 64]), Field::PtrBits(&[64, 96])]],
        encrypt: Some(|key, params| Ok(Box::new(Stream::start(key, params)?))),
        decrypt: Some(|key, params| Ok(Box::new(Stream::start(key, params)?))),
        ..ROW
    },
    nonce_aad::row::<ChaChaPoly1305>(Mechanism {
        id: mechanism!(CKM_CHACHA20_POLY1305).0,
        name: mechanism!(CKM_CHACHA20_POLY1305).1,
        ..ROW
    }),
];

/// Makes a key, whose length may be said.
pub(crate) fn generate(_: &Params, key: &mut Attributes) -> Result<()> {
    if !key.has(attribute::VALUE_LEN.info) {
        key.set(attribute::VALUE_LEN, LEN);
    }
    KIND.generate(key)
}

/// ChaCha20-Poly1305, and XChaCha20-Poly1305 by a longer nonce.
struct ChaChaPoly1305;

impl ChaChaPoly1305 {
    fn key(key: &Key, nonce: &[u8]) -> Result<ChaChaKey> {
        let ChaCha(value) = key.material()?;
        ChaChaKey::new(value, nonce.len())
            .map_err(or_since(Error::MechanismParamInvalid, "ulNonceLen is no length of a nonce"))
    }
}

impl Construction for ChaChaPoly1305 {
    const NONCES: &'static [usize] = &[12, 24];
    /// Of one nonce: 2^32 - 1 blocks (RFC 8439, 2.8).
    const LONGEST: usize = ((1 << 32) - 1) * BLOCK;

    fn seal(
        key: &Key,
        Terms { nonce, aad, .. }: &Terms<Self>,
        plaintext: &[u8],
        refusal: Refusal,
    ) -> Result<Bytes> {
        let mut out = room_for(plaintext.len().saturating_add(TAG))?;
        let sealed = Self::key(key, nonce)?.seal(nonce, aad, plaintext, &mut out);
        sealed.map_err(or(refusal.len))?;
        Ok(out)
    }

    fn open(
        key: &Key,
        Terms { nonce, aad, .. }: &Terms<Self>,
        (ciphertext, tag): (&[u8], &[u8]),
        refusal: Refusal,
    ) -> Result<Bytes> {
        let mut out = room_for(ciphertext.len())?;
        let opened = Self::key(key, nonce)?.open(nonce, aad, ciphertext, tag, &mut out);
        opened.map_err(or(refusal.content))?;
        Ok(out)
    }
}

/// ChaCha20 under way; both directions are the same.
struct Stream {
    key: Settled,
    nonce: [u8; 12],
    /// The next block.
    block: u32,
    /// How many blocks there are from it on.
    left: u64,
    /// How much of the next block has been used.
    used: usize,
}

impl Stream {
    /// A counter of 32 bits goes with a nonce of 96, as RFC 8439 has it; of Bernstein's counter of
    /// 64 bits the upper half is where the other nonce has more, and a message ends with the lower.
    fn start(key: &Key, params: &Params) -> Result<Self> {
        let [Param::Bytes(counter), Param::Bytes(nonce)] = params.as_slice() else {
            return Err(Error::MechanismParamInvalid);
        };
        let all = [counter.as_slice(), nonce.as_slice()].concat();
        let fits = matches!((counter.len(), nonce.len()), (4, 12) | (8, 8));
        let (Some(block), Some(nonce), true) = (all.first_chunk(), all.last_chunk(), fits) else {
            return Err(param("blockCounterBits and ulNonceBits do not go together"));
        };
        let ChaCha(value) = key.material()?;
        let block = u32::from_le_bytes(*block);
        let left = u64::from(u32::MAX - block) + 1;
        Ok(Self { key: settled(value.as_slice())?, nonce: *nonce, block, left, used: 0 })
    }
}

impl Cipher for Stream {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        // What has been used of a block is computed again, and thrown away.
        let mut data = Bytes::new(vec![0; self.used]);
        crate::whole::grow(&mut data, part)?;
        let whole = data.len() / BLOCK;
        let wanted = u64::try_from(data.len().div_ceil(BLOCK)).unwrap_or(u64::MAX);
        if wanted > self.left {
            return Err(Error::DataLenRange);
        }
        chacha20(&self.key, self.block, &self.nonce, &mut data).map_err(or(Error::DataLenRange))?;
        let done = u32::try_from(whole).map_err(|_| Error::DataLenRange)?;
        self.left = self.left.saturating_sub(u64::from(done));
        self.block = self.block.wrapping_add(done);
        let out = copy_of(data.get(self.used..).unwrap_or_default())?;
        self.used = data.len() % BLOCK;
        Ok(out)
    }
}
