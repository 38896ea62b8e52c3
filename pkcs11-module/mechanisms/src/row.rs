//! What a mechanism is.

use core::ops::RangeInclusive;
use std::sync::Arc;

use strongroom_types::attribute::{Attribute, Info, kind::Ulong};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, Layout, MechanismInfo, MechanismType, Params, Result,
    attribute, ck,
};

use crate::curve::Curve;
use crate::{Aead, Cipher, Derivation, Digest, Key, Recover, Sealed, Sign, Verify, message};

/// What of a mechanism is only there where the configuration says `legacy = true`: what is kept for
/// what is old, and must not serve anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// None of it.
    Nothing,
    /// The signature: what others signed long ago is still verified.
    Signing,
    /// All of it.
    Everything,
}

/// A mechanism: what it accepts, and what it can do.
///
/// Abilities are optional functions, and the `CKF_` flags follow from them, so information and
/// behaviour can not differ.
#[derive(Clone)]
#[expect(clippy::type_complexity, reason = "an ability reads best as its signature")]
pub struct Mechanism {
    /// The `CKM_` number.
    pub id: MechanismType,
    /// The standard's name.
    pub name: &'static str,
    /// The key types it takes, or makes. Others are refused before any code of its own runs. A
    /// mechanism that names none takes secret keys of every type, if it takes a key.
    pub keys: &'static [KeyType],
    /// The key sizes it takes, in the unit that `C_GetMechanismInfo` reports.
    pub key_size: RangeInclusive<u64>,
    /// What of it is legacy. Nothing reads this but [`Policy`](crate::Policy), through which every
    /// mechanism is looked up.
    pub legacy: Legacy,
    /// Smaller keys that are legacy: from this size on.
    pub legacy_key_size: Option<u64>,
    /// The parameters it accepts: the edge takes the first layout whose C structure has the length
    /// of the parameter. `&[]` as a layout is the mechanism called without one.
    pub params: &'static [Layout],
    /// `CKF_` flags beyond those that follow from the abilities, such as `CKF_EC_NAMEDCURVE`.
    pub flags: u64,
    /// Starts a digest.
    pub digest: Option<fn(&Params) -> Result<Box<dyn Digest>>>,
    /// Starts an encryption.
    pub encrypt: Option<Start<dyn Cipher>>,
    /// Starts a decryption.
    pub decrypt: Option<Start<dyn Cipher>>,
    /// Starts a signature or MAC.
    pub sign: Option<Start<dyn Sign>>,
    /// Starts a verification.
    pub verify: Option<Start<dyn Verify>>,
    /// Starts a signature that the data can be recovered from, of data in a single part.
    pub sign_recover: Option<Start<dyn Sign>>,
    /// Starts a verification that recovers the data.
    pub verify_recover: Option<Start<dyn Recover>>,
    /// Encrypts and decrypts messages, and wraps with associated data.
    pub message: Option<&'static Aead>,
    /// Generates a secret key: adds its value to the attributes of the template.
    pub generate: Option<fn(&Params, &mut Attributes) -> Result<()>>,
    /// Generates domain parameters: adds them to the attributes of the template.
    pub generate_parameters: Option<fn(&Params, &mut Attributes) -> Result<()>>,
    /// Generates a key pair: adds to the attributes of the public and of the private template.
    pub generate_pair: Option<fn(&Params, &mut Attributes, &mut Attributes) -> Result<()>>,
    /// Wraps the bytes of a key: the value of a secret key, or the PKCS#8 of a private key.
    pub wrap: Option<fn(&Key, &Params, &[u8]) -> Result<Bytes>>,
    /// Recovers the bytes of a wrapped key, which may have these lengths, or any if there are none:
    /// for a mechanism that never says that a wrapped key is wrong. The others leave it to the core.
    pub unwrap: Option<fn(&Key, &Params, &[u8], &[usize]) -> Result<Bytes>>,
    /// Whether a key that it wraps can not leave in pieces or changed, and an unwrapping tells nothing
    /// but that all is well or not: even of many keys under one.
    pub wraps_whole: bool,
    /// Derives keys.
    pub derive: Option<Derivation>,
    /// Whether it also derives from a data object.
    pub derives_from_data: bool,
    /// Makes a secret, and what it is encapsulated in for the holder of the private key. The secret
    /// has the length in bytes that is wanted, if the mechanism can choose it.
    pub encapsulate: Option<fn(&Key, &Params, Option<usize>) -> Result<Encapsulated>>,
    /// Recovers the secret, which may have these lengths, or any if there are none: of the one that
    /// is wanted, if it does not follow from the ciphertext.
    /// Errors: `CKR_WRAPPED_KEY_LEN_RANGE` for what can not be a ciphertext.
    pub decapsulate: Option<fn(&Key, &Params, &[u8], &[usize]) -> Result<Bytes>>,
}

/// What encapsulation gives.
pub struct Encapsulated {
    /// What the holder of the private key is sent.
    pub ciphertext: Vec<u8>,
    /// The secret that both have then.
    pub secret: Bytes,
}

/// How an operation starts: from a key and a parameter that have been checked.
pub type Start<Op> = fn(&Arc<Key>, &Params) -> Result<Box<Op>>;

impl Mechanism {
    /// A mechanism that can do nothing; rows say what theirs can.
    pub const NONE: Self = Self {
        id: MechanismType(u64::MAX),
        name: "",
        keys: &[],
        key_size: 0..=0,
        legacy: Legacy::Nothing,
        legacy_key_size: None,
        params: &[&[]],
        flags: 0,
        digest: None,
        encrypt: None,
        decrypt: None,
        sign: None,
        verify: None,
        sign_recover: None,
        verify_recover: None,
        message: None,
        generate: None,
        generate_parameters: None,
        generate_pair: None,
        wrap: None,
        unwrap: None,
        wraps_whole: false,
        derive: None,
        derives_from_data: false,
        encapsulate: None,
        decapsulate: None,
    };

    /// A row that has a number and a name: `Mechanism::named(mechanism!(CKM_AES_GCM))`.
    pub const fn named((id, name): (MechanismType, &'static str)) -> Self {
        Self { id, name, ..Self::NONE }
    }

    /// What `C_GetMechanismInfo` tells.
    pub fn info(&self) -> MechanismInfo {
        let abilities = [
            (self.digest.is_some(), ck!(CKF_DIGEST)),
            (self.encrypt.is_some(), ck!(CKF_ENCRYPT)),
            (self.decrypt.is_some(), ck!(CKF_DECRYPT)),
            (self.sign.is_some(), ck!(CKF_SIGN)),
            (self.verify.is_some(), ck!(CKF_VERIFY)),
            (self.sign_recover.is_some(), ck!(CKF_SIGN_RECOVER)),
            (self.verify_recover.is_some(), ck!(CKF_VERIFY_RECOVER)),
            (self.message.is_some(), ck!(CKF_MESSAGE_ENCRYPT) | ck!(CKF_MESSAGE_DECRYPT)),
            (self.sign.is_some(), ck!(CKF_MESSAGE_SIGN)),
            (self.verify.is_some(), ck!(CKF_MESSAGE_VERIFY)),
            (
                self.message.is_some() || self.sign.is_some() || self.verify.is_some(),
                ck!(CKF_MULTI_MESSAGE),
            ),
            (self.generate.is_some() || self.generate_parameters.is_some(), ck!(CKF_GENERATE)),
            (self.generate_pair.is_some(), ck!(CKF_GENERATE_KEY_PAIR)),
            (self.wrap.is_some(), ck!(CKF_WRAP)),
            (self.unwrap.is_some(), ck!(CKF_UNWRAP)),
            (self.derive.is_some(), ck!(CKF_DERIVE)),
            (self.encapsulate.is_some(), ck!(CKF_ENCAPSULATE)),
            (self.decapsulate.is_some(), ck!(CKF_DECAPSULATE)),
        ];
        let flags =
            abilities.iter().filter(|(can, _)| *can).fold(self.flags, |all, (_, f)| all | f);
        MechanismInfo {
            min_key_size: *self.key_size.start(),
            max_key_size: *self.key_size.end(),
            flags,
        }
    }

    /// Whether it makes keys or domain parameters of the size that a template asks for, in bits.
    ///
    /// # Errors
    ///
    /// [`Error::AttributeValueInvalid`], or [`Error::CurveNotSupported`].
    pub fn check_wanted(&self, public: &Attributes) -> Result<()> {
        let curve = public.get(attribute::EC_PARAMS).zip(self.keys.first());
        let curve = curve.and_then(|(params, key_type)| Curve::read(params, *key_type).ok());
        if curve.is_some_and(|curve| !self.key_size.contains(&curve.bits)) {
            let why = || self.other_size(attribute::EC_PARAMS.info);
            return Err(Error::CurveNotSupported.because(why));
        }
        let size = |size: Attribute<Ulong>| public.get(size).map(|bits| (size.info, bits));
        let prime = || public.get(attribute::PRIME).map(crate::dh::bit_len);
        let wanted = size(attribute::MODULUS_BITS)
            .or_else(|| size(attribute::PRIME_BITS))
            .or_else(|| prime().map(|bits| (attribute::PRIME.info, bits)));
        match wanted {
            Some((by, bits)) if !self.key_size.contains(&bits) => {
                Err(Error::AttributeValueInvalid.because(|| self.other_size(by)))
            }
            _ => Ok(()),
        }
    }

    /// Wraps the bytes of a key. A parameter with a place for a nonce gets it back.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn wrap_key(&self, key: &Key, params: &Params, bytes: &[u8]) -> Result<Sealed> {
        let wrap = self.wrap.ok_or(Error::MechanismInvalid)?;
        match self.wrapping(params)? {
            Some((aead, terms)) => aead.wrap_with_tag(key, &terms, bytes),
            None => Ok(Sealed { output: wrap(key, params, bytes)?, placed: Vec::new() }),
        }
    }

    /// Recovers the bytes of a wrapped key, which may have these lengths, or any if there are none.
    ///
    /// # Errors
    ///
    /// Those of the standard.
    pub fn unwrap_key(
        &self,
        key: &Key,
        params: &Params,
        wrapped: &[u8],
        lengths: &[usize],
    ) -> Result<Bytes> {
        let unwrap = self.unwrap.ok_or(Error::MechanismInvalid)?;
        match self.wrapping(params)? {
            Some((aead, terms)) => aead.unwrap_with_tag(key, &terms, wrapped),
            None => unwrap(key, params, wrapped, lengths),
        }
    }

    /// What a parameter says about the nonce of a wrapped key, if it does.
    fn wrapping(
        &self,
        params: &Params,
    ) -> Result<Option<(&'static Aead, (message::Terms, Bytes))>> {
        let Some(aead) = self.message else { return Ok(None) };
        Ok((aead.read_wrapping)(params)?.map(|terms| (aead, terms)))
    }

    /// Whether it takes this key: the check that all mechanisms share, before any of their code.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTypeInconsistent`] or [`Error::KeySizeRange`].
    pub fn check(&self, key: &Key) -> Result<()> {
        let takes = match self.keys {
            [] => key.class() == Class::SECRET_KEY,
            keys => keys.contains(&key.key_type()),
        };
        if !takes {
            let why = || {
                let name = crate::key_type(key.key_type()).map_or("", |row| row.name);
                format!("{} takes no keys of type {name}", self.name)
            };
            return Err(Error::KeyTypeInconsistent.because(why));
        }
        if !self.key_size.contains(&key.size()) {
            let (least, most, size) = (self.key_size.start(), self.key_size.end(), key.size());
            let why =
                || format!("{} takes keys of {least} to {most}, and not of {size}", self.name);
            return Err(Error::KeySizeRange.because(why));
        }
        Ok(())
    }

    /// Why no key of a size is made.
    fn other_size(&self, by: &Info) -> String {
        let (least, most) = (self.key_size.start(), self.key_size.end());
        format!("{} is not of {least} to {most} bits, which {} makes", by.name, self.name)
    }
}
