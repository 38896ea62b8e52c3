//! A module with one token, as an application uses it.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::Result;

const LABEL: &str = "bench";
const SO_PIN: &str = "so-pin-12345678";
const PIN: &str = "user-pin-1234";

/// An initialised module.
pub(crate) struct Token {
    module: Pkcs11,
}

impl Token {
    /// Loads the module.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let token = Self { module: Pkcs11::new(path)? };
        token.initialize()?;
        Ok(token)
    }

    /// Makes a token with both PINs.
    pub(crate) fn create(&self) -> Result {
        let slots = self.module.get_slots_with_token()?;
        let blank = *slots.first().ok_or("there is no slot for a token")?;
        self.module.init_token(blank, &AuthPin::from(SO_PIN), LABEL)?;
        let session = self.module.open_rw_session(self.slot()?)?;
        session.login(UserType::So, Some(&AuthPin::from(SO_PIN)))?;
        session.init_pin(&AuthPin::from(PIN))?;
        Ok(session.logout()?)
    }

    /// A session of the user, who is logged in from then on.
    pub(crate) fn login(&self) -> Result<Session> {
        let session = self.session()?;
        session.login(UserType::User, Some(&AuthPin::from(PIN)))?;
        Ok(session)
    }

    /// A session.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(self.module.open_rw_session(self.slot()?)?)
    }

    /// `C_Initialize`.
    pub(crate) fn initialize(&self) -> Result {
        Ok(self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?)
    }

    /// `C_Finalize`.
    pub(crate) fn finalize(&self) -> Result {
        Ok(self.module.clone().finalize()?)
    }

    fn slot(&self) -> Result<Slot> {
        for slot in self.module.get_slots_with_initialized_token()? {
            if self.module.get_token_info(slot)?.label().trim_end() == LABEL {
                return Ok(slot);
            }
        }
        Err("the token is in no slot".into())
    }
}
