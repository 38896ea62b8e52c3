//! Renders the tables of results of several modules, side by side, into the README.
//!
//! `compare libsofthsm2 libstrongroom_pkcs11` reads `<name>.tsv` of each, from the directory of
//! results, and replaces what stands between the two markers in `softhsm-tests/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use strongroom_softhsm_tests::harness::results;

const BEGIN: &str = "<!-- results: begin -->";
const END: &str = "<!-- results: end -->";

/// The outcome and the reason of each test of a module. The last line of a name counts.
type Results = BTreeMap<String, (String, String)>;

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    match render(&names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn render(names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Err("name the modules, for example libsofthsm2 libstrongroom_pkcs11".to_owned());
    }
    let mut modules = Vec::new();
    for name in names {
        let path = results().join(format!("{name}.tsv"));
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        modules.push((name.as_str(), read(&text)));
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&readme).map_err(|error| error.to_string())?;
    let (head, rest) = text.split_once(BEGIN).ok_or("README.md has no first marker")?;
    let (_, tail) = rest.split_once(END).ok_or("README.md has no last marker")?;
    let text = format!("{head}{BEGIN}\n{}\n{END}{tail}", markdown(&modules));
    fs::write(&readme, text).map_err(|error| error.to_string())
}

fn read(text: &str) -> Results {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next()?.to_owned();
            let outcome = fields.next()?.to_owned();
            Some((name, (outcome, fields.next().unwrap_or_default().to_owned())))
        })
        .collect()
}

fn markdown(modules: &[(&str, Results)]) -> String {
    let mut text = String::new();
    text.push_str("\n| Module | Cases | Pass | Fail | Crash |\n|---|---:|---:|---:|---:|\n");
    for (name, results) in modules {
        let count = |word: &str| results.values().filter(|(outcome, _)| outcome == word).count();
        let (pass, fail, crash) = (count("pass"), count("fail"), count("crash"));
        let _ = writeln!(text, "| {name} | {} | {pass} | {fail} | {crash} |", results.len());
    }
    text.push_str("\nWhere a module does not pass:\n\n| Case |");
    for (name, _) in modules {
        let _ = write!(text, " {name} |");
    }
    text.push_str(" Why |\n|---|");
    text.push_str(&"---|".repeat(modules.len() + 1));
    text.push('\n');
    let mut names: Vec<&String> = modules.iter().flat_map(|(_, results)| results.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let outcomes: Vec<_> = modules.iter().map(|(_, results)| results.get(name)).collect();
        if outcomes.iter().all(|one| one.is_some_and(|(outcome, _)| outcome == "pass")) {
            continue;
        }
        let mut reasons: Vec<String> = Vec::new();
        let _ = write!(text, "| {name} |");
        for outcome in outcomes {
            let (word, reason) = outcome.map_or(("not run", ""), |(word, reason)| (word, reason));
            let _ = write!(text, " {word} |");
            if !reason.is_empty() {
                reasons.push(reason.chars().take(120).collect::<String>().replace('|', "\\|"));
            }
        }
        reasons.dedup();
        let _ = writeln!(text, " {} |", reasons.join("; "));
    }
    text
}
