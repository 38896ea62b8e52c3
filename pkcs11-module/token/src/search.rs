//! `C_FindObjects`: session objects from memory, token objects from the keystore page by page.

use std::collections::VecDeque;

use strongroom_keystore::{ObjectId, Role};
use strongroom_types::{Attributes, Error, ObjectHandle, Result, attribute};

use crate::error::storage;
use crate::handles::{Handles, Place};
use crate::object::{Object, TERMS, Terms};
use crate::session::Session;

/// A search under way.
pub(crate) struct Search {
    template: Attributes,
    terms: Terms,
    /// Whether the terms say all that the template says, so that no object needs to be read.
    covered: bool,
    found: VecDeque<Place>,
    stages: VecDeque<Stage>,
}

/// A part of the keystore that is still to be searched.
struct Stage {
    private: bool,
    after: Option<ObjectId>,
}

/// The smallest page that is asked of the keystore, and the largest.
const PAGE: (usize, usize) = (16, 1024);

impl Search {
    /// Starts a search of what the session may see. Attributes that nothing has find nothing.
    pub(crate) fn start(session: &Session, template: Attributes) -> Self {
        let on_token = template.get(attribute::TOKEN);
        let private = template.get(attribute::PRIVATE);
        let found = match on_token {
            Some(true) => VecDeque::new(),
            _ => session
                .token
                .find_session_objects(&template)
                .iter()
                .map(|object| place(session, object))
                .collect(),
        };
        let user = session.token.is(Role::User);
        let stages = [false, true]
            .into_iter()
            .filter(|stage| {
                on_token != Some(false) && private.is_none_or(|wanted| wanted == *stage)
            })
            .filter(|private| user || !private)
            .map(|private| Stage { private, after: None })
            .collect();
        let by_stage = [attribute::TOKEN.info, attribute::PRIVATE.info];
        let covered =
            template.iter().all(|(id, _)| TERMS.iter().chain(&by_stage).any(|info| info.id == id));
        Self { terms: Terms::of(&template), covered, template, found, stages }
    }

    /// The next objects, at most so many; none when there are no more.
    pub(crate) fn next(
        &mut self,
        session: &Session,
        handles: &Handles,
        most: usize,
    ) -> Result<Vec<ObjectHandle>> {
        while self.found.len() < most && self.page(session, most)? {}
        let most = most.min(self.found.len());
        Ok(self.found.drain(..most).map(|place| handles.of(place)).collect())
    }

    /// Leaves out private objects from now on.
    pub(crate) fn end_private(&mut self) {
        self.found.retain(|place| !place.private);
        self.stages.retain(|stage| !stage.private);
    }

    /// Searches one page more; false if there is none.
    fn page(&mut self, session: &Session, most: usize) -> Result<bool> {
        let Some(stage) = self.stages.front_mut() else { return Ok(false) };
        let keys = session.token.keys();
        if stage.private && keys.is_none() {
            // Somebody logged out meanwhile.
            self.stages.pop_front();
            return Ok(true);
        }
        let limit = most.saturating_sub(self.found.len()).clamp(PAGE.0, PAGE.1);
        let terms = self.terms.as_terms();
        let found =
            session.token.stored.find(keys.as_deref(), stage.private, &terms, stage.after, limit);
        let ids = match found {
            // Another process initialised the token: what this login could see is no more.
            Err(strongroom_keystore::Error::Locked) => {
                self.stages.pop_front();
                return Ok(true);
            }
            found => found.map_err(storage)?,
        };
        let private = stage.private;
        stage.after = ids.last().copied();
        if ids.len() < limit {
            self.stages.pop_front();
        }
        for id in ids {
            if self.covered || self.matches(session, &id)? {
                let slot = session.slot.id;
                self.found.push_back(Place { slot, id, on_token: true, private });
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

/// Where an object of the session's token is.
pub(crate) fn place(session: &Session, object: &Object) -> Place {
    Place {
        slot: session.slot.id,
        id: object.id,
        on_token: object.attributes.is(attribute::TOKEN),
        private: object.private(),
    }
}
