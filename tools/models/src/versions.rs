//! The generation word that all processes share, and the version that one of them remembers by it.

use loom::thread;

use crate::every_order;
use crate::fresh::Fresh;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};
use crate::words::Words;

/// A token: its database, the words beside it, and what a process remembers of its version.
struct Token {
    database: Mutex<u64>,
    words: Words,
    fresh: Fresh,
    /// The highest version that a writer was told to be safe.
    told: AtomicU64,
}

impl Token {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            database: Mutex::new(0),
            words: Words::default(),
            fresh: Fresh::new(),
            told: AtomicU64::new(0),
        })
    }

    /// As the back end commits: one writer has the database, and the word moves around the commit. The
    /// lock of the database is let go in the commit, so that the end of one commit can come after the
    /// beginning of the next.
    fn commit(&self) {
        let mut database = lock(&self.database);
        let version = *database + 1;
        let committed: Result<(), ()> = self.words.announce(Some(version), || {
            *database = version;
            drop(database);
            Ok(())
        });
        assert!(committed.is_ok());
        self.told.fetch_max(version, Ordering::AcqRel);
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

    /// Nobody reads a version that is older than one that was told to be safe before.
    fn reads(&self) {
        let told = self.told.load(Ordering::Acquire);
        let version = self.version();
        assert!(version >= told, "version {version} after {told} was told");
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
