//! `CKK_EC_EDWARDS`, `CKM_EC_EDWARDS_KEY_PAIR_GEN` and `CKM_EDDSA` (PKCS#11 3.2, 6.3.5, 6.3.9 and
//! 6.3.15) on Ed25519 and Ed448.

use std::sync::Arc;

use strongroom_awslc::curve25519::{self, KEY_LEN, MAX_CONTEXT_LEN, SIGNATURE_LEN, Scheme};
use strongroom_types::rule::Default::Absent;
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, Field, KeyType, MechanismType, Param, Params, Result,
    attribute, mechanism, rules,
};

use crate::failure::{or, param};
use crate::public_from_private::shared;
use crate::rfc8410::{self, Algorithm, array};
use crate::whole::{Direct, Signer, Verifier};
use crate::{Key, KeyTypeRow, Mechanism, Parsed, curve, curve448, ec_key};

/// The key type. Its material is a [`Private`] or a [`Public`].
pub(crate) static EC_EDWARDS: KeyTypeRow = KeyTypeRow {
    id: KeyType::EC_EDWARDS,
    name: "CKK_EC_EDWARDS",
    public: Some(ec_key::PUBLIC),
    private: Some(PRIVATE),
    complete: |key| rfc8410::complete(key, KeyType::EC_EDWARDS),
    parse,
    to_pkcs8: Some(|key| rfc8410::to_pkcs8(key, KeyType::EC_EDWARDS)),
    from_pkcs8: Some(|der, key| rfc8410::from_pkcs8(der, key, KeyType::EC_EDWARDS)),
    to_public: Some(|key| shared(key, &[attribute::EC_PARAMS.info, attribute::EC_POINT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family. `CKM_EDDSA` generates, too: GnuTLS calls it so.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism { generate_pair: Some(generate), ..row(mechanism!(CKM_EC_EDWARDS_KEY_PAIR_GEN)) },
    Mechanism {
        // Without a parameter it is Ed25519, or Ed448 without a context; the other is
        // `CK_EDDSA_PARAMS`: whether to hash first, the context.
        params: &[&[], &[Field::Bool, Field::LenPtr]],
        generate_pair: Some(generate),
        sign: Some(|key, params| {
            key.material::<Private>()?;
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
        key_size: 255..=448,
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

/// A private key.
enum Private {
    Ed25519(curve25519::SigningKey),
    Ed448(curve448::SigningKey),
}

/// A public key.
enum Public {
    Ed25519([u8; KEY_LEN]),
    /// None if it is no point, and verifies nothing.
    Ed448(Option<Box<curve448::VerifyingKey>>),
}

fn parse(key: &Attributes) -> Result<Parsed> {
    let (curve, algorithm) = rfc8410::curve(key, KeyType::EC_EDWARDS)?;
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let point = rfc8410::public(curve, key)?;
            let public = match algorithm {
                Algorithm::Ed25519 => Public::Ed25519(*array(point)?),
                Algorithm::Ed448 => {
                    Public::Ed448(curve448::VerifyingKey::read(array(point)?).map(Box::new))
                }
                Algorithm::X25519 | Algorithm::X448 => return Err(Error::KeyTypeInconsistent),
            };
            Ok(Parsed::new(curve.bits, public))
        }
        Some(Class::PRIVATE_KEY) => {
            let seed = rfc8410::private(algorithm, key)?;
            let private = match algorithm {
                Algorithm::Ed25519 => {
                    Private::Ed25519(curve25519::SigningKey::from_seed(array(seed)?))
                }
                Algorithm::Ed448 => Private::Ed448(curve448::SigningKey::from_seed(array(seed)?)),
                Algorithm::X25519 | Algorithm::X448 => return Err(Error::KeyTypeInconsistent),
            };
            Ok(Parsed::new(curve.bits, private))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

fn generate(params: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    if !params.is_empty() {
        return Err(param("there is a parameter, which has no meaning here"));
    }
    rfc8410::generate(KeyType::EC_EDWARDS, public, private)
}

/// The parameter, which outlives the caller's.
enum Parameter {
    Pure,
    Context(Bytes),
    Prehash(Bytes),
}

impl Parameter {
    /// A parameter that neither hashes nor has a context is none: RFC 8032, 5.1, has no Ed25519ctx
    /// with an empty context, and callers that always give the structure mean this. On Ed448 it is
    /// the same as no context.
    fn read(params: &Params) -> Result<Self> {
        match params.as_slice() {
            [] => Ok(Self::Pure),
            [Param::Bool(_), Param::Bytes(context)] if context.len() > MAX_CONTEXT_LEN => {
                Err(param("ulContextDataLen is more than 255"))
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
        match self.key.material::<Private>() {
            Ok(Private::Ed25519(_)) => SIGNATURE_LEN,
            Ok(Private::Ed448(_)) => curve448::ED448_SIGNATURE_LEN,
            Err(_) => 0,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Bytes> {
        let scheme = self.parameter.scheme();
        match self.key.material()? {
            Private::Ed25519(key) => {
                let signature = key.sign(message, scheme).map_err(or(Error::FunctionFailed))?;
                Ok(Bytes::new(signature.to_vec()))
            }
            Private::Ed448(key) => key.sign(message, scheme),
        }
    }
}

impl Verifier for Operation {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let scheme = self.parameter.scheme();
        match self.key.material()? {
            Public::Ed25519(key) => {
                let signature = signature.try_into().map_err(|_| Error::SignatureLenRange)?;
                let verified = curve25519::verify(key, message, signature, scheme);
                verified.map_err(or(Error::SignatureInvalid))
            }
            Public::Ed448(key) => {
                let signature = signature.try_into().map_err(|_| Error::SignatureLenRange)?;
                let key = key.as_ref().ok_or(Error::SignatureInvalid)?;
                key.verify(message, signature, scheme)
            }
        }
    }
}
