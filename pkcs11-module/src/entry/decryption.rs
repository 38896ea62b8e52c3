//! Section 5.9, decryption functions.

use cryptoki_sys::CK_MECHANISM;

use super::operation::Operation;
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::Application;

const DECRYPT: Operation = Operation(<Application>::decrypt_init);

functions! {
    /// Starts a decryption; without a mechanism, ends it.
    fn C_DecryptInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        DECRYPT.init(session, &mechanism, key)
    }

    /// Decrypts in a single part.
    fn C_Decrypt(
        session: CkUlong,
        encrypted: InPtr<'_, u8>,
        encrypted_len: CkUlong,
        data: OutPtr<'_, u8>,
        data_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (encrypted.slice(encrypted_len), (data, data_len));
        DECRYPT.transform(session, input, target, <Application>::decrypt)
    }

    /// Decrypts a part.
    fn C_DecryptUpdate(
        session: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        data: OutPtr<'_, u8>,
        data_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (part.slice(part_len), (data, data_len));
        DECRYPT.transform(session, input, target, <Application>::decrypt_update)
    }

    /// Ends a multiple-part decryption.
    fn C_DecryptFinal(
        session: CkUlong,
        last: OutPtr<'_, u8>,
        last_len: OutPtr<'_, CkUlong>,
    ) {
        DECRYPT.finish(session, (last, last_len), <Application>::decrypt_final)
    }
}
