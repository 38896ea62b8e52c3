//! What the information functions tell: `CK_INFO`, `CK_SLOT_INFO`, `CK_TOKEN_INFO` and so on,
//! with Rust's own types. The edge pads strings and sets the numbers of the C structures.

use crate::SlotId;

/// `CK_INFO`, as far as it is not fixed by the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Who made the module.
    pub manufacturer: &'static str,
    /// What the module is.
    pub description: &'static str,
    /// Its version, major and minor.
    pub version: (u8, u8),
}

/// `CK_SLOT_INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// What the slot is.
    pub description: String,
    /// Who made it.
    pub manufacturer: &'static str,
    /// `CKF_` flags of the slot.
    pub flags: u64,
    /// Its version, major and minor.
    pub version: (u8, u8),
}

/// `CK_TOKEN_INFO`. Counts and sizes that a software token does not have are set by the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The label, padded with blanks as the application gave it.
    pub label: [u8; 32],
    /// Who made it.
    pub manufacturer: &'static str,
    /// The model.
    pub model: &'static str,
    /// The serial number, padded with blanks.
    pub serial: [u8; 16],
    /// `CKF_` flags of the token.
    pub flags: u64,
    /// Sessions that this application has open.
    pub sessions: u64,
    /// Of these, the ones that can write.
    pub rw_sessions: u64,
    /// The lengths that a PIN can have, in bytes.
    pub pin_len: (u64, u64),
    /// Its version, major and minor.
    pub version: (u8, u8),
}

/// `CK_MECHANISM_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MechanismInfo {
    /// The smallest key, in the unit of the mechanism.
    pub min_key_size: u64,
    /// The largest key, in the unit of the mechanism.
    pub max_key_size: u64,
    /// `CKF_` flags of the mechanism.
    pub flags: u64,
}

/// `CK_SESSION_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The slot it was opened on.
    pub slot: SlotId,
    /// Who is logged in, and what the session may do.
    pub state: SessionState,
    /// Whether it can write token objects.
    pub read_write: bool,
}

/// `CK_STATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// `CKS_RO_PUBLIC_SESSION`.
    ReadOnlyPublic,
    /// `CKS_RO_USER_FUNCTIONS`.
    ReadOnlyUser,
    /// `CKS_RW_PUBLIC_SESSION`.
    ReadWritePublic,
    /// `CKS_RW_USER_FUNCTIONS`.
    ReadWriteUser,
    /// `CKS_RW_SO_FUNCTIONS`.
    ReadWriteSecurityOfficer,
}
