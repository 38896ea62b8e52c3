//! Key management (5.18): generating, wrapping, unwrapping and deriving keys.

use strongroom_functions::MessageOutput;
use strongroom_mechanisms::{Key, LEAST, Mechanism, Sealed};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismCall, MechanismType, ObjectHandle, Output,
    Params, Result, Room, attribute, mechanism,
};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Reader, SliceReader};

use crate::application::Application;
use crate::crypto::{Chosen, KeyErrors, able};
use crate::object::Object;
use crate::operation::{Kind, authorize};
use crate::separation::{Act, judge};
use crate::session::Session;
use crate::template::{Draft, Origin};

/// The codes for a wrapping key.
const WRAPPING: KeyErrors = KeyErrors {
    handle: Error::WrappingKeyHandleInvalid,
    key_type: Error::WrappingKeyTypeInconsistent,
    size: Error::WrappingKeySizeRange,
};

/// The codes for an unwrapping key.
pub(crate) const UNWRAPPING: KeyErrors = KeyErrors {
    handle: Error::UnwrappingKeyHandleInvalid,
    key_type: Error::UnwrappingKeyTypeInconsistent,
    size: Error::UnwrappingKeySizeRange,
};

impl Application {
    /// `C_GenerateKey`: a secret key, or domain parameters.
    pub(crate) fn generate(
        &self,
        session: &Session,
        call: &MechanismCall,
        template: Attributes,
    ) -> Result<ObjectHandle> {
        let mechanism = self.called(call.mechanism, &call.params)?;
        let (generate, class) = match (mechanism.generate, mechanism.generate_parameters) {
            (Some(generate), _) => (generate, Class::SECRET_KEY),
            (None, Some(generate)) => (generate, Class::DOMAIN_PARAMETERS),
            (None, None) => able(mechanism, None)?,
        };
        let mut draft = self.generated(session, mechanism, template, class)?;
        mechanism.check_wanted(&draft.attributes)?;
        generate(&call.params, &mut draft.attributes)?;
        self.keep(session, vec![draft.finish()?]).and_then(one)
    }

    /// `C_GenerateKeyPair`: the public key and the private key, in one durable step.
    pub(crate) fn generate_pair(
        &self,
        session: &Session,
        call: &MechanismCall,
        mut public: Attributes,
        mut private: Attributes,
    ) -> Result<(ObjectHandle, ObjectHandle)> {
        let mechanism = self.pair_mechanism(call.mechanism, &mut public, &mut private);
        let mechanism = self.called(mechanism, &call.params)?;
        let generate = able(mechanism, mechanism.generate_pair)?;
        let mut public = self.generated(session, mechanism, public, Class::PUBLIC_KEY)?;
        let mut private = self.generated(session, mechanism, private, Class::PRIVATE_KEY)?;
        mechanism.check_wanted(&public.attributes)?;
        generate(&call.params, &mut public.attributes, &mut private.attributes)?;
        let handles = self.keep(session, vec![public.finish()?, private.finish()?])?;
        match handles.as_slice() {
            [public, private] => Ok((*public, *private)),
            _ => Err(Error::GeneralError),
        }
    }

    /// The template of a generated key. A mechanism that makes keys of one type implies the type.
    fn generated(
        &self,
        session: &Session,
        mechanism: &Mechanism,
        template: Attributes,
        class: Class,
    ) -> Result<Draft> {
        let given = template.get(attribute::KEY_TYPE).map(KeyType);
        let key_type = match (given, mechanism.keys) {
            (Some(given), keys) if keys.contains(&given) => given,
            (Some(given), []) => given,
            (None, [key_type, ..]) => *key_type,
            (None, []) => {
                return Err(Error::TemplateIncomplete
                    .since("CKA_KEY_TYPE is missing, and the mechanism makes keys of all types"));
            }
            _ => {
                let other = || format!("CKA_KEY_TYPE is none that {} makes", mechanism.name);
                return Err(Error::TemplateInconsistent.because(other));
            }
        };
        let origin = Origin::Generate(mechanism.id.0);
        let draft =
            Draft::new(template, origin, Some(class), Some(key_type), self.author(session)?)?;
        self.may_keep(session, &draft.attributes, class)?;
        Ok(draft)
    }

    /// `C_WrapKey`.
    pub(crate) fn wrap(
        &self,
        session: &Session,
        call: &MechanismCall,
        wrapping_key: ObjectHandle,
        key: ObjectHandle,
        room: Room,
    ) -> Result<MessageOutput> {
        self.judge_oaep(call.mechanism, &call.params)?;
        let mechanism = self.called(call.mechanism, &call.params)?;
        able(mechanism, mechanism.wrap)?;
        let wrap = |with: &Key, key: &[u8]| mechanism.wrap_key(with, &call.params, key);
        Ok(fitting(
            self.wrap_by(session, (mechanism, &call.params), wrapping_key, key, wrap)?,
            room,
        ))
    }

    /// `C_WrapKeyAuthenticated`.
    pub(crate) fn wrap_authenticated(
        &self,
        session: &Session,
        call: &MechanismCall,
        wrapping_key: ObjectHandle,
        key: ObjectHandle,
        associated: &[u8],
        room: Room,
    ) -> Result<MessageOutput> {
        let (mechanism, aead) = self.called_as_message(call.mechanism, &call.params)?;
        let wrap = |with: &Key, key: &[u8]| aead.wrap(with, &call.params, associated, key);
        Ok(fitting(
            self.wrap_by(session, (mechanism, &call.params), wrapping_key, key, wrap)?,
            room,
        ))
    }

    fn wrap_by(
        &self,
        session: &Session,
        (mechanism, params): (&Mechanism, &Params),
        wrapping_key: ObjectHandle,
        key: ObjectHandle,
        wrap: impl FnOnce(&Key, &[u8]) -> Result<Sealed>,
    ) -> Result<Sealed> {
        let wrapping = self.choose(session, wrapping_key, mechanism, attribute::WRAP, &WRAPPING)?;
        let target = self.object(session, key).map_err(|error| match error {
            Error::ObjectHandleInvalid => Error::KeyHandleInvalid,
            error => error,
        })?;
        may_wrap(&wrapping.object, &target)?;
        let (with, key) = (&wrapping.object.attributes, &target.attributes);
        judge(session.policy()?, &Act::Wrap { with, key, mechanism, params })?;
        let mut bytes = key_bytes(&target)?;
        if target.attributes.get(attribute::CLASS) == Some(Class::PRIVATE_KEY.0) {
            bytes = self.filled(mechanism.id, bytes);
        }
        // What is wrong with the length of the input is wrong with the key.
        wrap(&wrapping.key, &bytes).map_err(|error| match error {
            Error::DataLenRange => Error::KeySizeRange,
            error => error,
        })
    }

    /// `C_UnwrapKey`.
    pub(crate) fn unwrap(
        &self,
        session: &Session,
        call: &MechanismCall,
        unwrapping_key: ObjectHandle,
        wrapped: &[u8],
        template: Attributes,
    ) -> Result<ObjectHandle> {
        self.judge_oaep(call.mechanism, &call.params)?;
        let mechanism = self.called(call.mechanism, &call.params)?;
        able(mechanism, mechanism.unwrap)?;
        let by = (mechanism, &call.params);
        self.unwrap_by(session, by, unwrapping_key, template, |key, lengths| {
            mechanism.unwrap_key(key, &call.params, wrapped, lengths)
        })
    }

    /// `C_UnwrapKeyAuthenticated`.
    pub(crate) fn unwrap_authenticated(
        &self,
        session: &Session,
        call: &MechanismCall,
        unwrapping_key: ObjectHandle,
        wrapped: &[u8],
        template: Attributes,
        associated: &[u8],
    ) -> Result<ObjectHandle> {
        let (mechanism, aead) = self.called_as_message(call.mechanism, &call.params)?;
        let by = (mechanism, &call.params);
        self.unwrap_by(session, by, unwrapping_key, template, |key, _| {
            aead.unwrap(key, &call.params, associated, wrapped)
        })
    }

    fn unwrap_by(
        &self,
        session: &Session,
        (mechanism, params): (&Mechanism, &Params),
        unwrapping_key: ObjectHandle,
        mut template: Attributes,
        unwrap: impl FnOnce(&Key, &[usize]) -> Result<Bytes>,
    ) -> Result<ObjectHandle> {
        let Chosen { object, key } =
            self.choose(session, unwrapping_key, mechanism, attribute::UNWRAP, &UNWRAPPING)?;
        let with = &object.attributes;
        judge(session.policy()?, &Act::Unwrap { with, mechanism, params })?;
        authorize(session, Kind::Unwrap, &object, mechanism.id)?;
        let author = self.author(session)?;
        imply_kind(&mut template, &object, attribute::UNWRAP_TEMPLATE);
        let origin = Origin::Unwrap { by_trusted: with.is(attribute::TRUSTED) };
        let mut draft = Draft::new(template, origin, None, None, author)?;
        demand(&mut draft, &object, attribute::UNWRAP_TEMPLATE)?;
        // Some clients name the length of a secret key, which it then must have.
        let len = value_len(&mut draft.attributes)?;
        let cipher = WITHOUT_PADDING.iter().find(|(id, _)| *id == mechanism.id);
        let class = draft.attributes.need(attribute::CLASS).map(Class)?;
        self.may_keep(session, &draft.attributes, class)?;
        let lengths = lengths(&draft.attributes, len)?;
        let bytes = unwrap(&key, &lengths).map_err(|error| match error {
            Error::EncryptedDataInvalid | Error::DataInvalid => Error::WrappedKeyInvalid,
            Error::EncryptedDataLenRange | Error::DataLenRange => Error::WrappedKeyLenRange,
            error => error,
        })?;
        fill(&mut draft.attributes, class, bytes, len, cipher.map_or(0, |(_, block)| block - 1))?;
        self.keep(session, vec![draft.finish_or(Error::WrappedKeyInvalid)?]).and_then(one)
    }
}

/// The ciphers that wrap without padding, and their blocks in bytes. Other tokens fill the last block of a key with
/// zeros, which the standard has cut off, as far as the template says the length of the key, or its type has but one.
const WITHOUT_PADDING: [(MechanismType, usize); 6] = [
    (mechanism!(CKM_AES_ECB).0, BLOCK),
    (mechanism!(CKM_AES_CBC).0, BLOCK),
    (mechanism!(CKM_DES_ECB).0, 8),
    (mechanism!(CKM_DES_CBC).0, 8),
    (mechanism!(CKM_DES3_ECB).0, 8),
    (mechanism!(CKM_DES3_CBC).0, 8),
];

/// What came of wrapping, if there is room for it.
fn fitting(sealed: Sealed, room: Room) -> MessageOutput {
    match sealed.output {
        output if room.fits(output.len()) => {
            MessageOutput { output: Output::Bytes(output), placed: sealed.placed }
        }
        output => MessageOutput { output: Output::Needs(output.len()), placed: Vec::new() },
    }
}

pub(crate) fn one(handles: Vec<ObjectHandle>) -> Result<ObjectHandle> {
    handles.first().copied().ok_or(Error::GeneralError)
}

/// Takes `CKA_VALUE_LEN`, in bytes, out of a template.
pub(crate) fn value_len(template: &mut Attributes) -> Result<Option<usize>> {
    let Some(value) = template.remove(attribute::VALUE_LEN.info) else { return Ok(None) };
    match value {
        strongroom_types::Value::Ulong(len) => {
            let too_long = |_| Error::AttributeValueInvalid.since("CKA_VALUE_LEN is too large");
            usize::try_from(len).map(Some).map_err(too_long)
        }
        _ => Err(Error::AttributeValueInvalid.since("CKA_VALUE_LEN is no number")),
    }
}

/// The lengths that the value of a secret key can have, whose template may say one; none if any can.
/// That none is left is told before anything is decrypted, of which it would tell something.
pub(crate) fn lengths(key: &Attributes, wanted: Option<usize>) -> Result<Vec<usize>> {
    if key.get(attribute::CLASS) != Some(Class::SECRET_KEY.0) {
        return Ok(Vec::new());
    }
    let key_type = KeyType(key.need(attribute::KEY_TYPE)?);
    let possible = strongroom_mechanisms::key_type(key_type)?.lengths;
    match wanted {
        None => Ok(possible.to_vec()),
        Some(len) if possible.is_empty() || possible.contains(&len) => Ok(vec![len]),
        Some(_) => Err(Error::TemplateInconsistent
            .since("CKA_VALUE_LEN is no length of a key of this CKA_KEY_TYPE")),
    }
}

/// Adds what kind of key the key's template demands, where the caller does not say: which
/// attributes there can be depends on it.
pub(crate) fn imply_kind(
    template: &mut Attributes,
    key: &Object,
    demanded: strongroom_types::Attribute<attribute::kind::Attributes>,
) {
    let Some(demanded) = key.attributes.get(demanded) else { return };
    for attribute in [attribute::CLASS, attribute::KEY_TYPE] {
        if let (None, Some(kind)) = (template.get(attribute), demanded.get(attribute)) {
            template.set(attribute, kind);
        }
    }
}

/// Adds what the key's template demands of keys that come from it.
pub(crate) fn demand(
    draft: &mut Draft,
    key: &Object,
    template: strongroom_types::Attribute<attribute::kind::Attributes>,
) -> Result<()> {
    key.attributes.get(template).map_or(Ok(()), |demanded| draft.demand(demanded))
}

/// Whether a key may leave the token under this wrapping key (4.8, 4.9, 4.10).
fn may_wrap(wrapping: &Object, target: &Object) -> Result<()> {
    match target.attributes.get(attribute::CLASS).map(Class) {
        Some(Class::SECRET_KEY | Class::PRIVATE_KEY) => {}
        Some(Class::PUBLIC_KEY) => {
            return Err(Error::KeyNotWrappable.since("public keys are not wrapped"));
        }
        _ => return Err(Error::KeyHandleInvalid.since("the object is no key")),
    }
    if !target.attributes.is(attribute::EXTRACTABLE) {
        return Err(Error::KeyUnextractable.since("CKA_EXTRACTABLE of the key is false"));
    }
    let trusted = wrapping.attributes.is(attribute::TRUSTED);
    if target.attributes.is(attribute::WRAP_WITH_TRUSTED) && !trusted {
        let why =
            "CKA_WRAP_WITH_TRUSTED of the key is true, and CKA_TRUSTED of the wrapping key is not";
        return Err(Error::KeyNotWrappable.since(why));
    }
    // As a search does: whoever makes the wrapping key does not try out values that are not told.
    let template = wrapping.attributes.get(attribute::WRAP_TEMPLATE);
    if template.is_some_and(|template| !target.matches(template)) {
        return Err(Error::KeyNotWrappable
            .since("the key is not as CKA_WRAP_TEMPLATE of the wrapping key demands"));
    }
    Ok(())
}

/// What is wrapped of a key: the value of a secret key, the PKCS#8 form of a private key.
fn key_bytes(key: &Object) -> Result<Bytes> {
    let class = key.attributes.get(attribute::CLASS).map(Class);
    match class {
        Some(Class::SECRET_KEY) => {
            let value = key.attributes.get(attribute::VALUE).ok_or(Error::DeviceError)?;
            Ok(Bytes::new(value.to_vec()))
        }
        Some(Class::PRIVATE_KEY) => {
            let key_type = key.attributes.get(attribute::KEY_TYPE).ok_or(Error::DeviceError)?;
            let row = strongroom_mechanisms::key_type(KeyType(key_type))?;
            let unable = || Error::KeyNotWrappable.since("no PKCS#8 is known of its CKA_KEY_TYPE");
            row.to_pkcs8.ok_or_else(unable)?(&key.attributes)
        }
        _ => Err(Error::KeyHandleInvalid),
    }
}

/// The block of AES in bytes.
const BLOCK: usize = 16;

/// A DER structure without the zeros that filled the last block behind it.
fn without_blanks(bytes: &[u8]) -> &[u8] {
    let end = SliceReader::new(bytes).and_then(|mut reader| {
        AnyRef::decode(&mut reader)?;
        usize::try_from(reader.position())
    });
    match end.ok().and_then(|end| bytes.split_at_checked(end)) {
        Some((key, blanks)) if blanks.len() < BLOCK && blanks.iter().all(|byte| *byte == 0) => key,
        _ => bytes,
    }
}

/// Sets the attributes of an unwrapped key from its bytes, behind which there are at most so many blanks.
fn fill(
    key: &mut Attributes,
    class: Class,
    mut bytes: Bytes,
    len: Option<usize>,
    blanks: usize,
) -> Result<()> {
    match class {
        Class::SECRET_KEY => {
            cut(key, &mut bytes, len, blanks)?;
            key.set(attribute::VALUE, bytes);
            Ok(())
        }
        Class::PRIVATE_KEY => {
            let key_type = KeyType(key.need(attribute::KEY_TYPE)?);
            let row = strongroom_mechanisms::key_type(key_type)?;
            let unable =
                || Error::TemplateInconsistent.since("no PKCS#8 is known of this CKA_KEY_TYPE");
            row.from_pkcs8.ok_or_else(unable)?(without_blanks(&bytes), key)
        }
        _ => Err(Error::TemplateInconsistent.since("CKA_CLASS is none that is unwrapped")),
    }
}

/// Cuts off what may be blanks. Nobody looks whether they are: the answer would tell a byte of the key. And of a key
/// that may not be read there stays what nobody finds by trying.
fn cut(key: &Attributes, bytes: &mut Bytes, len: Option<usize>, blanks: usize) -> Result<()> {
    let key_type = strongroom_mechanisms::key_type(KeyType(key.need(attribute::KEY_TYPE)?))?;
    let Some(len) = len.or_else(|| key_type.value_len().filter(|_| blanks > 0)) else {
        return Ok(());
    };
    let surplus = bytes.len().checked_sub(len).filter(|surplus| *surplus <= blanks);
    let open = key.get(attribute::SENSITIVE) == Some(false) && key.is(attribute::EXTRACTABLE);
    match surplus {
        Some(0) => Ok(()),
        Some(_) if open || len >= LEAST => {
            bytes.truncate(len);
            Ok(())
        }
        _ => Err(Error::TemplateInconsistent.since("CKA_VALUE_LEN is not what was wrapped")),
    }
}
