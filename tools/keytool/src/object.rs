//! Objects of a token: finding them by name, and reading what may be read.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::token::Token;
use crate::uri::Uri;

/// The classes of keys.
pub(crate) const KEYS: &[ObjectClass] =
    &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY, ObjectClass::PUBLIC_KEY];

/// A class, what people call it, and its `type` in RFC 7512.
const CLASSES: &[(ObjectClass, &str, &str)] = &[
    (ObjectClass::PRIVATE_KEY, "private key", "private"),
    (ObjectClass::PUBLIC_KEY, "public key", "public"),
    (ObjectClass::SECRET_KEY, "secret key", "secret-key"),
    (ObjectClass::CERTIFICATE, "certificate", "cert"),
    (ObjectClass::DATA, "data", "data"),
];

/// An object and what identifies it.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) handle: ObjectHandle,
    pub(crate) class: ObjectClass,
    pub(crate) label: String,
    pub(crate) id: Vec<u8>,
    pub(crate) key_type: Option<KeyType>,
}

impl Object {
    /// Reads what identifies an object.
    pub(crate) fn read(token: &Token<'_>, handle: ObjectHandle, class: ObjectClass) -> Self {
        let label = bytes(token, handle, AttributeType::Label).unwrap_or_default();
        Self {
            handle,
            class,
            label: String::from_utf8_lossy(&label).into_owned(),
            id: bytes(token, handle, AttributeType::Id).unwrap_or_default(),
            key_type: key_type(token, handle),
        }
    }

    /// What people call objects of this class.
    pub(crate) fn class_name(&self) -> &'static str {
        CLASSES.iter().find(|row| row.0 == self.class).map_or("object", |row| row.1)
    }

    /// The URI of the object.
    pub(crate) fn uri(&self, token: &Token<'_>) -> Uri {
        Uri {
            object: Some(self.label.clone()).filter(|label| !label.is_empty()),
            id: Some(self.id.clone()).filter(|id| !id.is_empty()),
            kind: CLASSES.iter().find(|row| row.0 == self.class).map(|row| row.2.to_owned()),
            ..token.place.uri()
        }
    }

    /// A boolean attribute; one that the module does not know is false.
    pub(crate) fn is(&self, token: &Token<'_>, attribute: AttributeType) -> bool {
        flag(token, self.handle, attribute).unwrap_or(false)
    }

    fn line(&self) -> String {
        format!("{} \"{}\" id {}", self.class_name(), self.label, hex::encode(&self.id))
    }
}

/// How a person names an object.
pub(crate) enum Name {
    /// By URI.
    Uri(Box<Uri>),
    /// By label or, where no label fits, by id.
    Plain(String),
}

impl Name {
    /// Reads a name.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if !Uri::is_uri(text) {
            return Ok(Self::Plain(text.to_owned()));
        }
        let uri = Uri::parse(text)?;
        if uri.names_object() {
            return Ok(Self::Uri(Box::new(uri)));
        }
        Err(Failure::usage("the URI names no object").help("add object=LABEL or id=%01 to it"))
    }

    /// The URI, which may name the token, too.
    pub(crate) fn uri(&self) -> Option<&Uri> {
        match self {
            Self::Uri(uri) => Some(uri),
            Self::Plain(_) => None,
        }
    }

    /// The searches that this name means: the next is made when the one before finds nothing.
    fn templates(&self) -> Vec<Vec<Attribute>> {
        match self {
            Self::Uri(uri) => {
                let label = uri.object.as_ref().map(|l| Attribute::Label(l.as_bytes().to_vec()));
                let id = uri.id.as_ref().map(|id| Attribute::Id(id.clone()));
                vec![label.into_iter().chain(id).collect()]
            }
            Self::Plain(text) => {
                let id = hex::decode(text.replace(':', "")).ok().filter(|id| !id.is_empty());
                std::iter::once(vec![Attribute::Label(text.as_bytes().to_vec())])
                    .chain(id.map(|id| vec![Attribute::Id(id)]))
                    .collect()
            }
        }
    }

    fn allows(&self, class: ObjectClass) -> bool {
        let Some(kind) = self.uri().and_then(|uri| uri.kind.as_deref()) else { return true };
        CLASSES.iter().any(|row| row.0 == class && row.2 == kind)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uri(uri) => uri.fmt(f),
            Self::Plain(text) => text.fmt(f),
        }
    }
}

/// Every object of the class that fits the template.
pub(crate) fn search(
    token: &Token<'_>,
    class: ObjectClass,
    template: &[Attribute],
) -> Result<Vec<Object>> {
    let mut full = vec![Attribute::Class(class), Attribute::Token(true)];
    full.extend_from_slice(template);
    let handles =
        token.session.find_objects(&full).during("cannot search the objects of the token")?;
    Ok(handles.into_iter().map(|handle| Object::read(token, handle, class)).collect())
}

/// The objects of a name in the given classes.
pub(crate) fn named(
    token: &Token<'_>,
    name: &Name,
    classes: &[ObjectClass],
) -> Result<Vec<Object>> {
    for template in name.templates() {
        let mut found = Vec::new();
        for class in classes.iter().filter(|class| name.allows(**class)) {
            found.extend(search(token, *class, &template)?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The one object of a name, of the first class that has any.
pub(crate) fn one(token: &Token<'_>, name: &Name, classes: &[ObjectClass]) -> Result<Object> {
    let found = named(token, name, classes)?;
    let Some(first) = classes.iter().find(|class| found.iter().any(|o| o.class == **class)) else {
        return Err(missing(name, classes));
    };
    let mut fitting = found.into_iter().filter(|object| object.class == *first);
    match (fitting.next(), fitting.next()) {
        (Some(object), None) => Ok(object),
        (first, second) => {
            let lines: Vec<String> = first
                .iter()
                .chain(&second)
                .map(Object::line)
                .chain(fitting.map(|o| o.line()))
                .collect();
            Err(Failure::new(Exit::Ambiguous, format!("several objects are named {name}"))
                .cause(lines.join("; "))
                .help("use the id, or the PKCS#11 URI that `strongroom key show` prints"))
        }
    }
}

/// The one object of a name; logs in only if it is not among the public ones.
pub(crate) fn one_public_first(
    token: &Token<'_>,
    name: &Name,
    classes: &[ObjectClass],
) -> Result<Object> {
    if named(token, name, classes)?.is_empty() {
        token.log_in()?;
    }
    one(token, name, classes)
}

fn missing(name: &Name, classes: &[ObjectClass]) -> Failure {
    let kinds: Vec<&str> =
        CLASSES.iter().filter(|row| classes.contains(&row.0)).map(|row| row.1).collect();
    Failure::new(Exit::NotFound, format!("there is no {} named {name}", kinds.join(" or ")))
        .help("`strongroom key list` and `strongroom cert list` show what is there")
}

/// The attributes of a list that the object has and shows, asked for one at a time: a module
/// may fail the whole list for one attribute that it does not know.
pub(crate) fn attribute(
    token: &Token<'_>,
    handle: ObjectHandle,
    attribute: AttributeType,
) -> Option<Attribute> {
    token.session.get_attributes(handle, &[attribute]).ok()?.pop()
}

/// A boolean attribute.
pub(crate) fn flag(token: &Token<'_>, handle: ObjectHandle, which: AttributeType) -> Option<bool> {
    use Attribute as A;
    match attribute(token, handle, which)? {
        A::AlwaysAuthenticate(value)
        | A::AlwaysSensitive(value)
        | A::Decrypt(value)
        | A::Derive(value)
        | A::Encrypt(value)
        | A::Extractable(value)
        | A::Local(value)
        | A::NeverExtractable(value)
        | A::Private(value)
        | A::Sensitive(value)
        | A::Sign(value)
        | A::Trusted(value)
        | A::Unwrap(value)
        | A::Verify(value)
        | A::Wrap(value)
        | A::WrapWithTrusted(value)
        | A::Modifiable(value)
        | A::Destroyable(value) => Some(value),
        _ => None,
    }
}

/// A byte string attribute; empty counts as not there.
pub(crate) fn bytes(
    token: &Token<'_>,
    handle: ObjectHandle,
    which: AttributeType,
) -> Option<Vec<u8>> {
    use Attribute as A;
    let value = match attribute(token, handle, which)? {
        A::Label(value)
        | A::Id(value)
        | A::Modulus(value)
        | A::PublicExponent(value)
        | A::EcParams(value)
        | A::EcPoint(value)
        | A::PublicKeyInfo(value)
        | A::Subject(value)
        | A::Issuer(value)
        | A::SerialNumber(value)
        | A::UniqueId(value)
        | A::Value(value) => value,
        _ => return None,
    };
    Some(value).filter(|value| !value.is_empty())
}

/// A number; `None` where the object has none.
pub(crate) fn number(token: &Token<'_>, handle: ObjectHandle, which: AttributeType) -> Option<u64> {
    match attribute(token, handle, which)? {
        Attribute::ValueLen(value) | Attribute::ModulusBits(value) => Some(*value),
        Attribute::ParameterSet(value) => Some(*cryptoki::types::Ulong::from(value)),
        _ => None,
    }
}

fn key_type(token: &Token<'_>, handle: ObjectHandle) -> Option<KeyType> {
    match attribute(token, handle, AttributeType::KeyType)? {
        Attribute::KeyType(value) => Some(value),
        _ => None,
    }
}
