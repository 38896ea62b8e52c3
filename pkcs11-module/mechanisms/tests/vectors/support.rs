//! How the tests drive a row: as the core does, from attributes and parameters.

use std::sync::Arc;

use strongroom_mechanisms::{Inputs, Key, Makes, Mechanism, Policy, key_type};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute,
};

/// Finds a row, whether it is legacy or not.
pub(crate) fn mechanism(id: MechanismType) -> Result<&'static Mechanism> {
    Policy::Legacy.mechanism(id)
}

/// Attributes of a key object, to be completed.
pub(crate) fn object(class: Class, key_type: KeyType) -> Attributes {
    let mut object = Attributes::default();
    object.set(attribute::CLASS, class.0);
    object.set(attribute::KEY_TYPE, key_type.0);
    object
}

/// Completes an object, as `C_CreateObject` does.
pub(crate) fn complete(mut object: Attributes) -> Result<Attributes> {
    let row = key_type(KeyType(object.need(attribute::KEY_TYPE)?))?;
    (row.complete)(&mut object)?;
    Ok(object)
}

/// Completes and parses an object.
pub(crate) fn key(object: Attributes) -> Result<Arc<Key>> {
    Key::parse(&complete(object)?).map(Arc::new)
}

/// The row of a mechanism, after the check that the core makes before each of its functions.
pub(crate) fn row(id: MechanismType, key: &Key) -> Result<&'static Mechanism> {
    let row = mechanism(id)?;
    row.check(key)?;
    Ok(row)
}

/// Digests in parts of so many bytes, and checks that the length was foretold.
pub(crate) fn digest_parts(
    id: MechanismType,
    params: &Params,
    message: &[u8],
    part: usize,
) -> Vec<u8> {
    let mut operation = (mechanism(id).unwrap().digest.unwrap())(params).unwrap();
    let len = operation.digest_len();
    message.chunks(part).for_each(|part| operation.update(part).unwrap());
    let digest = operation.finish().unwrap().to_vec();
    assert_eq!(digest.len(), len);
    digest
}

/// Signs in one part, and checks that the length was foretold.
pub(crate) fn sign(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
) -> Result<Bytes> {
    let start = row(id, key)?.sign.ok_or(Error::MechanismInvalid)?;
    let operation = start(key, params)?;
    let len = operation.signature_len();
    let signature = operation.sign(data)?;
    assert!(signature.len() <= len);
    Ok(signature)
}

/// Signs in parts of seven bytes.
pub(crate) fn sign_parts(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
) -> Result<Bytes> {
    let start = row(id, key)?.sign.ok_or(Error::MechanismInvalid)?;
    let mut operation = start(key, params)?;
    data.chunks(7).try_for_each(|part| operation.update(part))?;
    operation.finish()
}

/// Verifies in one part, and checks that parts of seven bytes give the same.
pub(crate) fn verify(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
    signature: &[u8],
) -> Result<()> {
    let start = row(id, key)?.verify.ok_or(Error::MechanismInvalid)?;
    let whole = start(key, params)?.verify(data, signature);
    let mut operation = start(key, params)?;
    let parts = data.chunks(7).try_for_each(|part| operation.update(part));
    assert_eq!(whole, parts.and_then(|()| operation.finish(signature)));
    whole
}

/// Verifies in one part, and checks that the mechanism takes no other.
pub(crate) fn verify_single(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
    signature: &[u8],
) -> Result<()> {
    let start = row(id, key)?.verify.ok_or(Error::MechanismInvalid)?;
    assert_eq!(start(key, params)?.update(data), Err(Error::OperationNotInitialized));
    assert_eq!(start(key, params)?.finish(signature), Err(Error::OperationNotInitialized));
    start(key, params)?.verify(data, signature)
}

/// Encrypts in one part.
pub(crate) fn encrypt(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
) -> Result<Bytes> {
    let start = row(id, key)?.encrypt.ok_or(Error::MechanismInvalid)?;
    let operation = start(key, params)?;
    let len = operation.whole_len(data.len());
    let output = operation.whole(data)?;
    assert!(output.len() <= len);
    Ok(output)
}

/// Decrypts in one part, and checks that the length was foretold.
pub(crate) fn decrypt(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
) -> Result<Bytes> {
    let start = row(id, key)?.decrypt.ok_or(Error::MechanismInvalid)?;
    let operation = start(key, params)?;
    let len = operation.whole_len(data.len());
    let output = operation.whole(data)?;
    assert!(output.len() <= len);
    Ok(output)
}

/// Decrypts in parts of seven bytes.
pub(crate) fn decrypt_parts(
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    data: &[u8],
) -> Result<Bytes> {
    let start = row(id, key)?.decrypt.ok_or(Error::MechanismInvalid)?;
    let mut operation = start(key, params)?;
    let mut all = Bytes::default();
    for part in data.chunks(7) {
        all.extend_from_slice(&operation.update(part)?);
    }
    all.extend_from_slice(&operation.finish()?);
    Ok(all)
}

/// A generic secret that everybody may read.
pub(crate) fn readable(value: &[u8]) -> Attributes {
    let mut key = object(Class::SECRET_KEY, KeyType::GENERIC_SECRET);
    key.set(attribute::VALUE, value);
    key.set(attribute::EXTRACTABLE, true);
    key
}

/// Derives the value of a secret key or of a data object. Keys that the parameter names have their
/// numbers and values in `others`.
pub(crate) fn derive(
    id: MechanismType,
    (key, attributes): (&Key, &Attributes),
    params: &Params,
    wanted: Option<usize>,
    others: &[(u64, &[u8])],
) -> Result<Bytes> {
    let other = |number| {
        let found = others.iter().find(|(named, _)| *named == number);
        found.map(|(_, value)| readable(value)).ok_or(Error::KeyHandleInvalid)
    };
    let inputs = Inputs { key, attributes, params, other: &other, mechanism: &mechanism };
    match &row(id, key)?.derive.as_ref().ok_or(Error::MechanismInvalid)?.makes {
        Makes::Secret(value) | Makes::Data(value) => value(&inputs, wanted),
        Makes::Public(_) | Makes::Several(_) => panic!("it makes something else"),
    }
}

/// A parameter of numbers.
pub(crate) fn ulongs(values: &[u64]) -> Params {
    values.iter().map(|value| Param::Ulong(*value)).collect()
}

/// The records of a data file: lines of `name = value`, between empty lines.
pub(crate) struct Record<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Record<'a> {
    /// Reads a file.
    pub(crate) fn all(text: &'a str) -> Vec<Self> {
        let text = text.lines().filter(|line| !line.starts_with('#'));
        let mut records = vec![Self(Vec::new())];
        for line in text {
            match line.split_once('=') {
                Some((name, value)) => {
                    records.last_mut().unwrap().0.push((name.trim(), value.trim()))
                }
                None => records.push(Self(Vec::new())),
            }
        }
        records.retain(|record| !record.0.is_empty());
        records
    }

    /// Whether it has a value of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| *found == name)
    }

    /// A value as it stands.
    pub(crate) fn text(&self, name: &str) -> &'a str {
        self.0.iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{name}")).1
    }

    /// A value in hexadecimal.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }
}
