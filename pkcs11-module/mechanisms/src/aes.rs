//! AES (FIPS 197): keys, and what its modes have in common (PKCS#11 3.2, "AES").

use std::sync::OnceLock;

use strongroom_awslc::cipher::{BLOCK, Direction, Keyed, Mode};
use strongroom_awslc::gcm::GcmKey;
use strongroom_awslc::mac::CmacKey;
use strongroom_types::{Attributes, Bytes, Error, KeyType, Result, attribute, mechanism};

use crate::failure::or;
use crate::secret::{self, Kind};
use crate::{Key, KeyTypeRow, Mechanism, Parsed};

/// The key sizes of the mechanisms of AES, in bytes.
pub(crate) const KEY_SIZE: core::ops::RangeInclusive<u64> = 16..=32;

const KIND: Kind =
    Kind { takes: |len| LENGTHS.iter().any(|takes| u64::try_from(*takes) == Ok(len)), check_value };

/// The lengths of keys in bytes.
const LENGTHS: &[usize] = &[16, 24, 32];

/// What the check value of a key is the start of ("secret key objects"): a block of zeros,
/// encrypted.
pub(crate) fn check_value(value: &[u8]) -> Result<Bytes> {
    let mut out = Bytes::default();
    Keyed::new(Mode::Ecb, Direction::Encrypt, value)
        .and_then(|keyed| keyed.start(&[], false))
        .and_then(|mut running| running.update(&[0; BLOCK], &mut out))
        .map_err(or(Error::AttributeValueInvalid))?;
    Ok(out)
}

/// `CKK_AES`.
pub(crate) static AES: KeyTypeRow = KeyTypeRow {
    id: KeyType::AES,
    name: "CKK_AES",
    secret: Some(secret::RULES),
    complete: |attributes| KIND.complete(attributes),
    parse: Aes::parse,
    lengths: LENGTHS,
    ..KeyTypeRow::NONE
};

/// The row that makes keys.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[KeyType::AES],
    key_size: KEY_SIZE,
    generate: Some(|_, attributes| KIND.generate(attributes)),
    ..Mechanism::named(mechanism!(CKM_AES_KEY_GEN))
}];

/// A mechanism that computes with AES keys; rows say what theirs can.
pub(crate) const fn row(
    named: (strongroom_types::MechanismType, &'static str),
    params: &'static [strongroom_types::Layout],
) -> Mechanism {
    Mechanism { keys: &[KeyType::AES], key_size: KEY_SIZE, params, ..Mechanism::named(named) }
}

/// The modes that a key is expanded for.
const MODES: [Mode; 8] =
    [Mode::Ecb, Mode::Cbc, Mode::Ctr, Mode::Gcm, Mode::Ofb, Mode::Cfb1, Mode::Cfb8, Mode::Cfb128];

/// An AES key, ready to compute: expanded for a mode and a direction when that is first wanted.
pub(crate) struct Aes {
    value: Bytes,
    /// For each mode, to encrypt and to decrypt, in the order of [`MODES`].
    keyed: [[OnceLock<Keyed>; 2]; MODES.len()],
    whole_gcm: OnceLock<GcmKey>,
    cmac: OnceLock<CmacKey>,
}

impl Aes {
    fn parse(attributes: &Attributes) -> Result<Parsed> {
        let value = attributes.need(attribute::VALUE)?;
        let size = u64::try_from(value.len()).map_err(|_| Error::KeySizeRange)?;
        Ok(Parsed::new(size, Self::new(value)))
    }

    /// A key of 16, 24 or 32 bytes.
    pub(crate) fn new(value: &[u8]) -> Self {
        Self {
            value: Bytes::new(value.to_vec()),
            keyed: Default::default(),
            whole_gcm: OnceLock::new(),
            cmac: OnceLock::new(),
        }
    }

    /// What a key object became.
    pub(crate) fn of(key: &Key) -> Result<&Self> {
        key.material()
    }

    /// The bytes of the key.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// The key expanded for a mode and a direction. Modes that make a key stream have one
    /// expansion for both.
    pub(crate) fn keyed(&self, mode: Mode, direction: Direction) -> Result<&Keyed> {
        let place = MODES.iter().position(|other| *other == mode);
        let [encrypt, decrypt] =
            place.and_then(|at| self.keyed.get(at)).ok_or(Error::GeneralError)?;
        let place = match (mode, direction) {
            (
                Mode::Ecb | Mode::Cbc | Mode::Cfb1 | Mode::Cfb8 | Mode::Cfb128,
                Direction::Decrypt,
            ) => decrypt,
            (Mode::Ctr | Mode::Gcm | Mode::Ofb, _) | (_, Direction::Encrypt) => encrypt,
        };
        if let Some(keyed) = place.get() {
            return Ok(keyed);
        }
        let keyed = Keyed::new(mode, direction, &self.value).map_err(or(Error::KeySizeRange))?;
        Ok(place.get_or_init(|| keyed))
    }

    /// The key expanded for GCM of messages that are there at once.
    pub(crate) fn gcm(&self) -> Result<&GcmKey> {
        if let Some(key) = self.whole_gcm.get() {
            return Ok(key);
        }
        let key = GcmKey::new(&self.value).map_err(or(Error::KeySizeRange))?;
        Ok(self.whole_gcm.get_or_init(|| key))
    }

    /// The key expanded for CMAC.
    pub(crate) fn cmac(&self) -> Result<&CmacKey> {
        if let Some(key) = self.cmac.get() {
            return Ok(key);
        }
        let key = CmacKey::new(&self.value).map_err(or(Error::KeySizeRange))?;
        Ok(self.cmac.get_or_init(|| key))
    }
}

/// What a function answers to input that its mechanism does not take: each of the four has its own
/// words for the same two things ("function return values").
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    /// The input has a length that can not be.
    pub(crate) len: Error,
    /// The input is not what this key made.
    pub(crate) content: Error,
}

impl Refusal {
    /// Of `C_Encrypt`.
    pub(crate) const ENCRYPT: Self = Self { len: Error::DataLenRange, content: Error::DataInvalid };
    /// Of `C_Decrypt`.
    pub(crate) const DECRYPT: Self =
        Self { len: Error::EncryptedDataLenRange, content: Error::EncryptedDataInvalid };
    /// Of `C_WrapKey`, where the input is a key.
    pub(crate) const WRAP: Self =
        Self { len: Error::KeySizeRange, content: Error::KeyNotWrappable };
    /// Of `C_UnwrapKey`.
    pub(crate) const UNWRAP: Self =
        Self { len: Error::WrappedKeyLenRange, content: Error::WrappedKeyInvalid };
}
