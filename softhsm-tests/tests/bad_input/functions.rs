//! The 104 functions, each with the kinds of its arguments. All cases are made from this list.

use cryptoki_sys::*;
use strongroom_softhsm_tests::{Attribute, t};

use crate::fixture::P256;
use crate::kinds::{
    ASSOCIATED_FORGED, ASSOCIATED_MESSAGE, BLOCKS, CIPHERTEXT, Codes, DIGESTED, ENCAPSULATED,
    FORGED, FORGED_KEY, FORGED_WRAP, FORGERY, Held, How, KEY, KEY_INSIDE, Kind, MAC, NAME,
    NO_MECHANISM, OBJECT, Parameter, Pin, RECOVERABLE, SHORT, STATE, TEXT, UNWANTED, UNWRAPPING,
    WRAPPED, WRAPPING,
};
use Kind::{
    Fill, Found, In, InitArgs, Label, List, Mechanism, Message, NoParameter, Number, Object,
    Optional, Out, Place, Query, Reserved, Session, Slot, Template,
};

/// A function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What has to be called before, with good arguments.
    pub(crate) before: &'static [&'static str],
    pub(crate) args: &'static [Kind],
    /// What it answers to good arguments. Nothing if they would end more than the case.
    pub(crate) good: Codes,
    /// What else is right, whatever is wrong with the arguments: it depends on who is logged in.
    pub(crate) also: Codes,
    pub(crate) but: &'static [Exception],
}

/// A fault that is none here, or another: which argument, which fault, and what is right.
pub(crate) type Exception = (usize, &'static str, Codes);

impl Function {
    const fn after(self, before: &'static [&'static str]) -> Self {
        Self { before, ..self }
    }

    const fn answers(self, good: Codes) -> Self {
        Self { good, ..self }
    }

    const fn also(self, also: Codes) -> Self {
        Self { also, ..self }
    }

    const fn but(self, but: &'static [Exception]) -> Self {
        Self { but, ..self }
    }
}

const fn function(name: &'static str, args: &'static [Kind]) -> Function {
    Function { name, before: &[], args, good: OK, also: &[], but: &[] }
}

const OK: Codes = &[CKR_OK];
const SMALL: Codes = &[CKR_BUFFER_TOO_SMALL];
/// A call that gives no bytes has room for all of them.
const NOTHING: Codes = OK;
const FORBIDDEN: Codes = &[CKR_ARGUMENTS_BAD];
/// A null mechanism ends the operation, if there is one; before 3.0 it was a bad argument.
const ENDS: Codes = &[CKR_OK, CKR_OPERATION_NOT_INITIALIZED, CKR_ARGUMENTS_BAD];
const NOT_PARALLEL: Codes = &[CKR_FUNCTION_NOT_PARALLEL];
const UNSUPPORTED: Codes = &[CKR_FUNCTION_NOT_SUPPORTED];
const SIGNATURE_LATER: Codes = &[CKR_OK, CKR_SIGNATURE_LEN_RANGE];
const BAD_OR_OK: Codes = &[CKR_OK, CKR_ARGUMENTS_BAD];
const NOT_SIGNED: Codes = &[CKR_SIGNATURE_INVALID];
const LOGGED_IN: Codes = &[CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN];

/// Who logs in.
const USER_TYPE: Kind = Number(
    CKU_USER,
    &[
        (3, &[CKR_USER_TYPE_INVALID]),
        (CK_ULONG::MAX, &[CKR_USER_TYPE_INVALID]),
        (CKU_CONTEXT_SPECIFIC, &[CKR_OPERATION_NOT_INITIALIZED]),
    ],
);

static MAC_OF: How = How { id: CKM_SHA256_HMAC, parameter: Parameter::None };
static SHA256: How = How { id: CKM_SHA256, parameter: Parameter::None };
static CBC: How = How { id: CKM_AES_CBC, parameter: Parameter::Iv };
static GCM: How = How { id: CKM_AES_GCM, parameter: Parameter::None };
static GCM_WRAP: How = How { id: CKM_AES_GCM, parameter: Parameter::GcmMessage };
static RSA: How = How { id: CKM_RSA_PKCS, parameter: Parameter::None };
static AES_GEN: How = How { id: CKM_AES_KEY_GEN, parameter: Parameter::None };
static EC_GEN: How = How { id: CKM_EC_KEY_PAIR_GEN, parameter: Parameter::None };
static KEY_WRAP: How = How { id: CKM_AES_KEY_WRAP, parameter: Parameter::None };
static ENCRYPT_DATA: How = How { id: CKM_AES_ECB_ENCRYPT_DATA, parameter: Parameter::StringData };
static KEM: How = How { id: CKM_ML_KEM, parameter: Parameter::None };

fn data() -> Vec<Attribute> {
    t![CKA_CLASS => CKO_DATA, CKA_TOKEN => false, CKA_PRIVATE => false, CKA_VALUE => b"value"]
}

fn a_copy() -> Vec<Attribute> {
    t![CKA_TOKEN => false, CKA_LABEL => "a copy"]
}

fn sign_off() -> Vec<Attribute> {
    t![CKA_SIGN => false, CKA_LABEL => "set"]
}

fn data_objects() -> Vec<Attribute> {
    t![CKA_CLASS => CKO_DATA]
}

fn an_aes_key() -> Vec<Attribute> {
    t![CKA_VALUE_LEN => 16_u64, CKA_TOKEN => false, CKA_PRIVATE => false]
}

fn a_public_key() -> Vec<Attribute> {
    t![CKA_TOKEN => false, CKA_PRIVATE => false, CKA_EC_PARAMS => P256]
}

fn a_private_key() -> Vec<Attribute> {
    t![CKA_TOKEN => false, CKA_PRIVATE => false]
}

fn a_key_inside() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_TOKEN => false,
        CKA_PRIVATE => false,
    ]
}

fn a_derived_key() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_TOKEN => false,
        CKA_PRIVATE => false, CKA_VALUE_LEN => 16_u64,
    ]
}

const AES: Kind = Object(Held::Aes, KEY);

const fn ends(how: &'static How) -> Kind {
    Mechanism(how, ENDS)
}

const fn needed(how: &'static How) -> Kind {
    Mechanism(how, FORBIDDEN)
}

/// A template that looks for objects: what no object has is found nowhere.
const SEARCHED: &[Exception] = &[
    (1, "an attribute nobody knows", &[CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID]),
    (1, "an attribute of 2^32", &[CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID]),
    (1, "a value of no bytes", &[CKR_OK, CKR_ATTRIBUTE_VALUE_INVALID]),
    (1, "a value of 3 bytes", &[CKR_OK, CKR_ATTRIBUTE_VALUE_INVALID]),
];

/// Fewer bytes than good arguments have.
const fn fewer(argument: usize, codes: Codes) -> [Exception; 3] {
    [
        (argument, "length 0", codes),
        (argument, "null and 0", codes),
        (argument, "one byte less", codes),
    ]
}

/// The part of a message that its signature comes with. Without a signature it is not the last one.
const LAST_PART: &[Exception] = {
    let [none, null, less] = fewer(2, NOT_SIGNED);
    &[none, null, less, (3, "null and 0", OK)]
};

/// Room for what is forged.
const fn forged(argument: usize) -> [Exception; 2] {
    const CODES: Codes = &[CKR_AEAD_DECRYPT_FAILED, CKR_ARGUMENTS_BAD];
    [(argument, "room of 2^63", CODES), (argument, "room of all", CODES)]
}

/// Every function of PKCS#11 3.2.
pub(crate) static FUNCTIONS: &[Function] = &[
    // 5.4, general purpose.
    function("C_Initialize", &[InitArgs])
        .answers(&[CKR_CRYPTOKI_ALREADY_INITIALIZED])
        .also(&[CKR_CRYPTOKI_ALREADY_INITIALIZED]),
    function("C_Finalize", &[Reserved]).answers(&[]),
    function("C_GetInfo", &[Place(16)]),
    function("C_GetFunctionList", &[Place(1)]),
    function("C_GetInterfaceList", &[List]),
    function(
        "C_GetInterface",
        &[
            Optional,
            Optional,
            Place(1),
            Number(0, &[(1 << 40, FORBIDDEN), (CK_ULONG::MAX, FORBIDDEN)]),
        ],
    ),
    // 5.5, slots and tokens.
    function("C_GetSlotList", &[Number(1, &[(0, OK), (255, OK)]), List]),
    function("C_GetSlotInfo", &[Slot, Place(16)]),
    function("C_GetTokenInfo", &[Slot, Place(32)]),
    function("C_WaitForSlotEvent", &[Number(CKF_DONT_BLOCK, &[]), Place(1), Reserved])
        .answers(&[CKR_NO_EVENT]),
    function("C_GetMechanismList", &[Slot, List]),
    function(
        "C_GetMechanismInfo",
        &[
            Slot,
            Number(
                CKM_SHA256,
                &[
                    (NO_MECHANISM, &[CKR_MECHANISM_INVALID]),
                    (CK_ULONG::MAX, &[CKR_MECHANISM_INVALID]),
                    (1 << 32 | CKM_SHA256, &[CKR_MECHANISM_INVALID]),
                ],
            ),
            Place(4),
        ],
    ),
    function("C_InitToken", &[Slot, Kind::Pin(Pin::So), Label])
        .answers(&[CKR_SESSION_EXISTS])
        .also(&[CKR_SESSION_EXISTS]),
    function("C_InitPIN", &[Session, Kind::Pin(Pin::User)])
        .answers(&[CKR_OK, CKR_USER_NOT_LOGGED_IN])
        .also(&[CKR_USER_NOT_LOGGED_IN]),
    function("C_SetPIN", &[Session, Kind::Pin(Pin::Own), Kind::Pin(Pin::Own)]),
    // 5.6, sessions.
    function(
        "C_OpenSession",
        &[
            Slot,
            Number(
                CKF_SERIAL_SESSION | CKF_RW_SESSION,
                &[
                    (0, &[CKR_SESSION_PARALLEL_NOT_SUPPORTED]),
                    (CKF_RW_SESSION, &[CKR_SESSION_PARALLEL_NOT_SUPPORTED]),
                    (CK_ULONG::MAX, &[CKR_ARGUMENTS_BAD, CKR_SESSION_ASYNC_NOT_SUPPORTED]),
                ],
            ),
            Optional,
            Optional,
            Place(1),
        ],
    ),
    function("C_CloseSession", &[Session]),
    function("C_CloseAllSessions", &[Slot]).answers(&[]),
    function("C_GetSessionInfo", &[Session, Place(4)]),
    function(
        "C_SessionCancel",
        &[
            Session,
            Number(
                CKF_SIGN,
                &[
                    (0, OK),
                    (1 << 50, &[CKR_ARGUMENTS_BAD, CKR_OPERATION_CANCEL_FAILED]),
                    (CK_ULONG::MAX, &[CKR_ARGUMENTS_BAD, CKR_OPERATION_CANCEL_FAILED]),
                ],
            ),
        ],
    )
    .after(&["C_SignInit"]),
    function("C_GetOperationState", &[Session, Out(SMALL)])
        .after(&["C_DigestInit", "C_DigestUpdate"]),
    function(
        "C_SetOperationState",
        &[Session, In(&STATE), Object(Held::None, UNWANTED), Object(Held::None, UNWANTED)],
    ),
    function("C_Login", &[Session, USER_TYPE, Kind::Pin(Pin::User)]).answers(&[]).also(LOGGED_IN),
    function("C_LoginUser", &[Session, USER_TYPE, Kind::Pin(Pin::User), In(&NAME)])
        .answers(&[])
        .also(LOGGED_IN),
    function("C_Logout", &[Session]).answers(&[]),
    function(
        "C_GetSessionValidationFlags",
        &[
            Session,
            Number(CKS_LAST_VALIDATION_OK, &[(77, FORBIDDEN), (CK_ULONG::MAX, FORBIDDEN)]),
            Place(1),
        ],
    ),
    // 5.7, objects.
    function("C_CreateObject", &[Session, Template(data), Place(1)]),
    function("C_CopyObject", &[Session, Object(Held::Fresh, OBJECT), Template(a_copy), Place(1)]),
    function("C_DestroyObject", &[Session, Object(Held::Fresh, OBJECT)]),
    function("C_GetObjectSize", &[Session, Object(Held::Fresh, OBJECT), Place(1)]),
    function("C_GetAttributeValue", &[Session, Object(Held::Fresh, OBJECT), Query]),
    function("C_SetAttributeValue", &[Session, Object(Held::Fresh, OBJECT), Template(sign_off)]),
    function("C_FindObjectsInit", &[Session, Template(data_objects)]).but(SEARCHED),
    function("C_FindObjects", &[Session, Found]).after(&["C_FindObjectsInit"]),
    function("C_FindObjectsFinal", &[Session]).after(&["C_FindObjectsInit"]),
    // 5.8, encryption.
    function("C_EncryptInit", &[Session, ends(&CBC), AES]),
    function("C_Encrypt", &[Session, In(&BLOCKS), Out(SMALL)]).after(&["C_EncryptInit"]),
    function("C_EncryptUpdate", &[Session, In(&TEXT), Out(SMALL)]).after(&["C_EncryptInit"]),
    function("C_EncryptFinal", &[Session, Out(NOTHING)]).after(&["C_EncryptInit"]),
    // 5.9, encryption of messages.
    function("C_MessageEncryptInit", &[Session, ends(&GCM), AES]),
    function("C_EncryptMessage", &[Session, Message, In(&TEXT), In(&TEXT), Out(SMALL)])
        .after(&["C_MessageEncryptInit"]),
    function("C_EncryptMessageBegin", &[Session, Message, In(&TEXT)])
        .after(&["C_MessageEncryptInit"]),
    function(
        "C_EncryptMessageNext",
        &[Session, Message, In(&TEXT), Out(SMALL), Number(CKF_END_OF_MESSAGE, &[])],
    )
    .after(&["C_MessageEncryptInit", "C_EncryptMessageBegin"]),
    function("C_MessageEncryptFinal", &[Session]).after(&["C_MessageEncryptInit"]),
    // 5.10, decryption.
    function("C_DecryptInit", &[Session, ends(&CBC), AES]),
    function("C_Decrypt", &[Session, In(&CIPHERTEXT), Out(SMALL)]).after(&["C_DecryptInit"]),
    function("C_DecryptUpdate", &[Session, In(&TEXT), Out(SMALL)]).after(&["C_DecryptInit"]),
    function("C_DecryptFinal", &[Session, Out(NOTHING)]).after(&["C_DecryptInit"]),
    // 5.11, decryption of messages.
    function("C_MessageDecryptInit", &[Session, ends(&GCM), AES]),
    function(
        "C_DecryptMessage",
        &[Session, Message, In(&ASSOCIATED_MESSAGE), In(&FORGED), Out(SMALL)],
    )
    .after(&["C_MessageDecryptInit"])
    .answers(FORGERY)
    .but(&forged(4)),
    function("C_DecryptMessageBegin", &[Session, Message, In(&TEXT)])
        .after(&["C_MessageDecryptInit"]),
    function(
        "C_DecryptMessageNext",
        &[Session, Message, In(&FORGED), Out(SMALL), Number(CKF_END_OF_MESSAGE, &[])],
    )
    .after(&["C_MessageDecryptInit", "C_DecryptMessageBegin"])
    .answers(FORGERY)
    .but(&forged(3)),
    function("C_MessageDecryptFinal", &[Session]).after(&["C_MessageDecryptInit"]),
    // 5.12, digests.
    function("C_DigestInit", &[Session, ends(&SHA256)]),
    function("C_Digest", &[Session, In(&TEXT), Out(SMALL)]).after(&["C_DigestInit"]),
    function("C_DigestUpdate", &[Session, In(&TEXT)]).after(&["C_DigestInit"]),
    function("C_DigestKey", &[Session, Object(Held::Mac, DIGESTED)]).after(&["C_DigestInit"]),
    function("C_DigestFinal", &[Session, Out(SMALL)]).after(&["C_DigestInit"]),
    // 5.13, signatures.
    function("C_SignInit", &[Session, ends(&MAC_OF), Object(Held::Mac, KEY)]),
    function("C_Sign", &[Session, In(&TEXT), Out(SMALL)]).after(&["C_SignInit"]),
    function("C_SignUpdate", &[Session, In(&TEXT)]).after(&["C_SignInit"]),
    function("C_SignFinal", &[Session, Out(SMALL)]).after(&["C_SignInit", "C_SignUpdate"]),
    function("C_SignRecoverInit", &[Session, ends(&RSA), Object(Held::RsaPrivate, KEY)]),
    function("C_SignRecover", &[Session, In(&SHORT), Out(SMALL)]).after(&["C_SignRecoverInit"]),
    // 5.14, verification.
    function("C_VerifyInit", &[Session, ends(&MAC_OF), Object(Held::Mac, KEY)]),
    function("C_Verify", &[Session, In(&TEXT), In(&MAC)])
        .after(&["C_VerifyInit"])
        .but(&fewer(1, NOT_SIGNED)),
    function("C_VerifyUpdate", &[Session, In(&TEXT)]).after(&["C_VerifyInit"]),
    function("C_VerifyFinal", &[Session, In(&MAC)]).after(&["C_VerifyInit", "C_VerifyUpdate"]),
    function("C_VerifyRecoverInit", &[Session, ends(&RSA), Object(Held::RsaPublic, KEY)]),
    function("C_VerifyRecover", &[Session, In(&RECOVERABLE), Out(SMALL)])
        .after(&["C_VerifyRecoverInit"]),
    function("C_VerifySignatureInit", &[Session, ends(&MAC_OF), Object(Held::Mac, KEY), In(&MAC)])
        // That it is no signature may be told when the data is there.
        .but(&fewer(3, SIGNATURE_LATER)),
    function("C_VerifySignature", &[Session, In(&TEXT)])
        .after(&["C_VerifySignatureInit"])
        .but(&fewer(1, NOT_SIGNED)),
    function("C_VerifySignatureUpdate", &[Session, In(&TEXT)]).after(&["C_VerifySignatureInit"]),
    function("C_VerifySignatureFinal", &[Session])
        .after(&["C_VerifySignatureInit", "C_VerifySignatureUpdate"]),
    // 5.15, two operations at once.
    function("C_DigestEncryptUpdate", &[Session, In(&TEXT), Out(SMALL)])
        .after(&["C_DigestInit", "C_EncryptInit"]),
    function("C_DecryptDigestUpdate", &[Session, In(&TEXT), Out(SMALL)])
        .after(&["C_DecryptInit", "C_DigestInit"]),
    function("C_SignEncryptUpdate", &[Session, In(&TEXT), Out(SMALL)])
        .after(&["C_SignInit", "C_EncryptInit"]),
    function("C_DecryptVerifyUpdate", &[Session, In(&TEXT), Out(SMALL)])
        .after(&["C_DecryptInit", "C_VerifyInit"]),
    // 5.16, signatures of messages.
    function("C_MessageSignInit", &[Session, ends(&MAC_OF), Object(Held::Mac, KEY)]),
    function("C_SignMessage", &[Session, NoParameter, In(&TEXT), Out(SMALL)])
        .after(&["C_MessageSignInit"]),
    function("C_SignMessageBegin", &[Session, NoParameter]).after(&["C_MessageSignInit"]),
    function("C_SignMessageNext", &[Session, NoParameter, In(&TEXT), Out(SMALL)])
        .after(&["C_MessageSignInit", "C_SignMessageBegin"])
        .but(&[(3, "no length", BAD_OR_OK), (3, "neither", BAD_OR_OK)]),
    function("C_MessageSignFinal", &[Session]).after(&["C_MessageSignInit"]),
    // 5.17, verification of messages.
    function("C_MessageVerifyInit", &[Session, ends(&MAC_OF), Object(Held::Mac, KEY)]),
    function("C_VerifyMessage", &[Session, NoParameter, In(&TEXT), In(&MAC)])
        .after(&["C_MessageVerifyInit"])
        .but(&fewer(2, NOT_SIGNED)),
    function("C_VerifyMessageBegin", &[Session, NoParameter]).after(&["C_MessageVerifyInit"]),
    function("C_VerifyMessageNext", &[Session, NoParameter, In(&TEXT), In(&MAC)])
        .after(&["C_MessageVerifyInit", "C_VerifyMessageBegin"])
        .but(LAST_PART),
    function("C_MessageVerifyFinal", &[Session]).after(&["C_MessageVerifyInit"]),
    // 5.18, keys.
    function("C_GenerateKey", &[Session, needed(&AES_GEN), Template(an_aes_key), Place(1)]),
    function(
        "C_GenerateKeyPair",
        &[
            Session,
            needed(&EC_GEN),
            Template(a_public_key),
            Template(a_private_key),
            Place(1),
            Place(1),
        ],
    ),
    function(
        "C_WrapKey",
        &[
            Session,
            needed(&KEY_WRAP),
            Object(Held::Aes, WRAPPING),
            Object(Held::Fresh, WRAPPED),
            Out(SMALL),
        ],
    ),
    function(
        "C_UnwrapKey",
        &[
            Session,
            needed(&KEY_WRAP),
            Object(Held::Aes, UNWRAPPING),
            In(&KEY_INSIDE),
            Template(a_key_inside),
            Place(1),
        ],
    ),
    function(
        "C_WrapKeyAuthenticated",
        &[
            Session,
            needed(&GCM_WRAP),
            Object(Held::Aes, WRAPPING),
            Object(Held::Fresh, WRAPPED),
            In(&TEXT),
            Out(SMALL),
        ],
    ),
    function(
        "C_UnwrapKeyAuthenticated",
        &[
            Session,
            needed(&GCM_WRAP),
            Object(Held::Aes, UNWRAPPING),
            In(&FORGED_KEY),
            Template(a_key_inside),
            In(&ASSOCIATED_FORGED),
            Place(1),
        ],
    )
    .answers(FORGED_WRAP),
    function(
        "C_DeriveKey",
        &[
            Session,
            needed(&ENCRYPT_DATA),
            Object(Held::Aes, KEY),
            Template(a_derived_key),
            Place(1),
        ],
    ),
    function(
        "C_EncapsulateKey",
        &[
            Session,
            needed(&KEM),
            Object(Held::KemPublic, KEY),
            Template(a_key_inside),
            Out(SMALL),
            Place(1),
        ],
    ),
    function(
        "C_DecapsulateKey",
        &[
            Session,
            needed(&KEM),
            Object(Held::KemPrivate, UNWRAPPING),
            Template(a_key_inside),
            In(&ENCAPSULATED),
            Place(1),
        ],
    ),
    // 5.19, random numbers.
    function("C_SeedRandom", &[Session, In(&TEXT)]),
    function("C_GenerateRandom", &[Session, Fill]),
    // 5.20 and 5.21, functions of the past and of those to come.
    function("C_GetFunctionStatus", &[Session]).answers(NOT_PARALLEL).also(NOT_PARALLEL),
    function("C_CancelFunction", &[Session]).answers(NOT_PARALLEL).also(NOT_PARALLEL),
    function("C_AsyncComplete", &[Session, Optional, Place(8)])
        .answers(UNSUPPORTED)
        .also(UNSUPPORTED),
    function("C_AsyncGetID", &[Session, Optional, Place(1)]).answers(UNSUPPORTED).also(UNSUPPORTED),
    function("C_AsyncJoin", &[Session, Optional, Number(1, &[]), Fill])
        .answers(UNSUPPORTED)
        .also(UNSUPPORTED),
];

/// The function of this name.
pub(crate) fn named(name: &str) -> &'static Function {
    FUNCTIONS.iter().find(|function| function.name == name).expect("a function of the standard")
}

/// The same names as everywhere else.
#[test]
fn the_list_is_complete() {
    let mut listed: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    let mut known = strongroom_softhsm_tests::FUNCTIONS.to_vec();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}
