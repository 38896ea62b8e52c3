//! The log: who was refused what, and why, over both wires.

use strongroom_functions::frame::{Hello, Refusal, VERSION, Wish, send};
use strongroom_functions::{Cryptoki, Remote};
use strongroom_types::{Attributes, Error, SlotId};

use crate::world::{Daemon, PIN, SO_PIN, slot, token, tool_over_p11kit};

#[test]
fn refused_calls_are_in_the_log_with_their_reasons() {
    let daemon = Daemon::start("p11kit = 'p11kit.sock'\n[log]\nlevel = 'debug'");
    token(&daemon);
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    let refused = remote.create_object(session, Attributes::default());
    assert_eq!(refused, Err(Error::TemplateIncomplete));
    daemon.says(&format!(
        "): C_CreateObject: session {}: CKA_CLASS is missing (CKR_TEMPLATE_INCOMPLETE)",
        session.0
    ));
    let nowhere = remote.open_session(SlotId(4711), true);
    assert_eq!(nowhere, Err(Error::SlotIdInvalid));
    daemon.says("): C_OpenSession: there is no such slot (CKR_SLOT_ID_INVALID)");

    assert!(!tool_over_p11kit(&daemon, "7654321", &["--list-objects"]).status.success());
    daemon.says("(pkcs11-tool): C_Login: session ");
    daemon.says(" (CKR_PIN_INCORRECT)");
    let log = daemon.log();
    for pin in [PIN, SO_PIN, b"7654321"] {
        assert!(!log.contains(std::str::from_utf8(pin).unwrap()), "{log}");
    }
}

#[test]
fn what_a_caller_may_not_have_is_for_a_log_of_everything() {
    let mut daemon = Daemon::start("");
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    assert_eq!(remote.open_session(SlotId(4711), true), Err(Error::SlotIdInvalid));
    drop(caller);
    daemon.signal(rustix::process::Signal::TERM);
    daemon.stops();
    assert!(!daemon.log().contains("C_OpenSession"), "{}", daemon.log());
}

#[test]
fn who_is_not_served_is_in_the_log() {
    let daemon = Daemon::start("");
    assert_eq!(daemon.ask(Wish::Join([0; 16])).err(), Some(Refusal::Application));
    daemon.says("): is refused: it wants to join an application that is not here");
    let mut stream = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    send(&mut stream, &Hello { version: VERSION + 1, wish: Wish::Found(0) }.encode()).unwrap();
    daemon.says("): is refused: it speaks another version of the protocol");
}
