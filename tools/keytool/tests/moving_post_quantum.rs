//! Moving in from the versions of SoftHSM2 that have ML-DSA, which Debian does not: tokens as both of
//! its back ends write them, with NIST's keys. What has moved signs, and a second implementation
//! verifies it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod common;

use common::{PIN, SO_PIN, World, old_token};
use ml_dsa::{
    EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, VerifyingKey,
};
use strongroom_functions::Cryptoki;
use strongroom_keystore::Config;
use strongroom_token::Application;
use strongroom_types::{
    Attributes, Class, KeyType, MechanismCall, MechanismType, ObjectHandle, Output, Params, Room,
    SessionHandle, UserType, Value, attribute, ck,
};

const VECTORS: &str =
    include_str!("../../../pkcs11-module/mechanisms/tests/vectors/data/ml_dsa.txt");

const SERIAL: &str = "0123456789abcdef";

const MESSAGE: &[u8] = b"signed here";

/// A key pair of NIST's.
struct Pair {
    set: u64,
    seed: Vec<u8>,
    public: Vec<u8>,
    private: Vec<u8>,
}

/// The first one of each parameter set.
fn pairs() -> Vec<Pair> {
    let records = VECTORS.split("\n\n").filter(|record| record.contains("function = keyGen"));
    let pair = |record: &str| {
        let text = |name: &str| {
            let fields = record.lines().filter_map(|line| line.split_once(" = "));
            fields.filter(|field| field.0 == name).map(|field| field.1).next().unwrap().to_owned()
        };
        let bytes = |name| hex::decode(text(name)).unwrap();
        let set = match text("parameterSet").as_str() {
            "ML-DSA-44" => ck!(CKP_ML_DSA_44),
            "ML-DSA-65" => ck!(CKP_ML_DSA_65),
            "ML-DSA-87" => ck!(CKP_ML_DSA_87),
            other => unreachable!("{other}"),
        };
        Pair { set, seed: bytes("seed"), public: bytes("pk"), private: bytes("sk") }
    };
    records.map(pair).collect()
}

/// The attributes that SoftHSM2 gives to all keys of a class.
fn key(class: Class, label: &str, set: u64) -> Attributes {
    let mut key = Attributes::default();
    key.set(attribute::CLASS, class.0);
    key.set(attribute::KEY_TYPE, KeyType::ML_DSA.0);
    key.set(attribute::TOKEN, true);
    key.set(attribute::PRIVATE, class == Class::PRIVATE_KEY);
    for flag in [attribute::MODIFIABLE, attribute::COPYABLE, attribute::DESTROYABLE] {
        key.set(flag, true);
    }
    key.set(attribute::LABEL, label.as_bytes());
    key.set(attribute::ID, &[u8::try_from(set).unwrap()][..]);
    for empty in [attribute::START_DATE.info, attribute::END_DATE.info, attribute::SUBJECT.info] {
        key.put(empty.id, Value::from(&b""[..]));
    }
    key.set(attribute::DERIVE, false);
    key.set(attribute::LOCAL, true);
    key.set(attribute::KEY_GEN_MECHANISM, ck!(CKM_ML_DSA_KEY_PAIR_GEN));
    key.put(attribute::ALLOWED_MECHANISMS.info.id, Value::Ulongs(Vec::new()));
    key.set(attribute::PUBLIC_KEY_INFO, &b""[..]);
    key.set(attribute::PARAMETER_SET, set);
    key
}

/// Keys that it generated.
fn generated(pair: &Pair, label: &str) -> [Attributes; 2] {
    let mut public = key(Class::PUBLIC_KEY, label, pair.set);
    for flag in [attribute::ENCRYPT, attribute::VERIFY, attribute::VERIFY_RECOVER, attribute::WRAP]
    {
        public.set(flag, true);
    }
    public.set(attribute::TRUSTED, false);
    public.set(attribute::WRAP_TEMPLATE, template());
    public.set(attribute::VALUE, pair.public.as_slice());

    let mut private = key(Class::PRIVATE_KEY, label, pair.set);
    for flag in [attribute::SIGN, attribute::SENSITIVE, attribute::ALWAYS_SENSITIVE] {
        private.set(flag, true);
    }
    private.set(attribute::NEVER_EXTRACTABLE, true);
    for flag in [
        attribute::DECRYPT,
        attribute::SIGN_RECOVER,
        attribute::UNWRAP,
        attribute::EXTRACTABLE,
        attribute::WRAP_WITH_TRUSTED,
        attribute::ALWAYS_AUTHENTICATE,
    ] {
        private.set(flag, false);
    }
    private.set(attribute::UNWRAP_TEMPLATE, template());
    private.set(attribute::SEED, pair.seed.as_slice());
    private.set(attribute::VALUE, pair.private.as_slice());
    [public, private]
}

/// A template with a value of every kind.
fn template() -> Value {
    let mut template = Attributes::default();
    template.set(attribute::CLASS, Class::SECRET_KEY.0);
    template.set(attribute::EXTRACTABLE, true);
    template.set(attribute::LABEL, &b"inner"[..]);
    template.put(attribute::ALLOWED_MECHANISMS.info.id, Value::Ulongs(vec![0x1082, 0x1087]));
    Value::Attributes(template)
}

/// A token with everything, and what is the matter with each key.
fn objects() -> Vec<Attributes> {
    let mut objects = Vec::new();
    for pair in pairs() {
        objects.extend(generated(&pair, "generated"));
        // Imported, where the file had no seed.
        let [public, mut private] = generated(&pair, "imported");
        private.set(attribute::SEED, &b""[..]);
        private.set(attribute::LOCAL, false);
        objects.extend([public, private]);
    }
    // The value of one key, the seed of another.
    let [one, other] = [&pairs()[0], &pairs()[1]];
    let [_, mut torn] = generated(one, "torn");
    torn.set(attribute::SEED, other.seed.as_slice());
    objects.push(torn);
    objects.iter().map(old_token::sealed).collect()
}

/// A session of the user of the token that has moved, by a module's own core.
fn enter(world: &World) -> (Application, SessionHandle) {
    let config = Config::load(&world.path("strongroom.toml")).unwrap();
    let application = Application::open(config).unwrap();
    let slot = application.slot_list(true, true).unwrap()[0];
    assert_eq!(application.token_info(slot).unwrap().serial, *SERIAL.as_bytes());
    let session = application.open_session(slot, true).unwrap();
    application.login(session, UserType::USER, PIN.as_bytes()).unwrap();
    (application, session)
}

fn find(application: &Application, session: SessionHandle, like: &Attributes) -> ObjectHandle {
    application.find_objects_init(session, like.clone()).unwrap();
    let found = application.find_objects(session, 10).unwrap();
    application.find_objects_final(session).unwrap();
    assert_eq!(found.len(), 1);
    found[0]
}

fn holds(world: &World) {
    let (application, session) = enter(world);
    let mechanism =
        || Some(MechanismCall { mechanism: MechanismType(ck!(CKM_ML_DSA)), params: Params::NONE });
    for pair in pairs() {
        for label in ["generated", "imported"] {
            let named = |class: Class| {
                let mut like = Attributes::default();
                like.set(attribute::CLASS, class.0);
                like.set(attribute::LABEL, label.as_bytes());
                like.set(attribute::PARAMETER_SET, pair.set);
                find(&application, session, &like)
            };
            let private = named(Class::PRIVATE_KEY);
            application.sign_init(session, mechanism(), private).unwrap();
            let signed = application.sign(session, MESSAGE, Room::Bytes(5000)).unwrap();
            let Output::Bytes(signature) = signed else { unreachable!("there is room") };
            assert!(verifies(&pair, &signature), "{label} {}", pair.set);
            let public = named(Class::PUBLIC_KEY);
            application.verify_init(session, mechanism(), public).unwrap();
            application.verify(session, MESSAGE, &signature).unwrap();
            application.verify_init(session, mechanism(), public).unwrap();
            assert!(application.verify(session, b"signed there", &signature).is_err());

            let told =
                |object, id| application.attributes(session, object, &[id]).unwrap().remove(0);
            assert!(told(private, attribute::UNWRAP_TEMPLATE.info.id) == Ok(template()));
            assert!(told(public, attribute::WRAP_TEMPLATE.info.id) == Ok(template()));
            let generated = Value::Bool(label == "generated");
            assert!(told(private, attribute::LOCAL.info.id) == Ok(generated));
        }
    }
}

/// Whether another implementation takes a signature for one by NIST's key.
fn verifies(pair: &Pair, signature: &[u8]) -> bool {
    fn by<P: MlDsaParams>(pair: &Pair, signature: &[u8]) -> bool {
        let key = EncodedVerifyingKey::<P>::try_from(pair.public.as_slice()).unwrap();
        let signature = Signature::<P>::try_from(signature).unwrap();
        VerifyingKey::<P>::decode(&key).verify_with_context(MESSAGE, b"", &signature)
    }
    match pair.set {
        set if set == ck!(CKP_ML_DSA_44) => by::<MlDsa44>(pair, signature),
        set if set == ck!(CKP_ML_DSA_65) => by::<MlDsa65>(pair, signature),
        _ => by::<MlDsa87>(pair, signature),
    }
}

fn import(world: &World) -> common::Run {
    let mut command = world.bare();
    command.env_remove("STRONGROOM_MODULE");
    command.env("STRONGROOM_PIN", PIN).env("STRONGROOM_SO_PIN", SO_PIN);
    command.args(["import", "softhsm2", "store"]).output().unwrap().into()
}

#[test]
fn ml_dsa_keys_move_with_seed_set_and_templates_from_both_back_ends() {
    assert_eq!(pairs().len(), 3);
    for write in [old_token::write_files, old_token::write_database] {
        let world = World::empty();
        let token = old_token::token("old", SERIAL, SO_PIN, PIN);
        write(&world.path("store/token"), &token, &objects());
        let run = import(&world);
        assert_eq!(run.code, 12, "{}{}", run.text(), run.stderr);
        let text = run.text();
        assert!(text.contains(": 12 objects"), "{text}");
        let torn = text.lines().find(|line| line.contains("torn")).unwrap();
        assert!(torn.contains("not taken"), "{torn}");
        holds(&world);
    }
}
