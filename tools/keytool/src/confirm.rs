//! Asking before something is lost.

use std::io::{BufRead, IsTerminal, Write};

use crate::errors::{Failure, Result};

/// Returns when the person agrees, by `--yes` or at the prompt.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("this wants to be confirmed")
            .cause("there is no terminal to ask on")
            .help("add --yes"));
    }
    let mut stderr = std::io::stderr();
    let mut answer = String::new();
    write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::usage("cannot ask").cause(error).help("add --yes"))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::usage("not confirmed; nothing was changed"))
}
