//! `C_GetAttributeValue`: which attributes the caller wants, and the values in its memory.

use core::ffi::c_void;

use cryptoki_sys::CK_ATTRIBUTE;
use strongroom_types::{Attributes, Bytes, Error, Result, Value, graver};
use zeroize::Zeroizing;

use super::template::count_of;
use super::{CkUlong, OutPtr, UNAVAILABLE, length, narrow, wide};

/// A template that waits for values.
pub(crate) struct Query<'call> {
    array: OutPtr<'call, CK_ATTRIBUTE>,
    wanted: Vec<u64>,
}

impl<'call> Query<'call> {
    /// Reads which attributes the caller wants.
    pub(crate) fn new(array: OutPtr<'call, CK_ATTRIBUTE>, count: CkUlong) -> Result<Self> {
        let wanted = (0..count_of(array.is_null(), count)?)
            .map(|index| array.element(index).read().map(|entry| wide(entry.type_)))
            .collect::<Result<_>>()?;
        Ok(Self { array, wanted })
    }

    /// The attributes, in the caller's order.
    pub(crate) fn wanted(&self) -> &[u64] {
        &self.wanted
    }

    /// Gives the caller what there is for each of them: the value, its length, or the word that it
    /// is not to be had. One that is not to be had does not keep the others from being given.
    pub(crate) fn settle(self, values: &[Result<Value>]) -> Result<()> {
        if values.len() != self.wanted.len() {
            return Err(Error::GeneralError);
        }
        fill_all(&self.array, values.iter().map(|value| value.as_ref().map_err(|error| *error)))
    }
}

fn fill_all<'v>(
    array: &OutPtr<'_, CK_ATTRIBUTE>,
    values: impl Iterator<Item = Result<&'v Value>>,
) -> Result<()> {
    let mut outcome = Ok(());
    for (index, value) in values.enumerate() {
        let place = array.element(index);
        let mut entry = place.read()?;
        let filled = value.and_then(|value| fill(&entry, value));
        entry.ulValueLen = filled.unwrap_or(UNAVAILABLE);
        place.write(entry)?;
        outcome = graver(outcome, wide(entry.type_), filled.map(|_| ()));
    }
    outcome
}

/// Writes a value where the attribute points, and tells its length.
fn fill(entry: &CK_ATTRIBUTE, value: &Value) -> Result<CkUlong> {
    let size = match value {
        Value::Bool(_) => size_of::<u8>(),
        Value::Ulong(_) => size_of::<CkUlong>(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Ulongs(numbers) => size_of::<CkUlong>().saturating_mul(numbers.len()),
        Value::Attributes(inner) => size_of::<CK_ATTRIBUTE>().saturating_mul(inner.len()),
    };
    let len = length(size)?;
    // SAFETY: the attribute was read from the caller's template.
    let memory: OutPtr<'_, u8> = unsafe { OutPtr::<c_void>::found(entry.pValue.cast::<u8>()) };
    if memory.is_null() {
        return Ok(len);
    }
    if entry.ulValueLen < len || entry.ulValueLen == UNAVAILABLE {
        return Err(Error::BufferTooSmall);
    }
    match value {
        Value::Bool(value) => memory.write(u8::from(*value))?,
        Value::Ulong(value) => memory.cast::<CkUlong>().write(narrow(*value)?)?,
        Value::Bytes(bytes) => memory.write_bytes(bytes)?,
        Value::Ulongs(numbers) => memory.write_bytes(&c_ulongs(numbers)?)?,
        Value::Attributes(inner) => fill_nested(&memory.cast(), inner)?,
    }
    Ok(len)
}

/// The second level: the caller's array gets the attributes' numbers, and then, as the first
/// level does, their lengths or values.
fn fill_nested(array: &OutPtr<'_, CK_ATTRIBUTE>, inner: &Attributes) -> Result<()> {
    for (index, (id, _)) in inner.iter().enumerate() {
        let place = array.element(index);
        place.write(CK_ATTRIBUTE { type_: narrow(id)?, ..place.read()? })?;
    }
    fill_all(array, inner.iter().map(|(_, value)| Ok(value)))
}

fn c_ulongs(numbers: &[u64]) -> Result<Bytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(size_of_val(numbers)));
    for number in numbers {
        bytes.extend_from_slice(&narrow(*number)?.to_ne_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use core::ptr::null_mut;

    use strongroom_types::attribute;

    use super::super::Argument;
    use super::*;

    #[expect(clippy::as_conversions, reason = "a constant, and small")]
    const WORD: CkUlong = size_of::<CkUlong>() as CkUlong;

    fn entry<T>(memory: *mut T, len: CkUlong) -> CK_ATTRIBUTE {
        CK_ATTRIBUTE { type_: 0, pValue: memory.cast(), ulValueLen: len }
    }

    fn settle(entries: &mut [CK_ATTRIBUTE], values: &[Result<Value>]) -> Result<()> {
        let count = entries.len().try_into().unwrap();
        // SAFETY: the entries, and what they point to, outlive the call.
        let array = unsafe { OutPtr::from_c(entries.as_mut_ptr()) };
        Query::new(array, count)?.settle(values)
    }

    #[test]
    fn lengths_then_values() {
        let values = [
            Ok(Value::Bool(true)),
            Ok(Value::Ulong(7)),
            Ok(b"label".as_slice().into()),
            Ok(Value::Ulongs(vec![1, 2])),
            Ok(b"".as_slice().into()),
        ];
        let mut entries = [entry::<u8>(null_mut(), 0); 5];
        settle(&mut entries, &values).unwrap();
        assert_eq!(entries.map(|entry| entry.ulValueLen), [1, WORD, 5, 2 * WORD, 0]);

        let (mut yes, mut number, mut label) = (9_u8, CkUlong::default(), [0_u8; 6]);
        let (mut list, mut empty) = ([CkUlong::default(); 2], 1_u8);
        let mut entries = [
            entry(&raw mut yes, 1),
            entry(&raw mut number, WORD),
            entry(&raw mut label, 6),
            entry(&raw mut list, 2 * WORD),
            entry(&raw mut empty, 0),
        ];
        settle(&mut entries, &values).unwrap();
        assert_eq!(entries.map(|entry| entry.ulValueLen), [1, WORD, 5, 2 * WORD, 0]);
        assert_eq!((yes, number, &label, list, empty), (1, 7, b"label\0", [1, 2], 1));
    }

    #[test]
    fn one_that_is_not_to_be_had_does_not_hinder_the_others() {
        let (mut small, mut label) = ([0_u8; 2], [0_u8; 5]);
        let mut entries = [
            entry(&raw mut small, 2),
            entry::<u8>(null_mut(), 3),
            entry::<u8>(null_mut(), 3),
            entry(&raw mut label, 5),
        ];
        let values = [
            Ok(b"label".as_slice().into()),
            Err(Error::AttributeTypeInvalid),
            Err(Error::AttributeSensitive),
            Ok(b"label".as_slice().into()),
        ];
        assert_eq!(settle(&mut entries, &values), Err(Error::AttributeSensitive));
        let lengths = entries.map(|entry| entry.ulValueLen);
        assert_eq!(lengths, [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, 5]);
        assert_eq!((small, &label), ([0; 2], b"label"));

        // A caller that hands the word back does not have that much room.
        assert_eq!(settle(&mut entries[..1], &values[..1]), Err(Error::BufferTooSmall));
    }

    #[test]
    fn too_small_is_told() {
        let mut small = [0_u8; 4];
        let mut entries = [entry(&raw mut small, 4)];
        let values = [Ok(b"label".as_slice().into())];
        assert_eq!(settle(&mut entries, &values), Err(Error::BufferTooSmall));
        assert_eq!(entries[0].ulValueLen, UNAVAILABLE);
    }

    #[test]
    fn nested_templates_come_in_two_levels() {
        let mut inner = Attributes::default();
        inner.set(attribute::CLASS, 4);
        inner.set(attribute::EXTRACTABLE, false);
        let values = [Ok(Value::Attributes(inner))];
        let size = CkUlong::try_from(2 * size_of::<CK_ATTRIBUTE>()).unwrap();

        let mut outer = [entry::<u8>(null_mut(), 0)];
        settle(&mut outer, &values).unwrap();
        assert_eq!(outer[0].ulValueLen, size);

        let mut array = [entry::<u8>(null_mut(), 0); 2];
        let mut outer = [entry(array.as_mut_ptr(), size)];
        settle(&mut outer, &values).unwrap();
        let told = array.map(|entry| (wide(entry.type_), entry.ulValueLen));
        assert_eq!(told, [(attribute::CLASS.info.id, WORD), (attribute::EXTRACTABLE.info.id, 1)]);

        let (mut class, mut extractable) = (CkUlong::default(), 9_u8);
        let mut array = [entry(&raw mut class, WORD), entry(&raw mut extractable, 1)];
        let mut outer = [entry(array.as_mut_ptr(), size)];
        settle(&mut outer, &values).unwrap();
        assert_eq!((class, extractable, outer[0].ulValueLen), (4, 0, size));

        let mut outer = [entry(array.as_mut_ptr(), size - 1)];
        assert_eq!(settle(&mut outer, &values), Err(Error::BufferTooSmall));
    }

    #[test]
    fn counts_are_checked() {
        let mut one = [entry::<u8>(null_mut(), 0)];
        for count in [1 << 32, CkUlong::MAX] {
            // SAFETY: one attribute; the count is refused before more is read.
            let array = unsafe { OutPtr::from_c(one.as_mut_ptr()) };
            assert_eq!(Query::new(array, count).err(), Some(Error::ArgumentsBad));
        }
        assert_eq!(settle(&mut one, &[]), Err(Error::GeneralError), "one answer for each");
    }
}
