//! The attribute tables of the object classes (PKCS#11 3.2, chapter 4), row by row.
//!
//! What a key type adds stands with the key type, in the mechanisms crate; a row there goes before
//! a row here, so a key type can have a default of its own.

use strongroom_types::rule::Default::{Absent, Bool, Empty, Ulong};
use strongroom_types::rule::{Flags, Rule};
use strongroom_types::{Attributes, Class, Error, KeyType, Result, attribute, ck, rules};

/// A class of objects: its attributes beyond those that all objects have.
pub struct ObjectClass {
    /// Its number.
    pub class: Class,
    /// Whether objects are private when the template does not say.
    pub(crate) private: bool,
    tables: &'static [&'static [Rule]],
}

/// Every class of objects that this token stores.
pub static OBJECT_CLASSES: &[ObjectClass] = &[
    ObjectClass { class: Class::DATA, private: true, tables: &[STORAGE, DATA] },
    ObjectClass { class: Class::CERTIFICATE, private: false, tables: &[STORAGE, CERTIFICATE] },
    ObjectClass { class: Class::PUBLIC_KEY, private: false, tables: &[STORAGE, KEY, PUBLIC_KEY] },
    ObjectClass { class: Class::PRIVATE_KEY, private: true, tables: &[STORAGE, KEY, PRIVATE_KEY] },
    ObjectClass { class: Class::SECRET_KEY, private: true, tables: &[STORAGE, KEY, SECRET_KEY] },
    ObjectClass {
        class: Class::DOMAIN_PARAMETERS,
        private: false,
        tables: &[STORAGE, DOMAIN_PARAMETERS],
    },
    ObjectClass { class: Class::TRUST, private: false, tables: &[STORAGE, TRUST] },
];

/// Every class of objects that the token has of itself, and applications only read.
pub static OWN_CLASSES: &[ObjectClass] = &[
    ObjectClass { class: Class::PROFILE, private: false, tables: &[STORAGE, PROFILE] },
    ObjectClass { class: Class::MECHANISM, private: false, tables: &[STORAGE, MECHANISM] },
    ObjectClass { class: Class::POLICY, private: false, tables: &[STORAGE, POLICY] },
];

/// 4.4, storage objects.
static STORAGE: &[Rule] = rules! {
    CLASS: Absent, NEEDED_BY_CREATE;
    TOKEN: Bool(false), COPY_CHOOSES;
    PRIVATE: Absent, COPY_CHOOSES;
    MODIFIABLE: Bool(true), COPY_CHOOSES;
    LABEL: Empty, MODIFIABLE;
    COPYABLE: Bool(true), MODIFIABLE, FALSE_FOREVER;
    DESTROYABLE: Bool(true), COPY_CHOOSES;
    UNIQUE_ID: Absent, NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
};

/// 4.5, data objects.
static DATA: &[Rule] = rules! {
    APPLICATION: Empty, MODIFIABLE;
    OBJECT_ID: Empty;
    VALUE: Empty, MODIFIABLE;
};

/// 4.6, certificate objects: what is common to all types.
static CERTIFICATE: &[Rule] = rules! {
    CERTIFICATE_TYPE: Absent, NEEDED_BY_CREATE;
    TRUSTED: Bool(false), MODIFIABLE, SO_SETS_TRUE;
    CERTIFICATE_CATEGORY: Ulong(0);
    CHECK_VALUE: Absent;
    START_DATE: Empty;
    END_DATE: Empty;
    PUBLIC_KEY_INFO: Empty;
};

/// X.509 public key certificates.
static X_509: &[Rule] = rules! {
    SUBJECT: Absent, NEEDED_BY_CREATE;
    ID: Empty, MODIFIABLE;
    ISSUER: Empty, MODIFIABLE;
    SERIAL_NUMBER: Empty, MODIFIABLE;
    VALUE: Absent, NEEDED_BY_CREATE;
    URL: Empty;
    HASH_OF_SUBJECT_PUBLIC_KEY: Empty;
    HASH_OF_ISSUER_PUBLIC_KEY: Empty;
    JAVA_MIDP_SECURITY_DOMAIN: Ulong(0);
    NAME_HASH_ALGORITHM: Ulong(ck!(CKM_SHA_1));
};

/// X.509 attribute certificates.
static X_509_ATTRIBUTE: &[Rule] = rules! {
    OWNER: Absent, NEEDED_BY_CREATE;
    AC_ISSUER: Empty, MODIFIABLE;
    SERIAL_NUMBER: Empty, MODIFIABLE;
    ATTR_TYPES: Empty, MODIFIABLE;
    VALUE: Absent, NEEDED_BY_CREATE;
};

/// OpenPGP public keys, a type of SoftHSM2's: the subject is a user ID, the value the key.
static OPENPGP: &[Rule] = rules! {
    SUBJECT: Absent, NEEDED_BY_CREATE;
    ID: Empty, MODIFIABLE;
    ISSUER: Empty, MODIFIABLE;
    SERIAL_NUMBER: Empty, MODIFIABLE;
    VALUE: Absent, NEEDED_BY_CREATE;
    URL: Empty;
};

/// A type of certificates: its attributes beyond those that all certificates have.
pub struct CertificateType {
    number: u64,
    /// What it is called: the standard's name without what all of them begin with, or SoftHSM2's.
    pub name: &'static str,
    rules: &'static [Rule],
}

/// Every type of certificates.
pub static CERTIFICATE_TYPES: &[CertificateType] = &[
    CertificateType { number: ck!(CKC_X_509), name: "X_509", rules: X_509 },
    CertificateType {
        number: ck!(CKC_X_509_ATTR_CERT),
        name: "X_509_ATTR_CERT",
        rules: X_509_ATTRIBUTE,
    },
    CertificateType {
        number: ck!(CKC_VENDOR_DEFINED) | 0x0050_4750,
        name: "OPENPGP",
        rules: OPENPGP,
    },
];

/// Trust objects: what a certificate is trusted for.
static TRUST: &[Rule] = rules! {
    ISSUER: Absent, NEEDED_BY_CREATE;
    SERIAL_NUMBER: Absent, NEEDED_BY_CREATE;
    HASH_OF_CERTIFICATE: Empty, MODIFIABLE;
    NAME_HASH_ALGORITHM: Ulong(ck!(CKM_SHA_1)), MODIFIABLE;
    TRUST_SERVER_AUTH: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_CLIENT_AUTH: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_CODE_SIGNING: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_EMAIL_PROTECTION: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_IPSEC_IKE: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_TIME_STAMPING: Ulong(TRUST_UNKNOWN), MODIFIABLE;
    TRUST_OCSP_SIGNING: Ulong(TRUST_UNKNOWN), MODIFIABLE;
};

/// `CKT_TRUST_UNKNOWN`.
const TRUST_UNKNOWN: u64 = ck!(CKT_TRUST_UNKNOWN);

/// 4.13, profile objects.
static PROFILE: &[Rule] = rules! {
    PROFILE_ID: Absent;
};

/// 4.14, mechanism objects.
static MECHANISM: &[Rule] = rules! {
    MECHANISM_TYPE: Absent;
};

/// The policy of a token: its name.
static POLICY: &[Rule] = rules! {
    VALUE: Absent;
};

/// 4.7, key objects.
static KEY: &[Rule] = rules! {
    KEY_TYPE: Absent, NEEDED_BY_CREATE, NEEDED_BY_UNWRAP;
    ID: Empty, MODIFIABLE;
    START_DATE: Empty, MODIFIABLE;
    END_DATE: Empty, MODIFIABLE;
    DERIVE: Bool(false), MODIFIABLE;
    LOCAL: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    KEY_GEN_MECHANISM: Ulong(UNAVAILABLE), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    ALLOWED_MECHANISMS: Absent;
};

/// 4.8, public key objects.
static PUBLIC_KEY: &[Rule] = rules! {
    SUBJECT: Empty, MODIFIABLE;
    ENCRYPT: Bool(true), MODIFIABLE;
    VERIFY: Bool(true), MODIFIABLE;
    VERIFY_RECOVER: Bool(true), MODIFIABLE;
    WRAP: Bool(true), MODIFIABLE;
    TRUSTED: Bool(false), MODIFIABLE, SO_SETS_TRUE;
    ENCAPSULATE: Bool(false), MODIFIABLE;
    ENCAPSULATE_TEMPLATE: Empty;
    WRAP_TEMPLATE: Empty;
    PUBLIC_KEY_INFO: Empty;
};

/// 4.9, private key objects.
static PRIVATE_KEY: &[Rule] = rules! {
    SUBJECT: Empty, MODIFIABLE;
    SENSITIVE: Bool(true), MODIFIABLE, TRUE_FOREVER;
    DECRYPT: Bool(true), MODIFIABLE;
    SIGN: Bool(true), MODIFIABLE;
    SIGN_RECOVER: Bool(true), MODIFIABLE;
    UNWRAP: Bool(true), MODIFIABLE;
    EXTRACTABLE: Bool(false), MODIFIABLE, FALSE_FOREVER;
    ALWAYS_SENSITIVE: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    NEVER_EXTRACTABLE: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    WRAP_WITH_TRUSTED: Bool(false), MODIFIABLE, TRUE_FOREVER;
    DECAPSULATE: Bool(false), MODIFIABLE;
    DECAPSULATE_TEMPLATE: Empty;
    UNWRAP_TEMPLATE: Empty;
    DERIVE_TEMPLATE: Empty;
    ALWAYS_AUTHENTICATE: Bool(false);
    PUBLIC_KEY_INFO: Empty;
};

/// 4.10, secret key objects.
static SECRET_KEY: &[Rule] = rules! {
    SENSITIVE: Bool(true), MODIFIABLE, TRUE_FOREVER;
    ENCRYPT: Bool(true), MODIFIABLE;
    DECRYPT: Bool(true), MODIFIABLE;
    SIGN: Bool(true), MODIFIABLE;
    VERIFY: Bool(true), MODIFIABLE;
    WRAP: Bool(true), MODIFIABLE;
    UNWRAP: Bool(true), MODIFIABLE;
    EXTRACTABLE: Bool(false), MODIFIABLE, FALSE_FOREVER;
    ALWAYS_SENSITIVE: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    NEVER_EXTRACTABLE: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    WRAP_WITH_TRUSTED: Bool(false), MODIFIABLE, TRUE_FOREVER;
    TRUSTED: Bool(false), MODIFIABLE, SO_SETS_TRUE;
    WRAP_TEMPLATE: Empty;
    UNWRAP_TEMPLATE: Empty;
    DERIVE_TEMPLATE: Empty;
};

/// 4.11, domain parameter objects.
static DOMAIN_PARAMETERS: &[Rule] = rules! {
    KEY_TYPE: Absent, NEEDED_BY_CREATE;
    LOCAL: Bool(false), NOT_BY_CREATE, NOT_BY_GENERATE;
};

/// `CK_UNAVAILABLE_INFORMATION`.
pub(crate) const UNAVAILABLE: u64 = ck!(CK_UNAVAILABLE_INFORMATION);

/// Finds a class of objects that applications make, by its number.
pub(crate) fn object_class(class: Class) -> Result<&'static ObjectClass> {
    OBJECT_CLASSES.iter().find(|row| row.class == class).ok_or_else(|| {
        let none = || "objects of this CKA_CLASS are not for an application to make".into();
        Error::AttributeValueInvalid.because(none)
    })
}

/// The rules of an object: those of its class, and those of its key type before them.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    own: &'static [Rule],
    class: &'static ObjectClass,
}

impl Rules {
    /// The rules of objects of a class; keys have a key type.
    pub(crate) fn of(class: Class, key_type: Option<KeyType>) -> Result<Self> {
        let own = match key_type {
            Some(key_type) => strongroom_mechanisms::key_type(key_type)?.rules(class)?,
            None if class == Class::CERTIFICATE => X_509,
            None => &[],
        };
        Ok(Self { own, class: object_class(class)? })
    }

    /// The rules of certificates of a type.
    pub(crate) fn of_certificate(certificate_type: u64) -> Result<Self> {
        let found = CERTIFICATE_TYPES.iter().find(|row| row.number == certificate_type);
        let row = found.ok_or_else(|| {
            let unknown = || "certificates of this CKA_CERTIFICATE_TYPE are not stored".into();
            Error::AttributeValueInvalid.because(unknown)
        })?;
        Ok(Self { own: row.rules, class: object_class(Class::CERTIFICATE)? })
    }

    /// The rules of an object that exists.
    pub(crate) fn of_object(attributes: &Attributes) -> Result<Self> {
        let class = attributes.get(attribute::CLASS).ok_or(Error::DeviceError)?;
        if let Some(certificate_type) = attributes.get(attribute::CERTIFICATE_TYPE) {
            return Self::of_certificate(certificate_type);
        }
        if let Some(class) = OWN_CLASSES.iter().find(|row| row.class.0 == class) {
            return Ok(Self { own: &[], class });
        }
        Self::of(Class(class), attributes.get(attribute::KEY_TYPE).map(KeyType))
    }

    /// The rule of an attribute; `None` if such objects do not have it.
    pub(crate) fn find(self, id: u64) -> Option<&'static Rule> {
        self.iter().find(|rule| rule.attribute.id == id)
    }

    /// All of them. A key type's rule comes before the class's for the same attribute.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static Rule> {
        self.own.iter().chain(self.class.tables.iter().copied().flatten())
    }

    /// Whether objects are private when the template does not say.
    pub(crate) fn private(self) -> bool {
        self.class.private
    }
}

/// Whether the value of an attribute may not leave the token (footnote 7).
pub(crate) fn hidden(attributes: &Attributes, rule: &Rule) -> bool {
    rule.flags.has(Flags::SECRET)
        && (attributes.is(attribute::SENSITIVE) || !attributes.is(attribute::EXTRACTABLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_names_an_attribute_once() {
        for row in OBJECT_CLASSES.iter().chain(OWN_CLASSES) {
            let all: Vec<_> = row.tables.iter().copied().flatten().collect();
            for (i, rule) in all.iter().enumerate() {
                let again = all[i + 1..].iter().any(|other| other.attribute == rule.attribute);
                assert!(!again, "{:?} {}", row.class.name(), rule.attribute.name);
            }
        }
    }
}
