//! AES-XTS (IEEE 1619, SP 800-38E): keys of two halves, `CKM_AES_XTS_KEY_GEN` and `CKM_AES_XTS`
//! (PKCS#11 3.2, "AES XTS").
//!
//! AWS-LC encrypts the blocks. Its own XTS has no keys of 256 bits, and does not go on from one part
//! to the next.

use strongroom_awslc as awslc;
use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{
    Attributes, Bytes, Error, Field, KeyType, Params, Result, attribute, ck, copy_of, mechanism,
    room_for,
};

use crate::aes::{self, Aes, Refusal};
use crate::failure::or;
use crate::secret::{self, Kind};
use crate::stealing::{Stealing, Steals};
use crate::{Key, KeyTypeRow, Mechanism, Parsed};

const KEY_TYPE: KeyType = KeyType(ck!(CKK_AES_XTS));

/// The lengths of keys in bytes.
const LENGTHS: &[usize] = &[32, 64];

/// What they are between.
const KEY_SIZE: core::ops::RangeInclusive<u64> = 32..=64;

/// The most data of one data unit in bytes: 2^20 blocks (SP 800-38E, 4).
const LONGEST: usize = (1 << 20) * BLOCK;

const KIND: Kind = Kind {
    takes: |len| LENGTHS.iter().any(|takes| u64::try_from(*takes) == Ok(len)),
    check_value: |value| aes::check_value(halves(value).0),
};

/// The key of the data, and that of the tweak.
fn halves(value: &[u8]) -> (&[u8], &[u8]) {
    value.split_at_checked(value.len() / 2).unwrap_or_default()
}

/// Equal halves are no key: whoever may choose some of the data could then tell the tweaks (FIPS
/// 140 implementation guidance, C.I).
fn complete(key: &mut Attributes) -> Result<()> {
    KIND.complete(key)?;
    let (data, tweak) = halves(key.need(attribute::VALUE)?);
    match awslc::equal(data, tweak) {
        true => {
            Err(Error::AttributeValueInvalid.since("CKA_VALUE has two halves that are the same"))
        }
        false => Ok(()),
    }
}

/// `CKK_AES_XTS`.
pub(crate) static AES_XTS: KeyTypeRow = KeyTypeRow {
    id: KEY_TYPE,
    name: "CKK_AES_XTS",
    secret: Some(secret::RULES),
    complete,
    parse: |key| {
        let value = key.need(attribute::VALUE)?;
        let size = u64::try_from(value.len()).map_err(|_| Error::KeySizeRange)?;
        let (data, tweak) = halves(value);
        Ok(Parsed::new(size, Halves { data: Aes::new(data), tweak: Aes::new(tweak) }))
    },
    lengths: LENGTHS,
    ..KeyTypeRow::NONE
};

/// A key, ready to compute.
struct Halves {
    data: Aes,
    tweak: Aes,
}

const ROW: Mechanism = Mechanism { keys: &[KEY_TYPE], key_size: KEY_SIZE, ..Mechanism::NONE };

/// The rows of this family. The parameter is the number of the data unit. It does not wrap keys:
/// the standard's table has no wrapping with it.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        id: mechanism!(CKM_AES_XTS_KEY_GEN).0,
        name: mechanism!(CKM_AES_XTS_KEY_GEN).1,
        generate: Some(|_, key| KIND.generate(key)),
        ..ROW
    },
    Mechanism {
        id: mechanism!(CKM_AES_XTS).0,
        name: mechanism!(CKM_AES_XTS).1,
        params: &[&[Field::Whole]],
        encrypt: Some(|key, params| {
            let unit = Unit::start(key, params, Direction::Encrypt, Refusal::ENCRYPT)?;
            Ok(Stealing::start(unit, Refusal::ENCRYPT))
        }),
        decrypt: Some(|key, params| {
            let unit = Unit::start(key, params, Direction::Decrypt, Refusal::DECRYPT)?;
            Ok(Stealing::start(unit, Refusal::DECRYPT))
        }),
        ..ROW
    },
];

/// A data unit under way.
struct Unit {
    blocks: Running,
    direction: Direction,
    /// That of the next block.
    tweak: Tweak,
    refusal: Refusal,
}

impl Unit {
    fn start(key: &Key, params: &Params, direction: Direction, refusal: Refusal) -> Result<Self> {
        let number = params.array::<BLOCK>()?;
        let Halves { data, tweak } = key.material()?;
        let blocks = data.keyed(Mode::Ecb, direction)?.start(&[], false);
        let blocks = blocks.map_err(or(Error::FunctionFailed))?;
        let mut first = Bytes::new(Vec::with_capacity(2 * BLOCK));
        tweak
            .keyed(Mode::Ecb, Direction::Encrypt)?
            .start(&[], false)
            .and_then(|mut running| running.update(&number, &mut first))
            .map_err(or(Error::FunctionFailed))?;
        let first = first.first_chunk().ok_or(Error::GeneralError)?;
        Ok(Self { blocks, direction, tweak: Tweak(u128::from_le_bytes(*first)), refusal })
    }

    /// A block or more, with their tweaks in a row.
    fn run(&mut self, input: &[u8], tweaks: &[u8], out: &mut Bytes) -> Result<()> {
        let mut masked = copy_of(input)?;
        mask(&mut masked, tweaks);
        let start = out.len();
        self.blocks.update(&masked, out).map_err(or(self.refusal.len))?;
        mask(out.get_mut(start..).unwrap_or_default(), tweaks);
        Ok(())
    }
}

fn mask(data: &mut [u8], tweaks: &[u8]) {
    data.iter_mut().zip(tweaks).for_each(|(byte, tweak)| *byte ^= tweak);
}

/// The number that masks a block: an element of GF(2^128).
struct Tweak(u128);

impl Tweak {
    /// This one; the next is its product with x.
    fn next(&mut self) -> [u8; BLOCK] {
        let this = self.0;
        self.0 = (this << 1) ^ (0x87 & 0_u128.wrapping_sub(this >> 127));
        this.to_le_bytes()
    }
}

impl Steals for Unit {
    fn longest(&self) -> usize {
        LONGEST
    }

    fn blocks(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        let mut tweaks = room_for(input.len())?;
        for _ in 0..input.len() / BLOCK {
            tweaks.extend_from_slice(&self.tweak.next());
        }
        self.run(input, &tweaks, out)
    }

    /// What the first of the last two blocks becomes is cut to what the second has, and what is cut
    /// off fills up the second. A decryption goes back the same way, so it takes the tweaks of the
    /// two in the other order.
    fn end(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        let (first, rest) = input.split_at_checked(BLOCK).ok_or(self.refusal.len)?;
        if rest.len().is_multiple_of(BLOCK) {
            return self.blocks(input, out);
        }
        let (one, two) = (self.tweak.next(), self.tweak.next());
        let (one, two) = match self.direction {
            Direction::Encrypt => (one, two),
            Direction::Decrypt => (two, one),
        };
        let mut whole = Bytes::new(Vec::with_capacity(2 * BLOCK));
        self.run(first, &one, &mut whole)?;
        let (cut, fill) = whole.split_at_checked(rest.len()).ok_or(self.refusal.len)?;
        let second = Bytes::new([rest, fill].concat());
        self.run(&second, &two, out)?;
        out.extend_from_slice(cut);
        Ok(())
    }
}
