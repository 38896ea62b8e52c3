//! Why a call fails, in a sentence, for the log.
//!
//! An [`Error`] is a number that an application reads. What a person wants to know besides (which
//! attribute, which file) is said where the error is made, by [`Error::because`], and kept for the
//! thread until the edge takes it at the end of the call. Unless somebody keeps a log, nothing is
//! put into words.
//!
//! A reason is read by whoever reads the log: it never tells a secret, nor the value of an
//! attribute or of anything else that may be one. Names, lengths and handles are fine.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::mem;

use crate::{Error, Result};

thread_local! {
    /// Whether the call of this thread is being recorded. Has no destructor, so it can be asked
    /// for as long as the thread lives.
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static ACCOUNT: RefCell<Account> = const { RefCell::new(Account::NOTHING) };
}

/// What was said about a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What the call is about: session, object, mechanism. Put into words only if the call is told.
    pub about: Vec<Subject>,
    /// Why it failed; empty if nobody said.
    pub why: String,
}

impl Account {
    const NOTHING: Self = Self { about: Vec::new(), why: String::new() };
}

/// A thing that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The session of this handle.
    Session(u64),
    /// The object of this handle.
    Object(u64),
    /// The slot of this number.
    Slot(u64),
    /// The mechanism of this name.
    Mechanism(&'static str),
    /// The mechanism of this number, which has no name here.
    UnknownMechanism(u64),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(handle) => write!(f, "session {handle}"),
            Self::Object(handle) => write!(f, "object {handle}"),
            Self::Slot(number) => write!(f, "slot {number}"),
            Self::Mechanism(name) => f.write_str(name),
            Self::UnknownMechanism(number) => write!(f, "mechanism {number:#x}"),
        }
    }
}

/// What a log says of a call: `C_CreateObject: session 3: CKA_MODULUS is missing (CKR_TEMPLATE_INCOMPLETE)`.
pub struct Sentence<'a> {
    /// The function.
    pub function: &'a str,
    /// What was said about the call.
    pub account: &'a Account,
    /// What came of it.
    pub outcome: Result<()>,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, account: Account { about, why }, outcome } = self;
        // A call may succeed though something in it failed and said why.
        let (why, code) = match outcome {
            Ok(()) => ("", "CKR_OK"),
            Err(error) if why.is_empty() => (error.meaning(), error.name()),
            Err(error) => (why.as_str(), error.name()),
        };
        f.write_str(function)?;
        for (nth, subject) in about.iter().enumerate() {
            write!(f, "{}{subject}", if nth == 0 { ": " } else { ", " })?;
        }
        if !why.is_empty() {
            write!(f, ": {why}")?;
        }
        write!(f, " ({code})")
    }
}

/// Runs a call, and gives what was said about it. Whoever records a call that this one is a part of
/// hears why it failed as well.
pub fn record<T>(call: impl FnOnce() -> T) -> (T, Account) {
    let whole = Recording { of: RECORDING.replace(true), account: take() };
    let outcome = call();
    let account = take();
    whole.goes_on(&account);
    (outcome, account)
}

/// The recording of the call that another one is a part of, if there is one. It goes on when that one
/// ends, even by a panic.
struct Recording {
    of: bool,
    account: Account,
}

impl Recording {
    fn goes_on(mut self, part: &Account) {
        if self.of && !part.why.is_empty() {
            self.account.why.clone_from(&part.why);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(self.of);
        let account = mem::take(&mut self.account);
        if self.of {
            note(|whole| *whole = account);
        } else {
            take();
        }
    }
}

/// Whether anybody wants to know.
pub fn wanted() -> bool {
    RECORDING.get()
}

/// Asks what would outrank a fault that has been found already: if it fails, the reason is its own, and
/// what was said of that fault is not told. Otherwise that stays.
///
/// # Errors
///
/// Those of what is asked.
pub fn outrank<T>(ask: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut said = String::new();
    note(|account| mem::swap(&mut account.why, &mut said));
    let outcome = ask();
    if outcome.is_ok() {
        note(|account| account.why = said);
    }
    outcome
}

/// Says one thing that the call is about, if somebody wants to know.
pub fn about(subject: impl FnOnce() -> Subject) {
    note(|account| account.about.push(subject()));
}

impl Error {
    /// The same error; its reason is kept if somebody wants to know. The last one said counts.
    #[must_use]
    pub fn because(self, why: impl FnOnce() -> String) -> Self {
        if wanted() {
            // Before the account is taken: whoever says why may come upon another reason.
            let why = why();
            note(|account| account.why = why);
        }
        self
    }

    /// The same for a reason that needs no numbers or names.
    #[must_use]
    pub fn since(self, why: &'static str) -> Self {
        self.because(|| why.into())
    }
}

fn note(change: impl FnOnce(&mut Account)) {
    if RECORDING.get() {
        // A thread in its last moments has no account any more.
        let _ = ACCOUNT.try_with(|account| change(&mut account.borrow_mut()));
    }
}

fn take() -> Account {
    ACCOUNT.try_with(RefCell::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_kept_until_the_end_of_the_call() {
        let ((), account) = record(|| {
            about(|| Subject::Session(3));
            about(|| Subject::Mechanism("CKM_AES_ECB"));
            let _ = Error::DataInvalid.because(|| "first".into());
            let _ = Error::DataInvalid.because(|| "CKA_MODULUS is missing".into());
        });
        assert_eq!(account.about, [Subject::Session(3), Subject::Mechanism("CKM_AES_ECB")]);
        assert_eq!(account.why, "CKA_MODULUS is missing");
        assert_eq!(record(|| ()).1, Account::default(), "nothing is left for the next");
    }

    #[test]
    fn a_call_within_a_call_is_heard_by_both() {
        let (inner, outer) = record(|| {
            about(|| Subject::Session(3));
            let ((), inner) = record(|| {
                about(|| Subject::Session(9));
                let _ = Error::DataInvalid.because(|| "of the part".into());
            });
            assert!(wanted(), "the whole call is still recorded");
            inner
        });
        assert_eq!((&*inner.about, &*inner.why), (&[Subject::Session(9)][..], "of the part"));
        assert_eq!((&*outer.about, &*outer.why), (&[Subject::Session(3)][..], "of the part"));
        let stumbles = || record(|| -> () { panic!("an example") });
        assert!(std::panic::catch_unwind(stumbles).is_err());
        assert!(!wanted(), "a panic ends the recording");
    }

    #[test]
    fn a_failure_is_a_sentence() {
        let about = vec![Subject::Session(3), Subject::UnknownMechanism(0x1081)];
        let account = Account { about, why: "CKA_MODULUS is missing".into() };
        let sentence = |name, account: &Account, outcome| {
            Sentence { function: name, account, outcome }.to_string()
        };
        assert_eq!(
            sentence("C_CreateObject", &account, Err(Error::TemplateIncomplete)),
            "C_CreateObject: session 3, mechanism 0x1081: CKA_MODULUS is missing \
             (CKR_TEMPLATE_INCOMPLETE)"
        );
        let nothing = Account::default();
        assert_eq!(sentence("C_Finalize", &nothing, Ok(())), "C_Finalize (CKR_OK)");
        for &error in Error::ALL {
            assert_eq!(
                sentence("C_Login", &nothing, Err(error)),
                format!("C_Login: {} ({})", error.meaning(), error.name()),
                "none is without a reason"
            );
        }
    }

    #[test]
    fn the_reason_is_that_of_the_error_that_is_answered() {
        let fault = || Error::AttributeValueInvalid.because(|| "of the fault".into());
        let ask = |answer: Result<()>| {
            record(|| {
                let fault = fault();
                outrank(|| answer).err().unwrap_or(fault)
            })
        };
        let (error, account) = ask(Err(Error::SessionHandleInvalid));
        assert_eq!((error, &*account.why), (Error::SessionHandleInvalid, ""));
        let (error, account) = ask(Ok(()));
        assert_eq!((error, &*account.why), (Error::AttributeValueInvalid, "of the fault"));
        let stumbles = || -> Result<()> {
            let _ = Error::OperationNotInitialized.because(|| "on the way".into());
            Ok(())
        };
        let (_, account) = record(|| (fault(), outrank(stumbles)));
        assert_eq!(account.why, "of the fault");
    }

    #[test]
    fn a_reason_may_come_upon_another() {
        let (error, account) = record(|| {
            Error::DataInvalid.because(|| {
                let within = Error::KeyTypeInconsistent.since("a reason within");
                format!("the data is of a key with {}", within.name())
            })
        });
        assert_eq!(error, Error::DataInvalid);
        assert_eq!(account.why, "the data is of a key with CKR_KEY_TYPE_INCONSISTENT");
    }

    #[test]
    fn nothing_is_put_into_words_for_nobody() {
        let error = Error::DataInvalid.because(|| panic!("nobody listens"));
        assert_eq!(error, Error::DataInvalid);
    }
}
