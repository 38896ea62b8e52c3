//! What is measured, one row each. A row has two ways to be done: by a module, and by the bare
//! library, where that has it at all.

use std::cell::Cell;
use std::time::Duration;

use crate::client::Session;
use crate::token::Token;
use crate::{Result, basics, objects, signatures};

/// The numbers of threads that an operation is measured with.
const THREADS: &[u32] = &[1, 2, 4];
/// The same, and as many as a busy daemon has callers.
const CROWD: &[u32] = &[1, 2, 4, 8];
/// What is measured by one caller only.
const ALONE: &[u32] = &[1];

/// A row of the table.
pub(crate) struct Row {
    /// What the table calls it.
    pub(crate) name: String,
    /// Which part of the table.
    pub(crate) part: Part,
    /// The numbers of threads.
    pub(crate) threads: &'static [u32],
    /// Makes the keys, and says what to do with them.
    pub(crate) module: Start,
    /// The same, by the bare library.
    pub(crate) bare: Option<StartBare>,
}

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Cryptography, random bytes, sessions, attributes.
    Operations,
    /// Searches, at each number of objects.
    Find,
    /// Creating, generating and destroying objects; login; starts; memory; at each number too.
    Life,
}

/// What is done over and over.
pub(crate) enum Work {
    /// This, and all of it counts. Several threads may.
    Each(Shared),
    /// This, of which so much counts. One thread only.
    Part(Timed),
}

type Start = Box<dyn Fn(&Token) -> Result<Work>>;
type StartBare = Box<dyn Fn() -> Result<Bare>>;
type Shared = Box<dyn Fn(&Turn) -> Result + Send + Sync>;
type Timed = Box<dyn Fn(&Turn) -> Result<Duration>>;
/// What the bare library does over and over.
pub(crate) type Bare = Box<dyn Fn() -> Result + Send + Sync>;

/// Who does it: a thread, with a session of its own.
pub(crate) struct Turn<'a> {
    pub(crate) token: &'a Token,
    pub(crate) session: Session,
    number: Cell<u32>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(token: &'a Token, thread: usize) -> Result<Self> {
        let session = *token.sessions.get(thread).ok_or("so many sessions are not open")?;
        Ok(Self { token, session, number: Cell::new(u32::try_from(thread)?) })
    }

    /// Another number below this each time, spread over all of them.
    pub(crate) fn another(&self, end: u32) -> u32 {
        // A prime that no size is a multiple of: every number comes before one comes again.
        let next = (self.number.get() + 7_919) % end.max(1);
        self.number.set(next);
        next
    }
}

impl Row {
    /// A row that several threads do.
    pub(crate) fn new(
        name: &str,
        part: Part,
        module: impl Fn(&Token) -> Result<Work> + 'static,
    ) -> Self {
        let threads = match part {
            Part::Operations | Part::Find => THREADS,
            Part::Life => ALONE,
        };
        Self { name: name.to_owned(), part, threads, module: Box::new(module), bare: None }
    }

    /// With the bare library's way.
    pub(crate) fn with_bare(self, bare: impl Fn() -> Result<Bare> + 'static) -> Self {
        Self { bare: Some(Box::new(bare)), ..self }
    }

    /// One that is measured with a crowd of callers too.
    pub(crate) fn crowded(self) -> Self {
        Self { threads: CROWD, ..self }
    }

    /// One of those that only one thread does.
    pub(crate) fn alone(self) -> Self {
        Self { threads: ALONE, ..self }
    }
}

/// All rows, for a token that holds so many objects.
pub(crate) fn all(objects: u32) -> Vec<Row> {
    let mut rows = signatures::rows();
    rows.extend(basics::rows());
    rows.extend(objects::rows(objects));
    rows
}

/// A closure as work.
pub(crate) fn each(work: impl Fn(&Turn) -> Result + Send + Sync + 'static) -> Result<Work> {
    Ok(Work::Each(Box::new(work)))
}

/// A closure as work that says how much of it counts.
pub(crate) fn part(work: impl Fn(&Turn) -> Result<Duration> + 'static) -> Result<Work> {
    Ok(Work::Part(Box::new(work)))
}
