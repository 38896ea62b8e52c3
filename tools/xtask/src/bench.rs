//! `bench` and `instructions`: build the release and the program that measures it, and start that.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Result;
use crate::process::run_and_quote as start;
use crate::{debian, release};

/// `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure for a shorter time, and with up to 1,000 objects instead of 100,000; the documents
    /// stay as they are. Some minutes instead of half an hour
    #[arg(long)]
    quick: bool,
    /// Instead of comparing: eight threads do everything at once, on a token with 100,000 objects
    /// and with 10,000 sessions open, and memory and latency must stay flat. Ten minutes in the
    /// process that calls, and ten by the daemon; with --quick two seconds each, on a small token
    #[arg(long, conflicts_with_all = ["only", "row", "peers"])]
    soak: bool,
    /// How many minutes a soak takes each way; the documents are renewed by ten or more
    #[arg(long, requires = "soak", conflicts_with = "quick")]
    minutes: Option<u32>,
    /// This part alone
    #[arg(long, value_parser = ["operations", "find", "life"])]
    only: Option<String>,
    /// The rows alone whose names have this in them
    #[arg(long, value_name = "TEXT")]
    row: Option<String>,
    /// Compare with Kryoptic too: with this module of it, or with one that is built from its crate,
    /// with as much as Debian 12's OpenSSL lets it have
    #[arg(long, value_name = "MODULE")]
    peers: Option<Option<PathBuf>>,
}

/// `instructions`.
#[derive(clap::Args)]
pub(crate) struct Instructions {
    /// Take what is counted as the new ceiling
    #[arg(long)]
    write: bool,
    /// Name the functions in which each row spends its instructions
    #[arg(long)]
    profile: bool,
}

/// The ceiling of the instructions.
const CEILING: &str = "tools/xtask/bench/ceiling.json";

/// Measures.
pub(crate) fn run(args: &Args) -> Result {
    debian::install(&debian::CI.iter().collect::<Vec<_>>())?;
    if args.soak {
        return soak(args.quick, args.minutes);
    }
    let mut command = measure("compare")?;
    command.arg("--docs=docs");
    command.args(args.quick.then_some("--quick"));
    for (option, value) in [("--only", &args.only), ("--row", &args.row)] {
        command.args(value.iter().flat_map(|value| [option, value]));
    }
    if let Some(module) = &args.peers {
        command.arg("--kryoptic").arg(module.clone().map_or_else(release::kryoptic, Ok)?);
    }
    start(&mut command)
}

/// Does everything at once, for minutes.
fn soak(quick: bool, minutes: Option<u32>) -> Result {
    let mut command = measure("soak")?;
    command.arg("--docs=docs").args(quick.then_some("--quick"));
    command.args(minutes.map(|minutes| format!("--minutes={minutes}")));
    start(&mut command)
}

/// Counts.
pub(crate) fn instructions(args: &Instructions) -> Result {
    debian::install(&debian::CI.iter().collect::<Vec<_>>())?;
    let mut command = measure("instructions")?;
    command.arg("--ceiling").arg(CEILING);
    command.args(args.write.then_some("--write")).args(args.profile.then_some("--profile"));
    start(&mut command)
}

/// Holds the module against the ceiling.
pub(crate) fn check() -> Result {
    instructions(&Instructions { write: false, profile: false })
}

/// Does everything at once, for two seconds each way.
pub(crate) fn check_soak() -> Result {
    soak(true, None)
}

/// The program that measures, with the release.
fn measure(what: &str) -> Result<Command> {
    let (release, program) = release::build_with("strongroom-bench")?;
    let mut command = Command::new(program);
    command.arg(what).arg("--out").arg(release::target().join("bench"));
    command.arg("--module").arg(release.module).arg("--daemon").arg(release.daemon);
    Ok(command)
}
