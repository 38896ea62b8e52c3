//! `CK_INTERFACE`: a name, a function list, and flags.

use core::ffi::CStr;

use cryptoki_sys::{CK_FLAGS, CK_INTERFACE, CK_VERSION};

/// An interface, and the version of its function list.
pub(crate) struct Interface {
    ck: CK_INTERFACE,
    version: CK_VERSION,
}

// SAFETY: its pointers lead to statics that threads may share, as `new` demands, and that are never
// written.
unsafe impl Sync for Interface {}

impl Interface {
    /// An interface that leads to a function list.
    pub(crate) const fn new<L: Sync>(
        name: &'static CStr,
        list: &'static L,
        version: CK_VERSION,
        flags: CK_FLAGS,
    ) -> Self {
        let list = (&raw const *list).cast_mut().cast();
        let ck = CK_INTERFACE {
            pInterfaceName: name.as_ptr().cast_mut().cast(),
            pFunctionList: list,
            flags,
        };
        Self { ck, version }
    }

    /// As C knows it.
    pub(crate) fn ck(&'static self) -> &'static CK_INTERFACE {
        &self.ck
    }

    /// Whether it has what the caller asks for.
    pub(crate) fn has(&self, version: Option<CK_VERSION>, flags: CK_FLAGS) -> bool {
        let same = |wanted: CK_VERSION| {
            (wanted.major, wanted.minor) == (self.version.major, self.version.minor)
        };
        version.is_none_or(same) && self.ck.flags & flags == flags
    }
}
