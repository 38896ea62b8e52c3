//! The reference back end: says in a hundred plain lines what a back end does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use super::{Attempts, Backend, Batch, Header, Mark, NAMED, Op, REMEMBERED, Row, Slot, Tag, Turn};
use crate::{
    ObjectId, Role,
    error::{Error, Result},
    sealed,
};

pub(crate) struct Memory(Mutex<State>);

#[derive(Clone)]
struct State {
    header: Header,
    slots: BTreeMap<u8, Slot>,
    objects: BTreeMap<ObjectId, (Row, Vec<Tag>)>,
    log: BTreeMap<u64, Option<Vec<ObjectId>>>,
    word: u64,
}

impl Memory {
    pub(crate) fn new(header: Header, officer: Slot) -> Self {
        let slots = BTreeMap::from([(Role::SecurityOfficer.number(), officer)]);
        let (objects, log) = (BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(State { header, slots, objects, log, word: 0 }))
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    /// All or nothing.
    fn write(&self, change: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        let mut next = state.clone();
        change(&mut next)?;
        next.word += 2;
        *state = next;
        Ok(())
    }
}

struct Free;

impl Turn for Free {}

impl Backend for Memory {
    fn version(&self) -> Result<u64> {
        Ok(self.read(|state| state.header.version))
    }

    fn header(&self) -> Result<Header> {
        Ok(self.read(|state| state.header.clone()))
    }

    fn slot(&self, role: Role) -> Result<Option<Slot>> {
        Ok(self.read(|state| state.slots.get(&role.number()).cloned()))
    }

    fn row(&self, id: ObjectId) -> Result<Option<Row>> {
        Ok(self.read(|state| state.objects.get(&id).map(|(row, _)| row.clone())))
    }

    fn find(
        &self,
        sets: &[Vec<Tag>],
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<(usize, ObjectId)>> {
        Ok(self.read(|state| {
            let of_set = |(set, tags): (usize, &Vec<Tag>)| {
                let objects = state.objects.iter();
                let found: Vec<_> = objects
                    .filter(|(id, _)| set > 0 || after.is_none_or(|after| **id > after))
                    .filter(|(_, (_, carries))| tags.iter().all(|tag| carries.contains(tag)))
                    .map(|(id, _)| (set, *id))
                    .collect();
                found
            };
            sets.iter().enumerate().flat_map(of_set).take(limit).collect()
        }))
    }

    fn marks(&self, ids: &[ObjectId]) -> Result<Vec<Option<Mark>>> {
        Ok(self.read(|state| ids.iter().map(|id| state.objects.get(id).map(mark)).collect()))
    }

    fn audit(&self, each: &mut dyn FnMut(ObjectId, &Mark)) -> Result<Header> {
        let state = self.read(State::clone);
        for (id, object) in &state.objects {
            each(*id, &mark(object));
        }
        Ok(state.header)
    }

    fn changes(&self, since: u64) -> Result<Option<Vec<ObjectId>>> {
        Ok(self.read(|state| {
            let mut changed = BTreeSet::new();
            if since > state.header.version {
                return None;
            }
            for version in since + 1..=state.header.version {
                changed.extend(state.log.get(&version)?.as_ref()?);
            }
            Some(changed.into_iter().collect())
        }))
    }

    fn turn(&self) -> Result<Box<dyn Turn + '_>> {
        Ok(Box::new(Free))
    }

    fn commit(&self, batch: &Batch) -> Result<()> {
        self.write(|state| {
            if state.header.version + 1 != batch.header.version {
                return Err(Error::Conflict);
            }
            for op in &batch.ops {
                state.apply(op)?;
            }
            state.header = batch.header.clone();
            let version = batch.header.version;
            state.log.insert(version, batch.changed.clone().filter(|ids| ids.len() <= NAMED));
            if version.is_multiple_of(256) {
                state.log.retain(|old, _| *old > version.saturating_sub(REMEMBERED));
            }
            Ok(())
        })
    }

    fn attempts(&self, role: Role, revision: u64, seen: &Attempts, now: &Attempts) -> Result<bool> {
        let mut counted = false;
        self.write(|state| {
            let slot = state.slots.get_mut(&role.number());
            let slot = slot.filter(|slot| slot.revision == revision && slot.attempts == *seen);
            counted = slot.map(|slot| slot.attempts = *now).is_some();
            Ok(())
        })?;
        Ok(counted)
    }

    fn peek(&self) -> Option<u64> {
        Some(self.read(|state| state.word))
    }
}

impl State {
    fn apply(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Insert { id, row, tags } => {
                if self.objects.insert(*id, (row.clone(), tags.clone())).is_some() {
                    return Err(Error::Conflict);
                }
            }
            Op::Update { id, expected, row, tags } => {
                let object = self.objects.get_mut(id).ok_or(Error::NotFound)?;
                if object.0.revision != *expected {
                    return Err(Error::Conflict);
                }
                *object = (row.clone(), tags.clone());
            }
            Op::Delete { id } => {
                self.objects.remove(id).ok_or(Error::NotFound)?;
            }
            Op::Slot { role, slot: Some(slot) } => {
                self.slots.insert(role.number(), slot.clone());
            }
            Op::Slot { role, slot: None } => {
                self.slots.remove(&role.number());
            }
            Op::Wipe { private_only } => {
                self.objects.retain(|_, (row, _)| *private_only && !row.private);
            }
        }
        Ok(())
    }
}

fn mark((row, tags): &(Row, Vec<Tag>)) -> Mark {
    let mut tags = tags.clone();
    tags.sort_unstable();
    let seal_tag = sealed::tag_of(&row.sealed);
    Mark { revision: row.revision, private: row.private, seal_tag, tags }
}
