//! The exit codes: one list that the program returns, `--help` prints and the man page carries.

use std::process::ExitCode;

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)*) => {
        /// How a run of the program ended, for scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Exit { $($(#[$doc])* $name,)* }

        impl Exit {
            /// The number that the shell sees.
            pub(crate) fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }
        }

        /// Every code with its meaning, in order.
        const MEANINGS: &[(u8, &str)] = &[$(($code, $meaning),)*];
    };
}

exits! {
    /// Everything that was asked for was done.
    Done = 0, "success";
    /// The operation was tried and failed.
    Failed = 1, "the operation failed";
    /// The command line, or what a prompt was answered, makes no sense.
    Usage = 2, "wrong usage: an option, a value, or an answer that was needed and not given";
    /// No such token, key or certificate.
    NotFound = 3, "no such token, key or certificate";
    /// A name fits several things, and the program does not guess.
    Ambiguous = 4, "a name fits more than one token, key or certificate";
    /// The PIN is wrong, locked, or missing.
    Pin = 5, "the PIN is wrong, locked, expired or not set";
    /// The module, or the store below it, cannot be used.
    Module = 6, "the PKCS#11 module cannot be found, loaded or initialised";
    /// The token's rules, or the key's attributes, forbid it.
    Refused = 7, "the token refuses: a key's usage, its protection, or the token's policy";
    /// A signature does not verify, or sealed data does not open.
    Invalid = 8, "the signature does not verify, or the encrypted data is not authentic";
    /// A file cannot be read, written, or understood.
    File = 9, "a file cannot be read, written or understood";
    /// The module does not know how.
    Unsupported = 10, "the module does not support what was asked for";
    /// `check` found something that needs attention.
    Findings = 11, "check found problems";
    /// `import` left something behind.
    Partly = 12, "only a part was imported; the rest is listed, with the reasons";
}

/// The list as `--help` and the man page show it.
pub(crate) fn help() -> String {
    MEANINGS.iter().fold(String::from("Exit codes:"), |mut text, (code, meaning)| {
        text.push_str(&format!("\n  {code:>2}  {meaning}"));
        text
    })
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
