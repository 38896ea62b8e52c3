//! `CKM_PKCS5_PBKD2` (PKCS#11 3.2, "PKCS #5 and PKCS #5-style password-based encryption"): a secret
//! key of any type, made of a password.

use strongroom_awslc::pbkdf2;
use strongroom_types::{
    Attributes, Error, Field, KeyType, Layout, Param, Params, Result, attribute, ck, mechanism,
};

use crate::failure::{or_since, param};
use crate::hash::{self, Hash};
use crate::{Mechanism, cost, secret};

/// `CK_PKCS5_PBKD2_PARAMS2`, and `CK_PKCS5_PBKD2_PARAMS`, where the length of the password is behind
/// a pointer: where the salt comes from, the salt, iterations, pseudorandom function, its data, the
/// password.
static PARAMS: &[Layout] = &[&[
    Field::Ulong,
    Field::PtrLen,
    Field::Ulong,
    Field::Ulong,
    Field::PtrLen,
    Field::PtrLenOrPtr,
]];

/// The row of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    key_size: 1..=secret::LONGEST_GENERATED,
    params: PARAMS,
    generate: Some(generate),
    ..Mechanism::named(mechanism!(CKM_PKCS5_PBKD2))
}];

/// The pseudorandom functions: `CKP_PKCS5_PBKD2_` number and hash function of HMAC.
static PRFS: &[(u64, &Hash)] = &[
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA1), &hash::SHA1),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA224), &hash::SHA224),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA256), &hash::SHA256),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA384), &hash::SHA384),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA512), &hash::SHA512),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA512_224), &hash::SHA512_224),
    (ck!(CKP_PKCS5_PBKD2_HMAC_SHA512_256), &hash::SHA512_256),
];

/// Why they are not counted.
const ITERATIONS: &str = "iterations is zero, or too large";

fn generate(params: &Params, key: &mut Attributes) -> Result<()> {
    let [
        Param::Ulong(source),
        Param::Bytes(salt),
        Param::Ulong(iterations),
        Param::Ulong(prf),
        Param::Bytes(prf_data),
        Param::Bytes(password),
    ] = params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    // None of the functions here takes data.
    if *source != ck!(CKZ_SALT_SPECIFIED) || !prf_data.is_empty() {
        return Err(param("saltSource is not CKZ_SALT_SPECIFIED, or there is pPrfData"));
    }
    let (_, hash) =
        PRFS.iter().find(|(id, _)| id == prf).ok_or_else(|| param("there is no such prf here"))?;
    let len = len(key)?;
    cost::check(len.div_ceil(hash.output_len()), *iterations, salt.len())?;
    let iterations = u32::try_from(*iterations).map_err(|_| param(ITERATIONS))?;
    let value = pbkdf2::derive(hash.algorithm, password, salt, iterations, len);
    key.set(attribute::VALUE, value.map_err(or_since(Error::MechanismParamInvalid, ITERATIONS))?);
    Ok(())
}

/// The length of the value: what the template says, or the only one that the key type has.
fn len(key: &Attributes) -> Result<usize> {
    let fixed = crate::key_type(KeyType(key.need(attribute::KEY_TYPE)?))?.value_len();
    match (key.get(attribute::VALUE_LEN), fixed) {
        (Some(len), _) if len == 0 || len > secret::LONGEST_GENERATED => Err(secret::other_len()),
        (Some(len), _) => usize::try_from(len).map_err(|_| secret::other_len()),
        (None, Some(fixed)) => Ok(fixed),
        (None, None) => Err(secret::no_len()),
    }
}
