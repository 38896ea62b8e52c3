//! Mechanism parameters: of every mechanism a parameter of one of its layouts, with any values. It goes
//! over the wire and comes back the same; and an operation with it succeeds or fails, and that is all.

use std::cell::OnceCell;

use arbitrary::{Result, Unstructured};
use strongroom_functions::Cryptoki;
use strongroom_functions::wire::{Reader, Wire, Writer};
use strongroom_keystore::KeyPolicy;
use strongroom_mechanisms::{Mechanism, Policy};
use strongroom_types::{
    Attributes, Class, KeyType, MechanismCall, MechanismType, ObjectHandle, Param, Params, Room,
    attribute, mechanism,
};

use crate::made;
use crate::world::{Visit, World, no_fault};

/// More room than any output needs.
const PLENTY: Room = Room::Bytes(64 << 10);

/// Iterations that a caller may well ask for, and has to wait for.
const MOST_ITERATIONS: u64 = 1000;

/// A key that is there for all inputs.
struct Known {
    handle: ObjectHandle,
    key_type: KeyType,
}

/// A token with keys of every type that is made fast.
struct Keys {
    world: World,
    keys: Vec<Known>,
}

/// Which mechanism, which layout, its values; then which of its functions, and data.
pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static KEYS: Keys = Keys::new();
    }
    KEYS.with(|keys| {
        let clean = keys.world.visit(|visit| {
            // What ends in the middle is tried no further.
            let _ = call(&mut Unstructured::new(data), visit, &keys.keys);
        });
        assert!(clean, "an object can not be destroyed");
    });
}

fn call(u: &mut Unstructured<'_>, visit: &Visit<'_>, keys: &[Known]) -> Result<()> {
    let id = made::mechanism(u)?;
    let row = Policy::Legacy.mechanism(id).expect("a row");
    let messages = row.message.map_or(&[][..], |aead| aead.layouts);
    let layouts: Vec<_> = row.params.iter().chain(messages).copied().collect();
    let layout = *u.choose(&layouts)?;
    let params = made::params(u, layout)?;
    assert!(params.fit(layout), "{}", row.name);
    over_the_wire(&params);
    if takes_long(row, &params) {
        return Ok(());
    }
    let fitting: Vec<_> = keys.iter().filter(|key| fits(row, key)).map(|key| key.handle).collect();
    let key = if fitting.is_empty() { ObjectHandle(0) } else { *u.choose(&fitting)? };
    use_it(u, visit, MechanismCall { mechanism: id, params }, key)
}

/// Whether its keys are of a type that the mechanism takes.
fn fits(row: &Mechanism, key: &Known) -> bool {
    row.keys.is_empty() || row.keys.contains(&key.key_type)
}

/// Whether the caller asks for work that has to take long: iterations, and numbers that are searched for.
pub(crate) fn takes_long(row: &Mechanism, params: &Params) -> bool {
    let many = |param: &Param| matches!(param, Param::Ulong(number) if *number > MOST_ITERATIONS);
    let slow = [KeyType::RSA, KeyType::DSA, KeyType::DH, KeyType::SLH_DSA];
    let searches = row.generate_pair.is_some() || row.generate_parameters.is_some();
    (row.id == mechanism!(CKM_PKCS5_PBKD2).0 && params.as_slice().iter().any(many))
        || (searches && row.keys.iter().any(|key_type| slow.contains(key_type)))
}

fn over_the_wire(params: &Params) {
    let mut written = Writer::default();
    params.put(&mut written);
    let list = OnceCell::new();
    let mut reader = Reader::new(written.bytes(), &list);
    // What is nested deeper than the wire goes is refused, and nothing that a mechanism takes is.
    let read = Params::take(&mut reader).expect("what was written");
    assert!(reader.end().is_ok() && read == *params);
}

/// Has one of the functions use it.
fn use_it(
    u: &mut Unstructured<'_>,
    visit: &Visit<'_>,
    call: MechanismCall,
    key: ObjectHandle,
) -> Result<()> {
    let (token, session) = (visit.application, visit.session);
    let which = u.int_in_range(0..=15)?;
    let (data, other) = (made::bytes(u)?, made::bytes(u)?);
    let template = made::template(u)?;
    let some = Some(call.clone());
    let _ = match which {
        0 => no_fault(token.encrypt_init(session, some, key))
            .and_then(|()| no_fault(token.encrypt(session, &data, PLENTY)).map(drop)),
        1 => no_fault(token.decrypt_init(session, some, key))
            .and_then(|()| no_fault(token.decrypt(session, &data, PLENTY)).map(drop)),
        2 => no_fault(token.encrypt_init(session, some, key))
            .and_then(|()| no_fault(token.encrypt_update(session, &data, PLENTY)))
            .and_then(|_| no_fault(token.encrypt_update(session, &other, PLENTY)))
            .and_then(|_| no_fault(token.encrypt_final(session, PLENTY)).map(drop)),
        3 => no_fault(token.decrypt_init(session, some, key))
            .and_then(|()| no_fault(token.decrypt_update(session, &data, PLENTY)))
            .and_then(|_| no_fault(token.decrypt_update(session, &other, PLENTY)))
            .and_then(|_| no_fault(token.decrypt_final(session, PLENTY)).map(drop)),
        4 => no_fault(token.sign_init(session, some, key))
            .and_then(|()| no_fault(token.sign(session, &data, PLENTY)).map(drop)),
        5 => no_fault(token.sign_init(session, some, key))
            .and_then(|()| no_fault(token.sign_update(session, &data)))
            .and_then(|()| no_fault(token.sign_final(session, PLENTY)).map(drop)),
        6 => no_fault(token.verify_init(session, some, key))
            .and_then(|()| no_fault(token.verify(session, &data, &other))),
        7 => no_fault(token.digest_init(session, some))
            .and_then(|()| no_fault(token.digest(session, &data, PLENTY)).map(drop)),
        8 => no_fault(token.wrap_key(session, call, key, ObjectHandle(u.arbitrary()?), PLENTY))
            .map(drop),
        9 => no_fault(token.unwrap_key(session, call, key, &data, template)).map(drop),
        10 => no_fault(token.derive_key(session, call, key, template, true)).map(drop),
        11 => no_fault(token.generate_key(session, call, template)).map(drop),
        12 => {
            let private = made::template(u)?;
            no_fault(token.generate_key_pair(session, call, template, private)).map(drop)
        }
        13 => no_fault(token.encapsulate_key(session, call, key, template, PLENTY)).map(drop),
        14 => no_fault(token.decapsulate_key(session, call, key, template, &data)).map(drop),
        _ => {
            let mechanism = MechanismCall { params: Params::NONE, ..call.clone() };
            no_fault(token.message_encrypt_init(session, Some(mechanism), key)).and_then(|()| {
                no_fault(token.encrypt_message(session, call.params, &other, &data, PLENTY))
                    .map(drop)
            })
        }
    };
    Ok(())
}

impl Keys {
    fn new() -> Self {
        let world = World::new(KeyPolicy::Standard);
        let mut keys = Vec::new();
        for row in Policy::Legacy.mechanisms() {
            let slow = row.keys.contains(&KeyType::SLH_DSA) || row.keys.contains(&KeyType::DSA);
            if slow || row.keys.contains(&KeyType::DH) {
                continue;
            }
            for key_type in row.keys {
                if row.generate.is_some() {
                    keys.extend(secret(&world, row.id, *key_type));
                }
                if row.generate_pair.is_some() {
                    keys.extend(pair(&world, row.id, *key_type));
                }
            }
        }
        for (key_type, class) in [
            (KeyType::AES, Class::SECRET_KEY),
            (KeyType::GENERIC_SECRET, Class::SECRET_KEY),
            (KeyType::RSA, Class::PRIVATE_KEY),
            (KeyType::EC, Class::PRIVATE_KEY),
            (KeyType::EC_EDWARDS, Class::PUBLIC_KEY),
            (KeyType::EC_MONTGOMERY, Class::PRIVATE_KEY),
            (KeyType::ML_DSA, Class::PRIVATE_KEY),
            (KeyType::ML_KEM, Class::PUBLIC_KEY),
        ] {
            let is = |key: &Known| {
                let shown = world.application.attributes(
                    world.session,
                    key.handle,
                    &[attribute::CLASS.info.id],
                );
                key.key_type == key_type && shown.unwrap() == [Ok(class.0.into())]
            };
            assert!(keys.iter().any(is), "no key of type {key_type:?}");
        }
        Self { world, keys }
    }
}

/// Everything that keys may do.
const USES: [strongroom_types::Attribute<attribute::kind::Bool>; 8] = [
    attribute::ENCRYPT,
    attribute::DECRYPT,
    attribute::SIGN,
    attribute::VERIFY,
    attribute::WRAP,
    attribute::UNWRAP,
    attribute::DERIVE,
    attribute::EXTRACTABLE,
];

/// A secret key that may do everything.
fn secret(world: &World, mechanism: MechanismType, key_type: KeyType) -> Option<Known> {
    // Of a type that says the length, or of one that has but one.
    [None, Some(32), Some(64)].into_iter().find_map(|len: Option<u64>| {
        let mut template = Attributes::default();
        template.set(attribute::KEY_TYPE, key_type.0);
        USES.iter().for_each(|usage| template.set(*usage, true));
        len.into_iter().for_each(|len| template.set(attribute::VALUE_LEN, len));
        let call = MechanismCall { mechanism, params: Params::NONE };
        let handle = world.application.generate_key(world.session, call, template).ok()?;
        Some(Known { handle, key_type })
    })
}

/// A key pair that may do everything that its type can.
fn pair(world: &World, mechanism: MechanismType, key_type: KeyType) -> Vec<Known> {
    let curves: [&[u8]; 3] = [
        &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        &[6, 3, 0x2b, 0x65, 0x70],
        &[6, 3, 0x2b, 0x65, 0x6e],
    ];
    let mut sized = Attributes::default();
    sized.set(attribute::MODULUS_BITS, 2048);
    let mut set = Attributes::default();
    set.set(attribute::PARAMETER_SET, 1);
    let of_curve = |curve: &&[u8]| {
        let mut public = Attributes::default();
        public.set(attribute::EC_PARAMS, *curve);
        public
    };
    let publics = curves.iter().map(of_curve).chain([sized, set]);
    let made = publics.into_iter().find_map(|mut public| {
        public.set(attribute::KEY_TYPE, key_type.0);
        let mut private = Attributes::default();
        private.set(attribute::KEY_TYPE, key_type.0);
        let call = MechanismCall { mechanism, params: Params::NONE };
        world.application.generate_key_pair(world.session, call, public, private).ok()
    });
    let known = |handle| Known { handle, key_type };
    made.map_or_else(Vec::new, |(public, private)| vec![known(public), known(private)])
}
