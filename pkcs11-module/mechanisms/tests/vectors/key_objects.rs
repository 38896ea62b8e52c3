//! Key objects of the asymmetric families: the forms that their attributes may have, and what is
//! refused, with which error.

use strongroom_mechanisms::{Policy, key_type};
use strongroom_types::{
    Attributes, Class, Error, KeyType, Param, Params, attribute, ck, mechanism,
};

use crate::curve_vectors::{self as curves, octet_string, private, public};
use crate::support::{Record, complete, encrypt, key, object, sign, ulongs, verify};

/// NIST's RSA key, with what is left out left out.
fn rsa(names: &[&str]) -> Attributes {
    let numbers = Record::all(include_str!("data/sigver15_186-3.txt")).remove(0);
    let mut private = object(Class::PRIVATE_KEY, KeyType::RSA);
    for (name, attribute) in [
        ("n", attribute::MODULUS),
        ("e", attribute::PUBLIC_EXPONENT),
        ("d", attribute::PRIVATE_EXPONENT),
        ("p", attribute::PRIME_1),
        ("q", attribute::PRIME_2),
    ] {
        if names.contains(&name) {
            private.set(attribute, &numbers.bytes(name)[..]);
        }
    }
    private
}

fn with(mut object: Attributes, set: impl FnOnce(&mut Attributes)) -> Attributes {
    set(&mut object);
    object
}

fn refused(object: Attributes) -> Option<Error> {
    complete(object).err()
}

#[test]
fn rsa_numbers() {
    assert_eq!(refused(rsa(&["n", "e", "d"])), None);
    assert_eq!(refused(rsa(&["n", "e"])), Some(Error::TemplateIncomplete));
    assert_eq!(refused(rsa(&["e", "d"])), Some(Error::TemplateIncomplete));
    // The numbers of the Chinese remainder theorem come all together.
    assert_eq!(refused(rsa(&["n", "e", "d", "p", "q"])), Some(Error::TemplateIncomplete));

    let wrong =
        with(rsa(&["n", "e", "d"]), |key| key.set(attribute::PRIVATE_EXPONENT, &[5; 256][..]));
    assert_eq!(refused(wrong), Some(Error::TemplateInconsistent));
    let unknown = with(rsa(&["n", "d"]), |key| key.set(attribute::PRIVATE_EXPONENT, &[5; 256][..]));
    assert_eq!(refused(unknown), Some(Error::TemplateIncomplete));
    let even = with(rsa(&["n", "e", "d"]), |key| key.set(attribute::PUBLIC_EXPONENT, &[2][..]));
    assert_eq!(refused(even), Some(Error::AttributeValueInvalid));
    let info =
        with(rsa(&["n", "e", "d"]), |key| key.set(attribute::PUBLIC_KEY_INFO, &[0x30, 0][..]));
    assert_eq!(refused(info), Some(Error::TemplateInconsistent));

    // Leading zeros, and empty attributes for those that are not there.
    let padded = with(rsa(&["n", "e", "d"]), |key| {
        key.set(attribute::PUBLIC_EXPONENT, &[0, 0, 1, 0, 1][..]);
        key.set(attribute::PRIME_1, &[][..]);
    });
    let padded = complete(padded).unwrap();
    assert_eq!(padded.get(attribute::PUBLIC_EXPONENT), Some(&[1, 0, 1][..]));
    // RFC 8017 has no form for a private key of these numbers alone.
    let row = key_type(KeyType::RSA).unwrap();
    assert_eq!(row.to_pkcs8.unwrap()(&padded).err(), Some(Error::KeyNotWrappable));
}

#[test]
fn rsa_keys_that_are_too_short() {
    let mut short = object(Class::PUBLIC_KEY, KeyType::RSA);
    short.set(attribute::MODULUS, &[0xff; 128][..]);
    short.set(attribute::PUBLIC_EXPONENT, &[3][..]);
    let short = key(short).unwrap();
    let check =
        |policy: Policy| policy.mechanism(mechanism!(CKM_SHA256_RSA_PKCS).0).unwrap().check(&short);
    assert_eq!(check(Policy::Modern), Err(Error::KeySizeRange));
    assert_eq!(check(Policy::Legacy), Ok(()));
}

#[test]
fn rsa_parameters() {
    let private = key(rsa(&["n", "e", "d"])).unwrap();
    let (sha1, sha256, mgf) = (ck!(CKM_SHA_1), ck!(CKM_SHA256), ck!(CKG_MGF1_SHA256));
    let pss = mechanism!(CKM_SHA256_RSA_PKCS_PSS).0;
    let refused = |params: &[u64]| sign(pss, &private, &ulongs(params), b"").err();
    // The longest salt: the modulus, less the digest and two bytes.
    assert_eq!(refused(&[sha256, mgf, 222]), None);
    let invalid = Some(Error::MechanismParamInvalid);
    for params in [
        &[sha256, mgf, 223][..],
        &[sha256, mgf, u64::MAX],
        &[sha1, mgf, 20],
        &[sha256, 0, 20],
        &[0, mgf, 20],
        &[],
    ] {
        assert_eq!(refused(params), invalid, "{params:?}");
    }
    let digest = sign(mechanism!(CKM_RSA_PKCS_PSS).0, &private, &ulongs(&[sha256, mgf, 0]), b"x");
    assert_eq!(digest.err(), Some(Error::DataLenRange));
    let long = sign(mechanism!(CKM_RSA_PKCS).0, &private, &Params::NONE, &[0; 246]);
    assert_eq!(long.err(), Some(Error::DataLenRange));
    let class = verify(mechanism!(CKM_RSA_PKCS).0, &private, &Params::NONE, b"", b"");
    assert_eq!(class.err(), Some(Error::KeyTypeInconsistent));

    let mut public = object(Class::PUBLIC_KEY, KeyType::RSA);
    let numbers = complete(rsa(&["n", "e", "d"])).unwrap();
    for attribute in [attribute::MODULUS, attribute::PUBLIC_EXPONENT] {
        public.set(attribute, numbers.get(attribute).unwrap());
    }
    let public = key(public).unwrap();
    let oaep = mechanism!(CKM_RSA_PKCS_OAEP).0;
    let params = |source, label| with_label(ulongs(&[sha256, mgf, source]), label);
    let specified = params(ck!(CKZ_DATA_SPECIFIED), b"");
    assert!(encrypt(oaep, &public, &specified, &[0; 190]).is_ok());
    let long = encrypt(oaep, &public, &specified, &[0; 191]);
    assert_eq!(long.err(), Some(Error::DataLenRange));
    assert!(encrypt(oaep, &public, &params(0, b""), b"x").is_ok(), "no label, and no source of it");
    for without_source in [params(0, b"label"), params(2, b"")] {
        assert_eq!(encrypt(oaep, &public, &without_source, b"x").err(), invalid);
    }
}

fn with_label(mut params: Params, label: &[u8]) -> Params {
    params.push(Param::from(label));
    params
}

#[test]
fn points_and_scalars() {
    let five = complete(private(KeyType::EC, curves::P256, &[5])).unwrap();
    let point = five.get(attribute::EC_POINT).unwrap();
    let bare = &point[2..];
    let compressed = [&[2 + bare[64] % 2][..], &bare[1..33]].concat();
    let bits = [&[3, 66, 0][..], bare].concat();
    for form in [bare, point, &compressed, &octet_string(&compressed), &bits] {
        let public = complete(public(KeyType::EC, curves::P256, form)).unwrap();
        assert_eq!(public.get(attribute::EC_POINT), Some(point));
        let pair = with(private(KeyType::EC, curves::P256, &[0, 5]), |key| {
            key.set(attribute::EC_POINT, form);
        });
        assert!(complete(pair).unwrap() == five);
    }

    let mut off = bare.to_vec();
    off[64] ^= 1;
    for bad in [&off[..], &bare[..64], &[0], &[], &[&[2][..], &[0xff; 32]].concat()] {
        let bad = public(KeyType::EC, curves::P256, bad);
        assert_eq!(refused(bad), Some(Error::AttributeValueInvalid));
    }
    for bad in [&[0; 32][..], &[0xff; 32], &[1; 33], &[]] {
        let bad = private(KeyType::EC, curves::P256, bad);
        assert_eq!(refused(bad), Some(Error::AttributeValueInvalid));
    }
    let other =
        with(private(KeyType::EC, curves::P256, &[6]), |key| key.set(attribute::EC_POINT, point));
    assert_eq!(refused(other), Some(Error::TemplateInconsistent));
    let other = with(private(KeyType::EC, curves::P256, &[6]), |key| {
        key.set(attribute::PUBLIC_KEY_INFO, five.get(attribute::PUBLIC_KEY_INFO).unwrap());
    });
    assert_eq!(refused(other), Some(Error::TemplateInconsistent));
}

#[test]
fn keys_that_are_bytes() {
    for (id, params, len, names) in [
        (
            KeyType::EC_EDWARDS,
            curves::ED25519,
            32,
            [&b"\x13\x0cedwards25519"[..], b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01"],
        ),
        (
            KeyType::EC_MONTGOMERY,
            curves::X25519,
            32,
            [b"\x13\x0acurve25519", b"\x06\x0a\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01"],
        ),
        (KeyType::EC_EDWARDS, curves::ED448, 57, [b"\x13\x0aedwards448", b"\x13\x05ed448"]),
        (KeyType::EC_MONTGOMERY, curves::X448, 56, [b"\x13\x08curve448", b"\x13\x04x448"]),
    ] {
        let value = vec![1; len];
        let one = complete(private(id, params, &value)).unwrap();
        let point = one.get(attribute::EC_POINT).unwrap();
        let bits = [&[3, u8::try_from(len + 1).unwrap(), 0][..], &point[2..]].concat();
        for name in names {
            assert!(complete(private(id, name, &value)).unwrap() == one);
            for form in [point, &point[2..], &bits] {
                let public = complete(public(id, name, form)).unwrap();
                assert_eq!(public.get(attribute::EC_POINT), Some(point));
                assert_eq!(public.get(attribute::EC_PARAMS), Some(params));
                let info = public.get(attribute::PUBLIC_KEY_INFO);
                assert_eq!(info, one.get(attribute::PUBLIC_KEY_INFO));
            }
        }
        let short = private(id, params, &value[1..]);
        assert_eq!(refused(short), Some(Error::AttributeValueInvalid));
        let short = public(id, params, &value[1..]);
        assert_eq!(refused(short), Some(Error::AttributeValueInvalid));
        let curve = private(id, curves::P256, &value);
        assert_eq!(refused(curve), Some(Error::CurveNotSupported));
    }
}

/// Keys that others have wrapped: what is read is written again, without what is optional.
#[test]
fn wrapped_keys_of_others() {
    for test in Record::all(include_str!("data/rfc8410.txt")) {
        let id = match test.text("ALGORITHM") {
            "X448" => KeyType::EC_MONTGOMERY,
            _ => KeyType::EC_EDWARDS,
        };
        let row = key_type(id).unwrap();
        let mut read = object(Class::PRIVATE_KEY, id);
        let der = test.bytes("PRIVATE");
        row.from_pkcs8.unwrap()(&der, &mut read).unwrap();
        let read = complete(read).unwrap();
        assert_eq!(read.get(attribute::PUBLIC_KEY_INFO), Some(&test.bytes("PUBLIC")[..]));
        let written = row.to_pkcs8.unwrap()(&read).unwrap();
        // Version 2 is the one with the public key.
        let has_public = der[4] == 1;
        assert_eq!(written[..] == der[..], !has_public);
        if has_public {
            // The public key stands last; another one is a fault.
            let mut other = der.clone();
            *other.last_mut().unwrap() ^= 1;
            let refused = row.from_pkcs8.unwrap()(&other, &mut object(Class::PRIVATE_KEY, id));
            assert_eq!(refused, Err(Error::WrappedKeyInvalid));
        }
    }
}

/// A wrapped key is read as a key of its own type, and no other.
#[test]
fn wrapped_keys_of_another_type() {
    let keys = [
        complete(private(KeyType::EC, curves::P384, &[5])).unwrap(),
        complete(private(KeyType::EC_EDWARDS, curves::ED25519, &[5; 32])).unwrap(),
        complete(private(KeyType::EC_MONTGOMERY, curves::X25519, &[5; 32])).unwrap(),
        complete(private(KeyType::EC_EDWARDS, curves::ED448, &[5; 57])).unwrap(),
        complete(private(KeyType::EC_MONTGOMERY, curves::X448, &[5; 56])).unwrap(),
    ];
    let types = [KeyType::RSA, KeyType::EC, KeyType::EC_EDWARDS, KeyType::EC_MONTGOMERY];
    for key in &keys {
        let own = KeyType(key.get(attribute::KEY_TYPE).unwrap());
        let der = key_type(own).unwrap().to_pkcs8.unwrap()(key).unwrap();
        for id in types {
            let from_pkcs8 = key_type(id).unwrap().from_pkcs8.unwrap();
            let read = from_pkcs8(&der, &mut object(Class::PRIVATE_KEY, id));
            assert_eq!(read.is_ok(), id == own);
            let longer =
                from_pkcs8(&[&der[..], &[0]].concat(), &mut object(Class::PRIVATE_KEY, id));
            assert_eq!(longer, Err(Error::WrappedKeyInvalid));
            let shorter = from_pkcs8(&der[..der.len() - 1], &mut object(Class::PRIVATE_KEY, id));
            assert_eq!(shorter, Err(Error::WrappedKeyInvalid));
        }
    }
}
