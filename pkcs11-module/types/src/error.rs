//! `Error`: the conditions that a PKCS#11 application can observe.
//!
//! One row per condition; the rows are the only place where a `CKR_` number is named.

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $ckr:ident;)*) => {
        /// A failure that an application can observe, named after its `CKR_` constant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error { $($(#[$doc])* $variant,)* }

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
        }
    };
}

impl Error {
    /// The inverse of [`rv`](Self::rv); `None` for numbers that this module never returns.
    pub fn from_rv(rv: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.rv() == rv)
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Error {}

/// Shorthand used throughout the module.
pub type Result<T> = core::result::Result<T, Error>;

/// Of two attributes that `C_GetAttributeValue` is asked for, the outcome to report: a failure of the
/// token itself, then the order in which section 5.7.5 names the others.
pub fn graver(a: Result<()>, b: Result<()>) -> Result<()> {
    let rank = |outcome: &Result<()>| match outcome {
        Ok(()) => 0,
        Err(Error::BufferTooSmall) => 1,
        Err(Error::AttributeTypeInvalid) => 2,
        Err(Error::AttributeSensitive) => 3,
        Err(_) => 4,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

errors! {
    /// The object's own rules forbid it: not copyable, not destroyable, not modifiable.
    ActionProhibited = CKR_ACTION_PROHIBITED;
    /// The tag of an authenticated ciphertext does not verify.
    AeadDecryptFailed = CKR_AEAD_DECRYPT_FAILED;
    /// A null pointer, or a length that no buffer can have.
    ArgumentsBad = CKR_ARGUMENTS_BAD;
    /// The attribute can not be set by the caller, or no longer.
    AttributeReadOnly = CKR_ATTRIBUTE_READ_ONLY;
    /// The value of the attribute may not leave the token.
    AttributeSensitive = CKR_ATTRIBUTE_SENSITIVE;
    /// The object has no such attribute.
    AttributeTypeInvalid = CKR_ATTRIBUTE_TYPE_INVALID;
    /// The value of an attribute has the wrong length or content.
    AttributeValueInvalid = CKR_ATTRIBUTE_VALUE_INVALID;
    /// The output buffer is too small; the needed length has been reported.
    BufferTooSmall = CKR_BUFFER_TOO_SMALL;
    /// The application wants locking that can not be given.
    CantLock = CKR_CANT_LOCK;
    /// `C_Initialize` was called before.
    CryptokiAlreadyInitialized = CKR_CRYPTOKI_ALREADY_INITIALIZED;
    /// `C_Initialize` has not been called, in this process.
    CryptokiNotInitialized = CKR_CRYPTOKI_NOT_INITIALIZED;
    /// The curve is not one of those that this token computes.
    CurveNotSupported = CKR_CURVE_NOT_SUPPORTED;
    /// The plaintext is not acceptable to the mechanism.
    DataInvalid = CKR_DATA_INVALID;
    /// The plaintext has a length that the mechanism does not take.
    DataLenRange = CKR_DATA_LEN_RANGE;
    /// The token's storage failed or does not authenticate.
    DeviceError = CKR_DEVICE_ERROR;
    /// The machine does not grant the memory that the token needs.
    DeviceMemory = CKR_DEVICE_MEMORY;
    /// The token was removed while it was in use.
    DeviceRemoved = CKR_DEVICE_REMOVED;
    /// The domain parameters are not valid.
    DomainParamsInvalid = CKR_DOMAIN_PARAMS_INVALID;
    /// The ciphertext does not decrypt.
    EncryptedDataInvalid = CKR_ENCRYPTED_DATA_INVALID;
    /// The ciphertext has a length that the mechanism does not produce.
    EncryptedDataLenRange = CKR_ENCRYPTED_DATA_LEN_RANGE;
    /// The operation could not be done.
    FunctionFailed = CKR_FUNCTION_FAILED;
    /// The fixed answer of the functions for parallel sessions, which no longer exist.
    FunctionNotParallel = CKR_FUNCTION_NOT_PARALLEL;
    /// The token does not support the function.
    FunctionNotSupported = CKR_FUNCTION_NOT_SUPPORTED;
    /// The operator's configuration refuses it.
    FunctionRejected = CKR_FUNCTION_REJECTED;
    /// A broken invariant of our own: a bug, never an input.
    GeneralError = CKR_GENERAL_ERROR;
    /// The process has no memory left.
    HostMemory = CKR_HOST_MEMORY;
    /// The key's usage flags or its list of mechanisms do not allow it.
    KeyFunctionNotPermitted = CKR_KEY_FUNCTION_NOT_PERMITTED;
    /// The key is not the one that the saved operation had.
    KeyChanged = CKR_KEY_CHANGED;
    /// No such key.
    KeyHandleInvalid = CKR_KEY_HANDLE_INVALID;
    /// The value of the key may not be digested.
    KeyIndigestible = CKR_KEY_INDIGESTIBLE;
    /// The saved operation needs its key to go on.
    KeyNeeded = CKR_KEY_NEEDED;
    /// The saved operation goes on without a key.
    KeyNotNeeded = CKR_KEY_NOT_NEEDED;
    /// The key may not be wrapped by this key.
    KeyNotWrappable = CKR_KEY_NOT_WRAPPABLE;
    /// The key's size is outside the mechanism's range.
    KeySizeRange = CKR_KEY_SIZE_RANGE;
    /// The mechanism does not take keys of this type.
    KeyTypeInconsistent = CKR_KEY_TYPE_INCONSISTENT;
    /// The key may not leave the token, wrapped or not.
    KeyUnextractable = CKR_KEY_UNEXTRACTABLE;
    /// No such mechanism, or it cannot perform this operation.
    MechanismInvalid = CKR_MECHANISM_INVALID;
    /// The mechanism's parameter is malformed or not supported.
    MechanismParamInvalid = CKR_MECHANISM_PARAM_INVALID;
    /// Nothing happened at any slot.
    NoEvent = CKR_NO_EVENT;
    /// No such object.
    ObjectHandleInvalid = CKR_OBJECT_HANDLE_INVALID;
    /// Another operation is under way in the session.
    OperationActive = CKR_OPERATION_ACTIVE;
    /// No such operation is under way in the session.
    OperationNotInitialized = CKR_OPERATION_NOT_INITIALIZED;
    /// The parameter set is not one of those that this token computes.
    ParameterSetNotSupported = CKR_PARAMETER_SET_NOT_SUPPORTED;
    /// The PIN does not open the token.
    PinIncorrect = CKR_PIN_INCORRECT;
    /// The PIN has bytes that a PIN can not have.
    PinInvalid = CKR_PIN_INVALID;
    /// The PIN is too short or too long.
    PinLenRange = CKR_PIN_LEN_RANGE;
    /// Too many wrong PINs.
    PinLocked = CKR_PIN_LOCKED;
    /// The public key is not valid.
    PublicKeyInvalid = CKR_PUBLIC_KEY_INVALID;
    /// The token's random numbers take no seed.
    RandomSeedNotSupported = CKR_RANDOM_SEED_NOT_SUPPORTED;
    /// The saved operation state is not one of ours.
    SavedStateInvalid = CKR_SAVED_STATE_INVALID;
    /// No more sessions can be opened.
    SessionCount = CKR_SESSION_COUNT;
    /// A session is open, which forbids it.
    SessionExists = CKR_SESSION_EXISTS;
    /// No such session.
    SessionHandleInvalid = CKR_SESSION_HANDLE_INVALID;
    /// Sessions are serial: `CKF_SERIAL_SESSION` is missing.
    SessionParallelNotSupported = CKR_SESSION_PARALLEL_NOT_SUPPORTED;
    /// Functions end before they return: `CKF_ASYNC_SESSION` can not be had.
    SessionAsyncNotSupported = CKR_SESSION_ASYNC_NOT_SUPPORTED;
    /// The session can not write.
    SessionReadOnly = CKR_SESSION_READ_ONLY;
    /// A read-only session is open, so the security officer can not log in.
    SessionReadOnlyExists = CKR_SESSION_READ_ONLY_EXISTS;
    /// The security officer is logged in, so no read-only session can be opened.
    SessionReadWriteSoExists = CKR_SESSION_READ_WRITE_SO_EXISTS;
    /// The signature does not verify.
    SignatureInvalid = CKR_SIGNATURE_INVALID;
    /// The signature has a length that can not be right.
    SignatureLenRange = CKR_SIGNATURE_LEN_RANGE;
    /// No such slot.
    SlotIdInvalid = CKR_SLOT_ID_INVALID;
    /// The operation's state can not be saved.
    StateUnsaveable = CKR_STATE_UNSAVEABLE;
    /// The template lacks an attribute that the object needs.
    TemplateIncomplete = CKR_TEMPLATE_INCOMPLETE;
    /// The attributes of the template contradict each other.
    TemplateInconsistent = CKR_TEMPLATE_INCONSISTENT;
    /// No token is in the slot.
    TokenNotPresent = CKR_TOKEN_NOT_PRESENT;
    /// The token is not initialised, or its format is not known.
    TokenNotRecognized = CKR_TOKEN_NOT_RECOGNIZED;
    /// The token has no room left.
    TokenResourceExceeded = CKR_TOKEN_RESOURCE_EXCEEDED;
    /// The token's storage can not be written.
    TokenWriteProtected = CKR_TOKEN_WRITE_PROTECTED;
    /// No such unwrapping key.
    UnwrappingKeyHandleInvalid = CKR_UNWRAPPING_KEY_HANDLE_INVALID;
    /// The unwrapping key's size is outside the mechanism's range.
    UnwrappingKeySizeRange = CKR_UNWRAPPING_KEY_SIZE_RANGE;
    /// The mechanism does not unwrap with keys of this type.
    UnwrappingKeyTypeInconsistent = CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT;
    /// The user is logged in already.
    UserAlreadyLoggedIn = CKR_USER_ALREADY_LOGGED_IN;
    /// Another user is logged in.
    UserAnotherAlreadyLoggedIn = CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
    /// The right user is not logged in.
    UserNotLoggedIn = CKR_USER_NOT_LOGGED_IN;
    /// The user's PIN has not been set.
    UserPinNotInitialized = CKR_USER_PIN_NOT_INITIALIZED;
    /// No such user type.
    UserTypeInvalid = CKR_USER_TYPE_INVALID;
    /// The wrapped key does not unwrap.
    WrappedKeyInvalid = CKR_WRAPPED_KEY_INVALID;
    /// The wrapped key has a length that the mechanism does not produce.
    WrappedKeyLenRange = CKR_WRAPPED_KEY_LEN_RANGE;
    /// No such wrapping key.
    WrappingKeyHandleInvalid = CKR_WRAPPING_KEY_HANDLE_INVALID;
    /// The wrapping key's size is outside the mechanism's range.
    WrappingKeySizeRange = CKR_WRAPPING_KEY_SIZE_RANGE;
    /// The mechanism does not wrap with keys of this type.
    WrappingKeyTypeInconsistent = CKR_WRAPPING_KEY_TYPE_INCONSISTENT;
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
