//! `Error`: the conditions that a PKCS#11 application can observe.
//!
//! One row per condition, with what it means; the rows are the only place where a `CKR_` number is
//! named.

use crate::attribute;

macro_rules! errors {
    ($($variant:ident = $ckr:ident: $meaning:literal;)*) => {
        /// A failure that an application can observe, named after its `CKR_` constant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error {
            $(#[doc = concat!("`", stringify!($ckr), "`: ", $meaning, ".")] $variant,)*
        }

        impl Error {
            /// Every condition, in the order of the rows.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `CK_RV` returned across the C interface and over the wire.
            #[allow(clippy::as_conversions, clippy::unnecessary_cast, reason = "CK_RV is 32 or 64 bits wide")]
            pub const fn rv(self) -> u64 {
                match self { $(Self::$variant => cryptoki_sys::$ckr as u64,)* }
            }

            /// The standard's own name, for logs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($ckr),)* }
            }

            /// What it means: the reason that is given where nobody knew a more exact one.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

impl Error {
    /// How grave it is.
    pub fn gravity(self) -> Gravity {
        match self {
            Self::GeneralError
            | Self::FunctionFailed
            | Self::DeviceError
            | Self::DeviceMemory
            | Self::HostMemory => Gravity::Failure,
            // Every program that asks for a length first, or for what may come, does so.
            Self::BufferTooSmall | Self::NoEvent => Gravity::Usual,
            _ => Gravity::Refusal,
        }
    }

    /// The inverse of [`rv`](Self::rv); `None` for numbers that this module never returns.
    pub fn from_rv(rv: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.rv() == rv)
    }
}

/// How grave a condition is to whoever reads a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// The token or the machine fails.
    Failure,
    /// The caller wants what it can not have.
    Refusal,
    /// Nothing is wrong.
    Usual,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Error {}

/// Shorthand used throughout the module.
pub type Result<T> = core::result::Result<T, Error>;

/// What `C_GetAttributeValue` reports, having come to one more attribute: a failure of the token itself,
/// then the order in which section 5.7.5 names the others. The log is told which attribute it was.
pub fn graver(before: Result<()>, id: u64, outcome: Result<()>) -> Result<()> {
    let rank = |outcome: &Result<()>| match outcome {
        Ok(()) => 0,
        Err(Error::BufferTooSmall) => 1,
        Err(Error::AttributeTypeInvalid) => 2,
        Err(Error::AttributeSensitive) => 3,
        Err(_) => 4,
    };
    match outcome {
        Err(error) if rank(&outcome) > rank(&before) => Err(match rank(&outcome) {
            4 => error,
            _ => error.because(|| format!("{}: {}", attribute::name(id), error.meaning())),
        }),
        _ => before,
    }
}

errors! {
    ActionProhibited = CKR_ACTION_PROHIBITED:
        "the object's own rules forbid it: not copyable, not destroyable, not modifiable";
    AeadDecryptFailed = CKR_AEAD_DECRYPT_FAILED:
        "the tag of an authenticated ciphertext does not verify";
    ArgumentsBad = CKR_ARGUMENTS_BAD:
        "an argument is null that may not be, or a length is one that no buffer can have";
    AttributeReadOnly = CKR_ATTRIBUTE_READ_ONLY:
        "the attribute can not be set by the caller, or no longer";
    AttributeSensitive = CKR_ATTRIBUTE_SENSITIVE:
        "the value of the attribute may not leave the token";
    AttributeTypeInvalid = CKR_ATTRIBUTE_TYPE_INVALID: "the object has no such attribute";
    AttributeValueInvalid = CKR_ATTRIBUTE_VALUE_INVALID:
        "the value of an attribute has the wrong length or content";
    BufferTooSmall = CKR_BUFFER_TOO_SMALL:
        "the output buffer is too small; the needed length has been reported";
    CantLock = CKR_CANT_LOCK: "the application wants locking that can not be given";
    CryptokiAlreadyInitialized = CKR_CRYPTOKI_ALREADY_INITIALIZED: "C_Initialize was called before";
    CryptokiNotInitialized = CKR_CRYPTOKI_NOT_INITIALIZED:
        "C_Initialize has not been called in this process";
    CurveNotSupported = CKR_CURVE_NOT_SUPPORTED:
        "the curve is not one of those that this token computes";
    DataInvalid = CKR_DATA_INVALID: "the plaintext is not acceptable to the mechanism";
    DataLenRange = CKR_DATA_LEN_RANGE:
        "the plaintext has a length that the mechanism does not take";
    DeviceError = CKR_DEVICE_ERROR: "the token's storage failed or does not authenticate";
    DeviceMemory = CKR_DEVICE_MEMORY: "the machine does not grant the memory that the token needs";
    DeviceRemoved = CKR_DEVICE_REMOVED: "the token was removed while it was in use";
    DomainParamsInvalid = CKR_DOMAIN_PARAMS_INVALID: "the domain parameters are not valid";
    EncryptedDataInvalid = CKR_ENCRYPTED_DATA_INVALID: "the ciphertext does not decrypt";
    EncryptedDataLenRange = CKR_ENCRYPTED_DATA_LEN_RANGE:
        "the ciphertext has a length that the mechanism does not produce";
    FunctionFailed = CKR_FUNCTION_FAILED: "the operation could not be done";
    FunctionNotParallel = CKR_FUNCTION_NOT_PARALLEL:
        "the fixed answer of the functions for parallel sessions, which no longer exist";
    FunctionNotSupported = CKR_FUNCTION_NOT_SUPPORTED: "the token does not support the function";
    FunctionRejected = CKR_FUNCTION_REJECTED: "the operator's configuration refuses it";
    GeneralError = CKR_GENERAL_ERROR: "something is as it can not be: a fault of this software";
    HostMemory = CKR_HOST_MEMORY: "the process has no memory left";
    KeyFunctionNotPermitted = CKR_KEY_FUNCTION_NOT_PERMITTED:
        "the key's usage flags or its list of mechanisms do not allow it";
    KeyChanged = CKR_KEY_CHANGED: "the key is not the one that the saved operation had";
    KeyHandleInvalid = CKR_KEY_HANDLE_INVALID: "there is no such key";
    KeyIndigestible = CKR_KEY_INDIGESTIBLE: "the value of the key may not be digested";
    KeyNeeded = CKR_KEY_NEEDED: "the saved operation needs its key to go on";
    KeyNotNeeded = CKR_KEY_NOT_NEEDED: "the saved operation goes on without a key";
    KeyNotWrappable = CKR_KEY_NOT_WRAPPABLE: "the key may not be wrapped by this key";
    KeySizeRange = CKR_KEY_SIZE_RANGE: "the key's size is outside the mechanism's range";
    KeyTypeInconsistent = CKR_KEY_TYPE_INCONSISTENT:
        "the mechanism does not take keys of this type";
    KeyUnextractable = CKR_KEY_UNEXTRACTABLE: "the key may not leave the token, wrapped or not";
    MechanismInvalid = CKR_MECHANISM_INVALID: "there is no such mechanism, or it can not do this";
    MechanismParamInvalid = CKR_MECHANISM_PARAM_INVALID:
        "the mechanism's parameter is malformed or not supported";
    NoEvent = CKR_NO_EVENT: "nothing happened at any slot";
    ObjectHandleInvalid = CKR_OBJECT_HANDLE_INVALID: "there is no such object";
    OperationActive = CKR_OPERATION_ACTIVE:
        "another operation of this kind is under way in the session";
    OperationNotInitialized = CKR_OPERATION_NOT_INITIALIZED:
        "no operation of this kind is under way in the session";
    ParameterSetNotSupported = CKR_PARAMETER_SET_NOT_SUPPORTED:
        "the parameter set is not one of those that this token computes";
    PinIncorrect = CKR_PIN_INCORRECT: "the PIN does not open the token";
    PinInvalid = CKR_PIN_INVALID: "the PIN has bytes that a PIN can not have";
    PinLenRange = CKR_PIN_LEN_RANGE: "the PIN is too short or too long";
    PinLocked = CKR_PIN_LOCKED: "too many wrong PINs";
    PublicKeyInvalid = CKR_PUBLIC_KEY_INVALID: "the public key is not valid";
    RandomSeedNotSupported = CKR_RANDOM_SEED_NOT_SUPPORTED:
        "the token's random numbers take no seed";
    SavedStateInvalid = CKR_SAVED_STATE_INVALID: "the saved operation state is not one of ours";
    SessionCount = CKR_SESSION_COUNT: "no more sessions can be opened";
    SessionExists = CKR_SESSION_EXISTS: "a session is open, which forbids it";
    SessionHandleInvalid = CKR_SESSION_HANDLE_INVALID: "there is no such session";
    SessionParallelNotSupported = CKR_SESSION_PARALLEL_NOT_SUPPORTED:
        "sessions are serial: CKF_SERIAL_SESSION is missing";
    SessionAsyncNotSupported = CKR_SESSION_ASYNC_NOT_SUPPORTED:
        "functions end before they return: CKF_ASYNC_SESSION can not be had";
    SessionReadOnly = CKR_SESSION_READ_ONLY: "the session can not write";
    SessionReadOnlyExists = CKR_SESSION_READ_ONLY_EXISTS:
        "a read-only session is open, so the security officer can not log in";
    SessionReadWriteSoExists = CKR_SESSION_READ_WRITE_SO_EXISTS:
        "the security officer is logged in, so no read-only session can be opened";
    SignatureInvalid = CKR_SIGNATURE_INVALID: "the signature does not verify";
    SignatureLenRange = CKR_SIGNATURE_LEN_RANGE: "the signature has a length that can not be right";
    SlotIdInvalid = CKR_SLOT_ID_INVALID: "there is no such slot";
    StateUnsaveable = CKR_STATE_UNSAVEABLE: "the operation's state can not be saved";
    TemplateIncomplete = CKR_TEMPLATE_INCOMPLETE:
        "the template lacks an attribute that the object needs";
    TemplateInconsistent = CKR_TEMPLATE_INCONSISTENT:
        "the attributes of the template contradict each other";
    TokenNotPresent = CKR_TOKEN_NOT_PRESENT: "no token is in the slot";
    TokenNotRecognized = CKR_TOKEN_NOT_RECOGNIZED:
        "the token is not initialised, or its format is not known";
    TokenResourceExceeded = CKR_TOKEN_RESOURCE_EXCEEDED: "the token has no room left";
    TokenWriteProtected = CKR_TOKEN_WRITE_PROTECTED: "the token's storage can not be written";
    UnwrappingKeyHandleInvalid = CKR_UNWRAPPING_KEY_HANDLE_INVALID:
        "there is no such unwrapping key";
    UnwrappingKeySizeRange = CKR_UNWRAPPING_KEY_SIZE_RANGE:
        "the unwrapping key's size is outside the mechanism's range";
    UnwrappingKeyTypeInconsistent = CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT:
        "the mechanism does not unwrap with keys of this type";
    UserAlreadyLoggedIn = CKR_USER_ALREADY_LOGGED_IN: "the user is logged in already";
    UserAnotherAlreadyLoggedIn = CKR_USER_ANOTHER_ALREADY_LOGGED_IN: "another user is logged in";
    UserNotLoggedIn = CKR_USER_NOT_LOGGED_IN: "the right user is not logged in";
    UserPinNotInitialized = CKR_USER_PIN_NOT_INITIALIZED: "the user's PIN has not been set";
    UserTypeInvalid = CKR_USER_TYPE_INVALID: "there is no such user type";
    WrappedKeyInvalid = CKR_WRAPPED_KEY_INVALID: "the wrapped key does not unwrap";
    WrappedKeyLenRange = CKR_WRAPPED_KEY_LEN_RANGE:
        "the wrapped key has a length that the mechanism does not produce";
    WrappingKeyHandleInvalid = CKR_WRAPPING_KEY_HANDLE_INVALID: "there is no such wrapping key";
    WrappingKeySizeRange = CKR_WRAPPING_KEY_SIZE_RANGE:
        "the wrapping key's size is outside the mechanism's range";
    WrappingKeyTypeInconsistent = CKR_WRAPPING_KEY_TYPE_INCONSISTENT:
        "the mechanism does not wrap with keys of this type";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_come_back() {
        for &error in Error::ALL {
            assert_eq!(Error::from_rv(error.rv()), Some(error), "{error}");
        }
        assert_eq!(Error::from_rv(0), None);
    }
}
