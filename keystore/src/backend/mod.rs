//! The storage under one token: dumb, atomic, and blind.
//!
//! A back end sees sealed rows, tags and counters; it knows no key and no PKCS#11. A write is a
//! list of operations with preconditions, not a closure, so that an engine can run it in one
//! transaction and a database server in one statement. [`sqlite`] is the one that ships;
//! `memory` says in the tests what both must do, by one conformance suite.

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod sqlite;

use crate::{ObjectId, Role, error::Result, sealed};

/// The name of a token.
pub(crate) type TokenId = [u8; 16];
/// A keyed digest of one attribute.
pub(crate) type Tag = [u8; 16];
/// How many commits the change log remembers.
pub(crate) const REMEMBERED: u64 = 1024;
/// How many objects one entry of the change log names; a larger commit says "everything".
pub(crate) const NAMED: usize = 4096;

/// The one row that describes the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: u32,
    pub(crate) token: TokenId,
    /// Rises by one with each commit.
    pub(crate) version: u64,
    /// Which seal key: a kind, then its name or, without a seal, the key.
    pub(crate) seal: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

/// The master key, wrapped for one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) revision: u64,
    pub(crate) sealed: Vec<u8>,
    pub(crate) attempts: Attempts,
}

/// What is known about wrong PINs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Wrong PINs since the last right one.
    pub(crate) fails: u32,
    /// When the next attempt is welcome, in milliseconds since 1970.
    pub(crate) next: u64,
    /// Authenticates the two, with the slot that they belong to.
    pub(crate) mac: [u8; 16],
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) revision: u64,
    pub(crate) epoch: u32,
    pub(crate) private: bool,
    pub(crate) sealed: Vec<u8>,
}

/// What the set hash says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) revision: u64,
    pub(crate) private: bool,
    pub(crate) seal_tag: [u8; sealed::TAG],
    /// In ascending order.
    pub(crate) tags: Vec<Tag>,
}

/// One step of a commit.
#[derive(Debug)]
pub(crate) enum Op {
    /// Adds an object; a conflict if it exists.
    Insert { id: ObjectId, row: Row, tags: Vec<Tag> },
    /// Changes an object at this revision; a conflict at another, not found if it is gone.
    Update { id: ObjectId, expected: u64, row: Row, tags: Vec<Tag> },
    /// Removes an object; not found if it is gone.
    Delete { id: ObjectId },
    /// Sets or removes the slot of a role.
    Slot { role: Role, slot: Option<Slot> },
    /// Removes all objects, or the private ones.
    Wipe { private_only: bool },
}

/// What changes together.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The next header; its version is one above the version that the batch was made for, and
    /// any other version in the store is a conflict.
    pub(crate) header: Header,
    pub(crate) ops: Vec<Op>,
    /// The objects that other processes must look at again; nothing: all.
    pub(crate) changed: Option<Vec<ObjectId>>,
}

/// A turn in the queue of writers. Fairness only: what is right rests on the batch's version.
pub(crate) trait Turn {}

/// The storage under one token. Every call sees what was committed before it began.
pub(crate) trait Backend: Send + Sync {
    /// The version of the header.
    fn version(&self) -> Result<u64>;
    /// The header; not found if the token is gone.
    fn header(&self) -> Result<Header>;
    /// The slot of a role, if it is set.
    fn slot(&self, role: Role) -> Result<Option<Slot>>;
    /// One object, if it is there.
    fn row(&self, id: ObjectId) -> Result<Option<Row>>;
    /// The objects that carry all tags of one of these sets (a tag at least in each), with the
    /// number of the set: those of the first set, then those of the next, each in ascending order.
    /// The first set begins after `after`.
    fn find(
        &self,
        sets: &[Vec<Tag>],
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<(usize, ObjectId)>>;
    /// The marks of these objects, in their order.
    fn marks(&self, ids: &[ObjectId]) -> Result<Vec<Option<Mark>>>;
    /// The header and all marks of one moment, in ascending order of the objects.
    fn audit(&self, each: &mut dyn FnMut(ObjectId, &Mark)) -> Result<Header>;
    /// The objects that changed after a version; nothing: take all for changed.
    fn changes(&self, since: u64) -> Result<Option<Vec<ObjectId>>>;
    /// Waits for a turn to write.
    fn turn(&self) -> Result<Box<dyn Turn + '_>>;
    /// Commits a batch: all of it, durably, or nothing.
    fn commit(&self, batch: &Batch) -> Result<()>;
    /// Replaces what is known about wrong PINs of a slot at this revision; false if that is not
    /// `seen` any more.
    fn attempts(&self, role: Role, revision: u64, seen: &Attempts, now: &Attempts) -> Result<bool>;
    /// A number that changes with each commit and each counted attempt, without asking the
    /// engine; nothing: ask.
    fn peek(&self) -> Option<u64>;
}
