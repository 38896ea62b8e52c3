//! Rules: what the attribute tables of the standard say about an attribute of a class of objects.
//!
//! The flags are the standard's footnotes (PKCS#11 3.2, 4.1.3, table "common footnotes for object
//! attribute tables"), so a table of the standard is copied row by row.

use crate::attribute::Info;

/// An attribute of a class of objects.
#[derive(Debug)]
pub struct Rule {
    /// Which attribute.
    pub attribute: &'static Info,
    /// The footnotes that hold for it.
    pub flags: Flags,
    /// Its value when nobody gave one.
    pub default: Default,
}

/// The value of an attribute that nobody gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The object does not have the attribute.
    Absent,
    /// A truth value.
    Bool(bool),
    /// A number.
    Ulong(u64),
    /// An empty byte array, date, list or template.
    Empty,
}

/// A set of footnotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// No footnote.
    pub const NONE: Self = Self(0);
    /// 1: must be given to `C_CreateObject`.
    pub const NEEDED_BY_CREATE: Self = Self(1);
    /// 2: must not be given to `C_CreateObject`.
    pub const NOT_BY_CREATE: Self = Self(1 << 1);
    /// 3: must be given to `C_GenerateKey` or `C_GenerateKeyPair`.
    pub const NEEDED_BY_GENERATE: Self = Self(1 << 2);
    /// 4: must not be given to `C_GenerateKey` or `C_GenerateKeyPair`.
    pub const NOT_BY_GENERATE: Self = Self(1 << 3);
    /// 5: must be given to `C_UnwrapKey`.
    pub const NEEDED_BY_UNWRAP: Self = Self(1 << 4);
    /// 6: must not be given to `C_UnwrapKey`.
    pub const NOT_BY_UNWRAP: Self = Self(1 << 5);
    /// 7: not revealed while the object is sensitive or not extractable.
    pub const SECRET: Self = Self(1 << 6);
    /// 8: may be changed by `C_SetAttributeValue`, and by `C_CopyObject`.
    pub const MODIFIABLE: Self = Self(1 << 7);
    /// 10: only the security officer may set it to true.
    pub const SO_SETS_TRUE: Self = Self(1 << 8);
    /// 11: can not be changed once it is true.
    pub const TRUE_FOREVER: Self = Self(1 << 9);
    /// 12: can not be changed once it is false.
    pub const FALSE_FOREVER: Self = Self(1 << 10);
    /// May be given no value by `C_SetAttributeValue` and `C_CopyObject`, and no other one ("secret
    /// key objects", `CKA_CHECK_VALUE`).
    pub const MAY_BE_EMPTIED: Self = Self(1 << 12);
    /// May be chosen anew by `C_CopyObject`, though not changed (`CKA_TOKEN`, `CKA_PRIVATE`, ...).
    pub const COPY_CHOOSES: Self = Self(1 << 11);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` hold.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Writes a rule as a row: attribute, default, footnotes.
#[macro_export]
macro_rules! rules {
    ($($attribute:ident: $default:expr $(, $flag:ident)*;)*) => {
        &[$($crate::rule::Rule {
            attribute: $crate::attribute::$attribute.info,
            flags: $crate::rule::Flags::NONE$(.and($crate::rule::Flags::$flag))*,
            default: $default,
        }),*]
    };
}
