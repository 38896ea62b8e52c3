//! `fuzz`: has LLVM's fuzzer run the targets of `tools/fuzz`, each from what is kept in its corpus.
//!
//! All targets are built at once, with AddressSanitizer; as many run at a time as there are processors.
//! What a run comes upon lies in `target/fuzz` and serves the next one; into the tree it goes with
//! `--keep` alone, and then only what covers something that nothing else in the corpus does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use crate::failure::{Failure, Result};
use crate::process::{capture, cargo, goes_on_for_long, nightly, program, run_and_quote, tool};
use crate::release;

/// `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// These targets alone
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many targets run at once; as many as there are processors, unless this is said
    #[arg(long)]
    jobs: Option<usize>,
    /// Put into the corpora of the tree what was found, now or before, and covers something new
    #[arg(long)]
    keep: bool,
    /// Add the figures to those of earlier runs, and write the table in softhsm-tests/README.md
    #[arg(long)]
    write: bool,
}

/// The workspace of the targets, and what is kept for them.
const FOLDER: &str = "tools/fuzz";
/// The figures of the runs that were written down, added up.
const FIGURES: &str = "tools/fuzz/figures.tsv";
/// The document that has them as a table, and where in it.
const DOCUMENT: &str = "softhsm-tests/README.md";
const BEGIN: &str = "<!-- fuzzing: begin -->";
const END: &str = "<!-- fuzzing: end -->";

/// From when on the fuzzer calls it a fault that an input takes so many seconds, or so many megabytes. They are
/// seconds of a machine that may be busy, and the first input waits for new tokens, which stretch PINs. What is
/// in memory when the process ends is no leak: stores are open for as long as it lives.
const LIMITS: [&str; 4] =
    ["-timeout=120", "-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-detect_leaks=0"];

/// Of what was found, as few files as take each edge; how often they take it is of no interest, or there would
/// be hundreds of them.
const FEWEST: [&str; 3] = ["-set_cover_merge=1", "-use_counters=0", "-max_len=4096"];

/// SQLite has static variables of one name twice, which C lets it have.
const SANITIZER: (&str, &str) = ("ASAN_OPTIONS", "detect_odr_violation=0");

/// Runs the targets, and says what came of it.
pub(crate) fn run(args: &Args) -> Result {
    let targets = chosen(&args.targets)?;
    let programs = build()?;
    let runs = run_all(&targets, &programs, args)?;
    if args.keep {
        targets.iter().try_for_each(|target| keep(target, &programs))?;
    }
    if args.write {
        write(&runs)?;
    }
    runs.into_iter().find_map(Run::failure).map_or(Ok(()), Err)
}

/// Ten seconds of every target, or a minute where tests go on for long.
pub(crate) fn check() -> Result {
    let seconds = if goes_on_for_long() { 60 } else { 10 };
    run(&Args { targets: Vec::new(), seconds, jobs: None, keep: false, write: false })
}

/// The names of the targets that are wanted, of those that there are.
fn chosen(wanted: &[String]) -> Result<Vec<String>> {
    tool("cargo-fuzz")?;
    let output = capture(&mut cargo(["fuzz", "list", "--fuzz-dir", FOLDER]))?;
    let all: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    match wanted.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(Failure::new(
            format!("There is no fuzz target {unknown}."),
            format!("Name one of these: {}.", all.join(", ")),
        )),
        None if wanted.is_empty() => Ok(all),
        None => Ok(wanted.to_vec()),
    }
}

/// Builds every target, and says where the programs are.
fn build() -> Result<PathBuf> {
    nightly()?;
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = folder().join("build");
    let command = ["run", "nightly", "cargo", "fuzz", "build", "--fuzz-dir", FOLDER];
    run_and_quote(
        program("rustup", command)
            .args(["--sanitizer=address", "--target", &triple, "--target-dir"])
            .arg(&target),
    )?;
    Ok(target.join(triple).join("release"))
}

/// Where everything lies that is not kept.
fn folder() -> PathBuf {
    release::target().join("fuzz")
}

/// What the runs of a target have come upon.
fn found(target: &str) -> PathBuf {
    folder().join("corpus").join(target)
}

/// What is kept for a target.
fn kept(target: &str) -> PathBuf {
    Path::new(FOLDER).join("corpus").join(target)
}

/// What came of running a target.
#[derive(Debug)]
struct Run {
    target: String,
    seconds: u64,
    executions: u64,
    /// The edges of the program that were taken, as the fuzzer counts them.
    coverage: u64,
    /// What does not hold, if anything: the input, and what the program said of it.
    find: Option<(PathBuf, Vec<String>)>,
}

/// Runs the targets, some at a time, and tells of each when it ends.
fn run_all(targets: &[String], programs: &Path, args: &Args) -> Result<Vec<Run>> {
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok().map(usize::from));
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok()?.next();
    let work = || -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        while let Some(target) = next() {
            let run = run_one(target, programs, args.seconds)?;
            println!("{}", run.line());
            run.find.iter().flat_map(|(_, said)| said).for_each(|line| println!("{line}"));
            runs.push(run);
        }
        Ok(runs)
    };
    let outcomes = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.unwrap_or(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut runs = Vec::new();
    for outcome in outcomes {
        let lost = |_| Failure::new("A worker panicked.", "Run the command again.");
        runs.extend(outcome.map_err(lost)??);
    }
    Ok(runs)
}

fn run_one(target: &str, programs: &Path, seconds: u64) -> Result<Run> {
    let (found, kept, finds) = (found(target), kept(target), folder().join("finds").join(target));
    let scratch = scratch(target);
    for folder in [&found, &finds, &scratch] {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    let fuzzer = programs.join(target);
    let mut command = program(&fuzzer.to_string_lossy(), []);
    command
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/", finds.display()))
        .args([&found, &kept])
        .env("TMPDIR", &scratch)
        .env(SANITIZER.0, SANITIZER.1);
    let output = capture(&mut command);
    // Whatever a process leaves behind that crashed.
    fs::remove_dir_all(&scratch).map_err(|error| Failure::file(&scratch, &error))?;
    let output = output?;
    let said = text(&output.stderr);
    let find = (!output.status.success()).then(|| {
        let input = said.lines().rev().find_map(|line| line.split_once("Test unit written to "));
        let input = input.map_or_else(|| finds.clone(), |(_, path)| PathBuf::from(path.trim()));
        let last = said.lines().rev().take(60).map(str::to_owned);
        (input, last.collect::<Vec<_>>().into_iter().rev().collect())
    });
    Ok(Run {
        target: target.to_owned(),
        seconds: took(&said).unwrap_or(seconds),
        executions: number_behind(&said, "stat::number_of_executed_units:").unwrap_or_default(),
        coverage: number_behind(&said, " cov: ").unwrap_or_default(),
        find,
    })
}

/// Where a target makes its stores: in memory, if that can be had.
fn scratch(target: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let name = format!("strongroom-fuzz-{}-{target}", std::process::id());
    if memory.is_dir() { memory.join(name) } else { folder().join("scratch").join(name) }
}

/// How long it ran, which the fuzzer says where it was not stopped by what it found.
fn took(said: &str) -> Option<u64> {
    let (_, behind) = said.rsplit_once(" runs in ")?;
    behind.split(' ').next()?.parse().ok()
}

/// The number behind the last of these words.
fn number_behind(said: &str, words: &str) -> Option<u64> {
    let (_, behind) = said.rsplit_once(words)?;
    behind.split_whitespace().next()?.parse().ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Run {
    fn line(&self) -> String {
        let Self { target, seconds, executions, coverage, find } = self;
        let found = if find.is_some() { ", and a fault" } else { "" };
        format!("{target}: {executions} inputs in {seconds} s, {coverage} edges{found}")
    }

    /// The fault that was found, if there was one.
    fn failure(self) -> Option<Failure> {
        let (input, said) = self.find?;
        let (target, input) = (self.target, input.display());
        let remedy = format!(
            "Copy it into {FOLDER}/corpus/{target}, see it with `cargo test -p strongroom-hostile \
             {target}`, mend what is wrong, and leave it there."
        );
        let what = format!("The fuzz target {target} does not hold for {input}.");
        Some(Failure::new(what, remedy).quoting(said))
    }
}

/// Puts into the tree what a target has come upon and covers something new: as few files as do.
fn keep(target: &str, programs: &Path) -> Result {
    let fuzzer = programs.join(target);
    let mut command = program(&fuzzer.to_string_lossy(), []);
    let scratch = scratch(target);
    fs::create_dir_all(&scratch).map_err(|error| Failure::file(&scratch, &error))?;
    command.args(FEWEST).args(LIMITS);
    let outcome = run_and_quote(
        command
            .args([kept(target), found(target)])
            .env("TMPDIR", &scratch)
            .env(SANITIZER.0, SANITIZER.1),
    );
    fs::remove_dir_all(&scratch).map_err(|error| Failure::file(&scratch, &error))?;
    outcome
}

/// The figures of a target, of all runs that were written down.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    seconds: u64,
    executions: u64,
    /// Of the run that saw the most.
    coverage: u64,
    finds: u64,
}

type Table = BTreeMap<String, Figures>;

/// Adds runs to what was written down, and writes the table anew.
fn write(runs: &[Run]) -> Result {
    let mut table = read()?;
    for run in runs {
        let figures = table.entry(run.target.clone()).or_default();
        figures.seconds += run.seconds;
        figures.executions += run.executions;
        figures.coverage = figures.coverage.max(run.coverage);
        figures.finds += u64::from(run.find.is_some());
    }
    put(FIGURES, &figures(&table))?;
    let text = get(DOCUMENT)?;
    put(DOCUMENT, &with_table(&text, &table)?)
}

/// Fails if the document does not say what the figures say.
pub(crate) fn check_table() -> Result {
    let text = get(DOCUMENT)?;
    if with_table(&text, &read()?)? == text {
        return Ok(());
    }
    Err(Failure::new(
        format!("The table of fuzzing in {DOCUMENT} is not what {FIGURES} says."),
        "Run `cargo xtask fuzz --write`.",
    ))
}

fn read() -> Result<Table> {
    match fs::read_to_string(FIGURES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(Failure::file(Path::new(FIGURES), &error)),
        Ok(text) => Ok(text.lines().filter_map(row).collect()),
    }
}

/// A line of the figures; none for the one that names the columns.
fn row(line: &str) -> Option<(String, Figures)> {
    let mut words = line.split('\t');
    let target = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    let [seconds, executions] = [number()?, number()?];
    Some((target, Figures { seconds, executions, coverage: number()?, finds: number()? }))
}

fn figures(table: &Table) -> String {
    let mut text = String::from("target\tseconds\tinputs\tedges\tfaults\n");
    for (target, Figures { seconds, executions, coverage, finds }) in table {
        let _ = writeln!(text, "{target}\t{seconds}\t{executions}\t{coverage}\t{finds}");
    }
    text
}

/// The document with the table in its place.
fn with_table(text: &str, table: &Table) -> Result<String> {
    let place = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = place else {
        return Err(Failure::new(
            format!("{DOCUMENT} has no place for the table of fuzzing."),
            format!("Put {BEGIN} and {END} where it belongs."),
        ));
    };
    let mut rows = String::new();
    for (target, Figures { seconds, executions, coverage, finds }) in table {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let _ = writeln!(
            rows,
            "| {target} | {hours}:{minutes:02} | {executions} | {coverage} | {finds} |"
        );
    }
    let head = "| Target | Hours | Inputs | Edges | Faults |\n|---|---:|---:|---:|---:|\n";
    Ok(format!("{before}{BEGIN}\n\n{head}{rows}\n{END}{after}"))
}

fn get(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::file(Path::new(path), &error))
}

fn put(path: &str, text: &str) -> Result {
    fs::write(path, text).map_err(|error| Failure::file(Path::new(path), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 50Mb\n\
        #30\tDONE   cov: 7 ft: 8 corp: 1/1b lim: 4 exec/s: 2 rss: 50Mb\n\
        Done 30 runs in 11 second(s)\nstat::number_of_executed_units: 30\n";

    #[test]
    fn what_the_fuzzer_says_is_understood() {
        assert_eq!(took(SAID), Some(11));
        assert_eq!(number_behind(SAID, " cov: "), Some(7));
        assert_eq!(number_behind(SAID, "stat::number_of_executed_units:"), Some(30));
        assert_eq!(took("==1== ERROR: libFuzzer: timeout"), None);
    }

    #[test]
    fn figures_are_read_as_they_are_written() {
        let both = [("edge", [3700, 2, 3, 0]), ("wire", [1, 20, 30, 1])];
        let table: Table = both
            .map(|(target, [seconds, executions, coverage, finds])| {
                (target.to_owned(), Figures { seconds, executions, coverage, finds })
            })
            .into();
        let text = figures(&table);
        assert_eq!(text.lines().filter_map(row).collect::<Table>(), table);
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = with_table(&document, &table).unwrap();
        assert!(new.contains("| edge | 1:01 | 2 | 3 | 0 |\n| wire | 0:00 | 20 | 30 | 1 |\n"));
        assert!(new.starts_with("before\n") && new.ends_with("\nafter\n") && !new.contains("old"));
        assert_eq!(with_table(&new, &table).unwrap(), new);
    }
}
