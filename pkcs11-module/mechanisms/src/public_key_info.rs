//! `CKA_PUBLIC_KEY_INFO` (PKCS#11 3.2, 4.8 and 4.9): what every key pair's objects carry.

use strongroom_types::{Attributes, Error, Result, attribute};

/// Sets the attribute, unless the template had it, and then it must be the same.
pub(crate) fn set(key: &mut Attributes, info: &[u8]) -> Result<()> {
    match key.get(attribute::PUBLIC_KEY_INFO) {
        Some(given) if !given.is_empty() && given != info => {
            Err(Error::TemplateInconsistent.since("CKA_PUBLIC_KEY_INFO is not that of the key"))
        }
        _ => {
            key.set(attribute::PUBLIC_KEY_INFO, info);
            Ok(())
        }
    }
}
