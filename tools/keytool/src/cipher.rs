//! The ciphers, for `encrypt`, `decrypt`, `key wrap` and `key unwrap`: one row each.

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::KeyType;
use cryptoki::types::Ulong;

use crate::errors::{During, Failure, Result};

/// How an initialisation vector and its mechanism look.
#[derive(Clone, Copy)]
enum Shape {
    /// No parameter of ours.
    Fixed(fn() -> Mechanism<'static>),
    /// A block as IV.
    Cbc,
    /// 12 bytes of IV and 16 of tag.
    Gcm,
}

/// A cipher.
#[derive(Clone, Copy)]
pub(crate) struct Cipher {
    /// The name on the command line.
    pub(crate) name: &'static str,
    keys: &'static [KeyType],
    shape: Shape,
    crypts: bool,
    wraps: bool,
}

const AES: &[KeyType] = &[KeyType::AES];
const RSA: &[KeyType] = &[KeyType::RSA];

const fn oaep(name: &'static str, mechanism: fn() -> Mechanism<'static>) -> Cipher {
    Cipher { name, keys: RSA, shape: Shape::Fixed(mechanism), crypts: true, wraps: true }
}

fn oaep_with(hash: MechanismType, mgf: PkcsMgfType) -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()))
}

/// Every cipher. The first that takes a key's type and the task is the default.
const CIPHERS: &[Cipher] = &[
    Cipher { name: "aes-gcm", keys: AES, shape: Shape::Gcm, crypts: true, wraps: false },
    Cipher {
        name: "aes-kwp",
        keys: AES,
        shape: Shape::Fixed(|| Mechanism::AesKeyWrapPad),
        crypts: false,
        wraps: true,
    },
    Cipher {
        name: "aes-kw",
        keys: AES,
        shape: Shape::Fixed(|| Mechanism::AesKeyWrap),
        crypts: false,
        wraps: true,
    },
    Cipher { name: "aes-cbc-pad", keys: AES, shape: Shape::Cbc, crypts: true, wraps: true },
    oaep("rsa-oaep-sha256", || oaep_with(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256)),
    oaep("rsa-oaep-sha384", || oaep_with(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384)),
    oaep("rsa-oaep-sha512", || oaep_with(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512)),
    oaep("rsa-oaep-sha1", || oaep_with(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1)),
    oaep("rsa-pkcs", || Mechanism::RsaPkcs),
];

/// What a cipher is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Data.
    Crypt,
    /// Keys.
    Wrap,
}

impl Cipher {
    /// The cipher of a name, or the default of a key type.
    pub(crate) fn choose(
        name: Option<&str>,
        key_type: Option<KeyType>,
        task: Task,
    ) -> Result<Self> {
        let fits = |cipher: &&Self| {
            let does = if task == Task::Crypt { cipher.crypts } else { cipher.wraps };
            does && key_type.is_some_and(|kind| cipher.keys.contains(&kind))
        };
        let mut fitting = CIPHERS.iter().filter(fits);
        let found = match name {
            None => fitting.next(),
            Some(name) => fitting.find(|cipher| cipher.name == name),
        };
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = CIPHERS.iter().filter(fits).map(|cipher| cipher.name).collect();
            let help = match names.as_slice() {
                [] => String::from("AES and RSA keys can"),
                names => format!("with this key, use {}", names.join(", ")),
            };
            let what = match name {
                Some(name) => format!("{name} is no mechanism for this key and task"),
                None => String::from("keys of this type cannot do this"),
            };
            Failure::usage(what).help(help)
        })
    }

    /// The length of the IV that goes before the ciphertext.
    pub(crate) fn iv_len(self) -> usize {
        match self.shape {
            Shape::Fixed(_) => 0,
            Shape::Cbc => 16,
            Shape::Gcm => 12,
        }
    }

    /// Whether data may be given in parts.
    pub(crate) fn parts(self) -> bool {
        !matches!(self.shape, Shape::Fixed(_))
    }

    /// Whether additional data can be authenticated.
    pub(crate) fn takes_aad(self) -> bool {
        matches!(self.shape, Shape::Gcm)
    }

    /// The mechanism with its parameters, which it borrows.
    pub(crate) fn mechanism<'a>(self, iv: &'a mut [u8], aad: &'a [u8]) -> Result<Mechanism<'a>> {
        match self.shape {
            Shape::Fixed(mechanism) => Ok(mechanism()),
            Shape::Cbc => {
                let block = <[u8; 16]>::try_from(&*iv)
                    .map_err(|error| Failure::content("the IV is malformed", error))?;
                Ok(Mechanism::AesCbcPad(block))
            }
            Shape::Gcm => {
                let params = GcmParams::new(iv, aad, Ulong::new(128))
                    .during("cannot build the parameters of AES-GCM")?;
                Ok(Mechanism::AesGcm(params))
            }
        }
    }
}
