//! Templates: what a caller may say about an object that is made, copied or changed.

use strongroom_keystore::KeyPolicy;
use strongroom_types::rule::{Default, Flags, Rule};
use strongroom_types::{Attributes, Class, Error, KeyType, Kind, Result, Value, attribute};

use crate::certificate;
use crate::rules::{Rules, UNAVAILABLE, hidden};
use crate::separation::{Act, fill_in, judge};

/// How an object comes into being; decides which footnotes hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `C_CreateObject`.
    Create,
    /// `C_GenerateKey` and `C_GenerateKeyPair`, by this mechanism.
    Generate(u64),
    /// `C_UnwrapKey`.
    Unwrap {
        /// Whether the key that unwraps has `CKA_TRUSTED`.
        by_trusted: bool,
    },
    /// `C_DeriveKey`, from a key that was always sensitive, or never extractable.
    Derive {
        /// The base key's `CKA_ALWAYS_SENSITIVE`.
        always_sensitive: bool,
        /// The base key's `CKA_NEVER_EXTRACTABLE`.
        never_extractable: bool,
        /// Whether the value of one of the keys may not be read.
        of_hidden: bool,
        /// Whether that is so, and the bytes of the base key may be read off what comes of it.
        of_pieces: bool,
        /// Whether it is made of some bits alone of a key that may not be read, and may be read off it.
        of_bits: bool,
    },
    /// Moved here from another token, which says itself where the key comes from.
    Elsewhere,
}

impl Origin {
    /// The footnote for attributes that must be given.
    fn needed(self) -> Option<Flags> {
        match self {
            Self::Create | Self::Elsewhere => Some(Flags::NEEDED_BY_CREATE),
            Self::Generate(_) => Some(Flags::NEEDED_BY_GENERATE),
            Self::Unwrap { .. } => Some(Flags::NEEDED_BY_UNWRAP),
            Self::Derive { .. } => None,
        }
    }

    /// Whether the value comes of no key of this token, so that it does not come again.
    pub(crate) fn is_first(self) -> bool {
        !matches!(self, Self::Unwrap { .. } | Self::Derive { .. })
    }

    /// Whether an attribute with these footnotes must not be given.
    fn refuses(self, flags: Flags) -> bool {
        flags.has(match self {
            Self::Create => Flags::NOT_BY_CREATE,
            Self::Generate(_) => Flags::NOT_BY_GENERATE,
            Self::Unwrap { .. } | Self::Derive { .. } => Flags::NOT_BY_UNWRAP,
            Self::Elsewhere => return false,
        })
    }
}

/// Who describes an object.
#[derive(Clone, Copy)]
pub(crate) struct Author {
    /// Whether the security officer is logged in.
    pub(crate) security_officer: bool,
    /// Whether it is a program of SoftHSM2's time.
    pub(crate) compatible: bool,
    /// What the token lets be done with keys.
    pub(crate) policy: KeyPolicy,
}

/// A template that has been checked against the rules of the object it describes.
pub(crate) struct Draft {
    /// The attributes so far.
    pub(crate) attributes: Attributes,
    rules: Rules,
    pub(crate) origin: Origin,
    /// Whether the keys that it comes of let nothing come of them but keys that derive.
    pub(crate) pinned: bool,
    author: Author,
}

impl Draft {
    /// Checks a template for an object of the class and key type that it names itself, or that the
    /// function implies.
    pub(crate) fn new(
        mut template: Attributes,
        origin: Origin,
        class: Option<Class>,
        key_type: Option<KeyType>,
        author: Author,
    ) -> Result<Self> {
        imply(&mut template, attribute::CLASS, class.map(|class| class.0))?;
        imply(&mut template, attribute::KEY_TYPE, key_type.map(|key_type| key_type.0))?;
        let class = Class(template.need(attribute::CLASS)?);
        let has_type = matches!(
            class,
            Class::PUBLIC_KEY | Class::PRIVATE_KEY | Class::SECRET_KEY | Class::DOMAIN_PARAMETERS
        );
        let key_type = match has_type {
            true => Some(KeyType(template.need(attribute::KEY_TYPE)?)),
            false => None,
        };
        let rules = match class {
            Class::CERTIFICATE => {
                Rules::of_certificate(template.need(attribute::CERTIFICATE_TYPE)?)?
            }
            _ => Rules::of(class, key_type)?,
        };
        for (id, value) in template.iter() {
            check(id, rules.find(id), value, origin, author)?;
        }
        if let Some(needed) = origin.needed() {
            let missing = |rule: &&Rule| rule.flags.has(needed) && !template.has(rule.attribute);
            if let Some(rule) = rules.iter().find(missing) {
                let name = rule.attribute.name;
                return Err(Error::TemplateIncomplete.because(|| format!("{name} is missing")));
            }
        }
        Ok(Self { attributes: template, rules, origin, pinned: false, author })
    }

    /// Adds what a key's own template demands of keys that it unwraps or derives
    /// (`CKA_UNWRAP_TEMPLATE`, `CKA_DERIVE_TEMPLATE`).
    pub(crate) fn demand(&mut self, demanded: &Attributes) -> Result<()> {
        for (id, value) in demanded.iter() {
            match self.attributes.value(id) {
                Some(given) if given != value => {
                    let name = attribute::name(id);
                    return Err(Error::TemplateInconsistent
                        .because(|| format!("the key that is used demands another {name}")));
                }
                Some(_) => {}
                None => {
                    check(
                        id,
                        self.rules.find(id),
                        value,
                        self.origin,
                        Author { security_officer: false, ..self.author },
                    )?;
                    self.attributes.put(id, value.clone());
                }
            }
        }
        Ok(())
    }

    /// The whole object: defaults, what its history says, and what follows from its key material.
    pub(crate) fn finish(self) -> Result<Attributes> {
        self.finish_or(Error::AttributeValueInvalid)
    }

    /// The same where the template does not say the value of a key: the error if that is none of
    /// its type.
    pub(crate) fn finish_or(mut self, unsuitable: Error) -> Result<Attributes> {
        let object = &mut self.attributes;
        let policy = self.author.policy;
        fill_in(policy, object, self.rules, self.origin);
        for rule in self.rules.iter().filter(|rule| rule.attribute.id != attribute::PRIVATE.info.id)
        {
            if !object.has(rule.attribute)
                && let Some(value) = default(rule, self.author)
            {
                object.put(rule.attribute.id, value);
            }
        }
        if !object.has(attribute::PRIVATE.info) {
            object.set(attribute::PRIVATE, self.rules.private());
        }
        if object.is(attribute::ALWAYS_AUTHENTICATE) && !object.is(attribute::PRIVATE) {
            return Err(Error::TemplateInconsistent
                .since("CKA_ALWAYS_AUTHENTICATE is true, and CKA_PRIVATE is not"));
        }
        history(object, self.rules, self.origin);
        match object.get(attribute::CLASS).map(Class) {
            Some(Class::PUBLIC_KEY | Class::PRIVATE_KEY | Class::SECRET_KEY) => {
                complete(object, unsuitable)?;
            }
            Some(Class::CERTIFICATE) => {
                // What another token has is better than nothing.
                if self.origin == Origin::Create {
                    certificate::check(object)?;
                }
                certificate::complete(object)?;
            }
            Some(Class::TRUST) => certificate::check_trust(object, Error::TemplateIncomplete)?,
            _ => {}
        }
        let Self { attributes: key, origin, pinned, .. } = &self;
        judge(policy, &Act::Make { key, origin: *origin, pinned: *pinned })?;
        Ok(self.attributes)
    }
}

/// Adds what follows from the material of a key. A check value is compared when the rest is known to be
/// right: if it is wrong, the template is, whoever says the value of the key.
fn complete(key: &mut Attributes, unsuitable: Error) -> Result<()> {
    let row = strongroom_mechanisms::key_type(KeyType(key.need(attribute::KEY_TYPE)?))?;
    let check_value = key.remove(attribute::CHECK_VALUE.info);
    (row.complete)(key).map_err(|error| match error {
        Error::AttributeValueInvalid => unsuitable,
        error => error,
    })?;
    let Some(check_value) = check_value else { return Ok(()) };
    key.put(attribute::CHECK_VALUE.info.id, check_value);
    (row.complete)(key)
}

/// Sets what the function implies, unless the template says it; it must not say otherwise.
fn imply(
    template: &mut Attributes,
    attribute: strongroom_types::Attribute<attribute::kind::Ulong>,
    implied: Option<u64>,
) -> Result<()> {
    match (implied, template.get(attribute)) {
        (Some(implied), Some(given)) if given != implied => {
            let name = attribute.info.name;
            Err(Error::TemplateInconsistent
                .because(|| format!("{name} is not {implied:#x}, as the function implies")))
        }
        (Some(implied), None) => {
            template.set(attribute, implied);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks one attribute of a template for a new object.
fn check(
    id: u64,
    rule: Option<&Rule>,
    value: &Value,
    origin: Origin,
    author: Author,
) -> Result<()> {
    let rule = rule.ok_or_else(|| no_such_attribute(id))?;
    well_formed(rule, value)?;
    if origin.refuses(rule.flags) {
        // The keys of the keystore have their identifiers from it alone.
        let unknown = rule.attribute == attribute::UNIQUE_ID.info;
        let error = if unknown { Error::AttributeTypeInvalid } else { Error::AttributeReadOnly };
        let name = rule.attribute.name;
        return Err(error.because(|| format!("{name} is not for a template to say here")));
    }
    only_security_officer(rule, value, author)
}

fn no_such_attribute(id: u64) -> Error {
    let name = attribute::name(id);
    Error::AttributeTypeInvalid.because(|| format!("such objects have no {name}"))
}

fn well_formed(rule: &Rule, value: &Value) -> Result<()> {
    let date = |bytes: &[u8]| {
        bytes.is_empty() || (bytes.len() == 8 && bytes.iter().all(u8::is_ascii_digit))
    };
    match value {
        _ if !value.is(rule.attribute.kind) => {
            let name = rule.attribute.name;
            Err(Error::AttributeValueInvalid
                .because(|| format!("{name} has a value of another kind")))
        }
        Value::Bytes(bytes) if rule.attribute.kind == Kind::Date && !date(bytes) => {
            let name = rule.attribute.name;
            Err(Error::AttributeValueInvalid.because(|| format!("{name} is no date")))
        }
        _ => Ok(()),
    }
}

fn only_security_officer(rule: &Rule, value: &Value, author: Author) -> Result<()> {
    let reserved = rule.flags.has(Flags::SO_SETS_TRUE) && *value == Value::Bool(true);
    if reserved && !author.security_officer {
        let name = rule.attribute.name;
        let officer = || format!("only the security officer sets {name}");
        return Err(Error::AttributeReadOnly.because(officer));
    }
    Ok(())
}

fn default(rule: &Rule, author: Author) -> Option<Value> {
    match rule.default {
        // SoftHSM2's keys say that every mechanism is allowed by an empty list.
        Default::Absent
            if author.compatible && rule.attribute == attribute::ALLOWED_MECHANISMS.info =>
        {
            Value::empty(rule.attribute.kind)
        }
        Default::Absent => None,
        Default::Bool(value) => Some(value.into()),
        Default::Ulong(value) => Some(value.into()),
        Default::Empty => Value::empty(rule.attribute.kind),
    }
}

/// Sets the attributes that tell a key's history (4.7 and 4.9).
fn history(object: &mut Attributes, rules: Rules, origin: Origin) {
    let (local, mechanism) = match origin {
        Origin::Generate(mechanism) => (true, mechanism),
        Origin::Elsewhere => (
            object.is(attribute::LOCAL),
            object.get(attribute::KEY_GEN_MECHANISM).unwrap_or(UNAVAILABLE),
        ),
        _ => (false, UNAVAILABLE),
    };
    let sensitive = object.is(attribute::SENSITIVE);
    let unextractable = !object.is(attribute::EXTRACTABLE);
    let (always, never) = match origin {
        Origin::Generate(_) => (sensitive, unextractable),
        Origin::Derive { always_sensitive, never_extractable, .. } => {
            (always_sensitive && sensitive, never_extractable && unextractable)
        }
        // Its past may not contradict what it is.
        Origin::Elsewhere => (
            object.is(attribute::ALWAYS_SENSITIVE) && sensitive,
            object.is(attribute::NEVER_EXTRACTABLE) && unextractable,
        ),
        Origin::Create | Origin::Unwrap { .. } => (false, false),
    };
    let facts = [
        (attribute::LOCAL.info, Value::Bool(local)),
        (attribute::KEY_GEN_MECHANISM.info, Value::Ulong(mechanism)),
        (attribute::ALWAYS_SENSITIVE.info, Value::Bool(always)),
        (attribute::NEVER_EXTRACTABLE.info, Value::Bool(never)),
    ];
    for (info, value) in facts {
        if rules.find(info.id).is_some() {
            object.put(info.id, value);
        }
    }
}

/// How an object that exists is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// `C_SetAttributeValue`.
    Set,
    /// `C_CopyObject`, which may choose more.
    Copy,
}

/// The object with the changes of a template, or the reason why one of them is refused. Nothing
/// is changed unless everything is.
pub(crate) fn changed(
    object: &Attributes,
    template: &Attributes,
    change: Change,
    author: Author,
) -> Result<Attributes> {
    let rules = Rules::of_object(object)?;
    // "Trusted certificates cannot be modified."
    let is_certificate = object.get(attribute::CLASS) == Some(Class::CERTIFICATE.0);
    if is_certificate && object.is(attribute::TRUSTED) && !template.is_empty() {
        let trusted = || "a trusted certificate does not change".into();
        return Err(Error::AttributeReadOnly.because(trusted));
    }
    let mut changed = object.clone();
    for (id, value) in template.iter() {
        let rule = rules.find(id).ok_or_else(|| no_such_attribute(id))?;
        well_formed(rule, value)?;
        // SoftHSM2 refuses what is fixed even where it is so already.
        // And nobody learns whether a value is the one that may not leave the token: not by what comes of
        // it, and not by how long a comparison takes.
        let repeats =
            !author.compatible && !hidden(object, rule) && object.value(id) == Some(value);
        if repeats && change == Change::Copy {
            continue;
        }
        may_change(rule, object.value(id), value, change, author)?;
        only_security_officer(rule, value, author)?;
        changed.put(id, value.clone());
    }
    if object.is(attribute::PRIVATE) && !changed.is(attribute::PRIVATE) {
        let public = || "a private object does not become public".into();
        return Err(Error::TemplateInconsistent.because(public));
    }
    if object.get(attribute::CLASS) == Some(Class::TRUST.0) {
        certificate::check_trust(&changed, Error::TemplateInconsistent)?;
    }
    judge(author.policy, &Act::Change { before: object, after: &changed })?;
    Ok(changed)
}

fn may_change(
    rule: &Rule,
    old: Option<&Value>,
    new: &Value,
    change: Change,
    author: Author,
) -> Result<()> {
    if rule.flags.has(Flags::MAY_BE_EMPTIED) {
        return may_empty(rule, old, new);
    }
    let chosen = change == Change::Copy && rule.flags.has(Flags::COPY_CHOOSES);
    let fixed = |flag, value| {
        let same = *new == Value::Bool(value) && !author.compatible;
        rule.flags.has(flag) && old == Some(&Value::Bool(value)) && !same
    };
    let forbidden = !(rule.flags.has(Flags::MODIFIABLE) || chosen)
        || fixed(Flags::TRUE_FOREVER, true)
        || fixed(Flags::FALSE_FOREVER, false);
    if forbidden {
        let name = rule.attribute.name;
        return Err(Error::AttributeReadOnly.because(|| format!("{name} can not be changed so")));
    }
    Ok(())
}

/// A check value goes for good, or is what it is. Nobody tries values of one that is not told.
fn may_empty(rule: &Rule, old: Option<&Value>, new: &Value) -> Result<()> {
    let empty = Value::empty(rule.attribute.kind);
    if Some(new) == empty.as_ref() || Some(new) == old {
        return Ok(());
    }
    let name = rule.attribute.name;
    if old == empty.as_ref() || old.is_none() {
        return Err(Error::AttributeReadOnly.because(|| format!("{name} was given up")));
    }
    Err(Error::AttributeValueInvalid.because(|| format!("{name} is another one")))
}
