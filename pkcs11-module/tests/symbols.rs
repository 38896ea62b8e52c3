//! What the shared library shows to the loader: the functions of the standard, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod library;

use std::process::Command;

use strongroom_functions::FUNCTIONS;

#[test]
fn exactly_the_functions_of_the_standard_are_exported() {
    let symbols = output(Command::new("nm").args(["-D", "--defined-only"]));
    let mut exported: Vec<_> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let mut standard: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    exported.sort_unstable();
    standard.sort_unstable();
    assert_eq!(exported, standard);
}

#[test]
fn the_first_random_byte_does_not_wait_for_the_jitter_of_a_clock() {
    // .cargo/config.toml says so to the build of AWS-LC, which silently goes without where that is
    // not read.
    let symbols = output(&mut Command::new("nm"));
    assert!(symbols.contains("RAND_bytes"), "the symbols of AWS-LC are there to be looked at");
    assert!(!symbols.contains("jent_"), "AWS-LC was built with its jitter entropy");
}

#[test]
fn the_library_stays_loaded_and_its_tables_are_read_only() {
    let dynamic = output(Command::new("readelf").arg("--wide").arg("--dynamic"));
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(dynamic.contains("BIND_NOW") || dynamic.contains("NOW"), "{dynamic}");
    assert!(dynamic.contains("SYMBOLIC"), "{dynamic}");
    let segments = output(Command::new("readelf").arg("--wide").arg("--segments"));
    assert!(segments.contains("GNU_RELRO"), "{segments}");
}

fn output(command: &mut Command) -> String {
    let output = command.arg(library::path()).output().expect("binutils");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
