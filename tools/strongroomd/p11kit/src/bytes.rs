//! Numbers and byte strings as they lie on the wire, all of them big-endian.

use strongroom_types::Bytes;
use zeroize::Zeroizing;

/// The length that stands for a pointer that is null.
pub(crate) const NULL: u32 = u32::MAX;

/// The bytes are not what the signature says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Bytes that are read one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Starts at the first of them.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A number of 32 bits.
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of 64 bits.
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A length and as many bytes; `None` is a null pointer.
    pub(crate) fn string(&mut self) -> Result<Option<&'b [u8]>, Malformed> {
        match self.u32()? {
            NULL => Ok(None),
            len => self.take(size(len)?).map(Some),
        }
    }
}

/// A length of the wire as one of this machine.
pub(crate) fn size(len: u32) -> Result<usize, Malformed> {
    usize::try_from(len).map_err(|_| Malformed)
}

/// Bytes that are written one after the other, and wiped: those that a growing vector leaves
/// behind, too.
#[derive(Default)]
pub(crate) struct Writer(Bytes);

impl Writer {
    /// What has been written.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Forgets all but the first bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Writes over the bytes at a place.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        let place = at.checked_add(bytes.len()).and_then(|end| self.0.get_mut(at..end));
        if let Some(place) = place {
            place.copy_from_slice(bytes);
        }
    }

    /// Bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let room = needed.max(self.0.capacity().saturating_mul(2)).max(64);
            let mut grown = Zeroizing::new(Vec::with_capacity(room));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    /// A byte.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// A number of 32 bits.
    pub(crate) fn u32(&mut self, number: u32) {
        self.put(&number.to_be_bytes());
    }

    /// A number of 64 bits.
    pub(crate) fn u64(&mut self, number: u64) {
        self.put(&number.to_be_bytes());
    }

    /// A length, or how many there are of something. More than 32 bits can say does not come: what
    /// goes out is bounded by what a frame brings in.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(NULL));
    }

    /// A length and the bytes.
    pub(crate) fn string(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.put(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.u32(0x0102_0304);
        writer.u64(u64::MAX - 1);
        writer.string(b"text");
        writer.u32(NULL);
        let bytes = writer.into_bytes();
        assert_eq!(bytes[1..5], [1, 2, 3, 4], "big-endian");

        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte(), Ok(7));
        assert_eq!(reader.u32(), Ok(0x0102_0304));
        assert_eq!(reader.u64(), Ok(u64::MAX - 1));
        assert_eq!(reader.string(), Ok(Some(b"text".as_slice())));
        assert_eq!(reader.string(), Ok(None));
        assert_eq!(reader.left(), 0);
        assert_eq!(reader.byte(), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        for len in [5, 1000, NULL - 1] {
            let mut bytes = len.to_be_bytes().to_vec();
            bytes.extend(b"four");
            assert_eq!(Reader::new(&bytes).string(), Err(Malformed));
        }
    }
}
