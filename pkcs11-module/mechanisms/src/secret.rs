//! Secret keys: what all their types have in common, and those without a structure of their own
//! (PKCS#11 3.2, "generic secret key", and the `_HMAC` key types).

use std::sync::OnceLock;

use strongroom_awslc::mac::HmacKey;
use strongroom_types::rule::{Default, Rule};
use strongroom_types::{
    Attributes, Bytes, Error, KeyType, Result, attribute, ck, mechanism, rules,
};

use crate::failure::or;
use crate::hash::{self, HASHES, Hash};
use crate::{KeyTypeRow, Mechanism, Parsed};

/// The longest secret without a structure that this token generates, in bytes. The standard sets
/// no limit; nothing that computes with one is stronger for being longer than a block of its hash.
/// One that is brought along may have any length.
pub(crate) const LONGEST_GENERATED: u64 = 65536;

/// The attributes of secret keys of all types here: tables "AES secret key object attributes" and
/// "generic secret key object attributes". `CKA_VALUE_LEN` in a template for unwrapping says how
/// much of the bytes is the key, and the core reads it before it comes here.
pub(crate) static RULES: &[Rule] = rules! {
    VALUE: Default::Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    VALUE_LEN: Default::Absent, NOT_BY_CREATE, NEEDED_BY_GENERATE;
    CHECK_VALUE: Default::Absent, MAY_BE_EMPTIED;
};

/// What a type of secret keys decides for itself.
pub(crate) struct Kind {
    /// Whether a value may have this many bytes.
    pub(crate) takes: fn(u64) -> bool,
    /// What the check value is the start of.
    pub(crate) check_value: fn(&[u8]) -> Result<Bytes>,
}

impl Kind {
    /// Makes a value of `CKA_VALUE_LEN` bytes.
    pub(crate) fn generate(&self, attributes: &mut Attributes) -> Result<()> {
        let len = attributes.need(attribute::VALUE_LEN)?;
        if !(self.takes)(len) {
            return Err(other_len());
        }
        let len = usize::try_from(len).map_err(|_| other_len())?;
        let mut value = Bytes::new(vec![0; len]);
        crate::random(&mut value)?;
        attributes.set(attribute::VALUE, value);
        Ok(())
    }

    /// Checks the value; says its length and its check value.
    pub(crate) fn complete(&self, attributes: &mut Attributes) -> Result<()> {
        let len = self.check(attributes)?;
        attributes.set(attribute::VALUE_LEN, len);
        Ok(())
    }

    /// Checks the value, and says its check value; gives its length.
    pub(crate) fn check(&self, attributes: &mut Attributes) -> Result<u64> {
        let value = attributes.need(attribute::VALUE)?;
        let len = u64::try_from(value.len()).map_err(|_| Error::GeneralError)?;
        if !(self.takes)(len) {
            let why = || format!("CKA_VALUE has {len} bytes, which no key of this type has");
            return Err(Error::AttributeValueInvalid.because(why));
        }
        let computed = (self.check_value)(value)?;
        let computed = computed.get(..3).ok_or(Error::GeneralError)?;
        match attributes.get(attribute::CHECK_VALUE) {
            None => attributes.set(attribute::CHECK_VALUE, computed),
            // "Secret key objects": an empty one says that the object shall have none.
            Some(given) if given.is_empty() || given == computed => {}
            Some(_) => {
                return Err(
                    Error::AttributeValueInvalid.since("CKA_CHECK_VALUE is not that of CKA_VALUE")
                );
            }
        }
        Ok(len)
    }
}

/// A length that no key of the type has.
pub(crate) fn other_len() -> Error {
    Error::AttributeValueInvalid.since("CKA_VALUE_LEN is no length of a new key of this type")
}

/// A length that has to be said, and is not.
pub(crate) fn no_len() -> Error {
    Error::TemplateIncomplete.since("CKA_VALUE_LEN is missing, and nothing else tells the length")
}

/// A secret without a structure: any bytes, but not none. Its check value is the start of its
/// SHA-1 digest ("secret key objects").
const PLAIN: Kind = Kind { takes: |len| len > 0, check_value: |value| hash::SHA1.digest(value) };

const GENERATED: Kind = Kind { takes: |len| 0 < len && len <= LONGEST_GENERATED, ..PLAIN };

/// A secret without a structure, ready to compute.
pub(crate) struct Secret {
    value: Bytes,
    /// Keys of HMAC made of it, in the order of [`HASHES`], each made when it is first wanted.
    hmac: Vec<OnceLock<HmacKey>>,
}

impl Secret {
    fn parse(attributes: &Attributes) -> Result<Parsed> {
        let value = Bytes::new(attributes.need(attribute::VALUE)?.to_vec());
        let size = u64::try_from(value.len()).map_err(|_| Error::KeySizeRange)?;
        let hmac = HASHES.iter().map(|_| OnceLock::new()).collect();
        Ok(Parsed::new(size, Self { value, hmac }))
    }

    /// The bytes of the secret.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// The key of HMAC with a hash function.
    pub(crate) fn hmac(&self, hash: &Hash) -> Result<&HmacKey> {
        let place = HASHES.iter().position(|other| other.id == hash.id);
        let place = place.and_then(|at| self.hmac.get(at)).ok_or(Error::GeneralError)?;
        if let Some(key) = place.get() {
            return Ok(key);
        }
        let key = HmacKey::new(hash.algorithm, &self.value).map_err(or(Error::FunctionFailed))?;
        Ok(place.get_or_init(|| key))
    }
}

const fn key_type((id, name): (KeyType, &'static str)) -> KeyTypeRow {
    KeyTypeRow {
        id,
        name,
        secret: Some(RULES),
        complete: |attributes| PLAIN.complete(attributes),
        parse: Secret::parse,
        ..KeyTypeRow::NONE
    }
}

/// `CKK_MD5_HMAC`, which the standard has no generator for.
pub(crate) static MD5_HMAC: KeyTypeRow = key_type((KeyType(ck!(CKK_MD5_HMAC)), "CKK_MD5_HMAC"));

const fn generator(
    named: (strongroom_types::MechanismType, &'static str),
    makes: &'static [KeyType],
) -> Mechanism {
    Mechanism {
        keys: makes,
        key_size: 1..=LONGEST_GENERATED,
        generate: Some(|_, attributes| GENERATED.generate(attributes)),
        ..Mechanism::named(named)
    }
}

macro_rules! secrets {
    ($($name:ident: $ckk:ident, $generator:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($ckk), "`.")]
            pub(crate) static $name: KeyTypeRow =
                key_type((KeyType(ck!($ckk)), stringify!($ckk)));
        )*

        /// The mechanisms that generate them.
        pub(crate) static ROWS: &[Mechanism] =
            &[$(generator(mechanism!($generator), &[KeyType(ck!($ckk))])),*];
    };
}

secrets! {
    GENERIC_SECRET: CKK_GENERIC_SECRET, CKM_GENERIC_SECRET_KEY_GEN;
    HKDF: CKK_HKDF, CKM_HKDF_KEY_GEN;
    SHA_1_HMAC: CKK_SHA_1_HMAC, CKM_SHA_1_KEY_GEN;
    SHA224_HMAC: CKK_SHA224_HMAC, CKM_SHA224_KEY_GEN;
    SHA256_HMAC: CKK_SHA256_HMAC, CKM_SHA256_KEY_GEN;
    SHA384_HMAC: CKK_SHA384_HMAC, CKM_SHA384_KEY_GEN;
    SHA512_HMAC: CKK_SHA512_HMAC, CKM_SHA512_KEY_GEN;
    SHA512_224_HMAC: CKK_SHA512_224_HMAC, CKM_SHA512_224_KEY_GEN;
    SHA512_256_HMAC: CKK_SHA512_256_HMAC, CKM_SHA512_256_KEY_GEN;
    SHA512_T_HMAC: CKK_SHA512_T_HMAC, CKM_SHA512_T_KEY_GEN;
    SHA3_224_HMAC: CKK_SHA3_224_HMAC, CKM_SHA3_224_KEY_GEN;
    SHA3_256_HMAC: CKK_SHA3_256_HMAC, CKM_SHA3_256_KEY_GEN;
    SHA3_384_HMAC: CKK_SHA3_384_HMAC, CKM_SHA3_384_KEY_GEN;
    SHA3_512_HMAC: CKK_SHA3_512_HMAC, CKM_SHA3_512_KEY_GEN;
}
