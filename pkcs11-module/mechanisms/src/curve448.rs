//! Ed448 (RFC 8032) and X448 (RFC 7748), as AWS-LC has the same of the smaller curve. The crates that compute
//! them leave keys on the stack, so whatever has a secret is computed on one that is wiped.

use ed448_goldilocks::{PreHash, SecretKey, Signature};
use strongroom_awslc::curve25519::Scheme;
use strongroom_awslc::digest::Shake;
use strongroom_types::{Bytes, Error, Result};
use x448::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::failure::or;
use crate::stack::wiped;

/// The length of an Ed448 seed and of an Ed448 public key in bytes.
pub(crate) const ED448_KEY_LEN: usize = 57;

/// The length of an Ed448 signature in bytes.
pub(crate) const ED448_SIGNATURE_LEN: usize = 114;

/// The length of an X448 scalar, public key and shared secret in bytes.
pub(crate) const X448_KEY_LEN: usize = 56;

/// An Ed448 private key, which stays in one place.
pub(crate) struct SigningKey(Box<ed448_goldilocks::SigningKey>);

impl SigningKey {
    /// The key of a seed.
    pub(crate) fn from_seed(seed: &[u8; ED448_KEY_LEN]) -> Self {
        wiped(|| {
            let seed = Zeroizing::new(SecretKey::from(*seed));
            Self(Box::new(ed448_goldilocks::SigningKey::from(&*seed)))
        })
    }

    /// The public key.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.0.verifying_key().to_bytes().to_vec()
    }

    /// Signs a message.
    pub(crate) fn sign(&self, message: &[u8], scheme: Scheme<'_>) -> Result<Bytes> {
        wiped(|| {
            let signature = match scheme {
                Scheme::Pure => Ok(self.0.sign_raw(message)),
                Scheme::Context(context) => self.0.sign_ctx(context, message),
                Scheme::Prehash(context) => {
                    self.0.sign_prehashed(Some(context), Prehashed::of(message)?)
                }
            };
            signature
                .map(|signature| Bytes::new(signature.to_bytes().to_vec()))
                .map_err(|_| Error::FunctionFailed)
        })
    }
}

/// An Ed448 public key.
pub(crate) struct VerifyingKey(ed448_goldilocks::VerifyingKey);

impl VerifyingKey {
    /// Reads a point; `None` if it is none, or the one that verifies everything.
    pub(crate) fn read(point: &[u8; ED448_KEY_LEN]) -> Option<Self> {
        let read = || ed448_goldilocks::VerifyingKey::from_bytes(point).ok().map(Self);
        is_canonical(point).then(read).flatten()
    }

    /// Whether `signature` is one of the message.
    pub(crate) fn verify(
        &self,
        message: &[u8],
        signature: &[u8; ED448_SIGNATURE_LEN],
        scheme: Scheme<'_>,
    ) -> Result<()> {
        let signature = Signature::from_bytes(signature);
        if !is_canonical(signature.r_bytes()) {
            return Err(Error::SignatureInvalid);
        }
        match scheme {
            Scheme::Pure => self.0.verify_raw(&signature, message),
            Scheme::Context(context) => self.0.verify_ctx(&signature, context, message),
            Scheme::Prehash(context) => {
                self.0.verify_prehashed(&signature, Some(context), Prehashed::of(message)?)
            }
        }
        .map_err(|_| Error::SignatureInvalid)
    }
}

/// Whether a point is written as RFC 8032, 5.2.3, wants it: in the last byte nothing but the sign,
/// before it a number below the prime. The crate reads other bytes as well. What it does not read is
/// the third that is wrong, a sign where x is 0: of these points one is neutral, one has order 2.
fn is_canonical(point: &[u8; ED448_KEY_LEN]) -> bool {
    /// The prime, 2^448 - 2^224 - 1, in big-endian.
    const PRIME: [u8; 56] = {
        let mut prime = [0xff; 56];
        prime[27] = 0xfe;
        prime
    };
    let [y @ .., last] = point;
    last & 0x7f == 0 && y.iter().rev().lt(&PRIME)
}

/// The digest that Ed448ph signs: 64 bytes of SHAKE256 (RFC 8032, 5.2).
struct Prehashed(Bytes);

impl Prehashed {
    fn of(message: &[u8]) -> Result<Self> {
        let digest = Shake::Shake256.output(&[message], 64);
        digest.map(Self).map_err(or(Error::FunctionFailed))
    }
}

impl PreHash for Prehashed {
    fn fill_bytes(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

/// The X448 public key of a scalar.
pub(crate) fn x448_public(scalar: &[u8; X448_KEY_LEN]) -> Vec<u8> {
    wiped(|| PublicKey::from(&StaticSecret::from(*scalar)).as_bytes().to_vec())
}

/// The X448 secret shared with a peer (RFC 7748, 6.2); `None` if it is all zero: the peer's key has
/// a small order.
pub(crate) fn x448(scalar: &[u8; X448_KEY_LEN], peer: &[u8; X448_KEY_LEN]) -> Option<Bytes> {
    let peer = PublicKey::from_bytes_unchecked(peer)?;
    let secret = wiped(|| {
        let secret = StaticSecret::from(*scalar).diffie_hellman(&peer);
        Bytes::new(secret.as_bytes().to_vec())
    });
    (!strongroom_awslc::equal(&secret, &[0; X448_KEY_LEN])).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_not_canonical() {
        let mut point = [0xff; ED448_KEY_LEN];
        (point[28], point[56]) = (0xfe, 0x80);
        for (first, canonical) in [(0xfe, true), (0xff, false)] {
            point[0] = first;
            assert_eq!(is_canonical(&point), canonical);
        }
        assert!(is_canonical(&[0; ED448_KEY_LEN]));
        point = [0; ED448_KEY_LEN];
        point[56] = 0x40;
        assert!(!is_canonical(&point));
    }
}
