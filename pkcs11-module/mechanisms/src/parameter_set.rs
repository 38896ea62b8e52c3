//! Key pairs that are told apart by a parameter set, `CKA_PARAMETER_SET`, and whose keys are byte
//! strings: ML-DSA, ML-KEM and SLH-DSA (PKCS#11 3.2, the sections of these names; RFC 9881, RFC
//! 9935 and RFC 9909 for the structures).

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use strongroom_types::rule::Default::Absent;
use strongroom_types::rule::Rule;
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, Params, Result, attribute, rules,
};

use crate::plain_key::{self, Structure, encode, octets};
use crate::{KeyTypeRow, Mechanism, Parsed, public_key_info};

/// A parameter set of a key type: how the standards know it, and what computes with its keys.
pub(crate) struct ParameterSet<P: 'static> {
    /// The `CKP_` number.
    number: u64,
    /// The object identifier of its keys.
    identifier: ObjectIdentifier,
    /// What computes.
    primitive: &'static P,
}

impl<P> ParameterSet<P> {
    /// A row of [`Primitive::SETS`].
    pub(crate) const fn new(number: u64, identifier: &str, primitive: &'static P) -> Self {
        Self { number, identifier: ObjectIdentifier::new_unwrap(identifier), primitive }
    }
}

/// What computes with the keys of a parameter set.
pub(crate) trait Primitive: Send + Sync + Sized + 'static {
    /// The parameter sets of the key type.
    const SETS: &'static [ParameterSet<Self>];
    /// Whether a private key keeps the seed that it is made of, as `CKA_SEED`.
    const KEEPS_SEED: bool;
    /// The length of a public key in bytes, which mechanisms report as the size of a key.
    fn public_len(&self) -> usize;
    /// The length of a seed in bytes.
    fn seed_len(&self) -> usize;
    /// The public key and the private key of a seed that has the right length.
    fn expand(&self, seed: &[u8]) -> Result<(Vec<u8>, Bytes)>;
    /// The public key of a private one whose parts belong together.
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>>;
    /// Whether a public key of the right length can be one.
    fn check_public(&self, public: &[u8]) -> Result<()>;
}

/// A public key ready to compute.
pub(crate) struct Public<P: 'static> {
    pub(crate) primitive: &'static P,
    pub(crate) value: Vec<u8>,
}

/// A private key ready to compute.
pub(crate) struct Private<P: 'static> {
    pub(crate) primitive: &'static P,
    pub(crate) value: Bytes,
}

/// A row for such a key type, whose material is a [`Public`] or a [`Private`].
pub(crate) const fn key_type<P: Primitive>(
    id: KeyType,
    name: &'static str,
    public: &'static [Rule],
    private: &'static [Rule],
) -> KeyTypeRow {
    KeyTypeRow {
        id,
        name,
        public: Some(public),
        private: Some(private),
        complete: complete::<P>,
        parse: parse::<P>,
        to_pkcs8: Some(to_pkcs8::<P>),
        from_pkcs8: Some(from_pkcs8::<P>),
        to_public: Some(to_public::<P>),
        ..KeyTypeRow::NONE
    }
}

/// Makes of a row one that generates such pairs.
pub(crate) const fn generator<P: Primitive>(row: Mechanism) -> Mechanism {
    Mechanism { generate_pair: Some(generate::<P>), ..row }
}

/// The public key objects.
pub(crate) static PUBLIC: &[Rule] = rules! {
    PARAMETER_SET: Absent, NEEDED_BY_CREATE, NEEDED_BY_GENERATE;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE;
};

/// The private key objects that keep a seed. One of seed and value is enough to create them.
pub(crate) static SEEDED: &[Rule] = rules! {
    PARAMETER_SET: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    SEED: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    VALUE: Absent, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
};

/// The private key objects that keep none.
pub(crate) static UNSEEDED: &[Rule] = rules! {
    PARAMETER_SET: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP;
    VALUE: Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
};

/// The parameter set that the template of a key names.
fn set_of<P: Primitive>(key: &Attributes) -> Result<&'static ParameterSet<P>> {
    let number = key.need(attribute::PARAMETER_SET)?;
    let set = P::SETS.iter().find(|set| set.number == number);
    set.ok_or_else(|| {
        Error::ParameterSetNotSupported
            .since("CKA_PARAMETER_SET is none that keys of this type have here")
    })
}

fn complete<P: Primitive>(key: &mut Attributes) -> Result<()> {
    let set = set_of::<P>(key)?;
    let public = match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => checked(set, key.need(attribute::VALUE)?)?.to_vec(),
        Some(Class::PRIVATE_KEY) => {
            add_value(set, key)?;
            set.primitive.public_key(key.need(attribute::VALUE)?)?
        }
        _ => return Err(Error::TemplateInconsistent),
    };
    public_key_info::set(key, &plain_key::to_spki(set.identifier, &public)?)
}

/// Why bytes are no key.
pub(crate) const OTHER_LEN: &str = "CKA_VALUE has not the length that its CKA_PARAMETER_SET has";
pub(crate) const NO_KEY: &str = "CKA_VALUE is no key of its CKA_PARAMETER_SET";

/// A public key that can be one.
fn checked<'a, P: Primitive>(set: &ParameterSet<P>, value: &'a [u8]) -> Result<&'a [u8]> {
    if value.len() != set.primitive.public_len() {
        return Err(Error::AttributeValueInvalid.since(OTHER_LEN));
    }
    set.primitive.check_public(value)?;
    Ok(value)
}

/// Adds the value that follows from the seed, if there is one. A value that is there already must
/// be the same.
fn add_value<P: Primitive>(set: &ParameterSet<P>, key: &mut Attributes) -> Result<()> {
    // An empty seed is one that is not there.
    let Some(seed) = key.get(attribute::SEED).filter(|seed| !seed.is_empty()) else {
        key.remove(attribute::SEED.info);
        return Ok(());
    };
    if seed.len() != set.primitive.seed_len() {
        return Err(Error::AttributeValueInvalid
            .since("CKA_SEED has not the length that its CKA_PARAMETER_SET has"));
    }
    let (_, value) = set.primitive.expand(seed)?;
    match key.get(attribute::VALUE).filter(|given| !given.is_empty()) {
        Some(given) if !strongroom_awslc::equal(given, &value) => {
            Err(Error::TemplateInconsistent.since("CKA_VALUE does not follow from CKA_SEED"))
        }
        _ => {
            key.set(attribute::VALUE, value);
            Ok(())
        }
    }
}

fn parse<P: Primitive>(key: &Attributes) -> Result<Parsed> {
    let set = set_of::<P>(key)?;
    let size = u64::try_from(set.primitive.public_len()).map_err(|_| Error::KeySizeRange)?;
    let value = key.need(attribute::VALUE)?.to_vec();
    match key.get(attribute::CLASS).map(Class) {
        Some(Class::PUBLIC_KEY) => {
            Ok(Parsed::new(size, Public { primitive: set.primitive, value }))
        }
        Some(Class::PRIVATE_KEY) => {
            Ok(Parsed::new(size, Private { primitive: set.primitive, value: Bytes::new(value) }))
        }
        _ => Err(Error::KeyTypeInconsistent),
    }
}

fn generate<P: Primitive>(
    _: &Params,
    public: &mut Attributes,
    private: &mut Attributes,
) -> Result<()> {
    let set = set_of::<P>(public)?;
    let mut seed = Bytes::new(vec![0; set.primitive.seed_len()]);
    crate::random(&mut seed)?;
    let (public_value, value) = set.primitive.expand(&seed)?;
    public.set(attribute::VALUE, public_value.as_slice());
    private.set(attribute::PARAMETER_SET, set.number);
    private.set(attribute::VALUE, value);
    if P::KEEPS_SEED {
        private.set(attribute::SEED, seed);
    }
    Ok(())
}

fn to_public<P: Primitive>(private: &Attributes) -> Result<Attributes> {
    let set = set_of::<P>(private)?;
    let mut public = Attributes::default();
    public.set(attribute::PARAMETER_SET, set.number);
    let value = set.primitive.public_key(private.need(attribute::VALUE)?)?;
    public.set(attribute::VALUE, value.as_slice());
    Ok(public)
}

/// The seed if there is one, as the two RFCs recommend: the value follows from it.
fn to_pkcs8<P: Primitive>(key: &Attributes) -> Result<Bytes> {
    let set = set_of::<P>(key)?;
    let value = key.need(attribute::VALUE)?;
    let choice = match key.get(attribute::SEED) {
        _ if !P::KEEPS_SEED => Bytes::new(value.to_vec()),
        Some(seed) => encode(&AnyRef::new(SEED, seed).map_err(|_| Error::KeyNotWrappable)?)?,
        None => encode(&octets(value)?)?,
    };
    plain_key::to_pkcs8(set.identifier, &choice)
}

/// The choice `seed [0] OCTET STRING`, implicitly tagged.
const SEED: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };

fn from_pkcs8<P: Primitive>(der: &[u8], key: &mut Attributes) -> Result<()> {
    let (identifier, Structure { private, public, .. }) =
        Structure::read_plain(der).map_err(|_| Error::WrappedKeyInvalid)?;
    let set = P::SETS.iter().find(|set| set.identifier == identifier);
    let set = set.ok_or(Error::WrappedKeyInvalid)?;
    key.set(attribute::PARAMETER_SET, set.number);
    match P::KEEPS_SEED {
        true => set_choice(private, key).map_err(|_| Error::WrappedKeyInvalid)?,
        false => key.set(attribute::VALUE, private),
    }
    // What comes from outside is checked here, where a fault is one of the wrapped key.
    add_value(set, key).map_err(|_| Error::WrappedKeyInvalid)?;
    let value = key.get(attribute::VALUE).ok_or(Error::WrappedKeyInvalid)?;
    let computed = set.primitive.public_key(value).map_err(|_| Error::WrappedKeyInvalid)?;
    match public {
        Some(public) if public != computed => Err(Error::WrappedKeyInvalid),
        _ => Ok(()),
    }
}

/// Reads the choice of seed, expanded key and both.
fn set_choice(private: &[u8], key: &mut Attributes) -> der::Result<()> {
    let choice = AnyRef::from_der(private)?;
    match choice.tag() {
        SEED => key.set(attribute::SEED, choice.value()),
        Tag::OctetString => key.set(attribute::VALUE, choice.value()),
        Tag::Sequence => {
            let mut both = SliceReader::new(choice.value())?;
            key.set(attribute::SEED, <&OctetStringRef>::decode(&mut both)?.as_bytes());
            key.set(attribute::VALUE, <&OctetStringRef>::decode(&mut both)?.as_bytes());
            both.finish()?;
        }
        tag => return Err(tag.value_error().into()),
    }
    Ok(())
}
