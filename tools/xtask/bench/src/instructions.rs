//! Instructions instead of time: what a call of the hot path executes of ours, counted by
//! valgrind. It is the same on a busy machine as on an idle one.
//!
//! Only the module's own instructions count. AWS-LC chooses its code by the processor, as does the
//! C library, so what they execute is left out: other objects, the functions whose names have
//! AWS-LC's prefix, and those that these call and that are not Rust's. A primitive that is called
//! twice shows in the benchmark alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rows::{self, Turn, Work};
use crate::sides::{Place, Programs, Side};
use crate::token::Token;
use crate::{Result, alike};
use clap::Args;

/// What is counted: rows of the benchmark.
const HOT: &[&str] = &[
    "Sign, ECDSA P-256",
    "Sign, Ed25519",
    "HMAC-SHA256, 64 B",
    "AES-256-GCM, 64 B",
    "AES-256-GCM, 16 KiB",
    "SHA-256, 64 B",
    "Random, 32 B",
    "Session opened and closed",
    "Attribute read",
    "Find by id",
];

/// How many objects the token holds.
const OBJECTS: u32 = 500;
/// How often each is done before it counts, and while it does.
const BEFORE: u32 = 5;
const TIMES: u32 = 20;
/// How often it is counted. The least of all counts, since by the clock a store is asked now and
/// then whether it is still there.
const RUNS: usize = 8;
/// By how many parts of a hundred a count may be above its ceiling: tables of random layout take
/// another step now and then, and not every line that is added must move the ceiling.
const SLACK: u64 = 10;

/// `instructions`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Where the store and valgrind's files go
    #[arg(long)]
    out: PathBuf,
    /// The file with the ceiling
    #[arg(long)]
    ceiling: PathBuf,
    /// Write what was counted as the new ceiling
    #[arg(long)]
    write: bool,
    /// Name the functions in which a row spends most
    #[arg(long)]
    profile: bool,
}

/// `repeat` and `alike`: what runs under valgrind.
#[derive(Args)]
pub(crate) struct Repeat {
    #[arg(long)]
    pub(crate) module: PathBuf,
    #[arg(long)]
    objects: u32,
}

/// How many instructions a call of each row takes.
type Counts = BTreeMap<String, u64>;

/// Counts, and compares.
pub(crate) fn run(options: &Options) -> Result {
    let folder = options.out.join("instructions");
    let place = Place::make(&options.programs, Side::Strongroom, OBJECTS, &folder)?;
    let dumps = folder.join("callgrind.out");
    valgrind(&place, "repeat", &dumps)?;
    let mut counts = Counts::new();
    let mut numbers = 1..;
    for name in HOT {
        let mut profiles = Vec::new();
        for number in numbers.by_ref().take(RUNS) {
            let path = dumps.with_extension(format!("out.{number}"));
            profiles.push(Profile::parse(&fs::read_to_string(path)?, place.module()));
        }
        let least = profiles.iter().min_by_key(|profile| profile.count(TIMES));
        let least = least.ok_or("nothing was counted")?;
        counts.insert((*name).to_owned(), least.count(TIMES));
        if options.profile {
            println!("\n{name}");
            least.print();
        }
    }
    if options.write {
        fs::write(&options.ceiling, serde_json::to_string_pretty(&counts)? + "\n")?;
    }
    let ceiling: Counts = serde_json::from_str(&fs::read_to_string(&options.ceiling)?)?;
    compare(&counts, &ceiling)?;
    alike::check(&place, &folder)?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// Prints the counts beside the ceiling; one above it is an error.
fn compare(counts: &Counts, ceiling: &Counts) -> Result {
    println!("| Instructions of ours for each | counted | ceiling |\n|---|--:|--:|");
    let mut above = Vec::new();
    for name in HOT {
        let count = counts.get(*name).ok_or("a row was not counted")?;
        let most = ceiling.get(*name).ok_or_else(|| format!("there is no ceiling for {name}"))?;
        println!("| {name} | {count} | {most} |");
        if !within(*count, *most) {
            above.push(*name);
        }
    }
    if above.is_empty() {
        return Ok(());
    }
    Err(format!("above the ceiling: {}", above.join("; ")).into())
}

fn within(count: u64, most: u64) -> bool {
    100 * count <= (100 + SLACK) * most
}

/// Has this program do something under valgrind, which writes a file for each time that it is measured.
pub(crate) fn valgrind(place: &Place, what: &str, dumps: &Path) -> Result {
    let inner = place.command(what)?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"]);
    // What is dumped is what was collected since the dump before, and only `counted` collects.
    command.arg("--toggle-collect=strongroom_bench::instructions::counted*");
    command.arg("--dump-after=strongroom_bench::instructions::measured*");
    command.arg(format!("--callgrind-out-file={}", dumps.display()));
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("valgrind cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("valgrind ended with {status}").into()) }
}

/// Does each row a number of times.
pub(crate) fn repeat(arguments: &Repeat) -> Result {
    let token = Token::open(&arguments.module)?;
    let rows = rows::all(arguments.objects);
    for name in HOT {
        let row = rows.iter().find(|row| row.name == *name).ok_or("there is no such row")?;
        let Work::Each(work) = (row.module)(&token)? else {
            return Err("the row does not count as a whole".into());
        };
        let turn = Turn::new(&token, 0)?;
        for _ in 0..RUNS {
            measured(&|| work(&turn), BEFORE, TIMES)?;
        }
    }
    Ok(())
}

/// What ends with a file. Valgrind knows it by its name.
#[inline(never)]
pub(crate) fn measured(work: &dyn Fn() -> Result, before: u32, times: u32) -> Result {
    for _ in 0..before {
        work()?;
    }
    counted(work, times)
}

/// What is counted. Valgrind knows it by its name.
#[inline(never)]
fn counted(work: &dyn Fn() -> Result, times: u32) -> Result {
    for _ in 0..times {
        work()?;
    }
    Ok(())
}

/// What valgrind saw of the module.
#[derive(Default)]
pub(crate) struct Profile {
    /// What each function of the module executed itself.
    own: BTreeMap<String, u64>,
    /// Who calls whom in it.
    calls: BTreeMap<String, BTreeSet<String>>,
}

impl Profile {
    /// Reads a file of callgrind's: lines with a key, and lines of numbers. A number stands for
    /// the function itself, or, after `calls=`, for one that it called.
    pub(crate) fn parse(text: &str, module: &Path) -> Self {
        let module = module.to_string_lossy();
        let mut profile = Self::default();
        let (mut object, mut function) = ("", "");
        let (mut callee_object, mut callee, mut is_call) = (None, "", false);
        for line in text.lines() {
            if let Some((key, value)) = line.split_once('=') {
                match key {
                    "ob" => object = value,
                    "fn" => function = value,
                    "cob" => callee_object = Some(value),
                    "cfn" => callee = value,
                    "calls" => is_call = true,
                    _ => {}
                }
                continue;
            }
            let mut numbers = line.split(' ').map(str::parse::<u64>);
            let (Some(Ok(_)), Some(Ok(cost))) = (numbers.next(), numbers.next()) else { continue };
            let to = callee_object.take().unwrap_or(object);
            let is_call = mem::take(&mut is_call);
            if object != module {
                continue;
            }
            if !is_call {
                *profile.own.entry(function.to_owned()).or_default() += cost;
            } else if to == module {
                let calls = profile.calls.entry(function.to_owned()).or_default();
                calls.insert(callee.to_owned());
            }
        }
        profile
    }

    /// The functions of AWS-LC: by the prefix, and what these call that is not Rust's.
    fn primitives(&self) -> BTreeSet<&str> {
        let names = self.own.keys().map(String::as_str);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = names.filter(|name| name.starts_with("aws_lc_")).collect();
        while let Some(name) = next.pop() {
            if found.insert(name) {
                let calls = self.calls.get(name).into_iter().flatten().map(String::as_str);
                next.extend(calls.filter(|name| !is_rust(name)));
            }
        }
        found
    }

    /// What is ours of one call, of so many.
    pub(crate) fn count(&self, times: u32) -> u64 {
        let primitives = self.primitives();
        let ours = self.own.iter().filter(|(name, _)| !primitives.contains(name.as_str()));
        ours.map(|(_, cost)| cost).sum::<u64>() / u64::from(times)
    }

    /// Where most of it is.
    fn print(&self) {
        let primitives = self.primitives();
        let mut own: Vec<_> = self.own.iter().map(|(name, cost)| (cost, name)).collect();
        own.sort_unstable_by(|one, other| other.cmp(one));
        let mut left = 0;
        for (cost, name) in own {
            let each = cost / u64::from(TIMES);
            if primitives.contains(name.as_str()) {
                left += each;
            } else if each > 0 {
                println!("{each:>8} {name}");
            }
        }
        println!("{left:>8} AWS-LC");
    }
}

/// Whether a function is compiled from Rust: its name has a path.
fn is_rust(name: &str) -> bool {
    name.contains("::") || name.starts_with("C_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_primitive_calls_is_not_ours() {
        let text = "\
ob=/lib/module.so
fn=C_Sign
0 60
cfn=aws_lc_0_1_2_sign
calls=20 0
0 9000
cob=/lib/libc.so
cfn=malloc
calls=20 0
0 5000
fn=aws_lc_0_1_2_sign
0 4000
cfn=static_of_aws_lc
calls=20 0
0 5000
cfn=brief::read
calls=20 0
0 100
fn=static_of_aws_lc
0 5000
fn=brief::read
0 20
fn=sqlite3_step
0 40
ob=/lib/libc.so
fn=malloc
0 7000
";
        assert_eq!(Profile::parse(text, Path::new("/lib/module.so")).count(20), 6);
    }

    #[test]
    fn a_ceiling_has_a_little_slack() {
        assert!(within(110, 100));
        assert!(!within(111, 100));
    }
}
