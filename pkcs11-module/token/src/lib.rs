//! Applications, slots, tokens, sessions, login, objects, search and operations: what chapters 3 to
//! 5 of the standard say, without a pointer in sight.
//!
//! In PKCS#11, sessions, logins, handles and session objects belong to the *application*, and
//! objects belong to the *token*. In the module there is one [`Application`] for the process; in the
//! daemon there is one for each process that it serves, all over one [`Store`].
//!
//! Locks, outermost first: the slots, the map of sessions, one session, a token's login, its
//! objects (session objects, cache, handles), the keystore. No two sessions are locked at once, and
//! cryptography runs under no lock but its own session's.

#![forbid(unsafe_code)]

mod application;
mod cache;
mod certificate;
mod compatible;
mod crypto;
mod derive;
mod encapsulate;
mod error;
mod handles;
mod keys;
mod login;
mod memory;
mod message;
mod moved;
mod object;
mod operation;
mod own;
mod quota;
mod recall;
mod rules;
mod search;
mod separation;
mod session;
mod sessions;
mod slot;
mod state;
mod sync;
mod template;
mod token;

pub use application::Application;
pub use login::PIN_LEN;
pub use memory::{Held, Memory};
pub use moved::{Moved, Refusal, settle};
pub use object::found_by;
pub use quota::Quota;
pub use rules::{CERTIFICATE_TYPES, CertificateType, OBJECT_CLASSES, OWN_CLASSES, ObjectClass};
pub use separation::{SEPARATION, SeparationRule};
pub use strongroom_keystore::config::{Config, Level, Log, Target};
pub use strongroom_keystore::{
    ConfigError, Error as StoreError, KeyPolicy, Opener, Store, keep_secrets_on_heap, quiesce,
};
pub use strongroom_mechanisms::{MOST_ROUNDS, keep_at_most, prepare};

use strongroom_functions::Hasher;
use strongroom_mechanisms::{Digest, Policy};
use strongroom_types::{Bytes, Layout, MechanismType, Params, Result};

/// The standard's name of a mechanism; `None` if there is no such mechanism.
pub fn mechanism_name(mechanism: MechanismType) -> Option<&'static str> {
    Policy::Legacy.mechanism(mechanism).ok().map(|row| row.name)
}

/// The parameter layouts that a mechanism accepts, whether or not it may be used; `None` if there
/// is no such mechanism.
pub fn layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    Policy::Legacy.mechanism(mechanism).ok().map(|row| row.params)
}

/// The same for the parameter of a message; `None` if the mechanism encrypts no messages.
pub fn message_layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    Policy::Legacy.mechanism(mechanism).ok()?.message.map(|aead| aead.layouts)
}

/// What computes the digest of a mechanism for somebody whose keys are elsewhere; `None` if there is
/// no such mechanism.
pub fn hasher(mechanism: MechanismType) -> Option<Box<dyn Hasher>> {
    struct Hashing(Box<dyn Digest>);
    impl Hasher for Hashing {
        fn update(&mut self, part: &[u8]) -> Result<()> {
            self.0.update(part)
        }
        fn finish(self: Box<Self>) -> Result<Bytes> {
            self.0.finish()
        }
    }
    let start = Policy::Legacy.mechanism(mechanism).ok()?.digest?;
    Some(Box::new(Hashing(start(&Params::NONE).ok()?)))
}
