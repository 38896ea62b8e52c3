//! The log: each call that is refused is a line with the function, the session, the reason and the code,
//! and the reason names the attribute or the member of the parameter. No line has a secret.

use std::fs;
use std::path::PathBuf;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, Param, Room, Rv, Session, USER_PIN, case, merge, t,
};

use crate::keys;

/// A call, the function that refuses it, its answer, and what the line says of the reason.
type Row = (fn(&Keys<'_>) -> Rv, &'static str, CK_RV, &'static str);

/// What the calls are made with.
struct Keys<'w> {
    session: Session<'w>,
    read_only: CK_SESSION_HANDLE,
    aes: CK_OBJECT_HANDLE,
    /// An AES key that does nothing, and stays where it is.
    idle: CK_OBJECT_HANDLE,
    rsa: CK_OBJECT_HANDLE,
    ec: CK_OBJECT_HANDLE,
}

/// The value of a key, which is in no line.
const SECRET: &[u8; 16] = b"the secret value";

const TEMPLATES: &[Row] = &[
    (|k| k.create(&t![CKA_LABEL => "x"]), "C_CreateObject", CKR_TEMPLATE_INCOMPLETE, "CKA_CLASS"),
    (
        |k| k.create(&merge(&keys::data("x"), &t![CKA_MODULUS => SECRET])),
        "C_CreateObject",
        CKR_ATTRIBUTE_TYPE_INVALID,
        "CKA_MODULUS",
    ),
    (
        |k| k.create(&merge(&keys::data("x"), &t![CKA_TOKEN => b"12"])),
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_TOKEN",
    ),
    (
        |k| k.create(&keys::secret(CKK_AES, &SECRET[..5])),
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_VALUE has 5 bytes",
    ),
    (
        |k| k.create(&keys::secret(0x7FFF_0000, SECRET)),
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_KEY_TYPE",
    ),
    (
        |k| k.create(&merge(&keys::secret(CKK_AES, SECRET), &t![CKA_CHECK_VALUE => b"123"])),
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_CHECK_VALUE",
    ),
    (
        |k| k.create(&merge(&keys::secret(CKK_AES, SECRET), &t![CKA_LOCAL => true])),
        "C_CreateObject",
        CKR_ATTRIBUTE_READ_ONLY,
        "CKA_LOCAL",
    ),
    (
        |k| k.create(&merge(&keys::secret(CKK_AES, SECRET), &t![CKA_TRUSTED => true])),
        "C_CreateObject",
        CKR_ATTRIBUTE_READ_ONLY,
        "CKA_TRUSTED",
    ),
    (
        |k| k.create(&[keys::data("x"), t![CKA_LABEL => "y"]].concat()),
        "C_CreateObject",
        CKR_TEMPLATE_INCONSISTENT,
        "CKA_LABEL has two values",
    ),
    (
        |k| k.create(&ec_public(keys::P192, &[4; 49])),
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_EC_POINT",
    ),
    (
        |k| k.create(&ec_public(&[6, 1, 1], &[4; 65])),
        "C_CreateObject",
        CKR_CURVE_NOT_SUPPORTED,
        "CKA_EC_PARAMS",
    ),
    (
        |k| k.create(&ec_public(b"nonsense", &[4; 65])),
        "C_CreateObject",
        CKR_DOMAIN_PARAMS_INVALID,
        "CKA_EC_PARAMS",
    ),
    (
        |k| {
            let public = t![CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_RSA];
            let numbers = t![CKA_MODULUS => &[2; 256], CKA_PUBLIC_EXPONENT => &[1, 0, 1]];
            k.create(&merge(&public, &numbers))
        },
        "C_CreateObject",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_MODULUS",
    ),
    (
        |k| {
            let key = t![CKA_VALUE_LEN => 5_u64];
            rv(k.session.generate(CKM_AES_KEY_GEN, &key))
        },
        "C_GenerateKey",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_VALUE_LEN",
    ),
    (
        |k| rv(k.session.generate(CKM_AES_KEY_GEN, &[])),
        "C_GenerateKey",
        CKR_TEMPLATE_INCOMPLETE,
        "CKA_VALUE_LEN",
    ),
    (
        |k| k.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &t![CKA_MODULUS_BITS => 100_u64]),
        "C_GenerateKeyPair",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_MODULUS_BITS",
    ),
    (
        |k| {
            let even = t![CKA_MODULUS_BITS => 2048_u64, CKA_PUBLIC_EXPONENT => &[4]];
            k.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &even)
        },
        "C_GenerateKeyPair",
        CKR_ATTRIBUTE_VALUE_INVALID,
        "CKA_PUBLIC_EXPONENT",
    ),
    (
        |k| k.pair(CKM_EC_KEY_PAIR_GEN, &[]),
        "C_GenerateKeyPair",
        CKR_TEMPLATE_INCOMPLETE,
        "CKA_EC_PARAMS",
    ),
    (
        |k| k.pair(CKM_ML_DSA_KEY_PAIR_GEN, &t![CKA_PARAMETER_SET => 99_u64]),
        "C_GenerateKeyPair",
        CKR_PARAMETER_SET_NOT_SUPPORTED,
        "CKA_PARAMETER_SET",
    ),
    (
        |k| rv(k.session.get(k.idle, CKA_VALUE)),
        "C_GetAttributeValue",
        CKR_ATTRIBUTE_SENSITIVE,
        "CKA_VALUE",
    ),
    (
        |k| {
            let wanted = [CKA_VALUE, CKA_MODULUS].map(|kind| (kind, Room::Query));
            k.session.module.attribute_value(k.session.handle, k.idle, &wanted).0
        },
        "C_GetAttributeValue",
        CKR_ATTRIBUTE_SENSITIVE,
        "CKA_VALUE",
    ),
    (
        |k| rv(k.session.get(k.aes, CKA_MODULUS)),
        "C_GetAttributeValue",
        CKR_ATTRIBUTE_TYPE_INVALID,
        "CKA_MODULUS",
    ),
    (
        |k| k.session.set(k.aes, &t![CKA_KEY_TYPE => CKK_DES3]),
        "C_SetAttributeValue",
        CKR_ATTRIBUTE_READ_ONLY,
        "CKA_KEY_TYPE",
    ),
];

const OPERATIONS: &[Row] = &[
    (
        |k| k.session.sign_init(CKM_ECDSA, k.aes),
        "C_SignInit",
        CKR_KEY_TYPE_INCONSISTENT,
        "CKM_ECDSA takes no keys of type CKK_AES",
    ),
    (
        |k| k.session.sign_init(0x7FFF_0000, k.aes),
        "C_SignInit",
        CKR_MECHANISM_INVALID,
        "there is no",
    ),
    (
        |k| k.session.sign_init(CKM_SHA256, k.aes),
        "C_SignInit",
        CKR_MECHANISM_INVALID,
        "CKM_SHA256 does nothing",
    ),
    (
        |k| k.session.sign_init(CKM_AES_CMAC, k.idle),
        "C_SignInit",
        CKR_KEY_FUNCTION_NOT_PERMITTED,
        "CKA_SIGN",
    ),
    (
        |k| k.session.sign_init(CKM_AES_CMAC, 4711),
        "C_SignInit",
        CKR_KEY_HANDLE_INVALID,
        "no such key",
    ),
    (
        |k| {
            let pss = Param::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, salt: 4711 };
            k.session.sign_init(Mechanism::with(CKM_RSA_PKCS_PSS, pss), k.rsa)
        },
        "C_SignInit",
        CKR_MECHANISM_PARAM_INVALID,
        "sLen",
    ),
    (
        |k| k.session.sign_init(CKM_RSA_PKCS_PSS, k.rsa),
        "C_SignInit",
        CKR_MECHANISM_PARAM_INVALID,
        "its parameter can not have 0 bytes",
    ),
    (
        |k| k.session.encrypt_init(Mechanism::iv(CKM_AES_CBC, b"short"), k.aes),
        "C_EncryptInit",
        CKR_MECHANISM_PARAM_INVALID,
        "has 5 bytes, and not 16",
    ),
    (
        |k| {
            let ctr = Param::Ctr { bits: 129, block: [0; 16] };
            k.session.encrypt_init(Mechanism::with(CKM_AES_CTR, ctr), k.aes)
        },
        "C_EncryptInit",
        CKR_MECHANISM_PARAM_INVALID,
        "ulCounterBits",
    ),
    (
        |k| k.session.encrypt_init(CKM_RSA_PKCS_OAEP, k.ec),
        "C_EncryptInit",
        CKR_MECHANISM_PARAM_INVALID,
        "its parameter",
    ),
    (
        |k| k.session.module.sign(k.session.handle, In::Bytes(b"x"), Room::Query).rv,
        "C_Sign",
        CKR_OPERATION_NOT_INITIALIZED,
        "no operation of this kind",
    ),
    (
        |k| rv(k.session.wrap(CKM_AES_KEY_WRAP, k.aes, k.idle)),
        "C_WrapKey",
        CKR_KEY_UNEXTRACTABLE,
        "CKA_EXTRACTABLE",
    ),
];

const SESSIONS: &[Row] = &[
    (
        |k| k.session.login(CKU_USER, USER_PIN),
        "C_Login",
        CKR_USER_ALREADY_LOGGED_IN,
        "logged in already",
    ),
    (
        |k| k.session.module.set_pin(k.session.handle, In::Bytes(b"a wrong PIN"), USER_PIN.into()),
        "C_SetPIN",
        CKR_PIN_INCORRECT,
        "PIN",
    ),
    (
        |k| k.session.module.close_session(4711),
        "C_CloseSession",
        CKR_SESSION_HANDLE_INVALID,
        "no such",
    ),
    (
        |k| {
            let on_token = merge(&keys::data("x"), &t![CKA_TOKEN => true]);
            rv(k.session.module.create_object(k.read_only, &on_token))
        },
        "C_CreateObject",
        CKR_SESSION_READ_ONLY,
        "session that can write",
    ),
    (
        |k| k.session.module.sign_init(k.session.handle, None, k.aes),
        "C_SignInit",
        CKR_ARGUMENTS_BAD,
        "mechanism is null",
    ),
    (
        |k| k.session.module.destroy_object(k.session.handle, 4711),
        "C_DestroyObject",
        CKR_OBJECT_HANDLE_INVALID,
        "no such object",
    ),
];

impl Keys<'_> {
    fn create(&self, template: &[Attribute]) -> Rv {
        rv(self.session.create(template))
    }

    fn pair(&self, mechanism: CK_MECHANISM_TYPE, public: &[Attribute]) -> Rv {
        rv(self.session.pair(mechanism, public, &[]))
    }
}

fn rv<T>(answer: Result<T, Rv>) -> Rv {
    answer.err().unwrap_or(Rv::OK)
}

fn ec_public(curve: &[u8], point: &[u8]) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_PUBLIC_KEY, CKA_KEY_TYPE => CKK_EC, CKA_EC_PARAMS => curve,
        CKA_EC_POINT => point,
    ]
}

/// Has the module keep a log of what it refuses. It has not started yet.
fn log() -> PathBuf {
    let file = PathBuf::from(std::env::var_os("STRONGROOM_CONF").expect("a configuration"));
    let log = file.with_file_name("refusals");
    let text = fs::read_to_string(&file).expect("the configuration");
    let wanted = format!("\n[log]\nlevel = \"warning\"\nfile = {log:?}\n");
    fs::write(&file, text + &wanted).expect("written");
    log
}

#[test]
fn no_refusal_is_without_a_reason() {
    case(Fails("it keeps no such log"), |world| {
        let log = log();
        let session = world.user();
        let read_only = world.read_only();
        let idle = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false, CKA_SIGN => false];
        let keys = Keys {
            read_only: read_only.handle,
            aes: session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("an AES key"),
            idle: session
                .create(&merge(&keys::secret(CKK_AES, SECRET), &idle))
                .expect("a key that does nothing"),
            rsa: keys::rsa(&session, 2048).1,
            ec: keys::ec(&session, keys::P256).0,
            session,
        };
        let lines = || fs::read_to_string(&log).unwrap_or_default();
        for (call, function, code, why) in [TEMPLATES, OPERATIONS, SESSIONS].concat() {
            let before = lines().len();
            assert_eq!(call(&keys), Rv(code), "{function}, {why}");
            let said = lines().split_off(before);
            let [line] = said.lines().collect::<Vec<_>>()[..] else {
                panic!("{function}, {why}: {said:?}");
            };
            let told = line.split_once(&format!(": {function}: session ")).expect(line).1;
            let (about, rest) = told.split_once(": ").expect(line);
            let (reason, name) = rest.rsplit_once(" (").expect(line);
            assert!(about.starts_with(|first: char| first.is_ascii_digit()), "{line}");
            assert!(reason.contains(why), "{why} is not in {line}");
            assert_eq!(name, format!("{:?})", Rv(code)), "{line}");
        }
        let all = lines();
        for secret in [USER_PIN, "a wrong PIN", "the secret value"] {
            assert!(!all.contains(secret), "{secret} is in the log");
        }
    });
}
