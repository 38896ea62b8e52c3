//! The bytes of SoftHSM2's object files, and of the compound values in its databases.
//!
//! A file is a generation, then attributes up to its end; numbers have eight bytes, the first one
//! the highest. An attribute is its type, the kind of its value, and the value:
//!
//! | kind | value |
//! |---|---|
//! | 1 | a truth value: a byte, 00 or FF |
//! | 2 | a number |
//! | 3 | bytes: their length, then they |
//! | 4 | attributes: their length in bytes, then they, none of them of kind 4 |
//! | 5 | mechanisms: how many, then their numbers |
//!
//! In a database an attribute has a row of its own, and only the values of kinds 4 and 5 are put
//! together from several: in the byte order of the machine, with kinds of four bytes, truth values
//! 00 or 01, and the lengths of mechanisms in bytes.

use strongroom_types::{Attributes, Bytes, Value};

/// What is wrong with bytes that should have been attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Nothing was written: a process died before.
    Empty,
    /// They end in the middle.
    Cut,
    /// An attribute is of a kind that does not exist.
    Kind(u64),
    /// A truth value is neither true nor false.
    Bool(u8),
}

type Result<T> = core::result::Result<T, Damage>;

impl From<Damage> for String {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Empty => Self::from("the file is empty: SoftHSM2 was stopped while it wrote"),
            Damage::Cut => Self::from("the file is cut: SoftHSM2 was stopped while it wrote"),
            Damage::Kind(kind) => format!("a value is of the unknown kind {kind}"),
            Damage::Bool(byte) => format!("a truth value is {byte:#04x}"),
        }
    }
}

/// Reads an object file.
pub(super) fn file(bytes: &[u8]) -> Result<Attributes> {
    if bytes.is_empty() {
        return Err(Damage::Empty);
    }
    let mut reader = Reader(bytes);
    let _generation = reader.number()?;
    reader.attributes(true)
}

/// Reads a list of mechanisms out of a database.
pub(super) fn mechanisms(bytes: &[u8]) -> Result<Vec<u64>> {
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(Damage::Cut);
    }
    Ok(numbers.iter().map(|number| u64::from_ne_bytes(*number)).collect())
}

/// Reads a template out of a database.
pub(super) fn template(bytes: &[u8]) -> Result<Attributes> {
    let mut reader = Reader(bytes);
    let mut all = Attributes::default();
    while !reader.0.is_empty() {
        let id = reader.native()?;
        let value = match u32::from_ne_bytes(reader.array()?) {
            1 => Value::Bool(truth(reader.byte()?, 1)?),
            2 => Value::Ulong(reader.native()?),
            3 => {
                let len = reader.native()?;
                Value::Bytes(Bytes::new(reader.take(len)?.to_vec()))
            }
            5 => {
                let len = reader.native()?;
                Value::Ulongs(mechanisms(reader.take(len)?)?)
            }
            kind => return Err(Damage::Kind(kind.into())),
        };
        all.put(id, value);
    }
    Ok(all)
}

/// The bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn attributes(&mut self, outer: bool) -> Result<Attributes> {
        let mut all = Attributes::default();
        while !self.0.is_empty() {
            let id = self.number()?;
            let value = match self.number()? {
                1 => Value::Bool(truth(self.byte()?, 0xff)?),
                2 => Value::Ulong(self.number()?),
                3 => {
                    let len = self.number()?;
                    Value::Bytes(Bytes::new(self.take(len)?.to_vec()))
                }
                4 if outer => {
                    let len = self.number()?;
                    Value::Attributes(Reader(self.take(len)?).attributes(false)?)
                }
                5 => Value::Ulongs(self.numbers()?),
                kind => return Err(Damage::Kind(kind)),
            };
            // The last one counts, as there.
            all.put(id, value);
        }
        Ok(all)
    }

    fn numbers(&mut self) -> Result<Vec<u64>> {
        let bytes = self.number()?.checked_mul(8).ok_or(Damage::Cut)?;
        let (numbers, _) = self.take(bytes)?.as_chunks();
        Ok(numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
    }

    fn number(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn native(&mut self) -> Result<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Damage::Cut)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| Damage::Cut)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Damage::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn truth(byte: u8, yes: u8) -> Result<bool> {
    match byte {
        0 => Ok(false),
        byte if byte == yes => Ok(true),
        byte => Err(Damage::Bool(byte)),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_types::attribute;

    use super::*;

    /// The inverse of [`file`].
    fn encode(attributes: &Attributes) -> Vec<u8> {
        let number = |value: usize| u64::try_from(value).unwrap().to_be_bytes();
        let mut out = Vec::new();
        for (id, value) in attributes.iter() {
            out.extend(id.to_be_bytes());
            let (kind, bytes) = match value {
                Value::Bool(value) => (1, vec![if *value { 0xff } else { 0 }]),
                Value::Ulong(value) => (2, value.to_be_bytes().to_vec()),
                Value::Bytes(bytes) => (3, [&number(bytes.len())[..], bytes].concat()),
                Value::Attributes(inner) => {
                    let inner = encode(inner);
                    (4, [&number(inner.len())[..], &inner].concat())
                }
                Value::Ulongs(list) => {
                    let list: Vec<u8> = list.iter().flat_map(|n| n.to_be_bytes()).collect();
                    (5, [&number(list.len() / 8)[..], &list].concat())
                }
            };
            out.extend(number(kind));
            out.extend(bytes);
        }
        out
    }

    fn object() -> Attributes {
        let mut inner = Attributes::default();
        inner.set(attribute::EXTRACTABLE, false);
        inner.set(attribute::LABEL, b"inner".as_slice());
        let mut all = Attributes::default();
        all.set(attribute::SIGN, true);
        all.set(attribute::KEY_TYPE, 3);
        all.set(attribute::LABEL, b"label".as_slice());
        all.set(attribute::ALLOWED_MECHANISMS, Value::Ulongs(vec![1, 0x1041]));
        all.set(attribute::WRAP_TEMPLATE, Value::Attributes(inner));
        all
    }

    fn bytes() -> Vec<u8> {
        [&7_u64.to_be_bytes()[..], &encode(&object())].concat()
    }

    #[test]
    fn a_file_is_read() {
        assert!(file(&bytes()).unwrap() == object());
        assert_eq!(file(&[]).err(), Some(Damage::Empty));
        assert!(file(&[0; 8]).unwrap().is_empty());
    }

    #[test]
    fn whatever_is_read_is_what_was_written() {
        let whole = bytes();
        for end in 1..whole.len() {
            match file(&whole[..end]) {
                Ok(part) => assert!(encode(&part) == whole[8..end]),
                Err(damage) => assert_eq!(damage, Damage::Cut),
            }
        }
        // Every byte, every value: an error, or attributes; never a panic, never too much memory.
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                if let Ok(read) = file(&changed) {
                    assert!(encode(&read).len() <= changed.len());
                }
                let _ = template(&changed);
            }
        }
    }

    #[test]
    fn a_template_holds_no_template() {
        let mut outer = Attributes::default();
        outer.set(attribute::UNWRAP_TEMPLATE, Value::Attributes(object()));
        let bytes = [&[0; 8][..], &encode(&outer)].concat();
        assert_eq!(file(&bytes).err(), Some(Damage::Kind(4)));
    }

    #[test]
    fn compound_values_of_a_database_are_read() {
        let list = [1_u64.to_ne_bytes(), 0x1041_u64.to_ne_bytes()].concat();
        assert_eq!(mechanisms(&list).unwrap(), [1, 0x1041]);
        assert_eq!(mechanisms(&list[1..]), Err(Damage::Cut));
        let mut bytes = Vec::new();
        bytes.extend(attribute::EXTRACTABLE.info.id.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.push(0);
        bytes.extend(attribute::LABEL.info.id.to_ne_bytes());
        bytes.extend(3_u32.to_ne_bytes());
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(b"inner");
        let read = template(&bytes).unwrap();
        assert_eq!(read.get(attribute::LABEL), Some(b"inner".as_slice()));
        assert_eq!(read.get(attribute::EXTRACTABLE), Some(false));
        for end in 1..bytes.len() {
            assert!(template(&bytes[..end]).is_err() || end == 13);
        }
    }
}
