//! `C_EncapsulateKey` and `C_DecapsulateKey` (5.18.8 and 5.18.9): secret keys that two sides make of
//! a key pair.

use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismCall, ObjectHandle, Output, Result, Room,
    attribute,
};

use crate::application::Application;
use crate::crypto::{KEY, able};
use crate::keys::{UNWRAPPING, demand, imply_kind, lengths, one, value_len};
use crate::object::Object;
use crate::operation::{Kind, authorize};
use crate::session::Session;
use crate::template::{Draft, Origin};

/// A secret key that is about to be made.
struct Secret {
    draft: Draft,
    /// The length of its value, if the template says one or the key type has but one.
    len: Option<usize>,
}

impl Application {
    /// `C_EncapsulateKey`. Without room for the ciphertext there is no key either.
    pub(crate) fn encapsulate(
        &self,
        session: &Session,
        call: &MechanismCall,
        public_key: ObjectHandle,
        template: Attributes,
        room: Room,
    ) -> Result<(Output, Option<ObjectHandle>)> {
        let mechanism = self.called(call.mechanism, &call.params)?;
        let encapsulate = able(mechanism, mechanism.encapsulate)?;
        let chosen = self.choose(session, public_key, mechanism, attribute::ENCAPSULATE, &KEY)?;
        let secret =
            self.secret(session, &chosen.object, attribute::ENCAPSULATE_TEMPLATE, template)?;
        let mut encapsulated = encapsulate(&chosen.key, &call.params, secret.len)?;
        self.cut(session, call.mechanism, secret.len, &mut encapsulated.secret)?;
        let ciphertext = encapsulated.ciphertext;
        if !room.fits(ciphertext.len()) {
            return Ok((Output::Needs(ciphertext.len()), None));
        }
        let secret = secret.finish(encapsulated.secret).map_err(|error| self.uncut(error))?;
        let key = self.keep(session, vec![secret]).and_then(one)?;
        Ok((Output::Bytes(Bytes::new(ciphertext)), Some(key)))
    }

    /// `C_DecapsulateKey`.
    pub(crate) fn decapsulate(
        &self,
        session: &Session,
        call: &MechanismCall,
        private_key: ObjectHandle,
        template: Attributes,
        ciphertext: &[u8],
    ) -> Result<ObjectHandle> {
        let mechanism = self.called(call.mechanism, &call.params)?;
        let decapsulate = able(mechanism, mechanism.decapsulate)?;
        let usage = attribute::DECAPSULATE;
        let chosen = self.choose(session, private_key, mechanism, usage, &UNWRAPPING)?;
        authorize(session, Kind::Decapsulate, &chosen.object, mechanism.id)?;
        let secret =
            self.secret(session, &chosen.object, attribute::DECAPSULATE_TEMPLATE, template)?;
        self.judge_ciphertext(ciphertext)?;
        let lengths = lengths(&secret.draft.attributes, secret.len);
        let lengths = lengths.map_err(|error| self.uncut(error))?;
        let mut value = decapsulate(&chosen.key, &call.params, ciphertext, &lengths)?;
        self.cut(session, call.mechanism, secret.len, &mut value)?;
        let secret = secret.finish(value).map_err(|error| self.uncut(error))?;
        self.keep(session, vec![secret]).and_then(one)
    }

    /// Checks the template of the new key. Both sides know its value, so its history is that of a
    /// key from outside, and it may leave unless the template says otherwise.
    fn secret(
        &self,
        session: &Session,
        key: &Object,
        demanded: strongroom_types::Attribute<attribute::kind::Attributes>,
        mut template: Attributes,
    ) -> Result<Secret> {
        imply_kind(&mut template, key, demanded);
        let given = template.get(attribute::KEY_TYPE).map(KeyType);
        let key_type = given.unwrap_or(KeyType::GENERIC_SECRET);
        let author = self.author(session)?;
        let class = Class::SECRET_KEY;
        let origin = Origin::Unwrap { by_trusted: false };
        let mut draft = Draft::new(template, origin, Some(class), Some(key_type), author)?;
        demand(&mut draft, key, demanded)?;
        if !draft.attributes.has(attribute::EXTRACTABLE.info) {
            draft.attributes.set(attribute::EXTRACTABLE, true);
        }
        let fixed = strongroom_mechanisms::key_type(key_type)?.value_len();
        let len = value_len(&mut draft.attributes)?.or(fixed);
        self.may_keep(session, &draft.attributes, class)?;
        Ok(Secret { draft, len })
    }
}

impl Secret {
    /// The whole object. What a mechanism encapsulates is never cut here: some can be told the
    /// length, the secrets of the others have the length that they have.
    fn finish(mut self, value: Bytes) -> Result<Attributes> {
        if self.len.is_some_and(|len| len != value.len()) {
            return Err(Error::TemplateInconsistent
                .since("CKA_VALUE_LEN is not the length of what the mechanism encapsulates"));
        }
        self.draft.attributes.set(attribute::VALUE, value);
        self.draft.finish_or(Error::TemplateInconsistent)
    }
}
