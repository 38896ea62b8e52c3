//! Starting cryptographic operations: which key, which mechanism, and may they.

use std::sync::Arc;

use strongroom_keystore::config::{Config, Mechanisms};
use strongroom_mechanisms::{Aead, Key, Mechanism, Messages, Policy};
use strongroom_types::{
    Attribute, Attributes, Error, Layout, MechanismCall, MechanismType, ObjectHandle, Params,
    Result, attribute, attribute::kind, used,
};

use crate::application::Application;
use crate::message::{self, Signing, Verifying};
use crate::object::Object;
use crate::operation::{Again, Kind, Operation, Running, Source};
use crate::session::Session;
use crate::sync::lock;

/// A key that may be used with a mechanism.
pub(crate) struct Chosen {
    pub(crate) object: Arc<Object>,
    pub(crate) key: Arc<Key>,
}

/// The errors that tell of a key in a certain role: 5.18 has codes of their own for wrapping keys.
pub(crate) struct KeyErrors {
    pub(crate) handle: Error,
    pub(crate) key_type: Error,
    pub(crate) size: Error,
}

/// The codes for a key in an ordinary operation.
pub(crate) const KEY: KeyErrors = KeyErrors {
    handle: Error::KeyHandleInvalid,
    key_type: Error::KeyTypeInconsistent,
    size: Error::KeySizeRange,
};

impl Application {
    /// The mechanism of a number, if the configuration lets it be used: for anything at all.
    pub(crate) fn mechanism(&self, id: MechanismType) -> Result<&'static Mechanism> {
        let mechanism = self.policy.mechanism(id)?;
        if !self.includes(mechanism) {
            let refused = || format!("the configuration does not allow {}", mechanism.name);
            return Err(Error::MechanismInvalid.because(refused));
        }
        used::mechanism(mechanism.name);
        Ok(mechanism)
    }

    fn includes(&self, mechanism: &Mechanism) -> bool {
        self.config.mechanisms.include(mechanism.name)
    }

    /// Whether a key may be used with the mechanism of a number. Nothing is used yet, and nothing fails.
    fn would_allow(&self, key: &Attributes, id: MechanismType) -> bool {
        let mechanism = self.policy.mechanism(id);
        mechanism.is_ok_and(|mechanism| self.includes(mechanism)) && lists(key, id)
    }

    /// The mechanism of a call, whose parameter is one that it can have.
    pub(crate) fn called(&self, id: MechanismType, params: &Params) -> Result<&'static Mechanism> {
        let mechanism = self.mechanism(id)?;
        held(params, mechanism.params)?;
        Ok(mechanism)
    }

    /// The same, where the parameter is that of a message.
    pub(crate) fn called_as_message(
        &self,
        id: MechanismType,
        params: &Params,
    ) -> Result<(&'static Mechanism, &'static Aead)> {
        let mechanism = self.mechanism(id)?;
        let aead = able(mechanism, mechanism.message)?;
        held(params, aead.layouts)?;
        Ok((mechanism, aead))
    }

    /// Finds a key and checks that it may be used so: its type and size against the mechanism, its
    /// usage flag, and its list of mechanisms.
    pub(crate) fn choose(
        &self,
        session: &Session,
        handle: ObjectHandle,
        mechanism: &Mechanism,
        usage: Attribute<kind::Bool>,
        errors: &KeyErrors,
    ) -> Result<Chosen> {
        let object = self.object(session, handle).map_err(|error| match error {
            Error::ObjectHandleInvalid => errors.handle,
            error => error,
        })?;
        if !object.is_key() {
            return Err(errors.handle.since("the object is no key"));
        }
        let translate = |error| match error {
            Error::KeyTypeInconsistent => errors.key_type,
            Error::KeySizeRange => errors.size,
            error => error,
        };
        let key = object.key().map_err(translate)?;
        mechanism.check(&key).map_err(translate)?;
        permits(&object.attributes, mechanism.id, usage)?;
        Ok(Chosen { object, key })
    }

    /// `C_EncryptInit` and its like; without a mechanism it ends the operation that is active.
    pub(crate) fn start(
        &self,
        session: &Session,
        kind: Kind,
        call: Option<MechanismCall>,
        key: ObjectHandle,
    ) -> Result<()> {
        begin(session, kind, call, |mechanism, params| {
            if kind == Kind::Encrypt {
                self.judge_oaep(mechanism, &params)?;
            }
            let mechanism = match kind {
                Kind::MessageEncrypt | Kind::MessageDecrypt => {
                    self.called_as_message(mechanism, &params)?.0
                }
                _ => self.called(mechanism, &params)?,
            };
            self.operation(session, kind, mechanism, params, key)
        })
    }

    /// `C_VerifySignatureInit`.
    pub(crate) fn start_verify_signature(
        &self,
        session: &Session,
        call: Option<MechanismCall>,
        key: ObjectHandle,
        signature: &[u8],
    ) -> Result<()> {
        begin(session, Kind::VerifySignature, call, |mechanism, params| {
            let mechanism = self.called(mechanism, &params)?;
            let start = able(mechanism, mechanism.verify)?;
            let chosen = self.choose(session, key, mechanism, attribute::VERIFY, &KEY)?;
            let verify = start(&chosen.key, &params)?;
            let running = Running::VerifySignature(verify, signature.to_vec());
            let Chosen { object, .. } = chosen;
            let mut operation =
                Operation::new(running, object.private(), object.authenticates()).by(mechanism);
            let memory = &session.token.memory;
            if memory.is_counted() {
                let kept = params.size().saturating_add(signature.len());
                operation.count(memory, Some(&object), kept)?;
            }
            Ok(operation)
        })
    }

    pub(crate) fn operation(
        &self,
        session: &Session,
        kind: Kind,
        mechanism: &'static Mechanism,
        params: Params,
        key: ObjectHandle,
    ) -> Result<Operation> {
        let id = mechanism.id;
        let memory = &session.token.memory;
        // The caller's, the operation's own, and what starts it anew.
        let kept = if memory.is_counted() { params.size().saturating_mul(3) } else { 0 };
        let chosen = |usage| self.choose(session, key, mechanism, usage, &KEY);
        let (running, object) = match kind {
            Kind::Digest => {
                let start = able(mechanism, mechanism.digest)?;
                let running = Running::Digest(start(&params)?);
                let source = Source { mechanism: id, params, key: None };
                let mut operation =
                    Operation::new(running, false, false).by(mechanism).of(Some(source));
                if memory.is_counted() {
                    operation.count(memory, None, kept)?;
                }
                return Ok(operation);
            }
            Kind::Encrypt => {
                let start = able(mechanism, mechanism.encrypt)?;
                let chosen = chosen(attribute::ENCRYPT)?;
                (Running::Encrypt(start(&chosen.key, &params)?), chosen.object)
            }
            Kind::Decrypt => {
                let start = able(mechanism, mechanism.decrypt)?;
                let Chosen { object, key } = chosen(attribute::DECRYPT)?;
                let again = Again { mechanism, key, params: params.clone() };
                (Running::Decrypt(start(&again.key, &params)?, again), object)
            }
            Kind::Sign => {
                let start = able(mechanism, mechanism.sign)?;
                let chosen = chosen(attribute::SIGN)?;
                (Running::Sign(start(&chosen.key, &params)?), chosen.object)
            }
            Kind::Verify => {
                let start = able(mechanism, mechanism.verify)?;
                let chosen = chosen(attribute::VERIFY)?;
                (Running::Verify(start(&chosen.key, &params)?), chosen.object)
            }
            Kind::SignRecover => {
                let start = able(mechanism, mechanism.sign_recover)?;
                let chosen = chosen(attribute::SIGN_RECOVER)?;
                (Running::SignRecover(start(&chosen.key, &params)?), chosen.object)
            }
            Kind::VerifyRecover => {
                let start = able(mechanism, mechanism.verify_recover)?;
                let chosen = chosen(attribute::VERIFY_RECOVER)?;
                (Running::VerifyRecover(start(&chosen.key, &params)?), chosen.object)
            }
            Kind::MessageEncrypt => {
                let aead = able(mechanism, mechanism.message)?;
                let chosen = chosen(attribute::ENCRYPT)?;
                let messages = Messages::start(aead, &chosen.key, &params)?;
                (Running::MessageEncrypt(Box::new(messages), id), chosen.object)
            }
            Kind::MessageDecrypt => {
                let aead = able(mechanism, mechanism.message)?;
                let chosen = chosen(attribute::DECRYPT)?;
                let messages = Messages::start(aead, &chosen.key, &params)?;
                (Running::MessageDecrypt(Box::new(messages), id), chosen.object)
            }
            Kind::MessageSign => {
                able(mechanism, mechanism.sign)?;
                let Chosen { object, key } = chosen(attribute::SIGN)?;
                let start = message::Start { mechanism, key, params: params.clone() };
                (Running::MessageSign(Box::new(Signing::start(start)?)), object)
            }
            Kind::MessageVerify => {
                able(mechanism, mechanism.verify)?;
                let Chosen { object, key } = chosen(attribute::VERIFY)?;
                let start = message::Start { mechanism, key, params: params.clone() };
                (Running::MessageVerify(Box::new(Verifying::start(start)?)), object)
            }
            // These have a start of their own.
            Kind::VerifySignature | Kind::Unwrap | Kind::Derive | Kind::Decapsulate => {
                return Err(Error::GeneralError);
            }
        };
        // A login for one use is not for a copy of it.
        let source = (!object.authenticates()).then(|| {
            let key = Some(object.id);
            Source { mechanism: id, params, key }
        });
        let is_for_digests = |bare| self.would_allow(&object.attributes, bare);
        let operation = Operation::new(running, object.private(), object.authenticates());
        let mut operation = operation.by(mechanism).of(source).prehashed(is_for_digests);
        if memory.is_counted() {
            operation.count(memory, Some(&object), kept)?;
        }
        Ok(operation)
    }
}

/// The mechanisms that a configuration lets be used; those of a list in its order.
pub(crate) fn usable(config: &Config, policy: Policy) -> Vec<&'static Mechanism> {
    let all = || policy.mechanisms();
    match &config.mechanisms {
        Mechanisms::Only(names) => {
            names.iter().filter_map(|name| all().find(|mechanism| mechanism.name == name)).collect()
        }
        listed => all().filter(|mechanism| listed.include(mechanism.name)).collect(),
    }
}

/// What a call needs of a mechanism, if it has it.
pub(crate) fn able<T>(mechanism: &Mechanism, ability: Option<T>) -> Result<T> {
    let unable = || format!("{} does nothing of what this function wants", mechanism.name);
    ability.ok_or_else(|| Error::MechanismInvalid.because(unable))
}

/// Whether a key may be used so: its usage flag, and its list of mechanisms.
pub(crate) fn permits(
    key: &Attributes,
    mechanism: MechanismType,
    usage: Attribute<kind::Bool>,
) -> Result<()> {
    if !key.is(usage) {
        let not = || format!("the {} of the key is false", usage.info.name);
        return Err(Error::KeyFunctionNotPermitted.because(not));
    }
    allows(key, mechanism)
}

/// What comes over a wire is held to the layout that the edge would have read it by.
fn held(params: &Params, layouts: &[Layout]) -> Result<()> {
    match layouts.iter().any(|layout| params.fit(layout)) {
        true => Ok(()),
        false => Err(Error::MechanismParamInvalid
            .since("the parameter has none of the forms that the mechanism takes")),
    }
}

/// Starts an operation where none of its kind is; without a mechanism, ends the one that is active.
fn begin(
    session: &Session,
    kind: Kind,
    call: Option<MechanismCall>,
    make: impl FnOnce(MechanismType, Params) -> Result<Operation>,
) -> Result<()> {
    let mut activity = lock(&session.activity);
    let Some(MechanismCall { mechanism, params }) = call else {
        let nothing =
            || "the mechanism is null, and there is no operation that this could end".into();
        let active = activity.take(kind).map(drop);
        return active.ok_or_else(|| Error::ArgumentsBad.because(nothing));
    };
    if activity.has(kind) {
        return Err(Error::OperationActive);
    }
    activity.begin(make(mechanism, params)?);
    Ok(())
}

/// Checks `CKA_ALLOWED_MECHANISMS`: an empty list allows all.
pub(crate) fn allows(key: &Attributes, mechanism: MechanismType) -> Result<()> {
    if lists(key, mechanism) {
        return Ok(());
    }
    let unlisted = || "it is not among the key's CKA_ALLOWED_MECHANISMS".into();
    Err(Error::MechanismInvalid.because(unlisted))
}

/// Whether `CKA_ALLOWED_MECHANISMS` of a key has a mechanism, or is empty.
fn lists(key: &Attributes, mechanism: MechanismType) -> bool {
    let allowed = key.get(attribute::ALLOWED_MECHANISMS);
    allowed.is_none_or(|allowed| allowed.is_empty() || allowed.contains(&mechanism.0))
}
