//! Vectors that nobody here wrote.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use sha2::{Digest, Sha256};
use strongroom_slhdsa::{self as slhdsa, ParameterSet};

/// A record of the data file: lines of `name = value`.
struct Record(Vec<(&'static str, &'static str)>);

impl Record {
    fn all(function: &str) -> Vec<Self> {
        let record = |text: &'static str| {
            Self(text.lines().filter_map(|line| line.split_once(" = ")).collect())
        };
        let of = |record: &Self| record.text("function") == Some(function);
        include_str!("data/internal.txt").split("\n\n").map(record).filter(of).collect()
    }

    fn text(&self, name: &str) -> Option<&'static str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name).unwrap_or_else(|| panic!("{name}"))).unwrap()
    }

    fn set(&self) -> &'static ParameterSet {
        match self.text("parameterSet").unwrap() {
            "SLH-DSA-SHA2-128s" => &slhdsa::SHA2_128S,
            "SLH-DSA-SHA2-128f" => &slhdsa::SHA2_128F,
            "SLH-DSA-SHA2-192s" => &slhdsa::SHA2_192S,
            "SLH-DSA-SHA2-192f" => &slhdsa::SHA2_192F,
            "SLH-DSA-SHA2-256s" => &slhdsa::SHA2_256S,
            "SLH-DSA-SHA2-256f" => &slhdsa::SHA2_256F,
            "SLH-DSA-SHAKE-128s" => &slhdsa::SHAKE_128S,
            "SLH-DSA-SHAKE-128f" => &slhdsa::SHAKE_128F,
            "SLH-DSA-SHAKE-192s" => &slhdsa::SHAKE_192S,
            "SLH-DSA-SHAKE-192f" => &slhdsa::SHAKE_192F,
            "SLH-DSA-SHAKE-256s" => &slhdsa::SHAKE_256S,
            "SLH-DSA-SHAKE-256f" => &slhdsa::SHAKE_256F,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn keys() {
    let records = Record::all("keyGen");
    assert_eq!(records.len(), 3);
    for record in records {
        let (set, wanted) = (record.set(), record.bytes("sk"));
        let seed = &wanted[..3 * set.part];
        let (public, private) = set.key_pair(seed).unwrap();
        assert_eq!((public, &private[..]), (record.bytes("pk"), &wanted[..]));
        assert!(set.key_pair(&seed[1..]).is_none() && set.key_pair(&wanted).is_none());
    }
}

/// The signatures stand in the file as their digests.
#[test]
fn signatures() {
    let records = Record::all("sigGen");
    assert_eq!(records.len(), 9);
    for record in records {
        let (set, private, message) = (record.set(), record.bytes("sk"), record.bytes("message"));
        let random = record.text("additionalRandomness").map(|hex| hex::decode(hex).unwrap());
        let signature = set.sign(&private, &[], &message, random.as_deref()).unwrap();
        assert_eq!(signature.len(), set.signature_len);
        let digest = Sha256::digest(&signature);
        assert_eq!(digest[..], record.bytes("signatureDigest"), "{:?}", record.0[1]);
        let public = &private[2 * set.part..];
        let (before, rest) = message.split_at(1);
        assert!(set.verify(public, before, rest, &signature));
        assert!(!set.verify(public, &[], rest, &signature));
    }
}

#[test]
fn verifications() {
    let records = Record::all("sigVer");
    let good = records.iter().filter(|record| record.text("testPassed") == Some("true"));
    assert_eq!((records.len(), good.count()), (9, 6));
    for record in records {
        let (set, public) = (record.set(), record.bytes("pk"));
        let (message, signature) = (record.bytes("message"), record.bytes("signature"));
        let wanted = record.text("testPassed") == Some("true");
        let verified = set.verify(&public, &[], &message, &signature);
        assert_eq!(verified, wanted, "{:?}", record.0[1]);
    }
}

#[test]
fn wrong_lengths() {
    let set = &slhdsa::SHA2_128F;
    let (public, private) = set.key_pair(&[1; 48]).unwrap();
    assert!(set.sign(&private[1..], &[], b"", None).is_none());
    assert!(set.sign(&private, &[], b"", Some(&[0; 15])).is_none());
    assert!(!set.verify(&public, &[], b"", &[0; 17087]));
    assert!(!set.verify(&public[1..], &[], b"", &[0; 17088]));
}
