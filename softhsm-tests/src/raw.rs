//! The calls of a PKCS#11 module, as C sees them: the one file with `unsafe`, with `raw/later.rs`,
//! which has the functions since 3.0, and `raw/words.rs` and `raw/by_count.rs`, which call any function
//! by its name.
//!
//! Everything here is safe to call. What a C caller may get wrong is expressed as data: a null
//! pointer with a length ([`In::Null`]), a buffer of any size ([`Room`]), a missing length, a
//! handle that nobody gave out. What would be undefined behaviour in the *caller* (a length beyond
//! a real buffer) cannot be expressed but in `raw/words.rs`. Every buffer handed out has a margin
//! behind it, which must be untouched afterwards.

#![allow(unsafe_code, reason = "a function list of C is called here, and nowhere else")]

mod by_count;
mod later;
mod words;

pub use later::Message;
pub use words::{Memory, alarm, go_on_in_a_child, vast};

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cryptoki_sys::*;
use libloading::Library;
use zeroize::Zeroize;

use crate::rv::Rv;
use crate::template::{Attribute, Value};

/// Bytes behind every output buffer that no module may touch.
const MARGIN: usize = 32;
const MARGIN_BYTE: u8 = 0xA5;

/// A length, as C says it.
fn ulong(length: usize) -> CK_ULONG {
    CK_ULONG::try_from(length).expect("a CK_ULONG has the width of a usize")
}

/// A length, as Rust says it.
fn size(length: CK_ULONG) -> usize {
    usize::try_from(length).expect("a CK_ULONG has the width of a usize")
}

/// Bytes that go in.
#[derive(Clone, Copy, Debug)]
pub enum In<'a> {
    /// A pointer to these bytes, and their length.
    Bytes(&'a [u8]),
    /// A null pointer, and this length.
    Null(usize),
}

impl In<'_> {
    /// A null pointer and length 0.
    pub const NONE: Self = Self::Null(0);

    fn pointer(self) -> *mut CK_BYTE {
        match self {
            Self::Bytes(bytes) => bytes.as_ptr().cast_mut(),
            Self::Null(_) => ptr::null_mut(),
        }
    }

    fn len(self) -> CK_ULONG {
        match self {
            Self::Bytes(bytes) => ulong(bytes.len()),
            Self::Null(len) => ulong(len),
        }
    }
}

impl<'a> From<&'a [u8]> for In<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for In<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for In<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for In<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

/// Where bytes come out.
#[derive(Clone, Copy, Debug)]
pub enum Room {
    /// No buffer: a query for the length.
    Query,
    /// A buffer of so many bytes.
    Bytes(usize),
    /// A buffer, but a null pointer where its length should be.
    NoLength,
}

/// More room than any output in these tests needs.
pub const PLENTY: Room = Room::Bytes(40_000);

/// What came out.
#[derive(Debug)]
pub struct Produced {
    /// The answer.
    pub rv: Rv,
    /// The length, as the module wrote it.
    pub len: usize,
    /// The bytes, if there were any.
    pub bytes: Vec<u8>,
}

impl Produced {
    /// The bytes, if the call was answered with `CKR_OK`.
    pub fn ok(self) -> Result<Vec<u8>, Rv> {
        if self.rv == Rv::OK { Ok(self.bytes) } else { Err(self.rv) }
    }
}

fn produce(room: Room, call: impl FnOnce(*mut CK_BYTE, *mut CK_ULONG) -> Rv) -> Produced {
    let (capacity, buffer) = match room {
        Room::Query | Room::NoLength => (0, false),
        Room::Bytes(capacity) => (capacity, true),
    };
    let mut bytes = vec![MARGIN_BYTE; capacity + MARGIN];
    let mut len = ulong(capacity);
    let pointer =
        if buffer || matches!(room, Room::NoLength) { bytes.as_mut_ptr() } else { ptr::null_mut() };
    let length =
        if matches!(room, Room::NoLength) { ptr::null_mut() } else { ptr::from_mut(&mut len) };
    let rv = call(pointer, length);
    assert!(
        bytes[capacity..].iter().all(|byte| *byte == MARGIN_BYTE),
        "the module wrote behind a buffer of {capacity} bytes ({rv:?}, length {len})"
    );
    bytes.truncate(if rv == Rv::OK { capacity.min(size(len)) } else { 0 });
    Produced { rv, len: size(len), bytes }
}

/// Members of a structure.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// A number; on this machine, two `CK_BBOOL` and their padding are one too.
    Number(CK_ULONG),
    /// A pointer and its length.
    Bytes(In<'a>),
    /// A length and its pointer.
    Len(In<'a>),
    /// A pointer to another structure of such members.
    Structure(&'a [Word<'a>]),
    /// A pointer to a structure of numbers, which the module may change.
    Place(&'a [Cell<CK_ULONG>]),
}

/// The address of such a place, for a structure in which it is a number.
pub fn address(place: &[Cell<CK_ULONG>]) -> CK_ULONG {
    ulong(place.as_ptr().expose_provenance())
}

/// The parameter of a mechanism.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// No parameter.
    None,
    /// These bytes, or a null pointer with a length.
    Bytes(In<'a>),
    /// A `CK_ULONG`, as the general-length MACs take it.
    Ulong(CK_ULONG),
    /// A structure whose members are all as wide as a `CK_ULONG`, or padded to it.
    Words(&'a [Word<'a>]),
    /// `CK_RSA_PKCS_PSS_PARAMS`.
    Pss {
        /// The digest of the message.
        hash: CK_MECHANISM_TYPE,
        /// The mask generation function.
        mgf: CK_RSA_PKCS_MGF_TYPE,
        /// The length of the salt.
        salt: usize,
    },
    /// `CK_RSA_PKCS_OAEP_PARAMS`.
    Oaep {
        /// The digest of the label.
        hash: CK_MECHANISM_TYPE,
        /// The mask generation function.
        mgf: CK_RSA_PKCS_MGF_TYPE,
        /// `CKZ_DATA_SPECIFIED`, or 0.
        source: CK_RSA_PKCS_OAEP_SOURCE_TYPE,
        /// The label.
        label: In<'a>,
    },
    /// `CK_AES_CTR_PARAMS`.
    Ctr {
        /// How many bits count.
        bits: CK_ULONG,
        /// The first counter block.
        block: [u8; 16],
    },
    /// `CK_GCM_PARAMS`.
    Gcm {
        /// The initialisation vector.
        iv: In<'a>,
        /// Additional authenticated data.
        aad: In<'a>,
        /// The length of the tag in bits.
        tag_bits: CK_ULONG,
    },
    /// `CK_ECDH1_DERIVE_PARAMS`.
    Ecdh {
        /// The key derivation function.
        kdf: CK_EC_KDF_TYPE,
        /// Shared data.
        shared: In<'a>,
        /// The other party's point.
        public: In<'a>,
    },
    /// `CK_EDDSA_PARAMS`.
    Eddsa {
        /// Whether the message is hashed first.
        prehash: bool,
        /// The context.
        context: In<'a>,
    },
}

/// A mechanism and its parameter.
#[derive(Clone, Copy, Debug)]
pub struct Mechanism<'a> {
    /// The `CKM_` number.
    pub id: CK_MECHANISM_TYPE,
    /// The parameter.
    pub param: Param<'a>,
}

impl Mechanism<'_> {
    /// A mechanism without a parameter.
    pub const fn plain(id: CK_MECHANISM_TYPE) -> Self {
        Self { id, param: Param::None }
    }
}

impl<'a> Mechanism<'a> {
    /// A mechanism with a parameter.
    pub const fn with(id: CK_MECHANISM_TYPE, param: Param<'a>) -> Self {
        Self { id, param }
    }

    /// A mechanism whose parameter is an initialisation vector.
    pub fn iv(id: CK_MECHANISM_TYPE, iv: &'a [u8]) -> Self {
        Self { id, param: Param::Bytes(In::Bytes(iv)) }
    }

    fn lower(&self) -> LoweredMechanism {
        fn boxed<T: 'static>(value: T) -> (*mut c_void, usize, Option<Box<dyn Any>>) {
            let mut value = Box::new(value);
            let pointer = ptr::from_mut(value.as_mut()).cast::<c_void>();
            (pointer, size_of::<T>(), Some(value))
        }
        let (pointer, len, keep) = match self.param {
            Param::None => (ptr::null_mut(), 0, None),
            Param::Bytes(bytes) => (bytes.pointer().cast(), size(bytes.len()), None),
            Param::Ulong(value) => boxed(value),
            Param::Words(words) => {
                let (mut keep, len) = (Structure::new(words), words.iter().map(Word::size).sum());
                (keep.pointer(), len, Some(Box::new(keep) as Box<dyn Any>))
            }
            Param::Pss { hash, mgf, salt } => {
                boxed(CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: ulong(salt) })
            }
            Param::Oaep { hash, mgf, source, label } => boxed(CK_RSA_PKCS_OAEP_PARAMS {
                hashAlg: hash,
                mgf,
                source,
                pSourceData: label.pointer().cast(),
                ulSourceDataLen: label.len(),
            }),
            Param::Ctr { bits, block } => {
                boxed(CK_AES_CTR_PARAMS { ulCounterBits: bits, cb: block })
            }
            Param::Gcm { iv, aad, tag_bits } => boxed(CK_GCM_PARAMS {
                pIv: iv.pointer(),
                ulIvLen: iv.len(),
                ulIvBits: iv.len().wrapping_mul(8),
                pAAD: aad.pointer(),
                ulAADLen: aad.len(),
                ulTagBits: tag_bits,
            }),
            Param::Ecdh { kdf, shared, public } => boxed(CK_ECDH1_DERIVE_PARAMS {
                kdf,
                ulSharedDataLen: shared.len(),
                pSharedData: shared.pointer(),
                ulPublicDataLen: public.len(),
                pPublicData: public.pointer(),
            }),
            Param::Eddsa { prehash, context } => boxed(CK_EDDSA_PARAMS {
                phFlag: CK_BBOOL::from(prehash),
                ulContextDataLen: context.len(),
                pContextData: context.pointer(),
            }),
        };
        LoweredMechanism {
            raw: CK_MECHANISM {
                mechanism: self.id,
                pParameter: pointer,
                ulParameterLen: ulong(len),
            },
            _keep: keep,
        }
    }
}

impl Word<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Number(_) | Self::Structure(_) | Self::Place(_) => size_of::<CK_ULONG>(),
            Self::Bytes(_) | Self::Len(_) => 2 * size_of::<CK_ULONG>(),
        }
    }
}

/// A structure in memory, and those that it points to.
struct Structure {
    words: Box<[*mut c_void]>,
    _inner: Vec<Structure>,
}

impl Structure {
    fn new(members: &[Word<'_>]) -> Self {
        let number = |number: CK_ULONG| ptr::without_provenance_mut(size(number));
        let (mut words, mut inner) = (Vec::new(), Vec::new());
        for member in members {
            match member {
                Word::Number(value) => words.push(number(*value)),
                Word::Bytes(bytes) => words.extend([bytes.pointer().cast(), number(bytes.len())]),
                Word::Len(bytes) => words.extend([number(bytes.len()), bytes.pointer().cast()]),
                Word::Structure(members) => {
                    let mut structure = Self::new(members);
                    words.push(structure.pointer());
                    inner.push(structure);
                }
                Word::Place(cells) => words.push(cells.as_ptr().cast_mut().cast()),
            }
        }
        Self { words: words.into_boxed_slice(), _inner: inner }
    }

    fn pointer(&mut self) -> *mut c_void {
        self.words.as_mut_ptr().cast()
    }
}

impl From<CK_MECHANISM_TYPE> for Mechanism<'_> {
    fn from(id: CK_MECHANISM_TYPE) -> Self {
        Self::plain(id)
    }
}

struct LoweredMechanism {
    raw: CK_MECHANISM,
    _keep: Option<Box<dyn Any>>,
}

impl LoweredMechanism {
    fn pointer(&mut self) -> *mut CK_MECHANISM {
        &raw mut self.raw
    }
}

/// A template: attributes, or a null pointer with a count.
#[derive(Clone, Copy, Debug)]
pub enum Template<'a> {
    /// These attributes.
    Of(&'a [Attribute]),
    /// A null pointer, and this count.
    Null(CK_ULONG),
}

impl<'a> From<&'a [Attribute]> for Template<'a> {
    fn from(attributes: &'a [Attribute]) -> Self {
        Self::Of(attributes)
    }
}

impl<'a> From<&'a Vec<Attribute>> for Template<'a> {
    fn from(attributes: &'a Vec<Attribute>) -> Self {
        Self::Of(attributes)
    }
}

impl<'a, const N: usize> From<&'a [Attribute; N]> for Template<'a> {
    fn from(attributes: &'a [Attribute; N]) -> Self {
        Self::Of(attributes)
    }
}

struct LoweredTemplate {
    raw: Vec<CK_ATTRIBUTE>,
    null: Option<CK_ULONG>,
    _bytes: Vec<Box<[u8]>>,
    _ulongs: Vec<Box<[CK_ULONG]>>,
    _nested: Vec<LoweredTemplate>,
}

impl LoweredTemplate {
    fn new<'a>(template: impl Into<Template<'a>>) -> Self {
        let mut lowered = Self {
            raw: Vec::new(),
            null: None,
            _bytes: Vec::new(),
            _ulongs: Vec::new(),
            _nested: Vec::new(),
        };
        match template.into() {
            Template::Null(count) => lowered.null = Some(count),
            Template::Of(attributes) => attributes.iter().for_each(|one| lowered.push(one)),
        }
        lowered
    }

    fn push(&mut self, (kind, value): &Attribute) {
        let (pointer, len): (*mut c_void, usize) = match value {
            Value::Bool(value) => self.keep_bytes(vec![CK_BBOOL::from(*value)]),
            Value::Bytes(bytes) => self.keep_bytes(bytes.clone()),
            Value::Ulong(value) => self.keep_ulongs(vec![*value]),
            Value::Ulongs(values) => self.keep_ulongs(values.clone()),
            Value::Template(attributes) => {
                let mut nested = Self::new(attributes);
                let pointer = nested.raw.as_mut_ptr().cast();
                let len = size_of_val(nested.raw.as_slice());
                self._nested.push(nested);
                (pointer, len)
            }
            Value::Null(len) => (ptr::null_mut(), *len),
        };
        self.raw.push(CK_ATTRIBUTE { type_: *kind, pValue: pointer, ulValueLen: ulong(len) });
    }

    fn keep_bytes(&mut self, bytes: Vec<u8>) -> (*mut c_void, usize) {
        let mut bytes = bytes.into_boxed_slice();
        let found = (bytes.as_mut_ptr().cast(), bytes.len());
        self._bytes.push(bytes);
        found
    }

    fn keep_ulongs(&mut self, values: Vec<CK_ULONG>) -> (*mut c_void, usize) {
        let mut values = values.into_boxed_slice();
        let found = (values.as_mut_ptr().cast(), size_of_val(&*values));
        self._ulongs.push(values);
        found
    }

    fn pointer(&mut self) -> *mut CK_ATTRIBUTE {
        if self.null.is_some() { ptr::null_mut() } else { self.raw.as_mut_ptr() }
    }

    fn len(&self) -> CK_ULONG {
        self.null.unwrap_or_else(|| ulong(self.raw.len()))
    }
}

/// A test that looks for keys in memory does not find those that it gave to the module itself.
impl Drop for LoweredTemplate {
    fn drop(&mut self) {
        self._bytes.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// One attribute of an answer of `C_GetAttributeValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// The length as the module wrote it; `CK_UNAVAILABLE_INFORMATION` stands for "no".
    pub len: CK_ULONG,
    /// The value, if there was room for it.
    pub bytes: Vec<u8>,
}

/// How `C_Initialize` is called.
#[derive(Clone, Copy, Debug)]
pub enum InitArgs {
    /// A null pointer.
    Null,
    /// A structure with these flags and no callbacks.
    Flags(CK_FLAGS),
    /// Those of the four callbacks (create, destroy, lock, unlock) that are true, and these flags.
    Mutexes([bool; 4], CK_FLAGS),
    /// `CKF_OS_LOCKING_OK`, and a `pReserved` that points nowhere.
    Reserved,
}

/// An interface that the module offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The version in its function table.
    pub version: (u8, u8),
    /// Its flags.
    pub flags: CK_FLAGS,
    /// How many functions its table holds, if the version says how long the table is.
    pub functions: Option<usize>,
}

impl Interface {
    fn read(interface: &CK_INTERFACE) -> Self {
        // SAFETY: the name is a NUL-terminated string, as chapter 5.4 promises.
        let name = unsafe { CStr::from_ptr(interface.pInterfaceName.cast()) };
        // SAFETY: every function table starts with a CK_VERSION, as chapter 5.4 promises.
        let version = unsafe { *interface.pFunctionList.cast::<CK_VERSION>() };
        let entries = match (version.major, version.minor) {
            (2, 40) => Some(68),
            (3, 0 | 1) => Some(92),
            (3, 2) => Some(104),
            _ => None,
        };
        let functions = entries.map(|entries| {
            (1..=entries)
                .filter(|index| {
                    let table = interface.pFunctionList.cast::<Option<unsafe extern "C" fn()>>();
                    // SAFETY: a table of this version has so many entries behind its version.
                    let entry = unsafe { *table.wrapping_add(*index) };
                    entry.is_some()
                })
                .count()
        });
        Self {
            name: name.to_string_lossy().into_owned(),
            version: (version.major, version.minor),
            flags: interface.flags,
            functions,
        }
    }
}

/// The functions for a part that two operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dual {
    /// `C_DigestEncryptUpdate`.
    DigestEncrypt,
    /// `C_DecryptDigestUpdate`.
    DecryptDigest,
    /// `C_SignEncryptUpdate`.
    SignEncrypt,
    /// `C_DecryptVerifyUpdate`.
    DecryptVerify,
}

/// A loaded module.
pub struct Module {
    library: &'static Library,
    list: CK_FUNCTION_LIST,
}

/// Calls an entry of the function list.
macro_rules! call {
    ($module:expr, $function:ident($($arg:expr),* $(,)?)) => {{
        let function = $module.list.$function.expect(concat!(stringify!($function), " is in the table"));
        // SAFETY: the function is the module's, and every pointer is null or valid for the length
        // that goes with it until the call returns.
        Rv(unsafe { function($($arg),*) })
    }};
}

impl Module {
    /// Loads the module at this path. It stays loaded: a module need not survive `dlclose`.
    pub fn load(path: &Path) -> Self {
        // SAFETY: loading runs the initialisers of a library that is here to be tested.
        let library = unsafe { Library::new(path) };
        let library = library.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let library: &'static Library = Box::leak(Box::new(library));
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        {
            // SAFETY: the type is that of the standard.
            let get = unsafe {
                library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                    b"C_GetFunctionList\0",
                )
            };
            let get = get.expect("the module exports C_GetFunctionList");
            // SAFETY: the pointer is valid for a write of one pointer.
            let rv = Rv(unsafe { get(&raw mut list) });
            assert_eq!(rv, Rv::OK, "C_GetFunctionList");
        }
        assert!(!list.is_null(), "C_GetFunctionList gave no list");
        // SAFETY: the module promises a list of at least 68 functions that lives as long as it.
        let list = unsafe { *list };
        Self { library, list }
    }

    /// Whether the module exports a function of this name.
    pub fn exports(&self, name: &str) -> bool {
        let name = CString::new(name).expect("a name without NUL");
        // SAFETY: the symbol is looked up and never called.
        let symbol =
            unsafe { self.library.get::<unsafe extern "C" fn()>(name.as_bytes_with_nul()) };
        symbol.is_ok()
    }

    /// The version of the table of `C_GetFunctionList`, and how many of its 68 entries are filled.
    pub fn table(&self) -> ((u8, u8), usize) {
        let mut list = self.list;
        let version = (list.version.major, list.version.minor);
        list.version = CK_VERSION { major: 2, minor: 40 };
        let interface = CK_INTERFACE {
            pInterfaceName: c"PKCS 11".as_ptr().cast_mut().cast(),
            pFunctionList: (&raw mut list).cast(),
            flags: 0,
        };
        (version, Interface::read(&interface).functions.expect("2.40 is known"))
    }

    /// `C_GetFunctionList` with a null pointer.
    pub fn function_list_null(&self) -> Rv {
        call!(self, C_GetFunctionList(ptr::null_mut()))
    }

    /// `C_GetInterface`; `None` when the module does not export it.
    pub fn interface(
        &self,
        name: Option<&str>,
        version: Option<(u8, u8)>,
        flags: CK_FLAGS,
    ) -> Option<Result<Interface, Rv>> {
        type Get = unsafe extern "C" fn(
            *mut CK_UTF8CHAR,
            *mut CK_VERSION,
            *mut *mut CK_INTERFACE,
            CK_FLAGS,
        ) -> CK_RV;
        // SAFETY: the type is that of the standard.
        let get = unsafe { self.library.get::<Get>(b"C_GetInterface\0") }.ok()?;
        let name = name.map(|name| CString::new(name).expect("a name without NUL"));
        let name = name.as_ref().map_or(ptr::null_mut(), |name| name.as_ptr().cast_mut().cast());
        let mut version = version.map(|(major, minor)| CK_VERSION { major, minor });
        let version = version.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut interface: *mut CK_INTERFACE = ptr::null_mut();
        // SAFETY: every pointer is null or valid, and the name ends in NUL.
        let rv = Rv(unsafe { get(name, version, &raw mut interface, flags) });
        if rv != Rv::OK {
            return Some(Err(rv));
        }
        assert!(!interface.is_null(), "C_GetInterface gave no interface");
        // SAFETY: the module answered CKR_OK, so this points at its interface.
        let interface = unsafe { *interface };
        Some(Ok(Interface::read(&interface)))
    }

    /// `C_GetInterfaceList` with room for this many; `None` when the module does not export it.
    pub fn interface_list(&self, room: Option<usize>) -> Option<(Rv, usize, Vec<Interface>)> {
        type Get = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_RV;
        // SAFETY: the type is that of the standard.
        let get = unsafe { self.library.get::<Get>(b"C_GetInterfaceList\0") }.ok()?;
        let mut list = vec![CK_INTERFACE::default(); room.unwrap_or(0)];
        let mut count = ulong(list.len());
        let pointer = if room.is_some() { list.as_mut_ptr() } else { ptr::null_mut() };
        // SAFETY: the list has room for `count` interfaces.
        let rv = Rv(unsafe { get(pointer, &raw mut count) });
        list.truncate(if rv == Rv::OK { size(count) } else { 0 });
        Some((rv, size(count), list.iter().map(Interface::read).collect()))
    }

    // 5.4, general purpose.

    /// `C_Initialize`.
    pub fn initialize(&self, how: InitArgs) -> Rv {
        let mut args = CK_C_INITIALIZE_ARGS::default();
        match how {
            InitArgs::Null => return call!(self, C_Initialize(ptr::null_mut())),
            InitArgs::Flags(flags) => args.flags = flags,
            InitArgs::Mutexes([create, destroy, lock, unlock], flags) => {
                args.flags = flags;
                args.CreateMutex = create.then_some(create_mutex);
                args.DestroyMutex = destroy.then_some(destroy_mutex);
                args.LockMutex = lock.then_some(lock_mutex);
                args.UnlockMutex = unlock.then_some(unlock_mutex);
            }
            InitArgs::Reserved => {
                args.flags = CKF_OS_LOCKING_OK;
                args.pReserved = ptr::without_provenance_mut(8);
            }
        }
        call!(self, C_Initialize((&raw mut args).cast()))
    }

    /// `C_Finalize`.
    pub fn finalize(&self) -> Rv {
        call!(self, C_Finalize(ptr::null_mut()))
    }

    /// `C_Finalize` with a `pReserved` that points nowhere.
    pub fn finalize_reserved(&self) -> Rv {
        call!(self, C_Finalize(ptr::without_provenance_mut(8)))
    }

    /// `C_GetInfo`.
    pub fn info(&self) -> Result<CK_INFO, Rv> {
        let mut info = CK_INFO::default();
        call!(self, C_GetInfo(&raw mut info)).with(info)
    }

    // 5.5, slots and tokens.

    /// `C_GetSlotList`: the answer, the count, and the slots.
    pub fn slot_list(&self, present: bool, room: Option<usize>) -> (Rv, usize, Vec<CK_SLOT_ID>) {
        list(room, |pointer, count| {
            call!(self, C_GetSlotList(CK_BBOOL::from(present), pointer, count))
        })
    }

    /// `C_GetSlotInfo`.
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Result<CK_SLOT_INFO, Rv> {
        let mut info = CK_SLOT_INFO::default();
        call!(self, C_GetSlotInfo(slot, &raw mut info)).with(info)
    }

    /// `C_GetTokenInfo`.
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, Rv> {
        let mut info = CK_TOKEN_INFO::default();
        call!(self, C_GetTokenInfo(slot, &raw mut info)).with(info)
    }

    /// `C_WaitForSlotEvent`.
    pub fn wait_for_slot_event(&self, flags: CK_FLAGS) -> Result<CK_SLOT_ID, Rv> {
        let mut slot = 0;
        call!(self, C_WaitForSlotEvent(flags, &raw mut slot, ptr::null_mut())).with(slot)
    }

    /// `C_WaitForSlotEvent` without a place for the slot.
    pub fn wait_for_any_slot_event(&self, flags: CK_FLAGS) -> Rv {
        call!(self, C_WaitForSlotEvent(flags, ptr::null_mut(), ptr::null_mut()))
    }

    /// `C_GetMechanismList`.
    pub fn mechanism_list(
        &self,
        slot: CK_SLOT_ID,
        room: Option<usize>,
    ) -> (Rv, usize, Vec<CK_MECHANISM_TYPE>) {
        list(room, |pointer, count| call!(self, C_GetMechanismList(slot, pointer, count)))
    }

    /// `C_GetMechanismInfo`.
    pub fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        mechanism: CK_MECHANISM_TYPE,
    ) -> Result<CK_MECHANISM_INFO, Rv> {
        let mut info = CK_MECHANISM_INFO::default();
        call!(self, C_GetMechanismInfo(slot, mechanism, &raw mut info)).with(info)
    }

    /// `C_InitToken`. The label is padded with blanks to 32 bytes.
    pub fn init_token(&self, slot: CK_SLOT_ID, pin: In<'_>, label: &str) -> Rv {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        call!(self, C_InitToken(slot, pin.pointer(), pin.len(), padded.as_mut_ptr()))
    }

    /// `C_InitPIN`.
    pub fn init_pin(&self, session: CK_SESSION_HANDLE, pin: In<'_>) -> Rv {
        call!(self, C_InitPIN(session, pin.pointer(), pin.len()))
    }

    /// `C_SetPIN`.
    pub fn set_pin(&self, session: CK_SESSION_HANDLE, old: In<'_>, new: In<'_>) -> Rv {
        call!(self, C_SetPIN(session, old.pointer(), old.len(), new.pointer(), new.len()))
    }

    // 5.6, sessions.

    /// `C_OpenSession`.
    pub fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE, Rv> {
        let mut session = 0;
        call!(self, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut session))
            .with(session)
    }

    /// `C_CloseSession`.
    pub fn close_session(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_CloseSession(session))
    }

    /// `C_CloseAllSessions`.
    pub fn close_all_sessions(&self, slot: CK_SLOT_ID) -> Rv {
        call!(self, C_CloseAllSessions(slot))
    }

    /// `C_GetSessionInfo`.
    pub fn session_info(&self, session: CK_SESSION_HANDLE) -> Result<CK_SESSION_INFO, Rv> {
        let mut info = CK_SESSION_INFO::default();
        call!(self, C_GetSessionInfo(session, &raw mut info)).with(info)
    }

    /// `C_GetOperationState`.
    pub fn operation_state(&self, session: CK_SESSION_HANDLE, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_GetOperationState(session, out, len)))
    }

    /// `C_SetOperationState` of a state that needs no keys.
    pub fn set_operation_state(&self, session: CK_SESSION_HANDLE, state: In<'_>) -> Rv {
        self.set_operation_state_with(session, state, CK_INVALID_HANDLE, CK_INVALID_HANDLE)
    }

    /// `C_SetOperationState` with the keys that encrypt and authenticate.
    pub fn set_operation_state_with(
        &self,
        session: CK_SESSION_HANDLE,
        state: In<'_>,
        encrypts: CK_OBJECT_HANDLE,
        authenticates: CK_OBJECT_HANDLE,
    ) -> Rv {
        let (pointer, len) = (state.pointer(), state.len());
        call!(self, C_SetOperationState(session, pointer, len, encrypts, authenticates))
    }

    /// `C_Login`.
    pub fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: In<'_>) -> Rv {
        call!(self, C_Login(session, user, pin.pointer(), pin.len()))
    }

    /// `C_Logout`.
    pub fn logout(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_Logout(session))
    }

    // 5.7, objects.

    /// `C_CreateObject`.
    pub fn create_object<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        template: impl Into<Template<'a>>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut object = 0;
        call!(self, C_CreateObject(session, template.pointer(), template.len(), &raw mut object))
            .with(object)
    }

    /// `C_CopyObject`.
    pub fn copy_object<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: impl Into<Template<'a>>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut copy = 0;
        call!(
            self,
            C_CopyObject(session, object, template.pointer(), template.len(), &raw mut copy)
        )
        .with(copy)
    }

    /// `C_DestroyObject`.
    pub fn destroy_object(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Rv {
        call!(self, C_DestroyObject(session, object))
    }

    /// `C_GetObjectSize`.
    pub fn object_size(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
    ) -> Result<CK_ULONG, Rv> {
        let mut bytes = 0;
        call!(self, C_GetObjectSize(session, object, &raw mut bytes)).with(bytes)
    }

    /// `C_GetAttributeValue`: each attribute with its room.
    pub fn attribute_value(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        wanted: &[(CK_ATTRIBUTE_TYPE, Room)],
    ) -> (Rv, Vec<Got>) {
        // A little-endian machine would read an odd buffer as well; a CK_ULONG must be aligned.
        let mut buffers: Vec<Vec<u8>> = wanted
            .iter()
            .map(|(_, room)| match room {
                Room::Bytes(room) => vec![MARGIN_BYTE; room + MARGIN],
                Room::Query | Room::NoLength => Vec::new(),
            })
            .collect();
        let mut template: Vec<CK_ATTRIBUTE> = wanted
            .iter()
            .zip(&mut buffers)
            .map(|((kind, room), buffer)| match room {
                Room::Bytes(room) => CK_ATTRIBUTE {
                    type_: *kind,
                    pValue: buffer.as_mut_ptr().cast(),
                    ulValueLen: ulong(*room),
                },
                Room::Query | Room::NoLength => {
                    CK_ATTRIBUTE { type_: *kind, pValue: ptr::null_mut(), ulValueLen: 0 }
                }
            })
            .collect();
        let count = ulong(template.len());
        let rv = call!(self, C_GetAttributeValue(session, object, template.as_mut_ptr(), count));
        let got = template
            .iter()
            .zip(buffers)
            .map(|(attribute, mut bytes)| {
                let room = bytes.len().saturating_sub(MARGIN);
                assert!(
                    bytes.iter().skip(room).all(|byte| *byte == MARGIN_BYTE),
                    "the module wrote behind the value of attribute {:#x}",
                    attribute.type_
                );
                let len = attribute.ulValueLen;
                bytes.truncate(if len == CK_UNAVAILABLE_INFORMATION {
                    0
                } else {
                    size(len).min(room)
                });
                Got { len, bytes }
            })
            .collect();
        (rv, got)
    }

    /// `C_SetAttributeValue`.
    pub fn set_attribute_value<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: impl Into<Template<'a>>,
    ) -> Rv {
        let mut template = LoweredTemplate::new(template);
        call!(self, C_SetAttributeValue(session, object, template.pointer(), template.len()))
    }

    /// `C_FindObjectsInit`.
    pub fn find_objects_init<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        template: impl Into<Template<'a>>,
    ) -> Rv {
        let mut template = LoweredTemplate::new(template);
        call!(self, C_FindObjectsInit(session, template.pointer(), template.len()))
    }

    /// `C_FindObjects`, at most so many.
    pub fn find_objects(
        &self,
        session: CK_SESSION_HANDLE,
        most: usize,
    ) -> Result<Vec<CK_OBJECT_HANDLE>, Rv> {
        let mut found = vec![0; most];
        let mut count = 0;
        let rv =
            call!(self, C_FindObjects(session, found.as_mut_ptr(), ulong(most), &raw mut count));
        found.truncate(size(count));
        rv.with(found)
    }

    /// `C_FindObjectsFinal`.
    pub fn find_objects_final(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_FindObjectsFinal(session))
    }

    // 5.8 to 5.13, operations.

    /// `C_EncryptInit`; no mechanism is a null pointer.
    pub fn encrypt_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_EncryptInit(session, pointer, key)))
    }

    /// `C_Encrypt`.
    pub fn encrypt(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_Encrypt(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_Encrypt` with input and output in one buffer; the first `data` bytes are the input.
    pub fn encrypt_in_place(
        &self,
        session: CK_SESSION_HANDLE,
        buffer: &mut [u8],
        data: usize,
    ) -> (Rv, usize) {
        assert!(data <= buffer.len());
        let mut len = ulong(buffer.len());
        let pointer = buffer.as_mut_ptr();
        let rv = call!(self, C_Encrypt(session, pointer, ulong(data), pointer, &raw mut len));
        (rv, size(len))
    }

    /// `C_EncryptUpdate`.
    pub fn encrypt_update(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_EncryptUpdate(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_EncryptUpdate` with input and output in one buffer.
    pub fn encrypt_update_in_place(
        &self,
        session: CK_SESSION_HANDLE,
        buffer: &mut [u8],
    ) -> (Rv, usize) {
        let mut len = ulong(buffer.len());
        let pointer = buffer.as_mut_ptr();
        let rv = call!(self, C_EncryptUpdate(session, pointer, len, pointer, &raw mut len));
        (rv, size(len))
    }

    /// `C_EncryptFinal`.
    pub fn encrypt_final(&self, session: CK_SESSION_HANDLE, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_EncryptFinal(session, out, len)))
    }

    /// `C_DecryptInit`; no mechanism is a null pointer.
    pub fn decrypt_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_DecryptInit(session, pointer, key)))
    }

    /// `C_Decrypt`.
    pub fn decrypt(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_Decrypt(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_Decrypt` with input and output in one buffer; the first `data` bytes are the input.
    pub fn decrypt_in_place(
        &self,
        session: CK_SESSION_HANDLE,
        buffer: &mut [u8],
        data: usize,
    ) -> (Rv, usize) {
        assert!(data <= buffer.len());
        let mut len = ulong(buffer.len());
        let pointer = buffer.as_mut_ptr();
        let rv = call!(self, C_Decrypt(session, pointer, ulong(data), pointer, &raw mut len));
        (rv, size(len))
    }

    /// `C_DecryptUpdate`.
    pub fn decrypt_update(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_DecryptUpdate(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_DecryptFinal`.
    pub fn decrypt_final(&self, session: CK_SESSION_HANDLE, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_DecryptFinal(session, out, len)))
    }

    /// `C_DigestInit`; no mechanism is a null pointer.
    pub fn digest_init(&self, session: CK_SESSION_HANDLE, mechanism: Option<&Mechanism<'_>>) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_DigestInit(session, pointer)))
    }

    /// `C_Digest`.
    pub fn digest(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_Digest(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_DigestUpdate`.
    pub fn digest_update(&self, session: CK_SESSION_HANDLE, data: In<'_>) -> Rv {
        call!(self, C_DigestUpdate(session, data.pointer(), data.len()))
    }

    /// `C_DigestKey`.
    pub fn digest_key(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Rv {
        call!(self, C_DigestKey(session, key))
    }

    /// `C_DigestFinal`.
    pub fn digest_final(&self, session: CK_SESSION_HANDLE, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_DigestFinal(session, out, len)))
    }

    /// `C_SignInit`; no mechanism is a null pointer.
    pub fn sign_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_SignInit(session, pointer, key)))
    }

    /// `C_Sign`.
    pub fn sign(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_Sign(session, data.pointer(), data.len(), out, len)))
    }

    /// `C_SignUpdate`.
    pub fn sign_update(&self, session: CK_SESSION_HANDLE, data: In<'_>) -> Rv {
        call!(self, C_SignUpdate(session, data.pointer(), data.len()))
    }

    /// `C_SignFinal`.
    pub fn sign_final(&self, session: CK_SESSION_HANDLE, room: Room) -> Produced {
        produce(room, |out, len| call!(self, C_SignFinal(session, out, len)))
    }

    /// `C_VerifyInit`; no mechanism is a null pointer.
    pub fn verify_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_VerifyInit(session, pointer, key)))
    }

    /// `C_Verify`.
    pub fn verify(&self, session: CK_SESSION_HANDLE, data: In<'_>, signature: In<'_>) -> Rv {
        call!(
            self,
            C_Verify(session, data.pointer(), data.len(), signature.pointer(), signature.len())
        )
    }

    /// `C_VerifyUpdate`.
    pub fn verify_update(&self, session: CK_SESSION_HANDLE, data: In<'_>) -> Rv {
        call!(self, C_VerifyUpdate(session, data.pointer(), data.len()))
    }

    /// `C_VerifyFinal`.
    pub fn verify_final(&self, session: CK_SESSION_HANDLE, signature: In<'_>) -> Rv {
        call!(self, C_VerifyFinal(session, signature.pointer(), signature.len()))
    }

    /// `C_SignRecoverInit`.
    pub fn sign_recover_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_SignRecoverInit(session, pointer, key)))
    }

    /// `C_SignRecover`.
    pub fn sign_recover(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_SignRecover(session, data.pointer(), data.len(), out, len))
        })
    }

    /// `C_VerifyRecoverInit`.
    pub fn verify_recover_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        with_mechanism(mechanism, |pointer| call!(self, C_VerifyRecoverInit(session, pointer, key)))
    }

    /// `C_VerifyRecover`.
    pub fn verify_recover(&self, session: CK_SESSION_HANDLE, data: In<'_>, room: Room) -> Produced {
        produce(room, |out, len| {
            call!(self, C_VerifyRecover(session, data.pointer(), data.len(), out, len))
        })
    }

    /// One of the four functions for a part that two operations take.
    pub fn dual(
        &self,
        which: Dual,
        session: CK_SESSION_HANDLE,
        part: In<'_>,
        room: Room,
    ) -> Produced {
        let (data, len) = (part.pointer(), part.len());
        produce(room, |out, out_len| match which {
            Dual::DigestEncrypt => {
                call!(self, C_DigestEncryptUpdate(session, data, len, out, out_len))
            }
            Dual::DecryptDigest => {
                call!(self, C_DecryptDigestUpdate(session, data, len, out, out_len))
            }
            Dual::SignEncrypt => {
                call!(self, C_SignEncryptUpdate(session, data, len, out, out_len))
            }
            Dual::DecryptVerify => {
                call!(self, C_DecryptVerifyUpdate(session, data, len, out, out_len))
            }
        })
    }

    // 5.18, key management.

    /// `C_GenerateKey`; no mechanism is a null pointer.
    pub fn generate_key<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        template: impl Into<Template<'a>>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut key = 0;
        with_mechanism(mechanism, |pointer| {
            call!(
                self,
                C_GenerateKey(session, pointer, template.pointer(), template.len(), &raw mut key)
            )
        })
        .with(key)
    }

    /// `C_GenerateKeyPair`: the public and the private key.
    pub fn generate_key_pair<'a, 'b>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        public: impl Into<Template<'a>>,
        private: impl Into<Template<'b>>,
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), Rv> {
        let mut public = LoweredTemplate::new(public);
        let mut private = LoweredTemplate::new(private);
        let (mut public_key, mut private_key) = (0, 0);
        with_mechanism(mechanism, |pointer| {
            call!(
                self,
                C_GenerateKeyPair(
                    session,
                    pointer,
                    public.pointer(),
                    public.len(),
                    private.pointer(),
                    private.len(),
                    &raw mut public_key,
                    &raw mut private_key,
                )
            )
        })
        .with((public_key, private_key))
    }

    /// `C_WrapKey`.
    pub fn wrap_key(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        wrapping: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
        room: Room,
    ) -> Produced {
        produce(room, |out, len| {
            with_mechanism(mechanism, |pointer| {
                call!(self, C_WrapKey(session, pointer, wrapping, key, out, len))
            })
        })
    }

    /// `C_UnwrapKey`.
    pub fn unwrap_key<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        unwrapping: CK_OBJECT_HANDLE,
        wrapped: In<'_>,
        template: impl Into<Template<'a>>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut key = 0;
        with_mechanism(mechanism, |pointer| {
            call!(
                self,
                C_UnwrapKey(
                    session,
                    pointer,
                    unwrapping,
                    wrapped.pointer(),
                    wrapped.len(),
                    template.pointer(),
                    template.len(),
                    &raw mut key,
                )
            )
        })
        .with(key)
    }

    /// `C_DeriveKey`.
    pub fn derive_key<'a>(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Option<&Mechanism<'_>>,
        base: CK_OBJECT_HANDLE,
        template: impl Into<Template<'a>>,
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mut template = LoweredTemplate::new(template);
        let mut key = 0;
        with_mechanism(mechanism, |pointer| {
            call!(
                self,
                C_DeriveKey(
                    session,
                    pointer,
                    base,
                    template.pointer(),
                    template.len(),
                    &raw mut key
                )
            )
        })
        .with(key)
    }

    // 5.19 and 5.20, random numbers and the parallel functions.

    /// `C_SeedRandom`.
    pub fn seed_random(&self, session: CK_SESSION_HANDLE, seed: In<'_>) -> Rv {
        call!(self, C_SeedRandom(session, seed.pointer(), seed.len()))
    }

    /// `C_GenerateRandom`.
    pub fn generate_random(&self, session: CK_SESSION_HANDLE, len: usize) -> Result<Vec<u8>, Rv> {
        produce(Room::Bytes(len), |out, _| call!(self, C_GenerateRandom(session, out, ulong(len))))
            .ok()
    }

    /// `C_GetFunctionStatus`.
    pub fn function_status(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_GetFunctionStatus(session))
    }

    /// `C_CancelFunction`.
    pub fn cancel_function(&self, session: CK_SESSION_HANDLE) -> Rv {
        call!(self, C_CancelFunction(session))
    }

    /// Calls with a null pointer where the standard demands one that points somewhere.
    pub fn null_pointer_call(&self, which: NullPointer, session: CK_SESSION_HANDLE) -> Rv {
        let slot = self.session_info(session).map_or(0, |info| info.slotID);
        let mut bytes = [0_u8; 16];
        let out = bytes.as_mut_ptr();
        match which {
            NullPointer::GetInfo => call!(self, C_GetInfo(ptr::null_mut())),
            NullPointer::GetSlotListCount => {
                call!(self, C_GetSlotList(CK_FALSE, ptr::null_mut(), ptr::null_mut()))
            }
            NullPointer::GetSlotInfo => call!(self, C_GetSlotInfo(slot, ptr::null_mut())),
            NullPointer::GetTokenInfo => call!(self, C_GetTokenInfo(slot, ptr::null_mut())),
            NullPointer::GetMechanismListCount => {
                call!(self, C_GetMechanismList(slot, ptr::null_mut(), ptr::null_mut()))
            }
            NullPointer::GetMechanismInfo => {
                call!(self, C_GetMechanismInfo(slot, CKM_SHA256, ptr::null_mut()))
            }
            NullPointer::OpenSessionHandle => call!(
                self,
                C_OpenSession(slot, CKF_SERIAL_SESSION, ptr::null_mut(), None, ptr::null_mut())
            ),
            NullPointer::GetSessionInfo => call!(self, C_GetSessionInfo(session, ptr::null_mut())),
            NullPointer::CreateObjectHandle => {
                let mut template = LoweredTemplate::new(&[(CKA_CLASS, CKO_DATA.into())]);
                call!(
                    self,
                    C_CreateObject(session, template.pointer(), template.len(), ptr::null_mut())
                )
            }
            NullPointer::FindObjectsOutput => {
                let mut count = 0;
                call!(self, C_FindObjects(session, ptr::null_mut(), 5, &raw mut count))
            }
            NullPointer::FindObjectsCount => {
                let mut found = [0; 2];
                call!(self, C_FindObjects(session, found.as_mut_ptr(), 2, ptr::null_mut()))
            }
            NullPointer::GenerateRandom => {
                call!(self, C_GenerateRandom(session, ptr::null_mut(), 16))
            }
            NullPointer::GenerateKeyHandle => {
                let mut mechanism = Mechanism::plain(CKM_AES_KEY_GEN).lower();
                let mut template = LoweredTemplate::new(&[(CKA_VALUE_LEN, 16_u64.into())]);
                call!(
                    self,
                    C_GenerateKey(
                        session,
                        mechanism.pointer(),
                        template.pointer(),
                        template.len(),
                        ptr::null_mut()
                    )
                )
            }
            NullPointer::DigestLength => {
                call!(self, C_Digest(session, out, 16, out, ptr::null_mut()))
            }
            NullPointer::InitTokenLabel => {
                call!(self, C_InitToken(slot, out, 8, ptr::null_mut()))
            }
        }
    }
}

/// A place for a null pointer.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each names the function and the argument")]
pub enum NullPointer {
    GetInfo,
    GetSlotListCount,
    GetSlotInfo,
    GetTokenInfo,
    GetMechanismListCount,
    GetMechanismInfo,
    OpenSessionHandle,
    GetSessionInfo,
    CreateObjectHandle,
    FindObjectsOutput,
    FindObjectsCount,
    GenerateRandom,
    GenerateKeyHandle,
    DigestLength,
    InitTokenLabel,
}

fn with_mechanism(
    mechanism: Option<&Mechanism<'_>>,
    call: impl FnOnce(*mut CK_MECHANISM) -> Rv,
) -> Rv {
    match mechanism {
        Some(mechanism) => call(mechanism.lower().pointer()),
        None => call(ptr::null_mut()),
    }
}

fn list(
    room: Option<usize>,
    call: impl FnOnce(*mut CK_ULONG, *mut CK_ULONG) -> Rv,
) -> (Rv, usize, Vec<CK_ULONG>) {
    let mut entries = vec![CK_ULONG::MAX; room.unwrap_or(0) + 1];
    let mut count = ulong(room.unwrap_or(0));
    let pointer = if room.is_some() { entries.as_mut_ptr() } else { ptr::null_mut() };
    let rv = call(pointer, &raw mut count);
    assert_eq!(entries.last(), Some(&CK_ULONG::MAX), "the module wrote behind a list");
    entries.truncate(if rv == Rv::OK { size(count).min(room.unwrap_or(0)) } else { 0 });
    (rv, size(count), entries)
}

/// How often the module has called each mutex callback: create, destroy, lock, unlock.
pub static MUTEX_CALLS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

/// A mutex for [`InitArgs::Mutexes`]: it spins.
extern "C" fn create_mutex(out: *mut *mut c_void) -> CK_RV {
    MUTEX_CALLS[0].fetch_add(1, Ordering::SeqCst);
    let mutex = Box::into_raw(Box::new(AtomicBool::new(false)));
    // SAFETY: the module passes a place for the pointer.
    unsafe { *out = mutex.cast() };
    CKR_OK
}

extern "C" fn destroy_mutex(mutex: *mut c_void) -> CK_RV {
    MUTEX_CALLS[1].fetch_add(1, Ordering::SeqCst);
    // SAFETY: the module passes a mutex that it got from `create_mutex`, for the last time.
    drop(unsafe { Box::from_raw(mutex.cast::<AtomicBool>()) });
    CKR_OK
}

extern "C" fn lock_mutex(mutex: *mut c_void) -> CK_RV {
    MUTEX_CALLS[2].fetch_add(1, Ordering::SeqCst);
    // SAFETY: the module passes a mutex that it got from `create_mutex`.
    let mutex = unsafe { &*mutex.cast::<AtomicBool>() };
    while mutex.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
    CKR_OK
}

extern "C" fn unlock_mutex(mutex: *mut c_void) -> CK_RV {
    MUTEX_CALLS[3].fetch_add(1, Ordering::SeqCst);
    // SAFETY: the module passes a mutex that it got from `create_mutex`.
    let mutex = unsafe { &*mutex.cast::<AtomicBool>() };
    mutex.store(false, Ordering::Release);
    CKR_OK
}

/// How a forked child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Exit(c_int),
    /// By this signal.
    Signal(c_int),
}

/// A forked child.
#[derive(Debug)]
pub struct Forked(libc::pid_t);

/// Has a program end when the thread that starts it does.
pub fn ends_with_this_thread(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let end = || {
        // SAFETY: the call takes two numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: the closure does nothing that a process may not do between fork and exec.
    unsafe { command.pre_exec(end) };
}

/// Asks a child of this process to end, as a service manager does.
pub fn terminate(child: &std::process::Child) {
    let pid = libc::pid_t::try_from(child.id()).expect("a process number");
    // SAFETY: no pointer is involved, and the process is our child until it is waited for.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

impl Forked {
    /// Forks; the child runs this body and ends with its status, without any exit handler.
    /// A child that hangs is ended by its alarm clock.
    pub fn start(body: impl FnOnce() -> c_int) -> Self {
        // SAFETY: the child runs the body and `_exit`; the allocator of glibc survives a fork.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            // SAFETY: no pointer is involved.
            unsafe { libc::alarm(30) };
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: no pointer is involved.
            unsafe { libc::_exit(status.unwrap_or(101)) };
        }
        Self(pid)
    }

    /// Ends the child with SIGKILL.
    pub fn kill(&self) {
        // SAFETY: no pointer is involved, and the process is our child until `wait`.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }

    /// Waits for the child to end.
    pub fn wait(self) -> Ended {
        let mut status = 0;
        // SAFETY: the pointer is valid for one status.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0, "waitpid");
        if libc::WIFEXITED(status) {
            Ended::Exit(libc::WEXITSTATUS(status))
        } else {
            Ended::Signal(libc::WTERMSIG(status))
        }
    }
}

/// A limit on the address space of this process, until it is dropped.
#[derive(Debug)]
pub struct SpaceLimit(libc::rlimit);

/// Lets this process have so many bytes of address space more, and then no more.
pub fn limit_address_space(more: u64) -> SpaceLimit {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("the size of this process");
    let pages: u64 = pages.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid for one limit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut before) }, 0, "getrlimit");
    let limit = libc::rlimit { rlim_cur: pages * 4096 + more, ..before };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0, "setrlimit");
    SpaceLimit(before)
}

impl Drop for SpaceLimit {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid for one limit; it was this one before.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const self.0) };
    }
}

/// Has this thread, and what it starts, obey the permissions of files, root or not.
pub fn obey_permissions() {
    /// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`.
    const CAPABILITIES: [c_int; 2] = [1, 2];
    /// The effective, the permitted and the inheritable ones, the first 32 and the others.
    type Sets = [[u32; 3]; 2];
    // `_LINUX_CAPABILITY_VERSION_3`, and this thread.
    let header = [0x2008_0522_u32, 0];
    let mut sets: Sets = [[0; 3]; 2];
    // SAFETY: both pointers are valid for what the call reads and writes.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    assert_eq!(got, 0, "capget");
    for capability in CAPABILITIES {
        // What has no right to do so starts nothing that has more rights.
        // SAFETY: no pointer is involved.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) };
        sets[0].iter_mut().for_each(|set| *set &= !(1 << capability));
    }
    // SAFETY: both pointers are valid for what the call reads.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0, "capset");
}

/// Registers an exit handler.
pub fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a function without arguments, and lives as long as the program.
    let registered = unsafe { libc::atexit(handler) };
    assert_eq!(registered, 0, "atexit");
}

/// Sets a variable of the environment, or removes it.
pub fn set_variable(name: &str, value: Option<&Path>) {
    match value {
        // SAFETY: a test sets variables before it starts threads; only the module reads them.
        Some(value) => unsafe { std::env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { std::env::remove_var(name) },
    }
}

/// Ends the process at once, without any exit handler.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: no pointer is involved.
    unsafe { libc::_exit(status) }
}
