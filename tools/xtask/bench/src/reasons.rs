//! Why a target is missed, where the figures themselves show it: the bare library misses it too, or
//! the rounds are further apart than what is missing.

use crate::clock::Spread;
use crate::compare::{Measured, Unit};
use crate::sides::Side;
use crate::table::{number, thousands, times, with_unit};
use crate::targets::Wanted;

/// What the figures show of a row that misses what is wanted.
pub(crate) fn shown(wanted: Wanted, row: &Measured, all: &[Measured]) -> Option<String> {
    match wanted {
        Wanted::OfBare(least) => more_threads(least, row, all).or_else(|| overlap(row)),
        Wanted::SoftHsm2(least) => bare_to_softhsm2(least, row),
        Wanted::TwoThreads(least) => bare_threads(least, row, all),
        Wanted::DaemonCrowd(_) => overlap_of(with(8, row, all)?, Side::Strongroom, Side::Daemon),
        Wanted::OverBare(_) | Wanted::DaemonOver(_) | Wanted::DaemonSoftHsm2(_) => None,
    }
}

/// The same row, by so many threads.
pub(crate) fn with<'a>(threads: u32, row: &Measured, all: &'a [Measured]) -> Option<&'a Measured> {
    all.iter().find(|other| {
        other.name == row.name && other.objects == row.objects && other.threads == threads
    })
}

/// More threads reach it: what holds one back is not in the code, which is the same.
fn more_threads(least: f64, row: &Measured, all: &[Measured]) -> Option<String> {
    [2, 4].into_iter().find_map(|threads| {
        let part = with(threads, row, all)?.times(Side::Bare, Side::Strongroom)?;
        let part = (part >= least).then(|| number(Some(part)))?;
        Some(format!("{threads} threads have {part} with the same code, so it is the machine"))
    })
}

fn overlap(row: &Measured) -> Option<String> {
    overlap_of(row, Side::Bare, Side::Strongroom)
}

/// The rounds of both sides have costs in common.
fn overlap_of(row: &Measured, one: Side, other: Side) -> Option<String> {
    let (one, other) = (row.sides.get(&one)?, row.sides.get(&other)?);
    let range = |spread: &Spread| {
        [spread.low, spread.high].map(|cost| with_unit(cost, row.unit)).join(" to ")
    };
    (other.low <= one.high && one.low <= other.high).then(|| {
        format!(
            "within what the rounds differ by: {} a call, and here {}",
            range(one),
            range(other)
        )
    })
}

/// The library that computes is not so much faster itself.
fn bare_to_softhsm2(least: f64, row: &Measured) -> Option<String> {
    let ratio = row.times(Side::SoftHsm2, Side::Bare)?;
    (ratio < least)
        .then(|| format!("bare AWS-LC is {} SoftHSM2 here, and no more", times(Some(ratio))))
}

/// Its own two threads are not so much faster than one.
fn bare_threads(least: f64, row: &Measured, all: &[Measured]) -> Option<String> {
    let ratio = row.cost(Side::Bare)? / with(2, row, all)?.cost(Side::Bare)?;
    (ratio < least).then(|| {
        format!(
            "two threads of bare AWS-LC are {} one here: the processors share a core, or others \
             want them",
            times(Some(ratio))
        )
    })
}

/// What SoftHSM2 would take with as many objects as this row has, and how that is known: it reads
/// every object, so what one more costs follows from the least and the most that it was measured
/// with.
pub(crate) fn softhsm2_extrapolated(row: &Measured, all: &[Measured]) -> Option<(f64, String)> {
    let figure = |other: &Measured| Some((other.objects?, other.cost(Side::SoftHsm2)?));
    let same = all.iter().filter(|other| other.name == row.name && other.threads == row.threads);
    let mut figures: Vec<(u32, f64)> = same.filter_map(figure).collect();
    figures.sort_by_key(|(objects, _)| *objects);
    let ((few, low), (many, high)) = (*figures.first()?, *figures.last()?);
    let wanted = row.objects.filter(|wanted| many < *wanted && few < many)?;
    let each = (high - low) / f64::from(many - few);
    let cost = high + each * f64::from(wanted - many);
    let with_objects =
        |cost, objects: u32| format!("{} at {}", seconds(cost), thousands(&objects.to_string()));
    let how = format!(
        "SoftHSM2 reads every object, so {} and {} make {}",
        with_objects(low, few),
        with_objects(high, many),
        with_objects(cost, wanted),
    );
    Some((cost, how))
}

fn seconds(cost: f64) -> String {
    with_unit(cost, Unit::Seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with the middle, the least and the most of each side.
    fn row(threads: u32, sides: &[(Side, [f64; 3])]) -> Measured {
        let spread =
            |&(side, [median, low, high]): &(Side, [f64; 3])| (side, Spread { median, low, high });
        Measured {
            name: "Sign".to_owned(),
            objects: None,
            threads,
            unit: Unit::Seconds,
            sides: sides.iter().map(spread).collect(),
        }
    }

    fn exact(side: Side, cost: f64) -> (Side, [f64; 3]) {
        (side, [cost; 3])
    }

    #[test]
    fn a_ratio_that_the_bare_library_misses_too() {
        let row = row(1, &[exact(Side::Bare, 4e-3), exact(Side::SoftHsm2, 6e-3)]);
        let why = shown(Wanted::SoftHsm2(2.0), &row, &[]).unwrap();
        assert_eq!(why, "bare AWS-LC is 1.50 x SoftHSM2 here, and no more");
        assert_eq!(shown(Wanted::SoftHsm2(1.4), &row, &[]), None);
    }

    #[test]
    fn two_threads_that_the_bare_library_does_not_double() {
        let one = row(1, &[exact(Side::Bare, 3e-6)]);
        let two = [row(2, &[exact(Side::Bare, 2e-6)])];
        let why = shown(Wanted::TwoThreads(1.8), &one, &two).unwrap();
        assert!(why.starts_with("two threads of bare AWS-LC are 1.50 x one here"), "{why}");
        assert_eq!(shown(Wanted::TwoThreads(1.5), &one, &two), None);
    }

    #[test]
    fn rounds_that_overlap_and_rounds_that_do_not() {
        let sides =
            |most| [(Side::Bare, [5e-6, 4e-6, most]), (Side::Strongroom, [7e-6, 6e-6, 8e-6])];
        let why = shown(Wanted::OfBare(0.9), &row(1, &sides(6.5e-6)), &[]).unwrap();
        assert_eq!(
            why,
            "within what the rounds differ by: 4.00 µs to 6.50 µs a call, and here 6.00 µs to \
             8.00 µs"
        );
        assert_eq!(shown(Wanted::OfBare(0.9), &row(1, &sides(5.5e-6)), &[]), None);
    }

    #[test]
    fn more_threads_that_reach_it() {
        let sides = |cost| [exact(Side::Bare, 1e-6), exact(Side::Strongroom, cost)];
        let (one, two, four) = (row(1, &sides(2e-6)), row(2, &sides(2e-6)), row(4, &sides(1e-6)));
        let why = shown(Wanted::OfBare(0.9), &one, &[two, four]).unwrap();
        assert_eq!(why, "4 threads have 1.00 with the same code, so it is the machine");
    }

    #[test]
    fn softhsm2_reads_every_object() {
        let at = |objects, cost| Measured {
            objects: Some(objects),
            ..row(1, &[exact(Side::SoftHsm2, cost)])
        };
        let here = Measured { objects: Some(100_000), ..row(1, &[]) };
        let (cost, how) =
            softhsm2_extrapolated(&here, &[at(10, 0.5e-3), at(1_000, 40.1e-3)]).unwrap();
        assert!((cost - 4.0001).abs() < 1e-9, "{cost}");
        assert_eq!(
            how,
            "SoftHSM2 reads every object, so 500 µs at 10 and 40.1 ms at 1,000 make 4.00 s at \
             100,000"
        );
        // One size shows no growth.
        assert!(softhsm2_extrapolated(&here, &[at(10, 0.5e-3)]).is_none());
    }
}
