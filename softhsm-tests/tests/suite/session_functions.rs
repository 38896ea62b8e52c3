//! 5.6 since 3.0: the login with a name, the end of operations by their flags, validation; and keys
//! that want a login for each use.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, PLENTY, Param, Rv, Session, USER_PIN, case, t, table,
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

type Make = for<'w> fn(Session<'w>) -> Once<'w>;

const ONCE: &[(&str, strongroom_softhsm_tests::SoftHsm2, (Make, Use))] = &[
    ("C_UnwrapKey", Fails(PASSES_THEM), (to_unwrap, unwrap)),
    ("C_DeriveKey", Fails(PASSES_THEM), (to_derive, derive)),
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
        let flags = CKF_UNWRAP | CKF_DERIVE;
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
