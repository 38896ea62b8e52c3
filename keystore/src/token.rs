//! A token: its identity, its state, and the one way in which it changes.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    ObjectId, Role,
    backend::{Attempts, Backend, Batch, Header, Op, Slot, TokenId, sqlite::Sqlite},
    config::{KeyPolicy, SoReset},
    error::{Error, Result},
    fresh::{self, Fresh, is_fresh},
    head::{FORMAT, Head},
    keys::{ObjectKeys, SealColumn, SealKeys},
    pin::Place,
    queue::PinQueue,
    seal::SealSource,
    sealed,
};

/// How often a commit is built again because somebody else committed in between. The queue of
/// the writers makes the second time rare.
const RETRIES: usize = 64;

/// A token of a store; shared by everybody in the process who uses it.
pub struct Token {
    pub(crate) id: TokenId,
    pub(crate) backend: Arc<dyn Backend>,
    /// The same back end, for what concerns whole files.
    pub(crate) file: Arc<Sqlite>,
    pub(crate) pins: PinQueue,
    pub(crate) policy: Policy,
    /// Wrong PINs that could not be counted in the store, by role.
    pub(crate) uncounted: [AtomicU32; 2],
    seal: Arc<SealSource>,
    keys: Mutex<Option<(Vec<u8>, Arc<SealKeys>)>>,
    fresh: Fresh,
    known: Mutex<Option<Arc<Known>>>,
    /// The status that was read while the generation word had a value, and when: as [`fresh::now`] tells it.
    status: Mutex<Option<(u64, u64, Status)>>,
}

/// What the configuration says about PINs, and about a token that is initialised anew.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) so_reset: SoReset,
    pub(crate) lockout: Option<u32>,
    pub(crate) keys: KeyPolicy,
}

/// What is known of a token at one version.
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) seal: Vec<u8>,
    pub(crate) head: Head,
    pub(crate) keys: Arc<SealKeys>,
    pub(crate) public: Arc<ObjectKeys>,
}

/// The next state of a token.
pub(crate) struct Plan {
    pub(crate) head: Head,
    pub(crate) ops: Vec<Op>,
    /// The objects that changed; nothing: all.
    pub(crate) changed: Option<Vec<ObjectId>>,
}

/// How close a PIN is to being locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinState {
    /// The last attempt was right.
    Fine,
    /// There was a wrong PIN since the last right one.
    CountLow,
    /// One more wrong PIN locks it.
    FinalTry,
    /// It is locked.
    Locked,
}

/// What anybody may know of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The label, as it was given.
    pub label: [u8; 32],
    /// Sixteen lower-case hexadecimal digits.
    pub serial: [u8; 16],
    /// Whether the user has a PIN.
    pub user_pin_set: bool,
    /// The state of the security officer's PIN.
    pub so_pin: PinState,
    /// The state of the user's PIN; fine if there is none.
    pub user_pin: PinState,
}

impl Token {
    pub(crate) fn new(
        id: TokenId,
        file: Arc<Sqlite>,
        pins: PinQueue,
        policy: Policy,
        seal: Arc<SealSource>,
    ) -> Self {
        let backend: Arc<dyn Backend> = file.clone();
        Self {
            id,
            backend,
            file,
            pins,
            policy,
            uncounted: [AtomicU32::new(0), AtomicU32::new(0)],
            seal,
            keys: Mutex::new(None),
            fresh: Fresh::new(),
            known: Mutex::new(None),
            status: Mutex::new(None),
        }
    }

    /// The random name of the token, from when it was made.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The serial number: sixteen lower-case hexadecimal digits, the first half of the name.
    #[must_use]
    pub fn serial(&self) -> [u8; 16] {
        serial(self.id)
    }

    /// The number of commits so far. As long as it stands still, so does everything that was
    /// read; it costs some nanoseconds while no process commits.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the token was removed, [`Error::Io`] and its kin if the store fails.
    pub fn version(&self) -> Result<u64> {
        let word = self.backend.peek();
        if let Some(version) = self.fresh.version(word) {
            return Ok(version);
        }
        let version = self.backend.version()?;
        self.fresh.remember(word, version);
        Ok(version)
    }

    /// What may be done with the token's keys; it costs as little as [`Token::version`].
    ///
    /// # Errors
    /// As [`Token::status`].
    pub fn policy(&self) -> Result<KeyPolicy> {
        Ok(self.known()?.head.policy)
    }

    /// The state of the token now.
    ///
    /// # Errors
    /// [`Error::SealMissing`] and its kin without the right seal key, [`Error::Corrupt`] if the
    /// header or a counter was tampered with, [`Error::NotFound`] if the token was removed.
    pub fn status(&self) -> Result<Status> {
        let (word, now) = (self.backend.peek(), fresh::now());
        let known = self.known()?;
        // The word does not move with what this process alone has counted.
        let counted = self.uncounted.iter().all(|count| count.load(Ordering::Acquire) == 0);
        if let Some((seen, read_at, status)) = *lock(&self.status)
            && counted
            && word == Some(seen)
            // As for a version: somebody may write without moving the word.
            && now.is_some_and(|now| is_fresh(read_at, now))
        {
            return Ok(status);
        }
        let status = match self.status_of(&known) {
            // Somebody may have changed a PIN between the two reads.
            Err(Error::Corrupt(_)) if self.reread()?.version != known.version => {
                return self.status();
            }
            outcome => outcome?,
        };
        *lock(&self.status) =
            word.filter(|_| counted).zip(now).map(|(word, now)| (word, now, status));
        Ok(status)
    }

    fn status_of(&self, known: &Known) -> Result<Status> {
        Ok(Status {
            label: known.head.label,
            serial: known.head.serial,
            user_pin_set: known.head.slot_tag(Role::User).is_some(),
            so_pin: self.pin_state(known, Role::SecurityOfficer)?,
            user_pin: self.pin_state(known, Role::User)?,
        })
    }

    fn pin_state(&self, known: &Known, role: Role) -> Result<PinState> {
        let fails = match self.slot(known, role) {
            Err(Error::NotInitialized) => return Ok(PinState::Fine),
            slot => self.fails(role, &slot?.attempts),
        };
        Ok(match self.policy.lockout {
            Some(limit) if fails >= limit => PinState::Locked,
            Some(limit) if fails.saturating_add(1) == limit => PinState::FinalTry,
            _ if fails > 0 => PinState::CountLow,
            _ => PinState::Fine,
        })
    }

    /// What is known of the token, at a version that was the last one when the call began.
    pub(crate) fn known(&self) -> Result<Arc<Known>> {
        let version = self.version()?;
        let known = lock(&self.known).clone();
        match known.filter(|known| known.version == version) {
            Some(known) => Ok(known),
            None => self.reread(),
        }
    }

    /// As [`Token::known`], from the store in any case.
    pub(crate) fn reread(&self) -> Result<Arc<Known>> {
        let header = self.backend.header()?;
        let (keys, head) = self.open_header(&header)?;
        let public = self.public_keys(&keys, head.born)?;
        Ok(self.keep(Known { version: header.version, seal: header.seal, head, keys, public }))
    }

    /// Forgets the keys that came of the seal key. [`Store::seal`](crate::Store::seal) does this to
    /// the tokens that are in the store.
    pub fn forget(&self) {
        *lock(&self.known) = None;
        *lock(&self.keys) = None;
    }

    fn keep(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        *lock(&self.known) = Some(Arc::clone(&known));
        self.forget_if_sealed();
        known
    }

    /// Keys may be on their way while the store is sealed: whoever puts them down looks again.
    fn forget_if_sealed(&self) {
        if self.seal.era() % 2 == 1 {
            self.forget();
        }
    }

    fn public_keys(&self, keys: &Arc<SealKeys>, born: u32) -> Result<Arc<ObjectKeys>> {
        let known = lock(&self.known).clone();
        let same = |known: &Arc<Known>| known.head.born == born && Arc::ptr_eq(&known.keys, keys);
        match known.filter(same) {
            Some(known) => Ok(Arc::clone(&known.public)),
            None => keys.public(born).map(Arc::new),
        }
    }

    /// Opens a header: the keys that it needs, and what it holds.
    pub(crate) fn open_header(&self, header: &Header) -> Result<(Arc<SealKeys>, Head)> {
        let open = || {
            let keys = self.seal_keys(header)?;
            let head = Head::open(&keys, header)?;
            Ok((keys, head))
        };
        open().map_err(|error| self.damaged(error))
    }

    fn seal_keys(&self, header: &Header) -> Result<Arc<SealKeys>> {
        if header.format > FORMAT {
            return Err(Error::TooNew { format: header.format });
        }
        if header.token != self.id {
            let what = "the token file bears the name of another token";
            return Err(Error::Corrupt(what.into()));
        }
        let mut kept = lock(&self.keys);
        if let Some((_, keys)) = kept.as_ref().filter(|(seal, _)| *seal == header.seal) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(derive(&self.seal, header)?);
        *kept = Some((header.seal.clone(), Arc::clone(&keys)));
        drop(kept);
        self.forget_if_sealed();
        Ok(keys)
    }

    /// Commits what `plan` makes of the present state; again, if somebody else was faster.
    pub(crate) fn transact(&self, mut plan: impl FnMut(&Known) -> Result<Plan>) -> Result<()> {
        let _turn = self.backend.turn()?;
        let mut known = self.known()?;
        for _ in 0..RETRIES {
            let Plan { head, ops, changed } = plan(&known)?;
            let version = known.version.checked_add(1).ok_or(Error::Full)?;
            let header = head.seal(&known.keys, self.id, version, known.seal.clone())?;
            match self.backend.commit(&Batch { header, ops, changed }) {
                Ok(()) => {
                    let public = self.public_keys(&known.keys, head.born)?;
                    let (seal, keys) = (known.seal.clone(), Arc::clone(&known.keys));
                    self.keep(Known { version, seal, head, keys, public });
                    return Ok(());
                }
                Err(Error::Conflict) => {
                    let now = self.reread()?;
                    if now.version == known.version {
                        return Err(Error::Conflict);
                    }
                    known = now;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy)
    }

    /// Says of damage in which file it is.
    pub(crate) fn damaged(&self, error: Error) -> Error {
        error.in_file(|| self.file.path())
    }

    /// Reads a slot, which must be the one that the header vouches for.
    pub(crate) fn slot(&self, known: &Known, role: Role) -> Result<Slot> {
        self.vouched(known, role).map_err(|error| self.damaged(error))
    }

    /// Verifies all of the slots that needs no PIN.
    pub(crate) fn verify_slots(&self) -> Result<()> {
        let known = self.known()?;
        for role in [Role::SecurityOfficer, Role::User] {
            match self.slot(&known, role) {
                Err(Error::NotInitialized) => {}
                slot => {
                    let slot = slot?;
                    let place = self.place(&known, role, slot.revision);
                    place.verify(&slot.sealed).map_err(|error| self.damaged(error))?;
                }
            }
        }
        Ok(())
    }

    fn vouched(&self, known: &Known, role: Role) -> Result<Slot> {
        vouched(&known.keys, &known.head, role, || self.backend.slot(role))
    }

    /// Where a slot of this token is.
    pub(crate) fn place<'a>(&self, known: &'a Known, role: Role, revision: u64) -> Place<'a> {
        Place { keys: &known.keys, token: self.id, role, revision, epoch: known.head.epoch }
    }
}

/// The first half of a token's name, as hexadecimal digits.
pub(crate) fn serial(id: TokenId) -> [u8; 16] {
    let mut serial = [0; 16];
    for (pair, byte) in serial.chunks_exact_mut(2).zip(id) {
        pair.copy_from_slice(format!("{byte:02x}").as_bytes());
    }
    serial
}

/// The keys that a header needs: with the seal key of the store, or the one in the header.
pub(crate) fn derive(seal: &SealSource, header: &Header) -> Result<SealKeys> {
    match (SealColumn::decode(header)?, seal.key()?) {
        (SealColumn::Outside(name), Some(key)) => {
            let keys = SealKeys::derive(key.bytes().ok_or(Error::Locked)?, header.token)?;
            if keys.name() != name {
                return Err(Error::SealWrong(seal.path().map(Into::into).unwrap_or_default()));
            }
            Ok(keys)
        }
        (SealColumn::Inside(key), None) => SealKeys::derive(key.as_slice(), header.token),
        (SealColumn::Outside(_), None) => Err(Error::Unsupported(
            "the token has a seal, but the configuration says source = \"none\"; name its seal \
             key in [seal] file"
                .into(),
        )),
        // Otherwise anybody who can write the store could put a token of his own in its place.
        (SealColumn::Inside(_), Some(_)) => Err(Error::Unsupported(
            "the token has no seal, but the configuration asks for one; say source = \"none\" in \
             [seal], or move the objects to a new token"
                .into(),
        )),
    }
}

/// Reads a slot, which must be the one that the header vouches for, with its counter of wrong PINs.
pub(crate) fn vouched(
    keys: &SealKeys,
    head: &Head,
    role: Role,
    read: impl FnOnce() -> Result<Option<Slot>>,
) -> Result<Slot> {
    let expected = head.slot_tag(role).ok_or(Error::NotInitialized)?;
    let slot = read()?.ok_or(Error::Corrupt("a PIN slot of the token is missing".into()))?;
    if sealed::tag_of(&slot.sealed) != expected {
        return Err(Error::Corrupt("a PIN slot of the token was replaced by another".into()));
    }
    check_attempts(keys, role, &slot)?;
    Ok(slot)
}

/// Refuses a counter of wrong PINs that somebody turned back.
fn check_attempts(keys: &SealKeys, role: Role, slot: &Slot) -> Result<()> {
    let Attempts { fails, next, mac } = slot.attempts;
    let right = keys.attempts_mac(role, slot.revision, fails, next)?;
    if sealed::equal(&mac, &right) {
        Ok(())
    } else {
        Err(Error::Corrupt("the counter of wrong PINs was tampered with".into()))
    }
}

/// A lock whose holder cannot leave anything half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
