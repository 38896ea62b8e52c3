//! What the information functions tell: `CK_INFO`, `CK_SLOT_INFO`, `CK_TOKEN_INFO` and so on,
//! with Rust's own types. The edges pad strings and set the numbers of the C structures.

use std::borrow::Cow;

use crate::{SlotId, ck};

/// A text that the program has, or that came over a wire.
pub type Text = Cow<'static, str>;

/// `CK_INFO`, as far as it is not fixed by the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Who made the module.
    pub manufacturer: Text,
    /// What the module is.
    pub description: Text,
    /// Its version, major and minor.
    pub version: (u8, u8),
}

/// `CK_SLOT_INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// What the slot is.
    pub description: String,
    /// Who made it.
    pub manufacturer: Text,
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
    pub manufacturer: Text,
    /// The model.
    pub model: Text,
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

impl SessionState {
    /// The `CKS_` number.
    pub fn number(self) -> u64 {
        match self {
            Self::ReadOnlyPublic => ck!(CKS_RO_PUBLIC_SESSION),
            Self::ReadOnlyUser => ck!(CKS_RO_USER_FUNCTIONS),
            Self::ReadWritePublic => ck!(CKS_RW_PUBLIC_SESSION),
            Self::ReadWriteUser => ck!(CKS_RW_USER_FUNCTIONS),
            Self::ReadWriteSecurityOfficer => ck!(CKS_RW_SO_FUNCTIONS),
        }
    }
}

/// A string as C wants it: no zero byte at the end, blanks to the full length. One that is too
/// long ends before the first character that does not fit.
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let ends = text.char_indices().map(|(start, character)| start + character.len_utf8());
    let end = ends.take_while(|end| *end <= N).last().unwrap_or(0);
    for (to, from) in field.iter_mut().zip(text.bytes().take(end)) {
        *to = from;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_padded_with_blanks_and_cut_between_characters() {
        assert_eq!(&padded::<6>("abc"), b"abc   ");
        assert_eq!(&padded::<3>("abcdef"), b"abc");
        assert_eq!(&padded::<4>("abcé"), b"abc ");
        assert_eq!(padded::<5>("abcé"), "abcé".as_bytes());
    }
}
