//! `strongroom softhsm2-util`, and `softhsm2-util` when that is the name of the program.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};

/// The command line of a program that is called `softhsm2-util`.
#[derive(Parser)]
#[command(name = "softhsm2-util", about = "Support tool for PKCS#11", long_about = None)]
#[command(disable_version_flag = true, args_override_self = true, infer_long_args = true)]
pub(crate) struct Softhsm2Util {
    /// The PKCS#11 module, if not Strongroom's
    #[arg(long, env = "STRONGROOM_MODULE", value_name = "path")]
    pub(crate) module: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) args: Softhsm2UtilArgs,
}

impl Softhsm2Util {
    /// The definition, for reading and for its help.
    pub(crate) fn definition() -> clap::Command {
        <Self as CommandFactory>::command()
    }

    /// What a line says.
    pub(crate) fn read(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches(matches)
    }
}

/// `softhsm2-util`.
#[derive(Args)]
#[command(disable_version_flag = true, args_override_self = true, infer_long_args = true)]
pub(crate) struct Softhsm2UtilArgs {
    /// Make a token in the slot of --slot, --serial, --token or --free, with --label, --so-pin and
    /// --pin; what is in a token that is there already is erased
    #[arg(long)]
    pub(crate) init_token: bool,
    /// List the slots
    #[arg(long)]
    pub(crate) show_slots: bool,
    /// Import a key pair, or what --import-type says, into the token of --slot, --serial or
    /// --token, with --label, --id, --pin, --file-pin, --no-public-key and --force
    #[arg(long, value_name = "path")]
    pub(crate) import: Option<PathBuf>,
    /// Delete the token of --serial or --token; no PIN is asked for
    #[arg(long)]
    pub(crate) delete_token: bool,
    /// Print default-pkcs11-lib, the path of the module
    #[arg(long, value_name = "variable")]
    pub(crate) show_config: Option<String>,
    /// Print the version of SoftHSM2 that this behaves like
    #[arg(long, short = 'v')]
    pub(crate) version: bool,
    /// What is in the file: a PKCS#8 key in PEM, the bytes of an AES key, or a certificate in PEM
    #[arg(long, value_enum, default_value_t = ImportType::Keypair, value_name = "type")]
    pub(crate) import_type: ImportType,
    /// The same as --import-type aes
    #[arg(long)]
    pub(crate) aes: bool,
    /// The password of an encrypted file
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pub(crate) file_pin: Option<String>,
    /// Import a key pair although there is one with this id
    #[arg(long)]
    pub(crate) force: bool,
    /// Take the first slot that holds no initialised token
    #[arg(long)]
    pub(crate) free: bool,
    /// The id of the object, in hexadecimal
    #[arg(long, value_name = "hex", allow_hyphen_values = true)]
    pub(crate) id: Option<String>,
    /// The label of the token, or of the object
    #[arg(long, value_name = "text", allow_hyphen_values = true)]
    pub(crate) label: Option<String>,
    /// Import the private key alone
    #[arg(long)]
    pub(crate) no_public_key: bool,
    /// The PIN of the user; every user of the machine can see it here
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pub(crate) pin: Option<String>,
    /// The serial number of the token
    #[arg(long, value_name = "number", allow_hyphen_values = true)]
    pub(crate) serial: Option<String>,
    /// The number of the slot
    #[arg(long, value_name = "number", allow_hyphen_values = true)]
    pub(crate) slot: Option<String>,
    /// The PIN of the security officer; every user of the machine can see it here
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pub(crate) so_pin: Option<String>,
    /// The label of the token
    #[arg(long, value_name = "label", allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportType {
    /// A private key, and the public key that follows from it.
    Keypair,
    /// An AES key.
    Aes,
    /// A certificate.
    Cert,
}
