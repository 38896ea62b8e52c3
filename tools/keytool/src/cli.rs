//! The command line: the one definition from which parsing, help, the man pages and the shell
//! completions come.

mod cert;
mod daemon;
mod key;
mod moving;
mod operation;
mod softhsm2_util;
mod store;
mod token;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(crate) use cert::*;
pub(crate) use daemon::*;
pub(crate) use key::*;
pub(crate) use moving::*;
pub(crate) use operation::*;
pub(crate) use softhsm2_util::*;
pub(crate) use store::*;
pub(crate) use token::*;

/// Tokens, keys and certificates of a software HSM, or of any other PKCS#11 module.
///
/// Works through the PKCS#11 interface like any client. PINs are asked for without echo, or
/// read from a file, an environment variable or a file descriptor; they are never needed on
/// the command line.
#[derive(Parser)]
#[command(name = "strongroom", version, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The PKCS#11 module; by default Strongroom's, beside or near this program, then in the
    /// library directories of the system
    #[arg(long, global = true, env = "STRONGROOM_MODULE", value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
    /// Do not show progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tokens: make, list, change PINs, delete
    #[command(subcommand)]
    Token(TokenCommand),
    /// Keys: generate, list, import, export, wrap
    #[command(subcommand)]
    Key(KeyCommand),
    /// Certificates: import, list, export, request, self-sign
    #[command(subcommand)]
    Cert(CertCommand),
    /// Sign a file with a key of the token
    Sign(SignArgs),
    /// Verify a signature with a key of the token
    Verify(VerifyArgs),
    /// Encrypt a file with a key of the token
    Encrypt(CipherArgs),
    /// Decrypt a file with a key of the token
    Decrypt(CipherArgs),
    /// Print random bytes of the token's generator
    Random(RandomArgs),
    /// List the mechanisms of the module
    Mechanisms(MechanismsArgs),
    /// Check module, configuration, permissions and integrity of the store
    Check(CheckArgs),
    /// Write a sealed copy of a token to a file
    Backup(BackupArgs),
    /// Bring a token back from a sealed copy
    Restore(RestoreArgs),
    /// Show how the daemon is
    Status(DaemonArgs),
    /// Have the daemon forget all keys, until it is unsealed
    Seal(DaemonArgs),
    /// Unseal the daemon's store
    Unseal(UnsealArgs),
    /// The locks of a seal key that an operator unlocks: make, add, remove, list
    #[command(subcommand)]
    SealKey(SealKeyCommand),
    /// Move in: take over tokens, keys and certificates from elsewhere
    #[command(subcommand)]
    Import(ImportCommand),
    /// Behave like SoftHSM2's tool of this name; so does a link to this program with that name
    #[command(name = "softhsm2-util")]
    Softhsm2Util(Box<Softhsm2UtilArgs>),
    /// Print the man page, or write one per command
    Man(ManArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
}

/// Which token to use.
#[derive(Args, Clone)]
pub(crate) struct TokenArgs {
    /// The token, by label, serial number or PKCS#11 URI; the only one by default
    #[arg(long, short, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// Where a command reads and writes.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// Write here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

macro_rules! secret_args {
    ($($(#[$doc:meta])* $name:ident, $stem:literal, $what:literal, $env:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Args, Clone, Default)]
        pub(crate) struct $name {
            #[arg(
                long = concat!($stem, "-file"), id = concat!($stem, "-file"), value_name = "FILE",
                help = concat!("Read ", $what, " from this file; one newline at its end is not part of it"),
                conflicts_with_all = [concat!($stem, "-env"), concat!($stem, "-fd")],
            )]
            file: Option<PathBuf>,
            #[arg(
                long = concat!($stem, "-env"), id = concat!($stem, "-env"), value_name = "VARIABLE",
                help = concat!("Read ", $what, " from this environment variable; ", $env, " is read by default"),
                conflicts_with = concat!($stem, "-fd"),
            )]
            env: Option<String>,
            #[arg(
                long = concat!($stem, "-fd"), id = concat!($stem, "-fd"), value_name = "NUMBER",
                help = concat!("Read ", $what, " from this open file descriptor"),
            )]
            fd: Option<u32>,
        }

        impl From<&$name> for crate::pin::Source {
            fn from(args: &$name) -> Self {
                Self {
                    what: $what,
                    stem: $stem,
                    variable: $env,
                    file: args.file.clone(),
                    env: args.env.clone(),
                    fd: args.fd,
                }
            }
        }
    )*};
}

secret_args! {
    /// Where the PIN of the user comes from.
    PinArgs, "pin", "the user PIN", "STRONGROOM_PIN";
    /// Where the PIN of the security officer comes from.
    SoPinArgs, "so-pin", "the SO PIN", "STRONGROOM_SO_PIN";
    /// Where a PIN that is being set comes from.
    NewPinArgs, "new-pin", "the new PIN", "STRONGROOM_NEW_PIN";
    /// Where a passphrase that unseals comes from.
    PassphraseArgs, "passphrase", "the passphrase", "STRONGROOM_PASSPHRASE";
    /// Where a passphrase that is being set comes from.
    NewPassphraseArgs, "new-passphrase", "the new passphrase", "STRONGROOM_NEW_PASSPHRASE";
    /// Where the password of a file comes from.
    PasswordArgs, "password", "the password of the file", "STRONGROOM_FILE_PASSWORD";
}

/// A token, and the user PIN that opens it.
#[derive(Args, Clone)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) pin: PinArgs,
}

/// The whole definition, with what clap's derive cannot say.
pub(crate) fn command() -> clap::Command {
    Cli::command().after_long_help(crate::exit::help()).after_help("See --help for exit codes.")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
