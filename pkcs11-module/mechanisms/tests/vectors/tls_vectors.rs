//! TLS 1.2: the vectors of its working group, NIST's, and HMAC of another implementation.

use hmac::{Hmac, KeyInit as _, Mac as _};
use strongroom_mechanisms::{Computed, Gives, Inputs, Key, Makes};
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};

use crate::hash_vectors::secret;
use crate::support::{self, Record, complete, object, row, sign, sign_parts, ulongs, verify};

/// P_SHA256 (RFC 5246, 5) of another implementation.
fn theirs(secret: &[u8], seed: &[&[u8]], len: usize) -> Vec<u8> {
    let mac = |parts: &[&[u8]]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let seed = seed.concat();
    let (mut a, mut out) = (mac(&[&seed]), Vec::new());
    while out.len() < len {
        out.extend(mac(&[&a, &seed]));
        a = mac(&[&a]);
    }
    out.truncate(len);
    out
}

fn generic(value: &[u8]) -> Attributes {
    let mut base = object(Class::SECRET_KEY, KeyType::GENERIC_SECRET);
    base.set(attribute::VALUE, value);
    complete(base).unwrap()
}

/// `CK_TLS_KDF_PARAMS`.
fn kdf_params(hash: u64, parts: [&[u8]; 4]) -> Params {
    [Param::Ulong(hash)].into_iter().chain(parts.map(Param::from)).collect()
}

#[test]
pub(crate) fn exported_keys() {
    for id in [mechanism!(CKM_TLS12_KDF).0, mechanism!(CKM_TLS_KDF).0] {
        let derive = |value: &[u8], params: &Params, wanted| {
            let base = generic(value);
            support::derive(id, (&Key::parse(&base).unwrap(), &base), params, wanted, &[])
        };
        for record in Record::all(include_str!("data/tls12.txt")) {
            let hash = match record.text("HASH") {
                "SHA256" => ck!(CKM_SHA256),
                "SHA384" => ck!(CKM_SHA384),
                _ => ck!(CKM_SHA512),
            };
            let [secret, seed, output] =
                ["SECRET", "SEED", "OUTPUT"].map(|name| record.bytes(name));
            let (client, server) = seed.split_at(7);
            let params = kdf_params(hash, [b"test label", client, server, b""]);
            let len = output.len();
            assert_eq!(*derive(&secret, &params, Some(len)).unwrap(), output);
            assert_eq!(derive(&secret, &params, None).err(), Some(Error::TemplateIncomplete));
            assert_eq!(derive(&secret, &params, Some(65537)).err(), Some(Error::KeySizeRange));
        }
        // RFC 5705, 4: a context comes behind its length.
        let sha256 = ck!(CKM_SHA256);
        let params = kdf_params(sha256, [b"label", b"client", b"server", b"context"]);
        let expected = theirs(b"secret", &[b"label", b"client", b"server", b"\0\x07context"], 70);
        assert_eq!(*derive(b"secret", &params, Some(70)).unwrap(), expected);
        let unknown = kdf_params(ck!(CKM_TLS_PRF), [b"label", b"client", b"server", b""]);
        let refused = derive(b"secret", &unknown, Some(70));
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
}

/// What a derivation of several keys makes, and the templates of the keys.
fn compute(
    id: MechanismType,
    value: &[u8],
    params: &Params,
    template: &Attributes,
    len: Option<usize>,
) -> Result<(Vec<Attributes>, Computed)> {
    let base = generic(value);
    let key = Key::parse(&base)?;
    let other = |_| Err(Error::KeyHandleInvalid);
    let inputs = Inputs {
        key: &key,
        attributes: &base,
        params,
        other: &other,
        mechanism: &support::mechanism,
    };
    let derivation = row(id, &key)?.derive.as_ref().unwrap();
    let Makes::Several(several) = &derivation.makes else { panic!() };
    let templates = (several.templates)(params, template)?;
    let lens = vec![len; templates.len()];
    Ok((templates, (several.compute)(&inputs, &lens)?))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// `CK_TLS12_MASTER_KEY_DERIVE_PARAMS`.
fn master_params(client: &[u8], server: &[u8], version: bool) -> Params {
    let hash = Param::Ulong(ck!(CKM_SHA256));
    [Param::from(client), Param::from(server), Param::Place(version), hash].into_iter().collect()
}

/// `CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS`.
fn extended_params(session: &[u8], version: bool) -> Params {
    let hash = Param::Ulong(ck!(CKM_SHA256));
    [hash, Param::from(session), Param::Place(version)].into_iter().collect()
}

/// The first test of NIST's validation system for TLS 1.2 with SHA-256.
const SECRET: &str = "f8938ecc9edebc5030c0c6a441e213cd24e6f770a50dda07876f8d55da062bca\
                      db386b411fd4fe4313a604fce6c17fbc";
const CLIENT_HELLO: &str = "36c129d01a3200894b9179faac589d9835d58775f9b5ea3587cb8fd0364cae8c";
const SERVER_HELLO: &str = "f6c9575ed7ddd73e1f7d16eca115415812a43c2b747daaaae043abfb50053fce";
const MASTER: &str = "202c88c00f84a17a20027079604787461176455539e705be730890602c289a50\
                      01e34eeb3a043e5d52a65e66125188bf";
const CLIENT: &str = "62e1fd91f23f558a605f28478c58cf72637b89784d959df7e946d3f07bd1b616";
const SERVER: &str = "ae6c806f8ad4d80784549dff28a4b58fd837681a51d928c3e30ee5ff14f39868";
const KEY_BLOCK: &str = "d06139889fffac1e3a71865f504aa5d0d2a2e89506c6f2279b670c3e1b74f531\
                         016a2530c51a3a0f7e1d6590d0f0566b2f387f8d11fd4f731cdd572d2eae927f\
                         6f2f81410b25e6960be68985add6c38445ad9f8c64bf8068bf9a6679485d966f\
                         1ad6f68b43495b10a683755ea2b858d70ccac7ec8b053c6bd41ca299d4e51928";

#[test]
pub(crate) fn master_secrets() {
    let (secret, client, server) = (bytes(SECRET), bytes(CLIENT_HELLO), bytes(SERVER_HELLO));
    let session = [0x5e; 32];
    let extended = theirs(&secret, &[b"extended master secret", &session], 48);
    let rows = [
        (
            mechanism!(CKM_TLS12_MASTER_KEY_DERIVE).0,
            mechanism!(CKM_TLS12_MASTER_KEY_DERIVE_DH).0,
            [true, false].map(|version| master_params(&client, &server, version)),
            bytes(MASTER),
        ),
        (
            mechanism!(CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE).0,
            mechanism!(CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE_DH).0,
            [true, false].map(|version| extended_params(&session, version)),
            extended,
        ),
    ];
    let template = Attributes::default();
    for (transported, agreed, [with, without], expected) in rows {
        let run = |id, params, len| compute(id, &secret, params, &template, len).map(|made| made.1);
        let (values, gives) = run(transported, &with, None).unwrap();
        assert_eq!(*values[0], expected);
        assert!(matches!(&gives[..], [Gives::Bytes(version)] if version[..] == secret[..2]));
        let (values, gives) = run(transported, &without, Some(48)).unwrap();
        assert_eq!(*values[0], expected);
        assert!(matches!(gives[..], [Gives::Nothing]));
        let (values, gives) = run(agreed, &without, None).unwrap();
        assert_eq!(*values[0], expected);
        assert!(matches!(gives[..], [Gives::Nothing]));
        assert_eq!(run(agreed, &with, None).err(), Some(Error::MechanismParamInvalid));
        assert_eq!(run(agreed, &without, Some(47)).err(), Some(Error::TemplateInconsistent));
        let short = compute(transported, &secret[1..], &with, &template, None);
        assert_eq!(short.err(), Some(Error::KeySizeRange));
    }
}

/// `CK_TLS12_KEY_MAT_PARAMS`.
fn key_params((mac, key, iv): (u64, u64, u64), export: bool, ivs: [bool; 2]) -> Params {
    let places = [true, true, true, true, ivs[0], ivs[1]].map(Param::Place);
    [
        Param::Ulong(mac),
        Param::Ulong(key),
        Param::Ulong(iv),
        Param::Bool(export),
        Param::from(&bytes(CLIENT)[..]),
        Param::from(&bytes(SERVER)[..]),
        Param::Structure(places.into_iter().collect()),
        Param::Ulong(ck!(CKM_SHA256)),
    ]
    .into_iter()
    .collect()
}

#[test]
pub(crate) fn key_blocks() {
    let (with, safe) =
        (mechanism!(CKM_TLS12_KEY_AND_MAC_DERIVE).0, mechanism!(CKM_TLS12_KEY_SAFE_DERIVE).0);
    let (master, block) = (bytes(MASTER), bytes(KEY_BLOCK));
    let mut template = Attributes::default();
    template.set(attribute::KEY_TYPE, KeyType::AES.0);
    template.set(attribute::ENCRYPT, false);
    let run =
        |id, sizes, ivs| compute(id, &master, &key_params(sizes, false, ivs), &template, None);

    let (templates, (values, gives)) = run(with, (160, 128, 128), [true; 2]).unwrap();
    let lens = [20, 20, 16, 16];
    let mut rest = &block[..];
    for (value, len) in values.iter().zip(lens) {
        assert_eq!(value[..], rest[..len]);
        rest = &rest[len..];
    }
    let [
        Gives::Key(0),
        Gives::Key(1),
        Gives::Key(2),
        Gives::Key(3),
        Gives::Bytes(one),
        Gives::Bytes(two),
    ] = &gives[..]
    else {
        panic!()
    };
    assert_eq!((&one[..], &two[..]), (&rest[..16], &rest[16..32]));
    for mac in &templates[..2] {
        assert!(mac.is(attribute::SIGN) && mac.is(attribute::VERIFY) && mac.is(attribute::DERIVE));
        assert!(!mac.has(attribute::KEY_TYPE.info));
    }
    for key in &templates[2..] {
        assert!(!key.is(attribute::ENCRYPT) && key.is(attribute::DECRYPT));
        assert_eq!(key.get(attribute::KEY_TYPE), Some(KeyType::AES.0));
    }

    // Authenticated ciphers have no MAC keys.
    let (templates, (values, gives)) = run(with, (0, 256, 32), [true; 2]).unwrap();
    assert_eq!(
        (templates.len(), &values[0][..], &values[1][..]),
        (2, &block[..32], &block[32..64])
    );
    assert!(matches!(
        &gives[..],
        [Gives::Nothing, Gives::Nothing, Gives::Key(0), Gives::Key(1), Gives::Bytes(iv), Gives::Bytes(_)]
            if iv[..] == block[64..68]
    ));
    let (_, (values, gives)) = run(safe, (160, 128, 128), [false; 2]).unwrap();
    assert_eq!(values[3][..], block[56..72]);
    assert!(matches!(gives[4..], [Gives::Nothing, Gives::Nothing]));

    let invalid = Some(Error::MechanismParamInvalid);
    assert_eq!(run(with, (160, 128, 128), [true, false]).err(), invalid);
    assert_eq!(run(with, (161, 128, 0), [true; 2]).err(), invalid);
    assert_eq!(run(with, (160, u64::MAX - 7, 0), [true; 2]).err(), invalid);
    let export = key_params((160, 128, 0), true, [true; 2]);
    assert_eq!(compute(with, &master, &export, &template, None).err(), invalid);
    let params = key_params((0, 128, 0), false, [true; 2]);
    let other = compute(with, &master, &params, &template, Some(32));
    assert_eq!(other.err(), Some(Error::TemplateInconsistent));
    let untyped = compute(with, &master, &params, &Attributes::default(), None);
    assert_eq!(untyped.err(), Some(Error::TemplateIncomplete));
}

#[test]
pub(crate) fn finished_messages() {
    let key = &secret(KeyType::GENERIC_SECRET, &bytes(MASTER)).unwrap();
    let hash = [0x77; 32];
    for id in [mechanism!(CKM_TLS12_MAC).0, mechanism!(CKM_TLS_MAC).0] {
        for (whose, label) in [(1, &b"server finished"[..]), (2, b"client finished")] {
            for len in [12, 48] {
                let params = ulongs(&[ck!(CKM_SHA256), len, whose]);
                let expected =
                    theirs(&bytes(MASTER), &[label, &hash], usize::try_from(len).unwrap());
                assert_eq!(*sign(id, key, &params, &hash).unwrap(), expected);
                assert_eq!(*sign_parts(id, key, &params, &hash).unwrap(), expected);
                assert_eq!(verify(id, key, &params, &hash, &expected), Ok(()));
                let other = verify(id, key, &params, &hash[1..], &expected);
                assert_eq!(other, Err(Error::SignatureInvalid));
                let short = verify(id, key, &params, &hash, &expected[1..]);
                assert_eq!(short, Err(Error::SignatureLenRange));
            }
        }
        for params in [
            [ck!(CKM_SHA256), 11, 1],
            [ck!(CKM_SHA256), 49, 1],
            [ck!(CKM_SHA256), 12, 0],
            [ck!(CKM_SHA256), 12, 3],
            [ck!(CKM_TLS_PRF), 12, 1],
        ] {
            let refused = sign(id, key, &ulongs(&params), &hash);
            assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
        }
    }
}
