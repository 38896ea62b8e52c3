//! `C_FindObjects`: session objects from memory, token objects from the keystore page by page.

use std::collections::VecDeque;

use strongroom_keystore::{Found, ObjectId, Role};
use strongroom_types::{Attributes, Error, ObjectHandle, Result, attribute};

use crate::error::storage;
use crate::handles::{Handles, Home, Place};
use crate::memory::{Growth, Kept};
use crate::object::{Object, TERMS, Terms};
use crate::own::OwnObjects;
use crate::session::Session;

/// A search under way.
pub(crate) struct Search {
    template: Attributes,
    terms: Terms,
    /// Whether the terms say all that the template says, so that no object needs to be read.
    covered: bool,
    found: VecDeque<Place>,
    stored: Stored,
    kept: Kept,
}

/// What of the keystore is still to be searched.
struct Stored {
    public: bool,
    private: bool,
    /// The last object that was met.
    after: Option<Found>,
}

/// The smallest page that is asked of the keystore, and the largest.
const PAGE: (usize, usize) = (16, 1024);

impl Search {
    /// Starts a search of what the session may see. Attributes that nothing has find nothing.
    pub(crate) fn start(session: &Session, own: &OwnObjects, template: Attributes) -> Result<Self> {
        let on_token = template.get(attribute::TOKEN);
        let private = template.get(attribute::PRIVATE);
        let mut found: VecDeque<_> = match on_token {
            Some(true) => VecDeque::new(),
            _ => session
                .token
                .find_session_objects(&template)
                .iter()
                .map(|object| place(session, object))
                .collect(),
        };
        let own = own.found(&session.token.stored, &template);
        found.extend(own.iter().map(|object| Place {
            slot: session.slot.id,
            id: object.id,
            home: Home::Token,
            private: false,
        }));
        let user = session.token.is(Role::User);
        let stored = Stored {
            public: on_token != Some(false) && private != Some(true),
            private: on_token != Some(false) && private != Some(false) && user,
            after: None,
        };
        let by_stage = [attribute::TOKEN.info, attribute::PRIVATE.info];
        let covered =
            template.iter().all(|(id, _)| TERMS.iter().chain(&by_stage).any(|info| info.id == id));
        let (terms, kept) =
            (Terms::of(&template), Kept::new(&session.token.memory, 0, Growth::Passes)?);
        let mut search = Self { terms, covered, template, found, stored, kept };
        search.count()?;
        Ok(search)
    }

    /// Counts what it keeps: the template, the terms, which are copied from it, and what has been found.
    fn count(&mut self) -> Result<()> {
        if !self.kept.is_counted() {
            return Ok(());
        }
        let found = size_of::<Place>().saturating_mul(self.found.len());
        self.kept.set(self.template.size().saturating_mul(2).saturating_add(found))
    }

    /// The next objects: `least` of them, if there are as many, and up to `most`, if the keystore need
    /// be asked for one page at the most.
    pub(crate) fn next(
        &mut self,
        session: &Session,
        handles: &Handles,
        (least, most): (usize, usize),
    ) -> Result<Vec<ObjectHandle>> {
        // What was too much the last time is not made more.
        self.count()?;
        let mut goes_on = self.found.len() < most;
        while goes_on {
            goes_on = self.page(session, most)? && self.found.len() < least;
            self.count()?;
        }
        let most = most.min(self.found.len());
        let handles = self.found.drain(..most).map(|place| handles.of(place)).collect();
        self.count().and(handles)
    }

    /// Whether there may be more.
    pub(crate) fn goes_on(&self) -> bool {
        !self.found.is_empty() || self.stored.scope().is_some()
    }

    /// Leaves out private objects from now on.
    pub(crate) fn end_private(&mut self) {
        self.found.retain(|place| !place.private);
        self.stored.private = false;
    }

    /// Searches one page more; false if there is none.
    fn page(&mut self, session: &Session, most: usize) -> Result<bool> {
        let keys = session.token.keys();
        // Somebody may have logged out meanwhile.
        self.stored.private &= keys.is_some();
        let Some(scope) = self.stored.scope() else { return Ok(false) };
        let limit = most.saturating_sub(self.found.len()).clamp(PAGE.0, PAGE.1);
        let (terms, after) = (self.terms.as_terms(), self.stored.after);
        let found = match session.token.stored.find(keys.as_deref(), scope, &terms, after, limit) {
            // Another process initialised the token: what this login could see is no more.
            Err(strongroom_keystore::Error::Locked) if self.stored.private => {
                self.stored.private = false;
                return Ok(true);
            }
            found => found.map_err(storage)?,
        };
        self.stored.after = found.last().copied();
        if found.len() < limit {
            self.stored = Stored { public: false, private: false, after: None };
        }
        for Found { id, private } in found {
            if self.covered || self.matches(session, &id)? {
                let slot = session.slot.id;
                self.found.push_back(Place { slot, id, home: Home::Keystore, private });
            }
        }
        Ok(true)
    }

    fn matches(&self, session: &Session, id: &ObjectId) -> Result<bool> {
        match session.token.token_object(id) {
            Ok(object) => Ok(object.matches(&self.template)),
            // Destroyed since the page was made.
            Err(Error::ObjectHandleInvalid) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Stored {
    /// Which objects the keystore is asked for: all or those of one kind; nothing when it has been
    /// searched.
    fn scope(&self) -> Option<Option<bool>> {
        match (self.public, self.private) {
            (true, true) => Some(None),
            (true, false) => Some(Some(false)),
            (false, true) => Some(Some(true)),
            (false, false) => None,
        }
    }
}

/// Where an object of the session's token is that an application made.
pub(crate) fn place(session: &Session, object: &Object) -> Place {
    let on_token = object.attributes.is(attribute::TOKEN);
    Place {
        slot: session.slot.id,
        id: object.id,
        home: if on_token { Home::Keystore } else { Home::Session },
        private: object.private(),
    }
}
