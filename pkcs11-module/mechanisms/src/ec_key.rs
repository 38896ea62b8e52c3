//! `CKK_EC`, `CKM_EC_KEY_PAIR_GEN` and `CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS` (PKCS#11 3.2, 6.3.3 to
//! 6.3.9): P-224 to P-521, secp256k1, and brainpool's; P-192 as legacy.

use k256::ecdsa::{SigningKey, VerifyingKey};
use k256::elliptic_curve::bigint::{NonZero, U640};
use strongroom_awslc::ec;
use strongroom_types::rule::Default::{Absent, Bool};
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Result, attribute, mechanism, rules,
};
use zeroize::Zeroizing;

use crate::curve::{self, Curve, Group};
use crate::failure::{or, or_since};
use crate::public_from_private::shared;
use crate::stack::wiped;
use crate::{KeyTypeRow, Mechanism, Parsed, ec_structure, public_key_info};

/// The key type. Its material is a [`Public`] or a [`Private`].
pub(crate) static EC: KeyTypeRow = KeyTypeRow {
    id: KeyType::EC,
    name: "CKK_EC",
    public: Some(PUBLIC),
    private: Some(PRIVATE),
    complete,
    parse,
    to_pkcs8: Some(to_pkcs8),
    from_pkcs8: Some(from_pkcs8),
    to_public: Some(|key| shared(key, &[attribute::EC_PARAMS.info, attribute::EC_POINT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        generate_pair: Some(|_, public, private| {
            generate(public, private, |curve| {
                ec::PrivateKey::generate(curve).map_err(or(Error::FunctionFailed))
            })
        }),
        ..row(mechanism!(CKM_EC_KEY_PAIR_GEN))
    },
    Mechanism {
        generate_pair: Some(|_, public, private| {
            // The numbers move, and each leaves a copy where it was.
            generate(public, private, |curve| wiped(|| with_extra_bits(curve)))
        }),
        ..row(mechanism!(CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS))
    },
];

/// The size of the shortest curve that can be had at all, P-192.
pub(crate) const SHORTEST: u64 = 192;

/// A row for these keys.
pub(crate) const fn row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::EC],
        key_size: 224..=521,
        legacy_key_size: Some(SHORTEST),
        flags: curve::FLAGS,
        ..Mechanism::named(named)
    }
}

/// The public key objects of all curves (6.3.3 for these).
pub(crate) static PUBLIC: &[Rule] = rules! {
    EC_PARAMS: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    EC_POINT: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
};

/// The private key objects of all curves that agree on secrets (6.3.4 for these). `CKA_EC_POINT`
/// is ours: clients look for it on private keys. `CKA_DERIVE` is true unless the template says
/// otherwise, because Java derives with keys that it made without saying so.
pub(crate) static PRIVATE: &[Rule] = rules! {
    EC_PARAMS: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    EC_POINT: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    DERIVE: Bool(true), MODIFIABLE;
};

/// A public key. secp256k1 has one for the crate that is faster on it as well.
pub(crate) struct Public {
    pub(crate) key: ec::PublicKey,
    pub(crate) k256: Option<VerifyingKey>,
}

/// A private key, as above.
pub(crate) struct Private {
    pub(crate) key: ec::PrivateKey,
    pub(crate) k256: Option<Box<SigningKey>>,
}

fn complete(key: &mut Attributes) -> Result<()> {
    let curve = Curve::of(key, KeyType::EC)?;
    let point = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => public(curve, key)?.point(),
        Some(Class::PRIVATE_KEY) => {
            let private = private(curve, key)?;
            key.set(attribute::VALUE, private.scalar().map_err(or(Error::FunctionFailed))?);
            private.point()
        }
        _ => return Err(Error::TemplateInconsistent),
    };
    let point = point.map_err(or(Error::FunctionFailed))?;
    curve.set_params(key);
    curve::set_point(key, curve, &point)?;
    public_key_info::set(key, &ec_structure::to_spki(curve, &point)?)
}

fn parse(key: &Attributes) -> Result<Parsed> {
    let curve = Curve::of(key, KeyType::EC)?;
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let key = public(curve, key)?;
            let k256 = match key.curve() {
                ec::Curve::Secp256k1 => Some(verifying(&key)?),
                _ => None,
            };
            Ok(Parsed::new(curve.bits, Public { key, k256 }))
        }
        Some(Class::PRIVATE_KEY) => {
            let key = private(curve, key)?;
            let k256 = match key.curve() {
                ec::Curve::Secp256k1 => Some(signing(&key)?),
                _ => None,
            };
            Ok(Parsed::new(curve.bits, Private { key, k256 }))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

fn verifying(key: &ec::PublicKey) -> Result<VerifyingKey> {
    let point = key.point().map_err(or(Error::FunctionFailed))?;
    VerifyingKey::from_sec1_bytes(&point).map_err(|_| Error::FunctionFailed)
}

fn signing(key: &ec::PrivateKey) -> Result<Box<SigningKey>> {
    let scalar = key.scalar().map_err(or(Error::FunctionFailed))?;
    let signing = wiped(|| SigningKey::from_slice(&scalar).map(Box::new));
    signing.map_err(|_| Error::FunctionFailed)
}

/// The public key of a public key object: a point that is on the curve.
fn public(curve: &Curve, key: &Attributes) -> Result<ec::PublicKey> {
    let point = key.need(attribute::EC_POINT)?;
    let point = curve.bare_point(point).ok_or_else(curve::no_point)?;
    ec::PublicKey::from_point(group(curve)?, point)
        .map_err(or_since(Error::AttributeValueInvalid, curve::NO_POINT))
}

/// The private key of a private key object.
fn private(curve: &Curve, key: &Attributes) -> Result<ec::PrivateKey> {
    let scalar = key.need(attribute::VALUE)?;
    ec::PrivateKey::from_scalar(group(curve)?, scalar)
        .map_err(or_since(Error::AttributeValueInvalid, curve::NO_PRIVATE_KEY))
}

fn group(curve: &Curve) -> Result<ec::Curve> {
    match curve.group {
        Group::Prime(group) => Ok(group),
        Group::Rfc8410(_) => Err(curve::other_curve()),
    }
}

fn generate(
    public: &mut Attributes,
    private: &mut Attributes,
    new: impl Fn(ec::Curve) -> Result<ec::PrivateKey>,
) -> Result<()> {
    let curve = Curve::of(public, KeyType::EC)?;
    let key = new(group(curve)?)?;
    curve.set_params(public);
    private.set(attribute::EC_PARAMS, public.need(attribute::EC_PARAMS)?);
    set_value(&key, private)?;
    curve::set_point(public, curve, &key.point().map_err(or(Error::FunctionFailed))?)
}

/// FIPS 186-5, A.2.1: a random number at least 64 bits longer than the order, modulo the order
/// less 1, plus 1. The division takes a time that depends on the order alone.
fn with_extra_bits(curve: ec::Curve) -> Result<ec::PrivateKey> {
    /// What all numbers here are computed in.
    const LEN: usize = U640::BYTES;
    /// The order has at most 521 bits, so the random number has 64 more, and 640 at most.
    const EXTRA: usize = 8;
    let order = curve.order().map_err(or(Error::FunctionFailed))?;
    let mut random = Zeroizing::new([0; LEN]);
    let (_, low) = random.split_at_mut(LEN.saturating_sub(order.len() + EXTRA));
    crate::random(low)?;
    let mut modulus = [0; LEN];
    let (_, low) = modulus.split_at_mut(LEN.saturating_sub(order.len()));
    low.copy_from_slice(&order);
    let modulus = U640::from_be_slice(&modulus).wrapping_sub(&U640::ONE);
    let modulus = NonZero::new(modulus).into_option().ok_or(Error::FunctionFailed)?;
    let random = Zeroizing::new(U640::from_be_slice(&*random));
    let scalar = Zeroizing::new(random.rem_vartime(&modulus).wrapping_add(&U640::ONE));
    let scalar = Zeroizing::new(scalar.to_be_bytes());
    let scalar = scalar.as_ref().split_at(LEN.saturating_sub(order.len())).1;
    ec::PrivateKey::from_scalar(curve, scalar).map_err(or(Error::FunctionFailed))
}

fn set_value(key: &ec::PrivateKey, private: &mut Attributes) -> Result<()> {
    private.set(attribute::VALUE, key.scalar().map_err(or(Error::FunctionFailed))?);
    Ok(())
}

fn to_pkcs8(key: &Attributes) -> Result<Bytes> {
    let curve = Curve::of(key, KeyType::EC)?;
    let key = private(curve, key)?;
    let point = key.point().map_err(or(Error::KeyNotWrappable))?;
    ec_structure::to_pkcs8(curve, &key.scalar().map_err(or(Error::KeyNotWrappable))?, &point)
}

fn from_pkcs8(der: &[u8], private: &mut Attributes) -> Result<()> {
    let ec_structure::Private { curve, scalar, points } = ec_structure::from_pkcs8(der)?;
    let key = ec::PrivateKey::from_scalar(group(curve)?, scalar);
    let key = key.map_err(or(Error::WrappedKeyInvalid))?;
    let point = key.point().map_err(or(Error::WrappedKeyInvalid))?;
    if !points.into_iter().all(|given| curve::same(curve, given, &point)) {
        return Err(Error::WrappedKeyInvalid);
    }
    curve.set_params(private);
    set_value(&key, private)
}
