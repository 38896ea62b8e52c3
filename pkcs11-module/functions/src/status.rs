//! Every function of PKCS#11 3.2, with the version that brought it and what this module answers.
//!
//! The edge's function lists and the documents' status table are checked against these rows.

/// A function of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The standard's name.
    pub name: &'static str,
    /// The version of the standard that brought it.
    pub since: Since,
    /// What this module does with it.
    pub status: Status,
}

/// A version of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// 2.40: the functions of `CK_FUNCTION_LIST`.
    V2_40,
    /// 3.0: those that `CK_FUNCTION_LIST_3_0` adds.
    V3_0,
    /// 3.2: those that `CK_FUNCTION_LIST_3_2` adds.
    V3_2,
}

/// What this module does with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does what the standard says.
    Works,
    /// It answers `CKR_FUNCTION_NOT_PARALLEL`, as the standard wants.
    NotParallel,
    /// It answers `CKR_FUNCTION_NOT_SUPPORTED`.
    NotSupported,
}

macro_rules! status {
    ($($since:ident $name:ident: $status:ident;)*) => {
        /// Every function, in the order of the standard's function lists.
        pub const FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name),
            since: Since::$since,
            status: Status::$status,
        },)*];
    };
}

status! {
    V2_40 C_Initialize: Works;
    V2_40 C_Finalize: Works;
    V2_40 C_GetInfo: Works;
    V2_40 C_GetFunctionList: Works;
    V2_40 C_GetSlotList: Works;
    V2_40 C_GetSlotInfo: Works;
    V2_40 C_GetTokenInfo: Works;
    V2_40 C_GetMechanismList: Works;
    V2_40 C_GetMechanismInfo: Works;
    V2_40 C_InitToken: Works;
    V2_40 C_InitPIN: Works;
    V2_40 C_SetPIN: Works;
    V2_40 C_OpenSession: Works;
    V2_40 C_CloseSession: Works;
    V2_40 C_CloseAllSessions: Works;
    V2_40 C_GetSessionInfo: Works;
    V2_40 C_GetOperationState: Works;
    V2_40 C_SetOperationState: Works;
    V2_40 C_Login: Works;
    V2_40 C_Logout: Works;
    V2_40 C_CreateObject: Works;
    V2_40 C_CopyObject: Works;
    V2_40 C_DestroyObject: Works;
    V2_40 C_GetObjectSize: Works;
    V2_40 C_GetAttributeValue: Works;
    V2_40 C_SetAttributeValue: Works;
    V2_40 C_FindObjectsInit: Works;
    V2_40 C_FindObjects: Works;
    V2_40 C_FindObjectsFinal: Works;
    V2_40 C_EncryptInit: Works;
    V2_40 C_Encrypt: Works;
    V2_40 C_EncryptUpdate: Works;
    V2_40 C_EncryptFinal: Works;
    V2_40 C_DecryptInit: Works;
    V2_40 C_Decrypt: Works;
    V2_40 C_DecryptUpdate: Works;
    V2_40 C_DecryptFinal: Works;
    V2_40 C_DigestInit: Works;
    V2_40 C_Digest: Works;
    V2_40 C_DigestUpdate: Works;
    V2_40 C_DigestKey: Works;
    V2_40 C_DigestFinal: Works;
    V2_40 C_SignInit: Works;
    V2_40 C_Sign: Works;
    V2_40 C_SignUpdate: Works;
    V2_40 C_SignFinal: Works;
    V2_40 C_SignRecoverInit: Works;
    V2_40 C_SignRecover: Works;
    V2_40 C_VerifyInit: Works;
    V2_40 C_Verify: Works;
    V2_40 C_VerifyUpdate: Works;
    V2_40 C_VerifyFinal: Works;
    V2_40 C_VerifyRecoverInit: Works;
    V2_40 C_VerifyRecover: Works;
    V2_40 C_DigestEncryptUpdate: Works;
    V2_40 C_DecryptDigestUpdate: Works;
    V2_40 C_SignEncryptUpdate: Works;
    V2_40 C_DecryptVerifyUpdate: Works;
    V2_40 C_GenerateKey: Works;
    V2_40 C_GenerateKeyPair: Works;
    V2_40 C_WrapKey: Works;
    V2_40 C_UnwrapKey: Works;
    V2_40 C_DeriveKey: Works;
    V2_40 C_SeedRandom: Works;
    V2_40 C_GenerateRandom: Works;
    V2_40 C_GetFunctionStatus: NotParallel;
    V2_40 C_CancelFunction: NotParallel;
    V2_40 C_WaitForSlotEvent: Works;
    V3_0 C_GetInterfaceList: Works;
    V3_0 C_GetInterface: Works;
    V3_0 C_LoginUser: Works;
    V3_0 C_SessionCancel: Works;
    V3_0 C_MessageEncryptInit: Works;
    V3_0 C_EncryptMessage: Works;
    V3_0 C_EncryptMessageBegin: Works;
    V3_0 C_EncryptMessageNext: Works;
    V3_0 C_MessageEncryptFinal: Works;
    V3_0 C_MessageDecryptInit: Works;
    V3_0 C_DecryptMessage: Works;
    V3_0 C_DecryptMessageBegin: Works;
    V3_0 C_DecryptMessageNext: Works;
    V3_0 C_MessageDecryptFinal: Works;
    V3_0 C_MessageSignInit: Works;
    V3_0 C_SignMessage: Works;
    V3_0 C_SignMessageBegin: Works;
    V3_0 C_SignMessageNext: Works;
    V3_0 C_MessageSignFinal: Works;
    V3_0 C_MessageVerifyInit: Works;
    V3_0 C_VerifyMessage: Works;
    V3_0 C_VerifyMessageBegin: Works;
    V3_0 C_VerifyMessageNext: Works;
    V3_0 C_MessageVerifyFinal: Works;
    V3_2 C_EncapsulateKey: Works;
    V3_2 C_DecapsulateKey: Works;
    V3_2 C_VerifySignatureInit: Works;
    V3_2 C_VerifySignature: Works;
    V3_2 C_VerifySignatureUpdate: Works;
    V3_2 C_VerifySignatureFinal: Works;
    V3_2 C_GetSessionValidationFlags: Works;
    V3_2 C_AsyncComplete: NotSupported;
    V3_2 C_AsyncGetID: NotSupported;
    V3_2 C_AsyncJoin: NotSupported;
    V3_2 C_WrapKeyAuthenticated: Works;
    V3_2 C_UnwrapKeyAuthenticated: Works;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROWS;

    #[test]
    fn a_function_of_the_table_works() {
        for row in ROWS {
            let function = FUNCTIONS.iter().find(|function| function.name == row.name).unwrap();
            assert_eq!(function.status, Status::Works, "{}", row.name);
        }
    }

    #[test]
    fn versions_hold_as_many_functions_as_the_standard_says() {
        for (since, count) in [(Since::V2_40, 68), (Since::V3_0, 92), (Since::V3_2, 104)] {
            assert_eq!(FUNCTIONS.iter().filter(|f| f.since <= since).count(), count);
        }
    }

    #[test]
    fn numbers_are_unique() {
        assert!(ROWS.is_sorted_by(|one, next| one.number < next.number));
    }
}
