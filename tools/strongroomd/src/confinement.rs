//! What the daemon goes on being able to do once its sockets are there: the one place that knows which
//! files it uses afterwards.

use std::path::{Path, PathBuf};

use strongroom_confine::Confinement;
use strongroom_heap::Heap;
use strongroom_settings::{SECRET_MEMORY, Settings};
use strongroom_token::{Config, Store};

use crate::door::Door;
use crate::log::{Level, say};
use crate::server::Server;

/// Says who calls, and how much memory is left.
const KERNEL: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

/// Has keys lie where nobody else reads them, and says if they do not, and what that costs. No key is
/// in memory yet.
pub(crate) fn keep_keys_secret(heap: Heap, settings: &Settings) {
    let why = match settings.relaxed.iter().any(|name| name == SECRET_MEMORY) {
        true => {
            heap.relax();
            Some("the configuration relaxes it".into())
        }
        false => heap.shortfall(),
    };
    let Some(why) = why else { return strongroom_token::keep_secrets_on_heap() };
    let cost = "whoever may look into the process, as root may, can read its keys";
    say(Level::Warning, &format!("not protected by {SECRET_MEMORY}: {why}; so {cost}"));
}

/// Locks the process in, and says what does not hold and what that costs.
pub(crate) fn enter(server: &Server, doors: &[Door]) {
    let sockets = doors.iter().filter_map(Door::own_directory);
    for shortfall in files(&server.store, &server.config, &server.settings, sockets).apply() {
        say(Level::Warning, &format!("not protected by {shortfall}"));
    }
}

/// Directories, where files come and go.
fn files<'a>(
    store: &'a Store,
    config: &Config,
    settings: &Settings,
    sockets: impl Iterator<Item = &'a Path>,
) -> Confinement {
    Confinement {
        writable: store.places().chain(sockets).map(Path::to_path_buf).collect(),
        readable: KERNEL.iter().map(PathBuf::from).chain(config.source.clone()).collect(),
        relaxed: settings.relaxed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_store_the_seal_key_and_the_sockets_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("strongroom.toml");
        fs::write(&source, "[store]\npath = 'tokens'\n[seal]\nfile = 'key/seal.key'\n").unwrap();
        let config = Config::load(&source).unwrap();
        let store = Store::open(&config).unwrap();
        let settings = Settings::read("[daemon]\nrelax = ['seccomp']\n", dir.path()).unwrap();
        let sockets = ["/run/strongroom", "/run/p11kit"].map(Path::new);
        let confinement = files(&store, &config, &settings, sockets.into_iter());
        let own = [dir.path().join("tokens"), dir.path().join("key")];
        assert_eq!(confinement.writable, [&own[..], &sockets.map(PathBuf::from)].concat());
        assert_eq!(confinement.readable, ["/proc".into(), "/sys/fs/cgroup".into(), source]);
        assert_eq!(confinement.relaxed, settings.relaxed);
    }
}
