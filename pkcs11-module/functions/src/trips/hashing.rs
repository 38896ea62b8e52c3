//! Signatures and verifications whose data is hashed here: only the digest travels.

use core::cell::OnceCell;

use strongroom_types::{Bytes, MechanismType, Output, Result, SessionHandle};

use super::answers::{done, room, signature, written};
use super::operations::{Here, Key, Start, State};
use crate::Operation;
use crate::conduct::{Role, SIGN_UPDATE, VERIFY_UPDATE};
use crate::remote::Request;
use crate::serve::{HASH_ELSEWHERE, SIGN_DIGEST, VERIFY_DIGEST, refusal};

/// How much data of a signature that is hashed here is kept, for calls that want it at the token.
const MOST_KEPT: usize = 16 << 10;

/// A hash function under way.
pub trait Hasher: Send {
    /// Adds a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the library that computes it.
    fn update(&mut self, part: &[u8]) -> Result<()>;

    /// The digest.
    ///
    /// # Errors
    ///
    /// Those of the library that computes it.
    fn finish(self: Box<Self>) -> Result<Bytes>;
}

/// Starts the hash function of a digest mechanism; nothing where it can not be computed.
pub type Hashers = fn(MechanismType) -> Option<Box<dyn Hasher>>;

/// A signature or a verification whose data is hashed here.
pub(super) struct Hashing {
    pub(super) operation: Operation,
    /// How it starts, until it has been started at the token.
    pub(super) start: Option<Request>,
    pub(super) key: Key,
    /// How much room it needs for its output; a verification has none.
    pub(super) output_len: usize,
    pub(super) hasher: Box<dyn Hasher>,
    /// All the data, while it is short.
    pub(super) copy: Option<Bytes>,
}

impl Hashing {
    pub(super) fn new(operation: Operation, start: Start, hasher: Box<dyn Hasher>) -> Self {
        let Start { request, key, facts } = start;
        let output_len = facts.output_len.unwrap_or_default();
        let (start, copy) = (Some(request), Some(Bytes::default()));
        Self { operation, start, key, output_len, hasher, copy }
    }

    /// The function that adds a part at the token.
    pub(super) fn update(&self) -> u16 {
        match self.operation {
            Operation::Verify => VERIFY_UPDATE,
            _ => SIGN_UPDATE,
        }
    }

    /// Says to the token that it gets the digest only: whatever becomes of that, it will not take what
    /// comes later for all the data.
    pub(super) fn elsewhere(&self, session: SessionHandle) -> Request {
        Request::new(HASH_ELSEWHERE).with(&session).with(&self.operation)
    }

    /// The first call for the signature.
    pub(super) fn first(
        mut self,
        state: &mut State,
        role: Role,
        session: SessionHandle,
        call: Request,
    ) -> Here {
        if !matches!(role, Role::Whole(_)) {
            return self.next(state, role, session, call);
        }
        let list = OnceCell::new();
        let Some((_, data)) = call.arguments::<(SessionHandle, &[u8])>(&list) else {
            return self.hand_on(call);
        };
        match self.hasher.update(data) {
            Ok(()) => self.last(state, role, session, call),
            Err(error) => Here::Answer(refusal(error)),
        }
    }

    /// A later call. The state is that of an operation which the token knows, unless it goes on here.
    pub(super) fn next(
        mut self,
        state: &mut State,
        role: Role,
        session: SessionHandle,
        call: Request,
    ) -> Here {
        let list = OnceCell::new();
        match role {
            Role::Part(_) => {
                let arguments = call.arguments::<(SessionHandle, &[u8])>(&list);
                let Some((_, part)) = arguments else { return self.hand_on(call) };
                let answer = match self.add(part) {
                    Ok(()) => written(&()),
                    Err(error) => refusal(error),
                };
                if done(&answer) {
                    *state = State::Hashing(self);
                }
                Here::Answer(answer)
            }
            Role::Last(_) => match room(role, &call) {
                Some(room) if !room.fits(self.output_len) => {
                    let needs = Output::Needs(self.output_len);
                    *state = State::Hashing(self);
                    Here::Answer(written(&needs))
                }
                _ => self.last(state, role, session, call),
            },
            _ => self.hand_on(call),
        }
    }

    /// A single part that comes after others. The token says what that is, and ends the operation.
    fn hand_on(self, call: Request) -> Here {
        let elsewhere = call.session().map(|session| self.elsewhere(session));
        let start = self.start.into_iter().zip(elsewhere).flat_map(<[_; 2]>::from);
        Here::AskTogether(start.chain([call]).collect())
    }

    /// What has been hashed is signed, or its signature checked.
    fn last(self, state: &mut State, role: Role, session: SessionHandle, call: Request) -> Here {
        *state = State::There;
        let digest = match self.hasher.finish() {
            Ok(digest) => digest,
            Err(error) => return Here::Answer(refusal(error)),
        };
        let list = OnceCell::new();
        let request = match self.operation {
            Operation::Verify => signature(role, &call, &list)
                .map(|to| Request::new(VERIFY_DIGEST).with(&session).with(&digest).with(&to)),
            _ => room(role, &call)
                .map(|room| Request::new(SIGN_DIGEST).with(&session).with(&digest).with(&room)),
        };
        drop(list);
        Here::AskTogether(self.start.into_iter().chain([request.unwrap_or(call)]).collect())
    }

    pub(super) fn add(&mut self, part: &[u8]) -> Result<()> {
        self.hasher.update(part)?;
        self.copy = self.copy.take().filter(|copy| copy.len() + part.len() <= MOST_KEPT);
        if let Some(copy) = &mut self.copy {
            // All that it will ever hold, or it would leave a copy of itself behind as it grows.
            let room = MOST_KEPT - copy.len();
            copy.reserve_exact(room);
            copy.extend_from_slice(part);
        }
        Ok(())
    }
}
