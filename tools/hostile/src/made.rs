//! Templates and parameters out of what a fuzzer makes up: mostly of the kinds that they should be of,
//! since what is of another kind is refused at once.

use arbitrary::{Result, Unstructured};
use strongroom_mechanisms::{KEY_TYPES, Policy};
use strongroom_types::attribute::ATTRIBUTES;
use strongroom_types::{
    AttributeInfo, Attributes, Bytes, Class, Field, Kind, Layout, MechanismType, Param, Params,
    Value, attribute, ck,
};

/// Curves as CKA_EC_PARAMS has them: P-256, P-384, Ed25519 and X25519 by their identifiers, one by its
/// name, and a number that is none.
const CURVES: &[&[u8]] = &[
    &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    &[6, 5, 0x2b, 0x81, 4, 0, 0x22],
    &[6, 3, 0x2b, 0x65, 0x70],
    &[6, 3, 0x2b, 0x65, 0x6e],
    b"\x13\x0cedwards25519",
    &[6, 3, 0x2b, 0x65, 0x7f],
];

/// The classes that templates can ask for, and two that they can not.
const CLASSES: [Class; 8] = [
    Class::SECRET_KEY,
    Class::PRIVATE_KEY,
    Class::PUBLIC_KEY,
    Class::DATA,
    Class::CERTIFICATE,
    Class::DOMAIN_PARAMETERS,
    Class::TRUST,
    Class::PROFILE,
];

/// Some bytes: as many as keys, blocks and nonces have, or any number of them.
pub(crate) fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    let len = match u.arbitrary::<u8>()? {
        len @ 0..=63 => usize::from(len),
        64..=127 => 16,
        128..=191 => 32,
        192..=223 => 12,
        _ => u.arbitrary_len::<u8>()?.min(1024),
    };
    let mut bytes = u.bytes(len.min(u.len()))?.to_vec();
    // The end of what was made up is no reason to have no key.
    bytes.resize(len, 0);
    Ok(Bytes::new(bytes))
}

/// A number: small, or any.
pub(crate) fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.arbitrary::<u8>()? {
        0 => u.arbitrary()?,
        1 => u64::MAX,
        2 => u64::from(u32::MAX),
        3 => 1 << 31,
        4..=31 => mechanism(u)?.0,
        small => u64::from(small) - 32,
    })
}

/// A mechanism, of those that there are.
pub(crate) fn mechanism(u: &mut Unstructured<'_>) -> Result<MechanismType> {
    let rows: Vec<_> = Policy::Legacy.mechanisms().map(|row| row.id).collect();
    Ok(*u.choose(&rows)?)
}

/// The type of a key.
fn key_type(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(u.choose(KEY_TYPES)?.id.0)
}

/// A template of any attributes.
pub(crate) fn template(u: &mut Unstructured<'_>) -> Result<Attributes> {
    let mut template = Attributes::default();
    change(u, &mut template, 2)?;
    Ok(template)
}

/// Sets attributes of a template to something else, or takes them out.
pub(crate) fn change(u: &mut Unstructured<'_>, all: &mut Attributes, deep: usize) -> Result<()> {
    for _ in 0..u.int_in_range(0..=7)? {
        let info = *u.choose(ATTRIBUTES)?;
        match u.arbitrary::<u8>()? {
            0 => all.put(number(u)?, value(u, info.id, info.kind, deep)?),
            1..=15 => drop(all.remove(info)),
            16..=20 => {
                let kind = u.choose(ATTRIBUTES)?.kind;
                all.put(info.id, value(u, info.id, kind, deep)?);
            }
            _ => all.put(info.id, value(u, info.id, info.kind, deep)?),
        }
    }
    // An object that can not be destroyed stays when the input is done with.
    if all.is(attribute::TOKEN) {
        all.remove(attribute::DESTROYABLE.info);
    }
    Ok(())
}

/// A value of a kind, and mostly one that the attribute can have.
fn value(u: &mut Unstructured<'_>, id: u64, kind: Kind, deep: usize) -> Result<Value> {
    Ok(match kind {
        Kind::Bool => Value::Bool(u.arbitrary()?),
        Kind::Ulong if id == attribute::CLASS.info.id => Value::Ulong(u.choose(&CLASSES)?.0),
        Kind::Ulong if id == attribute::KEY_TYPE.info.id => Value::Ulong(key_type(u)?),
        Kind::Ulong => Value::Ulong(number(u)?),
        Kind::Bytes if id == attribute::EC_PARAMS.info.id && u.arbitrary()? => {
            Value::from(*u.choose(CURVES)?)
        }
        Kind::Date if u.arbitrary()? => Value::from(b"20260101".as_slice()),
        Kind::Bytes | Kind::Date => Value::Bytes(bytes(u)?),
        Kind::Ulongs => {
            let count = u.int_in_range(0..=3)?;
            Value::Ulongs((0..count).map(|_| Ok(mechanism(u)?.0)).collect::<Result<_>>()?)
        }
        Kind::Attributes => {
            let mut inner = Attributes::default();
            if deep > 0 {
                change(u, &mut inner, deep - 1)?;
            }
            Value::Attributes(inner)
        }
    })
}

/// A template that makes something, unless it is changed.
pub(crate) fn whole(u: &mut Unstructured<'_>) -> Result<Attributes> {
    let mut all = Attributes::default();
    let class = *u.choose(&CLASSES[..6])?;
    all.set(attribute::CLASS, class.0);
    match class {
        Class::SECRET_KEY => {
            all.set(attribute::KEY_TYPE, key_type(u)?);
            all.set(attribute::VALUE, bytes(u)?);
        }
        Class::PRIVATE_KEY | Class::PUBLIC_KEY => {
            all.set(attribute::KEY_TYPE, key_type(u)?);
            all.set(attribute::EC_PARAMS, *u.choose(CURVES)?);
            let key =
                if class == Class::PUBLIC_KEY { attribute::EC_POINT } else { attribute::VALUE };
            all.set(key, bytes(u)?);
        }
        Class::CERTIFICATE => {
            all.set(attribute::CERTIFICATE_TYPE, ck!(CKC_X_509));
            all.set(attribute::SUBJECT, bytes(u)?);
            all.set(attribute::VALUE, bytes(u)?);
        }
        _ => all.set(attribute::VALUE, bytes(u)?),
    }
    Ok(all)
}

/// Of a template what is of its attributes' kinds: of a parameter nothing else comes as far as the wire.
fn of_their_kinds(template: &Attributes) -> Attributes {
    let mut kept = Attributes::default();
    for (id, value) in template.iter() {
        let fits = AttributeInfo::find(id).is_some_and(|info| match value {
            Value::Bytes(date) if info.kind == Kind::Date => matches!(date.len(), 0 | 8),
            value => value.is(info.kind),
        });
        match value {
            Value::Attributes(inner) if fits => {
                kept.put(id, Value::Attributes(of_their_kinds(inner)))
            }
            value if fits => kept.put(id, value.clone()),
            _ => {}
        }
    }
    kept
}

/// A parameter that is of a layout.
pub(crate) fn params(u: &mut Unstructured<'_>, layout: Layout) -> Result<Params> {
    layout.iter().map(|field| param(u, *field)).collect::<Result<Vec<_>>>().map(Params::from_iter)
}

fn param(u: &mut Unstructured<'_>, field: Field) -> Result<Param> {
    Ok(match field {
        Field::Bool => Param::Bool(u.arbitrary()?),
        Field::Ulong => Param::Ulong(number(u)?),
        Field::Fixed(len) | Field::InOutPtr(len) => {
            let mut value = u.bytes(len.min(u.len()))?.to_vec();
            value.resize(len, 0);
            Param::Bytes(Bytes::new(value))
        }
        Field::PtrLen
        | Field::LenPtr
        | Field::PtrBits(_)
        | Field::Whole
        | Field::PtrLenOrPtr
        | Field::InOutPtrLen
        | Field::InOutPtrBits
        | Field::InOutPtrLenOrBits(_) => Param::Bytes(bytes(u)?),
        Field::Ptr(layout) => Param::Structure(params(u, layout)?),
        Field::Array(layout) => {
            let count = u.int_in_range(0..=3)?;
            Param::Structures((0..count).map(|_| params(u, layout)).collect::<Result<_>>()?)
        }
        Field::Tagged(layouts) => {
            let (tag, layout) = *u.choose(layouts)?;
            let rest = params(u, layout)?;
            Param::Structure([Param::Ulong(tag)].into_iter().chain(rest).collect())
        }
        Field::Template => Param::Template(of_their_kinds(&template(u)?)),
        Field::OutHandle | Field::OutPtr(_) | Field::OutPtrBits(_) => Param::Place(u.arbitrary()?),
    })
}
