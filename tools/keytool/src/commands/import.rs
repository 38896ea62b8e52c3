//! `key import`.

use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::Context;
use super::cert;
use super::key::View;
use crate::cli::{KeyImportArgs, NewKeyArgs, RawKind};
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::files;
use crate::keyspec;
use crate::material::{self, Material, Password};
use crate::object::Object;
use crate::pin::Source;
use crate::private_key::{PrivateKey, Sensitive};
use crate::public_key::PublicKey;
use crate::template::Blueprint;
use crate::token::{Access, Token};

/// `key import`.
pub(super) fn import(context: &Context, args: &KeyImportArgs) -> Result<()> {
    let bytes = files::document(&args.file)?;
    if let Some(kind) = args.raw {
        let value = material::raw(&bytes);
        let token = Token::login(&context.module, &args.login, None, Access::Write)?;
        let object = secret(&token, args, kind, &value)?;
        return View::print(context, "imported", &[View::new(&token, &object)]);
    }
    // The file is understood before the token is touched.
    let found = material::read(&bytes, &Password::new(Source::from(&args.password)))
        .map_err(|failure| failure.in_file(&args.file))?;
    let is_key = |one: &Material| !matches!(one, Material::Certificate(_));
    if !found.iter().any(is_key) {
        return Err(Failure::new(Exit::File, "there is no key in the file")
            .help("certificates are imported with `strongroom cert import`"));
    }
    let token = Token::login(&context.module, &args.login, None, Access::Write)?;
    let mut views = Vec::new();
    for one in found.iter().filter(|one| is_key(one)) {
        let made = match one {
            Material::Private(key, name) => private(&token, &args.new, key, name.as_deref())?,
            Material::Public(key) => vec![public(&token, &args.new, key, None)?],
            Material::Certificate(_) => Vec::new(),
        };
        views.extend(made.iter().map(|object| View::new(&token, object)));
    }
    // After the keys, so that each certificate finds the id of its key.
    for one in found.iter().filter(|_| !args.no_certificates) {
        if let Material::Certificate(der) = one {
            cert::store(&token, der, None, None)?;
        }
    }
    View::print(context, "imported", &views)
}

/// A private key, and the public key that goes with it.
pub(super) fn private(
    token: &Token<'_>,
    new: &NewKeyArgs,
    key: &PrivateKey,
    name: Option<&str>,
) -> Result<Vec<Object>> {
    let usages = keyspec::for_type(key.key_type());
    let id = key.public.derived_id()?;
    let blueprint = Blueprint::new(token, new, name, id, usages)?;
    let mut rest = blueprint.private();
    rest.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    rest.push(Attribute::KeyType(key.key_type()));
    let template = key.material.with(rest);
    let handle = create(token, key.key_type(), template.template(), "the private key")?;
    let public = match public(token, new, &key.public, name) {
        Ok(public) => public,
        Err(failure) => {
            // Half a pair is no result; the first half goes if the second does not come.
            let _gone = token.session.destroy_object(handle);
            return Err(failure);
        }
    };
    Ok(vec![Object::read(token, handle, ObjectClass::PRIVATE_KEY), public])
}

fn public(
    token: &Token<'_>,
    new: &NewKeyArgs,
    key: &PublicKey,
    name: Option<&str>,
) -> Result<Object> {
    let usages = keyspec::for_type(key.key_type());
    let blueprint = Blueprint::new(token, new, name, key.derived_id()?, usages)?;
    let mut template = blueprint.public();
    template.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
    template.push(Attribute::KeyType(key.key_type()));
    template.extend(key.attributes()?);
    let handle = create(token, key.key_type(), &template, "the public key")?;
    Ok(Object::read(token, handle, ObjectClass::PUBLIC_KEY))
}

/// Creates a key object. Modules before PKCS#11 3.0 keep X25519 keys among the Edwards keys.
fn create(
    token: &Token<'_>,
    key_type: KeyType,
    template: &[Attribute],
    what: &str,
) -> Result<cryptoki::object::ObjectHandle> {
    let what = format!("cannot import {what}");
    match token.session.create_object(template) {
        Err(first) if key_type == KeyType::EC_MONTGOMERY => {
            let others = template.iter().map(|attribute| match attribute {
                Attribute::KeyType(_) => Attribute::KeyType(KeyType::EC_EDWARDS),
                other => other.clone(),
            });
            let second = Sensitive::new(others.collect());
            token.session.create_object(second.template()).or(Err(first)).during(what)
        }
        answer => answer.during(what),
    }
}

fn secret(token: &Token<'_>, args: &KeyImportArgs, kind: RawKind, value: &[u8]) -> Result<Object> {
    let key_type = match kind {
        RawKind::Aes => KeyType::AES,
        RawKind::Generic => KeyType::GENERIC_SECRET,
    };
    if kind == RawKind::Aes && ![16, 24, 32].contains(&value.len()) {
        return Err(Failure::content(
            "this is no AES key",
            format!("an AES key has 16, 24 or 32 bytes, and the file {}", value.len()),
        ));
    }
    secret_key(token, &args.new, key_type, value)
}

/// A secret key of which the value is at hand.
pub(super) fn secret_key(
    token: &Token<'_>,
    new: &NewKeyArgs,
    key_type: KeyType,
    value: &[u8],
) -> Result<Object> {
    // At random: an id made from a secret would tell something about it.
    let id = token.random(16)?;
    let blueprint = Blueprint::new(token, new, None, id, keyspec::for_type(key_type))?;
    let mut rest = blueprint.secret();
    rest.push(Attribute::Class(ObjectClass::SECRET_KEY));
    rest.push(Attribute::KeyType(key_type));
    let template = Sensitive::value(value).with(rest);
    let handle = create(token, key_type, template.template(), "the secret key")?;
    Ok(Object::read(token, handle, ObjectClass::SECRET_KEY))
}
