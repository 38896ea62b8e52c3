//! Values of attributes, and the attributes of an object.

use core::mem;

use zeroize::{Zeroizing, optimization_barrier};

use crate::attribute::{self, Attribute, Info, Kind, kind};
use crate::{Error, Result};

/// Bytes that may be secret: wiped when dropped, never printed.
pub type Bytes = Zeroizing<Vec<u8>>;

/// Drops bytes that may be many. They are wiped as they are when just dropped, the capacity that
/// they do not fill included, but at the speed of memory: `Zeroizing` goes byte by byte.
pub fn wipe(mut bytes: Bytes) {
    let mut bytes = mem::take(&mut *bytes);
    bytes.clear();
    bytes.resize(bytes.capacity(), 0);
    // Whatever is written before may be read here, as far as the compiler knows: so it is written.
    optimization_barrier(bytes.as_slice());
}

/// The value of an attribute, free of the widths and byte orders of the machine.
///
/// It has no `Debug`: it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Of an attribute of [`Kind::Bool`].
    Bool(bool),
    /// Of an attribute of [`Kind::Ulong`].
    Ulong(u64),
    /// Of an attribute of [`Kind::Bytes`] or [`Kind::Date`], or of one that is not known.
    Bytes(Bytes),
    /// Of an attribute of [`Kind::Ulongs`].
    Ulongs(Vec<u64>),
    /// Of an attribute of [`Kind::Attributes`].
    Attributes(Attributes),
}

impl Value {
    /// Whether it can be the value of an attribute of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        match self {
            Self::Bool(_) => kind == Kind::Bool,
            Self::Ulong(_) => kind == Kind::Ulong,
            Self::Bytes(_) => matches!(kind, Kind::Bytes | Kind::Date),
            Self::Ulongs(_) => kind == Kind::Ulongs,
            Self::Attributes(_) => kind == Kind::Attributes,
        }
    }

    /// The value that is empty, of a kind that can be.
    pub fn empty(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Bytes | Kind::Date => Some(Self::Bytes(Bytes::default())),
            Kind::Ulongs => Some(Self::Ulongs(Vec::new())),
            Kind::Attributes => Some(Self::Attributes(Attributes::default())),
            Kind::Bool | Kind::Ulong => None,
        }
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        let held = match self {
            Self::Bool(_) | Self::Ulong(_) => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Ulongs(numbers) => size_of_val(numbers.as_slice()),
            Self::Attributes(inner) => inner.size(),
        };
        held.saturating_add(size_of::<Self>())
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Bool(_) => 1,
            Self::Ulong(_) => 2,
            Self::Bytes(_) => 3,
            Self::Ulongs(_) => 4,
            Self::Attributes(_) => 5,
        }
    }

    /// The stored form of the value: a byte, or numbers of eight little-endian bytes each.
    pub fn stored(&self) -> Bytes {
        match self {
            Self::Bool(value) => Zeroizing::new(vec![u8::from(*value)]),
            Self::Ulong(value) => Zeroizing::new(value.to_le_bytes().to_vec()),
            Self::Bytes(value) => value.clone(),
            Self::Ulongs(values) => {
                Zeroizing::new(values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Self::Attributes(values) => values.encode(),
        }
    }

    fn restored(tag: u8, bytes: &[u8]) -> Option<Self> {
        Some(match (tag, bytes) {
            (1, [value @ (0 | 1)]) => Self::Bool(*value == 1),
            (2, _) => Self::Ulong(u64::from_le_bytes(bytes.try_into().ok()?)),
            (3, _) => Self::Bytes(Zeroizing::new(bytes.to_vec())),
            (4, _) => {
                let (numbers, rest) = bytes.as_chunks();
                if !rest.is_empty() {
                    return None;
                }
                Self::Ulongs(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
            }
            (5, _) => Self::Attributes(Attributes::decode(bytes)?),
            _ => return None,
        })
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Ulong(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Zeroizing::new(value.to_vec()))
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(value)
    }
}

/// How a kind of attribute is read and written in Rust.
pub trait Typed {
    /// What reading gives.
    type Read<'a>;
    /// Takes a value apart; `None` if it is of another kind.
    fn read(value: &Value) -> Option<Self::Read<'_>>;
}

macro_rules! typed {
    ($($kind:ident as $variant:ident => $read:ty, $value:ident: $give:expr;)*) => {$(
        impl Typed for kind::$kind {
            type Read<'a> = $read;
            fn read(value: &Value) -> Option<Self::Read<'_>> {
                match value {
                    Value::$variant($value) => Some($give),
                    _ => None,
                }
            }
        }
    )*};
}

typed! {
    Bool as Bool => bool, value: *value;
    Ulong as Ulong => u64, value: *value;
    Bytes as Bytes => &'a [u8], value: value;
    Date as Bytes => &'a [u8], value: value;
    Ulongs as Ulongs => &'a [u64], value: value;
    Attributes as Attributes => &'a Attributes, value: value;
}

/// A set of attribute values, sorted by attribute number; an object, or a template.
///
/// A template may name an attribute twice only if the values agree.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(u64, Value)>);

impl Attributes {
    /// The set of the values given.
    ///
    /// # Errors
    ///
    /// [`Error::TemplateInconsistent`] if an attribute comes twice with different values.
    pub fn collect(values: impl IntoIterator<Item = (u64, Value)>) -> Result<Self> {
        let mut all = Self::default();
        for (id, value) in values {
            match all.value(id) {
                None => all.put(id, value),
                Some(present) if *present == value => {}
                Some(_) => {
                    let twice = || format!("{} has two values", attribute::name(id));
                    return Err(Error::TemplateInconsistent.because(twice));
                }
            }
        }
        Ok(all)
    }

    /// The set of the values given; of an attribute that comes twice, the last one.
    pub fn last_of(values: impl IntoIterator<Item = (u64, Value)>) -> Self {
        let mut all = Self::default();
        values.into_iter().for_each(|(id, value)| all.put(id, value));
        all
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes of memory they take.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(id, value)| size_of_val(id).saturating_add(value.size())).sum()
    }

    /// All of them, by attribute number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Value)> {
        self.0.iter().map(|(id, value)| (*id, value))
    }

    /// The value of an attribute by its number.
    pub fn value(&self, id: u64) -> Option<&Value> {
        let at = self.position(id).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Reads an attribute; `None` if it is not there.
    pub fn get<K: Typed>(&self, attribute: Attribute<K>) -> Option<K::Read<'_>> {
        self.value(attribute.info.id).and_then(K::read)
    }

    /// Reads a truth value; one that is not there is false.
    pub fn is(&self, attribute: Attribute<kind::Bool>) -> bool {
        self.get(attribute).unwrap_or(false)
    }

    /// Reads an attribute that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::TemplateIncomplete`] if it is not.
    pub fn need<K: Typed>(&self, attribute: Attribute<K>) -> Result<K::Read<'_>> {
        let missing = || format!("{} is missing", attribute.info.name);
        self.get(attribute).ok_or_else(|| Error::TemplateIncomplete.because(missing))
    }

    /// Whether the attribute is there.
    pub fn has(&self, info: &Info) -> bool {
        self.value(info.id).is_some()
    }

    /// Sets an attribute, replacing what was there.
    pub fn set<K>(&mut self, attribute: Attribute<K>, value: impl Into<Value>) {
        self.put(attribute.info.id, value.into());
    }

    /// Sets an attribute by its number, replacing what was there.
    pub fn put(&mut self, id: u64, value: Value) {
        match self.position(id) {
            Ok(at) => drop(self.0.splice(at..=at, [(id, value)])),
            Err(at) => self.0.insert(at, (id, value)),
        }
    }

    /// Takes an attribute out.
    pub fn remove(&mut self, info: &Info) -> Option<Value> {
        let at = self.position(info.id).ok()?;
        Some(self.0.remove(at).1)
    }

    fn position(&self, id: u64) -> core::result::Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The stored form: per attribute its number (`u32`), the kind of its value (`u8`), its length
    /// in bytes (`u32`) and its value, numbers little-endian. `keystore/FORMAT.md` says it too.
    pub fn encode(&self) -> Bytes {
        let stored: Vec<_> =
            self.iter().map(|(id, value)| (id, value.tag(), value.stored())).collect();
        // Reserved whole, because a vector that grows leaves copies of secrets behind.
        let size = stored.iter().map(|(_, _, value)| value.len() + 9).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        for (id, tag, value) in stored {
            // Numbers above 32 bits are refused where templates are parsed.
            out.extend(u32::try_from(id).unwrap_or(u32::MAX).to_le_bytes());
            out.push(tag);
            out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&value);
        }
        out
    }

    /// The inverse of [`encode`](Self::encode); `None` for anything that it did not make.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut all = Vec::new();
        while let Some((&head, rest)) = bytes.split_first_chunk::<9>() {
            let [a, b, c, d, tag, len @ ..] = head;
            let id = u64::from(u32::from_le_bytes([a, b, c, d]));
            let len = usize::try_from(u32::from_le_bytes(len)).ok()?;
            let (value, rest) = rest.split_at_checked(len)?;
            if all.last().is_some_and(|(last, _)| *last >= id) {
                return None;
            }
            all.push((id, Value::restored(tag, value)?));
            bytes = rest;
        }
        bytes.is_empty().then_some(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Attributes {
        let mut inner = Attributes::default();
        inner.set(attribute::EXTRACTABLE, false);
        let mut o = Attributes::default();
        o.set(attribute::SIGN, true);
        o.set(attribute::KEY_TYPE, 0x10);
        o.set(attribute::LABEL, b"k".as_slice());
        o.set(attribute::ALLOWED_MECHANISMS, Value::Ulongs(vec![1, u64::MAX]));
        o.set(attribute::WRAP_TEMPLATE, Value::Attributes(inner));
        o
    }

    #[test]
    fn typed_access() {
        let o = object();
        assert!(o.is(attribute::SIGN));
        assert_eq!(o.get(attribute::KEY_TYPE), Some(0x10));
        assert_eq!(o.get(attribute::LABEL), Some(b"k".as_slice()));
        assert_eq!(o.need(attribute::ID).err(), Some(Error::TemplateIncomplete));
    }

    #[test]
    fn a_size_counts_what_lies_within() {
        let (mut object, before) = (object(), object().size());
        object.set(attribute::ID, [7; 1000].as_slice());
        assert!((1000..1100).contains(&(object.size() - before)));
        let mut outer = Attributes::default();
        outer.set(attribute::WRAP_TEMPLATE, Value::Attributes(object.clone()));
        assert!(outer.size() > object.size());
    }

    #[test]
    fn stored_form_comes_back() {
        let bytes = object().encode();
        assert!(Attributes::decode(&bytes).unwrap() == object());
        for end in 1..bytes.len() {
            let cut = Attributes::decode(&bytes[..end]);
            assert!(cut.is_none_or(|cut| cut.encode()[..] == bytes[..end]));
        }
    }

    #[test]
    fn a_contradicting_template_is_refused() {
        let id = attribute::SIGN.info.id;
        assert!(Attributes::collect([(id, true.into()), (id, true.into())]).is_ok());
        let twice = Attributes::collect([(id, true.into()), (id, false.into())]);
        assert_eq!(twice.err(), Some(Error::TemplateInconsistent));
        let last = Attributes::last_of([(id, true.into()), (id, false.into())]);
        assert_eq!(last.get(attribute::SIGN), Some(false));
    }
}
