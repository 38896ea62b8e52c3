//! Messages (5.9, 5.11, 5.16, 5.17): one operation, as it started, for any number of messages.

use std::sync::Arc;

use strongroom_functions::{Direction, MessageOutput};
use strongroom_mechanisms::{Key, Mechanism, Messages, Sign, Verify};
use strongroom_types::{Error, MechanismType, Output, Params, Placed, Result, Room};

use crate::crypto::able;
use crate::memory::Kept;
use crate::operation::{Kind, Message, Running, in_process};
use crate::session::Session;
use crate::sync::lock;

/// What each message of a process starts with.
pub(crate) struct Start {
    pub(crate) mechanism: &'static Mechanism,
    pub(crate) key: Arc<Key>,
    pub(crate) params: Params,
}

/// A process of signatures, and the one that comes in parts.
pub(crate) struct Signing {
    start: Start,
    current: Option<Box<dyn Sign>>,
}

/// A process of verifications, and the one that comes in parts.
pub(crate) struct Verifying {
    start: Start,
    current: Option<Box<dyn Verify>>,
}

/// The kind of process that goes this way.
fn kind(direction: Direction) -> Kind {
    match direction {
        Direction::Encrypt => Kind::MessageEncrypt,
        Direction::Decrypt => Kind::MessageDecrypt,
    }
}

/// The mechanism of the messages that a session works at.
pub(crate) fn mechanism(session: &Session, direction: Direction) -> Result<MechanismType> {
    let mut activity = lock(&session.activity);
    match activity.get_mut(kind(direction)).map(|operation| operation.running()) {
        Some(Running::MessageEncrypt(_, mechanism) | Running::MessageDecrypt(_, mechanism)) => {
            Ok(*mechanism)
        }
        _ => Err(Error::OperationNotInitialized),
    }
}

/// Runs one call of a process of ciphers; a message that fails is forgotten.
fn cipher<T>(
    session: &Session,
    direction: Direction,
    call: impl FnOnce(&mut Messages, &mut Kept) -> Result<Message<T>>,
) -> Result<T> {
    in_process(session, kind(direction), |running, kept| match running {
        Running::MessageEncrypt(messages, _) | Running::MessageDecrypt(messages, _) => {
            call(messages, kept).inspect_err(|_| messages.abandon())
        }
        _ => Err(Error::GeneralError),
    })
}

fn needs(len: usize) -> MessageOutput {
    MessageOutput { output: Output::Needs(len), placed: Vec::new() }
}

/// `C_EncryptMessage` and `C_DecryptMessage`.
pub(crate) fn whole(
    session: &Session,
    direction: Direction,
    params: &Params,
    associated: &[u8],
    data: &[u8],
    room: Room,
) -> Result<MessageOutput> {
    cipher(session, direction, |messages, _| {
        if messages.begun() {
            return Err(Error::OperationActive);
        }
        if !room.fits(data.len()) {
            return Ok(Message::Goes(needs(data.len())));
        }
        Ok(Message::Over(match direction {
            Direction::Encrypt => sealed(messages.encrypt(params, associated, data)?),
            Direction::Decrypt => opened(messages.decrypt(params, associated, data)?),
        }))
    })
}

/// `C_EncryptMessageBegin` and `C_DecryptMessageBegin`.
pub(crate) fn begin(
    session: &Session,
    direction: Direction,
    params: &Params,
    associated: &[u8],
) -> Result<Vec<Placed>> {
    cipher(session, direction, |messages, kept| {
        if messages.begun() {
            return Err(Error::OperationActive);
        }
        kept.gather(associated.len())?;
        Ok(Message::Goes(match direction {
            Direction::Encrypt => messages.begin_encryption(params, associated)?,
            Direction::Decrypt => {
                messages.begin_decryption(params, associated)?;
                vec![Placed::Nothing, Placed::Nothing]
            }
        }))
    })
}

/// `C_EncryptMessageNext` and `C_DecryptMessageNext`.
pub(crate) fn next(
    session: &Session,
    direction: Direction,
    params: &Params,
    part: &[u8],
    last: bool,
    room: Room,
) -> Result<MessageOutput> {
    cipher(session, direction, |messages, kept| {
        if !messages.begun() {
            return Err(Error::OperationNotInitialized);
        }
        let len = if last { messages.output_len(part.len()) } else { 0 };
        if !room.fits(len) {
            // Who hears that nothing comes may never call again, and the part would be lost.
            let told = if room == Room::Query && len == 0 { part.len() } else { len };
            return Ok(Message::Goes(needs(told)));
        }
        if !last {
            kept.gather(part.len())?;
            messages.add(params, part)?;
            let placed = vec![Placed::Nothing, Placed::Nothing];
            let output = Output::Bytes(Default::default());
            return Ok(Message::Goes(MessageOutput { output, placed }));
        }
        Ok(Message::Over(match direction {
            Direction::Encrypt => sealed(messages.end_encryption(params, part)?),
            Direction::Decrypt => opened(messages.end_decryption(params, part)?),
        }))
    })
}

fn sealed(sealed: strongroom_mechanisms::Sealed) -> MessageOutput {
    MessageOutput { output: Output::Bytes(sealed.output), placed: sealed.placed }
}

fn opened(plaintext: strongroom_types::Bytes) -> MessageOutput {
    let placed = vec![Placed::Nothing, Placed::Nothing];
    MessageOutput { output: Output::Bytes(plaintext), placed }
}

/// `C_MessageEncryptFinal` and its like.
pub(crate) fn end(session: &Session, kind: Kind) -> Result<()> {
    lock(&session.activity).take(kind).map(drop).ok_or(Error::OperationNotInitialized)
}

impl Signing {
    /// Starts a process; what is wrong with key or parameter shows here.
    pub(crate) fn start(start: Start) -> Result<Self> {
        let this = Self { start, current: None };
        this.message().map(|_| this)
    }

    /// Whether a message that comes in parts is kept until its end.
    pub(crate) fn gathers(&self) -> bool {
        self.message().is_ok_and(|sign| sign.state().is_none())
    }

    fn message(&self) -> Result<Box<dyn Sign>> {
        let Start { mechanism, key, params } = &self.start;
        able(mechanism, mechanism.sign)?(key, params)
    }

    /// `C_SignMessage`.
    pub(crate) fn whole(&mut self, data: &[u8], room: Room) -> Result<Message<Output>> {
        if self.current.take().is_some() {
            return Err(Error::OperationActive);
        }
        let sign = self.message()?;
        match sign.signature_len() {
            len if room.fits(len) => Ok(Message::Over(Output::Bytes(sign.sign(data)?))),
            len => Ok(Message::Goes(Output::Needs(len))),
        }
    }

    /// `C_SignMessageBegin`.
    pub(crate) fn begin(&mut self) -> Result<Message<()>> {
        if self.current.take().is_some() {
            return Err(Error::OperationActive);
        }
        self.current = Some(self.message()?);
        Ok(Message::Goes(()))
    }

    /// `C_SignMessageNext`.
    pub(crate) fn next(
        &mut self,
        part: &[u8],
        room: Option<Room>,
        kept: &mut Kept,
    ) -> Result<Message<Output>> {
        let mut sign = self.current.take().ok_or(Error::OperationNotInitialized)?;
        let len = sign.signature_len();
        match room {
            Some(room) if room.fits(len) => {
                sign.update(part)?;
                Ok(Message::Over(Output::Bytes(sign.finish()?)))
            }
            // A query takes no part.
            Some(_) => {
                self.current = Some(sign);
                Ok(Message::Goes(Output::Needs(len)))
            }
            None => {
                kept.gather(part.len())?;
                sign.update(part)?;
                self.current = Some(sign);
                Ok(Message::Goes(Output::Needs(0)))
            }
        }
    }
}

impl Verifying {
    /// Starts a process; what is wrong with key or parameter shows here.
    pub(crate) fn start(start: Start) -> Result<Self> {
        let this = Self { start, current: None };
        this.message().map(|_| this)
    }

    /// As [`Signing::gathers`].
    pub(crate) fn gathers(&self) -> bool {
        self.message().is_ok_and(|verify| verify.state().is_none())
    }

    fn message(&self) -> Result<Box<dyn Verify>> {
        let Start { mechanism, key, params } = &self.start;
        able(mechanism, mechanism.verify)?(key, params)
    }

    /// `C_VerifyMessage`.
    pub(crate) fn whole(&mut self, data: &[u8], signature: &[u8]) -> Result<Message<()>> {
        if self.current.take().is_some() {
            return Err(Error::OperationActive);
        }
        self.message()?.verify(data, signature).map(Message::Over)
    }

    /// `C_VerifyMessageBegin`.
    pub(crate) fn begin(&mut self) -> Result<Message<()>> {
        if self.current.take().is_some() {
            return Err(Error::OperationActive);
        }
        self.current = Some(self.message()?);
        Ok(Message::Goes(()))
    }

    /// `C_VerifyMessageNext`.
    pub(crate) fn next(
        &mut self,
        part: &[u8],
        signature: Option<&[u8]>,
        kept: &mut Kept,
    ) -> Result<Message<()>> {
        let mut verify = self.current.take().ok_or(Error::OperationNotInitialized)?;
        verify.update(part)?;
        match signature {
            Some(signature) => verify.finish(signature).map(Message::Over),
            None => {
                kept.gather(part.len())?;
                self.current = Some(verify);
                Ok(Message::Goes(()))
            }
        }
    }
}

/// Runs one call of a process of signatures.
pub(crate) fn sign<T>(
    session: &Session,
    call: impl FnOnce(&mut Signing, &mut Kept) -> Result<Message<T>>,
) -> Result<T> {
    in_process(session, Kind::MessageSign, |running, kept| match running {
        Running::MessageSign(signing) => call(signing, kept),
        _ => Err(Error::GeneralError),
    })
}

/// Runs one call of a process of verifications.
pub(crate) fn verify<T>(
    session: &Session,
    call: impl FnOnce(&mut Verifying, &mut Kept) -> Result<Message<T>>,
) -> Result<T> {
    in_process(session, Kind::MessageVerify, |running, kept| match running {
        Running::MessageVerify(verifying) => call(verifying, kept),
        _ => Err(Error::GeneralError),
    })
}
