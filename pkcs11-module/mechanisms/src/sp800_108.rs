//! SP 800-108: `CKM_SP800_108_COUNTER_KDF`, `CKM_SP800_108_FEEDBACK_KDF` and
//! `CKM_SP800_108_DOUBLE_PIPELINE_KDF` (PKCS#11 3.2, "SP 800-108 key derivation").
//!
//! The caller lays out the input of the pseudorandom function piece by piece. Every key begins with
//! a segment of its own, which is one output of that function.

use strongroom_types::{
    Attributes, Bytes, Error, Field, Layout, MechanismType, Param, Params, Result, ck, mechanism,
};

use crate::derive::{Computed, LEAST, Several, is_open, value_of};
use crate::failure::param;
use crate::prf::Prf;
use crate::{Derivation, Gives, Heritage, Inputs, Makes, Mechanism, cost, des, hash, secret};

/// `CK_SP800_108_COUNTER_FORMAT`.
const COUNTER_FORMAT: Layout = &[Field::Bool, Field::Ulong];

/// `CK_PRF_DATA_PARAM`.
const DATA: Layout = &[Field::Tagged(&[
    (ITERATION_VARIABLE, COUNTER_FORMAT),
    (ITERATION_VARIABLE, &[]),
    (COUNTER, COUNTER_FORMAT),
    // `CK_SP800_108_DKM_LENGTH_FORMAT`.
    (DKM_LENGTH, &[Field::Ulong, Field::Bool, Field::Ulong]),
    (BYTE_ARRAY, &[Field::Whole]),
    (KEY_HANDLE, &[Field::Ulong]),
])];

const ITERATION_VARIABLE: u64 = ck!(CK_SP800_108_ITERATION_VARIABLE);
const COUNTER: u64 = ck!(CK_SP800_108_COUNTER);
const DKM_LENGTH: u64 = ck!(CK_SP800_108_DKM_LENGTH);
const BYTE_ARRAY: u64 = ck!(CK_SP800_108_BYTE_ARRAY);
const KEY_HANDLE: u64 = ck!(CK_SP800_108_KEY_HANDLE);

const SUM_OF_KEYS: u64 = ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS);
const SUM_OF_SEGMENTS: u64 = ck!(CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS);

/// `CK_DERIVED_KEY`.
const DERIVED_KEY: Layout = &[Field::Template, Field::Ptr(&[Field::OutHandle])];

/// `CK_SP800_108_KDF_PARAMS`: pseudorandom function, its input, additional keys.
static PARAMS: &[Layout] = &[&[Field::Ulong, Field::Array(DATA), Field::Array(DERIVED_KEY)]];

/// `CK_SP800_108_FEEDBACK_KDF_PARAMS`, which has the IV before the additional keys.
static FEEDBACK_PARAMS: &[Layout] =
    &[&[Field::Ulong, Field::Array(DATA), Field::LenPtr, Field::Array(DERIVED_KEY)]];

/// The most that one derivation gives, in bytes. The standard sets no limit.
const LONGEST: usize = 1 << 20;

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    row(mechanism!(CKM_SP800_108_COUNTER_KDF), PARAMS, |inputs, lens| {
        compute(Mode::Counter, inputs, lens)
    }),
    row(mechanism!(CKM_SP800_108_FEEDBACK_KDF), FEEDBACK_PARAMS, |inputs, lens| {
        compute(Mode::Feedback, inputs, lens)
    }),
    row(mechanism!(CKM_SP800_108_DOUBLE_PIPELINE_KDF), PARAMS, |inputs, lens| {
        compute(Mode::DoublePipeline, inputs, lens)
    }),
];

const fn row(
    named: (MechanismType, &'static str),
    params: &'static [Layout],
    compute: fn(&Inputs<'_>, &[Option<usize>]) -> Result<Computed>,
) -> Mechanism {
    Mechanism {
        key_size: 1..=0x7fff_ffff,
        params,
        derive: Some(Derivation {
            makes: Makes::Several(Several { templates, compute, first_is_told: true }),
            heritage: Heritage::Chosen,
        }),
        ..Mechanism::named(named)
    }
}

/// A pseudorandom function with a key.
type Start = fn(&[u8]) -> Result<Prf>;

/// The pseudorandom functions. Whether one may be used is for the policy to say.
static PRFS: &[(MechanismType, Start)] = &[
    (mechanism!(CKM_SHA_1_HMAC).0, |key| Prf::hmac(&hash::SHA1, key)),
    (mechanism!(CKM_SHA224_HMAC).0, |key| Prf::hmac(&hash::SHA224, key)),
    (mechanism!(CKM_SHA256_HMAC).0, |key| Prf::hmac(&hash::SHA256, key)),
    (mechanism!(CKM_SHA384_HMAC).0, |key| Prf::hmac(&hash::SHA384, key)),
    (mechanism!(CKM_SHA512_HMAC).0, |key| Prf::hmac(&hash::SHA512, key)),
    (mechanism!(CKM_SHA3_224_HMAC).0, |key| Prf::hmac(&hash::SHA3_224, key)),
    (mechanism!(CKM_SHA3_256_HMAC).0, |key| Prf::hmac(&hash::SHA3_256, key)),
    (mechanism!(CKM_SHA3_384_HMAC).0, |key| Prf::hmac(&hash::SHA3_384, key)),
    (mechanism!(CKM_SHA3_512_HMAC).0, |key| Prf::hmac(&hash::SHA3_512, key)),
    (mechanism!(CKM_AES_CMAC).0, Prf::cmac),
    (mechanism!(CKM_DES3_CMAC).0, |key| Prf::des3_cmac(&des::long(key))),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// SP 800-108, 4.1.
    Counter,
    /// 4.2.
    Feedback,
    /// 4.3.
    DoublePipeline,
}

/// How a number is written.
#[derive(Clone, Copy)]
struct Format {
    little_endian: bool,
    bits: u64,
}

impl Format {
    fn read(little_endian: bool, bits: u64) -> Result<Self> {
        match (8..=64).contains(&bits) && bits.is_multiple_of(8) {
            true => Ok(Self { little_endian, bits }),
            false => Err(param("ulWidthInBits is not a multiple of 8 up to 64")),
        }
    }

    /// Writes a number, unless it needs more bits.
    fn write(self, number: u64) -> Result<Vec<u8>> {
        if self.bits < 64 && number >> self.bits != 0 {
            return Err(Error::KeySizeRange);
        }
        let len = usize::try_from(self.bits / 8).map_err(|_| Error::GeneralError)?;
        let mut bytes: Vec<u8> = number.to_le_bytes().into_iter().take(len).collect();
        if !self.little_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }
}

/// A piece of the input of the pseudorandom function.
enum Piece {
    /// What the mode is named after, with its format if it is the counter.
    Iteration(Option<Format>),
    /// The number of the segment, where it is not the iteration variable.
    Counter(Format),
    /// What does not change.
    Fixed(Bytes),
}

/// What all segments have in common.
struct Call {
    mode: Mode,
    prf: Prf,
    pieces: Vec<Piece>,
    iv: Bytes,
}

/// The template of the call, and those of the additional keys.
fn templates(params: &Params, template: &Attributes) -> Result<Vec<Attributes>> {
    let Some(Param::Structures(additional)) = params.as_slice().last() else {
        return Err(Error::MechanismParamInvalid);
    };
    let mut all = vec![template.clone()];
    for key in additional {
        match key.as_slice() {
            [Param::Template(template), _] => all.push(template.clone()),
            _ => return Err(Error::MechanismParamInvalid),
        }
    }
    Ok(all)
}

fn compute(mode: Mode, inputs: &Inputs<'_>, lens: &[Option<usize>]) -> Result<Computed> {
    let (prf, data, iv) = match inputs.params.as_slice() {
        [Param::Ulong(prf), Param::Structures(data), Param::Bytes(iv), _] => {
            (prf, data, iv.clone())
        }
        [Param::Ulong(prf), Param::Structures(data), _] => (prf, data, Bytes::default()),
        _ => return Err(Error::MechanismParamInvalid),
    };
    if data.iter().filter(|piece| says_length(piece)).count() > 1 {
        return Err(param("pDataParams has CK_SP800_108_DKM_LENGTH more than once"));
    }
    let prf = function(MechanismType(*prf), inputs)?;
    let lens = lens.iter().map(|len| len.ok_or_else(secret::no_len));
    let lens = lens.collect::<Result<Vec<_>>>()?;
    if lens.iter().any(|len| *len > LONGEST) || lens.iter().sum::<usize>() > LONGEST {
        return Err(Error::KeySizeRange);
    }
    let segments: usize = lens.iter().map(|len| len.div_ceil(prf.len())).sum();
    let length = Length { keys: lens.iter().sum(), segments: segments * prf.len() };
    let other = |key| {
        let other = (inputs.other)(key)?;
        shows_nothing(&prf, &other, &lens).map(|()| other)
    };
    let inputs = &Inputs { other: &other, ..*inputs };
    let pieces = data.iter().map(|piece| Piece::read(piece, &length, inputs));
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    let fixed = pieces.iter().map(|piece| match piece {
        Piece::Fixed(bytes) => bytes.len(),
        Piece::Iteration(_) | Piece::Counter(_) => 0,
    });
    cost::check(segments, 0, fixed.fold(iv.len(), usize::saturating_add))?;
    let mut stream = Call::new(mode, prf, pieces, iv)?.start();
    let values = lens.iter().map(|len| stream.key(*len)).collect::<Result<Vec<_>>>()?;
    let gives = (1..values.len()).map(Gives::Key).collect();
    Ok((values, gives))
}

/// Whether nobody reads a key that goes into the pseudorandom function off the keys that come of it. The caller may
/// know the base key: then CMAC turns round, and of an output that is cut each next byte is found by 256 tries.
fn shows_nothing(prf: &Prf, key: &Attributes, lens: &[usize]) -> Result<()> {
    let whole = prf.len() >= LEAST && lens.iter().all(|len| len.is_multiple_of(prf.len()));
    match is_open(key) || !prf.turns_round() || whole {
        true => Ok(()),
        false => Err(Error::KeySizeRange
            .since("a key that may not be read goes into CMAC, whose output is cut or short")),
    }
}

/// Why there is no pseudorandom function.
const NO_PRF: &str = "there is no such prfType here";

/// The pseudorandom function, if it may be used and takes the base key.
fn function(id: MechanismType, inputs: &Inputs<'_>) -> Result<Prf> {
    let (_, start) = PRFS.iter().find(|(prf, _)| *prf == id).ok_or_else(|| param(NO_PRF))?;
    let row = (inputs.mechanism)(id).map_err(|_| param(NO_PRF))?;
    row.check(inputs.key)?;
    start(inputs.value()?)
}

/// What `CK_SP800_108_DKM_LENGTH` may count, in bytes.
struct Length {
    keys: usize,
    segments: usize,
}

/// Whether a piece is the length of what is derived, of which there is one at most.
fn says_length(piece: &Params) -> bool {
    matches!(piece.as_slice(), [Param::Structure(piece)]
        if piece.as_slice().first() == Some(&Param::Ulong(DKM_LENGTH)))
}

impl Piece {
    fn read(piece: &Params, length: &Length, inputs: &Inputs<'_>) -> Result<Self> {
        let [Param::Structure(piece)] = piece.as_slice() else {
            return Err(Error::MechanismParamInvalid);
        };
        Ok(match piece.as_slice() {
            [Param::Ulong(ITERATION_VARIABLE)] => Self::Iteration(None),
            [Param::Ulong(ITERATION_VARIABLE), Param::Bool(little), Param::Ulong(bits)] => {
                Self::Iteration(Some(Format::read(*little, *bits)?))
            }
            [Param::Ulong(COUNTER), Param::Bool(little), Param::Ulong(bits)] => {
                Self::Counter(Format::read(*little, *bits)?)
            }
            [
                Param::Ulong(DKM_LENGTH),
                Param::Ulong(method),
                Param::Bool(little),
                Param::Ulong(bits),
            ] => {
                let bytes = match *method {
                    SUM_OF_KEYS => length.keys,
                    SUM_OF_SEGMENTS => length.segments,
                    _ => return Err(param("dkmLengthMethod is none of the standard's")),
                };
                let count = u64::try_from(bytes * 8).map_err(|_| Error::KeySizeRange)?;
                Self::Fixed(Bytes::new(Format::read(*little, *bits)?.write(count)?))
            }
            [Param::Ulong(BYTE_ARRAY), Param::Bytes(bytes)] => Self::Fixed(bytes.clone()),
            [Param::Ulong(KEY_HANDLE), Param::Ulong(key)] => {
                Self::Fixed(Bytes::new(value_of(&(inputs.other)(*key)?)?.to_vec()))
            }
            _ => return Err(param("pDataParams has a type that is none of the standard's")),
        })
    }
}

impl Call {
    /// Checks that the pieces suit the mode: one iteration variable, which is a counter in counter
    /// mode and nowhere else, and at most one counter beside it in the other modes.
    fn new(mode: Mode, prf: Prf, pieces: Vec<Piece>, iv: Bytes) -> Result<Self> {
        let count = |is: fn(&Piece) -> bool| pieces.iter().filter(|piece| is(piece)).count();
        let counting = count(|piece| matches!(piece, Piece::Iteration(Some(_))));
        let other = count(|piece| matches!(piece, Piece::Iteration(None)));
        let counters = count(|piece| matches!(piece, Piece::Counter(_)));
        let right = match mode {
            Mode::Counter => (counting, other, counters) == (1, 0, 0),
            Mode::Feedback | Mode::DoublePipeline => (counting, other) == (0, 1) && counters <= 1,
        };
        match right {
            true => Ok(Self { mode, prf, pieces, iv }),
            false => {
                Err(param("pDataParams has not the iteration variable and counters of this mode"))
            }
        }
    }

    fn start(self) -> Stream {
        let before = match self.mode {
            Mode::Counter | Mode::Feedback => self.iv.clone(),
            // A(0) is all that does not change.
            Mode::DoublePipeline => {
                let fixed = self.pieces.iter().filter_map(|piece| match piece {
                    Piece::Fixed(bytes) => Some(bytes.as_slice()),
                    Piece::Iteration(_) | Piece::Counter(_) => None,
                });
                Bytes::new(fixed.collect::<Vec<_>>().concat())
            }
        };
        Stream { call: self, before, number: 0 }
    }

    /// The next segment, by its number and the iteration variable.
    fn segment(&self, number: u64, iteration: &[u8]) -> Result<Bytes> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Iteration(Some(format)) | Piece::Counter(format) => {
                format.write(number).map(Bytes::new)
            }
            Piece::Iteration(None) => Ok(Bytes::new(iteration.to_vec())),
            Piece::Fixed(bytes) => Ok(bytes.clone()),
        });
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = pieces.iter().map(|piece| piece.as_slice()).collect();
        self.prf.of(&parts)
    }
}

/// The segments, one after the other.
struct Stream {
    call: Call,
    /// K(i - 1) or A(i - 1).
    before: Bytes,
    number: u64,
}

impl Stream {
    fn next(&mut self) -> Result<Bytes> {
        self.number += 1;
        if self.call.mode == Mode::DoublePipeline {
            self.before = self.call.prf.of(&[&self.before])?;
        }
        let segment = self.call.segment(self.number, &self.before)?;
        if self.call.mode == Mode::Feedback {
            self.before = segment.clone();
        }
        Ok(segment)
    }

    /// A key, which begins with the next segment.
    fn key(&mut self, len: usize) -> Result<Bytes> {
        let segment = self.call.prf.len();
        let mut value = Bytes::new(Vec::with_capacity(len.next_multiple_of(segment)));
        while value.len() < len {
            value.extend_from_slice(&self.next()?);
        }
        value.truncate(len);
        Ok(value)
    }
}
