//! Frames on a stream, and the first one each way.
//!
//! A frame is its length, four bytes little-endian, and so many bytes. Memory for a frame grows as
//! the frame comes in, so that a length alone costs nothing; and all of it is wiped.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use core::cell::OnceCell;

use strongroom_types::{Bytes, room_for};
use zeroize::{Zeroize, Zeroizing};

use crate::wire::{Malformed, Reader, Taken, Wire, Writer};

/// What one read takes at most, and what is reserved for a frame before the rest of it is there.
const PIECE: usize = 64 << 10;

/// The bytes of a length.
const HEAD: usize = 4;

/// Cuts frames out of a stream.
pub struct Inbox {
    buffer: Bytes,
    /// How much of the buffer is filled.
    filled: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { buffer: Zeroizing::new(vec![0; 4096]), filled: 0 }
    }
}

impl Inbox {
    /// Whether no part of a frame is waiting for the rest.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The next frame, of `most` bytes at most; nothing if the stream ends before it begins. It must
    /// be complete so long after its first bytes.
    ///
    /// # Errors
    ///
    /// Those of the stream; one that it is not ready leaves an empty inbox as it was.
    /// [`ErrorKind::InvalidData`] for a frame that is too large, [`ErrorKind::TimedOut`] for one that
    /// takes too long, [`ErrorKind::UnexpectedEof`] for half a frame, [`ErrorKind::OutOfMemory`].
    pub fn frame(
        &mut self,
        stream: &mut impl Read,
        most: usize,
        patience: Duration,
    ) -> io::Result<Option<Bytes>> {
        let mut begun = None;
        while self.filled < HEAD {
            let place = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let read = once(stream, place);
            let read = if self.is_empty() { read? } else { read.map_err(late)? };
            if read == 0 && self.is_empty() {
                return Ok(None);
            }
            self.filled += ended(read)?;
            in_time(&mut begun, patience)?;
        }
        let head = self.buffer.first_chunk::<HEAD>().copied().unwrap_or_default();
        let len = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
        if len > most {
            let why = format!("a frame of {len} bytes, where {most} are the most");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        let mut frame = Zeroizing::new(Vec::with_capacity(len.min(PIECE)));
        let buffered = self.filled.min(HEAD + len);
        frame.extend_from_slice(self.buffer.get(HEAD..buffered).unwrap_or_default());
        self.drop_front(buffered);
        let mut here = frame.len();
        while here < len {
            if here == frame.len() {
                grow(&mut frame, len)?;
            }
            let read = once(stream, frame.get_mut(here..).unwrap_or_default());
            here += ended(read.map_err(late)?)?;
            in_time(&mut begun, patience)?;
        }
        Ok(Some(frame))
    }

    /// Wipes what has been taken, and moves the rest to the front.
    fn drop_front(&mut self, taken: usize) {
        self.buffer.copy_within(taken..self.filled, 0);
        let left = self.filled - taken;
        if let Some(over) = self.buffer.get_mut(left..self.filled) {
            over.zeroize();
        }
        self.filled = left;
    }
}

/// Reads once, whatever signals come.
fn once(stream: &mut impl Read, place: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(place) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A stream that is not ready in the middle of a frame has not been for too long.
fn late(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

fn ended(read: usize) -> io::Result<usize> {
    if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

/// Makes room for the next piece, and no more than as much again as has come already.
fn grow(frame: &mut Bytes, len: usize) -> io::Result<()> {
    let room = len.min(frame.len().saturating_mul(2).max(PIECE));
    if room > frame.capacity() {
        // A vector that grows by itself leaves a copy behind.
        let mut larger = room_for(room).map_err(|_| ErrorKind::OutOfMemory)?;
        larger.extend_from_slice(frame);
        *frame = larger;
    }
    frame.resize(room, 0);
    Ok(())
}

fn in_time(begun: &mut Option<Instant>, patience: Duration) -> io::Result<()> {
    let begun = begun.get_or_insert_with(Instant::now);
    if begun.elapsed() > patience { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
}

/// Writes a frame, in one piece if it is small.
///
/// # Errors
///
/// Those of the stream, and [`ErrorKind::InvalidData`] for a frame whose length has more than four
/// bytes.
pub fn send(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).map_err(|_| ErrorKind::InvalidData)?;
    let head = len.to_le_bytes();
    if frame.len() > PIECE {
        stream.write_all(&head)?;
        return stream.write_all(frame);
    }
    let mut whole = Zeroizing::new(Vec::with_capacity(HEAD + frame.len()));
    whole.extend_from_slice(&head);
    whole.extend_from_slice(frame);
    stream.write_all(&whole)
}

/// What a client opens a connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol that it speaks.
    pub version: u16,
    /// What it wants.
    pub wish: Wish,
}

/// Which application a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A new one, of this turn: the first of a process has turn 0, and each that takes the place of
    /// a lost one has the next.
    Found(u16),
    /// The one that another connection of the same process has founded.
    Join(Secret),
}

/// What the connections of one application share.
pub type Secret = [u8; 16];

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// The connection serves an application.
    Served(Terms),
    /// It does not.
    Refused(Refusal),
}

/// How an application is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What other connections join it with.
    pub secret: Secret,
    /// The most bytes of a request.
    pub most: u32,
    /// Whether the edge is to behave as SoftHSM2's.
    pub compatible: bool,
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The protocol has another version.
    Version,
    /// The daemon does not serve this user.
    User,
    /// There are as many connections as the daemon takes.
    Full,
    /// There is no such application, or it is another process's.
    Application,
    /// The daemon can not open its store.
    Store,
}

/// The version that this is.
pub const VERSION: u16 = 1;

/// The most bytes of the first frame, each way.
pub const FIRST: usize = 64;

/// Whatever else speaks to the socket does not begin so.
const MAGIC: [u8; 10] = *b"strongroom";

impl Hello {
    /// As it goes over the wire.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        MAGIC.put(&mut out);
        self.version.put(&mut out);
        self.wish.put(&mut out);
        out.finish()
    }

    /// The inverse of [`encode`](Self::encode). Of another version only the number is read.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(frame: &[u8]) -> Taken<Self> {
        let list = OnceCell::new();
        let mut from = Reader::new(frame, &list);
        let (magic, version) = <([u8; 10], u16)>::take(&mut from)?;
        if magic != MAGIC {
            return Err(Malformed);
        }
        if version != VERSION {
            return Ok(Self { version, wish: Wish::Found(0) });
        }
        let wish = Wire::take(&mut from)?;
        from.end()?;
        Ok(Self { version, wish })
    }
}

impl Welcome {
    /// As it goes over the wire.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        self.put(&mut out);
        out.finish()
    }

    /// The inverse of [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(frame: &[u8]) -> Taken<Self> {
        let list = OnceCell::new();
        let mut from = Reader::new(frame, &list);
        let welcome = Self::take(&mut from)?;
        from.end()?;
        Ok(welcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn frames(mut stream: impl Read, most: usize) -> io::Result<Vec<Bytes>> {
        let mut inbox = Inbox::default();
        std::iter::from_fn(|| inbox.frame(&mut stream, most, LONG).transpose()).collect()
    }

    /// Gives what it has in pieces of this many bytes.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(place.len());
            self.0.read(&mut place[..most])
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let sent = [vec![], vec![1], vec![2; 5000], vec![3; 200_000], vec![4; 4096]];
        let mut stream = Vec::new();
        sent.iter().for_each(|frame| send(&mut stream, frame).unwrap());
        for piece in [7, 4096, 1 << 20] {
            let got = frames(Pieces(&stream, piece), 200_000).unwrap();
            assert_eq!(got.len(), sent.len());
            assert!(got.iter().zip(&sent).all(|(got, sent)| **got == *sent), "{piece}");
        }
    }

    #[test]
    fn half_a_frame_and_a_huge_one_are_errors() {
        let mut stream = Vec::new();
        send(&mut stream, &[7; 100]).unwrap();
        for end in 1..stream.len() {
            let error = frames(&stream[..end], 100).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}");
        }
        assert_eq!(frames(&stream[..], 99).unwrap_err().kind(), ErrorKind::InvalidData);
        let huge = [0xff; 4];
        assert_eq!(frames(&huge[..], 1 << 20).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_frame_takes_no_longer_than_it_may() {
        let mut stream = Vec::new();
        send(&mut stream, &[7; 100]).unwrap();
        let mut inbox = Inbox::default();
        let error = inbox.frame(&mut Pieces(&stream, 1), 100, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn what_was_taken_is_wiped() {
        let mut stream = Vec::new();
        send(&mut stream, b"a secret").unwrap();
        send(&mut stream, b"").unwrap();
        let mut inbox = Inbox::default();
        inbox.frame(&mut &stream[..], 100, LONG).unwrap();
        assert!(!inbox.buffer.windows(6).any(|window| window == b"secret"));
        assert!(!inbox.is_empty(), "the second frame is there");
    }

    #[test]
    fn greetings_come_back() {
        for wish in [Wish::Found(7), Wish::Join([9; 16])] {
            let hello = Hello { version: VERSION, wish };
            assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        }
        let terms = Terms { secret: [3; 16], most: 1 << 24, compatible: true };
        for welcome in [Welcome::Served(terms), Welcome::Refused(Refusal::Full)] {
            let frame = welcome.encode();
            assert!(frame.len() <= FIRST);
            assert_eq!(Welcome::decode(&frame), Ok(welcome));
        }
        let later = Hello { version: VERSION + 1, wish: Wish::Join([1; 16]) };
        assert_eq!(Hello::decode(&later.encode()).map(|hello| hello.version), Ok(VERSION + 1));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n"), Err(Malformed));
    }
}
