//! Section 5.4, general-purpose functions.

use core::ffi::c_void;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_VERSION};
use strongroom_types::Error;

use crate::abi::{CStructure, CkUlong, InPtr, OutList, OutPtr};
use crate::interface::{INTERFACES, NAME, function_list};
use crate::module::{self, module};

functions! {
    /// Starts the module in this process.
    @start fn C_Initialize(args: InPtr<'_, c_void>) {
        module::initialize(args.initialize_args())
    }

    /// Ends the module in this process; calls that are still at work come to their end.
    fn C_Finalize(reserved: InPtr<'_, c_void>) {
        reserved.reserved()?;
        module::finalize()
    }

    /// Tells about the module.
    fn C_GetInfo(info: OutPtr<'_, CK_INFO>) {
        let module = module()?;
        let info = info.place()?;
        info.put(module.info()?.to_c()?)
    }

    /// Gives the functions of version 2.40. Needs no `C_Initialize`.
    fn C_GetFunctionList(list: OutPtr<'_, *mut CK_FUNCTION_LIST>) {
        list.place()?.put(function_list())
    }

    /// Lists the interfaces. Needs no `C_Initialize`.
    fn C_GetInterfaceList(list: OutPtr<'_, CK_INTERFACE>, count: OutPtr<'_, CkUlong>) {
        let interfaces = INTERFACES.each_ref().map(|interface| *interface.ck());
        OutList::new(list, count)?.settle(&interfaces)
    }

    /// Finds an interface by name, version and flags. Needs no `C_Initialize`.
    fn C_GetInterface(
        name: InPtr<'_, u8>,
        version: InPtr<'_, CK_VERSION>,
        interface: OutPtr<'_, *mut CK_INTERFACE>,
        flags: CkUlong,
    ) {
        let place = interface.place()?;
        if !name.is_null() && !name.is_text(NAME)? {
            return Err(Error::ArgumentsBad);
        }
        let version = if version.is_null() { None } else { Some(version.read()?) };
        let found = INTERFACES.iter().find(|interface| interface.has(version, flags));
        let found = found.ok_or(Error::ArgumentsBad)?;
        place.put((&raw const *found.ck()).cast_mut())
    }
}
