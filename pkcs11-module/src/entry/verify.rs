//! Section 5.14, functions for verifying signatures and MACs.

use cryptoki_sys::CK_MECHANISM;

use super::operation::Operation;
use crate::abi::{CkUlong, InPtr};
use crate::module::Application;

const VERIFY: Operation = Operation(<Application>::verify_init);

functions! {
    /// Starts a verification; without a mechanism, ends it.
    fn C_VerifyInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        VERIFY.init(session, &mechanism, key)
    }

    /// Verifies in a single part.
    fn C_Verify(
        session: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        signature: InPtr<'_, u8>,
        signature_len: CkUlong,
    ) {
        let (data, signature) = ((data, data_len), (signature, signature_len));
        VERIFY.compare(session, data, signature, <Application>::verify)
    }

    /// Takes a part of what was signed.
    fn C_VerifyUpdate(session: CkUlong, part: InPtr<'_, u8>, part_len: CkUlong) {
        VERIFY.absorb(session, (part, part_len), <Application>::verify_update)
    }

    /// Ends a multiple-part verification.
    fn C_VerifyFinal(session: CkUlong, signature: InPtr<'_, u8>, signature_len: CkUlong) {
        VERIFY.absorb(session, (signature, signature_len), <Application>::verify_final)
    }
}
