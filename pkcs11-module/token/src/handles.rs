//! Handles: the application's numbers for objects.

use std::collections::HashMap;
use std::sync::RwLock;

use strongroom_keystore::ObjectId;
use strongroom_types::{Error, ObjectHandle, Result, SlotId};

use crate::sync::{read, write};

/// Where an object is, and who may see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: SlotId,
    pub(crate) id: ObjectId,
    /// A token object, in the keystore; or a session object, in memory.
    pub(crate) on_token: bool,
    pub(crate) private: bool,
}

/// The handles of an application. An object keeps its handle as long as the application may see
/// it; a number is never given twice.
#[derive(Default)]
pub(crate) struct Handles(RwLock<Maps>);

#[derive(Default)]
struct Maps {
    last: u64,
    places: HashMap<u64, Place>,
    /// By identifier alone: identifiers are random, so no two tokens have the same.
    numbers: HashMap<ObjectId, u64>,
}

impl Handles {
    /// The handle of an object, given at first sight.
    pub(crate) fn of(&self, place: Place) -> ObjectHandle {
        let mut maps = write(&self.0);
        if let Some(number) = maps.numbers.get(&place.id) {
            return ObjectHandle(*number);
        }
        maps.last += 1;
        let number = maps.last;
        maps.numbers.insert(place.id, number);
        maps.places.insert(number, place);
        ObjectHandle(number)
    }

    /// Where the object of a handle is.
    pub(crate) fn place(&self, handle: ObjectHandle) -> Result<Place> {
        read(&self.0).places.get(&handle.0).copied().ok_or(Error::ObjectHandleInvalid)
    }

    /// Takes back the handles of the objects that are chosen.
    pub(crate) fn forget(&self, chosen: impl Fn(&Place) -> bool) {
        let mut maps = write(&self.0);
        let Maps { places, numbers, .. } = &mut *maps;
        places.retain(|_, place| {
            let goes = chosen(place);
            if goes {
                numbers.remove(&place.id);
            }
            !goes
        });
    }

    /// Takes back the handles of these objects.
    pub(crate) fn forget_objects(&self, ids: &[ObjectId]) {
        if ids.is_empty() {
            return;
        }
        let mut maps = write(&self.0);
        for id in ids {
            if let Some(number) = maps.numbers.remove(id) {
                maps.places.remove(&number);
            }
        }
    }

    /// Takes back one handle.
    pub(crate) fn forget_one(&self, handle: ObjectHandle) {
        let mut maps = write(&self.0);
        if let Some(place) = maps.places.remove(&handle.0) {
            maps.numbers.remove(&place.id);
        }
    }
}
