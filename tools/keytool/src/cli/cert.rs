//! `strongroom cert`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::key::{Hex, parse_hex};
use super::{KeyNameArgs, LoginArgs, OutputArgs, PasswordArgs};

/// What to do with certificates.
#[derive(Subcommand)]
pub(crate) enum CertCommand {
    /// Import certificates from PEM, DER or PKCS#12
    Import(CertImportArgs),
    /// List the certificates
    List(CertListArgs),
    /// Write certificates as PEM, DER or PKCS#12
    Export(CertExportArgs),
    /// Write a certificate request (PKCS#10), signed by a key of the token
    Request(CertRequestArgs),
    /// Make a self-signed certificate with a key of the token
    SelfSign(CertSelfSignArgs),
}

/// `cert import`.
#[derive(Args)]
pub(crate) struct CertImportArgs {
    /// The file, PEM or DER or PKCS#12; - for standard input
    pub(crate) file: PathBuf,
    /// The label; by default that of the key, or the subject's common name
    #[arg(long, short)]
    pub(crate) label: Option<String>,
    /// The identifier; by default that of the key which the certificate is for
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    pub(crate) id: Option<Hex>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// `cert list`.
#[derive(Args)]
pub(crate) struct CertListArgs {
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Log in to see private certificates, too
    #[arg(long)]
    pub(crate) private: bool,
}

/// How certificates are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertFormat {
    /// PEM, one after the other.
    Pem,
    /// DER, one certificate.
    Der,
    /// PKCS#12 under a password, certificates only: private keys stay in the token.
    P12,
}

/// `cert export`.
#[derive(Args)]
pub(crate) struct CertExportArgs {
    /// The certificate, by PKCS#11 URI, label, or id; all of them by default
    #[arg(value_name = "CERTIFICATE")]
    pub(crate) name: Option<String>,
    /// How the certificates are written
    #[arg(long, short, value_enum, default_value_t = CertFormat::Pem)]
    pub(crate) format: CertFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// Who a certificate is about, and how it is signed.
#[derive(Args)]
pub(crate) struct SubjectArgs {
    /// The subject as in RFC 4514: CN=www.example.org,O=Example,C=SE
    #[arg(long, short)]
    pub(crate) subject: String,
    /// Other names of the subject: DNS:NAME, IP:ADDRESS, email:ADDRESS, URI:URI
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// For a certificate authority
    #[arg(long)]
    pub(crate) ca: bool,
    /// Key usage; by default what fits the key, or a CA
    #[arg(long, value_enum, value_delimiter = ',', value_name = "USAGE")]
    pub(crate) key_usage: Vec<CertUsage>,
    /// Extended key usage
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PURPOSE")]
    pub(crate) purpose: Vec<Purpose>,
    /// Sign with RSA-PSS instead of PKCS#1 v1.5
    #[arg(long)]
    pub(crate) pss: bool,
}

/// The bits of the key usage extension.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertUsage {
    DigitalSignature,
    NonRepudiation,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    KeyCertSign,
    CrlSign,
}

/// The purposes of the extended key usage extension.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    TimeStamping,
    OcspSigning,
}

/// `cert request`.
#[derive(Args)]
pub(crate) struct CertRequestArgs {
    #[command(flatten)]
    pub(crate) key: KeyNameArgs,
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Write DER instead of PEM
    #[arg(long)]
    pub(crate) der: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `cert self-sign`.
#[derive(Args)]
pub(crate) struct CertSelfSignArgs {
    #[command(flatten)]
    pub(crate) key: KeyNameArgs,
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// For how many days the certificate is valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
    /// Store the certificate in the token, beside its key
    #[arg(long)]
    pub(crate) store: bool,
    /// Write DER instead of PEM
    #[arg(long)]
    pub(crate) der: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
