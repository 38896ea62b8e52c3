//! Everything that must hold, in order, with the time it took.

mod steps;

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::process;
use steps::{LONG, STEPS};

/// `ci`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run this step alone, with those that it needs
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Let the fuzzer, and tests that try by chance or at every place, go on for hours; build the release twice
    #[arg(long)]
    long: bool,
    /// List the steps
    #[arg(long, conflicts_with = "only")]
    list: bool,
}

/// A check.
struct Step {
    /// What `--only` calls it.
    name: &'static str,
    /// What it is for.
    about: &'static str,
    /// The steps that must have passed before.
    needs: &'static [&'static str],
    run: fn() -> Result,
}

/// What came of a step.
enum Outcome {
    Passed,
    Failed(Failure),
    /// A step that it needs did not pass.
    Skipped,
}

impl Outcome {
    const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }
}

struct Report {
    step: &'static Step,
    outcome: Outcome,
    time: Duration,
}

impl Report {
    fn failure(&self) -> Option<(&'static Step, &Failure)> {
        match &self.outcome {
            Outcome::Failed(failure) => Some((self.step, failure)),
            Outcome::Passed | Outcome::Skipped => None,
        }
    }
}

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result {
    if args.list {
        for step in STEPS.iter().chain(LONG) {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    if args.long {
        process::go_on_for_long();
    }
    let mut reports = Vec::new();
    for step in chosen(args)? {
        reports.push(report(step, &reports));
    }
    summary(&reports)
}

/// All steps, or one with what it needs.
fn chosen(args: &Args) -> Result<Vec<&'static Step>> {
    let Some(name) = args.only.as_deref() else {
        let long = if args.long { LONG } else { &[] };
        return Ok(STEPS.iter().chain(long).collect());
    };
    let step = STEPS.iter().chain(LONG).find(|step| step.name == name).ok_or_else(|| {
        Failure::new(
            format!("There is no step {name}."),
            "`cargo xtask ci --list` names the steps there are.",
        )
    })?;
    let wanted = |other: &&Step| other.name == name || step.needs.contains(&other.name);
    Ok(STEPS.iter().chain(LONG).filter(wanted).collect())
}

/// Runs a step, unless one that it needs has not passed.
fn report(step: &'static Step, before: &[Report]) -> Report {
    println!("\n=== {}: {}", step.name, step.about);
    let start = Instant::now();
    let ready = before
        .iter()
        .all(|report| report.outcome.is_passed() || !step.needs.contains(&report.step.name));
    let outcome = if ready { outcome(step) } else { Outcome::Skipped };
    Report { step, outcome, time: start.elapsed() }
}

fn outcome(step: &Step) -> Outcome {
    match (step.run)() {
        Ok(()) => Outcome::Passed,
        Err(failure) => {
            println!("\n{failure}");
            println!("This step alone: cargo xtask ci --only {}", step.name);
            Outcome::Failed(failure)
        }
    }
}

/// Prints what came of all steps, and again why some failed: who reads the end alone sees it. The
/// last line is the one that machines read.
fn summary(reports: &[Report]) -> Result {
    let failures: Vec<_> = reports.iter().filter_map(Report::failure).collect();
    for (step, failure) in &failures {
        println!("\n=== {}, which failed, said among other things:", step.name);
        for line in failure.said() {
            println!("{line}");
        }
    }
    println!();
    for Report { step, outcome, time } in reports {
        let outcome = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped => "skipped, for what it needs failed",
        };
        let seconds = time.as_secs();
        println!("{:>4}:{:02}  {:<12} {outcome}", seconds / 60, seconds % 60, step.name);
    }
    let total: Duration = reports.iter().map(|report| report.time).sum();
    println!("{:>4}:{:02}  in all\n", total.as_secs() / 60, total.as_secs() % 60);
    let passed = reports.iter().filter(|report| report.outcome.is_passed()).count();
    let failed = failures.len();
    let skips = match reports.len() - passed - failed {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    println!("{passed} passed, {failed} failed{skips}");
    if failures.is_empty() { Ok(()) } else { Err(all_of(&failures)) }
}

fn all_of(failures: &[(&Step, &Failure)]) -> Failure {
    let names: Vec<&str> = failures.iter().map(|(step, _)| step.name).collect();
    let commands: Vec<String> =
        names.iter().map(|name| format!("cargo xtask ci --only {name}")).collect();
    Failure::new(format!("Failed: {}.", names.join(", ")), commands.join("\n"))
}
