//! `CKK_ML_DSA`, `CKM_ML_DSA_KEY_PAIR_GEN`, `CKM_ML_DSA`, `CKM_HASH_ML_DSA` and its like with a hash
//! function (PKCS#11 3.2, "ML-DSA").

use strongroom_awslc::ml_dsa::{self as primitive, ParameterSet as MlDsa, RANDOM_LEN, SEED_LEN};
use strongroom_types::{Bytes, Error, KeyType, MechanismType, Result, ck, mechanism};
use zeroize::Zeroizing;

use crate::contextual::{Hedge, Scheme, hashed, hashing, pure};
use crate::failure::{or, or_since};
use crate::parameter_set::{self, NO_KEY, PUBLIC, ParameterSet, Primitive, SEEDED};
use crate::{KeyTypeRow, Mechanism};

/// The key type.
pub(crate) static ML_DSA: KeyTypeRow =
    parameter_set::key_type::<MlDsa>(KeyType::ML_DSA, "CKK_ML_DSA", PUBLIC, SEEDED);

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    parameter_set::generator::<MlDsa>(row(mechanism!(CKM_ML_DSA_KEY_PAIR_GEN))),
    pure::<MlDsa>(row(mechanism!(CKM_ML_DSA))),
    hashed::<MlDsa>(row(mechanism!(CKM_HASH_ML_DSA))),
    hashing::<MlDsa, 4>(row(mechanism!(CKM_HASH_ML_DSA_SHA224))),
    hashing::<MlDsa, 1>(row(mechanism!(CKM_HASH_ML_DSA_SHA256))),
    hashing::<MlDsa, 2>(row(mechanism!(CKM_HASH_ML_DSA_SHA384))),
    hashing::<MlDsa, 3>(row(mechanism!(CKM_HASH_ML_DSA_SHA512))),
    hashing::<MlDsa, 7>(row(mechanism!(CKM_HASH_ML_DSA_SHA3_224))),
    hashing::<MlDsa, 8>(row(mechanism!(CKM_HASH_ML_DSA_SHA3_256))),
    hashing::<MlDsa, 9>(row(mechanism!(CKM_HASH_ML_DSA_SHA3_384))),
    hashing::<MlDsa, 10>(row(mechanism!(CKM_HASH_ML_DSA_SHA3_512))),
    hashing::<MlDsa, 11>(row(mechanism!(CKM_HASH_ML_DSA_SHAKE128))),
    hashing::<MlDsa, 12>(row(mechanism!(CKM_HASH_ML_DSA_SHAKE256))),
];

/// Their key sizes are the lengths of public keys.
const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism { keys: &[KeyType::ML_DSA], key_size: 1312..=2592, ..Mechanism::named(named) }
}

impl Primitive for MlDsa {
    const SETS: &'static [ParameterSet<Self>] = &[
        ParameterSet::new(ck!(CKP_ML_DSA_44), "2.16.840.1.101.3.4.3.17", &primitive::ML_DSA_44),
        ParameterSet::new(ck!(CKP_ML_DSA_65), "2.16.840.1.101.3.4.3.18", &primitive::ML_DSA_65),
        ParameterSet::new(ck!(CKP_ML_DSA_87), "2.16.840.1.101.3.4.3.19", &primitive::ML_DSA_87),
    ];
    const KEEPS_SEED: bool = true;

    fn public_len(&self) -> usize {
        self.public_len
    }

    fn seed_len(&self) -> usize {
        SEED_LEN
    }

    fn expand(&self, seed: &[u8]) -> Result<(Vec<u8>, Bytes)> {
        let seed = seed.try_into().map_err(|_| Error::AttributeValueInvalid)?;
        self.key_pair(seed).map_err(or(Error::FunctionFailed))
    }

    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>> {
        self.public_of(private).map_err(or_since(Error::AttributeValueInvalid, NO_KEY))
    }

    /// Any bytes of the right length are one (FIPS 204, algorithm 23).
    fn check_public(&self, _public: &[u8]) -> Result<()> {
        Ok(())
    }
}

impl Scheme for MlDsa {
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
        let mut random = Zeroizing::new([0; RANDOM_LEN]);
        if hedge == Hedge::Hedged {
            crate::random(&mut *random)?;
        }
        let signature = self.sign(private, before, message, &random);
        signature.map(Bytes::new).map_err(or(Error::FunctionFailed))
    }

    fn check_signature(
        &self,
        public: &[u8],
        before: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let verified = self.verify(public, before, message, signature);
        verified.map_err(or(Error::SignatureInvalid))
    }
}
