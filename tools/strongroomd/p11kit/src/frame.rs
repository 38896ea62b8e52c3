//! Frames: a code that goes with question and answer, options that nobody reads, and a body.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use strongroom_types::Bytes;
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::Writer;

/// How much of anything a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the options of a frame.
    pub options: u32,
    /// The most bytes of the body of a frame, and of the random bytes of an answer.
    pub body: u32,
    /// The most attributes of a template.
    pub attributes: u32,
    /// The most calls of a connection that run at the same time.
    pub workers: usize,
    /// How long a client may take over a frame that it has begun, and over the byte before the
    /// first. A stream that gives up waiting (by a time limit of its socket) is asked again until
    /// then, and for ever where a frame may begin.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let patience = Duration::from_secs(10);
        Self { options: 4 << 10, body: 1 << 20, attributes: 4096, workers: 4, patience }
    }
}

/// The code, the length of the options, and the length of the body.
const HEADER: usize = 12;

/// How much is read at once. A client writes a frame in three pieces, which mostly come together.
const BUFFER: usize = 16 << 10;

/// A question.
pub(crate) struct Frame {
    /// What the answer is to be told by.
    pub(crate) code: u32,
    /// The body.
    pub(crate) body: Bytes,
}

/// Frames that come out of a stream.
pub(crate) struct Frames<R> {
    input: R,
    patience: Duration,
    /// Since when there has been a wait for the rest of a frame.
    waiting: Option<Instant>,
    buffer: Bytes,
    start: usize,
    end: usize,
}

impl<R: Read> Frames<R> {
    /// The frames of a stream.
    pub(crate) fn new(input: R, patience: Duration) -> Self {
        let buffer = Zeroizing::new(vec![0; BUFFER]);
        Self { input, patience, waiting: None, buffer, start: 0, end: 0 }
    }

    /// The byte before the first frame; `None` if the client hung up.
    pub(crate) fn first_byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        self.waiting = Some(Instant::now());
        Ok(self.fill(&mut byte, true)?.then_some(byte[0]))
    }

    /// The next frame; `None` if the client hung up after the last one.
    pub(crate) fn next(&mut self, limits: &Limits) -> io::Result<Option<Frame>> {
        let mut header = [0; HEADER];
        self.waiting = None;
        if !self.fill(&mut header, true)? {
            return Ok(None);
        }
        let [c0, c1, c2, c3, o0, o1, o2, o3, b0, b1, b2, b3] = header;
        let options = bounded([o0, o1, o2, o3], limits.options, "options")?;
        let body = bounded([b0, b1, b2, b3], limits.body, "body")?;
        self.fill(&mut Zeroizing::new(vec![0; options]), false)?;
        // Once and exactly, so that no copy stays behind; the pages come with the bytes.
        let mut body = Zeroizing::new(vec![0; body]);
        self.fill(&mut body, false)?;
        Ok(Some(Frame { code: u32::from_be_bytes([c0, c1, c2, c3]), body }))
    }

    /// Fills a buffer; false if there is nothing where a frame may begin.
    fn fill(&mut self, mut wanted: &mut [u8], beginning: bool) -> io::Result<bool> {
        let mut none_yet = true;
        while !wanted.is_empty() {
            let count = self.some(wanted, !beginning || !none_yet)?;
            if count == 0 {
                let between = beginning && none_yet;
                return if between { Ok(false) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
            none_yet = false;
            wanted = wanted.get_mut(count..).unwrap_or_default();
        }
        Ok(true)
    }

    /// Some bytes: from the buffer, which is wiped where it has been read, or from the stream.
    fn some(&mut self, wanted: &mut [u8], inside: bool) -> io::Result<usize> {
        if self.start == self.end {
            if inside {
                self.waiting.get_or_insert_with(Instant::now);
            }
            let end = self.waiting.map(|since| since + self.patience);
            if wanted.len() >= BUFFER {
                return read(&mut self.input, wanted, end);
            }
            self.start = 0;
            self.end = 0;
            self.end = read(&mut self.input, &mut self.buffer, end)?;
        }
        let there = self.buffer.get_mut(self.start..self.end).unwrap_or_default();
        let count = there.len().min(wanted.len());
        for (to, from) in wanted.iter_mut().zip(there) {
            *to = *from;
            from.zeroize();
        }
        self.start += count;
        Ok(count)
    }
}

/// Reads until there is something, or it is too late for it.
fn read(input: &mut impl Read, into: &mut [u8], end: Option<Instant>) -> io::Result<usize> {
    loop {
        let outcome = input.read(into);
        if end.is_some_and(|end| end <= Instant::now()) {
            return Err(ErrorKind::TimedOut.into());
        }
        match outcome.as_ref().map_err(io::Error::kind) {
            Err(ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            _ => return outcome,
        }
    }
}

fn bounded(len: [u8; 4], most: u32, what: &str) -> io::Result<usize> {
    let len = u32::from_be_bytes(len);
    let too_long = || {
        let why = format!("a frame whose {what} would have {len} bytes, more than {most}");
        io::Error::new(ErrorKind::InvalidData, why)
    };
    usize::try_from(len).ok().filter(|_| len <= most).ok_or_else(too_long)
}

/// An answer: begins with room for the header.
pub(crate) fn answer() -> Writer {
    let mut writer = Writer::default();
    writer.put(&[0; HEADER]);
    writer
}

/// The bytes of an answer, whose body has been written.
pub(crate) fn finished(code: u32, mut answer: Writer) -> Bytes {
    answer.patch(0, &code.to_be_bytes());
    let mut bytes = answer.into_bytes();
    let body = u32::try_from(bytes.len().saturating_sub(HEADER)).unwrap_or(u32::MAX);
    if let Some(place) = bytes.get_mut(8..HEADER) {
        place.copy_from_slice(&body.to_be_bytes());
    }
    bytes
}

/// Has an answer begin anew.
pub(crate) fn restart(answer: &mut Writer) {
    answer.truncate(HEADER);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A stream that gives a few bytes, and then is not ready for ever.
    struct Silent<'a>(&'a [u8]);

    impl Read for Silent<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { self.0.read(into) }
        }
    }

    #[test]
    fn who_falls_silent_inside_a_frame_is_not_waited_for() {
        let all = frame(16, b"client", b"body");
        for end in 1..all.len() {
            let mut frames = Frames::new(Silent(&all[..end]), Duration::from_millis(1));
            let error = frames.next(&Limits::default()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "after {end} bytes");
        }
        let error = Frames::new(Silent(&[]), Duration::from_millis(1)).first_byte().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "before the first byte");
        let mut slow = Frames::new(Slowly(&all, 1), Duration::ZERO);
        let error = slow.next(&Limits::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "byte after byte");
    }

    /// Not ready once before each byte.
    struct Hesitant<'a>(&'a [u8], bool);

    impl Read for Hesitant<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(ErrorKind::WouldBlock.into())
            } else {
                Slowly(self.0, 1).read(into).inspect(|count| self.0 = &self.0[*count..])
            }
        }
    }

    #[test]
    fn who_hesitates_is_waited_for() {
        let all = [frame(16, b"client", b"one"), frame(17, b"", b"two")].concat();
        let mut frames = Frames::new(Hesitant(&all, false), LONG);
        for body in [b"one", b"two"] {
            let frame = frames.next(&Limits::default()).unwrap().unwrap();
            assert_eq!(frame.body[..], body[..]);
        }
    }

    /// A stream that gives a few bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(into.len()).min(self.1);
            let (now, later) = self.0.split_at(count);
            into[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn frame(code: u32, options: &[u8], body: &[u8]) -> Vec<u8> {
        let lengths = [options.len(), body.len()].map(|len| u32::try_from(len).unwrap());
        let mut all = code.to_be_bytes().to_vec();
        all.extend(lengths.iter().flat_map(|len| len.to_be_bytes()));
        all.extend([options, body].concat());
        all
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let long = vec![9; 3 * BUFFER];
        let all =
            [frame(16, b"client", b"one"), frame(17, b"", b""), frame(18, b"x", &long)].concat();
        for piece in [1, 7, 12, 1000, BUFFER, all.len()] {
            let mut frames = Frames::new(Slowly(&all, piece), LONG);
            for (code, body) in [(16, b"one".as_slice()), (17, b""), (18, &long)] {
                let frame = frames.next(&Limits::default()).unwrap().unwrap();
                assert_eq!((frame.code, &frame.body[..]), (code, body));
            }
            assert!(frames.next(&Limits::default()).unwrap().is_none());
            assert!(frames.buffer.iter().all(|byte| *byte == 0), "what was read is wiped");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_an_error_wherever() {
        let all = frame(16, b"client", b"body");
        for end in 1..all.len() {
            let error = Frames::new(&all[..end], LONG).next(&Limits::default()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "after {end} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_limits_is_an_error_before_there_is_memory_for_it() {
        let limits = Limits::default();
        for (options, body) in [(limits.options + 1, 0), (0, limits.body + 1), (0, u32::MAX)] {
            let mut all = 16_u32.to_be_bytes().to_vec();
            all.extend([options, body].iter().flat_map(|len| len.to_be_bytes()));
            let error = Frames::new(&all[..], LONG).next(&limits).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn an_answer_has_its_code_no_options_and_its_length() {
        let mut writer = answer();
        writer.put(b"gone");
        restart(&mut writer);
        writer.put(b"body");
        assert_eq!(finished(0x10, writer)[..], frame(0x10, b"", b"body"));
    }
}
