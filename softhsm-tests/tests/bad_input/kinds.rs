//! The kinds of arguments: what a good one is, and what may be wrong with it.

use cryptoki_sys::*;
use strongroom_softhsm_tests::Attribute;

/// Return values that are right.
pub(crate) type Codes = &'static [CK_RV];

/// An argument of a function, or a pointer with the length that goes with it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The slot of the token.
    Slot,
    /// The session under test.
    Session,
    /// The handle of an object.
    Object(Held, Role),
    /// `CK_MECHANISM_PTR`, and what a null one means.
    Mechanism(&'static How, Codes),
    /// Attributes and their number.
    Template(fn() -> Vec<Attribute>),
    /// Attributes that wait for values, and their number.
    Query,
    /// Bytes and their length.
    In(&'static Input),
    /// Room for bytes and a pointer to its length; what is answered where there is little of it.
    Out(Codes),
    /// Room for elements and a pointer to their number.
    List,
    /// Room for bytes and its length.
    Fill,
    /// Room for handles, how many at most, and a place for their number.
    Found,
    /// A place for a structure or a number of so many words.
    Place(usize),
    /// A number, and others that are wrong.
    Number(CK_ULONG, &'static [(CK_ULONG, Codes)]),
    /// What must be null.
    Reserved,
    /// What may be null, and is.
    Optional,
    /// A PIN and its length.
    Pin(Pin),
    /// The label of a token, of 32 bytes.
    Label,
    /// The arguments of `C_Initialize`.
    InitArgs,
    /// The parameter of a message that is encrypted, and its length.
    Message,
    /// The parameter of a message that has none, and its length.
    NoParameter,
}

/// Whose PIN it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Of the user.
    User,
    /// Of the security officer.
    So,
    /// Of whoever is logged in; of the user, if nobody is.
    Own,
}

/// The objects that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// None at all: handle 0.
    None,
    /// A generic secret key of the session under test, made for the case.
    Fresh,
    /// A data object.
    Data,
    /// A generic secret key that signs.
    Mac,
    /// An AES key.
    Aes,
    /// A public RSA key.
    RsaPublic,
    /// A private RSA key.
    RsaPrivate,
    /// A public key on P-256.
    EcPublic,
    /// A private key on P-256.
    EcPrivate,
    /// A public ML-KEM key.
    KemPublic,
    /// A private ML-KEM key.
    KemPrivate,
}

/// What an object is to a function, and so what it says of one that is not there or does not fit.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    /// It is not there.
    absent: Codes,
    /// It is no key, or not one that fits.
    other: Codes,
}

/// Any object.
pub(crate) const OBJECT: Role = Role { absent: &[CKR_OBJECT_HANDLE_INVALID], other: &[] };
/// A key that an operation uses.
pub(crate) const KEY: Role = Role {
    absent: &[CKR_KEY_HANDLE_INVALID],
    other: &[CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED],
};
/// A key that is wrapped.
pub(crate) const WRAPPED: Role = Role {
    absent: &[CKR_KEY_HANDLE_INVALID],
    other: &[CKR_KEY_HANDLE_INVALID, CKR_KEY_NOT_WRAPPABLE],
};
/// A key that wraps.
pub(crate) const WRAPPING: Role = Role {
    absent: &[CKR_WRAPPING_KEY_HANDLE_INVALID],
    other: &[
        CKR_WRAPPING_KEY_HANDLE_INVALID,
        CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
        CKR_KEY_FUNCTION_NOT_PERMITTED,
    ],
};
/// A key that unwraps.
pub(crate) const UNWRAPPING: Role = Role {
    absent: &[CKR_UNWRAPPING_KEY_HANDLE_INVALID],
    other: &[
        CKR_UNWRAPPING_KEY_HANDLE_INVALID,
        CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
        CKR_KEY_FUNCTION_NOT_PERMITTED,
    ],
};
/// A key that is digested.
pub(crate) const DIGESTED: Role = Role {
    absent: &[CKR_KEY_HANDLE_INVALID],
    other: &[CKR_KEY_HANDLE_INVALID, CKR_KEY_INDIGESTIBLE],
};
/// A key of a saved state: one too many.
pub(crate) const UNWANTED: Role =
    Role { absent: &[CKR_KEY_NOT_NEEDED, CKR_KEY_HANDLE_INVALID], other: &[CKR_KEY_NOT_NEEDED] };

/// A mechanism: its number and its parameter.
pub(crate) struct How {
    pub(crate) id: CK_MECHANISM_TYPE,
    pub(crate) parameter: Parameter,
}

/// A good parameter of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// There is none.
    None,
    /// An IV of 16 bytes.
    Iv,
    /// `CK_KEY_DERIVATION_STRING_DATA` of 32 bytes.
    StringData,
    /// `CK_GCM_MESSAGE_PARAMS`.
    GcmMessage,
}

/// Bytes that go in.
pub(crate) struct Input {
    pub(crate) source: Source,
    /// Without a byte.
    zero: Codes,
    /// With one byte less.
    odd: Codes,
    /// With 2^27 bytes, where that is too long for anybody; where it is not, it is not asked.
    vast: Codes,
    /// Longer than memory can be.
    endless: Codes,
}

/// Where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Two blocks of a text.
    Text,
    /// The MAC of that text.
    Mac,
    /// A wrapped key.
    Wrapped,
    /// A signature from which data can be recovered.
    Recoverable,
    /// The state of a digest.
    State,
    /// What is encapsulated.
    Encapsulated,
    /// Nothing.
    Nothing,
}

const ENDLESS: Codes = &[CKR_ARGUMENTS_BAD, CKR_HOST_MEMORY];
/// More bytes than any wrapped key has.
const KEY_TOO_LONG: Codes =
    &[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID, CKR_ARGUMENTS_BAD];

const fn input(source: Source, zero: Codes, odd: Codes, vast: Codes, endless: Codes) -> Input {
    Input { source, zero, odd, vast, endless }
}

const fn signature(source: Source) -> Input {
    const LENGTH: Codes = &[CKR_SIGNATURE_LEN_RANGE];
    const TOO_LONG: Codes = &[CKR_SIGNATURE_LEN_RANGE, CKR_ARGUMENTS_BAD];
    input(source, LENGTH, LENGTH, TOO_LONG, TOO_LONG)
}

const fn key_inside(source: Source) -> Input {
    const NO_KEY: Codes = &[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID];
    input(source, NO_KEY, NO_KEY, KEY_TOO_LONG, KEY_TOO_LONG)
}

/// Data of any length.
pub(crate) static TEXT: Input = input(Source::Text, &[CKR_OK], &[CKR_OK], &[], ENDLESS);
/// Data for PKCS#1.
pub(crate) static SHORT: Input = input(
    Source::Text,
    &[CKR_OK],
    &[CKR_OK],
    &[],
    &[CKR_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD, CKR_HOST_MEMORY],
);
/// Data that must be whole blocks.
pub(crate) static BLOCKS: Input = input(
    Source::Text,
    &[CKR_OK, CKR_DATA_LEN_RANGE],
    &[CKR_DATA_LEN_RANGE],
    &[],
    &[CKR_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD, CKR_HOST_MEMORY],
);
/// Ciphertext that must be whole blocks.
pub(crate) static CIPHERTEXT: Input = input(
    Source::Text,
    &[CKR_OK, CKR_ENCRYPTED_DATA_LEN_RANGE],
    &[CKR_ENCRYPTED_DATA_LEN_RANGE],
    &[],
    &[CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD, CKR_HOST_MEMORY],
);
/// A MAC.
pub(crate) static MAC: Input = signature(Source::Mac);
/// A signature with the data in it.
pub(crate) static RECOVERABLE: Input = signature(Source::Recoverable);
/// A wrapped key.
pub(crate) static KEY_INSIDE: Input = key_inside(Source::Wrapped);
/// What a public key encapsulated.
pub(crate) static ENCAPSULATED: Input = key_inside(Source::Encapsulated);
/// The state of operations.
pub(crate) static STATE: Input = input(
    Source::State,
    &[CKR_SAVED_STATE_INVALID],
    &[CKR_SAVED_STATE_INVALID],
    &[CKR_SAVED_STATE_INVALID, CKR_ARGUMENTS_BAD],
    &[CKR_SAVED_STATE_INVALID, CKR_ARGUMENTS_BAD],
);
/// Ciphertext that somebody made up.
pub(crate) static FORGED: Input = input(Source::Text, FORGERY, FORGERY, &[], ENDLESS);
/// What is said of it.
pub(crate) const FORGERY: Codes = &[CKR_AEAD_DECRYPT_FAILED];
/// A wrapped key that somebody made up.
pub(crate) static FORGED_KEY: Input =
    input(Source::Text, FORGED_WRAP, FORGED_WRAP, KEY_TOO_LONG, KEY_TOO_LONG);
/// What is said of it.
pub(crate) const FORGED_WRAP: Codes =
    &[CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_AEAD_DECRYPT_FAILED];
/// Data that goes with what somebody made up.
pub(crate) static ASSOCIATED_FORGED: Input =
    input(Source::Text, FORGED_WRAP, FORGED_WRAP, &[], ENDLESS);
/// The same for a message.
pub(crate) static ASSOCIATED_MESSAGE: Input = input(Source::Text, FORGERY, FORGERY, &[], ENDLESS);
/// The name of a user, of whom there is none.
pub(crate) static NAME: Input = input(Source::Nothing, &[], &[], NO_NAME, NO_NAME);
const NO_NAME: Codes = &[CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT, CKR_USER_TYPE_INVALID];

/// What is wrong with an argument.
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) changes: Vec<(usize, To)>,
    pub(crate) wanted: Vec<CK_RV>,
}

/// What a word of the argument becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    /// This number; 0 is the null pointer.
    Word(CK_ULONG),
    /// The word of this index behind its pointer becomes this number.
    Behind(usize, CK_ULONG),
    /// One byte less.
    Less,
    /// An address with very much memory.
    Vast,
    /// The word of this index behind its pointer becomes such an address.
    VastBehind(usize),
    /// Something there, where nothing is wanted.
    Something,
    /// The handle of this object.
    Handle(Held),
    /// The handle of an object that was destroyed.
    Destroyed,
    /// The handle of a session that was closed.
    Closed,
}

use To::{Behind, Closed, Destroyed, Handle, Less, Something, Vast, VastBehind, Word};

const HALF: CK_ULONG = 1 << 63;
const MAX: CK_ULONG = CK_ULONG::MAX;
const LONG: CK_ULONG = 1 << 32;
/// More than any key, signature, PIN or parameter has, and still there.
const MUCH: CK_ULONG = 1 << 27;
/// A handle that nobody gives so soon.
const UNKNOWN: CK_ULONG = 0x7FFF_FFF3;
/// A number of the standard's range that is no mechanism's.
pub(crate) const NO_MECHANISM: CK_ULONG = 0x7FFF_FFF1;

const BAD: Codes = &[CKR_ARGUMENTS_BAD];
const PARAMETER: Codes = &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD];

fn fault(name: &str, changes: &[(usize, To)], wanted: Codes) -> Fault {
    Fault { name: name.to_owned(), changes: changes.to_vec(), wanted: wanted.to_vec() }
}

fn session() -> Vec<Fault> {
    const GONE: Codes = &[CKR_SESSION_HANDLE_INVALID];
    vec![
        fault("handle 0", &[(0, Word(0))], GONE),
        fault("a handle nobody gave", &[(0, Word(UNKNOWN))], GONE),
        fault("the highest handle", &[(0, Word(MAX))], GONE),
        fault("2^63", &[(0, Word(HALF))], GONE),
        fault(
            "a closed session",
            &[(0, Closed)],
            &[CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED],
        ),
    ]
}

fn slot() -> Vec<Fault> {
    const NONE: Codes = &[CKR_SLOT_ID_INVALID];
    vec![
        fault("a slot nobody named", &[(0, Word(UNKNOWN))], NONE),
        fault("the highest slot", &[(0, Word(MAX))], NONE),
        fault("2^63", &[(0, Word(HALF))], NONE),
    ]
}

fn object(held: Held, role: Role) -> Vec<Fault> {
    let mut all = vec![
        fault("a handle nobody gave", &[(0, Word(UNKNOWN))], role.absent),
        fault("the highest handle", &[(0, Word(MAX))], role.absent),
        fault("a destroyed object", &[(0, Destroyed)], role.absent),
    ];
    if held != Held::None {
        all.push(fault("handle 0", &[(0, Word(0))], role.absent));
    }
    if !role.other.is_empty() {
        all.push(fault("an object that is no key", &[(0, Handle(Held::Data))], {
            if held == Held::None { role.absent } else { role.other }
        }));
    }
    let another = match held {
        Held::Mac | Held::Aes | Held::Fresh => &[(0, Handle(Held::RsaPublic))],
        _ => &[(0, Handle(Held::Mac))],
    };
    if !role.other.is_empty() {
        all.push(fault("a key of another type", another, role.other));
    }
    all
}

fn mechanism(how: &How, null: Codes) -> Vec<Fault> {
    const NONE: Codes = &[CKR_MECHANISM_INVALID];
    let mut all = vec![
        fault("null", &[(0, Word(0))], null),
        fault("a mechanism nobody knows", &[(0, Behind(0, NO_MECHANISM))], NONE),
        fault("the highest mechanism", &[(0, Behind(0, MAX))], NONE),
        fault("a mechanism of 2^32", &[(0, Behind(0, LONG))], NONE),
        fault("a vendor's mechanism", &[(0, Behind(0, CKM_VENDOR_DEFINED | 77))], NONE),
        fault("a null parameter of 8 bytes", &[(0, Behind(1, 0)), (0, Behind(2, 8))], PARAMETER),
        fault("a null parameter of 2^63", &[(0, Behind(1, 0)), (0, Behind(2, HALF))], PARAMETER),
        fault("a parameter of all bytes", &[(0, VastBehind(1)), (0, Behind(2, MAX))], PARAMETER),
        fault("a parameter of 2^63", &[(0, VastBehind(1)), (0, Behind(2, HALF))], PARAMETER),
        fault("a parameter of 2^27", &[(0, VastBehind(1)), (0, Behind(2, MUCH))], PARAMETER),
        fault("a parameter of one byte", &[(0, VastBehind(1)), (0, Behind(2, 1))], PARAMETER),
        fault("a parameter of 3 bytes", &[(0, VastBehind(1)), (0, Behind(2, 3))], PARAMETER),
    ];
    if how.id != CKM_SHA256 {
        let digest = [(0, Behind(0, CKM_SHA256)), (0, Behind(1, 0)), (0, Behind(2, 0))];
        all.push(fault("a digest", &digest, NONE));
    }
    if how.parameter != Parameter::None {
        all.push(fault("no parameter", &[(0, Behind(1, 0)), (0, Behind(2, 0))], PARAMETER));
    }
    all
}

fn template() -> Vec<Fault> {
    const VALUE: Codes = &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_ARGUMENTS_BAD];
    // It stands where one is that may have to be there.
    const KNOWN: Codes = &[CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCOMPLETE];
    vec![
        fault("null with its number", &[(0, Word(0))], BAD),
        fault("null with 2^32", &[(0, Word(0)), (1, Word(LONG))], BAD),
        fault("as many as there are numbers", &[(1, Word(MAX))], BAD),
        fault("2^63 of them", &[(1, Word(HALF))], BAD),
        fault("2^60 of them", &[(1, Word(1 << 60))], BAD),
        fault("an attribute nobody knows", &[(0, Behind(0, 0x3FFF_FFF1))], KNOWN),
        fault("an attribute of 2^32", &[(0, Behind(0, LONG))], KNOWN),
        fault("a null value", &[(0, Behind(1, 0))], VALUE),
        fault("a value of no bytes", &[(0, Behind(2, 0))], VALUE),
        fault("a value of 3 bytes", &[(0, Behind(2, 3))], VALUE),
        fault("a value of 2^63", &[(0, Behind(2, HALF))], VALUE),
        fault("a value of all bytes", &[(0, Behind(2, MAX))], VALUE),
        fault("a null value of all bytes", &[(0, Behind(1, 0)), (0, Behind(2, MAX))], VALUE),
        fault("a value of 2^27", &[(0, VastBehind(1)), (0, Behind(2, MUCH))], VALUE),
    ]
}

fn query() -> Vec<Fault> {
    vec![
        fault("null with its number", &[(0, Word(0))], BAD),
        fault("null with 2^32", &[(0, Word(0)), (1, Word(LONG))], BAD),
        fault("as many as there are numbers", &[(1, Word(MAX))], BAD),
        fault("2^63 of them", &[(1, Word(HALF))], BAD),
        fault("none", &[(1, Word(0))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
        fault("null and none", &[(0, Word(0)), (1, Word(0))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
        fault("an attribute nobody knows", &[(0, Behind(0, 0x3FFF_FFF1))], {
            &[CKR_ATTRIBUTE_TYPE_INVALID]
        }),
        fault("an attribute of 2^32", &[(0, Behind(0, LONG))], &[CKR_ATTRIBUTE_TYPE_INVALID]),
        fault("a null value", &[(0, Behind(1, 0))], &[CKR_OK]),
        fault("a null value of all bytes", &[(0, Behind(1, 0)), (0, Behind(2, MAX))], &[CKR_OK]),
        fault("room for no byte", &[(0, Behind(2, 0))], &[CKR_BUFFER_TOO_SMALL]),
        fault("room for one byte", &[(0, Behind(2, 1))], &[CKR_BUFFER_TOO_SMALL]),
        fault("room of 2^63", &[(0, Behind(2, HALF))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
    ]
}

fn bytes(input: &Input) -> Vec<Fault> {
    let mut all = vec![
        fault("null with 2^63", &[(0, Word(0)), (1, Word(HALF))], input.endless),
        fault("null with all bytes", &[(0, Word(0)), (1, Word(MAX))], input.endless),
        fault("2^63 bytes", &[(0, Vast), (1, Word(HALF))], input.endless),
        fault("2^63 - 1 bytes", &[(0, Vast), (1, Word(HALF - 1))], input.endless),
        fault("all bytes", &[(0, Vast), (1, Word(MAX))], input.endless),
    ];
    if !input.vast.is_empty() {
        all.push(fault("2^27 bytes", &[(0, Vast), (1, Word(MUCH))], input.vast));
    }
    if input.source != Source::Nothing {
        let mut empty = fault("null and 0", &[(0, Word(0)), (1, Word(0))], input.zero);
        empty.wanted.push(CKR_ARGUMENTS_BAD);
        let mut null = fault("null with its length", &[(0, Word(0))], input.odd);
        null.wanted = [input.endless, &[CKR_ARGUMENTS_BAD]].concat();
        all.extend([
            empty,
            null,
            fault("length 0", &[(1, Word(0))], input.zero),
            fault("one byte less", &[(1, Less)], input.odd),
        ]);
    }
    all
}

fn out(small: Codes) -> Vec<Fault> {
    const ENOUGH: Codes = &[CKR_OK, CKR_ARGUMENTS_BAD];
    vec![
        fault("no length", &[(1, Word(0))], BAD),
        fault("neither", &[(0, Word(0)), (1, Word(0))], BAD),
        fault("a query", &[(0, Word(0))], &[CKR_OK]),
        fault("a query with a length", &[(0, Word(0)), (1, Behind(0, MAX))], &[CKR_OK]),
        fault("room for nothing", &[(1, Behind(0, 0))], small),
        fault("room for one", &[(1, Behind(0, 1))], small),
        fault("room of 2^63", &[(1, Behind(0, HALF))], ENOUGH),
        fault("room of all", &[(1, Behind(0, MAX))], ENOUGH),
    ]
}

fn pin() -> Vec<Fault> {
    const WRONG: Codes =
        &[CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE, CKR_PIN_INVALID, CKR_ARGUMENTS_BAD];
    vec![
        fault("null with 8 bytes", &[(0, Word(0)), (1, Word(8))], BAD),
        fault("null and 0", &[(0, Word(0)), (1, Word(0))], WRONG),
        fault("null with all bytes", &[(0, Word(0)), (1, Word(MAX))], WRONG),
        fault("length 0", &[(1, Word(0))], WRONG),
        fault("length 1", &[(1, Word(1))], WRONG),
        fault("2^27 bytes", &[(0, Vast), (1, Word(MUCH))], WRONG),
        fault("2^63 bytes", &[(0, Vast), (1, Word(HALF))], WRONG),
        fault("all bytes", &[(0, Vast), (1, Word(MAX))], WRONG),
    ]
}

fn init_args() -> Vec<Fault> {
    const HALF_OF_THEM: &[(usize, To)] = &[(0, Something), (0, Behind(0, 1))];
    vec![
        fault("reserved", &[(0, Something), (0, Behind(5, 1))], BAD),
        fault("one callback of four", HALF_OF_THEM, BAD),
    ]
}

fn message() -> Vec<Fault> {
    vec![
        fault("null with its length", &[(0, Word(0))], PARAMETER),
        fault("null and 0", &[(0, Word(0)), (1, Word(0))], PARAMETER),
        fault("length 0", &[(1, Word(0))], PARAMETER),
        fault("one byte less", &[(1, Less)], PARAMETER),
        fault("one byte", &[(1, Word(1))], PARAMETER),
        fault("2^27 bytes", &[(0, Vast), (1, Word(MUCH))], PARAMETER),
        fault("2^63 bytes", &[(0, Vast), (1, Word(HALF))], PARAMETER),
        fault("all bytes", &[(0, Vast), (1, Word(MAX))], PARAMETER),
        fault("a null IV", &[(0, Behind(0, 0))], PARAMETER),
        fault("an IV of 2^63", &[(0, Behind(1, HALF))], PARAMETER),
        fault("an IV of all bytes", &[(0, Behind(1, MAX))], PARAMETER),
        fault("no IV", &[(0, Behind(0, 0)), (0, Behind(1, 0))], PARAMETER),
        fault("a null tag", &[(0, Behind(4, 0))], PARAMETER),
        fault("a tag of 2^63 bits", &[(0, Behind(5, HALF))], PARAMETER),
        fault("a tag of all bits", &[(0, Behind(5, MAX))], PARAMETER),
        fault("a tag of 7 bits", &[(0, Behind(5, 7))], PARAMETER),
    ]
}

impl Kind {
    /// How many words it takes.
    pub(crate) fn words(self) -> usize {
        match self {
            Self::Found => 3,
            Self::Template(_)
            | Self::Query
            | Self::In(_)
            | Self::Out(_)
            | Self::List
            | Self::Fill
            | Self::Pin(_)
            | Self::Message
            | Self::NoParameter => 2,
            _ => 1,
        }
    }

    /// What may be wrong with it.
    pub(crate) fn faults(self) -> Vec<Fault> {
        match self {
            Self::Slot => slot(),
            Self::Session => session(),
            Self::Object(held, role) => object(held, role),
            Self::Mechanism(how, null) => mechanism(how, null),
            Self::Template(_) => template(),
            Self::Query => query(),
            Self::In(input) => bytes(input),
            Self::Out(small) => out(small),
            Self::List => out(&[CKR_BUFFER_TOO_SMALL]),
            Self::Fill => vec![
                fault("null with its length", &[(0, Word(0))], BAD),
                fault("null with 2^32", &[(0, Word(0)), (1, Word(LONG))], BAD),
                fault("null with all bytes", &[(0, Word(0)), (1, Word(MAX))], BAD),
                fault("length 0", &[(1, Word(0))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
                fault("all bytes", &[(0, Vast), (1, Word(MAX))], ENDLESS),
                fault("2^63 bytes", &[(0, Vast), (1, Word(HALF))], ENDLESS),
            ],
            Self::Found => vec![
                fault("null handles", &[(0, Word(0))], BAD),
                fault("no number", &[(2, Word(0))], BAD),
                fault("at most 0", &[(1, Word(0))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
                fault("at most 2^63", &[(1, Word(HALF))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
                fault("at most all", &[(1, Word(MAX))], &[CKR_OK, CKR_ARGUMENTS_BAD]),
            ],
            Self::Place(_) => vec![fault("null", &[(0, Word(0))], BAD)],
            Self::Optional => vec![],
            Self::Number(_, others) => others
                .iter()
                .map(|(other, wanted)| fault(&format!("{other:#x}"), &[(0, Word(*other))], wanted))
                .collect(),
            Self::Reserved => vec![fault("not null", &[(0, Something)], BAD)],
            Self::Pin(_) => pin(),
            Self::Label => vec![fault("null", &[(0, Word(0))], BAD)],
            Self::InitArgs => init_args(),
            Self::Message => message(),
            Self::NoParameter => vec![
                fault("one byte", &[(0, Vast), (1, Word(1))], PARAMETER),
                fault("null with 8 bytes", &[(1, Word(8))], PARAMETER),
                fault("null with all bytes", &[(1, Word(MAX))], PARAMETER),
                fault("2^63 bytes", &[(0, Vast), (1, Word(HALF))], PARAMETER),
            ],
        }
    }
}
