//! Section 5.19, random number generation functions.

use super::session;
use crate::abi::{CkUlong, InPtr, OutPtr};
use crate::module::module;

/// How many bytes are made at a time.
const PIECE: usize = 64 << 10;

functions! {
    /// Mixes a seed into the token's random numbers.
    fn C_SeedRandom(handle: CkUlong, seed: InPtr<'_, u8>, seed_len: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let seed = module.read(session, seed.slice(seed_len))?;
        module.seed_random(session, seed)
    }

    /// Fills the caller's buffer with random numbers.
    fn C_GenerateRandom(handle: CkUlong, buffer: OutPtr<'_, u8>, len: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let mut rest = module.read(session, buffer.bytes(len))?;
        // At least once, because the session may not exist.
        loop {
            let piece = rest.len().min(PIECE);
            rest.put(&module.generate_random(session, piece)?)?;
            if rest.len() == 0 {
                return Ok(());
            }
        }
    }
}
