//! Section 5.8, encryption functions.

use cryptoki_sys::CK_MECHANISM;

use super::operation::Operation;
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::Application;

const ENCRYPT: Operation = Operation(<Application>::encrypt_init);

functions! {
    /// Starts an encryption; without a mechanism, ends it.
    fn C_EncryptInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        ENCRYPT.init(session, &mechanism, key)
    }

    /// Encrypts in a single part.
    fn C_Encrypt(
        session: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        encrypted: OutPtr<'_, u8>,
        encrypted_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (data.slice(data_len), (encrypted, encrypted_len));
        ENCRYPT.transform(session, input, target, <Application>::encrypt)
    }

    /// Encrypts a part.
    fn C_EncryptUpdate(
        session: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        encrypted: OutPtr<'_, u8>,
        encrypted_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (part.slice(part_len), (encrypted, encrypted_len));
        ENCRYPT.transform(session, input, target, <Application>::encrypt_update)
    }

    /// Ends a multiple-part encryption.
    fn C_EncryptFinal(
        session: CkUlong,
        last: OutPtr<'_, u8>,
        last_len: OutPtr<'_, CkUlong>,
    ) {
        ENCRYPT.finish(session, (last, last_len), <Application>::encrypt_final)
    }
}
