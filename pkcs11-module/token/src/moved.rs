//! Objects that move here from another token, with the history that they had there.
//!
//! No function of the standard can do this: `C_CreateObject` and `C_UnwrapKey` make keys whose
//! past is unknown. The rules and the checks are those of `C_CreateObject` otherwise, and a key is
//! made ready to compute once, so what is damaged stays outside.

use core::fmt;

use strongroom_keystore::{KeyPolicy, ObjectId, Token as Stored, Unlocked};
use strongroom_types::{AttributeInfo, Attributes, Class, Error, KeyType, Value, attribute};

use crate::object::Object;
use crate::rules::{OBJECT_CLASSES, Rules};
use crate::template::{Author, Draft, Origin};
use crate::token::create;

/// An object of another token, as it will be here.
pub struct Moved {
    object: Object,
    left_out: Vec<u64>,
}

/// Why an object can not be had here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are no objects of this class.
    Class(u64),
    /// There are no keys of this type and class.
    KeyType(u64),
    /// Its attributes, or the numbers of the key, are not in order.
    Object(Error),
}

/// What follows from other attributes, and is computed anew.
const COMPUTED: &[&AttributeInfo] = &[
    attribute::MODULUS_BITS.info,
    attribute::VALUE_LEN.info,
    attribute::CHECK_VALUE.info,
    attribute::UNIQUE_ID.info,
];

/// What follows from the rest of a key. For certificates, the owner says it.
const COMPUTED_FOR_KEYS: &[&AttributeInfo] = &[attribute::PUBLIC_KEY_INFO.info];

impl Moved {
    /// Checks and completes an object. Its identifier is its name for ever, so an object that is
    /// moved twice is the same object. What was trusted stays so if the security officer moves it
    /// (`officer`), and if it was a private object: others could be written by anybody.
    ///
    /// # Errors
    ///
    /// Why it can not be had.
    pub fn new(id: ObjectId, attributes: &Attributes, officer: bool) -> Result<Self, Refusal> {
        let rules = rules(attributes)?;
        // Domain parameters have the type of their keys, and are none.
        let is_key = attributes.has(attribute::KEY_TYPE.info)
            && attributes.get(attribute::CLASS) != Some(Class::DOMAIN_PARAMETERS.0);
        let mut kept = Attributes::default();
        let mut left_out = Vec::new();
        let trusted = officer && attributes.is(attribute::PRIVATE);
        for (id, value) in attributes.iter() {
            if id == attribute::TRUSTED.info.id && !trusted && !says_nothing(value) {
                left_out.push(id);
                continue;
            }
            let computed = |list: &[&AttributeInfo]| list.iter().any(|info| info.id == id);
            if computed(COMPUTED) || (is_key && computed(COMPUTED_FOR_KEYS)) {
                continue;
            }
            match rules.find(id) {
                Some(_) => kept.put(id, value.clone()),
                None if says_nothing(value) => {}
                None => left_out.push(id),
            }
        }
        kept.set(attribute::TOKEN, true);
        // The keys of others are not let into strict tokens at all.
        let author =
            Author { security_officer: true, compatible: false, policy: KeyPolicy::Standard };
        let draft = Draft::new(kept, Origin::Elsewhere, None, None, author);
        let attributes = draft.and_then(Draft::finish).map_err(Refusal::Object)?;
        let object = Object::named(id, attributes);
        if is_key {
            object.key().map_err(Refusal::Object)?;
        }
        Ok(Self { object, left_out })
    }

    /// Its identifier.
    pub fn id(&self) -> ObjectId {
        self.object.id
    }

    /// Its attributes, as they will be here.
    pub fn attributes(&self) -> &Attributes {
        &self.object.attributes
    }

    /// The attributes that objects of this kind do not have here, by number.
    pub fn left_out(&self) -> &[u64] {
        &self.left_out
    }
}

/// Adds objects to a token in one durable step, all of them or none.
///
/// # Errors
///
/// Those of [`Stored::commit`].
pub fn settle(
    token: &Stored,
    keys: &Unlocked,
    objects: &[Moved],
) -> strongroom_keystore::Result<()> {
    let objects: Vec<_> = objects.iter().map(|moved| &moved.object).collect();
    create(token, Some(keys), &objects)
}

fn rules(attributes: &Attributes) -> Result<Rules, Refusal> {
    let class = attributes.get(attribute::CLASS).ok_or(Refusal::Object(Error::DeviceError))?;
    if OBJECT_CLASSES.iter().all(|row| row.class.0 != class) {
        return Err(Refusal::Class(class));
    }
    let key_type = attributes.get(attribute::KEY_TYPE);
    Rules::of(Class(class), key_type.map(KeyType)).map_err(|error| match key_type {
        Some(key_type) => Refusal::KeyType(key_type),
        None => Refusal::Object(error),
    })
}

/// Whether an attribute may be forgotten without loss.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Ulong(_) => false,
        Value::Bytes(value) => value.is_empty(),
        Value::Ulongs(values) => values.is_empty(),
        Value::Attributes(values) => values.is_empty(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Class(class) => match Class(class).name() {
                Some(name) => write!(f, "objects of class {name} are not supported"),
                None => write!(f, "objects of class {class:#x} are not supported"),
            },
            Self::KeyType(key_type) => match KeyType(key_type).name() {
                Some(name) => write!(f, "such keys of type {name} are not supported"),
                None => write!(f, "keys of type {key_type:#x} are not supported"),
            },
            Self::Object(error) => write!(f, "its content is not in order: {}", error.name()),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn aes(len: usize) -> Attributes {
        let mut key = Attributes::default();
        key.set(attribute::CLASS, Class::SECRET_KEY.0);
        key.set(attribute::KEY_TYPE, KeyType::AES.0);
        key.set(attribute::VALUE, vec![7_u8; len].as_slice());
        key.set(attribute::SENSITIVE, true);
        key.set(attribute::LOCAL, true);
        key.set(attribute::ALWAYS_SENSITIVE, true);
        key.set(attribute::NEVER_EXTRACTABLE, true);
        key.set(attribute::KEY_GEN_MECHANISM, 0x1080);
        key
    }

    #[test]
    fn the_history_of_a_key_moves_with_it() {
        let moved = Moved::new([3; 16], &aes(32), true).unwrap();
        let key = moved.attributes();
        assert!(key.is(attribute::LOCAL) && key.is(attribute::ALWAYS_SENSITIVE));
        assert!(key.is(attribute::NEVER_EXTRACTABLE) && key.is(attribute::TOKEN));
        assert_eq!(key.get(attribute::KEY_GEN_MECHANISM), Some(0x1080));
        assert_eq!(key.get(attribute::VALUE_LEN), Some(32));
        assert_eq!(moved.id(), [3; 16]);
    }

    #[test]
    fn a_history_that_contradicts_the_key_does_not() {
        let mut key = aes(16);
        key.set(attribute::SENSITIVE, false);
        key.set(attribute::EXTRACTABLE, true);
        let moved = Moved::new([3; 16], &key, true).unwrap();
        assert!(!moved.attributes().is(attribute::ALWAYS_SENSITIVE));
        assert!(!moved.attributes().is(attribute::NEVER_EXTRACTABLE));
    }

    #[test]
    fn what_can_not_be_had_is_named() {
        let refusal = |key: &Attributes| Moved::new([0; 16], key, true).err();
        assert_eq!(refusal(&aes(17)), Some(Refusal::Object(Error::AttributeValueInvalid)));
        let mut key = aes(16);
        key.set(attribute::KEY_TYPE, 0x7fff_ffff);
        assert_eq!(refusal(&key), Some(Refusal::KeyType(0x7fff_ffff)));
        key.set(attribute::CLASS, 0x7fff_ffff);
        assert_eq!(refusal(&key), Some(Refusal::Class(0x7fff_ffff)));
    }

    #[test]
    fn what_has_no_place_is_listed_if_it_says_something() {
        let mut key = aes(16);
        key.put(0x8000_0001, Value::Bool(false));
        key.put(0x8000_0002, Value::Bool(true));
        assert_eq!(Moved::new([0; 16], &key, true).unwrap().left_out(), [0x8000_0002]);
    }
}
