//! What no client sends: frames that are cut off, damaged, or made of nothing.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Mutex;

use strongroom_functions::Cryptoki;
use strongroom_p11kit::{CALLS, Call, Limits, Module, serve};
use strongroom_token::Application;
use strongroom_types::reason::Sentence;
use strongroom_types::{SessionHandle, UserType};

use crate::client::{Body, Client, Reply, application, outcome};

const DEVICE_ERROR: u64 = 0x30;
const GENERAL_ERROR: u64 = 0x5;
const NOT_SUPPORTED: u64 = 0x54;
const PARAM_INVALID: u64 = 0x71;

/// An application whose user is logged in, with a session and a key.
struct Prepared {
    application: Application,
    session: u64,
    key: u64,
    /// What was said of calls that came to nothing.
    told: Mutex<Vec<String>>,
}

impl Prepared {
    fn new(dir: &Path) -> Self {
        let application = application(dir);
        let slot = application.slot_list(false, true).unwrap()[0];
        application.init_token(slot, b"so-pin-1", &[b't'; 32]).unwrap();
        let slot = application.slot_list(true, true).unwrap()[0];
        let session = application.open_session(slot, true).unwrap();
        application.login(session, UserType::SECURITY_OFFICER, b"so-pin-1").unwrap();
        application.init_pin(session, b"user-pin-1").unwrap();
        application.logout(session).unwrap();
        application.login(session, UserType::USER, b"user-pin-1").unwrap();
        Self { application, session: session.0, key: 0, told: Mutex::default() }.with_key()
    }

    /// A key, made over the wire.
    fn with_key(mut self) -> Self {
        let body = Body::new().u(self.session).number(0x1080).number(1);
        let body = body.number(0x161).y(1).number(8).u(16);
        let made = self.serve(2, &[frame(58, "uMaA", &body)]).1.remove(0);
        self.key = outcome(made, 58, "u").unwrap().u();
        self
    }

    /// Serves a client that sends these bodies and hangs up; gives how that ended, and the answers.
    fn serve(&self, version: u8, bodies: &[Vec<u8>]) -> (Option<ErrorKind>, Vec<Reply>) {
        let greeting = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1";
        let greeting = frame(1, "ayyay", &Body::new().ay(greeting).y(0).ay(b"\0"));
        let mut sent = vec![version];
        for body in [greeting].iter().chain(bodies) {
            let length = u32::try_from(body.len()).unwrap();
            sent.extend(Body::new().number(16).number(0).number(length).raw(body).0);
        }
        let (ended, mut answers) = self.serve_raw(&sent);
        outcome(answers.remove(0), 1, "").unwrap();
        (ended, answers)
    }

    fn serve_raw(&self, sent: &[u8]) -> (Option<ErrorKind>, Vec<Reply>) {
        let mut answers = Vec::new();
        let module = Module {
            application: &self.application,
            layouts: strongroom_token::layouts,
            refused: &|function, error, account| {
                let sentence = Sentence { function, account, outcome: Err(error) };
                self.told.lock().unwrap().push(sentence.to_string());
            },
        };
        // One worker, so that answers come in the order of the calls.
        let limits = Limits { workers: 1, ..Limits::default() };
        let ended = serve(sent, &mut answers, module, &limits);
        let mut all = Reply(answers, 0);
        all.y();
        let mut replies = Vec::new();
        while all.1 < all.0.len() {
            all.raw(8);
            replies.push(Reply(all.string(), 0));
        }
        (ended.err().map(|error| error.kind()), replies)
    }

    /// Arguments that fit a call's signature.
    fn arguments(&self, call: &Call, version: u8) -> Body {
        call.request.iter().enumerate().fold(Body::new(), |body, (index, part)| match *part {
            "u" if index == 0 && call.of_session => body.u(self.session),
            "u" => body.u(self.key),
            "y" => body.y(1),
            "ay" if call.id == 1 => body.ay(b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"),
            "ay" => body.ay(&[8; 16]),
            "fy" | "fu" => body.room(40),
            "z" | "s" => body.string(&[b'l'; 32]),
            // AES-CBC.
            "M" => body.with(version, 0x1082, &Body::new().string(&[1; 16])),
            "aA" => {
                let inner = Body::new().number(1).number(0x108).y(1).number(1).y(1);
                body.number(4)
                    .number(0)
                    .y(1)
                    .number(8)
                    .u(4)
                    .number(3)
                    .y(1)
                    .number(2)
                    .string(b"ab")
                    .number(0x4000_0600)
                    .y(1)
                    .number(8)
                    .number(1)
                    .u(0x1082)
                    .number(0x4000_0211)
                    .y(1)
                    .number(24)
                    .raw(&inner.0)
            }
            "fA" => body.number(2).number(3).number(10).number(0).number(8),
            other => panic!("no such part of a signature: {other}"),
        })
    }
}

#[test]
fn what_comes_to_nothing_is_told_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    let key = Body::new().u(prepared.session).number(0x1080).number(1);
    let key = key.number(0x161).y(1).number(8).u(5);
    prepared.serve(2, &[frame(58, "uMaA", &key), frame(4711, "", &Body::new())]);
    let told = prepared.told.into_inner().unwrap();
    let [key, unknown] = &told[..] else { panic!("{told:?}") };
    let session = prepared.session;
    assert_eq!(
        *key,
        format!(
            "C_GenerateKey: session {session}: CKA_VALUE_LEN is no length of a new key of this type \
             (CKR_ATTRIBUTE_VALUE_INVALID)"
        )
    );
    assert_eq!(
        unknown,
        "a call that is not understood: the token does not support the function \
         (CKR_FUNCTION_NOT_SUPPORTED)"
    );
}

fn frame(id: u32, signature: &str, arguments: &Body) -> Vec<u8> {
    Body::new().number(id).string(signature.as_bytes()).raw(&arguments.0).0
}

/// The error of an answer; 0 if it is none.
fn error(mut answer: Reply) -> u64 {
    if answer.number() != 0 {
        return 0;
    }
    assert_eq!(answer.string(), b"u");
    answer.u()
}

/// Calls that would take the session away from those behind them, or make attempts slower.
fn disturbs(call: &Call) -> bool {
    let names = ["Initialize", "Finalize", "InitToken", "CloseSession", "CloseAll", "PIN", "Log"];
    names.iter().any(|name| call.name.contains(name))
}

#[test]
fn arguments_that_are_cut_off_anywhere_or_too_long_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    // Of two calls that wait for a slot, the second one may be refused because of the first.
    let calls = || CALLS.iter().filter(|call| call.name != "C_WaitForSlotEvent");
    for version in [0, 2] {
        for call in calls() {
            let whole = prepared.arguments(call, version).0;
            let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
            let long = [whole.as_slice(), &[0]].concat();
            let bodies: Vec<_> = cut
                .chain([long])
                .map(|arguments| frame(call.id, &call.request.concat(), &Body(arguments)))
                .collect();
            let (ended, answers) = prepared.serve(version, &bodies);
            assert_eq!((ended, answers.len()), (None, bodies.len()), "{}", call.name);
            for (end, answer) in answers.into_iter().enumerate() {
                let error = error(answer);
                // A parameter that the mechanism of messages can not have is refused on sight.
                let on_sight = ["C_MessageEncryptInit", "C_MessageDecryptInit"];
                let refused = error == PARAM_INVALID && on_sight.contains(&call.name);
                assert!(
                    error == DEVICE_ERROR || refused || call.id <= 2,
                    "{} after {end} bytes: {error:#x}",
                    call.name
                );
            }
        }
    }
}

#[test]
fn arguments_that_fit_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    for version in [0, 1, 2] {
        for call in CALLS.iter().filter(|call| !disturbs(call)) {
            let arguments = prepared.arguments(call, version);
            let body = frame(call.id, &call.request.concat(), &arguments);
            let error = error(prepared.serve(version, &[body]).1.remove(0));
            assert!(![DEVICE_ERROR, GENERAL_ERROR].contains(&error), "{}: {error:#x}", call.name);
        }
    }
}

#[test]
fn calls_that_nobody_knows_are_answered_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    let bodies = [
        frame(90, "u", &Body::new()),
        frame(u32::MAX, "", &Body::new()),
        frame(0, "u", &Body::new().u(0)),
        frame(13, "uu", &Body::new().u(prepared.session)),
        frame(13, "", &Body::new().u(prepared.session)),
        Vec::new(),
        vec![0, 0, 0, 13],
        Body::new().number(13).number(u32::MAX).0,
        frame(13, "u", &Body::new().u(prepared.session)),
    ];
    let (ended, answers) = prepared.serve(2, &bodies);
    assert_eq!(ended, None);
    let errors: Vec<_> = answers.into_iter().map(error).collect();
    let unknown = [NOT_SUPPORTED; 3];
    assert_eq!(errors, [&unknown[..], &[DEVICE_ERROR; 5], &[0]].concat());
}

#[test]
fn half_a_frame_and_a_huge_one_end_the_connection_alone() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    let half = [&[2][..], &[0, 0, 0, 16, 0, 0]].concat();
    assert_eq!(prepared.serve_raw(&half).0, Some(ErrorKind::UnexpectedEof));
    for (options, body) in [(4097, 0), (0, (1 << 20) + 1), (u32::MAX, u32::MAX)] {
        let sent = Body::new().y(2).number(16).number(options).number(body).raw(&[0; 100]);
        assert_eq!(prepared.serve_raw(&sent.0).0, Some(ErrorKind::InvalidData));
    }
    assert!(prepared.serve_raw(&[2]).0.is_none());
    let session = SessionHandle(prepared.session);
    assert!(prepared.application.session_info(session).is_ok());
}

/// Numbers that look like chance, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn damage(&mut self, body: &mut Vec<u8>) {
        const EXTREMES: [u32; 6] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, u32::MAX];
        // Not the call's number: some calls would take the session away.
        let at = 4 + self.roll(body.len() - 4);
        match self.roll(4) {
            0 => body[at] ^= 1 << self.roll(8),
            1 => body[at] = u8::try_from(self.roll(256)).unwrap(),
            2 => {
                let extreme = EXTREMES[self.roll(EXTREMES.len())].to_be_bytes();
                let end = body.len().min(at + 4);
                body.splice(at..end, extreme);
            }
            _ => {
                let end = at + self.roll(body.len() - at + 1);
                let piece = body[at..end].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn damaged_calls_never_break_anything() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = Prepared::new(dir.path());
    let mut dice = Dice(0x5EED);
    // What takes long because it was asked for: random bytes, and keys of any size.
    let slow = ["GenerateRandom", "GenerateKeyPair", "WaitForSlotEvent"];
    let calls: Vec<_> = CALLS
        .iter()
        .filter(|call| !disturbs(call) && slow.iter().all(|name| !call.name.contains(name)))
        .collect();
    for round in 0..300 {
        let version = u8::try_from(round % 3).unwrap();
        let bodies: Vec<_> = calls
            .iter()
            .map(|call| {
                let arguments = prepared.arguments(call, version);
                let mut body = frame(call.id, &call.request.concat(), &arguments);
                (0..=dice.roll(3)).for_each(|_| dice.damage(&mut body));
                body
            })
            .collect();
        let (ended, answers) = prepared.serve(version, &bodies);
        assert_eq!((ended, answers.len()), (None, bodies.len()));
        for (call, answer) in calls.iter().zip(answers) {
            // A panic would be told as this.
            assert_ne!(error(answer), GENERAL_ERROR, "{} in round {round}", call.name);
        }
    }
}

#[test]
fn noise_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = Client::new(dir.path(), 2);
    let prepared = Prepared::new(dir.path());
    let mut dice = Dice(0xD1CE);
    for _ in 0..200 {
        let len = dice.roll(400);
        let noise: Vec<_> = (0..len).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
        let kinds = [None, Some(ErrorKind::UnexpectedEof), Some(ErrorKind::InvalidData)];
        assert!(kinds.contains(&prepared.serve_raw_or_nothing(&noise)));
    }
    other.call(3, "", "vsusv", &Body::new()).unwrap();
}

/// A client that does not take more than so many bytes once, and would take more later.
struct Stuck {
    taken: Vec<u8>,
    room: usize,
    stuck: bool,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 && !self.stuck {
            self.stuck = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = if self.stuck { bytes.len() } else { bytes.len().min(self.room) };
        self.taken.extend_from_slice(&bytes[..len]);
        self.room -= if self.stuck { 0 } else { len };
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_follows_an_answer_that_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let application = application(dir.path());
    let module = Module::new(&application, strongroom_token::layouts);
    let limits = Limits { workers: 1, ..Limits::default() };
    let greeting = Body::new().ay(b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1").y(0).ay(b"\0");
    let ask = |id, signature: &[u8], arguments: &Body| {
        let body = Body::new().number(id).string(signature).raw(&arguments.0);
        let len = u32::try_from(body.0.len()).unwrap();
        Body::new().number(id).number(0).number(len).raw(&body.0).0
    };
    let info = ask(3, b"", &Body::new());
    let sent = [vec![2], ask(1, b"ayyay", &greeting), info.clone(), info.clone(), info].concat();
    let serve_to = |room| {
        let mut client = Stuck { taken: Vec::new(), room, stuck: false };
        let ended = serve(&sent[..], &mut client, module, &limits);
        (client.taken, ended.err().map(|error| error.kind()))
    };
    let (all, ended) = serve_to(1 << 20);
    assert_eq!(ended, None);
    // In the middle of the second answer to the same call.
    let end = all.len() * 3 / 5;
    assert_eq!(serve_to(end), (all[..end].to_vec(), Some(ErrorKind::WouldBlock)));
}

impl Prepared {
    /// Noise may be nothing at all, to which there is no answer.
    fn serve_raw_or_nothing(&self, sent: &[u8]) -> Option<ErrorKind> {
        if sent.is_empty() { None } else { self.serve_raw(sent).0 }
    }
}
