//! The vocabulary of PKCS#11: numbers, names, errors, attributes, values and parameters.
//!
//! This room has no I/O, no cryptography and no globals, and depends on nothing of ours. Every
//! number comes from the standard's header through `cryptoki-sys`; none is typed in by hand.

#![forbid(unsafe_code)]

pub mod attribute;
mod error;
mod info;
mod map;
mod memory;
pub mod number;
mod output;
mod params;
pub mod reason;
pub mod rule;
pub mod used;
mod value;

pub use attribute::{Attribute, Info as AttributeInfo, Kind};
pub use error::{Error, Gravity, Result, graver};
pub use info::{
    MechanismInfo, ModuleInfo, SessionInfo, SessionState, SlotInfo, Text, TokenInfo, padded,
};
pub use map::{Mixer, NumberMap};
pub use memory::{copy_of, room_for};
pub use number::{Class, KeyType, MechanismType, ObjectHandle, SessionHandle, SlotId, UserType};
pub use output::{Output, Room};
pub use params::{Derived, Field, Layout, MechanismCall, Param, Params, Placed};
pub use value::{Attributes, Bytes, Value, wipe};
