//! Generations of the client, told apart by the one byte that it offers first.

/// What a generation writes differently from the others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    /// The byte that it offers, and gets back.
    pub(crate) version: u8,
    /// The version of the standard whose functions it can call.
    pub(crate) standard: (u8, u8),
    /// Whether a byte before a mechanism's parameter says that there is one, and nothing follows a
    /// mechanism that never has one. Else an empty byte array follows such a mechanism.
    pub(crate) says_whether_parameter: bool,
    /// Whether a template in a template that waits for values says what its attributes have room
    /// for.
    pub(crate) nests_room: bool,
    /// Whether it knows mechanisms by the numbers that IBM gave them.
    pub(crate) knows_ibm: bool,
}

/// p11-kit up to 0.24.1.
const FIRST: Generation = Generation {
    version: 0,
    standard: (2, 40),
    says_whether_parameter: false,
    nests_room: false,
    knows_ibm: false,
};

/// p11-kit 0.25.0 to 0.25.5.
const SECOND: Generation = Generation { version: 1, standard: (3, 0), knows_ibm: true, ..FIRST };

/// p11-kit from 0.25.6 on.
const THIRD: Generation =
    Generation { version: 2, says_whether_parameter: true, nests_room: true, ..SECOND };

impl Generation {
    /// The generation of a client that offers a version. One that offers more than we know is
    /// answered with what we know.
    pub(crate) fn offering(version: u8) -> &'static Self {
        match version {
            0 => &FIRST,
            1 => &SECOND,
            _ => &THIRD,
        }
    }
}
