//! ECDSA signatures: r || s, as modules speak, and DER, as everybody else does.

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};

use crate::errors::{Failure, Result};

/// ECDSA-Sig-Value of RFC 3279.
#[derive(Sequence)]
struct Pair<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// From r || s to DER.
pub(crate) fn to_der(raw: &[u8]) -> Result<Vec<u8>> {
    let wrong = |error| Failure::content("the module's ECDSA signature is malformed", error);
    let (r, s) = raw.split_at_checked(raw.len() / 2).unwrap_or((raw, &[]));
    let pair = Pair { r: UintRef::new(r).map_err(wrong)?, s: UintRef::new(s).map_err(wrong)? };
    pair.to_der().map_err(wrong)
}

/// From DER to r || s, each `field` bytes long.
pub(crate) fn from_der(der: &[u8], field: usize) -> Result<Vec<u8>> {
    let pair = Pair::from_der(der).map_err(|error| {
        Failure::content("this is no ECDSA signature in DER", error)
            .help("if it is r || s, add --raw")
    })?;
    let mut raw = Vec::with_capacity(2 * field);
    for number in [pair.r.as_bytes(), pair.s.as_bytes()] {
        let room = field.checked_sub(number.len()).ok_or_else(|| {
            Failure::new(crate::exit::Exit::Invalid, "the signature is too long for this key")
        })?;
        raw.resize(raw.len() + room, 0);
        raw.extend_from_slice(number);
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_agree() {
        let raw = [[0, 0x81, 3, 4], [0, 0, 0, 9]].concat();
        let der = to_der(&raw).ok().unwrap();
        assert_eq!(der, [0x30, 9, 2, 4, 0, 0x81, 3, 4, 2, 1, 9]);
        assert_eq!(from_der(&der, 4).ok().unwrap(), raw);
        assert!(from_der(&der, 2).is_err());
    }
}
