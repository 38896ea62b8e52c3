//! `CKK_EC_EDWARDS`, `CKM_EC_EDWARDS_KEY_PAIR_GEN` and `CKM_EDDSA` (PKCS#11 3.2, 6.3.5, 6.3.9 and
//! 6.3.15) on Ed25519.

use std::sync::Arc;

use strongroom_awslc::curve25519::{
    self as primitive, Algorithm, KEY_LEN, MAX_CONTEXT_LEN, SIGNATURE_LEN, Scheme, SigningKey,
};
use strongroom_types::rule::Default::Absent;
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, Field, KeyType, MechanismType, Param, Params, Result,
    attribute, mechanism, rules,
};

use crate::failure::or;
use crate::public_from_private::shared;
use crate::whole::{Direct, Signer, Verifier};
use crate::{Key, KeyTypeRow, Mechanism, Parsed, curve, curve25519, ec_key};

/// The key type. Its material is a [`SigningKey`] or a [`Public`].
pub(crate) static EC_EDWARDS: KeyTypeRow = KeyTypeRow {
    id: KeyType::EC_EDWARDS,
    name: "CKK_EC_EDWARDS",
    public: Some(ec_key::PUBLIC),
    private: Some(PRIVATE),
    complete: |key| curve25519::complete(key, KeyType::EC_EDWARDS),
    parse,
    to_pkcs8: Some(|key| curve25519::to_pkcs8(key, Algorithm::Ed25519)),
    from_pkcs8: Some(|der, key| curve25519::from_pkcs8(der, Algorithm::Ed25519, key)),
    to_public: Some(|key| shared(key, &[attribute::EC_PARAMS.info, attribute::EC_POINT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family. `CKM_EDDSA` generates, too: GnuTLS calls it so.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism { generate_pair: Some(generate), ..row(mechanism!(CKM_EC_EDWARDS_KEY_PAIR_GEN)) },
    Mechanism {
        // Without a parameter it is Ed25519; the other is `CK_EDDSA_PARAMS`: whether to hash
        // first, the context.
        params: &[&[], &[Field::Bool, Field::LenPtr]],
        generate_pair: Some(generate),
        sign: Some(|key, params| {
            key.material::<SigningKey>()?;
            Ok(Direct::start(Operation::start(key, params)?, usize::MAX))
        }),
        verify: Some(|key, params| {
            key.material::<Public>()?;
            Ok(Direct::start(Operation::start(key, params)?, usize::MAX))
        }),
        ..row(mechanism!(CKM_EDDSA))
    },
];

const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::EC_EDWARDS],
        key_size: 255..=255,
        flags: curve::FLAGS,
        ..Mechanism::named(named)
    }
}

/// 6.3.5, Edwards private key objects; `CKA_EC_POINT` as on the other curves.
static PRIVATE: &[Rule] = rules! {
    EC_PARAMS: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    EC_POINT: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP;
};

/// A public key.
struct Public([u8; KEY_LEN]);

fn parse(key: &Attributes) -> Result<Parsed> {
    let (curve, _) = curve25519::curve(key, KeyType::EC_EDWARDS)?;
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            Ok(Parsed::new(curve.bits, Public(curve25519::public(curve, key)?)))
        }
        Some(Class::PRIVATE_KEY) => {
            let seed = curve25519::private(key)?;
            Ok(Parsed::new(curve.bits, SigningKey::from_seed(&seed)))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

fn generate(params: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    if !params.is_empty() {
        return Err(Error::MechanismParamInvalid);
    }
    let key = SigningKey::generate();
    let seed = curve25519::seed(&key)?;
    curve25519::set_pair(KeyType::EC_EDWARDS, &seed, public, private)
}

/// The parameter, which outlives the caller's.
enum Parameter {
    Pure,
    Context(Bytes),
    Prehash(Bytes),
}

impl Parameter {
    /// A parameter that neither hashes nor has a context is Ed25519: RFC 8032, 5.1, has no
    /// Ed25519ctx with an empty context, and callers that always give the structure mean this.
    fn read(params: &Params) -> Result<Self> {
        match params.as_slice() {
            [] => Ok(Self::Pure),
            [Param::Bool(_), Param::Bytes(context)] if context.len() > MAX_CONTEXT_LEN => {
                Err(Error::MechanismParamInvalid)
            }
            [Param::Bool(true), Param::Bytes(context)] => Ok(Self::Prehash(context.clone())),
            [Param::Bool(false), Param::Bytes(context)] if context.is_empty() => Ok(Self::Pure),
            [Param::Bool(false), Param::Bytes(context)] => Ok(Self::Context(context.clone())),
            _ => Err(Error::MechanismParamInvalid),
        }
    }

    fn scheme(&self) -> Scheme<'_> {
        match self {
            Self::Pure => Scheme::Pure,
            Self::Context(context) => Scheme::Context(context),
            Self::Prehash(context) => Scheme::Prehash(context),
        }
    }
}

/// A signature or verification. That the key is of the right class has been seen to when it
/// started.
struct Operation {
    key: Arc<Key>,
    parameter: Parameter,
}

impl Operation {
    fn start(key: &Arc<Key>, params: &Params) -> Result<Self> {
        Ok(Self { key: key.clone(), parameter: Parameter::read(params)? })
    }
}

impl Signer for Operation {
    fn signature_len(&self) -> usize {
        SIGNATURE_LEN
    }

    fn sign(&self, message: &[u8]) -> Result<Bytes> {
        let key: &SigningKey = self.key.material()?;
        let signature = key.sign(message, self.parameter.scheme());
        Ok(Bytes::new(signature.map_err(or(Error::FunctionFailed))?.to_vec()))
    }
}

impl Verifier for Operation {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let Public(key) = self.key.material()?;
        let signature = signature.try_into().map_err(|_| Error::SignatureLenRange)?;
        let verified = primitive::verify(key, message, signature, self.parameter.scheme());
        verified.map_err(or(Error::SignatureInvalid))
    }
}
