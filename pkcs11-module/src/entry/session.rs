//! Section 5.6, session management functions.

use core::ffi::c_void;

use cryptoki_sys::{
    CK_NOTIFY, CK_SESSION_INFO, CKF_ASYNC_SESSION, CKF_RW_SESSION, CKF_SERIAL_SESSION,
};
use strongroom_types::{Error, UserType};

use super::{object, read_pin, session, slot};
use crate::abi::{CStructure, CkUlong, InPtr, OutBuf, OutPtr, narrow, wide};
use crate::module::module;

functions! {
    /// Opens a session. The callback is accepted, and never called: no event of this module is
    /// one that the standard has it called for.
    fn C_OpenSession(
        slot_id: CkUlong,
        flags: CkUlong,
        _application: InPtr<'_, c_void>,
        _notify: CK_NOTIFY,
        handle: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(Error::SessionParallelNotSupported);
        }
        if flags & CKF_ASYNC_SESSION != 0 {
            return Err(Error::SessionAsyncNotSupported);
        }
        let handle = handle.place()?;
        let session = module.open_session(slot(slot_id), flags & CKF_RW_SESSION != 0)?;
        handle.put(narrow(session.0)?)
    }

    /// Closes a session.
    @late fn C_CloseSession(handle: CkUlong) {
        module()?.close_session(session(handle))
    }

    /// Closes every session that this application has with a token.
    @late fn C_CloseAllSessions(slot_id: CkUlong) {
        module()?.close_all_sessions(slot(slot_id))
    }

    /// Tells about a session.
    fn C_GetSessionInfo(handle: CkUlong, info: OutPtr<'_, CK_SESSION_INFO>) {
        let module = module()?;
        let session = session(handle);
        let info = module.read(session, info.place())?;
        info.put(module.session_info(session)?.to_c()?)
    }

    /// Gives the state of the session's operations.
    fn C_GetOperationState(
        handle: CkUlong,
        state: OutPtr<'_, u8>,
        state_len: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let out = module.read(session, OutBuf::new(state, state_len))?;
        let saved = module.operation_state(session, out.room())?;
        out.settle(saved)
    }

    /// Has operations go on from a state.
    fn C_SetOperationState(
        handle: CkUlong,
        state: InPtr<'_, u8>,
        state_len: CkUlong,
        encryption_key: CkUlong,
        authentication_key: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let state = module.read(session, state.short_slice(state_len))?;
        let keys = (object(encryption_key), object(authentication_key));
        module.set_operation_state(session, state, keys.0, keys.1)
    }

    /// Logs a user in.
    fn C_Login(handle: CkUlong, user: CkUlong, pin: InPtr<'_, u8>, pin_len: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let pin = module.read(session, read_pin(&pin, pin_len))?;
        module.login(session, UserType(wide(user)), pin)
    }

    /// Logs a user in who has a name.
    fn C_LoginUser(
        handle: CkUlong,
        user: CkUlong,
        pin: InPtr<'_, u8>,
        pin_len: CkUlong,
        name: InPtr<'_, u8>,
        name_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let pin = module.read(session, read_pin(&pin, pin_len))?;
        let name = module.read(session, name.short_slice(name_len))?;
        module.login_user(session, UserType(wide(user)), pin, name)
    }

    /// Ends operations of the session.
    fn C_SessionCancel(handle: CkUlong, flags: CkUlong) {
        module()?.session_cancel(session(handle), wide(flags))
    }

    /// Tells whether what the session did last was validated.
    fn C_GetSessionValidationFlags(
        handle: CkUlong,
        kind: CkUlong,
        flags: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let flags = module.read(session, flags.place())?;
        flags.put(narrow(module.session_validation_flags(session, wide(kind))?)?)
    }

    /// Logs the user out.
    @late fn C_Logout(handle: CkUlong) {
        module()?.logout(session(handle))
    }
}
