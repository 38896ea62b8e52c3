//! The keystore: tokens, their PINs and their objects, sealed at rest.
//!
//! A [`Store`] is a directory; each [`Token`] in it is one database file. What is stored is
//! sealed: one authenticated encryption over the whole body of an object, bound to the token, the
//! object, its revision and whether it is private. Objects are found by keyed digests of some of
//! their attributes, so the engine searches without learning values. `FORMAT.md` says the format
//! byte by byte, and what it protects from.
//!
//! This crate knows nothing of PKCS#11: a body is bytes, a search term is a number and bytes, and
//! [`Error`] is its own. It does not cache bodies: [`Token::version`] tells a caller in some
//! nanoseconds whether what it remembers still holds.
//!
//! Many processes may use a store at once, and a process with open stores may fork, if it calls
//! [`quiesce`] around the fork.
//!
//! Locks, outermost first: the queue of PIN checks, the gate in front of SQLite, the queue of
//! writers, the connection; and the list of that first queue, behind which nothing is locked. Sealing,
//! opening and key derivation happen under none but the first.

#![deny(unsafe_code)]

mod audit;
mod backend;
mod bytes;
mod check;
pub mod config;
#[cfg(test)]
mod dead_stack;
mod error;
mod filesystem;
mod fresh;
mod gate;
mod head;
mod keys;
mod locks;
mod login;
mod memory_limit;
mod objects;
#[allow(unsafe_code)]
mod pages;
mod pin;
mod queue;
mod rotation;
#[cfg(test)]
mod scratch;
mod seal;
mod sealed;
mod store;
mod sync;
mod token;
mod transfer;
mod words;

pub use self::{
    check::{Finding, Severity},
    config::{Config, ConfigError, KeyPolicy},
    error::{Damage, Error, Result},
    gate::{Quiesced, quiesce},
    locks::{Kind, Locks, Opener},
    login::Unlocked,
    objects::{Change, Changes, Found, Record, Term},
    pages::keep_secrets_on_heap,
    rotation::OwnTerm,
    store::Store,
    token::{PinState, Status, Token},
};

/// The name of an object inside its token, chosen by the caller; random ones never collide.
pub type ObjectId = [u8; 16];

/// Whose PIN it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Initializes the token and sets the user's PIN.
    SecurityOfficer,
    /// Uses the objects.
    User,
}

impl Role {
    /// As it is stored.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::SecurityOfficer => 0,
            Self::User => 1,
        }
    }
}
