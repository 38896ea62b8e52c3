//! Section 5.13, signing and MACing functions.

use cryptoki_sys::CK_MECHANISM;

use super::operation::Operation;
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::Application;

const SIGN: Operation = Operation(<Application>::sign_init);
const SIGN_RECOVER: Operation = Operation(<Application>::sign_recover_init);

functions! {
    /// Starts a signature; without a mechanism, ends it.
    fn C_SignInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        SIGN.init(session, &mechanism, key)
    }

    /// Signs in a single part.
    fn C_Sign(
        session: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        signature: OutPtr<'_, u8>,
        signature_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (data.slice(data_len), (signature, signature_len));
        SIGN.transform(session, input, target, <Application>::sign)
    }

    /// Takes a part of what is signed.
    fn C_SignUpdate(session: CkUlong, part: InPtr<'_, u8>, part_len: CkUlong) {
        SIGN.absorb(session, part.slice(part_len), <Application>::sign_update)
    }

    /// Ends a multiple-part signature.
    fn C_SignFinal(
        session: CkUlong,
        signature: OutPtr<'_, u8>,
        signature_len: OutPtr<'_, CkUlong>,
    ) {
        SIGN.finish(session, (signature, signature_len), <Application>::sign_final)
    }

    /// Starts a signature that holds the data; without a mechanism, ends it.
    fn C_SignRecoverInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        SIGN_RECOVER.init(session, &mechanism, key)
    }

    /// Signs so that the data can be recovered.
    fn C_SignRecover(
        session: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        signature: OutPtr<'_, u8>,
        signature_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (data.slice(data_len), (signature, signature_len));
        SIGN_RECOVER.transform(session, input, target, <Application>::sign_recover)
    }
}
