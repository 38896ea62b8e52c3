//! Section 5.12, message digesting functions.

use cryptoki_sys::CK_MECHANISM;

use strongroom_types::Error;

use super::operation::Operation;
use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::{Application, compatible, module};

/// A digest is the one operation that needs no key.
const DIGEST: Operation = Operation(|module, session, mechanism, _no_key| match mechanism {
    // SoftHSM2 ends no digest so, neither when it is asked to nor for arguments that are bad.
    None if compatible() => module.session_info(session).and(Err(Error::ArgumentsBad)),
    mechanism => module.digest_init(session, mechanism),
});

functions! {
    /// Starts a digest; without a mechanism, ends it.
    fn C_DigestInit(session: CkUlong, mechanism: InPtr<'_, CK_MECHANISM>) {
        DIGEST.init(session, &mechanism, cryptoki_sys::CK_INVALID_HANDLE)
    }

    /// Digests in a single part.
    fn C_Digest(
        session: CkUlong,
        data: InPtr<'_, u8>,
        data_len: CkUlong,
        digest: OutPtr<'_, u8>,
        digest_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (data.slice(data_len), (digest, digest_len));
        DIGEST.transform(session, input, target, <Application>::digest)
    }

    /// Digests a part.
    fn C_DigestUpdate(session: CkUlong, part: InPtr<'_, u8>, part_len: CkUlong) {
        DIGEST.absorb(session, part.slice(part_len), <Application>::digest_update)
    }

    /// Digests the value of a secret key.
    fn C_DigestKey(handle: CkUlong, key: CkUlong) {
        module()?.digest_key(session(handle), object(key))
    }

    /// Ends a multiple-part digest.
    fn C_DigestFinal(
        session: CkUlong,
        digest: OutPtr<'_, u8>,
        digest_len: OutPtr<'_, CkUlong>,
    ) {
        DIGEST.finish(session, (digest, digest_len), <Application>::digest_final)
    }
}
