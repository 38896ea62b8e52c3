//! The policy of strict tokens: a thief has the user's login, and calls what he likes. There are keys that
//! are sensitive, and their values never come out; nor does one leave under a key that he could know.
//! And the daemon's own: who may connect to it.

use arbitrary::{Result, Unstructured};
use strongroom_functions::{Cryptoki, MessageOutput};
use strongroom_keystore::KeyPolicy;
use strongroom_mechanisms::Policy;
use strongroom_types::{
    Attribute, Attributes, Class, KeyType, MechanismCall, MechanismType, ObjectHandle, Output,
    Param, Params, Room, Value, attribute, attribute::kind, mechanism,
};

use crate::callers;
use crate::made;
use crate::world::{Renewed, Shown, Visit, tells};

/// How many calls an input makes.
const MOST: usize = 16;
const PLENTY: Room = Room::Bytes(16 << 10);

/// The value of the keys that the thief is after: whole, or a half of it, it comes nowhere else.
const VALUE: [u8; 32] = *b"\xd1never\xd2to be\xd3seen by\xd4any thief  ";

/// What a thief may try: ciphers, wrappings and derivations that could undo one another.
const MECHANISMS: [MechanismType; 20] = [
    mechanism!(CKM_AES_ECB).0,
    mechanism!(CKM_AES_CBC).0,
    mechanism!(CKM_AES_CBC_PAD).0,
    mechanism!(CKM_AES_CTR).0,
    mechanism!(CKM_AES_GCM).0,
    mechanism!(CKM_AES_KEY_WRAP).0,
    mechanism!(CKM_AES_KEY_WRAP_KWP).0,
    mechanism!(CKM_AES_CMAC).0,
    mechanism!(CKM_AES_CFB128).0,
    mechanism!(CKM_AES_OFB).0,
    mechanism!(CKM_RSA_PKCS_OAEP).0,
    mechanism!(CKM_SHA256_HMAC).0,
    mechanism!(CKM_XOR_BASE_AND_DATA).0,
    mechanism!(CKM_CONCATENATE_BASE_AND_DATA).0,
    mechanism!(CKM_CONCATENATE_DATA_AND_BASE).0,
    mechanism!(CKM_CONCATENATE_BASE_AND_KEY).0,
    mechanism!(CKM_EXTRACT_KEY_FROM_KEY).0,
    mechanism!(CKM_AES_ECB_ENCRYPT_DATA).0,
    mechanism!(CKM_AES_CBC_ENCRYPT_DATA).0,
    mechanism!(CKM_SHA256_KEY_DERIVATION).0,
];

type Flag = Attribute<kind::Bool>;

/// What a key may be used for, wrapping apart.
const OTHER_USES: [Flag; 7] = [
    attribute::ENCRYPT,
    attribute::DECRYPT,
    attribute::SIGN,
    attribute::SIGN_RECOVER,
    attribute::VERIFY,
    attribute::DERIVE,
    attribute::DECAPSULATE,
];

/// The calls of a thief at a strict token. Behind a 255 there is somebody who wants to connect to the daemon.
pub(crate) fn run(data: &[u8]) {
    if let [255, rest @ ..] = data {
        return callers::run(rest);
    }
    // The fuzzer sees what is compared; a thief who has the value needs no calls.
    if tells(data, &VALUE) {
        return;
    }
    thread_local! {
        static WORLD: Renewed = Renewed::new(KeyPolicy::Strict);
    }
    WORLD.with(|world| {
        world.visit(|visit| {
            let mut thief = Thief::new(visit, KeyPolicy::Strict);
            let u = &mut Unstructured::new(data);
            for _ in 0..MOST {
                if u.is_empty() || thief.call(u).is_err() {
                    break;
                }
                assert!(!thief.has_it(), "the value of a sensitive key came out");
                thief.assert_separate();
            }
        });
    });
}

/// Somebody with the login of the user, and what he has seen.
struct Thief<'a> {
    visit: &'a Visit<'a>,
    keys: Vec<ObjectHandle>,
    /// What he is after.
    victims: Vec<ObjectHandle>,
    seen: Vec<Vec<u8>>,
    /// What the token lets be done.
    policy: KeyPolicy,
}

impl<'a> Thief<'a> {
    /// Before he comes, somebody else has brought keys along.
    fn new(visit: &'a Visit<'a>, policy: KeyPolicy) -> Self {
        let bring = |key_type: KeyType, usage: Flag| {
            let mut key = Attributes::default();
            key.set(attribute::CLASS, Class::SECRET_KEY.0);
            key.set(attribute::KEY_TYPE, key_type.0);
            key.set(attribute::VALUE, VALUE.as_slice());
            key.set(attribute::SENSITIVE, true);
            key.set(attribute::EXTRACTABLE, usage != attribute::DERIVE);
            key.set(usage, true);
            visit.application.create_object(visit.session, key)
        };
        let brought = [
            bring(KeyType::AES, attribute::ENCRYPT),
            bring(KeyType::GENERIC_SECRET, attribute::SIGN),
            bring(KeyType::GENERIC_SECRET, attribute::DERIVE),
        ];
        let victims: Vec<_> = brought.into_iter().map(|key| key.expect("a key")).collect();
        Self { visit, keys: victims.clone(), victims, seen: Vec::new(), policy }
    }

    /// One of all calls. What it says of success is of no interest.
    fn call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (key, other) = (*u.choose(&self.keys)?, *u.choose(&self.keys)?);
        match u.int_in_range(0..=11)? {
            0 => {
                let mut template = made::whole(u)?;
                made::change(u, &mut template, 1)?;
                self.create(template);
            }
            1 => {
                let mut template = made::template(u)?;
                template.set(attribute::VALUE_LEN, 32);
                template.set(
                    *u.choose(&[attribute::WRAP, attribute::DECRYPT, attribute::DERIVE])?,
                    true,
                );
                self.generate(template);
            }
            2 => self.copy(key, made::template(u)?),
            3 => self.set(key, made::template(u)?),
            4 | 5 => {
                let call = self.mechanism(u)?;
                self.wrap(call, key, other);
            }
            6 | 7 => {
                let (call, wrapped) = (self.mechanism(u)?, self.bytes(u)?);
                let mut template = made::template(u)?;
                template.set(attribute::CLASS, Class::SECRET_KEY.0);
                template.set(
                    attribute::KEY_TYPE,
                    u.choose(&[KeyType::AES, KeyType::GENERIC_SECRET])?.0,
                );
                self.unwrap(call, key, &wrapped, template);
            }
            8 => {
                let (call, data) = (self.mechanism(u)?, self.bytes(u)?);
                self.encrypt(call, key, &data);
            }
            9 => {
                let (call, data) = (self.mechanism(u)?, self.bytes(u)?);
                self.decrypt(call, key, &data);
            }
            10 => {
                let call = self.mechanism(u)?;
                let mut template = made::template(u)?;
                template.set(attribute::CLASS, Class::SECRET_KEY.0);
                template.set(
                    attribute::KEY_TYPE,
                    u.choose(&[KeyType::AES, KeyType::GENERIC_SECRET])?.0,
                );
                self.derive(call, key, template);
            }
            _ => {
                let call = self.mechanism(u)?;
                self.sign(call, key, &[0; 32]);
            }
        }
        self.look();
        Ok(())
    }

    /// A mechanism with a parameter that fits it.
    fn mechanism(&self, u: &mut Unstructured<'_>) -> Result<MechanismCall> {
        let mechanism = *u.choose(&MECHANISMS)?;
        if mechanism == mechanism!(CKM_CONCATENATE_BASE_AND_KEY).0 {
            let other = Param::Ulong(u.choose(&self.keys)?.0);
            return Ok(MechanismCall { mechanism, params: [other].into_iter().collect() });
        }
        let row = Policy::Legacy.mechanism(mechanism).expect("a row");
        let layout = *u.choose(row.params)?;
        Ok(MechanismCall { mechanism, params: made::params(u, layout)? })
    }

    /// Something that was seen, or anything.
    fn bytes(&self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        match u.arbitrary()? {
            true if !self.seen.is_empty() => Ok(u.choose(&self.seen)?.clone()),
            _ => Ok(made::bytes(u)?.to_vec()),
        }
    }

    fn create(&mut self, template: Attributes) {
        let made = self.visit.application.create_object(self.visit.session, template);
        self.keys.extend(made);
    }

    fn generate(&mut self, template: Attributes) {
        let call = MechanismCall { mechanism: mechanism!(CKM_AES_KEY_GEN).0, params: Params::NONE };
        self.keys.extend(self.visit.application.generate_key(self.visit.session, call, template));
    }

    fn copy(&mut self, key: ObjectHandle, template: Attributes) {
        let made = self.visit.application.copy_object(self.visit.session, key, template);
        self.keys.extend(made);
    }

    fn set(&mut self, key: ObjectHandle, template: Attributes) {
        let _ = self.visit.application.set_attributes(self.visit.session, key, template);
    }

    fn wrap(&mut self, call: MechanismCall, with: ObjectHandle, key: ObjectHandle) {
        let (token, session) = (self.visit.application, self.visit.session);
        let wrapped = token.wrap_key(session, call, with, key, PLENTY);
        let Ok(MessageOutput { output: Output::Bytes(wrapped), .. }) = wrapped else { return };
        self.seen.push(wrapped.to_vec());
        if self.victims.contains(&key) && self.policy == KeyPolicy::Strict {
            let with = self.visit.show(with).expect("a key");
            for needed in
                [attribute::LOCAL, attribute::ALWAYS_SENSITIVE, attribute::NEVER_EXTRACTABLE]
            {
                assert!(is(&with, needed), "it left under a key without {}", needed.info.name);
            }
        }
    }

    fn unwrap(
        &mut self,
        call: MechanismCall,
        with: ObjectHandle,
        wrapped: &[u8],
        template: Attributes,
    ) {
        let (token, session) = (self.visit.application, self.visit.session);
        self.keys.extend(token.unwrap_key(session, call, with, wrapped, template));
    }

    fn derive(&mut self, call: MechanismCall, base: ObjectHandle, template: Attributes) {
        let (token, session) = (self.visit.application, self.visit.session);
        let derived = token.derive_key(session, call, base, template, true);
        self.keys.extend(derived.into_iter().filter_map(|derived| derived.key));
    }

    fn encrypt(&mut self, call: MechanismCall, key: ObjectHandle, data: &[u8]) {
        let (token, session) = (self.visit.application, self.visit.session);
        let output = token
            .encrypt_init(session, Some(call), key)
            .and_then(|()| token.encrypt(session, data, PLENTY));
        self.sees(output);
    }

    fn decrypt(&mut self, call: MechanismCall, key: ObjectHandle, data: &[u8]) {
        let (token, session) = (self.visit.application, self.visit.session);
        let output = token
            .decrypt_init(session, Some(call), key)
            .and_then(|()| token.decrypt(session, data, PLENTY));
        self.sees(output);
    }

    fn sign(&mut self, call: MechanismCall, key: ObjectHandle, data: &[u8]) {
        let (token, session) = (self.visit.application, self.visit.session);
        let output = token
            .sign_init(session, Some(call), key)
            .and_then(|()| token.sign(session, data, PLENTY));
        self.sees(output);
    }

    fn sees(&mut self, output: strongroom_types::Result<Output>) {
        if let Ok(Output::Bytes(bytes)) = output {
            self.seen.push(bytes.to_vec());
        }
    }

    /// Looks at every value that can be read of what he has.
    fn look(&mut self) {
        for key in &self.keys {
            let value = attribute::VALUE.info.id;
            let read = self.visit.application.attributes(self.visit.session, *key, &[value]);
            if let Ok([Ok(Value::Bytes(bytes))]) = read.as_deref() {
                self.seen.push(bytes.to_vec());
            }
        }
        self.seen.sort();
        self.seen.dedup();
    }

    /// Whether he has seen a half of what he is after.
    fn has_it(&self) -> bool {
        self.seen.iter().any(|bytes| tells(bytes, &VALUE))
    }

    /// A key that wraps or unwraps does nothing else; nor does another with the same value. And a
    /// hidden key that derives does nothing else.
    fn assert_separate(&self) {
        let keys: Vec<_> = self.keys.iter().filter_map(|key| self.visit.show(*key).ok()).collect();
        let secret = |key: &&Shown| {
            let class = value(key, attribute::CLASS.info.id);
            class == Some(&Value::Ulong(Class::SECRET_KEY.0))
        };
        let secrets: Vec<&Shown> = keys.iter().filter(secret).collect();
        let wraps = |key: &Shown| is(key, attribute::WRAP) || is(key, attribute::UNWRAP);
        let other_use = |key: &Shown| OTHER_USES.iter().find(|usage| is(key, **usage));
        for wrapping in secrets.iter().filter(|key| wraps(key)) {
            assert!(!is(wrapping, attribute::EXTRACTABLE) && is(wrapping, attribute::SENSITIVE));
            for twin in secrets.iter().filter(|other| twins(wrapping, other)) {
                let usage = other_use(twin).map(|usage| usage.info.name);
                assert!(usage.is_none(), "a key wraps, and it or its twin has {usage:?}");
            }
        }
        for deriving in &secrets {
            let hidden =
                is(deriving, attribute::SENSITIVE) || !is(deriving, attribute::EXTRACTABLE);
            if is(deriving, attribute::DERIVE) && hidden {
                let uses = OTHER_USES.iter().filter(|usage| is(deriving, **usage)).count();
                assert_eq!(uses, 1, "a hidden key derives, and does something else");
            }
        }
    }
}

fn value(object: &Shown, id: u64) -> Option<&Value> {
    object.iter().find(|(one, _)| *one == id)?.1.as_ref().ok()
}

fn is(object: &Shown, flag: Flag) -> bool {
    value(object, flag.info.id) == Some(&Value::Bool(true))
}

/// Whether two keys are of the same type and, as their check values say, of the same value.
fn twins(one: &Shown, other: &Shown) -> bool {
    let same = |id: u64| value(one, id).is_some() && value(one, id) == value(other, id);
    same(attribute::KEY_TYPE.info.id) && same(attribute::CHECK_VALUE.info.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest trick: a key that wraps and decrypts.
    fn wrap_and_decrypt(policy: KeyPolicy) -> bool {
        let mut has_it = false;
        Renewed::new(policy).visit(|visit| {
            let mut thief = Thief::new(visit, policy);
            let mut template = Attributes::default();
            template.set(attribute::VALUE_LEN, 32);
            template.set(attribute::WRAP, true);
            template.set(attribute::DECRYPT, true);
            thief.generate(template);
            let with = *thief.keys.last().unwrap();
            let ecb = MechanismCall { mechanism: mechanism!(CKM_AES_ECB).0, params: Params::NONE };
            thief.wrap(ecb.clone(), with, thief.victims[0]);
            for wrapped in thief.seen.clone() {
                thief.decrypt(ecb.clone(), with, &wrapped);
            }
            has_it = thief.has_it();
        });
        has_it
    }

    #[test]
    fn a_thief_is_seen_where_he_is_not_kept_out() {
        assert!(wrap_and_decrypt(KeyPolicy::Standard));
        assert!(!wrap_and_decrypt(KeyPolicy::Strict));
    }
}
