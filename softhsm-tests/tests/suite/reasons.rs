//! The log: each call that is refused is a line with the function, the session, the reason and the code,
//! and the reason names the attribute or the member of the parameter. No line has a secret.

use std::fs;
use std::path::PathBuf;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::daemon::daemon_path;
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, PLENTY, Param, Room, Rv, SO_PIN, Session, USER_PIN, Word, World,
    case, merge, t,
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
    // Which fault the arguments have does not matter where there is no session, and is not told.
    (
        |k| rv(k.session.module.create_object(4711, &t![CKA_TOKEN => b"12"])),
        "C_CreateObject",
        CKR_SESSION_HANDLE_INVALID,
        "no such session",
    ),
    (
        |k| {
            let unknown = Mechanism::plain(CKM_VENDOR_DEFINED | 1);
            k.session.module.sign_init(4711, Some(&unknown), k.aes)
        },
        "C_SignInit",
        CKR_SESSION_HANDLE_INVALID,
        "no such session",
    ),
    (
        |k| k.session.module.verify(4711, In::Bytes(SECRET), In::Null(usize::MAX)),
        "C_Verify",
        CKR_SESSION_HANDLE_INVALID,
        "no such session",
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

impl<'w> Keys<'w> {
    fn new(world: &'w World) -> Self {
        let session = world.user();
        let read_only = world.read_only();
        let idle = t![CKA_SENSITIVE => true, CKA_EXTRACTABLE => false, CKA_SIGN => false];
        Self {
            read_only: read_only.handle,
            aes: session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("an AES key"),
            idle: session
                .create(&merge(&keys::secret(CKK_AES, SECRET), &idle))
                .expect("a key that does nothing"),
            rsa: keys::rsa(&session, 2048).1,
            ec: keys::ec(&session, keys::P256).0,
            session,
        }
    }

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

/// Has the module keep a log of this level. It has not started yet.
fn log(level: &str) -> PathBuf {
    let file = PathBuf::from(std::env::var_os("STRONGROOM_CONF").expect("a configuration"));
    let log = file.with_file_name("refusals");
    let text = fs::read_to_string(&file).expect("the configuration");
    let wanted = format!("\n[log]\nlevel = {level:?}\nfile = {log:?}\n");
    fs::write(&file, text + &wanted).expect("written");
    log
}

#[test]
fn no_refusal_is_without_a_reason() {
    case(Fails("it keeps no such log"), |world| {
        let log = log("warning");
        let keys = Keys::new(world);
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
    });
}

/// A PIN that is not the user's.
const WRONG_PIN: &str = "a wrong PIN";

/// Every secret of these tests, and the same in base 64.
const SECRETS: [(&str, &str); 4] = [
    (SO_PIN, "c28tcGluLTEyMzQ1Njc4"),
    (USER_PIN, "dXNlci1waW4tMTIzNA=="),
    (WRONG_PIN, "YSB3cm9uZyBQSU4="),
    ("the secret value", "dGhlIHNlY3JldCB2YWx1ZQ=="),
];

/// Calls with secrets in all places, some of which succeed.
const WITH_SECRETS: &[fn(&Keys<'_>)] = &[
    |k| {
        let key = k.session.create(&keys::secret(CKK_AES, SECRET)).expect("C_CreateObject");
        assert_eq!(k.session.get(key, CKA_VALUE), Ok(SECRET.to_vec()));
        k.session.find(&t![CKA_VALUE => SECRET]);
        let wrapped = k.session.wrap(CKM_AES_KEY_WRAP, k.aes, key).expect("C_WrapKey");
        let template = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
        let unwrap = |wrapped: &[u8], template: &[Attribute]| {
            k.session.unwrap(CKM_AES_KEY_WRAP, k.aes, wrapped, template)
        };
        unwrap(&wrapped, &template).expect("C_UnwrapKey");
        unwrap(&wrapped[1..], &template).expect_err("one byte is missing");
        unwrap(SECRET, &template).expect_err("nothing that was wrapped");
        unwrap(&wrapped, &merge(&template, &t![CKA_ID => SECRET, CKA_KEY_TYPE => CKK_DES3]))
            .expect_err("another type");
        k.session.set(key, &t![CKA_VALUE => SECRET]);
        k.session.copy(key, &t![CKA_LABEL => SECRET]).expect("C_CopyObject");
    },
    |k| {
        let cipher = k.session.encrypt(CKM_AES_ECB, k.aes, SECRET).expect("C_Encrypt");
        assert_eq!(k.session.decrypt(CKM_AES_ECB, k.aes, &cipher), Ok(SECRET.to_vec()));
        k.session.decrypt(CKM_AES_CBC_PAD, k.aes, SECRET).expect_err("no parameter");
        k.session.digest(CKM_SHA256, SECRET).expect("C_Digest");
        k.session.sign(CKM_SHA256_RSA_PKCS, k.rsa, SECRET).expect("C_Sign");
        k.session.module.seed_random(k.session.handle, SECRET.into());
    },
    |k| {
        let base = keys::secret(CKK_GENERIC_SECRET, SECRET);
        let base = k.session.create(&base).expect("C_CreateObject");
        let data = [Word::Bytes(In::Bytes(SECRET))];
        let mechanism = || Mechanism::with(CKM_CONCATENATE_BASE_AND_DATA, Param::Words(&data));
        let secret = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET];
        k.session.derive(mechanism(), base, &secret).expect("C_DeriveKey");
        let long = merge(&secret, &t![CKA_VALUE_LEN => 4711_u64]);
        k.session.derive(mechanism(), base, &long).expect_err("so many bytes there are not");
    },
    |k| {
        let (module, handle) = (k.session.module, k.session.handle);
        module.init_pin(handle, USER_PIN.into());
        module.set_pin(handle, USER_PIN.into(), SO_PIN.into());
        module.set_pin(handle, SO_PIN.into(), USER_PIN.into());
        module.set_pin(handle, USER_PIN.into(), WRONG_PIN[..3].into());
        module.init_token(k.session.slot, SO_PIN.into(), "a session is open");
        k.session.login(CKU_CONTEXT_SPECIFIC, USER_PIN);
        assert_eq!(k.session.logout(), Rv::OK);
        for (user, pin) in [
            (CKU_USER, WRONG_PIN),
            (CKU_SO, WRONG_PIN),
            (CKU_USER, SO_PIN),
            (4711, USER_PIN),
            (CKU_USER, USER_PIN),
        ] {
            k.session.login(user, pin);
        }
        module.sign(handle, SECRET.into(), PLENTY);
    },
];

/// A secret as it may be in a text: as it is, in base 64, in hexadecimal, and as Rust shows bytes.
fn written(secret: &str, base64: &str) -> [String; 4] {
    let hex = hex::encode(secret);
    let bytes = format!("{:?}", secret.as_bytes());
    let base64 = base64.trim_end_matches('=');
    [secret.to_owned(), base64.to_owned(), hex, bytes].map(|text| text.to_lowercase())
}

/// The loudest level has all lines of the others. What a daemon says is beside what this process prints.
#[test]
fn no_line_of_any_level_has_a_secret() {
    case(Fails("it keeps no such log"), |world| {
        let log = log("debug");
        let keys = Keys::new(world);
        for (call, ..) in [TEMPLATES, OPERATIONS, SESSIONS].concat() {
            call(&keys);
        }
        WITH_SECRETS.iter().for_each(|call| call(&keys));
        let logged = fs::read_to_string(&log).expect("the log");
        assert!(logged.contains("C_Login") && logged.contains("C_Digest"), "it tells of all calls");
        let printed = fs::read(log.with_file_name("output")).expect("what was printed");
        let printed = String::from_utf8_lossy(&printed);
        assert_eq!(printed.contains("C_Login"), daemon_path().is_some(), "the daemon tells, too");
        let all = format!("{logged}\n{printed}").to_lowercase();
        for (secret, base64) in SECRETS {
            for text in written(secret, base64) {
                assert!(!all.contains(&text), "{text} is in the log");
            }
        }
    });
}
