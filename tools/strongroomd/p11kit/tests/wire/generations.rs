//! Each generation of the client, as it writes: 0.24 offers version 0, 0.25.0 to 0.25.5 offer 1,
//! later ones 2. What a version beyond these writes is not known; it is answered as 2.

use ed25519_dalek::{Signature, VerifyingKey};
use strongroom_p11kit::CALLS;
use strongroom_types::{Field, MechanismType, ck};
use tempfile::TempDir;

use crate::client::{Body, Client, Value, outcome};

// The standard's numbers, as the wire has them.
const BUFFER_TOO_SMALL: u64 = 0x150;
const ATTRIBUTE_SENSITIVE: u64 = 0x11;
const MECHANISM_INVALID: u64 = 0x70;
const PARAM_INVALID: u64 = 0x71;
const SESSION_HANDLE_INVALID: u64 = 0xB3;
const ARGUMENTS_BAD: u64 = 0x7;
const NOT_INITIALIZED: u64 = 0x190;
const ALREADY_INITIALIZED: u64 = 0x191;
const TEMPLATE_INCONSISTENT: u64 = 0xD1;
const ATTRIBUTE_VALUE_INVALID: u64 = 0x13;

const CKA_CLASS: u32 = 0;
const CKA_TOKEN: u32 = 1;
const CKA_LABEL: u32 = 3;
const CKA_VALUE: u32 = 0x11;
const CKA_SIGN: u32 = 0x108;
const CKA_DERIVE: u32 = 0x10C;
const CKA_VALUE_LEN: u32 = 0x161;
const CKA_KEY_TYPE: u32 = 0x100;
const CKA_DESTROYABLE: u32 = 0x172;
const CKA_EC_PARAMS: u32 = 0x180;
const CKA_EC_POINT: u32 = 0x181;
const CKA_WRAP_TEMPLATE: u32 = 0x4000_0211;
const CKA_ALLOWED_MECHANISMS: u32 = 0x4000_0600;

const CKM_EC_KEY_PAIR_GEN: u32 = 0x1040;
const CKM_ECDSA: u32 = 0x1041;
const CKM_ECDH1_DERIVE: u32 = 0x1050;
const CKM_EC_EDWARDS_KEY_PAIR_GEN: u32 = 0x1055;
const CKM_AES_KEY_GEN: u32 = 0x1080;
const CKM_AES_CBC: u32 = 0x1082;
const CKM_AES_GCM: u32 = 0x1087;
const CKM_SHA256: u32 = 0x250;
const CKM_IBM_ED25519_SHA512: u32 = 0x8001_001C;

const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const ED25519: &[u8] = &[0x06, 0x03, 0x2B, 0x65, 0x70];
const PIN: &[u8] = b"user-pin-1";

const VERSIONS: [u8; 4] = [0, 1, 2, 7];

/// A client with a read-write session in which the user is logged in.
struct Session {
    client: Client,
    handle: u64,
    _dir: TempDir,
}

impl Session {
    fn new(version: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut client = Client::new(dir.path(), version);
        let slots = client.call(4, "yfu", "au", &Body::new().y(0).room(9)).unwrap().au().unwrap();
        let slot = Body::new().u(slots[0]).ay(b"so-pin-1");
        let made = if version == 0 {
            // Up to a zero byte: less than a label here.
            client.call(9, "uayz", "", &slot.string(b"wire"))
        } else {
            client.call(88, "uays", "", &slot.string(format!("{:32}", "wire").as_bytes()))
        };
        made.unwrap().end();
        // The token has a slot with a number of its own now, which the query for the count shows.
        client.call(4, "yfu", "au", &Body::new().y(1).room(0)).unwrap();
        let slots = client.call(4, "yfu", "au", &Body::new().y(1).room(9)).unwrap().au().unwrap();
        let handle = client.call(10, "uu", "u", &Body::new().u(slots[0]).u(6)).unwrap().u();
        let login = |user: u64, pin: &[u8]| Body::new().u(handle).u(user).ay(pin);
        client.call(18, "uuay", "", &login(0, b"so-pin-1")).unwrap();
        client.call(14, "uay", "", &Body::new().u(handle).ay(PIN)).unwrap();
        client.call(19, "u", "", &Body::new().u(handle)).unwrap();
        client.call(18, "uuay", "", &login(1, PIN)).unwrap();
        Self { client, handle, _dir: dir }
    }

    fn version(&self) -> u8 {
        self.client.version
    }

    fn body(&self) -> Body {
        Body::new().u(self.handle)
    }

    fn pair(&mut self, mechanism: u32, curve: &[u8], ability: u32) -> (u64, u64) {
        let public = [(CKA_EC_PARAMS, Value::String(curve)), (CKA_TOKEN, Value::Byte(0))];
        let private = [(ability, Value::Byte(1)), (CKA_LABEL, Value::String(b"key"))];
        let body = self.body().plain(self.version(), mechanism);
        let body = body.template(&public).template(&private);
        let mut reply = self.client.call(59, "uMaAaA", "uu", &body).unwrap();
        let pair = (reply.u(), reply.u());
        reply.end();
        pair
    }

    fn aes(&mut self) -> u64 {
        let body = self.body().plain(self.version(), CKM_AES_KEY_GEN);
        let template = [(CKA_VALUE_LEN, Value::Ulong(16)), (CKA_LABEL, Value::String(b"aes"))];
        self.client.call(58, "uMaA", "u", &body.template(&template)).unwrap().u()
    }

    fn attribute(&mut self, object: u64, id: u32) -> Vec<u8> {
        let body = self.body().u(object).wanted(&[(id, 200)]);
        let mut reply = self.client.call(24, "uufA", "aAu", &body).unwrap();
        assert_eq!((reply.number(), reply.number(), reply.y()), (1, id, 1));
        let (len, value) = (reply.number(), reply.string());
        assert_eq!((usize::try_from(len), reply.u()), (Ok(value.len()), 0));
        value
    }
}

/// The calls as the public descriptions of the protocol have them: number, name, request, reply.
const KNOWN: &str = include_str!("calls.txt");

#[test]
fn the_calls_are_those_of_the_stock_client() {
    let ours: Vec<_> = CALLS
        .iter()
        .map(|call| {
            format!("{} {} ({}) ({})", call.id, call.name, call.request.concat(), call.reply)
        })
        .collect();
    assert_eq!(ours, KNOWN.lines().collect::<Vec<_>>());
}

#[test]
fn what_the_document_says_of_the_calls_is_what_the_table_says() {
    let document = include_str!("../../PROTOCOL.md");
    for call in CALLS {
        let (request, reply) = (call.request.concat(), call.reply);
        let row = format!("| {} | {} | `{request}` | `{reply}` |", call.id, call.name);
        assert!(document.contains(&row.replace(" `` ", " ")), "{row}");
    }
}

#[test]
fn the_standard_that_a_generation_can_call_is_told() {
    for (version, standard) in [(0, [2, 40]), (1, [3, 0]), (2, [3, 0]), (255, [3, 0])] {
        let dir = tempfile::tempdir().unwrap();
        let mut client = Client::new(dir.path(), version);
        let mut info = client.call(3, "", "vsusv", &Body::new()).unwrap();
        assert_eq!(info.raw(2), standard);
        assert_eq!(info.string(), format!("{:32}", "Strongroom").as_bytes());
    }
}

#[test]
fn keys_sign_and_verify() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let (public, private) = session.pair(CKM_EC_KEY_PAIR_GEN, P256, CKA_SIGN);
        let init = |session: &Session, key| session.body().plain(version, CKM_ECDSA).u(key);
        let body = init(&session, private);
        session.client.call(42, "uMu", "", &body).unwrap().end();

        // The length is asked for, then there is too little room, twice, then enough.
        for (room, answer) in [(0, Err(64)), (63, Err(64)), (u32::MAX, Err(64)), (64, Ok(64))] {
            let body = session.body().ay(&[5; 32]).room(room);
            let signed = session.client.call(43, "uayfy", "ay", &body).unwrap().ay();
            assert_eq!(signed.as_ref().map(Vec::len), answer.as_ref().copied(), "room {room}");
            if let Ok(signature) = signed {
                let body = init(&session, public);
                session.client.call(48, "uMu", "", &body).unwrap();
                let body = session.body().ay(&[5; 32]).ay(&signature);
                session.client.call(49, "uayay", "", &body).unwrap().end();
            }
        }
        // Without a mechanism, what is active ends.
        let body = init(&session, private);
        session.client.call(42, "uMu", "", &body).unwrap();
        let body = session.body().number(u32::MAX).u(0);
        session.client.call(42, "uMu", "", &body).unwrap();
        let body = session.body().ay(&[5; 32]).room(64);
        assert_eq!(session.client.call(43, "uayfy", "ay", &body).err(), Some(0x91));
    }
}

#[test]
fn parameters_travel_as_the_mechanism_has_them() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let key = session.aes();
        let iv = Body::new().string(&[1; 16]);
        let gcm = Body::new().string(&[2; 12]).u(96).string(b"associated").u(128);
        for (mechanism, parameter, len) in [(CKM_AES_CBC, &iv, 32), (CKM_AES_GCM, &gcm, 48)] {
            let start = session.body().with(version, mechanism, parameter).u(key);
            session.client.call(29, "uMu", "", &start).unwrap();
            let body = session.body().ay(&[7; 32]).room(100);
            let encrypted = session.client.call(30, "uayfy", "ay", &body).unwrap().ay().unwrap();
            assert_eq!(encrypted.len(), len);
            session.client.call(33, "uMu", "", &start).unwrap();
            let body = session.body().ay(&encrypted).room(100);
            let plain = session.client.call(34, "uayfy", "ay", &body).unwrap().ay().unwrap();
            assert_eq!(plain, [7; 32]);
        }

        let refused =
            |session: &mut Session, body: Body| session.client.call(29, "uMu", "", &body).err();
        let short = Body::new().string(&[1; 15]);
        let body = session.body().with(version, CKM_AES_CBC, &short).u(key);
        assert_eq!(refused(&mut session, body), Some(PARAM_INVALID));
        let body = session.body().with(version, 0x7FFF_0000, &short).u(key);
        assert_eq!(refused(&mut session, body), Some(MECHANISM_INVALID));
        if version >= 2 {
            // There is none, says the client; the mechanism needs one.
            let body = session.body().number(CKM_AES_CBC).y(0).u(key);
            assert_eq!(refused(&mut session, body), Some(PARAM_INVALID));
        } else {
            // One where there can be none.
            let body = session.body().number(CKM_SHA256).string(b"parameter");
            assert_eq!(session.client.call(37, "uM", "", &body).err(), Some(PARAM_INVALID));
        }
        let body = Body::new().u(99).with(version, CKM_AES_CBC, &short).u(key);
        assert_eq!(refused(&mut session, body), Some(SESSION_HANDLE_INVALID));
    }
}

#[test]
fn values_come_in_the_order_and_number_in_which_they_were_asked_for() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let key = session.aes();
        let wanted = [
            (CKA_LABEL, 3),
            (CKA_VALUE, 100),
            (CKA_CLASS, 8),
            (CKA_LABEL, 2),
            (CKA_DESTROYABLE, 1),
            (CKA_KEY_TYPE, 0),
            (CKA_LABEL, 0),
        ];
        let body = session.body().u(key).wanted(&wanted);
        let mut reply = session.client.call(24, "uufA", "aAu", &body).unwrap();
        let expected = Body::new()
            .number(7)
            .number(CKA_LABEL)
            .y(1)
            .number(3)
            .string(b"aes")
            .number(CKA_VALUE)
            .y(0)
            .number(CKA_CLASS)
            .y(1)
            .number(8)
            .u(4)
            .number(CKA_LABEL)
            .y(0)
            .number(CKA_DESTROYABLE)
            .y(1)
            .number(1)
            .string(&[1])
            .number(CKA_KEY_TYPE)
            .y(1)
            .number(8)
            .u(0)
            .number(CKA_LABEL)
            .y(1)
            .number(3)
            .number(u32::MAX);
        assert_eq!(reply.raw(expected.0.len()), expected.0);
        assert_eq!(reply.u(), ATTRIBUTE_SENSITIVE, "the graver of two");
        reply.end();

        let body = session.body().u(key).wanted(&[(CKA_LABEL, 2)]);
        let mut reply = session.client.call(24, "uufA", "aAu", &body).unwrap();
        assert_eq!((reply.raw(9).len(), reply.u()), (9, BUFFER_TOO_SMALL));
    }
}

#[test]
fn templates_and_lists_of_mechanisms_travel() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let body = session.body().plain(version, CKM_AES_KEY_GEN).number(3);
        let inner = Body::new().template(&[(CKA_SIGN, Value::Byte(0))]);
        let body = body
            .number(CKA_VALUE_LEN)
            .y(1)
            .number(8)
            .u(16)
            .number(CKA_ALLOWED_MECHANISMS)
            .y(1)
            .number(16)
            .number(2)
            .u(0x1082)
            .u(0x1087)
            .number(CKA_WRAP_TEMPLATE)
            .y(1)
            .number(24)
            .raw(&inner.0);
        let key = session.client.call(58, "uMaA", "u", &body).unwrap().u();

        let wanted = Body::new().number(2).number(CKA_ALLOWED_MECHANISMS).number(16);
        let wanted = wanted.number(CKA_WRAP_TEMPLATE).number(24);
        // The newest says what the attributes within have room for.
        let wanted = if version < 2 { wanted } else { wanted.wanted(&[(CKA_SIGN, 1)]) };
        let body = session.body().u(key).raw(&wanted.0);
        let mut reply = session.client.call(24, "uufA", "aAu", &body).unwrap();
        assert_eq!((reply.number(), reply.number(), reply.y()), (2, CKA_ALLOWED_MECHANISMS, 1));
        assert_eq!((reply.number(), reply.number()), (16, 2));
        assert_eq!([reply.u(), reply.u()], [0x1082, 0x1087]);
        assert_eq!((reply.number(), reply.y(), reply.number()), (CKA_WRAP_TEMPLATE, 1, 24));
        assert_eq!((reply.number(), reply.number(), reply.y()), (1, CKA_SIGN, 1));
        let value = (reply.number(), reply.y(), reply.u());
        assert_eq!(value, (1, 0, 0));
        reply.end();

        // Only their lengths.
        let body =
            session.body().u(key).wanted(&[(CKA_ALLOWED_MECHANISMS, 0), (CKA_WRAP_TEMPLATE, 0)]);
        let mut reply = session.client.call(24, "uufA", "aAu", &body).unwrap();
        let lengths = Body::new()
            .number(2)
            .number(CKA_ALLOWED_MECHANISMS)
            .y(1)
            .number(16)
            .number(0)
            .number(CKA_WRAP_TEMPLATE)
            .y(1)
            .number(24)
            .number(0)
            .u(0);
        assert_eq!(reply.raw(lengths.0.len()), lengths.0);

        // A template in a template in a template, as deep as a frame has room for.
        let mut deep = Body::new().number(0);
        for _ in 0..1000 {
            deep = Body::new().number(1).number(CKA_WRAP_TEMPLATE).y(1).number(24).raw(&deep.0);
        }
        let body = session.body().raw(&deep.0);
        assert_eq!(session.client.call(26, "uaA", "", &body).err(), Some(ATTRIBUTE_VALUE_INVALID));
    }
}

#[test]
fn objects_are_found_and_a_contradiction_is_told() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let keys = [session.aes(), session.aes(), session.aes()];
        let label = || (CKA_LABEL, Value::String(b"aes"));
        let body = session.body().template(&[label()]);
        session.client.call(26, "uaA", "", &body).unwrap();
        let mut found = Vec::new();
        for expected in [2, 1, 0] {
            let body = session.body().room(2);
            let some = session.client.call(27, "ufu", "au", &body).unwrap().au().unwrap();
            assert_eq!(some.len(), expected);
            found.extend(some);
        }
        found.sort_unstable();
        assert_eq!(found, keys);
        let body = session.body();
        session.client.call(28, "u", "", &body).unwrap();
        let other = (CKA_LABEL, Value::String(b"other"));
        let body = session.body().template(&[label(), other]);
        assert_eq!(session.client.call(26, "uaA", "", &body).err(), Some(TEMPLATE_INCONSISTENT));
    }
}

#[test]
fn keys_are_derived() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let (public, private) = session.pair(CKM_EC_KEY_PAIR_GEN, P256, CKA_DERIVE);
        let point = session.attribute(public, CKA_EC_POINT);
        let parameter = Body::new().u(1).number(u32::MAX).string(&point);
        let template = [
            (CKA_CLASS, Value::Ulong(4)),
            (CKA_KEY_TYPE, Value::Ulong(0x1F)),
            (CKA_VALUE_LEN, Value::Ulong(32)),
        ];
        let body = session.body().with(version, CKM_ECDH1_DERIVE, &parameter).u(private);
        let body = body.template(&template);
        let handle = if version < 2 {
            session.client.call(62, "uMuaA", "u", &body).unwrap().u()
        } else {
            let mut reply = session.client.call(89, "uMuaA", "uPu", &body).unwrap();
            // No error, and the parameter stays as it was.
            assert_eq!((reply.u(), reply.y()), (0, 1));
            let handle = reply.u();
            reply.end();
            handle
        };
        let body = session.body().u(handle);
        session.client.call(23, "uu", "u", &body).unwrap();
    }
}

#[test]
fn functions_of_version_3_are_there() {
    for version in [1, 2] {
        let mut session = Session::new(version);
        let (public, private) = session.pair(CKM_EC_KEY_PAIR_GEN, P256, CKA_SIGN);
        let body = session.body().plain(version, CKM_ECDSA).u(private);
        session.client.call(78, "uMu", "", &body).unwrap();
        let body = session.body().null().ay(&[3; 32]).room(64);
        let signature = session.client.call(79, "uayayfy", "ay", &body).unwrap().ay().unwrap();
        let body = session.body();
        session.client.call(82, "u", "", &body).unwrap();
        let body = session.body().plain(version, CKM_ECDSA).u(public);
        session.client.call(83, "uMu", "", &body).unwrap();
        let body = session.body().null().ay(&[3; 32]).ay(&signature);
        session.client.call(84, "uayayay", "", &body).unwrap().end();
        let body = session.body().ay(b"a parameter").ay(&[3; 32]).ay(&signature);
        assert_eq!(session.client.call(84, "uayayay", "", &body).err(), Some(PARAM_INVALID));
        // CKF_MESSAGE_VERIFY
        let body = session.body().u(1 << 4);
        session.client.call(67, "uu", "", &body).unwrap();
    }
}

#[test]
fn messages_with_addresses_for_parameters_are_refused() {
    let mut session = Session::new(2);
    let key = session.aes();
    let body = session.body().number(CKM_AES_GCM).y(0).u(key);
    session.client.call(68, "uMu", "", &body).unwrap();
    // CK_GCM_MESSAGE_PARAMS, as it lies in the client's memory.
    let body = session.body().ay(&[0x7F; 48]).ay(b"").ay(b"message").room(100);
    assert_eq!(session.client.call(69, "uayayayfy", "ay", &body).err(), Some(PARAM_INVALID));
}

#[test]
fn ed25519_is_reached_by_the_number_that_the_clients_know() {
    for version in VERSIONS {
        let mut session = Session::new(version);
        let (public, private) = session.pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, ED25519, CKA_SIGN);
        let body = session.body().plain(version, CKM_IBM_ED25519_SHA512).u(private);
        let started = session.client.call(42, "uMu", "", &body);
        if version == 0 {
            assert_eq!(started.err(), Some(MECHANISM_INVALID), "this generation does not know it");
            continue;
        }
        started.unwrap();
        let body = session.body().ay(b"message").room(64);
        let signature = session.client.call(43, "uayfy", "ay", &body).unwrap().ay().unwrap();
        let point = session.attribute(public, CKA_EC_POINT);
        let key = VerifyingKey::from_bytes(point[point.len() - 32..].try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        key.verify_strict(b"message", &signature).unwrap();
    }
}

#[test]
fn a_connection_begins_once_and_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::silent(dir.path(), 2);
    let info = |client: &mut Client| client.call(3, "", "vsusv", &Body::new()).map(drop);
    let greet = |client: &mut Client, greeting: &[u8]| {
        client.call(1, "ayyay", "", &Body::new().ay(greeting).y(0).ay(b"\0")).map(drop)
    };
    let greeting = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1";
    assert_eq!(info(&mut client), Err(NOT_INITIALIZED));
    assert_eq!(greet(&mut client, b"good day"), Err(0x30));
    assert_eq!(info(&mut client), Err(NOT_INITIALIZED));
    assert_eq!(greet(&mut client, greeting), Ok(()));
    assert_eq!(greet(&mut client, greeting), Err(ALREADY_INITIALIZED));
    assert_eq!(info(&mut client), Ok(()));
    assert_eq!(client.call(2, "", "", &Body::new()).map(drop), Ok(()));
    assert_eq!(info(&mut client), Err(NOT_INITIALIZED));
    assert_eq!(greet(&mut client, greeting), Err(NOT_INITIALIZED));
}

#[test]
fn sessions_that_can_not_be_had_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::new(dir.path(), 2);
    // CKF_RW_SESSION without CKF_SERIAL_SESSION; both with CKF_ASYNC_SESSION; and both.
    for (flags, refusal) in [(2, 0xB4), (0xE, 0x205), (6, 0xE1)] {
        let opened = client.call(10, "uu", "u", &Body::new().u(0).u(flags)).map(drop);
        assert_eq!(opened, Err(refusal), "{flags:#x}");
    }
}

#[test]
fn random_bytes_are_as_many_as_wanted_within_the_limit() {
    let mut session = Session::new(2);
    for (room, len) in [(0, 0), (u32::MAX, 0), (1, 1), (1 << 20, 1 << 20)] {
        let body = session.body().room(room);
        let random = session.client.call(64, "ufy", "ay", &body).unwrap().ay().unwrap();
        assert_eq!(random.len(), len);
    }
    for room in [(1 << 20) + 1, u32::MAX - 1] {
        let body = session.body().room(room);
        assert_eq!(session.client.call(64, "ufy", "ay", &body).err(), Some(ARGUMENTS_BAD));
    }
}

#[test]
fn a_session_does_not_wait_for_another_and_keeps_its_order() {
    let mut session = Session::new(2);
    let slot = {
        let body = session.body();
        session.client.call(13, "u", "uuuu", &body).unwrap().u()
    };
    let other = session.client.call(10, "uu", "u", &Body::new().u(slot).u(6)).unwrap().u();
    // A key that takes a while, and calls of the same session behind it.
    let public = [(0x121, Value::Ulong(4096)), (CKA_SIGN + 2, Value::Byte(1))];
    let slow = session.body().plain(2, 0).template(&public).template(&[(CKA_SIGN, Value::Byte(1))]);
    let slow = session.client.send(59, "uMaAaA", &slow);
    let body = session.body();
    let behind = [0; 3].map(|_| session.client.send(13, "u", &body));
    let quick = session.client.send(13, "u", &Body::new().u(other));
    let mut answers = Vec::new();
    for _ in 0..5 {
        let (code, answer) = session.client.receive();
        let (id, reply) = if code == slow { (59, "uu") } else { (13, "uuuu") };
        outcome(answer, id, reply).unwrap();
        answers.push(code);
    }
    assert_eq!(answers[0], quick, "done while the other session still works");
    assert_eq!(answers[1..], [[slow].as_slice(), &behind].concat());
}

#[test]
fn who_waits_for_a_slot_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::new(dir.path(), 2);
    let waiting = client.send(65, "u", &Body::new().u(0));
    client.call(3, "", "vsusv", &Body::new()).unwrap();
    let second = client.send(65, "u", &Body::new().u(0));
    let (code, answer) = client.receive();
    assert_eq!(code, second, "one at a time");
    assert_eq!(outcome(answer, 65, "u").err(), Some(0x6));
    // Hanging up ends the other one, or the server would not end.
    assert_ne!(waiting, second);
}

macro_rules! numbers {
    ($($name:ident)*) => { &[$((stringify!($name), ck!($name))),*] };
}

/// Mechanisms that the client never sends a parameter with.
const WITHOUT: &[(&str, u64)] = numbers! {
    CKM_RSA_PKCS_KEY_PAIR_GEN CKM_RSA_PKCS CKM_RSA_X_509 CKM_MD5_RSA_PKCS CKM_SHA1_RSA_PKCS
    CKM_SHA224_RSA_PKCS CKM_SHA256_RSA_PKCS CKM_SHA384_RSA_PKCS CKM_SHA512_RSA_PKCS
    CKM_EC_KEY_PAIR_GEN CKM_ECDSA CKM_ECDSA_SHA1 CKM_ECDSA_SHA224 CKM_ECDSA_SHA256
    CKM_ECDSA_SHA384 CKM_ECDSA_SHA512 CKM_DH_PKCS_KEY_PAIR_GEN CKM_GENERIC_SECRET_KEY_GEN
    CKM_AES_KEY_GEN CKM_AES_ECB CKM_AES_CMAC CKM_DES_KEY_GEN CKM_DES2_KEY_GEN CKM_DES3_KEY_GEN
    CKM_DES_ECB CKM_DES3_ECB CKM_DES3_CMAC CKM_MD5 CKM_MD5_HMAC CKM_SHA_1 CKM_SHA_1_HMAC
    CKM_SHA1_KEY_DERIVATION CKM_SHA224 CKM_SHA224_HMAC CKM_SHA224_KEY_DERIVATION CKM_SHA256
    CKM_SHA256_HMAC CKM_SHA256_KEY_DERIVATION CKM_SHA384 CKM_SHA384_HMAC
    CKM_SHA384_KEY_DERIVATION CKM_SHA512 CKM_SHA512_HMAC CKM_SHA512_KEY_DERIVATION
    CKM_SHA512_224 CKM_SHA512_224_HMAC CKM_SHA512_256 CKM_SHA512_256_HMAC
};

/// Mechanisms that it has a form for.
const WITH: &[(&str, u64)] = numbers! {
    CKM_RSA_PKCS_PSS CKM_SHA1_RSA_PKCS_PSS CKM_SHA224_RSA_PKCS_PSS CKM_SHA256_RSA_PKCS_PSS
    CKM_SHA384_RSA_PKCS_PSS CKM_SHA512_RSA_PKCS_PSS CKM_RSA_PKCS_OAEP CKM_ECDH1_DERIVE
    CKM_AES_CBC CKM_AES_CBC_PAD CKM_AES_OFB CKM_AES_CFB8 CKM_AES_CFB128 CKM_AES_CTR
    CKM_AES_GCM CKM_DES_CBC CKM_DES_CBC_PAD CKM_DES3_CBC CKM_DES3_CBC_PAD
    CKM_SHA_1_HMAC_GENERAL CKM_SHA224_HMAC_GENERAL CKM_SHA256_HMAC_GENERAL
    CKM_SHA384_HMAC_GENERAL CKM_SHA512_HMAC_GENERAL CKM_SHA512_224_HMAC_GENERAL
    CKM_SHA512_256_HMAC_GENERAL CKM_AES_CMAC_GENERAL CKM_DES3_CMAC_GENERAL CKM_DH_PKCS_DERIVE
};

/// What it sends with each of these: numbers (`u`) and strings (`s`).
fn form(name: &str) -> &'static str {
    match name {
        "CKM_RSA_PKCS_OAEP" => "uuus",
        "CKM_ECDH1_DERIVE" => "uss",
        "CKM_AES_CTR" => "us",
        "CKM_AES_GCM" => "susu",
        _ if name.ends_with("_PSS") => "uuu",
        _ if name.ends_with("_GENERAL") => "u",
        _ => "s",
    }
}

#[test]
fn the_layouts_of_mechanisms_are_what_the_client_sends() {
    let layouts = |id: u64| strongroom_token::layouts(MechanismType(id));
    for (name, id) in WITHOUT {
        let known = layouts(*id).unwrap_or_else(|| panic!("{name} is not here"));
        assert!(known.iter().all(|layout| layout.is_empty()), "{name}");
    }
    for (name, id) in WITH {
        let known = layouts(*id).unwrap_or_else(|| panic!("{name} is not here"));
        let first = known.iter().find(|layout| !layout.is_empty()).unwrap();
        let sent: String = first
            .iter()
            .map(|field| match field {
                Field::Ulong => 'u',
                Field::PtrLen | Field::LenPtr | Field::Whole | Field::Fixed(_) => 's',
                other => panic!("{name} has a member that does not travel: {other:?}"),
            })
            .collect();
        assert_eq!(sent, form(name), "{name}");
    }
}
