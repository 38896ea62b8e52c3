//! Templates: lists of attributes and values.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_ULONG};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A `CK_BBOOL`.
    Bool(bool),
    /// A `CK_ULONG`.
    Ulong(CK_ULONG),
    /// A list of `CK_ULONG`.
    Ulongs(Vec<CK_ULONG>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A template.
    Template(Vec<Attribute>),
    /// A null pointer, and this length.
    Null(usize),
}

/// An attribute and its value.
pub type Attribute = (CK_ATTRIBUTE_TYPE, Value);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<CK_ULONG> for Value {
    fn from(value: CK_ULONG) -> Self {
        Self::Ulong(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<&Vec<u8>> for Value {
    fn from(value: &Vec<u8>) -> Self {
        Self::Bytes(value.clone())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<CK_ULONG>> for Value {
    fn from(value: Vec<CK_ULONG>) -> Self {
        Self::Ulongs(value)
    }
}

impl From<Vec<Attribute>> for Value {
    fn from(value: Vec<Attribute>) -> Self {
        Self::Template(value)
    }
}

/// A template: `t![CKA_CLASS => CKO_DATA, CKA_TOKEN => true]`.
#[macro_export]
macro_rules! t {
    ($($kind:expr => $value:expr),* $(,)?) => {
        ::std::vec::Vec::<$crate::template::Attribute>::from([
            $(($kind, $crate::template::Value::from($value))),*
        ])
    };
}

/// A template that starts with the attributes of another; what is named again is replaced.
pub fn merge(base: &[Attribute], more: &[Attribute]) -> Vec<Attribute> {
    let mut all: Vec<Attribute> = base
        .iter()
        .filter(|(kind, _)| more.iter().all(|(other, _)| other != kind))
        .cloned()
        .collect();
    all.extend_from_slice(more);
    all
}
