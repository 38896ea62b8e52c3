//! What must not show in the number of instructions: whether a PKCS#1 v1.5 ciphertext is well padded.
//!
//! Each wrong ciphertext has a partner that is right and is answered by as many bytes; how many they are the
//! answer tells anyway. Both are decrypted, and must cost the same to an instruction; and unwrapped, where the
//! key that comes of it goes into tables of random layout. What AWS-LC executes, whose blinding is by chance,
//! is left out as it is elsewhere.

use std::fs;
use std::path::Path;

use cryptoki_sys::*;

use crate::Result;
use crate::client::{Mechanism, Object, Value};
use crate::instructions::{Profile, Repeat, measured, valgrind};
use crate::rows::Turn;
use crate::sides::Place;
use crate::token::Token;

const RAW: Mechanism = Mechanism::plain(CKM_RSA_X_509);
const PKCS1: Mechanism = Mechanism::plain(CKM_RSA_PKCS);

/// The length of the modulus, and of the block before it is encrypted.
const LEN: usize = 256;
/// How long the keys are that are unwrapped: those of ChaCha20 have one length.
const KEY_LEN: usize = 32;

/// How often each is done before it counts, and while it does.
const BEFORE: u32 = 2;
const TIMES: u32 = 2;
/// How often it is counted: the least of all counts.
const RUNS: usize = 4;

/// What a step more in a table costs, and how many there may be by chance in what is counted least.
const STEP: u64 = 26;
const STEPS: u64 = 4;

/// What is encrypted: two bytes, some that are not zero, a zero if there is room for one, and a message.
struct Block {
    name: &'static str,
    head: [u8; 2],
    padding: usize,
}

impl Block {
    const fn right(message: usize) -> Self {
        Self { name: "right", head: [0, 2], padding: LEN - 3 - message }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        bytes.resize(2 + self.padding, 7);
        bytes.push(0);
        bytes.resize(LEN, 9);
        bytes
    }
}

const SOME: usize = Block::right(KEY_LEN).padding;

/// What is wrong for everybody.
static WRONG: [Block; 5] = [
    Block { name: "wrong first byte", head: [1, 2], padding: SOME },
    Block { name: "wrong second byte", head: [0, 1], padding: SOME },
    Block { name: "no zero", head: [0, 2], padding: LEN - 2 },
    Block { name: "zero at once", head: [0, 2], padding: 0 },
    Block { name: "zero too early", head: [0, 2], padding: 7 },
];

/// What is wrong for keys of one length.
static WRONG_LENGTH: [Block; 2] = [
    Block { name: "message too long", head: [0, 2], padding: SOME - 1 },
    Block { name: "message too short", head: [0, 2], padding: LEN - 3 },
];

/// The ways to see what a ciphertext has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Decrypt,
    Unwrap,
}

impl Way {
    /// By how many instructions two may differ that are alike.
    fn chance(self) -> u64 {
        match self {
            Self::Decrypt => 0,
            Self::Unwrap => STEPS * STEP,
        }
    }
}

/// What is compared, in the order in which it is counted: the wrong one, and then its partner.
fn pairs() -> impl Iterator<Item = (Way, &'static Block)> {
    let decrypted = WRONG.iter().map(|block| (Way::Decrypt, block));
    let unwrapped = WRONG.iter().chain(&WRONG_LENGTH).map(|block| (Way::Unwrap, block));
    decrypted.chain(unwrapped)
}

/// Counts, and compares.
pub(crate) fn check(place: &Place, folder: &Path) -> Result {
    let dumps = folder.join("alike.out");
    valgrind(place, "alike", &dumps)?;
    println!("\n| Instructions of ours for each | wrong | right |\n|---|--:|--:|");
    let mut numbers = 1..;
    let mut least = || -> Result<u64> {
        let paths = numbers.by_ref().take(RUNS);
        let counts = paths.map(|number| {
            let text = fs::read_to_string(dumps.with_extension(format!("out.{number}")))?;
            Ok(Profile::parse(&text, place.module()).count(TIMES))
        });
        let counts = counts.collect::<Result<Vec<_>>>()?;
        counts.into_iter().min().ok_or_else(|| "nothing was counted".into())
    };
    let mut differ = Vec::new();
    for (way, block) in pairs() {
        let (wrong, right) = (least()?, least()?);
        let name = format!("{way:?}, {}", block.name);
        println!("| {name} | {wrong} | {right} |");
        if wrong.abs_diff(right) > way.chance() {
            differ.push(name);
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(format!("the padding of a ciphertext shows: {}", differ.join("; ")).into())
}

/// Decrypts and unwraps each a number of times.
pub(crate) fn repeat(arguments: &Repeat) -> Result {
    let token = Token::open(&arguments.module)?;
    let turn = Turn::new(&token, 0)?;
    let keys = keys(&turn)?;
    for (way, block) in pairs() {
        let wrong = keys.encrypt(&turn, block)?;
        let len = match way {
            Way::Decrypt => keys.decrypt(&turn, &wrong)?,
            Way::Unwrap => KEY_LEN,
        };
        let right = keys.encrypt(&turn, &Block::right(len))?;
        for ciphertext in [wrong, right] {
            let work = || match way {
                Way::Decrypt => keys.decrypt(&turn, &ciphertext).map(drop),
                Way::Unwrap => keys.unwrap(&turn, &ciphertext),
            };
            for _ in 0..RUNS {
                measured(&work, BEFORE, TIMES)?;
            }
        }
    }
    Ok(())
}

/// A key pair.
struct Keys {
    public: Object,
    private: Object,
}

fn keys(turn: &Turn<'_>) -> Result<Keys> {
    let public = [(CKA_MODULUS_BITS, Value::Ulong(2048)), (CKA_ENCRYPT, Value::True)];
    let private = [(CKA_DECRYPT, Value::True), (CKA_UNWRAP, Value::True)];
    let generator = Mechanism::plain(CKM_RSA_PKCS_KEY_PAIR_GEN);
    let (public, private) =
        turn.token.module.generate_pair(turn.session, generator, &public, &private)?;
    Ok(Keys { public, private })
}

impl Keys {
    fn encrypt(&self, turn: &Turn<'_>, block: &Block) -> Result<Vec<u8>> {
        let mut ciphertext = vec![0; LEN];
        let (module, into) = (&turn.token.module, &mut ciphertext);
        module.encrypt(turn.session, RAW, self.public, &block.bytes(), into)?;
        Ok(ciphertext)
    }

    fn decrypt(&self, turn: &Turn<'_>, ciphertext: &[u8]) -> Result<usize> {
        let module = &turn.token.module;
        module.decrypt(turn.session, PKCS1, self.private, ciphertext, &mut [0; LEN])
    }

    fn unwrap(&self, turn: &Turn<'_>, ciphertext: &[u8]) -> Result {
        let module = &turn.token.module;
        let template =
            [(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), (CKA_KEY_TYPE, Value::Ulong(CKK_CHACHA20))];
        let key = module.unwrap(turn.session, PKCS1, self.private, ciphertext, &template)?;
        module.destroy(turn.session, key)
    }
}
