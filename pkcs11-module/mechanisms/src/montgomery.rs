//! `CKK_EC_MONTGOMERY` and `CKM_EC_MONTGOMERY_KEY_PAIR_GEN` (PKCS#11 3.2, 6.3.7 and 6.3.10):
//! X25519 and X448. What its keys do stands with `CKM_ECDH1_DERIVE`.

use strongroom_awslc::curve25519::x25519;
use strongroom_types::{Attributes, Bytes, Class, Error, KeyType, Result, attribute, mechanism};

use crate::curve448::x448;
use crate::public_from_private::shared;
use crate::rfc8410::{self, Algorithm, array};
use crate::{KeyTypeRow, Mechanism, Parsed, curve, ec_key};

/// The key type. Its material is a [`Public`] or a [`Private`].
pub(crate) static EC_MONTGOMERY: KeyTypeRow = KeyTypeRow {
    id: KeyType::EC_MONTGOMERY,
    name: "CKK_EC_MONTGOMERY",
    public: Some(ec_key::PUBLIC),
    private: Some(ec_key::PRIVATE),
    complete: |key| rfc8410::complete(key, KeyType::EC_MONTGOMERY),
    parse,
    to_pkcs8: Some(|key| rfc8410::to_pkcs8(key, KeyType::EC_MONTGOMERY)),
    from_pkcs8: Some(|der, key| rfc8410::from_pkcs8(der, key, KeyType::EC_MONTGOMERY)),
    to_public: Some(|key| shared(key, &[attribute::EC_PARAMS.info, attribute::EC_POINT.info])),
    ..KeyTypeRow::NONE
};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[KeyType::EC_MONTGOMERY],
    key_size: 255..=448,
    flags: curve::FLAGS,
    generate_pair: Some(|_, public, private| {
        rfc8410::generate(KeyType::EC_MONTGOMERY, public, private)
    }),
    ..Mechanism::named(mechanism!(CKM_EC_MONTGOMERY_KEY_PAIR_GEN))
}];

/// A public key: the coordinate.
pub(crate) struct Public {
    pub(crate) algorithm: Algorithm,
    pub(crate) point: Vec<u8>,
}

/// A private key: the scalar.
pub(crate) struct Private {
    pub(crate) algorithm: Algorithm,
    pub(crate) scalar: Bytes,
}

fn parse(key: &Attributes) -> Result<Parsed> {
    let (curve, algorithm) = rfc8410::curve(key, KeyType::EC_MONTGOMERY)?;
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            let point = rfc8410::public(curve, key)?.to_vec();
            Ok(Parsed::new(curve.bits, Public { algorithm, point }))
        }
        Some(Class::PRIVATE_KEY) => {
            let scalar = Bytes::new(rfc8410::private(algorithm, key)?.to_vec());
            Ok(Parsed::new(curve.bits, Private { algorithm, scalar }))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

/// The secret shared with a peer; `None` if it has no point that agrees on one.
pub(crate) fn agree(algorithm: Algorithm, scalar: &[u8], peer: &[u8]) -> Option<Bytes> {
    match algorithm {
        Algorithm::X25519 => x25519(array(scalar).ok()?, array(peer).ok()?).ok(),
        Algorithm::X448 => x448(array(scalar).ok()?, array(peer).ok()?),
        Algorithm::Ed25519 | Algorithm::Ed448 => None,
    }
}
