//! What the information functions tell, as the structures of C.

use cryptoki_sys::{
    CK_EFFECTIVELY_INFINITE, CK_INFO, CK_MECHANISM_INFO, CK_SESSION_INFO, CK_SLOT_INFO,
    CK_TOKEN_INFO, CK_VERSION, CKF_RW_SESSION, CKF_SERIAL_SESSION, CRYPTOKI_VERSION_MAJOR,
    CRYPTOKI_VERSION_MINOR,
};
use strongroom_types::{
    MechanismInfo, ModuleInfo, Result, SessionInfo, SlotInfo, TokenInfo, padded,
};

use super::{CkUlong, UNAVAILABLE, narrow};

/// Something that has a structure in C.
pub(crate) trait CStructure {
    /// The structure.
    type C;

    /// Fills the structure in.
    fn to_c(&self) -> Result<Self::C>;
}

impl CStructure for ModuleInfo {
    type C = CK_INFO;

    fn to_c(&self) -> Result<CK_INFO> {
        Ok(CK_INFO {
            cryptokiVersion: version((CRYPTOKI_VERSION_MAJOR, CRYPTOKI_VERSION_MINOR)),
            manufacturerID: padded(&self.manufacturer),
            flags: 0,
            libraryDescription: padded(&self.description),
            libraryVersion: version(self.version),
        })
    }
}

impl CStructure for SlotInfo {
    type C = CK_SLOT_INFO;

    fn to_c(&self) -> Result<CK_SLOT_INFO> {
        Ok(CK_SLOT_INFO {
            slotDescription: padded(&self.description),
            manufacturerID: padded(&self.manufacturer),
            flags: narrow(self.flags)?,
            hardwareVersion: version(self.version),
            firmwareVersion: version(self.version),
        })
    }
}

impl CStructure for TokenInfo {
    type C = CK_TOKEN_INFO;

    fn to_c(&self) -> Result<CK_TOKEN_INFO> {
        let (min_pin_len, max_pin_len) = self.pin_len;
        Ok(CK_TOKEN_INFO {
            label: self.label,
            manufacturerID: padded(&self.manufacturer),
            model: padded(&self.model),
            serialNumber: self.serial,
            flags: narrow(self.flags)?,
            ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
            ulSessionCount: narrow(self.sessions)?,
            ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
            ulRwSessionCount: narrow(self.rw_sessions)?,
            ulMaxPinLen: narrow(max_pin_len)?,
            ulMinPinLen: narrow(min_pin_len)?,
            ulTotalPublicMemory: UNAVAILABLE,
            ulFreePublicMemory: UNAVAILABLE,
            ulTotalPrivateMemory: UNAVAILABLE,
            ulFreePrivateMemory: UNAVAILABLE,
            hardwareVersion: version(self.version),
            firmwareVersion: version(self.version),
            // It means something only with CKF_CLOCK_ON_TOKEN.
            utcTime: padded(""),
        })
    }
}

impl CStructure for MechanismInfo {
    type C = CK_MECHANISM_INFO;

    fn to_c(&self) -> Result<CK_MECHANISM_INFO> {
        Ok(CK_MECHANISM_INFO {
            ulMinKeySize: narrow(self.min_key_size)?,
            ulMaxKeySize: narrow(self.max_key_size)?,
            flags: narrow(self.flags)?,
        })
    }
}

impl CStructure for SessionInfo {
    type C = CK_SESSION_INFO;

    fn to_c(&self) -> Result<CK_SESSION_INFO> {
        let writes = if self.read_write { CKF_RW_SESSION } else { 0 };
        Ok(CK_SESSION_INFO {
            slotID: narrow(self.slot.0)?,
            state: narrow(self.state.number())?,
            flags: CKF_SERIAL_SESSION | writes,
            ulDeviceError: 0,
        })
    }
}

/// Lists of numbers are lists of `CK_ULONG`.
pub(crate) fn numbers(numbers: impl Iterator<Item = u64>) -> Result<Vec<CkUlong>> {
    numbers.map(narrow).collect()
}

fn version((major, minor): (u8, u8)) -> CK_VERSION {
    CK_VERSION { major, minor }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::CKS_RO_USER_FUNCTIONS;
    use strongroom_types::{SessionState, SlotId};

    use super::*;

    #[test]
    fn the_standard_is_version_3_2() {
        let info =
            ModuleInfo { manufacturer: "m".into(), description: "d".into(), version: (1, 4) };
        let info = info.to_c().unwrap();
        assert_eq!((info.cryptokiVersion.major, info.cryptokiVersion.minor), (3, 2));
        assert_eq!((info.libraryVersion.major, info.libraryVersion.minor), (1, 4));
        assert_eq!(info.manufacturerID, padded("m"));
        assert_eq!(info.libraryDescription, padded("d"));
        assert_eq!(info.flags, 0);
    }

    #[test]
    fn sessions_are_serial() {
        for (read_write, flags) in
            [(false, CKF_SERIAL_SESSION), (true, CKF_SERIAL_SESSION | CKF_RW_SESSION)]
        {
            let state = SessionState::ReadOnlyUser;
            let info = SessionInfo { slot: SlotId(3), state, read_write }.to_c().unwrap();
            assert_eq!((info.slotID, info.state, info.flags), (3, CKS_RO_USER_FUNCTIONS, flags));
        }
    }

    #[test]
    fn a_token_has_no_limits_of_its_own() {
        let info = TokenInfo {
            label: [b'l'; 32],
            manufacturer: "m".into(),
            model: "model".into(),
            serial: [b's'; 16],
            flags: 0x42D,
            sessions: 2,
            rw_sessions: 1,
            pin_len: (4, 255),
            version: (1, 0),
        };
        let info = info.to_c().unwrap();
        assert_eq!((info.ulMaxSessionCount, info.ulSessionCount), (CK_EFFECTIVELY_INFINITE, 2));
        assert_eq!((info.ulMaxRwSessionCount, info.ulRwSessionCount), (CK_EFFECTIVELY_INFINITE, 1));
        assert_eq!((info.ulMinPinLen, info.ulMaxPinLen), (4, 255));
        assert_eq!(info.ulFreePrivateMemory, UNAVAILABLE);
        assert_eq!((info.label, info.serialNumber), ([b'l'; 32], [b's'; 16]));
        assert_eq!(info.flags, 0x42D);
    }
}
