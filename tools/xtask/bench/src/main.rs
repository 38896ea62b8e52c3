//! Measures a PKCS#11 module beside SoftHSM2 and the bare cryptographic library.
//!
//! [`compare`] starts this program anew for each side ([`sides`]), so that memory, locks and
//! libraries of one do not touch another, and asks them in turns ([`subject`] is what answers).
//! What is measured are rows: [`rows`] says what a row is, [`signatures`], [`basics`] and
//! [`objects`] have them. [`client`] is the C program that a module is loaded by, [`token`] what
//! it needs first, [`clock`] how it counts. [`report`] writes what came out: [`table`], [`chart`]
//! and [`targets`], with the [`reasons`] where one is missed. [`instructions`] counts without a
//! clock, for machines that are busy, and [`alike`] so what must not show. [`soak`] does a [`mix`] of everything for minutes, with a
//! [`histogram`] of how long each step takes.

mod alike;
mod basics;
mod chart;
mod client;
mod clock;
mod compare;
mod histogram;
mod instructions;
mod mix;
mod objects;
mod reasons;
mod report;
mod rows;
mod sides;
mod signatures;
mod soak;
mod subject;
mod table;
mod targets;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// What went wrong.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The outcome of whatever can fail.
type Result<T = ()> = std::result::Result<T, Failure>;

/// Measures a PKCS#11 module beside SoftHSM2 and the bare cryptographic library.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and writes the table, the figures and the chart
    Compare(compare::Options),
    /// Counts the instructions of the hot path, and compares them with the ceiling
    Instructions(instructions::Options),
    /// Does everything at once for minutes, and shows whether memory and latency are flat
    Soak(soak::Options),
    /// A module that does what it is told
    #[command(hide = true)]
    Subject(Store),
    /// The bare library that does what it is told
    #[command(hide = true)]
    Library,
    /// Makes a token with objects
    #[command(hide = true)]
    Fill(Store),
    /// From nothing to a first signature
    #[command(hide = true)]
    Cold(Store),
    /// Does a row so many times
    #[command(hide = true)]
    Repeat(instructions::Repeat),
    /// Decrypts and unwraps right and wrong ciphertexts, each so many times
    #[command(hide = true)]
    Alike(instructions::Repeat),
    /// Does everything at once
    #[command(hide = true)]
    Endure(soak::Endure),
}

/// A module, and how many objects the token holds that the environment tells it of.
#[derive(Args)]
struct Store {
    /// The module
    #[arg(long)]
    module: PathBuf,
    /// How many objects
    #[arg(long)]
    objects: u32,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The measurement stopped: {error}.");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Compare(options) => compare::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Subject(store) => subject::module(&store.module, store.objects),
        Command::Library => subject::bare(),
        Command::Fill(store) => objects::fill(&store.module, store.objects),
        Command::Cold(store) => {
            println!("{:e}", objects::cold(&store.module)?);
            Ok(())
        }
        Command::Repeat(repeat) => instructions::repeat(&repeat),
        Command::Alike(repeat) => alike::repeat(&repeat),
        Command::Endure(endure) => soak::endure(&endure),
    }
}
