//! Objects: found by search tags, opened one by one, changed together.

use std::collections::HashSet;

use zeroize::Zeroizing;

use crate::{
    ObjectId, Unlocked,
    backend::{Mark, Op, Row, Tag},
    error::{Error, Result},
    keys::ObjectKeys,
    sealed,
    token::{Known, Plan, Token},
};

/// An attribute that objects are found by: its name and its exact value.
#[derive(Clone, Copy)]
pub struct Term<'a> {
    /// The caller's number of the attribute.
    pub name: u32,
    /// Its value; shorter than 4 GiB.
    pub value: &'a [u8],
}

/// An object that a search met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it can only be opened after a login.
    pub private: bool,
    /// Its name.
    pub id: ObjectId,
}

/// An object, opened.
pub struct Record {
    /// Whether it can only be opened after a login.
    pub private: bool,
    /// Starts at 1 and rises with each replacement.
    pub revision: u64,
    /// What the caller stored.
    pub body: Zeroizing<Vec<u8>>,
}

/// One step of a commit.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// Adds an object.
    Create {
        /// Its name, which must be new; random.
        id: ObjectId,
        /// Whether it can only be opened after a login.
        private: bool,
        /// What to store.
        body: &'a [u8],
        /// What it is found by.
        terms: &'a [Term<'a>],
    },
    /// Puts a new body and new terms in the place of the old ones.
    Replace {
        /// The object.
        id: ObjectId,
        /// The revision that the caller saw.
        revision: u64,
        /// Whether it can only be opened after a login from now on.
        private: bool,
        /// What to store.
        body: &'a [u8],
        /// What it is found by.
        terms: &'a [Term<'a>],
    },
    /// Removes an object.
    Delete {
        /// The object.
        id: ObjectId,
    },
}

/// What changed since a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These objects, in ascending order: created, replaced or removed.
    List(Vec<ObjectId>),
    /// More than is remembered, or the token was initialized: everything is to be read again.
    All,
}

impl Change<'_> {
    fn id(&self) -> ObjectId {
        match self {
            Self::Create { id, .. } | Self::Replace { id, .. } | Self::Delete { id } => *id,
        }
    }
}

/// An object as it will be stored.
struct Sealed {
    row: Row,
    tags: Vec<Tag>,
    /// Of the set hash.
    term: [u8; 32],
}

impl Token {
    /// Finds the objects that have all these terms (all objects if there are none): the public
    /// and then the private ones, or only those that `private` says; each in ascending order;
    /// those after `after`, at most `limit`.
    ///
    /// The first term decides the cost: put the most selective one there.
    ///
    /// # Errors
    /// [`Error::Locked`] for private objects without the keys of the present master key;
    /// [`Error::Io`] and its kin if the store fails.
    pub fn find(
        &self,
        keys: Option<&Unlocked>,
        private: Option<bool>,
        terms: &[Term<'_>],
        after: Option<Found>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        let known = self.known()?;
        let wanted = |of: bool| {
            private.is_none_or(|private| private == of) && after.is_none_or(|met| of >= met.private)
        };
        let parts: Vec<_> = [false, true].into_iter().filter(|of| wanted(*of)).collect();
        let tags = |of: &bool| {
            let keys = self.keys_for(&known, keys, *of)?;
            match terms {
                [] => Ok(vec![keys.every()?]),
                terms => terms.iter().map(|term| keys.tag(term)).collect::<Result<_>>(),
            }
        };
        let sets = parts.iter().map(tags).collect::<Result<Vec<_>>>()?;
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        let from = after.filter(|met| parts.first() == Some(&met.private)).map(|met| met.id);
        let found = self.backend.find(&sets, from, limit)?;
        if wanted(true) && self.known()?.head.epoch != known.head.epoch {
            // A new master key has new tags: what was not met may be there.
            return self.find(keys, private, terms, after, limit);
        }
        let named = |(set, id): (usize, ObjectId)| {
            parts.get(set).map(|private| Found { private: *private, id })
        };
        Ok(found.into_iter().filter_map(named).collect())
    }

    /// Opens an object.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is gone; [`Error::Locked`] if it is private and `keys` are not
    /// those of the present master key; [`Error::Corrupt`] if it was tampered with.
    pub fn load(&self, keys: Option<&Unlocked>, id: ObjectId) -> Result<Record> {
        self.open(keys, id).map_err(|error| self.damaged(error))
    }

    fn open(&self, keys: Option<&Unlocked>, id: ObjectId) -> Result<Record> {
        let row = self.backend.row(id)?.ok_or(Error::NotFound)?;
        let mut known = self.known()?;
        if !row.private && known.public.epoch() != row.epoch {
            known = self.reread()?;
        }
        let keys = self.keys_for(&known, keys, row.private)?;
        if keys.epoch() != row.epoch {
            return Err(if row.private {
                Error::Locked
            } else {
                Error::Corrupt("an object of an earlier life of the token is back".into())
            });
        }
        let body = keys.open(id, &row)?;
        Ok(Record { private: row.private, revision: row.revision, body })
    }

    /// Makes all the changes, durably, or none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if an object to replace or delete is gone; [`Error::Conflict`] if one
    /// to create exists, one to replace is at another revision, or two changes name the same;
    /// [`Error::Locked`] if one is private and `keys` are not those of the present master key;
    /// [`Error::ReadOnly`], [`Error::Full`] or [`Error::Busy`] if the store cannot be written.
    pub fn commit(&self, keys: Option<&Unlocked>, changes: &[Change<'_>]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = changes.iter().map(Change::id).collect();
        if ids.iter().collect::<HashSet<_>>().len() != ids.len() {
            return Err(Error::Conflict);
        }
        // Sealing takes longer than committing, so it happens before the queue of the writers.
        let mut known = self.known()?;
        let mut objects = self.seal_all(&known, keys, changes)?;
        self.transact(|now| {
            if now.head.epoch != known.head.epoch || now.head.born != known.head.born {
                known = self.reread()?;
                objects = self.seal_all(&known, keys, changes)?;
            }
            self.plan(now, keys, changes, &objects, ids.clone())
        })
    }

    /// The objects that changed after a version that [`Token::version`] gave.
    ///
    /// # Errors
    /// [`Error::Io`] and its kin if the store fails.
    pub fn changes(&self, since: u64) -> Result<Changes> {
        Ok(self.backend.changes(since)?.map_or(Changes::All, Changes::List))
    }

    fn keys_for<'a>(
        &self,
        known: &'a Known,
        keys: Option<&'a Unlocked>,
        private: bool,
    ) -> Result<&'a ObjectKeys> {
        if !private {
            return Ok(&known.public);
        }
        let keys = keys.filter(|keys| self.opens(keys, known)).ok_or(Error::Locked)?;
        Ok(&keys.objects)
    }

    fn seal_all(
        &self,
        known: &Known,
        keys: Option<&Unlocked>,
        changes: &[Change<'_>],
    ) -> Result<Vec<Option<Sealed>>> {
        let seal = |change: &Change<'_>| {
            let (id, revision, private, body, terms) = match *change {
                Change::Create { id, private, body, terms } => (id, 1, private, body, terms),
                Change::Replace { id, revision, private, body, terms } => {
                    (id, revision.checked_add(1).ok_or(Error::Conflict)?, private, body, terms)
                }
                Change::Delete { .. } => return Ok(None),
            };
            let keys = self.keys_for(known, keys, private)?;
            let row = keys.seal(id, revision, private, body)?;
            let seal_tag = sealed::tag_of(&row.sealed);
            let mark = Mark { revision, private, seal_tag, tags: keys.tags(terms)? };
            let term = known.keys.set_term(id, &mark)?;
            Ok(Some(Sealed { row, tags: mark.tags, term }))
        };
        changes.iter().map(seal).collect()
    }

    fn plan(
        &self,
        known: &Known,
        keys: Option<&Unlocked>,
        changes: &[Change<'_>],
        objects: &[Option<Sealed>],
        ids: Vec<ObjectId>,
    ) -> Result<Plan> {
        let old = self.backend.marks(&ids)?;
        let unlocked = keys.is_some_and(|keys| self.opens(keys, known));
        let mut head = known.head.clone();
        let mut ops = Vec::with_capacity(changes.len());
        for ((change, sealed), old) in changes.iter().zip(objects).zip(&old) {
            if old.as_ref().is_some_and(|old| old.private && !unlocked) {
                return Err(Error::Locked);
            }
            if let Some(old) = old {
                head.sum.subtract(&known.keys.set_term(change.id(), old)?);
                head.count = head.count.saturating_sub(1);
            }
            if let Some(sealed) = sealed {
                head.sum.add(&sealed.term);
                head.count = head.count.saturating_add(1);
            }
            ops.push(operation(change, sealed.as_ref(), old.as_ref())?);
        }
        Ok(Plan { head, ops, changed: Some(ids) })
    }
}

fn operation(change: &Change<'_>, sealed: Option<&Sealed>, old: Option<&Mark>) -> Result<Op> {
    let id = change.id();
    match (change, sealed, old) {
        (Change::Create { .. }, Some(Sealed { row, tags, .. }), None) => {
            Ok(Op::Insert { id, row: row.clone(), tags: tags.clone() })
        }
        (Change::Create { .. }, _, _) => Err(Error::Conflict),
        (Change::Replace { revision, .. }, Some(Sealed { row, tags, .. }), Some(old)) => {
            if old.revision != *revision {
                return Err(Error::Conflict);
            }
            Ok(Op::Update { id, expected: *revision, row: row.clone(), tags: tags.clone() })
        }
        (Change::Delete { .. }, _, Some(_)) => Ok(Op::Delete { id }),
        (Change::Replace { .. } | Change::Delete { .. }, _, _) => Err(Error::NotFound),
    }
}
