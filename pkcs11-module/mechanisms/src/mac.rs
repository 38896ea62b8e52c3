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
    /// The MAC of a message that is there at once, and nothing was added before.
    fn whole(mut self, message: &[u8]) -> awslc::Result<Bytes>
    where
        Self: Sized,
    {
        self.update(message)?;
        self.finish()
    }
    /// What has been computed so far; nothing if it can not be told.
    fn state(&self) -> Option<Bytes> {
        None
    }
    /// Goes on from a state of the same key.
    fn resume(&mut self, _state: &[u8]) -> awslc::Result<()> {
        Err(awslc::Error::Invalid)
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

    /// What is left of a MAC.
    fn cut(made: awslc::Result<Bytes>, len: usize) -> Result<Bytes> {
        let mut mac = made.map_err(or(Error::FunctionFailed))?;
        mac.truncate(len);
        Ok(mac)
    }

    /// Compares a signature with the MAC that is made if it has the length of one.
    fn compare(self, signature: &[u8], make: impl FnOnce(M) -> awslc::Result<Bytes>) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::SignatureLenRange);
        }
        let made = Self::cut(make(self.mac), self.len)?;
        if awslc::equal(&made, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
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
        Self::cut(self.mac.finish(), self.len)
    }

    fn sign(self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        Self::cut(self.mac.whole(data), self.len)
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
        self.compare(signature, M::finish)
    }

    fn verify(self: Box<Self>, data: &[u8], signature: &[u8]) -> Result<()> {
        self.compare(signature, |mac| mac.whole(data))
    }

    fn state(&self) -> Option<Bytes> {
        self.mac.state()
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.mac.resume(state).map_err(or(Error::SavedStateInvalid))
    }
}
