//! What became of a token that was imported, or imported into.

use serde::Serialize;

use crate::table::visible;

/// What became of a token.
#[derive(Serialize)]
pub(super) struct Outcome {
    label: String,
    serial: String,
    /// How many objects came.
    pub(super) taken: usize,
    /// How many were here from an earlier import.
    pub(super) present: usize,
    pub(super) not_taken: Vec<Missing>,
    pub(super) notes: Vec<String>,
}

/// An object that stays behind.
#[derive(Serialize)]
pub(super) struct Missing {
    pub(super) object: String,
    pub(super) reason: String,
}

impl Outcome {
    /// Nothing has happened yet.
    pub(super) fn new(label: &str, serial: &str) -> Self {
        Self {
            label: label.to_owned(),
            serial: serial.to_owned(),
            taken: 0,
            present: 0,
            not_taken: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Lines for people: a sentence that starts so, and one for each object that is not here.
    pub(super) fn text(&self, start: &str) -> String {
        let here = match self.present {
            0 => String::new(),
            some => format!("; {some} were here already"),
        };
        let Self { serial, taken, .. } = self;
        let label = visible(&self.label);
        let mut lines = vec![format!("{start} {label} (serial {serial}): {taken} objects{here}")];
        let missing = self.not_taken.iter();
        lines.extend(missing.map(|one| format!("  not taken: {}: {}", one.object, one.reason)));
        lines.extend(self.notes.iter().map(|note| format!("  note: {note}")));
        lines.join("\n")
    }
}
