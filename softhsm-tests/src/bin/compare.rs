//! Renders the tables of results of several modules, side by side, into the README.
//!
//! `compare libsofthsm2 libstrongroom_pkcs11` reads `<name>.tsv` of each, from the directory of
//! results, and replaces what stands between the two markers in `softhsm-tests/README.md`. The first is
//! the measure: it fails if another does not pass what that passes. With `--check` in front it says
//! that much, and writes nothing. Between two other markers it puts the figures of bad input, from
//! `<name>.bad-input.tsv`, and between two more what tests have counted, from `<name>.counts.tsv`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use strongroom_softhsm_tests::batch::figures;
use strongroom_softhsm_tests::harness::results;

const BEGIN: &str = "<!-- results: begin -->";
const END: &str = "<!-- results: end -->";
const FIGURES_BEGIN: &str = "<!-- bad input: begin -->";
const FIGURES_END: &str = "<!-- bad input: end -->";
const COUNTS_BEGIN: &str = "<!-- counts: begin -->";
const COUNTS_END: &str = "<!-- counts: end -->";

/// The modules of which there may be figures of bad input, and counts, whichever are compared: the same module
/// answers in another way through a daemon.
const FIGURES: &[&str] = &["libsofthsm2", "libstrongroom_pkcs11", "strongroom-remote"];

/// The outcome and the reason of each test of a module. The last line of a name counts.
type Results = BTreeMap<String, (String, String)>;
/// What was counted, and by which test. The last line of both counts.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

fn main() -> ExitCode {
    let mut names: Vec<String> = env::args().skip(1).collect();
    let check = names.first().is_some_and(|first| first == "--check");
    if check {
        names.remove(0);
    }
    match compare(&names, check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(names: &[String], check: bool) -> Result<(), String> {
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
    if !check {
        write(&modules)?;
    }
    let below = below(&modules);
    if below.is_empty() {
        return Ok(());
    }
    Err(format!("the first passes what another does not:\n{}", below.join("\n")))
}

fn write(modules: &[(&str, Results)]) -> Result<(), String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&readme).map_err(|error| error.to_string())?;
    let text = between(&text, BEGIN, END, &markdown(modules))?;
    let text = between(&text, FIGURES_BEGIN, FIGURES_END, &bad_input())?;
    let text = between(&text, COUNTS_BEGIN, COUNTS_END, &counts())?;
    fs::write(&readme, text).map_err(|error| error.to_string())
}

/// The text with this between the two markers.
fn between(text: &str, begin: &str, end: &str, new: &str) -> Result<String, String> {
    let absent = |marker| format!("README.md has no {marker}");
    let (head, rest) = text.split_once(begin).ok_or_else(|| absent(begin))?;
    let (_, tail) = rest.split_once(end).ok_or_else(|| absent(end))?;
    Ok(format!("{head}{begin}\n{new}\n{end}{tail}"))
}

/// The figures of each module, side by side: cases tried, crashes, hangs, wrong codes, changed states.
fn bad_input() -> String {
    let modules: Vec<_> = FIGURES
        .iter()
        .filter_map(|name| figures(&results(), name).map(|figures| (*name, figures)))
        .collect();
    let mut text =
        "\n| Module | Cases | Tried | Crashes | Hangs | Wrong codes | Changed states |\n\
                    |---|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for (name, parts) in modules {
        let mut all = [0; 5];
        for (part, numbers) in &parts {
            row(&mut text, name, part, numbers);
            all.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
        row(&mut text, name, "all", &all);
    }
    text
}

fn row(text: &mut String, module: &str, part: &str, numbers: &[usize; 5]) {
    let numbers = numbers.map(|number| number.to_string()).join(" | ");
    let _ = writeln!(text, "| {module} | {part} | {numbers} |");
}

/// What the tests of each module have counted, side by side.
fn counts() -> String {
    let modules: Vec<_> = FIGURES
        .iter()
        .filter_map(|name| {
            let text = fs::read_to_string(results().join(format!("{name}.counts.tsv"))).ok()?;
            Some((*name, read_counts(&text)))
        })
        .collect();
    side_by_side(&modules)
}

/// A row for each thing, whichever tests counted it.
fn side_by_side(modules: &[(&str, Counts)]) -> String {
    let mut text = String::from("\n| What was counted |");
    for (name, _) in modules {
        let _ = write!(text, " {name} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(modules.len()));
    let all: BTreeSet<_> = modules.iter().flat_map(|(_, counts)| counts.keys()).collect();
    for what in all {
        let _ = write!(text, "| {what} |");
        for (_, counts) in modules {
            let sum = counts.get(what).map(|tests| tests.values().sum::<u64>().to_string());
            let _ = write!(text, " {} |", sum.as_deref().unwrap_or("not run"));
        }
        text.push('\n');
    }
    text
}

/// What the first module passes and another does not.
fn below(modules: &[(&str, Results)]) -> Vec<String> {
    let Some(((_, measure), others)) = modules.split_first() else {
        return Vec::new();
    };
    let mut below = Vec::new();
    for (name, results) in others {
        for (case, _) in measure.iter().filter(|(_, one)| passes(Some(one))) {
            let other = results.get(case);
            if !passes(other) {
                below.push(format!("{name}: {case}: {}", word(other)));
            }
        }
    }
    below
}

fn passes(result: Option<&(String, String)>) -> bool {
    word(result) == "pass"
}

fn word(result: Option<&(String, String)>) -> &str {
    result.map_or("not run", |(outcome, _)| outcome)
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

fn read_counts(text: &str) -> Counts {
    let mut counts = Counts::new();
    for line in text.lines() {
        if let [test, what, number] = line.split('\t').collect::<Vec<_>>()[..]
            && let Ok(number) = number.parse()
        {
            counts.entry(what.to_owned()).or_default().insert(test.to_owned(), number);
        }
    }
    counts
}

fn markdown(modules: &[(&str, Results)]) -> String {
    let mut text = String::new();
    text.push_str("\n| Module | Cases | Pass | Fail | Crash | Not run |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|\n");
    for (name, results) in modules {
        let count = |word: &str| results.values().filter(|(outcome, _)| outcome == word).count();
        let counts = ["pass", "fail", "crash", "not run"].map(|word| count(word).to_string());
        let _ = writeln!(text, "| {name} | {} | {} |", results.len(), counts.join(" | "));
    }
    text.push_str(&clients(modules));
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
            let _ = write!(text, " {} |", word(outcome));
            let reason = outcome.map_or("", |(_, reason)| reason);
            if !reason.is_empty() {
                reasons.push(reason.chars().take(120).collect::<String>().replace('|', "\\|"));
            }
        }
        reasons.dedup();
        let _ = writeln!(text, " {} |", reasons.join("; "));
    }
    text
}

/// How many cases of each client the modules pass.
fn clients(modules: &[(&str, Results)]) -> String {
    let mut cases: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in modules.iter().flat_map(|(_, results)| results.keys()) {
        if let Some(client) = client_of(name) {
            cases.entry(client).or_default().insert(name);
        }
    }
    let mut text =
        String::from("\nClients, and the cases that they pass on a module:\n\n| Client | Cases |");
    for (name, _) in modules {
        let _ = write!(text, " {name} |");
    }
    let _ = writeln!(text, "\n|---|---:|{}", "---:|".repeat(modules.len()));
    for (client, cases) in cases {
        let _ = write!(text, "| {client} | {} |", cases.len());
        for (_, results) in modules {
            let passed = cases.iter().filter(|case| passes(results.get(**case))).count();
            let _ = write!(text, " {passed} |");
        }
        text.push('\n');
    }
    text
}

/// The client whose case this is: `clients::NAME [CASE]`.
fn client_of(case: &str) -> Option<&str> {
    let (client, _) = case.strip_prefix("clients::")?.split_once(" [")?;
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::{below, clients, read, read_counts, side_by_side};

    const SOFTHSM2: &str =
        "edge::one\tpass\t\t\nclients::nss [a]\tpass\t\t\nclients::nss [b]\tfail\twhy\t\n";

    #[test]
    fn a_client_is_a_row() {
        let ours = "edge::one\tpass\t\t\nclients::nss [a]\tpass\t\t\nclients::nss [b]\tpass\t\t\n";
        let text = clients(&[("s", read(SOFTHSM2)), ("o", read(ours))]);
        assert!(text.contains("| nss | 2 | 1 | 2 |"), "{text}");
        assert!(!text.contains("edge"), "{text}");
    }

    #[test]
    fn what_several_tests_count_is_a_sum_of_their_last_counts() {
        let softhsm2 = read_counts("a\tlost\t9\na\tlost\t2\nb\tlost\t3\n");
        let ours = read_counts("a\tlost\t0\nb\ttried\t4\n");
        let text = side_by_side(&[("s", softhsm2), ("o", ours)]);
        assert!(text.contains("| lost | 5 | 0 |\n| tried | not run | 4 |\n"), "{text}");
    }

    #[test]
    fn whoever_passes_less_is_below() {
        for (ours, wanted) in [
            ("edge::one\tpass\t\nclients::nss [a]\tpass\t", 0),
            ("edge::one\tpass\t\nclients::nss [a]\tfail\twhy", 1),
            ("edge::one\tcrash\t\nclients::nss [a]\tnot run\twhy", 2),
            ("edge::one\tpass\t", 1),
        ] {
            let below = below(&[("s", read(SOFTHSM2)), ("o", read(ours))]);
            assert_eq!(below.len(), wanted, "{below:?}");
        }
    }
}
