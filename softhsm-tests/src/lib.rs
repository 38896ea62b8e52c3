//! Black-box tests of a PKCS#11 module: what they stand on.
//!
//! The tests know nothing of the module but its path, in `MODULE_UNDER_TEST`. A test is written
//! from the standard, run on SoftHSM2 first, and then on ours. It carries a row of data that says
//! what SoftHSM2 makes of it ([`SoftHsm2`]); a failure that was expected and does not come is an
//! error, so nothing is skipped and no row grows stale.
//!
//! - [`harness`]: runs each test in a child process with an empty store of its own, so that a
//!   crash is an outcome like any other, and writes the outcome to a table.
//! - [`batch`]: runs thousands of cases in forked children, and counts what came of them.
//! - [`world`]: the store, the module, a token with two PINs, and sessions on it.
//! - [`daemon`]: where the module is to be the client of one, a daemon for each test.
//! - [`faults`]: where the system is to fail, what stands between it and the test.
//! - [`traces`]: what is left of a secret in the memory of a process.
//! - [`raw`]: the calls as C makes them, null pointers and all. The only unsafe code.

#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

pub mod batch;
pub mod daemon;
pub mod faults;
pub mod harness;
pub mod raw;
pub mod rv;
pub mod template;
pub mod traces;
pub mod world;

pub use faults::{Fault, Faults};
pub use harness::{
    SoftHsm2, case, case_among_faults, case_as_softhsm2, case_compatible, case_of_batches, count,
    long, not_run, table, table_among_faults, table_as_softhsm2, table_compatible,
};
pub use raw::{
    Dual, In, InitArgs, Mechanism, Memory, Message, Module, PLENTY, Param, Room, Template, Word,
    address, vast,
};
pub use rv::{FUNCTIONS, Rv};
pub use template::{Attribute, Value, merge};
pub use world::{LABEL, SO_PIN, Session, USER_PIN, World};
