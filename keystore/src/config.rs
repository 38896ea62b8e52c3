//! Where the store and the seal key are, and what the PIN policy is.
//!
//! One small TOML file, or none: then everything lies under the user's home. The file is found by
//! `STRONGROOM_CONF`, then `$XDG_CONFIG_HOME/strongroom/strongroom.toml` (`~/.config` without the
//! variable), then `/etc/strongroom/strongroom.toml`. A program with more rights than its caller
//! (setuid, setgid, file capabilities) follows no variable, since its caller sets them.
//!
//! ```toml
//! socket = "/run/strongroom/strongroom.sock"   # the keys are with a daemon; nothing else is needed
//!
//! so_reset = "allow"       # or "wipe", "deny": may the security officer replace a user PIN?
//! legacy = false           # or true: mechanisms for what is old, such as 3DES and SHA-1 signatures
//!
//! [store]
//! path = "/var/lib/strongroom"
//!
//! [seal]
//! file = "seal.key"        # relative to this file
//! source = "file"          # or "operator": the file is locked; or "none"
//! credential = "strongroom" # with "operator": what the service manager brings unlocks it at start
//! key_file = "unseal.key"  # or what is in this file does
//!
//! [pin]
//! lockout = 10             # wrong PINs in a row; without it attempts only get slower
//!
//! [policy]
//! default = "standard"     # or "strict", "compatible": what new tokens let be done with keys
//!
//! [log]
//! level = "warning"        # off, error, warning, info, debug
//! target = "stderr"        # or "journal", or file = "PATH"
//! ```
//!
//! Without any of these files, that of SoftHSM2 holds: the one that `SOFTHSM2_CONF` names, or,
//! unless there is a store under the user's home already, one where SoftHSM2 looks for it
//! (`~/.config/softhsm2/`, `/etc/softhsm/`, `/etc/`). The store is then its token directory.

mod softhsm2;

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use rustix::{
    process::{getegid, geteuid, getgid, getuid},
    thread::capabilities,
};
use serde::{Deserialize, de::IgnoredAny};

/// The variable that names the configuration file.
const VARIABLE: &str = "STRONGROOM_CONF";
const SYSTEM_FILE: &str = "/etc/strongroom/strongroom.toml";
const FILE: &str = "strongroom.toml";
/// The variable that names the configuration file of SoftHSM2.
const SOFTHSM2_VARIABLE: &str = "SOFTHSM2_CONF";
/// The variable that says what is logged.
const LOG_VARIABLE: &str = "STRONGROOM_LOG";
/// The variable that names the socket of a daemon.
const SOCKET_VARIABLE: &str = "STRONGROOM_SOCKET";
/// Where SoftHSM2 looks, below the home directory and for all users.
const SOFTHSM2_FILE: &str = ".config/softhsm2/softhsm2.conf";
const SOFTHSM2_SYSTEM_FILES: [&str; 2] = ["/etc/softhsm/softhsm2.conf", "/etc/softhsm2.conf"];
const SEAL_FILE: &str = "seal.key";
const LOCKED_SEAL_FILE: &str = "seal.locked";

/// The configuration of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, if there was one.
    pub source: Option<PathBuf>,
    /// The socket of the daemon that has the store, if this process has not.
    pub socket: Option<PathBuf>,
    /// The directory with the token files; made when the first token is.
    pub store: PathBuf,
    /// Where the seal key is.
    pub seal: Seal,
    /// What happens when the security officer replaces a user PIN.
    pub so_reset: SoReset,
    /// How many wrong PINs in a row lock it; nothing: they only make attempts slower.
    pub pin_lockout: Option<u32>,
    /// What tokens let be done with keys that are initialised without a policy of their own.
    pub policy: KeyPolicy,
    /// Whether mechanisms that are too weak for new uses are offered.
    pub legacy: bool,
    /// Whether the module behaves as SoftHSM2 does where the two differ and its clients tell.
    pub compatible: bool,
    /// Whether slots say that their token can be removed.
    pub removable: bool,
    /// Which mechanisms may be used.
    pub mechanisms: Mechanisms,
    /// Whether a forked child goes on with what its parent started. Else it starts with nothing.
    pub child_inherits: bool,
    /// The permissions that new files do not get.
    pub umask: u32,
    /// What is logged, and where.
    pub log: Log,
    /// What the file says that was passed over: a sentence each.
    pub remarks: Vec<String>,
}

/// Which mechanisms may be used, by the standard's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mechanisms {
    /// All.
    #[default]
    All,
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Mechanisms {
    /// Whether they include the one of this name.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|listed| listed == name),
            Self::AllBut(names) => names.iter().all(|listed| listed != name),
        }
    }
}

/// What is logged, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// Where to.
    pub target: Target,
}

/// How much is logged: each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// What should not happen: the store fails, memory is missing.
    Error,
    /// Calls that were refused.
    Warning,
    /// When the module starts, and with which configuration.
    Info,
    /// Every call.
    Debug,
}

/// Where a log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The host's standard error.
    #[default]
    Stderr,
    /// The end of a file.
    File(PathBuf),
    /// The system's: journald, or syslog where that is not.
    Journal,
}

impl Log {
    /// Reads the variable `STRONGROOM_LOG`: a level, and behind a colon the target: `stderr`,
    /// `journal`, or a file's absolute path. `None` if it says anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (level, target) = text.split_once(':').unwrap_or((text, "stderr"));
        let level = match level {
            "off" => Level::Off,
            "error" => Level::Error,
            "warning" => Level::Warning,
            "info" => Level::Info,
            "debug" => Level::Debug,
            _ => return None,
        };
        let target = match target {
            "stderr" => Target::Stderr,
            "journal" => Target::Journal,
            path if path.starts_with('/') => Target::File(path.into()),
            _ => return None,
        };
        Some(Self { level, target })
    }

    /// What [`STRONGROOM_LOG`](Self::parse) says, if it is there; it goes before any configuration.
    ///
    /// # Errors
    /// If it says something else: a sentence.
    pub fn of_process() -> Result<Option<Self>, String> {
        let said = env::var_os(LOG_VARIABLE).filter(|text| !text.is_empty() && trusted());
        let Some(text) = said else { return Ok(None) };
        let log = text.to_str().and_then(Self::parse);
        log.map(Some).ok_or_else(|| {
            format!(
                "{LOG_VARIABLE} is {text:?}, and is ignored: it has to be off, error, warning, info or \
                 debug, and behind a colon stderr, journal or the absolute path of a file"
            )
        })
    }
}

/// Where the seal key is: 32 random bytes, without which a stolen store is noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// In a file, made together with the first token.
    File(PathBuf),
    /// In a file that an operator unlocks: see [`Locks`](crate::Locks).
    Operator {
        /// The file.
        locks: PathBuf,
        /// What unlocks it before any operator comes.
        key: Option<StartKey>,
    },
    /// Nowhere: PINs alone protect the private objects, nothing protects the public ones.
    None,
}

/// Where the key is that unlocks a seal key at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartKey {
    /// In a file.
    File(PathBuf),
    /// In a credential of this name, which the service manager gives this process alone.
    Credential(String),
}

/// What happens when the security officer replaces the user PIN (not when the first one is set).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoReset {
    /// The private objects stay: the security officer's PIN is a recovery PIN.
    #[default]
    Allow,
    /// The private objects are destroyed, with the key that they were sealed under.
    Wipe,
    /// It is refused.
    Deny,
}

/// What a token lets be done with its keys. It is chosen when the token is initialised, and stays; which
/// rules hold under which policy is not the keystore's to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPolicy {
    /// What the standard lets be done.
    #[default]
    Standard,
    /// Nothing by which a sensitive key could get out.
    Strict,
    /// What SoftHSM2 lets be done, where its users rely on it.
    Compatible,
}

impl KeyPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Strict, Self::Compatible];

    /// As configurations, commands and the token itself name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Strict => "strict",
            Self::Compatible => "compatible",
        }
    }

    /// The policy of a name.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name().as_bytes() == name)
    }

    /// As it is stored.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::Strict => 1,
            Self::Compatible => 2,
        }
    }

    /// The policy of a stored number.
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.number() == number)
    }
}

/// Why there is no configuration; the text names the file, the line and a remedy.
#[derive(Debug)]
pub enum ConfigError {
    /// The file that `STRONGROOM_CONF` or `SOFTHSM2_CONF` names cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file does not say what it should.
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; nothing if the fault is in no single line.
        line: Option<usize>,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// No file was found, and the user has no home to put a store into.
    NoHome,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(
                f,
                "the configuration {} cannot be read ({error}); correct {VARIABLE} or \
                 {SOFTHSM2_VARIABLE}, or make the file",
                path.display()
            ),
            Self::Invalid { path, line: Some(line), why } => {
                write!(f, "{}:{line}: {why}", path.display())
            }
            Self::Invalid { path, line: None, why } => write!(f, "{}: {why}", path.display()),
            Self::NoHome => write!(
                f,
                "there is neither a configuration nor a home directory for a store; set HOME, or \
                 name a configuration in {VARIABLE}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Finds the configuration of this process.
    ///
    /// # Errors
    /// If the file that is named or found cannot be used, or if there is neither file nor home.
    pub fn find() -> Result<Self, ConfigError> {
        let found = Surroundings::of_process().find();
        let Some(socket) = variable(SOCKET_VARIABLE) else { return found };
        match found {
            Ok(config) => Ok(Self { socket: Some(socket), ..config }),
            // Where the keys are with a daemon, nothing else is needed.
            Err(ConfigError::NoHome) => Ok(Self::remote(socket)),
            Err(error) => Err(error),
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// If it cannot be read, or says something unknown.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable(path.to_owned(), error);
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        let file: File = toml::from_str(&text).map_err(|error| invalid(&path, &text, &error))?;
        let beside = path.parent().unwrap_or(Path::new("/")).to_owned();
        let refuse = |why: &str| {
            Err(ConfigError::Invalid { path: path.clone(), line: None, why: why.to_owned() })
        };
        let seal = match file.seal.seal(&beside) {
            Ok(seal) => seal,
            Err(why) => return refuse(why),
        };
        if file.pin.lockout == Some(0) {
            return refuse("[pin] lockout = 0 would lock every PIN; remove it, or give 1 or more");
        }
        if file.socket.is_some() && file.store.path.is_some() {
            return refuse(
                "there are both a socket and a [store]; remove the one that is not meant",
            );
        }
        let Some(target) = file.log.target(&beside) else {
            return refuse("[log] has both a file and a target; remove one of them");
        };
        let plain = match (file.socket, file.store.path) {
            (Some(socket), _) => Self::remote(beside.join(socket)),
            (None, Some(store)) => Self::plain(beside.join(store), seal),
            (None, None) => {
                return refuse("[store] path is missing; add the directory that holds the tokens");
            }
        };
        Ok(Self {
            so_reset: file.so_reset,
            policy: file.policy.default.unwrap_or(match file.compatible {
                true => KeyPolicy::Compatible,
                false => KeyPolicy::Standard,
            }),
            pin_lockout: file.pin.lockout,
            legacy: file.legacy,
            compatible: file.compatible,
            log: Log { level: file.log.level, target },
            source: Some(path),
            ..plain
        })
    }

    /// Reads one file of SoftHSM2's.
    ///
    /// # Errors
    /// If it cannot be read, or SoftHSM2 would not start with it.
    pub fn load_softhsm2(path: &Path) -> Result<Self, ConfigError> {
        softhsm2::load(path)
    }

    /// The configuration of a process whose keys are with the daemon at this socket.
    fn remote(socket: PathBuf) -> Self {
        Self { socket: Some(socket), ..Self::plain(PathBuf::new(), Seal::None) }
    }

    /// The configuration that needs no file: a store and a seal key at these two places.
    #[must_use]
    pub fn plain(store: PathBuf, seal: Seal) -> Self {
        Self {
            source: None,
            socket: None,
            store,
            seal,
            so_reset: SoReset::default(),
            policy: KeyPolicy::default(),
            pin_lockout: None,
            legacy: false,
            compatible: false,
            removable: false,
            mechanisms: Mechanisms::All,
            child_inherits: false,
            umask: 0,
            log: Log::default(),
            remarks: Vec::new(),
        }
    }
}

/// What the search for a configuration depends on.
struct Surroundings {
    named: Option<PathBuf>,
    softhsm2_named: Option<PathBuf>,
    /// The files that SoftHSM2 would read, the first that is there.
    softhsm2_files: Vec<PathBuf>,
    config_home: Option<PathBuf>,
    data_home: Option<PathBuf>,
    system: PathBuf,
}

impl Surroundings {
    fn of_process() -> Self {
        // The base directory specification has relative paths ignored.
        let base = |name| variable(name).filter(|path: &PathBuf| path.is_absolute());
        let home = base("HOME").or_else(home_of_user);
        let in_home = |rest| home.as_ref().map(|home| home.join(rest));
        let softhsm2_files = in_home(SOFTHSM2_FILE).into_iter();
        Self {
            named: variable(VARIABLE),
            softhsm2_named: variable(SOFTHSM2_VARIABLE),
            softhsm2_files: softhsm2_files
                .chain(SOFTHSM2_SYSTEM_FILES.map(PathBuf::from))
                .collect(),
            config_home: base("XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            data_home: base("XDG_DATA_HOME").or_else(|| in_home(".local/share")),
            system: SYSTEM_FILE.into(),
        }
    }

    fn find(&self) -> Result<Config, ConfigError> {
        if let Some(named) = &self.named {
            return Config::load(named);
        }
        let own = self.config_home.as_ref().map(|home| home.join("strongroom"));
        let files = own.iter().map(|dir| dir.join(FILE)).chain([self.system.clone()]);
        if let Some(found) = first(files, Config::load) {
            return found;
        }
        if let Some(named) = &self.softhsm2_named {
            return softhsm2::load(named);
        }
        let store = self.data_home.as_ref().map(|home| home.join("strongroom"));
        // A store that is in use must not vanish because somebody installed SoftHSM2.
        let in_use = store.as_ref().is_some_and(|store| store.exists());
        if !in_use && let Some(found) = first(self.softhsm2_files.iter().cloned(), softhsm2::load) {
            return found;
        }
        let (Some(own), Some(store)) = (own, store) else {
            return Err(ConfigError::NoHome);
        };
        Ok(Config::plain(store, Seal::File(own.join(SEAL_FILE))))
    }
}

/// What came of loading the first of some files that is there for this user.
fn first(
    files: impl IntoIterator<Item = PathBuf>,
    load: fn(&Path) -> Result<Config, ConfigError>,
) -> Option<Result<Config, ConfigError>> {
    files
        .into_iter()
        .map(|file| load(&file))
        .find(|outcome| !matches!(outcome, Err(ConfigError::Unreadable(_, error)) if absent(error)))
}

/// The path that a variable has, if it is one to be followed.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty() && trusted()).map(PathBuf::from)
}

/// Whether the variables of this process are its user's own.
fn trusted() -> bool {
    getuid() == geteuid() && getgid() == getegid() && !secured()
}

/// Says whether the kernel gave the program rights that its caller does not have.
fn secured() -> bool {
    match fs::read("/proc/self/auxv") {
        Ok(vector) => is_secured(&vector),
        // Without /proc there is no more to know.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Hidden from programs with file capabilities, and from those that hide their memory.
        Err(_) => capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty()),
    }
}

/// The entry `AT_SECURE` of an auxiliary vector, which is pairs of words.
fn is_secured(vector: &[u8]) -> bool {
    const AT_SECURE: usize = 23;
    let (words, _) = vector.as_chunks().0.as_chunks::<2>();
    words.iter().any(|&[kind, value]| {
        usize::from_ne_bytes(kind) == AT_SECURE && usize::from_ne_bytes(value) != 0
    })
}

/// A file that is not there, or lies where this user may not look, is not this user's.
fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

/// The home directory in `/etc/passwd`, for a process without `HOME`.
fn home_of_user() -> Option<PathBuf> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    home_in(&users, geteuid().as_raw())
}

fn home_in(users: &str, uid: u32) -> Option<PathBuf> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let of_user = fields.nth(2)?.parse::<u32>().ok()? == uid;
        let home = PathBuf::from(fields.nth(2)?);
        (of_user && home.is_absolute()).then_some(home)
    })
}

fn invalid(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start));
    ConfigError::Invalid {
        path: path.to_owned(),
        line: before.map(|before| before.matches('\n').count().saturating_add(1)),
        why: format!("{}; correct or remove this entry", error.message()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct File {
    store: StoreTable,
    seal: SealTable,
    pin: PinTable,
    policy: PolicyTable,
    log: LogTable,
    /// What the daemon reads.
    daemon: IgnoredAny,
    socket: Option<PathBuf>,
    so_reset: SoReset,
    legacy: bool,
    compatible: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreTable {
    path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SealTable {
    key_file: Option<PathBuf>,
    credential: Option<String>,
    file: Option<PathBuf>,
    source: Option<Source>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    File,
    Operator,
    None,
}

impl SealTable {
    /// What it says, or why it makes no sense.
    fn seal(self, beside: &Path) -> Result<Seal, &'static str> {
        let file = self.file.map(|path| beside.join(path));
        let key = match (self.key_file, self.credential) {
            (None, None) => None,
            (Some(path), None) => Some(StartKey::File(beside.join(path))),
            (None, Some(name)) if !name.is_empty() && !name.contains('/') => {
                Some(StartKey::Credential(name))
            }
            (None, Some(_)) => return Err("[seal] credential is a name, without a slash"),
            (Some(_), Some(_)) => {
                return Err("[seal] has both a key_file and a credential; remove one of them");
            }
        };
        match (self.source, file, key) {
            (Some(Source::Operator), file, key) => {
                let locks = file.unwrap_or_else(|| beside.join(LOCKED_SEAL_FILE));
                Ok(Seal::Operator { locks, key })
            }
            (_, _, Some(_)) => Err("[seal] key_file and credential unlock a seal key that is \
                locked; say source = \"operator\", or remove them"),
            (None | Some(Source::File), file, None) => {
                Ok(Seal::File(file.unwrap_or_else(|| beside.join(SEAL_FILE))))
            }
            (Some(Source::None), None, None) => Ok(Seal::None),
            (Some(Source::None), Some(_), None) => {
                Err("[seal] has both a file and source = \"none\"; remove one of them")
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PinTable {
    lockout: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyTable {
    default: Option<KeyPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogTable {
    level: Level,
    target: Option<Place>,
    file: Option<PathBuf>,
}

impl LogTable {
    fn target(&self, beside: &Path) -> Option<Target> {
        match (&self.file, self.target) {
            (Some(_), Some(_)) => None,
            (Some(file), None) => Some(Target::File(beside.join(file))),
            (None, Some(Place::Journal)) => Some(Target::Journal),
            (None, Some(Place::Stderr) | None) => Some(Target::Stderr),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Stderr,
    Journal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = Scratch::new();
        let path = dir.path().join("x.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path).map(|mut config| {
            let base = dir.path();
            config.source = None;
            config.store = config.store.strip_prefix(base).unwrap_or(&config.store).to_owned();
            if let Seal::File(key) = &config.seal {
                config.seal = Seal::File(key.strip_prefix(base).unwrap_or(key).to_owned());
            }
            config
        })
    }

    #[test]
    fn everything_can_be_said() {
        let config = load(
            "so_reset = 'wipe'\nlegacy = true\n[store]\npath = '/a'\n[seal]\nfile = 'b/c'\n[pin]\nlockout = 10\n",
        )
        .unwrap();
        let expected = Config {
            so_reset: SoReset::Wipe,
            pin_lockout: Some(10),
            legacy: true,
            ..Config::plain("/a".into(), Seal::File("b/c".into()))
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn the_policy_of_new_tokens() {
        let policy = |text: &str| {
            load(&format!("{text}\n[store]\npath = 's'\n")).map(|config| config.policy)
        };
        assert_eq!(policy("").unwrap(), KeyPolicy::Standard);
        assert_eq!(policy("compatible = true").unwrap(), KeyPolicy::Compatible);
        for named in KeyPolicy::ALL {
            let text = format!("compatible = true\n[policy]\ndefault = '{}'", named.name());
            assert_eq!(policy(&text).unwrap(), named);
            assert_eq!(KeyPolicy::named(named.name().as_bytes()), Some(named));
        }
        policy("[policy]\ndefault = 'lax'").unwrap_err();
        assert_eq!(KeyPolicy::named(b"lax"), None);
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let config = load("[store]\npath = 'tokens'\n").unwrap();
        assert_eq!(config, Config::plain("tokens".into(), Seal::File("seal.key".into())));
        let config = load("[store]\npath = 'tokens'\n[seal]\nsource = 'none'\n").unwrap();
        assert_eq!(config.seal, Seal::None);
        for (text, name, opens) in [
            ("", "seal.locked", None),
            ("file = 'x'", "x", None),
            ("credential = 'a'", "seal.locked", Some(StartKey::Credential("a".into()))),
        ] {
            let text = format!("[store]\npath = 'tokens'\n[seal]\nsource = 'operator'\n{text}");
            let Seal::Operator { locks, key } = load(&text).unwrap().seal else { panic!("{text}") };
            assert!(locks.ends_with(name));
            assert_eq!(key, opens);
        }
    }

    #[test]
    fn a_fault_is_named_with_file_line_and_remedy() {
        for (text, expected) in [
            ("so_reset = 'deny'\n\nfoo = 1\n", "x.toml:3: unknown field `foo`"),
            ("[store]\npath = 1\n", "x.toml:2: invalid type"),
            ("[pin]\nlockout = -1\n", "x.toml:2: invalid value"),
            ("so_reset = 'maybe'\n", "x.toml:1: unknown variant `maybe`"),
            ("[store\n", "x.toml:1: "),
            ("", "x.toml: [store] path is missing; add"),
            ("[pin]\nlockout = 0\n[store]\npath = 'x'", "x.toml: [pin] lockout = 0"),
            ("[seal]\nfile = 'x'\nsource = 'none'\n", "x.toml: [seal] has both"),
        ] {
            let text = load(text).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(';'), "no remedy: {text}");
        }
    }

    fn surroundings(dir: &Path) -> Surroundings {
        Surroundings {
            named: None,
            softhsm2_named: None,
            softhsm2_files: vec![dir.join("softhsm2.conf")],
            config_home: Some(dir.join("config")),
            data_home: Some(dir.join("data")),
            system: dir.join("etc.toml"),
        }
    }

    #[test]
    fn files_are_searched_in_order() {
        let dir = Scratch::new();
        let mut around = surroundings(dir.path());
        let none = around.find().unwrap();
        assert_eq!(none.store, dir.path().join("data/strongroom"));
        assert_eq!(none.seal, Seal::File(dir.path().join("config/strongroom/seal.key")));

        fs::write(&around.system, "[store]\npath = '/system'").unwrap();
        assert_eq!(around.find().unwrap().store, Path::new("/system"));

        fs::create_dir_all(dir.path().join("config/strongroom")).unwrap();
        let own = dir.path().join("config/strongroom/strongroom.toml");
        fs::write(own, "[store]\npath = '/own'").unwrap();
        assert_eq!(around.find().unwrap().store, Path::new("/own"));

        around.named = Some(dir.path().join("named.toml"));
        let text = around.find().unwrap_err().to_string();
        assert!(text.contains("named.toml") && text.contains(VARIABLE), "{text}");
    }

    #[test]
    fn softhsm2s_file_holds_where_no_other_does() {
        let dir = Scratch::new();
        let mut around = surroundings(dir.path());
        let softhsm2 = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, format!("directories.tokendir = /{name}\n")).unwrap();
            path
        };
        softhsm2("softhsm2.conf");
        let found = around.find().unwrap();
        assert_eq!(found.store, Path::new("/softhsm2.conf"));
        assert!(found.compatible && found.legacy);

        fs::create_dir_all(dir.path().join("data/strongroom")).unwrap();
        assert!(!around.find().unwrap().compatible, "the store that is in use");
        around.softhsm2_named = Some(softhsm2("named"));
        assert_eq!(around.find().unwrap().store, Path::new("/named"));

        fs::write(&around.system, "[store]\npath = '/system'").unwrap();
        assert_eq!(around.find().unwrap().store, Path::new("/system"), "ours always wins");

        fs::remove_file(&around.system).unwrap();
        around.softhsm2_named = Some(dir.path().join("missing"));
        let text = around.find().unwrap_err().to_string();
        assert!(text.contains("missing") && text.contains(SOFTHSM2_VARIABLE), "{text}");
    }

    #[test]
    fn logs_go_where_one_word_says() {
        let log = |level, target| Some(Log { level, target });
        assert_eq!(Log::parse("debug"), log(Level::Debug, Target::Stderr));
        assert_eq!(Log::parse("info:journal"), log(Level::Info, Target::Journal));
        assert_eq!(Log::parse("error:/x/y:z"), log(Level::Error, Target::File("/x/y:z".into())));
        for wrong in ["", "loud", "debug:", "debug:x"] {
            assert_eq!(Log::parse(wrong), None, "{wrong}");
        }
        let config = load("[store]\npath = '/a'\n[log]\nlevel = 'warning'\nfile = 'x.log'\n");
        assert_eq!(config.unwrap().log.level, Level::Warning);
        assert!(load("[store]\npath = '/a'\n[log]\ntarget = 'stderr'\nfile = 'x'\n").is_err());
    }

    #[test]
    fn a_socket_stands_for_a_store() {
        let config = load("socket = '/run/x.sock'\n").unwrap();
        assert_eq!(config.socket.as_deref(), Some(Path::new("/run/x.sock")));
        assert!(load("socket = '/run/x.sock'\n[store]\npath = '/a'\n").is_err());
        assert!(load("[store]\npath = '/a'\n[daemon]\nidle = 3\n").is_ok());
    }

    #[test]
    fn rights_beyond_the_callers_are_noticed() {
        let vector = |secure: usize| {
            [6, 4096, 23, secure, 0, 0].map(usize::to_ne_bytes).as_flattened().to_vec()
        };
        assert!(!is_secured(&vector(0)) && is_secured(&vector(1)));
        assert!(!is_secured(&[]));
        assert!(!secured());
    }

    #[test]
    fn without_a_home_there_is_a_sentence() {
        let dir = Scratch::new();
        let mut around = surroundings(dir.path());
        around.config_home = None;
        assert!(around.find().unwrap_err().to_string().contains("set HOME"));
    }

    #[test]
    fn homes_come_from_the_user_list() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nx:x:7:7::/home/x:/bin/sh\n";
        assert_eq!(home_in(users, 7), Some("/home/x".into()));
        assert_eq!(home_in(users, 8), None);
    }
}
