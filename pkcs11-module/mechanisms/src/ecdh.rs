//! `CKM_ECDH1_DERIVE` and `CKM_ECDH1_COFACTOR_DERIVE` (PKCS#11 3.2, 6.3.18 and 6.3.19).
//!
//! The cofactor of the prime curves here is 1, so that both mechanisms are the same on them; X25519
//! takes care of its cofactor itself (RFC 7748).
//!
//! A peer's point that is not acceptable is `CKR_MECHANISM_PARAM_INVALID`: it is a part of the
//! parameter, and clients know this answer.

use strongroom_awslc::ec::{PrivateKey, PublicKey};
use strongroom_types::{
    Bytes, Error, Field, KeyType, MechanismType, Param, Params, Result, ck, mechanism,
};

use crate::curve::{CURVES, Curve, Group};
use crate::derive::LEAST;
use crate::ec_key::SHORTEST;
use crate::failure::{or, or_since, param};
use crate::hash::{self, Hash};
use crate::{Derivation, Encapsulated, Inputs, Key, Mechanism, cost, curve, ec_key, montgomery};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        keys: &[KeyType::EC, KeyType::EC_MONTGOMERY],
        key_size: 224..=521,
        legacy_key_size: Some(SHORTEST),
        ..row(mechanism!(CKM_ECDH1_DERIVE))
    },
    Mechanism {
        keys: &[KeyType::EC],
        key_size: 224..=521,
        legacy_key_size: Some(SHORTEST),
        ..row(mechanism!(CKM_ECDH1_COFACTOR_DERIVE))
    },
];

const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        flags: curve::FLAGS,
        // `CK_ECDH1_DERIVE_PARAMS`: key derivation function, its shared data, the peer's point.
        params: &[&[Field::Ulong, Field::LenPtr, Field::LenPtr]],
        derive: Some(Derivation::secret(derive)),
        encapsulate: Some(encapsulate),
        decapsulate: Some(decapsulate),
        ..Mechanism::named(named)
    }
}

/// What is hashed for each part of a key.
#[derive(Clone, Copy)]
enum Form {
    /// ANSI X9.63 (SEC 1, 3.6.1): the secret, a counter, the shared data.
    X963,
    /// SP 800-56A, 5.8.1 (SP 800-56C, 4.1): a counter, the secret, the shared data.
    Sp800,
}

/// The key derivation functions that hash: `CKD_` number, form and hash function.
static KDFS: &[(u64, Form, &Hash)] = &[
    (ck!(CKD_SHA1_KDF), Form::X963, &hash::SHA1),
    (ck!(CKD_SHA224_KDF), Form::X963, &hash::SHA224),
    (ck!(CKD_SHA256_KDF), Form::X963, &hash::SHA256),
    (ck!(CKD_SHA384_KDF), Form::X963, &hash::SHA384),
    (ck!(CKD_SHA512_KDF), Form::X963, &hash::SHA512),
    (ck!(CKD_SHA3_224_KDF), Form::X963, &hash::SHA3_224),
    (ck!(CKD_SHA3_256_KDF), Form::X963, &hash::SHA3_256),
    (ck!(CKD_SHA3_384_KDF), Form::X963, &hash::SHA3_384),
    (ck!(CKD_SHA3_512_KDF), Form::X963, &hash::SHA3_512),
    (ck!(CKD_SHA1_KDF_SP800), Form::Sp800, &hash::SHA1),
    (ck!(CKD_SHA224_KDF_SP800), Form::Sp800, &hash::SHA224),
    (ck!(CKD_SHA256_KDF_SP800), Form::Sp800, &hash::SHA256),
    (ck!(CKD_SHA384_KDF_SP800), Form::Sp800, &hash::SHA384),
    (ck!(CKD_SHA512_KDF_SP800), Form::Sp800, &hash::SHA512),
    (ck!(CKD_SHA3_224_KDF_SP800), Form::Sp800, &hash::SHA3_224),
    (ck!(CKD_SHA3_256_KDF_SP800), Form::Sp800, &hash::SHA3_256),
    (ck!(CKD_SHA3_384_KDF_SP800), Form::Sp800, &hash::SHA3_384),
    (ck!(CKD_SHA3_512_KDF_SP800), Form::Sp800, &hash::SHA3_512),
];

fn derive(inputs: &Inputs<'_>, wanted: Option<usize>) -> Result<Bytes> {
    let [Param::Ulong(kdf), Param::Bytes(shared), Param::Bytes(peer)] = inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    secret(*kdf, shared, agree(inputs.key, peer)?, wanted)
}

/// The peer is no part of the parameter here: it is made for this secret alone, and its public key is
/// the ciphertext.
fn unilateral(params: &Params) -> Result<(u64, &[u8])> {
    match params.as_slice() {
        [Param::Ulong(kdf), Param::Bytes(shared), Param::Bytes(peer)] if peer.is_empty() => {
            Ok((*kdf, shared))
        }
        _ => Err(param("there is pPublicData, and the other side has no key yet")),
    }
}

fn encapsulate(key: &Key, params: &Params, wanted: Option<usize>) -> Result<Encapsulated> {
    let (kdf, shared) = unilateral(params)?;
    not_short(wanted)?;
    let (ciphertext, agreed) = ephemeral(key)?;
    Ok(Encapsulated { ciphertext, secret: secret(kdf, shared, agreed, wanted)? })
}

fn decapsulate(key: &Key, params: &Params, ciphertext: &[u8], lengths: &[usize]) -> Result<Bytes> {
    let (kdf, shared) = unilateral(params)?;
    let wanted = crate::key::only(lengths);
    not_short(wanted)?;
    secret(kdf, shared, agree_with_wrapped(key, ciphertext)?, wanted)
}

/// Refuses so few bytes of a secret that they are found by trying: then one more, and so on. The ciphertext is
/// somebody's who means the secret for the private key, whose template may want it hidden.
fn not_short(wanted: Option<usize>) -> Result<()> {
    match wanted {
        Some(wanted) if wanted < LEAST => Err(Error::KeySizeRange
            .because(|| format!("{wanted} bytes of the secret would tell it: ask for {LEAST}"))),
        _ => Ok(()),
    }
}

/// The public key of a pair that is made for one agreement, and the secret that it shares with a
/// public key.
pub(crate) fn ephemeral(key: &Key) -> Result<(Vec<u8>, Bytes)> {
    match key.key_type() {
        KeyType::EC_MONTGOMERY => {
            let montgomery::Public { algorithm, point } = key.material()?;
            let own = algorithm.generate()?;
            let secret = montgomery::agree(*algorithm, &own, point);
            Ok((algorithm.public_of(&own)?, secret.ok_or(Error::PublicKeyInvalid)?))
        }
        _ => {
            let peer = &key.material::<ec_key::Public>()?.key;
            let own = PrivateKey::generate(peer.curve()).map_err(or(Error::FunctionFailed))?;
            let secret = own.agree(peer).map_err(or(Error::FunctionFailed))?;
            Ok((own.point().map_err(or(Error::FunctionFailed))?, secret))
        }
    }
}

/// Why nothing is agreed on.
const NO_POINT: &str = "pPublicData is no point of the curve of the key";

/// The shared secret with the point of such a pair. Here it is no parameter.
pub(crate) fn agree_with_wrapped(key: &Key, peer: &[u8]) -> Result<Bytes> {
    agree(key, peer).map_err(|error| match error {
        Error::MechanismParamInvalid => Error::WrappedKeyInvalid,
        error => error,
    })
}

/// What a key derivation function (`CKD_`) makes of a shared secret.
pub(crate) fn secret(
    kdf: u64,
    shared: &[u8],
    agreed: Bytes,
    wanted: Option<usize>,
) -> Result<Bytes> {
    if kdf == ck!(CKD_NULL) {
        if !shared.is_empty() {
            return Err(param("there is pSharedData, and kdf is CKD_NULL"));
        }
        return trailing(agreed, wanted);
    }
    let row = KDFS.iter().find(|(id, ..)| *id == kdf);
    let (_, form, hash) = row.ok_or_else(|| param("there is no such kdf here"))?;
    hashed(*form, hash, &agreed, shared, wanted.unwrap_or(hash.output_len()))
}

/// The shared secret: the x coordinate, or what X25519 and X448 give.
pub(crate) fn agree(key: &Key, peer: &[u8]) -> Result<Bytes> {
    if key.key_type() == KeyType::EC_MONTGOMERY {
        let montgomery::Private { algorithm, scalar } = key.material()?;
        let curve = CURVES.iter().find(|curve| curve.group == Group::Rfc8410(*algorithm));
        let secret = montgomery::agree(*algorithm, scalar, bare(curve, peer)?);
        return secret.ok_or_else(|| param(NO_POINT));
    }
    let key = &key.material::<ec_key::Private>()?.key;
    let curve = CURVES.iter().find(|curve| curve.group == Group::Prime(key.curve()));
    let peer = PublicKey::from_point(key.curve(), bare(curve, peer)?);
    let peer = peer.map_err(or_since(Error::MechanismParamInvalid, NO_POINT))?;
    key.agree(&peer).map_err(or(Error::FunctionFailed))
}

/// The peer's point, bare or in a DER OCTET STRING.
fn bare<'a>(curve: Option<&Curve>, peer: &'a [u8]) -> Result<&'a [u8]> {
    curve.and_then(|curve| curve.bare_point(peer)).ok_or_else(|| param(NO_POINT))
}

/// The end of the secret: what is too long loses bytes at the leading end (6.3.18).
pub(crate) fn trailing(secret: Bytes, wanted: Option<usize>) -> Result<Bytes> {
    let Some(wanted) = wanted else { return Ok(secret) };
    let surplus = secret.len().checked_sub(wanted).ok_or(Error::KeySizeRange)?;
    Ok(Bytes::new(secret.get(surplus..).unwrap_or_default().to_vec()))
}

/// Digests of the secret, a counter from 1, and the shared data, one behind the other.
///
/// Without a wanted length the caller has taken one digest.
fn hashed(form: Form, hash: &Hash, secret: &[u8], shared: &[u8], wanted: usize) -> Result<Bytes> {
    /// Digests that one derivation gives at most; no key is longer.
    const MAX_DIGESTS: usize = 255;
    let digests = wanted.div_ceil(hash.output_len());
    if digests > MAX_DIGESTS {
        return Err(Error::KeySizeRange);
    }
    cost::check(digests, 0, shared.len())?;
    let mut output = Bytes::new(Vec::with_capacity(digests * hash.output_len()));
    for counter in (1_u32..).take(digests) {
        let counter = counter.to_be_bytes();
        let parts = match form {
            Form::X963 => [secret, &counter, shared],
            Form::Sp800 => [&counter, secret, shared],
        };
        let mut context = hash.start()?;
        for part in parts {
            context.update(part).map_err(or(Error::FunctionFailed))?;
        }
        output.extend_from_slice(&context.finish().map_err(or(Error::FunctionFailed))?);
    }
    output.truncate(wanted);
    Ok(output)
}
