//! Tests of the keystore over its files, a file per chapter.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod common;
mod damage;
mod format;
mod objects;
mod pins;
mod processes;
mod rotation;
mod seal;
mod store;
mod tampering;
