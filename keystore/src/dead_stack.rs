//! What is left of keys on the stack below those who used them. A value that is moved leaves a copy where
//! it was, which no destructor sees.

use std::{fs::File, hint::black_box, os::unix::fs::FileExt};

use zeroize::Zeroizing;

use crate::{
    Config, Role, Store, Token,
    config::Seal,
    scratch::Scratch,
    sealed::{self, Key},
};

const OFFICER: &[u8] = b"87654321";
const USER: &[u8] = b"12345678";
/// How much of the dead stack is looked at.
const BELOW: usize = 256 << 10;
/// What is looked for is kept under it, so that who looks does not find himself.
const MASK: u8 = 0x5A;

/// The secrets of a token, under the mask.
fn secrets(token: &Token) -> Vec<(&'static str, Vec<u8>)> {
    let opened = token.open_slot(Role::User, USER).unwrap();
    // HKDF-Extract is HMAC under the salt.
    let base = sealed::mac(b"strongroom objects 1", &[opened.master.as_slice()]);
    let secrets = [
        ("the master key", Key::copy(&opened.master)),
        ("what it is the base of", Key::copy(&base)),
    ];
    secrets
        .iter()
        .map(|(name, key)| (*name, key.iter().map(|byte| byte ^ MASK).collect()))
        .collect()
}

/// The words of these that lie below this frame.
#[inline(never)]
fn found(secrets: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let here = 0_u8;
    let end = (&raw const here).addr();
    let mut stack = vec![0; BELOW];
    let memory = File::open("/proc/self/mem").unwrap();
    memory.read_exact_at(&mut stack, u64::try_from(end - BELOW).unwrap()).unwrap();
    let lies = |word: &[u8]| {
        let is = |at: &[u8]| at.iter().zip(word).all(|(byte, masked)| byte ^ masked == MASK);
        stack.windows(word.len()).any(is)
    };
    let has = |(_, secret): &&(&str, Vec<u8>)| secret.chunks(8).any(lies);
    secrets.iter().filter(has).map(|(name, _)| *name).collect()
}

/// Does something far enough down that nothing of it is written over by those who look.
#[inline(never)]
fn deep(act: &dyn Fn()) {
    let frame = [0_u8; 8 << 10];
    act();
    black_box(&frame);
}

#[test]
fn nothing_of_a_master_key_stays_on_the_stack() {
    let dir = Scratch::new();
    let seal = Seal::File(dir.path().join("seal/seal.key"));
    let store = Store::open(&Config::plain(dir.path().join("store"), seal)).unwrap();
    let token = store.create(&[b'x'; 32], OFFICER).unwrap();
    let officer = token.unlock(Role::SecurityOfficer, OFFICER).unwrap();
    token.set_user_pin(&officer, USER).unwrap();
    let all = secrets(&token);
    let copy = || {
        // As something would be found that was moved.
        let mut key = Zeroizing::new([0_u8; 32]);
        key.iter_mut().zip(&all[0].1).for_each(|(byte, masked)| *byte = masked ^ MASK);
        black_box(std::mem::ManuallyDrop::new(key));
    };
    let login = |role, pin| drop(token.unlock(role, pin).unwrap());
    let acts: [(&str, &dyn Fn(), bool); 7] = [
        ("a copy", &copy, true),
        ("a login of the user", &|| login(Role::User, USER), false),
        ("a login of the officer", &|| login(Role::SecurityOfficer, OFFICER), false),
        ("a login for one operation", &|| token.verify(Role::User, USER).unwrap(), false),
        ("a new PIN", &|| token.set_pin(Role::User, USER, USER).unwrap(), false),
        ("a PIN for the user", &|| token.set_user_pin(&officer, USER).unwrap(), false),
        (
            "another master key",
            &|| assert_eq!(token.rotate(OFFICER, Some(USER), |_| None).unwrap(), 0),
            false,
        ),
    ];
    for (what, act, leaves) in acts {
        deep(act);
        let left = found(&all);
        assert_eq!(!left.is_empty(), leaves, "{what}: {left:?}");
        deep(&|| {
            black_box([0_u8; 32 << 10]);
        });
    }
}
