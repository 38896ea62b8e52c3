//! How often a caller elsewhere has to ask, and that nobody can tell: each script is run on an
//! application and on one behind a wire, with the same outcome.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

use strongroom_functions::{Broken, Cryptoki, Hasher, Host, Operation, Remote, Transport, serve};
use strongroom_token::{self as keystore, Application, Config, hasher};
use strongroom_types::{
    Attributes, Bytes, Class, Error, MechanismCall, MechanismType, ObjectHandle, Output, Param,
    Result, Room, SessionHandle, SlotId, UserType, Value, attribute, ck, mechanism, reason, used,
};

const SO_PIN: &[u8] = b"12345678";
const PIN: &[u8] = b"1234567";
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// How long something takes at the most, on a machine that is busy.
const AT_LAST: Duration = Duration::from_secs(60);

/// A wire to an application, which counts.
struct Line<'a> {
    application: &'a Application,
    trips: AtomicU64,
    bytes: AtomicU64,
    /// A clock that stands still, unless a test moves it.
    clock: Mutex<Instant>,
    /// Has the next answer wait on its way: says that it is there, and waits for a word.
    stop: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Transport for &Line<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(u64::try_from(request.len()).unwrap(), Ordering::Relaxed);
        let answer = serve(self.application, request).expect("a request");
        let stop = self.stop.lock().unwrap().take();
        if let Some((there, go_on)) = stop {
            there.send(()).unwrap();
            go_on.recv_timeout(AT_LAST).unwrap();
        }
        Ok(answer)
    }

    fn now(&self) -> Instant {
        *self.clock.lock().unwrap()
    }
}

impl<'a> Line<'a> {
    fn new(application: &'a Application) -> Self {
        Self {
            application,
            trips: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            clock: Mutex::new(Instant::now()),
            stop: Mutex::default(),
        }
    }

    fn wait(&self, time: Duration) {
        *self.clock.lock().unwrap() += time;
    }

    /// Does something while the first answer to something else is on its way.
    fn meanwhile<T: Send>(&self, ask: impl FnOnce() -> T + Send, act: impl FnOnce()) -> T {
        let ((there, arrived), (say, go_on)) = (channel(), channel());
        *self.stop.lock().unwrap() = Some((there, go_on));
        thread::scope(|scope| {
            let asked = scope.spawn(ask);
            arrived.recv_timeout(AT_LAST).expect("an answer");
            act();
            say.send(()).unwrap();
            asked.join().unwrap()
        })
    }

    /// The round trips, and the bytes of the requests, of what is done.
    fn count(&self, act: impl FnOnce()) -> (u64, u64) {
        let now = || [&self.trips, &self.bytes].map(|count| count.load(Ordering::Relaxed));
        let before = now();
        act();
        let after = now();
        (after[0] - before[0], after[1] - before[1])
    }

    fn trips(&self, act: impl FnOnce()) -> u64 {
        self.count(act).0
    }
}

/// A store with a token.
struct Store {
    dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let store = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(store.dir.path().join("strongroom.toml"), "[store]\npath = 'store'\n").unwrap();
        let application = store.open();
        let slot = application.slot_list(true, true).unwrap()[0];
        application.init_token(slot, SO_PIN, &[b'x'; 32]).unwrap();
        let session = application.open_session(slot, true).unwrap();
        application.login(session, UserType::SECURITY_OFFICER, SO_PIN).unwrap();
        application.init_pin(session, PIN).unwrap();
        store
    }

    fn open(&self) -> Application {
        let config = Config::load(&self.dir.path().join("strongroom.toml")).unwrap();
        Application::open(config).unwrap()
    }
}

fn slot(token: &dyn Cryptoki) -> SlotId {
    token.slot_list(true, true).unwrap()[0]
}

fn user(token: &dyn Cryptoki) -> SessionHandle {
    let session = token.open_session(slot(token), true).unwrap();
    token.login(session, UserType::USER, PIN).unwrap();
    session
}

fn call(mechanism: MechanismType, params: &[Param]) -> MechanismCall {
    MechanismCall { mechanism, params: params.iter().cloned().collect() }
}

fn plain(mechanism: MechanismType) -> Option<MechanismCall> {
    Some(call(mechanism, &[]))
}

const ECDSA: MechanismType = mechanism!(CKM_ECDSA).0;
const ECDSA_SHA256: MechanismType = mechanism!(CKM_ECDSA_SHA256).0;
const SHA256: MechanismType = mechanism!(CKM_SHA256).0;
const AES_CBC: MechanismType = mechanism!(CKM_AES_CBC).0;
const AES_GCM: MechanismType = mechanism!(CKM_AES_GCM).0;

/// An EC key pair of the session; `more` is for the private key.
fn ec_pair(
    token: &dyn Cryptoki,
    session: SessionHandle,
    more: impl FnOnce(&mut Attributes),
) -> (ObjectHandle, ObjectHandle) {
    let (mut public, mut private) = (Attributes::default(), Attributes::default());
    public.set(attribute::EC_PARAMS, P256);
    more(&mut private);
    let pair = call(mechanism!(CKM_EC_KEY_PAIR_GEN).0, &[]);
    token.generate_key_pair(session, pair, public, private).unwrap()
}

fn aes(token: &dyn Cryptoki, session: SessionHandle) -> ObjectHandle {
    let mut template = Attributes::default();
    template.set(attribute::VALUE_LEN, 16);
    token.generate_key(session, call(mechanism!(CKM_AES_KEY_GEN).0, &[]), template).unwrap()
}

const PLENTY: Room = Room::Bytes(1 << 20);

fn bytes(output: Output) -> Bytes {
    match output {
        Output::Bytes(bytes) => bytes,
        Output::Needs(len) => panic!("{len} bytes are needed"),
    }
}

/// Signs as most programs do, asking for the length first.
fn sign(
    token: &dyn Cryptoki,
    session: SessionHandle,
    mechanism: MechanismType,
    key: ObjectHandle,
    data: &[u8],
) -> Result<Bytes> {
    token.sign_init(session, plain(mechanism), key)?;
    let len = token.sign(session, data, Room::Query)?.needed();
    token.sign(session, data, Room::Bytes(len)).map(bytes)
}

fn verifies(
    token: &dyn Cryptoki,
    session: SessionHandle,
    mechanism: MechanismType,
    key: ObjectHandle,
    data: &[u8],
    signature: &[u8],
) -> Result<()> {
    token.verify_init(session, plain(mechanism), key)?;
    token.verify(session, data, signature)
}

#[test]
fn after_its_first_use_a_key_costs_one_round_trip() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let (public, private) = ec_pair(&token, session, |_| ());
    let key = aes(&token, session);

    for mechanism in [ECDSA, ECDSA_SHA256] {
        let trips = [0; 3].map(|_| {
            line.trips(|| drop(sign(&token, session, mechanism, private, &[7; 32]).unwrap()))
        });
        assert_eq!(trips, [3, 1, 1], "a start, a question for the length and a signature");
        let signature = sign(&token, session, mechanism, private, &[7; 32]).unwrap();
        let verify = || verifies(&token, session, mechanism, public, &[7; 32], &signature).unwrap();
        assert_eq!([0; 3].map(|_| line.trips(verify)), [2, 1, 1]);
    }

    let iv = |byte: u8| call(AES_CBC, &[Param::from([byte; 16].as_slice())]);
    let mut encrypted = Vec::new();
    let trips = [1, 2, 3].map(|byte| {
        line.trips(|| {
            token.encrypt_init(session, Some(iv(byte)), key).unwrap();
            encrypted.push(bytes(token.encrypt(session, &[9; 64], PLENTY).unwrap()));
        })
    });
    assert_eq!(trips, [2, 1, 1], "another IV each time");
    assert!(encrypted[0] != encrypted[1]);
    for (at, trips) in [(0_u8, 2), (1, 1), (2, 1)] {
        let took = line.trips(|| {
            token.decrypt_init(session, Some(iv(at + 1)), key).unwrap();
            let data = token.decrypt(session, &encrypted[usize::from(at)], PLENTY).unwrap();
            assert_eq!(*bytes(data), [9; 64]);
        });
        assert_eq!(took, trips);
    }
    let gcm = |nonce: u8| {
        let params = [[nonce; 12].as_slice().into(), Param::from(&b"aad"[..]), Param::Ulong(128)];
        call(AES_GCM, &params)
    };
    let trips = [1, 2, 3].map(|nonce| {
        line.trips(|| {
            token.encrypt_init(session, Some(gcm(nonce)), key).unwrap();
            token.encrypt(session, &[9; 64], PLENTY).unwrap();
        })
    });
    assert_eq!(trips, [2, 1, 1]);

    let digest = || {
        token.digest_init(session, plain(SHA256)).unwrap();
        assert_eq!(token.digest(session, b"abc", Room::Query).unwrap().needed(), 32);
        assert_eq!(bytes(token.digest(session, b"abc", PLENTY).unwrap())[..2], [0xba, 0x78]);
    };
    assert_eq!([0; 3].map(|_| line.trips(digest)), [3, 1, 1]);
}

#[test]
fn data_that_is_hashed_first_stays_where_it_is() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let (public, private) = ec_pair(&token, session, |_| ());
    let data: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    sign(&token, session, ECDSA_SHA256, private, b"once").unwrap();

    let mut signature = None;
    let (trips, sent) = line.count(|| {
        signature = sign(&token, session, ECDSA_SHA256, private, &data).ok();
    });
    assert_eq!(trips, 1);
    assert!(sent < 200, "{sent}");
    verifies(&application, session, ECDSA_SHA256, public, &data, &signature.unwrap()).unwrap();

    let mut signature = None;
    let (trips, sent) = line.count(|| {
        token.sign_init(session, plain(ECDSA_SHA256), private).unwrap();
        data.chunks(1000).for_each(|part| token.sign_update(session, part).unwrap());
        assert_eq!(token.sign_final(session, Room::Query).unwrap().needed(), 64);
        signature = token.sign_final(session, PLENTY).map(bytes).ok();
    });
    assert_eq!(trips, 1, "in parts");
    assert!(sent < 200, "{sent}");
    let signature = signature.unwrap();
    verifies(&application, session, ECDSA_SHA256, public, &data, &signature).unwrap();
    verifies(&token, session, ECDSA_SHA256, public, b"once", &signature).unwrap_err();
    verifies(&token, session, ECDSA_SHA256, public, &data, &signature).unwrap();
    let (trips, sent) = line.count(|| {
        verifies(&token, session, ECDSA_SHA256, public, &data, &signature).unwrap();
    });
    assert_eq!(trips, 1);
    assert!(sent < 300, "{sent}");

    // Who may have nothing signed but what the token has hashed brings no digest.
    let (_, strict) = ec_pair(&token, session, |private| {
        private.set(attribute::ALLOWED_MECHANISMS, Value::Ulongs(vec![ECDSA_SHA256.0]));
    });
    for _ in 0..2 {
        let (_, sent) =
            line.count(|| drop(sign(&token, session, ECDSA_SHA256, strict, &data).unwrap()));
        assert!(sent > 100_000, "{sent}");
    }
    application.sign_init(session, plain(ECDSA_SHA256), strict).unwrap();
    let refused = application.sign_digest(session, &[7; 32], PLENTY).map(drop);
    assert_eq!(refused, Err(Error::KeyFunctionNotPermitted));
    for (digest, why) in [(31, "short"), (33, "long")] {
        application.sign_init(session, plain(ECDSA_SHA256), private).unwrap();
        let refused = application.sign_digest(session, &vec![7; digest], PLENTY).map(drop);
        assert_eq!(refused, Err(Error::DataLenRange), "{why}");
    }
}

/// What a script has to work with.
struct Scene<'a> {
    token: &'a dyn Cryptoki,
    session: SessionHandle,
    public: ObjectHandle,
    private: ObjectHandle,
    aes: ObjectHandle,
    said: Vec<String>,
}

impl Scene<'_> {
    fn say<T>(&mut self, outcome: Result<T>) {
        self.said.push(match outcome {
            Ok(_) => "done".into(),
            Err(error) => format!("{error:?}"),
        });
    }

    fn output(&mut self, outcome: Result<Output>) -> Option<Bytes> {
        let (said, output) = match outcome {
            Ok(Output::Needs(len)) => (format!("needs {len}"), None),
            Ok(Output::Bytes(bytes)) => (format!("{} bytes", bytes.len()), Some(bytes)),
            Err(error) => (format!("{error:?}"), None),
        };
        self.said.push(said);
        output
    }

    fn init(&mut self, mechanism: MechanismType) {
        self.say(self.token.sign_init(self.session, plain(mechanism), self.private));
    }

    fn update(&mut self, part: &[u8]) {
        self.say(self.token.sign_update(self.session, part));
    }

    fn sign(&mut self, data: &[u8], room: Room) -> Option<Bytes> {
        self.output(self.token.sign(self.session, data, room))
    }

    fn finish(&mut self, room: Room) -> Option<Bytes> {
        self.output(self.token.sign_final(self.session, room))
    }

    fn check(&mut self, mechanism: MechanismType, data: &[u8], signature: &[u8]) {
        let Scene { token, session, public, .. } = *self;
        self.say(verifies(token, session, mechanism, public, data, signature));
    }

    fn encrypt_init(&mut self) {
        let iv = call(AES_CBC, &[Param::from([5; 16].as_slice())]);
        self.say(self.token.encrypt_init(self.session, Some(iv), self.aes));
    }
}

type Script = (&'static str, fn(&mut Scene<'_>, MechanismType));

const SCRIPTS: &[Script] = &[
    ("started twice", |scene, by| {
        scene.init(by);
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
        scene.sign(&[1; 32], PLENTY);
    }),
    ("rooms", |scene, by| {
        scene.init(by);
        scene.sign(&[1; 32], Room::Query);
        scene.sign(&[1; 32], Room::Bytes(63));
        let signature = scene.sign(&[1; 32], Room::Bytes(64)).unwrap();
        scene.check(by, &[1; 32], &signature);
        scene.check(by, &[2; 32], &signature);
        scene.check(by, &[1; 32], &signature);
    }),
    ("in parts", |scene, by| {
        scene.init(by);
        scene.update(&[1; 16]);
        scene.update(&[2; 16]);
        scene.finish(Room::Query);
        scene.finish(Room::Bytes(1));
        let signature = scene.finish(PLENTY).unwrap();
        scene.check(by, &[[1; 16], [2; 16]].concat(), &signature);
        scene.update(&[1; 16]);
        scene.finish(PLENTY);
    }),
    ("no part at all", |scene, by| {
        scene.init(by);
        scene.finish(Room::Query);
        scene.finish(PLENTY);
        scene.finish(PLENTY);
    }),
    ("a single part after others", |scene, by| {
        scene.init(by);
        scene.update(&[1; 16]);
        scene.sign(&[1; 16], Room::Query);
        scene.finish(PLENTY);
        scene.init(by);
        scene.update(&[1; 16]);
        scene.init(by);
        scene.finish(PLENTY);
    }),
    ("ended by its own function", |scene, by| {
        scene.init(by);
        scene.say(scene.token.sign_init(scene.session, None, ObjectHandle(0)));
        scene.sign(&[1; 32], PLENTY);
        scene.say(scene.token.sign_init(scene.session, None, ObjectHandle(0)));
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
    }),
    ("cancelled", |scene, by| {
        scene.init(by);
        scene.update(&[1; 32]);
        scene.say(scene.token.session_cancel(scene.session, ck!(CKF_SIGN)));
        scene.finish(PLENTY);
        scene.init(by);
        scene.say(scene.token.session_cancel(scene.session, ck!(CKF_ENCRYPT)));
        scene.sign(&[1; 32], PLENTY);
    }),
    ("a logout", |scene, by| {
        scene.init(by);
        scene.update(&[1; 32]);
        scene.say(scene.token.logout(scene.session));
        scene.finish(PLENTY);
        scene.init(by);
        scene.say(scene.token.login(scene.session, UserType::USER, PIN));
        scene.finish(PLENTY);
        scene.init(by);
    }),
    ("another session logs out", |scene, by| {
        let other = scene.token.open_session(slot(scene.token), false).unwrap();
        scene.init(by);
        scene.say(scene.token.logout(other));
        scene.sign(&[1; 32], PLENTY);
        scene.init(by);
    }),
    ("the key is destroyed", |scene, by| {
        scene.init(by);
        scene.say(scene.token.destroy_object(scene.session, scene.private));
        let signature = scene.sign(&[1; 32], PLENTY).unwrap();
        scene.check(by, &[1; 32], &signature);
        scene.init(by);
    }),
    ("the key is destroyed between parts", |scene, by| {
        scene.init(by);
        scene.update(&[1; 16]);
        scene.say(scene.token.destroy_object(scene.session, scene.private));
        scene.update(&[2; 16]);
        let signature = scene.finish(PLENTY).unwrap();
        scene.check(by, &[[1; 16], [2; 16]].concat(), &signature);
    }),
    ("the key may sign no more", |scene, by| {
        scene.init(by);
        let mut template = Attributes::default();
        template.set(attribute::SIGN, false);
        scene.say(scene.token.set_attributes(scene.session, scene.private, template.clone()));
        scene.sign(&[1; 32], PLENTY);
        scene.init(by);
        template.set(attribute::SIGN, true);
        scene.say(scene.token.set_attributes(scene.session, scene.private, template));
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
    }),
    ("other functions come between", |scene, by| {
        scene.init(by);
        scene.encrypt_init();
        scene.say(scene.token.generate_random(scene.session, 16));
        scene.say(scene.token.find_objects_init(scene.session, Attributes::default()));
        scene.sign(&[1; 32], PLENTY);
        scene.say(scene.token.find_objects_final(scene.session));
        scene.output(scene.token.encrypt(scene.session, &[1; 15], PLENTY));
        scene.output(scene.token.encrypt(scene.session, &[1; 16], PLENTY));
        scene.encrypt_init();
        scene.output(scene.token.encrypt(scene.session, &[1; 16], Room::Query));
        scene.output(scene.token.encrypt(scene.session, &[1; 16], Room::Bytes(3)));
        scene.encrypt_init();
        scene.output(scene.token.encrypt(scene.session, &[1; 16], PLENTY));
    }),
    ("signed and encrypted at once", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        // Short, and longer than what is kept of data that is hashed elsewhere.
        for len in [16, 40_000] {
            let part = vec![3; len];
            scene.init(by);
            scene.encrypt_init();
            scene.update(&part);
            scene.output(token.sign_encrypt_update(session, &part, Room::Bytes(1)));
            scene.output(token.sign_encrypt_update(session, &part, PLENTY));
            scene.output(token.encrypt_final(session, PLENTY));
            if let Some(signature) = scene.finish(PLENTY) {
                scene.check(by, &[&part[..], &part].concat(), &signature);
            }
        }
    }),
    ("half of two at once", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        scene.init(by);
        scene.output(token.sign_encrypt_update(session, &[3; 16], PLENTY));
        scene.sign(&[3; 16], PLENTY);
        scene.init(by);
        scene.update(&[3; 40_000]);
        scene.output(token.sign_encrypt_update(session, &[3; 16], PLENTY));
        if let Some(signature) = scene.finish(PLENTY) {
            scene.check(by, &[3; 40_000], &signature);
        }
        scene.init(by);
        scene.sign(&[3; 32], PLENTY);
    }),
    ("saved and restored", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        scene.init(by);
        scene.update(&[1; 16]);
        let state = scene.output(token.operation_state(session, PLENTY));
        scene.update(&[2; 16]);
        scene.finish(PLENTY);
        if let Some(state) = state {
            scene.say(token.set_operation_state(session, &state, ObjectHandle(0), scene.private));
            scene.update(&[4; 16]);
            if let Some(signature) = scene.finish(PLENTY) {
                scene.check(by, &[[1; 16], [4; 16]].concat(), &signature);
            }
        }
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
    }),
    ("verified in parts", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        for len in [16, 40_000] {
            let part = vec![3; len];
            scene.init(by);
            scene.update(&part);
            scene.update(&part);
            let signature = scene.finish(PLENTY).unwrap_or_default();
            for last in [3, 4] {
                scene.say(token.verify_init(session, plain(by), scene.public));
                scene.say(token.verify_update(session, &part));
                scene.say(token.verify_update(session, &vec![last; len]));
                scene.say(token.verify(session, &part, &signature));
                scene.say(token.verify_final(session, &signature));
                scene.say(token.verify_init(session, plain(by), scene.public));
                scene.say(token.verify_update(session, &part));
                scene.say(token.verify_update(session, &vec![last; len]));
                scene.say(token.verify_final(session, &signature));
                scene.say(token.verify_final(session, &signature));
            }
            scene.say(token.verify_init(session, plain(by), scene.public));
            scene.say(token.verify_final(session, &signature[..signature.len().min(63)]));
        }
    }),
    ("decrypted and verified at once", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        for len in [16, 40_000] {
            let part = vec![3; len];
            scene.encrypt_init();
            let Some(first) = scene.output(token.encrypt(session, &part, PLENTY)) else { continue };
            scene.init(by);
            scene.update(&part);
            scene.update(&part);
            let signature = scene.finish(PLENTY).unwrap_or_default();
            let iv = call(AES_CBC, &[Param::from([5; 16].as_slice())]);
            scene.say(token.decrypt_init(session, Some(iv), scene.aes));
            scene.say(token.verify_init(session, plain(by), scene.public));
            scene.say(token.verify_update(session, &part));
            scene.output(token.decrypt_verify_update(session, &first, Room::Bytes(1)));
            scene.output(token.decrypt_verify_update(session, &first, PLENTY));
            scene.output(token.decrypt_final(session, PLENTY));
            scene.say(token.verify_final(session, &signature));
        }
    }),
    ("another is cancelled", |scene, by| {
        scene.init(by);
        scene.update(&[1; 40_000]);
        scene.say(scene.token.session_cancel(scene.session, ck!(CKF_ENCRYPT)));
        scene.update(&[2; 16]);
        if let Some(signature) = scene.finish(PLENTY) {
            scene.check(by, &[&[1; 40_000][..], &[2; 16]].concat(), &signature);
        }
    }),
    ("a single part after much data", |scene, by| {
        for flags in [0, ck!(CKF_ENCRYPT)] {
            scene.init(by);
            scene.update(&[1; 40_000]);
            scene.say(scene.token.session_cancel(scene.session, flags));
            scene.sign(&[2; 32], PLENTY);
            scene.finish(PLENTY);
        }
    }),
    ("a logout after much data", |scene, by| {
        scene.init(by);
        scene.update(&[1; 40_000]);
        scene.say(scene.token.logout(scene.session));
        scene.update(&[1; 16]);
        scene.finish(PLENTY);
        scene.say(scene.token.login(scene.session, UserType::USER, PIN));
    }),
    ("the key goes with its session", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        scene.init(by);
        let other = token.open_session(slot(token), true).unwrap();
        scene.say(token.sign_init(other, plain(by), scene.private));
        scene.output(token.sign(other, &[1; 32], PLENTY));
        scene.say(token.sign_init(other, plain(by), scene.private));
        scene.say(token.close_session(session));
        scene.session = other;
        let signature = scene.sign(&[1; 32], PLENTY).unwrap();
        assert_eq!(signature.len(), 64);
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
    }),
    ("searches", |scene, by| {
        let (token, session) = (scene.token, scene.session);
        let all = Attributes::default;
        scene.say(token.find_objects(session, 1));
        scene.say(token.find_objects_final(session));
        scene.say(token.find_objects_init(session, all()));
        scene.say(token.find_objects_init(session, all()));
        let counts = [0, 1, 1, 9, 9]
            .map(|most| token.find_objects(session, most).map_or(99, |found| found.len()));
        scene.said.push(format!("{counts:?}"));
        scene.say(token.find_objects_init(session, all()));
        scene.init(by);
        scene.sign(&[1; 32], PLENTY);
        scene.say(token.find_objects_final(session));
        scene.say(token.find_objects_final(session));
        scene.say(token.find_objects_init(session, all()));
        scene.say(token.session_cancel(session, ck!(CKF_SIGN)));
        scene.say(token.find_objects_init(session, all()));
        scene.say(token.session_cancel(session, ck!(CKF_FIND_OBJECTS)));
        scene.say(token.find_objects(session, 1));
        for private in [true, false] {
            let mut template = all();
            template.set(attribute::PRIVATE, private);
            scene.say(token.find_objects_init(session, template));
            let before = token.find_objects(session, 1).map(|found| found.len());
            scene.say(token.logout(session));
            let after = token.find_objects(session, 9).map(|found| found.len());
            scene.said.push(format!("{before:?} {after:?}"));
            scene.say(token.find_objects_final(session));
            scene.say(token.login(session, UserType::USER, PIN));
        }
        scene.say(token.logout(session));
        scene.say(token.find_objects_init(session, all()));
        scene.say(token.login(session, UserType::USER, PIN));
        let found = token.find_objects(session, 9).map(|found| found.len());
        scene.said.push(format!("{found:?}"));
    }),
    ("what comes before the first question of a search", |scene, _| {
        let (token, session) = (scene.token, scene.session);
        let other = token.open_session(slot(token), true).unwrap();
        let mut template = Attributes::default();
        template.set(attribute::CLASS, Class::SECRET_KEY.0);
        template.set(attribute::LABEL, b"".as_slice());
        let changes: [&dyn Fn(); 4] = [
            &|| _ = aes(token, session),
            &|| _ = aes(token, other),
            &|| _ = token.copy_object(other, scene.aes, Attributes::default()).unwrap(),
            &|| {
                let mut label = Attributes::default();
                label.set(attribute::LABEL, b"new".as_slice());
                token.set_attributes(other, scene.aes, label).unwrap();
            },
        ];
        for change in changes {
            scene.said.push(format!("{:?}", token.find_objects_init(session, template.clone())));
            change();
            let found = token.find_objects(session, 9).map(|found| found.len());
            scene.said.push(format!("{found:?} {:?}", token.find_objects_final(session)));
        }
    }),
    ("the session closes", |scene, by| {
        let (token, slot) = (scene.token, slot(scene.token));
        let keeper = token.open_session(slot, false).unwrap();
        scene.init(by);
        scene.say(token.close_session(scene.session));
        scene.sign(&[1; 32], PLENTY);
        scene.init(by);
        scene.session = token.open_session(slot, true).unwrap();
        scene.say(token.close_all_sessions(slot));
        scene.init(by);
        scene.say(token.session_info(keeper));
    }),
];

/// Runs a script where everything in it has been done before.
fn run(token: &dyn Cryptoki, script: &Script, by: MechanismType) -> Vec<String> {
    let session = user(token);
    let (public, private) = ec_pair(token, session, |_| ());
    let aes = aes(token, session);
    let mut scene = Scene { token, session, public, private, aes, said: Vec::new() };
    for mechanism in [ECDSA, ECDSA_SHA256] {
        let signature = sign(token, session, mechanism, private, &[1; 32]).unwrap();
        scene.check(mechanism, &[1; 32], &signature);
    }
    scene.encrypt_init();
    scene.output(token.encrypt(session, &[1; 16], PLENTY));
    script.1(&mut scene, by);
    let said = scene.said;
    let _ = token.close_all_sessions(slot(token));
    said
}

#[test]
fn nobody_can_tell() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let far = Remote::hashing(&line, hasher);
    for script in SCRIPTS {
        for by in [ECDSA, ECDSA_SHA256] {
            let near = run(&application, script, by);
            assert!(near.len() > 4, "{}", script.0);
            assert_eq!(run(&far, script, by), near, "{}, by {:#x}", script.0, by.0);
        }
    }
}

/// A wire that can break before a request is heard.
struct Brittle<'a> {
    application: &'a Application,
    broken: AtomicBool,
}

impl Transport for &Brittle<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        // A logout gets through, and what is asked after it does not.
        let logout = request.starts_with(&16_u16.to_le_bytes());
        if self.broken.load(Ordering::Relaxed) && !logout {
            return Err(Broken::Refused(Error::DeviceError));
        }
        Ok(serve(self.application, request).expect("a request"))
    }
}

/// Hashes everything but this.
const INDIGESTIBLE: &[u8] = b"indigestible";

struct Choosy(Box<dyn Hasher>);

impl Hasher for Choosy {
    fn update(&mut self, part: &[u8]) -> Result<()> {
        if part == INDIGESTIBLE { Err(Error::DeviceMemory) } else { self.0.update(part) }
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.0.finish()
    }
}

fn choosy(mechanism: MechanismType) -> Option<Box<dyn Hasher>> {
    Some(Box::new(Choosy(hasher(mechanism)?)))
}

#[test]
fn nothing_is_signed_but_all_the_data() {
    const MUCH: &[u8] = &[1; 40_000];
    const OVER: Error = Error::OperationNotInitialized;
    let store = Store::new();
    let application = store.open();
    let wire = Brittle { application: &application, broken: AtomicBool::new(false) };
    let breaks = |broken| wire.broken.store(broken, Ordering::Relaxed);
    let far = Remote::hashing(&wire, choosy);
    let session = user(&far);
    let (public, private) =
        ec_pair(&far, session, |private| private.set(attribute::PRIVATE, false));
    let signature = sign(&far, session, ECDSA_SHA256, private, &[1; 32]).unwrap();
    verifies(&far, session, ECDSA_SHA256, public, &[1; 32], &signature).unwrap();
    // More than is kept, of an operation that then begins at the token.
    let begin = || {
        far.sign_init(session, plain(ECDSA_SHA256), private).unwrap();
        far.sign_update(session, MUCH).unwrap();
        far.session_cancel(session, ck!(CKF_ENCRYPT)).unwrap();
    };

    // Nobody knows whether it has ended.
    begin();
    breaks(true);
    far.logout(session).unwrap();
    breaks(false);
    far.sign_update(session, b"more").unwrap();
    let signature = bytes(far.sign_final(session, PLENTY).unwrap());
    let all = [MUCH, b"more"].concat();
    verifies(&application, session, ECDSA_SHA256, public, &all, &signature).unwrap();
    far.login(session, UserType::USER, PIN).unwrap();

    // The digest does not arrive, and the end is asked for again.
    sign(&far, session, ECDSA_SHA256, private, &[1; 32]).unwrap();
    begin();
    breaks(true);
    assert_eq!(far.sign_final(session, PLENTY).map(drop), Err(Error::DeviceError));
    breaks(false);
    assert_eq!(far.sign_final(session, PLENTY).map(drop), Err(OVER));

    // A single part after others does not arrive.
    begin();
    breaks(true);
    assert_eq!(far.sign(session, b"", PLENTY).map(drop), Err(Error::DeviceError));
    breaks(false);
    assert_eq!(far.sign_update(session, b"more"), Err(OVER));
    assert_eq!(far.sign_final(session, PLENTY).map(drop), Err(OVER));

    // It can not be hashed.
    begin();
    assert_eq!(far.sign_update(session, INDIGESTIBLE), Err(Error::DeviceMemory));
    assert_eq!(far.sign_final(session, PLENTY).map(drop), Err(OVER));

    // A verification.
    verifies(&far, session, ECDSA_SHA256, public, &[1; 32], &signature).unwrap_err();
    let empty = sign(&application, session, ECDSA_SHA256, private, b"").unwrap();
    far.verify_init(session, plain(ECDSA_SHA256), public).unwrap();
    far.verify_update(session, MUCH).unwrap();
    far.session_cancel(session, ck!(CKF_ENCRYPT)).unwrap();
    breaks(true);
    assert_eq!(far.verify_final(session, &empty), Err(Error::DeviceError));
    breaks(false);
    assert_eq!(far.verify_final(session, &empty), Err(OVER));
}

#[test]
fn what_was_found_is_not_lost_with_a_question() {
    let store = Store::new();
    let application = store.open();
    let wire = Brittle { application: &application, broken: AtomicBool::new(false) };
    let breaks = |broken| wire.broken.store(broken, Ordering::Relaxed);
    let token = Remote::new(&wire);
    let session = user(&token);
    let mut keys: Vec<_> = (0..40).map(|_| aes(&token, session)).collect();
    token.find_objects_init(session, Attributes::default()).unwrap();
    let mut found = token.find_objects(session, 1).unwrap();
    // More is asked for than was found; then what was found is looked at again.
    for (most, changes) in [(30, false), (1, true)] {
        if changes {
            for key in keys.iter().filter(|key| !found.contains(key)) {
                token.set_attributes(session, *key, labelled(b"changed")).unwrap();
            }
        }
        breaks(true);
        assert_eq!(token.find_objects(session, most), Err(Error::DeviceError));
        breaks(false);
        found.extend(token.find_objects(session, most).unwrap());
    }
    found.extend(token.find_objects(session, 40).unwrap());
    keys.sort_unstable_by_key(|key| key.0);
    found.sort_unstable_by_key(|key| key.0);
    assert_eq!(found, keys);
}

#[test]
fn who_hashes_elsewhere_brings_a_digest() {
    let store = Store::new();
    let token = store.open();
    let session = user(&token);
    let (_, private) = ec_pair(&token, session, |_| ());
    let start = || {
        token.sign_init(session, plain(ECDSA_SHA256), private).unwrap();
        token.hash_elsewhere(session, Operation::Sign)
    };
    start().unwrap();
    assert_eq!(token.operation_state(session, PLENTY).map(drop), Err(Error::StateUnsaveable));
    assert_eq!(token.sign_digest(session, &[7; 32], Room::Query).unwrap().needed(), 64);
    assert!(token.sign_digest(session, &[7; 32], PLENTY).is_ok());
    let refused = [
        token.sign(session, b"data", PLENTY).map(drop),
        start().and_then(|()| token.sign(session, b"data", PLENTY).map(drop)),
        start().and_then(|()| token.sign_update(session, b"data")),
        start().and_then(|()| token.sign_final(session, PLENTY).map(drop)),
        start().and_then(|()| {
            let iv = call(AES_CBC, &[Param::from([5; 16].as_slice())]);
            token.encrypt_init(session, Some(iv), aes(&token, session))?;
            token.sign_encrypt_update(session, &[1; 16], PLENTY).map(drop)
        }),
    ];
    let over = Err(Error::OperationNotInitialized);
    assert_eq!(refused, [over, Err(Error::OperationActive), over, over, over]);
    token.sign_init(session, plain(ECDSA), private).unwrap();
    let refused = token.hash_elsewhere(session, Operation::Sign);
    assert_eq!(refused, Err(Error::KeyFunctionNotPermitted));
    token.sign_init(session, plain(ECDSA_SHA256), private).unwrap();
    token.sign_update(session, b"data").unwrap();
    assert_eq!(token.hash_elsewhere(session, Operation::Sign), Err(Error::OperationActive));
}

#[test]
fn what_is_looked_into_is_neither_used_nor_refused() {
    let store = Store::new();
    let token = store.open();
    let session = user(&token);
    let (public, private) = ec_pair(&token, session, |private| {
        private.set(attribute::ALLOWED_MECHANISMS, Value::Ulongs(vec![ECDSA_SHA256.0]));
    });
    let starts: [&dyn Fn() -> Result<()>; 2] =
        [&|| token.sign_init(session, plain(ECDSA_SHA256), private), &|| {
            token.verify_init(session, plain(ECDSA_SHA256), public)
        }];
    for start in starts {
        used::take();
        let (outcome, account) = reason::record(start);
        assert_eq!((outcome, account.why.as_str()), (Ok(()), ""));
        assert_eq!(used::take(), Some("CKM_ECDSA_SHA256"));
    }
}

#[test]
fn a_key_that_wants_a_login_for_each_use_is_always_asked_for() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let far = Remote::hashing(&line, hasher);
    let session = user(&far);
    let (_, key) = ec_pair(&far, session, |private| {
        private.set(attribute::ALWAYS_AUTHENTICATE, true);
    });
    for _ in 0..2 {
        let start = || far.sign_init(session, plain(ECDSA_SHA256), key).unwrap();
        assert_eq!(line.trips(start), 1);
        let refused = far.sign(session, b"data", PLENTY).map(drop);
        assert_eq!(refused, Err(Error::UserNotLoggedIn));
        start();
        far.login(session, UserType::CONTEXT_SPECIFIC, PIN).unwrap();
        assert!(far.sign(session, b"data", PLENTY).is_ok());
    }
}

#[test]
fn what_another_process_changes_is_told_by_the_next_call() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let far = Remote::hashing(&line, hasher);
    let session = user(&far);
    let (_, key) = ec_pair(&far, session, |private| {
        private.set(attribute::TOKEN, true);
        private.set(attribute::LABEL, b"key".as_slice());
    });
    let other = store.open();
    let there = user(&other);
    let mut template = Attributes::default();
    template.set(attribute::CLASS, Class::PRIVATE_KEY.0);
    other.find_objects_init(there, template).unwrap();
    let same = other.find_objects(there, 1).unwrap()[0];
    for mechanism in [ECDSA, ECDSA_SHA256] {
        sign(&far, session, mechanism, key, &[1; 32]).unwrap();
        let mut template = Attributes::default();
        template.set(attribute::SIGN, false);
        other.set_attributes(there, same, template.clone()).unwrap();
        far.sign_init(session, plain(mechanism), key).expect("as it was when it was asked last");
        let refused = far.sign(session, &[1; 32], PLENTY).map(drop);
        assert_eq!(refused, Err(Error::KeyFunctionNotPermitted), "the token checks it");
        let refused = far.sign_init(session, plain(mechanism), key);
        assert_eq!(refused, Err(Error::KeyFunctionNotPermitted), "and is asked again");
        template.set(attribute::SIGN, true);
        other.set_attributes(there, same, template).unwrap();
        sign(&far, session, mechanism, key, &[1; 32]).unwrap();
    }
}

fn search(token: &dyn Cryptoki, session: SessionHandle, class: Class) -> Vec<ObjectHandle> {
    let mut template = Attributes::default();
    template.set(attribute::CLASS, class.0);
    token.find_objects_init(session, template).unwrap();
    let mut found = Vec::new();
    // One by one, as many programs do.
    while let [object] = token.find_objects(session, 1).unwrap()[..] {
        found.push(object);
    }
    token.find_objects_final(session).unwrap();
    found
}

/// Attributes that no function changes.
const FIXED: &[u64] = &[
    attribute::CLASS.info.id,
    attribute::KEY_TYPE.info.id,
    attribute::UNIQUE_ID.info.id,
    attribute::EC_PARAMS.info.id,
    attribute::EC_POINT.info.id,
    attribute::LOCAL.info.id,
];

#[test]
fn a_search_costs_one_round_trip_with_what_is_read_of_its_objects() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let pairs: Vec<_> = (0..3).map(|_| ec_pair(&token, session, |_| ())).collect();
    let mut found = Vec::new();
    let read = |objects: &[ObjectHandle], wanted: &[u64]| {
        objects.iter().map(|of| token.attributes(session, *of, wanted).unwrap()).collect::<Vec<_>>()
    };
    let mut values = Vec::new();
    let trips = line.trips(|| {
        found = search(&token, session, Class::PUBLIC_KEY);
        values = read(&found, FIXED);
    });
    assert_eq!((trips, found.len()), (1, 3));
    let near = |of: &ObjectHandle| application.attributes(session, *of, FIXED).unwrap();
    assert!(values == found.iter().map(near).collect::<Vec<_>>());

    // What can change is told for a short moment, what can not for a longer one. What this
    // application changes is told at once.
    let changing = [attribute::LABEL.info.id, attribute::CLASS.info.id];
    assert_eq!(line.trips(|| drop(read(&found, &changing))), 0);
    let label = |token: &dyn Cryptoki, label: &[u8]| {
        let mut template = Attributes::default();
        template.set(attribute::LABEL, label);
        token.set_attributes(session, found[0], template).unwrap();
    };
    let told = || read(&found[..1], &changing)[0][0].clone();
    label(&token, b"ours");
    assert!(told() == Ok(Value::from(&b"ours"[..])));
    assert_eq!(line.trips(|| drop(read(&found[1..], &changing))), 0, "the others stay known");
    assert_eq!(search(&token, session, Class::PUBLIC_KEY), found);
    label(&application, b"another's");
    assert!(told() == Ok(Value::from(&b"ours"[..])), "by another process");
    line.wait(Duration::from_millis(300));
    assert!(told() == Ok(Value::from(&b"another's"[..])));
    assert_eq!(line.trips(|| drop(read(&found, FIXED))), 0);
    line.wait(Duration::from_secs(1));
    assert_eq!(line.trips(|| drop(read(&found, FIXED))), 3);

    // What an object does not have is known as well.
    search(&token, session, Class::PUBLIC_KEY);
    let none = [attribute::MODULUS.info.id];
    assert_eq!(
        line.trips(|| read(&found, &none)
            .iter()
            .for_each(|all| assert!(all[0] == Err(Error::AttributeTypeInvalid)))),
        0
    );
    // Nor does the value of a key come along, whoever may read it.
    let mut template = Attributes::default();
    template.set(attribute::SENSITIVE, false);
    template.set(attribute::EXTRACTABLE, true);
    template.set(attribute::VALUE_LEN, 16);
    let secret = call(mechanism!(CKM_AES_KEY_GEN).0, &[]);
    let secret = token.generate_key(session, secret, template).unwrap();
    assert_eq!(search(&token, session, Class::SECRET_KEY), [secret]);
    let value = [attribute::VALUE.info.id];
    assert_eq!(line.trips(|| drop(read(&[secret], &value))), 1);

    // What this application destroys is gone at once, found or not.
    let mut template = Attributes::default();
    template.set(attribute::CLASS, Class::PUBLIC_KEY.0);
    token.find_objects_init(session, template.clone()).unwrap();
    let first = token.find_objects(session, 1).unwrap()[0];
    let next = *found.iter().find(|object| **object != first).unwrap();
    token.destroy_object(session, next).unwrap();
    assert_eq!(token.find_objects(session, 9).unwrap().len(), 1, "the third");
    token.find_objects_final(session).unwrap();
    token.find_objects_init(session, template).unwrap();
    assert_eq!(token.find_objects(session, 9).unwrap().len(), 2);
    token.find_objects_final(session).unwrap();
    token.destroy_object(session, first).unwrap();
    let refused = token.attributes(session, first, FIXED).map(drop);
    assert_eq!(refused, Err(Error::ObjectHandleInvalid));

    // More than come at once.
    let more: Vec<_> = (0..40).map(|_| aes(&token, session)).collect();
    let trips = line.trips(|| found = search(&token, session, Class::SECRET_KEY));
    assert_eq!((trips, found.len()), (3, more.len() + 1));

    // Objects of a session that was closed, and private ones after a logout.
    let other = token.open_session(slot(&token), true).unwrap();
    let found = search(&token, other, Class::PRIVATE_KEY);
    assert_eq!(found.len(), pairs.len());
    token.close_session(session).unwrap();
    let refused = token.attributes(other, found[0], FIXED).map(drop);
    assert_eq!(refused, Err(Error::ObjectHandleInvalid));
    let private = aes(&token, other);
    assert_eq!(search(&token, other, Class::SECRET_KEY), [private]);
    token.logout(other).unwrap();
    let refused = token.attributes(other, private, FIXED).map(drop);
    assert_eq!(refused, Err(Error::ObjectHandleInvalid));
}

#[test]
fn a_listing_costs_one_round_trip() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    for _ in 0..10 {
        ec_pair(&token, session, |_| ());
    }
    let wanted = [attribute::LABEL, attribute::ID].map(|bytes| bytes.info.id);
    let wanted = [wanted, [attribute::CLASS, attribute::KEY_TYPE].map(|number| number.info.id)];
    let list = |pause| {
        token.find_objects_init(session, Attributes::default()).unwrap();
        let found = token.find_objects(session, 100).unwrap();
        token.find_objects_final(session).unwrap();
        line.wait(pause);
        // As programs in C do: the length of each first, and then its value.
        for object in found.iter().flat_map(|object| [object; 2]) {
            for id in wanted.as_flattened() {
                assert!(token.attributes(session, *object, &[*id]).unwrap()[0].is_ok());
            }
        }
        assert_eq!(found.len(), 20);
    };
    let pauses = [0, 300, 1100].map(Duration::from_millis);
    let trips = pauses.map(|pause| line.trips(|| list(pause)));
    assert_eq!(trips, [1, 1 + 20 * 4, 1 + 20 * 8], "what can not change, and nothing");
}

/// Attributes to look for, or to set.
fn labelled(label: &[u8]) -> Attributes {
    let mut template = Attributes::default();
    template.set(attribute::LABEL, label);
    template
}

#[test]
fn what_happens_while_a_search_is_answered_is_seen() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = &Remote::hashing(&line, hasher);
    let session = user(token);
    let other = token.open_session(slot(token), true).unwrap();
    let mine = |session| {
        let key = aes(token, session);
        token.set_attributes(session, key, labelled(b"mine")).unwrap();
        key
    };
    let find = |most| {
        token.find_objects_init(session, labelled(b"mine")).unwrap();
        token.find_objects(session, most).unwrap()
    };
    let next = || {
        let found = token.find_objects(session, 9);
        token.find_objects_final(session).unwrap();
        found.unwrap()
    };
    let gone = |object| {
        let read = token.attributes(session, object, FIXED).map(drop);
        assert_eq!(read, Err(Error::ObjectHandleInvalid));
    };

    // One changes: its label is no more what came along.
    let keys = [(); 3].map(|()| mine(session));
    let found = line.meanwhile(
        || find(9),
        || {
            token.set_attributes(other, keys[0], labelled(b"changed")).unwrap();
        },
    );
    assert_eq!(found.len(), 3);
    let label = token.attributes(session, keys[0], &[attribute::LABEL.info.id]).unwrap();
    assert!(label[0] == Ok(Value::from(&b"changed"[..])));
    assert_eq!(next(), []);

    // All are destroyed: those that have not been given are not given.
    token.set_attributes(other, keys[0], labelled(b"mine")).unwrap();
    let found = line.meanwhile(
        || find(1),
        || {
            keys.iter().for_each(|key| token.destroy_object(other, *key).unwrap());
        },
    );
    assert_eq!(found.len(), 1);
    assert_eq!(next(), []);
    gone(found[0]);

    // Their session closes, which has not been known to have any.
    let third = token.open_session(slot(token), true).unwrap();
    let keys = [(); 3].map(|()| mine(third));
    let found = line.meanwhile(|| find(1), || token.close_session(third).unwrap());
    assert_eq!(next(), []);
    gone(found[0]);
    assert!(!keys.is_empty());

    // Somebody logs out, and does not wait.
    let keys = [(); 3].map(|()| mine(session));
    let found = line.meanwhile(|| find(1), || token.logout(other).unwrap());
    assert!(keys.contains(&found[0]));
    assert_eq!(next(), []);
    gone(found[0]);
    token.login(session, UserType::USER, PIN).unwrap();

    // The search is ended.
    let keys = [(); 3].map(|()| mine(session));
    thread::scope(|scope| {
        let mut cancel = None;
        let found = line.meanwhile(
            || find(1),
            || {
                let flags = ck!(CKF_FIND_OBJECTS);
                cancel = Some(scope.spawn(move || token.session_cancel(session, flags)));
            },
        );
        assert!(keys.contains(&found[0]));
        assert_eq!(cancel.unwrap().join().unwrap(), Ok(()));
    });
    assert_eq!(token.find_objects(session, 1), Err(Error::OperationNotInitialized));
    assert_eq!(find(9).len(), 3);
    assert_eq!(next(), []);
}

#[test]
fn what_is_found_and_destroyed_one_by_one_costs_nothing_more() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let keys: Vec<_> = (0..10).map(|_| aes(&token, session)).collect();
    let trips = line.trips(|| {
        token.find_objects_init(session, Attributes::default()).unwrap();
        while let [object] = token.find_objects(session, 1).unwrap()[..] {
            token.destroy_object(session, object).unwrap();
        }
        token.find_objects_final(session).unwrap();
    });
    assert_eq!(trips, 1 + 10);
    let refused = token.attributes(session, keys[9], FIXED).map(drop);
    assert_eq!(refused, Err(Error::ObjectHandleInvalid));
}

#[test]
fn what_is_found_and_changed_again_and_again_is_looked_at_once() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let keys = [(); 3].map(|()| aes(&token, session));
    token.find_objects_init(session, Attributes::default()).unwrap();
    let first = token.find_objects(session, 1).unwrap()[0];
    let other = *keys.iter().find(|key| **key != first).unwrap();
    let set = |label: u8| token.set_attributes(session, other, labelled(&[label])).unwrap();
    assert_eq!(line.trips(|| (0..5).for_each(set)), 5);
    let mut rest = Vec::new();
    assert_eq!(line.trips(|| rest = token.find_objects(session, 9).unwrap()), 1);
    assert_eq!(rest.len(), 2);
}

#[test]
fn what_is_private_or_long_stays_until_it_is_asked_for() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let token = Remote::hashing(&line, hasher);
    let session = user(&token);
    let make = |class: Class, private: bool, value: &[u8]| {
        let mut template = Attributes::default();
        template.set(attribute::CLASS, class.0);
        template.set(attribute::PRIVATE, private);
        template.set(attribute::VALUE, value);
        if class == Class::CERTIFICATE {
            template.set(attribute::CERTIFICATE_TYPE, ck!(CKC_X_509));
            template.set(attribute::SUBJECT, b"somebody".as_slice());
        }
        token.create_object(session, template).unwrap()
    };
    let value = attribute::VALUE.info;
    let rows: [(Class, bool, &[u8], bool); 6] = [
        (Class::DATA, true, b"a password", false),
        (Class::DATA, false, b"no password", true),
        (Class::CERTIFICATE, true, b"whom I know", false),
        (Class::CERTIFICATE, false, b"who I am", true),
        (Class::CERTIFICATE, false, &[b'x'; 4096], true),
        (Class::CERTIFICATE, false, &[b'x'; 4097], false),
    ];
    for (class, private, bytes, told) in rows {
        let object = make(class, private, bytes);
        application.find_objects_init(session, Attributes::default()).unwrap();
        let found = application.find(session, 16, 16).unwrap();
        let of = found.of[0].as_ref().unwrap();
        assert_eq!(
            of.fixed.has(value) || of.changing.has(value),
            told,
            "{class:?} {}",
            bytes.len()
        );
        assert_eq!(of.untold.contains(&value.id), !told);
        assert!(
            of.fixed.has(attribute::CLASS.info) && !of.untold.contains(&attribute::CLASS.info.id)
        );
        // Whoever asks gets it.
        assert_eq!(search(&token, session, class), [object]);
        let mut read = None;
        let trips =
            line.trips(|| read = token.attributes(session, object, &[value.id]).unwrap().pop());
        assert_eq!(trips, u64::from(!told));
        assert!(read == Some(Ok(Value::from(bytes))));
        token.destroy_object(session, object).unwrap();
    }
}

#[test]
fn a_search_gives_no_less_than_is_wanted_and_ends_when_there_is_no_more() {
    let store = Store::new();
    let token = store.open();
    let session = user(&token);
    let mut template = Attributes::default();
    template.set(attribute::TOKEN, true);
    template.set(attribute::VALUE_LEN, 16);
    let generate = call(mechanism!(CKM_AES_KEY_GEN).0, &[]);
    for number in 0..40 {
        template.set(attribute::WRAP, number % 10 == 0);
        token.generate_key(session, generate.clone(), template.clone()).unwrap();
    }
    // What the keystore can not find by: each object is looked at.
    let mut wanted = Attributes::default();
    wanted.set(attribute::WRAP, true);
    for (least, most) in [(0, 16), (1, 16), (2, 3), (4, 4), (9, 9)] {
        token.find_objects_init(session, wanted.clone()).unwrap();
        let (mut all, mut asked) = (0, 0);
        loop {
            let found = token.find(session, least.max(asked.min(1)), most).unwrap();
            let count = found.objects.len();
            assert!(count <= most && (count >= least || !found.more), "{least} {most}");
            (all, asked) = (all + count, asked + 1);
            if !found.more {
                break;
            }
        }
        assert_eq!(all, 4);
        let over = token.find_objects_final(session);
        assert_eq!(over, Err(Error::OperationNotInitialized));
    }
}

/// A wire to an application that takes no more than so much at once.
struct Narrow<'a> {
    line: Line<'a>,
    most: AtomicU64,
}

impl Transport for &Narrow<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        if u64::try_from(request.len()).unwrap() > self.most.load(Ordering::Relaxed) {
            return Err(Broken::Refused(Error::DataLenRange));
        }
        (&self.line).exchange(turn, request)
    }
}

#[test]
fn what_is_too_much_together_goes_one_by_one() {
    let store = Store::new();
    let application = store.open();
    let wire = Narrow { line: Line::new(&application), most: AtomicU64::new(u64::MAX) };
    let token = Remote::hashing(&wire, hasher);
    let session = user(&token);
    let key = aes(&token, session);
    let data = &[9; 4096];
    let encrypt = |associated: &[u8]| {
        let params = [[1; 12].as_slice().into(), Param::from(associated), Param::Ulong(128)];
        token.encrypt_init(session, Some(call(AES_GCM, &params)), key)?;
        token.encrypt(session, data, PLENTY).map(bytes)
    };
    let whole = encrypt(b"").unwrap();
    let trips = |act: &dyn Fn()| wire.line.trips(act);
    assert_eq!(trips(&|| assert!(encrypt(b"").unwrap() == whole)), 1);
    // The data alone fits.
    wire.most.store(4096 + 30, Ordering::Relaxed);
    assert_eq!(trips(&|| assert!(encrypt(b"").unwrap() == whole)), 2);
    // So does the parameter, each time.
    let associated = &[7; 4050];
    for _ in 0..2 {
        assert_eq!(trips(&|| drop(encrypt(associated).unwrap())), 2);
    }
    // One that is active already stays.
    token
        .encrypt_init(session, Some(call(AES_CBC, &[Param::from([5; 16].as_slice())])), key)
        .unwrap();
    let gcm = [[1; 12].as_slice().into(), Param::from(&associated[..]), Param::Ulong(128)];
    for _ in 0..2 {
        let again = token.encrypt_init(session, Some(call(AES_GCM, &gcm)), key);
        assert_eq!(again, Err(Error::OperationActive));
    }
    assert_eq!(token.encrypt(session, data, PLENTY).map(bytes).unwrap().len(), data.len());
    // A start that is refused is answered by the call, as it is in one frame.
    token.encrypt_init(session, Some(call(AES_GCM, &[])), key).unwrap_err();
    let iv = call(AES_CBC, &[Param::from([5; 16].as_slice())]);
    token.encrypt_init(session, Some(iv.clone()), key).unwrap();
    token.encrypt(session, data, PLENTY).unwrap();
    token.encrypt_init(session, Some(iv), key).unwrap();
    let mut template = Attributes::default();
    template.set(attribute::ENCRYPT, false);
    application.set_attributes(session, key, template).unwrap();
    let refused = token.encrypt(session, data, PLENTY).map(drop);
    assert_eq!(refused, Err(Error::KeyFunctionNotPermitted));
    let over = token.encrypt(session, data, PLENTY).map(drop);
    assert_eq!(over, Err(Error::OperationNotInitialized));
    // What does not fit alone is refused, and the operation is where it was.
    token.digest_init(session, plain(SHA256)).unwrap();
    assert_eq!(token.digest_update(session, &[1; 5000]), Err(Error::DataLenRange));
    token.digest_update(session, b"abc").unwrap();
    assert_eq!(bytes(token.digest_final(session, PLENTY).unwrap())[..2], [0xba, 0x78]);
    // A search whose template is long.
    let mut template = labelled(&[b'x'; 4070]);
    token.find_objects_init(session, template.clone()).unwrap();
    assert_eq!(token.find_objects(session, 1), Ok(vec![]));
    token.find_objects_final(session).unwrap();
    template.set(attribute::LABEL, [b'x'; 5000].as_slice());
    token.find_objects_init(session, template).unwrap();
    assert_eq!(token.find_objects(session, 1), Err(Error::DataLenRange));
}

#[test]
fn what_comes_along_with_a_search_can_not_be_changed() {
    let store = Store::new();
    let application = store.open();
    let session = user(&application);
    ec_pair(&application, session, |_| ());
    aes(&application, session);
    application.find_objects_init(session, Attributes::default()).unwrap();
    let found = application.find(session, 16, 16).unwrap();
    assert!(!found.more && found.objects.len() == 3);
    assert_eq!(found.of.len(), 3);
    for (object, of) in found.objects.into_iter().zip(found.of) {
        let of = of.expect("what comes along");
        assert!(of.fixed.len() > 5 && of.changing.has(attribute::LABEL.info));
        for (id, value) in of.fixed.iter() {
            let other = match value {
                Value::Bool(value) => Value::Bool(!value),
                Value::Ulong(number) => Value::Ulong(number ^ 1),
                _ => Value::from(&b"another"[..]),
            };
            let mut template = Attributes::default();
            template.put(id, other);
            let changed = application.set_attributes(session, object, template);
            assert!(changed.is_err(), "{id:#x}");
        }
    }
}

/// A wire to an application whose place another can take.
struct Successors {
    store: Arc<keystore::Store>,
    config: PathBuf,
    turns: RwLock<Vec<Application>>,
}

impl Successors {
    fn new(store: &Store) -> Self {
        let config = store.dir.path().join("strongroom.toml");
        let store = keystore::Store::open(&Config::load(&config).unwrap()).unwrap();
        store.unseal_at_start().unwrap();
        let successors = Self { store: Arc::new(store), config, turns: RwLock::default() };
        successors.next();
        successors
    }

    fn next(&self) {
        let mut turns = self.turns.write().unwrap();
        let config = Config::load(&self.config).unwrap();
        let turn = u16::try_from(turns.len()).unwrap();
        let (store, quota) = (Arc::clone(&self.store), keystore::Quota::new(100));
        let memory = keystore::Memory::default();
        turns.push(Application::over(store, config, turn, quota, memory).unwrap());
    }
}

impl Transport for &Successors {
    fn turn(&self) -> u64 {
        u64::try_from(self.turns.read().unwrap().len()).unwrap() - 1
    }

    fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        if turn != self.turn() {
            return Err(Broken::Lost);
        }
        let turns = self.turns.read().unwrap();
        Ok(serve(turns.last().unwrap(), request).expect("a request"))
    }
}

#[test]
fn what_everybody_may_see_keeps_its_handle() {
    let store = Store::new();
    let successors = Successors::new(&store);
    let token = Remote::hashing(&successors, hasher);
    let on_token = |private: &mut Attributes| private.set(attribute::TOKEN, true);
    let session = user(&token);
    let (_, open) = ec_pair(&token, session, |private| {
        on_token(private);
        private.set(attribute::PRIVATE, false);
    });
    let (passing, _) = ec_pair(&token, session, |_| ());
    let (_, secret) = ec_pair(&token, session, on_token);
    let unused = ec_pair(&token, session, |private| {
        on_token(private);
        private.set(attribute::PRIVATE, false);
    });
    sign(&token, session, ECDSA, secret, &[1; 32]).unwrap();
    let signature = sign(&token, session, ECDSA, open, &[1; 32]).unwrap();
    verifies(&token, session, ECDSA, passing, &[1; 32], &signature).unwrap_err();
    token.logout(session).unwrap();
    let mut started = Vec::new();
    for turn in 1..4 {
        // In one turn with an operation that is held, and has begun to be hashed.
        sign(&token, session, ECDSA_SHA256, open, &[1; 32]).unwrap();
        token.sign_init(session, plain(ECDSA_SHA256), open).unwrap();
        token.sign_update(session, b"begun").unwrap();
        successors.next();
        started.push(bytes(token.sign_final(session, PLENTY).unwrap()));
        for _ in 0..2 {
            sign(&token, session, ECDSA, open, &[turn; 32]).expect("the same handle");
        }
        for (gone, why) in [(passing, "session"), (secret, "private"), (unused.1, "never used")] {
            let refused = token.attributes(session, gone, &[attribute::CLASS.info.id]).map(drop);
            assert_eq!(refused, Err(Error::ObjectHandleInvalid), "{why}");
        }
        let mut template = Attributes::default();
        template.set(attribute::CLASS, Class::PRIVATE_KEY.0);
        token.find_objects_init(session, template).unwrap();
        assert!(token.find_objects(session, 9).unwrap().contains(&open), "it has no other");
        token.find_objects_final(session).unwrap();
    }
    assert_eq!(started.len(), 3);
    let session = user(&token);
    sign(&token, session, ECDSA, open, &[1; 32]).unwrap();
    successors.next();
    let refused = token.sign_init(session, plain(ECDSA), open);
    assert_eq!(refused, Err(Error::SessionHandleInvalid), "a login is lost");
    let session = user(&token);
    let refused = token.sign_init(session, plain(ECDSA), open);
    assert_eq!(refused, Err(Error::KeyHandleInvalid), "and all handles with it");
    let forged = vec![(ObjectHandle(7), Bytes::new(b"not a name".to_vec()))];
    assert_eq!(token.adopt(session, forged), Err(Error::ArgumentsBad));
}

#[test]
fn threads_with_a_session_each_do_not_meet() {
    let store = Store::new();
    let application = store.open();
    let line = Line::new(&application);
    let far = Remote::hashing(&line, hasher);
    let first = user(&far);
    let (public, private) = ec_pair(&far, first, |_| ());
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            let far = &far;
            scope.spawn(move || {
                let session = far.open_session(slot(far), true).unwrap();
                for round in 0..50 {
                    let data = [thread, round];
                    let signature = sign(far, session, ECDSA_SHA256, private, &data).unwrap();
                    verifies(far, session, ECDSA_SHA256, public, &data, &signature).unwrap();
                    // Of no concern to the others.
                    let (gone, _) = ec_pair(far, session, |_| ());
                    far.destroy_object(session, gone).unwrap();
                }
            });
        }
    });
}
