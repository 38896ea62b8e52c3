//! Checks, benchmarks and generated tables.
//!
//! `cargo xtask` does for people what `.ci/run` does for machines, by the same code. A command is
//! a file; what several of them need has a file of its own: [`debian`] installs, [`process`] runs
//! programs, [`release`] builds what is shipped, [`failure`] says what went wrong.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod debian;
mod demo;
mod failure;
mod fuzz;
mod image;
mod process;
mod release;
mod sbom;
mod tables;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Result};

/// Checks, benchmarks and generated tables of Strongroom.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a release, and show on a store of its own what it does
    Demo,
    /// Check everything: format, lints, tests, other people's clients, the demo
    Ci(ci::Args),
    /// Measure the module beside SoftHSM2 and the bare cryptographic library
    Bench(bench::Args),
    /// Count the instructions of the hot path, and hold them against the ceiling
    Instructions(bench::Instructions),
    /// Have a fuzzer make up what goes in wherever bytes come in
    Fuzz(fuzz::Args),
    /// Build what the OCI image of the daemon is made of
    Image,
    /// Write a list of all that the release is made of (CycloneDX)
    Sbom,
    /// Write the generated tables of README.md
    Tables(tables::Args),
}

fn main() -> ExitCode {
    match enter_repository().and_then(|()| run(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Demo => demo::run(),
        Command::Ci(args) => ci::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Instructions(args) => bench::instructions(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Image => image::make(),
        Command::Sbom => sbom::make(),
        Command::Tables(args) => tables::run(&args),
    }
}

/// Every path of every command is relative to the root of the repository.
fn enter_repository() -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&root).map_err(|error| {
        Failure::new(
            format!("The repository is no longer at {} ({error}).", root.display()),
            "Run `cargo clean --package strongroom-xtask`, then try again.",
        )
    })
}
