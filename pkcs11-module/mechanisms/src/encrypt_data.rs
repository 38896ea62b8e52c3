//! `CKM_AES_ECB_ENCRYPT_DATA` and `CKM_AES_CBC_ENCRYPT_DATA` (PKCS#11 3.2, "key derivation by data
//! encryption"): the ciphertext of the parameter is a key.

use strongroom_awslc::cipher::{BLOCK, Direction, Keyed, Mode};
use strongroom_types::{Bytes, Error, Field, Param, Result, mechanism};

use crate::aes::{self, Aes};
use crate::derive::leading;
use crate::failure::{or, param};
use crate::{Derivation, Inputs, Mechanism};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        derive: Some(Derivation::secret(|inputs, wanted| {
            encrypted(inputs, Mode::Ecb, &[], inputs.params.bytes()?, wanted)
        })),
        // `CK_KEY_DERIVATION_STRING_DATA`.
        ..aes::row(mechanism!(CKM_AES_ECB_ENCRYPT_DATA), &[&[Field::PtrLen]])
    },
    Mechanism {
        derive: Some(Derivation::secret(|inputs, wanted| match inputs.params.as_slice() {
            [Param::Bytes(iv), Param::Bytes(data)] => {
                encrypted(inputs, Mode::Cbc, iv, data, wanted)
            }
            _ => Err(Error::MechanismParamInvalid),
        })),
        // `CK_AES_CBC_ENCRYPT_DATA_PARAMS`.
        ..aes::row(mechanism!(CKM_AES_CBC_ENCRYPT_DATA), &[&[Field::Fixed(BLOCK), Field::PtrLen]])
    },
];

/// As much of the ciphertext of whole blocks as is wanted, from its start.
fn encrypted(
    inputs: &Inputs<'_>,
    mode: Mode,
    iv: &[u8],
    data: &[u8],
    wanted: Option<usize>,
) -> Result<Bytes> {
    by_keyed(Aes::of(inputs.key)?.keyed(mode, Direction::Encrypt)?, BLOCK, iv, data, wanted)
}

/// The same by any cipher.
pub(crate) fn by_keyed(
    keyed: &Keyed,
    block: usize,
    iv: &[u8],
    data: &[u8],
    wanted: Option<usize>,
) -> Result<Bytes> {
    if data.is_empty() || !data.len().is_multiple_of(block) {
        return Err(param("the data are empty, or not in whole blocks"));
    }
    let mut ciphertext = Bytes::default();
    let run = keyed.start(iv, false).and_then(|mut running| running.update(data, &mut ciphertext));
    run.map_err(or(Error::FunctionFailed))?;
    leading(ciphertext, wanted).map_err(|error| match error {
        Error::KeySizeRange => Error::DataLenRange,
        error => error,
    })
}
