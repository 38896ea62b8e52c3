//! Derivation: what a mechanism makes of a key, and what it is given to make it.
//!
//! The core reads a [`Derivation`] to know which objects there will be before it computes: it
//! checks their templates, and says how long their values shall be. The mechanism computes those
//! values, and knows neither handles nor templates.

use strongroom_types::{Attributes, Bytes, Class, Error, MechanismType, Params, Result, attribute};

use crate::{Key, Mechanism};

/// How a mechanism derives.
#[derive(Clone, Copy)]
pub struct Derivation {
    /// What it makes.
    pub makes: Makes,
    /// How `CKA_SENSITIVE` and its like come down to that.
    pub heritage: Heritage,
}

/// What a derivation makes.
#[derive(Clone, Copy)]
pub enum Makes {
    /// A secret key: its value.
    Secret(Value),
    /// A data object: its value.
    Data(Value),
    /// A public key of the type of the base key: its attributes.
    Public(fn(&Inputs<'_>) -> Result<Attributes>),
    /// Secret keys, and what else there is a place for in the parameter.
    Several(Several),
}

/// Computes a value: of the length in bytes that is wanted, or of its natural length. Errors:
/// `CKR_KEY_SIZE_RANGE` if it can not give as much.
type Value = fn(&Inputs<'_>, Option<usize>) -> Result<Bytes>;

/// A derivation that makes any number of secret keys.
#[derive(Clone, Copy)]
pub struct Several {
    /// The template of each key, by the parameter and the template of the call.
    pub templates: fn(&Params, &Attributes) -> Result<Vec<Attributes>>,
    /// The value of each key, by the lengths that are wanted, and what goes to the places.
    pub compute: fn(&Inputs<'_>, &[Option<usize>]) -> Result<Computed>,
    /// Whether the first key is told beside the parameter.
    pub first_is_told: bool,
}

/// The values of the keys of a derivation, and what goes to the places of its parameter.
pub type Computed = (Vec<Bytes>, Vec<Gives>);

/// What goes to a place in a parameter.
pub enum Gives {
    /// Nothing.
    Nothing,
    /// The handle of a new key, by its place among them.
    Key(usize),
    /// Bytes.
    Bytes(Bytes),
}

/// The smallest block of a hash function, in bytes. HMAC uses the digest of a key that is longer.
pub const BLOCK: usize = 64;

/// How the attributes that protect a key come down to those that are made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heritage {
    /// The template chooses, as far as the keys that the parameter names let it.
    /// `CKA_ALWAYS_SENSITIVE` and `CKA_NEVER_EXTRACTABLE` remember all keys.
    Chosen,
    /// If one of the keys it is made of is sensitive, not extractable, private or only for trusted
    /// wrapping keys, so is the new one, whatever the template says ("miscellaneous simple key derivation mechanisms").
    Kept,
    /// [`Heritage::Kept`] if the base key is longer than [`BLOCK`], else [`Heritage::Chosen`]: for
    /// digests of keys, which serve HMAC in the place of so long a key.
    KeptIfLong,
    /// As with the base key; a template that says otherwise is refused ("TLS 1.2 mechanisms").
    Same,
}

impl Derivation {
    /// A secret key, as most mechanisms derive it.
    pub const fn secret(value: Value) -> Self {
        Self { makes: Makes::Secret(value), heritage: Heritage::Chosen }
    }

    /// A secret key that is the digest of another.
    pub const fn of_digest(value: Value) -> Self {
        Self { makes: Makes::Secret(value), heritage: Heritage::KeptIfLong }
    }

    /// Whether there is a key that is told beside the parameter.
    pub fn tells_key(&self) -> bool {
        match &self.makes {
            Makes::Several(several) => several.first_is_told,
            Makes::Secret(_) | Makes::Data(_) | Makes::Public(_) => true,
        }
    }
}

/// What a derivation starts from.
pub struct Inputs<'a> {
    /// The base key, ready to compute.
    pub key: &'a Key,
    /// Its attributes.
    pub attributes: &'a Attributes,
    /// The parameter.
    pub params: &'a Params,
    /// Finds another secret key that the parameter names by a number.
    pub other: &'a dyn Fn(u64) -> Result<Attributes>,
    /// Finds another mechanism that the parameter names, if it may be used.
    pub mechanism: &'a dyn Fn(MechanismType) -> Result<&'static Mechanism>,
}

impl Inputs<'_> {
    /// The value of the base key, which is a secret key, or a data object where the mechanism takes one.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTypeInconsistent`] if it is another.
    pub fn value(&self) -> Result<&[u8]> {
        if !matches!(self.key.class(), Class::SECRET_KEY | Class::DATA) {
            return Err(Error::KeyTypeInconsistent);
        }
        value_of(self.attributes)
    }
}

/// The value of a secret key.
pub(crate) fn value_of(key: &Attributes) -> Result<&[u8]> {
    key.get(attribute::VALUE).ok_or(Error::KeyTypeInconsistent)
}

/// Whether the value of a secret key may be read. If not, nothing else may tell it.
pub fn is_open(key: &Attributes) -> bool {
    !key.is(attribute::SENSITIVE) && key.is(attribute::EXTRACTABLE)
}

/// The least number of bytes that nobody guesses.
pub const LEAST: usize = 14;

/// Refuses to make so few bytes of a key that may not be read into another key that they can be
/// found by trying: by its digest, by what it signs or encrypts. A key that was not made here may
/// consist of bytes that the caller knows, all but a few, so it is not cut at all.
///
/// # Errors
///
/// [`Error::KeySizeRange`].
pub(crate) fn piece(key: &Attributes, bytes: usize) -> Result<()> {
    let whole = value_of(key)?.len();
    let enough = bytes >= LEAST && key.is(attribute::LOCAL);
    if is_open(key) || bytes == 0 || bytes >= whole || enough {
        return Ok(());
    }
    Err(Error::KeySizeRange.because(|| {
        format!(
            "{bytes} of {whole} bytes would tell of a key that may not be read: a piece has at \
             least {LEAST} bytes, of a key that was generated here"
        )
    }))
}

/// The first bytes of what was computed: all, or as many as are wanted.
pub(crate) fn leading(mut value: Bytes, wanted: Option<usize>) -> Result<Bytes> {
    match wanted {
        Some(wanted) if wanted > value.len() => Err(Error::KeySizeRange),
        Some(wanted) => {
            value.truncate(wanted);
            Ok(value)
        }
        None => Ok(value),
    }
}
