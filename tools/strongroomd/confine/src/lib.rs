//! Locks a process in that keeps keys: its memory stays out of swap and core dumps, it gains no
//! privileges, opens no file but its own, starts no program and no process, talks to nobody but through
//! Unix sockets, and runs no code that it did not bring along.
//!
//! Each protection is a step of a list. What the machine does not grant is told, with what it costs;
//! the others hold all the same. So is what the configuration relaxes. Nothing of this can be taken back.
//!
//! Most of it belongs to the thread that asks for it and to those that it starts, so it comes first
//! in `main`, after the files that lie elsewhere have been opened and before any thread.

#![forbid(unsafe_code)]

mod files;
mod privileges;
mod process;
mod system_calls;

use std::fmt;
use std::path::PathBuf;

/// What a process goes on being able to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// The directories, and the files, that it may read and change. They must be there.
    pub writable: Vec<PathBuf>,
    /// Those that it may read.
    pub readable: Vec<PathBuf>,
    /// The protections, by their names, that it goes without because somebody wants it so.
    pub relaxed: Vec<String>,
}

/// A protection that the machine does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The protection.
    pub name: &'static str,
    /// Why it does not hold.
    pub why: String,
    /// What it costs that it does not hold.
    pub cost: &'static str,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; so {}", self.name, self.why, self.cost)
    }
}

/// A protection.
struct Step {
    name: &'static str,
    cost: &'static str,
    apply: fn(&Confinement) -> Result<(), String>,
}

/// In this order: each step still needs what those behind it take away.
static STEPS: &[Step] = &[
    Step {
        name: "one thread",
        cost: "threads that run already are bound by less than the others",
        apply: |_| process::alone(),
    },
    Step {
        name: "locked memory",
        cost: "keys can be written to the swap space",
        apply: |_| process::lock_memory(),
    },
    Step {
        name: "no core dumps",
        cost: "keys can be written to a file when the process crashes",
        apply: |_| process::no_core_dumps(),
    },
    Step {
        name: "not dumpable",
        cost: "other processes of the same user can read the memory",
        apply: |_| process::not_dumpable(),
    },
    Step {
        name: "no new privileges",
        cost: "a program that it starts could gain some",
        apply: |_| privileges::no_new_ones(),
    },
    Step {
        name: "no capabilities",
        cost: "whoever takes the process over has them, too",
        apply: |_| privileges::drop_capabilities(),
    },
    Step {
        name: "Landlock",
        cost: "whoever takes the process over can open all files of its user",
        apply: files::restrict,
    },
    Step {
        name: "seccomp",
        cost: "whoever takes the process over can start programs and use the network; and a child \
               process could have the memory",
        apply: |_| system_calls::restrict(),
    },
];

/// The names of all protections.
pub fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

impl Confinement {
    /// Locks the process in, and tells what does not hold: because the machine does not grant it, or
    /// because it is relaxed.
    #[must_use = "what does not hold is for the operator to know"]
    pub fn apply(&self) -> Vec<Shortfall> {
        let relaxed = |step: &Step| self.relaxed.iter().any(|name| name == step.name);
        let outcome = |step: &'static Step| match relaxed(step) {
            true => (step, Err("the configuration relaxes it".into())),
            false => (step, (step.apply)(self)),
        };
        let failed = STEPS.iter().map(outcome);
        failed
            .filter_map(|(step, outcome)| {
                let why = outcome.err()?;
                Some(Shortfall { name: step.name, why, cost: step.cost })
            })
            .collect()
    }
}
