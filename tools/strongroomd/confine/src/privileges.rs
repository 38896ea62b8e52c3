//! What the process may do beyond what its user may.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::process::needs_capability;

/// No program that it starts has more privileges.
pub(crate) fn no_new_ones() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| error.to_string())
}

/// Gives all capabilities up, but the one that locked memory may need.
pub(crate) fn drop_capabilities() -> Result<(), String> {
    let kept = if needs_capability() { CapabilitySet::IPC_LOCK } else { CapabilitySet::empty() };
    for capability in CapabilitySet::all().iter().filter(|one| !kept.contains(*one)) {
        match remove_capability_from_bounding_set(capability) {
            // One that this kernel does not have, or that we may not take away: then no program can
            // gain it, because there are no new privileges.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    clear_ambient_capability_set().map_err(|error| error.to_string())?;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|error| error.to_string())?;
    let left = capabilities(None).map_err(|error| error.to_string())?;
    if left == sets { Ok(()) } else { Err(format!("{:?} are left", left.permitted)) }
}
