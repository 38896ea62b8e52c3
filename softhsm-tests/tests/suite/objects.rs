//! 4 and 5.7: objects, their attributes, and the rules of templates.

use std::time::{Duration, Instant};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::{
    Attribute, Room, Rv, SO_PIN, Session, Value, World, case, merge, t, table,
};

use crate::keys;

/// A self-signed certificate.
const CERTIFICATE: &[u8] = include_bytes!("certificate.der");

/// `CN=black box`, as in the certificate.
const SUBJECT: &[u8] = b"\x30\x14\x31\x12\x30\x10\x06\x03\x55\x04\x03\x0c\x09black box";

fn certificate() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE => CKC_X_509, CKA_SUBJECT => SUBJECT,
        CKA_VALUE => CERTIFICATE,
    ]
}

fn rsa_public() -> Vec<Attribute> {
    let mut modulus = vec![0x5A_u8; 256];
    modulus[0] = 0xC1;
    modulus[255] = 0x01;
    t![
        CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_RSA, CKA_MODULUS => modulus,
        CKA_PUBLIC_EXPONENT => &[1, 0, 1],
    ]
}

fn ec_public() -> Vec<Attribute> {
    // The generator of P-256.
    let point = keys::hex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    );
    t![
        CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC, CKA_EC_PARAMS => keys::P256,
        CKA_EC_POINT => keys::octet_string(&point),
    ]
}

fn ec_private() -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_EC, CKA_EC_PARAMS => keys::P256,
        CKA_VALUE => &[0x11; 32],
    ]
}

fn edwards_public(curve: &[u8], point: &[u8]) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC_EDWARDS, CKA_EC_PARAMS => curve,
        CKA_EC_POINT => keys::octet_string(point),
    ]
}

fn without(template: &[Attribute], kind: CK_ATTRIBUTE_TYPE) -> Vec<Attribute> {
    template.iter().filter(|(other, _)| *other != kind).cloned().collect()
}

const ULONG_LEN: usize = size_of::<CK_ULONG>();

#[test]
fn every_class_is_created_read_and_destroyed() {
    let rows = &[
        ("data", Passes, keys::data("x")),
        ("certificate", Passes, certificate()),
        ("RSA public key", Passes, rsa_public()),
        ("EC public key", Passes, ec_public()),
        ("EC private key", Passes, ec_private()),
        ("AES key", Passes, keys::secret(CKK_AES, &[1; 16])),
        ("generic secret", Passes, keys::secret(CKK_GENERIC_SECRET, b"a secret")),
    ];
    table(rows, |world, template| {
        for token in [false, true] {
            let session = world.user();
            let all = merge(template, &t![CKA_TOKEN => token]);
            let object = session.create(&all).expect("C_CreateObject");
            assert_ne!(object, CK_INVALID_HANDLE);
            for (kind, value) in &all {
                let wanted = match value {
                    Value::Bool(value) => vec![u8::from(*value)],
                    Value::Ulong(value) => value.to_ne_bytes().to_vec(),
                    Value::Bytes(value) => value.clone(),
                    other => panic!("{other:?}"),
                };
                let found = session.get(object, *kind);
                let secret = found == Err(Rv(CKR_ATTRIBUTE_SENSITIVE)) && *kind == CKA_VALUE;
                assert!(secret || found == Ok(wanted), "attribute {kind:#x}: {found:?}");
            }
            assert_eq!(session.destroy(object), Rv::OK);
            assert_eq!(session.destroy(object), CKR_OBJECT_HANDLE_INVALID);
            assert_eq!(session.get(object, CKA_CLASS), Err(Rv(CKR_OBJECT_HANDLE_INVALID)));
            assert!(session.find(&[]).is_empty());
        }
    });
}

#[test]
fn templates_that_are_refused() {
    const ANY_POINT: &str = "any bytes are taken for a point";
    let aes = || keys::secret(CKK_AES, &[1; 16]);
    let generic = || keys::secret(CKK_GENERIC_SECRET, &[1; 16]);
    let not_yours = [CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT].to_vec();
    let unknown = [CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT].to_vec();
    let invalid = [CKR_ATTRIBUTE_VALUE_INVALID].to_vec();
    let incomplete = [CKR_TEMPLATE_INCOMPLETE].to_vec();
    let rows: &[(&str, SoftHsm2, (Vec<Attribute>, Vec<CK_RV>))] = &[
        ("nothing at all", Passes, (vec![], incomplete.clone())),
        ("no class", Passes, (t![CKA_LABEL => "x"], incomplete.clone())),
        ("key without type", Passes, (without(&aes(), CKA_KEY_TYPE), incomplete.clone())),
        ("AES without value", Passes, (without(&aes(), CKA_VALUE), incomplete.clone())),
        ("RSA without modulus", Passes, (without(&rsa_public(), CKA_MODULUS), incomplete.clone())),
        ("EC without point", Passes, (without(&ec_public(), CKA_EC_POINT), incomplete.clone())),
        ("EC without curve", Passes, (without(&ec_public(), CKA_EC_PARAMS), incomplete.clone())),
        (
            "certificate without type",
            Passes,
            (without(&certificate(), CKA_CERTIFICATE_TYPE), incomplete.clone()),
        ),
        (
            "certificate without subject",
            Passes,
            (without(&certificate(), CKA_SUBJECT), incomplete.clone()),
        ),
        (
            "certificate without value",
            Passes,
            (without(&certificate(), CKA_VALUE), incomplete.clone()),
        ),
        (
            "AES of 15 bytes",
            Fails("any length is taken for an AES key"),
            (
                keys::secret(CKK_AES, &[1; 15]),
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE],
            ),
        ),
        (
            "CKA_VALUE_LEN with a value",
            Passes,
            (merge(&aes(), &t![CKA_VALUE_LEN => 16_u64]), not_yours.clone()),
        ),
        ("CKA_LOCAL", Passes, (merge(&aes(), &t![CKA_LOCAL => true]), not_yours.clone())),
        (
            "CKA_ALWAYS_SENSITIVE",
            Passes,
            (merge(&aes(), &t![CKA_ALWAYS_SENSITIVE => true]), not_yours.clone()),
        ),
        (
            "CKA_NEVER_EXTRACTABLE",
            Passes,
            (merge(&aes(), &t![CKA_NEVER_EXTRACTABLE => true]), not_yours.clone()),
        ),
        (
            "CKA_KEY_GEN_MECHANISM",
            Passes,
            (merge(&aes(), &t![CKA_KEY_GEN_MECHANISM => CKM_AES_KEY_GEN]), not_yours.clone()),
        ),
        (
            "CKA_UNIQUE_ID",
            Passes,
            (
                merge(&generic(), &t![CKA_UNIQUE_ID => "mine"]),
                vec![CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY],
            ),
        ),
        (
            "an attribute nobody knows",
            Passes,
            (merge(&generic(), &t![CKA_VENDOR_DEFINED | 0x1234 => "x"]), unknown.clone()),
        ),
        (
            "an attribute of another class",
            Passes,
            (merge(&generic(), &t![CKA_MODULUS => &[1; 256]]), unknown.clone()),
        ),
        (
            "a boolean of eight bytes",
            Passes,
            (merge(&generic(), &t![CKA_TOKEN => 1_u64]), invalid.clone()),
        ),
        (
            "a boolean of no bytes",
            Passes,
            (merge(&generic(), &t![CKA_SIGN => ""]), invalid.clone()),
        ),
        (
            "a class of one byte",
            Fails("CKR_TEMPLATE_INCOMPLETE"),
            (merge(&generic(), &t![CKA_CLASS => &[4]]), invalid.clone()),
        ),
        (
            "a class nobody knows",
            Passes,
            (
                t![CKA_CLASS => 0x7777_u64, CKA_LABEL => "x"],
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "a key type nobody knows",
            Passes,
            (
                merge(&generic(), &t![CKA_KEY_TYPE => 0x7777_u64]),
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "a key type above 32 bits",
            Passes,
            (
                merge(&generic(), &t![CKA_KEY_TYPE => (1_u64 << 32) | CKK_GENERIC_SECRET]),
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "RSA key type on a secret key",
            Passes,
            (
                merge(&generic(), &t![CKA_KEY_TYPE => CKK_RSA]),
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "two labels",
            Fails("the last one counts"),
            (
                [generic(), t![CKA_LABEL => "one", CKA_LABEL => "two"]].concat(),
                vec![CKR_TEMPLATE_INCONSISTENT],
            ),
        ),
        (
            "a null pointer with a length",
            Passes,
            (
                [generic(), vec![(CKA_LABEL, Value::Null(8))]].concat(),
                vec![CKR_ATTRIBUTE_VALUE_INVALID, CKR_ARGUMENTS_BAD],
            ),
        ),
        (
            "a curve nobody knows",
            Fails("the parameters are not looked at"),
            (
                merge(&ec_public(), &t![CKA_EC_PARAMS => &[6, 3, 0x2A, 3, 4]]),
                vec![
                    CKR_CURVE_NOT_SUPPORTED,
                    CKR_ATTRIBUTE_VALUE_INVALID,
                    CKR_DOMAIN_PARAMS_INVALID,
                ],
            ),
        ),
        (
            "an EC key that is no point",
            Fails(ANY_POINT),
            (
                merge(&ec_public(), &t![CKA_EC_POINT => keys::octet_string(&[4; 65])]),
                invalid.clone(),
            ),
        ),
        (
            "an Ed25519 key that is no point",
            Fails(ANY_POINT),
            (edwards_public(keys::ED25519, &[&[2][..], &[0; 31]].concat()), invalid.clone()),
        ),
        (
            "an Ed25519 key of small order",
            Fails(ANY_POINT),
            (edwards_public(keys::ED25519, &[0; 32]), invalid.clone()),
        ),
        (
            "an Ed25519 key with a number beyond the prime",
            Fails(ANY_POINT),
            (
                edwards_public(keys::ED25519, &[&[0xF0][..], &[0xFF; 30], &[0x7F]].concat()),
                invalid.clone(),
            ),
        ),
        (
            "an Ed448 key that is no point",
            Fails(ANY_POINT),
            (edwards_public(keys::ED448, &[0xFF; 57]), invalid.clone()),
        ),
        (
            "an Ed448 key of small order",
            Fails(ANY_POINT),
            (edwards_public(keys::ED448, &[0; 57]), invalid.clone()),
        ),
        (
            "a date of seven digits",
            Passes,
            (merge(&generic(), &t![CKA_START_DATE => "2026010"]), invalid.clone()),
        ),
        (
            "a secret key trusted by the user",
            Passes,
            (
                merge(&generic(), &t![CKA_TRUSTED => true]),
                vec![
                    CKR_ATTRIBUTE_READ_ONLY,
                    CKR_ATTRIBUTE_VALUE_INVALID,
                    CKR_TEMPLATE_INCONSISTENT,
                    CKR_USER_NOT_LOGGED_IN,
                ],
            ),
        ),
        (
            "a certificate trusted by the user",
            Passes,
            (
                merge(&certificate(), &t![CKA_TRUSTED => true]),
                vec![
                    CKR_ATTRIBUTE_READ_ONLY,
                    CKR_ATTRIBUTE_VALUE_INVALID,
                    CKR_TEMPLATE_INCONSISTENT,
                    CKR_USER_NOT_LOGGED_IN,
                ],
            ),
        ),
    ];
    table(rows, |world, (template, answers)| {
        let session = world.user();
        match session.create(template) {
            Ok(_) => panic!("it was created"),
            Err(rv) => assert!(answers.contains(&rv.0), "{rv:?}"),
        }
    });
}

#[test]
fn a_refused_template_leaves_nothing() {
    let rows = &[
        ("in the session", Fails("a half-made object can be found"), false),
        ("on the token", Fails("a half-made object can be found"), true),
    ];
    table(rows, |world, token| {
        let session = world.user();
        let template = without(&keys::secret(CKK_AES, &[1; 16]), CKA_VALUE);
        assert!(session.create(&merge(&template, &t![CKA_TOKEN => *token])).is_err());
        assert!(session.find(&[]).is_empty());
    });
}

#[test]
fn dates() {
    case(Fails("the dates of private objects cannot be read (CKR_GENERAL_ERROR)"), |world| {
        let session = world.user();
        for private in [false, true] {
            let dates = t![
                CKA_PRIVATE => private, CKA_START_DATE => "20260102", CKA_END_DATE => "20361231",
            ];
            let key = merge(&keys::secret(CKK_AES, &[1; 16]), &dates);
            let key = session.create(&key).expect("a key");
            same(&session, key, &dates);
        }
    });
}

#[test]
fn where_objects_may_be_created() {
    let token = t![CKA_TOKEN => true];
    let private = t![CKA_PRIVATE => true];
    let rows = &[
        ("read-only, session", Passes, (false, false, vec![], CKR_OK)),
        ("read-only, token", Passes, (false, false, token.clone(), CKR_SESSION_READ_ONLY)),
        ("read-only user, token", Passes, (false, true, token.clone(), CKR_SESSION_READ_ONLY)),
        ("read-only user, private", Passes, (false, true, private.clone(), CKR_OK)),
        ("public, token", Passes, (true, false, token, CKR_OK)),
        ("public, private", Passes, (true, false, private.clone(), CKR_USER_NOT_LOGGED_IN)),
        ("user, private", Passes, (true, true, private, CKR_OK)),
    ];
    table(rows, |world, (writes, user, more, wanted)| {
        let _login = user.then(|| world.user());
        let session = if *writes { world.public() } else { world.read_only() };
        let rv = session.create(&merge(&keys::data("x"), more)).err().unwrap_or(Rv::OK);
        assert_eq!(rv, *wanted);
    });
}

#[test]
fn read_only_sessions_change_nothing_on_the_token() {
    case(Passes, |world| {
        let object =
            world.user().create(&merge(&keys::data("x"), &t![CKA_TOKEN => true])).expect("object");
        let session = world.read_only();
        assert_eq!(session.set(object, &t![CKA_LABEL => "y"]), CKR_SESSION_READ_ONLY);
        assert_eq!(session.destroy(object), CKR_SESSION_READ_ONLY);
        assert_eq!(session.copy(object, &[]), Err(Rv(CKR_SESSION_READ_ONLY)));
        assert!(session.copy(object, &t![CKA_TOKEN => false]).is_ok(), "a copy in the session");
        let aes = Some(&CKM_AES_KEY_GEN.into());
        let token = merge(&keys::aes(), &t![CKA_TOKEN => true]);
        let answer = session.module.generate_key(session.handle, aes, &token);
        assert_eq!(answer, Err(Rv(CKR_SESSION_READ_ONLY)));
        assert_eq!(session.get(object, CKA_LABEL), Ok(b"x".to_vec()));
    });
}

#[test]
fn private_objects_are_invisible_without_login() {
    case(Passes, |world| {
        let session = world.user();
        let private = t![CKA_TOKEN => true, CKA_PRIVATE => true];
        let object = session.create(&merge(&keys::data("private"), &private)).expect("an object");
        assert_eq!(session.logout(), Rv::OK);
        assert!(session.find(&t![CKA_LABEL => "private"]).is_empty());
        assert!(session.find(&[]).is_empty());
        for rv in [
            session.get(object, CKA_LABEL).err(),
            session.copy(object, &[]).err(),
            Some(session.set(object, &t![CKA_LABEL => "y"])),
            Some(session.destroy(object)),
        ] {
            let rv = rv.expect("an error");
            assert!(rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_USER_NOT_LOGGED_IN, "{rv:?}");
        }
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
        assert!(session.find(&t![CKA_LABEL => "private"]).is_empty(), "nor to the SO");
    });
}

fn defaults(world: &World, template: &[Attribute], wanted: &[(CK_ATTRIBUTE_TYPE, Value)]) {
    let session = world.user();
    let object = session.create(template).expect("C_CreateObject");
    same(&session, object, wanted);
}

fn same(session: &Session<'_>, object: CK_OBJECT_HANDLE, wanted: &[(CK_ATTRIBUTE_TYPE, Value)]) {
    for (kind, value) in wanted {
        let bytes = match value {
            Value::Bool(value) => vec![u8::from(*value)],
            Value::Ulong(value) => value.to_ne_bytes().to_vec(),
            Value::Bytes(value) => value.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(session.get(object, *kind), Ok(bytes), "attribute {kind:#x}");
    }
}

#[test]
fn defaults_of_the_standard() {
    let common = t![
        CKA_TOKEN => false, CKA_MODIFIABLE => true, CKA_LABEL => "", CKA_COPYABLE => true,
        CKA_DESTROYABLE => true,
    ];
    let key = t![
        CKA_ID => "", CKA_START_DATE => "", CKA_END_DATE => "", CKA_DERIVE => false,
        CKA_LOCAL => false, CKA_KEY_GEN_MECHANISM => CK_UNAVAILABLE_INFORMATION,
    ];
    let secret = t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE => &[1; 20]
    ];
    let rows = &[
        (
            "data",
            Passes,
            (
                t![CKA_CLASS => CKO_DATA],
                [common.clone(), t![CKA_APPLICATION => "", CKA_OBJECT_ID => "", CKA_VALUE => ""]]
                    .concat(),
            ),
        ),
        (
            "certificate",
            Passes,
            (
                certificate(),
                [
                    common.clone(),
                    t![
                        CKA_PRIVATE => false, CKA_TRUSTED => false,
                        CKA_CERTIFICATE_CATEGORY => 0_u64, CKA_ID => "", CKA_ISSUER => "",
                        CKA_SERIAL_NUMBER => "", CKA_URL => "", CKA_START_DATE => "",
                        CKA_END_DATE => "", CKA_HASH_OF_SUBJECT_PUBLIC_KEY => "",
                        CKA_HASH_OF_ISSUER_PUBLIC_KEY => "",
                        CKA_JAVA_MIDP_SECURITY_DOMAIN => 0_u64,
                    ],
                ]
                .concat(),
            ),
        ),
        (
            "public key",
            Passes,
            (
                ec_public(),
                [
                    common.clone(),
                    key.clone(),
                    t![CKA_PRIVATE => false, CKA_SUBJECT => "", CKA_TRUSTED => false],
                ]
                .concat(),
            ),
        ),
        (
            "private key",
            Passes,
            (
                ec_private(),
                [
                    common.clone(),
                    without(&key, CKA_DERIVE),
                    t![
                        CKA_PRIVATE => true, CKA_SUBJECT => "", CKA_WRAP_WITH_TRUSTED => false,
                        CKA_ALWAYS_AUTHENTICATE => false, CKA_ALWAYS_SENSITIVE => false,
                        CKA_NEVER_EXTRACTABLE => false,
                    ],
                ]
                .concat(),
            ),
        ),
        (
            "secret key",
            Passes,
            (
                secret,
                [
                    common,
                    key,
                    t![
                        CKA_PRIVATE => true, CKA_WRAP_WITH_TRUSTED => false,
                        CKA_TRUSTED => false, CKA_ALWAYS_SENSITIVE => false,
                        CKA_NEVER_EXTRACTABLE => false, CKA_VALUE_LEN => 20_u64,
                    ],
                ]
                .concat(),
            ),
        ),
    ];
    table(rows, |world, (template, wanted)| defaults(world, template, wanted));
}

#[test]
fn generated_keys_are_secret_by_default() {
    const OPEN: &str = "CKA_SENSITIVE is false by default";
    let rows = &[("AES", Fails(OPEN), false), ("EC", Fails(OPEN), true)];
    table(rows, |world, pair| {
        let session = world.user();
        let key = if *pair {
            keys::ec(&session, keys::P256).1
        } else {
            session.generate(CKM_AES_KEY_GEN, &t![CKA_VALUE_LEN => 32_u64]).expect("a key")
        };
        let wanted = t![CKA_PRIVATE => true, CKA_EXTRACTABLE => false, CKA_SENSITIVE => true];
        same(&session, key, &wanted);
        assert_eq!(session.get(key, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
    });
}

#[test]
fn where_a_key_came_from() {
    case(Passes, |world| {
        let session = world.user();
        let hidden = t![
            CKA_VALUE_LEN => 32_u64, CKA_SENSITIVE => true, CKA_EXTRACTABLE => false,
            CKA_TOKEN => false,
        ];
        let key = session.generate(CKM_AES_KEY_GEN, &hidden).expect("a key");
        let wanted = t![
            CKA_LOCAL => true, CKA_ALWAYS_SENSITIVE => true, CKA_NEVER_EXTRACTABLE => true,
            CKA_KEY_GEN_MECHANISM => CKM_AES_KEY_GEN, CKA_VALUE_LEN => 32_u64,
        ];
        same(&session, key, &wanted);
        let key = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("a key");
        let wanted = t![
            CKA_LOCAL => true, CKA_ALWAYS_SENSITIVE => false, CKA_NEVER_EXTRACTABLE => false,
        ];
        same(&session, key, &wanted);
        let (public, private) = keys::ec_with(
            &session,
            keys::P256,
            &t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false],
        );
        let wanted = t![CKA_LOCAL => true, CKA_KEY_GEN_MECHANISM => CKM_EC_KEY_PAIR_GEN];
        same(&session, public, &wanted);
        same(&session, private, &wanted);
        same(&session, private, &t![CKA_ALWAYS_SENSITIVE => true, CKA_NEVER_EXTRACTABLE => true]);
    });
}

#[test]
fn attributes_that_go_one_way() {
    let hide = t![CKA_SENSITIVE => true];
    let show = t![CKA_SENSITIVE => false];
    let keep = t![CKA_EXTRACTABLE => false];
    let give = t![CKA_EXTRACTABLE => true];
    let rows =
        &[("CKA_SENSITIVE", Passes, (hide, show)), ("CKA_EXTRACTABLE", Passes, (keep, give))];
    table(rows, |world, (forth, back)| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        assert_eq!(session.set(key, forth), Rv::OK);
        same(&session, key, forth);
        assert_eq!(session.set(key, back), CKR_ATTRIBUTE_READ_ONLY);
        same(&session, key, forth);
        assert!(session.copy(key, back).is_err(), "a copy would be the way back");
    });
}

#[test]
fn reading_many_attributes_at_once() {
    case(Passes, |world| {
        let session = world.user();
        let template = t![
            CKA_SENSITIVE => true, CKA_EXTRACTABLE => true, CKA_LABEL => "a label",
        ];
        let secret = merge(&keys::secret(CKK_AES, &[1; 16]), &template);
        let key = session.create(&secret).expect("a key");
        let wanted = [
            (CKA_LABEL, Room::Bytes(20)),
            (CKA_VALUE, Room::Bytes(20)),
            (CKA_MODULUS, Room::Bytes(20)),
            (CKA_CLASS, Room::Query),
            (CKA_KEY_TYPE, Room::Bytes(ULONG_LEN)),
        ];
        let (rv, got) = session.module.attribute_value(session.handle, key, &wanted);
        assert!(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID, "{rv:?}");
        assert_eq!((got[0].len, &got[0].bytes[..]), (7, &b"a label"[..]));
        assert_eq!(got[1].len, CK_UNAVAILABLE_INFORMATION, "sensitive");
        assert_eq!(got[2].len, CK_UNAVAILABLE_INFORMATION, "not an attribute of the key");
        assert_eq!(got[3].len, ULONG_LEN as CK_ULONG, "a query");
        assert_eq!(got[4].bytes, CKK_AES.to_ne_bytes());
    });
}

#[test]
fn too_little_room_for_one_attribute() {
    case(Passes, |world| {
        let session = world.user();
        let template = merge(&keys::data("a long label"), &t![CKA_APPLICATION => "app"]);
        let object = session.create(&template).expect("an object");
        let wanted = [
            (CKA_APPLICATION, Room::Bytes(3)),
            (CKA_LABEL, Room::Bytes(5)),
            (CKA_VALUE, Room::Bytes(5)),
        ];
        let (rv, got) = session.module.attribute_value(session.handle, object, &wanted);
        assert_eq!(rv, CKR_BUFFER_TOO_SMALL);
        assert_eq!(got[0].bytes, b"app");
        assert_eq!(got[1].len, CK_UNAVAILABLE_INFORMATION);
        assert_eq!(got[2].bytes, b"value", "the attributes behind it are read");
    });
}

#[test]
fn what_may_be_read_of_a_key() {
    const NO_POINT: &str = "EC private keys have no CKA_EC_POINT";
    const NO_INFO: &str = "CKA_PUBLIC_KEY_INFO is always empty (#759)";
    let rows: &[(&str, SoftHsm2, fn(&Session<'_>))] = &[
        ("a sensitive value", Passes, |session| {
            let (_, key) = keys::ec_with(session, keys::P256, &t![CKA_SENSITIVE => true]);
            assert_eq!(session.get(key, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
        }),
        ("a value not to be extracted", Passes, |session| {
            let attributes = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => false];
            let (_, key) = keys::ec_with(session, keys::P256, &attributes);
            assert_eq!(session.get(key, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
        }),
        ("an open value", Passes, |session| {
            let attributes = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
            let (_, key) = keys::ec_with(session, keys::P256, &attributes);
            assert_eq!(session.get(key, CKA_VALUE).map(|value| value.len() <= 32), Ok(true));
        }),
        ("the parts of an RSA key", Passes, |session| {
            let (public, private) = keys::rsa_with(session, 2048, &t![CKA_SENSITIVE => true]);
            for part in [CKA_MODULUS, CKA_PUBLIC_EXPONENT] {
                assert_eq!(session.get(public, part), session.get(private, part));
            }
            for part in [
                CKA_PRIVATE_EXPONENT,
                CKA_PRIME_1,
                CKA_PRIME_2,
                CKA_EXPONENT_1,
                CKA_EXPONENT_2,
                CKA_COEFFICIENT,
            ] {
                assert_eq!(session.get(private, part), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
            }
            assert_eq!(session.number(public, CKA_MODULUS_BITS), Ok(2048));
        }),
        ("the point of a private key", Fails(NO_POINT), |session| {
            let (public, private) = keys::ec(session, keys::P256);
            assert_eq!(session.get(public, CKA_EC_POINT), session.get(private, CKA_EC_POINT));
        }),
        ("the public key information", Fails(NO_INFO), |session| {
            let (public, private) = keys::ec(session, keys::P256);
            let info = session.get(public, CKA_PUBLIC_KEY_INFO).expect("of the public key");
            assert_eq!(info.len(), 91, "a SubjectPublicKeyInfo of P-256");
            assert_eq!(session.get(private, CKA_PUBLIC_KEY_INFO), Ok(info));
        }),
        ("allowed mechanisms, when there are none", Passes, |session| {
            let (_, key) = keys::ec(session, keys::P256);
            let answer = session.get(key, CKA_ALLOWED_MECHANISMS);
            assert!(answer == Ok(vec![]) || answer == Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)));
        }),
        ("the check value of a secret key", Passes, |session| {
            // The first three bytes of a block of zeros, encrypted.
            let key = session.create(&keys::secret(CKK_AES, &[0; 16])).expect("a key");
            assert_eq!(session.get(key, CKA_CHECK_VALUE), Ok(keys::hex("66e94b")));
        }),
    ];
    table(rows, |world, check| check(&world.user()));
}

#[test]
fn unique_identifiers() {
    case(Fails("it has no CKA_UNIQUE_ID"), |world| {
        let session = world.user();
        let one = session.create(&merge(&keys::data("x"), &t![CKA_TOKEN => true])).expect("one");
        let two = session.create(&keys::data("x")).expect("two");
        let copy = session.copy(one, &[]).expect("a copy");
        let id = |object| session.get(object, CKA_UNIQUE_ID).expect("CKA_UNIQUE_ID");
        assert!(!id(one).is_empty());
        assert!(id(one) != id(two) && id(one) != id(copy) && id(two) != id(copy));
        assert_eq!(id(one), id(one), "it stays");
        assert_eq!(session.find(&t![CKA_UNIQUE_ID => id(one)]), [one]);
        assert_eq!(session.find(&t![CKA_UNIQUE_ID => id(two)]), [two]);
        assert_eq!(session.set(one, &t![CKA_UNIQUE_ID => "mine"]), CKR_ATTRIBUTE_READ_ONLY);
    });
}

#[test]
fn attributes_that_may_be_set() {
    case(Passes, |world| {
        let session = world.user();
        for token in [false, true] {
            let secret = merge(&keys::secret(CKK_AES, &[1; 16]), &t![CKA_TOKEN => token]);
            let key = session.create(&secret).expect("a key");
            let news = t![
                CKA_LABEL => "new", CKA_ID => &[9, 9], CKA_SIGN => false, CKA_ENCRYPT => false,
                CKA_DERIVE => false,
            ];
            assert_eq!(session.set(key, &news), Rv::OK);
            same(&session, key, &news);
            assert_eq!(session.find(&t![CKA_LABEL => "new", CKA_TOKEN => token]), [key]);
            assert!(session.find(&t![CKA_LABEL => "", CKA_TOKEN => token]).is_empty());
        }
    });
}

#[test]
fn attributes_that_may_not_be_set() {
    let rows = &[
        ("CKA_CLASS", Passes, t![CKA_CLASS => CKO_DATA]),
        ("CKA_KEY_TYPE", Passes, t![CKA_KEY_TYPE => CKK_GENERIC_SECRET]),
        ("CKA_VALUE", Passes, t![CKA_VALUE => &[2; 16]]),
        ("CKA_VALUE_LEN", Passes, t![CKA_VALUE_LEN => 24_u64]),
        ("CKA_TOKEN", Passes, t![CKA_TOKEN => true]),
        ("CKA_PRIVATE", Passes, t![CKA_PRIVATE => false]),
        ("CKA_MODIFIABLE", Passes, t![CKA_MODIFIABLE => false]),
        ("CKA_LOCAL", Passes, t![CKA_LOCAL => true]),
        ("CKA_ALWAYS_SENSITIVE", Passes, t![CKA_ALWAYS_SENSITIVE => true]),
        ("CKA_NEVER_EXTRACTABLE", Passes, t![CKA_NEVER_EXTRACTABLE => true]),
        ("CKA_KEY_GEN_MECHANISM", Passes, t![CKA_KEY_GEN_MECHANISM => CKM_AES_KEY_GEN]),
    ];
    table(rows, |world, news| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        assert_eq!(session.set(key, news), CKR_ATTRIBUTE_READ_ONLY);
    });
}

#[test]
fn setting_is_all_or_nothing() {
    let rows = &[
        ("the last is read-only", Fails("what came before is set"), t![CKA_CLASS => CKO_DATA]),
        (
            "the last is unknown",
            Fails("what came before is set"),
            t![CKA_VENDOR_DEFINED | 0x99 => "x"],
        ),
        ("the last is malformed", Fails("what came before is set"), t![CKA_SIGN => "12345678"]),
    ];
    table(rows, |world, bad| {
        let session = world.user();
        for token in [false, true] {
            let template = t![CKA_TOKEN => token, CKA_LABEL => "old", CKA_ID => &[1]];
            let secret = merge(&keys::secret(CKK_AES, &[1; 16]), &template);
            let key = session.create(&secret).expect("a key");
            let news = [t![CKA_LABEL => "new", CKA_ID => &[2]], bad.clone()].concat();
            assert_ne!(session.set(key, &news), Rv::OK);
            same(&session, key, &t![CKA_LABEL => "old", CKA_ID => &[1]]);
        }
    });
}

#[test]
fn objects_that_may_not_be_modified() {
    case(Passes, |world| {
        let session = world.user();
        let fixed = merge(&keys::data("x"), &t![CKA_MODIFIABLE => false]);
        let object = session.create(&fixed).expect("an object");
        assert_eq!(session.set(object, &t![CKA_LABEL => "y"]), CKR_ACTION_PROHIBITED);
        same(&session, object, &t![CKA_LABEL => "x"]);
    });
}

#[test]
fn objects_that_may_not_be_copied_or_destroyed() {
    case(Passes, |world| {
        let session = world.user();
        let fixed = merge(&keys::data("x"), &t![CKA_COPYABLE => false, CKA_DESTROYABLE => false]);
        let object = session.create(&fixed).expect("an object");
        assert_eq!(session.copy(object, &[]), Err(Rv(CKR_ACTION_PROHIBITED)));
        assert_eq!(session.destroy(object), CKR_ACTION_PROHIBITED);
        same(&session, object, &t![CKA_LABEL => "x"]);
        let rv = session.set(object, &t![CKA_COPYABLE => true]);
        assert_ne!(rv, Rv::OK, "CKA_COPYABLE goes one way");
    });
}

#[test]
fn copies() {
    case(Passes, |world| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        let template = t![CKA_LABEL => "a copy", CKA_TOKEN => true, CKA_SENSITIVE => true];
        let copy = session.copy(key, &template).expect("C_CopyObject");
        assert_ne!(copy, key);
        same(&session, copy, &template);
        same(&session, copy, &t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 16_u64]);
        same(&session, key, &t![CKA_LABEL => "", CKA_TOKEN => false, CKA_SENSITIVE => false]);
        let cipher = session.encrypt(CKM_AES_ECB, key, &[7; 16]).expect("C_Encrypt");
        assert_eq!(session.decrypt(CKM_AES_ECB, copy, &cipher), Ok(vec![7; 16]));
        assert_eq!(session.destroy(key), Rv::OK);
        assert!(session.encrypt(CKM_AES_ECB, copy, &[7; 16]).is_ok(), "it stands on its own");
        let rv = session.copy(copy, &t![CKA_CLASS => CKO_DATA]).err();
        assert!(
            rv == Some(Rv(CKR_ATTRIBUTE_READ_ONLY)) || rv == Some(Rv(CKR_TEMPLATE_INCONSISTENT)),
            "{rv:?}"
        );
        let rv = session.copy(copy, &t![CKA_SENSITIVE => false]).err();
        assert_eq!(rv, Some(Rv(CKR_ATTRIBUTE_READ_ONLY)));
    });
}

#[test]
fn a_copy_does_not_tell_the_value_of_a_key() {
    case(Passes, |world| {
        let session = world.user();
        let closed = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false];
        let key = session.create(&merge(&keys::secret(CKK_AES, &[1; 16]), &closed));
        let key = key.expect("a key");
        for guess in [[1_u8; 16], [2; 16]] {
            let rv = session.copy(key, &t![CKA_VALUE => guess.as_slice()]).err();
            assert_eq!(rv, Some(Rv(CKR_ATTRIBUTE_READ_ONLY)), "{guess:?}");
            let rv = session.set(key, &t![CKA_VALUE => guess.as_slice()]);
            assert_eq!(rv, CKR_ATTRIBUTE_READ_ONLY, "{guess:?}");
        }
    });
}

/// Whoever makes such a key does not keep a worker of a daemon busy.
#[test]
fn numbers_of_millions_of_bytes() {
    const KEPT: SoftHsm2 = Fails("it keeps any number");
    let vast = vec![0xff; 4 << 20];
    let (vast, usual) = (&vast[..], &[0xff; 256][..]);
    let key = |class: CK_OBJECT_CLASS, kind: CK_KEY_TYPE, numbers: Vec<Attribute>| {
        merge(&t![CKA_CLASS => class, CKA_KEY_TYPE => kind], &numbers)
    };
    let (public, private) = (CKO_PUBLIC_KEY, CKO_PRIVATE_KEY);
    let e = &[1, 0, 1][..];
    let rsa = |n: &[u8], e: &[u8]| t![CKA_MODULUS => n, CKA_PUBLIC_EXPONENT => e];
    let dh = |p: &[u8], g: &[u8], x: &[u8]| t![CKA_PRIME => p, CKA_BASE => g, CKA_VALUE => x];
    let dsa = |q: &[u8], g: &[u8], y: &[u8]| t![CKA_PRIME => usual, CKA_SUBPRIME => q, CKA_BASE => g, CKA_VALUE => y];
    let (two, q) = (&[2][..], &[0xff; 32][..]);
    let d = t![CKA_PRIVATE_EXPONENT => vast];
    let rows = &[
        ("RSA, modulus", KEPT, key(public, CKK_RSA, rsa(vast, e))),
        ("RSA, exponent", KEPT, key(public, CKK_RSA, rsa(usual, vast))),
        ("RSA, exponent as long as the modulus", KEPT, key(public, CKK_RSA, rsa(usual, usual))),
        ("RSA, private exponent", KEPT, key(private, CKK_RSA, merge(&rsa(usual, e), &d))),
        ("DH, prime", KEPT, key(private, CKK_DH, dh(vast, two, two))),
        ("DH, base", KEPT, key(private, CKK_DH, dh(usual, vast, two))),
        ("DH, private value", KEPT, key(private, CKK_DH, dh(usual, two, vast))),
        ("DSA, subprime", KEPT, key(public, CKK_DSA, dsa(vast, two, two))),
        ("DSA, base", KEPT, key(public, CKK_DSA, dsa(q, vast, two))),
        ("DSA, public value", KEPT, key(public, CKK_DSA, dsa(q, two, vast))),
        (
            "EC, point",
            KEPT,
            key(public, CKK_EC, t![CKA_EC_PARAMS => keys::P256, CKA_EC_POINT => vast]),
        ),
    ];
    table(rows, |world, template| {
        let session = world.user();
        let start = Instant::now();
        assert!(session.create(template).is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

#[test]
fn only_the_security_officer_trusts() {
    case(Passes, |world| {
        let session = world.user();
        let token = merge(&certificate(), &t![CKA_TOKEN => true]);
        let object = session.create(&token).expect("a certificate");
        assert_ne!(session.set(object, &t![CKA_TRUSTED => true]), Rv::OK);
        same(&session, object, &t![CKA_TRUSTED => false]);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_SO, SO_PIN), Rv::OK);
        let trusted = merge(&token, &t![CKA_TRUSTED => true]);
        let object = session.create(&trusted).expect("a certificate of the SO");
        same(&session, object, &t![CKA_TRUSTED => true]);
    });
}

#[test]
fn allowed_mechanisms_are_enforced() {
    case(Passes, |world| {
        let session = world.user();
        let only = t![CKA_ALLOWED_MECHANISMS => vec![CKM_SHA256_HMAC, CKM_SHA384_HMAC]];
        let secret = merge(&keys::secret(CKK_GENERIC_SECRET, &[1; 64]), &only);
        let key = session.create(&secret).expect("a key");
        let wanted: Vec<u8> = [CKM_SHA256_HMAC, CKM_SHA384_HMAC]
            .iter()
            .flat_map(|mechanism| mechanism.to_ne_bytes())
            .collect();
        assert_eq!(session.get(key, CKA_ALLOWED_MECHANISMS), Ok(wanted));
        assert!(session.sign(CKM_SHA256_HMAC, key, b"x").is_ok());
        assert_eq!(session.sign(CKM_SHA512_HMAC, key, b"x"), Err(Rv(CKR_MECHANISM_INVALID)));
        assert_eq!(session.verify_init(CKM_SHA512_HMAC, key), CKR_MECHANISM_INVALID);
    });
}

#[test]
fn object_size() {
    case(Passes, |world| {
        let session = world.user();
        let object = session.create(&keys::data("x")).expect("an object");
        assert!(session.module.object_size(session.handle, object).is_ok());
        let answer = session.module.object_size(session.handle, object + 1000);
        assert_eq!(answer, Err(Rv(CKR_OBJECT_HANDLE_INVALID)));
    });
}

#[test]
fn large_values() {
    case(Passes, |world| {
        let session = world.user();
        let value: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte % 251) as u8).collect();
        let template = t![CKA_TOKEN => true, CKA_PRIVATE => true, CKA_VALUE => &value];
        let object = session.create(&merge(&keys::data("large"), &template)).expect("an object");
        assert_eq!(session.get(object, CKA_VALUE), Ok(value));
    });
}

/// P-256, as `openssl ecparam -param_enc explicit` describes it.
const P256_DESCRIBED: &str = "3081f7020101302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000\
    ffffffffffffffffffffffff305b0420ffffffff00000001000000000000000000000000ffffffff\
    fffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2\
    604b031500c49d360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e5\
    63a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce3357\
    6b315ececbb6406837bf51f5022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3\
    b9cac2fc632551020101";

#[test]
fn a_curve_that_is_described_stays_described() {
    case(Passes, |world| {
        let session = world.user();
        let described = hex::decode(P256_DESCRIBED).expect("hexadecimal");
        let template = merge(&ec_public(), &t![CKA_EC_PARAMS => &described, CKA_TOKEN => true]);
        let key = session.create(&template).expect("C_CreateObject");
        assert_eq!(session.get(key, CKA_EC_PARAMS), Ok(described.clone()));
        let public = t![CKA_EC_PARAMS => &described, CKA_VERIFY => true];
        let pair = session.pair(CKM_EC_KEY_PAIR_GEN, &public, &t![CKA_SIGN => true]);
        let (public, private) = pair.expect("C_GenerateKeyPair");
        for key in [public, private] {
            assert_eq!(session.get(key, CKA_EC_PARAMS), Ok(described.clone()));
        }
        let signature = session.sign(CKM_ECDSA, private, &[1; 32]).expect("C_Sign");
        assert_eq!(session.verify(CKM_ECDSA, public, &[1; 32], &signature), Rv::OK);
    });
}

#[test]
fn a_curve_that_is_described_wrongly_is_none() {
    case(Fails("any curve is taken"), |world| {
        let session = world.user();
        let mut described = hex::decode(P256_DESCRIBED).expect("hexadecimal");
        // The last byte of the order, before the cofactor.
        let at = described.len() - 4;
        described[at] ^= 2;
        let template = merge(&ec_public(), &t![CKA_EC_PARAMS => &described]);
        assert_eq!(session.create(&template), Err(Rv(CKR_CURVE_NOT_SUPPORTED)));
    });
}
