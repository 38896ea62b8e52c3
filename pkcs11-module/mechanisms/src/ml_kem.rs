//! `CKK_ML_KEM`, `CKM_ML_KEM_KEY_PAIR_GEN` and `CKM_ML_KEM` (PKCS#11 3.2, "ML-KEM").

use strongroom_awslc::ml_kem::{self as primitive, ParameterSet as MlKem, SEED_LEN};
use strongroom_types::rule::Default::{Absent, Bool};
use strongroom_types::rule::Rule;
use strongroom_types::{
    Bytes, Error, KeyType, MechanismType, Params, Result, ck, mechanism, rules,
};

use crate::failure::{or, or_since};
use crate::parameter_set::{self, NO_KEY, ParameterSet, Primitive, Private, Public};
use crate::{Encapsulated, Key, KeyTypeRow, Mechanism};

/// The key type.
pub(crate) static ML_KEM: KeyTypeRow =
    parameter_set::key_type::<MlKem>(KeyType::ML_KEM, "CKK_ML_KEM", PUBLIC, PRIVATE);

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    parameter_set::generator::<MlKem>(row(mechanism!(CKM_ML_KEM_KEY_PAIR_GEN))),
    Mechanism {
        encapsulate: Some(encapsulate),
        decapsulate: Some(decapsulate),
        ..row(mechanism!(CKM_ML_KEM))
    },
];

/// The public key objects; encapsulating is what they are for.
static PUBLIC: &[Rule] = rules! {
    PARAMETER_SET: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    ENCAPSULATE: Bool(true), MODIFIABLE;
};

/// The private key objects, as others that keep a seed.
static PRIVATE: &[Rule] = rules! {
    PARAMETER_SET: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    SEED: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    VALUE: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    DECAPSULATE: Bool(true), MODIFIABLE;
};

/// Their key sizes are the lengths of public keys.
const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism { keys: &[KeyType::ML_KEM], key_size: 800..=1568, ..Mechanism::named(named) }
}

fn encapsulate(key: &Key, _: &Params, _: Option<usize>) -> Result<Encapsulated> {
    let Public { primitive, value }: &Public<MlKem> = key.material()?;
    let (ciphertext, secret) = primitive.encapsulate(value).map_err(or(Error::FunctionFailed))?;
    Ok(Encapsulated { ciphertext, secret })
}

fn decapsulate(key: &Key, _: &Params, ciphertext: &[u8], _: &[usize]) -> Result<Bytes> {
    let Private { primitive, value }: &Private<MlKem> = key.material()?;
    if ciphertext.len() != primitive.ciphertext_len {
        return Err(Error::WrappedKeyLenRange);
    }
    primitive.decapsulate(value, ciphertext).map_err(or(Error::FunctionFailed))
}

impl Primitive for MlKem {
    const SETS: &'static [ParameterSet<Self>] = &[
        ParameterSet::new(ck!(CKP_ML_KEM_512), "2.16.840.1.101.3.4.4.1", &primitive::ML_KEM_512),
        ParameterSet::new(ck!(CKP_ML_KEM_768), "2.16.840.1.101.3.4.4.2", &primitive::ML_KEM_768),
        ParameterSet::new(ck!(CKP_ML_KEM_1024), "2.16.840.1.101.3.4.4.3", &primitive::ML_KEM_1024),
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
        let private = self.private_of(seed).map_err(or(Error::FunctionFailed))?;
        let public = self.public_of(&private);
        Ok((public.map_err(or(Error::FunctionFailed))?, private))
    }

    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>> {
        self.public_of(private).map_err(or_since(Error::AttributeValueInvalid, NO_KEY))
    }

    /// A key whose numbers are not reduced encapsulates nothing (FIPS 203, 7.2).
    fn check_public(&self, public: &[u8]) -> Result<()> {
        let tried = self.encapsulate(public);
        tried.map(drop).map_err(or_since(Error::AttributeValueInvalid, NO_KEY))
    }
}
