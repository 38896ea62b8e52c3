//! `CKM_SHA256_KEY_DERIVATION` and its like (PKCS#11 3.2, "SHA-1 key derivation" to "SHAKE-256 key
//! derivation"): the digest of a key is a key.

use strongroom_awslc::digest::Shake;
use strongroom_types::{Bytes, Error, MechanismType, Result, mechanism};

use crate::derive::leading;
use crate::failure::or;
use crate::{Derivation, Inputs, Mechanism, hash, secret};

/// The longest output of SHAKE that becomes a key, in bytes. The standard sets no limit.
const LONGEST: usize = 65536;

macro_rules! rows {
    ($($hash:ident: $ckm:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[
            $(row(mechanism!($ckm), |inputs, wanted| {
                leading(hash::$hash.digest(inputs.value()?)?, wanted)
            }),)*
            row(mechanism!(CKM_SHAKE_128_KEY_DERIVATION), |inputs, wanted| {
                shake(Shake::Shake128, inputs, wanted)
            }),
            row(mechanism!(CKM_SHAKE_256_KEY_DERIVATION), |inputs, wanted| {
                shake(Shake::Shake256, inputs, wanted)
            }),
        ];
    };
}

rows! {
    SHA1: CKM_SHA1_KEY_DERIVATION;
    SHA224: CKM_SHA224_KEY_DERIVATION;
    SHA256: CKM_SHA256_KEY_DERIVATION;
    SHA384: CKM_SHA384_KEY_DERIVATION;
    SHA512: CKM_SHA512_KEY_DERIVATION;
    SHA512_224: CKM_SHA512_224_KEY_DERIVATION;
    SHA512_256: CKM_SHA512_256_KEY_DERIVATION;
    SHA3_224: CKM_SHA3_224_KEY_DERIVATION;
    SHA3_256: CKM_SHA3_256_KEY_DERIVATION;
    SHA3_384: CKM_SHA3_384_KEY_DERIVATION;
    SHA3_512: CKM_SHA3_512_KEY_DERIVATION;
}

const fn row(
    named: (MechanismType, &'static str),
    value: fn(&Inputs<'_>, Option<usize>) -> Result<Bytes>,
) -> Mechanism {
    Mechanism {
        key_size: 1..=0x7fff_ffff,
        derive: Some(Derivation::of_digest(value)),
        ..Mechanism::named(named)
    }
}

/// SHAKE has no natural length.
fn shake(shake: Shake, inputs: &Inputs<'_>, wanted: Option<usize>) -> Result<Bytes> {
    let wanted = wanted.ok_or_else(secret::no_len)?;
    if wanted > LONGEST {
        return Err(Error::KeySizeRange);
    }
    shake.output(&[inputs.value()?], wanted).map_err(or(Error::FunctionFailed))
}
