//! Signatures with a context: what ML-DSA and SLH-DSA have in common (PKCS#11 3.2, "ML-DSA
//! signature" to "HashML-DSA signature with hashing", and the same of SLH-DSA; FIPS 204, 5.2 to
//! 5.4, and FIPS 205, 10.2).
//!
//! What is signed is a message with a few bytes before it: whether the message has been hashed,
//! the context, and which hash function it was.

use std::sync::Arc;

use strongroom_awslc::digest::Shake;
use strongroom_types::{Bytes, Error, Field, Layout, Param, Params, Result, ck};

use crate::failure::param;
use crate::hash::{self, Function, Hash};
use crate::parameter_set::{Primitive, Private, Public};
use crate::whole::{Direct, Hashed, Signer, Single, Verifier};
use crate::{Key, Mechanism};

/// A primitive that signs.
pub(crate) trait Scheme: Primitive {
    /// The length of a signature in bytes.
    fn signature_len(&self) -> usize;
    /// Signs what goes before a message, and the message.
    fn signature(
        &self,
        private: &[u8],
        before: &[u8],
        message: &[u8],
        hedge: Hedge,
    ) -> Result<Bytes>;
    /// Checks a signature of the right length.
    fn check_signature(
        &self,
        public: &[u8],
        before: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<()>;
}

/// Whether random bytes go into a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hedge {
    /// They do.
    Hedged,
    /// None do: it is the same each time.
    Deterministic,
}

impl Hedge {
    /// A `CKH_` number. Where the choice is ours, a signature is hedged.
    fn read(variant: u64) -> Option<Self> {
        const PREFERRED: u64 = ck!(CKH_HEDGE_PREFERRED);
        const REQUIRED: u64 = ck!(CKH_HEDGE_REQUIRED);
        const DETERMINISTIC: u64 = ck!(CKH_DETERMINISTIC_REQUIRED);
        match variant {
            PREFERRED | REQUIRED => Some(Self::Hedged),
            DETERMINISTIC => Some(Self::Deterministic),
            _ => None,
        }
    }
}

/// `CK_SIGN_ADDITIONAL_CONTEXT`: variant and context.
const CONTEXT: Layout = &[Field::Ulong, Field::PtrLen];

/// `CK_HASH_SIGN_ADDITIONAL_CONTEXT`: the hash function, too.
const HASH_CONTEXT: Layout = &[Field::Ulong, Field::PtrLen, Field::Ulong];

/// A function that hashes a message before it is signed.
struct PreHash {
    function: Function,
    /// The last arc of its object identifier, under 2.16.840.1.101.3.4.2.
    arc: u8,
}

/// Those of FIPS 180-4 but SHA-1, and of FIPS 202, whose SHAKEs have outputs of twice their
/// strength here.
static PRE_HASHES: &[PreHash] = &[
    PreHash { function: Function::Hash(&hash::SHA256), arc: 1 },
    PreHash { function: Function::Hash(&hash::SHA384), arc: 2 },
    PreHash { function: Function::Hash(&hash::SHA512), arc: 3 },
    PreHash { function: Function::Hash(&hash::SHA224), arc: 4 },
    PreHash { function: Function::Hash(&hash::SHA512_224), arc: 5 },
    PreHash { function: Function::Hash(&hash::SHA512_256), arc: 6 },
    PreHash { function: Function::Hash(&hash::SHA3_224), arc: 7 },
    PreHash { function: Function::Hash(&hash::SHA3_256), arc: 8 },
    PreHash { function: Function::Hash(&hash::SHA3_384), arc: 9 },
    PreHash { function: Function::Hash(&hash::SHA3_512), arc: 10 },
    PreHash { function: Function::Shake(Shake::Shake128, 32), arc: 11 },
    PreHash { function: Function::Shake(Shake::Shake256, 64), arc: 12 },
];

/// Why nothing is hashed first.
const NO_HASH: &str = "hash is no hash function that goes with the mechanism";

impl PreHash {
    fn of_arc(arc: u8) -> Result<&'static Self> {
        PRE_HASHES.iter().find(|known| known.arc == arc).ok_or(Error::GeneralError)
    }

    /// By the number of the digest mechanism. There is none for a SHAKE.
    fn of_mechanism(id: u64) -> Result<&'static Self> {
        let hash = Hash::named(id, NO_HASH)?;
        let known = PRE_HASHES.iter().find(|known| match known.function {
            Function::Hash(other) => other.id == hash.id,
            Function::Shake(..) => false,
        });
        known.ok_or_else(|| param(NO_HASH))
    }

    /// Its object identifier in DER.
    fn identifier(&self) -> [u8; 11] {
        [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, self.arc]
    }
}

/// Makes of a row one that signs the message as it is.
pub(crate) const fn pure<S: Scheme>(row: Mechanism) -> Mechanism {
    Mechanism {
        params: &[&[], CONTEXT],
        sign: Some(|key, params| {
            Ok(Direct::start(Signing::<S>::start(key, params, None)?, usize::MAX))
        }),
        verify: Some(|key, params| {
            Ok(Direct::start(Verifying::<S>::start(key, params, None)?, usize::MAX))
        }),
        ..row
    }
}

/// Makes of a row one that signs the digest of a message, in a single part; the parameter names the
/// hash function.
pub(crate) const fn hashed<S: Scheme>(row: Mechanism) -> Mechanism {
    Mechanism {
        params: &[HASH_CONTEXT],
        sign: Some(|key, params| {
            let hash = PreHash::of_mechanism(named(params)?)?;
            Ok(Single::start(Signing::<S>::start(key, params, Some(hash))?))
        }),
        verify: Some(|key, params| {
            let hash = PreHash::of_mechanism(named(params)?)?;
            Ok(Single::start(Verifying::<S>::start(key, params, Some(hash))?))
        }),
        ..row
    }
}

/// Makes of a row one that hashes the message and signs the digest. `ARC` says the hash function
/// ([`PreHash::arc`]).
pub(crate) const fn hashing<S: Scheme, const ARC: u8>(row: Mechanism) -> Mechanism {
    Mechanism {
        params: &[&[], CONTEXT],
        sign: Some(|key, params| {
            let hash = PreHash::of_arc(ARC)?;
            let operation = Signing::<S>::start(key, params, Some(hash))?;
            Ok(Hashed::start(operation, hash.function))
        }),
        verify: Some(|key, params| {
            let hash = PreHash::of_arc(ARC)?;
            let operation = Verifying::<S>::start(key, params, Some(hash))?;
            Ok(Hashed::start(operation, hash.function))
        }),
        ..row
    }
}

/// The hash function that a parameter names.
fn named(params: &Params) -> Result<u64> {
    match params.as_slice() {
        [.., Param::Ulong(hash)] => Ok(*hash),
        _ => Err(Error::MechanismParamInvalid),
    }
}

/// The variant and the context of a parameter; without one the choice is ours, and the context
/// empty.
fn read(params: &Params) -> Result<(u64, &[u8])> {
    match params.as_slice() {
        [] => Ok((ck!(CKH_HEDGE_PREFERRED), &[])),
        [Param::Ulong(variant), Param::Bytes(context)]
        | [Param::Ulong(variant), Param::Bytes(context), Param::Ulong(_)] => {
            Ok((*variant, context))
        }
        _ => Err(Error::MechanismParamInvalid),
    }
}

/// What goes before the message.
fn before(context: &[u8], hash: Option<&PreHash>) -> Result<Bytes> {
    let len = u8::try_from(context.len()).map_err(|_| param("ulContextLen is more than 255"))?;
    let mut before = Bytes::new(vec![u8::from(hash.is_some()), len]);
    before.extend_from_slice(context);
    if let Some(hash) = hash {
        before.extend_from_slice(&hash.identifier());
    }
    Ok(before)
}

/// A digest that the caller brings must have the length of one.
fn check_len(input: &[u8], hash: Option<&PreHash>) -> Result<()> {
    match hash {
        Some(hash) if hash.function.output_len() != input.len() => Err(Error::DataLenRange),
        _ => Ok(()),
    }
}

/// A signature.
struct Signing<S: 'static> {
    key: Arc<Key>,
    primitive: &'static S,
    before: Bytes,
    hash: Option<&'static PreHash>,
    hedge: Hedge,
}

impl<S: Scheme> Signing<S> {
    fn start(key: &Arc<Key>, params: &Params, hash: Option<&'static PreHash>) -> Result<Self> {
        let Private { primitive, .. } = key.material::<Private<S>>()?;
        let (variant, context) = read(params)?;
        let hedge =
            Hedge::read(variant).ok_or_else(|| param("hedgeVariant is none of the standard's"))?;
        Ok(Self { key: key.clone(), primitive, before: before(context, hash)?, hash, hedge })
    }
}

impl<S: Scheme> Signer for Signing<S> {
    fn signature_len(&self) -> usize {
        self.primitive.signature_len()
    }

    fn sign(&self, input: &[u8]) -> Result<Bytes> {
        check_len(input, self.hash)?;
        let private: &Private<S> = self.key.material()?;
        self.primitive.signature(&private.value, &self.before, input, self.hedge)
    }
}

/// A verification, for which the variant does not matter.
struct Verifying<S: 'static> {
    key: Arc<Key>,
    primitive: &'static S,
    before: Bytes,
    hash: Option<&'static PreHash>,
}

impl<S: Scheme> Verifying<S> {
    fn start(key: &Arc<Key>, params: &Params, hash: Option<&'static PreHash>) -> Result<Self> {
        let Public { primitive, .. } = key.material::<Public<S>>()?;
        let (_, context) = read(params)?;
        Ok(Self { key: key.clone(), primitive, before: before(context, hash)?, hash })
    }
}

impl<S: Scheme> Verifier for Verifying<S> {
    fn verify(&self, input: &[u8], signature: &[u8]) -> Result<()> {
        check_len(input, self.hash)?;
        if signature.len() != self.primitive.signature_len() {
            return Err(Error::SignatureLenRange);
        }
        let public: &Public<S> = self.key.material()?;
        self.primitive.check_signature(&public.value, &self.before, input, signature)
    }
}
