//! Poly1305 by itself (RFC 8439, 2.5): `CKM_POLY1305_KEY_GEN` and `CKM_POLY1305` (PKCS#11 3.2,
//! "Poly1305").
//!
//! A key is good for one message: two authenticators tell it. The token does not count them.

use strongroom_awslc as awslc;
use strongroom_awslc::poly1305::{KEY, Poly1305, TAG};
use strongroom_types::{Bytes, KeyType, Result, attribute, ck, mechanism};

use crate::chacha::{Settled, settled};
use crate::mac::{Cut, Mac};
use crate::{Key, KeyTypeRow, Mechanism, Parsed, chacha};

const KEY_TYPE: KeyType = KeyType(ck!(CKK_POLY1305));

/// `CKK_POLY1305`. Its keys have the attributes of those of ChaCha20.
pub(crate) static POLY1305: KeyTypeRow = KeyTypeRow {
    id: KEY_TYPE,
    name: "CKK_POLY1305",
    secret: Some(chacha::RULES),
    lengths: &[KEY],
    complete: |key| chacha::KIND.complete(key),
    parse: |key| Ok(Parsed::new(32, OneTime(settled(key.need(attribute::VALUE)?)?))),
    ..KeyTypeRow::NONE
};

/// A key, ready to compute.
struct OneTime(Settled);

const ROW: Mechanism = Mechanism { keys: &[KEY_TYPE], key_size: 32..=32, ..Mechanism::NONE };

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        id: mechanism!(CKM_POLY1305_KEY_GEN).0,
        name: mechanism!(CKM_POLY1305_KEY_GEN).1,
        generate: Some(chacha::generate),
        ..ROW
    },
    Mechanism {
        id: mechanism!(CKM_POLY1305).0,
        name: mechanism!(CKM_POLY1305).1,
        sign: Some(|key, _| Ok(Cut::start(start(key)?, TAG))),
        verify: Some(|key, _| Ok(Cut::start(start(key)?, TAG))),
        ..ROW
    },
];

fn start(key: &Key) -> Result<Poly1305> {
    let OneTime(value) = key.material()?;
    Ok(Poly1305::new(value))
}

impl Mac for Poly1305 {
    fn update(&mut self, part: &[u8]) -> awslc::Result<()> {
        self.update(part);
        Ok(())
    }

    fn finish(self) -> awslc::Result<Bytes> {
        Ok(self.finish())
    }
}
