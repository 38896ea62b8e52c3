//! What the program prints: text for people or JSON for programs, and colours on a terminal.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::{ColorChoice, GlobalArgs};
use crate::errors::{Failure, Result};
use crate::exit::Exit;

/// How this run prints.
pub(crate) struct Output {
    json: bool,
    color: ColorChoice,
    /// Whether progress may be shown.
    pub(crate) progress: bool,
}

impl Output {
    /// As the options say.
    pub(crate) fn new(args: &GlobalArgs) -> Self {
        let progress = !args.quiet && !args.json && io::stderr().is_terminal();
        Self { json: args.json, color: args.color, progress }
    }

    /// Prints a value as JSON, or as `people` writes it.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        people: impl FnOnce(&Paint) -> String,
    ) -> Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(value)
                .map_err(|error| Failure::new(Exit::Failed, "cannot print JSON").cause(error))?
        } else {
            people(&Paint::new(self.color, io::stdout().is_terminal()))
        };
        print(text.trim_end_matches('\n'))
    }

    /// Prints the outcome of a command that has one sentence to say.
    pub(crate) fn done<T: Serialize>(&self, value: &T, sentence: &str) -> Result<()> {
        self.show(value, |_| sentence.to_owned())
    }

    /// Prints an error, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let paint = Paint::new(self.color, io::stderr().is_terminal());
        let text = if self.json {
            let fields: serde_json::Map<String, serde_json::Value> = failure
                .lines()
                .map(|(name, text)| (name.to_owned(), text.into()))
                .chain([(String::from("exit"), failure.exit.code().into())])
                .collect();
            serde_json::Value::Object(fields).to_string()
        } else {
            let lines: Vec<String> = failure
                .lines()
                .map(|(name, text)| {
                    let style = if name == "error" { Style::Bad } else { Style::Strong };
                    format!("{}: {text}", paint.paint(style, name))
                })
                .collect();
            lines.join("\n")
        };
        // There is nobody left to tell when standard error is closed.
        let _unheard = writeln!(io::stderr(), "{text}");
    }
}

/// Writes a line to standard output; a reader that went away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::File, "cannot write to standard output").cause(error))
        }
        _ => Ok(()),
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// Headings and names.
    Strong,
    /// In order.
    Good,
    /// Wants attention.
    Warn,
    /// Wrong.
    Bad,
}

/// Puts colours on text, or does not.
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    fn new(choice: ColorChoice, terminal: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            on: match choice {
                ColorChoice::Auto => terminal && wanted,
                ColorChoice::Always => true,
                ColorChoice::Never => false,
            },
        }
    }

    /// The text in its colour.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
