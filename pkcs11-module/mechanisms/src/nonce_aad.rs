//! Ciphers with Poly1305 as RFC 8439 has them, by what the standard says of all of them in one place:
//! parameters of a nonce and associated data, and those of messages (PKCS#11 3.2, "Salsa20/Poly1305 and
//! ChaCha20/Poly1305").

use core::marker::PhantomData;

use strongroom_awslc::gcm::TAG;
use strongroom_types::{Bytes, Error, Field, Layout, Param, Params, Result, ck, copy_of};

use crate::aes::Refusal;
use crate::failure::param;
use crate::{Aead, Key, Mechanism, message, sealed};

/// The lengths of nonces in bits of which the standard speaks. Programs that give a length in bytes
/// are understood: none of these is a nonce's.
const LENGTHS: &[u64] = &[64, 96, 192];

/// A construction of this kind.
pub(crate) trait Construction: Send + Sized + 'static {
    /// The lengths of the nonces that it takes, in bytes.
    const NONCES: &'static [usize];
    /// The longest plaintext in bytes.
    const LONGEST: usize;
    /// Encrypts: the ciphertext, and the tag behind it.
    fn seal(key: &Key, terms: &Terms<Self>, plaintext: &[u8], refusal: Refusal) -> Result<Bytes>;
    /// Decrypts a ciphertext, if this is its tag.
    fn open(
        key: &Key,
        terms: &Terms<Self>,
        sealed: (&[u8], &[u8]),
        refusal: Refusal,
    ) -> Result<Bytes>;
}

/// `CK_SALSA20_CHACHA20_POLY1305_PARAMS`: the nonce, and authenticated data.
static PARAMS: &[Layout] = &[&[Field::PtrBits(LENGTHS), Field::PtrLen]];

/// `CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS`: the nonce and the tag. It has no place to ask the token
/// for a nonce, so the nonce is the caller's.
static MESSAGE_PARAMS: &[Layout] =
    &[&[Field::InOutPtrLenOrBits(LENGTHS), Field::InOutPtr(TAG)], &[]];

/// What the row of a construction has beside the `base` of its family.
pub(crate) const fn row<C: Construction>(base: Mechanism) -> Mechanism {
    Mechanism {
        params: PARAMS,
        message: Some(Terms::<C>::MESSAGE),
        ..sealed::row::<Terms<C>>(base)
    }
}

/// What the parameter says.
pub(crate) struct Terms<C> {
    pub(crate) nonce: Bytes,
    pub(crate) aad: Bytes,
    construction: PhantomData<C>,
}

impl<C: Construction> Terms<C> {
    /// What messages are encrypted by.
    const MESSAGE: &'static Aead = &Aead {
        read_wrapping: |_| Ok(None),
        layouts: MESSAGE_PARAMS,
        read: |params| {
            let [Param::Bytes(nonce), Param::Bytes(tag)] = params.as_slice() else {
                return Err(Error::MechanismParamInvalid);
            };
            let Self { nonce, .. } = Self::new(nonce, &[])?;
            Ok(message::Terms {
                nonce,
                fixed_bits: 0,
                generator: ck!(CKG_NO_GENERATE),
                tag: tag.clone(),
                data_len: None,
            })
        },
        seal: |key, nonce, aad, data, _| {
            sealed::Terms::seal(&Self::new(nonce, aad)?, key, data, Refusal::ENCRYPT)
        },
        open: |key, nonce, aad, data, _| {
            sealed::Terms::open(&Self::new(nonce, aad)?, key, data, Refusal::DECRYPT)
        },
    };

    fn new(nonce: &[u8], aad: &[u8]) -> Result<Self> {
        if !C::NONCES.contains(&nonce.len()) {
            return Err(param("ulNonceLen is no length of a nonce"));
        }
        let (nonce, aad) = (copy_of(nonce)?, copy_of(aad)?);
        Ok(Self { nonce, aad, construction: PhantomData })
    }
}

impl<C: Construction> sealed::Terms for Terms<C> {
    fn read(params: &Params) -> Result<Self> {
        match params.as_slice() {
            [Param::Bytes(nonce), Param::Bytes(aad)] => Self::new(nonce, aad),
            _ => Err(Error::MechanismParamInvalid),
        }
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn longest(&self) -> usize {
        C::LONGEST
    }

    fn seal(&self, key: &Key, plaintext: &[u8], refusal: Refusal) -> Result<Bytes> {
        C::seal(key, self, plaintext, refusal)
    }

    fn open(&self, key: &Key, sealed: &[u8], refusal: Refusal) -> Result<Bytes> {
        let len = sealed.len().checked_sub(TAG).ok_or(refusal.len)?;
        C::open(key, self, sealed.split_at_checked(len).ok_or(refusal.len)?, refusal)
    }
}
