//! Which mechanism the call of this thread uses, for whoever counts calls.
//!
//! `C_Sign` names no mechanism; the operation knows it, deep below. So it is left here on the way,
//! as a name of our own list: what a caller makes up is never among them.

use core::cell::Cell;

thread_local! {
    static MECHANISM: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Says which mechanism is used.
pub fn mechanism(name: &'static str) {
    MECHANISM.set(Some(name));
}

/// The mechanism that was said last, and forgets it.
pub fn take() -> Option<&'static str> {
    MECHANISM.take()
}
