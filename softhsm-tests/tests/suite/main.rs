//! Black-box tests of the module at `MODULE_UNDER_TEST`, a file per chapter.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(clippy::type_complexity, reason = "a row of a table is a tuple, read where it stands")]

mod certificates;
mod check_values;
mod client;
mod compatible;
mod daemon;
mod derive;
mod digest;
mod dual;
mod edge;
mod encapsulate;
mod encrypt;
mod fork;
mod fork_as_softhsm2;
mod keys;
mod legacy;
mod memory;
mod message;
mod modes;
mod objects;
mod post_quantum;
mod profiles;
mod reasons;
mod search;
mod separation;
mod session_functions;
mod sessions;
mod sign;
mod slots;
mod softhsm2_conf;
mod threads;
mod tokens;
mod wrap;
