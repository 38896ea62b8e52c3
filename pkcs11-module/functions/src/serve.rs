//! Answers requests: calls the function that one names, and writes down what came of it.

use core::cell::OnceCell;

use strongroom_types::{Bytes, Error, Result, reason};

use crate::wire::{Malformed, Reader, Taken, Wire, Writer};
use crate::{Cryptoki, dispatch};

/// Asks for what [`Host`](crate::Host) tells: numbers that no function of the standard has.
pub(crate) const MESSAGE_MECHANISM: u16 = 0x8000;
pub(crate) const END_WAITS: u16 = 0x8001;

/// What came of a call, as it goes back.
pub(crate) struct Answer(Writer);

impl Answer {
    /// Makes a call and writes down its outcome.
    pub(crate) fn of<'f, T: Wire<'f>>(call: impl FnOnce() -> Result<T>) -> Self {
        let mut out = Writer::default();
        call().put(&mut out);
        Self(out)
    }
}

/// Has a request answered by an application.
///
/// # Errors
///
/// [`Malformed`] if it is no request; nothing has been called then.
pub fn serve(token: &dyn Cryptoki, request: &[u8]) -> core::result::Result<Bytes, Malformed> {
    let list = OnceCell::new();
    let mut from = Reader::new(request, &list);
    let number = u16::from_le_bytes(from.array()?);
    let reason_wanted = bool::take(&mut from)?;
    if !reason_wanted {
        return dispatch(token, number, from).map(|answer| answer.0.finish());
    }
    let (answer, account) = reason::record(|| dispatch(token, number, from));
    let Answer(mut out) = answer?;
    if !account.why.is_empty() {
        account.why.put(&mut out);
    }
    Ok(out.finish())
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
        _ => Err(Malformed),
    }
}
