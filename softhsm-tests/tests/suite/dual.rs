//! 5.13.5, 5.14.5 and 5.15: recovery, and parts that two operations take.

use cryptoki_sys::*;
use rsa::pkcs1v15::Pkcs1v15Sign;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails};
use strongroom_softhsm_tests::{Dual, In, Mechanism, PLENTY, Room, Rv, case, t, table};

use crate::keys;
use crate::sign::rsa_key;

const NONE: &str = "CKR_FUNCTION_NOT_SUPPORTED";
const NOT: CK_RV = CKR_OPERATION_NOT_INITIALIZED;

#[test]
fn data_comes_back_out_of_a_signature() {
    case(Fails(NONE), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (public, private) = keys::rsa(&session, 2048);
        let pkcs = Mechanism::plain(CKM_RSA_PKCS);
        let info = module.mechanism_info(session.slot, CKM_RSA_PKCS).expect("info");
        let recovers = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
        assert_eq!(info.flags & recovers, recovers);
        assert_eq!(module.sign_recover(handle, b"x".into(), PLENTY).rv, NOT);
        assert_eq!(module.sign_recover_init(handle, Some(&pkcs), private), Rv::OK);
        assert_eq!(module.sign_recover_init(handle, Some(&pkcs), private), CKR_OPERATION_ACTIVE);
        let query = module.sign_recover(handle, b"a message".into(), Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 256));
        let small = module.sign_recover(handle, b"a message".into(), Room::Bytes(255));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 256));
        let signature = module.sign_recover(handle, b"a message".into(), PLENTY).ok().expect("one");
        assert_eq!(module.sign_recover(handle, b"x".into(), PLENTY).rv, NOT, "it is over");
        let key = rsa_key(&session, public);
        let raw = Pkcs1v15Sign::new_unprefixed();
        assert!(key.verify(raw, b"a message", &signature).is_ok(), "as C_Sign signs");

        let init = || module.verify_recover_init(handle, Some(&pkcs), public);
        assert_eq!(init(), Rv::OK);
        let query = module.verify_recover(handle, (&signature).into(), Room::Query);
        assert_eq!(query.rv, Rv::OK);
        assert!(query.len >= 9);
        let small = module.verify_recover(handle, (&signature).into(), Room::Bytes(8));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 9));
        let data = module.verify_recover(handle, (&signature).into(), Room::Bytes(9));
        assert_eq!(data.ok(), Ok(b"a message".to_vec()));
        assert_eq!(module.verify_recover(handle, (&signature).into(), PLENTY).rv, NOT);
        assert_eq!(init(), Rv::OK);
        let mut wrong = signature.clone();
        wrong[100] ^= 1;
        let answer = module.verify_recover(handle, (&wrong).into(), PLENTY);
        assert_eq!(answer.rv, CKR_SIGNATURE_INVALID);
        assert_eq!(init(), Rv::OK, "the error ended it");
        let answer = module.verify_recover(handle, signature[1..].into(), PLENTY);
        assert_eq!(answer.rv, CKR_SIGNATURE_LEN_RANGE);
    });
}

#[test]
fn raw_rsa_recovers_the_whole_block() {
    case(Fails(NONE), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (public, private) = keys::rsa(&session, 2048);
        let raw = Mechanism::plain(CKM_RSA_X_509);
        assert_eq!(module.sign_recover_init(handle, Some(&raw), private), Rv::OK);
        let signature = module.sign_recover(handle, b"short".into(), PLENTY).ok().expect("one");
        assert_eq!(module.verify_recover_init(handle, Some(&raw), public), Rv::OK);
        let block = module.verify_recover(handle, (&signature).into(), PLENTY).ok().expect("one");
        assert_eq!(block.len(), 256);
        assert!(block.ends_with(b"short") && block[..251].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn who_may_recover() {
    case(Fails(NONE), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (public, private) = keys::rsa_with(&session, 2048, &t![CKA_SIGN_RECOVER => false]);
        let pkcs = Mechanism::plain(CKM_RSA_PKCS);
        let rv = module.sign_recover_init(handle, Some(&pkcs), private);
        assert_eq!(rv, CKR_KEY_FUNCTION_NOT_PERMITTED);
        let hashed = Mechanism::plain(CKM_SHA256_RSA_PKCS);
        let rv = module.verify_recover_init(handle, Some(&hashed), public);
        assert_eq!(rv, CKR_MECHANISM_INVALID, "a digest holds no data");
        let rv = module.verify_recover_init(handle, Some(&pkcs), private);
        assert_ne!(rv, Rv::OK);
        assert_eq!(module.verify_recover_init(handle, None, 0), CKR_ARGUMENTS_BAD);
        assert_eq!(module.verify_recover_init(handle, Some(&pkcs), public), Rv::OK);
        assert_eq!(module.verify_recover_init(handle, None, 0), Rv::OK, "ended");
        assert_eq!(module.verify_recover_init(handle, Some(&pkcs), public), Rv::OK);
        assert_eq!(module.session_cancel(handle, CKF_VERIFY_RECOVER), Rv::OK);
        assert_eq!(module.verify_recover(handle, In::NONE, PLENTY).rv, NOT);
    });
}

const PARTS: &[&[u8]] = &[b"sixteen bytes !!", b"and some", b"", b" eight !"];

/// The two operations of a pair: the cipher's start and end, and the other's.
const PAIRS: &[(&str, SoftHsm2, (Dual, Dual, CK_MECHANISM_TYPE))] = &[
    ("digest", Fails(NONE), (Dual::DigestEncrypt, Dual::DecryptDigest, CKM_SHA256)),
    ("signature", Fails(NONE), (Dual::SignEncrypt, Dual::DecryptVerify, CKM_SHA256_HMAC)),
];

#[test]
fn a_part_for_two_operations() {
    table(PAIRS, |world, (there, back, mechanism)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let aes = session.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
        let mac = session.create(&keys::secret(CKK_GENERIC_SECRET, &[2; 32])).expect("a key");
        let cbc = Mechanism::iv(CKM_AES_CBC, &[3; 16]);
        let plain = Mechanism::plain(*mechanism);
        let all = PARTS.concat();
        let digests = *mechanism == CKM_SHA256;
        let wanted = if digests {
            session.digest(CKM_SHA256, &all).expect("a digest")
        } else {
            session.sign(*mechanism, mac, &all).expect("a MAC")
        };
        let ciphertext = session.encrypt(cbc, aes, &all).expect("C_Encrypt");

        assert_eq!(module.dual(*there, handle, b"x".into(), PLENTY).rv, NOT);
        assert_eq!(module.encrypt_init(handle, Some(&cbc), aes), Rv::OK);
        assert_eq!(module.dual(*there, handle, b"x".into(), PLENTY).rv, NOT, "one is not enough");
        let start = |verify: bool| match (digests, verify) {
            (true, _) => module.digest_init(handle, Some(&plain)),
            (false, false) => module.sign_init(handle, Some(&plain), mac),
            (false, true) => module.verify_init(handle, Some(&plain), mac),
        };
        assert_eq!(start(false), Rv::OK);
        let small = module.dual(*there, handle, PARTS[0].into(), Room::Bytes(15));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 16));
        let query = module.dual(*there, handle, PARTS[0].into(), Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 16));
        let mut made = Vec::new();
        for part in PARTS {
            made.extend(module.dual(*there, handle, (*part).into(), PLENTY).ok().expect("a part"));
        }
        made.extend(module.encrypt_final(handle, PLENTY).ok().expect("the rest"));
        assert_eq!(made, ciphertext);
        let end = if digests {
            module.digest_final(handle, PLENTY)
        } else {
            module.sign_final(handle, PLENTY)
        };
        assert_eq!(end.ok(), Ok(wanted.clone()));

        assert_eq!(module.decrypt_init(handle, Some(&cbc), aes), Rv::OK);
        assert_eq!(start(true), Rv::OK);
        let mut plaintext = Vec::new();
        for part in ciphertext.chunks(10) {
            plaintext.extend(module.dual(*back, handle, part.into(), PLENTY).ok().expect("a part"));
        }
        plaintext.extend(module.decrypt_final(handle, PLENTY).ok().expect("the rest"));
        assert_eq!(plaintext, all);
        if digests {
            assert_eq!(module.digest_final(handle, PLENTY).ok(), Ok(wanted));
        } else {
            assert_eq!(module.verify_final(handle, (&wanted).into()), Rv::OK);
        }
    });
}

#[test]
fn an_error_ends_both_operations() {
    case(Fails(NONE), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let aes = session.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
        let cbc = Mechanism::iv(CKM_AES_CBC, &[3; 16]);
        let sha256 = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.encrypt_init(handle, Some(&cbc), aes), Rv::OK);
        assert_eq!(module.digest_init(handle, Some(&sha256)), Rv::OK);
        let null = module.dual(Dual::DigestEncrypt, handle, In::Null(4), PLENTY);
        assert_eq!(null.rv, CKR_ARGUMENTS_BAD);
        assert_eq!(module.digest_update(handle, b"x".into()), NOT);
        assert_eq!(module.encrypt_update(handle, b"x".into(), PLENTY).rv, NOT);
    });
}
