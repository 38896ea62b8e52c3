//! `strongroom token`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use strongroom_keystore::KeyPolicy;

use super::{NewPinArgs, OpenerArgs, PinArgs, SoPinArgs, TokenArgs};

/// What to do with tokens.
#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token in a free slot and set both PINs
    Init(TokenInitArgs),
    /// List the tokens
    List(TokenListArgs),
    /// Show everything about one token
    Show(TokenArgs),
    /// Change the PIN of the user, or with --so of the security officer
    SetPin(TokenSetPinArgs),
    /// Set the user PIN with the SO PIN, when it is lost or locked
    ResetPin(TokenResetPinArgs),
    /// Seal every private key under a new master key, with both PINs; only Strongroom's own tokens
    Rotate(TokenRotateArgs),
    /// Delete a token and every key in it; only Strongroom's own tokens
    Delete(TokenDeleteArgs),
}

/// `token init`.
#[derive(Args)]
pub(crate) struct TokenInitArgs {
    /// The label of the new token, at most 32 bytes
    #[arg(long, short)]
    pub(crate) label: String,
    /// The slot; by default the first that holds no initialised token
    #[arg(long, value_name = "NUMBER")]
    pub(crate) slot: Option<u64>,
    /// What may be done with its keys, for ever; by default what the configuration says. Only
    /// Strongroom's own tokens
    #[arg(long, value_parser = policies())]
    pub(crate) policy: Option<KeyPolicy>,
    /// Erase the token that is in --slot; wants its SO PIN
    #[arg(long, requires = "slot")]
    pub(crate) erase: bool,
    /// Do not ask before erasing
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) pin: PinArgs,
}

fn policies() -> impl TypedValueParser<Value = KeyPolicy> {
    PossibleValuesParser::new(KeyPolicy::ALL.map(KeyPolicy::name))
        .try_map(|name| KeyPolicy::named(name.as_bytes()).ok_or("there is no such policy"))
}

/// `token list`.
#[derive(Args)]
pub(crate) struct TokenListArgs {
    /// Show slots without an initialised token, too
    #[arg(long, short)]
    pub(crate) all: bool,
}

/// `token set-pin`.
#[derive(Args)]
pub(crate) struct TokenSetPinArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// Change the SO PIN instead of the user PIN
    #[arg(long)]
    pub(crate) so: bool,
    #[command(flatten)]
    pub(crate) pin: PinArgs,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) new_pin: NewPinArgs,
}

/// `token reset-pin`.
#[derive(Args)]
pub(crate) struct TokenResetPinArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) new_pin: NewPinArgs,
}

/// `token rotate`.
#[derive(Args)]
pub(crate) struct TokenRotateArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) pin: PinArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
}

/// `token delete`.
#[derive(Args)]
pub(crate) struct TokenDeleteArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    #[command(flatten)]
    pub(crate) so_pin: SoPinArgs,
    #[command(flatten)]
    pub(crate) opener: OpenerArgs,
    /// Do not ask before deleting
    #[arg(long, short)]
    pub(crate) yes: bool,
}
