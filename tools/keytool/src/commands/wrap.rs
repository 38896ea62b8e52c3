//! `key wrap|unwrap`.

use cryptoki::object::{Attribute, ObjectClass};

use super::Context;
use super::key::View;
use crate::cipher::{Cipher, Task};
use crate::cli::{KeyUnwrapArgs, KeyWrapArgs};
use crate::errors::{During, Result};
use crate::files;
use crate::keyspec;
use crate::object::{self, Name, Object};
use crate::public_key::PublicKey;
use crate::template::Blueprint;
use crate::token::{Access, Token};

/// `key wrap`.
pub(super) fn wrap(context: &Context, args: &KeyWrapArgs) -> Result<()> {
    let name = Name::parse(&args.name.key)?;
    let with = Name::parse(&args.with)?;
    let token = Token::login(&context.module, &args.name.login, name.uri(), Access::Read)?;
    let key = object::one(&token, &name, &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY])?;
    let wrapping = object::one(&token, &with, &[ObjectClass::PUBLIC_KEY, ObjectClass::SECRET_KEY])?;
    let cipher = Cipher::choose(args.mechanism.as_deref(), wrapping.key_type, Task::Wrap)?;
    let mut iv = token.random(cipher.iv_len())?;
    let mut wrapped = iv.clone();
    let mechanism = cipher.mechanism(&mut iv, &[])?;
    let blob = token
        .session
        .wrap_key(&mechanism, wrapping.handle, key.handle)
        .during(format!("cannot wrap the key {name} with {with} by {}", cipher.name))?;
    wrapped.extend(blob);
    files::write(args.output.out.as_deref(), &wrapped)
}

/// `key unwrap`.
pub(super) fn unwrap(context: &Context, args: &KeyUnwrapArgs) -> Result<()> {
    let (key_type, is_private) = keyspec::unwrapped(&args.kind)?;
    let with = Name::parse(&args.with)?;
    let wrapped = files::document(&args.file)?;
    let token = Token::login(&context.module, &args.login, with.uri(), Access::Write)?;
    let unwrapping =
        object::one(&token, &with, &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY])?;
    let cipher = Cipher::choose(args.mechanism.as_deref(), unwrapping.key_type, Task::Wrap)?;
    let id = token.random(16)?;
    let blueprint = Blueprint::new(&token, &args.new, None, id, keyspec::for_type(key_type))?;
    let (class, mut template) = if is_private {
        (ObjectClass::PRIVATE_KEY, blueprint.private())
    } else {
        (ObjectClass::SECRET_KEY, blueprint.secret())
    };
    template.push(Attribute::Class(class));
    template.push(Attribute::KeyType(key_type));
    let (iv, blob) = wrapped.split_at_checked(cipher.iv_len()).unwrap_or((&[], &wrapped));
    let mut iv = iv.to_vec();
    let mechanism = cipher.mechanism(&mut iv, &[])?;
    let handle = token
        .session
        .unwrap_key(&mechanism, unwrapping.handle, blob, &template)
        .during(format!("cannot unwrap the key with {with} by {}", cipher.name))?;
    let key = Object::read(&token, handle, class);
    let mut made = vec![key.clone()];
    made.extend(public_half(&token, &key, &blueprint));
    let views: Vec<View> = made.iter().map(|object| View::new(&token, object)).collect();
    View::print(context, "unwrapped", &views)
}

/// Makes the public key of an unwrapped pair, where the private key tells what it is. One
/// that does not, or a module that refuses, leaves the private key alone: it is of use so.
fn public_half(token: &Token<'_>, private: &Object, blueprint: &Blueprint) -> Option<Object> {
    let class = ObjectClass::PUBLIC_KEY;
    if private.class != ObjectClass::PRIVATE_KEY {
        return None;
    }
    let key = PublicKey::of_object(token, private)?;
    let mut template = blueprint.public();
    template.push(Attribute::Class(class));
    template.push(Attribute::KeyType(key.key_type()));
    template.extend(key.attributes().ok()?);
    let handle = token.session.create_object(&template).ok()?;
    Some(Object::read(token, handle, class))
}
