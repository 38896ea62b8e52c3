//! The function lists, and the interfaces that lead to them.

use core::ffi::CStr;

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_VERSION,
    CKF_INTERFACE_FORK_SAFE, CRYPTOKI_VERSION_MAJOR, CRYPTOKI_VERSION_MINOR,
};

use crate::abi::Interface;
use crate::entry::c;

/// The name of every interface that the standard defines.
pub(crate) const NAME: &CStr = c"PKCS 11";

const VERSION_2_40: CK_VERSION = CK_VERSION { major: 2, minor: 40 };
const VERSION_3_0: CK_VERSION = CK_VERSION { major: 3, minor: 0 };
const VERSION_3_2: CK_VERSION =
    CK_VERSION { major: CRYPTOKI_VERSION_MAJOR, minor: CRYPTOKI_VERSION_MINOR };

/// Every interface, the newest first: that one is the default.
pub(crate) static INTERFACES: [Interface; 3] = [
    Interface::new(NAME, &V3_2, VERSION_3_2, CKF_INTERFACE_FORK_SAFE),
    Interface::new(NAME, &V3_0, VERSION_3_0, CKF_INTERFACE_FORK_SAFE),
    Interface::new(NAME, &V2_40, VERSION_2_40, CKF_INTERFACE_FORK_SAFE),
];

/// The function list of version 2.40, which `C_GetFunctionList` gives.
pub(crate) fn function_list() -> *mut CK_FUNCTION_LIST {
    (&raw const V2_40).cast_mut()
}

macro_rules! function_lists {
    (
        2.40 { $($in_2_40:ident)* }
        3.0 { $($in_3_0:ident)* }
        3.2 { $($in_3_2:ident)* }
    ) => {
        static V2_40: CK_FUNCTION_LIST =
            CK_FUNCTION_LIST { version: VERSION_2_40, $($in_2_40: Some(c::$in_2_40),)* };

        static V3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: VERSION_3_0,
            $($in_2_40: Some(c::$in_2_40),)*
            $($in_3_0: Some(c::$in_3_0),)*
        };

        static V3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: VERSION_3_2,
            $($in_2_40: Some(c::$in_2_40),)*
            $($in_3_0: Some(c::$in_3_0),)*
            $($in_3_2: Some(c::$in_3_2),)*
        };

        /// The names in the lists, in their order, by the version that brought them.
        #[cfg(test)]
        const NAMES: [&[&str]; 3] = [
            &[$(stringify!($in_2_40)),*],
            &[$(stringify!($in_3_0)),*],
            &[$(stringify!($in_3_2)),*],
        ];
    };
}

function_lists! {
    2.40 {
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
    }
    3.0 {
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
    }
    3.2 {
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
    }
}

#[cfg(test)]
mod tests {
    use core::ffi::c_void;

    use strongroom_functions::{FUNCTIONS, Since};

    use super::*;

    #[test]
    fn the_lists_are_those_of_the_standard() {
        for (names, since) in NAMES.iter().zip([Since::V2_40, Since::V3_0, Since::V3_2]) {
            let wanted = FUNCTIONS.iter().filter(|function| function.since == since);
            assert!(wanted.map(|function| function.name).eq(names.iter().copied()), "{since:?}");
        }
    }

    #[test]
    fn each_interface_leads_to_its_list() {
        let lists: [*const c_void; 3] =
            [(&raw const V3_2).cast(), (&raw const V3_0).cast(), (&raw const V2_40).cast()];
        for (interface, list) in INTERFACES.iter().zip(lists) {
            assert!(core::ptr::eq(interface.ck().pFunctionList, list));
            assert_eq!(interface.ck().flags, CKF_INTERFACE_FORK_SAFE);
        }
        assert_eq!((V2_40.version.major, V2_40.version.minor), (2, 40));
        assert_eq!((V3_0.version.major, V3_0.version.minor), (3, 0));
        assert_eq!((V3_2.version.major, V3_2.version.minor), (3, 2));
    }

    #[test]
    fn what_the_caller_asks_for_is_found() {
        let first = |version, flags| INTERFACES.iter().position(|each| each.has(version, flags));
        assert_eq!(first(None, 0), Some(0));
        assert_eq!(first(None, CKF_INTERFACE_FORK_SAFE), Some(0));
        assert_eq!(first(Some(VERSION_3_0), CKF_INTERFACE_FORK_SAFE), Some(1));
        assert_eq!(first(Some(VERSION_2_40), 0), Some(2));
        assert_eq!(first(Some(CK_VERSION { major: 3, minor: 1 }), 0), None);
        assert_eq!(first(None, CKF_INTERFACE_FORK_SAFE << 1), None);
    }
}
