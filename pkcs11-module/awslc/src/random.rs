//! Random bytes: AWS-LC's generator (SP 800-90A), one per thread, seeded by the system, and safe
//! after a fork.

use crate::{Error, Result};

/// Fills memory with random bytes.
///
/// # Errors
///
/// [`Error::Invalid`] if there are none, which AWS-LC does not let happen.
pub fn fill(out: &mut [u8]) -> Result<()> {
    aws_lc_rs::rand::fill(out).map_err(|_| Error::Invalid)
}
