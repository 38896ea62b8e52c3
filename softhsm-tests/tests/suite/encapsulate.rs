//! Secrets that RSA and elliptic curves encapsulate (5.18.8 and 5.18.9). What each ciphertext is, other
//! mechanisms tell. Those of ML-KEM stand with its keys.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, PLENTY, Param, Rv, Session, case, t, table,
};

use crate::keys;

const OLD: &str = "2.6 has the functions of version 2.40";

/// The two keys, and the mechanism.
type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

fn rsa(session: &Session<'_>) -> Pair {
    let public = t![
        CKA_MODULUS_BITS => 2048_u64, CKA_ENCAPSULATE => true, CKA_ENCRYPT => true,
    ];
    let private = t![CKA_DECAPSULATE => true, CKA_UNWRAP => true, CKA_DECRYPT => true];
    session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).expect("an RSA pair")
}

fn curve(session: &Session<'_>, generator: CK_MECHANISM_TYPE, curve: &[u8]) -> Pair {
    let public = t![CKA_EC_PARAMS => curve, CKA_ENCAPSULATE => true];
    let private = t![CKA_DECAPSULATE => true, CKA_DERIVE => true];
    session.pair(generator, &public, &private).expect("a pair on a curve")
}

fn p256(session: &Session<'_>) -> Pair {
    curve(session, CKM_EC_KEY_PAIR_GEN, keys::P256)
}

fn p521(session: &Session<'_>) -> Pair {
    curve(session, CKM_EC_KEY_PAIR_GEN, keys::P521)
}

fn x25519(session: &Session<'_>) -> Pair {
    curve(session, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X25519)
}

fn oaep(label: &'static [u8]) -> Mechanism<'static> {
    let (hash, mgf, source) = (CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED);
    let label = In::Bytes(label);
    Mechanism::with(CKM_RSA_PKCS_OAEP, Param::Oaep { hash, mgf, source, label })
}

fn ecdh(id: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, public: In<'_>) -> Mechanism<'_> {
    Mechanism::with(id, Param::Ecdh { kdf, shared: In::NONE, public })
}

fn secret(len: CK_ULONG) -> Vec<Attribute> {
    t![CKA_VALUE_LEN => len, CKA_SENSITIVE => false, CKA_EXTRACTABLE => true]
}

fn encapsulate(
    session: &Session<'_>,
    mechanism: &Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
    template: &[Attribute],
) -> Result<(Vec<u8>, CK_OBJECT_HANDLE), Rv> {
    let (made, secret) =
        session.module.encapsulate_key(session.handle, Some(mechanism), key, template, PLENTY);
    made.ok().map(|ciphertext| (ciphertext, secret))
}

fn decapsulate(
    session: &Session<'_>,
    mechanism: &Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
    template: &[Attribute],
    ciphertext: &[u8],
) -> Result<CK_OBJECT_HANDLE, Rv> {
    let (module, handle) = (session.module, session.handle);
    module.decapsulate_key(handle, Some(mechanism), key, template, ciphertext.into())
}

/// What another function makes of a ciphertext.
type Told = fn(&Session<'_>, CK_OBJECT_HANDLE, &[u8]) -> Result<Vec<u8>, Rv>;

fn by_pkcs1(
    session: &Session<'_>,
    key: CK_OBJECT_HANDLE,
    ciphertext: &[u8],
) -> Result<Vec<u8>, Rv> {
    session.decrypt(CKM_RSA_PKCS, key, ciphertext)
}

fn by_oaep(session: &Session<'_>, key: CK_OBJECT_HANDLE, ciphertext: &[u8]) -> Result<Vec<u8>, Rv> {
    session.decrypt(oaep(b"label"), key, ciphertext)
}

fn by_raw(session: &Session<'_>, key: CK_OBJECT_HANDLE, ciphertext: &[u8]) -> Result<Vec<u8>, Rv> {
    session.decrypt(CKM_RSA_X_509, key, ciphertext)
}

fn by_agreement(
    session: &Session<'_>,
    key: CK_OBJECT_HANDLE,
    ciphertext: &[u8],
    kdf: CK_EC_KDF_TYPE,
    len: CK_ULONG,
) -> Result<Vec<u8>, Rv> {
    let template = [t![CKA_CLASS => CKO_SECRET_KEY], secret(len)].concat();
    let mechanism = ecdh(CKM_ECDH1_DERIVE, kdf, In::Bytes(ciphertext));
    session.get(session.derive(mechanism, key, &template)?, CKA_VALUE)
}

type Row = (fn(&Session<'_>) -> Pair, fn() -> Mechanism<'static>, usize, Told);

#[test]
fn both_sides_have_the_same_secret() {
    let rows: &[(&str, _, Row)] = &[
        ("RSA, PKCS#1", Fails(OLD), (rsa, || Mechanism::plain(CKM_RSA_PKCS), 32, by_pkcs1)),
        ("RSA, OAEP", Fails(OLD), (rsa, || oaep(b"label"), 48, by_oaep)),
        ("RSA, raw", Fails(OLD), (rsa, || Mechanism::plain(CKM_RSA_X_509), 256, by_raw)),
        (
            "P-256",
            Fails(OLD),
            (
                p256,
                || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, In::NONE),
                16,
                |session, key, ciphertext| by_agreement(session, key, ciphertext, CKD_NULL, 16),
            ),
        ),
        (
            "P-521, with a derivation function",
            Fails(OLD),
            (
                p521,
                || ecdh(CKM_ECDH1_COFACTOR_DERIVE, CKD_SHA256_KDF, In::NONE),
                100,
                |session, key, ciphertext| {
                    by_agreement(session, key, ciphertext, CKD_SHA256_KDF, 100)
                },
            ),
        ),
        (
            "X25519",
            Fails(OLD),
            (
                x25519,
                || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, In::NONE),
                32,
                |session, key, ciphertext| by_agreement(session, key, ciphertext, CKD_NULL, 32),
            ),
        ),
    ];
    table(rows, |world, (pair, mechanism, len, told)| {
        let session = world.user();
        let (public, private) = pair(&session);
        let mechanism = mechanism();
        let template = secret(*len as CK_ULONG);
        let made = encapsulate(&session, &mechanism, public, &template);
        let (ciphertext, ours) = made.expect("C_EncapsulateKey");
        let theirs = decapsulate(&session, &mechanism, private, &template, &ciphertext);
        let theirs = theirs.expect("C_DecapsulateKey");
        let value = session.get(ours, CKA_VALUE).expect("a value");
        assert_eq!(value.len(), *len);
        assert_eq!(session.get(theirs, CKA_VALUE).as_ref(), Ok(&value));
        assert_eq!(told(&session, private, &ciphertext), Ok(value.clone()));
        let (again, other) = encapsulate(&session, &mechanism, public, &template).expect("again");
        assert_ne!((again, session.get(other, CKA_VALUE)), (ciphertext.clone(), Ok(value)));

        let refused = decapsulate(&session, &mechanism, private, &template, &ciphertext[1..]);
        let refused = refused.expect_err("what is too short");
        assert!(refused == CKR_WRAPPED_KEY_LEN_RANGE || refused == CKR_WRAPPED_KEY_INVALID);
        let wrong = encapsulate(&session, &mechanism, private, &template).map(drop);
        assert!(wrong.is_err(), "the key of the other side");
        assert_eq!(session.set(public, &t![CKA_ENCAPSULATE => false]), Rv::OK);
        let may_not = encapsulate(&session, &mechanism, public, &template).map(drop);
        assert_eq!(may_not, Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED)));
        assert_eq!(session.set(private, &t![CKA_DECAPSULATE => false]), Rv::OK);
        let may_not = decapsulate(&session, &mechanism, private, &template, &ciphertext);
        assert_eq!(may_not, Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED)));
    });
}

#[test]
fn what_a_template_may_ask_for() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (public, private) = rsa(&session);
        let pkcs1 = Mechanism::plain(CKM_RSA_PKCS);
        let made = |template: &[Attribute]| encapsulate(&session, &pkcs1, public, template);
        let aes = [t![CKA_KEY_TYPE => CKK_AES], secret(32)].concat();
        let (ciphertext, key) = made(&aes).expect("an AES key");
        assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(CKK_AES));
        assert_eq!(session.number(key, CKA_VALUE_LEN), Ok(32));
        // There is no length to make a secret of, or no such key, or no room for it.
        let refused = |template: &[Attribute]| made(template).map(drop);
        assert_eq!(refused(&t![CKA_SENSITIVE => false]), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
        let odd = [t![CKA_KEY_TYPE => CKK_AES], secret(33)].concat();
        assert_eq!(refused(&odd), Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
        assert_eq!(refused(&secret(246)), Err(Rv(CKR_KEY_SIZE_RANGE)));
        // The other side need not say the length; if it does, it is that of the secret.
        let open = t![CKA_SENSITIVE => false];
        let found = decapsulate(&session, &pkcs1, private, &open, &ciphertext).expect("a key");
        assert_eq!(session.get(found, CKA_VALUE), session.get(key, CKA_VALUE));
        // No secret is cut, and that it has another length is not told: there is another secret.
        let short = decapsulate(&session, &pkcs1, private, &secret(16), &ciphertext).expect("one");
        let (short, value) = (session.get(short, CKA_VALUE), session.get(key, CKA_VALUE));
        let (short, value) = (short.expect("a value"), value.expect("a value"));
        assert_eq!(short.len(), 16);
        assert!(!value.windows(4).any(|part| short.windows(4).any(|other| other == part)));
        // The number of RSASVE is as long as the modulus.
        let raw = Mechanism::plain(CKM_RSA_X_509);
        let cut = encapsulate(&session, &raw, public, &secret(32)).map(drop);
        assert_eq!(cut, Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
        // So is that of ML-KEM, whichever side asks.
        let ml_kem = Mechanism::plain(CKM_ML_KEM);
        let set = t![CKA_PARAMETER_SET => CKP_ML_KEM_512];
        let (public, private) = session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &set, &[]).expect("a pair");
        let (ciphertext, _) = encapsulate(&session, &ml_kem, public, &secret(32)).expect("a key");
        for len in [1, 16, 31] {
            let cut = encapsulate(&session, &ml_kem, public, &secret(len)).map(drop);
            assert_eq!(cut, Err(Rv(CKR_TEMPLATE_INCONSISTENT)), "{len}");
            let cut = decapsulate(&session, &ml_kem, private, &secret(len), &ciphertext).map(drop);
            assert_eq!(cut, Err(Rv(CKR_TEMPLATE_INCONSISTENT)), "{len}");
        }
        // The point of the peer is the ciphertext, and no parameter.
        let (public, _) = p256(&session);
        let point = session.get(public, CKA_EC_POINT).expect("a point");
        let with_point = ecdh(CKM_ECDH1_DERIVE, CKD_NULL, In::Bytes(&point));
        let refused = encapsulate(&session, &with_point, public, &secret(32)).map(drop);
        assert_eq!(refused, Err(Rv(CKR_MECHANISM_PARAM_INVALID)));
    });
}

/// A secret that the private key wants hidden would come out by its last byte, then by the last two, and so on.
#[test]
fn a_short_end_of_a_shared_secret() {
    let rows: &[(&str, _, (fn(&Session<'_>) -> Pair, CK_EC_KDF_TYPE))] = &[
        ("P-256", Fails(OLD), (p256, CKD_NULL)),
        ("P-256 with a KDF", Fails(OLD), (p256, CKD_SHA256_KDF)),
        ("X25519", Fails(OLD), (x25519, CKD_NULL)),
        ("X25519 with a KDF", Fails(OLD), (x25519, CKD_SHA512_KDF_SP800)),
    ];
    table(rows, |world, (pair, kdf)| {
        let session = world.user();
        let (public, private) = pair(&session);
        let mechanism = ecdh(CKM_ECDH1_DERIVE, *kdf, In::NONE);
        let (ciphertext, _) = encapsulate(&session, &mechanism, public, &secret(32)).expect("one");
        for (len, expected) in
            [(1, Err(Rv(CKR_KEY_SIZE_RANGE))), (13, Err(Rv(CKR_KEY_SIZE_RANGE))), (14, Ok(()))]
        {
            let made = encapsulate(&session, &mechanism, public, &secret(len)).map(drop);
            assert_eq!(made, expected, "C_EncapsulateKey, {len} bytes");
            let found = decapsulate(&session, &mechanism, private, &secret(len), &ciphertext);
            assert_eq!(found.map(drop), expected, "C_DecapsulateKey, {len} bytes");
        }
    });
}

#[test]
fn the_flags_of_the_mechanisms() {
    let both = CKF_ENCAPSULATE | CKF_DECAPSULATE;
    let rows = &[
        ("ML-KEM", Fails(OLD), CKM_ML_KEM),
        ("RSA_PKCS", Fails(OLD), CKM_RSA_PKCS),
        ("RSA_PKCS_OAEP", Fails(OLD), CKM_RSA_PKCS_OAEP),
        ("RSA_X_509", Fails(OLD), CKM_RSA_X_509),
        ("ECDH1_DERIVE", Fails(OLD), CKM_ECDH1_DERIVE),
        ("ECDH1_COFACTOR_DERIVE", Fails(OLD), CKM_ECDH1_COFACTOR_DERIVE),
    ];
    table(rows, |world, mechanism| {
        let info = world.started().mechanism_info(world.slot(), *mechanism);
        assert_eq!(info.expect("C_GetMechanismInfo").flags & both, both);
    });
}
