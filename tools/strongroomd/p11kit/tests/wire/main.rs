//! The wire from the client's side: the stock client of this machine, with the programs that use it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod stock;
mod world;
