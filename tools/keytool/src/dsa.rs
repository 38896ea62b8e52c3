//! DSA keys in files: the domain parameters of RFC 3279, and the public key of a private one, which
//! PKCS#8 leaves out.
//!
//! The client library has no name for `CKA_SUBPRIME`, nor for the mechanisms of DSA; so keys of DSA
//! come into a token, and are neither made nor used from here.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use cryptoki::object::{Attribute, AttributeType};
use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Any, Sequence};
use zeroize::Zeroizing;

/// The algorithm of keys.
pub(crate) const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// `CKA_SUBPRIME`.
const SUBPRIME: u64 = 0x131;

/// More bits than any key has; a longer number would keep us computing.
const MOST_BITS: usize = 16384;

/// The domain parameters: big-endian numbers without leading zeros.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    prime: Vec<u8>,
    subprime: Vec<u8>,
    base: Vec<u8>,
}

/// `Dss-Parms`.
#[derive(Sequence)]
struct DssParms<'a> {
    p: UintRef<'a>,
    q: UintRef<'a>,
    g: UintRef<'a>,
}

impl Domain {
    /// Reads the parameters of an algorithm identifier.
    pub(crate) fn read(parameters: Option<AnyRef<'_>>) -> Option<Self> {
        let parms: DssParms<'_> = parameters?.decode_as().ok()?;
        let bytes = |number: UintRef<'_>| number.as_bytes().to_vec();
        Some(Self { prime: bytes(parms.p), subprime: bytes(parms.q), base: bytes(parms.g) })
    }

    /// Writes them.
    pub(crate) fn encode(&self) -> der::Result<Any> {
        Any::encode_from(&DssParms {
            p: UintRef::new(&self.prime)?,
            q: UintRef::new(&self.subprime)?,
            g: UintRef::new(&self.base)?,
        })
    }

    /// The attributes that carry them.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let subprime = AttributeType::VendorDefined(SUBPRIME);
        vec![
            Attribute::Prime(self.prime.clone()),
            Attribute::VendorDefined((subprime, self.subprime.clone())),
            Attribute::Base(self.base.clone()),
        ]
    }

    /// The bits of the prime, which is what people call the size of a key.
    pub(crate) fn bits(&self) -> usize {
        let leading = self.prime.first().map_or(0, |byte| byte.leading_zeros());
        (self.prime.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or_default())
    }

    /// The public key of a private one; none if the numbers are no DSA key's.
    pub(crate) fn public(&self, private: &[u8]) -> Option<Vec<u8>> {
        let bits = u32::try_from(self.prime.len() * 8).ok()?;
        if self.prime.len() * 8 > MOST_BITS {
            return None;
        }
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok();
        let prime = Odd::new(number(&self.prime)?).into_option()?;
        let base = number(&self.base).filter(|base| base < prime.as_ref())?;
        let private = Zeroizing::new(number(private)?);
        let base = BoxedMontyForm::new(base, &BoxedMontyParams::new(prime));
        let public = base.pow(&private).retrieve().to_be_bytes();
        Some(public.iter().copied().skip_while(|byte| *byte == 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The key of RFC 6979, A.2.1.
    const PRIME: &str = "86f5ca03dcfeb225063ff830a0c769b9dd9d6153ad91d7ce27f787c43278b447e6533b86b18bed6e\
        8a48b784a14c252c5be0dbf60b86d6385bd2f12fb763ed8873abfd3f5ba2e0a8c0a59082eac05693\
        5e529daf7c610467899c77adedfc846c881870b7b19b2b58f9be0521a17002e3bdd6b86685ee90b3\
        d9a1b02b782b1779";
    const SUBPRIME_HEX: &str = "996f967f6c8e388d9e28d01e205fba957a5698b1";
    const BASE: &str = "07b0f92546150b62514bb771e2a0c0ce387f03bda6c56b505209ff25fd3c133d89bbcd97e904e091\
        14d9a7defdeadfc9078ea544d2e401aeecc40bb9fbbf78fd87995a10a1c27cb7789b594ba7efb5c4\
        326a9fe59a070e136db77175464adca417be5dce2f40d10a46a3a3943f26ab7fd9c0398ff8c76ee0\
        a56826a8a88f1dbd";
    const PRIVATE: &str = "411602cb19a6ccc34494d79d98ef1e7ed5af25f7";
    const PUBLIC: &str = "5df5e01ded31d0297e274e1691c192fe5868fef9e19a84776454b100cf16f65392195a38b90523e2\
        542ee61871c0440cb87c322fc4b4d2ec5e1e7ec766e1be8d4ce935437dc11c3c8fd426338933ebfe\
        739cb3465f4d3668c5e473508253b1e682f65cbdc4fae93c2ea212390e54905a86e2223170b44eaa\
        7da5dd9ffcfb7f3b";

    fn number(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn domain() -> Domain {
        Domain { prime: number(PRIME), subprime: number(SUBPRIME_HEX), base: number(BASE) }
    }

    #[test]
    fn the_public_key_follows_from_the_private_one() {
        assert_eq!(domain().public(&number(PRIVATE)), Some(number(PUBLIC)));
        assert_eq!(domain().bits(), 1024);
    }

    #[test]
    fn what_is_no_key_has_no_public_key() {
        let even = Domain { prime: vec![4], ..domain() };
        let empty = Domain { prime: Vec::new(), ..domain() };
        let larger = Domain { base: number(PRIME), ..domain() };
        let long = Domain { prime: vec![1; 2049], ..domain() };
        for wrong in [even, empty, larger, long] {
            assert_eq!(wrong.public(&[1]), None);
        }
        assert_eq!(domain().public(&[1; 129]), None);
    }

    #[test]
    fn the_parameters_are_read_as_they_are_written() {
        let written = domain().encode().unwrap();
        assert!(Domain::read(Some(AnyRef::from(&written))) == Some(domain()));
        assert!(Domain::read(None).is_none());
    }
}
