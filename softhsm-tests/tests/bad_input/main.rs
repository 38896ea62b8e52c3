//! What a caller may get wrong: each argument of each function, in each state, the parameters of the
//! mechanisms, and the order of the calls. The module at `MODULE_UNDER_TEST` has to answer with a
//! code that the standard names, and nothing may have changed.
//!
//! - [`functions`]: the 104 functions, each with the kinds of its arguments. All cases come from it.
//! - [`kinds`]: for each kind of argument, what may be wrong with it, and which codes are right.
//! - [`fixture`]: the objects that good arguments name, and whether all is as it was.
//! - [`arguments`], [`parameters`], [`order`]: the tests.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod arguments;
mod fixture;
mod functions;
mod kinds;
mod order;
mod parameters;
