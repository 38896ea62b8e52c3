//! AES block by block: `CKM_AES_ECB`, `CKM_AES_CBC`, `CKM_AES_CBC_PAD` (PKCS#11 3.2,
//! "AES"; SP 800-38A).
//!
//! Wrapping with ECB and CBC takes keys of whole blocks only. The standard would fill up the others
//! with zeros, and leave it to the one who unwraps to know how many; nobody can, for a key whose
//! type does not say its length, so such a key is refused.

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Layout, Params, Result, mechanism, room_for};

use crate::aes::{self, Aes, Refusal};
use crate::failure::or;
use crate::{Cipher, Key, Mechanism};

/// The IV: a block.
static IV: &[Layout] = &[&[Field::Whole]];

/// No parameter.
static NO_PARAMETER: &[Layout] = &[&[]];

/// A mode, as its row says it.
struct Variant {
    mode: Mode,
    padding: bool,
}

static ECB: Variant = Variant { mode: Mode::Ecb, padding: false };
static CBC: Variant = Variant { mode: Mode::Cbc, padding: false };
static CBC_PAD: Variant = Variant { mode: Mode::Cbc, padding: true };

macro_rules! rows {
    ($($ckm:ident: $variant:ident, $params:expr;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[$(Mechanism {
            encrypt: Some(|key, params| {
                Ok(Box::new($variant.start(key, params, Direction::Encrypt, Refusal::ENCRYPT)?))
            }),
            decrypt: Some(|key, params| {
                Ok(Box::new($variant.start(key, params, Direction::Decrypt, Refusal::DECRYPT)?))
            }),
            wrap: Some(|key, params, bytes| {
                $variant.start(key, params, Direction::Encrypt, Refusal::WRAP)?.run(bytes)
            }),
            unwrap: Some(|key, params, bytes, _| {
                $variant.start(key, params, Direction::Decrypt, Refusal::UNWRAP)?.run(bytes)
            }),
            ..aes::row(mechanism!($ckm), $params)
        }),*];
    };
}

rows! {
    CKM_AES_ECB: ECB, NO_PARAMETER;
    CKM_AES_CBC: CBC, IV;
    CKM_AES_CBC_PAD: CBC_PAD, IV;
}

impl Variant {
    fn start(
        &self,
        key: &Key,
        params: &Params,
        direction: Direction,
        refusal: Refusal,
    ) -> Result<Blocks> {
        let keyed = Aes::of(key)?.keyed(self.mode, direction)?;
        let running = match self.mode {
            Mode::Cbc => keyed.start(&params.array::<BLOCK>()?, self.padding),
            _ => keyed.start(&[], self.padding),
        };
        let running = running.map_err(or(Error::MechanismParamInvalid))?;
        Ok(Blocks::new(running, BLOCK, self.padding.then_some(direction), refusal))
    }
}

/// Blocks under way.
pub(crate) struct Blocks {
    running: Running,
    /// The length of a block in bytes.
    block: usize,
    /// Whether padding is added or removed, if there is any.
    padding: Option<Direction>,
    /// How many bytes of input have not become output: less than a block, or up to a block where
    /// the last one may turn out to be padding.
    held: usize,
    refusal: Refusal,
}

impl Blocks {
    /// Starts. `padding` says which way it goes, if there is any.
    pub(crate) fn new(
        running: Running,
        block: usize,
        padding: Option<Direction>,
        refusal: Refusal,
    ) -> Self {
        Self { running, block, padding, held: 0, refusal }
    }

    /// How much output there is after so much input.
    fn ready(&self, input: usize) -> usize {
        let sure = match self.padding {
            Some(Direction::Decrypt) => input.saturating_sub(1),
            _ => input,
        };
        sure - sure % self.block
    }

    fn add(&mut self, part: &[u8], out: &mut Bytes) -> Result<()> {
        let before = out.len();
        self.running.update(part, out).map_err(or(self.refusal.len))?;
        self.held = (self.held + part.len()).saturating_sub(out.len() - before);
        Ok(())
    }

    /// Refuses input that does not end where a block does.
    fn check_end(&self) -> Result<()> {
        let fits = match self.padding {
            None => self.held == 0,
            Some(Direction::Encrypt) => true,
            Some(Direction::Decrypt) => self.held == self.block,
        };
        if fits { Ok(()) } else { Err(self.refusal.len) }
    }

    /// All of the input at once.
    pub(crate) fn run(mut self, input: &[u8]) -> Result<Bytes> {
        let mut out = room_for(input.len().saturating_add(2 * BLOCK))?;
        self.add(input, &mut out)?;
        self.end(&mut out)?;
        Ok(out)
    }

    fn end(&mut self, out: &mut Bytes) -> Result<()> {
        self.check_end()?;
        self.running.finish(out).map_err(or(self.refusal.content))
    }
}

impl Cipher for Blocks {
    fn check(&self, part: usize, last: bool) -> Result<()> {
        let input = self.held.saturating_add(part);
        let fits = match self.padding {
            Some(Direction::Encrypt) => true,
            Some(Direction::Decrypt) => input > 0 && input.is_multiple_of(self.block),
            None => input.is_multiple_of(self.block),
        };
        if fits || !last { Ok(()) } else { Err(self.refusal.len) }
    }

    fn update_len(&self, part: usize) -> usize {
        self.ready(self.held.saturating_add(part))
    }

    fn update(&mut self, part: &[u8]) -> Result<Bytes> {
        let mut out = room_for(part.len().saturating_add(2 * BLOCK))?;
        self.add(part, &mut out)?;
        Ok(out)
    }

    fn state(&self) -> Option<Bytes> {
        let held = u8::try_from(self.held).ok()?;
        let mut state = self.running.state();
        state.push(held);
        Some(state)
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        let (held, running) = state.split_last().ok_or(Error::SavedStateInvalid)?;
        self.held = usize::from(*held);
        self.running.resume(running).map_err(or(Error::SavedStateInvalid))
    }

    fn finish_len(&self, _part: usize) -> usize {
        match self.padding {
            None => 0,
            Some(Direction::Encrypt) => self.block,
            // At least a byte of the last block is padding.
            Some(Direction::Decrypt) => self.block - 1,
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let mut out = Bytes::new(Vec::with_capacity(BLOCK));
        self.end(&mut out)?;
        Ok(out)
    }

    fn whole(self: Box<Self>, input: &[u8]) -> Result<Bytes> {
        self.run(input)
    }
}
