//! Callers come in, are looked at, and get a thread each, until a signal says to stop.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use strongroom_functions::frame::Refusal;
use strongroom_functions::{Observer, Watch};
use strongroom_settings::Settings;
use strongroom_token::{Application, Config, Memory, Quota, Store};
use strongroom_types::SessionHandle;

use crate::applications::Applications;
use crate::at_work::AtWork;
use crate::confinement;
use crate::door::{Door, Wire};
use crate::log::{Level, say};
use crate::manager::Manager;
use crate::metrics::{Metrics, Now};
use crate::operator;
use crate::peer::Peer;
use crate::refusals::Refusals;

/// The stack of a thread that serves a connection. Post-quantum signatures want most of it.
const STACK: usize = 512 << 10;

/// The daemon.
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) store: Arc<Store>,
    /// Of sessions.
    pub(crate) quota: Arc<Quota>,
    /// Of bytes that are kept between calls.
    pub(crate) memory: Arc<Quota>,
    pub(crate) applications: Applications,
    pub(crate) metrics: Metrics,
    pub(crate) at_work: AtWork,
    pub(crate) watch: Watch,
    pub(crate) began: Instant,
    pub(crate) refusals: Refusals,
    connections: Mutex<Connections>,
    /// A connection ended.
    ended: Condvar,
}

/// The connections that are open.
#[derive(Default)]
struct Connections {
    open: HashMap<u64, Open>,
    /// How many there have been.
    count: u64,
}

/// One of them.
struct Open {
    stream: Arc<UnixStream>,
    /// Whose it is.
    uid: u32,
}

impl Server {
    /// Opens the store. Errors are sentences.
    pub(crate) fn open(config: Config, settings: Settings) -> Result<Self, String> {
        if let Some(socket) = &config.socket {
            return Err(format!(
                "the configuration says that the keys are with the daemon at {}; give this daemon \
                 one with a [store], by --config",
                socket.display()
            ));
        }
        let store = Store::open(&config).map_err(|error| error.to_string())?;
        operator::begin(&store);
        Ok(Self {
            store: Arc::new(store),
            quota: Quota::new(settings.sessions),
            memory: Quota::new(settings.memory),
            applications: Applications::default(),
            metrics: Metrics::new(&settings),
            at_work: AtWork::default(),
            watch: Watch::default(),
            began: Instant::now(),
            refusals: Refusals::default(),
            connections: Mutex::default(),
            ended: Condvar::new(),
            config,
            settings,
        })
    }

    /// A new application, whose handles are of this turn.
    pub(crate) fn application(&self, turn: u16) -> strongroom_types::Result<Application> {
        let quota = Quota::within(&self.quota, self.settings.application_sessions);
        let memory = Memory::of(Quota::within(&self.memory, self.settings.application_memory));
        Application::over(Arc::clone(&self.store), self.config.clone(), turn, quota, memory)
    }

    /// Forgets all keys. Sessions end, as they do when a token is pulled out; connections stay. Calls
    /// that are at work are waited for, if they do not take long.
    pub(crate) fn seal(&self) {
        self.store.seal();
        // One that is founded from now on has nothing to forget.
        self.applications.all().iter().for_each(|served| served.application.seal());
        self.at_work.wait(&self.store);
    }

    /// How many connections callers have; that of the operator who asks is none of them.
    pub(crate) fn callers(&self) -> usize {
        self.connections().open.len().saturating_sub(1)
    }

    /// Serves until SIGTERM or SIGINT; then finishes the requests that are under way.
    pub(crate) fn run(self) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let (mut stopped, stop) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGTERM, SIGINT] {
            let stop = stop.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, stop).map_err(failed)?;
        }
        raise_file_limit(self.settings.connections);
        let doors = Door::all(&self.settings)?;
        self.store.make_places().unwrap_or_else(|error| {
            say(Level::Warning, &format!("there will be no new token: {error}"));
        });
        let manager = Manager::find();
        confinement::enter(&self, &doors);
        for door in &doors {
            say(
                Level::Info,
                &format!("serves the store {} at {door}", self.config.store.display()),
            );
        }
        let server = Arc::new(self);
        manager.ready();
        while !wait(&doors, &stopped, manager.patience()).map_err(failed)? {
            doors.iter().for_each(|door| server.accept(door));
            manager.alive();
        }
        manager.stopping();
        let _ = stopped.read(&mut [0]);
        doors.into_iter().for_each(Door::close);
        server.finish();
        say(Level::Info, "stopped");
        Ok(())
    }

    /// Takes one caller in.
    fn accept(self: &Arc<Self>, door: &Door) {
        let stream = match door.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                say(Level::Warning, &format!("a connection can not be taken: {error}"));
                // Out of descriptors, perhaps: others must end first.
                thread::sleep(Duration::from_millis(50));
                return;
            }
        };
        let outcome = Peer::of(&stream).and_then(|peer| {
            stream.set_nonblocking(false)?;
            self.admit(stream, peer, door.wire)
        });
        if let Err(error) = outcome {
            say(Level::Warning, &format!("a connection can not be served: {error}"));
        }
    }

    /// Looks at a caller, and gives it a thread.
    fn admit(
        self: &Arc<Self>,
        stream: UnixStream,
        peer: Peer,
        wire: &'static Wire,
    ) -> io::Result<()> {
        if !peer.may_connect(&stream, geteuid().as_raw(), (wire.callers)(&self.settings)) {
            self.refusals.say(peer.uid, || format!("{peer}: is not on the list, and is refused"));
            self.metrics.refused(Refusal::User);
            (wire.refuse)(&stream, Refusal::User);
            return Ok(());
        }
        let stream = Arc::new(stream);
        let guest = match self.enter(&stream, &peer, wire) {
            Ok(guest) => guest,
            Err(why) => {
                self.refusals.say(peer.uid, || format!("{peer}: is refused: {why}"));
                self.metrics.refused(Refusal::Full);
                (wire.refuse)(&stream, Refusal::Full);
                return Ok(());
            }
        };
        let server = Arc::clone(self);
        let serve = move || {
            // Goes when this ends, however it does; and where there is no thread for it.
            let _guest = guest;
            let _connected = server.metrics.connected(wire.label);
            (wire.serve)(&server, &stream, &peer);
        };
        Builder::new().stack_size(STACK).spawn(serve).map(drop)
    }

    /// A place for a connection, or why there is none.
    fn enter(
        self: &Arc<Self>,
        stream: &Arc<UnixStream>,
        peer: &Peer,
        wire: &Wire,
    ) -> Result<Guest, String> {
        let mut connections = self.connections();
        let most = self.settings.connections.saturating_add(wire.beyond);
        if connections.open.len() >= most {
            return Err(format!("{most} connections are open"));
        }
        let most = self.settings.user_connections.saturating_add(wire.beyond);
        if connections.open.values().filter(|open| open.uid == peer.uid).count() >= most {
            return Err(format!("{most} connections of this user are open"));
        }
        connections.count += 1;
        let number = connections.count;
        connections.open.insert(number, Open { stream: Arc::clone(stream), uid: peer.uid });
        Ok(Guest { server: Arc::clone(self), number })
    }

    /// Lets each connection answer what has been asked, and no more; and waits until all have.
    fn finish(&self) {
        let mut connections = self.connections();
        for open in connections.open.values() {
            // What has been sent is still read. It fails where the caller has gone already.
            let _ = open.stream.shutdown(Shutdown::Read);
        }
        while !connections.open.is_empty() {
            connections = self.ended.wait(connections).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is so at the moment.
    pub(crate) fn now(&self) -> Now {
        Now {
            applications: self.applications.count(),
            sessions: self.quota.taken(),
            memory: self.memory.taken(),
            sealed: self.store.is_sealed(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts each call, and tells when the store has been sealed meanwhile.
impl Observer for Server {
    fn observe<T>(
        &self,
        function: &'static str,
        session: Option<SessionHandle>,
        call: impl FnOnce() -> strongroom_types::Result<T>,
    ) -> strongroom_types::Result<T> {
        self.metrics.observe(function, session, || self.at_work.watch(&self.store, function, call))
    }
}

/// One of the connections that are open, for as long as it is.
struct Guest {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.server.connections().open.remove(&self.number);
        self.server.ended.notify_all();
    }
}

/// Waits for a caller, so long at the most, or for the signal to stop: then it says so.
fn wait(doors: &[Door], stopped: &UnixStream, patience: Option<Duration>) -> io::Result<bool> {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    let listeners = doors.iter().map(|door| PollFd::new(&door.listener, PollFlags::IN));
    let stop = PollFd::new(stopped, PollFlags::IN);
    let mut all: Vec<_> = listeners.chain([stop]).collect();
    match poll(&mut all, patience.as_ref()) {
        Ok(_) => Ok(all.last().is_some_and(|stopped| !stopped.revents().is_empty())),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Each connection is a file to the system; what the machine does not grant is said.
fn raise_file_limit(connections: usize) {
    /// For the store and the log.
    const OTHERS: u64 = 256;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let limit = Rlimit { current: Some(granted), maximum };
    if setrlimit(Resource::Nofile, limit).is_err() || granted < wanted {
        let why = format!(
            "the system grants {granted} open files, so there may be fewer than {connections} \
             connections"
        );
        say(Level::Warning, &why);
    }
}
