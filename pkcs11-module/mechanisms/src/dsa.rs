//! `CKK_DSA`, its domain parameters, and DSA with and without a hash function (PKCS#11 3.2, "DSA";
//! FIPS 186-4). All of it is legacy: FIPS 186-5 has no DSA any more.

use core::ops::RangeInclusive;
use std::sync::Arc;

use der::Sequence;
use der::asn1::{ObjectIdentifier, UintRef};
use strongroom_awslc::dsa::{Group, Parameters, PrivateKey, PublicKey};
use strongroom_types::rule::Default::Absent;
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Params, Result, attribute, mechanism,
    rules,
};

use crate::dh::bit_len;
use crate::failure::{or, or_since};
use crate::number_key::{self, number};
use crate::public_from_private::shared;
use crate::whole::{Direct, Hashed, Signer, Verifier};
use crate::{Key, KeyTypeRow, Legacy, Mechanism, Parsed, hash, public_key_info};

/// The sizes of primes in bits: up to the largest of FIPS 186-4.
const SIZES: RangeInclusive<u64> = 512..=3072;

/// The key type. Its material is a [`PublicKey`] or a [`PrivateKey`].
pub(crate) static DSA: KeyTypeRow = KeyTypeRow {
    id: KeyType::DSA,
    name: "CKK_DSA",
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

/// What makes keys.
pub(crate) static GENERATORS: &[Mechanism] = &[
    Mechanism {
        generate_parameters: Some(generate_parameters),
        ..row(mechanism!(CKM_DSA_PARAMETER_GEN))
    },
    Mechanism { generate_pair: Some(generate), ..row(mechanism!(CKM_DSA_KEY_PAIR_GEN)) },
];

macro_rules! signatures {
    ($($ckm:ident: $hash:ident;)*) => {
        /// What signs.
        pub(crate) static SIGNATURES: &[Mechanism] = &[
            Mechanism {
                sign: Some(|key, _| Ok(Direct::start(Raw(Operation::sign(key)?), MAX_DIGEST))),
                verify: Some(|key, _| Ok(Direct::start(Raw(Operation::verify(key)?), MAX_DIGEST))),
                ..row(mechanism!(CKM_DSA))
            },
            $(Mechanism {
                sign: Some(|key, _| Ok(Hashed::start(Operation::sign(key)?, &hash::$hash))),
                verify: Some(|key, _| Ok(Hashed::start(Operation::verify(key)?, &hash::$hash))),
                ..row(mechanism!($ckm))
            },)*
        ];
    };
}

signatures! {
    CKM_DSA_SHA1: SHA1;
    CKM_DSA_SHA224: SHA224;
    CKM_DSA_SHA256: SHA256;
    CKM_DSA_SHA384: SHA384;
    CKM_DSA_SHA512: SHA512;
    CKM_DSA_SHA3_224: SHA3_224;
    CKM_DSA_SHA3_256: SHA3_256;
    CKM_DSA_SHA3_384: SHA3_384;
    CKM_DSA_SHA3_512: SHA3_512;
}

const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::DSA],
        key_size: SIZES,
        legacy: Legacy::Everything,
        ..Mechanism::named(named)
    }
}

static PARAMETERS: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    SUBPRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    BASE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
    PRIME_BITS: Absent, NOT_BY_CREATE, NEEDED_BY_GENERATE;
    SUBPRIME_BITS: Absent, NOT_BY_CREATE;
};

static PUBLIC: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    SUBPRIME: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    BASE: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
};

static PRIVATE: &[Rule] = rules! {
    PRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    SUBPRIME: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    BASE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
};

/// Why there is no group.
const NO_GROUP: &str = "CKA_PRIME, CKA_SUBPRIME and CKA_BASE make no group";

/// The domain parameters of a key.
fn group(key: &Attributes) -> Result<Group<'_>> {
    let group = Group {
        prime: key.need(attribute::PRIME)?,
        subprime: key.need(attribute::SUBPRIME)?,
        base: key.need(attribute::BASE)?,
    };
    let bits = bit_len(group.prime);
    match SIZES.contains(&bits) {
        true => Ok(group),
        false => Err(Error::KeySizeRange.because(|| format!("CKA_PRIME has {bits} bits"))),
    }
}

fn private(key: &Attributes) -> Result<PrivateKey> {
    let value = key.need(attribute::VALUE)?;
    let why = "CKA_VALUE is not between 0 and CKA_SUBPRIME";
    PrivateKey::from_value(group(key)?, value).map_err(or_since(Error::AttributeValueInvalid, why))
}

fn complete(key: &mut Attributes) -> Result<()> {
    let group = group(key)?;
    group.check().map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))?;
    let value = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let value = key.need(attribute::VALUE)?;
            let why = "CKA_VALUE is no public value of this group";
            group.check_public(value).map_err(or_since(Error::AttributeValueInvalid, why))?;
            value.to_vec()
        }
        Some(Class::PRIVATE_KEY) => private(key)?.public().map_err(or(Error::FunctionFailed))?,
        Some(Class::DOMAIN_PARAMETERS) => {
            let bits = (bit_len(group.prime), bit_len(group.subprime));
            key.set(attribute::PRIME_BITS, bits.0);
            key.set(attribute::SUBPRIME_BITS, bits.1);
            return Ok(());
        }
        _ => return Err(Error::TemplateInconsistent),
    };
    let info = number_key::to_spki(ID_DSA, &parameters(key)?, &value)?;
    public_key_info::set(key, &info)
}

fn parse(key: &Attributes) -> Result<Parsed> {
    let group = group(key)?;
    let bits = bit_len(group.prime);
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let public = PublicKey::new(group, key.need(attribute::VALUE)?);
            Ok(Parsed::new(bits, public.map_err(or(Error::KeyTypeInconsistent))?))
        }
        Some(Class::PRIVATE_KEY) => Ok(Parsed::new(bits, private(key)?)),
        _ => Err(Error::KeyTypeInconsistent),
    }
}

/// The size of the smaller prime follows from that of the other, and a template may say it.
fn generate_parameters(_: &Params, parameters: &mut Attributes) -> Result<()> {
    let bits = parameters.need(attribute::PRIME_BITS)?;
    let smaller = if bits < 2048 { 160 } else { 256 };
    if parameters.get(attribute::SUBPRIME_BITS).is_some_and(|wanted| wanted != smaller) {
        let why = || format!("CKA_SUBPRIME_BITS is not {smaller}, which goes with CKA_PRIME_BITS");
        return Err(Error::AttributeValueInvalid.because(why));
    }
    let new = Parameters::generate(bits).map_err(or_since(
        Error::AttributeValueInvalid,
        "CKA_PRIME_BITS is no size of a prime here",
    ))?;
    parameters.set(attribute::PRIME, new.prime.as_slice());
    parameters.set(attribute::SUBPRIME, new.subprime.as_slice());
    parameters.set(attribute::BASE, new.base.as_slice());
    Ok(())
}

fn generate(_: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    let group = group(public)?;
    group.check().map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))?;
    let key =
        PrivateKey::generate(group).map_err(or_since(Error::DomainParamsInvalid, NO_GROUP))?;
    private.set(attribute::PRIME, group.prime);
    private.set(attribute::SUBPRIME, group.subprime);
    private.set(attribute::BASE, group.base);
    private.set(attribute::VALUE, key.value().map_err(or(Error::FunctionFailed))?);
    let value = key.public().map_err(or(Error::FunctionFailed))?;
    public.set(attribute::VALUE, value.as_slice());
    Ok(())
}

fn to_public(key: &Attributes) -> Result<Attributes> {
    let numbers = [attribute::PRIME.info, attribute::SUBPRIME.info, attribute::BASE.info];
    let mut public = shared(key, &numbers)?;
    let value = private(key)?.public().map_err(or(Error::FunctionFailed))?;
    public.set(attribute::VALUE, value.as_slice());
    Ok(public)
}

/// id-dsa (RFC 3279, 2.3.2).
const ID_DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// `Dss-Parms`.
#[derive(Sequence)]
struct DssParms<'a> {
    prime: UintRef<'a>,
    subprime: UintRef<'a>,
    base: UintRef<'a>,
}

fn parameters(key: &Attributes) -> Result<DssParms<'_>> {
    Ok(DssParms {
        prime: number(key.need(attribute::PRIME)?)?,
        subprime: number(key.need(attribute::SUBPRIME)?)?,
        base: number(key.need(attribute::BASE)?)?,
    })
}

fn to_pkcs8(key: &Attributes) -> Result<Bytes> {
    number_key::to_pkcs8(ID_DSA, &parameters(key)?, key.need(attribute::VALUE)?)
}

fn from_pkcs8(der: &[u8], key: &mut Attributes) -> Result<()> {
    let (group, value) = number_key::from_pkcs8::<DssParms<'_>>(ID_DSA, der)?;
    key.set(attribute::PRIME, group.prime.as_bytes());
    key.set(attribute::SUBPRIME, group.subprime.as_bytes());
    key.set(attribute::BASE, group.base.as_bytes());
    key.set(attribute::VALUE, value);
    Ok(())
}

/// The longest input of `CKM_DSA` in bytes.
const MAX_DIGEST: usize = 64;

/// A signature or verification of a digest. That the key is of the right class has been seen to
/// when it started.
struct Operation(Arc<Key>);

impl Operation {
    fn sign(key: &Arc<Key>) -> Result<Self> {
        key.material::<PrivateKey>()?;
        Ok(Self(key.clone()))
    }

    fn verify(key: &Arc<Key>) -> Result<Self> {
        key.material::<PublicKey>()?;
        Ok(Self(key.clone()))
    }
}

impl Signer for Operation {
    fn signature_len(&self) -> usize {
        self.0.material::<PrivateKey>().map_or(0, PrivateKey::signature_len)
    }

    fn sign(&self, digest: &[u8]) -> Result<Bytes> {
        let key: &PrivateKey = self.0.material()?;
        key.sign(digest).map(Bytes::new).map_err(or(Error::FunctionFailed))
    }

    fn bare(&self) -> Option<MechanismType> {
        Some(mechanism!(CKM_DSA).0)
    }
}

impl Verifier for Operation {
    fn bare(&self) -> Option<MechanismType> {
        Signer::bare(self)
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        let key: &PublicKey = self.0.material()?;
        if signature.len() != key.signature_len() {
            return Err(Error::SignatureLenRange);
        }
        key.verify(digest, signature).map_err(or(Error::SignatureInvalid))
    }
}

/// `CKM_DSA`, whose input is a digest of one of the sizes that there are.
struct Raw(Operation);

/// Whether these many bytes can be a digest.
fn is_digest(digest: &[u8]) -> Result<()> {
    let is = matches!(digest.len(), 20 | 28 | 32 | 48 | MAX_DIGEST);
    if is { Ok(()) } else { Err(Error::DataLenRange) }
}

impl Signer for Raw {
    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }

    fn sign(&self, digest: &[u8]) -> Result<Bytes> {
        is_digest(digest)?;
        self.0.sign(digest)
    }
}

impl Verifier for Raw {
    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<()> {
        is_digest(digest)?;
        self.0.verify(digest, signature)
    }
}
