//! The arguments of `C_Initialize` and `C_Finalize`.

use core::ffi::c_void;

use cryptoki_sys::CK_C_INITIALIZE_ARGS;
use strongroom_types::{Error, Result};

use super::InPtr;

impl InPtr<'_, c_void> {
    /// Checks a `CK_C_INITIALIZE_ARGS`, or that there is none.
    ///
    /// Nothing of it is kept. The module locks with the operating system's means however the
    /// application would like it: they serve every thread there can be, so all four cases of
    /// section 5.4 are honoured, and the functions for locking are never called.
    pub(crate) fn initialize_args(&self) -> Result<()> {
        if self.is_null() {
            return Ok(());
        }
        let args = self.cast::<CK_C_INITIALIZE_ARGS>().read()?;
        let mutex_functions = [
            args.CreateMutex.is_some(),
            args.DestroyMutex.is_some(),
            args.LockMutex.is_some(),
            args.UnlockMutex.is_some(),
        ];
        let all_or_none = matches!(mutex_functions, [true, true, true, true])
            || matches!(mutex_functions, [false, false, false, false]);
        if all_or_none && args.pReserved.is_null() { Ok(()) } else { Err(Error::ArgumentsBad) }
    }

    /// Checks a pointer that the standard reserves: it must be null, and is not followed.
    pub(crate) fn reserved(&self) -> Result<()> {
        if self.is_null() { Ok(()) } else { Err(Error::ArgumentsBad) }
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CK_RV, CKF_LIBRARY_CANT_CREATE_OS_THREADS, CKF_OS_LOCKING_OK};

    use super::super::Argument;
    use super::*;

    unsafe extern "C" fn create(_: *mut *mut c_void) -> CK_RV {
        panic!("never called")
    }

    unsafe extern "C" fn other(_: *mut c_void) -> CK_RV {
        panic!("never called")
    }

    fn check(mut args: CK_C_INITIALIZE_ARGS) -> Result<()> {
        // SAFETY: a local that outlives the call.
        unsafe { InPtr::from_c((&raw mut args).cast::<c_void>()) }.initialize_args()
    }

    fn with_functions(set: [bool; 4]) -> CK_C_INITIALIZE_ARGS {
        let [a, b, c, d] = set;
        CK_C_INITIALIZE_ARGS {
            CreateMutex: a.then_some(create),
            DestroyMutex: b.then_some(other),
            LockMutex: c.then_some(other),
            UnlockMutex: d.then_some(other),
            ..Default::default()
        }
    }

    #[test]
    fn every_way_of_locking_is_honoured() {
        // SAFETY: null.
        let null: InPtr<'_, c_void> = unsafe { InPtr::from_c(core::ptr::null_mut()) };
        assert_eq!(null.initialize_args(), Ok(()));
        for functions in [[false; 4], [true; 4]] {
            for flags in [0, CKF_OS_LOCKING_OK, CKF_LIBRARY_CANT_CREATE_OS_THREADS] {
                let args = CK_C_INITIALIZE_ARGS { flags, ..with_functions(functions) };
                assert_eq!(check(args), Ok(()));
            }
        }
    }

    #[test]
    fn some_mutex_functions_are_none() {
        for set in 1..15 {
            let functions = [0, 1, 2, 3].map(|bit| set & (1 << bit) != 0);
            assert_eq!(check(with_functions(functions)), Err(Error::ArgumentsBad));
        }
    }

    #[test]
    fn reserved_is_null_and_not_followed() {
        let wild = core::ptr::without_provenance_mut(1);
        let args = CK_C_INITIALIZE_ARGS { pReserved: wild, ..Default::default() };
        assert_eq!(check(args), Err(Error::ArgumentsBad));
        // SAFETY: not followed, which is what this test is about.
        let reserved: InPtr<'_, c_void> = unsafe { InPtr::from_c(wild) };
        assert_eq!(reserved.reserved(), Err(Error::ArgumentsBad));
    }

    #[test]
    fn arguments_may_be_misaligned() {
        let mut memory =
            [core::mem::MaybeUninit::<u8>::uninit(); 1 + size_of::<CK_C_INITIALIZE_ARGS>()];
        let odd = memory[1..].as_mut_ptr().cast::<CK_C_INITIALIZE_ARGS>();
        // SAFETY: `memory` has room for it behind its first byte.
        unsafe { odd.write_unaligned(CK_C_INITIALIZE_ARGS::default()) };
        // SAFETY: `memory` outlives the call.
        let args = unsafe { InPtr::from_c(odd.cast::<c_void>()) };
        assert_eq!(args.initialize_args(), Ok(()));
    }
}
