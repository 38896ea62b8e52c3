//! Section 5.14, functions for verifying signatures and MACs.

use cryptoki_sys::CK_MECHANISM;

use super::operation::Operation;
use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::{Application, layouts, module};

const VERIFY: Operation = Operation(<Application>::verify_init);
const VERIFY_RECOVER: Operation = Operation(<Application>::verify_recover_init);
const VERIFY_SIGNATURE: Operation = Operation(|module, session, mechanism, key| {
    module.verify_signature_init(session, mechanism, key, &[])
});

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
        let (data, signature) = (data.slice(data_len), signature.short_slice(signature_len));
        VERIFY.compare(session, data, signature, <Application>::verify)
    }

    /// Takes a part of what was signed.
    fn C_VerifyUpdate(session: CkUlong, part: InPtr<'_, u8>, part_len: CkUlong) {
        VERIFY.absorb(session, part.slice(part_len), <Application>::verify_update)
    }

    /// Ends a multiple-part verification.
    fn C_VerifyFinal(session: CkUlong, signature: InPtr<'_, u8>, signature_len: CkUlong) {
        VERIFY.absorb(session, signature.short_slice(signature_len), <Application>::verify_final)
    }

    /// Starts a verification that recovers the data; without a mechanism, ends it.
    fn C_VerifyRecoverInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>, key: CkUlong) {
        VERIFY_RECOVER.init(session, &mechanism, key)
    }

    /// Verifies, and recovers the data.
    fn C_VerifyRecover(
        session: CkUlong,
        signature: InPtr<'_, u8>,
        signature_len: CkUlong,
        data: OutPtr<'_, u8>,
        data_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (signature.short_slice(signature_len), (data, data_len));
        VERIFY_RECOVER.transform(session, input, target, <Application>::verify_recover)
    }

    /// Starts a verification of a signature that is there already; without a mechanism, ends it.
    fn C_VerifySignatureInit(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        key: CkUlong,
        signature: InPtr<'_, u8>,
        signature_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let mechanism = module.read(session, mechanism.optional_mechanism(layouts))?;
        let signature = module.read(session, signature.short_slice(signature_len))?;
        module.verify_signature_init(session, mechanism, object(key), signature)
    }

    /// Verifies in a single part.
    fn C_VerifySignature(session: CkUlong, data: InPtr<'_, u8>, data_len: CkUlong) {
        VERIFY_SIGNATURE.absorb(session, data.slice(data_len), <Application>::verify_signature)
    }

    /// Takes a part of what was signed.
    fn C_VerifySignatureUpdate(session: CkUlong, part: InPtr<'_, u8>, part_len: CkUlong) {
        let part = part.slice(part_len);
        VERIFY_SIGNATURE.absorb(session, part, <Application>::verify_signature_update)
    }

    /// Ends a multiple-part verification.
    fn C_VerifySignatureFinal(handle: CkUlong) {
        module()?.verify_signature_final(session(handle))
    }
}
