//! Section 5.15, dual-function cryptographic functions.

use super::operation::Operation;
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::Application;

/// What ends both operations: `C_EncryptInit` and `C_DigestInit` without a mechanism, and so on.
const DIGEST_ENCRYPT: Operation = Operation(|module, session, mechanism, key| {
    let one = module.encrypt_init(session, mechanism.clone(), key);
    one.and(module.digest_init(session, mechanism))
});
const DECRYPT_DIGEST: Operation = Operation(|module, session, mechanism, key| {
    let one = module.decrypt_init(session, mechanism.clone(), key);
    one.and(module.digest_init(session, mechanism))
});
const SIGN_ENCRYPT: Operation = Operation(|module, session, mechanism, key| {
    let one = module.encrypt_init(session, mechanism.clone(), key);
    one.and(module.sign_init(session, mechanism, key))
});
const DECRYPT_VERIFY: Operation = Operation(|module, session, mechanism, key| {
    let one = module.decrypt_init(session, mechanism.clone(), key);
    one.and(module.verify_init(session, mechanism, key))
});

functions! {
    /// Digests a part and encrypts it.
    fn C_DigestEncryptUpdate(
        session: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        encrypted: OutPtr<'_, u8>,
        encrypted_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (part.slice(part_len), (encrypted, encrypted_len));
        DIGEST_ENCRYPT.transform(session, input, target, <Application>::digest_encrypt_update)
    }

    /// Decrypts a part and digests what comes of it.
    fn C_DecryptDigestUpdate(
        session: CkUlong,
        encrypted: InPtr<'_, u8>,
        encrypted_len: CkUlong,
        part: OutPtr<'_, u8>,
        part_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (encrypted.slice(encrypted_len), (part, part_len));
        DECRYPT_DIGEST.transform(session, input, target, <Application>::decrypt_digest_update)
    }

    /// Takes a part of what is signed, and encrypts it.
    fn C_SignEncryptUpdate(
        session: CkUlong,
        part: InPtr<'_, u8>,
        part_len: CkUlong,
        encrypted: OutPtr<'_, u8>,
        encrypted_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (part.slice(part_len), (encrypted, encrypted_len));
        SIGN_ENCRYPT.transform(session, input, target, <Application>::sign_encrypt_update)
    }

    /// Decrypts a part, and takes what comes of it as a part of what was signed.
    fn C_DecryptVerifyUpdate(
        session: CkUlong,
        encrypted: InPtr<'_, u8>,
        encrypted_len: CkUlong,
        part: OutPtr<'_, u8>,
        part_len: OutPtr<'_, CkUlong>,
    ) {
        let (input, target) = (encrypted.slice(encrypted_len), (part, part_len));
        DECRYPT_VERIFY.transform(session, input, target, <Application>::decrypt_verify_update)
    }
}
