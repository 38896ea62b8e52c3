//! The points of edwards25519 that are public keys of Ed25519 (RFC 8032, 5.1.3). AWS-LC asks this of a key
//! when it verifies, and of none that comes in. All here is public, so the time it takes may tell it.

use k256::elliptic_curve::bigint::modular::{ConstMontyForm, ConstMontyParams};
use k256::elliptic_curve::bigint::{JacobiSymbol, U256, const_monty_params};
use strongroom_awslc::curve25519::KEY_LEN;

const_monty_params!(
    Prime,
    U256,
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed",
    "2^255 - 19."
);

type Element = ConstMontyForm<Prime, { U256::LIMBS }>;

/// d of the curve, -121665/121666.
const D: Element = Element::new(&U256::from_be_hex(
    "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3",
));

/// The y of the points of order 4, and of those of order 8.
const OF_SMALL_ORDER: [U256; 3] = [
    U256::ZERO,
    U256::from_be_hex("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
    U256::from_be_hex("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
];

/// Whether these bytes are a point, and not one of small order, of which the secret scalar would be a
/// number that can be guessed.
pub(crate) fn is_key(point: &[u8; KEY_LEN]) -> bool {
    let mut y = *point;
    // The last bit is the sign of x: it says which of two points it is, where there are two.
    let [.., last] = &mut y;
    *last &= 0x7f;
    let y = U256::from_le_slice(&y);
    y < *Prime::PARAMS.modulus().as_ref() && !OF_SMALL_ORDER.contains(&y) && has_x(&y)
}

/// Whether there are points with this y, and their x is not 0. x^2 is u/v, which is a square where uv is,
/// and v is never 0. With x = 0 there are the neutral point and that of order 2.
fn has_x(y: &U256) -> bool {
    let y2 = Element::new(y).square();
    let (u, v) = (y2 - Element::ONE, D * y2 + Element::ONE);
    (u * v).jacobi_symbol_vartime() == JacobiSymbol::One
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All eight, and the ways to write them that RFC 8032 does not have.
    #[test]
    fn points_of_small_order() {
        for (point, canonical) in [
            ("0100000000000000000000000000000000000000000000000000000000000000", true),
            ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", true),
            ("0000000000000000000000000000000000000000000000000000000000000080", true),
            ("0000000000000000000000000000000000000000000000000000000000000000", true),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", true),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", true),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", true),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", true),
            ("0100000000000000000000000000000000000000000000000000000000000080", false),
            ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", false),
            ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false),
            ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", false),
            ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", false),
            ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false),
        ] {
            let point: [u8; KEY_LEN] = hex::decode(point).unwrap().try_into().unwrap();
            assert!(!is_key(&point));
            if canonical {
                let theirs = ed25519_dalek::VerifyingKey::from_bytes(&point).unwrap();
                assert!(theirs.is_weak(), "{point:?}");
            }
        }
    }

    /// The `ed25519-dalek` crate has the same opinion: about half of all numbers are the y of some point.
    #[test]
    fn points_by_a_second_opinion() {
        let mut keys = 0;
        for first in 0..=255 {
            for sign in [0, 0x80] {
                let mut point = [7; KEY_LEN];
                (point[0], point[KEY_LEN - 1]) = (first, 0x11 | sign);
                let theirs = ed25519_dalek::VerifyingKey::from_bytes(&point).ok();
                assert_eq!(is_key(&point), theirs.is_some(), "{first} {sign}");
                keys += u32::from(is_key(&point));
            }
        }
        assert!((192..320).contains(&keys), "{keys}");
    }

    /// The numbers from 2^255 - 19 on have points where those from 0 on have some.
    #[test]
    fn points_that_are_not_canonical() {
        for small in 2..19_u8 {
            let mut low = [0; KEY_LEN];
            low[0] = small;
            let mut high = [0xff; KEY_LEN];
            (high[0], high[KEY_LEN - 1]) = (0xed + small, 0x7f);
            let theirs = ed25519_dalek::VerifyingKey::from_bytes(&low);
            assert_eq!(is_key(&low), theirs.is_ok(), "{small}");
            assert!(!is_key(&high), "{small}");
        }
    }
}
