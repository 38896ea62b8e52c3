//! Keys under a key that is made for them alone: `CKM_RSA_AES_KEY_WRAP` (PKCS#11 3.2, "RSA AES key
//! wrap"), and `CKM_ECDH_AES_KEY_WRAP` and its like ("ECDH AES key wrap").
//!
//! An AES key wraps the key, by KWP. In front of what that gives stands how to get the AES key: its
//! RSA-OAEP ciphertext, or the public key of a pair that was made for one agreement.

use strongroom_awslc::key_wrap::{DEFAULT_PADDED_IV, SEMIBLOCK, unwrap_padded, wrap_padded};
use strongroom_types::{
    Bytes, Error, Field, KeyType, MechanismType, Param, Params, Result, mechanism,
};

use crate::failure::{or, param};
use crate::rsa_key::{SHORTEST, SIZES};
use crate::rsa_oaep::{self, Padding};
use crate::{Key, Mechanism, curve, ec_key, ecdh, montgomery, rsa};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        keys: &[KeyType::RSA],
        key_size: SIZES,
        legacy_key_size: Some(SHORTEST),
        // `CK_RSA_AES_KEY_WRAP_PARAMS`: the size of the AES key in bits, and a pointer to
        // `CK_RSA_PKCS_OAEP_PARAMS`.
        params: &[&[Field::Ulong, Field::Ptr(rsa_oaep::PARAMS)]],
        wrap: Some(rsa_wrap),
        unwrap: Some(rsa_unwrap),
        wraps_whole: true,
        ..Mechanism::named(mechanism!(CKM_RSA_AES_KEY_WRAP))
    },
    ecdh_row(mechanism!(CKM_ECDH_AES_KEY_WRAP), &[KeyType::EC]),
    // The cofactor of the curves here is 1.
    ecdh_row(mechanism!(CKM_ECDH_COF_AES_KEY_WRAP), &[KeyType::EC]),
    ecdh_row(mechanism!(CKM_ECDH_X_AES_KEY_WRAP), &[KeyType::EC_MONTGOMERY]),
];

const fn ecdh_row(named: (MechanismType, &'static str), keys: &'static [KeyType]) -> Mechanism {
    Mechanism {
        keys,
        key_size: 224..=521,
        legacy_key_size: Some(ec_key::SHORTEST),
        flags: curve::FLAGS,
        // `CK_ECDH_AES_KEY_WRAP_PARAMS`: the size of the AES key in bits, key derivation function,
        // its shared data.
        params: &[&[Field::Ulong, Field::Ulong, Field::LenPtr]],
        wrap: Some(ecdh_wrap),
        unwrap: Some(ecdh_unwrap),
        wraps_whole: true,
        ..Mechanism::named(named)
    }
}

/// The length of the AES key in bytes.
fn aes_len(bits: u64) -> Result<usize> {
    match bits {
        128 => Ok(16),
        192 => Ok(24),
        256 => Ok(32),
        _ => Err(param("ulAESKeyBits is no length of an AES key")),
    }
}

/// A key wrapped under an AES key, behind how to get that.
fn with_head(head: &[u8], aes: &[u8], bytes: &[u8]) -> Result<Bytes> {
    let wrapped = wrap_padded(aes, &DEFAULT_PADDED_IV, bytes).map_err(or(Error::KeySizeRange))?;
    Ok(Bytes::new([head, &wrapped].concat()))
}

/// Splits what is wrapped into how to get the AES key and the rest, which is KWP's.
fn split(wrapped: &[u8], head: usize) -> Result<(&[u8], &[u8])> {
    let kwp = |rest: &[u8]| rest.len() >= 2 * SEMIBLOCK && rest.len().is_multiple_of(SEMIBLOCK);
    wrapped.split_at_checked(head).filter(|(_, rest)| kwp(rest)).ok_or(Error::WrappedKeyLenRange)
}

fn unwrap_rest(aes: &[u8], rest: &[u8]) -> Result<Bytes> {
    unwrap_padded(aes, &DEFAULT_PADDED_IV, rest).map_err(or(Error::WrappedKeyInvalid))
}

fn rsa_params(params: &Params) -> Result<(usize, Padding)> {
    match params.as_slice() {
        [Param::Ulong(bits), Param::Structure(oaep)] => Ok((aes_len(*bits)?, Padding::read(oaep)?)),
        _ => Err(Error::MechanismParamInvalid),
    }
}

fn rsa_wrap(key: &Key, params: &Params, bytes: &[u8]) -> Result<Bytes> {
    let (len, padding) = rsa_params(params)?;
    let mut aes = Bytes::new(vec![0; len]);
    crate::random(&mut aes)?;
    let head = rsa::public(key)?.encrypt_oaep(&aes, &padding.oaep());
    with_head(&head.map_err(or(Error::WrappingKeySizeRange))?, &aes, bytes)
}

fn rsa_unwrap(key: &Key, params: &Params, wrapped: &[u8], _: &[usize]) -> Result<Bytes> {
    let (len, padding) = rsa_params(params)?;
    let key = rsa::private(key)?;
    let (head, rest) = split(wrapped, key.modulus_len())?;
    let aes = key.decrypt_oaep(head, &padding.oaep()).map_err(or(Error::WrappedKeyInvalid))?;
    if aes.len() != len {
        return Err(Error::WrappedKeyInvalid);
    }
    unwrap_rest(&aes, rest)
}

/// The length of the AES key, and how it is made of the secret.
fn ecdh_params(params: &Params) -> Result<(usize, u64, &[u8])> {
    match params.as_slice() {
        [Param::Ulong(bits), Param::Ulong(kdf), Param::Bytes(shared)] => {
            Ok((aes_len(*bits)?, *kdf, shared))
        }
        _ => Err(Error::MechanismParamInvalid),
    }
}

fn ecdh_wrap(key: &Key, params: &Params, bytes: &[u8]) -> Result<Bytes> {
    let (len, kdf, shared) = ecdh_params(params)?;
    let (head, secret) = ecdh::ephemeral(key)?;
    with_head(&head, &ecdh::secret(kdf, shared, secret, Some(len))?, bytes)
}

fn ecdh_unwrap(key: &Key, params: &Params, wrapped: &[u8], _: &[usize]) -> Result<Bytes> {
    let (len, kdf, shared) = ecdh_params(params)?;
    let head = match key.key_type() {
        KeyType::EC_MONTGOMERY => key.material::<montgomery::Private>()?.algorithm.key_len(),
        _ => 2 * key.material::<ec_key::Private>()?.key.curve().field_len() + 1,
    };
    let (head, rest) = split(wrapped, head)?;
    let secret = ecdh::agree_with_wrapped(key, head)?;
    unwrap_rest(&ecdh::secret(kdf, shared, secret, Some(len))?, rest)
}
