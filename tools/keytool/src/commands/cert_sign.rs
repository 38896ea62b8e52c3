//! `cert request|self-sign`.

use cryptoki::object::ObjectClass;
use der::pem::LineEnding;

use super::{Context, cert};
use crate::cli::{CertRequestArgs, CertSelfSignArgs, KeyNameArgs};
use crate::errors::{Failure, Result};
use crate::files;
use crate::object::{self, Name, Object};
use crate::token::{Access, Token};
use crate::x509::{self, Content};

fn open<'m>(
    context: &'m Context,
    args: &KeyNameArgs,
    access: Access,
) -> Result<(Token<'m>, Object)> {
    let name = Name::parse(&args.key)?;
    let token = Token::login(&context.module, &args.login, name.uri(), access)?;
    let key = object::one(&token, &name, &[ObjectClass::PRIVATE_KEY])?;
    Ok((token, key))
}

/// `cert request`.
pub(super) fn request(context: &Context, args: &CertRequestArgs) -> Result<()> {
    let content = Content::new(&args.subject)?;
    let (token, key) = open(context, &args.key, Access::Read)?;
    let der = x509::request(&token, &key, &content, args.subject.pss)?;
    let bytes = if args.der {
        der
    } else {
        der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, &der)
            .map_err(|error| Failure::content("cannot write PEM", error))?
            .into_bytes()
    };
    files::write(args.output.out.as_deref(), &bytes)
}

/// `cert self-sign`.
pub(super) fn self_sign(context: &Context, args: &CertSelfSignArgs) -> Result<()> {
    let content = Content::new(&args.subject)?;
    let access = if args.store { Access::Write } else { Access::Read };
    let (token, key) = open(context, &args.key, access)?;
    let der = x509::self_signed(&token, &key, content, args.subject.pss, args.days)?;
    if args.store {
        cert::store(&token, &der, Some(&key.label), Some(key.id))?;
    }
    let bytes = if args.der { der } else { cert::pem(&der)?.into_bytes() };
    files::write(args.output.out.as_deref(), &bytes)
}
