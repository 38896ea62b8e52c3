//! Runs a test in a child process, and writes down what came of it.
//!
//! The parent makes an empty store, tells the module of it by environment variables, and starts
//! this very program again for the one test. The child reports row by row into a file. So a crash,
//! an `exit` inside the module and a hang are outcomes of one row; the rows behind it run in the
//! next child, with a new store.

use std::any::type_name;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, mem, thread};

use crate::daemon::{SOCKET, daemon_path};
use crate::faults::among_faults;
use crate::world::World;

/// What SoftHSM2 2.6.1 makes of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftHsm2 {
    /// It passes.
    Passes,
    /// It fails, for this reason.
    Fails(&'static str),
    /// It crashes, ends or hangs its process, for this reason.
    Crashes(&'static str),
    /// It passes on some runs, and fails or crashes on others: a race, described here.
    Races(&'static str),
}

/// The path of the module under test.
const MODULE: &str = "MODULE_UNDER_TEST";
/// Where a child reports.
const REPORT: &str = "STRONGROOM_TESTS_REPORT";
/// The first row that a child runs.
const START: &str = "STRONGROOM_TESTS_START";
/// Set where tests that can go on for long do so.
const LONG: &str = "STRONGROOM_TESTS_LONG";

/// No test takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Nor does one of thousands of cases, each of which has its own limit.
const PATIENCE_OF_BATCHES: Duration = Duration::from_secs(600);
/// Nor does one that goes on for long: a quarter of an hour, on two processors that are its own.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// Whether tests that try by chance, or try every place, shall try hundreds of times as much:
/// `softhsm-tests/run --long`.
pub fn long() -> bool {
    env::var_os(LONG).is_some()
}

/// Which configuration files a module finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Configured {
    /// Its own, whichever that is.
    Itself,
    /// Those by which it has the habits of SoftHSM2: a `softhsm2.conf` and nothing else, or a daemon whose
    /// configuration says so.
    Compatible,
    /// A `softhsm2.conf` and nothing else: the module stands in SoftHSM2's place.
    AsSoftHsm2,
    /// Its own; and the system fails where the test says.
    AmongFaults,
}

/// Why what is asked of a module in SoftHSM2's place is not asked of the client of a daemon.
const NO_DAEMON: &str = "a softhsm2.conf alone leads to no daemon";

/// Runs a test.
pub fn case<F: Fn(&World)>(softhsm2: SoftHsm2, body: F) {
    let rows = &[("", softhsm2, ())];
    run(type_name::<F>(), Configured::Itself, PATIENCE, rows, |world, ()| body(world));
}

/// Runs a test of [batches](crate::batch).
pub fn case_of_batches<F: Fn(&World)>(softhsm2: SoftHsm2, body: F) {
    let rows = &[("", softhsm2, ())];
    run(type_name::<F>(), Configured::Itself, PATIENCE_OF_BATCHES, rows, |world, ()| body(world));
}

/// Runs a test on every row: a name, what SoftHSM2 makes of it, and the data.
pub fn table<R, F: Fn(&World, &R)>(rows: &[(&str, SoftHsm2, R)], body: F) {
    run(type_name::<F>(), Configured::Itself, PATIENCE, rows, body);
}

/// Runs a test on a module with the habits of SoftHSM2.
pub fn case_compatible<F: Fn(&World)>(softhsm2: SoftHsm2, body: F) {
    let rows = &[("", softhsm2, ())];
    run(type_name::<F>(), Configured::Compatible, PATIENCE, rows, |world, ()| body(world));
}

/// The same on every row.
pub fn table_compatible<R, F: Fn(&World, &R)>(rows: &[(&str, SoftHsm2, R)], body: F) {
    run(type_name::<F>(), Configured::Compatible, PATIENCE, rows, body);
}

/// Runs a test on a module that finds a `softhsm2.conf` and nothing else. There is no daemon then, so the
/// client of one is not asked.
pub fn case_as_softhsm2<F: Fn(&World)>(softhsm2: SoftHsm2, body: F) {
    let rows = &[("", softhsm2, ())];
    run(type_name::<F>(), Configured::AsSoftHsm2, PATIENCE, rows, |world, ()| body(world));
}

/// The same on every row.
pub fn table_as_softhsm2<R, F: Fn(&World, &R)>(rows: &[(&str, SoftHsm2, R)], body: F) {
    run(type_name::<F>(), Configured::AsSoftHsm2, PATIENCE, rows, body);
}

/// Runs a test whose system fails where it says, on every row.
pub fn table_among_faults<R, F: Fn(&World, &R)>(rows: &[(&str, SoftHsm2, R)], body: F) {
    run(type_name::<F>(), Configured::AmongFaults, PATIENCE, rows, body);
}

/// The same on one.
pub fn case_among_faults<F: Fn(&World)>(softhsm2: SoftHsm2, body: F) {
    let rows = &[("", softhsm2, ())];
    run(type_name::<F>(), Configured::AmongFaults, PATIENCE, rows, |world, ()| body(world));
}

fn run<R>(
    closure: &str,
    configured: Configured,
    patience: Duration,
    rows: &[(&str, SoftHsm2, R)],
    body: impl Fn(&World, &R),
) {
    let name = closure.trim_end_matches("::{{closure}}");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let patience = if long() { LONG_PATIENCE } else { patience };
    match env::var_os(REPORT) {
        Some(report) => child(Path::new(&report), rows, body),
        None => parent(name, configured, patience, rows),
    }
}

/// The path of the module under test, made absolute.
pub fn module_path() -> PathBuf {
    let Some(path) = env::var_os(MODULE) else {
        panic!(
            "{MODULE} is not set: it takes the path of the PKCS#11 module to test, for example\n  \
             {MODULE}=/usr/lib/softhsm/libsofthsm2.so cargo nextest run -p strongroom-softhsm-tests"
        );
    };
    let path = PathBuf::from(path);
    let from_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
    [path.clone(), from_root]
        .iter()
        .find_map(|path| path.canonicalize().ok())
        .unwrap_or_else(|| panic!("{MODULE}: there is no file {}", path.display()))
}

/// The directory of the tables of results.
pub fn results() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        |target| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(target),
    );
    target.join("softhsm-tests")
}

/// What the files of results are called: the module under test, or the client of a daemon.
pub(crate) fn stem() -> String {
    match daemon_path() {
        Some(_) => "strongroom-remote".to_owned(),
        None => {
            let path = module_path();
            path.file_stem().expect("a module has a name").to_string_lossy().into_owned()
        }
    }
}

/// What came of a row.
struct Told {
    outcome: Outcome,
    /// What it counted.
    counts: Vec<String>,
    /// What was printed.
    output: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Pass,
    Fail(String),
    Crash(String),
    NotRun(String),
}

impl Outcome {
    /// What a child has said of a row, if that is it.
    fn said(word: &str, rest: &str) -> Option<Self> {
        match word {
            "pass" => Some(Self::Pass),
            "fail" => Some(Self::Fail(rest.to_owned())),
            "not run" => Some(Self::NotRun(rest.to_owned())),
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Crash(_) => "crash",
            Self::NotRun(_) => "not run",
        }
    }

    /// What was said.
    fn told(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Fail(message) | Self::Crash(message) | Self::NotRun(message) => message,
        }
    }
}

fn parent<R>(name: &str, configured: Configured, patience: Duration, rows: &[(&str, SoftHsm2, R)]) {
    let module = module_path();
    let full = |row: &str| match row {
        "" => name.to_owned(),
        row => format!("{name} [{row}]"),
    };
    if configured == Configured::AsSoftHsm2 && daemon_path().is_some() {
        for (row, ..) in rows {
            record(&full(row), &Outcome::NotRun(NO_DAEMON.to_owned()), NO_DAEMON);
        }
        return;
    }
    // By its name, as the tables and `run` know it.
    let softhsm2 = stem().starts_with("libsofthsm2");
    let mut bad = Vec::new();
    for ((row, expected, _), Told { outcome, counts, output }) in
        rows.iter().zip(outcomes(name, configured, patience, &module, rows.len()))
    {
        let full = full(row);
        let (complaint, reason) = judge(softhsm2, *expected, &outcome);
        record(&full, &outcome, &reason);
        for count in counts {
            append("counts.tsv", &format!("{full}\t{count}\n"));
        }
        if let Some(complaint) = complaint {
            bad.push(format!("{full}: {complaint}\n{output}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Says what is wrong with an outcome, if anything is, and what the table says of it.
fn judge(softhsm2: bool, expected: SoftHsm2, outcome: &Outcome) -> (Option<String>, String) {
    let told = outcome.told().to_owned();
    if matches!(outcome, Outcome::NotRun(_)) {
        return (None, told);
    }
    if !softhsm2 {
        let complaint = (*outcome != Outcome::Pass).then(|| told.clone());
        return (complaint, told);
    }
    match (expected, outcome) {
        (SoftHsm2::Passes, Outcome::Pass) | (SoftHsm2::Races(_), Outcome::Pass) => {
            (None, String::new())
        }
        (SoftHsm2::Passes, _) => (Some(told.clone()), told),
        (SoftHsm2::Fails(reason), Outcome::Fail(_))
        | (SoftHsm2::Crashes(reason), Outcome::Crash(_))
        | (SoftHsm2::Races(reason), _) => (None, reason.to_owned()),
        (SoftHsm2::Fails(_) | SoftHsm2::Crashes(_), _) => {
            let complaint = format!("expected {expected:?}, and it came out as {outcome:?}");
            (Some(complaint.clone()), complaint)
        }
    }
}

/// Appends the outcome to the table of the module. The last line of a name counts.
fn record(name: &str, outcome: &Outcome, reason: &str) {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    append("tsv", &format!("{name}\t{}\t{reason}\t{}\n", outcome.word(), outcome.told()));
}

/// Appends a line to a table of the module.
fn append(table: &str, line: &str) {
    let directory = results();
    fs::create_dir_all(&directory).expect("the directory of results");
    let path = directory.join(format!("{}.{table}", stem()));
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the table of results");
}

/// Runs all rows, in as many children as it takes. Each outcome comes with what was printed.
fn outcomes(
    name: &str,
    configured: Configured,
    patience: Duration,
    module: &Path,
    rows: usize,
) -> Vec<Told> {
    let mut outcomes: Vec<Told> = Vec::new();
    while outcomes.len() < rows {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let report = directory.path().join("report");
        let mut command = child_command(name, configured, module, directory.path(), &report);
        command.env(START, outcomes.len().to_string());
        let output_path = directory.path().join("output");
        let status = wait(command, patience, &output_path);
        let output = fs::read(&output_path).unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        let before = outcomes.len();
        let mut began = false;
        let mut counts = Vec::new();
        for line in fs::read_to_string(&report).unwrap_or_default().lines() {
            let (word, rest) = line.split_once('\t').unwrap_or((line, ""));
            if let Some(outcome) = Outcome::said(word, rest) {
                began = false;
                let counts = mem::take(&mut counts);
                outcomes.push(Told { outcome, counts, output: output.clone() });
            } else if word == "count" {
                counts.push(rest.to_owned());
            } else {
                began |= word == "begin";
            }
        }
        let ending = match status {
            None => Some(format!("no end after {} seconds", patience.as_secs())),
            Some(status) => {
                status.signal().map(|signal| format!("signal {signal}")).or_else(|| {
                    (!status.success()).then(|| format!("exit status {:?}", status.code()))
                })
            }
        };
        if began {
            let ending = ending.unwrap_or_else(|| "the process ended".to_owned());
            outcomes.push(Told { outcome: Outcome::Crash(ending), counts, output });
        } else if let (Some(ending), true) = (ending, outcomes.len() == rows) {
            // Everything was well until the process ended.
            if let Some(Told { outcome: last @ Outcome::Pass, .. }) = outcomes.last_mut() {
                *last = Outcome::Crash(format!("at exit: {ending}"));
            }
        }
        assert!(outcomes.len() > before, "a child did nothing:\n{}", outcomes_hint(&output_path));
    }
    outcomes
}

fn outcomes_hint(output: &Path) -> String {
    fs::read_to_string(output).unwrap_or_default()
}

fn child_command(
    name: &str,
    configured: Configured,
    module: &Path,
    directory: &Path,
    report: &Path,
) -> Command {
    let store = directory.join("store");
    fs::create_dir_all(store.join("softhsm2")).expect("a store");
    let softhsm2 = directory.join("softhsm2.conf");
    let tokens = store.join("softhsm2");
    fs::write(
        &softhsm2,
        format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
    )
    .expect("softhsm2.conf");
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(MODULE, module)
        .env(REPORT, report)
        .env("RUST_BACKTRACE", "0")
        .env("SOFTHSM2_CONF", softhsm2)
        // What is in the home directory of whoever runs the test is not found, whatever a configuration
        // says.
        .env("HOME", directory)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME");
    let own = match configured {
        Configured::Itself | Configured::AmongFaults => true,
        Configured::Compatible => daemon_path().is_some(),
        Configured::AsSoftHsm2 => false,
    };
    if own {
        let path = directory.join("strongroom.toml");
        let store = store.join("strongroom");
        let socket = directory.join("strongroom.sock");
        let compatible = configured == Configured::Compatible;
        let text = format!(
            "legacy = true\ncompatible = {compatible}\n[store]\npath = {store:?}\n\
             [daemon]\nsocket = {socket:?}\n"
        );
        fs::write(&path, text).expect("strongroom.toml");
        command.env("STRONGROOM_CONF", path);
        if daemon_path().is_some() {
            command.env(SOCKET, socket);
        }
    } else {
        command.env_remove("STRONGROOM_CONF").env_remove("STRONGROOM_LOG");
    }
    if configured == Configured::AmongFaults {
        among_faults(&mut command, directory);
    }
    command
}

fn wait(mut command: Command, patience: Duration, output: &Path) -> Option<ExitStatus> {
    let output = File::create(output).expect("a file for the output");
    let errors = output.try_clone().expect("a second handle");
    let mut child =
        command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().expect("a child");
    let start = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().expect("the child's status") {
            return Some(status);
        }
        if start.elapsed() > patience {
            child.kill().expect("the child ends");
            child.wait().expect("the child's status");
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn child<R>(report: &Path, rows: &[(&str, SoftHsm2, R)], body: impl Fn(&World, &R)) {
    let mut file = OpenOptions::new().create(true).append(true).open(report).expect("a report");
    let world = World::new(module_path(), report.parent().expect("a directory").to_owned());
    let start: usize = env::var(START).expect("a first row").parse().expect("a number");
    for (_, _, row) in &rows[start..] {
        file.write_all(b"begin\t\n").expect("a report");
        let line = match catch_unwind(AssertUnwindSafe(|| body(&world, row))) {
            Ok(()) => "pass\t\n".to_owned(),
            Err(payload) => {
                let not_run = payload.downcast_ref::<NotRun>().map(|NotRun(reason)| *reason);
                let word = if not_run.is_some() { "not run" } else { "fail" };
                let message = not_run
                    .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                    .or_else(|| payload.downcast_ref::<&str>().copied())
                    .unwrap_or("panic");
                let message: Vec<_> = message.split_whitespace().collect();
                format!("{word}\t{}\n", message.join(" "))
            }
        };
        file.write_all(line.as_bytes()).expect("a report");
        if !line.starts_with("pass") {
            return;
        }
        world.tidy();
    }
}

/// Why a row was not run, on its way to the report.
struct NotRun(&'static str);

/// Ends the row which is at work: what it asks cannot be asked here.
pub fn not_run(reason: &'static str) -> ! {
    // No panic, of which a message would tell.
    resume_unwind(Box::new(NotRun(reason)))
}

/// Says how many of these the row which is at work has counted, for the table of counts.
pub fn count(what: &str, number: usize) {
    let report = env::var_os(REPORT).expect("a report");
    let file = OpenOptions::new().append(true).open(report);
    let line = format!("count\t{what}\t{number}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a report");
}
