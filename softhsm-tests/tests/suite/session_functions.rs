//! 5.6 since 3.0: the login with a name, the end of operations by their flags, validation; and keys
//! that want a login for each use.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::{
    Attribute, Dual, In, Mechanism, PLENTY, Param, Rv, Session, USER_PIN, World, case, t, table,
};

use crate::keys;

const OLD: &str = "it has only the functions of 2.40 (#604, #874)";
const PASSES_THEM: &str = "keys that want a login for each use unwrap and derive without";

#[test]
fn login_with_a_name() {
    case(Fails(OLD), |world| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        let rv = module.login_user(handle, CKU_USER, USER_PIN.into(), "somebody".into());
        assert_eq!(rv, CKR_ARGUMENTS_BAD, "nobody here has a name");
        assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION);
        assert_eq!(
            module.login_user(handle, CKU_USER, "wrong".into(), In::NONE),
            CKR_PIN_INCORRECT
        );
        assert_eq!(module.login_user(handle, CKU_USER, USER_PIN.into(), In::NONE), Rv::OK);
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS);
        let rv = module.login_user(handle, CKU_USER, USER_PIN.into(), In::Null(4));
        assert_eq!(rv, CKR_ARGUMENTS_BAD);
        let rv = module.login_user(handle + 99, CKU_USER, USER_PIN.into(), "x".into());
        assert_eq!(rv, CKR_SESSION_HANDLE_INVALID);
    });
}

#[test]
fn nothing_here_was_validated() {
    case(Fails(OLD), |world| {
        let session = world.public();
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.session_validation_flags(handle, CKS_LAST_VALIDATION_OK), Ok(0));
        assert_eq!(module.session_validation_flags(handle, 77), Err(Rv(CKR_ARGUMENTS_BAD)));
        assert_eq!(
            module.session_validation_flags(handle + 99, CKS_LAST_VALIDATION_OK),
            Err(Rv(CKR_SESSION_HANDLE_INVALID))
        );
    });
}

#[test]
fn operations_are_cancelled_by_their_flags() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
        let aes = session.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
        let sha256 = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(handle, Some(&sha256)), Rv::OK);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(session.encrypt_init(CKM_AES_ECB, aes), Rv::OK);
        assert_eq!(module.find_objects_init(handle, &[]), Rv::OK);
        assert_eq!(module.session_cancel(handle, CKF_DIGEST | CKF_FIND_OBJECTS), Rv::OK);
        assert_eq!(
            module.digest_update(handle, b"x".into()),
            CKR_OPERATION_NOT_INITIALIZED,
            "the digest is over"
        );
        assert_eq!(module.find_objects_init(handle, &[]), Rv::OK, "so is the search");
        assert_eq!(module.sign_update(handle, b"x".into()), Rv::OK, "the signature goes on");
        assert_eq!(module.session_cancel(handle, CKF_VERIFY | CKF_DECRYPT), Rv::OK, "none there");
        let all = CKF_SIGN | CKF_ENCRYPT | CKF_FIND_OBJECTS | CKF_GENERATE | CKF_WRAP;
        assert_eq!(module.session_cancel(handle, all), Rv::OK);
        assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
        assert_eq!(session.encrypt_init(CKM_AES_ECB, aes), Rv::OK);
        assert_eq!(module.session_cancel(handle, 1 << 40 | CKF_SIGN), CKR_ARGUMENTS_BAD);
        assert_eq!(module.sign_update(handle, b"x".into()), Rv::OK, "nothing was cancelled");
        assert_eq!(module.session_cancel(handle + 99, CKF_SIGN), CKR_SESSION_HANDLE_INVALID);
    });
}

#[test]
fn every_kind_of_operation_may_be_named() {
    case(Fails(OLD), |world| {
        let session = world.user();
        for flag in [
            CKF_FIND_OBJECTS,
            CKF_MESSAGE_ENCRYPT,
            CKF_MESSAGE_DECRYPT,
            CKF_MESSAGE_SIGN,
            CKF_MESSAGE_VERIFY,
            CKF_ENCRYPT,
            CKF_DECRYPT,
            CKF_DIGEST,
            CKF_SIGN,
            CKF_SIGN_RECOVER,
            CKF_VERIFY,
            CKF_VERIFY_RECOVER,
            CKF_GENERATE,
            CKF_GENERATE_KEY_PAIR,
            CKF_WRAP,
            CKF_UNWRAP,
            CKF_DERIVE,
            CKF_ENCAPSULATE,
            CKF_DECAPSULATE,
        ] {
            let rv = session.module.session_cancel(session.handle, flag);
            assert_eq!(rv, Rv::OK, "{flag:#x}");
        }
    });
}

#[test]
fn nothing_is_asynchronous() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let (module, slot) = (session.module, world.slot());
        let flags = module.token_info(slot).expect("C_GetTokenInfo").flags;
        assert_eq!(flags & CKF_ASYNC_SESSION_SUPPORTED, 0);
        assert_eq!(
            module.open_session(slot, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION),
            Err(Rv(CKR_SESSION_ASYNC_NOT_SUPPORTED))
        );
        let answers = module.asynchronous(session.handle);
        assert_eq!(answers, [Rv(CKR_FUNCTION_NOT_SUPPORTED); 3]);
    });
}

const ALWAYS: CK_ATTRIBUTE_TYPE = CKA_ALWAYS_AUTHENTICATE;

fn unwrapped() -> Vec<Attribute> {
    t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES, CKA_TOKEN => false]
}

/// A key for one login each, and what it does with one.
struct Once<'w> {
    session: Session<'w>,
    key: CK_OBJECT_HANDLE,
    /// A wrapped key, or the point of a peer.
    input: Vec<u8>,
}

type Use = fn(&Once<'_>) -> Result<CK_OBJECT_HANDLE, Rv>;

fn unwrap(once: &Once<'_>) -> Result<CK_OBJECT_HANDLE, Rv> {
    once.session.unwrap(CKM_RSA_PKCS, once.key, &once.input, &unwrapped())
}

fn derive(once: &Once<'_>) -> Result<CK_OBJECT_HANDLE, Rv> {
    let peer = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public: (&once.input).into() };
    once.session.derive(Mechanism::with(CKM_ECDH1_DERIVE, peer), once.key, &unwrapped())
}

fn to_unwrap(session: Session<'_>) -> Once<'_> {
    let (public, key) = keys::rsa_with(&session, 2048, &t![ALWAYS => true, CKA_PRIVATE => true]);
    let wrapped = session.create(&keys::secret(CKK_AES, &[7; 32])).expect("a key");
    let input = session.wrap(CKM_RSA_PKCS, public, wrapped).expect("C_WrapKey");
    Once { session, key, input }
}

fn to_derive(session: Session<'_>) -> Once<'_> {
    let always = t![ALWAYS => true, CKA_PRIVATE => true];
    let (_, key) = keys::ec_with(&session, keys::P256, &always);
    let (peer, _) = keys::ec(&session, keys::P256);
    let point = session.get(peer, CKA_EC_POINT).expect("a point");
    Once { session, key, input: keys::octets(&point).to_vec() }
}

fn decapsulate(once: &Once<'_>) -> Result<CK_OBJECT_HANDLE, Rv> {
    let Once { session, key, input } = once;
    let mechanism = Mechanism::plain(CKM_ML_KEM);
    let (module, ciphertext) = (session.module, input.into());
    module.decapsulate_key(session.handle, Some(&mechanism), *key, &unwrapped(), ciphertext)
}

fn to_decapsulate(session: Session<'_>) -> Once<'_> {
    let set = CK_ULONG::from(CKP_ML_KEM_512);
    let public = t![CKA_PARAMETER_SET => set, CKA_ENCAPSULATE => true];
    let private = t![CKA_DECAPSULATE => true, ALWAYS => true, CKA_PRIVATE => true];
    let (public, key) =
        session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &public, &private).expect("C_GenerateKeyPair");
    let mechanism = Mechanism::plain(CKM_ML_KEM);
    let (module, handle) = (session.module, session.handle);
    let (made, _) = module.encapsulate_key(handle, Some(&mechanism), public, &unwrapped(), PLENTY);
    Once { session, key, input: made.ok().expect("C_EncapsulateKey") }
}

type Make = for<'w> fn(Session<'w>) -> Once<'w>;

const ONCE: &[(&str, strongroom_softhsm_tests::SoftHsm2, (Make, Use))] = &[
    ("C_UnwrapKey", Fails(PASSES_THEM), (to_unwrap, unwrap)),
    ("C_DeriveKey", Fails(PASSES_THEM), (to_derive, derive)),
    ("C_DecapsulateKey", Fails(OLD), (to_decapsulate, decapsulate)),
];

#[test]
fn a_login_for_each_use_of_a_key() {
    table(ONCE, |world, (make, call)| {
        let once = make(world.user());
        let session = once.session;
        let refused = Err(Rv(CKR_USER_NOT_LOGGED_IN));
        for _ in 0..2 {
            assert_eq!(call(&once), refused, "each use wants a login");
            assert_eq!(call(&once), refused, "and keeps wanting it");
            assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, "not-the-pin"), CKR_PIN_INCORRECT);
            assert_eq!(call(&once), refused);
            assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
            assert!(call(&once).is_ok());
        }
        assert_eq!(
            session.login(CKU_CONTEXT_SPECIFIC, USER_PIN),
            CKR_OPERATION_NOT_INITIALIZED,
            "nothing waits"
        );
    });
}

#[test]
fn a_login_is_not_for_another_use() {
    table(ONCE, |world, (make, call)| {
        let once = make(world.user());
        let session = once.session;
        let refused = Err(Rv(CKR_USER_NOT_LOGGED_IN));
        // The login is for the signature, which waited last.
        let (_, signing) =
            keys::ec_with(&session, keys::P256, &t![ALWAYS => true, CKA_PRIVATE => true]);
        assert_eq!(call(&once), refused);
        assert_eq!(session.sign_init(CKM_ECDSA, signing), Rv::OK);
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
        assert_eq!(call(&once), refused);
        let signature = session.module.sign(session.handle, (&[1; 32]).into(), PLENTY);
        assert_eq!(signature.rv, Rv::OK);
        // And a login for one key is not one for another of the same kind.
        let other = make(session);
        assert_eq!(call(&once), refused);
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
        assert_eq!(call(&other), refused);
        assert_eq!(call(&once), refused, "the other one has taken its place");
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
        assert!(call(&once).is_ok());
    });
}

#[test]
fn what_ends_the_login_for_one_use() {
    table(ONCE, |world, (make, call)| {
        let once = make(world.user());
        let session = once.session;
        let refused = Err(Rv(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(call(&once), refused);
        assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
        let flags = CKF_UNWRAP | CKF_DERIVE | CKF_DECAPSULATE;
        assert_eq!(session.module.session_cancel(session.handle, flags), Rv::OK);
        assert_eq!(call(&once), refused, "it was cancelled");
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(
            session.login(CKU_CONTEXT_SPECIFIC, USER_PIN),
            CKR_OPERATION_NOT_INITIALIZED,
            "nothing waits after a logout"
        );
    });
}

/// A session in which nobody has logged in for a use of the key; what a signature with it answers.
type Evasion = fn(&World, &Session<'_>, CK_OBJECT_HANDLE) -> Rv;

fn signs(session: &Session<'_>) -> Rv {
    session.module.sign(session.handle, (&[1; 32]).into(), PLENTY).rv
}

fn logs_in(session: &Session<'_>) {
    assert_eq!(session.login(CKU_CONTEXT_SPECIFIC, USER_PIN), Rv::OK);
}

fn starts(session: &Session<'_>, key: CK_OBJECT_HANDLE) {
    assert_eq!(session.sign_init(CKM_SHA256_RSA_PKCS, key), Rv::OK);
}

fn another(session: &Session<'_>) -> CK_OBJECT_HANDLE {
    keys::rsa_with(session, 2048, &t![ALWAYS => true, CKA_PRIVATE => true]).1
}

const WITH_ANOTHER: &str = "one operation at a time";

/// Ways to come around the login for each use, by other operations.
const EVASIONS: &[(&str, strongroom_softhsm_tests::SoftHsm2, Evasion)] = &[
    ("a part", Passes, |_, session, key| {
        starts(session, key);
        session.module.sign_update(session.handle, b"x".into())
    }),
    ("the end", Passes, |_, session, key| {
        starts(session, key);
        session.module.sign_final(session.handle, PLENTY).rv
    }),
    ("the login for the use before", Passes, |_, session, key| {
        starts(session, key);
        logs_in(session);
        assert_eq!(signs(session), Rv::OK);
        starts(session, key);
        signs(session)
    }),
    ("the login for a use that was cancelled", Fails(OLD), |_, session, key| {
        starts(session, key);
        logs_in(session);
        assert_eq!(session.module.session_cancel(session.handle, CKF_SIGN), Rv::OK);
        starts(session, key);
        signs(session)
    }),
    ("the login for a use that failed", Fails("parts are left open"), |_, session, key| {
        starts(session, key);
        logs_in(session);
        assert_eq!(session.module.sign_update(session.handle, b"x".into()), Rv::OK);
        assert_eq!(signs(session), CKR_OPERATION_ACTIVE);
        starts(session, key);
        signs(session)
    }),
    ("the login of another session", Passes, |world, session, key| {
        starts(session, key);
        let other = world.user();
        starts(&other, key);
        logs_in(&other);
        let rv = signs(session);
        assert_eq!(signs(&other), Rv::OK);
        rv
    }),
    ("the login for a decryption", Fails(WITH_ANOTHER), |_, session, key| {
        let attributes = t![ALWAYS => true, CKA_PRIVATE => true];
        let (public, private) = keys::rsa_with(session, 2048, &attributes);
        let cipher = session.encrypt(CKM_RSA_PKCS, public, b"secret").expect("C_Encrypt");
        starts(session, key);
        assert_eq!(session.decrypt_init(CKM_RSA_PKCS, private), Rv::OK);
        logs_in(session);
        let rv = signs(session);
        let plain = session.module.decrypt(session.handle, (&cipher).into(), PLENTY);
        assert_eq!(plain.ok(), Ok(b"secret".to_vec()), "it was for this one");
        rv
    }),
    ("the login for messages", Fails(OLD), |_, session, key| {
        starts(session, key);
        let mechanism = Mechanism::plain(CKM_SHA256_RSA_PKCS);
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.message_sign_init(handle, Some(&mechanism), another(session)), Rv::OK);
        logs_in(session);
        let rv = signs(session);
        assert_eq!(module.sign_message(handle, b"x".into(), PLENTY).rv, Rv::OK);
        rv
    }),
    ("a message after the first", Fails(OLD), |_, session, key| {
        let mechanism = Mechanism::plain(CKM_SHA256_RSA_PKCS);
        let (module, handle) = (session.module, session.handle);
        assert_eq!(module.message_sign_init(handle, Some(&mechanism), key), Rv::OK);
        logs_in(session);
        assert_eq!(module.sign_message(handle, b"x".into(), PLENTY).rv, Rv::OK);
        module.sign_message(handle, b"x".into(), PLENTY).rv
    }),
    ("a digest beside it", Fails(WITH_ANOTHER), |_, session, key| {
        starts(session, key);
        let sha256 = Mechanism::plain(CKM_SHA256);
        assert_eq!(session.module.digest_init(session.handle, Some(&sha256)), Rv::OK);
        assert!(session.module.digest(session.handle, b"x".into(), PLENTY).rv == CKR_OK);
        signs(session)
    }),
    ("parts by way of an encryption", Fails(WITH_ANOTHER), |_, session, key| {
        let aes = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        starts(session, key);
        assert_eq!(session.encrypt_init(CKM_AES_ECB, aes), Rv::OK);
        let (module, handle) = (session.module, session.handle);
        module.dual(Dual::SignEncrypt, handle, (&[1; 16]).into(), PLENTY).rv
    }),
];

#[test]
fn no_way_around_the_login_for_each_use() {
    table(EVASIONS, |world, evasion| {
        let session = world.user();
        let key = another(&session);
        assert_eq!(evasion(world, &session, key), CKR_USER_NOT_LOGGED_IN);
    });
}

#[test]
fn the_state_of_a_signature_is_not_its_login() {
    case(Fails(OLD), |world| {
        let session = world.user();
        let key = another(&session);
        starts(&session, key);
        logs_in(&session);
        assert_eq!(session.module.sign_update(session.handle, b"x".into()), Rv::OK);
        let state = session.module.operation_state(session.handle, PLENTY);
        assert_eq!(state.rv, CKR_STATE_UNSAVEABLE);
    });
}
