//! The connections to a daemon that has the keys.
//!
//! A thread that calls takes a connection that nobody uses, or makes one: so threads do not wait for
//! each other, and there are as many connections as calls at once. All of them are for one
//! application at the daemon, which the first one founds and the others join by its secret.
//!
//! When the daemon goes away, the next call founds an application of the next turn. What then
//! becomes of sessions is [`Remote`](strongroom_functions::Remote)'s to say.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use strongroom_functions::frame::{
    self, FIRST, Hello, Inbox, Refusal, Terms, VERSION, Welcome, Wish,
};
use strongroom_functions::{Broken, Transport, Waiting, Watch};
use strongroom_types::{Bytes, Error, Result};

/// How many connections are kept that nobody uses.
const MOST_IDLE: usize = 16;

/// How long a daemon may be away before a call fails for it: some moments, as when it is restarted.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// The most bytes of an answer. The daemon is trusted, but not to be free of faults.
const MOST_ANSWER: usize = 1 << 30;

/// The connections of a process.
pub(crate) struct Pool {
    path: PathBuf,
    /// The turn of the application that the connections are for.
    turn: AtomicU64,
    /// The most bytes that a request to it may have.
    most: AtomicUsize,
    state: Mutex<State>,
    /// A connection came back, or went.
    changed: Condvar,
    /// Held by the one who looks for the daemon: whether it was looked for in vain before. Then one
    /// look is enough, or a host that ends would wait for each session that it closes.
    seeking: Mutex<bool>,
    watch: Watch,
}

struct State {
    terms: Terms,
    idle: Vec<Connection>,
    /// All there are, those in use among them.
    open: usize,
    /// How many threads wait for one of them: to wake nobody costs a system call too.
    waiting: usize,
}

/// The most bytes of a request.
fn most(terms: &Terms) -> usize {
    usize::try_from(terms.most).unwrap_or(usize::MAX)
}

/// Why there is no connection.
enum Trouble {
    Refused(Refusal),
    Away(io::Error),
}

impl Pool {
    /// Founds an application at the daemon behind a socket.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (connection, terms) = Connection::open(path, Wish::Found(0))
            .map_err(|trouble| trouble.error(path, Error::FunctionFailed))?;
        Ok(Self {
            path: path.to_owned(),
            turn: AtomicU64::new(0),
            most: AtomicUsize::new(most(&terms)),
            state: Mutex::new(State { terms, idle: vec![connection], open: 1, waiting: 0 }),
            changed: Condvar::new(),
            seeking: Mutex::new(false),
            watch: Watch::default(),
        })
    }

    /// Whether the edge is to behave as SoftHSM2's.
    pub(crate) fn compatible(&self) -> bool {
        self.state().terms.compatible
    }

    /// A connection to the application of a turn, for a request of this length.
    fn take(&self, turn: u64, len: usize) -> core::result::Result<Connection, Broken> {
        let mut state = self.state();
        let most = most(&state.terms);
        if len > most {
            let why = || format!("the daemon takes requests of {most} bytes at most");
            return Err(Broken::Refused(Error::DataLenRange.because(why)));
        }
        loop {
            if self.turn() != turn {
                return Err(Broken::Lost);
            }
            if let Some(connection) = state.idle.pop() {
                return Ok(connection);
            }
            let secret = state.terms.secret;
            state.open += 1;
            drop(state);
            let trouble = match Connection::open(&self.path, Wish::Join(secret)) {
                Ok((connection, _)) => return Ok(connection),
                Err(trouble) => trouble,
            };
            state = self.state();
            state.open = state.open.saturating_sub(1);
            match trouble {
                // Others of this process have some, and give them back.
                Trouble::Refused(Refusal::Full) if state.open > 0 => {
                    state.waiting += 1;
                    let waited = self.changed.wait_timeout(state, PATIENCE);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    state.waiting -= 1;
                }
                Trouble::Refused(Refusal::Application) | Trouble::Away(_) => {
                    drop(state);
                    return Err(self.seek(turn));
                }
                Trouble::Refused(_) => {
                    return Err(Broken::Refused(trouble.error(&self.path, Error::DeviceError)));
                }
            }
        }
    }

    /// Looks for the daemon, once for all threads, until it is there again: the application of this
    /// turn may be lost, and then another takes its place.
    fn seek(&self, turn: u64) -> Broken {
        let mut in_vain = self.seeking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn() != turn {
            return Broken::Lost;
        }
        let Ok(next) = u16::try_from(turn + 1) else {
            return Broken::Refused(Error::DeviceError);
        };
        let secret = self.state().terms.secret;
        let began = Instant::now();
        loop {
            let trouble = match self.again(secret, next) {
                Ok(()) => {
                    *in_vain = false;
                    return Broken::Lost;
                }
                Err(trouble) => trouble,
            };
            let away = matches!(trouble, Trouble::Away(_) | Trouble::Refused(Refusal::Full));
            if !away || *in_vain || began.elapsed() > PATIENCE {
                *in_vain = true;
                return Broken::Refused(trouble.error(&self.path, Error::DeviceError));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Joins the application if it is still there, and founds the next if it is not.
    fn again(&self, secret: frame::Secret, next: u16) -> core::result::Result<(), Trouble> {
        match Connection::open(&self.path, Wish::Join(secret)) {
            Ok((connection, _)) => {
                let mut state = self.state();
                state.open += 1;
                state.idle.push(connection);
                return Ok(());
            }
            Err(Trouble::Refused(Refusal::Application)) => {}
            Err(trouble) => return Err(trouble),
        }
        let (connection, terms) = Connection::open(&self.path, Wish::Found(next))?;
        let mut state = self.state();
        let waiting = state.waiting;
        self.most.store(most(&terms), Ordering::Relaxed);
        *state = State { terms, idle: vec![connection], open: 1, waiting };
        self.turn.store(next.into(), Ordering::Release);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes a connection back. One for an application that is lost is of no use.
    fn give_back(&self, turn: u64, connection: Connection) {
        let mut state = self.state();
        if self.turn() == turn {
            if state.idle.len() < MOST_IDLE {
                state.idle.push(connection);
            } else {
                state.open = state.open.saturating_sub(1);
            }
        }
        self.wake_one(state);
    }

    /// A connection broke, so those that nobody uses may have as well.
    fn broke(&self, turn: u64) {
        let mut state = self.state();
        if self.turn() == turn {
            let gone = state.idle.len() + 1;
            state.idle.clear();
            state.open = state.open.saturating_sub(gone);
        }
        self.wake_one(state);
    }

    fn wake_one(&self, state: MutexGuard<'_, State>) {
        let anybody = state.waiting > 0;
        drop(state);
        if anybody {
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Pool {
    fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        let mut connection = self.take(turn, request.len())?;
        if frame::send(&mut connection.socket, request).is_err() {
            self.broke(turn);
            return Err(Broken::Lost);
        }
        match connection.receive(&self.watch) {
            Ok(answer) => {
                self.give_back(turn, connection);
                Ok(answer)
            }
            Err(error) => {
                drop(connection);
                self.broke(turn);
                Err(match error.kind() {
                    io::ErrorKind::OutOfMemory => Broken::Refused(Error::HostMemory),
                    _ => Broken::Unanswered,
                })
            }
        }
    }
}

impl Trouble {
    /// What an application sees of it; the log says more.
    fn error(&self, path: &Path, away: Error) -> Error {
        let path = path.display();
        match self {
            Self::Refused(Refusal::Version) => Error::FunctionFailed
                .because(|| format!("the daemon at {path} is of another version than this module")),
            Self::Refused(Refusal::User) => Error::FunctionFailed
                .because(|| format!("the daemon at {path} does not serve this user")),
            Self::Refused(Refusal::Full) => {
                away.because(|| format!("the daemon at {path} has as many connections as it takes"))
            }
            Self::Refused(Refusal::Application | Refusal::Store) => {
                away.because(|| format!("the daemon at {path} can not open its store"))
            }
            Self::Away(error) => {
                away.because(|| format!("the daemon at {path} can not be reached: {error}"))
            }
        }
    }
}

/// A connection, after the first frame each way.
struct Connection {
    socket: Socket,
    inbox: Inbox,
    waiting: Waiting,
}

impl Connection {
    fn open(path: &Path, wish: Wish) -> core::result::Result<(Self, Terms), Trouble> {
        let socket = Socket::connect(path)?;
        let mut connection = Self { socket, inbox: Inbox::default(), waiting: Waiting::default() };
        let hello = Hello { version: VERSION, wish };
        // A daemon that refuses may do so before it has heard anything.
        let sent = frame::send(&mut connection.socket, &hello.encode());
        let welcome = next(&mut connection.inbox, &mut connection.socket, FIRST)
            .map_err(|error| Trouble::Away(sent.err().unwrap_or(error)))?;
        match Welcome::decode(&welcome) {
            Ok(Welcome::Served(terms)) => Ok((connection, terms)),
            Ok(Welcome::Refused(why)) => Err(Trouble::Refused(why)),
            Err(error) => Err(Trouble::Away(io::Error::new(io::ErrorKind::InvalidData, error))),
        }
    }

    fn receive(&mut self, watch: &Watch) -> io::Result<Bytes> {
        let mut answers = Answers { socket: &mut self.socket, watch, waiting: &mut self.waiting };
        next(&mut self.inbox, &mut answers, MOST_ANSWER)
    }
}

/// The next frame, which there has to be.
fn next(inbox: &mut Inbox, stream: &mut impl Read, most: usize) -> io::Result<Bytes> {
    // Some answers take minutes: large keys, or the next event at a slot.
    let answer = inbox.frame(stream, most, Duration::MAX)?;
    answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// What comes back, waited for awake where that is worth it.
struct Answers<'a> {
    socket: &'a mut Socket,
    watch: &'a Watch,
    waiting: &'a mut Waiting,
}

impl Read for Answers<'_> {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let socket = &self.socket.0;
        let look = |place: &mut [u8]| Ok(recv(socket, place, RecvFlags::DONTWAIT)?.0);
        let sleep = || Ok(poll(&mut [PollFd::new(socket, PollFlags::IN)], None).map(drop)?);
        self.watch.read(self.waiting, 0, place, look, sleep)
    }
}

/// How many sockets a child of a fork can be kept from holding open; so a process has no more.
const MOST_SOCKETS: usize = 256;

/// The sockets of this process. A child has copies of them, by which the daemon would think that its
/// parent is still there; so the child closes them.
static SOCKETS: [AtomicI32; MOST_SOCKETS] = [const { AtomicI32::new(NONE) }; MOST_SOCKETS];

const NONE: i32 = -1;

/// Held while a socket is made and put on the list, and while the process forks: each socket that a
/// child has a copy of is on the list. Whoever holds it waits for nothing.
static MAKING: Mutex<()> = Mutex::new(());

/// Has no socket made that is not on the list yet, while the process forks.
pub(crate) fn quiesce() -> MutexGuard<'static, ()> {
    MAKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sockets that a child of this process has to close, each told once.
pub(crate) fn take_sockets() -> impl Iterator<Item = i32> {
    SOCKETS.iter().map(|place| place.swap(NONE, Ordering::Relaxed)).filter(|fd| *fd != NONE)
}

/// A socket that is on the list. It raises no signal when the other side has gone: the host may not
/// expect one.
struct Socket(UnixStream);

impl Socket {
    fn connect(path: &Path) -> core::result::Result<Self, Trouble> {
        let socket = Self::make()?;
        let address = SocketAddrUnix::new(path);
        address
            .and_then(|address| connect(&socket.0, &address))
            .map_err(|error| Trouble::Away(error.into()))?;
        Ok(socket)
    }

    fn make() -> core::result::Result<Self, Trouble> {
        let _making = quiesce();
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|error| Trouble::Away(error.into()))?;
        let fd = socket.as_raw_fd();
        let listed = SOCKETS.iter().any(|place| {
            place.compare_exchange(NONE, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        // Others of this process are at work over all of them, as if the daemon had no more.
        listed.then(|| Self(socket.into())).ok_or(Trouble::Refused(Refusal::Full))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A child that comes into being between this and the end has a copy, which is good for nothing.
        let _ = self.0.shutdown(Shutdown::Both);
        let fd = self.0.as_raw_fd();
        let _ = SOCKETS.iter().any(|place| {
            place.compare_exchange(fd, NONE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
    }
}

impl Read for Socket {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, place, RecvFlags::empty())?.0)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
