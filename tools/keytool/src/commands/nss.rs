//! `import nss`: into a token that is here, through the PKCS#11 interface.

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::types::Ulong;

use super::outcome::{Missing, Outcome};
use super::{Context, cert, import};
use crate::cli::{Hex, ImportNssArgs, NewKeyArgs};
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::nss::{Content, Databases, Entry};
use crate::pin::Source;
use crate::table::visible;
use crate::token::{Access, Token};

/// `import nss`.
pub(super) fn import(context: &Context, args: &ImportNssArgs) -> Result<Exit> {
    let databases = Databases::open(&args.dir)?;
    let password = match databases.has_keys() {
        true => databases.unlock(&Source::from(&args.password).read()?)?,
        false => None,
    };
    if databases.has_keys() && password.is_none() {
        return Err(Failure::new(Exit::Pin, "the password of the databases is wrong")
            .help("it is the one of the NSS Certificate DB, and may be empty"));
    }
    // The files are understood before the token is touched.
    let mut entries = databases.entries(password.as_ref())?;
    // After the keys, so that each certificate finds the id of its key.
    entries.sort_by_key(|entry| matches!(entry.content, Content::Certificate(_)));
    let token = Token::login(&context.module, &args.login, None, Access::Write)?;
    let info = &token.place.info;
    let mut outcome = Outcome::new(info.label(), info.serial_number());
    for entry in &entries {
        match take(&token, args, entry) {
            Ok(Some(made)) => outcome.taken = outcome.taken.saturating_add(made),
            Ok(None) => outcome.present = outcome.present.saturating_add(1),
            Err(reason) => outcome.not_taken.push(Missing { object: describe(entry), reason }),
        }
    }
    context.out.show(&outcome, |_| outcome.text("imported into the token"))?;
    Ok(if outcome.not_taken.is_empty() { Exit::Done } else { Exit::Partly })
}

/// Imports one thing; says how many objects it became, or `None` if it was here.
fn take(
    token: &Token<'_>,
    args: &ImportNssArgs,
    entry: &Entry,
) -> std::result::Result<Option<usize>, String> {
    let mut new = NewKeyArgs { label: Some(entry.label.clone()), ..NewKeyArgs::default() };
    new.id = Some(Hex(entry.id.clone())).filter(|id| !id.0.is_empty());
    new.extractable = args.extractable;
    match &entry.content {
        Content::Certificate(der) => {
            let same = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Value(der.clone())];
            if is_here(token, &same)? {
                return Ok(None);
            }
            let label = Some(entry.label.as_str()).filter(|label| !label.is_empty());
            let id = new.id.map(|id| id.0);
            cert::store(token, der, label, id).map_err(|failure| words(&failure))?;
            Ok(Some(1))
        }
        Content::Private(key) => {
            let key = key.as_ref().map_err(Clone::clone)?;
            let id = match entry.id.as_slice() {
                [] => key.public.derived_id().map_err(|failure| words(&failure))?,
                id => id.to_vec(),
            };
            let same = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id)];
            if is_here(token, &same)? {
                return Ok(None);
            }
            let made = import::private(token, &new, key, None);
            Ok(Some(made.map_err(|failure| words(&failure))?.len()))
        }
        Content::Secret(key) => {
            let key = key.as_ref().map_err(Clone::clone)?;
            // Labels and ids may be those of several keys; what all have in common makes one key.
            let len = Ulong::try_from(key.value.len()).map_err(|error| error.to_string())?;
            let same = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(key.key_type),
                Attribute::ValueLen(len),
                Attribute::Label(entry.label.clone().into_bytes()),
                Attribute::Id(entry.id.clone()),
            ];
            if is_here(token, &same)? {
                return Ok(None);
            }
            import::secret_key(token, &new, key.key_type, &key.value)
                .map_err(|failure| words(&failure))?;
            Ok(Some(1))
        }
    }
}

fn is_here(token: &Token<'_>, template: &[Attribute]) -> std::result::Result<bool, String> {
    let found = token.session.find_objects(template).during("cannot search the token");
    found.map(|found| !found.is_empty()).map_err(|failure| words(&failure))
}

fn describe(entry: &Entry) -> String {
    let what = match &entry.content {
        Content::Certificate(_) => "certificate",
        Content::Private(_) => "private key",
        Content::Secret(_) => "secret key",
    };
    format!("{what} {} (id {})", visible(&entry.label), hex::encode(&entry.id))
}

fn words(failure: &Failure) -> String {
    failure.lines().map(|(_, text)| text).collect::<Vec<_>>().join(": ")
}
