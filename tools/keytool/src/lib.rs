//! The `strongroom` command: tokens, keys and certificates through the PKCS#11 interface, as
//! any client uses it, so it works on other modules as well.
//!
//! `cli` defines the command line, `commands` does what it says, everything else is what they
//! share. Only `commands/store.rs` and `commands/softhsm2.rs` know Strongroom's own store.
//!
//! It is a library so that what reads other people's files can be tried with any bytes ([`foreign`]).

#![forbid(unsafe_code)]

mod cipher;
mod cli;
mod commands;
mod confirm;
mod curve;
mod digest;
mod dsa;
mod ecdsa;
mod errors;
mod exit;
mod files;
pub mod foreign;
mod keyspec;
mod material;
mod module;
mod nss;
mod object;
mod output;
mod parameter_set;
mod pin;
mod policy;
mod private_key;
mod progress;
mod public_key;
mod scheme;
mod softhsm2;
mod softhsm2_util;
mod table;
mod template;
mod token;
mod uri;
mod usage;
mod x509;

use std::process::ExitCode;

use clap::FromArgMatches;

/// The program.
#[must_use]
pub fn run() -> ExitCode {
    if let Some(code) = softhsm2_util::by_name() {
        return code;
    }
    let matches = cli::command().get_matches();
    let cli = match cli::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let cli::Command::Softhsm2Util(args) = &cli.command {
        return softhsm2_util::run(cli.global.module.as_deref(), args);
    }
    let out = output::Output::new(&cli.global);
    match commands::run(&cli, out) {
        Ok(exit) => exit.into(),
        Err((out, failure)) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}
