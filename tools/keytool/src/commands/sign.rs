//! `sign` and `verify`.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use serde::Serialize;

use super::Context;
use crate::cli::{SchemeArgs, SignArgs, VerifyArgs};
use crate::digest::Hash;
use crate::ecdsa;
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::files::{self, Input};
use crate::object::{self, Name, Object};
use crate::progress::Bar;
use crate::public_key::PublicKey;
use crate::scheme::{self, Scheme};
use crate::token::{Access, Token};

/// How much a module gets at a time.
pub(super) const CHUNK: usize = 64 << 10;

/// How a signature is made on this module.
pub(crate) struct Plan {
    mechanism: fn() -> Mechanism<'static>,
    /// The hash that is computed here, because the module does not.
    hash: Option<Hash>,
    parts: bool,
}

impl Plan {
    /// Raw ECDSA where the module lacks the hashed kind (SoftHSM 2.6), the scheme as it is
    /// otherwise.
    pub(crate) fn new(token: &Token<'_>, scheme: &Scheme) -> Self {
        let kind = (scheme.mechanism)().mechanism_type();
        let lacks = || token.module.get_mechanism_info(token.place.slot, kind).is_err();
        match scheme.ecdsa {
            Some(hash) if lacks() => {
                Self { mechanism: || Mechanism::Ecdsa, hash: Some(hash), parts: false }
            }
            _ => Self { mechanism: scheme.mechanism, hash: None, parts: scheme.parts },
        }
    }

    /// Signs data that is at hand.
    pub(crate) fn sign(&self, token: &Token<'_>, key: &Object, data: &[u8]) -> Result<Vec<u8>> {
        let what = || format!("cannot sign with the key {}", key.label);
        let digest = self.hash.map(|hash| hash.of(data));
        let data = digest.as_deref().unwrap_or(data);
        let mechanism = (self.mechanism)();
        if !key.is(token, AttributeType::AlwaysAuthenticate) {
            return token.session.sign(&mechanism, key.handle, data).during(what());
        }
        // The PIN goes between Init and the data, which the binding's one call cannot do.
        token.session.sign_init(&mechanism, key.handle).during(what())?;
        token.log_in_for_this_use()?;
        token.session.sign_update(data).during(what())?;
        token.session.sign_final().during(what())
    }

    /// The data of an input as this plan wants it: a digest, the whole, or what fits into one
    /// part; true when there is more.
    fn first(&self, input: &mut Input, bar: &mut Bar) -> Result<(Vec<u8>, bool)> {
        let mut chunk = Vec::with_capacity(CHUNK);
        if self.hash.is_none() && !self.parts {
            return Ok((input.all()?.to_vec(), false));
        }
        input.fill(&mut chunk, CHUNK)?;
        let Some(hash) = self.hash else {
            let more = chunk.len() == CHUNK;
            return Ok((chunk, more));
        };
        let mut context = hash.start();
        while !chunk.is_empty() {
            context.update(&chunk);
            bar.advance(chunk.len());
            input.fill(&mut chunk, CHUNK)?;
        }
        Ok((context.finish().as_ref().to_vec(), false))
    }
}

/// Gives the rest of an input to a module, part by part.
fn feed(
    input: &mut Input,
    first: Vec<u8>,
    bar: &mut Bar,
    mut update: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut chunk = first;
    while !chunk.is_empty() {
        update(&chunk)?;
        bar.advance(chunk.len());
        input.fill(&mut chunk, CHUNK)?;
    }
    Ok(())
}

fn sign_input(
    context: &Context,
    token: &Token<'_>,
    key: &Object,
    plan: &Plan,
    input: &mut Input,
) -> Result<Vec<u8>> {
    let what = || format!("cannot sign with the key {}", key.label);
    let mut bar = Bar::new(context.out.progress, input.len);
    let (first, more) = plan.first(input, &mut bar)?;
    if !more {
        let whole = Plan { hash: None, ..*plan };
        return whole.sign(token, key, &first);
    }
    token.session.sign_init(&(plan.mechanism)(), key.handle).during(what())?;
    if key.is(token, AttributeType::AlwaysAuthenticate) {
        token.log_in_for_this_use()?;
    }
    feed(input, first, &mut bar, |part| token.session.sign_update(part).during(what()))?;
    token.session.sign_final().during(what())
}

fn choose(token: &Token<'_>, key: &Object, args: &SchemeArgs) -> Result<Scheme> {
    let public = PublicKey::of(token, key).ok();
    scheme::choose(args.mechanism.as_deref(), key.key_type, public.as_ref())
}

/// `sign`.
pub(super) fn sign(context: &Context, args: &SignArgs) -> Result<()> {
    let name = Name::parse(&args.key.key)?;
    let mut input = Input::open(args.input.as_deref())?;
    let token = Token::login(&context.module, &args.key.login, name.uri(), Access::Read)?;
    let classes = &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY];
    let key = object::one(&token, &name, classes)?;
    let scheme = choose(&token, &key, &args.scheme)?;
    let plan = Plan::new(&token, &scheme);
    let mut signature = sign_input(context, &token, &key, &plan, &mut input)?;
    if scheme.der && !args.scheme.raw {
        signature = ecdsa::to_der(&signature)?;
    }
    files::write(args.output.out.as_deref(), &signature)
}

/// The answer of `verify`.
#[derive(Serialize)]
struct Verified {
    valid: bool,
    mechanism: &'static str,
}

/// `verify`.
pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<()> {
    let name = Name::parse(&args.key.key)?;
    let mut signature = files::document(&args.signature)?.to_vec();
    let mut input = Input::open(args.input.as_deref())?;
    let token = Token::choose(&context.module, &args.key.login, name.uri(), Access::Read)?;
    let key = verifying_key(&token, &name)?;
    let scheme = choose(&token, &key, &args.scheme)?;
    let plan = Plan::new(&token, &scheme);
    if scheme.der && !args.scheme.raw {
        let Some(PublicKey::Curve { curve, .. }) = PublicKey::of_object(&token, &key) else {
            return Err(Failure::new(Exit::Unsupported, "the curve of this key is not known"));
        };
        signature = ecdsa::from_der(&signature, curve.field)?;
    }
    verify_input(context, &token, &key, &plan, &mut input, &signature)?;
    context.out.done(&Verified { valid: true, mechanism: scheme.name }, "the signature is valid")
}

/// A key that verifies: a public or secret key, or the public half of a private key, which is
/// made for this session when the token does not hold it.
fn verifying_key(token: &Token<'_>, name: &Name) -> Result<Object> {
    let classes = &[ObjectClass::PUBLIC_KEY, ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY];
    let key = object::one_public_first(token, name, classes)?;
    if key.class != ObjectClass::PRIVATE_KEY {
        return Ok(key);
    }
    let public = PublicKey::of(token, &key)?;
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(public.key_type()),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Verify(true),
    ];
    template.extend(public.attributes()?);
    let handle = token
        .session
        .create_object(&template)
        .during("cannot use the public half of the private key")?;
    Ok(Object::read(token, handle, ObjectClass::PUBLIC_KEY))
}

fn verify_input(
    context: &Context,
    token: &Token<'_>,
    key: &Object,
    plan: &Plan,
    input: &mut Input,
    signature: &[u8],
) -> Result<()> {
    let what = || String::from("the signature is not valid");
    let mut bar = Bar::new(context.out.progress, input.len);
    let (first, more) = plan.first(input, &mut bar)?;
    let mechanism = (plan.mechanism)();
    if !more {
        return token.session.verify(&mechanism, key.handle, &first, signature).during(what());
    }
    token.session.verify_init(&mechanism, key.handle).during("cannot verify with this key")?;
    feed(input, first, &mut bar, |part| {
        token.session.verify_update(part).during("cannot verify with this key")
    })?;
    token.session.verify_final(signature).during(what())
}
