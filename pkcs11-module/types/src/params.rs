//! Mechanism parameters: their C structures described as data, and their values without pointers.
//!
//! A mechanism declares the members of its `CK_*_PARAMS` structure as a [`Layout`]. The edge reads
//! any layout with one routine, and nobody between the edge and the mechanism knows what the
//! values mean.

use zeroize::Zeroizing;

use crate::{Bytes, Error, MechanismType, Result};

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
    /// An array of this many bytes inside the structure.
    Fixed(usize),
    /// Not a structure: the parameter itself is an array of bytes, such as an IV. The only field.
    Whole,
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

impl From<&[u8]> for Param {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(bytes.to_vec()))
    }
}

/// `CK_MECHANISM`: which mechanism, with which parameter.
#[derive(Clone)]
pub struct MechanismCall {
    /// The mechanism's number.
    pub mechanism: MechanismType,
    /// Its parameter.
    pub params: Params,
}
