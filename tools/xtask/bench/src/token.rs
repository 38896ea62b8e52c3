//! A module with one token, whose user is logged in.

use std::path::Path;

use cryptoki_sys::{CK_SLOT_ID, CKU_SO, CKU_USER};

use crate::Result;
use crate::client::{Module, Session};

const SO_PIN: &[u8] = b"so-pin-12345678";
const PIN: &[u8] = b"user-pin-1234";

/// The most threads that anything is measured with.
pub(crate) const MOST_THREADS: usize = 8;

/// An initialised module, and a session for each thread.
pub(crate) struct Token {
    pub(crate) module: Module,
    pub(crate) slot: CK_SLOT_ID,
    pub(crate) sessions: Vec<Session>,
}

impl Token {
    /// Makes a token with both PINs.
    pub(crate) fn create(path: &Path) -> Result {
        let module = Module::load(path)?;
        module.initialize()?;
        let blank = *module.slots()?.first().ok_or("there is no slot for a token")?;
        module.init_token(blank, SO_PIN)?;
        let session = module.open(slot(&module)?)?;
        module.login(session, CKU_SO, SO_PIN)?;
        module.init_pin(session, PIN)?;
        module.logout(session)?;
        module.finalize()
    }

    /// Loads the module, and logs in.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let module = Module::load(path)?;
        module.initialize()?;
        let slot = slot(&module)?;
        let mut token = Self { module, slot, sessions: Vec::new() };
        let session = token.module.open(slot)?;
        token.sessions.push(session);
        token.login()?;
        Ok(token)
    }

    /// Opens the sessions of the other threads.
    pub(crate) fn open_all(&mut self) -> Result {
        while self.sessions.len() < MOST_THREADS {
            self.sessions.push(self.module.open(self.slot)?);
        }
        Ok(())
    }

    /// The session of the first thread.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(*self.sessions.first().ok_or("there is no session")?)
    }

    pub(crate) fn login(&self) -> Result {
        self.module.login(self.session()?, CKU_USER, PIN)
    }

    pub(crate) fn logout(&self) -> Result {
        self.module.logout(self.session()?)
    }
}

/// The slot of the token, which is the only one that is initialised.
fn slot(module: &Module) -> Result<CK_SLOT_ID> {
    for slot in module.slots()? {
        if module.is_initialized(slot)? {
            return Ok(slot);
        }
    }
    Err("there is no token".into())
}
