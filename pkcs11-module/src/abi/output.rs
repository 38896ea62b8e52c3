//! Section 5.2, producing output: byte strings and lists whose length the caller may ask for first.

use strongroom_types::{Error, Output, Result, Room, wipe};

use super::pointer::checked_len;
use super::{CkUlong, OutPtr, length};

/// A buffer for bytes and its length.
pub(crate) struct OutBuf<'call> {
    buffer: OutPtr<'call, u8>,
    len: OutPtr<'call, CkUlong>,
    room: Room,
}

impl<'call> OutBuf<'call> {
    /// Pairs an output pointer with its length.
    pub(crate) fn new(buffer: OutPtr<'call, u8>, len: OutPtr<'call, CkUlong>) -> Result<Self> {
        let room = if buffer.is_null() {
            // A query writes the length and does not read it, yet it must have a place for it.
            if len.is_null() {
                return Err(Error::ArgumentsBad);
            }
            Room::Query
        } else {
            Room::Bytes(checked_len::<u8>(len.read()?)?)
        };
        Ok(Self { buffer, len, room })
    }

    /// What the caller can take.
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// Gives the caller the output, or the length that it needs.
    ///
    /// Nothing borrowed from the caller is alive by now, which matters: the standard lets input
    /// and output be the same memory, and Rust references do not.
    pub(crate) fn settle(self, output: Output) -> Result<()> {
        self.len.write(length(output.needed())?)?;
        match (self.room, output) {
            (Room::Query, _) => Ok(()),
            (Room::Bytes(_), Output::Bytes(bytes)) if self.room.fits(bytes.len()) => {
                let written = self.buffer.write_bytes(&bytes);
                wipe(bytes);
                written
            }
            (Room::Bytes(_), _) => Err(Error::BufferTooSmall),
        }
    }
}

/// An array of the caller's and its length in elements.
pub(crate) struct OutList<'call, T> {
    list: OutPtr<'call, T>,
    count: OutPtr<'call, CkUlong>,
    room: Option<usize>,
}

impl<'call, T: Copy> OutList<'call, T> {
    /// Pairs an array with a count that says how many elements it can take.
    pub(crate) fn new(list: OutPtr<'call, T>, count: OutPtr<'call, CkUlong>) -> Result<Self> {
        let room = if list.is_null() {
            if count.is_null() {
                return Err(Error::ArgumentsBad);
            }
            None
        } else {
            Some(checked_len::<T>(count.read()?)?)
        };
        Ok(Self { list, count, room })
    }

    /// Pairs an array of at most `most` elements with the place for their count. There is no query.
    pub(crate) fn up_to(
        most: CkUlong,
        list: OutPtr<'call, T>,
        count: OutPtr<'call, CkUlong>,
    ) -> Result<Self> {
        // A count that no memory could hold only says "all of them": no more is ever written.
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if count.is_null() || (list.is_null() && most > 0) {
            return Err(Error::ArgumentsBad);
        }
        Ok(Self { list, count, room: Some(most) })
    }

    /// Whether the caller asks for the number of elements only.
    pub(crate) fn is_query(&self) -> bool {
        self.room.is_none()
    }

    /// How many elements the caller can take.
    pub(crate) fn room(&self) -> usize {
        self.room.unwrap_or(0)
    }

    /// Gives the caller the elements, or their number.
    pub(crate) fn settle(self, elements: &[T]) -> Result<()> {
        self.count.write(length(elements.len())?)?;
        let Some(room) = self.room else { return Ok(()) };
        if elements.len() > room {
            return Err(Error::BufferTooSmall);
        }
        for (index, element) in elements.iter().enumerate() {
            self.list.element(index).write(*element)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::ptr::null_mut;

    use super::super::{Argument, InPtr};
    use super::*;

    fn out<'call, T>(pointer: *mut T) -> OutPtr<'call, T> {
        // SAFETY: the pointers of these tests are null, or to locals that outlive the result.
        unsafe { OutPtr::from_c(pointer) }
    }

    fn bytes(bytes: &[u8]) -> Output {
        Output::Bytes(bytes.to_vec().into())
    }

    #[test]
    fn a_query_gets_the_length() {
        let mut len = 99;
        let buffer = OutBuf::new(out(null_mut()), out(&raw mut len)).unwrap();
        assert_eq!(buffer.room(), Room::Query);
        buffer.settle(Output::Needs(4)).unwrap();
        assert_eq!(len, 4);
    }

    #[test]
    fn too_small_exact_and_larger() {
        for (room, answer, written) in [
            (3, Err(Error::BufferTooSmall), [0; 6]),
            (4, Ok(()), [5, 5, 5, 5, 0, 0]),
            (6, Ok(()), [5, 5, 5, 5, 0, 0]),
        ] {
            let (mut memory, mut len) = ([0; 6], room);
            let buffer = OutBuf::new(out(memory.as_mut_ptr()), out(&raw mut len)).unwrap();
            assert_eq!(buffer.settle(bytes(&[5; 4])), answer);
            assert_eq!((memory, len), (written, 4));
        }
    }

    #[test]
    fn needed_length_is_told_and_nothing_written() {
        let (mut memory, mut len) = ([0_u8; 2], 2);
        let buffer = OutBuf::new(out(memory.as_mut_ptr()), out(&raw mut len)).unwrap();
        assert_eq!(buffer.settle(Output::Needs(16)), Err(Error::BufferTooSmall));
        assert_eq!((memory, len), ([0; 2], 16));
    }

    #[test]
    fn a_length_is_never_null_nor_impossible() {
        let (mut memory, mut len) = ([0_u8; 2], CkUlong::MAX);
        assert!(OutBuf::new(out(null_mut()), out(null_mut())).is_err());
        assert!(OutBuf::new(out(memory.as_mut_ptr()), out(null_mut())).is_err());
        assert!(OutBuf::new(out(memory.as_mut_ptr()), out(&raw mut len)).is_err());
    }

    #[test]
    fn input_and_output_may_be_the_same_memory() {
        let mut memory = [1_u8, 2, 3];
        let pointer = memory.as_mut_ptr();
        let mut len: CkUlong = 3;
        // SAFETY: a local that outlives the pointer.
        let input: InPtr<'_, u8> = unsafe { InPtr::from_c(pointer) };
        let data = input.slice(3).unwrap();
        let buffer = OutBuf::new(out(pointer), out(&raw mut len)).unwrap();
        let made = data.iter().map(|byte| byte + 1).collect::<Vec<_>>();
        buffer.settle(bytes(&made)).unwrap();
        assert_eq!(memory, [2, 3, 4]);
    }

    #[test]
    fn lists_are_counted_alike() {
        let (mut list, mut count) = ([0_u64; 3], 0);
        let query = OutList::new(out::<u64>(null_mut()), out(&raw mut count)).unwrap();
        assert!(query.is_query());
        query.settle(&[7, 8]).unwrap();
        assert_eq!(count, 2);

        for (room, answer, written) in [
            (0, Err(Error::BufferTooSmall), [0; 3]),
            (1, Err(Error::BufferTooSmall), [0; 3]),
            (2, Ok(()), [7, 8, 0]),
        ] {
            count = room;
            let list_of = OutList::new(out(list.as_mut_ptr()), out(&raw mut count)).unwrap();
            assert_eq!(list_of.settle(&[7, 8]), answer);
            assert_eq!((list, count), (written, 2));
        }
        assert!(OutList::new(out::<u64>(null_mut()), out(null_mut())).is_err());
    }

    #[test]
    fn as_many_as_the_caller_wants() {
        let (mut list, mut count) = ([0_u64; 3], 9);
        let found = OutList::up_to(CkUlong::MAX, out(list.as_mut_ptr()), out(&raw mut count));
        let found = found.unwrap();
        assert_eq!(found.room(), usize::MAX);
        found.settle(&[4]).unwrap();
        assert_eq!((list, count), ([4, 0, 0], 1));

        assert!(OutList::up_to(0, out::<u64>(null_mut()), out(&raw mut count)).is_ok());
        assert!(OutList::up_to(1, out::<u64>(null_mut()), out(&raw mut count)).is_err());
        assert!(OutList::up_to(1, out(list.as_mut_ptr()), out(null_mut())).is_err());
    }
}
