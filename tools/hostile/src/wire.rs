//! The wire between the module and the daemon, both ways at once: a request is read, called on the
//! client, which writes it again for a daemon that answers with whatever the fuzzer made up. What is
//! understood has one form, so it must come out as it went in.

use std::time::Duration;

use strongroom_functions::frame::{Hello, Inbox, VERSION, Welcome};
use strongroom_functions::{Broken, Remote, Transport, refusal, serve};
use strongroom_types::{Bytes, Error};

/// The request that only ends waits: nobody looks at what comes of it.
const END_WAITS: &[u8] = &[1, 0x80];

/// The far end of a connection.
struct Mirror<'a> {
    request: &'a [u8],
    answer: &'a [u8],
}

impl Transport for Mirror<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        assert_eq!(request, self.request);
        Ok(Bytes::new(self.answer.to_vec()))
    }
}

/// A request and an answer of these bytes, and greetings and frames of what is in them.
pub(crate) fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (request, answer) = rest.split_at(length);
    call(request, answer);
    greet(rest);
    cut(rest);
}

fn call(request: &[u8], answer: &[u8]) {
    let Ok(read) = serve(&Remote::new(Mirror { request, answer }), request) else { return };
    // The client says so of an answer that it does not understand.
    if request.starts_with(END_WAITS) || read.starts_with(&refusal(Error::GeneralError)) {
        return;
    }
    // A reason that nobody wanted is left out.
    assert!(answer.starts_with(&read), "{answer:?} became {:?}", &read[..]);
}

fn greet(frame: &[u8]) {
    if let Ok(hello) = Hello::decode(frame) {
        assert!(hello.version != VERSION || hello.encode()[..] == *frame);
    }
    if let Ok(welcome) = Welcome::decode(frame) {
        assert_eq!(welcome.encode()[..], *frame);
    }
}

/// Frames out of a stream are not larger than they may be, and no more than there is.
fn cut(mut stream: &[u8]) {
    const MOST: usize = 1000;
    let all = stream.len();
    let mut inbox = Inbox::default();
    let mut taken = 0;
    while let Ok(Some(frame)) = inbox.frame(&mut stream, MOST, Duration::MAX) {
        assert!(frame.len() <= MOST);
        taken += 4 + frame.len();
        assert!(taken <= all);
    }
}
