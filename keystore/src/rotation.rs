//! A new master key in the place of the old one.
//!
//! Whoever has learnt the master key (of a process that was read, or by an old backup and its PIN)
//! opens every private object that is sealed under it, whatever becomes of the PINs. So all of them
//! are sealed again under the new one, with new search tags, in one commit with both slots. Nothing
//! leads from the old key to the new one, which is why both PINs are asked for: a link for the slot
//! whose PIN is not at hand would serve whoever has the old key just as well.
//!
//! What is long is done before the queue of the writers; behind it only what changed meanwhile is
//! done again.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::{
    ObjectId, Role, Term,
    backend::{Mark, Op, Row, Tag},
    error::{Error, Result},
    keys::{self, ObjectKeys},
    login::{Opened, insistently, next, next_epoch},
    pin::{PinKey, Place},
    sealed,
    token::{Known, Plan, Token},
};

/// How many objects are asked for at a time.
const PAGE: usize = 1000;

/// An attribute that an object is found by, as [`Term`], of its own.
pub type OwnTerm = (u32, Zeroizing<Vec<u8>>);

/// Who knows what the bodies of objects say.
type Reader<'a> = dyn Fn(&[u8]) -> Option<Vec<OwnTerm>> + 'a;

/// The two sets of keys, and what is needed to go from one to the other.
struct Change<'a> {
    old: ObjectKeys,
    new: ObjectKeys,
    terms: &'a Reader<'a>,
}

/// Private objects under the new keys.
#[derive(Default)]
struct Moved {
    /// Of the token before anything was read: what changed since is to be read again.
    version: u64,
    objects: BTreeMap<ObjectId, Again>,
}

/// An object, sealed again.
struct Again {
    row: Row,
    tags: Vec<Tag>,
    /// Its terms of the set hash, before and after.
    terms: [[u8; 32]; 2],
}

/// A role whose PIN is at hand.
struct Bearer {
    role: Role,
    opened: Opened,
    key: PinKey,
}

impl Token {
    /// Replaces the master key: seals every private object again, and wraps the new key under both
    /// PINs, in one commit. The old key is of no use afterwards, not with any row or slot that was
    /// here before either, and whoever is logged in anywhere has to log in again. Says how many
    /// objects there were.
    ///
    /// `terms` says of the body of an object what it is found by, as it was when it was committed.
    /// The objects keep their revisions: nothing changed in them. Public objects are under the
    /// seal key, and stay as they are.
    ///
    /// Takes some seconds and 230 MB for 100,000 objects; others can read meanwhile, and write until
    /// the commit itself.
    ///
    /// # Errors
    /// As [`Token::unlock`] for each of the PINs; [`Error::Unsupported`] if the user has a PIN and
    /// `user_pin` is none; [`Error::Corrupt`] if the token was tampered with, or `terms` does not
    /// know what to say of a body; [`Error::ReadOnly`], [`Error::Full`] or [`Error::Busy`] if the
    /// store cannot be written.
    pub fn rotate(
        &self,
        so_pin: &[u8],
        user_pin: Option<&[u8]>,
        terms: impl Fn(&[u8]) -> Option<Vec<OwnTerm>>,
    ) -> Result<u64> {
        let pins: Vec<_> = [(Role::SecurityOfficer, Some(so_pin)), (Role::User, user_pin)]
            .into_iter()
            .filter_map(|(role, pin)| Some((role, pin?)))
            .collect();
        let count = insistently(|| self.rotate_with(&pins, &terms))?;
        // The old rows and slots shall be nowhere; where a reader holds that up, the next writers'
        // log takes their place.
        let _ = self.file.empty_log();
        Ok(count)
    }

    fn rotate_with(&self, pins: &[(Role, &[u8])], terms: &Reader<'_>) -> Result<u64> {
        // First, so that less time passes in which somebody may change what the PINs open.
        let key = |&(role, pin): &(Role, &[u8])| self.pin_key(role, pin);
        let keys = pins.iter().map(key).collect::<Result<Vec<_>>>()?;
        let bearer = |(&(role, pin), key): (&(Role, &[u8]), PinKey)| {
            Ok(Bearer { role, opened: self.open_slot(role, pin)?, key })
        };
        let bearers = pins.iter().zip(keys).map(bearer).collect::<Result<Vec<_>>>()?;
        let Some(Bearer { opened: Opened { epoch, master: old, .. }, .. }) = bearers.first() else {
            return Err(Error::WrongPin);
        };
        let (master, epoch) = (keys::new_master()?, (*epoch, next_epoch(*epoch)?));
        let change = Change {
            old: ObjectKeys::derive(old, self.id, epoch.0)?,
            new: ObjectKeys::derive(&master, self.id, epoch.1)?,
            terms,
        };
        let moved = self.move_all(&*self.known()?, &change);
        if self.known()?.head.epoch != epoch.0 {
            // Somebody else was faster, and nothing of what was met is of the old key.
            return Err(Error::Conflict);
        }
        let mut moved = Some(moved?);
        let mut count = 0;
        self.transact(|known| {
            self.may_rotate(known, &bearers)?;
            // A new set hash over what is there must not make a tampered token whole.
            self.audit()?;
            let moved = match moved.take() {
                Some(moved) => self.catch_up(known, &change, moved)?,
                None => self.move_all(known, &change)?,
            };
            count = u64::try_from(moved.objects.len()).unwrap_or(u64::MAX);
            let mut head = known.head.clone();
            (head.epoch, head.master) = (epoch.1, keys::master_name(&master, self.id));
            let mut ops = vec![Op::Wipe { private_only: true }];
            for (id, Again { row, tags, terms: [before, after] }) in moved.objects {
                // What was read is taken out, so that nothing else goes unnoticed.
                head.sum.subtract(&before);
                head.sum.add(&after);
                ops.push(Op::Insert { id, row, tags });
            }
            for Bearer { role, opened, key } in &bearers {
                let place = self.place(known, *role, next(opened.slot.revision)?);
                let slot = key.wrap(&Place { epoch: epoch.1, ..place }, &master)?;
                head.note_slot(*role, Some(&slot));
                ops.push(Op::Slot { role: *role, slot: Some(slot) });
            }
            Ok(Plan { head, ops, changed: None })
        })?;
        Ok(count)
    }

    /// Each PIN must be at hand that there is, and open what it opened before.
    fn may_rotate(&self, known: &Known, bearers: &[Bearer]) -> Result<()> {
        if bearers.len() == 1 && known.head.slot_tag(Role::User).is_some() {
            return Err(Error::Unsupported(
                "the user of the token has a PIN, and the master key is replaced with both; give \
                 the user PIN as well"
                    .into(),
            ));
        }
        bearers.iter().try_for_each(|bearer| self.unchanged(known, bearer.role, &bearer.opened))
    }

    /// Seals all private objects again.
    fn move_all(&self, known: &Known, change: &Change<'_>) -> Result<Moved> {
        let mut moved = Moved { version: known.version, ..Moved::default() };
        let every = [vec![change.old.every()?]];
        let mut after = None;
        loop {
            let page = self.backend.find(&every, after, PAGE)?;
            let ids: Vec<_> = page.into_iter().map(|(_, id)| id).collect();
            let Some(last) = ids.last() else { return Ok(moved) };
            after = Some(*last);
            self.move_some(known, change, &ids, &mut moved)?;
        }
    }

    /// The same for those that changed since, behind the queue of the writers.
    fn catch_up(&self, known: &Known, change: &Change<'_>, mut moved: Moved) -> Result<Moved> {
        match self.backend.changes(moved.version)? {
            None => self.move_all(known, change),
            Some(ids) => {
                self.move_some(known, change, &ids, &mut moved)?;
                Ok(moved)
            }
        }
    }

    fn move_some(
        &self,
        known: &Known,
        change: &Change<'_>,
        ids: &[ObjectId],
        moved: &mut Moved,
    ) -> Result<()> {
        for (id, mark) in ids.iter().zip(self.backend.marks(ids)?) {
            moved.objects.remove(id);
            let row = self.backend.row(*id)?.filter(|row| row.private);
            if let (Some(row), Some(mark)) = (row, mark) {
                let again = change.seal(known, *id, &row, mark);
                moved.objects.insert(*id, again.map_err(|error| self.damaged(error))?);
            }
        }
        Ok(())
    }
}

impl Change<'_> {
    fn seal(&self, known: &Known, id: ObjectId, row: &Row, mark: Mark) -> Result<Again> {
        if row.epoch != self.old.epoch() {
            return Err(Error::Corrupt("an object of an earlier master key is back".into()));
        }
        let body = self.old.open(id, row)?;
        let terms = (self.terms)(&body)
            .ok_or(Error::Corrupt("nobody knows what a private object is found by".into()))?;
        let terms: Vec<_> = terms.iter().map(|(name, value)| Term { name: *name, value }).collect();
        let tags = self.new.tags(&terms)?;
        let new = self.new.seal(id, row.revision, true, &body)?;
        let term = |row: &Row, tags| {
            let seal_tag = sealed::tag_of(&row.sealed);
            known.keys.set_term(id, &Mark { revision: row.revision, private: true, seal_tag, tags })
        };
        let terms = [term(row, mark.tags)?, term(&new, tags.clone())?];
        Ok(Again { row: new, tags, terms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change as Commit, Config, Store, config::Seal, scratch::Scratch};

    const PINS: [&[u8]; 2] = [b"87654321", b"1234"];

    #[test]
    fn the_old_master_key_opens_no_row_and_finds_none() {
        let dir = Scratch::new();
        let seal = Seal::File(dir.path().join("seal/seal.key"));
        let store = Store::open(&Config::plain(dir.path().join("store"), seal)).unwrap();
        let token = store.create(&[b'x'; 32], PINS[0]).unwrap();
        let so = token.unlock(Role::SecurityOfficer, PINS[0]).unwrap();
        token.set_user_pin(&so, PINS[1]).unwrap();
        let terms = [Term { name: 3, value: b"name" }];
        let ids = [[1; 16], [2; 16]];
        for id in ids {
            let create = Commit::Create { id, private: true, body: b"body", terms: &terms };
            token.commit(Some(&so), &[create]).unwrap();
        }
        let rows = || ids.map(|id| token.backend.row(id).unwrap().unwrap());
        let opens = |keys: &ObjectKeys, row: &Row| keys.open(ids[0], row).is_ok();
        let finds = |keys: &ObjectKeys| {
            let sets = [keys.every().unwrap(), keys.tag(&terms[0]).unwrap()].map(|tag| vec![tag]);
            token.backend.find(&sets, None, 9).unwrap().len()
        };
        let old = token.open_slot(Role::User, PINS[1]).unwrap();
        let keys = |epoch| ObjectKeys::derive(&old.master, token.id, epoch).unwrap();
        assert!(opens(&keys(1), &rows()[0]) && finds(&keys(1)) == 4, "this test would see it");
        let found_by = |_: &[u8]| Some(vec![(3, b"name".to_vec().into())]);
        token.rotate(PINS[0], Some(PINS[1]), found_by).unwrap();
        // Whatever epoch somebody says it is of.
        for epoch in [1, 2] {
            let keys = keys(epoch);
            let mut row = rows()[0].clone();
            assert_eq!(row.epoch, 2);
            assert!(!opens(&keys, &row) && finds(&keys) == 0, "{epoch}");
            row.epoch = epoch;
            assert!(!opens(&keys, &row), "{epoch}");
        }
        let new = token.open_slot(Role::SecurityOfficer, PINS[0]).unwrap();
        let keys = ObjectKeys::derive(&new.master, token.id, 2).unwrap();
        assert!(*new.master != *old.master && opens(&keys, &rows()[0]) && finds(&keys) == 4);
    }
}
