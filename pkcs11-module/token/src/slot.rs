//! Slots: one for each token, and one with a token that is not initialised.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use strongroom_keystore::{Store, Token as Stored};
use strongroom_types::{Error, Result, SlotId};

use crate::error::storage;
use crate::memory::Memory;
use crate::sync::{lock, read, write};
use crate::token::Token;

/// A slot of the application, with its token once that is initialised.
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    token: RwLock<Option<Arc<Token>>>,
    /// Of the application.
    memory: Memory,
}

impl Slot {
    fn new(id: SlotId, token: Option<Arc<Stored>>, memory: Memory) -> Arc<Self> {
        let token = token.map(|stored| Arc::new(Token::new(stored, memory.clone())));
        Arc::new(Self { id, token: RwLock::new(token), memory })
    }

    /// The token, if it is initialised.
    pub(crate) fn token(&self) -> Option<Arc<Token>> {
        read(&self.token).clone()
    }

    /// The token, which must be initialised.
    pub(crate) fn initialized(&self) -> Result<Arc<Token>> {
        self.token().ok_or(Error::TokenNotRecognized)
    }

    /// Puts the token in that `make` creates, unless there is one already. Two threads that
    /// initialise the free slot at once must not make two tokens.
    pub(crate) fn put(&self, make: impl FnOnce() -> Result<Arc<Stored>>) -> Result<bool> {
        let mut token = write(&self.token);
        if token.is_some() {
            return Ok(false);
        }
        *token = Some(Arc::new(Token::new(make()?, self.memory.clone())));
        Ok(true)
    }
}

/// The slots of an application. A slot keeps its number as long as the application runs.
pub(crate) struct Slots {
    store: Arc<Store>,
    pub(crate) memory: Memory,
    list: RwLock<Vec<Arc<Slot>>>,
    events: Mutex<Events>,
    woken: Condvar,
}

/// What `C_WaitForSlotEvent` waits for.
#[derive(Default)]
struct Events {
    /// Slots whose tokens came or went, each once.
    slots: VecDeque<SlotId>,
    /// Of the store, when it was last looked at: whoever seals it takes all tokens out.
    era: u64,
    /// Nobody shall wait any longer.
    over: bool,
}

/// How often a call that waits looks at the store: no more than the state of its directory, while
/// nothing changes there.
const LOOK: Duration = Duration::from_millis(200);

/// How often it looks before it answers that there is no event yet. So nobody is kept who waits for
/// the call to come back, as the daemon is when it stops, or its caller goes away.
const LOOKS: usize = 5;

impl Slots {
    /// None yet, of an application that may have so much kept for it.
    pub(crate) fn of(store: Arc<Store>, memory: Memory) -> Self {
        let (list, events, woken) = Default::default();
        Self { store, memory, list, events, woken }
    }

    /// Looks at the store again: tokens that came have a slot, those that went have none, and one
    /// slot is free.
    pub(crate) fn refresh(&self) -> Result<()> {
        let era = self.store.era();
        // What is initialised while the store is being listed is not on the list, and stays.
        let before: Vec<_> = self.all().iter().filter_map(|slot| slot.token()).collect();
        let tokens = self.store.tokens().map_err(storage)?;
        let mut slots = write(&self.list);
        let mut changed = Vec::new();
        slots.retain(|slot| {
            let stays = slot.token().is_none_or(|token| {
                !before.iter().any(|known| Arc::ptr_eq(known, &token))
                    || tokens.iter().any(|stored| stored.id() == token.stored.id())
            });
            if !stays {
                changed.push(slot.id);
            }
            stays
        });
        let known = |slots: &[Arc<Slot>], stored: &Stored| {
            slots.iter().any(|s| s.token().is_some_and(|token| token.stored.id() == stored.id()))
        };
        for stored in &tokens {
            if !known(&slots, stored) {
                let id = unused(&slots, from_serial(&stored.serial()));
                let at =
                    slots.iter().position(|slot| slot.token().is_none()).unwrap_or(slots.len());
                let token = Some(Arc::clone(stored));
                slots.insert(at, Slot::new(id, token, self.memory.clone()));
                changed.push(id);
            }
        }
        if slots.iter().all(|slot| slot.token().is_some()) {
            let count = u64::try_from(tokens.len()).map_err(|_| Error::GeneralError)?;
            let id = unused(&slots, count);
            slots.push(Slot::new(id, None, self.memory.clone()));
        }
        let all: Vec<_> = slots.iter().map(|slot| slot.id).collect();
        drop(slots);
        let mut events = lock(&self.events);
        if events.era != era {
            events.era = era;
            changed.extend(all);
        }
        for slot in changed {
            if !events.slots.contains(&slot) {
                events.slots.push_back(slot);
            }
        }
        Ok(())
    }

    /// Forgets what has happened so far.
    pub(crate) fn forget_events(&self) {
        lock(&self.events).slots.clear();
    }

    /// A slot whose token came or went since it was last told; with `block`, one that does so soon.
    pub(crate) fn wait(&self, block: bool) -> Result<SlotId> {
        for _ in 0..if block { LOOKS } else { 1 } {
            self.refresh()?;
            let mut events = lock(&self.events);
            if events.over {
                return Err(Error::CryptokiNotInitialized);
            }
            if let Some(slot) = events.slots.pop_front() {
                return Ok(slot);
            }
            if block {
                // Why it wakes is asked above.
                drop(self.woken.wait_timeout(events, LOOK));
            }
        }
        Err(Error::NoEvent)
    }

    /// Sends those home who wait.
    pub(crate) fn end_waits(&self) {
        lock(&self.events).over = true;
        self.woken.notify_all();
    }

    /// The store has been sealed: its tokens forget what they hold, and who waits is told.
    pub(crate) fn forget(&self) {
        self.all().iter().filter_map(|slot| slot.token()).for_each(|token| token.stored.forget());
        self.woken.notify_all();
    }

    /// The slot of a number, which must have a token: one that is not initialised is present all the
    /// same, but none is as long as the store is sealed.
    pub(crate) fn present(&self, id: SlotId) -> Result<Arc<Slot>> {
        let slot = self.find(id)?;
        if self.store.is_sealed() {
            return Err(storage(strongroom_keystore::Error::Sealed));
        }
        Ok(slot)
    }

    /// All slots: those with an initialised token first.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        read(&self.list).clone()
    }

    /// The slot of a number.
    pub(crate) fn find(&self, id: SlotId) -> Result<Arc<Slot>> {
        read(&self.list).iter().find(|slot| slot.id == id).cloned().ok_or(Error::SlotIdInvalid)
    }
}

/// The number of a token's slot: the last eight hexadecimal digits of its serial number, without
/// the top bit, as SoftHSM2 numbers its slots.
fn from_serial(serial: &[u8; 16]) -> u64 {
    let digits = core::str::from_utf8(serial).unwrap_or_default().trim_end();
    let last = digits.get(digits.len().saturating_sub(8)..).unwrap_or_default();
    u64::from(u32::from_str_radix(last, 16).unwrap_or_default() & 0x7fff_ffff)
}

/// The first number from `id` on that no slot has.
fn unused(slots: &[Arc<Slot>], mut id: u64) -> SlotId {
    while slots.iter().any(|slot| slot.id.0 == id) {
        id += 1;
    }
    SlotId(id)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::{env, process};

    use strongroom_functions::Cryptoki;
    use strongroom_keystore::config::{Seal, StartKey};
    use strongroom_keystore::{Config, Locks, Opener};
    use strongroom_types::ck;

    use super::*;
    use crate::Application;

    #[test]
    fn a_sealed_store_has_slots_without_tokens_until_a_key_unseals_it_at_start() {
        let dir = env::temp_dir().join(format!("strongroom-slots-{}", process::id()));
        let (locks, key) = (dir.join("seal.locked"), dir.join("unseal.key"));
        Locks::of_new("service", Opener::Key(&[7; 32])).unwrap().write(&locks).unwrap();
        let open = |key| {
            let seal = Seal::Operator { locks: locks.clone(), key };
            Application::open(Config::plain(dir.join("store"), seal))
        };
        let start = Some(StartKey::File(key.clone()));

        let sealed = open(None).unwrap();
        assert_eq!(sealed.slot_list(true, true), Ok(vec![]));
        let slot = sealed.slot_list(false, true).unwrap()[0];
        assert_eq!(sealed.slot_info(slot).unwrap().flags, ck!(CKF_REMOVABLE_DEVICE));
        assert_eq!(sealed.token_info(slot).map(drop), Err(Error::TokenNotPresent));
        assert_eq!(sealed.open_session(slot, true), Err(Error::TokenNotPresent));
        assert_eq!(sealed.init_token(slot, b"12345678", &[b'x'; 32]), Err(Error::TokenNotPresent));
        assert_eq!(open(start.clone()).map(drop), Err(Error::GeneralError), "no such key");

        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let unsealed = open(start).unwrap();
        assert_eq!(unsealed.slot_list(true, true), Ok(vec![slot]));
        let both = ck!(CKF_REMOVABLE_DEVICE) | ck!(CKF_TOKEN_PRESENT);
        assert_eq!(unsealed.slot_info(slot).unwrap().flags, both);
        unsealed.init_token(slot, b"12345678", &[b'x'; 32]).unwrap();
        let session = unsealed.open_session(slot, true).unwrap();
        unsealed.store.seal();
        unsealed.seal();
        assert_eq!(unsealed.session_info(session).map(drop), Err(Error::SessionHandleInvalid));
        assert_eq!(unsealed.wait_for_slot_event(false), Ok(slot));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn numbers_follow_the_serial() {
        assert_eq!(from_serial(b"00000000deadbeef"), 0x5ead_beef);
        assert_eq!(from_serial(b"1234567800000001"), 1);
    }
}
