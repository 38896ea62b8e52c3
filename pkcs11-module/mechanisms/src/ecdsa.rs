//! `CKM_ECDSA` and ECDSA with a hash function (PKCS#11 3.2, 6.3.12 and 6.3.13).
//!
//! A signature is r and s, each as long as the order of the curve.

use std::sync::Arc;

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use strongroom_types::{Bytes, Error, MechanismType, Result, mechanism};

use crate::ec_key::{Private, Public, row};
use crate::failure::or;
use crate::stack::wiped;
use crate::whole::{Direct, Hashed, Signer, Verifier};
use crate::{Key, Mechanism, hash};

macro_rules! rows {
    ($($ckm:ident: $hash:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[
            Mechanism {
                sign: Some(|key, _| Ok(Direct::start(Operation::sign(key)?, MAX_DIGEST))),
                verify: Some(|key, _| Ok(Direct::start(Operation::verify(key)?, MAX_DIGEST))),
                ..row(mechanism!(CKM_ECDSA))
            },
            $(Mechanism {
                sign: Some(|key, _| Ok(Hashed::start(Operation::sign(key)?, &hash::$hash))),
                verify: Some(|key, _| Ok(Hashed::start(Operation::verify(key)?, &hash::$hash))),
                legacy: hash::$hash.signatures,
                ..row(mechanism!($ckm))
            },)*
        ];
    };
}

rows! {
    CKM_ECDSA_SHA1: SHA1;
    CKM_ECDSA_SHA224: SHA224;
    CKM_ECDSA_SHA256: SHA256;
    CKM_ECDSA_SHA384: SHA384;
    CKM_ECDSA_SHA512: SHA512;
    CKM_ECDSA_SHA3_224: SHA3_224;
    CKM_ECDSA_SHA3_256: SHA3_256;
    CKM_ECDSA_SHA3_384: SHA3_384;
    CKM_ECDSA_SHA3_512: SHA3_512;
}

/// The longest input of `CKM_ECDSA` in bytes. It is a digest, and those that exist are shorter;
/// the standard sets no limit, and what lies beyond the order of the curve is cut.
const MAX_DIGEST: usize = 1024;

/// A signature or verification of a digest. That the key is of the right class has been seen to
/// when it started.
struct Operation(Arc<Key>);

impl Operation {
    fn sign(key: &Arc<Key>) -> Result<Self> {
        key.material::<Private>()?;
        Ok(Self(key.clone()))
    }

    fn verify(key: &Arc<Key>) -> Result<Self> {
        key.material::<Public>()?;
        Ok(Self(key.clone()))
    }
}

impl Signer for Operation {
    fn signature_len(&self) -> usize {
        self.0.material::<Private>().map_or(0, |private| 2 * private.key.curve().field_len())
    }

    fn sign(&self, digest: &[u8]) -> Result<Bytes> {
        if digest.is_empty() {
            return Err(Error::DataLenRange);
        }
        let private: &Private = self.0.material()?;
        match &private.k256 {
            Some(key) => sign_k256(key, digest),
            None => private.key.sign(digest).map(Bytes::new).map_err(or(Error::FunctionFailed)),
        }
    }

    fn bare(&self) -> Option<MechanismType> {
        Some(mechanism!(CKM_ECDSA).0)
    }
}

impl Verifier for Operation {
    fn bare(&self) -> Option<MechanismType> {
        Signer::bare(self)
    }

    /// Takes a signature that is shorter, as long as r and s have the same length: Java cuts their
    /// common leading zeros.
    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        if digest.is_empty() {
            return Err(Error::DataLenRange);
        }
        let public: &Public = self.0.material()?;
        let max = 2 * public.key.curve().field_len();
        if signature.is_empty() || signature.len() > max || !signature.len().is_multiple_of(2) {
            return Err(Error::SignatureLenRange);
        }
        match &public.k256 {
            Some(key) => verify_k256(key, digest, signature),
            None => public.key.verify(digest, signature).map_err(or(Error::SignatureInvalid)),
        }
    }
}

/// RFC 6979, and the smaller of the two possible s.
fn sign_k256(key: &SigningKey, digest: &[u8]) -> Result<Bytes> {
    let digest = field(digest);
    let signature: Signature =
        wiped(|| key.sign_prehash(&digest)).map_err(|_| Error::FunctionFailed)?;
    Ok(Bytes::new(signature.to_bytes().to_vec()))
}

fn verify_k256(key: &VerifyingKey, digest: &[u8], signature: &[u8]) -> Result<()> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let signature = Signature::from_scalars(right(r), right(s));
    // The crate takes only the smaller of the two possible s; ECDSA has both.
    let signature = signature.map_err(|_| Error::SignatureInvalid)?.normalize_s();
    let verified = key.verify_prehash(&field(digest), &signature);
    verified.map_err(|_| Error::SignatureInvalid)
}

/// The number that a digest is to ECDSA (FIPS 186-5, 6.4.1), before the order is subtracted: its
/// leftmost 256 bits, or all of them behind leading zeros.
fn field(digest: &[u8]) -> [u8; 32] {
    match digest.first_chunk() {
        Some(leftmost) => *leftmost,
        None => right(digest),
    }
}

/// At most 32 bytes behind leading zeros.
fn right(bytes: &[u8]) -> [u8; 32] {
    let mut all = [0; 32];
    for (to, from) in all.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    all
}
