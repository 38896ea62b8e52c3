//! Sessions of an application.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use strongroom_keystore::{KeyPolicy, Role};
use strongroom_types::{Error, Result, SessionHandle, SessionInfo, SessionState};

use crate::error::storage;
use crate::handles::first_of_turn;
use crate::operation::{Kind, Operation};
use crate::quota::Taken;
use crate::recall::Recall;
use crate::search::Search;
use crate::sessions::Sessions;
use crate::slot::Slot;
use crate::token::Token;

/// A session. What changes is behind one lock, so that calls on one session wait for each other
/// and on different sessions do not.
pub(crate) struct Session {
    pub(crate) handle: SessionHandle,
    pub(crate) slot: Arc<Slot>,
    pub(crate) token: Arc<Token>,
    pub(crate) read_write: bool,
    pub(crate) activity: Mutex<Activity>,
    pub(crate) recall: Recall,
    /// Set when it closes, under the lock of the token's presence: a call that is still at work
    /// must leave no objects behind.
    pub(crate) closed: AtomicBool,
    /// Its place among the sessions that there may be.
    pub(crate) _taken: Taken,
}

/// What is under way in a session: at most one operation of each kind, and a search.
#[derive(Default)]
pub(crate) struct Activity {
    operations: Vec<Operation>,
    pub(crate) search: Option<Search>,
    /// How many operations have been started.
    started: u64,
}

impl Activity {
    /// Whether an operation of a kind is under way.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.operations.iter().any(|operation| operation.kind() == kind)
    }

    /// Takes the operation of a kind out.
    pub(crate) fn take(&mut self, kind: Kind) -> Option<Operation> {
        let at = self.operations.iter().position(|operation| operation.kind() == kind)?;
        Some(self.operations.remove(at))
    }

    /// Starts an operation, where none of its kind is.
    pub(crate) fn begin(&mut self, mut operation: Operation) {
        self.started += 1;
        operation.serial = self.started;
        self.put(operation);
    }

    /// The operation of a kind.
    pub(crate) fn get_mut(&mut self, kind: Kind) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|operation| operation.kind() == kind)
    }

    /// All operations.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Puts an operation back.
    pub(crate) fn put(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// The operation that was started last of those that wait for a context-specific login.
    pub(crate) fn waiting(&self) -> Option<u64> {
        let waiting = self.operations.iter().filter(|operation| operation.authenticate);
        waiting.map(|operation| operation.serial).max()
    }

    /// Lets one operation that waits go on, if it still does: a login is good for one use, of the
    /// operation that was there when it began.
    pub(crate) fn authenticated(&mut self, serial: u64) -> Result<()> {
        let waits =
            |operation: &&mut Operation| operation.serial == serial && operation.authenticate;
        let operation = self.operations.iter_mut().find(waits);
        operation.ok_or(Error::OperationNotInitialized)?.authenticate = false;
        Ok(())
    }

    /// Ends the operations of the kinds that are chosen.
    pub(crate) fn end(&mut self, chosen: impl Fn(Kind) -> bool) {
        self.operations.retain(|operation| !chosen(operation.kind()));
    }

    /// Ends the operations that use private objects, and searches for them.
    pub(crate) fn end_private(&mut self) {
        self.operations.retain(|operation| !operation.private);
        if let Some(search) = &mut self.search {
            search.end_private();
        }
    }
}

impl Session {
    /// What `C_GetSessionInfo` tells; the state follows from the login and is stored nowhere.
    pub(crate) fn info(&self) -> SessionInfo {
        let state = match (self.read_write, self.token.role()) {
            (false, Some(Role::User)) => SessionState::ReadOnlyUser,
            (false, _) => SessionState::ReadOnlyPublic,
            (true, None) => SessionState::ReadWritePublic,
            (true, Some(Role::User)) => SessionState::ReadWriteUser,
            (true, Some(Role::SecurityOfficer)) => SessionState::ReadWriteSecurityOfficer,
        };
        SessionInfo { slot: self.slot.id, state, read_write: self.read_write }
    }

    /// What its token lets be done with keys.
    pub(crate) fn policy(&self) -> Result<KeyPolicy> {
        self.token.stored.policy().map_err(storage)
    }

    /// # Errors
    ///
    /// [`Error::SessionReadOnly`] in a session that can not write.
    pub(crate) fn must_write(&self) -> Result<()> {
        if self.read_write {
            return Ok(());
        }
        let why = || "what changes the token needs a session that can write".into();
        Err(Error::SessionReadOnly.because(why))
    }
}

impl Sessions<Session> {
    /// None yet; of another turn, they have other handles.
    pub(crate) fn of_turn(turn: u16) -> Self {
        Self::after(first_of_turn(turn))
    }

    /// The sessions with a token.
    pub(crate) fn of(&self, token: &Arc<Token>) -> Vec<Arc<Session>> {
        self.that(|session| Arc::ptr_eq(&session.token, token))
    }

    /// Does something with each session with a token.
    pub(crate) fn each_of(&self, token: &Arc<Token>, act: impl Fn(&Session)) {
        self.each(|session| {
            if Arc::ptr_eq(&session.token, token) {
                act(session);
            }
        });
    }

    /// All there are.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.that(|_| true)
    }
}
