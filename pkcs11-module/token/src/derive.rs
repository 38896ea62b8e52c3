//! `C_DeriveKey` (5.18.5): which objects come of a key, and what they take over from it.

use std::cell::RefCell;
use std::sync::Arc;

use strongroom_mechanisms::{
    BLOCK, Derivation, Gives, Heritage, Inputs, KeyTypeRow, Makes, Mechanism,
};
use strongroom_types::{
    Attributes, Class, Derived, Error, KeyType, MechanismCall, ObjectHandle, Placed, Result,
    attribute,
};

use crate::application::Application;
use crate::crypto::{Chosen, KEY, able};
use crate::keys::{demand, imply_kind, value_len};
use crate::object::Object;
use crate::operation::{Kind, authorize};
use crate::separation::{Act, is_hidden, judge, pins};
use crate::session::Session;
use crate::template::{Draft, Origin};

/// An object that is about to be made, and the length of its value if the template says one.
struct Heir {
    draft: Draft,
    len: Option<usize>,
}

impl Application {
    /// `C_DeriveKey`; `wanted` says whether the caller has a place for a key.
    pub(crate) fn derive(
        &self,
        session: &Session,
        call: &MechanismCall,
        base_key: ObjectHandle,
        template: Attributes,
        wanted: bool,
    ) -> Result<Derived> {
        let mechanism = self.called(call.mechanism, &call.params)?;
        let derivation = able(mechanism, mechanism.derive.as_ref())?;
        if derivation.tells_key() && !wanted {
            return Err(Error::ArgumentsBad.since("there is no place for the handle of the key"));
        }
        let Chosen { object: base, key } = self.base(session, base_key, mechanism)?;
        authorize(session, Kind::Derive, &base, mechanism.id)?;
        let (class, templates) = match &derivation.makes {
            Makes::Secret(_) => (Class::SECRET_KEY, vec![template]),
            Makes::Data(_) => (Class::DATA, vec![template]),
            Makes::Public(_) => (Class::PUBLIC_KEY, vec![template]),
            Makes::Several(several) => {
                (Class::SECRET_KEY, (several.templates)(&call.params, &template)?)
            }
        };
        let heir = |template| self.heir(session, &base, class, template, derivation.heritage);
        let mut heirs = templates.into_iter().map(heir).collect::<Result<Vec<_>>>()?;

        let others = RefCell::new(Vec::new());
        let other = |handle| {
            let other = self.other(session, mechanism, ObjectHandle(handle))?;
            let attributes = Attributes::clone(&other.attributes);
            others.borrow_mut().push(other);
            Ok(attributes)
        };
        let (attributes, params) = (&base.attributes, &call.params);
        let named = |id| self.mechanism(id);
        let inputs = Inputs { key: &key, attributes, params, other: &other, mechanism: &named };
        let gives = compute(derivation, &inputs, &mut heirs).map_err(|error| self.short(error))?;

        if gives.iter().any(|gives| matches!(gives, Gives::Bytes(bytes) if !bytes.is_empty())) {
            judge(session.policy()?, &Act::Tell { base: attributes })?;
        }
        let ancestry = Ancestry { base: &base, others: &others.borrow() };
        let finish = |heir: Heir| heir.finish(derivation.heritage, &ancestry);
        let objects = heirs.into_iter().map(finish).collect::<Result<Vec<_>>>()?;
        let handles = self.keep(session, objects)?;
        let handle = |index| handles.get(index).copied().ok_or(Error::GeneralError);
        let placed = gives.into_iter().map(|gives| match gives {
            Gives::Nothing => Ok(Placed::Nothing),
            Gives::Key(index) => handle(index).map(Placed::Handle),
            Gives::Bytes(bytes) => Ok(Placed::Bytes(bytes)),
        });
        Ok(Derived {
            placed: placed.collect::<Result<Vec<_>>>()?,
            key: derivation.tells_key().then(|| handle(0)).transpose()?,
        })
    }

    /// What is derived from: a key, or a data object, which has no flag that says so.
    fn base(
        &self,
        session: &Session,
        handle: ObjectHandle,
        mechanism: &Mechanism,
    ) -> Result<Chosen> {
        if mechanism.derives_from_data
            && let Ok(object) = self.object(session, handle)
            && object.attributes.get(attribute::CLASS) == Some(Class::DATA.0)
        {
            let key = object.key()?;
            return Ok(Chosen { object, key });
        }
        self.choose(session, handle, mechanism, attribute::DERIVE, &KEY)
    }

    /// Checks the template of an object that shall come of a key.
    fn heir(
        &self,
        session: &Session,
        base: &Object,
        class: Class,
        mut template: Attributes,
        heritage: Heritage,
    ) -> Result<Heir> {
        imply_kind(&mut template, base, attribute::DERIVE_TEMPLATE);
        let (key_type, mut len) = match class {
            Class::SECRET_KEY => {
                let given = template.get(attribute::KEY_TYPE).map(KeyType);
                (Some(given.unwrap_or(KeyType::GENERIC_SECRET)), None)
            }
            Class::PUBLIC_KEY => (base.attributes.get(attribute::KEY_TYPE).map(KeyType), None),
            // Data objects have no attribute for the length; the mechanism is told it so.
            _ => (None, value_len(&mut template)?),
        };
        let origin = Origin::Derive {
            always_sensitive: false,
            never_extractable: false,
            of_hidden: false,
            of_pieces: false,
            of_bits: false,
        };
        let author = self.author(session)?;
        let mut draft = Draft::new(template, origin, Some(class), key_type, author)?;
        demand(&mut draft, base, attribute::DERIVE_TEMPLATE)?;
        if heritage == Heritage::Same {
            let mut same = Attributes::default();
            same.set(attribute::SENSITIVE, base.attributes.is(attribute::SENSITIVE));
            same.set(attribute::EXTRACTABLE, base.attributes.is(attribute::EXTRACTABLE));
            draft.demand(&same)?;
        }
        if let (Class::SECRET_KEY, Some(key_type)) = (class, key_type) {
            let fixed = strongroom_mechanisms::key_type(key_type)?.value_len();
            len = value_len(&mut draft.attributes)?.or(fixed);
        }
        self.may_keep(session, &draft.attributes, class)?;
        Ok(Heir { draft, len })
    }

    /// Another secret key, which the parameter of a mechanism names.
    fn other(
        &self,
        session: &Session,
        mechanism: &Mechanism,
        handle: ObjectHandle,
    ) -> Result<Arc<Object>> {
        let object = self.object(session, handle).map_err(|error| match error {
            Error::ObjectHandleInvalid => Error::KeyHandleInvalid,
            error => error,
        })?;
        match object.attributes.get(attribute::CLASS).map(Class) {
            Some(Class::SECRET_KEY) => {}
            Some(Class::PUBLIC_KEY | Class::PRIVATE_KEY) => {
                return Err(Error::KeyTypeInconsistent.since("the other key is no secret key"));
            }
            _ => return Err(Error::KeyHandleInvalid),
        }
        if self.asks_the_base_alone(session, mechanism.id)? {
            crate::crypto::allows(&object.attributes, mechanism.id)?;
        } else {
            crate::crypto::permits(&object.attributes, mechanism.id, attribute::DERIVE)?;
        }
        Ok(object)
    }
}

/// Computes the values of the objects, and what goes to the places of the parameter.
fn compute(derivation: &Derivation, inputs: &Inputs<'_>, heirs: &mut [Heir]) -> Result<Vec<Gives>> {
    let (values, gives) = match (&derivation.makes, &mut *heirs) {
        (Makes::Secret(value) | Makes::Data(value), [heir]) => {
            (vec![value(inputs, heir.len)?], Vec::new())
        }
        (Makes::Public(attributes), [heir]) => {
            add(&mut heir.draft.attributes, &attributes(inputs)?)?;
            return Ok(Vec::new());
        }
        (Makes::Several(several), heirs) => {
            let lens: Vec<_> = heirs.iter().map(|heir| heir.len).collect();
            (several.compute)(inputs, &lens)?
        }
        _ => return Err(Error::GeneralError),
    };
    if values.len() != heirs.len() {
        return Err(Error::GeneralError);
    }
    for (heir, mut value) in heirs.iter_mut().zip(values) {
        if let Some(settle) = heir.key_type()?.and_then(|row| row.derived) {
            settle(&mut value);
        }
        heir.draft.attributes.set(attribute::VALUE, value);
    }
    Ok(gives)
}

/// Adds attributes that a template must not contradict.
fn add(template: &mut Attributes, attributes: &Attributes) -> Result<()> {
    attributes.iter().try_for_each(|(id, value)| match template.value(id) {
        Some(given) if given != value => {
            let other = || format!("the mechanism makes keys of another {}", attribute::name(id));
            Err(Error::TemplateInconsistent.because(other))
        }
        _ => {
            template.put(id, value.clone());
            Ok(())
        }
    })
}

/// The keys that an object is made of.
struct Ancestry<'a> {
    base: &'a Object,
    others: &'a [Arc<Object>],
}

impl Ancestry<'_> {
    /// Whether something holds of all the keys.
    fn all(&self, holds: impl Fn(&Attributes) -> bool) -> bool {
        holds(&self.base.attributes) && self.others(holds)
    }

    /// Whether something holds of all the keys that the parameter names.
    fn others(&self, holds: impl Fn(&Attributes) -> bool) -> bool {
        self.others.iter().all(|key| holds(&key.attributes))
    }

    /// Whether something holds of all the keys whose bytes may be read off what is made. Those
    /// that the parameter names always are: the caller may know the base key, and then whatever
    /// is computed with it tells of them.
    fn shown(&self, heritage: Heritage, holds: impl Fn(&Attributes) -> bool) -> bool {
        if self.shows_base(heritage) { self.all(holds) } else { self.others(holds) }
    }

    /// Whether the base key may be read off what is made.
    fn shows_base(&self, heritage: Heritage) -> bool {
        let value = self.base.attributes.get(attribute::VALUE);
        match heritage {
            Heritage::Kept => true,
            Heritage::KeptIfLong => value.is_some_and(|value| value.len() > BLOCK),
            Heritage::Chosen | Heritage::Same => false,
        }
    }
}

impl Heir {
    /// What is known of keys of its type, if it is a key.
    fn key_type(&self) -> Result<Option<&'static KeyTypeRow>> {
        let key_type = self.draft.attributes.get(attribute::KEY_TYPE).map(KeyType);
        key_type.map(strongroom_mechanisms::key_type).transpose()
    }

    /// The whole object.
    fn finish(mut self, heritage: Heritage, ancestry: &Ancestry<'_>) -> Result<Attributes> {
        // Their templates may demand a length too, and the value has one by now.
        let value = self.draft.attributes.get(attribute::VALUE).map_or(0, <[u8]>::len);
        let len = u64::try_from(value).map_err(|_| Error::GeneralError)?;
        self.draft.attributes.set(attribute::VALUE_LEN, len);
        for other in ancestry.others {
            demand(&mut self.draft, other, attribute::DERIVE_TEMPLATE)?;
        }
        self.draft.attributes.remove(attribute::VALUE_LEN.info);
        if self.draft.attributes.get(attribute::CLASS).map(Class) == Some(Class::SECRET_KEY) {
            protect(&mut self.draft.attributes, heritage, ancestry);
        }
        let loses_bits = self.key_type()?.is_some_and(|row| row.derived.is_some());
        let bound = |key: &Attributes| !is_hidden(key) || pins(key);
        self.draft.pinned = pins(&ancestry.base.attributes) && ancestry.others(bound);
        let of_hidden = !ancestry.all(|key| !is_hidden(key));
        self.draft.origin = Origin::Derive {
            always_sensitive: ancestry.all(|key| key.is(attribute::ALWAYS_SENSITIVE)),
            never_extractable: ancestry.all(|key| key.is(attribute::NEVER_EXTRACTABLE)),
            of_hidden,
            of_pieces: of_hidden && ancestry.shows_base(heritage),
            of_bits: loses_bits && !ancestry.shown(heritage, |key| !is_hidden(key)),
        };
        self.draft.finish_or(match self.len {
            // The natural length of the secret does not suit the key type: say which to take.
            None => Error::TemplateIncomplete,
            Some(_) => Error::AttributeValueInvalid,
        })
    }
}

/// Lets a key be no less protected than those that may be read off it.
fn protect(key: &mut Attributes, heritage: Heritage, ancestry: &Ancestry<'_>) {
    if !ancestry.shown(heritage, |key| !key.is(attribute::SENSITIVE)) {
        key.set(attribute::SENSITIVE, true);
    }
    if !ancestry.shown(heritage, |key| !is_hidden(key)) {
        // A check value of a short piece would tell the piece.
        key.set(attribute::CHECK_VALUE, &[][..]);
    }
    if !ancestry.shown(heritage, |key| key.is(attribute::EXTRACTABLE)) {
        key.set(attribute::EXTRACTABLE, false);
    }
    if !ancestry.shown(heritage, |key| !key.is(attribute::WRAP_WITH_TRUSTED)) {
        key.set(attribute::WRAP_WITH_TRUSTED, true);
    }
    if !ancestry.shown(heritage, |key| !key.is(attribute::PRIVATE)) {
        key.set(attribute::PRIVATE, true);
    }
}
