//! `CKM_RSA_PKCS_PSS` and PSS with a hash function (PKCS#11 3.2, 6.1.10 and 6.1.13).

use std::sync::Arc;

use strongroom_awslc::rsa::Pss;
use strongroom_types::{
    Bytes, Error, Field, KeyType, MechanismType, Param, Params, Result, mechanism,
};

use crate::failure::{or, param};
use crate::hash::{self, Hash};
use crate::rsa::{modulus_len, private, public};
use crate::rsa_key::{SHORTEST, SIZES};
use crate::whole::{Direct, Hashed, Signer, Verifier};
use crate::{Key, Mechanism};

macro_rules! rows {
    ($($ckm:ident: $hash:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[
            Mechanism {
                sign: Some(|key, params| {
                    private(key)?;
                    let (primitive, hash) = Operation::start(key, params)?;
                    Ok(Direct::start(primitive, hash.output_len()))
                }),
                verify: Some(|key, params| {
                    public(key)?;
                    let (primitive, hash) = Operation::start(key, params)?;
                    Ok(Direct::start(primitive, hash.output_len()))
                }),
                ..row(mechanism!(CKM_RSA_PKCS_PSS))
            },
            $(Mechanism {
                sign: Some(|key, params| {
                    private(key)?;
                    Ok(Hashed::start(Operation::of(key, params, &hash::$hash)?, &hash::$hash))
                }),
                verify: Some(|key, params| {
                    public(key)?;
                    Ok(Hashed::start(Operation::of(key, params, &hash::$hash)?, &hash::$hash))
                }),
                legacy: hash::$hash.signatures,
                ..row(mechanism!($ckm))
            },)*
        ];
    };
}

rows! {
    CKM_SHA1_RSA_PKCS_PSS: SHA1;
    CKM_SHA224_RSA_PKCS_PSS: SHA224;
    CKM_SHA256_RSA_PKCS_PSS: SHA256;
    CKM_SHA384_RSA_PKCS_PSS: SHA384;
    CKM_SHA512_RSA_PKCS_PSS: SHA512;
    CKM_SHA3_224_RSA_PKCS_PSS: SHA3_224;
    CKM_SHA3_256_RSA_PKCS_PSS: SHA3_256;
    CKM_SHA3_384_RSA_PKCS_PSS: SHA3_384;
    CKM_SHA3_512_RSA_PKCS_PSS: SHA3_512;
}

const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::RSA],
        key_size: SIZES,
        legacy_key_size: Some(SHORTEST),
        // `CK_RSA_PKCS_PSS_PARAMS`: hash function, mask generation function, length of the salt.
        params: &[&[Field::Ulong, Field::Ulong, Field::Ulong]],
        ..Mechanism::named(named)
    }
}

/// A signature or verification of a digest.
struct Operation {
    key: Arc<Key>,
    pss: Pss,
}

impl Operation {
    /// Reads the parameter, and checks that the salt fits into a signature by this key.
    fn start(key: &Arc<Key>, params: &Params) -> Result<(Self, &'static Hash)> {
        let &[Param::Ulong(hash), Param::Ulong(mgf), Param::Ulong(salt_len)] = params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        let (hash, mgf) = (Hash::of_hash_alg(hash)?, Hash::of_mgf(mgf)?);
        // RFC 8017, 9.1.1: what is encoded has a bit less than the modulus, and beyond digest and
        // salt two bytes of its own.
        let bits = key.size().saturating_sub(1);
        let len = usize::try_from(bits.div_ceil(8)).unwrap_or(0);
        let salt_len = usize::try_from(salt_len)
            .ok()
            .filter(|salt| len.checked_sub(hash.output_len() + 2).is_some_and(|max| *salt <= max))
            .ok_or_else(|| param("sLen is more than the key has room for"))?;
        let pss = Pss { hash: hash.algorithm, mgf: mgf.algorithm, salt_len };
        Ok((Self { key: key.clone(), pss }, hash))
    }

    /// The same for a mechanism that has a hash function, which the parameter must repeat.
    fn of(key: &Arc<Key>, params: &Params, wanted: &Hash) -> Result<Self> {
        match Self::start(key, params)? {
            (operation, hash) if hash.id == wanted.id => Ok(operation),
            _ => Err(param("hashAlg is not the hash function of the mechanism")),
        }
    }

    /// The input is a digest of the hash function, and no other.
    fn check(&self, digest: &[u8]) -> Result<()> {
        match digest.len() == self.pss.hash.output_len() {
            true => Ok(()),
            false => Err(Error::DataLenRange),
        }
    }
}

impl Signer for Operation {
    fn signature_len(&self) -> usize {
        modulus_len(&self.key)
    }

    fn sign(&self, digest: &[u8]) -> Result<Bytes> {
        self.check(digest)?;
        private(&self.key)?.sign_pss(digest, &self.pss).map_err(or(Error::FunctionFailed))
    }

    fn bare(&self) -> Option<MechanismType> {
        Some(mechanism!(CKM_RSA_PKCS_PSS).0)
    }
}

impl Verifier for Operation {
    fn bare(&self) -> Option<MechanismType> {
        Signer::bare(self)
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.check(digest)?;
        let key = public(&self.key)?;
        if signature.len() != key.modulus_len() {
            return Err(Error::SignatureLenRange);
        }
        key.verify_pss(digest, signature, &self.pss).map_err(or(Error::SignatureInvalid))
    }
}
