//! The functions of the standard that this module does not offer, version by version.
//!
//! Their status stands in `strongroom_functions::FUNCTIONS`; a test holds the two lists together.

use cryptoki_sys::{CK_ASYNC_DATA, CK_BYTE, CK_SESSION_HANDLE, CK_ULONG, CK_UTF8CHAR};
use strongroom_types::{Error, Result};

use crate::module::module;

fn not_supported() -> Result<()> {
    module().and(Err(Error::FunctionNotSupported))
}

constant_functions! { not_supported();

    C_AsyncComplete(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, *mut CK_ASYNC_DATA);
    C_AsyncGetID(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, *mut CK_ULONG);
    C_AsyncJoin(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, CK_ULONG, *mut CK_BYTE, CK_ULONG);
}
