//! Key generation, for which there are no vectors: each pair agrees with itself, and the second
//! opinion reads its structures, verifies what it signs and signs what it verifies.

use std::sync::Arc;

use ed25519_dalek::Verifier as _;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use sha2::Digest as _;
use strongroom_mechanisms::{Inputs, Key, Makes, Policy, key_type};
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};

use crate::curve_vectors::{self as curves, derive, octet_string};
use crate::support::{complete, decrypt, encrypt, mechanism, object, sign, ulongs, verify};

/// The two objects of a pair, as the core would store them.
pub(crate) struct Pair {
    pub(crate) public: Attributes,
    pub(crate) private: Attributes,
}

impl Pair {
    /// Generates a pair from the attributes of a public template.
    pub(crate) fn generate(
        id: MechanismType,
        key_type: KeyType,
        public: Attributes,
    ) -> Result<Self> {
        let mut public = public;
        public.set(attribute::CLASS, Class::PUBLIC_KEY.0);
        public.set(attribute::KEY_TYPE, key_type.0);
        let mut private = object(Class::PRIVATE_KEY, key_type);
        let row = mechanism(id)?;
        let generate = row.generate_pair.ok_or(Error::MechanismInvalid)?;
        row.check_wanted(&public)?;
        generate(&Params::NONE, &mut public, &mut private)?;
        Ok(Self { public: complete(public)?, private: complete(private)? })
    }

    pub(crate) fn keys(&self) -> (Arc<Key>, Arc<Key>) {
        let parse = |object| Arc::new(Key::parse(object).unwrap());
        (parse(&self.public), parse(&self.private))
    }

    /// The two public key structures are the same, and writing and reading the private key gives
    /// it back.
    pub(crate) fn check(&self) {
        let info = self.public.get(attribute::PUBLIC_KEY_INFO).unwrap();
        assert_eq!(Some(info), self.private.get(attribute::PUBLIC_KEY_INFO));
        let id = KeyType(self.private.get(attribute::KEY_TYPE).unwrap());
        self.check_public(id);
        let mut read = object(Class::PRIVATE_KEY, id);
        (key_type(id).unwrap().from_pkcs8.unwrap())(&self.pkcs8(), &mut read).unwrap();
        assert!(complete(read).unwrap() == self.private);
    }

    /// The private key tells its public key, if the mechanism takes it.
    fn check_public(&self, id: KeyType) {
        let row = mechanism(mechanism!(CKM_PUB_KEY_FROM_PRIV_KEY).0).unwrap();
        let Makes::Public(told) = &row.derive.as_ref().unwrap().makes else { panic!() };
        let tell = |key: &Attributes| {
            let parsed = Key::parse(key).unwrap();
            let other = |_| Err(Error::KeyHandleInvalid);
            let params = &Params::NONE;
            told(&Inputs {
                key: &parsed,
                attributes: key,
                params,
                other: &other,
                mechanism: &mechanism,
            })
        };
        if row.keys.contains(&id) {
            let told = tell(&self.private).unwrap();
            let mut public = object(Class::PUBLIC_KEY, id);
            told.iter().for_each(|(id, value)| public.put(id, value.clone()));
            assert!(complete(public).unwrap() == self.public);
            assert_eq!(tell(&self.public).err(), Some(Error::KeyTypeInconsistent));
        }
    }

    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let id = KeyType(self.private.get(attribute::KEY_TYPE).unwrap());
        (key_type(id).unwrap().to_pkcs8.unwrap())(&self.private).unwrap().to_vec()
    }

    pub(crate) fn spki(&self) -> &[u8] {
        self.public.get(attribute::PUBLIC_KEY_INFO).unwrap()
    }
}

pub(crate) fn on(params: &[u8]) -> Attributes {
    let mut public = Attributes::default();
    public.set(attribute::EC_PARAMS, params);
    public
}

pub(crate) fn rsa_template(bits: u64, exponent: Option<&[u8]>) -> Attributes {
    let mut public = Attributes::default();
    public.set(attribute::MODULUS_BITS, bits);
    if let Some(exponent) = exponent {
        public.set(attribute::PUBLIC_EXPONENT, exponent);
    }
    public
}

/// `CKM_RSA_PKCS_KEY_PAIR_GEN`, and everything that RSA does, against the `rsa` crate.
#[test]
pub(crate) fn rsa_pairs() {
    let id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    let generate = |bits, exponent| Pair::generate(id, KeyType::RSA, rsa_template(bits, exponent));
    let pair = generate(2048, Some(&[0, 3])).unwrap();
    assert_eq!(pair.private.get(attribute::PUBLIC_EXPONENT), Some(&[3][..]));
    let pair = generate(2048, None).unwrap();
    pair.check();
    let (public, private) = pair.keys();
    let their_public = rsa::RsaPublicKey::from_public_key_der(pair.spki()).unwrap();
    let their_private = rsa::RsaPrivateKey::from_pkcs8_der(&pair.pkcs8()).unwrap();
    their_private.validate().unwrap();
    assert_eq!(their_public.size(), 256);

    let message = b"the second opinion";
    let digest = sha2::Sha256::digest(message);
    let ours = |ckm| sign(ckm, &private, &Params::NONE, message).unwrap();
    let pkcs1 = rsa::Pkcs1v15Sign::new::<sha2::Sha256>();
    let signature = ours(mechanism!(CKM_SHA256_RSA_PKCS).0);
    their_public.verify(pkcs1.clone(), &digest, &signature).unwrap();
    let theirs = their_private.sign(pkcs1, &digest).unwrap();
    assert_eq!(theirs[..], signature[..]);

    let hash = ck!(CKM_SHA256);
    let pss = ulongs(&[hash, ck!(CKG_MGF1_SHA256), 20]);
    let signature = sign(mechanism!(CKM_SHA256_RSA_PKCS_PSS).0, &private, &pss, message).unwrap();
    let scheme = rsa::Pss::<sha2::Sha256>::new_with_salt(20);
    their_public.verify(scheme, &digest, &signature).unwrap();

    let mut params = ulongs(&[hash, ck!(CKG_MGF1_SHA1), ck!(CKZ_DATA_SPECIFIED)]);
    params.push(Param::from(&b"label"[..]));
    let ciphertext = encrypt(mechanism!(CKM_RSA_PKCS_OAEP).0, &public, &params, message).unwrap();
    let oaep =
        rsa::Oaep::<sha2::Sha256, sha1::Sha1>::new_with_mgf_hash_and_label(b"label".as_slice());
    assert_eq!(their_private.decrypt(oaep, &ciphertext).unwrap(), message);

    let pkcs = mechanism!(CKM_RSA_PKCS).0;
    let ciphertext = encrypt(pkcs, &public, &Params::NONE, message).unwrap();
    assert_eq!(their_private.decrypt(rsa::Pkcs1v15Encrypt, &ciphertext).unwrap(), message);
    assert_eq!(decrypt(pkcs, &private, &Params::NONE, &ciphertext).unwrap()[..], message[..]);
    wraps(&public, &private, &params);
}

/// Threads sign with the same key at once: its blindings are AWS-LC's to guard.
#[test]
fn a_key_is_shared_by_threads() {
    let id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    let pair = Pair::generate(id, KeyType::RSA, rsa_template(2048, None)).unwrap();
    let (public, private) = pair.keys();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (public, private) = (&public, &private);
            scope.spawn(move || {
                for n in 0..20 {
                    let (id, data) = (mechanism!(CKM_RSA_PKCS).0, [thread, n]);
                    let signature = sign(id, private, &Params::NONE, &data).unwrap();
                    assert_eq!(verify(id, public, &Params::NONE, &data, &signature), Ok(()));
                }
            });
        }
    });
}

/// What is wrapped is unwrapped, and what is too long is refused.
fn wraps(public: &Key, private: &Key, oaep: &Params) {
    let secret = [7; 32];
    for (id, params) in
        [(mechanism!(CKM_RSA_PKCS).0, &Params::NONE), (mechanism!(CKM_RSA_PKCS_OAEP).0, oaep)]
    {
        let row = mechanism(id).unwrap();
        let (wrap, unwrap) = (row.wrap.unwrap(), row.unwrap.unwrap());
        let wrapped = wrap(public, params, &secret).unwrap();
        assert_eq!(unwrap(private, params, &wrapped, &[]).unwrap()[..], secret);
        assert_eq!(wrap(public, params, &[0; 256]).err(), Some(Error::KeySizeRange));
        let short = unwrap(private, params, &wrapped[1..], &[]);
        assert_eq!(short.err(), Some(Error::WrappedKeyLenRange));
        let other = unwrap(private, params, &[1; 256], &[32]);
        let never_refuses = id == mechanism!(CKM_RSA_PKCS).0;
        assert_eq!(other.err(), (!never_refuses).then_some(Error::WrappedKeyInvalid));
        assert_eq!(unwrap(public, params, &wrapped, &[]).err(), Some(Error::KeyTypeInconsistent));
    }
}

/// Short keys, which are legacy: they sign as others verify, and modern rows do not make them.
#[test]
fn rsa_pairs_that_are_short() {
    let id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    for bits in [512, 1024] {
        let template = rsa_template(bits, None);
        let modern = Policy::Modern.mechanism(id).unwrap().check_wanted(&template);
        assert_eq!(modern, Err(Error::AttributeValueInvalid));
        let pair = Pair::generate(id, KeyType::RSA, template).unwrap();
        pair.check();
        let (public, private) = pair.keys();
        let id = mechanism!(CKM_SHA256_RSA_PKCS).0;
        let signature = sign(id, &private, &Params::NONE, b"short").unwrap();
        assert_eq!(verify(id, &public, &Params::NONE, b"short", &signature), Ok(()));
        // The crate takes no shorter ones.
        if bits >= 1024 {
            let theirs = rsa::RsaPublicKey::from_public_key_der(pair.spki()).unwrap();
            let digest = sha2::Sha256::digest(b"short");
            theirs.verify(rsa::Pkcs1v15Sign::new::<sha2::Sha256>(), &digest, &signature).unwrap();
        }
        let long = sign(mechanism!(CKM_SHA512_RSA_PKCS).0, &private, &Params::NONE, b"short");
        assert_eq!(long.err(), (bits == 512).then_some(Error::KeySizeRange));
    }
}

/// Lengths and exponents that can not be generated.
#[test]
fn rsa_pairs_that_are_refused() {
    let id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    for (bits, exponent) in [
        (511, None),
        (8320, None),
        (2049, None),
        (u64::MAX, None),
        (2048, Some(&[1][..])),
        (2048, Some(&[1, 0, 0])),
        (2048, Some(&[])),
        (2048, Some(&[1, 0, 0, 0, 1])),
    ] {
        let pair = Pair::generate(id, KeyType::RSA, rsa_template(bits, exponent));
        assert_eq!(pair.err(), Some(Error::AttributeValueInvalid), "{bits} {exponent:?}");
    }
    let pair = Pair::generate(id, KeyType::RSA, Attributes::default());
    assert_eq!(pair.err(), Some(Error::TemplateIncomplete));
}

/// `CKM_EC_KEY_PAIR_GEN` and its other: every curve, by identifier and by name.
#[test]
pub(crate) fn ec_pairs() {
    let id = mechanism!(CKM_EC_KEY_PAIR_GEN).0;
    for (params, name) in [
        (curves::P256, &b"\x13\x0aprime256v1"[..]),
        (curves::P384, b"\x13\x09secp384r1"),
        (curves::P521, b"\x13\x09secp521r1"),
        (curves::SECP256K1, b"\x13\x09secp256k1"),
        (curves::P192, b"\x13\x09secp192r1"),
        (curves::P224, b"\x13\x09secp224r1"),
        (curves::BRAINPOOL_224, b"\x13\x0fbrainpoolP224r1"),
        (curves::BRAINPOOL_256, b"\x13\x0fbrainpoolP256r1"),
        (curves::BRAINPOOL_320, b"\x13\x0fbrainpoolP320r1"),
        (curves::BRAINPOOL_384, b"\x13\x0fbrainpoolP384r1"),
        (curves::BRAINPOOL_512, b"\x13\x0fbrainpoolP512r1"),
    ] {
        let pair = Pair::generate(id, KeyType::EC, on(name)).unwrap();
        pair.check();
        assert_eq!(pair.public.get(attribute::EC_PARAMS), Some(params));
        assert_eq!(pair.private.get(attribute::EC_PARAMS), Some(params));
        assert_eq!(
            pair.public.get(attribute::EC_POINT).unwrap(),
            pair.private.get(attribute::EC_POINT).unwrap()
        );
        let (public, private) = pair.keys();
        let ecdsa = mechanism!(CKM_ECDSA_SHA384).0;
        let signature = sign(ecdsa, &private, &Params::NONE, b"pairwise").unwrap();
        assert_eq!(verify(ecdsa, &public, &Params::NONE, b"pairwise", &signature), Ok(()));
        let extra = mechanism!(CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS).0;
        let other = Pair::generate(extra, KeyType::EC, on(params)).unwrap();
        other.check();
        agrees(&pair, &other);
    }
}

/// Both sides derive the same secret.
fn agrees(one: &Pair, other: &Pair) {
    let id = mechanism!(CKM_ECDH1_DERIVE).0;
    let secret = |mine: &Pair, theirs: &Pair| {
        let point = theirs.public.get(attribute::EC_POINT).unwrap();
        derive(id, &mine.keys().1, (ck!(CKD_NULL), b"", point), None).unwrap()
    };
    assert!(secret(one, other) == secret(other, one));
}

/// P-256 and P-192 against the crates `p256` and `p192`, of which the latter verifies only.
#[test]
pub(crate) fn ecdsa_second_opinion() {
    let (generate, ecdsa) = (mechanism!(CKM_EC_KEY_PAIR_GEN).0, mechanism!(CKM_ECDSA).0);
    let digest = sha2::Sha256::digest(b"the second opinion");

    let pair = Pair::generate(generate, KeyType::EC, on(curves::P256)).unwrap();
    let (public, private) = pair.keys();
    let ours = sign(ecdsa, &private, &Params::NONE, &digest).unwrap();
    let theirs = p256::ecdsa::VerifyingKey::from_public_key_der(pair.spki()).unwrap();
    theirs.verify_prehash(&digest, &p256::ecdsa::Signature::from_slice(&ours).unwrap()).unwrap();
    let theirs = p256::ecdsa::SigningKey::from_pkcs8_der(&pair.pkcs8()).unwrap();
    let signature: p256::ecdsa::Signature = theirs.sign_prehash(&digest).unwrap();
    let signature = signature.to_bytes();
    assert_eq!(verify(ecdsa, &public, &Params::NONE, &digest, &signature), Ok(()));

    let pair = Pair::generate(generate, KeyType::EC, on(curves::P192)).unwrap();
    let ours = sign(ecdsa, &pair.keys().1, &Params::NONE, &digest).unwrap();
    let theirs = p192::ecdsa::VerifyingKey::from_public_key_der(pair.spki()).unwrap();
    theirs.verify_prehash(&digest, &p192::ecdsa::Signature::from_slice(&ours).unwrap()).unwrap();
}

/// The structure of a private key says one curve and one public key, however often.
#[test]
fn a_private_key_of_another_public_key_is_refused() {
    let generate = mechanism!(CKM_EC_KEY_PAIR_GEN).0;
    for params in [curves::P192, curves::P256] {
        let pair = Pair::generate(generate, KeyType::EC, on(params)).unwrap();
        let read = |der: &[u8]| {
            let mut read = object(Class::PRIVATE_KEY, KeyType::EC);
            (key_type(KeyType::EC).unwrap().from_pkcs8.unwrap())(der, &mut read).map(|()| read)
        };
        let der = pair.pkcs8();
        let value = read(&der).unwrap();
        assert_eq!(value.get(attribute::VALUE), pair.private.get(attribute::VALUE));
        let mut other = der.clone();
        *other.last_mut().unwrap() ^= 1;
        let longer = [&der[..], &[0]].concat();
        let at = der.windows(params.len()).position(|window| window == params).unwrap();
        let mut unknown = der.clone();
        unknown[at + params.len() - 1] = 0x70;
        for wrong in [other, longer, unknown, der[..der.len() - 1].to_vec()] {
            assert_eq!(read(&wrong).err(), Some(Error::WrappedKeyInvalid));
        }
    }
}

/// P-192 is legacy, with its keys as well.
#[test]
fn a_short_curve_is_legacy() {
    let public = on(curves::P192);
    for (policy, answer) in
        [(Policy::Modern, Err(Error::CurveNotSupported)), (Policy::Legacy, Ok(()))]
    {
        for id in
            [mechanism!(CKM_EC_KEY_PAIR_GEN).0, mechanism!(CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS).0]
        {
            assert_eq!(policy.mechanism(id).unwrap().check_wanted(&public), answer);
        }
    }
    let pair = Pair::generate(mechanism!(CKM_EC_KEY_PAIR_GEN).0, KeyType::EC, public).unwrap();
    let private = pair.keys().1;
    for id in [
        mechanism!(CKM_ECDSA).0,
        mechanism!(CKM_ECDSA_SHA256).0,
        mechanism!(CKM_ECDH1_DERIVE).0,
        mechanism!(CKM_ECDH1_COFACTOR_DERIVE).0,
    ] {
        let row = |policy: Policy| policy.mechanism(id).unwrap().check(&private);
        assert_eq!(row(Policy::Modern), Err(Error::KeySizeRange));
        assert_eq!(row(Policy::Legacy), Ok(()));
    }
}

/// `CKM_MD5_RSA_PKCS`, by the `rsa` and `md-5` crates.
#[test]
pub(crate) fn md5_second_opinion() {
    let id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    let pair = Pair::generate(id, KeyType::RSA, rsa_template(2048, None)).unwrap();
    let (public, private) = pair.keys();
    let id = mechanism!(CKM_MD5_RSA_PKCS).0;
    let signature = sign(id, &private, &Params::NONE, b"the second opinion").unwrap();
    assert_eq!(verify(id, &public, &Params::NONE, b"the second opinion", &signature), Ok(()));
    let theirs = rsa::RsaPublicKey::from_public_key_der(pair.spki()).unwrap();
    let digest = md5::Md5::digest(b"the second opinion");
    theirs.verify(rsa::Pkcs1v15Sign::new::<md5::Md5>(), &digest, &signature).unwrap();
}

/// SHA-3 in signatures, by the `rsa`, `p256` and `sha3` crates.
#[test]
pub(crate) fn sha3_second_opinion() {
    let rsa_id = mechanism!(CKM_RSA_PKCS_KEY_PAIR_GEN).0;
    let rsa_pair = Pair::generate(rsa_id, KeyType::RSA, rsa_template(2048, None)).unwrap();
    let ec_id = mechanism!(CKM_EC_KEY_PAIR_GEN).0;
    let ec_pair = Pair::generate(ec_id, KeyType::EC, on(curves::P256)).unwrap();
    let (rsa_public, rsa_private) = rsa_pair.keys();
    let (ec_public, ec_private) = ec_pair.keys();
    let rsa_theirs = rsa::RsaPublicKey::from_public_key_der(rsa_pair.spki()).unwrap();
    let ec_theirs = p256::ecdsa::VerifyingKey::from_public_key_der(ec_pair.spki()).unwrap();
    let message = b"the second opinion";
    macro_rules! check {
        ($($hash:ident: $digest:ident, $mgf:ident, $pkcs1:ident, $pss:ident, $ecdsa:ident;)*) => {$({
            let digest = sha3::$hash::digest(message);
            let ours = sign(mechanism!($pkcs1).0, &rsa_private, &Params::NONE, message).unwrap();
            rsa_theirs.verify(rsa::Pkcs1v15Sign::new::<sha3::$hash>(), &digest, &ours).unwrap();

            let (id, params) = (mechanism!($pss).0, ulongs(&[ck!($digest), ck!($mgf), 20]));
            let ours = sign(id, &rsa_private, &params, message).unwrap();
            let scheme = rsa::Pss::<sha3::$hash>::new_with_salt(20);
            rsa_theirs.verify(scheme, &digest, &ours).unwrap();
            assert_eq!(verify(id, &rsa_public, &params, message, &ours), Ok(()));

            let id = mechanism!($ecdsa).0;
            let ours = sign(id, &ec_private, &Params::NONE, message).unwrap();
            let signature = p256::ecdsa::Signature::from_slice(&ours).unwrap();
            // A digest shorter than the field is a number with leading zeros to ECDSA.
            let number = [&vec![0; 32_usize.saturating_sub(digest.len())][..], &digest].concat();
            ec_theirs.verify_prehash(&number, &signature).unwrap();
            assert_eq!(verify(id, &ec_public, &Params::NONE, message, &ours), Ok(()));
        })*};
    }
    check! {
        Sha3_224: CKM_SHA3_224, CKG_MGF1_SHA3_224, CKM_SHA3_224_RSA_PKCS, CKM_SHA3_224_RSA_PKCS_PSS, CKM_ECDSA_SHA3_224;
        Sha3_256: CKM_SHA3_256, CKG_MGF1_SHA3_256, CKM_SHA3_256_RSA_PKCS, CKM_SHA3_256_RSA_PKCS_PSS, CKM_ECDSA_SHA3_256;
        Sha3_384: CKM_SHA3_384, CKG_MGF1_SHA3_384, CKM_SHA3_384_RSA_PKCS, CKM_SHA3_384_RSA_PKCS_PSS, CKM_ECDSA_SHA3_384;
        Sha3_512: CKM_SHA3_512, CKG_MGF1_SHA3_512, CKM_SHA3_512_RSA_PKCS, CKM_SHA3_512_RSA_PKCS_PSS, CKM_ECDSA_SHA3_512;
    }
}

/// `CKM_EC_EDWARDS_KEY_PAIR_GEN` and `CKM_EDDSA`, by identifier and by name, against the
/// `ed25519-dalek` crate.
#[test]
pub(crate) fn edwards_pairs() {
    for id in [mechanism!(CKM_EC_EDWARDS_KEY_PAIR_GEN).0, mechanism!(CKM_EDDSA).0] {
        for params in [curves::ED25519, b"\x13\x0cedwards25519"] {
            let pair = Pair::generate(id, KeyType::EC_EDWARDS, on(params)).unwrap();
            pair.check();
            assert_eq!(pair.private.get(attribute::EC_PARAMS), Some(curves::ED25519));
            let (public, private) = pair.keys();
            let eddsa = mechanism!(CKM_EDDSA).0;
            let ours = sign(eddsa, &private, &Params::NONE, b"pairwise").unwrap();
            assert_eq!(verify(eddsa, &public, &Params::NONE, b"pairwise", &ours), Ok(()));
            let theirs = ed25519_dalek::VerifyingKey::from_public_key_der(pair.spki()).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&ours).unwrap();
            theirs.verify(b"pairwise", &signature).unwrap();
            let theirs = ed25519_dalek::SigningKey::from_pkcs8_der(&pair.pkcs8()).unwrap();
            assert_eq!(pair.private.get(attribute::VALUE), Some(&theirs.to_bytes()[..]));
            let point = octet_string(theirs.verifying_key().as_bytes());
            assert_eq!(pair.public.get(attribute::EC_POINT), Some(&point[..]));
        }
    }
}

/// The same on Ed448: the `cryptography` library is the second opinion of the black-box tests.
#[test]
pub(crate) fn ed448_pairs() {
    let id = mechanism!(CKM_EC_EDWARDS_KEY_PAIR_GEN).0;
    for params in [curves::ED448, b"\x13\x0aedwards448", b"\x13\x05Ed448"] {
        let pair = Pair::generate(id, KeyType::EC_EDWARDS, on(params)).unwrap();
        pair.check();
        assert_eq!(pair.private.get(attribute::EC_PARAMS), Some(curves::ED448));
        let (public, private) = pair.keys();
        assert_eq!((public.size(), private.size()), (448, 448));
        let eddsa = mechanism!(CKM_EDDSA).0;
        let ours = sign(eddsa, &private, &Params::NONE, b"pairwise").unwrap();
        assert_eq!(ours.len(), 114);
        assert_eq!(verify(eddsa, &public, &Params::NONE, b"pairwise", &ours), Ok(()));
        let other = verify(eddsa, &public, &Params::NONE, b"Pairwise", &ours);
        assert_eq!(other, Err(Error::SignatureInvalid));
    }
}

/// `CKM_EC_MONTGOMERY_KEY_PAIR_GEN`, by identifier and by name.
#[test]
pub(crate) fn montgomery_pairs() {
    let id = mechanism!(CKM_EC_MONTGOMERY_KEY_PAIR_GEN).0;
    let generate = |params| Pair::generate(id, KeyType::EC_MONTGOMERY, on(params)).unwrap();
    for (params, name) in
        [(curves::X25519, &b"\x13\x0acurve25519"[..]), (curves::X448, b"\x13\x08curve448")]
    {
        let (one, other) = (generate(params), generate(name));
        one.check();
        other.check();
        assert_eq!(other.public.get(attribute::EC_PARAMS), Some(params));
        agrees(&one, &other);
    }
}

/// A curve that is not ours, one of another key type, and what is no curve.
#[test]
fn curves_that_are_refused() {
    let id = mechanism!(CKM_EC_KEY_PAIR_GEN).0;
    for (params, error) in [
        // secp224k1.
        (&b"\x06\x05\x2b\x81\x04\x00\x20"[..], Error::CurveNotSupported),
        (b"\x13\x09secp224k1", Error::CurveNotSupported),
        (b"\x05\x00", Error::CurveNotSupported),
        (curves::ED25519, Error::CurveNotSupported),
        (b"\x06\x05\x2b", Error::DomainParamsInvalid),
        (b"", Error::DomainParamsInvalid),
    ] {
        let pair = Pair::generate(id, KeyType::EC, on(params));
        assert_eq!(pair.err(), Some(error), "{params:?}");
    }
}
