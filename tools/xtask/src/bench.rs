//! `bench`: builds the release and the program that measures it, and starts that.

use crate::failure::Result;
use crate::process::{cargo, run as start};
use crate::{debian, release};

/// `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure for a shorter time, and with up to 10,000 objects instead of 100,000
    #[arg(long)]
    quick: bool,
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result {
    debian::install(&debian::CI.iter().collect::<Vec<_>>())?;
    let release = release::build()?;
    let mut command =
        cargo(["run", "--release", "--quiet", "--locked", "--package=strongroom-bench", "--"]);
    command.arg("compare").arg("--module").arg(&release.module).arg("--out").arg(release::target());
    start(command.args(args.quick.then_some("--quick")))
}
