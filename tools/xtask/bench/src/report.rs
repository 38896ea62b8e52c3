//! Writes what came out.

use std::fs;
use std::path::Path;

use crate::compare::Measured;
use crate::{Result, chart, table, targets};

const BEGIN: &str = "<!-- generated:bench -->";
const END: &str = "<!-- end:bench -->";
/// The chart, as the page shows it.
const CHART: &str = "![How many times as fast as SoftHSM2](performance.svg)";

/// The figures and the table; of a whole run, the chart and the page of the documents too.
pub(crate) fn write(measured: &[Measured], out: &Path, docs: Option<&Path>) -> Result {
    fs::create_dir_all(out)?;
    let text = format!("{}\n{}", table::markdown(measured), targets::markdown(measured));
    fs::write(out.join("bench.json"), serde_json::to_string_pretty(measured)?)?;
    fs::write(out.join("bench.md"), &text)?;
    fs::write(out.join("performance.svg"), chart::svg(measured))?;
    println!("{text}");
    println!("The table, the figures (JSON) and the chart are in {}.", out.display());
    let Some(docs) = docs else { return Ok(()) };
    fs::write(docs.join("performance.svg"), chart::svg(measured))?;
    let page = docs.join("performance.md");
    let renewed = renew(&fs::read_to_string(&page)?, &format!("{CHART}\n\n{text}"))?;
    fs::write(&page, renewed)?;
    println!("The chart and the page in {} are renewed.", docs.display());
    Ok(())
}

/// Puts a text between the two marks.
fn renew(page: &str, text: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("the place for the table does not end")?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("one\n{BEGIN}\nold\n{END}\ntwo\n");
        let renewed = renew(&page, "new").unwrap();
        assert_eq!(renewed, format!("one\n{BEGIN}\n\nnew\n\n{END}\ntwo\n"));
        assert!(renew("nothing", "new").is_err());
    }
}
