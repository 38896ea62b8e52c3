//! What is only for what is old: there with `legacy = true`, which the other tests have, and
//! nowhere without it.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, Param, Rv, Session, Word, case, merge, t, table,
};

use crate::keys;

const ALWAYS_ON: &str = "it has no such policy";

/// Takes the word out of the configuration, before the first row has the module read it.
fn turn_off() {
    let file = std::env::var_os("STRONGROOM_CONF").expect("a configuration");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace("legacy = true", "legacy = false")).expect("written");
}

#[test]
fn sha1_signatures_are_verified_only() {
    let rows = &[
        ("PKCS #1", Fails(ALWAYS_ON), CKM_SHA1_RSA_PKCS),
        ("PSS", Fails(ALWAYS_ON), CKM_SHA1_RSA_PKCS_PSS),
        ("ECDSA", Fails(ALWAYS_ON), CKM_ECDSA_SHA1),
    ];
    table(rows, |world, mechanism| {
        turn_off();
        let session = world.user();
        let info = session.module.mechanism_info(world.slot(), *mechanism).expect("it verifies");
        assert_eq!(info.flags & (CKF_SIGN | CKF_VERIFY), CKF_VERIFY);
        let (public, private) = match *mechanism {
            CKM_ECDSA_SHA1 => keys::ec(&session, keys::P256),
            _ => keys::rsa(&session, 2048),
        };
        let call = match *mechanism {
            CKM_SHA1_RSA_PKCS_PSS => Mechanism::with(
                *mechanism,
                Param::Pss { hash: CKM_SHA_1, mgf: CKG_MGF1_SHA1, salt: 20 },
            ),
            mechanism => Mechanism::plain(mechanism),
        };
        assert_eq!(session.sign_init(call, private), CKR_MECHANISM_INVALID);
        assert_eq!(session.verify_init(call, public), Rv::OK);
    });
}

/// A key that is derived by SP 800-108 with CMAC of 3DES as the pseudorandom function.
fn by_an_old_function(session: &Session<'_>) -> Result<CK_OBJECT_HANDLE, Rv> {
    let base = session.create(&keys::secret(CKK_DES3, &[1; 24])).expect("a key");
    let (zero, one) = (Word::Number(0), Word::Number(1));
    let format = [zero, Word::Number(8)];
    let data = [
        Word::Number(CK_SP800_108_ITERATION_VARIABLE),
        Word::Structure(&format),
        Word::Number(2 * size_of::<CK_ULONG>() as CK_ULONG),
    ];
    let params = [Word::Number(CKM_DES3_CMAC), one, Word::Structure(&data), zero, zero];
    let mechanism = Mechanism::with(CKM_SP800_108_COUNTER_KDF, Param::Words(&params));
    session.derive(mechanism, base, &t![CKA_VALUE_LEN => 8_u64])
}

#[test]
fn an_old_pseudorandom_function_derives_what_is_old() {
    case(Fails("no such mechanism"), |world| {
        assert!(by_an_old_function(&world.user()).is_ok());
    });
}

#[test]
fn an_old_pseudorandom_function_is_refused() {
    case(Fails("no such mechanism"), |world| {
        turn_off();
        let refused = Err(Rv(CKR_MECHANISM_PARAM_INVALID));
        assert_eq!(by_an_old_function(&world.user()), refused);
    });
}

#[test]
fn short_rsa_keys_are_not_made() {
    case(Fails(ALWAYS_ON), |world| {
        turn_off();
        let session = world.user();
        let public = t![CKA_MODULUS_BITS => 1024_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
        let pair = session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &t![CKA_SIGN => true]);
        assert_eq!(pair.err(), Some(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
        let info = session.module.mechanism_info(world.slot(), CKM_RSA_PKCS).expect("CKM_RSA_PKCS");
        assert_eq!(info.ulMinKeySize, 2048);
    });
}

#[test]
fn short_rsa_keys_are_made_for_what_is_old() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 1024);
        let signature = session.sign(CKM_SHA256_RSA_PKCS, private, b"old").expect("C_Sign");
        assert_eq!(session.verify(CKM_SHA256_RSA_PKCS, public, b"old", &signature), Rv::OK);
    });
}

/// Keys of P-192, as somebody else brings them along.
fn p192_private() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_EC, CKA_EC_PARAMS => keys::P192,
        CKA_VALUE => &[7; 24], CKA_SIGN => true, CKA_DERIVE => true,
    ]
}

#[test]
fn keys_of_a_short_curve_are_not_made() {
    case(Fails(ALWAYS_ON), |world| {
        turn_off();
        let session = world.user();
        let public = t![CKA_EC_PARAMS => keys::P192];
        let pair = session.pair(CKM_EC_KEY_PAIR_GEN, &public, &t![CKA_SIGN => true]);
        assert_eq!(pair.err(), Some(Rv(CKR_CURVE_NOT_SUPPORTED)));
        let key = session.create(&p192_private()).expect("a key");
        assert_eq!(session.sign_init(CKM_ECDSA, key), CKR_KEY_SIZE_RANGE);
        let info = session.module.mechanism_info(world.slot(), CKM_ECDSA).expect("CKM_ECDSA");
        assert_eq!(info.ulMinKeySize, 224);
    });
}

#[test]
fn keys_of_a_short_curve_are_made_for_what_is_old() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::ec(&session, keys::P192);
        let signature = session.sign(CKM_ECDSA, private, &[1; 20]).expect("C_Sign");
        assert_eq!(signature.len(), 48);
        assert_eq!(session.verify(CKM_ECDSA, public, &[1; 20], &signature), Rv::OK);
        let point = session.get(public, CKA_EC_POINT).expect("a point");
        let open = t![
            CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET,
            CKA_VALUE_LEN => 24_u64, CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        ];
        let derive = |key, point: &[u8]| {
            let public = In::Bytes(keys::octets(point));
            let param = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public };
            let mechanism = Mechanism::with(CKM_ECDH1_DERIVE, param);
            let key = session.derive(mechanism, key, &open).expect("C_DeriveKey");
            session.get(key, CKA_VALUE).expect("a value")
        };
        let (other, mine) = keys::ec(&session, keys::P192);
        let other = session.get(other, CKA_EC_POINT).expect("a point");
        assert_eq!(derive(private, &other), derive(mine, &point));
    });
}

/// The numbers of domain parameters, for the template of a public key.
fn group(session: &Session<'_>, parameters: CK_OBJECT_HANDLE, dsa: bool) -> Vec<Attribute> {
    let number = |attribute| session.get(parameters, attribute).expect("a number");
    let group = t![CKA_PRIME => number(CKA_PRIME), CKA_BASE => number(CKA_BASE)];
    if dsa { merge(&group, &t![CKA_SUBPRIME => number(CKA_SUBPRIME)]) } else { group }
}

#[test]
fn domain_parameters_and_their_keys() {
    let rows = &[
        ("DSA", Passes, (CKM_DSA_PARAMETER_GEN, CKK_DSA, CKM_DSA_KEY_PAIR_GEN, 1024_u64)),
        ("DH", Passes, (CKM_DH_PKCS_PARAMETER_GEN, CKK_DH, CKM_DH_PKCS_KEY_PAIR_GEN, 512)),
    ];
    table(rows, |world, (mechanism, kind, pairs, bits)| {
        let session = world.user();
        let template = t![CKA_TOKEN => true, CKA_LABEL => "group", CKA_PRIME_BITS => *bits];
        let parameters = session.generate(*mechanism, &template).expect("C_GenerateKey");
        assert_eq!(session.number(parameters, CKA_CLASS), Ok(CKO_DOMAIN_PARAMETERS));
        assert_eq!(session.number(parameters, CKA_KEY_TYPE), Ok(*kind));
        assert_eq!(session.number(parameters, CKA_PRIME_BITS), Ok(*bits));
        assert_eq!(session.flag(parameters, CKA_LOCAL), Ok(true));
        let prime = session.get(parameters, CKA_PRIME).expect("CKA_PRIME");
        assert_eq!(prime.len() as u64, bits / 8);
        let found = session.find(&t![CKA_CLASS => CKO_DOMAIN_PARAMETERS, CKA_LABEL => "group"]);
        assert_eq!(found, [parameters]);

        let group = group(&session, parameters, *kind == CKK_DSA);
        let (public, private) = session.pair(*pairs, &group, &[]).expect("C_GenerateKeyPair");
        for key in [public, private] {
            assert_eq!(session.number(key, CKA_KEY_TYPE), Ok(*kind));
            assert_eq!(session.get(key, CKA_PRIME), Ok(prime.clone()));
        }

        let class = t![CKA_CLASS => CKO_DOMAIN_PARAMETERS, CKA_KEY_TYPE => *kind];
        let brought = session.create(&merge(&class, &group)).expect("C_CreateObject");
        assert_eq!(session.get(brought, CKA_PRIME), Ok(prime));
        assert_eq!(session.flag(brought, CKA_LOCAL), Ok(false));
        assert_eq!(session.destroy(parameters), Rv::OK);
    });
}

#[test]
fn domain_parameters_that_are_refused() {
    const GENERAL: &str = "CKR_GENERAL_ERROR";
    let rows = &[
        ("DSA, no size", Passes, (CKM_DSA_PARAMETER_GEN, t![], CKR_TEMPLATE_INCOMPLETE)),
        ("DH, no size", Passes, (CKM_DH_PKCS_PARAMETER_GEN, t![], CKR_TEMPLATE_INCOMPLETE)),
        (
            "DSA, too small",
            Fails(GENERAL),
            (CKM_DSA_PARAMETER_GEN, t![CKA_PRIME_BITS => 256_u64], CKR_ATTRIBUTE_VALUE_INVALID),
        ),
        (
            "DH, too large",
            Fails(GENERAL),
            (
                CKM_DH_PKCS_PARAMETER_GEN,
                t![CKA_PRIME_BITS => 100_000_u64],
                CKR_ATTRIBUTE_VALUE_INVALID,
            ),
        ),
    ];
    table(rows, |world, (mechanism, template, rv)| {
        let session = world.user();
        assert_eq!(session.generate(*mechanism, template), Err(Rv(*rv)));
    });
}

#[test]
fn dsa_signatures() {
    let rows = &[
        ("of a digest", Passes, (CKM_DSA, 20)),
        ("SHA-1", Passes, (CKM_DSA_SHA1, 100)),
        ("SHA-224", Passes, (CKM_DSA_SHA224, 100)),
        ("SHA-256", Passes, (CKM_DSA_SHA256, 100)),
        ("SHA-384", Passes, (CKM_DSA_SHA384, 100)),
        ("SHA-512", Passes, (CKM_DSA_SHA512, 100)),
    ];
    table(rows, |world, (mechanism, len)| {
        let session = world.user();
        let size = t![CKA_PRIME_BITS => 1024_u64];
        let parameters = session.generate(CKM_DSA_PARAMETER_GEN, &size).expect("C_GenerateKey");
        let group = group(&session, parameters, true);
        let usage = t![CKA_SIGN => true, CKA_EXTRACTABLE => true];
        let pair = session.pair(CKM_DSA_KEY_PAIR_GEN, &group, &usage);
        let (public, private) = pair.expect("C_GenerateKeyPair");
        let data = &vec![7_u8; *len];
        let signature = session.sign(*mechanism, private, data).expect("C_Sign");
        assert_eq!(signature.len(), 40);
        assert_eq!(session.verify(*mechanism, public, data, &signature), Rv::OK);
        let other = &vec![8_u8; *len];
        let wrong = session.verify(*mechanism, public, other, &signature);
        assert_eq!(wrong, CKR_SIGNATURE_INVALID);
        let short = session.verify(*mechanism, public, data, &signature[1..]);
        assert_eq!(short, CKR_SIGNATURE_LEN_RANGE);

        // The key travels, and signs all the same.
        let aes = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP_PAD, aes, private).expect("C_WrapKey");
        let template = t![CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_DSA, CKA_SIGN => true];
        let back = session.unwrap(CKM_AES_KEY_WRAP_PAD, aes, &wrapped, &template);
        let signature = session.sign(*mechanism, back.expect("C_UnwrapKey"), data).expect("C_Sign");
        assert_eq!(session.verify(*mechanism, public, data, &signature), Rv::OK);
    });
}

#[test]
fn dsa_is_off() {
    case(Fails(ALWAYS_ON), |world| {
        turn_off();
        let session = world.user();
        let size = t![CKA_PRIME_BITS => 1024_u64];
        for mechanism in [CKM_DSA_PARAMETER_GEN, CKM_DH_PKCS_PARAMETER_GEN] {
            let refused = session.generate(mechanism, &size);
            let expected = match mechanism {
                CKM_DSA_PARAMETER_GEN => CKR_MECHANISM_INVALID,
                _ => CKR_ATTRIBUTE_VALUE_INVALID,
            };
            assert_eq!(refused, Err(Rv(expected)));
        }
        let info = session.module.mechanism_info(world.slot(), CKM_DSA);
        assert!(info.is_err(), "it is not there");
    });
}
