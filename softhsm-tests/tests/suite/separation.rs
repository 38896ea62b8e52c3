//! Key separation: what the policies of a token let be done with keys. Most of it is attacks, which
//! a strict token has to withstand; the rules, and which of these tests tries to break which, are in
//! `pkcs11-module/token/src/separation.rs`.

use std::cell::Cell;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::world::slot_of;
use strongroom_softhsm_tests::{
    Attribute, In, InitArgs, LABEL, Mechanism, Message, PLENTY, Param, Rv, SO_PIN, Session,
    USER_PIN, Word, World, case, merge, t, table,
};

use crate::keys;

const NONE: &str = "its tokens have no policy";

/// `CKO_STRONGROOM_POLICY`.
const POLICY: CK_OBJECT_CLASS = CKO_VENDOR_DEFINED | 0x5352_0001;

/// The user of a strict token.
fn strict(world: &World) -> Session<'_> {
    say_strict();
    let session = world.user();
    assert_eq!(policy(&session), Ok("strict".into()));
    session
}

/// Has the configuration say what is strict, before the module reads it.
fn say_strict() {
    let file = std::env::var_os("STRONGROOM_CONF").expect("a configuration");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    if !text.contains("[policy]") {
        std::fs::write(&file, text + "\n[policy]\ndefault = \"strict\"\n").expect("written");
    }
}

fn policy(session: &Session<'_>) -> Result<String, Rv> {
    let found = session.find(&t![CKA_CLASS => POLICY]);
    let object = found.first().ok_or(Rv(CKR_OBJECT_HANDLE_INVALID))?;
    session.get(*object, CKA_VALUE).map(|name| String::from_utf8_lossy(&name).into_owned())
}

fn rv<T>(answer: Result<T, Rv>) -> Rv {
    answer.err().unwrap_or(Rv::OK)
}

/// A key for data, which may leave; it has no other use than those.
fn data_key(session: &Session<'_>) -> CK_OBJECT_HANDLE {
    let template = t![
        CKA_VALUE_LEN => 32_u64, CKA_SENSITIVE => true, CKA_EXTRACTABLE => true,
        CKA_ENCRYPT => true, CKA_DECRYPT => true,
    ];
    session.generate(CKM_AES_KEY_GEN, &template).expect("a key for data")
}

/// A key that wraps and unwraps.
fn wrapping_key(session: &Session<'_>) -> CK_OBJECT_HANDLE {
    let template = t![CKA_VALUE_LEN => 32_u64, CKA_WRAP => true, CKA_UNWRAP => true];
    session.generate(CKM_AES_KEY_GEN, &template).expect("a wrapping key")
}

/// A sensitive key that may leave, derives, and whose heirs may derive if that is said.
fn base(
    session: &Session<'_>,
    mechanism: CK_MECHANISM_TYPE,
    more: &[Attribute],
) -> CK_OBJECT_HANDLE {
    let template = t![CKA_VALUE_LEN => 32_u64, CKA_DERIVE => true];
    session.generate(mechanism, &merge(&template, more)).expect("a base key")
}

/// What AES, or another type of secret keys, comes back as.
fn back_as(kind: CK_KEY_TYPE, more: &[Attribute]) -> Vec<Attribute> {
    merge(&t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind], more)
}

/// HKDF with SHA-256, expansion alone.
const EXPANSION: &[Word<'_>] = &[
    Word::Number(0x0100),
    Word::Number(CKM_SHA256),
    Word::Number(CKF_HKDF_SALT_NULL),
    Word::Bytes(In::NONE),
    Word::Number(0),
    Word::Bytes(In::Bytes(b"information")),
];

/// Two blocks that a derivation by encryption encrypts.
const BLOCKS: &[Word<'_>] = &[Word::Bytes(In::Bytes(&[9; 32]))];

fn words<'a>(id: CK_MECHANISM_TYPE, words: &'a [Word<'a>]) -> Mechanism<'a> {
    Mechanism::with(id, Param::Words(words))
}

#[test]
fn a_token_has_a_policy() {
    case(Fails(NONE), |world| {
        let session = world.public();
        assert_eq!(policy(&session), Ok("standard".into()), "before a login");
        let found = session.find(&t![CKA_CLASS => POLICY]);
        assert_eq!(found.len(), 1);
        nobody_changes(&session);
        nobody_changes(&world.user());
        assert_eq!(session.logout(), Rv::OK);
        nobody_changes(&world.so());
        assert_eq!(policy(&session), Ok("standard".into()));
    });
}

#[test]
fn nobody_changes_the_policy_of_a_token_that_is_being_initialised() {
    case(Fails(NONE), |world| {
        let slot = world.slot();
        let module = world.started();
        assert_eq!(module.init_token(slot, SO_PIN.into(), LABEL), Rv::OK);
        let so = world.so();
        assert_eq!(policy(&so), Ok("standard".into()));
        nobody_changes(&so);
        assert_eq!(module.init_pin(so.handle, USER_PIN.into()), Rv::OK);
        nobody_changes(&so);
        assert_eq!(policy(&so), Ok("standard".into()));
    });
}

#[test]
fn a_token_is_initialised_with_the_policy_of_the_configuration() {
    case(Fails(NONE), |world| {
        assert_eq!(policy(&world.public()), Ok("standard".into()));
        say_strict();
        world.restart_daemon();
        let module = world.started();
        assert_eq!(module.finalize(), Rv::OK);
        assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK);
        let slot = slot_of(module, LABEL).expect("the token is in a slot");
        let policy = || {
            let told = policy(&Session::open(module, slot, CKF_RW_SESSION));
            assert_eq!(module.close_all_sessions(slot), Rv::OK);
            told
        };
        assert_eq!(policy(), Ok("standard".into()), "what it is already, it stays");
        assert_eq!(module.init_token(slot, "another PIN".into(), LABEL), CKR_PIN_INCORRECT);
        assert_eq!(policy(), Ok("standard".into()), "nothing came of it");
        assert_eq!(module.init_token(slot, SO_PIN.into(), LABEL), Rv::OK);
        assert_eq!(policy(), Ok("strict".into()));
    });
}

/// The object that tells the policy is not changed, copied, destroyed or made.
fn nobody_changes(session: &Session<'_>) {
    let object = session.find(&t![CKA_CLASS => POLICY])[0];
    for name in ["strict", "standard", "lax"] {
        assert_eq!(session.set(object, &t![CKA_VALUE => name]), CKR_ACTION_PROHIBITED);
    }
    assert_eq!(session.destroy(object), CKR_ACTION_PROHIBITED);
    assert_eq!(rv(session.copy(object, &[])), Rv(CKR_ACTION_PROHIBITED));
    let another = session.create(&t![CKA_CLASS => POLICY, CKA_VALUE => "standard"]);
    assert_eq!(rv(another), Rv(CKR_ATTRIBUTE_VALUE_INVALID));
}

#[test]
fn keys_of_two_uses() {
    let ok = Rv::OK;
    let no = Rv(CKR_TEMPLATE_INCONSISTENT);
    let rows: &[(&str, _, (Vec<Attribute>, Rv))] = &[
        ("wraps, decrypts", Fails(NONE), (t![CKA_WRAP => true, CKA_DECRYPT => true], no)),
        ("unwraps, encrypts", Fails(NONE), (t![CKA_UNWRAP => true, CKA_ENCRYPT => true], no)),
        ("wraps, encrypts", Fails(NONE), (t![CKA_WRAP => true, CKA_ENCRYPT => true], no)),
        ("wraps, signs", Fails(NONE), (t![CKA_WRAP => true, CKA_SIGN => true], no)),
        ("unwraps, verifies", Fails(NONE), (t![CKA_UNWRAP => true, CKA_VERIFY => true], no)),
        ("wraps, derives", Fails(NONE), (t![CKA_WRAP => true, CKA_DERIVE => true], no)),
        ("derives, encrypts", Fails(NONE), (t![CKA_DERIVE => true, CKA_ENCRYPT => true], no)),
        ("derives, decrypts", Fails(NONE), (t![CKA_DERIVE => true, CKA_DECRYPT => true], no)),
        ("derives, signs", Fails(NONE), (t![CKA_DERIVE => true, CKA_SIGN => true], no)),
        ("wraps, is extractable", Fails(NONE), (t![CKA_WRAP => true, CKA_EXTRACTABLE => true], no)),
        ("wraps, is open", Fails(NONE), (t![CKA_WRAP => true, CKA_SENSITIVE => false], no)),
        ("derives, leaves", Fails(NONE), (t![CKA_DERIVE => true, CKA_EXTRACTABLE => true], no)),
        ("wraps, unwraps", Fails(NONE), (t![CKA_WRAP => true, CKA_UNWRAP => true], ok)),
        ("derives", Fails(NONE), (t![CKA_DERIVE => true], ok)),
        ("nothing named", Fails(NONE), (vec![], ok)),
        ("encrypts, signs", Fails(NONE), (t![CKA_ENCRYPT => true, CKA_SIGN => true], ok)),
    ];
    table(rows, |world, (uses, expected)| {
        let session = strict(world);
        let length = t![CKA_VALUE_LEN => 32_u64];
        let made = session.generate(CKM_AES_KEY_GEN, &merge(&length, uses));
        assert_eq!(rv(made), *expected, "C_GenerateKey");
        let value = t![CKA_VALUE => &[7; 32]];
        let created = session.create(&merge(&back_as(CKK_AES, &value), uses));
        assert_eq!(rv(created), *expected, "C_CreateObject");
        let Ok(key) = made else {
            return;
        };
        let has = |usage| session.flag(key, usage).expect("a flag");
        let alone = has(CKA_WRAP) || has(CKA_UNWRAP) || has(CKA_DERIVE);
        assert_eq!(has(CKA_DECRYPT), !alone, "what nobody named");
        assert!(uses.iter().any(|given| given.0 == CKA_WRAP) || !has(CKA_WRAP));
    });
}

#[test]
fn private_keys_of_two_uses() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let public = t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
        let pair =
            |private: &[Attribute]| rv(session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, private));
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        assert_eq!(pair(&t![CKA_UNWRAP => true, CKA_DECRYPT => true]), no);
        assert_eq!(pair(&t![CKA_UNWRAP => true, CKA_SIGN => true]), no);
        assert_eq!(pair(&t![CKA_UNWRAP => true, CKA_EXTRACTABLE => true]), no);
        assert_eq!(pair(&t![CKA_DECAPSULATE => true, CKA_DECRYPT => true]), no);
        assert_eq!(pair(&t![CKA_UNWRAP => true]), Rv::OK);
        assert_eq!(pair(&t![CKA_DECRYPT => true, CKA_SIGN => true]), Rv::OK);
        let ml_kem = t![CKA_PARAMETER_SET => CKP_ML_KEM_512];
        let (_, private) = session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &ml_kem, &[]).expect("a pair");
        assert_eq!(session.flag(private, CKA_DECAPSULATE), Ok(true), "its one use");
        let (_, private) = keys::ec(&session, keys::P256);
        assert_eq!(session.flag(private, CKA_DERIVE), Ok(true));
    });
}

#[test]
fn wrap_and_decrypt() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, with, key).expect("C_WrapKey");
        for mechanism in [CKM_AES_KEY_WRAP, CKM_AES_ECB] {
            let no = CKR_KEY_FUNCTION_NOT_PERMITTED;
            assert_eq!(session.decrypt_init(Mechanism::plain(mechanism), with), no);
            assert_eq!(session.encrypt_init(Mechanism::plain(mechanism), with), no);
        }
        let back = session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &back_as(CKK_AES, &[]));
        let back = back.expect("C_UnwrapKey");
        assert_eq!(session.get(back, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
        let text = session.encrypt(Mechanism::plain(CKM_AES_ECB), key, &[5; 16][..]);
        let text = text.expect("C_Encrypt");
        assert_eq!(
            session.decrypt(Mechanism::plain(CKM_AES_ECB), back, &text[..]),
            Ok(vec![5; 16])
        );
    });
}

#[test]
fn uses_are_not_added() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        for usage in [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_DERIVE] {
            let added = t![usage => true];
            assert_eq!(session.set(with, &added), CKR_ATTRIBUTE_READ_ONLY);
            assert_eq!(rv(session.copy(with, &added)), Rv(CKR_ATTRIBUTE_READ_ONLY));
        }
        // Not even where nothing else is left: the other use is remembered by a copy.
        let less = t![CKA_WRAP => false, CKA_UNWRAP => false];
        let copy = session.copy(with, &less).expect("a use is taken off");
        assert_eq!(session.set(copy, &t![CKA_DECRYPT => true]), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(session.set(copy, &t![CKA_WRAP => true]), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(session.set(key, &t![CKA_DECRYPT => false]), Rv::OK);
        assert_eq!(session.set(key, &t![CKA_DECRYPT => true]), CKR_ATTRIBUTE_READ_ONLY);
        let open = session.create(&merge(
            &keys::secret(CKK_AES, &[1; 16]),
            &t![
                CKA_WRAP => false, CKA_UNWRAP => false,
            ],
        ));
        let open = open.expect("an open key may be used in all ways but these");
        let closed = t![CKA_SENSITIVE => true];
        assert_eq!(session.set(open, &closed), CKR_TEMPLATE_INCONSISTENT, "a sensitive one not");
    });
}

#[test]
fn twins() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, with, key).expect("C_WrapKey");
        let derives = base(&session, CKM_AES_KEY_GEN, &[]);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        for usage in [CKA_WRAP, CKA_UNWRAP, CKA_DERIVE] {
            let other = back_as(CKK_AES, &t![usage => true]);
            let twin = session.unwrap(CKM_AES_KEY_WRAP_KWP, with, &wrapped, &other);
            assert_eq!(rv(twin), no, "unwrapped");
            let twin = session.derive(
                words(CKM_AES_ECB_ENCRYPT_DATA, BLOCKS),
                derives,
                &merge(
                    &other,
                    &t![
                        CKA_VALUE_LEN => 16_u64,
                    ],
                ),
            );
            assert_eq!(rv(twin), no, "derived");
        }
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, with, with)), Rv(CKR_KEY_UNEXTRACTABLE));
        let pair = t![CKA_UNWRAP => true, CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_RSA];
        let private = t![CKA_DECRYPT => true, CKA_EXTRACTABLE => true];
        let public = t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
        let made = session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private);
        let (_, private) = made.expect("a pair");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, with, private).expect("C_WrapKey");
        assert_eq!(rv(session.unwrap(CKM_AES_KEY_WRAP_KWP, with, &wrapped, &pair)), no);
    });
}

#[test]
fn derivation_by_encryption() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let key = base(&session, CKM_AES_KEY_GEN, &[]);
        let call = words(CKM_AES_ECB_ENCRYPT_DATA, BLOCKS);
        let heir = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 32_u64, CKA_ENCRYPT => true];
        session.derive(call, key, &heir).expect("C_DeriveKey");
        let no = CKR_KEY_FUNCTION_NOT_PERMITTED;
        assert_eq!(session.encrypt_init(Mechanism::plain(CKM_AES_ECB), key), no);
        assert_eq!(session.decrypt_init(Mechanism::plain(CKM_AES_ECB), key), no);
        assert_eq!(session.sign_init(Mechanism::plain(CKM_AES_CMAC), key), no);
        let other = data_key(&session);
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, key, other)), Rv(no));
        assert_eq!(rv(session.derive(call, other, &heir)), Rv(no), "what encrypts does not derive");
    });
}

#[test]
fn chains_of_derivations() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let call = words(CKM_HKDF_DERIVE, EXPANSION);
        let derives = t![CKA_DERIVE => true];
        let pinned = t![CKA_DERIVE_TEMPLATE => derives.clone()];
        let heir = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 32_u64];
        let plain = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &[]);
        assert_eq!(rv(session.derive(call, plain, &merge(&heir, &derives))), no, "no template");
        let first = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &pinned);
        let second = session.derive(call, first, &heir).expect("a key that derives");
        assert_eq!(session.flag(second, CKA_DERIVE), Ok(true));
        assert_eq!(session.flag(second, CKA_SIGN), Ok(false));
        let signs = t![CKA_SIGN => true];
        assert_eq!(rv(session.derive(call, first, &merge(&heir, &signs))), no, "its twin");
        let leaves = t![CKA_EXTRACTABLE => true];
        assert_eq!(rv(session.derive(call, first, &merge(&heir, &leaves))), no, "it would return");
        assert_eq!(rv(session.derive(call, first, &merge(&heir, &pinned))), no, "one level");
        let third = session.derive(call, second, &merge(&heir, &signs)).expect("a key that signs");
        assert_eq!(session.flag(third, CKA_SIGN), Ok(true));
        assert_eq!(rv(session.derive(call, second, &merge(&heir, &derives))), no, "one level");
        let made =
            session.generate(CKM_GENERIC_SECRET_KEY_GEN, &merge(&merge(&heir, &pinned), &leaves));
        assert_eq!(rv(made), no, "what comes back has no template");
    });
}

/// HKDF, with a key or bytes as the salt.
fn extraction(salt: In<'_>, key: CK_OBJECT_HANDLE) -> [Word<'_>; 6] {
    let kind = if key == 0 { CKF_HKDF_SALT_DATA } else { CKF_HKDF_SALT_KEY };
    [
        Word::Number(1),
        Word::Number(CKM_SHA256),
        Word::Number(kind),
        Word::Bytes(salt),
        Word::Number(key),
        Word::Bytes(In::NONE),
    ]
}

/// A key beside the base, whose value he knows who brought it, has a template; without the key, there is none.
#[test]
fn a_template_that_binds_one_way_alone() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let derives = t![CKA_DERIVE => true];
        let pinned = t![CKA_DERIVE_TEMPLATE => derives.clone()];
        let value = merge(&derives, &t![CKA_VALUE => &[5; 32]]);
        let brought = back_as(CKK_GENERIC_SECRET, &merge(&value, &pinned));
        let brought = session.create(&brought).expect("a key that he knows");
        let (by_key, by_value) =
            (extraction(In::NONE, brought), extraction(In::Bytes(&[5; 32]), 0));
        let aes = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 32_u64];
        let plain = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &[]);
        let encrypts = merge(&aes, &t![CKA_ENCRYPT => true]);
        session.derive(words(CKM_HKDF_DERIVE, &by_value), plain, &encrypts).expect("a key");
        let twin = session.derive(words(CKM_HKDF_DERIVE, &by_key), plain, &aes);
        assert_eq!(rv(twin), no, "its twin, which derives");
        let first = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &pinned);
        let made = session.derive(words(CKM_HKDF_DERIVE, &by_key), first, &aes);
        let made = made.expect("both have the template");
        assert_eq!(session.flag(made, CKA_DERIVE), Ok(true));
        let twin = session.derive(words(CKM_HKDF_DERIVE, &by_value), first, &encrypts);
        assert_eq!(rv(twin), no, "so there is no twin");
    });
}

/// What two key pairs agree on, or one encapsulates, comes by way of either.
#[test]
fn a_template_that_binds_one_side_alone() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let derives = t![CKA_DERIVE => true];
        let pins = t![CKA_DERIVE_TEMPLATE => derives.clone()];
        let (one, two) =
            (keys::ec_with(&session, keys::P256, &pins), keys::ec(&session, keys::P256));
        let agree = |own, peer, more: &[Attribute]| {
            let point = session.get(peer, CKA_EC_POINT).expect("a point");
            let ecdh = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public: (&point).into() };
            let aes = t![CKA_KEY_TYPE => CKK_AES, CKA_VALUE_LEN => 32_u64];
            rv(session.derive(Mechanism::with(CKM_ECDH1_DERIVE, ecdh), own, &merge(&aes, more)))
        };
        assert_eq!(agree(two.1, one.0, &t![CKA_ENCRYPT => true]), Rv::OK);
        assert_eq!(agree(one.1, two.0, &[]), no, "its twin, which derives");

        let pins = t![CKA_DECAPSULATE_TEMPLATE => derives];
        let set = t![CKA_PARAMETER_SET => CKP_ML_KEM_512];
        let (public, private) = session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &set, &pins).expect("a pair");
        let (module, call) = (session.module, Mechanism::plain(CKM_ML_KEM));
        let aes = t![CKA_KEY_TYPE => CKK_AES];
        let encrypts = merge(&aes, &t![CKA_ENCRYPT => true]);
        let (made, _) =
            module.encapsulate_key(session.handle, Some(&call), public, &encrypts, PLENTY);
        let sealed = made.ok().expect("C_EncapsulateKey");
        let twin =
            module.decapsulate_key(session.handle, Some(&call), private, &aes, (&sealed).into());
        assert_eq!(rv(twin), no, "its twin, which derives");
    });
}

#[test]
fn wrapping_under_a_known_key() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let secret = data_key(&session);
        let no = Rv(CKR_KEY_NOT_WRAPPABLE);
        let wraps = t![CKA_WRAP => true];
        let brought = session.create(&back_as(CKK_AES, &merge(&wraps, &t![CKA_VALUE => &[1; 32]])));
        let brought = brought.expect("a key from outside");
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, brought, secret)), no, "brought along");
        let password = [
            Word::Number(CKZ_SALT_SPECIFIED),
            Word::Bytes(In::Bytes(b"salt")),
            Word::Number(2),
            Word::Number(CKP_PKCS5_PBKD2_HMAC_SHA256),
            Word::Bytes(In::NONE),
            Word::Bytes(In::Bytes(b"password")),
        ];
        let template = merge(&wraps, &back_as(CKK_AES, &t![CKA_VALUE_LEN => 32_u64]));
        let made = session.generate(words(CKM_PKCS5_PBKD2, &password), &template);
        let made = made.expect("a key of a password");
        assert_eq!(session.flag(made, CKA_ALWAYS_SENSITIVE), Ok(true), "and all the same");
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, made, secret)), no, "of a password");
        let (public, _) = session
            .pair(
                CKM_RSA_PKCS_KEY_PAIR_GEN,
                &t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1], CKA_WRAP => true],
                &t![CKA_UNWRAP => true],
            )
            .expect("a pair");
        assert_eq!(rv(session.wrap(oaep(), public, secret)), no, "a public key");
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_VALUE => &[3; 16]];
        let open = session.create(&back_as(CKK_AES, &open)).expect("an open key");
        session.wrap(oaep(), public, open).expect("nothing secret leaves");
        let with = wrapping_key(&session);
        session.wrap(CKM_AES_KEY_WRAP, with, secret).expect("one that was drawn here");
    });
}

fn oaep<'a>() -> Mechanism<'a> {
    Mechanism::with(
        CKM_RSA_PKCS_OAEP,
        Param::Oaep {
            hash: CKM_SHA256,
            mgf: CKG_MGF1_SHA256,
            source: CKZ_DATA_SPECIFIED,
            label: In::NONE,
        },
    )
}

#[test]
fn mechanisms_that_wrap() {
    let gcm = Param::Gcm { iv: In::Bytes(&[1; 12]), aad: In::NONE, tag_bits: 128 };
    let iv = Param::Bytes(In::Bytes(&[2; 16]));
    let no = Rv(CKR_MECHANISM_INVALID);
    let own = Param::Bytes(In::Bytes(b"\xa6\x59\x59\xa6\0\0\0\x0f"));
    let short = Param::Bytes(In::Bytes(&[2; 4]));
    let rows: &[(&str, _, (Mechanism<'_>, Rv))] = &[
        ("ECB", Fails(NONE), (Mechanism::plain(CKM_AES_ECB), no)),
        ("CBC", Fails(NONE), (Mechanism::with(CKM_AES_CBC, iv), no)),
        ("CBC with padding", Fails(NONE), (Mechanism::with(CKM_AES_CBC_PAD, iv), no)),
        ("GCM", Fails(NONE), (Mechanism::with(CKM_AES_GCM, gcm), no)),
        ("KW with padding", Fails(NONE), (Mechanism::plain(CKM_AES_KEY_WRAP_PKCS7), no)),
        (
            "KW with the IV of KWP",
            Fails(NONE),
            (Mechanism::with(CKM_AES_KEY_WRAP, own), Rv(CKR_MECHANISM_PARAM_INVALID)),
        ),
        (
            "KWP with an IV",
            Fails(NONE),
            (Mechanism::with(CKM_AES_KEY_WRAP_KWP, short), Rv(CKR_MECHANISM_PARAM_INVALID)),
        ),
        ("KW", Fails(NONE), (Mechanism::plain(CKM_AES_KEY_WRAP), Rv::OK)),
        ("KWP", Fails(NONE), (Mechanism::plain(CKM_AES_KEY_WRAP_KWP), Rv::OK)),
    ];
    table(rows, |world, (mechanism, expected)| {
        let session = strict(world);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        let wrapped = session.wrap(*mechanism, with, key);
        assert_eq!(rv(wrapped.clone()), *expected, "C_WrapKey");
        let wrapped = wrapped.unwrap_or(vec![0; 48]);
        let back = session.unwrap(*mechanism, with, &wrapped, &back_as(CKK_AES, &[]));
        assert_eq!(rv(back), *expected, "C_UnwrapKey");
    });
}

#[test]
fn a_nonce_twice() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let with = wrapping_key(&session);
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_VALUE => &[3; 32]];
        let open = session.create(&back_as(CKK_AES, &open)).expect("an open key");
        for key in [open, data_key(&session)] {
            let mut message = Message::generated(&[8; 12], 0, CKG_NO_GENERATE);
            let answer = session.module.wrap_key_authenticated(
                session.handle,
                CKM_AES_GCM,
                &mut message,
                with,
                key,
                In::NONE,
                PLENTY,
            );
            assert_eq!(answer.rv, CKR_MECHANISM_INVALID);
        }
    });
}

#[test]
fn unwrapping_lowers_nothing() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, with, key).expect("C_WrapKey");
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        for kind in [CKK_AES, CKK_GENERIC_SECRET] {
            let open = back_as(kind, &t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true]);
            assert_eq!(rv(session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &open)), no);
        }
        let back = session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &back_as(CKK_AES, &[]));
        let back = back.expect("C_UnwrapKey");
        assert_eq!(session.flag(back, CKA_SENSITIVE), Ok(true));
        assert_eq!(session.flag(back, CKA_EXTRACTABLE), Ok(false));
        for (len, expected) in [(13, no), (14, Rv::OK)] {
            let short = t![
                CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_VALUE => &vec![3; len][..],
            ];
            let short = session.create(&back_as(CKK_GENERIC_SECRET, &short)).expect("a key");
            let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, with, short).expect("C_WrapKey");
            let template = back_as(CKK_GENERIC_SECRET, &[]);
            let back = session.unwrap(CKM_AES_KEY_WRAP_KWP, with, &wrapped, &template);
            assert_eq!(rv(back), expected, "{len} bytes");
        }
        let everybody = back_as(CKK_AES, &t![CKA_PRIVATE => false]);
        assert_eq!(rv(session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &everybody)), no, "no PIN");
        let ml_kem = t![CKA_PARAMETER_SET => CKP_ML_KEM_512];
        let (public, private) =
            session.pair(CKM_ML_KEM_KEY_PAIR_GEN, &ml_kem, &[]).expect("a pair");
        let secret = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_SIGN => true];
        let module = session.module;
        let call = Mechanism::plain(CKM_ML_KEM);
        let (made, _) =
            module.encapsulate_key(session.handle, Some(&call), public, &secret, PLENTY);
        let sealed = made.ok().expect("C_EncapsulateKey");
        let open = merge(&secret, &t![CKA_SENSITIVE => false]);
        let answer =
            module.decapsulate_key(session.handle, Some(&call), private, &open, (&sealed).into());
        assert_eq!(rv(answer), no, "decapsulated");
        let answer =
            module.decapsulate_key(session.handle, Some(&call), private, &secret, (&sealed).into());
        answer.expect("C_DecapsulateKey");
    });
}

/// A template that the security officer can make a wrapping key of.
fn of_the_officer(label: &str, trusted: bool) -> Vec<Attribute> {
    t![
        CKA_TOKEN => true, CKA_PRIVATE => false, CKA_LABEL => label, CKA_TRUSTED => trusted,
        CKA_WRAP => true, CKA_UNWRAP => true,
    ]
}

/// A sensitive key that leaves under trusted ones alone.
fn kept(session: &Session<'_>) -> CK_OBJECT_HANDLE {
    let template = t![
        CKA_VALUE_LEN => 32_u64, CKA_EXTRACTABLE => true, CKA_ENCRYPT => true,
        CKA_WRAP_WITH_TRUSTED => true,
    ];
    session.generate(CKM_AES_KEY_GEN, &template).expect("a key for trusted ones")
}

/// Logs in somebody else.
fn becomes(session: &Session<'_>, user: CK_USER_TYPE, pin: &str) {
    assert_eq!(session.logout(), Rv::OK);
    assert_eq!(session.login(user, pin), Rv::OK);
}

#[test]
fn trusted_keys() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        becomes(&session, CKU_SO, SO_PIN);
        let drawn = merge(&of_the_officer("drawn", true), &t![CKA_VALUE_LEN => 32_u64]);
        session.generate(CKM_AES_KEY_GEN, &drawn).expect("a wrapping key");
        let known = merge(&of_the_officer("brought", true), &t![CKA_VALUE => &[1; 32]]);
        session.create(&back_as(CKK_AES, &known)).expect("a key from outside");
        becomes(&session, CKU_USER, USER_PIN);
        let named = |label: &str| session.find(&t![CKA_LABEL => label])[0];
        let (drawn, brought, other) = (named("drawn"), named("brought"), wrapping_key(&session));

        let kept = kept(&session);
        let no = Rv(CKR_KEY_NOT_WRAPPABLE);
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, other, kept)), no, "it is not trusted");
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, brought, kept)), no, "it is known");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, drawn, kept).expect("C_WrapKey");

        let template = back_as(CKK_AES, &t![CKA_EXTRACTABLE => true]);
        let lower = merge(&template, &t![CKA_WRAP_WITH_TRUSTED => false]);
        let back = session.unwrap(CKM_AES_KEY_WRAP, drawn, &wrapped, &lower);
        assert_eq!(rv(back), Rv(CKR_TEMPLATE_INCONSISTENT));
        let back = session.unwrap(CKM_AES_KEY_WRAP, drawn, &wrapped, &template);
        let back = back.expect("C_UnwrapKey");
        assert_eq!(session.flag(back, CKA_WRAP_WITH_TRUSTED), Ok(true));
        let lower = t![CKA_WRAP_WITH_TRUSTED => false];
        assert_eq!(session.set(back, &lower), CKR_ATTRIBUTE_READ_ONLY);
        assert_eq!(rv(session.copy(back, &lower)), Rv(CKR_ATTRIBUTE_READ_ONLY));
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, other, back)), no);
        session.wrap(CKM_AES_KEY_WRAP, drawn, back).expect("C_WrapKey");
    });
}

/// What is not trusted, and has the value of a key that is, unwraps what that wrapped as anything.
#[test]
fn a_copy_that_is_not_trusted() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        becomes(&session, CKU_SO, SO_PIN);
        for (label, trusted) in [("trusted", true), ("plain", false)] {
            let template = merge(&of_the_officer(label, trusted), &t![CKA_VALUE_LEN => 32_u64]);
            session.generate(CKM_AES_KEY_GEN, &template).expect("a wrapping key");
        }
        becomes(&session, CKU_USER, USER_PIN);
        let named = |label: &str| session.find(&t![CKA_LABEL => label])[0];
        let (with, plain) = (named("trusted"), named("plain"));
        let copy = session.copy(plain, &t![CKA_TOKEN => false]).expect("a copy made before");
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, with, kept(&session)).expect("C_WrapKey");
        let no = Rv(CKR_ATTRIBUTE_READ_ONLY);
        let less = t![CKA_TRUSTED => false];
        assert_eq!(rv(session.copy(with, &less)), no, "a copy");
        assert_eq!(session.set(with, &less), no.0, "the key itself");
        let twin = session.copy(with, &t![CKA_TOKEN => false]).expect("a copy");
        assert_eq!(session.flag(twin, CKA_TRUSTED), Ok(true));
        let lower = back_as(CKK_AES, &t![CKA_WRAP_WITH_TRUSTED => false]);
        let back = session.unwrap(CKM_AES_KEY_WRAP, twin, &wrapped, &lower);
        assert_eq!(rv(back), Rv(CKR_TEMPLATE_INCONSISTENT));
        assert_eq!(session.flag(copy, CKA_TRUSTED), Ok(false));
        becomes(&session, CKU_SO, SO_PIN);
        let more = t![CKA_TRUSTED => true];
        assert_eq!(session.set(named("plain"), &more), no.0, "what has a copy already");
        assert_eq!(session.set(named("trusted"), &less), no.0, "nor does the officer");
        let public = t![
            CKA_CLASS => CKO_CERTIFICATE, CKA_CERTIFICATE_TYPE => CKC_X_509, CKA_TOKEN => true,
            CKA_SUBJECT => b"a", CKA_VALUE => include_bytes!("certificate.der"),
        ];
        let certificate = session.create(&public).expect("a certificate");
        assert_eq!(session.set(certificate, &more), Rv::OK, "what wraps nothing");
    });
}

#[test]
fn derivation_lowers_nothing() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let aes = base(&session, CKM_AES_KEY_GEN, &[]);
        let generic = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &[]);
        let calls = [
            (words(CKM_HKDF_DERIVE, EXPANSION), generic),
            (words(CKM_AES_ECB_ENCRYPT_DATA, BLOCKS), aes),
            (Mechanism::plain(CKM_SHA256_KEY_DERIVATION), generic),
        ];
        for (call, key) in calls {
            let derive = |len: CK_ULONG, more: &[Attribute]| {
                let heir = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => len];
                session.derive(call, key, &merge(&heir, more))
            };
            assert_eq!(rv(derive(32, &t![CKA_SENSITIVE => false])), no, "open: {call:?}");
            for len in [1, 8, 13] {
                assert_eq!(rv(derive(len, &[])), no, "{len} bytes: {call:?}");
            }
            let made = derive(14, &[]).expect("C_DeriveKey");
            assert_eq!(session.flag(made, CKA_SENSITIVE), Ok(true));
        }
        let data = t![CKA_CLASS => CKO_DATA, CKA_VALUE_LEN => 32_u64];
        let told = session.derive(words(CKM_HKDF_DATA, EXPANSION), generic, &data);
        assert_eq!(rv(told), no, "as data");
        let (public, private) = keys::ec(&session, keys::P256);
        let point = session.get(public, CKA_EC_POINT).expect("a point");
        let ecdh = Mechanism::with(
            CKM_ECDH1_DERIVE,
            Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public: (&point).into() },
        );
        let open = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_SENSITIVE => false];
        assert_eq!(rv(session.derive(ecdh, private, &open)), no, "of a private key");
        let short = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 1_u64];
        assert_eq!(rv(session.derive(ecdh, private, &short)), no, "the end of a shared secret");
    });
}

#[test]
fn bytes_beside_keys() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let base = t![CKA_VALUE_LEN => 48_u64, CKA_DERIVE => true];
        let base = session.generate(CKM_GENERIC_SECRET_KEY_GEN, &base).expect("a master secret");
        let (client, server) = ([const { Cell::new(0) }; 2], [const { Cell::new(0) }; 2]);
        // The keys of a connection, and its IVs if they have any bits.
        let derive = |iv_bits| {
            let handle = || Word::Number(0);
            let ivs = [Word::Place(&client), Word::Place(&server)];
            let out = [handle(), handle(), handle(), handle(), ivs[0], ivs[1]];
            let params = [
                Word::Number(0),
                Word::Number(128),
                Word::Number(iv_bits),
                Word::Number(0),
                Word::Bytes(In::Bytes(&[0xc1; 32])),
                Word::Bytes(In::Bytes(&[0x5e; 32])),
                Word::Structure(&out),
                Word::Number(CKM_SHA256),
            ];
            let call = words(CKM_TLS12_KEY_AND_MAC_DERIVE, &params);
            // Which otherwise derive as well, as the mechanism has it.
            let keys = t![CKA_KEY_TYPE => CKK_AES, CKA_DERIVE => false];
            rv(session.derive(call, base, &keys))
        };
        let before = session.find(&[]).len();
        assert_eq!(derive(128), Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
        assert_eq!(session.find(&[]).len(), before, "nor does a key come of it");
        assert!(client.iter().chain(&server).all(|word| word.get() == 0), "no byte is told");
        assert_eq!(derive(0), Rv::OK, "keys alone");
    });
}

/// Each of these shows its base byte by byte: the next byte of a piece of 14 is found by 256 tries.
#[test]
fn pieces_that_overlap() {
    const DATA: &[Word<'_>] = &[Word::Bytes(In::Bytes(&[0; 32]))];
    let rows: &[(&str, _, (Mechanism<'_>, u64))] = &[
        ("cut", Fails(NONE), (Mechanism::with(CKM_EXTRACT_KEY_FROM_KEY, Param::Ulong(0)), 32)),
        ("exclusive or", Fails(NONE), (words(CKM_XOR_BASE_AND_DATA, DATA), 32)),
        ("data behind it", Fails(NONE), (words(CKM_CONCATENATE_BASE_AND_DATA, DATA), 32)),
        ("data before it", Fails(NONE), (words(CKM_CONCATENATE_DATA_AND_BASE, DATA), 32)),
        ("what HMAC uses of it", Fails(NONE), (Mechanism::plain(CKM_SHA256_KEY_DERIVATION), 65)),
    ];
    table(rows, |world, (mechanism, len)| {
        let session = strict(world);
        let heir = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 16_u64];
        let hidden = t![CKA_VALUE_LEN => *len, CKA_DERIVE => true];
        let hidden = session.generate(CKM_GENERIC_SECRET_KEY_GEN, &hidden).expect("a key");
        let no = Rv(CKR_KEY_FUNCTION_NOT_PERMITTED);
        assert_eq!(rv(session.derive(*mechanism, hidden, &heir)), no);
        let open = t![
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_DERIVE => true,
            CKA_VALUE => &vec![3; usize::try_from(*len).unwrap()][..],
        ];
        let open = session.create(&back_as(CKK_GENERIC_SECRET, &open)).expect("an open key");
        session.derive(*mechanism, open, &heir).expect("what everybody knows");
        let both = Mechanism::with(CKM_CONCATENATE_BASE_AND_KEY, Param::Ulong(hidden));
        assert_eq!(rv(session.derive(both, open, &heir)), no, "put together");
    });
}

/// A block of DES that stands twice is a key of 16 bytes with the strength of 8.
#[test]
fn keys_of_short_blocks() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        for (mechanism, kind) in [(CKM_DES2_KEY_GEN, CKK_DES2), (CKM_DES3_KEY_GEN, CKK_DES3)] {
            let derives = t![CKA_DERIVE => true];
            assert_eq!(rv(session.generate(mechanism, &derives)), no, "it would derive by blocks");
            session.generate(mechanism, &[]).expect("it encrypts");
            let len = if kind == CKK_DES2 { 16 } else { 24 };
            let value = t![CKA_VALUE => &vec![3; len][..]];
            let brought = back_as(kind, &merge(&derives, &value));
            assert_eq!(rv(session.create(&brought)), no, "brought along");
            let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
            let open = session.create(&merge(&brought, &open)).expect("an open key");
            let closed = t![CKA_SENSITIVE => true];
            assert_eq!(session.set(open, &closed), no.0, "an open key that is closed");
            let heir = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 16_u64];
            let call = words(CKM_DES3_ECB_ENCRYPT_DATA, BLOCKS);
            session.derive(call, open, &heir).expect("of what everybody knows");
            let aes = base(&session, CKM_AES_KEY_GEN, &[]);
            let call = words(CKM_AES_ECB_ENCRYPT_DATA, BLOCKS);
            assert_eq!(rv(session.derive(call, aes, &t![CKA_KEY_TYPE => kind])), no, "derived");
        }
    });
}

#[test]
fn a_twin_for_one_time_authenticators() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let (with, key) = (wrapping_key(&session), data_key(&session));
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, with, key).expect("C_WrapKey");
        let twin = back_as(CKK_POLY1305, &t![CKA_SIGN => true]);
        assert_eq!(rv(session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &twin)), no, "unwrapped");
        let derives = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &[]);
        let call = words(CKM_HKDF_DERIVE, EXPANSION);
        assert_eq!(rv(session.derive(call, derives, &t![CKA_KEY_TYPE => CKK_POLY1305])), no);
        let open = t![CKA_VALUE => &[3; 32], CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
        let open = session.create(&back_as(CKK_POLY1305, &open)).expect("an open key");
        assert_eq!(session.set(open, &t![CKA_SENSITIVE => true]), no.0);
    });
}

/// What `CKM_RSA_AES_KEY_WRAP` makes begins with an AES key under OAEP, which opens the rest.
#[test]
fn half_of_what_was_wrapped() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let public = t![
            CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[1, 0, 1], CKA_WRAP => true,
        ];
        let made = session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &t![CKA_UNWRAP => true]);
        let (public, private) = made.expect("a pair");
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_VALUE => &[3; 16]];
        let open = session.create(&back_as(CKK_AES, &open)).expect("an open key");
        let wrapped = session.wrap(oaep(), public, open).expect("C_WrapKey");
        let back = session.unwrap(oaep(), private, &wrapped, &back_as(CKK_AES, &[]));
        assert_eq!(rv(back), Rv(CKR_MECHANISM_INVALID));
    });
}

#[test]
fn an_open_key_that_is_closed() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = CKR_TEMPLATE_INCONSISTENT;
        let open = t![
            CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_DERIVE => true,
            CKA_VALUE => &[3; 32],
        ];
        let open = session.create(&back_as(CKK_GENERIC_SECRET, &open)).expect("an open key");
        let closed = t![CKA_SENSITIVE => true];
        assert_eq!(session.set(open, &closed), no);
        assert_eq!(rv(session.copy(open, &closed)), Rv(no));
    });
}

/// The value of a key that is not extractable may not be read either, though the key be not sensitive.
#[test]
fn what_is_hidden_and_not_sensitive() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let hidden = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => false];
        for other in [CKA_ENCRYPT, CKA_SIGN] {
            let uses = t![CKA_VALUE_LEN => 32_u64, CKA_DERIVE => true, other => true];
            assert_eq!(rv(session.generate(CKM_AES_KEY_GEN, &merge(&uses, &hidden))), no);
        }
        let generic = base(&session, CKM_GENERIC_SECRET_KEY_GEN, &hidden);
        assert_eq!(session.get(generic, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));
        let heir = t![CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 14_u64];
        let cut = Mechanism::with(CKM_EXTRACT_KEY_FROM_KEY, Param::Ulong(0));
        let piece = |more: &[Attribute]| rv(session.derive(cut, generic, &merge(&heir, more)));
        assert_eq!(piece(&[]), Rv(CKR_KEY_FUNCTION_NOT_PERMITTED));
        assert_eq!(piece(&hidden), no, "a piece that is as it was");
        let derive = |more: &[Attribute]| {
            let call = words(CKM_HKDF_DERIVE, EXPANSION);
            rv(session.derive(call, generic, &merge(&heir, more)))
        };
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
        assert_eq!(derive(&open), no, "open");
        assert_eq!(derive(&t![CKA_VALUE_LEN => 13_u64]), no, "short");
        assert_eq!(derive(&t![CKA_DERIVE => true]), no, "a twin");
        assert_eq!(derive(&[]), Rv::OK);
        let module = session.module;
        let sha256 = Mechanism::plain(CKM_SHA256);
        assert_eq!(module.digest_init(session.handle, Some(&sha256)), Rv::OK);
        assert_eq!(module.digest_key(session.handle, generic), CKR_KEY_INDIGESTIBLE);
        let one_time = back_as(CKK_POLY1305, &merge(&hidden, &t![CKA_VALUE => &[3; 32]]));
        assert_eq!(rv(session.create(&one_time)), no, "for one-time authenticators");
        let key = t![CKA_DERIVE => true, CKA_VALUE => &[3; 32]];
        let key = session.create(&back_as(CKK_GENERIC_SECRET, &merge(&open, &key)));
        let closed = t![CKA_EXTRACTABLE => false];
        assert_eq!(session.set(key.expect("an open key"), &closed), no.0, "which knows itself");
    });
}

#[test]
fn keys_that_are_bound() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let with = wrapping_key(&session);
        let no = Rv(CKR_KEY_NOT_WRAPPABLE);
        let template = t![
            CKA_VALUE_LEN => 32_u64, CKA_EXTRACTABLE => true, CKA_ENCRYPT => true,
            CKA_ALLOWED_MECHANISMS => &CKM_AES_GCM.to_ne_bytes(),
        ];
        let named = session.generate(CKM_AES_KEY_GEN, &template).expect("a key");
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP, with, named)), no, "for one mechanism");
        let public = t![CKA_EC_PARAMS => keys::P256];
        let always = t![CKA_ALWAYS_AUTHENTICATE => true, CKA_EXTRACTABLE => true];
        let pair = session.pair(CKM_EC_KEY_PAIR_GEN, &public, &always);
        let (_, private) = pair.expect("a pair");
        assert_eq!(rv(session.wrap(CKM_AES_KEY_WRAP_KWP, with, private)), no, "a PIN for each use");
        let heirs = t![CKA_SIGN => false];
        for (demanded, expected) in [(heirs, no), (vec![], Rv::OK)] {
            let template = t![CKA_EXTRACTABLE => true, CKA_DERIVE_TEMPLATE => demanded];
            let (_, private) = keys::ec_with(&session, keys::P256, &template);
            let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, with, private);
            assert_eq!(rv(wrapped), expected, "what comes of it is bound");
        }
    });
}

/// Of a group that has small parts a private value is told part by part: the secret with a peer of an order of 7 is
/// one of seven, and a MAC tells which.
#[test]
fn groups_with_small_parts() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let small = t![CKA_PRIME => keys::hex(keys::PRIME), CKA_BASE => keys::hex(keys::BASE)];
        let safe = t![CKA_PRIME => keys::hex(keys::SAFE_PRIME), CKA_BASE => &[2]];
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true];
        let hidden = t![CKA_SENSITIVE => false];
        let no = Rv(CKR_DOMAIN_PARAMS_INVALID);
        for (group, more, expected) in [
            (&small, vec![], no),
            (&small, hidden, no),
            (&small, open, Rv::OK),
            (&safe, vec![], Rv::OK),
        ] {
            let before = session.find(&[]).len();
            let made = session.pair(CKM_DH_PKCS_KEY_PAIR_GEN, group, &more);
            assert_eq!(rv(made), expected, "C_GenerateKeyPair, {more:?}");
            let value =
                t![CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_DH, CKA_VALUE => &[7; 32]];
            let created = session.create(&merge(&merge(&value, group), &more));
            assert_eq!(rv(created), expected, "C_CreateObject, {more:?}");
            let made = session.find(&[]).len() - before;
            assert_eq!(made, if expected == Rv::OK { 3 } else { 0 });
        }
    });
}

#[test]
fn a_digest_that_is_a_key() {
    case(Fails(NONE), |world| {
        let session = strict(world);
        let module = session.module;
        let digest = |key| {
            let sha256 = Mechanism::plain(CKM_SHA256);
            assert_eq!(module.digest_init(session.handle, Some(&sha256)), Rv::OK);
            module.digest_key(session.handle, key)
        };
        assert_eq!(digest(base(&session, CKM_GENERIC_SECRET_KEY_GEN, &[])), CKR_KEY_INDIGESTIBLE);
        let open = t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_VALUE => &[3; 32]];
        let open = session.create(&back_as(CKK_GENERIC_SECRET, &open)).expect("an open key");
        assert_eq!(digest(open), Rv::OK);
    });
}

#[test]
fn an_attribute_twice() {
    let label = |one: &str, other: &str| t![CKA_LABEL => one, CKA_LABEL => other];
    let rows: &[(&str, _, Vec<Attribute>)] = &[
        ("two labels", Fails("the last value counts"), label("a", "b")),
        (
            "open and sensitive",
            Fails("the last value counts"),
            t![CKA_SENSITIVE => true, CKA_SENSITIVE => false],
        ),
        (
            "extractable and not",
            Fails("the last value counts"),
            t![CKA_EXTRACTABLE => false, CKA_EXTRACTABLE => true],
        ),
    ];
    table(rows, |world, twice| {
        let session = world.user();
        let no = Rv(CKR_TEMPLATE_INCONSISTENT);
        let length = t![CKA_VALUE_LEN => 32_u64];
        assert_eq!(rv(session.generate(CKM_AES_KEY_GEN, &merge(&length, &[])).map(drop)), Rv::OK);
        let both = [&length[..], twice].concat();
        assert_eq!(rv(session.generate(CKM_AES_KEY_GEN, &both)), no, "C_GenerateKey");
        let value = back_as(CKK_AES, &t![CKA_VALUE => &[1; 16]]);
        assert_eq!(rv(session.create(&[&value[..], twice].concat())), no, "C_CreateObject");
        let key = session.create(&value).expect("a key");
        assert_eq!(rv(session.copy(key, twice)), no, "C_CopyObject");
        assert_eq!(session.set(key, twice), no, "C_SetAttributeValue");
    });
}

/// Starts an operation of a kind.
type Start = fn(&Session<'_>, CK_OBJECT_HANDLE) -> Rv;

#[test]
fn a_logout_ends_every_operation() {
    const GOES_ON: &str = "operations go on after C_Logout (#900)";
    const OLD: &str = "it has no such function";
    const HMAC: Mechanism<'_> = Mechanism::plain(CKM_SHA256_HMAC);
    const ECB: Mechanism<'_> = Mechanism::plain(CKM_AES_ECB);
    let rows: &[(&str, _, (CK_KEY_TYPE, Start))] = &[
        ("encrypt", Fails(GOES_ON), (CKK_AES, |s, key| s.encrypt_init(ECB, key))),
        ("decrypt", Fails(GOES_ON), (CKK_AES, |s, key| s.decrypt_init(ECB, key))),
        ("sign", Fails(GOES_ON), (CKK_GENERIC_SECRET, |s, key| s.sign_init(HMAC, key))),
        ("verify", Fails(GOES_ON), (CKK_GENERIC_SECRET, |s, key| s.verify_init(HMAC, key))),
        (
            "digest of a key",
            Fails(GOES_ON),
            (CKK_GENERIC_SECRET, |s, key| {
                let sha256 = Mechanism::plain(CKM_SHA256);
                match s.module.digest_init(s.handle, Some(&sha256)) {
                    Rv::OK => s.module.digest_key(s.handle, key),
                    refused => refused,
                }
            }),
        ),
        (
            "verify with the signature first",
            Fails(OLD),
            (CKK_GENERIC_SECRET, |s, key| {
                s.module.verify_signature_init(s.handle, Some(&HMAC), key, (&[1; 32]).into())
            }),
        ),
        (
            "encrypt messages",
            Fails(OLD),
            (CKK_AES, |s, key| s.module.message_encrypt_init(s.handle, CKM_AES_GCM, None, key)),
        ),
        (
            "decrypt messages",
            Fails(OLD),
            (CKK_AES, |s, key| s.module.message_decrypt_init(s.handle, CKM_AES_GCM, None, key)),
        ),
        (
            "sign messages",
            Fails(OLD),
            (CKK_GENERIC_SECRET, |s, key| s.module.message_sign_init(s.handle, Some(&HMAC), key)),
        ),
        (
            "verify messages",
            Fails(OLD),
            (CKK_GENERIC_SECRET, |s, key| s.module.message_verify_init(s.handle, Some(&HMAC), key)),
        ),
    ];
    table(rows, |world, (kind, start)| {
        let session = world.user();
        let private = t![CKA_PRIVATE => true];
        let key = || {
            let template = merge(&keys::secret(*kind, &[1; 32]), &private);
            session.create(&template).expect("a key")
        };
        assert_eq!(start(&session, key()), Rv::OK);
        assert_eq!(start(&session, key()), CKR_OPERATION_ACTIVE);
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        assert_eq!(start(&session, key()), Rv::OK, "it had ended");
    });
}
