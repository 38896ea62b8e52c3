//! SP 800-108: NIST's messages in counter mode, and the `kbkdf` crate in all three.

use ::kbkdf::{Feedback, Kbkdf as _};
use hmac::Hmac;
use sha2::Sha256;
use strongroom_mechanisms::{Computed, Gives, Inputs, Key, Makes, Mechanism, Policy};
use strongroom_types::{
    Attributes, Bytes, Class, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
    mechanism,
};

use crate::support::{self, Record, complete, object, readable, row};

const COUNTER_KDF: MechanismType = mechanism!(CKM_SP800_108_COUNTER_KDF).0;
const FEEDBACK_KDF: MechanismType = mechanism!(CKM_SP800_108_FEEDBACK_KDF).0;
const PIPELINE_KDF: MechanismType = mechanism!(CKM_SP800_108_DOUBLE_PIPELINE_KDF).0;

const SHA256: MechanismType = mechanism!(CKM_SHA256_HMAC).0;

/// A piece of input: `CK_PRF_DATA_PARAM`.
#[derive(Clone)]
enum Piece {
    /// The counter as the iteration variable: little-endian, bits.
    Counting(bool, u64),
    Iteration,
    Counter(bool, u64),
    /// Method, little-endian, bits.
    Length(u64, bool, u64),
    Bytes(Vec<u8>),
    Key(u64),
}

fn big(bits: u64) -> Piece {
    Piece::Counting(false, bits)
}

fn text(text: &str) -> Piece {
    Piece::Bytes(text.as_bytes().to_vec())
}

/// `CK_SP800_108_KDF_PARAMS`, or with an IV that of feedback mode.
fn params(prf: MechanismType, pieces: &[Piece], iv: Option<&[u8]>, keys: &[Attributes]) -> Params {
    use Param::{Bool, Ulong};
    let pieces = pieces.iter().map(|piece| {
        let values = match piece.clone() {
            Piece::Counting(little, bits) => {
                vec![Ulong(ck!(CK_SP800_108_ITERATION_VARIABLE)), Bool(little), Ulong(bits)]
            }
            Piece::Iteration => vec![Ulong(ck!(CK_SP800_108_ITERATION_VARIABLE))],
            Piece::Counter(little, bits) => {
                vec![Ulong(ck!(CK_SP800_108_COUNTER)), Bool(little), Ulong(bits)]
            }
            Piece::Length(method, little, bits) => {
                vec![Ulong(ck!(CK_SP800_108_DKM_LENGTH)), Ulong(method), Bool(little), Ulong(bits)]
            }
            Piece::Bytes(bytes) => {
                vec![Ulong(ck!(CK_SP800_108_BYTE_ARRAY)), Param::from(bytes.as_slice())]
            }
            Piece::Key(number) => vec![Ulong(ck!(CK_SP800_108_KEY_HANDLE)), Ulong(number)],
        };
        [Param::Structure(values.into_iter().collect())].into_iter().collect::<Params>()
    });
    let mut all = Params::NONE;
    all.push(Ulong(prf.0));
    all.push(Param::Structures(pieces.collect()));
    if let Some(iv) = iv {
        all.push(Param::from(iv));
    }
    let keys = keys.iter().map(|template| {
        let place = Param::Structure([Param::Place(true)].into_iter().collect());
        [Param::Template(template.clone()), place].into_iter().collect::<Params>()
    });
    all.push(Param::Structures(keys.collect()));
    all
}

fn compute(
    id: MechanismType,
    (key_type, value): (KeyType, &[u8]),
    params: &Params,
    lens: &[Option<usize>],
) -> Result<Computed> {
    compute_by(&support::mechanism, id, (key_type, value), params, lens)
}

/// By a policy of whose choice.
fn compute_by(
    named: &dyn Fn(MechanismType) -> Result<&'static Mechanism>,
    id: MechanismType,
    (key_type, value): (KeyType, &[u8]),
    params: &Params,
    lens: &[Option<usize>],
) -> Result<Computed> {
    let mut base = object(Class::SECRET_KEY, key_type);
    base.set(attribute::VALUE, value);
    let base = complete(base)?;
    let key = Key::parse(&base)?;
    let other = |number| match number {
        7 => Ok(readable(b"other")),
        _ => Err(Error::KeyHandleInvalid),
    };
    let inputs = Inputs { key: &key, attributes: &base, params, other: &other, mechanism: named };
    let derivation = row(id, &key)?.derive.as_ref().unwrap();
    let Makes::Several(several) = &derivation.makes else { panic!() };
    let templates = (several.templates)(params, &Attributes::default())?;
    assert_eq!(templates.len(), lens.len());
    (several.compute)(&inputs, lens)
}

/// One key of a generic secret.
fn one(id: MechanismType, value: &[u8], params: &Params, len: usize) -> Result<Bytes> {
    let made = compute(id, (KeyType::GENERIC_SECRET, value), params, &[Some(len)])?;
    Ok(made.0[0].clone())
}

/// The pseudorandom functions and the types of their keys, by their names in the files.
static PRFS: &[(&str, MechanismType, KeyType)] = &[
    ("AES_CMAC", mechanism!(CKM_AES_CMAC).0, KeyType::AES),
    ("DES2_CMAC", mechanism!(CKM_DES3_CMAC).0, KeyType(ck!(CKK_DES2))),
    ("DES3_CMAC", mechanism!(CKM_DES3_CMAC).0, KeyType(ck!(CKK_DES3))),
    ("SHA_1_HMAC", mechanism!(CKM_SHA_1_HMAC).0, KeyType::GENERIC_SECRET),
    ("SHA224_HMAC", mechanism!(CKM_SHA224_HMAC).0, KeyType::GENERIC_SECRET),
    ("SHA256_HMAC", SHA256, KeyType::GENERIC_SECRET),
    ("SHA384_HMAC", mechanism!(CKM_SHA384_HMAC).0, KeyType::GENERIC_SECRET),
    ("SHA512_HMAC", mechanism!(CKM_SHA512_HMAC).0, KeyType::GENERIC_SECRET),
];

fn prf(record: &Record<'_>) -> (MechanismType, KeyType) {
    let found = PRFS.iter().find(|(name, ..)| *name == record.text("PRF")).unwrap();
    (found.1, found.2)
}

#[test]
pub(crate) fn counter_of_nist() {
    let records = Record::all(include_str!("data/kbkdf.txt"));
    for record in &records {
        let (prf, key_type) = prf(record);
        let [key, before, after, output] =
            ["KEY", "BEFORE", "AFTER", "OUTPUT"].map(|name| record.bytes(name));
        let counter = big(record.text("BITS").parse().unwrap());
        let pieces = [Piece::Bytes(before), counter, Piece::Bytes(after)];
        let params = params(prf, &pieces, None, &[]);
        let made = compute(COUNTER_KDF, (key_type, &key), &params, &[Some(output.len())]);
        assert_eq!(*made.unwrap().0[0], output);
    }
    assert!(PRFS.iter().all(|(name, ..)| records.iter().any(|r| r.text("PRF") == *name)));
}

/// Feedback and double pipeline.
#[test]
pub(crate) fn iterations_of_nist() {
    let records = Record::all(include_str!("data/kbkdf_iterated.txt"));
    for record in &records {
        let (prf, key_type) = prf(record);
        let [key, iv, fixed, output] =
            ["KEY", "IV", "FIXED", "OUTPUT"].map(|name| record.bytes(name));
        let (counter, fixed) = (Piece::Counter(false, 32), Piece::Bytes(fixed));
        let pieces = match record.text("COUNTER") {
            "NONE" => vec![Piece::Iteration, fixed],
            "BEFORE_ITER" => vec![counter, Piece::Iteration, fixed],
            "AFTER_ITER" => vec![Piece::Iteration, counter, fixed],
            _ => vec![Piece::Iteration, fixed, counter],
        };
        let (id, iv) = match record.text("MODE") {
            "FEEDBACK" => (FEEDBACK_KDF, Some(iv.as_slice())),
            _ => (PIPELINE_KDF, None),
        };
        let params = params(prf, &pieces, iv, &[]);
        let made = compute(id, (key_type, &key), &params, &[Some(output.len())]);
        assert_eq!(*made.unwrap().0[0], output);
    }
    let has = |mode| records.iter().any(|record| record.text("MODE") == mode);
    assert!(has("FEEDBACK") && has("PIPELINE"));
}

/// A pseudorandom function is a mechanism, and whoever may not use it otherwise may not use it so.
#[test]
fn a_function_that_is_not_to_be_used() {
    let params = params(mechanism!(CKM_DES3_CMAC).0, &[big(8)], None, &[]);
    let compute = |policy: Policy| {
        let named = |id| policy.mechanism(id);
        let key = (KeyType(ck!(CKK_DES3)), &[1; 24][..]);
        compute_by(&named, COUNTER_KDF, key, &params, &[Some(8)]).err()
    };
    assert_eq!(compute(Policy::Legacy), None);
    assert_eq!(compute(Policy::Modern), Some(Error::MechanismParamInvalid));
}

/// What the second opinion derives, 128 bytes of it.
type Output = Hmac<sha2::Sha512>;

fn theirs<'a>(key: &'a [u8], use_l: bool, use_counter: bool) -> ::kbkdf::Params<'a, 'a, 'a> {
    ::kbkdf::Params::builder(key)
        .with_label(b"label")
        .with_context(b"context")
        .use_separator(true)
        .use_l(use_l)
        .use_counter(use_counter)
        .build()
}

#[test]
pub(crate) fn second_opinion() {
    let key = b"a key of the second opinion";
    let sum = ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS);
    let fixed = [text("label"), Piece::Bytes(vec![0]), text("context")];
    let length = [Piece::Length(sum, false, 32)];
    let pieces = |head: &[Piece], tail: &[Piece]| [head, &fixed, tail].concat();

    let ours = |head: &[Piece], tail: &[Piece]| {
        let params = params(SHA256, &pieces(head, tail), None, &[]);
        one(COUNTER_KDF, key, &params, 128).unwrap()
    };
    let counter = ::kbkdf::Counter::<Hmac<Sha256>, Output>::default();
    assert_eq!(ours(&[big(32)], &length)[..], counter.derive(theirs(key, true, true)).unwrap()[..]);

    for counted in [true, false] {
        let head = if counted {
            vec![Piece::Iteration, Piece::Counter(false, 32)]
        } else {
            vec![Piece::Iteration]
        };
        for iv in [None, Some([0x11; 32])] {
            let params = params(
                SHA256,
                &pieces(&head, &length),
                Some(iv.as_ref().map_or(&[], |iv| iv)),
                &[],
            );
            let iv = iv.map(Into::into);
            let feedback = Feedback::<Hmac<Sha256>, Output>::new(iv.as_ref());
            let expected = feedback.derive(theirs(key, true, counted)).unwrap();
            assert_eq!(one(FEEDBACK_KDF, key, &params, 128).unwrap()[..], expected[..]);
        }
        let params = params(SHA256, &pieces(&head, &[]), None, &[]);
        let pipeline = ::kbkdf::DoublePipeline::<Hmac<Sha256>, Output>::default();
        let expected = pipeline.derive(theirs(key, false, counted)).unwrap();
        assert_eq!(one(PIPELINE_KDF, key, &params, 128).unwrap()[..], expected[..]);
    }
}

/// Every key begins with a segment, and both lengths count that.
#[test]
pub(crate) fn several_keys() {
    let key = (KeyType::GENERIC_SECRET, &b"a key"[..]);
    let templates = [Attributes::default(), Attributes::default()];
    let lens = [Some(40), Some(16), Some(32)];
    let run = |pieces: &[Piece]| {
        let params = params(SHA256, &[&[big(8)], pieces].concat(), None, &templates);
        compute(COUNTER_KDF, key, &params, &lens).unwrap()
    };
    let whole = |pieces: &[Piece]| {
        let params = params(SHA256, &[&[big(8)], pieces].concat(), None, &[]);
        one(COUNTER_KDF, key.1, &params, 128).unwrap()
    };
    let (values, gives) = run(&[text("x")]);
    let stream = whole(&[text("x")]);
    assert_eq!(values[0][..], stream[..40]);
    assert_eq!(values[1][..], stream[64..80]);
    assert_eq!(values[2][..], stream[96..]);
    assert!(matches!(gives[..], [Gives::Key(1), Gives::Key(2)]));

    let (keys, segments) =
        (ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS), ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS));
    for (method, little, written) in [
        (keys, false, [0x02, 0xc0]),
        (keys, true, [0xc0, 0x02]),
        (segments, false, [0x04, 0x00]),
        (segments, true, [0x00, 0x04]),
    ] {
        let (values, _) = run(&[Piece::Length(method, little, 16)]);
        assert_eq!(values[0][..], whole(&[Piece::Bytes(written.to_vec())])[..40]);
    }
    let little = params(SHA256, &[Piece::Counting(true, 16), text("x")], None, &[]);
    let (values, _) = compute(COUNTER_KDF, key, &little, &[Some(32)]).unwrap();
    let large = params(SHA256, &[text(""), big(8), Piece::Bytes(b"\0x".to_vec())], None, &[]);
    assert_eq!(values[0][..], one(COUNTER_KDF, key.1, &large, 32).unwrap()[..]);
    let (by_key, _) = run(&[Piece::Key(7)]);
    assert_eq!(by_key[0][..], whole(&[text("other")])[..40]);
}

#[test]
pub(crate) fn refusals() {
    let invalid = Error::MechanismParamInvalid;
    let key = b"a key";
    let twice = ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS);
    let counter =
        |pieces: &[Piece]| one(COUNTER_KDF, key, &params(SHA256, pieces, None, &[]), 64).err();
    for pieces in [
        &[text("x")][..],
        &[Piece::Iteration],
        &[big(8), big(8)],
        &[big(8), Piece::Counter(false, 8)],
        &[big(0)],
        &[big(12)],
        &[big(72)],
        &[big(8), Piece::Length(3, false, 32)],
        &[big(8), Piece::Length(twice, false, 33)],
    ] {
        assert_eq!(counter(pieces), Some(invalid));
    }
    assert_eq!(counter(&[big(8), Piece::Key(8)]), Some(Error::KeyHandleInvalid));
    assert_eq!(counter(&[big(8), Piece::Length(twice, false, 8)]), Some(Error::KeySizeRange));
    for (id, iv) in [(FEEDBACK_KDF, Some(&b""[..])), (PIPELINE_KDF, None)] {
        let double = [Piece::Counter(false, 8), Piece::Counter(false, 8), Piece::Iteration];
        for pieces in [&[text("x")][..], &[big(8)], &[Piece::Iteration, big(8)], &double] {
            let refused = one(id, key, &params(SHA256, pieces, iv, &[]), 64);
            assert_eq!(refused.err(), Some(invalid));
        }
    }
    // 255 segments are what one byte counts.
    let most = params(SHA256, &[big(8)], None, &[]);
    assert!(one(COUNTER_KDF, key, &most, 255 * 32).is_ok());
    assert_eq!(one(COUNTER_KDF, key, &most, 256 * 32).err(), Some(Error::KeySizeRange));
    assert_eq!(one(COUNTER_KDF, key, &most, 1 << 40).err(), Some(Error::KeySizeRange));
    let unsaid = compute(COUNTER_KDF, (KeyType::GENERIC_SECRET, key), &most, &[None]);
    assert_eq!(unsaid.err(), Some(Error::TemplateIncomplete));
    // The function and the key must go together.
    let cmac = params(mechanism!(CKM_AES_CMAC).0, &[big(8)], None, &[]);
    assert_eq!(one(COUNTER_KDF, key, &cmac, 32).err(), Some(Error::KeyTypeInconsistent));
    let aes = compute(COUNTER_KDF, (KeyType::AES, &[1; 16]), &most, &[Some(32)]);
    assert_eq!(aes.err(), Some(Error::KeyTypeInconsistent));
    let digest = params(mechanism!(CKM_SHA256).0, &[big(8)], None, &[]);
    assert_eq!(one(COUNTER_KDF, key, &digest, 32).err(), Some(invalid));
}
