//! What threads share, in every order of their steps that loom can think of: two or three threads, a
//! few steps each, with all that the memory of a processor may do to them.
//!
//! It is the code itself that runs, file by file. Where these files say `crate::sync` they get loom's
//! locks and atomics here, and std's at home; whatever else they name has a small stand-in.
//!
//! Each model says what must hold. It is an ordinary test: `cargo test -p strongroom-models`, with
//! `STRONGROOM_TESTS_LONG=1` in more orders.

// Where `cargo` checks all targets it would check the tests of these files too, which want the whole
// house, and run at home.
#![cfg(not(test))]

mod sync;

// Each file has functions that no model calls.
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../pkcs11-module/token/src/cache.rs"]
mod cache;
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../pkcs11-module/token/src/error.rs"]
mod error;
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../keystore/src/fresh.rs"]
mod fresh;
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../pkcs11-module/token/src/recall.rs"]
mod recall;
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../pkcs11-module/token/src/sessions.rs"]
mod sessions;
#[allow(dead_code, reason = "no model calls it")]
#[path = "../../../keystore/src/words.rs"]
mod words;

mod keys;
mod table;
mod versions;

pub use keys::{a_changed_object_is_read_again, nothing_is_remembered_after_a_logout};
pub use table::{a_session_is_closed_once, who_looks_at_all_sees_each_session};
pub use versions::{
    a_killed_writer_leaves_nothing_stale, an_acknowledged_commit_is_seen,
    commits_that_overlap_are_seen,
};

/// The stand-in for the objects of the token.
mod object {
    use strongroom_keystore::ObjectId;

    pub(crate) struct Object {
        pub(crate) id: ObjectId,
        /// What it has become.
        pub(crate) value: u64,
    }
}

/// The stand-in for the back end of the keystore.
mod backend {
    pub(crate) mod sqlite {
        pub(crate) const FRESH: std::time::Duration = std::time::Duration::from_millis(100);
    }
}

/// Runs a model in every order, with so many changes of threads before their time: nearly all faults
/// show with two.
fn every_order(model: impl Fn() + Send + Sync + 'static) {
    let long = std::env::var_os("STRONGROOM_TESTS_LONG").is_some();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(if long { 4 } else { 2 });
    builder.check(model);
}
