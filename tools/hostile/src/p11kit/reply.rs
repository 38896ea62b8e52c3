//! Replies as a client of p11-kit reads them, beside what the application gave.

use core::cell::OnceCell;

use strongroom_functions::MessageOutput;
use strongroom_functions::wire::{Reader, Wire};
use strongroom_p11kit::{Form, form};
use strongroom_types::{
    Bytes, Derived, Error, MechanismCall, MechanismInfo, ModuleInfo, ObjectHandle, Output, Placed,
    Result, SessionHandle, SessionInfo, SlotId, SlotInfo, TokenInfo, Value, ck, graver, mechanism,
    padded,
};

use super::request::{ALIAS, ARGUMENTS, in_memory};
use super::{layouts, row};

/// A reply to a call says what the application answered.
pub(super) fn says(body: &[u8], version: u8, id: u32, call: &[u8], answer: &[u8]) {
    let told = &mut Left(body);
    let (of, signature) = (told.u32(), told.string().expect("a signature"));
    let items = told.items(str::from_utf8(signature).expect("a signature"));
    assert!(told.0.is_empty(), "something is left");
    match (of, given(version, id, call, answer)) {
        (0, Err(error)) => assert_eq!(items, [Item::Number(error.rv())]),
        (of, Ok(given)) => assert_eq!((of, items), (id, given)),
        (of, Err(error)) => panic!("{error:?} was answered by a reply to {of}"),
    }
}

/// What a reply is made of, by its signature.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Number(u64),
    Version((u8, u8)),
    Text(Vec<u8>),
    /// Bytes, or how many there are.
    Bytes(core::result::Result<Vec<u8>, usize>),
    /// Numbers, or how many there are.
    Numbers(core::result::Result<Vec<u64>, usize>),
    /// Attributes.
    Template(Vec<Told>),
    /// Whether a mechanism that can have a parameter had one.
    Parameter(Option<bool>),
}

/// An attribute: its length and its value as they lie in the memory of the client, if there is one to be had.
type Told = (u64, Option<(usize, Vec<u8>)>);

/// What is left of a reply.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at_checked(count).expect("as many bytes as it says");
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    /// What has two forms has no meaning twice.
    fn whether(&mut self) -> bool {
        let byte = self.byte();
        assert!(byte <= 1);
        byte == 1
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn count(&mut self) -> usize {
        usize::try_from(self.u32()).unwrap()
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        match self.u32() {
            u32::MAX => None,
            len => Some(self.take(usize::try_from(len).unwrap())),
        }
    }

    fn items(&mut self, mut signature: &str) -> Vec<Item> {
        let mut items = Vec::new();
        while !signature.is_empty() {
            let (part, rest) = signature.split_at(if signature.starts_with('a') { 2 } else { 1 });
            signature = rest;
            items.push(match part {
                "u" => Item::Number(self.u64()),
                "v" => Item::Version((self.byte(), self.byte())),
                "s" => Item::Text(self.string().expect("a text").to_vec()),
                "ay" if self.whether() => Item::Bytes(Ok(self.string().expect("bytes").to_vec())),
                "ay" => Item::Bytes(Err(self.count())),
                "au" if self.whether() => {
                    let count = self.count();
                    Item::Numbers(Ok((0..count).map(|_| self.u64()).collect()))
                }
                "au" => Item::Numbers(Err(self.count())),
                "aA" => Item::Template(self.template()),
                // Nothing, or a byte; a number follows.
                "P" => Item::Parameter((self.0.len() > 8).then(|| self.whether())),
                _ => panic!("there is no item {part}"),
            });
        }
        items
    }

    fn template(&mut self) -> Vec<Told> {
        let count = self.count();
        let attribute = |told: &mut Self| {
            let id = u64::from(told.u32());
            (id, told.whether().then(|| (told.count(), told.value(id))))
        };
        (0..count).map(|_| attribute(self)).collect()
    }

    fn value(&mut self, id: u64) -> Vec<u8> {
        match form(id) {
            Form::Byte => vec![self.byte()],
            Form::Number => self.u64().to_ne_bytes().to_vec(),
            Form::Numbers => {
                let count = self.count();
                (0..count).flat_map(|_| self.u64().to_ne_bytes()).collect()
            }
            Form::Template => {
                assert_eq!(self.template(), [], "there was no room");
                Vec::new()
            }
            Form::String => self.string().expect("a value, for which there was room").to_vec(),
        }
    }
}

/// What the application answers, as the items of a reply to this call.
fn given(version: u8, id: u32, call: &[u8], answer: &[u8]) -> Result<Vec<Item>> {
    use Item::{Number, Numbers, Text, Version};
    Ok(match row(call).expect("a function").reply.replace(' ', "").as_str() {
        "()" => take::<()>(answer).map(|()| vec![])?,
        "Vec<Placed>" => take::<Vec<Placed>>(answer).map(|_| vec![])?,
        "SlotId" | "SessionHandle" | "ObjectHandle" | "u64" => vec![Number(take(answer)?)],
        "(ObjectHandle,ObjectHandle)" => {
            let (public, private): (u64, u64) = take(answer)?;
            vec![Number(public), Number(private)]
        }
        "Bytes" => vec![Item::Bytes(Ok(take::<Bytes>(answer)?.to_vec()))],
        "Output" => vec![output(&take(answer)?)],
        "MessageOutput" => vec![output(&take::<MessageOutput>(answer)?.output)],
        "Vec<SlotId>" if asks_how_many(call) => {
            vec![Numbers(Err(take::<Vec<SlotId>>(answer)?.len()))]
        }
        "Vec<SlotId>" | "Vec<ObjectHandle>" => vec![Numbers(Ok(take(answer)?))],
        "Vec<MechanismType>" => {
            let mut all: Vec<u64> = take(answer)?;
            all.extend((version > 0 && all.contains(&mechanism!(CKM_EDDSA).0.0)).then_some(ALIAS));
            vec![Numbers(Ok(all))]
        }
        "Derived" => {
            let derived: Derived = take(answer)?;
            let key = Number(derived.key.map_or(0, |key| key.0));
            match id {
                62 => vec![key],
                _ => vec![Number(0), Item::Parameter(parameter(call)), key],
            }
        }
        "Vec<Result<Value>>" => attributes(&wanted(call), &take::<Vec<Result<Value>>>(answer)?)?,
        "ModuleInfo" => {
            let info: ModuleInfo = take(answer)?;
            vec![
                Version(if version == 0 { (2, 40) } else { (3, 0) }),
                Text(padded::<32>(&info.manufacturer).into()),
                Number(0),
                Text(padded::<32>(&info.description).into()),
                Version(info.version),
            ]
        }
        "SlotInfo" => {
            let info: SlotInfo = take(answer)?;
            vec![
                Text(padded::<64>(&info.description).into()),
                Text(padded::<32>(&info.manufacturer).into()),
                Number(info.flags),
                Version(info.version),
                Version(info.version),
            ]
        }
        "TokenInfo" => {
            let info: TokenInfo = take(answer)?;
            let (least, most) = info.pin_len;
            let texts = [
                info.label.to_vec(),
                padded::<32>(&info.manufacturer).into(),
                padded::<16>(&info.model).into(),
                info.serial.to_vec(),
            ];
            let unknown = u64::MAX;
            let numbers = [
                [info.flags, 0, info.sessions, 0, info.rw_sessions, most, least].as_slice(),
                &[unknown; 4],
            ]
            .concat();
            let mut items: Vec<_> = texts.into_iter().map(Text).collect();
            items.extend(numbers.into_iter().map(Number));
            items.extend([Version(info.version), Version(info.version), Text(vec![b' '; 16])]);
            items
        }
        "MechanismInfo" => {
            let info: MechanismInfo = take(answer)?;
            [info.min_key_size, info.max_key_size, info.flags].map(Number).into()
        }
        "SessionInfo" => {
            let info: SessionInfo = take(answer)?;
            let writes = if info.read_write { ck!(CKF_RW_SESSION) } else { 0 };
            let flags = ck!(CKF_SERIAL_SESSION) | writes;
            [info.slot.0, info.state.number(), flags, 0].map(Number).into()
        }
        kind => panic!("there is no reply of the type {kind}"),
    })
}

/// What an answer says; an answer that is none is a fault of ours.
fn take<T: for<'f> Wire<'f>>(answer: &[u8]) -> Result<T> {
    let list = OnceCell::new();
    let mut from = Reader::new(answer, &list);
    let outcome = Result::<T>::take(&mut from);
    let reason = |from: &mut Reader<'_>| from.rest().is_empty() || String::take(from).is_ok();
    match outcome {
        Ok(Err(error)) if reason(&mut from) && from.end().is_ok() => Err(error),
        Ok(Ok(value)) if from.end().is_ok() => Ok(value),
        _ => Err(Error::GeneralError),
    }
}

fn output(output: &Output) -> Item {
    Item::Bytes(match output {
        Output::Needs(len) => Err(*len),
        Output::Bytes(bytes) => Ok(bytes.to_vec()),
    })
}

/// The arguments of a call.
fn arguments<T: for<'f> Wire<'f>>(call: &[u8]) -> T {
    let list = OnceCell::new();
    T::take(&mut Reader::new(&call[ARGUMENTS..], &list)).unwrap()
}

/// Whether a caller wants to know how many slots there are.
fn asks_how_many(call: &[u8]) -> bool {
    let (_, refresh): (bool, bool) = arguments(call);
    refresh
}

/// Whether the mechanism of a derivation had a parameter, if it can have one.
fn parameter(call: &[u8]) -> Option<bool> {
    let (_, call): (SessionHandle, MechanismCall) = arguments(call);
    let can = layouts(call.mechanism).unwrap().iter().any(|layout| !layout.is_empty());
    can.then(|| !call.params.is_empty())
}

/// The attributes that wait for values.
fn wanted(call: &[u8]) -> Vec<u64> {
    let (_, (_, wanted)): (SessionHandle, (ObjectHandle, Vec<u64>)) = arguments(call);
    wanted
}

/// For each attribute its value, or that there is none to be had; and the outcome.
fn attributes(wanted: &[u64], values: &[Result<Value>]) -> Result<Vec<Item>> {
    if wanted.len() != values.len() {
        return Err(Error::GeneralError);
    }
    let mut outcome = Ok(());
    let mut all = Vec::new();
    for (id, value) in wanted.iter().zip(values) {
        let value = value.as_ref().map_err(|error| *error);
        let value = value.and_then(|value| travels(*id, value).ok_or(Error::AttributeTypeInvalid));
        outcome = graver(outcome, *id, value.as_ref().map(drop).map_err(|error| *error));
        all.push((*id, value.ok()));
    }
    let outcome = outcome.map_or_else(Error::rv, |()| ck!(CKR_OK));
    Ok(vec![Item::Template(all), Item::Number(outcome)])
}

/// The length of a value and the value, if it has the form of the attribute.
fn travels(id: u64, value: &Value) -> Option<(usize, Vec<u8>)> {
    match (form(id), value) {
        (Form::Byte, Value::Bool(_))
        | (Form::Number, Value::Ulong(_))
        | (Form::Numbers, Value::Ulongs(_))
        | (Form::String, Value::Bool(_) | Value::Ulong(_) | Value::Bytes(_)) => {
            let bytes = in_memory(value);
            Some((bytes.len(), bytes))
        }
        (Form::Template, Value::Attributes(inner)) => Some((24 * inner.len(), Vec::new())),
        _ => None,
    }
}
