//! What must hold whatever comes over a wire of the daemon: for each of them a function that takes any
//! bytes, and panics where something does not hold.
//!
//! `tools/fuzz` has LLVM's fuzzer call them; the test of this crate calls them with what is kept in its
//! corpus, and with thousands of changes of it that are the same each time.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a fuzz target fails by panicking"
)]

mod module;
mod operator;
mod p11kit;

/// A wire, and what must hold for it.
pub struct Target {
    /// The name of the fuzz target, and of its corpus.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

/// Each wire.
pub static TARGETS: [Target; 3] = [
    Target { name: "wire", run: module::run },
    Target { name: "p11kit", run: p11kit::run },
    Target { name: "operator", run: operator::run },
];

/// Runs the target of this name.
///
/// # Panics
///
/// Where something does not hold, and if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    (target.run)(data);
}
