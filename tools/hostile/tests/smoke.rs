//! Every place takes what is kept in its corpus, and changes of it, a number of them for each file.
//!
//! A test for each, so that one can be run alone: `cargo test -p strongroom-hostile NAME`. That of the C
//! interface has a process of its own: see `edge.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod changes;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use strongroom_hostile::TARGETS;

macro_rules! places {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name));
            changes::try_out(target.unwrap());
        })*

        const TESTED: &[&str] = &["edge", $(stringify!($name)),*];
    };
}

places! {
    configuration der operator p11kit parameters pkcs12 policy rows softhsm2 templates wire
}

#[test]
fn every_target_is_tested_and_fuzzed() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names, TESTED.iter().map(|name| (*name).to_owned()).collect());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(
        names,
        files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    );
}
