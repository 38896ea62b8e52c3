//! The objects by which a token tells of itself: the profiles that it meets and the mechanisms
//! that it has (4.13 and 4.14), and its policy, in a class of our own.
//!
//! They follow from the module, its configuration and the head of the token, so they are stored nowhere,
//! exist in every token, and nobody makes, changes, copies or destroys them: their own flags say so, and the
//! functions that ask those flags need to know no more.

use strongroom_keystore::{KeyPolicy, ObjectId, Token as Stored};
use strongroom_mechanisms::Mechanism;
use strongroom_types::{Attribute, Attributes, Class, attribute, attribute::kind, ck};

use crate::object::Object;

/// A profile of the PKCS#11 Profiles, and what of the token it depends on.
struct Profile {
    id: u64,
    name: &'static str,
    /// The mechanisms without which the token does not meet it.
    needs: &'static [u64],
}

/// Every profile that the module can meet; CONFORMANCE.md says of each why, and of the others why
/// not.
const PROFILES: &[Profile] = &[
    Profile { id: ck!(CKP_BASELINE_PROVIDER), name: "CKP_BASELINE_PROVIDER", needs: &[] },
    Profile { id: ck!(CKP_EXTENDED_PROVIDER), name: "CKP_EXTENDED_PROVIDER", needs: &[] },
    Profile { id: ck!(CKP_AUTHENTICATION_TOKEN), name: "CKP_AUTHENTICATION_TOKEN", needs: &[] },
    Profile {
        id: ck!(CKP_HKDF_TLS_TOKEN),
        name: "CKP_HKDF_TLS_TOKEN",
        needs: &[ck!(CKM_HKDF_DATA)],
    },
];

/// The objects that each token of an application has of its own.
pub(crate) struct OwnObjects(Vec<Row>);

/// What tells one of them from the others.
struct Row {
    class: Class,
    /// The attribute that says what it stands for, and its value.
    subject: (Attribute<kind::Ulong>, u64),
    label: &'static str,
}

impl OwnObjects {
    /// Those of tokens with these mechanisms.
    pub(crate) fn new(mechanisms: &[&'static Mechanism]) -> Self {
        let has = |needed: &u64| mechanisms.iter().any(|mechanism| mechanism.id.0 == *needed);
        let profiles = PROFILES.iter().filter(|profile| profile.needs.iter().all(has));
        let profiles = profiles.map(|profile| Row {
            class: Class::PROFILE,
            subject: (attribute::PROFILE_ID, profile.id),
            label: profile.name,
        });
        let mechanisms = mechanisms.iter().map(|mechanism| Row {
            class: Class::MECHANISM,
            subject: (attribute::MECHANISM_TYPE, mechanism.id.0),
            label: mechanism.name,
        });
        Self(profiles.chain(mechanisms).collect())
    }

    /// That of a token with this identifier.
    pub(crate) fn find(&self, stored: &Stored, id: &ObjectId) -> Option<Object> {
        let token = &stored.id();
        if policy_id(token) == *id {
            return Some(policy_object(token, stored.policy().ok()?));
        }
        self.row(token, id).map(|row| row.object(token))
    }

    fn row(&self, token: &[u8; 16], id: &ObjectId) -> Option<&Row> {
        self.0.iter().find(|row| row.id(token) == *id)
    }

    /// Those that a search of a token finds.
    pub(crate) fn found(&self, stored: &Stored, template: &Attributes) -> Vec<Object> {
        let token = &stored.id();
        let mut found = self.matching(token, template);
        if template.get(attribute::CLASS) == Some(Class::POLICY.0) {
            let policy = stored.policy().ok().map(|policy| policy_object(token, policy));
            found.extend(policy.filter(|object| object.matches(template)));
        }
        found
    }

    /// The rows among them. Only a template that names their class finds any: applications
    /// that know nothing of them do not meet them, and to the others they cost nothing.
    fn matching(&self, token: &[u8; 16], template: &Attributes) -> Vec<Object> {
        let Some(class) = template.get(attribute::CLASS) else { return Vec::new() };
        let named = self.0.iter().filter(|row| row.class.0 == class);
        named.map(|row| row.object(token)).filter(|object| object.matches(template)).collect()
    }
}

impl Row {
    fn id(&self, token: &[u8; 16]) -> ObjectId {
        object_id(token, self.class, self.subject.1)
    }

    fn object(&self, token: &[u8; 16]) -> Object {
        let mut attributes = described(self.class, self.label);
        let (subject, number) = self.subject;
        attributes.set(subject, number);
        Object::named(self.id(token), attributes)
    }
}

/// Half of the identifier says which object it is. The other half is from the token: that half
/// of its name which is not its serial number, and so always random.
fn object_id(token: &[u8; 16], class: Class, number: u64) -> ObjectId {
    let which = u128::from(class.0 << 32 | number);
    (u128::from_be_bytes(*token) << 64 | which).to_be_bytes()
}

/// What all of them say.
fn described(class: Class, label: &str) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.set(attribute::CLASS, class.0);
    attributes.set(attribute::TOKEN, true);
    for no in
        [attribute::PRIVATE, attribute::MODIFIABLE, attribute::COPYABLE, attribute::DESTROYABLE]
    {
        attributes.set(no, false);
    }
    attributes.set(attribute::LABEL, label.as_bytes());
    attributes
}

fn policy_id(token: &[u8; 16]) -> ObjectId {
    object_id(token, Class::POLICY, 0)
}

fn policy_object(token: &[u8; 16], policy: KeyPolicy) -> Object {
    let mut attributes = described(Class::POLICY, "policy");
    attributes.set(attribute::VALUE, policy.name().as_bytes());
    Object::named(policy_id(token), attributes)
}

#[cfg(test)]
mod tests {
    use strongroom_mechanisms::Policy;

    use super::*;

    const TOKEN: [u8; 16] = [7; 16];

    fn own() -> OwnObjects {
        OwnObjects::new(&Policy::Legacy.mechanisms().collect::<Vec<_>>())
    }

    fn template(class: Class) -> Attributes {
        let mut template = Attributes::default();
        template.set(attribute::CLASS, class.0);
        template
    }

    #[test]
    fn each_has_an_identifier_of_its_own_and_is_found_by_it() {
        let own = own();
        let mut ids: Vec<_> = own.0.iter().map(|row| row.id(&TOKEN)).collect();
        for (row, id) in own.0.iter().zip(&ids) {
            let found = own.row(&TOKEN, id).unwrap().object(&TOKEN);
            assert_eq!(found.attributes.get(row.subject.0), Some(row.subject.1));
            assert!(own.row(&[8; 16], id).is_none(), "of another token");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), own.0.len());
    }

    #[test]
    fn only_their_class_finds_them() {
        let own = own();
        assert!(own.matching(&TOKEN, &Attributes::default()).is_empty());
        assert!(own.matching(&TOKEN, &template(Class::DATA)).is_empty());
        assert_eq!(own.matching(&TOKEN, &template(Class::PROFILE)).len(), PROFILES.len());
        let mut one = template(Class::MECHANISM);
        one.set(attribute::MECHANISM_TYPE, ck!(CKM_AES_GCM));
        assert_eq!(own.matching(&TOKEN, &one).len(), 1);
        one.set(attribute::TOKEN, false);
        assert!(own.matching(&TOKEN, &one).is_empty());
    }

    #[test]
    fn a_profile_is_not_claimed_without_its_mechanisms() {
        let own = OwnObjects::new(&[]);
        let found = own.matching(&TOKEN, &template(Class::PROFILE));
        let ids: Vec<_> = found.iter().map(|o| o.attributes.get(attribute::PROFILE_ID)).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
    }
}
