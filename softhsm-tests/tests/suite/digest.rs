//! 5.12: digests, and 5.6.5, their state.

use cryptoki_sys::*;
use sha2::Digest;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::{In, Mechanism, PLENTY, Param, Room, Rv, case, merge, t, table};

use crate::keys;

/// A digest, as another implementation computes it.
pub(crate) type Second = fn(&[u8]) -> Vec<u8>;

/// The digests, each with its length and its second opinion.
pub(crate) const DIGESTS: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, usize, Second))] = &[
    ("SHA-1", Passes, (CKM_SHA_1, 20, |data| sha1::Sha1::digest(data).to_vec())),
    ("SHA-224", Passes, (CKM_SHA224, 28, |data| sha2::Sha224::digest(data).to_vec())),
    ("SHA-256", Passes, (CKM_SHA256, 32, |data| sha2::Sha256::digest(data).to_vec())),
    ("SHA-384", Passes, (CKM_SHA384, 48, |data| sha2::Sha384::digest(data).to_vec())),
    ("SHA-512", Passes, (CKM_SHA512, 64, |data| sha2::Sha512::digest(data).to_vec())),
];

#[test]
fn agrees_with_another_implementation() {
    table(DIGESTS, |world, (mechanism, len, second)| {
        let session = world.public();
        for size in [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 10_000] {
            let data: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
            let digest = session.digest(*mechanism, &data).expect("C_Digest");
            assert_eq!(digest.len(), *len);
            assert_eq!(digest, second(&data), "{size} bytes");
        }
    });
}

#[test]
fn in_parts() {
    table(DIGESTS, |world, (mechanism, _, second)| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let mechanism = Mechanism::plain(*mechanism);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        for part in [&b"abc"[..], b"defghi", &[7; 1000]] {
            assert_eq!(module.digest_update(handle, part.into()), Rv::OK);
        }
        let all = [&b"abcdefghi"[..], &[7; 1000]].concat();
        assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(second(&all)));
    });
}

#[test]
fn updates_of_no_bytes() {
    let rows = &[
        ("a pointer", Passes, In::Bytes(b"")),
        ("a null pointer", Fails("a null pointer is refused even for no bytes"), In::NONE),
    ];
    table(rows, |world, nothing| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let mechanism = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        assert_eq!(module.digest_update(handle, *nothing), Rv::OK);
        assert_eq!(module.digest_update(handle, b"abc".into()), Rv::OK);
        assert_eq!(module.digest_update(handle, *nothing), Rv::OK);
        let digest = module.digest_final(handle, PLENTY).ok();
        assert_eq!(digest, Ok(sha2::Sha256::digest(b"abc").to_vec()));
        assert_eq!(session.digest(CKM_SHA256, *nothing), Ok(sha2::Sha256::digest(b"").to_vec()));
    });
}

#[test]
fn the_length_is_asked_first() {
    case(Passes, |world| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let mechanism = Mechanism::plain(CKM_SHA256);
        let wanted = sha2::Sha256::digest(b"abc").to_vec();
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        let query = module.digest(handle, b"abc".into(), Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 32));
        let small = module.digest(handle, b"abc".into(), Room::Bytes(31));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 32));
        assert_eq!(module.digest(handle, b"abc".into(), Room::Bytes(32)).ok(), Ok(wanted.clone()));
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK, "it is over");
        assert_eq!(module.digest_update(handle, b"abc".into()), Rv::OK);
        let query = module.digest_final(handle, Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 32));
        let small = module.digest_final(handle, Room::Bytes(0));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 32));
        assert_eq!(module.digest_final(handle, Room::Bytes(32)).ok(), Ok(wanted));
    });
}

#[test]
fn order_of_the_calls() {
    case(Passes, |world| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let mechanism = Mechanism::plain(CKM_SHA256);
        let not = Rv(CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(module.digest(handle, b"x".into(), PLENTY).rv, not);
        assert_eq!(module.digest_update(handle, b"x".into()), not);
        assert_eq!(module.digest_final(handle, PLENTY).rv, not);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), CKR_OPERATION_ACTIVE);
        assert_eq!(module.digest(handle, b"x".into(), PLENTY).rv, Rv::OK);
        assert_eq!(module.digest_final(handle, PLENTY).rv, not);
    });
}

#[test]
fn one_shot_after_an_update() {
    case(Fails("the rest is digested as if it were the whole"), |world| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let mechanism = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        assert_eq!(module.digest_update(handle, b"x".into()), Rv::OK);
        assert_eq!(module.digest(handle, b"y".into(), PLENTY).rv, CKR_OPERATION_ACTIVE);
    });
}

#[test]
fn mechanisms_that_do_not_digest() {
    let rows = &[
        ("AES_ECB", Passes, CKM_AES_ECB),
        ("SHA256_HMAC", Passes, CKM_SHA256_HMAC),
        ("a vendor's", Passes, CKM_VENDOR_DEFINED | 0x77),
        ("above 32 bits", Passes, (1 << 32) | CKM_SHA256),
    ];
    table(rows, |world, mechanism| {
        let session = world.public();
        assert_eq!(session.digest(*mechanism, b"x"), Err(Rv(CKR_MECHANISM_INVALID)));
        assert!(session.digest(CKM_SHA256, b"x").is_ok());
    });
}

#[test]
fn a_parameter_where_none_belongs() {
    case(Fails("the parameter is not looked at"), |world| {
        let session = world.public();
        let answer = session.digest(Mechanism::iv(CKM_SHA256, &[1, 2, 3]), b"x");
        assert_eq!(answer, Err(Rv(CKR_MECHANISM_PARAM_INVALID)));
    });
}

#[test]
fn a_key_is_digested() {
    case(Passes, |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = keys::secret(CKK_GENERIC_SECRET, b"the key");
        let key = session.create(&key).expect("a key");
        assert_eq!(module.digest_init(handle, Some(&Mechanism::plain(CKM_SHA256))), Rv::OK);
        assert_eq!(module.digest_update(handle, b"before ".into()), Rv::OK);
        assert_eq!(module.digest_key(handle, key), Rv::OK);
        let wanted = sha2::Sha256::digest(b"before the key").to_vec();
        assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(wanted));
        assert_eq!(module.digest_init(handle, Some(&Mechanism::plain(CKM_SHA256))), Rv::OK);
        assert_eq!(module.digest_key(handle, key + 1000), CKR_KEY_HANDLE_INVALID);
    });
}

#[test]
fn the_digest_of_an_hmac_key_that_may_not_leave() {
    // HMAC uses the digest of a key that is longer than a block in place of the key.
    case(Fails("gives the digest"), |world| {
        let session = world.user();
        let hidden = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false];
        let key = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 65]), &hidden);
        let key = session.create(&key).expect("a key");
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.digest_init(handle, Some(&Mechanism::plain(CKM_SHA256))), Rv::OK);
        assert_eq!(module.digest_key(handle, key), CKR_KEY_INDIGESTIBLE);
    });
}

#[test]
fn the_state_is_saved_and_restored() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let (one, two) = (world.public(), world.public());
        let module = one.module;
        let mechanism = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(one.handle, Some(&mechanism)), Rv::OK);
        assert_eq!(module.digest_update(one.handle, b"first ".into()), Rv::OK);
        let state = module.operation_state(one.handle, PLENTY).ok().expect("a state");
        assert_eq!(module.set_operation_state(two.handle, (&state).into()), Rv::OK);
        for session in [one, two] {
            assert_eq!(module.digest_update(session.handle, b"second".into()), Rv::OK);
            let wanted = sha2::Sha256::digest(b"first second").to_vec();
            assert_eq!(module.digest_final(session.handle, PLENTY).ok(), Ok(wanted));
        }
    });
}

#[test]
fn what_a_state_is_good_for() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let none = Rv(CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(module.operation_state(handle, PLENTY).rv, none);
        let mechanism = Mechanism::plain(CKM_SHA384);
        assert_eq!(module.digest_init(handle, Some(&mechanism)), Rv::OK);
        let query = module.operation_state(handle, Room::Query);
        assert_eq!(query.rv, Rv::OK);
        let small = module.operation_state(handle, Room::Bytes(query.len - 1));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), query.len));
        let fresh = module.operation_state(handle, Room::Bytes(query.len)).ok().expect("a state");
        assert_eq!(module.digest_update(handle, (&[7; 200]).into()), Rv::OK);
        let later = module.operation_state(handle, PLENTY).ok().expect("a state");

        // It takes the place of what is under way, as often as one likes.
        for (state, begun) in [(&later, 200), (&fresh, 0), (&later, 200)] {
            assert_eq!(module.set_operation_state(handle, state.into()), Rv::OK);
            assert_eq!(module.digest_update(handle, b"end".into()), Rv::OK);
            let wanted = sha2::Sha384::digest([&vec![7; begun][..], b"end"].concat()).to_vec();
            assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(wanted));
        }
        assert_eq!(module.set_operation_state(handle, (&later).into()), Rv::OK);
        let late = module.digest(handle, b"x".into(), PLENTY).rv;
        assert_eq!(late, CKR_OPERATION_ACTIVE, "a part had come before it was saved");

        // Nobody else's invention.
        let invalid = Rv(CKR_SAVED_STATE_INVALID);
        for at in [0, 12, later.len() - 1] {
            let mut forged = later.clone();
            forged[at] ^= 1;
            assert_eq!(module.set_operation_state(handle, (&forged).into()), invalid);
        }
        assert_eq!(module.set_operation_state(handle, later[1..].into()), invalid);
        assert_eq!(module.set_operation_state(handle, In::NONE), invalid);
        assert!(!later.windows(8).any(|bytes| bytes == [7; 8]), "and not to be read");
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 16])).expect("a key");
        let with = |one, two| module.set_operation_state_with(handle, (&later).into(), one, two);
        assert_eq!(with(key, 0), CKR_KEY_NOT_NEEDED);
        assert_eq!(with(0, key), CKR_KEY_NOT_NEEDED);
    });
}

#[test]
fn the_state_of_a_signature() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (public, private) = keys::rsa(&session, 2048);
        let (_, other) = keys::rsa(&session, 2048);
        let mechanism = Mechanism::plain(CKM_SHA256_RSA_PKCS);
        assert_eq!(session.sign_init(CKM_SHA256_RSA_PKCS, private), Rv::OK);
        assert_eq!(module.sign_update(handle, b"first ".into()), Rv::OK);
        let state = module.operation_state(handle, PLENTY).ok().expect("a state");
        let set = |key| module.set_operation_state_with(handle, (&state).into(), 0, key);
        assert_eq!(set(0), CKR_KEY_NEEDED);
        assert_eq!(set(other), CKR_KEY_CHANGED);
        assert_eq!(set(public), CKR_KEY_CHANGED);
        assert_eq!(set(private), Rv::OK);
        assert_eq!(module.sign_update(handle, b"second".into()), Rv::OK);
        let signature = module.sign_final(handle, PLENTY).ok().expect("C_SignFinal");
        assert_eq!(module.verify_init(handle, Some(&mechanism), public), Rv::OK);
        assert_eq!(module.verify(handle, b"first second".into(), (&signature).into()), Rv::OK);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(set(private), CKR_KEY_HANDLE_INVALID, "the key is out of sight");
    });
}

#[test]
fn the_state_of_an_hmac() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = |byte| {
            let template = keys::secret(CKK_GENERIC_SECRET, &[byte; 16]);
            session.create(&template).expect("a key")
        };
        let (mine, other) = (key(1), key(2));
        let whole = session.sign(CKM_SHA256_HMAC, mine, b"first second").expect("C_Sign");
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, mine), Rv::OK);
        assert_eq!(module.sign_update(handle, b"first ".into()), Rv::OK);
        let state = module.operation_state(handle, PLENTY).ok().expect("a state");
        assert_eq!(module.sign_update(handle, b"lost".into()), Rv::OK);
        let set = |key| module.set_operation_state_with(handle, (&state).into(), 0, key);
        assert_eq!(set(0), CKR_KEY_NEEDED);
        assert_eq!(set(other), CKR_KEY_CHANGED);
        assert_eq!(set(mine), Rv::OK);
        assert_eq!(module.sign_update(handle, b"second".into()), Rv::OK);
        assert_eq!(module.sign_final(handle, PLENTY).ok(), Ok(whole.clone()));

        assert_eq!(session.verify_init(CKM_SHA256_HMAC, mine), Rv::OK);
        assert_eq!(module.verify_update(handle, b"first ".into()), Rv::OK);
        let state = module.operation_state(handle, PLENTY).ok().expect("a state");
        let set = |key| module.set_operation_state_with(handle, (&state).into(), 0, key);
        assert_eq!(module.verify_update(handle, b"lost".into()), Rv::OK);
        assert_eq!(set(mine), Rv::OK);
        assert_eq!(module.verify_update(handle, b"second".into()), Rv::OK);
        assert_eq!(module.verify_final(handle, (&whole).into()), Rv::OK);
    });
}

/// What a mechanism with a parameter begins, goes on with it.
#[test]
fn the_state_of_what_has_a_parameter() {
    const NONE: &str = "CKR_FUNCTION_NOT_SUPPORTED";
    let rows = &[
        ("HMAC of any length", Fails(NONE), (CKM_SHA256_HMAC_GENERAL, 20)),
        ("HMAC of SHA-512/t", Fails(NONE), (CKM_SHA512_T_HMAC, 200)),
    ];
    table(rows, |world, (mechanism, number)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 16])).expect("a key");
        let mechanism = || Mechanism::with(*mechanism, Param::Ulong(*number));
        for len in [0, 1, 127, 128, 300] {
            let message = [&vec![7; len][..], b"second"].concat();
            let whole = session.sign(mechanism(), key, &message).expect("C_Sign");
            assert_eq!(session.sign_init(mechanism(), key), Rv::OK);
            assert_eq!(module.sign_update(handle, message[..len].into()), Rv::OK);
            let state = module.operation_state(handle, PLENTY).ok().expect("a state");
            assert_eq!(module.sign_update(handle, b"lost".into()), Rv::OK);
            let set = |key| module.set_operation_state_with(handle, (&state).into(), 0, key);
            assert_eq!(set(0), CKR_KEY_NEEDED);
            assert_eq!(set(key), Rv::OK);
            assert_eq!(module.sign_update(handle, b"second".into()), Rv::OK);
            assert_eq!(module.sign_final(handle, PLENTY).ok(), Ok(whole));
        }
        let digest = Mechanism::with(CKM_SHA512_T, Param::Ulong(256));
        assert_eq!(module.digest_init(handle, Some(&digest)), Rv::OK);
        assert_eq!(module.digest_update(handle, b"a".into()), Rv::OK);
        let state = module.operation_state(handle, PLENTY).ok().expect("a state");
        assert_eq!(module.digest_update(handle, b"lost".into()), Rv::OK);
        assert_eq!(module.set_operation_state(handle, (&state).into()), Rv::OK);
        assert_eq!(module.digest_update(handle, b"bc".into()), Rv::OK);
        let wanted = sha2::Sha512_256::digest(b"abc").to_vec();
        assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(wanted));
    });
}

/// A block cipher goes on from where it was, with what waited for its block.
#[test]
fn the_state_of_a_cipher() {
    const NONE: &str = "CKR_FUNCTION_NOT_SUPPORTED";
    let rows = &[
        ("ECB", Fails(NONE), CKM_AES_ECB),
        ("CBC", Fails(NONE), CKM_AES_CBC),
        ("CBC with padding", Fails(NONE), CKM_AES_CBC_PAD),
    ];
    table(rows, |world, id| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = |byte| session.create(&keys::secret(CKK_AES, &[byte; 16])).expect("a key");
        let (mine, other) = (key(1), key(2));
        let mechanism = || match *id {
            CKM_AES_ECB => Mechanism::plain(CKM_AES_ECB),
            id => Mechanism::iv(id, &[9; 16]),
        };
        let plain: Vec<u8> = (0..64).collect();
        let cipher = session.encrypt(mechanism(), mine, &plain).expect("C_Encrypt");
        for cut in [0, 1, 15, 16, 17, 32, 63, 64] {
            let set =
                |state: &[u8], key| module.set_operation_state_with(handle, state.into(), key, 0);
            assert_eq!(session.encrypt_init(mechanism(), mine), Rv::OK);
            let before = module.encrypt_update(handle, plain[..cut].into(), PLENTY);
            let mut made = before.ok().expect("C_EncryptUpdate");
            let state = module.operation_state(handle, PLENTY).ok().expect("a state");
            assert!(module.encrypt_update(handle, (&[0; 20]).into(), PLENTY).ok().is_ok());
            assert_eq!(set(&state, 0), CKR_KEY_NEEDED);
            assert_eq!(set(&state, other), CKR_KEY_CHANGED);
            assert_eq!(set(&state, mine), Rv::OK);
            let rest = module.encrypt_update(handle, plain[cut..].into(), PLENTY);
            made.extend(rest.ok().expect("C_EncryptUpdate"));
            made.extend(module.encrypt_final(handle, PLENTY).ok().expect("C_EncryptFinal"));
            assert_eq!(made, cipher, "{cut}");

            assert_eq!(session.decrypt_init(mechanism(), mine), Rv::OK);
            let before = module.decrypt_update(handle, cipher[..cut].into(), PLENTY);
            let mut made = before.ok().expect("C_DecryptUpdate");
            let state = module.operation_state(handle, PLENTY).ok().expect("a state");
            assert!(!state.windows(8).any(|bytes| bytes == &plain[..8]), "it is sealed");
            assert_eq!(set(&state, mine), Rv::OK);
            let rest = module.decrypt_update(handle, cipher[cut..].into(), PLENTY);
            made.extend(rest.ok().expect("C_DecryptUpdate"));
            made.extend(module.decrypt_final(handle, PLENTY).ok().expect("C_DecryptFinal"));
            assert_eq!(made, plain, "{cut}");
        }
    });
}

/// Each of two keys has its place.
#[test]
fn the_state_of_two_operations_with_keys() {
    case(Fails("CKR_FUNCTION_NOT_SUPPORTED"), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let aes = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        let hmac = session.create(&keys::secret(CKK_GENERIC_SECRET, &[2; 16])).expect("a key");
        let mechanism = || Mechanism::iv(CKM_AES_CBC_PAD, &[9; 16]);
        let cipher = session.encrypt(mechanism(), aes, b"first second").expect("C_Encrypt");
        let mac = session.sign(CKM_SHA256_HMAC, hmac, b"first second").expect("C_Sign");
        assert_eq!(session.encrypt_init(mechanism(), aes), Rv::OK);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, hmac), Rv::OK);
        assert!(module.encrypt_update(handle, b"first ".into(), PLENTY).ok().is_ok());
        assert_eq!(module.sign_update(handle, b"first ".into()), Rv::OK);
        let state = module.operation_state(handle, PLENTY).ok().expect("a state");
        let set = |one, two| module.set_operation_state_with(handle, (&state).into(), one, two);
        assert_eq!(set(aes, 0), CKR_KEY_NEEDED);
        assert_eq!(set(0, hmac), CKR_KEY_NEEDED);
        assert_eq!(set(hmac, aes), CKR_KEY_CHANGED);
        assert_eq!(set(aes, hmac), Rv::OK);
        let mut made =
            module.encrypt_update(handle, b"second".into(), PLENTY).ok().expect("a part");
        made.extend(module.encrypt_final(handle, PLENTY).ok().expect("C_EncryptFinal"));
        assert_eq!(made, cipher);
        assert_eq!(module.sign_update(handle, b"second".into()), Rv::OK);
        assert_eq!(module.sign_final(handle, PLENTY).ok(), Ok(mac));
    });
}

#[test]
fn operations_whose_state_is_not_told() {
    let rows = &[
        ("a key stream", Fails("CKR_FUNCTION_NOT_SUPPORTED"), CKM_AES_OFB),
        ("an authenticated encryption", Fails("CKR_FUNCTION_NOT_SUPPORTED"), CKM_AES_GCM),
        ("a CMAC", Fails("CKR_FUNCTION_NOT_SUPPORTED"), CKM_AES_CMAC),
        ("a key for one login each", Fails("CKR_FUNCTION_NOT_SUPPORTED"), CKM_SHA256_RSA_PKCS),
    ];
    table(rows, |world, mechanism| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let digest = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(handle, Some(&digest)), Rv::OK);
        let rv = match *mechanism {
            CKM_AES_OFB => {
                let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
                session.encrypt_init(Mechanism::iv(CKM_AES_OFB, &[1; 16]), key)
            }
            CKM_AES_GCM => {
                let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
                let param = Param::Gcm { iv: In::Bytes(&[1; 12]), aad: In::NONE, tag_bits: 128 };
                session.encrypt_init(Mechanism::with(CKM_AES_GCM, param), key)
            }
            CKM_AES_CMAC => {
                let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
                session.sign_init(CKM_AES_CMAC, key)
            }
            _ => {
                let always = t![CKA_ALWAYS_AUTHENTICATE => true, CKA_PRIVATE => true];
                session.sign_init(*mechanism, keys::rsa_with(&session, 2048, &always).1)
            }
        };
        assert_eq!(rv, Rv::OK);
        assert_eq!(module.operation_state(handle, PLENTY).rv, CKR_STATE_UNSAVEABLE);
        assert_eq!(module.digest_update(handle, b"x".into()), Rv::OK, "all goes on");
    });
}
