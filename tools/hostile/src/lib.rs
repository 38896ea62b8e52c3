//! What must hold whatever comes in, wherever bytes do: for each of these places a function that takes
//! any bytes, and panics where something does not hold.
//!
//! `tools/fuzz` has LLVM's fuzzer call them; the tests of this crate call them with what is kept in its
//! corpus, and with changes of it that are the same each time.

#![deny(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by panicking"
)]

mod callers;
mod configuration;
mod der;
mod edge;
mod made;
mod operator;
mod p11kit;
mod parameters;
mod pkcs12;
mod policy;
mod rows;
mod softhsm2;
mod templates;
mod wire;
mod world;

/// A place where bytes come in, and what must hold there.
pub struct Target {
    /// The name of the fuzz target, and of its corpus.
    pub name: &'static str,
    /// How many changes of what is kept the tests try: fewer where each takes long.
    pub times: usize,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

/// Each of them.
pub static TARGETS: [Target; 12] = [
    Target { name: "configuration", times: 1400, run: configuration::run },
    Target { name: "der", times: 12_000, run: der::run },
    Target { name: "edge", times: 300, run: edge::run },
    Target { name: "operator", times: 4000, run: operator::run },
    Target { name: "p11kit", times: 8000, run: p11kit::run },
    Target { name: "parameters", times: 700, run: parameters::run },
    Target { name: "pkcs12", times: 100, run: pkcs12::run },
    Target { name: "policy", times: 250, run: policy::run },
    Target { name: "rows", times: 60, run: rows::run },
    Target { name: "softhsm2", times: 450, run: softhsm2::run },
    Target { name: "templates", times: 260, run: templates::run },
    Target { name: "wire", times: 13_000, run: wire::run },
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
