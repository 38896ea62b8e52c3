//! The calls that clients make, one row each: what it means for the connection, the number on the
//! wire, the standard's name, the arguments, whose types give the signature, what comes back, and
//! the function that is meant.

use std::ops::Deref;

use strongroom_functions::{Cryptoki, Direction, MessageOutput, wait_for_event};
use strongroom_types::{
    Attributes, Bytes, Error, MechanismCall, MechanismInfo, MechanismType, ModuleInfo,
    ObjectHandle, Output, Params, Result, Room, SessionHandle, SessionInfo, SlotId, SlotInfo,
    TokenInfo, UserType, ck,
};

use crate::attribute::Wanted;
use crate::call::{Call, Effect};
use crate::mechanism::{OfMessages, Returning, listed, meant};
use crate::reply::{Answered, DerivedKey, Listed, Reply};
use crate::request::{Argument, Fault, Greeting, LooseLabel, Parameter, Places, Wire};

macro_rules! calls {
    ($($effect:ident $id:literal $name:ident($($arg:ident: $type:ty),*) -> $reply:ty = $function:expr;)*) => {
        /// Every call that a generation of the client knows, by number. Those up to 65 are of the
        /// first, those up to 88 of the second, all of the third.
        pub static CALLS: &[Call] = &[$(Call {
            id: $id,
            name: stringify!($name),
            request: &[$(<$type as Argument<'_>>::SIGNATURE),*],
            reply: <$reply as Reply>::SIGNATURE,
            of_session: first(&[$(<$type as Argument<'_>>::IS_SESSION),*]),
            effect: Effect::$effect,
            run: |application, request, reply| {
                $(let $arg = <$type as Argument<'_>>::read(request)?;)*
                if request.body.left() > 0 {
                    return Err(Fault::Malformed);
                }
                let wire = request.wire;
                let made = function::<$reply>(Callee { application, wire }, $function);
                made.and_then(|made| made.write(wire, reply)).map_err(Fault::Failed)
            },
        },)*];
    };
}

/// Whom the rows call.
struct Callee<'a> {
    application: &'a dyn Cryptoki,
    wire: Wire<'a>,
}

impl<'a> Deref for Callee<'a> {
    type Target = dyn Cryptoki + 'a;

    fn deref(&self) -> &Self::Target {
        self.application
    }
}

fn function<R>(callee: Callee<'_>, call: impl FnOnce(&Callee<'_>) -> Result<R>) -> Result<R> {
    call(&callee)
}

/// Whether the first argument is a session.
const fn first(arguments: &[bool]) -> bool {
    match arguments {
        [first, ..] => *first,
        [] => false,
    }
}

calls! {
    Begins 1 C_Initialize(_greeting: Greeting, _has_reserved: bool, _reserved: &[u8]) -> () = |_| Ok(());
    Ends 2 C_Finalize() -> () = |c| c.end();
    None 3 C_GetInfo() -> ModuleInfo = |c| c.info();
    None 4 C_GetSlotList(token_present: bool, room: Places) -> Listed = |c| {
        let slots = c.slot_list(token_present, room.0.is_none())?;
        Ok(Listed(slots.into_iter().map(|slot| slot.0).collect(), room))
    };
    None 5 C_GetSlotInfo(slot: SlotId) -> SlotInfo = |c| c.slot_info(slot);
    None 6 C_GetTokenInfo(slot: SlotId) -> TokenInfo = |c| c.token_info(slot);
    None 7 C_GetMechanismList(slot: SlotId, room: Places) -> Listed = |c| {
        Ok(Listed(listed(c.mechanism_list(slot)?, c.wire), room))
    };
    None 8 C_GetMechanismInfo(slot: SlotId, mechanism: MechanismType) -> MechanismInfo =
        |c| c.mechanism_info(slot, meant(mechanism, c.wire));
    None 9 C_InitToken(slot: SlotId, pin: &[u8], label: LooseLabel) -> () = |c| c.init_token(slot, pin, &label.0);
    Opens 10 C_OpenSession(slot: SlotId, flags: u64) -> SessionHandle = |c| {
        if flags & ck!(CKF_SERIAL_SESSION) == 0 {
            return Err(Error::SessionParallelNotSupported);
        }
        if flags & ck!(CKF_ASYNC_SESSION) != 0 {
            return Err(Error::SessionAsyncNotSupported);
        }
        c.open_session(slot, flags & ck!(CKF_RW_SESSION) != 0)
    };
    None 11 C_CloseSession(session: SessionHandle) -> () = |c| c.close_session(session);
    None 12 C_CloseAllSessions(slot: SlotId) -> () = |c| c.close_all_sessions(slot);
    None 13 C_GetSessionInfo(session: SessionHandle) -> SessionInfo = |c| c.session_info(session);
    None 14 C_InitPIN(session: SessionHandle, pin: &[u8]) -> () = |c| c.init_pin(session, pin);
    None 15 C_SetPIN(session: SessionHandle, old: &[u8], new: &[u8]) -> () = |c| c.set_pin(session, old, new);
    None 16 C_GetOperationState(session: SessionHandle, room: Room) -> Output = |c| c.operation_state(session, room);
    None 17 C_SetOperationState(session: SessionHandle, state: &[u8], encryption_key: ObjectHandle, authentication_key: ObjectHandle) -> () =
        |c| c.set_operation_state(session, state, encryption_key, authentication_key);
    None 18 C_Login(session: SessionHandle, user: UserType, pin: &[u8]) -> () = |c| c.login(session, user, pin);
    None 19 C_Logout(session: SessionHandle) -> () = |c| c.logout(session);
    None 20 C_CreateObject(session: SessionHandle, template: Attributes) -> ObjectHandle = |c| c.create_object(session, template);
    None 21 C_CopyObject(session: SessionHandle, object: ObjectHandle, template: Attributes) -> ObjectHandle =
        |c| c.copy_object(session, object, template);
    None 22 C_DestroyObject(session: SessionHandle, object: ObjectHandle) -> () = |c| c.destroy_object(session, object);
    None 23 C_GetObjectSize(session: SessionHandle, object: ObjectHandle) -> u64 = |c| c.object_size(session, object);
    None 24 C_GetAttributeValue(session: SessionHandle, object: ObjectHandle, wanted: Wanted) -> Answered = |c| {
        let values = c.attributes(session, object, &wanted.ids())?;
        Ok(Answered(wanted, values))
    };
    None 25 C_SetAttributeValue(session: SessionHandle, object: ObjectHandle, template: Attributes) -> () =
        |c| c.set_attributes(session, object, template);
    None 26 C_FindObjectsInit(session: SessionHandle, template: Attributes) -> () = |c| c.find_objects_init(session, template);
    None 27 C_FindObjects(session: SessionHandle, room: Places) -> Listed = |c| {
        let found = c.find_objects(session, room.0.unwrap_or(0).min(MOST_FOUND))?;
        Ok(Listed(found.into_iter().map(|object| object.0).collect(), Places(Some(MOST_FOUND))))
    };
    None 28 C_FindObjectsFinal(session: SessionHandle) -> () = |c| c.find_objects_final(session);
    None 29 C_EncryptInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.encrypt_init(session, mechanism, key);
    None 30 C_Encrypt(session: SessionHandle, data: &[u8], room: Room) -> Output = |c| c.encrypt(session, data, room);
    None 31 C_EncryptUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output = |c| c.encrypt_update(session, part, room);
    None 32 C_EncryptFinal(session: SessionHandle, room: Room) -> Output = |c| c.encrypt_final(session, room);
    None 33 C_DecryptInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.decrypt_init(session, mechanism, key);
    None 34 C_Decrypt(session: SessionHandle, data: &[u8], room: Room) -> Output = |c| c.decrypt(session, data, room);
    None 35 C_DecryptUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output = |c| c.decrypt_update(session, part, room);
    None 36 C_DecryptFinal(session: SessionHandle, room: Room) -> Output = |c| c.decrypt_final(session, room);
    None 37 C_DigestInit(session: SessionHandle, mechanism: Option<MechanismCall>) -> () = |c| c.digest_init(session, mechanism);
    None 38 C_Digest(session: SessionHandle, data: &[u8], room: Room) -> Output = |c| c.digest(session, data, room);
    None 39 C_DigestUpdate(session: SessionHandle, part: &[u8]) -> () = |c| c.digest_update(session, part);
    None 40 C_DigestKey(session: SessionHandle, key: ObjectHandle) -> () = |c| c.digest_key(session, key);
    None 41 C_DigestFinal(session: SessionHandle, room: Room) -> Output = |c| c.digest_final(session, room);
    None 42 C_SignInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.sign_init(session, mechanism, key);
    None 43 C_Sign(session: SessionHandle, data: &[u8], room: Room) -> Output = |c| c.sign(session, data, room);
    None 44 C_SignUpdate(session: SessionHandle, part: &[u8]) -> () = |c| c.sign_update(session, part);
    None 45 C_SignFinal(session: SessionHandle, room: Room) -> Output = |c| c.sign_final(session, room);
    None 46 C_SignRecoverInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.sign_recover_init(session, mechanism, key);
    None 47 C_SignRecover(session: SessionHandle, data: &[u8], room: Room) -> Output = |c| c.sign_recover(session, data, room);
    None 48 C_VerifyInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.verify_init(session, mechanism, key);
    None 49 C_Verify(session: SessionHandle, data: &[u8], signature: &[u8]) -> () = |c| c.verify(session, data, signature);
    None 50 C_VerifyUpdate(session: SessionHandle, part: &[u8]) -> () = |c| c.verify_update(session, part);
    None 51 C_VerifyFinal(session: SessionHandle, signature: &[u8]) -> () = |c| c.verify_final(session, signature);
    None 52 C_VerifyRecoverInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.verify_recover_init(session, mechanism, key);
    None 53 C_VerifyRecover(session: SessionHandle, signature: &[u8], room: Room) -> Output =
        |c| c.verify_recover(session, signature, room);
    None 54 C_DigestEncryptUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output =
        |c| c.digest_encrypt_update(session, part, room);
    None 55 C_DecryptDigestUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output =
        |c| c.decrypt_digest_update(session, part, room);
    None 56 C_SignEncryptUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output =
        |c| c.sign_encrypt_update(session, part, room);
    None 57 C_DecryptVerifyUpdate(session: SessionHandle, part: &[u8], room: Room) -> Output =
        |c| c.decrypt_verify_update(session, part, room);
    None 58 C_GenerateKey(session: SessionHandle, mechanism: MechanismCall, template: Attributes) -> ObjectHandle =
        |c| c.generate_key(session, mechanism, template);
    None 59 C_GenerateKeyPair(session: SessionHandle, mechanism: MechanismCall, public: Attributes, private: Attributes) -> (ObjectHandle, ObjectHandle) =
        |c| c.generate_key_pair(session, mechanism, public, private);
    None 60 C_WrapKey(session: SessionHandle, mechanism: MechanismCall, wrapping_key: ObjectHandle, key: ObjectHandle, room: Room) -> MessageOutput =
        |c| c.wrap_key(session, mechanism, wrapping_key, key, room);
    None 61 C_UnwrapKey(session: SessionHandle, mechanism: MechanismCall, unwrapping_key: ObjectHandle, wrapped: &[u8], template: Attributes) -> ObjectHandle =
        |c| c.unwrap_key(session, mechanism, unwrapping_key, wrapped, template);
    None 62 C_DeriveKey(session: SessionHandle, mechanism: MechanismCall, base_key: ObjectHandle, template: Attributes) -> ObjectHandle =
        |c| c.derive(session, mechanism, base_key, template);
    None 63 C_SeedRandom(session: SessionHandle, seed: &[u8]) -> () = |c| c.seed_random(session, seed);
    None 64 C_GenerateRandom(session: SessionHandle, room: Room) -> Bytes = |c| c.random(session, room);
    Waits 65 C_WaitForSlotEvent(flags: u64) -> SlotId =
        |c| wait_for_event(flags & ck!(CKF_DONT_BLOCK) == 0, |block| c.wait_for_slot_event(block));

    None 66 C_LoginUser(session: SessionHandle, user: UserType, pin: &[u8], name: &[u8]) -> () = |c| c.login_user(session, user, pin, name);
    None 67 C_SessionCancel(session: SessionHandle, flags: u64) -> () = |c| c.session_cancel(session, flags);
    None 68 C_MessageEncryptInit(session: SessionHandle, mechanism: OfMessages, key: ObjectHandle) -> () =
        |c| c.message_encrypt_init(session, mechanism.0, key);
    None 69 C_EncryptMessage(session: SessionHandle, parameter: Parameter, associated: &[u8], data: &[u8], room: Room) -> MessageOutput = |c| {
        c.no_parameter(session, Direction::Encrypt, &parameter)?;
        c.encrypt_message(session, Params::NONE, associated, data, room)
    };
    None 70 C_EncryptMessageBegin(session: SessionHandle, parameter: Parameter, associated: &[u8]) -> () = |c| {
        c.no_parameter(session, Direction::Encrypt, &parameter)?;
        c.encrypt_message_begin(session, Params::NONE, associated).map(drop)
    };
    None 71 C_EncryptMessageNext(session: SessionHandle, parameter: Parameter, part: &[u8], room: Room, flags: u64) -> MessageOutput = |c| {
        c.no_parameter(session, Direction::Encrypt, &parameter)?;
        c.encrypt_message_next(session, Params::NONE, part, is_last(flags), room)
    };
    None 72 C_MessageEncryptFinal(session: SessionHandle) -> () = |c| c.message_encrypt_final(session);
    None 73 C_MessageDecryptInit(session: SessionHandle, mechanism: OfMessages, key: ObjectHandle) -> () =
        |c| c.message_decrypt_init(session, mechanism.0, key);
    None 74 C_DecryptMessage(session: SessionHandle, parameter: Parameter, associated: &[u8], data: &[u8], room: Room) -> MessageOutput = |c| {
        c.no_parameter(session, Direction::Decrypt, &parameter)?;
        c.decrypt_message(session, Params::NONE, associated, data, room)
    };
    None 75 C_DecryptMessageBegin(session: SessionHandle, parameter: Parameter, associated: &[u8]) -> () = |c| {
        c.no_parameter(session, Direction::Decrypt, &parameter)?;
        c.decrypt_message_begin(session, Params::NONE, associated).map(drop)
    };
    None 76 C_DecryptMessageNext(session: SessionHandle, parameter: Parameter, part: &[u8], room: Room, flags: u64) -> MessageOutput = |c| {
        c.no_parameter(session, Direction::Decrypt, &parameter)?;
        c.decrypt_message_next(session, Params::NONE, part, is_last(flags), room)
    };
    None 77 C_MessageDecryptFinal(session: SessionHandle) -> () = |c| c.message_decrypt_final(session);
    None 78 C_MessageSignInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.message_sign_init(session, mechanism, key);
    None 79 C_SignMessage(session: SessionHandle, parameter: Parameter, data: &[u8], room: Room) -> Output = |c| {
        parameter.none()?;
        c.sign_message(session, data, room)
    };
    None 80 C_SignMessageBegin(session: SessionHandle, parameter: Parameter) -> () = |c| {
        parameter.none()?;
        c.sign_message_begin(session)
    };
    None 81 C_SignMessageNext(session: SessionHandle, parameter: Parameter, part: &[u8], last: bool, room: Room) -> Output = |c| {
        parameter.none()?;
        c.sign_message_next(session, part, last.then_some(room))
    };
    None 82 C_MessageSignFinal(session: SessionHandle) -> () = |c| c.message_sign_final(session);
    None 83 C_MessageVerifyInit(session: SessionHandle, mechanism: Option<MechanismCall>, key: ObjectHandle) -> () =
        |c| c.message_verify_init(session, mechanism, key);
    None 84 C_VerifyMessage(session: SessionHandle, parameter: Parameter, data: &[u8], signature: &[u8]) -> () = |c| {
        parameter.none()?;
        c.verify_message(session, data, signature)
    };
    None 85 C_VerifyMessageBegin(session: SessionHandle, parameter: Parameter) -> () = |c| {
        parameter.none()?;
        c.verify_message_begin(session)
    };
    None 86 C_VerifyMessageNext(session: SessionHandle, parameter: Parameter, part: &[u8], signature: Option<&[u8]>) -> () = |c| {
        parameter.none()?;
        c.verify_message_next(session, part, signature)
    };
    None 87 C_MessageVerifyFinal(session: SessionHandle) -> () = |c| c.message_verify_final(session);
    None 88 C_InitToken2(slot: SlotId, pin: &[u8], label: [u8; 32]) -> () = |c| c.init_token(slot, pin, &label);

    None 89 C_DeriveKey2(session: SessionHandle, mechanism: Returning, base_key: ObjectHandle, template: Attributes) -> DerivedKey = |c| {
        let key = c.derive(session, mechanism.call, base_key, template)?;
        Ok(DerivedKey { key, parameter: mechanism.parameter })
    };
}

/// The most objects that one call finds, whatever the client has room for.
const MOST_FOUND: usize = 1 << 16;

fn is_last(flags: u64) -> bool {
    flags & ck!(CKF_END_OF_MESSAGE) != 0
}

impl Callee<'_> {
    /// `C_Finalize`: sessions, logins and session objects go, and nobody waits any longer.
    fn end(&self) -> Result<()> {
        self.end_waits();
        for slot in self.slot_list(false, false)? {
            // A slot whose token is gone has no sessions.
            let _ = self.close_all_sessions(slot);
        }
        Ok(())
    }

    /// `C_DeriveKey`: the client has a place for the key.
    fn derive(
        &self,
        session: SessionHandle,
        mechanism: MechanismCall,
        base_key: ObjectHandle,
        template: Attributes,
    ) -> Result<ObjectHandle> {
        let derived = self.derive_key(session, mechanism, base_key, template, true)?;
        Ok(derived.key.unwrap_or(ObjectHandle(ck!(CK_INVALID_HANDLE))))
    }

    /// Random bytes, as many as an answer may have.
    fn random(&self, session: SessionHandle, room: Room) -> Result<Bytes> {
        let len = match room {
            Room::Query => 0,
            Room::Bytes(len) => len,
        };
        match u32::try_from(len) {
            Ok(wanted) if wanted <= self.wire.limits.body => self.generate_random(session, len),
            _ => self.session_info(session).and(Err(Error::ArgumentsBad
                .because(|| format!("{len} random bytes are more than an answer may have")))),
        }
    }

    /// Messages are encrypted with the parameter that is none.
    fn no_parameter(
        &self,
        session: SessionHandle,
        direction: Direction,
        parameter: &Parameter,
    ) -> Result<()> {
        self.message_mechanism(session, direction)?;
        parameter.none()
    }
}
