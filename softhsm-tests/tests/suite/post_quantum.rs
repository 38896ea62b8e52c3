//! ML-KEM, ML-DSA and SLH-DSA: the key types of FIPS 203 to FIPS 205, from the outside.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::{In, Mechanism, PLENTY, Param, Room, Rv, Session, case, t, table};

use crate::keys;

const OLD: &str = "2.6 has no post-quantum mechanisms";

fn pair(
    session: &Session<'_>,
    generator: CK_MECHANISM_TYPE,
    set: CK_ULONG,
) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = t![CKA_PARAMETER_SET => set];
    let private = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
    session.pair(Mechanism::plain(generator), &public, &private).expect("a pair")
}

/// `CK_SIGN_ADDITIONAL_CONTEXT`.
fn context(variant: CK_ULONG, context: &[u8]) -> Vec<u8> {
    let (at, len) = (context.as_ptr().expose_provenance(), context.len());
    [variant.to_ne_bytes(), at.to_ne_bytes(), len.to_ne_bytes()].concat()
}

#[test]
fn ml_dsa_signatures() {
    let rows = &[
        ("44", Fails(OLD), (CKP_ML_DSA_44, 1312, 2420)),
        ("65", Fails(OLD), (CKP_ML_DSA_65, 1952, 3309)),
        ("87", Fails(OLD), (CKP_ML_DSA_87, 2592, 4627)),
    ];
    table(rows, |world, (set, public_len, signature_len)| {
        let session = world.user();
        let (public, private) = pair(&session, CKM_ML_DSA_KEY_PAIR_GEN, *set);
        assert_eq!(session.get(public, CKA_VALUE).map(|value| value.len()), Ok(*public_len));
        assert_eq!(session.get(private, CKA_SEED).map(|seed| seed.len()), Ok(32));
        assert_eq!(session.number(private, CKA_PARAMETER_SET), Ok(*set));
        assert_eq!(
            session.get(public, CKA_PUBLIC_KEY_INFO),
            session.get(private, CKA_PUBLIC_KEY_INFO)
        );

        let signature = session.sign(CKM_ML_DSA, private, b"a message").expect("C_Sign");
        assert_eq!(signature.len(), *signature_len);
        assert_eq!(session.verify(CKM_ML_DSA, public, b"a message", &signature), Rv::OK);
        let other = session.verify(CKM_ML_DSA, public, b"another", &signature);
        assert_eq!(other, CKR_SIGNATURE_INVALID);

        let deterministic = context(CKH_DETERMINISTIC_REQUIRED, b"context");
        let hedged = context(CKH_HEDGE_REQUIRED, b"context");
        let with = |id, param: &'_ [u8]| -> Vec<u8> {
            let mechanism = Mechanism::with(id, Param::Bytes(In::Bytes(param)));
            session.sign(mechanism, private, b"a message").expect("C_Sign")
        };
        for id in [CKM_ML_DSA, CKM_HASH_ML_DSA_SHA512, CKM_HASH_ML_DSA_SHAKE256] {
            let signature = with(id, &deterministic);
            assert_eq!(signature, with(id, &deterministic), "the same each time");
            assert_ne!(signature, with(id, &hedged), "another each time");
            let mechanism = || Mechanism::with(id, Param::Bytes(In::Bytes(&hedged)));
            assert_eq!(session.verify(mechanism(), public, b"a message", &signature), Rv::OK);
            let without = session.verify(id, public, b"a message", &signature);
            assert_eq!(without, CKR_SIGNATURE_INVALID, "the context counts");
        }
        let unknown = context(99, b"");
        let unknown = Mechanism::with(CKM_ML_DSA, Param::Bytes(In::Bytes(&unknown)));
        assert_eq!(session.sign_init(unknown, private), CKR_MECHANISM_PARAM_INVALID);
    });
}

/// The sets that sign fast; the others differ in their numbers.
#[test]
fn slh_dsa_signatures() {
    let rows = &[
        ("SHA2-128f", Fails(OLD), (CKP_SLH_DSA_SHA2_128F, 16, 17088)),
        ("SHAKE-128f", Fails(OLD), (CKP_SLH_DSA_SHAKE_128F, 16, 17088)),
        ("SHA2-192f", Fails(OLD), (CKP_SLH_DSA_SHA2_192F, 24, 35664)),
    ];
    table(rows, |world, (set, part, signature_len)| {
        let session = world.user();
        let (public, private) = pair(&session, CKM_SLH_DSA_KEY_PAIR_GEN, *set);
        let value = session.get(public, CKA_VALUE).expect("a value");
        assert_eq!(value.len(), 2 * part);
        let secret = session.get(private, CKA_VALUE).expect("a value");
        assert_eq!((secret.len(), &secret[2 * part..]), (4 * part, &value[..]));
        assert_eq!(session.number(private, CKA_PARAMETER_SET), Ok(*set));
        assert_eq!(
            session.get(public, CKA_PUBLIC_KEY_INFO),
            session.get(private, CKA_PUBLIC_KEY_INFO)
        );

        let signature = session.sign(CKM_SLH_DSA, private, b"a message").expect("C_Sign");
        assert_eq!(signature.len(), *signature_len);
        assert_eq!(session.verify(CKM_SLH_DSA, public, b"a message", &signature), Rv::OK);
        let other = session.verify(CKM_SLH_DSA, public, b"another", &signature);
        assert_eq!(other, CKR_SIGNATURE_INVALID);
        let cut = session.verify(CKM_SLH_DSA, public, b"a message", &signature[1..]);
        assert_eq!(cut, CKR_SIGNATURE_LEN_RANGE);

        let deterministic = context(CKH_DETERMINISTIC_REQUIRED, b"context");
        for id in [CKM_SLH_DSA, CKM_HASH_SLH_DSA_SHA256] {
            let mechanism = || Mechanism::with(id, Param::Bytes(In::Bytes(&deterministic)));
            let signature = session.sign(mechanism(), private, b"a message").expect("C_Sign");
            let parts = session.sign_parts(mechanism(), private, &[b"a mess", b"age"]);
            assert_eq!(parts.as_ref(), Ok(&signature), "the same each time");
            assert_eq!(session.verify(mechanism(), public, b"a message", &signature), Rv::OK);
            let without = session.verify(id, public, b"a message", &signature);
            assert_eq!(without, CKR_SIGNATURE_INVALID, "the context counts");
        }
    });
}

#[test]
fn slh_dsa_keys_are_wrapped_and_created() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (public, private) = pair(&session, CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F);
        let aes = session.create(&keys::secret(CKK_AES, &[7; 32])).expect("an AES key");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, aes, private).expect("C_WrapKey");
        let template = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_SLH_DSA,
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        ];
        let again = session.unwrap(CKM_AES_KEY_WRAP_KWP, aes, &wrapped, &template);
        let again = again.expect("C_UnwrapKey");
        for attribute in [CKA_VALUE, CKA_PARAMETER_SET, CKA_PUBLIC_KEY_INFO] {
            assert_eq!(session.get(again, attribute), session.get(private, attribute));
        }
        let signature = session.sign(CKM_SLH_DSA, again, b"a message").expect("C_Sign");
        assert_eq!(session.verify(CKM_SLH_DSA, public, b"a message", &signature), Rv::OK);

        let mut torn = session.get(private, CKA_VALUE).expect("a value");
        torn[63] ^= 1;
        let torn = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_SLH_DSA,
            CKA_PARAMETER_SET => CKP_SLH_DSA_SHA2_128F, CKA_VALUE => &torn,
        ];
        let torn = session.create(&torn).expect_err("its root does not belong there");
        assert_eq!(torn, CKR_ATTRIBUTE_VALUE_INVALID);
    });
}

/// `CKM_HASH_ML_DSA` and `CKM_HASH_SLH_DSA` take a digest, in a single part.
#[test]
fn digests_come_in_one_part() {
    let rows = &[
        ("ML-DSA", Fails(OLD), (CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_44, CKM_HASH_ML_DSA)),
        (
            "SLH-DSA",
            Fails(OLD),
            (CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F, CKM_HASH_SLH_DSA),
        ),
    ];
    table(rows, |world, (generator, set, id)| {
        let session = world.user();
        let (public, private) = pair(&session, *generator, *set);
        let mut param = context(CKH_HEDGE_PREFERRED, b"context");
        param.extend(CKM_SHA256.to_ne_bytes());
        let mechanism = || Mechanism::with(*id, Param::Bytes(In::Bytes(&param)));
        let signature = session.sign(mechanism(), private, &[1; 32]).expect("C_Sign");
        assert_eq!(session.verify(mechanism(), public, &[1; 32], &signature), Rv::OK);
        assert_eq!(session.verify(mechanism(), public, &[1; 31], &signature), CKR_DATA_LEN_RANGE);
        let parts = session.sign_parts(mechanism(), private, &[&[1; 16], &[1; 16]]);
        assert_eq!(parts.expect_err("parts"), CKR_OPERATION_NOT_INITIALIZED);
        let parts = session.verify_parts(mechanism(), public, &[&[1; 32]], &signature);
        assert_eq!(parts, CKR_OPERATION_NOT_INITIALIZED);
    });
}

#[test]
fn public_keys_from_private_keys() {
    let rows = &[
        ("ML-DSA", Fails(OLD), (CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65)),
        ("ML-KEM", Fails(OLD), (CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768)),
        ("SLH-DSA", Fails(OLD), (CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F)),
    ];
    table(rows, |world, (generator, set)| {
        let session = world.user();
        let (public, private) = pair(&session, *generator, *set);
        session.set(private, &t![CKA_DERIVE => true]);
        let told = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, private, &t![CKA_LABEL => "told"]);
        let told = told.expect("C_DeriveKey");
        assert_eq!(session.number(told, CKA_CLASS), Ok(CKO_PUBLIC_KEY));
        for attribute in [CKA_KEY_TYPE, CKA_PARAMETER_SET, CKA_VALUE, CKA_PUBLIC_KEY_INFO] {
            assert_eq!(session.get(told, attribute), session.get(public, attribute));
        }
    });
}

#[test]
fn ml_dsa_keys_are_wrapped() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (public, private) = pair(&session, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65);
        let aes = session.create(&keys::secret(CKK_AES, &[7; 32])).expect("an AES key");
        let kwp = Mechanism::plain(CKM_AES_KEY_WRAP_KWP);
        let wrapped = session
            .module
            .wrap_key(session.handle, Some(&kwp), aes, private, PLENTY)
            .ok()
            .expect("C_WrapKey");
        let template = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_ML_DSA,
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        ];
        let again = session
            .module
            .unwrap_key(session.handle, Some(&kwp), aes, (&wrapped).into(), &template)
            .expect("C_UnwrapKey");
        for attribute in [CKA_VALUE, CKA_SEED, CKA_PARAMETER_SET, CKA_PUBLIC_KEY_INFO] {
            assert_eq!(session.get(again, attribute), session.get(private, attribute));
        }
        let signature = session.sign(CKM_ML_DSA, again, b"a message").expect("C_Sign");
        assert_eq!(session.verify(CKM_ML_DSA, public, b"a message", &signature), Rv::OK);
    });
}

#[test]
fn ml_kem_secrets() {
    let rows = &[
        ("512", Fails(OLD), (CKP_ML_KEM_512, 768)),
        ("768", Fails(OLD), (CKP_ML_KEM_768, 1088)),
        ("1024", Fails(OLD), (CKP_ML_KEM_1024, 1568)),
    ];
    table(rows, |world, (set, ciphertext_len)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (public, private) = pair(&session, CKM_ML_KEM_KEY_PAIR_GEN, *set);
        let kem = Mechanism::plain(CKM_ML_KEM);
        let label = t![CKA_LABEL => "a shared secret", CKA_SENSITIVE => false];
        let encapsulate = |room| module.encapsulate_key(handle, Some(&kem), public, &label, room);

        let (query, none) = encapsulate(Room::Query);
        assert_eq!((query.rv, query.len, none), (Rv::OK, *ciphertext_len, CK_INVALID_HANDLE));
        let (small, none) = encapsulate(Room::Bytes(ciphertext_len - 1));
        assert_eq!((small.len, none), (*ciphertext_len, CK_INVALID_HANDLE));
        assert_eq!(small.rv, CKR_BUFFER_TOO_SMALL);
        assert!(session.find(&label).is_empty(), "no room, no key");

        let (made, ours) = encapsulate(Room::Bytes(*ciphertext_len));
        let ciphertext = made.ok().expect("C_EncapsulateKey");
        let decapsulate = |template: &[_], ciphertext: &[u8]| {
            module.decapsulate_key(handle, Some(&kem), private, template, ciphertext.into())
        };
        let theirs = decapsulate(&label, &ciphertext).expect("C_DecapsulateKey");
        let secret = session.get(ours, CKA_VALUE).expect("a value");
        assert_eq!(secret.len(), 32);
        assert_eq!(session.get(theirs, CKA_VALUE), Ok(secret));
        for key in [ours, theirs] {
            assert_eq!(session.number(key, CKA_CLASS), Ok(CKO_SECRET_KEY));
            assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(CKK_GENERIC_SECRET));
            assert_eq!(session.flag(key, CKA_EXTRACTABLE), Ok(true));
            for history in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
                assert_eq!(session.flag(key, history), Ok(false));
            }
        }
        let aes = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 32_u64, CKA_ENCRYPT => true];
        assert!(decapsulate(&aes, &ciphertext).is_ok());
        let short = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 16_u64];
        let short = decapsulate(&short, &ciphertext).map_err(|rv| rv == CKR_TEMPLATE_INCONSISTENT);
        assert_eq!(short, Err(true), "a secret is not cut");
        let cut =
            decapsulate(&label, &ciphertext[1..]).map_err(|rv| rv == CKR_WRAPPED_KEY_LEN_RANGE);
        assert_eq!(cut, Err(true));
        session.set(private, &t![CKA_DECAPSULATE => false]);
        let may_not = decapsulate(&label, &ciphertext);
        assert_eq!(may_not.map_err(|rv| rv == CKR_KEY_FUNCTION_NOT_PERMITTED), Err(true));
    });
}
