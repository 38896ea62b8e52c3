//! Configurations: `strongroom.toml`, `softhsm2.conf`, and the variable that says what is logged. What
//! is refused is named, and what is taken says where the store is.

use std::fs;
use std::path::Path;

use strongroom_keystore::config::{Config, ConfigError, Log, Seal};

use crate::world::scratch;

/// What reads a file.
type Load = fn(&Path) -> Result<Config, ConfigError>;

/// The first byte says which file; the rest is what it has.
pub(crate) fn run(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let (name, load): (_, Load) = match which % 2 {
        0 => ("strongroom.toml", Config::load),
        _ => ("softhsm2.conf", Config::load_softhsm2),
    };
    scratch(|dir| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        match load(&path) {
            Ok(config) => taken(&config, &path),
            Err(error) => assert!(error.to_string().contains(path.to_str().unwrap())),
        }
        assert_eq!(load(&path).ok(), load(&path).ok());
    });
    let _ = str::from_utf8(text).map(Log::parse);
}

fn taken(config: &Config, path: &Path) {
    assert_eq!(config.source.as_deref(), Some(path));
    assert!(config.socket.is_some() || config.store.is_absolute());
    assert!(config.umask <= 0o777 && config.pin_lockout != Some(0));
    if let Seal::File(seal) | Seal::Operator { locks: seal, .. } = &config.seal {
        assert!(config.socket.is_some() || seal.is_absolute());
    }
}
