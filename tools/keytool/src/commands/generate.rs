//! `key generate`.

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};

use super::Context;
use super::key::View;
use crate::cli::KeyGenerateArgs;
use crate::errors::{During, Result};
use crate::keyspec::KeySpec;
use crate::object::Object;
use crate::progress::while_waiting;
use crate::public_key::PublicKey;
use crate::template::Blueprint;
use crate::token::{Access, Token};

/// `key generate`.
pub(super) fn generate(context: &Context, args: &KeyGenerateArgs) -> Result<()> {
    let spec = KeySpec::parse(&args.spec)?;
    let token = Token::login(&context.module, &args.login, None, Access::Write)?;
    let id = token.random(16)?;
    let blueprint = Blueprint::new(&token, &args.new, None, id, spec.default_usages())?;
    let handles = while_waiting(context.out.progress, "generating the key", || {
        make(&token, &spec, &blueprint)
    })?;
    if args.new.id.is_none() {
        name_by_public_key(&token, &handles);
    }
    let views: Vec<View> = handles
        .iter()
        .map(|(handle, class)| View::new(&token, &Object::read(&token, *handle, *class)))
        .collect();
    View::print(context, "generated", &views)
}

/// What was made, the private or secret key first.
type Made = Vec<(ObjectHandle, ObjectClass)>;

/// Tries the requests in order; the error that counts is the first one.
fn make(token: &Token<'_>, spec: &KeySpec, blueprint: &Blueprint) -> Result<Made> {
    let mut first = None;
    for (mechanism, wanted) in spec.requests() {
        let made = if spec.is_pair() {
            let mut public = blueprint.public();
            public.extend(wanted);
            token.session.generate_key_pair(&mechanism, &public, &blueprint.private()).map(
                |(public, private)| {
                    vec![(private, ObjectClass::PRIVATE_KEY), (public, ObjectClass::PUBLIC_KEY)]
                },
            )
        } else {
            let mut secret = blueprint.secret();
            secret.extend(wanted);
            token
                .session
                .generate_key(&mechanism, &secret)
                .map(|handle| vec![(handle, ObjectClass::SECRET_KEY)])
        };
        match made {
            Ok(made) => return Ok(made),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(Vec::new()), Err).during("cannot generate the key")
}

/// Gives a pair the id that certificates for it will have. A module that does not allow that
/// leaves the random id, which is as good.
fn name_by_public_key(token: &Token<'_>, made: &Made) {
    let public = made.iter().find(|made| made.1 == ObjectClass::PUBLIC_KEY);
    let id = public
        .map(|(handle, class)| Object::read(token, *handle, *class))
        .and_then(|object| PublicKey::of_object(token, &object)?.derived_id().ok());
    let Some(id) = id else { return };
    let old = made.first().and_then(|(handle, _)| {
        crate::object::bytes(token, *handle, cryptoki::object::AttributeType::Id)
    });
    let set = |id: &[u8]| {
        made.iter().try_for_each(|(handle, _)| {
            token.session.update_attributes(*handle, &[Attribute::Id(id.to_vec())])
        })
    };
    if let (Err(_), Some(old)) = (set(&id), old) {
        // The halves must have one id, the new or the old.
        let _back = set(&old);
    }
}
