//! What is read that others wrote, without a token that it goes into.

use std::path::Path;

use strongroom_types::Attributes;

use crate::material::{self, Material, Password};
use crate::public_key::PublicKey;
use crate::{nss, softhsm2};

/// What is in a key file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A private key, by its public half as SubjectPublicKeyInfo.
    Private(Vec<u8>),
    /// A public key, as SubjectPublicKeyInfo.
    Public(Vec<u8>),
    /// A certificate, DER.
    Certificate(Vec<u8>),
}

/// Everything in a file of keys and certificates, as `key import` reads it; `None` if it refuses the
/// file.
#[must_use]
pub fn key_file(bytes: &[u8], password: &str) -> Option<Vec<Found>> {
    let found = material::read(bytes, &Password::known(password)).ok()?;
    let spki = |key: &PublicKey| key.spki().ok();
    let found = found.into_iter().map(|material| {
        Some(match material {
            Material::Private(key, _) => Found::Private(spki(&key.public)?),
            Material::Public(key) => Found::Public(spki(&key)?),
            Material::Certificate(der) => Found::Certificate(der),
        })
    });
    found.collect()
}

/// The objects that `import softhsm2` can read in a directory of SoftHSM2's, of all its tokens that the
/// user's PIN opens.
#[must_use]
pub fn softhsm2_objects(dir: &Path, pin: &str) -> Vec<([u8; 16], Attributes)> {
    let tokens = softhsm2::tokens(dir).unwrap_or_default();
    let mut objects = Vec::new();
    for token in tokens.into_iter().flatten() {
        let Some(master) = token.open_as_user(pin).or_else(|| token.open_as_so(pin)) else {
            continue;
        };
        let open = token.objects.iter().map(|object| Some((object.id, object.open(&master).ok()?)));
        objects.extend(open.flatten());
    }
    objects
}

/// How many certificates and keys `import nss` can read in a directory of NSS's.
#[must_use]
pub fn nss_entries(dir: &Path, password: &str) -> usize {
    let Ok(databases) = nss::Databases::open(dir) else { return 0 };
    let password = databases.unlock(password).ok().flatten();
    let entries = databases.entries(password.as_ref()).unwrap_or_default();
    let whole = |entry: &&nss::Entry| match &entry.content {
        nss::Content::Certificate(_) => true,
        nss::Content::Private(key) => key.is_ok(),
        nss::Content::Secret(key) => key.is_ok(),
    };
    entries.iter().filter(whole).count()
}
