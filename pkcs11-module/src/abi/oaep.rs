//! Parameters of RSA-OAEP as SoftHSM2 judges them, for programs that were tried against it.

use core::ffi::c_void;

use cryptoki_sys::{
    CK_MECHANISM, CK_RSA_PKCS_OAEP_PARAMS, CKG_MGF1_SHA1, CKM_RSA_PKCS_OAEP, CKM_SHA_1,
    CKM_SHA3_224, CKM_SHA3_256, CKM_SHA3_384, CKM_SHA3_512, CKM_SHA224, CKM_SHA256, CKM_SHA384,
    CKM_SHA512,
};
use strongroom_types::{Error, Result};

use super::InPtr;

/// Refuses what SoftHSM2 refuses, by its code: a parameter or a label that is not there, and with
/// SHA-1, all that it knows, another mask, or a place for a label without one. Other hash functions,
/// which its releases do not have, are judged as everywhere. What it refuses only where it does not
/// decrypt is for the token to refuse.
pub(super) fn as_softhsm2(mechanism: &CK_MECHANISM) -> Result<()> {
    if mechanism.mechanism != CKM_RSA_PKCS_OAEP {
        return Ok(());
    }
    // SAFETY: the structure was read from the caller's memory.
    let at: InPtr<'_, CK_RSA_PKCS_OAEP_PARAMS> =
        unsafe { InPtr::<c_void>::found(mechanism.pParameter.cast::<CK_RSA_PKCS_OAEP_PARAMS>()) };
    let whole = usize::try_from(mechanism.ulParameterLen)
        .is_ok_and(|len| len == size_of::<CK_RSA_PKCS_OAEP_PARAMS>());
    if !whole || at.is_null() {
        return Err(Error::ArgumentsBad);
    }
    let params = at.read()?;
    let (nothing, nowhere) = (params.ulSourceDataLen == 0, params.pSourceData.is_null());
    let fine = match params.hashAlg {
        CKM_SHA_1 => params.mgf == CKG_MGF1_SHA1 && nothing == nowhere,
        CKM_SHA224 | CKM_SHA256 | CKM_SHA384 | CKM_SHA512 => true,
        CKM_SHA3_224 | CKM_SHA3_256 | CKM_SHA3_384 | CKM_SHA3_512 => true,
        _ => false,
    };
    if fine && (nothing || !nowhere) { Ok(()) } else { Err(Error::ArgumentsBad) }
}
