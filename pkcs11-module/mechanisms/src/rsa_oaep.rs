//! `CKM_RSA_PKCS_OAEP` (PKCS#11 3.2, 6.1.8), with every hash function and a label.

use std::sync::Arc;

use strongroom_awslc::rsa::Oaep;
use strongroom_types::{
    Bytes, Error, Field, KeyType, Layout, Param, Params, Result, ck, mechanism,
};

use crate::failure::{or, param};
use crate::hash::Hash;
use crate::rsa::{modulus_len, private, public, transport};
use crate::rsa_key::{SHORTEST, SIZES};
use crate::whole::{Direct, Transform};
use crate::{Key, Mechanism};

/// `CK_RSA_PKCS_OAEP_PARAMS`: hash function, mask generation function, where the label comes from,
/// the label.
pub(crate) const PARAMS: Layout = &[Field::Ulong, Field::Ulong, Field::Ulong, Field::PtrLen];

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[KeyType::RSA],
    key_size: SIZES,
    legacy_key_size: Some(SHORTEST),
    params: &[PARAMS],
    encrypt: Some(|key, params| {
        let max = Padding::read(params)?.max(public(key)?.modulus_len());
        Ok(Direct::start(Encrypting(Operation::start(key, params)?), max))
    }),
    decrypt: Some(|key, params| {
        let max = private(key)?.modulus_len();
        Ok(Direct::start(Decrypting(Operation::start(key, params)?), max))
    }),
    wrap: Some(wrap),
    unwrap: Some(unwrap),
    encapsulate: Some(|key, params, wanted| {
        transport(public(key)?, wanted, |secret| wrap(key, params, secret))
    }),
    decapsulate: Some(unwrap),
    ..Mechanism::named(mechanism!(CKM_RSA_PKCS_OAEP))
}];

fn wrap(key: &Key, params: &Params, secret: &[u8]) -> Result<Bytes> {
    let (key, padding) = (public(key)?, Padding::read(params)?);
    key.encrypt_oaep(secret, &padding.oaep()).map_err(or(Error::KeySizeRange))
}

fn unwrap(key: &Key, params: &Params, wrapped: &[u8], _: &[usize]) -> Result<Bytes> {
    let (key, padding) = (private(key)?, Padding::read(params)?);
    if wrapped.len() != key.modulus_len() {
        return Err(Error::WrappedKeyLenRange);
    }
    key.decrypt_oaep(wrapped, &padding.oaep()).map_err(or(Error::WrappedKeyInvalid))
}

/// The parameter.
pub(crate) struct Padding {
    hash: &'static Hash,
    mgf: &'static Hash,
    label: Bytes,
}

impl Padding {
    /// Reads the parameter.
    pub(crate) fn read(params: &Params) -> Result<Self> {
        let [Param::Ulong(hash), Param::Ulong(mgf), Param::Ulong(source), Param::Bytes(label)] =
            params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        // Many programs leave the source out with the label.
        let no_label = *source == 0 && label.is_empty();
        if *source != ck!(CKZ_DATA_SPECIFIED) && !no_label {
            return Err(param("source is not CKZ_DATA_SPECIFIED"));
        }
        Ok(Self { hash: Hash::of_hash_alg(*hash)?, mgf: Hash::of_mgf(*mgf)?, label: label.clone() })
    }

    /// As AWS-LC takes it.
    pub(crate) fn oaep(&self) -> Oaep<'_> {
        Oaep { hash: self.hash.algorithm, mgf: self.mgf.algorithm, label: &self.label }
    }

    /// The longest plaintext for a modulus of this length (RFC 8017, 7.1.1).
    fn max(&self, modulus_len: usize) -> usize {
        modulus_len.saturating_sub(2 * self.hash.output_len() + 2)
    }
}

/// The parameter, with a key of the right class.
struct Operation {
    key: Arc<Key>,
    padding: Padding,
}

impl Operation {
    fn start(key: &Arc<Key>, params: &Params) -> Result<Self> {
        Ok(Self { key: key.clone(), padding: Padding::read(params)? })
    }
}

/// An encryption.
struct Encrypting(Operation);

impl Transform for Encrypting {
    fn output_len(&self) -> usize {
        modulus_len(&self.0.key)
    }

    fn too_long(&self) -> Error {
        Error::DataLenRange
    }

    fn transform(&self, plaintext: &[u8]) -> Result<Bytes> {
        let ciphertext = public(&self.0.key)?.encrypt_oaep(plaintext, &self.0.padding.oaep());
        ciphertext.map_err(or(Error::DataLenRange))
    }
}

/// A decryption.
struct Decrypting(Operation);

impl Transform for Decrypting {
    fn output_len(&self) -> usize {
        self.0.padding.max(modulus_len(&self.0.key))
    }

    fn too_long(&self) -> Error {
        Error::EncryptedDataLenRange
    }

    fn transform(&self, ciphertext: &[u8]) -> Result<Bytes> {
        let key = private(&self.0.key)?;
        if ciphertext.len() != key.modulus_len() {
            return Err(Error::EncryptedDataLenRange);
        }
        let plaintext = key.decrypt_oaep(ciphertext, &self.0.padding.oaep());
        plaintext.map_err(or(Error::EncryptedDataInvalid))
    }
}
