//! What saves round trips of a search: it starts with the first question for what it finds, more is
//! given than was asked for, and what may be read of the objects comes along.
//!
//! Objects that were found and not given yet are looked at again if something happened meanwhile by
//! which they may have gone. What came along is told for a moment only: nobody can change what can not
//! change, but another process can destroy the object. What may change is told for a moment that is
//! shorter still, since another process can change it. What this application does is seen at once: it
//! is forgotten before the token is asked to do it, and what came along meanwhile is not remembered.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use core::cell::OnceCell;

use strongroom_types::{
    Attributes, Bytes, Error, ObjectHandle, Result, SessionHandle, Value, attribute,
};

use super::answers::{carry_started, done, written};
use super::changes::Reach;
use super::{Carrier, Place, Trips, lock};
use crate::conduct::{ATTRIBUTES, Step};
use crate::remote::Request;
use crate::serve::{FIND, refusal};
use crate::wire::{Reader, Wire};
use crate::{Description, Found};

/// How many objects are welcome at once, however few are wanted.
const AHEAD: usize = 16;

/// How long what can not change is told.
const MOMENT: Duration = Duration::from_secs(1);

/// How long what may change is told: as long as a program needs that lists what it found.
const SHORT_MOMENT: Duration = Duration::from_millis(250);

/// Of how many objects a session remembers what came along.
pub(super) const MOST_TOLD: usize = 256;

/// Of how many all sessions together do.
pub(super) const MOST_IN_ALL: usize = 4096;

/// The search of a session.
#[derive(Default)]
pub(super) struct Search {
    state: State,
    /// What came along, the latest last.
    told: VecDeque<Told>,
}

/// Where a search is.
#[derive(Default)]
enum State {
    /// Nowhere.
    #[default]
    None,
    /// At the token, or nobody knows.
    There,
    /// Here; the token has not heard of it.
    Held(Request),
    /// The token is being asked what it finds.
    Asking,
    /// Some has been found and not been given.
    Ahead(Ahead),
}

/// What has been found and not been given.
#[derive(Default)]
struct Ahead {
    found: VecDeque<ObjectHandle>,
    /// Whether the search goes on at the token.
    more: bool,
    /// Which of it may be no more.
    doubtful: Vec<ObjectHandle>,
}

/// What came along with an object.
struct Told {
    object: ObjectHandle,
    of: Description,
    turn: u64,
    /// When it was asked for.
    since: Instant,
    /// Its share in [`Kept::shares`].
    _share: Arc<()>,
}

/// What all sessions keep of what came along.
#[derive(Default)]
pub(super) struct Kept {
    /// There is one for each object.
    shares: Arc<()>,
    /// When those dropped it last that are not used.
    dropped: Mutex<Option<Instant>>,
}

/// What came of a question: what is told of the objects that were found, or the token's refusal.
type Came = core::result::Result<Vec<Told>, Bytes>;

impl Trips {
    /// `C_FindObjectsInit`, `C_FindObjects` and `C_FindObjectsFinal`.
    pub(super) fn search(
        &self,
        session: SessionHandle,
        step: Step,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let Some(place) = self.find(session) else { return carrier.carry(&mut [request]) };
        // One call after the other, as at the token. The desk stays free meanwhile: who logs in does
        // not wait for what another session searches.
        let _one = place.one_search();
        match step {
            Step::Start => self.start_search(&place, request, carrier),
            Step::Next => self.go_on_searching(session, &place, request, carrier),
            Step::End => end_search(&place, request, carrier),
        }
    }

    fn start_search(
        &self,
        place: &Place,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        {
            let search = &mut place.desk().search;
            search.drop_what_is_old(carrier);
            match &search.state {
                State::None => {
                    search.state = State::Held(request);
                    // While the desk is locked: who makes something finds the search here, or later.
                    self.any_search_held.store(true, Ordering::SeqCst);
                    return Ok(written(&()));
                }
                State::Ahead(Ahead { more: false, .. }) => {
                    return Ok(refusal(Error::OperationActive));
                }
                _ => search.begin(carrier),
            }
        }
        let answer = carrier.carry(&mut [request])?;
        if done(&answer) {
            place.desk().search.state = State::There;
        }
        Ok(answer)
    }

    fn go_on_searching(
        &self,
        session: SessionHandle,
        place: &Place,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let list = OnceCell::new();
        let arguments = request.arguments::<(SessionHandle, usize)>(&list);
        let Some((_, most)) = arguments else { return carrier.carry(&mut [request]) };
        let changes = self.changes.now();
        let asks = {
            let state = &mut place.desk().search.state;
            match std::mem::replace(state, State::Asking) {
                State::Held(start) => Some((Some(start), Ahead::default())),
                State::Ahead(mut ahead) if ahead.suffices(most) => {
                    let given = ahead.give(most);
                    *state = State::Ahead(ahead);
                    return Ok(written(&given));
                }
                State::Ahead(ahead) => Some((None, ahead)),
                other => {
                    *state = other;
                    None
                }
            }
        };
        let Some((start, mut ahead)) = asks else { return carrier.carry(&mut [request]) };
        let starts = start.is_some();
        let came = ahead.fill(start, session, most, &self.kept, carrier);
        if let Ok(Ok(told)) = &came {
            self.learn(session, told, carrier);
            self.drop_what_is_old(carrier);
        }
        let search = &mut place.desk().search;
        let as_told = self.changes.none_since(changes);
        if !as_told {
            ahead.doubtful = ahead.found.iter().copied().collect();
        }
        let (answer, failed) = match came {
            Ok(Ok(told)) => {
                if as_told {
                    search.remember(told, &self.kept);
                }
                (Ok(written(&ahead.give(most))), false)
            }
            Ok(Err(refused)) => (Ok(refused), true),
            Err(error) => (Err(error), true),
        };
        // What has been found and not been given is there for the next question. Whether a search that
        // failed to start did so, nobody knows.
        search.state = if failed && starts { State::There } else { State::Ahead(ahead) };
        answer
    }

    /// Remembers what objects are called, and whether there are some that go with their session.
    fn learn(&self, session: SessionHandle, told: &[Told], carrier: &dyn Carrier) {
        for Told { object, of, turn, .. } in told {
            if let Some(name) = name(&of.fixed) {
                carrier.learn(session, *object, name, *turn);
            }
            if of.fixed.get(attribute::TOKEN) == Some(false) {
                self.note_passing();
            }
        }
    }

    /// Has all sessions drop what is told no more, now and then: one that is not used would keep it.
    fn drop_what_is_old(&self, carrier: &dyn Carrier) {
        if !self.kept.is_time(carrier.now()) {
            return;
        }
        for (_, place) in self.all() {
            // One that is at work drops it when it is used next.
            if let Ok(mut desk) = place.desk.try_lock() {
                desk.search.drop_what_is_old(carrier);
            }
        }
    }

    /// `C_GetAttributeValue`.
    pub(super) fn attributes(
        &self,
        session: SessionHandle,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let place = self.find(session);
        let told = place.and_then(|place| place.desk().search.attributes(&request, carrier));
        told.map_or_else(|| carrier.carry(&mut [request]), Ok)
    }

    /// Has the searches that are held begin at the token, before something is made that they would
    /// find there.
    pub(super) fn begin_searches(&self, carrier: &dyn Carrier) {
        if self.any_search_held.swap(false, Ordering::SeqCst) {
            for (_, place) in self.all() {
                place.desk().search.begin(carrier);
            }
        }
    }
}

/// `C_FindObjectsFinal`.
fn end_search(place: &Place, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
    {
        let search = &mut place.desk().search;
        if let State::Held(_) | State::Ahead(Ahead { more: false, .. }) = search.state {
            search.state = State::None;
            return Ok(written(&()));
        }
    }
    let answer = carrier.carry(&mut [request])?;
    if done(&answer) {
        place.desk().search.state = State::None;
    }
    Ok(answer)
}

impl Search {
    fn remember(&mut self, told: Vec<Told>, kept: &Kept) {
        self.told.extend(told);
        let over = self.told.len().saturating_sub(MOST_TOLD).max(kept.over());
        self.told.drain(..over.min(self.told.len()));
    }

    /// `C_GetAttributeValue`, if it is known what it answers.
    fn attributes(&mut self, request: &Request, carrier: &dyn Carrier) -> Option<Bytes> {
        self.drop_what_is_old(carrier);
        let list = OnceCell::new();
        let arguments = request.arguments::<(SessionHandle, (ObjectHandle, &[u64]))>(&list);
        let (_, (object, wanted)) = arguments?;
        let (turn, now) = (carrier.turn(), carrier.now());
        let told =
            self.told.iter().rev().find(|told| told.object == object && told.turn == turn)?;
        let values: Option<Vec<_>> = wanted.iter().map(|id| told.value(*id, now)).collect();
        values.map(|values| written(&values))
    }

    /// Drops what is told no more.
    pub(super) fn drop_what_is_old(&mut self, carrier: &dyn Carrier) {
        if !self.told.is_empty() {
            let now = carrier.now();
            self.told.retain(|told| told.age(now) <= MOMENT);
            if self.told.is_empty() {
                // Nor the room for it.
                self.told = VecDeque::new();
            }
        }
    }

    /// Has it begin at the token, if it has not yet.
    pub(super) fn begin(&mut self, carrier: &dyn Carrier) {
        if let State::Held(_) = self.state
            && let State::Held(start) = std::mem::replace(&mut self.state, State::There)
            && !carrier.carry(&mut [start]).is_ok_and(|answer| done(&answer))
        {
            self.state = State::None;
        }
    }

    /// Of how many objects something is kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.told.len()
    }

    /// `C_SessionCancel` has ended it.
    pub(super) fn cancelled(&mut self) {
        self.state = State::None;
    }

    /// Something happens by which objects may go, or change.
    pub(super) fn doubt(&mut self, reach: Reach, turn: u64) {
        match reach {
            // An object that has a handle of an earlier turn may have another one.
            Reach::One(object) if turn_of(object) == turn => {
                self.told.retain(|told| told.object != object);
                if let State::Ahead(ahead) = &mut self.state
                    && ahead.found.contains(&object)
                    && !ahead.doubtful.contains(&object)
                {
                    ahead.doubtful.push(object);
                }
            }
            Reach::All | Reach::One(_) | Reach::Passing => {
                self.told.clear();
                if let State::Ahead(ahead) = &mut self.state {
                    ahead.doubtful = ahead.found.iter().copied().collect();
                }
            }
        }
    }
}

impl Kept {
    /// How many are kept too many.
    fn over(&self) -> usize {
        Arc::strong_count(&self.shares).saturating_sub(1 + MOST_IN_ALL)
    }

    /// Whether it is time that those drop something that are not used.
    fn is_time(&self, now: Instant) -> bool {
        let dropped = &mut *lock(&self.dropped);
        let is_time = dropped.is_none_or(|then| now.saturating_duration_since(then) > MOMENT);
        if is_time {
            *dropped = Some(now);
        }
        is_time
    }
}

impl Ahead {
    /// Looks again at what has been found, and asks for more of it where that is too little.
    fn fill(
        &mut self,
        start: Option<Request>,
        session: SessionHandle,
        most: usize,
        kept: &Kept,
        carrier: &dyn Carrier,
    ) -> Result<Came> {
        self.look_again(session, carrier)?;
        if start.is_none() && self.suffices(most) {
            return Ok(Ok(Vec::new()));
        }
        let least = most.saturating_sub(self.found.len());
        let find = Request::new(FIND).with(&session).with(&least).with(&least.max(AHEAD));
        let (turn, since) = (carrier.turn(), carrier.now());
        let answer = carry_started(start, find, carrier)?;
        let list = OnceCell::new();
        let found = Result::<Found>::take(&mut Reader::new(&answer, &list));
        let Ok(Ok(Found { objects, of, more })) = found else { return Ok(Err(answer)) };
        self.more = more;
        self.found.extend(&objects);
        let told = objects.into_iter().zip(of).filter_map(|(object, of)| {
            let (of, _share) = (of?, Arc::clone(&kept.shares));
            Some(Told { object, of, turn, since, _share })
        });
        Ok(Ok(told.collect()))
    }

    /// Whether so many can be given without asking.
    fn suffices(&self, most: usize) -> bool {
        self.doubtful.is_empty() && (!self.more || self.found.len() >= most)
    }

    /// Leaves out what is no more, where something happened by which that may be.
    fn look_again(&mut self, session: SessionHandle, carrier: &dyn Carrier) -> Result<()> {
        let mut gone = Vec::new();
        for handle in &self.doubtful {
            let class: &[u64] = &[attribute::CLASS.info.id];
            let ask = Request::new(ATTRIBUTES).with(&session).with(handle).with(&class);
            if !done(&carrier.carry(&mut [ask])?) {
                gone.push(*handle);
            }
        }
        self.found.retain(|handle| !gone.contains(handle));
        self.doubtful.clear();
        Ok(())
    }

    fn give(&mut self, most: usize) -> Vec<ObjectHandle> {
        self.found.drain(..most.min(self.found.len())).collect()
    }
}

impl Told {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// What the object answers for an attribute, if that is known.
    fn value(&self, id: u64, now: Instant) -> Option<Result<Value>> {
        let Description { fixed, changing, untold } = &self.of;
        if let Some(value) = fixed.value(id) {
            return Some(Ok(value.clone()));
        }
        if self.age(now) > SHORT_MOMENT || untold.contains(&id) {
            return None;
        }
        Some(changing.value(id).cloned().ok_or(Error::AttributeTypeInvalid))
    }
}

/// The turn that a handle was given in: it has that in its upper sixteen bits.
fn turn_of(object: ObjectHandle) -> u64 {
    object.0 >> 48
}

/// What an object is called, if it is on the token and for everybody to see.
fn name(object: &Attributes) -> Option<Bytes> {
    let everybody = object.get(attribute::PRIVATE) == Some(false);
    let name = object.get(attribute::UNIQUE_ID)?;
    (everybody && object.is(attribute::TOKEN)).then(|| Bytes::new(name.to_vec()))
}
