//! SLH-DSA: keys of NIST, and the `fips205` crate, another implementation than the one that computes
//! here. NIST's signatures are of the functions inside, and stand with these (`slh_dsa.rs`).

use std::sync::Arc;

use fips205::traits::{SerDes as _, Signer as _, Verifier as _};
use ml_dsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ml_dsa::signature::Keypair as _;
use sha2::Digest as _;
use sha2::digest::const_oid::{AssociatedOid as _, ObjectIdentifier};
use shake::{ExtendableOutput, Update, XofReader as _};
use slh_dsa::ParameterSet;
use strongroom_mechanisms::{Key, key_type};
use strongroom_types::{
    Attributes, Class, Error, KeyType, MechanismType, Params, attribute, ck, mechanism,
};

use crate::key_pairs::Pair;
use crate::ml_dsa_vectors::{context, der, deterministic, with_hash};
use crate::support::{
    Record, complete, key, mechanism as find, object, sign, sign_parts, verify, verify_single,
};

const SLH_DSA: MechanismType = mechanism!(CKM_SLH_DSA).0;
const HASHED: MechanismType = mechanism!(CKM_HASH_SLH_DSA).0;

fn with(class: Class, set: u64, value: &[u8]) -> Attributes {
    let mut key = object(class, KeyType::SLH_DSA);
    key.set(attribute::PARAMETER_SET, set);
    key.set(attribute::VALUE, value);
    key
}

fn public(set: u64, value: &[u8]) -> Attributes {
    with(Class::PUBLIC_KEY, set, value)
}

fn private(set: u64, value: &[u8]) -> Attributes {
    with(Class::PRIVATE_KEY, set, value)
}

/// The parameter sets, by number and NIST's name.
fn sets() -> [(u64, &'static str, ObjectIdentifier); 12] {
    fn named<P: ParameterSet>(number: u64) -> (u64, &'static str, ObjectIdentifier) {
        (number, P::NAME, P::ALGORITHM_OID)
    }
    [
        named::<slh_dsa::Sha2_128s>(ck!(CKP_SLH_DSA_SHA2_128S)),
        named::<slh_dsa::Sha2_128f>(ck!(CKP_SLH_DSA_SHA2_128F)),
        named::<slh_dsa::Sha2_192s>(ck!(CKP_SLH_DSA_SHA2_192S)),
        named::<slh_dsa::Sha2_192f>(ck!(CKP_SLH_DSA_SHA2_192F)),
        named::<slh_dsa::Sha2_256s>(ck!(CKP_SLH_DSA_SHA2_256S)),
        named::<slh_dsa::Sha2_256f>(ck!(CKP_SLH_DSA_SHA2_256F)),
        named::<slh_dsa::Shake128s>(ck!(CKP_SLH_DSA_SHAKE_128S)),
        named::<slh_dsa::Shake128f>(ck!(CKP_SLH_DSA_SHAKE_128F)),
        named::<slh_dsa::Shake192s>(ck!(CKP_SLH_DSA_SHAKE_192S)),
        named::<slh_dsa::Shake192f>(ck!(CKP_SLH_DSA_SHAKE_192F)),
        named::<slh_dsa::Shake256s>(ck!(CKP_SLH_DSA_SHAKE_256S)),
        named::<slh_dsa::Shake256f>(ck!(CKP_SLH_DSA_SHAKE_256F)),
    ]
}

/// `CKM_SLH_DSA_KEY_PAIR_GEN`: a private key of NIST's tells its public key, and one whose parts do
/// not belong together is refused.
#[test]
pub(crate) fn keys_of_nist() {
    let mut records = Record::all(include_str!("data/slh_dsa.txt"));
    records.retain(|record| record.text("function") == "keyGen");
    assert_eq!(records.len(), 3);
    for record in records {
        let name = record.text("parameterSet");
        let (set, ..) = sets().into_iter().find(|set| set.1 == name).unwrap();
        let (value, public_value) = (record.bytes("sk"), record.bytes("pk"));
        let object = complete(private(set, &value)).unwrap();
        let info = object.get(attribute::PUBLIC_KEY_INFO).unwrap();
        assert!(info.ends_with(&public_value));
        let public = complete(public(set, &public_value)).unwrap();
        assert_eq!(public.get(attribute::PUBLIC_KEY_INFO), Some(info));

        let refused = |value: &[u8]| complete(private(set, value)).err();
        assert_eq!(refused(&value[1..]), Some(Error::AttributeValueInvalid));
        let mut torn = value.clone();
        *torn.last_mut().unwrap() ^= 1;
        assert_eq!(refused(&torn), Some(Error::AttributeValueInvalid));

        let row = key_type(KeyType::SLH_DSA).unwrap();
        let pkcs8 = row.to_pkcs8.unwrap()(&object).unwrap();
        // RFC 9909, 6: the bytes of the key, with no structure around them.
        assert!(pkcs8.ends_with(&der(4, &value)));
    }
    let unknown = complete(public(13, &[0; 32])).err();
    assert_eq!(unknown, Some(Error::ParameterSetNotSupported));
}

/// Each set has the object identifier and the length of its public key, and no other.
#[test]
fn identifiers() {
    for (set, name, identifier) in sets() {
        let part = match &name[name.len() - 4..] {
            "128s" | "128f" => 16,
            "192s" | "192f" => 24,
            _ => 32,
        };
        let public_of = |len: usize| complete(public(set, &vec![7; len]));
        let object = public_of(2 * part).unwrap();
        let info = object.get(attribute::PUBLIC_KEY_INFO).unwrap();
        assert_eq!(info[6..15], *identifier.as_bytes(), "{name}");
        for len in [2 * part - 1, 2 * part + 1] {
            assert_eq!(public_of(len).err(), Some(Error::AttributeValueInvalid), "{name}");
        }
    }
}

/// A pair of ours, and the same in the other crate's hands.
macro_rules! pair {
    ($set:ident, $ours:ident, $theirs:ident) => {{
        let mut template = Attributes::default();
        template.set(attribute::PARAMETER_SET, ck!($set));
        let id = mechanism!(CKM_SLH_DSA_KEY_PAIR_GEN).0;
        let pair = Pair::generate(id, KeyType::SLH_DSA, template).unwrap();
        pair.check();
        let signing = slh_dsa::SigningKey::<slh_dsa::$ours>::from_pkcs8_der(&pair.pkcs8()).unwrap();
        let verifying =
            slh_dsa::VerifyingKey::<slh_dsa::$ours>::from_public_key_der(pair.spki()).unwrap();
        assert!(signing.verifying_key() == verifying);
        let bytes = |of: &Attributes| of.get(attribute::VALUE).unwrap().to_vec();
        let public =
            fips205::$theirs::PublicKey::try_from_bytes(bytes(&pair.public).try_into().unwrap());
        let private = fips205::$theirs::PrivateKey::try_from_bytes(
            bytes(&pair.private).as_slice().try_into().unwrap(),
        );
        (pair, public.unwrap(), private.unwrap())
    }};
}

/// New pairs: both implementations sign the same, and each verifies what the other signs.
#[test]
pub(crate) fn second_opinion() {
    macro_rules! holds {
        ($set:ident, $ours:ident, $theirs:ident) => {{
            let (pair, their_public, their_private) = pair!($set, $ours, $theirs);
            let (public, private) = pair.keys();
            let message = b"the second opinion";
            let hedged = context(ck!(CKH_HEDGE_REQUIRED), b"context");
            for (params, of) in [(Params::NONE, &b""[..]), (hedged, b"context")] {
                let ours = sign(SLH_DSA, &private, &params, message).unwrap();
                let signature = ours[..].try_into().unwrap();
                assert!(their_public.verify(message, &signature, of));
                assert!(!their_public.verify(message, &signature, b"other"));
                let theirs = their_private.try_sign(message, of, false).unwrap();
                assert!(theirs[..] != ours[..]);
                assert_eq!(verify(SLH_DSA, &public, &params, message, &theirs), Ok(()));
                let other = verify(SLH_DSA, &public, &deterministic(b"other"), message, &theirs);
                assert_eq!(other, Err(Error::SignatureInvalid));
            }
            let of = &[7; 255];
            let params = deterministic(of);
            let theirs = their_private.try_sign(message, of, false).unwrap();
            assert!(sign(SLH_DSA, &private, &params, message).unwrap()[..] == theirs[..]);
            assert!(sign_parts(SLH_DSA, &private, &params, message).unwrap()[..] == theirs[..]);
        }};
    }
    holds!(CKP_SLH_DSA_SHA2_128F, Sha2_128f, slh_dsa_sha2_128f);
    holds!(CKP_SLH_DSA_SHAKE_128F, Shake128f, slh_dsa_shake_128f);
    holds!(CKP_SLH_DSA_SHA2_192F, Sha2_192f, slh_dsa_sha2_192f);
}

/// A hash function: the mechanism that hashes with it, the digest mechanism if there is one, and
/// what other crates say of it.
struct PreHash {
    hashing: MechanismType,
    hash: Option<MechanismType>,
    identifier: ObjectIdentifier,
    digest: fn(&[u8]) -> Vec<u8>,
}

fn hashes() -> [PreHash; 10] {
    macro_rules! row {
        ($hashing:ident, $hash:ident, $digest:ty) => {
            PreHash {
                hashing: mechanism!($hashing).0,
                hash: Some(mechanism!($hash).0),
                identifier: <$digest>::OID,
                digest: |message| <$digest>::digest(message).to_vec(),
            }
        };
    }
    fn output<X: Default + Update + ExtendableOutput>(message: &[u8], len: usize) -> Vec<u8> {
        let mut output = vec![0; len];
        X::default().chain(message).finalize_xof().read(&mut output);
        output
    }
    [
        row!(CKM_HASH_SLH_DSA_SHA224, CKM_SHA224, sha2::Sha224),
        row!(CKM_HASH_SLH_DSA_SHA256, CKM_SHA256, sha2::Sha256),
        row!(CKM_HASH_SLH_DSA_SHA384, CKM_SHA384, sha2::Sha384),
        row!(CKM_HASH_SLH_DSA_SHA512, CKM_SHA512, sha2::Sha512),
        row!(CKM_HASH_SLH_DSA_SHA3_224, CKM_SHA3_224, sha3::Sha3_224),
        row!(CKM_HASH_SLH_DSA_SHA3_256, CKM_SHA3_256, sha3::Sha3_256),
        row!(CKM_HASH_SLH_DSA_SHA3_384, CKM_SHA3_384, sha3::Sha3_384),
        row!(CKM_HASH_SLH_DSA_SHA3_512, CKM_SHA3_512, sha3::Sha3_512),
        PreHash {
            hashing: mechanism!(CKM_HASH_SLH_DSA_SHAKE128).0,
            hash: None,
            identifier: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.11"),
            digest: |message| output::<shake::Shake128>(message, 32),
        },
        PreHash {
            hashing: mechanism!(CKM_HASH_SLH_DSA_SHAKE256).0,
            hash: None,
            identifier: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.12"),
            digest: |message| output::<shake::Shake256>(message, 64),
        },
    ]
}

/// `CKM_HASH_SLH_DSA` and those that hash themselves sign what the other implementation signs.
#[test]
pub(crate) fn hashed_messages() {
    let (pair, their_public, their_private) =
        pair!(CKP_SLH_DSA_SHA2_128F, Sha2_128f, slh_dsa_sha2_128f);
    let (public, private) = pair.keys();
    let (message, of) = (&b"a message that is hashed"[..], &b"of"[..]);
    for PreHash { hashing, hash, identifier, digest } in hashes() {
        let digest = digest(message);
        let identifier = [&[6, 9], identifier.as_bytes()].concat();
        let theirs = their_private.try_hash_sign(&digest, of, &identifier, false).unwrap();
        let params = deterministic(of);
        assert!(sign_parts(hashing, &private, &params, message).unwrap()[..] == theirs[..]);
        assert_eq!(verify(hashing, &public, &params, message, &theirs), Ok(()));
        let other = verify(hashing, &public, &params, b"other", &theirs);
        assert_eq!(other, Err(Error::SignatureInvalid));
        let Some(hash) = hash else { continue };
        let hedged = with_hash(context(ck!(CKH_HEDGE_PREFERRED), of), hash);
        let ours = sign(HASHED, &private, &hedged, &digest).unwrap();
        let signature = ours[..].try_into().unwrap();
        assert!(their_public.hash_verify(&digest, &signature, of, &identifier));
        assert_eq!(verify_single(HASHED, &public, &hedged, &digest, &theirs), Ok(()));
        let short = verify_single(HASHED, &public, &hedged, &digest[1..], &theirs);
        assert_eq!(short, Err(Error::DataLenRange));
    }
}

/// Parameters that can not be honoured, keys of the other class, signatures of a wrong length.
#[test]
fn what_is_refused() {
    let set = ck!(CKP_SLH_DSA_SHA2_128F);
    let public = key(public(set, &[7; 32])).unwrap();
    let short = verify(SLH_DSA, &public, &Params::NONE, b"", &[0; 17087]);
    assert_eq!(short, Err(Error::SignatureLenRange));
    let wrong = verify(SLH_DSA, &public, &Params::NONE, b"", &[0; 17088]);
    assert_eq!(wrong, Err(Error::SignatureInvalid));
    let start = find(SLH_DSA).unwrap().sign.unwrap();
    assert_eq!(start(&public, &Params::NONE).err(), Some(Error::KeyTypeInconsistent));
    let start = find(HASHED).unwrap().verify.unwrap();
    let invalid = Some(Error::MechanismParamInvalid);
    let refused = |key: &Arc<Key>, params: &Params| start(key, params).err();
    let preferred = || context(ck!(CKH_HEDGE_PREFERRED), b"");
    for hash in [mechanism!(CKM_SHA_1).0, mechanism!(CKM_SHA256_HMAC).0, MechanismType(0)] {
        assert_eq!(refused(&public, &with_hash(preferred(), hash)), invalid);
    }
    assert_eq!(refused(&public, &preferred()), invalid);
}
