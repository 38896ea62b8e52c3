//! Templates: arrays of `CK_ATTRIBUTE` as [`Attributes`].

use core::ffi::c_void;

use cryptoki_sys::CK_ATTRIBUTE;
use strongroom_types::{
    AttributeInfo, Attributes, Bytes, Error, Kind, Result, Value, attribute, copy_of,
};

use super::budget::Budget;
use super::pointer::checked_len;
use super::{CkUlong, InPtr, MOST_ATTRIBUTES, wide};
use crate::module;

/// How many bytes a `CK_DATE` has when it is not empty.
const DATE: usize = size_of::<cryptoki_sys::CK_DATE>();

impl InPtr<'_, CK_ATTRIBUTE> {
    /// The template of `count` attributes: each value copied once, into memory that is wiped.
    pub(crate) fn template(&self, count: CkUlong) -> Result<Attributes> {
        self.template_within(count, &Budget::new())
    }

    /// The same of a template that is not all there is to copy.
    pub(super) fn template_within(&self, count: CkUlong, budget: &Budget) -> Result<Attributes> {
        collect(self, count_of(self.is_null(), count)?, &nested, budget)
    }
}

/// A number of attributes that a template can have.
pub(super) fn count_of(null: bool, count: CkUlong) -> Result<usize> {
    let count = checked_len::<CK_ATTRIBUTE>(count)?;
    if count > MOST_ATTRIBUTES || (null && count > 0) {
        return Err(Error::ArgumentsBad.since("the template is null, or has too many attributes"));
    }
    Ok(count)
}

/// What makes a value of an attribute that is a template itself.
type Nested<'a> = &'a dyn Fn(&Raw<'_>) -> Result<Value>;

fn collect(
    array: &InPtr<'_, CK_ATTRIBUTE>,
    count: usize,
    nested: Nested<'_>,
    budget: &Budget,
) -> Result<Attributes> {
    // All are parsed before any is compared: so wrong values are told as such, and not as
    // contradictions.
    let values = (0..count)
        .map(|index| {
            let raw = Raw::new(array.element(index).read()?, budget)?;
            let value = raw.value(nested).map_err(|error| raw.malformed(error))?;
            Ok((raw.id, value))
        })
        .collect::<Result<Vec<_>>>()?;
    // SoftHSM2 takes attribute after attribute over, so the last one counts.
    if module::compatible() { Ok(Attributes::last_of(values)) } else { Attributes::collect(values) }
}

/// A template as the value of an attribute.
fn nested(raw: &Raw<'_>) -> Result<Value> {
    let array = raw.value.cast::<CK_ATTRIBUTE>();
    if !raw.len.is_multiple_of(size_of::<CK_ATTRIBUTE>()) {
        return Err(Error::AttributeValueInvalid);
    }
    let count = raw.len / size_of::<CK_ATTRIBUTE>();
    if count > MOST_ATTRIBUTES {
        return Err(Error::AttributeValueInvalid);
    }
    // Section 4.1.3 gives no meaning to a template in a template in a template.
    let too_deep = |_: &Raw<'_>| Err(Error::AttributeValueInvalid);
    collect(&array, count, &too_deep, raw.budget).map(Value::Attributes)
}

/// An attribute whose pointer and length agree.
struct Raw<'call> {
    id: u64,
    value: InPtr<'call, u8>,
    len: usize,
    /// What else may be copied.
    budget: &'call Budget,
}

impl<'call> Raw<'call> {
    fn new(attribute: CK_ATTRIBUTE, budget: &'call Budget) -> Result<Self> {
        let id = wide(attribute.type_);
        // The stored form has 32 bits for it, which is what the standard's numbers take.
        u32::try_from(id).map_err(|_| {
            Error::AttributeTypeInvalid.because(|| format!("there is no attribute {id:#x}"))
        })?;
        let pointer = attribute.pValue.cast::<u8>();
        // SAFETY: the attribute was read from the caller's template.
        let value: InPtr<'call, u8> = unsafe { InPtr::<c_void>::found(pointer) };
        let len = usize::try_from(attribute.ulValueLen)
            .ok()
            .filter(|len| (*len == 0 || !value.is_null()) && budget.take(*len))
            .ok_or_else(|| {
                let name = attribute::name(id);
                Error::AttributeValueInvalid
                    .because(|| format!("the value of {name} can not be where its pointer says"))
            })?;
        Ok(Self { id, value, len, budget })
    }

    /// An error that stays what it is, and is about this attribute.
    fn malformed(&self, error: Error) -> Error {
        let (name, len) = (attribute::name(self.id), self.len);
        error.because(|| format!("{name} can not have a value of {len} bytes"))
    }

    fn value(&self, nested: Nested<'_>) -> Result<Value> {
        // An attribute that nobody knows is for those to refuse who know the object.
        match AttributeInfo::find(self.id).map_or(Kind::Bytes, |info| info.kind) {
            Kind::Bool => Ok(Value::Bool(self.exactly::<u8>()? != 0)),
            Kind::Ulong => Ok(Value::Ulong(wide(self.exactly()?))),
            Kind::Date if !matches!(self.len, 0 | DATE) => Err(Error::AttributeValueInvalid),
            Kind::Bytes | Kind::Date => self.bytes().map(Value::Bytes),
            Kind::Ulongs => self.ulongs().map(Value::Ulongs),
            Kind::Attributes => nested(self),
        }
    }

    fn exactly<T: super::pointer::Plain>(&self) -> Result<T> {
        if self.len != size_of::<T>() {
            return Err(Error::AttributeValueInvalid);
        }
        self.value.cast::<T>().read()
    }

    fn bytes(&self) -> Result<Bytes> {
        copied(&self.value, self.len)
    }

    fn ulongs(&self) -> Result<Vec<u64>> {
        if !self.len.is_multiple_of(size_of::<CkUlong>()) {
            return Err(Error::AttributeValueInvalid);
        }
        let first = self.value.cast::<CkUlong>();
        (0..self.len / size_of::<CkUlong>())
            .map(|index| first.element(index).read().map(wide))
            .collect()
    }
}

/// Copies bytes of the caller's, once, into memory that is wiped when it is dropped.
pub(super) fn copied(from: &InPtr<'_, u8>, len: usize) -> Result<Bytes> {
    copy_of(from.slice(super::length(len)?)?)
}

#[cfg(test)]
mod tests {
    use core::ptr::null_mut;

    use super::super::Argument;
    use super::*;

    #[expect(clippy::as_conversions, reason = "a constant, and small")]
    const WORD: CkUlong = size_of::<CkUlong>() as CkUlong;

    fn entry<T>(info: &AttributeInfo, value: &mut T, len: CkUlong) -> CK_ATTRIBUTE {
        raw(info.id, (&raw mut *value).cast(), len)
    }

    fn raw(id: u64, value: *mut c_void, len: CkUlong) -> CK_ATTRIBUTE {
        CK_ATTRIBUTE { type_: crate::abi::narrow(id).unwrap(), pValue: value, ulValueLen: len }
    }

    fn parse(template: &mut [CK_ATTRIBUTE]) -> Result<Attributes> {
        let pointer = template.as_mut_ptr();
        // SAFETY: the template outlives the call.
        unsafe { InPtr::from_c(pointer) }.template(template.len().try_into().unwrap())
    }

    #[test]
    fn each_kind_is_read() {
        let (mut yes, mut class, mut label, mut date) =
            (0xFF_u8, CkUlong::from(3_u8), *b"key", *b"20300101");
        let mut mechanisms: [CkUlong; 2] = [1, CkUlong::MAX];
        let read = parse(&mut [
            entry(attribute::TOKEN.info, &mut yes, 1),
            entry(attribute::CLASS.info, &mut class, WORD),
            entry(attribute::LABEL.info, &mut label, 3),
            entry(attribute::START_DATE.info, &mut date, 8),
            entry(attribute::ALLOWED_MECHANISMS.info, &mut mechanisms, 2 * WORD),
            raw(0x8000_1234, (&raw mut label).cast(), 2),
            raw(attribute::ID.info.id, null_mut(), 0),
        ])
        .unwrap();
        assert_eq!(read.get(attribute::TOKEN), Some(true), "any byte but zero is true");
        assert_eq!(read.get(attribute::CLASS), Some(3));
        assert_eq!(read.get(attribute::LABEL), Some(b"key".as_slice()));
        assert_eq!(read.get(attribute::START_DATE), Some(b"20300101".as_slice()));
        assert_eq!(read.get(attribute::ALLOWED_MECHANISMS), Some([1, u64::MAX].as_slice()));
        assert!(read.value(0x8000_1234) == Some(&b"ke".as_slice().into()));
        assert_eq!(read.get(attribute::ID), Some([].as_slice()));
    }

    #[test]
    fn wrong_lengths_are_invalid_values() {
        let mut memory = [0_u8; 32];
        for (info, len) in [
            (attribute::TOKEN.info, 0),
            (attribute::TOKEN.info, 2),
            (attribute::CLASS.info, WORD - 1),
            (attribute::CLASS.info, 2 * WORD),
            (attribute::START_DATE.info, 7),
            (attribute::ALLOWED_MECHANISMS.info, WORD + 1),
            (attribute::WRAP_TEMPLATE.info, 5),
            (attribute::LABEL.info, CkUlong::MAX),
            (attribute::LABEL.info, 1 << 32),
        ] {
            let result = parse(&mut [entry(info, &mut memory, len)]);
            assert_eq!(result.err(), Some(Error::AttributeValueInvalid), "{} {len}", info.name);
        }
    }

    #[test]
    fn null_with_a_length_is_an_invalid_value() {
        for info in [attribute::LABEL.info, attribute::TOKEN.info, attribute::WRAP_TEMPLATE.info] {
            let result = parse(&mut [raw(info.id, null_mut(), 24)]);
            assert_eq!(result.err(), Some(Error::AttributeValueInvalid), "{}", info.name);
        }
    }

    #[test]
    fn numbers_above_32_bits_are_no_attributes() {
        let result = parse(&mut [raw(1 << 32, null_mut(), 0)]);
        assert_eq!(result.err(), Some(Error::AttributeTypeInvalid));
    }

    #[test]
    fn counts_are_checked_before_anything_is_read() {
        let mut one = [raw(0, null_mut(), 0)];
        for (pointer, count) in [
            (null_mut(), 1),
            (one.as_mut_ptr(), 1 << 32),
            (one.as_mut_ptr(), CkUlong::MAX),
            (null_mut(), CkUlong::MAX),
        ] {
            // SAFETY: null, or one attribute; the counts are refused before more is read.
            let result = unsafe { InPtr::from_c(pointer) }.template(count);
            assert_eq!(result.err(), Some(Error::ArgumentsBad));
        }
        // SAFETY: null.
        let empty = unsafe { InPtr::from_c(null_mut()) }.template(0).unwrap();
        assert!(empty.is_empty());
    }

    #[test]
    fn templates_nest_once() {
        let mut no = 0_u8;
        let mut inner = [entry(attribute::EXTRACTABLE.info, &mut no, 1)];
        let size = CkUlong::try_from(size_of_val(&inner)).unwrap();
        let mut outer = [entry(attribute::WRAP_TEMPLATE.info, &mut inner, size)];
        let read = parse(&mut outer).unwrap();
        assert!(
            read.get(attribute::WRAP_TEMPLATE).unwrap().get(attribute::EXTRACTABLE) == Some(false)
        );

        let mut third = [entry(attribute::WRAP_TEMPLATE.info, &mut outer, size)];
        assert_eq!(parse(&mut third).err(), Some(Error::AttributeValueInvalid));

        let mut wrong = [raw(attribute::EXTRACTABLE.info.id, null_mut(), 1)];
        let mut outer = [entry(attribute::WRAP_TEMPLATE.info, &mut wrong, size)];
        assert_eq!(parse(&mut outer).err(), Some(Error::AttributeValueInvalid));
    }

    #[test]
    fn template_and_values_may_be_misaligned() {
        let mut class = [0_u8; 1 + size_of::<CkUlong>()];
        class[1..].copy_from_slice(&CkUlong::from(4_u8).to_ne_bytes());
        let value = class[1..].as_mut_ptr().cast();
        let attribute = raw(attribute::CLASS.info.id, value, WORD);
        let mut memory = [core::mem::MaybeUninit::<u8>::uninit(); 1 + size_of::<CK_ATTRIBUTE>()];
        let odd = memory[1..].as_mut_ptr().cast::<CK_ATTRIBUTE>();
        // SAFETY: `memory` holds an attribute behind its first byte.
        unsafe { odd.write_unaligned(attribute) };
        // SAFETY: `memory` outlives the call.
        let read = unsafe { InPtr::from_c(odd) }.template(1).unwrap();
        assert_eq!(read.get(attribute::CLASS), Some(4));
    }
}
