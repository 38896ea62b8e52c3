//! How a function behaves on the wire: what the table says of it beside what goes in and what comes out.

use crate::serve::HOST_CONDUCT;
use crate::{CONDUCT, Operation};

/// Of a row of the table, or of one of the edge's own questions.
pub(crate) struct Conduct {
    pub(crate) number: u16,
    /// Whether its first argument is a session.
    pub(crate) in_session: bool,
    pub(crate) again: Again,
    pub(crate) role: Option<Role>,
}

/// Whether it can be asked a second time, if nobody knows what came of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing comes of it but the answer: that is told again as often as one asks.
    Reads,
    /// What comes of it is gone with the application.
    Passes,
    /// What comes of it may last, so nobody may ask twice for once: tokens, PINs, objects and logins.
    Lasts,
}

/// What it has to do with the round trips of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It starts an operation, or ends it.
    Start(Operation),
    /// It is all of one, from the data to the outcome.
    Whole(Operation),
    /// It is a part of one.
    Part(Operation),
    /// It is the end of one.
    Last(Operation),
    /// It takes a part of two at once, this one and a cipher.
    Dual(Operation),
    /// It touches any of the session's.
    Session,
    /// It makes objects, which a search that starts later finds.
    Make,
    /// It may change which operations can start with an object, in any session.
    Object,
    /// It may change which operations can start, in any session.
    Everything,
    /// It is a step of a search.
    Search(Step),
    /// It reads attributes.
    Attributes,
    /// It opens a session.
    Open,
    /// It ends the session, and its objects.
    Close,
}

/// A step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `C_FindObjectsInit`.
    Start,
    /// `C_FindObjects`.
    Next,
    /// `C_FindObjectsFinal`.
    End,
}

/// Where the numbers begin that no function of the standard has.
pub(crate) const FIRST_OF_HOST: u16 = 0x8000;

/// How what a number stands for behaves.
pub(crate) fn conduct(number: u16) -> Option<&'static Conduct> {
    let rows = if number < FIRST_OF_HOST { CONDUCT } else { HOST_CONDUCT };
    rows.get(rows.binary_search_by_key(&number, |row| row.number).ok()?)
}

// The numbers of those rows that are told apart further.
pub(crate) const INFO: u16 = 1;
pub(crate) const OPEN_SESSION: u16 = 11;
pub(crate) const CLOSE_SESSION: u16 = 12;
pub(crate) const CLOSE_ALL_SESSIONS: u16 = 13;
pub(crate) const LOGIN: u16 = 15;
pub(crate) const LOGOUT: u16 = 16;
pub(crate) const ATTRIBUTES: u16 = 21;
pub(crate) const ENCRYPT_UPDATE: u16 = 28;
pub(crate) const DECRYPT_UPDATE: u16 = 32;
pub(crate) const SIGN_INIT: u16 = 39;
pub(crate) const SIGN_UPDATE: u16 = 41;
pub(crate) const VERIFY_INIT: u16 = 43;
pub(crate) const VERIFY_UPDATE: u16 = 45;
pub(crate) const LOGIN_USER: u16 = 60;
pub(crate) const SESSION_CANCEL: u16 = 61;
pub(crate) const OPERATION_STATE: u16 = 75;
pub(crate) const SET_OPERATION_STATE: u16 = 76;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROWS;

    #[test]
    fn the_rows_that_are_told_apart_are_these() {
        let named = [
            (INFO, "C_GetInfo"),
            (OPEN_SESSION, "C_OpenSession"),
            (CLOSE_SESSION, "C_CloseSession"),
            (CLOSE_ALL_SESSIONS, "C_CloseAllSessions"),
            (LOGIN, "C_Login"),
            (LOGOUT, "C_Logout"),
            (ATTRIBUTES, "C_GetAttributeValue"),
            (ENCRYPT_UPDATE, "C_EncryptUpdate"),
            (DECRYPT_UPDATE, "C_DecryptUpdate"),
            (SIGN_INIT, "C_SignInit"),
            (SIGN_UPDATE, "C_SignUpdate"),
            (VERIFY_INIT, "C_VerifyInit"),
            (VERIFY_UPDATE, "C_VerifyUpdate"),
            (LOGIN_USER, "C_LoginUser"),
            (SESSION_CANCEL, "C_SessionCancel"),
            (OPERATION_STATE, "C_GetOperationState"),
            (SET_OPERATION_STATE, "C_SetOperationState"),
        ];
        for row in named {
            assert!(ROWS.iter().any(|of| (of.number, of.name) == row), "{row:?}");
        }
    }

    #[test]
    fn every_number_is_found() {
        for rows in [CONDUCT, HOST_CONDUCT] {
            assert!(
                rows.iter()
                    .all(|of| conduct(of.number).is_some_and(|found| core::ptr::eq(found, of)))
            );
        }
    }
}
