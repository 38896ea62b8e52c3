//! Mechanisms and key types, one row each.
//!
//! A mechanism is a row of `policy.rs`: what it accepts and what it can do. A key type is a row
//! of [`KEY_TYPES`]: which attributes its keys have, and how they become a [`Key`] that computes.
//! A family of mechanisms is one file; adding a mechanism is a file and a row. Everything else
//! (mechanism list and info, the documents' tables, the vectors test) reads the rows.
//!
//! This room knows no session, no handle and no login. What it is given has been checked by the
//! core: the key's class, type and size, its usage flags, and that the parameter has the layout
//! that the row declares.

#![forbid(unsafe_code)]

mod aes;
mod aes_block;
mod aes_ccm;
mod aes_cmac;
mod aes_ctr;
mod aes_cts;
mod aes_gcm;
mod aes_key_wrap;
mod aes_stream;
mod aes_xts;
mod chacha;
mod contextual;
mod cost;
mod curve;
mod curve448;
mod derive;
mod des;
mod dh;
mod digest;
mod dsa;
mod ec_key;
mod ec_structure;
mod ecdh;
mod ecdsa;
mod eddsa;
mod edwards25519;
mod encrypt_data;
mod failure;
mod hash;
mod hash_derive;
mod hkdf;
mod hmac;
mod key;
mod mac;
mod message;
mod ml_dsa;
mod ml_kem;
mod montgomery;
mod nonce_aad;
mod number_key;
mod operation;
mod parameter_set;
mod pbkdf2;
mod plain_key;
mod policy;
mod poly1305;
mod prf;
mod public_from_private;
mod public_key_info;
mod rfc8410;
mod row;
mod rsa;
mod rsa_key;
mod rsa_oaep;
mod rsa_pss;
mod salsa20;
mod sealed;
mod secret;
mod sha512_t;
mod simple_derive;
mod slh_dsa;
mod sp800_108;
mod stack;
mod state;
mod stealing;
mod tls;
mod transport;
mod whole;

pub use cost::MOST_ROUNDS;
pub use derive::{
    BLOCK, Computed, Derivation, Gives, Heritage, Inputs, LEAST, Makes, Several, is_open,
};
pub use dh::has_safe_prime;
pub use key::{Key, KeyTypeRow, Parsed};
pub use message::{Aead, Messages, Sealed, Terms};
pub use operation::{Cipher, Digest, Prehash, Recover, Sign, Verify};
pub use policy::Policy;
pub use row::{Encapsulated, Legacy, Mechanism, Start};
pub use state::StateKey;
pub use whole::{keep_at_most, may_keep};

use strongroom_types::{Bytes, Error, KeyType, Result};

/// Has everything made that is made once in a process, at its first use: under a lock, which a fork
/// in that moment leaves held in its child. So this is for a moment in which nobody forks.
pub fn prepare() {
    strongroom_awslc::prepare();
    policy::prepare();
}

/// Every key type of the token.
pub static KEY_TYPES: &[&KeyTypeRow] = &[
    &rsa_key::RSA,
    &dh::DH,
    &dsa::DSA,
    &ec_key::EC,
    &eddsa::EC_EDWARDS,
    &montgomery::EC_MONTGOMERY,
    &ml_dsa::ML_DSA,
    &ml_kem::ML_KEM,
    &slh_dsa::SLH_DSA,
    &secret::GENERIC_SECRET,
    &secret::HKDF,
    &secret::SHA_1_HMAC,
    &secret::SHA224_HMAC,
    &secret::SHA256_HMAC,
    &secret::SHA384_HMAC,
    &secret::SHA512_HMAC,
    &secret::SHA512_224_HMAC,
    &secret::SHA512_256_HMAC,
    &secret::SHA512_T_HMAC,
    &secret::SHA3_224_HMAC,
    &secret::SHA3_256_HMAC,
    &secret::SHA3_384_HMAC,
    &secret::SHA3_512_HMAC,
    &secret::MD5_HMAC,
    &aes::AES,
    &aes_xts::AES_XTS,
    &chacha::CHACHA20,
    &poly1305::POLY1305,
    &salsa20::SALSA20,
    &des::DES,
    &des::DES2,
    &des::DES3,
];

/// Finds a key type by its number.
///
/// # Errors
///
/// [`Error::AttributeValueInvalid`] if there is no such row: `CKA_KEY_TYPE` is wrong.
pub fn key_type(id: KeyType) -> Result<&'static KeyTypeRow> {
    let row = KEY_TYPES.iter().copied().find(|row| row.id == id);
    row.ok_or_else(|| Error::AttributeValueInvalid.since("there is no such CKA_KEY_TYPE here"))
}

/// Fills memory with random bytes, from the generator that also makes the keys.
///
/// # Errors
///
/// [`Error::FunctionFailed`] if there are none to be had.
pub fn random(out: &mut [u8]) -> Result<()> {
    strongroom_awslc::random::fill(out).map_err(|_| Error::FunctionFailed)
}

/// The SHA-1 digest of some bytes: check values are made of it.
///
/// # Errors
///
/// [`Error::FunctionFailed`] if it can not be computed.
pub fn sha1(bytes: &[u8]) -> Result<Bytes> {
    hash::SHA1.digest(bytes)
}
