//! `strongroom sign|verify|encrypt|decrypt|random|mechanisms`.

use std::path::PathBuf;

use clap::Args;

use super::{KeyNameArgs, OutputArgs, TokenArgs};

/// `sign`.
#[derive(Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) key: KeyNameArgs,
    /// The file to sign; standard input by default
    #[arg(long = "in", short, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
}

/// How a signature is made.
#[derive(Args)]
pub(crate) struct SchemeArgs {
    /// How: rsa-pkcs-sha256, rsa-pss-sha256, ecdsa-sha256, ed25519, hmac-sha256, aes-cmac, ...;
    /// by default what the key's type is made for
    #[arg(long, short, value_name = "MECHANISM")]
    pub(crate) mechanism: Option<String>,
    /// ECDSA signatures as r || s instead of DER
    #[arg(long)]
    pub(crate) raw: bool,
}

/// `verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) key: KeyNameArgs,
    /// The file that was signed; standard input by default
    #[arg(long = "in", short, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// The signature
    #[arg(long, short, value_name = "FILE")]
    pub(crate) signature: PathBuf,
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
}

/// `encrypt` and `decrypt`.
///
/// With AES-GCM the encrypted file is IV (12 bytes), ciphertext, tag (16 bytes); with
/// AES-CBC it is IV (16 bytes), ciphertext.
#[derive(Args)]
pub(crate) struct CipherArgs {
    #[command(flatten)]
    pub(crate) key: KeyNameArgs,
    /// The file to read; standard input by default
    #[arg(long = "in", short, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// How: aes-gcm, aes-cbc-pad, rsa-oaep-sha1, -sha256, -sha384, -sha512, rsa-pkcs; by default
    /// aes-gcm or rsa-oaep-sha256
    #[arg(long, short, value_name = "MECHANISM")]
    pub(crate) mechanism: Option<String>,
    /// AES-GCM: authenticate this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) aad_file: Option<PathBuf>,
}

/// `random`.
#[derive(Args)]
pub(crate) struct RandomArgs {
    /// How many bytes
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) bytes: u32,
    /// Write the bytes themselves instead of hexadecimal
    #[arg(long, conflicts_with = "json")]
    pub(crate) binary: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) token: TokenArgs,
}

/// `mechanisms`.
#[derive(Args)]
pub(crate) struct MechanismsArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
}
