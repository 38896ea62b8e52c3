//! A PKCS#11 module as a C application has it: loaded by `dlopen`, called through its list of
//! functions. The one file with `unsafe`; everything in it is safe to call.
//!
//! Nothing here is slower than a C program would be: parameters lie on the stack, output goes into
//! the caller's buffer, and only templates take an allocation.

#![allow(unsafe_code, reason = "a function list of C is called here, and nowhere else")]

use std::ffi::c_void;
use std::path::Path;
use std::ptr;

use cryptoki_sys::*;
use libloading::Library;

use crate::Result;

/// A session.
pub(crate) type Session = CK_SESSION_HANDLE;
/// An object.
pub(crate) type Object = CK_OBJECT_HANDLE;

/// A loaded module. It stays loaded: a module need not survive `dlclose`.
pub(crate) struct Module {
    functions: CK_FUNCTION_LIST,
}

// SAFETY: the functions of a module that was initialised with CKF_OS_LOCKING_OK may be called by
// any thread; the standard says so.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A mechanism, and its parameter.
#[derive(Clone, Copy)]
pub(crate) struct Mechanism<'a> {
    pub(crate) id: CK_MECHANISM_TYPE,
    pub(crate) parameter: Parameter<'a>,
}

/// The parameter of a mechanism.
#[derive(Clone, Copy)]
pub(crate) enum Parameter<'a> {
    /// None.
    None,
    /// `CK_GCM_PARAMS` with this IV and a whole tag.
    Gcm(&'a [u8]),
    /// `CK_RSA_PKCS_PSS_PARAMS` for SHA-256.
    Pss,
    /// `CK_ECDH1_DERIVE_PARAMS` with the other party's point.
    Ecdh(&'a [u8]),
}

/// The value of an attribute in a template.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    True,
    False,
    Ulong(CK_ULONG),
    Bytes(&'a [u8]),
}

/// An attribute in a template.
pub(crate) type Attribute<'a> = (CK_ATTRIBUTE_TYPE, Value<'a>);

/// Calls an entry of the list of functions; what is not `CKR_OK` is an error.
macro_rules! call {
    ($module:expr, $function:ident($($arg:expr),* $(,)?)) => {{
        let function = $module.functions.$function;
        let function = function.ok_or(concat!(stringify!($function), " is not in the list"))?;
        // SAFETY: the function is the module's, and every pointer is null or valid for the length
        // that goes with it until the call returns.
        let rv = unsafe { function($($arg),*) };
        outcome(stringify!($function), rv)
    }};
}

fn outcome(function: &str, rv: CK_RV) -> Result {
    if rv == CKR_OK { Ok(()) } else { Err(format!("{function} answers {rv:#x}").into()) }
}

impl Module {
    /// Loads the module at this path.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        // SAFETY: loading runs the initialisers of a library that is here to be measured.
        let library = unsafe { Library::new(path) }?;
        let library: &'static Library = Box::leak(Box::new(library));
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        type Get = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;
        // SAFETY: the type is that of the standard.
        let get = unsafe { library.get::<Get>(b"C_GetFunctionList\0") }?;
        // SAFETY: the pointer is valid for a write of one pointer.
        outcome("C_GetFunctionList", unsafe { get(&raw mut list) })?;
        if list.is_null() {
            return Err("C_GetFunctionList gives no list".into());
        }
        // SAFETY: the module promises a list of 68 functions that lives as long as it.
        let functions = unsafe { *list };
        Ok(Self { functions })
    }

    pub(crate) fn initialize(&self) -> Result {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: ptr::null_mut(),
        };
        call!(self, C_Initialize((&raw mut arguments).cast()))
    }

    pub(crate) fn finalize(&self) -> Result {
        call!(self, C_Finalize(ptr::null_mut()))
    }

    /// The slots, which all have a token.
    pub(crate) fn slots(&self) -> Result<Vec<CK_SLOT_ID>> {
        let mut slots = vec![0; 16];
        let mut count = ulong(slots.len())?;
        call!(self, C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &raw mut count))?;
        slots.truncate(size(count)?);
        Ok(slots)
    }

    /// Whether the token of a slot is initialised.
    pub(crate) fn is_initialized(&self, slot: CK_SLOT_ID) -> Result<bool> {
        let mut info = CK_TOKEN_INFO::default();
        call!(self, C_GetTokenInfo(slot, &raw mut info))?;
        Ok(info.flags & CKF_TOKEN_INITIALIZED != 0)
    }

    pub(crate) fn init_token(&self, slot: CK_SLOT_ID, pin: &[u8]) -> Result {
        let mut label = [b' '; 32];
        call!(self, C_InitToken(slot, pointer(pin), ulong(pin.len())?, label.as_mut_ptr()))
    }

    pub(crate) fn init_pin(&self, session: Session, pin: &[u8]) -> Result {
        call!(self, C_InitPIN(session, pointer(pin), ulong(pin.len())?))
    }

    /// Opens a session that may write.
    pub(crate) fn open(&self, slot: CK_SLOT_ID) -> Result<Session> {
        let mut session = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        call!(self, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut session))?;
        Ok(session)
    }

    pub(crate) fn close(&self, session: Session) -> Result {
        call!(self, C_CloseSession(session))
    }

    pub(crate) fn login(&self, session: Session, user: CK_USER_TYPE, pin: &[u8]) -> Result {
        call!(self, C_Login(session, user, pointer(pin), ulong(pin.len())?))
    }

    pub(crate) fn logout(&self, session: Session) -> Result {
        call!(self, C_Logout(session))
    }

    pub(crate) fn create(&self, session: Session, template: &[Attribute]) -> Result<Object> {
        let mut object = 0;
        let mut template = Template::new(template)?;
        call!(self, C_CreateObject(session, template.pointer(), template.len()?, &raw mut object))?;
        Ok(object)
    }

    pub(crate) fn destroy(&self, session: Session, object: Object) -> Result {
        call!(self, C_DestroyObject(session, object))
    }

    /// Reads an attribute into a buffer, and gives its length.
    pub(crate) fn read(
        &self,
        session: Session,
        object: Object,
        attribute: CK_ATTRIBUTE_TYPE,
        into: &mut [u8],
    ) -> Result<usize> {
        let mut attribute = CK_ATTRIBUTE {
            type_: attribute,
            pValue: into.as_mut_ptr().cast(),
            ulValueLen: ulong(into.len())?,
        };
        call!(self, C_GetAttributeValue(session, object, &raw mut attribute, 1))?;
        size(attribute.ulValueLen)
    }

    /// Searches; gives how many objects were found, and the last of them.
    pub(crate) fn find(
        &self,
        session: Session,
        template: &[Attribute],
    ) -> Result<(usize, Option<Object>)> {
        let mut template = Template::new(template)?;
        call!(self, C_FindObjectsInit(session, template.pointer(), template.len()?))?;
        let (mut all, mut last) = (0, None);
        let mut page: [Object; 256] = [0; 256];
        loop {
            let (mut count, most) = (0, ulong(page.len())?);
            call!(self, C_FindObjects(session, page.as_mut_ptr(), most, &raw mut count))?;
            let found = page.get(..size(count)?).ok_or("more objects than were asked for")?;
            let Some(object) = found.last() else { break };
            (all, last) = (all + found.len(), Some(*object));
        }
        call!(self, C_FindObjectsFinal(session))?;
        Ok((all, last))
    }

    pub(crate) fn generate(
        &self,
        session: Session,
        mechanism: Mechanism,
        template: &[Attribute],
    ) -> Result<Object> {
        let mut object = 0;
        let mut template = Template::new(template)?;
        mechanism.with(|mechanism| {
            let (list, length) = (template.pointer(), template.len()?);
            call!(self, C_GenerateKey(session, mechanism, list, length, &raw mut object))
        })?;
        Ok(object)
    }

    /// Gives the public and the private key.
    pub(crate) fn generate_pair(
        &self,
        session: Session,
        mechanism: Mechanism,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(Object, Object)> {
        let (mut one, mut other) = (0, 0);
        let (mut public, mut private) = (Template::new(public)?, Template::new(private)?);
        mechanism.with(|mechanism| {
            call!(
                self,
                C_GenerateKeyPair(
                    session,
                    mechanism,
                    public.pointer(),
                    public.len()?,
                    private.pointer(),
                    private.len()?,
                    &raw mut one,
                    &raw mut other,
                )
            )
        })?;
        Ok((one, other))
    }

    pub(crate) fn derive(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        template: &[Attribute],
    ) -> Result<Object> {
        let mut object = 0;
        let mut template = Template::new(template)?;
        mechanism.with(|mechanism| {
            let (list, length) = (template.pointer(), template.len()?);
            call!(self, C_DeriveKey(session, mechanism, key, list, length, &raw mut object))
        })?;
        Ok(object)
    }

    pub(crate) fn unwrap(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<Object> {
        let mut object = 0;
        let mut template = Template::new(template)?;
        let (from, size) = (pointer(wrapped), ulong(wrapped.len())?);
        mechanism.with(|mechanism| {
            let (list, length) = (template.pointer(), template.len()?);
            call!(
                self,
                C_UnwrapKey(session, mechanism, key, from, size, list, length, &raw mut object)
            )
        })?;
        Ok(object)
    }

    /// `C_SignInit` and `C_Sign`; gives the length of the signature.
    pub(crate) fn sign(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        data: &[u8],
        into: &mut [u8],
    ) -> Result<usize> {
        mechanism.with(|mechanism| call!(self, C_SignInit(session, mechanism, key)))?;
        let mut length = ulong(into.len())?;
        let (from, size_in) = (pointer(data), ulong(data.len())?);
        call!(self, C_Sign(session, from, size_in, into.as_mut_ptr(), &raw mut length))?;
        size(length)
    }

    /// `C_VerifyInit` and `C_Verify`.
    pub(crate) fn verify(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        data: &[u8],
        signature: &[u8],
    ) -> Result {
        mechanism.with(|mechanism| call!(self, C_VerifyInit(session, mechanism, key)))?;
        let (from, size) = (pointer(data), ulong(data.len())?);
        call!(self, C_Verify(session, from, size, pointer(signature), ulong(signature.len())?))
    }

    /// `C_EncryptInit` and `C_Encrypt`; gives the length of the output.
    pub(crate) fn encrypt(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        data: &[u8],
        into: &mut [u8],
    ) -> Result<usize> {
        mechanism.with(|mechanism| call!(self, C_EncryptInit(session, mechanism, key)))?;
        let mut length = ulong(into.len())?;
        let (from, size_in) = (pointer(data), ulong(data.len())?);
        call!(self, C_Encrypt(session, from, size_in, into.as_mut_ptr(), &raw mut length))?;
        size(length)
    }

    /// `C_DecryptInit` and `C_Decrypt`; gives the length of the output.
    pub(crate) fn decrypt(
        &self,
        session: Session,
        mechanism: Mechanism,
        key: Object,
        data: &[u8],
        into: &mut [u8],
    ) -> Result<usize> {
        mechanism.with(|mechanism| call!(self, C_DecryptInit(session, mechanism, key)))?;
        let mut length = ulong(into.len())?;
        let (from, size_in) = (pointer(data), ulong(data.len())?);
        call!(self, C_Decrypt(session, from, size_in, into.as_mut_ptr(), &raw mut length))?;
        size(length)
    }

    /// `C_DigestInit` and `C_Digest`.
    pub(crate) fn digest(
        &self,
        session: Session,
        mechanism: Mechanism,
        data: &[u8],
        into: &mut [u8],
    ) -> Result {
        mechanism.with(|mechanism| call!(self, C_DigestInit(session, mechanism)))?;
        let mut length = ulong(into.len())?;
        let (from, size) = (pointer(data), ulong(data.len())?);
        call!(self, C_Digest(session, from, size, into.as_mut_ptr(), &raw mut length))
    }

    pub(crate) fn random(&self, session: Session, into: &mut [u8]) -> Result {
        call!(self, C_GenerateRandom(session, into.as_mut_ptr(), ulong(into.len())?))
    }
}

impl Mechanism<'_> {
    /// A mechanism without a parameter.
    pub(crate) const fn plain(id: CK_MECHANISM_TYPE) -> Self {
        Self { id, parameter: Parameter::None }
    }

    /// Hands the structures to a call, for as long as it lasts.
    fn with(self, call: impl FnOnce(*mut CK_MECHANISM) -> Result) -> Result {
        fn run<T>(
            id: CK_MECHANISM_TYPE,
            parameter: Option<&mut T>,
            call: impl FnOnce(*mut CK_MECHANISM) -> Result,
        ) -> Result {
            let length = if parameter.is_some() { ulong(size_of::<T>())? } else { 0 };
            let pointer = parameter.map_or(ptr::null_mut(), ptr::from_mut).cast::<c_void>();
            let mut raw =
                CK_MECHANISM { mechanism: id, pParameter: pointer, ulParameterLen: length };
            call(&raw mut raw)
        }
        match self.parameter {
            Parameter::None => run::<()>(self.id, None, call),
            Parameter::Gcm(iv) => {
                let mut gcm = CK_GCM_PARAMS {
                    pIv: pointer(iv),
                    ulIvLen: ulong(iv.len())?,
                    ulIvBits: ulong(8 * iv.len())?,
                    pAAD: ptr::null_mut(),
                    ulAADLen: 0,
                    ulTagBits: 128,
                };
                run(self.id, Some(&mut gcm), call)
            }
            Parameter::Pss => {
                let (hash, mgf) = (CKM_SHA256, CKG_MGF1_SHA256);
                let mut pss = CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: 32 };
                run(self.id, Some(&mut pss), call)
            }
            Parameter::Ecdh(point) => {
                let mut ecdh = CK_ECDH1_DERIVE_PARAMS {
                    kdf: CKD_NULL,
                    ulSharedDataLen: 0,
                    pSharedData: ptr::null_mut(),
                    ulPublicDataLen: ulong(point.len())?,
                    pPublicData: pointer(point),
                };
                run(self.id, Some(&mut ecdh), call)
            }
        }
    }
}

/// Attributes as C has them. Numbers and truth values have a place of their own, which does not
/// move when the structure does.
struct Template {
    attributes: Vec<CK_ATTRIBUTE>,
    _numbers: Vec<CK_ULONG>,
}

static TRUE: CK_BBOOL = CK_TRUE;
static FALSE: CK_BBOOL = CK_FALSE;

impl Template {
    fn new(template: &[Attribute]) -> Result<Self> {
        let mut numbers: Vec<CK_ULONG> = Vec::with_capacity(template.len());
        for (_, value) in template {
            numbers.push(if let Value::Ulong(number) = value { *number } else { 0 });
        }
        let mut attributes = Vec::with_capacity(template.len());
        for ((kind, value), number) in template.iter().zip(&numbers) {
            let (pointer, length): (*const c_void, usize) = match value {
                Value::True => (ptr::from_ref(&TRUE).cast(), 1),
                Value::False => (ptr::from_ref(&FALSE).cast(), 1),
                Value::Ulong(_) => (ptr::from_ref(number).cast(), size_of::<CK_ULONG>()),
                Value::Bytes(bytes) => (bytes.as_ptr().cast(), bytes.len()),
            };
            attributes.push(CK_ATTRIBUTE {
                type_: *kind,
                pValue: pointer.cast_mut(),
                ulValueLen: ulong(length)?,
            });
        }
        Ok(Self { attributes, _numbers: numbers })
    }

    fn pointer(&mut self) -> *mut CK_ATTRIBUTE {
        self.attributes.as_mut_ptr()
    }

    fn len(&self) -> Result<CK_ULONG> {
        ulong(self.attributes.len())
    }
}

/// What goes in; the standard has no `const`.
fn pointer(bytes: &[u8]) -> *mut CK_BYTE {
    bytes.as_ptr().cast_mut()
}

fn ulong(length: usize) -> Result<CK_ULONG> {
    Ok(CK_ULONG::try_from(length)?)
}

fn size(length: CK_ULONG) -> Result<usize> {
    Ok(usize::try_from(length)?)
}
