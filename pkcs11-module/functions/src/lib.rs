//! The functions of PKCS#11 as safe Rust: one table, from which come the trait that the token
//! implements, the client that calls it from another process ([`Remote`]), and what answers that
//! client ([`serve()`]). The status list that the documents show is here too.
//!
//! This room knows no token, no pointer and no global, and no socket: a [`Transport`] carries the
//! frames, and [`frame`] cuts them out of a stream.

#![forbid(unsafe_code)]

mod conduct;
pub mod frame;
mod observed;
mod remote;
mod revival;
mod serve;
mod status;
mod trips;
mod waiting;

pub use observed::{Observed, Observer};
pub use remote::{Broken, Remote, Transport};
pub use serve::{refusal, serve};
pub use status::{FUNCTIONS, Function, Since, Status};
pub use trips::{Hasher, Hashers};
pub use waiting::{Waiting, Watch};

use strongroom_types::{
    Attributes, Bytes, Derived, Error, MechanismCall, MechanismInfo, MechanismType, ModuleInfo,
    ObjectHandle, Output, Params, Placed, Result, Room, SessionHandle, SessionInfo, SlotId,
    SlotInfo, TokenInfo, UserType, Value, ck,
};

use crate::conduct::{Again, Conduct, Role, Step};
use crate::remote::Request;
use crate::serve::Answer;
use crate::wire::{Reader, Taken, Wire};

/// What the edge asks for itself, beside the functions.
pub trait Host {
    /// The mechanism of the message-based encryption or decryption that is active in a session: it
    /// says which parameters a message can have.
    ///
    /// # Errors
    ///
    /// [`Error::SessionHandleInvalid`](strongroom_types::Error) and
    /// [`Error::OperationNotInitialized`](strongroom_types::Error).
    fn message_mechanism(
        &self,
        session: SessionHandle,
        direction: Direction,
    ) -> Result<MechanismType>;

    /// `C_Finalize` has been called: calls that wait for something wait no longer.
    fn end_waits(&self);

    /// What a caller may know of the operation that is active in a session.
    ///
    /// # Errors
    ///
    /// [`Error::SessionHandleInvalid`](strongroom_types::Error).
    fn facts(&self, session: SessionHandle, operation: Operation) -> Result<Facts>;

    /// `C_Sign`, by a mechanism that hashes first, of data whose digest this is.
    ///
    /// # Errors
    ///
    /// Those of `C_Sign`.
    fn sign_digest(&self, session: SessionHandle, digest: &[u8], room: Room) -> Result<Output>;

    /// Has an operation that signs or verifies, by a mechanism that hashes first, take nothing but the
    /// digest: the caller hashes the data. To calls for parts of it the operation is over.
    ///
    /// # Errors
    ///
    /// Those of `C_SignUpdate`.
    fn hash_elsewhere(&self, session: SessionHandle, operation: Operation) -> Result<()>;

    /// `C_Verify`, by a mechanism that hashes first, of data whose digest this is.
    ///
    /// # Errors
    ///
    /// Those of `C_Verify`.
    fn verify_digest(&self, session: SessionHandle, digest: &[u8], signature: &[u8]) -> Result<()>;

    /// Has handles that an application of an earlier turn gave stand for the same objects again, each
    /// of the session's token and named by its `CKA_UNIQUE_ID`.
    ///
    /// # Errors
    ///
    /// [`Error::SessionHandleInvalid`](strongroom_types::Error), and
    /// [`Error::ArgumentsBad`](strongroom_types::Error) for what no application has given.
    fn adopt(&self, session: SessionHandle, objects: Vec<(ObjectHandle, Bytes)>) -> Result<()>;

    /// `C_FindObjects`, with what may be read of the first of the objects: `least` of them, if there are
    /// as many, and up to `most`, if they are found without much ado. If there are no more, it is
    /// `C_FindObjectsFinal` too.
    ///
    /// # Errors
    ///
    /// Those of `C_FindObjects`.
    fn find(&self, session: SessionHandle, least: usize, most: usize) -> Result<Found>;
}

/// The operations whose start need not be asked for each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `C_EncryptInit`.
    Encrypt,
    /// `C_DecryptInit`.
    Decrypt,
    /// `C_DigestInit`.
    Digest,
    /// `C_SignInit`.
    Sign,
    /// `C_VerifyInit`.
    Verify,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Encrypt, Self::Decrypt, Self::Digest, Self::Sign, Self::Verify];

    /// How `C_SessionCancel` calls it.
    fn flag(self) -> u64 {
        match self {
            Self::Encrypt => ck!(CKF_ENCRYPT),
            Self::Decrypt => ck!(CKF_DECRYPT),
            Self::Digest => ck!(CKF_DIGEST),
            Self::Sign => ck!(CKF_SIGN),
            Self::Verify => ck!(CKF_VERIFY),
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Encrypt => 0,
            Self::Decrypt => 1,
            Self::Digest => 2,
            Self::Sign => 3,
            Self::Verify => 4,
        }
    }
}

/// What a caller may know of an operation. It is the same for each that starts as this one did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the next that starts so may begin when its data comes: not where its key wants a
    /// login for each use.
    pub again: bool,
    /// The length of its output, where that does not depend on the data.
    pub output_len: Option<usize>,
    /// The mechanism of the digest that the caller may compute itself.
    pub hash: Option<MechanismType>,
    /// Whether its key is an object of a session, and ends with that.
    pub passing: bool,
    /// `CKA_UNIQUE_ID` of its key, if that is on the token and for everybody to see.
    pub name: Option<Bytes>,
}

/// What a search found.
#[derive(Default)]
pub struct Found {
    /// The objects.
    pub objects: Vec<ObjectHandle>,
    /// What may be read of the first of them, in their order.
    pub of: Vec<Option<Description>>,
    /// Whether there may be more; else the search is over.
    pub more: bool,
}

/// What may be read of an object. An attribute that is nowhere in it the object does not have.
#[derive(Default)]
pub struct Description {
    /// What can not change as long as the object exists.
    pub fixed: Attributes,
    /// What may change.
    pub changing: Attributes,
    /// The attributes that have to be asked for: what is secret, or long.
    pub untold: Vec<u64>,
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They are encrypted.
    Encrypt,
    /// They are decrypted.
    Decrypt,
}

/// The output of a message, and what goes to the places of its parameter when it is there.
pub struct MessageOutput {
    /// The output.
    pub output: Output,
    /// For each place, what goes there.
    pub placed: Vec<Placed>,
}

/// A row of the table, as a document tells of it.
pub struct Row {
    /// What stands for the function on the wire.
    pub number: u16,
    /// The standard's name.
    pub name: &'static str,
    /// The name and the type of each argument, in the order of the wire.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The type of the reply.
    pub reply: &'static str,
    /// What there is to know of it, in the words of rustdoc.
    pub about: &'static str,
}

/// The table. A number stands for its function for ever; a function that changes gets a new row. In
/// braces is what comes of it ([`Again`]), where that is not an operation or a session, and in brackets
/// what it has to do with round trips ([`Role`]).
macro_rules! table {
    ($make:ident) => {
        $make! {
            /// `C_GetInfo`.
            1 C_GetInfo {Reads}: fn info() -> ModuleInfo;

            /// `C_GetSlotList`. Slots that came since the last call appear only when `refresh` is set, as it
            /// is when the caller asks for the count.
            2 C_GetSlotList {Reads}: fn slot_list(token_present: bool, refresh: bool) -> Vec<SlotId>;
            /// `C_GetSlotInfo`.
            3 C_GetSlotInfo {Reads}: fn slot_info(slot: SlotId) -> SlotInfo;
            /// `C_GetTokenInfo`.
            4 C_GetTokenInfo {Reads}: fn token_info(slot: SlotId) -> TokenInfo;
            /// `C_WaitForSlotEvent`, which waits for some moments if it may block: whoever waits for longer
            /// asks again after `CKR_NO_EVENT`.
            5 C_WaitForSlotEvent: fn wait_for_slot_event(block: bool) -> SlotId;
            /// `C_GetMechanismList`.
            6 C_GetMechanismList {Reads}: fn mechanism_list(slot: SlotId) -> Vec<MechanismType>;
            /// `C_GetMechanismInfo`.
            7 C_GetMechanismInfo {Reads}: fn mechanism_info(slot: SlotId, mechanism: MechanismType) -> MechanismInfo;
            /// `C_InitToken`.
            8 C_InitToken {Lasts} [Everything]: fn init_token(slot: SlotId, pin: &[u8], label: &[u8; 32]) -> ();
            /// `C_InitPIN`.
            9 C_InitPIN {Lasts}: fn init_pin(session: SessionHandle, pin: &[u8]) -> ();
            /// `C_SetPIN`.
            10 C_SetPIN {Lasts}: fn set_pin(session: SessionHandle, old: &[u8], new: &[u8]) -> ();

            /// `C_OpenSession`.
            11 C_OpenSession [Open]: fn open_session(slot: SlotId, read_write: bool) -> SessionHandle;
            /// `C_CloseSession`.
            12 C_CloseSession [Close]: fn close_session(session: SessionHandle) -> ();
            /// `C_CloseAllSessions`.
            13 C_CloseAllSessions [Everything]: fn close_all_sessions(slot: SlotId) -> ();
            /// `C_GetSessionInfo`.
            14 C_GetSessionInfo {Reads}: fn session_info(session: SessionHandle) -> SessionInfo;
            /// `C_Login`.
            15 C_Login {Lasts} [Everything]: fn login(session: SessionHandle, user: UserType, pin: &[u8]) -> ();
            /// `C_Logout`.
            16 C_Logout [Everything]: fn logout(session: SessionHandle) -> ();

            /// `C_CreateObject`.
            17 C_CreateObject {Lasts} [Make]: fn create_object(session: SessionHandle, template: Attributes) -> ObjectHandle;
            /// `C_CopyObject`.
            18 C_CopyObject {Lasts} [Make]: fn copy_object(session: SessionHandle, object: ObjectHandle, template: Attributes) -> ObjectHandle;
            /// `C_DestroyObject`.
            19 C_DestroyObject {Lasts} [Object]: fn destroy_object(session: SessionHandle, object: ObjectHandle) -> ();
            /// `C_GetObjectSize`, in bytes.
            20 C_GetObjectSize {Reads}: fn object_size(session: SessionHandle, object: ObjectHandle) -> u64;
            /// `C_GetAttributeValue`: for each attribute asked for, its value, or
            /// `CKR_ATTRIBUTE_SENSITIVE` or `CKR_ATTRIBUTE_TYPE_INVALID`.
            21 C_GetAttributeValue {Reads} [Attributes]: fn attributes(session: SessionHandle, object: ObjectHandle, wanted: &[u64]) -> Vec<Result<Value>>;
            /// `C_SetAttributeValue`.
            22 C_SetAttributeValue {Lasts} [Object]: fn set_attributes(session: SessionHandle, object: ObjectHandle, template: Attributes) -> ();
            /// `C_FindObjectsInit`.
            23 C_FindObjectsInit [Search(Step::Start)]: fn find_objects_init(session: SessionHandle, template: Attributes) -> ();
            /// `C_FindObjects`.
            24 C_FindObjects [Search(Step::Next)]: fn find_objects(session: SessionHandle, most: usize) -> Vec<ObjectHandle>;
            /// `C_FindObjectsFinal`.
            25 C_FindObjectsFinal [Search(Step::End)]: fn find_objects_final(session: SessionHandle) -> ();

            /// `C_EncryptInit`; no mechanism ends the operation that is active.
            26 C_EncryptInit [Start(Operation::Encrypt)]: fn encrypt_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_Encrypt`.
            27 C_Encrypt [Whole(Operation::Encrypt)]: fn encrypt(session: SessionHandle, data: &[u8], room: Room) -> Output;
            /// `C_EncryptUpdate`.
            28 C_EncryptUpdate [Part(Operation::Encrypt)]: fn encrypt_update(session: SessionHandle, part: &[u8], room: Room) -> Output;
            /// `C_EncryptFinal`.
            29 C_EncryptFinal [Last(Operation::Encrypt)]: fn encrypt_final(session: SessionHandle, room: Room) -> Output;
            /// `C_DecryptInit`; no mechanism ends the operation that is active.
            30 C_DecryptInit [Start(Operation::Decrypt)]: fn decrypt_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_Decrypt`.
            31 C_Decrypt [Whole(Operation::Decrypt)]: fn decrypt(session: SessionHandle, encrypted: &[u8], room: Room) -> Output;
            /// `C_DecryptUpdate`.
            32 C_DecryptUpdate [Part(Operation::Decrypt)]: fn decrypt_update(session: SessionHandle, part: &[u8], room: Room) -> Output;
            /// `C_DecryptFinal`.
            33 C_DecryptFinal [Last(Operation::Decrypt)]: fn decrypt_final(session: SessionHandle, room: Room) -> Output;

            /// `C_DigestInit`; no mechanism ends the operation that is active.
            34 C_DigestInit [Start(Operation::Digest)]: fn digest_init(session: SessionHandle, mechanism: Option<MechanismCall>) -> ();
            /// `C_Digest`.
            35 C_Digest [Whole(Operation::Digest)]: fn digest(session: SessionHandle, data: &[u8], room: Room) -> Output;
            /// `C_DigestUpdate`.
            36 C_DigestUpdate [Part(Operation::Digest)]: fn digest_update(session: SessionHandle, part: &[u8]) -> ();
            /// `C_DigestKey`.
            37 C_DigestKey [Part(Operation::Digest)]: fn digest_key(session: SessionHandle, key: ObjectHandle) -> ();
            /// `C_DigestFinal`.
            38 C_DigestFinal [Last(Operation::Digest)]: fn digest_final(session: SessionHandle, room: Room) -> Output;

            /// `C_SignInit`; no mechanism ends the operation that is active.
            39 C_SignInit [Start(Operation::Sign)]: fn sign_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_Sign`.
            40 C_Sign [Whole(Operation::Sign)]: fn sign(session: SessionHandle, data: &[u8], room: Room) -> Output;
            /// `C_SignUpdate`.
            41 C_SignUpdate [Part(Operation::Sign)]: fn sign_update(session: SessionHandle, part: &[u8]) -> ();
            /// `C_SignFinal`.
            42 C_SignFinal [Last(Operation::Sign)]: fn sign_final(session: SessionHandle, room: Room) -> Output;
            /// `C_VerifyInit`; no mechanism ends the operation that is active.
            43 C_VerifyInit [Start(Operation::Verify)]: fn verify_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_Verify`.
            44 C_Verify [Whole(Operation::Verify)]: fn verify(session: SessionHandle, data: &[u8], signature: &[u8]) -> ();
            /// `C_VerifyUpdate`.
            45 C_VerifyUpdate [Part(Operation::Verify)]: fn verify_update(session: SessionHandle, part: &[u8]) -> ();
            /// `C_VerifyFinal`.
            46 C_VerifyFinal [Last(Operation::Verify)]: fn verify_final(session: SessionHandle, signature: &[u8]) -> ();

            /// `C_GenerateKey`.
            47 C_GenerateKey {Lasts} [Make]: fn generate_key(session: SessionHandle, mechanism: MechanismCall, template: Attributes) -> ObjectHandle;
            /// `C_GenerateKeyPair`: the public key's handle, and the private key's.
            48 C_GenerateKeyPair {Lasts} [Make]: fn generate_key_pair(session: SessionHandle, mechanism: MechanismCall, public: Attributes, private: Attributes) -> (ObjectHandle, ObjectHandle);
            /// `C_UnwrapKey`.
            50 C_UnwrapKey {Lasts} [Make]: fn unwrap_key(session: SessionHandle, mechanism: MechanismCall, unwrapping_key: ObjectHandle, wrapped: &[u8], template: Attributes) -> ObjectHandle;
            /// `C_DeriveKey`; `wanted` says whether there is a place for a key beside the parameter.
            51 C_DeriveKey {Lasts} [Make]: fn derive_key(session: SessionHandle, mechanism: MechanismCall, base_key: ObjectHandle, template: Attributes, wanted: bool) -> Derived;
            /// `C_SeedRandom`.
            52 C_SeedRandom: fn seed_random(session: SessionHandle, seed: &[u8]) -> ();
            /// `C_GenerateRandom`: this many bytes.
            53 C_GenerateRandom {Reads}: fn generate_random(session: SessionHandle, len: usize) -> Bytes;

            /// `C_LoginUser`: a login with the name of a user.
            60 C_LoginUser {Lasts} [Everything]: fn login_user(session: SessionHandle, user: UserType, pin: &[u8], name: &[u8]) -> ();
            /// `C_SessionCancel`: ends the operations that the `CKF_` flags name.
            61 C_SessionCancel [Session]: fn session_cancel(session: SessionHandle, flags: u64) -> ();
            /// `C_GetSessionValidationFlags`.
            62 C_GetSessionValidationFlags {Reads}: fn session_validation_flags(session: SessionHandle, kind: u64) -> u64;

            /// `C_VerifySignatureInit`; no mechanism ends the operation that is active.
            63 C_VerifySignatureInit: fn verify_signature_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle, signature: &[u8]) -> ();
            /// `C_VerifySignature`.
            64 C_VerifySignature: fn verify_signature(session: SessionHandle, data: &[u8]) -> ();
            /// `C_VerifySignatureUpdate`.
            65 C_VerifySignatureUpdate: fn verify_signature_update(session: SessionHandle, part: &[u8]) -> ();
            /// `C_VerifySignatureFinal`.
            66 C_VerifySignatureFinal: fn verify_signature_final(session: SessionHandle) -> ();

            /// `C_SignRecoverInit`; no mechanism ends the operation that is active.
            67 C_SignRecoverInit: fn sign_recover_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_SignRecover`.
            68 C_SignRecover: fn sign_recover(session: SessionHandle, data: &[u8], room: Room) -> Output;
            /// `C_VerifyRecoverInit`; no mechanism ends the operation that is active.
            69 C_VerifyRecoverInit: fn verify_recover_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_VerifyRecover`.
            70 C_VerifyRecover: fn verify_recover(session: SessionHandle, signature: &[u8], room: Room) -> Output;

            /// `C_DigestEncryptUpdate`.
            71 C_DigestEncryptUpdate [Session]: fn digest_encrypt_update(session: SessionHandle, part: &[u8], room: Room) -> Output;
            /// `C_DecryptDigestUpdate`.
            72 C_DecryptDigestUpdate [Session]: fn decrypt_digest_update(session: SessionHandle, part: &[u8], room: Room) -> Output;
            /// `C_SignEncryptUpdate`.
            73 C_SignEncryptUpdate [Dual(Operation::Sign)]: fn sign_encrypt_update(session: SessionHandle, part: &[u8], room: Room) -> Output;
            /// `C_DecryptVerifyUpdate`.
            74 C_DecryptVerifyUpdate [Dual(Operation::Verify)]: fn decrypt_verify_update(session: SessionHandle, part: &[u8], room: Room) -> Output;

            /// `C_GetOperationState`.
            75 C_GetOperationState {Reads} [Session]: fn operation_state(session: SessionHandle, room: Room) -> Output;
            /// `C_SetOperationState`, with the keys that the operations had; handle 0 is no key.
            76 C_SetOperationState [Session]: fn set_operation_state(session: SessionHandle, state: &[u8], encryption_key: ObjectHandle, authentication_key: ObjectHandle) -> ();

            /// `C_MessageEncryptInit`; no mechanism ends the process that is active.
            77 C_MessageEncryptInit: fn message_encrypt_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_EncryptMessage`.
            78 C_EncryptMessage: fn encrypt_message(session: SessionHandle, params: Params, associated: &[u8], data: &[u8], room: Room) -> MessageOutput;
            /// `C_EncryptMessageBegin`: what goes to the places of the parameter.
            79 C_EncryptMessageBegin: fn encrypt_message_begin(session: SessionHandle, params: Params, associated: &[u8]) -> Vec<Placed>;
            /// `C_EncryptMessageNext`; `last` is `CKF_END_OF_MESSAGE`.
            80 C_EncryptMessageNext: fn encrypt_message_next(session: SessionHandle, params: Params, part: &[u8], last: bool, room: Room) -> MessageOutput;
            /// `C_MessageEncryptFinal`.
            81 C_MessageEncryptFinal: fn message_encrypt_final(session: SessionHandle) -> ();

            /// `C_MessageDecryptInit`; no mechanism ends the process that is active.
            82 C_MessageDecryptInit: fn message_decrypt_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_DecryptMessage`.
            83 C_DecryptMessage: fn decrypt_message(session: SessionHandle, params: Params, associated: &[u8], data: &[u8], room: Room) -> MessageOutput;
            /// `C_DecryptMessageBegin`: what goes to the places of the parameter.
            84 C_DecryptMessageBegin: fn decrypt_message_begin(session: SessionHandle, params: Params, associated: &[u8]) -> Vec<Placed>;
            /// `C_DecryptMessageNext`; `last` is `CKF_END_OF_MESSAGE`.
            85 C_DecryptMessageNext: fn decrypt_message_next(session: SessionHandle, params: Params, part: &[u8], last: bool, room: Room) -> MessageOutput;
            /// `C_MessageDecryptFinal`.
            86 C_MessageDecryptFinal: fn message_decrypt_final(session: SessionHandle) -> ();

            /// `C_MessageSignInit`; no mechanism ends the process that is active.
            87 C_MessageSignInit: fn message_sign_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_SignMessage`.
            88 C_SignMessage: fn sign_message(session: SessionHandle, data: &[u8], room: Room) -> Output;
            /// `C_SignMessageBegin`.
            89 C_SignMessageBegin: fn sign_message_begin(session: SessionHandle) -> ();
            /// `C_SignMessageNext`; there is room for a signature with the last part.
            90 C_SignMessageNext: fn sign_message_next(session: SessionHandle, part: &[u8], room: Option<Room>) -> Output;
            /// `C_MessageSignFinal`.
            91 C_MessageSignFinal: fn message_sign_final(session: SessionHandle) -> ();
            /// `C_MessageVerifyInit`; no mechanism ends the process that is active.
            92 C_MessageVerifyInit: fn message_verify_init(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> ();
            /// `C_VerifyMessage`.
            93 C_VerifyMessage: fn verify_message(session: SessionHandle, data: &[u8], signature: &[u8]) -> ();
            /// `C_VerifyMessageBegin`.
            94 C_VerifyMessageBegin: fn verify_message_begin(session: SessionHandle) -> ();
            /// `C_VerifyMessageNext`; there is a signature with the last part.
            95 C_VerifyMessageNext: fn verify_message_next(session: SessionHandle, part: &[u8], signature: Option<&[u8]>) -> ();
            /// `C_MessageVerifyFinal`.
            96 C_MessageVerifyFinal: fn message_verify_final(session: SessionHandle) -> ();

            /// `C_WrapKeyAuthenticated`.
            97 C_WrapKeyAuthenticated: fn wrap_key_authenticated(session: SessionHandle, mechanism: MechanismCall, wrapping_key: ObjectHandle, key: ObjectHandle, associated: &[u8], room: Room) -> MessageOutput;
            /// `C_UnwrapKeyAuthenticated`.
            98 C_UnwrapKeyAuthenticated {Lasts} [Make]: fn unwrap_key_authenticated(session: SessionHandle, mechanism: MechanismCall, unwrapping_key: ObjectHandle, wrapped: &[u8], template: Attributes, associated: &[u8]) -> ObjectHandle;

            /// `C_EncapsulateKey`: what the secret is encapsulated in, and the key, which there is none of if
            /// there is too little room.
            99 C_EncapsulateKey {Lasts} [Make]: fn encapsulate_key(session: SessionHandle, mechanism: MechanismCall, public_key: ObjectHandle, template: Attributes, room: Room) -> (Output, Option<ObjectHandle>);
            /// `C_DecapsulateKey`.
            100 C_DecapsulateKey {Lasts} [Make]: fn decapsulate_key(session: SessionHandle, mechanism: MechanismCall, private_key: ObjectHandle, template: Attributes, ciphertext: &[u8]) -> ObjectHandle;

            /// `C_WrapKey`, which was 49 before a parameter of it had a place.
            101 C_WrapKey: fn wrap_key(session: SessionHandle, mechanism: MechanismCall, wrapping_key: ObjectHandle, key: ObjectHandle, room: Room) -> MessageOutput;
        }
    };
}

/// The session that a call is for: its first argument, by the name that it has in the table.
macro_rules! session_of {
    (session $($_other:ident)*; $session:ident $($_argument:ident)*) => {
        Some($session)
    };
    ($($_other:ident)*; $($_argument:ident)*) => {
        None
    };
}

macro_rules! again {
    () => {
        Again::Passes
    };
    ($again:ident) => {
        Again::$again
    };
}

macro_rules! role {
    () => { None };
    ($($role:tt)+) => { Some(Role::$($role)+) };
}

macro_rules! declare {
    ($($(#[doc = $doc:literal])* $number:literal $c_name:ident $({$again:ident})? $([$($role:tt)+])?: fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $reply:ty;)*) => {
        /// The functions of chapter 5, without pointers. Sessions, handles and logins belong to the
        /// application that calls; there is one implementor for each.
        pub trait Cryptoki: Host + Send + Sync {
            $(
                $(#[doc = $doc])*
                ///
                /// # Errors
                ///
                /// Those that the standard names for the function.
                fn $name(&self, $($arg: $ty),*) -> Result<$reply>;
            )*
        }

        /// The rows of the table, for the documents.
        pub const ROWS: &[Row] = &[$(Row {
            number: $number,
            name: stringify!($c_name),
            arguments: &[$((stringify!($arg), stringify!($ty)),)*],
            reply: stringify!($reply),
            about: concat!($($doc),*),
        },)*];

        /// How they behave on the wire.
        static CONDUCT: &[Conduct] = &[$(Conduct {
            number: $number,
            in_session: in_session(stringify!($($arg)*)),
            again: again!($($again)?),
            role: role!($($($role)+)?),
        },)*];

        /// Calls the function of a row with the arguments that lie in a frame.
        fn dispatch(token: &dyn Cryptoki, number: u16, mut from: Reader<'_>) -> Taken<Answer> {
            match number {
                $($number => {
                    $(let $arg = Wire::take(&mut from)?;)*
                    from.end()?;
                    Ok(Answer::of(|| token.$name($($arg),*)))
                })*
                _ => serve::for_host(token, number, from),
            }
        }

        impl<O: Observer> Cryptoki for Observed<'_, O> {
            $(
                fn $name(&self, $($arg: $ty),*) -> Result<$reply> {
                    let session = session_of!($($arg)*; $($arg)*);
                    self.call(stringify!($c_name), session, |application| application.$name($($arg),*))
                }
            )*
        }

        impl<T: Transport> Cryptoki for Remote<T> {
            $(
                fn $name(&self, $($arg: $ty),*) -> Result<$reply> {
                    let most = self.most(role!($($($role)+)?));
                    self.call(Request::of_at_most(most, $number)$(.with(&$arg))*)
                }
            )*
        }
    };
}

/// `C_WaitForSlotEvent` as the standard has it, of an application that is asked again and again until
/// there is an event, if it may block.
///
/// # Errors
///
/// Those of the call.
pub fn wait_for_event(block: bool, mut ask: impl FnMut(bool) -> Result<SlotId>) -> Result<SlotId> {
    loop {
        match ask(block) {
            Err(Error::NoEvent) if block => {}
            outcome => return outcome,
        }
    }
}

/// Whether the names of a function's arguments begin with that of a session.
const fn in_session(arguments: &str) -> bool {
    matches!(arguments.as_bytes(), [b's', b'e', b's', b's', b'i', b'o', b'n', ..])
}

table!(declare);

// Behind the table, which its tests read too.
pub mod wire;
