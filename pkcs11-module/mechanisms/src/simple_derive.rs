//! `CKM_CONCATENATE_BASE_AND_KEY` and its like, `CKM_XOR_BASE_AND_DATA` and
//! `CKM_EXTRACT_KEY_FROM_KEY` (PKCS#11 3.2, "miscellaneous simple key derivation mechanisms").

use strongroom_types::{Bytes, Error, Field, Layout, MechanismType, Param, Result, mechanism};

use crate::derive::{leading, piece, value_of};
use crate::failure::param;
use crate::{Derivation, Heritage, Inputs, Makes, Mechanism};

/// Keys of any length that a `CK_ULONG` of 32 bits can say.
const KEY_SIZE: core::ops::RangeInclusive<u64> = 1..=0x7fff_ffff;

/// `CK_KEY_DERIVATION_STRING_DATA`.
static DATA: &[Layout] = &[&[Field::PtrLen]];

/// A `CK_OBJECT_HANDLE`, or `CK_EXTRACT_PARAMS`.
static NUMBER: &[Layout] = &[&[Field::Ulong]];

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    row(mechanism!(CKM_CONCATENATE_BASE_AND_KEY), NUMBER, |inputs, wanted| {
        let other = (inputs.other)(number(inputs)?)?;
        let (base, second) = (inputs.value()?, value_of(&other)?);
        let value = leading(concatenated(base, second), wanted)?;
        piece(inputs.attributes, value.len().min(base.len()))?;
        piece(&other, value.len().saturating_sub(base.len()))?;
        Ok(value)
    }),
    row(mechanism!(CKM_CONCATENATE_BASE_AND_DATA), DATA, |inputs, wanted| {
        let base = inputs.value()?;
        let value = leading(concatenated(base, inputs.params.bytes()?), wanted)?;
        piece(inputs.attributes, value.len().min(base.len()))?;
        Ok(value)
    }),
    row(mechanism!(CKM_CONCATENATE_DATA_AND_BASE), DATA, |inputs, wanted| {
        let data = inputs.params.bytes()?;
        let value = leading(concatenated(data, inputs.value()?), wanted)?;
        piece(inputs.attributes, value.len().saturating_sub(data.len()))?;
        Ok(value)
    }),
    row(mechanism!(CKM_XOR_BASE_AND_DATA), DATA, |inputs, wanted| {
        let pairs = inputs.value()?.iter().zip(inputs.params.bytes()?);
        let value = Bytes::new(pairs.map(|(one, other)| one ^ other).collect());
        whole_piece(inputs, leading(value, wanted)?)
    }),
    row(mechanism!(CKM_EXTRACT_KEY_FROM_KEY), NUMBER, |inputs, wanted| {
        whole_piece(inputs, leading(rotated(inputs.value()?, number(inputs)?)?, wanted)?)
    }),
];

const fn row(
    named: (MechanismType, &'static str),
    params: &'static [Layout],
    value: fn(&Inputs<'_>, Option<usize>) -> Result<Bytes>,
) -> Mechanism {
    Mechanism {
        key_size: KEY_SIZE,
        params,
        derive: Some(Derivation { makes: Makes::Secret(value), heritage: Heritage::Kept }),
        ..Mechanism::named(named)
    }
}

/// A value that is of the base key alone.
fn whole_piece(inputs: &Inputs<'_>, value: Bytes) -> Result<Bytes> {
    piece(inputs.attributes, value.len())?;
    Ok(value)
}

fn number(inputs: &Inputs<'_>) -> Result<u64> {
    match inputs.params.as_slice() {
        [Param::Ulong(number)] => Ok(*number),
        _ => Err(Error::MechanismParamInvalid),
    }
}

fn concatenated(one: &[u8], other: &[u8]) -> Bytes {
    Bytes::new([one, other].concat())
}

/// The bits of a key, from this one on and around the end: bit 0 is the highest of the first byte.
fn rotated(value: &[u8], first: u64) -> Result<Bytes> {
    let outside = || param("the bit to begin with lies outside the base key");
    let byte = usize::try_from(first / 8).map_err(|_| outside())?;
    let (before, from) = value.split_at_checked(byte).ok_or_else(outside)?;
    let shift = u32::try_from(first % 8).map_err(|_| outside())?;
    let next = from.iter().chain(before).cycle().skip(1);
    let bytes = from.iter().chain(before).zip(next);
    let bits = |(high, low): (&u8, &u8)| {
        let [bits, _] = (u16::from_be_bytes([*high, *low]) << shift).to_be_bytes();
        bits
    };
    if from.is_empty() {
        return Err(outside());
    }
    Ok(Bytes::new(bytes.map(bits).collect()))
}
