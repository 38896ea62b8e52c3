//! What a confined process is refused, each in a child of its own: this program, started again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "what is to be refused has no safe wrapper")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::{env, io, thread};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities};
use strongroom_confine::Confinement;

/// Names the trial, and the directory that is the child's own.
const TRIAL: &str = "CONFINED_TRIAL";
const STATE: &str = "CONFINED_STATE";
/// The child is not confined.
const FREE: &str = "CONFINED_NOT";

/// What a child tries. It must be refused, or be possible as ever.
struct Trial {
    name: &'static str,
    refused: bool,
    attempt: fn(&Path) -> io::Result<()>,
}

static TRIALS: &[Trial] = &[
    refused("reads the passwords", |_| File::open("/etc/shadow").map(drop)),
    refused("reads a file that all may read", |_| File::open("/etc/passwd").map(drop)),
    refused("writes a file elsewhere", |state| {
        fs::write(state.parent().unwrap().join("elsewhere"), "x")
    }),
    refused("starts a program", |_| Command::new("/bin/true").status().map(drop)),
    refused("connects over TCP", |_| TcpStream::connect("127.0.0.1:9").map(drop)),
    refused("listens on TCP", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    refused("sends datagrams", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    refused("looks at the memory of its parent", |_| {
        File::open(format!("/proc/{}/mem", std::os::unix::process::parent_id())).map(drop)
    }),
    refused("traces its parent", |_| trace_the_parent()),
    refused("has memory that is written and run", |_| memory_that_is_written_and_run()),
    refused("makes code of what it wrote", |_| memory_that_becomes_code()),
    refused("runs code out of a file of its own", |state| {
        fs::write(state.join("code"), [0xc3; 4096])?;
        let file = File::open(state.join("code"))?;
        let readable = ProtFlags::READ | ProtFlags::EXEC;
        // SAFETY: new memory, which nobody uses.
        unsafe { mmap(null_mut(), 4096, readable, MapFlags::PRIVATE, &file, 0) }?;
        Ok(())
    }),
    refused("makes a call by the number of x32", |_| {
        // SAFETY: asks for the number of the process, if for anything.
        match unsafe { libc::syscall(libc::SYS_getpid | 0x4000_0000) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }),
    refused("makes a child process", |_| make_a_child()),
    possible("writes its own files", |state| {
        fs::write(state.join("own"), "content")?;
        fs::rename(state.join("own"), state.join("renamed"))?;
        fs::read(state.join("renamed")).map(drop)
    }),
    possible("listens on a Unix socket", |state| {
        let listener = UnixListener::bind(state.join("socket"))?;
        let _client = UnixStream::connect(state.join("socket"))?;
        listener.accept().map(drop)
    }),
    possible("starts threads", |_| {
        thread::Builder::new().spawn(|| ())?.join().map_err(|_| ErrorKind::Other.into())
    }),
    possible("takes memory", |_| {
        let memory = vec![1_u8; 32 << 20];
        if memory.iter().all(|byte| *byte == 1) { Ok(()) } else { Err(ErrorKind::Other.into()) }
    }),
    possible("asks for random bytes", |_| {
        let mut bytes = [0; 16];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(())
    }),
];

const fn refused(name: &'static str, attempt: fn(&Path) -> io::Result<()>) -> Trial {
    Trial { name, refused: true, attempt }
}

const fn possible(name: &'static str, attempt: fn(&Path) -> io::Result<()>) -> Trial {
    Trial { name, refused: false, attempt }
}

fn main() {
    if let Ok(name) = env::var(TRIAL) {
        return child(&name);
    }
    // What runs tests asks for their names first: this is one, and none that is left out.
    if env::args().any(|argument| argument == "--list") {
        if !env::args().any(|argument| argument == "--ignored") {
            println!("every_trial: test");
        }
        return;
    }
    let trials = TRIALS.iter().map(|trial| trial.name);
    for name in trials.clone().chain(["is bound", "is relaxed", "has another thread"]) {
        succeed(name, false);
    }
    // Root is refused none of it otherwise, so it is the confinement that refuses.
    if rustix::process::geteuid().is_root() {
        trials.for_each(|name| succeed(name, true));
    }
    a_crash_leaves_no_core_dump();
    println!("{} trials and a crash", TRIALS.len() + 3);
}

fn succeed(name: &str, free: bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = start(name, dir.path());
    if free {
        command.env(FREE, "1");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {} {said}", output.status);
}

/// A child with a directory of its own.
fn start(name: &str, dir: &Path) -> Command {
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(TRIAL, name).env(STATE, &state).current_dir(&state).stderr(Stdio::piped());
    command
}

fn child(name: &str) {
    let state = env::var(STATE).unwrap();
    let state = Path::new(&state);
    let confinement = Confinement { writable: vec![state.to_owned()], ..Confinement::default() };
    if name == "has another thread" {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || stopped.recv());
        let shortfalls = confinement.apply();
        assert_eq!(shortfalls.len(), 1, "{shortfalls:?}");
        let said = shortfalls.iter().map(ToString::to_string).collect::<String>();
        assert!(said.starts_with("one thread: there are 2 threads; so "), "{said}");
        drop(stop);
        return drop(other.join());
    }
    if name == "is relaxed" {
        return is_relaxed(confinement);
    }
    if env::var_os(FREE).is_some() {
        let trial = TRIALS.iter().find(|trial| trial.name == name).unwrap();
        let refused = (trial.attempt)(state).err().map(|error| error.kind());
        return assert_ne!(refused, Some(ErrorKind::PermissionDenied), "{name}");
    }
    let unlimited = Rlimit { current: None, maximum: None };
    // Where the limit is lower it stays so, and shows less.
    let _ = setrlimit(Resource::Core, unlimited);
    let shortfalls = confinement.apply();
    assert!(shortfalls.is_empty(), "{shortfalls:?}");
    match TRIALS.iter().find(|trial| trial.name == name) {
        Some(trial) => {
            let outcome = (trial.attempt)(state);
            assert_eq!(outcome.is_err(), trial.refused, "{name}: {outcome:?}");
            if let Err(error) = outcome {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}: {error}");
            }
        }
        None if name == "is bound" => is_bound(),
        None => std::process::abort(),
    }
}

/// What somebody wants to go without is told, and possible; the rest holds.
fn is_relaxed(mut confinement: Confinement) {
    confinement.relaxed = vec!["Landlock".into()];
    let said: Vec<_> = confinement.apply().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said.concat().starts_with("Landlock: the configuration relaxes it; so "), "{said:?}");
    File::open("/etc/passwd").unwrap();
    assert!(UdpSocket::bind("127.0.0.1:0").is_err());
}

/// What the process says of itself.
fn is_bound() {
    assert!(rustix::thread::no_new_privs().unwrap());
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let left = capabilities(None).unwrap();
    let kept = CapabilitySet::IPC_LOCK;
    assert!(kept.contains(left.effective) && kept.contains(left.permitted), "{left:?}");
    assert!(left.inheritable.is_empty());
    assert_eq!(getrlimit(Resource::Core).current, Some(0));
}

fn a_crash_leaves_no_core_dump() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = start("crashes", dir.path());
    let status = command.status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    assert!(!status.core_dumped());
    let left = fs::read_dir(command.get_current_dir().unwrap()).unwrap();
    assert_eq!(left.count(), 0, "no file is left");
}

fn memory_that_is_written_and_run() -> io::Result<()> {
    let both = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
    // SAFETY: new memory, which nobody uses.
    unsafe { mmap_anonymous(null_mut(), 4096, both, MapFlags::PRIVATE) }?;
    Ok(())
}

fn memory_that_becomes_code() -> io::Result<()> {
    let written = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: new memory, which nobody uses.
    let memory = unsafe { mmap_anonymous(null_mut(), 4096, written, MapFlags::PRIVATE) }?;
    // SAFETY: the memory is ours, and nobody uses it.
    unsafe { mprotect(memory, 4096, MprotectFlags::READ | MprotectFlags::EXEC) }?;
    Ok(())
}

fn make_a_child() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: ends the child at once; nothing is used afterwards.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

fn trace_the_parent() -> io::Result<()> {
    let parent = libc::pid_t::try_from(std::os::unix::process::parent_id()).unwrap();
    // SAFETY: attaching touches no memory of ours.
    match unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
