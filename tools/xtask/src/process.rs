//! Running programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, io};

use crate::failure::{Failure, Result};

/// A program with its arguments; it inherits nothing to read from.
pub(crate) fn program<const N: usize>(name: &str, args: [&str; N]) -> Command {
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null());
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    program(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), args)
}

/// Runs a command to its end, with its output on ours.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{}` failed ({status}).", text(command)),
        "What it printed above says why.",
    ))
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
