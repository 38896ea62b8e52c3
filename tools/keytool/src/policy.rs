//! The policy of a token: what it lets be done with its keys. Strongroom's tokens tell it by an object
//! of a class of their own (CONFORMANCE.md, "Key separation").

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use strongroom_types::Class;

use crate::errors::{During, Result};

/// The name of a token's policy; nothing if the module has none.
pub(crate) fn of(session: &Session) -> Result<Option<String>> {
    let Some(object) = object(session)? else { return Ok(None) };
    let told = session
        .get_attributes(object, &[AttributeType::Value])
        .during("cannot ask for the policy of the token")?;
    Ok(told.iter().find_map(|attribute| match attribute {
        Attribute::Value(name) => Some(String::from_utf8_lossy(name).into_owned()),
        _ => None,
    }))
}

fn object(session: &Session) -> Result<Option<ObjectHandle>> {
    // The crate knows the standard's classes alone; a number is as long as the machine's.
    let class = usize::try_from(Class::POLICY.0).unwrap_or(usize::MAX).to_ne_bytes().to_vec();
    let class = Attribute::VendorDefined((AttributeType::Class, class));
    let found = session.find_objects(&[class]).during("cannot look for the policy of the token")?;
    Ok(found.first().copied())
}
