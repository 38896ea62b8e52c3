//! The one global: the application between `C_Initialize` and `C_Finalize`.
//!
//! Any thread may come at any time. A call takes a share of the application and holds no lock
//! while it works; `C_Finalize` takes the application out, and it goes when the last call that is
//! still at work gives its share back. What a share costs is two locked instructions on a memory
//! location that threads of other shards do not touch, twice.

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use strongroom_functions::{Cryptoki, Remote};
use strongroom_token::{Config, Level, Log};
use strongroom_types::reason::outrank;
use strongroom_types::{Error, Layout, MechanismType, Result, SessionHandle};

use crate::abi::{Quiet, Replaceable, at_work, brief, children_inherit, watch_exit, watch_forks};
use crate::log;
use crate::remote::Pool;

/// The application, whatever it is made of.
pub(crate) type Application = dyn Cryptoki;

/// The module of this process. A forked child begins with a new one.
pub(crate) static MODULE: Replaceable<Module<Application>> = Replaceable::new();

/// A share of the application, for the length of a call.
pub(crate) type Call = Share<Application>;

/// The application, between `C_Initialize` and `C_Finalize`.
pub(crate) fn module() -> Result<Call> {
    let module = MODULE.get().ok_or(Error::CryptokiNotInitialized)?;
    module.share().ok_or(Error::CryptokiNotInitialized)
}

/// `C_Initialize`, with what came of checking its arguments.
pub(crate) fn initialize(arguments: Result<()>) -> Result<()> {
    keep_panics_quiet();
    // A lock that a fork in this moment finds held must be one that its child leaves behind.
    watch_forks()?;
    at_work(|| {
        // Before anything can fail.
        let wanted = log::wanted();
        wanted.iter().for_each(log::start);
        arguments?;
        MODULE.get_or_make(Module::new).start(|| open(wanted))
    })
}

/// Opens the application, and has the rest of this module go by the same configuration.
fn open(wanted: Option<Log>) -> Result<Arc<Application>> {
    let config = find(wanted)?;
    watch_exit()?;
    brief(strongroom_token::prepare);
    match &config.socket {
        Some(socket) => at_daemon(socket),
        None => here(config),
    }
}

/// The configuration of this process, and its log, unless another one is wanted.
fn find(wanted: Option<Log>) -> Result<Config> {
    match Config::find() {
        Ok(config) => {
            log::start(&wanted.unwrap_or_else(|| config.log.clone()));
            introduce(&config);
            Ok(config)
        }
        Err(error) => {
            log::start(&wanted.unwrap_or(log::WITHOUT_CONFIGURATION));
            Err(Error::GeneralError.because(|| error.to_string()))
        }
    }
}

/// The application in this process.
fn here(config: Config) -> Result<Arc<Application>> {
    COMPATIBLE.store(config.compatible, Ordering::Relaxed);
    children_inherit(config.child_inherits);
    Ok(Arc::new(strongroom_token::Application::open(config)?))
}

/// The application at the daemon behind a socket. The daemon serves one process with it, so a child
/// begins with nothing, whatever the configuration says.
fn at_daemon(socket: &Path) -> Result<Arc<Application>> {
    let pool = Pool::open(socket)?;
    COMPATIBLE.store(pool.compatible(), Ordering::Relaxed);
    children_inherit(false);
    Ok(Arc::new(Remote::hashing(pool, strongroom_token::hasher)))
}

/// Says in the log what this module goes by.
fn introduce(config: &Config) {
    let source = match &config.source {
        Some(path) => format!("the configuration is {}", path.display()),
        None => "there is no configuration".into(),
    };
    let keys = match &config.socket {
        Some(socket) => format!("the keys are with the daemon at {}", socket.display()),
        None => format!("the store is {}", config.store.display()),
    };
    log::remark(Level::Info, &format!("{source}; {keys}"));
    for remark in &config.remarks {
        log::remark(Level::Warning, remark);
    }
}

/// Whether the edge behaves as SoftHSM2's where the two differ.
pub(crate) fn compatible() -> bool {
    COMPATIBLE.load(Ordering::Relaxed)
}

static COMPATIBLE: AtomicBool = AtomicBool::new(false);

/// `C_Finalize`, its argument apart.
pub(crate) fn finalize() -> Result<()> {
    MODULE.get().ok_or(Error::CryptokiNotInitialized)?.stop(|application| application.end_waits())
}

/// The layouts of a mechanism's parameter; none if there is no such mechanism.
pub(crate) fn layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    strongroom_token::layouts(mechanism)
}

/// The standard's name of a mechanism; none if there is no such mechanism.
pub(crate) fn mechanism_name(mechanism: MechanismType) -> Option<&'static str> {
    strongroom_token::mechanism_name(mechanism)
}

/// The same for the parameter of a message; none if the mechanism encrypts no messages.
pub(crate) fn message_layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    strongroom_token::message_layouts(mechanism)
}

/// Has the rooms below hold nothing half-done while the process forks.
pub(crate) fn quiesce() -> Box<dyn Quiet> {
    Box::new((crate::remote::quiesce(), strongroom_token::quiesce()))
}

/// A host has its own use for its standard error: only a module that is being worked on tells there
/// where it panicked. The panic becomes `CKR_GENERAL_ERROR` either way.
fn keep_panics_quiet() {
    // Not a `Once`: the child of a fork in this moment would wait for a thread that it does not have.
    static DONE: AtomicBool = AtomicBool::new(false);
    if !cfg!(debug_assertions) && !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

impl Call {
    /// What came of reading the arguments. Their faults are told only in a session that exists.
    pub(crate) fn read<T>(&self, session: SessionHandle, arguments: Result<T>) -> Result<T> {
        arguments.map_err(|fault| self.outranked(session, fault))
    }

    #[cold]
    fn outranked(&self, session: SessionHandle, fault: Error) -> Error {
        outrank(|| self.session_info(session)).err().unwrap_or(fault)
    }
}

/// How many groups the threads are divided into.
pub(crate) const SHARDS: usize = 16;

/// Where the application is, if it is.
pub(crate) struct Module<A: ?Sized> {
    /// Held by `C_Initialize` and `C_Finalize`, which come one at a time.
    lifecycle: Mutex<()>,
    /// All full, or all empty, except while the lifecycle is held.
    shards: [Shard<A>; SHARDS],
}

/// A group's way to the application. Two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
struct Shard<A: ?Sized>(RwLock<Option<Arc<Way<A>>>>);

/// One for each shard, so that the threads of different shards count their shares apart.
struct Way<A: ?Sized>(Arc<A>);

/// A share of what the module holds.
pub(crate) struct Share<A: ?Sized>(Arc<Way<A>>);

impl<A: ?Sized> Deref for Share<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0.0
    }
}

impl<A: ?Sized> Module<A> {
    fn new() -> Self {
        let shards = std::array::from_fn(|_| Shard(RwLock::new(None)));
        Self { lifecycle: Mutex::new(()), shards }
    }

    fn share(&self) -> Option<Share<A>> {
        let way = self.shards.get(shard())?.0.read().unwrap_or_else(PoisonError::into_inner);
        way.as_ref().map(|way| Share(Arc::clone(way)))
    }

    fn start(&self, open: impl FnOnce() -> Result<Arc<A>>) -> Result<()> {
        let _one = self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner);
        if self.share().is_some() {
            return Err(Error::CryptokiAlreadyInitialized);
        }
        let application = open()?;
        for shard in &self.shards {
            drop(shard.set(Some(Arc::new(Way(Arc::clone(&application))))));
        }
        Ok(())
    }

    fn stop(&self, ending: impl FnOnce(&A)) -> Result<()> {
        let one = self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner);
        let ways: Vec<_> = self.shards.iter().filter_map(|shard| shard.set(None)).collect();
        drop(one);
        // The application closes here, with no lock held, unless a call is still at work.
        ending(&ways.first().ok_or(Error::CryptokiNotInitialized)?.0);
        Ok(())
    }
}

impl<A: ?Sized> Shard<A> {
    fn set(&self, way: Option<Arc<Way<A>>>) -> Option<Arc<Way<A>>> {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, way)
    }
}

/// The shard of this thread: threads take turns.
pub(crate) fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // No destructor, so it is there for as long as the thread is.
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    MINE.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread::scope;

    use super::*;

    #[test]
    fn once_started_and_once_stopped() {
        let module = Module::new();
        assert_eq!(module.stop(|_| {}), Err(Error::CryptokiNotInitialized));
        assert!(module.share().is_none());
        assert_eq!(module.start(|| Ok(Arc::new(7))), Ok(()));
        assert_eq!(module.start(|| panic!("not asked")), Err(Error::CryptokiAlreadyInitialized));
        assert_eq!(module.share().as_deref(), Some(&7));
        assert_eq!(module.stop(|_| {}), Ok(()));
        assert!(module.share().is_none());
        assert_eq!(module.start(|| Err(Error::DeviceError)), Err(Error::DeviceError));
        assert_eq!(module.start(|| Ok(Arc::new(8))), Ok(()), "and again");
    }

    #[test]
    fn of_all_threads_one_starts_it() {
        let (module, together) = (Module::new(), Barrier::new(4));
        let started = scope(|scope| {
            let start = || {
                together.wait();
                module.start(|| Ok(Arc::new(1))).is_ok()
            };
            let threads = [0; 4].map(|_| scope.spawn(start));
            threads.map(|thread| thread.join().unwrap()).into_iter().filter(|one| *one).count()
        });
        assert_eq!(started, 1);
    }

    #[test]
    fn a_call_at_work_keeps_what_it_works_on() {
        let (module, application) = (Module::new(), Arc::new(5));
        module.start(|| Ok(Arc::clone(&application))).unwrap();
        let call = module.share().unwrap();
        module.stop(|_| {}).unwrap();
        assert_eq!((*call, Arc::strong_count(&application)), (5, 2));
        drop(call);
        assert_eq!(Arc::strong_count(&application), 1, "gone with the last call");
    }
}
