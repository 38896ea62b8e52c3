//! Limits that an operator sets, and what hostile callers do at the door of p11-kit's client.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use strongroom_functions::frame::{Hello, Refusal, VERSION, Welcome, Wish};
use strongroom_functions::{Cryptoki, Remote};
use strongroom_operator::{Answer, Request, ask};
use strongroom_types::{
    Attributes, Error, MechanismCall, MechanismType, ObjectHandle, Param, Params, Room,
    SessionHandle, attribute, ck, mechanism,
};

use crate::world::{Caller, Daemon, LONG, Mute, hung_up, over_p11kit, slot, stranger, token};

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

#[test]
fn a_user_has_so_many_connections_and_leaves_the_rest_to_others() {
    let daemon = Daemon::start("connections = 4\nuser_connections = 2\nusers = [65534]");
    // The connection that showed that the daemon is there may still be open to it.
    let start = Instant::now();
    let mut callers = Vec::new();
    while callers.len() < 2 {
        assert!(start.elapsed() < LONG);
        callers.extend(daemon.ask(Wish::Found(0)).ok());
    }
    assert_eq!(daemon.ask(Wish::Found(0)).err(), Some(Refusal::Full));
    daemon.says("2 connections of this user are open");
    if rustix::process::geteuid().is_root() {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let hello = Hello { version: VERSION, wish: Wish::Found(0) }.encode();
        assert!(matches!(stranger(&daemon, &nobody, &hello), Welcome::Served(_)));
    }
    let status = ask(&daemon.dir.path().join("operator.sock"), &Request::Status);
    assert!(matches!(status, Ok(Answer::Done(_))), "the operator comes in all the same");
}

/// A mechanism with this parameter.
fn mechanism(mechanism: MechanismType, params: impl IntoIterator<Item = Param>) -> MechanismCall {
    MechanismCall { mechanism, params: params.into_iter().collect() }
}

#[test]
fn an_operation_keeps_so_much_and_no_more() {
    const MOST: usize = 64 << 10;
    let daemon = Daemon::start(&format!("operation = {MOST}"));
    token(&daemon);
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    assert_eq!(remote.generate_random(session, MOST).unwrap().len(), MOST);
    assert_eq!(remote.generate_random(session, MOST + 1).map(drop), Err(Error::DeviceMemory));
    assert_eq!(remote.generate_random(session, 1 << 30).map(drop), Err(Error::DeviceMemory));

    let mut key = Attributes::default();
    key.set(attribute::CLASS, ck!(CKO_SECRET_KEY));
    key.set(attribute::KEY_TYPE, ck!(CKK_AES));
    key.set(attribute::PRIVATE, false);
    for may in [attribute::ENCRYPT, attribute::DECRYPT] {
        key.set(may, true);
    }
    key.set(attribute::VALUE, [7; 16].as_slice());
    let key = remote.create_object(session, key).unwrap();
    let bytes = |bytes: &[u8]| Param::from(bytes);
    let gcm = [bytes(&[1; 12]), bytes(b""), Param::Ulong(128)];
    let gcm = mechanism(mechanism!(CKM_AES_GCM).0, gcm);
    // The tag comes last, so nothing is given out before it.
    let part = [0; MOST / 2];
    let add = || remote.decrypt_update(session, &part, Room::Bytes(MOST));
    remote.decrypt_init(session, Some(gcm), key).unwrap();
    assert!((0..2).all(|_| add().is_ok()));
    assert_eq!(add().map(drop), Err(Error::DeviceMemory));
    assert_eq!(add().map(drop), Err(Error::OperationNotInitialized), "it is over");

    // What is kept nowhere may be as long as it likes.
    let sha256 = mechanism(mechanism!(CKM_SHA256).0, []);
    remote.digest_init(session, Some(sha256)).unwrap();
    assert!((0..8).all(|_| remote.digest_update(session, &part).is_ok()));
    remote.digest_final(session, Room::Bytes(32)).unwrap();
}

/// A data object of a session, with a value of this length: who has no PIN can make one.
fn data(len: usize) -> Attributes {
    let mut data = Attributes::default();
    data.set(attribute::CLASS, ck!(CKO_DATA));
    data.set(attribute::PRIVATE, false);
    data.set(attribute::VALUE, vec![7; len].as_slice());
    data
}

/// The most memory that the daemon has had at once, in MiB.
fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn one_call_gives_so_much_and_no_more() {
    let daemon = Daemon::start("");
    token(&daemon);
    let (caller, before) = (daemon.connect(), peak(&daemon));
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    let object = remote.create_object(session, data(8 << 20)).unwrap();
    let read = |times: usize| {
        let values = remote.attributes(session, object, &[attribute::VALUE.info.id].repeat(times));
        values.map(|values| values.len())
    };
    for times in [8, 100, 4096] {
        assert_eq!(read(times), Err(Error::DeviceMemory), "{times} of 8 MiB each");
    }
    assert_eq!(read(4097), Err(Error::ArgumentsBad), "so many are not in a template");
    assert!(peak(&daemon) - before < 100, "{} MiB", peak(&daemon));
    assert_eq!(read(1), Ok(1), "the object is as it was");
    assert_eq!(read(7), Ok(7));
}

/// What the daemons below let an application keep, and the parts that it comes in.
const ROOM: usize = 4 << 20;
const PART: usize = 256 << 10;

#[test]
fn an_application_keeps_so_much_and_leaves_the_rest_to_others() {
    let memory = format!("memory = {}\napplication_memory = {ROOM}", 9 << 20);
    let daemon = Daemon::start(&memory);
    token(&daemon);
    let before = peak(&daemon);
    let open = |caller: &Caller| Remote::new(caller).open_session(slot(caller), true).unwrap();
    let make = |caller: &Caller, session| Remote::new(caller).create_object(session, data(PART));
    // Objects as long as there is room for them.
    let fill = |caller: &Caller, session| {
        let made: Vec<_> = (0..64).map_while(|_| make(caller, session).ok()).collect();
        assert_eq!(make(caller, session), Err(Error::DeviceMemory));
        made
    };
    let [greedy, other] = [(); 2].map(|()| daemon.connect());
    let (remote, session, theirs) = (Remote::new(&greedy), open(&greedy), open(&other));
    let objects = fill(&greedy, session);
    assert_eq!(objects.len(), 15, "with what else there is of them");
    let mut longer = Attributes::default();
    longer.set(attribute::LABEL, vec![7; 2 * PART].as_slice());
    let changed = remote.set_attributes(session, objects[0], longer);
    assert_eq!(changed, Err(Error::DeviceMemory), "an object that grows");
    let search = remote.find_objects_init(session, data(PART));
    let found = search.and_then(|()| remote.find_objects(session, 9));
    assert_eq!(found, Err(Error::DeviceMemory), "a search for much");

    assert_eq!(fill(&other, theirs).len(), 15, "another has its own");
    let third = daemon.connect();
    assert_eq!(fill(&third, open(&third)).len(), 5, "what there is for all");
    for (caller, session) in [(&greedy, session), (&other, theirs)] {
        let sha256 = mechanism(mechanism!(CKM_SHA256).0, []);
        Remote::new(caller).digest_init(session, Some(sha256)).unwrap();
        Remote::new(caller).digest(session, &[0; PART], Room::Bytes(32)).unwrap();
    }

    // Whatever ends an object gives its room back.
    remote.destroy_object(session, objects[0]).unwrap();
    make(&greedy, session).expect("one was destroyed");
    remote.close_session(session).unwrap();
    assert_eq!(fill(&greedy, open(&greedy)).len(), 15, "the session was closed");
    drop((other, third));
    let (start, last, mut made) = (Instant::now(), daemon.connect(), 0);
    let session = open(&last);
    while made < 15 {
        assert!(start.elapsed() < LONG, "two have ended");
        made += usize::from(make(&last, session).is_ok());
    }
    assert!(peak(&daemon) - before < 24, "{} MiB", peak(&daemon));
}

/// A secret key for AES, and a key pair for Ed25519 of which this is the public one, of a session.
fn keys(remote: &Remote<&Caller>, session: SessionHandle) -> [ObjectHandle; 2] {
    let template = || {
        let mut template = Attributes::default();
        template.set(attribute::PRIVATE, false);
        template
    };
    let (mut secret, mut public) = (template(), template());
    secret.set(attribute::VALUE_LEN, 32);
    public.set(attribute::EC_PARAMS, [0x06, 0x03, 0x2b, 0x65, 0x70].as_slice());
    let aes = mechanism(mechanism!(CKM_AES_KEY_GEN).0, []);
    let pair = mechanism(mechanism!(CKM_EC_EDWARDS_KEY_PAIR_GEN).0, []);
    let pair = remote.generate_key_pair(session, pair, public, template()).unwrap();
    [remote.generate_key(session, aes, secret).unwrap(), pair.0]
}

#[test]
fn what_operations_keep_counts_too() {
    let daemon = Daemon::start(&format!("application_memory = {ROOM}"));
    token(&daemon);
    let (caller, part) = (daemon.connect(), vec![7; PART]);
    let (slot, remote) = (slot(&caller), Remote::new(&caller));
    let open = || remote.open_session(slot, true).unwrap();
    let [aes, ed25519] = keys(&remote, open());
    let bytes = |len: usize| Param::Bytes(vec![1; len].into());
    let eddsa = || Some(mechanism(mechanism!(CKM_EDDSA).0, []));
    let sha256 = || Some(mechanism(mechanism!(CKM_SHA256).0, []));
    let gcm = || {
        let params = [bytes(12), bytes(0), Param::Ulong(128)];
        Some(mechanism(mechanism!(CKM_AES_GCM).0, params))
    };
    let message = || {
        let generator = Param::Ulong(ck!(CKG_NO_GENERATE));
        [bytes(12), Param::Ulong(0), generator, bytes(16)].into_iter().collect::<Params>()
    };
    let next = |session, room| {
        remote.decrypt_message_next(session, message(), &part, false, room).map(drop)
    };

    type Call<'a> = &'a dyn Fn(SessionHandle) -> strongroom_types::Result<()>;
    let rows: &[(&str, Call<'_>, Call<'_>, usize)] = &[
        (
            "a decryption whose tag comes last",
            &|session| remote.decrypt_init(session, gcm(), aes),
            &|session| remote.decrypt_update(session, &part, Room::Bytes(PART)).map(drop),
            15,
        ),
        (
            "a verification that needs its data twice",
            &|session| remote.verify_init(session, eddsa(), ed25519),
            &|session| remote.verify_update(session, &part),
            15,
        ),
        (
            "the same of a message",
            &|session| {
                remote.message_verify_init(session, eddsa(), ed25519)?;
                remote.verify_message_begin(session)
            },
            &|session| remote.verify_message_next(session, &part, None),
            15,
        ),
        (
            "a message that is decrypted, of whose parts the length is asked first",
            &|session| {
                let no_params = mechanism(mechanism!(CKM_AES_GCM).0, []);
                remote.message_decrypt_init(session, Some(no_params), aes)?;
                remote.decrypt_message_begin(session, message(), &[]).map(drop)
            },
            &|session| next(session, Room::Query).and_then(|()| next(session, Room::Bytes(PART))),
            15,
        ),
        (
            "an encryption, which gives out what it takes in",
            &|session| remote.encrypt_init(session, gcm(), aes),
            &|session| remote.encrypt_update(session, &part, Room::Bytes(PART)).map(drop),
            20,
        ),
        (
            "a digest",
            &|session| remote.digest_init(session, sha256()),
            &|session| remote.digest_update(session, &part),
            20,
        ),
    ];
    for (what, start, add, most) in rows {
        let session = open();
        start(session).expect(what);
        let added = (0..20).map_while(|_| add(session).ok()).count();
        assert_eq!(added, *most, "{what}");
        // What failed is over, and what a session was at ends with it: all of it is free again.
        let other = open();
        start(other).expect(what);
        (0..15).for_each(|_| add(other).expect(what));
        remote.close_session(other).unwrap();
        let object = remote.create_object(session, data(15 * PART)).expect(what);
        remote.destroy_object(session, object).unwrap();
        remote.close_session(session).unwrap();
    }
}

#[test]
fn answers_that_nobody_takes_count_too() {
    let daemon = Daemon::start(&format!("frame = 65536\napplication_memory = {ROOM}"));
    token(&daemon);
    let (caller, other) = (daemon.connect(), daemon.connect());
    let open = |caller: &Caller| Remote::new(caller).open_session(slot(caller), true).unwrap();
    let (session, theirs) = (open(&caller), open(&other));
    let random = || Remote::new(&caller).generate_random(session, ROOM / 2).map(drop);
    let lasts = |outcome| {
        let start = Instant::now();
        while random() != outcome {
            assert!(start.elapsed() < LONG);
        }
    };
    lasts(Ok(()));
    let mute: Vec<_> =
        (0..9).map(|_| daemon.ask(Wish::Join(caller.secret())).expect("served")).collect();
    for one in &mute {
        // More than lies between two ends of a socket.
        Remote::new(Mute(one)).generate_random(session, ROOM / 2 - 1).unwrap_err();
    }
    lasts(Err(Error::DeviceMemory));
    assert_eq!(Remote::new(&caller).generate_random(session, 1000).map(drop), Ok(()), "is little");
    let theirs = Remote::new(&other).generate_random(theirs, ROOM / 2).map(drop);
    assert_eq!(theirs, Ok(()), "of another application");
    drop(mute);
    lasts(Ok(()));
}

#[test]
fn a_parameter_is_held_to_the_layout_of_its_mechanism() {
    let daemon = Daemon::start("");
    token(&daemon);
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), true).unwrap();
    for params in [
        vec![Param::Ulong(7)],
        vec![Param::Bytes(vec![0; 16].into())],
        vec![Param::Structures(vec![Params::NONE; 4096])],
    ] {
        let sha256 = mechanism(mechanism!(CKM_SHA256).0, params);
        let refused = remote.digest_init(session, Some(sha256));
        assert_eq!(refused, Err(Error::MechanismParamInvalid), "it has none");
    }
    let template = || {
        let mut template = Attributes::default();
        template.set(attribute::PRIVATE, false);
        template
    };
    let hollow = mechanism(mechanism!(CKM_EC_KEY_PAIR_GEN).0, [Param::Structure(Params::NONE)]);
    let refused = remote.generate_key_pair(session, hollow, template(), template());
    assert_eq!(refused.map(drop), Err(Error::MechanismParamInvalid));
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
