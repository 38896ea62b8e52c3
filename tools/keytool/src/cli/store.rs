//! `strongroom check|backup|restore|man|completions`.

use std::path::PathBuf;

use clap::Args;

use super::{OpenerArgs, TokenArgs};

/// `check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it stays sealed under the token's PINs
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `restore`.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The file that `strongroom backup` wrote
    pub(crate) file: PathBuf,
    /// Replace the token if it is still there: PINs, keys and all
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do not ask before replacing
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write one page per command into this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

/// `completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
