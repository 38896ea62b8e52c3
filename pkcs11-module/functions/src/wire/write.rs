//! Writing.

use strongroom_types::{Bytes, Error, Result, room_for};
use zeroize::Zeroizing;

/// Room for most calls.
const SMALL: usize = 256;

/// The most bytes that the length of a frame can say.
pub(crate) const LONGEST: usize = 0xffff_ffff;

/// A frame that is being written. It may hold PINs and keys, so it wipes what it leaves behind,
/// when it grows as well as when it is dropped.
///
/// A caller says how long it becomes. One that is too long, or that there is no memory for, is given up
/// before anything is copied that can not go anyway: it is empty then, stays so, and says [why](Self::whole).
pub struct Writer {
    frame: Bytes,
    most: usize,
    given_up: Option<Error>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::of_at_most(LONGEST)
    }
}

impl Writer {
    /// One that may have so many bytes.
    pub(crate) fn of_at_most(most: usize) -> Self {
        let frame = Zeroizing::new(Vec::with_capacity(SMALL));
        Self { frame, most: most.min(LONGEST), given_up: None }
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let needed = self.frame.len().saturating_add(bytes.len());
        if needed > self.frame.capacity() && !self.grow(needed) {
            return;
        }
        self.frame.extend_from_slice(bytes);
    }

    /// Makes room for so many bytes in all. A frame that was given up has room for none, so whatever is
    /// added to it comes here again.
    #[cold]
    fn grow(&mut self, needed: usize) -> bool {
        match self.larger(needed) {
            Ok(larger) => self.frame = larger,
            Err(error) => {
                self.frame = Bytes::default();
                self.given_up.get_or_insert(error);
            }
        }
        self.given_up.is_none()
    }

    /// The same with more room. A vector that grows by itself leaves a copy behind.
    fn larger(&self, needed: usize) -> Result<Bytes> {
        self.whole()?;
        if needed > self.most {
            return Err(Error::DataLenRange);
        }
        let room = needed.max(self.frame.capacity().saturating_mul(2)).min(self.most);
        let mut larger = room_for(room)?;
        larger.extend_from_slice(&self.frame);
        Ok(larger)
    }

    /// Whether all is there that was added.
    ///
    /// # Errors
    ///
    /// `CKR_DATA_LEN_RANGE` for what is too long, `CKR_HOST_MEMORY` for what there is no memory for.
    pub fn whole(&self) -> Result<()> {
        self.given_up.map_or(Ok(()), Err)
    }

    /// Adds the number of things that follow. More than the number can say is more than a frame
    /// has room for: it is given up when they are added.
    pub fn count(&mut self, count: usize) {
        self.add(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.frame
    }

    /// Writes over what is there already.
    pub(crate) fn replace(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.frame.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    /// The frame.
    pub fn finish(self) -> Bytes {
        self.frame
    }
}
