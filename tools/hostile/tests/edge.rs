//! The C interface, in a process whose environment nobody else reads: it is told there where its
//! configuration is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod changes;

use strongroom_hostile::TARGETS;

#[test]
fn edge() {
    changes::try_out(TARGETS.iter().find(|target| target.name == "edge").unwrap());
}
