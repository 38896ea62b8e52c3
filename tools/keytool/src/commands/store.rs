//! `token init --policy`, `token rotate`, `token delete`, `backup`, `restore`, and the store's part of
//! `check`: what the PKCS#11 interface has no call for, so Strongroom's own store is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use strongroom_keystore::{
    Config, Error, KeyPolicy, Role, Severity as StoreSeverity, Store, Token,
};
use strongroom_token::found_by;

use super::check::{Finding, Severity};
use super::daemon::{unseal_here, unseal_if_known};
use crate::cli::{
    BackupArgs, OpenerArgs, RestoreArgs, TokenArgs, TokenDeleteArgs, TokenRotateArgs,
};
use crate::confirm::confirm;
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::module;
use crate::output::Output;
use crate::pin::{Secret, Source};
use crate::progress::while_waiting;
use crate::table::visible;
use crate::uri::Uri;

/// A token of the store, and what names it.
#[derive(Serialize)]
struct Stored {
    label: String,
    serial: String,
    #[serde(skip)]
    token: Arc<Token>,
}

impl Stored {
    fn new(token: Arc<Token>) -> Result<Self> {
        let status = token.status().map_err(|error| failure("cannot read a token", &error))?;
        Ok(Self {
            label: String::from_utf8_lossy(&status.label).trim_end().to_owned(),
            serial: String::from_utf8_lossy(&status.serial).into_owned(),
            token,
        })
    }

    fn is(&self, name: &str, uri: Option<&Uri>) -> bool {
        let Some(uri) = uri else { return self.label == name || self.serial == name };
        uri.token.as_ref().is_none_or(|label| *label == self.label)
            && uri.serial.as_ref().is_none_or(|serial| *serial == self.serial)
    }

    fn line(&self) -> String {
        format!("{} (serial {})", visible(&self.label), self.serial)
    }
}

/// Opens the store, if the module at hand is the one that uses it.
pub(crate) fn open(module: Option<&Path>, what: &str) -> Result<Store> {
    let there = "run this where the store is, with the daemon's configuration in STRONGROOM_CONF";
    let config = configuration(module, what, there)?;
    Store::open(&config).map_err(|error| failure(what, &error))
}

/// What the module at hand goes by, if it is Strongroom's and has the store itself; where a daemon has it,
/// `there` is the remedy.
fn configuration(module: Option<&Path>, what: &str, there: &str) -> Result<Config> {
    if !module::is_ours(module) {
        return Err(Failure::new(Exit::Unsupported, what)
            .cause("the PKCS#11 interface has no call for it, and the module is not Strongroom's")
            .help("use the tools of that module, or leave out --module and STRONGROOM_MODULE"));
    }
    let config = Config::find().map_err(|error| {
        Failure::new(Exit::Module, what)
            .cause(error)
            .help("correct the configuration; `strongroom check` looks at all of it")
    })?;
    match &config.socket {
        None => Ok(config),
        Some(socket) => Err(Failure::new(Exit::Unsupported, what)
            .cause(format!(
                "the PKCS#11 interface has no call for it, and the store is with the daemon at {}",
                socket.display()
            ))
            .help(there)),
    }
}

const NO_TOKEN: &str = "cannot make a token with this policy";

/// The store, for new tokens of a policy.
pub(super) fn of_policy(module: Option<&Path>, policy: KeyPolicy) -> Result<Store> {
    let there = format!(
        "say [policy] default = \"{0}\" in the daemon's configuration and leave out --policy, or run \
         this where the store is, with that configuration in STRONGROOM_CONF",
        policy.name()
    );
    let config = configuration(module, NO_TOKEN, &there)?;
    let store = Store::open(&Config { policy, ..config });
    let store = store.map_err(|error| failure(NO_TOKEN, &error))?;
    store.unseal_at_start().map_err(|error| failure(NO_TOKEN, &error))?;
    Ok(store)
}

/// Makes a token, or initialises the one with the serial number `erased` again, with the policy that the
/// store is for; and sets both PINs. A new one is there with both, or not at all. Gives the serial number.
pub(super) fn initialise(
    store: &Store,
    erased: Option<&str>,
    label: &str,
    so_pin: &Secret,
    user_pin: &Secret,
) -> Result<String> {
    let mut padded = [b' '; 32];
    for (place, byte) in padded.iter_mut().zip(label.bytes()) {
        *place = byte;
    }
    let number = |token: &Token| String::from_utf8_lossy(&token.serial()).into_owned();
    let make = || match erased {
        None => store.create(&padded, so_pin.as_bytes()),
        Some(serial) => {
            let mut tokens = store.tokens()?.into_iter();
            let token = tokens.find(|token| number(token) == serial).ok_or(Error::NotFound)?;
            token.initialize(so_pin.as_bytes(), &padded)?;
            Ok(token)
        }
    };
    let token = make().map_err(|error| failure(NO_TOKEN, &error))?;
    let set_pin = || {
        let officer = token.unlock(Role::SecurityOfficer, so_pin.as_bytes())?;
        token.set_user_pin(&officer, user_pin.as_bytes())
    };
    set_pin().map_err(|error| {
        if erased.is_none() {
            let _gone = store.remove(&token);
        }
        failure("cannot set the user PIN of the new token", &error)
    })?;
    Ok(number(&token))
}

/// The same, unsealed if it has to be.
pub(super) fn open_unsealed(
    module: Option<&Path>,
    opener: &OpenerArgs,
    what: &str,
) -> Result<Store> {
    let store = open(module, what)?;
    unseal_here(&store, opener, what)?;
    Ok(store)
}

/// The token that the option names, or the only one. One that cannot be read does not keep
/// the others from being found.
fn choose(store: &Store, args: &TokenArgs) -> Result<Stored> {
    let tokens = store.tokens().map_err(|error| failure("cannot list the tokens", &error))?;
    let mut found: Vec<Stored> =
        tokens.into_iter().filter_map(|token| Stored::new(token).ok()).collect();
    let all: Vec<String> = found.iter().map(Stored::line).collect();
    if let Some(name) = &args.token {
        let uri = Uri::is_uri(name).then(|| Uri::parse(name)).transpose()?;
        found.retain(|stored| stored.is(name, uri.as_ref()));
    }
    let several = found.len() > 1;
    match found.pop() {
        Some(stored) if !several => Ok(stored),
        Some(_) => Err(Failure::new(Exit::Ambiguous, "which token?")
            .cause(format!("the tokens are: {}", all.join(", ")))
            .help("choose one with --token LABEL, --token SERIAL or --token URI")),
        None => Err(Failure::new(Exit::NotFound, "there is no such token in the store")
            .cause(format!("the tokens are: {}", all.join(", ")))),
    }
}

/// `token delete`.
pub(super) fn delete(module: Option<&Path>, out: &Output, args: &TokenDeleteArgs) -> Result<()> {
    const WHAT: &str = "cannot delete the token";
    let store = open_unsealed(module, &args.opener, WHAT)?;
    let stored = choose(&store, &args.token)?;
    let pin = Source::from(&args.so_pin).read()?;
    while_waiting(out.progress, "checking the SO PIN", || {
        stored.token.verify(Role::SecurityOfficer, pin.as_bytes())
    })
    .map_err(|error| failure(WHAT, &error))?;
    let line = stored.line();
    confirm(&format!("Delete the token {line} and every key in it?"), args.yes)?;
    store.remove(&stored.token).map_err(|error| failure(WHAT, &error))?;
    out.done(&stored, &format!("deleted the token {line}"))
}

/// What is told of a rotation.
#[derive(Serialize)]
struct Rotated<'a> {
    #[serde(flatten)]
    stored: &'a Stored,
    objects: u64,
    seconds: f64,
}

/// `token rotate`.
pub(super) fn rotate(module: Option<&Path>, out: &Output, args: &TokenRotateArgs) -> Result<()> {
    const WHAT: &str = "cannot replace the master key of the token";
    let store = open_unsealed(module, &args.opener, WHAT)?;
    let stored = choose(&store, &args.token)?;
    let so_pin = Source::from(&args.so_pin).read()?;
    let status = stored.token.status().map_err(|error| failure(WHAT, &error))?;
    let pin = status.user_pin_set.then(|| Source::from(&args.pin).read()).transpose()?;
    let pin = pin.as_ref().map(|pin| pin.as_bytes());
    let started = Instant::now();
    let objects = while_waiting(out.progress, "sealing the keys under a new master key", || {
        stored.token.rotate(so_pin.as_bytes(), pin, found_by)
    })
    .map_err(|error| failure(WHAT, &error))?;
    let seconds = started.elapsed().as_secs_f64();
    let line = stored.line();
    out.done(
        &Rotated { stored: &stored, objects, seconds },
        &format!(
            "sealed the {objects} private objects of the token {line} under a new master key, in \
             {seconds:.1} s; whoever is logged in has to log in again, and the backups from before \
             still have the old key"
        ),
    )
}

/// `backup`.
pub(super) fn backup(module: Option<&Path>, out: &Output, args: &BackupArgs) -> Result<()> {
    const WHAT: &str = "cannot back up the token";
    let store = open_unsealed(module, &args.opener, WHAT)?;
    let stored = choose(&store, &args.token)?;
    while_waiting(out.progress, "writing the backup", || store.backup(&stored.token, &args.file))
        .map_err(|error| match error {
        Error::Conflict => Failure::new(Exit::File, WHAT)
            .cause(format!("{} exists", args.file.display()))
            .help("name a new file; a backup never replaces one"),
        error => failure(WHAT, &error),
    })?;
    let line = stored.line();
    let file = args.file.display();
    out.done(
        &stored,
        &format!(
            "wrote the token {line} to {file}; it is sealed, and needs the seal key of this \
             store to be restored"
        ),
    )
}

/// `restore`.
pub(super) fn restore(module: Option<&Path>, out: &Output, args: &RestoreArgs) -> Result<()> {
    const WHAT: &str = "cannot restore the token";
    let store = open_unsealed(module, &args.opener, WHAT)?;
    if args.replace {
        let file = args.file.display();
        confirm(&format!("Replace the token by its state in {file}, PINs included?"), args.yes)?;
    }
    let token = while_waiting(out.progress, "reading the backup", || {
        store.restore(&args.file, args.replace)
    })
    .map_err(|error| match error {
        Error::Conflict => Failure::new(Exit::Refused, WHAT)
            .cause("the token is in the store already")
            .help("add --replace to give up its present state for that of the backup"),
        Error::NotFound => Failure::new(Exit::File, WHAT)
            .cause(format!("there is no file {}", args.file.display())),
        error => failure(WHAT, &error),
    })?;
    let stored = Stored::new(token)?;
    let sentence = format!("restored the token {}", stored.line());
    out.done(&stored, &sentence)
}

/// What the store says about itself; nothing when another module is under examination. A sealed one
/// says little, unless it is told how to be opened.
pub(super) fn findings(module: Option<&Path>, opener: &OpenerArgs) -> Vec<Finding> {
    const WHAT: &str = "cannot open the store";
    if !module::is_ours(module) {
        return Vec::new();
    }
    if let Ok(Config { socket: Some(socket), .. }) = Config::find() {
        return vec![Finding::new(
            Severity::Info,
            format!("the store is with the daemon at {}", socket.display()),
            "look at it there: strongroom check, with the daemon's configuration in STRONGROOM_CONF",
        )];
    }
    let opened = open(module, WHAT);
    let opened = opened.and_then(|store| unseal_if_known(&store, opener, WHAT).map(|_| store));
    let store = match opened {
        Ok(store) => store,
        Err(failure) => return vec![Finding::failure(&failure)],
    };
    store
        .check()
        .into_iter()
        .map(|finding| {
            let severity = match finding.severity {
                StoreSeverity::Fine => Severity::Info,
                StoreSeverity::Warning => Severity::Warning,
                StoreSeverity::Fault => Severity::Error,
            };
            Finding::new(severity, finding.what, finding.remedy)
        })
        .collect()
}

/// The store's words, which name cause and remedy, with the exit code that scripts expect.
pub(super) fn failure(what: &str, error: &Error) -> Failure {
    let exit = match error {
        Error::WrongPin | Error::PinLocked | Error::NotInitialized => Exit::Pin,
        Error::NotFound => Exit::NotFound,
        Error::Locked | Error::Sealed | Error::Denied | Error::ReadOnly | Error::Conflict => {
            Exit::Refused
        }
        Error::Unsupported(_) | Error::TooNew { .. } => Exit::Unsupported,
        Error::Corrupt(_)
        | Error::SealMissing(_)
        | Error::SealWrong(_)
        | Error::SealExposed(_)
        | Error::Io(_) => Exit::Module,
        Error::Full | Error::Busy | Error::OutOfMemory => Exit::Failed,
    };
    let help = match error {
        Error::WrongPin => "try again with the right PIN; each wrong one makes the next slower",
        Error::PinLocked => "the token has to be restored from a backup, with --replace",
        Error::Busy => "wait until the other process is done, and try again",
        Error::Full => "free space on the file system of the store",
        Error::ReadOnly => "run this as the user that owns the store",
        _ => "`strongroom check` looks at the whole store",
    };
    Failure::new(exit, what).cause(error).help(help)
}
