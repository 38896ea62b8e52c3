//! 5.13 and 5.14: signatures and MACs, with a second opinion.

use cryptoki_sys::*;
use ed25519_dalek::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pss::Pss;
use rsa::{BoxedUint, RsaPublicKey};
use sha2::Digest;
use strongroom_softhsm_tests::SoftHsm2::{self, Crashes, Fails, Passes};
use strongroom_softhsm_tests::{
    In, Mechanism, PLENTY, Param, Room, Rv, Session, case, merge, t, table,
};

use crate::digest::Second;
use crate::keys;

const DATA: &[u8] = b"what is signed";
const PARTS: &[&[u8]] = &[b"what", b" is ", b"", b"signed"];

const SHA1: Second = |data| sha1::Sha1::digest(data).to_vec();
const SHA224: Second = |data| sha2::Sha224::digest(data).to_vec();
const SHA256: Second = |data| sha2::Sha256::digest(data).to_vec();
const SHA384: Second = |data| sha2::Sha384::digest(data).to_vec();
const SHA512: Second = |data| sha2::Sha512::digest(data).to_vec();

/// The public key, for the second opinion.
pub(crate) fn rsa_key(session: &Session<'_>, public: CK_OBJECT_HANDLE) -> RsaPublicKey {
    let number = |attribute| {
        let bytes = session.get(public, attribute).expect("a public number");
        BoxedUint::from_be_slice_vartime(&bytes)
    };
    RsaPublicKey::new(number(CKA_MODULUS), number(CKA_PUBLIC_EXPONENT)).expect("an RSA key")
}

fn point(session: &Session<'_>, public: CK_OBJECT_HANDLE) -> Vec<u8> {
    keys::octets(&session.get(public, CKA_EC_POINT).expect("CKA_EC_POINT")).to_vec()
}

fn pkcs1(hash: CK_MECHANISM_TYPE) -> Pkcs1v15Sign {
    match hash {
        CKM_SHA_1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        CKM_SHA224 => Pkcs1v15Sign::new::<sha2::Sha224>(),
        CKM_SHA256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        CKM_SHA384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        _ => Pkcs1v15Sign::new::<sha2::Sha512>(),
    }
}

/// Whether the second opinion takes a PSS signature with this salt.
fn pss_verifies(
    key: &RsaPublicKey,
    hash: CK_MECHANISM_TYPE,
    salt: usize,
    digest: &[u8],
    signature: &[u8],
) -> bool {
    match hash {
        CKM_SHA_1 => key.verify(Pss::<sha1::Sha1>::new_with_salt(salt), digest, signature),
        CKM_SHA224 => key.verify(Pss::<sha2::Sha224>::new_with_salt(salt), digest, signature),
        CKM_SHA256 => key.verify(Pss::<sha2::Sha256>::new_with_salt(salt), digest, signature),
        CKM_SHA384 => key.verify(Pss::<sha2::Sha384>::new_with_salt(salt), digest, signature),
        _ => key.verify(Pss::<sha2::Sha512>::new_with_salt(salt), digest, signature),
    }
    .is_ok()
}

#[test]
fn rsa_pkcs1_with_a_digest() {
    let rows = &[
        ("SHA-1", Passes, (CKM_SHA1_RSA_PKCS, CKM_SHA_1, SHA1)),
        ("SHA-224", Passes, (CKM_SHA224_RSA_PKCS, CKM_SHA224, SHA224)),
        ("SHA-256", Passes, (CKM_SHA256_RSA_PKCS, CKM_SHA256, SHA256)),
        ("SHA-384", Passes, (CKM_SHA384_RSA_PKCS, CKM_SHA384, SHA384)),
        ("SHA-512", Passes, (CKM_SHA512_RSA_PKCS, CKM_SHA512, SHA512)),
    ];
    table(rows, |world, (mechanism, hash, digest)| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let signature = session.sign(*mechanism, private, DATA).expect("C_Sign");
        let second = rsa_key(&session, public);
        second.verify(pkcs1(*hash), &digest(DATA), &signature).expect("the second opinion");
        let parts = session.sign_parts(*mechanism, private, PARTS).expect("in parts");
        assert_eq!(parts, signature, "PKCS #1 v1.5 is deterministic");
        verifies(&session, (*mechanism).into(), public, &signature);
    });
}

#[test]
fn rsa_pss_with_a_digest() {
    let rows = &[
        ("SHA-1", Passes, (CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, 20, SHA1)),
        ("SHA-224", Passes, (CKM_SHA224_RSA_PKCS_PSS, CKM_SHA224, CKG_MGF1_SHA224, 28, SHA224)),
        ("SHA-256", Passes, (CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32, SHA256)),
        ("SHA-384", Passes, (CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48, SHA384)),
        ("SHA-512", Passes, (CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512, 64, SHA512)),
        (
            "SHA-256, no salt",
            Passes,
            (CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 0, SHA256),
        ),
        (
            "SHA-256, the longest salt",
            Passes,
            (CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 222, SHA256),
        ),
    ];
    table(rows, |world, (mechanism, hash, mgf, salt, digest)| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let param = Param::Pss { hash: *hash, mgf: *mgf, salt: *salt };
        let mechanism = Mechanism::with(*mechanism, param);
        let second = rsa_key(&session, public);
        for signature in [
            session.sign(mechanism, private, DATA).expect("C_Sign"),
            session.sign_parts(mechanism, private, PARTS).expect("in parts"),
        ] {
            assert!(pss_verifies(&second, *hash, *salt, &digest(DATA), &signature));
            verifies(&session, mechanism, public, &signature);
        }
        // The digest made by the caller.
        let raw = Mechanism::with(CKM_RSA_PKCS_PSS, param);
        let signature = session.sign(raw, private, &digest(DATA)).expect("CKM_RSA_PKCS_PSS");
        assert!(pss_verifies(&second, *hash, *salt, &digest(DATA), &signature));
        assert_eq!(session.verify(raw, public, &digest(DATA), &signature), Rv::OK);
        let short = session.sign(raw, private, &digest(DATA)[1..]);
        assert!(short.is_err(), "a digest of another length");
    });
}

#[test]
fn pss_with_another_digest_in_the_mask() {
    case(Fails("the digests must be the same"), |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let param = Param::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA1, salt: 32 };
        let mechanism = Mechanism::with(CKM_SHA256_RSA_PKCS_PSS, param);
        let signature = session.sign(mechanism, private, DATA).expect("C_Sign");
        assert_eq!(session.verify(mechanism, public, DATA, &signature), Rv::OK);
        let second = rsa_key(&session, public);
        let same = pss_verifies(&second, CKM_SHA256, 32, &SHA256(DATA), &signature);
        assert!(!same, "the mask was made with SHA-256");
    });
}

#[test]
fn rsa_pkcs1_without_a_digest() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let info =
            [&keys::hex("3031300d060960864801650304020105000420")[..], &SHA256(DATA)].concat();
        let signature = session.sign(CKM_RSA_PKCS, private, &info).expect("C_Sign");
        let second = rsa_key(&session, public);
        second.verify(pkcs1(CKM_SHA256), &SHA256(DATA), &signature).expect("second opinion");
        assert_eq!(session.verify(CKM_SHA256_RSA_PKCS, public, DATA, &signature), Rv::OK);
        assert_eq!(session.verify(CKM_RSA_PKCS, public, &info, &signature), Rv::OK);
        for len in [0, 1, 20, 245] {
            let data = vec![7; len];
            let signature = session.sign(CKM_RSA_PKCS, private, &data).expect("any data");
            assert_eq!(session.verify(CKM_RSA_PKCS, public, &data, &signature), Rv::OK);
        }
    });
}

#[test]
fn rsa_pkcs1_with_too_much_data() {
    case(Fails("CKR_GENERAL_ERROR"), |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let long = Err(Rv(CKR_DATA_LEN_RANGE));
        assert_eq!(session.sign(CKM_RSA_PKCS, private, &[7; 246]), long);
        assert_eq!(session.encrypt(CKM_RSA_PKCS, public, &[7; 246]), long);
        let param = Param::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, salt: 32 };
        let mechanism = Mechanism::with(CKM_RSA_PKCS_PSS, param);
        assert_eq!(session.sign(mechanism, private, &[7; 33]), long);
    });
}

#[test]
fn rsa_raw() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let mut block = vec![0x42; 256];
        block[0] = 0;
        let signature = session.sign(CKM_RSA_X_509, private, &block).expect("C_Sign");
        assert_eq!(signature.len(), 256);
        assert_eq!(session.verify(CKM_RSA_X_509, public, &block, &signature), Rv::OK);
        assert_eq!(session.encrypt(CKM_RSA_X_509, public, &signature), Ok(block));
    });
}

#[test]
fn rsa_raw_with_too_much_data() {
    case(Crashes("a length underflows, and an exception ends the host process"), |world| {
        let session = world.user();
        let (_, private) = keys::rsa(&session, 2048);
        let answer = session.sign(CKM_RSA_X_509, private, &[1; 257]);
        assert_eq!(answer, Err(Rv(CKR_DATA_LEN_RANGE)));
    });
}

/// Accepts the signature, and no other data or signature.
fn verifies(
    session: &Session<'_>,
    mechanism: Mechanism<'_>,
    public: CK_OBJECT_HANDLE,
    signature: &[u8],
) {
    assert_eq!(session.verify(mechanism, public, DATA, signature), Rv::OK);
    let invalid = Rv(CKR_SIGNATURE_INVALID);
    assert_eq!(session.verify(mechanism, public, b"other data", signature), invalid);
    for index in [0, signature.len() / 2, signature.len() - 1] {
        let mut wrong = signature.to_vec();
        wrong[index] ^= 1;
        assert_eq!(session.verify(mechanism, public, DATA, &wrong), invalid, "byte {index}");
    }
    let short = session.verify(mechanism, public, DATA, &signature[..signature.len() - 1]);
    assert!(short == CKR_SIGNATURE_LEN_RANGE || short == CKR_SIGNATURE_INVALID, "{short:?}");
    let empty = session.verify(mechanism, public, DATA, b"");
    assert!(
        [CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID, CKR_ARGUMENTS_BAD].contains(&empty.0),
        "{empty:?}"
    );
}

#[test]
fn ecdsa() {
    const LATER: &str = "hashed ECDSA came with 2.7 (#620)";
    let curves = [
        ("P-256", keys::P256, 64),
        ("P-384", keys::P384, 96),
        ("P-521", keys::P521, 132),
        ("secp256k1", keys::SECP256K1, 64),
    ];
    let hashes = [
        ("no digest", CKM_ECDSA, SHA256),
        ("SHA-1", CKM_ECDSA_SHA1, SHA1),
        ("SHA-224", CKM_ECDSA_SHA224, SHA224),
        ("SHA-256", CKM_ECDSA_SHA256, SHA256),
        ("SHA-384", CKM_ECDSA_SHA384, SHA384),
        ("SHA-512", CKM_ECDSA_SHA512, SHA512),
    ];
    let mut names = Vec::new();
    for (name, curve, len) in curves {
        for (hash, mechanism, digest) in hashes {
            let softhsm2 = if mechanism == CKM_ECDSA { Passes } else { Fails(LATER) };
            names.push((format!("{name}, {hash}"), softhsm2, (curve, len, mechanism, digest)));
        }
    }
    let rows: Vec<_> = names.iter().map(|(name, two, row)| (name.as_str(), *two, *row)).collect();
    table(&rows, |world, (curve, len, mechanism, digest)| {
        let session = world.user();
        let (public, private) = keys::ec(&session, curve);
        let hashed = digest(DATA);
        let data = if *mechanism == CKM_ECDSA { &hashed[..] } else { DATA };
        let signature = session.sign(*mechanism, private, data).expect("C_Sign");
        assert_eq!(signature.len(), *len);
        assert_eq!(session.verify(*mechanism, public, data, &signature), Rv::OK);
        let point = point(&session, public);
        match *curve {
            keys::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a point");
                let signature = p256::ecdsa::Signature::from_slice(&signature).expect("r and s");
                // A digest longer than the order is cut, a shorter one is a smaller number.
                if hashed.len() >= 32 {
                    key.verify_prehash(&hashed, &signature).expect("the second opinion");
                }
            }
            keys::SECP256K1 => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a point");
                let signature = k256::ecdsa::Signature::from_slice(&signature).expect("r and s");
                let signature = signature.normalize_s();
                if hashed.len() >= 32 {
                    key.verify_prehash(&hashed, &signature).expect("the second opinion");
                }
            }
            _ => {}
        }
        // The other mechanism agrees: the digest made by the caller, or by the module.
        assert_eq!(session.verify(CKM_ECDSA, public, &hashed, &signature), Rv::OK);
        let mut wrong = signature.clone();
        wrong[*len - 1] ^= 1;
        assert_eq!(session.verify(*mechanism, public, data, &wrong), CKR_SIGNATURE_INVALID);
        if *mechanism != CKM_ECDSA {
            let signature = session.sign_parts(*mechanism, private, PARTS).expect("in parts");
            assert_eq!(session.verify(*mechanism, public, DATA, &signature), Rv::OK);
            assert_eq!(session.verify_parts(*mechanism, public, PARTS, &signature), Rv::OK);
        }
    });
}

#[test]
fn ecdsa_of_any_length() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::ec(&session, keys::P256);
        for len in [1, 20, 31, 32, 33, 48, 64] {
            let data = vec![0xA7; len];
            let signature = session.sign(CKM_ECDSA, private, &data).expect("C_Sign");
            assert_eq!(session.verify(CKM_ECDSA, public, &data, &signature), Rv::OK, "{len}");
        }
    });
}

#[test]
fn a_shortened_ecdsa_signature() {
    case(Fails("the length must be that of the curve (Java trims both halves)"), |world| {
        let session = world.user();
        // Two leading zeros are rare; so a key is taken whose signatures are known to have them.
        let signer = p256::ecdsa::SigningKey::from_slice(&[0x11; 32]).expect("a key");
        let point = signer.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let public = session
            .create(&t![
                CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC, CKA_EC_PARAMS => keys::P256,
                CKA_EC_POINT => keys::octet_string(&point), CKA_VERIFY => true,
            ])
            .expect("a public key");
        for number in 0..200_000_u32 {
            use p256::ecdsa::signature::hazmat::PrehashSigner as _;
            let hash = SHA256(&number.to_be_bytes());
            let signature: p256::ecdsa::Signature = signer.sign_prehash(&hash).expect("signs");
            let bytes = signature.to_bytes();
            let (r, s) = bytes.split_at(32);
            if r[0] == 0 && s[0] == 0 {
                let short = [&r[1..], &s[1..]].concat();
                assert_eq!(session.verify(CKM_ECDSA, public, &hash, &short), Rv::OK);
                return;
            }
        }
        panic!("no signature with two leading zeros");
    });
}

#[test]
fn the_second_opinion_signs() {
    let rows: &[(&str, SoftHsm2, fn(&Session<'_>))] = &[
        ("ECDSA on P-256", Passes, |session| {
            use p256::ecdsa::signature::hazmat::PrehashSigner as _;
            let signer = p256::ecdsa::SigningKey::from_slice(&[0x11; 32]).expect("a key");
            let signature: p256::ecdsa::Signature =
                signer.sign_prehash(&SHA256(DATA)).expect("signs");
            let point = signer.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            let public = session
                .create(&t![
                    CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC, CKA_VERIFY => true,
                    CKA_EC_PARAMS => keys::P256, CKA_EC_POINT => keys::octet_string(&point),
                ])
                .expect("a public key");
            let rv = session.verify(CKM_ECDSA, public, &SHA256(DATA), &signature.to_vec());
            assert_eq!(rv, Rv::OK);
        }),
        ("Ed25519", Passes, |session| {
            use ed25519_dalek::Signer as _;
            let signer = ed25519_dalek::SigningKey::from_bytes(&[0x11; 32]);
            let point = signer.verifying_key().to_bytes();
            let public = session
                .create(&t![
                    CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC_EDWARDS,
                    CKA_EC_PARAMS => keys::ED25519, CKA_EC_POINT => keys::octet_string(&point),
                    CKA_VERIFY => true,
                ])
                .expect("a public key");
            let signature = signer.sign(DATA).to_bytes();
            assert_eq!(session.verify(CKM_EDDSA, public, DATA, &signature), Rv::OK);
        }),
    ];
    table(rows, |world, check| check(&world.user()));
}

#[test]
fn a_key_of_the_second_opinion_signs() {
    case(Passes, |world| {
        let session = world.user();
        let signer = p256::ecdsa::SigningKey::from_slice(&[0x11; 32]).expect("a key");
        let private = session
            .create(&t![
                CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_EC, CKA_SIGN => true,
                CKA_EC_PARAMS => keys::P256, CKA_VALUE => &[0x11; 32],
            ])
            .expect("a private key");
        let signature = session.sign(CKM_ECDSA, private, &SHA256(DATA)).expect("C_Sign");
        let signature = p256::ecdsa::Signature::from_slice(&signature).expect("r and s");
        signer.verifying_key().verify_prehash(&SHA256(DATA), &signature).expect("second opinion");
    });
}

#[test]
fn ed25519() {
    const IGNORED: &str = "the parameter is not looked at: it signs as if there were none";
    let rows = &[
        ("pure", Passes, Param::None),
        ("pure, with a parameter", Passes, Param::Eddsa { prehash: false, context: In::NONE }),
        ("prehashed", Fails(IGNORED), Param::Eddsa { prehash: true, context: In::NONE }),
        (
            "with a context",
            Fails(IGNORED),
            Param::Eddsa { prehash: false, context: In::Bytes(b"context") },
        ),
        (
            "prehashed, with a context",
            Fails(IGNORED),
            Param::Eddsa { prehash: true, context: In::Bytes(b"context") },
        ),
    ];
    table(rows, |world, param| {
        let session = world.user();
        let (public, private) = keys::ed25519(&session);
        let mechanism = Mechanism::with(CKM_EDDSA, *param);
        let signature = session.sign(mechanism, private, DATA).expect("C_Sign");
        let point: [u8; 32] = point(&session, public).try_into().expect("32 bytes");
        let key = ed25519_dalek::VerifyingKey::from_bytes(&point).expect("a point");
        let second = ed25519_dalek::Signature::from_slice(&signature).expect("64 bytes");
        match param {
            Param::Eddsa { prehash: true, context } => {
                let context = if let In::Bytes(context) = context { *context } else { b"" };
                key.verify_prehashed(sha2::Sha512::new_with_prefix(DATA), Some(context), &second)
                    .expect("the second opinion");
            }
            Param::Eddsa { context: In::Bytes(_), .. } => {
                assert!(key.verify(DATA, &second).is_err(), "the context is part of it");
            }
            _ => key.verify(DATA, &second).expect("the second opinion"),
        }
        verifies(&session, mechanism, public, &signature);
        if !matches!(param, Param::None | Param::Eddsa { prehash: false, context: In::Null(0) }) {
            let pure = session.verify(CKM_EDDSA, public, DATA, &signature);
            assert_eq!(pure, CKR_SIGNATURE_INVALID, "signatures of another kind");
        }
    });
}

/// RFC 8032, 7.4 and 7.5. Programs over the same library as SoftHSM2's are the second opinion.
#[test]
fn ed448() {
    const IGNORED: &str = "the parameter is not looked at: it signs as if there were none";
    const BLANK: &str = "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e";
    const ABC: &str = "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49";
    let rows = &[
        (
            "pure",
            Passes,
            (
                Param::None,
                (BLANK, &b"\x03"[..]),
                "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c03a00",
            ),
        ),
        (
            "with a context",
            Fails(IGNORED),
            (
                Param::Eddsa { prehash: false, context: In::Bytes(b"foo") },
                (BLANK, b"\x03"),
                "d4f8f6131770dd46f40867d6fd5d5055de43541f8c5e35abbcd001b32a89f7d2151f7647f11d8ca2ae279fb842d607217fce6e042f6815ea000c85741de5c8da1144a6a1aba7f96de42505d7a7298524fda538fccbbb754f578c1cad10d54d0d5428407e85dcbc98a49155c13764e66c3c00",
            ),
        ),
        (
            "prehashed, with a context",
            Fails(IGNORED),
            (
                Param::Eddsa { prehash: true, context: In::Bytes(b"foo") },
                (ABC, b"abc"),
                "c32299d46ec8ff02b54540982814dce9a05812f81962b649d528095916a2aa481065b1580423ef927ecf0af5888f90da0f6a9a85ad5dc3f280d91224ba9911a3653d00e484e2ce232521481c8658df304bb7745a73514cdb9bf3e15784ab71284f8d0704a608c54a6b62d97beb511d132100",
            ),
        ),
    ];
    table(rows, |world, (param, (seed, message), expected)| {
        let session = world.user();
        let private = session
            .create(&t![
                CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_EC_EDWARDS, CKA_SIGN => true,
                CKA_EC_PARAMS => keys::ED448, CKA_VALUE => keys::hex(seed),
            ])
            .expect("a private key");
        let mechanism = Mechanism::with(CKM_EDDSA, *param);
        let signature = session.sign(mechanism, private, *message).expect("C_Sign");
        assert_eq!(signature, keys::hex(expected));

        let (public, private) = keys::edwards(&session, keys::ED448);
        let signature = session.sign(mechanism, private, DATA).expect("C_Sign");
        verifies(&session, mechanism, public, &signature);
        if !matches!(param, Param::None) {
            let pure = session.verify(CKM_EDDSA, public, DATA, &signature);
            assert_eq!(pure, CKR_SIGNATURE_INVALID, "signatures of another kind");
        }
    });
}

#[test]
fn edwards_keys_by_name_and_by_mechanism() {
    let rows = &[
        ("object identifier", Passes, (CKM_EC_EDWARDS_KEY_PAIR_GEN, keys::ED25519.to_vec())),
        (
            "name of the curve",
            Passes,
            (CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x0cedwards25519".to_vec()),
        ),
        (
            "name of the larger curve",
            Passes,
            (CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x0aedwards448".to_vec()),
        ),
        (
            "CKM_EDDSA, as GnuTLS asks",
            Fails("CKM_EDDSA generates no keys"),
            (CKM_EDDSA, keys::ED25519.to_vec()),
        ),
    ];
    table(rows, |world, (mechanism, curve)| {
        let session = world.user();
        let (public, private) = session
            .pair(
                *mechanism,
                &t![CKA_EC_PARAMS => curve, CKA_VERIFY => true],
                &t![CKA_SIGN => true],
            )
            .expect("C_GenerateKeyPair");
        let signature = session.sign(CKM_EDDSA, private, DATA).expect("C_Sign");
        assert_eq!(session.verify(CKM_EDDSA, public, DATA, &signature), Rv::OK);
        assert_eq!(session.number(private, CKA_KEY_TYPE), Ok(CKK_EC_EDWARDS));
    });
}

#[test]
fn macs_with_known_answers() {
    // RFC 4231, case 2; RFC 2202, case 2; RFC 4493, example 2.
    let jefe = b"what do ya want for nothing?".to_vec();
    let aes = keys::hex("2b7e151628aed2a6abf7158809cf4f3c");
    let block = keys::hex("6bc1bee22e409f96e93d7e117393172a");
    let key_size = "keys shorter than the digest are refused (CKR_KEY_SIZE_RANGE)";
    let rows = &[
        (
            "SHA-1",
            Fails(key_size),
            (
                CKM_SHA_1_HMAC,
                b"Jefe".to_vec(),
                jefe.clone(),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
        ),
        (
            "SHA-224",
            Fails(key_size),
            (
                CKM_SHA224_HMAC,
                b"Jefe".to_vec(),
                jefe.clone(),
                "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
            ),
        ),
        (
            "SHA-256",
            Fails(key_size),
            (
                CKM_SHA256_HMAC,
                b"Jefe".to_vec(),
                jefe.clone(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ),
        (
            "SHA-384",
            Fails(key_size),
            (
                CKM_SHA384_HMAC,
                b"Jefe".to_vec(),
                jefe.clone(),
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
        ),
        (
            "SHA-512",
            Fails(key_size),
            (
                CKM_SHA512_HMAC,
                b"Jefe".to_vec(),
                jefe,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ),
        (
            "SHA-256, a long key",
            Passes,
            (
                CKM_SHA256_HMAC,
                vec![0xAA; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ),
        (
            "CMAC of nothing",
            Passes,
            (CKM_AES_CMAC, aes.clone(), vec![], "bb1d6929e95937287fa37d129b756746"),
        ),
        ("CMAC of a block", Passes, (CKM_AES_CMAC, aes, block, "070a16b46b4d4144f79bdd9dd04a287c")),
    ];
    table(rows, |world, (mechanism, key, data, wanted)| {
        let session = world.user();
        let kind = if *mechanism == CKM_AES_CMAC { CKK_AES } else { CKK_GENERIC_SECRET };
        let key = session.create(&keys::secret(kind, key)).expect("a key");
        let mac = session.sign(*mechanism, key, data).expect("C_Sign");
        assert_eq!(mac, keys::hex(wanted));
        let (head, tail) = data.split_at(data.len() / 2);
        assert_eq!(session.sign_parts(*mechanism, key, &[head, tail]), Ok(mac.clone()));
        assert_eq!(session.verify(*mechanism, key, data, &mac), Rv::OK);
        assert_eq!(session.verify_parts(*mechanism, key, &[head, tail], &mac), Rv::OK);
        let mut wrong = mac.clone();
        wrong[0] ^= 1;
        assert_eq!(session.verify(*mechanism, key, data, &wrong), CKR_SIGNATURE_INVALID);
        let short = session.verify(*mechanism, key, data, &mac[1..]);
        assert!(short == CKR_SIGNATURE_LEN_RANGE || short == CKR_SIGNATURE_INVALID, "{short:?}");
    });
}

#[test]
fn macs_of_any_length() {
    const NONE: &str = "it has no general-length MACs";
    let rows = &[
        ("SHA-1", Fails(NONE), (CKM_SHA_1_HMAC_GENERAL, CKM_SHA_1_HMAC, 20)),
        ("SHA-224", Fails(NONE), (CKM_SHA224_HMAC_GENERAL, CKM_SHA224_HMAC, 28)),
        ("SHA-256", Fails(NONE), (CKM_SHA256_HMAC_GENERAL, CKM_SHA256_HMAC, 32)),
        ("SHA-384", Fails(NONE), (CKM_SHA384_HMAC_GENERAL, CKM_SHA384_HMAC, 48)),
        ("SHA-512", Fails(NONE), (CKM_SHA512_HMAC_GENERAL, CKM_SHA512_HMAC, 64)),
        ("CMAC", Fails(NONE), (CKM_AES_CMAC_GENERAL, CKM_AES_CMAC, 16)),
    ];
    table(rows, |world, (general, whole, len)| {
        let session = world.user();
        let kind = if *whole == CKM_AES_CMAC { CKK_AES } else { CKK_GENERIC_SECRET };
        let key = session
            .create(&keys::secret(kind, if kind == CKK_AES { &[7; 32] } else { &[7; 64] }))
            .expect("a key");
        let mac = session.sign(*whole, key, DATA).expect("the whole");
        for short in [4, 10, *len] {
            let mechanism = Mechanism::with(*general, Param::Ulong(short as CK_ULONG));
            assert_eq!(session.sign(mechanism, key, DATA), Ok(mac[..short].to_vec()));
            assert_eq!(session.verify(mechanism, key, DATA, &mac[..short]), Rv::OK);
        }
        for wrong in [*len as CK_ULONG + 1, (1 << 32) | 4] {
            let mechanism = Mechanism::with(*general, Param::Ulong(wrong));
            let rv = session.sign_init(mechanism, key);
            assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID, "a length of {wrong}");
        }
        assert_eq!(session.sign_init(*general, key), CKR_MECHANISM_PARAM_INVALID, "no length");
    });
}

#[test]
fn the_length_is_asked_first() {
    let rows = &[
        ("RSA", Passes, (CKM_SHA256_RSA_PKCS, 256)),
        ("ECDSA", Passes, (CKM_ECDSA, 64)),
        ("Ed25519", Passes, (CKM_EDDSA, 64)),
        ("Ed448", Passes, (CKM_EDDSA, 114)),
        ("HMAC", Passes, (CKM_SHA256_HMAC, 32)),
        ("CMAC", Passes, (CKM_AES_CMAC, 16)),
    ];
    table(rows, |world, (mechanism, len)| {
        let session = world.user();
        let (public, private) = match *mechanism {
            CKM_SHA256_RSA_PKCS => keys::rsa(&session, 2048),
            CKM_ECDSA => keys::ec(&session, keys::P256),
            CKM_EDDSA if *len == 114 => keys::edwards(&session, keys::ED448),
            CKM_EDDSA => keys::ed25519(&session),
            CKM_AES_CMAC => {
                let key = session.create(&keys::secret(CKK_AES, &[7; 32])).expect("a key");
                (key, key)
            }
            _ => {
                let key = keys::secret(CKK_GENERIC_SECRET, &[7; 32]);
                let key = session.create(&key).expect("a key");
                (key, key)
            }
        };
        let data = &[9_u8; 32];
        let (module, handle) = (session.module, session.handle);
        assert_eq!(session.sign_init(*mechanism, private), Rv::OK);
        let query = module.sign(handle, data.into(), Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, *len));
        for room in [0, *len - 1] {
            let small = module.sign(handle, data.into(), Room::Bytes(room));
            assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), *len));
        }
        let signature = module.sign(handle, data.into(), Room::Bytes(*len)).ok().expect("C_Sign");
        assert_eq!(session.verify(*mechanism, public, data, &signature), Rv::OK);
        let again = module.sign(handle, data.into(), PLENTY);
        assert_eq!(again.rv, CKR_OPERATION_NOT_INITIALIZED, "it is over");
    });
}

#[test]
fn the_final_length_is_asked_first() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let (module, handle) = (session.module, session.handle);
        assert_eq!(session.sign_init(CKM_SHA256_RSA_PKCS, private), Rv::OK);
        assert_eq!(module.sign_update(handle, DATA.into()), Rv::OK);
        let query = module.sign_final(handle, Room::Query);
        assert_eq!((query.rv, query.len), (Rv::OK, 256));
        let small = module.sign_final(handle, Room::Bytes(255));
        assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), 256));
        let signature = module.sign_final(handle, Room::Bytes(256)).ok().expect("C_SignFinal");
        assert_eq!(session.verify(CKM_SHA256_RSA_PKCS, public, DATA, &signature), Rv::OK);
    });
}

#[test]
fn order_of_the_calls() {
    case(Passes, |world| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[7; 32])).expect("a key");
        let (module, handle) = (session.module, session.handle);
        let not = Rv(CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(module.sign(handle, DATA.into(), PLENTY).rv, not);
        assert_eq!(module.sign_update(handle, DATA.into()), not);
        assert_eq!(module.sign_final(handle, PLENTY).rv, not);
        assert_eq!(module.verify(handle, DATA.into(), DATA.into()), not);
        assert_eq!(module.verify_update(handle, DATA.into()), not);
        assert_eq!(module.verify_final(handle, DATA.into()), not);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), CKR_OPERATION_ACTIVE);
        assert_eq!(module.sign(handle, DATA.into(), PLENTY).rv, Rv::OK);
        assert_eq!(module.sign_final(handle, PLENTY).rv, not);
    });
}

#[test]
fn one_shot_after_an_update() {
    const NOT_INITIALIZED: &str = "CKR_OPERATION_NOT_INITIALIZED, though one is";
    let rows =
        &[("C_Sign", Fails(NOT_INITIALIZED), true), ("C_Verify", Fails(NOT_INITIALIZED), false)];
    table(rows, |world, signs| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[7; 32])).expect("a key");
        let (module, handle) = (session.module, session.handle);
        let rv = if *signs {
            assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
            assert_eq!(module.sign_update(handle, DATA.into()), Rv::OK);
            module.sign(handle, DATA.into(), PLENTY).rv
        } else {
            assert_eq!(session.verify_init(CKM_SHA256_HMAC, key), Rv::OK);
            assert_eq!(module.verify_update(handle, DATA.into()), Rv::OK);
            module.verify(handle, DATA.into(), (&[0; 32]).into())
        };
        assert_eq!(rv, CKR_OPERATION_ACTIVE);
    });
}

#[test]
fn an_error_ends_the_operation() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let (module, handle) = (session.module, session.handle);
        let not = Rv(CKR_OPERATION_NOT_INITIALIZED);
        assert!(session.sign(CKM_RSA_PKCS, private, &[1; 300]).is_err());
        assert_eq!(module.sign(handle, DATA.into(), PLENTY).rv, not);
        assert!(session.sign(CKM_RSA_PKCS, private, DATA).is_ok(), "a new Init works");
        let rv = session.verify(CKM_RSA_PKCS, public, DATA, &[1; 256]);
        assert_eq!(rv, CKR_SIGNATURE_INVALID);
        assert_eq!(module.verify(handle, DATA.into(), DATA.into()), not);
    });
}

/// A module may refuse parts where the standard knows only one, or take them for the whole.
#[test]
fn parts_of_single_part_mechanisms() {
    let rows = &[("RSA_PKCS", Passes, CKM_RSA_PKCS), ("ECDSA", Passes, CKM_ECDSA)];
    table(rows, |world, mechanism| {
        let session = world.user();
        let (public, private) = match *mechanism {
            CKM_ECDSA => keys::ec(&session, keys::P256),
            _ => keys::rsa(&session, 2048),
        };
        if let Ok(signature) = session.sign_parts(*mechanism, private, PARTS) {
            assert_eq!(session.verify(*mechanism, public, DATA, &signature), Rv::OK);
        }
        assert!(session.sign(*mechanism, private, DATA).is_ok(), "nothing is active");
    });
}

/// What strict clients check at `C_SignInit` and `C_VerifyInit`.
#[test]
fn what_init_refuses() {
    type Row = fn(&Session<'_>) -> Rv;
    const OBJECT: &str = "CKR_OBJECT_HANDLE_INVALID, the word for objects that are no keys";
    const ANY_KEY: &str = "the type of the key is not looked at (5a3466fb)";
    let rows: &[(&str, SoftHsm2, (Row, &[CK_RV]))] = &[
        (
            "a handle nobody gave",
            Fails(OBJECT),
            (|s| s.sign_init(CKM_RSA_PKCS, 0x7777), &[CKR_KEY_HANDLE_INVALID]),
        ),
        (
            "handle 0",
            Fails(OBJECT),
            (|s| s.verify_init(CKM_RSA_PKCS, 0), &[CKR_KEY_HANDLE_INVALID]),
        ),
        (
            "an object that is no key",
            Passes,
            (
                |s| s.sign_init(CKM_RSA_PKCS, s.create(&keys::data("x")).expect("data")),
                &[
                    CKR_KEY_HANDLE_INVALID,
                    CKR_KEY_TYPE_INCONSISTENT,
                    CKR_KEY_FUNCTION_NOT_PERMITTED,
                ],
            ),
        ),
        (
            "a public key to sign with",
            Passes,
            (
                |s| s.sign_init(CKM_RSA_PKCS, keys::rsa(s, 2048).0),
                &[CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "an RSA key for ECDSA",
            Fails(ANY_KEY),
            (|s| s.sign_init(CKM_ECDSA, keys::rsa(s, 2048).1), &[CKR_KEY_TYPE_INCONSISTENT]),
        ),
        (
            "an EC key for RSA",
            Fails(ANY_KEY),
            (
                |s| s.sign_init(CKM_SHA256_RSA_PKCS, keys::ec(s, keys::P256).1),
                &[CKR_KEY_TYPE_INCONSISTENT],
            ),
        ),
        (
            "an EC key for EdDSA",
            Fails(ANY_KEY),
            (|s| s.sign_init(CKM_EDDSA, keys::ec(s, keys::P256).1), &[CKR_KEY_TYPE_INCONSISTENT]),
        ),
        (
            "an AES key for HMAC",
            Passes,
            (
                |s| {
                    let key = s.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
                    s.sign_init(CKM_SHA256_HMAC, key)
                },
                &[CKR_KEY_TYPE_INCONSISTENT],
            ),
        ),
        (
            "a generic secret for CMAC",
            Passes,
            (
                |s| {
                    let key = s.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
                    s.sign_init(CKM_AES_CMAC, key)
                },
                &[CKR_KEY_TYPE_INCONSISTENT],
            ),
        ),
        (
            "a key that may not sign",
            Passes,
            (
                |s| {
                    let key = keys::ec_with(s, keys::P256, &t![CKA_SIGN => false]).1;
                    s.sign_init(CKM_ECDSA, key)
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a key that may not verify",
            Passes,
            (
                |s| {
                    let no = t![CKA_VERIFY => false];
                    let key = merge(&keys::secret(CKK_GENERIC_SECRET, &[1; 32]), &no);
                    s.verify_init(CKM_SHA256_HMAC, s.create(&key).expect("a key"))
                },
                &[CKR_KEY_FUNCTION_NOT_PERMITTED],
            ),
        ),
        (
            "a mechanism that does not sign",
            Passes,
            (|s| s.sign_init(CKM_SHA256, keys::rsa(s, 2048).1), &[CKR_MECHANISM_INVALID]),
        ),
        (
            "a mechanism nobody knows",
            Passes,
            (
                |s| s.sign_init(CKM_VENDOR_DEFINED | 0x77, keys::rsa(s, 2048).1),
                &[CKR_MECHANISM_INVALID],
            ),
        ),
        (
            "a mechanism above 32 bits",
            Passes,
            (
                |s| s.sign_init((1 << 32) | CKM_RSA_PKCS, keys::rsa(s, 2048).1),
                &[CKR_MECHANISM_INVALID],
            ),
        ),
        (
            "PSS without its parameter",
            Passes,
            (
                |s| s.sign_init(CKM_SHA256_RSA_PKCS_PSS, keys::rsa(s, 2048).1),
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "PSS with a parameter too short",
            Passes,
            (
                |s| {
                    let mechanism = Mechanism::iv(CKM_SHA256_RSA_PKCS_PSS, &[0; 8]);
                    s.sign_init(mechanism, keys::rsa(s, 2048).1)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "PSS with the parameter of another digest",
            Passes,
            (
                |s| {
                    let param = Param::Pss { hash: CKM_SHA_1, mgf: CKG_MGF1_SHA1, salt: 20 };
                    let mechanism = Mechanism::with(CKM_SHA256_RSA_PKCS_PSS, param);
                    s.sign_init(mechanism, keys::rsa(s, 2048).1)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "PSS with too long a salt",
            Fails("CKR_MECHANISM_INVALID"),
            (
                |s| {
                    let param = Param::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, salt: 223 };
                    let mechanism = Mechanism::with(CKM_SHA256_RSA_PKCS_PSS, param);
                    s.sign_init(mechanism, keys::rsa(s, 2048).1)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "ECDSA with a parameter",
            Fails("the parameter is not looked at"),
            (
                |s| s.sign_init(Mechanism::iv(CKM_ECDSA, &[0; 8]), keys::ec(s, keys::P256).1),
                &[CKR_MECHANISM_PARAM_INVALID],
            ),
        ),
        (
            "EdDSA with a null context of length 8",
            Fails("the parameter is not looked at"),
            (
                |s| {
                    let param = Param::Eddsa { prehash: false, context: In::Null(8) };
                    s.sign_init(Mechanism::with(CKM_EDDSA, param), keys::ed25519(s).1)
                },
                &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
    ];
    table(rows, |world, (call, answers)| {
        let session = world.user();
        let rv = call(&session);
        assert!(answers.contains(&rv.0), "{rv:?}");
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
        assert!(session.sign(CKM_SHA256_HMAC, key, DATA).is_ok(), "nothing is active");
    });
}

#[test]
fn a_signature_that_is_there_from_the_start() {
    let old = "it has only the functions of 2.40 (#604, #874)";
    let rows = &[
        ("HMAC", Fails(old), CKM_SHA256_HMAC),
        ("ECDSA", Fails(old), CKM_ECDSA_SHA256),
        ("RSA", Fails(old), CKM_SHA256_RSA_PKCS),
    ];
    table(rows, |world, mechanism| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (verifying, signing) = match *mechanism {
            CKM_ECDSA_SHA256 => keys::ec(&session, keys::P256),
            CKM_SHA256_RSA_PKCS => keys::rsa(&session, 2048),
            _ => {
                let secret = keys::secret(CKK_GENERIC_SECRET, &[1; 32]);
                let key = session.create(&secret).expect("a key");
                (key, key)
            }
        };
        let signature = session.sign(*mechanism, signing, b"a message").expect("C_Sign");
        let plain = Mechanism::plain(*mechanism);
        let init = |signature: &[u8]| {
            module.verify_signature_init(handle, Some(&plain), verifying, signature.into())
        };
        assert_eq!(init(&signature), Rv::OK);
        assert_eq!(init(&signature), CKR_OPERATION_ACTIVE);
        assert_eq!(module.verify(handle, b"x".into(), (&signature).into()), NOT, "not C_Verify's");
        assert_eq!(module.verify_signature(handle, b"a message".into()), Rv::OK);
        assert_eq!(module.verify_signature(handle, b"a message".into()), NOT, "it is over");

        assert_eq!(init(&signature), Rv::OK);
        for part in [&b"a "[..], b"", b"message"] {
            assert_eq!(module.verify_signature_update(handle, part.into()), Rv::OK);
        }
        assert_eq!(module.verify_signature_final(handle), Rv::OK);
        assert_eq!(module.verify_signature_final(handle), NOT);

        assert_eq!(init(&signature), Rv::OK);
        assert_eq!(module.verify_signature(handle, b"another".into()), CKR_SIGNATURE_INVALID);
        assert_eq!(init(&signature), Rv::OK, "the error ended it");
        assert_eq!(module.verify_signature_update(handle, b"another".into()), Rv::OK);
        assert_eq!(module.verify_signature_final(handle), CKR_SIGNATURE_INVALID);
        assert_eq!(init(&signature[1..]), Rv::OK);
        assert_eq!(module.verify_signature(handle, b"a message".into()), CKR_SIGNATURE_LEN_RANGE);

        assert_eq!(init(&signature), Rv::OK);
        assert_eq!(module.verify_signature_update(handle, b"a".into()), Rv::OK);
        let rv = module.verify_signature(handle, b"message".into());
        assert_eq!(rv, CKR_OPERATION_ACTIVE, "a single part comes too late");
        assert_eq!(init(&signature), Rv::OK);
        let ended = module.verify_signature_init(handle, None, 0, In::NONE);
        assert_eq!(ended, Rv::OK, "no mechanism ends it");
        assert_eq!(init(&signature), Rv::OK);
        assert_eq!(module.session_cancel(handle, CKF_VERIFY), Rv::OK);
        assert_eq!(module.verify_signature_final(handle), NOT);
        assert_eq!(init(&signature), Rv::OK);
        let null = module.verify_signature_update(handle, In::Null(3));
        assert_eq!(null, CKR_ARGUMENTS_BAD, "and so does a part that is not there");
        assert_eq!(module.verify_signature_final(handle), NOT);
    });
}

const NOT: CK_RV = CKR_OPERATION_NOT_INITIALIZED;
