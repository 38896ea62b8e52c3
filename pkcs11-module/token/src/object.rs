//! An object: its attributes, and the key that they become.

use std::sync::{Arc, OnceLock};

use strongroom_functions::Description;
use strongroom_keystore::{ObjectId, OwnTerm, Term};
use strongroom_mechanisms::Key;
use strongroom_types::rule::Flags;
use strongroom_types::{AttributeInfo, Attributes, Bytes, Class, Error, Result, Value, attribute};

use crate::memory::{Held, Memory, OBJECT};
use crate::rules::{Rules, hidden};

/// An object as it is at one moment. It does not change: a changed object is a new one.
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) attributes: Arc<Attributes>,
    /// The keystore's revision of the record; 0 for session objects.
    pub(crate) revision: u64,
    /// What its twins have in common: the key is parsed once.
    parsed: Arc<OnceLock<Key>>,
    key: OnceLock<Arc<Key>>,
    /// Whether it is a key, and its `CKA_PRIVATE` and `CKA_ALWAYS_AUTHENTICATE`, which every use of
    /// it asks for.
    is_key: bool,
    private: bool,
    authenticates: bool,
    /// The memory of one that is kept, where that is counted; a twin has the same.
    held: Option<Arc<Held>>,
}

impl Object {
    /// A new object with an identifier of its own.
    pub(crate) fn new(attributes: Attributes) -> Result<Self> {
        let mut id = ObjectId::default();
        strongroom_mechanisms::random(&mut id)?;
        Ok(Self::named(id, attributes))
    }

    /// A new object with an identifier that nothing else has.
    pub(crate) fn named(id: ObjectId, mut attributes: Attributes) -> Self {
        attributes.set(attribute::UNIQUE_ID, unique_id(&id).as_bytes());
        Self::stored(id, 0, attributes)
    }

    /// An object as the keystore gave it.
    pub(crate) fn stored(id: ObjectId, revision: u64, attributes: Attributes) -> Self {
        let is_key = attributes.has(attribute::KEY_TYPE.info);
        let private = attributes.is(attribute::PRIVATE);
        let authenticates = attributes.is(attribute::ALWAYS_AUTHENTICATE);
        let (attributes, parsed, key) = (Arc::new(attributes), Arc::default(), OnceLock::new());
        let held = None;
        Self { id, attributes, revision, parsed, key, is_key, private, authenticates, held }
    }

    /// The same object for somebody who uses it often. Each share of an object or a key is counted where
    /// all who have one count theirs, and processors that write to one place wait for each other: a twin
    /// is another place.
    pub(crate) fn twin(&self) -> Self {
        let Self { id, revision, is_key, private, authenticates, .. } = *self;
        let (attributes, parsed) = (Arc::clone(&self.attributes), Arc::clone(&self.parsed));
        let (key, held) = (OnceLock::new(), self.held.clone());
        Self { id, attributes, revision, parsed, key, is_key, private, authenticates, held }
    }

    /// The same object, which is to be kept: its memory counts.
    pub(crate) fn held(self, memory: &Memory) -> Result<Self> {
        if !memory.is_counted() {
            return Ok(self);
        }
        let held = Some(Arc::new(memory.hold(self.size())?));
        Ok(Self { held, ..self })
    }

    /// Whether its memory counts.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// About how many bytes of memory it takes, with its key when that is parsed.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.size();
        let key = if self.is_key { attributes } else { 0 };
        attributes.saturating_add(key).saturating_add(OBJECT)
    }

    /// Whether only the user may see it.
    pub(crate) fn private(&self) -> bool {
        self.private
    }

    /// Whether each use of it wants a login of its own.
    pub(crate) fn authenticates(&self) -> bool {
        self.authenticates
    }

    /// Whether it is a key.
    pub(crate) fn is_key(&self) -> bool {
        self.is_key
    }

    /// The key, parsed at its first use.
    pub(crate) fn key(&self) -> Result<Arc<Key>> {
        if let Some(key) = self.key.get() {
            return Ok(Arc::clone(key));
        }
        let key = match self.parsed.get() {
            Some(key) => key.clone(),
            None => {
                let key = Key::parse(&self.attributes)?;
                self.parsed.get_or_init(|| key).clone()
            }
        };
        Ok(Arc::clone(self.key.get_or_init(|| Arc::new(key))))
    }

    /// Whether it has all the values of a search template. A value that may not leave the token
    /// matches nothing: else a search would tell it bit by bit.
    pub(crate) fn matches(&self, template: &Attributes) -> bool {
        let Ok(rules) = Rules::of_object(&self.attributes) else { return false };
        template.iter().all(|(id, wanted)| {
            // Hidden values first: not even the time of a comparison may tell of them.
            rules.find(id).is_some_and(|rule| !hidden(&self.attributes, rule))
                && self.attributes.value(id) == Some(wanted)
        })
    }

    /// An attribute, as the application may read it.
    pub(crate) fn reveal(&self, id: u64) -> Result<&Value> {
        let rules = Rules::of_object(&self.attributes)?;
        let rule = rules.find(id).ok_or(Error::AttributeTypeInvalid)?;
        if hidden(&self.attributes, rule) {
            return Err(Error::AttributeSensitive);
        }
        self.attributes.value(id).ok_or(Error::AttributeTypeInvalid)
    }

    /// What may be read of it, but for the values of keys and of private objects, whoever may read
    /// them, and for what is long. Programs keep passwords in private objects.
    pub(crate) fn describe(&self) -> Result<Description> {
        let rules = Rules::of_object(&self.attributes)?;
        let modifiable = self.attributes.is(attribute::MODIFIABLE);
        let (mut fixed, mut changing, mut untold) = (Vec::new(), Vec::new(), Vec::new());
        for rule in rules.iter() {
            let id = rule.attribute.id;
            // A key type's rule goes before the class's for the same attribute.
            if !rules.find(id).is_some_and(|first| core::ptr::eq(first, rule)) {
                continue;
            }
            let may_change = modifiable && CHANGING.iter().any(|of| rule.flags.has(*of));
            match self.attributes.value(id) {
                _ if rule.flags.has(Flags::SECRET) => untold.push(id),
                _ if self.private && id == attribute::VALUE.info.id => untold.push(id),
                Some(value) if value.stored().len() > LONG => untold.push(id),
                Some(value) if may_change => changing.push((id, value.clone())),
                Some(value) => fixed.push((id, value.clone())),
                None => {}
            }
        }
        let [fixed, changing] = [fixed, changing].map(Attributes::last_of);
        Ok(Description { fixed, changing, untold })
    }
}

/// Whether these are the attributes of a secret key.
pub(crate) fn is_secret_key(attributes: &Attributes) -> bool {
    attributes.get(attribute::CLASS) == Some(Class::SECRET_KEY.0)
}

/// The footnotes of attributes that may change.
const CHANGING: &[Flags] = &[Flags::MODIFIABLE, Flags::MAY_BE_EMPTIED];

/// The length of a value that is not told before it is asked for: certificates are shorter.
const LONG: usize = 4096;

/// `CKA_UNIQUE_ID` of an object: its identifier in the keystore, in hexadecimal.
fn unique_id(id: &ObjectId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The identifier that [`unique_id`] tells.
pub(crate) fn object_id(unique_id: &[u8]) -> Option<ObjectId> {
    let mut id = ObjectId::default();
    let (pairs, rest) = unique_id.as_chunks::<2>();
    if pairs.len() != id.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

/// The attributes that the keystore can find objects by, the most selective first. Whatever else
/// a search template names is compared after an object has been read.
pub(crate) static TERMS: &[&AttributeInfo] = &[
    attribute::UNIQUE_ID.info,
    attribute::PUBLIC_KEY_INFO.info,
    attribute::ID.info,
    attribute::SERIAL_NUMBER.info,
    attribute::LABEL.info,
    attribute::OBJECT_ID.info,
    attribute::SUBJECT.info,
    attribute::ISSUER.info,
    attribute::APPLICATION.info,
    attribute::KEY_TYPE.info,
    attribute::CLASS.info,
];

/// The values of the [`TERMS`] that are among some attributes.
pub(crate) struct Terms(Vec<(u32, Bytes)>);

impl Terms {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        Self(
            TERMS
                .iter()
                .filter_map(|info| {
                    let name = u32::try_from(info.id).ok()?;
                    Some((name, attributes.value(info.id)?.stored()))
                })
                .collect(),
        )
    }

    pub(crate) fn as_terms(&self) -> Vec<Term<'_>> {
        self.0.iter().map(|(name, value)| Term { name: *name, value }).collect()
    }
}

/// What an object is found by, from its body as the keystore has it: for who has the keystore seal it
/// under new keys. Nothing if it is no such body.
#[must_use]
pub fn found_by(body: &[u8]) -> Option<Vec<OwnTerm>> {
    Some(Terms::of(&Attributes::decode(body)?).0)
}

#[cfg(test)]
mod tests {
    use strongroom_types::KeyType;

    use super::*;

    #[test]
    fn twins_parse_their_key_once_and_count_its_shares_apart() {
        let mut attributes = Attributes::default();
        attributes.set(attribute::CLASS, Class::SECRET_KEY.0);
        attributes.set(attribute::KEY_TYPE, KeyType::GENERIC_SECRET.0);
        attributes.set(attribute::VALUE, [7; 16].as_slice());
        let object = Object::stored([1; 16], 3, attributes);
        let twin = object.twin();
        let key = twin.key().unwrap();
        assert!(object.parsed.get().is_some(), "the other has it as well");
        assert!(!Arc::ptr_eq(&key, &object.key().unwrap()));
        assert!(Arc::ptr_eq(&key, &twin.key().unwrap()));
        assert_eq!((twin.id, twin.revision, twin.is_key()), ([1; 16], 3, true));
    }
}
