//! Running programs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use std::{env, io, thread};

use crate::failure::{Failure, Result};

/// What tests look for that can go on for long.
pub(crate) const LONG: &str = "STRONGROOM_TESTS_LONG";
/// Whether they shall.
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// Has the tests of every program from now on go on for long.
pub(crate) fn go_on_for_long() {
    GOES_ON.store(true, Ordering::Relaxed);
}

/// Whether they have been told to.
pub(crate) fn goes_on_for_long() -> bool {
    GOES_ON.load(Ordering::Relaxed)
}

/// A program with its arguments; it inherits nothing to read from.
pub(crate) fn program<const N: usize>(name: &str, args: [&str; N]) -> Command {
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null());
    if goes_on_for_long() {
        command.env(LONG, "1");
    }
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    program(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), args)
}

/// Runs a command to its end, with its output on ours.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Runs a command to its end, with its output on ours; the failure repeats the lines that say why.
pub(crate) fn run_and_quote(command: &mut Command) -> Result {
    let (output, lines) = pipe().map_err(|error| not_started(command, &error))?;
    let both = output.try_clone().map_err(|error| not_started(command, &error))?;
    let child = command.stdout(output).stderr(both).spawn();
    // Our ends of the pipe close, or it would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.map_err(|error| not_started(command, &error))?;
    let mut quotation = Quotation::default();
    let status = loop {
        match lines.recv_timeout(Duration::from_millis(500)) {
            Ok(line) => quotation.print(line),
            Err(RecvTimeoutError::Disconnected) => break child.wait(),
            // Whom the child has left behind may keep the pipe open for ever.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait().transpose() {
                    break status;
                }
            }
        }
    };
    let status = status.map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(failed(command, status).quoting(quotation.lines())) }
}

/// A pipe, and its lines as they come.
fn pipe() -> io::Result<(io::PipeWriter, Receiver<String>)> {
    let (reader, writer) = io::pipe()?;
    let (sender, lines) = mpsc::channel();
    let read = move |reader: PipeReader| {
        for line in BufReader::new(reader).split(b'\n').map_while(io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    };
    thread::spawn(move || read(reader));
    Ok((writer, lines))
}

/// Of all that a program prints, the lines that say what failed, and the last ones.
#[derive(Default)]
struct Quotation {
    failures: Vec<String>,
    last: VecDeque<String>,
}

impl Quotation {
    /// How lines begin, behind spaces, that say what failed: of nextest and of our own scripts, of
    /// the compiler, of a test.
    const FAILURES: [&str; 5] = ["FAIL", "TIMEOUT", "SIG", "error", "thread '"];
    /// How many of each kind are kept.
    const MOST: usize = 40;

    fn print(&mut self, line: String) {
        println!("{line}");
        let failure = Self::FAILURES.iter().any(|begin| line.trim_start().starts_with(begin));
        if failure && self.failures.len() < Self::MOST {
            self.failures.push(line);
            return;
        }
        if self.last.len() == Self::MOST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn lines(self) -> Vec<String> {
        self.failures.into_iter().chain(self.last).collect()
    }
}

fn failed(command: &Command, status: ExitStatus) -> Failure {
    Failure::new(
        format!("`{}` failed ({status}).", text(command)),
        "What it printed above says why.",
    )
}

/// Runs a command to its end and keeps what it prints.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| not_started(command, &error))
}

/// Runs a command to its end, unseen; only whether it succeeds counts.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program is, if it is in the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Installs a program of cargo's, unless it is there. Unoptimised: it is built in half the time,
/// and mostly waits for others.
pub(crate) fn tool(name: &'static str) -> Result {
    if find(name).is_some() {
        return Ok(());
    }
    let mut command: Command = cargo(["install", "--locked", "--debug", name]);
    run_and_quote(command.env("CARGO_PROFILE_DEV_DEBUG", "0"))
}

/// The compiler of tomorrow, with Miri and the sources of Rust's own library.
pub(crate) fn nightly() -> Result {
    let miri = ["run", "nightly", "cargo", "miri", "--version"];
    let sources = ["component", "list", "--toolchain=nightly", "--installed"];
    let listed = capture(&mut program("rustup", sources))?;
    let sources = String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == "rust-src");
    if sources && succeeds(&mut program("rustup", miri)) {
        return Ok(());
    }
    let install = ["toolchain", "install", "nightly", "--profile=minimal"];
    run_and_quote(program("rustup", install).arg("--component=miri,rust-src"))
}

/// A command as a person would type it at the root of the repository.
pub(crate) fn text(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| quoted(&near(&word.to_string_lossy())));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

/// Puts a word into quotes if a shell would read anything into it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The cargo that runs us has a long path; everybody knows it by its name.
fn near(word: &str) -> String {
    let path = Path::new(word);
    let cargo = env::var_os("CARGO").is_some_and(|cargo| Path::new(&cargo) == path);
    if cargo { "cargo".to_owned() } else { word.to_owned() }
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    let name = near(&command.get_program().to_string_lossy());
    Failure::new(
        format!("`{name}` cannot be started: {error}."),
        "Install it, or check that PATH leads to it.",
    )
}
