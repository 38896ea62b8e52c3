//! What is only for what is old: there with `legacy = true`, which the other tests have, and
//! nowhere without it.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{Mechanism, Param, Rv, case, t, table};

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
