//! What keys may be used for: one list for the option, the templates and what `key show` prints.

use clap::ValueEnum;
use cryptoki::object::{Attribute, AttributeType};

/// A use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Usage {
    Sign,
    Verify,
    Encrypt,
    Decrypt,
    Wrap,
    Unwrap,
    Derive,
}

/// Which half of a pair has a use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// The public key.
    Public,
    /// The private key.
    Private,
    /// A secret key, which is both.
    Secret,
}

struct Row {
    usage: Usage,
    name: &'static str,
    half: Half,
    kind: AttributeType,
    attribute: fn(bool) -> Attribute,
}

const ROWS: &[Row] = &[
    Row {
        usage: Usage::Sign,
        name: "sign",
        half: Half::Private,
        kind: AttributeType::Sign,
        attribute: Attribute::Sign,
    },
    Row {
        usage: Usage::Verify,
        name: "verify",
        half: Half::Public,
        kind: AttributeType::Verify,
        attribute: Attribute::Verify,
    },
    Row {
        usage: Usage::Encrypt,
        name: "encrypt",
        half: Half::Public,
        kind: AttributeType::Encrypt,
        attribute: Attribute::Encrypt,
    },
    Row {
        usage: Usage::Decrypt,
        name: "decrypt",
        half: Half::Private,
        kind: AttributeType::Decrypt,
        attribute: Attribute::Decrypt,
    },
    Row {
        usage: Usage::Wrap,
        name: "wrap",
        half: Half::Public,
        kind: AttributeType::Wrap,
        attribute: Attribute::Wrap,
    },
    Row {
        usage: Usage::Unwrap,
        name: "unwrap",
        half: Half::Private,
        kind: AttributeType::Unwrap,
        attribute: Attribute::Unwrap,
    },
    Row {
        usage: Usage::Derive,
        name: "derive",
        half: Half::Private,
        kind: AttributeType::Derive,
        attribute: Attribute::Derive,
    },
];

/// The attributes of one half that allow these uses and forbid the others.
pub(crate) fn attributes(half: Half, usages: &[Usage]) -> Vec<Attribute> {
    ROWS.iter()
        .filter(|row| half == Half::Secret || row.half == half)
        .map(|row| (row.attribute)(usages.contains(&row.usage)))
        .collect()
}

/// The attributes that say what a key may be used for, with the names of the uses.
pub(crate) fn named() -> impl Iterator<Item = (&'static str, AttributeType)> {
    ROWS.iter().map(|row| (row.name, row.kind))
}
