//! Mechanism parameters: their C structures described as data, and their values without pointers.
//!
//! A mechanism declares the members of its `CK_*_PARAMS` structure as a [`Layout`]. The edge reads
//! any layout with one routine, and nobody between the edge and the mechanism knows what the
//! values mean.

use zeroize::Zeroizing;

use crate::{Attributes, Bytes, Error, MechanismType, ObjectHandle, Result};

/// The shape of a parameter structure. The empty layout is the mechanism without a parameter.
pub type Layout = &'static [Field];

/// A member of a parameter structure, or a pointer and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `CK_BBOOL`.
    Bool,
    /// `CK_ULONG`, or anything defined as one.
    Ulong,
    /// A pointer followed by its length in bytes.
    PtrLen,
    /// A length in bytes followed by its pointer.
    LenPtr,
    /// A pointer followed by its length in bits, which is one of these; any other number is one of
    /// bytes, as some programs have it.
    PtrBits(&'static [u64]),
    /// An array of this many bytes inside the structure.
    Fixed(usize),
    /// Not a structure: the parameter itself is an array of bytes, such as an IV. The only field.
    Whole,
    /// A pointer and a length, or a pointer and a pointer to its length: the standard has had both
    /// in one place. No length of ours is an address, and no address a length.
    PtrLenOrPtr,
    /// A pointer to a structure of this layout.
    Ptr(Layout),
    /// A number of structures of this layout, followed by a pointer to the first.
    Array(Layout),
    /// A number that says which, followed by the pointer to a structure of that layout and its
    /// length in bytes.
    Tagged(&'static [(u64, Layout)]),
    /// A pointer to attributes, followed by their number.
    Template,
    /// A place for the handle of an object, inside the structure.
    OutHandle,
    /// A pointer to a place for this many bytes.
    OutPtr(usize),
    /// A pointer to a place for bytes; the number of bits is what this one of the numbers says that
    /// come before it, the first being 0.
    OutPtrBits(usize),
    /// A pointer followed by its length in bytes, to bytes that the token may replace.
    InOutPtrLen,
    /// The same with the length in bits.
    InOutPtrBits,
    /// The same with the length in bits, if it is one of these; any other number is one of bytes.
    InOutPtrLenOrBits(&'static [u64]),
    /// A pointer to this many bytes, which the token may replace.
    InOutPtr(usize),
}

/// The value of a field.
#[derive(Clone, PartialEq, Eq)]
pub enum Param {
    /// Of a [`Field::Bool`].
    Bool(bool),
    /// Of a [`Field::Ulong`].
    Ulong(u64),
    /// Of all the others.
    Bytes(Bytes),
    /// Of a [`Field::Ptr`], and of a [`Field::Tagged`], whose first value is the number.
    Structure(Params),
    /// Of a [`Field::Array`].
    Structures(Vec<Params>),
    /// Of a [`Field::Template`].
    Template(Attributes),
    /// Of a [`Field::OutHandle`], a [`Field::OutPtr`] or its like: whether there is a place.
    Place(bool),
}

/// A parameter, copied out of the caller's memory: one value per field of the layout that fits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

impl Params {
    /// The parameter of a mechanism that has none.
    pub const NONE: Self = Self(Vec::new());

    /// None yet, and room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// Adds the value of the next field.
    pub fn push(&mut self, value: Param) {
        self.0.push(value);
    }

    /// The values, to be matched against the mechanism's layout.
    pub fn as_slice(&self) -> &[Param] {
        &self.0
    }

    /// Whether the mechanism was called without a parameter.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        self.0.iter().map(Param::size).sum()
    }

    /// Whether these are values of a layout. What the edge has read always is; what comes over a wire
    /// need not be.
    pub fn fit(&self, layout: Layout) -> bool {
        fit(&self.0, layout)
    }

    /// The bytes of a parameter that is a single byte array, such as an IV.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismParamInvalid`] if it is anything else.
    pub fn bytes(&self) -> Result<&[u8]> {
        match self.as_slice() {
            [Param::Bytes(bytes)] => Ok(bytes),
            _ => Err(Error::MechanismParamInvalid.since("the parameter is no byte array")),
        }
    }

    /// The bytes of a parameter that is a byte array of exactly `N` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismParamInvalid`] if it is anything else.
    pub fn array<const N: usize>(&self) -> Result<[u8; N]> {
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| {
            let why = || format!("the parameter has {} bytes, and not {N}", bytes.len());
            Error::MechanismParamInvalid.because(why)
        })
    }
}

impl Param {
    fn size(&self) -> usize {
        let held = match self {
            Self::Bool(_) | Self::Ulong(_) | Self::Place(_) => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Structure(inner) => inner.size(),
            Self::Structures(all) => {
                let each = |one: &Params| one.size().saturating_add(size_of::<Params>());
                all.iter().map(each).sum()
            }
            Self::Template(attributes) => attributes.size(),
        };
        held.saturating_add(size_of::<Self>())
    }
}

fn fit(values: &[Param], layout: Layout) -> bool {
    values.len() == layout.len() && layout.iter().zip(values).all(|(field, value)| field.has(value))
}

impl Field {
    /// Whether this is a value of the field.
    fn has(self, value: &Param) -> bool {
        match self {
            Self::Bool => matches!(value, Param::Bool(_)),
            Self::Ulong => matches!(value, Param::Ulong(_)),
            Self::Fixed(len) | Self::InOutPtr(len) => {
                matches!(value, Param::Bytes(bytes) if bytes.len() == len)
            }
            Self::PtrLen
            | Self::LenPtr
            | Self::PtrBits(_)
            | Self::Whole
            | Self::PtrLenOrPtr
            | Self::InOutPtrLen
            | Self::InOutPtrBits
            | Self::InOutPtrLenOrBits(_) => matches!(value, Param::Bytes(_)),
            Self::Ptr(layout) => matches!(value, Param::Structure(inner) if inner.fit(layout)),
            Self::Array(layout) => {
                matches!(value, Param::Structures(all) if all.iter().all(|one| one.fit(layout)))
            }
            Self::Tagged(layouts) => {
                let Param::Structure(Params(inner)) = value else { return false };
                let Some((Param::Ulong(tag), rest)) = inner.split_first() else { return false };
                layouts.iter().any(|(known, layout)| known == tag && fit(rest, layout))
            }
            Self::Template => matches!(value, Param::Template(_)),
            Self::OutHandle | Self::OutPtr(_) | Self::OutPtrBits(_) => {
                matches!(value, Param::Place(_))
            }
        }
    }
}

impl FromIterator<Param> for Params {
    fn from_iter<I: IntoIterator<Item = Param>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl IntoIterator for Params {
    type Item = Param;
    type IntoIter = std::vec::IntoIter<Param>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<&[u8]> for Param {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(bytes.to_vec()))
    }
}

/// What a function puts into a place that a parameter has for it ([`Param::Place`]).
pub enum Placed {
    /// Nothing.
    Nothing,
    /// The handle of an object that it made.
    Handle(ObjectHandle),
    /// Bytes.
    Bytes(Bytes),
}

/// What `C_DeriveKey` gives.
pub struct Derived {
    /// The key, if it is told beside the parameter.
    pub key: Option<ObjectHandle>,
    /// What goes to the places of the parameter, in their order.
    pub placed: Vec<Placed>,
}

/// `CK_MECHANISM`: which mechanism, with which parameter.
#[derive(Clone)]
pub struct MechanismCall {
    /// The mechanism's number.
    pub mechanism: MechanismType,
    /// Its parameter.
    pub params: Params,
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: Layout = &[Field::Ulong, Field::PtrLen];
    const LAYOUT: Layout = &[
        Field::Bool,
        Field::Fixed(2),
        Field::Ptr(INNER),
        Field::Array(INNER),
        Field::Tagged(&[(7, INNER)]),
        Field::OutHandle,
    ];

    fn bytes(len: usize) -> Param {
        Param::Bytes(Bytes::new(vec![0; len]))
    }

    fn inner() -> Vec<Param> {
        vec![Param::Ulong(1), bytes(3)]
    }

    fn values() -> Vec<Param> {
        vec![
            Param::Bool(true),
            bytes(2),
            Param::Structure(Params(inner())),
            Param::Structures(vec![Params(inner()), Params(inner())]),
            Param::Structure(Params([vec![Param::Ulong(7)], inner()].concat())),
            Param::Place(true),
        ]
    }

    #[test]
    fn values_are_held_to_their_layout() {
        assert!(Params(values()).fit(LAYOUT));
        assert!(Params::NONE.fit(&[]));
        let wrong = [
            (0, Param::Ulong(1)),
            (1, bytes(3)),
            (2, Param::Structure(Params(vec![Param::Ulong(1)]))),
            (3, Param::Structures(vec![Params(inner()), Params::NONE])),
            (4, Param::Structure(Params([vec![Param::Ulong(8)], inner()].concat()))),
            (4, Param::Structure(Params::NONE)),
            (5, bytes(8)),
        ];
        for (place, value) in wrong {
            let mut values = values();
            values[place] = value;
            assert!(!Params(values).fit(LAYOUT), "{place}");
        }
        let [mut more, mut fewer] = [values(), values()];
        more.push(Param::Bool(true));
        fewer.pop();
        assert!(!Params(more).fit(LAYOUT) && !Params(fewer).fit(LAYOUT));
    }
}
