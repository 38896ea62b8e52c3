//! Signatures: algorithms, one row each, of which the table has two, signing and verifying.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, PqdsaKeyPair, RsaEncoding,
    RsaKeyPair, VerificationAlgorithm,
};
use cryptoki_sys::*;

use crate::Result;
use crate::client::{Mechanism, Object, Parameter, Session, Value};
use crate::rows::{Bare, Part, Row, each};
use crate::token::Token;

/// A signature is of 32 bytes, which is what a digest has.
const MESSAGE: [u8; 32] = [0x5a; 32];
/// No signature is longer.
const ROOM: usize = 4096;

/// Object identifiers of curves, as `CKA_EC_PARAMS` has them.
pub(crate) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// SoftHSM2 wants the name instead of the identifier; both are in the standard.
const ED25519: &[u8] = b"\x13\x0cedwards25519";

/// A signature algorithm.
struct Algorithm {
    name: &'static str,
    key: Key,
    mechanism: Mechanism<'static>,
    /// A key of the bare library, which signs and verifies.
    bare: fn() -> Result<(Bare, Bare)>,
}

/// How its key pair is generated.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Ec(CK_MECHANISM_TYPE, &'static [u8]),
    Rsa(CK_ULONG),
    MlDsa(CK_ULONG),
}

const ECDSA: Mechanism = Mechanism::plain(CKM_ECDSA);
const PKCS1: Mechanism = Mechanism::plain(CKM_SHA256_RSA_PKCS);
const PSS: Mechanism = Mechanism { id: CKM_SHA256_RSA_PKCS_PSS, parameter: Parameter::Pss };

static ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "ECDSA P-256",
        key: Key::Ec(CKM_EC_KEY_PAIR_GEN, P256),
        mechanism: ECDSA,
        bare: || {
            ecdsa(
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?,
                &signature::ECDSA_P256_SHA256_FIXED,
                &digest::SHA256,
            )
        },
    },
    Algorithm {
        name: "ECDSA P-384",
        key: Key::Ec(CKM_EC_KEY_PAIR_GEN, P384),
        mechanism: ECDSA,
        bare: || {
            ecdsa(
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?,
                &signature::ECDSA_P384_SHA384_FIXED,
                &digest::SHA384,
            )
        },
    },
    Algorithm {
        name: "Ed25519",
        key: Key::Ec(CKM_EC_EDWARDS_KEY_PAIR_GEN, ED25519),
        mechanism: Mechanism::plain(CKM_EDDSA),
        bare: ed25519,
    },
    Algorithm {
        name: "RSA-2048 PKCS#1",
        key: Key::Rsa(2048),
        mechanism: PKCS1,
        bare: || pkcs1(KeySize::Rsa2048),
    },
    Algorithm {
        name: "RSA-3072 PKCS#1",
        key: Key::Rsa(3072),
        mechanism: PKCS1,
        bare: || pkcs1(KeySize::Rsa3072),
    },
    Algorithm {
        name: "RSA-4096 PKCS#1",
        key: Key::Rsa(4096),
        mechanism: PKCS1,
        bare: || pkcs1(KeySize::Rsa4096),
    },
    Algorithm {
        name: "RSA-2048 PSS",
        key: Key::Rsa(2048),
        mechanism: PSS,
        bare: || pss(KeySize::Rsa2048),
    },
    Algorithm {
        name: "RSA-3072 PSS",
        key: Key::Rsa(3072),
        mechanism: PSS,
        bare: || pss(KeySize::Rsa3072),
    },
    Algorithm {
        name: "RSA-4096 PSS",
        key: Key::Rsa(4096),
        mechanism: PSS,
        bare: || pss(KeySize::Rsa4096),
    },
    Algorithm {
        name: "ML-DSA-65",
        key: Key::MlDsa(CKP_ML_DSA_65),
        mechanism: Mechanism::plain(CKM_ML_DSA),
        bare: ml_dsa,
    },
];

/// The rows: all signatures, then all verifications.
pub(crate) fn rows() -> Vec<Row> {
    let sign = ALGORITHMS.iter().map(|algorithm| {
        let row = Row::new(&format!("Sign, {}", algorithm.name), Part::Operations, move |token| {
            let (_, key) = algorithm.key.generate(token)?;
            each(move |turn| {
                let (module, mut signature) = (&turn.token.module, [0; ROOM]);
                module.sign(turn.session, algorithm.mechanism, key, &MESSAGE, &mut signature)?;
                Ok(())
            })
        });
        let row = if algorithm.name == "RSA-2048 PKCS#1" { row.crowded() } else { row };
        row.with_bare(move || Ok((algorithm.bare)()?.0))
    });
    let verify = ALGORITHMS.iter().map(|algorithm| {
        let row =
            Row::new(&format!("Verify, {}", algorithm.name), Part::Operations, move |token| {
                let (public, private) = algorithm.key.generate(token)?;
                let (mechanism, mut signature) = (algorithm.mechanism, vec![0; ROOM]);
                let session = token.session()?;
                let length =
                    token.module.sign(session, mechanism, private, &MESSAGE, &mut signature)?;
                signature.truncate(length);
                each(move |turn| {
                    turn.token.module.verify(turn.session, mechanism, public, &MESSAGE, &signature)
                })
            });
        row.with_bare(move || Ok((algorithm.bare)()?.1))
    });
    sign.chain(verify).collect()
}

impl Key {
    /// Generates a pair of token objects.
    pub(crate) fn generate(self, token: &Token) -> Result<(Object, Object)> {
        self.generate_in(token, token.session()?)
    }

    /// The same, in the session of a thread.
    pub(crate) fn generate_in(self, token: &Token, session: Session) -> Result<(Object, Object)> {
        let (mechanism, parameters) = match self {
            Self::Ec(mechanism, curve) => (mechanism, (CKA_EC_PARAMS, Value::Bytes(curve))),
            Self::Rsa(bits) => (CKM_RSA_PKCS_KEY_PAIR_GEN, (CKA_MODULUS_BITS, Value::Ulong(bits))),
            Self::MlDsa(set) => (CKM_ML_DSA_KEY_PAIR_GEN, (CKA_PARAMETER_SET, Value::Ulong(set))),
        };
        let mut public = vec![(CKA_TOKEN, Value::True), (CKA_VERIFY, Value::True), parameters];
        let mut private = vec![
            (CKA_TOKEN, Value::True),
            (CKA_PRIVATE, Value::True),
            (CKA_SENSITIVE, Value::True),
            (CKA_SIGN, Value::True),
            (CKA_LABEL, Value::Bytes(b"signer")),
            (CKA_ID, Value::Bytes(b"signer")),
        ];
        if matches!(self, Self::Rsa(_)) {
            public.push((CKA_ENCRYPT, Value::True));
            private.push((CKA_DECRYPT, Value::True));
        }
        if matches!(self, Self::Ec(CKM_EC_KEY_PAIR_GEN, _)) {
            private.push((CKA_DERIVE, Value::True));
        }
        let mechanism = Mechanism::plain(mechanism);
        token.module.generate_pair(session, mechanism, &public, &private)
    }
}

fn verifier(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &impl KeyPair<PublicKey: AsRef<[u8]>>,
    signature: Vec<u8>,
) -> Result<Bare> {
    let public = ParsedPublicKey::new(algorithm, key.public_key())?;
    Ok(Box::new(move || Ok(public.verify_sig(&MESSAGE, &signature)?)))
}

/// `CKM_ECDSA` signs a digest; so does this. The library's verification hashes first, which is one
/// block.
fn ecdsa(
    key: EcdsaKeyPair,
    verify: &'static dyn VerificationAlgorithm,
    hash: &'static digest::Algorithm,
) -> Result<(Bare, Bare)> {
    let signature = key.sign(&SystemRandom::new(), &MESSAGE)?;
    let verify = verifier(verify, &key, signature.as_ref().to_vec())?;
    let digest = digest::digest(hash, &MESSAGE);
    Ok((Box::new(move || Ok(key.sign_digest(&digest).map(drop)?)), verify))
}

fn ed25519() -> Result<(Bare, Bare)> {
    let key = Ed25519KeyPair::generate()?;
    let verify = verifier(&signature::ED25519, &key, key.sign(&MESSAGE).as_ref().to_vec())?;
    let sign = move || {
        std::hint::black_box(key.sign(&MESSAGE));
        Ok(())
    };
    Ok((Box::new(sign), verify))
}

fn pkcs1(size: KeySize) -> Result<(Bare, Bare)> {
    rsa(size, &signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256)
}

fn pss(size: KeySize) -> Result<(Bare, Bare)> {
    rsa(size, &signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256)
}

fn rsa(
    size: KeySize,
    encoding: &'static dyn RsaEncoding,
    verify: &'static dyn VerificationAlgorithm,
) -> Result<(Bare, Bare)> {
    let key = RsaKeyPair::generate(size)?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), &MESSAGE, &mut signature)?;
    let verify = verifier(verify, &key, signature)?;
    let sign = move || {
        let mut signature = [0; ROOM];
        let signature = signature.get_mut(..key.public_modulus_len()).ok_or("too long")?;
        Ok(key.sign(encoding, &SystemRandom::new(), &MESSAGE, signature)?)
    };
    Ok((Box::new(sign), verify))
}

fn ml_dsa() -> Result<(Bare, Bare)> {
    let key = PqdsaKeyPair::generate(&signature::ML_DSA_65_SIGNING)?;
    let mut signature = vec![0; ROOM];
    let length = key.sign(&MESSAGE, &mut signature)?;
    signature.truncate(length);
    let verify = verifier(&signature::ML_DSA_65, &key, signature)?;
    let sign = move || {
        let mut signature = [0; ROOM];
        key.sign(&MESSAGE, &mut signature)?;
        Ok(())
    };
    Ok((Box::new(sign), verify))
}
