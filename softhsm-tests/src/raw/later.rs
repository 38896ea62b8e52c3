//! The functions since 3.0, from the list that `C_GetInterface` gives.

use std::any::Any;
use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::*;

use super::{
    In, LoweredTemplate, Mechanism, Module, Produced, Room, Template, produce, ulong,
    with_mechanism,
};
use crate::rv::Rv;

/// Calls an entry of the function list of 3.2.
macro_rules! call {
    ($module:expr, $function:ident($($arg:expr),* $(,)?)) => {{
        let function = $module.list_3_2().$function;
        let function = function.expect(concat!(stringify!($function), " is in the table"));
        // SAFETY: the function is the module's, and every pointer is null or valid for the length
        // that goes with it until the call returns.
        Rv(unsafe { function($($arg),*) })
    }};
}

/// The parameter of a message, with the memory that the module writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// No parameter.
    None,
    /// `CK_GCM_MESSAGE_PARAMS`.
    Gcm {
        /// The initialisation vector.
        iv: Vec<u8>,
        /// How many bits of it stay.
        fixed_bits: CK_ULONG,
        /// How the rest is made.
        generator: CK_GENERATOR_FUNCTION,
        /// The tag.
        tag: Vec<u8>,
    },
    /// `CK_CCM_MESSAGE_PARAMS`.
    Ccm {
        /// The length of the message.
        data_len: CK_ULONG,
        /// The nonce.
        nonce: Vec<u8>,
        /// How many bits of it stay.
        fixed_bits: CK_ULONG,
        /// How the rest is made.
        generator: CK_GENERATOR_FUNCTION,
        /// The MAC.
        mac: Vec<u8>,
    },
    /// `CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS`.
    ChaCha {
        /// The nonce.
        nonce: Vec<u8>,
        /// The tag, of 16 bytes.
        tag: Vec<u8>,
    },
}

impl Message {
    /// A GCM message with an IV of the caller's and a whole tag.
    pub fn gcm(iv: &[u8]) -> Self {
        Self::generated(iv, 0, CKG_NO_GENERATE)
    }

    /// A GCM message with an IV that the module makes.
    pub fn generated(iv: &[u8], fixed_bits: CK_ULONG, generator: CK_GENERATOR_FUNCTION) -> Self {
        Self::Gcm { iv: iv.to_vec(), fixed_bits, generator, tag: vec![0; 16] }
    }

    /// The IV or nonce.
    pub fn iv(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Gcm { iv, .. } => iv,
            Self::Ccm { nonce, .. } | Self::ChaCha { nonce, .. } => nonce,
        }
    }

    /// The tag or MAC.
    pub fn tag(&mut self) -> &mut Vec<u8> {
        match self {
            Self::None => panic!("no parameter, no tag"),
            Self::Gcm { tag, .. } | Self::ChaCha { tag, .. } => tag,
            Self::Ccm { mac, .. } => mac,
        }
    }

    fn lower(&mut self) -> (*mut c_void, CK_ULONG, Option<Box<dyn Any>>) {
        fn boxed<T: 'static>(value: T) -> (*mut c_void, CK_ULONG, Option<Box<dyn Any>>) {
            let mut value = Box::new(value);
            let pointer = ptr::from_mut(value.as_mut()).cast::<c_void>();
            (pointer, ulong(size_of::<T>()), Some(value))
        }
        match self {
            Self::None => (ptr::null_mut(), 0, None),
            Self::Gcm { iv, fixed_bits, generator, tag } => boxed(CK_GCM_MESSAGE_PARAMS {
                pIv: iv.as_mut_ptr(),
                ulIvLen: ulong(iv.len()),
                ulIvFixedBits: *fixed_bits,
                ivGenerator: *generator,
                pTag: tag.as_mut_ptr(),
                ulTagBits: ulong(8 * tag.len()),
            }),
            Self::Ccm { data_len, nonce, fixed_bits, generator, mac } => {
                boxed(CK_CCM_MESSAGE_PARAMS {
                    ulDataLen: *data_len,
                    pNonce: nonce.as_mut_ptr(),
                    ulNonceLen: ulong(nonce.len()),
                    ulNonceFixedBits: *fixed_bits,
                    nonceGenerator: *generator,
                    pMAC: mac.as_mut_ptr(),
                    ulMACLen: ulong(mac.len()),
                })
            }
            Self::ChaCha { nonce, tag } => boxed(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS {
                pNonce: nonce.as_mut_ptr(),
                ulNonceLen: ulong(8 * nonce.len()),
                pTag: tag.as_mut_ptr(),
            }),
        }
    }
}

fn with_message(
    mechanism: CK_MECHANISM_TYPE,
    message: Option<&mut Message>,
    call: impl FnOnce(*mut CK_MECHANISM) -> Rv,
) -> Rv {
    let (pointer, len, _keep) = message.unwrap_or(&mut Message::None).lower();
    let mut raw = CK_MECHANISM { mechanism, pParameter: pointer, ulParameterLen: len };
    call(&raw mut raw)
}

impl Module {
    /// The functions of 3.2.
    fn list_3_2(&self) -> CK_FUNCTION_LIST_3_2 {
        type Get = unsafe extern "C" fn(
            *mut CK_UTF8CHAR,
            *mut CK_VERSION,
            *mut *mut CK_INTERFACE,
            CK_FLAGS,
        ) -> CK_RV;
        // SAFETY: the type is that of the standard.
        let get = unsafe { self.library.get::<Get>(b"C_GetInterface\0") };
        let get = get.expect("the module exports C_GetInterface");
        let mut version = CK_VERSION { major: 3, minor: 2 };
        let mut interface: *mut CK_INTERFACE = ptr::null_mut();
        // SAFETY: the name is null, and the other pointers are valid.
        let rv = Rv(unsafe { get(ptr::null_mut(), &raw mut version, &raw mut interface, 0) });
        assert_eq!(rv, Rv::OK, "C_GetInterface");
        // SAFETY: the module answered CKR_OK, so this points at its interface.
        let list = unsafe { *interface }.pFunctionList;
        // SAFETY: a list of 3.2, as was asked for.
        unsafe { *list.cast::<CK_FUNCTION_LIST_3_2>() }
    }

    /// `C_LoginUser`.
    pub fn login_user(
        &self,
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        pin: In<'_>,
        name: In<'_>,
    ) -> Rv {
        call!(
            self,
            C_LoginUser(session, user, pin.pointer(), pin.len(), name.pointer(), name.len())
        )
    }

    /// `C_SessionCancel`.
    pub fn session_cancel(&self, session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> Rv {
        call!(self, C_SessionCancel(session, flags))
    }

    /// `C_GetSessionValidationFlags`.
    pub fn session_validation_flags(
        &self,
        session: CK_SESSION_HANDLE,
        kind: CK_SESSION_VALIDATION_FLAGS_TYPE,
    ) -> Result<CK_FLAGS, Rv> {
        let mut flags = CK_FLAGS::MAX;
        let rv = call!(self, C_GetSessionValidationFlags(session, kind, &raw mut flags));
        rv.with(flags)
    }

    /// `C_AsyncComplete`, `C_AsyncGetID` and `C_AsyncJoin`, for `C_Sign`.
    pub fn asynchronous(&self, session: CK_SESSION_HANDLE) -> [Rv; 3] {
        let mut name = *b"C_Sign\0";
        let name = name.as_mut_ptr();
        let mut data = [0; 64];
        let mut result = CK_ASYNC_DATA {
            ulVersion: 0,
            pValue: data.as_mut_ptr(),
            ulValue: 64,
            hObject: CK_INVALID_HANDLE,
            hAdditionalObject: CK_INVALID_HANDLE,
        };
        let mut id = 0;
        [
            call!(self, C_AsyncComplete(session, name, &raw mut result)),
            call!(self, C_AsyncGetID(session, name, &raw mut id)),
            call!(self, C_AsyncJoin(session, name, 1, data.as_mut_ptr(), 64)),
        ]
    }

    /// `C_EncapsulateKey`: what came out, and the handle of the key.
    pub fn encapsulate_key<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        public_key: CK_OBJECT_HANDLE,
        template: impl Into<Template<'a>>,
        room: Room,
    ) -> (Produced, CK_OBJECT_HANDLE) {
        let mut template = LoweredTemplate::new(template);
        let mut key = CK_INVALID_HANDLE;
        let produced = produce(room, |out, len| {
            with_mechanism(mechanism, |pointer| {
                call!(
                    self,
                    C_EncapsulateKey(
                        session,
                        pointer,
                        public_key,
                        template.pointer(),
                        template.len(),
                        out,
                        len,
                        &raw mut key
                    )
                )
            })
        });
        (produced, key)
    }

    /// `C_DecapsulateKey`.
    pub fn decapsulate_key<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        private_key: CK_OBJECT_HANDLE,
        template: impl Into<Template<'a>>,
        ciphertext: In<'_>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut key = CK_INVALID_HANDLE;
        with_mechanism(mechanism, |pointer| {
            call!(
                self,
                C_DecapsulateKey(
                    session,
                    pointer,
                    private_key,
                    template.pointer(),
                    template.len(),
                    ciphertext.pointer(),
                    ciphertext.len(),
                    &raw mut key
                )
            )
        })
        .with(key)
    }

    /// `C_VerifySignatureInit`.
    pub fn verify_signature_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
        signature: In<'_>,
    ) -> Rv {
        let (bytes, len) = (signature.pointer(), signature.len());
        with_mechanism(mechanism, |pointer| {
            call!(self, C_VerifySignatureInit(session, pointer, key, bytes, len))
        })
    }

    /// `C_VerifySignature`.
    pub fn verify_signature(&self, session: CK_SESSION_HANDLE, data: In<'_>) -> Rv {
        call!(self, C_VerifySignature(session, data.pointer(), data.len()))
    }

    /// `C_VerifySignatureUpdate`.
    pub fn verify_signature_update(&self, session: CK_SESSION_HANDLE, part: In<'_>) -> Rv {
        call!(self, C_VerifySignatureUpdate(session, part.pointer(), part.len()))
    }

    /// `C_VerifySignatureFinal`.
    pub fn verify_signature_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_VerifySignatureFinal(session))
    }

    /// `C_MessageEncryptInit`.
    pub fn message_encrypt_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        message: Option<&mut Message>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_message(mechanism, message, |pointer| {
            call!(self, C_MessageEncryptInit(session, pointer, key))
        })
    }

    /// `C_EncryptMessage`.
    pub fn encrypt_message(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        aad: In<'_>,
        data: In<'_>,
        room: Room,
    ) -> Produced {
        let (pointer, len, _keep) = message.lower();
        produce(room, |out, out_len| {
            call!(
                self,
                C_EncryptMessage(
                    session,
                    pointer,
                    len,
                    aad.pointer(),
                    aad.len(),
                    data.pointer(),
                    data.len(),
                    out,
                    out_len,
                )
            )
        })
    }

    /// `C_EncryptMessageBegin`.
    pub fn encrypt_message_begin(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        aad: In<'_>,
    ) -> Rv {
        let (pointer, len, _keep) = message.lower();
        call!(self, C_EncryptMessageBegin(session, pointer, len, aad.pointer(), aad.len()))
    }

    /// `C_EncryptMessageNext`.
    pub fn encrypt_message_next(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        part: In<'_>,
        room: Room,
        last: bool,
    ) -> Produced {
        let (pointer, len, _keep) = message.lower();
        let flags = if last { CKF_END_OF_MESSAGE } else { 0 };
        let (data, data_len) = (part.pointer(), part.len());
        produce(room, |out, out_len| {
            call!(
                self,
                C_EncryptMessageNext(session, pointer, len, data, data_len, out, out_len, flags)
            )
        })
    }

    /// `C_MessageEncryptFinal`.
    pub fn message_encrypt_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_MessageEncryptFinal(session))
    }

    /// `C_MessageDecryptInit`.
    pub fn message_decrypt_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        message: Option<&mut Message>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_message(mechanism, message, |pointer| {
            call!(self, C_MessageDecryptInit(session, pointer, key))
        })
    }

    /// `C_DecryptMessage`.
    pub fn decrypt_message(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        aad: In<'_>,
        data: In<'_>,
        room: Room,
    ) -> Produced {
        let (pointer, len, _keep) = message.lower();
        produce(room, |out, out_len| {
            call!(
                self,
                C_DecryptMessage(
                    session,
                    pointer,
                    len,
                    aad.pointer(),
                    aad.len(),
                    data.pointer(),
                    data.len(),
                    out,
                    out_len,
                )
            )
        })
    }

    /// `C_DecryptMessageBegin`.
    pub fn decrypt_message_begin(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        aad: In<'_>,
    ) -> Rv {
        let (pointer, len, _keep) = message.lower();
        call!(self, C_DecryptMessageBegin(session, pointer, len, aad.pointer(), aad.len()))
    }

    /// `C_DecryptMessageNext`.
    pub fn decrypt_message_next(
        &self,
        session: CK_SESSION_HANDLE,
        message: &mut Message,
        part: In<'_>,
        room: Room,
        last: bool,
    ) -> Produced {
        let (pointer, len, _keep) = message.lower();
        let flags = if last { CKF_END_OF_MESSAGE } else { 0 };
        let (data, data_len) = (part.pointer(), part.len());
        produce(room, |out, out_len| {
            call!(
                self,
                C_DecryptMessageNext(session, pointer, len, data, data_len, out, out_len, flags)
            )
        })
    }

    /// `C_MessageDecryptFinal`.
    pub fn message_decrypt_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_MessageDecryptFinal(session))
    }

    /// `C_MessageSignInit`.
    pub fn message_sign_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_MessageSignInit(session, pointer, key)))
    }

    /// `C_SignMessage`.
    pub fn sign_message(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        let (bytes, len) = (data.pointer(), data.len());
        produce(room, |out, out_len| {
            call!(self, C_SignMessage(session, ptr::null_mut(), 0, bytes, len, out, out_len))
        })
    }

    /// `C_SignMessageBegin`, with a parameter of so many bytes.
    pub fn sign_message_begin(&self, session: CK_SESSION_HANDLE, parameter: In<'_>) -> Rv {
        call!(self, C_SignMessageBegin(session, parameter.pointer().cast(), parameter.len()))
    }

    /// `C_SignMessageNext`; without room it is not the last part.
    pub fn sign_message_next(
        &self,
        session: CK_SESSION_HANDLE,
        part: In<'_>,
        room: Option<Room>,
    ) -> Produced {
        let (bytes, len, last) = (part.pointer(), part.len(), room.is_some());
        produce(room.unwrap_or(Room::Query), |out, out_len| {
            let out_len = if last { out_len } else { ptr::null_mut() };
            call!(self, C_SignMessageNext(session, ptr::null_mut(), 0, bytes, len, out, out_len))
        })
    }

    /// `C_MessageSignFinal`.
    pub fn message_sign_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_MessageSignFinal(session))
    }

    /// `C_MessageVerifyInit`.
    pub fn message_verify_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_MessageVerifyInit(session, pointer, key)))
    }

    /// `C_VerifyMessage`.
    pub fn verify_message(
        &self,
        session: CK_SESSION_HANDLE,
        data: In<'_>,
        signature: In<'_>,
    ) -> Rv {
        let (bytes, len) = (data.pointer(), data.len());
        let (signed, signed_len) = (signature.pointer(), signature.len());
        call!(self, C_VerifyMessage(session, ptr::null_mut(), 0, bytes, len, signed, signed_len))
    }

    /// `C_VerifyMessageBegin`.
    pub fn verify_message_begin(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_VerifyMessageBegin(session, ptr::null_mut(), 0))
    }

    /// `C_VerifyMessageNext`; without a signature it is not the last part.
    pub fn verify_message_next(
        &self,
        session: CK_SESSION_HANDLE,
        part: In<'_>,
        signature: In<'_>,
    ) -> Rv {
        let (bytes, len) = (part.pointer(), part.len());
        let (signed, signed_len) = (signature.pointer(), signature.len());
        call!(
            self,
            C_VerifyMessageNext(session, ptr::null_mut(), 0, bytes, len, signed, signed_len)
        )
    }

    /// `C_MessageVerifyFinal`.
    pub fn message_verify_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_MessageVerifyFinal(session))
    }

    /// `C_WrapKeyAuthenticated`.
    #[expect(clippy::too_many_arguments, reason = "the standard's prototype")]
    pub fn wrap_key_authenticated(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        message: &mut Message,
        wrapping: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        aad: In<'_>,
        room: Room,
    ) -> Produced {
        let (pointer, len, _keep) = message.lower();
        let mut raw = CK_MECHANISM { mechanism, pParameter: pointer, ulParameterLen: len };
        let (data, data_len) = (aad.pointer(), aad.len());
        produce(room, |out, out_len| {
            call!(
                self,
                C_WrapKeyAuthenticated(
                    session,
                    &raw mut raw,
                    wrapping,
                    key,
                    data,
                    data_len,
                    out,
                    out_len,
                )
            )
        })
    }

    /// `C_UnwrapKeyAuthenticated`.
    #[expect(clippy::too_many_arguments, reason = "the standard's prototype")]
    pub fn unwrap_key_authenticated<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        message: &mut Message,
        unwrapping: CK_OBJECT_HANDLE,
        wrapped: In<'_>,
        template: impl Into<Template<'a>>,
        aad: In<'_>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let (pointer, len, _keep) = message.lower();
        let mut raw = CK_MECHANISM { mechanism, pParameter: pointer, ulParameterLen: len };
        let mut key = 0;
        let mut template = LoweredTemplate::new(template);
        call!(
            self,
            C_UnwrapKeyAuthenticated(
                session,
                &raw mut raw,
                unwrapping,
                wrapped.pointer(),
                wrapped.len(),
                template.pointer(),
                template.len(),
                aad.pointer(),
                aad.len(),
                &raw mut key,
            )
        )
        .with(key)
    }
}
