//! What went wrong, why, and what to do about it: the three lines of every error message.

use std::fmt;
use std::path::Path;

use cryptoki::error::{Error as ModuleError, RvError};

use crate::exit::Exit;

/// The outcome of everything in this program that can fail.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// An error for a person: what happened, the cause below it, and the remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code that tells a script the same.
    pub(crate) exit: Exit,
    what: String,
    cause: Option<String>,
    help: Option<String>,
}

impl Failure {
    /// A failure of which only the fact is known so far.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), cause: None, help: None }
    }

    /// Adds the cause.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds the remedy.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A usage error that clap could not see.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A file that could not be read or written.
    pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(Exit::File, format!("cannot {what} {}", path.display()))
            .cause(error)
            .help("check that the path is right and that your account may use it")
    }

    /// A file whose content is not what it should be.
    pub(crate) fn content(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::new(Exit::File, what).cause(cause)
    }

    /// Says in which file it was.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.what = format!("{}: {}", path.display(), self.what);
        self
    }

    /// The message as lines, each with the word that starts it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let cause = self.cause.as_deref().map(|text| ("cause", text));
        let help = self.help.as_deref().map(|text| ("help", text));
        std::iter::once(("error", self.what.as_str())).chain(cause).chain(help)
    }
}

/// Says what the program was doing when the module refused.
pub(crate) trait During<T> {
    /// The value, or a failure that starts with `what`.
    fn during(self, what: impl Into<String>) -> Result<T>;
}

impl<T> During<T> for cryptoki::error::Result<T> {
    fn during(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| from_module(what.into(), &error))
    }
}

/// Turns an answer of the module into words and an exit code.
fn from_module(what: String, error: &ModuleError) -> Failure {
    match error {
        ModuleError::Pkcs11(code, function) => from_code(what, *code, &format!("C_{function:?}")),
        ModuleError::NullFunctionPointer | ModuleError::NotSupported => {
            Failure::new(Exit::Unsupported, what).cause(error)
        }
        ModuleError::LibraryLoading(_) | ModuleError::MissingSymbol(_) => {
            Failure::new(Exit::Module, what).cause(error)
        }
        ModuleError::TryFromInt(_)
        | ModuleError::TryFromSlice(_)
        | ModuleError::ParseInt(_)
        | ModuleError::Utf8(_)
        | ModuleError::NulError(_)
        | ModuleError::InvalidValue
        | ModuleError::PinNotSet => Failure::new(Exit::Failed, what).cause(error),
    }
}

fn from_code(what: String, code: RvError, function: &str) -> Failure {
    let row = REMEDIES.iter().find(|row| row.code == code);
    let failure = Failure::new(row.map_or(Exit::Failed, |row| row.exit), what)
        .cause(format!("{function} answered {}", name(code)));
    match row {
        Some(row) => failure.help(row.help),
        None => failure.help("run `strongroom check`, and see the module's log for more"),
    }
}

/// The standard's name of a return value, made from the binding's.
fn name(code: RvError) -> String {
    if let RvError::VendorDefined(number) = code {
        return format!("0x{number:08X}");
    }
    format!("{code:?}").chars().fold(String::from("CKR"), |mut name, letter| {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
        name
    })
}

/// One return value: the exit code it leads to, and what the person can do.
struct Remedy {
    code: RvError,
    exit: Exit,
    help: &'static str,
}

macro_rules! remedies {
    ($($code:ident => $exit:ident, $help:literal;)*) => {
        /// The return values that have a remedy. Others name `strongroom check`.
        const REMEDIES: &[Remedy] = &[
            $(Remedy { code: RvError::$code, exit: Exit::$exit, help: $help },)*
        ];
    };
}

remedies! {
    PinIncorrect => Pin, "try again with the right PIN; `strongroom token show` tells how close the token is to locking";
    PinLocked => Pin, "unlock it with the SO PIN: `strongroom token reset-pin`";
    PinExpired => Pin, "set a new PIN: `strongroom token set-pin`";
    PinInvalid => Pin, "choose a PIN of printable characters that the token accepts";
    PinLenRange => Pin, "choose a PIN of a length between the limits that `strongroom token show` prints";
    PinTooWeak => Pin, "choose a longer PIN";
    UserPinNotInitialized => Pin, "set the user PIN with the SO PIN: `strongroom token reset-pin`";
    UserNotLoggedIn => Pin, "give the user PIN with --pin-file, --pin-env, --pin-fd or STRONGROOM_PIN";
    UserAlreadyLoggedIn => Failed, "another part of this process is logged in; try again";
    UserAnotherAlreadyLoggedIn => Failed, "the security officer or the user is logged in already; try again";
    CryptokiNotInitialized => Module, "the module was not initialised; this is a bug in the module or here";
    CryptokiAlreadyInitialized => Module, "the module is in use twice in this process; this is a bug";
    GeneralError => Module, "run `strongroom check`: the module cannot use its configuration or its store";
    DeviceError => Module, "run `strongroom check`: the token's store may be damaged or unreadable";
    DeviceMemory => Failed, "free space on the file system that holds the token";
    HostMemory => Failed, "free memory on this machine";
    DeviceRemoved => NotFound, "the token is gone; `strongroom token list` shows what is there";
    TokenNotPresent => NotFound, "`strongroom token list` shows the slots that hold a token";
    TokenNotRecognized => NotFound, "the token is not initialised: `strongroom token init`";
    SlotIdInvalid => NotFound, "`strongroom token list --all` shows the slots of this module";
    TokenWriteProtected => Refused, "the token is read-only; check the permissions of its store";
    SessionReadOnly => Refused, "the token allows reading only";
    SessionExists => Refused, "close the other applications that use this token, then try again";
    ActionProhibited => Refused, "the object's CKA_COPYABLE, CKA_MODIFIABLE or CKA_DESTROYABLE forbids it";
    AttributeReadOnly => Refused, "the token does not let an application set this attribute";
    AttributeSensitive => Refused, "the key is sensitive: its value never leaves the token in the clear";
    AttributeTypeInvalid => Unsupported, "the module does not know one of the attributes of this request";
    AttributeValueInvalid => Unsupported, "the module does not accept one of the values; try another key type or size";
    TemplateInconsistent => Unsupported, "the module does not allow this combination of attributes; try other --usage values";
    TemplateIncomplete => Unsupported, "the module wants an attribute that this command does not send";
    CurveNotSupported => Unsupported, "choose a curve that `strongroom mechanisms` covers";
    DomainParamsInvalid => Unsupported, "choose a curve that the module supports";
    MechanismInvalid => Unsupported, "`strongroom mechanisms` lists what this module can do";
    MechanismParamInvalid => Unsupported, "the module does not support these parameters; try another hash";
    FunctionNotSupported => Unsupported, "the module does not implement this function";
    KeySizeRange => Unsupported, "choose a size between the limits that `strongroom mechanisms` prints";
    KeyTypeInconsistent => Refused, "this key is of another type than the mechanism needs; see `strongroom key show`";
    KeyFunctionNotPermitted => Refused, "the key's usage does not allow this; see `strongroom key show`, and make a key with --usage";
    KeyUnextractable => Refused, "the key was made without --extractable; it never leaves the token, not even wrapped";
    KeyNotWrappable => Refused, "this key cannot be wrapped with that key or mechanism; try aes-kwp";
    KeyHandleInvalid => NotFound, "the key is gone; `strongroom key list` shows what is there";
    ObjectHandleInvalid => NotFound, "the object is gone; another application may have deleted it";
    WrappingKeyHandleInvalid => NotFound, "the wrapping key is gone; `strongroom key list` shows what is there";
    WrappingKeyTypeInconsistent => Refused, "the wrapping key is of another type than the mechanism needs";
    WrappingKeySizeRange => Refused, "the wrapping key is too small for this mechanism and key";
    UnwrappingKeyHandleInvalid => NotFound, "the unwrapping key is gone; `strongroom key list` shows what is there";
    UnwrappingKeyTypeInconsistent => Refused, "the unwrapping key is of another type than the mechanism needs";
    WrappedKeyInvalid => Invalid, "this is not a key wrapped with that key and mechanism";
    WrappedKeyLenRange => Invalid, "this is not a key wrapped with that key and mechanism";
    SignatureInvalid => Invalid, "the data, the signature or the key is not the one that was signed with";
    SignatureLenRange => Invalid, "the signature has the wrong length for this key; is it of another format (--raw)?";
    EncryptedDataInvalid => Invalid, "the data was changed, or was encrypted with another key or mechanism";
    EncryptedDataLenRange => Invalid, "the data is cut, or was encrypted with another key or mechanism";
    DataLenRange => Refused, "the data is too long for this key and mechanism";
    DataInvalid => Refused, "the mechanism does not accept this data";
    FunctionFailed => Failed, "the module failed without saying why; run `strongroom check`";
    FunctionRejected => Refused, "the token's policy forbids this";
    ArgumentsBad => Unsupported, "the module does not accept these parameters; try another mechanism or hash";
    RandomNoRng => Unsupported, "this token has no random number generator";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_values_have_their_names() {
        assert_eq!(name(RvError::PinIncorrect), "CKR_PIN_INCORRECT");
        assert_eq!(name(RvError::SlotIdInvalid), "CKR_SLOT_ID_INVALID");
        assert_eq!(name(RvError::VendorDefined(0x8000_0001)), "0x80000001");
    }

    #[test]
    fn no_return_value_has_two_remedies() {
        for (index, row) in REMEDIES.iter().enumerate() {
            assert!(REMEDIES[index + 1..].iter().all(|other| other.code != row.code));
        }
    }
}
