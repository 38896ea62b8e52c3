//! Tables and lists for people.

use crate::output::{Paint, Style};

/// Rows under headings, each column as wide as its widest cell.
pub(crate) fn table(paint: &Paint, headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).chain([width(heading)]).max().unwrap_or(0)
        })
        .collect();
    let headings: Vec<String> = headings.iter().map(|text| (*text).to_owned()).collect();
    let mut out = paint.paint(Style::Strong, &line(&headings, &widths));
    for row in rows {
        out.push('\n');
        out.push_str(&line(row, &widths));
    }
    out
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, columns)| format!("{cell}{}", " ".repeat(columns - width(cell).min(*columns))))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

/// Names and values, the values under each other.
pub(crate) fn record(paint: &Paint, fields: &[(&str, String)]) -> String {
    let columns = fields.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            let gap = " ".repeat(columns - width(name) + 2);
            format!("{}{gap}{}", paint.paint(Style::Strong, name), visible(value))
        })
        .collect();
    lines.join("\n")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text from a token with its control characters replaced: a label must not drive a terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
