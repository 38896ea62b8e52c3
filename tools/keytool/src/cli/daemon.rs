//! `strongroom status|seal|unseal|seal-key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NewPassphraseArgs, PassphraseArgs};

/// Where the daemon listens to its operator.
#[derive(Args)]
pub(crate) struct DaemonArgs {
    /// The operator's socket of the daemon; by default the one that the configuration names
    #[arg(long, value_name = "SOCKET")]
    pub(crate) socket: Option<PathBuf>,
}

/// What opens a seal key that an operator unlocks.
#[derive(Args)]
pub(crate) struct OpenerArgs {
    /// Open the locked seal key with this key file instead of a passphrase
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// `unseal`.
#[derive(Args)]
pub(crate) struct UnsealArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `seal-key`.
#[derive(Subcommand)]
pub(crate) enum SealKeyCommand {
    /// Make a locked seal key: of the present one, or a new one
    Lock(SealKeyLockArgs),
    /// Add a lock: another passphrase or key file that opens the seal key
    Add(SealKeyAddArgs),
    /// Take a lock away
    Remove(SealKeyRemoveArgs),
    /// List the locks
    List(SealKeyArgs),
}

/// Which locked seal key.
#[derive(Args)]
pub(crate) struct SealKeyArgs {
    /// The locked seal key; by default that of the configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// A lock that is being made.
#[derive(Args)]
pub(crate) struct NewLockArgs {
    /// What to call the lock
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub(crate) name: String,
    /// Lock with this key file instead of a passphrase; it is made if it does not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) new_passphrase: NewPassphraseArgs,
}

/// `seal-key lock`.
#[derive(Args)]
pub(crate) struct SealKeyLockArgs {
    #[command(flatten)]
    pub(crate) to: SealKeyArgs,
    /// Lock this seal key, which opens the store now; without it a new one is made, for a new store
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lock: NewLockArgs,
}

/// `seal-key add`.
#[derive(Args)]
pub(crate) struct SealKeyAddArgs {
    #[command(flatten)]
    pub(crate) to: SealKeyArgs,
    #[command(flatten)]
    pub(crate) lock: NewLockArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `seal-key remove`.
#[derive(Args)]
pub(crate) struct SealKeyRemoveArgs {
    #[command(flatten)]
    pub(crate) to: SealKeyArgs,
    /// The lock
    pub(crate) name: String,
}
