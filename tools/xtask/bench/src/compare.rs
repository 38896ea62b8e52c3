//! Starts this program for each thing that it measures, and gathers the figures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use clap::Args;

use crate::{Result, table};

/// `compare`.
#[derive(Args)]
pub(crate) struct Options {
    /// The module to measure
    #[arg(long)]
    module: PathBuf,
    /// SoftHSM2's module
    #[arg(long, default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    softhsm2: PathBuf,
    /// Where the tables and the stores go
    #[arg(long)]
    out: PathBuf,
    /// Less time for each figure, and no more than 10,000 objects
    #[arg(long)]
    quick: bool,
}

/// What was measured, by the name of the figure.
pub(crate) type Figures = BTreeMap<String, f64>;

/// All figures of one side.
#[derive(Default)]
pub(crate) struct Side {
    /// Operations.
    pub(crate) operations: Figures,
    /// What depends on the number of objects.
    pub(crate) objects: BTreeMap<u32, Figures>,
}

/// Everything.
#[derive(Default)]
pub(crate) struct Figured {
    pub(crate) ours: Side,
    pub(crate) softhsm2: Side,
    /// The bare library: operations only.
    pub(crate) primitives: Figures,
    /// The numbers of objects.
    pub(crate) counts: &'static [u32],
}

/// The numbers of objects that are measured. SoftHSM2 reads every file of a token for a search,
/// and each object is a file: beyond 1,000 it would take hours to fill a store.
const COUNTS: &[u32] = &[100, 1_000, 10_000, 100_000];
const QUICK_COUNTS: &[u32] = &[100, 1_000, 10_000];
const SOFTHSM2_COUNTS: &[u32] = &[100, 1_000];

/// Measures everything, and writes the tables.
pub(crate) fn run(options: &Options) -> Result {
    let (milliseconds, rounds, counts) =
        if options.quick { ("200", 2, QUICK_COUNTS) } else { ("500", 3, COUNTS) };
    let bench = Bench { folder: options.out.join("bench"), milliseconds };
    let mut figured = Figured { counts, ..Figured::default() };
    for round in 1..=rounds {
        eprintln!("operations, round {round} of {rounds}");
        bench.operations(options, &mut figured)?;
    }
    figured.ours.objects = bench.objects("Strongroom", &options.module, counts)?;
    figured.softhsm2.objects = bench.objects("SoftHSM2", &options.softhsm2, SOFTHSM2_COUNTS)?;
    fs::remove_dir_all(&bench.folder)?;
    let text = table::markdown(&figured);
    let path = options.out.join("bench.md");
    fs::write(&path, &text)?;
    println!("{text}\nThese tables are in {}.", path.display());
    Ok(())
}

/// Keeps the better of two figures.
fn keep_best(best: &mut Figures, round: Figures) {
    for (name, figure) in round {
        let kept = best.entry(name).or_insert(figure);
        *kept = kept.max(figure);
    }
}

struct Bench {
    folder: PathBuf,
    milliseconds: &'static str,
}

impl Bench {
    /// A round: the sides take turns, so that what else the machine does hurts all alike.
    fn operations(&self, options: &Options, figured: &mut Figured) -> Result {
        let sides = [
            (&options.module, &mut figured.ours.operations),
            (&options.softhsm2, &mut figured.softhsm2.operations),
        ];
        for (module, best) in sides {
            let store = self.store("operations")?;
            keep_best(best, self.child("operations", &store, module, &[])?);
        }
        keep_best(&mut figured.primitives, figures(self.command("primitives")?)?);
        Ok(())
    }

    fn objects(&self, name: &str, module: &Path, counts: &[u32]) -> Result<BTreeMap<u32, Figures>> {
        let mut all = BTreeMap::new();
        for &count in counts {
            eprintln!("{name}, {count} objects");
            let store = self.store("objects")?;
            let number = ["--objects".to_owned(), count.to_string()];
            let mut figures = self.child("fill", &store, module, &number)?;
            figures.append(&mut self.child("use", &store, module, &number)?);
            all.insert(count, figures);
        }
        Ok(all)
    }

    /// An empty store, as both modules are told of theirs.
    fn store(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let tokens = folder.join("tokens");
        fs::create_dir_all(&tokens)?;
        let tokens = tokens.canonicalize()?;
        fs::write(folder.join("strongroom.toml"), "[store]\npath = \"store\"\n")?;
        fs::write(
            folder.join("softhsm2.conf"),
            format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
        )?;
        Ok(folder.canonicalize()?)
    }

    fn child(&self, what: &str, store: &Path, module: &Path, more: &[String]) -> Result<Figures> {
        let mut command = self.command(what)?;
        command.arg("--module").arg(module.canonicalize()?).args(more);
        command.env("STRONGROOM_CONF", store.join("strongroom.toml"));
        command.env("SOFTHSM2_CONF", store.join("softhsm2.conf"));
        figures(command)
    }

    fn command(&self, what: &str) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.args([what, "--milliseconds", self.milliseconds]);
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(command)
    }
}

/// Runs a child, and reads its figures: a name and a number to a line.
fn figures(mut command: Command) -> Result<Figures> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("a measurement ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .map(|line| {
            let (name, number) = line.split_once('\t').ok_or("a figure has no number")?;
            Ok((name.to_owned(), number.parse()?))
        })
        .collect()
}
