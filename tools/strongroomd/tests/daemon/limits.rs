//! Limits that an operator sets, and what hostile callers do at the door of p11-kit's client.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use strongroom_functions::{Cryptoki, Remote};
use strongroom_types::Error;

use crate::world::{Caller, Daemon, hung_up, over_p11kit, slot, token};

#[test]
fn an_application_has_so_many_sessions_and_leaves_the_rest_to_others() {
    let daemon = Daemon::start("sessions = 5\napplication_sessions = 2");
    token(&daemon);
    let greedy = daemon.connect();
    let other = daemon.connect();
    let open = |caller: &Caller| Remote::new(caller).open_session(slot(caller), false);
    let first = open(&greedy).unwrap();
    open(&greedy).unwrap();
    assert_eq!(open(&greedy), Err(Error::SessionCount));
    open(&other).expect("another application has its own");
    Remote::new(&greedy).close_session(first).unwrap();
    open(&greedy).expect("a place is free again");
}

/// A connection to the door of p11-kit's client, which has offered this version of the wire.
fn p11kit(daemon: &Daemon, version: u8) -> UnixStream {
    let mut stream = UnixStream::connect(daemon.dir.path().join("p11kit.sock")).unwrap();
    stream.write_all(&[version]).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

#[test]
fn what_hostile_callers_send_to_the_door_of_p11_kit_harms_nobody_else() {
    let daemon = Daemon::start("p11kit = 'p11kit.sock'\nframe = 65536\nidle = 1");
    daemon.says("for the client of p11-kit");
    token(&daemon);
    let good = daemon.connect();
    // With a session it is not idle.
    Remote::new(&good).open_session(slot(&good), false).unwrap();
    let fine = || Remote::new(&good).info().expect("the good one is served");

    let mut garbage = p11kit(&daemon, 0xff);
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(hung_up(garbage), "garbage for a frame");
    fine();

    let frame = |body: u32| {
        let words = [16, 0, body];
        words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect::<Vec<u8>>()
    };
    for len in [u32::MAX, 65537] {
        let mut huge = p11kit(&daemon, 0);
        huge.write_all(&frame(len)).unwrap();
        assert!(hung_up(huge), "a body of {len} bytes");
        daemon.says(&format!("would have {len} bytes, more than 65536"));
    }
    fine();

    let mut odd = p11kit(&daemon, 0);
    odd.write_all(&[frame(4), vec![0xff; 4]].concat()).unwrap();
    let mut answer = [0; 12];
    odd.read_exact(&mut answer).expect("a request that makes no sense is answered");

    let mut quiet = p11kit(&daemon, 0);
    let silent = UnixStream::connect(daemon.dir.path().join("p11kit.sock")).unwrap();
    let mut half = p11kit(&daemon, 0);
    half.write_all(&frame(100)).unwrap();
    half.write_all(&[0; 99]).unwrap();
    fine();
    assert!(hung_up(half), "half a frame");
    assert!(hung_up(silent), "no version");
    fine();
    quiet.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let kind = quiet.read(&mut [0]).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::WouldBlock, "who is silent between frames is let be");
    let listed = over_p11kit(&daemon, &["--list-objects"]);
    assert!(!listed.contains("error"), "{listed}");
}
