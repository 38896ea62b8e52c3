//! `CKK_EC_MONTGOMERY` and `CKM_EC_MONTGOMERY_KEY_PAIR_GEN` (PKCS#11 3.2, 6.3.7 and 6.3.10):
//! X25519. What its keys do stands with `CKM_ECDH1_DERIVE`.

use strongroom_awslc::curve25519::{Algorithm, KEY_LEN, x25519_generate};
use strongroom_types::{Attributes, Class, Error, KeyType, Params, Result, attribute, mechanism};
use zeroize::Zeroizing;

use crate::public_from_private::shared;
use crate::{KeyTypeRow, Mechanism, Parsed, curve, curve25519, ec_key};

/// The key type. Its material is a [`Public`] or a [`Private`].
pub(crate) static EC_MONTGOMERY: KeyTypeRow = KeyTypeRow {
    id: KeyType::EC_MONTGOMERY,
    name: "CKK_EC_MONTGOMERY",
    public: Some(ec_key::PUBLIC),
    private: Some(ec_key::PRIVATE),
    complete: |key| curve25519::complete(key, KeyType::EC_MONTGOMERY),
    parse,
    to_pkcs8: Some(|key| curve25519::to_pkcs8(key, Algorithm::X25519)),
    from_pkcs8: Some(|der, key| curve25519::from_pkcs8(der, Algorithm::X25519, key)),
    to_public: Some(|key| shared(key, &[attribute::EC_PARAMS.info, attribute::EC_POINT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[KeyType::EC_MONTGOMERY],
    key_size: 255..=255,
    flags: curve::FLAGS,
    generate_pair: Some(generate),
    ..Mechanism::named(mechanism!(CKM_EC_MONTGOMERY_KEY_PAIR_GEN))
}];

/// A public key: the coordinate.
pub(crate) struct Public(pub(crate) [u8; KEY_LEN]);

/// A private key: the scalar.
pub(crate) struct Private(pub(crate) Zeroizing<[u8; KEY_LEN]>);

fn parse(key: &Attributes) -> Result<Parsed> {
    let (curve, _) = curve25519::curve(key, KeyType::EC_MONTGOMERY)?;
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            Ok(Parsed::new(curve.bits, Public(curve25519::public(curve, key)?)))
        }
        Some(Class::PRIVATE_KEY) => Ok(Parsed::new(curve.bits, Private(curve25519::private(key)?))),
        _ => Err(Error::KeyTypeInconsistent),
    }
}

fn generate(_: &Params, public: &mut Attributes, private: &mut Attributes) -> Result<()> {
    curve25519::set_pair(KeyType::EC_MONTGOMERY, &x25519_generate(), public, private)
}
