//! Keys: attributes that have become something that computes.

use core::any::Any;
use std::sync::Arc;

use strongroom_types::rule::Rule;
use strongroom_types::{Attributes, Bytes, Class, Error, KeyType, Result, attribute};

/// The length, if there is but one.
pub(crate) fn only(lengths: &[usize]) -> Option<usize> {
    match lengths {
        [len] => Some(*len),
        _ => None,
    }
}

/// A key type: which attributes its keys have, and how they become a [`Key`].
#[expect(clippy::type_complexity, reason = "an ability reads best as its signature")]
pub struct KeyTypeRow {
    /// The `CKK_` number.
    pub id: KeyType,
    /// The standard's name.
    pub name: &'static str,
    /// The attributes of a public key of this type, beyond those of its class; `None` if there are
    /// no public keys of this type.
    pub public: Option<&'static [Rule]>,
    /// The same of a private key.
    pub private: Option<&'static [Rule]>,
    /// The same of a secret key.
    pub secret: Option<&'static [Rule]>,
    /// The same of domain parameters.
    pub parameters: Option<&'static [Rule]>,
    /// Makes of bits that were derived the value of a key: where some of them must be in a certain
    /// way, such as the parity of DES.
    pub derived: Option<fn(&mut [u8])>,
    /// Checks the attributes of a new key against each other and adds those that follow from them:
    /// `CKA_MODULUS_BITS`, `CKA_PUBLIC_KEY_INFO`, `CKA_VALUE_LEN`, a normal form of
    /// `CKA_EC_PARAMS` and `CKA_EC_POINT`. Runs once, when a key is created, generated, unwrapped
    /// or derived; the class is in the attributes.
    ///
    /// Errors: `CKR_TEMPLATE_INCOMPLETE`, `CKR_TEMPLATE_INCONSISTENT`,
    /// `CKR_ATTRIBUTE_VALUE_INVALID`, `CKR_CURVE_NOT_SUPPORTED`, `CKR_DOMAIN_PARAMS_INVALID`.
    pub complete: fn(&mut Attributes) -> Result<()>,
    /// Makes the stored attributes of a key ready to compute. Runs at the first use of a key; the
    /// result is kept.
    pub parse: fn(&Attributes) -> Result<Parsed>,
    /// The PKCS#8 `PrivateKeyInfo` (RFC 5958) of a private key, for `C_WrapKey`.
    pub to_pkcs8: Option<fn(&Attributes) -> Result<Bytes>>,
    /// The attributes of the public key that belongs to a private one; `None` if they can not be
    /// told from it.
    pub to_public: Option<fn(&Attributes) -> Result<Attributes>>,
    /// The lengths in bytes that values of secret keys of this type can have; none if any can.
    pub lengths: &'static [usize],
    /// Reads a PKCS#8 `PrivateKeyInfo`, for `C_UnwrapKey`, and sets the attributes of the private
    /// key. Errors: `CKR_WRAPPED_KEY_INVALID`, also for the algorithm of another key type.
    pub from_pkcs8: Option<fn(&[u8], &mut Attributes) -> Result<()>>,
}

impl KeyTypeRow {
    /// A key type that has no keys; rows say what theirs have.
    pub const NONE: Self = Self {
        id: KeyType(u64::MAX),
        name: "",
        public: None,
        private: None,
        secret: None,
        parameters: None,
        derived: None,
        complete: |_| Ok(()),
        parse: |_| Err(Error::GeneralError),
        to_pkcs8: None,
        to_public: None,
        lengths: &[],
        from_pkcs8: None,
    };

    /// The length in bytes of a value, if secret keys of this type have but one.
    pub fn value_len(&self) -> Option<usize> {
        only(self.lengths)
    }

    /// The attributes of keys of a class, beyond those of the class.
    ///
    /// # Errors
    ///
    /// [`Error::TemplateInconsistent`] if the class and the key type do not go together.
    pub fn rules(&self, class: Class) -> Result<&'static [Rule]> {
        match class {
            Class::PUBLIC_KEY => self.public,
            Class::PRIVATE_KEY => self.private,
            Class::SECRET_KEY => self.secret,
            Class::DOMAIN_PARAMETERS => self.parameters,
            _ => None,
        }
        .ok_or_else(|| {
            let why = || format!("no objects of CKA_KEY_TYPE {} have this CKA_CLASS", self.name);
            Error::TemplateInconsistent.because(why)
        })
    }
}

/// What parsing a key gives. A clone shares the material.
#[derive(Clone)]
pub struct Parsed {
    /// The size of the key, in the unit in which its mechanisms report key sizes: bits for RSA and
    /// curves, bytes for secret keys.
    pub size: u64,
    /// What the mechanisms of the key type compute with.
    pub material: Arc<dyn Any + Send + Sync>,
}

impl Parsed {
    /// Material of a size.
    pub fn new(size: u64, material: impl Any + Send + Sync) -> Self {
        Self { size, material: Arc::new(material) }
    }
}

/// A key ready for use, shared by the operations that use it. A clone computes with the same material.
///
/// It has no `Debug`: it is a secret.
#[derive(Clone)]
pub struct Key {
    class: Class,
    key_type: KeyType,
    parsed: Parsed,
}

impl Key {
    /// Makes the attributes of a key object ready to compute. What a data object has is like a secret
    /// without a structure.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTypeInconsistent`] if the object is no key of a type that we know, and those of
    /// the key type's own parser.
    pub fn parse(attributes: &Attributes) -> Result<Self> {
        let class = Class(attributes.get(attribute::CLASS).ok_or(Error::GeneralError)?);
        let key_type = match class {
            Class::DATA => Some(KeyType::GENERIC_SECRET),
            _ => attributes.get(attribute::KEY_TYPE).map(KeyType),
        };
        let row = key_type.and_then(|id| crate::key_type(id).ok());
        let row = row.ok_or(Error::KeyTypeInconsistent)?;
        Ok(Self { class, key_type: row.id, parsed: (row.parse)(attributes)? })
    }

    /// Its class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its type.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its size, in the unit of its type.
    pub fn size(&self) -> u64 {
        self.parsed.size
    }

    /// What its type's parser made of it.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTypeInconsistent`] if that is of another type: a public key where a private one
    /// is needed.
    pub fn material<T: Any>(&self) -> Result<&T> {
        self.parsed.material.downcast_ref().ok_or(Error::KeyTypeInconsistent)
    }
}
