//! `strongroom import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LoginArgs, OpenerArgs, PasswordArgs, PinArgs, SoPinArgs, TokenArgs};

/// Where to move from.
#[derive(Subcommand)]
pub(crate) enum ImportCommand {
    /// Take over the tokens of a SoftHSM2 token directory: objects, PINs and serial numbers
    ///
    /// Reads the directory and never writes there; stop the programs that use it first. A token
    /// keeps its label, its serial number and so its slot, its PINs, and the history of its keys
    /// (CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_KEY_GEN_MECHANISM). Every key
    /// is checked. Run again, it takes over what is not here yet.
    ///
    /// One PIN is enough to read a token. Without the SO PIN nobody will know that of the new
    /// token, and without the user PIN the user has none until the SO PIN sets it.
    ///
    /// What cannot be taken over is listed, one line for each object, and the exit code is 12.
    Softhsm2(ImportSofthsm2Args),
    /// Import the keys and certificates of NSS databases (cert9.db, key4.db) into a token
    ///
    /// RSA and EC private keys with their public halves, AES and generic secret keys, and
    /// certificates with their nicknames. The databases are only read; encrypted values whose MAC
    /// is wrong are refused. Trust settings are not imported. Keys become sensitive, and not
    /// extractable unless --extractable says so. Run again, it imports what is not here yet.
    ///
    /// What cannot be imported is listed, one line for each object, and the exit code is 12.
    Nss(ImportNssArgs),
}

/// `import nss`.
#[derive(Args)]
pub(crate) struct ImportNssArgs {
    /// The directory of the databases
    #[arg(value_name = "DIRECTORY")]
    pub(crate) dir: PathBuf,
    /// Let the keys be wrapped by other keys, as NSS does
    #[arg(long)]
    pub(crate) extractable: bool,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// `import softhsm2`.
#[derive(Args)]
pub(crate) struct ImportSofthsm2Args {
    /// What softhsm2.conf calls directories.tokendir, or the directory of one token in it
    #[arg(value_name = "DIRECTORY")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) pin: PinArgs,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}
