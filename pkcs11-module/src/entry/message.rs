//! Sections 5.9, 5.11, 5.16 and 5.17: messages, each with a parameter of its own.
//!
//! What is wrong with the arguments is wrong with one message; the others go on.

use core::ffi::c_void;

use cryptoki_sys::{CK_MECHANISM, CKF_END_OF_MESSAGE};
use strongroom_functions::{Direction, MessageOutput};
use strongroom_types::{Error, Layout, Output, Params, Placed, Result, Room, SessionHandle};

use super::operation::{Input, Target};
use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutBuf, OutPtr, Places};
use crate::module::{Application, Call, layouts, message_layouts, module};

/// Writes what came of a message: nothing if there was too little room for it.
pub(super) fn settle(made: MessageOutput, out: OutBuf<'_>, places: Places<'_>) -> Result<()> {
    if let Output::Bytes(_) = made.output {
        places.put(made.placed)?;
    }
    out.settle(made.output)
}

/// The parameters that a message of a session can have.
fn layouts_of(
    module: &Call,
    session: SessionHandle,
    direction: Direction,
) -> Result<&'static [Layout]> {
    let mechanism = module.message_mechanism(session, direction)?;
    message_layouts(mechanism).ok_or(Error::GeneralError)
}

/// The mechanisms that sign have no parameter for a message.
fn no_parameter(parameter_len: CkUlong) -> Result<()> {
    if parameter_len == 0 { Ok(()) } else { Err(Error::MechanismParamInvalid) }
}

/// The parameter of a message.
type Parameter<'call> = (InPtr<'call, c_void>, CkUlong);

/// Messages that are encrypted, or decrypted: what the application does with them.
#[expect(clippy::type_complexity, reason = "a function reads best as its signature")]
struct Messages {
    direction: Direction,
    whole: fn(&Application, SessionHandle, Params, &[u8], &[u8], Room) -> Result<MessageOutput>,
    begin: fn(&Application, SessionHandle, Params, &[u8]) -> Result<Vec<Placed>>,
    next: fn(&Application, SessionHandle, Params, &[u8], bool, Room) -> Result<MessageOutput>,
}

const ENCRYPT: Messages = Messages {
    direction: Direction::Encrypt,
    whole: <Application>::encrypt_message,
    begin: <Application>::encrypt_message_begin,
    next: <Application>::encrypt_message_next,
};
const DECRYPT: Messages = Messages {
    direction: Direction::Decrypt,
    whole: <Application>::decrypt_message,
    begin: <Application>::decrypt_message_begin,
    next: <Application>::decrypt_message_next,
};

impl Messages {
    /// A message in one part.
    fn whole(
        &self,
        handle: CkUlong,
        (parameter, parameter_len): Parameter<'_>,
        associated: Input<'_>,
        data: Input<'_>,
        (buffer, room): Target<'_>,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let layouts = layouts_of(&module, session, self.direction)?;
        let out = OutBuf::new(buffer, room)?;
        let (params, places) = parameter.parameter(parameter_len, layouts)?;
        let made = (self.whole)(&*module, session, params, associated?, data?, out.room())?;
        settle(made, out, places)
    }

    /// Begins a message in parts, and fills the places of its parameter.
    fn begin(
        &self,
        handle: CkUlong,
        (parameter, parameter_len): Parameter<'_>,
        associated: Input<'_>,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let layouts = layouts_of(&module, session, self.direction)?;
        let (params, places) = parameter.parameter(parameter_len, layouts)?;
        places.put((self.begin)(&*module, session, params, associated?)?)
    }

    /// A part of a message.
    fn next(
        &self,
        handle: CkUlong,
        (parameter, parameter_len): Parameter<'_>,
        part: Input<'_>,
        (buffer, room): Target<'_>,
        flags: CkUlong,
    ) -> Result<()> {
        let (module, session) = (module()?, session(handle));
        let layouts = layouts_of(&module, session, self.direction)?;
        let out = OutBuf::new(buffer, room)?;
        let (params, places) = parameter.parameter(parameter_len, layouts)?;
        let last = flags & CKF_END_OF_MESSAGE != 0;
        let made = (self.next)(&*module, session, params, part?, last, out.room())?;
        settle(made, out, places)
    }
}

functions! {
    /// Starts messages that are encrypted; without a mechanism, ends them.
    fn C_MessageEncryptInit(handle: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(message_layouts))?;
        module.message_encrypt_init(session, mechanism, object(key))
    }

    /// Encrypts a message.
    fn C_EncryptMessage(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
        plaintext: InPtr<'_, u8>,
        plaintext_len: CkUlong,
        ciphertext: OutPtr<'_, u8>,
        ciphertext_len: OutPtr<'_, CkUlong>,
    ) {
        let (parameter, aad) = ((parameter, parameter_len), associated.slice(associated_len));
        let (input, target) = (plaintext.slice(plaintext_len), (ciphertext, ciphertext_len));
        ENCRYPT.whole(handle, parameter, aad, input, target)
    }

    /// Begins a message that comes in parts.
    fn C_EncryptMessageBegin(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
    ) {
        let (parameter, aad) = ((parameter, parameter_len), associated.slice(associated_len));
        ENCRYPT.begin(handle, parameter, aad)
    }

    /// Encrypts a part of a message.
    fn C_EncryptMessageNext(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        ciphertext: OutPtr<'_, u8>,
        ciphertext_len: OutPtr<'_, CkUlong>,
        flags: CkUlong,
    ) {
        let (input, target) = (part.slice(part_len), (ciphertext, ciphertext_len));
        ENCRYPT.next(handle, (parameter, parameter_len), input, target, flags)
    }

    /// Ends messages.
    fn C_MessageEncryptFinal(handle: CkUlong) {
        module()?.message_encrypt_final(session(handle))
    }

    /// Starts messages that are decrypted; without a mechanism, ends them.
    fn C_MessageDecryptInit(handle: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(message_layouts))?;
        module.message_decrypt_init(session, mechanism, object(key))
    }

    /// Decrypts a message.
    fn C_DecryptMessage(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
        ciphertext: InPtr<'_, u8>,
        ciphertext_len: CkUlong,
        plaintext: OutPtr<'_, u8>,
        plaintext_len: OutPtr<'_, CkUlong>,
    ) {
        let (parameter, aad) = ((parameter, parameter_len), associated.slice(associated_len));
        let (input, target) = (ciphertext.slice(ciphertext_len), (plaintext, plaintext_len));
        DECRYPT.whole(handle, parameter, aad, input, target)
    }

    /// Begins a message that comes in parts.
    fn C_DecryptMessageBegin(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
    ) {
        let (parameter, aad) = ((parameter, parameter_len), associated.slice(associated_len));
        DECRYPT.begin(handle, parameter, aad)
    }

    /// Decrypts a part of a message.
    fn C_DecryptMessageNext(
        handle: CkUlong,
        parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        plaintext: OutPtr<'_, u8>,
        plaintext_len: OutPtr<'_, CkUlong>,
        flags: CkUlong,
    ) {
        let (input, target) = (part.slice(part_len), (plaintext, plaintext_len));
        DECRYPT.next(handle, (parameter, parameter_len), input, target, flags)
    }

    /// Ends messages.
    fn C_MessageDecryptFinal(handle: CkUlong) {
        module()?.message_decrypt_final(session(handle))
    }

    /// Starts messages that are signed; without a mechanism, ends them.
    fn C_MessageSignInit(handle: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(layouts))?;
        module.message_sign_init(session, mechanism, object(key))
    }

    /// Signs a message.
    fn C_SignMessage(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        signature: OutPtr<'_, u8>,
        signature_len: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let out = module.read(session, OutBuf::new(signature, signature_len))?;
        module.read(session, no_parameter(parameter_len))?;
        let data = module.read(session, data.slice(data_len))?;
        let signed = module.sign_message(session, data, out.room())?;
        out.settle(signed)
    }

    /// Begins a message that comes in parts.
    fn C_SignMessageBegin(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        module.read(session, no_parameter(parameter_len))?;
        module.sign_message_begin(session)
    }

    /// Takes a part of a message; with a place for the length of the signature it is the last.
    fn C_SignMessageNext(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        signature: OutPtr<'_, u8>,
        signature_len: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        module.read(session, no_parameter(parameter_len))?;
        let part = module.read(session, part.slice(part_len))?;
        if signature_len.is_null() {
            return module.sign_message_next(session, part, None).map(drop);
        }
        let out = module.read(session, OutBuf::new(signature, signature_len))?;
        let signed = module.sign_message_next(session, part, Some(out.room()))?;
        out.settle(signed)
    }

    /// Ends messages.
    fn C_MessageSignFinal(handle: CkUlong) {
        module()?.message_sign_final(session(handle))
    }

    /// Starts messages that are verified; without a mechanism, ends them.
    fn C_MessageVerifyInit(handle: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(layouts))?;
        module.message_verify_init(session, mechanism, object(key))
    }

    /// Verifies a message.
    fn C_VerifyMessage(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        signature: InPtr<'_, u8>,
        signature_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        module.read(session, no_parameter(parameter_len))?;
        let data = module.read(session, data.slice(data_len))?;
        let signature = module.read(session, signature.short_slice(signature_len))?;
        module.verify_message(session, data, signature)
    }

    /// Begins a message that comes in parts.
    fn C_VerifyMessageBegin(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        module.read(session, no_parameter(parameter_len))?;
        module.verify_message_begin(session)
    }

    /// Takes a part of a message; with a signature it is the last.
    fn C_VerifyMessageNext(
        handle: CkUlong,
        _parameter: InPtr<'_, c_void>,
        parameter_len: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        signature: InPtr<'_, u8>,
        signature_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        module.read(session, no_parameter(parameter_len))?;
        let part = module.read(session, part.slice(part_len))?;
        let last = !signature.is_null();
        let signature = module.read(session, signature.short_slice(signature_len))?;
        module.verify_message_next(session, part, last.then_some(signature))
    }

    /// Ends messages.
    fn C_MessageVerifyFinal(handle: CkUlong) {
        module()?.message_verify_final(session(handle))
    }
}
