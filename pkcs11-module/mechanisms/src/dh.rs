//! `CKK_DH`, `CKM_DH_PKCS_PARAMETER_GEN`, `CKM_DH_PKCS_KEY_PAIR_GEN` and `CKM_DH_PKCS_DERIVE`
//! (PKCS#11 3.2, "Diffie-Hellman"; PKCS #3).

use core::ops::RangeInclusive;

use der::Sequence;
use der::asn1::{ObjectIdentifier, UintRef};
use strongroom_awslc::dh::{Group, PrivateKey, generate_group};
use strongroom_types::rule::Default::{Absent, Bool};
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, Field, KeyType, Params, Result, attribute, mechanism, rules,
};

use crate::ecdh::trailing;
use crate::failure::{or, or_since};
use crate::number_key::{self, number};
use crate::{Derivation, Inputs, KeyTypeRow, Mechanism, Parsed, public_key_info};

/// The sizes of primes in bits, as with RSA.
const SIZES: RangeInclusive<u64> = 2048..=8192;

/// The shortest prime in bits that can be had at all.
const SHORTEST: u64 = 512;

/// The longest prime that is generated, which takes minutes: the time grows with the fourth power.
const LONGEST_NEW: u64 = 4096;

/// The key type. The material of a private key is a [`PrivateKey`]; public keys compute nothing,
/// and have `()`.
pub(crate) static DH: KeyTypeRow = KeyTypeRow {
    id: KeyType::DH,
    name: "CKK_DH",
    public: Some(PUBLIC),
    private: Some(PRIVATE),
    parameters: Some(PARAMETERS),
    complete,
    parse,
    to_pkcs8: Some(to_pkcs8),
    from_pkcs8: Some(from_pkcs8),
    to_public: Some(to_public),
    ..KeyTypeRow::NONE
};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        keys: &[KeyType::DH],
        key_size: *SIZES.start()..=LONGEST_NEW,
        legacy_key_size: Some(SHORTEST),
        generate_parameters: Some(generate_parameters),
        ..Mechanism::named(mechanism!(CKM_DH_PKCS_PARAMETER_GEN))
    },
    Mechanism {
        keys: &[KeyType::DH],
        key_size: SIZES,
        legacy_key_size: Some(SHORTEST),
        generate_pair: Some(generate),
        ..Mechanism::named(mechanism!(CKM_DH_PKCS_KEY_PAIR_GEN))
    },
    Mechanism {
        keys: &[KeyType::DH],
        key_size: SIZES,
        legacy_key_size: Some(SHORTEST),
        // The public value of the peer.
        params: &[&[Field::Whole]],
        derive: Some(Derivation::secret(derive)),
        ..Mechanism::named(mechanism!(CKM_DH_PKCS_DERIVE))
    },
];

static PARAMETERS: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    BASE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    PRIME_BITS: Absent, NOT_BY_CREATE, NEEDED_BY_GENERATE;
};

static PUBLIC: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    BASE: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
};

/// `CKA_DERIVE` is true unless the template says otherwise, as on curves.
static PRIVATE: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    BASE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    VALUE_BITS: Absent, NOT_BY_CREATE, NOT_BY_UNWRAP;
    DERIVE: Bool(true), MODIFIABLE;
};

/// Why there is no group.
const NO_GROUP: &str = "CKA_PRIME and CKA_BASE make no group";

/// The group of a key, and how many bits its prime has.
fn group(key: &Attributes) -> Result<(Group<'_>, u64)> {
    let group = Group { prime: key.need(attribute::PRIME)?, base: key.need(attribute::BASE)? };
    let bits = group.bits().map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))?;
    let why = || format!("CKA_PRIME has {bits} bits");
    match (SHORTEST..=*SIZES.end()).contains(&bits) {
        true => Ok((group, bits)),
        false => Err(Error::KeySizeRange.because(why)),
    }
}

/// Whether the group of a key has no small parts: else a peer in one of them, and a few tries, tell what a
/// private value is modulo its size, and all of them together the whole.
///
/// # Errors
///
/// [`Error::DomainParamsInvalid`] if there is no group.
pub fn has_safe_prime(key: &Attributes) -> Result<bool> {
    let (group, _) = group(key)?;
    group.has_safe_prime().map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))
}

fn private(key: &Attributes) -> Result<PrivateKey> {
    let value = key.need(attribute::VALUE)?;
    let why = "CKA_VALUE is not between 1 and CKA_PRIME";
    let (group, _) = group(key)?;
    PrivateKey::from_value(group, value).map_err(or_since(Error::AttributeValueInvalid, why))
}

/// The number of bits that write a number.
pub(crate) fn bit_len(value: &[u8]) -> u64 {
    let mut bytes = value.iter().skip_while(|byte| **byte == 0);
    let first = bytes.next().map_or(0, |byte| 8 - byte.leading_zeros());
    u64::from(first) + u64::try_from(8 * bytes.count()).unwrap_or(u64::MAX)
}

fn complete(key: &mut Attributes) -> Result<()> {
    let value = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let value = key.need(attribute::VALUE)?;
            let (group, _) = group(key)?;
            let why = "CKA_VALUE is no public value of this group";
            group.check_public(value).map_err(or_since(Error::AttributeValueInvalid, why))?;
            value.to_vec()
        }
        Some(Class::PRIVATE_KEY) => {
            let private = private(key)?;
            key.set(attribute::VALUE_BITS, bit_len(key.need(attribute::VALUE)?));
            private.public().map_err(or(Error::FunctionFailed))?
        }
        Some(Class::DOMAIN_PARAMETERS) => {
            let (_, bits) = group(key)?;
            key.set(attribute::PRIME_BITS, bits);
            return Ok(());
        }
        _ => return Err(Error::TemplateInconsistent),
    };
    let info = number_key::to_spki(DH_KEY_AGREEMENT, &parameters(key)?, &value)?;
    public_key_info::set(key, &info)
}

fn parse(key: &Attributes) -> Result<Parsed> {
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let (_, bits) = group(key)?;
            Ok(Parsed::new(bits, ()))
        }
        Some(Class::PRIVATE_KEY) => {
            let private = private(key)?;
            Ok(Parsed::new(private.bits(), private))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

/// A safe prime: half of what is before it is a prime as well.
fn generate_parameters(_: &Params, parameters: &mut Attributes) -> Result<()> {
    let bits = parameters.need(attribute::PRIME_BITS)?;
    let (prime, base) = generate_group(bits).map_err(or_since(
        Error::AttributeValueInvalid,
        "CKA_PRIME_BITS is no size of a prime here",
    ))?;
    parameters.set(attribute::PRIME, prime.as_slice());
    parameters.set(attribute::BASE, base.as_slice());
    Ok(())
}

fn generate(_: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    let (group, most) = group(public)?;
    let bits = private.get(attribute::VALUE_BITS);
    // Twice the strength of the smallest group (SP 800-56A, 5.6.1.1.1), and no more than the prime.
    if bits.is_some_and(|bits| !(SHORTEST_VALUE..=most).contains(&bits)) {
        let why = || format!("CKA_VALUE_BITS is not between {SHORTEST_VALUE} and {most}");
        return Err(Error::AttributeValueInvalid.because(why));
    }
    let key = PrivateKey::generate(group, bits)
        .map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))?;
    private.set(attribute::PRIME, group.prime);
    private.set(attribute::BASE, group.base);
    private.set(attribute::VALUE, key.value().map_err(or(Error::FunctionFailed))?);
    let value = key.public().map_err(or(Error::FunctionFailed))?;
    public.set(attribute::VALUE, value.as_slice());
    Ok(())
}

/// The fewest bits that a template may ask for in a private value.
const SHORTEST_VALUE: u64 = 224;

fn derive(inputs: &Inputs<'_>, wanted: Option<usize>) -> Result<Bytes> {
    let key = inputs.key.material::<PrivateKey>()?;
    let secret = key.agree(inputs.params.bytes()?).map_err(or_since(
        Error::MechanismParamInvalid,
        "the parameter is no public value of this group",
    ))?;
    trailing(secret, wanted)
}

fn to_public(key: &Attributes) -> Result<Attributes> {
    let mut public =
        crate::public_from_private::shared(key, &[attribute::PRIME.info, attribute::BASE.info])?;
    let value = private(key)?.public().map_err(or(Error::FunctionFailed))?;
    public.set(attribute::VALUE, value.as_slice());
    Ok(public)
}

/// dhKeyAgreement (PKCS #3).
const DH_KEY_AGREEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1");

/// `DHParameter` (PKCS #3, 9).
#[derive(Sequence)]
struct Parameters<'a> {
    prime: UintRef<'a>,
    base: UintRef<'a>,
    private_value_length: Option<u32>,
}

fn parameters(key: &Attributes) -> Result<Parameters<'_>> {
    Ok(Parameters {
        prime: number(key.need(attribute::PRIME)?)?,
        base: number(key.need(attribute::BASE)?)?,
        private_value_length: None,
    })
}

fn to_pkcs8(key: &Attributes) -> Result<Bytes> {
    number_key::to_pkcs8(DH_KEY_AGREEMENT, &parameters(key)?, key.need(attribute::VALUE)?)
}

fn from_pkcs8(der: &[u8], key: &mut Attributes) -> Result<()> {
    let (group, value) = number_key::from_pkcs8::<Parameters<'_>>(DH_KEY_AGREEMENT, der)?;
    key.set(attribute::PRIME, group.prime.as_bytes());
    key.set(attribute::BASE, group.base.as_bytes());
    key.set(attribute::VALUE, value);
    Ok(())
}
