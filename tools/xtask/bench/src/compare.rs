//! The plan: every row, every number of threads, in rounds in which the sides take turns, so that
//! what else the machine does hurts all alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Result;
use crate::clock::Spread;
use crate::report;
use crate::rows::{self, Part};
use crate::sides::{Place, Programs, Side, Subject};

/// `compare`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    programs: Programs,
    /// Where the stores, the figures and the table go
    #[arg(long)]
    out: PathBuf,
    /// Where the chart and the page with the table are, which a whole run renews
    #[arg(long)]
    docs: PathBuf,
    /// Less time for each figure, and no more than 1,000 objects
    #[arg(long)]
    quick: bool,
    /// This part alone
    #[arg(long)]
    only: Option<Part>,
    /// The rows alone whose names have this in them
    #[arg(long)]
    row: Option<String>,
}

/// A row of the table, measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// How many objects the token held, where that was varied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<u32>,
    pub(crate) threads: u32,
    pub(crate) unit: Unit,
    /// What one costs, for each side that can do it. Less is better.
    pub(crate) sides: BTreeMap<Side, Spread>,
}

/// What a cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
}

/// The names of the two rows that are not of one process.
pub(crate) const COLD: &str = "From nothing to a first signature";
pub(crate) const MEMORY: &str = "Memory";

/// How long, and how far.
struct Pace {
    rounds: usize,
    milliseconds: u64,
    counts: &'static [u32],
}

const WHOLE: Pace = Pace { rounds: 15, milliseconds: 80, counts: &[10, 1_000, 10_000, 100_000] };
const QUICK: Pace = Pace { rounds: 3, milliseconds: 20, counts: &[10, 1_000] };

/// What SoftHSM2 is measured up to. Each object of its token is a file, every search reads all of
/// them, and so does every creation: it would take hours to fill a larger token.
pub(crate) const SOFTHSM2_MOST: u32 = 1_000;

/// Measures, and reports.
pub(crate) fn run(options: &Options) -> Result {
    let bench = Bench {
        options,
        pace: if options.quick { QUICK } else { WHOLE },
        folder: options.out.join("stores"),
    };
    let mut table = Vec::new();
    if bench.wants(Part::Operations) {
        bench.operations(&mut table)?;
    }
    if bench.wants(Part::Find) || bench.wants(Part::Life) {
        for &objects in bench.pace.counts {
            bench.objects(objects, &mut table)?;
        }
    }
    if bench.folder.exists() {
        fs::remove_dir_all(&bench.folder)?;
    }
    let whole = !options.quick && options.only.is_none() && options.row.is_none();
    report::write(&table, &options.out, whole.then_some(options.docs.as_path()))
}

struct Bench<'a> {
    options: &'a Options,
    pace: Pace,
    folder: PathBuf,
}

impl Bench<'_> {
    fn wants(&self, part: Part) -> bool {
        self.options.only.is_none_or(|only| only == part)
    }

    fn wants_row(&self, name: &str) -> bool {
        self.options.row.as_ref().is_none_or(|row| name.contains(row.as_str()))
    }

    fn operations(&self, table: &mut Vec<Measured>) -> Result {
        let places = self.places(0)?;
        let mut subjects = vec![Subject::bare()?];
        for place in &places {
            subjects.push(place.subject()?);
        }
        self.rows(Part::Operations, 0, &mut subjects, table)
    }

    fn objects(&self, objects: u32, table: &mut Vec<Measured>) -> Result {
        eprintln!("tokens with {objects} objects");
        let places = self.places(objects)?;
        let mut subjects = places.iter().map(Place::subject).collect::<Result<Vec<_>>>()?;
        if self.wants(Part::Find) {
            self.rows(Part::Find, objects, &mut subjects, table)?;
        }
        if self.wants(Part::Life) {
            if self.wants_row(MEMORY) {
                self.other(
                    MEMORY,
                    Unit::Bytes,
                    objects,
                    1,
                    table,
                    |turn| places.get(turn)?.memory(subjects.get_mut(turn)?).ok(),
                    &places,
                );
            }
            if self.wants_row(COLD) {
                let rounds = self.pace.rounds;
                self.other(
                    COLD,
                    Unit::Seconds,
                    objects,
                    rounds,
                    table,
                    |turn| places.get(turn)?.cold().ok(),
                    &places,
                );
            }
            self.rows(Part::Life, objects, &mut subjects, table)?;
        }
        Ok(())
    }

    /// A token for each side that can be asked to have so many objects.
    fn places(&self, objects: u32) -> Result<Vec<Place>> {
        let sides = self.options.programs.sides().into_iter();
        sides
            .filter(|side| *side != Side::SoftHsm2 || objects <= SOFTHSM2_MOST)
            .map(|side| Place::make(&self.options.programs, side, objects, &self.folder))
            .collect()
    }

    /// The rows of a part.
    fn rows(
        &self,
        part: Part,
        objects: u32,
        subjects: &mut [Subject],
        table: &mut Vec<Measured>,
    ) -> Result {
        for row in rows::all(objects).iter().filter(|row| row.part == part) {
            if !self.wants_row(&row.name) {
                continue;
            }
            let mut able = vec![true; subjects.len()];
            for &threads in row.threads {
                eprintln!("{}, {threads} threads", row.name);
                let sides = self.rounds(&row.name, threads, subjects, &mut able);
                table.push(Measured {
                    name: row.name.clone(),
                    objects: (part != Part::Operations).then_some(objects),
                    threads,
                    unit: Unit::Seconds,
                    sides,
                });
            }
        }
        Ok(())
    }

    /// The rounds of a row. A side that cannot do it says why once, and has no place in the table.
    fn rounds(
        &self,
        row: &str,
        threads: u32,
        subjects: &mut [Subject],
        able: &mut [bool],
    ) -> BTreeMap<Side, Spread> {
        let mut figures: BTreeMap<Side, Vec<f64>> = BTreeMap::new();
        for _ in 0..self.pace.rounds {
            for (subject, able) in
                subjects.iter_mut().zip(able.iter_mut()).filter(|(_, able)| **able)
            {
                match subject.cost(row, threads, self.pace.milliseconds) {
                    Ok(cost) => figures.entry(subject.side).or_default().push(cost),
                    Err(why) => {
                        eprintln!("  not by {:?}: {why}", subject.side);
                        *able = false;
                    }
                }
            }
        }
        figures.into_iter().map(|(side, figures)| (side, Spread::of(figures))).collect()
    }

    /// A row whose figures come from elsewhere, by the place of the side.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of a row")]
    fn other(
        &self,
        name: &str,
        unit: Unit,
        objects: u32,
        rounds: usize,
        table: &mut Vec<Measured>,
        mut figure: impl FnMut(usize) -> Option<f64>,
        places: &[Place],
    ) {
        eprintln!("{name}");
        let mut figures: BTreeMap<Side, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            for (turn, place) in places.iter().enumerate() {
                figures.entry(place.side).or_default().extend(figure(turn));
            }
        }
        let sides = figures.into_iter().map(|(side, figures)| (side, Spread::of(figures)));
        table.push(Measured {
            name: name.to_owned(),
            objects: Some(objects),
            threads: 1,
            unit,
            sides: sides.collect(),
        });
    }
}
