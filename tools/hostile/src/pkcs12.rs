//! PKCS#12, whose bags are encrypted and under a MAC: the password is the one of the kept files.

use strongroom_keytool::foreign::{Found, key_file};

/// The password of what is kept.
const PASSWORD: &str = "password";

/// What is in such a file can be read by itself.
pub(crate) fn run(data: &[u8]) {
    for found in key_file(data, PASSWORD).unwrap_or_default() {
        if let Found::Private(spki) | Found::Public(spki) = found {
            assert!(key_file(&spki, "") == Some(vec![Found::Public(spki)]));
        }
    }
    let _ = key_file(data, "");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/pkcs12");
        let files =
            fs::read_dir(kept).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        assert!(files.filter(|bytes| key_file(bytes, PASSWORD).is_some()).count() > 3);
    }
}
