//! The C interface: sequences of calls as C makes them, with handles that are there or not, null
//! pointers, lengths that are short or that no memory has, and parameters of every layout. Nothing but
//! what a caller may do wrong by himself: memory that is said to be there is there.
//!
//! Whatever the calls are, none fails by a fault of the module's, none writes where it may not, and the
//! value of a sensitive key is in nothing that comes back. What would end the login is not called: logging
//! in takes long on purpose.

#![allow(unsafe_code, reason = "a function list of C is called here")]

#[path = "../../../softhsm-tests/src/raw/by_count.rs"]
mod by_count;

use std::ptr;

use arbitrary::{Result, Unstructured};
use cryptoki_sys::*;
// The module's functions, which are found by their names.
use strongroom_pkcs11 as _;
use strongroom_token::layouts;
use strongroom_types::{
    AttributeInfo, Attributes, Field, Layout, MechanismType, Param, Params, Value, attribute,
};
use tempfile::TempDir;

use crate::world::tells;
use crate::{made, parameters};

unsafe extern "C" {
    fn C_GetInterface(
        name: *const u8,
        version: *const CK_VERSION,
        interface: *mut *mut CK_INTERFACE,
        flags: CK_ULONG,
    ) -> CK_RV;
}

const SO_PIN: &[u8] = b"87654321";
const PIN: &[u8] = b"12345678";

/// The value of a sensitive key.
const SECRET: [u8; 32] = *b"\xd1never\xd2to be\xd3seen by\xd4any caller ";

/// How many calls an input makes.
const MOST: usize = 24;

/// More output than there may be room for.
const PLENTY: usize = 8192;

/// What an argument is.
#[derive(Clone, Copy)]
enum Kind {
    Session,
    Slot,
    Object,
    Number,
    /// `CKF_SERIAL_SESSION`, with or without `CKF_RW_SESSION`.
    Flags,
    /// A place for so many words.
    Place(usize),
    /// Bytes and their length.
    In,
    /// Room for bytes, and the place of its length.
    Out,
    /// Room for numbers, and the place of their number.
    List,
    /// Room for numbers, how many, and the place of their number.
    Found,
    Mechanism,
    /// One whose parameter is that of a message: it may be as long as another of the same mechanism.
    OfMessage,
    /// Attributes and their number.
    Template,
    /// The same, with room for values.
    Query,
    /// The parameter of a message and its length.
    Message,
    /// Null.
    Null,
}

use Kind::{
    Flags, Found, In, List, Mechanism, Message, Null, Number, Object, OfMessage, Out, Place, Query,
    Session, Slot, Template,
};

/// A function: where it is in the list, and its arguments.
struct Function {
    name: &'static str,
    find: fn(&CK_FUNCTION_LIST_3_2) -> *const (),
    args: &'static [Kind],
}

/// Where a function of the list is.
macro_rules! address {
    ($function:expr) => {{
        #[allow(clippy::as_conversions, reason = "what a function is becomes where it is")]
        $function.map_or(ptr::null(), |function| function as *const ())
    }};
}

macro_rules! functions {
    ($($name:ident($($arg:expr),*);)*) => {
        static FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name),
            find: |list| address!(list.$name),
            args: &[$($arg),*],
        }),*];
    };
}

functions! {
    C_GetInfo(Place(16));
    C_GetSlotList(Number, List);
    C_GetSlotInfo(Slot, Place(16));
    C_GetTokenInfo(Slot, Place(32));
    C_GetMechanismList(Slot, List);
    C_GetMechanismInfo(Slot, Number, Place(4));
    C_OpenSession(Slot, Flags, Null, Null, Place(1));
    C_CloseSession(Session);
    C_GetSessionInfo(Session, Place(4));
    C_SessionCancel(Session, Number);
    C_GetOperationState(Session, Out);
    C_SetOperationState(Session, In, Object, Object);
    C_GetSessionValidationFlags(Session, Number, Place(1));
    C_CreateObject(Session, Template, Place(1));
    C_CopyObject(Session, Object, Template, Place(1));
    C_DestroyObject(Session, Object);
    C_GetObjectSize(Session, Object, Place(1));
    C_GetAttributeValue(Session, Object, Query);
    C_SetAttributeValue(Session, Object, Template);
    C_FindObjectsInit(Session, Template);
    C_FindObjects(Session, Found);
    C_FindObjectsFinal(Session);
    C_EncryptInit(Session, Mechanism, Object);
    C_Encrypt(Session, In, Out);
    C_EncryptUpdate(Session, In, Out);
    C_EncryptFinal(Session, Out);
    C_DecryptInit(Session, Mechanism, Object);
    C_Decrypt(Session, In, Out);
    C_DecryptUpdate(Session, In, Out);
    C_DecryptFinal(Session, Out);
    C_DigestInit(Session, Mechanism);
    C_Digest(Session, In, Out);
    C_DigestUpdate(Session, In);
    C_DigestKey(Session, Object);
    C_DigestFinal(Session, Out);
    C_SignInit(Session, Mechanism, Object);
    C_Sign(Session, In, Out);
    C_SignUpdate(Session, In);
    C_SignFinal(Session, Out);
    C_SignRecoverInit(Session, Mechanism, Object);
    C_SignRecover(Session, In, Out);
    C_VerifyInit(Session, Mechanism, Object);
    C_Verify(Session, In, In);
    C_VerifyUpdate(Session, In);
    C_VerifyFinal(Session, In);
    C_VerifyRecoverInit(Session, Mechanism, Object);
    C_VerifyRecover(Session, In, Out);
    C_VerifySignatureInit(Session, Mechanism, Object, In);
    C_VerifySignature(Session, In);
    C_VerifySignatureUpdate(Session, In);
    C_VerifySignatureFinal(Session);
    C_DigestEncryptUpdate(Session, In, Out);
    C_DecryptDigestUpdate(Session, In, Out);
    C_SignEncryptUpdate(Session, In, Out);
    C_DecryptVerifyUpdate(Session, In, Out);
    C_GenerateKey(Session, Mechanism, Template, Place(1));
    C_GenerateKeyPair(Session, Mechanism, Template, Template, Place(1), Place(1));
    C_WrapKey(Session, Mechanism, Object, Object, Out);
    C_UnwrapKey(Session, Mechanism, Object, In, Template, Place(1));
    C_DeriveKey(Session, Mechanism, Object, Template, Place(1));
    C_EncapsulateKey(Session, Mechanism, Object, Template, Out, Place(1));
    C_DecapsulateKey(Session, Mechanism, Object, Template, In, Place(1));
    C_WrapKeyAuthenticated(Session, OfMessage, Object, Object, In, Out);
    C_UnwrapKeyAuthenticated(Session, OfMessage, Object, In, Template, In, Place(1));
    C_SeedRandom(Session, In);
    C_GenerateRandom(Session, In);
    C_MessageEncryptInit(Session, OfMessage, Object);
    C_EncryptMessage(Session, Message, In, In, Out);
    C_EncryptMessageBegin(Session, Message, In);
    C_EncryptMessageNext(Session, Message, In, Out, Number);
    C_MessageEncryptFinal(Session);
    C_MessageDecryptInit(Session, OfMessage, Object);
    C_DecryptMessage(Session, Message, In, In, Out);
    C_DecryptMessageBegin(Session, Message, In);
    C_DecryptMessageNext(Session, Message, In, Out, Number);
    C_MessageDecryptFinal(Session);
    C_MessageSignInit(Session, Mechanism, Object);
    C_SignMessage(Session, Null, Null, In, Out);
    C_SignMessageBegin(Session, Null, Null);
    C_SignMessageNext(Session, Null, Null, In, Out);
    C_MessageSignFinal(Session);
    C_MessageVerifyInit(Session, Mechanism, Object);
    C_VerifyMessage(Session, Null, Null, In, In);
    C_VerifyMessageBegin(Session, Null, Null);
    C_VerifyMessageNext(Session, Null, Null, In, In);
    C_MessageVerifyFinal(Session);
}

fn call(function: *const (), words: &[CK_ULONG]) -> CK_RV {
    assert!(!function.is_null(), "a function is not in the list");
    // SAFETY: it is a function of the list. The pointers among the words are null, or go with a length that
    // no memory has, or lead to memory of this call that is as long as it is said to be.
    unsafe { by_count::call(function, words) }
}

/// The module, initialised, with a token whose user is logged in.
struct Module {
    list: &'static CK_FUNCTION_LIST_3_2,
    slot: CK_ULONG,
    /// Keeps the user logged in, and is in no call.
    session: CK_ULONG,
    _dir: TempDir,
}

/// Sequences of calls.
pub(crate) fn run(data: &[u8]) {
    // The fuzzer sees what is compared, and a caller who says the value sees it.
    if tells(data, &SECRET) {
        return;
    }
    thread_local! {
        static MODULE: Module = Module::new();
    }
    MODULE.with(|module| {
        let mut caller = Caller::new(module);
        let u = &mut Unstructured::new(data);
        for _ in 0..MOST {
            // What ends in the middle of a call is as good as one that ends before it.
            if u.is_empty() || caller.call(u).is_err() {
                break;
            }
        }
        for session in caller.sessions {
            module.call("C_CloseSession", &[session]);
        }
    });
}

impl Module {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("strongroom.toml");
        std::fs::write(&config, "legacy = true\n[store]\npath = 'store'\n").unwrap();
        // SAFETY: the process has no other thread that reads its environment; see tests/edge.rs.
        unsafe { std::env::set_var("STRONGROOM_CONF", &config) };
        let mut interface = ptr::null_mut();
        // SAFETY: the place is there; nothing else is given.
        let found = unsafe { C_GetInterface(ptr::null(), ptr::null(), &raw mut interface, 0) };
        assert_eq!(found, CKR_OK);
        // SAFETY: the interface is a static of the module.
        let list = unsafe { (*interface).pFunctionList };
        // SAFETY: the default interface is that of version 3.2, and the list a static of the module.
        let list = unsafe { &*list.cast::<CK_FUNCTION_LIST_3_2>() };
        let mut this = Self { list, slot: 0, session: 0, _dir: dir };
        assert_eq!(call(address!(list.C_Initialize), &[0]), CKR_OK);
        this.begin();
        this
    }

    /// Makes a token and logs its user in.
    fn begin(&mut self) {
        let memory = &mut Memory::default();
        let (slots, count) = (memory.words(&[0; 4]), memory.words(&[4]));
        self.must("C_GetSlotList", &[1, slots, count]);
        self.slot = memory.word(slots);
        let [so, user] = [SO_PIN, PIN].map(|pin| [memory.bytes(pin), ulong(pin.len())]);
        let label = memory.bytes(&[b' '; 32]);
        let list = self.list;
        assert_eq!(call(address!(list.C_InitToken), &[self.slot, so[0], so[1], label]), CKR_OK);
        let place = memory.words(&[0]);
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        self.must("C_OpenSession", &[self.slot, flags, 0, 0, place]);
        self.session = memory.word(place);
        let [login, logout, init_pin] =
            [address!(list.C_Login), address!(list.C_Logout), address!(list.C_InitPIN)];
        assert_eq!(call(login, &[self.session, CKU_SO, so[0], so[1]]), CKR_OK);
        assert_eq!(call(init_pin, &[self.session, user[0], user[1]]), CKR_OK);
        assert_eq!(call(logout, &[self.session]), CKR_OK);
        assert_eq!(call(login, &[self.session, CKU_USER, user[0], user[1]]), CKR_OK);
    }

    fn call(&self, name: &str, words: &[CK_ULONG]) -> CK_RV {
        let function = FUNCTIONS.iter().find(|function| function.name == name).expect("a name");
        call((function.find)(self.list), words)
    }

    fn must(&self, name: &str, words: &[CK_ULONG]) {
        assert_eq!(self.call(name, words), CKR_OK, "{name}");
    }
}

/// Memory that the arguments of a call point to: each piece as long as it is said to be, so that the
/// sanitizer sees who goes beyond.
#[derive(Default)]
struct Memory {
    bytes: Vec<(*mut u8, usize)>,
    words: Vec<(*mut CK_ULONG, usize)>,
}

impl Memory {
    fn bytes(&mut self, bytes: &[u8]) -> CK_ULONG {
        let piece = Box::into_raw(bytes.to_vec().into_boxed_slice());
        self.bytes.push((piece.cast(), bytes.len()));
        ulong(piece.cast::<u8>().expose_provenance())
    }

    fn words(&mut self, words: &[CK_ULONG]) -> CK_ULONG {
        let piece = Box::into_raw(words.to_vec().into_boxed_slice());
        self.words.push((piece.cast(), words.len()));
        ulong(piece.cast::<CK_ULONG>().expose_provenance())
    }

    /// The first word of a piece.
    fn word(&self, at: CK_ULONG) -> CK_ULONG {
        let is = |(piece, _): &&(*mut CK_ULONG, usize)| ulong(piece.addr()) == at;
        let (piece, _) = self.words.iter().find(is).expect("a piece of this memory");
        // SAFETY: the piece is this memory's, has a word, and no call is under way.
        unsafe { piece.read() }
    }

    /// Whether a half of a secret is anywhere in it.
    fn tells(&self, secret: &[u8; 32]) -> bool {
        let words =
            self.words.iter().map(|(at, len)| (at.cast::<u8>(), len * size_of::<CK_ULONG>()));
        self.bytes.iter().copied().chain(words).any(|(at, len)| {
            // SAFETY: the piece is this memory's, of this length, and no call is under way.
            let piece = unsafe { std::slice::from_raw_parts(at, len) };
            tells(piece, secret)
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (at, len) in self.bytes.drain(..) {
            // SAFETY: it came of a box of this length, and nobody else has it.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(at, len)) });
        }
        for (at, len) in self.words.drain(..) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(at, len)) });
        }
    }
}

/// Who makes the calls of an input.
struct Caller<'a> {
    module: &'a Module,
    sessions: Vec<CK_ULONG>,
    objects: Vec<CK_ULONG>,
}

impl<'a> Caller<'a> {
    /// With a session, a key that may do everything, one that is sensitive, and a pair.
    fn new(module: &'a Module) -> Self {
        let memory = &mut Memory::default();
        let place = memory.words(&[0, 0]);
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        module.must("C_OpenSession", &[module.slot, flags, 0, 0, place]);
        let session = memory.word(place);
        let mut objects = Vec::new();
        for (value, open) in [([7; 32], true), (SECRET, false)] {
            let (at, count) = memory.template(&key(&value, open));
            module.must("C_CreateObject", &[session, at, count, place]);
            objects.push(memory.word(place));
        }
        let mut public = Attributes::default();
        let p256 = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        public.set(attribute::EC_PARAMS, p256.as_slice());
        let (public, one) = memory.template(&public);
        let mechanism = memory.words(&[CKM_EC_KEY_PAIR_GEN, 0, 0]);
        let private = memory.words(&[0]);
        let words = [session, mechanism, public, one, 0, 0, place, private];
        module.must("C_GenerateKeyPair", &words);
        objects.extend([memory.word(place), memory.word(private)]);
        Self { module, sessions: vec![session], objects }
    }

    /// One call, and what it must not do.
    fn call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let function = u.choose(FUNCTIONS)?;
        let memory = &mut Memory::default();
        let mut words = Vec::new();
        for kind in function.args {
            self.argument(u, *kind, memory, &mut words)?;
        }
        if function.name == "C_DestroyObject" && words[1] == self.objects[1] {
            // It stays: it is what must not be seen.
            return Ok(());
        }
        let rv = call((function.find)(self.module.list), &words);
        assert!(rv != CKR_GENERAL_ERROR && rv != CKR_FUNCTION_FAILED, "{}: {rv:#x}", function.name);
        assert!(!memory.tells(&SECRET), "{}", function.name);
        if rv == CKR_OK {
            self.remember(function, memory, &words);
        }
        Ok(())
    }

    /// Handles that came of a call, and sessions that are gone.
    fn remember(&mut self, function: &Function, memory: &Memory, words: &[CK_ULONG]) {
        match function.name {
            "C_OpenSession" => self.sessions.push(memory.word(words[4])),
            "C_CloseSession" => self.sessions.retain(|session| *session != words[0]),
            name if function.args.iter().any(|kind| matches!(kind, Template))
                && matches!(function.args.last(), Some(Place(_))) =>
            {
                // C_DeriveKey may have no place.
                let last = *words.last().expect("an argument");
                if last != 0 && name != "C_FindObjectsInit" {
                    self.objects.push(memory.word(last));
                }
            }
            _ => {}
        }
    }

    fn argument(
        &self,
        u: &mut Unstructured<'_>,
        kind: Kind,
        memory: &mut Memory,
        words: &mut Vec<CK_ULONG>,
    ) -> Result<()> {
        let fault = u.arbitrary::<u8>()?;
        let mut pair = |pointer, len| words.extend(wrong(fault, pointer, len));
        match kind {
            Session => words.push(match (fault, self.sessions.as_slice()) {
                (0..=3, _) | (_, []) => self.strange(u)?,
                (_, sessions) => *u.choose(sessions)?,
            }),
            Slot => words.push(if fault < 4 { u.arbitrary()? } else { self.module.slot }),
            Object => {
                words.push(if fault < 4 { self.strange(u)? } else { *u.choose(&self.objects)? })
            }
            Number => words.push(made::number(u)?),
            Flags => words.push(match fault {
                0 => u.arbitrary::<u64>()? & !CKF_ASYNC_SESSION,
                1..=127 => CKF_SERIAL_SESSION,
                _ => CKF_SERIAL_SESSION | CKF_RW_SESSION,
            }),
            Place(len) => words.push(if fault < 4 { 0 } else { memory.words(&vec![0; len]) }),
            In => {
                let bytes = made::bytes(u)?;
                pair(memory.bytes(&bytes), ulong(bytes.len()));
            }
            Out => {
                let room = match fault {
                    0..=31 => 0,
                    32..=63 => made::bytes(u)?.len(),
                    _ => PLENTY,
                };
                let at = if fault < 16 { 0 } else { memory.bytes(&vec![0; room]) };
                let len = if fault == 255 { 0 } else { memory.words(&[ulong(room)]) };
                words.extend([at, len]);
            }
            List => {
                let room = usize::from(fault % 8) * 64;
                let at = if fault < 16 { 0 } else { memory.words(&vec![0; room]) };
                let len = if fault == 255 { 0 } else { memory.words(&[ulong(room)]) };
                words.extend([at, len]);
            }
            Found => {
                let room = usize::from(fault % 8);
                let at = if fault < 8 { 0 } else { memory.words(&vec![0; room]) };
                words.extend([at, ulong(room), memory.words(&[0])]);
            }
            Mechanism => words.push(if fault < 4 { 0 } else { memory.mechanism(u, layouts)? }),
            OfMessage => words.push(memory.mechanism(u, strongroom_token::message_layouts)?),
            Template => {
                let mut template =
                    if fault % 2 == 0 { made::whole(u)? } else { made::template(u)? };
                made::change(u, &mut template, 1)?;
                // What is kept would be there for the next input.
                template.remove(attribute::TOKEN.info);
                let (at, count) = memory.template(&template);
                pair(at, count);
            }
            Query => {
                let (at, count) = memory.query(u)?;
                pair(at, count);
            }
            Message => {
                let id = made::mechanism(u)?;
                let layout = strongroom_token::message_layouts(id).unwrap_or_default();
                let (at, len) = match layout.is_empty() {
                    true => (0, 0),
                    false => {
                        let layout = *u.choose(layout)?;
                        memory.parameter(u, layout)?
                    }
                };
                pair(at, len);
            }
            Null => words.push(0),
        }
        Ok(())
    }

    /// A handle that nobody gave out, or only by chance; but not the one that keeps the login.
    fn strange(&self, u: &mut Unstructured<'_>) -> Result<CK_ULONG> {
        let handle = u.arbitrary()?;
        Ok(if handle == self.module.session { 0 } else { handle })
    }
}

/// A pointer and a length, or something that is wrong about them.
fn wrong(fault: u8, pointer: CK_ULONG, len: CK_ULONG) -> [CK_ULONG; 2] {
    match fault {
        0 => [0, len],
        1 => [pointer, 0],
        2 => [pointer, CK_ULONG::MAX],
        3 => [pointer, 1 << 63],
        4 => [0, 0],
        5 => [pointer, len.saturating_sub(1)],
        _ => [pointer, len],
    }
}

/// Whether the value of an attribute is attributes, with pointers of their own.
fn is_template(id: u64) -> bool {
    AttributeInfo::find(id).is_some_and(|info| info.kind == strongroom_types::Kind::Attributes)
}

/// A secret key: one that everybody may know, or one that nobody may.
fn key(value: &[u8; 32], open: bool) -> Attributes {
    let mut key = Attributes::default();
    key.set(attribute::CLASS, CKO_SECRET_KEY);
    key.set(attribute::KEY_TYPE, CKK_AES);
    key.set(attribute::VALUE, value.as_slice());
    key.set(attribute::SENSITIVE, !open);
    key.set(attribute::EXTRACTABLE, open);
    for usage in [attribute::ENCRYPT, attribute::DECRYPT, attribute::SIGN, attribute::VERIFY] {
        key.set(usage, true);
    }
    for usage in [attribute::WRAP, attribute::UNWRAP, attribute::DERIVE] {
        key.set(usage, open);
    }
    key
}

impl Memory {
    /// `CK_ATTRIBUTE`s and their number.
    fn template(&mut self, template: &Attributes) -> (CK_ULONG, CK_ULONG) {
        let mut words = Vec::new();
        for (id, value) in template.iter() {
            let (at, len) = match value {
                // A caller whose template is none leads the module to any address.
                value if is_template(id) && !value.is(strongroom_types::Kind::Attributes) => (0, 0),
                Value::Bool(value) => (self.bytes(&[u8::from(*value)]), 1),
                Value::Ulong(value) => (self.words(&[*value]), size_of::<CK_ULONG>()),
                Value::Bytes(bytes) => (self.bytes(bytes), bytes.len()),
                Value::Ulongs(list) => (self.words(list), size_of_val(list.as_slice())),
                Value::Attributes(inner) => {
                    let (at, count) = self.template(inner);
                    (at, usize::try_from(count).unwrap() * size_of::<CK_ATTRIBUTE>())
                }
            };
            words.extend([id, at, ulong(len)]);
        }
        (self.words(&words), ulong(template.len()))
    }

    /// Some attributes, with room for their values, or with none.
    fn query(&mut self, u: &mut Unstructured<'_>) -> Result<(CK_ULONG, CK_ULONG)> {
        let count = u.int_in_range(0..=4_usize)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let id = u.choose(attribute::ATTRIBUTES)?.id;
            let room = u.int_in_range(0..=80_usize)? * size_of::<CK_ULONG>();
            // Templates inside have rooms of their own, which zeros are not.
            let at =
                if u.ratio(1, 4)? { 0 } else { self.words(&vec![0; room / size_of::<CK_ULONG>()]) };
            words.extend([id, at, ulong(room)]);
        }
        Ok((self.words(&words), ulong(count)))
    }

    /// A `CK_MECHANISM` whose parameter is of one of its layouts.
    fn mechanism(
        &mut self,
        u: &mut Unstructured<'_>,
        layouts: fn(MechanismType) -> Option<&'static [Layout]>,
    ) -> Result<CK_ULONG> {
        let id = made::mechanism(u)?;
        let layout = *u.choose(layouts(id).unwrap_or(&[&[]]))?;
        let fault = u.arbitrary::<u8>()?;
        let params = made::params(u, layout)?;
        let row = strongroom_mechanisms::Policy::Legacy.mechanism(id).expect("a row");
        if parameters::takes_long(row, &params) {
            return Err(arbitrary::Error::IncorrectFormat);
        }
        let (at, len) = self.structure(layout, &params);
        let [at, len] = wrong(fault, at, len);
        Ok(self.words(&[id.0, at, len]))
    }

    /// A parameter of a layout, with any values.
    fn parameter(
        &mut self,
        u: &mut Unstructured<'_>,
        layout: Layout,
    ) -> Result<(CK_ULONG, CK_ULONG)> {
        let params = made::params(u, layout)?;
        Ok(self.structure(layout, &params))
    }

    /// The C structure of a layout with these values, and its length.
    fn structure(&mut self, layout: Layout, params: &Params) -> (CK_ULONG, CK_ULONG) {
        if layout.is_empty() {
            return (0, 0);
        }
        if let ([Field::Whole], [Param::Bytes(bytes)]) = (layout, params.as_slice()) {
            return (self.bytes(bytes), ulong(bytes.len()));
        }
        let mut structure = Structure::default();
        for (field, value) in layout.iter().zip(params.as_slice()) {
            self.member(&mut structure, *field, value);
        }
        let bytes = structure.finish();
        let words: Vec<_> =
            bytes.as_chunks().0.iter().map(|word| CK_ULONG::from_ne_bytes(*word)).collect();
        // A structure of bytes alone has no word's alignment, and any address will do.
        let at = if bytes.len() % 8 == 0 { self.words(&words) } else { self.bytes(&bytes) };
        (at, ulong(bytes.len()))
    }

    fn member(&mut self, structure: &mut Structure, field: Field, value: &Param) {
        match (field, value) {
            (Field::Bool, Param::Bool(value)) => structure.bytes(&[u8::from(*value)]),
            (Field::Ulong, Param::Ulong(value)) => structure.word(*value),
            (Field::Fixed(_), Param::Bytes(bytes)) => structure.bytes(bytes),
            (Field::PtrLen | Field::PtrLenOrPtr | Field::InOutPtrLen, Param::Bytes(bytes)) => {
                structure.word(self.bytes(bytes));
                structure.word(ulong(bytes.len()));
            }
            (Field::LenPtr, Param::Bytes(bytes)) => {
                structure.word(ulong(bytes.len()));
                structure.word(self.bytes(bytes));
            }
            (Field::PtrBits(bits) | Field::InOutPtrLenOrBits(bits), Param::Bytes(bytes)) => {
                // What is no number of bits is one of bytes, and then there are as many.
                let len = ulong(bytes.len());
                let len = if bits.contains(&(len * 8)) { len * 8 } else { len };
                let there = if bits.contains(&len) { len.div_ceil(8) } else { len };
                let mut bytes = bytes.to_vec();
                bytes.resize(usize::try_from(there).unwrap(), 0);
                structure.word(self.bytes(&bytes));
                structure.word(len);
            }
            (Field::InOutPtrBits, Param::Bytes(bytes)) => {
                structure.word(self.bytes(bytes));
                structure.word(ulong(bytes.len()) * 8);
            }
            (Field::InOutPtr(_), Param::Bytes(bytes)) => structure.word(self.bytes(bytes)),
            (Field::Ptr(layout), Param::Structure(inner)) => {
                structure.word(self.structure(layout, inner).0);
            }
            (Field::Array(layout), Param::Structures(all)) => {
                structure.word(ulong(all.len()));
                let mut array = Structure::default();
                for inner in all {
                    for (field, value) in layout.iter().zip(inner.as_slice()) {
                        self.member(&mut array, *field, value);
                    }
                    array.align();
                }
                let words = array.words();
                structure.word(self.words(&words));
            }
            (Field::Tagged(layouts), Param::Structure(inner)) => {
                let Some((Param::Ulong(tag), rest)) = inner.as_slice().split_first() else {
                    return;
                };
                let row = layouts.iter().find(|(known, _)| known == tag).expect("a layout");
                let rest = rest.iter().cloned().collect();
                let (at, len) = self.structure(row.1, &rest);
                [*tag, at, len].iter().for_each(|word| structure.word(*word));
            }
            (Field::Template, Param::Template(template)) => {
                let (at, count) = self.template(template);
                structure.word(at);
                structure.word(count);
            }
            (Field::OutHandle, _) => structure.word(0),
            (Field::OutPtr(len), Param::Place(there)) => {
                structure.word(if *there { self.bytes(&vec![0; len]) } else { 0 });
            }
            // How long it has to be is in another member, which is any number.
            (Field::OutPtrBits(_), _) => structure.word(0),
            _ => unreachable!("the values are of the layout"),
        }
    }
}

/// A structure of C, member by member.
#[derive(Default)]
struct Structure {
    bytes: Vec<u8>,
    /// Whether it has to begin, and to end, at a whole word.
    whole: bool,
}

impl Structure {
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn word(&mut self, word: CK_ULONG) {
        self.whole = true;
        self.align();
        self.bytes.extend(word.to_ne_bytes());
    }

    fn align(&mut self) {
        if self.whole {
            self.bytes.resize(self.bytes.len().next_multiple_of(size_of::<CK_ULONG>()), 0);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    fn words(self) -> Vec<CK_ULONG> {
        let bytes = self.finish();
        bytes.as_chunks().0.iter().map(|word| CK_ULONG::from_ne_bytes(*word)).collect()
    }
}

fn ulong(number: usize) -> CK_ULONG {
    CK_ULONG::try_from(number).expect("a CK_ULONG has the width of a usize")
}
