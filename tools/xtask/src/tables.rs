//! `tables`: the parts of README.md, CONFORMANCE.md and PROTOCOL.md that are written down elsewhere.

use crate::failure::Result;
use crate::fuzz;
use crate::process::{cargo, run_and_quote as start};

/// `tables`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if a table is not as it should be
    #[arg(long)]
    check: bool,
}

/// Writes the tables, or checks them.
pub(crate) fn run(args: &Args) -> Result {
    if args.check { check() } else { start(&mut writer()) }
}

/// Fails if a table is not as it should be.
pub(crate) fn check() -> Result {
    fuzz::check_table()?;
    start(writer().arg("--check"))
}

/// The program that knows the tables; it is compiled with the product.
fn writer() -> std::process::Command {
    cargo(["run", "--quiet", "--locked", "--package=strongroom-tables", "--"])
}
