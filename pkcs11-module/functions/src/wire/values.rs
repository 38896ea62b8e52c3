//! The types that the table of functions names.

use strongroom_types::{
    AttributeInfo, Attributes, Bytes, Derived, Error, Kind, MechanismCall, MechanismInfo,
    MechanismType, ModuleInfo, ObjectHandle, Output, Param, Params, Placed, Result, Room,
    SessionHandle, SessionInfo, SessionState, SlotId, SlotInfo, Text, TokenInfo, UserType, Value,
};
use zeroize::Zeroizing;

use super::{Malformed, Reader, Taken, Wire, Writer};
use crate::frame::{Refusal, Terms, Welcome, Wish};
use crate::{Description, Direction, Facts, Found, MessageOutput, Operation};

/// Structures whose members follow one another.
macro_rules! members {
    ($($type:ident { $($member:tt),* $(,)? })*) => {$(
        impl<'f> Wire<'f> for $type {
            fn put(&self, out: &mut Writer) {
                $(self.$member.put(out);)*
            }

            fn take(from: &mut Reader<'f>) -> Taken<Self> {
                Ok(Self { $($member: Wire::take(from)?),* })
            }
        }
    )*};
}

members! {
    SlotId { 0 }
    SessionHandle { 0 }
    ObjectHandle { 0 }
    MechanismType { 0 }
    UserType { 0 }
    ModuleInfo { manufacturer, description, version }
    SlotInfo { description, manufacturer, flags, version }
    TokenInfo { label, manufacturer, model, serial, flags, sessions, rw_sessions, pin_len, version }
    MechanismInfo { min_key_size, max_key_size, flags }
    SessionInfo { slot, state, read_write }
    MechanismCall { mechanism, params }
    MessageOutput { output, placed }
    Derived { key, placed }
    Terms { secret, most, compatible }
    Facts { again, output_len, hash, passing, name }
    Found { objects, of, more }
    Description { fixed, changing, untold }
}

/// Enumerations: a byte that says which, and what belongs to it.
macro_rules! choices {
    ($($type:ident { $($tag:literal => $variant:ident$(($inner:ident))?),* $(,)? })*) => {$(
        impl<'f> Wire<'f> for $type {
            fn put(&self, out: &mut Writer) {
                match self {
                    $(Self::$variant$(($inner))? => {
                        out.add(&[$tag]);
                        $($inner.put(out);)?
                    })*
                }
            }

            fn take(from: &mut Reader<'f>) -> Taken<Self> {
                match from.byte()? {
                    $($tag => Ok(Self::$variant$(({
                        let $inner = from.deeper(Wire::take)?;
                        $inner
                    }))?),)*
                    _ => Err(Malformed),
                }
            }
        }
    )*};
}

choices! {
    Value { 1 => Bool(value), 2 => Ulong(value), 3 => Bytes(value), 4 => Ulongs(value), 5 => Attributes(value) }
    Param {
        1 => Bool(value), 2 => Ulong(value), 3 => Bytes(value), 4 => Structure(value),
        5 => Structures(value), 6 => Template(value), 7 => Place(value),
    }
    Placed { 0 => Nothing, 1 => Handle(value), 2 => Bytes(value) }
    Room { 0 => Query, 1 => Bytes(value) }
    Output { 0 => Needs(value), 1 => Bytes(value) }
    Wish { 0 => Found(value), 1 => Join(value) }
    Welcome { 0 => Served(value), 1 => Refused(value) }
    Refusal { 1 => Version, 2 => User, 3 => Full, 4 => Application, 5 => Store }
    Direction { 1 => Encrypt, 2 => Decrypt }
    Operation { 1 => Encrypt, 2 => Decrypt, 3 => Digest, 4 => Sign, 5 => Verify }
    SessionState {
        0 => ReadOnlyPublic, 1 => ReadOnlyUser, 2 => ReadWritePublic, 3 => ReadWriteUser,
        4 => ReadWriteSecurityOfficer,
    }
}

impl<'f> Wire<'f> for () {
    fn put(&self, _: &mut Writer) {}

    fn take(_: &mut Reader<'f>) -> Taken<Self> {
        Ok(())
    }
}

impl<'f> Wire<'f> for bool {
    fn put(&self, out: &mut Writer) {
        out.add(&[u8::from(*self)]);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl<'f> Wire<'f> for u8 {
    fn put(&self, out: &mut Writer) {
        out.add(&[*self]);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        from.byte()
    }
}

/// Numbers, the low byte first.
macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl<'f> Wire<'f> for $type {
            fn put(&self, out: &mut Writer) {
                out.add(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'f>) -> Taken<Self> {
                from.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

numbers! { u16 u32 u64 }

/// The most attributes of a template, values of a parameter, and attributes that are asked for: in memory
/// each takes many times the two bytes that it can have in a frame, and each that is asked for has its
/// value in the answer, however often it comes.
const MOST_VALUES: usize = 4096;

/// A number of values that follow.
fn values(from: &mut Reader<'_>, least: usize) -> Taken<usize> {
    let count = from.count(least)?;
    if count <= MOST_VALUES { Ok(count) } else { Err(Malformed) }
}

/// The most that a number of things or bytes to be made can be: more is written as this.
const MOST: usize = 1 << 30;

impl<'f> Wire<'f> for usize {
    fn put(&self, out: &mut Writer) {
        u64::try_from((*self).min(MOST)).unwrap_or_default().put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        let number = Self::try_from(u64::take(from)?).map_err(|_| Malformed)?;
        if number <= MOST { Ok(number) } else { Err(Malformed) }
    }
}

impl<'f> Wire<'f> for &'f [u8] {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        out.add(self);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        let len = from.count(1)?;
        from.bytes(len)
    }
}

impl<'f> Wire<'f> for Bytes {
    fn put(&self, out: &mut Writer) {
        self.as_slice().put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        <&[u8]>::take(from).map(|bytes| Zeroizing::new(bytes.to_vec()))
    }
}

impl<'f, const N: usize> Wire<'f> for [u8; N] {
    fn put(&self, out: &mut Writer) {
        out.add(self);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        from.array()
    }
}

impl<'f, const N: usize> Wire<'f> for &'f [u8; N] {
    fn put(&self, out: &mut Writer) {
        out.add(*self);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        from.bytes(N)?.try_into().map_err(|_| Malformed)
    }
}

impl<'f> Wire<'f> for &'f [u64] {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        self.iter().for_each(|number| number.put(out));
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        let list = (0..values(from, 8)?).map(|_| u64::take(from)).collect::<Taken<_>>()?;
        from.keep(list)
    }
}

impl<'f> Wire<'f> for String {
    fn put(&self, out: &mut Writer) {
        self.as_bytes().put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        let bytes = <&[u8]>::take(from)?;
        core::str::from_utf8(bytes).map(Self::from).map_err(|_| Malformed)
    }
}

impl<'f> Wire<'f> for Text {
    fn put(&self, out: &mut Writer) {
        self.as_bytes().put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        String::take(from).map(Self::Owned)
    }
}

impl<'f, T: Wire<'f>> Wire<'f> for Option<T> {
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<'f, T: Wire<'f>> Wire<'f> for Vec<T> {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        self.iter().for_each(|item| item.put(out));
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        (0..from.count(1)?).map(|_| T::take(from)).collect()
    }
}

impl<'f, A: Wire<'f>, B: Wire<'f>> Wire<'f> for (A, B) {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<'f> Wire<'f> for Error {
    fn put(&self, out: &mut Writer) {
        self.rv().put(out);
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        Self::from_rv(u64::take(from)?).ok_or(Malformed)
    }
}

impl<'f, T: Wire<'f>> Wire<'f> for Result<T> {
    fn put(&self, out: &mut Writer) {
        self.is_err().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        if bool::take(from)? { Error::take(from).map(Err) } else { T::take(from).map(Ok) }
    }
}

impl<'f> Wire<'f> for Params {
    fn put(&self, out: &mut Writer) {
        out.count(self.as_slice().len());
        self.as_slice().iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        (0..values(from, 2)?).map(|_| Param::take(from)).collect()
    }
}

impl<'f> Wire<'f> for Attributes {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        for (id, value) in self.iter() {
            id.put(out);
            value.put(out);
        }
    }

    /// Strict, because nobody behind this asks again: attributes in the order of their numbers,
    /// each once, and with a value of its kind.
    fn take(from: &mut Reader<'f>) -> Taken<Self> {
        let mut all = Vec::new();
        for _ in 0..values(from, 10)? {
            let (id, value) = <(u64, Value)>::take(from)?;
            let in_order = all.last().is_none_or(|(last, _)| *last < id);
            if !in_order || !may_be(id, &value) {
                return Err(Malformed);
            }
            all.push((id, value));
        }
        Ok(Self::last_of(all))
    }
}

/// Whether this can be the value of an attribute, as the C interface would read it.
fn may_be(id: u64, value: &Value) -> bool {
    let kind = AttributeInfo::find(id).map_or(Kind::Bytes, |info| info.kind);
    let whole_date = match value {
        Value::Bytes(bytes) if kind == Kind::Date => matches!(bytes.len(), 0 | 8),
        _ => true,
    };
    u32::try_from(id).is_ok() && value.is(kind) && whole_date
}
