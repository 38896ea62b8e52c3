//! Writes the tables of README.md, CONFORMANCE.md and PROTOCOL.md that the code already knows, between the
//! marks that say where.
//!
//! `--check` changes nothing, and fails if a table is not as it should be. A file that is
//! missing is begun, with the marks in it.

#![forbid(unsafe_code)]

mod document;
mod functions;
mod mechanisms;
#[cfg(test)]
mod named;
mod objects;
mod separation;
mod wire;

use std::process::ExitCode;

use document::{Document, Section};

/// What can be generated, and how.
const DOCUMENTS: &[Document] = &[
    Document {
        path: "README.md",
        sections: &[
            Section { name: "functions", text: functions::table },
            Section { name: "objects", text: objects::table },
            Section { name: "mechanisms", text: mechanisms::table },
        ],
    },
    Document {
        path: "pkcs11-module/CONFORMANCE.md",
        sections: &[Section { name: "separation", text: separation::table }],
    },
    Document {
        path: "tools/strongroomd/PROTOCOL.md",
        sections: &[Section { name: "wire", text: wire::table }],
    },
];

fn main() -> ExitCode {
    let check = std::env::args().skip(1).any(|argument| argument == "--check");
    let run = if check { Document::check } else { Document::write };
    let outcome = DOCUMENTS.iter().try_for_each(run);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
