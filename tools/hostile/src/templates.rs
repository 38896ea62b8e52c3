//! Templates: objects that are made, copied and changed by templates of any attributes. A call that
//! fails changes nothing; what goes one way does not come back; what may not be read is not read.

use arbitrary::{Result, Unstructured};
use strongroom_functions::Cryptoki;
use strongroom_keystore::KeyPolicy;
use strongroom_types::{
    Attribute, Attributes, Class, Error, MechanismCall, ObjectHandle, Params, Value, attribute,
    attribute::kind, mechanism,
};

use crate::made;
use crate::world::{Renewed, Shown, Visit, no_fault};

/// How many calls an input makes.
const MOST: usize = 12;

/// What holds the value of a key, by its class.
const SECRETS: [Attribute<kind::Bytes>; 3] =
    [attribute::VALUE, attribute::PRIVATE_EXPONENT, attribute::PRIME_1];

/// The first byte chooses the policy of the token; then there are calls. Behind a 255 there is an object
/// as it is stored.
pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static WORLDS: [Renewed; 3] = KeyPolicy::ALL.map(Renewed::new);
    }
    let Some((which, rest)) = data.split_first() else { return };
    if *which == 255 {
        return stored(rest);
    }
    WORLDS.with(|worlds| {
        worlds[usize::from(*which) % worlds.len()].visit(|visit| {
            // What ends in the middle of a call is as good as one that ends before it.
            let _ = calls(&mut Unstructured::new(rest), visit);
        });
    });
}

/// Of what is stored nothing is passed over, and nothing has two forms.
fn stored(bytes: &[u8]) {
    if let Some(attributes) = Attributes::decode(bytes) {
        assert_eq!(attributes.encode()[..], *bytes);
    }
}

fn calls(u: &mut Unstructured<'_>, visit: &Visit<'_>) -> Result<()> {
    let (application, session) = (visit.application, visit.session);
    for _ in 0..MOST {
        if u.is_empty() {
            break;
        }
        let before = visit.everything();
        let object = |u: &mut Unstructured<'_>| match before.as_slice() {
            [] => Ok(ObjectHandle(u.arbitrary()?)),
            objects => Ok(u.choose(objects)?.0),
        };
        let done = match u.int_in_range(0..=7)? {
            0 | 1 => {
                let mut template = made::whole(u)?;
                made::change(u, &mut template, 2)?;
                assert_inverse(&template);
                let made = no_fault(application.create_object(session, template));
                made.map(|made| made_by_hand(&visit.show(made).unwrap()))
            }
            2 => {
                let (object, template) = (object(u)?, made::template(u)?);
                let copy = no_fault(application.copy_object(session, object, template));
                copy.map(|copy| {
                    goes_one_way(shown(&before, object), &visit.show(copy).unwrap());
                })
            }
            3 => {
                let (object, template) = (object(u)?, made::template(u)?);
                let set = no_fault(application.set_attributes(session, object, template));
                set.map(|()| goes_one_way(shown(&before, object), &visit.show(object).unwrap()))
            }
            4 => {
                let mut template = made::template(u)?;
                template.set(attribute::VALUE_LEN, u64::from(u.arbitrary::<u8>()?));
                generate(visit, mechanism!(CKM_AES_KEY_GEN).0, template)
            }
            5 => generate(visit, mechanism!(CKM_GENERIC_SECRET_KEY_GEN).0, made::template(u)?),
            6 => {
                let (mut public, private) = (made::template(u)?, made::template(u)?);
                public.set(
                    attribute::EC_PARAMS,
                    [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7].as_slice(),
                );
                let call = call(mechanism!(CKM_EC_KEY_PAIR_GEN).0);
                no_fault(application.generate_key_pair(session, call, public, private)).map(drop)
            }
            _ => no_fault(application.destroy_object(session, object(u)?)),
        };
        if done.is_err() {
            assert!(visit.everything() == before, "a call that failed changed something");
        }
        visit.everything().iter().for_each(|(_, object)| closed(object));
    }
    Ok(())
}

fn call(mechanism: strongroom_types::MechanismType) -> MechanismCall {
    MechanismCall { mechanism, params: Params::NONE }
}

fn generate(
    visit: &Visit<'_>,
    mechanism: strongroom_types::MechanismType,
    template: Attributes,
) -> strongroom_types::Result<()> {
    let made = no_fault(visit.application.generate_key(visit.session, call(mechanism), template))?;
    let object = visit.show(made).unwrap();
    assert!(is(&object, attribute::LOCAL));
    assert_eq!(is(&object, attribute::ALWAYS_SENSITIVE), is(&object, attribute::SENSITIVE));
    assert_eq!(is(&object, attribute::NEVER_EXTRACTABLE), !is(&object, attribute::EXTRACTABLE));
    Ok(())
}

/// A template is stored as it is, if its numbers are those of attributes.
fn assert_inverse(template: &Attributes) {
    if storable(template) {
        assert!(Attributes::decode(&template.encode()).is_some_and(|stored| stored == *template));
    }
}

/// Whether all numbers are such as come as far as that: larger ones are refused before.
fn storable(template: &Attributes) -> bool {
    template.iter().all(|(id, value)| {
        let inner = if let Value::Attributes(inner) = value { storable(inner) } else { true };
        inner && u32::try_from(id).is_ok()
    })
}

fn shown(objects: &[(ObjectHandle, Shown)], object: ObjectHandle) -> &Shown {
    &objects.iter().find(|(handle, _)| *handle == object).expect("an object").1
}

fn value<K>(object: &Shown, attribute: Attribute<K>) -> &strongroom_types::Result<Value> {
    &object.iter().find(|(id, _)| *id == attribute.info.id).expect("an attribute").1
}

fn is(object: &Shown, attribute: Attribute<kind::Bool>) -> bool {
    *value(object, attribute) == Ok(Value::Bool(true))
}

/// What was not generated here has no past here.
fn made_by_hand(object: &Shown) {
    for flag in [attribute::LOCAL, attribute::ALWAYS_SENSITIVE, attribute::NEVER_EXTRACTABLE] {
        assert!(!is(object, flag), "{}", flag.info.name);
    }
}

/// What an object was before, and what it or its copy is now.
fn goes_one_way(before: &Shown, after: &Shown) {
    for stays in [attribute::SENSITIVE, attribute::WRAP_WITH_TRUSTED] {
        assert!(!is(before, stays) || is(after, stays), "{}", stays.info.name);
    }
    for stays in [
        attribute::EXTRACTABLE,
        attribute::ALWAYS_SENSITIVE,
        attribute::NEVER_EXTRACTABLE,
        attribute::TRUSTED,
    ] {
        assert!(is(before, stays) || !is(after, stays), "{}", stays.info.name);
    }
    for stays in [attribute::CLASS, attribute::KEY_TYPE] {
        assert!(value(before, stays) == value(after, stays), "{}", stays.info.name);
    }
}

/// A key that is sensitive, or may not leave, does not show what it is.
fn closed(object: &Shown) {
    let class = value(object, attribute::CLASS);
    let key = [Class::SECRET_KEY, Class::PRIVATE_KEY].map(|class| Ok(Value::Ulong(class.0)));
    let open = !is(object, attribute::SENSITIVE) && is(object, attribute::EXTRACTABLE);
    if open || !key.contains(class) {
        return;
    }
    for secret in SECRETS {
        let told = value(object, secret);
        assert!(matches!(told, Err(Error::AttributeSensitive | Error::AttributeTypeInvalid)));
    }
}
