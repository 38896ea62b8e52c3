//! AES in output and cipher feedback: `CKM_AES_OFB`, `CKM_AES_CFB1`, `CKM_AES_CFB8`,
//! `CKM_AES_CFB64` and `CKM_AES_CFB128` (PKCS#11 3.2, "additional AES mechanisms"; SP 800-38A).
//!
//! As counter mode they do not wrap keys: whoever can flip a bit of what is wrapped would flip that
//! bit of the key.

use strongroom_awslc as awslc;
use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Params, Result, mechanism, room_for};

use crate::aes::{self, Aes};
use crate::failure::or;
use crate::{Cipher, Key, Mechanism};

macro_rules! rows {
    ($($ckm:ident: $start:expr;)*) => {
        /// The rows of this family. The parameter is the IV.
        pub(crate) static ROWS: &[Mechanism] = &[$(Mechanism {
            encrypt: Some(|key, params| {
                Ok(Box::new(Streaming($start(key, params, Direction::Encrypt)?)))
            }),
            decrypt: Some(|key, params| {
                Ok(Box::new(Streaming($start(key, params, Direction::Decrypt)?)))
            }),
            ..aes::row(mechanism!($ckm), &[&[Field::Whole]])
        }),*];
    };
}

rows! {
    CKM_AES_OFB: |key, params, way| start(key, params, Mode::Ofb, way);
    CKM_AES_CFB1: |key, params, way| start(key, params, Mode::Cfb1, way);
    CKM_AES_CFB8: |key, params, way| start(key, params, Mode::Cfb8, way);
    CKM_AES_CFB64: Cfb64::start;
    CKM_AES_CFB128: |key, params, way| start(key, params, Mode::Cfb128, way);
}

fn start(key: &Key, params: &Params, mode: Mode, direction: Direction) -> Result<Running> {
    let iv = params.array::<BLOCK>()?;
    let keyed = Aes::of(key)?.keyed(mode, direction)?;
    keyed.start(&iv, false).map_err(or(Error::MechanismParamInvalid))
}

/// A mode that makes of each byte of input one of output.
trait Mixes: Send {
    fn mix(&mut self, part: &[u8], out: &mut Bytes) -> awslc::Result<()>;
}

impl Mixes for Running {
    fn mix(&mut self, part: &[u8], out: &mut Bytes) -> awslc::Result<()> {
        self.update(part, out)
    }
}

/// How much of a block comes back in the next one, in bytes.
const SEGMENT: usize = 8;

/// Cipher feedback of 64 bits, which AWS-LC does not have: it encrypts the blocks.
struct Cfb64 {
    blocks: Running,
    direction: Direction,
    /// What was encrypted for this segment.
    register: [u8; BLOCK],
    /// What came of that: the segment is masked with the start of it.
    stream: Bytes,
    /// The ciphertext of this segment so far.
    segment: Vec<u8>,
}

impl Cfb64 {
    fn start(key: &Key, params: &Params, direction: Direction) -> Result<Self> {
        let register = params.array::<BLOCK>()?;
        let keyed = Aes::of(key)?.keyed(Mode::Ecb, Direction::Encrypt)?;
        let blocks = keyed.start(&[], false).map_err(or(Error::FunctionFailed))?;
        let (stream, segment) = (Bytes::default(), Vec::with_capacity(SEGMENT));
        let mut this = Self { blocks, direction, register, stream, segment };
        this.next().map_err(or(Error::FunctionFailed))?;
        Ok(this)
    }

    /// The next segment.
    fn next(&mut self) -> awslc::Result<()> {
        if self.segment.len() == SEGMENT {
            self.register.rotate_left(SEGMENT);
            let end = self.register.iter_mut().skip(BLOCK - SEGMENT);
            end.zip(self.segment.drain(..)).for_each(|(to, byte)| *to = byte);
        }
        self.stream = Bytes::new(Vec::with_capacity(2 * BLOCK));
        self.blocks.update(&self.register, &mut self.stream)
    }
}

impl Mixes for Cfb64 {
    fn mix(&mut self, mut part: &[u8], out: &mut Bytes) -> awslc::Result<()> {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(SEGMENT - self.segment.len()));
            let stream = self.stream.iter().skip(self.segment.len());
            let start = out.len();
            out.extend(now.iter().zip(stream).map(|(byte, mask)| byte ^ mask));
            self.segment.extend_from_slice(match self.direction {
                Direction::Encrypt => out.get(start..).unwrap_or_default(),
                Direction::Decrypt => now,
            });
            if self.segment.len() == SEGMENT {
                self.next()?;
            }
            part = later;
        }
        Ok(())
    }
}

/// An operation under way.
struct Streaming<M>(M);

impl<M: Mixes> Cipher for Streaming<M> {
    fn update_len(&self, part: usize) -> usize {
        part
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let mut out = room_for(part.len().saturating_add(BLOCK))?;
        self.0.mix(part, &mut out).map_err(or(Error::DataLenRange))?;
        Ok(out)
    }
}
