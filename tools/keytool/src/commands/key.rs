//! `key list|show|rename|delete|export-public`.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use serde::Serialize;

use super::Context;
use crate::cli::{
    KeyDeleteArgs, KeyExportArgs, KeyListArgs, KeyNameArgs, KeyRenameArgs, PublicFormat,
};
use crate::confirm::confirm;
use crate::curve::Curve;
use crate::digest::Hash;
use crate::errors::{During, Result};
use crate::files;
use crate::keyspec;
use crate::object::{self, KEYS, Name, Object};
use crate::public_key::{PublicKey, same_id};
use crate::table::{record, table, visible};
use crate::token::{Access, Token};
use crate::usage;

/// What is shown of a key. There is no field for a value.
#[derive(Serialize)]
pub(super) struct View {
    class: &'static str,
    #[serde(rename = "type")]
    kind: String,
    size: Option<String>,
    label: String,
    id: String,
    usage: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protection: Option<Protection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_mechanisms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    uri: String,
}

/// What keeps a private or secret key in.
#[derive(Serialize)]
struct Protection {
    sensitive: bool,
    always_sensitive: bool,
    extractable: bool,
    never_extractable: bool,
    always_authenticate: bool,
    wrap_with_trusted: bool,
    local: bool,
}

impl Protection {
    fn of(token: &Token<'_>, object: &Object) -> Option<Self> {
        let is = |which| object.is(token, which);
        (object.class != ObjectClass::PUBLIC_KEY).then(|| Self {
            sensitive: is(AttributeType::Sensitive),
            always_sensitive: is(AttributeType::AlwaysSensitive),
            extractable: is(AttributeType::Extractable),
            never_extractable: is(AttributeType::NeverExtractable),
            always_authenticate: is(AttributeType::AlwaysAuthenticate),
            wrap_with_trusted: is(AttributeType::WrapWithTrusted),
            local: is(AttributeType::Local),
        })
    }

    fn words(&self) -> String {
        let words = [
            (self.sensitive, "sensitive"),
            (self.always_sensitive, "always sensitive"),
            (self.extractable, "extractable"),
            (self.never_extractable, "never extractable"),
            (self.always_authenticate, "asks for the PIN each time"),
            (self.wrap_with_trusted, "wrapped by trusted keys only"),
            (self.local, "generated here"),
        ];
        let set: Vec<&str> = words.iter().filter(|word| word.0).map(|word| word.1).collect();
        set.join(", ")
    }
}

impl View {
    /// Reads what may be shown.
    pub(super) fn new(token: &Token<'_>, object: &Object) -> Self {
        let public = PublicKey::of_object(token, object);
        let bytes = object::number(token, object.handle, AttributeType::ValueLen);
        let spki = public.as_ref().and_then(|key| key.spki().ok());
        Self {
            class: object.class_name(),
            kind: keyspec::type_name(object.key_type),
            size: public
                .map(|key| key.size())
                .or(bytes.map(|bytes| (bytes * 8).to_string()))
                .or_else(|| curve(token, object)),
            label: object.label.clone(),
            id: hex::encode(&object.id),
            usage: usage::named()
                .filter(|(_, which)| object.is(token, *which))
                .map(|(name, _)| name)
                .collect(),
            protection: Protection::of(token, object),
            allowed_mechanisms: allowed(token, object),
            fingerprint: spki.map(|der| format!("SHA256:{}", hex::encode(Hash::Sha256.of(&der)))),
            uri: object.uri(token).to_string(),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.class.to_owned(),
            self.size.as_ref().map_or(self.kind.clone(), |size| format!("{}:{size}", self.kind)),
            visible(&self.label),
            self.id.clone(),
            self.usage.join(","),
        ]
    }

    /// Prints keys that a command made.
    pub(super) fn print(context: &Context, done: &str, views: &[Self]) -> Result<()> {
        context.out.show(&views, |paint| {
            format!("{done}:\n{}", table(paint, HEADINGS, &Self::rows(views)))
        })
    }

    fn rows(views: &[Self]) -> Vec<Vec<String>> {
        views.iter().map(Self::row).collect()
    }
}

/// The curve of a private key that does not tell its point.
fn curve(token: &Token<'_>, object: &Object) -> Option<String> {
    let params = object::bytes(token, object.handle, AttributeType::EcParams)?;
    Curve::of_params(&params).map(|curve| curve.name.to_owned())
}

const HEADINGS: &[&str] = &["CLASS", "TYPE", "LABEL", "ID", "USAGE"];

fn allowed(token: &Token<'_>, object: &Object) -> Vec<String> {
    match object::attribute(token, object.handle, AttributeType::AllowedMechanisms) {
        Some(Attribute::AllowedMechanisms(list)) => list.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// `key list`.
pub(super) fn list(context: &Context, args: &KeyListArgs) -> Result<()> {
    let token = Token::choose(&context.module, &args.login, None, Access::Read)?;
    if !args.no_login {
        token.log_in()?;
    }
    let mut views = Vec::new();
    for class in KEYS {
        let objects = object::search(&token, *class, &[])?;
        views.extend(objects.iter().map(|object| View::new(&token, object)));
    }
    context.out.show(&views, |paint| {
        if views.is_empty() {
            return String::from(
                "no keys; make one: strongroom key generate ec:p256 --label LABEL",
            );
        }
        table(paint, HEADINGS, &View::rows(&views))
    })
}

/// `key show`.
pub(super) fn show(context: &Context, args: &KeyNameArgs) -> Result<()> {
    let name = Name::parse(&args.key)?;
    let token = Token::login(&context.module, &args.login, name.uri(), Access::Read)?;
    let object = object::one(&token, &name, KEYS)?;
    let view = View::new(&token, &object);
    context.out.show(&view, |paint| {
        let mut fields = vec![
            ("class", view.class.to_owned()),
            ("type", view.kind.clone()),
            ("size", view.size.clone().unwrap_or_default()),
            ("label", view.label.clone()),
            ("id", view.id.clone()),
            ("usage", view.usage.join(", ")),
            ("protection", view.protection.as_ref().map(Protection::words).unwrap_or_default()),
            ("mechanisms", view.allowed_mechanisms.join(", ")),
            ("fingerprint", view.fingerprint.clone().unwrap_or_default()),
            ("URI", view.uri.clone()),
        ];
        fields.retain(|field| !field.1.is_empty());
        record(paint, &fields)
    })
}

/// The objects that make up a key: itself and, of a pair, the public half.
fn whole(token: &Token<'_>, key: Object) -> Result<Vec<Object>> {
    let mut halves = match key.class {
        ObjectClass::PRIVATE_KEY => same_id(token, &key, ObjectClass::PUBLIC_KEY)?,
        _ => Vec::new(),
    };
    halves.retain(|half| half.label == key.label);
    halves.insert(0, key);
    Ok(halves)
}

/// `key rename`.
pub(super) fn rename(context: &Context, args: &KeyRenameArgs) -> Result<()> {
    let name = Name::parse(&args.name.key)?;
    let token = Token::login(&context.module, &args.name.login, name.uri(), Access::Write)?;
    let label = args.label.as_ref().map(|label| Attribute::Label(label.clone().into_bytes()));
    let id = args.id.as_ref().map(|id| Attribute::Id(id.0.clone()));
    let template: Vec<Attribute> = label.into_iter().chain(id).collect();
    let mut views = Vec::new();
    for half in whole(&token, object::one(&token, &name, KEYS)?)? {
        token
            .session
            .update_attributes(half.handle, &template)
            .during(format!("cannot rename the {} {name}", half.class_name()))?;
        views.push(View::new(&token, &Object::read(&token, half.handle, half.class)));
    }
    View::print(context, "renamed", &views)
}

/// `key delete`.
pub(super) fn delete(context: &Context, args: &KeyDeleteArgs) -> Result<()> {
    let name = Name::parse(&args.name.key)?;
    let token = Token::login(&context.module, &args.name.login, name.uri(), Access::Write)?;
    let halves = whole(&token, object::one(&token, &name, KEYS)?)?;
    let views: Vec<View> = halves.iter().map(|half| View::new(&token, half)).collect();
    let label = visible(&name.to_string());
    confirm(&format!("Delete the key {label}? It cannot be brought back."), args.yes)?;
    for half in &halves {
        token
            .session
            .destroy_object(half.handle)
            .during(format!("cannot delete the {} {name}", half.class_name()))?;
    }
    View::print(context, "deleted", &views)
}

/// `key export-public`.
pub(super) fn export_public(context: &Context, args: &KeyExportArgs) -> Result<()> {
    let name = Name::parse(&args.name.key)?;
    let token = Token::choose(&context.module, &args.name.login, name.uri(), Access::Read)?;
    let classes = &[ObjectClass::PUBLIC_KEY, ObjectClass::PRIVATE_KEY];
    let object = object::one_public_first(&token, &name, classes)?;
    let key = PublicKey::of(&token, &object)?;
    let bytes = match args.format {
        PublicFormat::Pem => key.pem()?.into_bytes(),
        PublicFormat::Der => key.spki()?,
        PublicFormat::Ssh => format!("{}\n", key.ssh(&object.label)?).into_bytes(),
    };
    files::write(args.output.out.as_deref(), &bytes)
}
