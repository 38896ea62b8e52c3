//! The `cryptoki` crate: what a Rust program does with a module.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{SO_PIN, USER_PIN, case, table};

use crate::keys;

fn pin(text: &str) -> AuthPin {
    AuthPin::new(text.to_owned().into())
}

/// A token made by the crate, with both PINs.
fn token(path: &Path) -> (Pkcs11, Slot) {
    let module = Pkcs11::new(path).expect("the module");
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("C_Initialize");
    let blank = module.get_slots_with_token().expect("C_GetSlotList")[0];
    module.init_token(blank, &pin(SO_PIN), "crate").expect("C_InitToken");
    let slot = module
        .get_slots_with_initialized_token()
        .expect("C_GetSlotList")
        .into_iter()
        .find(|slot| module.get_token_info(*slot).is_ok_and(|info| info.label() == "crate"))
        .expect("the token");
    let session = module.open_rw_session(slot).expect("C_OpenSession");
    session.login(UserType::So, Some(&pin(SO_PIN))).expect("C_Login");
    session.init_pin(&pin(USER_PIN)).expect("C_InitPIN");
    session.logout().expect("C_Logout");
    drop(session);
    (module, slot)
}

fn user(module: &Pkcs11, slot: Slot) -> Session {
    let session = module.open_rw_session(slot).expect("C_OpenSession");
    session.login(UserType::User, Some(&pin(USER_PIN))).expect("C_Login");
    session
}

#[test]
fn a_token_from_nothing() {
    case(Passes, |world| {
        let (module, slot) = token(world.path());
        let info = module.get_token_info(slot).expect("C_GetTokenInfo");
        assert!(info.token_initialized() && info.user_pin_initialized());
        assert!(info.login_required() && info.rng());
        assert!(!info.user_pin_count_low() && !info.so_pin_count_low());
        let session = user(&module, slot);
        let again = session.login(UserType::User, Some(&pin(USER_PIN)));
        assert!(matches!(again, Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _))), "{again:?}");
        session.set_pin(&pin(USER_PIN), &pin("another-pin")).expect("C_SetPIN");
        session.logout().expect("C_Logout");
        let wrong = session.login(UserType::User, Some(&pin(USER_PIN)));
        assert!(matches!(wrong, Err(Error::Pkcs11(RvError::PinIncorrect, _))), "{wrong:?}");
        session.login(UserType::User, Some(&pin("another-pin"))).expect("C_Login");
    });
}

#[test]
fn mechanisms_are_listed() {
    case(Passes, |world| {
        let (module, slot) = token(world.path());
        let list = module.get_mechanism_list(slot).expect("C_GetMechanismList");
        for mechanism in [MechanismType::AES_GCM, MechanismType::ECDSA, MechanismType::EDDSA] {
            assert!(list.contains(&mechanism), "{mechanism}");
        }
        let info = module.get_mechanism_info(slot, MechanismType::RSA_PKCS_KEY_PAIR_GEN);
        let info = info.expect("C_GetMechanismInfo");
        assert!(info.generate_key_pair() && info.max_key_size() >= 4096);
    });
}

#[test]
fn key_pairs_sign() {
    let rsa =
        || vec![Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])];
    let ec = |curve: &[u8]| vec![Attribute::EcParams(curve.to_vec())];
    let pss = PkcsPssParams {
        hash_alg: MechanismType::SHA256,
        mgf: PkcsMgfType::MGF1_SHA256,
        s_len: 32.into(),
    };
    let rows = &[
        ("RSA", Passes, (Mechanism::RsaPkcsKeyPairGen, rsa(), Mechanism::Sha256RsaPkcs)),
        (
            "RSA PSS",
            Passes,
            (Mechanism::RsaPkcsKeyPairGen, rsa(), Mechanism::Sha256RsaPkcsPss(pss)),
        ),
        ("P-256", Passes, (Mechanism::EccKeyPairGen, ec(keys::P256), Mechanism::Ecdsa)),
        (
            "P-384 with SHA-384",
            Fails("hashed ECDSA came with 2.7 (#620)"),
            (Mechanism::EccKeyPairGen, ec(keys::P384), Mechanism::EcdsaSha384),
        ),
    ];
    table(rows, |world, (generation, template, mechanism)| {
        let (module, slot) = token(world.path());
        let session = user(&module, slot);
        let mut public = template.clone();
        public.extend([Attribute::Token(true), Attribute::Verify(true)]);
        let private = [Attribute::Token(true), Attribute::Sign(true), Attribute::Private(true)];
        let (public, private) =
            session.generate_key_pair(generation, &public, &private).expect("C_GenerateKeyPair");
        let signature = session.sign(mechanism, private, &[7; 32]).expect("C_Sign");
        session.verify(mechanism, public, &[7; 32], &signature).expect("C_Verify");
        let wrong = session.verify(mechanism, public, &[8; 32], &signature);
        assert!(matches!(wrong, Err(Error::Pkcs11(RvError::SignatureInvalid, _))), "{wrong:?}");
        drop(session);
        module.finalize().expect("C_Finalize");
    });
}

#[test]
fn objects_are_found_and_read() {
    case(Passes, |world| {
        let (module, slot) = token(world.path());
        let session = user(&module, slot);
        for number in 0..30_u8 {
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Value(vec![number; 16]),
                Attribute::Label(b"one of many".to_vec()),
                Attribute::Id(vec![number]),
                Attribute::Token(number % 2 == 0),
                Attribute::Sensitive(false),
                Attribute::Extractable(true),
            ];
            session.create_object(&template).expect("C_CreateObject");
        }
        let all = session.find_objects(&[Attribute::Label(b"one of many".to_vec())]);
        assert_eq!(all.expect("C_FindObjects").len(), 30);
        let one = session.find_objects(&[Attribute::Id(vec![7])]).expect("C_FindObjects");
        assert_eq!(one.len(), 1);
        let read = session
            .get_attributes(one[0], &[AttributeType::Value, AttributeType::Token])
            .expect("C_GetAttributeValue");
        assert_eq!(read, [Attribute::Value(vec![7; 16]), Attribute::Token(false)]);
        session.update_attributes(one[0], &[Attribute::Label(b"new".to_vec())]).expect("set");
        session.destroy_object(one[0]).expect("C_DestroyObject");
        let left = session.find_objects(&[Attribute::Label(b"one of many".to_vec())]);
        assert_eq!(left.expect("C_FindObjects").len(), 29);
    });
}

#[test]
fn digests_and_random_numbers() {
    case(Passes, |world| {
        let (module, slot) = token(world.path());
        let session = module.open_ro_session(slot).expect("C_OpenSession");
        let digest = session.digest(&Mechanism::Sha256, b"abc").expect("C_Digest");
        assert_eq!(digest[..4], [0xBA, 0x78, 0x16, 0xBF]);
        let one = session.generate_random_vec(32).expect("C_GenerateRandom");
        let two = session.generate_random_vec(32).expect("C_GenerateRandom");
        assert_ne!(one, two);
        session.seed_random(b"seed").expect("C_SeedRandom");
    });
}
