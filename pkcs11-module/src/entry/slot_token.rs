//! Section 5.5, slot and token management functions.

use core::ffi::c_void;

use cryptoki_sys::{CK_MECHANISM_INFO, CK_SLOT_INFO, CK_TOKEN_INFO, CKF_DONT_BLOCK};
use strongroom_functions::wait_for_event;
use strongroom_types::{Error, MechanismType};

use super::{read_pin, session, slot};
use crate::abi::{CStructure, CkUlong, InPtr, OutList, OutPtr, narrow, numbers, wide};
use crate::module::{self, module};

functions! {
    /// Lists the slots. A query for their number has the list made anew.
    fn C_GetSlotList(
        token_present: u8,
        list: OutPtr<'_, CkUlong>,
        count: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let list = OutList::new(list, count)?;
        let slots = module.slot_list(token_present != 0, list.is_query())?;
        list.settle(&numbers(slots.iter().map(|slot| slot.0))?)
    }

    /// Tells about a slot.
    fn C_GetSlotInfo(slot_id: CkUlong, info: OutPtr<'_, CK_SLOT_INFO>) {
        let module = module()?;
        let info = info.place()?;
        info.put(module.slot_info(slot(slot_id))?.to_c()?)
    }

    /// Tells about a token.
    fn C_GetTokenInfo(slot_id: CkUlong, info: OutPtr<'_, CK_TOKEN_INFO>) {
        let module = module()?;
        let info = info.place()?;
        info.put(module.token_info(slot(slot_id))?.to_c()?)
    }

    /// Waits for a slot to change.
    fn C_WaitForSlotEvent(
        flags: CkUlong,
        event: OutPtr<'_, CkUlong>,
        reserved: InPtr<'_, c_void>,
    ) {
        module()?;
        reserved.reserved()?;
        let block = flags & CKF_DONT_BLOCK == 0;
        let event = match event.place() {
            Ok(place) => place,
            // SoftHSM2 never looks at it, and its test program relies on that.
            Err(_) if module::compatible() => {
                return Err(if block { Error::FunctionNotSupported } else { Error::NoEvent });
            }
            Err(error) => return Err(error),
        };
        // Each time it may be another module, or none: `C_Finalize` ends the waiting.
        let slot = wait_for_event(block, |block| module()?.wait_for_slot_event(block))?;
        event.put(narrow(slot.0)?)
    }

    /// Lists the mechanisms of a token.
    fn C_GetMechanismList(
        slot_id: CkUlong,
        list: OutPtr<'_, CkUlong>,
        count: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let list = OutList::new(list, count)?;
        let mechanisms = module.mechanism_list(slot(slot_id))?;
        list.settle(&numbers(mechanisms.iter().map(|mechanism| mechanism.0))?)
    }

    /// Tells about a mechanism.
    fn C_GetMechanismInfo(
        slot_id: CkUlong,
        mechanism: CkUlong,
        info: OutPtr<'_, CK_MECHANISM_INFO>,
    ) {
        let module = module()?;
        let info = info.place()?;
        let mechanism = MechanismType(wide(mechanism));
        info.put(module.mechanism_info(slot(slot_id), mechanism)?.to_c()?)
    }

    /// Initialises a token.
    fn C_InitToken(
        slot_id: CkUlong,
        pin: InPtr<'_, u8>,
        pin_len: CkUlong,
        label: InPtr<'_, u8>,
    ) {
        let module = module()?;
        module.init_token(slot(slot_id), read_pin(&pin, pin_len)?, &label.array()?)
    }

    /// Sets the user's PIN, by the security officer.
    fn C_InitPIN(handle: CkUlong, pin: InPtr<'_, u8>, pin_len: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let pin = module.read(session, read_pin(&pin, pin_len))?;
        module.init_pin(session, pin)
    }

    /// Changes the PIN of the user who is logged in.
    fn C_SetPIN(
        handle: CkUlong,
        old: InPtr<'_, u8>,
        old_len: CkUlong,
        new: InPtr<'_, u8>,
        new_len: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let old = module.read(session, read_pin(&old, old_len))?;
        let new = module.read(session, read_pin(&new, new_len))?;
        module.set_pin(session, old, new)
    }
}
