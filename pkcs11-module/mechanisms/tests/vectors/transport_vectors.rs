//! Diffie-Hellman, and keys under a key that is made for them alone.

use rsa::pkcs8::DecodePrivateKey as _;
use strongroom_mechanisms::{Key, Policy};
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Param, Params, attribute, ck, mechanism,
};

use crate::aes_support::{Call, aes, bytes};
use crate::curve_vectors as curves;
use crate::key_pairs::{Pair, on, rsa_template};
use crate::support::{self, Record, complete, encrypt, object};

/// The attributes of a Diffie-Hellman key.
pub(crate) fn dh(class: Class, record: &Record<'_>, value: Option<&str>) -> Attributes {
    let mut key = object(class, KeyType::DH);
    key.set(attribute::PRIME, &record.bytes("P")[..]);
    key.set(attribute::BASE, &record.bytes("G")[..]);
    if let Some(value) = value {
        key.set(attribute::VALUE, &record.bytes(value)[..]);
    }
    key
}

#[test]
pub(crate) fn agreements() {
    let id = mechanism!(CKM_DH_PKCS_DERIVE).0;
    let (mut correct, mut changed) = (0, 0);
    for record in Record::all(include_str!("data/dh.txt")) {
        let private = complete(dh(Class::PRIVATE_KEY, &record, Some("X"))).unwrap();
        let public = complete(dh(Class::PUBLIC_KEY, &record, Some("Y"))).unwrap();
        let info = private.get(attribute::PUBLIC_KEY_INFO).unwrap();
        assert_eq!(Some(info), public.get(attribute::PUBLIC_KEY_INFO));
        let key = Key::parse(&private).unwrap();
        assert_eq!(key.size(), 2048);
        let derive =
            |peer: &[u8], wanted| support::derive(id, (&key, &private), &bytes(peer), wanted, &[]);
        let (peer, expected) = (record.bytes("PEER"), record.bytes("Z"));
        let secret = derive(&peer, None).unwrap();
        assert_eq!(secret.len(), 256);
        let same = secret[256 - expected.len()..] == expected[..];
        match record.text("RESULT") {
            "P" => {
                assert!(same);
                correct += 1;
            }
            _ => {
                assert!(!same);
                changed += 1;
            }
        }
        assert_eq!(derive(&peer, Some(16)).unwrap()[..], secret[240..]);
        assert_eq!(derive(&peer, Some(257)).err(), Some(Error::KeySizeRange));
        let prime = record.bytes("P");
        let mut last = prime.clone();
        last[255] -= 1;
        for peer in [&[][..], &[0], &[1], &last, &prime] {
            assert_eq!(derive(peer, None).err(), Some(Error::MechanismParamInvalid));
        }
    }
    assert!(correct >= 8 && changed >= 2);
}

/// Groups and values that are none.
#[test]
pub(crate) fn dh_keys_that_are_refused() {
    let records = Record::all(include_str!("data/dh.txt"));
    let with = |class, value: &[u8], prime: Option<&[u8]>, base: Option<&[u8]>| {
        let mut key = dh(class, &records[0], None);
        key.set(attribute::VALUE, value);
        if let Some(prime) = prime {
            key.set(attribute::PRIME, prime);
        }
        if let Some(base) = base {
            key.set(attribute::BASE, base);
        }
        complete(key).err()
    };
    let prime = records[0].bytes("P");
    for class in [Class::PRIVATE_KEY, Class::PUBLIC_KEY] {
        for value in [&[][..], &[0], &prime] {
            let refused = with(class, value, None, None);
            assert_eq!(refused, Some(Error::AttributeValueInvalid));
        }
        let short = with(class, &[5], Some(&[0xff; 63]), None);
        assert_eq!(short, Some(Error::KeySizeRange));
        let even = with(class, &[5], Some(&[&[0xff; 255][..], &[0xfe]].concat()), None);
        assert!(even.is_some());
        assert!(with(class, &[5], None, Some(&prime)).is_some(), "a base beyond the prime");
        assert!(with(class, &[5], None, Some(&[0])).is_some(), "a base of nothing");
    }
}

/// `CK_RSA_AES_KEY_WRAP_PARAMS`, with OAEP of SHA-256 and a label.
fn rsa_params(bits: u64) -> Params {
    let oaep = [
        Param::Ulong(ck!(CKM_SHA256)),
        Param::Ulong(ck!(CKG_MGF1_SHA256)),
        Param::Ulong(ck!(CKZ_DATA_SPECIFIED)),
        Param::from(&b"label"[..]),
    ];
    [Param::Ulong(bits), Param::Structure(oaep.into_iter().collect())].into_iter().collect()
}

/// KWP, which vectors hold by itself.
fn kwp(key: &[u8], data: &[u8], wraps: bool) -> Vec<u8> {
    let (id, key) = (mechanism!(CKM_AES_KEY_WRAP_KWP).0, &aes(key));
    let call = Call { id, key, params: &Params::NONE };
    if wraps { call.wrap(data).unwrap().to_vec() } else { call.unwrap(data).unwrap().to_vec() }
}

/// The `rsa` crate opens what we wrap; and we open what is put together of parts that have vectors
/// of their own.
#[test]
pub(crate) fn rsa_transport() {
    let id = mechanism!(CKM_RSA_AES_KEY_WRAP).0;
    let generator = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    let pair = Pair::generate(generator, KeyType::RSA, rsa_template(2048, None)).unwrap();
    let (public, private) = pair.keys();
    let theirs = rsa::RsaPrivateKey::from_pkcs8_der(&pair.pkcs8()).unwrap();
    let secret = b"a key of some length".repeat(9);
    for (bits, len) in [(128, 16), (192, 24), (256, 32)] {
        let params = &rsa_params(bits);
        let wrapped = Call { id, key: &public, params }.wrap(&secret).unwrap();
        let (head, rest) = wrapped.split_at(256);
        let padding = rsa::Oaep::<sha2::Sha256>::new_with_label(b"label".as_slice());
        let inner = theirs.decrypt(padding, head).unwrap();
        assert_eq!(inner.len(), len);
        assert_eq!(kwp(&inner, rest, false), secret);

        let Param::Structure(oaep) = &params.as_slice()[1] else { panic!() };
        let inner = vec![7; len];
        let head = encrypt(mechanism!(CKM_RSA_PKCS_OAEP).0, &public, oaep, &inner).unwrap();
        let made = [&head[..], &kwp(&inner, &secret, true)].concat();
        let call = Call { id, key: &private, params };
        assert_eq!(*call.unwrap(&made).unwrap(), secret);
        let other = rsa_params(if bits == 128 { 256 } else { 128 });
        let other = Call { params: &other, ..call };
        assert_eq!(other.unwrap(&made).err(), Some(Error::WrappedKeyInvalid));
        refusals(call, &made, 256);
    }
    let call = Call { id, key: &public, params: &rsa_params(100) };
    assert_eq!(call.wrap(&secret).err(), Some(Error::MechanismParamInvalid));
}

/// Nothing that was cut or changed is opened. The first part has this length.
fn refusals(call: Call<'_>, made: &[u8], head: usize) {
    for len in [0, head - 1, head, head + 8, made.len() - 1] {
        assert_eq!(call.unwrap(&made[..len]).err(), Some(Error::WrappedKeyLenRange));
    }
    for at in [1, head / 2, head, made.len() - 1] {
        let mut changed = made.to_vec();
        changed[at] ^= 1;
        assert_eq!(call.unwrap(&changed).err(), Some(Error::WrappedKeyInvalid));
    }
}

/// `CK_ECDH_AES_KEY_WRAP_PARAMS`.
fn ecdh_params(bits: u64, kdf: u64, shared: &[u8]) -> Params {
    [Param::Ulong(bits), Param::Ulong(kdf), Param::from(shared)].into_iter().collect()
}

/// Both directions against an agreement and a wrapping, which have vectors of their own.
fn ecdh_transport(id: MechanismType, pair: &dyn Fn() -> Pair, point_len: usize) {
    let secret = b"a key of some length".repeat(9);
    let bare = |pair: &Pair| {
        let point = pair.public.get(attribute::EC_POINT).unwrap();
        point[point.len() - point_len..].to_vec()
    };
    let (theirs, own) = (pair(), pair());
    let (public, private) = theirs.keys();
    for (kdf, shared) in [(ck!(CKD_NULL), &b""[..]), (ck!(CKD_SHA256_KDF), b"shared")] {
        for (bits, len) in [(128, 16), (192, 24), (256, 32)] {
            let agreed = |key: &_, point: &[u8]| {
                let agree = mechanism!(CKM_ECDH1_DERIVE).0;
                curves::derive(agree, key, (kdf, shared, point), Some(len)).unwrap()
            };
            let params = &ecdh_params(bits, kdf, shared);
            let wrapped = Call { id, key: &public, params }.wrap(&secret).unwrap();
            let (head, rest) = wrapped.split_at(point_len);
            assert_eq!(kwp(&agreed(&private, head), rest, false), secret);

            let inner = agreed(&own.keys().1, &bare(&theirs));
            let made = [bare(&own), kwp(&inner, &secret, true)].concat();
            let call = Call { id, key: &private, params };
            assert_eq!(*call.unwrap(&made).unwrap(), secret);
            refusals(call, &made, point_len);
        }
    }
    for params in [ecdh_params(100, ck!(CKD_NULL), b""), ecdh_params(128, 99, b"")] {
        let call = Call { id, key: &public, params: &params };
        assert_eq!(call.wrap(&secret).err(), Some(Error::MechanismParamInvalid));
    }
}

#[test]
pub(crate) fn ec_transport() {
    let pair = |curve: &'static [u8]| {
        let id = mechanism!(CKM_EC_KEY_PAIR_GEN).0;
        move || Pair::generate(id, KeyType::EC, on(curve)).unwrap()
    };
    for id in [mechanism!(CKM_ECDH_AES_KEY_WRAP).0, mechanism!(CKM_ECDH_COF_AES_KEY_WRAP).0] {
        ecdh_transport(id, &pair(curves::P256), 65);
        ecdh_transport(id, &pair(curves::P521), 133);
    }
}

#[test]
pub(crate) fn montgomery_transport() {
    let generator = mechanism!(CKM_EC_MONTGOMERY_KEY_PAIR_GEN).0;
    for (params, len) in [(curves::X25519, 32), (curves::X448, 56)] {
        let pair = || Pair::generate(generator, KeyType::EC_MONTGOMERY, on(params)).unwrap();
        ecdh_transport(mechanism!(CKM_ECDH_X_AES_KEY_WRAP).0, &pair, len);
    }
}

/// New pairs agree with each other, and with themselves.
#[test]
pub(crate) fn dh_pairs() {
    let records = Record::all(include_str!("data/dh.txt"));
    let generate = || {
        let group = dh(Class::PUBLIC_KEY, &records[0], None);
        Pair::generate(mechanism!(CKM_DH_PKCS_KEY_PAIR_GEN).0, KeyType::DH, group).unwrap()
    };
    let (one, other) = (generate(), generate());
    one.check();
    let secret = |mine: &Pair, theirs: &Pair| {
        let (key, params) = (mine.keys().1, bytes(theirs.public.get(attribute::VALUE).unwrap()));
        let id = mechanism!(CKM_DH_PKCS_DERIVE).0;
        support::derive(id, (&key, &mine.private), &params, None, &[]).unwrap()
    };
    assert!(secret(&one, &other) == secret(&other, &one));
    assert!(secret(&one, &one) != secret(&one, &other));
    assert!(one.private.get(attribute::VALUE_BITS).is_some_and(|bits| bits > 1900));

    let generate = |bits: u64| {
        let mut public = dh(Class::PUBLIC_KEY, &records[0], None);
        let mut private = object(Class::PRIVATE_KEY, KeyType::DH);
        private.set(attribute::VALUE_BITS, bits);
        let row = support::mechanism(mechanism!(CKM_DH_PKCS_KEY_PAIR_GEN).0)?;
        row.generate_pair.unwrap()(&Params::NONE, &mut public, &mut private)?;
        complete(private)?.need(attribute::VALUE_BITS)
    };
    assert!(generate(256).is_ok_and(|bits| bits <= 256 && bits > 200));
    let row = Policy::Modern.mechanism(mechanism!(CKM_DH_PKCS_KEY_PAIR_GEN).0).unwrap();
    let mut short = Attributes::default();
    short.set(attribute::PRIME, &[0xff; 128][..]);
    assert_eq!(row.check_wanted(&short), Err(Error::AttributeValueInvalid));
    let legacy = Policy::Legacy.mechanism(mechanism!(CKM_DH_PKCS_KEY_PAIR_GEN).0).unwrap();
    assert_eq!(legacy.check_wanted(&short), Ok(()));
    for bits in [0, 223, 2049, u64::MAX] {
        assert_eq!(generate(bits).err(), Some(Error::AttributeValueInvalid));
    }
}

/// `CKM_DH_PKCS_PARAMETER_GEN`: a prime of the size, half of which is a prime, and the base 2. That takes long where it is not legacy.
#[test]
pub(crate) fn dh_parameters() {
    let row = support::mechanism(mechanism!(CKM_DH_PKCS_PARAMETER_GEN).0).unwrap();
    let mut made = object(Class::DOMAIN_PARAMETERS, KeyType::DH);
    made.set(attribute::PRIME_BITS, 512_u64);
    row.check_wanted(&made).unwrap();
    row.generate_parameters.unwrap()(&Params::NONE, &mut made).unwrap();
    let made = complete(made).unwrap();
    assert_eq!(made.get(attribute::PRIME_BITS), Some(512));
    let [prime, base] = [attribute::PRIME, attribute::BASE].map(|name| made.get(name).unwrap());
    assert_eq!(base, [2]);
    let prime = dsa::BoxedUint::from_be_slice_vartime(prime);
    assert!(crypto_primes::is_prime(crypto_primes::Flavor::Safe, &prime));

    let modern = Policy::Modern.mechanism(mechanism!(CKM_DH_PKCS_PARAMETER_GEN).0).unwrap();
    for bits in [512_u64, 2047, 4097, u64::MAX] {
        let mut wanted = Attributes::default();
        wanted.set(attribute::PRIME_BITS, bits);
        assert_eq!(modern.check_wanted(&wanted), Err(Error::AttributeValueInvalid));
    }
}
