//! HMAC (RFC 2104, FIPS 198-1): `CKM_SHA256_HMAC`, `CKM_SHA256_HMAC_GENERAL` and their like
//! (PKCS#11 3.2, "SHA-1" to "SHA3-512").

use std::sync::Arc;

use strongroom_awslc as awslc;
use strongroom_awslc::mac::HmacKey;
use strongroom_types::{Bytes, KeyType, Result, ck, mechanism};

use crate::hash::{self, Hash};
use crate::mac::{Cut, GENERAL, Mac, general_len};
use crate::secret::Secret;
use crate::{Key, Mechanism};

/// Keys of any length that a `CK_ULONG` of 32 bits can say. The standard wants at least one of
/// this range; RFC 2104 takes them all, and hashes those that are longer than a block.
pub(crate) const KEY_SIZE: core::ops::RangeInclusive<u64> = 1..=0x7fff_ffff;

macro_rules! hmacs {
    ($($hash:ident: $whole:ident, $general:ident, $ckk:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[$(
            Mechanism {
                keys: &[KeyType::GENERIC_SECRET, KeyType(ck!($ckk))],
                key_size: KEY_SIZE,
                legacy: hash::$hash.legacy(),
                sign: Some(|key, _| {
                    Ok(Cut::start(start(key, &hash::$hash)?, hash::$hash.output_len()))
                }),
                verify: Some(|key, _| {
                    Ok(Cut::start(start(key, &hash::$hash)?, hash::$hash.output_len()))
                }),
                ..Mechanism::named(mechanism!($whole))
            },
            Mechanism {
                keys: &[KeyType::GENERIC_SECRET, KeyType(ck!($ckk))],
                key_size: KEY_SIZE,
                legacy: hash::$hash.legacy(),
                params: GENERAL,
                sign: Some(|key, params| {
                    let len = general_len(params, hash::$hash.output_len())?;
                    Ok(Cut::start(start(key, &hash::$hash)?, len))
                }),
                verify: Some(|key, params| {
                    let len = general_len(params, hash::$hash.output_len())?;
                    Ok(Cut::start(start(key, &hash::$hash)?, len))
                }),
                ..Mechanism::named(mechanism!($general))
            },
        )*];
    };
}

hmacs! {
    MD5: CKM_MD5_HMAC, CKM_MD5_HMAC_GENERAL, CKK_MD5_HMAC;
    SHA1: CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL, CKK_SHA_1_HMAC;
    SHA224: CKM_SHA224_HMAC, CKM_SHA224_HMAC_GENERAL, CKK_SHA224_HMAC;
    SHA256: CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, CKK_SHA256_HMAC;
    SHA384: CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, CKK_SHA384_HMAC;
    SHA512: CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, CKK_SHA512_HMAC;
    SHA512_224: CKM_SHA512_224_HMAC, CKM_SHA512_224_HMAC_GENERAL, CKK_SHA512_224_HMAC;
    SHA512_256: CKM_SHA512_256_HMAC, CKM_SHA512_256_HMAC_GENERAL, CKK_SHA512_256_HMAC;
    SHA3_224: CKM_SHA3_224_HMAC, CKM_SHA3_224_HMAC_GENERAL, CKK_SHA3_224_HMAC;
    SHA3_256: CKM_SHA3_256_HMAC, CKM_SHA3_256_HMAC_GENERAL, CKK_SHA3_256_HMAC;
    SHA3_384: CKM_SHA3_384_HMAC, CKM_SHA3_384_HMAC_GENERAL, CKK_SHA3_384_HMAC;
    SHA3_512: CKM_SHA3_512_HMAC, CKM_SHA3_512_HMAC_GENERAL, CKK_SHA3_512_HMAC;
}

/// An HMAC under way.
struct Hmac {
    key: Arc<Key>,
    hash: &'static Hash,
    /// There once a part came; a message in a single part needs none.
    running: Option<awslc::mac::Hmac>,
}

fn start(key: &Arc<Key>, hash: &'static Hash) -> Result<Hmac> {
    keyed(key, hash)?;
    Ok(Hmac { key: Arc::clone(key), hash, running: None })
}

fn keyed<'k>(key: &'k Key, hash: &Hash) -> Result<&'k HmacKey> {
    key.material::<Secret>()?.hmac(hash)
}

impl Hmac {
    /// The key, which was there when this started.
    fn key(&self) -> awslc::Result<&HmacKey> {
        keyed(&self.key, self.hash).map_err(|_| awslc::Error::Invalid)
    }

    fn running(&mut self) -> awslc::Result<&mut awslc::mac::Hmac> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.key()?.start()?,
        };
        Ok(self.running.insert(running))
    }
}

impl Mac for Hmac {
    fn update(&mut self, part: &[u8]) -> awslc::Result<()> {
        self.running()?.update(part)
    }

    fn finish(self) -> awslc::Result<Bytes> {
        match self.running {
            Some(running) => running.finish(),
            None => self.key()?.mac(&[]),
        }
    }

    fn whole(self, message: &[u8]) -> awslc::Result<Bytes> {
        self.key()?.mac(&[message])
    }

    fn state(&self) -> Option<Bytes> {
        match &self.running {
            Some(running) => running.state(),
            None => self.key().ok()?.start().ok()?.state(),
        }
    }

    fn resume(&mut self, state: &[u8]) -> awslc::Result<()> {
        self.running()?.resume(state)
    }
}
