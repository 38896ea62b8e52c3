//! What saves round trips of a search: it starts with the first question for what it finds, more is
//! asked for than is wanted, and what can not change of the objects comes along.
//!
//! Objects that were found and not given yet are looked at again if something happened meanwhile by
//! which they may have gone. What came along is told for a moment only: another process can not
//! change it, but can destroy the object.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use core::cell::OnceCell;

use strongroom_types::{
    Attributes, Bytes, Error, ObjectHandle, Result, SessionHandle, Value, attribute,
};

use crate::Found;
use crate::remote::Request;
use crate::serve::{FIND, refusal};
use crate::trips::{Carrier, done, written};
use crate::wire::{Reader, Wire};

/// How many objects are asked for at least.
const AHEAD: usize = 16;

/// How long what came along is told.
const MOMENT: Duration = Duration::from_secs(1);

/// `C_GetAttributeValue`.
pub(crate) const ATTRIBUTES: u16 = 21;

/// The search of a session.
#[derive(Default)]
pub(crate) struct Search {
    state: State,
    told: Option<Told>,
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
    /// Some has been found and not been given.
    Ahead(Ahead),
}

/// What has been found and not been given.
#[derive(Default)]
struct Ahead {
    found: VecDeque<ObjectHandle>,
    /// Whether the search goes on at the token.
    more: bool,
    /// Whether some of it may be no more.
    doubtful: bool,
}

/// What came along with the objects that were found last.
struct Told {
    objects: Vec<(ObjectHandle, Attributes)>,
    turn: u64,
    since: Instant,
}

impl Search {
    /// `C_FindObjectsInit`.
    pub(crate) fn start(&mut self, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        match &self.state {
            State::None => {
                self.state = State::Held(request);
                return Ok(written(&()));
            }
            State::Ahead(Ahead { more: false, .. }) => return Ok(refusal(Error::OperationActive)),
            _ => self.begin(carrier),
        }
        let answer = carrier.carry(&mut [request])?;
        if done(&answer) {
            self.state = State::There;
        }
        Ok(answer)
    }

    /// `C_FindObjects`.
    pub(crate) fn go_on(
        &mut self,
        session: SessionHandle,
        request: Request,
        carrier: &dyn Carrier,
    ) -> Result<Bytes> {
        let list = OnceCell::new();
        let arguments = request.arguments::<(SessionHandle, usize)>(&list);
        let Some((_, most)) = arguments else { return carrier.carry(&mut [request]) };
        let (start, mut ahead) = match std::mem::replace(&mut self.state, State::There) {
            State::Held(start) => (Some(start), Ahead::default()),
            State::Ahead(ahead) => (None, ahead),
            state => {
                self.state = state;
                return carrier.carry(&mut [request]);
            }
        };
        let starts = start.is_some();
        let failed = self.fill(&mut ahead, start, session, most, carrier).transpose();
        let given = match &failed {
            None => ahead.found.drain(..most.min(ahead.found.len())).collect(),
            Some(_) => Vec::new(),
        };
        // What has been found and not been given is there for the next question. Whether a search that
        // failed to start did so, nobody knows.
        if failed.is_none() || !starts {
            self.state = State::Ahead(ahead);
        }
        failed.unwrap_or_else(|| Ok(written(&given)))
    }

    /// Looks again at what has been found, and asks for more of it where that is too little; the
    /// answer, if the token refuses.
    fn fill(
        &mut self,
        ahead: &mut Ahead,
        start: Option<Request>,
        session: SessionHandle,
        most: usize,
        carrier: &dyn Carrier,
    ) -> Result<Option<Bytes>> {
        ahead.look_again(session, carrier)?;
        if start.is_none() && (!ahead.more || ahead.found.len() >= most) {
            return Ok(None);
        }
        let wanted = most.saturating_sub(ahead.found.len()).max(AHEAD);
        let find = Request::new(FIND).with(&session).with(&wanted);
        let turn = carrier.turn();
        let mut requests: Vec<_> = start.into_iter().chain([find]).collect();
        let answer = carrier.carry(&mut requests)?;
        let list = OnceCell::new();
        let found = Result::<Found>::take(&mut Reader::new(&answer, &list));
        let Ok(Ok(Found { mut objects, more })) = found else { return Ok(Some(answer)) };
        ahead.more = more;
        ahead.found.extend(objects.iter().map(|(handle, _)| *handle));
        objects.retain(|(_, attributes)| !attributes.is_empty());
        self.told = Some(Told { objects, turn, since: Instant::now() });
        self.learn(session, carrier);
        Ok(None)
    }

    /// `C_FindObjectsFinal`.
    pub(crate) fn end(&mut self, request: Request, carrier: &dyn Carrier) -> Result<Bytes> {
        if let State::Held(_) | State::Ahead(Ahead { more: false, .. }) = self.state {
            self.state = State::None;
            return Ok(written(&()));
        }
        let answer = carrier.carry(&mut [request])?;
        if done(&answer) {
            self.state = State::None;
        }
        Ok(answer)
    }

    /// `C_GetAttributeValue`, if it is known what it answers.
    pub(crate) fn attributes(&self, request: &Request, turn: u64) -> Option<Bytes> {
        let told = self.told.as_ref()?;
        if told.turn != turn || told.since.elapsed() > MOMENT {
            return None;
        }
        let list = OnceCell::new();
        let arguments = request.arguments::<(SessionHandle, (ObjectHandle, &[u64]))>(&list);
        let (_, (object, wanted)) = arguments?;
        let (_, known) = told.objects.iter().find(|(handle, _)| *handle == object)?;
        let values: Option<Vec<Result<Value>>> =
            wanted.iter().map(|id| known.value(*id).cloned().map(Ok)).collect();
        values.map(|values| written(&values))
    }

    /// Remembers what the objects are called.
    fn learn(&self, session: SessionHandle, carrier: &dyn Carrier) {
        let Some(told) = &self.told else { return };
        for (handle, attributes) in &told.objects {
            if let Some(name) = name(attributes) {
                carrier.learn(session, *handle, name, told.turn);
            }
        }
    }

    /// Whether objects were found that go with their session.
    pub(crate) fn any_passing(&self) -> bool {
        let on_token = |object: &Attributes| object.get(attribute::TOKEN) != Some(false);
        !self.told.iter().flat_map(|told| &told.objects).all(|(_, object)| on_token(object))
    }

    /// Has it begin at the token, if it has not yet.
    pub(crate) fn begin(&mut self, carrier: &dyn Carrier) {
        if let State::Held(_) = self.state
            && let State::Held(start) = std::mem::replace(&mut self.state, State::There)
            && !carrier.carry(&mut [start]).is_ok_and(|answer| done(&answer))
        {
            self.state = State::None;
        }
    }

    /// `C_SessionCancel` has ended it.
    pub(crate) fn cancelled(&mut self) {
        self.state = State::None;
    }

    /// Something happened by which objects may have gone.
    pub(crate) fn doubt(&mut self) {
        self.told = None;
        if let State::Ahead(ahead) = &mut self.state {
            ahead.doubtful = true;
        }
    }
}

impl Ahead {
    /// Leaves out what is no more, if something happened by which that may be.
    fn look_again(&mut self, session: SessionHandle, carrier: &dyn Carrier) -> Result<()> {
        if !self.doubtful {
            return Ok(());
        }
        let mut there = VecDeque::new();
        for handle in &self.found {
            let class: &[u64] = &[attribute::CLASS.info.id];
            let ask = Request::new(ATTRIBUTES).with(&session).with(handle).with(&class);
            if done(&carrier.carry(&mut [ask])?) {
                there.push_back(*handle);
            }
        }
        (self.found, self.doubtful) = (there, false);
        Ok(())
    }
}

/// What an object is called, if it is on the token and for everybody to see.
fn name(object: &Attributes) -> Option<Bytes> {
    let everybody = object.get(attribute::PRIVATE) == Some(false);
    let name = object.get(attribute::UNIQUE_ID)?;
    (everybody && object.is(attribute::TOKEN)).then(|| Bytes::new(name.to_vec()))
}
