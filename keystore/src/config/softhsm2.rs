//! The configuration of SoftHSM2, for who puts this module in its place.
//!
//! `softhsm2.conf` has a line `name = value` for each setting; `#` begins a comment. What SoftHSM2
//! passes over with a warning, a name or a value that it does not know, is passed over here too,
//! and remarked on; where it does not start at all, for a level of the log or a back end that is
//! none, the file is refused here too.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::{Config, ConfigError, KeyPolicy, Level, Log, Mechanisms, Seal, Target};

/// Where tokens lie when the file does not say.
const TOKENS: &str = "/var/lib/softhsm/tokens";
/// Files are for their owner alone when the file does not say.
const UMASK: u32 = 0o077;
/// The seal key: a name that tells a stranger in that directory what it is.
const SEAL_FILE: &str = "strongroom-seal.key";

/// Reads a `softhsm2.conf`.
pub(super) fn load(path: &Path) -> Result<Config, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable(path.to_owned(), error);
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let path = std::path::absolute(path).map_err(unreadable)?;
    let mut config = Config {
        source: Some(path.clone()),
        legacy: true,
        compatible: true,
        policy: KeyPolicy::Compatible,
        child_inherits: true,
        // As SoftHSM2 without these lines.
        log: Log { level: Level::Info, target: Target::Journal },
        umask: UMASK,
        ..Config::plain(TOKENS.into(), Seal::None)
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match set(&mut config, line) {
            Ok(()) => {}
            Err(Fault::PassedOver(remark)) => {
                config.remarks.push(format!("{}:{number}: {remark}", path.display()));
            }
            Err(Fault::Refused(why)) => {
                return Err(ConfigError::Invalid { path, line: Some(number), why });
            }
        }
    }
    config.store = std::path::absolute(&config.store).map_err(unreadable)?;
    config.seal = Seal::File(seal_file(&path, &config.store));
    Ok(config)
}

/// What is wrong with a line.
enum Fault {
    /// It is as if it were not there.
    PassedOver(String),
    /// Nothing starts with it.
    Refused(String),
}

/// Takes a setting over; or says why not.
fn set(config: &mut Config, line: &str) -> Result<(), Fault> {
    let Some((name, value)) = line.split_once('=') else {
        return Err(Fault::PassedOver("this line sets nothing, and is passed over".into()));
    };
    let (name, value) = (name.trim(), value.trim());
    if value.is_empty() {
        return Err(Fault::PassedOver(format!("{name} has no value; the line is passed over")));
    }
    let done = match name {
        "directories.tokendir" => replace(&mut config.store, Some(value.into())),
        "objectstore.backend" => matches!(value, "file" | "db").then_some(()),
        "objectstore.umask" => replace(&mut config.umask, umask(value)),
        "log.level" => replace(&mut config.log.level, level(value)),
        "log.file" => replace(&mut config.log.target, Some(Target::File(value.into()))),
        "slots.removable" => replace(&mut config.removable, truth(value)),
        "slots.mechanisms" => replace(&mut config.mechanisms, Some(mechanisms(value))),
        "library.reset_on_fork" => replace(&mut config.child_inherits, truth(value).map(|b| !b)),
        _ => return Err(Fault::PassedOver(format!("{name} is not known, and is passed over"))),
    };
    done.ok_or_else(|| match name {
        "objectstore.backend" | "log.level" => {
            Fault::Refused(format!("{name} can not be {value:?}; correct or remove this line"))
        }
        _ => Fault::PassedOver(format!("{name} can not be {value:?}; the line is passed over")),
    })
}

fn replace<T>(setting: &mut T, value: Option<T>) -> Option<()> {
    *setting = value?;
    Some(())
}

fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn umask(value: &str) -> Option<u32> {
    u32::from_str_radix(value, 8).ok().filter(|mask| *mask <= 0o777)
}

fn level(value: &str) -> Option<Level> {
    match value {
        "ERROR" => Some(Level::Error),
        "WARNING" => Some(Level::Warning),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        _ => None,
    }
}

/// `ALL`, a list of names, or one that begins with `-`: all but these.
fn mechanisms(value: &str) -> Mechanisms {
    let names = |list: &str| {
        list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    match value.strip_prefix('-') {
        _ if value == "ALL" => Mechanisms::All,
        Some(list) => Mechanisms::AllBut(names(list)),
        None => Mechanisms::Only(names(value)),
    }
}

/// Where the seal key is, or will be. Apart from the store if possible: beside the configuration,
/// if only its owner writes there and this process may; else in the store.
fn seal_file(config: &Path, store: &Path) -> PathBuf {
    let in_store = store.join(SEAL_FILE);
    let Some(dir) = config.parent() else { return in_store };
    let beside = dir.join(SEAL_FILE);
    // A key in a directory where others write may be theirs.
    let ours = fs::metadata(dir).is_ok_and(|about| {
        about.mode() & 0o022 == 0 && [0, geteuid().as_raw()].contains(&about.uid())
    });
    let writable = || {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        accessat(CWD, dir, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    };
    // One that exists is the one. Only where none is, the place of a new one is chosen.
    if ours && (beside.exists() || (!in_store.exists() && writable())) { beside } else { in_store }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    fn load(text: &str) -> Config {
        let dir = Scratch::new();
        let path = dir.path().join("softhsm2.conf");
        fs::write(&path, text).unwrap();
        super::load(&path).unwrap()
    }

    #[test]
    fn every_setting_holds() {
        let config = load(
            "# SoftHSM v2 configuration file\n\ndirectories.tokendir = /a/b/ # here\n\
             objectstore.backend=db\nobjectstore.umask = 0027\n\
             log.level = ERROR\nlog.file = /c\nslots.removable = true\n\
             slots.mechanisms = CKM_RSA_X_509, CKM_RSA_PKCS\nlibrary.reset_on_fork = true\n",
        );
        let names = vec!["CKM_RSA_X_509".to_owned(), "CKM_RSA_PKCS".to_owned()];
        let expected = Config {
            source: config.source.clone(),
            legacy: true,
            compatible: true,
            policy: KeyPolicy::Compatible,
            removable: true,
            mechanisms: Mechanisms::Only(names),
            child_inherits: false,
            umask: 0o27,
            log: Log { level: Level::Error, target: Target::File("/c".into()) },
            ..Config::plain("/a/b/".into(), config.seal.clone())
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_softhsm2_passes_over_is_remarked_on() {
        let config = load(
            "slots.removable = maybe\nlog.level =\nfoo = bar\nnonsense\n\
             objectstore.umask = 9\nslots.mechanisms = -CKM_MD5,CKM_DES_ECB\n",
        );
        let expected = Config {
            source: config.source.clone(),
            legacy: true,
            compatible: true,
            policy: KeyPolicy::Compatible,
            child_inherits: config.child_inherits,
            umask: UMASK,
            log: Log { level: Level::Info, target: Target::Journal },
            mechanisms: Mechanisms::AllBut(vec!["CKM_MD5".into(), "CKM_DES_ECB".into()]),
            remarks: config.remarks.clone(),
            ..Config::plain(TOKENS.into(), config.seal.clone())
        };
        assert_eq!(config, expected);
        let lines: Vec<_> =
            config.remarks.iter().filter_map(|remark| remark.split(':').nth(1)).collect();
        assert_eq!(lines, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn what_softhsm2_does_not_start_with_is_refused() {
        for line in ["log.level = LOUD", "objectstore.backend = tape"] {
            let dir = Scratch::new();
            let path = dir.path().join("softhsm2.conf");
            fs::write(&path, format!("# first\n{line}\n")).unwrap();
            let refused = super::load(&path).unwrap_err().to_string();
            assert!(refused.contains("softhsm2.conf:2: "), "{refused}");
        }
    }

    #[test]
    fn the_seal_key_has_one_place() {
        let dir = Scratch::new();
        let (beside, store) = (dir.path().join("conf"), dir.path().join("tokens"));
        fs::create_dir(&beside).unwrap();
        fs::create_dir(&store).unwrap();
        let mode = |mode| {
            fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).unwrap();
        };
        let place = || seal_file(&beside.join("softhsm2.conf"), &store);
        mode(0o700);
        assert_eq!(place(), beside.join(SEAL_FILE));
        mode(0o777);
        assert_eq!(place(), store.join(SEAL_FILE), "others could put a key there");
        mode(0o700);
        fs::write(store.join(SEAL_FILE), "").unwrap();
        assert_eq!(place(), store.join(SEAL_FILE), "there already");
        fs::write(beside.join(SEAL_FILE), "").unwrap();
        assert_eq!(place(), beside.join(SEAL_FILE));
    }
}
