//! The store, the module, a token with two PINs, and sessions on it.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use cryptoki_sys::*;

use crate::daemon::Daemon;
use crate::raw::{In, InitArgs, Mechanism, Module, PLENTY, Room};
use crate::rv::Rv;
use crate::template::Attribute;

/// The PIN of the security officer.
pub const SO_PIN: &str = "so-pin-12345678";
/// The PIN of the user.
pub const USER_PIN: &str = "user-pin-1234";
/// The label of the token.
pub const LABEL: &str = "black box";

/// What a test has: a module with an empty store.
#[derive(Debug)]
pub struct World {
    path: PathBuf,
    directory: PathBuf,
    daemon: OnceLock<Mutex<Option<Daemon>>>,
    /// Where the daemon's socket is not its own.
    socket: OnceLock<UnixListener>,
    module: OnceLock<Module>,
    started: OnceLock<()>,
    slot: OnceLock<CK_SLOT_ID>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Module")
    }
}

impl World {
    /// A world for the module at this path, with a directory that the test may use.
    pub fn new(path: PathBuf, directory: PathBuf) -> Self {
        Self {
            path,
            directory,
            daemon: OnceLock::new(),
            socket: OnceLock::new(),
            module: OnceLock::new(),
            started: OnceLock::new(),
            slot: OnceLock::new(),
        }
    }

    /// The path of the module; what it needs has been started.
    pub fn path(&self) -> &Path {
        self.daemon.get_or_init(|| Mutex::new(Daemon::start()));
        &self.path
    }

    /// The number of the process of the daemon that the module is the client of, if it is.
    pub fn daemon_id(&self) -> Option<u32> {
        let daemon = self.daemon.get()?.lock().expect("no panic in here");
        daemon.as_ref().map(Daemon::id)
    }

    /// Kills the daemon that the module is the client of, if it is, and starts another.
    pub fn replace_daemon(&self) {
        self.without_daemon(|| ());
    }

    /// Does something while nobody serves the store: kills the daemon that the module is the client
    /// of, if it is, and starts another afterwards.
    pub fn without_daemon(&self, run: impl FnOnce()) {
        let Some(daemon) = self.daemon.get() else { return run() };
        let mut daemon = daemon.lock().expect("no panic in here");
        drop(daemon.take());
        run();
        *daemon = Daemon::start();
    }

    /// Stops the daemon that the module is the client of, if it is, and starts another.
    pub fn restart_daemon(&self) {
        if let Some(daemon) = self.daemon.get() {
            let mut daemon = daemon.lock().expect("no panic in here");
            if let Some(daemon) = daemon.take() {
                daemon.stop();
            }
            *daemon = Daemon::start();
        }
    }

    /// The same, but whoever calls meanwhile finds the socket, and waits in it for the next daemon.
    pub fn restart_daemon_behind_its_socket(&self) {
        if let Some(daemon) = self.daemon.get() {
            let mut daemon = daemon.lock().expect("no panic in here");
            if let Some(last) = daemon.take() {
                last.stop();
                *daemon = Daemon::start_behind(self.socket.get_or_init(Daemon::listen));
            }
        }
    }

    /// A directory of this test.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The module, loaded and not initialised.
    pub fn module(&self) -> &Module {
        self.module.get_or_init(|| Module::load(self.path()))
    }

    /// The module, initialised once, with the operating system's locks.
    pub fn started(&self) -> &Module {
        let module = self.module();
        self.started.get_or_init(|| {
            assert_eq!(
                module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)),
                Rv::OK,
                "C_Initialize"
            );
        });
        module
    }

    /// The slot of a token with both PINs, made on first use.
    pub fn slot(&self) -> CK_SLOT_ID {
        *self.slot.get_or_init(|| {
            let module = self.started();
            let blank = blank_slot(module);
            assert_eq!(module.init_token(blank, SO_PIN.into(), LABEL), Rv::OK, "C_InitToken");
            let slot = slot_of(module, LABEL).expect("the new token is in a slot");
            set_user_pin(module, slot);
            slot
        })
    }

    /// A read-write session, with nobody logged in.
    pub fn public(&self) -> Session<'_> {
        Session::open(self.started(), self.slot(), CKF_RW_SESSION)
    }

    /// A read-only session, with nobody logged in.
    pub fn read_only(&self) -> Session<'_> {
        Session::open(self.started(), self.slot(), 0)
    }

    /// A read-write session of the user.
    pub fn user(&self) -> Session<'_> {
        let session = self.public();
        let rv = session.login(CKU_USER, USER_PIN);
        assert!(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN, "C_Login: {rv:?}");
        session
    }

    /// A read-write session of the security officer.
    pub fn so(&self) -> Session<'_> {
        let session = self.public();
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK, "C_Login");
        session
    }

    /// What is done between two rows: all sessions go, and the login with them.
    pub(crate) fn tidy(&self) {
        if let (Some(module), Some(slot)) = (self.module.get(), self.slot.get()) {
            module.close_all_sessions(*slot);
        }
    }
}

/// All slots with a token.
pub fn slots(module: &Module) -> Vec<CK_SLOT_ID> {
    let (rv, count, _) = module.slot_list(true, None);
    assert_eq!(rv, Rv::OK, "C_GetSlotList");
    let (rv, _, slots) = module.slot_list(true, Some(count));
    assert_eq!(rv, Rv::OK, "C_GetSlotList");
    slots
}

/// The slot of the token that is not initialised.
pub fn blank_slot(module: &Module) -> CK_SLOT_ID {
    slots(module)
        .into_iter()
        .find(|slot| {
            module.token_info(*slot).expect("C_GetTokenInfo").flags & CKF_TOKEN_INITIALIZED == 0
        })
        .expect("a slot with a blank token")
}

/// The slot of the token with this label.
pub fn slot_of(module: &Module, label: &str) -> Option<CK_SLOT_ID> {
    slots(module).into_iter().find(|slot| {
        let info = module.token_info(*slot).expect("C_GetTokenInfo");
        info.flags & CKF_TOKEN_INITIALIZED != 0 && text(&info.label) == label
    })
}

/// A blank-padded field.
pub fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_end_matches(' ').to_owned()
}

/// Has the security officer set the user's PIN.
pub fn set_user_pin(module: &Module, slot: CK_SLOT_ID) {
    let session = Session::open(module, slot, CKF_RW_SESSION);
    assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK, "C_Login as SO");
    assert_eq!(module.init_pin(session.handle, USER_PIN.into()), Rv::OK, "C_InitPIN");
    assert_eq!(module.logout(session.handle), Rv::OK, "C_Logout");
    assert_eq!(module.close_session(session.handle), Rv::OK, "C_CloseSession");
}

/// A session, and what is mostly done with one.
#[derive(Clone, Copy, Debug)]
pub struct Session<'m> {
    /// The module.
    pub module: &'m Module,
    /// The slot.
    pub slot: CK_SLOT_ID,
    /// The handle.
    pub handle: CK_SESSION_HANDLE,
}

impl<'m> Session<'m> {
    /// Opens a session; `CKF_SERIAL_SESSION` is added.
    pub fn open(module: &'m Module, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Self {
        let handle = module.open_session(slot, flags | CKF_SERIAL_SESSION).expect("C_OpenSession");
        Self { module, slot, handle }
    }

    /// `C_CloseSession`.
    pub fn close(self) -> Rv {
        self.module.close_session(self.handle)
    }

    /// The state of the session.
    pub fn state(&self) -> CK_STATE {
        self.module.session_info(self.handle).expect("C_GetSessionInfo").state
    }

    /// `C_Login`.
    pub fn login<'a>(&self, user: CK_USER_TYPE, pin: impl Into<In<'a>>) -> Rv {
        self.module.login(self.handle, user, pin.into())
    }

    /// `C_Logout`.
    pub fn logout(&self) -> Rv {
        self.module.logout(self.handle)
    }

    /// `C_CreateObject`.
    pub fn create(&self, template: &[Attribute]) -> Result<CK_OBJECT_HANDLE, Rv> {
        self.module.create_object(self.handle, template)
    }

    /// `C_DestroyObject`.
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Rv {
        self.module.destroy_object(self.handle, object)
    }

    /// `C_CopyObject`.
    pub fn copy(
        &self,
        object: CK_OBJECT_HANDLE,
        template: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        self.module.copy_object(self.handle, object, template)
    }

    /// `C_SetAttributeValue`.
    pub fn set(&self, object: CK_OBJECT_HANDLE, template: &[Attribute]) -> Rv {
        self.module.set_attribute_value(self.handle, object, template)
    }

    /// One attribute: its length is asked, then its value.
    pub fn get(
        &self,
        object: CK_OBJECT_HANDLE,
        attribute: CK_ATTRIBUTE_TYPE,
    ) -> Result<Vec<u8>, Rv> {
        let (rv, got) =
            self.module.attribute_value(self.handle, object, &[(attribute, Room::Query)]);
        rv.with(())?;
        let room = usize::try_from(got[0].len).expect("a length");
        let (rv, got) =
            self.module.attribute_value(self.handle, object, &[(attribute, Room::Bytes(room))]);
        rv.with(())?;
        assert_eq!(got[0].bytes.len(), room, "the query and the value differ in length");
        Ok(got[0].bytes.clone())
    }

    /// One boolean attribute.
    pub fn flag(&self, object: CK_OBJECT_HANDLE, attribute: CK_ATTRIBUTE_TYPE) -> Result<bool, Rv> {
        let value = self.get(object, attribute)?;
        assert!(value == [0] || value == [1], "attribute {attribute:#x} is no CK_BBOOL: {value:?}");
        Ok(value == [1])
    }

    /// One numeric attribute.
    pub fn number(
        &self,
        object: CK_OBJECT_HANDLE,
        attribute: CK_ATTRIBUTE_TYPE,
    ) -> Result<CK_ULONG, Rv> {
        let value = self.get(object, attribute)?;
        let value = value
            .try_into()
            .unwrap_or_else(|value| panic!("attribute {attribute:#x} is no CK_ULONG: {value:?}"));
        Ok(CK_ULONG::from_ne_bytes(value))
    }

    /// All objects that match.
    pub fn find(&self, template: &[Attribute]) -> Vec<CK_OBJECT_HANDLE> {
        assert_eq!(
            self.module.find_objects_init(self.handle, template),
            Rv::OK,
            "C_FindObjectsInit"
        );
        let mut all = Vec::new();
        loop {
            let found = self.module.find_objects(self.handle, 50).expect("C_FindObjects");
            if found.is_empty() {
                break;
            }
            all.extend(found);
        }
        assert_eq!(self.module.find_objects_final(self.handle), Rv::OK, "C_FindObjectsFinal");
        all
    }

    /// `C_GenerateKey`.
    pub fn generate<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        template: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        self.module.generate_key(self.handle, Some(&mechanism.into()), template)
    }

    /// `C_GenerateKeyPair`: the public and the private key.
    pub fn pair<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), Rv> {
        self.module.generate_key_pair(self.handle, Some(&mechanism.into()), public, private)
    }

    /// `C_SignInit`.
    pub fn sign_init<'p>(&self, mechanism: impl Into<Mechanism<'p>>, key: CK_OBJECT_HANDLE) -> Rv {
        self.module.sign_init(self.handle, Some(&mechanism.into()), key)
    }

    /// `C_VerifyInit`.
    pub fn verify_init<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        self.module.verify_init(self.handle, Some(&mechanism.into()), key)
    }

    /// `C_EncryptInit`.
    pub fn encrypt_init<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        self.module.encrypt_init(self.handle, Some(&mechanism.into()), key)
    }

    /// `C_DecryptInit`.
    pub fn decrypt_init<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
    ) -> Rv {
        self.module.decrypt_init(self.handle, Some(&mechanism.into()), key)
    }

    /// A signature in a single part.
    pub fn sign<'p, 'd>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        data: impl Into<In<'d>>,
    ) -> Result<Vec<u8>, Rv> {
        self.sign_init(mechanism, key).with(())?;
        self.module.sign(self.handle, data.into(), PLENTY).ok()
    }

    /// A signature in several parts.
    pub fn sign_parts<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Rv> {
        self.sign_init(mechanism, key).with(())?;
        for part in parts {
            self.module.sign_update(self.handle, In::Bytes(part)).with(())?;
        }
        self.module.sign_final(self.handle, PLENTY).ok()
    }

    /// A verification in a single part.
    pub fn verify<'p, 'd, 's>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        data: impl Into<In<'d>>,
        signature: impl Into<In<'s>>,
    ) -> Rv {
        let rv = self.verify_init(mechanism, key);
        if rv != Rv::OK {
            return rv;
        }
        self.module.verify(self.handle, data.into(), signature.into())
    }

    /// A verification in several parts.
    pub fn verify_parts<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Rv {
        let mut rv = self.verify_init(mechanism, key);
        for part in parts {
            if rv != Rv::OK {
                return rv;
            }
            rv = self.module.verify_update(self.handle, In::Bytes(part));
        }
        if rv == Rv::OK { self.module.verify_final(self.handle, signature.into()) } else { rv }
    }

    /// A ciphertext in a single part.
    pub fn encrypt<'p, 'd>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        data: impl Into<In<'d>>,
    ) -> Result<Vec<u8>, Rv> {
        self.encrypt_init(mechanism, key).with(())?;
        self.module.encrypt(self.handle, data.into(), PLENTY).ok()
    }

    /// A plaintext in a single part.
    pub fn decrypt<'p, 'd>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        data: impl Into<In<'d>>,
    ) -> Result<Vec<u8>, Rv> {
        self.decrypt_init(mechanism, key).with(())?;
        self.module.decrypt(self.handle, data.into(), PLENTY).ok()
    }

    /// A ciphertext in several parts.
    pub fn encrypt_parts<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Rv> {
        self.encrypt_init(mechanism, key).with(())?;
        let mut all = Vec::new();
        for part in parts {
            all.extend(self.module.encrypt_update(self.handle, In::Bytes(part), PLENTY).ok()?);
        }
        all.extend(self.module.encrypt_final(self.handle, PLENTY).ok()?);
        Ok(all)
    }

    /// A plaintext in several parts.
    pub fn decrypt_parts<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Rv> {
        self.decrypt_init(mechanism, key).with(())?;
        let mut all = Vec::new();
        for part in parts {
            all.extend(self.module.decrypt_update(self.handle, In::Bytes(part), PLENTY).ok()?);
        }
        all.extend(self.module.decrypt_final(self.handle, PLENTY).ok()?);
        Ok(all)
    }

    /// A digest in a single part.
    pub fn digest<'p, 'd>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        data: impl Into<In<'d>>,
    ) -> Result<Vec<u8>, Rv> {
        self.module.digest_init(self.handle, Some(&mechanism.into())).with(())?;
        self.module.digest(self.handle, data.into(), PLENTY).ok()
    }

    /// `C_WrapKey`.
    pub fn wrap<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        wrapping: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Result<Vec<u8>, Rv> {
        self.module.wrap_key(self.handle, Some(&mechanism.into()), wrapping, key, PLENTY).ok()
    }

    /// `C_UnwrapKey`.
    pub fn unwrap<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        unwrapping: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        let mechanism = mechanism.into();
        self.module.unwrap_key(self.handle, Some(&mechanism), unwrapping, wrapped.into(), template)
    }

    /// `C_DeriveKey`.
    pub fn derive<'p>(
        &self,
        mechanism: impl Into<Mechanism<'p>>,
        base: CK_OBJECT_HANDLE,
        template: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE, Rv> {
        self.module.derive_key(self.handle, Some(&mechanism.into()), base, template)
    }
}
