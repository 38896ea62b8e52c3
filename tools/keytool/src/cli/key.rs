//! `strongroom key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{LoginArgs, OutputArgs, PasswordArgs};
use crate::usage::Usage;

/// What to do with keys.
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Generate a key or a key pair inside the token
    Generate(KeyGenerateArgs),
    /// List the keys
    List(KeyListArgs),
    /// Show everything about a key but its value
    Show(KeyNameArgs),
    /// Change label or id of a key, its public half included
    Rename(KeyRenameArgs),
    /// Delete a key, its public half included
    Delete(KeyDeleteArgs),
    /// Import keys from PKCS#8, PKCS#12, SPKI, SEC1, PKCS#1 or raw files
    Import(KeyImportArgs),
    /// Write the public half of a key
    ExportPublic(KeyExportArgs),
    /// Encrypt an extractable key under another key of the token
    Wrap(KeyWrapArgs),
    /// Bring a wrapped key into the token
    Unwrap(KeyUnwrapArgs),
}

/// Label, identifier and rules of a key that is being made.
#[derive(Args, Default)]
pub(crate) struct NewKeyArgs {
    /// The label of the key
    #[arg(long, short)]
    pub(crate) label: Option<String>,
    /// The identifier in hexadecimal; by default made from the public key, or at random
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    pub(crate) id: Option<Hex>,
    /// What the key may be used for; by default what its type is made for
    #[arg(long, value_enum, value_delimiter = ',', value_name = "USAGE")]
    pub(crate) usage: Vec<Usage>,
    /// Let the key be wrapped by other keys; it stays sensitive
    #[arg(long)]
    pub(crate) extractable: bool,
    /// Ask for the PIN before each use of the private key
    #[arg(long)]
    pub(crate) always_authenticate: bool,
    /// Allow these mechanisms only, named as in `strongroom mechanisms`
    #[arg(long, value_delimiter = ',', value_name = "MECHANISM")]
    pub(crate) allowed_mechanism: Vec<String>,
}

/// Bytes that were given in hexadecimal.
#[derive(Clone)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

pub(super) fn parse_hex(text: &str) -> Result<Hex, String> {
    let plain: String = text.chars().filter(|letter| *letter != ':').collect();
    match hex::decode(plain) {
        Ok(bytes) if !bytes.is_empty() => Ok(Hex(bytes)),
        Ok(_) => Err(String::from("no digits")),
        Err(error) => Err(error.to_string()),
    }
}

/// `key generate`.
#[derive(Args)]
pub(crate) struct KeyGenerateArgs {
    /// The type: rsa:BITS, ec:p256, ec:p384, ec:p521, ec:secp256k1, ed25519, x25519, ed448, x448,
    /// aes:BITS, hmac:BITS, generic:BITS, ml-dsa:44, ml-dsa:65, ml-dsa:87, ml-kem:512, ml-kem:768,
    /// ml-kem:1024, and slh-dsa: with the name of a parameter set, such as slh-dsa:sha2-128s
    #[arg(value_name = "TYPE")]
    pub(crate) spec: String,
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// `key list`.
#[derive(Args)]
pub(crate) struct KeyListArgs {
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Do not log in: public keys only
    #[arg(long)]
    pub(crate) no_login: bool,
}

/// A key, by name.
#[derive(Args)]
pub(crate) struct KeyNameArgs {
    /// The key, by PKCS#11 URI, label, or id in hexadecimal
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// `key rename`.
#[derive(Args)]
pub(crate) struct KeyRenameArgs {
    #[command(flatten)]
    pub(crate) name: KeyNameArgs,
    /// The new label
    #[arg(long, short, required_unless_present = "new_id")]
    pub(crate) label: Option<String>,
    /// The new identifier in hexadecimal
    #[arg(long = "id", id = "new_id", value_name = "HEX", value_parser = parse_hex)]
    pub(crate) id: Option<Hex>,
}

/// `key delete`.
#[derive(Args)]
pub(crate) struct KeyDeleteArgs {
    #[command(flatten)]
    pub(crate) name: KeyNameArgs,
    /// Do not ask before deleting
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What a file holds, when it does not say so itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RawKind {
    /// The value of an AES key.
    Aes,
    /// The value of a generic secret, as HMAC uses it.
    Generic,
}

/// `key import`.
#[derive(Args)]
pub(crate) struct KeyImportArgs {
    /// The file, PEM or DER; - for standard input
    pub(crate) file: PathBuf,
    /// The file is the bare value of a secret key, binary or hexadecimal
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) raw: Option<RawKind>,
    /// Leave out the certificates of a PKCS#12 file
    #[arg(long)]
    pub(crate) no_certificates: bool,
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// How a public key is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicFormat {
    /// SubjectPublicKeyInfo, PEM.
    Pem,
    /// SubjectPublicKeyInfo, DER.
    Der,
    /// A line for OpenSSH's authorized_keys.
    Ssh,
}

/// `key export-public`.
#[derive(Args)]
pub(crate) struct KeyExportArgs {
    #[command(flatten)]
    pub(crate) name: KeyNameArgs,
    /// How the key is written
    #[arg(long, short, value_enum, default_value_t = PublicFormat::Pem)]
    pub(crate) format: PublicFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `key wrap`.
#[derive(Args)]
pub(crate) struct KeyWrapArgs {
    #[command(flatten)]
    pub(crate) name: KeyNameArgs,
    /// The key that wraps, by PKCS#11 URI, label, or id
    #[arg(long, short, value_name = "KEY")]
    pub(crate) with: String,
    /// How: aes-kwp, aes-kw, aes-cbc-pad, rsa-oaep-sha1, -sha256, -sha384, -sha512, rsa-pkcs
    #[arg(long, short, value_name = "MECHANISM")]
    pub(crate) mechanism: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `key unwrap`.
#[derive(Args)]
pub(crate) struct KeyUnwrapArgs {
    /// The wrapped key; - for standard input
    pub(crate) file: PathBuf,
    /// The key that unwraps, by PKCS#11 URI, label, or id
    #[arg(long, short, value_name = "KEY")]
    pub(crate) with: String,
    /// How: aes-kwp, aes-kw, aes-cbc-pad, rsa-oaep-sha1, -sha256, -sha384, -sha512, rsa-pkcs
    #[arg(long, short, value_name = "MECHANISM")]
    pub(crate) mechanism: Option<String>,
    /// The type of the key inside: aes, generic, hmac, rsa, ec, ed25519, x25519, ed448, x448,
    /// ml-dsa, ml-kem, slh-dsa
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}
