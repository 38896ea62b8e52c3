//! What is left when something breaks: processes that are killed, disks that are full, broken or
//! read-only, files that were damaged, clocks and limits, and many processes at once.
//!
//! Each test counts what it tried and what it lost, for the table of figures in README.md. What is
//! tried by chance comes from seeds, so that it is the same each time but for the moment of a kill.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod damaged;
mod faults;
mod killed;
mod limits;
mod model;
mod processes;
mod read_only;
