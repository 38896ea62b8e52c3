//! The table `[daemon]` of the configuration: where the daemon's sockets are, who may connect, and how
//! much of everything there may be. Who calls is for others to know.
//!
//! ```toml
//! [daemon]
//! socket = "/run/strongroom/strongroom.sock"
//! p11kit = "/run/strongroom/p11kit.sock"  # for the stock client of p11-kit; without it there is none
//! metrics = "/run/strongroom/metrics.sock"  # OpenMetrics over HTTP; without it there are none
//! operator = "/run/strongroom/operator.sock"  # for `strongroom status|seal|unseal`
//! operators = ["alice"]         # who may use that, beside root and the daemon's own user
//! watchers = ["prometheus"]     # who may read metrics, beside these; by default who may connect
//! users = ["www-data", 1000]    # who may connect, beside the daemon's own user
//! groups = ["strongroom"]       # and whose members
//! p11kit_users = [1000]         # the same for the socket of p11-kit; by default those two
//! p11kit_groups = []
//! connections = 1024            # at once
//! user_connections = 768        # at once, of one user; by default three quarters of them
//! sessions = 16384              # at once, of all callers together
//! application_sessions = 4096   # at once, of one application
//! frame = 16777216              # the most bytes of a request
//! operation = 67108864          # the most bytes that an operation keeps until it ends, or a call gives
//! memory = 1073741824           # the most bytes that are kept between calls, for all callers together
//! application_memory = 268435456  # of one application: session objects, operations, searches
//! idle = 600                    # seconds until a connection that nobody needs is closed; 0: never
//! relax = ["locked memory"]     # protections to go without, by the names that the log has
//! ```

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use strongroom_operator::CALLERS;

/// The superuser.
const ROOT: u32 = 0;

/// The group whose members may connect, if nothing else is said.
const GROUP: &str = "strongroom";

/// The smallest limit for requests: a template with a large certificate fits.
const LEAST_FRAME: u32 = 64 << 10;

/// The smallest limit for what is kept: a signature of a message of ordinary length.
const LEAST_KEPT: usize = 64 << 10;

/// The protection that the daemon brings along, and holds before any other: where its keys lie.
pub const SECRET_MEMORY: &str = "secret memory";

/// The names of all protections, which the configuration can relax.
pub fn protections() -> impl Iterator<Item = &'static str> {
    [SECRET_MEMORY].into_iter().chain(strongroom_confine::names())
}

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The socket of the module.
    pub socket: PathBuf,
    /// For the stock client of p11-kit.
    pub p11kit: Option<PathBuf>,
    /// For those who watch.
    pub metrics: Option<PathBuf>,
    /// For those who seal and unseal.
    pub operator: PathBuf,
    /// Who may use keys.
    pub callers: Callers,
    /// Who may do so by the client of p11-kit.
    pub p11kit_callers: Callers,
    /// Who may read metrics.
    pub watchers: Callers,
    /// Who may seal and unseal.
    pub operators: Callers,
    /// The most connections.
    pub connections: usize,
    /// Those of one user.
    pub user_connections: usize,
    /// The most sessions.
    pub sessions: usize,
    /// Those of one application.
    pub application_sessions: usize,
    /// The most bytes of a request.
    pub frame: u32,
    /// The most bytes that an operation keeps.
    pub operation: usize,
    /// The most bytes that are kept between calls.
    pub memory: usize,
    /// Those of one application.
    pub application_memory: usize,
    /// How long a connection stays that nobody needs. Nothing: for ever.
    pub idle: Option<Duration>,
    /// The protections of the process to go without, by their names.
    pub relaxed: Vec<String>,
}

/// Who may connect by a socket, beside the daemon's own user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers {
    /// By their numbers.
    pub users: Vec<u32>,
    /// Whose members.
    pub groups: Vec<u32>,
}

impl Callers {
    /// Those that are named; without any name, the members of the group.
    fn named(users: Option<Vec<Name>>, groups: Option<Vec<Name>>) -> Result<Self, String> {
        let users = numbers(users.unwrap_or_default(), "user", "/etc/passwd")?;
        let groups = match groups {
            Some(groups) => numbers(groups, "group", "/etc/group")?,
            // A machine without the group has no members of it.
            None => number(GROUP, "/etc/group").into_iter().collect(),
        };
        Ok(Self { users, groups })
    }

    /// Whether somebody may connect to a daemon whose own user is `own`: by his user, his group, or one
    /// of his further groups, which are asked for last.
    pub fn admit(&self, own: u32, user: u32, group: u32, more: impl FnOnce() -> Vec<u32>) -> bool {
        let listed = |group: &u32| self.groups.contains(group);
        user == own || self.users.contains(&user) || listed(&group) || more().iter().any(listed)
    }

    /// The superuser, and these.
    fn with_root(users: Vec<Name>) -> Result<Self, String> {
        let users = numbers(users, "user", "/etc/passwd")?;
        Ok(Self { users: [vec![ROOT], users].concat(), groups: Vec::new() })
    }
}

/// The file, of which only one table is looked at here: the keystore has read the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    daemon: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    socket: PathBuf,
    p11kit: Option<PathBuf>,
    metrics: Option<PathBuf>,
    operator: Option<PathBuf>,
    operators: Vec<Name>,
    watchers: Option<Vec<Name>>,
    users: Option<Vec<Name>>,
    groups: Option<Vec<Name>>,
    p11kit_users: Option<Vec<Name>>,
    p11kit_groups: Option<Vec<Name>>,
    connections: usize,
    user_connections: Option<usize>,
    sessions: usize,
    application_sessions: usize,
    frame: u32,
    operation: usize,
    memory: usize,
    application_memory: usize,
    idle: u64,
    relax: Vec<String>,
}

/// A user or group, by name or number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u32),
    Name(String),
}

impl Default for Table {
    fn default() -> Self {
        Self {
            socket: CALLERS.into(),
            p11kit: None,
            metrics: None,
            operator: None,
            operators: Vec::new(),
            watchers: None,
            users: None,
            groups: None,
            p11kit_users: None,
            p11kit_groups: None,
            connections: 1024,
            user_connections: None,
            sessions: 16 << 10,
            application_sessions: 4 << 10,
            frame: 16 << 20,
            operation: 64 << 20,
            memory: 1 << 30,
            application_memory: 256 << 20,
            idle: 600,
            relax: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads them from the file of the configuration, if there is one.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn load(source: Option<&Path>) -> Result<Self, String> {
        let Some(path) = source else { return Self::read("", Path::new("/")) };
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let beside = path.parent().unwrap_or(Path::new("/"));
        Self::read(&text, beside).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Reads them from the text of a file, whose paths begin in the directory `beside`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn read(text: &str, beside: &Path) -> Result<Self, String> {
        let table = match toml::from_str::<File>(text) {
            Ok(file) => file.daemon,
            // A configuration of SoftHSM2 has another form, and nothing for the daemon.
            Err(_) if !text.contains("[daemon]") && text.parse::<toml::Table>().is_err() => {
                Table::default()
            }
            Err(error) => {
                let why = error.message();
                return Err(format!("[daemon]: {why}; correct or remove this entry"));
            }
        };
        let user_connections =
            table.user_connections.unwrap_or(table.connections - table.connections / 4);
        for (name, most) in [
            ("connections", table.connections),
            ("user_connections", user_connections),
            ("sessions", table.sessions),
            ("application_sessions", table.application_sessions),
        ] {
            if most == 0 {
                return Err(format!("[daemon] {name} = 0 would serve nobody; give 1 or more"));
            }
        }
        if table.frame < LEAST_FRAME {
            return Err(format!("[daemon] frame is too small; give {LEAST_FRAME} or more"));
        }
        for (name, most) in [
            ("operation", table.operation),
            ("memory", table.memory),
            ("application_memory", table.application_memory),
        ] {
            if most < LEAST_KEPT {
                return Err(format!("[daemon] {name} is too small; give {LEAST_KEPT} or more"));
            }
        }
        let known = |name: &String| protections().any(|known| known == name);
        if let Some(unknown) = table.relax.iter().find(|name| !known(name)) {
            let names = protections().collect::<Vec<_>>().join(", ");
            return Err(format!("[daemon] relax: there is no {unknown:?}; there are: {names}"));
        }
        let callers = Callers::named(table.users, table.groups)?;
        let p11kit_callers = match (table.p11kit_users, table.p11kit_groups) {
            (None, None) => callers.clone(),
            (users, groups) => Callers::named(users, groups)?,
        };
        let watchers = match table.watchers {
            Some(users) => Callers::with_root(users)?,
            None => callers.clone(),
        };
        let socket = beside.join(table.socket);
        Ok(Self {
            operator: table
                .operator
                .map_or_else(|| strongroom_operator::beside(&socket), |path| beside.join(path)),
            operators: Callers::with_root(table.operators)?,
            watchers,
            socket,
            p11kit: table.p11kit.map(|path| beside.join(path)),
            metrics: table.metrics.map(|path| beside.join(path)),
            callers,
            p11kit_callers,
            connections: table.connections,
            user_connections,
            sessions: table.sessions,
            application_sessions: table.application_sessions,
            frame: table.frame,
            operation: table.operation,
            memory: table.memory,
            application_memory: table.application_memory,
            idle: (table.idle > 0).then(|| Duration::from_secs(table.idle)),
            relaxed: table.relax,
        })
    }
}

fn numbers(names: Vec<Name>, what: &str, list: &str) -> Result<Vec<u32>, String> {
    let find = |name| match name {
        Name::Number(number) => Ok(number),
        Name::Name(name) => number(&name, list).ok_or_else(|| {
            format!("[daemon]: {list} has no {what} {name}; correct the name, or give its number")
        }),
    };
    names.into_iter().map(find).collect()
}

/// The number of a name in `/etc/passwd` or `/etc/group`: the third field of its line.
fn number(name: &str, list: &str) -> Option<u32> {
    number_in(&fs::read_to_string(list).ok()?, name)
}

fn number_in(list: &str, name: &str) -> Option<u32> {
    let line = list.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(text, Path::new("/etc/strongroom"))
    }

    #[test]
    fn nothing_said_is_the_default() {
        let settings = read("[store]\npath = '/x'\n").unwrap();
        assert_eq!(settings.socket, Path::new(CALLERS));
        assert_eq!(settings.operator, Path::new("/run/strongroom/operator.sock"));
        assert_eq!(settings.operators.users, [0]);
        assert_eq!((settings.connections, settings.sessions), (1024, 16384));
        assert_eq!((settings.user_connections, settings.operation), (768, 64 << 20));
        assert_eq!((settings.memory, settings.application_memory), (1 << 30, 256 << 20));
        assert_eq!([&settings.watchers, &settings.p11kit_callers], [&settings.callers; 2]);
        assert_eq!((settings.application_sessions, settings.frame), (4096, 16 << 20));
        assert_eq!(settings.idle, Some(Duration::from_secs(600)));
        assert!(settings.callers.users.is_empty());
        assert_eq!(read("directories.tokendir = /var/lib/x\n"), Ok(settings), "SoftHSM2's file");
    }

    #[test]
    fn what_is_said_holds() {
        let settings = read(
            "[daemon]\nsocket = 'x.sock'\nusers = [1000, 'root']\ngroups = []\nidle = 0\n\
             connections = 3\nframe = 65536\noperators = [1001]\nwatchers = [1002]\n\
             p11kit_users = [1003]\np11kit_groups = [1004]\n",
        )
        .unwrap();
        let of = |callers: &Callers| (callers.users.clone(), callers.groups.clone());
        assert_eq!(of(&settings.watchers), (vec![0, 1002], vec![]));
        assert_eq!(of(&settings.p11kit_callers), (vec![1003], vec![1004]));
        assert_eq!(settings.user_connections, 3, "of so few, all");
        assert_eq!(of(&settings.operators), (vec![0, 1001], vec![]));
        assert_eq!(settings.operator, Path::new("/etc/strongroom/operator.sock"));
        assert_eq!(settings.socket, Path::new("/etc/strongroom/x.sock"));
        assert_eq!(of(&settings.callers), (vec![1000, 0], vec![]));
        assert_eq!((settings.idle, settings.connections), (None, 3));
        assert_eq!(settings.frame, 65536);
    }

    #[test]
    fn what_is_wrong_is_a_sentence() {
        for (text, word) in [
            ("[daemon]\nsoket = 'x'\n", "soket"),
            ("[ daemon ]\ngroups = []\nsoket = 'x'\n", "soket"),
            ("daemon = { groups = [], soket = 'x' }\n", "soket"),
            ("daemon.groups = 'all'\n", "[daemon]"),
            ("[daemon]\nusers = ['nobody at all']\n", "nobody at all"),
            ("[daemon]\nconnections = 0\n", "connections"),
            ("[daemon]\nuser_connections = 0\n", "user_connections"),
            ("[daemon]\noperation = 65535\n", "operation"),
            ("[daemon]\nmemory = 65535\n", "[daemon] memory"),
            ("[daemon]\napplication_memory = 65535\n", "application_memory"),
            ("[daemon]\nsessions = 0\n", "sessions"),
            ("[daemon]\napplication_sessions = 0\n", "application_sessions"),
            ("[daemon]\nframe = 10\n", "frame"),
            ("[daemon]\nrelax = ['everything']\n", "locked memory"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn numbers_come_from_the_lists() {
        let list = "root:x:0:\nbroken\nstrongroom:x:998:alice,bob\n";
        assert_eq!(number_in(list, "strongroom"), Some(998));
        assert_eq!(number_in(list, "broken"), None);
        assert_eq!(number_in(list, "alice"), None);
    }
}
