//! Who may connect to the daemon: the lists of its configuration, whatever that says. Nobody comes in whom
//! no list names, and everybody whom one names; in which order, and how often, is all the same. What is
//! wrong is said in a sentence, and nothing is taken in its place.

use std::fs;
use std::path::Path;

use strongroom_settings::{Callers, Settings};
use toml::{Table, Value};

/// The daemon's own user.
const OWN: u32 = 3;
const ROOT: u32 = 0;

/// Somebody who wants to connect.
struct Somebody {
    user: u32,
    group: u32,
    more: Vec<u32>,
}

/// Who comes (his user, his group, and a further group, of 16 bits each), and the configuration.
pub(crate) fn run(data: &[u8]) {
    let Some((who, text)) = data.split_first_chunk::<6>() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let [user, group, more] =
        [0, 2, 4].map(|at| u32::from(u16::from_le_bytes([who[at], who[at + 1]])));
    let somebody = Somebody { user, group, more: vec![more] };
    let settings = match Settings::read(text, Path::new("/etc/strongroom")) {
        Ok(settings) => settings,
        Err(why) => return assert!(why.starts_with("[daemon]") && why.len() > 20, "{why}"),
    };
    // What is no TOML has another form, which has nothing for the daemon.
    let mut file = text.parse::<Table>().unwrap_or_default();
    let named = Named::all(&file);
    let all =
        [&settings.callers, &settings.p11kit_callers, &settings.watchers, &settings.operators];
    for (callers, named) in all.into_iter().zip(&named) {
        assert_eq!(admitted(callers, &somebody), named.admit(&somebody), "{text}");
    }
    turn_round(&mut file);
    let other = toml::to_string(&file).expect("a file");
    let other =
        Settings::read(&other, Path::new("/etc/strongroom")).expect("the same, turned round");
    let turned = [&other.callers, &other.p11kit_callers, &other.watchers, &other.operators];
    for (callers, turned) in all.into_iter().zip(turned) {
        assert_eq!(admitted(callers, &somebody), admitted(turned, &somebody), "{text}");
    }
}

fn admitted(callers: &Callers, somebody: &Somebody) -> bool {
    callers.admit(OWN, somebody.user, somebody.group, || somebody.more.clone())
}

/// Whom a socket is for, read once more and plainly.
#[derive(Clone)]
struct Named {
    users: Vec<u32>,
    groups: Vec<u32>,
}

impl Named {
    /// Of the sockets for the module, for p11-kit, for metrics, and for operators.
    fn all(file: &Table) -> [Self; 4] {
        let daemon = file.get("daemon").and_then(Value::as_table);
        let list = |name: &str, numbers: &str| {
            let names = daemon?.get(name)?.as_array().expect("a list");
            Some(names.iter().map(|name| number(name, numbers)).collect::<Vec<_>>())
        };
        let (users, groups) =
            (|name: &str| list(name, "/etc/passwd"), |name: &str| list(name, "/etc/group"));
        let strongroom = || numbers_of("strongroom", "/etc/group");
        let named = |of_users: &str, of_groups: &str| Self {
            users: users(of_users).unwrap_or_default(),
            groups: groups(of_groups).unwrap_or_else(strongroom),
        };
        let with_root =
            |users: Vec<u32>| Self { users: [vec![ROOT], users].concat(), groups: Vec::new() };
        let module = named("users", "groups");
        let p11kit = match (users("p11kit_users"), groups("p11kit_groups")) {
            (None, None) => module.clone(),
            _ => named("p11kit_users", "p11kit_groups"),
        };
        let watchers = users("watchers").map_or_else(|| module.clone(), with_root);
        let operators = with_root(users("operators").unwrap_or_default());
        [module, p11kit, watchers, operators]
    }

    fn admit(&self, Somebody { user, group, more }: &Somebody) -> bool {
        let mut groups = [group].into_iter().chain(more);
        *user == OWN || self.users.contains(user) || groups.any(|group| self.groups.contains(group))
    }
}

/// A number, or that of a name.
fn number(name: &Value, list: &str) -> u32 {
    match name {
        Value::Integer(number) => u32::try_from(*number).expect("a number that somebody can have"),
        Value::String(name) => numbers_of(name, list)[0],
        _ => panic!("neither a name nor a number: {name}"),
    }
}

/// The number of a name, if there is such a name.
fn numbers_of(name: &str, list: &str) -> Vec<u32> {
    let list = fs::read_to_string(list).unwrap();
    let line = list.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split(':').nth(1)?.parse().ok()).into_iter().collect()
}

/// Each list of the daemon's from behind, and twice.
fn turn_round(file: &mut Table) {
    let daemon = file.get_mut("daemon").and_then(Value::as_table_mut);
    let lists = daemon.into_iter().flatten().filter_map(|(_, value)| value.as_array_mut());
    for list in lists {
        let turned: Vec<_> = list.iter().rev().cloned().collect();
        list.extend(turned);
        list.reverse();
    }
}
