//! Tests that documents name: `file::test` of the black-box suite, `path/to/file.rs::test` of another
//! program, with a `*` at the end for all that begin so; or a script.

use std::fs;
use std::path::Path;

/// Fails if there is no such test.
pub(crate) fn must_be_there(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let Some((file, test)) = name.split_once("::") else {
        let script = root.join("softhsm-tests").join(name);
        assert!(script.is_file(), "there is no {}", script.display());
        return;
    };
    let file = match file.strip_suffix(".rs") {
        Some(_) => root.join(file),
        None => root.join("softhsm-tests/tests/suite").join(file).with_extension("rs"),
    };
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let tests = text.split("#[test]\n").skip(1).filter_map(|test| {
        let signature = test.lines().find(|line| line.trim_start().starts_with("fn "))?;
        signature.trim_start().strip_prefix("fn ")?.split_once('(').map(|(name, _)| name)
    });
    let meant = |found: &str| match test.strip_suffix('*') {
        Some(begin) => found.starts_with(begin),
        None => found == test,
    };
    assert!(tests.into_iter().any(meant), "there is no test {name}");
}

/// What stands in backticks, in the last column of the tables below a heading.
fn last_column<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = document.split_once(heading).expect(heading);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let cells = section.lines().filter_map(|line| {
        line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | ").map(|(_, cell)| cell)
    });
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_test_that_holds_a_fault_of_others_is_there() {
    let readme = include_str!("../../../../softhsm-tests/README.md");
    let names = last_column(readme, "## Known faults of others");
    assert!(names.len() > 50, "they are found: {}", names.len());
    names.into_iter().for_each(must_be_there);
}

#[test]
fn every_test_that_stands_for_a_promise_is_there() {
    let security = include_str!("../../../../SECURITY.md");
    let names = last_column(security, "## Who is kept out, by what");
    let tests: Vec<_> = names.into_iter().filter(|name| name.contains("::")).collect();
    assert!(!tests.is_empty(), "they are found");
    tests.into_iter().for_each(must_be_there);
}
