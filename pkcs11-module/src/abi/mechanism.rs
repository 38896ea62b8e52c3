//! Mechanisms: `CK_MECHANISM`, and its parameter as the mechanism's layouts describe it.

use core::ffi::c_void;

use cryptoki_sys::{CK_ATTRIBUTE, CK_MECHANISM};
use strongroom_types::reason::{self, Subject};
use strongroom_types::{
    Error, Field, Layout, MechanismCall, MechanismType, Param, Params, Placed, Result,
};

use crate::module::{self, mechanism_name};

use super::budget::Budget;
use super::pointer::Plain;
use super::template::copied;
use super::{CkUlong, InPtr, OutPtr, narrow, wide};

/// The layouts of a mechanism's parameter; none if there is no such mechanism.
type Layouts = fn(MechanismType) -> Option<&'static [Layout]>;

/// No address is below this one (`vm.mmap_min_addr`), and no length in a parameter that may have
/// an address in its place is above.
const LOWEST_ADDRESS: usize = 65536;

/// The most structures of one array in a parameter.
const MOST_STRUCTURES: usize = 4096;

/// The places of a parameter that the token fills.
pub(crate) struct Places<'call>(Vec<Place<'call>>);

enum Place<'call> {
    Handle(OutPtr<'call, CkUlong>),
    /// Bytes, and how many there is room for.
    Bytes(OutPtr<'call, u8>, usize),
}

impl Places<'_> {
    /// Fills them.
    pub(crate) fn put(self, placed: Vec<Placed>) -> Result<()> {
        if self.0.len() != placed.len() {
            return Err(Error::GeneralError);
        }
        self.0.iter().zip(placed).try_for_each(|(place, placed)| match (place, placed) {
            (_, Placed::Nothing) => Ok(()),
            (Place::Handle(at), Placed::Handle(handle)) => at.write(narrow(handle.0)?),
            // What comes from a daemon is not believed to fit.
            (Place::Bytes(at, room), Placed::Bytes(bytes)) if bytes.len() <= *room => {
                at.write_bytes(&bytes)
            }
            _ => Err(Error::GeneralError),
        })
    }

    /// Says of all objects that there are none.
    pub(crate) fn nothing_made(&self) {
        for place in &self.0 {
            if let Place::Handle(at) = place {
                // A place that is not there has nothing to say either.
                let _ = at.write(cryptoki_sys::CK_INVALID_HANDLE);
            }
        }
    }
}

impl<'call> InPtr<'call, CK_MECHANISM> {
    /// The mechanism, with its parameter copied.
    pub(crate) fn mechanism(&self, layouts: Layouts) -> Result<MechanismCall> {
        self.mechanism_with_places(layouts).map(|(call, _)| call)
    }

    /// The mechanism, with its parameter copied, and the places in it that are to be filled.
    pub(crate) fn mechanism_with_places(
        &self,
        layouts: Layouts,
    ) -> Result<(MechanismCall, Places<'call>)> {
        let raw = self.read()?;
        let mechanism = MechanismType(wide(raw.mechanism));
        reason::about(|| match mechanism_name(mechanism) {
            Some(name) => Subject::Mechanism(name),
            None => Subject::UnknownMechanism(mechanism.0),
        });
        let layouts = layouts(mechanism).ok_or_else(|| {
            Error::MechanismInvalid.because(|| "there is no such mechanism here".into())
        })?;
        if module::compatible() {
            super::oaep::as_softhsm2(&raw)?;
        }
        // SAFETY: the structure was read from the caller's memory.
        let at: InPtr<'_, c_void> = unsafe { InPtr::<c_void>::found(raw.pParameter) };
        let (params, places) = at.parameter(raw.ulParameterLen, layouts)?;
        Ok((MechanismCall { mechanism, params }, places))
    }

    /// The mechanism, where null is allowed and stands for none.
    pub(crate) fn optional_mechanism(&self, layouts: Layouts) -> Result<Option<MechanismCall>> {
        if self.is_null() { Ok(None) } else { self.mechanism(layouts).map(Some) }
    }
}

impl<'call> InPtr<'call, c_void> {
    /// A parameter, copied as the layout says that has its length, and the places in it that are
    /// to be filled.
    pub(crate) fn parameter(
        &self,
        len: CkUlong,
        layouts: &[Layout],
    ) -> Result<(Params, Places<'call>)> {
        let at = self.cast::<u8>();
        let mut reading =
            Reading { places: Places(Vec::new()), numbers: [None; 4], budget: Budget::new() };
        let len = reading.bounded(&at, len)?;
        let layout = layouts.iter().find(|layout| fits(layout, len));
        let layout = layout.ok_or_else(|| {
            Error::MechanismParamInvalid
                .because(|| format!("its parameter can not have {len} bytes"))
        })?;
        let params = Members::new(at, len).read(layout, &mut reading)?;
        Ok((params, reading.places))
    }
}

/// A parameter that is being read.
struct Reading<'call> {
    /// Those that were found so far.
    places: Places<'call>,
    /// The first numbers, as far as they were found: no layout asks for a later one, and every layout
    /// with a number would pay for a list.
    numbers: [Option<u64>; 4],
    /// What may still be copied.
    budget: Budget,
}

impl Reading<'_> {
    /// A length that goes with a pointer: no more than may be copied, and nothing where nothing is.
    fn bounded(&self, at: &InPtr<'_, u8>, len: CkUlong) -> Result<usize> {
        self.bounded_size(at, usize::try_from(len).map_err(|_| Error::MechanismParamInvalid)?)
    }

    fn bounded_size(&self, at: &InPtr<'_, u8>, len: usize) -> Result<usize> {
        let there = (len == 0 || !at.is_null()) && self.budget.take(len);
        there.then_some(len).ok_or_else(|| {
            let why = || format!("its parameter has {len} bytes that are nowhere, or too many");
            Error::MechanismParamInvalid.because(why)
        })
    }

    /// Keeps a number for a place whose length it may be.
    fn note(&mut self, number: u64) {
        if let Some(place) = self.numbers.iter_mut().find(|place| place.is_none()) {
            *place = Some(number);
        }
    }

    /// Bytes.
    fn bytes(&self, at: &InPtr<'_, u8>, len: CkUlong) -> Result<Param> {
        Ok(Param::Bytes(copied(at, self.bounded(at, len)?)?))
    }
}

impl<'call> Reading<'call> {
    /// Bytes that the token may replace by as many others.
    fn replaceable(&mut self, at: &InPtr<'call, u8>, len: usize) -> Result<Param> {
        // SAFETY: the layout says that the token writes what this member points to.
        self.places.0.push(Place::Bytes(unsafe { at.writable() }, len));
        Ok(Param::Bytes(copied(at, len)?))
    }

    /// A place for bytes, if it is there.
    fn place(&mut self, at: &InPtr<'call, u8>, room: usize) -> Param {
        // SAFETY: the layout says that the token writes what this member points to.
        self.places.0.push(Place::Bytes(unsafe { at.writable() }, room));
        Param::Place(!at.is_null())
    }
}

/// Whether a parameter of this length is one of this layout.
fn fits(layout: Layout, len: usize) -> bool {
    matches!(layout, [Field::Whole]) || size(layout) == len
}

/// The size of the C structure.
fn size(layout: Layout) -> usize {
    let mut end: usize = 0;
    let mut widest = 1;
    for field in layout {
        if let Field::Fixed(size) = field {
            end = end.saturating_add(*size);
        }
        for (size, align) in members(*field) {
            end = aligned(end, *align).saturating_add(*size);
            widest = widest.max(*align);
        }
    }
    aligned(end, widest)
}

/// Where the next member begins that is aligned so: alignments are powers of two.
const fn aligned(end: usize, align: usize) -> usize {
    let below = align.wrapping_sub(1);
    end.saturating_add(below) & !below
}

/// The size and the alignment of a member.
type Member = (usize, usize);

const POINTER: Member = (size_of::<*mut u8>(), align_of::<*mut u8>());
const ULONG: Member = (size_of::<CkUlong>(), align_of::<CkUlong>());

/// The members that a field stands for, without an array, whose size the field says.
const fn members(field: Field) -> &'static [Member] {
    match field {
        Field::Bool => &[(1, 1)],
        Field::Ulong | Field::OutHandle => &[ULONG],
        Field::PtrLen
        | Field::PtrBits(_)
        | Field::Template
        | Field::InOutPtrLen
        | Field::InOutPtrBits
        | Field::InOutPtrLenOrBits(_) => &[POINTER, ULONG],
        Field::PtrLenOrPtr => &[POINTER, POINTER],
        Field::LenPtr | Field::Array(_) => &[ULONG, POINTER],
        Field::Tagged(_) => &[ULONG, POINTER, ULONG],
        Field::Ptr(_) | Field::OutPtr(_) | Field::OutPtrBits(_) | Field::InOutPtr(_) => &[POINTER],
        Field::Fixed(_) | Field::Whole => &[],
    }
}

/// Walks the members of a C structure, with the padding that C gives it.
struct Members<'call> {
    at: InPtr<'call, u8>,
    len: usize,
    offset: usize,
}

impl<'call> Members<'call> {
    fn new(at: InPtr<'call, u8>, len: usize) -> Self {
        Self { at, len, offset: 0 }
    }

    fn read(mut self, layout: Layout, reading: &mut Reading<'call>) -> Result<Params> {
        let mut params = Params::with_capacity(layout.len());
        for field in layout {
            self.field(*field, reading, &mut params)?;
        }
        Ok(params)
    }

    /// Reads a field to where its value stays: to hand values on one by one costs more than to read
    /// them.
    fn field(
        &mut self,
        field: Field,
        reading: &mut Reading<'call>,
        params: &mut Params,
    ) -> Result<()> {
        params.push(match field {
            Field::Bool => Param::Bool(self.next::<u8>()? != 0),
            Field::Ulong => {
                let number = wide(self.next()?);
                reading.note(number);
                Param::Ulong(number)
            }
            Field::PtrLen => {
                let at = self.pointer()?;
                let len = self.next()?;
                reading.bytes(&at, len)?
            }
            Field::PtrBits(bits) => {
                let at = self.pointer()?;
                let len: CkUlong = self.next()?;
                reading.bytes(&at, if bits.contains(&wide(len)) { len / 8 } else { len })?
            }
            Field::LenPtr => {
                let len = self.next()?;
                reading.bytes(&self.pointer()?, len)?
            }
            Field::PtrLenOrPtr => {
                let at = self.pointer()?;
                reading.bytes(&at, self.len_or_pointer()?)?
            }
            Field::Fixed(size) => {
                let start = self.skip(size, 1)?;
                Param::Bytes(copied(&start, size)?)
            }
            Field::Whole => Param::Bytes(copied(&self.at, self.len)?),
            Field::Ptr(layout) => {
                let at = self.pointer()?;
                let len = reading.bounded_size(&at, size(layout))?;
                Param::Structure(Members::new(at, len).read(layout, reading)?)
            }
            Field::Array(layout) => {
                let count = self.next()?;
                Param::Structures(array(&self.pointer()?, count, layout, reading)?)
            }
            Field::Tagged(layouts) => {
                let tag = wide(self.next()?);
                let at = self.pointer()?;
                let len = self.next()?;
                Param::Structure(tagged(at, len, tag, layouts, reading)?)
            }
            Field::Template => {
                let at = self.pointer()?.cast::<CK_ATTRIBUTE>();
                Param::Template(at.template_within(self.next()?, &reading.budget)?)
            }
            Field::OutHandle => {
                let at = self.skip(size_of::<CkUlong>(), align_of::<CkUlong>())?;
                // SAFETY: the layout says that the token writes this member.
                let at = unsafe { at.cast::<CkUlong>().writable() };
                reading.places.0.push(Place::Handle(at));
                Param::Place(true)
            }
            Field::InOutPtrLen => {
                let at = self.pointer()?;
                let len = reading.bounded(&at, self.next()?)?;
                reading.replaceable(&at, len)?
            }
            Field::InOutPtrBits => {
                let at = self.pointer()?;
                let bits: CkUlong = self.next()?;
                if !bits.is_multiple_of(8) {
                    return Err(Error::MechanismParamInvalid
                        .since("a length in bits in its parameter is no multiple of 8"));
                }
                let len = reading.bounded(&at, bits / 8)?;
                reading.replaceable(&at, len)?
            }
            Field::InOutPtrLenOrBits(bits) => {
                let at = self.pointer()?;
                let len: CkUlong = self.next()?;
                let len = if bits.contains(&wide(len)) { len / 8 } else { len };
                let len = reading.bounded(&at, len)?;
                reading.replaceable(&at, len)?
            }
            Field::InOutPtr(len) => {
                let at = self.pointer()?;
                let len = reading.bounded_size(&at, len)?;
                reading.replaceable(&at, len)?
            }
            Field::OutPtr(len) => reading.place(&self.pointer()?, len),
            Field::OutPtrBits(number) => {
                let bits = reading.numbers.get(number).copied().flatten();
                let bits = bits.ok_or(Error::GeneralError)?;
                let room = usize::try_from(bits / 8).map_err(|_| Error::MechanismParamInvalid)?;
                reading.place(&self.pointer()?, room)
            }
        });
        Ok(())
    }

    fn pointer(&mut self) -> Result<InPtr<'call, u8>> {
        let pointer: *mut u8 = self.next()?;
        // SAFETY: the structure that it was read from is the caller's.
        Ok(unsafe { InPtr::<c_void>::found(pointer) })
    }

    /// A length, or what is at the address of one.
    fn len_or_pointer(&mut self) -> Result<CkUlong> {
        let word: *mut u8 = self.next()?;
        if word.addr() < LOWEST_ADDRESS {
            return CkUlong::try_from(word.addr()).map_err(|_| Error::MechanismParamInvalid);
        }
        // SAFETY: the structure that it was read from is the caller's.
        unsafe { InPtr::<c_void>::found(word) }.cast::<CkUlong>().read()
    }

    fn next<T: Plain>(&mut self) -> Result<T> {
        self.skip(size_of::<T>(), align_of::<T>())?.cast::<T>().read()
    }

    /// Steps over a member, and tells where it was.
    fn skip(&mut self, size: usize, align: usize) -> Result<InPtr<'call, u8>> {
        let start = aligned(self.offset, align);
        let end = start.checked_add(size).filter(|end| *end <= self.len);
        self.offset = end.ok_or(Error::MechanismParamInvalid)?;
        Ok(self.at.byte_offset(start))
    }
}

/// A structure of the layout that goes with a number.
fn tagged<'call>(
    at: InPtr<'call, u8>,
    len: CkUlong,
    tag: u64,
    layouts: &[(u64, Layout)],
    reading: &mut Reading<'call>,
) -> Result<Params> {
    let len = reading.bounded(&at, len)?;
    let layout = layouts.iter().find(|(id, layout)| *id == tag && fits(layout, len));
    let (_, layout) = layout.ok_or_else(|| {
        let why = || format!("its parameter has no part {tag:#x} of {len} bytes");
        Error::MechanismParamInvalid.because(why)
    })?;
    let inner = Members::new(at, len).read(layout, reading)?;
    Ok([Param::Ulong(tag)].into_iter().chain(inner).collect())
}

/// Structures that lie one after the other.
fn array<'call>(
    at: &InPtr<'call, u8>,
    count: CkUlong,
    layout: Layout,
    reading: &mut Reading<'call>,
) -> Result<Vec<Params>> {
    let size = size(layout);
    // Each takes more room here than where it lies.
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST_STRUCTURES);
    let count = count
        .ok_or_else(|| Error::MechanismParamInvalid.since("its parameter has too many parts"))?;
    let all = count.checked_mul(size).ok_or(Error::MechanismParamInvalid)?;
    reading.bounded_size(at, all)?;
    (0..count)
        .map(|index| Members::new(at.byte_offset(index * size), size).read(layout, reading))
        .collect()
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
