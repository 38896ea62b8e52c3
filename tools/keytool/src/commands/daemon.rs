//! `status`, `seal`, `unseal`: what an operator says to the daemon; and `seal-key`, the locks that
//! `unseal` opens.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_keystore::config::Seal;
use strongroom_keystore::{Config, Error, Kind, Locks, Opener, Store};
use strongroom_operator::{Answer, Opener as Given, Request, Status, ask};
use zeroize::Zeroizing;

use super::store::failure;
use crate::cli::{
    DaemonArgs, NewLockArgs, OpenerArgs, SealKeyAddArgs, SealKeyArgs, SealKeyCommand,
    SealKeyLockArgs, SealKeyRemoveArgs, UnsealArgs,
};
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::files::{Sink, document};
use crate::output::Output;
use crate::pin::{Secret, Source};
use crate::progress::while_waiting;
use crate::table::table;

/// The length of a new key file in bytes.
const KEY_LEN: usize = 32;

/// `status`.
pub(super) fn status(out: &Output, args: &DaemonArgs) -> Result<()> {
    let status = done("cannot ask the daemon", say(args, &Request::Status)?)?;
    out.show(&status, |_| describe(&status))
}

/// `seal`.
pub(super) fn seal(out: &Output, args: &DaemonArgs) -> Result<()> {
    let status = done("cannot seal the store", say(args, &Request::Seal)?)?;
    let still = match status.under_way {
        0 => String::new(),
        calls => format!("; {calls} calls that began before have their keys until they end"),
    };
    out.done(&status, &format!("sealed {}{still}", status.store.display()))
}

/// `unseal`.
pub(super) fn unseal(out: &Output, args: &UnsealArgs) -> Result<()> {
    const WHAT: &str = "cannot unseal the store";
    let opener = match opener(&args.opener)? {
        Known::Key(bytes) => Given::key(&bytes),
        Known::Passphrase(text) => Given::passphrase(text.as_bytes()),
    };
    let request = Request::Unseal(opener);
    let answer = while_waiting(out.progress, "unsealing", || say(&args.daemon, &request))?;
    let status = done(WHAT, answer)?;
    out.done(&status, &format!("unsealed {}: {} tokens", status.store.display(), status.tokens))
}

fn say(args: &DaemonArgs, request: &Request) -> Result<Answer> {
    let socket = match &args.socket {
        Some(socket) => socket.clone(),
        None => strongroom_operator::socket(configuration()?.source.as_deref())
            .map_err(|why| Failure::new(Exit::Usage, "cannot find the daemon").cause(why))?,
    };
    ask(&socket, request).map_err(|error| {
        let what = format!("cannot ask the daemon at {}", socket.display());
        let help = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "start strongroomd, or name its operator's socket with --socket"
            }
            ErrorKind::PermissionDenied => {
                "run this as root, as the daemon's user, or as one of its [daemon] operators"
            }
            _ => "look into the daemon's log",
        };
        Failure::new(Exit::Module, what).cause(error).help(help)
    })
}

fn done(what: &str, answer: Answer) -> Result<Status> {
    match answer {
        Answer::Done(status) => Ok(status),
        Answer::Wrong => Err(failure(what, &Error::WrongPin)
            .help("`strongroom seal-key list` shows which locks there are")),
        Answer::Refused(why) => Err(Failure::new(Exit::Refused, what).cause(why)),
    }
}

fn describe(status: &Status) -> String {
    let Status { version, process, uptime, store, sealed, tokens, .. } = status;
    let state = if *sealed { "sealed" } else { "unsealed" };
    format!(
        "strongroomd {version}, process {process}, for {uptime} s\n\
         store {}: {state}, {tokens} tokens\n\
         {} connections of {} applications, {} sessions",
        store.display(),
        status.connections,
        status.applications,
        status.sessions,
    )
}

/// `seal-key`.
pub(super) fn seal_key(out: &Output, command: &SealKeyCommand) -> Result<()> {
    match command {
        SealKeyCommand::Lock(args) => lock(out, args),
        SealKeyCommand::Add(args) => add(out, args),
        SealKeyCommand::Remove(args) => remove(out, args),
        SealKeyCommand::List(args) => list(out, args),
    }
}

/// A lock, as it is shown.
#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    kind: &'static str,
}

fn lock(out: &Output, args: &SealKeyLockArgs) -> Result<()> {
    const WHAT: &str = "cannot lock the seal key";
    let path = file(&args.to)?;
    if path.exists() {
        return Err(Failure::new(Exit::File, WHAT)
            .cause(format!("{} exists", path.display()))
            .help("`strongroom seal-key add` adds a lock to it"));
    }
    let secret = new_opener(&args.lock)?;
    let name = &args.lock.name;
    let locks = while_waiting(out.progress, "locking", || match &args.from {
        Some(from) => Locks::of_file(from, name, secret.opener()),
        None => Locks::of_new(name, secret.opener()),
    })
    .map_err(|error| failure(WHAT, &error))?;
    write(&locks, &path, WHAT)?;
    let next = match &args.from {
        Some(from) => format!(
            "; keep a copy of it, say source = \"operator\" in [seal] of the configuration, and \
             remove {} when the store opens",
            from.display()
        ),
        None => "; keep a copy of it, and say source = \"operator\" in [seal] of the configuration"
            .into(),
    };
    show(out, &locks, &format!("wrote {}{next}", path.display()))
}

fn add(out: &Output, args: &SealKeyAddArgs) -> Result<()> {
    const WHAT: &str = "cannot add a lock";
    let path = file(&args.to)?;
    let mut locks = Locks::read(&path).map_err(|error| failure(WHAT, &error))?;
    let known = opener(&args.opener)?;
    let secret = new_opener(&args.lock)?;
    while_waiting(out.progress, "adding a lock", || {
        locks.extend(known.opener(), &args.lock.name, secret.opener())
    })
    .map_err(|error| match error {
        Error::Conflict => Failure::new(Exit::Refused, WHAT)
            .cause(format!("there is a lock {} already", args.lock.name))
            .help("give another --name"),
        error => failure(WHAT, &error),
    })?;
    write(&locks, &path, WHAT)?;
    show(out, &locks, &format!("added the lock {}", args.lock.name))
}

fn remove(out: &Output, args: &SealKeyRemoveArgs) -> Result<()> {
    const WHAT: &str = "cannot remove the lock";
    let path = file(&args.to)?;
    let mut locks = Locks::read(&path).map_err(|error| failure(WHAT, &error))?;
    locks.remove(&args.name).map_err(|error| match error {
        Error::NotFound => Failure::new(Exit::NotFound, WHAT)
            .cause(format!("there is no lock {}", args.name))
            .help("`strongroom seal-key list` shows which locks there are"),
        error => failure(WHAT, &error),
    })?;
    write(&locks, &path, WHAT)?;
    show(out, &locks, &format!("removed the lock {}", args.name))
}

fn write(locks: &Locks, path: &Path, what: &str) -> Result<()> {
    locks.write(path).map_err(|error| match error {
        Error::Conflict => Failure::new(Exit::Refused, what)
            .cause(format!("somebody else wrote {} meanwhile", path.display()))
            .help("run the command again"),
        error => failure(what, &error),
    })
}

fn list(out: &Output, args: &SealKeyArgs) -> Result<()> {
    let path = file(args)?;
    let locks = Locks::read(&path).map_err(|error| failure("cannot list the locks", &error))?;
    let views = views(&locks);
    out.show(&views, |paint| {
        let rows: Vec<_> =
            views.iter().map(|view| vec![view.name.to_owned(), view.kind.to_owned()]).collect();
        table(paint, &["LOCK", "OPENS WITH"], &rows)
    })
}

fn show(out: &Output, locks: &Locks, sentence: &str) -> Result<()> {
    out.done(&views(locks), sentence)
}

fn views(locks: &Locks) -> Vec<View<'_>> {
    let view = |(name, kind)| {
        let kind = match kind {
            Kind::Passphrase => "passphrase",
            Kind::Key => "key file",
        };
        View { name, kind }
    };
    locks.list().map(view).collect()
}

/// What opens a lock.
enum Known {
    Key(Zeroizing<Vec<u8>>),
    Passphrase(Secret),
}

impl Known {
    fn opener(&self) -> Opener<'_> {
        match self {
            Self::Key(bytes) => Opener::Key(bytes),
            Self::Passphrase(text) => Opener::Passphrase(text.as_bytes()),
        }
    }
}

fn opener(args: &OpenerArgs) -> Result<Known> {
    match &args.key_file {
        Some(path) => document(path).map(Known::Key),
        None => Source::from(&args.passphrase).read().map(Known::Passphrase),
    }
}

/// Unseals a store that is sealed; asks for the passphrase if nobody gives anything.
pub(super) fn unseal_here(store: &Store, args: &OpenerArgs, what: &str) -> Result<()> {
    if unseal_if_known(store, args, what)? {
        return Ok(());
    }
    store.unseal(opener(args)?.opener()).map_err(|error| failure(what, &error))
}

/// Unseals it with what is given, or with the key that the configuration names. Says whether it is open.
pub(super) fn unseal_if_known(store: &Store, args: &OpenerArgs, what: &str) -> Result<bool> {
    if !store.is_sealed() {
        return Ok(true);
    }
    let known = match &args.key_file {
        Some(path) => Some(Known::Key(document(path)?)),
        None => Source::from(&args.passphrase).given()?.map(Known::Passphrase),
    };
    match known {
        Some(known) => store.unseal(known.opener()).map_err(|error| failure(what, &error))?,
        // A credential of the service manager is not for us.
        None => return Ok(store.unseal_at_start().unwrap_or(false)),
    }
    Ok(true)
}

/// What is to open a new lock; a key file is made if there is none.
fn new_opener(args: &NewLockArgs) -> Result<Known> {
    let Some(path) = &args.new_key_file else {
        return Source::from(&args.new_passphrase).read_new().map(Known::Passphrase);
    };
    if path.exists() {
        return document(path).map(Known::Key);
    }
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    getrandom::fill(&mut key)
        .map_err(|error| Failure::new(Exit::Failed, "cannot make a key").cause(error))?;
    let mut sink = Sink::private(Some(path))?;
    sink.write(&key)?;
    sink.finish()?;
    Ok(Known::Key(key))
}

/// The locked seal key that is meant.
fn file(args: &SealKeyArgs) -> Result<PathBuf> {
    if let Some(path) = &args.file {
        return Ok(path.clone());
    }
    match configuration()?.seal {
        Seal::Operator { locks, .. } => Ok(locks),
        Seal::File(path) => Ok(path.with_file_name("seal.locked")),
        Seal::None => Err(Failure::usage("which locked seal key?")
            .cause("the configuration says source = \"none\"")
            .help("name it with --file")),
    }
}

fn configuration() -> Result<Config> {
    Config::find().map_err(|error| {
        Failure::new(Exit::Module, "cannot read the configuration")
            .cause(error)
            .help("correct it; `strongroom check` looks at all of it")
    })
}
