//! Mechanisms: `CK_MECHANISM`, and its parameter as the mechanism's layouts describe it.

use core::ffi::c_void;

use cryptoki_sys::CK_MECHANISM;
use strongroom_types::{Error, Field, Layout, MechanismCall, MechanismType, Param, Params, Result};

use super::pointer::Plain;
use super::template::copied;
use super::{CkUlong, InPtr, MOST_BYTES, wide};

/// The layouts of a mechanism's parameter; none if there is no such mechanism.
type Layouts = fn(MechanismType) -> Option<&'static [Layout]>;

impl InPtr<'_, CK_MECHANISM> {
    /// The mechanism, with its parameter copied.
    pub(crate) fn mechanism(&self, layouts: Layouts) -> Result<MechanismCall> {
        let raw = self.read()?;
        let mechanism = MechanismType(wide(raw.mechanism));
        let layouts = layouts(mechanism).ok_or(Error::MechanismInvalid)?;
        // SAFETY: the structure was read from the caller's memory.
        let at: InPtr<'_, u8> = unsafe { InPtr::<c_void>::found(raw.pParameter.cast::<u8>()) };
        let len = bounded(&at, raw.ulParameterLen)?;
        let layout = layouts.iter().find(|layout| fits(layout, len));
        let layout = layout.ok_or(Error::MechanismParamInvalid)?;
        Ok(MechanismCall { mechanism, params: Members { at, len, offset: 0 }.read(layout)? })
    }

    /// The mechanism, where null is allowed and stands for none.
    pub(crate) fn optional_mechanism(&self, layouts: Layouts) -> Result<Option<MechanismCall>> {
        if self.is_null() { Ok(None) } else { self.mechanism(layouts).map(Some) }
    }
}

/// A length that goes with a pointer: no more than we copy, and nothing where nothing is.
fn bounded(at: &InPtr<'_, u8>, len: CkUlong) -> Result<usize> {
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= MOST_BYTES && (*len == 0 || !at.is_null()))
        .ok_or(Error::MechanismParamInvalid)
}

/// Whether a parameter of this length is one of this layout.
fn fits(layout: Layout, len: usize) -> bool {
    matches!(layout, [Field::Whole]) || size(layout) == len
}

/// The size of the C structure.
fn size(layout: Layout) -> usize {
    let mut end: usize = 0;
    let mut widest = 1;
    for (size, align) in layout.iter().flat_map(|field| members(*field)) {
        end = end.next_multiple_of(align).saturating_add(size);
        widest = widest.max(align);
    }
    end.next_multiple_of(widest)
}

/// The members that a field stands for: their sizes and alignments.
fn members(field: Field) -> impl Iterator<Item = (usize, usize)> {
    let pointer = Some((size_of::<*mut u8>(), align_of::<*mut u8>()));
    let ulong = Some((size_of::<CkUlong>(), align_of::<CkUlong>()));
    let (first, second) = match field {
        Field::Bool => (Some((1, 1)), None),
        Field::Ulong => (ulong, None),
        Field::PtrLen => (pointer, ulong),
        Field::LenPtr => (ulong, pointer),
        Field::Fixed(size) => (Some((size, 1)), None),
        Field::Whole => (None, None),
    };
    first.into_iter().chain(second)
}

/// Walks the members of a C structure, with the padding that C gives it.
struct Members<'call> {
    at: InPtr<'call, u8>,
    len: usize,
    offset: usize,
}

impl<'call> Members<'call> {
    fn read(mut self, layout: Layout) -> Result<Params> {
        layout.iter().map(|field| self.field(*field)).collect::<Result<Params>>()
    }

    fn field(&mut self, field: Field) -> Result<Param> {
        Ok(match field {
            Field::Bool => Param::Bool(self.next::<u8>()? != 0),
            Field::Ulong => Param::Ulong(wide(self.next()?)),
            Field::PtrLen => {
                let at = self.pointer()?;
                let len = self.next()?;
                bytes(&at, len)?
            }
            Field::LenPtr => {
                let len = self.next()?;
                bytes(&self.pointer()?, len)?
            }
            Field::Fixed(size) => {
                let start = self.skip(size, 1)?;
                Param::Bytes(copied(&start, size)?)
            }
            Field::Whole => Param::Bytes(copied(&self.at, self.len)?),
        })
    }

    fn pointer(&mut self) -> Result<InPtr<'call, u8>> {
        let pointer: *mut u8 = self.next()?;
        // SAFETY: the structure that it was read from is the caller's.
        Ok(unsafe { InPtr::<c_void>::found(pointer) })
    }

    fn next<T: Plain>(&mut self) -> Result<T> {
        self.skip(size_of::<T>(), align_of::<T>())?.cast::<T>().read()
    }

    /// Steps over a member, and tells where it was.
    fn skip(&mut self, size: usize, align: usize) -> Result<InPtr<'call, u8>> {
        let start = self.offset.next_multiple_of(align);
        let end = start.checked_add(size).filter(|end| *end <= self.len);
        self.offset = end.ok_or(Error::MechanismParamInvalid)?;
        Ok(self.at.byte_offset(start))
    }
}

fn bytes(at: &InPtr<'_, u8>, len: CkUlong) -> Result<Param> {
    Ok(Param::Bytes(copied(at, bounded(at, len)?)?))
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
