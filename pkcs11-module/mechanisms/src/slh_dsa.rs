//! `CKK_SLH_DSA`, `CKM_SLH_DSA_KEY_PAIR_GEN`, `CKM_SLH_DSA`, `CKM_HASH_SLH_DSA` and its like with a
//! hash function (PKCS#11 3.2, "SLH-DSA"; FIPS 205).
//!
//! AWS-LC has none of it, so the `slh-dsa` crate computes; seeds and random bytes are AWS-LC's.

use strongroom_slhdsa::{self as primitive, ParameterSet as SlhDsa};
use strongroom_types::{Bytes, Error, KeyType, MechanismType, Result, ck, mechanism};

use crate::contextual::{Hedge, Scheme, hashed, hashing, pure};
use crate::parameter_set::{self, NO_KEY, OTHER_LEN, PUBLIC, ParameterSet, Primitive, UNSEEDED};
use crate::stack::deeply_wiped;
use crate::{KeyTypeRow, Mechanism};

/// The key type.
pub(crate) static SLH_DSA: KeyTypeRow =
    parameter_set::key_type::<SlhDsa>(KeyType::SLH_DSA, "CKK_SLH_DSA", PUBLIC, UNSEEDED);

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    parameter_set::generator::<SlhDsa>(row(mechanism!(CKM_SLH_DSA_KEY_PAIR_GEN))),
    pure::<SlhDsa>(row(mechanism!(CKM_SLH_DSA))),
    hashed::<SlhDsa>(row(mechanism!(CKM_HASH_SLH_DSA))),
    hashing::<SlhDsa, 4>(row(mechanism!(CKM_HASH_SLH_DSA_SHA224))),
    hashing::<SlhDsa, 1>(row(mechanism!(CKM_HASH_SLH_DSA_SHA256))),
    hashing::<SlhDsa, 2>(row(mechanism!(CKM_HASH_SLH_DSA_SHA384))),
    hashing::<SlhDsa, 3>(row(mechanism!(CKM_HASH_SLH_DSA_SHA512))),
    hashing::<SlhDsa, 7>(row(mechanism!(CKM_HASH_SLH_DSA_SHA3_224))),
    hashing::<SlhDsa, 8>(row(mechanism!(CKM_HASH_SLH_DSA_SHA3_256))),
    hashing::<SlhDsa, 9>(row(mechanism!(CKM_HASH_SLH_DSA_SHA3_384))),
    hashing::<SlhDsa, 10>(row(mechanism!(CKM_HASH_SLH_DSA_SHA3_512))),
    hashing::<SlhDsa, 11>(row(mechanism!(CKM_HASH_SLH_DSA_SHAKE128))),
    hashing::<SlhDsa, 12>(row(mechanism!(CKM_HASH_SLH_DSA_SHAKE256))),
];

/// Their key sizes are the lengths of public keys.
const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism { keys: &[KeyType::SLH_DSA], key_size: 32..=64, ..Mechanism::named(named) }
}

macro_rules! sets {
    ($($name:ident = $identifier:literal, $set:ident;)*) => {
        &[$(ParameterSet::new(ck!($name), $identifier, &primitive::$set)),*]
    };
}

impl Primitive for SlhDsa {
    const SETS: &'static [ParameterSet<Self>] = sets! {
        CKP_SLH_DSA_SHA2_128S = "2.16.840.1.101.3.4.3.20", SHA2_128S;
        CKP_SLH_DSA_SHA2_128F = "2.16.840.1.101.3.4.3.21", SHA2_128F;
        CKP_SLH_DSA_SHA2_192S = "2.16.840.1.101.3.4.3.22", SHA2_192S;
        CKP_SLH_DSA_SHA2_192F = "2.16.840.1.101.3.4.3.23", SHA2_192F;
        CKP_SLH_DSA_SHA2_256S = "2.16.840.1.101.3.4.3.24", SHA2_256S;
        CKP_SLH_DSA_SHA2_256F = "2.16.840.1.101.3.4.3.25", SHA2_256F;
        CKP_SLH_DSA_SHAKE_128S = "2.16.840.1.101.3.4.3.26", SHAKE_128S;
        CKP_SLH_DSA_SHAKE_128F = "2.16.840.1.101.3.4.3.27", SHAKE_128F;
        CKP_SLH_DSA_SHAKE_192S = "2.16.840.1.101.3.4.3.28", SHAKE_192S;
        CKP_SLH_DSA_SHAKE_192F = "2.16.840.1.101.3.4.3.29", SHAKE_192F;
        CKP_SLH_DSA_SHAKE_256S = "2.16.840.1.101.3.4.3.30", SHAKE_256S;
        CKP_SLH_DSA_SHAKE_256F = "2.16.840.1.101.3.4.3.31", SHAKE_256F;
    };
    const KEEPS_SEED: bool = false;

    fn public_len(&self) -> usize {
        2 * self.part
    }

    fn seed_len(&self) -> usize {
        3 * self.part
    }

    fn expand(&self, seed: &[u8]) -> Result<(Vec<u8>, Bytes)> {
        deeply_wiped(|| self.key_pair(seed)).ok_or(Error::AttributeValueInvalid)
    }

    /// It stands in the private key; that it belongs there is told by computing PK.root again.
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>> {
        let seed = private.get(..self.seed_len());
        let seed = seed.ok_or_else(|| Error::AttributeValueInvalid.since(OTHER_LEN))?;
        let (public, whole) = self.expand(seed)?;
        match strongroom_awslc::equal(&whole, private) {
            true => Ok(public),
            false => Err(Error::AttributeValueInvalid.since(NO_KEY)),
        }
    }

    /// Any bytes of the right length are one.
    fn check_public(&self, _public: &[u8]) -> Result<()> {
        Ok(())
    }
}

impl Scheme for SlhDsa {
    fn signature_len(&self) -> usize {
        self.signature_len
    }

    fn signature(
        &self,
        private: &[u8],
        before: &[u8],
        message: &[u8],
        hedge: Hedge,
    ) -> Result<Bytes> {
        let mut random = Bytes::new(vec![0; self.part]);
        let random = match hedge {
            Hedge::Hedged => {
                crate::random(&mut random)?;
                Some(random.as_slice())
            }
            Hedge::Deterministic => None,
        };
        let signature = deeply_wiped(|| self.sign(private, before, message, random));
        signature.map(Bytes::new).ok_or(Error::FunctionFailed)
    }

    fn check_signature(
        &self,
        public: &[u8],
        before: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        match self.verify(public, before, message, signature) {
            true => Ok(()),
            false => Err(Error::SignatureInvalid),
        }
    }
}
