//! From a PIN to the master key.
//!
//! A slot holds the master key in two layers. The inner one is under a key that Argon2id makes of
//! the PIN, and commits to that key: a ciphertext that opens under many PINs at once, which AES-GCM
//! alone would allow, cannot be made. The outer one is under the seal key, so that without it
//! there is nothing to guess against, and the seal can be changed without any PIN.
//!
//! ```text
//! slot  = sealed(wrap, "slot", token|role|revision, inner)
//! inner = kdf(1) | memory(4) | passes(4) | lanes(4) | salt(16) | commitment(32) | blob
//! blob  = sealed(kek, "master", token|role|revision|epoch, master key)
//! ```

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Role,
    backend::{Attempts, Slot, TokenId},
    bytes::Reader,
    error::{self, Error, Result},
    keys::{Ring, SealKeys},
    memory_limit,
    pages::Blocks,
    sealed::{self, Binding, Key},
};

/// Argon2id, version 1.3.
const ARGON2ID: u8 = 1;
const DAMAGED: &str = "a PIN slot of the token is damaged or was tampered with";

/// The cost of one guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// Kibibytes of memory.
    pub(crate) memory: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl Cost {
    /// With a seal: OWASP's first recommendation, about 27 ms.
    pub(crate) const SEALED: Self = Self { memory: 19 * 1024, passes: 2, lanes: 1 };
    /// Without one the PIN stands alone: RFC 9106's second choice with one lane, about 140 ms.
    pub(crate) const UNSEALED: Self = Self { memory: 64 * 1024, passes: 3, lanes: 1 };

    /// What a damaged or forged slot may make this process spend.
    pub(crate) fn bearable(self) -> bool {
        (8..=1 << 20).contains(&self.memory)
            && (1..=64).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
    }
}

/// A key made of a PIN, which wraps the master key.
pub(crate) struct PinKey {
    cost: Cost,
    salt: [u8; 16],
    /// The wrapping key, and the key of the commitment.
    ring: Ring,
}

impl PinKey {
    /// Derives the key for a new slot.
    pub(crate) fn new(cost: Cost, token: TokenId, role: Role, pin: &[u8]) -> Result<Self> {
        Self::derive(cost, sealed::random()?, token, role, pin)
    }

    fn derive(cost: Cost, salt: [u8; 16], token: TokenId, role: Role, pin: &[u8]) -> Result<Self> {
        let stretched = stretch(cost, &salt, pin)?;
        let prk = sealed::extract("strongroom pin 1", stretched.as_slice());
        let [wrap, commitment] = ["wrap", "commitment"].map(|name| {
            sealed::expand(&prk, &[name.as_bytes(), &token, &[role.number()], &head(cost, &salt)])
        });
        Ok(Self { cost, salt, ring: Ring::new(&[&wrap, &commitment])? })
    }

    /// Makes a slot that this key opens.
    pub(crate) fn wrap(&self, at: &Place<'_>, master: &[u8; 32]) -> Result<Slot> {
        let context = at.inner();
        let binding = Binding { label: "master", context: &context };
        let blob = sealed::seal(self.ring.key(0)?, &binding, master)?;
        let head = head(self.cost, &self.salt);
        let commitment = sealed::mac(self.ring.key(1)?, &[&head, &context, &blob]);
        let inner = Zeroizing::new([head.as_slice(), &commitment, &blob].concat());
        let context = at.outer();
        let binding = Binding { label: "slot", context: &context };
        let sealed = sealed::seal(at.keys.wrap()?, &binding, &inner)?;
        let mac = at.keys.attempts_mac(at.role, at.revision, 0, 0)?;
        Ok(Slot { revision: at.revision, sealed, attempts: Attempts { fails: 0, next: 0, mac } })
    }
}

/// Where a slot is, and what it is bound to.
pub(crate) struct Place<'a> {
    pub(crate) keys: &'a SealKeys,
    pub(crate) token: TokenId,
    pub(crate) role: Role,
    pub(crate) revision: u64,
    pub(crate) epoch: u32,
}

impl Place<'_> {
    fn outer(&self) -> Vec<u8> {
        let parts: [&[u8]; 3] = [&self.token, &[self.role.number()], &self.revision.to_le_bytes()];
        parts.concat()
    }

    fn inner(&self) -> Vec<u8> {
        [self.outer().as_slice(), &self.epoch.to_le_bytes()].concat()
    }

    /// Whether all of a slot is as it was sealed, which shows without its PIN.
    pub(crate) fn verify(&self, sealed: &[u8]) -> Result<()> {
        let inner = self.open(sealed)?;
        Inner::parse(&inner).map(drop).ok_or(Error::Corrupt(DAMAGED.into()))
    }

    /// Opens the outer layer.
    fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let context = self.outer();
        let binding = Binding { label: "slot", context: &context };
        sealed::open(self.keys.wrap()?, &binding, sealed, DAMAGED)
    }

    /// Opens a slot with a PIN: the master key, and the key that wraps it.
    pub(crate) fn unwrap(&self, sealed: &[u8], pin: &[u8]) -> Result<(Key, PinKey)> {
        let inner = self.open(sealed)?;
        let inner = Inner::parse(&inner).ok_or(Error::Corrupt(DAMAGED.into()))?;
        let key = PinKey::derive(inner.cost, inner.salt, self.token, self.role, pin)?;
        let context = self.inner();
        let head = head(inner.cost, &inner.salt);
        let commitment = sealed::mac(key.ring.key(1)?, &[&head, &context, inner.blob]);
        if !sealed::equal(&commitment, &inner.commitment) {
            return Err(Error::WrongPin);
        }
        let binding = Binding { label: "master", context: &context };
        let master = sealed::open(key.ring.key(0)?, &binding, inner.blob, DAMAGED)?;
        let master =
            <&[u8; 32]>::try_from(master.as_slice()).map_err(|_| Error::Corrupt(DAMAGED.into()))?;
        Ok((Key::copy(master), key))
    }
}

struct Inner<'a> {
    cost: Cost,
    salt: [u8; 16],
    commitment: [u8; 32],
    blob: &'a [u8],
}

impl<'a> Inner<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Reader(bytes);
        let known = bytes.u8()? == ARGON2ID;
        let cost = Cost { memory: bytes.u32()?, passes: bytes.u32()?, lanes: bytes.u32()? };
        let (salt, commitment) = (bytes.array()?, bytes.array()?);
        (known && cost.bearable()).then_some(Self { cost, salt, commitment, blob: bytes.rest() })
    }
}

fn head(cost: Cost, salt: &[u8; 16]) -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        &[ARGON2ID],
        &cost.memory.to_le_bytes(),
        &cost.passes.to_le_bytes(),
        &cost.lanes.to_le_bytes(),
        salt,
    ];
    parts.concat()
}

/// Argon2id over what a person knows.
pub(crate) fn stretch(cost: Cost, salt: &[u8; 16], pin: &[u8]) -> Result<Key> {
    let Cost { memory, passes, lanes } = cost;
    if !memory_limit::allows(u64::from(memory) * 1024) {
        return Err(Error::OutOfMemory);
    }
    let params =
        Params::new(memory, passes, lanes, Some(32)).map_err(|_| Error::Corrupt(DAMAGED.into()))?;
    let blocks = Blocks::new(params.block_count()).map_err(error::io)?;
    let mut key = Key::zero();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(pin, salt, key.as_mut_slice(), blocks)
        .map_err(|_| {
            Error::Unsupported("the PIN or passphrase is longer than can be stretched".into())
        })?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 8, passes: 1, lanes: 1 };

    fn place(keys: &SealKeys) -> Place<'_> {
        Place { keys, token: [1; 16], role: Role::User, revision: 1, epoch: 1 }
    }

    #[test]
    fn only_the_pin_opens_and_only_there() {
        let keys = SealKeys::derive(&[9; 32], [1; 16]).unwrap();
        let at = place(&keys);
        let pin = PinKey::new(CHEAP, [1; 16], Role::User, b"1234").unwrap();
        let slot = pin.wrap(&at, &[5; 32]).unwrap();
        let (master, _) = at.unwrap(&slot.sealed, b"1234").unwrap();
        assert_eq!(*master, [5; 32]);
        assert!(matches!(at.unwrap(&slot.sealed, b"1235"), Err(Error::WrongPin)));
        assert!(matches!(at.unwrap(&slot.sealed, b""), Err(Error::WrongPin)));

        let old = Place { revision: 2, ..place(&keys) };
        assert!(matches!(old.unwrap(&slot.sealed, b"1234"), Err(Error::Corrupt(_))));
        let other = Place { role: Role::SecurityOfficer, ..place(&keys) };
        assert!(matches!(other.unwrap(&slot.sealed, b"1234"), Err(Error::Corrupt(_))));
        let strange = SealKeys::derive(&[8; 32], [1; 16]).unwrap();
        let stolen = Place { keys: &strange, ..place(&keys) };
        assert!(matches!(stolen.unwrap(&slot.sealed, b"1234"), Err(Error::Corrupt(_))));
    }

    #[test]
    fn own_memory_gives_what_any_memory_gives() {
        let cost = Cost { memory: 64, passes: 2, lanes: 1 };
        let key = stretch(cost, b"saltsaltsaltsalt", b"1234").unwrap();
        let mut other = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 2, 1, Some(32)).unwrap())
            .hash_password_into(b"1234", b"saltsaltsaltsalt", &mut other)
            .unwrap();
        assert_eq!(*key, other);
    }

    #[test]
    fn a_slot_cannot_ask_for_any_cost() {
        for cost in [
            Cost { memory: 1 << 21, ..Cost::SEALED },
            Cost { passes: 0, ..Cost::SEALED },
            Cost { lanes: 17, ..Cost::SEALED },
        ] {
            assert!(!cost.bearable());
        }
        assert!(Cost::SEALED.bearable() && Cost::UNSEALED.bearable());
    }
}
