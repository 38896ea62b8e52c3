//! Requests: the arguments of a call, each read as its type says.

use strongroom_types::{
    Error, Layout, MechanismType, ObjectHandle, Room, SessionHandle, SlotId, UserType,
};

use crate::bytes::{Malformed, NULL, Reader, size};
use crate::frame::Limits;
use crate::generation::Generation;

/// What both ends of a connection have agreed on.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'a> {
    pub(crate) generation: &'static Generation,
    pub(crate) layouts: fn(MechanismType) -> Option<&'static [Layout]>,
    pub(crate) limits: &'a Limits,
}

/// The arguments of a call.
#[derive(Clone, Copy)]
pub(crate) struct Request<'b> {
    pub(crate) body: Reader<'b>,
    pub(crate) wire: Wire<'b>,
}

/// Why a call is not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes are not what the signature says.
    Malformed,
    /// An argument is one that no function takes.
    Refused(Error),
    /// The function has failed.
    Failed(Error),
}

/// What comes of reading an argument.
pub(crate) type Understood<T> = Result<T, Fault>;

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A type that arguments have.
pub(crate) trait Argument<'b>: Sized {
    /// Its part of the call's signature.
    const SIGNATURE: &'static str;

    /// Whether it says which session the call is about.
    const IS_SESSION: bool = false;

    /// Reads one.
    fn read(request: &mut Request<'b>) -> Understood<Self>;
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Argument<'_> for $type {
            const SIGNATURE: &'static str = "u";

            fn read(request: &mut Request<'_>) -> Understood<Self> {
                Ok(Self(request.body.u64()?))
            }
        }
    )*};
}

numbers! { SlotId ObjectHandle MechanismType UserType }

impl Argument<'_> for SessionHandle {
    const SIGNATURE: &'static str = "u";
    const IS_SESSION: bool = true;

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        Ok(Self(request.body.u64()?))
    }
}

/// Flags.
impl Argument<'_> for u64 {
    const SIGNATURE: &'static str = "u";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        Ok(request.body.u64()?)
    }
}

impl Argument<'_> for bool {
    const SIGNATURE: &'static str = "y";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        Ok(request.body.byte()? != 0)
    }
}

/// Bytes; a null pointer is none.
impl<'b> Argument<'b> for Option<&'b [u8]> {
    const SIGNATURE: &'static str = "ay";

    fn read(request: &mut Request<'b>) -> Understood<Self> {
        if request.body.byte()? != 0 {
            return Ok(request.body.string()?);
        }
        // Nothing, and a length: a null pointer that should be one to so many bytes.
        if request.body.u32()? == 0 { Ok(None) } else { Err(Error::ArgumentsBad.into()) }
    }
}

/// Bytes; a null pointer is as good as no bytes.
impl<'b> Argument<'b> for &'b [u8] {
    const SIGNATURE: &'static str = "ay";

    fn read(request: &mut Request<'b>) -> Understood<Self> {
        Ok(Option::<&[u8]>::read(request)?.unwrap_or_default())
    }
}

/// Room for bytes in the client's memory. It is compared with what there is, never allocated.
impl Argument<'_> for Room {
    const SIGNATURE: &'static str = "fy";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        Ok(match request.body.u32()? {
            0 => Self::Query,
            // Room for nothing, which is not the same as no room.
            NULL => Self::Bytes(0),
            len => Self::Bytes(size(len)?),
        })
    }
}

/// Room for numbers in the client's memory: for how many, or none if it asks how many there are.
pub(crate) struct Places(pub(crate) Option<usize>);

impl Argument<'_> for Places {
    const SIGNATURE: &'static str = "fu";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        Ok(match request.body.u32()? {
            0 => Self(None),
            count => Self(Some(size(count)?)),
        })
    }
}

/// The label of a token, as old clients send it: up to a zero byte that the standard does not have
/// there, so perhaps less than the label, perhaps more.
pub(crate) struct LooseLabel(pub(crate) [u8; 32]);

impl Argument<'_> for LooseLabel {
    const SIGNATURE: &'static str = "z";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let sent = request.body.string()?.ok_or(Error::ArgumentsBad)?;
        let mut label = [b' '; 32];
        for (to, from) in label.iter_mut().zip(sent) {
            *to = *from;
        }
        Ok(Self(label))
    }
}

/// The label of a token.
impl Argument<'_> for [u8; 32] {
    const SIGNATURE: &'static str = "s";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let sent = request.body.string()?.ok_or(Error::ArgumentsBad)?;
        sent.try_into().map_err(|_| Fault::Malformed)
    }
}

/// The parameter of a message: a structure as it lies in the client's memory. The addresses in it
/// mean nothing here, so the one that is there can not be used.
pub(crate) struct Parameter {
    there: bool,
}

impl Argument<'_> for Parameter {
    const SIGNATURE: &'static str = "ay";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        let there = !<&[u8]>::read(request)?.is_empty();
        Ok(Self { there })
    }
}

impl Parameter {
    /// That there is none.
    pub(crate) fn none(&self) -> Result<(), Error> {
        let addresses = || "the parameter of a message has addresses of another process".into();
        if self.there { Err(Error::MechanismParamInvalid.because(addresses)) } else { Ok(()) }
    }
}

/// What the first call begins with.
pub(crate) struct Greeting;

const GREETING: &[u8] = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1";

impl Argument<'_> for Greeting {
    const SIGNATURE: &'static str = "ay";

    fn read(request: &mut Request<'_>) -> Understood<Self> {
        if <&[u8]>::read(request)? == GREETING { Ok(Self) } else { Err(Fault::Malformed) }
    }
}
