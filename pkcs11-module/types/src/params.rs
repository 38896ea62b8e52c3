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

    /// The bytes of a parameter that is a single byte array, such as an IV.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismParamInvalid`] if it is anything else.
    pub fn bytes(&self) -> Result<&[u8]> {
        match self.as_slice() {
            [Param::Bytes(bytes)] => Ok(bytes),
            _ => Err(Error::MechanismParamInvalid),
        }
    }

    /// The bytes of a parameter that is a byte array of exactly `N` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismParamInvalid`] if it is anything else.
    pub fn array<const N: usize>(&self) -> Result<[u8; N]> {
        self.bytes()?.try_into().map_err(|_| Error::MechanismParamInvalid)
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
