//! The tables, in Markdown.

use crate::clock::Spread;
use crate::compare::{Measured, SOFTHSM2_MOST, Unit};
use crate::sides::Side;

/// Both tables, and how to read them.
pub(crate) fn markdown(measured: &[Measured]) -> String {
    let (varied, operations): (Vec<_>, Vec<_>) =
        measured.iter().partition(|row| row.objects.is_some());
    let kryoptic = measured.iter().any(|row| row.sides.contains_key(&Side::Kryoptic));
    let mut text = String::new();
    if !operations.is_empty() {
        text.push_str(
            "Operations a second, of all threads together: the median of rounds in which the \
             sides take turns. Each is the `C_…Init` and the call itself.\n\n",
        );
        let mut head = vec!["Operation", "Threads", "Strongroom", "by the daemon", "SoftHSM2"];
        head.extend(kryoptic.then_some("Kryoptic"));
        head.extend(["to SoftHSM2", "AWS-LC, bare", "of bare"]);
        header(&mut text, &head, 1);
        for row in operations {
            line(&mut text, &operation(row, kryoptic));
        }
        text.push('\n');
    }
    if !varied.is_empty() {
        text.push_str(&format!(
            "What one takes, by the number of objects that the token holds. SoftHSM2 is measured \
             up to {}: each of its objects is a file, and every search and every creation reads \
             them all.\n\n",
            thousands(&SOFTHSM2_MOST.to_string())
        ));
        let mut head =
            vec!["What", "Objects", "Threads", "Strongroom", "by the daemon", "SoftHSM2"];
        head.extend(kryoptic.then_some("Kryoptic"));
        head.push("to SoftHSM2");
        header(&mut text, &head, 1);
        let mut rows = varied;
        rows.sort_by_key(|row| place(measured, row));
        for row in rows {
            line(&mut text, &by_objects(row, kryoptic));
        }
    }
    text
}

/// Where a row was first: the table has all sizes of it together.
fn place(measured: &[Measured], row: &Measured) -> Option<usize> {
    measured.iter().position(|other| other.name == row.name)
}

fn operation(row: &Measured, kryoptic: bool) -> Vec<String> {
    let rate = |side| number(row.sides.get(&side).map(|spread: &Spread| 1.0 / spread.median));
    let mut cells = vec![row.name.clone(), row.threads.to_string()];
    cells.extend([Side::Strongroom, Side::Daemon, Side::SoftHsm2].map(rate));
    cells.extend(kryoptic.then(|| rate(Side::Kryoptic)));
    cells.push(times(row.times(Side::SoftHsm2, Side::Strongroom)));
    cells.push(rate(Side::Bare));
    cells.push(
        row.times(Side::Bare, Side::Strongroom)
            .map_or_else(missing, |share| format!("{:.0} %", 100.0 * share)),
    );
    cells
}

fn by_objects(row: &Measured, kryoptic: bool) -> Vec<String> {
    let cost = |side| {
        row.sides.get(&side).map_or_else(missing, |spread| with_unit(spread.median, row.unit))
    };
    let objects = row.objects.unwrap_or_default();
    let mut cells =
        vec![row.name.clone(), thousands(&objects.to_string()), row.threads.to_string()];
    cells.extend([cost(Side::Strongroom), cost(Side::Daemon)]);
    cells.push(if objects > SOFTHSM2_MOST { "too slow".to_owned() } else { cost(Side::SoftHsm2) });
    cells.extend(kryoptic.then(|| cost(Side::Kryoptic)));
    cells.push(times(row.times(Side::SoftHsm2, Side::Strongroom)));
    cells
}

impl Measured {
    /// What one side costs.
    pub(crate) fn cost(&self, side: Side) -> Option<f64> {
        self.sides.get(&side).map(|spread| spread.median)
    }

    /// How many times as much one side costs as another.
    pub(crate) fn times(&self, one: Side, other: Side) -> Option<f64> {
        Some(self.cost(one)? / self.cost(other)?)
    }
}

pub(crate) fn header(text: &mut String, cells: &[&str], words: usize) {
    line(text, &cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    let rule = (0..cells.len()).map(|column| if column < words { "---" } else { "--:" });
    text.push_str(&format!("|{}|\n", rule.collect::<Vec<_>>().join("|")));
}

pub(crate) fn line(text: &mut String, cells: &[String]) {
    text.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// A cost, as people say it.
pub(crate) fn with_unit(cost: f64, unit: Unit) -> String {
    const SECONDS: &[(f64, &str)] = &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
    const BYTES: &[(f64, &str)] = &[(1_048_576.0, "MiB"), (1024.0, "KiB")];
    let units = if unit == Unit::Seconds { SECONDS } else { BYTES };
    let fits = units.iter().find(|(size, _)| cost >= *size).or(units.last());
    fits.map_or_else(missing, |(size, name)| format!("{} {name}", number(Some(cost / size))))
}

pub(crate) fn number(figure: Option<f64>) -> String {
    match figure {
        None => missing(),
        Some(figure) if figure < 10.0 => format!("{figure:.2}"),
        Some(figure) if figure < 100.0 => format!("{figure:.1}"),
        Some(figure) => thousands(&format!("{figure:.0}")),
    }
}

pub(crate) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(missing, |_| format!("{} x", number(ratio)))
}

fn missing() -> String {
    "-".to_owned()
}

/// Commas between groups of three digits.
pub(crate) fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.5, "0.50"), (12.34, "12.3"), (999.4, "999"), (1234567.0, "1,234,567")];
        for (figure, text) in cases {
            assert_eq!(number(Some(figure)), text);
        }
    }

    #[test]
    fn costs_have_the_unit_that_fits() {
        let cases = [
            (2.5, Unit::Seconds, "2.50 s"),
            (0.0123, Unit::Seconds, "12.3 ms"),
            (4.2e-7, Unit::Seconds, "420 ns"),
            (3.0 * 1_048_576.0, Unit::Bytes, "3.00 MiB"),
        ];
        for (cost, unit, text) in cases {
            assert_eq!(with_unit(cost, unit), text);
        }
    }
}
