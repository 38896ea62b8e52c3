//! 4.3 and 4.13 to 4.15: what a token says of itself by objects, and nobody else makes.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, Param, Rv, Session, Word, World, case, merge, t, table,
};

use crate::keys;

const NONE: &str = "no objects tell what it has (#604)";

fn profiles(session: &Session<'_>) -> Vec<CK_ULONG> {
    let found = session.find(&t![CKA_CLASS => CKO_PROFILE]);
    let mut ids: Vec<_> = found
        .iter()
        .map(|object| session.number(*object, CKA_PROFILE_ID).expect("CKA_PROFILE_ID"))
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn the_profiles_of_a_token() {
    case(Fails(NONE), |world| {
        let met = [
            CKP_BASELINE_PROVIDER,
            CKP_EXTENDED_PROVIDER,
            CKP_AUTHENTICATION_TOKEN,
            CKP_HKDF_TLS_TOKEN,
        ];
        assert_eq!(profiles(&world.public()), met, "nobody needs to be logged in");
        assert_eq!(profiles(&world.read_only()), met);
        assert_eq!(profiles(&world.user()), met);
    });
}

#[test]
fn who_does_not_ask_for_them_does_not_meet_them() {
    let rows: &[(&str, _, Vec<Attribute>)] = &[
        ("everything", Passes, vec![]),
        ("token objects", Passes, t![CKA_TOKEN => true]),
        ("public objects", Passes, t![CKA_PRIVATE => false]),
        ("what is not modifiable", Passes, t![CKA_MODIFIABLE => false]),
        ("a label", Passes, t![CKA_LABEL => "CKM_AES_GCM"]),
        ("keys", Passes, t![CKA_CLASS => CKO_SECRET_KEY]),
        ("hardware features", Passes, t![CKA_CLASS => CKO_HW_FEATURE]),
        ("validations", Passes, t![CKA_CLASS => CKO_VALIDATION]),
        ("profiles of the session", Passes, t![CKA_CLASS => CKO_PROFILE, CKA_TOKEN => false]),
        ("private mechanisms", Passes, t![CKA_CLASS => CKO_MECHANISM, CKA_PRIVATE => true]),
        ("profiles with a value", Passes, t![CKA_CLASS => CKO_PROFILE, CKA_VALUE => b"x"]),
    ];
    table(rows, |world, template| {
        assert_eq!(world.user().find(template), []);
    });
}

#[test]
fn each_mechanism_has_an_object() {
    case(Fails(NONE), |world| {
        let session = world.public();
        let (_, count, _) = session.module.mechanism_list(world.slot(), None);
        let (rv, _, list) = session.module.mechanism_list(world.slot(), Some(count));
        assert_eq!(rv, Rv::OK);
        let found = session.find(&t![CKA_CLASS => CKO_MECHANISM]);
        let mut told: Vec<_> = found
            .iter()
            .map(|object| session.number(*object, CKA_MECHANISM_TYPE).expect("a mechanism"))
            .collect();
        told.sort_unstable();
        let mut listed = list;
        listed.sort_unstable();
        assert_eq!(told, listed);
        let one = t![CKA_CLASS => CKO_MECHANISM, CKA_MECHANISM_TYPE => CKM_AES_GCM];
        let [object] = session.find(&one)[..] else { panic!("one object for a mechanism") };
        assert_eq!(session.number(object, CKA_MECHANISM_TYPE), Ok(CKM_AES_GCM));
        assert_eq!(session.find(&one), [object], "it keeps its handle");
        assert_eq!(
            session.get(object, CKA_PROFILE_ID),
            Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)),
            "of another class"
        );
    });
}

/// An object of each class that a token has of itself.
fn own(session: &Session<'_>) -> Vec<CK_OBJECT_HANDLE> {
    [CKO_PROFILE, CKO_MECHANISM]
        .map(|class| *session.find(&t![CKA_CLASS => class]).first().expect("one of each"))
        .to_vec()
}

#[test]
fn they_are_read_only_token_objects() {
    case(Fails(NONE), |world| {
        let session = world.user();
        let mut identifiers = Vec::new();
        for object in own(&session) {
            for (attribute, wanted) in [
                (CKA_TOKEN, true),
                (CKA_PRIVATE, false),
                (CKA_MODIFIABLE, false),
                (CKA_COPYABLE, false),
                (CKA_DESTROYABLE, false),
            ] {
                assert_eq!(session.flag(object, attribute), Ok(wanted), "{attribute:#x}");
            }
            assert!(!session.get(object, CKA_LABEL).expect("a label").is_empty());
            let identifier = session.get(object, CKA_UNIQUE_ID).expect("CKA_UNIQUE_ID");
            assert!(!identifiers.contains(&identifier));
            identifiers.push(identifier);
            assert!(session.module.object_size(session.handle, object).is_ok());
            assert_eq!(session.set(object, &t![CKA_LABEL => "mine"]), CKR_ACTION_PROHIBITED);
            assert_eq!(session.destroy(object), CKR_ACTION_PROHIBITED);
            assert_eq!(session.copy(object, &[]), Err(Rv(CKR_ACTION_PROHIBITED)));
            assert_eq!(session.sign_init(CKM_SHA256_HMAC, object), CKR_KEY_HANDLE_INVALID);
        }
        let again: Vec<_> =
            own(&session).iter().map(|object| session.get(*object, CKA_UNIQUE_ID)).collect();
        assert_eq!(again, identifiers.into_iter().map(Ok).collect::<Vec<_>>());
    });
}

#[test]
fn nobody_makes_one() {
    let rows: &[(&str, _, Vec<Attribute>)] = &[
        ("profile", Passes, t![CKA_CLASS => CKO_PROFILE, CKA_PROFILE_ID => CKP_COMPLETE_PROVIDER]),
        (
            "mechanism",
            Passes,
            t![CKA_CLASS => CKO_MECHANISM, CKA_MECHANISM_TYPE => CKM_VENDOR_DEFINED],
        ),
        ("validation", Passes, t![CKA_CLASS => CKO_VALIDATION]),
        ("hardware feature", Passes, t![CKA_CLASS => CKO_HW_FEATURE]),
    ];
    table(rows, |world, template| {
        let session = world.user();
        for token in [false, true] {
            let all = merge(template, &t![CKA_TOKEN => token]);
            let refused = session.create(&all).expect_err("nobody makes one");
            let codes = [CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT];
            assert!(codes.contains(&refused.0), "{refused:?}");
        }
    });
}

#[test]
fn another_token_has_its_own() {
    case(Fails(NONE), |world| {
        let session = world.public();
        let module = session.module;
        let blank = strongroom_softhsm_tests::world::blank_slot(module);
        let rv = module.init_token(blank, strongroom_softhsm_tests::SO_PIN.into(), "another");
        assert_eq!(rv, Rv::OK);
        let slot = strongroom_softhsm_tests::world::slot_of(module, "another").expect("a slot");
        let other = Session::open(module, slot, 0);
        for (one, two) in own(&session).into_iter().zip(own(&other)) {
            assert_ne!(one, two);
            assert_ne!(session.get(one, CKA_UNIQUE_ID), other.get(two, CKA_UNIQUE_ID));
            assert_eq!(session.get(two, CKA_CLASS), Err(Rv(CKR_OBJECT_HANDLE_INVALID)));
        }
    });
}

/// What the profile for TLS 1.3 asks: nonces are derived with the labels of TLS and of QUIC.
fn derives(world: &World, label: &[u8]) {
    let session = world.user();
    let base = session.create(&keys::secret(CKK_GENERIC_SECRET, &[7; 32])).expect("a key");
    let info = [&[0, 12], label, &[0]].concat();
    let params = [
        Word::Number(0x0100),
        Word::Number(CKM_SHA256),
        Word::Number(CKF_HKDF_SALT_NULL),
        Word::Bytes(In::NONE),
        Word::Number(0),
        Word::Bytes(In::Bytes(&info)),
    ];
    let mechanism = Mechanism::with(CKM_HKDF_DATA, Param::Words(&params));
    let template = t![CKA_CLASS => CKO_DATA, CKA_VALUE_LEN => 12_u64];
    let nonce = session.derive(mechanism, base, &template).expect("C_DeriveKey");
    assert_eq!(session.get(nonce, CKA_VALUE).expect("the nonce").len(), 12);
}

#[test]
fn nonces_for_tls() {
    let rows: &[(&str, _, &[u8])] =
        &[("TLS", Fails(NONE), b"tls iv"), ("QUIC", Fails(NONE), b"tls quic iv")];
    table(rows, |world, label| derives(world, label));
}
