//! Safe wrappers over AWS-LC.
//!
//! This is the second of the two rooms with unsafe code: each block is one call, and its comment
//! names the promise that the call relies on. Every object of AWS-LC has an owner that frees it.
//! Nothing here knows PKCS#11; what fails, fails without detail.

#![allow(unsafe_code, reason = "the calls into AWS-LC; see above")]

mod anykey;
pub mod ccm;
pub mod chacha;
pub mod cipher;
pub mod curve25519;
pub mod dh;
pub mod digest;
pub mod dsa;
pub mod ec;
mod error;
pub mod gcm;
pub mod key_wrap;
pub mod mac;
mod memory;
pub mod ml_dsa;
pub mod ml_kem;
mod number;
mod owned;
pub mod pbkdf2;
pub mod poly1305;
pub mod random;
pub mod rsa;
pub mod sha512_t;

pub use error::{Error, Result};

/// Has AWS-LC find out what the processor can do. It does so at its first use in any case, but then
/// under a lock that a fork in that moment leaves held in its child.
pub fn prepare() {
    aws_lc_rs::init();
}

/// Compares two byte strings in a time that depends only on their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
