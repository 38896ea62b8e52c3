//! What several applications keep when the daemon is killed under load.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use strongroom_functions::frame::Wish;
use strongroom_functions::{Cryptoki, Remote};
use strongroom_types::{Attributes, Error, Result, attribute};

use crate::world::{Caller, Daemon, LONG, greet, run, slot, token};

const APPLICATIONS: usize = 4;
const TIMES: usize = 5;
/// How many objects are made before the daemon is killed again.
const LOAD: usize = 40;

/// What the threads share.
#[derive(Default)]
struct Progress {
    made: AtomicUsize,
    stop: AtomicBool,
}

impl Progress {
    fn wait(&self) {
        let (start, before) = (Instant::now(), self.made.load(Ordering::Relaxed));
        while self.made.load(Ordering::Relaxed) < before + LOAD {
            assert!(start.elapsed() < LONG, "nobody gets on");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn object(label: &str) -> Attributes {
    let mut object = Attributes::default();
    object.set(attribute::CLASS, 0);
    object.set(attribute::TOKEN, true);
    object.set(attribute::PRIVATE, false);
    object.set(attribute::LABEL, label.as_bytes());
    object
}

/// Creates objects until the daemon goes away, and notes those that are said to be there.
fn create(caller: &Caller, name: usize, kept: &mut Vec<String>, progress: &Progress) -> Result<()> {
    let remote = Remote::new(caller);
    let slots = remote.slot_list(true, true)?;
    let session = remote.open_session(*slots.first().ok_or(Error::DeviceRemoved)?, true)?;
    for number in kept.len().. {
        if progress.over() {
            break;
        }
        let label = format!("object {number} of {name}");
        remote.create_object(session, object(&label))?;
        kept.push(label);
        progress.made.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// An application that comes back whenever the daemon does.
fn application(socket: &Path, name: usize, progress: &Progress) -> Vec<String> {
    let mut kept = Vec::new();
    while !progress.over() {
        if let Ok(Ok(caller)) = greet(socket, Wish::Found(0)) {
            let ended = create(&caller, name, &mut kept, progress);
            assert!(matches!(ended, Ok(()) | Err(Error::DeviceRemoved)), "{ended:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    kept
}

#[test]
fn what_was_acknowledged_is_there_whoever_asked() {
    let mut daemon = Daemon::start("");
    token(&daemon);
    let (socket, progress) = (daemon.socket(), Progress::default());
    let kept: Vec<String> = thread::scope(|scope| {
        let (socket, progress) = (&socket, &progress);
        let start = |name| scope.spawn(move || application(socket, name, progress));
        let applications: Vec<_> = (0..APPLICATIONS).map(start).collect();
        for _ in 0..TIMES {
            progress.wait();
            daemon.signal(Signal::KILL);
            daemon.child.wait().unwrap();
            daemon.child = run(daemon.dir.path());
            daemon.wait_until_it_answers();
        }
        // The last daemon answers somebody, too.
        progress.wait();
        progress.stop.store(true, Ordering::Relaxed);
        applications.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(kept.len() > TIMES * LOAD, "{} objects", kept.len());
    let caller = daemon.connect();
    let remote = Remote::new(&caller);
    let session = remote.open_session(slot(&caller), false).unwrap();
    for label in &kept {
        let mut template = Attributes::default();
        template.set(attribute::LABEL, label.as_bytes());
        remote.find_objects_init(session, template).unwrap();
        let found = remote.find_objects(session, 10).unwrap();
        remote.find_objects_final(session).unwrap();
        // One that nobody was told of may be there beside it: its number was taken again.
        assert!(!found.is_empty(), "{label}");
    }
}
