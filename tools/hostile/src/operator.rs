//! The operator's wire: the daemon hears whatever the fuzzer made up. What it understands it understands
//! again when it is said in its own words.

use std::io::Write;
use std::os::unix::net::UnixStream;

use strongroom_operator::{Request, hear};

/// More than a socket takes at once nobody reads here, and the daemon reads no more either.
const MOST: usize = 64 << 10;

/// A line of these bytes, and what comes behind it.
pub(crate) fn run(data: &[u8]) {
    let Some(request) = heard(data.get(..MOST).unwrap_or(data)) else { return };
    if let Request::Unseal(opener) = &request {
        let _ = opener.bytes();
    }
    let said = said(&request);
    let again = heard(&said).expect("it is understood");
    assert_eq!(self::said(&again), said);
}

fn heard(bytes: &[u8]) -> Option<Request> {
    let (mut operator, daemon) = UnixStream::pair().expect("a pair of sockets");
    operator.write_all(bytes).expect("the socket takes so much");
    drop(operator);
    hear(&daemon).ok()
}

fn said(request: &Request) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).expect("a request can be said");
    line.push(b'\n');
    line
}
