//! The commands, one file per group.

mod cert;
mod cert_sign;
mod check;
mod cipher;
mod daemon;
mod generate;
mod import;
mod key;
mod manual;
mod nss;
mod outcome;
mod random;
mod sign;
mod softhsm2;
mod store;
mod token;
mod wrap;

use crate::cli::{CertCommand, Cli, Command, ImportCommand, KeyCommand, TokenCommand};
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::module::Module;
use crate::output::Output;

pub(crate) use sign::Plan;
pub(crate) use store::open as open_store;

/// What every command has at hand.
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) module: Module,
}

/// Does what the command line says.
pub(crate) fn run(cli: &Cli, out: Output) -> std::result::Result<Exit, (Output, Failure)> {
    match without_module(cli, &out) {
        Some(Ok(exit)) => return Ok(exit),
        Some(Err(failure)) => return Err((out, failure)),
        None => {}
    }
    let module = match Module::load(cli.global.module.as_deref()) {
        Ok(module) => module,
        Err(failure) => return Err((out, failure)),
    };
    let context = Context { out, module };
    let done = match &cli.command {
        Command::Import(ImportCommand::Nss(args)) => nss::import(&context, args),
        command => with_module(command, &context).map(|()| Exit::Done),
    };
    match done {
        Ok(exit) => Ok(exit),
        Err(failure) => Err((context.out, failure)),
    }
}

/// The commands that need no module; `None` for the others.
fn without_module(cli: &Cli, out: &Output) -> Option<Result<Exit>> {
    let module = cli.global.module.as_deref();
    match &cli.command {
        Command::Man(args) => Some(manual::man(args).map(|()| Exit::Done)),
        Command::Completions(args) => Some(manual::completions(args).map(|()| Exit::Done)),
        Command::Check(args) => Some(check::check(module, out, args)),
        Command::Backup(args) => Some(store::backup(module, out, args).map(|()| Exit::Done)),
        Command::Restore(args) => Some(store::restore(module, out, args).map(|()| Exit::Done)),
        Command::Status(args) => Some(daemon::status(out, args).map(|()| Exit::Done)),
        Command::Seal(args) => Some(daemon::seal(out, args).map(|()| Exit::Done)),
        Command::Unseal(args) => Some(daemon::unseal(out, args).map(|()| Exit::Done)),
        Command::SealKey(command) => Some(daemon::seal_key(out, command).map(|()| Exit::Done)),
        Command::Token(TokenCommand::Init(args)) => {
            let policy = args.policy?;
            Some(token::init_with_policy(module, out, args, policy).map(|()| Exit::Done))
        }
        Command::Token(TokenCommand::Delete(args)) => {
            Some(store::delete(module, out, args).map(|()| Exit::Done))
        }
        Command::Token(TokenCommand::Rotate(args)) => {
            Some(store::rotate(module, out, args).map(|()| Exit::Done))
        }
        Command::Import(ImportCommand::Softhsm2(args)) => Some(softhsm2::import(module, out, args)),
        _ => None,
    }
}

fn with_module(command: &Command, context: &Context) -> Result<()> {
    match command {
        Command::Token(command) => match command {
            TokenCommand::Init(args) => token::init(context, args),
            TokenCommand::List(args) => token::list(context, args),
            TokenCommand::Show(args) => token::show(context, args),
            TokenCommand::SetPin(args) => token::set_pin(context, args),
            TokenCommand::ResetPin(args) => token::reset_pin(context, args),
            // Came by without the module, which must not hold the store open.
            TokenCommand::Delete(_) | TokenCommand::Rotate(_) => Ok(()),
        },
        Command::Key(command) => match command {
            KeyCommand::Generate(args) => generate::generate(context, args),
            KeyCommand::List(args) => key::list(context, args),
            KeyCommand::Show(args) => key::show(context, args),
            KeyCommand::Rename(args) => key::rename(context, args),
            KeyCommand::Delete(args) => key::delete(context, args),
            KeyCommand::Import(args) => import::import(context, args),
            KeyCommand::ExportPublic(args) => key::export_public(context, args),
            KeyCommand::Wrap(args) => wrap::wrap(context, args),
            KeyCommand::Unwrap(args) => wrap::unwrap(context, args),
        },
        Command::Cert(command) => match command {
            CertCommand::Import(args) => cert::import(context, args),
            CertCommand::List(args) => cert::list(context, args),
            CertCommand::Export(args) => cert::export(context, args),
            CertCommand::Request(args) => cert_sign::request(context, args),
            CertCommand::SelfSign(args) => cert_sign::self_sign(context, args),
        },
        Command::Sign(args) => sign::sign(context, args),
        Command::Verify(args) => sign::verify(context, args),
        Command::Encrypt(args) => cipher::encrypt(context, args),
        Command::Decrypt(args) => cipher::decrypt(context, args),
        Command::Random(args) => random::random(context, args),
        Command::Mechanisms(args) => random::mechanisms(context, args),
        // These came by above.
        Command::Check(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Status(_)
        | Command::Seal(_)
        | Command::Unseal(_)
        | Command::SealKey(_)
        | Command::Import(_)
        | Command::Softhsm2Util(_)
        | Command::Man(_)
        | Command::Completions(_) => Ok(()),
    }
}
