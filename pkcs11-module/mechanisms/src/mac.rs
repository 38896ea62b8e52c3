//! Message authentication codes: what those of all kinds have in common.

use strongroom_awslc as awslc;
use strongroom_types::{Bytes, Error, Field, Layout, Param, Params, Result};

use crate::failure::{or, param};
use crate::{Sign, Verify};

/// `CK_MAC_GENERAL_PARAMS`: the length of the MAC in bytes.
pub(crate) static GENERAL: &[Layout] = &[&[Field::Ulong]];

/// Reads [`GENERAL`]: the length that is wanted, from 1 to the whole of a MAC.
pub(crate) fn general_len(params: &Params, whole: usize) -> Result<usize> {
    let [Param::Ulong(len)] = params.as_slice() else {
        return Err(Error::MechanismParamInvalid);
    };
    match usize::try_from(*len) {
        Ok(len) if 0 < len && len <= whole => Ok(len),
        _ => Err(param("the length of the MAC is zero, or more than a whole one has")),
    }
}

/// A MAC under way, made of the whole message.
pub(crate) trait Mac: Send + 'static {
    /// Adds a part of the message.
    fn update(&mut self, part: &[u8]) -> awslc::Result<()>;
    /// The MAC, not yet cut.
    fn finish(self) -> awslc::Result<Bytes>;
    /// What has been computed so far; nothing if it can not be told.
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a state of the same key.
    fn resume(&mut self, _state: &[u8]) -> awslc::Result<()> {
        Err(awslc::Error::Invalid)
    }
}

impl Mac for awslc::mac::Hmac {
    fn update(&mut self, part: &[u8]) -> awslc::Result<()> {
        self.update(part)
    }

    fn finish(self) -> awslc::Result<Bytes> {
        self.finish()
    }

    fn state(&self) -> Option<Bytes> {
        self.state()
    }

    fn resume(&mut self, state: &[u8]) -> awslc::Result<()> {
        self.resume(state)
    }
}

impl Mac for awslc::mac::Cmac {
    fn update(&mut self, part: &[u8]) -> awslc::Result<()> {
        self.update(part)
    }

    fn finish(self) -> awslc::Result<Bytes> {
        self.finish()
    }
}

/// The first `len` bytes of a MAC: made, or compared with what the caller has.
pub(crate) struct Cut<M> {
    mac: M,
    len: usize,
}

impl<M: Mac> Cut<M> {
    /// Starts.
    pub(crate) fn start(mac: M, len: usize) -> Box<Self> {
        Box::new(Self { mac, len })
    }

    fn add(&mut self, part: &[u8]) -> Result<()> {
        self.mac.update(part).map_err(or(Error::FunctionFailed))
    }

    fn made(self) -> Result<Bytes> {
        let mut mac = self.mac.finish().map_err(or(Error::FunctionFailed))?;
        mac.truncate(self.len);
        Ok(mac)
    }
}

impl<M: Mac> Sign for Cut<M> {
    fn signature_len(&self) -> usize {
        self.len
    }

    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.add(part)
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.made()
    }

    fn state(&self) -> Option<Bytes> {
        self.mac.state()
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.mac.resume(state).map_err(or(Error::SavedStateInvalid))
    }
}

impl<M: Mac> Verify for Cut<M> {
    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.add(part)
    }

    fn finish(self: Box<Self>, signature: &[u8]) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::SignatureLenRange);
        }
        let made = self.made()?;
        if awslc::equal(&made, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }

    fn state(&self) -> Option<Bytes> {
        self.mac.state()
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.mac.resume(state).map_err(or(Error::SavedStateInvalid))
    }
}
