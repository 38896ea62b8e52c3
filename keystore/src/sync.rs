//! What threads share. The files that `tools/models` runs in every order of their steps take it from
//! here: there, another file is in the place of this one.

pub(crate) use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
