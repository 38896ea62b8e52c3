//! A soak: eight threads do everything at once for minutes, on a token with many objects and with
//! many sessions open. Memory and latency of each tenth of the time are beside those of the others:
//! what grows, or gets slower, shows.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _, stdout};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::compare::Unit;
use crate::histogram::{Histogram, Latency};
use crate::mix::{Dice, Keys, MIX, Worker};
use crate::sides::{Place, Programs, Side};
use crate::table::{header, line, thousands, times, with_unit};
use crate::token::{MOST_THREADS, Token};
use crate::{Result, Store, report, subject};

/// `soak`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Where the store, the figures and the tables go
    #[arg(long)]
    out: PathBuf,
    /// Where the page with the tables is, which a whole soak renews
    #[arg(long)]
    docs: PathBuf,
    /// How many minutes in the process that calls, and again by the daemon
    #[arg(long, default_value_t = WHOLE)]
    minutes: u32,
    /// Two seconds, few objects and few sessions; memory is not judged
    #[arg(long, conflicts_with = "minutes")]
    quick: bool,
}

/// What documents are renewed by, in minutes.
const WHOLE: u32 = 10;
/// The time is looked at in so many parts.
const PARTS: u32 = 10;
/// What is called flat: no more than this many times what it was.
const FLAT: f64 = 1.1;

/// How much of everything.
#[derive(Clone, Copy, Args)]
pub(crate) struct Size {
    /// Sessions that are open all the time
    #[arg(long)]
    sessions: u32,
    /// Key pairs that sign, and keys that encrypt
    #[arg(long)]
    keys: u32,
    /// How long a part of the time is
    #[arg(long)]
    milliseconds: u64,
}

/// `endure`: the process that does it.
#[derive(Args)]
pub(crate) struct Endure {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    size: Size,
}

/// What a part of the time was like.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    latency: Latency,
    /// The memory of the process that calls, in bytes.
    memory: f64,
    /// That of the daemon.
    daemon: Option<f64>,
}

/// What a side did.
#[derive(Debug, Serialize)]
struct Soaked {
    side: Side,
    parts: Vec<Part>,
    /// By step, as [`MIX`] has them.
    steps: Vec<Latency>,
}

/// Soaks both ways, and reports.
pub(crate) fn run(options: &Options) -> Result {
    let (objects, size) = if options.quick {
        (1_000, Size { sessions: 200, keys: 20, milliseconds: 200 })
    } else {
        let milliseconds = u64::from(options.minutes.max(1)) * 60_000 / u64::from(PARTS);
        (100_000, Size { sessions: 10_000, keys: 1_000, milliseconds })
    };
    let folder = options.out.join("soak");
    eprintln!("a token with {objects} objects");
    let mut sides = Vec::new();
    for side in [Side::Strongroom, Side::Daemon] {
        eprintln!("{side:?}");
        let place = Place::make(&options.programs, side, objects, &folder)?;
        sides.push(soak(&place, size)?);
    }
    fs::remove_dir_all(&folder)?;
    let text = markdown(&sides, objects, size);
    fs::write(options.out.join("soak.json"), serde_json::to_string_pretty(&sides)?)?;
    fs::write(options.out.join("soak.md"), &text)?;
    println!("{text}");
    if !options.quick && options.minutes >= WHOLE {
        report::renew_page(&options.docs, "soak", &text)?;
    }
    match sides.iter().find(|soaked| !options.quick && soaked.memory_grows()) {
        Some(soaked) => Err(format!("memory grows, {}", words(soaked.side)).into()),
        None => Ok(()),
    }
}

/// One side: starts the process, and listens to it.
fn soak(place: &Place, size: Size) -> Result<Soaked> {
    let mut command = place.command("endure")?;
    command.arg("--sessions").arg(size.sessions.to_string());
    command.arg("--keys").arg(size.keys.to_string());
    command.arg("--milliseconds").arg(size.milliseconds.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    let mut parts: Vec<Part> = Vec::new();
    let mut steps = None;
    while let Some(text) = lines.next().transpose()? {
        if let Ok(last) = serde_json::from_str(&text) {
            steps = Some(last);
            continue;
        }
        let part: Part = serde_json::from_str(&text)?;
        let part = Part { daemon: place.daemon_memory()?, ..part };
        eprintln!("  {}", cells(parts.len(), &part).join("  "));
        parts.push(part);
    }
    let status = child.wait()?;
    match steps {
        Some(steps) if status.success() => Ok(Soaked { side: place.side, parts, steps }),
        _ => Err(format!("a call failed {}, as said above", words(place.side)).into()),
    }
}

/// What the threads have in common.
struct Common {
    token: Token,
    keys: Keys,
    objects: u32,
    start: Instant,
    part: Duration,
}

/// The process that does it. A line for each part of the time, and one for the steps.
pub(crate) fn endure(arguments: &Endure) -> Result {
    let Endure { store, size } = arguments;
    let mut token = Token::open(&store.module)?;
    token.open_all()?;
    let keys = Keys::make(&token, size.keys)?;
    let held = (0..size.sessions).map(|_| token.module.open(token.slot));
    let held = held.collect::<Result<Vec<_>>>()?;
    let (objects, part) = (store.objects, Duration::from_millis(size.milliseconds));
    let common = Arc::new(Common { token, keys, objects, start: Instant::now(), part });
    let (sender, parts) = mpsc::channel();
    for thread in 0..MOST_THREADS {
        let (common, sender) = (Arc::clone(&common), sender.clone());
        thread::spawn(move || {
            if let Err(error) = work(&common, thread, &sender) {
                // Whoever listens has ended with another thread's error.
                let _ = sender.send(Err(error));
            }
        });
    }
    let mut steps = vec![Histogram::new(); MIX.len()];
    for _ in 0..PARTS {
        let mut all = Histogram::new();
        for _ in 0..MOST_THREADS {
            for (step, more) in steps.iter_mut().zip(parts.recv()??) {
                step.merge(&more);
                all.merge(&more);
            }
        }
        let memory = subject::memory(std::process::id())?;
        say(&Part { latency: all.latency(), memory, daemon: None })?;
    }
    say(&steps.iter().map(Histogram::latency).collect::<Vec<_>>())?;
    for session in held {
        common.token.module.close(session)?;
    }
    common.keys.destroy(&common.token)?;
    common.token.module.finalize()
}

/// A thread: steps, until all parts of the time are over.
fn work(common: &Common, thread: usize, parts: &Sender<Result<Vec<Histogram>>>) -> Result {
    let Common { token, keys, objects, start, part } = common;
    let session = *token.sessions.get(thread).ok_or("so many sessions are not open")?;
    let dice = Dice::new(thread)?;
    let worker = Worker { token, keys, session, objects: *objects, dice };
    for number in 1..=PARTS {
        let mut steps = vec![Histogram::new(); MIX.len()];
        let mut before = Instant::now();
        while before.duration_since(*start) < *part * number {
            let (place, step) = worker.next()?;
            worker.run(step)?;
            let now = Instant::now();
            if let Some(histogram) = steps.get_mut(place) {
                histogram.add(now - before);
            }
            before = now;
        }
        parts.send(Ok(steps))?;
    }
    Ok(())
}

fn say(what: &impl Serialize) -> Result {
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

impl Part {
    /// The memory of both processes, where there are two.
    fn memory(&self) -> f64 {
        self.memory + self.daemon.unwrap_or_default()
    }
}

impl Soaked {
    /// The second part and the last. In the first, what is kept of so many objects comes to memory.
    fn ends(&self) -> Option<(&Part, &Part)> {
        Some((self.parts.get(1)?, self.parts.last()?))
    }

    fn memory_grows(&self) -> bool {
        self.ends().is_none_or(|(first, last)| last.memory() > FLAT * first.memory())
    }

    /// Whether it is flat, and the figures that say so.
    fn verdict(&self) -> String {
        let Some((first, last)) = self.ends() else { return String::new() };
        let (before, after) = (first.latency, last.latency);
        let ratios = [
            ("memory", last.memory() / first.memory()),
            ("p50", after.p50 / before.p50),
            ("p99", after.p99 / before.p99),
            ("p99.9", after.p999 / before.p999),
        ];
        let said = ratios.map(|(what, ratio)| format!("{what} {}", times(Some(ratio))));
        let grown: Vec<_> =
            ratios.iter().filter(|(_, ratio)| *ratio > FLAT).map(|(what, _)| *what).collect();
        let judgement = if grown.is_empty() {
            "Flat".to_owned()
        } else {
            format!("Grown: {}", grown.join(", "))
        };
        format!("{judgement}. The last tenth to the second: {}.", said.join(", "))
    }
}

fn words(side: Side) -> &'static str {
    if side == Side::Daemon { "by the daemon" } else { "in the process that calls" }
}

/// The tables of both sides.
fn markdown(sides: &[Soaked], objects: u32, size: Size) -> String {
    let seconds = Duration::from_millis(size.milliseconds).as_secs_f64() * f64::from(PARTS);
    let mut text = format!(
        "{MOST_THREADS} threads for {} on a token with {} objects, while {} sessions are open. \
         Each row of the first table is a tenth of the time.\n",
        with_unit(seconds, Unit::Seconds),
        thousands(&objects.to_string()),
        thousands(&size.sessions.to_string()),
    );
    for soaked in sides {
        // Writing to a string does not fail.
        let _ = write!(text, "\n**{}.** {}\n\n", capitalized(words(soaked.side)), soaked.verdict());
        header(&mut text, &["Tenth", "Steps", "p50", "p99", "p99.9", "Memory", "of the daemon"], 0);
        for (place, part) in soaked.parts.iter().enumerate() {
            line(&mut text, &cells(place, part));
        }
        text.push('\n');
        header(&mut text, &["Step", "how many", "p50", "p99", "p99.9"], 1);
        for (step, latency) in MIX.iter().zip(&soaked.steps) {
            line(&mut text, &[vec![step.name.to_owned()], latencies(*latency)].concat());
        }
    }
    text
}

fn cells(place: usize, part: &Part) -> Vec<String> {
    let mut cells = vec![(place + 1).to_string()];
    cells.extend(latencies(part.latency));
    cells.push(with_unit(part.memory, Unit::Bytes));
    cells.push(part.daemon.map_or_else(|| "-".to_owned(), |bytes| with_unit(bytes, Unit::Bytes)));
    cells
}

fn latencies(latency: Latency) -> Vec<String> {
    let Latency { calls, p50, p99, p999 } = latency;
    let seconds = [p50, p99, p999].map(|seconds| with_unit(seconds, Unit::Seconds));
    [vec![thousands(&calls.to_string())], seconds.to_vec()].concat()
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(memories: &[f64], last_p99: f64) -> Soaked {
        let part = |memory: &f64| Part {
            latency: Latency { calls: 1_000, p50: 1e-6, p99: 2e-6, p999: 3e-6 },
            memory: *memory,
            daemon: None,
        };
        let mut parts: Vec<Part> = memories.iter().map(part).collect();
        parts.last_mut().unwrap().latency.p99 = last_p99;
        let steps = vec![parts[0].latency; MIX.len()];
        Soaked { side: Side::Strongroom, parts, steps }
    }

    #[test]
    fn the_first_part_does_not_count() {
        let flat = soaked(&[10.0, 100.0, 110.0], 2e-6);
        assert!(!flat.memory_grows());
        assert_eq!(
            flat.verdict(),
            "Flat. The last tenth to the second: memory 1.10 x, p50 1.00 x, p99 1.00 x, \
             p99.9 1.00 x."
        );
    }

    #[test]
    fn what_grows_is_named() {
        let grown = soaked(&[10.0, 100.0, 112.0], 3e-6);
        assert!(grown.memory_grows());
        assert!(grown.verdict().starts_with("Grown: memory, p99. "), "{}", grown.verdict());
    }

    #[test]
    fn every_part_and_every_step_has_a_line() {
        let size = Size { sessions: 10_000, keys: 1, milliseconds: 60_000 };
        let text = markdown(&[soaked(&[1.0; 10], 1e-6)], 100_000, size);
        assert!(text.contains("with 100,000 objects, while 10,000 sessions"), "{text}");
        assert!(text.contains("| 10 | 1,000 | 1.00 µs | 1.00 µs | 3.00 µs |"), "{text}");
        assert!(MIX.iter().all(|step| text.contains(&format!("| {} | 1,000 |", step.name))));
    }
}
