//! What depends on how many objects a token holds, and what its objects cost to make.

use std::path::Path;

use cryptoki_sys::*;

use crate::basics::HMAC;
use crate::client::{Attribute, Mechanism, Object, Value};
use crate::rows::{Part, Row, Turn, each, part};
use crate::signatures::{Key, P256};
use crate::token::Token;
use crate::{Result, clock};

/// The rows. Those that end the login come last.
pub(crate) fn rows(objects: u32) -> Vec<Row> {
    let find = |name: &str, kind: CK_ATTRIBUTE_TYPE, value: fn(u32) -> Vec<u8>| {
        Row::new(name, Part::Find, move |_| {
            each(move |turn| {
                let value = value(turn.another(objects));
                let found = turn.token.module.find(
                    turn.session,
                    &[(kind, Value::Bytes(&value)), (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY))],
                )?;
                expect(found.0, 1)
            })
        })
    };
    vec![
        find("Find by id", CKA_ID, id),
        find("Find by label", CKA_LABEL, label),
        Row::new("Find all", Part::Find, move |_| {
            each(move |turn| {
                let template = [(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY))];
                let found = turn.token.module.find(turn.session, &template)?;
                expect(found.0, usize::try_from(objects)?)
            })
        })
        .alone(),
        Row::new("Create a token object", Part::Life, move |_| {
            part(move |turn| {
                let (time, object) = clock::duration(|| create(turn, objects))?;
                turn.token.module.destroy(turn.session, object)?;
                Ok(time)
            })
        }),
        Row::new("Destroy a token object", Part::Life, move |_| {
            part(move |turn| {
                let object = create(turn, objects)?;
                let (time, ()) =
                    clock::duration(|| turn.token.module.destroy(turn.session, object))?;
                Ok(time)
            })
        }),
        Row::new("Generate a P-256 token key pair", Part::Life, |_| {
            part(|turn| {
                let pair = || Key::Ec(CKM_EC_KEY_PAIR_GEN, P256).generate(turn.token);
                let (time, (public, private)) = clock::duration(pair)?;
                turn.token.module.destroy(turn.session, public)?;
                turn.token.module.destroy(turn.session, private)?;
                Ok(time)
            })
        }),
        Row::new("Log in and out", Part::Life, |token| {
            token.logout()?;
            each(|turn| {
                turn.token.login()?;
                turn.token.logout()
            })
        }),
        Row::new("C_Initialize and C_Finalize", Part::Life, |token| {
            token.module.finalize()?;
            each(|turn| {
                turn.token.module.initialize()?;
                turn.token.module.finalize()
            })
        }),
    ]
}

/// Makes a token that holds so many secret keys, and a key pair that signs.
pub(crate) fn fill(path: &Path, objects: u32) -> Result {
    Token::create(path)?;
    let token = Token::open(path)?;
    let turn = Turn::new(&token, 0)?;
    for number in 0..objects {
        create(&turn, number)?;
    }
    Key::Ec(CKM_EC_KEY_PAIR_GEN, P256).generate(&token)?;
    token.module.finalize()
}

/// From nothing to a first signature, in a process that has done nothing yet.
pub(crate) fn cold(path: &Path) -> Result<f64> {
    let (time, ()) = clock::duration(|| {
        let token = Token::open(path)?;
        let template =
            [(CKA_LABEL, Value::Bytes(b"signer")), (CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))];
        let (_, key) = token.module.find(token.session()?, &template)?;
        let (key, mechanism) = (key.ok_or("the key is not found")?, Mechanism::plain(CKM_ECDSA));
        token.module.sign(token.session()?, mechanism, key, &[7; 32], &mut [0; 64])?;
        Ok(())
    })?;
    Ok(time.as_secs_f64())
}

/// Uses some of the objects, so that what is kept of them is in memory.
pub(crate) fn touch(token: &Token, objects: u32) -> Result {
    let turn = Turn::new(token, 0)?;
    for _ in 0..objects.min(1_000) {
        let value = id(turn.another(objects));
        let template = [(CKA_ID, Value::Bytes(&value))];
        let (_, key) = token.module.find(turn.session, &template)?;
        let key = key.ok_or("the key is not found")?;
        token.module.sign(turn.session, HMAC, key, &[7; 32], &mut [0; 32])?;
    }
    Ok(())
}

fn create(turn: &Turn, number: u32) -> Result<Object> {
    let (label, id, value) = (label(number), id(number), [0x5a; 32]);
    let template: &[Attribute] = &[
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(CKK_GENERIC_SECRET)),
        (CKA_TOKEN, Value::True),
        (CKA_PRIVATE, Value::True),
        (CKA_SENSITIVE, Value::True),
        (CKA_SIGN, Value::True),
        (CKA_LABEL, Value::Bytes(&label)),
        (CKA_ID, Value::Bytes(&id)),
        (CKA_VALUE, Value::Bytes(&value)),
    ];
    turn.token.module.create(turn.session, template)
}

fn label(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// The identifier of one of the objects that a token is filled with.
pub(crate) fn id(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn expect(found: usize, wanted: usize) -> Result {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{found} objects were found instead of {wanted}").into())
}
