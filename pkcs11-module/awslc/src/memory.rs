//! Memory for as much as a caller gives: where there is too little, that is an error.

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Reserves room for so many bytes more.
pub(crate) fn reserve(out: &mut Vec<u8>, more: usize) -> Result<()> {
    out.try_reserve(more).map_err(|_| Error::Memory)
}

/// So many zeros, to be written over.
pub(crate) fn zeros(len: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut zeros = Zeroizing::new(Vec::new());
    zeros.try_reserve_exact(len).map_err(|_| Error::Memory)?;
    zeros.resize(len, 0);
    Ok(zeros)
}
