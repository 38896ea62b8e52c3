//! PINs: checking, counting, changing.
//!
//! A wrong PIN is counted durably before the answer is given. The first two cost nothing more;
//! after that each attempt has to wait longer, up to five seconds, whichever process makes it.
//! A right PIN writes nothing, unless there is a count to reset.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    Role,
    backend::{Attempts, Op, Slot, TokenId},
    config::SoReset,
    error::{Error, Result},
    head::Sum,
    keys::{self, ObjectKeys, Ring, SealColumn},
    pin::{Cost, PinKey, Place},
    sealed::Key,
    token::{Known, Plan, Token},
};

/// The longest wait before an attempt.
const LONGEST: Duration = Duration::from_secs(5);
/// The first wait, after the third wrong PIN; it doubles with each.
const SHORTEST: Duration = Duration::from_millis(250);

/// How long a wrong PIN waits to be counted while others write.
const COUNTED: Duration = Duration::from_secs(60);

/// The keys of a token, after a PIN was right. They are wiped when this is dropped.
///
/// Both roles hold the same master key: what the security officer may see is the caller's rule,
/// not cryptography.
pub struct Unlocked {
    pub(crate) token: TokenId,
    pub(crate) objects: ObjectKeys,
    pub(crate) master_name: [u8; 16],
    role: Role,
    officer: Option<Officer>,
}

/// What only the security officer needs.
struct Officer {
    /// Wrapped for the user when he gets a PIN.
    master: Ring,
    /// Wraps a new master key, if the old one is discarded.
    pin: PinKey,
}

impl Unlocked {
    /// Whose PIN it was.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    fn new(token: TokenId, role: Role, epoch: u32, master: &Key, pin: PinKey) -> Result<Self> {
        let officer = match role {
            Role::SecurityOfficer => Some(Officer { master: Ring::new(&[master])?, pin }),
            Role::User => None,
        };
        let objects = ObjectKeys::derive(master, token, epoch)?;
        Ok(Self { token, objects, master_name: keys::master_name(master, token), role, officer })
    }
}

/// A slot that a PIN opened.
pub(crate) struct Opened {
    pub(crate) slot: Slot,
    pub(crate) epoch: u32,
    pub(crate) master: Key,
    pin: PinKey,
}

/// How often a change that a PIN allows is begun again because the slot that the PIN opened was
/// replaced.
const TRIES: usize = 8;

/// Makes a change that a PIN allows; again, if what the PIN opened is there no more: another change
/// came first, after which the same PIN may still be right, or not.
pub(crate) fn insistently<T>(mut change: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..TRIES {
        match change() {
            Err(Error::Conflict) => {}
            outcome => return outcome,
        }
    }
    Err(Error::Busy)
}

impl Token {
    /// Checks a PIN and gives the keys that it opens.
    ///
    /// Takes about 30 ms (150 ms without a seal), and up to 5 s more after wrong PINs. Up to
    /// 10,000 objects it also verifies that none was removed or put back in an older state.
    ///
    /// # Errors
    /// [`Error::WrongPin`], counted; [`Error::PinLocked`]; [`Error::NotInitialized`] if the user
    /// has no PIN; [`Error::OutOfMemory`] if the memory limit is too near; [`Error::Corrupt`] if
    /// the token was tampered with.
    pub fn unlock(&self, role: Role, pin: &[u8]) -> Result<Unlocked> {
        loop {
            let Opened { epoch, master, pin: key, .. } = self.open_slot(role, pin)?;
            self.audit_if_small()?;
            let unlocked = Unlocked::new(self.id, role, epoch, &master, key)?;
            // Else somebody has replaced the master key meanwhile.
            if self.holds(&unlocked)? {
                return Ok(unlocked);
            }
        }
    }

    /// Whether these keys are those of the present master key, and so of use. It costs as little as
    /// [`Token::version`].
    ///
    /// # Errors
    /// As [`Token::status`].
    pub fn holds(&self, keys: &Unlocked) -> Result<bool> {
        Ok(self.opens(keys, &*self.known()?))
    }

    /// Checks a PIN, as [`Token::unlock`] does, for a login of one operation.
    ///
    /// # Errors
    /// As [`Token::unlock`].
    pub fn verify(&self, role: Role, pin: &[u8]) -> Result<()> {
        self.open_slot(role, pin).map(drop)
    }

    /// Changes a PIN. No object is sealed again: the same master key gets a new wrapping.
    ///
    /// # Errors
    /// As [`Token::unlock`] for the old PIN; [`Error::ReadOnly`], [`Error::Full`] or
    /// [`Error::Busy`] if the store cannot be written.
    pub fn set_pin(&self, role: Role, old: &[u8], new: &[u8]) -> Result<()> {
        insistently(|| self.wrap_again(role, old, new))
    }

    fn wrap_again(&self, role: Role, old: &[u8], new: &[u8]) -> Result<()> {
        let opened = self.open_slot(role, old)?;
        let key = self.pin_key(role, new)?;
        let revision = next(opened.slot.revision)?;
        self.transact(|known| {
            self.unchanged(known, role, &opened)?;
            let slot = key.wrap(&self.place(known, role, revision), &opened.master)?;
            let mut head = known.head.clone();
            head.note_slot(role, Some(&slot));
            let ops = vec![Op::Slot { role, slot: Some(slot) }];
            Ok(Plan { head, ops, changed: Some(Vec::new()) })
        })
    }

    /// Sets the user's PIN, the first one or a new one, and forgets wrong attempts.
    ///
    /// Under `so_reset = "wipe"` replacing a PIN destroys the private objects and the master key:
    /// `so` opens no private object any more, and the security officer logs in again to go on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is something to wipe in a token that was tampered with;
    /// [`Error::Locked`] unless `so` is the security officer's and of the present master key;
    /// [`Error::Denied`] under `so_reset = "deny"` if a PIN is set; [`Error::ReadOnly`],
    /// [`Error::Full`] or [`Error::Busy`] if the store cannot be written.
    pub fn set_user_pin(&self, so: &Unlocked, new: &[u8]) -> Result<()> {
        let key = self.pin_key(Role::User, new)?;
        self.transact(|known| {
            let Some(officer) = so.officer.as_ref().filter(|_| self.opens(so, known)) else {
                return Err(Error::Locked);
            };
            let replaces = known.head.slot_tag(Role::User).is_some();
            match self.policy.so_reset {
                SoReset::Deny if replaces => Err(Error::Denied),
                SoReset::Wipe if replaces => self.wipe_private(known, &officer.pin, &key),
                _ => self.wrap_for_user(known, officer.master.key(0)?, &key),
            }
        })
    }

    /// Initializes the token again: a new master key, no objects, no user PIN, and the policy for keys
    /// that the configuration says; in one commit.
    ///
    /// # Errors
    /// As [`Token::unlock`] for the security officer's PIN; [`Error::ReadOnly`],
    /// [`Error::Full`] or [`Error::Busy`] if the store cannot be written.
    pub fn initialize(&self, so_pin: &[u8], label: &[u8; 32]) -> Result<()> {
        insistently(|| self.begin_again(so_pin, label))
    }

    fn begin_again(&self, so_pin: &[u8], label: &[u8; 32]) -> Result<()> {
        let role = Role::SecurityOfficer;
        let opened = self.open_slot(role, so_pin)?;
        let key = self.pin_key(role, so_pin)?;
        let master = keys::new_master()?;
        let revision = next(opened.slot.revision)?;
        self.transact(|known| {
            self.unchanged(known, role, &opened)?;
            let mut head = known.head.clone();
            head.label = *label;
            head.epoch = next_epoch(head.epoch)?;
            head.born = head.epoch;
            head.master = keys::master_name(&master, self.id);
            (head.count, head.sum) = (0, Sum::default());
            head.policy = self.policy.keys;
            let place = Place { epoch: head.epoch, ..self.place(known, role, revision) };
            let slot = key.wrap(&place, &master)?;
            head.note_slot(role, Some(&slot));
            head.note_slot(Role::User, None);
            let ops = vec![
                Op::Wipe { private_only: false },
                Op::Slot { role, slot: Some(slot) },
                Op::Slot { role: Role::User, slot: None },
            ];
            Ok(Plan { head, ops, changed: None })
        })
    }

    /// Says whether these keys are of this token's present master key.
    pub(crate) fn opens(&self, keys: &Unlocked, known: &Known) -> bool {
        keys.token == self.id && keys.master_name == known.head.master
    }

    fn wrap_for_user(&self, known: &Known, master: &[u8; 32], key: &PinKey) -> Result<Plan> {
        let slot =
            key.wrap(&self.place(known, Role::User, self.next_revision(Role::User)?), master)?;
        let mut head = known.head.clone();
        head.note_slot(Role::User, Some(&slot));
        let ops = vec![Op::Slot { role: Role::User, slot: Some(slot) }];
        Ok(Plan { head, ops, changed: Some(Vec::new()) })
    }

    fn wipe_private(&self, known: &Known, officer: &PinKey, user: &PinKey) -> Result<Plan> {
        // A new set hash over what is there must not make a tampered token whole.
        self.audit()?;
        let master = keys::new_master()?;
        let mut head = known.head.clone();
        head.epoch = next_epoch(head.epoch)?;
        head.master = keys::master_name(&master, self.id);
        (head.count, head.sum) = self.sum_of_public(known)?;
        let mut ops = vec![Op::Wipe { private_only: true }];
        for (role, key) in [(Role::SecurityOfficer, officer), (Role::User, user)] {
            let revision = self.next_revision(role)?;
            let place = Place { epoch: head.epoch, ..self.place(known, role, revision) };
            let slot = key.wrap(&place, &master)?;
            head.note_slot(role, Some(&slot));
            ops.push(Op::Slot { role, slot: Some(slot) });
        }
        Ok(Plan { head, ops, changed: None })
    }

    fn next_revision(&self, role: Role) -> Result<u64> {
        next(self.backend.slot(role)?.map_or(0, |slot| slot.revision))
    }

    /// Derives the key for a new slot, one derivation at a time.
    pub(crate) fn pin_key(&self, role: Role, pin: &[u8]) -> Result<PinKey> {
        let known = self.known()?;
        let _turn = self.pins.turn();
        PinKey::new(cost(&known.seal), self.id, role, pin)
    }

    /// The slot that was opened must still be there; else there is something else to open.
    pub(crate) fn unchanged(&self, known: &Known, role: Role, opened: &Opened) -> Result<()> {
        let tag = crate::sealed::tag_of(&opened.slot.sealed);
        let same = known.head.slot_tag(role) == Some(tag) && known.head.epoch == opened.epoch;
        if same { Ok(()) } else { Err(Error::Conflict) }
    }

    pub(crate) fn open_slot(&self, role: Role, pin: &[u8]) -> Result<Opened> {
        let mut waited = false;
        loop {
            let turn = self.pins.turn();
            let known = self.known()?;
            let slot = match self.slot(&known, role) {
                // Somebody may have changed the PIN between the two reads.
                Err(Error::Corrupt(_)) if self.reread()?.version != known.version => continue,
                outcome => outcome?,
            };
            let fails = self.fails(role, &slot.attempts);
            if self.policy.lockout.is_some_and(|limit| fails >= limit) {
                return Err(Error::PinLocked);
            }
            let wait = self.delay(role, &slot.attempts);
            if !waited && !wait.is_zero() {
                // Once: whoever guesses in parallel must not keep the rightful user out. It is
                // the lockout alone that bounds parallel guesses.
                drop(turn);
                thread::sleep(wait);
                waited = true;
                continue;
            }
            return self.attempt(&known, role, slot, pin).map_err(|error| self.damaged(error));
        }
    }

    fn attempt(&self, known: &Known, role: Role, slot: Slot, pin: &[u8]) -> Result<Opened> {
        match self.place(known, role, slot.revision).unwrap(&slot.sealed, pin) {
            Ok((master, pin)) => {
                if keys::master_name(&master, self.id) != known.head.master {
                    return Err(Error::Corrupt("a PIN slot holds the key of another token".into()));
                }
                self.forgive(known, role, &slot);
                Ok(Opened { slot, epoch: known.head.epoch, master, pin })
            }
            Err(Error::WrongPin) => {
                self.count(known, role, slot);
                Err(Error::WrongPin)
            }
            Err(error) => Err(error),
        }
    }

    /// How long an attempt has to wait. The clock may be wrong: never longer than the failures
    /// themselves ask for.
    fn delay(&self, role: Role, attempts: &Attempts) -> Duration {
        let fails = self.fails(role, attempts);
        if fails > attempts.fails {
            return delay_after(fails);
        }
        let left = Duration::from_millis(attempts.next.saturating_sub(now()));
        left.min(delay_after(attempts.fails))
    }

    /// The wrong PINs since the last right one, with those that could not be stored.
    pub(crate) fn fails(&self, role: Role, attempts: &Attempts) -> u32 {
        attempts.fails.saturating_add(self.uncounted(role).load(Ordering::Acquire))
    }

    fn uncounted(&self, role: Role) -> &std::sync::atomic::AtomicU32 {
        let [officer, user] = &self.uncounted;
        match role {
            Role::SecurityOfficer => officer,
            Role::User => user,
        }
    }

    /// Counts a wrong PIN. Where the store cannot be written this process remembers it.
    fn count(&self, known: &Known, role: Role, mut slot: Slot) {
        let began = Instant::now();
        loop {
            let fails = slot.attempts.fails.saturating_add(1);
            let delay = u64::try_from(delay_after(fails).as_millis()).unwrap_or(u64::MAX);
            match self.set_attempts(known, role, &slot, fails, now().saturating_add(delay)) {
                Ok(true) => return,
                // Verified: what somebody put there must not be signed.
                Ok(false) => match self.slot(known, role) {
                    Ok(now) if now.revision == slot.revision => slot = now,
                    // Somebody changed the PIN, or the slot.
                    _ => break,
                },
                // Somebody has the store for long: a new master key for very many objects, say.
                Err(Error::Busy) if began.elapsed() < COUNTED => {}
                Err(_) => break,
            }
        }
        // For this process at least.
        self.uncounted(role).fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets wrong PINs after a right one.
    fn forgive(&self, known: &Known, role: Role, slot: &Slot) {
        self.uncounted(role).store(0, Ordering::Release);
        if slot.attempts.fails > 0 {
            // The PIN was right; a store that cannot be written now will be told another time.
            let _ = self.set_attempts(known, role, slot, 0, 0);
        }
    }

    fn set_attempts(
        &self,
        known: &Known,
        role: Role,
        slot: &Slot,
        fails: u32,
        next: u64,
    ) -> Result<bool> {
        let mac = known.keys.attempts_mac(role, slot.revision, fails, next)?;
        let now = Attempts { fails, next, mac };
        self.backend.attempts(role, slot.revision, &slot.attempts, &now)
    }
}

/// The cost of a PIN, by whether there is a seal.
pub(crate) fn cost(seal: &[u8]) -> Cost {
    if SealColumn::is_outside(seal) { Cost::SEALED } else { Cost::UNSEALED }
}

/// How long to wait before the next attempt, after so many wrong ones.
pub(crate) fn delay_after(fails: u32) -> Duration {
    match fails.checked_sub(3) {
        None => Duration::ZERO,
        Some(more) => SHORTEST.saturating_mul(1 << more.min(16)).min(LONGEST),
    }
}

pub(crate) fn next(revision: u64) -> Result<u64> {
    revision.checked_add(1).ok_or(Error::Full)
}

pub(crate) fn next_epoch(epoch: u32) -> Result<u32> {
    epoch.checked_add(1).ok_or(Error::Full)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, PinState, Store, config::Seal, scratch::Scratch};

    #[test]
    fn what_could_not_be_stored_locks_too() {
        let dir = Scratch::new();
        let seal = Seal::File(dir.path().join("seal/seal.key"));
        let mut config = Config::plain(dir.path().join("store"), seal);
        config.pin_lockout = Some(2);
        let store = Store::open(&config).unwrap();
        let role = Role::SecurityOfficer;
        let token = store.create(&[b'x'; 32], b"87654321").unwrap();
        token.verify(role, b"bad").unwrap_err();
        assert_eq!(token.status().unwrap().so_pin, PinState::FinalTry);
        token.uncounted(role).store(1, Ordering::Release);
        assert_eq!(token.status().unwrap().so_pin, PinState::Locked);
        assert!(matches!(token.verify(role, b"87654321"), Err(Error::PinLocked)));
    }

    #[test]
    fn delays_grow_to_five_seconds() {
        let delays: Vec<_> = (0..12).map(|fails| delay_after(fails).as_millis()).collect();
        assert_eq!(delays[..9], [0, 0, 0, 250, 500, 1000, 2000, 4000, 5000]);
        assert_eq!(delay_after(u32::MAX), LONGEST);
    }
}
