//! What a token should hold: a state, the calls that change it, and what is found in a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write, pipe};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use cryptoki_sys::*;
use strongroom_softhsm_tests::raw::{Ended, Forked, alarm};
use strongroom_softhsm_tests::world::{blank_slot, slots, text};
use strongroom_softhsm_tests::{Attribute, InitArgs, LABEL, Module, Rv, Session, World, t};

/// After so many seconds a process hangs; one that waits for a slow machine does not.
pub(crate) const HANGS: u32 = 120;

/// The curve P-256.
const P256: &[u8] = &[0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];

/// Numbers by chance, the same ones from the same seed: splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % limit
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// What an object is, or the objects of one name are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A data object, whose value and whose application say the same.
    Data,
    /// A secret key that was given.
    Given,
    /// A secret key that the token made.
    Made,
    /// A key pair that the token made.
    Pair,
    /// Not what it should be.
    Half,
}

/// Objects of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    kind: Kind,
    /// What several of its attributes say.
    number: u8,
}

/// What a token holds.
#[derive(Clone, Debug)]
pub(crate) struct State {
    so_pin: String,
    /// Nothing after C_InitToken.
    user_pin: Option<String>,
    things: BTreeMap<String, Thing>,
    /// How many objects and PINs there have been: names are not used again.
    used: usize,
}

/// The calls that change a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Create,
    Generate,
    GeneratePair,
    SetAttribute,
    Destroy,
    SetUserPin,
    SetOfficerPin,
    InitPin,
    InitToken,
}

/// All of them, by name.
pub(crate) const WISHES: [(&str, Wish); 9] = [
    ("C_CreateObject", Wish::Create),
    ("C_GenerateKey", Wish::Generate),
    ("C_GenerateKeyPair", Wish::GeneratePair),
    ("C_SetAttributeValue", Wish::SetAttribute),
    ("C_DestroyObject", Wish::Destroy),
    ("C_SetPIN of the user", Wish::SetUserPin),
    ("C_SetPIN of the officer", Wish::SetOfficerPin),
    ("C_InitPIN", Wish::InitPin),
    ("C_InitToken", Wish::InitToken),
];

/// The calls that change objects, and those that change PINs or all.
pub(crate) const OBJECT_WISHES: &[(&str, Wish)] = WISHES.split_at(5).0;
pub(crate) const PIN_WISHES: &[(&str, Wish)] = WISHES.split_at(5).1;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(String, Thing),
    Set(String, u8),
    Destroy(String),
    UserPin(String),
    OfficerPin(String),
    InitPin(String),
    InitToken,
}

impl State {
    /// A token that was just made, with a PIN of the user.
    pub(crate) fn new() -> Self {
        let (so_pin, user_pin) = ("officer 0".to_owned(), Some("user 0".to_owned()));
        Self { so_pin, user_pin, things: BTreeMap::new(), used: 0 }
    }

    pub(crate) fn things(&self) -> &BTreeMap<String, Thing> {
        &self.things
    }

    /// Whether the user has a PIN.
    pub(crate) fn has_user(&self) -> bool {
        self.user_pin.is_some()
    }

    /// Whether there is something that can be set or destroyed.
    pub(crate) fn has_secret(&self) -> bool {
        self.secret().count() > 0
    }

    /// The next call: what is wished for three times in four, else anything that is cheap; and what
    /// must come first comes first.
    pub(crate) fn next(&self, dice: &mut Dice, wish: Wish) -> Change {
        if self.user_pin.is_none() {
            return Change::InitPin(format!("user {}", self.used));
        }
        let wish = if dice.below(4) > 0 {
            wish
        } else {
            OBJECT_WISHES[dice.below(OBJECT_WISHES.len() as u64) as usize].1
        };
        let (full, secret) = (self.things.len() > 12, self.has_secret());
        let wish = match wish {
            Wish::SetAttribute | Wish::Destroy if !secret => Wish::Generate,
            Wish::Create | Wish::Generate | Wish::GeneratePair if full && secret => Wish::Destroy,
            wish => wish,
        };
        self.change(dice, wish)
    }

    /// A call of this kind.
    pub(crate) fn change(&self, dice: &mut Dice, wish: Wish) -> Change {
        let (new, number) = (self.used, dice.byte());
        let add = |kind| Change::Add(format!("thing {new}"), Thing { kind, number });
        let mut old = || {
            let at = dice.below(self.secret().count() as u64) as usize;
            self.secret().nth(at).expect("a secret key").clone()
        };
        match wish {
            Wish::Create if number.is_multiple_of(2) => add(Kind::Data),
            Wish::Create => add(Kind::Given),
            Wish::Generate => add(Kind::Made),
            Wish::GeneratePair => add(Kind::Pair),
            Wish::SetAttribute => Change::Set(old(), number),
            Wish::Destroy => Change::Destroy(old()),
            Wish::SetUserPin => Change::UserPin(format!("user {new}")),
            Wish::SetOfficerPin => Change::OfficerPin(format!("officer {new}")),
            Wish::InitPin => Change::InitPin(format!("user {new}")),
            Wish::InitToken => Change::InitToken,
        }
    }

    /// The secret keys: one call changes or destroys one.
    fn secret(&self) -> impl Iterator<Item = &String> {
        let secret = |thing: &Thing| matches!(thing.kind, Kind::Given | Kind::Made);
        self.things.iter().filter_map(move |(name, thing)| secret(thing).then_some(name))
    }

    /// The state after a call.
    pub(crate) fn after(&self, change: &Change) -> Self {
        let mut state = self.clone();
        state.used += 1;
        match change.clone() {
            Change::Add(name, thing) => drop(state.things.insert(name, thing)),
            Change::Set(name, number) => {
                state.things.get_mut(&name).expect("a thing").number = number;
            }
            Change::Destroy(name) => drop(state.things.remove(&name)),
            Change::UserPin(pin) | Change::InitPin(pin) => state.user_pin = Some(pin),
            Change::OfficerPin(pin) => state.so_pin = pin,
            Change::InitToken => {
                state.user_pin = None;
                state.things.clear();
            }
        }
        state
    }

    /// How many things of this state are missing or changed where it should be one of these two.
    pub(crate) fn losses(&self, before: &Self, after: &Self) -> usize {
        if self.is(before) || self.is(after) {
            return 0;
        }
        let wrong = |name: &&String| {
            let found = self.things.get(*name);
            found != before.things.get(*name) && found != after.things.get(*name)
        };
        let names: BTreeSet<_> = before.things.keys().chain(self.things.keys()).collect();
        // If none is wrong by itself, they do not belong together.
        names.iter().filter(|name| wrong(name)).count().max(1)
    }

    /// Whether both are the same, whatever they have been.
    fn is(&self, other: &Self) -> bool {
        (&self.so_pin, &self.user_pin, &self.things)
            == (&other.so_pin, &other.user_pin, &other.things)
    }
}

/// A token at work: what is done to it, and the state that it should be in.
pub(crate) struct Actor<'m> {
    pub(crate) session: Session<'m>,
    pub(crate) state: State,
}

impl<'m> Actor<'m> {
    /// Logs in to the token, which is in this state. The module is initialised.
    pub(crate) fn start(module: &'m Module, state: State) -> Result<Self, String> {
        let actor = Self { session: open(module, find_token(module)?)?, state };
        if let Some(pin) = &actor.state.user_pin {
            said("C_Login", actor.session.login(CKU_USER, pin.as_str()))?;
        }
        Ok(actor)
    }

    /// Does what has to be done before a call, the call, and what has to be done after it. Tells when
    /// the call begins and how it has ended.
    pub(crate) fn act(
        &mut self,
        change: &Change,
        mut tell: impl FnMut(Moment),
    ) -> Result<(), String> {
        let Session { module, slot, .. } = self.session;
        let officer = matches!(change, Change::OfficerPin(_) | Change::InitPin(_));
        if officer {
            self.become_user(CKU_SO)?;
        }
        if *change == Change::InitToken {
            said("C_CloseAllSessions", module.close_all_sessions(slot))?;
        }
        let target = self.target(change)?;
        tell(Moment::Begins);
        let outcome = self.call(change, target);
        tell(if outcome.is_ok() { Moment::Ended } else { Moment::Failed });
        if outcome.is_ok() {
            self.state = self.state.after(change);
        }
        if *change == Change::InitToken {
            self.session = open(module, slot)?;
        }
        if (officer || *change == Change::InitToken) && self.state.user_pin.is_some() {
            self.become_user(CKU_USER)?;
        }
        outcome
    }

    /// The object that a change is about, if it is about one.
    fn target(&self, change: &Change) -> Result<CK_OBJECT_HANDLE, String> {
        match change {
            Change::Set(name, _) | Change::Destroy(name) => {
                let found = find(&self.session, &t![CKA_LABEL => name.as_str()])?;
                found.first().copied().ok_or_else(|| format!("{name} is not found"))
            }
            _ => Ok(CK_INVALID_HANDLE),
        }
    }

    fn call(&self, change: &Change, target: CK_OBJECT_HANDLE) -> Result<(), String> {
        let Self { session, state } = self;
        let module = session.module;
        match change {
            Change::Add(name, thing) => add(session, name, *thing),
            Change::Set(name, number) => {
                let kind = state.things.get(name).expect("a thing").kind;
                said("C_SetAttributeValue", session.set(target, &saying(kind, *number)))
            }
            Change::Destroy(_) => said("C_DestroyObject", session.destroy(target)),
            Change::UserPin(new) => {
                let old = state.user_pin.as_deref().expect("a PIN");
                let rv = module.set_pin(session.handle, old.into(), new.as_str().into());
                said("C_SetPIN", rv)
            }
            Change::OfficerPin(new) => {
                let old = state.so_pin.as_str().into();
                said("C_SetPIN", module.set_pin(session.handle, old, new.as_str().into()))
            }
            Change::InitPin(new) => {
                said("C_InitPIN", module.init_pin(session.handle, new.as_str().into()))
            }
            Change::InitToken => {
                let pin = state.so_pin.as_str().into();
                said("C_InitToken", module.init_token(session.slot, pin, LABEL))
            }
        }
    }

    fn become_user(&self, user: CK_USER_TYPE) -> Result<(), String> {
        // Nobody may be logged in.
        let _ = self.session.logout();
        let pin = match user {
            CKU_SO => self.state.so_pin.as_str(),
            _ => self.state.user_pin.as_deref().expect("a PIN"),
        };
        said("C_Login", self.session.login(user, pin))
    }
}

/// What an actor tells: that a call begins, and how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Begins,
    Ended,
    Failed,
}

/// Looks at the token: its PINs are those of one of these states, and its objects whichever they are.
/// The module is initialised, and nobody has a session.
pub(crate) fn look(module: &Module, states: &[&State]) -> Result<State, String> {
    let slot = find_token(module)?;
    let session = open(module, slot)?;
    let so_pin = try_pins(&session, CKU_SO, states.iter().map(|state| &state.so_pin))?;
    said("C_Logout", session.logout())?;
    let info = module.token_info(slot).map_err(|rv| format!("C_GetTokenInfo: {rv:?}"))?;
    let pins = states.iter().filter_map(|state| state.user_pin.as_ref());
    let user_pin = if info.flags & CKF_USER_PIN_INITIALIZED == 0 {
        None
    } else {
        Some(try_pins(&session, CKU_USER, pins)?)
    };
    let things = things(&session)?;
    said("C_CloseSession", session.close())?;
    let used = states.iter().map(|state| state.used).max().unwrap_or_default();
    Ok(State { so_pin, user_pin, things, used })
}

/// Looks at what the user of a token in this state sees. The module is initialised, and nobody has a
/// session.
pub(crate) fn look_as_user(module: &Module, state: &State) -> Result<State, String> {
    let slot = find_token(module)?;
    let session = open(module, slot)?;
    try_pins(&session, CKU_USER, state.user_pin.iter())?;
    Ok(State { things: things(&session)?, ..state.clone() })
}

/// What a session sees.
pub(crate) fn things(session: &Session<'_>) -> Result<BTreeMap<String, Thing>, String> {
    let mut parts: BTreeMap<String, Vec<(CK_OBJECT_CLASS, CK_OBJECT_HANDLE)>> = BTreeMap::new();
    for object in find(session, &[])? {
        let class = session.number(object, CKA_CLASS).map_err(|rv| format!("CKA_CLASS: {rv:?}"))?;
        let label = session.get(object, CKA_LABEL).map_err(|rv| format!("CKA_LABEL: {rv:?}"))?;
        let name = String::from_utf8_lossy(&label).into_owned();
        parts.entry(name).or_default().push((class, object));
    }
    let named = |(name, parts): (String, Vec<_>)| Ok((name, thing(session, &parts)?));
    parts.into_iter().map(named).collect()
}

/// Makes of the objects of one name what they are.
fn thing(
    session: &Session<'_>,
    parts: &[(CK_OBJECT_CLASS, CK_OBJECT_HANDLE)],
) -> Result<Thing, String> {
    let get = |object, attribute| {
        session.get(object, attribute).map_err(|rv| format!("C_GetAttributeValue: {rv:?}"))
    };
    let half = Thing { kind: Kind::Half, number: 0 };
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    Ok(match *parts.as_slice() {
        [(CKO_DATA, object)] => {
            let value = get(object, CKA_VALUE)?;
            let number = value.first().copied().unwrap_or_default();
            let thing = Thing { kind: Kind::Data, number };
            let same = value == body(number) && get(object, CKA_APPLICATION)? == id(number);
            if same { thing } else { half }
        }
        [(CKO_SECRET_KEY, object)] => {
            let number = get(object, CKA_ID)?;
            let made = get(object, CKA_LOCAL)? == [1];
            let kind = if made { Kind::Made } else { Kind::Given };
            let value = get(object, CKA_VALUE)?;
            let whole = value.len() == 32 && (made || value == [7; 32]);
            let derives = get(object, CKA_DERIVE)? == [1];
            match number.as_slice() {
                [first, ..] if number == id(*first) && derives == odd(*first) && whole => {
                    Thing { kind, number: *first }
                }
                _ => half,
            }
        }
        [(CKO_PUBLIC_KEY, public), (CKO_PRIVATE_KEY, private)] => {
            let (number, other) = (get(public, CKA_ID)?, get(private, CKA_ID)?);
            let hash = [5; 32];
            let signature =
                session.sign(CKM_ECDSA, private, &hash).map_err(|rv| format!("C_Sign: {rv:?}"))?;
            let belongs = session.verify(CKM_ECDSA, public, &hash, &signature) == Rv::OK;
            match number.as_slice() {
                [first, ..] if number == id(*first) && number == other && belongs => {
                    Thing { kind: Kind::Pair, number: *first }
                }
                _ => half,
            }
        }
        _ => half,
    })
}

/// The calls that add a thing.
fn add(session: &Session<'_>, name: &str, Thing { kind, number }: Thing) -> Result<(), String> {
    let common = t![CKA_TOKEN => true, CKA_PRIVATE => true, CKA_LABEL => name];
    let whole = |more: Vec<Attribute>| [common.clone(), saying(kind, number), more].concat();
    let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
    let outcome = match kind {
        Kind::Data => {
            let rv = session.create(&whole(t![CKA_CLASS => CKO_DATA])).map(drop);
            rv.map_err(|rv| ("C_CreateObject", rv))
        }
        Kind::Given => {
            let key =
                t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_VALUE => &[7; 32]];
            let rv = session.create(&whole([open, key].concat())).map(drop);
            rv.map_err(|rv| ("C_CreateObject", rv))
        }
        Kind::Made => {
            let key = whole([open, t![CKA_VALUE_LEN => 32_u64]].concat());
            session.generate(CKM_AES_KEY_GEN, &key).map(drop).map_err(|rv| ("C_GenerateKey", rv))
        }
        Kind::Pair => {
            let public = whole(t![CKA_EC_PARAMS => P256, CKA_VERIFY => true]);
            let private = whole(t![CKA_SIGN => true]);
            let rv = session.pair(CKM_EC_KEY_PAIR_GEN, &public, &private).map(drop);
            rv.map_err(|rv| ("C_GenerateKeyPair", rv))
        }
        Kind::Half => panic!("nobody makes half a thing"),
    };
    outcome.map_err(|(call, rv)| format!("{call}: {rv:?}"))
}

/// The attributes that say a number. Those of a secret key can be set, by one call.
fn saying(kind: Kind, number: u8) -> Vec<Attribute> {
    match kind {
        Kind::Data => t![CKA_APPLICATION => id(number), CKA_VALUE => body(number)],
        Kind::Pair => t![CKA_ID => id(number)],
        _ => t![CKA_ID => id(number), CKA_DERIVE => odd(number)],
    }
}

fn odd(number: u8) -> bool {
    number % 2 == 1
}

fn id(number: u8) -> Vec<u8> {
    vec![number; 24]
}

/// A value of more than a page.
fn body(number: u8) -> Vec<u8> {
    vec![number; 5000]
}

/// Makes a token in an empty store. The module is not initialised afterwards.
pub(crate) fn make_token(world: &World) -> State {
    let module = world.module();
    empty(world);
    initialize(module);
    let state = State::new();
    let (so_pin, slot) = (state.so_pin.as_str(), blank_slot(module));
    assert_eq!(module.init_token(slot, so_pin.into(), LABEL), Rv::OK, "C_InitToken");
    let slot = find_token(module).expect("the new token");
    let session = Session::open(module, slot, CKF_RW_SESSION);
    assert_eq!(session.login(CKU_SO, so_pin), Rv::OK, "C_Login");
    let pin = state.user_pin.as_deref().expect("a PIN");
    assert_eq!(module.init_pin(session.handle, pin.into()), Rv::OK, "C_InitPIN");
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
    state
}

/// How a process ends that has filled a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has called C_Finalize.
    Tidy,
    /// It was killed: what it had open is as it was.
    Killed,
}

/// Makes a token with things of each kind, in a process that ends so.
pub(crate) fn make_full_token(world: &World, end: End) -> State {
    let module = world.module();
    let new = make_token(world);
    let (mut full, mut dice, mut changes) = (new.clone(), Dice::new(3), Vec::new());
    for wish in [Wish::Create, Wish::Create, Wish::Create, Wish::Generate, Wish::GeneratePair] {
        changes.push(full.change(&mut dice, wish));
        full = full.after(&changes[changes.len() - 1]);
    }
    let (mut line, writer) = pipe().expect("a pipe");
    let child = Forked::start(|| {
        alarm(HANGS);
        initialize(module);
        let mut actor = Actor::start(module, new).expect("the token");
        for change in &changes {
            actor.act(change, |_| ()).expect("a change");
        }
        if end == End::Tidy {
            assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
        }
        (&writer).write_all(b"!").expect("the line");
        // To be killed.
        thread::sleep(Duration::from_secs(600));
        0
    });
    drop(writer);
    line.read_exact(&mut [0]).expect("the line");
    child.kill();
    assert_eq!(child.wait(), Ended::Signal(9));
    full
}

/// The directory of the store.
pub(crate) fn store(world: &World) -> PathBuf {
    world.directory().join("store")
}

/// What ours has beside its store.
pub(crate) fn seal_key(world: &World) -> PathBuf {
    world.directory().join("seal.key")
}

/// Ends what an earlier row has started, and removes all that was stored.
pub(crate) fn empty(world: &World) {
    // Nothing may have been started.
    let _ = world.module().finalize();
    world.without_daemon(|| {
        fs::remove_dir_all(store(world)).expect("a store");
        // SoftHSM2 makes tokens in it, and does not make it.
        fs::create_dir_all(store(world).join("softhsm2")).expect("a store");
        // Another module has none, nor has one that has made no token.
        let _ = fs::remove_file(seal_key(world));
    });
}

/// Starts the module.
pub(crate) fn initialize(module: &Module) {
    assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK, "C_Initialize");
}

/// The slot of the token; who looks for it survives what a damaged one answers.
pub(crate) fn find_token(module: &Module) -> Result<CK_SLOT_ID, String> {
    let mut outcome = Err(NOT_THERE.to_owned());
    for slot in slots(module) {
        match module.token_info(slot) {
            Ok(info) if info.flags & CKF_TOKEN_INITIALIZED == 0 => {}
            Ok(info) if text(&info.label) == LABEL => return Ok(slot),
            Ok(_) => {}
            Err(rv) => outcome = Err(format!("C_GetTokenInfo: {rv:?}")),
        }
    }
    outcome
}

/// No slot has the token, and none says why.
pub(crate) const NOT_THERE: &str = "the token is not there";

fn open(module: &Module, slot: CK_SLOT_ID) -> Result<Session<'_>, String> {
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    let handle = module.open_session(slot, flags).map_err(|rv| format!("C_OpenSession: {rv:?}"))?;
    Ok(Session { module, slot, handle })
}

/// Finds, and says so if that fails.
fn find(session: &Session<'_>, template: &[Attribute]) -> Result<Vec<CK_OBJECT_HANDLE>, String> {
    said("C_FindObjectsInit", session.module.find_objects_init(session.handle, template))?;
    let found = session.module.find_objects(session.handle, 1000);
    said("C_FindObjectsFinal", session.module.find_objects_final(session.handle))?;
    found.map_err(|rv| format!("C_FindObjects: {rv:?}"))
}

/// The first of these PINs that opens the token.
fn try_pins<'a>(
    session: &Session<'_>,
    user: CK_USER_TYPE,
    pins: impl Iterator<Item = &'a String>,
) -> Result<String, String> {
    let mut last = "C_Login: there is no PIN".to_owned();
    for pin in pins {
        match session.login(user, pin.as_str()) {
            Rv::OK => return Ok(pin.clone()),
            rv => last = format!("C_Login: {rv:?}"),
        }
    }
    Err(last)
}

fn said(call: &str, rv: Rv) -> Result<(), String> {
    if rv == Rv::OK { Ok(()) } else { Err(format!("{call}: {rv:?}")) }
}
