//! Where callers come in: a socket for each wire, which the daemon makes, or which systemd has made and
//! hands over.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use strongroom_functions::frame::Refusal;
use strongroom_settings::{Callers, Settings};

use crate::connection;
use crate::handed;
use crate::metrics;
use crate::operator;
use crate::p11kit;
use crate::peer::Peer;
use crate::server::Server;

/// Where callers of one kind come in.
pub(crate) struct Door {
    pub(crate) listener: UnixListener,
    pub(crate) wire: &'static Wire,
    path: PathBuf,
    /// Whether it stays when the daemon stops: callers then wait in it for the next one.
    stays: bool,
}

/// How callers speak.
pub(crate) struct Wire {
    /// What it is called where it is counted, and where systemd hands its socket over.
    pub(crate) label: &'static str,
    /// Whom it is for.
    name: &'static str,
    /// Where its socket is, if there is to be one.
    path: fn(&Settings) -> Option<&Path>,
    /// Who may come.
    pub(crate) callers: fn(&Settings) -> &Callers,
    /// How many may come by it where there are as many connections as there may be.
    pub(crate) beyond: usize,
    pub(crate) serve: fn(&Server, &UnixStream, &Peer),
    /// Turns a caller away.
    pub(crate) refuse: fn(&UnixStream, Refusal),
}

static WIRES: [Wire; 4] = [
    Wire {
        label: "module",
        name: "for the module",
        path: |settings| Some(&settings.socket),
        callers: |settings| &settings.callers,
        beyond: 0,
        serve: connection::run,
        refuse: connection::refuse,
    },
    // It has no word for a refusal but to hang up.
    Wire {
        label: "p11-kit",
        name: "for the client of p11-kit",
        path: |settings| settings.p11kit.as_deref(),
        callers: |settings| &settings.p11kit_callers,
        beyond: 0,
        serve: p11kit::run,
        refuse: |_, _| {},
    },
    // A daemon that is full is one that somebody wants to look at.
    Wire {
        label: "metrics",
        name: "for metrics",
        path: |settings| settings.metrics.as_deref(),
        callers: |settings| &settings.watchers,
        beyond: 4,
        serve: metrics::run,
        refuse: |_, _| {},
    },
    // A daemon that is full can be sealed all the same.
    Wire {
        label: "operator",
        name: "for its operator",
        path: |settings| Some(&settings.operator),
        callers: |settings| &settings.operators,
        beyond: 8,
        serve: operator::run,
        refuse: operator::refuse,
    },
];

impl Door {
    /// Those that are handed over, and one of our own for each other wire that is wanted. Errors are
    /// sentences.
    pub(crate) fn all(settings: &Settings) -> Result<Vec<Self>, String> {
        let mut doors = handed::take()?
            .into_iter()
            .map(|(name, listener)| Self::handed(&name, listener))
            .collect::<Result<Vec<_>, _>>()?;
        for wire in &WIRES {
            if doors.iter().any(|door| door.wire.label == wire.label) {
                continue;
            }
            let Some(path) = (wire.path)(settings) else { continue };
            let opened = listen(path);
            let listener = opened.map_err(|error| format!("{}: {error}", path.display()))?;
            doors.push(Self { listener, wire, path: path.into(), stays: false });
        }
        Ok(doors)
    }

    /// A socket that is there before the daemon is.
    fn handed(name: &str, listener: UnixListener) -> Result<Self, String> {
        let wire = WIRES.iter().find(|wire| wire.label == name).ok_or_else(|| {
            let names = WIRES.each_ref().map(|wire| wire.label).join(", ");
            format!(
                "a socket is handed over by the name {name:?}; FileDescriptorName= of its unit must \
                 be one of: {names}"
            )
        })?;
        let address = listener
            .set_nonblocking(true)
            .and_then(|()| listener.local_addr())
            .map_err(|error| format!("the socket {name:?} that is handed over: {error}"))?;
        let path = address.as_pathname().unwrap_or(Path::new("an address without a path")).into();
        Ok(Self { listener, wire, path, stays: true })
    }

    /// The directory in which the socket is removed when the daemon stops.
    pub(crate) fn own_directory(&self) -> Option<&Path> {
        self.path.parent().filter(|_| !self.stays)
    }

    /// Lets nobody in any more.
    pub(crate) fn close(self) {
        drop(self.listener);
        if !self.stays {
            // Whoever comes now finds nobody, rather than a socket that nobody reads.
            let _ = fs::remove_file(self.path);
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.path.display(), self.wire.name)?;
        if self.stays { f.write_str(", handed over") } else { Ok(()) }
    }
}

/// The socket, in a directory of its own if there is none yet.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    remove_stale(path)?;
    // Everybody may come: the list decides and not the file system, which would tell nobody whom it
    // kept away.
    let before = umask(Mode::from_raw_mode(0o111));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes a socket that a daemon left behind, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    if !about.file_type().is_socket() || about.uid() != geteuid().as_raw() {
        return Err(io::Error::other("there is something else of this name; remove it"));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            Err(io::Error::other("another daemon serves there; stop it, or give a [daemon] socket"))
        }
        Err(_) => fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hands_every_socket_over_by_its_name() {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
        let name = |unit: io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(unit.unwrap().path()).unwrap();
            text.lines().find_map(|line| Some(line.strip_prefix("FileDescriptorName=")?.to_owned()))
        };
        let mut names: Vec<_> = fs::read_dir(units).unwrap().filter_map(name).collect();
        let mut labels = WIRES.each_ref().map(|wire| wire.label);
        names.sort();
        labels.sort_unstable();
        assert_eq!(names, labels);
    }
}
