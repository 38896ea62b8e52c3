//! `CKK_RSA` and `CKM_RSA_PKCS_KEY_PAIR_GEN` (PKCS#11 3.2, 6.1).

use core::ops::RangeInclusive;

use strongroom_awslc::rsa::{Components, Crt, PrivateKey, PublicKey};
use strongroom_types::attribute::kind;
use strongroom_types::rule::Default::Absent;
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attribute, Attributes, Bytes, Class, Error, KeyType, Params, Result, attribute, mechanism,
    rules,
};

use crate::failure::{or, or_since};
use crate::public_from_private::shared;
use crate::{KeyTypeRow, Mechanism, Parsed, public_key_info};

/// The key type. Its material is a [`PublicKey`] or a [`PrivateKey`] of AWS-LC.
pub(crate) static RSA: KeyTypeRow = KeyTypeRow {
    id: KeyType::RSA,
    name: "CKK_RSA",
    public: Some(PUBLIC),
    private: Some(PRIVATE),
    complete,
    parse,
    to_pkcs8: Some(to_pkcs8),
    from_pkcs8: Some(from_pkcs8),
    to_public: Some(|key| shared(key, &[attribute::MODULUS.info, attribute::PUBLIC_EXPONENT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[KeyType::RSA],
    key_size: SIZES,
    legacy_key_size: Some(SHORTEST),
    generate_pair: Some(generate),
    ..Mechanism::named(mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN))
}];

/// The lengths of a modulus in bits. Shorter ones are not secure any more (SP 800-131A), and
/// operations with longer ones take seconds.
pub(crate) const SIZES: RangeInclusive<u64> = 2048..=8192;

/// The shortest modulus in bits that can be had at all.
pub(crate) const SHORTEST: u64 = 512;

/// 6.1.2, RSA public key objects.
static PUBLIC: &[Rule] = rules! {
    MODULUS: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    MODULUS_BITS: Absent, NOT_BY_CREATE, NEEDED_BY_GENERATE;
    PUBLIC_EXPONENT: Absent, NEEDED_BY_CREATE;
};

/// 6.1.3, RSA private key objects.
static PRIVATE: &[Rule] = rules! {
    MODULUS: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    PUBLIC_EXPONENT: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    PRIVATE_EXPONENT: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    PRIME_1: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    PRIME_2: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    EXPONENT_1: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    EXPONENT_2: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    COEFFICIENT: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
};

/// Exponents that are tried, the likeliest first, for a private key that comes without its public
/// one, as those of Java can. The standard wants it kept (6.1.3), and blinding needs it.
const USUAL_EXPONENTS: &[&[u8]] = &[&[1, 0, 1], &[3], &[17], &[5], &[1, 1]];

fn complete(key: &mut Attributes) -> Result<()> {
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => complete_public(key),
        Some(Class::PRIVATE_KEY) => complete_private(key),
        _ => Err(Error::TemplateInconsistent),
    }
}

fn complete_public(key: &mut Attributes) -> Result<()> {
    let public = public(key)?;
    for attribute in [attribute::MODULUS, attribute::PUBLIC_EXPONENT] {
        let shortest = number(key, attribute)?.to_vec();
        key.set(attribute, shortest.as_slice());
    }
    key.set(attribute::MODULUS_BITS, public.bits());
    public_key_info::set(key, &public.to_spki().map_err(or(Error::AttributeValueInvalid))?)
}

fn complete_private(key: &mut Attributes) -> Result<()> {
    let private = match optional(key, attribute::PUBLIC_EXPONENT) {
        Some(exponent) => private(key, exponent)?,
        None => with_usual_exponent(key)?,
    };
    set_private(key, &private)?;
    public_key_info::set(key, &private.to_spki().map_err(or(Error::AttributeValueInvalid))?)
}

fn parse(key: &Attributes) -> Result<Parsed> {
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => public(key).map(|key| Parsed::new(key.bits(), key)),
        Some(Class::PRIVATE_KEY) => {
            let exponent = number(key, attribute::PUBLIC_EXPONENT)?;
            let key = PrivateKey::new(&components(key, exponent)?);
            let key = key.map_err(or(Error::FunctionFailed))?;
            Ok(Parsed::new(key.bits(), key))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

/// Why numbers are no key.
const NO_PUBLIC_KEY: &str = "CKA_MODULUS and CKA_PUBLIC_EXPONENT make no key";
const NO_PRIVATE_KEY: &str = "CKA_PRIVATE_EXPONENT or a prime does not belong to CKA_MODULUS";

/// The public key of a public key object.
fn public(key: &Attributes) -> Result<PublicKey> {
    let modulus = number(key, attribute::MODULUS)?;
    let exponent = number(key, attribute::PUBLIC_EXPONENT)?;
    PublicKey::new(modulus, exponent).map_err(or_since(Error::AttributeValueInvalid, NO_PUBLIC_KEY))
}

/// The private key of a private key object, whose numbers have been found to belong together.
fn private(key: &Attributes, exponent: &[u8]) -> Result<PrivateKey> {
    let components = components(key, exponent)?;
    // Numbers that can not even be those of a public key are wrong by themselves.
    PublicKey::new(&components.modulus, exponent)
        .map_err(or_since(Error::AttributeValueInvalid, NO_PUBLIC_KEY))?;
    let private = PrivateKey::new(&components)
        .map_err(or_since(Error::TemplateInconsistent, NO_PRIVATE_KEY))?;
    if components.crt.is_none() {
        private.check().map_err(or_since(Error::TemplateInconsistent, NO_PRIVATE_KEY))?;
    }
    Ok(private)
}

fn with_usual_exponent(key: &Attributes) -> Result<PrivateKey> {
    for exponent in USUAL_EXPONENTS {
        match private(key, exponent) {
            Err(Error::TemplateInconsistent) => {}
            found => return found,
        }
    }
    Err(Error::TemplateIncomplete
        .since("CKA_PUBLIC_EXPONENT is missing, and is none of the usual ones"))
}

fn components(key: &Attributes, exponent: &[u8]) -> Result<Components> {
    Ok(Components {
        modulus: number(key, attribute::MODULUS)?.to_vec(),
        public_exponent: exponent.to_vec(),
        private_exponent: secret(number(key, attribute::PRIVATE_EXPONENT)?),
        crt: crt(key)?,
    })
}

/// The numbers of the Chinese remainder theorem, which come all together or not at all.
fn crt(key: &Attributes) -> Result<Option<Crt>> {
    let numbers = [
        attribute::PRIME_1,
        attribute::PRIME_2,
        attribute::EXPONENT_1,
        attribute::EXPONENT_2,
        attribute::COEFFICIENT,
    ]
    .map(|attribute| optional(key, attribute));
    match numbers {
        [Some(p), Some(q), Some(dp), Some(dq), Some(qi)] => Ok(Some(Crt {
            prime_1: secret(p),
            prime_2: secret(q),
            exponent_1: secret(dp),
            exponent_2: secret(dq),
            coefficient: secret(qi),
        })),
        [None, None, None, None, None] => Ok(None),
        _ => Err(Error::TemplateIncomplete.since(
            "of CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2 and CKA_COEFFICIENT some are \
             missing",
        )),
    }
}

/// A number that must be there, without leading zeros.
fn number(key: &Attributes, attribute: Attribute<kind::Bytes>) -> Result<&[u8]> {
    let missing = || format!("{} is missing, or zero", attribute.info.name);
    optional(key, attribute).ok_or_else(|| Error::TemplateIncomplete.because(missing))
}

/// A number without leading zeros; `None` for one that is empty, too.
fn optional(key: &Attributes, attribute: Attribute<kind::Bytes>) -> Option<&[u8]> {
    let bytes = key.get(attribute)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..)
}

fn secret(bytes: &[u8]) -> Bytes {
    Bytes::new(bytes.to_vec())
}

fn set_private(key: &mut Attributes, private: &PrivateKey) -> Result<()> {
    let numbers = private.components().map_err(or(Error::FunctionFailed))?;
    key.set(attribute::MODULUS, numbers.modulus.as_slice());
    key.set(attribute::PUBLIC_EXPONENT, numbers.public_exponent.as_slice());
    key.set(attribute::PRIVATE_EXPONENT, numbers.private_exponent);
    if let Some(crt) = numbers.crt {
        key.set(attribute::PRIME_1, crt.prime_1);
        key.set(attribute::PRIME_2, crt.prime_2);
        key.set(attribute::EXPONENT_1, crt.exponent_1);
        key.set(attribute::EXPONENT_2, crt.exponent_2);
        key.set(attribute::COEFFICIENT, crt.coefficient);
    }
    Ok(())
}

/// Generates a key pair; the exponent is 65537 unless the template has another one.
fn generate(_: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    let bits = public.need(attribute::MODULUS_BITS)?;
    let bits = u32::try_from(bits)
        .map_err(|_| Error::AttributeValueInvalid.since("CKA_MODULUS_BITS is too large"))?;
    let exponent = match public.get(attribute::PUBLIC_EXPONENT) {
        None => &[1, 0, 1],
        Some(_) => optional(public, attribute::PUBLIC_EXPONENT).unwrap_or_default(),
    };
    // AWS-LC would search in vain for primes that go with an even exponent.
    if exponent.len() > 4 || exponent == [1] || exponent.last().is_none_or(|last| last % 2 == 0) {
        return Err(Error::AttributeValueInvalid
            .since("CKA_PUBLIC_EXPONENT is not an odd number from 3 on of at most 4 bytes"));
    }
    let key = PrivateKey::generate(bits, exponent).map_err(or_since(
        Error::AttributeValueInvalid,
        "CKA_MODULUS_BITS and CKA_PUBLIC_EXPONENT are of no key that can be made",
    ))?;
    set_private(private, &key)?;
    for attribute in [attribute::MODULUS, attribute::PUBLIC_EXPONENT] {
        public.set(attribute, private.need(attribute)?);
    }
    Ok(())
}

/// RFC 8017, A.1.2, has all the numbers: a key without those of the Chinese remainder theorem can
/// not be written.
fn to_pkcs8(key: &Attributes) -> Result<Bytes> {
    let key = private(key, number(key, attribute::PUBLIC_EXPONENT)?)?;
    key.to_pkcs8().map_err(or(Error::KeyNotWrappable))
}

fn from_pkcs8(der: &[u8], key: &mut Attributes) -> Result<()> {
    set_private(key, &PrivateKey::from_pkcs8(der).map_err(or(Error::WrappedKeyInvalid))?)
}
