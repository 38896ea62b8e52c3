//! The memory of the process.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities};

/// Whether this is the only thread, as all that belongs to a thread wants it.
pub(crate) fn alone() -> Result<(), String> {
    let tasks = fs::read_dir("/proc/self/task").map_err(|error| format!("/proc/self: {error}"))?;
    match tasks.count() {
        1 => Ok(()),
        count => Err(format!("there are {count} threads")),
    }
}

/// Locks what is in memory, and what ever will be.
pub(crate) fn lock_memory() -> Result<(), String> {
    let unlimited = Rlimit { current: None, maximum: None };
    // Only some may raise the limit beyond what it is; where nobody limits it, it is that already.
    let _ = setrlimit(Resource::Memlock, unlimited);
    let limit = getrlimit(Resource::Memlock).current;
    if let Some(bytes) = limit.filter(|_| !needs_capability()) {
        // A process whose future memory is locked can not have more than the limit in all.
        return Err(format!("the limit of locked memory is {bytes} bytes"));
    }
    // As soon as it is used: the stack of a thread is mostly not.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|error| error.to_string())
}

/// Whether locked memory is without limit by `CAP_IPC_LOCK` alone, which must then be kept.
pub(crate) fn needs_capability() -> bool {
    let limited = getrlimit(Resource::Memlock).current.is_some();
    let granted =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    limited && granted
}

/// No file is written when the process crashes.
pub(crate) fn no_core_dumps() -> Result<(), String> {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, nothing).map_err(|error| error.to_string())
}

/// Nothing is given to a program that takes core dumps either, and no process without privileges
/// reads the memory.
pub(crate) fn not_dumpable() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| error.to_string())
}
