//! A cryptographic operation under way, and the rule of section 5.2 that ends it.
//!
//! [`step`] takes the operation out of its session and puts it back only where the standard lets
//! it live: after a query, after a buffer that was too small, after an update. Whatever else
//! happens, an error included, the session is left without an operation.

use std::mem;
use std::sync::Arc;

use strongroom_functions::Facts;
use strongroom_keystore::ObjectId;
use strongroom_mechanisms::{Cipher, Digest, Key, Mechanism, Messages, Recover, Sign, Verify};
use strongroom_types::{Bytes, Error, MechanismType, Output, Params, Result, Room, ck, used};

use crate::crypto::able;
use crate::memory::{Growth, Kept, Memory};
use crate::message::{Signing, Verifying};
use crate::object::{Object, is_secret_key};
use crate::session::Session;
use crate::sync::lock;

/// An operation under way.
pub(crate) struct Operation {
    running: Running,
    /// Whether a part has been added, so that a call for a single part comes too late.
    updated: bool,
    /// Whether the caller hashes its data, so that it takes nothing but the digest.
    elsewhere: bool,
    /// Whether it uses a private object, and so ends at logout.
    pub(crate) private: bool,
    /// Whether it waits for a context-specific login.
    pub(crate) authenticate: bool,
    /// Whether each use of its key wants a login, and so each of its messages.
    always: bool,
    /// Its number among those of its session.
    pub(crate) serial: u64,
    /// The name of its mechanism.
    mechanism: Option<&'static str>,
    /// The mechanism of the digest that may be given in place of the data.
    prehash: Option<MechanismType>,
    /// What it was started with, if it may be saved.
    pub(crate) source: Option<Source>,
    /// The memory that it keeps.
    kept: Kept,
}

/// What an operation was started with: all there is to say beside its state.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) mechanism: MechanismType,
    pub(crate) params: Params,
    pub(crate) key: Option<ObjectId>,
}

/// What is computed.
pub(crate) enum Running {
    Encrypt(Box<dyn Cipher>),
    Decrypt(Box<dyn Cipher>, Again),
    /// The rest of a plaintext, which did not fit where the caller wanted it.
    Decrypted(Bytes),
    Digest(Box<dyn Digest>),
    Sign(Box<dyn Sign>),
    Verify(Box<dyn Verify>),
    /// A verification that knows the signature from the start.
    VerifySignature(Box<dyn Verify>, Vec<u8>),
    SignRecover(Box<dyn Sign>),
    VerifyRecover(Box<dyn Recover>),
    /// Messages, by this mechanism.
    MessageEncrypt(Box<Messages>, MechanismType),
    MessageDecrypt(Box<Messages>, MechanismType),
    MessageSign(Box<Signing>),
    MessageVerify(Box<Verifying>),
    /// Nothing: an unwrapping key, or one to derive from, is to be used once, after a login of its
    /// own.
    Use(Kind, ObjectId, MechanismType),
}

/// What starts a decryption anew: its output's length is known only afterwards, so a call with a
/// small buffer may have to decrypt and then leave the operation as it was.
pub(crate) struct Again {
    pub(crate) mechanism: &'static Mechanism,
    pub(crate) key: Arc<Key>,
    pub(crate) params: Params,
}

/// The kinds of operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Encrypt,
    Decrypt,
    Digest,
    Sign,
    Verify,
    VerifySignature,
    SignRecover,
    VerifyRecover,
    MessageEncrypt,
    MessageDecrypt,
    MessageSign,
    MessageVerify,
    Unwrap,
    Derive,
    Decapsulate,
}

/// The flags by which `C_SessionCancel` knows the kinds of operations. `CKF_VERIFY` stands for
/// both ways to verify.
const FLAGS: &[(u64, Kind)] = &[
    (ck!(CKF_ENCRYPT), Kind::Encrypt),
    (ck!(CKF_DECRYPT), Kind::Decrypt),
    (ck!(CKF_DIGEST), Kind::Digest),
    (ck!(CKF_SIGN), Kind::Sign),
    (ck!(CKF_VERIFY), Kind::Verify),
    (ck!(CKF_VERIFY), Kind::VerifySignature),
    (ck!(CKF_SIGN_RECOVER), Kind::SignRecover),
    (ck!(CKF_VERIFY_RECOVER), Kind::VerifyRecover),
    (ck!(CKF_MESSAGE_ENCRYPT), Kind::MessageEncrypt),
    (ck!(CKF_MESSAGE_DECRYPT), Kind::MessageDecrypt),
    (ck!(CKF_MESSAGE_SIGN), Kind::MessageSign),
    (ck!(CKF_MESSAGE_VERIFY), Kind::MessageVerify),
    (ck!(CKF_UNWRAP), Kind::Unwrap),
    (ck!(CKF_DERIVE), Kind::Derive),
    (ck!(CKF_DECAPSULATE), Kind::Decapsulate),
];

/// Flags that `C_SessionCancel` takes for functions that are over when they return.
const AT_ONCE: u64 =
    ck!(CKF_GENERATE) | ck!(CKF_GENERATE_KEY_PAIR) | ck!(CKF_WRAP) | ck!(CKF_ENCAPSULATE);

impl Operation {
    pub(crate) fn new(running: Running, private: bool, authenticate: bool) -> Self {
        let always = authenticate;
        let (serial, mechanism, prehash, source) = (0, None, None, None);
        let (updated, elsewhere, kept) = (false, false, Kept::default());
        Self {
            running,
            updated,
            elsewhere,
            private,
            authenticate,
            always,
            serial,
            mechanism,
            prehash,
            source,
            kept,
        }
    }

    /// The same, by this mechanism.
    pub(crate) fn by(self, mechanism: &Mechanism) -> Self {
        Self { mechanism: Some(mechanism.name), ..self }
    }

    /// The same; where `may` says that its key may sign a digest which the caller brings, it may be
    /// given the digest of the data.
    pub(crate) fn prehashed(self, may: impl FnOnce(MechanismType) -> bool) -> Self {
        let prehash = match &self.running {
            Running::Sign(sign) => sign.prehash(),
            Running::Verify(verify) => verify.prehash(),
            _ => None,
        };
        let prehash = prehash.filter(|prehash| may(prehash.bare));
        Self { prehash: prehash.map(|prehash| prehash.hash), ..self }
    }

    /// What a caller may know of it.
    pub(crate) fn facts(&self) -> Facts {
        let output_len = match &self.running {
            Running::Sign(sign) => Some(sign.signature_len()),
            Running::Digest(digest) => Some(digest.digest_len()),
            _ => None,
        };
        Facts { again: !self.always, output_len, hash: self.prehash, ..Facts::default() }
    }

    /// The object that is its key, unless that wants a login for each use.
    pub(crate) fn key(&self) -> Option<ObjectId> {
        self.source.as_ref()?.key
    }

    /// The same, started with this.
    pub(crate) fn of(self, source: Option<Source>) -> Self {
        Self { source, ..self }
    }

    /// Counts what it keeps until it ends: its key, which may be destroyed meanwhile, a parameter of so
    /// many bytes, and of its data what it can not do without.
    pub(crate) fn count(
        &mut self,
        memory: &Memory,
        key: Option<&Object>,
        params: usize,
    ) -> Result<()> {
        let start = key.map_or(0, Object::size).saturating_add(params);
        let pair = key.is_some_and(|key| !is_secret_key(&key.attributes));
        self.kept = Kept::new(memory, start, self.running.growth(pair))?;
        Ok(())
    }

    /// What has been computed so far, if it can be told.
    pub(crate) fn state(&self) -> Option<Bytes> {
        if self.elsewhere {
            return None;
        }
        match &self.running {
            Running::Digest(digest) => digest.state(),
            Running::Sign(sign) => sign.state(),
            Running::Verify(verify) => verify.state(),
            Running::Encrypt(cipher) | Running::Decrypt(cipher, _) => cipher.state(),
            _ => None,
        }
    }

    /// Goes on from a state; whether a part had been added goes with it.
    pub(crate) fn resume(&mut self, state: &[u8], updated: bool) -> Result<()> {
        self.updated = updated;
        match &mut self.running {
            Running::Digest(digest) => digest.resume(state),
            Running::Sign(sign) => sign.resume(state),
            Running::Verify(verify) => verify.resume(state),
            Running::Encrypt(cipher) | Running::Decrypt(cipher, _) => cipher.resume(state),
            _ => Err(Error::SavedStateInvalid),
        }
    }

    /// What is computed.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Whether a part has been added.
    pub(crate) fn updated(&self) -> bool {
        self.updated
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.running {
            Running::Encrypt(_) => Kind::Encrypt,
            Running::Decrypt(..) | Running::Decrypted(_) => Kind::Decrypt,
            Running::Digest(_) => Kind::Digest,
            Running::Sign(_) => Kind::Sign,
            Running::Verify(_) => Kind::Verify,
            Running::VerifySignature(..) => Kind::VerifySignature,
            Running::SignRecover(_) => Kind::SignRecover,
            Running::VerifyRecover(_) => Kind::VerifyRecover,
            Running::MessageEncrypt(..) => Kind::MessageEncrypt,
            Running::MessageDecrypt(..) => Kind::MessageDecrypt,
            Running::MessageSign(_) => Kind::MessageSign,
            Running::MessageVerify(_) => Kind::MessageVerify,
            Running::Use(kind, ..) => kind,
        }
    }

    /// Tells whoever counts calls that this operation is what the call is about.
    fn tell(&self) {
        if let Some(name) = self.mechanism {
            used::mechanism(name);
        }
    }

    /// A call for a single part must be the first.
    fn whole(self) -> Result<Running> {
        let begun = self.updated || self.elsewhere;
        if begun { Err(Error::OperationActive) } else { Ok(self.running) }
    }

    /// A call for a part, or for the end after parts, of data that is not here would be answered with
    /// other data's: for the caller the operation is over.
    fn has_its_data(self) -> Result<Self> {
        if self.elsewhere { Err(Error::OperationNotInitialized) } else { Ok(self) }
    }

    /// The digest that a caller brings is that of all the data.
    fn takes_digest(&self) -> Result<()> {
        match (self.prehash, self.updated) {
            (None, _) => Err(hashed_by_the_token()),
            (Some(_), true) => Err(Error::OperationActive),
            (Some(_), false) => Ok(()),
        }
    }
}

/// `C_SessionCancel`. What is not under way is no error.
pub(crate) fn cancel(session: &Session, flags: u64) -> Result<()> {
    let search = ck!(CKF_FIND_OBJECTS);
    let known = FLAGS.iter().fold(search | AT_ONCE, |all, (flag, _)| all | flag);
    if flags & !known != 0 {
        return Err(Error::ArgumentsBad.since("flags has one that names no operation"));
    }
    let mut activity = lock(&session.activity);
    activity.end(|kind| FLAGS.iter().any(|(flag, named)| flags & flag != 0 && *named == kind));
    if flags & search != 0 {
        activity.search = None;
    }
    Ok(())
}

/// Asks whether a key may be used by a function that is over when it returns. A key that wants a
/// login for each use is refused at first, and the session remembers what the login is to be for:
/// the same function with the same key and mechanism, once.
pub(crate) fn authorize(
    session: &Session,
    kind: Kind,
    key: &Object,
    mechanism: MechanismType,
) -> Result<()> {
    if !key.authenticates() {
        return Ok(());
    }
    let mut activity = lock(&session.activity);
    let asked = activity.take(kind).filter(|operation| !operation.authenticate);
    match asked.map(|operation| operation.running) {
        Some(Running::Use(_, id, with)) if (id, with) == (key.id, mechanism) => Ok(()),
        _ => {
            let wanted = Running::Use(kind, key.id, mechanism);
            activity.begin(Operation::new(wanted, true, true));
            Err(wants_login())
        }
    }
}

fn wants_login() -> Error {
    Error::UserNotLoggedIn.since("CKA_ALWAYS_AUTHENTICATE: the key wants a login for each use")
}

/// What becomes of the operation after a call.
pub(crate) enum Next<T> {
    /// It lives on.
    Keep(Operation, T),
    /// It is over.
    Done(T),
}

/// Runs one call of an operation of this kind.
pub(crate) fn step<T>(
    session: &Session,
    kind: Kind,
    call: impl FnOnce(Operation) -> Result<Next<T>>,
) -> Result<T> {
    let mut activity = lock(&session.activity);
    let operation = activity.take(kind).ok_or(Error::OperationNotInitialized)?;
    operation.tell();
    if operation.authenticate {
        return Err(wants_login());
    }
    match call(operation)? {
        Next::Keep(operation, outcome) => {
            activity.put(operation);
            Ok(outcome)
        }
        Next::Done(outcome) => Ok(outcome),
    }
}

type Outcome = Result<Next<Output>>;

/// `C_Sign`, `C_Digest`, `C_Encrypt`, `C_Decrypt`: the whole input in one call.
pub(crate) fn whole(mut operation: Operation, input: &[u8], room: Room) -> Outcome {
    let (source, kept) = (operation.source.take(), mem::take(&mut operation.kept));
    let Operation { private, authenticate, serial, mechanism, prehash, .. } = operation;
    let keep = |running, len| {
        let operation = Operation::new(running, private, authenticate);
        let operation = Operation { serial, mechanism, prehash, source, kept, ..operation };
        Ok(Next::Keep(operation, Output::Needs(len)))
    };
    match operation.whole()? {
        Running::Sign(sign) => match sign.signature_len() {
            len if room.fits(len) => done(sign.sign(input)?),
            len => keep(Running::Sign(sign), len),
        },
        Running::Digest(digest) => match digest.digest_len() {
            len if room.fits(len) => done(digest.digest(input)?),
            len => keep(Running::Digest(digest), len),
        },
        Running::Encrypt(cipher) => match cipher.whole_len(input.len()) {
            len if room.fits(len) => done(cipher.whole(input)?),
            len => {
                cipher.check(input.len(), true)?;
                keep(Running::Encrypt(cipher), len)
            }
        },
        Running::Decrypt(cipher, again) => match cipher.whole_len(input.len()) {
            len if room.fits(len) => done(cipher.whole(input)?),
            len if room == Room::Query => {
                cipher.check(input.len(), true)?;
                keep(Running::Decrypt(cipher, again), len)
            }
            _ => {
                let fresh = again.start()?;
                match cipher.whole(input)? {
                    output if room.fits(output.len()) => done(output),
                    output => keep(Running::Decrypt(fresh, again), output.len()),
                }
            }
        },
        Running::SignRecover(sign) => match sign.signature_len() {
            len if room.fits(len) => done(sign.sign(input)?),
            len => keep(Running::SignRecover(sign), len),
        },
        Running::VerifyRecover(verify) if room == Room::Query => {
            let len = verify.data_len();
            keep(Running::VerifyRecover(verify), len)
        }
        Running::VerifyRecover(verify) => match verify.recover(input)? {
            data if room.fits(data.len()) => done(data),
            data => keep(Running::VerifyRecover(verify), data.len()),
        },
        _ => Err(Error::GeneralError),
    }
}

/// `C_Sign` of data of which the digest is given.
pub(crate) fn sign_digest(operation: Operation, digest: &[u8], room: Room) -> Outcome {
    operation.takes_digest()?;
    match operation.running {
        Running::Sign(sign) => match sign.signature_len() {
            len if room.fits(len) => done(sign.sign_digest(digest)?),
            len => {
                let operation = Operation { running: Running::Sign(sign), ..operation };
                Ok(Next::Keep(operation, Output::Needs(len)))
            }
        },
        _ => Err(Error::GeneralError),
    }
}

/// From now on the caller hashes the data, and brings the digest.
pub(crate) fn hash_elsewhere(operation: Operation) -> Result<Next<()>> {
    operation.takes_digest()?;
    Ok(Next::Keep(Operation { elsewhere: true, ..operation }, ()))
}

/// `C_Verify` of data of which the digest is given.
pub(crate) fn verify_digest(
    operation: Operation,
    digest: &[u8],
    signature: &[u8],
) -> Result<Next<()>> {
    operation.takes_digest()?;
    match operation.running {
        Running::Verify(verify) => verify.verify_digest(digest, signature).map(Next::Done),
        _ => Err(Error::GeneralError),
    }
}

fn hashed_by_the_token() -> Error {
    let why = || "the key is not for digests, so the token hashes its data".into();
    Error::KeyFunctionNotPermitted.because(why)
}

impl Running {
    /// What becomes of the data that is added to it. Of a signature by one of a `pair` of keys it stays
    /// until the end, unless it is hashed on the way: then there is a state from the start. A MAC takes it
    /// in.
    fn growth(&self, pair: bool) -> Growth {
        let stays = match self {
            Self::Encrypt(_) | Self::Decrypt(..) => return Growth::Passes,
            Self::Sign(sign) => pair && sign.state().is_none(),
            Self::Verify(verify) | Self::VerifySignature(verify, _) => {
                pair && verify.state().is_none()
            }
            Self::MessageSign(signing) => pair && signing.gathers(),
            Self::MessageVerify(verifying) => pair && verifying.gathers(),
            Self::MessageEncrypt(..) | Self::MessageDecrypt(..) => true,
            _ => false,
        };
        if stays { Growth::Stays } else { Growth::None }
    }
}

impl Again {
    fn start(&self) -> Result<Box<dyn Cipher>> {
        let start = able(self.mechanism, self.mechanism.decrypt)?;
        start(&self.key, &self.params)
    }
}

fn done(output: Bytes) -> Outcome {
    Ok(Next::Done(Output::Bytes(output)))
}

/// What came of a call for a message.
pub(crate) enum Message<T> {
    /// There is more to come of it.
    Goes(T),
    /// It is over.
    Over(T),
}

/// Runs one call of a process of messages. A message that fails is over, and the process goes on;
/// only a login that is missing ends it.
pub(crate) fn in_process<T>(
    session: &Session,
    kind: Kind,
    call: impl FnOnce(&mut Running, &mut Kept) -> Result<Message<T>>,
) -> Result<T> {
    let mut activity = lock(&session.activity);
    let operation = activity.get_mut(kind).ok_or(Error::OperationNotInitialized)?;
    operation.tell();
    if operation.authenticate {
        activity.end(|ended| ended == kind);
        return Err(wants_login());
    }
    let outcome = call(&mut operation.running, &mut operation.kept);
    if !matches!(outcome, Ok(Message::Goes(_))) {
        operation.kept.rewind();
        operation.authenticate = operation.always;
    }
    outcome.map(|(Message::Goes(done) | Message::Over(done))| done)
}

/// `C_DigestEncryptUpdate` and its like: a part for a cipher, whose plaintext another operation
/// takes. Both go on, or neither.
pub(crate) fn step_both(
    session: &Session,
    (cipher, other): (Kind, Kind),
    part: &[u8],
    room: Room,
) -> Result<Output> {
    let mut activity = lock(&session.activity);
    if !activity.has(cipher) || !activity.has(other) {
        return Err(Error::OperationNotInitialized);
    }
    let mut take = |kind| activity.take(kind).ok_or(Error::OperationNotInitialized);
    let (running, other) = (take(cipher)?, take(other)?);
    running.tell();
    if running.authenticate || other.authenticate {
        return Err(wants_login());
    }
    let (running, other, output) = match update(running, part, room)? {
        Next::Keep(running, Output::Bytes(output)) => {
            let plaintext = if cipher == Kind::Encrypt { part } else { &output };
            match absorb(other, plaintext)? {
                Next::Keep(other, ()) => (running, other, Output::Bytes(output)),
                Next::Done(()) => return Err(Error::GeneralError),
            }
        }
        Next::Keep(running, needs) => (running, other, needs),
        Next::Done(_) => return Err(Error::GeneralError),
    };
    activity.put(running);
    activity.put(other);
    Ok(output)
}

/// `C_SignUpdate`, `C_DigestUpdate`, `C_VerifyUpdate` and their like: a part without output.
pub(crate) fn absorb(operation: Operation, part: &[u8]) -> Result<Next<()>> {
    let mut operation = operation.has_its_data()?;
    match &mut operation.running {
        Running::Sign(sign) => sign.update(part)?,
        Running::Digest(digest) => digest.update(part)?,
        Running::Verify(verify) | Running::VerifySignature(verify, _) => verify.update(part)?,
        _ => return Err(Error::GeneralError),
    }
    operation.kept.gather(part.len())?;
    operation.updated = true;
    Ok(Next::Keep(operation, ()))
}

/// `C_EncryptUpdate`, `C_DecryptUpdate`: a part with output.
pub(crate) fn update(mut operation: Operation, part: &[u8], room: Room) -> Outcome {
    let cipher = match &mut operation.running {
        Running::Encrypt(cipher) | Running::Decrypt(cipher, _) => cipher,
        // After the last part there is no other.
        Running::Decrypted(_) => return Err(Error::OperationNotInitialized),
        _ => return Err(Error::GeneralError),
    };
    let len = cipher.update_len(part.len());
    if !room.fits(len) {
        cipher.check(part.len(), false)?;
        // Who hears that nothing comes may never call again, and the part would be lost.
        let told = if room == Room::Query && len == 0 { part.len() } else { len };
        return Ok(Next::Keep(operation, Output::Needs(told)));
    }
    let output = cipher.update(part)?;
    operation.kept.pass(part.len(), output.len())?;
    operation.updated = true;
    Ok(Next::Keep(operation, Output::Bytes(output)))
}

/// `C_SignFinal`, `C_DigestFinal`, `C_EncryptFinal`, `C_DecryptFinal`.
pub(crate) fn finish(operation: Operation, room: Room) -> Outcome {
    let mut operation = operation.has_its_data()?;
    let bound = match &operation.running {
        Running::Sign(sign) => sign.signature_len(),
        Running::Digest(digest) => digest.digest_len(),
        Running::Encrypt(cipher) | Running::Decrypt(cipher, _) => cipher.finish_len(0),
        Running::Decrypted(rest) => rest.len(),
        _ => return Err(Error::GeneralError),
    };
    match operation.running {
        Running::Sign(sign) if room.fits(bound) => done(sign.finish()?),
        Running::Digest(digest) if room.fits(bound) => done(digest.finish()?),
        Running::Encrypt(cipher) if room.fits(bound) => done(cipher.finish()?),
        Running::Decrypted(rest) if room.fits(bound) => done(rest),
        // A plaintext can be shorter than its bound.
        Running::Decrypt(cipher, _) if room != Room::Query => match cipher.finish()? {
            rest if room.fits(rest.len()) => done(rest),
            rest => {
                let len = rest.len();
                operation.running = Running::Decrypted(rest);
                Ok(Next::Keep(operation, Output::Needs(len)))
            }
        },
        _ => {
            if let Running::Encrypt(cipher) | Running::Decrypt(cipher, _) = &operation.running {
                cipher.check(0, true)?;
            }
            Ok(Next::Keep(operation, Output::Needs(bound)))
        }
    }
}

/// `C_Verify`.
pub(crate) fn verify(operation: Operation, data: &[u8], signature: &[u8]) -> Result<Next<()>> {
    match operation.whole()? {
        Running::Verify(verify) => verify.verify(data, signature).map(Next::Done),
        _ => Err(Error::GeneralError),
    }
}

/// `C_VerifyFinal`.
pub(crate) fn verify_final(operation: Operation, signature: &[u8]) -> Result<Next<()>> {
    match operation.has_its_data()?.running {
        Running::Verify(verify) => verify.finish(signature).map(Next::Done),
        _ => Err(Error::GeneralError),
    }
}

/// `C_VerifySignature`.
pub(crate) fn verify_signature(operation: Operation, data: &[u8]) -> Result<Next<()>> {
    match operation.whole()? {
        Running::VerifySignature(verify, signature) => {
            verify.verify(data, &signature).map(Next::Done)
        }
        _ => Err(Error::GeneralError),
    }
}

/// `C_VerifySignatureFinal`.
pub(crate) fn verify_signature_final(operation: Operation) -> Result<Next<()>> {
    match operation.running {
        Running::VerifySignature(verify, signature) => verify.finish(&signature).map(Next::Done),
        _ => Err(Error::GeneralError),
    }
}
