//! AES-CCM: `CKM_AES_CCM` (PKCS#11 3.2, "additional AES mechanisms"; SP 800-38C).
//!
//! The length that the parameter announces is that of the plaintext, both ways; data of another
//! length is refused.

use strongroom_awslc::ccm::Ccm;
use strongroom_types::{Bytes, Error, Field, Layout, Param, Params, Result, copy_of, mechanism};

use crate::aes::{self, Aes, Refusal};
use crate::failure::{or, param};
use crate::sealed::{self, Terms as _};
use crate::{Aead, Key, Mechanism, message};

/// `CK_CCM_PARAMS`: the length of the data, nonce, authenticated data, the length of the tag in
/// bytes; and for `C_WrapKey` and `C_UnwrapKey` also `CK_CCM_WRAP_PARAMS`, where behind the nonce
/// stands how many of its bits stay, and how the others are made.
static PARAMS: &[Layout] = &[
    &[Field::Ulong, Field::PtrLen, Field::PtrLen, Field::Ulong],
    &[Field::Ulong, Field::InOutPtrLen, Field::Ulong, Field::Ulong, Field::PtrLen, Field::Ulong],
];

/// The most data in bytes: AWS-LC takes no more.
const LONGEST: usize = (1 << 31) - 1;

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    message: Some(&MESSAGE),
    ..sealed::row::<Terms>(aes::row(mechanism!(CKM_AES_CCM), PARAMS))
}];

/// `CK_CCM_MESSAGE_PARAMS`: the length of the data, nonce, how many of its bits stay, how the
/// others are made, and the tag.
static MESSAGE: Aead = Aead {
    layouts: &[
        &[Field::Ulong, Field::InOutPtrLen, Field::Ulong, Field::Ulong, Field::InOutPtrLen],
        &[],
    ],
    read: |params| {
        let [
            Param::Ulong(data_len),
            Param::Bytes(nonce),
            Param::Ulong(fixed_bits),
            Param::Ulong(generator),
            Param::Bytes(tag),
        ] = params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        let len = usize::try_from(*data_len).map_err(|_| Error::MechanismParamInvalid)?;
        Terms::new(len, nonce, &[], tag.len())?;
        Ok(message::Terms {
            nonce: nonce.clone(),
            fixed_bits: *fixed_bits,
            generator: *generator,
            tag: tag.clone(),
            data_len: Some(*data_len),
        })
    },
    read_wrapping: |params| {
        let [
            Param::Ulong(data_len),
            Param::Bytes(nonce),
            Param::Ulong(fixed_bits),
            Param::Ulong(generator),
            Param::Bytes(aad),
            Param::Ulong(tag_len),
        ] = params.as_slice()
        else {
            return Ok(None);
        };
        let whole = |number: u64| usize::try_from(number).map_err(|_| Error::MechanismParamInvalid);
        let tag_len = whole(*tag_len)?;
        Terms::new(whole(*data_len)?, nonce, aad, tag_len)?;
        let terms = message::Terms {
            nonce: nonce.clone(),
            fixed_bits: *fixed_bits,
            generator: *generator,
            tag: Bytes::new(vec![0; tag_len]),
            data_len: Some(*data_len),
        };
        Ok(Some((terms, aad.clone())))
    },
    seal: |key, nonce, aad, data, tag_len| {
        Terms::new(data.len(), nonce, aad, tag_len)?.seal(key, data, Refusal::ENCRYPT)
    },
    open: |key, nonce, aad, data, tag_len| {
        let len = data.len().checked_sub(tag_len).ok_or(Error::EncryptedDataLenRange)?;
        Terms::new(len, nonce, aad, tag_len)?.open(key, data, Refusal::DECRYPT)
    },
};

/// What the parameter says.
struct Terms {
    data_len: usize,
    nonce: Bytes,
    aad: Bytes,
    tag_len: usize,
}

impl Terms {
    fn new(data_len: usize, nonce: &[u8], aad: &[u8], tag_len: usize) -> Result<Self> {
        let counts = data_len <= LONGEST
            && matches!(nonce.len(), 7..=13)
            && matches!(tag_len, 4 | 6 | 8 | 10 | 12 | 14 | 16)
            && aad.len() <= LONGEST;
        if !counts || !fits(data_len, nonce.len()) {
            return Err(param("ulDataLen, ulNonceLen, ulAADLen or ulMACLen can not be so in CCM"));
        }
        let (nonce, aad) = (copy_of(nonce)?, copy_of(aad)?);
        Ok(Self { data_len, nonce, aad, tag_len })
    }

    fn ccm<'a>(&'a self, key: &'a Key) -> Result<Ccm<'a>> {
        Ok(Ccm { key: Aes::of(key)?.value(), nonce: &self.nonce, aad: &self.aad })
    }
}

/// Whether the length of the data can be said in the bytes that the nonce leaves (SP 800-38C, A.1).
fn fits(data_len: usize, nonce_len: usize) -> bool {
    match 15_usize.saturating_sub(nonce_len) {
        2 => data_len < 1 << 16,
        3 => data_len < 1 << 24,
        _ => true,
    }
}

impl sealed::Terms for Terms {
    fn read(params: &Params) -> Result<Self> {
        let [Param::Ulong(data_len), Param::Bytes(nonce), Param::Bytes(aad), Param::Ulong(tag_len)] =
            params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        let tag_len = usize::try_from(*tag_len).map_err(|_| Error::MechanismParamInvalid)?;
        let data_len = usize::try_from(*data_len).map_err(|_| Error::MechanismParamInvalid)?;
        Self::new(data_len, nonce, aad, tag_len)
    }

    fn tag_len(&self) -> usize {
        self.tag_len
    }

    fn longest(&self) -> usize {
        self.data_len
    }

    fn seal(&self, key: &Key, plaintext: &[u8], refusal: Refusal) -> Result<Bytes> {
        if plaintext.len() != self.data_len {
            return Err(refusal.len);
        }
        self.ccm(key)?.seal(plaintext, self.tag_len).map_err(or(refusal.content))
    }

    fn open(&self, key: &Key, sealed: &[u8], refusal: Refusal) -> Result<Bytes> {
        let (ciphertext, tag) = sealed.split_at_checked(self.data_len).ok_or(refusal.len)?;
        if tag.len() != self.tag_len {
            return Err(refusal.len);
        }
        self.ccm(key)?.open(ciphertext, tag).map_err(or(refusal.content))
    }
}
