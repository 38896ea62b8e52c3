//! Where the shared library is.

use std::path::PathBuf;

/// Cargo leaves it beside the tests, which it builds it for.
pub(crate) fn path() -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name("libstrongroom_pkcs11.so");
    assert!(path.exists(), "{}", path.display());
    path
}
