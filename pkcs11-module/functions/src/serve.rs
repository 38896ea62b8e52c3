//! Answers requests: calls the function that one names, and writes down what came of it.

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, Result, reason};

use crate::conduct::{Again, Conduct};
use crate::wire::{Malformed, Reader, Taken, Wire, Writer};
use crate::{Cryptoki, dispatch};

/// Asks for what [`Host`](crate::Host) tells: numbers that no function of the standard has.
pub(crate) const MESSAGE_MECHANISM: u16 = 0x8000;
pub(crate) const END_WAITS: u16 = 0x8001;
pub(crate) const FACTS: u16 = 0x8002;
pub(crate) const SIGN_DIGEST: u16 = 0x8003;
pub(crate) const ADOPT: u16 = 0x8005;
pub(crate) const VERIFY_DIGEST: u16 = 0x8007;
pub(crate) const HASH_ELSEWHERE: u16 = 0x8008;
/// It was 0x8006 before it told what may change.
pub(crate) const FIND: u16 = 0x8009;

/// Several requests in one frame: one after the other until one fails; the answer is that of the last.
pub(crate) const IN_ONE: u16 = 0x8004;

/// What a client has to know of these numbers.
pub(crate) static HOST_CONDUCT: &[Conduct] = &[
    host(MESSAGE_MECHANISM, true, Again::Reads),
    host(END_WAITS, false, Again::Passes),
    host(FACTS, true, Again::Reads),
    host(SIGN_DIGEST, true, Again::Passes),
    host(IN_ONE, false, Again::Passes),
    host(ADOPT, true, Again::Passes),
    host(VERIFY_DIGEST, true, Again::Passes),
    host(HASH_ELSEWHERE, true, Again::Passes),
    host(FIND, true, Again::Passes),
];

const fn host(number: u16, in_session: bool, again: Again) -> Conduct {
    Conduct { number, in_session, again, role: None }
}

/// How many requests go together at most.
const MOST_IN_ONE: usize = 8;

/// The bytes of the length of one of them.
const HEAD: usize = 4;

/// What came of a call, as it goes back.
pub(crate) struct Answer(Writer);

impl Answer {
    /// Makes a call and writes down its outcome.
    pub(crate) fn of<'f, T: Wire<'f>>(call: impl FnOnce() -> Result<T>) -> Self {
        let out = written(&call());
        Self(match out.whole() {
            Ok(()) => out,
            Err(error) => written(&Err::<(), _>(error)),
        })
    }

    fn failed(&self) -> bool {
        self.0.bytes().first() != Some(&0)
    }
}

fn written<'f, T: Wire<'f>>(outcome: &Result<T>) -> Writer {
    let mut out = Writer::default();
    outcome.put(&mut out);
    out
}

/// Has a request answered by an application.
///
/// # Errors
///
/// [`Malformed`] if it is no request; nothing has been called then, unless it is several, of which a
/// later one is none.
pub fn serve(token: &dyn Cryptoki, request: &[u8]) -> core::result::Result<Bytes, Malformed> {
    let list = OnceCell::new();
    let mut from = Reader::new(request, &list);
    let number = u16::from_le_bytes(from.array()?);
    let reason_wanted = bool::take(&mut from)?;
    if !reason_wanted {
        return dispatch(token, number, from).map(|answer| answer.0.finish());
    }
    let (answer, account) = reason::record(|| dispatch(token, number, from));
    let mut answer = answer?;
    // A call may succeed though something in it failed and said why.
    if answer.failed() && !account.why.is_empty() {
        account.why.put(&mut answer.0);
    }
    Ok(answer.0.finish())
}

/// What to answer where nothing could be called.
pub fn refusal(error: Error) -> Bytes {
    Answer::of(|| Err::<(), _>(error)).0.finish()
}

/// Calls what the edge asks for itself.
pub(crate) fn for_host(token: &dyn Cryptoki, number: u16, mut from: Reader<'_>) -> Taken<Answer> {
    match number {
        MESSAGE_MECHANISM => {
            let (session, direction) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.message_mechanism(session, direction)))
        }
        END_WAITS => {
            from.end()?;
            token.end_waits();
            Ok(Answer::of(|| Ok(())))
        }
        FACTS => {
            let (session, operation) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.facts(session, operation)))
        }
        SIGN_DIGEST => {
            let (session, (digest, room)) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.sign_digest(session, digest, room)))
        }
        ADOPT => {
            let (session, objects) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.adopt(session, objects)))
        }
        FIND => {
            let (session, (least, most)) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.find(session, least, most)))
        }
        VERIFY_DIGEST => {
            let (session, (digest, signature)) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.verify_digest(session, digest, signature)))
        }
        HASH_ELSEWHERE => {
            let (session, operation) = Wire::take(&mut from)?;
            from.end()?;
            Ok(Answer::of(|| token.hash_elsewhere(session, operation)))
        }
        IN_ONE => in_one(token, from),
        _ => Err(Malformed),
    }
}

/// Calls one function after the other, until one fails.
fn in_one(token: &dyn Cryptoki, mut from: Reader<'_>) -> Taken<Answer> {
    let count = from.count(HEAD)?;
    if count > MOST_IN_ONE {
        return Err(Malformed);
    }
    let requests = (0..count).map(|_| Wire::take(&mut from)).collect::<Taken<Vec<&[u8]>>>()?;
    from.end()?;
    let mut last = Err(Malformed);
    for request in requests {
        let list = OnceCell::new();
        let mut from = Reader::new(request, &list);
        let number = u16::from_le_bytes(from.array()?);
        // Whether reasons are wanted is said for all of them; and none has requests in it.
        bool::take(&mut from)?;
        if number == IN_ONE {
            return Err(Malformed);
        }
        let answer = dispatch(token, number, from)?;
        let failed = answer.failed();
        last = Ok(answer);
        if failed {
            break;
        }
    }
    last
}
