//! The generation word that all processes share, and the version that one of them remembers by it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom::thread;

use crate::every_order;
use crate::fresh::Fresh;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};
use crate::words::Words;

/// A token: its database, the words beside it, and what a process remembers of its version.
struct Token {
    /// The version that is committed. Who reads it waits for no writer.
    database: Mutex<u64>,
    writers: Mutex<()>,
    words: Words,
    fresh: Fresh,
    /// The highest version of which somebody can know: a writer was told that it is safe, or a reader
    /// has read it.
    told: AtomicU64,
}

/// When a writer is killed.
#[derive(Clone, Copy)]
enum Killed {
    BeforeTheCommit,
    BehindTheCommit,
}

impl Token {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            database: Mutex::new(0),
            writers: Mutex::new(()),
            words: Words::default(),
            fresh: Fresh::new(),
            told: AtomicU64::new(0),
        })
    }

    /// As the back end commits: one writer has the lock of the writers, and the word moves around the commit.
    /// The lock is let go in the commit, so that the end of one commit can come after the beginning of
    /// the next.
    fn commit(&self) {
        let writing = lock(&self.writers);
        let version = *lock(&self.database) + 1;
        let committed: Result<(), ()> = self.words.announce(Some(version), || {
            *lock(&self.database) = version;
            drop(writing);
            Ok(())
        });
        assert!(committed.is_ok());
        self.told.fetch_max(version, Ordering::AcqRel);
    }

    /// A commit whose writer is killed, once it has begun. Nothing of it runs any more; the system gives
    /// back its lock, and the words stay as they are.
    fn is_killed(&self, when: Killed) {
        let writing = lock(&self.writers);
        let version = *lock(&self.database) + 1;
        let commit = || -> Result<(), ()> {
            if matches!(when, Killed::BehindTheCommit) {
                *lock(&self.database) = version;
            }
            drop(writing);
            // No panic, of which a message would tell.
            resume_unwind(Box::new(()))
        };
        let killed = catch_unwind(AssertUnwindSafe(|| self.words.announce(Some(version), commit)));
        assert!(killed.is_err());
    }

    /// As `Token::version` of the keystore reads it.
    fn version(&self) -> u64 {
        /// When all of this happens.
        const NOW: u64 = 1000;
        let word = self.words.at_rest();
        if let Some(version) = self.fresh.version_at(word, NOW) {
            return version;
        }
        let version = *lock(&self.database);
        self.fresh.remember_at(word, version, NOW);
        version
    }

    /// Nobody reads a version that is older than one of which somebody could know before.
    fn reads(&self) {
        let told = self.told.load(Ordering::Acquire);
        let version = self.version();
        assert!(version >= told, "version {version} after {told} was told");
        self.told.fetch_max(version, Ordering::AcqRel);
    }

    /// What is read is what is there, and nobody will take it for older than it was: no version counts as
    /// acknowledged that is not there.
    fn is_settled(&self) {
        let there = *lock(&self.database);
        assert_eq!(self.version(), there, "what is remembered is what is there");
        assert!(self.words.acknowledged() <= there, "nothing counts as lost");
    }
}

/// Two threads of a process read the version while somebody commits.
pub fn an_acknowledged_commit_is_seen() {
    every_order(|| {
        let token = Token::new();
        let reader = {
            let token = Arc::clone(&token);
            thread::spawn(move || {
                token.reads();
                token.reads();
            })
        };
        let writer = {
            let token = Arc::clone(&token);
            thread::spawn(move || token.commit())
        };
        token.reads();
        assert!(reader.join().is_ok() && writer.join().is_ok(), "a thread panicked");
        token.reads();
        assert_eq!(token.words.acknowledged(), 1);
    });
}

/// One reads while two commits overlap, whose word must be new after each of them.
pub fn commits_that_overlap_are_seen() {
    every_order(|| {
        let token = Token::new();
        let writers = [Arc::clone(&token), Arc::clone(&token)]
            .map(|token| thread::spawn(move || token.commit()));
        token.reads();
        token.reads();
        assert!(writers.map(|writer| writer.join().is_ok()) == [true; 2], "a thread panicked");
        token.reads();
        assert_eq!(token.words.acknowledged(), 2);
        assert_eq!(token.words.at_rest(), Some(token.words.generation()), "at rest in the end");
    });
}

/// One reads while two writers commit, one of whom is killed before his commit or behind it: what he has left
/// is seen by all, though he never closed the word, and so is the next commit, whose writer does.
pub fn a_killed_writer_leaves_nothing_stale() {
    for when in [Killed::BeforeTheCommit, Killed::BehindTheCommit] {
        every_order(move || {
            let token = Token::new();
            token.reads();
            let acts: [fn(&Token, Killed); 3] = [
                |token, _| token.reads(),
                |token, _| token.commit(),
                |token, when| token.is_killed(when),
            ];
            let threads = acts.map(|act| {
                let token = Arc::clone(&token);
                thread::spawn(move || act(&token, when))
            });
            assert!(threads.map(|thread| thread.join().is_ok()) == [true; 3], "a thread panicked");
            token.is_settled();
            token.commit();
            token.reads();
            token.is_settled();
            assert_eq!(token.words.at_rest(), Some(token.words.generation()), "at rest again");
        });
    }
}
