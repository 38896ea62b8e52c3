//! Login, logout and PINs (5.6.8 and following).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_keystore::{PinState, Role, Unlocked};
use strongroom_types::{Error, Result, SessionHandle, SlotId, UserType, ck};

use crate::application::Application;
use crate::error::storage;
use crate::quota::Full;
use crate::session::Session;
use crate::sync::{lock, read, write};
use crate::token::{Login, Presence};

/// The lengths that a PIN can have, in bytes; SoftHSM2's.
pub const PIN_LEN: (u64, u64) = (4, 255);

/// Flags that tell about a user's PIN, for each of the two users.
struct PinFlags {
    count_low: u64,
    final_try: u64,
    locked: u64,
}

const SO_PIN: PinFlags = PinFlags {
    count_low: ck!(CKF_SO_PIN_COUNT_LOW),
    final_try: ck!(CKF_SO_PIN_FINAL_TRY),
    locked: ck!(CKF_SO_PIN_LOCKED),
};
const USER_PIN: PinFlags = PinFlags {
    count_low: ck!(CKF_USER_PIN_COUNT_LOW),
    final_try: ck!(CKF_USER_PIN_FINAL_TRY),
    locked: ck!(CKF_USER_PIN_LOCKED),
};

/// The `CKF_` flags that tell how the PINs stand.
pub(crate) fn pin_flags(so: &PinState, user: &PinState) -> u64 {
    [(so, SO_PIN), (user, USER_PIN)]
        .into_iter()
        .map(|(state, flags)| match state {
            PinState::Fine => 0,
            PinState::CountLow => flags.count_low,
            PinState::FinalTry => flags.count_low | flags.final_try,
            PinState::Locked => flags.locked,
        })
        .fold(0, |all, flag| all | flag)
}

pub(crate) fn check_pin(pin: &[u8]) -> Result<()> {
    let (least, most) = PIN_LEN;
    match u64::try_from(pin.len()) {
        Ok(len) if (least..=most).contains(&len) => Ok(()),
        _ => Err(Error::PinLenRange.because(|| format!("a PIN has {least} to {most} bytes"))),
    }
}

/// `C_Login`.
pub(crate) fn login(session: &Session, user: UserType, pin: &[u8]) -> Result<()> {
    let role = match user {
        UserType::SECURITY_OFFICER => Role::SecurityOfficer,
        UserType::USER => Role::User,
        UserType::CONTEXT_SPECIFIC => return authenticate(session, pin),
        _ => return Err(Error::UserTypeInvalid),
    };
    may_log_in(session, &read(&session.token.presence), role)?;
    // The derivation takes long, so no lock is held; whoever was faster is found afterwards.
    let keys = Arc::new(session.token.stored.unlock(role, pin).map_err(storage)?);
    let mut presence = write(&session.token.presence);
    may_log_in(session, &presence, role)?;
    if session.closed.load(Ordering::Acquire) {
        // It went meanwhile, perhaps as the last one, and with it whoever was to be logged in.
        return Err(Error::SessionHandleInvalid);
    }
    if presence.login.is_some() {
        // One whose keys open nothing any more.
        session.token.log_out(&mut presence);
    }
    presence.login = Some(Login::new(role, keys));
    Ok(())
}

fn may_log_in(session: &Session, presence: &Presence, role: Role) -> Result<()> {
    match presence.login(&session.token.stored) {
        Some(login) if login.role == role => Err(Error::UserAlreadyLoggedIn),
        Some(_) => Err(Error::UserAnotherAlreadyLoggedIn),
        None if role == Role::SecurityOfficer && presence.sessions > presence.rw_sessions => {
            Err(Error::SessionReadOnlyExists)
        }
        None => Ok(()),
    }
}

/// Login for one use of a key with `CKA_ALWAYS_AUTHENTICATE`, after its operation has started.
fn authenticate(session: &Session, pin: &[u8]) -> Result<()> {
    let waiting = lock(&session.activity).waiting().ok_or(Error::OperationNotInitialized)?;
    session.token.stored.verify(Role::User, pin).map_err(storage)?;
    lock(&session.activity).authenticated(waiting)
}

impl Application {
    /// Does all that a logout does, if who was logged in is it no more because the token has another
    /// master key.
    pub(crate) fn end_stale_login(&self, session: &Session) {
        let presence = read(&session.token.presence);
        let stale = presence.login.is_some() && presence.login(&session.token.stored).is_none();
        drop(presence);
        if stale {
            // Where another thread is faster, nothing is left to do.
            let _ = self.log_out(session);
        }
    }

    /// `C_Logout`.
    pub(crate) fn log_out(&self, session: &Session) -> Result<()> {
        let token = &session.token;
        {
            let mut presence = write(&token.presence);
            if presence.login.is_none() {
                let fine = self.config.compatible;
                return if fine { Ok(()) } else { Err(Error::UserNotLoggedIn) };
            }
            token.log_out(&mut presence);
        }
        self.handles.forget(&token.losses, |place| place.slot == session.slot.id && place.private);
        for session in self.sessions.of(token) {
            lock(&session.activity).end_private();
            session.recall.forget();
        }
        Ok(())
    }

    /// `C_CloseSession`: the last session to go logs out.
    pub(crate) fn leave(&self, handle: SessionHandle) -> Result<()> {
        let session = self.sessions.close(handle)?;
        let token = &session.token;
        let mut presence = write(&token.presence);
        session.closed.store(true, Ordering::Release);
        let gone = token.remove_session_objects(handle);
        self.handles.forget_objects(&token.losses, &gone);
        presence.sessions = presence.sessions.saturating_sub(1);
        if session.read_write {
            presence.rw_sessions = presence.rw_sessions.saturating_sub(1);
        }
        if presence.sessions == 0 {
            token.log_out(&mut presence);
            self.handles.forget(&token.losses, |place| place.slot == session.slot.id);
        }
        drop(presence);
        self.forget_everywhere(token, &gone);
        Ok(())
    }

    /// Closes sessions. Where another thread is faster, nothing is left to do.
    pub(crate) fn leave_all(&self, sessions: Vec<Arc<Session>>) -> Result<()> {
        sessions.into_iter().try_for_each(|session| match self.leave(session.handle) {
            Err(Error::SessionHandleInvalid) => Ok(()),
            outcome => outcome,
        })
    }

    /// `C_OpenSession`.
    pub(crate) fn enter(&self, slot: SlotId, read_write: bool) -> Result<SessionHandle> {
        let era = self.store.era();
        let slot = self.slots.present(slot)?;
        let token = slot.initialized()?;
        let taken = self.quota.take(1).map_err(|Full(taken)| {
            Error::SessionCount.because(|| format!("{taken} sessions are open already"))
        })?;
        {
            let mut presence = write(&token.presence);
            let officer = |login: &Login| login.role == Role::SecurityOfficer;
            if !read_write && presence.login(&token.stored).is_some_and(officer) {
                return Err(Error::SessionReadWriteSoExists);
            }
            presence.sessions += 1;
            presence.rw_sessions += u64::from(read_write);
        }
        let handle = self.sessions.open(|handle| Session {
            handle,
            slot,
            token,
            read_write,
            activity: Default::default(),
            recall: Default::default(),
            closed: AtomicBool::new(false),
            _taken: taken,
        });
        if self.store.era() != era {
            // Who sealed the store may not have seen this session.
            self.leave(handle)?;
            return Err(Error::DeviceRemoved);
        }
        Ok(handle)
    }

    /// `C_InitToken`.
    pub(crate) fn initialize(&self, slot: SlotId, pin: &[u8], label: &[u8; 32]) -> Result<()> {
        let slot = self.slots.present(slot)?;
        check_pin(pin)?;
        if slot.put(|| self.store.create(label, pin).map_err(storage))? {
            return Ok(());
        }
        let token = slot.initialized()?;
        // Held until the end: no session is opened meanwhile.
        let mut presence = write(&token.presence);
        if presence.sessions > 0 {
            return Err(Error::SessionExists);
        }
        token.stored.initialize(pin, label).map_err(storage)?;
        token.log_out(&mut presence);
        self.handles.forget(&token.losses, |place| place.slot == slot.id);
        Ok(())
    }
}

/// `C_InitPIN`.
pub(crate) fn init_pin(session: &Session, pin: &[u8]) -> Result<()> {
    check_pin(pin)?;
    session.token.stored.set_user_pin(&*officer(session)?, pin).map_err(storage)
}

/// What the security officer, who must be logged in, has opened.
fn officer(session: &Session) -> Result<Arc<Unlocked>> {
    match read(&session.token.presence).login(&session.token.stored) {
        Some(login) if login.role == Role::SecurityOfficer => Ok(Arc::clone(&login.keys)),
        _ => Err(Error::UserNotLoggedIn),
    }
}

/// `C_SetPIN`: of who is logged in, or of the user if nobody is.
pub(crate) fn set_pin(session: &Session, old: &[u8], new: &[u8]) -> Result<()> {
    session.must_write()?;
    check_pin(new)?;
    let role = read(&session.token.presence).login.as_ref().map(|login| login.role);
    session.token.stored.set_pin(role.unwrap_or(Role::User), old, new).map_err(storage)
}

#[cfg(test)]
mod tests {
    use strongroom_functions::Cryptoki;
    use strongroom_keystore::config::Seal;
    use strongroom_keystore::{Config, Store};
    use strongroom_types::{
        Attributes, MechanismCall, ObjectHandle, Params, Room, SessionState, attribute, mechanism,
    };

    use super::*;
    use crate::found_by;

    const PIN: &[u8] = b"12345678";

    fn call(mechanism: strongroom_types::MechanismType) -> MechanismCall {
        MechanismCall { mechanism, params: Params::default() }
    }

    fn find(application: &Application, session: SessionHandle) -> Vec<ObjectHandle> {
        let mut template = Attributes::default();
        template.set(attribute::LABEL, b"key".as_slice());
        application.find_objects_init(session, template).unwrap();
        let found = application.find_objects(session, 9).unwrap();
        application.find_objects_final(session).unwrap();
        found
    }

    #[test]
    fn a_login_ends_when_another_process_replaces_the_master_key() {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal::File(dir.path().join("seal/seal.key"));
        let config = Config::plain(dir.path().join("store"), seal);
        let application = Application::open(config.clone()).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        application.init_token(slot, PIN, &[b'x'; 32]).unwrap();
        let session = application.open_session(slot, true).unwrap();
        application.login(session, UserType::SECURITY_OFFICER, PIN).unwrap();
        application.init_pin(session, PIN).unwrap();
        application.logout(session).unwrap();
        application.login(session, UserType::USER, PIN).unwrap();
        let key = |on_token: bool| {
            let mut template = Attributes::default();
            template.set(attribute::TOKEN, on_token);
            template.set(attribute::PRIVATE, true);
            template.set(attribute::LABEL, b"key".as_slice());
            template.set(attribute::VALUE_LEN, 16);
            application.generate_key(session, call(mechanism!(CKM_AES_KEY_GEN).0), template)
        };
        let encrypt = |session, key| -> Result<Vec<u8>> {
            let ecb = call(mechanism!(CKM_AES_ECB).0);
            application.encrypt_init(session, Some(ecb), key)?;
            match application.encrypt(session, &[1; 16], Room::Bytes(99))? {
                strongroom_types::Output::Bytes(bytes) => Ok(bytes.to_vec()),
                strongroom_types::Output::Needs(_) => Err(Error::BufferTooSmall),
            }
        };
        let (stored, passing) = (key(true).unwrap(), key(false).unwrap());
        let before = encrypt(session, stored).unwrap();
        encrypt(session, passing).unwrap();
        let state = || application.session_info(session).unwrap().state;
        assert_eq!(state(), SessionState::ReadWriteUser);

        let elsewhere = Store::open(&config).unwrap();
        let token = elsewhere.tokens().unwrap().remove(0);
        assert_eq!(token.rotate(PIN, Some(PIN), found_by).unwrap(), 1);

        // The session object is the one that was used last.
        assert_eq!(encrypt(session, passing), Err(Error::KeyHandleInvalid));
        assert_eq!(encrypt(session, stored), Err(Error::KeyHandleInvalid));
        assert_eq!(state(), SessionState::ReadWritePublic);
        assert_eq!(find(&application, session), []);
        assert_eq!(key(true), Err(Error::UserNotLoggedIn));
        assert_eq!(application.init_pin(session, PIN), Err(Error::UserNotLoggedIn));

        application.login(session, UserType::USER, PIN).unwrap();
        assert_eq!(state(), SessionState::ReadWriteUser);
        assert_eq!(encrypt(session, passing), Err(Error::KeyHandleInvalid), "as after a logout");
        let found = find(&application, session);
        assert_eq!(found.len(), 1);
        assert_eq!(encrypt(session, found[0]).unwrap(), before);
        application.logout(session).unwrap();

        // So does the officer's, and who notices nothing logs out as ever.
        application.login(session, UserType::SECURITY_OFFICER, PIN).unwrap();
        token.rotate(PIN, Some(PIN), found_by).unwrap();
        assert_eq!(application.init_pin(session, b"other").map(drop), Err(Error::UserNotLoggedIn));
        application.open_session(slot, false).unwrap();
        application.logout(session).unwrap();
        assert_eq!(application.logout(session), Err(Error::UserNotLoggedIn));
    }
}
