//! Attributes: each travels in a form that both sides know from its number.

use strongroom_types::{
    AttributeInfo, Attributes, Bytes, Error, Kind, Result, Value, attribute, ck, graver,
};
use zeroize::Zeroizing;

use crate::bytes::{NULL, Reader, Writer, size};
use crate::request::{Argument, Fault, Request, Understood, Wire};

/// How a value travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One byte.
    Byte,
    /// A `CK_ULONG`, as 64 bits.
    Number,
    /// A template.
    Template,
    /// Mechanism types.
    Numbers,
    /// A byte string. What is not a string lies in it as in the client's memory.
    String,
}

macro_rules! forms {
    ($($form:ident: $($cka:ident)*;)*) => {
        /// The attributes that every generation of the client sends in a form of their own; all
        /// others are byte strings to it, whatever the standard says of them.
        static FORMS: &[(u64, Form)] = &[$($((ck!($cka), Form::$form),)*)*];
    };
}

forms! {
    Byte: CKA_TOKEN CKA_PRIVATE CKA_TRUSTED CKA_SENSITIVE CKA_ENCRYPT CKA_DECRYPT CKA_WRAP
        CKA_UNWRAP CKA_SIGN CKA_SIGN_RECOVER CKA_VERIFY CKA_VERIFY_RECOVER CKA_DERIVE
        CKA_EXTRACTABLE CKA_LOCAL CKA_NEVER_EXTRACTABLE CKA_ALWAYS_SENSITIVE CKA_MODIFIABLE
        CKA_COPYABLE CKA_SECONDARY_AUTH CKA_ALWAYS_AUTHENTICATE CKA_WRAP_WITH_TRUSTED
        CKA_RESET_ON_INIT CKA_HAS_RESET CKA_COLOR;
    Number: CKA_CLASS CKA_CERTIFICATE_TYPE CKA_CERTIFICATE_CATEGORY
        CKA_JAVA_MIDP_SECURITY_DOMAIN CKA_KEY_TYPE CKA_MODULUS_BITS CKA_PRIME_BITS
        CKA_SUB_PRIME_BITS CKA_VALUE_BITS CKA_VALUE_LEN CKA_KEY_GEN_MECHANISM CKA_AUTH_PIN_FLAGS
        CKA_HW_FEATURE_TYPE CKA_PIXEL_X CKA_PIXEL_Y CKA_RESOLUTION CKA_CHAR_ROWS
        CKA_CHAR_COLUMNS CKA_BITS_PER_PIXEL CKA_MECHANISM_TYPE;
    Template: CKA_WRAP_TEMPLATE CKA_UNWRAP_TEMPLATE CKA_DERIVE_TEMPLATE;
    Numbers: CKA_ALLOWED_MECHANISMS;
}

/// How the value of an attribute travels.
pub fn form(id: u64) -> Form {
    let known = FORMS.iter().find(|(known, _)| *known == id);
    known.map_or(Form::String, |(_, form)| *form)
}

fn kind(id: u64) -> Kind {
    // An attribute that nobody knows is for those to refuse who know the object.
    AttributeInfo::find(id).map_or(Kind::Bytes, |info| info.kind)
}

/// The sizes that the client's structures have where a `CK_ULONG` has 64 bits: the lengths that we
/// tell it are in its memory, not on the wire.
const WORD: usize = 8;
const ENTRY: usize = 24;
/// The length of a `CK_DATE`.
const DATE: usize = 8;
/// How deep templates that wait for values may lie in each other.
const DEEPEST: usize = 8;

/// A template.
impl Argument<'_> for Attributes {
    const SIGNATURE: &'static str = "aA";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let wire = request.wire;
        Ok(Self::collect(values(&mut request.body, wire, false)?)?)
    }
}

fn values(body: &mut Reader<'_>, wire: Wire<'_>, nested: bool) -> Understood<Vec<(u64, Value)>> {
    (0..counted(body, wire)?).map(|_| value(body, wire, nested)).collect()
}

/// A number of attributes: within the limit, and none that can not be there.
fn counted(body: &mut Reader<'_>, wire: Wire<'_>) -> Understood<usize> {
    let count = body.u32()?;
    if count > wire.limits.attributes {
        return Err(Error::ArgumentsBad.into());
    }
    let count = size(count)?;
    // Each has five bytes at least.
    if count > body.left() / 5 { Err(Fault::Malformed) } else { Ok(count) }
}

fn value(body: &mut Reader<'_>, wire: Wire<'_>, nested: bool) -> Understood<(u64, Value)> {
    let id = u64::from(body.u32()?);
    if body.byte()? == 0 {
        // The client has set its length to CK_UNAVAILABLE_INFORMATION.
        return Err(wrong(id));
    }
    let len = size(body.u32()?)?;
    let value = match form(id) {
        Form::Byte => {
            let byte = body.byte()?;
            fits(id, len == 1)?;
            of_memory(id, &[byte])?
        }
        Form::Number => {
            let number = body.u64()?;
            fits(id, is_word(len))?;
            match kind(id) {
                Kind::Ulong => Value::Ulong(number),
                _ => of_memory(id, &number.to_ne_bytes())?,
            }
        }
        Form::Numbers => {
            let count = counted_words(body)?;
            Value::Ulongs((0..count).map(|_| Ok(body.u64()?)).collect::<Understood<_>>()?)
        }
        // Section 4.1.3 gives no meaning to a template in a template in a template.
        Form::Template if nested => return Err(wrong(id)),
        Form::Template => Value::Attributes(Attributes::collect(values(body, wire, true)?)?),
        Form::String => {
            let bytes = body.string()?;
            fits(id, bytes.is_some() || len == 0)?;
            let bytes = bytes.unwrap_or_default();
            if bytes.len() != len {
                return Err(Fault::Malformed);
            }
            of_memory(id, bytes)?
        }
    };
    Ok((id, value))
}

/// Whether a `CK_ULONG` of some client can have this length.
fn is_word(len: usize) -> bool {
    len == WORD || len == WORD / 2
}

fn counted_words(body: &mut Reader<'_>) -> Understood<usize> {
    let count = size(body.u32()?)?;
    if count > body.left() / WORD { Err(Fault::Malformed) } else { Ok(count) }
}

/// A value as it lies in the client's memory.
fn of_memory(id: u64, bytes: &[u8]) -> Understood<Value> {
    Ok(match (kind(id), bytes) {
        (Kind::Bool, [byte]) => Value::Bool(*byte != 0),
        (Kind::Ulong, _) => Value::Ulong(number(bytes).ok_or_else(|| wrong(id))?),
        (Kind::Date, _) if matches!(bytes.len(), 0 | DATE) => bytes.into(),
        (Kind::Bytes, _) => bytes.into(),
        (empty @ (Kind::Ulongs | Kind::Attributes), []) => {
            Value::empty(empty).ok_or_else(|| wrong(id))?
        }
        // A template would be addresses in another process.
        _ => return Err(wrong(id)),
    })
}

/// A `CK_ULONG` in the client's memory: on this machine, so with this byte order.
fn number(bytes: &[u8]) -> Option<u64> {
    let long = bytes.try_into().map(u64::from_ne_bytes);
    long.or_else(|_| bytes.try_into().map(|short| u32::from_ne_bytes(short).into())).ok()
}

fn fits(id: u64, fine: bool) -> Understood<()> {
    if fine { Ok(()) } else { Err(wrong(id)) }
}

fn wrong(id: u64) -> Fault {
    let name = attribute::name(id);
    Error::AttributeValueInvalid
        .because(|| format!("{name} can not have the value that came"))
        .into()
}

/// A template that waits for values.
pub(crate) struct Wanted(Vec<Room>);

/// An attribute that waits for its value.
struct Room {
    id: u64,
    /// How many bytes there is room for in the client's memory; none if it asks for the length.
    bytes: usize,
    /// The same for the attributes of a template.
    inner: Vec<Room>,
}

impl Argument<'_> for Wanted {
    const SIGNATURE: &'static str = "fA";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let wire = request.wire;
        rooms(&mut request.body, wire, DEEPEST).map(Self)
    }
}

fn rooms(body: &mut Reader<'_>, wire: Wire<'_>, depth: usize) -> Understood<Vec<Room>> {
    let depth = depth.checked_sub(1).ok_or(Fault::Malformed)?;
    let count = counted(body, wire)?;
    (0..count).map(|_| room(body, wire, depth)).collect()
}

fn room(body: &mut Reader<'_>, wire: Wire<'_>, depth: usize) -> Understood<Room> {
    let (id, bytes) = (u64::from(body.u32()?), size(body.u32()?)?);
    let nests = wire.generation.nests_room && bytes > 0 && form(id) == Form::Template;
    let inner = if nests { rooms(body, wire, depth)? } else { Vec::new() };
    Ok(Room { id, bytes, inner })
}

impl Wanted {
    /// The attributes, in the client's order.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.0.iter().map(|room| room.id).collect()
    }

    /// Writes for each of them, in order, what there is: its value, its length, or that it is not to
    /// be had; and tells the outcome. The client would not take more or fewer.
    pub(crate) fn write(&self, values: &[Result<Value>], reply: &mut Writer) -> Result<Result<()>> {
        if values.len() != self.0.len() {
            return Err(Error::GeneralError);
        }
        reply.count(values.len());
        let mut outcome = Ok(());
        for (room, value) in self.0.iter().zip(values) {
            let written = value.as_ref().map_err(|error| *error);
            let written = written.and_then(|value| write(room, value, reply));
            if written.is_err() {
                unavailable(room.id, reply);
            }
            outcome = graver(outcome, room.id, written);
        }
        Ok(outcome)
    }
}

fn unavailable(id: u64, reply: &mut Writer) {
    number_of(id, reply);
    reply.byte(0);
}

fn number_of(id: u64, reply: &mut Writer) {
    // It came with 32 bits.
    reply.u32(u32::try_from(id).unwrap_or(NULL));
}

/// Writes a value, or its length where the client has no room; too little room is an error, and
/// nothing is written.
fn write(room: &Room, value: &Value, reply: &mut Writer) -> Result<()> {
    let len = length(value);
    if room.bytes > 0 && room.bytes < len {
        return Err(Error::BufferTooSmall);
    }
    let form = form(room.id);
    let fits = match form {
        Form::Byte => matches!(value, Value::Bool(_)),
        Form::Number => matches!(value, Value::Ulong(_)),
        Form::Numbers => matches!(value, Value::Ulongs(_)),
        Form::Template => matches!(value, Value::Attributes(_)),
        Form::String => matches!(value, Value::Bytes(_) | Value::Bool(_) | Value::Ulong(_)),
    };
    if !fits {
        // A template where the client takes a byte string: what it wants are addresses.
        return Err(Error::AttributeTypeInvalid);
    }
    number_of(room.id, reply);
    reply.byte(1);
    reply.count(len);
    let there = room.bytes > 0;
    match (form, value) {
        (Form::Byte, Value::Bool(value)) => reply.byte(u8::from(there && *value)),
        (Form::Number, Value::Ulong(value)) => reply.u64(if there { *value } else { 0 }),
        (_, Value::Ulongs(numbers)) => {
            let numbers = if there { numbers.as_slice() } else { &[] };
            reply.count(numbers.len());
            numbers.iter().for_each(|number| reply.u64(*number));
        }
        (_, Value::Attributes(inner)) => write_inner(room, inner, reply),
        _ if !there => reply.u32(NULL),
        _ => reply.string(&in_memory(value)),
    }
    Ok(())
}

/// The second level: numbers and lengths, or values where there is room.
fn write_inner(room: &Room, inner: &Attributes, reply: &mut Writer) {
    reply.count(if room.bytes > 0 { inner.len() } else { 0 });
    if room.bytes == 0 {
        return;
    }
    for (index, (id, value)) in inner.iter().enumerate() {
        let bytes = room.inner.get(index).map_or(0, |room| room.bytes);
        let room = Room { id, bytes, inner: Vec::new() };
        if write(&room, value, reply).is_err() {
            unavailable(id, reply);
        }
    }
}

/// How many bytes a value has in the client's memory.
fn length(value: &Value) -> usize {
    match value {
        Value::Bool(_) => 1,
        Value::Ulong(_) => WORD,
        Value::Bytes(bytes) => bytes.len(),
        Value::Ulongs(numbers) => WORD.saturating_mul(numbers.len()),
        Value::Attributes(inner) => ENTRY.saturating_mul(inner.len()),
    }
}

/// The bytes that a value has there.
fn in_memory(value: &Value) -> Bytes {
    match value {
        Value::Ulong(number) => Zeroizing::new(number.to_ne_bytes().to_vec()),
        _ => value.stored(),
    }
}
