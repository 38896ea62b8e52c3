//! C functions: how a body in safe code becomes one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cryptoki_sys::{CKR_GENERAL_ERROR, CKR_OK};
use strongroom_types::{Error, Result};

use super::{CkUlong, exit, fork, narrow};
use crate::log;

/// Runs the body of a C function: turns its outcome into a `CK_RV`, and stops a panic at the
/// border, where it would otherwise take the host process with it.
pub(crate) fn guard(name: &'static str, body: impl FnOnce() -> Result<()>) -> CkUlong {
    run(exit::begun(), || log::watch(name, body))
}

/// The same for a function that a thread may still call when it ends.
pub(crate) fn guard_late(name: &'static str, body: impl FnOnce() -> Result<()>) -> CkUlong {
    run(exit::begun_for_all(), || log::watch(name, body))
}

/// The same for the function that starts the module.
pub(crate) fn guard_start(name: &'static str, body: impl FnOnce() -> Result<()>) -> CkUlong {
    run(exit::begun(), || log::watch_start(name, body))
}

fn run(refused: bool, call: impl FnOnce() -> Result<()>) -> CkUlong {
    let outcome = if refused {
        Err(Error::CryptokiNotInitialized)
    } else {
        let watched = || fork::call(call);
        catch_unwind(AssertUnwindSafe(watched)).unwrap_or(Err(Error::GeneralError))
    };
    match outcome {
        Ok(()) => CKR_OK,
        Err(error) => narrow(error.rv()).unwrap_or(CKR_GENERAL_ERROR),
    }
}

/// Declares C functions. A body is safe Rust with `?`; it is a function of its own, so that what
/// the C function may do is not allowed to it. The C functions are in the module `c`. A thread that
/// ends may still call those marked `@late`; the one marked `@start` starts the module.
macro_rules! functions {
    (@guard) => { $crate::abi::guard };
    (@guard late) => { $crate::abi::guard_late };
    (@guard start) => { $crate::abi::guard_start };
    ($(
        $(#[$doc:meta])*
        $(@$when:ident)? fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block
    )*) => {
        $(
            $(#[$doc])*
            #[allow(non_snake_case, reason = "the standard's name")]
            #[allow(clippy::too_many_arguments, reason = "the standard's prototype")]
            fn $name($($arg: $ty),*) -> strongroom_types::Result<()> $body
        )*

        /// The same, as C calls them.
        #[allow(unsafe_code, reason = "generated: each does nothing but take its arguments over")]
        #[allow(non_snake_case, reason = "the standard's name")]
        #[allow(clippy::too_many_arguments, reason = "the standard's prototype")]
        pub(crate) mod c {
            #[allow(unused_imports, reason = "the types of arguments")]
            use super::*;
            use $crate::abi::{Argument, CkUlong};

            $(
                $(#[$doc])*
                ///
                /// # Safety
                ///
                /// Each pointer is null, or good until this returns for what the standard says.
                #[unsafe(no_mangle)]
                pub(crate) unsafe extern "C" fn $name(
                    $($arg: <$ty as Argument>::C),*
                ) -> CkUlong {
                    functions!(@guard $($when)?)(stringify!($name), || super::$name($(
                        // SAFETY: the caller of this function promises just that.
                        unsafe { <$ty as Argument>::from_c($arg) }
                    ),*))
                }
            )*
        }
    };
}

/// Declares C functions that have one answer, whatever their arguments.
macro_rules! constant_functions {
    ($answer:expr; $($name:ident($($ty:ty),* $(,)?);)*) => {
        /// As C calls them.
        #[allow(unsafe_code, reason = "generated: none looks at its arguments")]
        #[allow(non_snake_case, reason = "the standard's name")]
        #[allow(clippy::too_many_arguments, reason = "the standard's prototype")]
        pub(crate) mod c {
            use super::*;
            use $crate::abi::{CkUlong, guard};

            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                ///
                /// # Safety
                ///
                /// No argument is looked at.
                #[unsafe(no_mangle)]
                pub(crate) unsafe extern "C" fn $name($(_: $ty),*) -> CkUlong {
                    guard(stringify!($name), || $answer)
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_become_numbers() {
        assert_eq!(guard("", || Ok(())), CKR_OK);
        for &error in Error::ALL {
            assert_eq!(super::super::wide(guard("", || Err(error))), error.rv());
        }
    }

    #[test]
    fn a_panic_stops_at_the_border() {
        assert_eq!(guard("", || panic!("an example")), CKR_GENERAL_ERROR);
    }
}
