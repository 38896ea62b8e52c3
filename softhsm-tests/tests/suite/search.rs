//! 5.7: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal.

use std::collections::BTreeSet;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::world::slot_of;
use strongroom_softhsm_tests::{
    Attribute, InitArgs, LABEL, Rv, Session, USER_PIN, case, merge, t, table,
};

use crate::keys;

#[test]
fn by_each_attribute() {
    let rows: &[(&str, SoftHsm2, Vec<Attribute>)] = &[
        ("label", Passes, t![CKA_LABEL => "wanted"]),
        ("id", Passes, t![CKA_ID => &[7, 7, 7]]),
        ("key type", Passes, t![CKA_KEY_TYPE => CKK_AES]),
        ("value length", Passes, t![CKA_VALUE_LEN => 24_u64]),
        ("sign", Passes, t![CKA_SIGN => false]),
        (
            "start date",
            Fails("dates of private objects cannot be read (CKR_GENERAL_ERROR)"),
            t![CKA_START_DATE => "20260101"],
        ),
        ("class and label", Passes, t![CKA_CLASS => CKO_SECRET_KEY, CKA_LABEL => "wanted"]),
        (
            "all of them",
            Passes,
            t![
                CKA_LABEL => "wanted", CKA_ID => &[7, 7, 7], CKA_KEY_TYPE => CKK_AES,
                CKA_CLASS => CKO_SECRET_KEY, CKA_VALUE_LEN => 24_u64, CKA_SIGN => false,
            ],
        ),
    ];
    table(rows, |world, template| {
        let session = world.user();
        for token in [false, true] {
            let wanted = t![
                CKA_TOKEN => token, CKA_LABEL => "wanted", CKA_ID => &[7, 7, 7],
                CKA_SIGN => false, CKA_START_DATE => "20260101",
            ];
            let wanted = merge(&keys::secret(CKK_AES, &[1; 24]), &wanted);
            let wanted = session.create(&wanted).expect("a key");
            let other = t![CKA_TOKEN => token, CKA_LABEL => "other", CKA_ID => &[7, 7]];
            let other = merge(&keys::secret(CKK_GENERIC_SECRET, &[1; 25]), &other);
            session.create(&other).expect("a key");
            let exact = merge(template, &t![CKA_TOKEN => token]);
            assert_eq!(session.find(&exact), [wanted]);
        }
        assert_eq!(session.find(template).len(), 2, "of the session and of the token");
        for object in session.find(&[]) {
            assert_eq!(session.destroy(object), Rv::OK);
        }
    });
}

#[test]
fn certificates_and_public_keys() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = session
            .pair(
                CKM_RSA_PKCS_KEY_PAIR_GEN,
                &t![
                    CKA_TOKEN => true, CKA_MODULUS_BITS => 2048_u64, CKA_ID => &[1],
                    CKA_SUBJECT => b"\x30\x00", CKA_PUBLIC_EXPONENT => &[1, 0, 1],
                ],
                &t![CKA_TOKEN => true, CKA_ID => &[1], CKA_SUBJECT => b"\x30\x00"],
            )
            .expect("C_GenerateKeyPair");
        keys::rsa(&session, 2048);
        let modulus = session.get(public, CKA_MODULUS).expect("a modulus");
        let both: BTreeSet<_> = [public, private].into();
        for template in
            [t![CKA_MODULUS => &modulus], t![CKA_ID => &[1]], t![CKA_SUBJECT => b"\x30\x00"]]
        {
            let found: BTreeSet<_> = session.find(&template).into_iter().collect();
            assert_eq!(found, both);
        }
        let template = t![CKA_CLASS => CKO_PUBLIC_KEY, CKA_MODULUS => &modulus];
        assert_eq!(session.find(&template), [public]);
    });
}

#[test]
fn nothing_matches() {
    let rows: &[(&str, SoftHsm2, Vec<Attribute>)] = &[
        ("another label", Passes, t![CKA_LABEL => "another"]),
        ("a prefix of the label", Passes, t![CKA_LABEL => "wan"]),
        ("no label", Passes, t![CKA_LABEL => ""]),
        ("an attribute it does not have", Passes, t![CKA_MODULUS => &[1, 2]]),
        ("an attribute nobody knows", Passes, t![CKA_VENDOR_DEFINED | 0x99 => "x"]),
        ("one matches, one does not", Passes, t![CKA_LABEL => "wanted", CKA_CLASS => CKO_DATA]),
    ];
    table(rows, |world, template| {
        let session = world.user();
        let key = merge(&keys::secret(CKK_AES, &[1; 24]), &t![CKA_LABEL => "wanted"]);
        session.create(&key).expect("a key");
        let rv = session.module.find_objects_init(session.handle, template);
        if rv == Rv::OK {
            assert_eq!(session.module.find_objects(session.handle, 10), Ok(vec![]));
            assert_eq!(session.module.find_objects(session.handle, 10), Ok(vec![]));
            assert_eq!(session.module.find_objects_final(session.handle), Rv::OK);
        } else {
            assert_eq!(rv, CKR_ATTRIBUTE_TYPE_INVALID);
        }
    });
}

#[test]
fn a_sensitive_value_never_matches() {
    let hidden = [t![CKA_SENSITIVE => true], t![CKA_EXTRACTABLE => false]];
    let rows = &[
        ("sensitive", Fails("the value of a sensitive key is compared"), hidden[0].clone()),
        (
            "not extractable",
            Fails("the value of a key not to be extracted is compared"),
            hidden[1].clone(),
        ),
    ];
    table(rows, |world, hidden| {
        let session = world.user();
        for token in [false, true] {
            let hidden = merge(hidden, &t![CKA_TOKEN => token]);
            let key = merge(&keys::secret(CKK_AES, &[0x5A; 16]), &hidden);
            session.create(&key).expect("a key");
        }
        assert!(session.find(&t![CKA_VALUE => &[0x5A; 16]]).is_empty());
    });
}

#[test]
fn an_open_value_matches() {
    case(Passes, |world| {
        let session = world.user();
        let key = session.create(&keys::secret(CKK_AES, &[0x5A; 16])).expect("a key");
        assert_eq!(session.find(&t![CKA_VALUE => &[0x5A; 16]]), [key]);
    });
}

#[test]
fn pages() {
    let rows = &[("of 1", Passes, 1), ("of 2", Passes, 2), ("of 100", Passes, 100)];
    table(rows, |world, page| {
        let session = world.user();
        let mut created = BTreeSet::new();
        for number in 0..150 {
            let template = t![CKA_TOKEN => number < 10, CKA_APPLICATION => "pages"];
            let template = merge(&keys::data(&format!("object {number}")), &template);
            created.insert(session.create(&template).expect("an object"));
        }
        let template = t![CKA_APPLICATION => "pages"];
        assert_eq!(session.module.find_objects_init(session.handle, &template), Rv::OK);
        let mut found = BTreeSet::new();
        loop {
            let some = session.module.find_objects(session.handle, *page).expect("C_FindObjects");
            assert!(some.len() <= *page);
            if some.is_empty() {
                break;
            }
            for object in some {
                assert!(found.insert(object), "an object was found twice");
            }
        }
        assert_eq!(session.module.find_objects_final(session.handle), Rv::OK);
        assert_eq!(found, created);
        for object in created {
            assert_eq!(session.destroy(object), Rv::OK);
        }
    });
}

#[test]
fn the_same_object_has_the_same_handle() {
    case(Passes, |world| {
        let session = world.user();
        let object =
            session.create(&merge(&keys::data("x"), &t![CKA_TOKEN => true])).expect("an object");
        assert_eq!(session.find(&t![CKA_LABEL => "x"]), [object]);
        assert_eq!(world.read_only().find(&t![CKA_LABEL => "x"]), [object]);
    });
}

#[test]
fn order_of_the_calls() {
    case(Passes, |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let not = Rv(CKR_OPERATION_NOT_INITIALIZED);
        assert_eq!(module.find_objects(handle, 1), Err(not));
        assert_eq!(module.find_objects_final(handle), not);
        assert_eq!(module.find_objects_init(handle, &[]), Rv::OK);
        assert_eq!(module.find_objects_init(handle, &[]), CKR_OPERATION_ACTIVE);
        assert_eq!(module.find_objects(handle, 1), Ok(vec![]));
        assert_eq!(module.find_objects_final(handle), Rv::OK);
        assert_eq!(module.find_objects_final(handle), not);
    });
}

#[test]
fn objects_come_and_go_during_a_search() {
    case(Passes, |world| {
        let (session, other) = (world.user(), world.user());
        let objects: Vec<_> = (0..10)
            .map(|number| {
                let template = t![CKA_TOKEN => number % 2 == 0];
                session.create(&merge(&keys::data("x"), &template)).expect("an object")
            })
            .collect();
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.find_objects_init(handle, &t![CKA_LABEL => "x"]), Rv::OK);
        let mut found = module.find_objects(handle, 2).expect("C_FindObjects");
        for object in &objects[5..] {
            if !found.contains(object) {
                assert_eq!(other.destroy(*object), Rv::OK);
            }
        }
        other.create(&keys::data("x")).expect("an object");
        found.extend(module.find_objects(handle, 100).expect("C_FindObjects"));
        assert_eq!(module.find_objects_final(handle), Rv::OK);
        for object in &objects[..5] {
            assert!(found.contains(object), "what was there all the time is found");
        }
        for object in found {
            let label = session.get(object, CKA_LABEL);
            assert!(
                label == Ok(b"x".to_vec()) || label == Err(Rv(CKR_OBJECT_HANDLE_INVALID)),
                "{label:?}"
            );
        }
    });
}

#[test]
fn an_object_of_another_process() {
    case(Passes, |world| {
        world.slot();
        assert_eq!(world.module().finalize(), Rv::OK);
        let module = world.module();
        // The child waits for nothing: it creates before the parent looks for the second time.
        assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
        let slot = slot_of(module, LABEL).expect("the token");
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert!(session.find(&t![CKA_LABEL => "elsewhere"]).is_empty());
        let child = Forked::start(|| {
            // SoftHSM2 shares its state with a child; so the child starts from the beginning.
            module.finalize();
            assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
            let slot = slot_of(module, LABEL).expect("the token");
            let session = Session::open(module, slot, CKF_RW_SESSION);
            assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
            let template = t![CKA_TOKEN => true, CKA_PRIVATE => true];
            let template = merge(&keys::data("elsewhere"), &template);
            session.create(&template).expect("an object");
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        let found = session.find(&t![CKA_LABEL => "elsewhere"]);
        assert_eq!(found.len(), 1);
        assert_eq!(session.get(found[0], CKA_VALUE), Ok(b"value".to_vec()));
    });
}
