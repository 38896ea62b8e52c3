//! The tables, in Markdown.

use std::fmt::Write;

use crate::compare::{Figured, Figures};
use crate::jobs::{JOBS, THREADS, figure};
use crate::objects::{FIGURES, Unit};

/// Both tables, and how to read them.
pub(crate) fn markdown(figured: &Figured) -> String {
    let mut text = String::from(
        "Operations per second, the best of a few rounds in which the sides take turns. Each \
         signature or encryption is C_…Init, a question for the length, and the call itself. \"of \
         bare\" is how much of the bare library's speed is left.\n\n\
         | Operation | Threads | Strongroom | SoftHSM2 | ratio | AWS-LC, bare | of bare |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for job in JOBS {
        for threads in THREADS {
            let name = figure(job, *threads);
            line(&mut text, &operation(figured, job.name, *threads, &name));
        }
    }
    text.push_str(
        "\nBy the number of objects, each a secret key with label and id. SoftHSM2 is measured up \
         to 1,000: it reads every object's file in each search, and beyond that takes too \
         long.\n\n\
         | | Objects | Strongroom | SoftHSM2 | ratio |\n|---|--:|--:|--:|--:|\n",
    );
    for row in FIGURES {
        for count in figured.counts {
            line(&mut text, &objects(figured, row.name, row.unit, *count));
        }
    }
    text
}

fn operation(figured: &Figured, job: &str, threads: u32, name: &str) -> Vec<String> {
    let ours = figured.ours.operations.get(name).copied();
    let softhsm2 = figured.softhsm2.operations.get(name).copied();
    let bare = figured.primitives.get(name).copied();
    vec![
        job.to_owned(),
        threads.to_string(),
        number(ours),
        number(softhsm2),
        times(ours, softhsm2),
        number(bare),
        share(ours, bare),
    ]
}

fn objects(figured: &Figured, name: &str, unit: Unit, count: u32) -> Vec<String> {
    let find = |figures: Option<&Figures>| figures?.get(name).copied();
    let ours = find(figured.ours.objects.get(&count));
    let softhsm2 = find(figured.softhsm2.objects.get(&count));
    // A ratio says by how much ours is better.
    let ratio = if unit == Unit::PerSecond { times(ours, softhsm2) } else { times(softhsm2, ours) };
    vec![
        name.to_owned(),
        thousands(&count.to_string()),
        with_unit(ours, unit),
        with_unit(softhsm2, unit),
        ratio,
    ]
}

fn line(text: &mut String, cells: &[String]) {
    // Writing to a string does not fail.
    let _written = writeln!(text, "| {} |", cells.join(" | "));
}

fn with_unit(figure: Option<f64>, unit: Unit) -> String {
    let suffix = match unit {
        Unit::PerSecond => "/s",
        Unit::Milliseconds => "ms",
        Unit::Mebibytes => "MiB",
    };
    figure.map_or_else(missing, |_| format!("{} {suffix}", number(figure)))
}

fn number(figure: Option<f64>) -> String {
    match figure {
        None => missing(),
        Some(figure) if figure < 10.0 => format!("{figure:.2}"),
        Some(figure) if figure < 100.0 => format!("{figure:.1}"),
        Some(figure) => thousands(&format!("{figure:.0}")),
    }
}

fn times(one: Option<f64>, other: Option<f64>) -> String {
    one.zip(other).map_or_else(missing, |(one, other)| format!("{:.1}x", one / other))
}

fn share(one: Option<f64>, other: Option<f64>) -> String {
    one.zip(other).map_or_else(missing, |(one, other)| format!("{:.0} %", 100.0 * one / other))
}

fn missing() -> String {
    "-".to_owned()
}

/// Commas between groups of three digits.
fn thousands(digits: &str) -> String {
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
}
