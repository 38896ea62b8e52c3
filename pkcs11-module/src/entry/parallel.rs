//! Section 5.20, parallel function management functions, which the standard keeps for the past.

use cryptoki_sys::CK_SESSION_HANDLE;
use strongroom_types::Error;

constant_functions! { Err(Error::FunctionNotParallel);
    C_GetFunctionStatus(CK_SESSION_HANDLE);
    C_CancelFunction(CK_SESSION_HANDLE);
}
