//! The objects that good arguments name, a session under test for each case, and a witness beside it:
//! a session in which a signature is under way while the case runs.

use std::cell::RefCell;
use std::collections::HashMap;

use cryptoki_sys::*;
use strongroom_softhsm_tests::batch::Verdict;
use strongroom_softhsm_tests::{
    Attribute, In, InitArgs, LABEL, Memory, Module, PLENTY, Room, Rv, SO_PIN, Session, USER_PIN,
    Value, World, merge, t, vast, world,
};

use crate::functions::{Function, named};
use crate::kinds::{Fault, Held, How, Kind, Parameter, Pin, Source, To};

/// Who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Nobody,
    User,
    So,
}

/// The text that is signed, encrypted and digested: two blocks.
pub(crate) const TEXT: &[u8; 32] = b"two blocks of a text, of a text.";
const AES_KEY: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];
/// RFC 3394, section 4.3: 128 bits of key data wrapped with that key of 256 bits.
const WRAPPED: [u8; 24] = [
    0x64, 0xE8, 0xC3, 0xF9, 0xCE, 0x0F, 0x5B, 0xA2, 0x63, 0xE9, 0x77, 0x79, 0x05, 0x81, 0x8A, 0x2A,
    0x93, 0xC8, 0x19, 0x1E, 0x7D, 0x6E, 0x8A, 0xE7,
];
/// `CKA_EC_PARAMS` of P-256.
pub(crate) const P256: &[u8] = &[0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
/// More room than any output needs, in words.
const ROOM: usize = 512;

/// What a case has.
pub(crate) struct Fixture {
    pub(crate) module: Module,
    pub(crate) slot: CK_SLOT_ID,
    pub(crate) login: Login,
    /// Whether it has every function of 3.2.
    pub(crate) complete: bool,
    witness: CK_SESSION_HANDLE,
    session: CK_SESSION_HANDLE,
    closed: CK_SESSION_HANDLE,
    destroyed: CK_OBJECT_HANDLE,
    held: HashMap<&'static str, CK_OBJECT_HANDLE>,
    sources: HashMap<&'static str, Vec<u8>>,
    vast: CK_ULONG,
    mac: Vec<u8>,
    objects: Vec<CK_OBJECT_HANDLE>,
    fresh: RefCell<Option<CK_OBJECT_HANDLE>>,
}

fn label(held: Held) -> &'static str {
    match held {
        Held::None | Held::Fresh => "",
        Held::Data => "data",
        Held::Mac => "mac",
        Held::Aes => "aes",
        Held::RsaPublic => "rsa public",
        Held::RsaPrivate => "rsa private",
        Held::EcPublic => "ec public",
        Held::EcPrivate => "ec private",
        Held::KemPublic => "kem public",
        Held::KemPrivate => "kem private",
    }
}

/// For everybody, on the token.
fn kept(held: Held, more: &[Attribute]) -> Vec<Attribute> {
    merge(&t![CKA_TOKEN => true, CKA_PRIVATE => false, CKA_LABEL => label(held)], more)
}

fn secret(kind: CK_KEY_TYPE, value: &[u8]) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind, CKA_VALUE => value,
        CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        CKA_ENCRYPT => true, CKA_DECRYPT => true, CKA_SIGN => true, CKA_VERIFY => true,
        CKA_WRAP => true, CKA_UNWRAP => true, CKA_DERIVE => true,
    ]
}

/// A key of a session, for everybody.
fn fresh(byte: u8) -> Vec<Attribute> {
    let more = t![CKA_TOKEN => false, CKA_PRIVATE => false, CKA_LABEL => "fresh"];
    merge(&secret(CKK_GENERIC_SECRET, &[byte; 32]), &more)
}

/// Makes the token and its objects, once for all cases.
pub(crate) fn furnish(world: &World) {
    let session = world.public();
    let data = t![CKA_CLASS => CKO_DATA, CKA_VALUE => b"value"];
    for (held, template) in [
        (Held::Data, data),
        (Held::Mac, secret(CKK_GENERIC_SECRET, &[7; 32])),
        (Held::Aes, secret(CKK_AES, &AES_KEY)),
    ] {
        session.create(&kept(held, &template)).expect("an object");
    }
    let rsa = t![
        CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1],
        CKA_ENCRYPT => true, CKA_VERIFY => true, CKA_WRAP => true, CKA_VERIFY_RECOVER => true,
    ];
    let private = t![
        CKA_DECRYPT => true, CKA_SIGN => true, CKA_UNWRAP => true, CKA_SIGN_RECOVER => true,
    ];
    let ec = t![CKA_EC_PARAMS => P256, CKA_VERIFY => true];
    let ec_private = t![CKA_SIGN => true, CKA_DERIVE => true];
    let kem = t![CKA_PARAMETER_SET => CKP_ML_KEM_768, CKA_ENCAPSULATE => true];
    let kem_private = t![CKA_DECAPSULATE => true];
    for (id, held, public, private) in [
        (CKM_RSA_PKCS_KEY_PAIR_GEN, (Held::RsaPublic, Held::RsaPrivate), rsa, private),
        (CKM_EC_KEY_PAIR_GEN, (Held::EcPublic, Held::EcPrivate), ec, ec_private),
        (CKM_ML_KEM_KEY_PAIR_GEN, (Held::KemPublic, Held::KemPrivate), kem, kem_private),
    ] {
        let made = session.pair(id, &kept(held.0, &public), &kept(held.1, &private));
        assert!(made.is_ok() || id == CKM_ML_KEM_KEY_PAIR_GEN, "key pair {id:#x}: {made:?}");
    }
    assert_eq!(session.module.finalize(), Rv::OK, "C_Finalize");
}

impl Fixture {
    /// In a process of its own: the module anew, on the token that is there.
    pub(crate) fn begin(world: &World, login: Login) -> Self {
        let module = Module::load(world.path());
        let rv = module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK));
        assert_eq!(rv, Rv::OK, "C_Initialize");
        let slot = world::slot_of(&module, LABEL).expect("the token");
        let witness = Session::open(&module, slot, CKF_RW_SESSION).handle;
        log_in(&module, witness, login);
        let closed = Session::open(&module, slot, CKF_RW_SESSION).handle;
        let destroyed = module.create_object(closed, &fresh(8)).expect("a key");
        assert_eq!(module.destroy_object(closed, destroyed), Rv::OK);
        assert_eq!(module.close_session(closed), Rv::OK);
        let complete = module.exports("C_UnwrapKeyAuthenticated");
        let vast = vast();
        let mut fixture = Self {
            module,
            slot,
            login,
            complete,
            witness,
            session: 0,
            closed,
            destroyed,
            held: HashMap::new(),
            sources: HashMap::new(),
            vast,
            mac: Vec::new(),
            objects: Vec::new(),
            fresh: RefCell::new(None),
        };
        fixture.find_all();
        fixture.make_sources();
        fixture
    }

    /// In a process of its own: the module loaded, and nothing more.
    pub(crate) fn loaded(world: &World) -> Self {
        Self {
            module: Module::load(world.path()),
            slot: 0,
            login: Login::Nobody,
            complete: true,
            witness: 1,
            session: 1,
            closed: 1,
            destroyed: 1,
            held: HashMap::new(),
            sources: HashMap::new(),
            vast: vast(),
            mac: Vec::new(),
            objects: Vec::new(),
            fresh: RefCell::new(Some(1)),
        }
    }

    fn witness(&self) -> Session<'_> {
        Session { module: &self.module, slot: self.slot, handle: self.witness }
    }

    fn find_all(&mut self) {
        use Held::{
            Aes, Data, EcPrivate, EcPublic, KemPrivate, KemPublic, Mac, RsaPrivate, RsaPublic,
        };
        let all =
            [Data, Mac, Aes, RsaPublic, RsaPrivate, EcPublic, EcPrivate, KemPublic, KemPrivate];
        for held in all.map(label) {
            if let [found] = self.witness().find(&t![CKA_LABEL => held])[..] {
                self.held.insert(held, found);
            }
        }
        self.objects = self.found();
    }

    fn found(&self) -> Vec<CK_OBJECT_HANDLE> {
        let mut found = self.witness().find(&[]);
        found.sort_unstable();
        found
    }

    /// What functions give that others take.
    fn make_sources(&mut self) {
        self.mac = self
            .witness()
            .sign(CKM_SHA256_HMAC, self.handle(Held::Mac), TEXT)
            .expect("a signature");
        self.sources.insert("mac", self.mac.clone());
        let module = &self.module;
        let mut sources = Vec::new();
        let handle = self.witness;
        let rsa = self.handle(Held::RsaPrivate);
        if module.sign_recover_init(handle, Some(&CKM_RSA_PKCS.into()), rsa) == Rv::OK {
            let signed = module.sign_recover(handle, TEXT.into(), PLENTY);
            sources.push(("recoverable", signed.ok().expect("C_SignRecover")));
        }
        let state = Session::open(module, self.slot, CKF_RW_SESSION);
        if module.digest_init(state.handle, Some(&CKM_SHA256.into())) == Rv::OK {
            assert_eq!(module.digest_update(state.handle, TEXT.into()), Rv::OK);
            if let Ok(saved) = module.operation_state(state.handle, PLENTY).ok() {
                sources.push(("state", saved));
            }
        }
        assert_eq!(state.close(), Rv::OK);
        if let Some(public) = self.held.get(label(Held::KemPublic)) {
            let template = t![
                CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_TOKEN => false,
                CKA_PRIVATE => false,
            ];
            let kem = CKM_ML_KEM.into();
            let (made, key) =
                module.encapsulate_key(handle, Some(&kem), *public, &template, PLENTY);
            sources.push(("encapsulated", made.ok().expect("C_EncapsulateKey")));
            assert_eq!(module.destroy_object(handle, key), Rv::OK);
        }
        self.sources.extend(sources);
    }

    /// The handle of an object; one that nobody has, if the module can not have it.
    pub(crate) fn handle(&self, held: Held) -> CK_OBJECT_HANDLE {
        match held {
            Held::None => CK_INVALID_HANDLE,
            Held::Fresh => *self.fresh.borrow_mut().get_or_insert_with(|| {
                self.module.create_object(self.session, &fresh(9)).expect("a fresh key")
            }),
            _ => self.held.get(label(held)).copied().unwrap_or(1),
        }
    }

    fn source(&self, source: Source) -> Vec<u8> {
        let made = |name| self.sources.get(name).cloned().unwrap_or_else(|| vec![1; 32]);
        match source {
            Source::Text => TEXT.to_vec(),
            Source::Mac => made("mac"),
            Source::Wrapped => WRAPPED.to_vec(),
            Source::Recoverable => made("recoverable"),
            Source::State => made("state"),
            Source::Encapsulated => made("encapsulated"),
            Source::Nothing => Vec::new(),
        }
    }

    fn pin(&self, pin: Pin) -> &'static str {
        match (pin, self.login) {
            (Pin::So, _) | (Pin::Own, Login::So) => SO_PIN,
            _ => USER_PIN,
        }
    }

    /// Tries a case in a session of its own, and looks at everything else afterwards.
    pub(crate) fn watch(&mut self, attempt: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        self.open();
        let verdict = attempt(self);
        match self.close() {
            Ok(()) => verdict,
            Err(what) => Verdict::Changed(format!("{what} ({verdict:?})")),
        }
    }

    /// Opens the session under test, and begins a signature in the other one.
    pub(crate) fn open(&mut self) {
        self.session = Session::open(&self.module, self.slot, CKF_RW_SESSION).handle;
        *self.fresh.borrow_mut() = None;
        let mac = self.handle(Held::Mac);
        assert_eq!(self.witness().sign_init(CKM_SHA256_HMAC, mac), Rv::OK, "C_SignInit");
        let half = In::Bytes(&TEXT[..16]);
        assert_eq!(self.module.sign_update(self.witness, half), Rv::OK, "C_SignUpdate");
    }

    /// The session under test.
    pub(crate) fn session(&self) -> CK_SESSION_HANDLE {
        self.session
    }

    /// Another session under test.
    pub(crate) fn reopen(&mut self) {
        self.module.close_session(self.session);
        self.session = Session::open(&self.module, self.slot, CKF_RW_SESSION).handle;
        *self.fresh.borrow_mut() = None;
    }

    /// An address with much memory behind it.
    pub(crate) fn vast(&self) -> CK_ULONG {
        self.vast
    }

    /// Closes the session under test, and says what is not as it was.
    fn close(&mut self) -> Result<(), String> {
        // A case may have closed it.
        self.module.close_session(self.session);
        let half = In::Bytes(&TEXT[16..]);
        let rv = self.module.sign_update(self.witness, half);
        if rv != Rv::OK {
            return Err(format!("the other session can not go on: {rv:?}"));
        }
        let mac = self.module.sign_final(self.witness, Room::Bytes(64));
        if (mac.rv, &mac.bytes) != (Rv::OK, &self.mac) {
            return Err(format!("the other session signs something else: {:?}", mac.rv));
        }
        let state = self.witness().state();
        let wanted = match self.login {
            Login::Nobody => CKS_RW_PUBLIC_SESSION,
            Login::User => CKS_RW_USER_FUNCTIONS,
            Login::So => CKS_RW_SO_FUNCTIONS,
        };
        if state != wanted {
            return Err(format!("the state of the session is {state}, and was {wanted}"));
        }
        let found = self.found();
        if found != self.objects {
            return Err(format!("{} objects, and there were {}", found.len(), self.objects.len()));
        }
        Ok(())
    }

    /// What a wrong PIN costs is given back: others are to be tried at once.
    pub(crate) fn forgive(&self) {
        let (module, handle) = (&self.module, self.witness);
        let pin = self.pin(Pin::Own);
        match self.login {
            Login::Nobody => {
                assert_eq!(module.login(handle, CKU_USER, pin.into()), Rv::OK, "C_Login");
                assert_eq!(module.logout(handle), Rv::OK, "C_Logout");
            }
            _ => assert_eq!(module.set_pin(handle, pin.into(), pin.into()), Rv::OK, "C_SetPIN"),
        }
    }

    /// What succeeded against expectation, or may succeed, and would disturb the cases behind it.
    pub(crate) fn undo(&self, function: &Function, words: &[CK_ULONG], memory: &Memory) {
        match function.name {
            "C_OpenSession" => {
                self.module.close_session(memory.get(words[4], 0));
            }
            "C_Login" | "C_LoginUser" if self.login == Login::Nobody => {
                self.module.logout(self.witness);
            }
            _ => {}
        }
    }

    /// Good arguments.
    pub(crate) fn words(&self, function: &Function, memory: &mut Memory) -> Vec<CK_ULONG> {
        function.args.iter().flat_map(|kind| self.good(*kind, memory)).collect()
    }

    fn good(&self, kind: Kind, memory: &mut Memory) -> Vec<CK_ULONG> {
        match kind {
            Kind::Slot => vec![self.slot],
            Kind::Session => vec![self.session],
            Kind::Object(held, _) => vec![self.handle(held)],
            Kind::Mechanism(how, _) => vec![mechanism(how, memory)],
            Kind::Template(template) => lowered(&template(), memory),
            Kind::Query => {
                let (label, sign) = (memory.room(8), memory.room(1));
                vec![memory.words(&[CKA_LABEL, label, 64, CKA_SIGN, sign, 1]), 2]
            }
            Kind::In(input) => {
                let bytes = self.source(input.source);
                vec![memory.bytes(&bytes), bytes.len() as CK_ULONG]
            }
            Kind::Out(_) => vec![memory.room(ROOM), memory.words(&[8 * ROOM as CK_ULONG])],
            Kind::List => vec![memory.room(2 * ROOM), memory.words(&[2 * ROOM as CK_ULONG / 3])],
            Kind::Fill => vec![memory.room(4), 32],
            Kind::Found => vec![memory.room(4), 4, memory.room(1)],
            Kind::Place(words) => vec![memory.room(words)],
            Kind::Optional | Kind::Reserved | Kind::InitArgs => vec![0],
            Kind::Number(number, _) => vec![number],
            Kind::Pin(pin) => {
                let pin = self.pin(pin);
                vec![memory.bytes(pin.as_bytes()), pin.len() as CK_ULONG]
            }
            Kind::Label => vec![memory.bytes(&[b'x'; 32])],
            Kind::Message => vec![gcm_message(memory), 48],
            Kind::NoParameter => vec![0, 0],
        }
    }

    /// Puts what is wrong into good arguments; `at` is the first word of the one that it is about.
    pub(crate) fn spoil(
        &self,
        fault: &Fault,
        at: usize,
        words: &mut [CK_ULONG],
        memory: &mut Memory,
    ) {
        for (word, to) in &fault.changes {
            let place = at + word;
            match to {
                To::Word(number) => words[place] = *number,
                To::Behind(index, number) => memory.set(words[place], *index, *number),
                To::VastBehind(index) => memory.set(words[place], *index, self.vast),
                To::Less => words[place] -= 1,
                To::Vast => words[place] = self.vast,
                To::Something => words[place] = memory.words(&[0; 8]),
                To::Handle(held) => words[place] = self.handle(*held),
                To::Destroyed => words[place] = self.destroyed,
                To::Closed => words[place] = self.closed,
            }
        }
    }

    /// Calls a function with good arguments; nothing if the module does not have it.
    pub(crate) fn call_well(&self, name: &str) -> Option<Rv> {
        let mut memory = Memory::default();
        let words = self.words(named(name), &mut memory);
        self.module.call(name, &words)
    }
}

fn log_in(module: &Module, session: CK_SESSION_HANDLE, login: Login) {
    let (user, pin) = match login {
        Login::Nobody => return,
        Login::User => (CKU_USER, USER_PIN),
        Login::So => (CKU_SO, SO_PIN),
    };
    assert_eq!(module.login(session, user, pin.into()), Rv::OK, "C_Login");
}

fn mechanism(how: &How, memory: &mut Memory) -> CK_ULONG {
    let (at, len) = match how.parameter {
        Parameter::None => (0, 0),
        Parameter::Iv => (memory.words(&[1, 2]), 16),
        Parameter::StringData => {
            let data = memory.bytes(TEXT);
            (memory.words(&[data, 32]), 16)
        }
        Parameter::GcmMessage => (gcm_message(memory), 48),
    };
    memory.words(&[how.id, at, len])
}

/// `CK_GCM_MESSAGE_PARAMS` with an IV of the caller's.
fn gcm_message(memory: &mut Memory) -> CK_ULONG {
    let (iv, tag) = (memory.bytes(&[3; 12]), memory.bytes(&[0; 16]));
    memory.words(&[iv, 12, 0, CKG_NO_GENERATE, tag, 128])
}

/// A template and its number of attributes.
fn lowered(template: &[Attribute], memory: &mut Memory) -> Vec<CK_ULONG> {
    let mut words = Vec::new();
    for (kind, value) in template {
        let bytes = match value {
            Value::Bool(value) => vec![u8::from(*value)],
            Value::Ulong(value) => value.to_ne_bytes().to_vec(),
            Value::Bytes(bytes) => bytes.clone(),
            Value::Ulongs(_) | Value::Template(_) | Value::Null(_) => {
                panic!("no good template here has such a value")
            }
        };
        words.extend([*kind, memory.bytes(&bytes), bytes.len() as CK_ULONG]);
    }
    vec![memory.words(&words), template.len() as CK_ULONG]
}
