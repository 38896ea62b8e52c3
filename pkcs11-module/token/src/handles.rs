//! Handles: the application's numbers for objects.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::RwLock;

use hashbrown::HashTable;
use strongroom_keystore::ObjectId;
use strongroom_types::{Error, ObjectHandle, Result, SlotId};

use crate::recall::Losses;
use crate::sync::{read, write};

/// Where an object is, and who may see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: SlotId,
    pub(crate) id: ObjectId,
    pub(crate) home: Home,
    pub(crate) private: bool,
}

/// Who knows an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The keystore: a token object that an application made.
    Keystore,
    /// The memory of the application: a session object.
    Session,
    /// The token itself: it follows from the module, and is stored nowhere.
    Token,
}

/// The handles of an application. An object keeps its handle as long as the application may see
/// it; a number is never given twice.
#[derive(Default)]
pub(crate) struct Handles(RwLock<Table>);

/// Some 30 bytes for each handle, since an application may see every object of a large token.
#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    /// The entries without a place that may have one again.
    free: Vec<u32>,
    /// The entries with a place, by identifier alone: identifiers are random, at least in the half
    /// that they have from their token, so no two objects have the same.
    by_id: HashTable<u32>,
    hasher: RandomState,
    /// Handles of earlier turns, and the entries that they stand for.
    adopted: HashMap<u64, usize>,
    /// The handles of those entries that have no other.
    former: HashMap<usize, u64>,
    /// What is added to each handle.
    first: u64,
}

/// How many handles of earlier turns are taken over.
const MOST_ADOPTED: usize = 1 << 16;

/// Where the handles of a turn begin: the upper sixteen bits of all of them.
pub(crate) fn first_of_turn(turn: u16) -> u64 {
    u64::from(turn) << 48
}

/// A [`Place`], packed.
struct Entry {
    id: ObjectId,
    slot: u32,
    /// How often the entry has been used before: the upper half of its handle.
    turn: u16,
    /// Nothing while it has no place.
    kind: Option<Kind>,
}

struct Kind {
    home: Home,
    private: bool,
}

impl Entry {
    fn place(&self) -> Option<Place> {
        let Kind { home, private } = *self.kind.as_ref()?;
        Some(Place { slot: SlotId(self.slot.into()), id: self.id, home, private })
    }
}

impl Handles {
    /// None yet; of another turn, objects have other handles.
    pub(crate) fn of_turn(turn: u16) -> Self {
        let table = Table { first: first_of_turn(turn), ..Table::default() };
        Self(RwLock::new(table))
    }

    /// The handle of an object, given at first sight.
    pub(crate) fn of(&self, place: Place) -> Result<ObjectHandle> {
        if let Some(handle) = read(&self.0).handle(&place.id) {
            return Ok(handle);
        }
        let mut table = write(&self.0);
        // Another thread may have been faster.
        table.handle(&place.id).map_or_else(|| table.add(place), Ok)
    }

    /// Has a handle of an earlier turn stand for an object.
    pub(crate) fn adopt(&self, handle: ObjectHandle, place: Place) -> Result<()> {
        let mut table = write(&self.0);
        let earlier = (1..table.first).contains(&handle.0);
        if !earlier || table.adopted.len() == MOST_ADOPTED {
            return Err(Error::ArgumentsBad);
        }
        if table.adopted.contains_key(&handle.0) {
            return Ok(());
        }
        let known = table.index(&place.id);
        if known.is_none() {
            table.add(place)?;
        }
        let index = table.index(&place.id).ok_or(Error::GeneralError)?;
        table.adopted.insert(handle.0, index);
        if known.is_none() {
            table.former.insert(index, handle.0);
        }
        Ok(())
    }

    /// Where the object of a handle is.
    pub(crate) fn place(&self, handle: ObjectHandle) -> Result<Place> {
        let table = read(&self.0);
        let entry = table.entry(handle).and_then(|index| table.entries.get(index));
        entry.and_then(Entry::place).ok_or(Error::ObjectHandleInvalid)
    }

    /// Takes back the handles of the objects of a token that are chosen.
    pub(crate) fn forget(&self, losses: &Losses, chosen: impl Fn(&Place) -> bool) {
        self.take_back(losses, |table| {
            for index in 0..table.entries.len() {
                let place = table.entries.get(index).and_then(Entry::place);
                if place.is_some_and(|place| chosen(&place)) {
                    table.remove(index);
                }
            }
        });
    }

    /// Takes back the handles of these objects of a token.
    pub(crate) fn forget_objects(&self, losses: &Losses, ids: &[ObjectId]) {
        if ids.is_empty() {
            return;
        }
        self.take_back(losses, |table| {
            for id in ids {
                if let Some(index) = table.index(id) {
                    table.remove(index);
                }
            }
        });
    }

    /// Takes back one handle of an object of a token.
    pub(crate) fn forget_one(&self, losses: &Losses, handle: ObjectHandle) {
        self.take_back(losses, |table| {
            if let Some(index) = table.entry(handle) {
                table.remove(index);
            }
        });
    }

    /// Takes handles back. They are a loss of the token even if their objects are one already: who
    /// looked between the two may have found an object by a handle that is gone now.
    fn take_back(&self, losses: &Losses, take: impl FnOnce(&mut Table)) {
        take(&mut write(&self.0));
        losses.add();
    }
}

impl Table {
    /// The entry of an object.
    fn index(&self, id: &ObjectId) -> Option<usize> {
        let Self { entries, by_id, hasher, .. } = self;
        let same = |index: &u32| id_of(entries, *index) == Some(id);
        by_id.find(hasher.hash_one(id), same).and_then(|index| usize::try_from(*index).ok())
    }

    fn handle(&self, id: &ObjectId) -> Option<ObjectHandle> {
        let index = self.index(id)?;
        self.handle_of(index, self.entries.get(index)?.turn)
    }

    /// The entry of a handle, if it is the one that the entry has now.
    fn entry(&self, given: ObjectHandle) -> Option<usize> {
        if let Some(index) = self.adopted.get(&given.0) {
            return Some(*index);
        }
        let index = usize::try_from(given.0 & u64::from(u32::MAX)).ok()?.checked_sub(1)?;
        let entry = self.entries.get(index)?;
        (entry.kind.is_some() && self.handle_of(index, entry.turn) == Some(given)).then_some(index)
    }

    /// Handles begin at 1: 0 is `CK_INVALID_HANDLE`.
    fn handle_of(&self, index: usize, turn: u16) -> Option<ObjectHandle> {
        if let Some(handle) = self.former.get(&index) {
            return Some(ObjectHandle(*handle));
        }
        let low = u32::try_from(index).ok()?.checked_add(1)?;
        Some(ObjectHandle(self.first | u64::from(turn) << 32 | u64::from(low)))
    }

    fn add(&mut self, place: Place) -> Result<ObjectHandle> {
        let Self { entries, free, by_id, hasher, .. } = self;
        let number = match free.pop() {
            Some(number) => number,
            None => u32::try_from(entries.len()).map_err(|_| Error::HostMemory)?,
        };
        let index = usize::try_from(number).map_err(|_| Error::HostMemory)?;
        let Place { slot, id, home, private } = place;
        // Slot numbers have 31 bits, and count on from there.
        let slot = u32::try_from(slot.0).map_err(|_| Error::GeneralError)?;
        let turn = entries.get(index).map_or(0, |entry| entry.turn);
        let entry = Entry { id, slot, turn, kind: Some(Kind { home, private }) };
        match entries.get_mut(index) {
            Some(free) => *free = entry,
            None => entries.push(entry),
        }
        let hash = |number: &u32| hasher.hash_one(id_of(entries, *number).unwrap_or(&[0; 16]));
        by_id.insert_unique(hasher.hash_one(id), number, hash);
        self.handle_of(index, turn).ok_or(Error::HostMemory)
    }

    fn remove(&mut self, index: usize) {
        let Self { entries, free, by_id, hasher, adopted, former, .. } = self;
        if !adopted.is_empty() {
            adopted.retain(|_, entry| *entry != index);
            former.remove(&index);
        }
        let Some(entry) = entries.get_mut(index) else { return };
        if entry.kind.take().is_none() {
            return;
        }
        let same = |number: &u32| usize::try_from(*number) == Ok(index);
        let Ok(found) = by_id.find_entry(hasher.hash_one(entry.id), same) else { return };
        let (number, _) = found.remove();
        // An entry whose turns are used up stays empty, so that no handle comes back.
        if let Some(turn) = entry.turn.checked_add(1) {
            entry.turn = turn;
            free.push(number);
        }
    }
}

fn id_of(entries: &[Entry], number: u32) -> Option<&ObjectId> {
    entries.get(usize::try_from(number).ok()?).map(|entry| &entry.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u8) -> Place {
        Place {
            slot: SlotId(7),
            id: [number; 16],
            home: Home::Keystore,
            private: number.is_multiple_of(2),
        }
    }

    fn id_at(handles: &Handles, handle: ObjectHandle) -> Option<ObjectId> {
        handles.place(handle).ok().map(|place| place.id)
    }

    #[test]
    fn an_object_keeps_its_handle() {
        let handles = Handles::default();
        let given: Vec<_> = (0..200).map(|number| handles.of(place(number)).unwrap()).collect();
        for (number, handle) in (0..200).zip(&given) {
            assert_eq!(handles.of(place(number)).unwrap(), *handle);
            assert_eq!(id_at(&handles, *handle), Some([number; 16]));
        }
        assert_eq!(given.first(), Some(&ObjectHandle(1)));
        for never in [0, 201, 1 << 32, u64::MAX] {
            assert_eq!(id_at(&handles, ObjectHandle(never)), None);
        }
    }

    #[test]
    fn another_turn_has_other_handles() {
        let (first, second) = (Handles::of_turn(0), Handles::of_turn(1));
        let (old, new) = (first.of(place(1)).unwrap(), second.of(place(1)).unwrap());
        assert_eq!((old.0, new.0), (1, 1 << 48 | 1));
        assert_eq!((id_at(&first, new), id_at(&second, old)), (None, None));
    }

    #[test]
    fn a_handle_of_an_earlier_turn_can_be_taken_over() {
        let handles = Handles::of_turn(2);
        let own = handles.of(place(1)).unwrap();
        let old = [ObjectHandle(5), ObjectHandle(1 << 48 | 9)];
        for never in [0, own.0, 3 << 48 | 1] {
            let refused = handles.adopt(ObjectHandle(never), place(3));
            assert_eq!(refused, Err(Error::ArgumentsBad));
        }
        // One that has a handle already has two now.
        handles.adopt(old[0], place(1)).unwrap();
        assert_eq!([own, old[0]].map(|handle| id_at(&handles, handle)), [Some([1; 16]); 2]);
        assert_eq!(handles.of(place(1)).unwrap(), own);
        handles.adopt(old[1], place(3)).unwrap();
        handles.adopt(old[1], place(5)).unwrap();
        assert_eq!(handles.of(place(3)).unwrap(), old[1]);
        assert_eq!(id_at(&handles, old[1]), Some([3; 16]), "what it stands for does not change");
        handles.forget_one(&Losses::default(), old[1]);
        handles.forget_objects(&Losses::default(), &[[1; 16]]);
        for gone in [own, old[0], old[1]] {
            assert_eq!(id_at(&handles, gone), None);
        }
        assert!(handles.of(place(3)).unwrap().0 > 2 << 48);
    }

    #[test]
    fn a_handle_that_was_taken_back_never_comes_again() {
        let (handles, losses) = (Handles::default(), Losses::default());
        let mut seen = Vec::new();
        for turn in 0..50 {
            let one = handles.of(place(1)).unwrap();
            let two = handles.of(place(2)).unwrap();
            let three = handles.of(place(3)).unwrap();
            for handle in [one, two, three] {
                assert!(turn == 0 || !seen.contains(&handle) || handle == three);
                seen.push(handle);
            }
            handles.forget_one(&losses, one);
            handles.forget(&losses, |place| place.private);
            handles.forget_objects(&losses, &[[9; 16]]);
            handles.forget_objects(&losses, &[]);
            assert_eq!(losses.count(), 3 * (turn + 1), "each is a loss, but none is none");
            assert_eq!([one, two].map(|handle| id_at(&handles, handle)), [None; 2]);
            assert_eq!(id_at(&handles, three), Some([3; 16]));
        }
        assert!(read(&handles.0).entries.len() <= 3);
        handles.forget_objects(&losses, &[[3; 16]]);
        assert!(read(&handles.0).by_id.is_empty());
    }
}
