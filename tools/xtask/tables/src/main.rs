//! Writes the tables of README.md that the code already knows, between the marks that say where.
//!
//! `--check` changes nothing, and fails if a table is not as it should be. A README that is
//! missing is begun, with the marks in it.

#![forbid(unsafe_code)]

mod functions;
mod mechanisms;
mod objects;
mod readme;

use std::process::ExitCode;

use readme::Section;

/// What can be generated, and how.
const SECTIONS: &[Section] = &[
    Section { name: "functions", text: functions::table },
    Section { name: "objects", text: objects::table },
    Section { name: "mechanisms", text: mechanisms::table },
];

fn main() -> ExitCode {
    let check = std::env::args().skip(1).any(|argument| argument == "--check");
    let outcome = if check { readme::check(SECTIONS) } else { readme::write(SECTIONS) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
