//! Memory for as many bytes as a caller says. Where there is too little the call fails; a vector that takes
//! memory by itself would end the caller's process then.

use zeroize::Zeroizing;

use crate::{Bytes, Error, Result};

/// What is taken without asking, as everything is whose size no caller says: a short message is not to wait.
const LITTLE: usize = 4096;

/// No bytes, with room for so many.
///
/// # Errors
///
/// `CKR_HOST_MEMORY`.
#[inline]
pub fn room_for(len: usize) -> Result<Bytes> {
    if len <= LITTLE { Ok(Zeroizing::new(Vec::with_capacity(len))) } else { much(len) }
}

#[inline(never)]
fn much(len: usize) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let why = |_| Error::HostMemory.because(|| format!("there is no memory for {len} bytes"));
    bytes.try_reserve_exact(len).map_err(why)?;
    Ok(Zeroizing::new(bytes))
}

/// The same bytes in memory of their own.
///
/// # Errors
///
/// `CKR_HOST_MEMORY`.
pub fn copy_of(bytes: &[u8]) -> Result<Bytes> {
    let mut copy = room_for(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_memory_for_is_an_error() {
        for len in [0, 1, LITTLE, LITTLE + 1, 1 << 20] {
            let room = room_for(len).unwrap();
            assert!(room.is_empty() && room.capacity() >= len, "{len}");
        }
        for len in [1 << 60, usize::MAX / 2, usize::MAX] {
            assert_eq!(room_for(len).err(), Some(Error::HostMemory), "{len}");
        }
        assert_eq!(**copy_of(b"bytes").unwrap(), *b"bytes");
    }
}
