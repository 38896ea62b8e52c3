//! What the threads of a soak do: steps of an application's day, each with its share.

use std::cell::Cell;

use cryptoki_sys::*;

use crate::Result;
use crate::basics::{GCM, HMAC, secret};
use crate::client::{Mechanism, Object, Session, Value};
use crate::objects;
use crate::signatures::{Key, P256};
use crate::token::Token;

/// Something that a thread does, and is timed as a whole.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// How many of a hundred steps are this one.
    share: u64,
    run: fn(&Worker) -> Result,
}

/// All steps. Their shares are a hundred.
pub(crate) static MIX: &[Step] = &[
    Step { name: "Sign, ECDSA P-256", share: 20, run: sign },
    Step { name: "HMAC-SHA256, 64 B, with a key found by its id", share: 20, run: hmac },
    Step { name: "AES-256-GCM, 64 B", share: 20, run: encrypt },
    Step { name: "Attribute read", share: 20, run: read },
    Step { name: "Session opened and closed", share: 10, run: session },
    Step { name: "Session key generated and destroyed", share: 8, run: session_key },
    Step { name: "P-256 token key pair generated and destroyed", share: 2, run: token_key },
];

/// The keys that are used again and again, beside the objects that the token was filled with.
pub(crate) struct Keys {
    /// Key pairs of P-256.
    pairs: Vec<(Object, Object)>,
    /// AES keys.
    secrets: Vec<Object>,
}

impl Keys {
    /// Makes so many of each kind.
    pub(crate) fn make(token: &Token, count: u32) -> Result<Self> {
        let pairs = (0..count).map(|_| pair(token, token.session()?)).collect::<Result<_>>()?;
        let secret = |_| secret(token, CKM_AES_KEY_GEN, CKA_ENCRYPT);
        Ok(Self { pairs, secrets: (0..count).map(secret).collect::<Result<_>>()? })
    }

    /// Leaves the token as it was.
    pub(crate) fn destroy(&self, token: &Token) -> Result {
        let pairs = self.pairs.iter().flat_map(|(public, private)| [public, private]);
        for key in pairs.chain(&self.secrets) {
            token.module.destroy(token.session()?, *key)?;
        }
        Ok(())
    }
}

/// A thread that does steps, with a session of its own.
pub(crate) struct Worker<'a> {
    pub(crate) token: &'a Token,
    pub(crate) keys: &'a Keys,
    pub(crate) session: Session,
    /// How many objects the token was filled with.
    pub(crate) objects: u32,
    pub(crate) dice: Dice,
}

impl Worker<'_> {
    /// The step that comes next, and its place among all.
    pub(crate) fn next(&self) -> Result<(usize, &'static Step)> {
        let mut left = self.dice.below(100)?;
        for (place, step) in MIX.iter().enumerate() {
            match left.checked_sub(step.share) {
                Some(less) => left = less,
                None => return Ok((place, step)),
            }
        }
        Err("the shares of the steps are less than a hundred".into())
    }

    pub(crate) fn run(&self, step: &Step) -> Result {
        (step.run)(self).map_err(|error| format!("{}: {error}", step.name).into())
    }

    fn any<'k, T>(&self, keys: &'k [T]) -> Result<&'k T> {
        let place = self.dice.below(u64::try_from(keys.len())?)?;
        keys.get(usize::try_from(place)?).ok_or_else(|| "there is no such key".into())
    }
}

/// Numbers without a pattern, the same in each run: Marsaglia's xorshift.
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    /// A thread's own.
    pub(crate) fn new(thread: usize) -> Result<Self> {
        // Any number but zero will do, and small ones take a while to get going.
        Ok(Self(Cell::new(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::try_from(thread)? + 1))))
    }

    fn below(&self, end: u64) -> Result<u64> {
        let mut number = self.0.get();
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        self.0.set(number);
        // The high bits are the better ones.
        (number >> 32).checked_rem(end).ok_or_else(|| "there is nothing to choose from".into())
    }
}

fn sign(worker: &Worker) -> Result {
    let (_, key) = *worker.any(&worker.keys.pairs)?;
    let (module, mechanism) = (&worker.token.module, Mechanism::plain(CKM_ECDSA));
    module.sign(worker.session, mechanism, key, &[7; 32], &mut [0; 64]).map(drop)
}

fn hmac(worker: &Worker) -> Result {
    let number = worker.dice.below(worker.objects.into())?;
    let id = objects::id(u32::try_from(number)?);
    let module = &worker.token.module;
    let (_, key) = module.find(worker.session, &[(CKA_ID, Value::Bytes(&id))])?;
    let key = key.ok_or("the key is not found")?;
    module.sign(worker.session, HMAC, key, &[7; 64], &mut [0; 32]).map(drop)
}

fn encrypt(worker: &Worker) -> Result {
    let key = *worker.any(&worker.keys.secrets)?;
    worker.token.module.encrypt(worker.session, GCM, key, &[7; 64], &mut [0; 80]).map(drop)
}

fn read(worker: &Worker) -> Result {
    let (_, key) = *worker.any(&worker.keys.pairs)?;
    worker.token.module.read(worker.session, key, CKA_LABEL, &mut [0; 64]).map(drop)
}

fn session(worker: &Worker) -> Result {
    let module = &worker.token.module;
    module.close(module.open(worker.token.slot)?)
}

fn session_key(worker: &Worker) -> Result {
    let template = [(CKA_VALUE_LEN, Value::Ulong(32)), (CKA_ENCRYPT, Value::True)];
    let (module, mechanism) = (&worker.token.module, Mechanism::plain(CKM_AES_KEY_GEN));
    let key = module.generate(worker.session, mechanism, &template)?;
    module.destroy(worker.session, key)
}

fn token_key(worker: &Worker) -> Result {
    let (public, private) = pair(worker.token, worker.session)?;
    worker.token.module.destroy(worker.session, public)?;
    worker.token.module.destroy(worker.session, private)
}

fn pair(token: &Token, session: Session) -> Result<(Object, Object)> {
    Key::Ec(CKM_EC_KEY_PAIR_GEN, P256).generate_in(token, session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_a_hundred() {
        assert_eq!(MIX.iter().map(|step| step.share).sum::<u64>(), 100);
    }

    #[test]
    fn dice_fall_on_every_side_and_threads_have_their_own() {
        let (one, other) = (Dice::new(0).unwrap(), Dice::new(1).unwrap());
        let throws = |dice: &Dice| (0..1_000).map(|_| dice.below(6).unwrap()).collect::<Vec<_>>();
        let (one, other) = (throws(&one), throws(&other));
        assert_ne!(one, other);
        for side in 0..6 {
            let count = one.iter().filter(|throw| **throw == side).count();
            assert!((100..=240).contains(&count), "{side} comes {count} times of 1,000");
        }
    }
}
