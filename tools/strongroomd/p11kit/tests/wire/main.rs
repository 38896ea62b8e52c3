//! The wire from the client's side: the stock client of this machine with the programs that use it,
//! and a client of our own that writes as every generation does.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod client;
mod generations;
mod malformed;
mod stock;
mod world;
