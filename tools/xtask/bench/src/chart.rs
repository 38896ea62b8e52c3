//! The chart: how many times SoftHSM2's speed, on a logarithmic scale, as SVG. Its colours follow
//! the reader's, light or dark.

use std::fmt::Write;

use crate::compare::{Measured, Unit};
use crate::sides::Side;

/// Where things are, in pixels.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 64.0;
const LINE: f64 = 22.0;
const BOTTOM: f64 = 34.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#59636e}\
.end{text-anchor:end}.middle{text-anchor:middle}\
.grid{stroke:#d1d9e0}.one{stroke:#59636e;stroke-width:1.5}\
.bar{stroke:#0969da;stroke-width:9}\
.daemon{fill:#fff;stroke:#bc4c00;stroke-width:2.5}\
@media(prefers-color-scheme:dark){\
text{fill:#f0f6fc}.small{fill:#9198a1}.grid{stroke:#3d444d}.one{stroke:#9198a1}\
.bar{stroke:#4493f8}.daemon{fill:#0d1117;stroke:#f0883e}}";

/// A line of the chart.
struct Bar<'a> {
    name: String,
    row: &'a Measured,
    ratio: f64,
}

/// The chart of these rows.
pub(crate) fn svg(measured: &[Measured]) -> String {
    let bars = bars(measured);
    let ratios = bars.iter().flat_map(|bar| {
        [Some(bar.ratio), bar.row.times(Side::SoftHsm2, Side::Daemon)].into_iter().flatten()
    });
    let (low, high) = ratios.fold((0.0_f64, 1.0_f64), |(low, high), ratio| {
        (low.min(ratio.log10().floor()), high.max(ratio.log10().ceil()))
    });
    let x = |ratio: f64| LEFT + (ratio.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let bottom = bars.iter().fold(TOP, |y, _| y + LINE);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <text x=\"0\" y=\"18\" class=\"title\">How many times as fast as SoftHSM2, one \
         thread</text>\n\
         <line x1=\"0\" x2=\"24\" y1=\"38\" y2=\"38\" class=\"bar\"/>\
         <text x=\"32\" y=\"42\" class=\"small\">Strongroom in the process that calls</text>\n\
         <circle cx=\"262\" cy=\"38\" r=\"4\" class=\"daemon\"/>\
         <text x=\"274\" y=\"42\" class=\"small\">by the daemon</text>\n",
        height = bottom + BOTTOM
    );
    let mut power = low;
    while power <= high {
        let (ratio, at) = (10_f64.powf(power), x(10_f64.powf(power)));
        let class = if power == 0.0 { "one" } else { "grid" };
        write(
            &mut text,
            format_args!(
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" \
                 class=\"{class}\"/><text x=\"{at:.1}\" y=\"{:.0}\" class=\"small \
                 middle\">{ratio}</text>\n",
                bottom + 18.0
            ),
        );
        power += 1.0;
    }
    let mut y = TOP + LINE / 2.0;
    for bar in &bars {
        let (from, to, base) = (x(1.0), x(bar.ratio), y + 4.5);
        let label = if bar.ratio < 10.0 {
            format!("{:.1}", bar.ratio)
        } else {
            format!("{:.0}", bar.ratio)
        };
        write(
            &mut text,
            format_args!(
                "<text x=\"{:.0}\" y=\"{base}\" class=\"end\">{}</text>\
                 <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\" class=\"bar\"/>\
                 <text x=\"{:.1}\" y=\"{base}\" class=\"small\">{label}</text>",
                LEFT - 12.0,
                escaped(&bar.name),
                to.max(from) + 10.0,
            ),
        );
        if let Some(ratio) = bar.row.times(Side::SoftHsm2, Side::Daemon) {
            let at = x(ratio);
            write(
                &mut text,
                format_args!("<circle cx=\"{at:.1}\" cy=\"{y}\" r=\"4\" class=\"daemon\"/>"),
            );
        }
        text.push('\n');
        y += LINE;
    }
    text.push_str("</svg>\n");
    text
}

/// What one thread does that SoftHSM2 does too; where objects vary, the most that both have.
fn bars(measured: &[Measured]) -> Vec<Bar<'_>> {
    let both = |row: &&Measured| {
        row.threads == 1
            && row.unit == Unit::Seconds
            && row.times(Side::SoftHsm2, Side::Strongroom).is_some()
    };
    let most = |row: &&Measured| {
        let same = measured.iter().filter(both).filter(|other| other.name == row.name);
        same.map(|other| other.objects).max() == Some(row.objects)
    };
    let rows = measured.iter().filter(both).filter(most);
    rows.filter_map(|row| {
        let name = match row.objects {
            None => row.name.clone(),
            Some(objects) => format!("{} ({objects} objects)", row.name),
        };
        Some(Bar { name, row, ratio: row.times(Side::SoftHsm2, Side::Strongroom)? })
    })
    .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Spread;

    #[test]
    fn a_bar_begins_at_one_and_is_ten_times_as_long_for_a_decade_each() {
        let spread = |cost| Spread { median: cost, low: cost, high: cost };
        let row = Measured {
            name: "Find <all>".to_owned(),
            objects: Some(10),
            threads: 1,
            unit: Unit::Seconds,
            sides: [(Side::Strongroom, spread(1e-6)), (Side::SoftHsm2, spread(1e-5))].into(),
        };
        let text = svg(&[row]);
        assert!(text.contains("Find &lt;all> (10 objects)"));
        assert!(
            text.contains("<line x1=\"270.0\" x2=\"790.0\" y1=\"75\" y2=\"75\" class=\"bar\"/>")
        );
    }
}
