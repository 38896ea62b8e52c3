//! Key types whose keys are byte strings, by a parameter set: one row for each set.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType};
use cryptoki::types::Ulong;
use der::oid::ObjectIdentifier;

/// A parameter set.
pub(crate) struct ParameterSet {
    /// What comes before the colon on the command line.
    pub(crate) family: &'static str,
    /// What comes after it.
    pub(crate) size: &'static str,
    /// The algorithm of keys.
    pub(crate) oid: ObjectIdentifier,
    /// The standard's key type.
    pub(crate) key_type: KeyType,
    /// The standard's number.
    pub(crate) number: u64,
    /// How a module makes keys.
    pub(crate) generate: fn() -> Mechanism<'static>,
    /// Of what length a private key is that ends with the public key.
    pub(crate) private_len: Option<usize>,
}

const fn ml_dsa(size: &'static str, oid: &str, number: u64) -> ParameterSet {
    ParameterSet {
        family: "ml-dsa",
        size,
        oid: ObjectIdentifier::new_unwrap(oid),
        key_type: KeyType::ML_DSA,
        number,
        generate: || Mechanism::MlDsaKeyPairGen,
        private_len: None,
    }
}

const fn ml_kem(size: &'static str, oid: &str, number: u64) -> ParameterSet {
    ParameterSet {
        family: "ml-kem",
        key_type: KeyType::ML_KEM,
        generate: || Mechanism::MlKemKeyPairGen,
        ..ml_dsa(size, oid, number)
    }
}

const fn slh_dsa(size: &'static str, oid: &str, number: u64, private_len: usize) -> ParameterSet {
    ParameterSet {
        family: "slh-dsa",
        key_type: KeyType::SLH_DSA,
        generate: || Mechanism::SlhDsaKeyPairGen,
        private_len: Some(private_len),
        ..ml_dsa(size, oid, number)
    }
}

/// The sets of FIPS 203, 204 and 205, with the numbers that PKCS#11 has for them.
pub(crate) static PARAMETER_SETS: &[ParameterSet] = &[
    ml_dsa("44", "2.16.840.1.101.3.4.3.17", 1),
    ml_dsa("65", "2.16.840.1.101.3.4.3.18", 2),
    ml_dsa("87", "2.16.840.1.101.3.4.3.19", 3),
    ml_kem("512", "2.16.840.1.101.3.4.4.1", 1),
    ml_kem("768", "2.16.840.1.101.3.4.4.2", 2),
    ml_kem("1024", "2.16.840.1.101.3.4.4.3", 3),
    slh_dsa("sha2-128s", "2.16.840.1.101.3.4.3.20", 1, 64),
    slh_dsa("shake-128s", "2.16.840.1.101.3.4.3.26", 2, 64),
    slh_dsa("sha2-128f", "2.16.840.1.101.3.4.3.21", 3, 64),
    slh_dsa("shake-128f", "2.16.840.1.101.3.4.3.27", 4, 64),
    slh_dsa("sha2-192s", "2.16.840.1.101.3.4.3.22", 5, 96),
    slh_dsa("shake-192s", "2.16.840.1.101.3.4.3.28", 6, 96),
    slh_dsa("sha2-192f", "2.16.840.1.101.3.4.3.23", 7, 96),
    slh_dsa("shake-192f", "2.16.840.1.101.3.4.3.29", 8, 96),
    slh_dsa("sha2-256s", "2.16.840.1.101.3.4.3.24", 9, 128),
    slh_dsa("shake-256s", "2.16.840.1.101.3.4.3.30", 10, 128),
    slh_dsa("sha2-256f", "2.16.840.1.101.3.4.3.25", 11, 128),
    slh_dsa("shake-256f", "2.16.840.1.101.3.4.3.31", 12, 128),
];

impl ParameterSet {
    /// The set of a name.
    pub(crate) fn named(family: &str, size: &str) -> Option<&'static Self> {
        PARAMETER_SETS.iter().find(|set| set.family == family && set.size == size)
    }

    /// `CKA_PARAMETER_SET`; none if the client library does not know the number.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        Ulong::new(self.number).try_into().ok().map(Attribute::ParameterSet)
    }

    /// The set of an algorithm.
    pub(crate) fn of_oid(oid: ObjectIdentifier) -> Option<&'static Self> {
        PARAMETER_SETS.iter().find(|set| set.oid == oid)
    }

    /// The set that an object names.
    pub(crate) fn of_number(key_type: KeyType, number: u64) -> Option<&'static Self> {
        PARAMETER_SETS.iter().find(|set| set.key_type == key_type && set.number == number)
    }
}

impl PartialEq for ParameterSet {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid
    }
}

impl Eq for ParameterSet {}
