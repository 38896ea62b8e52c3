//! HKDF (RFC 5869): `CKM_HKDF_DERIVE` and `CKM_HKDF_DATA` (PKCS#11 3.2, "HKDF mechanisms").
//!
//! The salt of a derivation that does not extract, and the information of one that does not expand,
//! would not be used, and are refused. A data object may be extracted from, as TLS 1.3 does with zeros: it
//! has the length of the digest, and there is a salt.

use strongroom_types::{
    Bytes, Class, Error, Field, Layout, MechanismType, Param, Result, ck, mechanism,
};

use crate::derive::{leading, value_of};
use crate::failure::param;
use crate::hash::Hash;
use crate::prf::Prf;
use crate::{Derivation, Heritage, Inputs, Makes, Mechanism, cost};

/// `CK_HKDF_PARAMS`: whether to extract, whether to expand, the hash function, where the salt comes
/// from, the salt, the key that is the salt, the information.
static PARAMS: &[Layout] = &[&[
    Field::Bool,
    Field::Bool,
    Field::Ulong,
    Field::Ulong,
    Field::PtrLen,
    Field::Ulong,
    Field::PtrLen,
]];

const SALT_NULL: u64 = ck!(CKF_HKDF_SALT_NULL);
const SALT_DATA: u64 = ck!(CKF_HKDF_SALT_DATA);
const SALT_KEY: u64 = ck!(CKF_HKDF_SALT_KEY);

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    row(mechanism!(CKM_HKDF_DERIVE), Makes::Secret(derive)),
    row(mechanism!(CKM_HKDF_DATA), Makes::Data(derive)),
];

const fn row(named: (MechanismType, &'static str), makes: Makes) -> Mechanism {
    Mechanism {
        key_size: 1..=0x7fff_ffff,
        params: PARAMS,
        derive: Some(Derivation { makes, heritage: Heritage::Chosen }),
        derives_from_data: true,
        ..Mechanism::named(named)
    }
}

fn derive(inputs: &Inputs<'_>, wanted: Option<usize>) -> Result<Bytes> {
    let [
        Param::Bool(extracts),
        Param::Bool(expands),
        Param::Ulong(hash),
        Param::Ulong(salt_type),
        Param::Bytes(salt),
        Param::Ulong(salt_key),
        Param::Bytes(info),
    ] = inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    let hash = Hash::named(*hash, "prfHashMechanism is no hash function of this token")?;
    let input = inputs.value()?;
    if inputs.key.class() == Class::DATA {
        if input.len() != hash.output_len() {
            return Err(Error::KeySizeRange);
        }
        if !extracts || (*salt_type != SALT_KEY && salt.is_empty()) {
            return Err(param("bExtract is false, or there is no salt; a data object wants both"));
        }
    }
    match (*extracts, *expands) {
        (false, false) => Err(param("bExtract and bExpand are both false")),
        (false, true) if !salt.is_empty() || ![SALT_NULL, SALT_DATA].contains(salt_type) => {
            Err(param("there is a salt, and bExtract is false"))
        }
        (true, false) if !info.is_empty() => Err(param("there is pInfo, and bExpand is false")),
        (false, true) => expand(hash, input, info, wanted),
        (true, expands) => {
            let salt = match *salt_type {
                SALT_DATA => salt.clone(),
                SALT_KEY if salt.is_empty() => {
                    Bytes::new(value_of(&(inputs.other)(*salt_key)?)?.to_vec())
                }
                SALT_NULL if salt.is_empty() => Bytes::default(),
                _ => return Err(param("ulSaltType does not go with what there is as a salt")),
            };
            // RFC 5869, 2.2. No salt is as many zeros as the digest has, which is what HMAC makes
            // of an empty key.
            let key = Prf::hmac(hash, &salt)?.of(&[input])?;
            if expands { expand(hash, &key, info, wanted) } else { leading(key, wanted) }
        }
    }
}

/// RFC 5869, 2.3. The natural length is that of a digest.
fn expand(hash: &Hash, key: &[u8], info: &[u8], wanted: Option<usize>) -> Result<Bytes> {
    let wanted = wanted.unwrap_or(hash.output_len());
    let blocks = wanted.div_ceil(hash.output_len());
    // The counter is one byte.
    let last = u8::try_from(blocks).map_err(|_| Error::KeySizeRange)?;
    cost::check(blocks, 0, info.len())?;
    let prf = Prf::hmac(hash, key)?;
    let mut output = Bytes::new(Vec::with_capacity(blocks * hash.output_len()));
    let mut block = Bytes::default();
    for counter in 1..=last {
        block = prf.of(&[&block, info, &[counter]])?;
        output.extend_from_slice(&block);
    }
    output.truncate(wanted);
    Ok(output)
}
