//! Who is compared, and how each is started: in a process of its own, which lives through all
//! rounds and is asked row by row.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde::Serialize;

use crate::{Result, subject};

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// AWS-LC, called directly.
    Bare,
    /// Strongroom in the process that calls.
    Strongroom,
    /// The same module as the client of `strongroomd`.
    Daemon,
    /// Debian's SoftHSM2.
    SoftHsm2,
    /// Kryoptic.
    Kryoptic,
}

/// What the machine has of them.
#[derive(Clone, clap::Args)]
pub(crate) struct Programs {
    /// The module to measure
    #[arg(long)]
    module: PathBuf,
    /// The daemon
    #[arg(long)]
    daemon: PathBuf,
    /// SoftHSM2's module
    #[arg(long, default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    softhsm2: PathBuf,
    /// Kryoptic's module, to compare with it too
    #[arg(long)]
    kryoptic: Option<PathBuf>,
}

impl Programs {
    /// Those that load a module.
    pub(crate) fn sides(&self) -> Vec<Side> {
        let mut sides = vec![Side::Strongroom, Side::Daemon, Side::SoftHsm2];
        sides.extend(self.kryoptic.as_ref().map(|_| Side::Kryoptic));
        sides
    }

    fn module(&self, side: Side) -> Result<&Path> {
        match side {
            Side::Bare => Err("the bare library is no module".into()),
            Side::Strongroom | Side::Daemon => Ok(&self.module),
            Side::SoftHsm2 => Ok(&self.softhsm2),
            Side::Kryoptic => Ok(self.kryoptic.as_deref().ok_or("there is no Kryoptic")?),
        }
    }
}

/// A token of a side, with the daemon that serves it, if one does.
pub(crate) struct Place {
    pub(crate) side: Side,
    objects: u32,
    module: PathBuf,
    folder: PathBuf,
    daemon: Option<Daemon>,
}

impl Place {
    /// Makes a token with so many objects. The daemon serves the token of the module itself.
    pub(crate) fn make(
        programs: &Programs,
        side: Side,
        objects: u32,
        folder: &Path,
    ) -> Result<Self> {
        let shared = if side == Side::Daemon { Side::Strongroom } else { side };
        let folder = folder.join(format!("{shared:?}-{objects}"));
        let module = programs.module(side)?.canonicalize()?;
        if side == Side::Daemon {
            let daemon = Some(Daemon::start(&programs.daemon, &folder)?);
            return Ok(Self { side, objects, module, folder, daemon });
        }
        configure(&folder)?;
        let place = Self { side, objects, module, folder, daemon: None };
        let status = place.command("fill")?.status()?;
        if !status.success() {
            return Err(format!("{side:?} could not be given {objects} objects").into());
        }
        Ok(place)
    }

    /// Starts this program anew, with the side's module.
    pub(crate) fn command(&self, what: &str) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(what).arg("--module").arg(&self.module);
        command.arg("--objects").arg(self.objects.to_string());
        command.env("STRONGROOM_CONF", self.folder.join("strongroom.toml"));
        command.env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"));
        command.env("KRYOPTIC_CONF", self.folder.join("kryoptic.toml"));
        if let Some(daemon) = &self.daemon {
            command.env("STRONGROOM_SOCKET", &daemon.socket);
        }
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// The module of the side.
    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    /// A process that uses the token.
    pub(crate) fn subject(&self) -> Result<Subject> {
        Subject::start(self.side, self.command("subject")?)
    }

    /// From the start of a process to its first signature, in seconds.
    pub(crate) fn cold(&self) -> Result<f64> {
        let output = self.command("cold")?.stderr(Stdio::inherit()).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// The memory of the process that has the keys, in bytes.
    pub(crate) fn memory(&self, subject: &mut Subject) -> Result<f64> {
        let own = subject.ask(subject::MEMORY)?;
        Ok(self.daemon_memory()?.unwrap_or(own))
    }

    /// The memory of the daemon, if one serves, in bytes.
    pub(crate) fn daemon_memory(&self) -> Result<Option<f64>> {
        self.daemon.as_ref().map(|daemon| subject::memory(daemon.child.id())).transpose()
    }
}

/// A process that does what it is told.
pub(crate) struct Subject {
    pub(crate) side: Side,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Subject {
    /// The bare library in a process.
    pub(crate) fn bare() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("library");
        Self::start(Side::Bare, command)
    }

    fn start(side: Side, mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take().ok_or("no pipe")?;
        let from = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self { side, child, to, from })
    }

    /// What a call of a row costs.
    pub(crate) fn cost(&mut self, row: &str, threads: u32, milliseconds: u64) -> Result<f64> {
        self.ask(&format!("{row}\t{threads}\t{milliseconds}"))
    }

    fn ask(&mut self, line: &str) -> Result<f64> {
        writeln!(self.to, "{line}")?;
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        match answer.trim_end().split_once('\t') {
            Some(("ok", figure)) => Ok(figure.parse()?),
            Some(("no", why)) => Err(why.to_owned().into()),
            _ => Err(format!("{:?} has ended", self.side).into()),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // One that has ended already is none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that runs.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        /// No daemon takes so long to start.
        const PATIENCE: Duration = Duration::from_secs(60);
        let socket = socket(folder);
        fs::create_dir_all(sockets(folder))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(folder.join("strongroom.toml")).stdin(Stdio::null());
        let daemon = Self { child: command.spawn()?, socket };
        let start = Instant::now();
        while UnixStream::connect(&daemon.socket).is_err() {
            if start.elapsed() > PATIENCE {
                return Err("the daemon does not answer".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.socket.parent().map(fs::remove_dir_all);
    }
}

fn socket(folder: &Path) -> PathBuf {
    sockets(folder).join("strongroom.sock")
}

/// Where a daemon's sockets are, the operator's too: each daemon's in a place of its own, whose path
/// must be short, as that of a store need not be.
fn sockets(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    env::temp_dir().join(format!("strongroom-bench-{}-{name}", std::process::id()))
}

/// So many sessions may one application have at the daemon, for a soak to have 10,000.
const SESSIONS: u32 = 16_384;

/// An empty store, as every module is told of its own.
fn configure(folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let tokens = folder.join("tokens");
    fs::create_dir_all(&tokens)?;
    let tokens = tokens.canonicalize()?;
    let files = [
        (
            "strongroom.toml",
            format!(
                "[store]\npath = \"store\"\n[seal]\nfile = \"seal.key\"\n\
                 [daemon]\nsocket = {:?}\napplication_sessions = {SESSIONS}\n",
                socket(folder)
            ),
        ),
        (
            "softhsm2.conf",
            format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
        ),
        (
            "kryoptic.toml",
            format!(
                "[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = {:?}\n",
                tokens.join("token.sql")
            ),
        ),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
