//! Attributes: one row each, giving the number, the standard's name and the kind of value.
//!
//! What an attribute means for an object of a certain class stands in the [rules](crate::rule) of
//! that class: `CKA_VALUE` is open in a certificate and secret in a key.

use core::marker::PhantomData;

/// What kind of value an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `CK_BBOOL`, one byte.
    Bool,
    /// `CK_ULONG`.
    Ulong,
    /// A byte array, a string, or a big integer.
    Bytes,
    /// `CK_DATE`: eight digits, or nothing.
    Date,
    /// An array of `CK_ULONG`.
    Ulongs,
    /// An array of `CK_ATTRIBUTE`.
    Attributes,
}

/// What the standard's tables say about an attribute, whatever the object.
#[derive(Debug)]
pub struct Info {
    /// The `CKA_` number.
    pub id: u64,
    /// The standard's name.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// An attribute whose values have the kind `K`.
pub struct Attribute<K> {
    /// Its row.
    pub info: &'static Info,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Attribute<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Attribute<K> {}

impl<K> PartialEq for Attribute<K> {
    fn eq(&self, other: &Self) -> bool {
        self.info == other.info
    }
}

/// Kinds as types, so that reading an attribute gives the right Rust type.
pub mod kind {
    /// See [`Kind::Bool`](super::Kind::Bool).
    pub enum Bool {}
    /// See [`Kind::Ulong`](super::Kind::Ulong).
    pub enum Ulong {}
    /// See [`Kind::Bytes`](super::Kind::Bytes).
    pub enum Bytes {}
    /// See [`Kind::Date`](super::Kind::Date).
    pub enum Date {}
    /// See [`Kind::Ulongs`](super::Kind::Ulongs).
    pub enum Ulongs {}
    /// See [`Kind::Attributes`](super::Kind::Attributes).
    pub enum Attributes {}
}

macro_rules! attributes {
    ($($key:ident = $cka:ident: $kind:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($cka), "`.")]
            #[allow(clippy::as_conversions, clippy::unnecessary_cast, reason = "CK_ULONG is 32 or 64 bits wide")]
            pub const $key: Attribute<kind::$kind> = Attribute {
                info: &Info {
                    id: cryptoki_sys::$cka as u64,
                    name: stringify!($cka),
                    kind: Kind::$kind,
                },
                kind: PhantomData,
            };
        )*

        /// Every attribute this module knows.
        pub static ATTRIBUTES: &[&Info] = &[$($key.info,)*];
    };
}

/// What to call an attribute in a sentence: its name, or its number if it has none here.
pub fn name(id: u64) -> String {
    Info::find(id).map_or_else(|| format!("attribute {id:#x}"), |info| info.name.to_owned())
}

impl Info {
    /// The row of an attribute number.
    pub fn find(id: u64) -> Option<&'static Self> {
        ATTRIBUTES.iter().copied().find(|info| info.id == id)
    }
}

attributes! {
    CLASS = CKA_CLASS: Ulong;
    TOKEN = CKA_TOKEN: Bool;
    PRIVATE = CKA_PRIVATE: Bool;
    LABEL = CKA_LABEL: Bytes;
    UNIQUE_ID = CKA_UNIQUE_ID: Bytes;
    MODIFIABLE = CKA_MODIFIABLE: Bool;
    COPYABLE = CKA_COPYABLE: Bool;
    DESTROYABLE = CKA_DESTROYABLE: Bool;
    APPLICATION = CKA_APPLICATION: Bytes;
    OBJECT_ID = CKA_OBJECT_ID: Bytes;
    VALUE = CKA_VALUE: Bytes;
    CERTIFICATE_TYPE = CKA_CERTIFICATE_TYPE: Ulong;
    ISSUER = CKA_ISSUER: Bytes;
    SERIAL_NUMBER = CKA_SERIAL_NUMBER: Bytes;
    TRUSTED = CKA_TRUSTED: Bool;
    CERTIFICATE_CATEGORY = CKA_CERTIFICATE_CATEGORY: Ulong;
    JAVA_MIDP_SECURITY_DOMAIN = CKA_JAVA_MIDP_SECURITY_DOMAIN: Ulong;
    URL = CKA_URL: Bytes;
    HASH_OF_SUBJECT_PUBLIC_KEY = CKA_HASH_OF_SUBJECT_PUBLIC_KEY: Bytes;
    HASH_OF_ISSUER_PUBLIC_KEY = CKA_HASH_OF_ISSUER_PUBLIC_KEY: Bytes;
    NAME_HASH_ALGORITHM = CKA_NAME_HASH_ALGORITHM: Ulong;
    OWNER = CKA_OWNER: Bytes;
    AC_ISSUER = CKA_AC_ISSUER: Bytes;
    ATTR_TYPES = CKA_ATTR_TYPES: Bytes;
    HASH_OF_CERTIFICATE = CKA_HASH_OF_CERTIFICATE: Bytes;
    TRUST_SERVER_AUTH = CKA_TRUST_SERVER_AUTH: Ulong;
    TRUST_CLIENT_AUTH = CKA_TRUST_CLIENT_AUTH: Ulong;
    TRUST_CODE_SIGNING = CKA_TRUST_CODE_SIGNING: Ulong;
    TRUST_EMAIL_PROTECTION = CKA_TRUST_EMAIL_PROTECTION: Ulong;
    TRUST_IPSEC_IKE = CKA_TRUST_IPSEC_IKE: Ulong;
    TRUST_TIME_STAMPING = CKA_TRUST_TIME_STAMPING: Ulong;
    TRUST_OCSP_SIGNING = CKA_TRUST_OCSP_SIGNING: Ulong;
    PROFILE_ID = CKA_PROFILE_ID: Ulong;
    MECHANISM_TYPE = CKA_MECHANISM_TYPE: Ulong;
    CHECK_VALUE = CKA_CHECK_VALUE: Bytes;
    KEY_TYPE = CKA_KEY_TYPE: Ulong;
    SUBJECT = CKA_SUBJECT: Bytes;
    ID = CKA_ID: Bytes;
    SENSITIVE = CKA_SENSITIVE: Bool;
    ENCRYPT = CKA_ENCRYPT: Bool;
    DECRYPT = CKA_DECRYPT: Bool;
    WRAP = CKA_WRAP: Bool;
    UNWRAP = CKA_UNWRAP: Bool;
    SIGN = CKA_SIGN: Bool;
    SIGN_RECOVER = CKA_SIGN_RECOVER: Bool;
    VERIFY = CKA_VERIFY: Bool;
    VERIFY_RECOVER = CKA_VERIFY_RECOVER: Bool;
    DERIVE = CKA_DERIVE: Bool;
    START_DATE = CKA_START_DATE: Date;
    END_DATE = CKA_END_DATE: Date;
    MODULUS = CKA_MODULUS: Bytes;
    MODULUS_BITS = CKA_MODULUS_BITS: Ulong;
    PUBLIC_EXPONENT = CKA_PUBLIC_EXPONENT: Bytes;
    PRIVATE_EXPONENT = CKA_PRIVATE_EXPONENT: Bytes;
    PRIME_1 = CKA_PRIME_1: Bytes;
    PRIME_2 = CKA_PRIME_2: Bytes;
    EXPONENT_1 = CKA_EXPONENT_1: Bytes;
    EXPONENT_2 = CKA_EXPONENT_2: Bytes;
    COEFFICIENT = CKA_COEFFICIENT: Bytes;
    PUBLIC_KEY_INFO = CKA_PUBLIC_KEY_INFO: Bytes;
    PRIME = CKA_PRIME: Bytes;
    SUBPRIME = CKA_SUBPRIME: Bytes;
    BASE = CKA_BASE: Bytes;
    PRIME_BITS = CKA_PRIME_BITS: Ulong;
    SUBPRIME_BITS = CKA_SUBPRIME_BITS: Ulong;
    VALUE_BITS = CKA_VALUE_BITS: Ulong;
    VALUE_LEN = CKA_VALUE_LEN: Ulong;
    EXTRACTABLE = CKA_EXTRACTABLE: Bool;
    LOCAL = CKA_LOCAL: Bool;
    NEVER_EXTRACTABLE = CKA_NEVER_EXTRACTABLE: Bool;
    ALWAYS_SENSITIVE = CKA_ALWAYS_SENSITIVE: Bool;
    KEY_GEN_MECHANISM = CKA_KEY_GEN_MECHANISM: Ulong;
    EC_PARAMS = CKA_EC_PARAMS: Bytes;
    EC_POINT = CKA_EC_POINT: Bytes;
    ALWAYS_AUTHENTICATE = CKA_ALWAYS_AUTHENTICATE: Bool;
    WRAP_WITH_TRUSTED = CKA_WRAP_WITH_TRUSTED: Bool;
    WRAP_TEMPLATE = CKA_WRAP_TEMPLATE: Attributes;
    UNWRAP_TEMPLATE = CKA_UNWRAP_TEMPLATE: Attributes;
    DERIVE_TEMPLATE = CKA_DERIVE_TEMPLATE: Attributes;
    ALLOWED_MECHANISMS = CKA_ALLOWED_MECHANISMS: Ulongs;
    PARAMETER_SET = CKA_PARAMETER_SET: Ulong;
    SEED = CKA_SEED: Bytes;
    ENCAPSULATE = CKA_ENCAPSULATE: Bool;
    DECAPSULATE = CKA_DECAPSULATE: Bool;
    ENCAPSULATE_TEMPLATE = CKA_ENCAPSULATE_TEMPLATE: Attributes;
    DECAPSULATE_TEMPLATE = CKA_DECAPSULATE_TEMPLATE: Attributes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique() {
        for (i, info) in ATTRIBUTES.iter().enumerate() {
            assert_eq!(Info::find(info.id).map(|found| found.name), Some(info.name));
            assert!(ATTRIBUTES[i + 1..].iter().all(|other| other.id != info.id), "{}", info.name);
        }
    }
}
