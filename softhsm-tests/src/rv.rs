//! Return values, by name.

use std::fmt;

use cryptoki_sys::*;

/// A `CK_RV`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rv(pub CK_RV);

impl Rv {
    /// `CKR_OK`.
    pub const OK: Self = Self(CKR_OK);

    /// The value, if this is `CKR_OK`.
    pub fn with<T>(self, value: T) -> Result<T, Self> {
        if self == Self::OK { Ok(value) } else { Err(self) }
    }
}

impl PartialEq<CK_RV> for Rv {
    fn eq(&self, other: &CK_RV) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for Rv {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(value, _)| *value == self.0) {
            Some((_, name)) => formatter.write_str(name),
            None => write!(formatter, "CKR {:#x}", self.0),
        }
    }
}

macro_rules! names {
    ($($name:ident)*) => { &[$(($name, stringify!($name))),*] };
}

/// Every return value of the standard.
const NAMES: &[(CK_RV, &str)] = names! {
    CKR_OK
    CKR_CANCEL
    CKR_HOST_MEMORY
    CKR_SLOT_ID_INVALID
    CKR_GENERAL_ERROR
    CKR_FUNCTION_FAILED
    CKR_ARGUMENTS_BAD
    CKR_NO_EVENT
    CKR_NEED_TO_CREATE_THREADS
    CKR_CANT_LOCK
    CKR_ATTRIBUTE_READ_ONLY
    CKR_ATTRIBUTE_SENSITIVE
    CKR_ATTRIBUTE_TYPE_INVALID
    CKR_ATTRIBUTE_VALUE_INVALID
    CKR_ACTION_PROHIBITED
    CKR_DATA_INVALID
    CKR_DATA_LEN_RANGE
    CKR_DEVICE_ERROR
    CKR_DEVICE_MEMORY
    CKR_DEVICE_REMOVED
    CKR_ENCRYPTED_DATA_INVALID
    CKR_ENCRYPTED_DATA_LEN_RANGE
    CKR_AEAD_DECRYPT_FAILED
    CKR_FUNCTION_CANCELED
    CKR_FUNCTION_NOT_PARALLEL
    CKR_FUNCTION_NOT_SUPPORTED
    CKR_KEY_HANDLE_INVALID
    CKR_KEY_SIZE_RANGE
    CKR_KEY_TYPE_INCONSISTENT
    CKR_KEY_NOT_NEEDED
    CKR_KEY_CHANGED
    CKR_KEY_NEEDED
    CKR_KEY_INDIGESTIBLE
    CKR_KEY_FUNCTION_NOT_PERMITTED
    CKR_KEY_NOT_WRAPPABLE
    CKR_KEY_UNEXTRACTABLE
    CKR_MECHANISM_INVALID
    CKR_MECHANISM_PARAM_INVALID
    CKR_OBJECT_HANDLE_INVALID
    CKR_OPERATION_ACTIVE
    CKR_OPERATION_NOT_INITIALIZED
    CKR_PIN_INCORRECT
    CKR_PIN_INVALID
    CKR_PIN_LEN_RANGE
    CKR_PIN_EXPIRED
    CKR_PIN_LOCKED
    CKR_SESSION_CLOSED
    CKR_SESSION_COUNT
    CKR_SESSION_HANDLE_INVALID
    CKR_SESSION_PARALLEL_NOT_SUPPORTED
    CKR_SESSION_READ_ONLY
    CKR_SESSION_EXISTS
    CKR_SESSION_READ_ONLY_EXISTS
    CKR_SESSION_READ_WRITE_SO_EXISTS
    CKR_SIGNATURE_INVALID
    CKR_SIGNATURE_LEN_RANGE
    CKR_TEMPLATE_INCOMPLETE
    CKR_TEMPLATE_INCONSISTENT
    CKR_TOKEN_NOT_PRESENT
    CKR_TOKEN_NOT_RECOGNIZED
    CKR_TOKEN_WRITE_PROTECTED
    CKR_UNWRAPPING_KEY_HANDLE_INVALID
    CKR_UNWRAPPING_KEY_SIZE_RANGE
    CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT
    CKR_USER_ALREADY_LOGGED_IN
    CKR_USER_NOT_LOGGED_IN
    CKR_USER_PIN_NOT_INITIALIZED
    CKR_USER_TYPE_INVALID
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN
    CKR_USER_TOO_MANY_TYPES
    CKR_WRAPPED_KEY_INVALID
    CKR_WRAPPED_KEY_LEN_RANGE
    CKR_WRAPPING_KEY_HANDLE_INVALID
    CKR_WRAPPING_KEY_SIZE_RANGE
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT
    CKR_RANDOM_SEED_NOT_SUPPORTED
    CKR_RANDOM_NO_RNG
    CKR_DOMAIN_PARAMS_INVALID
    CKR_CURVE_NOT_SUPPORTED
    CKR_BUFFER_TOO_SMALL
    CKR_SAVED_STATE_INVALID
    CKR_INFORMATION_SENSITIVE
    CKR_STATE_UNSAVEABLE
    CKR_CRYPTOKI_NOT_INITIALIZED
    CKR_CRYPTOKI_ALREADY_INITIALIZED
    CKR_MUTEX_BAD
    CKR_MUTEX_NOT_LOCKED
    CKR_NEW_PIN_MODE
    CKR_NEXT_OTP
    CKR_EXCEEDED_MAX_ITERATIONS
    CKR_FIPS_SELF_TEST_FAILED
    CKR_LIBRARY_LOAD_FAILED
    CKR_PIN_TOO_WEAK
    CKR_PUBLIC_KEY_INVALID
    CKR_FUNCTION_REJECTED
    CKR_TOKEN_RESOURCE_EXCEEDED
    CKR_OPERATION_CANCEL_FAILED
    CKR_KEY_EXHAUSTED
    CKR_PENDING
    CKR_SESSION_ASYNC_NOT_SUPPORTED
    CKR_SEED_RANDOM_REQUIRED
    CKR_OPERATION_NOT_VALIDATED
    CKR_TOKEN_NOT_INITIALIZED
    CKR_PARAMETER_SET_NOT_SUPPORTED
    CKR_VENDOR_DEFINED
};

macro_rules! functions {
    ($($name:ident)*) => { &[$(stringify!($name)),*] };
}

/// Every function of PKCS#11 3.2.
pub const FUNCTIONS: &[&str] = functions! {
    C_Initialize
    C_Finalize
    C_GetInfo
    C_GetFunctionList
    C_GetSlotList
    C_GetSlotInfo
    C_GetTokenInfo
    C_GetMechanismList
    C_GetMechanismInfo
    C_InitToken
    C_InitPIN
    C_SetPIN
    C_OpenSession
    C_CloseSession
    C_CloseAllSessions
    C_GetSessionInfo
    C_GetOperationState
    C_SetOperationState
    C_Login
    C_Logout
    C_CreateObject
    C_CopyObject
    C_DestroyObject
    C_GetObjectSize
    C_GetAttributeValue
    C_SetAttributeValue
    C_FindObjectsInit
    C_FindObjects
    C_FindObjectsFinal
    C_EncryptInit
    C_Encrypt
    C_EncryptUpdate
    C_EncryptFinal
    C_DecryptInit
    C_Decrypt
    C_DecryptUpdate
    C_DecryptFinal
    C_DigestInit
    C_Digest
    C_DigestUpdate
    C_DigestKey
    C_DigestFinal
    C_SignInit
    C_Sign
    C_SignUpdate
    C_SignFinal
    C_SignRecoverInit
    C_SignRecover
    C_VerifyInit
    C_Verify
    C_VerifyUpdate
    C_VerifyFinal
    C_VerifyRecoverInit
    C_VerifyRecover
    C_DigestEncryptUpdate
    C_DecryptDigestUpdate
    C_SignEncryptUpdate
    C_DecryptVerifyUpdate
    C_GenerateKey
    C_GenerateKeyPair
    C_WrapKey
    C_UnwrapKey
    C_DeriveKey
    C_SeedRandom
    C_GenerateRandom
    C_GetFunctionStatus
    C_CancelFunction
    C_WaitForSlotEvent
    C_GetInterfaceList
    C_GetInterface
    C_LoginUser
    C_SessionCancel
    C_MessageEncryptInit
    C_EncryptMessage
    C_EncryptMessageBegin
    C_EncryptMessageNext
    C_MessageEncryptFinal
    C_MessageDecryptInit
    C_DecryptMessage
    C_DecryptMessageBegin
    C_DecryptMessageNext
    C_MessageDecryptFinal
    C_MessageSignInit
    C_SignMessage
    C_SignMessageBegin
    C_SignMessageNext
    C_MessageSignFinal
    C_MessageVerifyInit
    C_VerifyMessage
    C_VerifyMessageBegin
    C_VerifyMessageNext
    C_MessageVerifyFinal
    C_EncapsulateKey
    C_DecapsulateKey
    C_VerifySignatureInit
    C_VerifySignature
    C_VerifySignatureUpdate
    C_VerifySignatureFinal
    C_GetSessionValidationFlags
    C_AsyncComplete
    C_AsyncGetID
    C_AsyncJoin
    C_WrapKeyAuthenticated
    C_UnwrapKeyAuthenticated
};
