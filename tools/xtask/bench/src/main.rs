//! Measures a PKCS#11 module beside SoftHSM2 and the bare cryptographic library.
//!
//! [`compare`] starts this program anew for each thing that it measures, so that memory, locks and
//! libraries of one do not touch another. What is measured is in two files: [`jobs`] has a row for
//! each operation, [`objects`] what depends on the number of objects. [`token`] is how they get to
//! a module, [`clock`] how they count, [`table`] what comes out.

#![forbid(unsafe_code)]

mod clock;
mod compare;
mod jobs;
mod objects;
mod table;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// The outcome of whatever can fail.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures a PKCS#11 module beside SoftHSM2 and the bare cryptographic library.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything, and writes the tables
    Compare(compare::Options),
    /// The operations of a module
    #[command(hide = true)]
    Operations(Subject),
    /// The operations of the bare library
    #[command(hide = true)]
    Primitives(Pace),
    /// Fills a store
    #[command(hide = true)]
    Fill(Store),
    /// What a filled store costs
    #[command(hide = true)]
    Use(Store),
}

/// A module, with a store that the environment tells it of.
#[derive(Args)]
struct Subject {
    /// The module
    #[arg(long)]
    module: PathBuf,
    #[command(flatten)]
    pace: Pace,
}

/// How long to count.
#[derive(Args, Clone, Copy)]
struct Pace {
    /// For how many milliseconds each figure is measured
    #[arg(long)]
    milliseconds: u64,
}

impl Pace {
    fn time(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

/// A module, and how many objects its store holds.
#[derive(Args)]
struct Store {
    #[command(flatten)]
    subject: Subject,
    /// How many objects
    #[arg(long)]
    objects: u32,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Operations(subject) => jobs::module(&subject.module, subject.pace.time()),
        Command::Primitives(pace) => jobs::primitives(pace.time()),
        Command::Fill(store) => objects::fill(&store.subject.module, store.objects),
        Command::Use(store) => {
            objects::measure(&store.subject.module, store.objects, store.subject.pace.time())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The measurement stopped: {error}.");
            ExitCode::FAILURE
        }
    }
}
