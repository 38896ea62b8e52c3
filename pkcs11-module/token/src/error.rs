//! The one place where a failure of the keystore becomes a condition of PKCS#11.

use strongroom_keystore::Error as Stored;
use strongroom_types::Error;

/// What the application should see. There is no `_` arm: a new keystore error does not compile
/// until someone decides.
pub(crate) fn storage(error: Stored) -> Error {
    condition(&error).because(|| error.to_string())
}

fn condition(error: &Stored) -> Error {
    match error {
        Stored::WrongPin => Error::PinIncorrect,
        Stored::PinLocked => Error::PinLocked,
        Stored::NotInitialized => Error::UserPinNotInitialized,
        Stored::Locked => Error::UserNotLoggedIn,
        Stored::NotFound => Error::ObjectHandleInvalid,
        Stored::Sealed => Error::TokenNotPresent,
        Stored::Denied => Error::FunctionRejected,
        Stored::ReadOnly => Error::TokenWriteProtected,
        Stored::Full => Error::TokenResourceExceeded,
        Stored::OutOfMemory => Error::DeviceMemory,
        Stored::TooNew { .. } | Stored::Unsupported(_) => Error::TokenNotRecognized,
        Stored::Corrupt(_)
        | Stored::Conflict
        | Stored::Busy
        | Stored::SealMissing(_)
        | Stored::SealWrong(_)
        | Stored::SealExposed(_)
        | Stored::Io(_) => Error::DeviceError,
    }
}
