//! SoftHSM2's own tool, as far as scripts can tell: its options, its sentences, its exit codes.
//!
//! Whoever calls the program `softhsm2-util` (a link with that name) has this and nothing else.
//! The sentences are those that scripts look for, so they are not ours to improve.

mod ask;
mod import;
mod place;
mod show;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use strongroom_keystore::Config;

use crate::cli::{ImportType, Softhsm2Util, Softhsm2UtilArgs};
use crate::commands::open_store;
use crate::errors::Failure;
use crate::module::{self, Module};
use crate::pin;

/// What the program is called to behave like this.
const NAME: &str = "softhsm2-util";

/// The version that scripts are told: that of the behaviour.
const VERSION: &str = "2.6.1";

/// Why nothing came of it, in the words for standard error.
struct Stop(String);

type Result<T> = std::result::Result<T, Stop>;

impl Stop {
    /// One line, as most of them are.
    fn error(text: impl std::fmt::Display) -> Self {
        Self(format!("ERROR: {text}"))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let text: Vec<&str> = failure.lines().map(|(_, text)| text).collect();
        Self::error(text.join(": "))
    }
}

/// Runs as `softhsm2-util`, if the program is called by that name.
pub(crate) fn by_name() -> Option<ExitCode> {
    let called = std::env::args_os().next()?;
    if Path::new(&called).file_name() != Some(OsStr::new(NAME)) {
        return None;
    }
    let parsed = Softhsm2Util::definition()
        .try_get_matches()
        .and_then(|matches| Softhsm2Util::read(&matches));
    Some(match parsed {
        Ok(line) => run(line.module.as_deref(), &line.args),
        Err(error) => {
            // There is nobody left to tell when standard error is closed.
            let _unheard = error.print();
            ExitCode::from(u8::from(error.use_stderr()))
        }
    })
}

/// Does what the options say.
pub(crate) fn run(module: Option<&Path>, args: &Softhsm2UtilArgs) -> ExitCode {
    match act(module, args) {
        Ok(code) => code,
        Err(Stop(text)) => {
            use std::io::Write;
            let _unheard = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn act(named: Option<&Path>, args: &Softhsm2UtilArgs) -> Result<ExitCode> {
    if args.version {
        say(VERSION)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(variable) = &args.show_config {
        return show_config(named, variable);
    }
    let actions = [args.init_token, args.show_slots, args.import.is_some(), args.delete_token];
    if actions.iter().filter(|wanted| **wanted).count() != 1 {
        say(&Softhsm2Util::definition().render_help().to_string())?;
        return Ok(ExitCode::FAILURE);
    }
    if args.delete_token {
        delete_token(named, args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let module = load(named)?;
    match &args.import {
        Some(path) => import::import(&module, args, path)?,
        None if args.init_token => init_token(module, named, args)?,
        None => show::slots(&module)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A line on standard output.
fn say(text: &str) -> Result<()> {
    Ok(crate::output::print(text.trim_end_matches('\n'))?)
}

fn load(named: Option<&Path>) -> Result<Module> {
    Module::load(named).map_err(|failure| {
        let text: Vec<&str> = failure.lines().map(|(_, text)| text).collect();
        Stop(format!(
            "ERROR: Could not load the PKCS#11 library/module: {}\nERROR: Please check log files \
             for additional information.",
            text.join(": ")
        ))
    })
}

fn show_config(named: Option<&Path>, variable: &str) -> Result<ExitCode> {
    if variable != "default-pkcs11-lib" {
        return Err(Stop::error(format!("Invalid configuration key '{variable}'")));
    }
    let path = module::path(named)?;
    say(&path.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn init_token(module: Module, named: Option<&Path>, args: &Softhsm2UtilArgs) -> Result<()> {
    let slot = place::for_new(&module, args)?;
    let label = args
        .label
        .as_deref()
        .ok_or_else(|| Stop::error("A label for the token must be supplied. Use --label <text>"))?;
    if label.len() > 32 {
        return Err(Stop::error("The token label must not have a length greater than 32 chars."));
    }
    let so = ask::new_pin(args.so_pin.as_deref(), "SO", "SO PIN")?;
    let user = ask::new_pin(args.pin.as_deref(), "User", "user PIN")?;
    module.init_token(slot, &pin::auth(&so), label).map_err(|error| not_made(slot, &error))?;
    let session = module
        .open_rw_session(slot)
        .map_err(|_| Stop::error("Could not open a session with the library."))?;
    session
        .login(UserType::So, Some(&pin::auth(&so)))
        .map_err(|_| Stop::error("Could not log in on the token."))?;
    session
        .init_pin(&pin::auth(&user))
        .map_err(|_| Stop::error("Could not initialize the user PIN."))?;
    drop(session);
    let serial = module
        .get_token_info(slot)
        .map_err(|_| {
            let slot = slot.id();
            Stop::error(format!("Could not get info about the initialized token in slot {slot}."))
        })?
        .serial_number()
        .to_owned();
    // Modules number slots when they start.
    drop(module);
    let module = load(named)?;
    let now = place::of_serial(&module, &serial)?;
    say(&if now == slot {
        format!("The token has been initialized on slot {}", now.id())
    } else {
        format!("The token has been initialized and is reassigned to slot {}", now.id())
    })
}

fn not_made(slot: Slot, error: &ModuleError) -> Stop {
    Stop(match error {
        ModuleError::Pkcs11(RvError::SlotIdInvalid, _) => {
            format!("CKR_SLOT_ID_INVALID: Slot {} does not exist.", slot.id())
        }
        ModuleError::Pkcs11(RvError::PinIncorrect, _) => String::from(
            "CKR_PIN_INCORRECT: The given SO PIN does not match the one in the token. Needed when \
             reinitializing the token.",
        ),
        ModuleError::Pkcs11(RvError::TokenNotPresent, _) => String::from(
            "CKR_TOKEN_NOT_PRESENT: The token is not present. Please read the HSM manual for \
             further assistance.",
        ),
        error => format!(
            "ERROR {error}: Could not initialize the token.\nPlease check log files for \
             additional information."
        ),
    })
}

/// Removes a token of our own store: no module can.
fn delete_token(named: Option<&Path>, args: &Softhsm2UtilArgs) -> Result<()> {
    let wanted = place::Wanted::new(args)?.ok_or_else(|| {
        Stop::error("A token must be supplied. Use --serial <serial> or --token <label>")
    })?;
    let store = open_store(named, "the token cannot be deleted")?;
    let unreadable = |error| Stop::error(format!("Could not read the store: {error}"));
    let mut found = Vec::new();
    for token in store.tokens().map_err(unreadable)? {
        // One that cannot be read is not the one that is wanted.
        let Ok(status) = token.status() else { continue };
        let label = String::from_utf8_lossy(&status.label).trim_end().to_owned();
        if wanted.is(&label, &String::from_utf8_lossy(&status.serial)) {
            let name = format!("{}.db", hex::encode(token.id()));
            say(&format!("Found token ({name}) with matching {}.", wanted.what()))?;
            found.push((name, token));
        }
    }
    let several = found.len() > 1;
    match found.pop() {
        Some((name, token)) if !several => {
            store
                .remove(&token)
                .map_err(|error| Stop::error(format!("Could not delete the token: {error}")))?;
            let dir = Config::find().map(|config| config.store).unwrap_or_default();
            say(&format!("The token ({}) has been deleted.", dir.join(name).display()))
        }
        Some(_) => Err(Stop::error("Found multiple matching tokens.")),
        None => Err(Stop::error("Could not find a token using --serial or --token.")),
    }
}

/// Whether the file holds something else than a key pair.
fn import_type(args: &Softhsm2UtilArgs) -> ImportType {
    if args.aes { ImportType::Aes } else { args.import_type }
}
