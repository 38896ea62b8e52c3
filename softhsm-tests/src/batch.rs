//! Thousands of cases, each of which may take its process with it.
//!
//! The cases run one after the other in a forked child, which says how each came out. Where a case
//! ends the child, that is its outcome, and the next child goes on behind it. What came of them is
//! counted, and the figures of a module stand in a table of their own beside its results.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::{fs, io};

use crate::harness::{results, stem};
use crate::raw::{Ended, Forked, alarm};

/// No case takes so many seconds, unless it hangs.
const PATIENCE: u32 = 10;
/// What a child may take before its first case.
const PREPARATION: u32 = 90;
/// How many of the cases that came out badly a test tells of.
const TOLD: usize = 60;

/// How a case came out, where it came to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The code is one that the standard names, and all is as it was.
    Right,
    /// The code is another one.
    Wrong(String),
    /// Something is no longer as it was.
    Changed(String),
    /// The module does not have what is asked.
    Absent,
}

/// What came of many cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that were tried.
    pub tried: usize,
    /// Those that ended the process.
    pub crashed: usize,
    /// Those that came to no end.
    pub hung: usize,
    /// Those with another code than one that is right.
    pub wrong: usize,
    /// Those that changed what they should not.
    pub changed: usize,
    /// What was said of those that came out badly.
    pub told: Vec<String>,
}

impl Tally {
    fn count(&mut self, name: &str, line: &str) {
        let (word, message) = line.split_once('\t').unwrap_or((line, ""));
        let (counter, what) = match word {
            "absent" => return,
            "right" => (None, ""),
            "wrong" => (Some(&mut self.wrong), "wrong code"),
            "changed" => (Some(&mut self.changed), "changed state"),
            "hang" => (Some(&mut self.hung), "hang"),
            _ => (Some(&mut self.crashed), "crash"),
        };
        self.tried += 1;
        if let Some(counter) = counter {
            *counter += 1;
            self.told.push(format!("{name}: {what}: {message}"));
        }
    }

    /// Keeps the figures for the table, and fails if there is anything to complain of.
    pub fn judge(self, part: &str) {
        record(&results(), part, &self).expect("the table of figures");
        assert!(self.tried > 0, "nothing was tried");
        let shown = self.told.iter().take(TOLD).map(|line| format!("\n{line}")).collect::<String>();
        assert!(
            self.told.is_empty(),
            "{} of {} cases ({} crashes, {} hangs, {} wrong codes, {} changed states):{shown}",
            self.told.len(),
            self.tried,
            self.crashed,
            self.hung,
            self.wrong,
            self.changed,
        );
    }
}

/// Appends a line to the figures of the module under test. The last line of a part counts.
fn record(directory: &Path, part: &str, tally: &Tally) -> io::Result<()> {
    let stem = stem();
    fs::create_dir_all(directory)?;
    let Tally { tried, crashed, hung, wrong, changed, told } = tally;
    let path = directory.join(format!("{stem}.bad-input.tsv"));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{part}\t{tried}\t{crashed}\t{hung}\t{wrong}\t{changed}\n").as_bytes())?;
    // Each by itself, for whoever wants to know more than there is to show.
    let part: String = part.chars().filter(|sign| sign.is_alphanumeric()).collect();
    fs::write(directory.join(format!("{stem}.bad-input.{part}.log")), told.join("\n") + "\n")
}

/// Runs all cases, in as many children as it takes.
///
/// `begin` makes in the child what the cases need, and `attempt` tries one; `name` says which it is.
pub fn run<C, X>(
    cases: &[C],
    name: impl Fn(&C) -> String,
    begin: impl Fn() -> X,
    attempt: impl Fn(&mut X, &C) -> Verdict,
) -> Tally {
    let mut tally = Tally::default();
    let mut next = 0;
    while next < cases.len() {
        let before = next;
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let child = Forked::start(|| {
            alarm(PREPARATION);
            let mut context = begin();
            for case in &cases[next..] {
                alarm(PATIENCE);
                say(&mut writer, "begin");
                let verdict = attempt(&mut context, case);
                let changed = matches!(verdict, Verdict::Changed(_));
                say(&mut writer, &sentence(verdict));
                // The next case is to find everything as it should be.
                if changed {
                    break;
                }
            }
            0
        });
        drop(writer);
        let mut under_way = false;
        for line in BufReader::new(reader).lines() {
            let line = line.expect("what the child says");
            under_way = line == "begin";
            if !under_way {
                tally.count(&name(&cases[next]), &line);
                next += 1;
            }
        }
        let ended = child.wait();
        if under_way {
            tally.count(&name(&cases[next]), &ending(ended));
            next += 1;
        }
        assert!(next > before, "no case was begun after {before}: {ended:?}");
    }
    tally
}

fn say(writer: &mut io::PipeWriter, line: &str) {
    writer.write_all(format!("{line}\n").as_bytes()).expect("somebody listens");
}

fn sentence(verdict: Verdict) -> String {
    let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match verdict {
        Verdict::Right => "right".to_owned(),
        Verdict::Absent => "absent".to_owned(),
        Verdict::Wrong(message) => format!("wrong\t{}", flat(message)),
        Verdict::Changed(message) => format!("changed\t{}", flat(message)),
    }
}

fn ending(ended: Ended) -> String {
    match ended {
        Ended::Signal(libc::SIGALRM) => format!("hang\tno end after {PATIENCE} seconds"),
        // The test itself could not go on: something that it relies on is gone.
        Ended::Exit(101) => "changed\tthe calls behind it fail".to_owned(),
        Ended::Exit(status) => format!("crash\texit status {status}"),
        Ended::Signal(signal) => format!("crash\tsignal {signal}"),
    }
}

/// The figures of a module, by part: those that were tried, and those that came out badly in each
/// way. Nothing where none were written down.
pub fn figures(directory: &Path, module: &str) -> Option<Vec<(String, [usize; 5])>> {
    let file = File::open(directory.join(format!("{module}.bad-input.tsv"))).ok()?;
    let mut all: Vec<(String, [usize; 5])> = Vec::new();
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        let mut fields = line.split('\t');
        let part = fields.next().unwrap_or_default().to_owned();
        let numbers: Vec<usize> = fields.filter_map(|number| number.parse().ok()).collect();
        let Ok(numbers) = numbers.try_into() else { continue };
        all.retain(|(known, _)| *known != part);
        all.push((part, numbers));
    }
    all.sort();
    Some(all)
}
