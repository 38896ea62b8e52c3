//! The door for those who watch: HTTP/1.1, one request for each connection.
//!
//! ```sh
//! curl --unix-socket /run/strongroom/metrics.sock http://localhost/metrics
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use httparse::{EMPTY_HEADER, Request, Status};

use crate::connection::PATIENCE;
use crate::log::{Level, say};
use crate::peer::Peer;
use crate::server::Server;

/// The most bytes of a request, and the most headers.
const MOST: usize = 8 << 10;
const MOST_HEADERS: usize = 64;

/// What the text is, by the specification of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers one request.
pub(crate) fn run(server: &Server, stream: &UnixStream, peer: &Peer) {
    if let Err(error) = converse(server, stream) {
        say(
            Level::Warning,
            &format!("{peer}: wanted metrics, and the connection is closed: {error}"),
        );
    }
}

fn converse(server: &Server, mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(wish) = wish(stream)? else { return Ok(()) };
    let (status, kind, body) = match wish {
        Wish::Metrics => ("200 OK", OPENMETRICS, server.metrics.text(&server.now())),
        Wish::Other => ("404 Not Found", "text/plain", "It is at /metrics.\n".into()),
        Wish::Change => ("405 Method Not Allowed", "text/plain", "GET alone.\n".into()),
        Wish::Nonsense => ("400 Bad Request", "text/plain", "That is no HTTP.\n".into()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nAllow: GET\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes())
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Metrics,
    Other,
    Change,
    Nonsense,
}

/// Reads a request; nothing if there is none.
fn wish(mut stream: impl Read) -> io::Result<Option<Wish>> {
    let began = Instant::now();
    let mut head = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).map_err(slow)?;
        if read == 0 && head.is_empty() {
            return Ok(None);
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
        if let Some(wish) = understood(&head) {
            return Ok(Some(wish));
        }
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if began.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

fn slow(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// What a request is for; nothing if there is more to come.
fn understood(head: &[u8]) -> Option<Wish> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if head.len() < MOST => return None,
        _ => return Some(Wish::Nonsense),
    }
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Some(match (request.method, path) {
        (Some("GET"), "/metrics") => Wish::Metrics,
        (Some("GET"), _) => Wish::Other,
        _ => Wish::Change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wished(request: &[u8]) -> Option<Wish> {
        wish(request).unwrap()
    }

    #[test]
    fn metrics_are_at_one_place_and_can_be_read_alone() {
        let rest = "HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        let of = |asked: &str| wished(format!("{asked} {rest}").as_bytes());
        assert_eq!(of("GET /metrics"), Some(Wish::Metrics));
        assert_eq!(of("GET /metrics?name=x"), Some(Wish::Metrics));
        assert_eq!(of("GET /"), Some(Wish::Other));
        assert_eq!(of("POST /metrics"), Some(Wish::Change));
        assert_eq!(wished(b""), None);
    }

    #[test]
    fn what_is_no_request_is_told_so_or_cut_off() {
        assert_eq!(wished(b"\xff\xff\xff\xff\x01"), Some(Wish::Nonsense));
        assert_eq!(wished(b"strongroom\x01\x00\x00"), Some(Wish::Nonsense));
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2 * MOST));
        assert_eq!(wished(long.as_bytes()), Some(Wish::Nonsense));
        let half = wish(&b"GET /metrics HTTP/1.1\r\n"[..]).unwrap_err();
        assert_eq!(half.kind(), ErrorKind::UnexpectedEof);
    }
}
