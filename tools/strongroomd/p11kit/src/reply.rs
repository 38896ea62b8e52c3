//! Replies: what a function gives, each written as its type says.

use strongroom_functions::MessageOutput;
use strongroom_types::{
    Bytes, Error, MechanismInfo, ModuleInfo, ObjectHandle, Output, Result, SessionHandle,
    SessionInfo, SlotId, SlotInfo, TokenInfo, Value, ck, padded,
};

use crate::attribute::Wanted;
use crate::bytes::Writer;
use crate::request::{Places, Wire};

/// A type that functions give.
pub(crate) trait Reply {
    /// Its part of the reply's signature.
    const SIGNATURE: &'static str;

    /// Writes it.
    fn write(self, wire: Wire<'_>, reply: &mut Writer) -> Result<()>;
}

impl Reply for () {
    const SIGNATURE: &'static str = "";

    fn write(self, _: Wire<'_>, _: &mut Writer) -> Result<()> {
        Ok(())
    }
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Reply for $type {
            const SIGNATURE: &'static str = "u";

            fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
                reply.u64(self.0);
                Ok(())
            }
        }
    )*};
}

numbers! { SlotId SessionHandle ObjectHandle }

impl Reply for u64 {
    const SIGNATURE: &'static str = "u";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.u64(self);
        Ok(())
    }
}

impl Reply for (ObjectHandle, ObjectHandle) {
    const SIGNATURE: &'static str = "uu";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.u64(self.0.0);
        reply.u64(self.1.0);
        Ok(())
    }
}

/// The client knows whether it asked for the length or has too little room.
impl Reply for Output {
    const SIGNATURE: &'static str = "ay";

    fn write(self, wire: Wire<'_>, reply: &mut Writer) -> Result<()> {
        match self {
            Self::Needs(len) => {
                reply.byte(0);
                reply.count(len);
                Ok(())
            }
            Self::Bytes(bytes) => bytes.write(wire, reply),
        }
    }
}

impl Reply for Bytes {
    const SIGNATURE: &'static str = "ay";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.byte(1);
        reply.string(&self);
        Ok(())
    }
}

/// What would go to the places of a parameter has no way back, and no parameter came.
impl Reply for MessageOutput {
    const SIGNATURE: &'static str = "ay";

    fn write(self, wire: Wire<'_>, reply: &mut Writer) -> Result<()> {
        self.output.write(wire, reply)
    }
}

/// Numbers, or how many there are if that is asked or if there is no room for all of them.
pub(crate) struct Listed(pub(crate) Vec<u64>, pub(crate) Places);

impl Reply for Listed {
    const SIGNATURE: &'static str = "au";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        let Self(numbers, Places(room)) = self;
        let fits = room.is_some_and(|room| room >= numbers.len());
        reply.byte(u8::from(fits));
        reply.count(numbers.len());
        if fits {
            numbers.iter().for_each(|number| reply.u64(*number));
        }
        Ok(())
    }
}

/// The values that a template waited for.
pub(crate) struct Answered(pub(crate) Wanted, pub(crate) Vec<Result<Value>>);

impl Reply for Answered {
    const SIGNATURE: &'static str = "aAu";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        let outcome = self.0.write(&self.1, reply)?;
        reply.u64(outcome.map_or_else(Error::rv, |()| ck!(CKR_OK)));
        Ok(())
    }
}

/// A key that was derived. The parameter that the client sent stays as it is: none that travels has
/// a place to be filled.
pub(crate) struct DerivedKey {
    pub(crate) key: ObjectHandle,
    /// Whether the mechanism is one that can have a parameter, and whether it had.
    pub(crate) parameter: Option<bool>,
}

impl Reply for DerivedKey {
    const SIGNATURE: &'static str = "uPu";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.u64(ck!(CKR_OK));
        if let Some(had) = self.parameter {
            reply.byte(u8::from(had));
        }
        reply.u64(self.key.0);
        Ok(())
    }
}

fn version(reply: &mut Writer, (major, minor): (u8, u8)) {
    reply.put(&[major, minor]);
}

impl Reply for ModuleInfo {
    const SIGNATURE: &'static str = "vsusv";

    fn write(self, wire: Wire<'_>, reply: &mut Writer) -> Result<()> {
        // What the client gives the application are functions of this version.
        version(reply, wire.generation.standard);
        reply.string(&padded::<32>(&self.manufacturer));
        reply.u64(0);
        reply.string(&padded::<32>(&self.description));
        version(reply, self.version);
        Ok(())
    }
}

impl Reply for SlotInfo {
    const SIGNATURE: &'static str = "ssuvv";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.string(&padded::<64>(&self.description));
        reply.string(&padded::<32>(&self.manufacturer));
        reply.u64(self.flags);
        version(reply, self.version);
        version(reply, self.version);
        Ok(())
    }
}

impl Reply for TokenInfo {
    const SIGNATURE: &'static str = "ssssuuuuuuuuuuuvvs";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        const UNLIMITED: u64 = ck!(CK_EFFECTIVELY_INFINITE);
        const UNAVAILABLE: u64 = u64::MAX;
        let (min_pin_len, max_pin_len) = self.pin_len;
        reply.string(&self.label);
        reply.string(&padded::<32>(&self.manufacturer));
        reply.string(&padded::<16>(&self.model));
        reply.string(&self.serial);
        let sessions = [UNLIMITED, self.sessions, UNLIMITED, self.rw_sessions];
        let memory = [UNAVAILABLE; 4];
        let numbers = [&[self.flags][..], &sessions, &[max_pin_len, min_pin_len], &memory];
        numbers.into_iter().flatten().for_each(|number| reply.u64(*number));
        version(reply, self.version);
        version(reply, self.version);
        // The time means something only with CKF_CLOCK_ON_TOKEN.
        reply.string(&padded::<16>(""));
        Ok(())
    }
}

impl Reply for MechanismInfo {
    const SIGNATURE: &'static str = "uuu";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        reply.u64(self.min_key_size);
        reply.u64(self.max_key_size);
        reply.u64(self.flags);
        Ok(())
    }
}

impl Reply for SessionInfo {
    const SIGNATURE: &'static str = "uuuu";

    fn write(self, _: Wire<'_>, reply: &mut Writer) -> Result<()> {
        let writes = if self.read_write { ck!(CKF_RW_SESSION) } else { 0 };
        reply.u64(self.slot.0);
        reply.u64(self.state.number());
        reply.u64(ck!(CKF_SERIAL_SESSION) | writes);
        // No device that could have had an error.
        reply.u64(0);
        Ok(())
    }
}
