//! `strongroom import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PinArgs, SoPinArgs, TokenArgs};

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
}
