//! AES in CBC with ciphertext stealing: `CKM_AES_CTS` (PKCS#11 3.2, "AES CBC with ciphertext
//! stealing"; the addendum to SP 800-38A, CBC-CS1).
//!
//! It does not wrap keys: the standard's table has no wrapping with it.

use strongroom_awslc::cipher::{BLOCK, Direction, Mode, Running};
use strongroom_types::{Bytes, Error, Field, Params, Result, mechanism};

use crate::aes::{self, Aes, Refusal};
use crate::failure::or;
use crate::stealing::{Stealing, Steals};
use crate::{Key, Mechanism};

/// The rows of this family. The parameter is the IV.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    encrypt: Some(|key, params| Ok(Stealing::start(Encrypting::start(key, params)?, ENCRYPT))),
    decrypt: Some(|key, params| Ok(Stealing::start(Decrypting::start(key, params)?, DECRYPT))),
    ..aes::row(mechanism!(CKM_AES_CTS), &[&[Field::Whole]])
}];

const ENCRYPT: Refusal = Refusal::ENCRYPT;
const DECRYPT: Refusal = Refusal::DECRYPT;

fn cbc(key: &Key, params: &Params, direction: Direction) -> Result<Running> {
    let keyed = Aes::of(key)?.keyed(Mode::Cbc, direction)?;
    keyed.start(&params.array::<BLOCK>()?, false).map_err(or(Error::MechanismParamInvalid))
}

/// An encryption.
struct Encrypting(Running);

impl Encrypting {
    fn start(key: &Key, params: &Params) -> Result<Self> {
        Ok(Self(cbc(key, params, Direction::Encrypt)?))
    }
}

impl Steals for Encrypting {
    fn blocks(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        self.0.update(input, out).map_err(or(ENCRYPT.len))
    }

    /// Zeros fill up the last block, and as many bytes of the ciphertext of the one before it are
    /// left out: what they are, the last one tells.
    fn end(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        let mut filled = Bytes::new(Vec::with_capacity(2 * BLOCK));
        filled.extend_from_slice(input);
        filled.resize(input.len().next_multiple_of(BLOCK), 0);
        let mut whole = Bytes::new(Vec::with_capacity(3 * BLOCK));
        self.blocks(&filled, &mut whole)?;
        let (before, last) = whole.split_at_checked(whole.len() - BLOCK).ok_or(ENCRYPT.len)?;
        out.extend_from_slice(before.get(..input.len() - BLOCK).unwrap_or_default());
        out.extend_from_slice(last);
        Ok(())
    }
}

/// A decryption.
struct Decrypting {
    cbc: Running,
    /// For a block that is not chained.
    ecb: Running,
}

impl Decrypting {
    fn start(key: &Key, params: &Params) -> Result<Self> {
        let ecb = Aes::of(key)?.keyed(Mode::Ecb, Direction::Decrypt)?;
        let ecb = ecb.start(&[], false).map_err(or(Error::FunctionFailed))?;
        Ok(Self { cbc: cbc(key, params, Direction::Decrypt)?, ecb })
    }
}

impl Steals for Decrypting {
    fn blocks(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        self.cbc.update(input, out).map_err(or(DECRYPT.len))
    }

    fn end(&mut self, input: &[u8], out: &mut Bytes) -> Result<()> {
        let (before, last) = input.split_at_checked(input.len() - BLOCK).ok_or(DECRYPT.len)?;
        let mut told = Bytes::new(Vec::with_capacity(2 * BLOCK));
        self.ecb.update(last, &mut told).map_err(or(DECRYPT.len))?;
        let mut whole = Bytes::new(Vec::with_capacity(2 * BLOCK));
        if !before.is_empty() {
            whole.extend_from_slice(before);
            whole.extend_from_slice(told.get(before.len()..).unwrap_or_default());
        }
        whole.extend_from_slice(last);
        let mut plaintext = Bytes::new(Vec::with_capacity(3 * BLOCK));
        self.blocks(&whole, &mut plaintext)?;
        out.extend_from_slice(plaintext.get(..input.len()).ok_or(DECRYPT.len)?);
        Ok(())
    }
}
