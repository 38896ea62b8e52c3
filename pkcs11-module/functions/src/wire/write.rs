//! Writing.

use strongroom_types::Bytes;
use zeroize::Zeroizing;

/// Room for most calls.
const SMALL: usize = 256;

/// A frame that is being written. It may hold PINs and keys, so it wipes what it leaves behind,
/// when it grows as well as when it is dropped.
pub struct Writer(Bytes);

impl Default for Writer {
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(SMALL)))
    }
}

impl Writer {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves a copy behind.
            let room = needed.max(self.0.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Adds the number of things that follow. More than the number can say is more than a frame
    /// has room for: what is written then is refused for its length.
    pub fn count(&mut self, count: usize) {
        self.add(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes over what is there already.
    pub(crate) fn replace(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    /// The frame.
    pub fn finish(self) -> Bytes {
        self.0
    }
}
