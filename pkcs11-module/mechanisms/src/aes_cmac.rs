//! CMAC of AES: `CKM_AES_CMAC` and `CKM_AES_CMAC_GENERAL` (PKCS#11 3.2, "AES-CMAC";
//! SP 800-38B, RFC 4493).

use strongroom_awslc::cipher::BLOCK;
use strongroom_awslc::mac::Cmac;
use strongroom_types::{Error, Layout, Result, mechanism};

use crate::aes::{self, Aes};
use crate::failure::or;
use crate::mac::{Cut, GENERAL, general_len};
use crate::{Key, Mechanism};

/// No parameter.
static NO_PARAMETER: &[Layout] = &[&[]];

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        sign: Some(|key, _| Ok(Cut::start(start(key)?, BLOCK))),
        verify: Some(|key, _| Ok(Cut::start(start(key)?, BLOCK))),
        ..aes::row(mechanism!(CKM_AES_CMAC), NO_PARAMETER)
    },
    Mechanism {
        sign: Some(|key, params| Ok(Cut::start(start(key)?, general_len(params, BLOCK)?))),
        verify: Some(|key, params| Ok(Cut::start(start(key)?, general_len(params, BLOCK)?))),
        ..aes::row(mechanism!(CKM_AES_CMAC_GENERAL), GENERAL)
    },
];

fn start(key: &Key) -> Result<Cmac> {
    Aes::of(key)?.cmac()?.start().map_err(or(Error::FunctionFailed))
}
