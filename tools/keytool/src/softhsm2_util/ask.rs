//! PINs: from the command line, or from whoever sits there.

use std::io::Write;

use super::{Result, Stop, say};
use crate::pin::Secret;

/// How long PINs may be.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=255;

/// A PIN that is being set: asked for twice, until it is one.
pub(super) fn new_pin(given: Option<&str>, who: &str, what: &str) -> Result<Secret> {
    if let Some(pin) = fitting(given) {
        return Ok(pin);
    }
    loop {
        let first = prompt(who, what)?;
        if !LENGTHS.contains(&first.len()) {
            complain("The length of the PIN is out of range.");
            continue;
        }
        if first == read(&format!("Please reenter {what}: "), what)? {
            return Ok(first);
        }
        complain("The entered PINs are not equal.");
    }
}

/// The PIN of a token that has one.
pub(super) fn pin(given: Option<&str>) -> Result<Secret> {
    match fitting(given) {
        Some(pin) => Ok(pin),
        None => prompt("User", "user PIN"),
    }
}

fn fitting(given: Option<&str>) -> Option<Secret> {
    given.filter(|pin| LENGTHS.contains(&pin.len())).map(|pin| Secret::new(pin.to_owned()))
}

fn prompt(who: &str, what: &str) -> Result<Secret> {
    say(&format!("=== {who} PIN ({}-{} characters) ===", LENGTHS.start(), LENGTHS.end()))?;
    read(&format!("Please enter {what}: "), what)
}

fn read(prompt: &str, what: &str) -> Result<Secret> {
    rpassword::prompt_password(prompt)
        .map(Secret::new)
        .map_err(|_| Stop::error(format!("Could not get {what}")))
}

fn complain(text: &str) {
    // There is nobody left to tell when standard error is closed.
    let _unheard = writeln!(std::io::stderr(), "ERROR: {text}");
}
