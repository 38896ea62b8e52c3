//! Numbers that have a type of their own: handles, identifiers, classes, key types, mechanisms.

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);
    )*};
}

numbers! {
    /// `CK_SLOT_ID`.
    SlotId;
    /// `CK_SESSION_HANDLE`.
    SessionHandle;
    /// `CK_OBJECT_HANDLE`.
    ObjectHandle;
    /// `CK_OBJECT_CLASS`.
    Class;
    /// `CK_KEY_TYPE`.
    KeyType;
    /// `CK_MECHANISM_TYPE`.
    MechanismType;
    /// `CK_USER_TYPE`.
    UserType;
}

/// Declares constants of a number type by the standard's names.
macro_rules! constants {
    ($type:ident: $($name:ident = $ck:ident;)*) => {
        impl $type {$(
            #[doc = concat!("`", stringify!($ck), "`.")]
            #[allow(clippy::as_conversions, clippy::unnecessary_cast, reason = "CK_ULONG is 32 or 64 bits wide")]
            pub const $name: Self = Self(cryptoki_sys::$ck as u64);
        )*
            /// The standard's name of the number, if it has one here.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($ck)),)*
                    _ => None,
                }
            }
        }
    };
}

constants! { Class:
    DATA = CKO_DATA;
    CERTIFICATE = CKO_CERTIFICATE;
    PUBLIC_KEY = CKO_PUBLIC_KEY;
    PRIVATE_KEY = CKO_PRIVATE_KEY;
    SECRET_KEY = CKO_SECRET_KEY;
    DOMAIN_PARAMETERS = CKO_DOMAIN_PARAMETERS;
    TRUST = CKO_TRUST;
    PROFILE = CKO_PROFILE;
    MECHANISM = CKO_MECHANISM;
}

impl Class {
    /// `CKO_STRONGROOM_POLICY`: what a token lets be done with its keys, one object in each token. The
    /// standard leaves numbers to vendors; the middle of this one is "SR".
    pub const POLICY: Self = Self(crate::ck!(CKO_VENDOR_DEFINED) | 0x5352_0001);
}

constants! { KeyType:
    RSA = CKK_RSA;
    DSA = CKK_DSA;
    DH = CKK_DH;
    EC = CKK_EC;
    EC_EDWARDS = CKK_EC_EDWARDS;
    EC_MONTGOMERY = CKK_EC_MONTGOMERY;
    ML_DSA = CKK_ML_DSA;
    ML_KEM = CKK_ML_KEM;
    SLH_DSA = CKK_SLH_DSA;
    GENERIC_SECRET = CKK_GENERIC_SECRET;
    HKDF = CKK_HKDF;
    AES = CKK_AES;
    CHACHA20 = CKK_CHACHA20;
    DES = CKK_DES;
    DES2 = CKK_DES2;
    DES3 = CKK_DES3;
    MD5_HMAC = CKK_MD5_HMAC;
    SHA_1_HMAC = CKK_SHA_1_HMAC;
    SHA224_HMAC = CKK_SHA224_HMAC;
    SHA256_HMAC = CKK_SHA256_HMAC;
    SHA384_HMAC = CKK_SHA384_HMAC;
    SHA512_HMAC = CKK_SHA512_HMAC;
    SHA512_224_HMAC = CKK_SHA512_224_HMAC;
    SHA512_256_HMAC = CKK_SHA512_256_HMAC;
    SHA3_224_HMAC = CKK_SHA3_224_HMAC;
    SHA3_256_HMAC = CKK_SHA3_256_HMAC;
    SHA3_384_HMAC = CKK_SHA3_384_HMAC;
    SHA3_512_HMAC = CKK_SHA3_512_HMAC;
}

constants! { UserType:
    SECURITY_OFFICER = CKU_SO;
    USER = CKU_USER;
    CONTEXT_SPECIFIC = CKU_CONTEXT_SPECIFIC;
}

/// A mechanism's number and the standard's name for it, from the name alone.
#[macro_export]
macro_rules! mechanism {
    ($ckm:ident) => {{
        #[allow(
            clippy::as_conversions,
            clippy::unnecessary_cast,
            reason = "CK_ULONG is 32 or 64 bits wide"
        )]
        const ID: $crate::MechanismType =
            $crate::MechanismType($crate::number::header::$ckm as u64);
        (ID, stringify!($ckm))
    }};
}

/// A number of the standard's header as `u64`, from its name.
#[macro_export]
macro_rules! ck {
    ($name:ident) => {{
        #[allow(
            clippy::as_conversions,
            clippy::unnecessary_cast,
            reason = "CK_ULONG is 32 or 64 bits wide"
        )]
        const NUMBER: u64 = $crate::number::header::$name as u64;
        NUMBER
    }};
}

/// The standard's header, for the macros of this crate.
#[doc(hidden)]
pub use cryptoki_sys as header;
