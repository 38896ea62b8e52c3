//! Requests as a client of p11-kit writes them, of requests of our own wire.

use core::cell::OnceCell;

use strongroom_functions::Row;
use strongroom_functions::wire::{Reader, Taken, Wire};
use strongroom_p11kit::{CALLS, Call, Form, form};
use strongroom_types::{
    Attributes, Field, MechanismCall, MechanismType, Param, Params, Room, Value, ck,
};

use super::{BODY, layouts, row};

/// Where the arguments begin in a request of our wire: behind the number, and whether reasons are wanted.
pub(super) const ARGUMENTS: usize = 3;
/// Room for every value, but for templates, whose attributes would have rooms too.
const ROOM: u32 = 1 << 20;
/// The length of a pointer that is null.
const NULL: u32 = u32::MAX;
/// The most attributes of a template, and the most objects that are found. No list is longer.
const MOST_ATTRIBUTES: usize = 4096;
const MOST_FOUND: usize = 1 << 16;
/// What IBM calls Ed25519.
pub(super) const ALIAS: u64 = 0x8001_001C;

/// The stream of a client that makes a call.
pub(super) fn stream(version: u8, body: &[u8]) -> Vec<u8> {
    let mut greeting = Writer::default();
    greeting.u32(1);
    greeting.string(b"ayyay");
    greeting.bytes(Some(b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"));
    greeting.byte(0);
    greeting.bytes(Some(&[0]));
    let mut stream = Writer(vec![version]);
    for body in [&greeting.0, body] {
        stream.u32(0x10);
        // No options, whose length is before that of the body.
        stream.u32(0);
        stream.string(body);
    }
    stream.0
}

/// The bodies of the calls that are this request, with their numbers; none if clients of a version can not
/// say it.
pub(super) fn written(version: u8, request: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let row = row(request).expect("a function");
    let list = OnceCell::new();
    let arguments = arguments(row, &mut Reader::new(&request[ARGUMENTS..], &list));
    let Some(arguments) = arguments.expect("a request") else { return Vec::new() };
    // Some calls have a later form, with a number of its own.
    let named = |call: &&Call| call.name.strip_suffix('2').unwrap_or(call.name) == row.name;
    let body = |call: &Call| {
        assert_eq!(call.request.len(), arguments.len(), "{}", call.name);
        let mut body = Writer::default();
        body.u32(call.id);
        body.string(call.request.concat().as_bytes());
        for (argument, part) in arguments.iter().zip(call.request) {
            assert_eq!(argument.signature().replace('z', part), *part, "{}", call.name);
            body.argument(version, argument)?;
        }
        (body.0.len() <= usize::try_from(BODY).unwrap()).then_some((call.id, body.0))
    };
    CALLS.iter().filter(named).filter_map(body).collect()
}

/// An argument.
#[derive(Clone)]
enum Argument {
    Number(u64),
    Mechanism(MechanismType),
    Byte(bool),
    Bytes(Option<Vec<u8>>),
    Label([u8; 32]),
    Room(Room),
    /// A number of bytes or objects, which is no argument of the client's.
    Count(usize),
    /// Room for so many numbers; none asks how many there are.
    Places(usize),
    Template(Attributes),
    /// Attributes that wait for their values.
    Wanted(Vec<u64>),
    Call(Option<MechanismCall>),
    /// A mechanism whose parameter comes with each message.
    OfMessages(Option<MechanismCall>),
}

impl Argument {
    fn signature(&self) -> &'static str {
        match self {
            Self::Number(_) | Self::Mechanism(_) => "u",
            Self::Byte(_) => "y",
            Self::Bytes(_) => "ay",
            Self::Label(_) => "z",
            Self::Room(_) => "fy",
            Self::Places(_) => "fu",
            Self::Template(_) => "aA",
            Self::Wanted(_) => "fA",
            Self::Call(_) | Self::OfMessages(_) => "M",
            Self::Count(_) => "",
        }
    }
}

/// What the client would have as arguments; none if there is something that it can not say.
fn arguments(row: &Row, request: &mut Reader<'_>) -> Taken<Option<Vec<Argument>>> {
    use Argument::{Byte, Bytes, Call, Count, Number, OfMessages, Places};
    let mut all = Vec::new();
    for (_, kind) in row.arguments {
        if !take(kind, request, &mut all)? {
            return Ok(None);
        }
    }
    request.end()?;
    Ok(Some(match (row.name, &all[..]) {
        ("C_GetSlotList", [present, Byte(refresh)]) => {
            vec![present.clone(), Places(if *refresh { 0 } else { MOST_FOUND })]
        }
        ("C_GetMechanismList", [slot]) => vec![slot.clone(), Places(MOST_FOUND)],
        ("C_WaitForSlotEvent", [Byte(block)]) => {
            vec![Number(if *block { 0 } else { ck!(CKF_DONT_BLOCK) })]
        }
        ("C_OpenSession", [slot, Byte(writes)]) => {
            let writes = if *writes { ck!(CKF_RW_SESSION) } else { 0 };
            vec![slot.clone(), Number(ck!(CKF_SERIAL_SESSION) | writes)]
        }
        ("C_FindObjects", [session, Count(most)]) if *most <= MOST_FOUND => {
            vec![session.clone(), Places(*most)]
        }
        ("C_GenerateRandom", [session, Count(len)]) if *len <= usize::try_from(BODY).unwrap() => {
            vec![session.clone(), Argument::Room(Room::Bytes(*len))]
        }
        ("C_FindObjects" | "C_GenerateRandom", _) => return Ok(None),
        // The client always has a place for the key.
        ("C_DeriveKey", [before @ .., Byte(true)]) => before.to_vec(),
        ("C_DeriveKey", _) => return Ok(None),
        ("C_MessageEncryptInit" | "C_MessageDecryptInit", [session, Call(call), key]) => {
            vec![session.clone(), OfMessages(call.clone()), key.clone()]
        }
        ("C_EncryptMessageNext" | "C_DecryptMessageNext", [before @ .., Byte(last), room]) => {
            let flags = if *last { ck!(CKF_END_OF_MESSAGE) } else { 0 };
            [before, &[room.clone(), Number(flags)]].concat()
        }
        (
            "C_SignMessage"
            | "C_SignMessageBegin"
            | "C_SignMessageNext"
            | "C_VerifyMessage"
            | "C_VerifyMessageBegin"
            | "C_VerifyMessageNext",
            [session, after @ ..],
        ) => [&[session.clone(), Bytes(None)], after].concat(),
        _ => all,
    }))
}

/// Reads an argument of a type; false if none of its values travels that way.
fn take(kind: &str, request: &mut Reader<'_>, all: &mut Vec<Argument>) -> Taken<bool> {
    // A compiler may write it with spaces.
    let argument = match kind.replace(' ', "").as_str() {
        "SlotId" | "SessionHandle" | "ObjectHandle" | "UserType" | "u64" => {
            Argument::Number(Wire::take(request)?)
        }
        "MechanismType" => Argument::Mechanism(Wire::take(request)?),
        "bool" => Argument::Byte(Wire::take(request)?),
        "usize" => Argument::Count(Wire::take(request)?),
        "&[u8]" => Argument::Bytes(Some(<&[u8]>::take(request)?.to_vec())),
        "Option<&[u8]>" => {
            let bytes: Option<&[u8]> = Wire::take(request)?;
            Argument::Bytes(bytes.map(<[u8]>::to_vec))
        }
        "&[u8;32]" => Argument::Label(Wire::take(request)?),
        "&[u64]" => Argument::Wanted(Wire::take(request)?),
        "Room" => Argument::Room(Wire::take(request)?),
        // There is room with the last part.
        "Option<Room>" => {
            let room: Option<Room> = Wire::take(request)?;
            all.push(Argument::Byte(room.is_some()));
            Argument::Room(room.unwrap_or(Room::Query))
        }
        "Attributes" => Argument::Template(Wire::take(request)?),
        "MechanismCall" => Argument::Call(Some(Wire::take(request)?)),
        "Option<MechanismCall>" => Argument::Call(Wire::take(request)?),
        // The parameter of a message, of which none travels.
        "Params" => {
            let params: Params = Wire::take(request)?;
            if !params.is_empty() {
                return Ok(false);
            }
            Argument::Bytes(None)
        }
        _ => panic!("there is no argument of the type {kind}"),
    };
    all.push(argument);
    Ok(true)
}

/// Bytes that a client writes.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap());
    }

    fn string(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Bytes, or a null pointer.
    fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.byte(1);
        match bytes {
            Some(bytes) => self.string(bytes),
            None => self.u32(NULL),
        }
    }

    /// An argument; none if a client of this version can not say it.
    fn argument(&mut self, version: u8, argument: &Argument) -> Option<()> {
        match argument {
            Argument::Number(number) => self.u64(*number),
            Argument::Mechanism(mechanism) if is_alias(version, *mechanism) => return None,
            Argument::Mechanism(mechanism) => self.u64(mechanism.0),
            Argument::Byte(byte) => self.byte(u8::from(*byte)),
            Argument::Bytes(bytes) => self.bytes(bytes.as_deref()),
            Argument::Label(label) => self.string(label),
            Argument::Room(Room::Query) => self.u32(0),
            Argument::Room(Room::Bytes(0)) => self.u32(NULL),
            Argument::Room(Room::Bytes(len)) | Argument::Places(len) => self.count(*len),
            Argument::Template(template) => self.template(template, false)?,
            Argument::Wanted(wanted) => self.wanted(wanted)?,
            Argument::Call(None) | Argument::OfMessages(None) => self.u32(NULL),
            Argument::Call(Some(call)) => self.call(version, call, false)?,
            Argument::OfMessages(Some(call)) => self.call(version, call, true)?,
            Argument::Count(_) => panic!("no argument of the client's"),
        }
        Some(())
    }

    /// A template, which may be in another one.
    fn template(&mut self, template: &Attributes, nested: bool) -> Option<()> {
        if template.len() > MOST_ATTRIBUTES {
            return None;
        }
        self.count(template.len());
        for (id, value) in template.iter() {
            self.u32(u32::try_from(id).ok()?);
            self.byte(1);
            match (form(id), value) {
                (Form::Template, Value::Attributes(_)) if nested => return None,
                (Form::Template, Value::Attributes(inner)) => {
                    self.count(24 * inner.len());
                    self.template(inner, true)?;
                }
                (Form::Numbers, Value::Ulongs(numbers)) => {
                    self.count(8 * numbers.len());
                    self.count(numbers.len());
                    numbers.iter().for_each(|number| self.u64(*number));
                }
                (Form::String, Value::Ulongs(numbers)) if !numbers.is_empty() => return None,
                (Form::String, Value::Attributes(inner)) if !inner.is_empty() => return None,
                (form, value) => self.simple(form, &in_memory(value))?,
            }
        }
        Some(())
    }

    /// A value that has these bytes in the memory of the client.
    fn simple(&mut self, form: Form, bytes: &[u8]) -> Option<()> {
        self.count(bytes.len());
        match (form, bytes) {
            (Form::Byte, [byte]) => self.byte(*byte),
            (Form::Number, bytes) => self.u64(u64::from_ne_bytes(bytes.try_into().ok()?)),
            (Form::String, bytes) => self.string(bytes),
            _ => return None,
        }
        Some(())
    }

    /// Attributes with room for their values.
    fn wanted(&mut self, wanted: &[u64]) -> Option<()> {
        if wanted.len() > MOST_ATTRIBUTES {
            return None;
        }
        self.count(wanted.len());
        for id in wanted {
            self.u32(u32::try_from(*id).ok()?);
            self.u32(if form(*id) == Form::Template { 0 } else { ROOM });
        }
        Some(())
    }

    /// A mechanism, with its parameter unless that comes with the messages.
    fn call(&mut self, version: u8, call: &MechanismCall, of_messages: bool) -> Option<()> {
        let number = u32::try_from(call.mechanism.0).ok().filter(|number| *number != NULL)?;
        let layouts = layouts(call.mechanism)?;
        if is_alias(version, call.mechanism) {
            return None;
        }
        self.u32(number);
        let says_whether = version >= 2;
        let mut layout = layouts.iter().filter(|layout| !layout.is_empty());
        let Some(layout) = layout.next() else {
            if !says_whether {
                self.u32(NULL);
            }
            return call.params.is_empty().then_some(());
        };
        if call.params.is_empty() {
            let may_be = of_messages || layouts.iter().any(|layout| layout.is_empty());
            self.byte(0);
            return (says_whether && may_be).then_some(());
        }
        let params = call.params.as_slice();
        if says_whether {
            self.byte(1);
        }
        (!of_messages && params.len() == layout.len()).then_some(())?;
        layout.iter().zip(params).try_for_each(|(field, param)| self.member(*field, param))
    }

    /// A member of a parameter.
    fn member(&mut self, field: Field, param: &Param) -> Option<()> {
        match (field, param) {
            (Field::Bool, Param::Bool(value)) => self.byte(u8::from(*value)),
            (Field::Ulong, Param::Ulong(number)) => self.u64(*number),
            (Field::PtrLen | Field::LenPtr | Field::Whole, Param::Bytes(bytes)) => {
                self.string(bytes);
            }
            (Field::Fixed(len), Param::Bytes(bytes)) if bytes.len() == len => self.string(bytes),
            _ => return None,
        }
        Some(())
    }
}

/// Whether a number means another mechanism to clients of a version.
fn is_alias(version: u8, mechanism: MechanismType) -> bool {
    version >= 1 && mechanism.0 == ALIAS
}

/// A value as it lies in the memory of a client; of a template there is nothing, for that has addresses.
pub(super) fn in_memory(value: &Value) -> Vec<u8> {
    match value {
        Value::Bool(value) => vec![u8::from(*value)],
        Value::Ulong(number) => number.to_ne_bytes().to_vec(),
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Ulongs(numbers) => numbers.iter().flat_map(|number| number.to_ne_bytes()).collect(),
        Value::Attributes(_) => Vec::new(),
    }
}
